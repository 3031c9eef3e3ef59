#include "api/commit_json.h"

#include "core/op_json.h"

#define IF(name)               HF_MEMBER(hf_condition_fields, name, HF_FORM_TEXT)
#define IF_FLAGGED(name, form) HF_MEMBER_FLAGGED(hf_condition_fields, name, form, has_##name)

static const struct hf_member condition_members[] = {
    IF(account),
    IF(stream),
    IF(document),
    IF(transfer),
    IF(lease),
    IF(hold),
    IF(subscription),
    IF(saga),
    IF(modified_at),
    IF(state),
    IF(receipt),
    IF_FLAGGED(available, HF_FORM_COMPARISON),
    IF_FLAGGED(posted, HF_FORM_COMPARISON),
    IF_FLAGGED(version, HF_FORM_INTEGER),
    IF_FLAGGED(token, HF_FORM_INTEGER),
    IF_FLAGGED(exists, HF_FORM_BOOL),
};

struct decoding {
    struct hf_fields_json in;
    struct hf_command *command; /* grows */
};

/* ---- commits ---- */

static bool take_operation(struct decoding *d)
{
    struct hf_op_fields fields = {0};
    return hf_op_json_take(&d->in, &fields) &&
           hf_command_add_op(d->command, &fields, d->in.malformed);
}

static bool take_condition(struct decoding *d)
{
    struct hf_condition_fields fields = {0};
    return hf_fields_object(&d->in, condition_members, HF_ARRAY_COUNT(condition_members),
                            &fields) &&
           hf_command_add_condition(d->command, &fields, d->in.malformed);
}

static bool take_list(struct decoding *d, bool (*take_item)(struct decoding *))
{
    if (hf_json_next(&d->in.json) != HF_JSON_ARRAY_BEGIN) {
        return hf_fields_refuse_token(&d->in, "must be an array");
    }
    for (size_t index = 0; hf_json_next(&d->in.json) != HF_JSON_ARRAY_END; index++) {
        size_t before = hf_place_enter_index(d->in.place, index);
        if (!take_item(d)) {
            return false;
        }
        hf_place_leave(d->in.place, before);
    }
    return true;
}

static bool take_metadata(struct decoding *d)
{
    struct hf_str raw;
    if (!hf_json_skip(&d->in.json, &raw)) {
        return hf_fields_refuse_text(&d->in);
    }
    return hf_command_set_metadata(d->command, raw, d->in.malformed);
}

static bool take_member(struct decoding *d)
{
    static const struct hf_str names[] = {{"if", 2}, {"do", 2}, {"metadata", 8}};
    size_t i = 0;
    while (i < HF_ARRAY_COUNT(names) && !hf_json_is(&d->in.json, names[i])) {
        i++;
    }
    if (i == HF_ARRAY_COUNT(names)) {
        return hf_fields_refuse_member(&d->in);
    }
    size_t before = hf_place_enter(d->in.place, names[i]);
    bool ok = i == 2 ? take_metadata(d) : take_list(d, i == 0 ? take_condition : take_operation);
    if (ok) {
        hf_place_leave(d->in.place, before);
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
    hf_fields_init(&d->in, text, "", &command->arena, malformed);
    if (hf_json_next(&d->in.json) != HF_JSON_OBJECT_BEGIN) {
        return hf_fields_refuse_token(
            &d->in, "a commit is an object {\"if\":[…],\"do\":[…],\"metadata\":{…}}");
    }
    while (hf_json_next(&d->in.json) == HF_JSON_NAME) {
        if (!take_member(d)) {
            return false;
        }
    }
    return hf_json_next(&d->in.json) == HF_JSON_END || hf_fields_refuse_text(&d->in);
}

/* ---- resources ---- */

/* An account's state travels in `type`, which no account has. */
static const struct hf_member state_member = {
    .name = {"state", 5}, .form = HF_FORM_TEXT, .value = offsetof(struct hf_op_fields, type)};

/* The member of that name if the resource has it. */
static const struct hf_member *resource_member(const struct hf_fields_json *in,
                                               hf_resource_members members)
{
    for (; *members != NULL; members++) {
        struct hf_str name = hf_str_from(*members);
        if (hf_json_is(&in->json, name)) {
            return hf_str_equal(name, state_member.name) ? &state_member : hf_op_member(name);
        }
    }
    return NULL;
}

static bool take_resource(struct hf_fields_json *in, hf_resource_members members,
                          struct hf_op_fields *fields)
{
    if (in->json.token != HF_JSON_OBJECT_BEGIN) {
        return hf_fields_refuse_token(in, "must be an object");
    }
    while (hf_json_next(&in->json) == HF_JSON_NAME) {
        const struct hf_member *member = resource_member(in, members);
        if (member == NULL) {
            return hf_fields_refuse_member(in);
        }
        size_t before = hf_place_enter(in->place, member->name);
        if (!hf_fields_take(in, member, fields)) {
            return false;
        }
        hf_place_leave(in->place, before);
    }
    return in->json.token == HF_JSON_OBJECT_END || hf_fields_refuse_text(in);
}

bool hf_resource_json_decode(struct hf_str text, hf_resource_members members, bool *array,
                             struct hf_arena *arena, hf_resource_fn each, void *context,
                             struct hf_malformed *malformed)
{
    struct hf_fields_json reading;
    struct hf_fields_json *in = &reading;
    hf_fields_init(in, text, "", arena, malformed);
    bool list = hf_json_next(&in->json) == HF_JSON_ARRAY_BEGIN && array != NULL;
    if (array != NULL) {
        *array = list;
    }
    if (list) {
        (void)hf_json_next(&in->json);
    }
    uint32_t index = 0;
    while (!list || in->json.token != HF_JSON_ARRAY_END) {
        struct hf_op_fields fields = {0};
        size_t before = list ? hf_place_enter_index(in->place, index) : 0;
        if (!take_resource(in, members, &fields) || !each(context, index, &fields, malformed)) {
            return false;
        }
        hf_place_leave(in->place, before);
        index++;
        if (!list) {
            break;
        }
        (void)hf_json_next(&in->json);
    }
    return hf_json_next(&in->json) == HF_JSON_END || hf_fields_refuse_text(in);
}
