/*
 * The accounts of a state: side by side in memory, each at the beginning of a cache line, found by their ids.
 *
 * Owns: accounts, their nodes in the ordered names, their texts. Must never: move an account or give one back before
 * all of them (an account is for ever; a closed one stays). Called by: state, decide and evolve of strips.
 *
 *   places   from an id's hash to an account's number (base/places.h)
 *   cells    accounts 0–15, then pieces of memory, eight of which double what there was
 *   texts    of their names, apart
 *
 * Why: deciding looks at accounts in random order. What it needs lies in three cache lines of a cell, and huge pages
 * let the CPU find many cells in its own table of pages (docs/adr/0015-bulk-speed.md).
 */
#ifndef HF_CORE_ACCOUNT_POOL_H
#define HF_CORE_ACCOUNT_POOL_H

#include "base/places.h"
#include "base/prefetch.h"
#include "core/entity.h"
#include "core/names.h"

struct hf_account_cell;
struct hf_account_texts;

struct hf_account_piece {
    void *memory;                  /* owned; the cells begin at a cache line in it */
    struct hf_account_cell *cells; /* as many as the piece's number says */
};

struct hf_account_pool {
    struct hf_places places;         /* places.count: accounts */
    struct hf_account_piece *pieces; /* owned; piece_count of them */
    size_t piece_count;
    size_t piece_capacity;
    size_t room;                    /* accounts that the pieces have room for */
    struct hf_account_texts *texts; /* newest first, owned */
    uint64_t text_bytes;            /* of the accounts' names */
    size_t reserved;                /* accounts and… */
    size_t reserved_text_bytes;     /* …bytes of text reserved since hf_account_pool_begin */
    uint64_t seed;                  /* of the hash */
};

void hf_account_pool_init(struct hf_account_pool *pool, uint64_t seed);
void hf_account_pool_release(struct hf_account_pool *pool);

static inline size_t hf_account_pool_count(const struct hf_account_pool *pool)
{
    return pool->places.count;
}

/* What was reserved and not put is given up. */
void hf_account_pool_begin(struct hf_account_pool *pool);
/* Room for one account more, with this name. false: memory is short, the pool is as before. */
bool hf_account_pool_reserve(struct hf_account_pool *pool,
                             const struct hf_name *name) HF_WARN_UNUSED;
/* A copy with its text; its room was reserved, its id is not there. */
struct hf_account *hf_account_pool_put(struct hf_account_pool *pool, const struct hf_account *from);
/* No more is to come for a while: gives back what growing still holds. */
void hf_account_pool_settle(struct hf_account_pool *pool);

/* NULL if it is not there. */
struct hf_account *hf_account_pool_find(const struct hf_account_pool *pool, const struct hf_id *id);
/* The account number 0 … count - 1, in the order of the puts. */
struct hf_account *hf_account_pool_at(const struct hf_account_pool *pool, size_t number);

/* For many at once, so that nobody waits for memory: first prefetch, a little later guess, then confirm. */
void hf_account_pool_prefetch(const struct hf_account_pool *pool, const struct hf_id *id);
/* What find will most likely return, found without a look at an account, and asked for in its first three cache lines. */
struct hf_account *hf_account_pool_guess(const struct hf_account_pool *pool,
                                         const struct hf_id *id);
static inline struct hf_account *hf_account_pool_confirm(const struct hf_account_pool *pool,
                                                         struct hf_account *guess,
                                                         const struct hf_id *id)
{
    return guess == NULL || hf_id_equal(&guess->name.id, id) ? guess
                                                             : hf_account_pool_find(pool, id);
}

/* Asks the CPU for what deciding and evolving look at: the first three cache lines. NULL: nothing. */
static inline void hf_account_prefetch(const struct hf_account *account)
{
    if (account != NULL) {
        hf_prefetch(account);
        hf_prefetch((const char *)account + 64);
        hf_prefetch((const char *)account + 128);
    }
}

/* What the accounts take: cells and texts, without what is kept for more; the places with it. */
uint64_t hf_account_pool_bytes(const struct hf_account_pool *pool);

#endif
