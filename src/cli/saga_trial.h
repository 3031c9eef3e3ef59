/*
 * A saga run in this process, against participants that follow a script, on virtual time.
 *
 * Owns: a state, its time, what the participants have done. Must never: call anything, ask a clock. Called by: saga_test.c.
 *
 *   the next thing by time:
 *     a call that is due            ─► the script says what comes of it and when ─► saga_answer
 *     a callback, a late answer     ─► complete_step, fail_step, saga_answer
 *     a timer of the state          ─► its commit
 *
 * The rules are those of the server: core's decide and evolve, and nothing beside them.
 */
#ifndef HF_CLI_SAGA_TRIAL_H
#define HF_CLI_SAGA_TRIAL_H

#include "core/decide.h"
#include "core/saga_op.h"

/* X(NAME, "what the participant does", of an action, of a compensation) */
#define HF_TRIAL_WAYS(X)                                                                           \
    X(SUCCEEDS, "200", 1, 0)                                                                       \
    X(REFUSES, "422", 1, 1)                                                                        \
    X(GONE, "410", 0, 1)                                                                           \
    X(UNAUTHORIZED, "401", 1, 1)                                                                   \
    X(CONFLICT_ONCE, "409, then 200", 1, 1)                                                        \
    X(CONFLICT, "409 for ever", 1, 1)                                                              \
    X(ERROR_ONCE, "503, then 200", 1, 1)                                                           \
    X(DOWN, "503 for ever", 1, 1)                                                                  \
    X(BUSY_ONCE, "429 with Retry-After, then 200", 1, 1)                                           \
    X(NO_CONNECTION_ONCE, "no connection, then 200", 1, 1)                                         \
    X(TIMEOUT_ONCE, "done, but timed out; then 200", 1, 1)                                         \
    X(TIMEOUT_REFUSES, "done, but timed out; then 422", 1, 0)                                      \
    X(CUT_OFF_REFUSES, "done, but cut off; then 422", 1, 0)                                        \
    X(TIMEOUT, "timed out for ever", 1, 1)                                                         \
    X(ACCEPTS_SUCCEEDS, "202, then success", 1, 1)                                                 \
    X(ACCEPTS_REFUSES, "202, then failure", 1, 0)                                                  \
    X(ACCEPTS_SILENT, "202, then nothing", 1, 1)                                                   \
    X(WORKING, "425 three times, then 200", 1, 1)                                                  \
    X(TWICE, "200, twice", 1, 1)                                                                   \
    X(LATE, "timed out; then 422; then the first 200", 1, 0)

enum hf_trial_way {
#define HF_TRIAL_ENUM(name, text, action, compensation) HF_TRIAL_##name,
    HF_TRIAL_WAYS(HF_TRIAL_ENUM)
#undef HF_TRIAL_ENUM
        HF_TRIAL_WAY_COUNT,
};

const char *hf_trial_way_text(enum hf_trial_way way);
bool hf_trial_way_fits(enum hf_trial_way way, enum hf_saga_op op);

#define HF_TRIAL_NO_STEP UINT32_MAX

/* Every call succeeds but this one's. */
struct hf_trial_case {
    uint32_t step; /* HF_TRIAL_NO_STEP: all succeed */
    enum hf_saga_op op;
    enum hf_trial_way way;
    uint32_t
        refused; /* compensations: the step whose action is refused, so that they come about; it may be `step` (done, but timed
                         out, then refused) */
};

enum hf_trial_end {
    HF_TRIAL_ENDED,    /* succeeded, compensated */
    HF_TRIAL_PARKED,   /* an operator is asked */
    HF_TRIAL_GOES_ON,  /* it tries and tries: a participant that never answers is waited for */
    HF_TRIAL_STUCK,    /* nothing will ever happen */
    HF_TRIAL_REJECTED, /* the start itself was refused */
};

struct hf_trial_step {
    uint32_t actions, compensations; /* calls */
    bool done;                       /* its participant has done it… */
    bool undone;                     /* …and undone it */
    enum hf_step_state state;
};

struct hf_trial_result {
    enum hf_trial_end end;
    enum hf_saga_state state;
    char reason[256]; /* of the state, or "" */
    uint64_t took_us; /* on virtual time */
    uint32_t step_count;
    struct hf_trial_step steps[HF_SAGA_STEPS_MAX];
    uint32_t undone[HF_SAGA_STEPS_MAX]; /* steps whose compensation was called, in this order */
    uint32_t undone_count;
};

struct hf_trial_input {
    struct hf_str definition;     /* JSON; HTTP steps, timers and points alone */
    struct hf_str input;          /* JSON */
    const struct hf_str *results; /* by step: what its participant answers, JSON */
};

/* INVALID_REQUEST (malformed says why), NO_MEMORY, or OK with the result. */
enum hf_err hf_trial_run(const struct hf_trial_input *input, const struct hf_trial_case *each,
                         struct hf_trial_result *result,
                         struct hf_malformed *malformed) HF_WARN_UNUSED;

#endif
