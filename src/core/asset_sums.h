/*
 * What there is of each asset: sums over all accounts, kept up to date with every entry.
 *
 * Owns: one record an asset. Must never: net debits with credits, forget an asset, wrap around. Called
 * by: state (evolve adds), reads. Not stored: the same log gives the same sums.
 */
#ifndef HF_CORE_ASSET_SUMS_H
#define HF_CORE_ASSET_SUMS_H

#include "base/u128.h"
#include "core/entity.h"

/* Σ of an asset over all accounts. */
struct hf_asset_sums {
    struct hf_asset asset;
    uint64_t accounts;
    struct hf_wide debits_posted, credits_posted, debits_pending, credits_pending;
};

struct hf_assets {
    struct hf_asset_sums *items; /* owned; in the order in which the assets came up */
    size_t count;
    size_t capacity;
    struct hf_table places; /* asset -> its item's number + 1, as a pointer */
    size_t newest;          /* item that was looked up last */
};

void hf_assets_init(struct hf_assets *assets, uint64_t seed);
void hf_assets_release(struct hf_assets *assets);

/* Room for `more` further assets; false if memory is short. */
bool hf_assets_reserve(struct hf_assets *assets, size_t more) HF_WARN_UNUSED;
/* Counts an account with what it holds. Room must be reserved. */
void hf_assets_add_account(struct hf_assets *assets, const struct hf_account *account);
/* Both sides' totals changed: posted and pending up, or pending down. */
void hf_assets_move(struct hf_assets *assets, const struct hf_asset *asset, hf_u128 posted,
                    hf_u128 pending_up, hf_u128 pending_down);

/* NULL: no account has it. */
const struct hf_asset_sums *hf_assets_get(const struct hf_assets *assets,
                                          const struct hf_asset *asset);

#endif
