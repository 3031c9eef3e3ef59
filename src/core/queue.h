/*
 * Queues: the part of the state that topics and subscriptions have.
 *
 * Owns: delayed messages and the tables by which subscriptions are found (their lines: subscription.h). Must
 * never: do I/O, ask a clock, keep anything of a message that has arrived. Called by: state, decide, reads, checkpoints.
 *
 * 1. `subscriptions`, `by_uid` and `names` have the same things; each is once in the readers of its filter's topic, or
 *    in `others`.
 * 2. `delayed` has every message that is published, to be delivered later, and not recorded as due; `delayed_topics`
 *    how many of each topic.
 * 3. `lagging` has exactly the subscriptions that want a scan: not live, and at most half as many lines as they may
 *    have.
 * 4. The state's due times have (due_us, uid) of every subscription whose due_us is not UINT64_MAX; due_us is not
 *    later than its timer, but while the entry is taken out. What comes too early is put in again at the timer: so a
 *    receive and its ack need no entry each.
 * 5. line_count is the sum of all subscriptions' lines.
 */
#ifndef HF_CORE_QUEUE_H
#define HF_CORE_QUEUE_H

#include "core/subscription.h"

struct hf_commit;
struct hf_feed_event;

/* Subscriptions whose filter names a topic (or none), in any order. */
struct hf_readers {
    struct hf_subscription **items; /* owned array */
    size_t count;
    size_t capacity;
};

/* An event of the commit that memory is reserved for, and a live subscription at which it arrives. */
struct hf_match {
    struct hf_subscription *subscription; /* NULL: deleted by this very commit */
    struct hf_arrival arrival;
};

struct hf_delayed_topic {
    uint64_t count; /* of messages; 0 only while one is reserved for */
};

struct hf_queue {
    struct hf_table subscriptions;         /* by the name's id: struct hf_subscription, owned */
    struct hf_table by_uid;                /* by hf_uid_id: the same ones */
    struct hf_names names;                 /* their nodes lie behind them */
    struct hf_table readers;               /* by topic's id: struct hf_readers, owned */
    struct hf_readers others;              /* of no single topic */
    struct hf_subscription *lagging_first; /* oldest of those that want a scan */
    struct hf_subscription *lagging_last;
    size_t live_count;              /* subscriptions that are live */
    uint64_t line_count;            /* lines of all subscriptions together */
    struct hf_table delayed;        /* by hf_place_id: struct hf_delayed, owned */
    struct hf_table delayed_topics; /* by topic's id: struct hf_delayed_topic, owned */
    struct hf_line *spares;         /* nodes for new lines, by list_behind */
    size_t spare_count;             /* of them */
    struct hf_match *matches;       /* of the commit that is reserved for, in event order; owned */
    size_t match_count;
    size_t match_capacity;
    bool too_many; /* they would be more than HF_COMMIT_ARRIVALS_MAX: `matches` is empty */
    uint64_t seed; /* of tables */
    /* while canonical records are read */
    struct hf_subscription *loading; /* whose lines follow */
    uint64_t loading_left;           /* of them */
    unsigned loading_group;          /* the group of lines that is being read */
    uint64_t loading_uid;            /* of the line read last, if its group goes by uid */
    bool has_loaded;                 /* a subscription was read… */
    struct hf_id loaded_id;          /* …this one last */
};

void hf_queue_init(struct hf_queue *queue, uint64_t seed);
void hf_queue_release(struct hf_queue *queue);
/* All invariants by walks; aborts if one is broken. */
void hf_queue_verify(const struct hf_queue *queue);

/* When the node's timer has something to book: the earliest deadline of what is out, or the redrive task; UINT64_MAX:
 * never. A due entry (HF_KIND_SUBSCRIPTION, hf_uid_id) counts only if it has the subscription's due_us; evolve pushes
 * one when the timer is before that. */
uint64_t hf_subscription_timer_us(const struct hf_subscription *subscription);

/* Room for one more subscription of this filter, in all that it is entered in. */
bool hf_queue_reserve_subscription(struct hf_queue *queue,
                                   const struct hf_filter *filter) HF_WARN_UNUSED;
/* Into tables, names and readers; room is reserved. The subscription is the queue's in any case. false: its text is there
 * under another id, or (damage) the commit that makes it took its room away. */
bool hf_queue_enter(struct hf_queue *queue, struct hf_subscription *subscription) HF_WARN_UNUSED;
/* Out of everything, and freed. */
void hf_queue_drop(struct hf_queue *queue, struct hf_subscription *subscription);
void hf_queue_set_live(struct hf_queue *queue, struct hf_subscription *subscription, bool live);
/* Enters it in or takes it out of the lagging list, as invariant 3 says. */
void hf_queue_note_lag(struct hf_queue *queue, struct hf_subscription *subscription);

/* It had its turn: to the end of the lagging list, if it is in it. The list's order is in no canonical bytes. */
void hf_queue_rotate(struct hf_queue *queue, uint64_t uid);

/* Nodes for new lines: reserve keeps `count` ready, take never fails then, give takes an unused one back. */
bool hf_queue_reserve_lines(struct hf_queue *queue, size_t count) HF_WARN_UNUSED;
struct hf_line *hf_queue_take_line(struct hf_queue *queue);
void hf_queue_give_line(struct hf_queue *queue, struct hf_line *line);

/* What messages cost of memory, counted: lines, and messages that are not due. */
uint64_t hf_queue_load(const struct hf_queue *queue);
/* How much a commit that memory is reserved for may add to it, at most; what is to be counted against which limit. */
struct hf_queue_growth {
    uint64_t arriving;   /* lines that its arrivals begin, messages that it delays */
    uint64_t delivering; /* lines that its deliveries begin */
};
struct hf_queue_growth hf_queue_growth_of(const struct hf_queue *queue,
                                          const struct hf_commit *commit);

/* What arrives with an event that does (hf_filter_arrives). */
struct hf_arrival hf_queue_arrival(const struct hf_commit *commit,
                                   const struct hf_feed_event *event);

/* The item that ended a try of the message, or the message; NULL: none did. */
const struct hf_settled_item *hf_settled_find(const struct hf_settled *settled,
                                              const struct hf_place *message);

/* NULL if there is none. */
struct hf_subscription *hf_queue_subscription(const struct hf_queue *queue, const struct hf_id *id);
struct hf_subscription *hf_queue_by_uid(const struct hf_queue *queue, uint64_t uid);
const struct hf_delayed *hf_queue_delayed(const struct hf_queue *queue, uint64_t position,
                                          uint32_t index);
/* Room for one more delayed message of this topic, and `more` others. */
bool hf_queue_reserve_delayed(struct hf_queue *queue, const struct hf_id *topic,
                              size_t more) HF_WARN_UNUSED;
/* The queue's from now on; room is reserved. */
void hf_queue_put_delayed(struct hf_queue *queue, struct hf_delayed *delayed);
/* Out of the queue and freed; it is there. */
void hf_queue_drop_delayed(struct hf_queue *queue, const struct hf_place *place);
/* Messages of this topic that are not due. */
uint64_t hf_queue_delayed_count(const struct hf_queue *queue, const struct hf_id *topic);

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
