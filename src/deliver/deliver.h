/*
 * The thread of all that goes out: it steps the saga runner and push subscriptions, and makes their calls.
 *
 *   runner, push ──queue──► targets (turns, breaker) ──send──► caller (libcurl) ──done──► runner, push ──submit──► node
 *
 * Owns: the thread, the targets, the caller; a list of what it steps. Must never: hold what is not in the log (a killed
 * process loses nothing but answers on their way, and they come again). Called by: serve, when its node leads and before the
 * engine is closed.
 *
 * 1. Senders are stepped on this thread alone; others only wake it. A sender's answers from the node arrive on the node's thread:
 *    it puts them in a list of its own under a lock and wakes.
 * 2. A stop: senders begin nothing new, calls that are out are cancelled (their messages and steps come again), requests at the
 *    node are waited for.
 */
#ifndef HF_DELIVER_DELIVER_H
#define HF_DELIVER_DELIVER_H

#include "deliver/target.h"

struct hf_caller; /* deliver/caller.h */
struct hf_outside;
struct hf_tail;
struct hf_deliver;

/* What the thread steps: the runner, push. Made before the start, freed after the stop. */
struct hf_sender {
    void *context;
    /* Does what can be done now; true: it did something. */
    bool (*step)(void *context, uint64_t now_us);
    /* When it wants to be stepped at the latest, monotonic; UINT64_MAX: when woken. */
    uint64_t (*next_step_us)(void *context);
    /* Begins the end: withdraws its waits, cancels its calls and its requests at the node. */
    void (*stop)(void *context);
    /* After stop: the node owes it no answer any more. */
    bool (*stopped)(void *context);
};
#define HF_DELIVER_SENDERS_MAX 4

struct hf_deliver_options {
    struct hf_tail
        *tail; /* whatever becomes durable wakes the thread; NULL: nothing does. Outlives it */
    struct hf_outside *outside; /* clock, random; outlives it */
    struct hf_str
        allow; /* "127.0.0.0/8,10.1.0.0/16": addresses that may be called although they are not public */
    const char *ca_file; /* PEM; NULL = the system's */
    uint32_t per_target; /* calls at once to one target; 0 = the default */
};

/* Not yet started: senders are added with its caller and targets. INVALID_REQUEST: allow is malformed. */
enum hf_err hf_deliver_new(const struct hf_deliver_options *options, struct hf_deliver **made,
                           struct hf_error *error) HF_WARN_UNUSED;
/* For the senders. */
struct hf_caller *hf_deliver_caller(struct hf_deliver *deliver);
struct hf_targets *hf_deliver_targets(struct hf_deliver *deliver);
void hf_deliver_add(struct hf_deliver *deliver, const struct hf_sender *sender);

enum hf_err hf_deliver_start(struct hf_deliver *deliver, struct hf_error *error) HF_WARN_UNUSED;
/* Any thread, also before the start and after the stop: the senders are stepped soon. Cheap if it is awake. */
void hf_deliver_wake(struct hf_deliver *deliver);
/* Blocks until the senders have stopped; fine if it was not started. */
void hf_deliver_stop(struct hf_deliver *deliver);
void hf_deliver_free(struct hf_deliver *deliver); /* stopped; NULL is fine */

/* Any thread. */
void hf_deliver_sums(struct hf_deliver *deliver, struct hf_target_sums *sums);

#endif
