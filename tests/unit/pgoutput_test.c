/* PostgreSQL's messages, byte by byte: what is good, and that nothing else is. */
#include "unit/support.h"

#include "relay/pgoutput.h"

/* Each message of the protocol, as PostgreSQL 15 sends it. */
#define BEGIN  "B\0\0\0\0\1\x6B\x37\x40\0\2\x7C\xA5\x7F\x1C\x60\0\0\0\2\xDB"
#define COMMIT "C\0\0\0\0\0\1\x6B\x37\x40\0\0\0\0\1\x6B\x37\x80\0\2\x7C\xA5\x7F\x1C\x60\0"
#define RELATION                                                                                   \
    "R\0\0\x40\1public\0outbox\0d\0\2\1id\0\0\0\x0B\x86\xFF\xFF\xFF\xFF\0payload\0\0\0\x0E\xDA"    \
    "\xFF\xFF\xFF\xFF"
#define INSERT   "I\0\0\x40\1N\0\3t\0\0\0\2e1nt\0\0\0\0"
#define UPDATE_2 "U\0\0\x40\1N\0\2b\0\0\0\1bu"
#define DELETE   "D\0\0\x40\1K\0\2t\0\0\0\2e1n"
#define TRUNCATE "T\0\0\0\2\1\0\0\x40\1\0\0\x40\2"
#define MESSAGE  "M\1\0\0\0\0\0\0\0\x09prefix\0\0\0\0\3abc"
#define ORIGIN   "O\0\0\0\0\0\0\0\x09other\0"
#define TYPE     "Y\0\0\0\x09public\0mood\0"

static struct hf_pgoutput_message good(struct hf_str body)
{
    struct hf_pgoutput_message message;
    const char *why;
    bool parsed = hf_pgoutput_parse(body, &message, &why);
    if (!parsed) {
        print_message("%c: %s\n", body.ptr[0], why);
    }
    assert_true(parsed);
    assert_null(why);
    return message;
}

static void assert_str(struct hf_str is, const char *wanted)
{
    assert_true(hf_str_equal(is, hf_str_from(wanted)));
}

static void test_transactions(void **state)
{
    (void)state;
    struct hf_pgoutput_message begin = good(HF_STR(BEGIN));
    assert_int_equal(begin.kind, HF_PGOUTPUT_BEGIN);
    assert_int_equal(begin.commit, 0x16B3740);
    assert_int_equal(begin.xid, 731);
    assert_int_equal(begin.time_us, 946684800000000ull + 0x27CA57F1C6000ull);
    struct hf_pgoutput_message commit = good(HF_STR(COMMIT));
    assert_int_equal(commit.commit, 0x16B3740);
    assert_int_equal(commit.end, 0x16B3780);
    assert_int_equal(commit.time_us, begin.time_us);
}

static void test_relation(void **state)
{
    (void)state;
    struct hf_pgoutput_message relation = good(HF_STR(RELATION));
    struct hf_pgoutput_column column;
    assert_int_equal(relation.relation, 16385);
    assert_str(relation.schema, "public");
    assert_str(relation.name, "outbox");
    assert_int_equal(relation.columns.count, 2);
    assert_true(hf_pgoutput_next_column(&relation.columns, &column));
    assert_str(column.name, "id");
    assert_true(column.key);
    assert_int_equal(column.type, 2950);
    assert_int_equal(column.modifier, -1);
    assert_true(hf_pgoutput_next_column(&relation.columns, &column));
    assert_str(column.name, "payload");
    assert_false(column.key);
    assert_int_equal(column.type, 3802);
    assert_false(hf_pgoutput_next_column(&relation.columns, &column));
}

static void assert_values(struct hf_pgoutput_list list, const char *kinds, const char *const *texts)
{
    struct hf_pgoutput_value value;
    for (size_t i = 0; kinds[i] != '\0'; i++) {
        assert_true(hf_pgoutput_next_value(&list, &value));
        assert_int_equal(value.kind, kinds[i]);
        if (texts[i] != NULL) {
            assert_str(value.bytes, texts[i]);
        } else {
            assert_false(hf_str_present(value.bytes));
        }
    }
    assert_false(hf_pgoutput_next_value(&list, &value));
}

static void test_rows(void **state)
{
    (void)state;
    struct hf_pgoutput_message insert = good(HF_STR(INSERT));
    assert_int_equal(insert.relation, 16385);
    assert_values(insert.tuple, "tnt", (const char *const[]){"e1", NULL, ""});
    struct hf_pgoutput_message deleted = good(HF_STR(DELETE));
    assert_values(deleted.tuple, "tn", (const char *const[]){"e1", NULL});
    struct hf_pgoutput_message truncated = good(HF_STR(TRUNCATE));
    uint32_t relation;
    assert_true(hf_pgoutput_next_relation(&truncated.relations, &relation));
    assert_int_equal(relation, 16385);
    assert_true(hf_pgoutput_next_relation(&truncated.relations, &relation));
    assert_int_equal(relation, 16386);
    assert_false(hf_pgoutput_next_relation(&truncated.relations, &relation));
}

/* An update leaves a large value that it did not touch out: 'u'. */
static void test_unchanged(void **state)
{
    (void)state;
    static const char with_old[] = "U\0\0\x40\1O\0\2t\0\0\0\1anN\0\2t\0\0\0\1bu";
    struct hf_pgoutput_message update = good(HF_STR(with_old));
    assert_values(update.old, "tn", (const char *const[]){"a", NULL});
    assert_values(update.tuple, "tu", (const char *const[]){"b", NULL});
    update = good(HF_STR(UPDATE_2));
    assert_int_equal(update.old.count, 0);
    assert_values(update.tuple, "bu", (const char *const[]){"b", NULL});
}

static void test_others(void **state)
{
    (void)state;
    assert_str(good(HF_STR(ORIGIN)).name, "other");
    assert_str(good(HF_STR(TYPE)).name, "mood");
    assert_str(good(HF_STR(MESSAGE)).name, "prefix");
}

/* Each message cut anywhere, and with a byte more, is refused. */
static void test_strict(void **state)
{
    (void)state;
    static const struct hf_str all[] = {
        {BEGIN, sizeof(BEGIN) - 1},       {COMMIT, sizeof(COMMIT) - 1},
        {RELATION, sizeof(RELATION) - 1}, {INSERT, sizeof(INSERT) - 1},
        {UPDATE_2, sizeof(UPDATE_2) - 1}, {DELETE, sizeof(DELETE) - 1},
        {TRUNCATE, sizeof(TRUNCATE) - 1}, {MESSAGE, sizeof(MESSAGE) - 1},
        {ORIGIN, sizeof(ORIGIN) - 1},     {TYPE, sizeof(TYPE) - 1},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(all); i++) {
        struct hf_pgoutput_message message;
        const char *why;
        (void)good(all[i]);
        for (size_t length = 0; length < all[i].len; length++) {
            assert_false(hf_pgoutput_parse((struct hf_str){all[i].ptr, length}, &message, &why));
            assert_non_null(why);
        }
        /* The literal's own NUL is the byte too many. */
        assert_false(
            hf_pgoutput_parse((struct hf_str){all[i].ptr, all[i].len + 1}, &message, &why));
    }
}

static void test_refused(void **state)
{
    (void)state;
    const struct hf_str bad[] = {
        HF_STR(""),
        HF_STR("X"),
        HF_STR("S\0\0\0\1\1"), /* a streamed transaction: not asked for */
        HF_STR("C\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0"), /* flags */
        HF_STR("I\0\0\x40\1K\0\0"),                                    /* no new row */
        HF_STR("D\0\0\x40\1N\0\0"),                                    /* no old row */
        HF_STR("U\0\0\x40\1O\0\0"),                                    /* no new row */
        HF_STR("I\0\0\x40\1N\0\1x"),                                   /* kind of a value */
        HF_STR("I\0\0\x40\1N\0\1t\xFF\xFF\xFF\xFF"),                   /* size of a value */
        HF_STR("I\0\0\x40\1N\xFF\xFF"),                                /* count of columns */
        HF_STR("R\0\0\x40\1a\0b\0z\0\0"),                              /* replica identity */
        HF_STR("R\0\0\x40\1a\0b\0d\0\1\2c\0\0\0\0\1\0\0\0\0"),         /* column flags */
        HF_STR("T\0\0\0\2\0\0\0\x40\1"),                               /* count of tables */
        HF_STR("T\0\0\0\1\4\0\0\x40\1"),                               /* flags */
        HF_STR("T\xFF\xFF\xFF\xFF\0\0\0\x40\1"), /* count × 4 overflows 32 bits */
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad); i++) {
        struct hf_pgoutput_message message;
        const char *why = NULL;
        assert_false(hf_pgoutput_parse(bad[i], &message, &why));
        assert_non_null(why);
    }
}

static void test_envelopes(void **state)
{
    (void)state;
    struct hf_pgoutput_envelope envelope;
    const char *why;
    assert_true(hf_pgoutput_open(HF_STR("w\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0abc"),
                                 &envelope, &why));
    assert_true(envelope.data);
    assert_int_equal(envelope.start, 1);
    assert_int_equal(envelope.end, 2);
    assert_str(envelope.body, "abc");
    assert_true(hf_pgoutput_open(HF_STR("k\0\0\0\1\0\0\0\2\0\0\0\0\0\0\0\0\1"), &envelope, &why));
    assert_false(envelope.data);
    assert_true(envelope.reply_wanted);
    assert_int_equal(envelope.end, 0x100000002ull);
    assert_false(hf_pgoutput_open(HF_STR("k\0\0\0\1\0\0\0\2\0\0\0\0\0\0\0\0\2"), &envelope, &why));
    assert_false(
        hf_pgoutput_open(HF_STR("k\0\0\0\1\0\0\0\2\0\0\0\0\0\0\0\0\1\0"), &envelope, &why));
    assert_false(hf_pgoutput_open(HF_STR("z"), &envelope, &why));
    assert_false(hf_pgoutput_open(HF_STR(""), &envelope, &why));
}

static void test_status(void **state)
{
    (void)state;
    uint8_t bytes[HF_PGOUTPUT_STATUS_BYTES];
    static const uint8_t wanted[HF_PGOUTPUT_STATUS_BYTES] = {'r', 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0,
                                                             0,   0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0,
                                                             3,   0, 0, 0, 0, 0, 0, 0, 7, 1};
    hf_pgoutput_put_status(bytes, &(struct hf_pgoutput_status){.written = 0x100000002ull,
                                                               .flushed = 3,
                                                               .now_us = 946684800000007ull,
                                                               .reply_wanted = true});
    assert_memory_equal(bytes, wanted, sizeof(wanted));
}

static void test_lsn(void **state)
{
    (void)state;
    char text[HF_LSN_TEXT_BYTES];
    uint64_t lsn;
    hf_lsn_format(0x16B374D848ull, text);
    assert_string_equal(text, "16/B374D848");
    assert_true(hf_lsn_parse(HF_STR("16/B374D848"), &lsn));
    assert_int_equal(lsn, 0x16B374D848ull);
    assert_true(hf_lsn_parse(HF_STR("ffffffff/FFFFFFFF"), &lsn));
    assert_true(lsn == UINT64_MAX);
    static const char *const bad[] = {"",    "/",   "1/", "/1", "1", "123456789/1", "1/123456789",
                                      "g/1", "1/1 "};
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad); i++) {
        assert_false(hf_lsn_parse(hf_str_from(bad[i]), &lsn));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transactions), cmocka_unit_test(test_relation),
        cmocka_unit_test(test_rows),         cmocka_unit_test(test_unchanged),
        cmocka_unit_test(test_others),       cmocka_unit_test(test_strict),
        cmocka_unit_test(test_refused),      cmocka_unit_test(test_envelopes),
        cmocka_unit_test(test_status),       cmocka_unit_test(test_lsn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
