/* The JSON reader compared with jansson: accepted or not, and the values. */
#include <jansson.h>

#include "base/alloc.h"
#include "base/json.h"

#include "unit/json_cases.h"
#include "unit/json_random.h"
#include "unit/support.h"

#define SEED 20261122u

/* What our tokens say, as a value of jansson. Texts are valid and have no NUL in names. */
static json_t *value_of(struct hf_str text)
{
    struct hf_arena arena;
    hf_arena_init(&arena);
    struct hf_json json;
    hf_json_init(&json, text, &arena);
    json_t *open[HF_JSON_DEPTH_MAX] = {NULL};
    struct hf_str names[HF_JSON_DEPTH_MAX] = {HF_STR_NONE};
    size_t depth = 0;
    json_t *root = NULL;
    enum hf_json_token token;
    while ((token = hf_json_next(&json)) < HF_JSON_END) {
        json_t *value = NULL;
        if (token == HF_JSON_OBJECT_END || token == HF_JSON_ARRAY_END) {
            depth--;
            continue;
        }
        struct hf_str string = HF_STR_NONE;
        if (token == HF_JSON_NAME || token == HF_JSON_STRING) {
            string = hf_json_string(&json, &arena);
            assert_true(hf_str_present(string));
        }
        if (token == HF_JSON_NAME) {
            names[depth - 1] = string;
            continue;
        }
        if (token == HF_JSON_STRING) {
            value = json_stringn(string.ptr, string.len);
        } else if (token == HF_JSON_NUMBER) {
            struct hf_str lexeme = hf_arena_copy(&arena, json.raw); /* with a NUL */
            value = strpbrk(lexeme.ptr, ".eE") != NULL
                        ? json_real(strtod(lexeme.ptr, NULL))
                        : json_integer(strtoll(lexeme.ptr, NULL, 10));
        } else {
            value = token == HF_JSON_OBJECT_BEGIN  ? json_object()
                    : token == HF_JSON_ARRAY_BEGIN ? json_array()
                    : token == HF_JSON_NULL        ? json_null()
                                                   : json_boolean(token == HF_JSON_TRUE);
        }
        assert_non_null(value);
        size_t outside = depth;
        if (token == HF_JSON_OBJECT_BEGIN || token == HF_JSON_ARRAY_BEGIN) {
            open[depth++] = value;
        }
        if (outside == 0) {
            root = value;
        } else if (json_is_array(open[outside - 1])) {
            assert_int_equal(json_array_append_new(open[outside - 1], value), 0);
        } else {
            struct hf_str name = hf_arena_copy(&arena, names[outside - 1]);
            assert_int_equal(json_object_set_new(open[outside - 1], name.ptr, value), 0);
        }
    }
    assert_int_equal(token, HF_JSON_END);
    hf_arena_release(&arena);
    return root;
}

struct oracle_counts {
    size_t accepted;   /* by both, and the values are equal */
    size_t refused;    /* by both */
    size_t only_ours;  /* accepted by us alone, for a known reason */
    size_t only_their; /* accepted by jansson alone, for a known reason */
};

/* Is a byte 0 right behind a number or a word what we refuse? Takes it out of text then. */
static bool take_out_nul(struct hf_buffer *text, const struct hf_error *error)
{
    static const char before_offset[] = "JSON: byte ";
    assert_int_equal(strncmp(error->text, before_offset, strlen(before_offset)), 0);
    size_t offset = strtoul(error->text + strlen(before_offset), NULL, 10);
    if (offset == 0 || offset >= text->size_bytes || text->data[offset] != 0) {
        return false;
    }
    uint8_t before = text->data[offset - 1];
    if (!((before >= '0' && before <= '9') || (before >= 'a' && before <= 'z'))) {
        return false;
    }
    memmove(text->data + offset, text->data + offset + 1, text->size_bytes - offset - 1);
    text->size_bytes--;
    return true;
}

/* jansson accepted what we refuse: is the reason known? */
static void check_only_theirs(struct hf_str text, const json_t *theirs)
{
    struct hf_buffer copy;
    hf_buffer_init(&copy);
    hf_buffer_bytes(&copy, text.ptr, text.len);
    struct hf_error error = {0};
    for (;;) {
        struct hf_str as_text = {(const char *)copy.data, copy.size_bytes};
        error = (struct hf_error){0};
        if (validate_copy(as_text, &error) == HF_ERR_OK) {
            json_t *value = value_of(as_text);
            assert_true(json_equal(value, theirs));
            json_decref(value);
            break;
        }
        if (!take_out_nul(&copy, &error)) {
            break;
        }
    }
    if (error.code != HF_ERR_OK && strstr(error.text, "too many nested") == NULL) {
        print_error("jansson accepts (%s): %.*s\n", error.text, (int)text.len, text.ptr);
        fail();
    }
    hf_buffer_release(&copy);
}

/*
 * Where we differ from jansson (with JSON_REJECT_DUPLICATES, JSON_DECODE_ANY, JSON_ALLOW_NUL) on
 * purpose: numbers outside of its 64-bit integers and doubles are accepted (lexemes are kept), NUL
 * in a member's name by \u0000 is accepted, nesting deeper than HF_JSON_DEPTH_MAX is refused, and
 * so is a byte 0 right behind a number, true, false or null, which jansson swallows.
 */
static void compare_with_jansson(struct hf_str text, struct oracle_counts *counts)
{
    struct hf_error error = {0};
    bool ours = validate_copy(text, &error) == HF_ERR_OK;
    json_error_t their_error;
    json_t *theirs =
        json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL,
                   &their_error);
    if (ours && theirs != NULL) {
        json_t *value = value_of(text);
        if (!json_equal(value, theirs)) {
            print_error("values differ: %.*s\n", (int)text.len, text.ptr);
            fail();
        }
        json_decref(value);
        counts->accepted++;
    } else if (!ours && theirs == NULL) {
        counts->refused++;
    } else if (ours) {
        enum json_error_code code = json_error_code(&their_error);
        if (code != json_error_numeric_overflow && code != json_error_null_byte_in_key) {
            print_error("jansson refuses (%s): %.*s\n", their_error.text, (int)text.len, text.ptr);
            fail();
        }
        counts->only_ours++;
    } else {
        check_only_theirs(text, theirs);
        counts->only_their++;
    }
    json_decref(theirs);
}

static void mutate(struct random *random, struct hf_buffer *text)
{
    static const char interesting[] = "{}[]:,\"\\/ \n\t0123456789-+.eEutrnfalsd\x00\x1F\x7F\x80\xBF"
                                      "\xC0\xC3\xA9\xED\xEF\xF0\xF4\xFF";
    size_t size = text->size_bytes;
    size_t place = random_below(random, size);
    char c = interesting[random_below(random, sizeof(interesting) - 1)];
    switch (random_below(random, 6)) {
    case 0:
        text->data[place] = (uint8_t)c;
        break;
    case 1:
        text->data[place] = (uint8_t)random_next(random);
        break;
    case 2:
        memmove(text->data + place, text->data + place + 1, size - place - 1);
        text->size_bytes--;
        break;
    case 3:
        hf_buffer_u8(text, 0);
        memmove(text->data + place + 1, text->data + place, size - place);
        text->data[place] = (uint8_t)c;
        break;
    case 4:
        text->size_bytes = place;
        break;
    default: { /* swap two bytes */
        size_t other = random_below(random, size);
        uint8_t kept = text->data[place];
        text->data[place] = text->data[other];
        text->data[other] = kept;
        break;
    }
    }
}

static void jansson_agrees_on_random_texts(void **state)
{
    (void)state;
    struct random random = {SEED};
    struct oracle_counts counts = {0};
    for (int round = 0; round < 20000; round++) {
        struct random_style style = {.spaces = round % 2 == 0,
                                     .wild_numbers = round % 4 < 2,
                                     .names_count = 25,
                                     .unique_names = round % 3 != 0};
        struct hf_buffer text;
        hf_buffer_init(&text);
        random_value(&random, &style, &text, 5);
        compare_with_jansson((struct hf_str){(const char *)text.data, text.size_bytes}, &counts);
        for (size_t i = random_below(&random, 4); i > 0 && text.size_bytes > 0; i--) {
            mutate(&random, &text);
            struct hf_str mutant = {(const char *)text.data, text.size_bytes};
            compare_with_jansson(mutant, &counts);
        }
        hf_buffer_release(&text);
    }
    assert_true(counts.accepted > 10000);
    assert_true(counts.refused > 5000);
    assert_true(counts.only_ours > 100);
}

static void jansson_agrees_on_the_tables(void **state)
{
    (void)state;
    struct oracle_counts counts = {0};
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad_cases); i++) {
        compare_with_jansson(hf_str_from(bad_cases[i].text), &counts);
    }
    assert_int_equal(counts.refused, HF_ARRAY_COUNT(bad_cases));
    for (size_t i = 0; i < HF_ARRAY_COUNT(valid_cases); i++) {
        compare_with_jansson(hf_str_from(valid_cases[i]), &counts);
    }
    assert_int_equal(counts.refused, HF_ARRAY_COUNT(bad_cases));
    assert_int_equal(counts.only_their, 0);
    assert_true(counts.accepted + 6 >= HF_ARRAY_COUNT(valid_cases));
}

/* The four differences, each shown. */
static void differences_from_jansson_are_these(void **state)
{
    (void)state;
    struct oracle_counts counts = {0};
    compare_with_jansson(HF_STR("1e400"), &counts);
    compare_with_jansson(HF_STR("9223372036854775808"), &counts);
    compare_with_jansson(HF_STR("{\"a\\u0000\":1}"), &counts);
    assert_int_equal(counts.only_ours, 3);
    char deep[2 * (HF_JSON_DEPTH_MAX + 1)];
    memset(deep, '[', sizeof(deep) / 2);
    memset(deep + sizeof(deep) / 2, ']', sizeof(deep) / 2);
    compare_with_jansson((struct hf_str){deep, sizeof(deep)}, &counts);
    static const char nul[] = "[1\0,null\0]";
    compare_with_jansson(HF_STR(nul), &counts);
    assert_int_equal(counts.only_their, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jansson_agrees_on_random_texts),
        cmocka_unit_test(jansson_agrees_on_the_tables),
        cmocka_unit_test(differences_from_jansson_are_these),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
