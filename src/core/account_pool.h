/*
 * Where the accounts of a state are in memory: side by side, each at the beginning of a cache line, in large pieces.
 *
 * Owns: accounts, their nodes in the ordered names, their texts. Must never: move an account or give one back before
 * all of them (an account is for ever; a closed one stays). Called by: state.
 *
 * Why: deciding looks at accounts in random order. What it needs lies in three cache lines of a cell, and huge pages
 * let the CPU find many cells in its own table of pages (docs/adr/0015-bulk-speed.md).
 */
#ifndef HF_CORE_ACCOUNT_POOL_H
#define HF_CORE_ACCOUNT_POOL_H

#include "core/entity.h"
#include "core/names.h"

struct hf_account_piece;

struct hf_account_pool {
    struct hf_account_piece *first; /* cells, oldest piece first, owned; NULL: none yet */
    struct hf_account_piece *last;
    struct hf_account_piece *current; /* the next cell is taken here, or in the one behind it */
    struct hf_account_piece *texts;   /* newest first, owned */
    size_t count;                     /* accounts */
    size_t room;                      /* cells that are free */
    uint64_t text_bytes;              /* of the accounts' names */
    size_t reserved;                  /* cells and… */
    size_t reserved_text_bytes;       /* …bytes of text reserved since hf_account_pool_begin */
};

void hf_account_pool_release(struct hf_account_pool *pool);

/* What was reserved and not put is given up. */
void hf_account_pool_begin(struct hf_account_pool *pool);
/* Room for one account more, with this name. false: memory is short, the pool is as before. */
bool hf_account_pool_reserve(struct hf_account_pool *pool,
                             const struct hf_name *name) HF_WARN_UNUSED;
/* A copy with its text; its room was reserved. */
struct hf_account *hf_account_pool_put(struct hf_account_pool *pool, const struct hf_account *from);

/* Asks the CPU for what deciding and evolving look at: the first three cache lines. NULL: nothing. */
static inline void hf_account_prefetch(const struct hf_account *account)
{
    if (account != NULL) {
        __builtin_prefetch(account, 1);
        __builtin_prefetch((const char *)account + 64, 1);
        __builtin_prefetch((const char *)account + 128, 1);
    }
}

/* Walk in the order of the puts: `struct hf_account_walk walk = hf_account_pool_walk(pool)`, then next until NULL; no put
 * meanwhile. */
struct hf_account_walk {
    const struct hf_account_piece *piece;
    size_t number; /* of the next cell in it */
};
struct hf_account_walk hf_account_pool_walk(const struct hf_account_pool *pool);
struct hf_account *hf_account_pool_next(struct hf_account_walk *walk);

/* What the accounts take, without what is kept for more. */
uint64_t hf_account_pool_bytes(const struct hf_account_pool *pool);

#endif
