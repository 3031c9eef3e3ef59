/*
 * The log events of topics and subscriptions (docs/adr/0009-subscriptions.md): facts, with results.
 *
 * Owns: their fields. Must never: hold a rule (how long to back off is decided, and the outcome stands in the
 * event). Called by: commit.h (a commit's event is one of them), decide and evolve of subscriptions.
 */
#ifndef HF_CORE_QUEUE_EVENT_H
#define HF_CORE_QUEUE_EVENT_H

#include "core/filter.h"
#include "core/push.h"

/* Where a message is: of its own event (MESSAGE_PUBLISHED, or any feed event), also if MESSAGE_DUE brought it. */
struct hf_place {
    uint64_t position;
    uint32_t index;
    uint32_t bytes; /* of its data, for limits of a receive */
};

struct hf_published {
    struct hf_name topic;
    struct hf_str key;     /* ordering key: 1–128 bytes, name syntax */
    struct hf_id key_hash; /* first 16 bytes of SHA-256(key) */
    struct hf_str type;    /* user's */
    bool has_id;
    struct hf_name id;        /* message id, unique for ever, if has_id */
    uint8_t content_hash[16]; /* if has_id: of the operation, for replay */
    uint64_t deliver_at_us;   /* 0, or later than the commit's time: it arrives by MESSAGE_DUE */
    struct hf_payload data;
    uint64_t position; /* of this event: its commit's; not stored again… */
    uint32_t index;    /* …and its index */
};

/* A delayed message arrives. */
struct hf_message_due {
    struct hf_place message; /* its MESSAGE_PUBLISHED */
    struct hf_name topic;
    struct hf_str key;
    struct hf_id key_hash;
    struct hf_str type;
};

enum hf_subscription_order {
    HF_ORDER_KEY = 1,
    HF_ORDER_NONE,
};

enum hf_exhausted {
    HF_EXHAUSTED_PARK_KEY = 1,
    HF_EXHAUSTED_PARK_MESSAGE,
    HF_EXHAUSTED_BLOCK,
};

/* What a PUT gives. filter, order and from never change. */
struct hf_subscription_settings {
    struct hf_filter filter;
    enum hf_subscription_order order;
    enum hf_exhausted exhausted;
    uint32_t attempts_max; /* deliveries in all: 1–1000; default 6 */
    uint64_t lease_ms;     /* of a receive that names none: 1,000–43,200,000; default 30,000 */
    uint64_t backoff_first_ms;  /* 0–86,400,000; default 1,000 */
    uint64_t backoff_max_ms;    /* ≥ first, ≤ 86,400,000; default 300,000 */
    uint32_t in_flight_max;     /* 1–100,000; default 1,000 */
    const struct hf_push *push; /* it is sent by Holdfast; NULL: it is received from */
    uint32_t lines_max; /* nobody's choice but tests': HF_QUEUE_LINES_MAX when it was made */
};

/* SUBSCRIPTION_PUT, _DELETED, SOUGHT. */
struct hf_subscription_change {
    struct hf_name subscription;
    uint64_t uid;                             /* position of the commit that created it */
    uint64_t version;                         /* after */
    struct hf_subscription_settings settings; /* PUT */
    uint64_t scanned; /* PUT of a new one, SOUGHT: arrivals up to here don't count */
};

struct hf_arrival {
    struct hf_place message;
    struct hf_id key_hash;
};

/* Arrivals of the past, taken into the lines. */
struct hf_scanned {
    struct hf_name subscription;
    uint64_t uid;
    uint64_t from;    /* scanned before */
    uint64_t through; /* scanned after: all of (from, through] was looked at */
    uint32_t count;
    const struct hf_arrival *arrivals; /* in arrival order */
};

/* A message that goes out. */
struct hf_delivery {
    struct hf_id
        line; /* key hash of its line as it is while out (a message's own line: of its place) */
    struct hf_id from_line; /* the line that it was taken from: the same, or the main line */
    uint64_t number;        /* in its line */
    struct hf_place message;
    uint32_t attempt;           /* 1 + failed tries */
    uint64_t previous_position; /* of the commit with its newest event before; 0 = none */
    struct hf_place
        behind; /* the last one of a group, or out of the main line: the message that waits
                               behind it, so that an ack need not look for it; position 0 = none */
};

struct hf_delivered {
    struct hf_name subscription;
    uint64_t uid;
    struct hf_str
        consumer; /* who says to be asking; may be absent (the principal is the commit's) */
    uint64_t lease_ms;
    uint64_t deadline_us; /* commit time + lease */
    uint32_t count;
    const struct hf_delivery *deliveries; /* a group's stand together, numbers ascending */
};

enum hf_settlement {
    HF_SETTLED_ACKED = 1,
    HF_SETTLED_NACKED,    /* a try counted; it backs off */
    HF_SETTLED_TIMED_OUT, /* the same, by time */
    HF_SETTLED_PARKED,    /* tries used up, or asked for: a dead letter */
    HF_SETTLED_DISCARDED, /* a dead letter that was given up */
};

/* The end of a try. Later ones of its group go back uncounted (but for ACKED, DISCARDED). */
struct hf_settled_item {
    enum hf_settlement settlement;
    enum hf_err
        code; /* OK; of a batch's item that was refused: why, and nothing else is set but line and number */
    struct hf_id line;
    uint64_t number;
    struct hf_place message;
    uint64_t token; /* of the delivery; 0: it was not out (DISCARDED) */
    uint32_t tries; /* failed ones after this */
    bool own_line;  /* PARKED by park_message: it leaves its line */
    bool
        repeated; /* ACKED before, with this token: nothing changes; previous_position tells where */
    uint64_t not_before_us; /* NACKED, TIMED_OUT */
    uint64_t previous_position;
    struct hf_str error; /* NACKED, PARKED: ≤ HF_QUEUE_ERROR_BYTES_MAX; or absent */
};
#define HF_QUEUE_ERROR_BYTES_MAX 512

struct hf_settled {
    struct hf_name subscription;
    uint64_t uid;
    bool batch; /* of a batch: items answer one by one */
    uint32_t count;
    const struct hf_settled_item *items;
};

/* EXTENDED: of a group. */
struct hf_extended {
    struct hf_name subscription;
    uint64_t uid;
    struct hf_id line;
    uint64_t number;
    uint64_t token;
    uint64_t lease_ms;
    uint64_t deadline_us;
    enum hf_err code; /* as in hf_settled_item */
};

enum hf_redrive_step {
    HF_REDRIVE_MOVED = 1, /* these lines are ready again; the task, if any, goes on */
    HF_REDRIVE_STARTED,   /* a task with a rate */
    HF_REDRIVE_DONE,      /* moved, and the task has ended */
    HF_REDRIVE_CANCELLED,
};

struct hf_redriven {
    struct hf_name subscription;
    uint64_t uid;
    enum hf_redrive_step step;
    uint32_t rate_per_s;        /* STARTED; 1–10,000 */
    struct hf_str error_filter; /* STARTED: only errors that contain it; or absent */
    uint64_t until_order;       /* STARTED: only what was parked up to then (park order) */
    uint64_t total;             /* STARTED: parked lines then */
    uint64_t through_order;     /* MOVED, DONE by a task: looked at up to here; 0: not by a task */
    uint64_t next_us;           /* STARTED, MOVED by a task: when it goes on */
    uint32_t count;
    const struct hf_id *lines; /* MOVED, DONE: key hashes */
};

#endif
