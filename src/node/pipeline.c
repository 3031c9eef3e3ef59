/* Decide, evolve, batch, append, answer. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "node/node_priv.h"

#define FETCH_ROUNDS_MAX   64u      /* a command that needs more is not going to end */
#define READ_ONLY_RETRY_US 1000000u /* how long a full disk is left alone */
#define SMALL_BYTES        65536u   /* small requests add so much to a batch that is full */
#define OWN_BYTES_MIN      4096u    /* timers and scans add so much to a batch */
#define OWN_BYTES_US                                                                               \
    8u /* and this for each us that the last sync took: a slow disk has few batches a second */

/* ---- recording ---- */

bool hf_node_has_room(const struct hf_node *node)
{
    return node->building.commit_count < node->limits.batch_commits_max &&
           node->building.body.size_bytes < node->limits.batch_bytes_max &&
           node->building.body.size_bytes + node->flight.body.size_bytes <
               node->limits.run_ahead_bytes_max;
}

/* A large commit may have filled the batch: what is small still goes with it, instead of waiting for the next one. */
bool hf_node_has_small_room(const struct hf_node *node)
{
    const struct hf_batch *batch = &node->building;
    return hf_node_has_room(node) ||
           (batch->full_bytes > 0 && batch->commit_count < node->limits.batch_commits_max &&
            batch->body.size_bytes < batch->full_bytes + SMALL_BYTES);
}

bool hf_node_has_own_room(const struct hf_node *node)
{
    return hf_node_has_room(node) &&
           node->building.body.size_bytes <
               hf_min_u64(node->limits.own_bytes_max,
                          hf_max_u64(OWN_BYTES_MIN, node->sync_us * OWN_BYTES_US));
}

/* A commit at the end of a buffer, and as a frame of its own. NULL: memory is short, and the buffer
 * is as it was. */
static struct hf_shared_bytes *encode_frame(const struct hf_commit *commit, struct hf_buffer *to)
{
    size_t before = to->size_bytes;
    struct hf_shared_bytes *frame = NULL;
    if (hf_commit_encode(commit, to)) {
        frame = hf_shared_bytes_new(to->size_bytes - before);
    }
    if (frame != NULL) {
        memcpy(frame->data, to->data + before, frame->size_bytes);
    } else {
        to->size_bytes = before;
        to->failed = false;
    }
    return frame;
}

/* The frame of an answer that is not recorded. */
static struct hf_shared_bytes *encode_unrecorded(struct hf_node *node,
                                                 const struct hf_commit *commit)
{
    hf_buffer_clear(&node->scratch);
    return encode_frame(commit, &node->scratch);
}

/* Decide and evolve run before the append: what does not fit together never reaches the log. */
static void evolve(struct hf_node *node)
{
    struct hf_error error = {0};
    if (hf_state_apply(&node->state, &node->draft.commit, &error) != HF_ERR_OK) {
        (void)fprintf(stderr, "holdfast: a decision contradicts the state: %s\n", error.text);
        bool decision_fits_the_state = false;
        HF_CHECK(decision_fits_the_state);
    }
}

/* What an event is about that somebody may wait for; id NULL: nothing of that kind. */
static struct hf_wait_subject subject_of(const struct hf_event *event)
{
    switch ((unsigned)event->type) {
    case HF_EVENT_SUBSCRIPTION_PUT:
    case HF_EVENT_SUBSCRIPTION_DELETED:
    case HF_EVENT_SUBSCRIPTION_SOUGHT:
        return (struct hf_wait_subject){HF_KIND_SUBSCRIPTION,
                                        &event->subscription->subscription.id};
    case HF_EVENT_SUBSCRIPTION_SCANNED:
        return (struct hf_wait_subject){HF_KIND_SUBSCRIPTION, &event->scanned.subscription.id};
    case HF_EVENT_MESSAGES_SETTLED:
        return (struct hf_wait_subject){HF_KIND_SUBSCRIPTION, &event->settled.subscription.id};
    case HF_EVENT_MESSAGES_REDRIVEN:
        return (struct hf_wait_subject){HF_KIND_SUBSCRIPTION, &event->redriven.subscription.id};
    case HF_EVENT_SAGA_CHANGED:
    case HF_EVENT_SAGA_ENDED:
        return (struct hf_wait_subject){HF_KIND_SAGA, &event->saga->saga.id};
    default:
        return (struct hf_wait_subject){HF_KIND_NONE, NULL};
    }
}

/* For those who send: they keep a list of subscriptions, and follow sagas. */
static void note_outward(struct hf_node *node)
{
    const struct hf_commit *commit = &node->draft.commit;
    for (uint32_t i = 0; i < commit->event_count; i++) {
        enum hf_event_type type = commit->events[i]->type;
        bool subscription = type == HF_EVENT_SUBSCRIPTION_PUT ||
                            type == HF_EVENT_SUBSCRIPTION_DELETED ||
                            type == HF_EVENT_SUBSCRIPTION_SOUGHT;
        bool saga = type >= HF_EVENT_SAGA_DEFINED && type <= HF_EVENT_SAGA_ENDED;
        if (subscription) {
            atomic_fetch_add_explicit(&node->subscription_changes, 1, memory_order_release);
        }
        if (subscription || saga) {
            node->building.outward = commit->position;
        }
    }
}

/* Which subscriptions and sagas does this commit touch? Those that wait at them are to be looked at when it is applied. */
static void stir_waits(struct hf_node *node)
{
    const struct hf_commit *commit = &node->draft.commit;
    struct hf_waits *waits = &node->waits;
    if (waits->count == 0) {
        return;
    }
    for (size_t i = 0; i < node->state.queue.match_count; i++) {
        const struct hf_subscription *subscription = node->state.queue.matches[i].subscription;
        if (subscription != NULL) {
            hf_waits_stir(waits, HF_KIND_SUBSCRIPTION, &subscription->name.id);
        }
    }
    for (uint32_t i = 0; i < commit->event_count; i++) {
        struct hf_wait_subject subject = subject_of(commit->events[i]);
        if (subject.id != NULL) {
            hf_waits_stir(waits, subject.kind, subject.id);
        }
    }
}

/* Is there room for the lines of what the draft's commit brings and takes out? An eighth is kept for deliveries, so that
 * consumers go on when nothing more may come. What the node itself records is not asked: it frees room, or brings what was
 * counted as delayed. */
static bool lines_fit(const struct hf_node *node)
{
    const struct hf_queue *queue = &node->state.queue;
    uint64_t most = node->limits.queue_lines_max;
    uint64_t load = hf_queue_load(queue);
    if (load + HF_COMMIT_ARRIVALS_MAX + HF_COMMIT_OPERATIONS_MAX <= most - most / 8) {
        return true; /* whatever it is: the usual case */
    }
    struct hf_queue_growth growth = hf_queue_growth_of(queue, &node->draft.commit);
    return (growth.arriving == 0 || load + growth.arriving <= most - most / 8) &&
           (growth.delivering == 0 || load + growth.delivering <= most);
}

/* Takes the draft's commit into the state and the batch. NULL: memory is short, or a limit is reached; nothing has
 * changed. */
static struct hf_shared_bytes *record(struct hf_node *node, bool asked)
{
    struct hf_batch *batch = &node->building;
    size_t before = batch->body.size_bytes;
    struct hf_shared_bytes *frame = encode_frame(&node->draft.commit, &batch->body);
    int64_t bytes_before = hf_alloc_thread_bytes();
    bool reserved = frame != NULL && hf_state_reserve(&node->state, &node->draft.commit);
    if (reserved && asked && !lines_fit(node)) {
        hf_state_forgo(&node->state);
        reserved = false;
    }
    if (!reserved) {
        node->memory.state_bytes += hf_alloc_thread_bytes() - bytes_before;
        hf_shared_bytes_unref(frame);
        batch->body.size_bytes = before;
        return NULL;
    }
    stir_waits(node);
    evolve(node);
    node->memory.state_bytes += hf_alloc_thread_bytes() - bytes_before;
    note_outward(node);
    hf_time_marks_note(node->time_marks, node->state.position, node->state.time_us);
    hf_recent_add_frame(&node->state.recent, node->state.position, frame);
    if (batch->commit_count == 0) {
        batch->first_position = node->state.position;
        batch->hash_before = node->hash;
    }
    node->hash =
        hf_log_chain(&node->hash, frame->data + HF_COMMIT_FRAME_BYTES, hf_get_u32(frame->data));
    batch->hash_after = node->hash;
    batch->commit_count++;
    if (batch->full_bytes == 0 && batch->body.size_bytes >= node->limits.batch_bytes_max) {
        batch->full_bytes = batch->body.size_bytes;
    }
    node->log_bytes_since_checkpoint += frame->size_bytes;
    return frame;
}

bool hf_node_record_draft(struct hf_node *node)
{
    struct hf_shared_bytes *frame = record(node, false);
    hf_shared_bytes_unref(frame);
    return frame != NULL;
}

bool hf_node_record_system(struct hf_node *node, enum hf_event_type type,
                           const struct hf_system *system)
{
    uint64_t now_us = hf_clock_now(&node->clock, node->outside);
    if (node->read_only_until_us != 0 ||
        hf_decide_system(&node->state, type, system, now_us, &node->draft) != HF_DECISION_COMMIT) {
        return false;
    }
    struct hf_shared_bytes *frame = record(node, false);
    hf_shared_bytes_unref(frame);
    return frame != NULL;
}

/* ---- deciding ---- */

/* The answer waits until all that it saw is durable. */
static void wait_for_durable(struct hf_node *node, struct hf_request *request, bool needs_confirm)
{
    if (request->command != NULL) {
        uint64_t now_us = node->outside->monotonic_us(node->outside);
        hf_histogram_add(&node->meter.decide_us, now_us - request->decided_us);
        request->decided_us = now_us;
    }
    hf_waits_settled(&node->waits, request);
    request->answer.decided = true;
    request->answer.seen_position = node->state.position;
    request->needs_confirm = needs_confirm;
    request->order = ++node->order;
    hf_list_push(&node->waiting, request);
}

static enum hf_err code_of(const struct hf_commit *commit)
{
    const struct hf_refused *refused = hf_commit_refusal(commit);
    return refused == NULL ? HF_ERR_OK : refused->code;
}

static bool is_cancelled(const struct hf_commit *commit)
{
    return commit->event_count > 0 &&
           commit->events[commit->event_count - 1]->type == HF_EVENT_KEY_CANCELLED;
}

/* A cancel of a key answers what is recorded; any other command under a cancelled key is refused. */
static void set_outcome(struct hf_request *request, const struct hf_commit *commit)
{
    request->answer.code = code_of(commit);
    if (request->command->kind == HF_COMMAND_CANCEL_KEY) {
        request->answer.code = HF_ERR_OK;
    } else if (is_cancelled(commit)) {
        request->answer.code = HF_ERR_CANCELLED;
    }
    request->answer.position = commit->position;
    request->answer.time_us = commit->time_us;
}

static void set_outcomes(const struct hf_node *node, struct hf_request *request)
{
    if (request->command->kind == HF_COMMAND_EACH && node->draft.outcomes != NULL) {
        memcpy(request->outcomes, node->draft.outcomes,
               request->command->op_count * sizeof(*request->outcomes));
    }
}

static struct hf_shared_bytes *kept_frame(struct hf_node *node, struct hf_request *request,
                                          uint64_t position)
{
    struct hf_shared_bytes *frame = hf_recent_frame(&node->state.recent, position);
    if (frame == NULL) {
        frame = hf_records_frame(&request->records, position);
    }
    HF_CHECK(frame != NULL);
    return hf_shared_bytes_ref(frame);
}

static void answer_commit(struct hf_node *node, struct hf_request *request)
{
    const struct hf_commit *commit = &node->draft.commit;
    if (node->read_only_until_us != 0 && !request->command->dry_run) {
        hf_node_refuse(node, request, HF_ERR_READ_ONLY);
        return;
    }
    struct hf_shared_bytes *frame =
        request->command->dry_run ? encode_unrecorded(node, commit) : record(node, true);
    if (frame == NULL) {
        hf_node_refuse(node, request, HF_ERR_OVERLOADED);
        return;
    }
    set_outcome(request, commit);
    set_outcomes(node, request);
    request->answer.frame = frame;
    if (request->command->dry_run) {
        request->answer.position = 0;
    }
    node->counts.commits += request->answer.code == HF_ERR_OK;
    node->counts.refusals += request->answer.code != HF_ERR_OK;
    wait_for_durable(node, request, request->command->dry_run);
}

/* Has it time, and room? Waiting requests count neither as load nor as a reason not to stop. */
static bool wait_on(struct hf_node *node, struct hf_request *request, uint64_t now_us)
{
    if (request->deadline_us == 0 || node->phase != HF_NODE_LEADING ||
        node->outside->monotonic_us(node->outside) >= request->deadline_us ||
        !hf_waits_keep(&node->waits, request, &node->state, now_us)) {
        return false;
    }
    hf_node_count_out(node, request);
    return true;
}

/* A receive that found nothing. */
static bool wait_for_message(struct hf_node *node, struct hf_request *request, uint64_t now_us)
{
    bool empty = hf_wait_subject_of(request).kind == HF_KIND_SUBSCRIPTION &&
                 code_of(&node->draft.commit) == HF_ERR_OK;
    return empty && wait_on(node, request, now_us);
}

/* The read of a saga that has neither ended nor is parked. */
static bool wait_for_saga(struct hf_node *node, struct hf_request *request)
{
    struct hf_wait_subject subject = hf_wait_subject_of(request);
    return subject.kind == HF_KIND_SAGA && hf_wait_saga_goes_on(&node->state, subject.id) &&
           wait_on(node, request, hf_clock_now(&node->clock, node->outside));
}

static void answer_unrecorded(struct hf_node *node, struct hf_request *request)
{
    struct hf_shared_bytes *frame = encode_unrecorded(node, &node->draft.commit);
    if (frame == NULL) {
        hf_node_refuse(node, request, HF_ERR_OVERLOADED);
        return;
    }
    set_outcome(request, &node->draft.commit);
    set_outcomes(node, request);
    request->answer.frame = frame;
    wait_for_durable(node, request, true);
}

static void answer_replay(struct hf_node *node, struct hf_request *request)
{
    const struct hf_commit *commit = node->draft.replayed;
    struct hf_shared_bytes *frame = node->draft.replayed_unit
                                        ? encode_unrecorded(node, commit)
                                        : kept_frame(node, request, commit->position);
    if (frame == NULL) {
        hf_node_refuse(node, request, HF_ERR_OVERLOADED);
        return;
    }
    set_outcome(request, commit);
    request->answer.frame = frame;
    request->answer.replayed = true;
    node->counts.replays++;
    wait_for_durable(node, request, true);
}

/* request->needs holds what is missing; complete: the draft's needs could be added to it. */
void hf_node_ask_for_records(struct hf_node *node, struct hf_request *request, bool complete)
{
    if (!complete || ++request->fetches > FETCH_ROUNDS_MAX) {
        hf_node_refuse(node, request, HF_ERR_OVERLOADED);
        return;
    }
    hf_list_push(&node->to_fetch, request);
}

/* All queries on one state. What is cold is asked for together: the render functions of a round that
 * lacked something count for nothing. */
static void decide_read(struct hf_node *node, struct hf_request *request)
{
    uint64_t now_us = hf_clock_now(&node->clock, node->outside);
    bool complete = true;
    uint64_t decoded_bytes = 0;
    hf_needs_clear(&request->needs);
    for (size_t i = 0; i < request->query_count; i++) {
        struct hf_reading reading;
        enum hf_decision decision =
            hf_read(&node->state, &request->records, &request->queries[i], now_us,
                    node->limits.key_retention_us, &node->draft, &reading);
        decoded_bytes += node->draft.view.decoded_bytes;
        if (decoded_bytes > hf_node_read_bytes_max(node)) {
            hf_node_refuse(node, request, HF_ERR_TOO_LARGE);
            return;
        }
        if (decision == HF_DECISION_NEEDS) {
            complete = complete && hf_needs_add_all(&request->needs, &node->draft.view.needs);
        } else if (decision != HF_DECISION_ANSWER) {
            hf_node_refuse(node, request,
                           decision == HF_DECISION_DAMAGED ? HF_ERR_CORRUPT : HF_ERR_OVERLOADED);
            return;
        } else if (!hf_needs_any(&request->needs)) {
            request->answer.code = request->query_count == 1 ? reading.code : HF_ERR_OK;
            request->answer.time_us = reading.time_us;
            request->render(request, i, &reading);
        }
    }
    if (!complete || hf_needs_any(&request->needs)) {
        hf_node_ask_for_records(node, request, complete);
        return;
    }
    node->counts.reads++;
    wait_for_durable(node, request, true);
}

/* A read of a position to come: waits, but not beyond its deadline. true: it is not read now. */
static bool wait_for_position(struct hf_node *node, struct hf_request *request)
{
    if (request->min_position <= node->state.position) {
        return false;
    }
    if (request->deadline_us != 0 &&
        node->outside->monotonic_us(node->outside) >= request->deadline_us) {
        hf_node_refuse(node, request, HF_ERR_NOT_READY);
        return true;
    }
    node->later_deadline_us = hf_min_u64(
        node->later_deadline_us, request->deadline_us == 0 ? UINT64_MAX : request->deadline_us);
    hf_list_push(&node->later, request);
    return true;
}

static void decide_command(struct hf_node *node, struct hf_request *request)
{
    uint64_t now_us = hf_clock_now(&node->clock, node->outside);
    bool complete;
    switch (hf_decide(&node->state, &request->records, request->command, now_us,
                      node->limits.key_retention_us, &node->draft)) {
    case HF_DECISION_COMMIT:
        answer_commit(node, request);
        return;
    case HF_DECISION_ANSWER:
        if (!wait_for_message(node, request, now_us)) {
            answer_unrecorded(node, request);
        }
        return;
    case HF_DECISION_REPLAY:
        answer_replay(node, request);
        return;
    case HF_DECISION_NEEDS:
        hf_needs_clear(&request->needs);
        complete = hf_needs_add_all(&request->needs, &node->draft.view.needs);
        hf_node_ask_for_records(node, request, complete);
        return;
    case HF_DECISION_OVERLOADED:
        hf_node_refuse(node, request, HF_ERR_OVERLOADED);
        return;
    case HF_DECISION_DAMAGED:
        hf_node_refuse(node, request, HF_ERR_CORRUPT);
        return;
    }
}

static void decide_request(struct hf_node *node, struct hf_request *request)
{
    uint64_t begin_us = node->outside->monotonic_us(node->outside);
    if (request->decided_us == 0) {
        hf_histogram_add(&node->meter.queue_us, begin_us - request->submitted_us);
    }
    request->decided_us = begin_us;
    node->asked_us = begin_us;
    if (request->fetch_error != HF_ERR_OK) {
        hf_node_refuse(node, request, request->fetch_error);
    } else if (atomic_load_explicit(&request->gone, memory_order_acquire)) {
        hf_node_refuse(node, request, HF_ERR_NOT_READY);
    } else if (request->position_count > 0) {
        hf_node_read_frames(node, request);
    } else if (request->query_count == 0) {
        bool large = hf_node_is_large(request);
        decide_command(node, request);
        hf_node_note_decided(node, large, begin_us);
    } else if (!wait_for_position(node, request) && !wait_for_saga(node, request)) {
        decide_read(node, request);
    }
}

/* Reads of positions to come are looked at again when there is a new position, when one of them has waited long
 * enough, and at the end. */
static bool look_again_later(struct hf_node *node)
{
    if (node->later.first == NULL) {
        return false;
    }
    if (node->phase == HF_NODE_STOPPING) {
        hf_node_refuse(node, hf_list_pop(&node->later), HF_ERR_NOT_READY);
        return true;
    }
    if (node->state.position == node->later_position &&
        (node->later_deadline_us == UINT64_MAX ||
         node->outside->monotonic_us(node->outside) < node->later_deadline_us)) {
        return false;
    }
    node->later_position = node->state.position;
    node->later_deadline_us = UINT64_MAX;
    hf_list_prepend(&node->ready, &node->later);
    return true;
}

/* Requests that wait and may find something now, or have waited long enough, or whose peer has gone. */
static bool wake_some(struct hf_node *node)
{
    struct hf_waits *waits = &node->waits;
    struct hf_request *request;
    bool did = false;
    if (waits->count == 0) {
        return false;
    }
    if (atomic_exchange_explicit(&node->some_gone, false, memory_order_acq_rel)) {
        while ((request = hf_waits_gone(waits)) != NULL) {
            hf_node_count_in(node, request);
            hf_node_refuse(node, request, HF_ERR_NOT_READY);
            did = true;
        }
    }
    uint64_t now_us = hf_clock_now(&node->clock, node->outside);
    while (hf_node_has_room(node) &&
           (request = hf_waits_next(waits, &node->state, now_us)) != NULL) {
        hf_node_count_in(node, request);
        decide_request(node, request);
        did = true;
    }
    uint64_t monotonic_us = node->outside->monotonic_us(node->outside);
    bool ends = node->phase == HF_NODE_STOPPING;
    while ((request = hf_waits_expired(waits, ends ? UINT64_MAX : monotonic_us)) != NULL) {
        hf_node_count_in(node, request);
        if (ends) {
            hf_node_refuse(node, request, HF_ERR_NOT_READY);
        } else {
            decide_request(node,
                           request); /* its deadline is over: it finds something, or is empty */
        }
        did = true;
    }
    return did;
}

bool hf_node_decide_some(struct hf_node *node)
{
    struct hf_request *request;
    bool did = wake_some(node);
    while (hf_node_has_small_room(node) && (request = hf_node_next_request(node)) != NULL) {
        decide_request(node, request);
        did = true;
        if (node->phase != HF_NODE_LEADING && node->phase != HF_NODE_STOPPING) {
            return true;
        }
        if (hf_waits_are_stirred(&node->waits)) {
            (void)wake_some(node); /* before those that come later */
        }
    }
    return look_again_later(node) || did;
}

/* ---- the log ---- */

static void hand_over(struct hf_node *node)
{
    node->flight_batch = (struct hf_log_batch){
        .space = node->state.space,
        .seq = node->durable.seq + 1,
        .epoch = node->epoch,
        .first_position = node->flight.first_position,
        .commit_count = node->flight.commit_count,
        .hash_before = node->flight.hash_before,
        .hash_after = node->flight.hash_after,
        .body = node->flight.body.data,
        .body_bytes = node->flight.body.size_bytes,
    };
    node->outside->random(node->outside, node->flight_batch.batch_id,
                          sizeof(node->flight_batch.batch_id));
    node->log->driver->append_start(node->log, &node->flight_batch);
}

void hf_node_clear_batch(struct hf_batch *batch)
{
    hf_buffer_clear(&batch->body);
    batch->commit_count = 0;
    batch->full_bytes = 0;
    batch->outward = 0;
}

bool hf_node_start_append(struct hf_node *node)
{
    if (node->in_flight || node->building.commit_count == 0) {
        return false;
    }
    struct hf_batch spare = node->flight;
    node->flight = node->building;
    node->building = spare;
    hf_node_clear_batch(&node->building);
    node->in_flight = true;
    node->flight_us = node->outside->monotonic_us(node->outside);
    hf_node_freeze(node);
    hand_over(node);
    return true;
}

static void flight_is_durable(struct hf_node *node)
{
    struct hf_node_meter *meter = &node->meter;
    node->sync_us = node->outside->monotonic_us(node->outside) - node->flight_us;
    hf_histogram_add(&meter->sync_us, node->sync_us);
    hf_histogram_add(&meter->batch_commits, node->flight.commit_count);
    hf_tally_add(&meter->log_bytes, node->flight.body.size_bytes);
    node->durable.seq++;
    node->durable.position = node->flight.first_position + node->flight.commit_count - 1;
    node->durable.hash = node->flight.hash_after;
    node->durable.epoch = node->epoch;
    uint64_t outward = node->flight.outward;
    hf_node_clear_batch(&node->flight);
    node->in_flight = false;
    node->resolving = false;
    hf_tail_publish(node->tail, &node->state.recent, node->durable.position, node->durable.seq,
                    outward);
    hf_recent_trim(&node->state.recent, node->durable.position,
                   hf_node_memory_level(node) == HF_MEMORY_ROOM
                       ? node->limits.recent_bytes_max
                       : node->limits.recent_bytes_max / 4);
    node->counts.batches++;
}

/* The flight is not in the log and never will be: nobody saw the state that ran ahead. */
static void flight_is_void(struct hf_node *node)
{
    node->in_flight = false;
    node->resolving = false;
#ifdef HF_BUG_SHOW_RUN_AHEAD
    /* planted: goes on with the state that the log does not have */
    node->durable.position = node->state.position;
    hf_node_clear_batch(&node->flight);
    return;
#endif
    hf_node_rebuild(node);
}

static void disk_is_full(struct hf_node *node)
{
    node->read_only_until_us = node->outside->monotonic_us(node->outside) + READ_ONLY_RETRY_US;
    flight_is_void(node);
}

static void fail_log(struct hf_node *node, struct hf_error *error)
{
    hf_error_wrap(error, "append to the log");
    hf_node_fail(node, HF_NODE_FAILED, error);
}

static bool poll_append(struct hf_node *node)
{
    struct hf_error error = {0};
    switch (node->log->driver->append_poll(node->log, &error)) {
    case HF_APPEND_PENDING:
        return false;
    case HF_APPEND_OK:
        flight_is_durable(node);
        return true;
    case HF_APPEND_FENCED:
#ifdef HF_BUG_FENCED_IGNORED
        flight_is_durable(node);
        return true;
#endif
        /* Never stored: nothing of it has happened. */
        node->in_flight = false;
        hf_node_fail(node, HF_NODE_DEPOSED, &error);
        return true;
    case HF_APPEND_AMBIGUOUS:
#ifdef HF_BUG_AMBIGUOUS_IS_FAILURE
        flight_is_void(node);
        return true;
#endif
        node->resolving = true;
        node->log->driver->resolve_start(node->log, node->flight_batch.seq,
                                         node->flight_batch.batch_id);
        return true;
    case HF_APPEND_NO_SPACE:
        disk_is_full(node);
        return true;
    case HF_APPEND_FAILED:
        fail_log(node, &error);
        return true;
    }
    return false;
}

static bool poll_resolve(struct hf_node *node)
{
    struct hf_error error = {0};
    switch (node->log->driver->resolve_poll(node->log, &error)) {
    case HF_RESOLVE_PENDING:
        return false;
    case HF_RESOLVE_COMMITTED:
        flight_is_durable(node);
        return true;
    case HF_RESOLVE_NEVER:
        flight_is_void(node);
        return true;
    case HF_RESOLVE_RETRY:
        node->resolving = false;
        node->log->driver->append_start(node->log, &node->flight_batch);
        return true;
    case HF_RESOLVE_FENCED:
        hf_node_fail(node, HF_NODE_DEPOSED, &error);
        return true;
    }
    return false;
}

bool hf_node_poll_log(struct hf_node *node)
{
    bool did = false;
    if (node->read_only_until_us != 0 &&
        node->outside->monotonic_us(node->outside) >= node->read_only_until_us) {
        node->read_only_until_us = 0;
        hf_node_record_pending(node);
        did = true;
    }
    if (!node->in_flight) {
        return did;
    }
    return (node->resolving ? poll_resolve(node) : poll_append(node)) || did;
}

/* ---- answers ---- */

bool hf_node_release(struct hf_node *node)
{
    bool did = false;
    while (node->waiting.first != NULL) {
        const struct hf_request *first = node->waiting.first;
#ifndef HF_BUG_ANSWER_BEFORE_DURABLE
        if (first->answer.seen_position > node->durable.position) {
            break;
        }
#endif
        if (first->needs_confirm && first->order > node->confirmed_order) {
            break;
        }
        hf_node_answer(node, hf_list_pop(&node->waiting));
        did = true;
    }
    return did;
}
