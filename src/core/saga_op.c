/* Operations on sagas: from flat fields to checked ones, and callback tokens. */
#include "core/saga_op.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/json.h"
#include "base/time_text.h"
#include "base/url.h"
#include "core/command_priv.h"

#define BUSINESS_KEY_BYTES_MAX 128u
#define ACTOR_BYTES_MAX        128u
#define TOKEN_BYTES_MAX        64u
#define OUTCOME_BYTES_MAX      16u
#define VERBS_DEFAULT          100u

#define STEP_RULE       "a step's name is 1 to 64 characters of a-z, 0-9 and -"
#define DEFINITION_RULE "a definition is name@version, for example order@3, or an object"
#define TAGS_RULE                                                                                  \
    "tags are an object of at most 16 strings of up to 128 bytes, named by 1 to 64 characters of " \
    "A-Z a-z 0-9 . _ -"

struct building {
    struct hf_command *command;
    const struct hf_saga_op_fields *fields;
    struct hf_op *op;
    struct hf_saga_command *saga;
    struct hf_malformed *malformed;
    const char *base; /* of pointers: "/do/0", or "" */
    char pointer[64]; /* scratch */
};

static const char *pointer_to(struct building *b, const char *member)
{
    (void)snprintf(b->pointer, sizeof(b->pointer), "%s%s%s", b->base, member == NULL ? "" : "/",
                   member == NULL ? "" : member);
    return b->pointer;
}

static bool refuse(struct building *b, const char *member, const char *text)
{
    return hf_malformed_set(b->malformed, HF_ERR_INVALID_REQUEST, pointer_to(b, member), "%s",
                            text);
}

/* A copy in the command's arena; absent stays absent. */
static bool keep(struct building *b, struct hf_str *text)
{
    if (!hf_str_present(*text)) {
        return true;
    }
    *text = hf_arena_copy(&b->command->arena, *text);
    return hf_str_present(*text) || hf_command_short_memory(b->malformed);
}

/* The same for a text that people read. */
static bool keep_line(struct building *b, struct hf_str *text, const char *member, size_t bytes_max)
{
    bool fits = !hf_str_present(*text) || (text->len > 0 && text->len <= bytes_max);
    for (size_t i = 0; fits && i < text->len; i++) {
        fits = (unsigned char)text->ptr[i] >= 0x20 && text->ptr[i] != 0x7F;
    }
    return fits ? keep(b, text)
                : hf_malformed_set(b->malformed, HF_ERR_INVALID_REQUEST, pointer_to(b, member),
                                   "1 to %zu bytes without control characters", bytes_max);
}

static bool keep_step(struct building *b, struct hf_str *step, const char *member, bool needed)
{
    bool fits = hf_str_present(*step) ? hf_saga_step_name_valid(*step) : !needed;
    return fits ? keep(b, step) : refuse(b, member, STEP_RULE);
}

/* ---- definitions ---- */

static bool is_definition_name(struct hf_str name)
{
    return hf_str_present(name) && hf_name_valid(name) && memchr(name.ptr, '@', name.len) == NULL;
}

/* "order@3" */
static bool split_definition(struct hf_str text, struct hf_str *name, uint64_t *version)
{
    const char *at = text.len == 0 ? NULL : memchr(text.ptr, '@', text.len);
    hf_u128 number = 0;
    if (at == NULL) {
        return false;
    }
    *name = (struct hf_str){text.ptr, (size_t)(at - text.ptr)};
    struct hf_str digits = {at + 1, text.len - name->len - 1};
    if (!is_definition_name(*name) || !hf_u128_parse(digits, &number) || number == 0 ||
        number > HF_JSON_INTEGER_MAX) {
        return false;
    }
    *version = (uint64_t)number;
    return true;
}

static bool name_definition(struct building *b, struct hf_str name)
{
    return keep(b, &name) && (hf_name_make(name, &b->command->arena, &b->saga->definition) ||
                              hf_command_short_memory(b->malformed));
}

/* Into the command's arena, with its text and hash. */
static bool parse_definition(struct building *b, struct hf_str json, const char *member)
{
    struct hf_arena *arena = &b->command->arena;
    struct hf_saga_command *saga = b->saga;
    saga->parsed = hf_arena_alloc_zero(arena, 1, sizeof(*saga->parsed));
    if (saga->parsed == NULL) {
        return hf_command_short_memory(b->malformed);
    }
    if (!hf_saga_definition_parse_into(saga->parsed, arena, json, b->malformed)) {
        char inside[sizeof(b->malformed->pointer)];
        memcpy(inside, b->malformed->pointer, sizeof(inside));
        if (b->malformed->code != HF_ERR_NO_MEMORY && member != NULL) {
            (void)snprintf(b->malformed->pointer, sizeof(b->malformed->pointer), "%.24s%.39s",
                           pointer_to(b, member), inside);
        }
        return false;
    }
    saga->definition_text.text = saga->parsed->text;
    saga->definition_text.hash = hf_sha256(saga->parsed->text.ptr, saga->parsed->text.len);
    return true;
}

static bool take_inline(struct building *b)
{
    static const char hex[] = "0123456789abcdef";
    char name[33] = "~";
    if (!parse_definition(b, b->fields->definition, "definition")) {
        return false;
    }
    for (size_t i = 0; i < 16; i++) {
        uint8_t byte = b->saga->definition_text.hash.bytes[i];
        name[1 + 2 * i] = hex[byte >> 4];
        name[2 + 2 * i] = hex[byte & 15];
    }
    b->saga->definition_version = 1;
    return name_definition(b, (struct hf_str){name, sizeof(name)});
}

static bool take_definition(struct building *b)
{
    struct hf_str text = b->fields->definition;
    struct hf_str name;
    if (text.len > 0 && text.ptr[0] == '{') {
        return take_inline(b);
    }
    return split_definition(text, &name, &b->saga->definition_version)
               ? name_definition(b, name)
               : refuse(b, "definition", DEFINITION_RULE);
}

static bool take_define(struct building *b)
{
    const struct hf_saga_op_fields *f = b->fields;
    if (!is_definition_name(f->name)) {
        return refuse(b, NULL, HF_NAME_RULE "; a definition's has no @");
    }
    if (f->version == 0 || f->version > HF_JSON_INTEGER_MAX) {
        return refuse(b, NULL, "a version is from 1 to 2^53 - 1");
    }
    if (!name_definition(b, f->name) || !parse_definition(b, f->definition_json, NULL)) {
        return false;
    }
    b->op->subject = b->saga->definition;
    b->saga->definition_version = f->version;
    return true;
}

/* ---- starts ---- */

static bool is_tag_key(struct hf_str key)
{
    bool fits = key.len > 0 && key.len <= HF_SAGA_TAG_KEY_BYTES_MAX;
    for (size_t i = 0; fits && i < key.len; i++) {
        char c = key.ptr[i];
        fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_' || c == '-';
    }
    return fits;
}

/* The text is valid JSON. */
static bool check_tags(struct building *b, struct hf_str json)
{
    struct hf_arena *arena = &b->command->arena;
    struct hf_json reading;
    hf_json_init(&reading, json, arena);
    bool fits = hf_json_next(&reading) == HF_JSON_OBJECT_BEGIN;
    for (uint32_t count = 0; fits && hf_json_next(&reading) == HF_JSON_NAME; count++) {
        struct hf_str key = hf_json_string(&reading, arena);
        bool text = hf_json_next(&reading) == HF_JSON_STRING;
        struct hf_str value = text ? hf_json_string(&reading, arena) : HF_STR("");
        if (!hf_str_present(key) || !hf_str_present(value)) {
            return hf_command_short_memory(b->malformed);
        }
        fits = text && count < HF_SAGA_TAGS_MAX && is_tag_key(key) &&
               value.len <= HF_SAGA_TAG_VALUE_BYTES_MAX;
    }
    if (fits && reading.token == HF_JSON_ERROR) {
        return hf_command_short_memory(b->malformed);
    }
    return fits || refuse(b, "tags", TAGS_RULE);
}

/* Of one form, whatever way they were written. */
static bool take_tags(struct building *b)
{
    struct hf_str json = b->fields->tags;
    struct hf_payload *tags = &b->saga->tags;
    if (!hf_str_present(json)) {
        return true;
    }
    if (!hf_command_payload(b->command, json, pointer_to(b, "tags"), HF_METADATA_BYTES_MAX, tags,
                            b->malformed)) {
        return false;
    }
    if (!check_tags(b, tags->text)) {
        return false;
    }
    struct hf_buffer canonical;
    hf_buffer_init(&canonical);
    bool ok = hf_json_canonical(tags->text, &canonical);
    if (ok) {
        tags->text = (struct hf_str){(const char *)canonical.data, canonical.size_bytes};
        tags->hash = hf_sha256(tags->text.ptr, tags->text.len);
        ok = keep(b, &tags->text);
    }
    hf_buffer_release(&canonical);
    return ok || hf_command_short_memory(b->malformed);
}

/* Two starts of one command have two secrets. */
static void make_secret(struct building *b)
{
    uint8_t index[4];
    hf_put_u32(index, b->command->op_count);
    struct hf_sha256_part parts[] = {{b->command->secret, sizeof(b->command->secret)},
                                     {index, sizeof(index)}};
    struct hf_hash hash = hf_sha256_parts(parts, HF_ARRAY_COUNT(parts));
    memcpy(b->saga->fields.secret, hash.bytes, sizeof(b->saga->fields.secret));
}

static bool take_start(struct building *b)
{
    const struct hf_saga_op_fields *f = b->fields;
    struct hf_saga_command *saga = b->saga;
    make_secret(b);
    if (!take_definition(b) || !take_tags(b) ||
        !keep_line(b, &saga->fields.business_key, "business_key", BUSINESS_KEY_BYTES_MAX)) {
        return false;
    }
    if (hf_str_present(f->input) &&
        !hf_command_payload(b->command, f->input, pointer_to(b, "input"), HF_SAGA_INPUT_BYTES_MAX,
                            &saga->input, b->malformed)) {
        return false;
    }
    return !hf_str_present(f->not_before) || hf_time_parse(f->not_before, &saga->not_before_us) ||
           refuse(b, "not_before", HF_TIME_RULE);
}

/* ---- steps ---- */

static bool take_result(struct building *b)
{
    struct hf_str json = b->fields->result;
    return !hf_str_present(json) ||
           hf_command_payload(b->command, json, pointer_to(b, "result"), HF_SAGA_RESULT_BYTES_MAX,
                              &b->saga->result, b->malformed);
}

static bool take_error(struct building *b)
{
    struct hf_str *error = &b->saga->fields.error;
    if (hf_str_present(*error) && error->len > HF_SAGA_ERROR_BYTES_MAX) {
        return refuse(b, "error", "at most 512 bytes say what went wrong");
    }
    return keep(b, error);
}

static bool take_outcome(struct building *b)
{
    struct hf_saga_op_fields *f = &b->saga->fields;
    if (!keep_step(b, &f->step, "step", true)) {
        return false;
    }
    if (hf_str_present(f->token) && (f->token.len == 0 || f->token.len > TOKEN_BYTES_MAX)) {
        return refuse(b, "token", "this is no callback token: use the one of Saga-Callback-Token");
    }
    return keep(b, &f->token) && take_result(b) && take_error(b) &&
           keep_line(b, &f->actor, "actor", ACTOR_BYTES_MAX) &&
           keep_line(b, &f->reason, "reason", HF_SAGA_ERROR_BYTES_MAX);
}

/* What a participant said is never refused: what can't be kept is left out, and a success with a result that is no JSON
 * counts as one that can't be kept. */
static bool take_answer(struct building *b)
{
    struct hf_saga_op_fields *f = &b->saga->fields;
    struct hf_saga_answer *answer = &f->answer;
    HF_CHECK(hf_saga_step_name_valid(f->step) && f->op >= HF_SAGA_ACTION &&
             f->op <= HF_SAGA_COMPENSATION);
    if (f->error.len > HF_SAGA_ERROR_BYTES_MAX) {
        f->error.len = HF_SAGA_ERROR_BYTES_MAX;
    }
    if (answer->outcome.len > OUTCOME_BYTES_MAX) {
        answer->outcome = HF_STR_NONE;
    }
    if (answer->location.len > HF_URL_BYTES_MAX) {
        answer->location = HF_STR_NONE;
    }
    bool kept = answer->body.len <= HF_SAGA_RESULT_BYTES_MAX &&
                (answer->body.len == 0 || hf_json_validate(answer->body, NULL) == HF_ERR_OK);
    if (!kept) {
        answer->body = HF_STR_NONE;
        bool success = answer->status >= 200 && answer->status <= 299;
        if (answer->error == HF_CALL_COMPLETE && success) {
            answer->error = HF_CALL_TOO_LARGE;
        }
    }
    if (!keep(b, &f->step) || !keep(b, &f->error) || !keep(b, &answer->outcome) ||
        !keep(b, &answer->location) || !keep(b, &answer->body)) {
        return false;
    }
    if (answer->body.len > 0) {
        b->saga->result.text = answer->body;
        b->saga->result.hash = hf_sha256(answer->body.ptr, answer->body.len);
    }
    return true;
}

/* ---- verbs ---- */

static bool take_reason(struct building *b)
{
    struct hf_saga_op_fields *f = &b->saga->fields;
    if (!hf_str_present(f->reason)) {
        return refuse(b, "reason", "say why: it stands in the saga's history");
    }
    return keep_line(b, &f->reason, "reason", HF_SAGA_ERROR_BYTES_MAX) &&
           keep_line(b, &f->actor, "actor", ACTOR_BYTES_MAX);
}

static bool take_verb(struct building *b)
{
    struct hf_saga_op_fields *f = &b->saga->fields;
    HF_CHECK(f->verb >= HF_SAGA_ACT_RETRY && f->verb <= HF_SAGA_ACT_ABANDON);
    bool of_step = f->verb == HF_SAGA_ACT_RETRY || f->verb == HF_SAGA_ACT_SKIP;
    if (hf_str_present(f->step) && !of_step) {
        return refuse(b, "step", "only retry and skip are of a step");
    }
    if (hf_str_present(b->fields->result) && f->verb != HF_SAGA_ACT_SKIP) {
        return refuse(b, "result", "only skip has a result");
    }
    return keep_step(b, &f->step, "step", f->verb == HF_SAGA_ACT_SKIP) && take_result(b) &&
           take_reason(b);
}

static bool take_filter(struct building *b, struct hf_saga_filter *filter)
{
    struct hf_str name;
    uint64_t version;
    struct hf_str definition = filter->definition;
    if (hf_str_present(definition) && !is_definition_name(definition) &&
        !split_definition(definition, &name, &version)) {
        return refuse(b, "filter/definition", "name or name@version");
    }
    if (hf_str_present(filter->tag_key) &&
        (!is_tag_key(filter->tag_key) || filter->tag_value.len > HF_SAGA_TAG_VALUE_BYTES_MAX)) {
        return refuse(b, "filter/tag", TAGS_RULE);
    }
    return keep(b, &filter->definition) && keep(b, &filter->tag_key) &&
           keep(b, &filter->tag_value) &&
           keep_line(b, &filter->business_key, "filter/business_key", BUSINESS_KEY_BYTES_MAX) &&
           keep_step(b, &filter->step, "filter/step", false);
}

static bool take_verbs(struct building *b)
{
    struct hf_saga_op_fields *f = &b->saga->fields;
    HF_CHECK(f->verb >= HF_SAGA_ACT_RETRY && f->verb <= HF_SAGA_ACT_ABANDON);
    f->limit = f->limit == 0 ? VERBS_DEFAULT : f->limit;
    if (f->limit > HF_SAGA_VERBS_MAX) {
        return refuse(b, "limit", "from 1 to 1000");
    }
    if (f->jitter_ms > HF_BACKOFF_MS_MAX || (f->jitter_ms > 0 && f->verb != HF_SAGA_ACT_RETRY)) {
        return refuse(b, "jitter_ms", "of retry alone, at most 86400000 milliseconds");
    }
    if (hf_str_present(f->after) && !hf_name_valid_reference(f->after)) {
        return refuse(b, "after", HF_NAME_RULE);
    }
    if (f->verb == HF_SAGA_ACT_SKIP && !hf_str_present(f->filter.step)) {
        return refuse(b, "filter/step", "which step is skipped?");
    }
    return take_filter(b, &f->filter) && keep(b, &f->after) && take_reason(b);
}

/* ---- operations ---- */

static bool take(struct building *b)
{
    switch ((unsigned)b->op->type) {
    case HF_OP_DEFINE_SAGA:
        return take_define(b);
    case HF_OP_START_SAGA:
        return take_start(b);
    case HF_OP_COMPLETE_STEP:
    case HF_OP_FAIL_STEP:
        return take_outcome(b);
    case HF_OP_SAGA_ANSWER:
        return take_answer(b);
    case HF_OP_SAGA_VERB:
        return take_verb(b);
    default:
        HF_CHECK(b->op->type == HF_OP_SAGA_VERBS);
        return take_verbs(b);
    }
}

/* op->saga of the fields; texts that no `take` function looks at are absent in it. */
static bool build(struct building *b)
{
    struct hf_saga_command *saga = hf_arena_alloc_zero(&b->command->arena, 1, sizeof(*saga));
    if (saga == NULL) {
        return hf_command_short_memory(b->malformed);
    }
    saga->fields = *b->fields;
    saga->fields.saga = b->op->subject.text;
    saga->fields.name = HF_STR_NONE;
    saga->fields.definition_json = HF_STR_NONE;
    saga->fields.definition = HF_STR_NONE;
    saga->fields.input = HF_STR_NONE;
    saga->fields.tags = HF_STR_NONE;
    saga->fields.not_before = HF_STR_NONE;
    saga->fields.result = HF_STR_NONE;
    b->saga = saga;
    b->op->saga = saga;
    return take(b);
}

bool hf_command_take_saga(struct hf_command *command, const struct hf_op_fields *fields,
                          struct hf_op *op, struct hf_malformed *malformed)
{
    struct hf_saga_op_fields own = {
        .type = op->type,
        .definition = fields->definition,
        .input = fields->input,
        .tags = fields->tags,
        .business_key = fields->business_key,
        .not_before = fields->not_before,
        .step = fields->step,
        .token = fields->callback_token,
        .result = fields->result,
        .error = fields->error,
        .reason = fields->reason,
        .actor = fields->actor,
    };
    char base[32];
    (void)snprintf(base, sizeof(base), "/do/%u", command->op_count);
    struct building b = {
        .command = command, .fields = &own, .op = op, .malformed = malformed, .base = base};
    return build(&b);
}

/* The saga that the operation is about. */
static bool take_subject(struct building *b)
{
    struct hf_str text = b->fields->saga;
    if (b->op->type == HF_OP_DEFINE_SAGA || b->op->type == HF_OP_SAGA_VERBS) {
        return true;
    }
    if (!hf_name_valid_reference(text)) {
        return refuse(b, NULL, HF_NAME_RULE);
    }
    return keep(b, &text) && (hf_name_make(text, &b->command->arena, &b->op->subject) ||
                              hf_command_short_memory(b->malformed));
}

bool hf_command_add_saga_op(struct hf_command *command, const struct hf_saga_op_fields *fields,
                            struct hf_malformed *malformed)
{
    HF_CHECK(command->op_count == 0 && fields->type != HF_OP_START_SAGA &&
             fields->type != HF_OP_COMPLETE_STEP && fields->type != HF_OP_FAIL_STEP);
    struct hf_op *op = hf_arena_alloc_zero(&command->arena, 1, sizeof(*op));
    if (op == NULL) {
        return hf_command_short_memory(malformed);
    }
    op->type = fields->type;
    op->has_expected_version = fields->has_expected_version;
    op->expected_version = fields->has_expected_version ? fields->expected_version : 0;
    struct building b = {
        .command = command, .fields = fields, .op = op, .malformed = malformed, .base = ""};
    if (!take_subject(&b) || !build(&b) || !hf_command_encode_op(command, op, malformed)) {
        return false;
    }
    command->ops = op;
    command->op_capacity = 1;
    command->op_count = 1;
    return true;
}

void hf_saga_token(const uint8_t secret[16], struct hf_str step, enum hf_saga_op op, char out[33])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t op_byte = (uint8_t)op;
    struct hf_sha256_part parts[] = {{secret, 16}, {step.ptr, step.len}, {&op_byte, 1}};
    struct hf_hash hash = hf_sha256_parts(parts, HF_ARRAY_COUNT(parts));
    for (size_t i = 0; i < 16; i++) {
        out[2 * i] = hex[hash.bytes[i] >> 4];
        out[2 * i + 1] = hex[hash.bytes[i] & 15];
    }
    out[32] = '\0';
}
