#include "cli/serve_keep.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "cli/serve_priv.h"
#include "log/log_file.h"

#define LOOK_EVERY_US  1000000u
#define AGAIN_AFTER_US 60000000u /* behind a failure */
#define WORK_US        5000u     /* at a stretch, then it rests… */
#define REST_FACTOR    3u        /* …so many times as long… */
#define REST_US_MAX                                                                                \
    200000u /* …and not longer: a stretch was long because others had the processor */
#define LOWEST_NICE       19
#define IO_PRIORITY_IDLE  (3 << 13) /* ioprio_set(2): class idle */
#define IO_PRIORITY_OF_ME 1         /* IOPRIO_WHO_PROCESS; of thread 0: the caller */

struct hf_serve_keep {
    struct hf_serve_keep_options options;
    pthread_t thread;
    pthread_mutex_t mutex;          /* guards the next four */
    pthread_cond_t changed;         /* stopping */
    bool stopping;                  /* the thread is to end */
    bool weighed;                   /* bytes are there */
    struct hf_log_bytes bytes;      /* of the last look */
    uint64_t worked_since_us;       /* the thread's: when it rested last */
    uint64_t looked_position;       /* the thread's: checkpoint of the last look */
    bool looked;                    /* the thread's: there was one */
    bool failed;                    /* the thread's: the last look did */
    uint64_t again_us;              /* the thread's: not before, if it failed */
    char told[HF_ERROR_TEXT_BYTES]; /* the thread's: the failure that was told last */
};

static uint64_t now_us(const struct hf_serve_keep *keep)
{
    return keep->options.outside->monotonic_us(keep->options.outside);
}

/* false: the thread is to end. */
static bool rest(struct hf_serve_keep *keep, uint64_t us)
{
    uint64_t until_us = now_us(keep) + us;
    struct timespec until = {.tv_sec = (time_t)(until_us / 1000000u),
                             .tv_nsec = (long)(until_us % 1000000u) * 1000};
    HF_CHECK(pthread_mutex_lock(&keep->mutex) == 0);
    while (!keep->stopping && now_us(keep) < until_us) {
        (void)pthread_cond_timedwait(&keep->changed, &keep->mutex, &until);
    }
    bool go_on = !keep->stopping;
    HF_CHECK(pthread_mutex_unlock(&keep->mutex) == 0);
    return go_on;
}

/* Between two pieces. */
static bool pace(void *context, uint64_t bytes)
{
    struct hf_serve_keep *keep = context;
    (void)bytes;
    uint64_t worked_us = now_us(keep) - keep->worked_since_us;
    bool go_on =
        rest(keep, worked_us < WORK_US ? 0 : hf_min_u64(REST_FACTOR * worked_us, REST_US_MAX));
    if (worked_us >= WORK_US) {
        keep->worked_since_us = now_us(keep);
    }
    return go_on;
}

static void weigh(struct hf_serve_keep *keep)
{
    struct hf_log_bytes bytes;
    if (hf_log_bytes(keep->options.outside, keep->options.directory, &bytes, NULL) == HF_ERR_OK) {
        HF_CHECK(pthread_mutex_lock(&keep->mutex) == 0);
        keep->bytes = bytes;
        keep->weighed = true;
        HF_CHECK(pthread_mutex_unlock(&keep->mutex) == 0);
    }
}

static enum hf_err move(struct hf_serve_keep *keep, uint64_t position, struct hf_error *error)
{
    const struct hf_serve_keep_options *options = &keep->options;
    struct hf_log_file_options log_options = {.directory = options->directory};
    struct hf_log_keep_policy policy = {
        .position = position,
        .compress_after = options->compress_after,
        .archive_after = options->archive_after,
        .archive = options->archive,
        .archive_moved = !keep->looked,
        .segments_max = 1,
    };
    struct hf_log_work work = {.go_on = pace, .context = keep};
    struct hf_log_kept kept = {.compressed = 1};
    struct hf_log *log;
    enum hf_err code = hf_log_file_open(options->outside, &log_options, &log, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    keep->worked_since_us = now_us(keep);
    while (code == HF_ERR_OK && kept.compressed + kept.archived > 0) {
        code = hf_log_keep(log, &policy, &work, &kept, error);
        policy.archive_moved = false;
        weigh(keep); /* what is told keeps up with a long pass */
    }
    log->driver->close(log);
    return code == HF_ERR_CLOSED ? HF_ERR_OK : code; /* it was told to stop */
}

/* Once a checkpoint, and again some time behind a failure. */
static void look(struct hf_serve_keep *keep)
{
    const struct hf_serve_keep_options *options = &keep->options;
    struct hf_node_status status;
    hf_node_status(options->node, &status);
    bool changed = !keep->looked || status.checkpoint_position != keep->looked_position;
    if (!changed && !(keep->failed && now_us(keep) >= keep->again_us)) {
        return;
    }
    if (options->compress_after != HF_LOG_KEEP_NEVER || options->archive != NULL) {
        struct hf_error error = {0};
        keep->failed = move(keep, status.checkpoint_position, &error) != HF_ERR_OK;
        keep->again_us = now_us(keep) + AGAIN_AFTER_US;
        if (keep->failed && strcmp(error.text, keep->told) != 0) {
            hf_serve_say("segments stay as they are, tried again every minute: %s", error.text);
        }
        memcpy(keep->told, error.text, sizeof(keep->told));
    } else {
        weigh(keep);
    }
    keep->looked = true;
    keep->looked_position = status.checkpoint_position;
}

static void *run(void *context)
{
    struct hf_serve_keep *keep = context;
    /* Of this thread alone, for Linux; if it may not, it works as others do, and rests nevertheless. */
    (void)setpriority(PRIO_PROCESS, 0, LOWEST_NICE);
    (void)syscall(SYS_ioprio_set, IO_PRIORITY_OF_ME, 0, IO_PRIORITY_IDLE);
    weigh(keep);
    do {
        look(keep);
    } while (rest(keep, LOOK_EVERY_US));
    return NULL;
}

static void discard(struct hf_serve_keep *keep)
{
    HF_CHECK(pthread_mutex_destroy(&keep->mutex) == 0);
    HF_CHECK(pthread_cond_destroy(&keep->changed) == 0);
    hf_free(keep);
}

enum hf_err hf_serve_keep_new(const struct hf_serve_keep_options *options,
                              struct hf_serve_keep **keep, struct hf_error *error)
{
    *keep = NULL;
    struct hf_serve_keep *made = hf_calloc(1, sizeof(*made));
    if (made == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    made->options = *options;
    pthread_condattr_t attributes;
    HF_CHECK(pthread_mutex_init(&made->mutex, NULL) == 0);
    HF_CHECK(pthread_condattr_init(&attributes) == 0);
    HF_CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    HF_CHECK(pthread_cond_init(&made->changed, &attributes) == 0);
    HF_CHECK(pthread_condattr_destroy(&attributes) == 0);
    if (pthread_create(&made->thread, NULL, run, made) != 0) {
        discard(made);
        return hf_error_set(error, HF_ERR_NO_MEMORY, "can't start a thread");
    }
    *keep = made;
    return HF_ERR_OK;
}

void hf_serve_keep_free(struct hf_serve_keep *keep)
{
    if (keep == NULL) {
        return;
    }
    HF_CHECK(pthread_mutex_lock(&keep->mutex) == 0);
    keep->stopping = true;
    HF_CHECK(pthread_cond_broadcast(&keep->changed) == 0);
    HF_CHECK(pthread_mutex_unlock(&keep->mutex) == 0);
    HF_CHECK(pthread_join(keep->thread, NULL) == 0);
    discard(keep);
}

bool hf_serve_keep_bytes(void *context, struct hf_log_bytes *bytes)
{
    struct hf_serve_keep *keep = context;
    HF_CHECK(pthread_mutex_lock(&keep->mutex) == 0);
    bool weighed = keep->weighed;
    *bytes = keep->bytes;
    HF_CHECK(pthread_mutex_unlock(&keep->mutex) == 0);
    return weighed;
}
