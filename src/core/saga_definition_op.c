/*
 * Native operations in a definition, checked as far as their constants go: where a template stands, a value that is right
 * for its member stands in, and what comes of it is decoded as the operation of a commit.
 */
#include <stdio.h>

#include "core/op_json.h"
#include "core/saga_definition_priv.h"

static const char *const natives[] = {"hold",   "capture", "void",   "transfer",
                                      "append", "put",     "publish"};

static bool is_native(struct hf_str name)
{
    for (size_t i = 0; i < HF_ARRAY_COUNT(natives); i++) {
        if (hf_str_equal(name, hf_str_from(natives[i]))) {
            return true;
        }
    }
    return false;
}

/* JSON that is right for a member; a name that no constant has, so that from and to differ. */
static const char *stand_in(const struct hf_member *member)
{
    static const struct {
        const char *name;
        const char *json;
    } special[] = {
        {"asset", "\"ABC/0\""},
        {"effective_at", "\"2020-01-01T00:00:00Z\""},
        {"deliver_at", "\"2020-01-01T00:00:00Z\""},
        {"metadata", "{}"},
        {"data", "null"},
        {"from", "\"stands-in-for-a-template:from\""},
        {"to", "\"stands-in-for-a-template:to\""},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(special); i++) {
        if (hf_str_equal(member->name, hf_str_from(special[i].name))) {
            return special[i].json;
        }
    }
    switch (member->form) {
    case HF_FORM_AMOUNT:
    case HF_FORM_LIMIT:
    case HF_FORM_INTEGER:
    case HF_FORM_INTEGER_OR_TEXT:
        return "1";
    case HF_FORM_BOOL:
        return "true";
    case HF_FORM_TEXT:
    case HF_FORM_RAW:
    case HF_FORM_COMPARISON:
    case HF_FORM_TEXT_OR_OBJECT:
        break;
    }
    return "\"stands-in-for-a-template\"";
}

/* Is the value a template that can become what the member needs? Another value is decoded, and refused, as it stands. */
static bool stands_for(const struct hf_member *member, const struct hf_template *value)
{
    if (value->constant || member->form == HF_FORM_RAW) {
        return !value->constant;
    }
    bool number = member->form == HF_FORM_INTEGER || member->form == HF_FORM_BOOL;
    return hf_template_is_copy(value->text) && !(number && hf_template_is_join(value->text));
}

/* The operation with its templates replaced. */
static bool write_constants(struct hf_saga_parsing *p, const struct hf_template *op,
                            struct hf_buffer *out)
{
    struct hf_fields_json reading;
    hf_fields_init(&reading, op->text, p->place, p->arena, p->malformed);
    if (hf_json_next(&reading.json) != HF_JSON_OBJECT_BEGIN) {
        return hf_fields_refuse_token(&reading, "must be an object, for example "
                                                "{\"op\":\"void\",\"hold\":\"h-1\"}");
    }
    hf_buffer_text(out, "{");
    while (hf_json_next(&reading.json) == HF_JSON_NAME) {
        struct hf_str name = hf_json_string(&reading.json, p->arena);
        if (!hf_str_present(name)) {
            return hf_saga_short_memory(p);
        }
        const struct hf_member *member = hf_op_member(name);
        if (member == NULL) {
            return hf_fields_refuse_member(&reading);
        }
        struct hf_template value;
        struct hf_str raw;
        size_t before = hf_place_enter(p->place, member->name);
        if (!hf_json_skip(&reading.json, &raw)) {
            return hf_saga_short_memory(p);
        }
        if (!hf_saga_take_template(p, raw, op->steps, &value)) {
            return false;
        }
        if (hf_str_equal(name, HF_STR("op")) && !value.constant) {
            return hf_saga_refuse(p, NULL, "which operation it is can't be a template");
        }
        hf_place_leave(p->place, before);
        hf_buffer_format(out, "%s\"%s\":", out->size_bytes > 1 ? "," : "", member->name.ptr);
        if (stands_for(member, &value)) {
            hf_buffer_text(out, stand_in(member));
        } else {
            hf_buffer_bytes(out, raw.ptr, raw.len);
        }
    }
    hf_buffer_text(out, "}");
    return (!out->failed && reading.json.token == HF_JSON_OBJECT_END) || hf_saga_short_memory(p);
}

/* What decoding or the command found, at the place: its own pointer begins at the operation ("/amount") or the commit
 * ("/do/0/amount"). */
static bool refuse_found(struct hf_saga_parsing *p, const struct hf_malformed *found)
{
    static const char commit[] = "/do/0";
    if (found->code == HF_ERR_NO_MEMORY) {
        return hf_saga_short_memory(p);
    }
    const char *pointer = found->pointer;
    if (strncmp(pointer, commit, sizeof(commit) - 1) == 0) {
        pointer += sizeof(commit) - 1;
    }
    return hf_saga_refuse(p, pointer[0] == '\0' ? NULL : pointer + 1, "%s", found->text);
}

bool hf_saga_check_op(struct hf_saga_parsing *p, const struct hf_template *op)
{
    struct hf_buffer text;
    struct hf_command command;
    struct hf_op_fields fields = {0};
    struct hf_malformed found;
    hf_buffer_init(&text);
    hf_command_init(&command, HF_COMMAND_COMMIT);
    bool ok = write_constants(p, op, &text);
    if (ok && !hf_op_json_decode((struct hf_str){(const char *)text.data, text.size_bytes},
                                 &command.arena, &fields, &found)) {
        ok = refuse_found(p, &found);
    }
    if (ok && hf_str_present(fields.op) && !is_native(fields.op)) {
        ok = hf_saga_refuse(p, "op",
                            "a step does hold, capture, void, transfer, append, put or publish");
    }
    if (ok && !hf_command_add_op(&command, &fields, &found)) {
        ok = refuse_found(p, &found);
    }
    hf_command_release(&command);
    hf_buffer_release(&text);
    return ok;
}
