/* What operators do: every verb, one by one and in bulk. */
#include "unit/saga_rig.h"

#define CALL(name) "{\"name\":\"" name "\",\"action\":{\"url\":\"http://127.0.0.1:9/" name "\"}"
#define UNDO(name) ",\"compensation\":{\"url\":\"http://127.0.0.1:9/undo-" name "\"}"

static const char two[] =
    "{\"steps\":[" CALL("a") UNDO("a") "}," CALL("b") UNDO("b") ",\"after\":[\"a\"]}]}";

static void begin(struct saga_rig *rig, const char *id)
{
    assert_int_equal(saga_define(rig, "two", 1, two), HF_ERR_OK);
    assert_int_equal(saga_start(rig, id, "two@1", NULL), HF_ERR_OK);
}

static void pause_begins_no_call_and_answers_still_count(void **state)
{
    struct saga_rig *rig = *state;
    begin(rig, "s");
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_PAUSE, NULL), HF_ERR_OK);
    assert_line(rig, "s", "paused a=running1 b=pending");
    assert_int_equal(saga_get(rig, "s")->resumes, HF_SAGA_RUNNING);
    assert_text(saga_get(rig, "s")->reason, "by hand");
    uint64_t position = rig->core.state.position;
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_PAUSE, NULL), HF_ERR_OK); /* as it is */
    assert_int_equal(rig->core.state.position, position);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_line(rig, "s", "paused a=succeeded1 b=pending");
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_RESUME, NULL), HF_ERR_OK);
    assert_line(rig, "s", "running a=succeeded1 b=running1");
    /* A failure turns it, and nothing is undone before it resumes. */
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_PAUSE, NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "b", 422), HF_ERR_OK);
    assert_line(rig, "s", "paused a=succeeded1 b=failed1");
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_RESUME, NULL), HF_ERR_OK);
    assert_line(rig, "s", "compensating a=compensating1~ b=failed1");
}

static void a_paused_saga_stands_still_in_time_too(void **state)
{
    struct saga_rig *rig = *state;
    static const char json[] = "{\"steps\":[" CALL("a") ",\"timeout_ms\":5000}]}";
    assert_int_equal(saga_define(rig, "slow", 1, json), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "slow@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_PAUSE, NULL), HF_ERR_OK);
    assert_int_equal(saga_pass(rig, 10000), 0);
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_RESUME, NULL), HF_ERR_OK);
    assert_int_equal(saga_pass(rig, 0), 1);
    assert_line(rig, "s", "compensated a=compensated1?~");
    struct hf_op_fields fields = {.saga = HF_STR("later"),
                                  .definition = HF_STR("slow@1"),
                                  .not_before = HF_STR("2030-01-01T00:00:00Z")};
    assert_int_equal(saga_start_fields(rig, &fields), HF_ERR_OK);
    assert_int_equal(saga_verb(rig, "later", HF_SAGA_ACT_PAUSE, NULL), HF_ERR_OK);
    assert_line(rig, "later", "paused a=pending");
    assert_int_equal(saga_verb(rig, "later", HF_SAGA_ACT_RESUME, NULL), HF_ERR_OK);
    assert_line(rig, "later", "scheduled a=pending");
    assert_int_equal(saga_verb(rig, "later", HF_SAGA_ACT_RETRY, NULL), HF_ERR_OK); /* now */
    assert_line(rig, "later", "running a=running1");
}

static void retry_makes_due_now(void **state)
{
    struct saga_rig *rig = *state;
    begin(rig, "s");
    assert_int_equal(saga_status(rig, "s", "a", 500), HF_ERR_OK);
    assert_true(saga_step(rig, "s", "a")->due_us > rig->core.state.time_us);
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_RETRY, NULL), HF_ERR_OK);
    assert_int_equal(saga_step(rig, "s", "a")->due_us, rig->core.state.time_us);
    assert_int_equal(saga_step(rig, "s", "a")->attempts, 2);
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_RETRY, "b"), HF_ERR_SAGA_STEP_STATE);
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_RETRY, "x"), HF_ERR_SAGA_STEP_NOT_FOUND);
    assert_int_equal(saga_verb(rig, "x", HF_SAGA_ACT_RETRY, NULL), HF_ERR_SAGA_NOT_FOUND);
    assert_int_equal(saga_status(rig, "s", "a", 404), HF_ERR_OK);
    assert_line(rig, "s", "parked a=parked2? b=pending");
    struct hf_str request = saga_request(rig, "s", "a");
    assert_text(request, "{}");
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_RETRY, "a"), HF_ERR_OK);
    assert_line(rig, "s", "running a=running3? b=pending");
    assert_text(saga_request(rig, "s", "a"), "{}"); /* the same body, the same key */
}

static void skip_counts_as_succeeded(void **state)
{
    struct saga_rig *rig = *state;
    begin(rig, "s");
    struct hf_saga_op_fields fields = {.type = HF_OP_SAGA_VERB,
                                       .saga = HF_STR("s"),
                                       .verb = HF_SAGA_ACT_SKIP,
                                       .step = HF_STR("a"),
                                       .result = HF_STR("{\"x\":1}"),
                                       .reason = HF_STR("done by hand")};
    assert_int_equal(saga_verb_fields(rig, &fields), HF_ERR_OK);
    assert_line(rig, "s", "running a=succeeded1 b=running1");
    assert_text(saga_query(rig, HF_QUERY_SAGA, "s")->saga.results[0], "{\"x\":1}");
    assert_int_equal(saga_verb_fields(rig, &fields), HF_ERR_SAGA_STEP_STATE);
    assert_line(rig, "s", "running a=succeeded1 b=running1");
    begin(rig, "t"); /* one that is not its turn yet */
    assert_int_equal(saga_verb(rig, "t", HF_SAGA_ACT_SKIP, "b"), HF_ERR_OK);
    assert_line(rig, "t", "running a=running1 b=succeeded");
    assert_int_equal(saga_status(rig, "t", "a", 200), HF_ERR_OK);
    assert_line(rig, "t", "succeeded a=succeeded1 b=succeeded");
}

static void complete_and_fail_by_an_operator(void **state)
{
    struct saga_rig *rig = *state;
    begin(rig, "s");
    assert_int_equal(saga_outcome(rig, "s", "a", true, NULL, NULL), HF_ERR_OK);
    assert_line(rig, "s", "running a=succeeded1 b=running1");
    assert_int_equal(saga_status(rig, "s", "b", 401), HF_ERR_OK);
    assert_int_equal(saga_outcome(rig, "s", "b", false, NULL, NULL), HF_ERR_OK);
    assert_line(rig, "s", "compensating a=compensating1~ b=failed1");
    assert_int_equal(saga_outcome(rig, "s", "a", true, NULL, NULL), HF_ERR_OK);
    assert_line(rig, "s", "compensated a=compensated1~ b=failed1");
    assert_int_equal(saga_outcome(rig, "s", "a", true, NULL, NULL), HF_ERR_SAGA_ENDED);
}

static void compensate_undoes_what_was_done(void **state)
{
    struct saga_rig *rig = *state;
    begin(rig, "s");
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_COMPENSATE, NULL), HF_ERR_OK);
    assert_line(rig, "s", "compensating a=succeeded1 b=running1"); /* it settles first */
    assert_int_equal(saga_status(rig, "s", "b", 200), HF_ERR_OK);
    assert_line(rig, "s", "compensating a=succeeded1 b=compensating1~");
    begin(rig, "t");
    assert_int_equal(saga_status(rig, "t", "a", 200), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "t", "b", 403), HF_ERR_OK);
    assert_int_equal(saga_verb(rig, "t", HF_SAGA_ACT_COMPENSATE, NULL), HF_ERR_OK);
    assert_line(rig, "t", "compensating a=compensating1~ b=failed1");
    assert_text(saga_get(rig, "t")->reason, "by hand");
    uint64_t position = rig->core.state.position;
    assert_int_equal(saga_verb(rig, "t", HF_SAGA_ACT_COMPENSATE, NULL), HF_ERR_OK);
    assert_int_equal(rig->core.state.position, position);
    struct hf_op_fields fields = {.saga = HF_STR("later"),
                                  .definition = HF_STR("two@1"),
                                  .not_before = HF_STR("2030-01-01T00:00:00Z")};
    assert_int_equal(saga_start_fields(rig, &fields), HF_ERR_OK);
    assert_int_equal(saga_verb(rig, "later", HF_SAGA_ACT_COMPENSATE, NULL), HF_ERR_OK);
    assert_line(rig, "later", "compensated a=pending b=pending");
}

static void abandon_ends_it_as_it_is(void **state)
{
    struct saga_rig *rig = *state;
    begin(rig, "s");
    assert_int_equal(saga_status(rig, "s", "a", 500), HF_ERR_OK);
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_ABANDON, NULL), HF_ERR_OK);
    assert_int_equal(saga_get(rig, "s")->state, HF_SAGA_ABANDONED);
    assert_int_equal(saga_get(rig, "s")->failing_us, 0);
    for (enum hf_saga_act verb = HF_SAGA_ACT_RETRY; verb <= HF_SAGA_ACT_ABANDON; verb++) {
        assert_int_equal(saga_verb(rig, "s", verb, verb == HF_SAGA_ACT_SKIP ? "a" : NULL),
                         HF_ERR_SAGA_ENDED);
    }
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_int_equal(saga_get(rig, "s")->state, HF_SAGA_ABANDONED);
    assert_true(saga_newest(rig)->events[0]->saga->late);
}

static void verbs_take_an_expected_version(void **state)
{
    struct saga_rig *rig = *state;
    begin(rig, "s");
    struct hf_saga_op_fields fields = {.type = HF_OP_SAGA_VERB,
                                       .saga = HF_STR("s"),
                                       .verb = HF_SAGA_ACT_PAUSE,
                                       .reason = HF_STR("why"),
                                       .has_expected_version = true,
                                       .expected_version = 2};
    assert_int_equal(saga_verb_fields(rig, &fields), HF_ERR_CONDITION_FAILED);
    fields.expected_version = 1;
    assert_int_equal(saga_verb_fields(rig, &fields), HF_ERR_OK);
    const struct hf_saga_changed *changed = saga_newest(rig)->events[0]->saga;
    assert_int_equal(changed->act, HF_SAGA_ACT_PAUSE);
    assert_text(changed->reason, "why");
}

static const struct hf_saga_bulk *bulk(struct saga_rig *rig, struct hf_saga_op_fields *fields)
{
    fields->type = HF_OP_SAGA_VERBS;
    fields->reason = HF_STR("in bulk");
    assert_int_equal(saga_verb_fields(rig, fields), HF_ERR_OK);
    const struct hf_commit *commit = saga_newest(rig);
    const struct hf_event *last = commit->events[commit->event_count - 1];
    assert_int_equal(last->type, HF_EVENT_SAGA_VERBS);
    return last->saga_verbs;
}

static void a_bulk_goes_page_by_page(void **state)
{
    struct saga_rig *rig = *state;
    char id[16];
    for (unsigned i = 0; i < 7; i++) {
        (void)snprintf(id, sizeof(id), "s%u", i);
        begin(rig, id);
        if (i != 3) {
            assert_int_equal(saga_status(rig, id, "a", 401), HF_ERR_OK);
        }
    }
    struct hf_saga_op_fields fields = {.verb = HF_SAGA_ACT_RETRY,
                                       .limit = 4,
                                       .jitter_ms = 60000,
                                       .filter = {.has_state = true, .state = HF_SAGA_PARKED}};
    const struct hf_saga_bulk *sums = bulk(rig, &fields);
    assert_int_equal(sums->matched, 4);
    assert_int_equal(sums->done, 4);
    assert_text(sums->next, "s4");
    uint64_t first_us = saga_step(rig, "s0", "a")->due_us;
    uint64_t other_us = saga_step(rig, "s1", "a")->due_us;
    assert_true(first_us <= rig->core.state.time_us + 60000000 && first_us != other_us);
    fields.after = HF_STR("s4");
    sums = bulk(rig, &fields);
    assert_int_equal(sums->matched, 2);
    assert_false(hf_str_present(sums->next));
    /* What is refused is told. */
    assert_int_equal(saga_verb(rig, "s2", HF_SAGA_ACT_ABANDON, NULL), HF_ERR_OK);
    fields = (struct hf_saga_op_fields){.verb = HF_SAGA_ACT_PAUSE};
    sums = bulk(rig, &fields);
    assert_int_equal(sums->matched, 7);
    assert_int_equal(sums->done, 6);
    assert_int_equal(sums->refused_count, 1);
    assert_text(sums->refused[0].saga.text, "s2");
    assert_int_equal(sums->refused[0].code, HF_ERR_SAGA_ENDED);
    assert_int_equal(rig->core.state.sagas.by_state[HF_SAGA_PAUSED].count, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAGA_TEST(pause_begins_no_call_and_answers_still_count),
        SAGA_TEST(a_paused_saga_stands_still_in_time_too),
        SAGA_TEST(retry_makes_due_now),
        SAGA_TEST(skip_counts_as_succeeded),
        SAGA_TEST(complete_and_fail_by_an_operator),
        SAGA_TEST(compensate_undoes_what_was_done),
        SAGA_TEST(abandon_ends_it_as_it_is),
        SAGA_TEST(verbs_take_an_expected_version),
        SAGA_TEST(a_bulk_goes_page_by_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
