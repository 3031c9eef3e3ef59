/*
 * The client against servers that misbehave by script: what is sent, what is sent again, under which key, and
 * what the caller is told.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "client/client_priv.h"
#include "unit/client_answers.h"
#include "unit/scripted_server.h"
#include "unit/support.h"

#define THREADS 8
#define CALLS   40 /* of each thread */

static struct scripted_server server;
static struct scripted_server second;
static struct holdfast_client_failure failure;
static struct holdfast_client_answer *answer;

/* What on_retry was told. */
static struct {
    size_t count;
    uint64_t wait_ms_max;
    char text[200]; /* of the last one */
} retries;

static void on_retry(void *context, const struct holdfast_client_retry *retry)
{
    (void)context;
    retries.count++;
    retries.wait_ms_max =
        retries.wait_ms_max > retry->wait_ms ? retries.wait_ms_max : retry->wait_ms;
    (void)snprintf(retries.text, sizeof(retries.text), "%s", retry->text);
}

/* A patient client of one or two addresses with short waits. */
static struct holdfast_client *client_of(const char *first, const char *other, uint64_t total_ms)
{
    const char *addresses[] = {first, other};
    struct holdfast_client *client;
    struct holdfast_client_options options = {
        .addresses = addresses,
        .address_count = other == NULL ? 1 : 2,
        .token = "hft_secret",
        .request_timeout_ms = 5000,
        .total_timeout_ms = total_ms,
        .backoff_first_ms = 1,
        .backoff_max_ms = 8,
        .on_retry = on_retry,
    };
    memset(&retries, 0, sizeof(retries));
    if (holdfast_client_new(&options, &client, &failure) != HOLDFAST_CLIENT_OK) {
        print_error("%s\n", failure.text);
        fail();
    }
    return client;
}

/* Starts the server with the script and a client of it. */
#define START(steps) start((steps), sizeof(steps) / sizeof((steps)[0]), 20000)
static struct holdfast_client *start(const struct script_step *steps, size_t count,
                                     uint64_t total_ms)
{
    scripted_server_start(&server, NULL, steps, count);
    return client_of(server.address, NULL, total_ms);
}

static void stop(struct holdfast_client *client)
{
    holdfast_client_answer_free(answer);
    answer = NULL;
    holdfast_client_free(client);
    scripted_server_stop(&server);
}

static enum holdfast_client_error commit(struct holdfast_client *client, const char *key)
{
    struct holdfast_client_call call = {.key = key};
    holdfast_client_answer_free(answer);
    return holdfast_client_commit(client, &call, "{\"do\":[]}", 9, &answer, &failure);
}

static const char *header_of(size_t n, const char *name)
{
    static char value[300];
    scripted_server_header(&server, n, name, value, sizeof(value));
    return value;
}

/* All requests of the server were the same bytes. */
static void assert_all_same(size_t count)
{
    assert_int_equal(scripted_server_requests(&server), count);
    for (size_t i = 1; i < count; i++) {
        assert_string_equal(server.requests[i], server.requests[0]);
    }
}

/* ---- one request and its answer ---- */

static void test_request_and_answer(void **state)
{
    (void)state;
    const struct script_step steps[] = {{SCRIPT_ANSWER, DONE}, {SCRIPT_ANSWER, REPLAYED}};
    struct holdfast_client *client = START(steps);
    assert_int_equal(commit(client, "order-7"), HOLDFAST_CLIENT_OK);
    assert_memory_equal(server.requests[0], "POST /v1/commits HTTP/1.1\r\n", 27);
    assert_string_equal(header_of(0, "\r\nIdempotency-Key: "), "\"order-7\"");
    assert_string_equal(header_of(0, "\r\nAuthorization: "), "Bearer hft_secret");
    assert_string_equal(header_of(0, "\r\nContent-Type: "), "application/json");
    assert_string_equal(header_of(0, "\r\nContent-Length: "), "9");
    assert_string_equal(header_of(0, "\r\nExpect: "), "");
    assert_non_null(strstr(server.requests[0], "\r\n\r\n{\"do\":[]}"));
    assert_int_equal(answer->status, 201);
    assert_string_equal(answer->code, "ok");
    assert_string_equal(answer->body, "{\"position\":17,\"results\":[{}]}\n");
    assert_int_equal(answer->body_bytes, 31);
    assert_int_equal(answer->position, 17);
    assert_string_equal(answer->etag, "\"3\"");
    assert_int_equal(answer->version, 3);
    assert_false(answer->replayed);
    assert_int_equal(answer->attempts, 1);
    assert_string_equal(answer->key, "order-7");
    assert_string_equal(answer->address, server.address);
    assert_string_equal(answer->content_type, "application/json");
    assert_string_equal(answer->current, "");
    assert_int_equal(commit(client, "order-7"), HOLDFAST_CLIENT_OK);
    assert_true(answer->replayed);
    assert_int_equal(answer->version, 0);
    assert_int_equal(scripted_server_connections(&server), 1); /* the connection was kept */
    stop(client);
}

static void test_refusal_is_an_answer(void **state)
{
    (void)state;
    const struct script_step steps[] = {{SCRIPT_ANSWER, REFUSED}};
    struct holdfast_client *client = START(steps);
    assert_int_equal(commit(client, NULL), HOLDFAST_CLIENT_OK);
    assert_int_equal(scripted_server_requests(&server), 1);
    assert_int_equal(answer->status, 422);
    assert_string_equal(answer->code, "insufficient_funds");
    assert_string_equal(answer->detail, "5 of 7 \"are\" there");
    assert_string_equal(answer->failed, "/do/0");
    assert_string_equal(answer->current, "{\"id\":\"a\",\"available\":\"5\"}");
    assert_int_equal(answer->position, 18);
    assert_int_equal(retries.count, 0);
    stop(client);
}

static void test_keys_are_made(void **state)
{
    (void)state;
    char first[64];
    struct holdfast_client *client = start(NULL, 0, 5000);
    assert_int_equal(commit(client, NULL), HOLDFAST_CLIENT_OK);
    (void)snprintf(first, sizeof(first), "%s", answer->key);
    assert_int_equal(strlen(first), 32);
    assert_int_equal(strspn(first, "0123456789abcdef"), 32);
    assert_string_equal(failure.key, first);
    assert_int_equal(commit(client, NULL), HOLDFAST_CLIENT_OK);
    assert_string_not_equal(answer->key, first);
    stop(client);
}

/* ---- until it is definite ---- */

static void test_again_with_the_same_key(void **state)
{
    (void)state;
    const struct script_step steps[] = {
        {SCRIPT_CLOSE, NULL},      {SCRIPT_CLOSE, CUT_HEAD},   {SCRIPT_CLOSE, CUT_BODY},
        {SCRIPT_ANSWER, UNKNOWN},  {SCRIPT_ANSWER, NOT_READY}, {SCRIPT_CLOSE, NO_LENGTH},
        {SCRIPT_ANSWER, BAD_JSON}, {SCRIPT_ANSWER, DONE},
    };
    struct holdfast_client *client = START(steps);
    assert_int_equal(commit(client, NULL), HOLDFAST_CLIENT_OK);
    assert_all_same(8);
    assert_int_equal(strlen(header_of(0, "\r\nIdempotency-Key: ")), 34);
    assert_int_equal(answer->status, 201);
    assert_int_equal(answer->attempts, 8);
    assert_int_equal(retries.count, 7);
    assert_string_equal(retries.text, "status 201, but its body is not whole");
    stop(client);
}

static void test_silence_is_not_waited_for(void **state)
{
    (void)state;
    const struct script_step steps[] = {{SCRIPT_SILENT, NULL}, {SCRIPT_ANSWER, DONE}};
    scripted_server_start(&server, NULL, steps, 2);
    const char *addresses[] = {server.address};
    struct holdfast_client_options options = {.addresses = addresses,
                                              .address_count = 1,
                                              .request_timeout_ms = 500,
                                              .backoff_first_ms = 1};
    struct holdfast_client *client;
    assert_int_equal(holdfast_client_new(&options, &client, NULL), HOLDFAST_CLIENT_OK);
    assert_int_equal(commit(client, "slow"), HOLDFAST_CLIENT_OK);
    assert_all_same(2);
    assert_int_equal(answer->status, 201);
    stop(client);
}

static void test_unknown_says_the_key(void **state)
{
    (void)state;
    const struct script_step steps[] = {{SCRIPT_CLOSE_DOORS, NULL}};
    struct holdfast_client *client = start(steps, 1, 150);
    assert_int_equal(commit(client, "order-9"), HOLDFAST_CLIENT_UNKNOWN);
    assert_null(answer);
    assert_int_equal(failure.error, HOLDFAST_CLIENT_UNKNOWN);
    assert_string_equal(failure.key, "order-9");
    assert_true(failure.attempts > 1);
    assert_non_null(strstr(failure.text, "repeat with key order-9"));
    stop(client);
}

/* The request goes out on a kept connection, the server takes it and dies; libcurl by itself opens a new connection,
 * which is refused. That must not look as if nothing had been sent. */
static void test_kept_connection_dies_with_the_request(void **state)
{
    (void)state;
    const struct script_step steps[] = {{SCRIPT_ANSWER, DONE}, {SCRIPT_CLOSE_DOORS, NULL}};
    struct holdfast_client *client = start(steps, 2, 1500);
    assert_int_equal(commit(client, "one"), HOLDFAST_CLIENT_OK);
    assert_int_equal(commit(client, "two"), HOLDFAST_CLIENT_UNKNOWN);
    assert_string_equal(failure.key, "two");
    assert_int_equal(scripted_server_connections(&server), 1);
    assert_int_equal(scripted_server_requests(&server), 2);
    stop(client);
}

static void test_nobody_listens(void **state)
{
    (void)state;
    struct holdfast_client *client = start(NULL, 0, 100);
    char address[sizeof(server.address)];
    (void)snprintf(address, sizeof(address), "%s", server.address);
    stop(client);
    client = client_of(address, NULL, 100);
    assert_int_equal(commit(client, NULL), HOLDFAST_CLIENT_UNAVAILABLE);
    assert_true(failure.attempts > 1);
    assert_int_equal(failure.status, 0);
    assert_non_null(strstr(failure.text, "nothing has changed"));
    assert_non_null(strstr(failure.text, address));
    holdfast_client_free(client);
}

static void test_retry_after_is_honoured(void **state)
{
    (void)state;
    const struct script_step steps[] = {{SCRIPT_ANSWER, OVERLOADED}};
    struct holdfast_client *client = start(steps, 1, 3000);
    /* Seven seconds are more than there are: it ends at once, and nothing was done. */
    uint64_t before_ms = hf_client_now_ms();
    assert_int_equal(commit(client, NULL), HOLDFAST_CLIENT_UNAVAILABLE);
    assert_true(hf_client_now_ms() - before_ms < 3000);
    assert_int_equal(scripted_server_requests(&server), 1);
    assert_int_equal(failure.status, 429);
    assert_string_equal(failure.code, "overloaded");
    stop(client);
}

static void test_retry_after_is_of_one_address(void **state)
{
    (void)state;
    const struct script_step busy[] = {{SCRIPT_ANSWER, OVERLOADED}};
    const struct script_step ready[] = {{SCRIPT_ANSWER, DONE}};
    scripted_server_start(&server, NULL, busy, 1);
    scripted_server_start(&second, NULL, ready, 1);
    struct holdfast_client *client = client_of(server.address, second.address, 3000);
    assert_int_equal(commit(client, "k"), HOLDFAST_CLIENT_OK);
    assert_int_equal(answer->attempts, 2);
    assert_string_equal(answer->address, second.address);
    assert_int_equal(retries.wait_ms_max, 0);
    scripted_server_stop(&second);
    stop(client);
}

static void test_next_address(void **state)
{
    (void)state;
    const struct script_step dead[] = {{SCRIPT_CLOSE, NULL}};
    scripted_server_start(&server, NULL, dead, 1);
    scripted_server_start(&second, NULL, NULL, 0);
    struct holdfast_client *client = client_of(server.address, second.address, 20000);
    assert_int_equal(commit(client, "k"), HOLDFAST_CLIENT_OK);
    assert_int_equal(answer->attempts, 2);
    assert_string_equal(answer->address, second.address);
    char key[64];
    scripted_server_header(&second, 0, "\r\nIdempotency-Key: ", key, sizeof(key));
    assert_string_equal(key, "\"k\"");
    /* The one that answered is asked first from now on. */
    assert_int_equal(commit(client, "l"), HOLDFAST_CLIENT_OK);
    assert_int_equal(answer->attempts, 1);
    assert_int_equal(scripted_server_requests(&server), 1);
    assert_int_equal(scripted_server_requests(&second), 2);
    scripted_server_stop(&second);
    stop(client);
}

/* After an outcome that is not known, what a box in between or a withdrawn token gives is not definite. */
static void test_strangers_do_not_decide(void **state)
{
    (void)state;
    const struct script_step steps[] = {{SCRIPT_CLOSE, NULL},
                                        {SCRIPT_ANSWER, STRANGER},
                                        {SCRIPT_ANSWER, UNAUTHORIZED},
                                        {SCRIPT_ANSWER, REFUSED}};
    struct holdfast_client *client = START(steps);
    assert_int_equal(commit(client, NULL), HOLDFAST_CLIENT_OK);
    assert_int_equal(answer->status, 422);
    assert_int_equal(answer->attempts, 4);
    stop(client);
    const struct script_step alone[] = {{SCRIPT_ANSWER, STRANGER}, {SCRIPT_ANSWER, UNAUTHORIZED}};
    client = START(alone);
    assert_int_equal(commit(client, NULL), HOLDFAST_CLIENT_OK);
    assert_int_equal(answer->status, 404);
    assert_string_equal(answer->code, "");
    assert_int_equal(commit(client, NULL), HOLDFAST_CLIENT_OK);
    assert_int_equal(answer->status, 401);
    assert_string_equal(answer->code, "unauthorized");
    stop(client);
}

static void test_redirects_are_not_followed(void **state)
{
    (void)state;
    const struct script_step steps[] = {{SCRIPT_ANSWER, REDIRECT}};
    struct holdfast_client *client = START(steps);
    assert_int_equal(commit(client, NULL), HOLDFAST_CLIENT_MISCONFIGURED);
    assert_int_equal(scripted_server_requests(&server), 1);
    assert_int_equal(failure.status, 307);
    assert_non_null(strstr(failure.text, "redirect"));
    stop(client);
}

static void test_long_answers_are_none(void **state)
{
    (void)state;
    const struct script_step steps[] = {{SCRIPT_ANSWER, DONE}};
    scripted_server_start(&server, NULL, steps, 1);
    const char *addresses[] = {server.address};
    struct holdfast_client_options options = {.addresses = addresses,
                                              .address_count = 1,
                                              .answer_bytes_max = 30,
                                              .backoff_first_ms = 1,
                                              .on_retry = on_retry};
    struct holdfast_client *client;
    assert_int_equal(holdfast_client_new(&options, &client, NULL), HOLDFAST_CLIENT_OK);
    assert_int_equal(commit(client, NULL), HOLDFAST_CLIENT_OK);
    assert_int_equal(answer->attempts, 2);
    assert_string_equal(retries.text, "the answer has more than 30 bytes");
    stop(client);
}

static void test_endless_time_outs(void **state)
{
    (void)state;
    const struct script_step steps[] = {{SCRIPT_CLOSE, NULL}, {SCRIPT_ANSWER, DONE}};
    scripted_server_start(&server, NULL, steps, 2);
    const char *addresses[] = {server.address};
    struct holdfast_client_options options = {.addresses = addresses,
                                              .address_count = 1,
                                              .connect_timeout_ms = UINT64_MAX,
                                              .request_timeout_ms = UINT64_MAX,
                                              .total_timeout_ms = UINT64_MAX,
                                              .backoff_first_ms = 1,
                                              .backoff_max_ms = UINT64_MAX};
    struct holdfast_client *client;
    assert_int_equal(holdfast_client_new(&options, &client, NULL), HOLDFAST_CLIENT_OK);
    assert_int_equal(commit(client, "k"), HOLDFAST_CLIENT_OK);
    assert_int_equal(answer->attempts, 2);
    stop(client);
}

/* ---- reads ---- */

static void test_reads(void **state)
{
    (void)state;
    const struct script_step steps[] = {{SCRIPT_CLOSE, NULL}};
    struct holdfast_client_call call = {.key = "unused", .min_position = 12};
    struct holdfast_client *client = START(steps);
    assert_int_equal(holdfast_client_read(client, &call, "account", "users:42", &answer, &failure),
                     HOLDFAST_CLIENT_OK);
    assert_all_same(2);
    assert_memory_equal(server.requests[0], "GET /v1/accounts/users:42?min_position=12 HTTP", 46);
    assert_string_equal(header_of(0, "\r\nIdempotency-Key: "), "");
    assert_string_equal(header_of(0, "\r\nContent-Type: "), "");
    assert_string_equal(answer->key, "");
    assert_string_equal(failure.key, "");
    stop(client);
    const struct script_step dead[] = {{SCRIPT_CLOSE_DOORS, NULL}};
    client = start(dead, 1, 50);
    assert_int_equal(holdfast_client_read(client, NULL, "lease", "l", &answer, &failure),
                     HOLDFAST_CLIENT_UNAVAILABLE);
    stop(client);
}

static void test_values_out_of_json(void **state)
{
    (void)state;
    static const char body[] =
        "{\"a\":[1,{\"b/c\":\"x\\u0041\"},[]],\"n\":\"123\",\"d~e\":{\"\":null},\"big\":"
        "\"340282366920938463463374607431768211455\"}";
    struct holdfast_client_answer fake = {.body = body, .body_bytes = sizeof(body) - 1};
    static const struct {
        const char *pointer, *value; /* NULL: not there */
    } cases[] = {
        {"/a/0", "1"},      {"/a/1/b~1c", "xA"},
        {"/a/2", "[]"},     {"/a/3", NULL},
        {"/a/-", NULL},     {"/d~0e/", "null"},
        {"/n", "123"},      {"/n/0", NULL},
        {"/missing", NULL}, {"/a/1", "{\"b/c\":\"x\\u0041\"}"},
        {"a", NULL},        {"/d~2e", NULL},
    };
    char text[64];
    uint64_t number = 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool found = holdfast_client_answer_text(&fake, cases[i].pointer, text, sizeof(text));
        assert_int_equal(found, cases[i].value != NULL);
        assert_string_equal(text, found ? cases[i].value : "");
    }
    assert_false(holdfast_client_answer_text(&fake, "/n", text, 3));
    assert_string_equal(text, "");
    assert_true(holdfast_client_answer_number(&fake, "/n", &number));
    assert_int_equal(number, 123);
    assert_false(holdfast_client_answer_number(&fake, "/big", &number));
    assert_false(holdfast_client_answer_number(&fake, "/a", &number));
    assert_int_equal(number, 123);
}

static void test_escape(void **state)
{
    (void)state;
    char text[32];
    assert_int_equal(holdfast_client_escape("users:42/a b+%", text, sizeof(text)), 22);
    assert_string_equal(text, "users:42%2Fa%20b%2B%25");
    assert_int_equal(holdfast_client_escape("abc", text, 4), 3);
    assert_string_equal(text, "abc");
    assert_int_equal(holdfast_client_escape("abc", text, 3), 3);
    assert_string_equal(text, "");
    assert_int_equal(holdfast_client_escape("USD/2", text, sizeof(text)), 7);
    assert_string_equal(text, "USD%2F2");
}

/* ---- arguments ---- */

static void assert_no_client(const char *address, const char *token, const char *part)
{
    struct holdfast_client *client;
    struct holdfast_client_options options = {
        .addresses = &address, .address_count = 1, .token = token};
    assert_int_equal(holdfast_client_new(&options, &client, &failure), HOLDFAST_CLIENT_INVALID);
    assert_null(client);
    assert_non_null(strstr(failure.text, part));
}

static void test_wrong_arguments(void **state)
{
    (void)state;
    static const char *const addresses[] = {
        "",
        "127.0.0.1:7070",
        "ftp://h",
        "http://",
        "http://u:p@h",
        "http://h/path",
        "http://h?q=1",
        "http://h#f",
        "http://h:99999",
        "unix:",
        "http://a b",
        "file:///etc/passwd",
        "http://h\r\nX: y",
    };
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        assert_no_client(addresses[i], NULL, "wanted http://HOST:PORT");
    }
    assert_no_client(NULL, NULL, "(none)");
    assert_no_client("http://h", "", "token");
    assert_no_client("http://h", "a\r\nb", "token");
    struct holdfast_client *client = start(NULL, 0, 1000);
    assert_int_equal(commit(client, "a\r\nX: y"), HOLDFAST_CLIENT_INVALID);
    assert_int_equal(commit(client, ""), HOLDFAST_CLIENT_INVALID);
    assert_int_equal(commit(client, "a\"b"), HOLDFAST_CLIENT_INVALID);
    struct holdfast_client_call call = {.if_match = "\"1\"\r\nX: y"};
    assert_int_equal(holdfast_client_document_put(client, &call, "d", "{}", 2, &answer, &failure),
                     HOLDFAST_CLIENT_INVALID);
    assert_int_equal(holdfast_client_void(client, NULL, "", &answer, &failure),
                     HOLDFAST_CLIENT_INVALID);
    struct holdfast_client_transfer transfer = {.from = "a", .to = "b", .asset = "USD/2"};
    assert_int_equal(holdfast_client_transfer(client, NULL, &transfer, &answer, &failure),
                     HOLDFAST_CLIENT_INVALID);
    assert_string_equal(failure.text, "amount: missing or wrong");
    transfer.amount = "1";
    transfer.metadata = "{},\"x\":1";
    assert_int_equal(holdfast_client_transfer(client, NULL, &transfer, &answer, &failure),
                     HOLDFAST_CLIENT_INVALID);
    assert_string_equal(failure.text, "metadata: missing or wrong");
    assert_int_equal(holdfast_client_read(client, NULL, "thing", "x", &answer, &failure),
                     HOLDFAST_CLIENT_INVALID);
    struct holdfast_client_request request = {.method = "GET", .path = "/v1/x y"};
    assert_int_equal(holdfast_client_send(client, NULL, &request, &answer, &failure),
                     HOLDFAST_CLIENT_INVALID);
    request = (struct holdfast_client_request){.method = "GE T", .path = "/"};
    assert_int_equal(holdfast_client_send(client, NULL, &request, &answer, &failure),
                     HOLDFAST_CLIENT_INVALID);
    assert_int_equal(scripted_server_requests(&server), 0);
    stop(client);
}

/* ---- what each call sends ---- */

/* The last request: its first line without the version, and its body. */
static void assert_sent(enum holdfast_client_error error, const char *line, const char *body)
{
    assert_int_equal(error, HOLDFAST_CLIENT_OK);
    const char *request = server.requests[scripted_server_requests(&server) - 1];
    const char *sent_body = strstr(request, "\r\n\r\n");
    assert_memory_equal(request, line, strlen(line));
    assert_memory_equal(request + strlen(line), " HTTP/1.1\r\n", 11);
    assert_string_equal(sent_body + 4, body);
    bool keyed = strncmp(line, "GET ", 4) != 0 && strstr(line, "/cancel") == NULL &&
                 strstr(line, "dry_run") == NULL;
    assert_int_equal(strstr(request, "\r\nIdempotency-Key: \"") != NULL, keyed);
    holdfast_client_answer_free(answer);
    answer = NULL;
}

static void test_money_calls(void **state)
{
    (void)state;
    struct holdfast_client *c = start(NULL, 0, 5000);
    struct holdfast_client_account account = {.id = "users:1", .asset = "USD/2", .ceiling = "9"};
    assert_sent(holdfast_client_open_account(c, NULL, &account, &answer, &failure),
                "PUT /v1/accounts/users:1", "{\"asset\":\"USD/2\",\"ceiling\":\"9\"}");
    account = (struct holdfast_client_account){
        .id = "world", .asset = "USD/2", .floor_none = true, .metadata = "{\"a\": 1}"};
    assert_sent(holdfast_client_open_account(c, NULL, &account, &answer, &failure),
                "PUT /v1/accounts/world",
                "{\"asset\":\"USD/2\",\"floor\":null,\"metadata\":{\"a\": 1}}");
    struct holdfast_client_transfer transfer = {
        .id = "t1", .from = "a", .to = "b", .asset = "USD/2", .amount = "5", .up_to = true};
    assert_sent(holdfast_client_transfer(c, NULL, &transfer, &answer, &failure),
                "POST /v1/transfers",
                "{\"id\":\"t1\",\"from\":\"a\",\"to\":\"b\",\"asset\":\"USD/2\",\"amount\":\"5\","
                "\"up_to\":true}");
    assert_sent(holdfast_client_reverse(c, NULL, "~17.0", NULL, NULL, &answer, &failure),
                "POST /v1/transfers/~17.0/reverse", "{}");
    struct holdfast_client_hold hold = {
        .from = "a", .to = "b", .asset = "USD/2", .amount = "5", .timeout_ms = 60000};
    assert_sent(holdfast_client_hold(c, NULL, &hold, &answer, &failure), "POST /v1/holds",
                "{\"from\":\"a\",\"to\":\"b\",\"asset\":\"USD/2\",\"amount\":\"5\","
                "\"timeout_ms\":60000}");
    assert_sent(holdfast_client_capture(c, NULL, "h1", "3", true, &answer, &failure),
                "POST /v1/holds/h1/capture", "{\"amount\":\"3\",\"final\":true}");
    assert_sent(holdfast_client_void(c, NULL, "h1", &answer, &failure), "POST /v1/holds/h1/void",
                "{}");
    assert_sent(holdfast_client_extend(c, NULL, "h1", 5, &answer, &failure),
                "POST /v1/holds/h1/extend", "{\"timeout_ms\":5}");
    struct holdfast_client_call dry = {.dry_run = true};
    assert_sent(holdfast_client_commit(c, &dry, "{}", 2, &answer, &failure),
                "POST /v1/commits?dry_run=true", "{}");
    stop(c);
}

static void test_other_calls(void **state)
{
    (void)state;
    struct holdfast_client *c = start(NULL, 0, 5000);
    struct holdfast_client_event event = {
        .stream = "o:1", .type = "paid", .data = "[1]", .id = "e"};
    struct holdfast_client_call match = {.if_match = "\"3\""};
    assert_sent(holdfast_client_append(c, &match, &event, &answer, &failure),
                "POST /v1/streams/o:1/events", "{\"type\":\"paid\",\"data\":[1],\"id\":\"e\"}");
    assert_string_equal(header_of(0, "\r\nIf-Match: "), "\"3\"");
    assert_sent(holdfast_client_document_get(c, NULL, "d", 4, &answer, &failure),
                "GET /v1/documents/d?version=4", "");
    struct holdfast_client_call create = {.if_none_match = "*"};
    assert_sent(holdfast_client_document_put(c, &create, "d", "{ }", 3, &answer, &failure),
                "PUT /v1/documents/d", "{ }");
    assert_string_equal(header_of(2, "\r\nIf-None-Match: "), "*");
    assert_sent(holdfast_client_document_patch(c, &match, "d", "{}", 2, &answer, &failure),
                "PATCH /v1/documents/d", "{}");
    assert_string_equal(header_of(3, "\r\nContent-Type: "), "application/merge-patch+json");
    assert_sent(holdfast_client_document_delete(c, &match, "d", &answer, &failure),
                "DELETE /v1/documents/d", "");
    assert_sent(holdfast_client_acquire(c, NULL, "l", "me", 5000, &answer, &failure),
                "POST /v1/leases/l/acquire", "{\"owner\":\"me\",\"ttl_ms\":5000}");
    assert_sent(holdfast_client_renew(c, NULL, "l", 7, 0, &answer, &failure),
                "POST /v1/leases/l/renew", "{\"token\":7}");
    assert_sent(holdfast_client_release(c, NULL, "l", 7, &answer, &failure),
                "POST /v1/leases/l/release", "{\"token\":7}");
    assert_sent(holdfast_client_key_read(c, NULL, "k/1", &answer, &failure), "GET /v1/keys/k%2F1",
                "");
    assert_sent(holdfast_client_key_cancel(c, NULL, "k", &answer, &failure),
                "POST /v1/keys/k/cancel", "");
    stop(c);
}

/* ---- threads, sockets, memory ---- */

struct worker {
    struct holdfast_client *client;
    pthread_t thread;
    unsigned good;
};

static void *work(void *context)
{
    struct worker *worker = context;
    for (int i = 0; i < CALLS; i++) {
        struct holdfast_client_answer *own;
        if (holdfast_client_commit(worker->client, NULL, "{}", 2, &own, NULL) ==
            HOLDFAST_CLIENT_OK) {
            worker->good += own->status == 200;
            holdfast_client_answer_free(own);
        }
    }
    return NULL;
}

static void test_many_threads(void **state)
{
    (void)state;
    /* Some requests are dropped, so that threads repeat beside others. */
    const struct script_step steps[] = {{SCRIPT_CLOSE, NULL},
                                        {SCRIPT_CLOSE, CUT_BODY},
                                        {SCRIPT_ANSWER, UNKNOWN},
                                        {SCRIPT_CLOSE, NULL}};
    struct holdfast_client *client = START(steps);
    struct worker workers[THREADS];
    client->on_retry = NULL;
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.client = client};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        assert_int_equal(workers[i].good, CALLS);
    }
    assert_int_equal(scripted_server_requests(&server), THREADS * CALLS + 4);
    assert_true(scripted_server_connections(&server) <=
                THREADS + 3); /* one a thread, and those that were closed */
    stop(client);
}

static void test_unix_socket(void **state)
{
    (void)state;
    char path[64];
    (void)snprintf(path, sizeof(path), "client_test.%ld.sock", (long)getpid());
    const struct script_step steps[] = {{SCRIPT_ANSWER, DONE}};
    scripted_server_start(&server, path, steps, 1);
    struct holdfast_client *client = client_of(server.address, NULL, 5000);
    assert_int_equal(commit(client, NULL), HOLDFAST_CLIENT_OK);
    assert_string_equal(header_of(0, "\r\nHost: "), "localhost");
    assert_string_equal(answer->address, server.address);
    stop(client);
    (void)unlink(path);
}

static void test_proxy_only_if_asked(void **state)
{
    (void)state;
    struct holdfast_client *client = start(NULL, 0, 5000);
    (void)setenv("http_proxy", "http://127.0.0.1:1", 1);
    assert_int_equal(commit(client, NULL), HOLDFAST_CLIENT_OK);
    holdfast_client_free(client);
    const char *addresses[] = {"http://holdfast.invalid"};
    struct holdfast_client_options options = {.addresses = addresses,
                                              .address_count = 1,
                                              .total_timeout_ms = 3000,
                                              .proxy_from_environment = true};
    (void)setenv("http_proxy", server.address, 1);
    assert_int_equal(holdfast_client_new(&options, &client, NULL), HOLDFAST_CLIENT_OK);
    assert_int_equal(commit(client, NULL), HOLDFAST_CLIENT_OK);
    assert_memory_equal(server.requests[1], "POST http://holdfast.invalid/v1/commits ", 40);
    (void)unsetenv("http_proxy");
    stop(client);
}

/* Every allocation of ours fails in turn: an error without an answer, never a crash or a leak; and if the request was
 * sent, never the claim that nothing has changed. */
static void test_memory_is_short(void **state)
{
    (void)state;
    struct holdfast_client *client = start(NULL, 0, 300);
    bool hit = true;
    for (uint64_t n = 1; hit; n++) {
        size_t requests = scripted_server_requests(&server);
        hf_alloc_fault_set(n);
        enum holdfast_client_error error = commit(client, "k");
        hit = hf_alloc_fault_hit();
        hf_alloc_fault_set(0);
        if (error == HOLDFAST_CLIENT_OK) {
            assert_int_equal(answer->status, 200);
        } else {
            assert_null(answer);
            assert_true(error == HOLDFAST_CLIENT_NO_MEMORY || error == HOLDFAST_CLIENT_UNKNOWN);
            assert_true(error == HOLDFAST_CLIENT_UNKNOWN ||
                        scripted_server_requests(&server) == requests || failure.attempts > 0);
        }
        assert_true(n < 1000);
    }
    stop(client);
}

static void test_memory_is_short_for_the_client(void **state)
{
    (void)state;
    const char *addresses[] = {"http://127.0.0.1:1", "unix:x"};
    struct holdfast_client_options options = {
        .addresses = addresses, .address_count = 2, .token = "t", .ca_file = "c"};
    bool hit = true;
    for (uint64_t n = 1; hit; n++) {
        struct holdfast_client *client;
        hf_alloc_fault_set(n);
        enum holdfast_client_error error = holdfast_client_new(&options, &client, &failure);
        hit = hf_alloc_fault_hit();
        hf_alloc_fault_set(0);
        assert_int_equal(error, hit ? HOLDFAST_CLIENT_NO_MEMORY : HOLDFAST_CLIENT_OK);
        assert_int_equal(client == NULL, hit);
        holdfast_client_free(client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_and_answer),
        cmocka_unit_test(test_refusal_is_an_answer),
        cmocka_unit_test(test_keys_are_made),
        cmocka_unit_test(test_again_with_the_same_key),
        cmocka_unit_test(test_silence_is_not_waited_for),
        cmocka_unit_test(test_unknown_says_the_key),
        cmocka_unit_test(test_kept_connection_dies_with_the_request),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_retry_after_is_honoured),
        cmocka_unit_test(test_retry_after_is_of_one_address),
        cmocka_unit_test(test_next_address),
        cmocka_unit_test(test_strangers_do_not_decide),
        cmocka_unit_test(test_redirects_are_not_followed),
        cmocka_unit_test(test_long_answers_are_none),
        cmocka_unit_test(test_endless_time_outs),
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_values_out_of_json),
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_wrong_arguments),
        cmocka_unit_test(test_money_calls),
        cmocka_unit_test(test_other_calls),
        cmocka_unit_test(test_many_threads),
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_proxy_only_if_asked),
        cmocka_unit_test(test_memory_is_short),
        cmocka_unit_test(test_memory_is_short_for_the_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
