/*
 * Definitions of sagas: checked when they are stored, and then what decide walks.
 *
 * Owns: their syntax and every check (docs/sagas.md), templates. Must never: look at state. Called by: commands (a definition
 * is malformed or not), evolve (a stored one is parsed once), decide, the runner (headers, URLs), `saga test`.
 *
 * A parsed definition is immutable; texts point into its own memory.
 */
#ifndef HF_CORE_SAGA_DEFINITION_H
#define HF_CORE_SAGA_DEFINITION_H

#include "core/saga_answer.h"

enum hf_call_kind {
    HF_CALL_NONE =
        0, /* compensation: there is nothing to undo; action: a point where branches meet */
    HF_CALL_HTTP,
    HF_CALL_NATIVE,
    HF_CALL_SLEEP, /* action alone: sleep_ms */
    HF_CALL_UNTIL, /* action alone: until */
    HF_CALL_EVENT, /* action alone: event_type, event_key */
};

/* A JSON text with `$` and `$join`. What it copies from is known when it is stored. */
struct hf_template {
    struct hf_str text; /* canonical JSON; absent: none */
    bool constant;      /* nothing to replace */
    bool input;         /* copies from the saga's input */
    uint64_t steps;     /* bit i: copies from step i's result */
};

struct hf_saga_header {
    struct hf_str name;
    struct hf_template value; /* of a string */
    struct hf_str secret;     /* a secret's name instead of the value, or absent */
};

struct hf_saga_call {
    enum hf_call_kind kind;
    struct hf_str url;
    struct hf_str target; /* "http://host:port": what limits and breakers go by */
    bool envelope;
    struct hf_template body; /* absent: {} */
    uint32_t header_count;
    const struct hf_saga_header *headers;
    uint32_t op_count; /* NATIVE; 1–16 */
    const struct hf_template *ops;
    uint64_t sleep_ms;
    struct hf_template until;
    struct hf_str event_type;
    struct hf_template event_key;
};

struct hf_saga_status_rules {
    uint32_t count;
    const uint16_t *statuses;
    const enum hf_saga_outcome *outcomes;
};

struct hf_saga_retry {
    uint32_t attempts_max; /* 0 = no end */
    bool then_park;        /* else compensate */
    uint32_t conflict_attempts_max;
    uint64_t backoff_first_ms, backoff_max_ms;
};

struct hf_saga_when {
    bool present;
    struct hf_template value;
    enum hf_saga_compare {
        HF_WHEN_EQ = 1,
        HF_WHEN_NE,
        HF_WHEN_GT,
        HF_WHEN_GTE,
        HF_WHEN_LT,
        HF_WHEN_LTE
    } compare;
    struct hf_str
        operand; /* canonical JSON: any for eq and ne, a number or string for the others */
};

struct hf_saga_step_definition {
    struct hf_str name;
    uint64_t after;  /* bit i: step i comes directly before */
    uint64_t before; /* bit i: step i comes before, directly or not */
    bool pivot, async_callback,
        async_poll; /* a 202: waits for the callback; polls Location; neither: by Location */
    uint64_t poll_every_ms; /* 0: the default */
    uint64_t attempt_timeout_ms;
    uint64_t timeout_ms; /* 0 = none told */
    struct hf_saga_call action, compensation;
    struct hf_saga_when when;
    struct hf_saga_retry retry;
    struct hf_saga_status_rules on_status;
};

struct hf_saga_definition {
    struct hf_arena arena; /* empty if it was parsed into another */
    struct hf_str text;    /* canonical JSON (base/json.h) */
    bool dtm;
    uint64_t timeout_ms; /* 0 = none */
    uint64_t keep_ms;
    uint32_t step_count;
    struct hf_saga_step_definition *steps; /* in the order given */
};

#define HF_SAGA_DEFINITION_BYTES_MAX 262144u
#define HF_SAGA_OPS_MAX              16u       /* of a native step */
#define HF_SAGA_HEADERS_MAX          32u       /* of a call */
#define HF_SAGA_HEADER_BYTES_MAX     4096u     /* of a header's value */
#define HF_SAGA_POINTER_BYTES_MAX    1024u     /* of a template's JSON pointer */
#define HF_SAGA_POLL_MS_DEFAULT      1000u     /* between polls, and after a 425 */
#define HF_SAGA_WAIT_MS_DEFAULT      86400000u /* of a 202 or an event that is waited for */

/* false: `malformed` says what and where (pointers into the definition); definition is released then. Native operations are checked as
 * far as their constants allow: known op, known members, members of the right kind. */
bool hf_saga_definition_parse(struct hf_saga_definition *definition, struct hf_str json,
                              struct hf_malformed *malformed) HF_WARN_UNUSED;
/* The same with all memory of the arena, as long as which it lives; nothing to release. */
bool hf_saga_definition_parse_into(struct hf_saga_definition *definition, struct hf_arena *arena,
                                   struct hf_str json,
                                   struct hf_malformed *malformed) HF_WARN_UNUSED;
void hf_saga_definition_release(struct hf_saga_definition *definition);

/* [a-z0-9-]{1,64} */
bool hf_saga_step_name_valid(struct hf_str name);
/* The step of that name, or UINT32_MAX. */
uint32_t hf_saga_definition_step(const struct hf_saga_definition *definition, struct hf_str name);
/* May it be sent as a header's value: visible ASCII, spaces and tabs inside, at most HF_SAGA_HEADER_BYTES_MAX? */
bool hf_saga_header_value_valid(struct hf_str value);

/* ---- templates ---- */

/* What templates copy from. Absent results are null. */
struct hf_saga_scope {
    struct hf_str saga_id, definition_name, business_key;
    uint64_t definition_version;
    struct hf_str input; /* JSON, or absent: null */
    const struct hf_saga_definition *definition;
    const struct hf_str *results; /* by step; JSON or absent; NULL: none yet */
};

enum hf_render {
    HF_RENDER_OK,
    HF_RENDER_MISSING,   /* $join of something that is no string or integer */
    HF_RENDER_TOO_LARGE, /* beyond `most` bytes, or deeper than HF_JSON_DEPTH_MAX */
    HF_RENDER_NO_MEMORY,
};

/* Appends the rendered JSON, at most `most` bytes. *what: for MISSING, the pointer (into the template's text). Unless OK what
 * was appended is not whole. */
enum hf_render hf_template_render(const struct hf_template *template_,
                                  const struct hf_saga_scope *scope, size_t most,
                                  struct hf_buffer *out, struct hf_str *what) HF_WARN_UNUSED;

/*
 * Does `when` hold? Numbers are compared as decimals, exactly; strings by their bytes; for eq and ne everything else by its canonical
 * form, and values of two types differ. What has no order (a string with a number, a value that is not there) is neither
 * greater nor less; nor is a number with an exponent beyond 18 digits, which equals nothing. true without a condition.
 */
bool hf_saga_when_holds(const struct hf_saga_when *when, const struct hf_saga_scope *scope,
                        bool *short_memory) HF_WARN_UNUSED;

#endif
