/*
 * Plain records whose ids are all new: decided as a strip (core/strip.h), without events or copies of accounts and holds.
 *
 * The rules, and the order of refusals, are those of decide_transfer.c and decide_hold.c; the former's functions are used. What is
 * not usual (an id that is known or comes twice, too many assets, a hold as in decide_strip_hold.c; of those that came as JSON
 * also one that is refused, or an account that has the asked-for bits and another text) is left to decide_each.c, which takes
 * anything.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "core/decide_strip_priv.h"

#define LOOK_AHEAD  8u /* look-ups whose memory is asked for early */
#define SLOT_FREE   0u
#define ROUND_UP(n) (((n) + 15u) & ~(size_t)15u)

/* ---- ids ---- */

static uint32_t slot_of(const struct strip_draft *s, const struct hf_id *id, bool hold)
{
    uint32_t at = (uint32_t)hf_id_hash(id, s->d->state->accounts.seed) & (s->slot_count - 1);
    while (s->slots[at] != SLOT_FREE) {
        const struct hf_packed_transfer *plain = &s->plain[s->slots[at] - 1];
        if (hf_id_equal(&plain->id, id) && (plain->type == HF_OP_HOLD) == hold) {
            break;
        }
        at = (at + 1) & (s->slot_count - 1);
    }
    return at;
}

/* The records before `end` get their slots. They are made when they are needed: of ids that ascend none comes twice. false: one of
 * them has. */
static bool fill_slots(struct strip_draft *s, uint32_t end)
{
    if (s->slotted == 0) {
        memset(s->slots, 0, s->slot_count * sizeof(*s->slots));
    }
    for (; s->slotted < end; s->slotted++) {
        const struct hf_packed_transfer *plain = &s->plain[s->slotted];
        uint32_t at = slot_of(s, &plain->id, plain->type == HF_OP_HOLD);
        if (s->slots[at] != SLOT_FREE) {
            return false;
        }
        s->slots[at] = (uint16_t)(s->slotted + 1);
    }
    return true;
}

uint32_t hf_strip_draft_find(struct strip_draft *s, const struct hf_id *id, bool hold)
{
    bool once = fill_slots(s, s->count);
    HF_CHECK(once); /* check_ids has seen to it */
    uint16_t slot = s->slots[slot_of(s, id, hold)];
    return slot == SLOT_FREE ? s->count : slot - 1u;
}

static struct hf_index_key key_of(const struct hf_packed_transfer *plain)
{
    return (struct hf_index_key){.kind = hf_index_kind_of_plain(plain), .id = plain->id};
}

/* Is every id new, and none there twice? STEP_REFUSED: no; STEP_STOP: something is to be fetched. */
static enum hf_step check_ids(struct strip_draft *s)
{
    struct hf_deciding *d = s->d;
    bool unknown = false;
    hf_u128 highest = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        if (i + LOOK_AHEAD < s->count) {
            struct hf_index_key ahead = key_of(&s->plain[i + LOOK_AHEAD]);
            hf_recent_prefetch(&d->state->recent, &ahead);
        }
        struct hf_index_value value;
        struct hf_index_key key = key_of(&s->plain[i]);
        enum hf_lookup lookup = hf_view_lookup_new(&d->draft->view, key.kind, &key.id, &value);
        hf_u128 number = hf_id_number(&key.id);
        bool ascends = i == 0 || number > highest;
        if (lookup == HF_LOOKUP_PRESENT || (!ascends && !fill_slots(s, i + 1))) {
            return STEP_REFUSED;
        }
        unknown = unknown || lookup == HF_LOOKUP_UNKNOWN;
        highest = ascends ? number : highest;
    }
    return unknown ? STEP_STOP : STEP_OK;
}

/* ---- accounts ---- */

/* The ids of the accounts that record i moves; false: of a hold that is not there. */
static bool pair_of(const struct strip_draft *s, uint32_t i, const struct hf_id **from,
                    const struct hf_id **to)
{
    const struct hf_packed_transfer *plain = &s->plain[i];
    if (!hf_plain_settles(plain)) {
        *from = &plain->from;
        *to = &plain->to;
        return true;
    }
    const struct hf_hold *hold = s->holds[i];
    if (hold != NULL) {
        *from = &hold->from.id;
        *to = &hold->to.id;
    }
    return hold != NULL;
}

static void ask_for_pair(struct strip_draft *s, uint32_t i)
{
    const struct hf_account_pool *accounts = &s->d->state->accounts;
    const struct hf_id *from, *to;
    if (pair_of(s, i, &from, &to)) {
        hf_account_pool_prefetch(accounts, from);
        hf_account_pool_prefetch(accounts, to);
    }
}

/* Most likely from and to of record i, without a look at them. */
static void guess_pair(struct strip_draft *s, uint32_t i)
{
    const struct hf_account_pool *accounts = &s->d->state->accounts;
    const struct hf_id *from, *to;
    if (pair_of(s, i, &from, &to)) {
        s->pairs[2 * (size_t)i] = hf_account_pool_guess(accounts, from);
        s->pairs[2 * (size_t)i + 1] = hf_account_pool_guess(accounts, to);
    }
}

/* What was guessed for record i is found now. */
static void confirm_pair(struct strip_draft *s, uint32_t i)
{
    const struct hf_account_pool *accounts = &s->d->state->accounts;
    struct hf_account **pair = &s->pairs[2 * (size_t)i];
    const struct hf_id *from, *to;
    if (pair_of(s, i, &from, &to)) {
        pair[0] = hf_account_pool_confirm(accounts, pair[0], from);
        pair[1] = hf_account_pool_confirm(accounts, pair[1], to);
    }
}

/* The asset's number; HF_STRIP_ASSETS_MAX: there are too many. */
static uint32_t asset_number(struct strip_draft *s, const struct hf_asset *asset)
{
    struct hf_strip *strip = s->strip;
    uint32_t i = 0;
    while (i < strip->asset_count && !hf_asset_equal(&s->assets[i], asset)) {
        i++;
    }
    if (i == strip->asset_count && i < HF_STRIP_ASSETS_MAX) {
        s->assets[i] = *asset;
        hf_asset_hash(asset, s->hashes[i]);
        strip->asset_count++;
    }
    return i;
}

/* The number of the account's cell if it has one. */
static bool has_cell(const struct strip_draft *s, const struct hf_account *account)
{
    return account->mark < s->strip->account_count && s->cells[account->mark].account == account;
}

/* The totals of an account as the strip has left them so far. */
static const struct hf_totals *totals_of(const struct strip_draft *s,
                                         const struct hf_account *account)
{
    return has_cell(s, account) ? &s->cells[account->mark].totals : &account->totals;
}

/* ---- transfers and holds ---- */

static bool has_hash(const struct hf_deciding *d, const struct hf_packed_transfer *plain)
{
    return memcmp(plain->asset_hash, d->asset_hash, HF_ASSET_HASH_BYTES) == 0;
}

static bool asset_fits(struct hf_deciding *d, const struct hf_packed_transfer *plain,
                       const struct hf_asset *asset)
{
    if (!hf_asset_equal(&d->hashed_asset, asset)) {
        hf_asset_hash(asset, d->asset_hash);
        d->hashed_asset = *asset;
    }
    return has_hash(d, plain);
}

/* In the order of decide_transfer.c. */
static enum hf_err refusal_of(struct strip_draft *s, uint32_t i)
{
    const struct hf_packed_transfer *plain = &s->plain[i];
    const struct hf_account *from = s->pairs[2 * (size_t)i];
    const struct hf_account *to = s->pairs[2 * (size_t)i + 1];
    if (plain->amount == 0) {
        return HF_ERR_AMOUNT_INVALID;
    }
    if (from == NULL || to == NULL) {
        return HF_ERR_ACCOUNT_NOT_FOUND;
    }
    enum hf_err code = hf_state_refusal(from);
    code = code == HF_ERR_OK ? hf_state_refusal(to) : code;
    if (code != HF_ERR_OK) {
        return code;
    }
    if (!asset_fits(s->d, plain, &from->asset) || !asset_fits(s->d, plain, &to->asset)) {
        return HF_ERR_ASSET_MISMATCH;
    }
    const struct hf_account *cause;
    return hf_move_refusal(from, totals_of(s, from), to, totals_of(s, to), plain->amount, &cause);
}

/* Does transfer i, which has a form with texts, say no more and nothing else than its plain one? Its refusal does:
 * it shows what stands in the way. */
static bool is_as_plain(const struct strip_draft *s, uint32_t i, enum hf_err code)
{
    const struct hf_op *op = s->d->command->ops == NULL ? NULL : &s->d->command->ops[i];
    return op == NULL ||
           (code == HF_ERR_OK && hf_name_asks_for(&op->subject, &s->pairs[2 * (size_t)i]->name) &&
            hf_name_asks_for(&op->to, &s->pairs[2 * (size_t)i + 1]->name));
}

/* Records that record i was refused: its id is spent. */
static enum hf_step refuse(struct strip_draft *s, uint32_t i, enum hf_err code)
{
    struct hf_deciding *d = s->d;
    struct hf_arena *arena = &d->draft->view.arena;
    struct hf_op op;
    char *text = hf_arena_alloc(arena, HF_UUID_TEXT_BYTES);
    struct hf_spent *spent = hf_arena_alloc(arena, sizeof(*spent));
    d->op_index = i;
    struct hf_event *event = hf_draft_event(d, HF_EVENT_UNIT_REFUSED);
    if (text == NULL || spent == NULL || event == NULL) {
        return hf_short(d);
    }
    hf_op_of_plain(&s->plain[i], text, &op);
    *spent = (struct hf_spent){
        .kind = op.type == HF_OP_HOLD ? HF_KIND_HOLD : HF_KIND_TRANSFER,
        .name = op.id,
    };
    event->unit_refused = (struct hf_unit_refused){
        .refused = {.code = code, .where = HF_WHERE_DO, .spent_count = 1, .spent = spent},
        .count = 1,
    };
    s->outcomes[i].code = (uint16_t)code;
    return hf_unit_hash(d, &op, 1, event->unit_refused.content_hash) ? STEP_OK : STEP_STOP;
}

bool hf_strip_draft_enter(struct strip_draft *s, struct hf_account *account, uint32_t *number)
{
    struct hf_strip *strip = s->strip;
    if (!has_cell(s, account)) {
        uint32_t asset = asset_number(s, &account->asset);
        if (asset == HF_STRIP_ASSETS_MAX) {
            return false;
        }
        account->mark = strip->account_count;
        s->cells[account->mark] = (struct strip_cell){account, account->totals};
        s->found[account->mark] = account;
        s->accounts[account->mark] = (struct hf_strip_account){
            .name = account->name,
            .totals = account->totals,
            .version = account->version,
            .last_position = account->last_position,
            .asset = asset,
            .hex_name = account->hex_name,
        };
        strip->account_count++;
    }
    *number = account->mark;
    return true;
}

/* What record i, a transfer or hold that nothing stands in the way of, comes to; false: too many assets. */
static bool begin_movement(struct strip_draft *s, uint32_t i, struct strip_row *row)
{
    const struct hf_packed_transfer *plain = &s->plain[i];
    row->amount = plain->amount;
    if (plain->type == HF_OP_HOLD) {
        row->kind = HF_STRIP_HOLD;
        row->time_us = plain->timeout_ms == 0 ? 0 : s->d->time_us + plain->timeout_ms * 1000;
        s->opened[i] = (uint16_t)(s->strip->count + 1);
        s->left[s->strip->count] = plain->amount;
    } else {
        row->kind = HF_STRIP_TRANSFER;
        row->time_us = plain->effective_at_us;
    }
    return hf_strip_draft_enter(s, s->pairs[2 * (size_t)i], &row->from) &&
           hf_strip_draft_enter(s, s->pairs[2 * (size_t)i + 1], &row->to);
}

/* ---- rows ---- */

static void write_columns(struct strip_draft *s, uint32_t i, const struct strip_row *row)
{
    static const uint8_t none[HF_USER_DATA_BYTES];
    const struct hf_packed_transfer *plain = &s->plain[i];
    size_t k = s->strip->count;
    memcpy(s->ids + 16 * k, plain->id.bytes, sizeof(plain->id.bytes));
    hf_put_u16(s->from + 2 * k, (uint16_t)row->from);
    hf_put_u16(s->to + 2 * k, (uint16_t)row->to);
    hf_put_u64(s->amounts + 8 * k, row->amount);
    hf_put_u16(s->operations + 2 * k, (uint16_t)i);
    hf_put_u64(s->times + 8 * k, row->time_us);
    hf_put_u32(s->codes + 4 * k, plain->code);
    memcpy(s->user_data + HF_USER_DATA_BYTES * k, plain->user_data, HF_USER_DATA_BYTES);
    s->kinds[k] = (uint8_t)row->kind;
    hf_put_u64(s->released + 8 * k, row->released);
    hf_put_u16(s->settles + 2 * k, (uint16_t)row->settles);
    s->any_time = s->any_time || row->time_us != 0;
    s->any_code = s->any_code || plain->code != 0;
    s->any_user_data = s->any_user_data || memcmp(plain->user_data, none, sizeof(none)) != 0;
    s->any_kind = s->any_kind || row->kind != HF_STRIP_TRANSFER;
    s->any_released = s->any_released || row->released != 0;
    s->any_settles = s->any_settles || row->kind >= HF_STRIP_CAPTURE;
}

static void add_row(struct strip_draft *s, uint32_t i, const struct strip_row *row)
{
    struct hf_totals *from = &s->cells[row->from].totals;
    struct hf_totals *to = &s->cells[row->to].totals;
    write_columns(s, i, row);
    struct hf_strip_move move = hf_strip_move_of(row->kind, row->amount, row->released);
    from->debits_posted += move.posted;
    from->debits_pending += move.pending_up - move.pending_down;
    to->credits_posted += move.posted;
    to->credits_pending += move.pending_up - move.pending_down;
    s->strip->count++;
}

/* false: record i is not usual. */
static bool decide_record(struct strip_draft *s, uint32_t i, enum hf_step *step)
{
    struct strip_row row = {0};
    enum hf_err code;
    if (hf_plain_settles(&s->plain[i])) {
        if (!hf_strip_draft_settle(s, i, &row, &code)) {
            return false;
        }
    } else {
        code = refusal_of(s, i);
        if (!is_as_plain(s, i, code) || (code == HF_ERR_OK && !begin_movement(s, i, &row))) {
            return false;
        }
    }
    if (code != HF_ERR_OK) {
        *step = refuse(s, i, code);
    } else {
        add_row(s, i, &row);
    }
    return true;
}

/* ---- the whole ---- */

/* All that is made, in one piece of memory that the draft keeps. What is not written to costs nothing. */
static bool make_room(struct strip_draft *s)
{
    struct hf_draft *draft = s->d->draft;
    size_t n = s->count;
    struct part {
        void *place; /* of the pointer to it */
        size_t bytes;
    } parts[] = {
        {&s->cells, 2 * n * sizeof(*s->cells)},
        {&s->accounts, 2 * n * sizeof(*s->accounts)},
        {&s->pairs, 2 * n * sizeof(struct hf_account *)},
        {&s->found, 2 * n * sizeof(struct hf_account *)},
        {&s->ids, 16 * n},
        {&s->from, 2 * n},
        {&s->to, 2 * n},
        {&s->amounts, 8 * n},
        {&s->operations, 2 * n},
        {&s->times, 8 * n},
        {&s->user_data, HF_USER_DATA_BYTES * n},
        {&s->codes, 4 * n},
        {&s->kinds, n},
        {&s->released, 8 * n},
        {&s->settles, 2 * n},
        {&s->holds, n * sizeof(struct hf_hold *)},
        {&s->found_holds, n * sizeof(struct hf_hold *)},
        {&s->hold_cells, n * sizeof(*s->hold_cells)},
        {&s->left, 8 * n},
        {&s->hold_ids, 16 * n},
        {&s->hold_amounts, 8 * n},
        {&s->opened_positions, 8 * n},
        {&s->opened_times, 8 * n},
        {&s->captured, 8 * n},
        {&s->expires, 8 * n},
        {&s->changes, 8 * n},
        {&s->opened, n * sizeof(*s->opened)},
        {&s->slots, s->slot_count * sizeof(*s->slots)},
    };
    size_t bytes = 0;
    for (size_t i = 0; i < HF_ARRAY_COUNT(parts); i++) {
        bytes += ROUND_UP(parts[i].bytes);
    }
    if (bytes > draft->strip_room_bytes) {
        void *room = hf_realloc(draft->strip_room, bytes);
        if (room == NULL) {
            return false;
        }
        draft->strip_room = room;
        draft->strip_room_bytes = bytes;
    }
    uint8_t *at = draft->strip_room;
    for (size_t i = 0; i < HF_ARRAY_COUNT(parts); i++) {
        memcpy(parts[i].place, &at, sizeof(at));
        at += ROUND_UP(parts[i].bytes);
    }
    return true;
}

/* The strip as far as it says something. */
static void finish(struct strip_draft *s)
{
    struct hf_strip *strip = s->strip;
    if (strip->count == 0) {
        return;
    }
    strip->arena = &s->d->draft->view.arena;
    strip->accounts = s->accounts;
    strip->assets = s->assets;
    strip->found = s->found;
    strip->found_holds = s->found_holds;
    strip->found_in = s->d->state;
    strip->ids = s->ids;
    strip->from = s->from;
    strip->to = s->to;
    strip->amounts = s->amounts;
    /* They ascend: if the last one is of its own number all are. */
    bool moved = hf_get_u16(s->operations + 2 * (size_t)(strip->count - 1)) != strip->count - 1;
    strip->operations = moved ? s->operations : NULL;
    strip->times = s->any_time ? s->times : NULL;
    strip->user_data = s->any_user_data ? s->user_data : NULL;
    strip->codes = s->any_code ? s->codes : NULL;
    strip->kinds = s->any_kind ? s->kinds : NULL;
    strip->released = s->any_released ? s->released : NULL;
    strip->settles = s->any_settles ? s->settles : NULL;
    strip->holds.ids = s->hold_ids;
    strip->holds.amounts = s->hold_amounts;
    strip->holds.opened_positions = s->opened_positions;
    strip->holds.opened_times = s->opened_times;
    strip->holds.captured = s->any_captured ? s->captured : NULL;
    strip->holds.expires = s->any_expires ? s->expires : NULL;
    strip->holds.changes = s->any_changes ? s->changes : NULL;
    s->d->draft->commit.strip = strip;
}

/* What record i will need comes into the CPU's caches in stages, each LOOK_AHEAD records before the next: where its hold is, the
 * hold, where its accounts are, the accounts. */
#define STAGES 4u

static void prepare(struct strip_draft *s, uint32_t at)
{
    static void (*const stages[STAGES])(struct strip_draft *, uint32_t) = {
        hf_strip_draft_ask_for_hold, hf_strip_draft_find_hold, ask_for_pair, guess_pair};
    for (uint32_t stage = 0; stage < STAGES; stage++) {
        uint32_t i = at - stage * LOOK_AHEAD;
        if (i < s->count) { /* not before the first one: then it is very large */
            stages[stage](s, i);
        }
    }
}

enum hf_step hf_decide_strip(struct hf_deciding *d, struct hf_outcome *outcomes)
{
    struct hf_arena *arena = &d->draft->view.arena;
    struct strip_draft *s = hf_arena_alloc_zero(arena, 1, sizeof(*s));
    struct hf_strip *strip = hf_arena_alloc_zero(arena, 1, sizeof(*strip));
    if (s == NULL || strip == NULL) {
        return hf_short(d);
    }
    s->d = d;
    s->outcomes = outcomes;
    s->plain = d->command->plain;
    s->count = d->command->op_count;
    s->strip = strip;
    s->slot_count = 16;
    while (s->slot_count < 2 * s->count) {
        s->slot_count *= 2;
    }
    if (!make_room(s)) {
        return hf_short(d);
    }
    memset(s->opened, 0, s->count * sizeof(*s->opened));
    enum hf_step step = check_ids(s);
    for (uint32_t at = 0; step == STEP_OK && at < STAGES * LOOK_AHEAD; at++) {
        prepare(s, at);
    }
    bool usual = true;
    for (uint32_t i = 0; step == STEP_OK && usual && i < s->count; i++) {
        prepare(s, i + STAGES * LOOK_AHEAD);
        confirm_pair(s, i);
        usual = decide_record(s, i, &step);
    }
    if (!usual) {
        hf_draft_clear_effects(d->draft);
        memset(outcomes, 0, s->count * sizeof(*outcomes));
        return STEP_REFUSED;
    }
    finish(s);
    return step;
}
