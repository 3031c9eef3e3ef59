/*
 * Making a compressed segment: two passes over the original, past the page cache.
 *
 * The first reads every batch as recovery would, and notes which one is the first in each block. The second compresses.
 * So nothing that is damaged is sealed under a new checksum, and the original stays if it is.
 */
#include <zstd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/checksum.h"
#include "log/log_pack.h"

#define SCAN_AHEAD_BYTES (1u << 20)
#define SYNC_EVERY_BYTES (1u << 20) /* so that no sync of an append waits behind much of ours */

struct making {
    struct hf_outside *outside;                  /* not owned */
    const struct hf_log_work *work;              /* may be NULL */
    const struct hf_log_segment_header *segment; /* of the original */
    const struct hf_log_segment_header *next;    /* of the segment behind it */
    struct hf_log_window window;                 /* over the original */
    struct hf_file *file;                        /* owned; what is made */
    struct hf_log_pack_header header;            /* of it */
    struct hf_log_pack_entry *entries;           /* owned; [block_count] */
    uint8_t *frame;                              /* owned */
    size_t frame_capacity;                       /* of frame */
    ZSTD_CCtx *context;                          /* owned */
    uint64_t unsynced_bytes;                     /* written since the last sync */
};

static enum hf_err go_on(const struct making *making, uint64_t bytes, struct hf_error *error)
{
    const struct hf_log_work *work = making->work;
    if (work != NULL && work->go_on != NULL && !work->go_on(work->context, bytes)) {
        return hf_error_set(error, HF_ERR_CLOSED, "stopped");
    }
    return HF_ERR_OK;
}

/* What makes the batch at offset not the one that belongs there; NULL: it is. */
static const char *why_not(const struct hf_log_head *head, const struct hf_log_batch *batch)
{
    if (batch->seq != head->seq + 1 || batch->first_position != head->position + 1 ||
        batch->epoch < head->epoch) {
        return "the batch is not the next one";
    }
    if (!hf_hash_equal(&batch->hash_before, &head->hash) || !hf_log_batch_chain_ok(batch)) {
        return "the batch does not continue the hash chain";
    }
    return NULL;
}

static void note_first(struct making *making, const struct hf_log_batch *batch, uint64_t offset)
{
    struct hf_log_pack_entry *entry = &making->entries[offset / making->header.block_bytes];
    if (entry->first_at == UINT32_MAX) {
        entry->first_at = (uint32_t)(offset % making->header.block_bytes);
        entry->first_seq = batch->seq;
        entry->first_position = batch->first_position;
    }
}

/* Every batch from the segment's first to the next segment's first. */
static enum hf_err scan(struct making *making, struct hf_error *error)
{
    const struct hf_log_segment_header *segment = making->segment;
    const struct hf_log_segment_header *next = making->next;
    uint64_t offset = HF_LOG_PAGE_BYTES;
    struct hf_log_head head = {.epoch = segment->epoch,
                               .seq = segment->first_seq - 1,
                               .position = segment->first_position - 1,
                               .hash = segment->hash_before};
    while (head.seq + 1 < next->first_seq) {
        enum hf_log_record outcome = HF_LOG_RECORD_INVALID;
        struct hf_log_batch batch;
        const uint8_t *encoded;
        uint64_t stored = 0;
        enum hf_err code = HF_ERR_OK;
        if (offset < segment->size_bytes) {
            code = hf_log_window_record(&making->window, offset, hf_log_tag(segment->log_id),
                                        &outcome, &batch, &encoded, &stored, error);
        }
        const char *wrong = NULL;
        if (code == HF_ERR_OK) {
            wrong = outcome == HF_LOG_RECORD_WHOLE ? why_not(&head, &batch) : "no valid record";
        }
        if (wrong != NULL) {
            code =
                hf_error_set(error, HF_ERR_CORRUPT, "offset %llu, batch %llu: %s",
                             (unsigned long long)offset, (unsigned long long)head.seq + 1, wrong);
        }
        if (code == HF_ERR_OK) {
            code = go_on(making, stored, error);
        }
        if (code != HF_ERR_OK) {
            return code;
        }
        note_first(making, &batch, offset);
        offset += stored;
        head = (struct hf_log_head){.epoch = batch.epoch,
                                    .seq = batch.seq,
                                    .position = batch.first_position + batch.commit_count - 1,
                                    .hash = batch.hash_after};
    }
    if (head.seq + 1 != next->first_seq || head.position + 1 != next->first_position ||
        !hf_hash_equal(&head.hash, &next->hash_before)) {
        return hf_error_set(error, HF_ERR_CORRUPT,
                            "offset %llu: it does not end where the next segment begins",
                            (unsigned long long)offset);
    }
    return HF_ERR_OK;
}

static enum hf_err put(struct making *making, uint64_t offset, const void *data, size_t size_bytes,
                       bool sync, struct hf_error *error)
{
    struct hf_outside *o = making->outside;
    enum hf_err code = o->write(o, making->file, offset, data, size_bytes, error);
    making->unsynced_bytes += size_bytes;
    if (code == HF_ERR_OK && (sync || making->unsynced_bytes >= SYNC_EVERY_BYTES)) {
        code = o->sync(o, making->file, error);
        making->unsynced_bytes = 0;
    }
    return code;
}

/* A block to its frame. *page: the original's first one, if this is the first block. */
static enum hf_err pack_block(struct making *making, uint64_t block, uint64_t at,
                              struct hf_sha256_stream *stream, uint8_t page[HF_LOG_PAGE_BYTES],
                              struct hf_error *error)
{
    struct hf_log_pack_entry *entry = &making->entries[block];
    uint64_t offset = block * making->header.block_bytes;
    size_t size =
        (size_t)hf_min_u64(making->header.block_bytes, making->header.size_bytes - offset);
    const uint8_t *bytes;
    enum hf_err code = hf_log_window_get(&making->window, offset, size, &bytes, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    if (block == 0) {
        memcpy(page, bytes, HF_LOG_PAGE_BYTES);
    }
    hf_sha256_update(stream, bytes, size);
    size_t packed = ZSTD_compressCCtx(making->context, making->frame, making->frame_capacity, bytes,
                                      size, HF_LOG_PACK_LEVEL);
    if (ZSTD_isError(packed)) { /* the room is enough for any block, so it is memory */
        return hf_error_set(error, HF_ERR_NO_MEMORY, "offset %llu: %s", (unsigned long long)offset,
                            ZSTD_getErrorName(packed));
    }
    entry->offset = at;
    entry->frame_bytes = (uint32_t)packed;
    entry->checksum = hf_checksum(making->frame, packed);
    code = put(making, at, making->frame, packed, false, error);
    return code == HF_ERR_OK ? go_on(making, size, error) : code;
}

static enum hf_err put_index(struct making *making, struct hf_error *error)
{
    struct hf_log_pack_header *header = &making->header;
    size_t index_bytes = (size_t)header->block_count * HF_LOG_PACK_ENTRY_BYTES;
    uint8_t *index = hf_malloc(index_bytes);
    if (index == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "no memory for the index");
    }
    for (uint64_t i = 0; i < header->block_count; i++) {
        hf_log_pack_entry_encode(&making->entries[i], index + i * HF_LOG_PACK_ENTRY_BYTES);
    }
    header->index_checksum = hf_checksum(index, index_bytes);
    header->file_bytes = header->index_offset + index_bytes;
    enum hf_err code = put(making, header->index_offset, index, index_bytes, false, error);
    hf_free(index);
    return code;
}

static enum hf_err compress(struct making *making, struct hf_error *error)
{
    struct hf_log_pack_header *header = &making->header;
    uint8_t head[HF_LOG_PACK_HEAD_BYTES];
    struct hf_sha256_stream stream;
    uint64_t at = HF_LOG_PACK_HEAD_BYTES;
    enum hf_err code = HF_ERR_OK;
    hf_sha256_start(&stream);
    for (uint64_t block = 0; code == HF_ERR_OK && block < header->block_count; block++) {
        code = pack_block(making, block, at, &stream, head + HF_LOG_PAGE_BYTES, error);
        at += making->entries[block].frame_bytes;
    }
    header->content = hf_sha256_finish(&stream);
    header->index_offset = at;
    if (code == HF_ERR_OK) {
        code = put_index(making, error);
    }
    if (code == HF_ERR_OK) {
        hf_log_pack_header_encode(header, head);
        code = put(making, 0, head, sizeof(head), true, error);
    }
    return code;
}

static enum hf_err prepare(struct making *making, const char *from, struct hf_error *error)
{
    struct hf_log_pack_header *header = &making->header;
    size_t blocks = (size_t)header->block_count;
    making->frame_capacity = ZSTD_compressBound(header->block_bytes);
    HF_CHECK(making->frame_capacity <= HF_LOG_PACK_FRAME_FACTOR * (size_t)header->block_bytes);
    making->entries = hf_calloc(blocks, sizeof(*making->entries));
    making->frame = hf_malloc(making->frame_capacity);
    making->context = ZSTD_createCCtx();
    if (making->entries == NULL || making->frame == NULL || making->context == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "no memory to compress it");
    }
    for (size_t i = 0; i < blocks; i++) {
        making->entries[i].first_at = UINT32_MAX;
    }
    return hf_log_window_open(&making->window, from, HF_OPEN_READ_DIRECT, header->size_bytes,
                              error);
}

enum hf_err hf_log_pack_write(struct hf_outside *outside, const char *from, const char *to,
                              const struct hf_log_segment_header *segment,
                              const struct hf_log_segment_header *next,
                              const struct hf_log_work *work, struct hf_error *error)
{
    struct making making = {
        .outside = outside,
        .work = work,
        .segment = segment,
        .next = next,
        .header = {.number = segment->number,
                   .block_bytes = HF_LOG_PACK_BLOCK_BYTES,
                   .size_bytes = segment->size_bytes,
                   .block_count = (segment->size_bytes - 1) / HF_LOG_PACK_BLOCK_BYTES + 1},
    };
    memcpy(making.header.log_id, segment->log_id, sizeof(segment->log_id));
    hf_log_window_init(&making.window, outside, SCAN_AHEAD_BYTES);
    enum hf_err code = prepare(&making, from, error);
    if (code == HF_ERR_OK) {
        code = scan(&making, error);
    }
    if (code == HF_ERR_OK) {
        code = outside->open(outside, to, HF_OPEN_CREATE_NEW, &making.file, error);
    }
    if (code == HF_ERR_OK) {
        code = compress(&making, error);
        outside->close(outside, making.file);
        if (code != HF_ERR_OK) {
            (void)outside->remove(outside, to, NULL); /* else the next run does */
        }
    }
    hf_log_window_release(&making.window);
    (void)ZSTD_freeCCtx(making.context);
    hf_free(making.entries);
    hf_free(making.frame);
    if (code != HF_ERR_OK) {
        (void)hf_error_wrap(error, "compress %s", from);
    }
    return code;
}
