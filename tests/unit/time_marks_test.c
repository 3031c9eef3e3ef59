/*
 * Time marks against the whole list of what was noted: whatever the order and however few are kept, a bracket is true, and marks
 * never come closer than they may. SEED=n replays one seed.
 */
#include "node/time_marks.h"

#include <stdlib.h>

#include "unit/support.h"

#define POSITIONS 3000u

struct rig {
    struct hf_time_marks *marks;
    uint64_t times[POSITIONS + 2]; /* by position; strictly ascending */
    bool noted[POSITIONS + 2];
    uint64_t random;
};

static uint64_t below(struct rig *rig, uint64_t bound)
{
    rig->random = rig->random * 6364136223846793005u + 1442695040888963407u;
    return (rig->random >> 33) % bound;
}

static struct rig *begin(size_t capacity, uint64_t seed)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    const char *given = getenv("SEED");
    assert_non_null(rig);
    rig->random = given == NULL ? seed : strtoull(given, NULL, 10);
    rig->marks = hf_time_marks_new(capacity);
    assert_non_null(rig->marks);
    for (uint64_t i = 1; i <= POSITIONS; i++) {
        rig->times[i] = rig->times[i - 1] + 1 + (below(rig, 4) == 0 ? below(rig, 1000) : 0);
    }
    return rig;
}

static void end(struct rig *rig)
{
    hf_time_marks_free(rig->marks);
    free(rig);
}

static void note(struct rig *rig, uint64_t position)
{
    hf_time_marks_note(rig->marks, position, rig->times[position]);
    rig->noted[position] = true;
    hf_time_marks_verify(rig->marks);
}

/* Both ends were noted, and the time lies between them. Returns how far they are apart. */
static uint64_t check(struct rig *rig, uint64_t time_us)
{
    uint64_t low, high;
    hf_time_marks_bracket(rig->marks, time_us, &low, &high);
    assert_true(low == 0 || (rig->noted[low] && rig->times[low] <= time_us));
    assert_true(high == UINT64_MAX || (rig->noted[high] && rig->times[high] > time_us));
    assert_true(low < high);
    return high - low;
}

static void check_random(struct rig *rig, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        (void)check(rig, below(rig, rig->times[POSITIONS] + 10));
    }
}

static void test_none(void **state)
{
    (void)state;
    struct rig *rig = begin(2, 1);
    uint64_t low, high;
    hf_time_marks_bracket(rig->marks, 5, &low, &high);
    assert_true(low == 0 && high == UINT64_MAX);
    note(rig, 7);
    hf_time_marks_bracket(rig->marks, rig->times[7], &low, &high);
    assert_true(low == 7 && high == UINT64_MAX);
    hf_time_marks_bracket(rig->marks, rig->times[7] - 1, &low, &high);
    assert_true(low == 0 && high == 7);
    hf_time_marks_clear(rig->marks);
    hf_time_marks_bracket(rig->marks, UINT64_MAX, &low, &high);
    assert_true(low == 0 && high == UINT64_MAX);
    end(rig);
}

/* As the node notes them: in order. With room for all of them each time is known; with less, to a part of the log. */
static void test_in_order(void **state)
{
    (void)state;
    const size_t capacities[] = {2, 3, 64, POSITIONS};
    for (unsigned c = 0; c < 4; c++) {
        struct rig *rig = begin(capacities[c], 2 + c);
        for (uint64_t position = 1; position <= POSITIONS; position++) {
            note(rig, position);
            check_random(rig, 1);
        }
        uint64_t widest = 0;
        for (uint64_t position = 1; position < POSITIONS / 2; position++) {
            uint64_t width = check(rig, rig->times[position]);
            widest = width > widest ? width : widest;
        }
        assert_true(widest <= 4 * POSITIONS / capacities[c] + 1);
        end(rig);
    }
}

/* As a search notes them: anywhere, some of them again. */
static void test_in_any_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rig *rig = begin(2 + (size_t)seed * 3, seed);
        for (unsigned i = 0; i < 2000; i++) {
            note(rig, 1 + below(rig, POSITIONS));
            check_random(rig, 2);
            if (below(rig, 500) == 0) {
                hf_time_marks_clear(rig->marks);
            }
        }
        end(rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
