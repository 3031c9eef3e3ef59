/*
 * A hash table from 16-byte ids to pointers.
 *
 * Owns: its slots, not what they point to. Must never: shrink by itself, depend on the order of
 * its slots in anything that is stored or answered (walks are for sums and for collecting what is
 * sorted afterwards), let a put or a reserve take longer the larger the table is. Called by: core's state, drafts,
 * caches.
 *
 * Open addressing with linear probing and backward-shift deletion; the load stays under 3/4. A table that has grown
 * moves a few slots with each put, and finds what has not moved where it was before.
 * After hf_table_reserve(table, n) the next n inserts cannot fail.
 * The hash is seeded, so that clients who choose ids cannot choose slots.
 */
#ifndef HF_BASE_TABLE_H
#define HF_BASE_TABLE_H

#include "base/bytes.h"
#include "base/prefetch.h"
#include "base/types.h"

/* 128 bits. A one-field struct so that it can't be mixed up with other bytes. */
struct hf_id {
    uint8_t bytes[16]; /* in the order of its hex digits */
};

static inline bool hf_id_equal(const struct hf_id *a, const struct hf_id *b)
{
    return memcmp(a->bytes, b->bytes, 16) == 0;
}

static inline int hf_id_compare(const struct hf_id *a, const struct hf_id *b)
{
    return memcmp(a->bytes, b->bytes, 16);
}

/* In the order of hf_id_compare. */
static inline hf_u128 hf_id_number(const struct hf_id *id)
{
    return (hf_u128)hf_get_u64_big(id->bytes) << 64 | hf_get_u64_big(id->bytes + 8);
}

static inline uint64_t hf_id_hash(const struct hf_id *id, uint64_t seed)
{
    uint64_t high, low;
    memcpy(&high, id->bytes, 8);
    memcpy(&low, id->bytes + 8, 8);
    hf_u128 product = (hf_u128)(high ^ seed ^ 0x9E3779B97F4A7C15u) *
                      (low ^ ((seed << 32) | (seed >> 32)) ^ 0xD1B54A32D192ED03u);
    uint64_t mixed = (uint64_t)product ^ (uint64_t)(product >> 64);
    mixed ^= mixed >> 29;
    mixed *= 0xBF58476D1CE4E5B9u;
    return mixed ^ (mixed >> 32);
}

struct hf_table_slot {
    struct hf_id id; /* key */
    void *value;     /* NULL = free slot */
};

struct hf_table {
    struct hf_table_slot *slots; /* owned; NULL if capacity is 0 */
    size_t capacity;             /* power of two, or 0 */
    size_t count;                /* things */
    /* While they move: the slots of before it grew, owned. Those below `moved` count no more. */
    struct hf_table_slot *before;
    size_t before_capacity;
    size_t moved;
    uint64_t seed; /* of the hash */
};

void hf_table_init(struct hf_table *table, uint64_t seed);
void hf_table_release(struct hf_table *table);
void hf_table_clear(struct hf_table *table); /* empties, keeps the memory */

/* Room for `more` further inserts; false if memory is short (the table is unchanged). */
bool hf_table_reserve(struct hf_table *table, size_t more) HF_WARN_UNUSED;

/* Of memory, without what the slots point to. */
static inline uint64_t hf_table_bytes(const struct hf_table *table)
{
    return (table->capacity + table->before_capacity) * sizeof(*table->slots);
}

/* NULL if it is not there. */
void *hf_table_get(const struct hf_table *table, const struct hf_id *id);
/* Asks the CPU for what a get of id will look at first. */
static inline void hf_table_prefetch(const struct hf_table *table, const struct hf_id *id)
{
    if (table->capacity > 0) {
        hf_prefetch(&table->slots[(size_t)hf_id_hash(id, table->seed) & (table->capacity - 1)]);
    }
}
/* Inserts, or replaces and returns the old value (NULL if it was not there). Room must be reserved;
 * value is not NULL. */
void *hf_table_put(struct hf_table *table, const struct hf_id *id, void *value);
/* Removes and returns the value, or NULL. */
void *hf_table_remove(struct hf_table *table, const struct hf_id *id);

/* Walk: `size_t at = 0; while ((value = hf_table_next(table, &at)) != NULL)`, no change meanwhile. */
void *hf_table_next(const struct hf_table *table, size_t *at);

/* Every invariant by a walk; aborts if one is broken. */
void hf_table_verify(const struct hf_table *table);

#endif
