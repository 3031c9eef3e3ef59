/* Marks of a list against a walk from its front: the same line for every order, while lines come and go. */
#include "core/subscription.h"
#include "unit/support.h"

enum { LINES = 5000, STEPS = 40000 };

static struct hf_line lines[LINES];
static struct hf_line_list list;
static struct hf_line_marks marks;
static uint64_t next_order = 1;

static uint64_t seed = 7;

static uint64_t below(uint64_t limit)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % limit;
}

static void append(struct hf_line *line)
{
    *line = (struct hf_line){.state = HF_LINE_PARKED, .order = next_order++};
    line->list_before = list.last;
    *(list.last == NULL ? &list.first : &list.last->list_behind) = line;
    list.last = line;
    assert_true(hf_line_marks_reserve(&marks, 1));
    hf_line_marks_added(&marks, line);
}

static void take_out(struct hf_line *line)
{
    hf_line_marks_leaving(&marks, line);
    *(line->list_before == NULL ? &list.first : &line->list_before->list_behind) =
        line->list_behind;
    *(line->list_behind == NULL ? &list.last : &line->list_behind->list_before) = line->list_before;
    line->state = HF_LINE_READY;
}

static const struct hf_line *walk(uint64_t order)
{
    const struct hf_line *line = list.first;
    while (line != NULL && line->order <= order) {
        line = line->list_behind;
    }
    return line;
}

static void finds_what_a_walk_finds(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < STEPS; i++) {
        /* It grows, shrinks to little, and grows again. */
        bool grows = (i / 8000) % 2 == 0;
        struct hf_line *line = &lines[below(LINES)];
        if (line->state == HF_LINE_PARKED && below(100) < (grows ? 20u : 95u)) {
            take_out(line);
        } else if (line->state != HF_LINE_PARKED && below(100) < (grows ? 95u : 20u)) {
            append(line);
        }
        uint64_t order = below(next_order + 1);
        assert_ptr_equal(hf_line_marks_behind(&marks, order), walk(order));
        if (i % 100 == 0) {
            hf_line_marks_verify(&marks, &list);
        }
    }
    while (list.first != NULL) { /* as a redrive does */
        take_out(list.first);
        hf_line_marks_verify(&marks, &list);
    }
    assert_int_equal(marks.count, 0);
    assert_null(hf_line_marks_behind(&marks, 0));
    hf_line_marks_release(&marks);
}

/* A million in a row cost some 4,000 marks, and no walk is longer than the lines of one. */
static void marks_are_few(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < LINES; i++) {
        append(&lines[i]);
    }
    hf_line_marks_verify(&marks, &list);
    assert_int_equal(marks.count, (LINES + HF_LINE_MARK_EVERY - 1) / HF_LINE_MARK_EVERY);
    hf_line_marks_release(&marks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_what_a_walk_finds),
                                       cmocka_unit_test(marks_are_few)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
