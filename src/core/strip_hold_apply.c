/* Evolve: the holds of a strip, as state_apply.c does for events. */
#include "base/alloc.h"
#include "base/check.h"
#include "base/prefetch.h"
#include "core/strip.h"
#include "core/strip_apply.h"

#define PREFETCH_AHEAD 8u  /* holds that are asked for early */
#define SLOTS_AHEAD    16u /* slots of their table, before that */

static struct hf_id listed_id(const struct hf_strip *strip, uint32_t i)
{
    struct hf_id id;
    memcpy(id.bytes, strip->holds.ids + sizeof(id.bytes) * (size_t)i, sizeof(id.bytes));
    return id;
}

static uint64_t value_at(const uint8_t *column, uint32_t at)
{
    return column == NULL ? 0 : hf_get_u64(column + 8 * (size_t)at);
}

/* ---- memory ---- */

static bool reserve_list(struct hf_state *state, size_t count)
{
    if (count <= state->strip_hold_capacity) {
        return true;
    }
    struct hf_hold **holds = hf_realloc(state->strip_holds, count * sizeof(struct hf_hold *));
    if (holds != NULL) {
        state->strip_holds = holds;
        state->strip_hold_capacity = count;
    }
    return holds != NULL;
}

bool hf_strip_reserve_holds(struct hf_state *state, const struct hf_strip *strip, size_t *records,
                            size_t *dues)
{
    size_t opened = 0;
    bool ok = reserve_list(state, strip->holds.count);
    for (uint32_t k = 0; ok && strip->kinds != NULL && k < strip->count; k++) {
        *records += hf_strip_settles(strip, k); /* the hold's, beside the row's own */
        if (hf_strip_kind(strip, k) == HF_STRIP_HOLD) {
            struct hf_id id = hf_strip_id(strip, k);
            opened++;
            *dues += hf_strip_time(strip, k) != 0;
            ok = hf_state_add_spare(state, hf_hold_new_hex(&id));
        }
    }
    return ok && hf_table_reserve(&state->holds, opened);
}

/* ---- the holds that were open before ---- */

/* Hold i of the list, which is looked at a little later. */
static void find_hold(struct hf_state *state, const struct hf_strip *strip, uint32_t i)
{
    if (strip->found_in == state) {
        state->strip_holds[i] = strip->found_holds[i];
    } else {
        struct hf_id id = listed_id(strip, i);
        state->strip_holds[i] = hf_state_hold(state, &id);
    }
    for (size_t at = 0; state->strip_holds[i] != NULL && at < sizeof(struct hf_hold); at += 64) {
        hf_prefetch((const char *)state->strip_holds[i] + at);
    }
}

static void look_ahead(struct hf_state *state, const struct hf_strip *strip, uint32_t i)
{
    if (i + SLOTS_AHEAD < strip->holds.count && strip->found_in != state) {
        struct hf_id id = listed_id(strip, i + SLOTS_AHEAD);
        hf_table_prefetch(&state->holds, &id);
    }
    if (i + PREFETCH_AHEAD < strip->holds.count) {
        find_hold(state, strip, i + PREFETCH_AHEAD);
    }
}

static bool is_as_listed(const struct hf_hold *hold, const struct hf_strip_holds *holds, uint32_t i)
{
    return hold->hex_name && hold->owner == 0 && hold->amount == value_at(holds->amounts, i) &&
           hold->captured == value_at(holds->captured, i) &&
           hold->expires_at_us == value_at(holds->expires, i) &&
           hold->opened_position == value_at(holds->opened_positions, i) &&
           hold->opened_at_us == value_at(holds->opened_times, i) &&
           hold->version == value_at(holds->changes, i) + 1;
}

bool hf_strip_find_holds(struct hf_applying *a, const struct hf_strip *strip)
{
    struct hf_state *state = a->state;
    for (uint32_t i = 0; i < PREFETCH_AHEAD && i < strip->holds.count; i++) {
        find_hold(state, strip, i);
    }
    for (uint32_t i = 0; i < strip->holds.count; i++) {
        look_ahead(state, strip, i);
        const struct hf_hold *hold = state->strip_holds[i];
        struct hf_id id = listed_id(strip, i);
        if (hold == NULL || !hf_id_equal(&hold->name.id, &id)) {
            return hf_apply_damaged(a, "strip of a hold that is not open");
        }
        if (!is_as_listed(hold, &strip->holds, i)) {
            return hf_apply_damaged(a, "strip does not follow from the hold");
        }
    }
    return true;
}

/* ---- rows ---- */

void hf_strip_prefetch_hold(const struct hf_state *state, const struct hf_strip *strip, uint32_t k)
{
    struct hf_index_key key = {.kind = HF_INDEX_HOLD, .id = hf_strip_id(strip, k)};
    if (hf_strip_settles(strip, k)) {
        uint32_t settled = hf_strip_settled(strip, k);
        key.id = (settled & HF_STRIP_OWN_HOLD) == 0
                     ? listed_id(strip, settled)
                     : hf_strip_id(strip, settled & ~HF_STRIP_OWN_HOLD);
    }
    hf_recent_prefetch_put(&state->recent, &key);
    hf_table_prefetch(&state->holds, &key.id);
}

static bool open_hold(struct hf_applying *a, const struct hf_strip *strip, uint32_t k,
                      const struct hf_account *from, const struct hf_account *to)
{
    struct hf_state *state = a->state;
    struct hf_hold *hold = hf_state_take_spare(state);
    HF_CHECK(hold->hex_name);
    hold->from = from->name; /* which outlives it: no account is ever removed */
    hold->to = to->name;
    hold->asset = from->asset;
    hold->state = HF_HOLD_OPEN;
    hold->amount = hf_strip_amount(strip, k);
    hold->remaining = hold->amount;
    hold->expires_at_us = hf_strip_time(strip, k);
    hold->opened_position = a->commit->position;
    hold->opened_at_us = a->commit->time_us;
    hold->version = 1;
    hold->last_position = a->commit->position;
    hold->modified_at_us = a->commit->time_us;
    if (hf_table_put(&state->holds, &hold->name.id, hold) != NULL) {
        return hf_apply_damaged(a, "hold can't begin like that");
    }
    hf_state_push_due(state, HF_KIND_HOLD, &hold->name.id, hold->expires_at_us);
    hf_apply_index(a, HF_INDEX_HOLD, &hold->name.id, 0, 0);
    return true;
}

/* What row k settles; NULL: it is not open, or not any more. */
static struct hf_hold *settled_hold(const struct hf_state *state, const struct hf_strip *strip,
                                    uint32_t k)
{
    uint32_t settled = hf_strip_settled(strip, k);
    if ((settled & HF_STRIP_OWN_HOLD) == 0) {
        return state->strip_holds[settled];
    }
    struct hf_id id = hf_strip_id(strip, settled & ~HF_STRIP_OWN_HOLD);
    return hf_state_hold(state, &id);
}

static bool settle(struct hf_applying *a, const struct hf_strip *strip, uint32_t k,
                   const struct hf_account *from, const struct hf_account *to)
{
    struct hf_hold *hold = settled_hold(a->state, strip, k);
    bool captures = hf_strip_kind(strip, k) == HF_STRIP_CAPTURE;
    struct hf_id id = hf_strip_id(strip, k);
    struct hf_strip_move move = hf_strip_move(strip, k);
    /* That a void or a capture which gives something back leaves nothing was checked when the strip was read or made. */
    if (hold == NULL || move.pending_down > hold->remaining ||
        !hf_id_equal(&hold->from.id, &from->name.id) || !hf_id_equal(&hold->to.id, &to->name.id)) {
        return hf_apply_damaged(a, "hold's sums do not follow");
    }
    hold->captured += move.posted;
    hold->remaining -= move.pending_down;
    hold->version++;
    hold->last_position = a->commit->position;
    hold->modified_at_us = a->commit->time_us;
    hf_apply_index(a, HF_INDEX_TRANSFER, &id, 0, captures ? 0 : HF_INDEX_SPENT);
    hf_apply_index(a, HF_INDEX_HOLD, &hold->name.id, 0, 0);
    if (hold->remaining == 0) {
        HF_CHECK(hf_table_remove(&a->state->holds, &hold->name.id) == hold);
        if ((hf_strip_settled(strip, k) & HF_STRIP_OWN_HOLD) == 0) {
            a->state->strip_holds[hf_strip_settled(strip, k)] = NULL;
        }
        hf_free(hold);
    }
    return true;
}

bool hf_strip_apply_hold(struct hf_applying *a, const struct hf_strip *strip, uint32_t k,
                         const struct hf_account *from, const struct hf_account *to)
{
    return hf_strip_settles(strip, k) ? settle(a, strip, k, from, to)
                                      : open_hold(a, strip, k, from, to);
}
