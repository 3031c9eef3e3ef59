#include "cli/backup_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/checksum.h"

#define HEADER_MAGIC   "HFBACKUP"
#define END_MAGIC      "HFBACKND"
#define FORMAT_VERSION 1u

/* ---- writing ---- */

static enum hf_err write_failed(const struct hf_backup_file *backup, struct hf_error *error)
{
    enum hf_err code = errno == ENOSPC || errno == EDQUOT ? HF_ERR_NO_SPACE : HF_ERR_IO;
    return hf_error_set(error, code, "write %s: %s", backup->path, strerror(errno));
}

static enum hf_err put(struct hf_backup_file *backup, const void *data, size_t size_bytes,
                       struct hf_error *error)
{
    hf_sha256_update(&backup->sums, data, size_bytes);
    backup->size_bytes += size_bytes;
    if (fwrite(data, 1, size_bytes, backup->file) != size_bytes) {
        return write_failed(backup, error);
    }
    return HF_ERR_OK;
}

static bool is_standard(const char *path)
{
    return strcmp(path, "-") == 0;
}

enum hf_err hf_backup_create(struct hf_backup_file *backup, const char *path, uint64_t made_us,
                             struct hf_error *error)
{
    *backup = (struct hf_backup_file){.path = path};
    hf_buffer_init(&backup->bytes);
    hf_sha256_start(&backup->sums);
    if (is_standard(path)) {
        backup->file = stdout;
        backup->path = "standard output";
    } else {
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        backup->file = fd < 0 ? NULL : fdopen(fd, "wb");
        if (backup->file == NULL) {
            int number = errno;
            if (fd >= 0) {
                (void)close(fd);
            }
            return hf_error_set(error, number == EEXIST ? HF_ERR_EXISTS : HF_ERR_IO,
                                "create %s: %s", path, strerror(number));
        }
    }
    uint8_t header[HF_BACKUP_HEADER_BYTES] = {0};
    memcpy(header, HEADER_MAGIC, 8);
    hf_put_u32(header + 8, FORMAT_VERSION);
    hf_put_u64(header + 16, made_us);
    hf_put_u64(header + 56, hf_checksum(header, 56));
    return put(backup, header, sizeof(header), error);
}

enum hf_err hf_backup_put(struct hf_backup_file *backup, const struct hf_log_batch *batch,
                          struct hf_error *error)
{
    hf_buffer_clear(&backup->bytes);
    hf_log_batch_encode(batch, &backup->bytes);
    if (backup->bytes.failed) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    return put(backup, backup->bytes.data, backup->bytes.size_bytes, error);
}

enum hf_err hf_backup_finish(struct hf_backup_file *backup, const struct hf_backup_end *end,
                             struct hf_error *error)
{
    uint8_t bytes[HF_BACKUP_END_BYTES] = {0};
    struct hf_hash sum = hf_sha256_finish(&backup->sums);
    memcpy(bytes, END_MAGIC, 8);
    hf_put_u64(bytes + 8, end->batches);
    hf_put_u64(bytes + 16, end->commits);
    hf_put_u64(bytes + 24, end->time_us);
    memcpy(bytes + 32, end->hash.bytes, HF_SHA256_BYTES);
    memcpy(bytes + 64, sum.bytes, HF_SHA256_BYTES);
    hf_put_u64(bytes + 120, hf_checksum(bytes, 120));
    backup->size_bytes += sizeof(bytes);
    if (fwrite(bytes, 1, sizeof(bytes), backup->file) != sizeof(bytes) ||
        fflush(backup->file) != 0) {
        return write_failed(backup, error);
    }
    /* A pipe can't be synced: EINVAL. What it leads to is its reader's. */
    if (fsync(fileno(backup->file)) != 0 && errno != EINVAL && errno != EROFS) {
        return write_failed(backup, error);
    }
    return HF_ERR_OK;
}

/* ---- reading ---- */

static enum hf_err damaged(const struct hf_backup_file *backup, const char *why,
                           struct hf_error *error)
{
    return hf_error_set(error, HF_ERR_CORRUPT, "%s, byte %llu: %s", backup->path,
                        (unsigned long long)backup->size_bytes, why);
}

/* Exactly so many bytes. They count as read, and in the sum, when count() is called for them. */
static enum hf_err get(struct hf_backup_file *backup, void *data, size_t size_bytes,
                       struct hf_error *error)
{
    errno = 0;
    if (fread(data, 1, size_bytes, backup->file) == size_bytes) {
        return HF_ERR_OK;
    }
    if (ferror(backup->file) != 0) {
        return hf_error_set(error, HF_ERR_IO, "read %s: %s", backup->path, strerror(errno));
    }
    return damaged(backup, "the file ends here: it is not whole", error);
}

static void count(struct hf_backup_file *backup, const void *data, size_t size_bytes)
{
    hf_sha256_update(&backup->sums, data, size_bytes);
    backup->size_bytes += size_bytes;
}

enum hf_err hf_backup_open(struct hf_backup_file *backup, const char *path, struct hf_error *error)
{
    *backup = (struct hf_backup_file){.path = path};
    hf_buffer_init(&backup->bytes);
    hf_sha256_start(&backup->sums);
    backup->file = is_standard(path) ? stdin : fopen(path, "rbe");
    if (backup->file == NULL) {
        return hf_error_set(error, errno == ENOENT ? HF_ERR_NOT_FOUND : HF_ERR_IO, "open %s: %s",
                            path, strerror(errno));
    }
    backup->path = is_standard(path) ? "standard input" : path;
    uint8_t header[HF_BACKUP_HEADER_BYTES];
    enum hf_err code = get(backup, header, sizeof(header), error);
    if (code != HF_ERR_OK) {
        return code;
    }
    if (memcmp(header, HEADER_MAGIC, 8) != 0) {
        return hf_error_set(error, HF_ERR_CORRUPT, "%s is no backup of holdfast", backup->path);
    }
    if (hf_get_u64(header + 56) != hf_checksum(header, 56)) {
        return damaged(backup, "the header is damaged", error);
    }
    if (hf_get_u32(header + 8) != FORMAT_VERSION) {
        return hf_error_set(error, HF_ERR_VERSION, "%s was made by a newer version", backup->path);
    }
    count(backup, header, sizeof(header));
    backup->made_us = hf_get_u64(header + 16);
    return HF_ERR_OK;
}

static enum hf_err read_end(struct hf_backup_file *backup, const uint8_t *bytes,
                            struct hf_backup_end *end, struct hf_error *error)
{
    if (hf_get_u64(bytes + 120) != hf_checksum(bytes, 120)) {
        return damaged(backup, "the end is damaged", error);
    }
    struct hf_hash sum = hf_sha256_finish(&backup->sums);
    if (memcmp(bytes + 64, sum.bytes, HF_SHA256_BYTES) != 0) {
        return damaged(backup, "the SHA-256 at the end is not that of the file", error);
    }
    end->batches = hf_get_u64(bytes + 8);
    end->commits = hf_get_u64(bytes + 16);
    end->time_us = hf_get_u64(bytes + 24);
    memcpy(end->hash.bytes, bytes + 32, HF_SHA256_BYTES);
    return getc(backup->file) == EOF ? HF_ERR_OK
                                     : damaged(backup, "something follows the end", error);
}

enum hf_err hf_backup_next(struct hf_backup_file *backup, struct hf_log_batch *batch, bool *ended,
                           struct hf_backup_end *end, struct hf_error *error)
{
    _Static_assert(HF_BACKUP_END_BYTES <= HF_LOG_HEADER_BYTES,
                   "an end is found in a header's room");
    struct hf_buffer *bytes = &backup->bytes;
    hf_buffer_clear(bytes);
    *ended = false;
    uint8_t *head = hf_buffer_extend(bytes, HF_LOG_HEADER_BYTES);
    if (head == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    enum hf_err code = get(backup, head, HF_BACKUP_END_BYTES, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    if (memcmp(head, END_MAGIC, 8) == 0) {
        *ended = true;
        return read_end(backup, head, end, error);
    }
    code =
        get(backup, head + HF_BACKUP_END_BYTES, HF_LOG_HEADER_BYTES - HF_BACKUP_END_BYTES, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    uint64_t checksum;
    if (!hf_log_header_decode(head, batch, &checksum)) {
        return damaged(backup, "no whole batch and no end", error);
    }
    uint8_t *body = hf_buffer_extend(bytes, batch->body_bytes);
    if (body == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    code = get(backup, body, batch->body_bytes, error);
    size_t at = 0;
    if (code == HF_ERR_OK) {
        code = hf_log_batch_decode(bytes->data, bytes->size_bytes, &at, batch, error);
        code = code == HF_ERR_OK ? code : hf_error_wrap(error, "%s", backup->path);
    }
    if (code == HF_ERR_OK) {
        count(backup, bytes->data, bytes->size_bytes);
    }
    return code;
}

void hf_backup_close(struct hf_backup_file *backup)
{
    if (backup->file != NULL && backup->file != stdin && backup->file != stdout) {
        (void)fclose(backup->file);
    }
    backup->file = NULL;
    hf_buffer_release(&backup->bytes);
}
