/*
 * A hash table from index keys to index values, values inline.
 *
 * Owns: its slots. Must never: remove single keys. After reserve(n) the next n puts can't fail.
 * Called by: recent (the newest part of the index), records (what was fetched), draft.
 */
#ifndef HF_CORE_INDEX_TABLE_H
#define HF_CORE_INDEX_TABLE_H

#include "base/index_key.h"

struct hf_index_slot {
    struct hf_index_key key; /* kind 0 = free slot */
    struct hf_index_value value;
};

struct hf_index_table {
    struct hf_index_slot *slots; /* owned */
    size_t capacity;             /* power of two, or 0 */
    size_t count;                /* used slots */
    uint64_t seed;               /* of the hash */
};

void hf_index_table_init(struct hf_index_table *table, uint64_t seed);
void hf_index_table_release(struct hf_index_table *table);
void hf_index_table_clear(struct hf_index_table *table); /* shrinks if it was large */
bool hf_index_table_reserve(struct hf_index_table *table, size_t more) HF_WARN_UNUSED;
void hf_index_table_put(struct hf_index_table *table, const struct hf_index_key *key,
                        const struct hf_index_value *value);
/* NULL if it is not there; valid until the next put or reserve. */
const struct hf_index_value *hf_index_table_get(const struct hf_index_table *table,
                                                const struct hf_index_key *key);
/* Asks the CPU for the slot that a get or put of key will look at: a table is far larger than its caches. */
void hf_index_table_prefetch(const struct hf_index_table *table, const struct hf_index_key *key);
/* Walk in no particular order: `size_t at = 0; while ((slot = …_next(table, &at)) != NULL)`. */
const struct hf_index_slot *hf_index_table_next(const struct hf_index_table *table, size_t *at);

#endif
