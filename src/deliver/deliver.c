#include "deliver/deliver.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/check.h"
#include "deliver/caller_curl.h"
#include "node/tail.h"
#include "outside/outside.h"

#define STEP_US_MAX   1000000u /* between looks at the senders, whatever they ask for */
#define SENDS_PER_RUN 256u     /* calls begun before answers are looked at again */
#define CA_FILE_BYTES 4096

struct hf_deliver {
    struct hf_outside *outside;
    struct hf_tail *tail;             /* or NULL */
    struct hf_tail_listener listener; /* of the tail, while started */
    struct hf_caller_curl *curl;      /* owned */
    struct hf_targets *targets;       /* owned; the thread's between start and stop */
    struct hf_sender senders[HF_DELIVER_SENDERS_MAX];
    size_t sender_count;
    char ca_file[CA_FILE_BYTES];
    pthread_t thread; /* valid if started */
    bool started;
    atomic_bool stopping;
    pthread_mutex_t mutex;      /* of sums */
    struct hf_target_sums sums; /* as of the thread's last round */
};

static uint64_t wall_us(void *context)
{
    struct hf_outside *outside = context;
    return outside->wall_us(outside);
}

static enum hf_err make_caller(struct hf_deliver *deliver, const struct hf_deliver_options *options,
                               struct hf_error *error)
{
    struct hf_address_rules rules;
    enum hf_err code = hf_address_rules_parse(options->allow, &rules, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    struct hf_caller_curl_options curl_options = {
        .rules = &rules,
        .wall_us = wall_us,
        .wall_context = deliver->outside,
    };
    if (options->ca_file != NULL) {
        int used = snprintf(deliver->ca_file, CA_FILE_BYTES, "%s", options->ca_file);
        if (used < 0 || used >= CA_FILE_BYTES) {
            return hf_error_set(error, HF_ERR_LIMIT, "the CA file's path is too long");
        }
        curl_options.ca_file = deliver->ca_file;
    }
    return hf_caller_curl_new(&curl_options, &deliver->curl, error);
}

static enum hf_err make_targets(struct hf_deliver *deliver,
                                const struct hf_deliver_options *options, struct hf_error *error)
{
    struct hf_target_limits limits = hf_target_limits_default();
    uint64_t seed;
    if (options->per_target != 0) {
        limits.in_flight_max = options->per_target;
    }
    deliver->outside->random(deliver->outside, &seed, sizeof(seed));
    deliver->targets = hf_targets_new(&limits, seed);
    return deliver->targets == NULL ? hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory")
                                    : HF_ERR_OK;
}

enum hf_err hf_deliver_new(const struct hf_deliver_options *options, struct hf_deliver **made,
                           struct hf_error *error)
{
    *made = NULL;
    struct hf_deliver *deliver = hf_calloc(1, sizeof(*deliver));
    if (deliver == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    HF_CHECK(pthread_mutex_init(&deliver->mutex, NULL) == 0);
    deliver->outside = options->outside;
    deliver->tail = options->tail;
    enum hf_err code = make_caller(deliver, options, error);
    code = code == HF_ERR_OK ? make_targets(deliver, options, error) : code;
    if (code != HF_ERR_OK) {
        hf_deliver_free(deliver);
        return code;
    }
    *made = deliver;
    return HF_ERR_OK;
}

void hf_deliver_free(struct hf_deliver *deliver)
{
    if (deliver != NULL) {
        HF_CHECK(!deliver->started);
        hf_targets_free(deliver->targets);
        hf_caller_curl_free(deliver->curl);
        HF_CHECK(pthread_mutex_destroy(&deliver->mutex) == 0);
        hf_free(deliver);
    }
}

struct hf_caller *hf_deliver_caller(struct hf_deliver *deliver)
{
    return hf_caller_curl_caller(deliver->curl);
}

struct hf_targets *hf_deliver_targets(struct hf_deliver *deliver)
{
    return deliver->targets;
}

void hf_deliver_add(struct hf_deliver *deliver, const struct hf_sender *sender)
{
    HF_CHECK(!deliver->started && deliver->sender_count < HF_DELIVER_SENDERS_MAX);
    deliver->senders[deliver->sender_count++] = *sender;
}

/* ---- the thread ---- */

static uint64_t now_us(const struct hf_deliver *deliver)
{
    return deliver->outside->monotonic_us(deliver->outside);
}

/* true: somebody did something. */
static bool step_senders(struct hf_deliver *deliver)
{
    bool did = false;
    uint64_t now = now_us(deliver);
    for (size_t i = 0; i < deliver->sender_count; i++) {
        struct hf_sender *sender = &deliver->senders[i];
        did = sender->step(sender->context, now) || did;
    }
    return did;
}

static void show_sums(struct hf_deliver *deliver)
{
    struct hf_target_sums sums;
    hf_targets_sums(deliver->targets, &sums);
    HF_CHECK(pthread_mutex_lock(&deliver->mutex) == 0);
    deliver->sums = sums;
    HF_CHECK(pthread_mutex_unlock(&deliver->mutex) == 0);
}

static uint64_t next_step_us(struct hf_deliver *deliver)
{
    uint64_t next = hf_targets_next_us(deliver->targets);
    for (size_t i = 0; i < deliver->sender_count; i++) {
        struct hf_sender *sender = &deliver->senders[i];
        next = hf_min_u64(next, sender->next_step_us(sender->context));
    }
    return next;
}

static bool all_stopped(const struct hf_deliver *deliver)
{
    bool all = true;
    for (size_t i = 0; i < deliver->sender_count; i++) {
        const struct hf_sender *sender = &deliver->senders[i];
        all = all && sender->stopped(sender->context);
    }
    return all;
}

/* One round: what is due is queued, what may go is sent, what has come back is done. */
static void go_round(struct hf_deliver *deliver, bool stopping)
{
    bool did = step_senders(deliver);
    if (!stopping) {
        did = hf_targets_run(deliver->targets, now_us(deliver), SENDS_PER_RUN) > 0 || did;
    }
    uint64_t now = now_us(deliver);
    uint64_t next = next_step_us(deliver);
    uint64_t wait_us = did || next <= now ? 0 : hf_min_u64(next - now, STEP_US_MAX);
    (void)hf_caller_curl_step(deliver->curl, wait_us);
    show_sums(deliver);
}

static void *run(void *context)
{
    struct hf_deliver *deliver = context;
    while (!atomic_load(&deliver->stopping)) {
        go_round(deliver, false);
    }
    for (size_t i = 0; i < deliver->sender_count; i++) {
        deliver->senders[i].stop(deliver->senders[i].context);
    }
    while (!all_stopped(deliver)) {
        go_round(deliver, true);
    }
    return NULL;
}

/* On the node's thread. */
static void ring(void *context)
{
    hf_deliver_wake(context);
}

enum hf_err hf_deliver_start(struct hf_deliver *deliver, struct hf_error *error)
{
    sigset_t all;
    sigset_t before;
    HF_CHECK(!deliver->started);
    HF_CHECK(sigfillset(&all) == 0);
    HF_CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int failed = pthread_create(&deliver->thread, NULL, run, deliver);
    HF_CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (failed != 0) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "can't start a thread");
    }
    deliver->started = true;
    if (deliver->tail != NULL) {
        deliver->listener =
            (struct hf_tail_listener){.ring = ring, .context = deliver, .outward_only = true};
        hf_tail_listen(deliver->tail, &deliver->listener);
    }
    return HF_ERR_OK;
}

void hf_deliver_wake(struct hf_deliver *deliver)
{
    hf_caller_curl_wake(deliver->curl);
}

void hf_deliver_stop(struct hf_deliver *deliver)
{
    if (deliver->started) {
        if (deliver->tail != NULL) {
            hf_tail_unlisten(deliver->tail, &deliver->listener);
        }
        atomic_store(&deliver->stopping, true);
        hf_deliver_wake(deliver);
        HF_CHECK(pthread_join(deliver->thread, NULL) == 0);
        deliver->started = false;
    }
}

void hf_deliver_sums(struct hf_deliver *deliver, struct hf_target_sums *sums)
{
    HF_CHECK(pthread_mutex_lock(&deliver->mutex) == 0);
    *sums = deliver->sums;
    HF_CHECK(pthread_mutex_unlock(&deliver->mutex) == 0);
}
