/* Definitions as docs/sagas.md has them: what is taken and what becomes of it, and what is refused, where. */
#include "core/saga_definition.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "unit/support.h"

#define BEGIN   "{\"steps\":[{\"name\":\"a\",\"action\":"
#define END     "}]}"
#define URL     "\"url\":\"http://h:1/x\""
#define ACT     "\"action\":{" URL "}"
#define NAME(n) "\"name\":\"" n "\""

static struct hf_saga_definition parsed;

static int release(void **state)
{
    (void)state;
    hf_saga_definition_release(&parsed);
    return 0;
}

/* A definition that must be taken. */
static void take(const char *json)
{
    struct hf_malformed malformed = {0};
    hf_saga_definition_release(&parsed);
    if (!hf_saga_definition_parse(&parsed, hf_str_from(json), &malformed)) {
        fail_msg("%s: %s in %s", malformed.pointer, malformed.text, json);
    }
}

/* One that must not, at the pointer, with those words. */
static void refuse(const char *json, const char *pointer, const char *words)
{
    struct hf_saga_definition definition;
    struct hf_malformed malformed = {0};
    if (hf_saga_definition_parse(&definition, hf_str_from(json), &malformed)) {
        fail_msg("taken: %s", json);
    }
    if (strcmp(malformed.pointer, pointer) != 0 || strstr(malformed.text, words) == NULL) {
        fail_msg("\"%s\": \"%s\", not \"%s\": \"%s\", for %s", malformed.pointer, malformed.text,
                 pointer, words, json);
    }
    assert_int_equal(malformed.code, HF_ERR_INVALID_REQUEST);
    assert_null(definition.arena.first);
}

static void assert_text(struct hf_str is, const char *wanted)
{
    if (!hf_str_equal(is, hf_str_from(wanted))) {
        fail_msg("\"%.*s\" is not \"%s\"", (int)is.len, is.ptr, wanted);
    }
}

/* ---- what is taken ---- */

static const char order[] =
    "{\"steps\": ["
    "{\"name\": \"reserve\","
    " \"action\": {\"url\": \"http://127.0.0.1:8081/reserve\", \"body\": {\"order\": {\"$\": "
    "\"/input/order\"},"
    "   \"lines\": {\"$\": \"/input/lines\"}}},"
    " \"compensation\": {\"url\": \"http://127.0.0.1:8081/release\","
    "   \"body\": {\"reservation\": {\"$\": \"/steps/reserve/id\"}}}},"
    "{\"name\": \"money\", \"after\": [\"reserve\"],"
    " \"action\": {\"do\": [{\"op\": \"hold\", \"id\": {\"$join\": [\"pay-\", {\"$\": "
    "\"/saga/id\"}]},"
    "   \"from\": {\"$\": \"/input/account\"}, \"to\": \"shop\", \"asset\": \"EUR/2\","
    "   \"amount\": {\"$\": \"/input/amount\"}}]},"
    " \"compensation\": {\"do\": [{\"op\": \"void\", \"hold\": {\"$join\": [\"pay-\", {\"$\": "
    "\"/saga/id\"}]}}]}},"
    "{\"name\": \"charge\", \"after\": [\"money\"], \"pivot\": true,"
    " \"action\": {\"do\": [{\"op\": \"capture\", \"hold\": {\"$join\": [\"pay-\", {\"$\": "
    "\"/saga/id\"}]}}]}},"
    "{\"name\": \"mail\", \"after\": [\"charge\"],"
    " \"action\": {\"url\": \"http://127.0.0.1:8083/mail\", \"body\": {\"order\": {\"$\": "
    "\"/input/order\"}}}}"
    "]}";

static void test_the_example_of_the_documentation(void **state)
{
    (void)state;
    take(order);
    assert_false(parsed.dtm);
    assert_int_equal(parsed.timeout_ms, 0);
    assert_int_equal(parsed.keep_ms, 604800000);
    assert_int_equal(parsed.step_count, 4);
    const struct hf_saga_step_definition *reserve = &parsed.steps[0];
    assert_text(reserve->name, "reserve");
    assert_int_equal(reserve->action.kind, HF_CALL_HTTP);
    assert_text(reserve->action.url, "http://127.0.0.1:8081/reserve");
    assert_text(reserve->action.target, "http://127.0.0.1:8081");
    assert_text(reserve->action.body.text,
                "{\"lines\":{\"$\":\"/input/lines\"},\"order\":{\"$\":\"/input/order\"}}");
    assert_true(reserve->action.body.input && !reserve->action.body.constant);
    assert_int_equal(reserve->action.body.steps, 0);
    assert_int_equal(reserve->compensation.body.steps, 1);
    assert_false(reserve->compensation.body.input);
    assert_int_equal(reserve->attempt_timeout_ms, 15000);
    assert_int_equal(reserve->timeout_ms, 0);
    assert_int_equal(reserve->retry.attempts_max, 0);
    assert_false(reserve->retry.then_park);
    assert_int_equal(reserve->retry.backoff_first_ms, 500);
    assert_int_equal(reserve->retry.backoff_max_ms, 60000);
    assert_int_equal(reserve->retry.conflict_attempts_max, 5);
    assert_int_equal(parsed.steps[1].action.kind, HF_CALL_NATIVE);
    assert_int_equal(parsed.steps[1].action.op_count, 1);
    assert_true(parsed.steps[2].pivot);
    assert_int_equal(parsed.steps[2].compensation.kind, HF_CALL_NONE);
    assert_int_equal(parsed.steps[3].after, 4);
    assert_int_equal(parsed.steps[3].before, 7);
    assert_int_equal(hf_saga_definition_step(&parsed, HF_STR("charge")), 2);
    assert_int_equal(hf_saga_definition_step(&parsed, HF_STR("Charge")), UINT32_MAX);
}

static void test_members_of_a_definition(void **state)
{
    (void)state;
    take("{\"profile\":\"dtm\",\"timeout_ms\":1000,\"keep_ms\":0,\"steps\":[{" NAME("a") "," ACT
                                                                                         "}]}");
    assert_true(parsed.dtm);
    assert_int_equal(parsed.timeout_ms, 1000);
    assert_int_equal(parsed.keep_ms, 0);
    take("{\"profile\":\"holdfast\",\"timeout_ms\":31536000000,\"steps\":[{" NAME("a") "," ACT
                                                                                       "}]}");
    assert_false(parsed.dtm);
    /* The text is canonical: the same content is the same definition. */
    struct hf_saga_definition other;
    struct hf_malformed malformed;
    take("{\"steps\":[{\"action\":{},\"name\":\"a\"}],\"keep_ms\":1}");
    assert_true(hf_saga_definition_parse(
        &other, HF_STR(" {\"keep_ms\" : 1, \"steps\": [ {\"name\":\"\\u0061\", \"action\": { }}]}"),
        &malformed));
    assert_true(hf_str_equal(parsed.text, other.text));
    hf_saga_definition_release(&other);
}

static void test_kinds_of_actions(void **state)
{
    (void)state;
    take(BEGIN "{}" END);
    assert_int_equal(parsed.steps[0].action.kind, HF_CALL_NONE);
    take(BEGIN "{\"sleep_ms\":31536000000}" END);
    assert_int_equal(parsed.steps[0].action.kind, HF_CALL_SLEEP);
    assert_int_equal(parsed.steps[0].action.sleep_ms, 31536000000);
    take(BEGIN "{\"until\":\"2026-12-01T00:00:00Z\"}" END);
    assert_int_equal(parsed.steps[0].action.kind, HF_CALL_UNTIL);
    assert_text(parsed.steps[0].action.until.text, "\"2026-12-01T00:00:00Z\"");
    take(BEGIN "{\"until\":{\"$\":\"/input/due\"}}" END);
    assert_true(parsed.steps[0].action.until.input);
    take(BEGIN "{\"event\":{\"type\":\"paid\",\"key\":{\"$\":\"/saga/business_key\"}}}" END);
    assert_int_equal(parsed.steps[0].action.kind, HF_CALL_EVENT);
    assert_text(parsed.steps[0].action.event_type, "paid");
    assert_false(parsed.steps[0].action.event_key.constant);
    take(BEGIN "{\"event\":{\"type\":\"holdfast.transfer.posted\",\"key\":\"transfers/t-1\"}}" END);
    take(BEGIN "{\"url\":\"HTTPS://Shop.Example/x?y=1\",\"envelope\":true,\"body\":[1,null],"
               "\"headers\":{\"Authorization\":{\"secret\":\"shop-token\"},\"X-Tenant\":{\"$\":\"/"
               "input/tenant\"},"
               "\"x-plain\":\"a b\",\"x-both\":{\"$join\":[\"t-\",{\"$\":\"/saga/id\"},7]}}}" END);
    const struct hf_saga_call *call = &parsed.steps[0].action;
    assert_text(call->target, "https://shop.example:443");
    assert_true(call->envelope && call->body.constant);
    assert_int_equal(call->header_count, 4);
    assert_text(call->headers[0].name, "Authorization");
    assert_text(call->headers[0].secret, "shop-token");
    assert_false(hf_str_present(call->headers[0].value.text));
    assert_text(call->headers[1].name, "X-Tenant");
    assert_false(hf_str_present(call->headers[1].secret));
    assert_true(call->headers[3].value.constant);
}

static void test_members_of_a_step(void **state)
{
    (void)state;
    take("{\"steps\":[{" NAME(
        "a-0") "," ACT ",\"async\":{\"mode\":\"callback\"},\"attempt_timeout_ms\":100,"
               "\"timeout_ms\":60000,\"retry\":{\"attempts_max\":3,\"then\":\"park\",\"backoff_"
               "first_ms\":100000,"
               "\"conflict_attempts_max\":0},\"on_status\":{\"404\":\"fail\",\"409\":\"success\","
               "\"599\":\"park\","
               "\"100\":\"retry\",\"202\":\"pending\"},\"when\":{\"value\":{\"$\":\"/input/"
               "n\"},\"gte\":10.5}}]}");
    const struct hf_saga_step_definition *step = &parsed.steps[0];
    assert_true(step->async_callback && !step->async_poll);
    assert_int_equal(step->attempt_timeout_ms, 100);
    assert_int_equal(step->timeout_ms, 60000);
    assert_int_equal(step->retry.attempts_max, 3);
    assert_true(step->retry.then_park);
    assert_int_equal(step->retry.backoff_first_ms, 100000);
    assert_int_equal(step->retry.backoff_max_ms, 100000); /* never below the first */
    assert_int_equal(step->retry.conflict_attempts_max, 0);
    assert_int_equal(step->on_status.count, 5);
    static const struct {
        uint16_t status;
        enum hf_saga_outcome outcome;
    } rules[] = {{404, HF_OUTCOME_FAIL},
                 {409, HF_OUTCOME_SUCCESS},
                 {599, HF_OUTCOME_PARK},
                 {100, HF_OUTCOME_RETRY},
                 {202, HF_OUTCOME_PENDING}};
    for (size_t i = 0; i < HF_ARRAY_COUNT(rules); i++) {
        struct hf_saga_answer answer = {.status = rules[i].status};
        assert_int_equal(hf_saga_classify(&answer, HF_SAGA_ACTION, false, &step->on_status),
                         rules[i].outcome);
    }
    assert_true(step->when.present);
    assert_int_equal(step->when.compare, HF_WHEN_GTE);
    assert_text(step->when.operand, "10.5");
    assert_text(step->when.value.text, "{\"$\":\"/input/n\"}");
    take("{\"steps\":[{" NAME("a") "," ACT ",\"async\":{\"mode\":\"poll\",\"every_ms\":100}}]}");
    assert_true(parsed.steps[0].async_poll && !parsed.steps[0].async_callback);
    assert_int_equal(parsed.steps[0].poll_every_ms, 100);
    take("{\"steps\":[{" NAME("a") "," ACT ",\"async\":{\"mode\":\"poll\"}}]}");
    assert_int_equal(parsed.steps[0].poll_every_ms, HF_SAGA_POLL_MS_DEFAULT);
    /* A compensation by URL has times and rules, too. */
    take("{\"steps\":[{" NAME(
        "a") ",\"action\":{\"do\":[{\"op\":\"put\",\"document\":\"d\",\"data\":1}]},"
             "\"compensation\":{" URL "},\"retry\":{\"attempts_max\":9}}]}");
}

static void test_order_of_steps(void **state)
{
    (void)state;
    /*   a ─ b ─ d     in any order of the text
     *     ╲ c ╱   e */
    take("{\"steps\":[{" NAME("d") ",\"action\":{},\"after\":[\"b\",\"c\"]},"
                                   "{" NAME("c") ",\"action\":{},\"after\":[\"a\"]},{" NAME(
                                       "b") ",\"action\":{},\"after\":[\"a\"]},"
                                            "{" NAME("a") ",\"action\":{},\"after\":[]},{" NAME(
                                                "e") ",\"action\":{}}]}");
    assert_int_equal(parsed.steps[0].after, 0x6);
    assert_int_equal(parsed.steps[0].before, 0xE);
    assert_int_equal(parsed.steps[1].before, 0x8);
    assert_int_equal(parsed.steps[2].before, 0x8);
    assert_int_equal(parsed.steps[3].before, 0);
    assert_int_equal(parsed.steps[4].before, 0);
}

/* The longest chain there is, last step first: all 64 bits. */
static void test_sixty_four_steps_and_no_more(void **state)
{
    (void)state;
    for (unsigned count = 64; count <= 65; count++) {
        struct hf_buffer text;
        hf_buffer_init(&text);
        hf_buffer_text(&text, "{\"steps\":[");
        for (unsigned i = count; i-- > 0;) {
            hf_buffer_format(&text, "{\"name\":\"s%u\",\"action\":{}", i);
            if (i > 0) {
                hf_buffer_format(&text, ",\"after\":[\"s%u\"]},", i - 1);
            }
        }
        hf_buffer_text(&text, "}]}");
        hf_buffer_u8(&text, 0);
        if (count == 64) {
            take((const char *)text.data);
            assert_true(parsed.steps[0].before == UINT64_MAX - 1);
            assert_true(parsed.steps[62].before == UINT64_C(1) << 63);
            assert_int_equal(parsed.steps[63].before, 0);
        } else {
            refuse((const char *)text.data, "/steps", "at most 64 steps");
        }
        hf_buffer_release(&text);
    }
}

static void test_native_operations(void **state)
{
    (void)state;
    static const char *const ops[] = {
        "{\"op\":\"hold\",\"from\":\"a\",\"to\":\"b\",\"asset\":\"EUR/"
        "2\",\"amount\":\"10\",\"timeout_ms\":1}",
        "{\"op\":\"hold\",\"from\":{\"$\":\"/input/a\"},\"to\":{\"$\":\"/input/"
        "b\"},\"asset\":{\"$\":\"/input/c\"},"
        "\"amount\":{\"$\":\"/input/d\"},\"id\":{\"$\":\"/saga/id\"},\"timeout_ms\":{\"$\":\"/"
        "input/t\"}}",
        "{\"op\":\"capture\",\"hold\":\"~12.0\",\"amount\":5,\"final\":{\"$\":\"/input/final\"}}",
        "{\"op\":\"void\",\"hold\":\"h\"}",
        "{\"op\":\"transfer\",\"from\":\"a\",\"to\":{\"$join\":[\"u-\",{\"$\":\"/input/"
        "u\"}]},\"asset\":\"EUR/2\","
        "\"amount\":{\"$\":\"/input/n\"},\"metadata\":{\"order\":{\"$\":\"/input/order\"}},"
        "\"effective_at\":{\"$\":\"/input/day\"},\"up_to\":true}",
        "{\"op\":\"append\",\"stream\":\"s\",\"type\":{\"$\":\"/input/"
        "type\"},\"data\":{\"deep\":[{\"$\":\"/saga\"}]}}",
        "{\"op\":\"put\",\"document\":\"d\",\"data\":{\"$\":\"/input\"},\"expected_version\":3}",
        "{\"op\":\"publish\",\"topic\":\"t\",\"key\":{\"$\":\"/saga/"
        "id\"},\"type\":\"x\",\"data\":null,"
        "\"deliver_at\":{\"$\":\"/input/when\"}}",
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(ops); i++) {
        char json[1024];
        (void)snprintf(json, sizeof(json), BEGIN "{\"do\":[%s]}" END, ops[i]);
        take(json);
        assert_int_equal(parsed.steps[0].action.op_count, 1);
    }
}

/* ---- what is refused ---- */

struct wrong {
    const char *json, *pointer, *words;
};

static void refuse_all(const struct wrong *wrongs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        refuse(wrongs[i].json, wrongs[i].pointer, wrongs[i].words);
    }
}

static void test_wrong_definitions(void **state)
{
    (void)state;
    static const struct wrong wrongs[] = {
        {"", "", "JSON"},
        {"{\"steps\":[}", "", "JSON"},
        {"[]", "", "must be an object"},
        {"{}", "/steps", "needs steps"},
        {"{\"steps\":[]}", "/steps", "at least one step"},
        {"{\"steps\":{}}", "/steps", "must be an array"},
        {"{\"steps\":[1]}", "/steps/0", "must be an object"},
        {"{\"stpes\":[]}", "/stpes", "unknown member"},
        {"{\"steps\":[{\"action\":{}}]}", "/steps/0/name", "needs a name"},
        {"{\"steps\":[{" NAME("A") "}]}", "/steps/0/name", "a-z"},
        {"{\"steps\":[{" NAME("") "}]}", "/steps/0/name", "1 to 64"},
        {"{\"steps\":[{" NAME(
             "0123456789012345678901234567890123456789012345678901234567890123x") "}]}",
         "/steps/0/name", "1 to 64"},
        {"{\"steps\":[{" NAME("a") ",\"action\":{}},{" NAME("a") ",\"action\":{}}]}",
         "/steps/1/name", "another step"},
        {"{\"steps\":[{" NAME("a") "}]}", "/steps/0/action", "needs an action"},
        {"{\"steps\":[{" NAME("a") ",\"action\":[]}]}", "/steps/0/action", "must be an object"},
        {"{\"steps\":[{" NAME("a") ",\"action\":{},\"pivots\":true}]}", "/steps/0/pivots",
         "unknown member"},
        {"{\"steps\":[{" NAME("a") ",\"action\":{},\"pivot\":1}]}", "/steps/0/pivot",
         "true or false"},
        {"{\"profile\":\"seata\",\"steps\":[{" NAME("a") ",\"action\":{}}]}", "/profile",
         "holdfast or dtm"},
        {"{\"timeout_ms\":999,\"steps\":[{" NAME("a") ",\"action\":{}}]}", "/timeout_ms",
         "from 1000 to 31536000000"},
        {"{\"timeout_ms\":31536000001,\"steps\":[{" NAME("a") ",\"action\":{}}]}", "/timeout_ms",
         "from 1000"},
        {"{\"keep_ms\":-1,\"steps\":[{" NAME("a") ",\"action\":{}}]}", "/keep_ms", "integer"},
        {"{\"keep_ms\":315360000001,\"steps\":[{" NAME("a") ",\"action\":{}}]}", "/keep_ms",
         "from 0"},
    };
    refuse_all(wrongs, HF_ARRAY_COUNT(wrongs));
}

static void test_wrong_orders(void **state)
{
    (void)state;
#define S(name, after) "{\"name\":\"" name "\",\"action\":{},\"after\":[" after "]}"
    static const struct wrong wrongs[] = {
        {"{\"steps\":[" S("a", "\"b\"") "]}", "/steps/0/after/0", "no step of that name"},
        {"{\"steps\":[" S("a", "1") "]}", "/steps/0/after/0", "a step's name"},
        {"{\"steps\":[{\"name\":\"a\",\"action\":{},\"after\":\"b\"}]}", "/steps/0/after",
         "must be an array"},
        {"{\"steps\":[" S("a", "") "," S("b", "\"a\",\"a\"") "]}", "/steps/1/after/1",
         "named already"},
        {"{\"steps\":[" S("a", "\"a\"") "]}", "/steps/0/after", "the step a comes after itself"},
        /* d and e only come behind the cycle of b and c. */
        {"{\"steps\":[" S("d", "\"c\"") "," S("e", "\"d\"") "," S("a", "") "," S(
             "b", "\"a\",\"c\"") "," S("c", "\"b\"") "]}",
         "/steps/4/after", "the step c comes after itself"},
    };
    refuse_all(wrongs, HF_ARRAY_COUNT(wrongs));
}

static void test_pivots(void **state)
{
    (void)state;
#define P(name, more) "{\"name\":\"" name "\"," ACT ",\"pivot\":true" more "}"
#define N(name, more) "{\"name\":\"" name "\"," ACT more "}"
#define UNDO          ",\"compensation\":{" URL "}"
#define WHEN(cmp)     ",\"when\":{\"value\":{\"$\":\"/input/by\"}," cmp "}"
    /* A pivot's own outcome can be unknown: it may have a compensation. */
    take("{\"steps\":[" P("p", UNDO) "," N("b", ",\"after\":[\"p\"]") "," N("c", UNDO) "]}");
    /* One behind the other. */
    take("{\"steps\":[" P("p", "") "," P("q", ",\"after\":[\"p\"]") "]}");
    /* One or the other. */
    take("{\"steps\":[" P("p", WHEN("\"eq\":\"card\"")) "," P("q", WHEN("\"ne\":\"card\"")) "]}");
    take("{\"steps\":[" P("p", WHEN("\"eq\":\"card\"")) "," P("q", WHEN("\"eq\":\"iban\"")) "]}");
    take("{\"steps\":[" P("p", WHEN("\"gt\":5")) "," P("q", WHEN("\"eq\":5.0")) "]}");
    static const struct wrong wrongs[] = {
        {"{\"steps\":[" P("p", "") "," N("b", ",\"after\":[\"p\"]") "," N(
             "c", ",\"after\":[\"b\"]" UNDO) "]}",
         "/steps/2/compensation", "behind the pivot p"},
        {"{\"steps\":[" P("p", "") "," P("q", "") "]}", "/steps/1/pivot",
         "the pivot p runs beside"},
        {"{\"steps\":[" N("a", "") "," P("p", ",\"after\":[\"a\"]") "," P(
             "q", ",\"after\":[\"a\"]") "]}",
         "/steps/2/pivot", "the pivot p runs beside"},
        {"{\"steps\":[" P("p", WHEN("\"eq\":\"card\"")) "," P("q", "") "]}", "/steps/1/pivot",
         "beside"},
        {"{\"steps\":[" P("p", WHEN("\"eq\":1")) "," P("q", WHEN("\"eq\":1.0")) "]}",
         "/steps/1/pivot", "beside"},
        {"{\"steps\":[" P("p", WHEN("\"gt\":1")) "," P("q", WHEN("\"gt\":2")) "]}",
         "/steps/1/pivot", "beside"},
        {"{\"steps\":[" P("p", WHEN("\"eq\":1")) "," P(
             "q", ",\"when\":{\"value\":{\"$\":\"/input/other\"},\"ne\":1}") "]}",
         "/steps/1/pivot", "beside"},
    };
    refuse_all(wrongs, HF_ARRAY_COUNT(wrongs));
}

static void test_wrong_actions(void **state)
{
    (void)state;
    static const struct wrong wrongs[] = {
        {BEGIN "{\"uri\":\"x\"}" END, "/steps/0/action/uri", "unknown member"},
        {BEGIN "{" URL ",\"sleep_ms\":1}" END, "/steps/0/action", "one of"},
        {BEGIN "{\"body\":1}" END, "/steps/0/action/body", "url alone"},
        {BEGIN "{\"sleep_ms\":1,\"headers\":{}}" END, "/steps/0/action/headers", "url alone"},
        {BEGIN "{\"do\":[],\"envelope\":true}" END, "/steps/0/action/envelope", "url alone"},
        {BEGIN "{\"sleep_ms\":0}" END, "/steps/0/action/sleep_ms", "from 1"},
        {BEGIN "{\"sleep_ms\":31536000001}" END, "/steps/0/action/sleep_ms", "from 1"},
        {BEGIN "{\"sleep_ms\":1.5}" END, "/steps/0/action/sleep_ms", "integer"},
        {BEGIN "{\"until\":\"tomorrow\"}" END, "/steps/0/action/until", "RFC 3339"},
        {BEGIN "{\"until\":17}" END, "/steps/0/action/until", "string or a template"},
        {BEGIN "{\"until\":{\"at\":{\"$\":\"/input\"}}}" END, "/steps/0/action/until",
         "string or a template"},
        {BEGIN "{\"event\":{}}" END, "/steps/0/action/event/type", "1 to 128"},
        {BEGIN "{\"event\":{\"type\":\"a b\",\"key\":\"k\"}}" END, "/steps/0/action/event/type",
         "1 to 128"},
        {BEGIN "{\"event\":{\"type\":\"t\"}}" END, "/steps/0/action/event/key", "which"},
        {BEGIN "{\"event\":{\"type\":\"t\",\"key\":\"\"}}" END, "/steps/0/action/event/key",
         "1 to 144"},
        {BEGIN "{\"event\":{\"type\":\"t\",\"key\":7}}" END, "/steps/0/action/event/key",
         "string or a template"},
        {BEGIN "{\"event\":{\"type\":\"t\",\"key\":\"k\",\"id\":1}}" END,
         "/steps/0/action/event/id", "unknown member"},
        {"{\"steps\":[{" NAME("a") ",\"action\":{}},{" NAME(
             "b") ",\"after\":[\"a\"],\"action\":{\"event\":{\"type\":\"t\","
                  "\"key\":{\"$\":\"/steps/a/id\"}}}}]}",
         "/steps/1/action/event/key/$", "/input and /saga alone"},
        {"{\"steps\":[{" NAME("a") "," ACT ",\"compensation\":{}}]}", "/steps/0/compensation",
         "either url or do"},
        {"{\"steps\":[{" NAME("a") "," ACT ",\"compensation\":{\"sleep_ms\":1}}]}",
         "/steps/0/compensation", "either url or do"},
        {"{\"steps\":[{" NAME("a") "," ACT ",\"compensation\":{" URL ",\"do\":[]}}]}",
         "/steps/0/compensation", "either url or do"},
    };
    refuse_all(wrongs, HF_ARRAY_COUNT(wrongs));
}

static void test_wrong_urls(void **state)
{
    (void)state;
    static const char *const urls[][2] = {
        {"", "http"},
        {"/reserve", "http"},
        {"ftp://h/", "http"},
        {"file:///etc/passwd", "http"},
        {"http:/h", "http"},
        {"http://", "host"},
        {"http:///x", "host"},
        {"http://u:p@h/", "user"},
        {"http://u@h/", "user"},
        {"http://h/#f", "fragment"},
        {"http://h/a b", "percent-encoded"},
        {"http://h/\\u00e9", "percent-encoded"},
        {"http://h/\\n", "percent-encoded"},
        {"http://h:0/", "port"},
        {"http://h:65536/", "port"},
        {"http://h:/", "port"},
        {"http://h:8x/", "port"},
        {"http://[::1/", "host"},
        {"http://h\\u0000/", "percent-encoded"},
    };
    char json[4096];
    for (size_t i = 0; i < HF_ARRAY_COUNT(urls); i++) {
        (void)snprintf(json, sizeof(json), BEGIN "{\"url\":\"%s\"}" END, urls[i][0]);
        refuse(json, "/steps/0/action/url", urls[i][1]);
    }
    static const char *const good[] = {"http://h", "https://h?x", "http://[::1]:8/x",
                                       "http://a.b-c:65535/~x/%20?q=@"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(good); i++) {
        (void)snprintf(json, sizeof(json), BEGIN "{\"url\":\"%s\"}" END, good[i]);
        take(json);
    }
    char path[2049];
    memset(path, 'x', sizeof(path));
    (void)snprintf(json, sizeof(json), BEGIN "{\"url\":\"http://h/%.*s\"}" END, 2048 - 9, path);
    take(json);
    (void)snprintf(json, sizeof(json), BEGIN "{\"url\":\"http://h/%.*s\"}" END, 2048 - 8, path);
    refuse(json, "/steps/0/action/url", "2,048");
}

static void test_wrong_headers(void **state)
{
    (void)state;
    static const char *const ours[] = {
        "Idempotency-Key",
        "idempotency-key",
        "Saga-Id",
        "saga-anything",
        "webhook-id",
        "Webhook-Signature",
        "Host",
        "Content-Length",
        "Connection",
        "Transfer-Encoding",
        "Content-Type",
        "traceparent",
        "TE",
        "Upgrade",
        "Expect",
    };
    char json[8192];
    for (size_t i = 0; i < HF_ARRAY_COUNT(ours); i++) {
        char pointer[64];
        (void)snprintf(json, sizeof(json), BEGIN "{" URL ",\"headers\":{\"%s\":\"x\"}}" END,
                       ours[i]);
        (void)snprintf(pointer, sizeof(pointer), "/steps/0/action/headers/%s", ours[i]);
        refuse(json, pointer, "not a definition's");
    }
#define H(members) BEGIN "{" URL ",\"headers\":{" members "}}" END
#define AT         "/steps/0/action/headers"
    static const struct wrong wrongs[] = {
        {BEGIN "{" URL ",\"headers\":[]}" END, AT, "must be an object"},
        {H("\"\":\"x\""), AT "/", "no header's name"},
        {H("\"a b\":\"x\""), AT "/a b", "no header's name"},
        {H("\"a:\":\"x\""), AT "/a:", "no header's name"},
        {H("\"\\u00e9\":\"x\""), AT "/\xC3\xA9", "no header's name"},
        {H("\"X-A\":\"1\",\"x-a\":\"2\""), AT "/x-a", "there already"},
        {H("\"x\":1"), AT "/x", "string, a template"},
        {H("\"x\":[\"y\"]"), AT "/x", "string, a template"},
        {H("\"x\":\"a\\nb\""), AT "/x", "visible ASCII"},
        {H("\"x\":\"a\\u0000b\""), AT "/x", "visible ASCII"},
        {H("\"x\":\" a\""), AT "/x", "visible ASCII"},
        {H("\"x\":\"a\\u007f\""), AT "/x", "visible ASCII"},
        {H("\"x\":\"\\u00e9\""), AT "/x", "visible ASCII"},
        {H("\"x\":{\"secrets\":\"a\"}"), AT "/x/secrets", "unknown member"},
        {H("\"x\":{\"secret\":\"a b\"}"), AT "/x/secret", "secret's name"},
        {H("\"x\":{}"), AT "/x/secret", "secret's name"},
    };
    refuse_all(wrongs, HF_ARRAY_COUNT(wrongs));
    char value[4098];
    memset(value, 'v', sizeof(value));
    (void)snprintf(json, sizeof(json), H("\"x\":\"%.*s\""), 4096, value);
    take(json);
    (void)snprintf(json, sizeof(json), H("\"x\":\"%.*s\""), 4097, value);
    refuse(json, AT "/x", "at most 4096");
    for (unsigned count = 32; count <= 33; count++) {
        struct hf_buffer text;
        hf_buffer_init(&text);
        hf_buffer_text(&text, BEGIN "{" URL ",\"headers\":{");
        for (unsigned i = 0; i < count; i++) {
            hf_buffer_format(&text, "%s\"h%u\":\"\"", i > 0 ? "," : "", i);
        }
        hf_buffer_text(&text, "}}" END);
        hf_buffer_u8(&text, 0);
        if (count == 32) {
            take((const char *)text.data);
        } else {
            refuse((const char *)text.data, AT, "at most 32");
        }
        hf_buffer_release(&text);
    }
}

static void test_wrong_step_members(void **state)
{
    (void)state;
#define W(members) "{\"steps\":[{" NAME("a") "," ACT "," members "}]}"
#define I(members) "{\"steps\":[{" NAME("a") ",\"action\":{}," members "}]}"
    static const struct wrong wrongs[] = {
        {W("\"attempt_timeout_ms\":99"), "/steps/0/attempt_timeout_ms", "from 100 to 600000"},
        {W("\"attempt_timeout_ms\":600001"), "/steps/0/attempt_timeout_ms", "from 100"},
        {W("\"timeout_ms\":0"), "/steps/0/timeout_ms", "from 1"},
        {W("\"timeout_ms\":31536000001"), "/steps/0/timeout_ms", "from 1"},
        {W("\"async\":{}"), "/steps/0/async/mode", "callback or poll"},
        {W("\"async\":{\"mode\":\"push\"}"), "/steps/0/async/mode", "callback or poll"},
        {W("\"async\":{\"mode\":\"callback\",\"every_ms\":1000}"), "/steps/0/async/every_ms",
         "not polled"},
        {W("\"async\":{\"mode\":\"poll\",\"every_ms\":99}"), "/steps/0/async/every_ms", "from 100"},
        {W("\"async\":true"), "/steps/0/async", "must be an object"},
        {W("\"retry\":{\"attempts\":1}"), "/steps/0/retry/attempts", "unknown member"},
        {W("\"retry\":{\"then\":\"fail\"}"), "/steps/0/retry/then", "compensate or park"},
        {W("\"retry\":{\"attempts_max\":1000001}"), "/steps/0/retry/attempts_max", "from 0"},
        {W("\"retry\":{\"backoff_first_ms\":0}"), "/steps/0/retry/backoff_first_ms", "from 1"},
        {W("\"retry\":{\"backoff_first_ms\":10,\"backoff_max_ms\":9}"),
         "/steps/0/retry/backoff_max_ms", "from 10"},
        {W("\"retry\":{\"backoff_max_ms\":86400001}"), "/steps/0/retry/backoff_max_ms", "from"},
        {W("\"retry\":{\"conflict_attempts_max\":1001}"), "/steps/0/retry/conflict_attempts_max",
         "from 0 to 1000"},
        {W("\"on_status\":[]"), "/steps/0/on_status", "must be an object"},
        {W("\"on_status\":{\"99\":\"fail\"}"), "/steps/0/on_status/99", "three digits"},
        {W("\"on_status\":{\"600\":\"fail\"}"), "/steps/0/on_status/600", "three digits"},
        {W("\"on_status\":{\"4xx\":\"fail\"}"), "/steps/0/on_status/4xx", "three digits"},
        {W("\"on_status\":{\"0404\":\"fail\"}"), "/steps/0/on_status/0404", "three digits"},
        {W("\"on_status\":{\"404\":\"again\"}"), "/steps/0/on_status/404", "success, fail"},
        {W("\"on_status\":{\"404\":1}"), "/steps/0/on_status/404", "success, fail"},
        {W("\"when\":true"), "/steps/0/when", "must be an object"},
        {W("\"when\":{\"eq\":1}"), "/steps/0/when/value", "which value"},
        {W("\"when\":{\"value\":1}"), "/steps/0/when", "eq, ne, gt"},
        {W("\"when\":{\"value\":1,\"eq\":1,\"ne\":1}"), "/steps/0/when", "one comparison"},
        {W("\"when\":{\"value\":1,\"is\":1}"), "/steps/0/when/is", "unknown member"},
        {W("\"when\":{\"value\":1,\"gt\":null}"), "/steps/0/when/gt", "numbers and strings"},
        {W("\"when\":{\"value\":1,\"lte\":[1]}"), "/steps/0/when/lte", "numbers and strings"},
        {W("\"when\":{\"value\":1,\"eq\":{\"$\":\"/input\"}}"), "/steps/0/when/eq", "only `value`"},
        {W("\"when\":{\"value\":{\"$\":\"/steps/a\"},\"eq\":1}"), "/steps/0/when/value/$",
         "before"},
        {I("\"async\":{\"mode\":\"callback\"}"), "/steps/0/async", "calls no URL"},
        {I("\"attempt_timeout_ms\":1000"), "/steps/0/attempt_timeout_ms", "calls no URL"},
        {I("\"retry\":{}"), "/steps/0/retry", "calls no URL"},
        {I("\"on_status\":{}"), "/steps/0/on_status", "calls no URL"},
        {I("\"timeout_ms\":1000"), "/steps/0/timeout_ms", "waits for no answer"},
    };
    refuse_all(wrongs, HF_ARRAY_COUNT(wrongs));
}

static void test_wrong_templates(void **state)
{
    (void)state;
#define B(body) BEGIN "{" URL ",\"body\":" body "}" END
#define BODY    "/steps/0/action/body"
    static const struct wrong wrongs[] = {
        {B("{\"$\":1}"), BODY "/$", "takes a JSON pointer"},
        {B("{\"$\":\"\"}"), BODY "/$", "no JSON pointer"},
        {B("{\"$\":\"input\"}"), BODY "/$", "no JSON pointer"},
        {B("{\"$\":\"/input/~\"}"), BODY "/$", "no JSON pointer"},
        {B("{\"$\":\"/input/~2\"}"), BODY "/$", "no JSON pointer"},
        {B("{\"$\":\"/inputs\"}"), BODY "/$", "copy from /input, /saga"},
        {B("{\"$\":\"/\"}"), BODY "/$", "copy from /input, /saga"},
        {B("{\"$\":\"/saga/secret\"}"), BODY "/$", "/saga has the members"},
        {B("{\"$\":\"/saga/id/x\"}"), BODY "/$", "/saga has the members"},
        {B("{\"$\":\"/steps\"}"), BODY "/$", "which step's"},
        {B("{\"$\":\"/steps/b\"}"), BODY "/$", "no step of that name"},
        {B("{\"$\":\"/steps/a/x\"}"), BODY "/$", "/input and /saga alone"},
        {B("{\"$\":\"/input\",\"x\":1}"), BODY "/$", "no other member"},
        {B("{\" \":1,\"$\":\"/input\"}"), BODY "/$", "no other member"},
        {B("{\"a\":[0,{\"b\":{\"$\":7}}]}"), BODY "/a/1/b/$", "takes a JSON pointer"},
        {B("{\"~/\":{\"$\":7}}"), BODY "/~0~1/$", "takes a JSON pointer"},
        {B("[[],{},[{\"$\":7}]]"), BODY "/2/0/$", "takes a JSON pointer"},
        {B("{\"$join\":\"x\"}"), BODY "/$join", "takes an array"},
        {B("{\"$join\":[]}"), BODY "/$join", "of nothing"},
        {B("{\"$join\":[1.5]}"), BODY "/$join", "strings, integers"},
        {B("{\"$join\":[1e3]}"), BODY "/$join", "strings, integers"},
        {B("{\"$join\":[null]}"), BODY "/$join", "strings, integers"},
        {B("{\"$join\":[[\"x\"]]}"), BODY "/$join", "strings, integers"},
        {B("{\"$join\":[{}]}"), BODY "/$join", "strings, integers"},
        {B("{\"$join\":[{\"$join\":[\"a\"]}]}"), BODY "/$join", "strings, integers"},
        {B("{\"$join\":[\"a\"],\"x\":1}"), BODY "/$join", "no other member"},
    };
    refuse_all(wrongs, HF_ARRAY_COUNT(wrongs));
    /* Beside, behind, of itself: only what always comes before, and in a compensation its own. */
    take("{\"steps\":[{" NAME("a") "," ACT "},{" NAME(
        "b") ",\"after\":[\"a\"],\"action\":{" URL
             ",\"body\":{\"$\":\"/steps/a\"}},\"compensation\":{" URL
             ",\"body\":[{\"$\":\"/steps/b/0\"},{\"$\":\"/steps/a/~0~1/-/x\"}]}}]}");
    assert_int_equal(parsed.steps[1].compensation.body.steps, 3);
    refuse("{\"steps\":[{" NAME("a") "," ACT "},{" NAME("c") "," ACT "},{" NAME(
               "b") ",\"after\":[\"a\"],\"action\":{" URL ",\"body\":{\"$\":\"/steps/c\"}}}]}",
           "/steps/2/action/body/$", "always come before");
    refuse("{\"steps\":[{" NAME("a") ",\"action\":{" URL "},\"compensation\":{" URL
                                     ",\"body\":{\"$\":\"/steps/b\"}}},{" NAME(
                                         "b") ",\"after\":[\"a\"]," ACT "}]}",
           "/steps/0/compensation/body/$", "always come before");
    char json[2048];
    char name[1025];
    memset(name, 'n', sizeof(name));
    (void)snprintf(json, sizeof(json), B("{\"$\":\"/input/%.*s\"}"), 1024 - 7, name);
    take(json);
    (void)snprintf(json, sizeof(json), B("{\"$\":\"/input/%.*s\"}"), 1024 - 6, name);
    refuse(json, BODY "/$", "no JSON pointer of at most");
}

static void test_wrong_operations(void **state)
{
    (void)state;
#define D(op) BEGIN "{\"do\":[" op "]}" END
#define OP    "/steps/0/action/do/0"
    static const struct wrong wrongs[] = {
        {BEGIN "{\"do\":{}}" END, "/steps/0/action/do", "must be an array"},
        {BEGIN "{\"do\":[]}" END, "/steps/0/action/do", "at least one"},
        {D("1"), OP, "must be an object"},
        {D("{}"), OP "/op", "which operation"},
        {D("{\"op\":\"mint\"}"), OP "/op", "hold, capture"},
        {D("{\"op\":\"ack\",\"subscription\":\"s\",\"receipt\":\"r\"}"), OP "/op", "hold, capture"},
        {D("{\"op\":\"start_saga\",\"definition\":\"a@1\"}"), OP "/op", "hold, capture"},
        {D("{\"op\":\"patch\",\"document\":\"d\",\"data\":{}}"), OP "/op", "hold, capture"},
        {D("{\"op\":{\"$\":\"/input/op\"}}"), OP "/op", "can't be a template"},
        {D("{\"op\":\"void\"}"), OP "/hold", "needs the member hold"},
        {D("{\"op\":\"void\",\"hold\":\"h\",\"amount\":{\"$\":\"/input\"}}"), OP "/amount",
         "takes no amount"},
        {D("{\"op\":\"void\",\"hodl\":\"h\"}"), OP "/hodl", "unknown member"},
        {D("{\"op\":\"void\",\"hold\":7}"), OP "/hold", "must be a string"},
        {D("{\"op\":\"void\",\"hold\":\"a b\"}"), OP "/hold", "a name is"},
        {D("{\"op\":\"void\",\"hold\":[{\"$\":\"/input\"}]}"), OP "/hold", "must be a string"},
        {D("{\"op\":\"void\",\"hold\":{\"a\":{\"$\":\"/input\"}}}"), OP "/hold",
         "must be a string"},
        {D("{\"op\":\"void\",\"hold\":{\"$\":\"/steps/x\"}}"), OP "/hold/$", "no step"},
        {D("{\"op\":\"hold\",\"from\":{\"$\":\"/input/"
           "a\"},\"to\":\"b\",\"asset\":\"euro\",\"amount\":1}"),
         OP "/asset", "CODE/scale"},
        {D("{\"op\":\"hold\",\"from\":\"a\",\"to\":\"b\",\"asset\":\"EUR/2\",\"amount\":\"1.5\"}"),
         OP "/amount", "decimal string"},
        {D("{\"op\":\"hold\",\"from\":\"a\",\"to\":\"a\",\"asset\":\"EUR/2\",\"amount\":\"1\"}"),
         OP "/to", "two accounts"},
        {D("{\"op\":\"capture\",\"hold\":\"h\",\"final\":{\"$join\":[\"a\"]}}"), OP "/final",
         "true or false"},
        {D("{\"op\":\"append\",\"stream\":\"s\",\"type\":\"holdfast.x\",\"data\":1}"), OP "/type",
         "reserved"},
        {D("{\"op\":\"put\",\"document\":\"d\",\"data\":1,\"expected_version\":\"1\"}"),
         OP "/expected_version", "integer"},
        {D("{\"op\":\"publish\",\"topic\":\"t\",\"key\":\"\",\"type\":\"x\",\"data\":1}"),
         OP "/key", "a name is"},
        {D("{\"op\":\"publish\",\"topic\":\"t\",\"key\":\"k\",\"type\":\"x\",\"data\":1,"
           "\"deliver_at\":\"soon\"}"),
         OP "/deliver_at", "RFC 3339"},
    };
    refuse_all(wrongs, HF_ARRAY_COUNT(wrongs));
    for (unsigned count = 16; count <= 17; count++) {
        struct hf_buffer text;
        hf_buffer_init(&text);
        hf_buffer_text(&text, BEGIN "{\"do\":[");
        for (unsigned i = 0; i < count; i++) {
            hf_buffer_format(&text, "%s{\"op\":\"void\",\"hold\":\"h%u\"}", i > 0 ? "," : "", i);
        }
        hf_buffer_text(&text, "]}" END);
        hf_buffer_u8(&text, 0);
        if (count == 16) {
            take((const char *)text.data);
            assert_int_equal(parsed.steps[0].action.op_count, 16);
        } else {
            refuse((const char *)text.data, "/steps/0/action/do", "at most 16");
        }
        hf_buffer_release(&text);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    struct hf_buffer text;
    struct hf_malformed malformed;
    hf_buffer_init(&text);
    static const char begin[] = BEGIN "{" URL ",\"body\":\"";
    static const char end[] = "\"}" END;
    hf_buffer_text(&text, begin);
    size_t room = HF_SAGA_DEFINITION_BYTES_MAX - (sizeof(begin) - 1) - (sizeof(end) - 1);
    for (size_t i = 0; i < room; i++) {
        hf_buffer_u8(&text, 'x');
    }
    hf_buffer_text(&text, end);
    hf_saga_definition_release(&parsed);
    struct hf_str json = {(const char *)text.data, text.size_bytes};
    assert_true(hf_saga_definition_parse(&parsed, json, &malformed));
    hf_buffer_u8(&text, ' ');
    json = (struct hf_str){(const char *)text.data, text.size_bytes};
    struct hf_saga_definition other;
    assert_false(hf_saga_definition_parse(&other, json, &malformed));
    assert_int_equal(malformed.code, HF_ERR_TOO_LARGE);
    hf_buffer_release(&text);
}

/* A definition in which every reader needs more room than it begins with. */
static void write_large(struct hf_buffer *text)
{
    hf_buffer_init(text);
    hf_buffer_text(text, "{\"steps\":[{\"name\":\"\\u0061\",\"action\":{" URL ",\"headers\":{");
    for (unsigned i = 0; i < HF_SAGA_HEADERS_MAX; i++) {
        hf_buffer_format(text, "%s\"h%u\":\"\\u0078\"", i > 0 ? "," : "", i);
    }
    hf_buffer_text(text, "},\"body\":{");
    for (unsigned i = 0; i < 40; i++) {
        hf_buffer_format(text, "\"m%u\":{\"$\":\"/input/\\u0078/%u\"},", i, i);
    }
    hf_buffer_text(text, "\"j\":{\"$join\":[\"a\",{\"$\":\"/saga/id\"}]}}},\"on_status\":{");
    for (unsigned i = 0; i < 40; i++) {
        hf_buffer_format(text, "%s\"4%02u\":\"fail\"", i > 0 ? "," : "", i);
    }
    hf_buffer_text(text, "},\"when\":{\"value\":{\"$\":\"/input\"},\"eq\":\"\\u0078\"}},"
                         "{\"name\":\"b\",\"after\":[\"\\u0061\"],\"action\":{\"do\":["
                         "{\"op\":\"put\",\"document\":\"d\",\"data\":{");
    for (unsigned i = 0; i < 40; i++) {
        hf_buffer_format(text, "\"m%u\":{\"$\":\"/steps/a/%u\"},", i, i);
    }
    hf_buffer_text(text,
                   "\"m\":0}}]}},{\"name\":\"c\",\"action\":{\"event\":{\"type\":\"\\u0078\","
                   "\"key\":\"\\u0078\"}}},"
                   "{\"name\":\"d\",\"action\":{\"until\":\"2026-12-01T00:00:00\\u005a\"}}]}");
}

static void test_every_allocation_fails_once(void **state)
{
    (void)state;
    struct hf_buffer text;
    write_large(&text);
    struct hf_str json = {(const char *)text.data, text.size_bytes};
    uint64_t n = 0;
    for (bool hit = true; hit;) {
        struct hf_malformed malformed = {0};
        hf_saga_definition_release(&parsed);
        hf_alloc_fault_set(++n);
        bool taken = hf_saga_definition_parse(&parsed, json, &malformed);
        hit = hf_alloc_fault_hit();
        hf_alloc_fault_set(0);
        assert_int_equal(taken, !hit);
        assert_int_equal(malformed.code, hit ? HF_ERR_NO_MEMORY : HF_ERR_OK);
    }
    assert_true(n > 10);
    assert_int_equal(parsed.steps[0].action.header_count, HF_SAGA_HEADERS_MAX);
    assert_int_equal(parsed.steps[0].on_status.count, 40);
    hf_buffer_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_example_of_the_documentation),
        cmocka_unit_test(test_members_of_a_definition),
        cmocka_unit_test(test_kinds_of_actions),
        cmocka_unit_test(test_members_of_a_step),
        cmocka_unit_test(test_order_of_steps),
        cmocka_unit_test(test_sixty_four_steps_and_no_more),
        cmocka_unit_test(test_native_operations),
        cmocka_unit_test(test_wrong_definitions),
        cmocka_unit_test(test_wrong_orders),
        cmocka_unit_test(test_pivots),
        cmocka_unit_test(test_wrong_actions),
        cmocka_unit_test(test_wrong_urls),
        cmocka_unit_test(test_wrong_headers),
        cmocka_unit_test(test_wrong_step_members),
        cmocka_unit_test(test_wrong_templates),
        cmocka_unit_test(test_wrong_operations),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, release);
}
