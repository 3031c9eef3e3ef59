/*
 * The runner's inside, shared by its files.
 *
 *   runner.c         life, the step, requests at the node
 *   runner_work.c    the work of the state, by pages
 *   runner_follow.c  the tail: events to entries of the index
 *   runner_turn.c    an entry that is due: its target, its turn, what its call is made of
 *   runner_read.c    what that needs of the log and the state
 *   runner_call.c    the call: body and headers
 *   runner_answer.c  the answer: a command, and what becomes of its entry
 *
 *   entry:  LATER ─due─► NOW ─answer─► ANSWERED ─the answer's event─► as that says
 *   turn:   LOOKING (for its URL) ─► QUEUED ─send─► LOADING (its texts) ─► OUT
 */
#ifndef HF_DELIVER_RUNNER_PRIV_H
#define HF_DELIVER_RUNNER_PRIV_H

#include <pthread.h>

#include "base/arena.h"
#include "core/saga_op.h"
#include "deliver/caller.h"
#include "deliver/due_call.h"
#include "deliver/known_definition.h"
#include "deliver/runner.h"
#include "deliver/sign.h"

#define RUNNER_WINDOW   64u /* frames taken from the tail at once */
#define RUNNER_READ_MAX 32u /* positions of a request for frames */
#define RUNNER_AGAIN_US 1000000u
#define RUNNER_BUSY_US  10000u /* the node was overloaded */

/* A request at the node. */
struct runner_ask {
    struct hf_request request;
    struct hf_runner *runner;
    /* of the answer */
    uint64_t position, seen_position;
    bool decided;
    /* It has come back: on the runner's thread. code OK, or NOT_READY: the node does not lead any more; else an error. */
    void (*came)(struct runner_ask *ask, enum hf_err code);
    struct runner_ask *next; /* came back, or to be submitted again */
};

struct runner_asks {
    struct runner_ask *first, *last;
};

enum turn_stage {
    TURN_LOOKING = 1, /* for the URL */
    TURN_QUEUED,      /* at its target */
    TURN_LOADING,     /* it is its turn */
    TURN_OUT,         /* its call is out, or is being refused here */
};

enum turn_frame {
    TURN_STARTED, /* the commit that started the saga */
    TURN_AT,      /* the commit that has the body, or where to poll */
    TURN_FRAMES,
};

/* An entry that is due. */
struct hf_runner_turn {
    struct hf_target_wait wait; /* owner = uid */
    struct hf_runner *runner;
    struct hf_due_call *due; /* NULL: its step has gone on without it (OUT alone) */
    enum turn_stage stage;
    bool held;      /* by a request, or in a line: it can't end before it comes back */
    bool has_texts; /* inputs and results were read, for templates of headers */
    struct hf_shared_bytes *frames[TURN_FRAMES]; /* as far as they had to be read; owned */
    struct hf_buffer texts;                      /* has_texts: lengths and texts, input first */
    struct runner_call *call;                    /* OUT */
    struct hf_runner_turn *next;                 /* of the line it is in */
};

/* A call that is out, then its answer on the way to the node. */
struct runner_call {
    struct hf_call call;
    struct runner_ask ask;
    struct hf_command command;
    struct hf_arena arena;       /* every text of call and answer */
    struct hf_runner_turn *turn; /* OUT */
    struct hf_str saga;          /* its id */
    uint64_t uid;
    uint32_t step;
    struct hf_str step_name;
    enum hf_saga_op op;
    uint32_t attempt;
    bool polls;
    bool dtm;                          /* of the definition… */
    struct hf_saga_status_rules rules; /* …and of the step */
    bool has_command;
    bool short_memory;                  /* for the answer's texts */
    struct hf_saga_op_fields fields;    /* the answer */
    struct runner_call *before, *after; /* of all */
    struct runner_call *next;           /* to be submitted */
};

enum runner_phase {
    RUNNER_READING = 1, /* the work */
    RUNNER_CATCHING_UP, /* to the position of the work */
    RUNNER_FOLLOWING,
    RUNNER_HALTED, /* the node does not lead any more, or the log can't be read */
};

struct hf_runner {
    struct hf_runner_options options;
    char *callback_base; /* owned; NULL: none */
    enum runner_phase phase;
    bool halts;      /* HALTED since this step */
    uint64_t now_us; /* of this step */
    /* log time: that of the newest durable commit, when it was seen */
    uint64_t head_position, head_outward, head_us, head_seen_us;
    bool head_open;
    /* the work */
    struct runner_work *work; /* READING: what is out; NULL: none */
    uint64_t read_again_us;   /* the work is read (again) then; 0 = not */
    uint64_t overdue;         /* entries of the work that were due already */
    uint64_t work_position;   /* of the last page */
    /* the tail */
    uint64_t next_position;
    struct hf_shared_bytes *window[RUNNER_WINDOW]; /* owned */
    uint64_t window_first;
    size_t window_count;
    struct runner_frames *cold; /* being read for `window`; NULL: nothing is */
    struct hf_arena scratch;    /* of one decoded commit */
    /* calls */
    struct hf_due_calls dues;
    struct hf_known_definitions definitions;
    struct turn_line to_read;  /* turns that want frames */
    struct turn_line to_load;  /* turns that may send */
    uint64_t looking;          /* turns that are LOOKING */
    uint32_t reads;            /* requests for frames and texts that are out */
    uint64_t turns;            /* that exist */
    struct runner_call *calls; /* all of them */
    uint32_t call_count, out_count;
    struct runner_call *spare_calls; /* by after: kept for calls to come */
    uint32_t spare_call_count;
    struct runner_call *to_submit, *to_submit_last;
    uint64_t submit_us; /* not before; 0 = at once */
    uint64_t begun;     /* calls, since start */
    struct hf_sign_secret signing[HF_SIGN_SECRETS_MAX];
    size_t signing_count;
    uint64_t signing_generation;
    bool signing_known, signing_fine;
    uint8_t random[256]; /* for parent ids */
    size_t random_left;
    /* requests */
    struct runner_asks again; /* the node was overloaded */
    uint64_t again_us;
    uint64_t asks; /* at the node, in `again` or in the inbox */
    bool stopping;
    uint64_t stop_us;      /* end of the grace; 0: not yet known */
    pthread_mutex_t mutex; /* guards the next two */
    struct runner_asks inbox;
    struct hf_runner_status status;
};

/* ---- runner.c ---- */

/* came will be called. */
void runner_submit(struct hf_runner *runner, struct runner_ask *ask);
void runner_halt(struct hf_runner *runner, const char *why);
void runner_drop_all(struct hf_runner *runner); /* entries */
/* An entry could not be made: the work is read anew. */
void runner_read_again(struct hf_runner *runner);
/* The log's clock, about. */
uint64_t runner_log_us(const struct hf_runner *runner);
/* Decodes a frame's commit into scratch. NULL: runner halted, or memory was short (then try again). */
const struct hf_commit *runner_decode(struct hf_runner *runner, const struct hf_shared_bytes *frame,
                                      uint64_t position);

/* ---- runner_work.c ---- */

void runner_work_start(struct hf_runner *runner);

/* ---- runner_follow.c ---- */

/* true: it did something. */
bool runner_follow(struct hf_runner *runner);
void runner_drop_window(struct hf_runner *runner);
/* The entry of a step as an event or the work has it; definition is borrowed, NULL if it is not known. */
struct runner_step {
    uint64_t uid;
    uint32_t step;
    const struct hf_saga_step *after; /* its places are whole */
    struct hf_known_definition *definition;
    bool paused;
    bool answered; /* an answer of this very attempt is what it is after */
};
void runner_set_step(struct hf_runner *runner, const struct runner_step *step);
void runner_drop_due(struct hf_runner *runner, struct hf_due_call *due);

/* ---- runner_turn.c ---- */

/* Entries that are due get turns; lines go on. true: it did something. */
bool runner_turns(struct hf_runner *runner);
/* Is there room for further turns that look for their URL? */
bool runner_may_look(const struct hf_runner *runner);
/* Its entry goes on without it. QUEUED and LOOKING ones end, others go on without the entry. */
void runner_turn_leave(struct hf_runner *runner, struct hf_runner_turn *turn);
/* Its call has begun. */
void runner_turn_out(struct hf_runner_turn *turn, struct runner_call *call);
/* Its call has ended: its entry, if it still has one, gets that state. */
void runner_turn_end(struct hf_runner *runner, struct hf_runner_turn *turn,
                     enum hf_due_state state);

/* It is not held any more: it goes on, or ends if its entry has left it. */
void runner_turn_go_on(struct hf_runner *runner, struct hf_runner_turn *turn);
/* Not held: it ends, and its entry is due again a little later. */
void runner_turn_postpone(struct hf_runner *runner, struct hf_runner_turn *turn);

static inline void runner_line_add(struct turn_line *line, struct hf_runner_turn *turn)
{
    turn->next = NULL;
    *(line->first == NULL ? &line->first : &line->last->next) = turn;
    line->last = turn;
}

static inline struct hf_runner_turn *runner_line_pop(struct turn_line *line)
{
    struct hf_runner_turn *turn = line->first;
    if (turn != NULL) {
        line->first = turn->next;
        turn->next = NULL;
    }
    return turn;
}

/* ---- runner_read.c: each of them gives the turn back by runner_turn_go_on or _postpone ---- */

enum runner_went {
    WENT_ON,
    WENT_WAITING, /* for a text: it is told when that is there */
    WENT_SHORT,   /* memory is short, or what it needs is not to be had now */
};

/* Of the commit with one of its texts; 0: there is none. */
uint64_t runner_turn_position(const struct hf_due_call *due, enum turn_frame which);
/* A reference, if it is in RAM; NULL: it must be read. */
struct hf_shared_bytes *runner_turn_frame(struct hf_runner *runner, struct hf_runner_turn *turn,
                                          enum turn_frame which);
/* Both frames are read, with those of other turns. */
void runner_want_frames(struct hf_runner *runner, struct hf_runner_turn *turn);
/* Begins a request for frames that are wanted; false: there is nothing to do, or no room. */
bool runner_read_frames(struct hf_runner *runner);
/* WAITING or SHORT. */
enum runner_went runner_want_definition(struct hf_runner *runner, struct hf_runner_turn *turn);
enum runner_went runner_want_texts(struct hf_runner *runner, struct hf_runner_turn *turn,
                                   const struct hf_name *saga);

/* ---- runner_call.c ---- */

struct runner_texts {
    const struct hf_commit *started; /* in scratch… */
    const struct hf_saga_changed *saga;
    struct hf_str request; /* the body, or the URL to poll; absent: none */
};
/* Begins the call of a turn: it is OUT then, also if it is refused here. false: memory is short. */
bool runner_call_begin(struct hf_runner *runner, struct hf_runner_turn *turn,
                       const struct hf_saga_definition *definition,
                       const struct runner_texts *texts);
struct runner_call *runner_call_new(struct hf_runner *runner);
void runner_call_free(struct hf_runner *runner, struct runner_call *call);
void runner_calls_release(struct hf_runner *runner); /* those that are kept */

/* ---- runner_answer.c ---- */

/* hf_call.done */
void runner_call_done(struct hf_call *from);
/* Calls that are out are not waited for any more. true: there were some. */
bool runner_cancel_all(struct hf_runner *runner);
/* true: it did something. */
bool runner_answer_all(struct hf_runner *runner);

#endif
