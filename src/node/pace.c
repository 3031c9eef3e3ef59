/*
 * Which request is decided next: small ones before large commands, and large commands no faster than checkpoints take them in.
 *
 * Requests that wait have no order among each other (a connection sends one at a time), so nobody waits behind somebody's
 * thousands of transfers. A large command is overtaken for LARGE_WAITS_US at most.
 *
 * While a checkpoint is made the records behind it stay in memory until the next one. Callers that bring more than the worker
 * stores would make each checkpoint larger than the one before, until memory ends and all are refused. So when the next
 * checkpoint is due and this one is not stored yet, a large command waits behind the one before it: for a multiple of the time
 * that took to be decided, which grows with what has come too much.
 */
#include "node/node_priv.h"

#define LARGE_OPERATIONS 256u   /* a command of fewer is small */
#define LARGE_WAITS_US   10000u /* for small requests, since the last large one */
#define WAIT_FOR_ONE     4.0 /* times as long as deciding took, when twice of what is due has come */
#define WAIT_MOST        16.0 /* at most */

bool hf_node_is_large(const struct hf_request *request)
{
    return request->command != NULL && request->command->op_count >= LARGE_OPERATIONS;
}

/* Everything submitted since the last look. */
static void take_queue(struct hf_node *node)
{
    struct hf_request *request;
    pthread_mutex_lock(&node->mutex);
    struct hf_request_list queue = node->queue;
    node->queue = (struct hf_request_list){0};
    pthread_mutex_unlock(&node->mutex);
    while ((request = hf_list_pop(&queue)) != NULL) {
        if (hf_node_is_large(request) && node->large.first == NULL) {
            node->large_since_us = node->outside->monotonic_us(node->outside);
        }
        hf_list_push(hf_node_is_large(request) ? &node->large : &node->ready, request);
    }
}

static bool is_held(const struct hf_node *node, uint64_t now_us)
{
    return node->paced_until_us > now_us && node->phase == HF_NODE_LEADING;
}

struct hf_request *hf_node_next_request(struct hf_node *node)
{
    if (node->ready.first == NULL) {
        take_queue(node);
    }
    if (node->large.first == NULL) {
        return hf_list_pop(&node->ready);
    }
    uint64_t now_us = node->outside->monotonic_us(node->outside);
    bool overtaken = node->ready.first != NULL && now_us - node->large_since_us < LARGE_WAITS_US;
    return hf_list_pop(overtaken || is_held(node, now_us) ? &node->ready : &node->large);
}

void hf_node_note_decided(struct hf_node *node, bool large, uint64_t began_us)
{
    if (!large) {
        return;
    }
    uint64_t now_us = node->outside->monotonic_us(node->outside);
    double times =
        node->checkpoint.running ? (hf_node_checkpoint_load(node) - 1) * WAIT_FOR_ONE : 0;
    times = times < WAIT_MOST ? times : WAIT_MOST;
    node->large_since_us = now_us;
    node->paced_until_us = times > 0 ? now_us + (uint64_t)((double)(now_us - began_us) * times) : 0;
}

uint64_t hf_node_next_large_us(const struct hf_node *node, uint64_t now_us)
{
    return node->large.first != NULL && is_held(node, now_us) ? node->paced_until_us : UINT64_MAX;
}
