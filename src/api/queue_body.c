#include "api/queue_body.h"

#include <stdio.h>

#include "base/json.h"
#include "base/time_text.h"

enum form {
    FORM_TEXT,     /* a string */
    FORM_INTEGER,  /* an integer below 2^53; with a flag */
    FORM_BOOL,     /* true or false */
    FORM_FILTER,   /* an object */
    FORM_BACKOFF,  /* an object */
    FORM_PUSH,     /* an object */
    FORM_SEEK,     /* "beginning", "now", {"position"}, {"time"} */
    FORM_RECEIPTS, /* an array of strings */
    FORM_ITEMS,    /* an array of objects */
};

/* Where a member's value goes in struct hf_queue_body. */
struct member {
    struct hf_str name;
    enum form form;
    size_t value;
    size_t flag; /* INTEGER: it is there */
};

#define AT(field) offsetof(struct hf_queue_body, field)
#define TEXT(name, field)                                                                          \
    {                                                                                              \
        {name, sizeof(name) - 1}, FORM_TEXT, AT(field), 0                                          \
    }
#define NUMBER(name, field, flag)                                                                  \
    {                                                                                              \
        {name, sizeof(name) - 1}, FORM_INTEGER, AT(field), AT(flag)                                \
    }
#define BOOL(name, field)                                                                          \
    {                                                                                              \
        {name, sizeof(name) - 1}, FORM_BOOL, AT(field), 0                                          \
    }
#define OTHER(name, form)                                                                          \
    {                                                                                              \
        {name, sizeof(name) - 1}, form, 0, 0                                                       \
    }
#define END                                                                                        \
    {                                                                                              \
        {NULL, 0}, FORM_TEXT, 0, 0                                                                 \
    }

static const struct member put_members[] = {
    OTHER("filter", FORM_FILTER),
    OTHER("from", FORM_SEEK),
    TEXT("order", fields.order),
    NUMBER("attempts_max", fields.attempts_max, fields.has_attempts_max),
    NUMBER("lease_ms", fields.lease_ms, fields.has_lease_ms),
    OTHER("backoff", FORM_BACKOFF),
    TEXT("exhausted", fields.exhausted),
    NUMBER("in_flight_max", fields.in_flight_max, fields.has_in_flight_max),
    OTHER("push", FORM_PUSH),
    END,
};
static const struct member receive_members[] = {
    NUMBER("max", fields.max, fields.has_max),
    NUMBER("wait_ms", wait_ms, has_wait_ms),
    NUMBER("lease_ms", fields.lease_ms, fields.has_lease_ms),
    TEXT("attempt", fields.attempt),
    TEXT("consumer", fields.consumer),
    END,
};
static const struct member ack_members[] = {OTHER("receipts", FORM_RECEIPTS), END};
static const struct member nack_members[] = {
    OTHER("receipts", FORM_RECEIPTS),
    OTHER("items", FORM_ITEMS),
    NUMBER("delay_ms", delay_ms, has_delay_ms),
    TEXT("error", error),
    END,
};
static const struct member extend_members[] = {
    OTHER("receipts", FORM_RECEIPTS),
    NUMBER("lease_ms", fields.lease_ms, fields.has_lease_ms),
    END,
};
static const struct member park_members[] = {
    OTHER("receipts", FORM_RECEIPTS),
    TEXT("error", error),
    END,
};
static const struct member redrive_members[] = {
    TEXT("message", fields.message),
    TEXT("key", fields.key),
    BOOL("all", fields.all),
    BOOL("cancel", fields.cancel),
    BOOL("discard", fields.discard),
    NUMBER("rate_per_s", fields.rate_per_s, fields.has_rate_per_s),
    TEXT("error_contains", fields.error_contains),
    END,
};
static const struct member seek_members[] = {OTHER("to", FORM_SEEK), END};
static const struct member backoff_members[] = {
    NUMBER("first_ms", fields.backoff_first_ms, fields.has_backoff_first_ms),
    NUMBER("max_ms", fields.backoff_max_ms, fields.has_backoff_max_ms),
    END,
};

#define PLACE_BYTES 64

struct reading {
    struct hf_json json;
    struct hf_arena *arena;
    struct hf_queue_body *body;
    struct hf_malformed *malformed;
    char place[PLACE_BYTES]; /* JSON pointer of the object or array that is open: "/items/3" */
};

/* ---- refusals ---- */

static bool refuse_at(struct reading *r, struct hf_str member, const char *what)
{
    char pointer[PLACE_BYTES + 40];
    int name_bytes = member.len > 32 ? 0 : (int)member.len; /* a longer one is none of ours */
    (void)snprintf(pointer, sizeof(pointer), "%s%s%.*s", r->place, name_bytes > 0 ? "/" : "",
                   name_bytes, name_bytes > 0 ? member.ptr : "");
    return hf_malformed_set(r->malformed, HF_ERR_INVALID_REQUEST, pointer, "%s", what);
}

/* Another token than wanted: bad text, or a value of another type. */
static bool refuse_token(struct reading *r, struct hf_str member, const char *wanted)
{
    struct hf_error error = {0};
    if (r->json.token != HF_JSON_ERROR) {
        return refuse_at(r, member, wanted);
    }
    enum hf_err code = hf_json_error(&r->json, &error);
    return hf_malformed_set(r->malformed, code, "", "%s", error.text);
}

static bool short_memory(struct reading *r)
{
    return hf_malformed_set(r->malformed, HF_ERR_NO_MEMORY, "", "out of memory while decoding");
}

/* A name that a pointer can hold as it is is told in it. */
static bool refuse_member(struct reading *r)
{
    struct hf_str name = hf_json_string(&r->json, r->arena);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '_' || c == '-';
        if (!plain) {
            name.len = 0;
        }
    }
    return refuse_at(r, name, "unknown member");
}

/* ---- values: the current token is the member's name ---- */

static bool string_of(struct reading *r, struct hf_str *text)
{
    *text = hf_json_string(&r->json, r->arena);
    return hf_str_present(*text) || short_memory(r);
}

static bool take_text(struct reading *r, struct hf_str name, struct hf_str *text)
{
    if (hf_json_next(&r->json) != HF_JSON_STRING) {
        return refuse_token(r, name, "must be a string");
    }
    return string_of(r, text);
}

static bool take_integer(struct reading *r, struct hf_str name, uint64_t *value)
{
    if (hf_json_next(&r->json) != HF_JSON_NUMBER || !hf_json_integer(r->json.raw, value)) {
        return refuse_token(r, name, "must be an integer from 0 to 2^53 - 1");
    }
    return true;
}

static bool take_bool(struct reading *r, struct hf_str name, bool *value)
{
    enum hf_json_token token = hf_json_next(&r->json);
    if (token != HF_JSON_TRUE && token != HF_JSON_FALSE) {
        return refuse_token(r, name, "must be true or false");
    }
    *value = token == HF_JSON_TRUE;
    return true;
}

/* Goes down by a step; returns what to go back to. Steps are short. */
static size_t enter(struct reading *r, const char *step)
{
    size_t before = strlen(r->place);
    (void)snprintf(r->place + before, sizeof(r->place) - before, "/%s", step);
    return before;
}

static size_t enter_index(struct reading *r, size_t index)
{
    char digits[24];
    (void)snprintf(digits, sizeof(digits), "%zu", index);
    return enter(r, digits);
}

static bool take_types(struct reading *r)
{
    struct hf_filter_fields *filter = &r->body->fields.filter;
    struct hf_str *types = hf_arena_alloc_zero(r->arena, HF_FILTER_TYPES_MAX, sizeof(*types));
    if (types == NULL) {
        return short_memory(r);
    }
    if (hf_json_next(&r->json) != HF_JSON_ARRAY_BEGIN) {
        return refuse_token(r, HF_STR("types"), "must be an array of strings");
    }
    filter->types = types;
    while (hf_json_next(&r->json) != HF_JSON_ARRAY_END) {
        if (filter->type_count == HF_FILTER_TYPES_MAX) {
            return refuse_at(r, HF_STR("types"), "at most 16 types");
        }
        if (r->json.token != HF_JSON_STRING) {
            return refuse_token(r, HF_STR("types"), "must be an array of strings");
        }
        if (!string_of(r, &types[filter->type_count++])) {
            return false;
        }
    }
    return filter->type_count > 0 || refuse_at(r, HF_STR("types"), "names no type");
}

static bool take_filter(struct reading *r, struct hf_str name)
{
    struct hf_filter_fields *filter = &r->body->fields.filter;
    if (hf_json_next(&r->json) != HF_JSON_OBJECT_BEGIN) {
        return refuse_token(r, name, "must be an object");
    }
    size_t before = enter(r, "filter");
    while (hf_json_next(&r->json) == HF_JSON_NAME) {
        bool ok;
        if (hf_json_is(&r->json, HF_STR("topic"))) {
            ok = take_text(r, HF_STR("topic"), &filter->topic);
        } else if (hf_json_is(&r->json, HF_STR("prefix"))) {
            ok = take_text(r, HF_STR("prefix"), &filter->prefix);
        } else if (hf_json_is(&r->json, HF_STR("asset"))) {
            ok = take_text(r, HF_STR("asset"), &filter->asset);
        } else if (hf_json_is(&r->json, HF_STR("bucket"))) {
            ok = take_text(r, HF_STR("bucket"), &filter->bucket);
        } else if (hf_json_is(&r->json, HF_STR("types"))) {
            ok = take_types(r);
        } else {
            ok = refuse_member(r);
        }
        if (!ok) {
            return false;
        }
    }
    r->place[before] = '\0';
    r->body->has_filter = true;
    return r->json.token == HF_JSON_OBJECT_END || refuse_token(r, name, "must be an object");
}

/* {"position":N} or {"time":"…"} */
static bool take_seek_object(struct reading *r, struct hf_str name)
{
    struct hf_seek *seek = &r->body->fields.seek;
    char step[8];
    (void)snprintf(step, sizeof(step), "%.*s", (int)name.len, name.ptr);
    size_t before = enter(r, step);
    while (hf_json_next(&r->json) == HF_JSON_NAME) {
        bool is_position = hf_json_is(&r->json, HF_STR("position"));
        if (!is_position && !hf_json_is(&r->json, HF_STR("time"))) {
            return refuse_member(r);
        }
        if (seek->kind != 0) {
            return refuse_at(r, HF_STR(""), "give either position or time");
        }
        seek->kind = is_position ? HF_SEEK_POSITION : HF_SEEK_TIME;
        if (is_position ? !take_integer(r, HF_STR("position"), &seek->position)
                        : !take_text(r, HF_STR("time"), &r->body->time)) {
            return false;
        }
        if (!is_position && !hf_time_parse(r->body->time, &seek->time_us)) {
            return refuse_at(r, HF_STR("time"), "must be a time: 2030-01-31T12:00:00Z");
        }
    }
    if (r->json.token != HF_JSON_OBJECT_END || seek->kind == 0) {
        return refuse_token(r, HF_STR(""), "must be {\"position\"} or {\"time\"}");
    }
    r->place[before] = '\0';
    return true;
}

static bool take_seek(struct reading *r, struct hf_str name)
{
    struct hf_seek *seek = &r->body->fields.seek;
    enum hf_json_token token = hf_json_next(&r->json);
    if (token == HF_JSON_OBJECT_BEGIN) {
        return take_seek_object(r, name);
    }
    if (token == HF_JSON_STRING && hf_json_is(&r->json, HF_STR("beginning"))) {
        seek->kind = HF_SEEK_BEGINNING;
    } else if (token == HF_JSON_STRING && hf_json_is(&r->json, HF_STR("now"))) {
        seek->kind = HF_SEEK_NOW;
    } else {
        return refuse_token(r, name,
                            "must be \"beginning\", \"now\", {\"position\"} or {\"time\"}");
    }
    return true;
}

/* ---- receipts ---- */

/* A further item; NULL: composed. */
static struct hf_act_fields *add_item(struct reading *r, struct hf_str name)
{
    struct hf_queue_fields *fields = &r->body->fields;
    uint32_t count = fields->item_count;
    if (count == HF_RECEIVE_MAX) {
        (void)refuse_at(r, name, "at most 1,000 receipts");
        return NULL;
    }
    if (count == r->body->item_capacity) {
        uint32_t capacity = count == 0 ? 16 : 4 * count;
        struct hf_act_fields *items = hf_arena_alloc_zero(r->arena, capacity, sizeof(*items));
        if (items == NULL) {
            (void)short_memory(r);
            return NULL;
        }
        if (count > 0) {
            memcpy(items, r->body->own_items, count * sizeof(*items));
        }
        r->body->own_items = items;
        r->body->item_capacity = capacity;
        fields->items = items;
    }
    fields->item_count++;
    return &r->body->own_items[count];
}

static bool take_receipts(struct reading *r, struct hf_str name)
{
    if (hf_json_next(&r->json) != HF_JSON_ARRAY_BEGIN) {
        return refuse_token(r, name, "must be an array of receipts");
    }
    r->body->has_receipts = true;
    while (hf_json_next(&r->json) != HF_JSON_ARRAY_END) {
        if (r->json.token != HF_JSON_STRING) {
            return refuse_token(r, name, "must be an array of receipts");
        }
        struct hf_act_fields *item = add_item(r, name);
        if (item == NULL || !string_of(r, &item->receipt)) {
            return false;
        }
    }
    return true;
}

static bool take_item(struct reading *r, struct hf_act_fields *item)
{
    while (hf_json_next(&r->json) == HF_JSON_NAME) {
        bool ok;
        if (hf_json_is(&r->json, HF_STR("receipt"))) {
            ok = take_text(r, HF_STR("receipt"), &item->receipt);
        } else if (hf_json_is(&r->json, HF_STR("error"))) {
            ok = take_text(r, HF_STR("error"), &item->error);
        } else if (hf_json_is(&r->json, HF_STR("delay_ms"))) {
            item->has_delay_ms = true;
            ok = take_integer(r, HF_STR("delay_ms"), &item->delay_ms);
        } else {
            ok = refuse_member(r);
        }
        if (!ok) {
            return false;
        }
    }
    if (r->json.token != HF_JSON_OBJECT_END) {
        return refuse_token(r, HF_STR(""), "must be an object");
    }
    return hf_str_present(item->receipt) || refuse_at(r, HF_STR("receipt"), "is missing");
}

static bool take_items(struct reading *r, struct hf_str name)
{
    if (hf_json_next(&r->json) != HF_JSON_ARRAY_BEGIN) {
        return refuse_token(r, name, "must be an array of objects");
    }
    r->body->has_items = true;
    while (hf_json_next(&r->json) != HF_JSON_ARRAY_END) {
        if (r->json.token != HF_JSON_OBJECT_BEGIN) {
            return refuse_token(r, name, "must be an array of objects");
        }
        struct hf_act_fields *item = add_item(r, name);
        if (item == NULL) {
            return false;
        }
        size_t before = enter(r, "items");
        (void)enter_index(r, r->body->fields.item_count - 1);
        if (!take_item(r, item)) {
            return false;
        }
        r->place[before] = '\0';
    }
    return true;
}

/* ---- the whole ---- */

static bool take_members(struct reading *r, const struct member *members);

static bool take_backoff(struct reading *r, struct hf_str name)
{
    if (hf_json_next(&r->json) != HF_JSON_OBJECT_BEGIN) {
        return refuse_token(r, name, "must be an object");
    }
    size_t before = enter(r, "backoff");
    if (!take_members(r, backoff_members)) {
        return false;
    }
    r->place[before] = '\0';
    return true;
}

/* The names of secrets; more than are taken are refused by the command. */
static bool take_secrets(struct reading *r)
{
    struct hf_push_fields *push = &r->body->fields.push;
    struct hf_str *names = hf_arena_alloc_zero(r->arena, HF_PUSH_SECRETS_MAX + 1, sizeof(*names));
    if (names == NULL) {
        return short_memory(r);
    }
    if (hf_json_next(&r->json) != HF_JSON_ARRAY_BEGIN) {
        return refuse_token(r, HF_STR("secrets"), "must be an array of names");
    }
    push->secrets = names;
    while (hf_json_next(&r->json) != HF_JSON_ARRAY_END) {
        if (r->json.token != HF_JSON_STRING || push->secret_count > HF_PUSH_SECRETS_MAX) {
            return refuse_token(r, HF_STR("secrets"), "must be an array of at most 2 names");
        }
        if (!string_of(r, &names[push->secret_count++])) {
            return false;
        }
    }
    return true;
}

/* {"secret":"name"} */
static bool take_secret_value(struct reading *r, struct hf_push_header *header)
{
    header->secret = true;
    while (hf_json_next(&r->json) == HF_JSON_NAME) {
        if (!hf_json_is(&r->json, HF_STR("secret"))) {
            return refuse_member(r);
        }
        if (!take_text(r, HF_STR("secret"), &header->value)) {
            return false;
        }
    }
    return (r->json.token == HF_JSON_OBJECT_END && hf_str_present(header->value)) ||
           refuse_token(r, HF_STR(""), "must be a string or {\"secret\":\"name\"}");
}

/* {"name": "value" or {"secret":"name"}, …} */
static bool take_headers(struct reading *r)
{
    struct hf_push_fields *push = &r->body->fields.push;
    struct hf_push_header *headers =
        hf_arena_alloc_zero(r->arena, HF_PUSH_HEADERS_MAX + 1, sizeof(*headers));
    if (headers == NULL) {
        return short_memory(r);
    }
    if (hf_json_next(&r->json) != HF_JSON_OBJECT_BEGIN) {
        return refuse_token(r, HF_STR("headers"), "must be an object");
    }
    push->headers = headers;
    size_t before = enter(r, "headers");
    while (hf_json_next(&r->json) == HF_JSON_NAME) {
        struct hf_push_header *header = &headers[push->header_count];
        if (push->header_count++ > HF_PUSH_HEADERS_MAX) {
            return refuse_at(r, HF_STR(""), "at most 16 headers");
        }
        if (!string_of(r, &header->name)) {
            return false;
        }
        enum hf_json_token token = hf_json_next(&r->json);
        if (token != HF_JSON_STRING && token != HF_JSON_OBJECT_BEGIN) {
            return refuse_token(r, HF_STR(""), "must be a string or {\"secret\":\"name\"}");
        }
        if (token == HF_JSON_STRING ? !string_of(r, &header->value)
                                    : !take_secret_value(r, header)) {
            return false;
        }
    }
    r->place[before] = '\0';
    return r->json.token == HF_JSON_OBJECT_END ||
           refuse_token(r, HF_STR("headers"), "must be an object");
}

static bool take_push_member(struct reading *r)
{
    struct hf_push_fields *push = &r->body->fields.push;
    if (hf_json_is(&r->json, HF_STR("url"))) {
        return take_text(r, HF_STR("url"), &push->url);
    }
    if (hf_json_is(&r->json, HF_STR("mode"))) {
        return take_text(r, HF_STR("mode"), &push->mode);
    }
    if (hf_json_is(&r->json, HF_STR("secrets"))) {
        return take_secrets(r);
    }
    if (hf_json_is(&r->json, HF_STR("timeout_ms"))) {
        push->has_timeout_ms = true;
        return take_integer(r, HF_STR("timeout_ms"), &push->timeout_ms);
    }
    if (hf_json_is(&r->json, HF_STR("in_flight_max"))) {
        push->has_in_flight_max = true;
        return take_integer(r, HF_STR("in_flight_max"), &push->in_flight_max);
    }
    return hf_json_is(&r->json, HF_STR("headers")) ? take_headers(r) : refuse_member(r);
}

static bool take_push(struct reading *r, struct hf_str name)
{
    enum hf_json_token token = hf_json_next(&r->json);
    if (token == HF_JSON_NULL) {
        return true;
    }
    if (token != HF_JSON_OBJECT_BEGIN) {
        return refuse_token(r, name, "must be an object or null");
    }
    size_t before = enter(r, "push");
    r->body->fields.push.given = true;
    while (hf_json_next(&r->json) == HF_JSON_NAME) {
        if (!take_push_member(r)) {
            return false;
        }
    }
    r->place[before] = '\0';
    return r->json.token == HF_JSON_OBJECT_END || refuse_token(r, name, "must be an object");
}

static bool take_value(struct reading *r, const struct member *member)
{
    char *base = (char *)r->body;
    void *value = base + member->value;
    switch (member->form) {
    case FORM_TEXT:
        return take_text(r, member->name, value);
    case FORM_INTEGER:
        *(bool *)(void *)(base + member->flag) = true;
        return take_integer(r, member->name, value);
    case FORM_BOOL:
        return take_bool(r, member->name, value);
    case FORM_FILTER:
        return take_filter(r, member->name);
    case FORM_BACKOFF:
        return take_backoff(r, member->name);
    case FORM_PUSH:
        return take_push(r, member->name);
    case FORM_SEEK:
        return take_seek(r, member->name);
    case FORM_RECEIPTS:
        return take_receipts(r, member->name);
    case FORM_ITEMS:
        return take_items(r, member->name);
    }
    return false;
}

/* Behind the '{', up to its '}'. It calls itself for `backoff`, whose members are plain. */
static bool take_members(struct reading *r, const struct member *members)
{
    while (hf_json_next(&r->json) == HF_JSON_NAME) {
        const struct member *member = members;
        while (member->name.ptr != NULL && !hf_json_is(&r->json, member->name)) {
            member++;
        }
        if (member->name.ptr == NULL) {
            return refuse_member(r);
        }
        if (!take_value(r, member)) {
            return false;
        }
    }
    return r->json.token == HF_JSON_OBJECT_END || refuse_token(r, HF_STR(""), "must be an object");
}

static bool check_whole(struct reading *r, enum hf_queue_body_kind kind)
{
    struct hf_queue_body *body = r->body;
    switch (kind) {
    case HF_BODY_PUT:
        return body->has_filter ||
               refuse_at(r, HF_STR("filter"), "is missing; {} takes every event");
    case HF_BODY_RECEIVE:
        return !body->has_wait_ms || body->wait_ms <= HF_RECEIVE_WAIT_MS_MAX ||
               refuse_at(r, HF_STR("wait_ms"), "is at most 30,000");
    case HF_BODY_SEEK:
        return body->fields.seek.kind != 0 || refuse_at(r, HF_STR("to"), "is missing");
    case HF_BODY_REDRIVE:
        return true;
    case HF_BODY_NACK:
        if (body->has_items &&
            (body->has_receipts || body->has_delay_ms || hf_str_present(body->error))) {
            return refuse_at(r, HF_STR("items"), "stands alone: each item has its own members");
        }
        break;
    case HF_BODY_ACK:
    case HF_BODY_EXTEND:
    case HF_BODY_PARK:
        break;
    }
    return body->fields.item_count > 0 || refuse_at(r, HF_STR("receipts"), "names no receipt");
}

bool hf_queue_body_decode(struct hf_str text, enum hf_queue_body_kind kind, struct hf_arena *arena,
                          struct hf_queue_body *body, struct hf_malformed *malformed)
{
    static const struct member *const members[] = {
        [HF_BODY_PUT] = put_members,         [HF_BODY_RECEIVE] = receive_members,
        [HF_BODY_ACK] = ack_members,         [HF_BODY_NACK] = nack_members,
        [HF_BODY_EXTEND] = extend_members,   [HF_BODY_PARK] = park_members,
        [HF_BODY_REDRIVE] = redrive_members, [HF_BODY_SEEK] = seek_members,
    };
    struct reading r = {.arena = arena, .body = body, .malformed = malformed};
    *body = (struct hf_queue_body){0};
    hf_json_init(&r.json, text, arena);
    if (hf_json_next(&r.json) != HF_JSON_OBJECT_BEGIN) {
        return refuse_token(&r, HF_STR(""), "must be an object");
    }
    if (!take_members(&r, members[kind])) {
        return false;
    }
    if (hf_json_next(&r.json) != HF_JSON_END) {
        return refuse_token(&r, HF_STR(""), "there is something behind the object");
    }
    if (!check_whole(&r, kind)) {
        return false;
    }
    for (uint32_t i = 0; i < body->fields.item_count && !body->has_items; i++) {
        body->own_items[i].error = body->error;
        body->own_items[i].has_delay_ms = body->has_delay_ms;
        body->own_items[i].delay_ms = body->delay_ms;
    }
    return true;
}
