/*
 * The pace of large commits: no faster than checkpoints take them in.
 *
 * While a checkpoint is made the records behind it stay in memory until the next one. Callers that bring more than the worker
 * stores would make each checkpoint larger than the one before, until memory ends and all are refused. So when the next
 * checkpoint is due and this one is not stored yet, a large command waits behind the one before it: for a multiple of the time
 * that took to be decided, which grows with what has come too much. What is small is not held up, but by what is before it.
 */
#include "node/node_priv.h"

#define LARGE_OPERATIONS 256u /* a command of fewer is small */
#define WAIT_FOR_ONE     4.0 /* times as long as deciding took, when twice of what is due has come */
#define WAIT_MOST        16.0 /* at most */

bool hf_node_is_paced(const struct hf_request *request)
{
    return request->command != NULL && request->command->op_count >= LARGE_OPERATIONS;
}

bool hf_node_is_held(const struct hf_node *node, uint64_t now_us)
{
    return node->paced_until_us > now_us && node->phase == HF_NODE_LEADING &&
           node->ready.first != NULL && hf_node_is_paced(node->ready.first);
}

void hf_node_set_pace(struct hf_node *node, uint64_t began_us)
{
    node->paced_until_us = 0;
    if (!node->checkpoint.running) {
        return;
    }
    double times = (hf_node_checkpoint_load(node) - 1) * WAIT_FOR_ONE;
    if (times > 0) {
        uint64_t now_us = node->outside->monotonic_us(node->outside);
        times = times < WAIT_MOST ? times : WAIT_MOST;
        node->paced_until_us = now_us + (uint64_t)((double)(now_us - began_us) * times);
    }
}

uint64_t hf_node_next_pace_us(const struct hf_node *node, uint64_t now_us)
{
    return hf_node_is_held(node, now_us) ? node->paced_until_us : UINT64_MAX;
}
