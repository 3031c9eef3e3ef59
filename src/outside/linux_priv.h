/*
 * What the parts of the linux outside share: linux.c (files, clocks), hf_linux_lock.c (the directory
 * lock) and linux_worker.c (workers and the doorbell).
 */
#ifndef HF_OUTSIDE_LINUX_PRIV_H
#define HF_OUTSIDE_LINUX_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "outside/outside.h"

struct linux_outside;

/* A worker: a queue and the thread that empties it. */
struct worker {
    pthread_mutex_t mutex;         /* guards what follows */
    pthread_cond_t work_there;     /* the queue is not empty, or stop is set */
    pthread_cond_t job_done;       /* finished_count has grown while drainers > 0 */
    pthread_t thread;              /* valid if started */
    struct hf_job *first;          /* the queue; NULL = empty */
    struct hf_job **last;          /* where the next job is hung in */
    bool started;                  /* the thread exists */
    bool stop;                     /* the thread shall end */
    bool asleep;                   /* the thread waits on work_there */
    bool lent;                     /* another thread runs a job in its place */
    uint32_t drainers;             /* callers that wait on job_done */
    uint64_t submitted_count;      /* jobs ever submitted */
    uint64_t finished_count;       /* jobs ever finished */
    struct linux_outside *outside; /* whose it is */
};

/* The doorbell is one futex word. */
enum bell {
    BELL_QUIET = 0,   /* nothing to tell, nobody waits */
    BELL_RUNG = 1,    /* the next wait returns at once */
    BELL_WAITING = 2, /* the owner sleeps; whoever rings must wake it */
};

struct linux_outside {
    struct hf_outside base;                 /* the table; first, so that one pointer is both */
    struct worker workers[HF_WORKER_COUNT]; /* by enum hf_worker */
    _Atomic uint32_t bell;                  /* enum bell */
    bool (*step)(void *context);            /* in the owner's place; may be NULL */
    void *step_context;
};

/* linux.c: sets error from errno `number` ("<what> <path>: <why>"); returns the code. */
enum hf_err hf_linux_fail(struct hf_error *error, int number, const char *what, const char *path);
uint64_t hf_linux_monotonic_us(struct hf_outside *o);

/* hf_linux_lock.c */
enum hf_err hf_linux_lock(struct hf_outside *o, const char *path, bool wait, struct hf_lock **lock,
                          struct hf_error *error);
void hf_linux_unlock(struct hf_outside *o, struct hf_lock *lock);

/* linux_worker.c */
void hf_linux_workers_init(struct linux_outside *outside);
void hf_linux_workers_release(struct linux_outside *outside);
void hf_linux_submit(struct hf_outside *o, enum hf_worker kind, struct hf_job *job);
void hf_linux_drain(struct hf_outside *o, enum hf_worker kind);
void hf_linux_ring(struct hf_outside *o);

#endif
