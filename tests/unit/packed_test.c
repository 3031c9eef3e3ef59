/* Packed records by themselves: every field, every flag, every byte that must be zero; the answer's bytes and JSON. */
#include "api/packed.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "unit/packed_records.h"
#include "unit/support.h"

struct decoded {
    struct hf_command command;
    struct hf_malformed malformed;
    bool ok;
};

static void decode(enum hf_packed_kind kind, const uint8_t *body, size_t size, struct decoded *got)
{
    memset(&got->malformed, 0, sizeof(got->malformed));
    hf_command_init(&got->command, HF_COMMAND_EACH);
    got->ok = hf_packed_decode(kind, (struct hf_str){(const char *)body, size}, &got->command,
                               &got->malformed) &&
              hf_command_finish(&got->command, &got->malformed);
}

/* pointer NULL: it is well formed. */
static void expect(enum hf_packed_kind kind, const uint8_t *body, size_t count, const char *pointer)
{
    struct decoded got;
    decode(kind, body, count * RECORD_BYTES, &got);
    if (got.ok != (pointer == NULL) ||
        strcmp(got.ok ? "" : got.malformed.pointer, pointer == NULL ? "" : pointer) != 0) {
        fail_msg("%s %s, wanted %s", got.malformed.pointer, got.malformed.text,
                 pointer == NULL ? "success" : pointer);
    }
    if (!got.ok) {
        assert_int_equal(got.malformed.code, HF_ERR_INVALID_REQUEST);
    }
    hf_command_release(&got.command);
}

/* A good record of each kind, with all that it may say. */
static const struct record_spec good[] = {
    {.id = 1,
     .from = 2,
     .to = 8,
     .amount = 5,
     .asset = "USD/2",
     .effective_us = 7,
     .code = 9,
     .user_data = 8,
     .kind = RECORD_TRANSFER},
    {.id = 1,
     .from = 2,
     .to = 8,
     .amount = 5,
     .asset = "USD/2",
     .timeout_ms = 7,
     .code = 9,
     .user_data = 8,
     .kind = RECORD_HOLD},
    {.id = 1, .hold = 2, .amount = 5, .code = 9, .user_data = 8, .kind = RECORD_CAPTURE},
    {.id = 1, .hold = 2, .code = 9, .user_data = 8, .kind = RECORD_VOID},
};

struct field {
    const char *name;
    size_t offset;
    size_t bytes;
    unsigned zero_in; /* bit of each kind in which it must be zero */
};

#define IN(kind) (1u << (kind))
#define ENDS     (IN(RECORD_CAPTURE) | IN(RECORD_VOID))

static const struct field fields[] = {
    {"from", 16, 16, ENDS},
    {"to", 32, 16, ENDS},
    {"amount", 48, 16, IN(RECORD_VOID)},
    {"pending", 64, 16, IN(RECORD_TRANSFER) | IN(RECORD_HOLD)},
    {"user_data", 80, 16, 0},
    {"effective_time", 96, 8, IN(RECORD_HOLD) | ENDS},
    {"asset", 104, 8, ENDS},
    {"timeout", 112, 8, IN(RECORD_TRANSFER) | ENDS},
    {"code", 120, 4, 0},
};

/* Every byte of every field, in every kind: alone, and behind a record that is no plain transfer. */
static void zeros(void **state)
{
    (void)state;
    uint8_t body[2 * RECORD_BYTES];
    for (size_t kind = 0; kind < HF_ARRAY_COUNT(good); kind++) {
        for (size_t i = 0; i < HF_ARRAY_COUNT(fields); i++) {
            const struct field *field = &fields[i];
            bool must = (field->zero_in & (1u << kind)) != 0;
            for (size_t byte = 0; byte < field->bytes; byte++) {
                char pointer[32];
                /* Beyond ten years. */
                bool too_much = field->offset == 112 && byte >= 5;
                uint8_t *at = body + field->offset + byte;
                record_write(&good[kind], body);
                record_write(&good[3], body + RECORD_BYTES);
                *at |= 1;
                (void)snprintf(pointer, sizeof(pointer), "/0/%s", field->name);
                expect(HF_PACKED_TRANSFERS, body, 1, must || too_much ? pointer : NULL);
                memmove(body + RECORD_BYTES, body, RECORD_BYTES);
                record_write(&good[3], body);
                pointer[1] = '1';
                expect(HF_PACKED_TRANSFERS, body, 2, must || too_much ? pointer : NULL);
            }
        }
    }
}

static void flags(void **state)
{
    (void)state;
    for (uint32_t low = 0; low < 32; low++) {
        uint32_t kind = low & 14;
        size_t number = kind == 0 ? 0 : kind == 2 ? 1 : kind == 4 ? 2 : 3;
        bool one = kind == 0 || kind == 2 || kind == 4 || kind == 8;
        bool ok = one && ((low & 16) == 0 || kind == 4);
        uint8_t body[2 * RECORD_BYTES];
        record_write(&good[number], body);
        record_write(&good[0], body + RECORD_BYTES);
        hf_put_u32(body + 124, low);
        expect(HF_PACKED_TRANSFERS, body, 2, ok ? NULL : "/0/flags");
        expect(HF_PACKED_TRANSFERS, body, 1, ok && (low & 1) == 0 ? NULL : "/0/flags");
        for (uint32_t bit = 5; bit < 32; bit++) {
            hf_put_u32(body + 124, low | 1u << bit);
            expect(HF_PACKED_TRANSFERS, body, 2, "/0/flags");
        }
    }
}

static void what_a_transfer_says(void **state)
{
    (void)state;
    uint8_t body[RECORD_BYTES];
    record_write(&good[0], body);
    memset(body, 0, 16);
    expect(HF_PACKED_TRANSFERS, body, 1, "/0/id");
    body[15] = 1;
    expect(HF_PACKED_TRANSFERS, body, 1, NULL);
    memcpy(body + 32, body + 16, 16);
    expect(HF_PACKED_TRANSFERS, body, 1, "/0/to");
    record_write(&good[2], body);
    memset(body + 64, 0, 16);
    expect(HF_PACKED_TRANSFERS, body, 1, "/0/pending");
    record_write(&good[1], body);
    hf_put_u64(body + 112, HF_HOLD_TIMEOUT_MS_MAX);
    expect(HF_PACKED_TRANSFERS, body, 1, NULL);
    hf_put_u64(body + 112, HF_HOLD_TIMEOUT_MS_MAX + 1);
    expect(HF_PACKED_TRANSFERS, body, 1, "/0/timeout");
    record_write(&good[0], body);
    hf_put_u64(body + 96, UINT64_MAX);
    expect(HF_PACKED_TRANSFERS, body, 1, "/0/effective_time");
}

/* The operations, when a chain keeps them from being taken as plain records. */
static void operations(void **state)
{
    (void)state;
    uint8_t body[5 * RECORD_BYTES];
    for (size_t i = 0; i < 4; i++) {
        record_write(&good[i], body + i * RECORD_BYTES);
    }
    body[124] |= 1;
    record_put_u128(body + 48, HF_U128_MAX - 1);
    hf_put_u32(body + 2 * RECORD_BYTES + 124, 4 | 16);
    record_write(
        &(struct record_spec){.id = 9, .hold = 4, .amount = ALL_LEFT, .kind = RECORD_CAPTURE},
        body + 4 * RECORD_BYTES);
    struct decoded got;
    decode(HF_PACKED_TRANSFERS, body, sizeof(body), &got);
    assert_true(got.ok && got.command.packed && got.command.op_count == 5);
    const struct hf_op *ops = got.command.ops;
    assert_non_null(ops);
    static const enum hf_op_type types[] = {HF_OP_TRANSFER, HF_OP_HOLD, HF_OP_CAPTURE, HF_OP_VOID,
                                            HF_OP_CAPTURE};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(ops[i].type, types[i]);
        assert_true(ops[i].has_id && ops[i].linked == (i == 0) && ops[i].final == (i == 2));
        assert_int_equal(ops[i].code, i == 4 ? 0 : 9);
        assert_int_equal(ops[i].user_data[15], i == 4 ? 0 : 8);
        assert_int_equal(ops[i].id.text.len, 36);
        assert_memory_equal(ops[i].id.id.bytes, body + i * RECORD_BYTES, 16);
    }
    assert_memory_equal(ops[4].id.text.ptr, "0b000000-0000-0000-0000-000000000009", 36);
    assert_u128_equal(ops[0].amount, HF_U128_MAX - 1);
    assert_true(ops[0].has_effective_at && ops[0].effective_at_us == 7 && !ops[0].has_timeout);
    assert_true(ops[1].has_timeout && ops[1].timeout_ms == 7 && !ops[1].has_effective_at);
    assert_memory_equal(ops[1].subject.id.bytes, body + RECORD_BYTES + 16, 16);
    assert_memory_equal(ops[1].to.id.bytes, body + RECORD_BYTES + 32, 16);
    assert_true(ops[2].has_amount && !ops[3].has_amount && !ops[4].has_amount);
    assert_memory_equal(ops[3].subject.id.bytes, body + 3 * RECORD_BYTES + 64, 16);
    hf_command_release(&got.command);
}

static void lengths(void **state)
{
    (void)state;
    size_t size = (size_t)8191 * RECORD_BYTES;
    uint8_t *body = malloc(size);
    assert_non_null(body);
    for (uint32_t i = 0; i < 8191; i++) {
        record_write(
            &(struct record_spec){.id = i + 1, .from = 1, .to = 2, .amount = 1, .asset = "USD/2"},
            body + (size_t)i * RECORD_BYTES);
    }
    static const enum hf_packed_kind kinds[] = {HF_PACKED_TRANSFERS, HF_PACKED_ACCOUNTS};
    for (size_t k = 0; k < 2; k++) {
        struct decoded got;
        for (size_t bytes = 0; bytes < 3u * RECORD_BYTES; bytes++) {
            if (bytes % RECORD_BYTES != 0 || bytes == 0) {
                decode(kinds[k], body, bytes, &got);
                assert_true(!got.ok && got.malformed.code == HF_ERR_INVALID_REQUEST);
                assert_string_equal(got.malformed.pointer, "");
                hf_command_release(&got.command);
            }
        }
        decode(kinds[k], body, size, &got);
        assert_true(!got.ok && got.malformed.code == HF_ERR_TOO_LARGE);
        hf_command_release(&got.command);
    }
    struct decoded got;
    decode(HF_PACKED_TRANSFERS, body, size - RECORD_BYTES, &got);
    assert_true(got.ok && got.command.op_count == 8190);
    hf_command_release(&got.command);
    /* The last of many is looked at as the first is. */
    body[size - 2u * RECORD_BYTES + 127] = 1;
    decode(HF_PACKED_TRANSFERS, body, size - RECORD_BYTES, &got);
    assert_false(got.ok);
    assert_string_equal(got.malformed.pointer, "/8189/flags");
    hf_command_release(&got.command);
    free(body);
}

static void account_with(size_t offset, const void *bytes, size_t count, const char *pointer)
{
    uint8_t body[RECORD_BYTES];
    record_write(&(struct record_spec){.id = 1, .kind = RECORD_ACCOUNT}, body);
    memcpy(body + offset, bytes, count);
    expect(HF_PACKED_ACCOUNTS, body, 1, pointer);
}

static void account_limits(void **state)
{
    (void)state;
    static const struct { /* NOLINT(clang-analyzer-optin.performance.Padding) */
        bool no_floor, has_ceiling;
        hf_i128 floor, ceiling;
        const char *pointer;
    } rows[] = {
        {false, false, 0, 0, NULL},
        {false, false, -5, 0, NULL},
        {true, false, 0, 0, NULL},
        {true, false, 1, 0, "/0/floor"},
        {true, false, -1, 0, "/0/floor"},
        {false, false, 0, 1, "/0/ceiling"},
        {false, true, 0, 0, NULL},
        {true, true, 0, 7, NULL},
        {false, true, -(hf_i128)HF_TOTAL_MAX, (hf_i128)HF_TOTAL_MAX, NULL},
        {false, false, -(hf_i128)HF_TOTAL_MAX - 1, 0, "/0/floor"},
        {false, true, 0, -(hf_i128)HF_TOTAL_MAX - 1, "/0/ceiling"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        uint8_t body[RECORD_BYTES];
        record_write(&(struct record_spec){.id = 1,
                                           .no_floor = rows[i].no_floor,
                                           .has_ceiling = rows[i].has_ceiling,
                                           .floor = rows[i].floor,
                                           .ceiling = rows[i].ceiling,
                                           .kind = RECORD_ACCOUNT},
                     body);
        expect(HF_PACKED_ACCOUNTS, body, 1, rows[i].pointer);
    }
}

static void account_rest(void **state)
{
    (void)state;
    static const struct {
        const char *asset;
        bool ok;
    } assets[] = {{"USD/2", true},    {"A/0", true},     {"ABCDEFGHIJKLMNOPQ/18", true},
                  {"usd/2", false},   {"USD", false},    {"", false},
                  {"USD/19", false},  {"USD/02", false}, {"ABCDEFGHIJKLMNOPQR/18", false},
                  {"USD/2\0x", false}};
    for (size_t i = 0; i < HF_ARRAY_COUNT(assets); i++) {
        char padded[24] = {0};
        size_t len = i + 1 == HF_ARRAY_COUNT(assets) ? 7 : strlen(assets[i].asset);
        memcpy(padded, assets[i].asset, len);
        account_with(48, padded, 24, assets[i].ok ? NULL : "/0/asset");
    }
    static const char full[] = "ABCDEFGHIJKLMNOPQ/18ZZZZ"; /* without an end */
    account_with(48, full, 24, "/0/asset");
    static const uint8_t zero[16] = {0};
    account_with(0, zero, 16, "/0/id");
    for (uint32_t bit = 2; bit < 32; bit++) {
        uint8_t bits[4];
        hf_put_u32(bits, 1u << bit);
        account_with(72, bits, 4, "/0/flags");
    }
    for (size_t offset = 76; offset < RECORD_BYTES; offset++) {
        account_with(offset, "\x80", 1, "/0/reserved");
    }
}

/* ---- the answer ---- */

static const struct hf_outcome outcomes[] = {
    {0, 0},
    {HF_ERR_INSUFFICIENT_FUNDS, 0},
    {0, HF_OUTCOME_REPLAYED},
    {HF_ERR_ACCOUNT_FROZEN, HF_OUTCOME_REPLAYED},
    {HF_ERR_ID_COLLISION, HF_OUTCOME_CHAIN},
    {HF_ERR_HOLD_NOT_OPEN, HF_OUTCOME_CHAIN | HF_OUTCOME_REPLAYED},
    {0, 0},
};

static void answers(void **state)
{
    (void)state;
    static const uint8_t wanted[] = {
        7, 0, 0, 0, 0,   0, 0, 1, /* position */
        1, 2, 3, 4, 5,   6, 0, 0, /* time */
        2, 0, 0, 0,               /* accepted */
        1, 0, 0, 0,               /* replayed */
        4, 0, 0, 0, 0,   0, 0, 0, /* refused, zero */
        1, 0, 0, 0, 170, 0, 0, 0, /* insufficient funds */
        3, 0, 0, 0, 180, 0, 1, 0, /* frozen, replayed */
        4, 0, 0, 0, 151, 0, 2, 0, /* collision, in a chain */
        5, 0, 0, 0, 145, 0, 3, 0, /* not open, both */
    };
    struct hf_buffer bytes;
    hf_buffer_init(&bytes);
    hf_packed_results(&bytes, 0x0100000000000007, 0x0000060504030201, outcomes,
                      HF_ARRAY_COUNT(outcomes));
    assert_int_equal(bytes.size_bytes, sizeof(wanted));
    assert_memory_equal(bytes.data, wanted, sizeof(wanted));
    hf_buffer_clear(&bytes);
    hf_packed_results(&bytes, 0, 99, outcomes + 2, 1);
    static const uint8_t nothing[32] = {[20] = 1};
    assert_int_equal(bytes.size_bytes, 32);
    assert_memory_equal(bytes.data, nothing, 32);
    hf_buffer_release(&bytes);
}

static void answers_as_json(void **state)
{
    (void)state;
    struct hf_buffer text;
    hf_buffer_init(&text);
    hf_packed_results_json(&text, 7, 1700000000000001, outcomes, HF_ARRAY_COUNT(outcomes));
    hf_buffer_u8(&text, 0);
    assert_string_equal(
        (const char *)text.data,
        "{\"position\":7,\"time\":\"2023-11-14T22:13:20.000001Z\",\"accepted\":2,\"replayed\":1,"
        "\"refused\":[{\"index\":1,\"code\":\"insufficient_funds\",\"replayed\":false,\"chain\":"
        "false},{\"index\":3,\"code\":\"account_frozen\",\"replayed\":true,\"chain\":false},"
        "{\"index\":4,\"code\":\"id_collision\",\"replayed\":false,\"chain\":true},{\"index\":5,"
        "\"code\":\"hold_not_open\",\"replayed\":true,\"chain\":true}]}");
    hf_buffer_clear(&text);
    hf_packed_results_json(&text, 0, 99, outcomes + 2, 1);
    hf_buffer_u8(&text, 0);
    assert_string_equal((const char *)text.data, "{\"position\":null,\"time\":null,\"accepted\":0,"
                                                 "\"replayed\":1,\"refused\":[]}");
    hf_buffer_release(&text);
}

/* The numbers of the page are those of the errors' table. */
static void codes(void **state)
{
    (void)state;
    static const struct {
        int number;
        const char *wire;
    } rows[] = {
        {HOLDFAST_CODE_ACCOUNT_NOT_FOUND, "account_not_found"},
        {HOLDFAST_CODE_HOLD_NOT_FOUND, "hold_not_found"},
        {HOLDFAST_CODE_ACCOUNT_EXISTS, "account_exists"},
        {HOLDFAST_CODE_TRANSFER_EXISTS, "transfer_exists"},
        {HOLDFAST_CODE_HOLD_EXISTS, "hold_exists"},
        {HOLDFAST_CODE_HOLD_NOT_OPEN, "hold_not_open"},
        {HOLDFAST_CODE_ACCOUNT_CLOSED, "account_closed"},
        {HOLDFAST_CODE_ID_COLLISION, "id_collision"},
        {HOLDFAST_CODE_HOLD_OWNED_BY_SAGA, "hold_owned_by_saga"},
        {HOLDFAST_CODE_INSUFFICIENT_FUNDS, "insufficient_funds"},
        {HOLDFAST_CODE_LIMIT_EXCEEDED, "limit_exceeded"},
        {HOLDFAST_CODE_ASSET_MISMATCH, "asset_mismatch"},
        {HOLDFAST_CODE_AMOUNT_INVALID, "amount_invalid"},
        {HOLDFAST_CODE_ACCOUNT_FROZEN, "account_frozen"},
    };
    static const int numbers[] = {120, 122, 140, 141, 142, 145, 146,
                                  151, 163, 170, 171, 172, 173, 180};
    static_assert(HF_ARRAY_COUNT(rows) == HF_ARRAY_COUNT(numbers), "a number each");
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        assert_int_equal(rows[i].number, numbers[i]);
        assert_string_equal(hf_err_wire((enum hf_err)rows[i].number), rows[i].wire);
    }
}

/* ---- memory ---- */

static void short_memory(void **state)
{
    (void)state;
    static const enum record_kind kinds[] = {RECORD_TRANSFER, RECORD_HOLD, RECORD_ACCOUNT};
    for (size_t k = 0; k < HF_ARRAY_COUNT(kinds); k++) {
        static uint8_t body[500 * RECORD_BYTES];
        bool hit = true;
        for (uint32_t i = 0; i < 500; i++) {
            record_write(&(struct record_spec){.id = i + 1,
                                               .from = 1,
                                               .to = 2,
                                               .amount = 1,
                                               .asset = "USD/2",
                                               .kind = kinds[k]},
                         body + i * RECORD_BYTES);
        }
        for (uint64_t n = 1; hit; n++) {
            struct decoded got;
            hf_alloc_fault_set(n);
            decode(kinds[k] == RECORD_ACCOUNT ? HF_PACKED_ACCOUNTS : HF_PACKED_TRANSFERS, body,
                   sizeof(body), &got);
            hit = hf_alloc_fault_hit();
            hf_alloc_fault_set(0);
            assert_true(got.ok == !hit);
            assert_true(got.ok || got.malformed.code == HF_ERR_NO_MEMORY);
            hf_command_release(&got.command);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeros),           cmocka_unit_test(flags),
        cmocka_unit_test(operations),      cmocka_unit_test(what_a_transfer_says),
        cmocka_unit_test(lengths),         cmocka_unit_test(account_limits),
        cmocka_unit_test(account_rest),    cmocka_unit_test(answers),
        cmocka_unit_test(answers_as_json), cmocka_unit_test(codes),
        cmocka_unit_test(short_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
