/*
 * The saga runner with a node, participants and clocks of the test's: everything happens when the test says so.
 *
 * Owns: a log of commits in RAM, a naive state of sagas that its events make, requests that wait for an answer, calls that are out.
 * Must never: use a thread, a socket, a real clock. Called by: runner_test.c, runner_random_test.c.
 */
#ifndef HF_TESTS_UNIT_RUNNER_RIG_H
#define HF_TESTS_UNIT_RUNNER_RIG_H

#include "base/arena.h"
#include "core/commit.h"
#include "core/read.h"
#include "deliver/caller.h"
#include "deliver/runner.h"
#include "deliver/secrets.h"

#define RIG_STEPS     4u
#define RIG_SAGAS_MAX 4096u
#define RIG_LOG_US    UINT64_C(1700000000000000) /* log time at monotonic 0 */

/* Steps a, b and c at three paths of two targets, d with headers and envelope; a comes before b. The rig does not mind. */
extern const char rig_definition[];

struct rig_saga {
    char name[32];
    uint64_t uid;
    uint64_t version;
    enum hf_saga_state state;
    uint8_t secret[16];
    struct hf_saga_step steps[RIG_STEPS];
};

/* What an event does to a step. */
struct rig_step {
    uint32_t step;
    enum hf_step_state state;
    enum hf_saga_op op;  /* 0: action */
    uint32_t attempts;   /* 0: 1 */
    uint64_t due_us;     /* log time */
    bool polls;          /* at the event's poll_at, if it has one, else where it polled before */
    const char *request; /* a new body, or NULL: the one it had */
};

struct rig_event {
    enum hf_event_type type; /* 0: SAGA_CHANGED */
    const char *saga;
    enum hf_saga_act act;     /* 0: START or TIMER */
    enum hf_saga_state state; /* 0: as it was */
    bool moved;               /* by step, op and attempt */
    uint32_t step;
    enum hf_saga_op op; /* 0: action */
    uint32_t attempt;
    bool late;
    const char *poll_at;
    struct rig_step steps[RIG_STEPS];
    size_t count;
};

/* A call that has begun. */
struct rig_call {
    struct hf_call *call; /* NULL: ended */
    bool cancelled;
    char step[8], op[16];
    char saga[32];
    uint32_t attempt;
    bool get;
    uint64_t begun_us;
    uint64_t head; /* newest durable commit then */
};

/* An answer that was given to the node. */
struct rig_answer {
    struct hf_request *request;      /* NULL: decided */
    struct hf_saga_op_fields fields; /* texts live while it is not decided */
};

struct rig {
    struct hf_arena arena;
    struct hf_outside outside;
    uint64_t now_us; /* monotonic */
    uint64_t random;
    uint32_t answers_max; /* of runners to come; 0: the default */
    /* the log */
    struct hf_shared_bytes **frames; /* position - 1 */
    uint64_t *times;
    size_t commits, commits_capacity;
    uint64_t durable;    /* positions up to here are shown */
    bool holds;          /* new commits are not durable by themselves */
    uint64_t ring_first; /* positions below are cold */
    /* the state at the newest commit, and as it was at each durable one is not kept: work is read while nothing is held */
    struct rig_saga *sagas;
    size_t saga_count;
    struct hf_saga_stored_definition stored;
    const char *definition; /* its text; rig_definition by default: set before rig_boot */
    /* the node */
    struct hf_request **waiting; /* RIG_REQUESTS_MAX */
    size_t waiting_count;
    uint32_t overloads; /* the next submissions are refused */
    bool down;          /* NOT_READY */
    uint64_t reads;     /* of positions */
    uint64_t work_pages;
    uint32_t page_sagas; /* of a page of work; 0: as asked */
    /* when a page of work has been read, before it is given: NULL: nothing */
    void (*between_pages)(struct rig *rig);
    /* participants */
    struct hf_caller caller;
    struct rig_call *calls;
    size_t call_count, calls_capacity;
    void (*on_call)(struct rig *rig, struct rig_call *call); /* NULL: nothing */
    struct rig_answer *answers;
    size_t answer_count, answers_capacity;
    void *context; /* the test's */
    struct hf_target_limits target_limits;
    struct hf_targets *targets;
    struct hf_secrets *secrets;
    struct hf_runner *runner;
};

void rig_init(struct rig *rig);
/* Makes the runner; with targets anew. */
void rig_boot(struct rig *rig);
/* The runner's end without a stop: what it has is lost. */
void rig_kill(struct rig *rig);
void rig_release(struct rig *rig);

/* Steps until nothing happens any more; requests other than answers are served. */
void rig_run(struct rig *rig);
/* Time passes, then it runs. */
void rig_pass(struct rig *rig, uint64_t us);
uint64_t rig_log_us(const struct rig *rig);

/* ---- the log ---- */

struct rig_saga *rig_find(struct rig *rig, const char *saga);
/* One commit of these events. Returns its position. */
uint64_t rig_commit(struct rig *rig, const struct rig_event *events, size_t count);
#define RIG_COMMIT(rig, ...)                                                                       \
    rig_commit((rig), (const struct rig_event[]){__VA_ARGS__},                                     \
               sizeof((const struct rig_event[]){__VA_ARGS__}) / sizeof(struct rig_event))
/* Starts a saga with its first steps (a bit each) due at once. */
uint64_t rig_start(struct rig *rig, const char *saga, unsigned steps);

/* ---- participants and answers ---- */

/* The newest call of a step that is out; fails if there is none. */
struct rig_call *rig_out(struct rig *rig, const char *saga, const char *step);
size_t rig_out_count(const struct rig *rig);
struct hf_str rig_header(const struct hf_call *call, const char *name); /* or absent */
/* The answer; then it runs. */
void rig_reply(struct rig *rig, struct rig_call *call, unsigned status, const char *body);
/* The oldest answer that is not decided; NULL: none. */
struct rig_answer *rig_pending(struct rig *rig);
/* The node's decision: recorded at a position, or (0) not at all. */
void rig_decide(struct rig *rig, struct rig_answer *answer, uint64_t position);

#endif
