#include "core/asset_sums.h"

#include "base/alloc.h"
#include "base/check.h"

_Static_assert(HF_ASSET_BYTES_MAX * 6 <= 128, "an asset's text fits an id, six bits a character");

void hf_assets_init(struct hf_assets *assets, uint64_t seed)
{
    *assets = (struct hf_assets){0};
    hf_table_init(&assets->places, seed);
}

void hf_assets_release(struct hf_assets *assets)
{
    hf_free(assets->items);
    hf_table_release(&assets->places);
    *assets = (struct hf_assets){0};
}

bool hf_assets_reserve(struct hf_assets *assets, size_t more)
{
    if (!hf_table_reserve(&assets->places, more)) {
        return false;
    }
    if (more <= assets->capacity - assets->count) {
        return true;
    }
    size_t capacity = assets->capacity == 0 ? 8 : assets->capacity * 2;
    if (capacity < assets->count + more) {
        capacity = assets->count + more;
    }
    struct hf_asset_sums *items = hf_realloc(assets->items, capacity * sizeof(*items));
    if (items == NULL) {
        return false;
    }
    assets->items = items;
    assets->capacity = capacity;
    return true;
}

/* The text as a number, six bits a character: no two assets have the same. */
static struct hf_id id_of(const struct hf_asset *asset)
{
    struct hf_id id;
    hf_u128 packed = 0;
    for (unsigned i = 0; i < asset->len; i++) {
        unsigned c = (unsigned char)asset->text[i];
        unsigned six = c >= 'A' && c <= 'Z'   ? c - 'A' + 1
                       : c >= '0' && c <= '9' ? c - '0' + 27
                       : c == '_'             ? 37
                                              : 38;
        packed = packed << 6 | six;
    }
    memcpy(id.bytes, &packed, sizeof(id.bytes));
    return id;
}

/* The item's number; assets->count: there is none. */
static size_t find(const struct hf_assets *assets, const struct hf_asset *asset)
{
    if (assets->newest < assets->count &&
        hf_asset_equal(&assets->items[assets->newest].asset, asset)) {
        return assets->newest;
    }
    struct hf_id id = id_of(asset);
    uintptr_t place = (uintptr_t)hf_table_get(&assets->places, &id);
    return place == 0 ? assets->count : place - 1;
}

void hf_assets_add_account(struct hf_assets *assets, const struct hf_account *account)
{
    size_t at = find(assets, &account->asset);
    if (at == assets->count) {
        HF_CHECK(assets->count < assets->capacity);
        struct hf_id id = id_of(&account->asset);
        assets->items[assets->count++] = (struct hf_asset_sums){.asset = account->asset};
        void *place = (void *)(uintptr_t)assets->count; /* NOLINT(performance-no-int-to-ptr) */
        (void)hf_table_put(&assets->places, &id, place);
    }
    struct hf_asset_sums *sums = &assets->items[at];
    assets->newest = at;
    sums->accounts++;
    hf_wide_add(&sums->debits_posted, account->totals.debits_posted);
    hf_wide_add(&sums->credits_posted, account->totals.credits_posted);
    hf_wide_add(&sums->debits_pending, account->totals.debits_pending);
    hf_wide_add(&sums->credits_pending, account->totals.credits_pending);
}

void hf_assets_move(struct hf_assets *assets, const struct hf_asset *asset, hf_u128 posted,
                    hf_u128 pending_up, hf_u128 pending_down)
{
    size_t at = find(assets, asset);
    HF_CHECK(at < assets->count);
    struct hf_asset_sums *sums = &assets->items[at];
    assets->newest = at;
    hf_wide_add(&sums->debits_posted, posted);
    hf_wide_add(&sums->credits_posted, posted);
    hf_wide_add(&sums->debits_pending, pending_up);
    hf_wide_add(&sums->credits_pending, pending_up);
    hf_wide_sub(&sums->debits_pending, pending_down);
    hf_wide_sub(&sums->credits_pending, pending_down);
}

const struct hf_asset_sums *hf_assets_get(const struct hf_assets *assets,
                                          const struct hf_asset *asset)
{
    size_t at = find(assets, asset);
    return at == assets->count ? NULL : &assets->items[at];
}
