#include "core/command.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/json.h"
#include "base/time_text.h"
#include "core/command_priv.h"
#include "core/receipt.h"

static const struct hf_str op_wires[HF_OP_COUNT] = {[HF_OP_NONE] = {"none", 4},
#define HF_OP_WIRE(name, wire) [HF_OP_##name] = {wire, sizeof(wire) - 1},
                                                    HF_OPERATIONS(HF_OP_WIRE)
#undef HF_OP_WIRE
};

const char *hf_op_wire(enum hf_op_type type)
{
    return op_wires[type].ptr;
}

enum hf_op_type hf_op_from_wire(struct hf_str wire)
{
    for (int type = 1; type < HF_OP_COUNT; type++) {
        bool in_commits = type <= HF_OP_NACK || type == HF_OP_START_SAGA ||
                          type == HF_OP_COMPLETE_STEP || type == HF_OP_FAIL_STEP;
        if (in_commits && hf_str_equal(wire, op_wires[type])) {
            return (enum hf_op_type)type;
        }
    }
    return HF_OP_NONE;
}

bool hf_malformed_set(struct hf_malformed *malformed, enum hf_err code, const char *pointer,
                      const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    malformed->code = code;
    (void)snprintf(malformed->pointer, sizeof(malformed->pointer), "%s", pointer);
    (void)vsnprintf(malformed->text, sizeof(malformed->text), format, arguments);
    va_end(arguments);
    return false;
}

bool hf_command_short_memory(struct hf_malformed *malformed)
{
    return hf_malformed_set(malformed, HF_ERR_NO_MEMORY, "", "out of memory while decoding");
}

void hf_command_init(struct hf_command *command, enum hf_command_kind kind)
{
    *command = (struct hf_command){.kind = kind, .principal = HF_STR("local"), .door = HF_STR("")};
    hf_arena_init(&command->arena);
}

void hf_command_release(struct hf_command *command)
{
    hf_arena_release(&command->arena);
    hf_buffer_release(&command->scratch);
    *command = (struct hf_command){0};
}

static bool is_visible(struct hf_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < 0x21 || text.ptr[i] > 0x7E) {
            return false;
        }
    }
    return true;
}

bool hf_command_set_principal(struct hf_command *command, struct hf_str principal,
                              struct hf_malformed *malformed)
{
    if (principal.len == 0 || principal.len > HF_PRINCIPAL_BYTES_MAX || !is_visible(principal)) {
        return hf_malformed_set(malformed, HF_ERR_INVALID_REQUEST, "",
                                "a principal has 1 to %d bytes of U+0021 to U+007E",
                                HF_PRINCIPAL_BYTES_MAX);
    }
    command->principal = hf_arena_copy(&command->arena, principal);
    return command->principal.ptr != NULL || hf_command_short_memory(malformed);
}

bool hf_command_set_key(struct hf_command *command, struct hf_str key,
                        struct hf_malformed *malformed)
{
    if (key.len == 0 || key.len > HF_KEY_BYTES_MAX || !is_visible(key)) {
        return hf_malformed_set(malformed, HF_ERR_INVALID_REQUEST, "",
                                "an idempotency key has 1 to %d bytes of U+0021 to U+007E",
                                HF_KEY_BYTES_MAX);
    }
    command->key = hf_arena_copy(&command->arena, key);
    return command->key.ptr != NULL || hf_command_short_memory(malformed);
}

/* Checks a JSON text, copies it and hashes it. */
bool hf_command_payload(struct hf_command *command, struct hf_str json, const char *pointer,
                        size_t bytes_max, struct hf_payload *payload,
                        struct hf_malformed *malformed)
{
    if (json.len > bytes_max) {
        return hf_malformed_set(malformed, HF_ERR_TOO_LARGE, pointer,
                                "%zu bytes of JSON; at most %zu are allowed", json.len, bytes_max);
    }
    struct hf_error error = {0};
    enum hf_err code = hf_json_validate(json, &error);
    if (code != HF_ERR_OK) {
        return hf_malformed_set(malformed, code, pointer, "%s", error.text);
    }
    payload->text = hf_arena_copy(&command->arena, json);
    payload->hash = hf_sha256(json.ptr, json.len);
    return payload->text.ptr != NULL || hf_command_short_memory(malformed);
}

bool hf_command_metadata(struct hf_command *command, struct hf_str json, const char *pointer,
                         struct hf_payload *payload, struct hf_malformed *malformed)
{
    if (!hf_command_payload(command, json, pointer, HF_METADATA_BYTES_MAX, payload, malformed)) {
        return false;
    }
    size_t at = 0;
    while (at < json.len && strchr(" \t\r\n", json.ptr[at]) != NULL) {
        at++;
    }
    if (json.ptr[at] != '{') {
        return hf_malformed_set(malformed, HF_ERR_INVALID_REQUEST, pointer,
                                "metadata must be a JSON object");
    }
    return true;
}

bool hf_command_set_metadata(struct hf_command *command, struct hf_str json,
                             struct hf_malformed *malformed)
{
    return hf_command_metadata(command, json, "/metadata", &command->metadata, malformed);
}

struct hf_id hf_key_id(struct hf_str principal, struct hf_str key)
{
    struct hf_sha256_part parts[] = {{principal.ptr, principal.len}, {"\0", 1}, {key.ptr, key.len}};
    struct hf_hash hash = hf_sha256_parts(parts, HF_ARRAY_COUNT(parts));
    struct hf_id id;
    memcpy(id.bytes, hash.bytes, sizeof(id.bytes));
    return id;
}

void hf_command_tag_payload(struct hf_buffer *to, const struct hf_payload *payload)
{
    hf_buffer_u8(to, hf_str_present(payload->text));
    if (hf_str_present(payload->text)) {
        struct hf_buffer canonical;
        hf_buffer_init(&canonical);
        if (!hf_json_canonical(payload->text, &canonical)) {
            to->failed = true;
        }
        hf_buffer_str(to, (struct hf_str){(const char *)canonical.data, canonical.size_bytes});
        hf_buffer_release(&canonical);
    }
}

static void tag_number(struct hf_buffer *to, bool given, hf_u128 value)
{
    hf_buffer_u8(to, given);
    hf_buffer_varint(to, given ? value : 0);
}

/* Room for an operation's flags, numbers, asset and the lengths of its texts: more than they take. */
#define OP_BYTES_MAX (HF_ASSET_BYTES_MAX + 16 * (1 + HF_VARINT_BYTES_MAX))

static uint8_t *put_varint(uint8_t *to, hf_u128 value)
{
    if (value < 0x80) {
        *to = (uint8_t)value;
        return to + 1;
    }
    return to + hf_put_varint(to, value);
}

static uint8_t *put_text(uint8_t *to, struct hf_str text)
{
    to = put_varint(to, text.len);
    if (text.len > 0) {
        memcpy(to, text.ptr, text.len);
    }
    return to + text.len;
}

static uint8_t *put_number(uint8_t *to, bool given, hf_u128 value)
{
    *to = given;
    return put_varint(to + 1, given ? value : 0);
}

static uint8_t *put_signed(uint8_t *to, bool given, bool none, hf_i128 value)
{
    *to = (uint8_t)(given ? (none ? 2 : 1) : 0);
    return put_varint(to + 1, given && !none ? hf_i128_zigzag(value) : 0);
}

/* Encoding 1 of an operation's own fields; frozen by golden files. Into room that is there: this is done
 * for every operation. */
static void encode_op(struct hf_buffer *buffer, const struct hf_op *op)
{
    size_t texts_bytes =
        op->subject.text.len + op->to.text.len + op->id.text.len + op->type_text.len;
    if (!hf_buffer_reserve(buffer, OP_BYTES_MAX + texts_bytes)) {
        return;
    }
    uint8_t *to = buffer->data + buffer->size_bytes;
    *to++ = 1;
    *to++ = (uint8_t)op->type;
    to = put_text(to, op->subject.text);
    to = put_text(to, op->to.text);
    *to++ = op->has_id;
    to = put_text(to, op->id.text);
    to = put_text(to, hf_asset_str(&op->asset));
    to = put_number(to, op->has_amount, op->amount);
    *to++ = (uint8_t)((op->up_to ? 1 : 0) | (op->final ? 2 : 0));
    to = put_signed(to, op->has_floor, op->floor_none, op->floor);
    to = put_signed(to, op->has_ceiling, op->ceiling_none, op->ceiling);
    to = put_number(to, op->has_timeout, op->timeout_ms);
    to = put_varint(to, op->token);
    to = put_number(to, op->has_effective_at, op->effective_at_us);
    to = put_text(to, op->type_text);
    buffer->size_bytes = (size_t)(to - buffer->data);
    HF_CHECK(buffer->size_bytes <= buffer->capacity_bytes);
    hf_command_tag_payload(buffer, &op->data);
    hf_command_tag_payload(buffer, &op->metadata);
    if (op->queue != NULL) {
        hf_command_encode_queue(buffer, op);
    }
    if (op->saga != NULL) {
        hf_command_encode_saga(buffer, op);
    }
}

bool hf_command_encode_op(struct hf_command *command, struct hf_op *op,
                          struct hf_malformed *malformed)
{
    size_t start = command->scratch.size_bytes;
    encode_op(&command->scratch, op);
    if (command->scratch.failed) {
        return hf_command_short_memory(malformed);
    }
    bool replays =
        op->type == HF_OP_APPEND || op->type == HF_OP_PUBLISH || op->type == HF_OP_START_SAGA;
    if (replays && op->has_id) {
        struct hf_hash hash =
            hf_sha256(command->scratch.data + start, command->scratch.size_bytes - start);
        memcpy(op->content_hash, hash.bytes, sizeof(op->content_hash));
    }
    return true;
}

static void encode_comparison(struct hf_buffer *to, const struct hf_comparison *comparison)
{
    hf_buffer_u8(to, comparison->present);
    for (int i = 0; i < HF_COMPARE_COUNT; i++) {
        if ((comparison->present & (1u << i)) != 0) {
            hf_buffer_varint(to, hf_i128_zigzag(comparison->operand[i]));
        }
    }
}

static void encode_condition(struct hf_buffer *to, const struct hf_condition *condition)
{
    hf_buffer_u8(to, (uint8_t)condition->kind);
    hf_buffer_str(to, condition->subject.text);
    if (condition->has_versions) {
        hf_buffer_u8(to, 2); /* where a single version has 0 or 1 */
        hf_buffer_varint(to, condition->version_count);
        for (uint32_t i = 0; i < condition->version_count; i++) {
            hf_buffer_varint(to, condition->versions[i]);
        }
    } else {
        tag_number(to, condition->has_version, condition->version);
    }
    tag_number(to, condition->has_modified_at, condition->modified_at_us);
    tag_number(to, condition->has_exists, condition->exists);
    encode_comparison(to, &condition->available);
    encode_comparison(to, &condition->posted);
    hf_buffer_varint(to, condition->token);
    hf_buffer_u8(to, condition->kind == HF_CONDITION_SAGA ? condition->saga_state
                                                          : (uint8_t)condition->state);
    if (condition->receipt != NULL) {
        const struct hf_receipt *receipt = condition->receipt;
        hf_buffer_varint(to, receipt->uid);
        hf_buffer_bytes(to, receipt->line.bytes, sizeof(receipt->line.bytes));
        hf_buffer_varint(to, receipt->number);
        hf_buffer_varint(to, receipt->token);
    }
}

/* Encoding 1 of the whole request; frozen by golden files. */
static bool compute_fingerprint(struct hf_command *command)
{
    struct hf_buffer *encoded = &command->scratch;
    hf_buffer_clear(encoded);
    hf_buffer_u8(encoded, 1);
    hf_buffer_u8(encoded, (uint8_t)command->kind);
    hf_buffer_str(encoded, command->door);
    hf_buffer_varint(encoded, command->condition_count);
    for (uint32_t i = 0; i < command->condition_count; i++) {
        encode_condition(encoded, &command->conditions[i]);
    }
    hf_buffer_varint(encoded, command->op_count);
    hf_buffer_bytes(encoded, command->ops_hash, sizeof(command->ops_hash));
    for (uint32_t i = 0; i < command->op_count; i++) {
        tag_number(encoded, command->ops[i].has_expected_version, command->ops[i].expected_version);
    }
    hf_command_tag_payload(encoded, &command->metadata);
    if (encoded->failed) {
        return false;
    }
    struct hf_hash hash = hf_sha256(encoded->data, encoded->size_bytes);
    memcpy(command->fingerprint, hash.bytes, sizeof(command->fingerprint));
    return true;
}

void hf_op_of_plain(const struct hf_packed_transfer *plain, char text[HF_UUID_TEXT_BYTES],
                    struct hf_op *op)
{
    *op = (struct hf_op){
        .type = (enum hf_op_type)plain->type,
        .has_id = true,
        .has_amount = plain->type != HF_OP_VOID && !plain->all_left,
        .final = plain->final,
        .amount = plain->amount,
        .code = plain->code,
        .subject = {.id = plain->from},
        .to = {.id = plain->to},
        .id = {.id = plain->id, .text = {text, HF_UUID_TEXT_BYTES}},
    };
    hf_name_hex(&plain->id, text);
    if (plain->type == HF_OP_HOLD) {
        op->has_timeout = plain->timeout_ms != 0;
        op->timeout_ms = plain->timeout_ms;
    } else {
        op->has_effective_at = plain->effective_at_us != 0;
        op->effective_at_us = plain->effective_at_us;
    }
    memcpy(op->asset.text, plain->asset_hash, HF_ASSET_HASH_BYTES);
    memcpy(op->user_data, plain->user_data, HF_USER_DATA_BYTES);
}

/* Can the operation be told by a plain record of a transfer? */
static bool is_plain(const struct hf_op *op)
{
    return op->type == HF_OP_TRANSFER && op->has_id && op->has_amount && !op->up_to &&
           !op->linked && op->amount <= UINT64_MAX && !hf_str_present(op->metadata.text) &&
           op->has_effective_at == (op->effective_at_us != 0) &&
           hf_name_is_hex_of(op->id.text, &op->id.id);
}

/* Lines that are plain transfers are decided as packed ones are (decide_strip.c). */
static bool make_plain(struct hf_command *command)
{
    uint32_t count = 0;
    while (count < command->op_count && is_plain(&command->ops[count])) {
        count++;
    }
    if (command->packed || count < command->op_count) {
        return true;
    }
    struct hf_packed_transfer *plain = hf_arena_alloc(&command->arena, count * sizeof(*plain));
    if (plain == NULL) {
        return false;
    }
    const struct hf_asset *hashed = NULL;
    for (uint32_t i = 0; i < count; i++) {
        const struct hf_op *op = &command->ops[i];
        plain[i] = (struct hf_packed_transfer){
            .type = HF_OP_TRANSFER,
            .id = op->id.id,
            .from = op->subject.id,
            .to = op->to.id,
            .amount = (uint64_t)op->amount,
            .effective_at_us = op->effective_at_us,
        };
        if (hashed != NULL && hf_asset_equal(hashed, &op->asset)) {
            memcpy(plain[i].asset_hash, plain[i - 1].asset_hash, sizeof(plain[i].asset_hash));
        } else {
            hf_asset_hash(&op->asset, plain[i].asset_hash);
            hashed = &op->asset;
        }
    }
    command->plain = plain;
    return true;
}

bool hf_command_finish(struct hf_command *command, struct hf_malformed *malformed)
{
    bool is_commit = command->kind == HF_COMMAND_COMMIT || command->kind == HF_COMMAND_EACH;
    if (is_commit && command->op_count == 0) {
        return hf_malformed_set(malformed, HF_ERR_INVALID_REQUEST, "/do",
                                "do needs at least one operation");
    }
    if (!is_commit && !hf_str_present(command->key)) {
        return hf_malformed_set(malformed, HF_ERR_INVALID_REQUEST, "", "which key to cancel?");
    }
    bool any_id = false;
    command->key_free = true;
    if (command->plain != NULL) {
        command->spends_ids = true;
        return true;
    }
    for (uint32_t i = 0; i < command->op_count; i++) {
        const struct hf_op *op = &command->ops[i];
        command->spends_ids = command->spends_ids || hf_op_spends_id(op);
        command->key_free = command->key_free && (op->has_id || hf_op_is_ack(op));
        any_id = any_id || op->has_id;
    }
    if (command->kind == HF_COMMAND_EACH) {
        hf_buffer_release(&command->scratch); /* its units are compared field by field */
        return make_plain(command) || hf_command_short_memory(malformed);
    }
    command->replays_by_id =
        is_commit && command->key_free && any_id && command->condition_count == 0;
    struct hf_hash hash = hf_sha256(command->scratch.data, command->scratch.size_bytes);
    memcpy(command->ops_hash, hash.bytes, sizeof(command->ops_hash));
    bool ok = !hf_str_present(command->key) || compute_fingerprint(command);
    hf_buffer_release(&command->scratch);
    if (!ok) {
        return hf_command_short_memory(malformed);
    }
    if (hf_str_present(command->key)) {
        command->key_id = hf_key_id(command->principal, command->key);
    }
    return true;
}

bool hf_payload_same(const struct hf_payload *a, const struct hf_payload *b, bool *short_memory)
{
    if (!hf_str_present(a->text) || !hf_str_present(b->text)) {
        return hf_str_present(a->text) == hf_str_present(b->text);
    }
    struct hf_buffer first;
    struct hf_buffer second;
    hf_buffer_init(&first);
    hf_buffer_init(&second);
    *short_memory = !hf_json_canonical(a->text, &first) || !hf_json_canonical(b->text, &second) ||
                    first.failed || second.failed;
    bool same = !*short_memory && first.size_bytes == second.size_bytes &&
                memcmp(first.data, second.data, first.size_bytes) == 0;
    hf_buffer_release(&first);
    hf_buffer_release(&second);
    return same;
}
