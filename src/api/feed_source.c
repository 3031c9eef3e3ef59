#include "api/feed_source.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"

#define LARGE_BYTES      (32u << 10)  /* frames from here on share one slot */
#define BLOCK_BYTES      (512u << 10) /* read at once */
#define BLOCK_KEPT_BYTES (2u << 20)   /* a block's memory above this is given back */

void hf_feed_source_init(struct hf_feed_source *source, struct hf_tail *tail, bool disk)
{
    memset(source, 0, sizeof(*source));
    source->tail = tail;
    source->disk = disk;
    for (size_t i = 0; i < HF_ARRAY_COUNT(source->slots); i++) {
        hf_arena_init(&source->slots[i].arena);
    }
    for (size_t i = 0; i < HF_ARRAY_COUNT(source->blocks); i++) {
        hf_buffer_init(&source->blocks[i].bytes);
    }
    hf_arena_init(&source->arena);
}

static void drop_window(struct hf_feed_source *source)
{
    for (size_t i = 0; i < source->window_count; i++) {
        hf_shared_bytes_unref(source->window[i]);
    }
    source->window_count = 0;
}

static void release_block(struct hf_feed_block *block)
{
    hf_buffer_release(&block->bytes);
    hf_free(block->offsets);
    *block = (struct hf_feed_block){0};
    hf_buffer_init(&block->bytes);
}

void hf_feed_source_rest(struct hf_feed_source *source)
{
    drop_window(source);
    for (size_t i = 0; i < HF_ARRAY_COUNT(source->slots); i++) {
        struct hf_feed_slot *slot = &source->slots[i];
        hf_shared_bytes_unref(slot->frame);
        slot->frame = NULL;
        slot->decoded.position = 0;
        hf_arena_release(&slot->arena);
    }
    for (size_t i = 0; i < HF_ARRAY_COUNT(source->blocks); i++) {
        release_block(&source->blocks[i]);
    }
    source->current.position = 0;
    hf_arena_release(&source->arena);
}

void hf_feed_source_release(struct hf_feed_source *source)
{
    hf_feed_source_rest(source);
}

/* A frame (lengths, record, payload) as a commit; its texts point into it. */
static enum hf_err decode(const uint8_t *frame, uint64_t position, struct hf_arena *arena,
                          struct hf_feed_commit *out, struct hf_error *error)
{
    size_t record = hf_get_u32(frame);
    size_t payload = hf_get_u32(frame + 4);
    const uint8_t *start = frame + HF_COMMIT_FRAME_BYTES;
    out->position = 0;
    out->bytes = HF_COMMIT_FRAME_BYTES + record + payload;
    enum hf_err err =
        hf_commit_decode(start, record, start + record, payload, arena, &out->commit, error);
    if (err == HF_ERR_OK && out->commit.position != position) {
        err = hf_error_set(error, HF_ERR_CORRUPT, "commit %llu stands at position %llu",
                           (unsigned long long)out->commit.position, (unsigned long long)position);
    }
    if (err == HF_ERR_OK && !hf_cloud_context_of(&out->commit, arena, &out->context)) {
        err = hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    out->position = err == HF_ERR_OK ? position : 0;
    return err;
}

/* ---- RAM ---- */

static enum hf_feed_got fill_window(struct hf_feed_source *source, uint64_t position)
{
    drop_window(source);
    source->window_first = position;
    switch (hf_tail_take(source->tail, position, source->window, HF_FEED_WINDOW,
                         &source->window_count)) {
    case HF_TAIL_FRAMES:
        return HF_FEED_GOT;
    case HF_TAIL_AT_HEAD:
        return HF_FEED_AT_HEAD;
    case HF_TAIL_COLD:
        break;
    }
    return HF_FEED_COLD;
}

static enum hf_feed_got get_from_ring(struct hf_feed_source *source, uint64_t position,
                                      const struct hf_feed_commit **commit, struct hf_error *error)
{
    struct hf_feed_slot *slot = &source->slots[position % HF_FEED_SLOTS];
    struct hf_feed_slot *large = &source->slots[HF_FEED_SLOTS];
    if (slot->decoded.position != position && large->decoded.position == position) {
        slot = large;
    }
    if (slot->decoded.position == position) {
        *commit = &slot->decoded;
        return HF_FEED_GOT;
    }
    if (position < source->window_first ||
        position - source->window_first >= source->window_count) {
        enum hf_feed_got got = fill_window(source, position);
        if (got != HF_FEED_GOT) {
            return got;
        }
    }
    struct hf_shared_bytes *frame = source->window[position - source->window_first];
    slot = frame->size_bytes > LARGE_BYTES ? large : slot;
    hf_shared_bytes_unref(slot->frame);
    slot->frame = hf_shared_bytes_ref(frame);
    hf_arena_clear(&slot->arena);
    *commit = &slot->decoded;
    return decode(frame->data, position, &slot->arena, &slot->decoded, error) == HF_ERR_OK
               ? HF_FEED_GOT
               : HF_FEED_BROKEN;
}

/* ---- disk ---- */

static bool has(const struct hf_feed_block *block, uint64_t position)
{
    return block->used != 0 && position >= block->first && position - block->first < block->count;
}

/* Notes where each frame of a batch stands. */
static bool note_frames(struct hf_feed_block *block, const struct hf_log_batch *batch)
{
    if (block->count + batch->commit_count > block->capacity) {
        size_t capacity = 2 * (block->count + batch->commit_count);
        uint32_t *offsets = hf_realloc(block->offsets, capacity * sizeof(*offsets));
        if (offsets == NULL) {
            return false;
        }
        block->offsets = offsets;
        block->capacity = capacity;
    }
    struct hf_commit_frame frame;
    size_t at = 0;
    for (uint32_t i = 0; i < batch->commit_count; i++) {
        HF_CHECK(hf_commit_frame_next(batch->body, batch->body_bytes, &at, &frame));
        block->offsets[block->count++] =
            (uint32_t)((size_t)(frame.record - block->bytes.data) - HF_COMMIT_FRAME_BYTES);
    }
    return true;
}

static enum hf_err read_block(struct hf_feed_source *source, struct hf_feed_block *block,
                              uint64_t position, uint64_t seq_hint, struct hf_error *error)
{
    if (block->bytes.capacity_bytes > BLOCK_KEPT_BYTES) {
        release_block(block);
    }
    hf_buffer_clear(&block->bytes);
    block->count = 0;
    block->used = 0;
    enum hf_err err =
        hf_tail_read(source->tail, position, seq_hint, BLOCK_BYTES, &block->bytes, error);
    struct hf_log_batch batch;
    for (size_t at = 0; err == HF_ERR_OK && at < block->bytes.size_bytes;) {
        err = hf_tail_batch(&block->bytes, &at, &batch, error);
        if (err == HF_ERR_OK) {
            block->first = block->count == 0 ? batch.first_position : block->first;
            block->next_seq = batch.seq + 1;
            if (!note_frames(block, &batch)) {
                err = hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
            }
        }
    }
    return err;
}

/* A block with the position, read if need be into the one that was used least lately. */
static enum hf_err find_block(struct hf_feed_source *source, uint64_t position,
                              struct hf_feed_block **found, struct hf_error *error)
{
    struct hf_feed_block *oldest = &source->blocks[0];
    uint64_t seq_hint = 0;
    for (size_t i = 0; i < HF_FEED_BLOCKS; i++) {
        struct hf_feed_block *block = &source->blocks[i];
        if (has(block, position)) {
            *found = block;
            return HF_ERR_OK;
        }
        if (block->used != 0 && block->first + block->count == position) {
            seq_hint = block->next_seq;
        }
        oldest = block->used < oldest->used ? block : oldest;
    }
    source->current.position = 0; /* it may point into what goes */
    *found = oldest;
    return read_block(source, oldest, position, seq_hint, error);
}

static enum hf_feed_got get_from_log(struct hf_feed_source *source, uint64_t position,
                                     const struct hf_feed_commit **commit, struct hf_error *error)
{
    *commit = &source->current;
    if (source->current.position == position) {
        return HF_FEED_GOT;
    }
    struct hf_feed_block *block = NULL;
    for (size_t i = 0; i < HF_FEED_BLOCKS && block == NULL; i++) {
        block = has(&source->blocks[i], position) ? &source->blocks[i] : NULL;
    }
    if (block == NULL) {
        struct hf_shared_bytes *frame;
        size_t count;
        enum hf_tail_result result = hf_tail_take(source->tail, position, &frame, 1, &count);
        if (result != HF_TAIL_COLD) {
            if (result == HF_TAIL_FRAMES) {
                hf_shared_bytes_unref(frame);
            }
            return HF_FEED_HOT;
        }
        enum hf_err err = find_block(source, position, &block, error);
        if (err != HF_ERR_OK) {
            return err == HF_ERR_NOT_FOUND ? HF_FEED_GONE : HF_FEED_BROKEN;
        }
    }
    block->used = ++source->uses;
    hf_arena_clear(&source->arena);
    return decode(block->bytes.data + block->offsets[position - block->first], position,
                  &source->arena, &source->current, error) == HF_ERR_OK
               ? HF_FEED_GOT
               : HF_FEED_BROKEN;
}

enum hf_feed_got hf_feed_source_get(struct hf_feed_source *source, uint64_t position,
                                    const struct hf_feed_commit **commit, struct hf_error *error)
{
    return source->disk ? get_from_log(source, position, commit, error)
                        : get_from_ring(source, position, commit, error);
}
