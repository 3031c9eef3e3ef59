#include "api/commit_json.h"

#include <stdio.h>

#include "base/json.h"

enum member_form {
    FORM_TEXT,       /* a string */
    FORM_AMOUNT,     /* a decimal string, or an integer without sign */
    FORM_LIMIT,      /* a decimal string or integer, perhaps signed, or null */
    FORM_INTEGER,    /* an integer below 2^53 */
    FORM_BOOL,       /* true or false */
    FORM_RAW,        /* any value, its bytes */
    FORM_COMPARISON, /* {"gte":"1500"} */
};

/* How a member goes into a struct of fields: a value at `value`, and, where the form has one, a flag at
 * `flag` (LIMIT: it is null; INTEGER, BOOL, COMPARISON: it is there). */
struct member {
    struct hf_str name;
    enum member_form form;
    size_t value;
    size_t flag;
};

#define OP_TEXT(name, form)                                                                        \
    {                                                                                              \
        {#name, sizeof(#name) - 1}, form, offsetof(struct hf_op_fields, name), 0                   \
    }
#define OP_FLAGGED(name, form, flag)                                                               \
    {                                                                                              \
        {#name, sizeof(#name) - 1}, form, offsetof(struct hf_op_fields, name),                     \
            offsetof(struct hf_op_fields, flag)                                                    \
    }

static const struct member op_members[] = {
    OP_TEXT(op, FORM_TEXT),
    OP_TEXT(account, FORM_TEXT),
    OP_TEXT(id, FORM_TEXT),
    OP_TEXT(from, FORM_TEXT),
    OP_TEXT(to, FORM_TEXT),
    OP_TEXT(asset, FORM_TEXT),
    OP_TEXT(amount, FORM_AMOUNT),
    OP_TEXT(transfer, FORM_TEXT),
    OP_TEXT(hold, FORM_TEXT),
    OP_TEXT(stream, FORM_TEXT),
    OP_TEXT(document, FORM_TEXT),
    OP_TEXT(lease, FORM_TEXT),
    OP_TEXT(owner, FORM_TEXT),
    OP_TEXT(type, FORM_TEXT),
    OP_TEXT(data, FORM_RAW),
    OP_TEXT(metadata, FORM_RAW),
    OP_FLAGGED(floor, FORM_LIMIT, floor_null),
    OP_FLAGGED(ceiling, FORM_LIMIT, ceiling_null),
    OP_TEXT(effective_at, FORM_TEXT),
    OP_FLAGGED(up_to, FORM_BOOL, has_up_to),
    OP_FLAGGED(final, FORM_BOOL, has_final),
    OP_FLAGGED(timeout_ms, FORM_INTEGER, has_timeout_ms),
    OP_FLAGGED(ttl_ms, FORM_INTEGER, has_ttl_ms),
    OP_FLAGGED(token, FORM_INTEGER, has_token),
    OP_FLAGGED(expected_version, FORM_INTEGER, has_expected_version),
    OP_TEXT(topic, FORM_TEXT),
    OP_TEXT(key, FORM_TEXT),
    OP_TEXT(deliver_at, FORM_TEXT),
    OP_TEXT(subscription, FORM_TEXT),
    OP_TEXT(receipt, FORM_TEXT),
    OP_FLAGGED(delay_ms, FORM_INTEGER, has_delay_ms),
    OP_TEXT(error, FORM_TEXT),
};

#define IF_TEXT(name)                                                                              \
    {                                                                                              \
        {#name, sizeof(#name) - 1}, FORM_TEXT, offsetof(struct hf_condition_fields, name), 0       \
    }
#define IF_FLAGGED(name, form)                                                                     \
    {                                                                                              \
        {#name, sizeof(#name) - 1}, form, offsetof(struct hf_condition_fields, name),              \
            offsetof(struct hf_condition_fields, has_##name)                                       \
    }

static const struct member condition_members[] = {
    IF_TEXT(account),
    IF_TEXT(stream),
    IF_TEXT(document),
    IF_TEXT(transfer),
    IF_TEXT(lease),
    IF_TEXT(hold),
    IF_TEXT(subscription),
    IF_TEXT(modified_at),
    IF_TEXT(state),
    IF_TEXT(receipt),
    IF_FLAGGED(available, FORM_COMPARISON),
    IF_FLAGGED(posted, FORM_COMPARISON),
    IF_FLAGGED(version, FORM_INTEGER),
    IF_FLAGGED(token, FORM_INTEGER),
    IF_FLAGGED(exists, FORM_BOOL),
};

static const struct hf_str compare_names[HF_COMPARE_COUNT] = {
    [HF_COMPARE_EQ] = {"eq", 2}, [HF_COMPARE_GT] = {"gt", 2},   [HF_COMPARE_GTE] = {"gte", 3},
    [HF_COMPARE_LT] = {"lt", 2}, [HF_COMPARE_LTE] = {"lte", 3},
};

#define PLACE_BYTES 64

struct decoding {
    struct hf_json json;            /* where we are in the text */
    struct hf_command *command;     /* grows; NULL for a resource's body */
    struct hf_arena *arena;         /* for strings with escapes */
    struct hf_malformed *malformed; /* filled on failure */
    char place[PLACE_BYTES];        /* JSON pointer to the value being read */
};

/* ---- refusals ---- */

static bool refuse(struct decoding *d, const char *what)
{
    return hf_malformed_set(d->malformed, HF_ERR_INVALID_REQUEST, d->place, "%s", what);
}

/* The text itself is bad. */
static bool refuse_text(struct decoding *d)
{
    struct hf_error error = {0};
    enum hf_err code = hf_json_error(&d->json, &error);
    return hf_malformed_set(d->malformed, code, "", "%s", error.text);
}

/* Another token than wanted: bad text, or a value of another type. */
static bool refuse_token(struct decoding *d, const char *wanted)
{
    return d->json.token == HF_JSON_ERROR ? refuse_text(d) : refuse(d, wanted);
}

/* ---- places ---- */

/* Goes down by an ASCII step; returns what to go back to. */
static size_t enter(struct decoding *d, struct hf_str step)
{
    size_t before = strlen(d->place);
    size_t room = sizeof(d->place) - 1 - before;
    if (room > 0) { /* a place that does not fit is cut */
        size_t taken = hf_min_u64(step.len, room - 1);
        d->place[before] = '/';
        memcpy(d->place + before + 1, step.ptr, taken);
        d->place[before + 1 + taken] = '\0';
    }
    return before;
}

static size_t enter_index(struct decoding *d, size_t index)
{
    char digits[HF_U128_TEXT_BYTES];
    return enter(d, (struct hf_str){digits, hf_u128_format(index, digits)});
}

static void leave(struct decoding *d, size_t before)
{
    d->place[before] = '\0';
}

/* A member that is not known. Its name goes into the pointer (RFC 6901: ~ and / escaped) if it is whole
 * there, else the pointer stays at the object. */
static bool refuse_member(struct decoding *d)
{
    struct hf_str name = hf_json_string(&d->json, d->arena);
    char steps[2 * PLACE_BYTES];
    size_t used = 0;
    if (name.len < PLACE_BYTES / 2) {
        for (size_t i = 0; i < name.len; i++) {
            char c = name.ptr[i];
            if (c == '\0') {
                return refuse(d, "unknown member");
            }
            if (c == '~' || c == '/') {
                steps[used++] = '~';
                c = c == '~' ? '0' : '1';
            }
            steps[used++] = c;
        }
        if (strlen(d->place) + 1 + used < PLACE_BYTES) {
            (void)enter(d, (struct hf_str){steps, used});
        }
    }
    return refuse(d, "unknown member");
}

/* ---- values ---- */

static bool take_text(struct decoding *d, struct hf_str *text)
{
    if (hf_json_next(&d->json) != HF_JSON_STRING) {
        return refuse_token(d, "must be a string");
    }
    *text = hf_json_string(&d->json, d->arena);
    return hf_str_present(*text) ||
           hf_malformed_set(d->malformed, HF_ERR_NO_MEMORY, "", "out of memory while decoding");
}

/* A decimal: the command reads its digits; here a number's form is tested. */
static bool take_decimal(struct decoding *d, bool negative_too, struct hf_str *text)
{
    uint64_t magnitude;
    int64_t value;
    enum hf_json_token token = d->json.token;
    if (token == HF_JSON_STRING) {
        *text = hf_json_string(&d->json, d->arena);
        return hf_str_present(*text) ||
               hf_malformed_set(d->malformed, HF_ERR_NO_MEMORY, "", "out of memory while decoding");
    }
    *text = d->json.raw;
    if (token == HF_JSON_NUMBER && (negative_too ? hf_json_integer_signed(*text, &value)
                                                 : hf_json_integer(*text, &magnitude))) {
        return true;
    }
    return refuse_token(d, "must be a decimal string of minor units, or an integer below 2^53");
}

static bool take_limit(struct decoding *d, struct hf_str *text, bool *null)
{
    if (hf_json_next(&d->json) == HF_JSON_NULL) {
        *null = true;
        return true;
    }
    return take_decimal(d, true, text);
}

static bool take_integer(struct decoding *d, uint64_t *value)
{
    if (hf_json_next(&d->json) != HF_JSON_NUMBER || !hf_json_integer(d->json.raw, value)) {
        return refuse_token(d, "must be an integer from 0 to 2^53 - 1");
    }
    return true;
}

static bool take_bool(struct decoding *d, bool *value)
{
    enum hf_json_token token = hf_json_next(&d->json);
    *value = token == HF_JSON_TRUE;
    return token == HF_JSON_TRUE || token == HF_JSON_FALSE ||
           refuse_token(d, "must be true or false");
}

static bool take_comparison(struct decoding *d, struct hf_str *operands)
{
    if (hf_json_next(&d->json) != HF_JSON_OBJECT_BEGIN) {
        return refuse_token(d, "must be an object of comparisons, for example {\"gte\":\"1500\"}");
    }
    while (hf_json_next(&d->json) == HF_JSON_NAME) {
        size_t i = 0;
        while (i < HF_COMPARE_COUNT && !hf_json_is(&d->json, compare_names[i])) {
            i++;
        }
        if (i == HF_COMPARE_COUNT) {
            return refuse_member(d);
        }
        size_t before = enter(d, compare_names[i]);
        (void)hf_json_next(&d->json);
        if (!take_decimal(d, true, &operands[i])) {
            return false;
        }
        leave(d, before);
    }
    return d->json.token == HF_JSON_OBJECT_END || refuse_text(d);
}

static bool take_value(struct decoding *d, const struct member *member, char *fields)
{
    void *value = fields + member->value;
    bool *flag = (bool *)(void *)(fields + member->flag);
    switch (member->form) {
    case FORM_TEXT:
        return take_text(d, value);
    case FORM_AMOUNT:
        (void)hf_json_next(&d->json);
        return take_decimal(d, false, value);
    case FORM_LIMIT:
        return take_limit(d, value, flag);
    case FORM_INTEGER:
        *flag = true;
        return take_integer(d, value);
    case FORM_BOOL:
        *flag = true;
        return take_bool(d, value);
    case FORM_RAW:
        return hf_json_skip(&d->json, value) || refuse_text(d);
    case FORM_COMPARISON:
        *flag = true;
        return take_comparison(d, value);
    }
    return false;
}

/* ---- objects and lists ---- */

/* The members of the object that the current token begins, into a struct of fields. */
static bool take_object(struct decoding *d, const struct member *members, size_t count,
                        void *fields)
{
    if (d->json.token != HF_JSON_OBJECT_BEGIN) {
        return refuse_token(d, "must be an object");
    }
    while (hf_json_next(&d->json) == HF_JSON_NAME) {
        const struct member *member = members;
        while (member < members + count && !hf_json_is(&d->json, member->name)) {
            member++;
        }
        if (member == members + count) {
            return refuse_member(d);
        }
        size_t before = enter(d, member->name);
        if (!take_value(d, member, fields)) {
            return false;
        }
        leave(d, before);
    }
    return d->json.token == HF_JSON_OBJECT_END || refuse_text(d);
}

static bool take_operation(struct decoding *d)
{
    struct hf_op_fields fields = {0};
    return take_object(d, op_members, HF_ARRAY_COUNT(op_members), &fields) &&
           hf_command_add_op(d->command, &fields, d->malformed);
}

static bool take_condition(struct decoding *d)
{
    struct hf_condition_fields fields = {0};
    return take_object(d, condition_members, HF_ARRAY_COUNT(condition_members), &fields) &&
           hf_command_add_condition(d->command, &fields, d->malformed);
}

static bool take_list(struct decoding *d, bool (*take_item)(struct decoding *))
{
    if (hf_json_next(&d->json) != HF_JSON_ARRAY_BEGIN) {
        return refuse_token(d, "must be an array");
    }
    for (size_t index = 0; hf_json_next(&d->json) != HF_JSON_ARRAY_END; index++) {
        size_t before = enter_index(d, index);
        if (!take_item(d)) {
            return false;
        }
        leave(d, before);
    }
    return true;
}

static bool take_metadata(struct decoding *d)
{
    struct hf_str raw;
    if (!hf_json_skip(&d->json, &raw)) {
        return refuse_text(d);
    }
    return hf_command_set_metadata(d->command, raw, d->malformed);
}

static bool take_member(struct decoding *d)
{
    static const struct hf_str names[] = {{"if", 2}, {"do", 2}, {"metadata", 8}};
    size_t i = 0;
    while (i < HF_ARRAY_COUNT(names) && !hf_json_is(&d->json, names[i])) {
        i++;
    }
    if (i == HF_ARRAY_COUNT(names)) {
        return refuse_member(d);
    }
    size_t before = enter(d, names[i]);
    bool ok = i == 2 ? take_metadata(d) : take_list(d, i == 0 ? take_condition : take_operation);
    if (ok) {
        leave(d, before);
    }
    return ok;
}

bool hf_commit_json_decode(struct hf_str text, struct hf_command *command,
                           struct hf_malformed *malformed)
{
    if (text.len > HF_REQUEST_BYTES_MAX) {
        return hf_malformed_set(malformed, HF_ERR_TOO_LARGE, "",
                                "%zu bytes of JSON; a commit has at most %u", text.len,
                                HF_REQUEST_BYTES_MAX);
    }
    struct decoding decoding;
    struct decoding *d = &decoding;
    d->command = command;
    d->arena = &command->arena;
    d->malformed = malformed;
    d->place[0] = '\0';
    hf_json_init(&d->json, text, &command->arena);
    if (hf_json_next(&d->json) != HF_JSON_OBJECT_BEGIN) {
        return refuse_token(d, "a commit is an object {\"if\":[…],\"do\":[…],\"metadata\":{…}}");
    }
    while (hf_json_next(&d->json) == HF_JSON_NAME) {
        if (!take_member(d)) {
            return false;
        }
    }
    return hf_json_next(&d->json) == HF_JSON_END || refuse_text(d);
}

/* ---- resources ---- */

static const struct member state_member =
    OP_TEXT(type, FORM_TEXT); /* an account's state travels in `type`, which no account has */

/* The member of that name if the resource has it. */
static const struct member *resource_member(const struct decoding *d, hf_resource_members members)
{
    for (; *members != NULL; members++) {
        if (!hf_json_is(&d->json, hf_str_from(*members))) {
            continue;
        }
        if (strcmp(*members, "state") == 0) {
            return &state_member;
        }
        for (size_t i = 0; i < HF_ARRAY_COUNT(op_members); i++) {
            if (hf_str_equal(op_members[i].name, hf_str_from(*members))) {
                return &op_members[i];
            }
        }
    }
    return NULL;
}

static bool take_resource(struct decoding *d, hf_resource_members members,
                          struct hf_op_fields *fields)
{
    if (d->json.token != HF_JSON_OBJECT_BEGIN) {
        return refuse_token(d, "must be an object");
    }
    while (hf_json_next(&d->json) == HF_JSON_NAME) {
        const struct member *member = resource_member(d, members);
        if (member == NULL) {
            return refuse_member(d);
        }
        bool state = member == &state_member;
        size_t before = enter(d, state ? HF_STR("state") : member->name);
        if (!take_value(d, member, (char *)fields)) {
            return false;
        }
        leave(d, before);
    }
    return d->json.token == HF_JSON_OBJECT_END || refuse_text(d);
}

bool hf_resource_json_decode(struct hf_str text, hf_resource_members members, bool *array,
                             struct hf_arena *arena, hf_resource_fn each, void *context,
                             struct hf_malformed *malformed)
{
    struct decoding decoding;
    struct decoding *d = &decoding;
    d->command = NULL;
    d->arena = arena;
    d->malformed = malformed;
    d->place[0] = '\0';
    hf_json_init(&d->json, text, arena);
    bool list = hf_json_next(&d->json) == HF_JSON_ARRAY_BEGIN && array != NULL;
    if (array != NULL) {
        *array = list;
    }
    if (list) {
        (void)hf_json_next(&d->json);
    }
    uint32_t index = 0;
    while (!list || d->json.token != HF_JSON_ARRAY_END) {
        struct hf_op_fields fields = {0};
        size_t before = list ? enter_index(d, index) : 0;
        if (!take_resource(d, members, &fields) || !each(context, index, &fields, malformed)) {
            return false;
        }
        leave(d, before);
        index++;
        if (!list) {
            break;
        }
        (void)hf_json_next(&d->json);
    }
    return hf_json_next(&d->json) == HF_JSON_END || refuse_text(d);
}
