/*
 * Commits: what the log holds. A commit is a list of events: facts with resulting balances and
 * versions, never commands.
 *
 * Owns: the events' fields and their frozen encoding (docs/disk-format.md). Must never: look at
 * state; change the meaning of a stored byte. Called by: decide makes them, evolve applies them, the
 * log stores them as frames, everything that reads history decodes them.
 *
 * 1. Encoding is canonical: one value, one form; decode refuses any other.
 * 2. A frame is record + payload: the record holds the SHA-256 of each text and is what the chain
 *    covers; the texts follow in the record's order.
 * 3. Decoded names and texts point into the frame's memory.
 */
#ifndef HF_CORE_COMMIT_H
#define HF_CORE_COMMIT_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/errors.h"
#include "core/alert.h"
#include "core/entity.h"
#include "core/queue_event.h"
#include "core/saga_event.h"

/* Numbers are stored. */
enum hf_event_type {
    HF_EVENT_ACCOUNT_OPENED = 1,
    HF_EVENT_ACCOUNT_CHANGED = 2,
    HF_EVENT_TRANSFER_POSTED = 3,
    HF_EVENT_HOLD_OPENED = 4,
    HF_EVENT_HOLD_CAPTURED = 5,
    HF_EVENT_HOLD_VOIDED = 6,
    HF_EVENT_HOLD_EXPIRED = 7,
    HF_EVENT_HOLD_EXTENDED = 8,
    HF_EVENT_STREAM_APPENDED = 9,
    HF_EVENT_DOCUMENT_PUT = 10,
    HF_EVENT_DOCUMENT_DELETED = 11,
    HF_EVENT_LEASE_ACQUIRED = 12,
    HF_EVENT_LEASE_RENEWED = 13,
    HF_EVENT_LEASE_RELEASED = 14,
    HF_EVENT_LEASE_EXPIRED = 15,
    HF_EVENT_REFUSED = 16,       /* the decision was no; what was refused is remembered */
    HF_EVENT_KEY_CANCELLED = 17, /* the key will never do anything */
    HF_EVENT_TAKEOVER = 18,      /* a new owner: epoch, fresh terms for leases */
    HF_EVENT_CHECKPOINT = 19,    /* a checkpoint was stored */
    HF_EVENT_TAIL_CUT = 20,      /* recovery cut a torn tail */
    HF_EVENT_FEATURE_LEVEL = 21, /* what an older binary must refuse */
    HF_EVENT_MESSAGE_PUBLISHED = 22,
    HF_EVENT_MESSAGE_DUE = 23,      /* a delayed message arrives */
    HF_EVENT_SUBSCRIPTION_PUT = 24, /* made, or other settings */
    HF_EVENT_SUBSCRIPTION_DELETED = 25,
    HF_EVENT_SUBSCRIPTION_SCANNED = 26, /* arrivals of the past are in its lines */
    HF_EVENT_SUBSCRIPTION_SOUGHT = 27,
    HF_EVENT_MESSAGES_DELIVERED = 28, /* a receive */
    HF_EVENT_MESSAGES_SETTLED = 29,   /* acked, nacked, timed out, parked, discarded */
    HF_EVENT_DELIVERY_EXTENDED = 30,
    HF_EVENT_MESSAGES_REDRIVEN = 31,
    HF_EVENT_SAGA_DEFINED = 32,
    HF_EVENT_SAGA_STARTED = 33,
    HF_EVENT_SAGA_CHANGED = 34,
    HF_EVENT_SAGA_ENDED = 35,
    HF_EVENT_SAGA_VERBS = 36, /* a page of a bulk: what became of it as a whole */
    HF_EVENT_ALERT_RAISED = 40,
    HF_EVENT_ALERT_CLEARED = 41,
    HF_EVENT_UNIT_REFUSED =
        42, /* of a commit of units: one of them was decided with no; its ids are spent */
    HF_EVENT_TYPE_COUNT,
};

/* Of a set of event types. */
#define HF_EVENT_BIT(type) (UINT64_C(1) << (type))

/* "holdfast.transfer.posted", "system.…"; a stream event's and a message's own type is the user's. */
const char *hf_event_wire(enum hf_event_type type);

/* Of this binary: 1 at first, 2 topics and subscriptions, 3 sagas and alerts, 4 commits of units, 5 the alert
 * memory_low and what a packed record said in a refusal's current transfer, 6 holds in strips. */
#define HF_FEATURE_LEVEL 6
#define HF_NO_OPERATION  UINT32_MAX /* event of no operation: expiry, system */

/* An account behind a change: its entry. */
struct hf_side {
    struct hf_name account;
    uint64_t version;           /* after */
    struct hf_totals totals;    /* after */
    uint64_t previous_position; /* of its previous entry, 0 = none (may be this commit) */
};

/* TRANSFER_POSTED, HOLD_*: money moved or reserved. */
struct hf_posting {
    struct hf_transfer transfer; /* TRANSFER_POSTED, HOLD_CAPTURED; from, to, position and time are
                                    not stored again. User data and code of HOLD_OPENED and HOLD_VOIDED, too;
                                    the name of a HOLD_VOIDED is the id of the act, if it had one */
    hf_u128 reversed_after;      /* reversal: sum of reversals of `of` with this one */
    struct hf_hold hold;         /* HOLD_*: after */
    hf_u128 released;            /* HOLD_CAPTURED, VOIDED, EXPIRED: given back without posting */
    struct hf_side debit;        /* not of HOLD_EXTENDED */
    struct hf_side credit;       /* not of HOLD_EXTENDED */
};

enum hf_account_change {
    HF_CHANGE_LIMITS = 1,
    HF_CHANGE_METADATA,
    HF_CHANGE_FROZEN,
    HF_CHANGE_UNFROZEN,
    HF_CHANGE_CLOSED,
};

struct hf_account_changed {
    enum hf_account_change change;
    bool has_asset;        /* events of before 2026-11-26 don't tell it */
    struct hf_asset asset; /* the account's, for filters of the feed */
    struct hf_side side;
    enum hf_account_state state; /* after */
    bool has_floor, has_ceiling; /* after */
    hf_i128 floor, ceiling;      /* after; 0 if none */
    struct hf_payload metadata;  /* HF_CHANGE_METADATA */
};

struct hf_appended {
    struct hf_name stream;
    uint64_t version;   /* of the stream after = number of this event */
    struct hf_str type; /* user's */
    bool has_id;
    struct hf_name id;        /* if has_id */
    uint8_t content_hash[16]; /* if has_id: of the operation, for replay */
    struct hf_payload data;
};

struct hf_document_changed {
    struct hf_name document;
    uint64_t version;       /* after */
    bool patched;           /* by merge patch */
    struct hf_payload data; /* resulting text; absent if deleted */
};

enum hf_where {
    HF_WHERE_NONE = 0,
    HF_WHERE_IF,
    HF_WHERE_DO,
};

/* A transfer or hold id that a refusal spent. */
struct hf_spent {
    enum hf_kind kind; /* TRANSFER or HOLD */
    struct hf_name name;
};

struct hf_refused {
    enum hf_err code;
    enum hf_where where;      /* which list… */
    uint32_t index;           /* …and which item of it */
    struct hf_entity current; /* what a retry needs to know, or kind NONE */
    uint32_t spent_count;
    const struct hf_spent *spent; /* in the decoder's or draft's arena */
};

/* UNIT_REFUSED; the event's operation is the unit's first. */
struct hf_unit_refused {
    struct hf_refused refused; /* its index is that of an operation in the unit */
    uint32_t count;            /* operations of the unit */
    uint8_t content_hash[16];  /* of them, for replay (decide_same.c) */
};

struct hf_system {
    uint64_t epoch;      /* TAKEOVER */
    struct hf_str owner; /* TAKEOVER: who */
    uint64_t position;   /* CHECKPOINT: of the state that it holds */
    struct hf_hash hash; /* CHECKPOINT: of its canonical state */
    uint64_t segment;    /* TAIL_CUT */
    uint64_t offset;     /* TAIL_CUT */
    uint64_t bytes;      /* TAIL_CUT */
    uint64_t level;      /* FEATURE_LEVEL */
};

struct hf_event {
    enum hf_event_type type;
    uint32_t operation; /* index in `do`, or HF_NO_OPERATION */
    union {
        struct hf_account opened; /* ACCOUNT_OPENED */
        struct hf_account_changed changed;
        struct hf_posting posting;
        struct hf_appended appended;
        struct hf_document_changed document;
        struct hf_lease lease;
        struct hf_refused refused;
        struct hf_unit_refused unit_refused;
        struct hf_system system;
        struct hf_published published; /* MESSAGE_PUBLISHED */
        struct hf_message_due due;     /* MESSAGE_DUE */
        struct hf_scanned scanned;     /* SUBSCRIPTION_SCANNED */
        struct hf_delivered delivered; /* MESSAGES_DELIVERED */
        struct hf_settled settled;     /* MESSAGES_SETTLED */
        struct hf_extended extended;   /* DELIVERY_EXTENDED */
        struct hf_redriven redriven;   /* MESSAGES_REDRIVEN */
        struct hf_alert_event alert;   /* ALERT_RAISED, ALERT_CLEARED */
        const struct hf_subscription_change *
            subscription; /* SUBSCRIPTION_PUT, _DELETED, _SOUGHT; in the decoder's or draft's arena */
        struct hf_saga_defined saga_defined;   /* SAGA_DEFINED */
        const struct hf_saga_changed *saga;    /* SAGA_STARTED, _CHANGED, _ENDED; likewise */
        const struct hf_saga_bulk *saga_verbs; /* SAGA_VERBS; likewise */
    };
    struct hf_payload opened_metadata; /* ACCOUNT_OPENED */
};

struct hf_strip; /* core/strip.h */

enum hf_commit_origin {
    HF_ORIGIN_CLIENT = 1, /* a principal's command */
    HF_ORIGIN_SYSTEM,     /* timers, takeover, checkpoint */
};

struct hf_commit {
    uint32_t space; /* 0 for now */
    uint64_t position;
    uint64_t time_us;
    enum hf_commit_origin origin;
    struct hf_str principal; /* client's; absent for the system */
    struct hf_str key;       /* or absent */
    bool has_fingerprint;    /* with a key */
    bool each;               /* of units, each decided by itself (HF_COMMAND_EACH) */
    bool has_ops_hash; /* it replays by id: no condition, and every operation named a new id */
    uint8_t fingerprint[16];
    uint8_t ops_hash[16];
    uint32_t operation_count;   /* of the command */
    struct hf_payload metadata; /* or absent */
    uint32_t event_count;
    struct hf_event **events; /* in an arena */
    /* Plain packed records (core/strip.h), or NULL. They are the last ones of `events` if it is expanded; else they are not
     * among them, and are counted on from event_count. */
    const struct hf_strip *strip;
    bool expanded;
};

/* The frame (two lengths, record, payload) appended to `to`. false if memory is short. */
bool hf_commit_encode(const struct hf_commit *commit, struct hf_buffer *to) HF_WARN_UNUSED;

/* Decodes a frame's record and payload strictly, and expands; payload hashes are not verified here.
 * HF_ERR_CORRUPT with what was wrong, or HF_ERR_NO_MEMORY. */
enum hf_err hf_commit_decode(const void *record, size_t record_bytes, const void *payload,
                             size_t payload_bytes, struct hf_arena *arena, struct hf_commit *commit,
                             struct hf_error *error) HF_WARN_UNUSED;

/* The same, but a strip stays one. */
enum hf_err hf_commit_decode_compact(const void *record, size_t record_bytes, const void *payload,
                                     size_t payload_bytes, struct hf_arena *arena,
                                     struct hf_commit *commit,
                                     struct hf_error *error) HF_WARN_UNUSED;

/* The same, but of a strip only what its parts are found by: for a few events of a stored commit, whose checksum vouches for
 * the rest. Its accounts are read when an event is asked for; it can't be applied. */
enum hf_err hf_commit_glance(const void *record, size_t record_bytes, const void *payload,
                             size_t payload_bytes, struct hf_arena *arena, struct hf_commit *commit,
                             struct hf_error *error) HF_WARN_UNUSED;

/* Makes the events of the strip, if there is one, in its arena. false: memory is short, and nothing has changed. */
bool hf_commit_expand(struct hf_commit *commit) HF_WARN_UNUSED;

/* Events, those of a strip included. */
uint32_t hf_commit_event_total(const struct hf_commit *commit);
/* One of them; NULL: there is none of this number, or memory is short. */
const struct hf_event *hf_commit_event(const struct hf_commit *commit, uint32_t number);

/* The time of a commit, without decoding it; 0: it can't be read. */
uint64_t hf_commit_time(const void *record, size_t record_bytes, const void *payload,
                        size_t payload_bytes);

/* The type of the only event of a commit, without decoding it; 0: there are more or none, or that can't be read. */
unsigned hf_commit_only_event(const void *record, size_t record_bytes, const void *payload,
                              size_t payload_bytes);

/* Do the texts have their SHA-256, and the names their 128 bits? For verification. */
enum hf_err hf_commit_verify_texts(const struct hf_commit *commit, struct hf_error *error);

/* A unit of one operation of a commit of units, as if it had been a commit of its own: its operation is number 0, its refusal
 * is the commit's. The event is the unit's. In arena; NULL: memory is short. */
const struct hf_commit *hf_commit_unit(const struct hf_commit *commit, const struct hf_event *event,
                                       struct hf_arena *arena);

/* The refusal of a refused commit, or NULL. */
const struct hf_refused *hf_commit_refusal(const struct hf_commit *commit);

#endif
