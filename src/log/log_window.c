/* Reading a segment, compressed or not: a window over its bytes, the check of one record, the look at the rest. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/checksum.h"
#include "log/log_pack.h"

void hf_log_window_init(struct hf_log_window *window, struct hf_outside *outside,
                        size_t ahead_bytes)
{
    *window = (struct hf_log_window){.outside = outside, .ahead_bytes = ahead_bytes};
}

static void let_go(struct hf_log_window *window)
{
    window->outside->close(window->outside, window->file);
    window->file = NULL;
    if (window->pack != NULL && window->lender != NULL) {
        hf_log_place_return(window->lender, window->pack);
    } else {
        hf_log_pack_close(window->pack);
    }
    window->pack = NULL;
    window->lender = NULL;
}

void hf_log_window_release(struct hf_log_window *window)
{
    let_go(window);
    hf_free(window->memory);
    *window = (struct hf_log_window){0};
}

enum hf_err hf_log_window_open(struct hf_log_window *window, const char *path,
                               enum hf_open_mode mode, uint64_t size_bytes, struct hf_error *error)
{
    struct hf_outside *o = window->outside;
    let_go(window);
    window->have_bytes = 0;
    window->size_bytes = size_bytes;
    return o->open(o, path, mode, &window->file, error);
}

enum hf_err hf_log_window_open_segment(struct hf_log_window *window, struct hf_log_file *log,
                                       const struct hf_log_segment_header *header, bool own,
                                       struct hf_error *error)
{
    char path[HF_LOG_PATH_BYTES];
    enum hf_open_mode mode = own ? HF_OPEN_READ_RANDOM : HF_OPEN_READ_DIRECT;
    let_go(window);
    window->have_bytes = 0;
    window->size_bytes = header->size_bytes;
    window->pack = own ? hf_log_place_borrow(log, header->number) : NULL;
    if (window->pack != NULL) {
        window->lender = log;
        return HF_ERR_OK;
    }
    hf_log_path_segment(log, header->number, ".log", path);
    enum hf_err code = hf_log_window_open(window, path, mode, header->size_bytes, error);
    if (code != HF_ERR_NOT_FOUND) {
        return code;
    }
    code = hf_log_place_open(log, header->number, mode, &window->pack, error);
    window->lender = own ? log : NULL;
    if (code == HF_ERR_OK &&
        hf_log_pack_head(window->pack)->header.size_bytes != header->size_bytes) {
        hf_log_pack_close(window->pack);
        window->pack = NULL;
        code = hf_error_set(error, HF_ERR_CORRUPT, "offset 0: its size has changed");
    }
    return code;
}

void hf_log_window_forget(struct hf_log_window *window)
{
    window->have_bytes = 0;
}

/* Room for size_bytes on a page boundary; what was there is forgotten. */
static bool make_room(struct hf_log_window *window, size_t size_bytes)
{
    if (size_bytes <= window->capacity_bytes) {
        return true;
    }
    hf_free(window->memory);
    window->capacity_bytes = 0;
    window->have_bytes = 0;
    window->memory = hf_malloc(size_bytes + HF_LOG_PAGE_BYTES);
    if (window->memory == NULL) {
        return false;
    }
    uintptr_t misfit = (uintptr_t)window->memory % HF_LOG_PAGE_BYTES;
    window->bytes = window->memory + (misfit == 0 ? 0 : HF_LOG_PAGE_BYTES - misfit);
    window->capacity_bytes = size_bytes;
    return true;
}

enum hf_err hf_log_window_get(struct hf_log_window *window, uint64_t offset, uint64_t size_bytes,
                              const uint8_t **bytes, struct hf_error *error)
{
    HF_CHECK(offset <= window->size_bytes && size_bytes <= window->size_bytes - offset);
    *bytes = NULL;
    uint64_t have_end = window->at + window->have_bytes;
    if (window->have_bytes == 0 || offset < window->at || offset + size_bytes > have_end) {
        uint64_t start = offset / HF_LOG_PAGE_BYTES * HF_LOG_PAGE_BYTES;
        uint64_t end = hf_max_u64(offset + size_bytes, start + window->ahead_bytes);
        end = hf_min_u64(hf_log_page_up(end), window->size_bytes);
        size_t load = (size_t)(end - start);
        if (!make_room(window, load)) {
            (void)hf_error_set(error, HF_ERR_NO_MEMORY, "offset %llu: no memory to read %zu bytes",
                               (unsigned long long)offset, load);
            return HF_ERR_NO_MEMORY;
        }
        window->have_bytes = 0;
        size_t got = load;
        enum hf_err code = window->pack != NULL
                               ? hf_log_pack_read(window->pack, start, window->bytes, load, error)
                               : window->outside->read(window->outside, window->file, start,
                                                       window->bytes, load, &got, error);
        if (code != HF_ERR_OK) {
            window->lender = NULL; /* the next read opens the file anew: it may have been mended */
            return code;
        }
        window->at = start;
        window->have_bytes = got;
        have_end = start + got;
        if (have_end < offset + size_bytes) {
            (void)hf_error_set(error, HF_ERR_CORRUPT, "offset %llu: the file is cut short",
                               (unsigned long long)have_end);
            return HF_ERR_CORRUPT;
        }
    }
    HF_CHECK(window->bytes != NULL);
    *bytes = window->bytes + (offset - window->at);
    return HF_ERR_OK;
}

static bool all_zero(const uint8_t *bytes, size_t size_bytes)
{
    return size_bytes == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size_bytes - 1) == 0);
}

/* The whole record is in memory and its body's checksum is right: nothing but damage, or another
 * program, can make it wrong from here on. The padding is not looked at: a tear may leave anything
 * in it, and the batch is whole nevertheless. */
static enum hf_log_record check_whole(const uint8_t *record, uint64_t offset, uint64_t stored,
                                      struct hf_log_batch *batch, struct hf_error *error)
{
    size_t used = 0;
    if (hf_log_batch_decode_checked(record, (size_t)stored, &used, batch, error) != HF_ERR_OK) {
        (void)hf_error_wrap(error, "offset %llu", (unsigned long long)offset);
        return HF_LOG_RECORD_DAMAGED;
    }
    return HF_LOG_RECORD_WHOLE;
}

enum hf_err hf_log_window_record(struct hf_log_window *window, uint64_t offset, uint64_t log_tag,
                                 enum hf_log_record *outcome, struct hf_log_batch *batch,
                                 const uint8_t **encoded, uint64_t *stored_bytes,
                                 struct hf_error *error)
{
    HF_CHECK(offset % HF_LOG_PAGE_BYTES == 0);
    *outcome = HF_LOG_RECORD_INVALID;
    *encoded = NULL;
    *stored_bytes = 0;
    const uint8_t *bytes;
    uint64_t body_checksum;
    enum hf_err code = hf_log_window_get(window, offset, HF_LOG_PAGE_BYTES, &bytes, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    if (!hf_log_header_decode(bytes, batch, &body_checksum) || batch->log_tag != log_tag) {
        return HF_ERR_OK;
    }
    uint64_t stored = hf_log_page_up(HF_LOG_HEADER_BYTES + batch->body_bytes);
    if (stored > window->size_bytes - offset) {
        *outcome = HF_LOG_RECORD_DAMAGED;
        (void)hf_error_set(error, HF_ERR_CORRUPT,
                           "offset %llu: batch %llu is larger than its segment",
                           (unsigned long long)offset, (unsigned long long)batch->seq);
        return HF_ERR_OK;
    }
    code = hf_log_window_get(window, offset, stored, &bytes, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    if (hf_checksum(bytes + HF_LOG_HEADER_BYTES, batch->body_bytes) != body_checksum) {
        return HF_ERR_OK;
    }
    *outcome = check_whole(bytes, offset, stored, batch, error);
    if (*outcome == HF_LOG_RECORD_WHOLE) {
        *encoded = bytes;
        *stored_bytes = stored;
    }
    return HF_ERR_OK;
}

/* Bytes up to behind the last one that is not zero. */
static size_t used_bytes(const uint8_t *bytes, size_t size_bytes)
{
    while (size_bytes > 0 && bytes[size_bytes - 1] == 0) {
        size_bytes--;
    }
    return size_bytes;
}

enum hf_err hf_log_window_rest(struct hf_log_window *window, uint64_t from, uint64_t log_tag,
                               struct hf_log_rest *rest, struct hf_error *error)
{
    *rest = (struct hf_log_rest){0};
    for (uint64_t offset = from; offset < window->size_bytes; offset += HF_LOG_PAGE_BYTES) {
        const uint8_t *page;
        enum hf_err code = hf_log_window_get(window, offset, HF_LOG_PAGE_BYTES, &page, error);
        if (code != HF_ERR_OK) {
            return code;
        }
        if (all_zero(page, HF_LOG_PAGE_BYTES)) {
            continue;
        }
        rest->used_bytes = offset - from + used_bytes(page, HF_LOG_PAGE_BYTES);
        struct hf_log_batch batch;
        uint64_t body_checksum;
        if (offset > from && !rest->header_found &&
            hf_log_header_decode(page, &batch, &body_checksum) && batch.log_tag == log_tag) {
            rest->header_found = true;
            rest->found_offset = offset;
        }
    }
    return HF_ERR_OK;
}
