/* Operations: from flat text fields to checked, typed ones. */
#include <stdio.h>

#include "base/check.h"
#include "base/time_text.h"
#include "core/command.h"
#include "core/command_priv.h"

/* Every field that an operation may have, as a bit. */
enum field {
    F_ACCOUNT,
    F_ID,
    F_FROM,
    F_TO,
    F_ASSET,
    F_AMOUNT,
    F_TRANSFER,
    F_HOLD,
    F_STREAM,
    F_DOCUMENT,
    F_LEASE,
    F_OWNER,
    F_TYPE,
    F_DATA,
    F_METADATA,
    F_FLOOR,
    F_CEILING,
    F_EFFECTIVE_AT,
    F_UP_TO,
    F_FINAL,
    F_TIMEOUT_MS,
    F_TTL_MS,
    F_TOKEN,
    F_EXPECTED_VERSION,
    F_TOPIC,
    F_KEY,
    F_DELIVER_AT,
    F_SUBSCRIPTION,
    F_RECEIPT,
    F_DELAY_MS,
    F_ERROR,
    F_SAGA,
    F_DEFINITION,
    F_INPUT,
    F_BUSINESS_KEY,
    F_TAGS,
    F_NOT_BEFORE,
    F_STEP,
    F_CALLBACK_TOKEN,
    F_RESULT,
    F_REASON,
    F_ACTOR,
    F_COUNT,
};

static const char *const field_names[F_COUNT] = {
    "account",    "id",    "from",       "to",           "asset",        "amount",
    "transfer",   "hold",  "stream",     "document",     "lease",        "owner",
    "type",       "data",  "metadata",   "floor",        "ceiling",      "effective_at",
    "up_to",      "final", "timeout_ms", "ttl_ms",       "token",        "expected_version",
    "topic",      "key",   "deliver_at", "subscription", "receipt",      "delay_ms",
    "error",      "saga",  "definition", "input",        "business_key", "tags",
    "not_before", "step",  "token",      "result",       "reason",       "actor",
};

#define B(field) (UINT64_C(1) << F_##field)

/* What each operation needs and what else it may have. */
static const struct {
    uint64_t needed;
    uint64_t optional;
} shapes[HF_OP_COUNT] = {
    [HF_OP_OPEN_ACCOUNT] = {B(ACCOUNT) | B(ASSET), B(FLOOR) | B(CEILING) | B(METADATA)},
    [HF_OP_SET_LIMITS] = {B(ACCOUNT), B(FLOOR) | B(CEILING)},
    [HF_OP_SET_METADATA] = {B(ACCOUNT) | B(METADATA), 0},
    [HF_OP_FREEZE] = {B(ACCOUNT), 0},
    [HF_OP_UNFREEZE] = {B(ACCOUNT), 0},
    [HF_OP_CLOSE_ACCOUNT] = {B(ACCOUNT), 0},
    [HF_OP_TRANSFER] = {B(FROM) | B(TO) | B(ASSET) | B(AMOUNT),
                        B(ID) | B(UP_TO) | B(EFFECTIVE_AT) | B(METADATA)},
    [HF_OP_REVERSE] = {B(TRANSFER), B(ID) | B(AMOUNT)},
    [HF_OP_HOLD] = {B(FROM) | B(TO) | B(ASSET) | B(AMOUNT), B(ID) | B(TIMEOUT_MS)},
    [HF_OP_CAPTURE] = {B(HOLD), B(AMOUNT) | B(FINAL)},
    [HF_OP_VOID] = {B(HOLD), 0},
    [HF_OP_EXTEND] = {B(HOLD) | B(TIMEOUT_MS), 0},
    [HF_OP_APPEND] = {B(STREAM) | B(TYPE) | B(DATA), B(ID) | B(EXPECTED_VERSION)},
    [HF_OP_PUT] = {B(DOCUMENT) | B(DATA), B(EXPECTED_VERSION)},
    [HF_OP_PATCH] = {B(DOCUMENT) | B(DATA), B(EXPECTED_VERSION)},
    [HF_OP_DELETE] = {B(DOCUMENT), B(EXPECTED_VERSION)},
    [HF_OP_ACQUIRE] = {B(LEASE) | B(OWNER) | B(TTL_MS), 0},
    [HF_OP_RENEW] = {B(LEASE) | B(TOKEN), B(TTL_MS)},
    [HF_OP_RELEASE] = {B(LEASE) | B(TOKEN), 0},
    [HF_OP_PUBLISH] = {B(TOPIC) | B(KEY) | B(TYPE) | B(DATA), B(ID) | B(DELIVER_AT)},
    [HF_OP_ACK] = {B(SUBSCRIPTION) | B(RECEIPT), 0},
    [HF_OP_NACK] = {B(SUBSCRIPTION) | B(RECEIPT), B(DELAY_MS) | B(ERROR)},
    [HF_OP_START_SAGA] = {B(DEFINITION),
                          B(SAGA) | B(INPUT) | B(BUSINESS_KEY) | B(TAGS) | B(NOT_BEFORE)},
    [HF_OP_COMPLETE_STEP] = {B(SAGA) | B(STEP),
                             B(CALLBACK_TOKEN) | B(RESULT) | B(REASON) | B(ACTOR)},
    [HF_OP_FAIL_STEP] = {B(SAGA) | B(STEP), B(CALLBACK_TOKEN) | B(ERROR) | B(REASON) | B(ACTOR)},
};

struct adding {
    struct hf_command *command;        /* grows */
    const struct hf_op_fields *fields; /* what was given */
    struct hf_op *op;                  /* what comes of it */
    struct hf_malformed *malformed;    /* filled on failure */
    char pointer[64];                  /* scratch for pointer_to */
};

static const char *pointer_to(struct adding *adding, const char *field)
{
    (void)snprintf(adding->pointer, sizeof(adding->pointer), "/do/%u%s%s",
                   adding->command->op_count, field == NULL ? "" : "/", field == NULL ? "" : field);
    return adding->pointer;
}

static bool refuse(struct adding *adding, const char *field, const char *text)
{
    return hf_malformed_set(adding->malformed, HF_ERR_INVALID_REQUEST, pointer_to(adding, field),
                            "%s", text);
}

#define GIVEN(is_there, name) ((uint64_t)(is_there) << F_##name)

static uint64_t given_fields(const struct hf_op_fields *f)
{
    return GIVEN(hf_str_present(f->account), ACCOUNT) | GIVEN(hf_str_present(f->id), ID) |
           GIVEN(hf_str_present(f->from), FROM) | GIVEN(hf_str_present(f->to), TO) |
           GIVEN(hf_str_present(f->asset), ASSET) | GIVEN(hf_str_present(f->amount), AMOUNT) |
           GIVEN(hf_str_present(f->transfer), TRANSFER) | GIVEN(hf_str_present(f->hold), HOLD) |
           GIVEN(hf_str_present(f->stream), STREAM) | GIVEN(hf_str_present(f->document), DOCUMENT) |
           GIVEN(hf_str_present(f->lease), LEASE) | GIVEN(hf_str_present(f->owner), OWNER) |
           GIVEN(hf_str_present(f->type), TYPE) | GIVEN(hf_str_present(f->data), DATA) |
           GIVEN(hf_str_present(f->metadata), METADATA) |
           GIVEN(hf_str_present(f->floor) || f->floor_null, FLOOR) |
           GIVEN(hf_str_present(f->ceiling) || f->ceiling_null, CEILING) |
           GIVEN(hf_str_present(f->effective_at), EFFECTIVE_AT) | GIVEN(f->has_up_to, UP_TO) |
           GIVEN(f->has_final, FINAL) | GIVEN(f->has_timeout_ms, TIMEOUT_MS) |
           GIVEN(f->has_ttl_ms, TTL_MS) | GIVEN(f->has_token, TOKEN) |
           GIVEN(f->has_expected_version, EXPECTED_VERSION) |
           GIVEN(hf_str_present(f->topic), TOPIC) | GIVEN(hf_str_present(f->key), KEY) |
           GIVEN(hf_str_present(f->deliver_at), DELIVER_AT) |
           GIVEN(hf_str_present(f->subscription), SUBSCRIPTION) |
           GIVEN(hf_str_present(f->receipt), RECEIPT) | GIVEN(f->has_delay_ms, DELAY_MS) |
           GIVEN(hf_str_present(f->error), ERROR) | GIVEN(hf_str_present(f->saga), SAGA) |
           GIVEN(hf_str_present(f->definition), DEFINITION) |
           GIVEN(hf_str_present(f->input), INPUT) |
           GIVEN(hf_str_present(f->business_key), BUSINESS_KEY) |
           GIVEN(hf_str_present(f->tags), TAGS) | GIVEN(hf_str_present(f->not_before), NOT_BEFORE) |
           GIVEN(hf_str_present(f->step), STEP) |
           GIVEN(hf_str_present(f->callback_token), CALLBACK_TOKEN) |
           GIVEN(hf_str_present(f->result), RESULT) | GIVEN(hf_str_present(f->reason), REASON) |
           GIVEN(hf_str_present(f->actor), ACTOR);
}

/* The first field whose bit is set. */
static const char *first_field(uint64_t bits)
{
    return field_names[__builtin_ctzll(bits)];
}

static bool check_shape(struct adding *adding)
{
    uint64_t given = given_fields(adding->fields);
    enum hf_op_type type = adding->op->type;
    uint64_t missing = shapes[type].needed & ~given;
    uint64_t known = shapes[type].needed | shapes[type].optional;
    uint64_t foreign = given & ~known;
    if ((foreign & B(CALLBACK_TOKEN)) != 0 && (known & B(TOKEN)) != 0) {
        return refuse(adding, "token", "must be an integer from 0 to 2^53 - 1");
    }
    if ((foreign & B(TOKEN)) != 0 && (known & B(CALLBACK_TOKEN)) != 0) {
        return refuse(adding, "token", "must be a string");
    }
    if (missing != 0) {
        return hf_malformed_set(adding->malformed, HF_ERR_INVALID_REQUEST,
                                pointer_to(adding, first_field(missing)), "%s needs the member %s",
                                hf_op_wire(type), first_field(missing));
    }
    if (foreign != 0) {
        return hf_malformed_set(adding->malformed, HF_ERR_INVALID_REQUEST,
                                pointer_to(adding, first_field(foreign)), "%s takes no %s",
                                hf_op_wire(type), first_field(foreign));
    }
    if (type == HF_OP_SET_LIMITS && (given & (B(FLOOR) | B(CEILING))) == 0) {
        return refuse(adding, NULL, "set_limits needs floor, ceiling or both");
    }
    return true;
}

/* What kind of name a field has. */
enum naming {
    NEW_ID,    /* never seen before */
    THING,     /* named again and again */
    REFERENCE, /* to a transfer or hold: perhaps the server gave it its name */
};

static bool take_name(struct adding *adding, struct hf_str text, const char *field,
                      enum naming naming, struct hf_name *name)
{
    if (!hf_str_present(text)) {
        return true;
    }
    struct hf_arena *arena = &adding->command->arena;
    bool valid = naming == REFERENCE ? hf_name_valid_reference(text) : hf_name_valid(text);
    if (!valid) {
        return refuse(adding, field, HF_NAME_RULE);
    }
    struct hf_str copy = hf_arena_copy(arena, text);
    if (copy.ptr == NULL || !(naming == THING ? hf_name_make_again(copy, arena, name)
                                              : hf_name_make(copy, arena, name))) {
        return hf_command_short_memory(adding->malformed);
    }
    return true;
}

static bool take_names(struct adding *adding)
{
    const struct hf_op_fields *f = adding->fields;
    struct hf_op *op = adding->op;
    bool starts = op->type == HF_OP_START_SAGA;
    op->has_id = hf_str_present(f->id) || (starts && hf_str_present(f->saga));
    return take_name(adding, f->account, "account", THING, &op->subject) &&
           take_name(adding, f->from, "from", THING, &op->subject) &&
           take_name(adding, f->transfer, "transfer", REFERENCE, &op->subject) &&
           take_name(adding, f->hold, "hold", REFERENCE, &op->subject) &&
           take_name(adding, f->stream, "stream", THING, &op->subject) &&
           take_name(adding, f->document, "document", THING, &op->subject) &&
           take_name(adding, f->lease, "lease", THING, &op->subject) &&
           take_name(adding, f->topic, "topic", THING, &op->subject) &&
           take_name(adding, f->subscription, "subscription", THING, &op->subject) &&
           take_name(adding, f->saga, "saga", starts ? NEW_ID : REFERENCE, &op->subject) &&
           take_name(adding, starts ? f->saga : HF_STR_NONE, "saga", NEW_ID, &op->id) &&
           take_name(adding, f->to, "to", THING, &op->to) &&
           take_name(adding, f->id, "id", NEW_ID, &op->id);
}

static bool take_limit(struct adding *adding, struct hf_str text, bool null, const char *field,
                       bool *has, bool *none, hf_i128 *value)
{
    if (!hf_str_present(text) && !null) {
        return true;
    }
    *has = true;
    *none = null;
    if (!null && !hf_i128_parse(text, value)) {
        return refuse(adding, field,
                      "a limit is a decimal string of minor units, a leading '-' allowed, below "
                      "2^127, or null for none");
    }
    return true;
}

static bool take_amounts(struct adding *adding)
{
    const struct hf_op_fields *f = adding->fields;
    struct hf_op *op = adding->op;
    if (hf_str_present(f->asset) && !hf_asset_parse(f->asset, &op->asset)) {
        return refuse(adding, "asset",
                      "an asset is CODE/scale, for example USD/2: code [A-Z][A-Z0-9_]{0,16}, scale "
                      "0 to 18");
    }
    op->has_amount = hf_str_present(f->amount);
    if (op->has_amount && !hf_u128_parse(f->amount, &op->amount)) {
        return refuse(adding, "amount",
                      "an amount is a decimal string of minor units below 2^128 without sign, "
                      "point or leading zeros");
    }
    if (!take_limit(adding, f->floor, f->floor_null, "floor", &op->has_floor, &op->floor_none,
                    &op->floor) ||
        !take_limit(adding, f->ceiling, f->ceiling_null, "ceiling", &op->has_ceiling,
                    &op->ceiling_none, &op->ceiling)) {
        return false;
    }
    if (op->type == HF_OP_OPEN_ACCOUNT && !op->has_floor) {
        op->has_floor = true; /* "0" by default */
    }
    if (op->type == HF_OP_OPEN_ACCOUNT && !op->has_ceiling) {
        op->has_ceiling = true;
        op->ceiling_none = true;
    }
    return true;
}

static bool take_numbers(struct adding *adding)
{
    const struct hf_op_fields *f = adding->fields;
    struct hf_op *op = adding->op;
    op->up_to = f->has_up_to && f->up_to;
    op->final = f->has_final && f->final;
    op->has_expected_version = f->has_expected_version;
    op->expected_version = f->expected_version;
    op->token = f->token;
    op->has_timeout = f->has_timeout_ms || f->has_ttl_ms;
    op->timeout_ms = f->has_timeout_ms ? f->timeout_ms : f->ttl_ms;
    uint64_t timeout_max = f->has_ttl_ms ? HF_LEASE_TTL_MS_MAX : HF_HOLD_TIMEOUT_MS_MAX;
    if (op->has_timeout && (op->timeout_ms == 0 || op->timeout_ms > timeout_max)) {
        return hf_malformed_set(adding->malformed, HF_ERR_INVALID_REQUEST,
                                pointer_to(adding, f->has_ttl_ms ? "ttl_ms" : "timeout_ms"),
                                "from 1 to %llu milliseconds", (unsigned long long)timeout_max);
    }
    if (op->expected_version > HF_JSON_INTEGER_MAX || op->token > HF_JSON_INTEGER_MAX) {
        return refuse(adding, op->token > HF_JSON_INTEGER_MAX ? "token" : "expected_version",
                      "must be below 2^53");
    }
    op->has_effective_at = hf_str_present(f->effective_at);
    if (op->has_effective_at && !hf_time_parse(f->effective_at, &op->effective_at_us)) {
        return refuse(adding, "effective_at", HF_TIME_RULE);
    }
    return true;
}

/* An event's type or a lease's owner: printable text that says who or what. */
static bool take_label(struct adding *adding, struct hf_str text, const char *field)
{
    if (!hf_str_present(text)) {
        return true;
    }
    bool visible = text.len > 0 && text.len <= HF_TYPE_BYTES_MAX;
    for (size_t i = 0; visible && i < text.len; i++) {
        visible = text.ptr[i] > 0x20 && text.ptr[i] < 0x7F;
    }
    if (!visible) {
        return refuse(adding, field, "1 to 128 characters of U+0021 to U+007E");
    }
    bool reserved = (text.len >= 9 && memcmp(text.ptr, "holdfast.", 9) == 0) ||
                    (text.len >= 7 && memcmp(text.ptr, "system.", 7) == 0);
    bool users = adding->op->type == HF_OP_APPEND || adding->op->type == HF_OP_PUBLISH;
    if (users && reserved) {
        return refuse(adding, field, "types that begin with holdfast. or system. are reserved");
    }
    adding->op->type_text = hf_arena_copy(&adding->command->arena, text);
    return adding->op->type_text.ptr != NULL || hf_command_short_memory(adding->malformed);
}

static bool take_texts(struct adding *adding)
{
    const struct hf_op_fields *f = adding->fields;
    struct hf_op *op = adding->op;
    if (!take_label(adding, f->type, "type") || !take_label(adding, f->owner, "owner")) {
        return false;
    }
    if (hf_str_present(f->data) &&
        !hf_command_payload(adding->command, f->data, pointer_to(adding, "data"), HF_DATA_BYTES_MAX,
                            &op->data, adding->malformed)) {
        return false;
    }
    return !hf_str_present(f->metadata) ||
           hf_command_metadata(adding->command, f->metadata, pointer_to(adding, "metadata"),
                               &op->metadata, adding->malformed);
}

static bool take_queue(struct adding *adding)
{
    const char *field;
    enum hf_op_type type = adding->op->type;
    if (type < HF_OP_PUBLISH || type > HF_OP_SEEK ||
        hf_command_take_queue(adding->command, adding->fields, adding->op, &field,
                              adding->malformed)) {
        return true;
    }
    if (adding->malformed->code == HF_ERR_INVALID_REQUEST) {
        (void)snprintf(adding->malformed->pointer, sizeof(adding->malformed->pointer), "%s",
                       pointer_to(adding, field));
    }
    return false;
}

static bool take_saga(struct adding *adding)
{
    enum hf_op_type type = adding->op->type;
    return type < HF_OP_START_SAGA || type > HF_OP_FAIL_STEP ||
           hf_command_take_saga(adding->command, adding->fields, adding->op, adding->malformed);
}

static bool grow(struct hf_command *command)
{
    if (command->op_count < command->op_capacity) {
        return true;
    }
    uint32_t capacity = command->op_capacity == 0 ? 1 : command->op_capacity * 4;
    struct hf_op *ops = hf_arena_alloc(&command->arena, capacity * sizeof(*ops));
    if (ops == NULL) {
        return false;
    }
    if (command->op_count > 0) {
        memcpy(ops, command->ops, command->op_count * sizeof(*ops));
    }
    command->ops = ops;
    command->op_capacity = capacity;
    return true;
}

/* A long command mostly does the same thing many times. */
static enum hf_op_type type_of(const struct hf_command *command, struct hf_str wire)
{
    if (command->op_count > 0) {
        enum hf_op_type before = command->ops[command->op_count - 1].type;
        if (hf_str_equal(wire, hf_str_from(hf_op_wire(before)))) {
            return before;
        }
    }
    return hf_op_from_wire(wire);
}

bool hf_command_reserve_ops(struct hf_command *command, uint32_t count,
                            struct hf_malformed *malformed)
{
    HF_CHECK(command->op_count == 0);
    command->ops = hf_arena_alloc(&command->arena, count * sizeof(*command->ops));
    command->op_capacity = command->ops == NULL ? 0 : count;
    return command->ops != NULL || hf_command_short_memory(malformed);
}

/* The place behind the last operation, zeroed. */
static struct hf_op *next_op(struct hf_command *command, struct hf_malformed *malformed)
{
    if (command->op_count >= HF_COMMIT_OPERATIONS_MAX) {
        (void)hf_malformed_set(malformed, HF_ERR_TOO_LARGE, "/do",
                               "a commit has at most %d operations", HF_COMMIT_OPERATIONS_MAX);
        return NULL;
    }
    if (!grow(command)) {
        (void)hf_command_short_memory(malformed);
        return NULL;
    }
    struct hf_op *op = &command->ops[command->op_count];
    memset(op, 0, sizeof(*op));
    return op;
}

struct hf_op *hf_command_new_op(struct hf_command *command, struct hf_malformed *malformed)
{
    struct hf_op *op = next_op(command, malformed);
    command->op_count += op != NULL;
    return op;
}

bool hf_command_add_op(struct hf_command *command, const struct hf_op_fields *fields,
                       struct hf_malformed *malformed)
{
    struct hf_op *op = next_op(command, malformed);
    if (op == NULL) {
        return false;
    }
    struct adding adding = {.command = command, .fields = fields, .op = op, .malformed = malformed};
    op->type = type_of(command, fields->op);
    if (op->type == HF_OP_NONE) {
        return refuse(&adding, "op",
                      hf_str_present(fields->op) ? "no such operation"
                                                 : "which operation? op is missing");
    }
    if (!check_shape(&adding) || !take_names(&adding) || !take_amounts(&adding) ||
        !take_numbers(&adding) || !take_texts(&adding) || !take_queue(&adding) ||
        !take_saga(&adding)) {
        return false;
    }
    bool moves = op->type == HF_OP_TRANSFER || op->type == HF_OP_HOLD;
    if (moves && hf_id_equal(&op->subject.id, &op->to.id)) {
        return refuse(&adding, "to", "from and to must be two accounts");
    }
    if (!hf_command_encode_op(command, op, malformed)) {
        return false;
    }
    command->op_count++;
    return true;
}
