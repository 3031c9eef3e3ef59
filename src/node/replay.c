#include "node/replay.h"

#define READ_BYTES (4u << 20) /* of the log at once */

static enum hf_err pace(const struct hf_replay *replay, size_t bytes, struct hf_error *error)
{
    if (replay->pace == NULL || replay->pace(replay->pace_context, bytes)) {
        return HF_ERR_OK;
    }
    return hf_error_set(error, HF_ERR_CLOSED, "it was stopped");
}

enum hf_err hf_replay_load(struct hf_replay *replay, struct hf_checkpoint *checkpoint,
                           struct hf_error *error)
{
    const struct hf_checkpoint_info *info = hf_checkpoint_info(checkpoint);
    struct hf_checkpoint_stream stream;
    struct hf_state_loader loader;
    enum hf_err err = hf_checkpoint_stream_init(&stream, checkpoint, HF_CHECKPOINT_STATE, error);
    if (err != HF_ERR_OK) {
        return err;
    }
    hf_state_loader_init(&loader, replay->state);
    for (;;) {
        const uint8_t *data;
        size_t size;
        err = hf_checkpoint_stream_next(&stream, &data, &size, error);
        if (err != HF_ERR_OK || size == 0) {
            break;
        }
        err = hf_state_loader_feed(&loader, data, size, error);
        if (err == HF_ERR_OK) {
            err = pace(replay, size, error);
        }
        if (err != HF_ERR_OK) {
            break;
        }
    }
    enum hf_err finished = hf_state_loader_finish(&loader, err == HF_ERR_OK ? error : NULL);
    err = err == HF_ERR_OK ? finished : err;
    hf_checkpoint_stream_release(&stream);
    if (err == HF_ERR_OK && replay->state->position != info->meta.position) {
        err = hf_error_set(error, HF_ERR_CORRUPT, "it holds position %llu, its header says %llu",
                           (unsigned long long)replay->state->position,
                           (unsigned long long)info->meta.position);
    }
    if (err != HF_ERR_OK) {
        return hf_error_wrap(error, "load checkpoint %llu",
                             (unsigned long long)info->meta.position);
    }
    replay->seq = info->meta.seq;
    replay->hash = info->meta.chain_hash;
    replay->state->recent.covered_position = info->meta.position;
    return HF_ERR_OK;
}

static enum hf_err apply_commit(struct hf_replay *replay, const struct hf_commit_frame *frame,
                                struct hf_arena *arena, hf_replay_fn each, void *context,
                                struct hf_error *error)
{
    struct hf_commit commit;
    hf_arena_clear(arena);
    enum hf_err err = hf_commit_decode_compact(frame->record, frame->record_bytes, frame->payload,
                                               frame->payload_bytes, arena, &commit, error);
    if (err != HF_ERR_OK) {
        unsigned long long position = replay->state->position;
        return hf_error_wrap(error, "the commit behind %llu", position);
    }
    if (!hf_state_reserve(replay->state, &commit)) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory after commit %llu",
                            (unsigned long long)replay->state->position);
    }
    err = hf_state_apply(replay->state, &commit, error);
    if (err != HF_ERR_OK) {
        return err;
    }
    replay->hash = hf_log_chain(&replay->hash, frame->record, frame->record_bytes);
    err = pace(replay, HF_COMMIT_FRAME_BYTES + frame->record_bytes + frame->payload_bytes, error);
    if (err != HF_ERR_OK) {
        return err;
    }
    return each == NULL ? HF_ERR_OK : each(context, &commit, frame, &replay->hash, error);
}

static enum hf_err apply_batch(struct hf_replay *replay, const struct hf_log_batch *batch,
                               struct hf_arena *arena, hf_replay_fn each, void *context,
                               struct hf_error *error)
{
    if (batch->seq != replay->seq + 1 || batch->first_position != replay->state->position + 1 ||
        batch->space != replay->state->space ||
        !hf_hash_equal(&batch->hash_before, &replay->hash)) {
        return hf_error_set(error, HF_ERR_CORRUPT,
                            "batch %llu does not follow batch %llu (position %llu after %llu)",
                            (unsigned long long)batch->seq, (unsigned long long)replay->seq,
                            (unsigned long long)batch->first_position,
                            (unsigned long long)replay->state->position);
    }
    size_t at = 0;
    struct hf_commit_frame frame;
    uint32_t count = 0;
    while (hf_commit_frame_next(batch->body, batch->body_bytes, &at, &frame)) {
        enum hf_err err = apply_commit(replay, &frame, arena, each, context, error);
        if (err != HF_ERR_OK) {
            return hf_error_wrap(error, "batch %llu", (unsigned long long)batch->seq);
        }
        count++;
    }
    if (count != batch->commit_count || !hf_hash_equal(&batch->hash_after, &replay->hash)) {
        return hf_error_set(error, HF_ERR_CORRUPT, "batch %llu: its hash chain does not come out",
                            (unsigned long long)batch->seq);
    }
    replay->seq = batch->seq;
    return HF_ERR_OK;
}

enum hf_err hf_replay_run(struct hf_replay *replay, struct hf_log *log, uint64_t until_seq,
                          hf_replay_fn each, void *context, struct hf_error *error)
{
    struct hf_buffer bytes;
    struct hf_arena arena;
    hf_buffer_init(&bytes);
    hf_arena_init(&arena);
    enum hf_err err = HF_ERR_OK;
    while (err == HF_ERR_OK && replay->seq < until_seq) {
        uint32_t batches = 0;
        hf_buffer_clear(&bytes);
        err = log->driver->read(log, replay->seq + 1, READ_BYTES, &bytes, &batches, error);
        if (err == HF_ERR_OK && batches == 0) {
            if (until_seq != UINT64_MAX) {
                err = hf_error_set(error, HF_ERR_CORRUPT, "the log ends at batch %llu, not %llu",
                                   (unsigned long long)replay->seq, (unsigned long long)until_seq);
            }
            break;
        }
        size_t at = 0;
        for (uint32_t i = 0; err == HF_ERR_OK && i < batches && replay->seq < until_seq; i++) {
            struct hf_log_batch batch;
            err = hf_log_batch_decode(bytes.data, bytes.size_bytes, &at, &batch, error);
            if (err == HF_ERR_OK) {
                err = apply_batch(replay, &batch, &arena, each, context, error);
            }
        }
    }
    hf_arena_release(&arena);
    hf_buffer_release(&bytes);
    return err;
}
