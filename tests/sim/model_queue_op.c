/* What the operations on topics and subscriptions do. */
#include "sim/model_queue_priv.h"

static enum hf_err about(struct hf_model_turn *turn, struct hf_model_thing *thing, enum hf_err code)
{
    turn->culprit = thing;
    return code;
}

/* ---- topics ---- */

static enum hf_err publish(struct hf_model_turn *turn, const struct hf_op *op)
{
    struct hf_model *model = turn->model;
    const struct hf_queue_op *queue = op->queue;
    if (op->has_id && hf_model_find(model, HF_KIND_MESSAGE, &op->id) != NULL) {
        return HF_ERR_MESSAGE_EXISTS; /* named twice */
    }
    bool later = queue->has_deliver_at && queue->deliver_at_us > turn->time_us;
    if (later && queue->deliver_at_us - turn->time_us > HF_MESSAGE_DELAY_US_MAX) {
        return HF_ERR_LIMIT_EXCEEDED;
    }
    struct hf_event *event = hf_model_event(model, HF_EVENT_MESSAGE_PUBLISHED, turn->op_index);
    struct hf_hash hash = hf_sha256(queue->key.ptr, queue->key.len);
    event->published = (struct hf_published){.topic = op->subject,
                                             .key = queue->key,
                                             .type = op->type_text,
                                             .has_id = op->has_id,
                                             .deliver_at_us = later ? queue->deliver_at_us : 0,
                                             .data.text = op->data.text};
    memcpy(event->published.key_hash.bytes, hash.bytes, sizeof(event->published.key_hash.bytes));
    if (op->has_id) {
        struct hf_model_thing *made =
            hf_model_make(model, HF_KIND_MESSAGE, &op->id, turn->position, turn->time_us);
        made->op_index = turn->op_index;
        made->message = (struct hf_message){
            .name = made->name,
            .topic = hf_model_copy_name(&model->arena, &op->subject),
            .key = hf_model_copy(&model->arena, queue->key),
            .position = turn->position,
            .index = model->answer.event_count - 1,
        };
        event->published.id = made->name;
    }
    return HF_ERR_OK;
}

/* ---- receipts ---- */

/* Was it out with this receipt? */
static bool is_of(const struct hf_naive_message *message, const struct hf_receipt *receipt)
{
    return message->token == receipt->token && message->out_number == receipt->number &&
           memcmp(message->out_line.bytes, receipt->line.bytes, sizeof(receipt->line.bytes)) == 0;
}

/* The message that the receipt is about, whatever has become of it since; NULL: never delivered so. */
static struct hf_naive_message *message_of(const struct hf_naive_subscription *subscription,
                                           const struct hf_receipt *receipt)
{
    struct hf_place place = {.position = receipt->position, .index = receipt->index};
    struct hf_naive_message *message =
        subscription->uid != receipt->uid ? NULL : hf_naive_message(subscription, &place);
    return message != NULL && is_of(message, receipt) ? message : NULL;
}

/* The message if its newest event, though it be from before a seek, is the ack of this very receipt. */
static struct hf_naive_message *acked_by(const struct hf_naive_subscription *subscription,
                                         const struct hf_receipt *receipt)
{
    struct hf_place place = {.position = receipt->position, .index = receipt->index};
    struct hf_naive_message *message =
        subscription->uid != receipt->uid ? NULL : hf_naive_message(subscription, &place);
    while (message != NULL && message->newest == 0) {
        message = message->before;
    }
    return message != NULL && message->at == HF_NAIVE_ACKED && is_of(message, receipt) ? message
                                                                                       : NULL;
}

static bool is_live(const struct hf_naive_message *message)
{
    return message != NULL && message->at == HF_NAIVE_OUT;
}

static enum hf_err check_receipt(const struct hf_naive_message *message)
{
    if (!is_live(message)) {
        return HF_ERR_STALE_RECEIPT;
    }
    return message->line->first == message ? HF_ERR_OK : HF_ERR_ACK_OUT_OF_ORDER;
}

enum hf_err hf_naive_condition(struct hf_model_turn *turn, const struct hf_condition *condition)
{
    struct hf_naive_subscription *subscription = hf_naive_find(turn->model, &condition->subject);
    if (subscription == NULL) {
        return HF_ERR_CONDITION_FAILED;
    }
    return is_live(message_of(subscription, condition->receipt))
               ? HF_ERR_OK
               : about(turn, subscription->thing, HF_ERR_CONDITION_FAILED);
}

static struct hf_settled_item refused_item(const struct hf_receipt *receipt, enum hf_err code)
{
    return (struct hf_settled_item){.code = code, .line = receipt->line, .number = receipt->number};
}

static struct hf_settled_item repeated_item(const struct hf_naive_message *message)
{
    return (struct hf_settled_item){.settlement = HF_SETTLED_ACKED,
                                    .code = HF_ERR_OK,
                                    .line = message->out_line,
                                    .number = message->out_number,
                                    .message = message->place,
                                    .repeated = true,
                                    .token = message->token,
                                    .previous_position = message->newest};
}

/* One item of ack, nack or park. */
static struct hf_settled_item settle(struct hf_model_turn *turn,
                                     struct hf_naive_subscription *subscription, enum hf_act act,
                                     const struct hf_act_item *asked, uint64_t *jitter_us)
{
    struct hf_naive_message *message = message_of(subscription, &asked->receipt);
    *jitter_us = 0;
    const struct hf_naive_message *acked = acked_by(subscription, &asked->receipt);
    if (act == HF_ACT_ACK && acked != NULL) {
        turn->model->counts.queue.acked_again++;
        turn->repeats = acked->newest;
        return repeated_item(acked);
    }
    enum hf_err code = check_receipt(message);
    if (code != HF_ERR_OK) {
        return refused_item(&asked->receipt, code);
    }
    if (act == HF_ACT_ACK) {
        return hf_naive_ack(turn, subscription, message);
    }
    struct hf_naive_failure failure = {.settlement = act == HF_ACT_PARK ? HF_SETTLED_PARKED
                                                                        : HF_SETTLED_NACKED,
                                       .has_delay = asked->has_delay,
                                       .delay_ms = asked->delay_ms,
                                       .error = asked->error};
    struct hf_settled_item item = hf_naive_fail(turn, subscription, message, &failure);
    turn->model->counts.queue.nacked += act == HF_ACT_NACK;
    turn->model->counts.queue.parked_by_request += act == HF_ACT_PARK;
    *jitter_us = message->at == HF_NAIVE_BACKING_OFF ? message->line->jitter_us : 0;
    return item;
}

/* Of one receipt, in a commit. */
static enum hf_err settle_one(struct hf_model_turn *turn,
                              struct hf_naive_subscription *subscription, const struct hf_op *op)
{
    uint64_t jitter_us;
    struct hf_settled_item item =
        settle(turn, subscription, op->queue->act, &op->queue->items[0], &jitter_us);
    if (item.code != HF_ERR_OK) {
        return about(turn, subscription->thing, item.code);
    }
    turn->idle_ops += item.repeated;
    struct hf_event *event = hf_naive_settled_event(turn->model, subscription, turn->op_index, 1);
    hf_naive_add_item(&event->settled, &item, jitter_us);
    return HF_ERR_OK;
}

static bool extend(struct hf_model_turn *turn, struct hf_naive_subscription *subscription,
                   const struct hf_op *op, const struct hf_act_item *asked)
{
    struct hf_model *model = turn->model;
    struct hf_naive_message *message = message_of(subscription, &asked->receipt);
    struct hf_event *event = hf_model_event(model, HF_EVENT_DELIVERY_EXTENDED, turn->op_index);
    event->extended = (struct hf_extended){.subscription = subscription->name,
                                           .uid = subscription->uid,
                                           .line = asked->receipt.line,
                                           .number = asked->receipt.number};
    if (!is_live(message)) {
        event->extended.code = HF_ERR_STALE_RECEIPT;
        model->counts.queue.extended_refused++;
        return false;
    }
    HF_MODEL_TOUCH(model, message->line);
    message->line->lease_ms = op->timeout_ms;
    message->line->due_us = turn->time_us + op->timeout_ms * 1000;
    event->extended.token = message->token;
    event->extended.lease_ms = op->timeout_ms;
    event->extended.deadline_us = message->line->due_us;
    model->counts.queue.extended++;
    return true;
}

static enum hf_err batch(struct hf_model_turn *turn, struct hf_naive_subscription *subscription,
                         const struct hf_op *op)
{
    const struct hf_queue_op *queue = op->queue;
    uint32_t effects = 0;
    if (queue->act == HF_ACT_EXTEND) {
        for (uint32_t i = 0; i < queue->item_count; i++) {
            effects += extend(turn, subscription, op, &queue->items[i]);
        }
        turn->idle_ops += effects == 0;
        return HF_ERR_OK;
    }
    struct hf_event *event =
        hf_naive_settled_event(turn->model, subscription, turn->op_index, queue->item_count);
    event->settled.batch = true;
    for (uint32_t i = 0; i < queue->item_count; i++) {
        uint64_t jitter_us;
        struct hf_settled_item item =
            settle(turn, subscription, queue->act, &queue->items[i], &jitter_us);
        turn->model->counts.queue.item_refused += item.code != HF_ERR_OK;
        hf_naive_add_item(&event->settled, &item, jitter_us);
        effects += item.code == HF_ERR_OK && !item.repeated;
    }
    turn->idle_ops += effects == 0;
    return HF_ERR_OK;
}

/* ---- receive ---- */

static enum hf_err receive(struct hf_model_turn *turn, struct hf_naive_subscription *subscription,
                           const struct hf_op *op)
{
    struct hf_model *model = turn->model;
    struct hf_delivery *deliveries;
    uint64_t lease_ms = op->has_timeout ? op->timeout_ms : subscription->settings.lease_ms;
    uint32_t count = hf_naive_deliver(turn, subscription, op->queue->max, lease_ms, &deliveries);
    if (count == 0) {
        model->counts.queue.receives_empty++;
        model->answer.event_count = 0; /* what is due is left to the timer */
        turn->idle_ops++;
        return HF_ERR_OK;
    }
    struct hf_event *event = hf_model_event(model, HF_EVENT_MESSAGES_DELIVERED, turn->op_index);
    event->delivered = (struct hf_delivered){.subscription = subscription->name,
                                             .uid = subscription->uid,
                                             .consumer = op->queue->consumer,
                                             .lease_ms = lease_ms,
                                             .deadline_us = turn->time_us + lease_ms * 1000,
                                             .count = count,
                                             .deliveries = deliveries};
    return HF_ERR_OK;
}

/* ---- dead letters ---- */

static enum hf_err discard(struct hf_model_turn *turn, struct hf_naive_subscription *subscription,
                           struct hf_naive_line **lines, size_t count)
{
    struct hf_event *event =
        hf_naive_settled_event(turn->model, subscription, turn->op_index, count);
    for (size_t i = 0; i < count; i++) {
        struct hf_settled_item item = hf_naive_discard(turn, subscription, lines[i]);
        hf_naive_add_item(&event->settled, &item, 0);
    }
    return HF_ERR_OK;
}

static void redrive_lines(struct hf_model_turn *turn, struct hf_naive_subscription *subscription,
                          struct hf_naive_line **lines, size_t count)
{
    struct hf_model *model = turn->model;
    struct hf_id *ids = hf_arena_alloc_zero(&model->scratch, count + 1, sizeof(*ids));
    HF_CHECK(ids != NULL);
    for (size_t i = 0; i < count; i++) {
        ids[i] = lines[i]->id;
        hf_naive_redrive(model, subscription, lines[i]);
    }
    struct hf_event *event = hf_model_event(model, HF_EVENT_MESSAGES_REDRIVEN, turn->op_index);
    event->redriven = (struct hf_redriven){.subscription = subscription->name,
                                           .uid = subscription->uid,
                                           .step = HF_REDRIVE_MOVED,
                                           .count = (uint32_t)count,
                                           .lines = ids};
}

static enum hf_err start_task(struct hf_model_turn *turn,
                              struct hf_naive_subscription *subscription,
                              const struct hf_redrive *asked)
{
    struct hf_model *model = turn->model;
    if (subscription->redrive.active) {
        return about(turn, subscription->thing, HF_ERR_CONDITION_FAILED);
    }
    HF_MODEL_TOUCH(model, subscription);
    subscription->redrive =
        (struct hf_naive_task){.active = true,
                               .rate_per_s = asked->rate_per_s,
                               .error_filter = hf_model_copy(&model->arena, asked->error_filter),
                               .until_order = subscription->orders,
                               .started_us = turn->time_us,
                               .total = subscription->parked};
    struct hf_event *event = hf_model_event(model, HF_EVENT_MESSAGES_REDRIVEN, turn->op_index);
    event->redriven = (struct hf_redriven){.subscription = subscription->name,
                                           .uid = subscription->uid,
                                           .step = HF_REDRIVE_STARTED,
                                           .rate_per_s = asked->rate_per_s,
                                           .error_filter = subscription->redrive.error_filter,
                                           .total = subscription->parked};
    model->counts.queue.redrive_started++;
    return HF_ERR_OK;
}

/* Of the dead letters those that are asked for. */
static size_t choose(struct hf_model *model, const struct hf_naive_subscription *subscription,
                     const struct hf_redrive *asked, struct hf_naive_line ***lines)
{
    size_t all = hf_naive_parked(model, subscription, lines);
    size_t count = 0;
    for (size_t i = 0; i < all; i++) {
        struct hf_naive_line *line = (*lines)[i];
        const struct hf_naive_message *first = line->first;
        bool wanted = hf_naive_error_wanted(line, asked->error_filter);
        if (asked->what == HF_REDRIVE_MESSAGE) {
            wanted = first->place.position == asked->position && first->place.index == asked->index;
        } else if (asked->what == HF_REDRIVE_KEY) {
            wanted = memcmp(first->key_hash.bytes, asked->key_hash.bytes,
                            sizeof(asked->key_hash.bytes)) == 0;
        }
        if (wanted) {
            (*lines)[count++] = line;
        }
    }
    return count;
}

/* An operation that changes nothing: a commit of such ones is not recorded. */
static enum hf_err idle(struct hf_model_turn *turn)
{
    turn->idle_ops++;
    return HF_ERR_OK;
}

static enum hf_err redrive(struct hf_model_turn *turn, struct hf_naive_subscription *subscription,
                           const struct hf_op *op)
{
    struct hf_model *model = turn->model;
    const struct hf_redrive *asked = &op->queue->redrive;
    struct hf_naive_line **lines;
    if (asked->what == HF_REDRIVE_CANCEL) {
        if (!subscription->redrive.active) {
            redrive_lines(turn, subscription, NULL, 0); /* nothing is left to cancel */
            return HF_ERR_OK;
        }
        HF_MODEL_TOUCH(model, subscription);
        subscription->redrive = (struct hf_naive_task){0};
        struct hf_event *event = hf_model_event(model, HF_EVENT_MESSAGES_REDRIVEN, turn->op_index);
        event->redriven = (struct hf_redriven){.subscription = subscription->name,
                                               .uid = subscription->uid,
                                               .step = HF_REDRIVE_CANCELLED};
        model->counts.queue.redrive_cancelled++;
        return HF_ERR_OK;
    }
    if (asked->what == HF_REDRIVE_ALL && asked->rate_per_s > 0) {
        return start_task(turn, subscription, asked);
    }
    size_t count = choose(model, subscription, asked, &lines);
    if (count == 0 && asked->what == HF_REDRIVE_MESSAGE) {
        return HF_ERR_MESSAGE_NOT_FOUND;
    }
    if (asked->discard && count > 0) {
        return discard(turn, subscription, lines, count);
    }
    redrive_lines(turn, subscription, lines, count);
    model->counts.queue.redriven_one += asked->what == HF_REDRIVE_MESSAGE;
    model->counts.queue.redriven_key += asked->what == HF_REDRIVE_KEY;
    model->counts.queue.redriven_all += asked->what == HF_REDRIVE_ALL;
    return HF_ERR_OK;
}

/* ---- subscriptions themselves ---- */

static enum hf_err expected(struct hf_model_turn *turn, struct hf_naive_subscription *subscription,
                            const struct hf_op *op)
{
    uint64_t version = subscription == NULL ? 0 : subscription->version;
    if (!op->has_expected_version || op->expected_version == version) {
        return HF_ERR_OK;
    }
    return about(turn, subscription == NULL ? NULL : subscription->thing, HF_ERR_CONDITION_FAILED);
}

/* Arrivals up to here don't count. */
static uint64_t seen_by(const struct hf_model_turn *turn, const struct hf_seek *seek)
{
    uint64_t head = turn->position - 1;
    if (seek->kind == HF_SEEK_BEGINNING) {
        return 0;
    }
    return seek->kind == HF_SEEK_NOW || seek->position > head ? head : seek->position;
}

static struct hf_subscription_change *change(struct hf_model_turn *turn, enum hf_event_type type,
                                             const struct hf_naive_subscription *subscription)
{
    struct hf_subscription_change *made =
        hf_arena_alloc_zero(&turn->model->scratch, 1, sizeof(*made));
    HF_CHECK(made != NULL);
    struct hf_event *event = hf_model_event(turn->model, type, turn->op_index);
    event->subscription = made;
    made->subscription = subscription->name;
    made->uid = subscription->uid;
    made->version = subscription->version;
    made->settings = subscription->settings;
    return made;
}

static void set_version(struct hf_model_turn *turn, struct hf_naive_subscription *subscription,
                        uint64_t version)
{
    HF_MODEL_TOUCH(turn->model, subscription->thing);
    subscription->version = version;
    subscription->thing->subscription =
        (struct hf_subscription_head){.name = subscription->name,
                                      .uid = subscription->uid,
                                      .version = version,
                                      .modified_at_us = turn->time_us};
}

static void go_to(struct hf_model_turn *turn, struct hf_naive_subscription *subscription,
                  uint64_t scanned)
{
    subscription->scanned = scanned;
    subscription->live = scanned + 1 == turn->position;
}

static enum hf_err create(struct hf_model_turn *turn, const struct hf_op *op)
{
    struct hf_model *model = turn->model;
    struct hf_naive_subscription *made = hf_arena_alloc_zero(&model->arena, 1, sizeof(*made));
    HF_CHECK(made != NULL);
    made->messages =
        hf_arena_alloc_zero(&model->arena, HF_NAIVE_BUCKETS, sizeof(struct hf_naive_message *));
    HF_CHECK(made->messages != NULL);
    made->name = hf_model_copy_name(&model->arena, &op->subject);
    made->uid = turn->position;
    made->settings = op->queue->settings;
    hf_naive_keep_settings(&model->arena, &made->settings);
    made->created_at_us = turn->time_us;
    made->from = seen_by(turn, &op->queue->seek);
    made->thing = hf_arena_alloc_zero(&model->arena, 1, sizeof(*made->thing));
    HF_CHECK(made->thing != NULL);
    made->thing->kind = HF_KIND_SUBSCRIPTION;
    set_version(turn, made, 1);
    go_to(turn, made, made->from);
    for (const struct hf_naive_subscription *at = model->queue.subscriptions; at != NULL;
         at = at->next) {
        if (hf_str_equal(at->name.text, made->name.text)) {
            model->counts.queue.recreated++;
            break;
        }
    }
    hf_model_touch_bytes(model, &model->queue.subscriptions,
                         sizeof(struct hf_naive_subscription *));
    made->next = model->queue.subscriptions;
    model->queue.subscriptions = made;
    change(turn, HF_EVENT_SUBSCRIPTION_PUT, made)->scanned = made->from;
    model->counts.queue.created++;
    return HF_ERR_OK;
}

static bool same_from(const struct hf_naive_subscription *subscription, const struct hf_seek *from)
{
    if (from->kind == HF_SEEK_BEGINNING) {
        return subscription->from == 0;
    }
    if (from->kind != HF_SEEK_POSITION) {
        return true;
    }
    /* What was not there yet when it was made could not be begun at. */
    uint64_t head_then = subscription->uid - 1;
    return subscription->from == (from->position < head_then ? from->position : head_then);
}

static enum hf_err put(struct hf_model_turn *turn, struct hf_naive_subscription *subscription,
                       const struct hf_op *op)
{
    struct hf_model *model = turn->model;
    const struct hf_subscription_settings *settings = &op->queue->settings;
    enum hf_err code = expected(turn, subscription, op);
    if (code != HF_ERR_OK) {
        return code;
    }
    if (subscription == NULL) {
        return create(turn, op);
    }
    struct hf_subscription_settings *kept = &subscription->settings;
    if (!hf_naive_same_filter(&kept->filter, &settings->filter) || kept->order != settings->order ||
        (!op->has_expected_version && !same_from(subscription, &op->queue->seek))) {
        return about(turn, subscription->thing, HF_ERR_SUBSCRIPTION_EXISTS);
    }
    if (hf_naive_same_settings(kept, settings)) {
        model->counts.queue.put_again++;
        return idle(turn);
    }
    if (!op->has_expected_version) {
        return about(turn, subscription->thing, HF_ERR_PRECONDITION_REQUIRED);
    }
    HF_MODEL_TOUCH(model, subscription);
    struct hf_filter filter = kept->filter;
    uint32_t lines_max = kept->lines_max;
    *kept = *settings;
    kept->filter = filter;
    kept->lines_max = lines_max;
    set_version(turn, subscription, subscription->version + 1);
    (void)change(turn, HF_EVENT_SUBSCRIPTION_PUT, subscription);
    model->counts.queue.changed++;
    return HF_ERR_OK;
}

static enum hf_err delete_it(struct hf_model_turn *turn, struct hf_naive_subscription *subscription,
                             const struct hf_op *op)
{
    enum hf_err code = expected(turn, subscription, op);
    if (code != HF_ERR_OK || subscription == NULL) {
        return code != HF_ERR_OK ? code : HF_ERR_SUBSCRIPTION_NOT_FOUND;
    }
    HF_MODEL_TOUCH(turn->model, subscription);
    subscription->gone = true;
    (void)change(turn, HF_EVENT_SUBSCRIPTION_DELETED, subscription);
    turn->model->counts.queue.deleted++;
    return HF_ERR_OK;
}

/* All lines go; what comes again comes as if for the first time. */
static enum hf_err seek(struct hf_model_turn *turn, struct hf_naive_subscription *subscription,
                        const struct hf_op *op)
{
    struct hf_model *model = turn->model;
    enum hf_err code = expected(turn, subscription, op);
    if (code != HF_ERR_OK || subscription == NULL) {
        return code != HF_ERR_OK ? code : HF_ERR_SUBSCRIPTION_NOT_FOUND;
    }
    HF_MODEL_TOUCH(model, subscription);
    for (struct hf_naive_line *line = subscription->lines; line != NULL; line = line->next) {
        for (struct hf_naive_message *at = line->first; at != NULL; at = at->behind) {
            HF_MODEL_TOUCH(model, at);
            at->at = HF_NAIVE_FORGOTTEN;
            at->line = NULL;
            subscription->ended++;
        }
    }
    subscription->lines = NULL;
    subscription->line_count = 0;
    subscription->in_flight = 0;
    subscription->parked = 0;
    subscription->redrive = (struct hf_naive_task){0};
    set_version(turn, subscription, subscription->version + 1);
    go_to(turn, subscription, seen_by(turn, &op->queue->seek));
    change(turn, HF_EVENT_SUBSCRIPTION_SOUGHT, subscription)->scanned = subscription->scanned;
    model->counts.queue.sought++;
    return HF_ERR_OK;
}

/* ---- all of them ---- */

enum hf_err hf_naive_operate(struct hf_model_turn *turn, const struct hf_op *op)
{
    if (op->type == HF_OP_PUBLISH) {
        return publish(turn, op);
    }
    struct hf_naive_subscription *subscription = hf_naive_find(turn->model, &op->subject);
    if (op->type == HF_OP_PUT_SUBSCRIPTION) {
        return put(turn, subscription, op);
    }
    if (op->type == HF_OP_DELETE_SUBSCRIPTION) {
        return delete_it(turn, subscription, op);
    }
    if (op->type == HF_OP_SEEK) {
        return seek(turn, subscription, op);
    }
    if (subscription == NULL) {
        return HF_ERR_SUBSCRIPTION_NOT_FOUND;
    }
    switch ((int)op->type) {
    case HF_OP_ACK:
    case HF_OP_NACK:
        return settle_one(turn, subscription, op);
    case HF_OP_ACK_BATCH:
        return batch(turn, subscription, op);
    case HF_OP_RECEIVE:
        return receive(turn, subscription, op);
    default:
        return redrive(turn, subscription, op);
    }
}

void hf_naive_book(struct hf_model_turn *turn, const struct hf_name *name)
{
    struct hf_naive_subscription *subscription = hf_naive_find(turn->model, name);
    if (subscription == NULL) {
        return;
    }
    const struct hf_event *event = hf_naive_time_out(turn, subscription, SIZE_MAX);
    turn->model->counts.queue.timed_out_first += event == NULL ? 0 : event->settled.count;
}
