/* Start, takeover, and the rebuilding of a state that ran ahead in vain. */
#include "base/alloc.h"
#include "base/check.h"
#include "node/node_priv.h"

#define REPLAYED_PART                                                                              \
    8u /* a checkpoint is made at once if so much of what one is due for was replayed */

/* Progress of a replay. */
struct recovering {
    struct hf_node *node;
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
    uint64_t total;
};

static enum hf_err count_commit(void *context, const struct hf_commit *commit,
                                const struct hf_commit_frame *frame, const struct hf_hash *hash,
                                struct hf_error *error)
{
    struct recovering *recovering = context;
    (void)frame;
    (void)hash;
    (void)error;
    recovering->node->counts.recovered_commits++;
    hf_time_marks_note(recovering->node->time_marks, commit->position, commit->time_us);
    if (recovering->progress != NULL && commit->position % 4096 == 0) {
        recovering->progress(recovering->context, commit->position, recovering->total);
    }
    return HF_ERR_OK;
}

/* The first time the newest good checkpoint, and the index that belongs to it; later the one whose runs
 * the index has. */
static enum hf_err load_checkpoint(struct hf_node *node, struct hf_replay *replay,
                                   struct hf_error *error)
{
    struct hf_checkpoint *checkpoint = NULL;
    struct hf_checkpoint_damage damage;
    size_t run_count = 0;
    const struct hf_run_ref *runs = NULL;
    enum hf_err err = HF_ERR_NOT_FOUND;
    if (node->index == NULL) {
        err = hf_checkpoint_open_newest(node->outside, node->directory, node->state.space,
                                        &checkpoint, &damage, error);
    } else if (node->stored_position > 0) {
        err = hf_checkpoint_open(node->outside, node->directory, node->state.space,
                                 node->stored_position, &checkpoint, error);
        err = err == HF_ERR_NOT_FOUND ? HF_ERR_CORRUPT : err;
    }
    if (err == HF_ERR_NOT_FOUND) {
        err = HF_ERR_OK;
    } else if (err == HF_ERR_OK) {
        runs = hf_checkpoint_runs(checkpoint, &run_count);
        err = hf_replay_load(replay, checkpoint, error);
    }
    if (err == HF_ERR_OK && node->index == NULL) {
        err = hf_index_open(node->outside, node->directory, node->state.space, &node->limits, runs,
                            run_count, &node->index, error);
        node->stored_position = replay->state->position;
        if (checkpoint != NULL) {
            node->stored_hash = hf_checkpoint_info(checkpoint)->state_hash;
            node->stored_bytes = hf_checkpoint_info(checkpoint)->file_bytes;
        }
    }
    hf_checkpoint_close(checkpoint);
    return err;
}

static enum hf_err replay_tail(struct hf_node *node, struct hf_replay *replay,
                               struct recovering *recovering, struct hf_error *error)
{
    const struct hf_log_head *head = &node->durable;
    if (replay->seq > head->seq) {
        return hf_error_set(error, HF_ERR_CORRUPT,
                            "the checkpoint is of batch %llu, but the log ends at batch %llu: part "
                            "of the log is missing",
                            (unsigned long long)replay->seq, (unsigned long long)head->seq);
    }
    enum hf_err err = hf_replay_run(replay, node->log, head->seq, count_commit, recovering, error);
    if (err == HF_ERR_OK &&
        (node->state.position != head->position || !hf_hash_equal(&replay->hash, &head->hash))) {
        err = hf_error_set(error, HF_ERR_CORRUPT,
                           "the replay ends at position %llu, the log at %llu, or their hashes "
                           "differ",
                           (unsigned long long)node->state.position,
                           (unsigned long long)head->position);
    }
    return err;
}

static enum hf_err load(struct hf_node *node, struct recovering *recovering, struct hf_error *error)
{
    struct hf_replay replay = {.state = &node->state};
    bool indexed = node->index != NULL;
    int64_t before = hf_alloc_thread_bytes();
    enum hf_err err = load_checkpoint(node, &replay, error);
    if (err == HF_ERR_OK) {
        err = replay_tail(node, &replay, recovering, error);
    }
    if (err != HF_ERR_OK) {
        return err;
    }
    uint64_t runs = indexed || node->index == NULL ? 0 : hf_index_bytes(node->index);
    node->memory.state_bytes = hf_alloc_thread_bytes() - before - (int64_t)runs;
    node->hash = replay.hash;
    /* Stored, but its record was not, or was lost with the state that ran ahead. */
    node->record_checkpoint = node->stored_position > node->state.checkpoint_position;
    if (node->index != NULL && hf_index_record_count(node->index) > 0) {
        atomic_store_explicit(&node->prefetch, true, memory_order_release);
    }
#ifdef HF_SLOW_CHECKS
    hf_state_verify(&node->state);
#endif
    return HF_ERR_OK;
}

void hf_node_record_pending(struct hf_node *node)
{
    if (node->state.feature_level < HF_FEATURE_LEVEL) {
        struct hf_system level = {.level = HF_FEATURE_LEVEL};
        (void)hf_node_record_system(node, HF_EVENT_FEATURE_LEVEL, &level);
    }
    if (node->tail_cut_pending) {
        const struct hf_log_recovery *cut = &node->status.recovery;
        struct hf_system system = {
            .segment = cut->torn_segment, .offset = cut->torn_offset, .bytes = cut->torn_bytes};
        node->tail_cut_pending = !hf_node_record_system(node, HF_EVENT_TAIL_CUT, &system);
    }
    if (node->state.epoch < node->epoch) {
        struct hf_system takeover = {.epoch = node->epoch, .owner = hf_str_from(node->name)};
        (void)hf_node_record_system(node, HF_EVENT_TAKEOVER, &takeover);
    }
    if (node->record_checkpoint) {
        struct hf_system system = {.position = node->stored_position, .hash = node->stored_hash};
        node->record_checkpoint = !hf_node_record_system(node, HF_EVENT_CHECKPOINT, &system);
    }
}

enum hf_err hf_node_start(struct hf_node *node, bool wait,
                          void (*progress)(void *context, uint64_t done, uint64_t total),
                          void *context, struct hf_error *error)
{
    HF_CHECK(node->phase == HF_NODE_STANDBY);
    enum hf_err err = node->outside->make_directory(node->outside, node->directory, error);
    if (err != HF_ERR_OK) {
        return hf_error_wrap(error, "data directory");
    }
    err = node->log->driver->takeover(node->log, hf_str_from(node->name), wait, &node->durable,
                                      &node->status.recovery, error);
    if (err != HF_ERR_OK) {
        return err;
    }
    node->epoch = node->durable.epoch;
    node->status.torn_tail = node->status.recovery.torn_tail;
    node->tail_cut_pending = node->status.recovery.torn_tail;
    struct recovering recovering = {
        .node = node, .progress = progress, .context = context, .total = node->durable.position};
    err = load(node, &recovering, error);
    if (err != HF_ERR_OK) {
        return hf_error_wrap(error, "recover %s", node->directory);
    }
    if (node->memory.options.trim != NULL) {
        node->memory.options.trim(); /* what reading the checkpoint has left over */
    }
    hf_clock_start(&node->clock, node->outside, node->state.time_us);
    hf_tail_open(node->tail, &(struct hf_tail_head){.position = node->durable.position,
                                                    .time_us = node->state.time_us,
                                                    .seq = node->durable.seq});
    hf_node_set_phase(node, HF_NODE_LEADING);
    node->merge.wanted = node->checkpoints;
    /* What was replayed need not be the next time, whatever ends this one; and its records leave memory. */
    node->checkpoint.wanted =
        node->checkpoints &&
        node->state.recent.current.count >= node->limits.checkpoint_every_records / REPLAYED_PART;
    hf_node_record_pending(node);
    if (node->state.epoch != node->epoch) {
        err = hf_error_set(error, HF_ERR_NO_MEMORY, "recover %s: out of memory", node->directory);
        hf_node_fail(node, HF_NODE_FAILED, error);
        return err;
    }
    hf_node_publish(node);
    node->outside->ring(node->outside);
    return HF_ERR_OK;
}

/* Requests that saw what is not durable are decided anew, in their order. */
static void take_back(struct hf_node *node)
{
    struct hf_request_list keep = {0};
    struct hf_request_list again = {0};
    struct hf_request *request;
    while ((request = hf_list_pop(&node->waiting)) != NULL) {
        if (request->answer.seen_position <= node->durable.position) {
            hf_list_push(&keep, request);
        } else {
            hf_answer_release(&request->answer);
            hf_list_push(&again, request);
        }
    }
    node->waiting = keep;
    hf_list_prepend(&node->ready, &again);
}

void hf_node_rebuild(struct hf_node *node)
{
    struct hf_error error = {0};
    struct recovering recovering = {.node = node};
    take_back(node);
    hf_node_clear_batch(&node->building);
    hf_node_clear_batch(&node->flight);
    node->checkpoint.waits = false;
    hf_time_marks_clear(node->time_marks); /* they may be of commits that are not to be */
    hf_state_release(&node->state);
    hf_state_init(&node->state, node->seed);
    enum hf_err err = load(node, &recovering, &error);
    if (err != HF_ERR_OK) {
        hf_error_wrap(&error, "rebuild the state");
        hf_node_fail(node, HF_NODE_FAILED, &error);
        return;
    }
    node->counts.rebuilds++;
    hf_waits_stir_all(&node->waits);
    node->tail_cut_pending = node->tail_cut_pending ||
                             (node->status.recovery.torn_tail && node->state.epoch < node->epoch);
    hf_node_record_pending(node);
}
