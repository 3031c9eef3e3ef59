#include "base/alloc.h"
#include "base/buffer.h"
#include "base/check.h"
#include "base/checksum.h"
#include "base/prefetch.h"
#include "store/run_priv.h"

/* Lines of a large filter lie all over the memory: keys wait by the part of it that they belong to, so that many of them
 * meet the same pages and their lines can be asked for ahead. */
#define FILTER_BYTES_DIRECT (1u << 20) /* a filter up to this is in the caches as it is */
#define FILTER_PARTS        256u
#define FILTER_WAITING      2048u /* keys of a part, at most */
#define FILTER_AHEAD        16u   /* lines that are asked for before they are written */

struct hf_run_writer {
    struct hf_sink sink;         /* the file */
    struct hf_run_layout layout; /* grows with the records; sizes are set by finish */
    struct hf_buffer fences;     /* encoded first keys of the data pages */
    uint64_t record_count_max;   /* of the meta */
    uint64_t page_number;        /* of the page that is being filled */
    uint8_t *filter;             /* all lines, owned; NULL if there is none */
    uint64_t *
        waiting; /* hashes of keys that are not in the filter yet, FILTER_WAITING a part, owned; NULL: none waits */
    uint32_t waiting_counts[FILTER_PARTS]; /* of them */
    uint8_t *page;                         /* block_bytes, owned: the page that is being filled */
    uint32_t page_entries;                 /* in it */
    bool failed;                           /* only abort may follow */
    char name[HF_RUN_NAME_BYTES];          /* final file name */
};

static void writer_free(struct hf_run_writer *writer)
{
    hf_sink_release(&writer->sink);
    hf_buffer_release(&writer->fences);
    hf_free(writer->filter);
    hf_free(writer->waiting);
    hf_free(writer->page);
    hf_free(writer);
}

enum hf_err hf_run_writer_start(struct hf_outside *outside, const char *directory,
                                const struct hf_run_meta *meta, struct hf_run_writer **writer,
                                struct hf_error *error)
{
    *writer = NULL;
    HF_CHECK(meta->from_position <= meta->to_position);
    HF_CHECK(meta->block_bytes >= HF_RUN_BLOCK_BYTES_MIN);
    HF_CHECK(meta->block_bytes <= HF_RUN_BLOCK_BYTES_MAX);
    HF_CHECK(meta->block_bytes % HF_RUN_LINE_BYTES == 0);
    HF_CHECK(meta->record_count_max <= HF_RUN_RECORD_COUNT_MAX);
    struct hf_run_writer *new = hf_calloc(1, sizeof(*new));
    if (new == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "write an index run: memory is short");
    }
    hf_buffer_init(&new->fences);
    new->record_count_max = meta->record_count_max;
    new->layout.info.space = meta->space;
    new->layout.info.block_bytes = meta->block_bytes;
    new->layout.info.ref.from_position = meta->from_position;
    new->layout.info.ref.to_position = meta->to_position;
    new->layout.info.ref.generation = meta->generation;
    new->layout.filter_lines = hf_run_filter_lines(meta->record_count_max);
    hf_run_layout_derive(&new->layout);
    hf_run_name(&new->layout.info.ref, new->name);
    new->page = hf_calloc(1, meta->block_bytes);
    bool waits = new->layout.filter_lines *HF_RUN_LINE_BYTES > FILTER_BYTES_DIRECT;
    enum hf_err err = HF_ERR_OK;
    if (new->layout.filter_lines > 0) {
        new->filter = hf_calloc(new->layout.filter_lines, HF_RUN_LINE_BYTES);
    }
    if (waits) {
        new->waiting = hf_malloc(FILTER_PARTS * FILTER_WAITING * sizeof(*new->waiting));
    }
    if (new->page == NULL || (waits && new->waiting == NULL) ||
        (new->filter == NULL &&new->layout.filter_lines > 0)) {
        err = hf_error_set(error, HF_ERR_NO_MEMORY, "write %s: memory is short", new->name);
    } else {
        err = hf_sink_start(&new->sink, outside, directory, new->name, error);
    }
    if (err != HF_ERR_OK) {
        writer_free(new);
        return err;
    }
    *writer = new;
    return HF_ERR_OK;
}

/* Seals the page that is being filled, gives it to the sink and begins the next one. */
static enum hf_err page_out(struct hf_run_writer *writer, struct hf_error *error)
{
    uint32_t block_bytes = writer->layout.info.block_bytes;
    hf_run_page_seal(&writer->layout, writer->page, writer->page_number, writer->page_entries);
    HF_CHECK_SLOW(hf_run_page_check(&writer->layout, writer->page, writer->page_number,
                                    writer->page_entries) == NULL);
    enum hf_err err = hf_sink_append(&writer->sink, writer->page, block_bytes, error);
    writer->page_number++;
    writer->page_entries = 0;
    memset(writer->page, 0, block_bytes);
    return err;
}

static uint8_t *filter_line(const struct hf_run_writer *writer, uint64_t key_hash)
{
    return writer->filter +
           hf_run_filter_line(key_hash, writer->layout.filter_lines) * HF_RUN_LINE_BYTES;
}

/* The keys of one part into the filter. */
static void take_waiting(struct hf_run_writer *writer, uint32_t part)
{
    const uint64_t *hashes = writer->waiting + (size_t)part * FILTER_WAITING;
    uint32_t count = writer->waiting_counts[part];
    for (uint32_t i = 0; i < count; i++) {
        if (i + FILTER_AHEAD < count) {
            hf_prefetch(filter_line(writer, hashes[i + FILTER_AHEAD]));
        }
        hf_run_filter_set(filter_line(writer, hashes[i]), hashes[i]);
    }
    writer->waiting_counts[part] = 0;
}

/* Into the filter, perhaps later. The top of the hash says where in it the line is. */
static void note_key(struct hf_run_writer *writer, uint64_t key_hash)
{
    if (writer->waiting == NULL) {
        hf_run_filter_set(filter_line(writer, key_hash), key_hash);
        return;
    }
    uint32_t part = (uint32_t)(key_hash >> 56);
    if (writer->waiting_counts[part] == FILTER_WAITING) {
        take_waiting(writer, part);
    }
    writer->waiting[(size_t)part * FILTER_WAITING + writer->waiting_counts[part]++] = key_hash;
}

static void finish_filter(struct hf_run_writer *writer)
{
    for (uint32_t part = 0; writer->waiting != NULL && part < FILTER_PARTS; part++) {
        take_waiting(writer, part);
    }
}

/* Seals the page of records that is being filled. */
static enum hf_err records_out(struct hf_run_writer *writer, struct hf_error *error)
{
    const uint8_t *last = writer->page + HF_RUN_PAGE_HEAD_BYTES +
                          (size_t)(writer->page_entries - 1) * HF_INDEX_RECORD_BYTES;
    writer->layout.info.last_key = hf_get_index_key(last);
    return page_out(writer, error);
}

/* Is it above the last one that came? */
static bool ascends(const struct hf_run_writer *writer, const uint8_t *record)
{
    if (writer->page_entries == 0) {
        return writer->layout.info.record_count == 0 ||
               hf_run_key_compare(record, &writer->layout.info.last_key) > 0;
    }
    const uint8_t *last = writer->page + HF_RUN_PAGE_HEAD_BYTES +
                          (size_t)(writer->page_entries - 1) * HF_INDEX_RECORD_BYTES;
    return hf_run_record_compare(last, record) < 0;
}

/* As many as there is room for in the page, which is begun if need be; *count of them. */
static enum hf_err fill_page(struct hf_run_writer *writer, const uint8_t *records, uint32_t *count,
                             struct hf_error *error)
{
    struct hf_run_layout *layout = &writer->layout;
    uint8_t *at = writer->page + HF_RUN_PAGE_HEAD_BYTES +
                  (size_t)writer->page_entries * HF_INDEX_RECORD_BYTES;
    *count = (uint32_t)hf_min_u64(*count, layout->records_a_page - writer->page_entries);
    memcpy(at, records, (size_t)*count * HF_INDEX_RECORD_BYTES);
    if (writer->page_entries == 0) {
        hf_buffer_bytes(&writer->fences, at, HF_INDEX_KEY_BYTES);
        layout->data_pages++;
        if (writer->fences.failed) {
            return hf_error_set(error, HF_ERR_NO_MEMORY, "write %s: memory is short", writer->name);
        }
    }
    if (layout->info.record_count == 0) {
        layout->info.first_key = hf_get_index_key(at);
    }
    for (uint32_t i = 0; i < *count; i++, at += HF_INDEX_RECORD_BYTES) {
        note_key(writer, hf_checksum(at, HF_INDEX_KEY_BYTES));
    }
    writer->page_entries += *count;
    layout->info.record_count += *count;
    return HF_ERR_OK;
}

enum hf_err hf_run_writer_add_records(struct hf_run_writer *writer, const uint8_t *records,
                                      uint32_t count, struct hf_error *error)
{
    HF_CHECK(!writer->failed);
    HF_CHECK(count <= writer->record_count_max - writer->layout.info.record_count);
    HF_CHECK(count == 0 || ascends(writer, records));
    enum hf_err err = HF_ERR_OK;
    while (count > 0 && err == HF_ERR_OK) {
        uint32_t part = count;
        if (writer->page_entries == writer->layout.records_a_page) {
            err = records_out(writer, error);
        }
        if (err == HF_ERR_OK) {
            err = fill_page(writer, records, &part, error);
        }
        records += (size_t)part * HF_INDEX_RECORD_BYTES;
        count -= part;
    }
    writer->failed = err != HF_ERR_OK;
    return err;
}

enum hf_err hf_run_writer_add(struct hf_run_writer *writer, const struct hf_index_key *key,
                              const struct hf_index_value *value, struct hf_error *error)
{
    uint8_t record[HF_INDEX_RECORD_BYTES];
    hf_put_index_key(record, key);
    hf_put_index_value(record + HF_INDEX_KEY_BYTES, value);
    return hf_run_writer_add_records(writer, record, 1, error);
}

void hf_run_writer_dropped(struct hf_run_writer *writer, uint64_t position)
{
    struct hf_run_info *info = &writer->layout.info;
    info->dropped_to = hf_max_u64(info->dropped_to, position);
}

/* Writes entry_count entries as pages: `capacity` of entry_bytes each, from first_byte of a page. */
static enum hf_err write_section(struct hf_run_writer *writer, const uint8_t *entries,
                                 uint64_t entry_count, size_t entry_bytes, uint32_t capacity,
                                 size_t first_byte, struct hf_error *error)
{
    for (uint64_t done = 0; done < entry_count;) {
        uint32_t count = (uint32_t)hf_min_u64(entry_count - done, capacity);
        memcpy(writer->page + first_byte, entries + done * entry_bytes, count * entry_bytes);
        writer->page_entries = count;
        enum hf_err err = page_out(writer, error);
        if (err != HF_ERR_OK) {
            return err;
        }
        done += count;
    }
    return HF_ERR_OK;
}

static enum hf_err finish(struct hf_run_writer *writer, struct hf_error *error)
{
    struct hf_run_layout *layout = &writer->layout;
    enum hf_err err = HF_ERR_OK;
    finish_filter(writer);
    if (writer->page_entries > 0) {
        err = records_out(writer, error);
    }
    HF_CHECK(err != HF_ERR_OK || writer->page_number == layout->data_pages);
    if (err == HF_ERR_OK) {
        err = write_section(writer, writer->fences.data, layout->data_pages, HF_INDEX_KEY_BYTES,
                            layout->fences_a_page, HF_RUN_PAGE_HEAD_BYTES, error);
    }
    layout->fence_pages = writer->page_number - layout->data_pages;
    if (err == HF_ERR_OK) {
        err = write_section(writer, writer->filter, layout->filter_lines, HF_RUN_LINE_BYTES,
                            layout->lines_a_page, HF_RUN_LINE_BYTES, error);
    }
    layout->filter_pages = writer->page_number - layout->data_pages - layout->fence_pages;
    if (err == HF_ERR_OK) {
        err = hf_sink_content_hash(&writer->sink, &layout->content_hash, error);
    }
    if (err != HF_ERR_OK) {
        return err;
    }
    uint8_t header[HF_STORE_HEADER_BYTES];
    struct hf_run_layout check;
    layout->info.ref.size_bytes = hf_sink_size(&writer->sink);
    hf_run_header_encode(layout, header);
    HF_CHECK(hf_run_header_decode(header, layout->info.ref.size_bytes, writer->name, &check,
                                  NULL) == HF_ERR_OK);
    return hf_sink_commit(&writer->sink, header, error);
}

enum hf_err hf_run_writer_finish(struct hf_run_writer *writer, struct hf_run_info *info,
                                 struct hf_error *error)
{
    *info = (struct hf_run_info){0};
    HF_CHECK(!writer->failed);
    enum hf_err err = finish(writer, error);
    if (err == HF_ERR_OK) {
        *info = writer->layout.info;
    }
    writer_free(writer);
    return err;
}

void hf_run_writer_abort(struct hf_run_writer *writer)
{
    if (writer != NULL) {
        writer_free(writer);
    }
}
