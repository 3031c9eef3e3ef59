/* An account's entry at a point: a binary search over those in the index, then down to it from the next one above. */
#include "base/check.h"
#include "core/decide_priv.h"
#include "core/read_priv.h"

/* Is the indexed entry number × stride within the bound? false: something is needed. */
static bool probe(struct hf_read_work *r, const struct hf_account *account,
                  const struct hf_entry_bound *bound, uint64_t number, bool *is_within)
{
    uint64_t version = number * HF_ENTRY_STRIDE;
    if (version > bound->version || bound->position >= account->last_position) {
        *is_within = version <= bound->version;
        return true;
    }
    struct hf_index_value value;
    enum hf_lookup lookup =
        hf_view_lookup(r->view, HF_INDEX_ENTRY, &account->name.id, version, &value);
    r->view->damaged = r->view->damaged || lookup == HF_LOOKUP_ABSENT;
    *is_within = lookup == HF_LOOKUP_PRESENT && value.position <= bound->position;
    return lookup == HF_LOOKUP_PRESENT;
}

/* The number of the lowest indexed entry above the bound (it may not exist). A step that lacks something asks for both next
 * ones, too: half as many rounds of fetching. */
static bool search(struct hf_read_work *r, const struct hf_account *account,
                   const struct hf_entry_bound *bound, uint64_t *above)
{
    uint64_t low = 0;
    uint64_t high = account->version / HF_ENTRY_STRIDE + 1;
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        bool is_within;
        if (!probe(r, account, bound, middle, &is_within)) {
            uint64_t below = low + (middle - low) / 2;
            uint64_t behind = middle + (high - middle) / 2;
            bool ignored;
            (void)(below > low && probe(r, account, bound, below, &ignored));
            (void)(behind > middle && probe(r, account, bound, behind, &ignored));
            return false;
        }
        *(is_within ? &low : &high) = middle;
    }
    *above = high;
    return true;
}

/* Is there a way in at this version? A fine one may be missing. */
static enum hf_lookup look_up(struct hf_read_work *r, const struct hf_account *account,
                              uint64_t version, struct hf_entry_place *place)
{
    struct hf_index_value value = {0};
    enum hf_lookup lookup =
        hf_view_lookup(r->view, HF_INDEX_ENTRY, &account->name.id, version, &value);
    r->view->damaged =
        r->view->damaged || (lookup == HF_LOOKUP_ABSENT && version % HF_ENTRY_STRIDE == 0);
    if (lookup == HF_LOOKUP_PRESENT) {
        *place = (struct hf_entry_place){version, value.position};
    }
    return lookup;
}

static bool is_within(const struct hf_entry_bound *bound, const struct hf_entry_place *place)
{
    return place->version <= bound->version && place->position <= bound->position;
}

/* Where the way down begins: at the lowest entry in the index that is above the bound, or at the newest of all. `version`: a fine
 * one to begin with, behind which no entry of the other kind is within. All that may matter is asked for at once. */
static bool enter(struct hf_read_work *r, const struct hf_account *account, uint64_t version,
                  const struct hf_entry_bound *bound, struct hf_entry_place *place)
{
    bool known = true;
    for (; version < account->version; version += HF_ENTRY_STRIDE_FINE) {
        if (version <= bound->version && bound->position >= account->last_position) {
            continue;
        }
        enum hf_lookup lookup = look_up(r, account, version, place);
        known = known && lookup != HF_LOOKUP_UNKNOWN;
        if (lookup == HF_LOOKUP_PRESENT && !is_within(bound, place)) {
            return known;
        }
        if (version % HF_ENTRY_STRIDE == 0) {
            return false;
        }
    }
    *place = (struct hf_entry_place){account->version, account->last_position};
    return known;
}

bool hf_entry_enter(struct hf_read_work *r, const struct hf_account *account, uint64_t version,
                    struct hf_entry_place *place)
{
    HF_CHECK(version > 0);
    uint64_t fine = (version + HF_ENTRY_STRIDE_FINE - 1) / HF_ENTRY_STRIDE_FINE;
    return enter(r, account, fine * HF_ENTRY_STRIDE_FINE,
                 &(struct hf_entry_bound){version - 1, UINT64_MAX}, place);
}

bool hf_entry_locate(struct hf_read_work *r, const struct hf_account *account,
                     const struct hf_entry_bound *bound, struct hf_entry_place *place)
{
    uint64_t above;
    *place = (struct hf_entry_place){0};
    if (bound->version == 0) {
        return true;
    }
    if (!search(r, account, bound, &above) ||
        !enter(r, account, (above - 1) * HF_ENTRY_STRIDE + HF_ENTRY_STRIDE_FINE, bound, place)) {
        return false;
    }
    struct hf_entry_descent descent = {
        .account = account->name.id,
        .at = *place,
        .to_version = bound->version,
        .to_position = bound->position,
    };
    while (!hf_descent_is_over(&descent)) {
        struct hf_entry_place before;
        if (hf_view_entry_before(r->view, &descent, &before) != HF_LOOKUP_PRESENT) {
            return false;
        }
        hf_descent_step(&descent, &before);
    }
    *place = descent.at;
    return true;
}
