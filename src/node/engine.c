#include "node/engine.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/alloc.h"
#include "base/check.h"
#include "log/log_file.h"

struct hf_engine {
    struct hf_outside *outside;  /* owned */
    struct hf_node *node;        /* owned; owns the log */
    pthread_t thread;            /* steps the node… */
    pthread_mutex_t baton;       /* …as others may in its place: whoever has this */
    uint64_t sleeps_until_us;    /* monotonic; under the baton */
    atomic_bool stopping;        /* the thread is to stop the node and end */
    atomic_uint_fast64_t rounds; /* of the thread */
};

static bool has_ended(struct hf_engine *engine)
{
    struct hf_node_status status;
    hf_node_status(engine->node, &status);
    return status.phase != HF_NODE_LEADING && status.phase != HF_NODE_STOPPING;
}

static void take_baton(struct hf_engine *engine)
{
    HF_CHECK(pthread_mutex_lock(&engine->baton) == 0);
}

static void give_baton(struct hf_engine *engine)
{
    HF_CHECK(pthread_mutex_unlock(&engine->baton) == 0);
}

/* A short step in the place of the node's thread, which sleeps; false: it is to be woken. */
static bool step_in(void *context)
{
    struct hf_engine *engine = context;
    if (atomic_load(&engine->stopping) || pthread_mutex_trylock(&engine->baton) != 0) {
        return false;
    }
    bool stepped = hf_node_is_light(engine->node);
    if (stepped) {
        atomic_fetch_add_explicit(&engine->rounds, 1, memory_order_relaxed);
        while (hf_node_step(engine->node) && hf_node_is_light(engine->node)) {
        }
        stepped = hf_node_is_light(engine->node) &&
                  hf_node_next_step_us(engine->node) >= engine->sleeps_until_us;
    }
    give_baton(engine);
    return stepped;
}

static void *run_node(void *context)
{
    struct hf_engine *engine = context;
    struct hf_outside *outside = engine->outside;
    bool told = false;
    for (;;) {
        atomic_fetch_add_explicit(&engine->rounds, 1, memory_order_relaxed);
        if (!told && atomic_load(&engine->stopping)) {
            take_baton(engine);
            hf_node_stop(engine->node);
            give_baton(engine);
            told = true;
        }
        take_baton(engine);
        while (hf_node_step(engine->node)) {
        }
        uint64_t next_us = hf_node_next_step_us(engine->node);
        engine->sleeps_until_us = next_us;
        give_baton(engine);
        if (told && has_ended(engine)) {
            return NULL;
        }
        uint64_t now_us = outside->monotonic_us(outside);
        if (next_us > now_us) {
            hf_outside_linux_wait(outside, next_us == UINT64_MAX ? UINT64_MAX : next_us - now_us);
        }
    }
}

static void discard(struct hf_engine *engine)
{
    hf_node_free(engine->node);
    hf_outside_linux_free(engine->outside);
    HF_CHECK(pthread_mutex_destroy(&engine->baton) == 0);
    hf_free(engine);
}

static enum hf_err open_node(struct hf_engine *engine, const struct hf_engine_options *options,
                             struct hf_error *error)
{
    struct hf_log_file_options log_options = {
        .directory = options->directory,
        .create = options->create,
        .segment_bytes_first = options->limits.segment_bytes_first,
        .segment_bytes_max = options->limits.segment_bytes_max,
    };
    struct hf_log *log;
    enum hf_err err = hf_log_file_open(engine->outside, &log_options, &log, error);
    if (err != HF_ERR_OK) {
        return err;
    }
    struct hf_node_options node_options = {
        .outside = engine->outside,
        .log = log,
        .directory = options->directory,
        .name = options->name,
        .limits = options->limits,
        .checkpoints = options->checkpoints,
        .memory = options->memory,
    };
    engine->node = hf_node_new(&node_options);
    if (engine->node == NULL) {
        log->driver->close(log);
        return hf_error_set(error, HF_ERR_NO_MEMORY, "open: out of memory");
    }
    return hf_node_start(engine->node, options->wait_for_lock, options->progress,
                         options->progress_context, error);
}

enum hf_err hf_engine_open(const struct hf_engine_options *options, struct hf_engine **engine,
                           struct hf_error *error)
{
    *engine = NULL;
    struct hf_engine *opening = hf_calloc(1, sizeof(*opening));
    if (opening == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "open: out of memory");
    }
    opening->outside = hf_outside_linux_new();
    if (opening->outside == NULL) {
        hf_free(opening);
        return hf_error_set(error, HF_ERR_NO_MEMORY, "open: out of memory");
    }
    HF_CHECK(pthread_mutex_init(&opening->baton, NULL) == 0);
    hf_outside_linux_lend(opening->outside, step_in, opening);
    enum hf_err err = open_node(opening, options, error);
    if (err == HF_ERR_OK && pthread_create(&opening->thread, NULL, run_node, opening) != 0) {
        err = hf_error_set(error, HF_ERR_NO_MEMORY, "open: can't start a thread");
    }
    if (err != HF_ERR_OK) {
        discard(opening);
        return err;
    }
    *engine = opening;
    return HF_ERR_OK;
}

enum hf_err hf_engine_close(struct hf_engine *engine, struct hf_error *error)
{
    if (engine == NULL) {
        return HF_ERR_OK;
    }
    atomic_store(&engine->stopping, true);
    engine->outside->ring(engine->outside);
    HF_CHECK(pthread_join(engine->thread, NULL) == 0);
    struct hf_node_status status;
    hf_node_status(engine->node, &status);
    enum hf_err err = HF_ERR_OK;
    if (status.phase == HF_NODE_DEPOSED) {
        err = hf_error_set(error, HF_ERR_DEPOSED, "close: another owner has taken over");
    } else if (status.phase != HF_NODE_STOPPED) {
        err = hf_error_set(error, HF_ERR_IO, "%s", status.error);
    }
    discard(engine);
    return err;
}

struct hf_node *hf_engine_node(struct hf_engine *engine)
{
    return engine->node;
}

struct hf_outside *hf_engine_outside(struct hf_engine *engine)
{
    return engine->outside;
}

uint64_t hf_engine_rounds(const struct hf_engine *engine)
{
    return atomic_load_explicit(&engine->rounds, memory_order_relaxed);
}
