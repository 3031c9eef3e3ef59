#include "api/http_query.h"

#include "base/json.h"
#include "base/time_text.h"

static bool refuse(struct hf_malformed *malformed, const char *what)
{
    return hf_malformed_set(malformed, HF_ERR_INVALID_REQUEST, "", "%s", what);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Bytes of the UTF-8 sequence that begins at text[at]; 0 if it is not valid (overlong forms, surrogates). */
static size_t utf8_bytes(const unsigned char *text, size_t left)
{
    unsigned first = text[0];
    size_t size = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (size == 1) {
        return 1;
    }
    if (first < 0xC2 || first > 0xF4 || left < size) {
        return 0;
    }
    unsigned second_min = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned second_max = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (text[1] < second_min || text[1] > second_max) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) {
        if ((text[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return size;
}

static bool is_plain_text(struct hf_str text)
{
    const unsigned char *bytes = (const unsigned char *)text.ptr;
    for (size_t i = 0; i < text.len;) {
        size_t size = utf8_bytes(bytes + i, text.len - i);
        if (size == 0 || bytes[i] < 0x20 || bytes[i] == 0x7F) {
            return false;
        }
        i += size;
    }
    return true;
}

/* Decodes one segment, name or value. */
static bool decode(struct hf_str raw, struct hf_arena *arena, struct hf_str *text,
                   struct hf_malformed *malformed)
{
    bool escaped = false;
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.ptr[i] < 0x21 || raw.ptr[i] > 0x7E) {
            return refuse(malformed, "the target holds a byte that must be percent-encoded");
        }
        escaped = escaped || raw.ptr[i] == '%';
    }
    *text = raw;
    if (!escaped) {
        return true;
    }
    char *to = hf_arena_alloc(arena, raw.len);
    if (to == NULL) {
        return hf_malformed_set(malformed, HF_ERR_NO_MEMORY, "", "out of memory while decoding");
    }
    size_t used = 0;
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.ptr[i] != '%') {
            to[used++] = raw.ptr[i];
            continue;
        }
        int high = raw.len - i > 2 ? hex_digit(raw.ptr[i + 1]) : -1;
        int low = raw.len - i > 2 ? hex_digit(raw.ptr[i + 2]) : -1;
        if (high < 0 || low < 0) {
            return refuse(malformed, "the target has a '%' without two hex digits behind it");
        }
        to[used++] = (char)(high * 16 + low);
        i += 2;
    }
    *text = (struct hf_str){to, used};
    return is_plain_text(*text) ||
           refuse(malformed, "the target, decoded, is not UTF-8 text without control characters");
}

/* The part of *rest before the separator, which is dropped; all of it if there is none. */
static struct hf_str cut(struct hf_str *rest, char separator)
{
    const char *at = rest->len == 0 ? NULL : memchr(rest->ptr, separator, rest->len);
    struct hf_str part = *rest;
    if (at == NULL) {
        *rest = HF_STR_NONE;
    } else {
        part.len = (size_t)(at - rest->ptr);
        *rest = (struct hf_str){at + 1, rest->len - part.len - 1};
    }
    return part;
}

bool hf_http_path_split(struct hf_str raw, struct hf_arena *arena, struct hf_http_path *path,
                        struct hf_malformed *malformed)
{
    path->count = 0;
    path->too_long = false;
    if (raw.len == 0 || raw.ptr[0] != '/') {
        return refuse(malformed, "the target is no path");
    }
    struct hf_str rest = {raw.ptr + 1, raw.len - 1};
    while (hf_str_present(rest)) {
        struct hf_str segment;
        if (!decode(cut(&rest, '/'), arena, &segment, malformed)) {
            return false;
        }
        if (path->count == HF_PATH_SEGMENTS_MAX) {
            path->too_long = true;
        } else {
            path->segments[path->count++] = segment;
        }
    }
    return true;
}

bool hf_http_query_parse(struct hf_str raw, struct hf_arena *arena, struct hf_http_query *query,
                         struct hf_malformed *malformed)
{
    query->count = 0;
    struct hf_str rest = raw.len == 0 ? HF_STR_NONE : raw;
    while (hf_str_present(rest)) {
        struct hf_str value = cut(&rest, '&');
        struct hf_str name = cut(&value, '=');
        if (name.len == 0) {
            return refuse(malformed, "a query parameter has no name");
        }
        if (query->count == HF_HTTP_PARAMETERS_MAX) {
            return refuse(malformed, "too many query parameters");
        }
        struct hf_http_parameter *parameter = &query->parameters[query->count];
        if (!decode(name, arena, &parameter->name, malformed) ||
            !decode(hf_str_present(value) ? value : HF_STR(""), arena, &parameter->value,
                    malformed)) {
            return false;
        }
        for (uint32_t i = 0; i < query->count; i++) {
            if (hf_str_equal(query->parameters[i].name, parameter->name)) {
                return hf_malformed_set(malformed, HF_ERR_INVALID_REQUEST, "",
                                        "the query parameter %.*s is given twice",
                                        (int)hf_min_u64(parameter->name.len, 64),
                                        parameter->name.ptr);
            }
        }
        query->count++;
    }
    return true;
}

struct hf_str hf_http_query_get(const struct hf_http_query *query, const char *name)
{
    for (uint32_t i = 0; i < query->count; i++) {
        if (hf_str_equal(query->parameters[i].name, hf_str_from(name))) {
            return query->parameters[i].value;
        }
    }
    return HF_STR_NONE;
}

bool hf_http_query_number(const struct hf_http_query *query, const char *name, uint64_t *value,
                          struct hf_malformed *malformed)
{
    struct hf_str text = hf_http_query_get(query, name);
    return !hf_str_present(text) || hf_json_integer(text, value) ||
           hf_malformed_set(malformed, HF_ERR_INVALID_REQUEST, "",
                            "the query parameter %s is an integer from 0 to 2^53 - 1", name);
}

bool hf_http_query_bool(const struct hf_http_query *query, const char *name, bool *value,
                        struct hf_malformed *malformed)
{
    struct hf_str text = hf_http_query_get(query, name);
    if (!hf_str_present(text)) {
        return true;
    }
    *value = hf_str_equal(text, HF_STR("true"));
    return *value || hf_str_equal(text, HF_STR("false")) ||
           hf_malformed_set(malformed, HF_ERR_INVALID_REQUEST, "",
                            "the query parameter %s is true or false", name);
}

bool hf_http_query_time(const struct hf_http_query *query, const char *name, bool *given,
                        uint64_t *time_us, struct hf_malformed *malformed)
{
    struct hf_str text = hf_http_query_get(query, name);
    *given = hf_str_present(text);
    return !*given || hf_time_parse(text, time_us) ||
           hf_malformed_set(malformed, HF_ERR_INVALID_REQUEST, "",
                            "the query parameter %s is a time, RFC 3339 in UTC, for example "
                            "2020-08-30T17:44:25.000000Z",
                            name);
}
