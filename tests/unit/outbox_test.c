/* Rows that can be messages and rows that can't; the cursor's document, there and back. */
#include "unit/support.h"

#include "base/json.h"
#include "relay/cursor.h"
#include "relay/outbox.h"

static const struct hf_outbox_names plain = {0};

static bool becomes(const struct hf_outbox_names *names, const struct hf_outbox_row *row,
                    char why[HF_OUTBOX_WHY_BYTES], struct hf_buffer *operation)
{
    struct hf_arena arena;
    struct hf_outbox_message message;
    bool no_memory;
    hf_arena_init(&arena);
    bool good = hf_outbox_message_of(names, row, &arena, &message, why, &no_memory);
    assert_false(no_memory);
    hf_buffer_clear(operation);
    if (good) {
        hf_outbox_put_operation(&message, operation);
        hf_buffer_u8(operation, 0);
        assert_false(operation->failed);
    }
    hf_arena_release(&arena);
    return good;
}

static struct hf_outbox_row row_of(const char *id, const char *topic, const char *key,
                                   const char *type, const char *payload)
{
    return (struct hf_outbox_row){.fields = {hf_str_from(id), hf_str_from(topic), hf_str_from(key),
                                             hf_str_from(type), hf_str_from(payload)},
                                  .where = "row 1"};
}

static void test_operation(void **state)
{
    (void)state;
    char why[HF_OUTBOX_WHY_BYTES];
    struct hf_buffer text;
    hf_buffer_init(&text);
    struct hf_outbox_row row = row_of("e1", "orders", "o-1", "a\"b", "{\"n\": 1}");
    assert_true(becomes(&plain, &row, why, &text));
    assert_string_equal(
        text.data, "{\"op\":\"publish\",\"topic\":\"orders\",\"key\":\"o-1\",\"type\":\"a\\\"b\","
                   "\"id\":\"e1\",\"data\":{\"n\": 1}}");
    const struct hf_outbox_names prefixed = {.topic_prefix = "shop.", .id_prefix = "shop-"};
    row = row_of("17", "orders", "o-1", "x", NULL);
    assert_true(becomes(&prefixed, &row, why, &text));
    assert_string_equal(
        text.data, "{\"op\":\"publish\",\"topic\":\"shop.orders\",\"key\":\"o-1\",\"type\":\"x\","
                   "\"id\":\"shop-17\",\"data\":null}");
    hf_buffer_release(&text);
}

static void test_bad_rows(void **state)
{
    (void)state;
    char long_name[130];
    memset(long_name, 'a', sizeof(long_name) - 1);
    long_name[129] = '\0';
    const struct {
        struct hf_outbox_row row;
        const char *names; /* what the reason must name */
    } bad[] = {
        {row_of(NULL, "t", "k", "x", "1"), "id is NULL"},
        {row_of("e", NULL, "k", "x", "1"), "aggregatetype is NULL"},
        {row_of("e", "t", NULL, "x", "1"), "aggregateid is NULL"},
        {row_of("e", "t", "k", NULL, "1"), "type is NULL"},
        {row_of("", "t", "k", "x", "1"), "id \"\""},
        {row_of("e 1", "t", "k", "x", "1"), "id \"e 1\""},
        {row_of("e", "t\x01", "k", "x", "1"), "aggregatetype \"t?\""},
        {row_of("e", "t", "-k", "x", "1"), "aggregateid"},
        {row_of("e", "t", long_name, "x", "1"), "aggregateid"},
        {row_of("e", "t", "k", "", "1"), "type \"\""},
        {row_of("e", "t", "k", "a b", "1"), "type \"a b\""},
        {row_of("e", "t", "k", "holdfast.x", "1"), "holdfast."},
        {row_of("e", "t", "k", "system.x", "1"), "system."},
        {row_of("e", "t", "k", "x", ""), "payload is not JSON: it is empty"},
        {row_of("e", "t", "k", "x", "{"), "payload is not JSON"},
        {row_of("e", "t", "k", "x", "\"\xFF\""), "payload is not JSON"},
        {row_of("e", "t", "k", "x", "{\"a\":1,\"a\":1}"), "payload is not JSON"},
    };
    struct hf_buffer text;
    hf_buffer_init(&text);
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad); i++) {
        char why[HF_OUTBOX_WHY_BYTES] = "";
        assert_false(becomes(&plain, &bad[i].row, why, &text));
        if (strstr(why, bad[i].names) == NULL) {
            fail_msg("%zu: %s", i, why);
        }
    }
    hf_buffer_release(&text);
}

static void test_columns(void **state)
{
    (void)state;
    struct hf_outbox_names names = {0};
    assert_string_equal(hf_outbox_column(&names, HF_OUTBOX_TOPIC), "aggregatetype");
    assert_true(hf_outbox_take_column(&names, "aggregatetype=topic"));
    assert_true(hf_outbox_take_column(&names, "id=a=b"));
    assert_string_equal(hf_outbox_column(&names, HF_OUTBOX_TOPIC), "topic");
    assert_string_equal(hf_outbox_column(&names, HF_OUTBOX_ID), "a=b");
    assert_false(hf_outbox_take_column(&names, "id"));
    assert_false(hf_outbox_take_column(&names, "id="));
    assert_false(hf_outbox_take_column(&names, "other=x"));
    assert_false(hf_outbox_take_column(&names, "=x"));
}

static void assert_round_trip(const struct hf_cursor *cursor)
{
    struct hf_buffer text;
    struct hf_buffer again;
    struct hf_cursor read;
    hf_buffer_init(&text);
    hf_buffer_init(&again);
    hf_cursor_write(cursor, &text);
    struct hf_str json = {(const char *)text.data, text.size_bytes};
    assert_int_equal(hf_json_validate(json, NULL), HF_ERR_OK);
    assert_true(hf_cursor_read(json, 9, &read));
    assert_int_equal(read.version, 9);
    assert_int_equal(read.kind, cursor->kind);
    hf_cursor_write(&read, &again);
    assert_int_equal(again.size_bytes, text.size_bytes);
    assert_memory_equal(again.data, text.data, text.size_bytes);
    hf_buffer_release(&text);
    hf_buffer_release(&again);
}

static void test_cursor(void **state)
{
    (void)state;
    struct hf_cursor sqlite = {.kind = HF_CURSOR_SQLITE,
                               .table = "out\"box",
                               .published = 3,
                               .parked = 1,
                               .at = {.sequence = 17},
                               .id = "e17"};
    assert_round_trip(&sqlite);
    struct hf_cursor postgresql = {
        .kind = HF_CURSOR_POSTGRESQL,
        .table = "public.outbox",
        .system = "7412345678901234567",
        .timeline = 1,
        .database = "shop",
        .slot = "holdfast_relay",
        .at = {.lsn = 0x16B374D848ull, .transaction = 0x16B374D900ull, .rows = 3},
        .copying = "created_at"};
    assert_round_trip(&postgresql);
    postgresql.at.transaction = postgresql.at.rows = 0;
    postgresql.copying[0] = '\0';
    assert_round_trip(&postgresql);
}

static void test_foreign_cursors(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"format\":2,\"source\":\"sqlite\"}",
        "{\"format\":1,\"source\":\"oracle\"}",
        "{\"format\":1,\"source\":\"sqlite\",\"sequence\":-1}",
        "{\"format\":1,\"source\":\"postgresql\",\"lsn\":\"x\"}",
        "{\"format\":1,\"source\":\"postgresql\",\"lsn\":17}",
        "{\"format\":1,\"source\":\"sqlite\"",
    };
    struct hf_cursor cursor;
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad); i++) {
        assert_false(hf_cursor_read(hf_str_from(bad[i]), 1, &cursor));
    }
    assert_true(
        hf_cursor_read(HF_STR("{\"format\":1,\"source\":\"sqlite\",\"later\":[1]}"), 1, &cursor));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operation),       cmocka_unit_test(test_bad_rows),
        cmocka_unit_test(test_columns),         cmocka_unit_test(test_cursor),
        cmocka_unit_test(test_foreign_cursors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
