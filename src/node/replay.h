/*
 * From checkpoint and log to a state.
 *
 * Owns: nothing for long. Must never: write. Called by: node's start and rebuild, checkpoint jobs,
 * `holdfast verify`, the running audit.
 */
#ifndef HF_NODE_REPLAY_H
#define HF_NODE_REPLAY_H

#include "core/state.h"
#include "log/log.h"
#include "store/checkpoint.h"

/* A state and the place in the log up to which it has been replayed. */
struct hf_replay {
    struct hf_state *state; /* borrowed */
    uint64_t seq;           /* of the last batch applied; 0 = none */
    struct hf_hash hash;    /* of the chain behind it */
    /* Told of bytes that were read and used; false ends the replay with HF_ERR_CLOSED. May be NULL. */
    bool (*pace)(void *context, size_t bytes);
    void *pace_context; /* its */
};

/* Loads a checkpoint into an empty state. */
enum hf_err hf_replay_load(struct hf_replay *replay, struct hf_checkpoint *checkpoint,
                           struct hf_error *error) HF_WARN_UNUSED;

/* Called behind each commit; frame is borrowed. */
typedef enum hf_err (*hf_replay_fn)(void *context, const struct hf_commit *commit,
                                    const struct hf_commit_frame *frame, const struct hf_hash *hash,
                                    struct hf_error *error);

/* Applies the batches behind replay->seq up to until_seq (which must exist unless UINT64_MAX: then up to
 * the end of what can be read), checking sequence, positions and the chain of each commit. each may be
 * NULL. */
enum hf_err hf_replay_run(struct hf_replay *replay, struct hf_log *log, uint64_t until_seq,
                          hf_replay_fn each, void *context, struct hf_error *error) HF_WARN_UNUSED;

#endif
