/*
 * Merges of index runs in the background: a job of its own on a worker of its own, so that neither commits nor
 * checkpoints wait for it. It begins behind a start and behind each checkpoint if there is something to merge, goes on
 * until there is not, and ends early when the node stops to lead.
 */
#include "base/check.h"
#include "node/node_priv.h"

#define LAGS_BY 4u /* times limits.index_runs_max runs: a stop waits for the merge under way */

static bool stops(void *context)
{
    struct hf_merge_job *merge = context;
    return atomic_load_explicit(&merge->stop, memory_order_relaxed);
}

static bool has_keys(const struct hf_index_set *set)
{
    bool has = false;
    for (size_t i = 0; !has && i < set->run_count; i++) {
        has = hf_run_kind_count(set->runs[i], HF_INDEX_KEY) > 0;
    }
    return has;
}

/* The newest position whose keys have expired, 0: none that is known of. A decision sees a key of a commit that is
 * older than the retention as one that never was (decide_key), and no decision to come is of an earlier time than what
 * is durable now: no answer can change by what is dropped up to here. */
static uint64_t expired_position(struct hf_node *node)
{
    uint64_t now_us = hf_tail_head(node->tail).time_us;
    uint64_t first;
    uint64_t position;
    if (now_us < node->limits.key_retention_us ||
        hf_tail_first(node->tail, &first, NULL) != HF_ERR_OK ||
        hf_tail_at_time(node->tail, now_us - node->limits.key_retention_us + 1, &position, NULL) !=
            HF_ERR_OK) {
        return 0; /* what can't be told from the log now is told by the next merge */
    }
    return position > first ? position - 1 : 0; /* before the first one, all may be younger */
}

static void run(struct hf_job *job)
{
    struct hf_merge_job *merge = HF_CONTAINER_OF(job, struct hf_merge_job, job);
    struct hf_node *node = merge->node;
    struct hf_index_set *set = hf_index_acquire(node->index);
    struct hf_index_pick pick;
    merge->err = HF_ERR_OK;
    merge->error = (struct hf_error){0};
    merge->merged = false;
    struct hf_run_merge_rules rules = {.stops = stops,
                                       .context = merge,
                                       .drop_kind = HF_INDEX_KEY,
                                       .drop_to_position =
                                           has_keys(set) ? expired_position(node) : 0};
#ifdef HF_BUG_MERGE_DROPS_IDS
    rules.drop_kind = HF_INDEX_TRANSFER;
#endif
#ifdef HF_BUG_MERGE_DROPS_LIVE_KEYS
    rules.drop_to_position = UINT64_MAX;
#endif
    if (hf_index_pick_merge(node->index, set, &pick) ||
        hf_index_pick_expired(set, rules.drop_kind, rules.drop_to_position, &pick)) {
        merge->err = hf_index_merge(node->index, set, &pick, &rules, &merge->error);
        merge->merged = merge->err == HF_ERR_OK;
    }
    hf_index_release(node->index, set);
    hf_index_free_unused(node->index);
    atomic_store_explicit(&merge->done, true, memory_order_release);
    node->outside->ring(node->outside);
}

static bool start(struct hf_node *node)
{
    struct hf_merge_job *merge = &node->merge;
    if (!merge->wanted || node->phase != HF_NODE_LEADING) {
        return false;
    }
    merge->wanted = false;
    merge->running = true;
    atomic_store_explicit(&merge->done, false, memory_order_relaxed);
    merge->job.run = run;
    node->outside->submit(node->outside, HF_WORKER_MERGE, &merge->job);
    return true;
}

bool hf_node_poll_merge(struct hf_node *node)
{
    struct hf_merge_job *merge = &node->merge;
    if (!merge->running) {
        return start(node);
    }
    if (!atomic_load_explicit(&merge->done, memory_order_acquire)) {
        return false;
    }
    merge->running = false;
    merge->wanted = merge->wanted || merge->merged;
    if (merge->err != HF_ERR_OK && merge->err != HF_ERR_CLOSED && node->phase == HF_NODE_LEADING) {
        /* Nothing is lost, and it is tried again behind the next checkpoint. */
        pthread_mutex_lock(&node->mutex);
        memcpy(node->status.error, merge->error.text, sizeof(node->status.error));
        pthread_mutex_unlock(&node->mutex);
    }
    return true;
}

/* If each owner stopped its merge after a short time, runs would become more and more. */
static bool lags(struct hf_node *node)
{
    if (node->index == NULL) {
        return false;
    }
    struct hf_index_set *set = hf_index_acquire(node->index);
    bool lags = set->run_count > LAGS_BY * node->limits.index_runs_max;
    hf_index_release(node->index, set);
    return lags;
}

void hf_node_stop_merging(struct hf_node *node)
{
    if (node->phase == HF_NODE_STOPPING && lags(node)) {
        return;
    }
    atomic_store_explicit(&node->merge.stop, true, memory_order_relaxed);
}
