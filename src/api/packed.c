#include "api/packed.h"

#include <assert.h>
#include <stdio.h>

#include "api/json_write.h"
#include "base/time_text.h"
#include "base/bytes.h"
#include "holdfast_packed.h"

#define FLAGS_KNOWN                                                                                \
    (HOLDFAST_FLAG_LINKED | HOLDFAST_FLAG_HOLD | HOLDFAST_FLAG_CAPTURE | HOLDFAST_FLAG_VOID |      \
     HOLDFAST_FLAG_FINAL)
#define ALL_LEFT HF_U128_MAX /* amount of a capture */

static_assert(HOLDFAST_TRANSFER_FLAGS + 4 == HOLDFAST_PACKED_BYTES, "the flags end a record");
static_assert(HOLDFAST_PACKED_RECORDS_MAX <= HF_COMMIT_OPERATIONS_MAX, "one commit takes them");

/* A record on its way to an operation. */
struct taking {
    const uint8_t *record;          /* HOLDFAST_PACKED_BYTES */
    uint32_t index;                 /* of it */
    struct hf_command *command;     /* whose arena the names go to */
    struct hf_op *op;               /* zeroed */
    struct hf_malformed *malformed; /* filled on failure */
};

static bool refuse(const struct taking *taking, const char *field, const char *text)
{
    char pointer[48];
    (void)snprintf(pointer, sizeof(pointer), "/%u/%s", taking->index, field);
    return hf_malformed_set(taking->malformed, HF_ERR_INVALID_REQUEST, pointer, "%s", text);
}

static hf_u128 get_u128(const uint8_t *from)
{
    return (hf_u128)hf_get_u64(from + 8) << 64 | hf_get_u64(from);
}

static bool is_zero(const uint8_t *bytes, size_t count)
{
    uint8_t any = 0;
    for (size_t i = 0; i < count; i++) {
        any |= bytes[i];
    }
    return any == 0;
}

static void take_reference(const struct taking *taking, size_t offset, struct hf_name *name)
{
    memcpy(name->id.bytes, taking->record + offset, sizeof(name->id.bytes));
}

/* A new name: its text is the hex form. */
static bool take_name(const struct taking *taking, size_t offset, struct hf_name *name)
{
    if (is_zero(taking->record + offset, sizeof(name->id.bytes))) {
        return refuse(taking, "id", "an id that is zero");
    }
    char *text = hf_arena_alloc(&taking->command->arena, HF_UUID_TEXT_BYTES);
    if (text == NULL) {
        return hf_malformed_set(taking->malformed, HF_ERR_NO_MEMORY, "", "memory is short");
    }
    take_reference(taking, offset, name);
    hf_name_hex(&name->id, text);
    name->text = (struct hf_str){text, HF_UUID_TEXT_BYTES};
    return true;
}

/* ---- transfers ---- */

static bool check_zero(const struct taking *taking, size_t offset, size_t bytes, const char *field)
{
    return is_zero(taking->record + offset, bytes) ||
           refuse(taking, field, "must be zero with these flags");
}

static bool take_movement(const struct taking *taking, bool hold)
{
    struct hf_op *op = taking->op;
    op->type = hold ? HF_OP_HOLD : HF_OP_TRANSFER;
    take_reference(taking, HOLDFAST_TRANSFER_FROM, &op->subject);
    take_reference(taking, HOLDFAST_TRANSFER_TO, &op->to);
    memcpy(op->asset.text, taking->record + HOLDFAST_TRANSFER_ASSET, HF_ASSET_HASH_BYTES);
    op->has_amount = true;
    op->timeout_ms = hf_get_u64(taking->record + HOLDFAST_TRANSFER_TIMEOUT_MS);
    op->effective_at_us = hf_get_u64(taking->record + HOLDFAST_TRANSFER_EFFECTIVE_US);
    op->has_timeout = op->timeout_ms != 0;
    op->has_effective_at = op->effective_at_us != 0;
    if (hf_id_equal(&op->subject.id, &op->to.id)) {
        return refuse(taking, "to", "from and to must be two accounts");
    }
    if (op->timeout_ms > HF_HOLD_TIMEOUT_MS_MAX) {
        return refuse(taking, "timeout", "at most ten years");
    }
    if (op->effective_at_us > HF_TIME_US_MAX) {
        return refuse(taking, "effective_time", "at most the end of the year 9999");
    }
    return check_zero(taking, HOLDFAST_TRANSFER_PENDING, 16, "pending") &&
           (hold ? check_zero(taking, HOLDFAST_TRANSFER_EFFECTIVE_US, 8, "effective_time")
                 : check_zero(taking, HOLDFAST_TRANSFER_TIMEOUT_MS, 8, "timeout"));
}

static bool take_end_of_hold(const struct taking *taking, bool capture)
{
    struct hf_op *op = taking->op;
    op->type = capture ? HF_OP_CAPTURE : HF_OP_VOID;
    take_reference(taking, HOLDFAST_TRANSFER_PENDING, &op->subject);
    op->has_amount = capture && op->amount != ALL_LEFT;
    op->amount = op->has_amount ? op->amount : 0;
    if (is_zero(op->subject.id.bytes, sizeof(op->subject.id.bytes))) {
        return refuse(taking, "pending", "which hold?");
    }
    return (capture || check_zero(taking, HOLDFAST_TRANSFER_AMOUNT, 16, "amount")) &&
           check_zero(taking, HOLDFAST_TRANSFER_FROM, 16, "from") &&
           check_zero(taking, HOLDFAST_TRANSFER_TO, 16, "to") &&
           check_zero(taking, HOLDFAST_TRANSFER_ASSET, 8, "asset") &&
           check_zero(taking, HOLDFAST_TRANSFER_EFFECTIVE_US, 8, "effective_time") &&
           check_zero(taking, HOLDFAST_TRANSFER_TIMEOUT_MS, 8, "timeout");
}

static bool take_transfer(const struct taking *taking)
{
    struct hf_op *op = taking->op;
    uint32_t flags = hf_get_u32(taking->record + HOLDFAST_TRANSFER_FLAGS);
    uint32_t kind = flags & (HOLDFAST_FLAG_HOLD | HOLDFAST_FLAG_CAPTURE | HOLDFAST_FLAG_VOID);
    if ((flags & ~FLAGS_KNOWN) != 0) {
        return refuse(taking, "flags", "unknown flags");
    }
    if ((kind & (kind - 1)) != 0) {
        return refuse(taking, "flags", "at most one of HOLD, CAPTURE and VOID");
    }
    if ((flags & HOLDFAST_FLAG_FINAL) != 0 && kind != HOLDFAST_FLAG_CAPTURE) {
        return refuse(taking, "flags", "FINAL goes with CAPTURE");
    }
    op->has_id = true;
    op->linked = (flags & HOLDFAST_FLAG_LINKED) != 0;
    op->final = (flags & HOLDFAST_FLAG_FINAL) != 0;
    op->amount = get_u128(taking->record + HOLDFAST_TRANSFER_AMOUNT);
    op->code = hf_get_u32(taking->record + HOLDFAST_TRANSFER_CODE);
    memcpy(op->user_data, taking->record + HOLDFAST_TRANSFER_USER_DATA, sizeof(op->user_data));
    return take_name(taking, HOLDFAST_TRANSFER_ID, &op->id) &&
           (kind == 0 || kind == HOLDFAST_FLAG_HOLD
                ? take_movement(taking, kind != 0)
                : take_end_of_hold(taking, kind == HOLDFAST_FLAG_CAPTURE));
}

/* ---- accounts ---- */

static bool take_account(const struct taking *taking)
{
    struct hf_op *op = taking->op;
    uint32_t flags = hf_get_u32(taking->record + HOLDFAST_ACCOUNT_FLAGS);
    const char *asset = (const char *)taking->record + HOLDFAST_ACCOUNT_ASSET;
    size_t len = strnlen(asset, HOLDFAST_ACCOUNT_ASSET_BYTES);
    op->type = HF_OP_OPEN_ACCOUNT;
    op->has_floor = true;
    op->floor_none = (flags & HOLDFAST_FLAG_NO_FLOOR) != 0;
    op->floor = (hf_i128)get_u128(taking->record + HOLDFAST_ACCOUNT_FLOOR);
    op->has_ceiling = true;
    op->ceiling_none = (flags & HOLDFAST_FLAG_CEILING) == 0;
    op->ceiling = (hf_i128)get_u128(taking->record + HOLDFAST_ACCOUNT_CEILING);
    if ((flags & ~(HOLDFAST_FLAG_NO_FLOOR | HOLDFAST_FLAG_CEILING)) != 0) {
        return refuse(taking, "flags", "unknown flags");
    }
    if (op->floor_none && op->floor != 0) {
        return refuse(taking, "floor", "must be zero with these flags");
    }
    if (op->ceiling_none && op->ceiling != 0) {
        return refuse(taking, "ceiling", "must be zero with these flags");
    }
    hf_i128 least = -(hf_i128)HF_TOTAL_MAX;
    if (op->floor < least || op->ceiling < least) {
        return refuse(taking, op->floor < least ? "floor" : "ceiling", "below -(2^127-1)");
    }
    if (!is_zero((const uint8_t *)asset + len, HOLDFAST_ACCOUNT_ASSET_BYTES - len) ||
        !hf_asset_parse((struct hf_str){asset, len}, &op->asset)) {
        return refuse(taking, "asset", "an asset is CODE/scale, for example USD/2, zero behind it");
    }
    size_t used = HOLDFAST_ACCOUNT_FLAGS + 4;
    return take_name(taking, HOLDFAST_ACCOUNT_ID, &op->subject) &&
           (is_zero(taking->record + used, HOLDFAST_PACKED_BYTES - used) ||
            refuse(taking, "reserved", "bytes behind the flags must be zero"));
}

/* ---- plain records ---- */

static bool take_plain_movement(const uint8_t *record, struct hf_packed_transfer *plain)
{
    bool hold = plain->type == HF_OP_HOLD;
    uint64_t timeout_ms = hf_get_u64(record + HOLDFAST_TRANSFER_TIMEOUT_MS);
    uint64_t effective_at_us = hf_get_u64(record + HOLDFAST_TRANSFER_EFFECTIVE_US);
    memcpy(plain->from.bytes, record + HOLDFAST_TRANSFER_FROM, sizeof(plain->from.bytes));
    memcpy(plain->to.bytes, record + HOLDFAST_TRANSFER_TO, sizeof(plain->to.bytes));
    memcpy(plain->asset_hash, record + HOLDFAST_TRANSFER_ASSET, sizeof(plain->asset_hash));
    plain->amount = hf_get_u64(record + HOLDFAST_TRANSFER_AMOUNT);
    plain->effective_at_us = effective_at_us;
    if (hold) {
        plain->timeout_ms = timeout_ms;
    }
    return hf_get_u64(record + HOLDFAST_TRANSFER_AMOUNT + 8) == 0 &&
           (hold ? effective_at_us : timeout_ms) == 0 && timeout_ms <= HF_HOLD_TIMEOUT_MS_MAX &&
           effective_at_us <= HF_TIME_US_MAX && is_zero(record + HOLDFAST_TRANSFER_PENDING, 16) &&
           !hf_id_equal(&plain->from, &plain->to);
}

static bool take_plain_end(const uint8_t *record, struct hf_packed_transfer *plain)
{
    hf_u128 amount = get_u128(record + HOLDFAST_TRANSFER_AMOUNT);
    bool capture = plain->type == HF_OP_CAPTURE;
    memcpy(plain->from.bytes, record + HOLDFAST_TRANSFER_PENDING, sizeof(plain->from.bytes));
    plain->all_left = capture && amount == ALL_LEFT;
    plain->amount = plain->all_left ? 0 : (uint64_t)amount;
    return (plain->all_left || amount <= (capture ? UINT64_MAX : 0)) &&
           !is_zero(plain->from.bytes, sizeof(plain->from.bytes)) &&
           is_zero(record + HOLDFAST_TRANSFER_FROM, 16) &&
           is_zero(record + HOLDFAST_TRANSFER_TO, 16) &&
           is_zero(record + HOLDFAST_TRANSFER_ASSET, 8) &&
           is_zero(record + HOLDFAST_TRANSFER_EFFECTIVE_US, 8) &&
           is_zero(record + HOLDFAST_TRANSFER_TIMEOUT_MS, 8);
}

/* A record alone of an amount below 2^64, with nothing wrong about it? Into a zeroed one. */
static bool take_plain(const uint8_t *record, struct hf_packed_transfer *plain)
{
    memcpy(plain->id.bytes, record + HOLDFAST_TRANSFER_ID, sizeof(plain->id.bytes));
    memcpy(plain->user_data, record + HOLDFAST_TRANSFER_USER_DATA, sizeof(plain->user_data));
    plain->code = hf_get_u32(record + HOLDFAST_TRANSFER_CODE);
    if (is_zero(plain->id.bytes, sizeof(plain->id.bytes))) {
        return false;
    }
    switch (hf_get_u32(record + HOLDFAST_TRANSFER_FLAGS)) {
    case 0:
        plain->type = HF_OP_TRANSFER;
        return take_plain_movement(record, plain);
    case HOLDFAST_FLAG_HOLD:
        plain->type = HF_OP_HOLD;
        return take_plain_movement(record, plain);
    case HOLDFAST_FLAG_CAPTURE | HOLDFAST_FLAG_FINAL:
        plain->final = true;
        plain->type = HF_OP_CAPTURE;
        return take_plain_end(record, plain);
    case HOLDFAST_FLAG_CAPTURE:
        plain->type = HF_OP_CAPTURE;
        return take_plain_end(record, plain);
    case HOLDFAST_FLAG_VOID:
        plain->type = HF_OP_VOID;
        return take_plain_end(record, plain);
    default:
        return false;
    }
}

/* All of them; *all false: there is something else among them. false: memory is short. */
static bool take_all_plain(struct hf_str body, struct hf_command *command, bool *all)
{
    size_t count = body.len / HOLDFAST_PACKED_BYTES;
    struct hf_packed_transfer *plain = hf_arena_alloc_zero(&command->arena, count, sizeof(*plain));
    *all = plain != NULL;
    for (size_t i = 0; *all && i < count; i++) {
        *all = take_plain((const uint8_t *)body.ptr + i * HOLDFAST_PACKED_BYTES, &plain[i]);
    }
    if (*all) {
        command->plain = plain;
        command->op_count = (uint32_t)count;
    }
    return plain != NULL;
}

/* ---- requests ---- */

bool hf_packed_decode(enum hf_packed_kind kind, struct hf_str body, struct hf_command *command,
                      struct hf_malformed *malformed)
{
    size_t count = body.len / HOLDFAST_PACKED_BYTES;
    if (count == 0 || count * HOLDFAST_PACKED_BYTES != body.len) {
        return hf_malformed_set(malformed, HF_ERR_INVALID_REQUEST, "",
                                "the body is one or more records of %d bytes",
                                HOLDFAST_PACKED_BYTES);
    }
    if (count > HOLDFAST_PACKED_RECORDS_MAX) {
        return hf_malformed_set(malformed, HF_ERR_TOO_LARGE, "", "at most %d records in a request",
                                HOLDFAST_PACKED_RECORDS_MAX);
    }
    bool all_plain = false;
    command->packed = true;
    if (kind == HF_PACKED_TRANSFERS && !take_all_plain(body, command, &all_plain)) {
        return hf_malformed_set(malformed, HF_ERR_NO_MEMORY, "", "memory is short");
    }
    if (all_plain) {
        return true;
    }
    if (!hf_command_reserve_ops(command, (uint32_t)count, malformed)) {
        return false;
    }
    struct taking taking = {.command = command, .malformed = malformed};
    for (uint32_t i = 0; i < count; i++) {
        taking.index = i;
        taking.record = (const uint8_t *)body.ptr + (size_t)i * HOLDFAST_PACKED_BYTES;
        taking.op = hf_command_new_op(command, malformed);
        if (taking.op == NULL ||
            !(kind == HF_PACKED_TRANSFERS ? take_transfer(&taking) : take_account(&taking))) {
            return false;
        }
    }
    return !taking.op->linked || refuse(&taking, "flags", "the last record is linked with none");
}

/* ---- answers ---- */

/* Accepted, replayed, refused. */
struct tally {
    uint32_t accepted, replayed, refused;
};

static struct tally tally_of(const struct hf_outcome *outcomes, uint32_t count)
{
    struct tally tally = {0};
    for (uint32_t i = 0; i < count; i++) {
        bool replayed = (outcomes[i].flags & HF_OUTCOME_REPLAYED) != 0;
        tally.refused += outcomes[i].code != HF_ERR_OK;
        tally.replayed += outcomes[i].code == HF_ERR_OK && replayed;
        tally.accepted += outcomes[i].code == HF_ERR_OK && !replayed;
    }
    return tally;
}

void hf_packed_results(struct hf_buffer *to, uint64_t position, uint64_t time_us,
                       const struct hf_outcome *outcomes, uint32_t count)
{
    static_assert(HF_OUTCOME_REPLAYED == HOLDFAST_FLAG_REPLAYED, "the flags are the wire's");
    static_assert(HF_OUTCOME_CHAIN == HOLDFAST_FLAG_CHAIN, "the flags are the wire's");
    struct tally tally = tally_of(outcomes, count);
    uint8_t *head = hf_buffer_extend(to, HOLDFAST_RESULTS_BYTES +
                                             (size_t)tally.refused * HOLDFAST_RESULT_BYTES);
    if (head == NULL) {
        return;
    }
    memset(head, 0, HOLDFAST_RESULTS_BYTES);
    hf_put_u64(head + HOLDFAST_RESULTS_POSITION, position);
    hf_put_u64(head + HOLDFAST_RESULTS_TIME_US, position == 0 ? 0 : time_us);
    hf_put_u32(head + HOLDFAST_RESULTS_ACCEPTED, tally.accepted);
    hf_put_u32(head + HOLDFAST_RESULTS_REPLAYED, tally.replayed);
    hf_put_u32(head + HOLDFAST_RESULTS_REFUSED, tally.refused);
    uint8_t *entry = head + HOLDFAST_RESULTS_BYTES;
    for (uint32_t i = 0; i < count; i++) {
        if (outcomes[i].code != HF_ERR_OK) {
            hf_put_u32(entry + HOLDFAST_RESULT_INDEX, i);
            hf_put_u16(entry + HOLDFAST_RESULT_CODE, outcomes[i].code);
            hf_put_u16(entry + HOLDFAST_RESULT_FLAGS, outcomes[i].flags);
            entry += HOLDFAST_RESULT_BYTES;
        }
    }
}

void hf_packed_results_json(struct hf_buffer *to, uint64_t position, uint64_t time_us,
                            const struct hf_outcome *outcomes, uint32_t count)
{
    struct tally tally = tally_of(outcomes, count);
    struct hf_json_writer w = hf_json_writer_over(to);
    hf_json_begin_object(&w, NULL);
    if (position == 0) {
        hf_json_put_null(&w, "position");
        hf_json_put_null(&w, "time");
    } else {
        hf_json_put_number(&w, "position", position);
        hf_json_put_time(&w, "time", time_us);
    }
    hf_json_put_number(&w, "accepted", tally.accepted);
    hf_json_put_number(&w, "replayed", tally.replayed);
    hf_json_begin_array(&w, "refused");
    for (uint32_t i = 0; i < count; i++) {
        if (outcomes[i].code == HF_ERR_OK) {
            continue;
        }
        hf_json_begin_object(&w, NULL);
        hf_json_put_number(&w, "index", i);
        hf_json_put_text(&w, "code", hf_str_from(hf_err_wire((enum hf_err)outcomes[i].code)));
        hf_json_put_bool(&w, "replayed", (outcomes[i].flags & HF_OUTCOME_REPLAYED) != 0);
        hf_json_put_bool(&w, "chain", (outcomes[i].flags & HF_OUTCOME_CHAIN) != 0);
        hf_json_end_object(&w);
    }
    hf_json_end_array(&w);
    hf_json_end_object(&w);
}
