/*
 * The log events of sagas (docs/adr/0011-sagas.md): facts, with what they leave behind.
 *
 * Owns: their fields. Must never: hold a rule (what follows from an answer is decided, and the outcome stands in the
 * event). Called by: commit.h (a commit's event is one of them), decide and evolve of sagas, the runner, history.
 */
#ifndef HF_CORE_SAGA_EVENT_H
#define HF_CORE_SAGA_EVENT_H

#include "core/command.h"
#include "core/name.h"

#define HF_SAGA_STEPS_MAX       64u
#define HF_SAGA_ERROR_BYTES_MAX 512u

/* Numbers are stored. */
enum hf_saga_state {
    HF_SAGA_SCHEDULED = 1,
    HF_SAGA_RUNNING, /* a call is out or due */
    HF_SAGA_WAITING, /* timers, callbacks, polls, events alone */
    HF_SAGA_COMPENSATING,
    HF_SAGA_PARKED,
    HF_SAGA_PAUSED,
    HF_SAGA_SUCCEEDED, /* this and those behind it: ended */
    HF_SAGA_COMPENSATED,
    HF_SAGA_ABANDONED,
};

enum hf_step_state {
    HF_STEP_PENDING = 1,
    HF_STEP_RUNNING, /* its call is out or due (due_us) */
    HF_STEP_WAITING, /* accepted, or a timer or an event: until due_us */
    HF_STEP_SUCCEEDED,
    HF_STEP_FAILED,  /* a business failure: nothing was done */
    HF_STEP_UNKNOWN, /* perhaps done: is to be compensated */
    HF_STEP_SKIPPED,
    HF_STEP_COMPENSATING,         /* its call is out or due… */
    HF_STEP_COMPENSATING_WAITING, /* …or accepted */
    HF_STEP_COMPENSATED,
    HF_STEP_PARKED, /* its action or compensation (op) goes on by an operator alone */
};

enum hf_saga_op {
    HF_SAGA_ACTION = 1,
    HF_SAGA_COMPENSATION,
};

/* What an attempt came to (core/saga_answer.h). */
enum hf_saga_outcome {
    HF_OUTCOME_SUCCESS = 1,
    HF_OUTCOME_FAIL,     /* business failure */
    HF_OUTCOME_RETRY,    /* perhaps done; with backoff */
    HF_OUTCOME_CONFLICT, /* 409 412 423: a few times */
    HF_OUTCOME_PENDING,  /* 202: callback or poll */
    HF_OUTCOME_AGAIN,    /* 425: asked again at a fixed interval; no failed attempt */
    HF_OUTCOME_PARK,
};

/* What moved the saga. */
enum hf_saga_act {
    HF_SAGA_ACT_START = 1,
    HF_SAGA_ACT_ANSWER, /* of a participant, by the runner */
    HF_SAGA_ACT_NATIVE, /* a native step was refused (one that succeeds is told by what moved the saga) */
    HF_SAGA_ACT_TIMER,    /* not_before, a timer, a deadline */
    HF_SAGA_ACT_EVENT,    /* an awaited event is there */
    HF_SAGA_ACT_COMPLETE, /* by token or operator */
    HF_SAGA_ACT_FAIL,
    HF_SAGA_ACT_RETRY, /* this and those behind it: operator's verbs */
    HF_SAGA_ACT_PAUSE,
    HF_SAGA_ACT_RESUME,
    HF_SAGA_ACT_SKIP,
    HF_SAGA_ACT_COMPENSATE,
    HF_SAGA_ACT_ABANDON,
    HF_SAGA_ACT_FORGET, /* kept long enough: only the tombstone stays */
};

/* Where a text of the log is: event `index` of commit `position`; position 0 = none. */
struct hf_saga_text_at {
    uint64_t position;
    uint32_t index;
};

/* A step as state and events have it. */
struct hf_saga_step {
    enum hf_step_state state;
    enum hf_saga_op op;   /* what it is at, or was last */
    uint32_t attempts;    /* of op, this one included */
    uint32_t conflicts;   /* of them, in a row */
    bool unknown;         /* an attempt of the action had no definite answer */
    bool polls;           /* waiting: asks poll_at at due_us */
    uint16_t last_status; /* HTTP; 0 = none */
    uint64_t began_us;    /* op's first attempt; 0 = not begun */
    uint64_t ended_us;    /* 0 = not */
    uint64_t due_us; /* RUNNING, COMPENSATING: next attempt not before; polls: next poll; else 0 */
    uint64_t deadline_us;           /* of the step; 0 = none */
    uint64_t failing_us;            /* since when each attempt has failed; 0 = not failing */
    struct hf_saga_text_at request; /* rendered body of op: its event (hf_saga_changed.requests) */
    struct hf_saga_text_at result;  /* of the action */
    struct hf_saga_text_at error;   /* newest error: its event's `error` */
    struct hf_saga_text_at awaited; /* the awaited event, once it was there */
    struct hf_saga_text_at poll;    /* polls: the event whose poll_at says where; else position 0 */
};

/* A step that an event changes: as it is after. */
struct hf_saga_step_after {
    uint32_t step; /* index in the definition */
    struct hf_saga_step
        after; /* any of its places with position 0 and index UINT32_MAX: this event */
    struct hf_payload request; /* the body to send, if it begins an op by HTTP; else absent */
    struct hf_payload result;  /* a result that came with this event; else absent */
};

struct hf_saga_defined {
    struct hf_name definition; /* name */
    uint64_t version;
    bool is_inline;         /* name "~<32 hex of hash>", version 1: leaves with its last saga */
    struct hf_payload text; /* canonical JSON (base/json_canonical.h) */
};

/* An event step waits for events of this partition key from the start on. */
struct hf_saga_await {
    uint32_t step;
    struct hf_id key_hash; /* first 16 bytes of SHA-256 of the rendered key */
};

/* SAGA_STARTED has all, SAGA_CHANGED and SAGA_ENDED from `version` on. */
struct hf_saga_changed {
    struct hf_name saga;
    uint64_t uid; /* hf_saga_uid() of its STARTED event */
    /* STARTED */
    struct hf_name definition;
    uint64_t definition_version;
    struct hf_str business_key; /* or absent */
    struct hf_payload tags;     /* canonical JSON object of strings, or absent */
    struct hf_payload input;    /* JSON */
    uint64_t not_before_us;     /* 0 = at once */
    uint8_t secret[16];         /* callback tokens are made of it: never rendered */
    uint8_t content_hash[16];   /* of the operation, for replay */
    uint32_t await_count;
    const struct hf_saga_await *awaits; /* ascending by step */
    /* all */
    uint64_t version;           /* after: number of its events */
    uint64_t previous_position; /* of its previous event; 0 = none */
    enum hf_saga_act act;
    enum hf_saga_state state;   /* after */
    enum hf_saga_state resumes; /* PAUSED: what it was */
    bool compensating;          /* after: it goes backwards (also while parked or paused) */
    bool past_pivot;            /* after */
    uint64_t failing_us;        /* after: earliest of its steps; 0 = not failing */
    uint64_t due_us;            /* after: when the timer looks at it next; 0 = never */
    struct hf_str
        reason; /* of the state: "charge: 401 …"; or an operator's; ≤ HF_SAGA_ERROR_BYTES_MAX; or absent */
    struct hf_str actor; /* verbs: who, as told; or absent (the principal is the commit's) */
    /* what moved it; step UINT32_MAX: no single one */
    uint32_t step;
    struct hf_str step_name; /* its name, for those who see the event alone; absent without step */
    enum hf_saga_op op;
    uint32_t attempt;
    enum hf_saga_outcome outcome; /* ANSWER, COMPLETE, FAIL, NATIVE; else 0 */
    bool late;             /* an answer after the decision: kept for history, changed nothing */
    uint16_t status;       /* HTTP; 0 = none */
    uint32_t duration_ms;  /* of the attempt */
    struct hf_str error;   /* ≤ HF_SAGA_ERROR_BYTES_MAX; or absent */
    struct hf_str poll_at; /* PENDING with Location: where; or absent */
    uint32_t after_count;
    const struct hf_saga_step_after *after; /* ascending by step */
};

/* A page of a bulk of verbs; each saga that was moved has its own event of the same operation. */
struct hf_saga_bulk_refused {
    struct hf_name saga;
    enum hf_err code; /* saga_past_pivot, saga_step_state, … */
};
struct hf_saga_bulk {
    enum hf_saga_act verb;
    uint32_t matched;       /* sagas of the filter */
    uint32_t done;          /* of them */
    uint32_t refused_count; /* the others */
    const struct hf_saga_bulk_refused *refused;
    struct hf_str next; /* saga id to go on behind; absent: there are no more */
};

#define HF_SAGA_UID_SHIFT  20u /* a commit has fewer events than 2^20: it has at most 8 MiB */
#define HF_SAGA_THIS_EVENT ((struct hf_saga_text_at){0, UINT32_MAX})

static inline uint64_t hf_saga_uid(uint64_t position, uint32_t index)
{
    return position << HF_SAGA_UID_SHIFT | index;
}

static inline bool hf_saga_ended(enum hf_saga_state state)
{
    return state >= HF_SAGA_SUCCEEDED;
}

#endif
