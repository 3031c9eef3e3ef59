/*
 * Merges of index runs in the background: a job of its own on a worker of its own, so that neither commits nor
 * checkpoints wait for it. It begins behind a start and behind each checkpoint if there is something to merge, goes on
 * until there is not, and ends early when the node stops to lead.
 */
#include "base/check.h"
#include "node/node_priv.h"

static enum hf_run_merge_choice choose(void *context, const struct hf_index_key *key,
                                       const struct hf_index_value *value)
{
    struct hf_merge_job *merge = context;
    (void)key;
    (void)value;
    return atomic_load_explicit(&merge->stop, memory_order_relaxed) ? HF_RUN_MERGE_STOP
                                                                    : HF_RUN_MERGE_KEEP;
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
    if (hf_index_pick_merge(node->index, set, &pick)) {
        merge->err = hf_index_merge(node->index, set, &pick, choose, merge, &merge->error);
        merge->merged = merge->err == HF_ERR_OK;
    }
    hf_index_release(node->index, set);
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

void hf_node_stop_merging(struct hf_node *node)
{
    atomic_store_explicit(&node->merge.stop, true, memory_order_relaxed);
}
