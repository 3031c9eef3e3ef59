/*
 * The node: joins core and log. Requests in, answers out, everything durable first.
 *
 *   submit ─► queue ─► decide ─► evolve ─► batch ─► log.append ─► durable ─► answers
 *                        │  ▲                                        │
 *                     needs └── fetch (index, log)      checkpoint ◄─┘ (background)
 *
 * Owns: the state, the log, the store of one space's shard. Must never: let an answer or a read leave
 * before everything that it saw is durable (and, for what is not a commit of its own, before the owner has
 * confirmed its epoch); block its step on the disk, but at start and when it rebuilds its state.
 * Called by: the library and the server (a thread runs the steps), the simulator (it runs them itself).
 *
 * 1. Answers are given in the order of decisions; a commit's answer follows its batch's OK.
 * 2. decide and evolve run before the append: a check that trips aborts before anything wrong is stored.
 * 3. If an append is fenced or never happened, the state that ran ahead is thrown away and rebuilt from the
 *    checkpoint and the log; nobody ever saw it. What was decided on it is decided anew.
 * 4. Queues are bounded; full is `overloaded`, and then nothing has happened.
 *
 *   standby ─► recovering ─► leading ◄─► rebuilding        leading ─► stopping ─► stopped
 *      ▲                        ├──► deposed (fenced)
 *      └── lock held            └──► failed (a write or sync failed: final for this process)
 */
#ifndef HF_NODE_NODE_H
#define HF_NODE_NODE_H

#include "base/limits.h"
#include "core/read.h"
#include "log/log.h"
#include "node/memory.h"
#include "node/meter.h"
#include "node/tail.h"
#include "outside/outside.h"

enum hf_node_phase {
    HF_NODE_STANDBY = 1, /* made, not started */
    HF_NODE_LEADING,
    HF_NODE_STOPPING,
    HF_NODE_STOPPED,
    HF_NODE_DEPOSED, /* another owner has taken over */
    HF_NODE_FAILED,  /* the log can't be written any more, or damage was met */
};

const char *hf_node_phase_name(enum hf_node_phase phase);

struct hf_answer {
    enum hf_err code;  /* OK, a refusal's code, or why there is no decision (overloaded, not_ready,
                                  read_only, outcome_unknown, corrupt; too_large: several queries that
                                  decode too much). Of a read: the code of its only
                                  reading, OK if it has several */
    bool decided;      /* frame holds the decision (commits) or the read was made (reads) */
    bool replayed;     /* it was decided before; the same answer again */
    uint64_t position; /* of the commit that holds the decision; 0 = not recorded */
    uint64_t seen_position;        /* of the state that the decision or read saw */
    uint64_t time_us;              /* at which it was decided */
    struct hf_shared_bytes *frame; /* commits: the decision as a commit frame; owned */
};

struct hf_request;

/* Turns the reading of queries[index] into what the caller wants; runs on the node's thread; must not block.
 * Called for index 0, 1, … in order, all at one position. It may be called again from index 0 on before done,
 * when a read is made anew: what it made before then counts for nothing. */
typedef void (*hf_render_fn)(struct hf_request *request, size_t index,
                             const struct hf_reading *reading);
/* The answer is there. Runs on the node's thread; must not block nor call the node. */
typedef void (*hf_done_fn)(struct hf_request *request);

/* An entry of a heap, inside what waits (node/wait.h). */
struct hf_wait_timer {
    uint64_t due_us;
    size_t index; /* place in the heap */
};

/*
 * A request lives in its submitter's memory until done was called. It is one of: a command (a commit, a cancel), a
 * read of queries, or a read of whole commits by position.
 *
 * A receive that finds nothing waits for a message, if it has a deadline, and has an empty answer then.
 */
struct hf_request {
    /* set by the submitter */
    const struct hf_command *command; /* a commit or cancel; NULL for a read */
    const struct hf_query *queries;   /* a read: what is read at one position; NULL for a commit */
    size_t query_count;               /* 1 to HF_QUERIES_MAX for a read, 0 for a commit */
    const uint64_t *positions; /* a read of whole commits: which; none above the durable one… */
    size_t position_count;     /* …and how many; 0 for others */
    /* A read of whole commits: their frames, owned references that the submitter releases; all are there if the answer is
     * OK, else none. Those that are not NULL beforehand are not read. */
    struct hf_shared_bytes **frames;
    uint64_t min_position; /* a read waits until the state has it; 0 = any… */
    uint64_t deadline_us; /* …but no longer than this, on the outside's monotonic clock: then it is
                             HF_ERR_NOT_READY and nothing was read; 0 = for ever. A receive waits until
                             then; 0 = not at all */
    struct hf_outcome *
        outcomes; /* a command of units: room for one an operation; filled if the answer is decided */
    hf_render_fn render; /* reads */
    hf_done_fn done;
    void *context; /* the submitter's own */
    bool
        may_lack; /* a large read that is refused while memory is short; the server's own are not */
    /* the answer */
    struct hf_answer answer; /* release with hf_answer_release */
    uint64_t answered_us;    /* when it was given, on the outside's monotonic clock */
    /* the node's own */
    struct hf_request *next;
    struct hf_records records;
    struct hf_needs needs;
    size_t weight_bytes;
    size_t promised_bytes; /* of memory, to a large read */
    uint64_t submitted_us; /* monotonic */
    uint64_t decided_us;   /* monotonic; 0: not yet looked at */
    uint64_t order;        /* of the decision */
    bool needs_confirm;
    bool lacked_memory; /* it was refused (OVERLOADED) for memory */
    bool in_log;        /* its commit is in a batch that was handed to the log */
    uint32_t fetches;   /* rounds of fetching so far */
    enum hf_err fetch_error;
    atomic_bool gone; /* set by hf_node_withdraw */
    bool waits;       /* it is in the node's waits… */
    bool woken;       /* …or was taken out to be decided */
    uint64_t wait_order;
    struct hf_wait_timer wait_timer;
};

void hf_answer_release(struct hf_answer *answer);

struct hf_node_options {
    struct hf_outside *outside; /* outlives the node */
    struct hf_log *log;         /* opened; the node closes it */
    const char *directory;      /* for checkpoints and index runs; exists or can be made */
    const char *name;           /* who: for takeover records */
    struct hf_limits limits;
    bool checkpoints; /* store checkpoints in the background */
    struct hf_memory_options memory;
};

struct hf_node;

/* A node in phase STANDBY. NULL: memory is short. */
struct hf_node *hf_node_new(const struct hf_node_options *options);

/* Takes the log over, recovers state = checkpoint + tail, begins to lead. Blocks. HF_ERR_LOCKED if another
 * process owns the log and wait is false; other errors are final. progress may be NULL: called with
 * positions replayed and to replay. */
enum hf_err hf_node_start(struct hf_node *node, bool wait,
                          void (*progress)(void *context, uint64_t done, uint64_t total),
                          void *context, struct hf_error *error) HF_WARN_UNUSED;

/* Thread-safe. HF_ERR_OK: done will be called, exactly once. HF_ERR_OVERLOADED or NOT_READY: it won't, and
 * nothing has happened. Never waits for the disk. */
enum hf_err hf_node_submit(struct hf_node *node, struct hf_request *request);

/* Nobody wants the answer any more, or the submitter has to come to an end: a request that waits is refused with
 * NOT_READY, and nothing is delivered to it. Too late for what is decided. Thread-safe; done is called as ever, so the
 * submitter calls this only as long as it has not seen done. */
void hf_node_withdraw(struct hf_node *node, struct hf_request *request);

/* Does what can be done now without blocking. Returns true if it did something: step again. The node's
 * thread only. */
bool hf_node_step(struct hf_node *node);
/* Is there so little to be done that a step is short? Timers that are due and scans are not. To be asked by whoever may step. */
bool hf_node_is_light(struct hf_node *node);
/* When the next step is due at the latest, in µs of the outside's monotonic clock; UINT64_MAX: on a ring. */
uint64_t hf_node_next_step_us(struct hf_node *node);

/* Begins a graceful stop: no new requests, all that were accepted are answered, a last checkpoint if
 * wanted, then the log is sealed. Step until the phase is STOPPED (or FAILED, DEPOSED). Node's thread. */
void hf_node_stop(struct hf_node *node);

/* Begins a checkpoint of what is durable now unless one is under way. Node's thread. */
void hf_node_checkpoint(struct hf_node *node);

/* Frees everything; requests without an answer get NOT_READY or OUTCOME_UNKNOWN. No job may be running
 * any more in the outside (the linux outside waits for them). */
void hf_node_free(struct hf_node *node);

/* Thread-safe snapshot of what goes on. */
struct hf_node_status {
    enum hf_node_phase phase;
    uint64_t epoch;
    uint64_t position; /* decided */
    uint64_t durable_position;
    uint64_t seq; /* durable batches */
    uint64_t accounts, holds, streams, documents, leases;
    uint64_t lines, delayed; /* of all subscriptions; messages that are not due */
    uint64_t sagas, sagas_parked, sagas_failing; /* that have not ended; of them */
    uint64_t alerts;                             /* raised */
    uint64_t checkpoint_position;                /* newest recorded */
    uint64_t commits, refusals, replays, reads;  /* since start */
    uint64_t batches;                            /* since start */
    uint64_t fetches;                            /* requests that needed cold records */
    uint64_t rebuilds;                           /* states thrown away */
    uint64_t recovered_commits;                  /* replayed at start, behind the checkpoint */
    bool read_only;                              /* the disk is full */
    bool torn_tail;                              /* recovery cut one */
    struct hf_log_recovery recovery;
    struct hf_memory memory;
    char error[HF_ERROR_TEXT_BYTES]; /* why FAILED, or the last checkpoint's error */
};
void hf_node_status(struct hf_node *node, struct hf_node_status *status);
/* What is measured; lives as long as the node. Any thread may look. */
const struct hf_node_meter *hf_node_meter(const struct hf_node *node);
/* Requests that were accepted and are not answered, waiting ones apart, and what they weigh. Any thread. */
void hf_node_open_requests(struct hf_node *node, uint64_t *requests, uint64_t *bytes);
/* How near the limit of memory it is. Any thread. */
enum hf_memory_level hf_node_memory_level(const struct hf_node *node);
/* What may still be taken for something that can wait (the audit's copy of the state); UINT64_MAX without a limit. Any thread. */
uint64_t hf_node_memory_room(const struct hf_node *node);
/* Receives that wait. Any thread. */
uint64_t hf_node_waiting_receives(const struct hf_node *node);

/* Grows with each subscription that is made, changed, sought or deleted, before that is durable. Any thread. */
uint64_t hf_node_subscription_changes(const struct hf_node *node);

/* What is durable, for readers; closed when the node does not lead any more. Lives as long as the node. */
struct hf_tail *hf_node_tail(struct hf_node *node);

/* For tests and verify: the state itself; only while no step runs. */
const struct hf_state *hf_node_state(const struct hf_node *node);

#endif
