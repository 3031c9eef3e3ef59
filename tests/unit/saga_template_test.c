/* Templates rendered and conditions compared, as docs/sagas.md has them. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/json.h"
#include "core/saga_definition.h"
#include "unit/support.h"

static const char input[] =
    "{\"order\":\"o-17\", \"lines\" : [ {\"sku\":\"a\",\"n\":2}, {\"sku\":\"b/c\",\"n\":10} ],"
    " \"amount\":1250,\"neg\":-3,\"price\":12.50,\"null\":null,\"flag\":false,\"empty\":\"\","
    " \"a/b\":1,\"m~n\":2,\"~1\":3,\"\":4,\"quote\":\"say "
    "\\\"hi\\\"\\n\\u20ac\",\"deep\":{\"deep\":{\"deep\":[[[7]]]}}}";

/* Three steps, one behind the other; the last one's `when` and body are the template under test. */
struct rig {
    struct hf_saga_definition definition;
    struct hf_str results[3];
    struct hf_saga_scope scope;
};

static void begin(struct rig *rig, const char *template_, const char *compare, const char *operand)
{
    struct hf_buffer json;
    struct hf_malformed malformed;
    hf_buffer_init(&json);
    hf_buffer_format(
        &json,
        "{\"steps\":[{\"name\":\"first\",\"action\":{}},"
        "{\"name\":\"2-nd\",\"action\":{},\"after\":[\"first\"]},"
        "{\"name\":\"last\",\"after\":[\"2-nd\"],\"action\":{\"url\":\"http://h/\",\"body\":%s},"
        "\"when\":{\"value\":%s,\"%s\":%s}}]}",
        template_, template_, compare, operand);
    struct hf_str text = {(const char *)json.data, json.size_bytes};
    *rig = (struct rig){0};
    if (!hf_saga_definition_parse(&rig->definition, text, &malformed)) {
        fail_msg("%s: %s in %.*s", malformed.pointer, malformed.text, (int)text.len, text.ptr);
    }
    hf_buffer_release(&json);
    rig->results[0] = HF_STR("{\"id\":\"r-1\",\"list\":[5,6]}");
    rig->scope = (struct hf_saga_scope){
        .saga_id = HF_STR("order-17"),
        .definition_name = HF_STR("order"),
        .definition_version = 3,
        .input = HF_STR(input),
        .definition = &rig->definition,
        .results = rig->results,
    };
}

static void end(struct rig *rig)
{
    hf_saga_definition_release(&rig->definition);
}

static enum hf_render render(const struct rig *rig, size_t most, struct hf_buffer *out,
                             struct hf_str *what)
{
    hf_buffer_init(out);
    return hf_template_render(&rig->definition.steps[2].action.body, &rig->scope, most, out, what);
}

static void assert_renders_in(struct rig *rig, const char *wanted)
{
    struct hf_buffer out;
    struct hf_str what;
    enum hf_render outcome = render(rig, SIZE_MAX, &out, &what);
    if (outcome != HF_RENDER_OK || out.size_bytes != strlen(wanted) ||
        memcmp(out.data, wanted, out.size_bytes) != 0) {
        fail_msg("%d: %.*s is not %s", (int)outcome, (int)out.size_bytes, (const char *)out.data,
                 wanted);
    }
    assert_int_equal(hf_json_validate((struct hf_str){wanted, strlen(wanted)}, NULL), HF_ERR_OK);
    hf_buffer_release(&out);
}

static void assert_renders(const char *template_, const char *wanted)
{
    struct rig rig;
    begin(&rig, template_, "eq", "1");
    assert_renders_in(&rig, wanted);
    end(&rig);
}

static void test_copies(void **state)
{
    (void)state;
    assert_renders("{}", "{}");
    assert_renders("[1,{\"a\":[null]},\"x\"]", "[1,{\"a\":[null]},\"x\"]");
    assert_renders("{\"$\":\"/input/order\"}", "\"o-17\"");
    assert_renders("{\"$\":\"/input/price\"}", "12.50"); /* as it was written */
    assert_renders("{\"$\":\"/input/null\"}", "null");
    assert_renders("{\"$\":\"/input/flag\"}", "false");
    assert_renders("{\"$\":\"/input/lines/1/sku\"}", "\"b/c\"");
    assert_renders("{\"$\":\"/input/lines/0\"}", "{\"sku\":\"a\",\"n\":2}");
    assert_renders("{\"$\":\"/input/a~1b\"}", "1");
    assert_renders("{\"$\":\"/input/m~0n\"}", "2");
    assert_renders("{\"$\":\"/input/~01\"}", "3");
    assert_renders("{\"$\":\"/input/\"}", "4");
    assert_renders("{\"$\":\"/input/quote\"}", "\"say \\\"hi\\\"\\n\\u20ac\"");
    assert_renders("{\"$\":\"/input/deep/deep/deep/0/0/0\"}", "7");
    assert_renders("{\"$\":\"/input\"}", input);
    assert_renders("{\"b\":{\"$\":\"/input/amount\"},\"a\":[{\"$\":\"/saga/id\"},{\"$\":\"/saga/"
                   "version\"}],\"c\":{}}",
                   "{\"a\":[\"order-17\",3],\"b\":1250,\"c\":{}}");
    assert_renders("{\"$\":\"/steps/first/id\"}", "\"r-1\"");
    assert_renders("{\"$\":\"/steps/first/list/1\"}", "6");
    assert_renders("{\"$\":\"/steps/first\"}", "{\"id\":\"r-1\",\"list\":[5,6]}");
    assert_renders(
        "[{\"$\":\"/saga\"}]",
        "[{\"id\":\"order-17\",\"definition\":\"order\",\"version\":3,\"business_key\":null}]");
}

static void test_what_is_not_there_is_null(void **state)
{
    (void)state;
    static const char *const pointers[] = {
        "/input/none",     "/input/lines/2",
        "/input/lines/-",  "/input/lines/00",
        "/input/lines/01", "/input/lines/",
        "/input/lines/1x", "/input/lines/99999999999999999999",
        "/input/order/0",  "/input/amount/x",
        "/input/null/x",   "/input/lines/0/sku/0",
        "/steps/2-nd",     "/steps/2-nd/x",
        "/steps/first/ID", "/saga/business_key",
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(pointers); i++) {
        char template_[128];
        (void)snprintf(template_, sizeof(template_), "[{\"$\":\"%s\"}]", pointers[i]);
        assert_renders(template_, "[null]");
    }
    /* Without an input, without results. */
    struct rig rig;
    begin(&rig, "[{\"$\":\"/input\"},{\"$\":\"/input/x\"},{\"$\":\"/steps/first/id\"}]", "eq", "1");
    rig.scope.input = HF_STR_NONE;
    rig.scope.results = NULL;
    assert_renders_in(&rig, "[null,null,null]");
    end(&rig);
    begin(&rig, "{\"$\":\"/saga/business_key\"}", "eq", "1");
    rig.scope.business_key = HF_STR("a\"b");
    assert_renders_in(&rig, "\"a\\\"b\"");
    end(&rig);
}

static void test_joins(void **state)
{
    (void)state;
    assert_renders("{\"$join\":[\"pay-\",{\"$\":\"/saga/id\"}]}", "\"pay-order-17\"");
    assert_renders("{\"$join\":[\"only\"]}", "\"only\"");
    assert_renders(
        "{\"$join\":[1,\"-\",-2,\"-\",{\"$\":\"/input/amount\"},{\"$\":\"/input/neg\"}]}",
        "\"1--2-1250-3\"");
    assert_renders("{\"$join\":[{\"$\":\"/input/empty\"}]}", "\"\"");
    assert_renders("{\"$join\":[\"\\\"\",{\"$\":\"/input/quote\"}]}",
                   "\"\\\"say \\\"hi\\\"\\n\\u20ac\"");
    assert_renders(
        "{\"k\":{\"$join\":[{\"$\":\"/steps/first/list/0\"},{\"$\":\"/saga/version\"}]},\"l\":1}",
        "{\"k\":\"53\",\"l\":1}");
}

static void test_a_join_without_its_part_names_it(void **state)
{
    (void)state;
    static const char *const pointers[] = {"/input/none",  "/input/null",  "/input/flag",
                                           "/input/price", "/input/lines", "/input/deep",
                                           "/steps/2-nd"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(pointers); i++) {
        struct rig rig;
        struct hf_buffer out;
        struct hf_str what;
        char template_[128];
        (void)snprintf(template_, sizeof(template_), "{\"a\":{\"$join\":[\"x\",{\"$\":\"%s\"},1]}}",
                       pointers[i]);
        begin(&rig, template_, "eq", "1");
        assert_int_equal(render(&rig, SIZE_MAX, &out, &what), HF_RENDER_MISSING);
        assert_true(hf_str_equal(what, hf_str_from(pointers[i])));
        hf_buffer_release(&out);
        end(&rig);
    }
}

static void test_sizes_are_bounded(void **state)
{
    (void)state;
    struct rig rig;
    struct hf_buffer out;
    struct hf_str what;
    begin(&rig, "{\"a\":{\"$\":\"/input/order\"},\"b\":{\"$join\":[\"12\",{\"$\":\"/saga/id\"}]}}",
          "eq", "1");
    size_t exact = strlen("{\"a\":\"o-17\",\"b\":\"12order-17\"}");
    for (size_t most = 0; most <= exact; most++) {
        enum hf_render wanted = most < exact ? HF_RENDER_TOO_LARGE : HF_RENDER_OK;
        assert_int_equal(render(&rig, most, &out, &what), wanted);
        assert_true(out.size_bytes <= most);
        hf_buffer_release(&out);
    }
    /* Behind what is there already. */
    hf_buffer_init(&out);
    hf_buffer_text(&out, "before ");
    const struct hf_template *body = &rig.definition.steps[2].action.body;
    assert_int_equal(hf_template_render(body, &rig.scope, exact, &out, &what), HF_RENDER_OK);
    assert_int_equal(out.size_bytes, 7 + exact);
    hf_buffer_release(&out);
    end(&rig);
    begin(&rig, "\"constant\"", "eq", "1");
    assert_int_equal(render(&rig, 9, &out, &what), HF_RENDER_TOO_LARGE);
    hf_buffer_release(&out);
    assert_int_equal(render(&rig, 10, &out, &what), HF_RENDER_OK);
    hf_buffer_release(&out);
    end(&rig);
}

/* A value of the greatest depth, put one level deeper, is no text that anybody takes. */
static void test_depths_are_bounded(void **state)
{
    (void)state;
    char value[2 * HF_JSON_DEPTH_MAX + 2];
    for (int depth = HF_JSON_DEPTH_MAX - 1; depth <= HF_JSON_DEPTH_MAX; depth++) {
        memset(value, '[', (size_t)depth);
        memset(value + depth, ']', (size_t)depth);
        value[2 * depth] = '\0';
        struct rig rig;
        struct hf_buffer out;
        struct hf_str what;
        begin(&rig, "{\"x\":{\"$\":\"/input\"}}", "eq", "1");
        rig.scope.input = hf_str_from(value);
        enum hf_render outcome = render(&rig, SIZE_MAX, &out, &what);
        assert_int_equal(outcome, depth < HF_JSON_DEPTH_MAX ? HF_RENDER_OK : HF_RENDER_TOO_LARGE);
        if (outcome == HF_RENDER_OK) {
            struct hf_str text = {(const char *)out.data, out.size_bytes};
            assert_int_equal(hf_json_validate(text, NULL), HF_ERR_OK);
        }
        hf_buffer_release(&out);
        end(&rig);
    }
}

/* The input has more members than a reader begins with room for, and escapes. */
static void test_every_allocation_fails_once(void **state)
{
    (void)state;
    struct rig rig;
    struct hf_buffer large;
    hf_buffer_init(&large);
    hf_buffer_text(&large, "{");
    for (int i = 0; i < 40; i++) {
        hf_buffer_format(&large, "\"m%d\":\"\\u0078\",", i);
    }
    hf_buffer_text(&large, "\"last\":[1]}");
    begin(&rig,
          "{\"a\":{\"$\":\"/input\"},\"b\":{\"$\":\"/input/last/0\"},\"c\":{\"$join\":[{\"$\":\"/"
          "saga/id\"}]}}",
          "eq", "\"\\u0078\"");
    rig.scope.input = (struct hf_str){(const char *)large.data, large.size_bytes};
    uint64_t n = 0;
    for (bool hit = true; hit;) {
        struct hf_buffer out;
        struct hf_str what;
        bool short_memory = false;
        hf_alloc_fault_set(++n);
        enum hf_render outcome = render(&rig, SIZE_MAX, &out, &what);
        hit = hf_alloc_fault_hit();
        assert_int_equal(outcome, hit ? HF_RENDER_NO_MEMORY : HF_RENDER_OK);
        hf_buffer_release(&out);
        hf_alloc_fault_set(n);
        bool holds_it =
            hf_saga_when_holds(&rig.definition.steps[2].when, &rig.scope, &short_memory);
        bool hit_too = hf_alloc_fault_hit();
        hf_alloc_fault_set(0);
        assert_int_equal(short_memory, hit_too);
        assert_false(holds_it);
        hit = hit || hit_too;
    }
    assert_true(n > 5);
    end(&rig);
    hf_buffer_release(&large);
}

/* ---- when ---- */

static bool holds(const char *value, const char *compare, const char *operand)
{
    struct rig rig;
    bool short_memory = false;
    begin(&rig, "{\"$\":\"/input\"}", compare, operand);
    rig.scope.input = hf_str_from(value);
    bool it = hf_saga_when_holds(&rig.definition.steps[2].when, &rig.scope, &short_memory);
    assert_false(short_memory);
    end(&rig);
    return it;
}

/* order: -1 value is less, 0 equal, 1 greater, 2 different without order. */
static void assert_order(const char *value, const char *operand, int order)
{
    const struct {
        const char *name;
        bool holds;
    } compares[] = {
        {"eq", order == 0},  {"ne", order != 0},
        {"gt", order == 1},  {"gte", order == 1 || order == 0},
        {"lt", order == -1}, {"lte", order == -1 || order == 0},
    };
    bool ordered =
        operand[0] == '"' || operand[0] == '-' || (operand[0] >= '0' && operand[0] <= '9');
    for (size_t i = 0; i < HF_ARRAY_COUNT(compares) && (ordered || i < 2); i++) {
        if (holds(value, compares[i].name, operand) != compares[i].holds) {
            fail_msg("%s %s %s", value, compares[i].name, operand);
        }
    }
}

static void test_numbers_are_compared_exactly(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        int order;
    } pairs[] = {
        {"1", "1", 0},
        {"1", "1.0", 0},
        {"1", "1e0", 0},
        {"10", "1e1", 0},
        {"10", "1E+1", 0},
        {"0.1", "1e-1", 0},
        {"0.001e3", "1", 0},
        {"100e-2", "1.000", 0},
        {"0", "-0", 0},
        {"0e999999999999999999999", "0.000", 0},
        {"2", "10", -1},
        {"-2", "-10", 1},
        {"-1", "1", -1},
        {"0", "1e-300", -1},
        {"0", "-1e-300", 1},
        {"9.99", "10", -1},
        {"0.3", "0.30000000000000004", -1},
        {"9007199254740993", "9007199254740992", 1}, /* a double can't tell them apart */
        {"123456789012345678901234567890.5", "123456789012345678901234567890.4", 1},
        {"1e400", "1e401", -1},
        {"-1e400", "-1e401", 1},
        {"1e-400", "1e-401", 1},
        {"1e999999999999999999", "1e999999999999999998", 1},
        {"1e0000000000000000000000001", "10", 0},
        {"12.5e1", "125", 0},
        {"1e1000000000000000000", "1e1000000000000000000", 2},
        {"5", "1e1000000000000000000", 2},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(pairs); i++) {
        assert_order(pairs[i].a, pairs[i].b, pairs[i].order);
        assert_order(pairs[i].b, pairs[i].a, pairs[i].order == 2 ? 2 : -pairs[i].order);
    }
}

/* All pairs of short decimals against scaled integers. */
static void test_numbers_against_integers(void **state)
{
    (void)state;
    static const char *const forms[] = {"-1.01", "-1",  "-0.99", "-1e-2", "0",    "0.009",
                                        "1e-2",  "0.1", "0.99",  "1",     "1.01", "101e-2"};
    static const int thousandths[] = {-1010, -1000, -990, -10,  0,    9,
                                      10,    100,   990,  1000, 1010, 1010};
    for (size_t i = 0; i < HF_ARRAY_COUNT(forms); i++) {
        for (size_t j = 0; j < HF_ARRAY_COUNT(forms); j++) {
            int a = thousandths[i];
            int b = thousandths[j];
            assert_order(forms[i], forms[j], a < b ? -1 : a > b);
        }
    }
}

static void test_other_values(void **state)
{
    (void)state;
    assert_order("\"a\"", "\"a\"", 0);
    assert_order("\"\\u0061\"", "\"a\"", 0);
    assert_order("\"a\"", "\"b\"", -1);
    assert_order("\"B\"", "\"a\"", -1);
    assert_order("\"ab\"", "\"a\"", 1);
    assert_order("\"10\"", "\"9\"", -1);
    assert_order("\"\xC3\xA9\"", "\"z\"", 1);
    assert_order("\"\"", "\"\"", 0);
    assert_order("\"1\"", "1", 2);
    assert_order("1", "\"1\"", 2);
    assert_order("null", "1", 2);
    assert_order("true", "\"true\"", 2);
    assert_order("[1]", "1", 2);
    assert_order("null", "null", 0);
    assert_order("true", "true", 0);
    assert_order("true", "false", 2);
    assert_order("{\"a\":1,\"b\":[2]}", "{\"b\":[2],\"a\":1}", 0);
    assert_order("[1,2]", "[2,1]", 2);
    assert_order("[]", "{}", 2);
    assert_order(" [ 1 ] ", "[1]", 0);
}

static void test_conditions_on_what_is_not_there(void **state)
{
    (void)state;
    struct rig rig;
    bool short_memory = false;
    begin(&rig, "{\"$\":\"/input/none\"}", "eq", "null");
    assert_true(hf_saga_when_holds(&rig.definition.steps[2].when, &rig.scope, &short_memory));
    assert_true(hf_saga_when_holds(&rig.definition.steps[0].when, &rig.scope, &short_memory));
    end(&rig);
    begin(&rig, "{\"$join\":[\"a\",{\"$\":\"/input/none\"}]}", "ne", "\"a\"");
    assert_false(hf_saga_when_holds(&rig.definition.steps[2].when, &rig.scope, &short_memory));
    end(&rig);
    begin(&rig, "{\"$join\":[\"a\",{\"$\":\"/input/amount\"}]}", "eq", "\"a1250\"");
    assert_true(hf_saga_when_holds(&rig.definition.steps[2].when, &rig.scope, &short_memory));
    end(&rig);
    assert_false(short_memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_what_is_not_there_is_null),
        cmocka_unit_test(test_joins),
        cmocka_unit_test(test_a_join_without_its_part_names_it),
        cmocka_unit_test(test_sizes_are_bounded),
        cmocka_unit_test(test_depths_are_bounded),
        cmocka_unit_test(test_every_allocation_fails_once),
        cmocka_unit_test(test_numbers_are_compared_exactly),
        cmocka_unit_test(test_numbers_against_integers),
        cmocka_unit_test(test_other_values),
        cmocka_unit_test(test_conditions_on_what_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
