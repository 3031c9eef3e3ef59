#include "base/table.h"

#include "base/alloc.h"
#include "base/check.h"

#define CAPACITY_MIN 16u

void hf_table_init(struct hf_table *table, uint64_t seed)
{
    *table = (struct hf_table){.seed = seed};
}

void hf_table_release(struct hf_table *table)
{
    hf_free(table->slots);
    hf_table_init(table, table->seed);
}

void hf_table_clear(struct hf_table *table)
{
    if (table->count > 0) {
        memset(table->slots, 0, table->capacity * sizeof(*table->slots));
    }
    table->count = 0;
}

static size_t home_of(const struct hf_table *table, const struct hf_id *id)
{
    return (size_t)hf_id_hash(id, table->seed) & (table->capacity - 1);
}

/* The slot of id, or the free one where it belongs. */
static struct hf_table_slot *find(const struct hf_table *table, const struct hf_id *id)
{
    size_t at = home_of(table, id);
    while (table->slots[at].value != NULL && !hf_id_equal(&table->slots[at].id, id)) {
        at = (at + 1) & (table->capacity - 1);
    }
    return &table->slots[at];
}

static bool rehash(struct hf_table *table, size_t capacity)
{
    struct hf_table_slot *slots = hf_calloc(capacity, sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    struct hf_table old = *table;
    table->slots = slots;
    table->capacity = capacity;
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i].value != NULL) {
            *find(table, &old.slots[i].id) = old.slots[i];
        }
    }
    hf_free(old.slots);
    return true;
}

bool hf_table_reserve(struct hf_table *table, size_t more)
{
    if (more > SIZE_MAX / 64 - table->count) {
        return false;
    }
    size_t needed = table->count + more;
    size_t capacity = table->capacity == 0 ? CAPACITY_MIN : table->capacity;
    while (needed > capacity / 4 * 3) {
        capacity *= 2;
    }
    return capacity == table->capacity || rehash(table, capacity);
}

void *hf_table_get(const struct hf_table *table, const struct hf_id *id)
{
    return table->count == 0 ? NULL : find(table, id)->value;
}

void *hf_table_put(struct hf_table *table, const struct hf_id *id, void *value)
{
    HF_CHECK(value != NULL && table->capacity > 0);
    struct hf_table_slot *slot = find(table, id);
    void *old = slot->value;
    if (old == NULL) {
        HF_CHECK(table->count < table->capacity / 4 * 3);
        slot->id = *id;
        table->count++;
    }
    slot->value = value;
    return old;
}

void *hf_table_remove(struct hf_table *table, const struct hf_id *id)
{
    if (table->count == 0) {
        return NULL;
    }
    struct hf_table_slot *slot = find(table, id);
    void *old = slot->value;
    if (old == NULL) {
        return NULL;
    }
    size_t mask = table->capacity - 1;
    size_t hole = (size_t)(slot - table->slots);
    size_t at = hole;
    for (;;) {
        at = (at + 1) & mask;
        if (table->slots[at].value == NULL) {
            break;
        }
        size_t home = home_of(table, &table->slots[at].id);
        bool stays = ((at - home) & mask) < ((at - hole) & mask);
        if (!stays) {
            table->slots[hole] = table->slots[at];
            hole = at;
        }
    }
    table->slots[hole].value = NULL;
    table->count--;
    return old;
}

void *hf_table_next(const struct hf_table *table, size_t *at)
{
    while (*at < table->capacity) {
        void *value = table->slots[(*at)++].value;
        if (value != NULL) {
            return value;
        }
    }
    return NULL;
}

void hf_table_verify(const struct hf_table *table)
{
    size_t count = 0;
    for (size_t i = 0; i < table->capacity; i++) {
        if (table->slots[i].value != NULL) {
            count++;
            HF_CHECK(find(table, &table->slots[i].id) == &table->slots[i]);
        }
    }
    HF_CHECK(count == table->count);
    HF_CHECK(table->capacity == 0 || count <= table->capacity / 4 * 3);
}
