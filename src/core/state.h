/*
 * The state: everything that deciding needs and that is not cold.
 *
 * Owns: accounts, open holds, heads of streams and documents, held leases, due times, the recent part
 * of the index. Must never: do I/O, ask a clock, depend on the order of a hash table in anything that
 * leaves it. Called by: decide and reads (read only), evolve, node (recovery, checkpoints).
 *
 * Evolve is total: after hf_state_reserve it can't fail. The same log gives the same canonical bytes.
 *
 * 1. position and time_us are those of the newest commit applied; times strictly increase.
 * 2. Every hold in `holds` is open; every lease in `leases` is held; a document stays after deletion.
 * 3. due holds (due time, kind, id) of every hold with an expiry, every lease, every delayed message (id: its
 *    place), every subscription that has something to book (id: its uid) and every saga with a
 *    due_us, perhaps outdated entries too (the thing's own time decides).
 * 4. Per asset, the sum of debits posted equals the sum of credits posted, and pending likewise; `assets`
 *    has these sums.
 * 5. Each account, stream and document (deleted ones, too) is in the ordered names of its kind.
 */
#ifndef HF_CORE_STATE_H
#define HF_CORE_STATE_H

#include "base/buffer.h"
#include "base/limits.h"
#include "core/account_pool.h"
#include "core/alert.h"
#include "core/asset_sums.h"
#include "core/commit.h"
#include "core/names.h"
#include "core/queue.h"
#include "core/recent.h"
#include "core/saga.h"

struct hf_due {
    uint64_t due_us; /* when */
    enum hf_kind
        kind; /* HOLD, LEASE, MESSAGE (delayed), SUBSCRIPTION (a time-out or a redrive), SAGA */
    struct hf_id id; /* which: of its name, hf_place_id, hf_uid_id */
};

struct hf_due_heap {
    struct hf_due *items; /* owned; binary heap, earliest first by (due, kind, id) */
    size_t count;
    size_t capacity;
};

struct hf_state {
    uint32_t space;                 /* 0 for now */
    uint64_t position;              /* newest commit */
    uint64_t time_us;               /* its time */
    uint64_t epoch;                 /* of the newest takeover */
    uint64_t feature_level;         /* highest recorded */
    uint64_t checkpoint_position;   /* newest recorded checkpoint; 0 = none */
    struct hf_hash checkpoint_hash; /* of its canonical state */
    struct hf_account_pool accounts;
    struct hf_table holds;         /* struct hf_hold, open ones, owned */
    struct hf_table streams;       /* struct hf_stream, owned */
    struct hf_table documents;     /* struct hf_document, owned */
    struct hf_table leases;        /* struct hf_lease, held ones, owned */
    struct hf_names account_names; /* in byte order; the nodes lie behind the things… */
    struct hf_names stream_names;  /* …in their memory (state_new.c) */
    struct hf_names document_names;
    struct hf_assets assets; /* sums over all accounts */
    struct hf_queue queue;   /* delayed messages, subscriptions */
    struct hf_sagas sagas;   /* and their definitions */
    struct hf_alerts alerts; /* raised ones, and the newest cleared ones */
    struct hf_due_heap due;
    struct hf_recent recent;
    void **spares; /* things allocated by reserve for evolve to fill, in order */
    size_t spare_count;
    size_t spare_used;
    size_t spare_capacity;
    struct hf_account *
        *strip_accounts; /* owned; strip_apply.c: the accounts of the strip under way */
    size_t strip_capacity;
    struct hf_hold **strip_holds; /* owned; strip_hold_apply.c: likewise its holds */
    size_t strip_hold_capacity;
    bool only_stored;     /* hf_state_only_store was called */
    uint64_t named_bytes; /* of memory: streams and documents with their names */
};

void hf_state_init(struct hf_state *state, uint64_t seed);
/* The empty state is going to be loaded, replayed and saved, and nothing else: its index records are listed (core/index_table.h)
 * and its names are not put in order. Nothing may be decided or read with it. */
void hf_state_only_store(struct hf_state *state);
void hf_state_release(struct hf_state *state);

/* Memory for everything that this commit will add; expands it if anybody waits for events of transfers. false: memory is
 * short, the state is as before. */
bool hf_state_reserve(struct hf_state *state, struct hf_commit *commit) HF_WARN_UNUSED;
/* The commit that was reserved for is not going to be applied. */
void hf_state_forgo(struct hf_state *state);

/*
 * Checks one commit against the state, event by event, and applies it. Must be reserved for. Nothing
 * of the decision is repeated; what is checked is that it fits: positions, versions, double entry,
 * floors and ceilings, states. HF_ERR_CORRUPT with a text (the state is then unusable): for a commit
 * just decided that is a bug (HF_CHECK), for one read from a log it is damage.
 */
enum hf_err hf_state_apply(struct hf_state *state, const struct hf_commit *commit,
                           struct hf_error *error) HF_WARN_UNUSED;

/* Look-ups; NULL if it is not there. */
struct hf_account *hf_state_account(const struct hf_state *state, const struct hf_id *id);
struct hf_hold *hf_state_hold(const struct hf_state *state, const struct hf_id *id);
struct hf_stream *hf_state_stream(const struct hf_state *state, const struct hf_id *id);
struct hf_document *hf_state_document(const struct hf_state *state, const struct hf_id *id);
struct hf_lease *hf_state_lease(const struct hf_state *state, const struct hf_id *id);

/* Takes at most `most` things out that are due at now_us or before, earliest first; outdated entries
 * are dropped. What is not booked then must be given back. Returns their count. */
size_t hf_state_take_due(struct hf_state *state, uint64_t now_us, struct hf_due *due, size_t most);
void hf_state_return_due(struct hf_state *state, const struct hf_due *due, size_t count);
/* The time of the earliest entry (perhaps outdated); UINT64_MAX if there is none. */
uint64_t hf_state_next_due_us(const struct hf_state *state);

/* Where its memory is. What is left out of `lines` (tables and heaps), of sagas (texts, definitions), and all of holds, leases and
 * due times is the rest. Sums a few numbers. */
struct hf_state_bytes {
    uint64_t accounts; /* their table and the sums of assets, too */
    uint64_t names;    /* ordered names of accounts, streams and documents */
    uint64_t things;   /* streams, documents */
    uint64_t lines;    /* of subscriptions */
    uint64_t sagas;
    uint64_t index_current; /* recent index records, and… */
    uint64_t index_frozen;  /* …those of a checkpoint under way */
    uint64_t frames;        /* recent commits */
};
struct hf_state_bytes hf_state_bytes(const struct hf_state *state);

/* All invariants by walks; aborts if one is broken. */
void hf_state_verify(const struct hf_state *state);

/* Canonical bytes: things in the order of kind and id, then the state's own numbers. `sink` gets them in
 * pieces; stops at its first false. */
typedef bool (*hf_state_sink)(void *context, const void *data, size_t size_bytes);
bool hf_state_save(const struct hf_state *state, hf_state_sink sink, void *context) HF_WARN_UNUSED;

/* Reads canonical bytes into an empty state. Feed pieces of any size in order, then finish. */
struct hf_state_loader {
    struct hf_state *state;
    struct hf_buffer pending; /* bytes that do not yet make a record */
    uint8_t stage;            /* which kind of record is expected */
    uint64_t left;            /* records left of that kind */
    struct hf_id last_id;     /* ids of a kind strictly ascend */
    bool has_last;
    uint32_t sections; /* what follows the numbers */
};
void hf_state_loader_init(struct hf_state_loader *loader, struct hf_state *state);
enum hf_err hf_state_loader_feed(struct hf_state_loader *loader, const void *data,
                                 size_t size_bytes, struct hf_error *error) HF_WARN_UNUSED;
enum hf_err hf_state_loader_finish(struct hf_state_loader *loader,
                                   struct hf_error *error) HF_WARN_UNUSED; /* releases it too */

/* SHA-256 of the canonical bytes. false if memory is short. */
bool hf_state_hash(const struct hf_state *state, struct hf_hash *hash) HF_WARN_UNUSED;

/* Σ of an asset over all accounts, sorted by asset's text. */
struct hf_asset_totals {
    struct hf_asset asset;
    uint64_t accounts;
    hf_u128 debits_posted, credits_posted, debits_pending, credits_pending;
};
/* Into a fresh array in `arena`; NULL if memory is short (count is then 0). */
struct hf_asset_totals *hf_state_totals(const struct hf_state *state, struct hf_arena *arena,
                                        size_t *count);

#endif
