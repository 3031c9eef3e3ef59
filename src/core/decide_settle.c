/* Ack, nack, extend and park: what is done with receipts, one in a commit's operation or a batch by itself. */
#include "base/check.h"
#include "core/decide_lines.h"

static bool is_batch(const struct hf_op *op)
{
    return op->type == HF_OP_ACK_BATCH;
}

static void refuse_item(const struct hf_act_item *act, enum hf_err code,
                        struct hf_settled_item *item)
{
    *item = (struct hf_settled_item){
        .code = code, .line = act->receipt.line, .number = act->receipt.number};
}

/* An ack may be repeated: it answers as then, and nothing changes. */
static enum hf_step repeat_ack(struct hf_deciding *d, struct hf_draft_subscription *s,
                               const struct hf_act_item *act, struct hf_settled_item *item)
{
    uint64_t position;
    struct hf_place message;
    enum hf_step step = hf_find_acked(d, s, &act->receipt, &position, &message);
    if (step != STEP_OK || position == 0) {
        return step;
    }
    d->repeats = position;
    *item = (struct hf_settled_item){
        .settlement = HF_SETTLED_ACKED,
        .line = act->receipt.line,
        .number = act->receipt.number,
        .message = message,
        .repeated = true,
        .token = act->receipt.token,
        .previous_position = position,
    };
    return STEP_OK;
}

/* Of a receipt that is live. */
static void settle(struct hf_deciding *d, struct hf_draft_subscription *s,
                   struct hf_draft_line *line, enum hf_act kind, const struct hf_act_item *act,
                   struct hf_settled_item *item)
{
    if (kind == HF_ACT_ACK) {
        hf_ack_first(s, line, item);
        return;
    }
    struct hf_failing failing = {
        .settlement = kind == HF_ACT_PARK ? HF_SETTLED_PARKED : HF_SETTLED_NACKED,
        .has_delay = act->has_delay,
        .delay_ms = act->delay_ms,
        .error = act->error,
    };
    hf_end_try(d, s, line, &failing, item);
}

/* item->code says whether it was refused. */
static enum hf_step decide_item(struct hf_deciding *d, struct hf_draft_subscription *s,
                                enum hf_act kind, const struct hf_act_item *act,
                                struct hf_settled_item *item)
{
    struct hf_draft_line *line;
    enum hf_err code;
#ifdef HF_BUG_STALE_ACK_ACCEPTED
    struct hf_act_item newest = *act;
    if (hf_draft_line(d, s, &act->receipt.line, &line) == STEP_OK && line != NULL) {
        newest.receipt.token = line->line.token; /* planted: whichever delivery it was of */
        act = &newest;
    }
#endif
    enum hf_step step = hf_find_receipt(d, s, &act->receipt, &line, &code);
    if (step == STEP_OK && code == HF_ERR_OK && act->receipt.number != line->line.first) {
        code = HF_ERR_ACK_OUT_OF_ORDER;
    }
    if (step != STEP_OK) {
        return step;
    }
    if (code == HF_ERR_OK) {
        settle(d, s, line, kind, act, item);
        return STEP_OK;
    }
    refuse_item(act, code, item);
    return kind == HF_ACT_ACK && code == HF_ERR_STALE_RECEIPT ? repeat_ack(d, s, act, item)
                                                              : STEP_OK;
}

/* Ack, nack, park. */
static enum hf_step settle_items(struct hf_deciding *d, const struct hf_op *op,
                                 struct hf_draft_subscription *s)
{
    const struct hf_queue_op *queue = op->queue;
    uint32_t effects = 0;
    struct hf_settled_item *items =
        hf_arena_alloc_zero(&d->draft->view.arena, queue->item_count, sizeof(*items));
    if (items == NULL) {
        return hf_short(d);
    }
    /* Items first: what they meet past its time is booked by an event before theirs. */
    for (uint32_t i = 0; i < queue->item_count; i++) {
        enum hf_step step = decide_item(d, s, queue->act, &queue->items[i], &items[i]);
        if (step != STEP_OK) {
            return step;
        }
        if (items[i].code != HF_ERR_OK && !is_batch(op)) {
            return hf_refuse(d, items[i].code, HF_KIND_SUBSCRIPTION, &op->subject);
        }
        effects += items[i].code == HF_ERR_OK && !items[i].repeated;
    }
    struct hf_event *event = hf_draft_event(d, HF_EVENT_MESSAGES_SETTLED);
    if (event == NULL) {
        return STEP_STOP;
    }
    event->settled = (struct hf_settled){
        .subscription = s->name,
        .uid = s->stored->uid,
        .batch = is_batch(op),
        .count = queue->item_count,
        .items = items,
    };
    d->idle_ops += effects == 0;
    return STEP_OK;
}

/* Each receipt's whole group gets its new deadline. */
static enum hf_step extend_items(struct hf_deciding *d, const struct hf_op *op,
                                 struct hf_draft_subscription *s)
{
    const struct hf_queue_op *queue = op->queue;
    uint32_t effects = 0;
    for (uint32_t i = 0; i < queue->item_count; i++) {
        const struct hf_receipt *receipt = &queue->items[i].receipt;
        struct hf_draft_line *line;
        enum hf_err code;
        enum hf_step step = hf_find_receipt(d, s, receipt, &line, &code);
        struct hf_event *event =
            step == STEP_OK ? hf_draft_event(d, HF_EVENT_DELIVERY_EXTENDED) : NULL;
        if (event == NULL) {
            return STEP_STOP;
        }
        event->extended = (struct hf_extended){
            .subscription = s->name,
            .uid = s->stored->uid,
            .line = receipt->line,
            .number = receipt->number,
            .code = code,
        };
        if (code == HF_ERR_OK) {
            line->line.lease_ms = op->timeout_ms;
            line->line.due_us = d->time_us + op->timeout_ms * 1000;
            event->extended.token = receipt->token;
            event->extended.lease_ms = op->timeout_ms;
            event->extended.deadline_us = line->line.due_us;
            effects++;
        }
    }
    d->idle_ops += effects == 0;
    return STEP_OK;
}

enum hf_step hf_decide_act(struct hf_deciding *d, const struct hf_op *op)
{
    struct hf_draft_subscription *s;
    enum hf_step step = hf_draft_subscription(d, &op->subject, &s);
    if (step != STEP_OK) {
        return step;
    }
    if (s == NULL) {
        return hf_refuse(d, HF_ERR_SUBSCRIPTION_NOT_FOUND, HF_KIND_NONE, NULL);
    }
    return op->queue->act == HF_ACT_EXTEND ? extend_items(d, op, s) : settle_items(d, op, s);
}
