/*
 * An engine: a data directory opened by this process, with the thread that steps its node.
 *
 * Owns: the linux outside, the file log, the node and its thread. Must never: know who asks (the library,
 * the server) or what an answer looks like. Called by: lib, cli's serve.
 *
 * 1. Open blocks until the node leads: recovery, and with wait_for_lock until another owner is gone.
 * 2. Between open and close the node belongs to the engine's thread; others only submit and ask its status.
 * 3. A node that failed or was deposed keeps its engine: it refuses what comes until it is closed.
 */
#ifndef HF_NODE_ENGINE_H
#define HF_NODE_ENGINE_H

#include "node/node.h"

struct hf_engine_options {
    const char *directory; /* the data directory */
    bool create;           /* make it if it is not there */
    bool wait_for_lock;    /* wait until another owner is gone, instead of HF_ERR_LOCKED */
    bool checkpoints;      /* store checkpoints in the background */
    const char *name;      /* who, for takeover records */
    struct hf_limits limits;
    struct hf_memory_options memory; /* zero: no limit */ /* of the node and its log */
    /* Called while the log is replayed, on the opening thread; NULL = silent. */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *progress_context; /* of progress */
};

struct hf_engine;

/* *engine is to be closed. Errors: LOCKED, NOT_FOUND, CORRUPT, VERSION, IO, NO_SPACE, NO_MEMORY, LIMIT. */
enum hf_err hf_engine_open(const struct hf_engine_options *options, struct hf_engine **engine,
                           struct hf_error *error) HF_WARN_UNUSED;

/* Answers what was accepted, seals the log, ends the thread and frees the engine (NULL is fine). An error
 * (DEPOSED, or IO: the node had failed or the seal could not be written) is no loss: what was answered is
 * durable. All submitters must have stopped. */
enum hf_err hf_engine_close(struct hf_engine *engine, struct hf_error *error);

struct hf_node *hf_engine_node(struct hf_engine *engine);
struct hf_outside *hf_engine_outside(struct hf_engine *engine);

/* Rounds of the engine's thread so far. Ring the outside, and a thread that is alive makes it grow. */
uint64_t hf_engine_rounds(const struct hf_engine *engine);

#endif
