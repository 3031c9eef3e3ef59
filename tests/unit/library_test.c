/*
 * libholdfast through its public header alone: opening, committing from many threads, reading, closing,
 * opening again; what is refused and how.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <holdfast.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS   8
#define TRANSFERS 150 /* of each thread */

static char directory[64];

static int make_directory(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof(directory), "library_test.XXXXXX");
    return mkdtemp(directory) == NULL;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static int remove_directory(void **state)
{
    (void)state;
    return nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct holdfast *open_or_fail(void)
{
    struct holdfast_options options = {.directory = directory, .create = true};
    struct holdfast_failure failure;
    struct holdfast *db;
    if (holdfast_open(&options, &db, &failure) != HOLDFAST_OK) {
        print_error("open: %s\n", failure.text);
        fail();
    }
    return db;
}

static void close_or_fail(struct holdfast *db)
{
    struct holdfast_failure failure;
    if (holdfast_close(db, &failure) != HOLDFAST_OK) {
        print_error("close: %s\n", failure.text);
        fail();
    }
}

static struct holdfast_answer *commit_as(struct holdfast *db, const struct holdfast_caller *caller,
                                         const char *json)
{
    struct holdfast_failure failure;
    struct holdfast_answer *answer;
    if (holdfast_commit_json(db, caller, json, strlen(json), &answer, &failure) != HOLDFAST_OK) {
        print_error("%s\n  %s %s\n", json, failure.pointer, failure.text);
        fail();
    }
    return answer;
}

static void expect(struct holdfast_answer *answer, int status, const char *code, const char *part)
{
    size_t bytes = 0;
    const char *text = holdfast_answer_text(answer, &bytes);
    assert_non_null(text);
    assert_int_equal(bytes, strlen(text));
    assert_int_equal(holdfast_answer_status(answer), status);
    assert_string_equal(holdfast_answer_code(answer), code);
    if (strstr(text, part) == NULL) {
        print_error("%s is not in\n  %s\n", part, text);
        fail();
    }
    holdfast_answer_free(answer);
}

static void expect_commit(struct holdfast *db, const char *json, int status, const char *code,
                          const char *part)
{
    expect(commit_as(db, NULL, json), status, code, part);
}

static void expect_read(struct holdfast *db, const char *kind, const char *id, int status,
                        const char *part)
{
    struct holdfast_failure failure;
    struct holdfast_answer *answer;
    assert_int_equal(holdfast_read(db, NULL, kind, id, &answer, &failure), HOLDFAST_OK);
    char code[32];
    (void)snprintf(code, sizeof(code), "%s", holdfast_answer_code(answer));
    expect(answer, status, code, part);
}

#define SET_UP                                                                                     \
    "{\"do\":[{\"op\":\"open_account\",\"account\":\"w\",\"asset\":\"USD/2\",\"floor\":null},"     \
    "{\"op\":\"open_account\",\"account\":\"a\",\"asset\":\"USD/2\"}]}"
#define PAY(id, n)                                                                                 \
    "{\"do\":[{\"op\":\"transfer\",\"id\":\"" id                                                   \
    "\",\"from\":\"w\",\"to\":\"a\",\"asset\":\"USD/2\",\"amount\":\"" n "\"}]}"

static void a_commit_is_there_after_opening_again(void **state)
{
    (void)state;
    struct holdfast *db = open_or_fail();
    expect_commit(db, SET_UP, 201, "ok", "\"results\":[{\"op\":\"open_account\"");
    struct holdfast_caller caller = {.key = "k1", .principal = "shop"};
    struct holdfast_answer *answer = commit_as(db, &caller, PAY("t1", "5"));
    uint64_t position = holdfast_answer_position(answer);
    assert_true(position > 0);
    assert_true(holdfast_answer_seen_position(answer) >= position);
    assert_false(holdfast_answer_replayed(answer));
    char *first = strdup(holdfast_answer_text(answer, NULL));
    assert_non_null(first);
    expect(answer, 201, "ok", "\"transfer\":\"t1\"");
    close_or_fail(db);

    db = open_or_fail();
    answer = commit_as(db, &caller, PAY("t1", "5"));
    assert_true(holdfast_answer_replayed(answer));
    assert_int_equal(holdfast_answer_position(answer), position);
    assert_string_equal(holdfast_answer_text(answer, NULL), first); /* byte for byte */
    holdfast_answer_free(answer);
    free(first);
    expect_read(db, "account", "a", 200, "\"posted\":\"5\"");
    expect_read(db, "transfer", "t1", 200, "\"amount\":\"5\"");
    close_or_fail(db);
}

static void refusals_are_answers(void **state)
{
    (void)state;
    struct holdfast *db = open_or_fail();
    expect_commit(db, SET_UP, 201, "ok", "position");
    expect_commit(db,
                  "{\"do\":[{\"op\":\"transfer\",\"from\":\"a\",\"to\":\"w\",\"asset\":\"USD/2\","
                  "\"amount\":\"1\"}]}",
                  422, "insufficient_funds", "\"code\":\"insufficient_funds\"");
    struct holdfast_caller dry = {.dry_run = true};
    expect(commit_as(db, &dry, PAY("t", "1")), 200, "ok", "\"position\":null");
    expect_read(db, "transfer", "t", 404, "transfer_not_found");
    struct holdfast_caller caller = {.key = "k"};
    struct holdfast_failure failure;
    struct holdfast_answer *answer;
    assert_int_equal(holdfast_cancel_key(db, &caller, &answer, &failure), HOLDFAST_OK);
    expect(answer, 200, "ok", "\"status\":409");
    expect(commit_as(db, &caller, PAY("t", "1")), 409, "cancelled",
           "urn:holdfast:problem:cancelled");
    expect_read(db, "key", "k", 200, "\"status\":409");
    close_or_fail(db);
}

static void everything_can_be_read(void **state)
{
    (void)state;
    struct holdfast *db = open_or_fail();
    expect_commit(db, SET_UP, 201, "ok", "position");
    expect_commit(db,
                  "{\"do\":[{\"op\":\"put\",\"document\":\"d\",\"data\":{ \"x\" : 1 }},"
                  "{\"op\":\"append\",\"stream\":\"s\",\"type\":\"x\",\"data\":1},"
                  "{\"op\":\"append\",\"stream\":\"s\",\"type\":\"x\",\"data\":2},"
                  "{\"op\":\"acquire\",\"lease\":\"l\",\"owner\":\"me\",\"ttl_ms\":60000},"
                  "{\"op\":\"hold\",\"id\":\"h\",\"from\":\"w\",\"to\":\"a\",\"asset\":\"USD/2\","
                  "\"amount\":\"3\"}]}",
                  201, "ok", "position");
    struct holdfast_failure failure;
    struct holdfast_answer *answer;
    assert_int_equal(holdfast_read(db, NULL, "document", "d", &answer, &failure), HOLDFAST_OK);
    assert_string_equal(holdfast_answer_text(answer, NULL), "{ \"x\" : 1 }");
    holdfast_answer_free(answer);
    expect_read(db, "stream", "s", 200, "\"version\":2");
    expect_read(db, "lease", "l", 200, "\"owner\":\"me\"");
    expect_read(db, "hold", "h", 200, "\"state\":\"open\"");
    expect_read(db, "document", "none", 404, "document_not_found");
    expect_read(db, "commit", "999999", 404, "commit_not_found");
    expect_read(db, "commit", "1", 200, "\"origin\":\"system\"");
    assert_int_equal(holdfast_read_page(db, NULL, "events", "s", 1, 1, &answer, &failure),
                     HOLDFAST_OK);
    expect(answer, 200, "ok", "\"next\":\"2\"");
    assert_int_equal(holdfast_read_page(db, NULL, "entries", "w", 0, 10, &answer, &failure),
                     HOLDFAST_OK);
    expect(answer, 200, "ok", "\"hold\":\"h\"");
    close_or_fail(db);
}

static void malformed_requests_say_where(void **state)
{
    (void)state;
    struct holdfast *db = open_or_fail();
    struct holdfast_failure failure;
    struct holdfast_answer *answer = (struct holdfast_answer *)directory;
    static const char json[] = "{\"do\":[{\"op\":\"transfer\",\"amont\":\"1\"}]}";
    assert_int_equal(holdfast_commit_json(db, NULL, json, strlen(json), &answer, &failure),
                     HOLDFAST_INVALID_REQUEST);
    assert_null(answer);
    assert_int_equal(failure.error, HOLDFAST_INVALID_REQUEST);
    assert_string_equal(failure.pointer, "/do/0/amont");
    assert_string_equal(failure.text, "unknown member");
    struct holdfast_operation bad = {.op = "freeze"};
    assert_int_equal(holdfast_commit(db, NULL, &bad, 1, &answer, &failure),
                     HOLDFAST_INVALID_REQUEST);
    assert_string_equal(failure.pointer, "/do/0/account");
    assert_int_equal(holdfast_commit(db, NULL, &bad, 0, &answer, NULL), HOLDFAST_INVALID_REQUEST);
    struct holdfast_caller caller = {.key = "not a key"};
    assert_int_equal(holdfast_commit_json(db, &caller, SET_UP, strlen(SET_UP), &answer, &failure),
                     HOLDFAST_INVALID_REQUEST);
    assert_int_equal(holdfast_cancel_key(db, NULL, &answer, &failure), HOLDFAST_INVALID_REQUEST);
    assert_int_equal(holdfast_read(db, NULL, "acount", "a", &answer, &failure),
                     HOLDFAST_INVALID_REQUEST);
    assert_int_equal(holdfast_read(db, NULL, "account", "a b", &answer, &failure),
                     HOLDFAST_INVALID_REQUEST);
    assert_int_equal(holdfast_read(db, NULL, "commit", "one", &answer, &failure),
                     HOLDFAST_INVALID_REQUEST);
    assert_int_equal(holdfast_read_page(db, NULL, "entries", "a", 0, 1001, &answer, &failure),
                     HOLDFAST_INVALID_REQUEST);
    assert_int_equal(holdfast_read_page(db, NULL, "account", "a", 0, 10, &answer, &failure),
                     HOLDFAST_INVALID_REQUEST);
    assert_null(answer);
    close_or_fail(db);
}

static void a_directory_has_one_owner(void **state)
{
    (void)state;
    struct holdfast *db = open_or_fail();
    struct holdfast_options options = {.directory = directory};
    struct holdfast_failure failure;
    struct holdfast *second = db;
    assert_int_equal(holdfast_open(&options, &second, &failure), HOLDFAST_LOCKED);
    assert_null(second);
    assert_true(failure.text[0] != '\0');
    close_or_fail(db);
    options.directory = "library_test.nowhere";
    assert_int_equal(holdfast_open(&options, &second, &failure), HOLDFAST_NOT_FOUND);
    options.directory = NULL;
    assert_int_equal(holdfast_open(&options, &second, &failure), HOLDFAST_INVALID_REQUEST);
    assert_int_equal(holdfast_close(NULL, &failure), HOLDFAST_OK);
}

struct submitter {
    struct holdfast *db;
    pthread_t thread;
    int number;
    int replayed;
};

/* Every transfer is sent by two threads: one of both is told that it was done before. */
static void *submit(void *context)
{
    struct submitter *me = context;
    for (int i = 0; i < TRANSFERS; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "t-%d-%d", me->number / 2, i);
        struct holdfast_operation operation = {
            .op = "transfer",
            .id = id,
            .from = "w",
            .to = "a",
            .asset = "USD/2",
            .amount = "2",
        };
        struct holdfast_answer *answer;
        if (holdfast_commit(me->db, NULL, &operation, 1, &answer, NULL) != HOLDFAST_OK ||
            holdfast_answer_status(answer) != 201) {
            abort();
        }
        me->replayed += holdfast_answer_replayed(answer);
        holdfast_answer_free(answer);
    }
    return NULL;
}

static void many_threads_commit_once_each(void **state)
{
    (void)state;
    struct holdfast *db = open_or_fail();
    expect_commit(db, SET_UP, 201, "ok", "position");
    struct submitter submitters[THREADS];
    for (int i = 0; i < THREADS; i++) {
        submitters[i] = (struct submitter){.db = db, .number = i};
        assert_int_equal(pthread_create(&submitters[i].thread, NULL, submit, &submitters[i]), 0);
    }
    int replayed = 0;
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(submitters[i].thread, NULL), 0);
        replayed += submitters[i].replayed;
    }
    assert_int_equal(replayed, THREADS / 2 * TRANSFERS);
    char posted[64];
    (void)snprintf(posted, sizeof(posted), "\"version\":%d", THREADS / 2 * TRANSFERS);
    expect_read(db, "account", "a", 200, posted);
    (void)snprintf(posted, sizeof(posted), "\"posted\":\"%d\"", THREADS / 2 * TRANSFERS * 2);
    expect_read(db, "account", "a", 200, posted);
    close_or_fail(db);
    db = open_or_fail();
    expect_read(db, "account", "a", 200, posted);
    close_or_fail(db);
}

struct fields_case {
    struct holdfast_operation operation;
    int status;
    const char *part;
};

static void operations_by_field(void **state)
{
    (void)state;
    static const struct fields_case cases[] = {
        {{.op = "open_account", .account = "w", .asset = "USD/2", .floor_none = true},
         201,
         "\"floor\":null"},
        {{.op = "open_account", .account = "a", .asset = "USD/2", .floor = "-5", .ceiling = "90"},
         201,
         "\"floor\":\"-5\",\"ceiling\":\"90\""},
        {{.op = "set_limits", .account = "a", .ceiling_none = true}, 201, "\"ceiling\":null"},
        {{.op = "transfer", .from = "w", .to = "a", .asset = "USD/2", .amount = "50"},
         201,
         "\"amount\":\"50\""},
        {{.op = "transfer",
          .from = "a",
          .to = "w",
          .asset = "USD/2",
          .amount = "99",
          .up_to = true},
         201,
         "\"amount\":\"55\""},
        {{.op = "hold",
          .id = "h",
          .from = "w",
          .to = "a",
          .asset = "USD/2",
          .amount = "9",
          .timeout_ms = 60000},
         201,
         "\"expires_at\":\"2"},
        {{.op = "capture", .hold = "h", .amount = "4", .final = true}, 201, "\"released\":\"5\""},
        {{.op = "append",
          .stream = "s",
          .type = "x",
          .data = "[1]",
          .has_expected_version = true,
          .expected_version = 0},
         201,
         "\"version\":1"},
        {{.op = "append",
          .stream = "s",
          .type = "x",
          .data = "[1]",
          .has_expected_version = true,
          .expected_version = 0},
         412,
         "condition_failed"},
        {{.op = "set_metadata", .account = "a", .metadata = "{}"}, 201, "\"version\""},
        {{.op = "renew", .lease = "l", .token = 7}, 412, "fenced"},
    };
    struct holdfast *db = open_or_fail();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct holdfast_failure failure;
        struct holdfast_answer *answer;
        if (holdfast_commit(db, NULL, &cases[i].operation, 1, &answer, &failure) != HOLDFAST_OK) {
            print_error("case %zu: %s %s\n", i, failure.pointer, failure.text);
            fail();
        }
        char code[48];
        (void)snprintf(code, sizeof(code), "%s", holdfast_answer_code(answer));
        expect(answer, cases[i].status, code, cases[i].part);
    }
    close_or_fail(db);
}

/* Several commits of one thread are under way at once; each is finished and answered once. */
static void commits_under_way(void **state)
{
    (void)state;
    enum { COUNT = 20 };
    struct holdfast *db = open_or_fail();
    struct holdfast_failure failure;
    struct holdfast_pending *pending[COUNT];
    struct holdfast_operation bad = {.op = "transfer", .from = "a"};
    assert_int_equal(holdfast_commit_start(db, NULL, &bad, 1, &pending[0], &failure),
                     HOLDFAST_INVALID_REQUEST);
    assert_null(pending[0]);
    assert_string_equal(failure.pointer, "/do/0/to");
    for (int i = 0; i < COUNT; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "p%d", i / 2);
        struct holdfast_operation open = {.op = "open_account", .account = name, .asset = "USD/2"};
        assert_int_equal(holdfast_commit_start(db, NULL, &open, 1, &pending[i], &failure),
                         HOLDFAST_OK);
        memset(name, 'x', sizeof(name)); /* its texts were copied */
    }
    int opened = 0;
    for (int i = COUNT - 1; i >= 0; i--) {
        struct holdfast_answer *answer;
        assert_int_equal(holdfast_pending_finish(pending[i], &answer, &failure), HOLDFAST_OK);
        bool created = holdfast_answer_status(answer) == 201;
        opened += created;
        assert_string_equal(holdfast_answer_code(answer), created ? "ok" : "account_exists");
        holdfast_answer_free(answer);
    }
    assert_int_equal(opened, COUNT / 2);
    expect_read(db, "account", "p9", 200, "\"version\":0");
    close_or_fail(db);
}

int main(void)
{
#define IN_A_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)
    const struct CMUnitTest tests[] = {
        IN_A_DIRECTORY(a_commit_is_there_after_opening_again),
        IN_A_DIRECTORY(refusals_are_answers),
        IN_A_DIRECTORY(everything_can_be_read),
        IN_A_DIRECTORY(malformed_requests_say_where),
        IN_A_DIRECTORY(a_directory_has_one_owner),
        IN_A_DIRECTORY(many_threads_commit_once_each),
        IN_A_DIRECTORY(operations_by_field),
        IN_A_DIRECTORY(commits_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
