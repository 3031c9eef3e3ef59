/* Sagas that go forwards: what begins when, and what an answer does to a step. */
#include "unit/saga_rig.h"

#define CALL(name) "{\"name\":\"" name "\",\"action\":{\"url\":\"http://127.0.0.1:9/" name "\"}"
#define UNDO(name) ",\"compensation\":{\"url\":\"http://127.0.0.1:9/undo-" name "\"}"

static const char two[] =
    "{\"steps\":[" CALL("a") UNDO("a") "}," CALL("b") UNDO("b") ",\"after\":[\"a\"]}]}";

static void two_steps_are_three_commits(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "two", 1, two), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "two@1", "{\"n\":1}"), HF_ERR_OK);
    assert_int_equal(rig->core.state.position, 2);
    assert_line(rig, "s", "running a=running1 b=pending");
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_line(rig, "s", "running a=succeeded1 b=running1");
    assert_int_equal(saga_status(rig, "s", "b", 204), HF_ERR_OK);
    assert_line(rig, "s", "succeeded a=succeeded1 b=succeeded1");
    assert_int_equal(rig->core.state.position, 4);
    assert_int_equal(saga_newest(rig)->events[0]->type, HF_EVENT_SAGA_ENDED);
}

static void bodies_copy_from_input_and_results(void **state)
{
    struct saga_rig *rig = *state;
    static const char json[] =
        "{\"steps\":[{\"name\":\"a\",\"action\":{\"url\":\"http://127.0.0.1:9/a\",\"body\":{\"of\":"
        "{\"$\":\"/input/order\"},\"saga\":{\"$\":\"/saga/"
        "id\"}}}},{\"name\":\"b\",\"after\":[\"a\"],"
        "\"action\":{\"url\":\"http://127.0.0.1:9/b\",\"body\":{\"r\":{\"$\":\"/steps/a/id\"}}}}]}";
    assert_int_equal(saga_define(rig, "copy", 1, json), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "copy@1", "{\"order\":[1,2]}"), HF_ERR_OK);
    assert_text(saga_request(rig, "s", "a"), "{\"of\":[1,2],\"saga\":\"s\"}");
    struct saga_answer answer = {.status = 200, .body = "{\"id\":\"r7\"}"};
    assert_int_equal(saga_give(rig, "s", "a", &answer), HF_ERR_OK);
    assert_text(saga_request(rig, "s", "b"), "{\"r\":\"r7\"}");
}

/* Beyond what stays in RAM: read from the log. */
static void long_texts_come_from_the_log(void **state)
{
    struct saga_rig *rig = *state;
    static const char json[] = "{\"steps\":[{\"name\":\"a\",\"action\":{\"url\":\"http://"
                               "127.0.0.1:9/a\"}},{\"name\":\"b\",\"after\":"
                               "[\"a\"],\"action\":{\"url\":\"http://127.0.0.1:9/"
                               "b\",\"body\":{\"i\":{\"$\":\"/input/n\"},\"r\":{\"$\":\"/"
                               "steps/a/n\"}}}}]}";
    char input[1200];
    char result[1200];
    int len = snprintf(input, sizeof(input), "{\"pad\":\"%01000d\",\"n\":4}", 0);
    assert_true(len > 1000);
    len = snprintf(result, sizeof(result), "{\"pad\":\"%01000d\",\"n\":5}", 0);
    assert_true(len > 1000);
    assert_int_equal(saga_define(rig, "long", 1, json), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "long@1", input), HF_ERR_OK);
    assert_int_equal(saga_get(rig, "s")->input.ptr == NULL, true);
    struct saga_answer answer = {.status = 200, .body = result};
    assert_int_equal(saga_give(rig, "s", "a", &answer), HF_ERR_OK);
    assert_text(saga_request(rig, "s", "b"), "{\"i\":4,\"r\":5}");
    const struct hf_reading *reading = saga_query(rig, HF_QUERY_SAGA, "s");
    assert_text(reading->saga.input, input);
    assert_text(reading->saga.results[0], result);
}

static void branches_run_beside_each_other_and_meet(void **state)
{
    struct saga_rig *rig = *state;
    static const char json[] = "{\"steps\":[" CALL("a") "}," CALL("b") ",\"after\":[\"a\"]}," CALL(
        "c") ",\"after\":[\"a\"]},{\"name\":\"m\",\"after\":[\"b\",\"c\"],\"action\":{}}"
             "," CALL("d") ",\"after\":[\"m\"]}]}";
    assert_int_equal(saga_define(rig, "diamond", 1, json), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "diamond@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_line(rig, "s", "running a=succeeded1 b=running1 c=running1 m=pending d=pending");
    assert_int_equal(saga_status(rig, "s", "c", 200), HF_ERR_OK);
    assert_line(rig, "s", "running a=succeeded1 b=running1 c=succeeded1 m=pending d=pending");
    assert_int_equal(saga_status(rig, "s", "b", 200), HF_ERR_OK);
    assert_line(rig, "s", "running a=succeeded1 b=succeeded1 c=succeeded1 m=succeeded1 d=running1");
}

static void when_false_skips_and_goes_on(void **state)
{
    struct saga_rig *rig = *state;
    static const char json[] = "{\"steps\":[{\"name\":\"a\",\"when\":{\"value\":{\"$\":\"/input/"
                               "n\"},\"gt\":10},\"action\":{\"url\":\"http://"
                               "127.0.0.1:9/a\"}}," CALL("b") ",\"after\":[\"a\"]}]}";
    assert_int_equal(saga_define(rig, "when", 1, json), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "no", "when@1", "{\"n\":10}"), HF_ERR_OK);
    assert_line(rig, "no", "running a=skipped b=running1");
    assert_int_equal(saga_start(rig, "yes", "when@1", "{\"n\":11}"), HF_ERR_OK);
    assert_line(rig, "yes", "running a=running1 b=pending");
    assert_int_equal(saga_status(rig, "no", "b", 200), HF_ERR_OK);
    assert_line(rig, "no", "succeeded a=skipped b=succeeded1");
}

static void failed_tries_back_off_and_success_clears_it(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "two", 1, two), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "two@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 503), HF_ERR_OK);
    assert_line(rig, "s", "running a=running2!? b=pending");
    const struct hf_saga_step *a = saga_step(rig, "s", "a");
    uint64_t since_us = rig->core.state.time_us;
    assert_int_equal(a->failing_us, since_us);
    assert_int_equal(saga_get(rig, "s")->failing_us, since_us);
    assert_true(a->due_us >= since_us + 250000 && a->due_us <= since_us + 500000);
    assert_int_equal(a->last_status, 503);
    assert_text(saga_query(rig, HF_QUERY_SAGA, "s")->saga.errors[0], "HTTP 503");
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(saga_status(rig, "s", "a", 500), HF_ERR_OK);
    }
    a = saga_step(rig, "s", "a");
    uint64_t wait_us = a->due_us - rig->core.state.time_us;
    assert_true(wait_us >= 30000000 && wait_us <= 60000000); /* capped */
    assert_int_equal(a->failing_us, since_us);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    a = saga_step(rig, "s", "a");
    assert_int_equal(a->failing_us, 0);
    assert_int_equal(a->due_us, 0);
    assert_int_equal(saga_get(rig, "s")->failing_us, 0);
}

static void retry_after_is_obeyed_up_to_an_hour(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "two", 1, two), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "two@1", NULL), HF_ERR_OK);
    struct saga_answer answer = {.status = 429, .retry_after_ms = 7000};
    assert_int_equal(saga_give(rig, "s", "a", &answer), HF_ERR_OK);
    assert_int_equal(saga_step(rig, "s", "a")->due_us, rig->core.state.time_us + 7000000);
    assert_line(rig, "s", "running a=running2! b=pending"); /* sent away at the door: not done */
    answer.retry_after_ms = 86400000;
    assert_int_equal(saga_give(rig, "s", "a", &answer), HF_ERR_OK);
    assert_int_equal(saga_step(rig, "s", "a")->due_us, rig->core.state.time_us + 3600000000ull);
}

/* Until it is decided the success of any attempt counts, a failure of the newest alone. */
static void an_older_attempt_may_succeed_but_not_fail(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "two", 1, two), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "two@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 500), HF_ERR_OK);
    struct saga_answer old = {.status = 422, .attempt = 1};
    uint64_t version = saga_get(rig, "s")->version;
    assert_int_equal(saga_give(rig, "s", "a", &old), HF_ERR_OK);
    assert_line(rig, "s", "running a=running2!? b=pending");
    assert_int_equal(saga_get(rig, "s")->version, version + 1); /* told… */
    assert_true(saga_newest(rig)->events[0]->saga->late);       /* …as late */
    old.status = 200;
    assert_int_equal(saga_give(rig, "s", "a", &old), HF_ERR_OK);
    assert_line(rig, "s", "running a=succeeded2? b=running1");
    /* Now it is decided. */
    assert_int_equal(saga_status(rig, "s", "a", 422), HF_ERR_OK);
    assert_line(rig, "s", "running a=succeeded2? b=running1");
    assert_true(saga_newest(rig)->events[0]->saga->late);
}

static void answers_of_the_future_or_of_another_saga_count_for_nothing(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "two", 1, two), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "two@1", NULL), HF_ERR_OK);
    struct saga_answer answer = {.status = 200, .attempt = 2};
    assert_int_equal(saga_give(rig, "s", "a", &answer), HF_ERR_OK);
    assert_line(rig, "s", "running a=running1 b=pending");
    uint64_t position = rig->core.state.position;
    assert_int_equal(saga_status(rig, "gone", "a", 200), HF_ERR_OK); /* not recorded */
    assert_int_equal(rig->core.state.position, position);
    answer = (struct saga_answer){.status = 200, .op = HF_SAGA_COMPENSATION, .attempt = 1};
    assert_int_equal(saga_give(rig, "s", "a", &answer), HF_ERR_OK);
    assert_line(rig, "s", "running a=running1 b=pending");
}

static void conflicts_are_tried_a_few_times_and_then_park(void **state)
{
    struct saga_rig *rig = *state;
    static const char json[] =
        "{\"steps\":[" CALL("a") ",\"retry\":{\"conflict_attempts_max\":2}}]}";
    assert_int_equal(saga_define(rig, "conflict", 1, json), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "conflict@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 409), HF_ERR_OK);
    assert_line(rig, "s", "running a=running2!");
    assert_int_equal(saga_status(rig, "s", "a", 423), HF_ERR_OK);
    assert_line(rig, "s", "running a=running3!");
    assert_int_equal(saga_status(rig, "s", "a", 409), HF_ERR_OK);
    assert_line(rig, "s", "parked a=parked3");
    assert_text(saga_get(rig, "s")->reason, "a: HTTP 409");
    /* Only in a row. */
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_RETRY, NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 409), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 500), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 409), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 409), HF_ERR_OK);
    assert_line(rig, "s", "running a=running8!?");
}

static void a_mistake_of_deployment_parks_and_never_rolls_back(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "two", 1, two), HF_ERR_OK);
    static const uint16_t statuses[] = {401, 403, 404, 405, 501, 302, 418};
    for (size_t i = 0; i < HF_ARRAY_COUNT(statuses); i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "s%u", statuses[i]);
        assert_int_equal(saga_start(rig, id, "two@1", NULL), HF_ERR_OK);
        assert_int_equal(saga_status(rig, id, "a", 200), HF_ERR_OK);
        assert_int_equal(saga_status(rig, id, "b", statuses[i]), HF_ERR_OK);
        assert_line(rig, id, "parked a=succeeded1 b=parked1");
    }
    struct saga_answer here = {.error = HF_CALL_REFUSED_HERE};
    assert_int_equal(saga_start(rig, "s", "two@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_give(rig, "s", "a", &here), HF_ERR_OK);
    assert_line(rig, "s", "parked a=parked1 b=pending");
}

static void accepted_waits_for_the_callback(void **state)
{
    struct saga_rig *rig = *state;
    char token[33];
    assert_int_equal(saga_define(rig, "two", 1, two), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "two@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 202), HF_ERR_OK);
    assert_line(rig, "s", "waiting a=waiting1 b=pending"); /* no failed attempt */
    assert_int_equal(saga_step(rig, "s", "a")->deadline_us,
                     rig->core.state.time_us + 86400000000ull);
    assert_int_equal(saga_outcome(rig, "s", "a", true, "00000000000000000000000000000000", NULL),
                     HF_ERR_FORBIDDEN);
    saga_token_of(rig, "s", "b", HF_SAGA_ACTION, token);
    assert_int_equal(saga_outcome(rig, "s", "a", true, token, NULL), HF_ERR_FORBIDDEN);
    saga_token_of(rig, "s", "a", HF_SAGA_ACTION, token);
    assert_int_equal(saga_outcome(rig, "s", "a", true, token, "{\"ok\":1}"), HF_ERR_OK);
    assert_line(rig, "s", "running a=succeeded1 b=running1");
    assert_text(saga_query(rig, HF_QUERY_SAGA, "s")->saga.results[0], "{\"ok\":1}");
    assert_int_equal(saga_outcome(rig, "s", "a", false, token, NULL), HF_ERR_OK); /* late */
    assert_line(rig, "s", "running a=succeeded1 b=running1");
    assert_int_equal(saga_outcome(rig, "s", "a", true, NULL, NULL), HF_ERR_SAGA_STEP_STATE);
    assert_int_equal(saga_outcome(rig, "s", "x", true, NULL, NULL), HF_ERR_SAGA_STEP_NOT_FOUND);
    assert_int_equal(saga_outcome(rig, "x", "a", true, NULL, NULL), HF_ERR_SAGA_NOT_FOUND);
}

static void accepted_with_a_location_is_polled(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "two", 1, two), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "two@1", NULL), HF_ERR_OK);
    struct saga_answer answer = {.status = 202, .location = "http://127.0.0.1:9/jobs/1"};
    assert_int_equal(saga_give(rig, "s", "a", &answer), HF_ERR_OK);
    const struct hf_saga_step *a = saga_step(rig, "s", "a");
    assert_true(a->polls && a->poll.position == rig->core.state.position);
    assert_int_equal(a->due_us, rig->core.state.time_us + 1000000);
    assert_text(saga_newest(rig)->events[0]->saga->poll_at, "http://127.0.0.1:9/jobs/1");
    answer = (struct saga_answer){.status = 503, .poll = true};
    assert_int_equal(saga_give(rig, "s", "a", &answer), HF_ERR_OK);
    assert_line(rig, "s", "waiting a=waiting1! b=pending"); /* a poll is no attempt */
    answer.status = 202;
    assert_int_equal(saga_give(rig, "s", "a", &answer), HF_ERR_OK);
    assert_line(rig, "s", "waiting a=waiting1 b=pending");
    answer = (struct saga_answer){.status = 200, .poll = true, .body = "{\"n\":2}"};
    assert_int_equal(saga_give(rig, "s", "a", &answer), HF_ERR_OK);
    assert_line(rig, "s", "running a=succeeded1 b=running1");
    assert_false(saga_step(rig, "s", "a")->polls);
}

static void still_working_is_asked_again_and_no_failed_attempt(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "two", 1, two), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "two@1", NULL), HF_ERR_OK);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(saga_status(rig, "s", "a", 425), HF_ERR_OK);
        assert_line(rig, "s", "running a=running1 b=pending");
        assert_int_equal(saga_step(rig, "s", "a")->due_us, rig->core.state.time_us + 1000000);
    }
}

static void attempts_max_then_compensates_or_parks(void **state)
{
    struct saga_rig *rig = *state;
    static const char json[] =
        "{\"steps\":[" CALL("a") ",\"retry\":{\"attempts_max\":2,\"then\":\"park\"}}]}";
    static const char back[] = "{\"steps\":[" CALL("a") ",\"retry\":{\"attempts_max\":2}}]}";
    assert_int_equal(saga_define(rig, "max", 1, json), HF_ERR_OK);
    assert_int_equal(saga_define(rig, "max", 2, back), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "max@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 500), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 500), HF_ERR_OK);
    assert_line(rig, "s", "parked a=parked2?");
    assert_int_equal(saga_start(rig, "t", "max@2", NULL), HF_ERR_OK);
    struct saga_answer away = {.error = HF_CALL_NOT_CONNECTED};
    assert_int_equal(saga_give(rig, "t", "a", &away), HF_ERR_OK);
    assert_int_equal(saga_give(rig, "t", "a", &away), HF_ERR_OK);
    assert_line(rig, "t", "compensated a=failed2"); /* nothing was ever sent */
    assert_int_equal(saga_start(rig, "u", "max@2", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "u", "a", 500), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "u", "a", 500), HF_ERR_OK);
    assert_line(rig, "u",
                "compensated a=compensated1?~"); /* perhaps done, and there is nothing to undo */
}

static void starts_replay_by_id_or_the_id_is_taken(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "two", 1, two), HF_ERR_OK);
    assert_int_equal(saga_define(rig, "two", 1, two), HF_ERR_OK); /* the same again */
    assert_int_equal(saga_define(rig, "two", 1, "{\"steps\":[" CALL("z") "}]}"),
                     HF_ERR_DEFINITION_EXISTS);
    assert_int_equal(saga_start(rig, "s", "two@2", NULL), HF_ERR_SAGA_DEFINITION_NOT_FOUND);
    assert_int_equal(saga_start(rig, "s", "two@1", "{\"n\":1}"), HF_ERR_OK);
    uint64_t position = rig->core.state.position;
    assert_int_equal(saga_start(rig, "s", "two@1", "{\"n\":1}"), HF_ERR_OK);
    assert_int_equal(rig->core.state.position, position);
    assert_int_equal(saga_start(rig, "s", "two@1", "{\"n\":2}"), HF_ERR_SAGA_EXISTS);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "b", 200), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "two@1", "{\"n\":1}"), HF_ERR_OK); /* ended: as then */
    assert_int_equal(saga_start(rig, "s", "two@1", "{\"n\":2}"), HF_ERR_SAGA_EXISTS);
    assert_line(rig, "s", "succeeded a=succeeded1 b=succeeded1");
}

static void conditions_name_a_saga_and_its_state(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "two", 1, two), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "two@1", NULL), HF_ERR_OK);
    assert_int_equal(
        saga_commit(rig, "{\"if\":[{\"saga\":\"s\",\"state\":\"running\"}],\"do\":[{\"op\":\"put\","
                         "\"document\":\"d\",\"data\":1}]}"),
        HF_ERR_OK);
    assert_int_equal(
        saga_commit(rig, "{\"if\":[{\"saga\":\"s\",\"state\":\"parked\"}],\"do\":[{\"op\":\"put\","
                         "\"document\":\"d\",\"data\":2}]}"),
        HF_ERR_CONDITION_FAILED);
    assert_int_equal(
        saga_commit(rig, "{\"if\":[{\"saga\":\"x\",\"state\":\"running\"}],\"do\":[{\"op\":\"put\","
                         "\"document\":\"d\",\"data\":2}]}"),
        HF_ERR_CONDITION_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAGA_TEST(two_steps_are_three_commits),
        SAGA_TEST(bodies_copy_from_input_and_results),
        SAGA_TEST(long_texts_come_from_the_log),
        SAGA_TEST(branches_run_beside_each_other_and_meet),
        SAGA_TEST(when_false_skips_and_goes_on),
        SAGA_TEST(failed_tries_back_off_and_success_clears_it),
        SAGA_TEST(retry_after_is_obeyed_up_to_an_hour),
        SAGA_TEST(an_older_attempt_may_succeed_but_not_fail),
        SAGA_TEST(answers_of_the_future_or_of_another_saga_count_for_nothing),
        SAGA_TEST(conflicts_are_tried_a_few_times_and_then_park),
        SAGA_TEST(a_mistake_of_deployment_parks_and_never_rolls_back),
        SAGA_TEST(accepted_waits_for_the_callback),
        SAGA_TEST(accepted_with_a_location_is_polled),
        SAGA_TEST(still_working_is_asked_again_and_no_failed_attempt),
        SAGA_TEST(attempts_max_then_compensates_or_parks),
        SAGA_TEST(starts_replay_by_id_or_the_id_is_taken),
        SAGA_TEST(conditions_name_a_saga_and_its_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
