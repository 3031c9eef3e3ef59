#include "api/feed.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "base/alloc.h"
#include "base/check.h"

#define SLEEP_US_MAX 60000000u /* a lane looks at its readers at least so often */

struct list {
    struct hf_feed_reader *first; /* NULL: empty */
    struct hf_feed_reader *last;  /* valid if first is */
    size_t count;
};

struct lane {
    struct hf_feed *feed;
    struct lane *other;           /* where the rest of the log is */
    pthread_t thread;             /* valid if started */
    pthread_mutex_t mutex;        /* guards the next four */
    pthread_cond_t changed;       /* something is there */
    struct list inbox;            /* submitted, not yet seen */
    bool rung;                    /* look at those that wait */
    bool ending;                  /* the thread shall end */
    atomic_bool waited_for;       /* readers wait for the head to move */
    struct list active;           /* the thread's: to be stepped */
    struct list waiting;          /* the thread's: at the head */
    struct hf_feed_source source; /* the thread's */
};

struct hf_feed {
    struct hf_tail *tail;
    struct hf_outside *outside;
    struct hf_tail_listener listener;
    bool started; /* the submitting thread's */
    struct lane ram;
    struct lane disk;
};

static void push(struct list *list, struct hf_feed_reader *reader)
{
    reader->lane_next = NULL;
    if (list->first == NULL) {
        list->first = reader;
    } else {
        list->last->lane_next = reader;
    }
    list->last = reader;
    list->count++;
}

static struct hf_feed_reader *pop(struct list *list)
{
    struct hf_feed_reader *reader = list->first;
    if (reader != NULL) {
        list->first = reader->lane_next;
        list->count--;
    }
    return reader;
}

static void lock(struct lane *lane)
{
    HF_CHECK(pthread_mutex_lock(&lane->mutex) == 0);
}

static void unlock(struct lane *lane)
{
    HF_CHECK(pthread_mutex_unlock(&lane->mutex) == 0);
}

static void enter(struct lane *lane, struct hf_feed_reader *reader)
{
    lock(lane);
    push(&lane->inbox, reader);
    HF_CHECK(pthread_cond_signal(&lane->changed) == 0);
    unlock(lane);
}

static void ring(struct lane *lane)
{
    lock(lane);
    lane->rung = true;
    HF_CHECK(pthread_cond_signal(&lane->changed) == 0);
    unlock(lane);
}

/* A batch is durable, or the tail has closed. The node's thread. */
static void head_moved(void *context)
{
    struct hf_feed *feed = context;
    if (atomic_load(&feed->ram.waited_for)) {
        ring(&feed->ram);
    }
}

/* ---- a lane's thread ---- */

static uint64_t now_of(const struct lane *lane)
{
    return lane->feed->outside->monotonic_us(lane->feed->outside);
}

/* Those that wait and have something to do now become active; tells when the next one has. */
static uint64_t wake_waiting(struct lane *lane, uint64_t now_us)
{
    struct hf_tail_head head = hf_tail_head(lane->feed->tail);
    struct list waiting = lane->waiting;
    uint64_t next_us = now_us + SLEEP_US_MAX;
    lane->waiting = (struct list){0};
    struct hf_feed_reader *reader;
    while ((reader = pop(&waiting)) != NULL) {
        if (reader->next.position <= head.position || reader->wake_us <= now_us || !head.open ||
            atomic_load_explicit(&reader->recalled, memory_order_relaxed)) {
            push(&lane->active, reader);
        } else {
            next_us = hf_min_u64(next_us, reader->wake_us);
            push(&lane->waiting, reader);
        }
    }
    return next_us;
}

static void sleep_until(struct lane *lane, uint64_t until_us)
{
    struct timespec until = {.tv_sec = (time_t)(until_us / 1000000),
                             .tv_nsec = (long)(until_us % 1000000) * 1000};
    int result = pthread_cond_timedwait(&lane->changed, &lane->mutex, &until);
    HF_CHECK(result == 0 || result == ETIMEDOUT);
}

/* Takes what was submitted; sleeps while there is nothing to do. false: the thread shall end. */
static bool gather(struct lane *lane)
{
    atomic_store(&lane->waited_for, lane->waiting.first != NULL);
    uint64_t now_us = now_of(lane);
    uint64_t until_us = wake_waiting(lane, now_us);
    bool rests = lane->active.first == NULL && lane->waiting.first == NULL;
    if (rests) {
        hf_feed_source_rest(&lane->source);
        until_us = now_us + SLEEP_US_MAX;
    }
    lock(lane);
    while (lane->active.first == NULL && lane->inbox.first == NULL && !lane->rung &&
           !lane->ending && now_of(lane) < until_us) {
        sleep_until(lane, until_us);
    }
    lane->rung = false;
    struct hf_feed_reader *reader;
    while ((reader = pop(&lane->inbox)) != NULL) {
        push(&lane->active, reader);
    }
    bool goes_on = !lane->ending;
    unlock(lane);
    return goes_on;
}

/* Each active reader has one step. */
static void serve(struct lane *lane)
{
    struct list active = lane->active;
    lane->active = (struct list){0};
    struct hf_feed_reader *reader;
    while ((reader = pop(&active)) != NULL) {
        switch (hf_feed_reader_step(reader, &lane->source, now_of(lane))) {
        case HF_FEED_GIVE:
            reader->done(reader); /* it may be gone now */
            break;
        case HF_FEED_WAIT:
            push(&lane->waiting, reader);
            break;
        case HF_FEED_AGAIN:
            push(&lane->active, reader);
            break;
        case HF_FEED_ELSEWHERE:
            enter(lane->other, reader);
            break;
        }
    }
}

static void *run(void *context)
{
    struct lane *lane = context;
    while (gather(lane)) {
        serve(lane);
    }
    HF_CHECK(lane->active.first == NULL && lane->waiting.first == NULL);
    return NULL;
}

/* ---- life ---- */

static void lane_init(struct lane *lane, struct hf_feed *feed, struct lane *other, bool disk)
{
    pthread_condattr_t attributes;
    lane->feed = feed;
    lane->other = other;
    HF_CHECK(pthread_mutex_init(&lane->mutex, NULL) == 0);
    HF_CHECK(pthread_condattr_init(&attributes) == 0);
    HF_CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    HF_CHECK(pthread_cond_init(&lane->changed, &attributes) == 0);
    HF_CHECK(pthread_condattr_destroy(&attributes) == 0);
    hf_feed_source_init(&lane->source, feed->tail, disk);
}

static void lane_release(struct lane *lane)
{
    HF_CHECK(lane->inbox.first == NULL);
    hf_feed_source_release(&lane->source);
    HF_CHECK(pthread_cond_destroy(&lane->changed) == 0);
    HF_CHECK(pthread_mutex_destroy(&lane->mutex) == 0);
}

static void lane_end(struct lane *lane)
{
    lock(lane);
    lane->ending = true;
    HF_CHECK(pthread_cond_signal(&lane->changed) == 0);
    unlock(lane);
    HF_CHECK(pthread_join(lane->thread, NULL) == 0);
    lane->ending = false;
}

struct hf_feed *hf_feed_new(struct hf_tail *tail, struct hf_outside *outside)
{
    struct hf_feed *feed = hf_calloc(1, sizeof(*feed));
    if (feed == NULL) {
        return NULL;
    }
    feed->tail = tail;
    feed->outside = outside;
    lane_init(&feed->ram, feed, &feed->disk, false);
    lane_init(&feed->disk, feed, &feed->ram, true);
    feed->listener = (struct hf_tail_listener){.ring = head_moved, .context = feed};
    hf_tail_listen(tail, &feed->listener);
    return feed;
}

void hf_feed_free(struct hf_feed *feed)
{
    if (feed == NULL) {
        return;
    }
    hf_tail_unlisten(feed->tail, &feed->listener);
    if (feed->started) {
        lane_end(&feed->ram);
        lane_end(&feed->disk);
    }
    lane_release(&feed->ram);
    lane_release(&feed->disk);
    hf_free(feed);
}

/* Both or none. */
static bool start(struct hf_feed *feed)
{
    sigset_t all;
    sigset_t before;
    HF_CHECK(sigfillset(&all) == 0);
    HF_CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    bool ram = pthread_create(&feed->ram.thread, NULL, run, &feed->ram) == 0;
    bool disk = ram && pthread_create(&feed->disk.thread, NULL, run, &feed->disk) == 0;
    HF_CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (ram && !disk) {
        lane_end(&feed->ram);
    }
    feed->started = disk;
    return disk;
}

bool hf_feed_submit(struct hf_feed *feed, struct hf_feed_reader *reader)
{
    if (!feed->started && !start(feed)) {
        return false;
    }
    enter(&feed->ram, reader);
    return true;
}

void hf_feed_recall(struct hf_feed *feed, struct hf_feed_reader *reader)
{
    atomic_store_explicit(&reader->recalled, true, memory_order_relaxed);
    ring(&feed->ram);
}
