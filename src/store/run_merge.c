/*
 * The merge of runs: records move as bytes, as many at once as are below everything that the other runs have left. Of ids
 * that ascend with time that is a page at a time.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "store/run_priv.h"

#define READ_BYTES 65536u /* of a run at once; at least one page */

_Static_assert(READ_BYTES >= HF_RUN_BLOCK_BYTES_MAX, "a page fits");

/* A run that is merged, and where the merge is in it. */
struct source {
    const uint8_t *at;    /* the current record; NULL: behind the last one */
    const uint8_t *end;   /* of the current page's records */
    uint64_t prefix;      /* of the current record */
    struct hf_run *run;   /* borrowed */
    uint8_t *pages;       /* READ_BYTES, owned */
    uint64_t first_block; /* number of the first page in it */
    uint32_t page_count;  /* in it */
    uint32_t page;        /* of them, the next one to be looked at */
};

struct merge {
    struct hf_run_merge_rules rules;
    struct source *sources; /* newest first; owned */
    size_t source_count;
    struct hf_run_writer *writer; /* the new run */
    struct hf_error *error;
};

static void stand_at(struct source *source, const uint8_t *record)
{
    source->at = record;
    source->prefix = record == NULL ? UINT64_MAX : hf_run_prefix(record);
}

static enum hf_err read_pages(struct merge *merge, struct source *source)
{
    struct hf_run *run = source->run;
    uint32_t block_bytes = run->layout.info.block_bytes;
    if (merge->rules.stops != NULL && merge->rules.stops(merge->rules.context)) {
        return hf_error_set(merge->error, HF_ERR_CLOSED, "merge of index runs: stopped");
    }
    source->first_block += source->page_count;
    source->page_count = (uint32_t)hf_min_u64(READ_BYTES / block_bytes,
                                              run->layout.data_pages - source->first_block);
    source->page = 0;
    return hf_store_read(run->outside, run->file, run->name,
                         hf_run_page_offset(&run->layout, source->first_block), source->pages,
                         (size_t)source->page_count * block_bytes, merge->error);
}

/* `last` is the record before the page's first one, or NULL. */
static bool page_ascends(const uint8_t *last, const uint8_t *record, const uint8_t *end)
{
    bool ascends = last == NULL || hf_run_record_compare(last, record) < 0;
    for (; ascends && record + HF_INDEX_RECORD_BYTES < end; record += HF_INDEX_RECORD_BYTES) {
        ascends = hf_run_record_compare(record, record + HF_INDEX_RECORD_BYTES) < 0;
    }
    return ascends;
}

/* To the first record of the next page. */
static enum hf_err next_page(struct merge *merge, struct source *source)
{
    struct hf_run *run = source->run;
    uint8_t last[HF_INDEX_RECORD_BYTES];
    bool has_last = source->end != NULL;
    if (has_last) {
        memcpy(last, source->end - HF_INDEX_RECORD_BYTES, sizeof(last));
    }
    stand_at(source, NULL);
    if (source->first_block + source->page == run->layout.data_pages) {
        return HF_ERR_OK;
    }
    enum hf_err err = source->page < source->page_count ? HF_ERR_OK : read_pages(merge, source);
    if (err != HF_ERR_OK) {
        return err;
    }
    uint64_t block = source->first_block + source->page;
    const uint8_t *page = source->pages + (size_t)source->page++ * run->layout.info.block_bytes;
    uint32_t count;
    err = hf_run_block_accept(run, block, page, &count, merge->error);
    if (err != HF_ERR_OK) {
        return err;
    }
    const uint8_t *first = page + HF_RUN_PAGE_HEAD_BYTES;
    source->end = first + (size_t)count * HF_INDEX_RECORD_BYTES;
    if (!page_ascends(has_last ? last : NULL, first, source->end)) {
        return hf_error_set(merge->error, HF_ERR_CORRUPT, "%s: page %llu: keys are out of order",
                            run->name, (unsigned long long)block);
    }
    stand_at(source, first);
    return HF_ERR_OK;
}

static enum hf_err step_over(struct merge *merge, struct source *source, uint32_t count)
{
    const uint8_t *at = source->at + (size_t)count * HF_INDEX_RECORD_BYTES;
    if (at == source->end) {
        return next_page(merge, source);
    }
    stand_at(source, at);
    return HF_ERR_OK;
}

static enum hf_err init_sources(struct merge *merge, struct hf_run *const *runs, size_t run_count)
{
    merge->sources = hf_calloc(run_count, sizeof(*merge->sources));
    if (merge->sources == NULL) {
        return hf_error_set(merge->error, HF_ERR_NO_MEMORY, "merge of index runs: memory is short");
    }
    merge->source_count = run_count;
    enum hf_err err = HF_ERR_OK;
    for (size_t i = 0; i < run_count && err == HF_ERR_OK; i++) {
        struct source *source = &merge->sources[i];
        source->run = runs[i];
        source->pages = hf_malloc(READ_BYTES);
        err = source->pages == NULL ? hf_error_set(merge->error, HF_ERR_NO_MEMORY,
                                                   "merge of index runs: memory is short")
                                    : next_page(merge, source);
    }
    return err;
}

static bool is_below(const struct source *a, const struct source *b)
{
    return a->prefix != b->prefix ? a->prefix < b->prefix : hf_run_record_compare(a->at, b->at) < 0;
}

/* The source with the lowest key, the newest of equal ones (NULL: all are at their ends), and the one with the lowest key
 * of the others. A scan, not a heap: there are few runs, and their count is bounded by the merge policy. */
static struct source *lowest(const struct merge *merge, struct source **second)
{
    struct source *best = NULL;
    *second = NULL;
    for (size_t i = 0; i < merge->source_count; i++) {
        struct source *one = &merge->sources[i];
        if (one->at == NULL) {
            continue;
        }
        if (best == NULL || is_below(one, best)) {
            *second = best;
            best = one;
        } else if (*second == NULL || is_below(one, *second)) {
            *second = one;
        }
    }
    return best;
}

/* Records of the source's page that are below `key`; the first one is. By doubling, then by halves: mostly there is one,
 * or all are. */
static uint32_t count_below(const struct source *source, const uint8_t *key)
{
    uint32_t left = (uint32_t)((size_t)(source->end - source->at) / HF_INDEX_RECORD_BYTES);
    if (hf_run_record_compare(source->end - HF_INDEX_RECORD_BYTES, key) < 0) {
        return left;
    }
    uint32_t low = 1; /* the answer is in [low, high] */
    uint32_t high = 1;
    while (high < left &&
           hf_run_record_compare(source->at + (size_t)high * HF_INDEX_RECORD_BYTES, key) < 0) {
        low = high + 1;
        high = 2 * high < left ? 2 * high : left;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (hf_run_record_compare(source->at + (size_t)middle * HF_INDEX_RECORD_BYTES, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Is it left out? */
static bool is_dropped(const struct merge *merge, const uint8_t *record, uint64_t *position)
{
    *position = hf_get_u64(record + HF_INDEX_KEY_BYTES);
    return record[0] == merge->rules.drop_kind && *position <= merge->rules.drop_to_position;
}

/* What is not left out, as many at once as follow each other. */
static enum hf_err add_but_dropped(struct merge *merge, const uint8_t *records, uint32_t count)
{
    enum hf_err err = HF_ERR_OK;
    uint32_t first = 0; /* that was not added yet */
    for (uint32_t i = 0; i < count && err == HF_ERR_OK; i++) {
        uint64_t position;
        if (is_dropped(merge, records + (size_t)i * HF_INDEX_RECORD_BYTES, &position)) {
            err = hf_run_writer_add_records(merge->writer,
                                            records + (size_t)first * HF_INDEX_RECORD_BYTES,
                                            i - first, merge->error);
            hf_run_writer_dropped(merge->writer, position);
            first = i + 1;
        }
    }
    return err != HF_ERR_OK
               ? err
               : hf_run_writer_add_records(merge->writer,
                                           records + (size_t)first * HF_INDEX_RECORD_BYTES,
                                           count - first, merge->error);
}

static enum hf_err add(struct merge *merge, const uint8_t *records, uint32_t count)
{
    const struct hf_run_merge_rules *rules = &merge->rules;
    uint8_t last_kind = records[(size_t)(count - 1) * HF_INDEX_RECORD_BYTES];
    if (rules->drop_to_position == 0 || records[0] > rules->drop_kind ||
        last_kind < rules->drop_kind) {
        return hf_run_writer_add_records(merge->writer, records, count, merge->error);
    }
    return add_but_dropped(merge, records, count);
}

/* Takes the lowest records, and steps over what is older of the same key. */
static enum hf_err step(struct merge *merge, struct source *best, const struct source *second)
{
    if (second == NULL || is_below(best, second)) {
        uint32_t count = second == NULL
                             ? (uint32_t)((size_t)(best->end - best->at) / HF_INDEX_RECORD_BYTES)
                             : count_below(best, second->at);
        enum hf_err err = add(merge, best->at, count);
        return err != HF_ERR_OK ? err : step_over(merge, best, count);
    }
    uint8_t record[HF_INDEX_RECORD_BYTES];
    memcpy(record, best->at, sizeof(record));
    enum hf_err err = add(merge, record, 1);
    for (size_t i = 0; i < merge->source_count && err == HF_ERR_OK; i++) {
        struct source *one = &merge->sources[i];
        if (one->at != NULL && hf_run_record_compare(one->at, record) == 0) {
            err = step_over(merge, one, 1);
        }
    }
    return err;
}

static enum hf_err merge_all(struct merge *merge)
{
    struct source *best;
    struct source *second;
    enum hf_err err = HF_ERR_OK;
    while (err == HF_ERR_OK && (best = lowest(merge, &second)) != NULL) {
        err = step(merge, best, second);
    }
    for (size_t i = 0; i < merge->source_count; i++) {
        hf_run_writer_dropped(merge->writer, hf_run_info(merge->sources[i].run)->dropped_to);
    }
    return err;
}

struct hf_run_ref hf_run_merged_ref(struct hf_run *const *runs, size_t run_count)
{
    HF_CHECK(run_count > 0);
    struct hf_run_ref ref = {
        .from_position = hf_run_info(runs[run_count - 1])->ref.from_position,
        .to_position = hf_run_info(runs[0])->ref.to_position,
    };
    for (size_t i = 0; i < run_count; i++) {
        uint32_t generation = hf_run_info(runs[i])->ref.generation;
        ref.generation = generation > ref.generation ? generation : ref.generation;
    }
    HF_CHECK(ref.generation < UINT32_MAX);
    ref.generation++;
    return ref;
}

static struct hf_run_meta meta_of(struct hf_run *const *runs, size_t run_count,
                                  uint32_t block_bytes)
{
    struct hf_run_ref ref = hf_run_merged_ref(runs, run_count);
    struct hf_run_meta meta = {
        .space = hf_run_info(runs[0])->space,
        .from_position = ref.from_position,
        .to_position = ref.to_position,
        .generation = ref.generation,
        .block_bytes = block_bytes,
    };
    for (size_t i = 0; i < run_count; i++) {
        const struct hf_run_info *info = hf_run_info(runs[i]);
        HF_CHECK(info->space == meta.space);
        HF_CHECK(i == 0 ||
                 info->ref.to_position + 1 == hf_run_info(runs[i - 1])->ref.from_position);
        meta.record_count_max += info->record_count;
    }
    return meta;
}

enum hf_err hf_run_merge(struct hf_outside *outside, const char *directory,
                         struct hf_run *const *runs, size_t run_count, uint32_t block_bytes,
                         const struct hf_run_merge_rules *rules, struct hf_run_info *info,
                         struct hf_error *error)
{
    *info = (struct hf_run_info){0};
    struct hf_run_meta meta = meta_of(runs, run_count, block_bytes);
    struct merge merge = {.error = error};
    if (rules != NULL) {
        merge.rules = *rules; /* no record of these runs is of a later position */
        merge.rules.drop_to_position = hf_min_u64(rules->drop_to_position, meta.to_position);
    }
    enum hf_err err = hf_run_writer_start(outside, directory, &meta, &merge.writer, error);
    if (err == HF_ERR_OK) {
        err = init_sources(&merge, runs, run_count);
    }
    if (err == HF_ERR_OK) {
        err = merge_all(&merge);
    }
    if (err == HF_ERR_OK) {
        err = hf_run_writer_finish(merge.writer, info, error);
    } else {
        hf_run_writer_abort(merge.writer);
    }
    for (size_t i = 0; i < merge.source_count; i++) {
        hf_free(merge.sources[i].pages);
    }
    hf_free(merge.sources);
    return err;
}
