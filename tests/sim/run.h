/*
 * One run: the whole node on the simulated outside, driven by clients and troubled by faults.
 *
 * Owns: the world, the machines with their nodes, every operation that a client asked for and every
 * submission of it with its answer. Must never: judge (judge.c does, when the run is over), use real
 * time, let an address decide anything.
 * Called by: main.c.
 *
 *   client ──ask──► submission ──► node ──► answer ─┐
 *      ▲                └── lost (process ended) ───┤
 *      └──────────── next, or the same again ◄──────┘
 *
 * 1. A seed gives one run, to the same bytes.
 * 2. Real-time order is looked at when an answer is given: it must have seen everything that anybody was
 *    told before it was submitted.
 * 3. A submission ends exactly once: answered, or lost with its process.
 * 4. What recovered nodes hold is kept as canonical bytes and judged with the rest.
 */
#ifndef HF_TESTS_SIM_RUN_H
#define HF_TESTS_SIM_RUN_H

#include "log/log.h"
#include "node/node.h"
#include "sim/gen.h"
#include "sim/log_sim.h"
#include "sim/reading.h"
#include "sim/report.h"
#include "sim/world.h"

#define RUN_HOUSES_MAX  3
#define RUN_CLIENTS     12
#define RUN_CONSUMERS   4 /* the last ones of them: they publish, receive and settle */
#define RUN_FAILURE_MAX 1024

enum run_driver {
    RUN_DRIVER_SIM = 1, /* machines with a replicated log */
    RUN_DRIVER_FILE,    /* machines that share a disk with a log of files */
};

struct run;
struct run_house;
struct saga_sim;    /* saga_sim.h */
struct saga_house;  /* the same */
struct saga_report; /* the same */
struct run_op;

/* How a submission ended. */
enum run_end {
    RUN_END_NONE = 0, /* not yet */
    RUN_END_LOST,     /* its process ended */
    RUN_END_ANSWERED,
};

/* One time that an operation was sent to a node. */
struct run_submission {
    struct hf_request request;
    struct run *run;
    uint64_t number; /* judge.c */
    struct run_op *op;
    struct run_house *house;         /* where it was sent */
    struct run_submission *next;     /* of the house's, while it is under way */
    struct run_submission *previous; /* the same */
    uint64_t told_before; /* newest position that anybody had been told when it was sent */
    uint64_t begin_us;    /* virtual time */
    enum run_end end;
    bool primary;                /* its client waits for it */
    struct hf_answer answer;     /* ANSWERED; frame owned */
    struct hf_outcome *outcomes; /* of a command of units; owned */
    struct run_reading *reading; /* reads: a copy in the run's arena */
};

/* What a client wants; sent once or more. */
struct run_op {
    struct run *run;
    uint64_t number;            /* 1, 2, … */
    struct hf_command *command; /* owned; NULL: a read */
    struct hf_query *query;     /* in the run's arena; NULL: a command */
    uint64_t min_position;      /* reads */
    uint32_t client;            /* number */
    bool chained;               /* the client goes on with its next one when this has ended */
    uint32_t attempts;          /* so far */
    uint64_t wait;              /* number of the wait that a timer may end */
    bool ended;                 /* its client has what it wanted, or gave up */
    uint32_t perhaps;           /* submissions that may have had an effect without saying so */
    uint32_t made;              /* submissions that were told of a new commit */
    uint32_t in_log;            /* commits; judge.c */
    struct run_op *same;        /* judge.c: the first one of the same words under the same key */
    struct run_op *next_same;   /* judge.c: of these, the first one's list */
};

/* The state of a node that had just recovered, or was idle. */
struct run_snapshot {
    uint64_t position;
    struct hf_buffer bytes; /* canonical */
};

/* A machine with its process. */
struct run_house {
    struct run *run;
    uint32_t number;
    struct hf_world_machine *machine;
    struct hf_outside *outside; /* its living process, or the one that just died; NULL: down */
    struct hf_node *node;       /* NULL: down */
    struct hf_log *log;         /* the node's */
    bool started;               /* the node leads or led */
    bool ending;                /* its end is decided */
    bool takes_over;            /* must not wait for the leader's end */
    bool shown;                 /* its recovered state was kept */
    uint64_t timer_us;          /* earliest step that is scheduled */
    struct saga_house *sagas;   /* its runner; NULL: it does not lead, or a run without sagas */
    struct run_submission *under_way; /* list */
    struct hf_node_status status;     /* last seen */
};

struct run_client {
    struct run *run;
    uint32_t number;
};

struct run {
    struct run_plan *plan; /* borrowed */
    uint64_t seed;
    enum run_driver driver;
    uint32_t house_count; /* of houses */
    struct hf_world *world;
    struct hf_sim_random random;        /* of the faults and sizes */
    struct hf_sim_random client_random; /* of the clients */
    struct hf_log_sim *log_sim;         /* NULL: files */
    struct run_house houses[RUN_HOUSES_MAX];
    struct run_client clients[RUN_CLIENTS];
    struct hf_limits limits;
    struct hf_arena arena; /* copies of readings, queries */
    struct run_op **ops;   /* owned; number - 1 */
    size_t op_count;
    size_t op_capacity;
    uint64_t ops_wanted;
    uint64_t ends_wanted;
    uint64_t ops_open;                   /* begun, not ended */
    struct run_submission **submissions; /* owned, in the order of sending */
    size_t submission_count;
    size_t submission_capacity;
    struct run_snapshot *snapshots; /* owned */
    size_t snapshot_count;
    size_t snapshot_capacity;
    uint64_t told;                 /* newest position that anybody was told */
    uint64_t told_us;              /* when something was last answered with a decision */
    uint64_t ends;                 /* crashes and takeovers so far */
    uint64_t weather_until_us;     /* chances go back to fair then */
    uint64_t night_until_us;       /* nobody asks for anything, nothing strikes: leases end */
    struct hf_gen gen;             /* of commands */
    struct hf_arena scratch;       /* of decoded answers */
    uint64_t gap_us_max;           /* a client thinks at most so long */
    struct report *report;         /* counts; borrowed */
    char failure[RUN_FAILURE_MAX]; /* first difference; empty = none */
    bool crash_in_flight;          /* the leader dies with its next append under way */
    bool calm;                     /* no more faults, no more operations */
    bool verbose;                  /* tell of starts and ends */
    bool verbose_answers;          /* and of every answer */
    struct saga_sim *sagas;        /* a run of sagas alone; NULL: of everything else */
};

/* How a run is to be. */
struct run_plan {
    uint64_t seed;
    enum run_driver driver;
    bool verbose;              /* tell of starts and ends */
    void *trace;               /* FILE: every event and answer; NULL = none */
    struct saga_report *sagas; /* counts of a run of sagas; borrowed; NULL = of everything else */
    const struct hf_world_point
        *only;           /* the only fault, at the first machine; NULL = storms of them */
    uint64_t operations; /* with `only`: so many */
    bool met;            /* with `only`: it came to it; set by run_whole */
};

/* A whole run with its judgement; true: nothing was wrong. */
bool run_whole(struct run_plan *plan, struct report *report, char failure[RUN_FAILURE_MAX]);

/* The first failure counts. Returns false. */
bool run_fail(struct run *run, const char *format, ...) HF_PRINTF(2, 3);

/* house.c */
void house_init(struct run *run, uint32_t number, struct hf_world_machine *machine);
/* The process ends (it may have ended already); it is booted again later. */
void house_end(struct run_house *house);
void house_release(struct run_house *house);
/* The machine goes down now; nothing if it is down. */
void house_crash(struct run_house *house, enum hf_crash_kind kind);
/* Boots a process and makes a node. false: it failed and is being ended. */
void house_boot_later(struct run_house *house, uint64_t delay_us);
struct run_house *house_leader(struct run *run); /* that says it leads; the newest; NULL: none */
/* Begins a graceful stop. */
void house_stop(struct run_house *house);

/* submission.c */
void submission_send(struct run_op *op, struct run_house *house, bool primary);
/* The house's process has ended: nobody will hear of what it had under way. */
void submission_lose_all(struct run_house *house);
void submission_free(struct run_submission *submission);

/* client.c */
/* Begins an operation with this command, which it then owns. */
void client_ask(struct run *run, struct hf_command *command);
void client_start(struct run *run);
void client_release(struct run *run);
/* The submission has ended. */
void client_ended(struct run_submission *submission);

/* A random machine, a leader if there is one (mostly). */
struct run_house *client_choose_house(struct run *run);

/* nemesis.c */
/* Faults of every kind from now on; or the plan's one alone. */
void nemesis_start(struct run *run);
void nemesis_calm(struct run *run);

/* A consumer takes or acks what the subscription has, or redrives its dead letters. */
void client_drain(struct run *run, struct hf_str subscription, bool redrives);

/* drain.c: consumers take what is left until every message has ended or is parked. */
void drain(struct run *run);

/* judge.c: the log is read through the house's driver up to its node's head. */
bool judge(struct run *run, struct run_house *house);

#endif
