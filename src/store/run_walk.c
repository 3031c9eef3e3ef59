/* Walks over whole runs: the iterator, and verify. */
#include "base/alloc.h"
#include "base/check.h"
#include "store/run_priv.h"

static void take(struct hf_run_iterator *iterator)
{
    const uint8_t *record =
        iterator->page + HF_RUN_PAGE_HEAD_BYTES + (size_t)iterator->at * HF_INDEX_RECORD_BYTES;
    iterator->key = hf_get_index_key(record);
    iterator->value = hf_get_index_value(record + HF_INDEX_KEY_BYTES);
    iterator->valid = true;
}

/* Stands on record `at` of the current page, or on the first of the next page. */
static enum hf_err settle(struct hf_run_iterator *iterator, struct hf_error *error)
{
    struct hf_run *run = iterator->run;
    iterator->valid = false;
    if (iterator->at == iterator->count) {
        if (iterator->block + 1 >= run->layout.data_pages) {
            return HF_ERR_OK;
        }
        iterator->block++;
        iterator->at = 0;
        enum hf_err err =
            hf_run_block_read(run, iterator->block, iterator->page, &iterator->count, error);
        if (err != HF_ERR_OK) {
            return err;
        }
    }
    take(iterator);
    return HF_ERR_OK;
}

enum hf_err hf_run_iterator_init(struct hf_run_iterator *iterator, struct hf_run *run,
                                 const struct hf_index_key *from, struct hf_error *error)
{
    *iterator = (struct hf_run_iterator){.run = run};
    if (run->layout.data_pages == 0) {
        return HF_ERR_OK;
    }
    iterator->page = hf_malloc(run->layout.info.block_bytes);
    if (iterator->page == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "walk over %s: memory is short", run->name);
    }
    iterator->block = from == NULL ? 0 : hf_run_fence_search(run, from);
    enum hf_err err =
        hf_run_block_read(run, iterator->block, iterator->page, &iterator->count, error);
    if (err == HF_ERR_OK) {
        iterator->at =
            from == NULL ? 0 : hf_run_block_search(iterator->page, iterator->count, from);
        err = settle(iterator, error);
    }
    if (err != HF_ERR_OK) {
        hf_run_iterator_release(iterator);
    }
    return err;
}

enum hf_err hf_run_iterator_next(struct hf_run_iterator *iterator, struct hf_error *error)
{
    HF_CHECK(iterator->valid);
    struct hf_index_key before = iterator->key;
    iterator->at++;
    enum hf_err err = settle(iterator, error);
    if (err == HF_ERR_OK && iterator->valid && hf_index_key_compare(&before, &iterator->key) >= 0) {
        iterator->valid = false;
        err = hf_error_set(error, HF_ERR_CORRUPT, "%s: page %llu: keys are out of order",
                           iterator->run->name, (unsigned long long)iterator->block);
    }
    return err;
}

uint64_t hf_run_iterator_number(const struct hf_run_iterator *iterator)
{
    HF_CHECK(iterator->valid);
    return iterator->block * iterator->run->layout.records_a_page + iterator->at;
}

void hf_run_iterator_release(struct hf_run_iterator *iterator)
{
    hf_free(iterator->page);
    *iterator = (struct hf_run_iterator){0};
}

/* SHA-256 of all pages, and zeros behind each page's entries. */
static enum hf_err verify_pages(struct hf_run *run, struct hf_error *error)
{
    const struct hf_run_layout *layout = &run->layout;
    uint32_t block_bytes = layout->info.block_bytes;
    uint64_t fence_end = layout->data_pages + layout->fence_pages;
    uint8_t page[HF_RUN_BLOCK_BYTES_MAX];
    struct hf_sha256_stream sha;
    enum hf_err err = HF_ERR_OK;
    hf_sha256_start(&sha);
    for (uint64_t i = 0; i < fence_end + layout->filter_pages && err == HF_ERR_OK; i++) {
        uint32_t count;
        size_t used_bytes;
        if (i < layout->data_pages) {
            count = hf_run_page_count(i, layout->info.record_count, layout->records_a_page);
            used_bytes = HF_RUN_PAGE_HEAD_BYTES + (size_t)count * HF_INDEX_RECORD_BYTES;
        } else if (i < fence_end) {
            count = hf_run_page_count(i - layout->data_pages, layout->data_pages,
                                      layout->fences_a_page);
            used_bytes = HF_RUN_PAGE_HEAD_BYTES + (size_t)count * HF_INDEX_KEY_BYTES;
        } else {
            count = hf_run_page_count(i - fence_end, layout->filter_lines, layout->lines_a_page);
            used_bytes = (1 + (size_t)count) * HF_RUN_LINE_BYTES;
        }
        err = hf_run_page_read(run, i, count, page, error);
        if (err == HF_ERR_OK && !hf_store_zero(page, used_bytes, block_bytes)) {
            err = hf_error_set(error, HF_ERR_CORRUPT, "%s: page %llu: bytes behind its entries",
                               run->name, (unsigned long long)i);
        }
        if (err == HF_ERR_OK) {
            hf_sha256_update(&sha, page, block_bytes);
        }
    }
    struct hf_hash hash = hf_sha256_finish(&sha);
    if (err == HF_ERR_OK && !hf_hash_equal(&hash, &layout->content_hash)) {
        err = hf_error_set(error, HF_ERR_CORRUPT, "%s: its SHA-256 differs", run->name);
    }
    return err;
}

/* Every record is found by get; order and count; the last key is the header's. */
static enum hf_err verify_records(struct hf_run *run, struct hf_error *error)
{
    const struct hf_run_info *info = &run->layout.info;
    struct hf_run_iterator iterator;
    struct hf_index_key last = {0};
    uint64_t count = 0;
    enum hf_err err = hf_run_iterator_init(&iterator, run, NULL, error);
    while (err == HF_ERR_OK && iterator.valid) {
        uint64_t key_hash = hf_run_key_hash(&iterator.key);
        uint64_t line = hf_run_filter_line(key_hash, run->layout.filter_lines);
        if (run->filter != NULL &&
            !hf_run_filter_test(run->filter + line * HF_RUN_LINE_BYTES, key_hash)) {
            err = hf_error_set(error, HF_ERR_CORRUPT, "%s: a key is missing in its filter",
                               run->name);
            break;
        }
        last = iterator.key;
        count++;
        err = hf_run_iterator_next(&iterator, error);
    }
    hf_run_iterator_release(&iterator);
    if (err == HF_ERR_OK &&
        (count != info->record_count || !hf_index_key_equal(&last, &info->last_key))) {
        err = hf_error_set(error, HF_ERR_CORRUPT, "%s: its records are not those of the header",
                           run->name);
    }
    return err;
}

enum hf_err hf_run_verify(struct hf_run *run, struct hf_error *error)
{
    enum hf_err err = verify_pages(run, error);
    return err != HF_ERR_OK ? err : verify_records(run, error);
}
