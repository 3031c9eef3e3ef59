/*
 * How lists, balances and statements look: cursors, JSON, CSV, beancount. If Debian's beancount is installed,
 * bean-check must accept every statement; else that test is left out, and the output says so.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/cursor.h"
#include "api/reading_json.h"
#include "api/statement_beancount.h"
#include "api/statement_csv.h"
#include "base/check.h"
#include "base/time_text.h"
#include "unit/core_rig.h"
#include "unit/support.h"

#define START_US 1600000000000000ull

struct bench {
    struct core_rig rig;
    struct core_rig_answer answer;
    struct hf_arena arena;
    struct hf_buffer text; /* what was rendered last, with a NUL behind */
    uint64_t now_us;
};

static void begin(struct bench *b)
{
    *b = (struct bench){.now_us = START_US};
    core_rig_init(&b->rig, CORE_RIG_HOT);
    hf_arena_init(&b->arena);
    hf_buffer_init(&b->text);
    hf_buffer_init(&b->answer.text);
}

static void end(struct bench *b)
{
    hf_buffer_release(&b->text);
    hf_buffer_release(&b->answer.text);
    hf_arena_release(&b->arena);
    core_rig_release(&b->rig);
}

static void ask(struct bench *b, const char *json)
{
    b->now_us += 1000000;
    struct core_rig_ask one = {.text = json, .now_us = b->now_us};
    core_rig_ask(&b->rig, &one, &b->answer);
    assert_int_equal(b->answer.status, 201);
}

/* The tour of what a statement may hold. */
static void tell_story(struct bench *b)
{
    ask(b, "{\"do\":[{\"op\":\"open_account\",\"account\":\"world\",\"asset\":\"USD/2\",\"floor\":"
           "null},{\"op\":\"open_account\",\"account\":\"users:42\",\"asset\":\"USD/2\"},"
           "{\"op\":\"open_account\",\"account\":\"a,b=c\",\"asset\":\"USD/2\",\"floor\":null}]}");
    ask(b, "{\"do\":[{\"op\":\"transfer\",\"id\":\"t1\",\"from\":\"world\",\"to\":\"users:42\","
           "\"asset\":\"USD/2\",\"amount\":\"10000\",\"metadata\":{\"a\":1}}]}");
    ask(b, "{\"do\":[{\"op\":\"transfer\",\"id\":\"t2\",\"from\":\"users:42\",\"to\":\"a,b=c\","
           "\"asset\":\"USD/2\",\"amount\":\"5\",\"effective_at\":\"2020-09-01T00:00:00Z\"}]}");
    ask(b, "{\"do\":[{\"op\":\"hold\",\"id\":\"h1\",\"from\":\"users:42\",\"to\":\"world\","
           "\"asset\":\"USD/2\",\"amount\":\"300\"}]}");
    ask(b, "{\"do\":[{\"op\":\"capture\",\"hold\":\"h1\",\"amount\":\"100\"}]}");
    ask(b, "{\"do\":[{\"op\":\"reverse\",\"id\":\"r1\",\"transfer\":\"t2\"}]}");
}

static struct hf_name name_of(struct bench *b, const char *text)
{
    struct hf_name name;
    HF_CHECK(hf_name_make(hf_str_from(text), &b->arena, &name));
    return name;
}

typedef void (*form_fn)(struct hf_buffer *to, const struct hf_query *query,
                        const struct hf_reading *reading);

/* Reads and renders; returns the status of JSON. form NULL: JSON. */
static int render(struct bench *b, const struct hf_query *query, form_fn form)
{
    struct hf_records records;
    struct hf_reading reading;
    int status = 200;
    hf_records_init(&records);
    hf_buffer_clear(&b->text);
    (void)core_rig_read(&b->rig, query, b->now_us, &records, &reading);
    if (form == NULL) {
        status = hf_reading_json(&b->text, query, &reading);
    } else {
        assert_int_equal(reading.code, HF_ERR_OK);
        form(&b->text, query, &reading);
    }
    hf_records_release(&records);
    hf_buffer_u8(&b->text, 0);
    assert_false(b->text.failed);
    return status;
}

static const char *text_of(const struct bench *b)
{
    return (const char *)b->text.data;
}

/* ---- JSON ---- */

static void test_json(void **state)
{
    (void)state;
    struct bench b;
    begin(&b);
    tell_story(&b);
    struct hf_query query = {.type = HF_QUERY_ACCOUNTS, .limit = 1, .prefix = HF_STR("u")};
    assert_int_equal(render(&b, &query, NULL), 200);
    assert_string_equal(
        text_of(&b),
        "{\"data\":[{\"id\":\"users:42\",\"version\":5,\"asset\":\"USD/2\",\"floor\":\"0\","
        "\"ceiling\":null,\"state\":\"open\",\"debits_posted\":\"105\",\"credits_posted\":"
        "\"10005\","
        "\"debits_pending\":\"200\",\"credits_pending\":\"0\",\"posted\":\"9900\","
        "\"available\":\"9700\",\"opened_at\":\"2020-09-13T12:26:41.000000Z\","
        "\"modified_at\":\"2020-09-13T12:26:46.000000Z\"}],\"next\":null}");
    query = (struct hf_query){.type = HF_QUERY_BALANCE,
                              .name = name_of(&b, "users:42"),
                              .at = HF_AT_VERSION,
                              .version = 2};
    assert_int_equal(render(&b, &query, NULL), 200);
    assert_string_equal(
        text_of(&b),
        "{\"account\":\"users:42\",\"asset\":\"USD/2\",\"clock\":\"recorded\","
        "\"posted\":\"9995\",\"available\":\"9995\",\"debits_posted\":\"5\","
        "\"credits_posted\":\"10000\",\"debits_pending\":\"0\",\"credits_pending\":\"0\","
        "\"version\":2,\"position\":3,\"time\":\"2020-09-13T12:26:43.000000Z\"}");
    query.at = HF_AT_TIME;
    query.clock = HF_CLOCK_EFFECTIVE;
    assert_true(hf_time_parse(HF_STR("2020-09-02T00:00:00Z"), &query.at_us));
    assert_int_equal(render(&b, &query, NULL), 200);
    assert_string_equal(
        text_of(&b), "{\"account\":\"users:42\",\"asset\":\"USD/2\",\"clock\":\"effective\","
                     "\"at\":\"2020-09-02T00:00:00.000000Z\",\"posted\":\"-5\",\"available\":null,"
                     "\"debits_posted\":\"5\",\"credits_posted\":\"0\",\"debits_pending\":null,"
                     "\"credits_pending\":null,\"version\":5,\"position\":6,"
                     "\"time\":\"2020-09-13T12:26:46.000000Z\"}");
    query = (struct hf_query){.type = HF_QUERY_TOTALS};
    assert_true(hf_asset_parse(HF_STR("USD/2"), &query.asset));
    assert_int_equal(render(&b, &query, NULL), 200);
    assert_string_equal(text_of(&b),
                        "{\"asset\":\"USD/2\",\"accounts\":3,\"debits_posted\":\"10110\","
                        "\"credits_posted\":\"10110\",\"debits_pending\":\"200\","
                        "\"credits_pending\":\"200\"}");
    end(&b);
}

static void test_statement_json(void **state)
{
    (void)state;
    struct bench b;
    begin(&b);
    tell_story(&b);
    struct hf_query query = {.type = HF_QUERY_STATEMENT,
                             .name = name_of(&b, "users:42"),
                             .from_us = START_US + 3000000,
                             .to_us = START_US + 6000000,
                             .limit = 10};
    assert_int_equal(render(&b, &query, NULL), 200);
    assert_string_equal(
        text_of(&b),
        "{\"account\":\"users:42\",\"asset\":\"USD/2\",\"clock\":\"recorded\","
        "\"from\":\"2020-09-13T12:26:43.000000Z\",\"to\":\"2020-09-13T12:26:46.000000Z\","
        "\"opening\":{\"posted\":\"10000\",\"available\":\"10000\",\"debits_posted\":\"0\","
        "\"credits_posted\":\"10000\",\"debits_pending\":\"0\",\"credits_pending\":\"0\","
        "\"version\":1},\"data\":["
        "{\"time\":\"2020-09-13T12:26:43.000000Z\",\"transfer\":\"t2\",\"type\":\"transfer\","
        "\"counterparty\":\"a,b=c\",\"change\":\"-5\",\"posted\":\"9995\",\"version\":2,"
        "\"position\":3,\"posted_at\":\"2020-09-13T12:26:43.000000Z\","
        "\"effective_at\":\"2020-09-01T00:00:00.000000Z\"},"
        "{\"time\":\"2020-09-13T12:26:45.000000Z\",\"transfer\":\"~5.0\",\"type\":\"capture\","
        "\"hold\":\"h1\",\"counterparty\":\"world\",\"change\":\"-100\",\"posted\":\"9895\","
        "\"version\":4,\"position\":5,\"posted_at\":\"2020-09-13T12:26:45.000000Z\"}],"
        "\"closing\":{\"posted\":\"9895\",\"available\":\"9695\",\"debits_posted\":\"105\","
        "\"credits_posted\":\"10000\",\"debits_pending\":\"200\",\"credits_pending\":\"0\","
        "\"version\":4},\"next\":null}");
    query.limit = 1;
    query.whole = true;
    assert_int_equal(render(&b, &query, NULL), 413);
    assert_non_null(strstr(text_of(&b), "\"code\":\"too_large\""));
    assert_non_null(strstr(text_of(&b), "take a shorter period"));
    query.name = name_of(&b, "nobody");
    assert_int_equal(render(&b, &query, NULL), 404);
    end(&b);
}

/* ---- cursors ---- */

/* The text behind "next":" of what was rendered. */
static struct hf_str next_of(struct bench *b)
{
    const char *at = strstr(text_of(b), "\"next\":\"");
    assert_non_null(at);
    at += strlen("\"next\":\"");
    return hf_arena_copy(&b->arena, (struct hf_str){at, (size_t)(strchr(at, '"') - at)});
}

/* Every change of a single character, and every shorter text, is malformed. */
static void check_tampered(struct bench *b, struct hf_str cursor, const struct hf_query *query)
{
    char copy[256];
    for (size_t i = 0; i < cursor.len; i++) {
        for (unsigned c = 1; c < 256; c++) {
            struct hf_query other = *query;
            memcpy(copy, cursor.ptr, cursor.len);
            copy[i] = (char)c;
            if (copy[i] != cursor.ptr[i]) {
                assert_int_equal(
                    hf_cursor_decode((struct hf_str){copy, cursor.len}, &b->arena, &other),
                    HF_CURSOR_MALFORMED);
            }
        }
        struct hf_query other = *query;
        assert_int_equal(hf_cursor_decode((struct hf_str){cursor.ptr, i}, &b->arena, &other),
                         HF_CURSOR_MALFORMED);
    }
}

static void test_cursors(void **state)
{
    (void)state;
    struct bench b;
    begin(&b);
    tell_story(&b);
    struct hf_query by_name = {.type = HF_QUERY_ACCOUNTS, .limit = 2};
    assert_int_equal(render(&b, &by_name, NULL), 200);
    struct hf_str names = next_of(&b);
    check_tampered(&b, names, &by_name);
    struct hf_query again = by_name;
    assert_int_equal(hf_cursor_decode(names, &b.arena, &again), HF_CURSOR_OK);
    assert_true(hf_str_equal(again.after, HF_STR("users:42")));
    /* of another list */
    again = (struct hf_query){.type = HF_QUERY_ACCOUNTS, .prefix = HF_STR("u")};
    assert_int_equal(hf_cursor_decode(names, &b.arena, &again), HF_CURSOR_MALFORMED);
    again = (struct hf_query){.type = HF_QUERY_STREAMS};
    assert_int_equal(hf_cursor_decode(names, &b.arena, &again), HF_CURSOR_MALFORMED);

    struct hf_query transfers = {
        .type = HF_QUERY_TRANSFERS, .name = name_of(&b, "users:42"), .limit = 1};
    assert_int_equal(render(&b, &transfers, NULL), 200);
    assert_non_null(strstr(text_of(&b), "\"id\":\"r1\""));
    struct hf_str place = next_of(&b);
    check_tampered(&b, place, &transfers);
    assert_int_equal(hf_cursor_decode(place, &b.arena, &transfers), HF_CURSOR_OK);
    assert_int_equal(transfers.from, 5);
    assert_int_equal(render(&b, &transfers, NULL), 200);
    assert_non_null(strstr(text_of(&b), "\"id\":\"~5.0\""));
    again = (struct hf_query){.type = HF_QUERY_TRANSFERS, .name = name_of(&b, "world")};
    assert_int_equal(hf_cursor_decode(place, &b.arena, &again), HF_CURSOR_MALFORMED);

    struct hf_query entries = {.type = HF_QUERY_ENTRIES, .name = name_of(&b, "world"), .limit = 2};
    assert_int_equal(render(&b, &entries, NULL), 200);
    assert_int_equal(hf_cursor_decode(next_of(&b), &b.arena, &entries), HF_CURSOR_OK);
    assert_int_equal(entries.from, 2);
    static const char *const bad[] = {"", "0", "-1", "01", "1x", "99999999999999999999"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad); i++) {
        assert_int_equal(hf_cursor_decode(hf_str_from(bad[i]), &b.arena, &entries),
                         HF_CURSOR_MALFORMED);
    }
    end(&b);
}

/* ---- CSV ---- */

static void test_csv(void **state)
{
    (void)state;
    struct bench b;
    begin(&b);
    tell_story(&b);
    struct hf_query query = {.type = HF_QUERY_STATEMENT,
                             .name = name_of(&b, "users:42"),
                             .from_us = START_US,
                             .to_us = UINT64_MAX,
                             .limit = 10,
                             .whole = true,
                             .clock = HF_CLOCK_EFFECTIVE};
    assert_int_equal(render(&b, &query, hf_statement_csv), 200);
    assert_string_equal(
        text_of(&b),
        "row,time,posted_at,version,position,transfer,type,counterparty,debit_minor,credit_minor,"
        "balance_minor,debit,credit,balance,asset\r\n"
        "opening,2020-09-13T12:26:40.000000Z,,,,,,,,,-5,,,-0.05,USD/2\r\n"
        "line,2020-09-13T12:26:42.000000Z,2020-09-13T12:26:42.000000Z,1,2,t1,transfer,world,,10000,"
        "9995,,100.00,99.95,USD/2\r\n"
        "line,2020-09-13T12:26:45.000000Z,2020-09-13T12:26:45.000000Z,4,5,~5.0,capture,world,100,,"
        "9895,1.00,,98.95,USD/2\r\n"
        "line,2020-09-13T12:26:46.000000Z,2020-09-13T12:26:46.000000Z,5,6,r1,reversal,\"a,b=c\",,5,"
        "9900,,0.05,99.00,USD/2\r\n"
        "closing,2020-09-13T12:26:46.000000Z,,,,,,,,,9900,,,99.00,USD/2\r\n");
    end(&b);
}

/* ---- beancount ---- */

static void check_account_name(const char *name, const char *expected)
{
    struct hf_buffer text;
    hf_buffer_init(&text);
    hf_beancount_account(&text, hf_str_from(name));
    hf_buffer_u8(&text, 0);
    assert_string_equal((const char *)text.data, expected);
    hf_buffer_release(&text);
}

static void check_commodity(const char *asset_text, const char *expected)
{
    struct hf_buffer text;
    struct hf_asset asset;
    hf_buffer_init(&text);
    assert_true(hf_asset_parse(hf_str_from(asset_text), &asset));
    hf_beancount_commodity(&text, &asset);
    hf_buffer_u8(&text, 0);
    assert_string_equal((const char *)text.data, expected);
    hf_buffer_release(&text);
}

static void test_beancount_names(void **state)
{
    (void)state;
    check_account_name("world", "Assets:World");
    check_account_name("World", "Assets:X-World");
    check_account_name("users:42", "Assets:Users:42");
    check_account_name("a::b", "Assets:A:Y-Z:B");
    check_account_name("a:.b", "Assets:A:Y-Z-2eb");
    check_account_name("x.b", "Assets:X-2eb");
    check_account_name("X.b", "Assets:X-X-2eb");
    check_account_name("a-b", "Assets:A--b");
    check_account_name("a@b+c=d,e~f_g", "Assets:A-40b-2bc-3dd-2ce-7ef-5fg");
    check_account_name("8e03978e-40d5-43e8-bc93-6894a57f9324",
                       "Assets:8e03978e--40d5--43e8--bc93--6894a57f9324");
    check_commodity("USD/2", "USD");
    check_commodity("X/0", "X-H");
    check_commodity("A_/0", "A_-H");
    check_commodity("NULL/0", "NULL-H");
    check_commodity("ABCDEFGHIJKLMNOP_/18", "ABCDEFGHIJKLMNOP_-H");
}

static void test_beancount(void **state)
{
    (void)state;
    struct bench b;
    begin(&b);
    tell_story(&b);
    struct hf_query query = {.type = HF_QUERY_STATEMENT,
                             .name = name_of(&b, "users:42"),
                             .from_us = START_US + 3000000,
                             .to_us = START_US + 6000000,
                             .limit = 10,
                             .whole = true};
    assert_int_equal(render(&b, &query, hf_statement_beancount), 200);
    assert_string_equal(text_of(&b),
                        "; Statement of the account users:42 in USD/2 by the recorded clock, from "
                        "2020-09-13T12:26:43.000000Z to before 2020-09-13T12:26:46.000000Z.\n"
                        "\n"
                        "2020-09-12 open Assets:Users:42 USD\n"
                        "  name: \"users:42\"\n"
                        "2020-09-12 open Assets:A-2cb-3dc USD\n"
                        "  name: \"a,b=c\"\n"
                        "2020-09-12 open Assets:World USD\n"
                        "  name: \"world\"\n"
                        "2020-09-12 open Equity:Opening-Balances USD\n"
                        "\n"
                        "2020-09-12 * \"Opening balance\"\n"
                        "  Assets:Users:42  100.00 USD\n"
                        "  Equity:Opening-Balances  -100.00 USD\n"
                        "\n"
                        "2020-09-13 * \"a,b=c\" \"transfer t2\"\n"
                        "  position: 3\n"
                        "  posted-at: \"2020-09-13T12:26:43.000000Z\"\n"
                        "  effective-at: \"2020-09-01T00:00:00.000000Z\"\n"
                        "  Assets:Users:42  -0.05 USD\n"
                        "  Assets:A-2cb-3dc  0.05 USD\n"
                        "\n"
                        "2020-09-13 * \"world\" \"capture ~5.0\"\n"
                        "  position: 5\n"
                        "  posted-at: \"2020-09-13T12:26:45.000000Z\"\n"
                        "  Assets:Users:42  -1.00 USD\n"
                        "  Assets:World  1.00 USD\n"
                        "\n"
                        "2020-09-14 balance Assets:Users:42  98.95 ~ 0 USD\n");
    end(&b);
}

/* ---- bean-check ---- */

#define NO_SUCH_PROGRAM 127

/* Exit status of bean-check with this argument. */
static int run_bean_check(const char *argument)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(nowhere, STDOUT_FILENO);
        (void)dup2(nowhere, STDERR_FILENO);
        (void)execlp("bean-check", "bean-check", argument, (char *)NULL);
        _exit(NO_SUCH_PROGRAM);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool has_bean_check(void)
{
    return run_bean_check("--version") != NO_SUCH_PROGRAM;
}

/* What bean-check makes of a text: its exit status. */
static int bean_check(const char *text)
{
    char path[] = "/tmp/holdfast-statement-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(file), 0);
    int status = run_bean_check(path);
    (void)unlink(path);
    return status;
}

/* Statements of everybody, by both clocks, over several periods. */
static void check_everybody(struct bench *b)
{
    static const char *const names[] = {"users:42", "world", "a,b=c", "X",
                                        "8e03978e-40d5-43e8-bc93-6894a57f9324"};
    static const char *const times[] = {"1970-01-01T00:00:00Z", "2020-09-01T00:00:00Z",
                                        "2020-09-13T12:26:44Z", "2020-09-14T00:00:00Z",
                                        "9999-12-31T23:59:59Z"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(names); i++) {
        for (size_t j = 0; j + 1 < HF_ARRAY_COUNT(times); j++) {
            struct hf_query query = {.type = HF_QUERY_STATEMENT,
                                     .name = name_of(b, names[i]),
                                     .limit = 1000,
                                     .whole = true,
                                     .clock = j % 2 == 0 ? HF_CLOCK_EFFECTIVE : HF_CLOCK_RECORDED};
            assert_true(hf_time_parse(hf_str_from(times[j]), &query.from_us));
            assert_true(hf_time_parse(hf_str_from(times[j + 1]), &query.to_us));
            query.to_us = i == 0 && j == 1 ? UINT64_MAX : query.to_us;
            assert_int_equal(render(b, &query, hf_statement_beancount), 200);
            if (bean_check(text_of(b)) != 0) {
                print_error("%s\n", text_of(b));
                fail();
            }
        }
    }
}

static void test_bean_check(void **state)
{
    (void)state;
    struct bench b;
    begin(&b);
    tell_story(&b);
    ask(&b,
        "{\"do\":[{\"op\":\"open_account\",\"account\":\"X\",\"asset\":\"Q/18\",\"floor\":null},"
        "{\"op\":\"open_account\",\"account\":\"8e03978e-40d5-43e8-bc93-6894a57f9324\","
        "\"asset\":\"Q/18\"},{\"op\":\"transfer\",\"from\":\"X\",\"to\":"
        "\"8E03978E-40D5-43E8-BC93-6894A57F9324\",\"asset\":\"Q/18\",\"amount\":"
        "\"1234567890123456789\"}]}");
    check_everybody(&b);
    /* It does look: a cent less is refused. */
    assert_true(bean_check("2020-01-01 open Assets:A\n2020-01-01 open Assets:B\n"
                           "2020-01-02 * \"x\"\n  Assets:A  1.00 USD\n  Assets:B  -1.00 USD\n"
                           "2020-01-03 balance Assets:A  0.99 ~ 0 USD\n") != 0);
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_statement_json),
        cmocka_unit_test(test_cursors),
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_beancount_names),
        cmocka_unit_test(test_beancount),
        cmocka_unit_test(test_bean_check), /* the last one: it may be left out */
    };
    size_t count = HF_ARRAY_COUNT(tests);
    if (!has_bean_check()) {
        print_message("# left out: bean-check is not installed (Debian package beancount)\n");
        count--;
    }
    return _cmocka_run_group_tests("tests", tests, count, NULL, NULL);
}
