#include "core/index_table.h"

#include "base/alloc.h"
#include "base/check.h"

#define CAPACITY_KEPT 64u /* a larger table that was hardly used is given back by clear */
#define CHUNK_MIN     16u /* records in the first chunk */

void hf_index_table_init(struct hf_index_table *table, uint64_t seed)
{
    *table = (struct hf_index_table){.seed = seed};
}

void hf_index_table_release(struct hf_index_table *table)
{
    for (size_t i = 0; i < HF_INDEX_CHUNKS_MAX; i++) {
        hf_free(table->chunks[i]);
    }
    hf_places_release(&table->places);
    *table = (struct hf_index_table){.seed = table->seed, .listed = table->listed};
}

void hf_index_table_clear(struct hf_index_table *table)
{
    size_t capacity = table->places.now.capacity;
    if (capacity > CAPACITY_KEPT && table->count < capacity / 8) {
        hf_index_table_release(table);
    } else {
        hf_places_clear(&table->places);
        table->count = 0;
        table->topped = 0;
    }
}

void hf_index_table_list(struct hf_index_table *table)
{
    HF_CHECK(table->count == 0 && table->places.now.capacity == 0);
    table->listed = true;
}

/* The record with this number from 0: chunk c begins with number CHUNK_MIN * (2^c - 1). */
static struct hf_index_slot *record(const struct hf_index_table *table, size_t number)
{
    size_t scaled = number / CHUNK_MIN + 1;
    unsigned chunk = 63u - (unsigned)__builtin_clzll(scaled);
    return &table->chunks[chunk][number - CHUNK_MIN * (((size_t)1 << chunk) - 1)];
}

uint32_t hf_index_table_hash(const struct hf_index_table *table, const struct hf_index_key *key)
{
    uint64_t seed = table->seed ^ key->sub * 0x9E3779B97F4A7C15u ^ (uint64_t)key->kind << 56;
    uint64_t hash = hf_id_hash(&key->id, seed);
    return (uint32_t)(hash ^ hash >> 32);
}

/* The key's record; NULL: there is none. */
static struct hf_index_slot *find(const struct hf_index_table *table, uint32_t hash,
                                  const struct hf_index_key *key)
{
    struct hf_place_probe probe = hf_places_probe(&table->places, hash);
    while (hf_place_next(&probe)) {
        struct hf_index_slot *slot = record(table, probe.number);
        if (hf_index_key_equal(&slot->key, key)) {
            return slot;
        }
    }
    return NULL;
}

void hf_index_table_prefetch(const struct hf_index_table *table, uint32_t hash)
{
    hf_places_prefetch(&table->places, hash);
}

static bool add_chunks(struct hf_index_table *table, size_t needed)
{
    unsigned chunk = (unsigned)__builtin_ctzll(table->room / CHUNK_MIN + 1);
    for (; table->room < needed; chunk++) {
        size_t size = (size_t)CHUNK_MIN << chunk;
        if (table->chunks[chunk] == NULL) {
            table->chunks[chunk] = hf_malloc(size * sizeof(**table->chunks));
        }
        if (table->chunks[chunk] == NULL) {
            return false;
        }
        table->room += size;
    }
    return true;
}

bool hf_index_table_reserve(struct hf_index_table *table, size_t more)
{
    if (more > HF_PLACES_MAX - table->count) {
        return false;
    }
    size_t needed = table->count + more;
    return (needed <= table->room || add_chunks(table, needed)) &&
           (table->listed || hf_places_reserve(&table->places, more));
}

static void raise_top(struct hf_index_table *table, const struct hf_index_key *key)
{
    table->tops[key->kind] = key->id;
    table->topped |= 1u << key->kind;
}

static void append(struct hf_index_table *table, const struct hf_index_key *key,
                   const struct hf_index_value *value)
{
    HF_CHECK(table->count < table->room);
    *record(table, table->count++) = (struct hf_index_slot){*key, *value};
}

void hf_index_table_put(struct hf_index_table *table, const struct hf_index_key *key,
                        const struct hf_index_value *value)
{
    HF_CHECK(key->kind != 0);
    if (table->listed) {
        append(table, key, value);
        return;
    }
    uint32_t hash = hf_index_table_hash(table, key);
    if (hf_index_table_is_above(table, key)) {
        raise_top(table, key);
    } else {
        struct hf_index_slot *known = find(table, hash, key);
        if (known != NULL) {
            known->value = *value;
            return;
        }
    }
    hf_places_add(&table->places, hash);
    append(table, key, value);
}

const struct hf_index_value *hf_index_table_get_hashed(const struct hf_index_table *table,
                                                       const struct hf_index_key *key,
                                                       uint32_t hash)
{
    HF_CHECK(!table->listed);
    if (hf_index_table_is_above(table, key)) {
        return NULL;
    }
    const struct hf_index_slot *slot = find(table, hash, key);
    return slot == NULL ? NULL : &slot->value;
}

const struct hf_index_value *hf_index_table_get(const struct hf_index_table *table,
                                                const struct hf_index_key *key)
{
    return table->count == 0
               ? NULL
               : hf_index_table_get_hashed(table, key, hf_index_table_hash(table, key));
}

uint64_t hf_index_table_bytes(const struct hf_index_table *table)
{
    return hf_places_bytes(&table->places) + table->room * sizeof(struct hf_index_slot);
}

const struct hf_index_slot *hf_index_table_next(const struct hf_index_table *table, size_t *at)
{
    return *at < table->count ? record(table, (*at)++) : NULL;
}

const struct hf_index_slot *hf_index_table_at(const struct hf_index_table *table, size_t number)
{
    HF_CHECK(number < table->count);
    return record(table, number);
}
