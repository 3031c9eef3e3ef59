/*
 * For tests of the log: batches whose content follows from their seq, appended one by one, and the
 * check that a log holds exactly them.
 */
#ifndef HF_TESTS_UNIT_LOG_SUPPORT_H
#define HF_TESTS_UNIT_LOG_SUPPORT_H

#include <stdio.h>

#include "base/check.h"
#include "log/log.h"

/* The log as the test believes it to be, and memory for the batch under way. */
struct log_model {
    struct hf_log_head head; /* behind the last acknowledged batch */
    struct hf_buffer body;   /* of the batch under way */
};

/* The body of batch seq: commits of sizes that vary, some with a payload; about body_bytes. */
static inline void log_model_batch(struct log_model *model, size_t body_bytes,
                                   struct hf_log_batch *batch)
{
    uint64_t seq = model->head.seq + 1;
    hf_buffer_clear(&model->body);
    *batch = (struct hf_log_batch){
        .seq = seq,
        .epoch = model->head.epoch,
        .first_position = model->head.position + 1,
        .hash_before = model->head.hash,
        .hash_after = model->head.hash,
    };
    memset(batch->batch_id, (int)(seq % 251), sizeof(batch->batch_id));
    uint64_t state = seq * 0x9E3779B97F4A7C15u;
    do {
        state = state * 6364136223846793005u + 1442695040888963407u;
        size_t left = body_bytes > model->body.size_bytes ? body_bytes - model->body.size_bytes : 1;
        size_t record_bytes = 1 + (size_t)(state >> 33) % (left < 200 ? left : left / 2 + 1);
        size_t payload_bytes = (state >> 20) % 3 == 0 ? (size_t)(state >> 40) % 50 : 0;
        hf_buffer_u32(&model->body, (uint32_t)record_bytes);
        hf_buffer_u32(&model->body, (uint32_t)payload_bytes);
        uint8_t *to = hf_buffer_extend(&model->body, record_bytes + payload_bytes);
        HF_CHECK(to != NULL);
        for (size_t i = 0; i < record_bytes + payload_bytes; i++) {
            to[i] = (uint8_t)(state + i * 31 + seq);
        }
        batch->hash_after = hf_log_chain(&batch->hash_after, to, record_bytes);
        batch->commit_count++;
    } while (model->body.size_bytes < body_bytes);
    batch->body = model->body.data;
    batch->body_bytes = model->body.size_bytes;
}

static inline void log_model_acknowledged(struct log_model *model, const struct hf_log_batch *batch)
{
    model->head.seq = batch->seq;
    model->head.position = batch->first_position + batch->commit_count - 1;
    model->head.hash = batch->hash_after;
}

/* Starts an append and polls until it has ended. */
static inline enum hf_append_outcome log_append(struct hf_log *log, struct hf_outside *o,
                                                const struct hf_log_batch *batch,
                                                struct hf_error *error)
{
    log->driver->append_start(log, batch);
    o->drain(o, HF_WORKER_LOG);
    return log->driver->append_poll(log, error);
}

/* Appends the model's next batch; on OK the model follows. */
static inline enum hf_append_outcome log_model_append(struct log_model *model, struct hf_log *log,
                                                      struct hf_outside *o, size_t body_bytes,
                                                      struct hf_error *error)
{
    struct hf_log_batch batch;
    log_model_batch(model, body_bytes, &batch);
    enum hf_append_outcome outcome = log_append(log, o, &batch, error);
    if (outcome == HF_APPEND_OK) {
        log_model_acknowledged(model, &batch);
    }
    return outcome;
}

/* Is each commit of the batch what peek finds at its position? HF_ERR_OK and *same, or a peek's failure. */
static inline enum hf_err log_peek_check(struct hf_log *log, const struct hf_log_batch *batch,
                                         bool *same, struct hf_error *error)
{
    struct hf_buffer peeked;
    struct hf_commit_frame frame;
    enum hf_err code = HF_ERR_OK;
    size_t at = 0;
    hf_buffer_init(&peeked);
    *same = true;
    for (uint32_t i = 0; code == HF_ERR_OK && *same && i < batch->commit_count; i++) {
        size_t from = at;
        HF_CHECK(hf_commit_frame_next(batch->body, batch->body_bytes, &at, &frame));
        hf_buffer_clear(&peeked);
        code = log->driver->peek(log, batch->first_position + i, &peeked, error);
        *same = code != HF_ERR_OK || (peeked.size_bytes == at - from &&
                                      memcmp(peeked.data, batch->body + from, at - from) == 0);
    }
    hf_buffer_release(&peeked);
    return code;
}

/*
 * Reads the log from the first batch that was not trimmed and compares each batch with what log_model_batch makes of the
 * same seq (sizes[seq % size_count] its body_bytes). Fills head with the end that was found.
 * NULL = the log is right so far as it goes, else what is wrong. code: of a read that failed.
 */
static inline const char *log_model_check(struct hf_log *log, const size_t *sizes,
                                          size_t size_count, size_t bytes_max,
                                          struct hf_log_head *head, enum hf_err *code,
                                          struct hf_error *error)
{
    struct log_model model = {0};
    struct hf_buffer read;
    const char *wrong = NULL;
    hf_buffer_init(&model.body);
    hf_buffer_init(&read);
    *code = HF_ERR_OK;
    uint64_t first = log->driver->first_seq(log);
    while (model.head.seq + 1 < first) { /* trimmed: only the model knows them */
        struct hf_log_batch gone;
        log_model_batch(&model, sizes[(model.head.seq + 1) % size_count], &gone);
        log_model_acknowledged(&model, &gone);
    }
    for (;;) {
        uint32_t batches;
        hf_buffer_clear(&read);
        *code = log->driver->read(log, model.head.seq + 1, bytes_max, &read, &batches, error);
        if (*code != HF_ERR_OK || batches == 0) {
            break;
        }
        size_t at = 0;
        for (uint32_t i = 0; i < batches && wrong == NULL; i++) {
            struct hf_log_batch got;
            struct hf_log_batch want;
            if (hf_log_batch_decode(read.data, read.size_bytes, &at, &got, error) != HF_ERR_OK) {
                wrong = "what was read does not decode";
                break;
            }
            log_model_batch(&model, sizes[got.seq % size_count], &want);
            if (got.seq != want.seq || got.first_position != want.first_position ||
                got.commit_count != want.commit_count || got.epoch < model.head.epoch ||
                memcmp(got.batch_id, want.batch_id, 16) != 0 ||
                !hf_hash_equal(&got.hash_before, &want.hash_before) ||
                !hf_hash_equal(&got.hash_after, &want.hash_after) ||
                got.body_bytes != want.body_bytes ||
                memcmp(got.body, want.body, want.body_bytes) != 0) {
                wrong = "a batch differs from what was appended";
            }
            bool same = true;
            if (wrong == NULL && log->driver->peek != NULL && want.seq % 7 == 0) {
                *code = log_peek_check(log, &want, &same, error);
                wrong = same ? NULL : "a commit differs from what was appended";
            }
            log_model_acknowledged(&model, &want);
            model.head.epoch = got.epoch;
            if (*code != HF_ERR_OK) {
                break;
            }
        }
        if (wrong == NULL && *code == HF_ERR_OK && at != read.size_bytes) {
            wrong = "more was read than the batches";
        }
        if (wrong != NULL || *code != HF_ERR_OK) {
            break;
        }
    }
    *head = model.head;
    hf_buffer_release(&read);
    hf_buffer_release(&model.body);
    return wrong;
}

#endif
