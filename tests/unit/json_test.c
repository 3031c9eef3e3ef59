/* Unit tests of the JSON reader: tables, UTF-8, many members, prefixes, short memory. */

#include "base/alloc.h"
#include "base/check.h"
#include "base/json.h"

#include "unit/json_cases.h"
#include "unit/json_random.h"
#include "unit/support.h"

#define SEED 20261122u

static void valid_texts_are_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < HF_ARRAY_COUNT(valid_cases); i++) {
        struct hf_error error = {0};
        if (validate_copy(hf_str_from(valid_cases[i]), &error) != HF_ERR_OK) {
            print_error("%s: %s\n", valid_cases[i], error.text);
            fail();
        }
    }
}

static void bad_texts_are_refused_with_place_and_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad_cases); i++) {
        const struct bad_case *bad = &bad_cases[i];
        struct hf_error error = {0};
        enum hf_err code = validate_copy(hf_str_from(bad->text), &error);
        char expected[64];
        snprintf(expected, sizeof(expected), "JSON: byte %zu: ", bad->offset);
        if (code != HF_ERR_INVALID_REQUEST || error.code != code ||
            strncmp(error.text, expected, strlen(expected)) != 0 ||
            strstr(error.text, bad->what) == NULL) {
            print_error("%s: got \"%s\", expected \"%s%s\"\n", bad->text, error.text, expected,
                        bad->what);
            fail();
        }
        assert_int_equal(hf_json_validate(hf_str_from(bad->text), NULL), HF_ERR_INVALID_REQUEST);
    }
}

static void bytes_of_zero_are_refused(void **state)
{
    (void)state;
    static const char outside[] = "[1\0]";
    static const char inside[] = "\"a\0b\"";
    static const char behind[] = "1\0";
    static const char escaped[] = "\"\\\0\"";
    assert_int_equal(validate_copy(HF_STR(outside), NULL), HF_ERR_INVALID_REQUEST);
    assert_int_equal(validate_copy(HF_STR(inside), NULL), HF_ERR_INVALID_REQUEST);
    assert_int_equal(validate_copy(HF_STR(behind), NULL), HF_ERR_INVALID_REQUEST);
    assert_int_equal(validate_copy(HF_STR(escaped), NULL), HF_ERR_INVALID_REQUEST);
    assert_int_equal(hf_json_validate(HF_STR_NONE, NULL), HF_ERR_INVALID_REQUEST);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    for (int object = 0; object < 2; object++) {
        for (size_t depth = HF_JSON_DEPTH_MAX - 1; depth <= HF_JSON_DEPTH_MAX + 1; depth++) {
            struct hf_buffer text;
            hf_buffer_init(&text);
            for (size_t i = 0; i < depth; i++) {
                hf_buffer_text(&text, object != 0 ? "{\"a\":" : "[");
            }
            hf_buffer_text(&text, "1");
            for (size_t i = 0; i < depth; i++) {
                hf_buffer_text(&text, object != 0 ? "}" : "]");
            }
            struct hf_error error = {0};
            enum hf_err code =
                hf_json_validate((struct hf_str){(const char *)text.data, text.size_bytes}, &error);
            if (depth <= HF_JSON_DEPTH_MAX) {
                assert_int_equal(code, HF_ERR_OK);
            } else {
                assert_int_equal(code, HF_ERR_INVALID_REQUEST);
                assert_non_null(strstr(error.text, "too many nested"));
            }
            hf_buffer_release(&text);
        }
    }
}

/* Each byte value at each place of a string, so that every lane of the wide scan meets it. */
static void every_byte_at_every_place(void **state)
{
    (void)state;
    char text[72];
    for (size_t place = 1; place < sizeof(text) - 1; place++) {
        for (unsigned value = 0; value < 256; value++) {
            memset(text, 'a', sizeof(text));
            text[0] = '"';
            text[sizeof(text) - 1] = '"';
            text[place] = (char)value;
            bool plain = value >= 0x20 && value < 0x80 && value != '"' && value != '\\';
            struct hf_error error = {0};
            enum hf_err code = validate_copy((struct hf_str){text, sizeof(text)}, &error);
            assert_int_equal(code, plain ? HF_ERR_OK : HF_ERR_INVALID_REQUEST);
            if (!plain && value != '"' && !(value == '\\' && place == sizeof(text) - 2)) {
                char expected[64];
                snprintf(expected, sizeof(expected), "JSON: byte %zu: ", place);
                assert_int_equal(strncmp(error.text, expected, strlen(expected)), 0);
            }
        }
    }
}

/* Is this valid UTF-8 without characters that a string may not hold? Written from the definition:
 * decode, then encode again and compare. */
static bool naive_text(const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    while (at < size) {
        uint8_t first = bytes[at];
        size_t count = first < 0x80         ? 1
                       : (first >> 5) == 6  ? 2
                       : (first >> 4) == 14 ? 3
                       : (first >> 3) == 30 ? 4
                                            : 0;
        if (count == 0 || size - at < count) {
            return false;
        }
        uint32_t code = count == 1 ? first : first & (0x7Fu >> count);
        for (size_t i = 1; i < count; i++) {
            if (bytes[at + i] >> 6 != 2) {
                return false;
            }
            code = code << 6 | (bytes[at + i] & 0x3Fu);
        }
        size_t shortest = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        if (shortest != count || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000) ||
            code < 0x20 || code == '"' || code == '\\') {
            return false;
        }
        at += count;
    }
    return true;
}

static void utf8_is_checked_like_by_the_definition(void **state)
{
    (void)state;
    static const uint8_t edges[] = {0x1F, 0x20, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0,
                                    0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED,
                                    0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};
    const size_t count = HF_ARRAY_COUNT(edges);
    uint8_t text[6] = {'"', 0, 0, 0, 0, '"'};
    size_t accepted = 0;
    for (size_t i = 0; i < count * count * count * count; i++) {
        text[1] = edges[i % count];
        text[2] = edges[i / count % count];
        text[3] = edges[i / count / count % count];
        text[4] = edges[i / count / count / count];
        bool expected = naive_text(text + 1, 4);
        bool got = hf_json_validate((struct hf_str){(const char *)text, 6}, NULL) == HF_ERR_OK;
        if (got != expected) {
            print_error("%02x %02x %02x %02x\n", text[1], text[2], text[3], text[4]);
            fail();
        }
        accepted += got ? 1 : 0;
    }
    assert_true(accepted > 1000);
}

static void tokens_point_into_the_text(void **state)
{
    (void)state;
    struct hf_str text =
        HF_STR(" {\"n\\u0061me\" : [ -1.50e+2 ,\"x\\n\", true,null,\"yz\"],\"e\":{}}");
    static const struct {
        const char *raw;
        enum hf_json_token token;
        bool escaped;
    } expected[] = {
        {"{", HF_JSON_OBJECT_BEGIN, false}, {"n\\u0061me", HF_JSON_NAME, true},
        {"[", HF_JSON_ARRAY_BEGIN, false},  {"-1.50e+2", HF_JSON_NUMBER, false},
        {"x\\n", HF_JSON_STRING, true},     {"true", HF_JSON_TRUE, false},
        {"null", HF_JSON_NULL, false},      {"yz", HF_JSON_STRING, false},
        {"]", HF_JSON_ARRAY_END, false},    {"e", HF_JSON_NAME, false},
        {"{", HF_JSON_OBJECT_BEGIN, false}, {"}", HF_JSON_OBJECT_END, false},
        {"}", HF_JSON_OBJECT_END, false},
    };
    struct hf_arena arena;
    hf_arena_init(&arena);
    struct hf_json json;
    hf_json_init(&json, text, &arena);
    for (size_t i = 0; i < HF_ARRAY_COUNT(expected); i++) {
        assert_int_equal(hf_json_next(&json), expected[i].token);
        assert_true(hf_str_equal(json.raw, hf_str_from(expected[i].raw)));
        assert_true(json.raw.ptr >= text.ptr && json.raw.ptr < text.ptr + text.len);
        if (json.token == HF_JSON_NAME || json.token == HF_JSON_STRING) {
            assert_int_equal(json.escaped, expected[i].escaped);
            assert_ptr_equal(json.start, json.raw.ptr - 1);
        }
    }
    assert_int_equal(hf_json_next(&json), HF_JSON_END);
    assert_int_equal(hf_json_next(&json), HF_JSON_END);
    assert_int_equal(hf_json_error(&json, NULL), HF_ERR_OK);
    hf_arena_release(&arena);
}

static void strings_are_unescaped(void **state)
{
    (void)state;
    static const char with_nul[] = "a\0b";
    const struct {
        const char *text;
        struct hf_str value;
    } cases[] = {
        {"\"\"", HF_STR("")},
        {"\"plain\"", HF_STR("plain")},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", HF_STR("\"\\/\b\f\n\r\t")},
        {"\"a\\u0000b\"", HF_STR(with_nul)},
        {"\"\\u007f\\u0080\\u07ff\\u0800\\uffff\"",
         HF_STR("\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF")},
        {"\"\\uD7FF\\ue000\"", HF_STR("\xED\x9F\xBF\xEE\x80\x80")},
        {"\"\\ud800\\udc00x\\udbff\\udfff\"", HF_STR("\xF0\x90\x80\x80x\xF4\x8F\xBF\xBF")},
        {"\"\xC3\xA9 \\u00E9\"", HF_STR("\xC3\xA9 \xC3\xA9")},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(cases); i++) {
        struct hf_arena arena;
        hf_arena_init(&arena);
        struct hf_json json;
        hf_json_init(&json, hf_str_from(cases[i].text), &arena);
        assert_int_equal(hf_json_next(&json), HF_JSON_STRING);
        struct hf_str value = hf_json_string(&json, &arena);
        assert_true(hf_str_equal(value, cases[i].value));
        assert_true(hf_json_is(&json, cases[i].value));
        assert_false(hf_json_is(&json, HF_STR("something else")));
        char longer[64];
        memcpy(longer, value.ptr, value.len);
        longer[value.len] = 'x';
        assert_false(hf_json_is(&json, (struct hf_str){longer, value.len + 1}));
        if (value.len > 0) {
            assert_false(hf_json_is(&json, (struct hf_str){longer, value.len - 1}));
        }
        if (!json.escaped) {
            assert_ptr_equal(value.ptr, json.raw.ptr);
            assert_null(arena.first);
        }
        hf_arena_release(&arena);
    }
}

static void integers_are_strict(void **state)
{
    (void)state;
    static const struct {
        const char *lexeme;
        bool ok;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"7", true, 7},
        {"1234567890123456", true, 1234567890123456},
        {"9007199254740991", true, 9007199254740991},
        {"9007199254740992", false, 0},
        {"9999999999999999", false, 0},
        {"12345678901234567", false, 0},
        {"18446744073709551617", false, 0},
        {"1.0", false, 0},
        {"1e3", false, 0},
        {"1E3", false, 0},
        {"00", false, 0},
        {"01", false, 0},
        {"", false, 0},
        {"+1", false, 0},
        {"-", false, 0},
        {"-0", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"--1", false, 0},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(cases); i++) {
        uint64_t value = 42;
        int64_t with_sign = 42;
        assert_int_equal(hf_json_integer(hf_str_from(cases[i].lexeme), &value), cases[i].ok);
        assert_true(value == (cases[i].ok ? (uint64_t)cases[i].value : 42));
        assert_int_equal(hf_json_integer_signed(hf_str_from(cases[i].lexeme), &with_sign),
                         cases[i].ok);
        assert_true(with_sign == (cases[i].ok ? cases[i].value : 42));
    }
    uint64_t value = 42;
    int64_t with_sign = 42;
    assert_false(hf_json_integer(HF_STR("-5"), &value));
    assert_true(hf_json_integer_signed(HF_STR("-5"), &with_sign) && with_sign == -5);
    assert_true(hf_json_integer_signed(HF_STR("-9007199254740991"), &with_sign) &&
                with_sign == -9007199254740991);
    assert_false(hf_json_integer_signed(HF_STR("-9007199254740992"), &with_sign));
}

static void skip_gives_the_bytes_as_they_are(void **state)
{
    (void)state;
    struct hf_str text =
        HF_STR("{\"a\" : { \"x\" : [ 1 , {} ] } ,\"b\": \"\\u0061\" , \"c\":[[ ], 1.0 ,\"s\"]}");
    struct hf_arena arena;
    hf_arena_init(&arena);
    struct hf_json json;
    struct hf_str raw;
    hf_json_init(&json, text, &arena);
    assert_int_equal(hf_json_next(&json), HF_JSON_OBJECT_BEGIN);
    assert_int_equal(hf_json_next(&json), HF_JSON_NAME);
    assert_true(hf_json_skip(&json, &raw));
    assert_true(hf_str_equal(raw, HF_STR("{ \"x\" : [ 1 , {} ] }")));
    assert_int_equal(hf_json_next(&json), HF_JSON_NAME);
    assert_true(hf_json_skip(&json, &raw));
    assert_true(hf_str_equal(raw, HF_STR("\"\\u0061\"")));
    assert_int_equal(hf_json_next(&json), HF_JSON_NAME);
    assert_int_equal(hf_json_next(&json), HF_JSON_ARRAY_BEGIN);
    static const char *const items[] = {"[ ]", "1.0", "\"s\""};
    for (size_t i = 0; i < HF_ARRAY_COUNT(items); i++) {
        assert_int_not_equal(hf_json_next(&json), HF_JSON_ARRAY_END);
        assert_true(hf_json_skip(&json, &raw));
        assert_true(hf_str_equal(raw, hf_str_from(items[i])));
    }
    assert_int_equal(hf_json_next(&json), HF_JSON_ARRAY_END);
    assert_int_equal(hf_json_next(&json), HF_JSON_OBJECT_END);
    assert_int_equal(hf_json_next(&json), HF_JSON_END);

    hf_json_init(&json, HF_STR("  [1, 2]  "), &arena);
    assert_true(hf_json_skip(&json, &raw));
    assert_true(hf_str_equal(raw, HF_STR("[1, 2]")));
    assert_int_equal(hf_json_next(&json), HF_JSON_END);

    hf_json_init(&json, HF_STR("{\"a\":[1, 2}"), &arena);
    assert_int_equal(hf_json_next(&json), HF_JSON_OBJECT_BEGIN);
    assert_int_equal(hf_json_next(&json), HF_JSON_NAME);
    assert_false(hf_json_skip(&json, &raw));
    assert_false(hf_str_present(raw));
    assert_int_equal(hf_json_next(&json), HF_JSON_ERROR);
    assert_false(hf_json_skip(&json, NULL));
    hf_arena_release(&arena);
}

static void a_caller_can_refuse(void **state)
{
    (void)state;
    struct hf_arena arena;
    hf_arena_init(&arena);
    struct hf_json json;
    struct hf_error error = {0};
    hf_json_init(&json, HF_STR("{\"a\":\"x\"}"), &arena);
    (void)hf_json_next(&json);
    (void)hf_json_next(&json);
    (void)hf_json_next(&json);
    hf_json_refuse(&json, "a must be a number");
    hf_json_refuse(&json, "the first refusal stays");
    assert_int_equal(hf_json_next(&json), HF_JSON_ERROR);
    assert_int_equal(hf_json_error(&json, &error), HF_ERR_INVALID_REQUEST);
    assert_string_equal(error.text, "JSON: byte 5: a must be a number");
    hf_arena_release(&arena);
}

/* An object of count members, its end left out; kind tells how they are named and ordered. */
static void many_members(struct hf_buffer *out, size_t count, int kind)
{
    static const char *const prefixes[] = {"m", "common_prefix_", "", "\\u0063ommon_prefix_"};
    hf_buffer_u8(out, '{');
    for (size_t i = 0; i < count; i++) {
        size_t number = kind == 0 ? i : kind == 1 ? count - i : (i * 7919) % count;
        hf_buffer_format(out, "%s\"%s%zu\":1", i == 0 ? "" : ",", prefixes[kind], number);
    }
}

static void many_members_take_no_square_of_time(void **state)
{
    (void)state;
    /* No multiple of the prime 7919. A square would be 80,000,000,000 comparisons for each text: the test would not end in
     * time. */
    const size_t count = 400000;
    for (int kind = 0; kind < 4; kind++) {
        struct hf_buffer text;
        hf_buffer_init(&text);
        many_members(&text, count, kind);
        size_t whole_bytes = text.size_bytes;
        hf_buffer_text(&text, "}");
        struct hf_str as_text = {(const char *)text.data, text.size_bytes};
        assert_int_equal(hf_json_validate(as_text, NULL), HF_ERR_OK);
        for (int twice = 0; twice < 2; twice++) {
            /* A repeated name far behind; the second of two repetitions is not what is reported. */
            static const char *const repeated[] = {"m77", "common_prefix_77", "77",
                                                   "common_prefix_77"};
            text.size_bytes = whole_bytes;
            hf_buffer_format(&text, ",\"%s\":2", repeated[kind]);
            if (twice != 0) {
                hf_buffer_text(&text, ",\"z\":1,\"z\":1");
            }
            hf_buffer_text(&text, "}");
            struct hf_error error = {0};
            as_text = (struct hf_str){(const char *)text.data, text.size_bytes};
            assert_int_equal(hf_json_validate(as_text, &error), HF_ERR_INVALID_REQUEST);
            char expected[64];
            snprintf(expected, sizeof(expected), "JSON: byte %zu: the object has", whole_bytes + 1);
            assert_int_equal(strncmp(error.text, expected, strlen(expected)), 0);
        }
        hf_buffer_release(&text);
    }
}

/* Repeated names around the size where the way of searching changes. */
static void repeated_names_are_found_at_every_place(void **state)
{
    (void)state;
    for (size_t count = 2; count <= 3 * HF_JSON_NAMES_SMALL; count++) {
        for (size_t first = 0; first < count; first += 5) {
            for (size_t second = first + 1; second < count; second += 3) {
                struct hf_buffer text;
                hf_buffer_init(&text);
                hf_buffer_text(&text, "[{\"m1\":{\"m1\":");
                size_t second_at = 0;
                for (size_t i = 0; i < count; i++) {
                    hf_buffer_text(&text, i == 0 ? "{" : ",");
                    second_at = i == second ? text.size_bytes : second_at;
                    hf_buffer_format(&text, "\"%s%zu\":{\"m1\":1}", i == second ? "\\u006d" : "m",
                                     i == second ? first : i);
                }
                hf_buffer_text(&text, "}}}]");
                struct hf_error error = {0};
                struct hf_str as_text = {(const char *)text.data, text.size_bytes};
                assert_int_equal(hf_json_validate(as_text, &error), HF_ERR_INVALID_REQUEST);
                char expected[64];
                snprintf(expected, sizeof(expected), "JSON: byte %zu: the object has", second_at);
                assert_int_equal(strncmp(error.text, expected, strlen(expected)), 0);
                hf_buffer_release(&text);
            }
        }
    }
}

/* A text of an object with everything in it, of some thousand bytes. */
static void big_text(struct hf_buffer *text)
{
    struct random random = {SEED + 1};
    struct random_style style = {
        .spaces = true, .wild_numbers = true, .names_count = 25, .unique_names = true};
    hf_buffer_u8(text, '{');
    for (int i = 0; i < 3 * HF_JSON_NAMES_SMALL; i++) {
        hf_buffer_format(text, "%s\"name %d\" :", i == 0 ? "" : " , ", i);
        random_value(&random, &style, text, 4);
    }
    hf_buffer_u8(text, '}');
}

static void every_prefix_is_refused(void **state)
{
    (void)state;
    struct hf_buffer text;
    hf_buffer_init(&text);
    big_text(&text);
    assert_true(text.size_bytes > 3000);
    for (size_t size = 0; size < text.size_bytes; size++) {
        struct hf_str prefix = {(const char *)text.data, size};
        assert_int_equal(validate_copy(prefix, NULL), HF_ERR_INVALID_REQUEST);
    }
    struct hf_str whole = {(const char *)text.data, text.size_bytes};
    assert_int_equal(validate_copy(whole, NULL), HF_ERR_OK);
    hf_buffer_release(&text);
}

static void short_memory_is_reported(void **state)
{
    (void)state;
    struct hf_buffer text;
    hf_buffer_init(&text);
    many_members(&text, 500, 2);
    hf_buffer_text(&text, "}");
    struct hf_str as_text = {(const char *)text.data, text.size_bytes};
    uint64_t n = 1;
    for (;; n++) {
        struct hf_error error = {0};
        hf_alloc_fault_set(n);
        enum hf_err code = hf_json_validate(as_text, &error);
        bool hit = hf_alloc_fault_hit();
        hf_alloc_fault_set(0);
        if (!hit) {
            assert_int_equal(code, HF_ERR_OK);
            break;
        }
        assert_int_equal(code, HF_ERR_NO_MEMORY);
        assert_non_null(strstr(error.text, "memory is short"));
    }
    assert_true(n > 2);
    hf_buffer_release(&text);

    struct hf_arena arena;
    hf_arena_init(&arena);
    struct hf_json json;
    hf_json_init(&json, HF_STR("\"\\n\""), &arena);
    assert_int_equal(hf_json_next(&json), HF_JSON_STRING);
    hf_alloc_fault_set(1);
    assert_false(hf_str_present(hf_json_string(&json, &arena)));
    hf_alloc_fault_set(0);
    hf_arena_release(&arena);
}

static void too_long_texts_are_refused(void **state)
{
    (void)state;
    /* The length alone is looked at, before any byte. */
    struct hf_error error = {0};
    struct hf_str text = {"1", (size_t)HF_JSON_TEXT_BYTES_MAX + 1};
    assert_int_equal(hf_json_validate(text, &error), HF_ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_texts_are_accepted),
        cmocka_unit_test(bad_texts_are_refused_with_place_and_words),
        cmocka_unit_test(bytes_of_zero_are_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(every_byte_at_every_place),
        cmocka_unit_test(utf8_is_checked_like_by_the_definition),
        cmocka_unit_test(tokens_point_into_the_text),
        cmocka_unit_test(strings_are_unescaped),
        cmocka_unit_test(integers_are_strict),
        cmocka_unit_test(skip_gives_the_bytes_as_they_are),
        cmocka_unit_test(a_caller_can_refuse),
        cmocka_unit_test(many_members_take_no_square_of_time),
        cmocka_unit_test(repeated_names_are_found_at_every_place),
        cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(short_memory_is_reported),
        cmocka_unit_test(too_long_texts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
