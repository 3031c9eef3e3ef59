/*
 * Plain transfers whose ids are all new: decided as a strip (core/strip.h), without events or copies of accounts.
 *
 * The rules, and the order of refusals, are those of decide_transfer.c; its functions are used. What is not usual (an id
 * that is known or comes twice, too many assets; of those that came as JSON also one that is refused, or an account that
 * has the asked-for bits and another text) is left to decide_each.c, which takes anything.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "core/decide_priv.h"
#include "core/strip.h"

#define LOOK_AHEAD   8u  /* look-ups whose memory is asked for early */
#define PLACES_AHEAD 16u /* places of accounts, before that */
#define SLOT_FREE    0u
#define ROUND_UP(n)  (((n) + 15u) & ~(size_t)15u)

/* An account that the strip moves. */
struct cell {
    struct hf_account *
        account; /* in the state: its limits are looked at, nothing of it is changed but its mark */
    struct hf_totals totals; /* after the transfers so far */
};

struct strip_draft {
    struct hf_deciding *d;
    struct hf_outcome *outcomes;
    const struct hf_packed_transfer *plain;
    uint32_t count;
    struct hf_account **pairs; /* from and to of each record, found ahead; NULL: there is none */
    struct cell *cells;        /* strip.account_count of them */
    struct hf_account **found; /* theirs, for evolve */
    struct hf_strip *strip;
    struct hf_strip_account *accounts;
    struct hf_asset assets[HF_STRIP_ASSETS_MAX];
    uint8_t hashes[HF_STRIP_ASSETS_MAX][HF_ASSET_HASH_BYTES];
    uint8_t *ids, *from, *to, *amounts, *operations, *effective, *user_data, *codes;
    bool any_effective, any_user_data, any_code;
};

/* ---- ids ---- */

/* Is every id new, and none there twice? STEP_REFUSED: no; STEP_STOP: something is to be fetched. */
static enum hf_step check_ids(struct strip_draft *s, uint16_t *slots, uint32_t slot_count)
{
    struct hf_deciding *d = s->d;
    bool unknown = false;
    memset(slots, 0, slot_count * sizeof(*slots));
    for (uint32_t i = 0; i < s->count; i++) {
        const struct hf_id *id = &s->plain[i].id;
        if (i + LOOK_AHEAD < s->count) {
            struct hf_index_key ahead = {.kind = HF_INDEX_TRANSFER,
                                         .id = s->plain[i + LOOK_AHEAD].id};
            hf_recent_prefetch(&d->state->recent, &ahead);
        }
        struct hf_index_value value;
        enum hf_lookup lookup = hf_view_lookup(&d->draft->view, HF_INDEX_TRANSFER, id, 0, &value);
        if (lookup == HF_LOOKUP_PRESENT) {
            return STEP_REFUSED;
        }
        unknown = unknown || lookup == HF_LOOKUP_UNKNOWN;
        uint32_t at = (uint32_t)hf_id_hash(id, d->state->accounts.seed) & (slot_count - 1);
        while (slots[at] != SLOT_FREE) {
            if (hf_id_equal(&s->plain[slots[at] - 1].id, id)) {
                return STEP_REFUSED;
            }
            at = (at + 1) & (slot_count - 1);
        }
        slots[at] = (uint16_t)(i + 1);
    }
    return unknown ? STEP_STOP : STEP_OK;
}

/* ---- accounts ---- */

/* Most likely from and to of record i, without a look at them. */
static void guess_pair(struct strip_draft *s, uint32_t i)
{
    const struct hf_account_pool *accounts = &s->d->state->accounts;
    s->pairs[2 * (size_t)i] = hf_account_pool_guess(accounts, &s->plain[i].from);
    s->pairs[2 * (size_t)i + 1] = hf_account_pool_guess(accounts, &s->plain[i].to);
}

static void look_ahead(struct strip_draft *s, uint32_t i)
{
    const struct hf_account_pool *accounts = &s->d->state->accounts;
    if (i + PLACES_AHEAD < s->count) {
        hf_account_pool_prefetch(accounts, &s->plain[i + PLACES_AHEAD].from);
        hf_account_pool_prefetch(accounts, &s->plain[i + PLACES_AHEAD].to);
    }
    if (i + LOOK_AHEAD < s->count) {
        guess_pair(s, i + LOOK_AHEAD);
    }
}

/* What was guessed for record i is found now. */
static void confirm_pair(struct strip_draft *s, uint32_t i)
{
    const struct hf_account_pool *accounts = &s->d->state->accounts;
    struct hf_account **pair = &s->pairs[2 * (size_t)i];
    pair[0] = hf_account_pool_confirm(accounts, pair[0], &s->plain[i].from);
    pair[1] = hf_account_pool_confirm(accounts, pair[1], &s->plain[i].to);
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

/* ---- transfers ---- */

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
    *spent = (struct hf_spent){.kind = HF_KIND_TRANSFER, .name = op.id};
    event->unit_refused = (struct hf_unit_refused){
        .refused = {.code = code, .where = HF_WHERE_DO, .spent_count = 1, .spent = spent},
        .count = 1,
    };
    s->outcomes[i].code = (uint16_t)code;
    return hf_unit_hash(d, &op, 1, event->unit_refused.content_hash) ? STEP_OK : STEP_STOP;
}

/* The account's cell, made if there is none; false: it has one asset too many. */
static bool enter(struct strip_draft *s, struct hf_account *account, uint32_t *number)
{
    struct hf_strip *strip = s->strip;
    if (!has_cell(s, account)) {
        uint32_t asset = asset_number(s, &account->asset);
        if (asset == HF_STRIP_ASSETS_MAX) {
            return false;
        }
        account->mark = strip->account_count;
        s->cells[account->mark] = (struct cell){account, account->totals};
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

static bool post(struct strip_draft *s, uint32_t i)
{
    const struct hf_packed_transfer *plain = &s->plain[i];
    size_t k = s->strip->count;
    uint32_t from;
    uint32_t to;
    if (!enter(s, s->pairs[2 * (size_t)i], &from) || !enter(s, s->pairs[2 * (size_t)i + 1], &to)) {
        return false;
    }
    s->cells[from].totals.debits_posted += plain->amount;
    s->cells[to].totals.credits_posted += plain->amount;
    memcpy(s->ids + 16 * k, plain->id.bytes, sizeof(plain->id.bytes));
    hf_put_u16(s->from + 2 * k, (uint16_t)from);
    hf_put_u16(s->to + 2 * k, (uint16_t)to);
    hf_put_u64(s->amounts + 8 * k, plain->amount);
    hf_put_u16(s->operations + 2 * k, (uint16_t)i);
    hf_put_u64(s->effective + 8 * k, plain->effective_at_us);
    hf_put_u32(s->codes + 4 * k, plain->code);
    memcpy(s->user_data + HF_USER_DATA_BYTES * k, plain->user_data, HF_USER_DATA_BYTES);
    static const uint8_t none[HF_USER_DATA_BYTES];
    s->any_effective = s->any_effective || plain->effective_at_us != 0;
    s->any_code = s->any_code || plain->code != 0;
    s->any_user_data = s->any_user_data || memcmp(plain->user_data, none, sizeof(none)) != 0;
    s->strip->count++;
    return true;
}

/* ---- the whole ---- */

static void *take(uint8_t **at, size_t bytes)
{
    void *taken = *at;
    *at += ROUND_UP(bytes);
    return taken;
}

/* All that is made, in one piece of memory that the draft keeps. */
static bool make_room(struct strip_draft *s, uint16_t **slots, uint32_t slot_count)
{
    struct hf_draft *draft = s->d->draft;
    size_t n = s->count;
    size_t row = 2 * (2 * sizeof(void *) + sizeof(*s->cells) + sizeof(*s->accounts)) + 16 + 2 + 2 +
                 8 + 2 + 8 + HF_USER_DATA_BYTES + 4;
    size_t bytes = n * row + slot_count * sizeof(**slots) + 13 * 16;
    if (bytes > draft->strip_room_bytes) {
        void *room = hf_realloc(draft->strip_room, bytes);
        if (room == NULL) {
            return false;
        }
        draft->strip_room = room;
        draft->strip_room_bytes = bytes;
    }
    uint8_t *at = draft->strip_room;
    s->cells = take(&at, 2 * n * sizeof(*s->cells));
    s->accounts = take(&at, 2 * n * sizeof(*s->accounts));
    s->pairs = take(&at, 2 * n * sizeof(struct hf_account *));
    s->found = take(&at, 2 * n * sizeof(struct hf_account *));
    s->ids = take(&at, 16 * n);
    s->from = take(&at, 2 * n);
    s->to = take(&at, 2 * n);
    s->amounts = take(&at, 8 * n);
    s->operations = take(&at, 2 * n);
    s->effective = take(&at, 8 * n);
    s->user_data = take(&at, HF_USER_DATA_BYTES * n);
    s->codes = take(&at, 4 * n);
    *slots = take(&at, slot_count * sizeof(**slots));
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
    strip->found_in = s->d->state;
    strip->ids = s->ids;
    strip->from = s->from;
    strip->to = s->to;
    strip->amounts = s->amounts;
    /* They ascend: if the last one is of its own number all are. */
    bool moved = hf_get_u16(s->operations + 2 * (size_t)(strip->count - 1)) != strip->count - 1;
    strip->operations = moved ? s->operations : NULL;
    strip->effective = s->any_effective ? s->effective : NULL;
    strip->user_data = s->any_user_data ? s->user_data : NULL;
    strip->codes = s->any_code ? s->codes : NULL;
    s->d->draft->commit.strip = strip;
}

enum hf_step hf_decide_strip(struct hf_deciding *d, struct hf_outcome *outcomes)
{
    struct hf_arena *arena = &d->draft->view.arena;
    struct strip_draft *s = hf_arena_alloc_zero(arena, 1, sizeof(*s));
    struct hf_strip *strip = hf_arena_alloc_zero(arena, 1, sizeof(*strip));
    uint32_t slot_count = 16;
    uint16_t *slots;
    if (s == NULL || strip == NULL) {
        return hf_short(d);
    }
    s->d = d;
    s->outcomes = outcomes;
    s->plain = d->command->plain;
    s->count = d->command->op_count;
    s->strip = strip;
    while (slot_count < 2 * s->count) {
        slot_count *= 2;
    }
    if (!make_room(s, &slots, slot_count)) {
        return hf_short(d);
    }
    enum hf_step step = check_ids(s, slots, slot_count);
    for (uint32_t i = 0; step == STEP_OK && i < LOOK_AHEAD && i < s->count; i++) {
        guess_pair(s, i);
    }
    bool fits = true;
    for (uint32_t i = 0; step == STEP_OK && fits && i < s->count; i++) {
        look_ahead(s, i);
        confirm_pair(s, i);
        enum hf_err code = refusal_of(s, i);
        if (!is_as_plain(s, i, code)) {
            fits = false;
        } else if (code != HF_ERR_OK) {
            step = refuse(s, i, code);
        } else {
            fits = post(s, i);
        }
    }
    if (!fits) {
        hf_draft_clear_effects(d->draft);
        memset(outcomes, 0, s->count * sizeof(*outcomes));
        return STEP_REFUSED;
    }
    finish(s);
    return step;
}
