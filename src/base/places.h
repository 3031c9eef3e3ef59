/*
 * Places: from a key's hash to a number, for tables that keep what is numbered themselves.
 *
 * Owns: open addressing over [hash, number], 8 bytes a place, so that looking for a new key mostly stays in the CPU's
 * cache. Must never: look at a key (who owns the table compares), take a number out, let an add, a reserve or a clear
 * take longer the larger the table is. Called by: index_table, account_pool.
 *
 * Numbers go on when all are cleared: what was there before is free by its number. Places that have grown move a few
 * with each add, and find what has not moved where it was before. The load stays under 3/4.
 * After hf_places_reserve(places, n) the next n adds can't fail.
 */
#ifndef HF_BASE_PLACES_H
#define HF_BASE_PLACES_H

#include "base/prefetch.h"
#include "base/types.h"

#define HF_PLACES_MAX ((size_t)1u << 31) /* a place's number has 32 bits */

struct hf_hashed {
    uint32_t hash;
    uint32_t number; /* from base + 1; up to base: free */
};

struct hf_hashed_list {
    struct hf_hashed *at; /* owned */
    size_t capacity;      /* a power of two, or 0 */
};

struct hf_places {
    struct hf_hashed_list now;
    struct hf_hashed_list before; /* while they move: those of before it grew */
    size_t moved;                 /* so many of those have moved */
    size_t count;                 /* numbers in use: 0 … count - 1 */
    uint32_t base;                /* numbers of before all were cleared last */
};

void hf_places_release(struct hf_places *places);
void hf_places_clear(struct hf_places *places); /* keeps the memory */
bool hf_places_reserve(struct hf_places *places, size_t more) HF_WARN_UNUSED;

/* A look for the numbers with a hash: `struct hf_place_probe probe = hf_places_probe(places, hash)`, then next until
 * false. The newest ones are not first. No add meanwhile. */
struct hf_place_probe {
    const struct hf_places *places;
    const struct hf_hashed_list *list;
    size_t at;
    uint32_t hash;
    uint32_t number; /* what next has found, from 0 */
};

static inline struct hf_place_probe hf_places_probe(const struct hf_places *places, uint32_t hash)
{
    return (struct hf_place_probe){
        .places = places, .list = &places->now, .at = hash, .hash = hash};
}

static inline bool hf_place_next(struct hf_place_probe *probe)
{
    const struct hf_places *places = probe->places;
    if (places->count == 0) {
        return false;
    }
    for (;;) {
        size_t mask = probe->list->capacity - 1;
        const struct hf_hashed *place = &probe->list->at[probe->at & mask];
        while (place->number > places->base) {
            probe->at++;
            if (place->hash == probe->hash) {
                probe->number = place->number - places->base - 1;
                return true;
            }
            place = &probe->list->at[probe->at & mask];
        }
        if (probe->list == &places->before || places->before.capacity == 0) {
            return false;
        }
        probe->list = &places->before;
        probe->at = probe->hash;
    }
}

/* The number `count` gets a place; it is count + 1 then. Room is reserved. */
void hf_places_add(struct hf_places *places, uint32_t hash);
/* Moves what is left to move, at once. */
void hf_places_settle(struct hf_places *places);

/* Asks the CPU for what a probe or an add will look at first. */
static inline void hf_places_prefetch(const struct hf_places *places, uint32_t hash)
{
    if (places->now.capacity > 0) {
        hf_prefetch(&places->now.at[hash & (places->now.capacity - 1)]);
    }
    if (places->before.capacity > 0) {
        hf_prefetch(&places->before.at[hash & (places->before.capacity - 1)]);
    }
}

/* Of memory. */
static inline uint64_t hf_places_bytes(const struct hf_places *places)
{
    return (places->now.capacity + places->before.capacity) * sizeof(*places->now.at);
}

#endif
