/*
 * Captures and voids of a strip. The rules, and the order of refusals, are those of decide_hold.c.
 *
 * Must never: settle what is not usual: a hold that is not open and was not opened by the same request, that is past its
 * time, belongs to a saga, has a name of its own or an amount of 2^64 and above. Called by: decide_strip.c.
 */
#include "core/decide_strip_priv.h"

#include "base/prefetch.h"

/* ---- which hold ---- */

void hf_strip_draft_ask_for_hold(struct strip_draft *s, uint32_t i)
{
    if (hf_plain_settles(&s->plain[i])) {
        hf_table_prefetch(&s->d->state->holds, &s->plain[i].from);
    }
}

void hf_strip_draft_find_hold(struct strip_draft *s, uint32_t i)
{
    if (!hf_plain_settles(&s->plain[i])) {
        return;
    }
    s->holds[i] = hf_state_hold(s->d->state, &s->plain[i].from);
    for (size_t at = 0; s->holds[i] != NULL && at < sizeof(struct hf_hold); at += 64) {
        hf_prefetch((const char *)s->holds[i] + at);
    }
}

static bool is_usual(const struct strip_draft *s, const struct hf_hold *hold)
{
    return hold->hex_name && hold->owner == 0 && hold->amount <= UINT64_MAX &&
           (hold->expires_at_us == 0 || hold->expires_at_us > s->d->time_us);
}

static struct strip_hold_cell *cell_of(const struct strip_draft *s, const struct hf_hold *hold)
{
    bool has = hold->mark < s->strip->holds.count && s->hold_cells[hold->mark].hold == hold;
    return has ? &s->hold_cells[hold->mark] : NULL;
}

/* The hold, which was open before, becomes one of the strip's; the next row is the first that settles it. */
static struct strip_hold_cell *enter_hold(struct strip_draft *s, struct hf_hold *hold)
{
    uint32_t at = s->strip->holds.count++;
    uint64_t captured = (uint64_t)hold->captured;
    hold->mark = at;
    s->hold_cells[at] = (struct strip_hold_cell){hold, (uint64_t)hold->remaining, s->strip->count};
    s->found_holds[at] = hold;
    memcpy(s->hold_ids + sizeof(hold->name.id.bytes) * (size_t)at, hold->name.id.bytes,
           sizeof(hold->name.id.bytes));
    hf_put_u64(s->hold_amounts + 8 * (size_t)at, (uint64_t)hold->amount);
    hf_put_u64(s->opened_positions + 8 * (size_t)at, hold->opened_position);
    hf_put_u64(s->opened_times + 8 * (size_t)at, hold->opened_at_us);
    hf_put_u64(s->captured + 8 * (size_t)at, captured);
    hf_put_u64(s->expires + 8 * (size_t)at, hold->expires_at_us);
    hf_put_u64(s->changes + 8 * (size_t)at, hold->version - 1);
    s->any_captured = s->any_captured || captured != 0;
    s->any_expires = s->any_expires || hold->expires_at_us != 0;
    s->any_changes = s->any_changes || hold->version != 1;
    return &s->hold_cells[at];
}

/* ---- what is done to it ---- */

/* In the order of decide_hold.c, behind what it says of the id. */
static enum hf_err refusal_of(const struct hf_packed_transfer *plain, uint64_t left)
{
    bool names_amount = plain->type == HF_OP_CAPTURE && !plain->all_left;
    if (names_amount && plain->amount == 0) {
        return HF_ERR_AMOUNT_INVALID;
    }
    if (left == 0) {
        return HF_ERR_HOLD_NOT_OPEN;
    }
    return names_amount && plain->amount > left ? HF_ERR_LIMIT_EXCEEDED : HF_ERR_OK;
}

/* The row takes its part of what is left. */
static void take(const struct hf_packed_transfer *plain, uint64_t *left, struct strip_row *row)
{
    bool voids = plain->type == HF_OP_VOID;
    row->kind = voids ? HF_STRIP_VOID : HF_STRIP_CAPTURE;
    row->amount = voids || plain->all_left ? *left : plain->amount;
    *left -= row->amount;
    row->released = plain->final ? *left : 0;
    *left -= row->released;
}

/* A hold that this very request has opened. */
static bool settle_own(struct strip_draft *s, uint32_t i, struct strip_row *row, enum hf_err *code)
{
    const struct hf_packed_transfer *plain = &s->plain[i];
    uint32_t opening = hf_strip_draft_find(s, &plain->from, true);
    if (opening >= i || s->opened[opening] == 0) {
        return false;
    }
    uint32_t opened = s->opened[opening] - 1u;
    *code = refusal_of(plain, s->left[opened]);
    if (*code == HF_ERR_OK) {
        row->from = hf_get_u16(s->from + 2 * (size_t)opened);
        row->to = hf_get_u16(s->to + 2 * (size_t)opened);
        row->settles = opened | HF_STRIP_OWN_HOLD;
        take(plain, &s->left[opened], row);
    }
    return true;
}

bool hf_strip_draft_settle(struct strip_draft *s, uint32_t i, struct strip_row *row,
                           enum hf_err *code)
{
    const struct hf_packed_transfer *plain = &s->plain[i];
    struct hf_hold *hold = s->holds[i];
    if (hold == NULL) {
        return settle_own(s, i, row, code);
    }
    if (!is_usual(s, hold)) {
        return false;
    }
    struct strip_hold_cell *cell = cell_of(s, hold);
    *code = refusal_of(plain, cell == NULL ? (uint64_t)hold->remaining : cell->left);
    if (*code != HF_ERR_OK) {
        return true;
    }
    if (cell == NULL) {
        if (!hf_strip_draft_enter(s, s->pairs[2 * (size_t)i], &row->from) ||
            !hf_strip_draft_enter(s, s->pairs[2 * (size_t)i + 1], &row->to)) {
            return false;
        }
        cell = enter_hold(s, hold);
    } else {
        row->from = hf_get_u16(s->from + 2 * (size_t)cell->row);
        row->to = hf_get_u16(s->to + 2 * (size_t)cell->row);
    }
    row->settles = (uint32_t)(cell - s->hold_cells);
    take(plain, &cell->left, row);
    return true;
}
