/*
 * The log of a data directory, for the commands that walk over it (node/walk.h).
 *
 * Owns: nothing. Must never: touch the directory's lock. Called by: verify, export, backup, status, import of events.
 */
#ifndef HF_CLI_WALK_H
#define HF_CLI_WALK_H

#include "node/walk.h"

/* Does a process hold the directory's lock? Asks without touching the lock. */
bool hf_walk_is_owned(const char *directory);

/* The log, to read. NOT_FOUND if there is none. */
enum hf_err hf_walk_open_log(struct hf_outside *outside, const char *directory, struct hf_log **log,
                             struct hf_error *error) HF_WARN_UNUSED;

#endif
