#include "base/table.h"

#include "base/alloc.h"
#include "base/check.h"

#define CAPACITY_MIN 16u
#define MOVED_A_PUT                                                                                \
    4u /* there are as many puts as three quarters of the slots before the next growth */

static char gone; /* stands where something was taken out that had not moved */
#define GONE ((void *)&gone)

void hf_table_init(struct hf_table *table, uint64_t seed)
{
    *table = (struct hf_table){.seed = seed};
}

static void forget_before(struct hf_table *table)
{
    hf_free(table->before);
    table->before = NULL;
    table->before_capacity = 0;
    table->moved = 0;
}

void hf_table_release(struct hf_table *table)
{
    hf_free(table->slots);
    hf_free(table->before);
    hf_table_init(table, table->seed);
}

void hf_table_clear(struct hf_table *table)
{
    forget_before(table);
    if (table->count > 0) {
        memset(table->slots, 0, table->capacity * sizeof(*table->slots));
    }
    table->count = 0;
}

static size_t home_of(const struct hf_table *table, const struct hf_id *id, size_t capacity)
{
    return (size_t)hf_id_hash(id, table->seed) & (capacity - 1);
}

/* The slot of id, or the free one where it belongs. */
static struct hf_table_slot *find(const struct hf_table *table, const struct hf_id *id)
{
    size_t at = home_of(table, id, table->capacity);
    while (table->slots[at].value != NULL && !hf_id_equal(&table->slots[at].id, id)) {
        at = (at + 1) & (table->capacity - 1);
    }
    return &table->slots[at];
}

/* The slot of id if it has not moved yet, or NULL. */
static struct hf_table_slot *find_before(const struct hf_table *table, const struct hf_id *id)
{
    if (table->before_capacity == 0) {
        return NULL;
    }
    size_t at = home_of(table, id, table->before_capacity);
    while (table->before[at].value != NULL && !hf_id_equal(&table->before[at].id, id)) {
        at = (at + 1) & (table->before_capacity - 1);
    }
    struct hf_table_slot *slot = &table->before[at];
    return at < table->moved || slot->value == NULL || slot->value == GONE ? NULL : slot;
}

/* So many of the slots that are left from before the table grew. */
static void move_slots(struct hf_table *table, size_t most)
{
    for (; most > 0 && table->moved < table->before_capacity; most--) {
        const struct hf_table_slot *slot = &table->before[table->moved++];
        if (slot->value != NULL && slot->value != GONE) {
            *find(table, &slot->id) = *slot;
        }
    }
    if (table->moved == table->before_capacity) {
        forget_before(table);
    }
}

static bool grow(struct hf_table *table, size_t capacity)
{
    struct hf_table_slot *slots = hf_calloc(capacity, sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    move_slots(table, table->before_capacity); /* of an earlier growth; mostly none */
    table->before = table->slots;
    table->before_capacity = table->capacity;
    table->slots = slots;
    table->capacity = capacity;
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
    return capacity == table->capacity || grow(table, capacity);
}

void *hf_table_get(const struct hf_table *table, const struct hf_id *id)
{
    if (table->count == 0) {
        return NULL;
    }
    void *value = find(table, id)->value;
    const struct hf_table_slot *before = value == NULL ? find_before(table, id) : NULL;
    return before == NULL ? value : before->value;
}

void *hf_table_put(struct hf_table *table, const struct hf_id *id, void *value)
{
    HF_CHECK(value != NULL && table->capacity > 0);
    struct hf_table_slot *slot = find(table, id);
    struct hf_table_slot *before = slot->value == NULL ? find_before(table, id) : NULL;
    slot = before == NULL ? slot : before;
    void *old = slot->value;
    if (old == NULL) {
        HF_CHECK(table->count < table->capacity / 4 * 3);
        slot->id = *id;
        table->count++;
    }
    slot->value = value;
    move_slots(table, MOVED_A_PUT);
    return old;
}

/* What follows a slot that becomes free moves up, if it may. */
static void close_gap(struct hf_table *table, struct hf_table_slot *slot)
{
    size_t mask = table->capacity - 1;
    size_t hole = (size_t)(slot - table->slots);
    size_t at = hole;
    for (;;) {
        at = (at + 1) & mask;
        if (table->slots[at].value == NULL) {
            break;
        }
        size_t home = home_of(table, &table->slots[at].id, table->capacity);
        bool stays = ((at - home) & mask) < ((at - hole) & mask);
        if (!stays) {
            table->slots[hole] = table->slots[at];
            hole = at;
        }
    }
    table->slots[hole].value = NULL;
}

void *hf_table_remove(struct hf_table *table, const struct hf_id *id)
{
    if (table->count == 0) {
        return NULL;
    }
    struct hf_table_slot *slot = find(table, id);
    struct hf_table_slot *before = slot->value == NULL ? find_before(table, id) : NULL;
    void *old = before == NULL ? slot->value : before->value;
    if (before != NULL) {
        before->value = GONE;
    } else if (old != NULL) {
        close_gap(table, slot);
    }
    table->count -= old != NULL;
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
    size_t number = *at - table->capacity;
    for (number = number < table->moved ? table->moved : number; number < table->before_capacity;) {
        void *value = table->before[number++].value;
        *at = table->capacity + number;
        if (value != NULL && value != GONE) {
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
            HF_CHECK(find_before(table, &table->slots[i].id) == NULL);
        }
    }
    for (size_t i = table->moved; i < table->before_capacity; i++) {
        if (table->before[i].value != NULL && table->before[i].value != GONE) {
            count++;
            HF_CHECK(find_before(table, &table->before[i].id) == &table->before[i]);
        }
    }
    HF_CHECK(count == table->count);
    HF_CHECK(table->capacity == 0 || count <= table->capacity / 4 * 3);
}
