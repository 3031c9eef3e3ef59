/* Sagas and time: not_before, timers, deadlines, awaited events, and when they are forgotten. */
#include "unit/saga_rig.h"

#define CALL(name) "{\"name\":\"" name "\",\"action\":{\"url\":\"http://127.0.0.1:9/" name "\"}"
#define UNDO(name) ",\"compensation\":{\"url\":\"http://127.0.0.1:9/undo-" name "\"}"
#define DAY_MS     86400000ull

static void not_before_waits(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "one", 1, "{\"steps\":[" CALL("a") "}]}"), HF_ERR_OK);
    struct hf_op_fields fields = {.saga = HF_STR("s"),
                                  .definition = HF_STR("one@1"),
                                  .not_before = HF_STR("1970-01-12T13:46:50Z")};
    assert_int_equal(saga_start_fields(rig, &fields), HF_ERR_OK);
    assert_line(rig, "s", "scheduled a=pending");
    assert_int_equal(saga_get(rig, "s")->due_us, 1000010000000ull);
    assert_int_equal(saga_pass(rig, 9000), 0);
    assert_line(rig, "s", "scheduled a=pending");
    assert_int_equal(saga_pass(rig, 1000), 1);
    assert_line(rig, "s", "running a=running1");
    fields.saga = HF_STR("past");
    assert_int_equal(saga_start_fields(rig, &fields), HF_ERR_OK);
    assert_line(rig, "past", "running a=running1");
}

static void sleep_and_until_go_on_by_themselves(void **state)
{
    struct saga_rig *rig = *state;
    static const char json[] =
        "{\"steps\":[{\"name\":\"z\",\"action\":{\"sleep_ms\":5000}},{\"name\":\"u\",\"after\":["
        "\"z\"],\"action\":{\"until\":{\"$\":\"/input/at\"}}},"
        "{\"name\":\"v\",\"after\":[\"u\"],\"action\":{\"until\":\"1970-01-01T00:00:00Z\"}}]}";
    assert_int_equal(saga_define(rig, "timers", 1, json), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "timers@1", "{\"at\":\"1970-01-12T13:47:00Z\"}"),
                     HF_ERR_OK);
    assert_line(rig, "s", "waiting z=waiting1 u=pending v=pending");
    assert_int_equal(saga_pass(rig, 4000), 0);
    assert_int_equal(saga_pass(rig, 2000), 1);
    assert_line(rig, "s", "waiting z=succeeded1 u=waiting1 v=pending");
    assert_int_equal(saga_pass(rig, 20000), 1);
    assert_line(rig, "s", "succeeded z=succeeded1 u=succeeded1 v=succeeded1");
    assert_int_equal(saga_start(rig, "bad", "timers@1", "{\"at\":\"tomorrow\"}"), HF_ERR_OK);
    assert_int_equal(saga_pass(rig, 6000), 1);
    assert_line(rig, "bad", "compensated z=compensated1~ u=failed1 v=pending");
}

static void a_step_that_takes_too_long_is_compensated_too(void **state)
{
    struct saga_rig *rig = *state;
    static const char json[] = "{\"steps\":[" CALL("a") UNDO("a") "}," CALL("b")
        UNDO("b") ",\"after\":[\"a\"],\"timeout_ms\":3000}]}";
    assert_int_equal(saga_define(rig, "slow", 1, json), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "slow@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_int_equal(saga_pass(rig, 2000), 0);
    assert_int_equal(saga_pass(rig, 1000), 1);
    assert_line(rig, "s", "compensating a=succeeded1 b=compensating1?~");
    assert_text(saga_get(rig, "s")->reason, "b: the step took longer than its timeout_ms");
    assert_int_equal(saga_status(rig, "s", "b", 200), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_line(rig, "s", "compensated a=compensated1~ b=compensated1?~");
    /* A success that comes before the timer counts. */
    assert_int_equal(saga_start(rig, "t", "slow@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "t", "a", 200), HF_ERR_OK);
    rig->now_us += 4000000;
    assert_int_equal(saga_status(rig, "t", "b", 200), HF_ERR_OK);
    assert_line(rig, "t", "succeeded a=succeeded1 b=succeeded1");
    assert_int_equal(saga_pass(rig, 10000), 0);
}

static void a_saga_that_takes_too_long_is_compensated(void **state)
{
    struct saga_rig *rig = *state;
    static const char json[] = "{\"timeout_ms\":10000,\"steps\":[" CALL("a")
        UNDO("a") "}," CALL("b") UNDO("b") ",\"after\":[\"a\"]}," CALL("c")
            UNDO("c") ",\"after\":[\"a\"]},{\"name\":\"z\",\"after\":[\"a\"],\"action\":{\"sleep_"
                      "ms\":60000}}]}";
    assert_int_equal(saga_define(rig, "whole", 1, json), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "whole@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "c", 202), HF_ERR_OK);
    assert_int_equal(saga_pass(rig, 10000), 1);
    assert_line(rig, "s",
                "compensating a=succeeded1 b=compensating1?~ c=compensating1?~ z=pending1");
    assert_int_equal(saga_status(rig, "s", "b", 200), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "c", 200), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_line(rig, "s",
                "compensated a=compensated1~ b=compensated1?~ c=compensated1?~ z=pending1");
}

static void no_time_out_of_the_whole_behind_a_pivot(void **state)
{
    struct saga_rig *rig = *state;
    static const char json[] = "{\"timeout_ms\":10000,\"steps\":[" CALL(
        "p") ",\"pivot\":true}," CALL("b") ",\"after\":[\"p\"]}]}";
    assert_int_equal(saga_define(rig, "pivot", 1, json), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "pivot@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "p", 200), HF_ERR_OK);
    assert_int_equal(saga_pass(rig, 20000), 0);
    assert_line(rig, "s", "running p=succeeded1 b=running1");
}

static void what_was_accepted_is_waited_for_a_day(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "one", 1, "{\"steps\":[" CALL("a") UNDO("a") "}]}"),
                     HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "one@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 202), HF_ERR_OK);
    assert_int_equal(saga_pass(rig, DAY_MS - 1), 0);
    assert_int_equal(saga_pass(rig, 1), 1);
    assert_line(rig, "s", "compensating a=compensating1?~");
}

static const char waits[] = "{\"steps\":[" CALL(
    "a") "},{\"name\":\"paid\",\"after\":[\"a\"],\"action\":{\"event\":{\"type\":\"paid\",\"key\":{"
         "\"$join\":[\"o-\",{\"$\":"
         "\"/input/order\"}]}}}},{\"name\":\"b\",\"after\":[\"paid\"],\"action\":{\"url\":\"http://"
         "127.0.0.1:9/b\",\"body\":{\"$\":\"/steps/"
         "paid/by\"}}}]}";

static enum hf_err pay(struct saga_rig *rig, const char *stream)
{
    char json[200];
    (void)snprintf(json, sizeof(json),
                   "{\"do\":[{\"op\":\"append\",\"stream\":\"%s\",\"type\":\"paid\",\"data\":{"
                   "\"by\":\"card\"}}]}",
                   stream);
    return saga_commit(rig, json);
}

static void an_awaited_event_lets_it_go_on(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "waits", 1, waits), HF_ERR_OK);
    assert_int_equal(pay(rig, "o-1"), HF_ERR_OK); /* before the start: does not count */
    assert_int_equal(saga_start(rig, "s", "waits@1", "{\"order\":1}"), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_line(rig, "s", "waiting a=succeeded1 paid=waiting1 b=pending");
    assert_int_equal(pay(rig, "o-2"), HF_ERR_OK); /* another's */
    assert_int_equal(saga_pass(rig, 1), 0);
    assert_int_equal(pay(rig, "o-1"), HF_ERR_OK);
    assert_line(rig, "s", "waiting a=succeeded1 paid=waiting1 b=pending");
    assert_int_equal(saga_pass(rig, 0), 1); /* the timer's commit moves it */
    assert_line(rig, "s", "running a=succeeded1 paid=succeeded1 b=running1");
    assert_int_equal(saga_newest(rig)->events[0]->saga->act, HF_SAGA_ACT_EVENT);
    assert_text(saga_request(rig, "s", "b"), "\"card\"");
    assert_text(saga_query(rig, HF_QUERY_SAGA, "s")->saga.results[1], "{\"by\":\"card\"}");
}

static void an_event_before_its_step_is_reached_counts(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "waits", 1, waits), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "waits@1", "{\"order\":1}"), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "t", "waits@1", "{\"order\":1}"), HF_ERR_OK);
    assert_int_equal(rig->core.state.sagas.wait_count, 2);
    assert_int_equal(pay(rig, "o-1"), HF_ERR_OK);
    assert_int_equal(rig->core.state.sagas.wait_count, 0);
    assert_int_equal(saga_pass(rig, 0), 0);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_line(rig, "s", "running a=succeeded1 paid=succeeded1 b=running1");
    assert_text(saga_request(rig, "s", "b"), "\"card\"");
}

static void messages_and_sagas_are_awaited_too(void **state)
{
    struct saga_rig *rig = *state;
    static const char json[] =
        "{\"steps\":[{\"name\":\"m\",\"action\":{\"event\":{\"type\":\"go\",\"key\":\"k\"}}},{"
        "\"name\":\"o\",\"after\":[\"m\"],\"action\":{\"event\":{"
        "\"type\":\"holdfast.saga.ended\",\"key\":\"other\"}}}]}";
    assert_int_equal(saga_define(rig, "both", 1, json), HF_ERR_OK);
    assert_int_equal(saga_define(rig, "one", 1, "{\"steps\":[" CALL("a") "}]}"), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "both@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_commit(rig, "{\"do\":[{\"op\":\"publish\",\"topic\":\"t\",\"key\":\"k\","
                                      "\"type\":\"go\",\"data\":1}]}"),
                     HF_ERR_OK);
    assert_int_equal(saga_pass(rig, 0), 1);
    assert_line(rig, "s", "waiting m=succeeded1 o=waiting1");
    assert_int_equal(saga_start(rig, "other", "one@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "other", "a", 200), HF_ERR_OK);
    assert_int_equal(saga_pass(rig, 0), 1);
    assert_line(rig, "s", "succeeded m=succeeded1 o=succeeded1");
}

static void a_key_that_can_not_be_made_is_a_failure_of_its_step(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "waits", 1, waits), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "waits@1", "{}"), HF_ERR_OK);
    assert_line(rig, "s", "running a=running1 paid=pending b=pending");
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_line(rig, "s", "compensated a=compensated1~ paid=failed1 b=pending");
}

static void an_event_that_does_not_come_times_out(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "waits", 1, waits), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "waits@1", "{\"order\":1}"), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_int_equal(saga_pass(rig, DAY_MS), 1);
    assert_line(rig, "s", "compensated a=compensated1~ paid=compensated1?~ b=pending");
    assert_int_equal(rig->core.state.sagas.wait_count, 0);
}

static void ended_sagas_are_kept_and_then_forgotten(void **state)
{
    struct saga_rig *rig = *state;
    static const char json[] = "{\"keep_ms\":60000,\"steps\":[" CALL("a") "}]}";
    assert_int_equal(saga_define(rig, "short", 1, json), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "short@1", "{\"n\":1}"), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_int_equal(saga_pass(rig, 59000), 0);
    assert_line(rig, "s", "succeeded a=succeeded1");
    assert_int_equal(saga_pass(rig, 1001), 1);
    assert_line(rig, "s", "none");
    assert_int_equal(saga_query(rig, HF_QUERY_SAGA, "s")->code, HF_ERR_SAGA_NOT_FOUND);
    uint64_t position = rig->core.state.position;
    assert_int_equal(saga_start(rig, "s", "short@1", "{\"n\":2}"), HF_ERR_SAGA_EXISTS);
    assert_int_equal(saga_start(rig, "s", "short@1", "{\"n\":1}"), HF_ERR_OK); /* as then */
    assert_int_equal(rig->core.state.position, position);
    assert_line(rig, "s", "none");
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK); /* nobody to tell */
    assert_int_equal(rig->core.state.position, position);
}

static void an_inline_definition_leaves_with_its_last_saga(void **state)
{
    struct saga_rig *rig = *state;
    static const char json[] = "{\"keep_ms\":1000,\"steps\":[" CALL("a") "}]}";
    assert_int_equal(saga_start(rig, "s", json, NULL), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "t", json, NULL), HF_ERR_OK);
    assert_int_equal(rig->core.state.sagas.definitions.count, 1);
    assert_int_equal(rig->core.state.sagas.inline_definitions, 1);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_int_equal(saga_pass(rig, 2000), 1);
    assert_int_equal(rig->core.state.sagas.definitions.count, 1);
    assert_int_equal(saga_status(rig, "t", "a", 200), HF_ERR_OK);
    assert_int_equal(saga_pass(rig, 2000), 1);
    assert_int_equal(rig->core.state.sagas.definitions.count, 0);
    assert_int_equal(saga_start(rig, "u", json, NULL), HF_ERR_OK);
    assert_line(rig, "u", "running a=running1");
}

/* Many at once: bounded commits, and all get their turn. */
static void many_that_are_due_drain_by_bounded_commits(void **state)
{
    struct saga_rig *rig = *state;
    rig->quick = true;
    char id[16];
    assert_int_equal(
        saga_define(rig, "z", 1,
                    "{\"steps\":[{\"name\":\"z\",\"action\":{\"sleep_ms\":1000}}," CALL(
                        "a") ",\"after\":[\"z\"]}]}"),
        HF_ERR_OK);
    for (unsigned i = 0; i < 300; i++) {
        (void)snprintf(id, sizeof(id), "s%u", i);
        assert_int_equal(saga_start(rig, id, "z@1", NULL), HF_ERR_OK);
    }
    assert_int_equal(saga_pass(rig, 2000), 5); /* 64 at a time */
    for (unsigned i = 0; i < 300; i++) {
        (void)snprintf(id, sizeof(id), "s%u", i);
        assert_line(rig, id, "running z=succeeded1 a=running1");
    }
}

/* Bodies of a megabyte are the most that a commit of the timer takes: the others come next. */
static void large_bodies_end_a_timers_commit(void **state)
{
    struct saga_rig *rig = *state;
    rig->quick = true;
    static char input[61000];
    int len = snprintf(input, sizeof(input), "{\"pad\":\"%060000d\"}", 0);
    assert_true(len > 60000);
    assert_int_equal(saga_define(rig, "z", 1,
                                 "{\"steps\":[{\"name\":\"z\",\"action\":{\"sleep_ms\":1000}},{"
                                 "\"name\":\"a\",\"after\":[\"z\"],\"action\":{\"url\":\"http://"
                                 "127.0.0.1:9/a\",\"body\":{\"$\":\"/input\"}}}]}"),
                     HF_ERR_OK);
    char id[16];
    for (unsigned i = 0; i < 40; i++) {
        (void)snprintf(id, sizeof(id), "s%u", i);
        assert_int_equal(saga_start(rig, id, "z@1", input), HF_ERR_OK);
    }
    assert_int_equal(saga_pass(rig, 2000), 3);
    assert_line(rig, "s39", "running z=succeeded1 a=running1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAGA_TEST(not_before_waits),
        SAGA_TEST(sleep_and_until_go_on_by_themselves),
        SAGA_TEST(a_step_that_takes_too_long_is_compensated_too),
        SAGA_TEST(a_saga_that_takes_too_long_is_compensated),
        SAGA_TEST(no_time_out_of_the_whole_behind_a_pivot),
        SAGA_TEST(what_was_accepted_is_waited_for_a_day),
        SAGA_TEST(an_awaited_event_lets_it_go_on),
        SAGA_TEST(an_event_before_its_step_is_reached_counts),
        SAGA_TEST(messages_and_sagas_are_awaited_too),
        SAGA_TEST(a_key_that_can_not_be_made_is_a_failure_of_its_step),
        SAGA_TEST(an_event_that_does_not_come_times_out),
        SAGA_TEST(ended_sagas_are_kept_and_then_forgotten),
        SAGA_TEST(an_inline_definition_leaves_with_its_last_saga),
        SAGA_TEST(many_that_are_due_drain_by_bounded_commits),
        SAGA_TEST(large_bodies_end_a_timers_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
