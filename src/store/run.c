#include "store/run.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/prefetch.h"
#include "store/run_priv.h"

#define LINES_AHEAD 32u /* of the filter that are asked for together */

static void run_free(struct hf_run *run)
{
    run->outside->close(run->outside, run->file);
    hf_free(run->fences);
    hf_free(run->filter);
    hf_free(run);
}

static enum hf_err page_accept(const struct hf_run *run, uint64_t number, uint32_t count,
                               const uint8_t *page, struct hf_error *error)
{
    const char *wrong = hf_run_page_check(&run->layout, page, number, count);
    if (wrong != NULL) {
        uint64_t offset = hf_run_page_offset(&run->layout, number);
        return hf_error_set(error, HF_ERR_CORRUPT, "%s: page at %llu: %s", run->name,
                            (unsigned long long)offset, wrong);
    }
    return HF_ERR_OK;
}

enum hf_err hf_run_page_read(struct hf_run *run, uint64_t number, uint32_t count, uint8_t *page,
                             struct hf_error *error)
{
    uint64_t offset = hf_run_page_offset(&run->layout, number);
    enum hf_err err = hf_store_read(run->outside, run->file, run->name, offset, page,
                                    run->layout.info.block_bytes, error);
    return err != HF_ERR_OK ? err : page_accept(run, number, count, page, error);
}

static enum hf_err load_fences(struct hf_run *run, uint8_t *page, struct hf_error *error)
{
    const struct hf_run_layout *layout = &run->layout;
    for (uint64_t i = 0, fence = 0; i < layout->fence_pages; i++) {
        uint32_t count = hf_run_page_count(i, layout->data_pages, layout->fences_a_page);
        enum hf_err err = hf_run_page_read(run, layout->data_pages + i, count, page, error);
        if (err != HF_ERR_OK) {
            return err;
        }
        const uint8_t *at = page + HF_RUN_PAGE_HEAD_BYTES;
        for (uint32_t k = 0; k < count; k++, at += HF_INDEX_KEY_BYTES, fence++) {
            run->fences[fence] = hf_get_index_key(at);
            if (fence > 0 &&
                hf_index_key_compare(&run->fences[fence - 1], &run->fences[fence]) >= 0) {
                return hf_error_set(error, HF_ERR_CORRUPT, "%s: fences are out of order",
                                    run->name);
            }
        }
    }
    if (layout->data_pages > 0 &&
        (!hf_index_key_equal(&run->fences[0], &layout->info.first_key) ||
         hf_index_key_compare(&run->fences[layout->data_pages - 1], &layout->info.last_key) > 0)) {
        return hf_error_set(error, HF_ERR_CORRUPT, "%s: fences are not those of its records",
                            run->name);
    }
    return HF_ERR_OK;
}

static enum hf_err filter_page_read(struct hf_run *run, uint64_t i, uint8_t *page, uint32_t *count,
                                    struct hf_error *error)
{
    const struct hf_run_layout *layout = &run->layout;
    *count = hf_run_page_count(i, layout->filter_lines, layout->lines_a_page);
    return hf_run_page_read(run, layout->data_pages + layout->fence_pages + i, *count, page, error);
}

static enum hf_err load_filter(struct hf_run *run, uint8_t *page, struct hf_error *error)
{
    uint8_t *to = run->filter;
    for (uint64_t i = 0; i < run->layout.filter_pages; i++) {
        uint32_t count;
        enum hf_err err = filter_page_read(run, i, page, &count, error);
        if (err != HF_ERR_OK) {
            return err;
        }
        memcpy(to, page + HF_RUN_LINE_BYTES, (size_t)count * HF_RUN_LINE_BYTES);
        to += (size_t)count * HF_RUN_LINE_BYTES;
    }
    return HF_ERR_OK;
}

/* The last key of a kind, the number of the record behind it, and the first key of the next kind; *more false: there is
 * none. */
static enum hf_err end_of_kind(struct hf_run *run, uint8_t kind, uint8_t *page,
                               struct hf_index_key *last, uint64_t *end, struct hf_index_key *next,
                               bool *more, struct hf_error *error)
{
    const struct hf_run_layout *layout = &run->layout;
    struct hf_index_key behind = {.kind = (uint8_t)(kind + 1)};
    uint64_t block = hf_run_fence_search(run, &behind);
    if (block > 0 && hf_index_key_equal(&run->fences[block], &behind)) {
        block--;
    }
    uint32_t count;
    enum hf_err err = hf_run_block_read(run, block, page, &count, error);
    if (err != HF_ERR_OK) {
        return err;
    }
    const uint8_t *records = page + HF_RUN_PAGE_HEAD_BYTES;
    uint32_t at = hf_run_block_search(page, count, &behind);
    if (at == 0) {
        return hf_error_set(error, HF_ERR_CORRUPT, "%s: records are out of order", run->name);
    }
    *last = hf_get_index_key(records + (size_t)(at - 1) * HF_INDEX_RECORD_BYTES);
    *end = block * layout->records_a_page + at;
    *more = at < count || block + 1 < layout->data_pages;
    if (at < count) {
        *next = hf_get_index_key(records + (size_t)at * HF_INDEX_RECORD_BYTES);
    } else if (*more) {
        *next = run->fences[block + 1];
    }
    if (*more && next->kind <= kind) {
        return hf_error_set(error, HF_ERR_CORRUPT, "%s: kinds are out of order", run->name);
    }
    return HF_ERR_OK;
}

/* What range of keys there is of each kind: ids that ascend with time are mostly behind it, and need no filter. */
static enum hf_err load_ranges(struct hf_run *run, uint8_t *page, struct hf_error *error)
{
    struct hf_index_key first = run->layout.info.first_key;
    bool more = run->layout.data_pages > 0;
    uint64_t begin = 0;
    enum hf_err err = HF_ERR_OK;
    while (err == HF_ERR_OK && more && run->range_count < HF_RUN_KINDS_MAX) {
        struct hf_run_range *range = &run->ranges[run->range_count++];
        uint64_t end = run->layout.info.record_count;
        range->first = first;
        if (first.kind == UINT8_MAX) {
            range->last = run->layout.info.last_key;
            more = false;
        } else {
            err = end_of_kind(run, first.kind, page, &range->last, &end, &first, &more, error);
        }
        range->count = end - begin;
        begin = end;
    }
    run->ranges_known = !more;
    return err;
}

static enum hf_err load(struct hf_run *run, struct hf_error *error)
{
    const struct hf_run_layout *layout = &run->layout;
    uint8_t page[HF_RUN_BLOCK_BYTES_MAX];
    bool filter_in_ram = layout->filter_lines > 0 &&
                         layout->filter_lines * HF_RUN_LINE_BYTES <= HF_RUN_FILTER_RAM_BYTES_MAX;
    if (layout->data_pages > 0) {
        run->fences = hf_calloc(layout->data_pages, sizeof(*run->fences));
    }
    if (filter_in_ram) {
        run->filter = hf_malloc(layout->filter_lines * HF_RUN_LINE_BYTES);
    }
    if ((layout->data_pages > 0 && run->fences == NULL) || (filter_in_ram && run->filter == NULL)) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "open %s: memory is short", run->name);
    }
    enum hf_err err = load_fences(run, page, error);
    if (err == HF_ERR_OK) {
        err = load_ranges(run, page, error);
    }
    return err != HF_ERR_OK || !filter_in_ram ? err : load_filter(run, page, error);
}

/* Is this the file that the caller asked for? */
static enum hf_err check_identity(const struct hf_run *run, uint32_t space,
                                  const struct hf_run_ref *ref, struct hf_error *error)
{
    const struct hf_run_info *info = &run->layout.info;
    if (info->space != space || info->ref.from_position != ref->from_position ||
        info->ref.to_position != ref->to_position || info->ref.generation != ref->generation) {
        return hf_error_set(error, HF_ERR_CORRUPT,
                            "%s: the header is that of another run: was the file renamed?",
                            run->name);
    }
    if (ref->size_bytes != 0 &&
        (info->ref.size_bytes != ref->size_bytes || !hf_hash_equal(&info->ref.hash, &ref->hash))) {
        return hf_error_set(error, HF_ERR_CORRUPT, "%s: not the content that the checkpoint names",
                            run->name);
    }
    return HF_ERR_OK;
}

static enum hf_err open_file(struct hf_run *run, const char *directory, uint32_t space,
                             const struct hf_run_ref *ref, struct hf_error *error)
{
    struct hf_outside *outside = run->outside;
    char path[HF_STORE_PATH_BYTES];
    uint8_t header[HF_STORE_HEADER_BYTES];
    uint64_t file_bytes = 0;
    enum hf_err err = hf_store_path(path, directory, run->name, "", error);
    if (err == HF_ERR_OK) {
        err = outside->open(outside, path, HF_OPEN_READ, &run->file, error);
    }
    if (err != HF_ERR_OK) {
        run->file = NULL;
        return err;
    }
    err = outside->size(outside, run->file, &file_bytes, error);
    if (err == HF_ERR_OK) {
        err = hf_store_read(outside, run->file, run->name, 0, header, sizeof(header), error);
    }
    if (err == HF_ERR_OK) {
        err = hf_run_header_decode(header, file_bytes, run->name, &run->layout, error);
    }
    return err != HF_ERR_OK ? err : check_identity(run, space, ref, error);
}

enum hf_err hf_run_open(struct hf_outside *outside, const char *directory, uint32_t space,
                        const struct hf_run_ref *ref, struct hf_run **run, struct hf_error *error)
{
    *run = NULL;
    struct hf_run *new = hf_calloc(1, sizeof(*new));
    if (new == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "open an index run: memory is short");
    }
    new->outside = outside;
    atomic_init(&new->reference_count, 1);
    hf_run_name(ref, new->name);
    enum hf_err err = open_file(new, directory, space, ref, error);
    if (err == HF_ERR_OK) {
        err = load(new, error);
    }
    if (err != HF_ERR_OK) {
        run_free(new);
        return err;
    }
    *run = new;
    return HF_ERR_OK;
}

struct hf_run *hf_run_acquire(struct hf_run *run)
{
    unsigned before = atomic_fetch_add_explicit(&run->reference_count, 1, memory_order_relaxed);
    HF_CHECK(before > 0 && before < UINT32_MAX / 2);
    return run;
}

void hf_run_release(struct hf_run *run)
{
    if (run == NULL) {
        return;
    }
    unsigned before = atomic_fetch_sub_explicit(&run->reference_count, 1, memory_order_acq_rel);
    HF_CHECK(before > 0);
    if (before == 1) {
        run_free(run);
    }
}

uint64_t hf_run_memory_bytes(const struct hf_run *run)
{
    uint64_t fences = run->fences == NULL ? 0 : run->layout.data_pages * sizeof(*run->fences);
    return sizeof(*run) + fences +
           (run->filter == NULL ? 0 : run->layout.filter_lines * HF_RUN_LINE_BYTES);
}

const struct hf_run_info *hf_run_info(const struct hf_run *run)
{
    return &run->layout.info;
}

uint64_t hf_run_kind_count(const struct hf_run *run, uint8_t kind)
{
    for (uint32_t i = 0; run->ranges_known && i < run->range_count; i++) {
        if (run->ranges[i].first.kind == kind) {
            return run->ranges[i].count;
        }
    }
    return 0;
}

uint64_t hf_run_fence_search(const struct hf_run *run, const struct hf_index_key *key)
{
    uint64_t low = 0; /* the answer is in [low, high) */
    uint64_t high = run->layout.data_pages;
    HF_CHECK(high > 0);
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (hf_index_key_compare(&run->fences[middle], key) <= 0) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

enum hf_err hf_run_block_accept(const struct hf_run *run, uint64_t block, const uint8_t *page,
                                uint32_t *count, struct hf_error *error)
{
    const struct hf_run_layout *layout = &run->layout;
    *count = hf_run_page_count(block, layout->info.record_count, layout->records_a_page);
    enum hf_err err = page_accept(run, block, *count, page, error);
    if (err == HF_ERR_OK &&
        hf_run_key_compare(page + HF_RUN_PAGE_HEAD_BYTES, &run->fences[block]) != 0) {
        err = hf_error_set(error, HF_ERR_CORRUPT, "%s: page %llu does not begin with its fence",
                           run->name, (unsigned long long)block);
    }
    return err;
}

enum hf_err hf_run_block_read(struct hf_run *run, uint64_t block, uint8_t *page, uint32_t *count,
                              struct hf_error *error)
{
    const struct hf_run_layout *layout = &run->layout;
    enum hf_err err =
        hf_store_read(run->outside, run->file, run->name, hf_run_page_offset(layout, block), page,
                      layout->info.block_bytes, error);
    return err != HF_ERR_OK ? err : hf_run_block_accept(run, block, page, count, error);
}

uint32_t hf_run_block_search(const uint8_t *page, uint32_t count, const struct hf_index_key *key)
{
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const uint8_t *at = page + HF_RUN_PAGE_HEAD_BYTES + (size_t)middle * HF_INDEX_RECORD_BYTES;
        if (hf_run_key_compare(at, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Is there no record of the key's kind, or none so low or so high? */
static bool outside_ranges(const struct hf_run *run, const struct hf_index_key *key)
{
    if (!run->ranges_known) {
        return false;
    }
    for (uint32_t i = 0; i < run->range_count; i++) {
        const struct hf_run_range *range = &run->ranges[i];
        if (range->first.kind == key->kind) {
            return hf_index_key_compare(key, &range->first) < 0 ||
                   hf_index_key_compare(key, &range->last) > 0;
        }
    }
    return true;
}

bool hf_run_lacks(const struct hf_run *run, const struct hf_index_key *key, uint64_t key_hash)
{
    uint64_t lines = run->layout.filter_lines;
    return lines == 0 || outside_ranges(run, key) ||
           (run->filter != NULL &&
            !hf_run_filter_test(
                run->filter + hf_run_filter_line(key_hash, lines) * HF_RUN_LINE_BYTES, key_hash));
}

void hf_run_lacks_each(const struct hf_run *run, const struct hf_index_key *keys,
                       const uint64_t *key_hashes, size_t count, bool *lacks)
{
    uint64_t lines = run->layout.filter_lines;
    for (size_t done = 0; lines > 0 && done < count; done += LINES_AHEAD) {
        const uint8_t *line[LINES_AHEAD]; /* NULL: not to be looked at */
        size_t part = count - done < LINES_AHEAD ? count - done : LINES_AHEAD;
        for (size_t i = 0; i < part; i++) {
            line[i] = NULL;
            if (!lacks[done + i] || outside_ranges(run, &keys[done + i])) {
                continue;
            }
            lacks[done + i] = run->filter != NULL;
            if (run->filter != NULL) {
                line[i] = run->filter +
                          hf_run_filter_line(key_hashes[done + i], lines) * HF_RUN_LINE_BYTES;
                hf_prefetch(line[i]);
            }
        }
        for (size_t i = 0; i < part; i++) {
            if (line[i] != NULL) {
                lacks[done + i] = !hf_run_filter_test(line[i], key_hashes[done + i]);
            }
        }
    }
}

/* May the key be in the run? */
static enum hf_err filter_test(struct hf_run *run, uint64_t key_hash, uint8_t *page, bool *maybe,
                               struct hf_error *error)
{
    const struct hf_run_layout *layout = &run->layout;
    uint64_t line = hf_run_filter_line(key_hash, layout->filter_lines);
    if (run->filter != NULL) {
        *maybe = hf_run_filter_test(run->filter + line * HF_RUN_LINE_BYTES, key_hash);
        return HF_ERR_OK;
    }
    uint32_t count;
    enum hf_err err = filter_page_read(run, line / layout->lines_a_page, page, &count, error);
    if (err == HF_ERR_OK) {
        size_t in_page = line % layout->lines_a_page;
        *maybe = hf_run_filter_test(page + (1 + in_page) * HF_RUN_LINE_BYTES, key_hash);
    }
    return err;
}

enum hf_err hf_run_get(struct hf_run *run, const struct hf_index_key *key, uint64_t key_hash,
                       bool *found, struct hf_index_value *value, struct hf_error *error)
{
    const struct hf_run_layout *layout = &run->layout;
    uint8_t page[HF_RUN_BLOCK_BYTES_MAX];
    bool maybe = false;
    *found = false;
    *value = (struct hf_index_value){0};
    if (layout->info.record_count == 0) {
        return HF_ERR_OK;
    }
    if (outside_ranges(run, key)) {
        return HF_ERR_OK;
    }
    enum hf_err err = filter_test(run, key_hash, page, &maybe, error);
    if (err != HF_ERR_OK || !maybe || hf_index_key_compare(key, &layout->info.first_key) < 0 ||
        hf_index_key_compare(key, &layout->info.last_key) > 0) {
        return err;
    }
    uint32_t count;
    err = hf_run_block_read(run, hf_run_fence_search(run, key), page, &count, error);
    if (err != HF_ERR_OK) {
        return err;
    }
    uint32_t at = hf_run_block_search(page, count, key);
    const uint8_t *record = page + HF_RUN_PAGE_HEAD_BYTES + (size_t)at * HF_INDEX_RECORD_BYTES;
    if (at < count && hf_run_key_compare(record, key) == 0) {
        *found = true;
        *value = hf_get_index_value(record + HF_INDEX_KEY_BYTES);
    }
    return HF_ERR_OK;
}
