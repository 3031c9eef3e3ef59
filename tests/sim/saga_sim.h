/*
 * Runs of sagas: nodes with their runners on the simulated outside, participants that answer in every way, operators.
 *
 * Owns: what a run makes up (definitions, sagas), what the participants did and were told, what reached whom. Must never: take the real
 * thing's word for what a participant did; use real time. Called by: run.c, for a plan with sagas.
 *
 *   saga_gen.c    definitions by random, as JSON and as the few facts that the judge goes by
 *   saga_client.c starts, awaited events, callbacks, operators' verbs
 *   saga_party.c  the participants: a struct hf_caller for each process, a ledger behind a barrier
 *   saga_house.c  a runner for each leading node
 *   saga_judge.c  the log against the rules of docs/sagas.md, the ledgers and the money
 *
 * 1. A participant's work outlives its caller: it is lost, late or done twice as the seed wants.
 * 2. In the calm at the end participants answer well and operators mend what is parked: every saga ends.
 */
#ifndef HF_TESTS_SIM_SAGA_SIM_H
#define HF_TESTS_SIM_SAGA_SIM_H

#include "core/saga.h"
#include "deliver/caller.h"
#include "deliver/runner.h"
#include "sim/run.h"

#define SAGA_PLANS_MAX  6
#define SAGA_STEPS_MAX  6
#define SAGA_COUNT_MAX  48
#define SAGA_ID_BYTES   24
#define SAGA_JSON_BYTES 12288
#define SAGA_TARGETS    3 /* hosts of participants */
#define SAGA_POOR_MONEY 6 /* what s:poor can pay in all */

/* ---- definitions ---- */

enum saga_work {
    SAGA_WORK_NONE = 0, /* of an action: branches meet; of a compensation: there is none */
    SAGA_WORK_HTTP,
    SAGA_WORK_TRANSFER, /* native: from s:pool to s:shop, undone by a transfer back */
    SAGA_WORK_POOR,     /* native: from s:poor to s:shop, which may be refused */
    SAGA_WORK_HOLD,     /* native: of s:pool, undone by a void */
    SAGA_WORK_SLEEP,
    SAGA_WORK_EVENT, /* of type "paid", key: the saga's id */
    SAGA_WORK_COUNT,
};

struct saga_plan_step {
    char name[8];
    uint64_t after;  /* bit i: step i comes directly before */
    uint64_t before; /* directly or not */
    enum saga_work action;
    enum saga_work undo; /* NONE, HTTP, or the action's own */
    bool pivot;
    bool when_gold; /* skipped unless the input says so */
    bool async;     /* {"mode":"callback"} or poll */
    bool poll;
    bool then_park;        /* at the end of the attempts */
    uint32_t attempts_max; /* 0: no end */
    uint32_t timeout_ms;   /* 0: none */
    uint32_t target;
};

struct saga_plan {
    char name[8];
    bool dtm;
    uint32_t timeout_ms; /* of the whole; 0: none */
    uint32_t step_count;
    struct saga_plan_step steps[SAGA_STEPS_MAX];
    char json[SAGA_JSON_BYTES];
};

/* ---- participants ---- */

/* X(NAME, "in words") of how a participant takes a call. */
#define SAGA_MANNERS(X)                                                                            \
    X(WELL, "done, 200")                                                                           \
    X(EMPTY, "done, 204")                                                                          \
    X(WORD_SUCCESS, "done, 500 with Saga-Outcome: success")                                        \
    X(WORD_FAIL, "refused, 200 with Saga-Outcome: fail")                                           \
    X(WORD_RETRY, "not done, 200 with Saga-Outcome: retry")                                        \
    X(WORD_PENDING, "later, 200 with Saga-Outcome: pending")                                       \
    X(WORD_PARK, "not done, 200 with Saga-Outcome: park")                                          \
    X(FAIL, "refused, 422 and its like")                                                           \
    X(ERROR, "not done, 500")                                                                      \
    X(ERROR_DONE, "done, and 500")                                                                 \
    X(BUSY, "not done, 503 with Retry-After")                                                      \
    X(THROTTLED, "not done, 429")                                                                  \
    X(LOST, "the call is lost")                                                                    \
    X(LOST_ANSWER, "done, the answer is lost")                                                     \
    X(LATE, "done long after the caller gave up")                                                  \
    X(DOUBLE, "done, and the call comes again later")                                              \
    X(AGAIN, "done, and a repetition is refused as a thing that exists")                           \
    X(WORKING, "not done, 425")                                                                    \
    X(CONFLICT, "not done, 409")                                                                   \
    X(ACCEPTED, "202, and a callback")                                                             \
    X(ACCEPTED_POLL, "202 with Location")                                                          \
    X(UNAUTHORIZED, "not done, 401")                                                               \
    X(MISSING, "not done, 404")                                                                    \
    X(REDIRECT, "not done, 302")                                                                   \
    X(ODD, "not done, 418")                                                                        \
    X(NO_CONNECTION, "no connection")                                                              \
    X(TOO_LARGE, "done, an answer beyond the limit")

enum saga_manner {
#define SAGA_MANNER_ENUM(name, words) SAGA_MANNER_##name,
    SAGA_MANNERS(SAGA_MANNER_ENUM)
#undef SAGA_MANNER_ENUM
        SAGA_MANNER_COUNT,
};

/* The barrier's row of a step at its participant (docs/barrier.md). */
struct saga_row {
    enum {
        SAGA_ROW_NONE = 0,
        SAGA_ROW_DONE,          /* the action's effect is there (or was, if undone) */
        SAGA_ROW_FAILED,        /* the action was refused, for ever */
        SAGA_ROW_BY_COMPENSATE, /* the compensation came first */
    } action;
    uint32_t done;     /* effects of the action */
    uint32_t undone;   /* of the compensation */
    bool compensated;  /* it has come */
    bool strange;      /* a repetition of the action is refused though it was done: no barrier */
    bool working[3];   /* by op: a callback is on its way */
    char token[3][33]; /* by op: of the newest accepted call, or empty */
};

/* A call or poll as it arrived, and what went back. */
struct saga_contact {
    uint32_t saga, step;
    enum hf_saga_op op;
    uint32_t attempt; /* 0: a poll */
    uint64_t durable; /* of the caller's node when it was sent */
    bool told;        /* an answer, or the lack of one, reached the caller */
    enum hf_call_error error;
    uint16_t status;
    const char *word; /* Saga-Outcome; NULL: none */
};

/* ---- sagas ---- */

struct sim_saga {
    char id[SAGA_ID_BYTES];
    const struct saga_plan *plan;
    bool gold;
    struct saga_row rows[SAGA_STEPS_MAX];
    bool paid;       /* the awaited event was appended, or is on its way */
    uint64_t mended; /* when an operator last looked at it, virtual µs */
};

struct saga_report {
    uint64_t sagas;
    uint64_t ended[HF_SAGA_STATE_COUNT];
    uint64_t parked; /* times */
    uint64_t manners[SAGA_MANNER_COUNT];
    uint64_t manners_undo[SAGA_MANNER_COUNT];
    uint64_t outcomes[HF_SAGA_OUTCOME_COUNT];
    uint64_t outcomes_undo[HF_SAGA_OUTCOME_COUNT];
    uint64_t acts[HF_SAGA_ACT_FORGET + 1];
    uint64_t late;            /* answers behind the decision */
    uint64_t unknown_refused; /* refused with an earlier attempt unknown: compensated */
    uint64_t timed_out;       /* steps */
    uint64_t barred;          /* actions that came behind their compensation */
    uint64_t repeated;        /* calls that had been seen */
    uint64_t takeovers;       /* runners that began anew with calls out */
    uint64_t skipped;         /* steps, by `when` */
    uint64_t native_refused;
    uint64_t calls, polls, callbacks;
};

struct saga_sim {
    struct run *run;
    struct hf_sim_random random;
    struct saga_plan plans[SAGA_PLANS_MAX];
    uint32_t plan_count;
    struct sim_saga sagas[SAGA_COUNT_MAX];
    uint32_t saga_count;
    uint32_t saga_goal;
    struct saga_contact *contacts; /* owned */
    size_t contact_count, contact_capacity;
    struct saga_report *report; /* borrowed */
    bool healthy;               /* participants answer well */
};

/* saga_gen.c */
void saga_gen_plan(struct saga_sim *sim, uint32_t number);

/* saga_client.c */
void saga_client_start(struct saga_sim *sim);
/* As client_ended, for operations of sagas. */
void saga_client_ended(struct run_submission *submission);
/* The calm: operators and events until every saga has ended. */
void saga_drain(struct saga_sim *sim);
/* A participant's callback: until it was taken or refused. */
void saga_client_call_back(struct saga_sim *sim, uint32_t saga, uint32_t step, enum hf_saga_op op,
                           bool ok);

/* saga_party.c */
struct saga_party; /* the participants as one process sees them */
struct saga_party *saga_party_new(struct saga_sim *sim, struct run_house *house);
struct hf_caller *saga_party_caller(struct saga_party *party);

/* saga_house.c */
struct saga_house; /* a leading node's runner */
void saga_house_up(struct run_house *house);
void saga_house_down(struct run_house *house); /* its node was freed or is about to be */
void saga_house_wake(struct run_house *house); /* a call of its has ended */
void saga_house_look(struct run_house *house); /* its node was stepped */
void saga_house_free(struct run_house *house); /* behind the node */

/* saga_judge.c */
bool saga_judge(struct saga_sim *sim, struct run_house *house);

/* saga_report.c */
size_t saga_report_write(const struct saga_report *report, bool strict, struct hf_buffer *out);
void saga_report_add(struct saga_report *to, const struct saga_report *from);

static inline uint64_t saga_below(struct saga_sim *sim, uint64_t bound)
{
    return hf_sim_random_below(&sim->random, bound);
}

static inline uint64_t saga_between(struct saga_sim *sim, uint64_t low, uint64_t high)
{
    return hf_sim_random_between(&sim->random, low, high);
}

static inline bool saga_percent(struct saga_sim *sim, unsigned chance)
{
    return hf_sim_random_below(&sim->random, 100) < chance;
}

#endif
