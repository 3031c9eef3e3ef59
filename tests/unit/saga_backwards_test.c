/* Sagas that go backwards: what turns them, what settles, what is undone in which order. */
#include "unit/saga_rig.h"

#define CALL(name) "{\"name\":\"" name "\",\"action\":{\"url\":\"http://127.0.0.1:9/" name "\"}"
#define UNDO(name) ",\"compensation\":{\"url\":\"http://127.0.0.1:9/undo-" name "\"}"

static const char three[] = "{\"steps\":[" CALL("a") UNDO("a") "}," CALL("b")
    UNDO("b") ",\"after\":[\"a\"]}," CALL("c") UNDO("c") ",\"after\":[\"b\"]}]}";
/* a, then b and c beside each other. */
static const char forked[] = "{\"steps\":[" CALL("a") UNDO("a") "}," CALL("b")
    UNDO("b") ",\"after\":[\"a\"]}," CALL("c") UNDO("c") ",\"after\":[\"a\"]}]}";

/* Up to both branches being out. */
static void begin_fork(struct saga_rig *rig, const char *id)
{
    assert_int_equal(saga_define(rig, "fork", 1, forked), HF_ERR_OK);
    assert_int_equal(saga_start(rig, id, "fork@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, id, "a", 200), HF_ERR_OK);
    assert_line(rig, id, "running a=succeeded1 b=running1 c=running1");
}

static void what_was_done_is_undone_in_reverse_order(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "three", 1, three), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "three@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "b", 200), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "c", 422), HF_ERR_OK);
    assert_line(rig, "s", "compensating a=succeeded1 b=compensating1~ c=failed1");
    assert_text(saga_get(rig, "s")->reason, "c: HTTP 422");
    assert_text(saga_request(rig, "s", "b"), "{}");
    assert_int_equal(saga_status(rig, "s", "b", 200), HF_ERR_OK);
    assert_line(rig, "s", "compensating a=compensating1~ b=compensated1~ c=failed1");
    assert_int_equal(saga_status(rig, "s", "a", 410), HF_ERR_OK); /* gone: nothing to undo */
    assert_line(rig, "s", "compensated a=compensated1~ b=compensated1~ c=failed1");
    assert_int_equal(saga_newest(rig)->events[0]->type, HF_EVENT_SAGA_ENDED);
    assert_text(saga_get(rig, "s")->reason, "c: HTTP 422");
}

static void a_failure_behind_an_unknown_attempt_is_compensated_too(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "three", 1, three), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "three@1", NULL), HF_ERR_OK);
    struct saga_answer lost = {.error = HF_CALL_TIMED_OUT};
    assert_int_equal(saga_give(rig, "s", "a", &lost), HF_ERR_OK);
    assert_line(rig, "s", "running a=running2!? b=pending c=pending");
    assert_int_equal(saga_status(rig, "s", "a", 400), HF_ERR_OK);
    assert_line(rig, "s", "compensating a=compensating1?~ b=pending c=pending");
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_line(rig, "s", "compensated a=compensated1?~ b=pending c=pending");
    /* Not so if no attempt can have arrived. */
    assert_int_equal(saga_start(rig, "t", "three@1", NULL), HF_ERR_OK);
    lost.error = HF_CALL_NOT_CONNECTED;
    assert_int_equal(saga_give(rig, "t", "a", &lost), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "t", "a", 400), HF_ERR_OK);
    assert_line(rig, "t", "compensated a=failed2 b=pending c=pending");
}

static void branches_in_flight_settle_first(void **state)
{
    struct saga_rig *rig = *state;
    begin_fork(rig, "s");
    assert_int_equal(saga_status(rig, "s", "b", 422), HF_ERR_OK);
    assert_line(rig, "s", "compensating a=succeeded1 b=failed1 c=running1");
    assert_int_equal(saga_status(rig, "s", "c", 200), HF_ERR_OK);
    assert_line(rig, "s", "compensating a=succeeded1 b=failed1 c=compensating1~");
    assert_int_equal(saga_status(rig, "s", "c", 200), HF_ERR_OK);
    assert_line(rig, "s", "compensating a=compensating1~ b=failed1 c=compensated1~");
}

static void a_retryable_failure_then_settles_as_unknown(void **state)
{
    struct saga_rig *rig = *state;
    begin_fork(rig, "s");
    assert_int_equal(saga_status(rig, "s", "b", 422), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "c", 503), HF_ERR_OK);
    assert_line(rig, "s", "compensating a=succeeded1 b=failed1 c=compensating1?~");
    begin_fork(rig, "t"); /* a mistake of deployment does not hold up what goes backwards */
    assert_int_equal(saga_status(rig, "t", "b", 422), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "t", "c", 401), HF_ERR_OK);
    assert_line(rig, "t", "compensating a=compensating1~ b=failed1 c=failed1");
}

/* What is in backoff is not out: nothing is to be waited for. */
static void a_branch_in_backoff_settles_at_once(void **state)
{
    struct saga_rig *rig = *state;
    begin_fork(rig, "s");
    assert_int_equal(saga_status(rig, "s", "c", 503), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "b", 422), HF_ERR_OK);
    assert_line(rig, "s", "compensating a=succeeded1 b=failed1 c=compensating1?~");
    begin_fork(rig, "t");
    struct saga_answer away = {.error = HF_CALL_NOT_CONNECTED};
    assert_int_equal(saga_give(rig, "t", "c", &away), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "t", "b", 422), HF_ERR_OK);
    assert_line(rig, "t", "compensating a=compensating1~ b=failed1 c=failed2");
}

static void an_accepted_branch_settles_by_its_callback(void **state)
{
    struct saga_rig *rig = *state;
    char token[33];
    begin_fork(rig, "s");
    assert_int_equal(saga_status(rig, "s", "c", 202), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "b", 422), HF_ERR_OK);
    assert_line(rig, "s", "compensating a=succeeded1 b=failed1 c=waiting1");
    saga_token_of(rig, "s", "c", HF_SAGA_ACTION, token);
    assert_int_equal(saga_outcome(rig, "s", "c", false, token, NULL), HF_ERR_OK);
    assert_line(rig, "s", "compensating a=compensating1~ b=failed1 c=failed1");
}

static void a_compensation_never_fails(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "three", 1, three), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "three@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "b", 422), HF_ERR_OK);
    for (unsigned i = 0; i < 30; i++) {
        assert_int_equal(saga_status(rig, "s", "a", 500), HF_ERR_OK);
    }
    assert_line(rig, "s", "compensating a=compensating31!~ b=failed1 c=pending");
    assert_int_equal(saga_status(rig, "s", "a", 422), HF_ERR_OK);
    assert_line(rig, "s", "parked a=parked31~ b=failed1 c=pending");
    assert_text(saga_get(rig, "s")->reason, "a: HTTP 422");
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_RETRY, NULL), HF_ERR_OK);
    assert_line(rig, "s", "compensating a=compensating32~ b=failed1 c=pending");
    struct saga_answer says = {.status = 200, .outcome = "fail"};
    assert_int_equal(saga_give(rig, "s", "a", &says), HF_ERR_OK);
    assert_line(rig, "s", "parked a=parked32~ b=failed1 c=pending");
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_SKIP, "a"), HF_ERR_OK);
    assert_line(rig, "s", "compensated a=compensated32~ b=failed1 c=pending");
}

static void a_compensation_may_be_accepted(void **state)
{
    struct saga_rig *rig = *state;
    char token[33];
    assert_int_equal(saga_define(rig, "three", 1, three), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "three@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "b", 422), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 202), HF_ERR_OK);
    assert_int_equal(saga_step(rig, "s", "a")->state, HF_STEP_COMPENSATING_WAITING);
    saga_pass(rig, 86400000); /* nothing came of it: asked again */
    assert_line(rig, "s", "compensating a=compensating2!~ b=failed1 c=pending");
    assert_int_equal(saga_step(rig, "s", "a")->state, HF_STEP_COMPENSATING);
    assert_int_equal(saga_status(rig, "s", "a", 202), HF_ERR_OK);
    saga_token_of(rig, "s", "a", HF_SAGA_ACTION, token);
    assert_int_equal(saga_outcome(rig, "s", "a", true, token, NULL),
                     HF_ERR_OK); /* late: of the action */
    assert_int_equal(saga_step(rig, "s", "a")->state, HF_STEP_COMPENSATING_WAITING);
    saga_token_of(rig, "s", "a", HF_SAGA_COMPENSATION, token);
    assert_int_equal(saga_outcome(rig, "s", "a", true, token, NULL), HF_ERR_OK);
    assert_line(rig, "s", "compensated a=compensated2~ b=failed1 c=pending");
}

static void a_late_success_of_an_undone_step_changes_nothing(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "three", 1, three), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "three@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "b", 500), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "b", 422), HF_ERR_OK);
    assert_line(rig, "s", "compensating a=succeeded1 b=compensating1?~ c=pending");
    struct saga_answer late = {.status = 200, .op = HF_SAGA_ACTION, .attempt = 1};
    assert_int_equal(saga_give(rig, "s", "b", &late), HF_ERR_OK);
    assert_line(rig, "s", "compensating a=succeeded1 b=compensating1?~ c=pending");
    assert_int_equal(saga_status(rig, "s", "b", 200), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_line(rig, "s", "compensated a=compensated1~ b=compensated1?~ c=pending");
    /* Ended: never overwritten. */
    uint64_t due_us = saga_get(rig, "s")->due_us;
    assert_int_equal(saga_give(rig, "s", "b", &late), HF_ERR_OK);
    late.op = HF_SAGA_COMPENSATION;
    assert_int_equal(saga_give(rig, "s", "b", &late), HF_ERR_OK);
    assert_line(rig, "s", "compensated a=compensated1~ b=compensated1?~ c=pending");
    assert_int_equal(saga_get(rig, "s")->due_us, due_us);
}

static void behind_a_pivot_nothing_is_compensated(void **state)
{
    struct saga_rig *rig = *state;
    static const char json[] = "{\"steps\":[" CALL("a")
        UNDO("a") "}," CALL("p") ",\"after\":[\"a\"],\"pivot\":true}," CALL(
            "z") ",\"after\":[\"p\"],\"timeout_ms\":1000}]}";
    assert_int_equal(saga_define(rig, "pivot", 1, json), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "pivot@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "p", 200), HF_ERR_OK);
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_COMPENSATE, NULL), HF_ERR_SAGA_PAST_PIVOT);
    assert_int_equal(saga_status(rig, "s", "z", 422), HF_ERR_OK);
    assert_line(rig, "s", "parked a=succeeded1 p=succeeded1 z=parked1");
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_RETRY, "z"), HF_ERR_OK);
    assert_line(rig, "s", "running a=succeeded1 p=succeeded1 z=running2");
    saga_pass(rig, 1000);
    assert_line(rig, "s", "parked a=succeeded1 p=succeeded1 z=parked2?");
    assert_int_equal(saga_pass(rig, 100000), 0);
    assert_int_equal(saga_status(rig, "s", "z", 200), HF_ERR_OK); /* it was not decided */
    assert_line(rig, "s", "succeeded a=succeeded1 p=succeeded1 z=succeeded2?");
    /* A pivot that fails has not been passed. */
    assert_int_equal(saga_start(rig, "t", "pivot@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "t", "a", 200), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "t", "p", 422), HF_ERR_OK);
    assert_line(rig, "t", "compensating a=compensating1~ p=failed1 z=pending");
}

/* Its branch was in flight when another failed: nothing is undone, an operator decides. */
static void a_pivot_that_settles_as_done_stops_the_way_back(void **state)
{
    struct saga_rig *rig = *state;
    static const char json[] = "{\"steps\":[" CALL("a")
        UNDO("a") "}," CALL("p") ",\"after\":[\"a\"],\"pivot\":true}," CALL("x")
            UNDO("x") ",\"after\":[\"a\"]}]}";
    assert_int_equal(saga_define(rig, "beside", 1, json), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "beside@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "x", 422), HF_ERR_OK);
    assert_line(rig, "s", "compensating a=succeeded1 p=running1 x=failed1");
    assert_int_equal(saga_status(rig, "s", "p", 200), HF_ERR_OK);
    assert_line(rig, "s", "parked a=succeeded1 p=succeeded1 x=parked1");
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_RETRY, "x"), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "x", 200), HF_ERR_OK);
    assert_line(rig, "s", "succeeded a=succeeded1 p=succeeded1 x=succeeded2");
}

static void skipped_steps_are_not_undone(void **state)
{
    struct saga_rig *rig = *state;
    static const char json[] = "{\"steps\":[" CALL("a")
        UNDO("a") "},{\"name\":\"b\",\"after\":[\"a\"],\"when\":{\"value\":{\"$\":\"/input/"
                  "n\"},\"eq\":1},\"action\":{"
                  "\"url\":\"http://127.0.0.1:9/b\"}" UNDO("b") "}," CALL("c")
                      UNDO("c") ",\"after\":[\"b\"]}," CALL("d") ",\"after\":[\"c\"]}]}";
    assert_int_equal(saga_define(rig, "skip", 1, json), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "skip@1", "{\"n\":2}"), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "c", 200), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "d", 422), HF_ERR_OK);
    assert_line(rig, "s", "compensating a=succeeded1 b=skipped c=compensating1~ d=failed1");
    assert_int_equal(saga_status(rig, "s", "c", 200), HF_ERR_OK);
    assert_line(rig, "s", "compensating a=compensating1~ b=skipped c=compensated1~ d=failed1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAGA_TEST(what_was_done_is_undone_in_reverse_order),
        SAGA_TEST(a_failure_behind_an_unknown_attempt_is_compensated_too),
        SAGA_TEST(branches_in_flight_settle_first),
        SAGA_TEST(a_retryable_failure_then_settles_as_unknown),
        SAGA_TEST(a_branch_in_backoff_settles_at_once),
        SAGA_TEST(an_accepted_branch_settles_by_its_callback),
        SAGA_TEST(a_compensation_never_fails),
        SAGA_TEST(a_compensation_may_be_accepted),
        SAGA_TEST(a_late_success_of_an_undone_step_changes_nothing),
        SAGA_TEST(behind_a_pivot_nothing_is_compensated),
        SAGA_TEST(a_pivot_that_settles_as_done_stops_the_way_back),
        SAGA_TEST(skipped_steps_are_not_undone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
