/*
 * Subscriptions: lines of messages that have arrived and not ended (docs/adr/0009-subscriptions.md has the
 * rules and the picture; this is their state).
 *
 * Owns: the lines, their places in the lists by which they are found, the sums that are told. Must never: do I/O,
 * ask a clock, keep a node for a message that only waits behind another. Called by: state (evolve), decide,
 * reads, checkpoints.
 *
 * 1. A line has first ≤ last; messages first … next-1 are out, next … last wait. next == first unless OUT.
 * 2. A line is in exactly one of: the ready list, the backing-off heap, the out heap, the parked list.
 * 3. Message `first` is at `place`; message n > first at index record (HF_INDEX_LINE, uid of the line, n).
 * 4. Of an unordered subscription the main line (key hash zero) is only ever ready (never out); every other line has one
 *    message.
 * 5. live: every arrival up to the state's position is in the lines. Else: up to `scanned`.
 * 6. waiting + in_flight + parked = arrived − ended.
 */
#ifndef HF_CORE_SUBSCRIPTION_H
#define HF_CORE_SUBSCRIPTION_H

#include "base/table.h"
#include "core/names.h"
#include "core/queue_event.h"

enum hf_line_state {
    HF_LINE_READY = 1,
    HF_LINE_BACKING_OFF,
    HF_LINE_OUT,
    HF_LINE_PARKED,
};

struct hf_line {
    struct hf_id key;      /* hash of the key; of a message's own line: its place */
    uint64_t uid;          /* of this line, for its index records; never used again */
    uint64_t first;        /* number of the first message that has not ended */
    uint64_t next;         /* first one that is not out */
    uint64_t last;         /* newest one */
    struct hf_place place; /* of `first` */
    uint64_t delivered_to; /* highest number ever out: those up to it have a history */
    uint64_t token;        /* OUT: position of the receive */
    uint64_t due_us;       /* OUT: deadline; BACKING_OFF: not before */
    uint64_t lease_ms;     /* OUT: for a fresh term */
    uint32_t tries;        /* failed ones of `first` */
    enum hf_line_state state;
    uint64_t order;          /* READY, PARKED: place in the list, ascending */
    uint64_t event_position; /* PARKED: commit that parked it, with the error */
    uint64_t parked_at_us;   /* PARKED: its time */
    struct hf_line *before;  /* READY, PARKED: neighbours in the list… */
    struct hf_line *behind;
    size_t heap_index; /* OUT, BACKING_OFF: place in the heap */
};

struct hf_line_list {
    struct hf_line *first; /* oldest */
    struct hf_line *last;
    size_t count;
};

/* By (due_us, uid). */
struct hf_line_heap {
    struct hf_line **items; /* owned array */
    size_t count;
    size_t capacity;
};

struct hf_redrive_task {
    bool active;
    uint32_t rate_per_s;
    struct hf_str error_filter; /* owned, or absent */
    uint64_t until_order;       /* lines parked later are not of it */
    uint64_t next_order;        /* go on behind this one */
    uint64_t next_us;           /* when */
    uint64_t moved;             /* so far */
    uint64_t total;             /* parked lines at its start */
};

struct hf_subscription {
    struct hf_name name;
    uint64_t uid;                             /* position of the commit that created it */
    uint64_t version;                         /* of the settings and seeks, 1 at first */
    struct hf_subscription_settings settings; /* texts owned */
    uint64_t created_at_us;
    uint64_t modified_at_us;
    bool live;
    uint64_t scanned;      /* if not live; with every commit else */
    struct hf_table lines; /* by key: struct hf_line, owned */
    struct hf_line_list ready;
    struct hf_line_list parked;
    struct hf_line_heap backing_off;
    struct hf_line_heap out;
    uint64_t next_order; /* for list places */
    struct hf_redrive_task redrive;
    /* sums since it was made (seek clears waiting, in_flight, parked) */
    uint64_t arrived; /* messages */
    uint64_t ended;
    uint64_t acked;
    uint64_t discarded;
    uint64_t deliveries;
    uint64_t failed_tries; /* nacked or timed out */
    uint64_t parkings;
    uint64_t in_flight;                   /* messages out now */
    uint64_t waiting;                     /* in lines, neither out nor a parked first */
    uint64_t last_settled_us;             /* time of the newest ack; 0 = none: for `stalled` */
    struct hf_subscription *lagging_next; /* of the state's list of those that want a scan */
};

/* A message that is published and not due. */
struct hf_delayed {
    uint64_t due_us;
    struct hf_message_due message; /* texts owned, behind this struct */
};

/* Is there something that a receive at now_us would deliver? */
bool hf_subscription_ready(const struct hf_subscription *subscription, uint64_t now_us);
/* When the next line stops backing off; UINT64_MAX: none. */
uint64_t hf_subscription_next_ready_us(const struct hf_subscription *subscription);

#endif
