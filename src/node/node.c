#include "node/node.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/check.h"
#include "node/node_priv.h"

const char *hf_node_phase_name(enum hf_node_phase phase)
{
    static const char *const names[] = {"none",    "standby", "leading", "stopping",
                                        "stopped", "deposed", "failed"};
    return names[phase];
}

void hf_answer_release(struct hf_answer *answer)
{
    hf_shared_bytes_unref(answer->frame);
    *answer = (struct hf_answer){0};
}

void hf_list_push(struct hf_request_list *list, struct hf_request *request)
{
    request->next = NULL;
    if (list->first == NULL) {
        list->first = request;
    } else {
        list->last->next = request;
    }
    list->last = request;
}

struct hf_request *hf_list_pop(struct hf_request_list *list)
{
    struct hf_request *request = list->first;
    if (request != NULL) {
        list->first = request->next;
        request->next = NULL;
    }
    return request;
}

void hf_list_prepend(struct hf_request_list *list, struct hf_request_list *front)
{
    if (front->first == NULL) {
        return;
    }
    front->last->next = list->first;
    if (list->first == NULL) {
        list->last = front->last;
    }
    list->first = front->first;
    front->first = NULL;
}

/* More than these under way are better decided by the node's thread while another writes. */
#define LIGHT_REQUESTS 2u
#define LIGHT_BYTES    65536u

static char *copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = hf_malloc(size);
    if (copy != NULL) {
        memcpy(copy, text, size);
    }
    return copy;
}

struct hf_node *hf_node_new(const struct hf_node_options *options)
{
    struct hf_node *node = hf_calloc(1, sizeof(*node));
    if (node == NULL) {
        return NULL;
    }
    node->directory = copy_text(options->directory);
    node->name = copy_text(options->name);
    node->tail = hf_tail_new(options->log, options->limits.tail_bytes_max);
    node->time_marks = hf_time_marks_new(HF_TIME_MARKS_MAX);
    if (node->directory == NULL || node->name == NULL || node->tail == NULL ||
        node->time_marks == NULL) {
        hf_time_marks_free(node->time_marks);
        hf_tail_free(node->tail);
        hf_free(node->directory);
        hf_free(node->name);
        hf_free(node);
        return NULL;
    }
    node->outside = options->outside;
    node->log = options->log;
    node->limits = options->limits;
    node->checkpoints = options->checkpoints;
    node->memory.options = options->memory;
    node->phase = HF_NODE_STANDBY;
    node->later_deadline_us = UINT64_MAX;
    hf_node_meter_init(&node->meter);
    node->fetch.node = node;
    node->checkpoint.node = node;
    node->merge.node = node;
    HF_CHECK(pthread_mutex_init(&node->mutex, NULL) == 0);
    node->outside->random(node->outside, &node->seed, sizeof(node->seed));
    hf_waits_init(&node->waits, node->seed, node->limits.waiting_receives_max);
    hf_state_init(&node->state, node->seed);
    hf_draft_init(&node->draft);
    return node;
}

void hf_node_set_phase(struct hf_node *node, enum hf_node_phase phase)
{
    pthread_mutex_lock(&node->mutex);
    node->phase = phase;
    node->status.phase = phase;
    pthread_mutex_unlock(&node->mutex);
    if (phase != HF_NODE_LEADING) {
        hf_node_stop_merging(node);
    }
    if (phase != HF_NODE_LEADING && phase != HF_NODE_STOPPING) {
        hf_tail_close(node->tail);
    }
}

void hf_node_count_out(struct hf_node *node, const struct hf_request *request)
{
    atomic_fetch_sub_explicit(&node->open_bytes, request->weight_bytes, memory_order_relaxed);
    atomic_fetch_sub_explicit(&node->open_count, 1, memory_order_release);
}

void hf_node_count_in(struct hf_node *node, const struct hf_request *request)
{
    atomic_fetch_add_explicit(&node->open_count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&node->open_bytes, request->weight_bytes, memory_order_relaxed);
}

/* Counts the request in and puts it into the queue, or refuses it. */
static enum hf_err enter(struct hf_node *node, struct hf_request *request)
{
    uint64_t count = atomic_fetch_add_explicit(&node->open_count, 1, memory_order_relaxed) + 1;
    uint64_t bytes =
        atomic_fetch_add_explicit(&node->open_bytes, request->weight_bytes, memory_order_relaxed) +
        request->weight_bytes;
    enum hf_err err = HF_ERR_OK;
    if (count > node->limits.queue_commands_max || bytes > node->limits.queue_bytes_max) {
        err = HF_ERR_OVERLOADED;
    } else {
        pthread_mutex_lock(&node->mutex);
        if (node->phase == HF_NODE_LEADING) {
            hf_list_push(&node->queue, request);
        } else {
            err = HF_ERR_NOT_READY;
        }
        pthread_mutex_unlock(&node->mutex);
    }
    if (err != HF_ERR_OK) {
        hf_node_count_out(node, request);
    }
    return err;
}

enum hf_err hf_node_submit(struct hf_node *node, struct hf_request *request)
{
    HF_CHECK((request->command != NULL) + (request->query_count > 0) +
                 (request->position_count > 0) ==
             1);
    HF_CHECK(request->done != NULL);
    HF_CHECK(request->query_count <= HF_QUERIES_MAX);
    request->answer = (struct hf_answer){0};
    hf_records_init(&request->records);
    hf_needs_init(&request->needs);
    request->next = NULL;
    request->waits = false;
    request->woken = false;
    atomic_store_explicit(&request->gone, false, memory_order_relaxed);
    request->fetches = 0;
    request->fetch_error = HF_ERR_OK;
    request->submitted_us = node->outside->monotonic_us(node->outside);
    request->decided_us = 0;
    request->answered_us = 0;
    request->weight_bytes = sizeof(*request) + request->query_count * sizeof(struct hf_query) +
                            (request->command == NULL ? 0 : request->command->arena.total_bytes);
    if (atomic_load_explicit(&node->prefetch, memory_order_acquire) && request->command != NULL) {
        hf_node_prefetch(node, request);
    }
    request->lacked_memory = hf_node_lacks_memory(node, request);
    enum hf_err err = request->lacked_memory ? HF_ERR_OVERLOADED : enter(node, request);
    if (err == HF_ERR_OK) {
        node->outside->ring(node->outside);
    } else {
        hf_node_keep_promise(node, request);
        atomic_fetch_add_explicit(&node->meter.turned_away, 1, memory_order_relaxed);
        hf_records_release(&request->records);
        hf_needs_release(&request->needs);
    }
    return err;
}

void hf_node_answer(struct hf_node *node, struct hf_request *request)
{
    hf_records_release(&request->records);
    hf_needs_release(&request->needs);
    hf_node_count_out(node, request);
    hf_node_keep_promise(node, request);
    request->answered_us = node->outside->monotonic_us(node->outside);
    if (request->command != NULL && request->answer.decided) {
        hf_histogram_add(&node->meter.append_us, request->answered_us - request->decided_us);
    }
    if (request->answer.code != HF_ERR_OK) {
        hf_tally_add(&node->meter.refusals[request->answer.code & (HF_METER_CODES - 1)], 1);
    }
    request->done(request); /* the request may be gone now */
}

void hf_node_refuse(struct hf_node *node, struct hf_request *request, enum hf_err code)
{
    hf_waits_settled(&node->waits, request);
    hf_node_release_frames(request);
    hf_answer_release(&request->answer);
    request->answer.code = code;
    hf_node_answer(node, request);
}

static void refuse_list(struct hf_node *node, struct hf_request_list *list, enum hf_err code)
{
    struct hf_request *request;
    while ((request = hf_list_pop(list)) != NULL) {
        hf_node_refuse(node, request, code);
    }
}

void hf_node_withdraw(struct hf_node *node, struct hf_request *request)
{
    atomic_store_explicit(&request->gone, true, memory_order_release);
    atomic_store_explicit(&node->some_gone, true, memory_order_release);
    node->outside->ring(node->outside);
}

static void refuse_waits(struct hf_node *node)
{
    struct hf_request *request;
    while ((request = hf_waits_any(&node->waits)) != NULL) {
        hf_node_count_in(node, request);
        hf_node_refuse(node, request, HF_ERR_NOT_READY);
    }
}

static void refuse_queue(struct hf_node *node)
{
    pthread_mutex_lock(&node->mutex);
    struct hf_request_list queue = node->queue;
    node->queue = (struct hf_request_list){0};
    pthread_mutex_unlock(&node->mutex);
    refuse_list(node, &queue, HF_ERR_NOT_READY);
}

/* Was this request's own commit handed to the log, outcome unknown? */
static bool perhaps_stored(const struct hf_node *node, const struct hf_request *request)
{
    uint64_t position = request->answer.position;
    return node->in_flight && request->command != NULL && !request->answer.replayed &&
           position >= node->flight.first_position &&
           position < node->flight.first_position + node->flight.commit_count;
}

void hf_node_fail(struct hf_node *node, enum hf_node_phase phase, const struct hf_error *error)
{
    hf_node_set_phase(node, phase);
    pthread_mutex_lock(&node->mutex);
    if (error != NULL) {
        memcpy(node->status.error, error->text, sizeof(node->status.error));
    }
    pthread_mutex_unlock(&node->mutex);
    struct hf_request *request;
    while ((request = hf_list_pop(&node->waiting)) != NULL) {
        if (!request->needs_confirm && request->answer.seen_position <= node->durable.position) {
            hf_node_answer(node, request); /* it is in the log; only the order held it back */
            continue;
        }
        hf_node_refuse(node, request,
                       perhaps_stored(node, request) ? HF_ERR_OUTCOME_UNKNOWN : HF_ERR_NOT_READY);
    }
    refuse_list(node, &node->ready, HF_ERR_NOT_READY);
    refuse_list(node, &node->large, HF_ERR_NOT_READY);
    refuse_list(node, &node->later, HF_ERR_NOT_READY);
    refuse_list(node, &node->to_fetch, HF_ERR_NOT_READY);
    refuse_waits(node);
    refuse_queue(node);
}

void hf_node_publish(struct hf_node *node)
{
    struct hf_node_status *s = &node->status;
    struct hf_memory memory = {0};
    hf_node_tell_memory(node, &memory); /* takes the tail's lock: not under another one */
    pthread_mutex_lock(&node->mutex);
    s->epoch = node->epoch;
    s->position = node->state.position;
    s->durable_position = node->durable.position;
    s->seq = node->durable.seq;
    s->accounts = hf_account_pool_count(&node->state.accounts);
    s->holds = node->state.holds.count;
    s->streams = node->state.streams.count;
    s->documents = node->state.documents.count;
    s->leases = node->state.leases.count;
    s->sagas = 0;
    for (size_t state = HF_SAGA_SCHEDULED; state < HF_SAGA_SUCCEEDED; state++) {
        s->sagas += node->state.sagas.by_state[state].count;
    }
    s->sagas_parked = node->state.sagas.by_state[HF_SAGA_PARKED].count;
    s->sagas_failing = node->state.sagas.failing.count;
    s->lines = node->state.queue.line_count;
    s->delayed = node->state.queue.delayed.count;
    s->alerts = node->state.alerts.raised_count;
    s->checkpoint_position = node->state.checkpoint_position;
    s->read_only = node->read_only_until_us != 0;
    s->commits = node->counts.commits;
    s->refusals = node->counts.refusals;
    s->replays = node->counts.replays;
    s->reads = node->counts.reads;
    s->batches = node->counts.batches;
    s->fetches = node->counts.fetches;
    s->rebuilds = node->counts.rebuilds;
    s->recovered_commits = node->counts.recovered_commits;
    s->memory = memory;
    pthread_mutex_unlock(&node->mutex);
}

void hf_node_status(struct hf_node *node, struct hf_node_status *status)
{
    pthread_mutex_lock(&node->mutex);
    *status = node->status;
    status->phase = node->phase;
    pthread_mutex_unlock(&node->mutex);
    struct hf_memory *memory = &status->memory;
    uint64_t requests;
    int64_t job = atomic_load_explicit(&node->memory.job_bytes, memory_order_relaxed);
    if (node->memory.options.resident != NULL) {
        memory->resident = node->memory.options.resident();
    }
    memory->allocated = hf_alloc_in_use_bytes();
    memory->level = hf_node_memory_level(node);
    memory->refused = hf_tally_get(&node->memory.refused);
    memory->checkpoint = job < 0 ? 0 : (uint64_t)job;
    memory->index_runs = status->phase == HF_NODE_LEADING ? hf_index_bytes(node->index) : 0;
    hf_node_open_requests(node, &requests, &memory->requests);
}

const struct hf_node_meter *hf_node_meter(const struct hf_node *node)
{
    return &node->meter;
}

void hf_node_open_requests(struct hf_node *node, uint64_t *requests, uint64_t *bytes)
{
    *requests = atomic_load_explicit(&node->open_count, memory_order_relaxed);
    *bytes = atomic_load_explicit(&node->open_bytes, memory_order_relaxed);
}

uint64_t hf_node_waiting_receives(const struct hf_node *node)
{
    return hf_tally_get(&node->waits.shown);
}

/* A stop goes on once nothing is left to do. */
static bool go_on_stopping(struct hf_node *node)
{
    if (node->phase != HF_NODE_STOPPING || node->in_flight ||
        atomic_load_explicit(&node->open_count, memory_order_acquire) > 0 ||
        node->building.commit_count > 0 || node->fetch.running || node->checkpoint.running ||
        node->merge.running) {
        return false;
    }
    struct hf_error error = {0};
    if (node->log->driver->seal(node->log, &error) != HF_ERR_OK) {
        hf_error_wrap(&error, "seal the log");
        hf_node_fail(node, HF_NODE_FAILED, &error);
    } else {
        hf_node_set_phase(node, HF_NODE_STOPPED);
    }
    return true;
}

static bool poll_confirm(struct hf_node *node)
{
    const struct hf_log_driver *driver = node->log->driver;
    if (!node->confirming) {
        struct hf_request *first = node->waiting.first;
        if (first == NULL || !first->needs_confirm || first->order <= node->confirmed_order) {
            return false;
        }
        node->confirming = true;
        node->confirming_order = node->order;
        driver->confirm_start(node->log);
    }
    switch (driver->confirm_poll(node->log)) {
    case HF_CONFIRM_PENDING:
        return false;
    case HF_CONFIRM_OK:
        node->confirming = false;
        node->confirmed_order = node->confirming_order;
        return true;
    case HF_CONFIRM_FENCED:
        node->confirming = false;
#ifdef HF_BUG_FENCED_IGNORED
        node->confirmed_order = node->confirming_order;
        return true;
#endif
        hf_node_fail(node, HF_NODE_DEPOSED, NULL);
        return true;
    case HF_CONFIRM_FAILED:
        node->confirming = false;
        return true;
    }
    return false;
}

bool hf_node_step(struct hf_node *node)
{
    if (node->phase != HF_NODE_LEADING && node->phase != HF_NODE_STOPPING) {
        bool waited = hf_node_poll_fetch(node);
        waited = hf_node_poll_merge(node) || waited;
        return hf_node_poll_checkpoint(node) || waited;
    }
    bool did = hf_node_mind_memory(node);
    did = hf_node_poll_log(node) || did;
    did = hf_node_poll_fetch(node) || did;
    did = hf_node_poll_checkpoint(node) || did;
    did = hf_node_poll_merge(node) || did;
    if (node->phase == HF_NODE_LEADING || node->phase == HF_NODE_STOPPING) {
        did = hf_node_tick(node) || did;
        did = hf_node_decide_some(node) || did;
        did = hf_node_scan(node) || did;
        did = hf_node_start_append(node) || did;
        did = hf_node_start_fetch(node) || did;
        did = poll_confirm(node) || did;
        did = hf_node_release(node) || did;
        did = go_on_stopping(node) || did;
    }
    if (did) {
        hf_node_publish(node);
    }
    return did;
}

bool hf_node_is_light(struct hf_node *node)
{
    return node->phase == HF_NODE_LEADING && node->read_only_until_us == 0 &&
           hf_node_next_scan_us(node) == UINT64_MAX &&
           hf_state_next_due_us(&node->state) > hf_clock_now(&node->clock, node->outside) &&
           atomic_load_explicit(&node->open_count, memory_order_relaxed) <= LIGHT_REQUESTS &&
           atomic_load_explicit(&node->open_bytes, memory_order_relaxed) <= LIGHT_BYTES;
}

/* When a receive that waits is to be looked at again. */
static uint64_t next_wake_us(struct hf_node *node, uint64_t monotonic_us)
{
    uint64_t next_us = hf_waits_deadline_us(&node->waits);
    uint64_t ready_us = hf_waits_ready_us(&node->waits);
    if (ready_us != UINT64_MAX && hf_node_has_room(node) && node->read_only_until_us == 0) {
        uint64_t now_us = hf_clock_now(&node->clock, node->outside);
        next_us = hf_min_u64(next_us, monotonic_us + (ready_us > now_us ? ready_us - now_us : 0));
    }
    return next_us;
}

uint64_t hf_node_next_step_us(struct hf_node *node)
{
    if (node->phase != HF_NODE_LEADING && node->phase != HF_NODE_STOPPING) {
        return UINT64_MAX;
    }
    uint64_t next_us = UINT64_MAX;
    uint64_t monotonic_us = node->outside->monotonic_us(node->outside);
    uint64_t due_us = hf_state_next_due_us(&node->state);
    /* What can't be booked now is no reason to wake up: room comes with the doorbell. */
    if (due_us != UINT64_MAX && hf_node_has_own_room(node) && node->read_only_until_us == 0) {
        uint64_t now_us = hf_clock_now(&node->clock, node->outside);
        next_us = due_us > now_us ? monotonic_us + (due_us - now_us) : monotonic_us;
        next_us = node->tick.out ? UINT64_MAX : hf_max_u64(next_us, node->tick.retry_us);
    }
    if (node->read_only_until_us != 0) {
        next_us = hf_min_u64(next_us, node->read_only_until_us);
    }
    if (hf_node_has_own_room(node) && node->read_only_until_us == 0) {
        next_us = hf_min_u64(next_us, hf_max_u64(monotonic_us, hf_node_next_scan_us(node)));
    }
    next_us = hf_min_u64(next_us, hf_node_next_look_us(node));
    next_us = hf_min_u64(next_us, hf_node_next_large_us(node, monotonic_us));
    if (node->later.first != NULL) {
        next_us = hf_min_u64(next_us, node->later_deadline_us);
    }
    return hf_min_u64(next_us, next_wake_us(node, monotonic_us));
}

void hf_node_stop(struct hf_node *node)
{
    if (node->phase == HF_NODE_LEADING) {
        hf_node_set_phase(node, HF_NODE_STOPPING);
        node->outside->ring(node->outside);
    } else if (node->phase == HF_NODE_STANDBY) {
        hf_node_set_phase(node, HF_NODE_STOPPED);
    }
}

void hf_node_checkpoint(struct hf_node *node)
{
    node->checkpoint.wanted = true;
    node->outside->ring(node->outside);
}

uint64_t hf_node_subscription_changes(const struct hf_node *node)
{
    return atomic_load_explicit(&node->subscription_changes, memory_order_acquire);
}

struct hf_tail *hf_node_tail(struct hf_node *node)
{
    return node->tail;
}

const struct hf_state *hf_node_state(const struct hf_node *node)
{
    return &node->state;
}

void hf_node_free(struct hf_node *node)
{
    if (node == NULL) {
        return;
    }
    if (node->phase == HF_NODE_LEADING || node->phase == HF_NODE_STOPPING) {
        hf_node_fail(node, HF_NODE_STOPPED, NULL);
    }
    node->outside->drain(node->outside, HF_WORKER_FETCH);
    node->outside->drain(node->outside, HF_WORKER_CHECKPOINT);
    node->outside->drain(node->outside, HF_WORKER_MERGE);
    hf_node_return_inner(node, &node->fetch.requests);
    refuse_list(node, &node->fetch.requests, HF_ERR_NOT_READY);
    hf_inner_fetch_release(&node->tick);
    hf_inner_fetch_release(&node->scan);
    hf_tail_free(node->tail);
    hf_time_marks_free(node->time_marks);
    hf_waits_release(&node->waits);
    node->log->driver->close(node->log);
    hf_index_close(node->index);
    hf_state_release(&node->state);
    hf_draft_release(&node->draft);
    hf_buffer_release(&node->scratch);
    hf_buffer_release(&node->building.body);
    hf_buffer_release(&node->flight.body);
    pthread_mutex_destroy(&node->mutex);
    hf_free(node->directory);
    hf_free(node->name);
    hf_free(node);
}
