/*
 * Strips: the plain transfers of a commit of packed records, as columns.
 *
 * Owns: their layout, as it is stored and as it is used, and the way from a strip to the TRANSFER_POSTED events that it
 * stands for. Must never: hold what does not follow from its columns; be made of transfers with metadata, of balancing
 * ones or of amounts of 2^64 and above. Called by: decide makes them, evolve applies them, the commit's codec stores
 * them; everything else sees the events.
 *
 * Why: eight thousand events in one commit, each with two accounts by name and eight totals, are mostly repetition. A strip
 * tells of each account once what it was before, and of each transfer what is new: 32 bytes. The balances after each
 * transfer are sums over the columns, so nothing is decided again.
 *
 * 1. Accounts stand in the order of their first use, assets in the order of their first account; each once.
 * 2. A column is there only if it says something: operations if number k is not of operation k, the others if one value
 *    is not zero.
 * 3. A commit's strip comes behind its other events: transfer k is event number (other events) + k.
 */
#ifndef HF_CORE_STRIP_H
#define HF_CORE_STRIP_H

#include "base/bytes.h"
#include "core/commit.h"

#define HF_STRIP_ACCOUNTS_MAX (2u * HF_COMMIT_OPERATIONS_MAX) /* below 2^16 */
#define HF_STRIP_ASSETS_MAX   255u

/* An account as it was before the commit's transfers. */
struct hf_strip_account {
    struct hf_name name; /* as it was read: without its text if that is the hex one */
    struct hf_totals totals;
    uint64_t version;
    uint64_t last_position; /* of its newest entry, 0 = none */
    uint32_t asset;         /* number in `assets` */
    bool hex_name;          /* the name is the hex text of its bits */
};

struct hf_strip {
    struct hf_arena *arena; /* where events are made when they are asked for */
    uint32_t count;         /* transfers; at least one */
    uint32_t account_count;
    uint32_t asset_count;
    const struct hf_strip_account *accounts; /* NULL: a glance, they stay as they are stored… */
    const uint8_t *stored;                   /* …here… */
    const uint32_t *offsets; /* …each from its offset to the next one's; account_count + 1 */
    const struct hf_asset *assets;
    /* Columns of `count` values, little-endian, as stored. */
    const uint8_t *ids;        /* 16 bytes: a transfer's name is their hex text */
    const uint8_t *from;       /* u16: number in `accounts` */
    const uint8_t *to;         /* u16, likewise */
    const uint8_t *amounts;    /* u64, not 0 */
    const uint8_t *operations; /* u16, ascending, or NULL */
    const uint8_t *effective;  /* u64, µs since 1970, 0 = none, or NULL */
    const uint8_t *user_data;  /* HF_USER_DATA_BYTES, or NULL */
    const uint8_t *codes;      /* u32, or NULL */
    /* Of a strip just decided: where its accounts are in that state, so that evolve need not look for them again. */
    struct hf_account *const *found; /* account_count of them, or NULL */
    const struct hf_state *found_in; /* the state, or NULL: the strip was read */
};

static inline uint32_t hf_strip_from(const struct hf_strip *strip, uint32_t k)
{
    return hf_get_u16(strip->from + 2 * (size_t)k);
}

static inline uint32_t hf_strip_to(const struct hf_strip *strip, uint32_t k)
{
    return hf_get_u16(strip->to + 2 * (size_t)k);
}

static inline uint64_t hf_strip_amount(const struct hf_strip *strip, uint32_t k)
{
    return hf_get_u64(strip->amounts + 8 * (size_t)k);
}

static inline struct hf_id hf_strip_id(const struct hf_strip *strip, uint32_t k)
{
    struct hf_id id;
    memcpy(id.bytes, strip->ids + sizeof(id.bytes) * k, sizeof(id.bytes));
    return id;
}

/* At most so many bytes in a commit's record. */
uint64_t hf_strip_size_bound(const struct hf_strip *strip);

/* The events of an account's entries in a commit, by version. */
struct hf_strip_entries {
    uint64_t first;                       /* version of the first… */
    uint32_t count;                       /* …of so many */
    const struct hf_event *const *events; /* in the strip's arena */
};

/* Those from version `first` to `last` that the strip has. Costs a walk over the columns, however many there are. false: memory
 * is short. */
bool hf_strip_entries(const struct hf_commit *commit, const struct hf_id *account, uint64_t first,
                      uint64_t last, struct hf_strip_entries *entries) HF_WARN_UNUSED;

/* The account's entry of this version: number of its transfer in the strip, and position of the entry before it. false: none has it. */
bool hf_strip_find_entry(const struct hf_commit *commit, const struct hf_id *account,
                         uint64_t version, uint32_t *number, uint64_t *previous) HF_WARN_UNUSED;

struct hf_entry_place; /* core/view.h */
/* The account's newest entry before the strip, which has its entry of this version. false: it has not. */
bool hf_strip_before(const struct hf_commit *commit, const struct hf_id *account, uint64_t version,
                     struct hf_entry_place *before) HF_WARN_UNUSED;

/* The event of transfer k, made in the strip's arena; NULL: memory is short. Costs a walk over the columns. */
const struct hf_event *hf_strip_event(const struct hf_commit *commit, uint32_t k);

#endif
