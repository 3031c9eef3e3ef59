/* Points of the past, looked up in the log: where an account's entries lie, and which commit was the newest at a time. */
#include "base/bytes.h"
#include "base/check.h"
#include "node/fetch_priv.h"

static enum hf_err short_of_memory(struct hf_error *error)
{
    return hf_error_set(error, HF_ERR_OVERLOADED, "out of memory");
}

/* ---- entries ---- */

/* An entry on the way down, and the commit that was decoded last. */
struct step {
    uint64_t version;
    uint64_t position;
    struct hf_commit commit;
    struct hf_arena arena; /* the commit's */
};

/* To the entry before. Its commit must hold it, and the last one of all is read whole: a hint that is wrong is found out. */
static enum hf_err step_down(struct hf_node *node, struct step *step, const struct hf_id *account,
                             struct hf_fetch_piece *piece, struct hf_error *error)
{
    struct hf_entry_chain chain = {.account = *account};
    if (step->commit.position != step->position) {
        struct hf_commit_frame frame = {0};
        enum hf_err err = hf_fetch_hint(node, piece, step->position, &frame, error);
        hf_arena_clear(&step->arena);
        if (err == HF_ERR_OK) {
            err = hf_commit_glance(frame.record, frame.record_bytes, frame.payload,
                                   frame.payload_bytes, &step->arena, &step->commit, error);
        }
        if (err != HF_ERR_OK) {
            return err;
        }
    }
    uint64_t before;
    if (!hf_chain_follow(&step->commit, &chain, step->version, &before) || before == 0 ||
        before > step->position) {
        return hf_error_set(error, HF_ERR_CORRUPT, "commit %llu does not hold the entry",
                            (unsigned long long)step->position);
    }
    step->version--;
    step->position = before;
    return HF_ERR_OK;
}

enum hf_err hf_fetch_descent(struct hf_node *node, struct hf_request *request,
                             const struct hf_entry_descent *descent, uint64_t *left_bytes,
                             struct hf_fetch_piece *piece, struct hf_error *error)
{
    struct step step = {.version = descent->version, .position = descent->position};
    enum hf_err err = HF_ERR_OK;
    hf_arena_init(&step.arena);
    while (err == HF_ERR_OK && step.version > 1 &&
           (step.version > descent->to_version || step.position > descent->to_position)) {
        err = step_down(node, &step, &descent->account, piece, error);
        if (err == HF_ERR_OK && !hf_records_add_link(&request->records, &descent->account,
                                                     step.version, step.position)) {
            err = short_of_memory(error);
        }
    }
    hf_arena_release(&step.arena);
    if (err == HF_ERR_OK && step.position <= descent->to_position) {
        err = hf_fetch_frame(node, request, step.position, left_bytes, piece, error);
    }
    return err;
}

/* ---- times ---- */

/* Is the commit later than the time? One that was trimmed from the log is older than all others. */
static enum hf_err is_later(struct hf_node *node, struct hf_fetch_piece *piece, uint64_t position,
                            uint64_t time_us, bool *later, struct hf_error *error)
{
    struct hf_commit_frame frame = {0};
    enum hf_err err = hf_fetch_find(node, piece, position, &frame, error);
    *later = false;
    if (err != HF_ERR_OK) {
        return err == HF_ERR_NOT_FOUND ? HF_ERR_OK : err;
    }
    uint64_t found_us =
        hf_commit_time(frame.record, frame.record_bytes, frame.payload, frame.payload_bytes);
    if (found_us == 0) {
        return hf_error_set(error, HF_ERR_CORRUPT, "commit %llu has no time",
                            (unsigned long long)position);
    }
    hf_time_marks_note(node->time_marks, position, found_us);
    *later = found_us > time_us;
    return HF_ERR_OK;
}

enum hf_err hf_fetch_time(struct hf_node *node, struct hf_request *request,
                          const struct hf_time_need *need, struct hf_fetch_piece *piece,
                          struct hf_error *error)
{
    uint64_t low, high;
    enum hf_err err = HF_ERR_OK;
    hf_time_marks_bracket(node->time_marks, need->time_us, &low, &high);
    high = hf_min_u64(high, need->below);
    while (err == HF_ERR_OK && high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        bool later;
        err = is_later(node, piece, middle, need->time_us, &later, error);
        *(later ? &high : &low) = middle;
    }
    struct hf_time_answer answer = {.time_us = need->time_us, .position = low};
    if (err == HF_ERR_OK && !hf_records_add_time(&request->records, &answer)) {
        err = short_of_memory(error);
    }
    return err;
}
