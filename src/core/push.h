/*
 * Push: a subscription whose messages Holdfast sends by HTTP itself (docs/queues.md).
 *
 * Owns: struct hf_push, its syntax rules, copies of it. Must never: hold a secret (it holds their names). Called by: commands, decide,
 * the state, the sender (deliver/push.h).
 */
#ifndef HF_CORE_PUSH_H
#define HF_CORE_PUSH_H

#include "base/arena.h"

#define HF_PUSH_SECRETS_MAX      2 /* both sign, while a secret is rotated */
#define HF_PUSH_HEADERS_MAX      16
#define HF_PUSH_HEADER_NAME_MAX  64
#define HF_PUSH_HEADER_VALUE_MAX 1024
#define HF_PUSH_TIMEOUT_MS_MIN   1000
#define HF_PUSH_TIMEOUT_MS_MAX   30000
#define HF_PUSH_IN_FLIGHT_MAX    1000
#define HF_PUSH_REASON_BYTES_MAX 256
#define HF_SECRET_NAME_BYTES_MAX 64

/* Numbers are part of the log. */
enum hf_push_mode {
    HF_PUSH_BINARY = 1, /* CloudEvents: attributes as headers, the data as the body */
    HF_PUSH_STRUCTURED, /* the event as JSON */
};

struct hf_push_header {
    struct hf_str name;
    struct hf_str value; /* or a secret's name */
    bool secret;
};

/* Texts are its maker's: a command's arena, a decoder's record, or (hf_push_copy) one block with it. */
struct hf_push {
    struct hf_str url;
    enum hf_push_mode mode;
    uint32_t secret_count;
    struct hf_str secrets[HF_PUSH_SECRETS_MAX]; /* names */
    uint32_t timeout_ms;                        /* of a call */
    uint32_t in_flight_max;                     /* calls at once */
    uint32_t header_count;
    struct hf_push_header headers[HF_PUSH_HEADERS_MAX];
    uint64_t disabled_us;          /* by an answer of 410: when; 0 = enabled */
    struct hf_str disabled_reason; /* if disabled */
};

/* As members of JSON, or a caller's values; absent texts have ptr NULL. */
struct hf_push_fields {
    bool given;
    struct hf_str url, mode; /* mode absent: binary */
    const struct hf_str *secrets;
    uint32_t secret_count;
    bool has_timeout_ms, has_in_flight_max;
    uint64_t timeout_ms, in_flight_max; /* 15,000 and 8 by default */
    const struct hf_push_header *headers;
    uint32_t header_count;
};

struct hf_malformed;

/* Pointers go into a subscription's body: "/push/url". *push is NULL if none is given. */
bool hf_push_make(const struct hf_push_fields *fields, struct hf_arena *arena,
                  const struct hf_push **push, struct hf_malformed *malformed) HF_WARN_UNUSED;

/* One block, to be freed by hf_free. NULL: memory is short (or push is NULL). */
struct hf_push *hf_push_copy(const struct hf_push *push) HF_WARN_UNUSED;
/* The same settings, whether disabled or not; both may be NULL. */
bool hf_push_equal(const struct hf_push *a, const struct hf_push *b);

bool hf_secret_name_valid(struct hf_str name);

/* ---- what the sender tells of its work; nothing of it is in the log ---- */

enum hf_push_state {
    HF_PUSH_WAITING = 1, /* for messages */
    HF_PUSH_SENDING,     /* messages are out */
    HF_PUSH_HELD_BACK,   /* its target's breaker is open, or it was told when to come again */
    HF_PUSH_DISABLED,    /* by an answer of 410 */
    HF_PUSH_SECRET_MISSING, /* a secret that it names is not in the file of serve --secrets, or is no whsec_ */
};
const char *hf_push_state_wire(enum hf_push_state state); /* "held_back" */

struct hf_push_status {
    enum hf_push_state state;
    uint64_t in_flight;     /* messages held */
    uint64_t sent, failed;  /* calls that ended well and not, since this process leads */
    uint64_t last_error_us; /* wall clock; 0: none yet */
    char last_error[256];
};
/* Of all push subscriptions. */
struct hf_push_sums {
    uint64_t subscriptions, disabled, held_back, secret_missing;
    uint64_t in_flight, sent, failed;
};

/* Of all that goes out, for /metrics. */
struct hf_deliver_sums {
    struct hf_push_sums push;
    uint64_t targets, targets_open; /* called of late; of those, breakers that are open */
    uint64_t calls_waiting, calls_in_flight;
    uint64_t breakers_opened; /* since this process leads */
};

#endif
