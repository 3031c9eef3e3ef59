/*
 * The batcher, from the inside.
 *
 * Owns: the records that wait, the threads that send them. Must never: lose a submission that it took, end one twice, give one the
 * outcome of another, or put more than records_max records into a request. Called by: batcher.c (callers' side),
 * batcher_work.c (the threads' side), tests.
 *
 *   submit ──> rings (waiting) ──take──> a worker's arrays (under way) ──> the call-back (ended)
 *                   └──────────── close, when its time is over ───────────────┘
 *
 * 1. Whatever the mutex guards is read and changed under it only; requests are sent and call-backs run outside of it.
 * 2. Submissions have numbers in the order of their taking. The waiting ones are next - entry_count … next - 1; a worker has
 *    a run of numbers, the lowest of which is its first. So everything below lowest(…) has ended.
 * 3. record_count is the sum of the waiting entries' counts, and at most waiting_max.
 * 4. If something waits, a worker is awake or will be by its timer, or all are busy: who makes the first entry, fills a
 *    request, or leaves something behind wakes one.
 */
#ifndef HF_CLIENT_BATCHER_PRIV_H
#define HF_CLIENT_BATCHER_PRIV_H

#include "client/packed_priv.h"

#define HF_BATCH_REQUESTS_MAX 64

/* A submission; its records stand in the order of the entries. */
struct hf_batch_entry {
    void (*done)(void *context, const struct holdfast_client_submitted *submitted);
    void *context;
    uint64_t since_us; /* when it was taken */
    uint32_t record_count;
};

/* A thread that waits for room, in the list of them. */
struct hf_batch_waiter {
    pthread_cond_t turn;
    struct hf_batch_waiter *next;
};

/* Numbers of submissions that are being worked on. */
struct hf_batch_run {
    bool busy;
    uint64_t first; /* number of the lowest one; valid if busy */
};

struct hf_batch_worker {
    struct holdfast_client_batcher *batcher;
    pthread_t thread;
    struct hf_batch_run run;                  /* under the mutex */
    struct holdfast_client_record *records;   /* records_max; owned, as the two below */
    struct hf_batch_entry *entries;           /* records_max */
    struct holdfast_client_outcome *outcomes; /* records_max */
    size_t entry_count;                       /* of what is being sent */
};

struct holdfast_client_batcher {
    struct holdfast_client *client;
    size_t records_max, waiting_max;
    unsigned requests_max;
    uint64_t delay_us, total_timeout_ms;
    pthread_mutex_t mutex; /* of all below but the workers' arrays */
    pthread_cond_t work;   /* workers: something waits, or it is to end */
    pthread_cond_t ended;  /* flush and close: something has left the rings or ended */
    struct holdfast_client_record *records; /* ring of waiting_max; owned */
    struct hf_batch_entry *entries;         /* ring of waiting_max; owned */
    size_t record_head, record_count;
    size_t entry_head, entry_count;
    uint64_t next; /* number of the next submission */
    struct hf_batch_waiter *first_waiter, *last_waiter;
    unsigned idle;      /* workers that wait */
    unsigned under_way; /* workers that do not */
    unsigned flushing;  /* calls of flush */
    bool closed;
    struct hf_batch_run closing; /* what close ends by itself */
    unsigned thread_count;
    struct hf_batch_worker workers[HF_BATCH_REQUESTS_MAX];
};

void hf_batch_lock(struct holdfast_client_batcher *batcher);
void hf_batch_unlock(struct holdfast_client_batcher *batcher);
uint64_t hf_batch_now_us(void);
/* Until signalled or that time. false: the time has come. The cond is of hf_batch_cond_init. */
bool hf_batch_wait_until(struct holdfast_client_batcher *batcher, pthread_cond_t *cond,
                         uint64_t until_us);
void hf_batch_cond_init(pthread_cond_t *cond);

/* Under the mutex: lets the first one that waits for room look again. */
void hf_batch_offer_room(struct holdfast_client_batcher *batcher);
/* Under the mutex: takes the first waiting entry out, with its records (to NULL: they are dropped). */
struct hf_batch_entry hf_batch_pop(struct holdfast_client_batcher *batcher,
                                   struct holdfast_client_record *to);
/* Calls back; the calling thread counts as one of the batcher's meanwhile. */
void hf_batch_tell(struct holdfast_client_batcher *batcher, const struct hf_batch_entry *entry,
                   const struct holdfast_client_submitted *submitted);
/* Is the calling thread in a call-back of this batcher? */
bool hf_batch_inside(const struct holdfast_client_batcher *batcher);

/* A worker's thread; context is it. */
void *hf_batch_work(void *context);

#endif
