/* What a step does: a call, native operations, a timer, an event, or nothing. */
#include "base/time_text.h"
#include "base/url.h"
#include "core/saga_definition_priv.h"

#define HEADER_NAME_BYTES_MAX 64u
#define SECRET_NAME_BYTES_MAX 64u
#define KEY_BYTES_MAX         (16u + HF_NAME_BYTES_MAX) /* of an event's partition key */

struct call_fields {
    struct hf_str url;
    struct hf_str body, headers, ops, until, event; /* JSON */
    bool has_envelope, envelope;
    bool has_sleep_ms;
    uint64_t sleep_ms;
};

static const struct hf_member call_members[] = {
    HF_MEMBER(call_fields, url, HF_FORM_TEXT),
    HF_MEMBER(call_fields, body, HF_FORM_RAW),
    HF_MEMBER(call_fields, headers, HF_FORM_RAW),
    HF_MEMBER_FLAGGED(call_fields, envelope, HF_FORM_BOOL, has_envelope),
    {.name = {"do", 2}, .form = HF_FORM_RAW, .value = offsetof(struct call_fields, ops)},
    HF_MEMBER_FLAGGED(call_fields, sleep_ms, HF_FORM_INTEGER, has_sleep_ms),
    HF_MEMBER(call_fields, until, HF_FORM_RAW),
    HF_MEMBER(call_fields, event, HF_FORM_RAW),
};

/* A template that becomes a string: a JSON string, or one copy or join as a whole. */
static bool take_string(struct hf_saga_parsing *p, const char *member, struct hf_str json,
                        uint64_t sources, struct hf_template *to)
{
    size_t before = hf_place_enter(p->place, hf_str_from(member));
    if (!hf_saga_take_template(p, json, sources, to)) {
        return false;
    }
    if (json.ptr[0] != '"' && !hf_template_is_copy(json)) {
        return hf_saga_refuse(p, NULL, "must be a string or a template");
    }
    hf_place_leave(p->place, before);
    return true;
}

/* The characters of a constant one. */
static struct hf_str text_of(struct hf_saga_parsing *p, const struct hf_template *string)
{
    struct hf_json json;
    hf_json_init(&json, string->text, p->arena);
    (void)hf_json_next(&json);
    return hf_json_string(&json, p->arena);
}

/* ---- headers ---- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Do the first with.len characters agree, in any case? with is in lower case. */
static bool begins_with(struct hf_str text, struct hf_str with)
{
    size_t i = 0;
    while (i < with.len && i < text.len && lower(text.ptr[i]) == with.ptr[i]) {
        i++;
    }
    return i == with.len;
}

static bool same_name(struct hf_str a, struct hf_str b)
{
    size_t i = 0;
    while (i < a.len && i < b.len && lower(a.ptr[i]) == lower(b.ptr[i])) {
        i++;
    }
    return i == a.len && i == b.len;
}

static bool is_header_name(struct hf_str name)
{
    bool fits = name.len > 0 && name.len <= HEADER_NAME_BYTES_MAX;
    for (size_t i = 0; fits && i < name.len; i++) {
        char c = lower(name.ptr[i]);
        fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
               (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
    }
    return fits;
}

/* Those that we send, and those that are the connection's. */
static bool is_ours(struct hf_str name)
{
    static const struct hf_str names[] = {
        {"idempotency-key", 15},  {"host", 4},    {"content-length", 14},
        {"content-type", 12},     {"te", 2},      {"content-encoding", 16},
        {"connection", 10},       {"trailer", 7}, {"transfer-encoding", 17},
        {"keep-alive", 10},       {"upgrade", 7}, {"expect", 6},
        {"proxy-connection", 16}, {"date", 4},    {"proxy-authorization", 19},
        {"accept-encoding", 15},  {"range", 5},   {"traceparent", 11},
        {"tracestate", 10},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(names); i++) {
        if (same_name(name, names[i])) {
            return true;
        }
    }
    return begins_with(name, HF_STR("saga-")) || begins_with(name, HF_STR("webhook-"));
}

bool hf_saga_header_value_valid(struct hf_str value)
{
    bool fits = value.len <= HF_SAGA_HEADER_BYTES_MAX;
    for (size_t i = 0; fits && i < value.len; i++) {
        bool blank = value.ptr[i] == ' ' || value.ptr[i] == '\t';
        bool edge = i == 0 || i + 1 == value.len;
        fits = blank ? !edge : value.ptr[i] > ' ' && value.ptr[i] <= '~';
    }
    return fits;
}

static bool is_secret_name(struct hf_str name)
{
    bool fits = name.len > 0 && name.len <= SECRET_NAME_BYTES_MAX;
    for (size_t i = 0; fits && i < name.len; i++) {
        char c = lower(name.ptr[i]);
        fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    }
    return fits;
}

struct secret_fields {
    struct hf_str secret;
};

static const struct hf_member secret_members[] = {
    HF_MEMBER(secret_fields, secret, HF_FORM_TEXT),
};

/* The place is the header's. */
static bool take_header_value(struct hf_saga_parsing *p, struct hf_str json, uint64_t sources,
                              struct hf_saga_header *header)
{
    if (json.ptr[0] == '{' && !hf_template_is_copy(json)) {
        struct secret_fields fields = {0};
        if (!hf_saga_object(p, json, secret_members, HF_ARRAY_COUNT(secret_members), &fields)) {
            return false;
        }
        header->secret = fields.secret;
        return is_secret_name(fields.secret) ||
               hf_saga_refuse(p, "secret",
                              "a secret's name is 1 to 64 characters of A-Z a-z 0-9 . _ -");
    }
    if (!hf_saga_take_template(p, json, sources, &header->value)) {
        return false;
    }
    if (json.ptr[0] != '"' && !hf_template_is_copy(json)) {
        return hf_saga_refuse(p, NULL, "a header is a string, a template or {\"secret\":\"name\"}");
    }
    if (!header->value.constant) {
        return true;
    }
    struct hf_str text = text_of(p, &header->value);
    if (!hf_str_present(text)) {
        return hf_saga_short_memory(p);
    }
    return hf_saga_header_value_valid(text) ||
           hf_saga_refuse(p, NULL,
                          "a header's value is at most %u visible ASCII characters, blanks only "
                          "inside",
                          HF_SAGA_HEADER_BYTES_MAX);
}

static bool take_header_name(struct hf_saga_parsing *p, const struct hf_saga_call *call,
                             struct hf_str name)
{
    if (!is_header_name(name)) {
        return hf_saga_refuse(p, NULL, "this is no header's name of 1 to 64 characters");
    }
    if (is_ours(name)) {
        return hf_saga_refuse(p, NULL, "this header is not a definition's to set");
    }
    for (uint32_t i = 0; i < call->header_count; i++) {
        if (same_name(call->headers[i].name, name)) {
            return hf_saga_refuse(p, NULL, "this header is there already");
        }
    }
    return true;
}

static bool take_headers(struct hf_saga_parsing *p, struct hf_str json, uint64_t sources,
                         struct hf_saga_call *call)
{
    struct hf_json reading;
    struct hf_saga_header *headers =
        hf_arena_alloc_zero(p->arena, HF_SAGA_HEADERS_MAX, sizeof(*headers));
    if (headers == NULL) {
        return hf_saga_short_memory(p);
    }
    call->headers = headers;
    size_t before = hf_place_enter(p->place, HF_STR("headers"));
    hf_json_init(&reading, json, p->arena);
    if (hf_json_next(&reading) != HF_JSON_OBJECT_BEGIN) {
        return hf_saga_refuse(p, NULL, "must be an object of headers");
    }
    while (hf_json_next(&reading) == HF_JSON_NAME) {
        if (call->header_count == HF_SAGA_HEADERS_MAX) {
            return hf_saga_refuse(p, NULL, "a call has at most %u headers", HF_SAGA_HEADERS_MAX);
        }
        struct hf_str value;
        struct hf_str name = hf_json_string(&reading, p->arena);
        if (!hf_str_present(name) || !hf_json_skip(&reading, &value)) {
            return hf_saga_short_memory(p);
        }
        size_t at = hf_place_enter_name(p->place, name);
        struct hf_saga_header *header = &headers[call->header_count];
        if (!take_header_name(p, call, name) || !take_header_value(p, value, sources, header)) {
            return false;
        }
        hf_place_leave(p->place, at);
        header->name = name;
        call->header_count++;
    }
    hf_place_leave(p->place, before);
    return reading.token == HF_JSON_OBJECT_END || hf_saga_short_memory(p);
}

/* ---- kinds ---- */

static bool take_http(struct hf_saga_parsing *p, const struct call_fields *fields, uint64_t sources,
                      struct hf_saga_call *call)
{
    char target[HF_URL_TARGET_BYTES];
    const char *why;
    call->kind = HF_CALL_HTTP;
    call->url = fields->url;
    call->envelope = fields->has_envelope && fields->envelope;
    if (!hf_url_target(fields->url, target, &why)) {
        return hf_saga_refuse(p, "url", "the URL %s", why);
    }
    call->target = hf_arena_copy(p->arena, hf_str_from(target));
    if (!hf_str_present(call->target)) {
        return hf_saga_short_memory(p);
    }
    if (hf_str_present(fields->body)) {
        size_t before = hf_place_enter(p->place, HF_STR("body"));
        if (!hf_saga_take_template(p, fields->body, sources, &call->body)) {
            return false;
        }
        hf_place_leave(p->place, before);
    }
    return !hf_str_present(fields->headers) || take_headers(p, fields->headers, sources, call);
}

static bool take_native(struct hf_saga_parsing *p, struct hf_str json, uint64_t sources,
                        struct hf_saga_call *call)
{
    struct hf_json reading;
    struct hf_template *ops = hf_arena_alloc_zero(p->arena, HF_SAGA_OPS_MAX, sizeof(*ops));
    if (ops == NULL) {
        return hf_saga_short_memory(p);
    }
    call->kind = HF_CALL_NATIVE;
    call->ops = ops;
    size_t before = hf_place_enter(p->place, HF_STR("do"));
    hf_json_init(&reading, json, p->arena);
    if (hf_json_next(&reading) != HF_JSON_ARRAY_BEGIN) {
        return hf_saga_refuse(p, NULL, "must be an array of operations");
    }
    while (hf_json_next(&reading) != HF_JSON_ARRAY_END) {
        struct hf_str op;
        if (call->op_count == HF_SAGA_OPS_MAX) {
            return hf_saga_refuse(p, NULL, "a step has at most %u operations", HF_SAGA_OPS_MAX);
        }
        if (!hf_json_skip(&reading, &op)) {
            return hf_saga_short_memory(p);
        }
        size_t at = hf_place_enter_index(p->place, call->op_count);
        struct hf_template *template_ = &ops[call->op_count++];
        if (!hf_saga_take_template(p, op, sources, template_) || !hf_saga_check_op(p, template_)) {
            return false;
        }
        hf_place_leave(p->place, at);
    }
    if (call->op_count == 0) {
        return hf_saga_refuse(p, NULL, "do needs at least one operation");
    }
    hf_place_leave(p->place, before);
    return true;
}

static bool take_until(struct hf_saga_parsing *p, struct hf_str json, uint64_t sources,
                       struct hf_saga_call *call)
{
    uint64_t time_us;
    call->kind = HF_CALL_UNTIL;
    if (!take_string(p, "until", json, sources, &call->until)) {
        return false;
    }
    if (!call->until.constant) {
        return true;
    }
    struct hf_str text = text_of(p, &call->until);
    if (!hf_str_present(text)) {
        return hf_saga_short_memory(p);
    }
    return hf_time_parse(text, &time_us) ||
           hf_saga_refuse(p, "until",
                          "a time is RFC 3339 in UTC, for example 2020-08-30T17:44:25.000000Z");
}

struct event_fields {
    struct hf_str type;
    struct hf_str key; /* JSON */
};

static const struct hf_member event_members[] = {
    HF_MEMBER(event_fields, type, HF_FORM_TEXT),
    HF_MEMBER(event_fields, key, HF_FORM_RAW),
};

static bool is_event_type(struct hf_str type)
{
    bool visible = type.len > 0 && type.len <= HF_TYPE_BYTES_MAX;
    for (size_t i = 0; visible && i < type.len; i++) {
        visible = type.ptr[i] > ' ' && type.ptr[i] <= '~';
    }
    return visible;
}

/* Its key is known when the saga starts, so that no event is missed: no step has a result then. */
static bool take_event(struct hf_saga_parsing *p, struct hf_str json, struct hf_saga_call *call)
{
    struct event_fields fields = {0};
    call->kind = HF_CALL_EVENT;
    size_t before = hf_place_enter(p->place, HF_STR("event"));
    if (!hf_saga_object(p, json, event_members, HF_ARRAY_COUNT(event_members), &fields)) {
        return false;
    }
    if (!hf_str_present(fields.type) || !is_event_type(fields.type)) {
        return hf_saga_refuse(p, "type",
                              "an event's type is 1 to 128 characters of U+0021 to U+007E");
    }
    if (!hf_str_present(fields.key)) {
        return hf_saga_refuse(p, "key", "which partition key has the event?");
    }
    call->event_type = fields.type;
    if (!take_string(p, "key", fields.key, 0, &call->event_key)) {
        return false;
    }
    if (call->event_key.constant) {
        struct hf_str key = text_of(p, &call->event_key);
        if (!hf_str_present(key)) {
            return hf_saga_short_memory(p);
        }
        if (key.len == 0 || key.len > KEY_BYTES_MAX) {
            return hf_saga_refuse(p, "key", "a partition key has 1 to %u bytes", KEY_BYTES_MAX);
        }
    }
    hf_place_leave(p->place, before);
    return true;
}

/* The first member that only a call by HTTP has, NULL: none. */
static const char *of_http(const struct call_fields *fields)
{
    return hf_str_present(fields->body)      ? "body"
           : hf_str_present(fields->headers) ? "headers"
           : fields->has_envelope            ? "envelope"
                                             : NULL;
}

bool hf_saga_take_call(struct hf_saga_parsing *p, struct hf_str json, bool compensation,
                       uint64_t sources, struct hf_saga_call *call)
{
    struct call_fields fields = {0};
    if (!hf_saga_object(p, json, call_members, HF_ARRAY_COUNT(call_members), &fields)) {
        return false;
    }
    bool http = hf_str_present(fields.url);
    bool native = hf_str_present(fields.ops);
    bool until = hf_str_present(fields.until);
    bool event = hf_str_present(fields.event);
    int kinds = http + native + until + event + fields.has_sleep_ms;
    if (compensation && (kinds != 1 || !(http || native))) {
        return hf_saga_refuse(p, NULL, "a compensation has either url or do");
    }
    if (kinds > 1) {
        return hf_saga_refuse(p, NULL, "an action has one of url, do, sleep_ms, until and event");
    }
    if (!http && of_http(&fields) != NULL) {
        return hf_saga_refuse(p, of_http(&fields), "this goes with url alone");
    }
    if (http) {
        return take_http(p, &fields, sources, call);
    }
    if (native) {
        return take_native(p, fields.ops, sources, call);
    }
    if (until) {
        return take_until(p, fields.until, sources, call);
    }
    if (event) {
        return take_event(p, fields.event, call);
    }
    call->kind = fields.has_sleep_ms ? HF_CALL_SLEEP : HF_CALL_NONE;
    return !fields.has_sleep_ms || hf_saga_number(p, "sleep_ms", true, fields.sleep_ms, 0, 1,
                                                  HF_SAGA_MS_MAX, &call->sleep_ms);
}
