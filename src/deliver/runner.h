/*
 * The saga runner: makes the calls that sagas have due, and gives their answers back as commits.
 *
 *        ┌──────────────────────────── saga_answer ◄───────────────────────────┐
 *        ▼                                                                     │
 *      node ──durable──► tail ──follow──► index of due calls ──turn──► targets ──► caller ──► participant
 *        └──work, by pages, once──────────────▲
 *
 * Owns: the index of due calls (deliver/due_call.h), the definitions that they go by, the calls that are out and their answers until the
 * node has them. Must never: decide anything (what an answer means, and when the next attempt is due, stands in the log); send what is
 * not durable; keep what the log does not know: it may be killed at any moment, and the attempt is sent again under the same key.
 * Called by: deliver's thread (hf_runner_sender), the simulator, which steps it itself.
 *
 * 1. Sans-IO: a step never blocks. What it wants of the log and the state are requests at the node; calls are the caller's.
 * 2. It reads the work of the state in pages, then follows the tail from the first page's position on. Nothing is sent before it
 *    has come to the last page's position: then what it knows is what the log says, nothing missed and nothing twice.
 * 3. An entry of the index goes by the newest event of its step alone: another attempt takes its place, and the answer of a call that
 *    was out is still given to the node, which knows whether it counts.
 * 4. Turns are the targets' (deliver/target.h): limit and breaker of a target, round robin between targets, fair between sagas.
 * 5. If memory was short for an entry, the work is read anew a second later.
 */
#ifndef HF_DELIVER_RUNNER_H
#define HF_DELIVER_RUNNER_H

#include "deliver/deliver.h"
#include "node/node.h"

/* Behind the timeout of a saga that has one: what the header Saga-Forget-After promises, and this refuses. */
#define HF_SAGA_FORGET_US (30ull * 86400 * 1000000)

struct
    hf_caller; /* deliver/caller.h; another struct of the name is the api's: only a pointer here */
struct hf_secrets; /* deliver/secrets.h */
struct hf_runner;

/* What the runner needs of the node. */
struct hf_runner_node {
    void *context;
    /* As hf_node_submit; done may be called on another thread. */
    enum hf_err (*submit)(void *context, struct hf_request *request);
    struct hf_tail_head (*head)(void *context); /* as hf_tail_head */
    /* As hf_tail_take. */
    enum hf_tail_result (*take)(void *context, uint64_t from, struct hf_shared_bytes **frames,
                                size_t count_max, size_t *count);
};
struct hf_runner_node hf_runner_node_of(struct hf_node *node);

struct hf_runner_limits {
    uint32_t
        answers_max; /* calls that are out or whose answers the node has not decided; more begin no call: 8,192 */
    uint32_t reads_max;           /* requests at the node for the texts of calls: 32 */
    uint32_t commits_per_step;    /* followed before others have their turn: 1,024 */
    uint32_t dues_per_step;       /* 1,024 */
    size_t definitions_bytes_max; /* parsed: 64 MiB */
    uint64_t grace_us;            /* at a stop, for calls that are out: 3 s */
    uint64_t
        spread_us_max; /* a backlog that is found at the start is spread over at most this: 1 s */
};
struct hf_runner_limits hf_runner_limits_default(void);

struct hf_runner_options {
    struct hf_runner_node node;
    struct hf_caller *caller; /* outlives it, as all below */
    struct hf_targets *targets;
    struct hf_secrets *secrets;  /* for headers and signatures; NULL: none */
    struct hf_outside *outside;  /* clocks, random */
    struct hf_str callback_base; /* "https://holdfast.example"; absent: no Saga-Callback. Copied */
    void (*wake)(void *context); /* something has come, from another thread: step soon */
    void *wake_context;
    struct hf_runner_limits limits;
};

/* NULL: memory is short. */
struct hf_runner *hf_runner_new(const struct hf_runner_options *options) HF_WARN_UNUSED;
/* Any time the node owes it no answer any more (it has stopped, or the node was freed): calls that are out are cancelled, answers that
 * were not submitted are given up. Targets and caller are still there. NULL is fine. */
void hf_runner_free(struct hf_runner *runner);

/* Does what can be done now, a bounded amount; true: it did something, so step again. */
bool hf_runner_step(struct hf_runner *runner, uint64_t now_us);
/* When it wants to be stepped at the latest, monotonic; UINT64_MAX: when woken or when the tail has more. */
uint64_t hf_runner_next_step_us(struct hf_runner *runner);
/* Begins nothing new. Calls that are out have a short grace; their answers are given to the node. Go on stepping. */
void hf_runner_stop(struct hf_runner *runner);
bool hf_runner_stopped(const struct hf_runner *runner);
/* For hf_deliver_add. */
struct hf_sender hf_runner_sender(struct hf_runner *runner);

/* As of the last step; any thread. */
struct hf_runner_status {
    bool following;                  /* the work was read, calls go out */
    uint64_t position;               /* followed up to */
    uint64_t later;                  /* calls that are due later */
    uint64_t now;                    /* due: waiting for their turn or out… */
    uint64_t out;                    /* …of them */
    uint64_t answering;              /* answers that the node has not decided */
    uint64_t calls;                  /* begun, since start */
    char error[HF_ERROR_TEXT_BYTES]; /* why it has come to an end; empty: it has not */
};
void hf_runner_status(struct hf_runner *runner, struct hf_runner_status *status);

/* Every invariant by a walk; aborts if one is broken. */
void hf_runner_verify(const struct hf_runner *runner);

#endif
