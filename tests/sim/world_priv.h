/*
 * Inside the simulated world: what world.c (time, machines) and world_files.c (files with their
 * faults) share. Called by: these two.
 */
#ifndef HF_TESTS_SIM_WORLD_PRIV_H
#define HF_TESTS_SIM_WORLD_PRIV_H

#include "sim/world.h"

struct world_process;

struct world_event {
    uint64_t time_us;            /* when */
    uint64_t sequence;           /* order among equals */
    struct world_process *owner; /* dropped if this has ended; NULL = the world's */
    hf_world_fn fn;              /* what */
    void *context;               /* of fn */
};

/* A worker's jobs. */
struct world_queue {
    struct world_process *process; /* whose */
    struct hf_job *first;          /* oldest */
    struct hf_job *last;           /* newest */
    size_t waiting;                /* count */
    bool scheduled;                /* an event is under way */
    bool running;                  /* inside a job */
};

/* An open file. */
struct hf_file {
    struct world_process *process;   /* that opened it */
    struct hf_fs_file *file;         /* a reference */
    enum hf_world_class class;       /* told by its path */
    bool direct;                     /* HF_OPEN_READ_DIRECT */
    bool writable;                   /* else writes are a bug */
    struct hf_file *previous;        /* of the process */
    struct hf_file *next;            /* of the process */
    char path[HF_FS_PATH_BYTES_MAX]; /* for error texts */
};

/* A lock, held or fallen; lives until unlock or the world's end. */
struct hf_lock {
    struct world_process *process; /* that took it */
    char *path;                    /* owned */
    bool held;                     /* not fallen */
    struct hf_lock *next;          /* of the disk */
};

struct world_disk {
    struct hf_fs *fs;        /* owned */
    struct hf_lock *locks;   /* owned */
    struct world_disk *next; /* of the world */
};

struct hf_world_machine {
    struct hf_world *world;        /* back */
    uint32_t number;               /* 0, 1, … */
    struct world_disk *disk;       /* perhaps shared */
    struct world_process *process; /* NULL: down */
    uint64_t origin_us;            /* of the monotonic clock */
    int32_t drift_ppm;             /* of the monotonic clock */
    int64_t wall_us;               /* wall clock at the world's time 0 */
    bool armed;                    /* point is waiting */
    struct hf_world_point point;   /* n counts down */
    hf_world_fn crash_fn;          /* or NULL */
    void *crash_context;           /* of crash_fn */
    struct hf_world_machine *next; /* of the world */
};

/* One life of a machine. */
struct world_process {
    struct hf_outside outside;                  /* first: a pointer to it is a pointer to this */
    struct hf_world *world;                     /* back */
    struct hf_world_machine *machine;           /* where it runs */
    bool alive;                                 /* once false, for ever */
    uint64_t ended_us;                          /* its clocks stand here when not alive */
    struct hf_sim_random random;                /* its random bytes */
    struct world_queue queues[HF_WORKER_COUNT]; /* jobs */
    bool rung;                                  /* since the loop last ran */
    bool ring_scheduled;                        /* an event is under way */
    hf_world_fn ring_fn;                        /* or NULL */
    void *ring_context;                         /* of ring_fn */
    struct hf_file *files;                      /* open */
    struct world_process *next;                 /* of the world */
};

struct hf_world {
    uint64_t now_us;                   /* virtual time */
    uint64_t sequence;                 /* of the last event submitted */
    struct world_event *events;        /* a heap, owned */
    size_t event_count;                /* used */
    size_t event_capacity;             /* allocated */
    struct hf_sim_random random;       /* for whoever drives the world */
    struct hf_sim_random chance;       /* faults and delays */
    struct hf_world_knobs knobs;       /* chances and delays */
    struct hf_world_counters counters; /* totals */
    struct hf_world_machine *machines; /* newest first */
    struct world_process *processes;   /* newest first */
    struct world_disk *disks;          /* newest first */
    uint32_t machine_count;            /* all */
    uint64_t trace;                    /* running hash */
    void *trace_to;                    /* FILE, or NULL */
};

/* world.c */
void world_submit(struct hf_outside *o, enum hf_worker worker, struct hf_job *job);
void world_drain_worker(struct hf_outside *o, enum hf_worker worker);
void world_ring(struct hf_outside *o);
uint64_t world_monotonic_us(struct hf_outside *o);
uint64_t world_wall_us(struct hf_outside *o);
void world_random_bytes(struct hf_outside *o, void *data, size_t size_bytes);
/* Ends the process and has on_crash called soon. */
void world_crash_at_point(struct hf_world_machine *machine, enum hf_crash_kind kind);
/* A line of the trace. */
void world_note(struct hf_world *world, const char *what, uint32_t machine, uint64_t a, uint64_t b);

/* world_files.c */
struct hf_outside world_outside_functions(void);
/* Closes what the process left open. */
void world_files_free(struct world_process *process);

#endif
