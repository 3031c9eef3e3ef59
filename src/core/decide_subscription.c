/* Subscriptions made, changed, sought, deleted; and what every operation on them has in common. */
#include "base/check.h"
#include "core/decide_lines.h"

/* ---- made, changed, sought, deleted ---- */

static enum hf_step not_found(struct hf_deciding *d)
{
    return hf_refuse(d, HF_ERR_SUBSCRIPTION_NOT_FOUND, HF_KIND_NONE, NULL);
}

/* Finds it and tests expected_version (0: it does not exist). *stored NULL: there is none. */
static enum hf_step expected(struct hf_deciding *d, const struct hf_op *op,
                             const struct hf_subscription **stored)
{
    struct hf_draft_subscription *s;
    enum hf_step step = hf_draft_subscription(d, &op->subject, &s);
    if (step != STEP_OK) {
        return step;
    }
    *stored = s == NULL ? NULL : s->stored;
    uint64_t version = s == NULL ? 0 : s->stored->version;
    if (op->has_expected_version && op->expected_version != version) {
        return hf_refuse(d, HF_ERR_CONDITION_FAILED, HF_KIND_SUBSCRIPTION, &op->subject);
    }
    return STEP_OK;
}

/* Everything up to here has been seen by a subscription that begins or goes there. */
static uint64_t sought_position(const struct hf_deciding *d, const struct hf_seek *seek)
{
    uint64_t head = d->state->position;
    switch (seek->kind) {
    case HF_SEEK_BEGINNING:
        return 0;
    case HF_SEEK_NOW:
        return head;
    case HF_SEEK_POSITION:
    case HF_SEEK_TIME:
        return hf_min_u64(seek->position, head);
    }
    HF_CHECK(false);
    return head;
}

static enum hf_step change(struct hf_deciding *d, enum hf_event_type type,
                           const struct hf_subscription_change *change)
{
    struct hf_event *event = hf_draft_event(d, type);
    struct hf_subscription_change *copy = hf_arena_alloc(&d->draft->view.arena, sizeof(*copy));
    if (event == NULL || copy == NULL) {
        return hf_short(d);
    }
    *copy = *change;
    event->subscription = copy;
    return STEP_OK;
}

static bool same_numbers(const struct hf_subscription_settings *a,
                         const struct hf_subscription_settings *b)
{
    return a->exhausted == b->exhausted && a->attempts_max == b->attempts_max &&
           a->lease_ms == b->lease_ms && a->backoff_first_ms == b->backoff_first_ms &&
           a->backoff_max_ms == b->backoff_max_ms && a->in_flight_max == b->in_flight_max;
}

/* Was it made to begin there? Only what does not depend on when it was asked can be compared. A position beyond the
 * head was the head: that of the commit before the one that made it. */
static bool same_from(const struct hf_subscription *stored, const struct hf_seek *from)
{
    return from->kind == HF_SEEK_BEGINNING ? stored->from == 0
           : from->kind == HF_SEEK_POSITION
               ? stored->from == hf_min_u64(from->position, stored->uid - 1)
               : true;
}

/* Its endpoint answered that it is gone: the push stays, and sends nothing until a PUT enables it. */
static enum hf_step disable_push(struct hf_deciding *d, const struct hf_op *op,
                                 const struct hf_subscription *stored)
{
    if (stored == NULL) {
        return not_found(d);
    }
    if (stored->settings.push == NULL || stored->settings.push->disabled_us != 0) {
        d->idle_ops++;
        return STEP_OK;
    }
    struct hf_push *push = hf_arena_alloc(&d->draft->view.arena, sizeof(*push));
    if (push == NULL) {
        return hf_short(d);
    }
    *push = *stored->settings.push;
    push->disabled_us = d->time_us;
    push->disabled_reason = op->queue->disable_reason;
    struct hf_subscription_change put = {
        .subscription = op->subject,
        .uid = stored->uid,
        .version = stored->version + 1,
        .settings = stored->settings,
    };
    put.settings.push = push;
    return change(d, HF_EVENT_SUBSCRIPTION_PUT, &put);
}

static bool is_disabled(const struct hf_subscription *stored)
{
    return stored->settings.push != NULL && stored->settings.push->disabled_us != 0;
}

static enum hf_step put(struct hf_deciding *d, const struct hf_op *op)
{
    const struct hf_subscription *stored;
    const struct hf_subscription_settings *settings = &op->queue->settings;
    enum hf_step step = expected(d, op, &stored);
    if (step != STEP_OK) {
        return step;
    }
    if (hf_str_present(op->queue->disable_reason)) {
        return disable_push(d, op, stored);
    }
    struct hf_subscription_change put = {.subscription = op->subject, .settings = *settings};
    if (stored == NULL) {
        put.uid = d->position;
        put.version = 1;
        put.scanned = sought_position(d, &op->queue->seek);
        return change(d, HF_EVENT_SUBSCRIPTION_PUT, &put);
    }
    if (!hf_filter_equal(&stored->settings.filter, &settings->filter) ||
        stored->settings.order != settings->order ||
        (!op->has_expected_version && !same_from(stored, &op->queue->seek))) {
        return hf_refuse(d, HF_ERR_SUBSCRIPTION_EXISTS, HF_KIND_SUBSCRIPTION, &op->subject);
    }
    /* The same again leaves a disabled push as it is; tied to the version it enables it. */
    if (same_numbers(&stored->settings, settings) &&
        hf_push_equal(stored->settings.push, settings->push) &&
        !(op->has_expected_version && is_disabled(stored))) {
        d->idle_ops++;
        return STEP_OK;
    }
    if (!op->has_expected_version) {
        return hf_refuse(d, HF_ERR_PRECONDITION_REQUIRED, HF_KIND_SUBSCRIPTION, &op->subject);
    }
    put.uid = stored->uid;
    put.version = stored->version + 1;
    put.settings.lines_max = stored->settings.lines_max;
    return change(d, HF_EVENT_SUBSCRIPTION_PUT, &put);
}

static enum hf_step delete_one(struct hf_deciding *d, const struct hf_op *op)
{
    const struct hf_subscription *stored;
    enum hf_step step = expected(d, op, &stored);
    if (step != STEP_OK) {
        return step;
    }
    if (stored == NULL) {
        return not_found(d);
    }
    struct hf_subscription_change deleted = {
        .subscription = op->subject, .uid = stored->uid, .version = stored->version};
    return change(d, HF_EVENT_SUBSCRIPTION_DELETED, &deleted);
}

static enum hf_step seek(struct hf_deciding *d, const struct hf_op *op)
{
    const struct hf_subscription *stored;
    enum hf_step step = expected(d, op, &stored);
    if (step != STEP_OK) {
        return step;
    }
    if (stored == NULL) {
        return not_found(d);
    }
    struct hf_subscription_change sought = {
        .subscription = op->subject,
        .uid = stored->uid,
        .version = stored->version + 1,
        .scanned = sought_position(d, &op->queue->seek),
    };
    return change(d, HF_EVENT_SUBSCRIPTION_SOUGHT, &sought);
}

enum hf_step hf_decide_subscription_op(struct hf_deciding *d, const struct hf_op *op)
{
    switch ((unsigned)op->type) {
    case HF_OP_PUT_SUBSCRIPTION:
        return put(d, op);
    case HF_OP_DELETE_SUBSCRIPTION:
        return delete_one(d, op);
    case HF_OP_SEEK:
        return seek(d, op);
    case HF_OP_RECEIVE:
        return hf_decide_receive(d, op);
    case HF_OP_REDRIVE:
        return hf_decide_redrive(d, op);
    default:
        HF_CHECK(op->type == HF_OP_ACK || op->type == HF_OP_NACK || op->type == HF_OP_ACK_BATCH);
        return hf_decide_act(d, op);
    }
}

/* ---- conditions and what is gathered ---- */

enum hf_step hf_test_receipt(struct hf_deciding *d, const struct hf_condition *condition)
{
    struct hf_draft_subscription *s;
    struct hf_draft_line *line;
    enum hf_err code = HF_ERR_STALE_RECEIPT;
    enum hf_step step = hf_draft_subscription(d, &condition->subject, &s);
    if (step == STEP_OK && s != NULL) {
        step = hf_find_receipt(d, s, condition->receipt, &line, &code);
    }
    if (step != STEP_OK || code == HF_ERR_OK) {
        return step;
    }
    return hf_refuse(d, HF_ERR_CONDITION_FAILED, HF_KIND_SUBSCRIPTION, &condition->subject);
}

/* Receipts that are not live any more: perhaps they were acked with this token. */
static bool may_be_live(const struct hf_subscription *stored, const struct hf_receipt *receipt)
{
    const struct hf_line *line = hf_subscription_line(stored, &receipt->line);
    return receipt->uid == stored->uid && line != NULL && line->token == receipt->token &&
           receipt->number >= line->first && receipt->number < line->next;
}

void hf_gather_subscription(struct hf_deciding *d, const struct hf_op *op)
{
    const struct hf_subscription *stored = hf_queue_subscription(&d->state->queue, &op->subject.id);
    if (stored == NULL || op->queue == NULL) {
        return;
    }
    bool acks =
        op->type == HF_OP_ACK || (op->type == HF_OP_ACK_BATCH && op->queue->act == HF_ACT_ACK);
    for (uint32_t i = 0; acks && i < op->queue->item_count; i++) {
        const struct hf_receipt *receipt = &op->queue->items[i].receipt;
        struct hf_id id = hf_pair_id(receipt->uid, receipt->position);
        struct hf_index_value value;
        if (receipt->uid == stored->uid && !may_be_live(stored, receipt) &&
            hf_view_lookup(&d->draft->view, HF_INDEX_DELIVERY, &id, receipt->index, &value) ==
                HF_LOOKUP_PRESENT) {
            (void)hf_view_commit(&d->draft->view, value.position);
        }
    }
}
