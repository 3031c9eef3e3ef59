/*
 * The simulated world: virtual time, machines, their disks, faults and crashes, all from one seed.
 *
 * Owns: the clock, the queue of events, machines with their processes (each a struct hf_outside),
 * disks (fs_sim.h), the trace. Must never: use threads, real time, libc's rand, or addresses in a
 * decision. Called by: the simulator program, the fault suites, log_sim.c.
 *
 * 1. Events run one at a time in the order of (time, number of submission). Time stands still while
 *    one runs. The same seed and the same calls give the same trace hash.
 * 2. A machine is up (it has one living process) or down. hf_world_boot starts a process: a new struct
 *    hf_outside. When it ends, that outside is dead for ever: its calls answer HF_ERR_CRASHED and have
 *    no effect (clocks stand still, random goes on), its locks have fallen, its jobs and events
 *    never run by themselves. It stays allocated until the world is freed, so that the code which still
 *    holds it can be cleaned up.
 * 3. A submitted job runs as an event of its own, jobs of one worker in order and one at a time.
 * 4. lock() never blocks: HF_ERR_LOCKED also with wait = true; poll.
 * 5. Machines may share a disk. A process' end by HF_CRASH_KILL leaves the page cache as it is; by
 *    HF_CRASH_POWER what its machine, and any machine on that disk which is down, did not sync is kept,
 *    lost or torn at random.
 */
#ifndef HF_TESTS_SIM_WORLD_H
#define HF_TESTS_SIM_WORLD_H

#include "outside/outside.h"
#include "sim/fs_sim.h"
#include "sim/sim_random.h"

struct hf_world;
struct hf_world_machine;

enum hf_crash_kind {
    HF_CRASH_KILL,  /* kill -9: the process ends, the machine's memory stays */
    HF_CRASH_POWER, /* power loss: what was not synced is at risk */
    HF_CRASH_KIND_COUNT,
};

/* Kinds of file operations. */
enum hf_world_op {
    HF_WORLD_OP_OPEN, /* of a file that exists */
    HF_WORLD_OP_CREATE,
    HF_WORLD_OP_READ,
    HF_WORLD_OP_WRITE,
    HF_WORLD_OP_SYNC,
    HF_WORLD_OP_TRUNCATE,
    HF_WORLD_OP_RENAME,
    HF_WORLD_OP_REMOVE,
    HF_WORLD_OP_LIST,
    HF_WORLD_OP_MAKE_DIRECTORY,
    HF_WORLD_OP_SYNC_DIRECTORY,
    HF_WORLD_OP_LOCK,
    HF_WORLD_OP_COUNT,
};

/* What a file is, told by its path. */
enum hf_world_class {
    HF_CLASS_SEGMENT,    /* in a directory "log", or this itself */
    HF_CLASS_STATE,      /* "state" in a directory "log" */
    HF_CLASS_CHECKPOINT, /* "checkpoint" in the name */
    HF_CLASS_RUN,        /* "run" or "index" in the name */
    HF_CLASS_LOCK,       /* named "lock" */
    HF_CLASS_OTHER,
    HF_CLASS_COUNT,
};

/* What happens at an armed point. */
enum hf_world_action {
    HF_ACT_CRASH_BEFORE, /* the operation has no effect */
    HF_ACT_CRASH_MIDDLE, /* a write is short, a sync partial; others as before or after, at random */
    HF_ACT_CRASH_AFTER,  /* the operation is done, nobody hears of it */
    HF_ACT_FAIL,         /* HF_ERR_IO; a failed sync strands sectors */
    HF_ACT_SHORT,        /* a write: a part is written, then HF_ERR_IO; others as FAIL */
    HF_ACT_NO_SPACE,     /* write, truncate, create, make directory, rename: HF_ERR_NO_SPACE */
    HF_ACT_COUNT,
};

/* Chances and delays; may be changed at any time. Everything is calm by default (hf_world_new). */
struct hf_world_knobs {
    uint32_t job_us_min;          /* delay of a background job (default 50) */
    uint32_t job_us_max;          /* the same (default 400) */
    uint32_t ring_us_max;         /* from the doorbell to the loop (default 20) */
    uint32_t slow_job_ppm;        /* chance of a job on a slow disk */
    uint32_t slow_job_us_max;     /* its delay */
    uint32_t wall_step_ppm;       /* chance of a jump of the wall clock, at each reading */
    uint32_t wall_step_us_max;    /* forwards or backwards by at most */
    uint32_t drift_ppm_max;       /* of the clocks of machines made from now on */
    uint32_t open_error_ppm;      /* open fails */
    uint32_t read_error_ppm;      /* read fails */
    uint32_t write_error_ppm;     /* write fails, nothing written */
    uint32_t write_short_ppm;     /* write fails after a part */
    uint32_t sync_error_ppm;      /* sync fails and strands sectors */
    uint32_t directory_error_ppm; /* list, rename, remove, make, sync of a directory fail */
    uint32_t evict_ppm;           /* at a process' end clean pages are dropped (stranded sectors) */
    struct hf_fs_loss loss; /* of a power loss (default: half, half, a fifth, a third, true) */
};

/* Totals since hf_world_new. */
struct hf_world_counters {
    uint64_t events;                        /* run */
    uint64_t jobs;                          /* run */
    uint64_t operations[HF_WORLD_OP_COUNT]; /* of files, by living processes */
    uint64_t crashes[HF_CRASH_KIND_COUNT];  /* all of them */
    uint64_t jobs_dropped;                  /* were waiting when their process died */
    uint64_t points[HF_WORLD_OP_COUNT][HF_CLASS_COUNT]
                   [HF_ACT_COUNT];                      /* armed points that were met */
    uint64_t faults[HF_WORLD_OP_COUNT][HF_CLASS_COUNT]; /* errors by chance */
    uint64_t no_space;                                  /* refused for the budget */
    uint64_t slow_jobs;                                 /* that met a slow disk */
    uint64_t wall_steps;                                /* jumps of a wall clock */
    uint64_t lock_refusals;                             /* HF_ERR_LOCKED */
};

typedef void (*hf_world_fn)(void *context);

struct hf_world *hf_world_new(uint64_t seed);
/* Frees machines, outsides and disks too; whoever uses them must be gone (open handles are freed). */
void hf_world_free(struct hf_world *world);

struct hf_world_knobs *hf_world_knobs(struct hf_world *world);
const struct hf_world_counters *hf_world_counters(const struct hf_world *world);
struct hf_sim_random *hf_world_random(struct hf_world *world); /* for whoever drives the world */
uint64_t hf_world_now_us(const struct hf_world *world);

/* Runs fn(context) after delay_us. owner: NULL, or a process: dropped if that has ended by then. */
void hf_world_after(struct hf_world *world, struct hf_outside *owner, uint64_t delay_us,
                    hf_world_fn fn, void *context);
/* Runs the next event; false if there is none. */
bool hf_world_step(struct hf_world *world);
/* Runs all events up to now + duration_us and moves the clock there. */
void hf_world_run(struct hf_world *world, uint64_t duration_us);

/* The trace: a hash over every event and file operation. Mix in what you decide and see. */
void hf_world_trace(struct hf_world *world, uint64_t value);
uint64_t hf_world_trace_hash(const struct hf_world *world);
/* Writes every event and operation as a line of text to `to` (a FILE *), NULL = off. */
void hf_world_trace_text(struct hf_world *world, void *to);

/* A machine, down, with a disk of its own or that of another. */
struct hf_world_machine *hf_world_machine_new(struct hf_world *world,
                                              struct hf_world_machine *share_disk_with);
uint32_t hf_world_machine_number(const struct hf_world_machine *machine); /* 0, 1, … */
struct hf_fs *hf_world_machine_disk(struct hf_world_machine *machine);
/* Starts a process; the machine must be down. */
struct hf_outside *hf_world_boot(struct hf_world_machine *machine);
bool hf_world_up(const struct hf_world_machine *machine);
struct hf_outside *hf_world_process(struct hf_world_machine *machine); /* NULL if it is down */

bool hf_world_alive(const struct hf_outside *outside);
struct hf_world *hf_world_of(const struct hf_outside *outside);
struct hf_world_machine *hf_world_machine_of(const struct hf_outside *outside);
/* Background jobs waiting. */
size_t hf_world_jobs_waiting(const struct hf_outside *outside);
/* Runs the waiting jobs of all workers now, and those that they submit: a living process' normally, a
 * dead one's with every call answering HF_ERR_CRASHED (so that their owners end). The outside's own
 * drain() does the same for one worker. */
void hf_world_drain(struct hf_outside *outside);

/* fn runs as an event, soon after ring() (rings until then count once). */
void hf_world_on_ring(struct hf_outside *outside, hf_world_fn fn, void *context);
/* fn runs at the end of the event in which the machine met an armed crash; it may boot it again. */
void hf_world_on_crash(struct hf_world_machine *machine, hf_world_fn fn, void *context);

/* Ends the machine's process now; nothing if it is down. Does not call on_crash. */
void hf_world_crash(struct hf_world_machine *machine, enum hf_crash_kind kind);

/* A point where something happens, once. */
struct hf_world_point {
    enum hf_world_op op;         /* HF_WORLD_OP_COUNT = any */
    enum hf_world_class file;    /* HF_CLASS_COUNT = any */
    uint64_t n;                  /* at the n-th such operation from now on; 1 = the next */
    enum hf_world_action action; /* what */
    enum hf_crash_kind crash;    /* for the crash actions */
};

/* Arms a point at the machine (also before it is booted); replaces the one armed before. */
void hf_world_arm(struct hf_world_machine *machine, struct hf_world_point point);
void hf_world_disarm(struct hf_world_machine *machine);
bool hf_world_armed(const struct hf_world_machine *machine); /* false once it was met */

const char *hf_world_op_name(enum hf_world_op op);
const char *hf_world_class_name(enum hf_world_class file);
const char *hf_world_action_name(enum hf_world_action action);
enum hf_world_class hf_world_class_of(const char *path);

#endif
