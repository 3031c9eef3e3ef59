#include "core/fields_json.h"

#define NAME_SHOWN_MAX 32 /* bytes; a longer name is not shown in a pointer */

static const struct hf_str compare_names[HF_COMPARE_COUNT] = {
    [HF_COMPARE_EQ] = {"eq", 2}, [HF_COMPARE_GT] = {"gt", 2},   [HF_COMPARE_GTE] = {"gte", 3},
    [HF_COMPARE_LT] = {"lt", 2}, [HF_COMPARE_LTE] = {"lte", 3},
};

/* ---- places ---- */

size_t hf_place_enter(char place[HF_PLACE_BYTES], struct hf_str step)
{
    size_t before = strlen(place);
    size_t room = HF_PLACE_BYTES - 1 - before;
    if (room > 0) {
        size_t taken = hf_min_u64(step.len, room - 1);
        place[before] = '/';
        memcpy(place + before + 1, step.ptr, taken);
        place[before + 1 + taken] = '\0';
    }
    return before;
}

size_t hf_place_enter_name(char place[HF_PLACE_BYTES], struct hf_str name)
{
    size_t before = strlen(place);
    char steps[2 * NAME_SHOWN_MAX];
    size_t used = 0;
    if (name.len >= NAME_SHOWN_MAX) {
        return before;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (c == '\0') {
            return before;
        }
        if (c == '~' || c == '/') {
            steps[used++] = '~';
            c = c == '~' ? '0' : '1';
        }
        steps[used++] = c;
    }
    return before + 1 + used < HF_PLACE_BYTES ? hf_place_enter(place, (struct hf_str){steps, used})
                                              : before;
}

size_t hf_place_enter_index(char place[HF_PLACE_BYTES], size_t index)
{
    char digits[HF_U128_TEXT_BYTES];
    return hf_place_enter(place, (struct hf_str){digits, hf_u128_format(index, digits)});
}

/* ---- refusals ---- */

void hf_fields_init(struct hf_fields_json *reading, struct hf_str text, const char *place,
                    struct hf_arena *arena, struct hf_malformed *malformed)
{
    size_t len = hf_min_u64(strlen(place), HF_PLACE_BYTES - 1);
    memcpy(reading->place, place, len);
    reading->place[len] = '\0';
    reading->arena = arena;
    reading->malformed = malformed;
    hf_json_init(&reading->json, text, arena);
}

bool hf_fields_refuse(struct hf_fields_json *reading, const char *what)
{
    return hf_malformed_set(reading->malformed, HF_ERR_INVALID_REQUEST, reading->place, "%s", what);
}

bool hf_fields_refuse_text(struct hf_fields_json *reading)
{
    struct hf_error error = {0};
    enum hf_err code = hf_json_error(&reading->json, &error);
    return hf_malformed_set(reading->malformed, code, "", "%s", error.text);
}

bool hf_fields_refuse_token(struct hf_fields_json *reading, const char *wanted)
{
    return reading->json.token == HF_JSON_ERROR ? hf_fields_refuse_text(reading)
                                                : hf_fields_refuse(reading, wanted);
}

static bool short_memory(struct hf_fields_json *reading)
{
    return hf_malformed_set(reading->malformed, HF_ERR_NO_MEMORY, "",
                            "out of memory while decoding");
}

bool hf_fields_refuse_member(struct hf_fields_json *reading)
{
    struct hf_str name = hf_json_string(&reading->json, reading->arena);
    (void)hf_place_enter_name(reading->place, name);
    return hf_fields_refuse(reading, "unknown member");
}

/* ---- values ---- */

static bool take_text(struct hf_fields_json *reading, struct hf_str *text)
{
    if (hf_json_next(&reading->json) != HF_JSON_STRING) {
        return hf_fields_refuse_token(reading, "must be a string");
    }
    *text = hf_json_string(&reading->json, reading->arena);
    return hf_str_present(*text) || short_memory(reading);
}

/* A decimal: the command reads its digits; here a number's form is tested. */
static bool take_decimal(struct hf_fields_json *reading, bool negative_too, struct hf_str *text)
{
    uint64_t magnitude;
    int64_t value;
    enum hf_json_token token = reading->json.token;
    if (token == HF_JSON_STRING) {
        *text = hf_json_string(&reading->json, reading->arena);
        return hf_str_present(*text) || short_memory(reading);
    }
    *text = reading->json.raw;
    if (token == HF_JSON_NUMBER && (negative_too ? hf_json_integer_signed(*text, &value)
                                                 : hf_json_integer(*text, &magnitude))) {
        return true;
    }
    return hf_fields_refuse_token(reading,
                                  "must be a decimal string of minor units, or an integer below "
                                  "2^53");
}

static bool take_limit(struct hf_fields_json *reading, struct hf_str *text, bool *null)
{
    if (hf_json_next(&reading->json) == HF_JSON_NULL) {
        *null = true;
        return true;
    }
    return take_decimal(reading, true, text);
}

/* The current token. */
static bool integer_of(struct hf_fields_json *reading, uint64_t *value)
{
    if (reading->json.token != HF_JSON_NUMBER || !hf_json_integer(reading->json.raw, value)) {
        return hf_fields_refuse_token(reading, "must be an integer from 0 to 2^53 - 1");
    }
    return true;
}

static bool take_bool(struct hf_fields_json *reading, bool *value)
{
    enum hf_json_token token = hf_json_next(&reading->json);
    *value = token == HF_JSON_TRUE;
    return token == HF_JSON_TRUE || token == HF_JSON_FALSE ||
           hf_fields_refuse_token(reading, "must be true or false");
}

static bool take_comparison(struct hf_fields_json *reading, struct hf_str *operands)
{
    if (hf_json_next(&reading->json) != HF_JSON_OBJECT_BEGIN) {
        return hf_fields_refuse_token(
            reading, "must be an object of comparisons, for example {\"gte\":\"1500\"}");
    }
    while (hf_json_next(&reading->json) == HF_JSON_NAME) {
        size_t i = 0;
        while (i < HF_COMPARE_COUNT && !hf_json_is(&reading->json, compare_names[i])) {
            i++;
        }
        if (i == HF_COMPARE_COUNT) {
            return hf_fields_refuse_member(reading);
        }
        size_t before = hf_place_enter(reading->place, compare_names[i]);
        (void)hf_json_next(&reading->json);
        if (!take_decimal(reading, true, &operands[i])) {
            return false;
        }
        hf_place_leave(reading->place, before);
    }
    return reading->json.token == HF_JSON_OBJECT_END || hf_fields_refuse_text(reading);
}

static bool take_text_or_object(struct hf_fields_json *reading, struct hf_str *text)
{
    switch (hf_json_next(&reading->json)) {
    case HF_JSON_STRING:
        *text = hf_json_string(&reading->json, reading->arena);
        return hf_str_present(*text) || short_memory(reading);
    case HF_JSON_OBJECT_BEGIN:
        return hf_json_skip(&reading->json, text) || hf_fields_refuse_text(reading);
    case HF_JSON_NONE:
    case HF_JSON_OBJECT_END:
    case HF_JSON_ARRAY_BEGIN:
    case HF_JSON_ARRAY_END:
    case HF_JSON_NAME:
    case HF_JSON_NUMBER:
    case HF_JSON_TRUE:
    case HF_JSON_FALSE:
    case HF_JSON_NULL:
    case HF_JSON_END:
    case HF_JSON_ERROR:
        break;
    }
    return hf_fields_refuse_token(reading, "must be a string or an object");
}

static bool take_integer_or_text(struct hf_fields_json *reading, uint64_t *value, bool *flag,
                                 struct hf_str *text)
{
    enum hf_json_token token = hf_json_next(&reading->json);
    if (token == HF_JSON_STRING) {
        *text = hf_json_string(&reading->json, reading->arena);
        return hf_str_present(*text) || short_memory(reading);
    }
    *flag = true;
    return integer_of(reading, value);
}

bool hf_fields_take(struct hf_fields_json *reading, const struct hf_member *member, void *fields)
{
    void *value = (char *)fields + member->value;
    bool *flag = (bool *)(void *)((char *)fields + member->flag);
    switch (member->form) {
    case HF_FORM_TEXT:
        return take_text(reading, value);
    case HF_FORM_AMOUNT:
        (void)hf_json_next(&reading->json);
        return take_decimal(reading, false, value);
    case HF_FORM_LIMIT:
        return take_limit(reading, value, flag);
    case HF_FORM_INTEGER:
        *flag = true;
        (void)hf_json_next(&reading->json);
        return integer_of(reading, value);
    case HF_FORM_BOOL:
        *flag = true;
        return take_bool(reading, value);
    case HF_FORM_RAW:
        return hf_json_skip(&reading->json, value) || hf_fields_refuse_text(reading);
    case HF_FORM_COMPARISON:
        *flag = true;
        return take_comparison(reading, value);
    case HF_FORM_TEXT_OR_OBJECT:
        return take_text_or_object(reading, value);
    case HF_FORM_INTEGER_OR_TEXT:
        return take_integer_or_text(reading, value, flag,
                                    (struct hf_str *)(void *)((char *)fields + member->text));
    }
    return false;
}

/* ---- objects ---- */

const struct hf_member *hf_fields_find(const struct hf_fields_json *reading,
                                       const struct hf_member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (hf_json_is(&reading->json, members[i].name)) {
            return &members[i];
        }
    }
    return NULL;
}

bool hf_fields_object(struct hf_fields_json *reading, const struct hf_member *members, size_t count,
                      void *fields)
{
    if (reading->json.token != HF_JSON_OBJECT_BEGIN) {
        return hf_fields_refuse_token(reading, "must be an object");
    }
    while (hf_json_next(&reading->json) == HF_JSON_NAME) {
        const struct hf_member *member = hf_fields_find(reading, members, count);
        if (member == NULL) {
            return hf_fields_refuse_member(reading);
        }
        size_t before = hf_place_enter(reading->place, member->name);
        if (!hf_fields_take(reading, member, fields)) {
            return false;
        }
        hf_place_leave(reading->place, before);
    }
    return reading->json.token == HF_JSON_OBJECT_END || hf_fields_refuse_text(reading);
}
