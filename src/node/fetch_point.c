/* Points of the past, looked up in the log: where an account's entries lie, and which commit was the newest at a time. */
#include "base/bytes.h"
#include "base/check.h"
#include "node/fetch_priv.h"

static enum hf_err short_of_memory(struct hf_error *error)
{
    return hf_error_set(error, HF_ERR_OVERLOADED, "out of memory");
}

/* ---- entries ---- */

/* The entry before the commit where the descent is. checked: by bytes that were. */
static enum hf_err find_before(struct hf_node *node, const struct hf_entry_descent *descent,
                               bool checked, struct hf_arena *arena, struct hf_fetch_piece *piece,
                               struct hf_entry_place *before, struct hf_error *error)
{
    struct hf_commit commit;
    struct hf_commit_frame frame = {0};
    uint64_t position = descent->at.position;
    enum hf_err err = checked ? hf_fetch_find(node, piece, position, &frame, error)
                              : hf_fetch_hint(node, piece, position, &frame, error);
    hf_arena_clear(arena);
    if (err == HF_ERR_OK) {
        err = hf_commit_glance(frame.record, frame.record_bytes, frame.payload, frame.payload_bytes,
                               arena, &commit, error);
    }
    if (err == HF_ERR_OK &&
        (commit.position != position ||
         !hf_entry_before(&commit, &descent->account, descent->at.version, before))) {
        err = hf_error_set(error, HF_ERR_CORRUPT, "commit %llu does not hold the entry",
                           (unsigned long long)position);
    }
    return err;
}

/* The last step of all is taken again by checked bytes: that commit lies above what is looked for, and names it. */
static enum hf_err step_down(struct hf_node *node, struct hf_entry_descent *descent,
                             struct hf_arena *arena, struct hf_fetch_piece *piece,
                             struct hf_entry_place *before, struct hf_error *error)
{
    struct hf_entry_descent next = *descent;
    enum hf_err err = find_before(node, descent, false, arena, piece, before, error);
    if (err == HF_ERR_OK) {
        hf_descent_step(&next, before);
    }
    if (err == HF_ERR_OK && hf_descent_is_over(&next)) {
        next = *descent;
        err = find_before(node, descent, true, arena, piece, before, error);
        hf_descent_step(&next, before);
    }
    *descent = next;
    return err;
}

enum hf_err hf_fetch_descent(struct hf_node *node, struct hf_request *request,
                             const struct hf_entry_descent *wanted, uint64_t *left_bytes,
                             struct hf_fetch_piece *piece, struct hf_error *error)
{
    struct hf_entry_descent descent = *wanted;
    enum hf_err err = HF_ERR_OK;
    struct hf_arena arena;
    hf_arena_init(&arena);
    while (err == HF_ERR_OK && !hf_descent_is_over(&descent)) {
        struct hf_entry_place before = {0};
        uint64_t version = descent.at.version;
        err = step_down(node, &descent, &arena, piece, &before, error);
        if (err == HF_ERR_OK &&
            !hf_records_add_link(&request->records, &descent.account, version, &before)) {
            err = short_of_memory(error);
        }
    }
    hf_arena_release(&arena);
    if (err == HF_ERR_OK && descent.at.version > 0) {
        err = hf_fetch_frame(node, request, descent.at.position, left_bytes, piece, error);
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
