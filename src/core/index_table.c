#include "core/index_table.h"

#include "base/alloc.h"
#include "base/check.h"

#define CAPACITY_MIN  16u
#define CAPACITY_KEPT 64u /* a larger table that was hardly used is given back by clear */
#define CHUNK_MIN     16u /* records in the first chunk */
#define RECORDS_MAX   ((size_t)1u << 31) /* a place's number has 32 bits */
#define MOVED_A_PUT   4u /* there are as many puts as half of the places before the next growth */

void hf_index_table_init(struct hf_index_table *table, uint64_t seed)
{
    *table = (struct hf_index_table){.seed = seed};
}

void hf_index_table_release(struct hf_index_table *table)
{
    for (size_t i = 0; i < HF_INDEX_CHUNKS_MAX; i++) {
        hf_free(table->chunks[i]);
    }
    hf_free(table->places.at);
    hf_free(table->before.at);
    *table = (struct hf_index_table){.seed = table->seed, .listed = table->listed};
}

static void forget_before(struct hf_index_table *table)
{
    hf_free(table->before.at);
    table->before = (struct hf_index_places){0};
    table->moved = 0;
}

void hf_index_table_clear(struct hf_index_table *table)
{
    if (table->places.capacity > CAPACITY_KEPT && table->count < table->places.capacity / 8) {
        hf_index_table_release(table);
        return;
    }
    forget_before(table);
    table->base += (uint32_t)table->count;
    table->count = 0;
    if (table->base >= RECORDS_MAX) { /* once in two thousand million records */
        memset(table->places.at, 0, table->places.capacity * sizeof(*table->places.at));
        table->base = 0;
    }
}

void hf_index_table_list(struct hf_index_table *table)
{
    HF_CHECK(table->count == 0 && table->places.capacity == 0);
    table->listed = true;
}

/* The record with this number from 0: chunk c begins with number CHUNK_MIN * (2^c - 1). */
static struct hf_index_slot *record(const struct hf_index_table *table, size_t number)
{
    size_t scaled = number / CHUNK_MIN + 1;
    unsigned chunk = 63u - (unsigned)__builtin_clzll(scaled);
    return &table->chunks[chunk][number - CHUNK_MIN * (((size_t)1 << chunk) - 1)];
}

static uint32_t hash_of(const struct hf_index_table *table, const struct hf_index_key *key)
{
    uint64_t seed = table->seed ^ key->sub * 0x9E3779B97F4A7C15u ^ (uint64_t)key->kind << 56;
    uint64_t hash = hf_id_hash(&key->id, seed);
    return (uint32_t)(hash ^ hash >> 32);
}

static bool is_free(const struct hf_index_table *table, const struct hf_index_place *place)
{
    return place->number <= table->base;
}

static struct hf_index_slot *record_of(const struct hf_index_table *table,
                                       const struct hf_index_place *place)
{
    return record(table, place->number - table->base - 1);
}

/* The key's place, or the free one where it would be. */
static struct hf_index_place *find(const struct hf_index_table *table,
                                   const struct hf_index_places *places, uint32_t hash,
                                   const struct hf_index_key *key)
{
    size_t at = hash & (places->capacity - 1);
    for (;; at = (at + 1) & (places->capacity - 1)) {
        struct hf_index_place *place = &places->at[at];
        if (is_free(table, place) ||
            (place->hash == hash && hf_index_key_equal(&record_of(table, place)->key, key))) {
            return place;
        }
    }
}

/* The same, or where it still is as of before the table grew. */
static struct hf_index_place *find_any(const struct hf_index_table *table, uint32_t hash,
                                       const struct hf_index_key *key)
{
    struct hf_index_place *place = find(table, &table->places, hash, key);
    if (table->before.capacity > 0 && is_free(table, place)) {
        struct hf_index_place *before = find(table, &table->before, hash, key);
        return is_free(table, before) ? place : before;
    }
    return place;
}

static void prefetch(const struct hf_index_places *places, uint32_t hash)
{
    if (places->capacity > 0) {
        __builtin_prefetch(&places->at[hash & (places->capacity - 1)], 1);
    }
}

void hf_index_table_prefetch(const struct hf_index_table *table, const struct hf_index_key *key)
{
    if (table->places.capacity > 0) {
        uint32_t hash = hash_of(table, key);
        prefetch(&table->places, hash);
        prefetch(&table->before, hash);
    }
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

/* So many of the places that are left from before the table grew. */
static void move_places(struct hf_index_table *table, size_t most)
{
    const struct hf_index_places *places = &table->places;
    for (; most > 0 && table->moved < table->before.capacity; most--) {
        struct hf_index_place place = table->before.at[table->moved++];
        if (is_free(table, &place)) {
            continue;
        }
        size_t at = place.hash & (places->capacity - 1);
        while (!is_free(table, &places->at[at])) {
            at = (at + 1) & (places->capacity - 1);
        }
        places->at[at] = place;
    }
    if (table->moved == table->before.capacity) {
        forget_before(table);
    }
}

static bool grow_places(struct hf_index_table *table, size_t capacity)
{
    struct hf_index_place *places = hf_calloc(capacity, sizeof(*places));
    if (places == NULL) {
        return false;
    }
    move_places(table, table->before.capacity); /* of an earlier growth; mostly none */
    table->before = table->places;
    table->places = (struct hf_index_places){places, capacity};
    return true;
}

bool hf_index_table_reserve(struct hf_index_table *table, size_t more)
{
    if (more > RECORDS_MAX - table->count) {
        return false;
    }
    size_t needed = table->count + more;
    if (table->listed) {
        return needed <= table->room || add_chunks(table, needed);
    }
    size_t capacity = table->places.capacity == 0 ? CAPACITY_MIN : table->places.capacity;
    while (needed > capacity / 4 * 3) {
        capacity *= 2;
    }
    return (needed <= table->room || add_chunks(table, needed)) &&
           (capacity == table->places.capacity || grow_places(table, capacity));
}

void hf_index_table_put(struct hf_index_table *table, const struct hf_index_key *key,
                        const struct hf_index_value *value)
{
    HF_CHECK(key->kind != 0);
    if (table->listed) {
        HF_CHECK(table->count < table->room);
        *record(table, table->count++) = (struct hf_index_slot){*key, *value};
        return;
    }
    HF_CHECK(table->places.capacity > 0);
    uint32_t hash = hash_of(table, key);
    struct hf_index_place *place = find_any(table, hash, key);
    if (is_free(table, place)) {
        HF_CHECK(table->count < table->room && table->count < table->places.capacity / 4 * 3);
        *place = (struct hf_index_place){hash, table->base + (uint32_t)table->count + 1};
        record(table, table->count)->key = *key;
        table->count++;
    }
    record_of(table, place)->value = *value;
    move_places(table, MOVED_A_PUT);
}

const struct hf_index_value *hf_index_table_get(const struct hf_index_table *table,
                                                const struct hf_index_key *key)
{
    HF_CHECK(!table->listed);
    if (table->count == 0) {
        return NULL;
    }
    const struct hf_index_place *place = find_any(table, hash_of(table, key), key);
    return is_free(table, place) ? NULL : &record_of(table, place)->value;
}

uint64_t hf_index_table_bytes(const struct hf_index_table *table)
{
    return (table->places.capacity + table->before.capacity) * sizeof(*table->places.at) +
           table->room * sizeof(struct hf_index_slot);
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
