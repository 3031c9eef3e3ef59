/*
 * Batches as bytes, and the chain; the same for every driver. No I/O here.
 *
 * A batch's header, little-endian (docs/disk-format.md):
 *
 *     0  magic "HFBATCH1"         64  hash before, 32 bytes
 *     8  u32 format version       96  hash after, 32 bytes
 *    12  u32 space               128  u64 body bytes
 *    16  u64 seq                 136  u64 body checksum
 *    24  u64 epoch               144  u64 log tag
 *    32  u64 first position      152  u64 checksum of the 152 bytes before
 *    40  u32 commit count
 *    44  u32 reserved, zero
 *    48  batch id, 16 bytes
 */
#include "log/log.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/checksum.h"

#define MAGIC          "HFBATCH1"
#define FORMAT_VERSION 1

enum header_offset {
    AT_MAGIC = 0,
    AT_VERSION = 8,
    AT_SPACE = 12,
    AT_SEQ = 16,
    AT_EPOCH = 24,
    AT_FIRST_POSITION = 32,
    AT_COMMIT_COUNT = 40,
    AT_RESERVED = 44,
    AT_BATCH_ID = 48,
    AT_HASH_BEFORE = 64,
    AT_HASH_AFTER = 96,
    AT_BODY_BYTES = 128,
    AT_BODY_CHECKSUM = 136,
    AT_LOG_TAG = 144,
    AT_CHECKSUM = 152,
};

_Static_assert(AT_CHECKSUM + 8 == HF_LOG_HEADER_BYTES, "the header ends with its checksum");

void hf_log_header_encode(const struct hf_log_batch *batch, uint8_t to[HF_LOG_HEADER_BYTES])
{
    HF_CHECK(batch->seq > 0 && batch->first_position > 0 && batch->commit_count > 0);
    HF_CHECK(batch->body != NULL && batch->body_bytes > 0);
    memcpy(to + AT_MAGIC, MAGIC, 8);
    hf_put_u32(to + AT_VERSION, FORMAT_VERSION);
    hf_put_u32(to + AT_SPACE, batch->space);
    hf_put_u64(to + AT_SEQ, batch->seq);
    hf_put_u64(to + AT_EPOCH, batch->epoch);
    hf_put_u64(to + AT_FIRST_POSITION, batch->first_position);
    hf_put_u32(to + AT_COMMIT_COUNT, batch->commit_count);
    hf_put_u32(to + AT_RESERVED, 0);
    memcpy(to + AT_BATCH_ID, batch->batch_id, sizeof(batch->batch_id));
    memcpy(to + AT_HASH_BEFORE, batch->hash_before.bytes, HF_SHA256_BYTES);
    memcpy(to + AT_HASH_AFTER, batch->hash_after.bytes, HF_SHA256_BYTES);
    hf_put_u64(to + AT_BODY_BYTES, batch->body_bytes);
    hf_put_u64(to + AT_BODY_CHECKSUM, hf_checksum(batch->body, batch->body_bytes));
    hf_put_u64(to + AT_LOG_TAG, batch->log_tag);
    hf_put_u64(to + AT_CHECKSUM, hf_checksum(to, AT_CHECKSUM));
}

bool hf_log_header_decode(const uint8_t from[HF_LOG_HEADER_BYTES], struct hf_log_batch *batch,
                          uint64_t *body_checksum)
{
    *batch = (struct hf_log_batch){0};
    *body_checksum = 0;
    if (memcmp(from + AT_MAGIC, MAGIC, 8) != 0 ||
        hf_get_u64(from + AT_CHECKSUM) != hf_checksum(from, AT_CHECKSUM)) {
        return false;
    }
    if (hf_get_u32(from + AT_VERSION) != FORMAT_VERSION || hf_get_u32(from + AT_RESERVED) != 0) {
        return false;
    }
    struct hf_log_batch read = {
        .space = hf_get_u32(from + AT_SPACE),
        .seq = hf_get_u64(from + AT_SEQ),
        .epoch = hf_get_u64(from + AT_EPOCH),
        .first_position = hf_get_u64(from + AT_FIRST_POSITION),
        .commit_count = hf_get_u32(from + AT_COMMIT_COUNT),
        .log_tag = hf_get_u64(from + AT_LOG_TAG),
    };
    memcpy(read.batch_id, from + AT_BATCH_ID, sizeof(read.batch_id));
    memcpy(read.hash_before.bytes, from + AT_HASH_BEFORE, HF_SHA256_BYTES);
    memcpy(read.hash_after.bytes, from + AT_HASH_AFTER, HF_SHA256_BYTES);
    uint64_t body_bytes = hf_get_u64(from + AT_BODY_BYTES);
    bool possible = read.seq > 0 && read.first_position > 0 && read.commit_count > 0 &&
                    body_bytes > 0 && body_bytes <= HF_LOG_BODY_BYTES_MAX &&
                    read.first_position <= UINT64_MAX - read.commit_count;
    if (!possible) {
        return false;
    }
    read.body_bytes = (size_t)body_bytes;
    *batch = read;
    *body_checksum = hf_get_u64(from + AT_BODY_CHECKSUM);
    return true;
}

void hf_log_batch_encode(const struct hf_log_batch *batch, struct hf_buffer *out)
{
    uint8_t *header = hf_buffer_extend(out, HF_LOG_HEADER_BYTES);
    if (header != NULL) {
        hf_log_header_encode(batch, header);
    }
    hf_buffer_bytes(out, batch->body, batch->body_bytes);
}

/* Do the frames fill the body, and are there as many as the header says? */
static bool frames_fill(const struct hf_log_batch *batch)
{
    struct hf_commit_frame frame;
    size_t at = 0;
    uint64_t count = 0;
    while (hf_commit_frame_next(batch->body, batch->body_bytes, &at, &frame)) {
        count++;
    }
    return at == batch->body_bytes && count == batch->commit_count;
}

static enum hf_err decode(const uint8_t *data, size_t size, size_t *at, bool checked,
                          struct hf_log_batch *batch, struct hf_error *error)
{
    HF_CHECK(*at <= size);
    struct hf_log_batch read;
    uint64_t body_checksum;
    size_t left = size - *at;
    *batch = (struct hf_log_batch){0};
    if (left < HF_LOG_HEADER_BYTES || !hf_log_header_decode(data + *at, &read, &body_checksum)) {
        return hf_error_set(error, HF_ERR_CORRUPT, "no valid batch header at byte %zu", *at);
    }
    if (left - HF_LOG_HEADER_BYTES < read.body_bytes) {
        return hf_error_set(error, HF_ERR_CORRUPT, "batch %llu: cut short",
                            (unsigned long long)read.seq);
    }
    read.body = data + *at + HF_LOG_HEADER_BYTES;
    if (!checked && hf_checksum(read.body, read.body_bytes) != body_checksum) {
        return hf_error_set(error, HF_ERR_CORRUPT, "batch %llu: the body's checksum is wrong",
                            (unsigned long long)read.seq);
    }
    if (!frames_fill(&read)) {
        return hf_error_set(error, HF_ERR_CORRUPT, "batch %llu: malformed commit frames",
                            (unsigned long long)read.seq);
    }
    *at += HF_LOG_HEADER_BYTES + read.body_bytes;
    *batch = read;
    return HF_ERR_OK;
}

enum hf_err hf_log_batch_decode(const uint8_t *data, size_t size, size_t *at,
                                struct hf_log_batch *batch, struct hf_error *error)
{
    return decode(data, size, at, false, batch, error);
}

enum hf_err hf_log_batch_decode_checked(const uint8_t *data, size_t size, size_t *at,
                                        struct hf_log_batch *batch, struct hf_error *error)
{
    return decode(data, size, at, true, batch, error);
}

bool hf_commit_frame_next(const uint8_t *body, size_t body_bytes, size_t *at,
                          struct hf_commit_frame *frame)
{
    HF_CHECK(*at <= body_bytes);
    *frame = (struct hf_commit_frame){0};
    size_t left = body_bytes - *at;
    if (left < HF_COMMIT_FRAME_BYTES) {
        return false;
    }
    const uint8_t *from = body + *at;
    uint64_t record_bytes = hf_get_u32(from);
    uint64_t payload_bytes = hf_get_u32(from + 4);
    if (record_bytes == 0 || record_bytes + payload_bytes > left - HF_COMMIT_FRAME_BYTES) {
        return false;
    }
    frame->record = from + HF_COMMIT_FRAME_BYTES;
    frame->record_bytes = (size_t)record_bytes;
    frame->payload = frame->record + record_bytes;
    frame->payload_bytes = (size_t)payload_bytes;
    *at += HF_COMMIT_FRAME_BYTES + frame->record_bytes + frame->payload_bytes;
    return true;
}

struct hf_hash hf_log_chain(const struct hf_hash *before, const uint8_t *record,
                            size_t record_bytes)
{
    const struct hf_sha256_part parts[2] = {
        {.data = before->bytes, .size_bytes = HF_SHA256_BYTES},
        {.data = record, .size_bytes = record_bytes},
    };
    return hf_sha256_parts(parts, 2);
}

bool hf_log_batch_chain_ok(const struct hf_log_batch *batch)
{
    struct hf_hash hash = batch->hash_before;
    struct hf_commit_frame frame;
    size_t at = 0;
    while (hf_commit_frame_next(batch->body, batch->body_bytes, &at, &frame)) {
        hash = hf_log_chain(&hash, frame.record, frame.record_bytes);
    }
    return at == batch->body_bytes && hf_hash_equal(&hash, &batch->hash_after);
}
