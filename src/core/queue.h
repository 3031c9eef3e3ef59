/*
 * Queues: the part of the state that topics and subscriptions have.
 *
 * Owns: delayed messages and the tables by which subscriptions are found (their lines: subscription.h). Must
 * never: do I/O, ask a clock, keep anything of a message that has arrived. Called by: state, decide, reads, checkpoints.
 *
 * 1. `subscriptions`, `by_uid` and `names` have the same things.
 * 2. `delayed` has every message that is published, to be delivered later, and not recorded as due.
 * 3. `lagging` has exactly the subscriptions that are not live and have room for lines, in the order in which they
 *    became so.
 */
#ifndef HF_CORE_QUEUE_H
#define HF_CORE_QUEUE_H

#include "core/subscription.h"

struct hf_queue {
    struct hf_table subscriptions;   /* by the name's id: struct hf_subscription, owned */
    struct hf_table by_uid;          /* by hf_uid_id: the same ones */
    struct hf_subscription *lagging; /* the first that wants a scan, or NULL */
    struct hf_table delayed;         /* by hf_place_id: struct hf_delayed, owned */
};

void hf_queue_init(struct hf_queue *queue, uint64_t seed);
void hf_queue_release(struct hf_queue *queue);
/* All invariants by walks; aborts if one is broken. */
void hf_queue_verify(const struct hf_queue *queue);

/* With its lines and texts. */
void hf_subscription_free(struct hf_subscription *subscription);
/* All invariants by walks; aborts if one is broken. */
void hf_subscription_verify(const struct hf_subscription *subscription);
/* When the node's timer has something to book: the earliest deadline of what is out, or the redrive task; UINT64_MAX:
 * never. A due entry (HF_KIND_SUBSCRIPTION, hf_uid_id) counts only if it has this time, so evolve pushes one whenever
 * it changes. */
uint64_t hf_subscription_timer_us(const struct hf_subscription *subscription);

/* NULL if there is none. */
struct hf_subscription *hf_queue_subscription(const struct hf_queue *queue, const struct hf_id *id);
struct hf_subscription *hf_queue_by_uid(const struct hf_queue *queue, uint64_t uid);
const struct hf_delayed *hf_queue_delayed(const struct hf_queue *queue, uint64_t position,
                                          uint32_t index);

/* Two numbers as an id, big-endian, so that the order of ids is theirs. */
static inline struct hf_id hf_pair_id(uint64_t high, uint64_t low)
{
    struct hf_id id;
    for (int i = 0; i < 8; i++) {
        id.bytes[i] = (uint8_t)(high >> (56 - 8 * i));
        id.bytes[8 + i] = (uint8_t)(low >> (56 - 8 * i));
    }
    return id;
}

/* A subscription's uid: `by_uid`, due. */
static inline struct hf_id hf_uid_id(uint64_t uid)
{
    return hf_pair_id(uid, 0);
}

/* Where a message is: `delayed`, due, the key of a message's own line. */
static inline struct hf_id hf_place_id(uint64_t position, uint32_t index)
{
    return hf_pair_id(position, index);
}

#endif
