#include "store/sink.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/checksum.h"

#define CHECKSUM_AT (HF_STORE_HEADER_BYTES - 8)

enum hf_err hf_store_path(char path[HF_STORE_PATH_BYTES], const char *directory, const char *name,
                          const char *suffix, struct hf_error *error)
{
    int size = snprintf(path, HF_STORE_PATH_BYTES, "%s/%s%s", directory, name, suffix);
    if (size < 0 || (size_t)size >= HF_STORE_PATH_BYTES) {
        path[0] = '\0';
        return hf_error_set(error, HF_ERR_LIMIT,
                            "path of %s is too long: use a directory with a shorter name", name);
    }
    return HF_ERR_OK;
}

enum hf_err hf_sink_start(struct hf_sink *sink, struct hf_outside *outside, const char *directory,
                          const char *name, struct hf_error *error)
{
    *sink = (struct hf_sink){.outside = outside, .offset = HF_STORE_HEADER_BYTES};
    enum hf_err err = hf_store_path(sink->final_path, directory, name, "", error);
    if (err == HF_ERR_OK) {
        err = hf_store_path(sink->temporary_path, directory, name, ".tmp", error);
    }
    if (err != HF_ERR_OK) {
        return err;
    }
    size_t directory_bytes = strlen(directory);
    HF_CHECK(directory_bytes < HF_STORE_PATH_BYTES); /* it is a part of the paths */
    memcpy(sink->directory, directory, directory_bytes + 1);
    sink->buffer = hf_malloc(HF_STORE_SINK_BYTES);
    if (sink->buffer == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "write %s: memory is short", name);
    }
    err = outside->open(outside, sink->temporary_path, HF_OPEN_CREATE_NEW, &sink->file, error);
    if (err == HF_ERR_EXISTS) { /* of a writer that did not come to its end */
        err = outside->remove(outside, sink->temporary_path, error);
        if (err == HF_ERR_OK) {
            err = outside->open(outside, sink->temporary_path, HF_OPEN_CREATE_NEW, &sink->file,
                                error);
        }
    }
    if (err != HF_ERR_OK) {
        sink->file = NULL;
        hf_error_wrap(error, "create %s", name);
        return err;
    }
    sink->created = true;
    hf_sha256_start(&sink->sha);
    return HF_ERR_OK;
}

static enum hf_err flush(struct hf_sink *sink, struct hf_error *error)
{
    if (sink->used_bytes == 0) {
        return HF_ERR_OK;
    }
    hf_sha256_update(&sink->sha, sink->buffer, sink->used_bytes);
    enum hf_err err = sink->outside->write(sink->outside, sink->file, sink->offset, sink->buffer,
                                           sink->used_bytes, error);
    if (err != HF_ERR_OK) {
        hf_error_wrap(error, "write %s", sink->temporary_path);
        return err;
    }
    sink->offset += sink->used_bytes;
    sink->used_bytes = 0;
    if (sink->offset - sink->synced < HF_STORE_SINK_SYNC_BYTES) {
        return HF_ERR_OK;
    }
    sink->synced = sink->offset;
    err = sink->outside->sync(sink->outside, sink->file, error);
    return err == HF_ERR_OK ? err : hf_error_wrap(error, "write %s", sink->temporary_path);
}

enum hf_err hf_sink_append(struct hf_sink *sink, const void *data, size_t size_bytes,
                           struct hf_error *error)
{
    HF_CHECK(sink->sha.running);
    const uint8_t *from = data;
    while (size_bytes > 0) {
        if (sink->used_bytes == HF_STORE_SINK_BYTES) {
            enum hf_err err = flush(sink, error);
            if (err != HF_ERR_OK) {
                return err;
            }
        }
        size_t room = HF_STORE_SINK_BYTES - sink->used_bytes;
        size_t part = size_bytes < room ? size_bytes : room;
        memcpy(sink->buffer + sink->used_bytes, from, part);
        sink->used_bytes += part;
        from += part;
        size_bytes -= part;
    }
    return HF_ERR_OK;
}

uint64_t hf_sink_size(const struct hf_sink *sink)
{
    return sink->offset + sink->used_bytes;
}

enum hf_err hf_sink_content_hash(struct hf_sink *sink, struct hf_hash *hash, struct hf_error *error)
{
    HF_CHECK(sink->sha.running);
    enum hf_err err = flush(sink, error);
    if (err != HF_ERR_OK) {
        return err;
    }
    *hash = hf_sha256_finish(&sink->sha);
    return HF_ERR_OK;
}

enum hf_err hf_sink_commit(struct hf_sink *sink, const uint8_t header[HF_STORE_HEADER_BYTES],
                           struct hf_error *error)
{
    struct hf_outside *outside = sink->outside;
    HF_CHECK(!sink->sha.running && sink->used_bytes == 0);
    enum hf_err err = outside->write(outside, sink->file, 0, header, HF_STORE_HEADER_BYTES, error);
    if (err == HF_ERR_OK) {
        err = outside->sync(outside, sink->file, error);
    }
    if (err == HF_ERR_OK) {
        outside->close(outside, sink->file);
        sink->file = NULL;
        err = outside->rename(outside, sink->temporary_path, sink->final_path, error);
    }
    if (err == HF_ERR_OK) {
        sink->created = false; /* it has its final name: not ours to remove */
        err = outside->sync_directory(outside, sink->directory, error);
    }
    if (err != HF_ERR_OK) {
        hf_error_wrap(error, "finish %s", sink->final_path);
    }
    return err;
}

void hf_sink_release(struct hf_sink *sink)
{
    if (sink->file != NULL) {
        sink->outside->close(sink->outside, sink->file);
        sink->file = NULL;
    }
    if (sink->created) { /* what can't be removed now is removed by hf_store_clean */
        (void)sink->outside->remove(sink->outside, sink->temporary_path, NULL);
        sink->created = false;
    }
    hf_free(sink->buffer);
    sink->buffer = NULL;
}

enum hf_err hf_store_read(struct hf_outside *outside, struct hf_file *file, const char *name,
                          uint64_t offset, void *data, size_t size_bytes, struct hf_error *error)
{
    size_t read_bytes = 0;
    enum hf_err err = outside->read(outside, file, offset, data, size_bytes, &read_bytes, error);
    if (err != HF_ERR_OK) {
        hf_error_wrap(error, "read %s", name);
        return err;
    }
    if (read_bytes != size_bytes) {
        return hf_error_set(error, HF_ERR_CORRUPT,
                            "read %s: the file ends at %llu, but %zu bytes at %llu are needed",
                            name, (unsigned long long)offset + read_bytes, size_bytes,
                            (unsigned long long)offset);
    }
    return HF_ERR_OK;
}

void hf_store_header_seal(uint8_t header[HF_STORE_HEADER_BYTES], const char magic[8],
                          uint32_t version)
{
    memcpy(header, magic, 8);
    hf_put_u32(header + 8, version);
    hf_put_u32(header + 12, HF_STORE_HEADER_BYTES);
    hf_put_u64(header + CHECKSUM_AT, hf_checksum(header, CHECKSUM_AT));
}

enum hf_err hf_store_header_check(const uint8_t header[HF_STORE_HEADER_BYTES], const char magic[8],
                                  uint32_t version_max, const char *name, struct hf_error *error)
{
    if (memcmp(header, magic, 8) != 0) {
        return hf_error_set(error, HF_ERR_CORRUPT, "%s: it does not begin as such a file does",
                            name);
    }
    if (hf_get_u64(header + CHECKSUM_AT) != hf_checksum(header, CHECKSUM_AT)) {
        return hf_error_set(error, HF_ERR_CORRUPT, "%s: the header's checksum differs", name);
    }
    uint32_t version = hf_store_header_version(header);
    if (version == 0 || version > version_max) {
        return hf_error_set(error, HF_ERR_VERSION,
                            "%s: format version %u, this program knows %u: use a newer program",
                            name, version, version_max);
    }
    if (hf_get_u32(header + 12) != HF_STORE_HEADER_BYTES) {
        return hf_error_set(error, HF_ERR_CORRUPT, "%s: a header of %u bytes", name,
                            hf_get_u32(header + 12));
    }
    return HF_ERR_OK;
}

uint32_t hf_store_header_version(const uint8_t header[HF_STORE_HEADER_BYTES])
{
    return hf_get_u32(header + 8);
}

bool hf_store_zero(const uint8_t *data, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (data[i] != 0) {
            return false;
        }
    }
    return true;
}
