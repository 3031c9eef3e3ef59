/*
 * The linux outside: one thread a worker, and the doorbell.
 *
 * A worker's thread starts with its first job. It does not spin before it sleeps: measured on two
 * processors, 20 to 100 us of it won nothing beside a sync (docs/adr/0002-log-file.md).
 */
#include "outside/linux_priv.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

#define BACKGROUND_NICE 5

/* Of this thread: it runs a job, in which a ring is only noted; it steps in the owner's place. */
static _Thread_local bool in_job;
static _Thread_local bool job_rang;
static _Thread_local bool stepping;
/* Of this thread, too: it runs jobs of the log itself; whose queue has the one that it is to run. */
static _Thread_local bool takes_jobs;
static _Thread_local struct worker *left;

static void lock(struct worker *worker)
{
    HF_CHECK(pthread_mutex_lock(&worker->mutex) == 0);
}

static void unlock(struct worker *worker)
{
    HF_CHECK(pthread_mutex_unlock(&worker->mutex) == 0);
}

/* The next job, taken from the queue, or NULL. The mutex is held. */
static struct hf_job *take_job(struct worker *worker)
{
    struct hf_job *job = worker->first;
    if (job != NULL) {
        worker->first = job->next;
        if (worker->first == NULL) {
            worker->last = &worker->first;
        }
        job->next = NULL;
    }
    return job;
}

/* The mutex is held, but not while the job runs. */
static void run_job(struct worker *worker, struct hf_job *job)
{
    unlock(worker);
    in_job = true;
    job->run(job); /* the job's memory may be gone when this returns */
    in_job = false;
    lock(worker);
    worker->finished_count++;
    if (worker->drainers > 0) {
        HF_CHECK(pthread_cond_broadcast(&worker->job_done) == 0);
    }
}

/* A ring from inside the job that has just returned. No mutex is held. */
static void ring_late(struct worker *worker)
{
    if (job_rang) {
        job_rang = false;
        hf_linux_ring(&worker->outside->base);
    }
}

/* Checkpoints and merges take what callers leave of the processors; that they are not left behind is up to the node. */
static void set_priority(const struct worker *worker)
{
    if (worker == &worker->outside->workers[HF_WORKER_CHECKPOINT] ||
        worker == &worker->outside->workers[HF_WORKER_MERGE]) {
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), BACKGROUND_NICE); /* of the thread: Linux */
    }
}

static void *work(void *context)
{
    struct worker *worker = context;
    set_priority(worker);
    lock(worker);
    for (;;) {
        while (worker->lent || (worker->first == NULL && !worker->stop)) {
            worker->asleep = true;
            HF_CHECK(pthread_cond_wait(&worker->work_there, &worker->mutex) == 0);
        }
        worker->asleep = false;
        struct hf_job *job = take_job(worker);
        if (job == NULL) {
            break;
        }
        run_job(worker, job);
        unlock(worker);
        ring_late(worker);
        lock(worker);
    }
    unlock(worker);
    return NULL;
}

/* Signals are for the program's own threads. */
static void start(struct worker *worker)
{
    sigset_t all;
    sigset_t before;
    HF_CHECK(sigfillset(&all) == 0);
    HF_CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    /* submit() can't fail, and without this thread nothing would ever become durable. */
    HF_CHECK(pthread_create(&worker->thread, NULL, work, worker) == 0);
    HF_CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    worker->started = true;
}

void hf_linux_workers_init(struct linux_outside *outside)
{
    for (size_t i = 0; i < HF_WORKER_COUNT; i++) {
        struct worker *worker = &outside->workers[i];
        HF_CHECK(pthread_mutex_init(&worker->mutex, NULL) == 0);
        HF_CHECK(pthread_cond_init(&worker->work_there, NULL) == 0);
        HF_CHECK(pthread_cond_init(&worker->job_done, NULL) == 0);
        worker->last = &worker->first;
        worker->outside = outside;
    }
}

void hf_linux_workers_release(struct linux_outside *outside)
{
    for (size_t i = 0; i < HF_WORKER_COUNT; i++) {
        struct worker *worker = &outside->workers[i];
        if (worker->started) {
            lock(worker);
            HF_CHECK(worker->first == NULL);
            worker->stop = true;
            HF_CHECK(pthread_cond_signal(&worker->work_there) == 0);
            unlock(worker);
            HF_CHECK(pthread_join(worker->thread, NULL) == 0);
        }
        HF_CHECK(pthread_cond_destroy(&worker->job_done) == 0);
        HF_CHECK(pthread_cond_destroy(&worker->work_there) == 0);
        HF_CHECK(pthread_mutex_destroy(&worker->mutex) == 0);
    }
}

void hf_linux_submit(struct hf_outside *o, enum hf_worker kind, struct hf_job *job)
{
    struct linux_outside *outside = HF_CONTAINER_OF(o, struct linux_outside, base);
    struct worker *worker = &outside->workers[kind];
    job->next = NULL;
    lock(worker);
    *worker->last = job;
    worker->last = &job->next;
    worker->submitted_count++;
    if (!worker->started) {
        start(worker);
    }
    bool wake = worker->asleep;
    if (wake && takes_jobs && kind == HF_WORKER_LOG && !worker->lent && worker->first == job) {
        left = worker;
        wake = false;
    }
    unlock(worker);
    if (wake) {
        HF_CHECK(pthread_cond_signal(&worker->work_there) == 0);
    }
}

bool hf_outside_linux_left(void)
{
    takes_jobs = true;
    return left != NULL;
}

void hf_outside_linux_pass_left(void)
{
    struct worker *worker = left;
    left = NULL;
    HF_CHECK(worker != NULL && pthread_cond_signal(&worker->work_there) == 0);
}

void hf_outside_linux_run_left(void)
{
    struct worker *worker = left;
    left = NULL;
    HF_CHECK(worker != NULL);
    lock(worker);
    struct hf_job *job = worker->asleep && !worker->lent ? take_job(worker) : NULL;
    if (job != NULL) {
        worker->lent = true;
        run_job(worker, job);
        worker->lent = false;
        if (worker->first != NULL || worker->stop) {
            HF_CHECK(pthread_cond_signal(&worker->work_there) == 0);
        }
    }
    unlock(worker);
    ring_late(worker);
}

void hf_linux_drain(struct hf_outside *o, enum hf_worker kind)
{
    struct linux_outside *outside = HF_CONTAINER_OF(o, struct linux_outside, base);
    struct worker *worker = &outside->workers[kind];
    lock(worker);
    uint64_t goal = worker->submitted_count;
    worker->drainers++;
    while (worker->finished_count < goal) {
        HF_CHECK(pthread_cond_wait(&worker->job_done, &worker->mutex) == 0);
    }
    worker->drainers--;
    unlock(worker);
}

void hf_linux_ring(struct hf_outside *o)
{
    struct linux_outside *outside = HF_CONTAINER_OF(o, struct linux_outside, base);
    if (in_job) {
        job_rang = true;
        return;
    }
    if (outside->step != NULL && !stepping && atomic_load(&outside->bell) == BELL_WAITING) {
        stepping = true;
        bool stepped = outside->step(outside->step_context);
        stepping = false;
        if (stepped) {
            return;
        }
    }
    /* Always an exchange, never "is it rung already?": the exchange orders what the caller wrote
     * before it, so that the owner sees it after its next wait. */
    uint32_t before = atomic_exchange(&outside->bell, BELL_RUNG);
    if (before == BELL_WAITING) {
        (void)syscall(SYS_futex, &outside->bell, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

void hf_outside_linux_lend(struct hf_outside *o, bool (*step)(void *context), void *context)
{
    struct linux_outside *outside = HF_CONTAINER_OF(o, struct linux_outside, base);
    outside->step = step;
    outside->step_context = context;
}

/* Sleeps while the bell says BELL_WAITING, until the monotonic time given. */
static void sleep_until(struct linux_outside *outside, uint64_t until_us)
{
    struct timespec until = {
        .tv_sec = (time_t)(until_us / 1000000u),
        .tv_nsec = (long)(until_us % 1000000u) * 1000,
    };
    while (atomic_load(&outside->bell) == BELL_WAITING) {
        /* FUTEX_WAIT_BITSET takes an absolute monotonic time. */
        long result = syscall(SYS_futex, &outside->bell, FUTEX_WAIT_BITSET_PRIVATE, BELL_WAITING,
                              &until, NULL, FUTEX_BITSET_MATCH_ANY);
        if (result != 0 && errno == ETIMEDOUT) {
            return;
        }
        HF_CHECK(result == 0 || errno == EAGAIN || errno == EINTR);
    }
}

void hf_outside_linux_wait(struct hf_outside *o, uint64_t timeout_us)
{
    struct linux_outside *outside = HF_CONTAINER_OF(o, struct linux_outside, base);
    uint32_t expected = BELL_QUIET;
    if (timeout_us > 0 && atomic_compare_exchange_strong(&outside->bell, &expected, BELL_WAITING)) {
        uint64_t now = hf_linux_monotonic_us(o);
        uint64_t most = (uint64_t)INT_MAX * 1000000u; /* far beyond any timer, inside time_t */
        sleep_until(outside, now + hf_min_u64(timeout_us, most - hf_min_u64(now, most)));
    }
    /* Rung, timed out, or rung meanwhile: all end as quiet, and the caller looks for work. */
    (void)atomic_exchange(&outside->bell, BELL_QUIET);
}
