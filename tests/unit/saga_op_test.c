/*
 * Operations on sagas: what is taken, what is malformed and where, what fingerprints are made of (frozen here), callback tokens.
 */
#include "core/saga_op.h"

#include <stdio.h>

#include "base/alloc.h"
#include "core/op_json.h"
#include "unit/support.h"

struct asked {
    struct hf_command command;
    struct hf_malformed malformed;
    bool taken;
};

/* An operation in a commit. */
static struct asked ask(const char *json)
{
    struct asked asked = {0};
    struct hf_op_fields fields = {0};
    hf_command_init(&asked.command, HF_COMMAND_COMMIT);
    memset(asked.command.secret, 7, sizeof(asked.command.secret));
    asked.taken =
        hf_op_json_decode(hf_str_from(json), &asked.command.arena, &fields, &asked.malformed) &&
        hf_command_add_op(&asked.command, &fields, &asked.malformed) &&
        hf_command_finish(&asked.command, &asked.malformed);
    return asked;
}

static struct asked take(const char *json)
{
    struct asked asked = ask(json);
    if (!asked.taken) {
        fail_msg("%s: %s in %s", asked.malformed.pointer, asked.malformed.text, json);
    }
    return asked;
}

static void refuse(const char *json, const char *pointer, const char *words)
{
    struct asked asked = ask(json);
    if (asked.taken || strcmp(asked.malformed.pointer, pointer) != 0 ||
        strstr(asked.malformed.text, words) == NULL) {
        fail_msg("%d \"%s\": \"%s\" for %s", asked.taken, asked.malformed.pointer,
                 asked.malformed.text, json);
    }
    hf_command_release(&asked.command);
}

static void assert_text(struct hf_str is, const char *wanted)
{
    if (!hf_str_equal(is, hf_str_from(wanted))) {
        fail_msg("\"%.*s\" is not \"%s\"", (int)is.len, is.ptr, wanted);
    }
}

/* ---- in commits ---- */

static void test_a_start(void **state)
{
    (void)state;
    struct asked asked =
        take("{\"op\":\"start_saga\",\"saga\":\"order-17\",\"definition\":\"order@3\","
             "\"input\": {\"n\" : 1},\"business_key\":\"k 1\",\"tags\":{\"shop\": "
             "\"berlin\",\"a\":\"\"},"
             "\"not_before\":\"2026-12-01T00:00:00Z\"}");
    const struct hf_op *op = &asked.command.ops[0];
    assert_int_equal(op->type, HF_OP_START_SAGA);
    assert_true(op->has_id);
    assert_text(op->id.text, "order-17");
    assert_true(hf_name_equal(&op->id, &op->subject));
    assert_null(op->queue);
    const struct hf_saga_command *saga = op->saga;
    assert_text(saga->fields.saga, "order-17");
    assert_text(saga->definition.text, "order");
    assert_true(hf_name_id_matches(&saga->definition));
    assert_int_equal(saga->definition_version, 3);
    assert_null(saga->parsed);
    assert_false(hf_str_present(saga->definition_text.text));
    assert_text(saga->input.text, "{\"n\" : 1}"); /* as it is */
    assert_text(saga->tags.text, "{\"a\":\"\",\"shop\":\"berlin\"}");
    assert_text(saga->fields.business_key, "k 1");
    assert_true(saga->not_before_us == 1796083200000000u);
    /* An id that is never used again needs no key, and a refusal does not spend it. */
    assert_true(asked.command.key_free && asked.command.replays_by_id);
    assert_false(asked.command.spends_ids);
    hf_command_release(&asked.command);
}

static void test_a_start_without_an_id_is_named_by_the_server(void **state)
{
    (void)state;
    struct asked asked = take("{\"op\":\"start_saga\",\"definition\":\"order@3\"}");
    const struct hf_op *op = &asked.command.ops[0];
    assert_false(op->has_id || hf_str_present(op->subject.text) || hf_str_present(op->id.text));
    assert_false(hf_str_present(op->saga->input.text) || hf_str_present(op->saga->tags.text));
    assert_true(op->saga->not_before_us == 0);
    assert_false(asked.command.key_free || asked.command.replays_by_id);
    hf_command_release(&asked.command);
}

static void test_a_start_with_its_own_definition(void **state)
{
    (void)state;
    struct asked one = take("{\"op\":\"start_saga\",\"saga\":\"s\",\"definition\":{\"steps\":[{"
                            "\"name\":\"a\",\"action\":{}}]}}");
    struct asked same = take("{\"definition\": {\"steps\":[{\"action\":{ },\"name\":\"\\u0061\"}] "
                             "},\"saga\":\"s\",\"op\":\"start_saga\"}");
    struct asked other = take("{\"op\":\"start_saga\",\"saga\":\"s\",\"definition\":{\"steps\":[{"
                              "\"name\":\"b\",\"action\":{}}]}}");
    const struct hf_saga_command *saga = one.command.ops[0].saga;
    assert_non_null(saga->parsed);
    assert_int_equal(saga->parsed->step_count, 1);
    assert_int_equal(saga->definition_version, 1);
    assert_text(saga->definition_text.text, "{\"steps\":[{\"action\":{},\"name\":\"a\"}]}");
    assert_int_equal(saga->definition.text.len, 33);
    assert_int_equal(saga->definition.text.ptr[0], '~');
    assert_true(hf_name_equal(&saga->definition, &same.command.ops[0].saga->definition));
    assert_false(hf_name_equal(&saga->definition, &other.command.ops[0].saga->definition));
    assert_memory_equal(one.command.ops[0].content_hash, same.command.ops[0].content_hash, 16);
    assert_memory_not_equal(one.command.ops[0].content_hash, other.command.ops[0].content_hash, 16);
    hf_command_release(&one.command);
    hf_command_release(&same.command);
    hf_command_release(&other.command);
}

/* Two starts of one command have two secrets, another command others; no fingerprint knows them. */
static void test_secrets(void **state)
{
    (void)state;
    struct hf_command commands[2];
    struct hf_malformed malformed;
    struct hf_op_fields fields = {.op = HF_STR("start_saga"), .definition = HF_STR("order@3")};
    for (int i = 0; i < 2; i++) {
        hf_command_init(&commands[i], HF_COMMAND_COMMIT);
        memset(commands[i].secret, i, sizeof(commands[i].secret));
        for (int j = 0; j < 2; j++) {
            fields.saga = j == 0 ? HF_STR("a") : HF_STR("b");
            assert_true(hf_command_add_op(&commands[i], &fields, &malformed));
        }
        assert_true(hf_command_finish(&commands[i], &malformed));
    }
    const struct hf_op *a = commands[0].ops;
    const struct hf_op *b = commands[1].ops;
    assert_memory_not_equal(a[0].saga->fields.secret, a[1].saga->fields.secret, 16);
    assert_memory_not_equal(a[0].saga->fields.secret, b[0].saga->fields.secret, 16);
    assert_memory_not_equal(a[0].saga->fields.secret, commands[0].secret, 16);
    assert_memory_equal(a[0].content_hash, b[0].content_hash, 16);
    assert_memory_equal(commands[0].ops_hash, commands[1].ops_hash, 16);
    hf_command_release(&commands[0]);
    hf_command_release(&commands[1]);
}

static void test_wrong_starts(void **state)
{
    (void)state;
#define START "{\"op\":\"start_saga\",\"saga\":\"s\","
#define D     START "\"definition\":\"order@3\","
    static const char *const wrongs[][3] = {
        {"{\"op\":\"start_saga\",\"saga\":\"s\"}", "/do/0/definition",
         "needs the member definition"},
        {START "\"definition\":7}", "/definition", "a string or an object"},
        {START "\"definition\":\"order\"}", "/do/0/definition", "name@version"},
        {START "\"definition\":\"order@\"}", "/do/0/definition", "name@version"},
        {START "\"definition\":\"@3\"}", "/do/0/definition", "name@version"},
        {START "\"definition\":\"order@0\"}", "/do/0/definition", "name@version"},
        {START "\"definition\":\"order@03\"}", "/do/0/definition", "name@version"},
        {START "\"definition\":\"order@-3\"}", "/do/0/definition", "name@version"},
        {START "\"definition\":\"order@9007199254740992\"}", "/do/0/definition", "name@version"},
        {START "\"definition\":\"or@der@3\"}", "/do/0/definition", "name@version"},
        {START "\"definition\":\"or der@3\"}", "/do/0/definition", "name@version"},
        {START "\"definition\":{}}", "/do/0/definition/steps", "needs steps"},
        {START "\"definition\":{\"steps\":[{\"name\":\"a\",\"action\":{\"url\":\"x\"}}]}}",
         "/do/0/definition/steps/0/action/url", "http"},
        {"{\"op\":\"start_saga\",\"saga\":\"a b\",\"definition\":\"o@1\"}", "/do/0/saga",
         "a name is"},
        {"{\"op\":\"start_saga\",\"saga\":\"~1.0\",\"definition\":\"o@1\"}", "/do/0/saga",
         "a name is"},
        {D "\"business_key\":\"\"}", "/do/0/business_key", "1 to 128 bytes"},
        {D "\"business_key\":\"a\\nb\"}", "/do/0/business_key", "control"},
        {D "\"not_before\":\"soon\"}", "/do/0/not_before", "RFC 3339"},
        {D "\"tags\":[]}", "/do/0/tags", "tags are"},
        {D "\"tags\":{\"a\":1}}", "/do/0/tags", "tags are"},
        {D "\"tags\":{\"a:b\":\"1\"}}", "/do/0/tags", "tags are"},
        {D "\"tags\":{\"\":\"1\"}}", "/do/0/tags", "tags are"},
        {D "\"step\":\"a\"}", "/do/0/step", "takes no step"},
        {D "\"token\":\"a\"}", "/do/0/token", "takes no token"},
        {D "\"id\":\"a\"}", "/do/0/id", "takes no id"},
        {D "\"inptu\":1}", "/inptu", "unknown member"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(wrongs); i++) {
        refuse(wrongs[i][0], wrongs[i][1], wrongs[i][2]);
    }
    for (unsigned count = HF_SAGA_TAGS_MAX; count <= HF_SAGA_TAGS_MAX + 1; count++) {
        struct hf_buffer json;
        hf_buffer_init(&json);
        hf_buffer_text(&json, D "\"tags\":{");
        for (unsigned i = 0; i < count; i++) {
            hf_buffer_format(&json, "%s\"t%u\":\"\"", i > 0 ? "," : "", i);
        }
        hf_buffer_text(&json, "}}");
        hf_buffer_u8(&json, 0);
        struct asked asked = ask((const char *)json.data);
        assert_int_equal(asked.taken, count == HF_SAGA_TAGS_MAX);
        hf_command_release(&asked.command);
        hf_buffer_release(&json);
    }
}

static void test_outcomes_of_steps(void **state)
{
    (void)state;
    struct asked asked = take("{\"op\":\"complete_step\",\"saga\":\"~17.0\",\"step\":\"charge\","
                              "\"token\":\"0123abcd\",\"result\": {\"a\":1}}");
    const struct hf_op *op = &asked.command.ops[0];
    assert_int_equal(op->type, HF_OP_COMPLETE_STEP);
    assert_false(op->has_id);
    assert_text(op->subject.text, "~17.0");
    assert_text(op->saga->fields.step, "charge");
    assert_text(op->saga->fields.token, "0123abcd");
    assert_text(op->saga->result.text, "{\"a\":1}");
    assert_false(asked.command.key_free);
    hf_command_release(&asked.command);
    asked = take("{\"op\":\"fail_step\",\"saga\":\"s\",\"step\":\"charge\",\"error\":\"no card\","
                 "\"reason\":\"asked the bank\",\"actor\":\"ops@shop\"}");
    op = &asked.command.ops[0];
    assert_false(hf_str_present(op->saga->fields.token));
    assert_text(op->saga->fields.error, "no card");
    assert_text(op->saga->fields.reason, "asked the bank");
    assert_text(op->saga->fields.actor, "ops@shop");
    hf_command_release(&asked.command);
    static const char *const wrongs[][3] = {
        {"{\"op\":\"complete_step\",\"saga\":\"s\"}", "/do/0/step", "needs the member step"},
        {"{\"op\":\"fail_step\",\"step\":\"a\"}", "/do/0/saga", "needs the member saga"},
        {"{\"op\":\"complete_step\",\"saga\":\"s\",\"step\":\"A\"}", "/do/0/step", "a step's name"},
        {"{\"op\":\"complete_step\",\"saga\":\"s\",\"step\":\"a\",\"error\":\"x\"}", "/do/0/error",
         "takes no error"},
        {"{\"op\":\"fail_step\",\"saga\":\"s\",\"step\":\"a\",\"result\":1}", "/do/0/result",
         "takes no result"},
        {"{\"op\":\"fail_step\",\"saga\":\"s\",\"step\":\"a\",\"token\":\"\"}", "/do/0/token",
         "no callback token"},
        {"{\"op\":\"fail_step\",\"saga\":\"s\",\"step\":\"a\",\"token\":7}", "/do/0/token",
         "must be a string"},
        {"{\"op\":\"fail_step\",\"saga\":\"s\",\"step\":\"a\",\"token\":null}", "/token",
         "integer"},
        {"{\"op\":\"renew\",\"lease\":\"l\",\"token\":\"7\"}", "/do/0/token", "must be an integer"},
        {"{\"op\":\"saga_verb\",\"saga\":\"s\"}", "/do/0/op", "no such operation"},
        {"{\"op\":\"saga_answer\",\"saga\":\"s\"}", "/do/0/op", "no such operation"},
        {"{\"op\":\"define_saga\"}", "/do/0/op", "no such operation"},
        {"{\"op\":\"saga_verbs\"}", "/do/0/op", "no such operation"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(wrongs); i++) {
        refuse(wrongs[i][0], wrongs[i][1], wrongs[i][2]);
    }
    for (size_t len = HF_SAGA_ERROR_BYTES_MAX; len <= HF_SAGA_ERROR_BYTES_MAX + 1; len++) {
        char error[HF_SAGA_ERROR_BYTES_MAX + 1];
        memset(error, 'e', sizeof(error));
        char json[1024];
        (void)snprintf(json, sizeof(json),
                       "{\"op\":\"fail_step\",\"saga\":\"s\",\"step\":\"a\",\"error\":\"%.*s\"}",
                       (int)len, error);
        asked = ask(json);
        assert_int_equal(asked.taken, len == HF_SAGA_ERROR_BYTES_MAX);
        hf_command_release(&asked.command);
    }
}

static void test_conditions(void **state)
{
    (void)state;
    static const char *const states[] = {"scheduled",    "running",     "waiting",
                                         "compensating", "parked",      "paused",
                                         "succeeded",    "compensated", "abandoned"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(states) + 1; i++) {
        struct hf_command command;
        struct hf_malformed malformed;
        struct hf_condition_fields fields = {.saga = HF_STR("~17.0")};
        fields.state = i < HF_ARRAY_COUNT(states) ? hf_str_from(states[i]) : HF_STR("open");
        hf_command_init(&command, HF_COMMAND_COMMIT);
        bool taken = hf_command_add_condition(&command, &fields, &malformed);
        assert_int_equal(taken, i < HF_ARRAY_COUNT(states));
        if (taken) {
            assert_int_equal(command.conditions[0].kind, HF_CONDITION_SAGA);
            assert_int_equal(command.conditions[0].saga_state, HF_SAGA_SCHEDULED + i);
            assert_text(command.conditions[0].subject.text, "~17.0");
        } else {
            assert_string_equal(malformed.pointer, "/if/0/state");
        }
        hf_command_release(&command);
    }
}

/* ---- with routes of their own ---- */

static struct asked ask_own(const struct hf_saga_op_fields *fields)
{
    struct asked asked = {0};
    hf_command_init(&asked.command, HF_COMMAND_COMMIT);
    asked.taken = hf_command_add_saga_op(&asked.command, fields, &asked.malformed) &&
                  hf_command_finish(&asked.command, &asked.malformed);
    return asked;
}

static void refuse_own(const struct hf_saga_op_fields *fields, const char *pointer)
{
    struct asked asked = ask_own(fields);
    assert_false(asked.taken);
    assert_int_equal(asked.malformed.code, HF_ERR_INVALID_REQUEST);
    assert_string_equal(asked.malformed.pointer, pointer);
    hf_command_release(&asked.command);
}

static void test_definitions(void **state)
{
    (void)state;
    struct hf_saga_op_fields fields = {
        .type = HF_OP_DEFINE_SAGA,
        .name = HF_STR("order"),
        .version = 3,
        .definition_json = HF_STR(" {\"steps\":[{\"name\":\"a\",\"action\":{}}]} "),
    };
    struct asked asked = ask_own(&fields);
    assert_true(asked.taken);
    const struct hf_op *op = &asked.command.ops[0];
    assert_text(op->subject.text, "order");
    assert_false(op->has_id);
    assert_true(hf_name_equal(&op->subject, &op->saga->definition));
    assert_int_equal(op->saga->definition_version, 3);
    assert_text(op->saga->definition_text.text, "{\"steps\":[{\"action\":{},\"name\":\"a\"}]}");
    struct hf_hash hash =
        hf_sha256(op->saga->definition_text.text.ptr, op->saga->definition_text.text.len);
    assert_memory_equal(&op->saga->definition_text.hash, &hash, sizeof(hash));
    hf_command_release(&asked.command);
    fields.version = 0;
    refuse_own(&fields, "");
    fields.version = HF_JSON_INTEGER_MAX + 1;
    refuse_own(&fields, "");
    fields.version = 1;
    fields.name = HF_STR("or@der");
    refuse_own(&fields, "");
    fields.name = HF_STR("order");
    fields.definition_json = HF_STR("{\"steps\":[{\"name\":\"a\",\"actoin\":{}}]}");
    refuse_own(&fields, "/steps/0/actoin");
}

static struct hf_saga_op_fields answer_of(const char *body)
{
    return (struct hf_saga_op_fields){
        .type = HF_OP_SAGA_ANSWER,
        .saga = HF_STR("order-17"),
        .step = HF_STR("charge"),
        .op = HF_SAGA_ACTION,
        .attempt = 2,
        .uid = 4097,
        .duration_ms = 12,
        .answer = {.status = 200, .body = hf_str_from(body)},
    };
}

static void test_answers_are_never_refused(void **state)
{
    (void)state;
    struct hf_saga_op_fields fields = answer_of("{\"id\":1}");
    struct asked asked = ask_own(&fields);
    assert_true(asked.taken);
    const struct hf_saga_command *saga = asked.command.ops[0].saga;
    assert_text(asked.command.ops[0].subject.text, "order-17");
    assert_text(saga->result.text, "{\"id\":1}");
    assert_int_equal(saga->fields.answer.error, HF_CALL_COMPLETE);
    assert_int_equal(saga->fields.attempt, 2);
    assert_int_equal(saga->fields.uid, 4097);
    assert_int_equal(saga->fields.duration_ms, 12);
    hf_command_release(&asked.command);
    /* What is no JSON, or too much of it: a success can't be kept, another answer needs no body. */
    char *large = test_calloc(1, HF_SAGA_RESULT_BYTES_MAX + 2);
    memset(large, ' ', HF_SAGA_RESULT_BYTES_MAX + 1);
    large[0] = '1';
    const char *const bodies[] = {"<html>", large};
    for (int i = 0; i < 2; i++) {
        fields = answer_of(bodies[i]);
        asked = ask_own(&fields);
        assert_true(asked.taken);
        saga = asked.command.ops[0].saga;
        assert_int_equal(saga->fields.answer.error, HF_CALL_TOO_LARGE);
        assert_false(hf_str_present(saga->result.text));
        hf_command_release(&asked.command);
        fields.answer.status = 503;
        asked = ask_own(&fields);
        assert_true(asked.taken);
        assert_int_equal(asked.command.ops[0].saga->fields.answer.error, HF_CALL_COMPLETE);
        hf_command_release(&asked.command);
    }
    test_free(large);
    /* Texts of any length. */
    char text[4096];
    memset(text, 'x', sizeof(text));
    struct hf_str whole = {text, sizeof(text)};
    fields = answer_of("");
    fields.error = whole;
    fields.answer.outcome = whole;
    fields.answer.location = whole;
    asked = ask_own(&fields);
    assert_true(asked.taken);
    saga = asked.command.ops[0].saga;
    assert_int_equal(saga->fields.error.len, HF_SAGA_ERROR_BYTES_MAX);
    assert_false(hf_str_present(saga->fields.answer.outcome));
    assert_false(hf_str_present(saga->fields.answer.location));
    assert_false(hf_str_present(saga->result.text));
    hf_command_release(&asked.command);
}

static struct hf_saga_op_fields verb_of(enum hf_saga_act verb)
{
    return (struct hf_saga_op_fields){.type = HF_OP_SAGA_VERB,
                                      .saga = HF_STR("order-17"),
                                      .verb = verb,
                                      .reason = HF_STR("asked the bank"),
                                      .has_expected_version = true,
                                      .expected_version = 9};
}

static void test_verbs(void **state)
{
    (void)state;
    struct hf_saga_op_fields fields = verb_of(HF_SAGA_ACT_SKIP);
    refuse_own(&fields, "/step");
    fields.step = HF_STR("charge");
    fields.result = HF_STR("[1]");
    fields.actor = HF_STR("ops");
    struct asked asked = ask_own(&fields);
    assert_true(asked.taken);
    const struct hf_op *op = &asked.command.ops[0];
    assert_true(op->has_expected_version && op->expected_version == 9);
    assert_text(op->saga->result.text, "[1]");
    assert_text(op->saga->fields.reason, "asked the bank");
    hf_command_release(&asked.command);
    fields.verb = HF_SAGA_ACT_RETRY;
    refuse_own(&fields, "/result");
    fields.result = HF_STR_NONE;
    asked = ask_own(&fields);
    assert_true(asked.taken);
    hf_command_release(&asked.command);
    for (int verb = HF_SAGA_ACT_PAUSE; verb <= HF_SAGA_ACT_ABANDON; verb++) {
        if (verb != HF_SAGA_ACT_SKIP) {
            fields = verb_of((enum hf_saga_act)verb);
            asked = ask_own(&fields);
            assert_true(asked.taken);
            hf_command_release(&asked.command);
            fields.step = HF_STR("charge");
            refuse_own(&fields, "/step");
        }
    }
    fields = verb_of(HF_SAGA_ACT_PAUSE);
    fields.reason = HF_STR_NONE;
    refuse_own(&fields, "/reason");
    fields.reason = HF_STR("");
    refuse_own(&fields, "/reason");
    fields.reason = HF_STR("a\x01");
    refuse_own(&fields, "/reason");
    fields = verb_of(HF_SAGA_ACT_PAUSE);
    fields.saga = HF_STR("a b");
    refuse_own(&fields, "");
}

static void test_bulk_verbs(void **state)
{
    (void)state;
    struct hf_saga_op_fields base = {.type = HF_OP_SAGA_VERBS,
                                     .verb = HF_SAGA_ACT_RETRY,
                                     .reason = HF_STR("bank is back"),
                                     .jitter_ms = 60000,
                                     .filter = {.failing = true,
                                                .definition = HF_STR("order@3"),
                                                .tag_key = HF_STR("shop"),
                                                .tag_value = HF_STR("berlin"),
                                                .step = HF_STR("charge")}};
    struct asked asked = ask_own(&base);
    assert_true(asked.taken);
    const struct hf_saga_command *saga = asked.command.ops[0].saga;
    assert_int_equal(saga->fields.limit, 100);
    assert_int_equal(saga->fields.jitter_ms, 60000);
    assert_text(saga->fields.filter.tag_value, "berlin");
    assert_false(hf_str_present(asked.command.ops[0].subject.text));
    hf_command_release(&asked.command);
    struct hf_saga_op_fields fields = base;
    fields.limit = HF_SAGA_VERBS_MAX + 1;
    refuse_own(&fields, "/limit");
    fields = base;
    fields.jitter_ms = HF_BACKOFF_MS_MAX + 1;
    refuse_own(&fields, "/jitter_ms");
    fields = base;
    fields.verb = HF_SAGA_ACT_PAUSE;
    refuse_own(&fields, "/jitter_ms");
    fields = base;
    fields.after = HF_STR("a b");
    refuse_own(&fields, "/after");
    fields = base;
    fields.filter.definition = HF_STR("order@x");
    refuse_own(&fields, "/filter/definition");
    fields = base;
    fields.filter.tag_key = HF_STR("a:b");
    refuse_own(&fields, "/filter/tag");
    fields = base;
    fields.filter.step = HF_STR("A");
    refuse_own(&fields, "/filter/step");
    fields = base;
    fields.verb = HF_SAGA_ACT_SKIP;
    fields.jitter_ms = 0;
    fields.filter.step = HF_STR_NONE;
    refuse_own(&fields, "/filter/step");
}

static void test_every_allocation_fails_once(void **state)
{
    (void)state;
    static const char *const ops[] = {
        D "\"tags\":{\"\\u0061\":\"\\u0062\"},\"input\":{\"a\":1},\"business_key\":\"k\"}",
        START "\"definition\":{\"steps\":[{\"name\":\"a\",\"action\":{}}]}}",
        "{\"op\":\"fail_step\",\"saga\":\"s\",\"step\":\"a\",\"token\":\"t\",\"error\":\"e\"}",
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(ops); i++) {
        bool hit = true;
        for (uint64_t n = 1; hit; n++) {
            hf_alloc_fault_set(n);
            struct asked asked = ask(ops[i]);
            hit = hf_alloc_fault_hit();
            hf_alloc_fault_set(0);
            assert_int_equal(asked.taken, !hit);
            assert_int_equal(asked.malformed.code, hit ? HF_ERR_NO_MEMORY : HF_ERR_OK);
            hf_command_release(&asked.command);
            assert_true(hit || n > 2);
        }
    }
}

/* ---- fingerprints and tokens ---- */

static void hex_of(const uint8_t bytes[16], char hex[33])
{
    for (int i = 0; i < 16; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* Each operation is another one, and what was frozen once stays. */
static void test_fingerprints_are_frozen(void **state)
{
    (void)state;
    static const char *const frozen[][2] = {
        {D "\"input\":{\"a\":1,\"b\":\"c\"}}", "565329efcdff8d7bc5d3b9d7ca12e876"},
        {"{\"input\": {\"b\":\"\\u0063\", \"a\":1}, "
         "\"definition\":\"order@3\",\"saga\":\"s\",\"op\":\"start_saga\"}",
         "565329efcdff8d7bc5d3b9d7ca12e876"},
        {D "\"input\":{\"a\":2}}", "4453bcb6783af367e256d70aaafc97df"},
        {START "\"definition\":\"order@4\"}", "2856bc26ad3e053d436172530da097da"},
        {START "\"definition\":\"order@3\"}", "f58dfd423322174b465c794d956819aa"},
        {"{\"op\":\"start_saga\",\"definition\":\"order@3\"}", "3211a63ae8fa17b5290c1a3a878a572a"},
        {"{\"op\":\"start_saga\",\"saga\":\"t\",\"definition\":\"order@3\"}",
         "5b9636bf7955e935b7ddf7782573137e"},
        {START "\"definition\":{\"steps\":[{\"name\":\"a\",\"action\":{}}]}}",
         "3e201d9c691163c163d4647de843428e"},
        {D "\"business_key\":\"k\"}", "bc74abd07fd7ed4083d09fcc963aad90"},
        {D "\"tags\":{\"a\":\"b\"}}", "5d95384ab10db451942a9d4a334a8a5a"},
        {D "\"not_before\":\"2026-12-01T00:00:00Z\"}", "558d47f596792c3b5d169b893b3c1af4"},
        {"{\"op\":\"complete_step\",\"saga\":\"s\",\"step\":\"a\"}",
         "69e95f185a3d808da2531efc0976d590"},
        {"{\"op\":\"complete_step\",\"saga\":\"s\",\"step\":\"b\"}",
         "9e466940d55e3c08a549f52ac3c8ecdc"},
        {"{\"op\":\"complete_step\",\"saga\":\"s\",\"step\":\"a\",\"token\":\"t\"}",
         "a217788a066f33502726caa791a9e745"},
        {"{\"op\":\"complete_step\",\"saga\":\"s\",\"step\":\"a\",\"result\":null}",
         "16ceb9f317168e196b60bb4209efec43"},
        {"{\"op\":\"fail_step\",\"saga\":\"s\",\"step\":\"a\"}",
         "3b2a97ff7b3a1d53de6d0279e43177ae"},
        {"{\"op\":\"fail_step\",\"saga\":\"s\",\"step\":\"a\",\"error\":\"x\"}",
         "9d78477f7849b1c3ffe210c3cf7ec55e"},
        {"{\"op\":\"fail_step\",\"saga\":\"s\",\"step\":\"a\",\"reason\":\"x\"}",
         "67c63be6b518d101a983bad2f4847f18"},
        {"{\"op\":\"fail_step\",\"saga\":\"s\",\"step\":\"a\",\"actor\":\"x\"}",
         "59ced6a8a85efaa0e14c9bdcf4c24b0d"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(frozen); i++) {
        char hex[33];
        struct asked asked = take(frozen[i][0]);
        hex_of(asked.command.ops_hash, hex);
        assert_string_equal(hex, frozen[i][1]);
        hf_command_release(&asked.command);
        for (size_t j = 2; j < i; j++) {
            assert_string_not_equal(frozen[i][1], frozen[j][1]);
        }
    }
    assert_string_equal(frozen[0][1], frozen[1][1]); /* the same, written otherwise */
    assert_string_not_equal(frozen[0][1], frozen[2][1]);
}

static void test_fingerprints_of_own_routes_are_frozen(void **state)
{
    (void)state;
    struct hf_saga_op_fields define = {.type = HF_OP_DEFINE_SAGA,
                                       .name = HF_STR("order"),
                                       .version = 3,
                                       .definition_json =
                                           HF_STR("{\"steps\":[{\"name\":\"a\",\"action\":{}}]}")};
    struct hf_saga_op_fields skip = verb_of(HF_SAGA_ACT_SKIP);
    skip.step = HF_STR("a");
    skip.result = HF_STR("{\"b\":1, \"a\":2}");
    skip.actor = HF_STR("ops");
    struct hf_saga_op_fields bulk = {.type = HF_OP_SAGA_VERBS,
                                     .verb = HF_SAGA_ACT_RETRY,
                                     .reason = HF_STR("r"),
                                     .jitter_ms = 5,
                                     .limit = 7,
                                     .after = HF_STR("order-1"),
                                     .filter = {.has_state = true,
                                                .state = HF_SAGA_PARKED,
                                                .definition = HF_STR("order"),
                                                .tag_key = HF_STR("k"),
                                                .tag_value = HF_STR("v"),
                                                .business_key = HF_STR("b"),
                                                .step = HF_STR("s"),
                                                .failing = true,
                                                .older_than_us = 1700000000000000}};
    const struct {
        const struct hf_saga_op_fields *fields;
        const char *frozen;
    } own[] = {{&define, "616b3980c79a5291532284656202f8ec"},
               {&skip, "59288f6863dfce6b8b19971f94383fbb"},
               {&bulk, "64dd72b4bdb88d464e1e48dd68f67290"}};
    for (size_t i = 0; i < HF_ARRAY_COUNT(own); i++) {
        char hex[33];
        struct asked asked = ask_own(own[i].fields);
        assert_true(asked.taken);
        hex_of(asked.command.ops_hash, hex);
        assert_string_equal(hex, own[i].frozen);
        hf_command_release(&asked.command);
    }
}

/* 32 hex digits: first 16 bytes of SHA-256(secret ‖ step name ‖ op). */
static void test_tokens(void **state)
{
    (void)state;
    uint8_t secret[16];
    memset(secret, 1, sizeof(secret));
    char token[33];
    char wanted[33];
    uint8_t bytes[16 + 6 + 1];
    memcpy(bytes, secret, 16);
    memcpy(bytes + 16, "charge", 6);
    bytes[22] = HF_SAGA_ACTION;
    struct hf_hash hash = hf_sha256(bytes, sizeof(bytes));
    hex_of(hash.bytes, wanted);
    hf_saga_token(secret, HF_STR("charge"), HF_SAGA_ACTION, token);
    assert_string_equal(token, wanted);
    hf_saga_token(secret, HF_STR("charge"), HF_SAGA_COMPENSATION, token);
    assert_string_not_equal(token, wanted);
    hf_saga_token(secret, HF_STR("charg"), HF_SAGA_ACTION, token);
    assert_string_not_equal(token, wanted);
    secret[15] = 2;
    hf_saga_token(secret, HF_STR("charge"), HF_SAGA_ACTION, token);
    assert_string_not_equal(token, wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_start),
        cmocka_unit_test(test_a_start_without_an_id_is_named_by_the_server),
        cmocka_unit_test(test_a_start_with_its_own_definition),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_wrong_starts),
        cmocka_unit_test(test_outcomes_of_steps),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_definitions),
        cmocka_unit_test(test_answers_are_never_refused),
        cmocka_unit_test(test_verbs),
        cmocka_unit_test(test_bulk_verbs),
        cmocka_unit_test(test_every_allocation_fails_once),
        cmocka_unit_test(test_fingerprints_are_frozen),
        cmocka_unit_test(test_fingerprints_of_own_routes_are_frozen),
        cmocka_unit_test(test_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
