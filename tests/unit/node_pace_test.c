/* Which request a node decides next: small ones before large commands; and what a start that replayed much does at once. */
#include <stdio.h>

#include "unit/node_rig.h"
#include "unit/support.h"

#define LARGE      300u /* operations */
#define TEXT_BYTES 40000u

static void ask_large(struct node_rig *rig, struct node_asked *asked, unsigned number)
{
    static char text[TEXT_BYTES];
    size_t used = (size_t)snprintf(text, sizeof(text), "{\"do\":[");
    for (unsigned i = 0; i < LARGE; i++) {
        used += (size_t)snprintf(
            text + used, sizeof(text) - used,
            "%s{\"op\":\"open_account\",\"account\":\"l%u-%u\",\"asset\":\"USD/2\"}",
            i > 0 ? "," : "", number, i);
    }
    (void)snprintf(text + used, sizeof(text) - used, "]}");
    node_rig_ask(rig, asked, text);
}

static void ask_small(struct node_rig *rig, struct node_asked *asked, unsigned number)
{
    char text[128];
    (void)snprintf(text, sizeof(text),
                   "{\"do\":[{\"op\":\"open_account\",\"account\":\"s%u\",\"asset\":\"USD/2\"}]}",
                   number);
    node_rig_ask(rig, asked, text);
}

static uint64_t finish(struct node_rig *rig, struct node_asked *asked)
{
    node_rig_drive_until(rig, &asked->done);
    assert_int_equal(asked->request.answer.code, HF_ERR_OK);
    uint64_t position = asked->request.answer.position;
    node_asked_release(asked);
    return position;
}

/* Large ones came first, and keep their order among themselves, as small ones do. */
static void small_ones_overtake(void **state)
{
    (void)state;
    struct node_rig rig;
    struct node_asked large[3], small[3];
    uint64_t large_at[3], small_at[3];
    node_rig_init(&rig, 1);
    node_rig_make(&rig);
    node_rig_start(&rig);
    for (unsigned i = 0; i < 3; i++) {
        ask_large(&rig, &large[i], i);
    }
    for (unsigned i = 0; i < 3; i++) {
        ask_small(&rig, &small[i], i);
    }
    for (unsigned i = 0; i < 3; i++) {
        large_at[i] = finish(&rig, &large[i]);
        small_at[i] = finish(&rig, &small[i]);
    }
    for (unsigned i = 1; i < 3; i++) {
        assert_true(small_at[i - 1] < small_at[i]);
        assert_true(large_at[i - 1] < large_at[i]);
    }
    assert_true(small_at[2] < large_at[0]);
    node_rig_end(&rig);
}

/* A node that stops answers them all: nothing is left behind in a list. */
static void a_stop_answers_all(void **state)
{
    (void)state;
    struct node_rig rig;
    struct node_asked large, small;
    node_rig_init(&rig, 2);
    node_rig_make(&rig);
    node_rig_start(&rig);
    ask_large(&rig, &large, 0);
    ask_small(&rig, &small, 0);
    hf_node_stop(rig.node);
    node_rig_drive(&rig, 1000000);
    assert_true(large.done && small.done);
    node_asked_release(&large);
    node_asked_release(&small);
    node_rig_end(&rig);
}

static uint64_t checkpoint_of(struct node_rig *rig)
{
    struct hf_node_status status;
    hf_node_status(rig->node, &status);
    return status.checkpoint_position;
}

/* A start that has replayed an eighth of a checkpoint's records makes one; one that has replayed fewer does not. */
static void a_start_that_replayed_much_stores(void **state)
{
    (void)state;
    for (uint64_t every = LARGE; every <= LARGE * 16; every *= 16) {
        struct node_rig rig;
        struct node_asked large;
        node_rig_init(&rig, 3);
        rig.limits.checkpoint_every_records =
            every * 4; /* LARGE: an eighth of 4 x LARGE and more */
        node_rig_make(&rig);
        node_rig_start(&rig);
        ask_large(&rig, &large, 0);
        uint64_t position = finish(&rig, &large);
        node_rig_drive(&rig, 1000000);
        assert_int_equal(checkpoint_of(&rig), 0);
        node_rig_stop(&rig);
        node_rig_make(&rig);
        node_rig_start(&rig);
        node_rig_drive(&rig, 1000000);
        if (every == LARGE) {
            assert_true(checkpoint_of(&rig) > position);
        } else {
            assert_int_equal(checkpoint_of(&rig), 0);
        }
        node_rig_end(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_ones_overtake),
        cmocka_unit_test(a_stop_answers_all),
        cmocka_unit_test(a_start_that_replayed_much_stores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
