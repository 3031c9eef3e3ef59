#include "core/push.h"

#include <strings.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/url.h"
#include "core/codec_priv.h"

#define TIMEOUT_MS_DEFAULT 15000u
#define IN_FLIGHT_DEFAULT  8u

static bool refuse(struct hf_malformed *malformed, const char *pointer, const char *text)
{
    return hf_malformed_set(malformed, HF_ERR_INVALID_REQUEST, pointer, "%s", text);
}

static bool keep(struct hf_arena *arena, struct hf_str text, struct hf_str *to,
                 struct hf_malformed *malformed)
{
    *to = hf_arena_copy(arena, text);
    return to->ptr != NULL ||
           hf_malformed_set(malformed, HF_ERR_NO_MEMORY, "", "out of memory while decoding");
}

/* ---- syntax ---- */

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

bool hf_secret_name_valid(struct hf_str name)
{
    bool valid = name.len > 0 && name.len <= HF_SECRET_NAME_BYTES_MAX;
    for (size_t i = 0; valid && i < name.len; i++) {
        valid = is_word_char(name.ptr[i]);
    }
    return valid;
}

/* RFC 9110's token, without the marks that nobody uses in names. */
static bool header_name_valid(struct hf_str name)
{
    bool valid = name.len > 0 && name.len <= HF_PUSH_HEADER_NAME_MAX;
    for (size_t i = 0; valid && i < name.len; i++) {
        valid = is_word_char(name.ptr[i]);
    }
    return valid;
}

static bool has_prefix(struct hf_str name, struct hf_str prefix)
{
    return name.len >= prefix.len && strncasecmp(name.ptr, prefix.ptr, prefix.len) == 0;
}

/* What Holdfast or HTTP itself says. */
static bool header_is_ours(struct hf_str name)
{
    static const char *const whole[] = {
        "host",    "content-length", "content-type", "transfer-encoding", "connection", "expect",
        "trailer", "upgrade",        "te",           "traceparent",       "tracestate",
    };
    bool ours = has_prefix(name, HF_STR("webhook-")) || has_prefix(name, HF_STR("ce-")) ||
                has_prefix(name, HF_STR("proxy-"));
    for (size_t i = 0; !ours && i < HF_ARRAY_COUNT(whole); i++) {
        struct hf_str word = hf_str_from(whole[i]);
        ours = name.len == word.len && has_prefix(name, word);
    }
    return ours;
}

static bool header_value_valid(const struct hf_push_header *header)
{
    if (header->secret) {
        return hf_secret_name_valid(header->value);
    }
    bool valid = header->value.len > 0 && header->value.len <= HF_PUSH_HEADER_VALUE_MAX;
    for (size_t i = 0; valid && i < header->value.len; i++) {
        valid = header->value.ptr[i] >= ' ' && header->value.ptr[i] <= '~';
    }
    return valid;
}

static bool make_headers(const struct hf_push_fields *fields, struct hf_arena *arena,
                         struct hf_push *push, struct hf_malformed *malformed)
{
    if (fields->header_count > HF_PUSH_HEADERS_MAX) {
        return refuse(malformed, "/push/headers", "at most 16 headers");
    }
    for (uint32_t i = 0; i < fields->header_count; i++) {
        const struct hf_push_header *header = &fields->headers[i];
        if (!header_name_valid(header->name) || header_is_ours(header->name)) {
            return refuse(malformed, "/push/headers",
                          "a header's name is 1 to 64 of A-Z a-z 0-9 . _ - and none that Holdfast "
                          "or HTTP sets: webhook-…, ce-…, content-type, traceparent");
        }
        if (!header_value_valid(header)) {
            return refuse(malformed, "/push/headers",
                          "a header's value is 1 to 1024 printable characters, or "
                          "{\"secret\":\"name\"} of a secret in the file of serve --secrets");
        }
        push->headers[i].secret = header->secret;
        if (!keep(arena, header->name, &push->headers[i].name, malformed) ||
            !keep(arena, header->value, &push->headers[i].value, malformed)) {
            return false;
        }
        push->header_count = i + 1;
    }
    return true;
}

static bool make_secrets(const struct hf_push_fields *fields, struct hf_arena *arena,
                         struct hf_push *push, struct hf_malformed *malformed)
{
    if (fields->secret_count > HF_PUSH_SECRETS_MAX) {
        return refuse(malformed, "/push/secrets", "at most 2 secrets: the old and the new one");
    }
    for (uint32_t i = 0; i < fields->secret_count; i++) {
        if (!hf_secret_name_valid(fields->secrets[i])) {
            return refuse(malformed, "/push/secrets",
                          "the name of a secret in the file of serve --secrets: 1 to 64 of A-Z a-z "
                          "0-9 . _ -");
        }
        if (!keep(arena, fields->secrets[i], &push->secrets[i], malformed)) {
            return false;
        }
        push->secret_count = i + 1;
    }
    return true;
}

static bool make_numbers(const struct hf_push_fields *fields, struct hf_push *push,
                         struct hf_malformed *malformed)
{
    uint64_t timeout_ms = fields->has_timeout_ms ? fields->timeout_ms : TIMEOUT_MS_DEFAULT;
    uint64_t in_flight = fields->has_in_flight_max ? fields->in_flight_max : IN_FLIGHT_DEFAULT;
    if (timeout_ms < HF_PUSH_TIMEOUT_MS_MIN || timeout_ms > HF_PUSH_TIMEOUT_MS_MAX) {
        return refuse(malformed, "/push/timeout_ms", "from 1000 to 30000");
    }
    if (in_flight < 1 || in_flight > HF_PUSH_IN_FLIGHT_MAX) {
        return refuse(malformed, "/push/in_flight_max", "from 1 to 1000");
    }
    push->timeout_ms = (uint32_t)timeout_ms;
    push->in_flight_max = (uint32_t)in_flight;
    return true;
}

static bool make_mode(struct hf_str text, struct hf_push *push, struct hf_malformed *malformed)
{
    bool structured = hf_str_equal(text, HF_STR("structured"));
    push->mode = structured ? HF_PUSH_STRUCTURED : HF_PUSH_BINARY;
    return !hf_str_present(text) || structured || hf_str_equal(text, HF_STR("binary")) ||
           refuse(malformed, "/push/mode", "binary or structured");
}

bool hf_push_make(const struct hf_push_fields *fields, struct hf_arena *arena,
                  const struct hf_push **made, struct hf_malformed *malformed)
{
    char target[HF_URL_TARGET_BYTES];
    const char *why = "is missing";
    *made = NULL;
    if (!fields->given) {
        return true;
    }
    struct hf_push *push = hf_arena_alloc_zero(arena, 1, sizeof(*push));
    if (push == NULL) {
        return hf_malformed_set(malformed, HF_ERR_NO_MEMORY, "", "out of memory while decoding");
    }
    if (!hf_str_present(fields->url) || !hf_url_target(fields->url, target, &why)) {
        return refuse(malformed, "/push/url", why);
    }
    *made = push;
    return keep(arena, fields->url, &push->url, malformed) &&
           make_mode(fields->mode, push, malformed) &&
           make_secrets(fields, arena, push, malformed) && make_numbers(fields, push, malformed) &&
           make_headers(fields, arena, push, malformed);
}

/* ---- copies ---- */

/* Every text of it, one after the other: at is 0, 1, …; NULL behind the last. */
static struct hf_str *text_at(struct hf_push *push, uint32_t at)
{
    if (at < 2) {
        return at == 0 ? &push->url : &push->disabled_reason;
    }
    at -= 2;
    if (at < push->secret_count) {
        return &push->secrets[at];
    }
    at -= push->secret_count;
    if (at < 2 * push->header_count) {
        struct hf_push_header *header = &push->headers[at / 2];
        return at % 2 == 0 ? &header->name : &header->value;
    }
    return NULL;
}

struct hf_push *hf_push_copy(const struct hf_push *push)
{
    if (push == NULL) {
        return NULL;
    }
    struct hf_push shallow = *push;
    struct hf_str *text;
    size_t bytes = 0;
    for (uint32_t i = 0; (text = text_at(&shallow, i)) != NULL; i++) {
        bytes += text->len;
    }
    struct hf_push *copy = hf_malloc(sizeof(*copy) + bytes);
    if (copy == NULL) {
        return NULL;
    }
    *copy = shallow;
    char *at = (char *)(copy + 1);
    for (uint32_t i = 0; (text = text_at(copy, i)) != NULL; i++) {
        if (text->len > 0) {
            memcpy(at, text->ptr, text->len);
            text->ptr = at;
            at += text->len;
        }
    }
    return copy;
}

bool hf_push_equal(const struct hf_push *a, const struct hf_push *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    bool same = hf_str_equal(a->url, b->url) && a->mode == b->mode &&
                a->secret_count == b->secret_count && a->timeout_ms == b->timeout_ms &&
                a->in_flight_max == b->in_flight_max && a->header_count == b->header_count;
    for (uint32_t i = 0; same && i < a->secret_count; i++) {
        same = hf_str_equal(a->secrets[i], b->secrets[i]);
    }
    for (uint32_t i = 0; same && i < a->header_count; i++) {
        const struct hf_push_header *left = &a->headers[i];
        const struct hf_push_header *right = &b->headers[i];
        same = left->secret == right->secret && hf_str_equal(left->name, right->name) &&
               hf_str_equal(left->value, right->value);
    }
    return same;
}

const char *hf_push_state_wire(enum hf_push_state state)
{
    static const char *const wires[] = {
        [HF_PUSH_WAITING] = "waiting",
        [HF_PUSH_SENDING] = "sending",
        [HF_PUSH_HELD_BACK] = "held_back",
        [HF_PUSH_DISABLED] = "disabled",
        [HF_PUSH_SECRET_MISSING] = "secret_missing",
    };
    return wires[state];
}

/* ---- as it is stored ---- */

static void check_read(struct hf_codec *codec, bool good, const char *what)
{
    if (!hf_codec_writing(codec) && hf_codec_ok(codec) && !good) {
        hf_codec_fail(codec, what);
    }
}

static void code_headers(struct hf_codec *codec, struct hf_push *push)
{
    hf_code_u32(codec, &push->header_count, HF_PUSH_HEADERS_MAX, "push headers");
    for (uint32_t i = 0; i < push->header_count && hf_codec_ok(codec); i++) {
        struct hf_push_header *header = &push->headers[i];
        hf_code_text(codec, &header->name, HF_PUSH_HEADER_NAME_MAX, "push header");
        hf_code_bool(codec, &header->secret, "push header");
        hf_code_text(codec, &header->value, HF_PUSH_HEADER_VALUE_MAX, "push header");
        check_read(codec, header_name_valid(header->name) && header_value_valid(header),
                   "push header");
    }
}

void hf_code_push(struct hf_codec *codec, struct hf_push *push)
{
    char target[HF_URL_TARGET_BYTES];
    const char *why;
    hf_code_text(codec, &push->url, HF_URL_BYTES_MAX, "push url");
    check_read(codec, hf_codec_ok(codec) && hf_url_target(push->url, target, &why), "push url");
    HF_CODE_ENUM(codec, push->mode, HF_PUSH_STRUCTURED, "push mode");
    hf_code_u32(codec, &push->secret_count, HF_PUSH_SECRETS_MAX, "push secrets");
    for (uint32_t i = 0; i < push->secret_count && hf_codec_ok(codec); i++) {
        hf_code_text(codec, &push->secrets[i], HF_SECRET_NAME_BYTES_MAX, "push secret");
        check_read(codec, hf_secret_name_valid(push->secrets[i]), "push secret");
    }
    hf_code_u32(codec, &push->timeout_ms, HF_PUSH_TIMEOUT_MS_MAX, "push timeout");
    check_read(codec, push->timeout_ms >= HF_PUSH_TIMEOUT_MS_MIN, "push timeout");
    hf_code_u32(codec, &push->in_flight_max, HF_PUSH_IN_FLIGHT_MAX, "push in flight max");
    check_read(codec, push->in_flight_max > 0, "push in flight max");
    code_headers(codec, push);
    hf_code_u64(codec, &push->disabled_us, UINT64_MAX, "push disabled at");
    if (push->disabled_us != 0) {
        hf_code_text(codec, &push->disabled_reason, HF_PUSH_REASON_BYTES_MAX, "push reason");
    }
}
