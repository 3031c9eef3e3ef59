/*
 * What is recorded under a known id, compared with what is asked for now, field by field: so a record replays whichever
 * door it came through first. A refused unit is compared by the hash of its operations' content.
 */
#include "base/bytes.h"
#include "base/json.h"
#include "core/decide_priv.h"
#include "core/strip.h"

#define CONTENT_BYTES 192u /* of an operation, at most */

/* The commit at a position, or the one that is being made. NULL: needed, damaged or short of memory. It may have a strip:
 * decide_each.c has it expanded beforehand if many of its events will be asked for. */
static const struct hf_commit *commit_at(struct hf_deciding *d, uint64_t position)
{
    return position == d->position ? &d->draft->commit : hf_view_compact(&d->draft->view, position);
}

static const struct hf_event *event_at(struct hf_deciding *d, const struct hf_index_value *at)
{
    const struct hf_commit *commit = commit_at(d, at->position);
    if (commit == NULL) {
        return NULL;
    }
    if (at->index >= hf_commit_event_total(commit)) {
        d->draft->view.damaged = true;
        return NULL;
    }
    const struct hf_event *event = hf_commit_event(commit, at->index);
    d->draft->view.short_memory = d->draft->view.short_memory || event == NULL;
    return event;
}

static bool same_packed(const struct hf_op *op, const struct hf_transfer *transfer)
{
    return memcmp(op->user_data, transfer->user_data, sizeof(op->user_data)) == 0 &&
           op->code == transfer->code;
}

static bool same_transfer(struct hf_deciding *d, const struct hf_op *op,
                          const struct hf_transfer *transfer)
{
    bool short_memory = false;
    bool same = transfer->kind == HF_TRANSFER_PLAIN && hf_name_equal(&op->id, &transfer->name) &&
                hf_name_asks_for(&op->subject, &transfer->from) &&
                hf_name_asks_for(&op->to, &transfer->to) &&
                hf_asset_fits(d, &op->asset, &transfer->asset) &&
                op->amount == transfer->requested && op->up_to == transfer->up_to &&
                op->has_effective_at == transfer->has_effective_at &&
                op->effective_at_us == transfer->effective_at_us && same_packed(op, transfer) &&
                hf_payload_same(&op->metadata, &transfer->metadata, &short_memory);
    d->draft->view.short_memory = d->draft->view.short_memory || short_memory;
    return same;
}

/* The same of a strip: a commit that has one opens no holds beside it. */
static const struct hf_event *
opening_in_strip(struct hf_deciding *d, const struct hf_commit *commit, const struct hf_hold *hold)
{
    uint32_t row = hf_strip_find_row(commit->strip, HF_STRIP_HOLD, &hold->name.id);
    if (row == commit->strip->count) {
        d->draft->view.damaged = true;
        return NULL;
    }
    const struct hf_event *event = hf_strip_event(commit, row);
    d->draft->view.short_memory = d->draft->view.short_memory || event == NULL;
    return event;
}

/* The event that opened a hold. Repetitions mostly come in the order of the first time: the search goes on behind the last
 * one that was found. */
static const struct hf_event *opening_of(struct hf_deciding *d, const struct hf_hold *hold)
{
    struct hf_view *view = &d->draft->view;
    const struct hf_commit *commit = commit_at(d, hold->opened_position);
    if (commit == NULL) {
        return NULL;
    }
    if (commit->strip != NULL && !commit->expanded) {
        return opening_in_strip(d, commit, hold);
    }
    for (uint32_t i = 0; i < commit->event_count; i++) {
        uint32_t at = (d->searched + i) % commit->event_count;
        const struct hf_event *event = commit->events[at];
        if (event->type == HF_EVENT_HOLD_OPENED &&
            hf_name_equal(&event->posting.hold.name, &hold->name)) {
            d->searched = at + 1;
            return event;
        }
    }
    view->damaged = true;
    return NULL;
}

static bool same_hold(struct hf_deciding *d, const struct hf_op *op, const struct hf_event *opening)
{
    const struct hf_hold *hold = &opening->posting.hold;
    uint64_t expires_at_us = op->has_timeout ? hold->opened_at_us + op->timeout_ms * 1000 : 0;
    return hf_name_equal(&op->id, &hold->name) && hf_name_asks_for(&op->subject, &hold->from) &&
           hf_name_asks_for(&op->to, &hold->to) && hf_asset_fits(d, &op->asset, &hold->asset) &&
           op->amount == hold->amount && expires_at_us == hold->expires_at_us && hold->owner == 0 &&
           same_packed(op, &opening->posting.transfer);
}

/* The outcome is what is asked for: whether all that is left was named by its amount or not makes no difference. */
static bool same_capture(const struct hf_op *op, const struct hf_posting *posting)
{
    bool ended = posting->hold.state == HF_HOLD_CAPTURED;
    bool amount =
        op->has_amount ? op->amount == posting->transfer.amount : ended && posting->released == 0;
    bool final = op->final ? ended : posting->released == 0;
    return amount && final && hf_name_equal(&op->id, &posting->transfer.name) &&
           hf_name_asks_for(&op->subject, &posting->hold.name) &&
           same_packed(op, &posting->transfer);
}

static bool same_void(const struct hf_op *op, const struct hf_posting *posting)
{
    return hf_name_equal(&op->id, &posting->transfer.name) &&
           hf_name_asks_for(&op->subject, &posting->hold.name) &&
           same_packed(op, &posting->transfer);
}

static bool same_effect(struct hf_deciding *d, const struct hf_op *op, const struct hf_event *event)
{
    switch ((unsigned)op->type) {
    case HF_OP_TRANSFER:
        return event->type == HF_EVENT_TRANSFER_POSTED &&
               same_transfer(d, op, &event->posting.transfer);
    case HF_OP_HOLD:
        return event->type == HF_EVENT_HOLD_OPENED && same_hold(d, op, event);
    case HF_OP_CAPTURE:
        return event->type == HF_EVENT_HOLD_CAPTURED && same_capture(op, &event->posting);
    case HF_OP_VOID:
        return event->type == HF_EVENT_HOLD_VOIDED && same_void(op, &event->posting);
    default:
        return false;
    }
}

/* Repetitions mostly come in the order of the first time, as in opening_of. */
static bool is_spent_name(struct hf_deciding *d, const struct hf_refused *refused,
                          const struct hf_name *name)
{
    for (uint32_t i = 0; i < refused->spent_count; i++) {
        uint32_t at = (d->searched + i) % refused->spent_count;
        if (hf_name_equal(&refused->spent[at].name, name)) {
            d->searched = at + 1;
            return true;
        }
    }
    return false;
}

/* Has what the known id stands for the operation's text, too? */
static bool same_text(struct hf_deciding *d, const struct hf_op *op, const struct hf_event *event)
{
    if (event->type == HF_EVENT_UNIT_REFUSED) {
        return is_spent_name(d, &event->unit_refused.refused, &op->id);
    }
    if (event->type == HF_EVENT_REFUSED) {
        return is_spent_name(d, &event->refused, &op->id);
    }
    return hf_name_equal(op->type == HF_OP_HOLD ? &event->posting.hold.name
                                                : &event->posting.transfer.name,
                         &op->id);
}

enum hf_sameness hf_compare_recorded(struct hf_deciding *d, uint32_t first, uint32_t count,
                                     uint32_t i, const struct hf_index_value *at,
                                     const struct hf_event **event)
{
    const struct hf_op *op = &d->command->ops[first + i];
    *event = event_at(d, at);
    if (*event == NULL) {
        return HF_SAME_STOP;
    }
    if (!same_text(d, op, *event)) {
        return HF_OTHER_NAME;
    }
    if ((*event)->type == HF_EVENT_UNIT_REFUSED) {
        const struct hf_unit_refused *unit = &(*event)->unit_refused;
        if (unit->count != count) {
            return HF_OTHER;
        }
        bool hashed = d->hashed_count == count && d->hashed_first == first;
        if (!hashed && !hf_unit_hash(d, &d->command->ops[first], count, d->unit_hash)) {
            return HF_SAME_STOP;
        }
        d->hashed_first = first;
        d->hashed_count = count;
        return memcmp(d->unit_hash, unit->content_hash, sizeof(d->unit_hash)) == 0 ? HF_SAME_REFUSED
                                                                                   : HF_OTHER;
    }
    if (op->type == HF_OP_HOLD && (at->flags & HF_INDEX_SPENT) == 0) {
        *event = opening_of(d, &(*event)->posting.hold); /* the index has the newest event */
        if (*event == NULL) {
            return HF_SAME_STOP;
        }
    }
    bool same = same_effect(d, op, *event);
    return d->draft->view.short_memory ? HF_SAME_STOP : (same ? HF_SAME : HF_OTHER);
}

enum hf_sameness hf_compare_account(struct hf_deciding *d, const struct hf_op *op)
{
    struct hf_account *account;
    if (hf_draft_account(d, &op->subject, &account) != STEP_OK || account == NULL) {
        return HF_SAME_STOP; /* it was there a moment ago: memory is short */
    }
    const struct hf_account *opened = account; /* by this very commit, which changes no limits */
    const struct hf_payload *metadata = &op->metadata;
    if (account->opened_position != d->position) {
        const struct hf_event *event;
        bool spent;
        enum hf_step step = hf_find_event(d, HF_INDEX_ACCOUNT, &op->subject.id,
                                          HF_EVENT_BIT(HF_EVENT_ACCOUNT_OPENED), &event, &spent);
        if (step != STEP_OK || event == NULL) {
            return HF_SAME_STOP;
        }
        opened = &event->opened;
        metadata = &event->opened_metadata;
    }
    bool short_memory = false;
    bool same = hf_asset_equal(&opened->asset, &op->asset) &&
                opened->has_floor == !op->floor_none && opened->has_ceiling == !op->ceiling_none &&
                (op->floor_none || opened->floor == op->floor) &&
                (op->ceiling_none || opened->ceiling == op->ceiling) &&
                (d->command->packed || /* a record knows no metadata */
                 hf_payload_same(&op->metadata, metadata, &short_memory));
    d->draft->view.short_memory = d->draft->view.short_memory || short_memory;
    return short_memory ? HF_SAME_STOP : (same ? HF_SAME : HF_OTHER);
}

/* ---- the hash of a unit ---- */

/* Fixed width: 110 bytes an operation, and 32 more if it has metadata: their hash as canonical JSON. */
static bool put_content(struct hf_buffer *to, const struct hf_op *op)
{
    struct hf_asset asset = op->asset;
    uint8_t asset_hash[HF_ASSET_HASH_BYTES];
    if (asset.len != 0) {
        hf_asset_hash(&asset, asset_hash);
    } else {
        memcpy(asset_hash, asset.text, sizeof(asset_hash));
    }
    uint8_t numbers[64];
    hf_put_u64(numbers, (uint64_t)op->amount);
    hf_put_u64(numbers + 8, (uint64_t)(op->amount >> 64));
    hf_put_u64(numbers + 16, op->has_timeout ? op->timeout_ms : 0);
    hf_put_u64(numbers + 24, op->has_effective_at ? op->effective_at_us : 0);
    hf_put_u32(numbers + 32, op->code);
    numbers[36] = (uint8_t)op->type;
    numbers[37] = (uint8_t)((op->has_amount ? 1 : 0) | (op->up_to ? 2 : 0) | (op->final ? 4 : 0) |
                            (op->has_timeout ? 8 : 0) | (op->has_effective_at ? 16 : 0) |
                            (hf_str_present(op->metadata.text) ? 32 : 0));
    hf_buffer_bytes(to, op->id.id.bytes, sizeof(op->id.id.bytes));
    hf_buffer_bytes(to, op->subject.id.bytes, sizeof(op->subject.id.bytes));
    hf_buffer_bytes(to, op->to.id.bytes, sizeof(op->to.id.bytes));
    hf_buffer_bytes(to, asset_hash, sizeof(asset_hash));
    hf_buffer_bytes(to, op->user_data, sizeof(op->user_data));
    hf_buffer_bytes(to, numbers, 38);
    if (hf_str_present(op->metadata.text)) {
        struct hf_buffer canonical;
        hf_buffer_init(&canonical);
        bool ok = hf_json_canonical(op->metadata.text, &canonical) && !canonical.failed;
        struct hf_hash hash = hf_sha256(canonical.data, canonical.size_bytes);
        hf_buffer_bytes(to, hash.bytes, sizeof(hash.bytes));
        hf_buffer_release(&canonical);
        return ok;
    }
    return true;
}

bool hf_unit_hash(struct hf_deciding *d, const struct hf_op *ops, uint32_t count, uint8_t hash[16])
{
    struct hf_buffer content;
    hf_buffer_init(&content);
    bool ok = hf_buffer_reserve(&content, count * CONTENT_BYTES);
    for (uint32_t i = 0; ok && i < count; i++) {
        ok = put_content(&content, &ops[i]);
    }
    ok = ok && !content.failed;
    if (ok) {
        struct hf_hash whole = hf_sha256(content.data, content.size_bytes);
        memcpy(hash, whole.bytes, 16);
    }
    hf_buffer_release(&content);
    d->draft->view.short_memory = d->draft->view.short_memory || !ok;
    return ok;
}
