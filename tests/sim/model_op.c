/* Accounts, transfers, holds: what each operation checks, in order, and what comes of it. */
#include <stdio.h>

#include "sim/model_priv.h"

static hf_i128 posted_of(const struct hf_account *account)
{
    return (hf_i128)account->totals.credits_posted - (hf_i128)account->totals.debits_posted;
}

static hf_i128 available_of(const struct hf_account *account)
{
    return posted_of(account) - (hf_i128)account->totals.debits_pending;
}

struct hf_side hf_model_entry(struct hf_model_turn *turn, struct hf_model_thing *thing)
{
    struct hf_account *account = &thing->account;
    struct hf_side side = {.previous_position = account->last_position};
    account->version++;
    account->last_position = turn->position;
    account->modified_at_us = turn->time_us;
    side.account = thing->name;
    side.version = account->version;
    side.totals = account->totals;
    return side;
}

static enum hf_err about(struct hf_model_turn *turn, struct hf_model_thing *thing, enum hf_err code)
{
    turn->culprit = thing;
    return code;
}

enum hf_err hf_model_need(struct hf_model_turn *turn, enum hf_kind kind, const struct hf_name *name,
                          enum hf_err missing, struct hf_model_thing **thing)
{
    *thing = hf_model_find(turn->model, kind, name);
    if (*thing == NULL && hf_model_collides(turn->model, kind, name)) {
        return HF_ERR_ID_COLLISION;
    }
    return *thing == NULL || (*thing)->spent ? missing : HF_ERR_OK;
}

/* The new id against those of operations before this one. */
static enum hf_err check_new_id(struct hf_model_turn *turn, enum hf_kind kind,
                                const struct hf_op *op)
{
    if (!op->has_id) {
        return HF_ERR_OK;
    }
    struct hf_model_thing *thing = hf_model_find(turn->model, kind, &op->id);
    if (thing != NULL) {
        return about(turn, thing,
                     kind == HF_KIND_HOLD ? HF_ERR_HOLD_EXISTS : HF_ERR_TRANSFER_EXISTS);
    }
    return hf_model_collides(turn->model, kind, &op->id) ? HF_ERR_ID_COLLISION : HF_ERR_OK;
}

static struct hf_name name_of(struct hf_model_turn *turn, const struct hf_op *op)
{
    if (op->has_id) {
        return op->id;
    }
    char text[64];
    int len = snprintf(text, sizeof(text), "~%llu.%u", (unsigned long long)turn->position,
                       turn->op_index);
    struct hf_str copy = hf_model_copy(&turn->model->scratch, (struct hf_str){text, (size_t)len});
    struct hf_name name = {.text = copy};
    struct hf_hash hash = hf_sha256(copy.ptr, copy.len);
    memcpy(name.id.bytes, hash.bytes, sizeof(name.id.bytes));
    return name;
}

static enum hf_err check_state(struct hf_model_turn *turn, struct hf_model_thing *account)
{
    switch (account->account.state) {
    case HF_ACCOUNT_OPEN:
        return HF_ERR_OK;
    case HF_ACCOUNT_FROZEN:
        return about(turn, account, HF_ERR_ACCOUNT_FROZEN);
    case HF_ACCOUNT_CLOSED:
        return about(turn, account, HF_ERR_ACCOUNT_CLOSED);
    }
    return HF_ERR_OK;
}

/* The accounts of a transfer or hold: there, open, of the asset. */
static enum hf_err check_accounts(struct hf_model_turn *turn, const struct hf_op *op,
                                  struct hf_model_thing **from, struct hf_model_thing **to)
{
    enum hf_err code =
        hf_model_need(turn, HF_KIND_ACCOUNT, &op->subject, HF_ERR_ACCOUNT_NOT_FOUND, from);
    if (code == HF_ERR_OK) {
        code = hf_model_need(turn, HF_KIND_ACCOUNT, &op->to, HF_ERR_ACCOUNT_NOT_FOUND, to);
    }
    if (code == HF_ERR_OK) {
        code = check_state(turn, *from);
    }
    if (code == HF_ERR_OK) {
        code = check_state(turn, *to);
    }
    if (code == HF_ERR_OK && !hf_asset_equal(&(*from)->account.asset, &op->asset)) {
        code = about(turn, *from, HF_ERR_ASSET_MISMATCH);
    }
    if (code == HF_ERR_OK && !hf_asset_equal(&(*to)->account.asset, &op->asset)) {
        code = about(turn, *to, HF_ERR_ASSET_MISMATCH);
    }
    return code;
}

/* Totals, ceiling and floor of moving or reserving an amount. */
static enum hf_err check_amount(struct hf_model_turn *turn, struct hf_model_thing *from,
                                struct hf_model_thing *to, hf_u128 amount)
{
    const struct hf_totals *debit = &from->account.totals;
    const struct hf_totals *credit = &to->account.totals;
    hf_u128 most = (((hf_u128)1) << 127) - 1;
    if (amount > most - (debit->debits_posted + debit->debits_pending)) {
        return about(turn, from, HF_ERR_LIMIT_EXCEEDED);
    }
    if (amount > most - (credit->credits_posted + credit->credits_pending)) {
        return about(turn, to, HF_ERR_LIMIT_EXCEEDED);
    }
    hf_i128 incoming = (hf_i128)(credit->credits_posted + credit->credits_pending + amount) -
                       (hf_i128)credit->debits_posted;
    if (to->account.has_ceiling && incoming > to->account.ceiling) {
        return about(turn, to, HF_ERR_LIMIT_EXCEEDED);
    }
    hf_i128 left = (hf_i128)debit->credits_posted -
                   (hf_i128)(debit->debits_posted + debit->debits_pending + amount);
    if (from->account.has_floor && left < from->account.floor) {
        return about(turn, from, HF_ERR_INSUFFICIENT_FUNDS);
    }
    return HF_ERR_OK;
}

/* An amount leaves `from` for `to`; `released` of both sides' pending goes away with it. */
static void post(struct hf_model_turn *turn, struct hf_event *event, struct hf_model_thing *from,
                 struct hf_model_thing *to, hf_u128 amount, hf_u128 released)
{
    hf_model_touch(turn->model, from);
    hf_model_touch(turn->model, to);
    from->account.totals.debits_posted += amount;
    from->account.totals.debits_pending -= released;
    to->account.totals.credits_posted += amount;
    to->account.totals.credits_pending -= released;
    event->posting.debit = hf_model_entry(turn, from);
    event->posting.credit = hf_model_entry(turn, to);
}

static struct hf_model_thing *make_transfer(struct hf_model_turn *turn, const struct hf_name *name,
                                            const struct hf_model_thing *from,
                                            const struct hf_model_thing *to,
                                            enum hf_transfer_kind kind, hf_u128 amount)
{
    struct hf_model_thing *thing =
        hf_model_make(turn->model, HF_KIND_TRANSFER, name, turn->position, turn->time_us);
    thing->transfer = (struct hf_transfer){.name = thing->name,
                                           .from = from->name,
                                           .to = to->name,
                                           .asset = from->account.asset,
                                           .kind = kind,
                                           .amount = amount,
                                           .requested = amount,
                                           .position = turn->position,
                                           .posted_at_us = turn->time_us};
    return thing;
}

static enum hf_err operate_transfer(struct hf_model_turn *turn, const struct hf_op *op)
{
    struct hf_model_thing *from, *to;
    if (op->amount == 0) {
        return HF_ERR_AMOUNT_INVALID;
    }
    enum hf_err code = check_new_id(turn, HF_KIND_TRANSFER, op);
    if (code == HF_ERR_OK) {
        code = check_accounts(turn, op, &from, &to);
    }
    if (code != HF_ERR_OK) {
        return code;
    }
    hf_u128 amount = op->amount;
    if (op->up_to && from->account.has_floor) {
        hf_i128 available = available_of(&from->account);
        if (available <= from->account.floor) {
            return about(turn, from, HF_ERR_INSUFFICIENT_FUNDS);
        }
        hf_u128 room = (hf_u128)available - (hf_u128)from->account.floor;
        amount = amount < room ? amount : room;
    }
    code = check_amount(turn, from, to, amount);
    if (code != HF_ERR_OK) {
        return code;
    }
    struct hf_name name = name_of(turn, op);
    struct hf_model_thing *thing = make_transfer(turn, &name, from, to, HF_TRANSFER_PLAIN, amount);
    thing->transfer.requested = op->amount;
    thing->transfer.up_to = op->up_to;
    thing->transfer.has_effective_at = op->has_effective_at;
    thing->transfer.effective_at_us = op->effective_at_us;
    thing->transfer.metadata.text = hf_model_copy(&turn->model->arena, op->metadata.text);
    struct hf_event *event = hf_model_event(turn->model, HF_EVENT_TRANSFER_POSTED, turn->op_index);
    event->posting.transfer = thing->transfer;
    post(turn, event, from, to, amount, 0);
    return HF_ERR_OK;
}

static enum hf_err operate_reverse(struct hf_model_turn *turn, const struct hf_op *op)
{
    struct hf_model_thing *old;
    if (op->has_amount && op->amount == 0) {
        return HF_ERR_AMOUNT_INVALID;
    }
    enum hf_err code = check_new_id(turn, HF_KIND_TRANSFER, op);
    if (code == HF_ERR_OK) {
        code = hf_model_need(turn, HF_KIND_TRANSFER, &op->subject, HF_ERR_TRANSFER_NOT_FOUND, &old);
    }
    if (code == HF_ERR_OK && old->transfer.kind == HF_TRANSFER_REVERSAL) {
        code = about(turn, old, HF_ERR_NOT_REVERSIBLE);
    }
    if (code != HF_ERR_OK) {
        return code;
    }
    struct hf_model_thing *from = hf_model_find(turn->model, HF_KIND_ACCOUNT, &old->transfer.to);
    struct hf_model_thing *to = hf_model_find(turn->model, HF_KIND_ACCOUNT, &old->transfer.from);
    code = check_state(turn, from);
    if (code == HF_ERR_OK) {
        code = check_state(turn, to);
    }
    hf_u128 left = old->transfer.amount - old->reversed;
    hf_u128 amount = op->has_amount ? op->amount : left;
    if (code == HF_ERR_OK && (amount > left || left == 0)) {
        code = about(turn, old, HF_ERR_LIMIT_EXCEEDED);
    }
    if (code == HF_ERR_OK) {
        code = check_amount(turn, from, to, amount);
    }
    if (code != HF_ERR_OK) {
        return code;
    }
    struct hf_name name = name_of(turn, op);
    struct hf_model_thing *thing =
        make_transfer(turn, &name, from, to, HF_TRANSFER_REVERSAL, amount);
    thing->transfer.of = old->name;
    hf_model_touch(turn->model, old);
    old->reversed += amount;
    struct hf_event *event = hf_model_event(turn->model, HF_EVENT_TRANSFER_POSTED, turn->op_index);
    event->posting.transfer = thing->transfer;
    event->posting.reversed_after = old->reversed;
    post(turn, event, from, to, amount, 0);
    return HF_ERR_OK;
}

static enum hf_err operate_hold(struct hf_model_turn *turn, const struct hf_op *op)
{
    struct hf_model_thing *from, *to;
    if (op->amount == 0) {
        return HF_ERR_AMOUNT_INVALID;
    }
    enum hf_err code = check_new_id(turn, HF_KIND_HOLD, op);
    if (code == HF_ERR_OK) {
        code = check_accounts(turn, op, &from, &to);
    }
    if (code == HF_ERR_OK) {
        code = check_amount(turn, from, to, op->amount);
    }
    if (code != HF_ERR_OK) {
        return code;
    }
    struct hf_name name = name_of(turn, op);
    struct hf_model_thing *thing =
        hf_model_make(turn->model, HF_KIND_HOLD, &name, turn->position, turn->time_us);
    thing->hold = (struct hf_hold){.name = thing->name,
                                   .from = from->name,
                                   .to = to->name,
                                   .asset = op->asset,
                                   .state = HF_HOLD_OPEN,
                                   .amount = op->amount,
                                   .remaining = op->amount,
                                   .expires_at_us =
                                       op->has_timeout ? turn->time_us + op->timeout_ms * 1000 : 0,
                                   .opened_position = turn->position,
                                   .opened_at_us = turn->time_us,
                                   .version = 1,
                                   .last_position = turn->position,
                                   .modified_at_us = turn->time_us};
    thing->first_expires_at_us = thing->hold.expires_at_us;
    hf_model_touch(turn->model, from);
    hf_model_touch(turn->model, to);
    from->account.totals.debits_pending += op->amount;
    to->account.totals.credits_pending += op->amount;
    struct hf_event *event = hf_model_event(turn->model, HF_EVENT_HOLD_OPENED, turn->op_index);
    event->posting.hold = thing->hold;
    event->posting.debit = hf_model_entry(turn, from);
    event->posting.credit = hf_model_entry(turn, to);
    return HF_ERR_OK;
}

static void change_hold(struct hf_model_turn *turn, struct hf_model_thing *thing)
{
    thing->hold.version++;
    thing->hold.last_position = turn->position;
    thing->hold.modified_at_us = turn->time_us;
}

/* The hold ends or shrinks: `posted` of it moves, `released` of it is given back. */
static void settle(struct hf_model_turn *turn, struct hf_event *event, struct hf_model_thing *thing,
                   hf_u128 posted, hf_u128 released)
{
    struct hf_hold *hold = &thing->hold;
    hf_model_touch(turn->model, thing);
    hold->captured += posted;
    hold->remaining -= posted + released;
    change_hold(turn, thing);
    event->posting.released = released;
    post(turn, event, hf_model_find(turn->model, HF_KIND_ACCOUNT, &hold->from),
         hf_model_find(turn->model, HF_KIND_ACCOUNT, &hold->to), posted, posted + released);
}

static enum hf_err find_open_hold(struct hf_model_turn *turn, const struct hf_op *op,
                                  struct hf_model_thing **hold)
{
    enum hf_err code = hf_model_need(turn, HF_KIND_HOLD, &op->subject, HF_ERR_HOLD_NOT_FOUND, hold);
    if (code == HF_ERR_OK && (*hold)->hold.state != HF_HOLD_OPEN) {
        code = about(turn, *hold, HF_ERR_HOLD_NOT_OPEN);
    }
    return code;
}

static enum hf_err operate_capture(struct hf_model_turn *turn, const struct hf_op *op)
{
    struct hf_model_thing *hold;
    if (op->has_amount && op->amount == 0) {
        return HF_ERR_AMOUNT_INVALID;
    }
    enum hf_err code = find_open_hold(turn, op, &hold);
    if (code != HF_ERR_OK) {
        return code;
    }
    hf_u128 left = hold->hold.remaining;
    hf_u128 amount = op->has_amount ? op->amount : left;
    if (amount > left) {
        return about(turn, hold, HF_ERR_LIMIT_EXCEEDED);
    }
    struct hf_name name = name_of(turn, op);
    struct hf_model_thing *transfer = make_transfer(
        turn, &name, hf_model_find(turn->model, HF_KIND_ACCOUNT, &hold->hold.from),
        hf_model_find(turn->model, HF_KIND_ACCOUNT, &hold->hold.to), HF_TRANSFER_CAPTURE, amount);
    transfer->transfer.of = hold->name;
    struct hf_event *event = hf_model_event(turn->model, HF_EVENT_HOLD_CAPTURED, turn->op_index);
    event->posting.transfer = transfer->transfer;
    settle(turn, event, hold, amount, op->final ? left - amount : 0);
    if (hold->hold.remaining == 0) {
        hold->hold.state = HF_HOLD_CAPTURED;
    }
    event->posting.hold = hold->hold;
    return HF_ERR_OK;
}

static enum hf_err operate_void(struct hf_model_turn *turn, const struct hf_op *op)
{
    struct hf_model_thing *hold;
    enum hf_err code = find_open_hold(turn, op, &hold);
    if (code != HF_ERR_OK) {
        return code;
    }
    struct hf_event *event = hf_model_event(turn->model, HF_EVENT_HOLD_VOIDED, turn->op_index);
    settle(turn, event, hold, 0, hold->hold.remaining);
    hold->hold.state = HF_HOLD_VOIDED;
    event->posting.hold = hold->hold;
    return HF_ERR_OK;
}

static enum hf_err operate_extend(struct hf_model_turn *turn, const struct hf_op *op)
{
    struct hf_model_thing *hold;
    enum hf_err code = find_open_hold(turn, op, &hold);
    if (code != HF_ERR_OK) {
        return code;
    }
    uint64_t until_us = turn->time_us + op->timeout_ms * 1000;
    if (hold->hold.expires_at_us == 0 || until_us <= hold->hold.expires_at_us) {
        return about(turn, hold, HF_ERR_LIMIT_EXCEEDED);
    }
    hf_model_touch(turn->model, hold);
    hold->hold.expires_at_us = until_us;
    change_hold(turn, hold);
    struct hf_event *event = hf_model_event(turn->model, HF_EVENT_HOLD_EXTENDED, turn->op_index);
    event->posting.hold = hold->hold;
    return HF_ERR_OK;
}

void hf_model_book_expiry(struct hf_model_turn *turn, struct hf_model_thing *thing)
{
    bool hold = thing->kind == HF_KIND_HOLD;
    struct hf_event *event = hf_model_event(
        turn->model, hold ? HF_EVENT_HOLD_EXPIRED : HF_EVENT_LEASE_EXPIRED, HF_NO_OPERATION);
    if (hold) {
        settle(turn, event, thing, 0, thing->hold.remaining);
        thing->hold.state = HF_HOLD_EXPIRED;
        event->posting.hold = thing->hold;
        return;
    }
    hf_model_touch(turn->model, thing);
    thing->lease.held = false;
    thing->lease.last_position = turn->position;
    thing->lease.modified_at_us = turn->time_us;
    event->lease = thing->lease;
}

enum hf_err hf_model_operate_money(struct hf_model_turn *turn, const struct hf_op *op)
{
    switch ((int)op->type) {
    case HF_OP_TRANSFER:
        return operate_transfer(turn, op);
    case HF_OP_REVERSE:
        return operate_reverse(turn, op);
    case HF_OP_HOLD:
        return operate_hold(turn, op);
    case HF_OP_CAPTURE:
        return operate_capture(turn, op);
    case HF_OP_VOID:
        return operate_void(turn, op);
    case HF_OP_EXTEND:
        return operate_extend(turn, op);
    default:
        return hf_model_operate_thing(turn, op);
    }
}
