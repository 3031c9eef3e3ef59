/* The batcher, as its callers see it: taking submissions, waiting for them, the end. */
#include <errno.h>

#include "base/alloc.h"
#include "base/check.h"
#include "client/batcher_priv.h"

#define WAITING_USUAL 65536
#define WAITING_MAX   16777216 /* 4 GiB of them */

static _Thread_local const struct holdfast_client_batcher *inside;

/* ---- threads and time ---- */

void hf_batch_lock(struct holdfast_client_batcher *batcher)
{
    HF_CHECK(pthread_mutex_lock(&batcher->mutex) == 0);
}

void hf_batch_unlock(struct holdfast_client_batcher *batcher)
{
    HF_CHECK(pthread_mutex_unlock(&batcher->mutex) == 0);
}

uint64_t hf_batch_now_us(void)
{
    struct timespec now;
    HF_CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void hf_batch_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    HF_CHECK(pthread_condattr_init(&attributes) == 0);
    HF_CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    HF_CHECK(pthread_cond_init(cond, &attributes) == 0);
    HF_CHECK(pthread_condattr_destroy(&attributes) == 0);
}

bool hf_batch_wait_until(struct holdfast_client_batcher *batcher, pthread_cond_t *cond,
                         uint64_t until_us)
{
    struct timespec until = {.tv_sec = (time_t)(until_us / 1000000),
                             .tv_nsec = (long)(until_us % 1000000) * 1000};
    int status = pthread_cond_timedwait(cond, &batcher->mutex, &until);
    HF_CHECK(status == 0 || status == ETIMEDOUT);
    return status == 0;
}

static uint64_t after_ms(uint64_t ms)
{
    return hf_batch_now_us() + hf_min_u64(ms, HF_CLIENT_MS_MAX) * 1000;
}

void hf_batch_tell(struct holdfast_client_batcher *batcher, const struct hf_batch_entry *entry,
                   const struct holdfast_client_submitted *submitted)
{
    const struct holdfast_client_batcher *before = inside;
    inside = batcher;
    entry->done(entry->context, submitted);
    inside = before;
}

bool hf_batch_inside(const struct holdfast_client_batcher *batcher)
{
    return inside == batcher;
}

/* ---- the rings ---- */

/* The place in a ring that is count behind head. */
static size_t around(const struct holdfast_client_batcher *batcher, size_t head, size_t count)
{
    size_t at = head + count;
    return at < batcher->waiting_max ? at : at - batcher->waiting_max;
}

static void push(struct holdfast_client_batcher *batcher,
                 const struct holdfast_client_submission *submission)
{
    size_t count = submission->record_count;
    size_t at = around(batcher, batcher->record_head, batcher->record_count);
    size_t straight = hf_min_u64(count, batcher->waiting_max - at);
    memcpy(batcher->records + at, submission->records, straight * HOLDFAST_PACKED_BYTES);
    memcpy(batcher->records, submission->records + straight,
           (count - straight) * HOLDFAST_PACKED_BYTES);
    batcher->entries[around(batcher, batcher->entry_head, batcher->entry_count)] =
        (struct hf_batch_entry){.done = submission->done,
                                .context = submission->context,
                                .since_us = hf_batch_now_us(),
                                .record_count = (uint32_t)count};
    bool filled = batcher->record_count < batcher->records_max &&
                  batcher->record_count + count >= batcher->records_max;
    batcher->record_count += count;
    batcher->entry_count++;
    batcher->next++;
    if (batcher->idle > 0 && (batcher->entry_count == 1 || filled)) {
        HF_CHECK(pthread_cond_signal(&batcher->work) == 0);
    }
}

struct hf_batch_entry hf_batch_pop(struct holdfast_client_batcher *batcher,
                                   struct holdfast_client_record *to)
{
    struct hf_batch_entry entry = batcher->entries[batcher->entry_head];
    size_t count = entry.record_count;
    size_t straight = hf_min_u64(count, batcher->waiting_max - batcher->record_head);
    HF_CHECK(batcher->entry_count > 0 && count <= batcher->record_count);
    if (to != NULL) {
        memcpy(to, batcher->records + batcher->record_head, straight * HOLDFAST_PACKED_BYTES);
        memcpy(to + straight, batcher->records, (count - straight) * HOLDFAST_PACKED_BYTES);
    }
    batcher->record_head = around(batcher, batcher->record_head, count);
    batcher->record_count -= count;
    batcher->entry_head = around(batcher, batcher->entry_head, 1);
    batcher->entry_count--;
    return entry;
}

/* ---- room ---- */

static bool has_room(const struct holdfast_client_batcher *batcher, size_t count)
{
    return count <= batcher->waiting_max - batcher->record_count;
}

void hf_batch_offer_room(struct holdfast_client_batcher *batcher)
{
    if (batcher->first_waiter != NULL) {
        HF_CHECK(pthread_cond_signal(&batcher->first_waiter->turn) == 0);
    }
}

static void leave(struct holdfast_client_batcher *batcher, struct hf_batch_waiter *waiter)
{
    struct hf_batch_waiter **at = &batcher->first_waiter;
    struct hf_batch_waiter *before = NULL;
    while (*at != waiter) {
        before = *at;
        at = &before->next;
    }
    *at = waiter->next;
    if (batcher->last_waiter == waiter) {
        batcher->last_waiter = before;
    }
    HF_CHECK(pthread_cond_destroy(&waiter->turn) == 0);
}

/* In the order of their coming. false: closed, or the time is over. The room is there until the caller unlocks. */
static bool wait_for_room(struct holdfast_client_batcher *batcher, size_t count, uint64_t wait_ms)
{
    struct hf_batch_waiter waiter = {.next = NULL};
    uint64_t until_us = after_ms(wait_ms);
    bool in_time = true;
    hf_batch_cond_init(&waiter.turn);
    if (batcher->last_waiter != NULL) {
        batcher->last_waiter->next = &waiter;
    } else {
        batcher->first_waiter = &waiter;
    }
    batcher->last_waiter = &waiter;
    bool turn = false;
    while (!batcher->closed && !turn && in_time) {
        in_time = hf_batch_wait_until(batcher, &waiter.turn, until_us);
        turn = batcher->first_waiter == &waiter && has_room(batcher, count);
    }
    leave(batcher, &waiter);
    return turn;
}

/* ---- submitting ---- */

enum holdfast_client_error
holdfast_client_batcher_submit(struct holdfast_client_batcher *batcher,
                               const struct holdfast_client_submission *submission,
                               struct holdfast_client_failure *failure)
{
    size_t count = submission->record_count;
    if (failure != NULL) {
        *failure = (struct holdfast_client_failure){0};
    }
    const char *wrong =
        submission->done == NULL
            ? "done: missing"
            : hf_client_records_wrong(HOLDFAST_CLIENT_TRANSFERS, submission->records, count,
                                      batcher->records_max);
    if (wrong != NULL) {
        return hf_client_fail(failure, HOLDFAST_CLIENT_INVALID, "%s", wrong);
    }
    hf_batch_lock(batcher);
    bool room = batcher->first_waiter == NULL && has_room(batcher, count);
    bool wait = !room && submission->room_wait_ms > 0 && !hf_batch_inside(batcher);
    if (wait && !batcher->closed) {
        room = wait_for_room(batcher, count, submission->room_wait_ms);
    }
    bool closed = batcher->closed;
    if (room && !closed) {
        push(batcher, submission);
    }
    if (wait) {
        hf_batch_offer_room(batcher); /* whether it came in or not: the next one's turn */
    }
    hf_batch_unlock(batcher);
    return closed  ? hf_client_fail(failure, HOLDFAST_CLIENT_CLOSED, "the batcher is closed")
           : !room ? hf_client_fail(failure, HOLDFAST_CLIENT_BUSY, "%zu records wait already",
                                    batcher->waiting_max)
                   : HOLDFAST_CLIENT_OK;
}

/* A thread that waits for the outcome of its one record. */
struct caller {
    pthread_mutex_t mutex;
    pthread_cond_t told;
    bool done;
    enum holdfast_client_error error;
    struct holdfast_client_outcome *outcome;
    struct holdfast_client_failure *failure; /* or NULL */
};

static void tell_caller(void *context, const struct holdfast_client_submitted *submitted)
{
    struct caller *caller = context;
    HF_CHECK(pthread_mutex_lock(&caller->mutex) == 0);
    caller->error = submitted->error;
    if (submitted->error == HOLDFAST_CLIENT_OK) {
        *caller->outcome = submitted->outcomes[0];
    } else if (caller->failure != NULL) {
        *caller->failure = *submitted->failure;
    }
    caller->done = true;
    HF_CHECK(pthread_cond_signal(&caller->told) == 0);
    HF_CHECK(pthread_mutex_unlock(&caller->mutex) == 0);
}

enum holdfast_client_error holdfast_client_batcher_transfer(
    struct holdfast_client_batcher *batcher, const struct holdfast_client_record *record,
    struct holdfast_client_outcome *outcome, struct holdfast_client_failure *failure)
{
    struct caller caller = {.outcome = outcome, .failure = failure};
    struct holdfast_client_submission submission = {.records = record,
                                                    .record_count = 1,
                                                    .room_wait_ms = batcher->total_timeout_ms,
                                                    .done = tell_caller,
                                                    .context = &caller};
    *outcome = (struct holdfast_client_outcome){0};
    if (hf_batch_inside(batcher)) {
        return hf_client_fail(failure, HOLDFAST_CLIENT_INVALID,
                              "a call-back of the batcher can't wait for it");
    }
    HF_CHECK(pthread_mutex_init(&caller.mutex, NULL) == 0);
    HF_CHECK(pthread_cond_init(&caller.told, NULL) == 0);
    enum holdfast_client_error error =
        holdfast_client_batcher_submit(batcher, &submission, failure);
    if (error == HOLDFAST_CLIENT_OK) {
        HF_CHECK(pthread_mutex_lock(&caller.mutex) == 0);
        while (!caller.done) {
            HF_CHECK(pthread_cond_wait(&caller.told, &caller.mutex) == 0);
        }
        HF_CHECK(pthread_mutex_unlock(&caller.mutex) == 0);
        error = caller.error;
    }
    HF_CHECK(pthread_cond_destroy(&caller.told) == 0);
    HF_CHECK(pthread_mutex_destroy(&caller.mutex) == 0);
    return error;
}

/* ---- waiting for the end ---- */

/* Everything below this number has ended. */
static uint64_t lowest(const struct holdfast_client_batcher *batcher)
{
    uint64_t number = batcher->next - batcher->entry_count;
    if (batcher->closing.busy) {
        number = hf_min_u64(number, batcher->closing.first);
    }
    for (unsigned i = 0; i < batcher->thread_count; i++) {
        const struct hf_batch_run *run = &batcher->workers[i].run;
        number = run->busy ? hf_min_u64(number, run->first) : number;
    }
    return number;
}

void holdfast_client_batcher_flush(struct holdfast_client_batcher *batcher)
{
    HF_CHECK(!hf_batch_inside(batcher));
    hf_batch_lock(batcher);
    uint64_t end = batcher->next;
    batcher->flushing++;
    HF_CHECK(pthread_cond_broadcast(&batcher->work) == 0);
    while (lowest(batcher) < end) {
        HF_CHECK(pthread_cond_wait(&batcher->ended, &batcher->mutex) == 0);
    }
    batcher->flushing--;
    hf_batch_unlock(batcher);
}

/* Ends what still waits, without sending it. */
static void abandon(struct holdfast_client_batcher *batcher)
{
    struct holdfast_client_failure failure = {0};
    (void)hf_client_fail(&failure, HOLDFAST_CLIENT_UNAVAILABLE,
                         "the batcher was closed before this was sent, nothing has changed");
    while (batcher->entry_count > 0) {
        batcher->closing =
            (struct hf_batch_run){.busy = true, .first = batcher->next - batcher->entry_count};
        struct hf_batch_entry entry = hf_batch_pop(batcher, NULL);
        struct holdfast_client_submitted submitted = {
            .error = failure.error, .failure = &failure, .record_count = entry.record_count};
        hf_batch_unlock(batcher);
        hf_batch_tell(batcher, &entry, &submitted);
        hf_batch_lock(batcher);
    }
    batcher->closing.busy = false;
    HF_CHECK(pthread_cond_broadcast(&batcher->ended) == 0);
}

void holdfast_client_batcher_close(struct holdfast_client_batcher *batcher, uint64_t drain_ms)
{
    uint64_t until_us = after_ms(drain_ms);
    bool in_time = true;
    HF_CHECK(!hf_batch_inside(batcher));
    hf_batch_lock(batcher);
    HF_CHECK(!batcher->closed);
    batcher->closed = true;
    for (struct hf_batch_waiter *at = batcher->first_waiter; at != NULL; at = at->next) {
        HF_CHECK(pthread_cond_signal(&at->turn) == 0);
    }
    HF_CHECK(pthread_cond_broadcast(&batcher->work) == 0);
    while (batcher->entry_count > 0 && in_time) {
        in_time = hf_batch_wait_until(batcher, &batcher->ended, until_us);
    }
    abandon(batcher);
    hf_batch_unlock(batcher);
    for (unsigned i = 0; i < batcher->thread_count; i++) {
        HF_CHECK(pthread_join(batcher->workers[i].thread, NULL) == 0);
    }
}

/* ---- making and freeing ---- */

static void release(struct holdfast_client_batcher *batcher)
{
    for (unsigned i = 0; i < batcher->requests_max; i++) {
        hf_free(batcher->workers[i].records);
        hf_free(batcher->workers[i].entries);
        hf_free(batcher->workers[i].outcomes);
    }
    hf_free(batcher->records);
    hf_free(batcher->entries);
    HF_CHECK(pthread_cond_destroy(&batcher->work) == 0);
    HF_CHECK(pthread_cond_destroy(&batcher->ended) == 0);
    HF_CHECK(pthread_mutex_destroy(&batcher->mutex) == 0);
    hf_free(batcher);
}

void holdfast_client_batcher_free(struct holdfast_client_batcher *batcher)
{
    if (batcher != NULL) {
        if (!batcher->closed) {
            holdfast_client_batcher_close(batcher, HF_CLIENT_MS_MAX);
        }
        release(batcher);
    }
}

static bool allocate(struct holdfast_client_batcher *batcher)
{
    batcher->records = hf_calloc(batcher->waiting_max, sizeof(*batcher->records));
    batcher->entries = hf_calloc(batcher->waiting_max, sizeof(*batcher->entries));
    bool ok = batcher->records != NULL && batcher->entries != NULL;
    for (unsigned i = 0; i < batcher->requests_max; i++) {
        struct hf_batch_worker *worker = &batcher->workers[i];
        worker->batcher = batcher;
        worker->records = hf_calloc(batcher->records_max, sizeof(*worker->records));
        worker->entries = hf_calloc(batcher->records_max, sizeof(*worker->entries));
        worker->outcomes = hf_calloc(batcher->records_max, sizeof(*worker->outcomes));
        ok = ok && worker->records != NULL && worker->entries != NULL && worker->outcomes != NULL;
    }
    return ok;
}

/* false: there are not as many as wanted. */
static bool start_threads(struct holdfast_client_batcher *batcher)
{
    for (unsigned i = 0; i < batcher->requests_max; i++) {
        hf_batch_lock(batcher); /* who runs already looks at the count */
        bool ok =
            hf_client_thread(&batcher->workers[i].thread, hf_batch_work, &batcher->workers[i]);
        batcher->thread_count += ok;
        hf_batch_unlock(batcher);
        if (!ok) {
            return false;
        }
    }
    return true;
}

static const char *wrong_options(const struct holdfast_client_batcher *batcher)
{
    return batcher->records_max > HOLDFAST_PACKED_RECORDS_MAX ? "records_max: at most 8,190"
           : batcher->requests_max > HF_BATCH_REQUESTS_MAX    ? "requests_max: at most 64"
           : batcher->waiting_max < batcher->records_max      ? "waiting_max: at least records_max"
           : batcher->waiting_max > WAITING_MAX               ? "waiting_max: at most 16,777,216"
                                                              : NULL;
}

static unsigned or_usual(unsigned value, unsigned usual)
{
    return value == 0 ? usual : value;
}

enum holdfast_client_error holdfast_client_batcher_new(
    struct holdfast_client *client, const struct holdfast_client_batcher_options *options,
    struct holdfast_client_batcher **batcher, struct holdfast_client_failure *failure)
{
    *batcher = NULL;
    if (failure != NULL) {
        *failure = (struct holdfast_client_failure){0};
    }
    struct holdfast_client_batcher *made = hf_calloc(1, sizeof(*made));
    if (made == NULL) {
        return hf_client_fail(failure, HOLDFAST_CLIENT_NO_MEMORY, "out of memory");
    }
    made->client = client;
    made->records_max = or_usual(options->records_max, HOLDFAST_PACKED_RECORDS_MAX);
    made->requests_max = or_usual(options->requests_max, 4);
    made->waiting_max = or_usual(options->waiting_max, WAITING_USUAL);
    made->delay_us = options->delay_us;
    made->total_timeout_ms =
        options->total_timeout_ms == 0 ? client->total_timeout_ms : options->total_timeout_ms;
    const char *wrong = wrong_options(made);
    if (wrong != NULL) {
        hf_free(made);
        return hf_client_fail(failure, HOLDFAST_CLIENT_INVALID, "%s", wrong);
    }
    HF_CHECK(pthread_mutex_init(&made->mutex, NULL) == 0);
    hf_batch_cond_init(&made->work);
    hf_batch_cond_init(&made->ended);
    if (!allocate(made)) {
        release(made);
        return hf_client_fail(failure, HOLDFAST_CLIENT_NO_MEMORY, "out of memory");
    }
    if (!start_threads(made)) {
        holdfast_client_batcher_free(made);
        return hf_client_fail(failure, HOLDFAST_CLIENT_NO_MEMORY, "no memory for a thread");
    }
    *batcher = made;
    return HOLDFAST_CLIENT_OK;
}
