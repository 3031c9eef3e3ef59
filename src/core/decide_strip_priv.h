/* A strip on its way to be decided: what decide_strip.c (ids, transfers, the whole) and decide_strip_hold.c share. */
#ifndef HF_CORE_DECIDE_STRIP_PRIV_H
#define HF_CORE_DECIDE_STRIP_PRIV_H

#include "core/decide_priv.h"
#include "core/strip.h"

/* An account that the strip moves. */
struct strip_cell {
    struct hf_account *
        account; /* in the state: its limits are looked at, nothing of it is changed but its mark */
    struct hf_totals totals; /* after the rows so far */
};

/* A hold that was open before and that the strip settles. */
struct strip_hold_cell {
    const struct hf_hold *hold; /* in the state; nothing of it is changed but its mark */
    uint64_t left;              /* after the rows so far; 0: it has ended */
    uint32_t row;               /* that settled it first: it tells of its accounts */
};

struct strip_draft {
    struct hf_deciding *d;
    struct hf_outcome *outcomes;
    const struct hf_packed_transfer *plain;
    uint32_t count;
    uint16_t *slots; /* numbers of records by their id, and 1; 0: free */
    uint32_t slot_count;
    uint32_t slotted;          /* so many records, from the first, have theirs */
    struct hf_account **pairs; /* from and to of each record, found ahead; NULL: there is none */
    struct hf_hold **holds; /* of each record that settles one, likewise; NULL: none that is open */
    struct strip_cell *cells;           /* strip.account_count of them */
    struct hf_account **found;          /* theirs, for evolve */
    struct strip_hold_cell *hold_cells; /* strip.holds.count of them */
    struct hf_hold **found_holds;       /* theirs, for evolve */
    uint16_t *opened;                   /* by record: the row that opens its hold, and 1; 0: none */
    uint64_t *left; /* by row: of the hold that it opens, after the rows so far */
    struct hf_strip *strip;
    struct hf_strip_account *accounts;
    struct hf_asset assets[HF_STRIP_ASSETS_MAX];
    uint8_t hashes[HF_STRIP_ASSETS_MAX][HF_ASSET_HASH_BYTES];
    /* columns, and whether those that may be left out say something */
    uint8_t *ids, *from, *to, *amounts, *operations, *times, *user_data, *codes, *kinds, *released,
        *settles;
    bool any_time, any_user_data, any_code, any_kind, any_released, any_settles;
    uint8_t *hold_ids, *hold_amounts, *opened_positions, *opened_times, *captured, *expires,
        *changes;
    bool any_captured, any_expires, any_changes;
};

/* What a record comes to. */
struct strip_row {
    enum hf_strip_kind kind;
    uint32_t from; /* number of the account in the strip */
    uint32_t to;   /* likewise */
    uint64_t amount;
    uint64_t released;
    uint32_t settles;
    uint64_t time_us;
};

static inline bool hf_plain_settles(const struct hf_packed_transfer *plain)
{
    return plain->type == HF_OP_CAPTURE || plain->type == HF_OP_VOID;
}

/* The number of the first record that calls this id new, of a hold or of anything else; count: none. */
uint32_t hf_strip_draft_find(struct strip_draft *s, const struct hf_id *id, bool hold);
/* The account's cell, made if there is none; false: it has one asset too many. */
bool hf_strip_draft_enter(struct strip_draft *s, struct hf_account *account, uint32_t *number);

/* ---- decide_strip_hold.c ---- */

/* The hold that record i settles into memory, and then into `holds`. */
void hf_strip_draft_ask_for_hold(struct strip_draft *s, uint32_t i);
void hf_strip_draft_find_hold(struct strip_draft *s, uint32_t i);
/* What record i, which captures or voids, comes to: a row to be written next, or a refusal (*code). false: it is not usual. */
bool hf_strip_draft_settle(struct strip_draft *s, uint32_t i, struct strip_row *row,
                           enum hf_err *code);

#endif
