#include "core/index_table.h"

#include "base/alloc.h"
#include "base/check.h"

#define CAPACITY_MIN  16u
#define CAPACITY_KEPT 64u /* a larger table that was hardly used is given back by clear */

void hf_index_table_init(struct hf_index_table *table, uint64_t seed)
{
    *table = (struct hf_index_table){.seed = seed};
}

void hf_index_table_release(struct hf_index_table *table)
{
    hf_free(table->slots);
    hf_index_table_init(table, table->seed);
}

void hf_index_table_clear(struct hf_index_table *table)
{
    if (table->capacity > CAPACITY_KEPT && table->count < table->capacity / 8) {
        hf_index_table_release(table);
    } else if (table->count > 0) {
        memset(table->slots, 0, table->capacity * sizeof(*table->slots));
        table->count = 0;
    }
}

static size_t home_of(const struct hf_index_table *table, const struct hf_index_key *key)
{
    uint64_t hash = hf_id_hash(&key->id, table->seed ^ key->sub * 0x9E3779B97F4A7C15u ^
                                             (uint64_t)key->kind << 56);
    return (size_t)hash & (table->capacity - 1);
}

static struct hf_index_slot *find(const struct hf_index_table *table,
                                  const struct hf_index_key *key)
{
    size_t at = home_of(table, key);
    while (table->slots[at].key.kind != 0 && !hf_index_key_equal(&table->slots[at].key, key)) {
        at = (at + 1) & (table->capacity - 1);
    }
    return &table->slots[at];
}

void hf_index_table_prefetch(const struct hf_index_table *table, const struct hf_index_key *key)
{
    if (table->capacity > 0) {
        __builtin_prefetch(&table->slots[home_of(table, key)], 1);
    }
}

bool hf_index_table_reserve(struct hf_index_table *table, size_t more)
{
    if (more > SIZE_MAX / 256 - table->count) {
        return false;
    }
    size_t needed = table->count + more;
    size_t capacity = table->capacity == 0 ? CAPACITY_MIN : table->capacity;
    while (needed > capacity / 4 * 3) {
        capacity *= 2;
    }
    if (capacity == table->capacity) {
        return true;
    }
    struct hf_index_slot *slots = hf_calloc(capacity, sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    struct hf_index_table old = *table;
    table->slots = slots;
    table->capacity = capacity;
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i].key.kind != 0) {
            *find(table, &old.slots[i].key) = old.slots[i];
        }
    }
    hf_free(old.slots);
    return true;
}

void hf_index_table_put(struct hf_index_table *table, const struct hf_index_key *key,
                        const struct hf_index_value *value)
{
    HF_CHECK(key->kind != 0 && table->capacity > 0);
    struct hf_index_slot *slot = find(table, key);
    if (slot->key.kind == 0) {
        HF_CHECK(table->count < table->capacity / 4 * 3);
        slot->key = *key;
        table->count++;
    }
    slot->value = *value;
}

const struct hf_index_value *hf_index_table_get(const struct hf_index_table *table,
                                                const struct hf_index_key *key)
{
    if (table->count == 0) {
        return NULL;
    }
    const struct hf_index_slot *slot = find(table, key);
    return slot->key.kind == 0 ? NULL : &slot->value;
}

const struct hf_index_slot *hf_index_table_next(const struct hf_index_table *table, size_t *at)
{
    while (*at < table->capacity) {
        const struct hf_index_slot *slot = &table->slots[(*at)++];
        if (slot->key.kind != 0) {
            return slot;
        }
    }
    return NULL;
}
