#include "api/saga_body.h"

#include <stdio.h>

#include "base/json.h"
#include "base/time_text.h"
#include "core/saga_wire.h"

enum form {
    FORM_TEXT,    /* a string */
    FORM_RAW,     /* any value, its bytes */
    FORM_INTEGER, /* an integer below 2^53; with a flag if it has one */
    FORM_BOOL,    /* true or false */
    FORM_STATE,   /* the word of a state */
    FORM_TAG,     /* "shop:berlin" */
    FORM_TIME,    /* RFC 3339 */
    FORM_FILTER,  /* an object */
};

/* Where a member's value goes in struct hf_saga_body. */
struct member {
    struct hf_str name;
    enum form form;
    size_t value;
    size_t flag; /* INTEGER: it is there; 0: no flag */
};

#define AT(field) offsetof(struct hf_saga_body, field)
#define MEMBER(name, form, field)                                                                  \
    {                                                                                              \
        {name, sizeof(name) - 1}, form, AT(field), 0                                               \
    }
#define FLAGGED(name, field, flag)                                                                 \
    {                                                                                              \
        {name, sizeof(name) - 1}, FORM_INTEGER, AT(field), AT(flag)                                \
    }
#define END                                                                                        \
    {                                                                                              \
        {NULL, 0}, FORM_TEXT, 0, 0                                                                 \
    }

static const struct member verb_members[] = {
    MEMBER("step", FORM_TEXT, fields.step),
    MEMBER("result", FORM_RAW, fields.result),
    MEMBER("reason", FORM_TEXT, fields.reason),
    MEMBER("actor", FORM_TEXT, fields.actor),
    END,
};
static const struct member bulk_members[] = {
    MEMBER("verb", FORM_TEXT, verb),
    MEMBER("filter", FORM_FILTER, fields.filter),
    MEMBER("reason", FORM_TEXT, fields.reason),
    MEMBER("actor", FORM_TEXT, fields.actor),
    MEMBER("jitter_ms", FORM_INTEGER, fields.jitter_ms),
    FLAGGED("limit", limit, has_limit),
    MEMBER("after", FORM_TEXT, fields.after),
    MEMBER("dry_run", FORM_BOOL, dry_run),
    END,
};
static const struct member filter_members[] = {
    MEMBER("state", FORM_STATE, fields.filter.state),
    MEMBER("definition", FORM_TEXT, fields.filter.definition),
    MEMBER("tag", FORM_TAG, fields.filter),
    MEMBER("business_key", FORM_TEXT, fields.filter.business_key),
    MEMBER("step", FORM_TEXT, fields.filter.step),
    MEMBER("failing", FORM_BOOL, fields.filter.failing),
    MEMBER("older_than", FORM_TIME, fields.filter.older_than_us),
    END,
};

#define PLACE_BYTES 64

struct reading {
    struct hf_json json;
    struct hf_arena *arena;
    struct hf_saga_body *body;
    struct hf_malformed *malformed;
    const char *place; /* JSON pointer of the object that is open: "", "/filter" */
};

/* ---- refusals ---- */

static bool refuse(struct reading *r, struct hf_str member, const char *what)
{
    char pointer[PLACE_BYTES];
    bool named = member.len > 0 && member.len <= 32; /* a longer one is none of ours */
    (void)snprintf(pointer, sizeof(pointer), "%s%s%.*s", r->place, named ? "/" : "",
                   named ? (int)member.len : 0, named ? member.ptr : "");
    return hf_malformed_set(r->malformed, HF_ERR_INVALID_REQUEST, pointer, "%s", what);
}

/* Another token than wanted: bad text, or a value of another type. */
static bool refuse_token(struct reading *r, struct hf_str member, const char *wanted)
{
    struct hf_error error = {0};
    if (r->json.token != HF_JSON_ERROR) {
        return refuse(r, member, wanted);
    }
    enum hf_err code = hf_json_error(&r->json, &error);
    return hf_malformed_set(r->malformed, code, "", "%s", error.text);
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
    return refuse(r, name, "unknown member");
}

/* ---- values: the current token is the member's name ---- */

static bool take_text(struct reading *r, struct hf_str name, struct hf_str *text)
{
    if (hf_json_next(&r->json) != HF_JSON_STRING) {
        return refuse_token(r, name, "must be a string");
    }
    *text = hf_json_string(&r->json, r->arena);
    return hf_str_present(*text) ||
           hf_malformed_set(r->malformed, HF_ERR_NO_MEMORY, "", "out of memory while decoding");
}

static bool take_raw(struct reading *r, struct hf_str *raw)
{
    return hf_json_skip(&r->json, raw) || refuse_token(r, HF_STR(""), "");
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

static bool take_state(struct reading *r, struct hf_str name)
{
    struct hf_saga_filter *filter = &r->body->fields.filter;
    struct hf_str text = HF_STR_NONE;
    filter->has_state = true;
    return take_text(r, name, &text) &&
           (hf_saga_state_parse(text, &filter->state) || refuse(r, name, "is no state of a saga"));
}

bool hf_saga_tag_split(struct hf_str text, struct hf_saga_filter *filter)
{
    const char *colon = text.len == 0 ? NULL : memchr(text.ptr, ':', text.len);
    if (colon == NULL || colon == text.ptr) {
        return false;
    }
    size_t key_bytes = (size_t)(colon - text.ptr);
    filter->tag_key = (struct hf_str){text.ptr, key_bytes};
    filter->tag_value = (struct hf_str){colon + 1, text.len - key_bytes - 1};
    return true;
}

static bool take_tag(struct reading *r, struct hf_str name)
{
    struct hf_str text = HF_STR_NONE;
    return take_text(r, name, &text) && (hf_saga_tag_split(text, &r->body->fields.filter) ||
                                         refuse(r, name, "is a key, a colon and a value"));
}

static bool take_time(struct reading *r, struct hf_str name, uint64_t *time_us)
{
    struct hf_str text = HF_STR_NONE;
    return take_text(r, name, &text) &&
           (hf_time_parse(text, time_us) ||
            refuse(r, name, "a time is RFC 3339 in UTC, for example 2030-01-31T12:00:00Z"));
}

/* ---- objects ---- */

static bool take_value(struct reading *r, const struct member *member);

/* Behind the '{', up to its '}'. */
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

static bool take_filter(struct reading *r, struct hf_str name)
{
    if (hf_json_next(&r->json) != HF_JSON_OBJECT_BEGIN) {
        return refuse_token(r, name, "must be an object");
    }
    r->body->has_filter = true;
    r->place = "/filter";
    bool ok = take_members(r, filter_members); /* which has no filter in it */
    r->place = ok ? "" : r->place;
    return ok;
}

static bool take_value(struct reading *r, const struct member *member)
{
    char *base = (char *)r->body;
    void *value = base + member->value;
    switch (member->form) {
    case FORM_TEXT:
        return take_text(r, member->name, value);
    case FORM_RAW:
        return take_raw(r, value);
    case FORM_INTEGER:
        if (member->flag != 0) {
            *(bool *)(void *)(base + member->flag) = true;
        }
        return take_integer(r, member->name, value);
    case FORM_BOOL:
        return take_bool(r, member->name, value);
    case FORM_STATE:
        return take_state(r, member->name);
    case FORM_TAG:
        return take_tag(r, member->name);
    case FORM_TIME:
        return take_time(r, member->name, value);
    case FORM_FILTER:
        return take_filter(r, member->name);
    }
    return false;
}

static bool check_bulk(struct reading *r)
{
    struct hf_saga_body *body = r->body;
    if (!hf_str_present(body->verb)) {
        return refuse(r, HF_STR("verb"), "is missing");
    }
    if (!hf_saga_verb_parse(body->verb, &body->fields.verb)) {
        return refuse(r, HF_STR("verb"), "is retry, pause, resume, skip, compensate or abandon");
    }
    if (!body->has_filter) {
        return refuse(r, HF_STR("filter"), "is missing; {} takes every saga");
    }
    if (body->has_limit && body->limit == 0) {
        return refuse(r, HF_STR("limit"), "is from 1 to 1000");
    }
    body->fields.limit = (uint32_t)hf_min_u64(body->limit, UINT32_MAX);
    return true;
}

bool hf_saga_body_decode(struct hf_str text, enum hf_saga_body_kind kind, struct hf_arena *arena,
                         struct hf_saga_body *body, struct hf_malformed *malformed)
{
    static const struct member *const members[] = {
        [HF_SAGA_BODY_VERB] = verb_members,
        [HF_SAGA_BODY_BULK] = bulk_members,
    };
    struct reading r = {.arena = arena, .body = body, .malformed = malformed, .place = ""};
    *body = (struct hf_saga_body){0};
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
    return kind != HF_SAGA_BODY_BULK || check_bulk(&r);
}
