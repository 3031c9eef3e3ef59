/*
 * A history written anew: commits with the positions, times and hashes that they had, into an empty directory.
 *
 * Owns: the new directory's log while it is filled, the state that the commits give. Must never: touch a directory
 * that holds commits; store a commit that does not continue the chain or does not apply to the state.
 * Called by: import of events, restore.
 *
 * begin ─► add, add, … ─► end. After an error only release; the directory then holds a part and is not sealed.
 */
#ifndef HF_CLI_HISTORY_H
#define HF_CLI_HISTORY_H

#include "core/state.h"
#include "log/log.h"

struct hf_history {
    struct hf_outside *outside; /* borrowed */
    const char *directory;      /* borrowed */
    const char *who;            /* borrowed: for the log's state */
    struct hf_log *log;         /* taken over; owned */
    struct hf_log_head head;    /* appended */
    struct hf_hash hash;        /* behind the last commit added */
    struct hf_state state;      /* the same */
    struct hf_buffer body;      /* frames that are not appended yet */
    uint32_t body_commits;      /* their count */
};

void hf_history_init(struct hf_history *history, struct hf_outside *outside, const char *directory,
                     const char *who);
void hf_history_release(struct hf_history *history);

/* EXISTS: the directory holds commits, and is left as it is; LOCKED and what the log says. */
enum hf_err hf_history_begin(struct hf_history *history, struct hf_error *error) HF_WARN_UNUSED;
/* The next commit: its stored bytes and what they decode to. CORRUPT: it does not follow. */
enum hf_err hf_history_add(struct hf_history *history, const struct hf_commit_frame *frame,
                           struct hf_commit *commit, struct hf_error *error) HF_WARN_UNUSED;
/* Everything durable, the next owner's epoch above all of the history, the log sealed. */
enum hf_err hf_history_end(struct hf_history *history, struct hf_error *error) HF_WARN_UNUSED;

#endif
