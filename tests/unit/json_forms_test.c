/* Unit tests of what is made of JSON: strings out, the canonical form, merge patch. */

#include <jansson.h>

#include "base/alloc.h"
#include "base/json.h"

#include "unit/json_random.h"
#include "unit/support.h"

#define SEED 20261123u

static struct hf_str content(const struct hf_buffer *buffer)
{
    return (struct hf_str){(const char *)buffer->data, buffer->size_bytes};
}

static void expect(const struct hf_buffer *buffer, const char *expected, const char *about)
{
    if (!hf_str_equal(content(buffer), hf_str_from(expected))) {
        print_error("%s: got %.*s, expected %s\n", about, (int)buffer->size_bytes,
                    (const char *)buffer->data, expected);
        fail();
    }
}

static void strings_are_written_escaped(void **state)
{
    (void)state;
    static const char with_nul[] = "\0";
    const struct {
        struct hf_str text;
        const char *written;
    } cases[] = {
        {HF_STR(""), "\"\""},
        {HF_STR_NONE, "\"\""},
        {HF_STR("plain /'\x7F"), "\"plain /'\x7F\""},
        {HF_STR("\"\\\b\t\n\f\r"), "\"\\\"\\\\\\b\\t\\n\\f\\r\""},
        {HF_STR(with_nul), "\"\\u0000\""},
        {HF_STR("\x01\x0B\x1F"), "\"\\u0001\\u000b\\u001f\""},
        {HF_STR("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"),
         "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""},
        {HF_STR("a\xFF\xC3z\xED\xA0\x80"),
         "\"a\xEF\xBF\xBD\xEF\xBF\xBDz\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {HF_STR("cut \xE2\x82"), "\"cut \xEF\xBF\xBD\xEF\xBF\xBD\""},
        {HF_STR("long enough for the wide scan \" and \n on and on and on"),
         "\"long enough for the wide scan \\\" and \\n on and on and on\""},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(cases); i++) {
        struct hf_buffer out;
        hf_buffer_init(&out);
        hf_json_write_string(&out, cases[i].text);
        expect(&out, cases[i].written, "string");
        assert_int_equal(hf_json_validate(content(&out), NULL), HF_ERR_OK);
        hf_buffer_release(&out);
    }
}

/* What is written is read back the same, for random bytes with every value. */
static void written_strings_are_read_back(void **state)
{
    (void)state;
    struct random random = {SEED};
    for (int round = 0; round < 5000; round++) {
        char text[48];
        size_t len = random_below(&random, sizeof(text));
        for (size_t i = 0; i < len; i++) {
            text[i] = (char)random_below(&random, 128);
        }
        struct hf_buffer out;
        struct hf_arena arena;
        hf_buffer_init(&out);
        hf_arena_init(&arena);
        hf_json_write_string(&out, (struct hf_str){text, len});
        struct hf_json json;
        hf_json_init(&json, content(&out), &arena);
        assert_int_equal(hf_json_next(&json), HF_JSON_STRING);
        assert_true(hf_str_equal(hf_json_string(&json, &arena), (struct hf_str){text, len}));
        assert_int_equal(hf_json_next(&json), HF_JSON_END);
        hf_arena_release(&arena);
        hf_buffer_release(&out);
    }
}

/* FROZEN: these answers must never change, for fingerprints are made of them. */
static void canonical_form_is_frozen(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {" null ", "null"},
        {"true", "true"},
        {" -1.50e+10 ", "-1.50e+10"},
        {"\"a\\/\\u0041\\u00e9\\ud83d\\ude00\"", "\"a/A\xC3\xA9\xF0\x9F\x98\x80\""},
        {"\"\\u0008\\u0009\\u000A\\u000c\\u000D\\u0022\\u005c\"", "\"\\b\\t\\n\\f\\r\\\"\\\\\""},
        {"\"\\u0000\\u001F\\u007f\\b\\f\"", "\"\\u0000\\u001f\x7F\\b\\f\""},
        {"[ ]", "[]"},
        {"{ }", "{}"},
        {"[ 1 , [ 2 ] , { } , \"x\" ]", "[1,[2],{},\"x\"]"},
        {"[3,1,2]", "[3,1,2]"},
        {"{\"b\":1,\"a\":2}", "{\"a\":2,\"b\":1}"},
        {"{ \"b\" : { \"d\" : [ {\"z\":1,\"y\":2} , 1 ] , \"c\" : 0 } , \"a\" : [ ] }",
         "{\"a\":[],\"b\":{\"c\":0,\"d\":[{\"y\":2,\"z\":1},1]}}"},
        {"{\"aa\":1,\"a\":2,\"\":3,\"a\\u0000\":4,\"B\":5}",
         "{\"\":3,\"B\":5,\"a\":2,\"a\\u0000\":4,\"aa\":1}"},
        {"{\"prefixed_b\":1,\"prefixed_a\":2,\"prefixed_\":3,\"prefixe\":4}",
         "{\"prefixe\":4,\"prefixed_\":3,\"prefixed_a\":2,\"prefixed_b\":1}"},
        /* By bytes of UTF-8, not by UTF-16: U+FFFF is before U+10000. */
        {"{\"\\ud800\\udc00\":1,\"\\uffff\":2,\"z\":3,\"\\u0061\":4}",
         "{\"a\":4,\"z\":3,\"\xEF\xBF\xBF\":2,\"\xF0\x90\x80\x80\":1}"},
        {"{\"1\":1.0,\"0\":1e0,\"2\":-0}", "{\"0\":1e0,\"1\":1.0,\"2\":-0}"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(cases); i++) {
        struct hf_buffer out;
        hf_buffer_init(&out);
        hf_buffer_text(&out, "before");
        assert_true(hf_json_canonical(hf_str_from(cases[i][0]), &out));
        memmove(out.data, out.data + 6, out.size_bytes - 6);
        out.size_bytes -= 6;
        expect(&out, cases[i][1], cases[i][0]);
        hf_buffer_release(&out);
    }
}

/* Writes json again, meaning the same: members shuffled, white space and escapes by chance. */
static void write_differently(struct random *random, json_t *value, struct hf_buffer *out)
{
    const struct random_style spaces = {.spaces = true};
    random_spaces(random, &spaces, out);
    if (json_is_object(value)) {
        const char *names[8] = {NULL};
        json_t *values[8] = {NULL};
        size_t count = 0;
        const char *name;
        json_t *member;
        json_object_foreach(value, name, member)
        {
            assert_true(count < HF_ARRAY_COUNT(names));
            size_t place = random_below(random, count + 1);
            names[count] = names[place];
            values[count] = values[place];
            names[place] = name;
            values[place] = member;
            count++;
        }
        hf_buffer_u8(out, '{');
        for (size_t i = 0; i < count; i++) {
            if (i > 0) {
                hf_buffer_u8(out, ',');
            }
            random_spaces(random, &spaces, out);
            hf_buffer_u8(out, '"');
            for (const char *c = names[i]; *c != '\0'; c++) { /* letters, digits, underscores */
                if (random_below(random, 5) == 0) {
                    hf_buffer_format(out, "\\u%04X", (unsigned)*c);
                } else {
                    hf_buffer_u8(out, (uint8_t)*c);
                }
            }
            hf_buffer_u8(out, '"');
            random_spaces(random, &spaces, out);
            hf_buffer_u8(out, ':');
            write_differently(random, values[i], out);
        }
        random_spaces(random, &spaces, out);
        hf_buffer_u8(out, '}');
    } else if (json_is_array(value)) {
        hf_buffer_u8(out, '[');
        random_spaces(random, &spaces, out);
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (i > 0) {
                hf_buffer_u8(out, ',');
            }
            write_differently(random, json_array_get(value, i), out);
        }
        hf_buffer_u8(out, ']');
    } else {
        size_t flags = JSON_ENCODE_ANY;
        flags |= random_below(random, 2) == 0 ? JSON_ENSURE_ASCII : 0;
        flags |= random_below(random, 2) == 0 ? JSON_ESCAPE_SLASH : 0;
        char *text = json_dumps(value, flags);
        assert_non_null(text);
        hf_buffer_text(out, text);
        free(text);
    }
    random_spaces(random, &spaces, out);
}

static json_t *parse(struct hf_str text)
{
    json_error_t error;
    json_t *value = json_loadb(text.ptr, text.len,
                               JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (value == NULL) {
        print_error("jansson refuses (%s): %.*s\n", error.text, (int)text.len, text.ptr);
        fail();
    }
    return value;
}

static void canonical_form_does_not_depend_on_the_writing(void **state)
{
    (void)state;
    struct random random = {SEED + 1};
    const struct random_style style = {.spaces = true, .names_count = 25, .unique_names = true};
    for (int round = 0; round < 5000; round++) {
        struct hf_buffer text;
        struct hf_buffer other;
        struct hf_buffer first;
        struct hf_buffer again;
        hf_buffer_init(&text);
        hf_buffer_init(&other);
        hf_buffer_init(&first);
        hf_buffer_init(&again);
        random_value(&random, &style, &text, 5);
        json_t *value = parse(content(&text));
        write_differently(&random, value, &other);
        assert_true(hf_json_canonical(content(&text), &first));
        assert_true(first.size_bytes <= text.size_bytes);
        json_t *canonical_value = parse(content(&first));
        assert_true(json_equal(value, canonical_value));

        assert_true(hf_json_canonical(content(&first), &again));
        assert_true(hf_str_equal(content(&first), content(&again)));
        hf_buffer_clear(&again);
        assert_int_equal(hf_json_validate(content(&other), NULL), HF_ERR_OK);
        assert_true(hf_json_canonical(content(&other), &again));
        assert_true(hf_str_equal(content(&first), content(&again)));

        json_decref(value);
        json_decref(canonical_value);
        hf_buffer_release(&text);
        hf_buffer_release(&other);
        hf_buffer_release(&first);
        hf_buffer_release(&again);
    }
}

static void patches_of_rfc_7396(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        /* Appendix A of the RFC. */
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"a\":\"foo\"}", "null", "null"},
        {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
        /* The example of section 3. */
        {"{\"title\":\"Goodbye!\",\"author\":{\"givenName\":\"John\",\"familyName\":\"Doe\"},"
         "\"tags\":[\"example\",\"sample\"],\"content\":\"This will be unchanged\"}",
         "{\"title\":\"Hello!\",\"phoneNumber\":\"+01-123-456-7890\",\"author\":{\"familyName\":"
         "null},"
         "\"tags\":[\"example\"]}",
         "{\"title\":\"Hello!\",\"author\":{\"givenName\":\"John\"},\"tags\":[\"example\"],"
         "\"content\":\"This will be unchanged\",\"phoneNumber\":\"+01-123-456-7890\"}"},
        /* Nothing there before. */
        {NULL, "{\"a\":1,\"b\":null,\"c\":{\"d\":null,\"e\":[null]}}",
         "{\"a\":1,\"c\":{\"e\":[null]}}"},
        {NULL, "{}", "{}"},
        {NULL, " [1, 2] ", "[1, 2]"},
        {"1", "{}", "{}"},
        {"1", "{\"a\":{}}", "{\"a\":{}}"},
        /* Untouched bytes, order, names as written, white space. */
        {"{ \"x\" : [ 1 , 2.0 ] , \"a\" : 1 , \"y\" : { \"z\" : \"\\u0061\" } }", "{\"a\":2}",
         "{\"x\":[ 1 , 2.0 ],\"a\":2,\"y\":{ \"z\" : \"\\u0061\" }}"},
        {" { \"a\" : 1 } ", " { } ", "{ \"a\" : 1 }"},
        {"{\"a\":{ \"b\" : 1 }}", "{\"a\":{}}", "{\"a\":{ \"b\" : 1 }}"},
        {"{\"a\":[ 1 ]}", "{\"a\":{}}", "{\"a\":{}}"},
        {"{\"a\":[ 1 ]}", "{\"a\":{ \"b\" : null }}", "{\"a\":{}}"},
        {"{\"\\u0061\":1,\"b\":2}", "{\"a\":{ \"x\": [ 1 ]},\"\\u0062\":null}",
         "{\"\\u0061\":{\"x\":[ 1 ]}}"},
        {"{\"b\":1,\"a\":2}", "{\"d\":4,\"a\":{},\"c\":3,\"b\":5}",
         "{\"b\":5,\"a\":{},\"d\":4,\"c\":3}"},
        {"{\"a\":{\"b\":{\"c\":1,\"d\":2},\"e\":3},\"f\":4}",
         "{\"a\":{\"b\":{\"c\":null,\"g\":5}},\"h\":{\"i\":{\"j\":null,\"k\":1}}}",
         "{\"a\":{\"b\":{\"d\":2,\"g\":5},\"e\":3},\"f\":4,\"h\":{\"i\":{\"k\":1}}}"},
        {"{\"a\":1}", "{\"a\":null,\"b\":null}", "{}"},
        {"{\"a\":{\"a\":{\"a\":1}}}", "{\"a\":{\"a\":{\"a\":null}}}", "{\"a\":{\"a\":{}}}"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(cases); i++) {
        struct hf_buffer out;
        hf_buffer_init(&out);
        assert_true(hf_json_merge_patch(hf_str_from(cases[i][0]), hf_str_from(cases[i][1]), &out));
        expect(&out, cases[i][2], cases[i][1]);
        hf_buffer_release(&out);
    }
}

/* RFC 7396, section 2, word for word; jansson keeps the order of insertion. Takes target over. */
static json_t *naive_merge(json_t *target, json_t *patch)
{
    if (!json_is_object(patch)) {
        json_decref(target);
        return json_deep_copy(patch);
    }
    if (!json_is_object(target)) {
        json_decref(target);
        target = json_object();
    }
    const char *name;
    json_t *value;
    json_object_foreach(patch, name, value)
    {
        if (json_is_null(value)) {
            (void)json_object_del(target, name);
        } else {
            json_t *before = json_object_get(target, name);
            assert_int_equal(
                json_object_set_new(target, name, naive_merge(json_incref(before), value)), 0);
        }
    }
    return target;
}

static void random_patches_are_like_the_naive_ones(void **state)
{
    (void)state;
    struct random random = {SEED + 2};
    size_t both_objects = 0;
    for (int round = 0; round < 10000; round++) {
        /* Few names, so that target and patch often meet. */
        const struct random_style style = {
            .spaces = round % 2 == 0, .names_count = 6, .unique_names = true};
        struct hf_buffer target;
        struct hf_buffer patch;
        struct hf_buffer out;
        hf_buffer_init(&target);
        hf_buffer_init(&patch);
        hf_buffer_init(&out);
        random_value(&random, &style, &target, 5);
        random_value(&random, &style, &patch, 5);
        bool absent = random_below(&random, 10) == 0;
        json_t *target_value = absent ? NULL : parse(content(&target));
        json_t *patch_value = parse(content(&patch));
        both_objects += json_is_object(target_value) && json_is_object(patch_value) ? 1 : 0;

        assert_true(
            hf_json_merge_patch(absent ? HF_STR_NONE : content(&target), content(&patch), &out));
        assert_int_equal(hf_json_validate(content(&out), NULL), HF_ERR_OK);
        assert_true(out.size_bytes <= patch.size_bytes + (absent ? 0 : target.size_bytes));
        json_t *expected = naive_merge(target_value, patch_value);
        json_t *got = parse(content(&out));
        char *expected_text = json_dumps(expected, JSON_ENCODE_ANY | JSON_COMPACT);
        char *got_text = json_dumps(got, JSON_ENCODE_ANY | JSON_COMPACT);
        assert_string_equal(got_text, expected_text);
        free(expected_text);
        free(got_text);
        json_decref(expected);
        json_decref(got);
        json_decref(patch_value);
        hf_buffer_release(&target);
        hf_buffer_release(&patch);
        hf_buffer_release(&out);
    }
    assert_true(both_objects > 500);
}

static void deep_values_are_merged(void **state)
{
    (void)state;
    struct hf_buffer text;
    struct hf_buffer out;
    hf_buffer_init(&text);
    hf_buffer_init(&out);
    for (int i = 0; i < HF_JSON_DEPTH_MAX; i++) {
        hf_buffer_text(&text, "{\"a\":");
    }
    hf_buffer_text(&text, "1");
    for (int i = 0; i < HF_JSON_DEPTH_MAX; i++) {
        hf_buffer_text(&text, "}");
    }
    assert_true(hf_json_merge_patch(content(&text), content(&text), &out));
    assert_true(hf_str_equal(content(&out), content(&text)));
    hf_buffer_clear(&out);
    assert_true(hf_json_merge_patch(HF_STR_NONE, content(&text), &out));
    assert_true(hf_str_equal(content(&out), content(&text)));
    hf_buffer_clear(&out);
    assert_true(hf_json_canonical(content(&text), &out));
    assert_true(hf_str_equal(content(&out), content(&text)));
    hf_buffer_release(&text);
    hf_buffer_release(&out);
}

/* Members from first on, each step further, as far as count; backwards if step is 0. */
static void members(struct hf_buffer *out, size_t count, size_t step)
{
    hf_buffer_u8(out, '{');
    for (size_t i = 0; i < count; i++) {
        size_t number = step == 0 ? count - 1 - i : (i * step) % count;
        hf_buffer_format(out, "%s\"member_%06zu\":%zu", i == 0 ? "" : ",", number, number);
    }
    hf_buffer_u8(out, '}');
}

static void many_members_take_no_square_of_time(void **state)
{
    (void)state;
    const size_t count =
        400000; /* a square would be 80,000,000,000 comparisons, four times: the test would not end in time */
    struct hf_buffer forward;
    struct hf_buffer backward;
    struct hf_buffer mixed;
    struct hf_buffer out;
    hf_buffer_init(&forward);
    hf_buffer_init(&backward);
    hf_buffer_init(&mixed);
    hf_buffer_init(&out);
    members(&forward, count, 1);
    members(&backward, count, 0);
    members(&mixed, count, 7919); /* a prime that doesn't divide count */
    assert_true(hf_json_canonical(content(&backward), &out));
    assert_true(hf_str_equal(content(&out), content(&forward)));
    hf_buffer_clear(&out);
    assert_true(hf_json_canonical(content(&mixed), &out));
    assert_true(hf_str_equal(content(&out), content(&forward)));
    hf_buffer_clear(&out);
    assert_true(hf_json_merge_patch(content(&mixed), content(&backward), &out));
    assert_true(hf_str_equal(content(&out), content(&mixed)));
    hf_buffer_clear(&out);
    assert_true(hf_json_merge_patch(HF_STR("{}"), content(&backward), &out));
    assert_true(hf_str_equal(content(&out), content(&backward)));
    hf_buffer_release(&forward);
    hf_buffer_release(&backward);
    hf_buffer_release(&mixed);
    hf_buffer_release(&out);
}

static void short_memory_is_told(void **state)
{
    (void)state;
    struct hf_buffer target;
    struct hf_buffer patch;
    hf_buffer_init(&target);
    hf_buffer_init(&patch);
    hf_buffer_text(&target, "{\"x\":");
    members(&target, 300, 7);
    hf_buffer_text(&target, "}");
    hf_buffer_text(&patch, "{\"y\":1,\"x\":");
    members(&patch, 200, 0);
    hf_buffer_text(&patch, "}");
    for (int what = 0; what < 3; what++) {
        uint64_t n = 1;
        for (bool hit = true; hit; n++) {
            struct hf_buffer out;
            hf_buffer_init(&out);
            hf_alloc_fault_set(n);
            bool whole = true;
            if (what == 0) {
                whole = hf_json_canonical(content(&target), &out);
            } else if (what == 1) {
                whole = hf_json_merge_patch(content(&target), content(&patch), &out);
            } else {
                hf_json_write_string(&out, content(&target));
                whole = !out.failed;
            }
            hit = hf_alloc_fault_hit();
            hf_alloc_fault_set(0);
            assert_int_equal(whole, !hit);
            hf_buffer_release(&out);
        }
        assert_true(n > 3);
    }
    hf_buffer_release(&target);
    hf_buffer_release(&patch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_written_escaped),
        cmocka_unit_test(written_strings_are_read_back),
        cmocka_unit_test(canonical_form_is_frozen),
        cmocka_unit_test(canonical_form_does_not_depend_on_the_writing),
        cmocka_unit_test(patches_of_rfc_7396),
        cmocka_unit_test(random_patches_are_like_the_naive_ones),
        cmocka_unit_test(deep_values_are_merged),
        cmocka_unit_test(many_members_take_no_square_of_time),
        cmocka_unit_test(short_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
