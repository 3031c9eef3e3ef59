/*
 * Targets: who may be called now, and in whose turn. A target is scheme://host:port.
 *
 * Owns: for each target its limit of calls in flight, its circuit breaker, the queue of those who wait to call it. Must never: do
 * I/O, ask a clock or a source of random bytes (times are passed in, jitter is a hash of the seed). Called by: deliver's
 * thread, for the saga runner and push subscriptions alike; the simulator.
 *
 *   wait ──queue──► waiting ──next──► in flight ──ended──► (the sender's again)
 *
 *   closed ──failures_in_row, or failure_percent of the last window──► open ──wait over──► probing (one call)
 *     ▲  allowed grows by one with each success: slow start                 ▲                  │ failed: waits twice as long
 *     └────────────────────────────────────────────────────────────────────┼── succeeded ◄────┘
 *
 * 1. No call begins while in_flight ≥ allowed ≤ in_flight_max. allowed is 1 behind a probe and grows with each success, so a backlog
 *    meets a service that comes back as a trickle first. A probe does not wait for calls that were out before.
 * 2. Turns: round robin between targets that may be called, within a target between owners, within an owner in the order of
 *    queueing.
 * 3. Open waits are open_first_us × 2^n, at most open_max_us, of which between half and all; a Retry-After holds the target
 *    back by itself, up to HF_TARGET_RETRY_AFTER_US_MAX.
 * 4. A wait is in its owner's memory, from queue until ended or withdraw.
 */
#ifndef HF_DELIVER_TARGET_H
#define HF_DELIVER_TARGET_H

#include "base/errors.h"
#include "base/url.h"
#include "core/saga_answer.h"

#define HF_TARGET_KEY_BYTES          HF_URL_TARGET_BYTES
#define HF_TARGET_URL_BYTES_MAX      HF_URL_BYTES_MAX
#define HF_TARGET_RETRY_AFTER_US_MAX (86400ull * 1000000)
#define HF_TARGET_WINDOW             64 /* ended calls that failure_percent looks at */

struct hf_target_limits {
    uint32_t targets_max;     /* known at once: 10,000; idle ones are forgotten first */
    uint32_t in_flight_max;   /* calls at once to one target: 128 */
    uint32_t calls_max;       /* calls at once to all: 4,096 */
    uint32_t failures_in_row; /* open the breaker: 10 */
    uint32_t failure_percent; /* of the last window, once it is full: 60 */
    uint64_t open_first_us;   /* 1 s */
    uint64_t open_max_us;     /* 30 s */
};

struct hf_target_limits hf_target_limits_default(void);

enum hf_target_phase {
    HF_TARGET_CLOSED = 1, /* calls go out */
    HF_TARGET_OPEN,       /* none do, until it is time for a probe */
    HF_TARGET_PROBING,    /* one is out, or may go out */
};

/* How a call ended, for its target. */
enum hf_target_end {
    HF_TARGET_OK = 1,    /* it answered sensibly, 4xx too */
    HF_TARGET_FAILED,    /* no connection, time-out, cut off, 5xx: counts for the breaker */
    HF_TARGET_THROTTLED, /* 429: allowed is halved */
    HF_TARGET_NOT_SENT,  /* nothing was sent after all, the target was not asked */
};

/* What an error or a status (if error is ANSWERED) says of the target. */
enum hf_target_end hf_target_end_of(enum hf_call_error error, uint16_t status);

struct hf_target;

struct hf_target_wait {
    /* set by its sender */
    void (*send)(
        struct hf_target_wait *
            wait); /* may be called by hf_targets_run; must call hf_targets_ended later, not inside */
    uint64_t
        owner; /* whose turn it takes: a saga's or subscription's uid, with the top bit for subscriptions */
    /* the module's own */
    struct hf_target *target;
    struct hf_target_wait *next;                       /* of the same owner */
    struct hf_target_wait *last;                       /* of the owner's first: its last */
    struct hf_target_wait *owner_before, *owner_after; /* ring of the owners' first ones */
    bool waiting, in_flight;
};

struct hf_targets;

/* NULL: memory is short. */
struct hf_targets *hf_targets_new(const struct hf_target_limits *limits, uint64_t seed);
/* No wait may be queued or in flight. NULL is fine. */
void hf_targets_free(struct hf_targets *targets);

/* A URL's target (base/url.h), by which all here goes. */
static inline bool hf_target_key(struct hf_str url, char key[HF_TARGET_KEY_BYTES], const char **why)
{
    return hf_url_target(url, key, why);
}

/* Queues a wait for the target of a URL that hf_target_key takes. NO_MEMORY; OVERLOADED: targets_max are busy. */
enum hf_err hf_targets_queue(struct hf_targets *targets, struct hf_str url,
                             struct hf_target_wait *wait) HF_WARN_UNUSED;
/* Takes a wait out that is waiting; nothing else. */
void hf_targets_withdraw(struct hf_targets *targets, struct hf_target_wait *wait);

/* Who may send now, in turn: it counts as in flight until ended. NULL: nobody for now. */
struct hf_target_wait *hf_targets_next(struct hf_targets *targets, uint64_t now_us);
/* send() of all of them, at most `most`; returns how many. */
uint32_t hf_targets_run(struct hf_targets *targets, uint64_t now_us, uint32_t most);
/* When somebody may send who may not now, by time alone; UINT64_MAX: by nothing but an end or a queueing. */
uint64_t hf_targets_next_us(const struct hf_targets *targets);

/* The call of a wait has ended. retry_after_us: 0 = not told. The wait may be queued again. */
void hf_targets_ended(struct hf_targets *targets, struct hf_target_wait *wait,
                      enum hf_target_end end, uint64_t retry_after_us, uint64_t now_us);

/* For status and metrics. */
struct hf_target_sums {
    uint64_t targets, open, waiting, in_flight;
    uint64_t opened; /* since start: times that a breaker opened */
};
void hf_targets_sums(const struct hf_targets *targets, struct hf_target_sums *sums);

struct hf_target_status {
    enum hf_target_phase phase;
    uint32_t in_flight, allowed;
    uint64_t waiting;
    uint64_t open_until_us; /* OPEN or held back; else 0 */
};
/* false: it is not known (nothing has been sent to it of late). */
bool hf_targets_status(const struct hf_targets *targets, struct hf_str url,
                       struct hf_target_status *status);

/* Every invariant by a walk; aborts if one is broken. */
void hf_targets_verify(const struct hf_targets *targets);

#endif
