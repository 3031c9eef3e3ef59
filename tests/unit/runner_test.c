/* The saga runner, rule by rule: what is sent when, and what becomes of what comes back. */
#include "deliver/runner.h"

#include <stdio.h>

#include "base/alloc.h"
#include "core/saga_op.h"
#include "deliver/sign.h"
#include "unit/runner_rig.h"
#include "unit/support.h"

#define SECOND_US UINT64_C(1000000)

static struct rig rig;

static int setup(void **state)
{
    (void)state;
    rig_init(&rig);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_release(&rig);
    return 0;
}

static void boot(void)
{
    rig_boot(&rig);
    rig_run(&rig);
}

static void assert_text(struct hf_str actual, const char *expected)
{
    struct hf_str wanted = hf_str_from(expected);
    if (!hf_str_equal(actual, wanted)) {
        print_error("\"%.*s\" is not \"%s\"\n", (int)actual.len,
                    actual.ptr == NULL ? "" : actual.ptr, expected);
    }
    assert_true(hf_str_equal(actual, wanted));
}

/* The event of an answer that succeeded, and perhaps begins another step. */
static void succeed(const char *saga, uint32_t step, uint32_t attempt, uint32_t next)
{
    struct rig_event event = {
        .saga = saga,
        .act = HF_SAGA_ACT_ANSWER,
        .moved = true,
        .step = step,
        .attempt = attempt,
        .steps = {{.step = step, .state = HF_STEP_SUCCEEDED, .attempts = attempt}},
        .count = 1,
    };
    if (next < RIG_STEPS) {
        event.steps[event.count++] = (struct rig_step){.step = next,
                                                       .state = HF_STEP_RUNNING,
                                                       .due_us = rig_log_us(&rig),
                                                       .request = "{\"next\":true}"};
    }
    uint64_t position = rig_commit(&rig, &event, 1);
    struct rig_answer *answer = rig_pending(&rig);
    assert_non_null(answer);
    rig_decide(&rig, answer, position);
    rig_run(&rig);
}

static const char done[] = "{\"done\":true}";

/* ---- what is sent ---- */

static void a_call_is_as_the_contract_says(void **state)
{
    (void)state;
    boot();
    rig_start(&rig, "s1", 1);
    rig_run(&rig);
    struct hf_call *call = rig_out(&rig, "s1", "a")->call;
    assert_text(call->url, "http://127.0.0.1:1001/a");
    assert_text(call->body, "{\"n\":1}");
    assert_text(call->content_type, "application/json");
    assert_false(call->get);
    assert_int_equal(call->timeout_ms, 2500);
    assert_text(rig_header(call, "Idempotency-Key"), "\"s1/a/action\"");
    assert_text(rig_header(call, "Saga-Id"), "s1");
    assert_text(rig_header(call, "Saga-Step"), "a");
    assert_text(rig_header(call, "Saga-Op"), "action");
    assert_text(rig_header(call, "Saga-Attempt"), "1");
    /* 1,700,000,001 s is now; the attempt may take 2.5 s. */
    assert_text(rig_header(call, "Saga-Deadline"), "1700000004");
    assert_text(rig_header(call, "Saga-Callback"), "http://127.0.0.1:7070/v1/sagas/s1/steps/a");
    char token[33];
    hf_saga_token(rig_find(&rig, "s1")->secret, HF_STR("a"), HF_SAGA_ACTION, token);
    assert_text(rig_header(call, "Saga-Callback-Token"), token);
    struct hf_str parent = rig_header(call, "traceparent");
    assert_int_equal(parent.len, 55);
    assert_memory_equal(parent.ptr, "00-", 3);
    assert_false(hf_str_present(rig_header(call, "webhook-id")));
    assert_false(hf_str_present(rig_header(call, "Saga-Forget-After")));
}

static void all_calls_of_a_saga_are_one_trace(void **state)
{
    (void)state;
    boot();
    rig_start(&rig, "s1", 3);
    rig_run(&rig);
    struct hf_str a = rig_header(rig_out(&rig, "s1", "a")->call, "traceparent");
    struct hf_str b = rig_header(rig_out(&rig, "s1", "b")->call, "traceparent");
    assert_memory_equal(a.ptr, b.ptr, 35);               /* the trace */
    assert_memory_not_equal(a.ptr + 36, b.ptr + 36, 16); /* the parent */
}

static void headers_have_templates_and_secrets_and_bodies_an_envelope(void **state)
{
    (void)state;
    struct hf_error error;
    assert_int_equal(hf_secrets_load(rig.secrets, HF_STR("shop-token Bearer 0a1b\n"), &error),
                     HF_ERR_OK);
    boot();
    rig_start(&rig, "s1", 8);
    rig_run(&rig);
    struct hf_call *call = rig_out(&rig, "s1", "d")->call;
    assert_text(call->body, "{\"saga\":\"s1\",\"step\":\"d\",\"op\":\"action\",\"attempt\":1,"
                            "\"data\":{\"n\":1}}");
    assert_text(rig_header(call, "X-Fixed"), "plain");
    assert_text(rig_header(call, "X-Shop"), "berlin");
    assert_text(rig_header(call, "Authorization"), "Bearer 0a1b");
}

static void a_secret_that_is_not_there_is_an_answer_of_its_own(void **state)
{
    (void)state;
    boot();
    rig_start(&rig, "s1", 8);
    rig_run(&rig);
    assert_int_equal(rig.call_count, 0);
    struct rig_answer *answer = rig_pending(&rig);
    assert_non_null(answer);
    assert_int_equal(answer->fields.answer.error, HF_CALL_REFUSED_HERE);
    assert_text(answer->fields.error, "header Authorization: there is no secret shop-token in the "
                                      "file of serve --secrets");
}

static void calls_are_signed_if_there_is_a_secret_for_it(void **state)
{
    (void)state;
    static const char secret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    char line[128];
    char expected[HF_SIGN_TEXT_BYTES];
    char id[HF_SIGN_MESSAGE_ID_BYTES];
    struct hf_error error;
    struct hf_sign_secret parsed;
    (void)snprintf(line, sizeof(line), "%s %s\n", HF_SECRET_SAGA_SIGNING, secret);
    assert_int_equal(hf_secrets_load(rig.secrets, hf_str_from(line), &error), HF_ERR_OK);
    boot();
    rig_start(&rig, "s1", 1);
    rig_run(&rig);
    struct hf_call *call = rig_out(&rig, "s1", "a")->call;
    hf_sign_message_id(HF_STR("s1/a/action"), id);
    assert_true(hf_sign_secret_parse(hf_str_from(secret), &parsed));
    hf_sign(hf_str_from(id), HF_STR("1700000001"), HF_STR("{\"n\":1}"), &parsed, 1, expected);
    assert_text(rig_header(call, "webhook-id"), id);
    assert_text(rig_header(call, "webhook-timestamp"), "1700000001");
    assert_text(rig_header(call, "webhook-signature"), expected);
}

static void a_signing_secret_that_is_none_lets_nothing_out(void **state)
{
    (void)state;
    struct hf_error error;
    assert_int_equal(hf_secrets_load(rig.secrets, HF_STR("saga-signing-next nonsense\n"), &error),
                     HF_ERR_OK);
    boot();
    rig_start(&rig, "s1", 1);
    rig_run(&rig);
    assert_int_equal(rig.call_count, 0);
    assert_int_equal(rig_pending(&rig)->fields.answer.error, HF_CALL_REFUSED_HERE);
}

static void a_saga_with_a_timeout_may_be_forgotten_a_month_behind_it(void **state)
{
    (void)state;
    rig.definition = "{\"timeout_ms\":60000,\"steps\":[{\"name\":\"a\",\"action\":"
                     "{\"url\":\"http://127.0.0.1:1001/a\"},\"attempt_timeout_ms\":2000}]}";
    boot();
    rig_start(&rig, "s1", 1);
    rig_run(&rig);
    /* Started at 1,700,000,001; a minute, 30 days. */
    struct rig_call *call = rig_out(&rig, "s1", "a");
    assert_text(rig_header(call->call, "Saga-Forget-After"), "1702592061");
    rig_reply(&rig, call, 503, NULL);
    rig_decide(&rig, rig_pending(&rig), 0);
    rig_pass(&rig, 2592058 * SECOND_US);
    /* An operator's retry: the last one that can end before then, and one that can't. */
    for (uint32_t attempt = 2; attempt <= 3; attempt++) {
        RIG_COMMIT(
            &rig,
            {.saga = "s1",
             .act = HF_SAGA_ACT_RETRY,
             .steps = {{.state = HF_STEP_RUNNING, .attempts = attempt, .due_us = rig_log_us(&rig)}},
             .count = 1});
        rig_run(&rig);
        assert_int_equal(rig.call_count, 2);
        rig_pass(&rig, 2 * SECOND_US);
    }
    struct rig_answer *answer = rig_pending(&rig);
    assert_non_null(answer);
    assert_int_equal(answer->fields.attempt, 3);
    assert_int_equal(answer->fields.answer.error, HF_CALL_REFUSED_HERE);
    assert_text(answer->fields.error,
                "its timeout was over more than 30 days ago: participants may "
                "have forgotten the saga, so nothing is sent any more");
}

static void a_compensation_has_its_own_url_and_key(void **state)
{
    (void)state;
    boot();
    rig_start(&rig, "s1", 0);
    RIG_COMMIT(&rig, {.saga = "s1",
                      .state = HF_SAGA_COMPENSATING,
                      .steps = {{.state = HF_STEP_COMPENSATING,
                                 .op = HF_SAGA_COMPENSATION,
                                 .due_us = rig_log_us(&rig)}},
                      .count = 1});
    rig_run(&rig);
    struct hf_call *call = rig_out(&rig, "s1", "a")->call;
    assert_text(call->url, "http://127.0.0.1:1001/undo-a");
    assert_text(call->body, "{}"); /* the definition has none */
    assert_text(rig_header(call, "Idempotency-Key"), "\"s1/a/compensate\"");
    assert_text(rig_header(call, "Saga-Op"), "compensate");
}

/* ---- when ---- */

static void nothing_is_sent_before_its_commit_is_durable(void **state)
{
    (void)state;
    boot();
    rig.holds = true;
    rig_start(&rig, "s1", 1);
    rig_pass(&rig, SECOND_US);
    assert_int_equal(rig.call_count, 0);
    rig.durable = rig.commits;
    rig_run(&rig);
    rig_reply(&rig, rig_out(&rig, "s1", "a"), 200, done);
    succeed("s1", 0, 1, 1); /* decided, answered, and not durable */
    rig_pass(&rig, SECOND_US);
    assert_int_equal(rig.call_count, 1);
    rig.durable = rig.commits;
    rig_run(&rig);
    assert_int_equal(rig.call_count, 2);
    assert_int_equal(rig_out(&rig, "s1", "b")->head, 2);
}

static void calls_go_out_in_the_order_of_their_times_and_not_before(void **state)
{
    (void)state;
    uint64_t begin_us = rig_log_us(&rig);
    boot();
    rig_start(&rig, "s0", 0);
    for (uint32_t i = 0; i < 3; i++) { /* c after 1 s, b after 2 s, a after 3 s */
        RIG_COMMIT(&rig, {.saga = "s0",
                          .steps = {{.step = i,
                                     .state = HF_STEP_RUNNING,
                                     .due_us = begin_us + (3 - i) * SECOND_US,
                                     .request = "{}"}},
                          .count = 1});
    }
    rig_run(&rig);
    uint64_t before_us = rig.now_us;
    while (rig.call_count < 3) {
        uint64_t next_us = hf_runner_next_step_us(rig.runner);
        assert_true(next_us != UINT64_MAX && next_us > rig.now_us);
        rig_pass(&rig, next_us - rig.now_us);
    }
    static const char *const order[] = {"c", "b", "a"};
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(rig.calls[i].step, order[i]);
        assert_int_equal(rig.calls[i].begun_us - before_us, (i + 1) * SECOND_US);
    }
}

static void a_failed_attempt_waits_for_the_time_that_its_commit_says(void **state)
{
    (void)state;
    boot();
    rig_start(&rig, "s1", 1);
    rig_run(&rig);
    rig_reply(&rig, rig_out(&rig, "s1", "a"), 503, NULL);
    uint64_t position = RIG_COMMIT(&rig, {.saga = "s1",
                                          .act = HF_SAGA_ACT_ANSWER,
                                          .moved = true,
                                          .attempt = 1,
                                          .steps = {{.state = HF_STEP_RUNNING,
                                                     .attempts = 2,
                                                     .due_us = rig_log_us(&rig) + 30 * SECOND_US}},
                                          .count = 1});
    rig_decide(&rig, rig_pending(&rig), position);
    rig_pass(&rig, 30 * SECOND_US - 1);
    assert_int_equal(rig.call_count, 1);
    rig_pass(&rig, 1);
    struct rig_call *call = rig_out(&rig, "s1", "a");
    assert_int_equal(call->attempt, 2);
    assert_text(call->call->body, "{\"n\":1}");
}

static void within_a_target_sagas_take_turns_and_its_limit_holds(void **state)
{
    (void)state;
    rig.target_limits.in_flight_max = 1;
    boot();
    /* s1 has two steps at the target, the others one each; c is another target. */
    rig_start(&rig, "s1", 1 | 2 | 4);
    rig_start(&rig, "s2", 1);
    rig_start(&rig, "s3", 1);
    rig_run(&rig);
    assert_int_equal(rig_out_count(&rig), 2);
    char order[64] = "";
    for (size_t i = 0; i < rig.call_count; i++) {
        struct rig_call *call = &rig.calls[i];
        if (strcmp(call->step, "c") != 0) {
            size_t used = strlen(order);
            (void)snprintf(order + used, sizeof(order) - used, "%s", call->saga);
            rig_reply(&rig, call, 200, done);
        }
        assert_true(rig_out_count(&rig) <= 2);
    }
    assert_string_equal(order, "s1s2s3s1");
}

static void a_hundred_thousand_due_calls_are_taken_a_step_at_a_time(void **state)
{
    (void)state;
    struct hf_runner_status status;
    uint64_t due_us = rig_log_us(&rig) + SECOND_US;
    boot();
    for (size_t i = 0; i < 4000; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "s%zu", i);
        rig_start(&rig, name, 0);
        RIG_COMMIT(
            &rig,
            {.saga = name,
             .steps = {{.state = HF_STEP_RUNNING, .due_us = due_us, .request = "{}"},
                       {.step = 1, .state = HF_STEP_RUNNING, .due_us = due_us, .request = "{}"}},
             .count = 2});
    }
    rig_run(&rig);
    hf_runner_status(rig.runner, &status);
    assert_int_equal(status.later, 8000);
    rig.now_us += SECOND_US;
    assert_true(hf_runner_step(rig.runner, rig.now_us));
    hf_runner_status(rig.runner, &status);
    assert_int_equal(status.now, hf_runner_limits_default().dues_per_step);
    rig_run(&rig);
    hf_runner_status(rig.runner, &status);
    assert_int_equal(status.later, 0);
    assert_int_equal(status.now, 8000);
    assert_int_equal(status.out, rig.target_limits.in_flight_max);
}

/* ---- answers ---- */

static void an_answer_comes_to_the_node_as_it_was(void **state)
{
    (void)state;
    boot();
    rig_start(&rig, "s1", 1);
    rig_run(&rig);
    struct rig_call *call = rig_out(&rig, "s1", "a");
    call->call->saga_outcome = HF_STR("success");
    call->call->location = HF_STR("http://127.0.0.1:1001/jobs/7");
    call->call->retry_after_ms = 4000;
    rig_reply(&rig, call, 200, done);
    struct rig_answer *answer = rig_pending(&rig);
    assert_text(answer->fields.saga, "s1");
    assert_text(answer->fields.step, "a");
    assert_int_equal(answer->fields.uid, rig_find(&rig, "s1")->uid);
    assert_int_equal(answer->fields.op, HF_SAGA_ACTION);
    assert_int_equal(answer->fields.attempt, 1);
    assert_false(answer->fields.poll);
    assert_int_equal(answer->fields.duration_ms, 3);
    assert_int_equal(answer->fields.answer.error, HF_CALL_COMPLETE);
    assert_int_equal(answer->fields.answer.status, 200);
    assert_text(answer->fields.answer.outcome, "success");
    assert_text(answer->fields.answer.location, "http://127.0.0.1:1001/jobs/7");
    assert_int_equal(answer->fields.answer.retry_after_ms, 4000);
    assert_text(answer->fields.answer.body, done);
    assert_false(hf_str_present(answer->fields.error));
}

static void bodies_of_answers(void **state)
{
    (void)state;
    static char large[HF_SAGA_RESULT_BYTES_MAX + 2];
    memset(large, 'x', sizeof(large) - 1);
    large[0] = large[sizeof(large) - 2] = '"';
    const struct { /* NOLINT(clang-analyzer-optin.performance.Padding): as it is read */
        unsigned status;
        const char *body;
        enum hf_call_error error;
        const char *result, *text; /* NULL: absent */
    } rows[] = {
        {200, "", HF_CALL_COMPLETE, NULL, NULL},
        {200, "[1]", HF_CALL_COMPLETE, "[1]", NULL},
        {200, "OK", HF_CALL_TOO_LARGE, NULL,
         "its answer says that it is done, and has a body that is no JSON"},
        {200, large, HF_CALL_TOO_LARGE, NULL, "its answer is larger than 65,536 bytes"},
        {202, "later", HF_CALL_COMPLETE, NULL, NULL},
        {422, "{\"detail\":\"no\nmoney\"}", HF_CALL_COMPLETE, NULL,
         "HTTP 422: {\"detail\":\"no money\"}"},
        {500, "caf\xc3\xa9 \xff", HF_CALL_COMPLETE, NULL, "HTTP 500: caf\xc3\xa9 \xef\xbf\xbd"},
        {0, NULL, HF_CALL_TIMED_OUT, NULL, "2,500 ms are over"},
    };
    boot();
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "s%zu", i);
        rig_start(&rig, name, 1);
        rig_run(&rig);
        struct rig_call *call = rig_out(&rig, name, "a");
        if (rows[i].status == 0) {
            (void)snprintf(call->call->error_text, sizeof(call->call->error_text), "%s",
                           rows[i].text);
        }
        rig_reply(&rig, call, rows[i].status, rows[i].body);
        struct rig_answer *answer = rig_pending(&rig);
        assert_int_equal(answer->fields.answer.error, rows[i].error);
        assert_text(answer->fields.answer.body, rows[i].result);
        assert_text(answer->fields.error, rows[i].text);
        rig_decide(&rig, answer, 0);
        rig_run(&rig);
    }
}

static void the_next_step_follows_from_the_log_alone(void **state)
{
    (void)state;
    struct hf_runner_status status;
    boot();
    rig_start(&rig, "s1", 1);
    rig_run(&rig);
    rig_reply(&rig, rig_out(&rig, "s1", "a"), 200, done);
    succeed("s1", 0, 1, 1);
    assert_text(rig_out(&rig, "s1", "b")->call->body, "{\"next\":true}");
    rig_reply(&rig, rig_out(&rig, "s1", "b"), 200, done);
    uint64_t position = RIG_COMMIT(&rig, {.type = HF_EVENT_SAGA_ENDED,
                                          .saga = "s1",
                                          .act = HF_SAGA_ACT_ANSWER,
                                          .state = HF_SAGA_SUCCEEDED,
                                          .moved = true,
                                          .step = 1,
                                          .attempt = 1,
                                          .steps = {{.step = 1, .state = HF_STEP_SUCCEEDED}},
                                          .count = 1});
    rig_decide(&rig, rig_pending(&rig), position);
    rig_run(&rig);
    hf_runner_status(rig.runner, &status);
    assert_int_equal(status.later + status.now + status.out + status.answering, 0);
    assert_int_equal(status.calls, 2);
}

static void an_answer_that_comes_after_the_decision_changes_nothing(void **state)
{
    (void)state;
    boot();
    rig_start(&rig, "s1", 1);
    rig_run(&rig);
    /* An operator has completed the step meanwhile. */
    RIG_COMMIT(&rig, {.saga = "s1",
                      .act = HF_SAGA_ACT_COMPLETE,
                      .steps = {{.state = HF_STEP_SUCCEEDED}},
                      .count = 1});
    rig_run(&rig);
    rig_reply(&rig, rig_out(&rig, "s1", "a"), 500, NULL);
    struct rig_answer *answer = rig_pending(&rig);
    assert_non_null(answer); /* for its history */
    uint64_t position = RIG_COMMIT(
        &rig, {.saga = "s1", .act = HF_SAGA_ACT_ANSWER, .moved = true, .attempt = 1, .late = true});
    rig_decide(&rig, answer, position);
    rig_pass(&rig, 100 * SECOND_US);
    assert_int_equal(rig.call_count, 1);
}

static void a_new_attempt_does_not_wait_for_the_one_that_is_out(void **state)
{
    (void)state;
    boot();
    rig_start(&rig, "s1", 1);
    rig_run(&rig);
    struct rig_step again = {.state = HF_STEP_RUNNING, .attempts = 2, .due_us = rig_log_us(&rig)};
    RIG_COMMIT(&rig, {.saga = "s1", .act = HF_SAGA_ACT_RETRY, .steps = {again}, .count = 1});
    rig_run(&rig);
    assert_int_equal(rig_out_count(&rig), 2);
    assert_int_equal(rig.calls[0].attempt, 1);
    assert_int_equal(rig.calls[1].attempt, 2);
    rig_reply(&rig, &rig.calls[0], 200, done); /* the success of any attempt counts */
    assert_int_equal(rig_pending(&rig)->fields.attempt, 1);
    succeed("s1", 0, 1, RIG_STEPS);
    rig_reply(&rig, &rig.calls[1], 200, done);
    assert_int_equal(rig_pending(&rig)->fields.attempt, 2);
}

static void an_attempt_that_is_out_is_not_sent_twice(void **state)
{
    (void)state;
    boot();
    rig_start(&rig, "s1", 1);
    rig_run(&rig);
    /* Another step moves; the event tells this one as it is. */
    struct rig_step same = {.state = HF_STEP_RUNNING, .due_us = rig_log_us(&rig)};
    RIG_COMMIT(&rig, {.saga = "s1", .steps = {same}, .count = 1});
    rig_run(&rig);
    rig_reply(&rig, rig_out(&rig, "s1", "a"), 200, done);
    RIG_COMMIT(
        &rig, {.saga = "s1", .steps = {same}, .count = 1}); /* and once more, before the answer's */
    rig_run(&rig);
    assert_int_equal(rig.call_count, 1);
    succeed("s1", 0, 1, RIG_STEPS);
    rig_pass(&rig, 10 * SECOND_US);
    assert_int_equal(rig.call_count, 1);
}

static void an_answer_of_a_saga_that_is_gone_ends_there(void **state)
{
    (void)state;
    struct hf_runner_status status;
    boot();
    rig_start(&rig, "s1", 1);
    rig_run(&rig);
    rig_reply(&rig, rig_out(&rig, "s1", "a"), 200, done);
    rig_decide(&rig, rig_pending(&rig), 0);
    rig_pass(&rig, 10 * SECOND_US);
    hf_runner_status(rig.runner, &status);
    assert_int_equal(status.later + status.now + status.answering, 0);
    assert_int_equal(rig.call_count, 1);
}

static void an_overloaded_node_is_asked_again(void **state)
{
    (void)state;
    boot();
    rig_start(&rig, "s1", 1);
    rig_run(&rig);
    rig.overloads = 3;
    rig_reply(&rig, rig_out(&rig, "s1", "a"), 200, done);
    assert_null(rig_pending(&rig));
    for (size_t i = 0; i < 3; i++) {
        assert_true(hf_runner_next_step_us(rig.runner) > rig.now_us);
        rig_pass(&rig, hf_runner_next_step_us(rig.runner) - rig.now_us);
    }
    assert_non_null(rig_pending(&rig));
    /* Accepted, and refused later for memory: once more. */
    struct hf_request *request = rig_pending(&rig)->request;
    rig_pending(&rig)->request = NULL;
    request->answer.code = HF_ERR_OVERLOADED;
    request->done(request);
    rig_pass(&rig, SECOND_US);
    assert_non_null(rig_pending(&rig));
    /* The disk is full for a while. */
    request = rig_pending(&rig)->request;
    rig_pending(&rig)->request = NULL;
    request->answer.code = HF_ERR_READ_ONLY;
    request->done(request);
    rig_run(&rig);
    assert_null(rig_pending(&rig));
    rig_pass(&rig, 2 * SECOND_US);
    assert_non_null(rig_pending(&rig));
    assert_int_equal(rig.call_count, 1);
}

static void no_call_begins_while_too_many_answers_wait_for_the_node(void **state)
{
    (void)state;
    rig.answers_max = 2;
    boot();
    for (size_t i = 0; i < 4; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "s%zu", i);
        rig_start(&rig, name, 1);
    }
    rig_run(&rig);
    assert_int_equal(rig.call_count, 2);
    rig_reply(&rig, &rig.calls[0], 200, done);
    assert_int_equal(rig.call_count, 2);
    rig_decide(&rig, rig_pending(&rig), 0);
    rig_run(&rig);
    assert_int_equal(rig.call_count, 3);
}

/* ---- polls ---- */

static void what_was_accepted_is_polled(void **state)
{
    (void)state;
    boot();
    rig_start(&rig, "s1", 4);
    rig_run(&rig);
    rig_reply(&rig, rig_out(&rig, "s1", "c"), 202, NULL);
    for (uint64_t i = 0; i < 3; i++) {
        struct rig_event event = {
            .saga = "s1",
            .act = HF_SAGA_ACT_ANSWER,
            .moved = true,
            .step = 2,
            .attempt = 1,
            .poll_at = i == 0 ? "http://127.0.0.1:1003/jobs/7" : NULL,
            .steps = {{.step = 2,
                       .state = HF_STEP_WAITING,
                       .due_us = rig_log_us(&rig) + SECOND_US,
                       .polls = true}},
            .count = 1,
        };
        rig_decide(&rig, rig_pending(&rig), rig_commit(&rig, &event, 1));
        rig_pass(&rig, SECOND_US - 1);
        assert_int_equal(rig_out_count(&rig), 0);
        rig_pass(&rig, 1);
        struct rig_call *call = rig_out(&rig, "s1", "c");
        assert_true(call->get);
        assert_text(call->call->url, "http://127.0.0.1:1003/jobs/7");
        assert_false(hf_str_present(call->call->body));
        assert_text(rig_header(call->call, "Idempotency-Key"), "\"s1/c/action\"");
        rig_reply(&rig, call, 202, NULL);
        assert_true(rig_pending(&rig)->fields.poll);
    }
}

static void a_location_that_is_no_url_is_told(void **state)
{
    (void)state;
    boot();
    rig_start(&rig, "s1", 0);
    RIG_COMMIT(&rig, {.saga = "s1",
                      .poll_at = "ftp://127.0.0.1/",
                      .steps = {{.step = 2,
                                 .state = HF_STEP_WAITING,
                                 .due_us = rig_log_us(&rig),
                                 .polls = true}},
                      .count = 1});
    rig_run(&rig);
    struct rig_answer *answer = rig_pending(&rig);
    assert_non_null(answer);
    assert_int_equal(answer->fields.answer.error, HF_CALL_REFUSED_HERE);
    assert_true(answer->fields.poll);
}

/* ---- pauses, ends ---- */

static void a_paused_saga_begins_nothing_and_goes_on_where_it_was(void **state)
{
    (void)state;
    rig.target_limits.in_flight_max = 1;
    boot();
    rig_start(&rig, "s1", 1 | 2); /* b waits behind a */
    rig_run(&rig);
    RIG_COMMIT(&rig, {.saga = "s1", .act = HF_SAGA_ACT_PAUSE, .state = HF_SAGA_PAUSED});
    rig_run(&rig);
    rig_reply(&rig, rig_out(&rig, "s1", "a"), 200, done);
    succeed("s1", 0, 1, 2); /* counts, and makes c due */
    rig_pass(&rig, 100 * SECOND_US);
    assert_int_equal(rig_out_count(&rig), 0);
    RIG_COMMIT(&rig, {.saga = "s1", .act = HF_SAGA_ACT_RESUME, .state = HF_SAGA_RUNNING});
    rig_run(&rig);
    assert_non_null(rig_out(&rig, "s1", "b"));
    assert_non_null(rig_out(&rig, "s1", "c"));
}

static void an_ended_saga_is_left_alone(void **state)
{
    (void)state;
    rig.target_limits.in_flight_max = 1;
    boot();
    rig_start(&rig, "s1", 1 | 2 | 4);
    rig_run(&rig);
    RIG_COMMIT(&rig, {.type = HF_EVENT_SAGA_ENDED,
                      .saga = "s1",
                      .act = HF_SAGA_ACT_ABANDON,
                      .state = HF_SAGA_ABANDONED});
    rig_run(&rig);
    rig_reply(&rig, rig_out(&rig, "s1", "a"), 500, NULL);
    rig_pass(&rig, 100 * SECOND_US);
    assert_int_equal(rig.call_count, 2);
}

/* ---- beginnings ---- */

static void the_work_of_the_state_is_done_at_the_start(void **state)
{
    (void)state;
    for (size_t i = 0; i < 10; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "s%zu", i);
        rig_start(&rig, name, i == 5 ? 0 : 1);
    }
    RIG_COMMIT(&rig, {.saga = "s3", .act = HF_SAGA_ACT_PAUSE, .state = HF_SAGA_PAUSED});
    RIG_COMMIT(&rig,
               {.saga = "s4",
                .poll_at = "http://127.0.0.1:1003/jobs/7",
                .steps = {{.state = HF_STEP_WAITING, .due_us = rig_log_us(&rig), .polls = true}},
                .count = 1});
    rig.page_sagas = 3;
    rig.ring_first = rig.commits + 1; /* all of it must be read */
    boot();
    rig_pass(&rig, 2 * SECOND_US); /* the backlog is spread */
    assert_int_equal(rig_out_count(&rig), 8);
    assert_true(rig_out(&rig, "s4", "a")->get);
    assert_true(rig.work_pages >= 3);
    RIG_COMMIT(&rig, {.saga = "s3", .act = HF_SAGA_ACT_RESUME, .state = HF_SAGA_RUNNING});
    rig_run(&rig);
    assert_int_equal(rig_out_count(&rig), 9);
    rig_pass(&rig, 100 * SECOND_US);
    assert_int_equal(rig.call_count, 9);
}

/* The page that was read is older than what happens before it is given. */
static void move_on(struct rig *moved)
{
    if (moved->work_pages != 1) {
        return;
    }
    RIG_COMMIT(moved, {.saga = "s0", .steps = {{.state = HF_STEP_SUCCEEDED}}, .count = 1});
    RIG_COMMIT(moved,
               {.saga = "s1",
                .steps = {{.state = HF_STEP_RUNNING, .attempts = 2, .due_us = rig_log_us(moved)}},
                .count = 1});
    RIG_COMMIT(moved, {.saga = "s5", .steps = {{.state = HF_STEP_SUCCEEDED}}, .count = 1});
    rig_start(moved, "s9", 1);
}

static void what_happens_while_the_work_is_read_is_neither_missed_nor_done_twice(void **state)
{
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "s%zu", i);
        rig_start(&rig, name, 1);
    }
    rig.page_sagas = 2;
    rig.between_pages = move_on;
    boot();
    rig_pass(&rig, 2 * SECOND_US);
    assert_int_equal(rig.call_count, 5); /* s1, s2, s3, s4, s9 */
    assert_int_equal(rig_out(&rig, "s1", "a")->attempt, 2);
    assert_non_null(rig_out(&rig, "s9", "a"));
}

static void a_backlog_begins_spread_over_a_time(void **state)
{
    (void)state;
    for (size_t i = 0; i < 1000; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "s%zu", i);
        rig_start(&rig, name, 1);
    }
    rig.target_limits.in_flight_max = 4096;
    boot();
    size_t at_once = rig.call_count;
    assert_true(at_once >= 1 && at_once < 100);
    rig_pass(&rig, SECOND_US / 4);
    assert_true(rig.call_count > 100 && rig.call_count < 900);
    rig_pass(&rig, SECOND_US);
    assert_int_equal(rig.call_count, 1000);
}

static void a_killed_runner_sends_the_attempt_again_under_the_same_key(void **state)
{
    (void)state;
    boot();
    rig_start(&rig, "s1", 1);
    rig_run(&rig);
    rig_reply(&rig, rig_out(&rig, "s1", "a"), 200, done); /* the answer does not come to the log */
    rig_kill(&rig);
    boot();
    struct rig_call *call = rig_out(&rig, "s1", "a");
    assert_int_equal(call->attempt, 1);
    assert_text(rig_header(call->call, "Idempotency-Key"), "\"s1/a/action\"");
}

static void what_has_left_the_ring_is_read(void **state)
{
    (void)state;
    boot();
    for (size_t i = 0; i < 100; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "s%zu", i);
        rig_start(&rig, name, 1);
    }
    rig.ring_first = 90;
    rig_run(&rig);
    assert_int_equal(rig_out_count(&rig), 100);
    assert_true(rig.reads >= 89);
}

/* ---- the end ---- */

static void a_stop_waits_for_what_is_out_and_begins_nothing(void **state)
{
    (void)state;
    boot();
    rig_start(&rig, "s1", 1);
    rig_run(&rig);
    hf_runner_stop(rig.runner);
    rig_start(&rig, "s2", 1);
    rig_pass(&rig, SECOND_US);
    assert_false(hf_runner_stopped(rig.runner));
    assert_int_equal(rig.call_count, 1);
    rig_reply(&rig, rig_out(&rig, "s1", "a"), 200, done);
    assert_false(hf_runner_stopped(rig.runner)); /* the node has its answer, and has not decided */
    rig_decide(&rig, rig_pending(&rig), 2);
    rig_run(&rig);
    assert_true(hf_runner_stopped(rig.runner));
}

static void a_stop_does_not_wait_for_ever(void **state)
{
    (void)state;
    boot();
    rig_start(&rig, "s1", 1);
    rig_run(&rig);
    hf_runner_stop(rig.runner);
    rig_run(&rig);
    uint64_t next_us = hf_runner_next_step_us(rig.runner);
    assert_int_equal(next_us - rig.now_us, hf_runner_limits_default().grace_us);
    rig_pass(&rig, next_us - rig.now_us);
    assert_true(hf_runner_stopped(rig.runner));
    assert_true(rig.calls[0].cancelled);
}

static void when_the_node_leads_no_more_nothing_is_sent(void **state)
{
    (void)state;
    struct hf_runner_status status;
    uint64_t due_us = rig_log_us(&rig) + SECOND_US;
    boot();
    rig_start(&rig, "s1", 0);
    RIG_COMMIT(&rig, {.saga = "s1",
                      .steps = {{.state = HF_STEP_RUNNING, .due_us = due_us, .request = "{}"}},
                      .count = 1});
    rig_run(&rig);
    rig.down = true;
    rig_pass(&rig, 10 * SECOND_US);
    assert_int_equal(rig.call_count, 0);
    hf_runner_status(rig.runner, &status);
    assert_string_not_equal(status.error, "");
    hf_runner_stop(rig.runner);
    rig_run(&rig);
    assert_true(hf_runner_stopped(rig.runner));
    rig.down = false;
}

/* ---- memory ---- */

/* Two sagas, one of them found at the start; true: all calls came. */
static void run_with_fault(uint64_t fault, bool *hit)
{
    struct hf_error error;
    rig_release(&rig);
    rig_init(&rig);
    assert_int_equal(hf_secrets_load(rig.secrets, HF_STR("shop-token x\n"), &error), HF_ERR_OK);
    rig_start(&rig, "s0", 1 | 8);
    rig_boot(&rig);
    hf_alloc_fault_set(fault);
    rig_run(&rig);
    *hit = hf_alloc_fault_hit();
    hf_alloc_fault_set(0);
    rig_start(&rig, "s1", 1);
    hf_alloc_fault_set(*hit ? 0 : fault);
    rig_run(&rig);
    *hit = *hit || hf_alloc_fault_hit();
    hf_alloc_fault_set(0);
    for (size_t i = 0; i < 10; i++) {
        rig_pass(&rig, SECOND_US);
    }
    assert_non_null(rig_out(&rig, "s0", "a"));
    assert_non_null(rig_out(&rig, "s0", "d"));
    assert_non_null(rig_out(&rig, "s1", "a"));
    assert_int_equal(rig_out_count(&rig), 3);
}

static void memory_that_is_short_loses_nothing(void **state)
{
    (void)state;
    bool hit = true;
    uint64_t fault = 0;
    while (hit) {
        fault++;
        run_with_fault(fault, &hit);
        assert_true(fault < 10000);
    }
    assert_true(fault > 20); /* there were so many places */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_call_is_as_the_contract_says),
        TEST(all_calls_of_a_saga_are_one_trace),
        TEST(headers_have_templates_and_secrets_and_bodies_an_envelope),
        TEST(a_secret_that_is_not_there_is_an_answer_of_its_own),
        TEST(calls_are_signed_if_there_is_a_secret_for_it),
        TEST(a_signing_secret_that_is_none_lets_nothing_out),
        TEST(a_saga_with_a_timeout_may_be_forgotten_a_month_behind_it),
        TEST(a_compensation_has_its_own_url_and_key),
        TEST(nothing_is_sent_before_its_commit_is_durable),
        TEST(calls_go_out_in_the_order_of_their_times_and_not_before),
        TEST(a_failed_attempt_waits_for_the_time_that_its_commit_says),
        TEST(within_a_target_sagas_take_turns_and_its_limit_holds),
        TEST(a_hundred_thousand_due_calls_are_taken_a_step_at_a_time),
        TEST(an_answer_comes_to_the_node_as_it_was),
        TEST(bodies_of_answers),
        TEST(the_next_step_follows_from_the_log_alone),
        TEST(an_answer_that_comes_after_the_decision_changes_nothing),
        TEST(a_new_attempt_does_not_wait_for_the_one_that_is_out),
        TEST(an_attempt_that_is_out_is_not_sent_twice),
        TEST(an_answer_of_a_saga_that_is_gone_ends_there),
        TEST(an_overloaded_node_is_asked_again),
        TEST(no_call_begins_while_too_many_answers_wait_for_the_node),
        TEST(what_was_accepted_is_polled),
        TEST(a_location_that_is_no_url_is_told),
        TEST(a_paused_saga_begins_nothing_and_goes_on_where_it_was),
        TEST(an_ended_saga_is_left_alone),
        TEST(the_work_of_the_state_is_done_at_the_start),
        TEST(what_happens_while_the_work_is_read_is_neither_missed_nor_done_twice),
        TEST(a_backlog_begins_spread_over_a_time),
        TEST(a_killed_runner_sends_the_attempt_again_under_the_same_key),
        TEST(what_has_left_the_ring_is_read),
        TEST(a_stop_waits_for_what_is_out_and_begins_nothing),
        TEST(a_stop_does_not_wait_for_ever),
        TEST(when_the_node_leads_no_more_nothing_is_sent),
        TEST(memory_that_is_short_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
