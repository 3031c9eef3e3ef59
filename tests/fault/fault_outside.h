/*
 * An outside that fails on purpose: it wraps any other one and lets the n-th call of a kind fail.
 *
 * Owns: the counts. Must never: change what the wrapped outside does while nothing fails. The
 * wrapped one runs the jobs; calls may come from several threads.
 * Called by: the tests of tests/fault, over the linux or the simulated outside.
 *
 * The loop of a test: for n = 1, 2, 3 …: arm(kind, n), run the scenario, disarm, check; until
 * fault_outside_hit() says that the scenario made fewer than n such calls.
 */
#ifndef HF_TESTS_FAULT_FAULT_OUTSIDE_H
#define HF_TESTS_FAULT_FAULT_OUTSIDE_H

#include "outside/outside.h"

/* X(name, what happens) */
#define FAULT_KINDS(X)                                                                             \
    X(WRITE, "write: an error, nothing written")                                                   \
    X(SHORT_WRITE, "write: an error, half of it written")                                          \
    X(WHOLE_WRITE, "write: an error, yet all of it written")                                       \
    X(NO_SPACE, "write: no space, half of it written")                                             \
    X(SYNC, "sync: an error, though the bytes are there")                                          \
    X(SYNC_LOST, "sync: an error, and what was written since the last sync is gone")               \
    X(SYNC_DIRECTORY, "sync of a directory: an error")                                             \
    X(READ, "read: an error")                                                                      \
    X(SHORT_READ, "read: only half of it, as at the end of the file")                              \
    X(OPEN, "open: an error")                                                                      \
    X(OPEN_NO_SPACE, "open of a new file: no space")                                               \
    X(RENAME, "rename: an error")                                                                  \
    X(REMOVE, "remove: an error")                                                                  \
    X(LIST, "list: an error")                                                                      \
    X(SIZE, "size: an error")                                                                      \
    X(TRUNCATE, "truncate: an error")                                                              \
    X(MAKE_DIRECTORY, "make directory: an error")                                                  \
    X(LOCK, "lock: an error")                                                                      \
    X(CRASH, "any change: half of it if it is a write; from then on every call fails")

enum fault_kind {
#define FAULT_KIND_NAME(name, text) FAULT_##name,
    FAULT_KINDS(FAULT_KIND_NAME)
#undef FAULT_KIND_NAME
        FAULT_KIND_COUNT,
};

const char *fault_kind_name(enum fault_kind kind);

/* NULL: memory is short. The inner outside must outlive it. */
struct hf_outside *fault_outside_new(struct hf_outside *inner);
void fault_outside_free(struct hf_outside *outside);

/* The n-th call of the kind from now on fails (n >= 1); with `on`, all later ones too.
 * CRASH always goes on until disarm. */
void fault_outside_arm(struct hf_outside *outside, enum fault_kind kind, uint64_t n, bool on);
void fault_outside_disarm(struct hf_outside *outside);
/* Did a call fail on purpose since arm? */
bool fault_outside_hit(struct hf_outside *outside);

#endif
