#include "cli/history.h"

#include "base/check.h"
#include "cli/walk.h"
#include "log/log_file.h"

#define BATCH_BYTES (1u << 20) /* appended at once */
#define STATE_SEED  0x5EEDull
#define WAIT_US     100000u

void hf_history_init(struct hf_history *history, struct hf_outside *outside, const char *directory,
                     const char *who)
{
    *history = (struct hf_history){.outside = outside, .directory = directory, .who = who};
    hf_state_init(&history->state, STATE_SEED);
    hf_buffer_init(&history->body);
}

void hf_history_release(struct hf_history *history)
{
    if (history->log != NULL) {
        history->log->driver->close(history->log);
    }
    hf_buffer_release(&history->body);
    hf_state_release(&history->state);
}

/* Hands the body to the log and waits until it is durable. */
static enum hf_err append(struct hf_history *history, struct hf_error *error)
{
    if (history->body_commits == 0) {
        return HF_ERR_OK;
    }
    struct hf_log_batch batch = {
        .seq = history->head.seq + 1,
        .epoch = history->head.epoch,
        .first_position = history->head.position + 1,
        .commit_count = history->body_commits,
        .hash_before = history->head.hash,
        .hash_after = history->hash,
        .body = history->body.data,
        .body_bytes = history->body.size_bytes,
    };
    history->outside->random(history->outside, batch.batch_id, sizeof(batch.batch_id));
    history->log->driver->append_start(history->log, &batch);
    enum hf_append_outcome outcome;
    while ((outcome = history->log->driver->append_poll(history->log, error)) ==
           HF_APPEND_PENDING) {
        hf_outside_linux_wait(history->outside, WAIT_US);
    }
    if (outcome != HF_APPEND_OK) {
        if (outcome == HF_APPEND_NO_SPACE) {
            return hf_error_set(error, HF_ERR_NO_SPACE, "the disk is full behind commit %llu",
                                (unsigned long long)history->head.position);
        }
        return error->code == HF_ERR_OK ? hf_error_set(error, HF_ERR_IO, "the append failed")
                                        : error->code;
    }
    history->head.seq++;
    history->head.position += history->body_commits;
    history->head.hash = history->hash;
    history->body_commits = 0;
    hf_buffer_clear(&history->body);
    return HF_ERR_OK;
}

/* A directory with commits is left as it is, its seal too: so it is looked at before it is taken over. */
static enum hf_err refuse_history(struct hf_outside *outside, const char *directory,
                                  struct hf_error *error)
{
    struct hf_log *log;
    struct hf_walk walk;
    enum hf_err code = hf_walk_open_log(outside, directory, &log, error);
    if (code != HF_ERR_OK) {
        return code == HF_ERR_NOT_FOUND ? HF_ERR_OK : code;
    }
    hf_walk_init(&walk, log);
    code = hf_walk_next(&walk, error);
    if (code == HF_ERR_OK && !walk.end) {
        code =
            hf_error_set(error, HF_ERR_EXISTS,
                         "%s holds commits already: a history needs an empty directory", directory);
    }
    hf_walk_release(&walk);
    log->driver->close(log);
    return code == HF_ERR_NOT_FOUND ? HF_ERR_OK : code;
}

static enum hf_err take_over(struct hf_history *history, bool create, struct hf_error *error)
{
    struct hf_limits limits = hf_limits_default();
    struct hf_log_file_options options = {.directory = history->directory,
                                          .create = create,
                                          .segment_bytes_first = limits.segment_bytes_first,
                                          .segment_bytes_max = limits.segment_bytes_max};
    struct hf_log_recovery recovery;
    enum hf_err code = hf_log_file_open(history->outside, &options, &history->log, error);
    if (code == HF_ERR_OK) {
        code = history->log->driver->takeover(history->log, hf_str_from(history->who), false,
                                              &history->head, &recovery, error);
    }
    return code;
}

/* The next owner's epoch must be above every epoch of the history. */
static enum hf_err raise_epoch(struct hf_history *history, struct hf_error *error)
{
    while (history->head.epoch < history->state.epoch) {
        history->log->driver->close(history->log);
        history->log = NULL;
        enum hf_err code = take_over(history, false, error);
        if (code != HF_ERR_OK) {
            return code;
        }
    }
    return HF_ERR_OK;
}

enum hf_err hf_history_begin(struct hf_history *history, struct hf_error *error)
{
    enum hf_err code = refuse_history(history->outside, history->directory, error);
    if (code == HF_ERR_OK) {
        code = take_over(history, true, error);
    }
    if (code == HF_ERR_OK && history->head.position != 0) {
        return hf_error_set(error, HF_ERR_EXISTS,
                            "%s holds %llu commits already: a history needs an empty directory",
                            history->directory, (unsigned long long)history->head.position);
    }
    return code;
}

enum hf_err hf_history_add(struct hf_history *history, const struct hf_commit_frame *frame,
                           struct hf_commit *commit, struct hf_error *error)
{
    if (commit->position != history->head.position + history->body_commits + 1) {
        return hf_error_set(error, HF_ERR_CORRUPT, "commit %llu does not follow the one before it",
                            (unsigned long long)commit->position);
    }
    enum hf_err code = hf_commit_verify_texts(commit, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    if (!hf_state_reserve(&history->state, commit)) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    code = hf_state_apply(&history->state, commit, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    history->hash = hf_log_chain(&history->hash, frame->record, frame->record_bytes);
    hf_buffer_u32(&history->body, (uint32_t)frame->record_bytes);
    hf_buffer_u32(&history->body, (uint32_t)frame->payload_bytes);
    hf_buffer_bytes(&history->body, frame->record, frame->record_bytes);
    hf_buffer_bytes(&history->body, frame->payload, frame->payload_bytes);
    if (history->body.failed) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    history->body_commits++;
    return history->body.size_bytes >= BATCH_BYTES ? append(history, error) : HF_ERR_OK;
}

enum hf_err hf_history_end(struct hf_history *history, struct hf_error *error)
{
    enum hf_err code = append(history, error);
    if (code == HF_ERR_OK) {
        code = raise_epoch(history, error);
    }
    return code == HF_ERR_OK ? history->log->driver->seal(history->log, error) : code;
}
