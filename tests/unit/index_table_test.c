/* The hash table of index records, against a plain array. */
#include "base/alloc.h"
#include "core/index_table.h"
#include "unit/support.h"

static struct hf_index_key key_of(uint32_t number)
{
    struct hf_index_key key = {.kind = (uint8_t)(1 + number % 3), .sub = number % 2};
    memcpy(key.id.bytes, &number, sizeof(number));
    return key;
}

static void put(struct hf_index_table *table, uint32_t number, uint64_t position)
{
    struct hf_index_key key = key_of(number);
    struct hf_index_value value = {.position = position, .index = number, .flags = 7};
    hf_index_table_put(table, &key, &value);
}

/* Every number below count has its position, no other number is there. */
static void assert_holds(const struct hf_index_table *table, const uint64_t *positions,
                         uint32_t count)
{
    for (uint32_t i = 0; i < 2 * count; i++) {
        struct hf_index_key key = key_of(i);
        const struct hf_index_value *value = hf_index_table_get(table, &key);
        if (i >= count) {
            assert_null(value);
        } else {
            assert_non_null(value);
            assert_true(value->position == positions[i] && value->index == i && value->flags == 7);
        }
    }
    size_t at = 0;
    uint32_t seen = 0;
    const struct hf_index_slot *slot;
    while ((slot = hf_index_table_next(table, &at)) != NULL) {
        assert_int_equal(slot->value.index, seen); /* in the order of the puts */
        seen++;
    }
    assert_int_equal(seen, count);
}

static void grows_and_keeps_its_records(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    static uint64_t positions[COUNT];
    struct hf_index_table table;
    hf_index_table_init(&table, 42);
    for (int round = 0; round < 3; round++) { /* the second and third use the memory of the first */
        const struct hf_index_value *first = NULL;
        for (uint32_t i = 0; i < COUNT; i++) {
            assert_true(hf_index_table_reserve(&table, 1));
            positions[i] = i * 3u + (unsigned)round;
            put(&table, i, positions[i]);
            put(&table, i / 2, positions[i / 2] += 5); /* a known key takes no room */
            struct hf_index_key key = key_of(0);
            first = first == NULL ? hf_index_table_get(&table, &key) : first;
            assert_ptr_equal(first, hf_index_table_get(&table, &key)); /* records never move */
        }
        assert_holds(&table, positions, COUNT);
        hf_index_table_clear(&table);
        assert_holds(&table, positions, 0);
    }
    hf_index_table_release(&table);
}

static void keeps_what_it_has_when_memory_is_short(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    static uint64_t positions[COUNT];
    struct hf_index_table table;
    hf_index_table_init(&table, 1);
    uint32_t failures = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        for (uint64_t n = 1;; n++) {
            hf_alloc_fault_set(n);
            bool ok = hf_index_table_reserve(&table, 1);
            bool hit = hf_alloc_fault_hit();
            hf_alloc_fault_set(0);
            assert_true(ok != hit);
            failures += hit;
            if (ok) {
                break;
            }
        }
        positions[i] = i;
        put(&table, i, i);
        assert_holds(&table, positions, i + 1);
    }
    assert_true(failures > 5);
    assert_false(hf_index_table_reserve(&table, SIZE_MAX));
    hf_index_table_release(&table);
}

static void gives_back_what_was_hardly_used(void **state)
{
    (void)state;
    struct hf_index_table table;
    hf_index_table_init(&table, 1);
    assert_true(hf_index_table_reserve(&table, 1000));
    put(&table, 1, 1);
    hf_index_table_clear(&table);
    assert_int_equal(table.places.now.capacity, 0);
    assert_true(hf_index_table_reserve(&table, 1000));
    for (uint32_t i = 0; i < 1000; i++) {
        put(&table, i, i);
    }
    hf_index_table_clear(&table);
    assert_true(table.places.now.capacity >= 1000 && table.count == 0);
    hf_index_table_release(&table);
}

/* Behind every growth each key is found, moved or not, and none that was cleared. */
static void finds_what_has_not_moved_yet(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    static uint64_t positions[COUNT];
    struct hf_index_table table;
    hf_index_table_init(&table, 3);
    bool grown = false;
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_true(hf_index_table_reserve(&table, 1));
        positions[i] = i;
        put(&table, i, i);
        if (table.places.before.capacity > 0) {
            grown = true;
            put(&table, i / 3, i); /* known, perhaps not moved */
            positions[i / 3] = i;
            assert_holds(&table, positions, i + 1);
        }
    }
    assert_true(grown);
    assert_true(hf_index_table_reserve(&table, 2 * COUNT)); /* the growth is under way… */
    assert_true(table.places.before.capacity > 0);
    assert_holds(&table, positions, COUNT);
    assert_true(hf_index_table_reserve(&table, 20 * COUNT)); /* …when it must grow again */
    assert_holds(&table, positions, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        put(&table, COUNT + i, 1); /* so that it is not given back */
    }
    hf_index_table_clear(&table);
    assert_holds(&table, positions, 0);
    hf_index_table_release(&table);
}

/* The numbers of records begin anew before they run out. */
static void is_cleared_without_end(void **state)
{
    (void)state;
    enum { COUNT = 40 };
    static uint64_t positions[COUNT];
    struct hf_index_table table;
    hf_index_table_init(&table, 3);
    table.places.base = UINT32_MAX / 2 - 3 * COUNT;
    for (uint32_t round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < COUNT; i++) {
            assert_true(hf_index_table_reserve(&table, 1));
            positions[i] = i + round;
            put(&table, i, positions[i]);
        }
        assert_holds(&table, positions, COUNT);
        hf_index_table_clear(&table);
        assert_holds(&table, positions, 0);
    }
    assert_true(table.places.base < 10 * COUNT);
    hf_index_table_release(&table);
}

/* Ids in any order, also the lowest and highest there are: what is above all others is known to be new, of each kind. */
static void knows_what_is_above(void **state)
{
    (void)state;
    struct hf_index_table table;
    hf_index_table_init(&table, 3);
    for (int round = 0; round < 2; round++) {
        struct hf_index_key keys[5] = {
            {.kind = 1}, {.kind = 1}, {.kind = 1}, {.kind = 1}, {.kind = 2}};
        keys[0].id.bytes[15] = 7;
        keys[2].id.bytes[0] = 0x80;
        memset(keys[3].id.bytes, 0xff, sizeof(keys[3].id.bytes));
        const struct hf_index_value value = {.position = 5};
        static const size_t order[] = {2, 0, 1, 3};
        for (size_t i = 0; i < 4; i++) {
            assert_null(hf_index_table_get(&table, &keys[order[i]]));
            bool above = hf_index_table_is_above(&table, &keys[order[i]]);
            assert_int_equal(above, order[i] == 2 || order[i] == 3);
            assert_true(hf_index_table_reserve(&table, 1));
            hf_index_table_put(&table, &keys[order[i]], &value);
            for (size_t j = 0; j <= i; j++) {
                assert_false(hf_index_table_is_above(&table, &keys[order[j]]));
                assert_non_null(hf_index_table_get(&table, &keys[order[j]]));
            }
        }
        assert_true(hf_index_table_is_above(&table, &keys[4])); /* of another kind */
        struct hf_index_key other = keys[3];
        other.sub = 1; /* the same id, another key: not above */
        assert_false(hf_index_table_is_above(&table, &other));
        assert_null(hf_index_table_get(&table, &other));
        other.kind = HF_INDEX_TOPS; /* beyond the kinds that have a top */
        assert_false(hf_index_table_is_above(&table, &other));
        hf_index_table_clear(&table);
        assert_true(hf_index_table_is_above(&table, &keys[3]));
    }
    hf_index_table_release(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_keeps_its_records),
        cmocka_unit_test(keeps_what_it_has_when_memory_is_short),
        cmocka_unit_test(gives_back_what_was_hardly_used),
        cmocka_unit_test(finds_what_has_not_moved_yet),
        cmocka_unit_test(is_cleared_without_end),
        cmocka_unit_test(knows_what_is_above),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
