/*
 * Commands: what a client asks for, checked as far as it can be without any state.
 *
 * Owns: the decoded form of a commit's conditions and operations, their syntax rules, and the
 * frozen encoding that fingerprints are made of. Must never: look at state, a clock or a socket.
 * Called by: api's decoders and the library build commands; node carries them; decide reads them.
 *
 * 1. A command is immutable after hf_command_finish.
 * 2. All texts in it are copies in its arena or borrowed from memory that its owner keeps as long.
 * 3. Malformed input is HF_ERR_INVALID_REQUEST (or TOO_LARGE) with a JSON pointer to the place.
 */
#ifndef HF_CORE_COMMAND_H
#define HF_CORE_COMMAND_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/errors.h"
#include "base/limits.h"
#include "base/sha256.h"
#include "base/u128.h"
#include "core/name.h"

/* X(NAME, "wire name") in the order of their frozen numbers, from 1. */
#define HF_OPERATIONS(X)                                                                           \
    X(OPEN_ACCOUNT, "open_account")                                                                \
    X(SET_LIMITS, "set_limits")                                                                    \
    X(SET_METADATA, "set_metadata")                                                                \
    X(FREEZE, "freeze")                                                                            \
    X(UNFREEZE, "unfreeze")                                                                        \
    X(CLOSE_ACCOUNT, "close_account")                                                              \
    X(TRANSFER, "transfer")                                                                        \
    X(REVERSE, "reverse")                                                                          \
    X(HOLD, "hold")                                                                                \
    X(CAPTURE, "capture")                                                                          \
    X(VOID, "void")                                                                                \
    X(EXTEND, "extend")                                                                            \
    X(APPEND, "append")                                                                            \
    X(PUT, "put")                                                                                  \
    X(PATCH, "patch")                                                                              \
    X(DELETE, "delete")                                                                            \
    X(ACQUIRE, "acquire")                                                                          \
    X(RENEW, "renew")                                                                              \
    X(RELEASE, "release")                                                                          \
    X(PUBLISH, "publish")                                                                          \
    X(ACK, "ack")                                                                                  \
    X(NACK, "nack")                                                                                \
    X(PUT_SUBSCRIPTION, "put_subscription")                                                        \
    X(DELETE_SUBSCRIPTION, "delete_subscription")                                                  \
    X(RECEIVE, "receive")                                                                          \
    X(ACK_BATCH, "ack_batch")                                                                      \
    X(REDRIVE, "redrive")                                                                          \
    X(SEEK, "seek")                                                                                \
    X(DEFINE_SAGA, "define_saga")                                                                  \
    X(START_SAGA, "start_saga")                                                                    \
    X(COMPLETE_STEP, "complete_step")                                                              \
    X(FAIL_STEP, "fail_step")                                                                      \
    X(SAGA_ANSWER, "saga_answer")                                                                  \
    X(SAGA_VERB, "saga_verb")                                                                      \
    X(SAGA_VERBS, "saga_verbs")

enum hf_op_type {
    HF_OP_NONE = 0,
#define HF_OP_ENUM(name, wire) HF_OP_##name,
    HF_OPERATIONS(HF_OP_ENUM)
#undef HF_OP_ENUM
        HF_OP_COUNT,
};

const char *hf_op_wire(enum hf_op_type type); /* "transfer" */
/* Of an operation that a commit may have; HF_OP_NONE for others. */
enum hf_op_type hf_op_from_wire(struct hf_str wire);

/* A JSON text with its SHA-256. Absent: text.ptr NULL. */
struct hf_payload {
    struct hf_str text;  /* byte for byte as given */
    struct hf_hash hash; /* of text */
};

#define HF_USER_DATA_BYTES 16

struct hf_queue_op;     /* core/queue_op.h */
struct hf_saga_command; /* core/saga_op.h */
struct hf_alert_change; /* core/alert.h */

struct hf_op {
    enum hf_op_type type;
    bool has_id;               /* a new transfer, hold, event, message or saga id is named */
    bool has_amount;           /* else all that is left */
    bool up_to;                /* balancing transfer */
    bool final;                /* capture */
    bool has_floor;            /* set_limits names floor (open_account: always) */
    bool floor_none;           /* it is null */
    bool has_ceiling;          /* set_limits names ceiling (open_account: always) */
    bool ceiling_none;         /* it is null */
    bool has_expected_version; /* stream and document operations */
    bool has_effective_at;     /* transfer */
    bool has_timeout;          /* hold, extend: timeout_ms; acquire, renew: ttl_ms */
    bool linked;               /* of HF_COMMAND_EACH: one unit with the next operation */
    struct hf_name
        subject; /* account, from, transfer, hold, stream, document, lease, topic, subscription, saga: the thing it acts on */
    struct hf_name to;          /* transfer, hold: the credited account */
    struct hf_name id;          /* new id, if has_id */
    struct hf_asset asset;      /* open_account, transfer, hold */
    hf_u128 amount;             /* minor units, if has_amount */
    hf_i128 floor;              /* if has_floor and not floor_none */
    hf_i128 ceiling;            /* if has_ceiling and not ceiling_none */
    uint64_t timeout_ms;        /* if has_timeout; > 0 */
    uint64_t token;             /* renew, release */
    uint64_t expected_version;  /* if has_expected_version */
    uint64_t effective_at_us;   /* if has_effective_at */
    struct hf_str type_text;    /* append: the event's type; acquire: the owner */
    struct hf_payload data;     /* append, put, patch */
    struct hf_payload metadata; /* open_account, set_metadata, transfer; absent = none given */
    uint8_t
        content_hash[16]; /* append, publish, start_saga with an id: of the operation's own fields,
                                   without expected_version */
    uint8_t user_data[HF_USER_DATA_BYTES]; /* packed records: the client's own */
    uint32_t code;                         /* likewise */
    const struct hf_queue_op *queue;       /* publish … seek; in the arena */
    const struct hf_saga_command *saga;    /* define_saga … saga_verbs; in the arena */
};

enum hf_condition_kind {
    HF_CONDITION_ACCOUNT = 1,
    HF_CONDITION_STREAM,
    HF_CONDITION_DOCUMENT,
    HF_CONDITION_TRANSFER,
    HF_CONDITION_LEASE,
    HF_CONDITION_HOLD,
    HF_CONDITION_SUBSCRIPTION, /* a receipt of it is live */
    HF_CONDITION_SAGA,         /* it is there and in this state */
};

/* Bits of a comparison with a value. */
enum hf_compare {
    HF_COMPARE_EQ,
    HF_COMPARE_GT,
    HF_COMPARE_GTE,
    HF_COMPARE_LT,
    HF_COMPARE_LTE,
    HF_COMPARE_COUNT,
};

/* Several comparators of one quantity; all must hold. */
struct hf_comparison {
    uint8_t present;                   /* bit i: operand[i] is given, i an enum hf_compare */
    hf_i128 operand[HF_COMPARE_COUNT]; /* minor units */
};

enum hf_hold_state {
    HF_HOLD_OPEN = 1,
    HF_HOLD_CAPTURED,
    HF_HOLD_VOIDED,
    HF_HOLD_EXPIRED,
};

#define HF_CONDITION_VERSIONS_MAX 32

/* One or more tests of one thing; all must hold. */
struct hf_condition {
    enum hf_condition_kind kind;
    struct hf_name subject;
    bool has_version;                 /* account, stream, document */
    bool has_modified_at;             /* account, stream, document */
    bool has_versions;                /* account, stream, document: one of `versions` instead */
    bool has_exists;                  /* stream, document, account, transfer */
    bool exists;                      /* if has_exists */
    uint64_t version;                 /* if has_version */
    const uint64_t *versions;         /* if has_versions; in arena */
    uint32_t version_count;           /* of versions; 0: it never holds */
    uint64_t modified_at_us;          /* if has_modified_at */
    struct hf_comparison available;   /* account */
    struct hf_comparison posted;      /* account */
    uint64_t token;                   /* lease */
    enum hf_hold_state state;         /* hold */
    uint8_t saga_state;               /* saga: an enum hf_saga_state (core/saga_event.h) */
    const struct hf_receipt *receipt; /* subscription; in arena */
};

enum hf_command_kind {
    HF_COMMAND_COMMIT = 1,
    HF_COMMAND_CANCEL_KEY, /* record `cancelled` under the key unless it has an answer */
    HF_COMMAND_EACH, /* one commit of units that are decided each by itself: an operation, or linked ones */
    HF_COMMAND_ALERTS, /* the program's own: alerts to raise and clear; recorded as a system commit */
};

/* A plain packed record: one that is not linked, of an amount below 2^64. What it does not call new is named by 128 bits
 * alone. */
struct hf_packed_transfer {
    struct hf_id id;   /* not zero */
    struct hf_id from; /* CAPTURE, VOID: the hold, not zero */
    struct hf_id to;   /* another one; CAPTURE, VOID: zero */
    uint64_t
        amount; /* minor units; 0 is decided, and refused, but for VOID and what is `all_left` */
    union {
        uint64_t effective_at_us; /* TRANSFER; 0 = none */
        uint64_t timeout_ms;      /* HOLD; 0 = none */
    };
    uint8_t asset_hash[HF_ASSET_HASH_BYTES]; /* CAPTURE, VOID: zero */
    uint8_t user_data[HF_USER_DATA_BYTES];
    uint32_t code;
    uint8_t type;  /* an enum hf_op_type: TRANSFER, HOLD, CAPTURE or VOID */
    bool all_left; /* CAPTURE: of what is left, and no amount is given */
    bool final;    /* CAPTURE */
};

struct hf_command {
    struct hf_arena arena;    /* everything below */
    struct hf_buffer scratch; /* encodings of the operations so far, until finish */
    enum hf_command_kind kind;
    struct hf_str principal; /* never absent; "local" by default */
    struct hf_str key;       /* idempotency key, or absent */
    struct hf_id key_id;     /* of principal and key */
    struct hf_str
        door; /* how it came in (method, path, query, preconditions), part of the fingerprint */
    struct hf_condition *conditions; /* in arena */
    uint32_t condition_count;
    uint32_t condition_capacity;
    struct hf_op *ops; /* in arena */
    uint32_t op_count;
    uint32_t op_capacity;
    /* EACH: the same op_count units as plain records, in arena; or NULL: not all of them are. Of a packed request there
     * are no ops beside them; of others they are transfers. */
    const struct hf_packed_transfer *plain;
    const struct hf_alert_change *alerts; /* ALERTS: valid texts; borrowed or in arena… */
    uint32_t alert_count;                 /* …so many, at most HF_ALERT_CHANGES_MAX */
    struct hf_payload metadata;           /* of the commit, or absent */
    uint8_t secret
        [16]; /* random, by the door before operations are added: callback tokens of sagas that are started here
                           come of it; no part of a fingerprint */
    bool packed;     /* of EACH: its refusals tell no current state */
    bool dry_run;    /* decide only */
    bool spends_ids; /* some op names a new transfer or hold id: a refusal is recorded */
    bool
        replays_by_id; /* no conditions, some op names a new id, and every one names one or a receipt */
    bool key_free;     /* every op names a new id or a receipt: repeating it does nothing twice */
    uint8_t fingerprint[16]; /* with a key: of the whole request */
    uint8_t ops_hash[16];    /* of the operations' own fields in order */
};

/* What is wrong with a malformed command. */
struct hf_malformed {
    enum hf_err code; /* HF_ERR_INVALID_REQUEST, TOO_LARGE or NO_MEMORY */
    char pointer[64]; /* JSON pointer: "/do/0/amount" */
    char text[256];   /* in words */
};

/*
 * An operation or condition as flat text fields, the way JSON members and C callers give them.
 * Absent texts have ptr NULL; numbers have a bit in `numbers`. Which fields an operation needs and
 * takes is checked when it is added. The memory must outlive the command.
 */
struct hf_op_fields {
    struct hf_str op; /* wire name */
    struct hf_str account, id, from, to, asset, amount, transfer, hold, stream, document, lease,
        owner, topic, subscription, receipt;
    struct hf_str type, data, metadata, floor, ceiling, effective_at, key, deliver_at, error;
    struct hf_str saga, definition, input, business_key, tags, not_before, step, callback_token,
        result, reason, actor; /* definition: name@version, or an object */
    bool floor_null;           /* "floor": null */
    bool ceiling_null;         /* "ceiling": null */
    bool has_up_to, up_to;
    bool has_final, final;
    bool has_timeout_ms, has_ttl_ms, has_token, has_expected_version, has_delay_ms;
    uint64_t timeout_ms, ttl_ms, token, expected_version, delay_ms;
};

struct hf_condition_fields {
    struct hf_str account, stream, document, transfer, lease, hold, subscription, saga;
    struct hf_str modified_at, state, receipt;
    struct hf_str available[HF_COMPARE_COUNT], posted[HF_COMPARE_COUNT]; /* by enum hf_compare */
    bool has_available, has_posted; /* the member was there (an empty object is malformed) */
    bool has_version, has_token, has_exists, exists;
    bool has_versions; /* one of these, instead of version */
    uint64_t version, token;
    const uint64_t *versions; /* version_count of them, at most HF_CONDITION_VERSIONS_MAX */
    uint32_t version_count;
};

void hf_command_init(struct hf_command *command, enum hf_command_kind kind);
void hf_command_release(struct hf_command *command);

/* Each: false and `malformed` filled; the command must then be released. */
bool hf_command_set_principal(struct hf_command *command, struct hf_str principal,
                              struct hf_malformed *malformed) HF_WARN_UNUSED;
/* ≤ 255 bytes of U+0021–7E. */
bool hf_command_set_key(struct hf_command *command, struct hf_str key,
                        struct hf_malformed *malformed) HF_WARN_UNUSED;
bool hf_command_set_metadata(struct hf_command *command, struct hf_str json,
                             struct hf_malformed *malformed) HF_WARN_UNUSED;
bool hf_command_add_condition(struct hf_command *command, const struct hf_condition_fields *fields,
                              struct hf_malformed *malformed) HF_WARN_UNUSED;
bool hf_command_add_op(struct hf_command *command, const struct hf_op_fields *fields,
                       struct hf_malformed *malformed) HF_WARN_UNUSED;
/* The operation that a plain record stands for. `text` becomes the name of its id and lives as long. */
void hf_op_of_plain(const struct hf_packed_transfer *plain, char text[HF_UUID_TEXT_BYTES],
                    struct hf_op *op);
/* Room for so many operations in all, so that adding them moves none. */
bool hf_command_reserve_ops(struct hf_command *command, uint32_t count,
                            struct hf_malformed *malformed) HF_WARN_UNUSED;
/* A zeroed operation at the end, for a caller that fills it from a form of its own and checks as hf_command_add_op would.
 * NULL: malformed tells. */
struct hf_op *hf_command_new_op(struct hf_command *command,
                                struct hf_malformed *malformed) HF_WARN_UNUSED;
/* Equal as JSON, whatever the white space and the order of members; both may be absent. */
bool hf_payload_same(const struct hf_payload *a, const struct hf_payload *b, bool *short_memory);
/* Checks the whole (an empty `do` is malformed) and computes the fingerprints. */
bool hf_command_finish(struct hf_command *command, struct hf_malformed *malformed) HF_WARN_UNUSED;

/* Does the operation name a new transfer or hold id, which a refusal spends? */
static inline bool hf_op_spends_id(const struct hf_op *op)
{
    return op->has_id && op->type != HF_OP_APPEND && op->type != HF_OP_PUBLISH &&
           op->type != HF_OP_START_SAGA;
}

/* Of one receipt, in a commit. */
static inline bool hf_op_is_ack(const struct hf_op *op)
{
    return op->type == HF_OP_ACK || op->type == HF_OP_NACK;
}

/* 128 bits of a principal's key. */
struct hf_id hf_key_id(struct hf_str principal, struct hf_str key);

/* Fills malformed; returns false, for `return hf_malformed_set(…)`. */
bool hf_malformed_set(struct hf_malformed *malformed, enum hf_err code, const char *pointer,
                      const char *format, ...) HF_PRINTF(4, 5);

#endif
