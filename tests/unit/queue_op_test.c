/*
 * Receipts, and the operations that have routes of their own: what is taken, what is malformed and where, what
 * fingerprints are made of (frozen here).
 */
#include <stdio.h>
#include <string.h>

#include "core/queue_op.h"
#include "unit/support.h"

#define RECEIPTS 2000

static uint64_t next(uint64_t *state)
{
    *state += 0x9E3779B97F4A7C15u;
    uint64_t x = *state;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static uint64_t above_zero(uint64_t *state)
{
    uint64_t value = next(state) >> (next(state) % 64);
    return value == 0 ? UINT64_MAX : value;
}

static struct hf_receipt random_receipt(uint64_t *state)
{
    struct hf_receipt receipt = {
        .uid = above_zero(state),
        .number = above_zero(state),
        .token = above_zero(state),
        .position = above_zero(state),
        .index = (uint32_t)next(state),
    };
    for (size_t i = 0; i < sizeof(receipt.line.bytes); i++) {
        receipt.line.bytes[i] = (uint8_t)next(state);
    }
    return receipt;
}

static void assert_receipts_equal(const struct hf_receipt *a, const struct hf_receipt *b)
{
    assert_true(a->uid == b->uid && a->number == b->number && a->token == b->token);
    assert_true(a->position == b->position && a->index == b->index);
    assert_true(hf_id_equal(&a->line, &b->line));
}

static struct hf_str text_of(const struct hf_buffer *buffer)
{
    return (struct hf_str){(const char *)buffer->data, buffer->size_bytes};
}

static void receipts_come_back(void **state)
{
    (void)state;
    uint64_t random = 1;
    struct hf_buffer text;
    hf_buffer_init(&text);
    for (int i = 0; i < RECEIPTS; i++) {
        struct hf_receipt receipt = random_receipt(&random);
        struct hf_receipt back;
        hf_buffer_clear(&text);
        hf_receipt_encode(&text, &receipt);
        assert_false(text.failed);
        assert_true(text.size_bytes <= HF_RECEIPT_CHARS_MAX);
        assert_true(hf_receipt_decode(text_of(&text), &back));
        assert_receipts_equal(&receipt, &back);
        /* Cut, longer, or with another character: none. */
        struct hf_str cut = text_of(&text);
        cut.len = next(&random) % cut.len;
        assert_false(hf_receipt_decode(cut, &back));
        size_t at = next(&random) % text.size_bytes;
        uint8_t kept = text.data[at];
        for (unsigned c = 1; c < 256; c += 3) {
            text.data[at] = (uint8_t)c;
            assert_true(hf_receipt_decode(text_of(&text), &back) == (c == kept));
        }
        text.data[at] = kept;
        hf_buffer_u8(&text, 'A');
        assert_false(hf_receipt_decode(text_of(&text), &back));
    }
    struct hf_receipt back;
    assert_false(hf_receipt_decode(HF_STR(""), &back));
    assert_false(hf_receipt_decode(HF_STR_NONE, &back));
    hf_buffer_release(&text);
}

static void a_receipt_has_this_form(void **state)
{
    (void)state;
    struct hf_receipt receipt = {
        .uid = 9, .number = 300, .token = 70000, .position = 17, .index = 2};
    memset(receipt.line.bytes, 0xAB, sizeof(receipt.line.bytes));
    struct hf_buffer text;
    hf_buffer_init(&text);
    hf_receipt_encode(&text, &receipt);
    static const char frozen[] = "AQmsAvCiBBECq6urq6urq6urq6urq6urq7ID1rQ";
    assert_int_equal(text.size_bytes, sizeof(frozen) - 1);
    assert_memory_equal(text.data, frozen, sizeof(frozen) - 1);
    hf_buffer_release(&text);
}

static void zeroes_are_no_receipt(void **state)
{
    (void)state;
    struct hf_buffer text;
    hf_buffer_init(&text);
    for (int i = 0; i < 4; i++) {
        struct hf_receipt receipt = {1, {{1}}, 1, 1, 1, 0};
        struct hf_receipt back;
        uint64_t *fields[] = {&receipt.uid, &receipt.number, &receipt.token, &receipt.position};
        *fields[i] = 0;
        hf_buffer_clear(&text);
        hf_receipt_encode(&text, &receipt);
        assert_false(hf_receipt_decode(text_of(&text), &back));
    }
    hf_buffer_release(&text);
}

static void message_ids_have_one_form(void **state)
{
    (void)state;
    static const struct {
        struct hf_str text;
        uint64_t position;
        uint32_t index;
    } good[] = {
        {{"17-0", 4}, 17, 0},
        {{"1-4294967295", 12}, 1, UINT32_MAX},
        {{"9007199254740991-1", 18}, HF_JSON_INTEGER_MAX, 1},
    };
    static const char *const bad[] = {
        "",
        "-",
        "17",
        "17-",
        "-0",
        "0-0",
        "017-0",
        "17-00",
        "17-0 ",
        " 17-0",
        "17--0",
        "+17-0",
        "17-0-0",
        "17-4294967296",
        "9007199254740992-0",
        "99999999999999999999999999999999-0",
    };
    uint64_t position;
    uint32_t index;
    for (size_t i = 0; i < HF_ARRAY_COUNT(good); i++) {
        assert_true(hf_message_id_parse(good[i].text, &position, &index));
        assert_true(position == good[i].position && index == good[i].index);
    }
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad); i++) {
        assert_false(hf_message_id_parse(hf_str_from(bad[i]), &position, &index));
    }
}

/* ---- operations ---- */

struct asked {
    struct hf_command command;
    struct hf_malformed malformed;
    bool taken;
};

static struct asked ask(const struct hf_queue_fields *fields)
{
    struct asked asked = {0};
    hf_command_init(&asked.command, HF_COMMAND_COMMIT);
    asked.taken = hf_command_add_queue_op(&asked.command, fields, &asked.malformed) &&
                  hf_command_finish(&asked.command, &asked.malformed);
    return asked;
}

static void refused_at(const struct hf_queue_fields *fields, const char *pointer)
{
    struct asked asked = ask(fields);
    assert_false(asked.taken);
    assert_int_equal(asked.malformed.code, HF_ERR_INVALID_REQUEST);
    assert_string_equal(asked.malformed.pointer, pointer);
    assert_true(asked.malformed.text[0] != '\0');
    hf_command_release(&asked.command);
}

static struct hf_queue_fields fields_of(enum hf_op_type type)
{
    return (struct hf_queue_fields){.type = type, .subscription = HF_STR("mail")};
}

static void defaults_of_a_subscription(void **state)
{
    (void)state;
    struct hf_queue_fields fields = fields_of(HF_OP_PUT_SUBSCRIPTION);
    struct asked asked = ask(&fields);
    assert_true(asked.taken);
    const struct hf_queue_op *queue = asked.command.ops[0].queue;
    assert_int_equal(queue->settings.order, HF_ORDER_KEY);
    assert_int_equal(queue->settings.exhausted, HF_EXHAUSTED_PARK_KEY);
    assert_int_equal(queue->settings.attempts_max, 6);
    assert_int_equal(queue->settings.lease_ms, 30000);
    assert_int_equal(queue->settings.backoff_first_ms, 1000);
    assert_int_equal(queue->settings.backoff_max_ms, 300000);
    assert_int_equal(queue->settings.in_flight_max, 1000);
    assert_int_equal(queue->seek.kind, HF_SEEK_BEGINNING);
    assert_false(asked.command.replays_by_id);
    assert_false(asked.command.key_free);
    hf_command_release(&asked.command);
    fields.order = HF_STR("none");
    fields.has_backoff_first_ms = true; /* the largest is never below the first */
    fields.backoff_first_ms = 600000;
    asked = ask(&fields);
    assert_true(asked.taken);
    queue = asked.command.ops[0].queue;
    assert_int_equal(queue->settings.exhausted, HF_EXHAUSTED_PARK_MESSAGE);
    assert_int_equal(queue->settings.backoff_max_ms, 600000);
    hf_command_release(&asked.command);
}

static void limits_of_a_subscription(void **state)
{
    (void)state;
    const struct hf_queue_fields fields = fields_of(HF_OP_PUT_SUBSCRIPTION);
    struct hf_queue_fields bad = fields;
    bad.subscription = HF_STR("no name");
    refused_at(&bad, "");
    bad = fields;
    bad.order = HF_STR("fifo");
    refused_at(&bad, "/order");
    bad = fields;
    bad.exhausted = HF_STR("drop");
    refused_at(&bad, "/exhausted");
    bad = fields;
    bad.order = HF_STR("none");
    bad.exhausted = HF_STR("park_key");
    refused_at(&bad, "/exhausted");
    bad = fields;
    bad.has_attempts_max = true;
    refused_at(&bad, "/attempts_max");
    bad.attempts_max = 1001;
    refused_at(&bad, "/attempts_max");
    bad = fields;
    bad.has_lease_ms = true;
    bad.lease_ms = 999;
    refused_at(&bad, "/lease_ms");
    bad.lease_ms = 43200001;
    refused_at(&bad, "/lease_ms");
    bad = fields;
    bad.has_backoff_first_ms = true;
    bad.backoff_first_ms = 86400001;
    refused_at(&bad, "/backoff/first_ms");
    bad = fields;
    bad.has_backoff_max_ms = true;
    bad.backoff_max_ms = 999;
    refused_at(&bad, "/backoff/max_ms");
    bad = fields;
    bad.has_in_flight_max = true;
    refused_at(&bad, "/in_flight_max");
    bad.in_flight_max = 100001;
    refused_at(&bad, "/in_flight_max");
    bad = fields;
    bad.filter.bucket = HF_STR("16/16");
    refused_at(&bad, "/filter/bucket");
}

static void receives(void **state)
{
    (void)state;
    struct hf_queue_fields fields = fields_of(HF_OP_RECEIVE);
    struct asked asked = ask(&fields);
    assert_true(asked.taken);
    assert_int_equal(asked.command.ops[0].queue->max, 10);
    assert_false(asked.command.ops[0].has_timeout);
    assert_false(hf_str_present(asked.command.key));
    hf_command_release(&asked.command);
    fields.attempt = HF_STR("a1");
    asked = ask(&fields);
    assert_true(asked.taken);
    assert_true(hf_str_equal(asked.command.key, HF_STR("receive mail a1")));
    struct hf_id key_id = hf_key_id(HF_STR("local"), HF_STR("receive mail a1"));
    assert_true(hf_id_equal(&asked.command.key_id, &key_id));
    struct hf_malformed malformed;
    assert_false(hf_command_set_key(&asked.command, HF_STR("receive mail a1"), &malformed));
    hf_command_release(&asked.command);
    struct hf_queue_fields bad = fields;
    bad.attempt = HF_STR("a b");
    refused_at(&bad, "/attempt");
    bad = fields;
    bad.consumer = HF_STR("");
    refused_at(&bad, "/consumer");
    bad = fields;
    bad.has_max = true;
    refused_at(&bad, "/max");
    bad.max = 1001;
    refused_at(&bad, "/max");
    bad = fields;
    bad.has_lease_ms = true;
    refused_at(&bad, "/lease_ms");
}

static void batches(void **state)
{
    (void)state;
    uint64_t random = 5;
    char texts[3][HF_RECEIPT_CHARS_MAX];
    struct hf_act_fields items[3] = {0};
    for (int i = 0; i < 3; i++) {
        struct hf_receipt receipt = random_receipt(&random);
        struct hf_buffer text;
        hf_buffer_init(&text);
        hf_receipt_encode(&text, &receipt);
        memcpy(texts[i], text.data, text.size_bytes);
        items[i].receipt = (struct hf_str){texts[i], text.size_bytes};
        hf_buffer_release(&text);
    }
    struct hf_queue_fields fields = fields_of(HF_OP_ACK_BATCH);
    fields.act = HF_ACT_NACK;
    fields.items = items;
    refused_at(&fields, "/receipts");
    fields.item_count = 3;
    items[1].has_delay_ms = true;
    items[1].delay_ms = 500;
    items[2].error = HF_STR("no such card");
    struct asked asked = ask(&fields);
    assert_true(asked.taken);
    const struct hf_queue_op *queue = asked.command.ops[0].queue;
    assert_int_equal(queue->item_count, 3);
    assert_true(queue->items[1].has_delay && queue->items[1].delay_ms == 500);
    assert_true(hf_str_equal(queue->items[2].error, HF_STR("no such card")));
    hf_command_release(&asked.command);
    fields.act = HF_ACT_EXTEND;
    refused_at(&fields, "/lease_ms");
    fields.has_lease_ms = true;
    fields.lease_ms = 5000;
    asked = ask(&fields);
    assert_true(asked.taken);
    assert_int_equal(asked.command.ops[0].timeout_ms, 5000);
    hf_command_release(&asked.command);
    items[2].receipt = HF_STR("none");
    refused_at(&fields, "/receipts/2");
    fields.item_count = 1001;
    refused_at(&fields, "/receipts");
}

static void redrives(void **state)
{
    (void)state;
    struct hf_queue_fields fields = fields_of(HF_OP_REDRIVE);
    refused_at(&fields, "");
    fields.message = HF_STR("17-3");
    fields.discard = true;
    struct asked asked = ask(&fields);
    assert_true(asked.taken);
    const struct hf_redrive *redrive = &asked.command.ops[0].queue->redrive;
    assert_int_equal(redrive->what, HF_REDRIVE_MESSAGE);
    assert_true(redrive->position == 17 && redrive->index == 3 && redrive->discard);
    hf_command_release(&asked.command);
    fields.message = HF_STR("17");
    refused_at(&fields, "/message");
    fields.all = true;
    refused_at(&fields, "");
    fields.message = HF_STR_NONE;
    refused_at(&fields, "/discard");
    fields.discard = false;
    fields.has_rate_per_s = true;
    refused_at(&fields, "/rate_per_s");
    fields.rate_per_s = 10000;
    fields.error_contains = HF_STR("card");
    asked = ask(&fields);
    assert_true(asked.taken);
    redrive = &asked.command.ops[0].queue->redrive;
    assert_true(redrive->what == HF_REDRIVE_ALL && redrive->rate_per_s == 10000);
    assert_true(hf_str_equal(redrive->error_filter, HF_STR("card")));
    hf_command_release(&asked.command);
    fields.all = false;
    fields.key = HF_STR("order-7");
    refused_at(&fields, "");
    fields.has_rate_per_s = false;
    fields.error_contains = HF_STR_NONE;
    asked = ask(&fields);
    assert_true(asked.taken);
    redrive = &asked.command.ops[0].queue->redrive;
    struct hf_hash hash = hf_sha256("order-7", 7);
    assert_memory_equal(redrive->key_hash.bytes, hash.bytes, sizeof(redrive->key_hash.bytes));
    hf_command_release(&asked.command);
}

/* ---- fingerprints ---- */

static void hex_of(const uint8_t bytes[16], char hex[33])
{
    for (int i = 0; i < 16; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
}

static void hashes_to(const struct hf_queue_fields *fields, const char *frozen)
{
    char hex[33];
    struct asked asked = ask(fields);
    assert_true(asked.taken);
    hex_of(asked.command.ops_hash, hex);
    assert_string_equal(hex, frozen);
    hf_command_release(&asked.command);
}

static void fingerprints_are_frozen(void **state)
{
    (void)state;
    const struct hf_str types[] = {HF_STR("order.*"), HF_STR("paid")};
    struct hf_queue_fields fields = fields_of(HF_OP_PUT_SUBSCRIPTION);
    hashes_to(&fields, "0be5b4da0b58825bffaddc005f218895");
    fields.filter = (struct hf_filter_fields){.topic = HF_STR("refunds"),
                                              .prefix = HF_STR("topics/"),
                                              .asset = HF_STR("USD/2"),
                                              .bucket = HF_STR("3/16"),
                                              .types = types,
                                              .type_count = 2};
    fields.order = HF_STR("none");
    fields.has_attempts_max = true;
    fields.attempts_max = 3;
    fields.seek =
        (struct hf_seek){.kind = HF_SEEK_TIME, .position = 5, .time_us = 1700000000000000};
    hashes_to(&fields, "4c2ff9693fc97f1f57a4707b50e42680");
    fields.seek.position = 6; /* where the time lies is no part of what was asked */
    hashes_to(&fields, "4c2ff9693fc97f1f57a4707b50e42680");
    fields = fields_of(HF_OP_DELETE_SUBSCRIPTION);
    hashes_to(&fields, "e6110c78a6200d2266db86757a34e2c7");
    fields = fields_of(HF_OP_RECEIVE);
    hashes_to(&fields, "32a634b4562994cf7b3eefffe92dfea8");
    fields.consumer = HF_STR("c");
    fields.attempt = HF_STR("a1");
    fields.has_lease_ms = true;
    fields.lease_ms = 5000;
    hashes_to(&fields, "f104cde904f937e15daaa560796316b9");
    struct hf_act_fields item = {.receipt = HF_STR("AQmsAvCiBBECq6urq6urq6urq6urq6urq7ID1rQ"),
                                 .error = HF_STR("no")};
    fields = fields_of(HF_OP_ACK_BATCH);
    fields.items = &item;
    fields.item_count = 1;
    fields.act = HF_ACT_PARK;
    hashes_to(&fields, "8d6c22a8850d107d668830ed361da210");
    fields = fields_of(HF_OP_REDRIVE);
    fields.all = true;
    hashes_to(&fields, "591db11c3cc6b5433ec06b56c0df446a");
    fields = fields_of(HF_OP_SEEK);
    fields.seek.kind = HF_SEEK_NOW;
    hashes_to(&fields, "e5a4a1bba166eecd7f665b177dab1447");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receipts_come_back),
        cmocka_unit_test(a_receipt_has_this_form),
        cmocka_unit_test(zeroes_are_no_receipt),
        cmocka_unit_test(message_ids_have_one_form),
        cmocka_unit_test(defaults_of_a_subscription),
        cmocka_unit_test(limits_of_a_subscription),
        cmocka_unit_test(receives),
        cmocka_unit_test(batches),
        cmocka_unit_test(redrives),
        cmocka_unit_test(fingerprints_are_frozen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
