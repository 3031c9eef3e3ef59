/*
 * A hash table from index keys to index values.
 *
 * Owns: its records, in the order they were put, and the places that find them. Must never: remove or move
 * a record; return memory that it is going to need again (clear keeps it, unless it was hardly used); let a put, a
 * reserve or a clear take longer the larger the table is.
 * After reserve(n) the next n puts can't fail.
 * Called by: recent (the newest part of the index), records (what was fetched), draft.
 *
 *   places  from a key's hash to its record's number (base/places.h); growing touches no record
 *   chunks  records 0–15, 16–47, 48–111, …: each chunk is twice as large as the one before
 *
 * The table knows the highest id of each kind: ids that ascend with time, as most do, are above it when they are looked for or
 * put first, and then nothing is looked at.
 *
 * A table that is `listed` has no places: it only keeps what is put, a key as often as it is put, for somebody
 * who is going to sort it (a checkpoint). Nothing can be looked up in it.
 */
#ifndef HF_CORE_INDEX_TABLE_H
#define HF_CORE_INDEX_TABLE_H

#include "base/index_key.h"
#include "base/places.h"

#define HF_INDEX_CHUNKS_MAX 28
#define HF_INDEX_TOPS       16 /* kinds below it have a highest id */

struct hf_index_slot {
    struct hf_index_key key;
    struct hf_index_value value;
};

struct hf_index_table {
    struct hf_places places;
    size_t count;                                      /* records */
    size_t room;                                       /* records that the chunks have room for */
    struct hf_index_slot *chunks[HF_INDEX_CHUNKS_MAX]; /* owned; NULL behind the last one */
    uint64_t seed;                                     /* of the hash */
    struct hf_id tops[HF_INDEX_TOPS]; /* by kind: the highest id; if it is one of… */
    uint32_t topped;                  /* …these kinds: bit 0 for kind 0, … */
    bool listed;                      /* no places */
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

/* Is the id above all that the table has of its kind? Then the key is not there. */
static inline bool hf_index_table_is_above(const struct hf_index_table *table,
                                           const struct hf_index_key *key)
{
    return key->kind < HF_INDEX_TOPS &&
           ((table->topped >> key->kind & 1) == 0 ||
            hf_id_number(&key->id) > hf_id_number(&table->tops[key->kind]));
}

/* A key's hash is the same in all tables of one seed. */
uint32_t hf_index_table_hash(const struct hf_index_table *table, const struct hf_index_key *key);
/* As hf_index_table_get, of a key whose hash is known. */
const struct hf_index_value *hf_index_table_get_hashed(const struct hf_index_table *table,
                                                       const struct hf_index_key *key,
                                                       uint32_t hash);
/* Asks the CPU for what a get or put of a key with this hash will look at first: a table can be larger than its caches. */
void hf_index_table_prefetch(const struct hf_index_table *table, uint32_t hash);
/* Of memory, also what is kept for records to come. */
uint64_t hf_index_table_bytes(const struct hf_index_table *table);
/* Walk in the order of the puts: `size_t at = 0; while ((slot = …_next(table, &at)) != NULL)`. */
const struct hf_index_slot *hf_index_table_next(const struct hf_index_table *table, size_t *at);
/* The number-th put of a new key, from 0, below count. */
const struct hf_index_slot *hf_index_table_at(const struct hf_index_table *table, size_t number);

#endif
