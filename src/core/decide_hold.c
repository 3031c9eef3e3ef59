/* Holds: reserve, capture, void, extend, expire. */
#include "base/check.h"
#include "core/decide_priv.h"

/* What a packed record carries for its sender. */
static void take_packed(const struct hf_op *op, struct hf_transfer *transfer)
{
    memcpy(transfer->user_data, op->user_data, sizeof(transfer->user_data));
    transfer->code = op->code;
}

/* The id that a record gives its capture or void; it must be new in this commit, too. */
static enum hf_step check_act(struct hf_deciding *d, const struct hf_op *op)
{
    return op->has_id && hf_draft_id(d, HF_INDEX_TRANSFER, &op->id.id) != NULL
               ? hf_refuse(d, HF_ERR_TRANSFER_EXISTS, HF_KIND_NONE, NULL)
               : STEP_OK;
}

static enum hf_step open_hold(struct hf_deciding *d, const struct hf_op *op)
{
    struct hf_account *from, *to;
    struct hf_name name = op->id;
    if (op->amount == 0) {
        return hf_refuse(d, HF_ERR_AMOUNT_INVALID, HF_KIND_NONE, NULL);
    }
    enum hf_step step = STEP_OK;
    if (!op->has_id) {
        step = hf_server_name(d, &name);
    } else if (hf_draft_id(d, HF_INDEX_HOLD, &op->id.id) != NULL) {
        return hf_refuse(d, HF_ERR_HOLD_EXISTS, HF_KIND_NONE, NULL);
    }
    if (step == STEP_OK) {
        step = hf_check_accounts(d, &op->subject, &op->to, &op->asset, &from, &to);
    }
    if (step == STEP_OK) {
        step = hf_check_move(d, from, to, op->amount);
    }
    if (step != STEP_OK) {
        return step;
    }
    struct hf_event *event = hf_draft_event(d, HF_EVENT_HOLD_OPENED);
    struct hf_hold *hold = hf_arena_alloc(&d->draft->view.arena, sizeof(*hold));
    if (event == NULL || hold == NULL) {
        return hf_short(d);
    }
    *hold = (struct hf_hold){
        .name = name,
        .from = from->name,
        .to = to->name,
        .asset = from->asset,
        .state = HF_HOLD_OPEN,
        .amount = op->amount,
        .remaining = op->amount,
        .expires_at_us = op->has_timeout ? d->time_us + op->timeout_ms * 1000 : 0,
        .owner = d->native_uid,
        .opened_position = d->position,
        .opened_at_us = d->time_us,
        .version = 1,
        .last_position = d->position,
        .modified_at_us = d->time_us,
    };
    from->totals.debits_pending += op->amount;
    to->totals.credits_pending += op->amount;
    event->posting.hold = *hold;
    take_packed(op, &event->posting.transfer);
    hf_draft_entry(d, from, &event->posting.debit);
    hf_draft_entry(d, to, &event->posting.credit);
    step = hf_draft_note(d, HF_INDEX_HOLD, &name.id);
    return step == STEP_OK ? hf_draft_enter(d, &d->draft->holds, &name.id, hold) : step;
}

/* A saga's hold answers to that saga alone, until it has ended. */
static enum hf_step check_owner(struct hf_deciding *d, const struct hf_hold *hold)
{
    bool live = false;
    if (hold->owner == 0 || hold->owner == d->native_uid) {
        return STEP_OK;
    }
    enum hf_step step = hf_saga_is_live(d, hold->owner, &live);
    return step == STEP_OK && live
               ? hf_refuse(d, HF_ERR_HOLD_OWNED_BY_SAGA, HF_KIND_HOLD, &hold->name)
               : step;
}

/* The named hold if it is open at this point; refuses otherwise. */
static enum hf_step find_open(struct hf_deciding *d, const struct hf_name *name,
                              struct hf_hold **hold)
{
    enum hf_step step = hf_draft_hold(d, name, hold);
    if (step != STEP_OK) {
        return step;
    }
    if (*hold != NULL) {
        return (*hold)->state == HF_HOLD_OPEN
                   ? check_owner(d, *hold)
                   : hf_refuse(d, HF_ERR_HOLD_NOT_OPEN, HF_KIND_HOLD, name);
    }
    const struct hf_event *event;
    bool spent;
    step = hf_find_event(d, HF_INDEX_HOLD, &name->id, HF_HOLD_EVENTS, &event, &spent);
    if (step != STEP_OK) {
        return step;
    }
    if (event == NULL) {
        return hf_refuse(d, HF_ERR_HOLD_NOT_FOUND, HF_KIND_NONE, NULL);
    }
    if (!hf_name_asks_for(name, &event->posting.hold.name)) {
        return hf_refuse(d, HF_ERR_ID_COLLISION, HF_KIND_NONE, NULL);
    }
    return hf_refuse(d, HF_ERR_HOLD_NOT_OPEN, HF_KIND_HOLD, name);
}

/* Both accounts of a hold; they exist as long as it is open. */
static enum hf_step hold_accounts(struct hf_deciding *d, const struct hf_hold *hold,
                                  struct hf_account **from, struct hf_account **to)
{
    enum hf_step step = hf_draft_account(d, &hold->from, from);
    if (step == STEP_OK) {
        step = hf_draft_account(d, &hold->to, to);
    }
    if (step == STEP_OK) {
        HF_CHECK(*from != NULL && *to != NULL);
    }
    return step;
}

/* Takes `posted + released` out of pending and books the entries. */
static enum hf_step settle(struct hf_deciding *d, struct hf_hold *hold, struct hf_event *event,
                           hf_u128 posted, hf_u128 released)
{
    struct hf_account *from, *to;
    enum hf_step step = hold_accounts(d, hold, &from, &to);
    if (step != STEP_OK) {
        return step;
    }
    hf_u128 freed = posted + released;
    from->totals.debits_pending -= freed;
    from->totals.debits_posted += posted;
    to->totals.credits_pending -= freed;
    to->totals.credits_posted += posted;
    hold->captured += posted;
    hold->remaining -= freed;
    hold->version++;
    hold->last_position = d->position;
    hold->modified_at_us = d->time_us;
    event->posting.hold = *hold;
    event->posting.released = released;
    hf_draft_entry(d, from, &event->posting.debit);
    hf_draft_entry(d, to, &event->posting.credit);
    return hf_draft_note(d, HF_INDEX_HOLD, &hold->name.id);
}

enum hf_step hf_end_hold(struct hf_deciding *d, struct hf_hold *hold, enum hf_event_type type)
{
    struct hf_event *event = hf_draft_event(d, type);
    if (event == NULL) {
        return STEP_STOP;
    }
    hold->state = type == HF_EVENT_HOLD_VOIDED ? HF_HOLD_VOIDED : HF_HOLD_EXPIRED;
    return settle(d, hold, event, 0, hold->remaining);
}

static enum hf_step capture(struct hf_deciding *d, const struct hf_op *op)
{
    if (op->has_amount && op->amount == 0) {
        return hf_refuse(d, HF_ERR_AMOUNT_INVALID, HF_KIND_NONE, NULL);
    }
    struct hf_hold *hold;
    enum hf_step step = check_act(d, op);
    if (step == STEP_OK) {
        step = find_open(d, &op->subject, &hold);
    }
    if (step != STEP_OK) {
        return step;
    }
    hf_u128 amount = op->has_amount ? op->amount : hold->remaining;
    if (amount > hold->remaining) {
        return hf_refuse(d, HF_ERR_LIMIT_EXCEEDED, HF_KIND_HOLD, &hold->name);
    }
    struct hf_event *event = hf_draft_event(d, HF_EVENT_HOLD_CAPTURED);
    if (event == NULL) {
        return STEP_STOP;
    }
    struct hf_transfer *transfer = &event->posting.transfer;
    *transfer = (struct hf_transfer){
        .asset = hold->asset,
        .from = hold->from,
        .to = hold->to,
        .kind = HF_TRANSFER_CAPTURE,
        .of = hold->name,
        .amount = amount,
        .requested = amount,
        .position = d->position,
        .posted_at_us = d->time_us,
    };
    take_packed(op, transfer);
    if (op->has_id) {
        transfer->name = op->id;
    } else {
        step = hf_server_name(d, &transfer->name);
    }
    if (step != STEP_OK) {
        return step;
    }
    bool ends = op->final || amount == hold->remaining;
    hold->state = ends ? HF_HOLD_CAPTURED : HF_HOLD_OPEN;
    step = settle(d, hold, event, amount, ends ? hold->remaining - amount : 0);
    return step == STEP_OK ? hf_draft_note(d, HF_INDEX_TRANSFER, &transfer->name.id) : step;
}

static enum hf_step extend(struct hf_deciding *d, const struct hf_op *op)
{
    struct hf_hold *hold;
    enum hf_step step = find_open(d, &op->subject, &hold);
    if (step != STEP_OK) {
        return step;
    }
    uint64_t expires_at_us = d->time_us + op->timeout_ms * 1000;
    if (hold->expires_at_us == 0 || expires_at_us <= hold->expires_at_us) {
        return hf_refuse(d, HF_ERR_LIMIT_EXCEEDED, HF_KIND_HOLD, &hold->name);
    }
    struct hf_event *event = hf_draft_event(d, HF_EVENT_HOLD_EXTENDED);
    if (event == NULL) {
        return STEP_STOP;
    }
    hold->expires_at_us = expires_at_us;
    hold->version++;
    hold->last_position = d->position;
    hold->modified_at_us = d->time_us;
    event->posting.hold = *hold;
    return hf_draft_note(d, HF_INDEX_HOLD, &hold->name.id);
}

static enum hf_step void_hold(struct hf_deciding *d, const struct hf_op *op)
{
    struct hf_hold *hold;
    enum hf_step step = check_act(d, op);
    if (step == STEP_OK) {
        step = find_open(d, &op->subject, &hold);
    }
    if (step == STEP_OK) {
        step = hf_end_hold(d, hold, HF_EVENT_HOLD_VOIDED);
    }
    if (step != STEP_OK || !op->has_id) {
        return step;
    }
    struct hf_commit *commit = &d->draft->commit;
    struct hf_transfer *act = &commit->events[commit->event_count - 1]->posting.transfer;
    act->name = op->id;
    take_packed(op, act);
    return hf_draft_note_spent(d, HF_INDEX_TRANSFER, &op->id.id);
}

enum hf_step hf_decide_hold_op(struct hf_deciding *d, const struct hf_op *op)
{
    if (op->type == HF_OP_HOLD) {
        return open_hold(d, op);
    }
    if (op->type == HF_OP_CAPTURE) {
        return capture(d, op);
    }
    if (op->type == HF_OP_EXTEND) {
        return extend(d, op);
    }
    return void_hold(d, op);
}
