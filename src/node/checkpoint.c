/*
 * Checkpoints in the background: a job replays the log from the last checkpoint into a state of its own
 * and stores that; the pipeline never waits for it. So a checkpoint is also a proof that the log alone
 * gives this state.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "base/prefetch.h"
#include "node/index_sort.h"
#include "node/node_priv.h"

struct storing {
    struct hf_node *node;
    struct hf_checkpoint_job *job;
    struct hf_state state;
    struct hf_replay replay;
    struct hf_checkpoint_writer *writer;
    struct hf_error *error;
    enum hf_err err; /* of the sink */
};

/* The state at from_position. */
static enum hf_err load_from(struct storing *s)
{
    if (s->job->from_position == 0) {
        return HF_ERR_OK;
    }
    struct hf_checkpoint *checkpoint;
    enum hf_err err = hf_checkpoint_open(s->node->outside, s->node->directory, s->state.space,
                                         s->job->from_position, &checkpoint, s->error);
    if (err == HF_ERR_OK) {
        err = hf_replay_load(&s->replay, checkpoint, s->error);
        hf_checkpoint_close(checkpoint);
    }
    return err;
}

#define LOG_BYTES_PER_STORED_BYTE 4u /* a stored byte costs about as much as a replayed one */
#define STORED_BYTES_PER_RECORD   20u
#define QUIET_PART                8u
#define LOOK_AHEAD                16u /* records that are asked for early: they lie in the order of the log */

static enum hf_err add_sorted(struct storing *s, struct hf_run_writer *writer)
{
    const struct hf_index_table *table = &s->state.recent.current;
    size_t count;
    struct hf_index_sorted *sorted = hf_index_sort(table, &count);
    if (sorted == NULL) {
        return hf_error_set(s->error, HF_ERR_NO_MEMORY, "out of memory");
    }
    enum hf_err err = HF_ERR_OK;
    for (size_t i = 0; err == HF_ERR_OK && i < count; i++) {
        if (i + LOOK_AHEAD < count) {
            hf_prefetch(hf_index_table_at(table, sorted[i + LOOK_AHEAD].number));
        }
        const struct hf_index_slot *slot = hf_index_table_at(table, sorted[i].number);
        err = hf_run_writer_add(writer, &slot->key, &slot->value, s->error);
    }
    hf_free(sorted);
    return err;
}

/* The index records of the commits behind from_position, as a run. */
static enum hf_err store_run(struct storing *s, struct hf_run_ref *ref)
{
    struct hf_run_meta meta = {
        .space = s->state.space,
        .from_position = s->job->from_position + 1,
        .to_position = s->job->position,
        .block_bytes = s->node->limits.index_block_bytes,
        .record_count_max = s->state.recent.current.count,
    };
    struct hf_run_writer *writer;
    struct hf_run_info info;
    enum hf_err err =
        hf_run_writer_start(s->node->outside, s->node->directory, &meta, &writer, s->error);
    if (err != HF_ERR_OK) {
        return err;
    }
    err = add_sorted(s, writer);
    if (err != HF_ERR_OK) {
        hf_run_writer_abort(writer);
        return err;
    }
    err = hf_run_writer_finish(writer, &info, s->error);
    *ref = info.ref;
    return err;
}

static bool write_piece(void *context, const void *data, size_t size_bytes)
{
    struct storing *s = context;
    s->err = hf_checkpoint_writer_append(s->writer, data, size_bytes, s->error);
    return s->err == HF_ERR_OK;
}

static enum hf_err write_sections(struct storing *s, const struct hf_run_ref *runs, size_t count)
{
    s->err = hf_error_set(s->error, HF_ERR_NO_MEMORY, "out of memory");
    hf_checkpoint_writer_begin(s->writer, HF_CHECKPOINT_STATE);
    if (!hf_state_save(&s->state, write_piece, s)) {
        return s->err == HF_ERR_OK ? HF_ERR_NO_MEMORY : s->err;
    }
    enum hf_err err = hf_checkpoint_writer_end(s->writer, s->error);
    return err == HF_ERR_OK ? hf_checkpoint_writer_runs(s->writer, runs, count, s->error) : err;
}

/* The checkpoint file: the state, and the runs that belong to it, newest first. */
static enum hf_err store_state(struct storing *s, const struct hf_run_ref *ref)
{
    struct hf_checkpoint_meta meta = {
        .space = s->state.space,
        .position = s->state.position,
        .seq = s->replay.seq,
        .time_us = s->state.time_us,
        .chain_hash = s->replay.hash,
    };
#ifdef HF_BUG_CHECKPOINT_POSITION
    meta.seq += 1;
#endif
    struct hf_index_set *set = hf_index_acquire(s->node->index);
    size_t count = set->run_count + 1;
    struct hf_run_ref *runs = hf_malloc(count * sizeof(*runs));
    for (size_t i = 0; runs != NULL && i < set->run_count; i++) {
        runs[i + 1] = hf_run_info(set->runs[i])->ref;
    }
    hf_index_release(s->node->index, set);
    if (runs == NULL) {
        return hf_error_set(s->error, HF_ERR_NO_MEMORY, "out of memory");
    }
    runs[0] = *ref;
    enum hf_err err = hf_checkpoint_writer_start(s->node->outside, s->node->directory, &meta,
                                                 &s->writer, s->error);
    if (err == HF_ERR_OK) {
        err = write_sections(s, runs, count);
        if (err != HF_ERR_OK) {
            hf_checkpoint_writer_abort(s->writer);
        } else {
            struct hf_checkpoint_info info;
            err = hf_checkpoint_writer_finish(s->writer, &info, s->error);
            s->job->state_hash = info.state_hash;
            s->job->file_bytes = info.file_bytes;
        }
    }
    hf_free(runs);
    return err;
}

/* Removes files that nothing needs; the checkpoint stands in any case. */
static void tidy(struct hf_node *node)
{
    struct hf_error error = {0};
    struct hf_store_cleaned cleaned;
    enum hf_err clean = hf_index_clean(node->index, &cleaned, &error);
    (void)clean; /* tried again behind the next checkpoint */
}

static enum hf_err store(struct storing *s)
{
    struct hf_checkpoint_job *job = s->job;
    struct hf_run_ref ref;
    enum hf_err err = HF_ERR_OK;
    err = load_from(s);
    if (err == HF_ERR_OK) {
        err = hf_replay_run(&s->replay, s->node->log, job->seq, NULL, NULL, s->error);
    }
    if (err == HF_ERR_OK && s->state.position != job->position) {
        err = hf_error_set(s->error, HF_ERR_CORRUPT, "batch %llu ends at position %llu, not %llu",
                           (unsigned long long)job->seq, (unsigned long long)s->state.position,
                           (unsigned long long)job->position);
    }
    if (err == HF_ERR_OK) {
        err = store_run(s, &ref);
    }
    if (err == HF_ERR_OK) {
        err = store_state(s, &ref);
    }
    if (err == HF_ERR_OK) {
        job->unadded = ref;
        job->has_unadded = true;
    }
    return err;
}

/* Has hardly anything been recorded meanwhile? Then the next one is far off. */
static bool is_quiet(const struct hf_node *node, const struct hf_checkpoint_job *job)
{
    uint64_t since = hf_tail_head(node->tail).position - job->position;
    return since < (job->position - job->from_position) / QUIET_PART;
}

/* What the job's state had. If there is room, and the next one comes soon, that is left to the allocator. */
static void give_back(const struct hf_node *node, const struct hf_checkpoint_job *job)
{
    const struct hf_memory_options *memory = &node->memory.options;
    if (memory->trim != NULL && memory->resident != NULL &&
        (memory->resident() > memory->max_bytes / 4 || is_quiet(node, job))) {
        memory->trim();
    }
}

static void run(struct hf_job *hf_job)
{
    struct hf_checkpoint_job *job = HF_CONTAINER_OF(hf_job, struct hf_checkpoint_job, job);
    struct hf_node *node = job->node;
    struct storing storing = {.node = node, .job = job, .error = &job->error};
    hf_alloc_count_also(&node->memory.job_bytes);
    hf_state_init(&storing.state, job->seed);
    hf_state_only_store(&storing.state);
    storing.replay.state = &storing.state;
    job->error = (struct hf_error){0};
    job->err = job->has_unadded ? HF_ERR_OK : store(&storing);
    if (job->err == HF_ERR_OK) {
        job->err = hf_index_add(node->index, &job->unadded, &job->error);
        job->has_unadded = job->err != HF_ERR_OK;
    }
    if (job->err == HF_ERR_OK) {
        tidy(node);
    }
    hf_state_release(&storing.state);
    hf_alloc_count_also(NULL);
    atomic_store_explicit(&node->memory.job_bytes, 0, memory_order_relaxed);
    give_back(node, job);
    atomic_store_explicit(&job->done, true, memory_order_release);
    node->outside->ring(node->outside);
}

/* A checkpoint reads and writes the whole state: a large one is stored when the log behind it is worth that. */
static uint64_t due_bytes(const struct hf_node *node)
{
    return hf_max_u64(node->limits.checkpoint_every_bytes,
                      node->stored_bytes * LOG_BYTES_PER_STORED_BYTE);
}

static uint64_t due_records(const struct hf_node *node)
{
    return hf_max_u64(node->limits.checkpoint_every_records,
                      hf_min_u64(node->stored_bytes / STORED_BYTES_PER_RECORD,
                                 node->limits.checkpoint_records_max));
}

double hf_node_checkpoint_load(const struct hf_node *node)
{
    double bytes = (double)node->log_bytes_since_checkpoint / (double)due_bytes(node);
    double records = (double)node->state.recent.current.count / (double)due_records(node);
    return bytes > records ? bytes : records;
}

static bool is_due(const struct hf_node *node)
{
    return node->checkpoint.wanted ||
           (node->checkpoints && (node->log_bytes_since_checkpoint >= due_bytes(node) ||
                                  node->state.recent.current.count >= due_records(node)));
}

void hf_node_freeze(struct hf_node *node)
{
    struct hf_checkpoint_job *job = &node->checkpoint;
    if (!is_due(node) || job->running || job->waits || node->phase != HF_NODE_LEADING) {
        return;
    }
    job->wanted = false;
    node->log_bytes_since_checkpoint = 0;
    /* After a failure the records stay frozen as they are and the same position is tried again. */
    if (!node->state.recent.has_frozen) {
        hf_recent_freeze(&node->state.recent, node->state.position);
        job->position = node->state.position;
        job->seq = node->durable.seq + (node->in_flight ? 1 : 0);
    }
    job->waits = true;
}

static bool start(struct hf_node *node)
{
    struct hf_checkpoint_job *job = &node->checkpoint;
    if (!job->waits || node->durable.position < job->position || node->phase != HF_NODE_LEADING) {
        return false;
    }
    job->waits = false;
    job->running = true;
    job->from_position = node->stored_position;
    job->seed = node->seed;
    atomic_store_explicit(&job->done, false, memory_order_relaxed);
    job->job.run = run;
    node->outside->submit(node->outside, HF_WORKER_CHECKPOINT, &job->job);
    return true;
}

/* A checkpoint is stored and its run is in the index. */
static void take_stored(struct hf_node *node)
{
    struct hf_checkpoint_job *job = &node->checkpoint;
    struct hf_recent *recent = &node->state.recent;
    node->stored_position = job->unadded.to_position;
    node->stored_hash = job->state_hash;
    node->stored_bytes = job->file_bytes;
    node->merge.wanted = true;
    atomic_store_explicit(&node->prefetch, true, memory_order_release);
    /* A state rebuilt meanwhile has no frozen part of this position: it still holds all in RAM. */
    if (recent->has_frozen && recent->frozen_position == node->stored_position) {
        int64_t before = hf_alloc_thread_bytes();
        hf_recent_drop_frozen(recent);
        node->memory.state_bytes += hf_alloc_thread_bytes() - before;
    } else if (recent->has_frozen) {
        job->wanted = true;
    }
    if (node->phase == HF_NODE_LEADING || node->phase == HF_NODE_STOPPING) {
        node->record_checkpoint = true;
        hf_node_record_pending(node);
    }
}

bool hf_node_poll_checkpoint(struct hf_node *node)
{
    struct hf_checkpoint_job *job = &node->checkpoint;
    if (!job->running) {
        return start(node);
    }
    if (!atomic_load_explicit(&job->done, memory_order_acquire)) {
        return false;
    }
    job->running = false;
    pthread_mutex_lock(&node->mutex);
    node->status.error[0] = '\0';
    if (job->err != HF_ERR_OK) {
        hf_error_wrap(&job->error, "checkpoint at %llu", (unsigned long long)job->position);
        memcpy(node->status.error, job->error.text, sizeof(node->status.error));
    }
    pthread_mutex_unlock(&node->mutex);
    if (job->err == HF_ERR_OK) {
        take_stored(node);
    }
    return true;
}
