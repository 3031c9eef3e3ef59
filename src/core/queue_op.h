/*
 * What operations on topics and subscriptions have beyond the fields of struct hf_op.
 *
 * Owns: struct hf_queue_op, its syntax rules, its frozen encoding (a part of fingerprints). Must never: look at state or a
 * clock. Called by: commands are built of them; decide reads them.
 *
 *   op                   hf_op                                       hf_queue_op
 *   publish              subject topic, id, type_text, data          key, key_hash, deliver_at
 *   ack, nack            subject subscription                        items[0]
 *   put_subscription     subject, expected_version                   settings, seek (from)
 *   delete_subscription  subject, expected_version                   —
 *   receive              subject, timeout_ms (lease) if has_timeout  max, consumer, attempt
 *   ack_batch            subject, timeout_ms (lease) of extend       act, items
 *   redrive              subject                                     redrive
 *   seek                 subject                                     seek
 */
#ifndef HF_CORE_QUEUE_OP_H
#define HF_CORE_QUEUE_OP_H

#include "core/queue_event.h"
#include "core/receipt.h"

/* What is done with receipts. Numbers are part of fingerprints. */
enum hf_act {
    HF_ACT_ACK = 1,
    HF_ACT_NACK,
    HF_ACT_EXTEND,
    HF_ACT_PARK,
};

struct hf_act_item {
    struct hf_receipt receipt;
    bool has_delay;      /* nack */
    uint64_t delay_ms;   /* if has_delay; ≤ HF_BACKOFF_MS_MAX */
    struct hf_str error; /* nack, park: why; or absent */
};

/* Where a subscription begins, or goes. Numbers are part of fingerprints. */
enum hf_seek_kind {
    HF_SEEK_BEGINNING = 1,
    HF_SEEK_NOW,
    HF_SEEK_POSITION, /* behind this position */
    HF_SEEK_TIME,     /* events of this time or later; the door finds the position */
};

struct hf_seek {
    enum hf_seek_kind kind;
    uint64_t
        position; /* POSITION, TIME: arrivals up to here don't count; of TIME no part of the fingerprint */
    uint64_t time_us; /* TIME */
};

enum hf_redrive_what {
    HF_REDRIVE_MESSAGE = 1, /* one */
    HF_REDRIVE_KEY,         /* those of a key, in their order */
    HF_REDRIVE_ALL,         /* at once, or with a rate */
    HF_REDRIVE_CANCEL,      /* the task */
};

struct hf_redrive {
    enum hf_redrive_what what;
    uint64_t position;          /* MESSAGE */
    uint32_t index;             /* MESSAGE */
    struct hf_str key;          /* KEY: partition key */
    struct hf_id key_hash;      /* KEY */
    uint32_t rate_per_s;        /* ALL: 0 = at once */
    struct hf_str error_filter; /* ALL: only errors that contain it; or absent */
    bool discard;               /* MESSAGE, KEY: give them up instead */
};

struct hf_queue_op {
    struct hf_str key;      /* publish */
    struct hf_id key_hash;  /* publish */
    bool has_deliver_at;    /* publish */
    uint64_t deliver_at_us; /* if has_deliver_at */
    enum hf_act act;        /* ack, nack, ack_batch */
    uint32_t item_count;    /* ack, nack: 1 */
    const struct hf_act_item *items;
    struct hf_subscription_settings settings; /* put_subscription */
    struct hf_seek seek;                      /* put_subscription: from; seek: to */
    uint32_t max;                             /* receive: messages */
    struct hf_str consumer;                   /* receive: or absent */
    struct hf_str attempt;                    /* receive: or absent */
    bool pushes;                              /* receive: by the server itself, for its push */
    struct hf_str disable_reason; /* put_subscription: only disables its push; or absent */
    struct hf_redrive redrive;
};

struct hf_act_fields {
    struct hf_str receipt, error;
    bool has_delay_ms;
    uint64_t delay_ms;
};

/*
 * An operation that has a route of its own, as flat fields; absent texts have ptr NULL, what has a flag counts only
 * with it. What the type does not take is not looked at.
 */
/* In the order of who takes them. */
struct hf_queue_fields {  /* NOLINT(clang-analyzer-optin.performance.Padding) */
    enum hf_op_type type; /* PUT_SUBSCRIPTION … SEEK */
    struct hf_str subscription;
    /* put_subscription, delete_subscription */
    bool has_expected_version;
    uint64_t expected_version;
    /* put_subscription */
    struct hf_filter_fields filter;
    struct hf_str order, exhausted; /* "key", "park_key"; absent: the default */
    struct hf_push_fields push;
    struct hf_str disable_reason; /* the server's own: nothing but disables the push; else absent */
    bool has_attempts_max, has_lease_ms, has_backoff_first_ms, has_backoff_max_ms,
        has_in_flight_max;
    uint64_t attempts_max, lease_ms, backoff_first_ms, backoff_max_ms, in_flight_max;
    /* put_subscription, seek; kind 0: BEGINNING (put_subscription only) */
    struct hf_seek seek;
    /* receive (lease_ms too) */
    bool has_max; /* else 10 */
    uint64_t max;
    struct hf_str consumer, attempt;
    bool pushes; /* the server's own */
    /* ack_batch (extend: lease_ms, needed) */
    enum hf_act act;
    const struct hf_act_fields *items;
    uint32_t item_count;
    /* redrive: exactly one of message ("17-0"), key, all, cancel */
    struct hf_str message, key, error_contains;
    bool all, cancel, discard, has_rate_per_s;
    uint64_t rate_per_s;
};

/* Adds the one operation of a command; a command has no other then. Pointers of what is malformed go into the route's body:
 * "/lease_ms", "/receipts/3". A receive with an attempt sets the command's key: "receive <subscription> <attempt>", which no
 * user's key can be; set no other. */
bool hf_command_add_queue_op(struct hf_command *command, const struct hf_queue_fields *fields,
                             struct hf_malformed *malformed) HF_WARN_UNUSED;

/* "17-0" in its one form. */
bool hf_message_id_parse(struct hf_str text, uint64_t *position, uint32_t *index) HF_WARN_UNUSED;

#endif
