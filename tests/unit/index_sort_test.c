/* The records of a replay in the order of a run, against qsort of the whole keys. */
#include <stdlib.h>

#include "base/alloc.h"
#include "node/index_sort.h"
#include "unit/support.h"

enum shape {
    ANY,     /* all bits random */
    ASCEND,  /* ids ascend, with long equal beginnings */
    FEW,     /* few different keys, put again and again */
    LATE,    /* they differ in the last byte of id, or in sub, alone */
    SHUFFLE, /* as ASCEND, in another order */
    WRITERS, /* some ids of others, and many that agree for long behind the byte in which the writers differ */
};

static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return random_state ^ random_state >> 29;
}

static struct hf_index_key key_of(enum shape shape, uint64_t i)
{
    struct hf_index_key key = {.kind = (uint8_t)(1 + next_random() % 3)};
    uint64_t high = 0x0190000000000000u + i / 7;
    uint64_t low = i * 0x10001u;
    switch (shape) {
    case ANY:
        high = next_random();
        low = next_random();
        key.sub = next_random();
        break;
    case FEW:
        high = next_random() % 3;
        low = next_random() % 5 << 40;
        key.sub = next_random() % 2;
        break;
    case LATE:
        high = 7;
        low = next_random() % 4;
        key.sub = next_random() % 4 == 0 ? UINT64_MAX : next_random() % 300;
        break;
    case WRITERS:
        high = next_random() % 3 << 56 | (uint64_t)(next_random() % 5 == 0 ? 9 : 0);
        low = next_random() % 2000 << 8 | next_random() % 2;
        key.sub = next_random() % 2;
        break;
    case ASCEND:
    case SHUFFLE:
        break;
    }
    high = __builtin_bswap64(high);
    low = __builtin_bswap64(low);
    memcpy(key.id.bytes, &high, 8);
    memcpy(key.id.bytes + 8, &low, 8);
    return key;
}

static void fill(struct hf_index_table *table, enum shape shape, uint32_t count)
{
    hf_index_table_init(table, 1);
    hf_index_table_list(table);
    for (uint32_t i = 0; i < count; i++) {
        struct hf_index_key key = key_of(shape, shape == SHUFFLE ? next_random() % count : i);
        struct hf_index_value value = {.position = i, .index = i ^ 5u, .flags = i % 2};
        assert_true(hf_index_table_reserve(table, 1));
        hf_index_table_put(table, &key, &value);
    }
    assert_int_equal(table->count, count); /* a listed table keeps each put */
}

static int compare_slots(const void *a, const void *b)
{
    const struct hf_index_slot *left = a;
    const struct hf_index_slot *right = b;
    int order = hf_index_key_compare(&left->key, &right->key);
    if (order != 0) {
        return order;
    }
    return left->value.position < right->value.position ? -1 : 1;
}

static void check(enum shape shape, uint32_t count)
{
    struct hf_index_table table;
    fill(&table, shape, count);
    struct hf_index_slot *expected = malloc((count + 1) * sizeof(*expected));
    for (uint32_t i = 0; i < count; i++) {
        expected[i] = *hf_index_table_at(&table, i);
    }
    qsort(expected, count, sizeof(*expected), compare_slots);
    size_t sorted_count;
    struct hf_index_sorted *sorted = hf_index_sort(&table, &sorted_count);
    assert_non_null(sorted);
    size_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i + 1 < count && hf_index_key_equal(&expected[i].key, &expected[i + 1].key)) {
            continue; /* put again later */
        }
        assert_true(at < sorted_count);
        const struct hf_index_slot *slot = hf_index_table_at(&table, sorted[at++].number);
        assert_memory_equal(slot, &expected[i], sizeof(*slot));
    }
    assert_int_equal(at, sorted_count);
    hf_free(sorted);
    free(expected);
    hf_index_table_release(&table);
}

static void sorts_what_was_put_last(void **state)
{
    (void)state;
    random_state = 17;
    for (enum shape shape = ANY; shape <= WRITERS; shape++) {
        for (uint32_t count = 0; count < 40; count++) {
            check(shape, count);
        }
        check(shape, 5000);
    }
}

static void says_that_memory_is_short(void **state)
{
    (void)state;
    struct hf_index_table table;
    size_t count;
    fill(&table, ANY, 100);
    hf_alloc_fault_set(1);
    assert_null(hf_index_sort(&table, &count));
    hf_alloc_fault_set(0);
    hf_index_table_release(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorts_what_was_put_last),
        cmocka_unit_test(says_that_memory_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
