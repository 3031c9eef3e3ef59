/*
 * Receives that found nothing, and reads of sagas that have not settled (ended, or parked): they wait, without a thread.
 *
 * Owns: the waiting requests, by what they wait for in the order in which they came, and the times at which one of them is
 * to be looked at again. Must never: decide (it says which request is to be decided now), let a later one pass an
 * earlier one of its subscription. Called by: node's pipeline, on the node's thread.
 *
 *   decided: nothing there ──keep──► waiting ──next──► decided again: something there ──► answered
 *                                      │  ▲                    └── taken by others ── keep ──┘ (its old place)
 *                                      ├── deadline ──► an empty answer
 *                                      └── peer gone, stop, deposed ──► refused
 *
 * 1. A queue is made with its first waiter and freed with its last one; waiters stand in it by wait_order.
 * 2. A subscription is looked at when a commit has touched it (stir), and when its next line stops backing off.
 * 3. Of a subscription's queue only as many are under way (taken by next, not back or answered) as it has lines that are
 *    ready: who would find nothing is not woken. Those who wait for a saga are all woken when it settles, or is gone.
 * 4. Waiting requests are bounded by waits_max; beyond it, or if memory is short, keep says no and the empty answer
 *    is given at once.
 */
#ifndef HF_NODE_WAIT_H
#define HF_NODE_WAIT_H

#include "base/table.h"
#include "node/node.h"

struct hf_wait_heap {
    struct hf_wait_timer **items; /* owned; earliest first */
    size_t count;
    size_t capacity;
};

struct hf_wait_queue;

struct hf_waits {
    struct hf_table queues;        /* by subscription's id: struct hf_wait_queue, owned */
    struct hf_table saga_queues;   /* by saga's id: likewise */
    struct hf_wait_heap deadlines; /* of requests, monotonic */
    struct hf_wait_heap ready;     /* of queues: when a line stops backing off, in log time */
    struct hf_wait_queue *stirred; /* queues to be looked at, any order */
    uint64_t order;                /* of the newest waiter */
    size_t count;                  /* requests that wait */
    size_t count_max;
    hf_tally shown; /* count, for other threads */
};

void hf_waits_init(struct hf_waits *waits, uint64_t seed, size_t count_max);
/* None may wait any more. */
void hf_waits_release(struct hf_waits *waits);

/* What a request may wait for. */
struct hf_wait_subject {
    enum hf_kind
        kind; /* SUBSCRIPTION: it receives; SAGA: it reads one until it has settled; NONE: it never waits */
    const struct hf_id *id; /* in the request */
};
struct hf_wait_subject hf_wait_subject_of(const struct hf_request *request);

/* Is the saga there, and neither ended nor parked? */
bool hf_wait_saga_goes_on(const struct hf_state *state, const struct hf_id *saga);

/* Keeps a receive that found nothing, or the read of a saga that goes on; false: it has to be answered now. */
bool hf_waits_keep(struct hf_waits *waits, struct hf_request *request, const struct hf_state *state,
                   uint64_t now_us) HF_WARN_UNUSED;
/* A request that `next` gave out was answered or refused, or waits no more for another reason. */
void hf_waits_settled(struct hf_waits *waits, struct hf_request *request);

/* A commit has touched this subscription or saga. */
void hf_waits_stir(struct hf_waits *waits, enum hf_kind kind, const struct hf_id *id);
/* The state was made anew. */
void hf_waits_stir_all(struct hf_waits *waits);

/* The next request to be decided at now_us (log time), or NULL. */
struct hf_request *hf_waits_next(struct hf_waits *waits, const struct hf_state *state,
                                 uint64_t now_us);
/* One whose deadline is over, or NULL. */
struct hf_request *hf_waits_expired(struct hf_waits *waits, uint64_t monotonic_us);
/* One whose peer has gone, or NULL; walks over all. */
struct hf_request *hf_waits_gone(struct hf_waits *waits);
/* Any, or NULL: for the end. */
struct hf_request *hf_waits_any(struct hf_waits *waits);

/* Is one to be looked at now? */
static inline bool hf_waits_are_stirred(const struct hf_waits *waits)
{
    return waits->stirred != NULL;
}
/* Earliest deadline (monotonic) and earliest end of a backing-off (log time); UINT64_MAX: none. */
uint64_t hf_waits_deadline_us(const struct hf_waits *waits);
uint64_t hf_waits_ready_us(const struct hf_waits *waits);

/* All invariants by a walk; aborts if one is broken. */
void hf_waits_verify(const struct hf_waits *waits);

#endif
