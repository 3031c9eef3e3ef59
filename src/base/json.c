#include "base/json.h"

#include "base/check.h"
#include "base/json_priv.h"

_Static_assert(HF_JSON_DEPTH_MAX <= 64, "struct hf_json keeps the kinds in one 64-bit word");

/* What the grammar allows next. */
enum state {
    STATE_VALUE,        /* a value: at the start, behind a name, behind a comma of an array */
    STATE_FIRST_ITEM,   /* a value or ] */
    STATE_FIRST_MEMBER, /* a name or } */
    STATE_AFTER_VALUE,  /* a comma or the end of the container; at depth 0 the end of the text */
};

void hf_json_init(struct hf_json *json, struct hf_str text, struct hf_arena *arena)
{
    const char *start = text.ptr == NULL ? "" : text.ptr;
    json->token = HF_JSON_NONE;
    json->escaped = false;
    json->state = STATE_VALUE;
    json->raw = HF_STR_NONE;
    json->start = start;
    json->next = start;
    json->end = start + text.len;
    json->text = start;
    json->arena = arena;
    json->error_code = HF_ERR_OK;
    json->error_what = NULL;
    json->error_offset = 0;
    json->kinds = 0;
    json->depth = 0;
    json->names = json->names_inline;
    json->names_count = 0;
    json->names_capacity = HF_JSON_NAMES_SMALL;
    json->scratch = NULL;
    json->scratch_capacity = 0;
}

__attribute__((cold)) static enum hf_json_token fail_as(struct hf_json *json, enum hf_err code,
                                                        const char *at, const char *what)
{
    json->token = HF_JSON_ERROR;
    json->error_code = code;
    json->error_what = what;
    json->error_offset = (size_t)(at - json->text);
    json->raw = HF_STR_NONE;
    return HF_JSON_ERROR;
}

__attribute__((cold)) static enum hf_json_token fail(struct hf_json *json, const char *at,
                                                     const char *what)
{
    return fail_as(json, HF_ERR_INVALID_REQUEST, at, what);
}

static inline bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const char *skip_space(const char *at, const char *end)
{
    while (at < end && is_space(*at)) {
        at++;
    }
    return at;
}

static inline bool in_object(const struct hf_json *json)
{
    return (json->kinds & 1) != 0;
}

/* Passes over the escape at `at`; NULL after failing. */
static const char *pass_escape(struct hf_json *json, const char *at)
{
    const char *end = json->end;
    if (end - at < 2) {
        fail(json, end, "the text ends inside a string");
        return NULL;
    }
    if (at[1] != 'u') {
        if (at[1] == '\0' || strchr("\"\\/bfnrt", at[1]) == NULL) {
            fail(json, at, "an unknown escape");
            return NULL;
        }
        return at + 2;
    }
    int32_t code = end - at < 6 ? -1 : json_hex4(at + 2);
    if (code < 0) {
        fail(json, at, "\\u must be followed by four hex digits");
        return NULL;
    }
    if (code < 0xD800 || code > 0xDFFF) {
        return at + 6;
    }
    int32_t low = -1;
    if (code <= 0xDBFF && end - at >= 12 && at[6] == '\\' && at[7] == 'u') {
        low = json_hex4(at + 8);
    }
    if (low < 0xDC00 || low > 0xDFFF) {
        fail(json, at, "half of a surrogate pair");
        return NULL;
    }
    return at + 12;
}

/* What follows a first special byte in a string: at points at it. NULL after failing, else the
 * closing quote. */
static const char *pass_string_rest(struct hf_json *json, const char *at)
{
    const char *end = json->end;
    for (;;) {
        if (at == end) {
            fail(json, at, "the text ends inside a string");
            return NULL;
        }
        unsigned char c = (unsigned char)*at;
        if (c == '"') {
            return at;
        }
        if (c == '\\') {
            json->escaped = true;
            at = pass_escape(json, at);
            if (at == NULL) {
                return NULL;
            }
        } else if (c < 0x20) {
            fail(json, at, "a control character in a string must be escaped");
            return NULL;
        }
        while (at < end && (unsigned char)*at >= 0x80) {
            size_t size = json_utf8_bytes(at, end);
            if (size == 0) {
                fail(json, at, "not valid UTF-8");
                return NULL;
            }
            at += size;
        }
        at = json_scan_plain(at, end);
    }
}

/* Reads the string whose opening quote is at `at` into raw; false after failing. */
static inline bool read_string(struct hf_json *json, const char *at)
{
    json->start = at;
    json->escaped = false;
    const char *first = at + 1;
    const char *close = json_scan_plain(first, json->end);
    if (close == json->end || *close != '"') {
        close = pass_string_rest(json, close);
        if (close == NULL) {
            return false;
        }
    }
    json->raw = (struct hf_str){first, (size_t)(close - first)};
    json->next = close + 1;
    return true;
}

static inline bool is_digit(const char *at, const char *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

static inline const char *pass_digits(const char *at, const char *end)
{
    while (is_digit(at, end)) {
        at++;
    }
    return at;
}

static enum hf_json_token read_number(struct hf_json *json, const char *start)
{
    const char *end = json->end;
    const char *at = start;
    if (*at == '-') {
        at++;
    }
    if (!is_digit(at, end)) {
        return fail(json, at, "a digit is expected behind the minus sign");
    }
    if (*at == '0') {
        at++;
        if (is_digit(at, end)) {
            return fail(json, start, "a number must not begin with a zero");
        }
    } else {
        at = pass_digits(at, end);
    }
    if (at < end && *at == '.') {
        at++;
        if (!is_digit(at, end)) {
            return fail(json, at, "a digit is expected behind the point");
        }
        at = pass_digits(at, end);
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-')) {
            at++;
        }
        if (!is_digit(at, end)) {
            return fail(json, at, "a digit is expected in the exponent");
        }
        at = pass_digits(at, end);
    }
    json->start = start;
    json->raw = (struct hf_str){start, (size_t)(at - start)};
    json->next = at;
    json->state = STATE_AFTER_VALUE;
    json->token = HF_JSON_NUMBER;
    return HF_JSON_NUMBER;
}

static enum hf_json_token read_word(struct hf_json *json, const char *at, struct hf_str word,
                                    enum hf_json_token token)
{
    if ((size_t)(json->end - at) < word.len || memcmp(at, word.ptr, word.len) != 0) {
        return fail(json, at, "a value is expected (neither true, false nor null)");
    }
    json->start = at;
    json->raw = (struct hf_str){at, word.len};
    json->next = at + word.len;
    json->state = STATE_AFTER_VALUE;
    json->token = token;
    return token;
}

static enum hf_json_token open_container(struct hf_json *json, const char *at, bool object)
{
    if (json->depth == HF_JSON_DEPTH_MAX) {
        return fail(json, at, "too many nested arrays and objects");
    }
    json->names_first[json->depth] = json->names_count;
    json->depth++;
    json->kinds = (json->kinds << 1) | (object ? 1u : 0u);
    json->start = at;
    json->raw = (struct hf_str){at, 1};
    json->next = at + 1;
    json->state = object ? STATE_FIRST_MEMBER : STATE_FIRST_ITEM;
    json->token = object ? HF_JSON_OBJECT_BEGIN : HF_JSON_ARRAY_BEGIN;
    return json->token;
}

static const char repeated_name[] = "the object has a member of this name already";

/* Looks for a repeated name in an object of many members; false after failing. */
static bool check_names_by_sort(struct hf_json *json, uint32_t first)
{
    uint32_t count = json->names_count - first;
    if (json->scratch_capacity < count) {
        uint32_t capacity = json->names_capacity / 2;
        json->scratch = json_names_grow(json->arena, NULL, 0, &capacity);
        if (json->scratch == NULL) {
            json->scratch_capacity = 0;
            fail_as(json, HF_ERR_NO_MEMORY, json->next, "memory is short");
            return false;
        }
        json->scratch_capacity = capacity;
    }
    struct hf_json_name *names = json->names + first;
    json_names_sort(json->text, names, json->scratch, count);
    const struct hf_json_name *repeated = NULL;
    for (uint32_t i = 1; i < count; i++) {
        if (json_name_compare(json->text, &names[i - 1], &names[i]) == 0 &&
            (repeated == NULL || names[i].offset < repeated->offset)) {
            repeated = &names[i];
        }
    }
    if (repeated != NULL) {
        fail(json, json->text + repeated->offset - 1, repeated_name);
        return false;
    }
    return true;
}

static enum hf_json_token close_container(struct hf_json *json, const char *at)
{
    bool object = in_object(json);
    uint32_t first = json->names_first[json->depth - 1];
    if (json->names_count - first > HF_JSON_NAMES_SMALL && !check_names_by_sort(json, first)) {
        return HF_JSON_ERROR;
    }
    json->names_count = first;
    json->depth--;
    json->kinds >>= 1;
    json->start = at;
    json->raw = (struct hf_str){at, 1};
    json->next = at + 1;
    json->state = STATE_AFTER_VALUE;
    json->token = object ? HF_JSON_OBJECT_END : HF_JSON_ARRAY_END;
    return json->token;
}

/* Keeps the name just read, and compares it with those before if they are few. */
static bool keep_name(struct hf_json *json)
{
    struct hf_json_name name = json_name_of(json);
    uint32_t first = json->names_first[json->depth - 1];
    if (json->names_count - first < HF_JSON_NAMES_SMALL) {
        for (uint32_t i = first; i < json->names_count; i++) {
            if (json->names[i].key == name.key &&
                json_name_compare(json->text, &json->names[i], &name) == 0) {
                fail(json, json->start, repeated_name);
                return false;
            }
        }
    }
    if (json->names_count == json->names_capacity) {
        struct hf_json_name *grown =
            json_names_grow(json->arena, json->names, json->names_count, &json->names_capacity);
        if (grown == NULL) {
            fail_as(json, HF_ERR_NO_MEMORY, json->start, "memory is short");
            return false;
        }
        json->names = grown;
    }
    json->names[json->names_count++] = name;
    return true;
}

static enum hf_json_token read_name(struct hf_json *json, const char *at)
{
    if (at == json->end) {
        return fail(json, at, "the text ends inside an object");
    }
    if (*at != '"') {
        return fail(json, at, "a member's name in quotes is expected");
    }
    if (!read_string(json, at) || !keep_name(json)) {
        return HF_JSON_ERROR;
    }
    at = skip_space(json->next, json->end);
    if (at == json->end || *at != ':') {
        return fail(json, at, "a colon is expected behind a member's name");
    }
    json->next = at + 1;
    json->state = STATE_VALUE;
    json->token = HF_JSON_NAME;
    return HF_JSON_NAME;
}

static enum hf_json_token refuse_value(struct hf_json *json, const char *at)
{
    if (at == json->end) {
        return fail(json, at, "the text ends where a value is expected");
    }
    if (json->end - at >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0) {
        return fail(json, at, "a byte order mark is not allowed");
    }
    return fail(json, at, "a value is expected");
}

static inline enum hf_json_token read_value(struct hf_json *json, const char *at)
{
    if (at == json->end) {
        return refuse_value(json, at);
    }
    switch (*at) {
    case '"':
        if (!read_string(json, at)) {
            return HF_JSON_ERROR;
        }
        json->state = STATE_AFTER_VALUE;
        json->token = HF_JSON_STRING;
        return HF_JSON_STRING;
    case '{':
        return open_container(json, at, true);
    case '[':
        return open_container(json, at, false);
    case 't':
        return read_word(json, at, HF_STR("true"), HF_JSON_TRUE);
    case 'f':
        return read_word(json, at, HF_STR("false"), HF_JSON_FALSE);
    case 'n':
        return read_word(json, at, HF_STR("null"), HF_JSON_NULL);
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return read_number(json, at);
    default:
        return refuse_value(json, at);
    }
}

static enum hf_json_token finish(struct hf_json *json, const char *at)
{
    if (at != json->end) {
        return fail(json, at, "something follows behind the value");
    }
    json->start = at;
    json->next = at;
    json->raw = (struct hf_str){at, 0};
    json->token = HF_JSON_END;
    return HF_JSON_END;
}

static inline enum hf_json_token after_value(struct hf_json *json, const char *at)
{
    if (json->depth == 0) {
        return finish(json, at);
    }
    bool object = in_object(json);
    if (at == json->end) {
        return fail(json, at,
                    object ? "the text ends inside an object" : "the text ends inside an array");
    }
    if (*at == ',') {
        at = skip_space(at + 1, json->end);
        return object ? read_name(json, at) : read_value(json, at);
    }
    if (*at == (object ? '}' : ']')) {
        return close_container(json, at);
    }
    return fail(json, at, object ? "a comma or } is expected" : "a comma or ] is expected");
}

enum hf_json_token hf_json_next(struct hf_json *json)
{
    if (json->token >= HF_JSON_END) {
        return json->token;
    }
    if (json->token == HF_JSON_NONE && (size_t)(json->end - json->text) > HF_JSON_TEXT_BYTES_MAX) {
        return fail_as(json, HF_ERR_TOO_LARGE, json->text, "the text is longer than 2 GiB");
    }
    const char *at = skip_space(json->next, json->end);
    switch ((enum state)json->state) {
    case STATE_AFTER_VALUE:
        return after_value(json, at);
    case STATE_FIRST_ITEM:
        if (at < json->end && *at == ']') {
            return close_container(json, at);
        }
        return read_value(json, at);
    case STATE_FIRST_MEMBER:
        if (at < json->end && *at == '}') {
            return close_container(json, at);
        }
        return read_name(json, at);
    case STATE_VALUE:
        break;
    }
    return read_value(json, at);
}

bool hf_json_skip(struct hf_json *json, struct hf_str *raw)
{
    if (raw != NULL) {
        *raw = HF_STR_NONE;
    }
    if (json->token == HF_JSON_NAME || json->token == HF_JSON_NONE) {
        (void)hf_json_next(json);
    }
    if (json->token == HF_JSON_ERROR) {
        return false;
    }
    HF_CHECK(json->token != HF_JSON_OBJECT_END && json->token != HF_JSON_ARRAY_END &&
             json->token != HF_JSON_END);
    const char *start = json->start;
    if (json->token == HF_JSON_OBJECT_BEGIN || json->token == HF_JSON_ARRAY_BEGIN) {
        uint32_t outside = json->depth - 1;
        while (json->depth > outside) {
            if (hf_json_next(json) == HF_JSON_ERROR) {
                return false;
            }
        }
    }
    if (raw != NULL) {
        *raw = (struct hf_str){start, (size_t)(json->next - start)};
    }
    return true;
}

bool hf_json_is(const struct hf_json *json, struct hf_str text)
{
    HF_CHECK(json->token == HF_JSON_NAME || json->token == HF_JSON_STRING);
    if (!json->escaped) {
        return hf_str_equal(json->raw, text);
    }
    const char *at = json->raw.ptr;
    const char *end = at + json->raw.len;
    size_t matched = 0;
    while (at < end) {
        uint8_t bytes[4];
        size_t size = 1;
        if (*at == '\\') {
            size = json_unescape_one(&at, bytes);
        } else {
            bytes[0] = (uint8_t)*at++;
        }
        if (text.len - matched < size || memcmp(text.ptr + matched, bytes, size) != 0) {
            return false;
        }
        matched += size;
    }
    return matched == text.len;
}

struct hf_str hf_json_string(const struct hf_json *json, struct hf_arena *arena)
{
    HF_CHECK(json->token == HF_JSON_NAME || json->token == HF_JSON_STRING);
    if (!json->escaped) {
        return json->raw;
    }
    char *copy = hf_arena_alloc(arena, json->raw.len);
    if (copy == NULL) {
        return HF_STR_NONE;
    }
    return (struct hf_str){copy, json_unescape(json->raw, copy)};
}

bool hf_json_integer(struct hf_str lexeme, uint64_t *value)
{
    /* HF_JSON_INTEGER_MAX has 16 digits, so 16 digits can't overflow 64 bits. */
    if (lexeme.len == 0 || lexeme.len > 16 || (lexeme.ptr[0] == '0' && lexeme.len > 1)) {
        return false;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < lexeme.len; i++) {
        if (lexeme.ptr[i] < '0' || lexeme.ptr[i] > '9') {
            return false;
        }
        sum = sum * 10 + (uint64_t)(lexeme.ptr[i] - '0');
    }
    if (sum > HF_JSON_INTEGER_MAX) {
        return false;
    }
    *value = sum;
    return true;
}

bool hf_json_integer_signed(struct hf_str lexeme, int64_t *value)
{
    bool negative = lexeme.len > 0 && lexeme.ptr[0] == '-';
    uint64_t magnitude = 0;
    struct hf_str digits = negative ? (struct hf_str){lexeme.ptr + 1, lexeme.len - 1} : lexeme;
    if (!hf_json_integer(digits, &magnitude) || (negative && magnitude == 0)) {
        return false;
    }
    *value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return true;
}

void hf_json_refuse(struct hf_json *json, const char *what)
{
    if (json->token != HF_JSON_ERROR) {
        fail(json, json->start, what);
    }
}

enum hf_err hf_json_error(const struct hf_json *json, struct hf_error *error)
{
    if (json->token != HF_JSON_ERROR) {
        return HF_ERR_OK;
    }
    return hf_error_set(error, json->error_code, "JSON: byte %zu: %s", json->error_offset,
                        json->error_what);
}

enum hf_err hf_json_validate(struct hf_str text, struct hf_error *error)
{
    struct hf_arena arena;
    hf_arena_init(&arena);
    struct hf_json json;
    hf_json_init(&json, text, &arena);
    while (hf_json_next(&json) < HF_JSON_END) {
    }
    enum hf_err code = hf_json_error(&json, error);
    hf_arena_release(&arena);
    return code;
}
