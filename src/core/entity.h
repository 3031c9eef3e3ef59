/*
 * Things: accounts, holds, streams, documents, leases and transfers as plain values.
 *
 * Owns: their fields and the few sums that follow from them. Must never: hold a pointer into the
 * state's tables; names point to memory of whoever holds the value. Called by: state, decide,
 * commit codec, checkpoints, reads, renderers.
 *
 *   hold:   open ──capture (all or final)──► captured        account: open ◄──► frozen
 *             ├────void──────────────────► voided                       └────────┴──► closed
 *             └────expire────────────────► expired
 */
#ifndef HF_CORE_ENTITY_H
#define HF_CORE_ENTITY_H

#include "base/u128.h"
#include "core/command.h"
#include "core/name.h"

enum hf_kind {
    HF_KIND_NONE = 0,
    HF_KIND_ACCOUNT = 1,
    HF_KIND_TRANSFER = 2,
    HF_KIND_HOLD = 3,
    HF_KIND_STREAM = 4,
    HF_KIND_EVENT = 5,
    HF_KIND_DOCUMENT = 6,
    HF_KIND_LEASE = 7,
    HF_KIND_KEY = 8,
    HF_KIND_MESSAGE = 9,
    HF_KIND_SUBSCRIPTION = 10,
    HF_KIND_SAGA = 11,
    HF_KIND_SAGA_DEFINITION = 12,
    HF_KIND_COUNT,
};

const char *hf_kind_wire(enum hf_kind kind); /* "account" */

enum hf_account_state {
    HF_ACCOUNT_OPEN = 1,
    HF_ACCOUNT_FROZEN,
    HF_ACCOUNT_CLOSED,
};

/* The four totals of an account, each at most HF_TOTAL_MAX, debits and credits never netted. */
struct hf_totals {
    hf_u128 debits_posted;
    hf_u128 credits_posted;
    hf_u128 debits_pending;  /* outgoing holds */
    hf_u128 credits_pending; /* incoming holds */
};

/* posted = credits - debits */
static inline hf_i128 hf_totals_posted(const struct hf_totals *t)
{
    return (hf_i128)t->credits_posted - (hf_i128)t->debits_posted;
}

/* available = posted - outgoing pending. Its range: totals keep debits_posted + debits_pending
 * within HF_TOTAL_MAX, so this can't overflow. */
static inline hf_i128 hf_totals_available(const struct hf_totals *t)
{
    return (hf_i128)t->credits_posted - (hf_i128)(t->debits_posted + t->debits_pending);
}

/* posted + incoming pending: what the ceiling is compared with. */
static inline hf_i128 hf_totals_incoming(const struct hf_totals *t)
{
    return (hf_i128)(t->credits_posted + t->credits_pending) - (hf_i128)t->debits_posted;
}

/* What deciding looks at comes first: it lies in three cache lines (core/account_pool.h). */
struct hf_account {
    struct hf_name name;
    enum hf_account_state state;
    bool has_floor;   /* false: none */
    bool has_ceiling; /* false: none */
    bool hex_name; /* name.text is the hex form of name.id: told by what the state stores alone */
    uint32_t mark; /* scratch of whoever works on a strip: where its list has this account. Checked
                        against the list, never stored */
    uint64_t version;       /* entries written */
    uint64_t last_position; /* commit of the last entry; 0 = none */
    struct hf_totals totals;
    hf_i128 floor;   /* least available that a debit may leave */
    hf_i128 ceiling; /* most posted + incoming that a credit may leave */
    struct hf_asset asset;
    uint64_t modified_at_us;  /* time of the last entry, or of opening */
    uint64_t opened_position; /* commit that opened it */
    uint64_t opened_at_us;
    uint64_t metadata_position; /* commit whose payload is the metadata; 0 = none */
};

struct hf_hold {
    struct hf_name name;
    struct hf_name from;
    struct hf_name to;
    struct hf_asset asset;
    enum hf_hold_state state;
    hf_u128 amount;         /* reserved at first */
    hf_u128 captured;       /* posted so far */
    hf_u128 remaining;      /* still reserved; 0 unless open */
    uint64_t expires_at_us; /* 0 = never */
    uint64_t opened_position;
    uint64_t opened_at_us;
    uint64_t version;        /* changes, opening included: 1 at first */
    uint64_t last_position;  /* commit of the last change */
    uint64_t modified_at_us; /* its time */
    bool hex_name;           /* as of an account */
    uint32_t mark;           /* likewise */
    uint64_t
        owner; /* uid of the saga whose native step opened it; 0 = none. Captured and voided by that saga alone while it
                       has not ended */
};

struct hf_stream {
    struct hf_name name;
    uint64_t version;        /* events; > 0 */
    uint64_t modified_at_us; /* time of the last one */
    uint64_t last_position;  /* its commit */
};

struct hf_document {
    struct hf_name name;
    bool exists;      /* false: deleted */
    uint64_t version; /* of the last put, patch or delete; > 0 */
    uint64_t modified_at_us;
    uint64_t last_position; /* commit of the last change; its payload is the text */
    uint64_t bytes;         /* of the text; 0 if deleted */
};

struct hf_lease {
    struct hf_name name;
    struct hf_str owner;
    bool held;       /* false: released or expired */
    uint64_t token;  /* position of the acquire */
    uint64_t ttl_us; /* asked for last */
    uint64_t expires_at_us;
    uint64_t last_position;
    uint64_t modified_at_us;
};

enum hf_transfer_kind {
    HF_TRANSFER_PLAIN = 1,
    HF_TRANSFER_CAPTURE,
    HF_TRANSFER_REVERSAL,
};

struct hf_transfer {
    struct hf_name name;
    struct hf_name from;
    struct hf_name to;
    struct hf_name of; /* capture: the hold; reversal: the transfer; else absent */
    hf_u128 amount;    /* moved */
    hf_u128 requested; /* asked for: more than amount if balancing */
    hf_u128 reversed;  /* sum of its reversals (known to reads only) */
    uint64_t position;
    uint64_t posted_at_us;
    uint64_t effective_at_us;   /* for statements */
    struct hf_payload metadata; /* or absent */
    enum hf_transfer_kind kind;
    uint32_t code;                         /* of a packed record, or 0 */
    uint8_t user_data[HF_USER_DATA_BYTES]; /* likewise, or zero */
    struct hf_asset asset;
    bool up_to; /* balancing */
    bool has_effective_at;
};

/* A published message, by its id: where it is. */
struct hf_message {
    struct hf_name name; /* message id */
    struct hf_name topic;
    struct hf_str key;
    uint64_t position; /* of the commit that published it */
    uint32_t index;    /* of its event */
};

/* What a retry of a change to a subscription needs to know. */
struct hf_subscription_head {
    struct hf_name name;
    uint64_t uid;     /* position of the commit that created it */
    uint64_t version; /* of its settings */
    uint64_t modified_at_us;
};

/* What a retry of a change to a saga needs to know. */
struct hf_saga_head {
    struct hf_name name;
    uint64_t version;
    uint8_t state; /* an enum hf_saga_state (core/saga_event.h) */
    uint64_t modified_at_us;
};

struct hf_saga_definition_head {
    struct hf_name name;
    uint64_t version;
};

/* Any of them, as `current` in a refusal or as the answer of a read. */
struct hf_entity {
    enum hf_kind kind; /* NONE: null */
    union {
        struct hf_account account;
        struct hf_transfer transfer;
        struct hf_hold hold;
        struct hf_stream stream;
        struct hf_document document;
        struct hf_lease lease;
        struct hf_message message;
        struct hf_subscription_head subscription;
        struct hf_saga_head saga;
        struct hf_saga_definition_head saga_definition;
    };
    /* document: the last change, for a retry */
    struct hf_str last_change_key; /* key of the commit that made it, or absent */
};

#endif
