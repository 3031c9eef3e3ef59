/*
 * What the node's files share: its parts and their invariants.
 */
#ifndef HF_NODE_NODE_PRIV_H
#define HF_NODE_NODE_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "node/clock.h"
#include "node/node.h"
#include "node/replay.h"
#include "node/time_marks.h"
#include "node/wait.h"
#include "store/index.h"

/* A first-in, first-out list of requests. */
struct hf_request_list {
    struct hf_request *first; /* oldest */
    struct hf_request *last;  /* newest; meaningless if first is NULL */
};

/* Commits that go to the log together. */
struct hf_batch {
    struct hf_buffer body;   /* frames */
    uint64_t first_position; /* of the first commit */
    uint32_t commit_count;
    size_t full_bytes;          /* of the body when it was full; 0: it is not */
    struct hf_hash hash_before; /* of the chain */
    struct hf_hash hash_after;
    uint64_t
        outward; /* newest of its commits that moves a saga or changes a subscription; 0: none */
};

struct hf_fetch_job {
    struct hf_job job;
    struct hf_node *node;
    struct hf_request_list requests; /* the worker's while `running` */
    atomic_bool done;                /* set by the worker at its end */
    bool running;
};

/* Cold records of a decision that the node makes by itself. */
struct hf_inner_fetch {
    struct hf_request request; /* its records and needs; nothing else of it is used */
    bool wanted;               /* the next fetch takes it along */
    bool out;                  /* the worker has it */
    uint64_t retry_us;         /* monotonic; not before; 0 = at once */
};

struct hf_checkpoint_job {
    struct hf_job job;
    struct hf_node *node;
    /* Set by the worker at its end. Away from the flags below: compilers read neighbours together. */
    atomic_bool done;
    uint64_t from_position; /* of the checkpoint that it starts from; 0 = none; set at start */
    uint64_t seed;          /* of the job's state */
    uint64_t position;      /* to store */
    uint64_t seq;           /* of the batch that ends with it */
    bool wanted;            /* begin at the next batch's end */
    bool waits;             /* frozen; begins when position is durable */
    bool running;
    enum hf_err err; /* how it ended */
    struct hf_error error;
    struct hf_hash state_hash; /* of the stored checkpoint */
    uint64_t file_bytes;       /* of its file */
    bool has_unadded;          /* a stored checkpoint's run could not be opened yet */
    struct hf_run_ref unadded; /* the newest stored checkpoint's run */
};

/* Merges of index runs beside checkpoints, one at a time. */
struct hf_merge_job {
    struct hf_job job;
    struct hf_node *node;
    atomic_bool done; /* set by the worker at its end */
    atomic_bool stop; /* set by the node: it shall end soon, and leave nothing */
    bool wanted;      /* look whether there is something to merge */
    bool running;
    bool merged;     /* something was: look again */
    enum hf_err err; /* how it ended */
    struct hf_error error;
};

/* The node's thread alone, but for atomics. */
struct hf_node_memory {
    struct hf_memory_options options;
    int64_t state_bytes;                /* that the state has of the allocator */
    uint64_t resident;                  /* at the last look… */
    uint64_t looked_us;                 /* …monotonic; 0: none yet… */
    atomic_uint_least64_t looked_bytes; /* …what was allocated then */
    uint64_t trimmed_us;                /* monotonic, when memory was given back last */
    uint64_t early_us;                  /* monotonic, when a checkpoint was begun early */
    atomic_uint_least32_t level;
    atomic_uint_least64_t used;     /* with what is kept for a checkpoint, at the last look */
    atomic_uint_least64_t promised; /* to large reads that are under way */
    atomic_int_least64_t job_bytes; /* that the checkpoint's job has */
    hf_tally refused;               /* by any thread (added to as a whole) */
};

struct hf_node {
    struct hf_outside *outside;
    struct hf_log *log;
    char *directory;
    char *name;
    struct hf_limits limits;
    bool checkpoints;

    /* The node's thread alone. position ≥ durable.position; what lies between is in building and flight. */
    struct hf_state state; /* runs ahead of the disk */
    struct hf_draft draft;
    struct hf_buffer scratch;
    struct hf_clock clock;
    uint64_t epoch;
    struct hf_log_head durable; /* of what append has reported OK */
    struct hf_hash hash;        /* of the chain at state.position */
    struct hf_batch building;   /* decided, not handed to the log */
    struct hf_batch flight;     /* handed to the log */
    struct hf_log_batch flight_batch;
    uint64_t flight_us; /* monotonic, when it was handed over */
    uint64_t sync_us;   /* how long the last one took */
    uint64_t asked_us;  /* monotonic, when the last request was decided */
    bool in_flight;
    bool resolving; /* the outcome of the flight is being asked for */
    bool confirming;
    bool tail_cut_pending;       /* TAIL_CUT is to be recorded */
    bool record_checkpoint;      /* CHECKPOINT is to be recorded */
    uint64_t order;              /* of the newest decision */
    uint64_t confirming_order;   /* newest decision when confirm was asked */
    uint64_t confirmed_order;    /* owner until behind this decision */
    uint64_t read_only_until_us; /* monotonic; the disk was full; 0 = not */
    uint64_t log_bytes_since_checkpoint;
    uint64_t stored_position;     /* of the newest checkpoint whose run is in the index; 0 = none */
    struct hf_hash stored_hash;   /* of its canonical state */
    uint64_t stored_bytes;        /* of its file */
    uint64_t seed;                /* of hash tables */
    struct hf_node_status counts; /* what status counts, before it is published */
    struct hf_request_list ready; /* to be decided, before those in the queue */
    struct hf_request_list large; /* large commands, behind those… */
    uint64_t large_since_us; /* …monotonic, when the last one was decided, or the first one came… */
    uint64_t paced_until_us;      /* …and until when they must wait; 0: they need not */
    struct hf_request_list later; /* reads of positions to come… */
    uint64_t later_deadline_us;   /* …the earliest of their deadlines, UINT64_MAX: none… */
    uint64_t later_position;      /* …and the state's position when they were looked at */
    struct hf_waits waits;        /* receives that found nothing */
    struct hf_request_list to_fetch;
    struct hf_request_list waiting; /* decided; order ascends, seen_position does not fall */

    struct hf_tail *tail;             /* thread-safe itself */
    struct hf_index *index;           /* thread-safe itself; NULL until started */
    struct hf_time_marks *time_marks; /* thread-safe itself */
    struct hf_fetch_job fetch;
    struct hf_inner_fetch tick; /* timers */
    struct hf_inner_fetch scan; /* scans for subscriptions… */
    uint64_t scanning_uid;      /* …the one whose turn it is; 0 = none… */
    uint32_t scan_turns;        /* …and its commits so far */
    struct hf_checkpoint_job checkpoint;
    struct hf_merge_job merge;

    struct hf_node_meter meter;
    struct hf_node_memory memory;
    atomic_bool prefetch;  /* submitters may look into the index */
    atomic_bool some_gone; /* hf_node_withdraw was called since the waits were looked through */

    /* What was accepted and is not answered yet, wherever it waits; the bounds of all queues. */
    atomic_uint_least64_t open_count;
    atomic_uint_least64_t subscription_changes;
    atomic_uint_least64_t open_bytes;

    /* Under the mutex. */
    pthread_mutex_t mutex;
    struct hf_request_list queue;
    enum hf_node_phase phase;     /* written by the node's thread */
    struct hf_node_status status; /* a copy for other threads */
};

/* lists */
void hf_list_push(struct hf_request_list *list, struct hf_request *request);
struct hf_request *hf_list_pop(struct hf_request_list *list);
/* Puts all of `front` before what is in `list`; front is empty afterwards. */
void hf_list_prepend(struct hf_request_list *list, struct hf_request_list *front);

/* node.c */
void hf_node_publish(struct hf_node *node); /* copies what others may see under the mutex */
void hf_node_set_phase(struct hf_node *node, enum hf_node_phase phase);
void hf_node_fail(struct hf_node *node, enum hf_node_phase phase, const struct hf_error *error);
void hf_node_answer(struct hf_node *node, struct hf_request *request); /* calls done */
void hf_node_refuse(struct hf_node *node, struct hf_request *request, enum hf_err code);
/* A request that waits on its own counts neither as load nor as a reason not to stop. */
void hf_node_count_out(struct hf_node *node, const struct hf_request *request);
void hf_node_count_in(struct hf_node *node, const struct hf_request *request);

/* memory.c */
/* Is the request one of those that are refused now? If not, a large read is promised its memory. Any thread. */
bool hf_node_lacks_memory(struct hf_node *node, struct hf_request *request);
/* The read has what it wanted; it counts as allocated now. */
void hf_node_keep_promise(struct hf_node *node, struct hf_request *request);
/* Of commits decoded for a request's queries. */
uint64_t hf_node_read_bytes_max(const struct hf_node *node);
/* Looks at what is used, if it is time to; true: the level has changed. */
bool hf_node_mind_memory(struct hf_node *node);
/* When it must be looked again although nothing is to be done. */
uint64_t hf_node_next_look_us(const struct hf_node *node);
/* What the node's thread alone can tell. */
void hf_node_tell_memory(const struct hf_node *node, struct hf_memory *told);

/* pipeline.c */
/* request->needs holds what is missing; complete: all of it could be noted. */
void hf_node_ask_for_records(struct hf_node *node, struct hf_request *request, bool complete);
/* May another commit be decided before the log has taken those that there are? */
bool hf_node_has_room(const struct hf_node *node);
bool hf_node_has_small_room(const struct hf_node *node); /* for a small request */
/* The same for what nobody waits for: timers, scans. Each batch has a part for them, so that callers wait for no more. */
bool hf_node_has_own_room(const struct hf_node *node);
bool hf_node_decide_some(struct hf_node *node);
/* The draft's commit into state and batch; false: memory is short, nothing has changed. */
bool hf_node_record_draft(struct hf_node *node);
/* Records a system event as a commit of its own; false: not now (memory, read-only). */
bool hf_node_record_system(struct hf_node *node, enum hf_event_type type,
                           const struct hf_system *system);
/* Nothing is in it any more; its buffer stays. */
void hf_node_clear_batch(struct hf_batch *batch);
bool hf_node_start_append(struct hf_node *node);
bool hf_node_poll_log(struct hf_node *node);
bool hf_node_release(struct hf_node *node);

/* frames.c */
void hf_node_release_frames(struct hf_request *request);
/* A read of whole commits: answers it, or asks for those that are not in RAM. */
void hf_node_read_frames(struct hf_node *node, struct hf_request *request);

/* recover.c */
/* What a new epoch must record and what a rebuild may have lost. */
void hf_node_record_pending(struct hf_node *node);
void hf_node_rebuild(struct hf_node *node);

/* queue.c */
/* Books what is due. */
bool hf_node_tick(struct hf_node *node);
/* A step of a subscription that wants a scan. */
bool hf_node_scan(struct hf_node *node);
/* When the next one may be made; UINT64_MAX: none is wanted. */
uint64_t hf_node_next_scan_us(const struct hf_node *node);
/* What the node itself wants fetched joins the requests of a fetch, and leaves them when it is done. */
void hf_node_take_inner(struct hf_node *node, struct hf_request_list *requests);
void hf_node_return_inner(struct hf_node *node, struct hf_request_list *requests);
void hf_inner_fetch_release(struct hf_inner_fetch *fetch);

/* fetch.c */
bool hf_node_start_fetch(struct hf_node *node);
bool hf_node_poll_fetch(struct hf_node *node);
/* Index answers for a command's needs, on the submitter's thread. */
void hf_node_prefetch(struct hf_node *node, struct hf_request *request);

/* checkpoint.c */
/* Freezes the recent index if a checkpoint is wanted: right after a batch was handed to the log, or when all is durable and nothing
 * is being built. */
void hf_node_freeze(struct hf_node *node);
/* What has come since the last one began, in what the next one is due for. */
double hf_node_checkpoint_load(const struct hf_node *node);

/* pace.c */
/* A command of so many operations that small requests overtake it. */
bool hf_node_is_large(const struct hf_request *request);
/* The next one to be decided; NULL: none is there, or it must wait. */
struct hf_request *hf_node_next_request(struct hf_node *node);
/* It was decided, beginning at began_us (monotonic). */
void hf_node_note_decided(struct hf_node *node, bool large, uint64_t began_us);
/* When a large command that waits for the checkpoint's worker may go on; UINT64_MAX: none does. */
uint64_t hf_node_next_large_us(const struct hf_node *node, uint64_t now_us);
bool hf_node_poll_checkpoint(struct hf_node *node);

/* merge.c */
bool hf_node_poll_merge(struct hf_node *node);
/* The node does not lead any more: none begins, and one that is under way ends soon; a stop in order lets it end if there
 * are far too many runs. */
void hf_node_stop_merging(struct hf_node *node);

#endif
