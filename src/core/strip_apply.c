/* Evolve: a strip into the state, as its events one by one would be (state_apply.c). */
#include "core/strip_apply.h"

#include "base/alloc.h"
#include "base/check.h"
#include "core/strip.h"

#define PREFETCH_AHEAD 8u
#define PLACES_AHEAD   8u /* places of accounts, before that */

bool hf_strip_reserve(struct hf_state *state, const struct hf_strip *strip, size_t *records,
                      size_t *dues)
{
    size_t entries = 2 * (size_t)strip->count / HF_ENTRY_STRIDE + 2 * (size_t)strip->account_count;
    *records += strip->count + entries;
    if (!hf_strip_reserve_holds(state, strip, records, dues)) {
        return false;
    }
    if (strip->account_count <= state->strip_capacity) {
        return true;
    }
    size_t bytes = strip->account_count * sizeof(struct hf_account *);
    struct hf_account **accounts = hf_realloc(state->strip_accounts, bytes);
    if (accounts == NULL) {
        return false;
    }
    state->strip_accounts = accounts;
    state->strip_capacity = strip->account_count;
    return true;
}

/* Account i of the list, which is looked at a little later. */
static void find_account(struct hf_state *state, const struct hf_strip *strip, uint32_t i)
{
    if (strip->found_in == state) {
        state->strip_accounts[i] = strip->found[i];
        hf_account_prefetch(strip->found[i]);
        return;
    }
    if (i + PLACES_AHEAD < strip->account_count) {
        hf_account_pool_prefetch(&state->accounts, &strip->accounts[i + PLACES_AHEAD].name.id);
    }
    state->strip_accounts[i] = hf_account_pool_guess(&state->accounts, &strip->accounts[i].name.id);
}

/* A hex text follows from the bits, so it need not be looked at. */
static bool same_name(const struct hf_account *account, const struct hf_strip_account *before)
{
    return hf_id_equal(&account->name.id, &before->name.id) &&
           (before->hex_name ? account->hex_name
                             : hf_str_equal(account->name.text, before->name.text));
}

/* Finds the accounts, and checks that they are as the strip says they were. */
static bool find_accounts(struct hf_applying *a, const struct hf_strip *strip)
{
    struct hf_state *state = a->state;
    for (uint32_t i = 0; i < PREFETCH_AHEAD && i < strip->account_count; i++) {
        find_account(state, strip, i);
    }
    for (uint32_t i = 0; i < strip->account_count; i++) {
        const struct hf_strip_account *before = &strip->accounts[i];
        if (i + PREFETCH_AHEAD < strip->account_count) {
            find_account(state, strip, i + PREFETCH_AHEAD);
        }
        struct hf_account *account =
            hf_account_pool_confirm(&state->accounts, state->strip_accounts[i], &before->name.id);
        state->strip_accounts[i] = account;
        if (account == NULL || !same_name(account, before)) {
            return hf_apply_damaged(a, "strip of an unknown account");
        }
        if (account->mark < i && state->strip_accounts[account->mark] == account) {
            return hf_apply_damaged(a, "strip has an account twice");
        }
        if (account->version != before->version ||
            account->last_position != before->last_position ||
            memcmp(&account->totals, &before->totals, sizeof(before->totals)) != 0) {
            return hf_apply_damaged(a, "strip does not follow from the account's last entry");
        }
        if (!hf_asset_equal(&account->asset, &strip->assets[before->asset])) {
            return hf_apply_damaged(a, "assets or accounts do not fit");
        }
        account->mark = i;
    }
    return true;
}

/* Is an entry's version one of those between that are in the index? `before`: the account's one before the strip. Of many in one
 * commit one will do. */
static bool is_fine(uint64_t version, uint64_t before)
{
    return version % HF_ENTRY_STRIDE_FINE == 0 && version - before <= HF_ENTRY_STRIDE_FINE;
}

static void write_entry(struct hf_applying *a, struct hf_account *account, uint64_t before)
{
    account->version++;
    if (account->version % HF_ENTRY_STRIDE == 0 || is_fine(account->version, before)) {
        hf_apply_index(a, HF_INDEX_ENTRY, &account->name.id, account->version, 0);
    }
}

/* What a transfer or a hold must fulfil, and a capture or void need not: their hold did. */
static bool check_limits(struct hf_applying *a, const struct hf_account *from,
                         const struct hf_account *to)
{
    if (from->state != HF_ACCOUNT_OPEN || to->state != HF_ACCOUNT_OPEN) {
        return hf_apply_damaged(a, "account is not open");
    }
    if (from->has_floor && hf_totals_available(&from->totals) < from->floor) {
        return hf_apply_damaged(a, "below the floor");
    }
    if (to->has_ceiling && hf_totals_incoming(&to->totals) > to->ceiling) {
        return hf_apply_damaged(a, "above the ceiling");
    }
    return true;
}

static bool move(struct hf_applying *a, const struct hf_strip *strip, uint32_t k,
                 struct hf_account *from, struct hf_account *to)
{
    /* Room for the sums was checked when the strip was read or made. */
    struct hf_strip_move move = hf_strip_move(strip, k);
    from->totals.debits_posted += move.posted;
    from->totals.debits_pending += move.pending_up - move.pending_down;
    to->totals.credits_posted += move.posted;
    to->totals.credits_pending += move.pending_up - move.pending_down;
    if (from->totals.debits_posted + from->totals.debits_pending > HF_TOTAL_MAX ||
        to->totals.credits_posted + to->totals.credits_pending > HF_TOTAL_MAX) {
        return hf_apply_damaged(a, "balances beyond the most that they may be");
    }
    if (!hf_strip_settles(strip, k) && !check_limits(a, from, to)) {
        return false;
    }
    write_entry(a, from, strip->accounts[hf_strip_from(strip, k)].version);
    write_entry(a, to, strip->accounts[hf_strip_to(strip, k)].version);
    return true;
}

/* Per asset, both sides' sums. Rows of one asset mostly follow each other. */
static void move_assets(struct hf_applying *a, const struct hf_strip *strip)
{
    struct hf_assets *assets = &a->state->assets;
    struct hf_strip_move sum = {0};
    uint32_t asset = 0;
    for (uint32_t k = 0; k < strip->count; k++) {
        struct hf_strip_move move = hf_strip_move(strip, k);
        uint32_t next = strip->accounts[hf_strip_from(strip, k)].asset;
        if (next != asset) {
            hf_assets_move(assets, &strip->assets[asset], sum.posted, sum.pending_up,
                           sum.pending_down);
            sum = (struct hf_strip_move){0};
            asset = next;
        }
        sum.posted += move.posted;
        sum.pending_up += move.pending_up;
        sum.pending_down += move.pending_down;
    }
    hf_assets_move(assets, &strip->assets[asset], sum.posted, sum.pending_up, sum.pending_down);
}

/* What row k will look at. */
static void prefetch_row(const struct hf_state *state, const struct hf_strip *strip, uint32_t k)
{
    hf_account_prefetch(state->strip_accounts[hf_strip_from(strip, k)]);
    hf_account_prefetch(state->strip_accounts[hf_strip_to(strip, k)]);
    if (hf_strip_kind(strip, k) != HF_STRIP_HOLD) {
        struct hf_index_key key = {.kind = HF_INDEX_TRANSFER, .id = hf_strip_id(strip, k)};
        hf_recent_prefetch_put(&state->recent, &key);
    }
    if (hf_strip_kind(strip, k) != HF_STRIP_TRANSFER) {
        hf_strip_prefetch_hold(state, strip, k);
    }
}

static bool apply_row(struct hf_applying *a, const struct hf_strip *strip, uint32_t k)
{
    struct hf_account *from = a->state->strip_accounts[hf_strip_from(strip, k)];
    struct hf_account *to = a->state->strip_accounts[hf_strip_to(strip, k)];
    if (!move(a, strip, k, from, to)) {
        return false;
    }
    if (hf_strip_kind(strip, k) != HF_STRIP_TRANSFER) {
        return hf_strip_apply_hold(a, strip, k, from, to);
    }
    struct hf_id id = hf_strip_id(strip, k);
    hf_apply_index(a, HF_INDEX_TRANSFER, &id, 0, 0);
    return true;
}

bool hf_strip_apply(struct hf_applying *a, const struct hf_strip *strip)
{
    struct hf_state *state = a->state;
    uint32_t first = a->commit->event_count;
    if (!find_accounts(a, strip) || !hf_strip_find_holds(a, strip)) {
        return false;
    }
    for (uint32_t k = 0; k < strip->count; k++) {
        if (k + PREFETCH_AHEAD < strip->count) {
            prefetch_row(state, strip, k + PREFETCH_AHEAD);
        }
        a->index = first + k;
        if (!apply_row(a, strip, k)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < strip->account_count; i++) {
        state->strip_accounts[i]->modified_at_us = a->commit->time_us;
        state->strip_accounts[i]->last_position = a->commit->position;
    }
    move_assets(a, strip);
    return true;
}
