/*
 * Where a sealed segment is: compressed in DIR/log, or archived with a reference in its place.
 *
 * A segment moves from `.log` to `.zst` to the archive, and is looked for in this order, so a move meanwhile is followed.
 */
#include <stdio.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/checksum.h"
#include "log/log_pack.h"

#define REF_MAGIC      "HFSEGREF"
#define FORMAT_VERSION 1

enum ref_offset {
    AT_MAGIC = 0,
    AT_VERSION = 8,
    AT_PATH_BYTES = 12,
    AT_PATH = 16,
    AT_CHECKSUM = HF_LOG_PAGE_BYTES - 8,
};

void hf_log_ref_encode(const struct hf_log_ref *ref, uint8_t page[HF_LOG_PAGE_BYTES])
{
    size_t length = strlen(ref->directory);
    HF_CHECK(length > 0 && length < HF_LOG_DIRECTORY_BYTES);
    memset(page, 0, HF_LOG_PAGE_BYTES);
    memcpy(page + AT_MAGIC, REF_MAGIC, 8);
    hf_put_u32(page + AT_VERSION, FORMAT_VERSION);
    hf_put_u32(page + AT_PATH_BYTES, (uint32_t)length);
    memcpy(page + AT_PATH, ref->directory, length);
    hf_put_u64(page + AT_CHECKSUM, hf_checksum(page, AT_CHECKSUM));
}

static enum hf_err decode_ref(const uint8_t page[HF_LOG_PAGE_BYTES], const char *path,
                              struct hf_log_ref *ref, struct hf_error *error)
{
    bool whole = memcmp(page + AT_MAGIC, REF_MAGIC, 8) == 0 &&
                 hf_get_u64(page + AT_CHECKSUM) == hf_checksum(page, AT_CHECKSUM);
    if (whole && hf_get_u32(page + AT_VERSION) != FORMAT_VERSION) {
        return hf_error_set(error, HF_ERR_VERSION, "%s: written by a newer version", path);
    }
    uint32_t length = whole ? hf_get_u32(page + AT_PATH_BYTES) : 0;
    if (length > 0 && length < HF_LOG_DIRECTORY_BYTES) {
        uint8_t again[HF_LOG_PAGE_BYTES]; /* reserved bytes are zero, and no zero is in the path */
        memcpy(ref->directory, page + AT_PATH, length);
        ref->directory[length] = '\0';
        if (strlen(ref->directory) == length) {
            hf_log_ref_encode(ref, again);
            whole = memcmp(again, page, HF_LOG_PAGE_BYTES) == 0;
        } else {
            whole = false;
        }
    } else {
        whole = false;
    }
    return whole ? HF_ERR_OK
                 : hf_error_set(error, HF_ERR_CORRUPT, "%s, offset %u: the reference is damaged",
                                path, HF_LOG_PACK_HEAD_BYTES);
}

enum hf_err hf_log_ref_load(struct hf_outside *outside, const char *path, enum hf_open_mode mode,
                            struct hf_log_ref *ref, struct hf_error *error)
{
    uint8_t page[HF_LOG_PAGE_BYTES] = {0};
    struct hf_file *file;
    size_t got = 0;
    enum hf_err code = outside->open(outside, path, mode, &file, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    memset(ref->head.pages, 0, sizeof(ref->head.pages));
    code = outside->read(outside, file, 0, ref->head.pages, sizeof(ref->head.pages), &got, error);
    if (code == HF_ERR_OK) {
        code =
            outside->read(outside, file, HF_LOG_PACK_HEAD_BYTES, page, sizeof(page), &got, error);
    }
    outside->close(outside, file);
    if (code == HF_ERR_OK) {
        code = hf_log_pack_head_check(&ref->head, path, error);
    }
    return code == HF_ERR_OK ? decode_ref(page, path, ref, error) : code;
}

void hf_log_path_segment_in(const char *directory, uint64_t number, const char *suffix,
                            char path[HF_LOG_PATH_BYTES])
{
    int used = snprintf(path, HF_LOG_PATH_BYTES, "%s/%020llu%s", directory,
                        (unsigned long long)number, suffix);
    HF_CHECK(used > 0 && used < HF_LOG_PATH_BYTES);
}

static enum hf_err nowhere(const struct hf_log_file *log, uint64_t number, struct hf_error *error)
{
    char path[HF_LOG_PATH_BYTES];
    hf_log_path_segment(log, number, ".log", path);
    return hf_error_set(error, HF_ERR_CORRUPT, "segment %llu: %s is missing",
                        (unsigned long long)number, path);
}

/* Everything that a file of this name may be, and is not. */
static enum hf_err check_is(const struct hf_log_pack_head *head, uint64_t number, const char *path,
                            struct hf_error *error)
{
    return head->header.number == number
               ? HF_ERR_OK
               : hf_error_set(error, HF_ERR_CORRUPT, "%s, offset 0: it is segment %llu", path,
                              (unsigned long long)head->header.number);
}

/* The file that the reference names. */
static enum hf_err open_archived(struct hf_log_file *log, const struct hf_log_ref *ref,
                                 enum hf_open_mode mode, struct hf_log_pack **pack,
                                 struct hf_error *error)
{
    char path[HF_LOG_PATH_BYTES];
    hf_log_path_segment_in(ref->directory, ref->head.header.number, ".zst", path);
    enum hf_err code = hf_log_pack_open(log->outside, path, mode, pack, error);
    if (code == HF_ERR_NOT_FOUND) {
        return hf_error_set(error, HF_ERR_IO,
                            "the archived segment %s is not there: bring its directory back, or "
                            "tell where it is now by `holdfast compact --archive=DIR`",
                            path);
    }
    if (code == HF_ERR_OK &&
        memcmp(hf_log_pack_head(*pack)->pages, ref->head.pages, HF_LOG_PACK_HEAD_BYTES) != 0) {
        hf_log_pack_close(*pack);
        *pack = NULL;
        code = hf_error_set(error, HF_ERR_CORRUPT,
                            "%s, offset 0: it is not the file that was archived", path);
    }
    return code;
}

enum hf_err hf_log_place_open(struct hf_log_file *log, uint64_t number, enum hf_open_mode mode,
                              struct hf_log_pack **pack, struct hf_error *error)
{
    char path[HF_LOG_PATH_BYTES];
    hf_log_path_segment(log, number, ".zst", path);
    enum hf_err code = hf_log_pack_open(log->outside, path, mode, pack, error);
    if (code == HF_ERR_OK) {
        code = check_is(hf_log_pack_head(*pack), number, path, error);
        if (code != HF_ERR_OK) {
            hf_log_pack_close(*pack);
            *pack = NULL;
        }
        return code;
    }
    if (code != HF_ERR_NOT_FOUND) {
        return code;
    }
    struct hf_log_ref ref;
    hf_log_path_segment(log, number, ".ref", path);
    code = hf_log_ref_load(log->outside, path, mode, &ref, error);
    if (code == HF_ERR_NOT_FOUND) {
        return nowhere(log, number, error);
    }
    if (code == HF_ERR_OK) {
        code = check_is(&ref.head, number, path, error);
    }
    return code == HF_ERR_OK ? open_archived(log, &ref, mode, pack, error) : code;
}

enum hf_err hf_log_place_header(struct hf_log_file *log, uint64_t number,
                                struct hf_log_segment_header *header, struct hf_error *error)
{
    char path[HF_LOG_PATH_BYTES];
    struct hf_log_pack_head head;
    hf_log_path_segment(log, number, ".zst", path);
    enum hf_err code = hf_log_pack_head_load(log->outside, path, HF_OPEN_READ_DIRECT, &head, error);
    if (code == HF_ERR_NOT_FOUND) {
        hf_log_path_segment(log, number, ".ref", path);
        code = hf_log_pack_head_load(log->outside, path, HF_OPEN_READ_DIRECT, &head, error);
    }
    if (code == HF_ERR_NOT_FOUND) {
        return nowhere(log, number, error);
    }
    if (code == HF_ERR_OK) {
        *header = head.segment;
        code = check_is(&head, number, path, error);
    }
    return code;
}

struct hf_log_pack *hf_log_place_borrow(struct hf_log_file *log, uint64_t number)
{
    struct hf_log_pack *found = NULL;
    hf_log_lock(&log->mutex);
    for (size_t i = 0; i < HF_LOG_PACKS_OPEN && found == NULL; i++) {
        if (log->packs[i] != NULL && hf_log_pack_head(log->packs[i])->header.number == number) {
            found = log->packs[i];
            memmove(&log->packs[i], &log->packs[i + 1],
                    (HF_LOG_PACKS_OPEN - 1 - i) * sizeof(*log->packs));
            log->packs[HF_LOG_PACKS_OPEN - 1] = NULL;
        }
    }
    hf_log_unlock(&log->mutex);
    return found;
}

void hf_log_place_return(struct hf_log_file *log, struct hf_log_pack *pack)
{
    hf_log_lock(&log->mutex);
    struct hf_log_pack *oldest = log->packs[HF_LOG_PACKS_OPEN - 1];
    memmove(&log->packs[1], &log->packs[0], (HF_LOG_PACKS_OPEN - 1) * sizeof(*log->packs));
    log->packs[0] = pack;
    hf_log_unlock(&log->mutex);
    hf_log_pack_close(oldest);
}

void hf_log_place_release(struct hf_log_file *log)
{
    for (size_t i = 0; i < HF_LOG_PACKS_OPEN; i++) {
        hf_log_pack_close(log->packs[i]);
        log->packs[i] = NULL;
    }
}
