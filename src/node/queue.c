/* What subscriptions need of the node beside requests: timers that may lack cold records, and scans of the log. */
#include "base/check.h"
#include "node/node_priv.h"

#define DUE_MAX            1024u /* room for limits.expiries_per_batch_max */
#define WAIT_FOR_MEMORY_US 10000u
#define WAIT_FOR_DISK_US   1000000u
#define CALLERS_US         50000u /* since a request: more are to be expected */
#define SCAN_TURNS_MAX     16u /* commits in a row for one subscription while others want a scan */

/* ---- cold records of the node's own decisions ---- */

static void forget_records(struct hf_inner_fetch *fetch)
{
    hf_records_release(&fetch->request.records);
    hf_records_init(&fetch->request.records);
}

void hf_inner_fetch_release(struct hf_inner_fetch *fetch)
{
    hf_records_release(&fetch->request.records);
    hf_needs_release(&fetch->request.needs);
}

/* Takes over what the draft lacks; the next fetch brings it. false: memory is short. */
static bool want(struct hf_node *node, struct hf_inner_fetch *fetch)
{
    hf_needs_clear(&fetch->request.needs);
    fetch->wanted = hf_needs_add_all(&fetch->request.needs, &node->draft.view.needs);
    return fetch->wanted;
}

static bool is_waiting(const struct hf_inner_fetch *fetch)
{
    return fetch->wanted || fetch->out;
}

/* Did the last fetch fail? Then it is tried again, but not at once. */
static bool has_failed(struct hf_node *node, struct hf_inner_fetch *fetch)
{
    if (fetch->request.fetch_error == HF_ERR_OK) {
        return false;
    }
    bool unreadable = fetch->request.fetch_error == HF_ERR_CORRUPT;
    fetch->request.fetch_error = HF_ERR_OK;
    fetch->retry_us = node->outside->monotonic_us(node->outside) + WAIT_FOR_DISK_US;
    forget_records(fetch);
    fetch->request.records.unreadable = unreadable;
    return true;
}

static bool must_pause(struct hf_node *node, const struct hf_inner_fetch *fetch)
{
    return node->outside->monotonic_us(node->outside) < fetch->retry_us;
}

void hf_node_take_inner(struct hf_node *node, struct hf_request_list *requests)
{
    struct hf_inner_fetch *const all[] = {&node->tick, &node->scan};
    for (size_t i = 0; i < HF_ARRAY_COUNT(all); i++) {
        if (all[i]->wanted) {
            all[i]->wanted = false;
            all[i]->out = true;
            hf_list_push(requests, &all[i]->request);
        }
    }
}

void hf_node_return_inner(struct hf_node *node, struct hf_request_list *requests)
{
    struct hf_request_list kept = {0};
    struct hf_request *request;
    while ((request = hf_list_pop(requests)) != NULL) {
        if (request == &node->tick.request) {
            node->tick.out = false;
        } else if (request == &node->scan.request) {
            node->scan.out = false;
        } else {
            hf_list_push(&kept, request);
        }
    }
    *requests = kept;
}

/* ---- timers ---- */

/* true: something was done, or asked for. */
static bool book(struct hf_node *node, const struct hf_due *due, size_t count, uint64_t now_us)
{
    struct hf_inner_fetch *fetch = &node->tick;
    enum hf_decision decision =
        hf_decide_expiries(&node->state, &fetch->request.records, due, count, now_us, &node->draft);
    size_t done = decision == HF_DECISION_COMMIT ? node->draft.booked : 0;
    hf_state_return_due(&node->state, due + done, count - done);
    if (decision == HF_DECISION_COMMIT && hf_node_record_draft(node)) {
        forget_records(fetch);
        hf_tally_add(&node->meter.expiries, 1);
        return true;
    }
    hf_state_return_due(&node->state, due, done);
    if (decision == HF_DECISION_NEEDS && want(node, fetch)) {
        return true;
    }
    uint64_t wait_us = decision == HF_DECISION_DAMAGED ? WAIT_FOR_DISK_US : WAIT_FOR_MEMORY_US;
    fetch->retry_us = node->outside->monotonic_us(node->outside) + wait_us;
    return false;
}

bool hf_node_tick(struct hf_node *node)
{
    uint64_t now_us = hf_clock_now(&node->clock, node->outside);
    if (hf_state_next_due_us(&node->state) > now_us || !hf_node_has_own_room(node) ||
        node->read_only_until_us != 0 || is_waiting(&node->tick) || has_failed(node, &node->tick) ||
        must_pause(node, &node->tick)) {
        return false;
    }
    struct hf_due due[DUE_MAX];
    size_t most = node->limits.expiries_per_batch_max;
    size_t count = hf_state_take_due(&node->state, now_us, due, most < DUE_MAX ? most : DUE_MAX);
    uint64_t begin_us = node->outside->monotonic_us(node->outside);
    if (count == 0 || !book(node, due, count, now_us)) {
        return false;
    }
    uint64_t end_us = node->outside->monotonic_us(node->outside);
    if (end_us - node->asked_us < CALLERS_US) {
        node->tick.retry_us = end_us + (end_us - begin_us); /* half of the processor is theirs */
    }
    return true;
}

/* ---- scans ---- */

/* Whose turn it is; NULL: nobody wants a scan. */
static const struct hf_subscription *scanned_next(struct hf_node *node)
{
    const struct hf_subscription *s =
        node->scanning_uid == 0 ? NULL : hf_queue_by_uid(&node->state.queue, node->scanning_uid);
    if (s == NULL || !s->lagging) {
        s = node->state.queue.lagging_first;
        node->scanning_uid = s == NULL ? 0 : s->uid;
        node->scan_turns = 0;
    }
    return s;
}

/* What is to come waits in the log while there are many lines: a part of the room is for what arrives now. */
static bool lines_wanted(const struct hf_node *node)
{
    uint64_t most = node->limits.queue_lines_max;
    if (hf_node_memory_level(node) >= HF_MEMORY_FULL) {
        return false;
    }
    return hf_queue_load(&node->state.queue) < most - most / 4;
}

static void end_turn(struct hf_node *node)
{
    hf_queue_rotate(&node->state.queue, node->scanning_uid);
    node->scanning_uid = 0;
}

/* One step of one subscription: as much of the log as a decision may look at. What a fetch brought serves several steps; when
 * it is used up the next one has its turn. */
bool hf_node_scan(struct hf_node *node)
{
    struct hf_inner_fetch *fetch = &node->scan;
    if (node->phase != HF_NODE_LEADING || !hf_node_has_own_room(node) ||
        node->read_only_until_us != 0 || is_waiting(fetch) || has_failed(node, fetch) ||
        must_pause(node, fetch)) {
        return false;
    }
    const struct hf_subscription *s = scanned_next(node);
    if (s == NULL || !lines_wanted(node)) {
        forget_records(fetch);
        return false;
    }
    uint64_t now_us = hf_clock_now(&node->clock, node->outside);
    enum hf_decision decision = hf_decide_scan(&node->state, &fetch->request.records, s->uid,
                                               node->limits.queue_scan_max, now_us, &node->draft);
    if (decision == HF_DECISION_COMMIT && hf_node_record_draft(node)) {
        if (++node->scan_turns >= SCAN_TURNS_MAX) {
            end_turn(node);
        }
        return true;
    }
    if (decision == HF_DECISION_NEEDS) {
        if (node->scan_turns > 0) {
            end_turn(node); /* what was fetched may be what the next one lacks, too */
            return true;
        }
        forget_records(fetch);
        if (want(node, fetch)) {
            return true;
        }
    }
    uint64_t wait_us = decision == HF_DECISION_DAMAGED ? WAIT_FOR_DISK_US : WAIT_FOR_MEMORY_US;
    fetch->retry_us = node->outside->monotonic_us(node->outside) + wait_us;
    end_turn(node);
    return false;
}

uint64_t hf_node_next_scan_us(const struct hf_node *node)
{
    bool wants = node->state.queue.lagging_first != NULL && !is_waiting(&node->scan) &&
                 node->phase == HF_NODE_LEADING && lines_wanted(node);
    return wants ? node->scan.retry_us : UINT64_MAX;
}
