/*
 * Strips: the plain transfers, holds, captures and voids of a commit of packed records, as columns.
 *
 * Owns: their layout, as it is stored and as it is used, and the way from a strip to the TRANSFER_POSTED and HOLD_ events
 * that it stands for. Must never: hold what does not follow from its columns; be made of transfers with metadata, of
 * balancing ones, of amounts of 2^64 and above, of holds that belong to a saga or have a name of their own. Called by:
 * decide makes them, evolve applies them, the commit's codec stores them; everything else sees the events.
 *
 * Why: eight thousand events in one commit, each with two accounts by name and eight totals, are mostly repetition. A strip
 * tells of each account and each hold once what it was before, and in each row what is new: 32 bytes of a transfer. The
 * balances after each row, and what is left of a hold, are sums over the columns, so nothing is decided again.
 *
 * 1. Accounts stand in the order of their first use, assets in the order of their first account, holds in the order in
 *    which they are settled first; each once. Of a strip that was read only evolve proves that no account stands there twice.
 * 2. A column is there only if it says something: operations if number k is not of operation k, the others if one value
 *    is not zero; `settles` and the holds if a row captures or voids.
 * 3. A commit's strip comes behind its other events: row k is event number (other events) + k.
 * 4. A row that captures or voids moves between its hold's accounts, as the hold did.
 */
#ifndef HF_CORE_STRIP_H
#define HF_CORE_STRIP_H

#include "base/bytes.h"
#include "core/commit.h"

#define HF_STRIP_ACCOUNTS_MAX (2u * HF_COMMIT_OPERATIONS_MAX) /* below 2^16 */
#define HF_STRIP_ASSETS_MAX   255u

/* What a row does. Numbers are stored. */
enum hf_strip_kind {
    HF_STRIP_TRANSFER = 0,
    HF_STRIP_HOLD = 1,
    HF_STRIP_CAPTURE = 2, /* ends the hold if nothing is left, or if it gives back what is left */
    HF_STRIP_VOID = 3,    /* of all that is left */
};

#define HF_STRIP_OWN_HOLD                                                                          \
    0x8000u /* in `settles`, beside the number of the row that opened the hold */

/* An account as it was before the commit's transfers. */
struct hf_strip_account {
    struct hf_name name; /* as it was read: without its text if that is the hex one */
    struct hf_totals totals;
    uint64_t version;
    uint64_t last_position; /* of its newest entry, 0 = none */
    uint32_t asset;         /* number in `assets` */
    bool hex_name;          /* the name is the hex text of its bits */
};

/* The holds that were open before and that the commit settles, as they were. Columns of `count` values, as below. */
struct hf_strip_holds {
    uint32_t count;
    const uint8_t *ids;              /* 16 bytes: a hold's name is their hex text */
    const uint8_t *amounts;          /* u64, reserved at first */
    const uint8_t *opened_positions; /* u64 */
    const uint8_t *opened_times;     /* u64, µs since 1970 */
    const uint8_t *captured;         /* u64, less than the amount, or NULL */
    const uint8_t *expires;          /* u64, µs since 1970, 0 = never, or NULL */
    const uint8_t *changes;          /* u64, since it was opened, or NULL */
};

struct hf_strip {
    struct hf_arena *arena; /* where events are made when they are asked for */
    uint32_t count;         /* rows; at least one */
    uint32_t account_count;
    uint32_t asset_count;
    const struct hf_strip_account *accounts; /* NULL: a glance, they stay as they are stored… */
    const uint8_t *stored;                   /* …here… */
    const uint32_t *offsets; /* …each from its offset to the next one's; account_count + 1 */
    const struct hf_asset *assets;
    /* Columns of `count` values, little-endian, as stored. */
    const uint8_t *ids;        /* 16 bytes: a transfer's, hold's or void's name is their hex text */
    const uint8_t *from;       /* u16: number in `accounts` */
    const uint8_t *to;         /* u16, likewise */
    const uint8_t *amounts;    /* u64, not 0: moved, reserved or, by a void, given back */
    const uint8_t *operations; /* u16, ascending, or NULL */
    const uint8_t *
        times; /* u64, µs since 1970, 0 = none, or NULL: when a transfer is effective, a hold expires */
    const uint8_t *user_data; /* HF_USER_DATA_BYTES, or NULL */
    const uint8_t *codes;     /* u32, or NULL */
    const uint8_t *kinds;     /* u8, an enum hf_strip_kind, or NULL */
    const uint8_t
        *released; /* u64: what a capture that ends its hold gives back, else 0; or NULL */
    const uint8_t *
        settles; /* u16: number in `holds`, or with HF_STRIP_OWN_HOLD a row; 0 of others; or NULL */
    struct hf_strip_holds holds; /* none without `settles` */
    /* Of a strip just decided: where its accounts and holds are in that state, so that evolve need not look for them
     * again. */
    struct hf_account *const *found;    /* account_count of them, or NULL */
    struct hf_hold *const *found_holds; /* holds.count of them, or NULL */
    const struct hf_state *found_in;    /* the state, or NULL: the strip was read */
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

static inline enum hf_strip_kind hf_strip_kind(const struct hf_strip *strip, uint32_t k)
{
    return strip->kinds == NULL ? HF_STRIP_TRANSFER : (enum hf_strip_kind)strip->kinds[k];
}

/* Does row k capture or void? */
static inline bool hf_strip_settles(const struct hf_strip *strip, uint32_t k)
{
    return hf_strip_kind(strip, k) >= HF_STRIP_CAPTURE;
}

/* Of a row that does. */
static inline uint32_t hf_strip_settled(const struct hf_strip *strip, uint32_t k)
{
    return hf_get_u16(strip->settles + 2 * (size_t)k);
}

static inline uint64_t hf_strip_time(const struct hf_strip *strip, uint32_t k)
{
    return strip->times == NULL ? 0 : hf_get_u64(strip->times + 8 * (size_t)k);
}

static inline uint64_t hf_strip_released(const struct hf_strip *strip, uint32_t k)
{
    return strip->released == NULL ? 0 : hf_get_u64(strip->released + 8 * (size_t)k);
}

/* How a row moves the debits of the one account and the credits of the other. */
struct hf_strip_move {
    hf_u128 posted;       /* added to what is posted */
    hf_u128 pending_up;   /* added to what is pending */
    hf_u128 pending_down; /* taken from it */
};

static inline struct hf_strip_move hf_strip_move_of(enum hf_strip_kind kind, uint64_t amount,
                                                    uint64_t released)
{
    switch (kind) {
    case HF_STRIP_TRANSFER:
        return (struct hf_strip_move){.posted = amount};
    case HF_STRIP_HOLD:
        return (struct hf_strip_move){.pending_up = amount};
    case HF_STRIP_CAPTURE:
        return (struct hf_strip_move){.posted = amount, .pending_down = (hf_u128)amount + released};
    case HF_STRIP_VOID:
        break;
    }
    return (struct hf_strip_move){.pending_down = amount};
}

static inline struct hf_strip_move hf_strip_move(const struct hf_strip *strip, uint32_t k)
{
    return hf_strip_move_of(hf_strip_kind(strip, k), hf_strip_amount(strip, k),
                            hf_strip_released(strip, k));
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

/* The first row of this kind with this id; strip->count: there is none. Costs a walk over the columns. */
uint32_t hf_strip_find_row(const struct hf_strip *strip, enum hf_strip_kind kind,
                           const struct hf_id *id);

/* The account's entry of this version: number of its row in the strip, and position of the entry before it. false: none has it. */
bool hf_strip_find_entry(const struct hf_commit *commit, const struct hf_id *account,
                         uint64_t version, uint32_t *number, uint64_t *previous) HF_WARN_UNUSED;

struct hf_entry_place; /* core/view.h */
/* The account's newest entry before the strip, which has its entry of this version. false: it has not. */
bool hf_strip_before(const struct hf_commit *commit, const struct hf_id *account, uint64_t version,
                     struct hf_entry_place *before) HF_WARN_UNUSED;

/* The event of row k, made in the strip's arena; NULL: memory is short. Costs a walk over the columns. */
const struct hf_event *hf_strip_event(const struct hf_commit *commit, uint32_t k);

#endif
