/* Transfers and reversals. */
#include "base/check.h"
#include "core/decide_priv.h"

static hf_u128 floor_room(const struct hf_account *account, const struct hf_totals *totals)
{
    if (!account->has_floor) {
        return HF_U128_MAX;
    }
#ifdef HF_BUG_FLOOR_IGNORES_PENDING
    hf_i128 available = hf_totals_posted(totals);
#else
    hf_i128 available = hf_totals_available(totals);
#endif
    return available <= account->floor ? 0 : (hf_u128)available - (hf_u128)account->floor;
}

hf_u128 hf_floor_room(const struct hf_account *account)
{
    return floor_room(account, &account->totals);
}

static hf_u128 ceiling_room(const struct hf_account *account, const struct hf_totals *totals)
{
    if (!account->has_ceiling) {
        return HF_U128_MAX;
    }
    hf_i128 incoming = hf_totals_incoming(totals);
    return incoming >= account->ceiling ? 0 : (hf_u128)account->ceiling - (hf_u128)incoming;
}

enum hf_err hf_move_refusal(const struct hf_account *from, const struct hf_totals *from_totals,
                            const struct hf_account *to, const struct hf_totals *to_totals,
                            hf_u128 amount, const struct hf_account **cause)
{
    hf_u128 debits = from_totals->debits_posted + from_totals->debits_pending;
    hf_u128 credits = to_totals->credits_posted + to_totals->credits_pending;
    *cause = from;
    if (amount > HF_TOTAL_MAX - debits) {
        return HF_ERR_LIMIT_EXCEEDED;
    }
    if (amount > HF_TOTAL_MAX - credits || amount > ceiling_room(to, to_totals)) {
        *cause = to;
        return HF_ERR_LIMIT_EXCEEDED;
    }
    return amount > floor_room(from, from_totals) ? HF_ERR_INSUFFICIENT_FUNDS : HF_ERR_OK;
}

enum hf_step hf_check_move(struct hf_deciding *d, const struct hf_account *from,
                           const struct hf_account *to, hf_u128 amount)
{
    const struct hf_account *cause;
    enum hf_err code = hf_move_refusal(from, &from->totals, to, &to->totals, amount, &cause);
    return code == HF_ERR_OK ? STEP_OK : hf_refuse(d, code, HF_KIND_ACCOUNT, &cause->name);
}

enum hf_err hf_state_refusal(const struct hf_account *account)
{
    if (account->state == HF_ACCOUNT_CLOSED) {
        return HF_ERR_ACCOUNT_CLOSED;
    }
    return account->state == HF_ACCOUNT_FROZEN ? HF_ERR_ACCOUNT_FROZEN : HF_ERR_OK;
}

static enum hf_step check_open(struct hf_deciding *d, const struct hf_account *account)
{
    enum hf_err code = hf_state_refusal(account);
    return code == HF_ERR_OK ? STEP_OK : hf_refuse(d, code, HF_KIND_ACCOUNT, &account->name);
}

bool hf_asset_fits(struct hf_deciding *d, const struct hf_asset *asked,
                   const struct hf_asset *asset)
{
    if (asked->len != 0) {
        return hf_asset_equal(asked, asset);
    }
    if (!hf_asset_equal(&d->hashed_asset, asset)) {
        hf_asset_hash(asset, d->asset_hash);
        d->hashed_asset = *asset;
    }
    return memcmp(asked->text, d->asset_hash, HF_ASSET_HASH_BYTES) == 0;
}

enum hf_step hf_check_accounts(struct hf_deciding *d, const struct hf_name *from_name,
                               const struct hf_name *to_name, const struct hf_asset *asset,
                               struct hf_account **from, struct hf_account **to)
{
    enum hf_step step = hf_draft_account(d, from_name, from);
    if (step == STEP_OK && *from == NULL) {
        step = hf_refuse(d, HF_ERR_ACCOUNT_NOT_FOUND, HF_KIND_NONE, NULL);
    }
    if (step == STEP_OK) {
        step = hf_draft_account(d, to_name, to);
    }
    if (step == STEP_OK && *to == NULL) {
        step = hf_refuse(d, HF_ERR_ACCOUNT_NOT_FOUND, HF_KIND_NONE, NULL);
    }
    if (step != STEP_OK) {
        return step;
    }
    HF_CHECK(*from != NULL && *to != NULL);
    step = check_open(d, *from);
    if (step == STEP_OK) {
        step = check_open(d, *to);
    }
    if (step == STEP_OK && !hf_asset_fits(d, asset, &(*from)->asset)) {
        step = hf_refuse(d, HF_ERR_ASSET_MISMATCH, HF_KIND_ACCOUNT, &(*from)->name);
    }
    if (step == STEP_OK && !hf_asset_fits(d, asset, &(*to)->asset)) {
        step = hf_refuse(d, HF_ERR_ASSET_MISMATCH, HF_KIND_ACCOUNT, &(*to)->name);
    }
    return step;
}

/* The new transfer's name: given and free in this commit, or the server's. */
static enum hf_step new_name(struct hf_deciding *d, const struct hf_op *op, struct hf_name *name)
{
    if (!op->has_id) {
        return hf_server_name(d, name);
    }
    if (hf_draft_id(d, HF_INDEX_TRANSFER, &op->id.id) != NULL) {
        return hf_refuse(d, HF_ERR_TRANSFER_EXISTS, HF_KIND_NONE, NULL);
    }
    *name = op->id;
    return STEP_OK;
}

/* Moves money that was checked; the caller fills in what is special about the transfer. Straight into the
 * event: a transfer is too wide to be made elsewhere and copied, a thousand times a commit. */
static enum hf_step post(struct hf_deciding *d, struct hf_account *from, struct hf_account *to,
                         const struct hf_name *name, hf_u128 amount, struct hf_event **event)
{
    *event = hf_draft_event(d, HF_EVENT_TRANSFER_POSTED);
    if (*event == NULL) {
        return STEP_STOP;
    }
    struct hf_posting *posting = &(*event)->posting;
    from->totals.debits_posted += amount;
    to->totals.credits_posted += amount;
    posting->transfer.name = *name;
    posting->transfer.from = from->name;
    posting->transfer.to = to->name;
    posting->transfer.asset = from->asset;
    posting->transfer.amount = amount;
    posting->transfer.requested = amount;
    posting->transfer.position = d->position;
    posting->transfer.posted_at_us = d->time_us;
    hf_draft_entry(d, from, &posting->debit);
    hf_draft_entry(d, to, &posting->credit);
    return hf_draft_note(d, HF_INDEX_TRANSFER, &name->id);
}

enum hf_step hf_decide_transfer(struct hf_deciding *d, const struct hf_op *op)
{
    struct hf_account *from, *to;
    struct hf_event *event;
    struct hf_name name;
    hf_u128 amount = op->amount;
    if (amount == 0) {
        return hf_refuse(d, HF_ERR_AMOUNT_INVALID, HF_KIND_NONE, NULL);
    }
    enum hf_step step = new_name(d, op, &name);
    if (step == STEP_OK) {
        step = hf_check_accounts(d, &op->subject, &op->to, &op->asset, &from, &to);
    }
    if (step != STEP_OK) {
        return step;
    }
    if (op->up_to && amount > hf_floor_room(from)) {
        amount = hf_floor_room(from);
        if (amount == 0) {
            return hf_refuse(d, HF_ERR_INSUFFICIENT_FUNDS, HF_KIND_ACCOUNT, &from->name);
        }
    }
    step = hf_check_move(d, from, to, amount);
    if (step == STEP_OK) {
        step = post(d, from, to, &name, amount, &event);
    }
    if (step == STEP_OK) {
        struct hf_transfer *transfer = &event->posting.transfer;
        transfer->kind = HF_TRANSFER_PLAIN;
        transfer->requested = op->amount;
        transfer->up_to = op->up_to;
        transfer->has_effective_at = op->has_effective_at;
        transfer->effective_at_us = op->effective_at_us;
        transfer->metadata = op->metadata;
        memcpy(transfer->user_data, op->user_data, sizeof(transfer->user_data));
        transfer->code = op->code;
    }
    return step;
}

/* How much of a transfer has been reversed so far. */
static enum hf_step reversed_sum(struct hf_deciding *d, const struct hf_id *id, hf_u128 *sum)
{
    const struct hf_event *event;
    bool spent;
    enum hf_step step = hf_find_event(d, HF_INDEX_REVERSAL, id,
                                      HF_EVENT_BIT(HF_EVENT_TRANSFER_POSTED), &event, &spent);
    *sum = step == STEP_OK && event != NULL ? event->posting.reversed_after : 0;
    return step;
}

enum hf_step hf_decide_reverse(struct hf_deciding *d, const struct hf_op *op)
{
    struct hf_name name;
    if (op->has_amount && op->amount == 0) {
        return hf_refuse(d, HF_ERR_AMOUNT_INVALID, HF_KIND_NONE, NULL);
    }
    const struct hf_event *found;
    bool spent;
    hf_u128 reversed;
    enum hf_step step = new_name(d, op, &name);
    if (step == STEP_OK) {
        step = hf_find_event(d, HF_INDEX_TRANSFER, &op->subject.id, HF_TRANSFER_EVENTS, &found,
                             &spent);
    }
    if (step != STEP_OK) {
        return step;
    }
    if (found == NULL) {
        return hf_refuse(d, HF_ERR_TRANSFER_NOT_FOUND, HF_KIND_NONE, NULL);
    }
    const struct hf_transfer *original = &found->posting.transfer;
    if (!hf_str_equal(original->name.text, op->subject.text)) {
        return hf_refuse(d, HF_ERR_ID_COLLISION, HF_KIND_NONE, NULL);
    }
    if (original->kind == HF_TRANSFER_REVERSAL) {
        return hf_refuse(d, HF_ERR_NOT_REVERSIBLE, HF_KIND_TRANSFER, &original->name);
    }
    step = reversed_sum(d, &op->subject.id, &reversed);
    struct hf_account *from, *to;
    if (step == STEP_OK) {
        step = hf_check_accounts(d, &original->to, &original->from, &original->asset, &from, &to);
    }
    if (step != STEP_OK) {
        return step;
    }
    hf_u128 left = original->amount - reversed;
    hf_u128 amount = op->has_amount ? op->amount : left;
    if (left == 0 || amount > left) {
        return hf_refuse(d, HF_ERR_LIMIT_EXCEEDED, HF_KIND_TRANSFER, &original->name);
    }
    step = hf_check_move(d, from, to, amount);
    struct hf_event *event;
    if (step == STEP_OK) {
        step = post(d, from, to, &name, amount, &event);
    }
    if (step == STEP_OK) {
        event->posting.transfer.kind = HF_TRANSFER_REVERSAL;
        event->posting.transfer.of = original->name;
        event->posting.reversed_after = reversed + amount;
        step = hf_draft_note(d, HF_INDEX_REVERSAL, &original->name.id);
    }
    return step;
}
