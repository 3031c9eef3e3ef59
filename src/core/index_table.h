/*
 * A hash table from index keys to index values.
 *
 * Owns: its records, in the order they were put, and the slots that find them. Must never: remove or move
 * a record; return memory that it is going to need again (clear keeps it, unless it was hardly used); let a put, a
 * reserve or a clear take longer the larger the table is.
 * After reserve(n) the next n puts can't fail.
 * Called by: recent (the newest part of the index), records (what was fetched), draft.
 *
 *   slots   [hash, number] open addressing; 8 bytes each, so that looking for a new id mostly stays in
 *           the CPU's cache, and growing touches no record. Numbers go on when the table is cleared: what was there
 *           before is free by its number. A table that has grown moves a few slots with each put, and finds what
 *           has not moved in the slots that it had before
 *   chunks  records 0–15, 16–47, 48–111, …: each chunk is twice as large as the one before
 *
 * A table that is `listed` has no slots: it only keeps what is put, a key as often as it is put, for somebody
 * who is going to sort it (a checkpoint). Nothing can be looked up in it.
 */
#ifndef HF_CORE_INDEX_TABLE_H
#define HF_CORE_INDEX_TABLE_H

#include "base/index_key.h"

#define HF_INDEX_CHUNKS_MAX 28

struct hf_index_slot {
    struct hf_index_key key;
    struct hf_index_value value;
};

struct hf_index_place {
    uint32_t hash;   /* of the key */
    uint32_t number; /* of its record, from base + 1; up to base: free */
};

struct hf_index_places {
    struct hf_index_place *at; /* owned */
    size_t capacity;           /* a power of two, or 0 */
};

struct hf_index_table {
    struct hf_index_places places;
    struct hf_index_places before; /* while they move: those of before it grew */
    size_t moved;                  /* so many of those have moved */
    uint32_t base;                 /* records of before it was cleared last */
    size_t count;                  /* records */
    size_t room;                   /* records that the chunks have room for */
    struct hf_index_slot *chunks[HF_INDEX_CHUNKS_MAX]; /* owned; NULL behind the last one */
    uint64_t seed;                                     /* of the hash */
    bool listed;                                       /* no slots */
};

void hf_index_table_init(struct hf_index_table *table, uint64_t seed);
void hf_index_table_release(struct hf_index_table *table);
void hf_index_table_clear(struct hf_index_table *table); /* shrinks if it was hardly used */
bool hf_index_table_reserve(struct hf_index_table *table, size_t more) HF_WARN_UNUSED;
/* An empty table becomes a listed one, for good. */
void hf_index_table_list(struct hf_index_table *table);
void hf_index_table_put(struct hf_index_table *table, const struct hf_index_key *key,
                        const struct hf_index_value *value);
/* NULL if it is not there; valid until clear. Not of a listed table. */
const struct hf_index_value *hf_index_table_get(const struct hf_index_table *table,
                                                const struct hf_index_key *key);
/* Asks the CPU for what a get or put of key will look at first: a table can be larger than its caches. */
void hf_index_table_prefetch(const struct hf_index_table *table, const struct hf_index_key *key);
/* Of memory, also what is kept for records to come. */
uint64_t hf_index_table_bytes(const struct hf_index_table *table);
/* Walk in the order of the puts: `size_t at = 0; while ((slot = …_next(table, &at)) != NULL)`. */
const struct hf_index_slot *hf_index_table_next(const struct hf_index_table *table, size_t *at);
/* The number-th put of a new key, from 0, below count. */
const struct hf_index_slot *hf_index_table_at(const struct hf_index_table *table, size_t number);

#endif
