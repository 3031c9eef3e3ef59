/* Calls by libcurl against servers that follow a script: what goes out, and what is made of each way in which a call can end. */
#include "deliver/caller_curl.h"

#include <stdlib.h>
#include <unistd.h>

#include "deliver/target.h"
#include "unit/scripted_server.h"
#include "unit/support.h"

#define WALL_US        1616161616000000u /* Fri, 19 Mar 2021 13:46:56 GMT */
#define STEP_US        1000000u
#define PATIENCE_STEPS 60

static struct scripted_server server;

static uint64_t wall_us(void *context)
{
    (void)context;
    return WALL_US;
}

static struct hf_caller_curl *caller_of(const char *allowed)
{
    struct hf_address_rules rules;
    struct hf_error error = {0};
    struct hf_caller_curl *caller = NULL;
    assert_int_equal(hf_address_rules_parse(hf_str_from(allowed), &rules, &error), HF_ERR_OK);
    struct hf_caller_curl_options options = {.rules = &rules, .wall_us = wall_us};
    assert_int_equal(hf_caller_curl_new(&options, &caller, &error), HF_ERR_OK);
    return caller;
}

/* A call with the answer's texts kept. */
struct sent {
    struct hf_call call;
    char url[256];
    bool done;
    char answer[2048], location[256], outcome[64], type[64];
};

static void keep(char *to, size_t room, struct hf_str text)
{
    (void)snprintf(to, room, "%.*s", (int)text.len, text.len == 0 ? "" : text.ptr);
}

static void on_done(struct hf_call *call)
{
    struct sent *sent = call->context;
    assert_false(sent->done);
    sent->done = true;
    keep(sent->answer, sizeof(sent->answer), call->answer);
    keep(sent->location, sizeof(sent->location), call->location);
    keep(sent->outcome, sizeof(sent->outcome), call->saga_outcome);
    keep(sent->type, sizeof(sent->type), call->answer_type);
}

static void start(struct hf_caller_curl *caller, struct sent *sent, const char *address,
                  const char *path, struct hf_call call)
{
    sent->call = call;
    (void)snprintf(sent->url, sizeof(sent->url), "%s%s", address, path);
    sent->call.url = hf_str_from(sent->url);
    sent->call.timeout_ms = call.timeout_ms == 0 ? 30000 : call.timeout_ms;
    sent->call.answer_bytes_max = call.answer_bytes_max == 0 ? 1000 : call.answer_bytes_max;
    sent->call.done = on_done;
    sent->call.context = sent;
    struct hf_caller *out = hf_caller_curl_caller(caller);
    out->start(out->context, &sent->call);
    assert_false(sent->done); /* never inside start */
}

static void finish(struct hf_caller_curl *caller, const struct sent *sent)
{
    for (int i = 0; i < PATIENCE_STEPS && !sent->done; i++) {
        (void)hf_caller_curl_step(caller, STEP_US);
    }
    assert_true(sent->done);
}

static void make(struct hf_caller_curl *caller, struct sent *sent, const char *address,
                 const char *path, struct hf_call call)
{
    *sent = (struct sent){0};
    start(caller, sent, address, path, call);
    finish(caller, sent);
}

static void test_a_post(void **unused)
{
    (void)unused;
    static const struct script_step steps[] = {
        {SCRIPT_ANSWER, "HTTP/1.1 100 Continue\r\nSaga-Outcome: fail\r\n\r\n"
                        "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nsaga-outcome:  pending \r\n"
                        "Location: ../status/7?x=1\r\nRetry-After: 3\r\n"
                        "Content-Type: application/json\r\n\r\n{}"},
        {SCRIPT_ANSWER, "HTTP/1.1 204 No Content\r\n\r\n"},
    };
    const struct hf_call_header headers[] = {{HF_STR("Saga-Id"), HF_STR("order-17")},
                                             {HF_STR("X-Empty"), HF_STR("")}};
    struct hf_call call = {.body = HF_STR("{\"a\":1}"),
                           .content_type = HF_STR("application/json"),
                           .headers = headers,
                           .header_count = 2};
    struct sent sent;
    char value[128];
    scripted_server_start(&server, NULL, steps, HF_ARRAY_COUNT(steps));
    struct hf_caller_curl *caller = caller_of("127.0.0.1");
    make(caller, &sent, server.address, "/a/b/c", call);
    assert_int_equal(sent.call.error, HF_CALL_COMPLETE);
    assert_int_equal(sent.call.status, 202);
    assert_string_equal(sent.answer, "{}");
    assert_string_equal(sent.outcome, "pending"); /* a 100's don't count */
    assert_string_equal(sent.type, "application/json");
    assert_int_equal(sent.call.retry_after_ms, 3000);
    char expected[200];
    (void)snprintf(expected, sizeof(expected), "%s/a/status/7?x=1", server.address);
    assert_string_equal(sent.location, expected);
    make(caller, &sent, server.address, "/a/b/c", call);
    assert_int_equal(sent.call.status, 204);
    assert_string_equal(sent.location, "");
    assert_int_equal(scripted_server_requests(&server), 2);
    assert_int_equal(scripted_server_connections(&server), 1); /* it was kept */
    assert_memory_equal(server.requests[0], "POST /a/b/c HTTP/1.1\r\n", 22);
    assert_non_null(strstr(server.requests[0], "\r\n\r\n{\"a\":1}"));
    scripted_server_header(&server, 0, "\r\nSaga-Id: ", value, sizeof(value));
    assert_string_equal(value, "order-17");
    assert_non_null(strstr(server.requests[0], "\r\nX-Empty:\r\n"));
    scripted_server_header(&server, 0, "\r\nExpect: ", value, sizeof(value));
    assert_string_equal(value, "");
    hf_caller_curl_free(caller);
    scripted_server_stop(&server);
}

static void test_get_and_post_by_turns(void **unused)
{
    (void)unused;
    struct sent sent;
    scripted_server_start(&server, NULL, NULL, 0);
    struct hf_caller_curl *caller = caller_of("127.0.0.0/8");
    for (size_t i = 0; i < 6; i++) {
        struct hf_call call = {.get = i % 2 == 1, .body = HF_STR("{}")};
        make(caller, &sent, server.address, "/x", call);
        assert_int_equal(sent.call.status, 200);
        assert_memory_equal(server.requests[i], i % 2 == 1 ? "GET " : "POST", 4);
        assert_int_equal(strstr(server.requests[i], "\r\n\r\n{}") != NULL, i % 2 == 0);
    }
    assert_int_equal(scripted_server_connections(&server), 1);
    hf_caller_curl_free(caller);
    scripted_server_stop(&server);
}

/* The environment's proxy counts for nothing, and a redirect is an answer like any other. */
static void test_no_proxy_no_redirect(void **unused)
{
    (void)unused;
    static const struct script_step steps[] = {
        {SCRIPT_ANSWER, "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /elsewhere\r\n\r\n"},
    };
    struct sent sent;
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    assert_int_equal(setenv("ALL_PROXY", "http://127.0.0.1:1", 1), 0);
    scripted_server_start(&server, NULL, steps, HF_ARRAY_COUNT(steps));
    struct hf_caller_curl *caller = caller_of("127.0.0.1");
    make(caller, &sent, server.address, "/x", (struct hf_call){.body = HF_STR("")});
    assert_int_equal(sent.call.error, HF_CALL_COMPLETE);
    assert_int_equal(sent.call.status, 302);
    assert_int_equal(scripted_server_requests(&server), 1);
    assert_int_equal(unsetenv("http_proxy"), 0);
    assert_int_equal(unsetenv("ALL_PROXY"), 0);
    hf_caller_curl_free(caller);
    scripted_server_stop(&server);
}

static void test_bounded_answers(void **unused)
{
    (void)unused;
    static const struct script_step steps[] = {
        {SCRIPT_ANSWER, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"},
        {SCRIPT_ANSWER, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n0123456789X"},
        {SCRIPT_ANSWER, "HTTP/1.1 500 Oh\r\nContent-Length: 14\r\n\r\n0123456789abcd"},
        {SCRIPT_ANSWER, "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n0123456789abcd"},
    };
    struct sent sent;
    struct hf_call call = {.body = HF_STR("{}"), .answer_bytes_max = 10};
    scripted_server_start(&server, NULL, steps, HF_ARRAY_COUNT(steps));
    struct hf_caller_curl *caller = caller_of("127.0.0.1");
    make(caller, &sent, server.address, "/", call);
    assert_int_equal(sent.call.error, HF_CALL_COMPLETE);
    assert_string_equal(sent.answer, "0123456789");
    make(caller, &sent, server.address, "/", call);
    assert_int_equal(sent.call.error, HF_CALL_TOO_LARGE);
    assert_int_equal(sent.call.status, 200);
    make(caller, &sent, server.address, "/", call); /* of an error the beginning is enough */
    assert_int_equal(sent.call.error, HF_CALL_COMPLETE);
    assert_int_equal(sent.call.status, 500);
    assert_string_equal(sent.answer, "0123456789");
    call.cuts_answer = true;
    make(caller, &sent, server.address, "/", call);
    assert_int_equal(sent.call.error, HF_CALL_COMPLETE);
    assert_string_equal(sent.answer, "0123456789");
    hf_caller_curl_free(caller);
    scripted_server_stop(&server);
}

static void test_how_calls_fail(void **unused)
{
    (void)unused;
    static const struct script_step steps[] = {
        {SCRIPT_CLOSE, NULL},
        {SCRIPT_CLOSE, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"},
        {SCRIPT_CLOSE, "no HTTP at all\r\n\r\n"},
        {SCRIPT_SILENT, NULL},
    };
    struct sent sent;
    char nobody[64];
    struct hf_call call = {.body = HF_STR("{}")};
    scripted_server_start(&server, NULL, steps, HF_ARRAY_COUNT(steps));
    struct hf_caller_curl *caller = caller_of("127.0.0.1");
    for (size_t i = 0; i < 3; i++) {
        make(caller, &sent, server.address, "/", call);
        assert_int_equal(sent.call.error, HF_CALL_CUT_OFF);
        assert_int_equal(sent.call.status, 0);
        assert_true(strlen(sent.call.error_text) > 5);
    }
    call.timeout_ms = 100;
    make(caller, &sent, server.address, "/", call);
    assert_int_equal(sent.call.error, HF_CALL_TIMED_OUT);
    assert_string_equal(sent.call.error_text, "no answer within 100 ms");
    call.timeout_ms = 0;
    unsigned port = server.port;
    scripted_server_stop(&server);
    (void)snprintf(nobody, sizeof(nobody), "http://127.0.0.1:%u", port);
    make(caller, &sent, nobody, "/", call);
    assert_int_equal(sent.call.error, HF_CALL_NOT_CONNECTED);
    make(caller, &sent, "http://no-such-host.invalid", "/", call);
    assert_int_equal(sent.call.error, HF_CALL_NOT_CONNECTED);
    hf_caller_curl_free(caller);
}

static void test_what_is_refused_here(void **unused)
{
    (void)unused;
    static const struct {
        const char *url, *why;
    } rows[] = {
        {"http://127.0.0.1:%u/", "127.0.0.1 is a loopback address, which needs --deliver-allow"},
        {"http://localhost:%u/", "which needs --deliver-allow"},
        {"http://2130706433:%u/", "is a loopback address"},
        {"http://0x7f.1:%u/", "is a loopback address"},
        {"http://127.1:%u/", "is a loopback address"},
        {"http://[::ffff:127.0.0.1]:%u/", "is an IPv4-mapped address"},
        {"http://0.0.0.0:%u/", "is an address of this network"},
        {"file:///etc/passwd?%u", "must begin with http"},
        {"gopher://127.0.0.1:%u/", "must begin with http"},
        {"http://u:p@127.0.0.1:%u/", "must not have a user"},
    };
    struct sent sent;
    struct hf_call call = {.body = HF_STR("{}")};
    scripted_server_start(&server, NULL, NULL, 0);
    struct hf_caller_curl *caller = caller_of("10.0.0.0/8");
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        char url[128];
        sent = (struct sent){0};
        int used =
            snprintf(url, sizeof(url), "%.*s%u%s", (int)(strstr(rows[i].url, "%u") - rows[i].url),
                     rows[i].url, server.port, strstr(rows[i].url, "%u") + 2);
        assert_true(used > 0);
        make(caller, &sent, url, "", call);
        assert_int_equal(sent.call.error, HF_CALL_REFUSED_HERE);
        if (strstr(sent.call.error_text, rows[i].why) == NULL) {
            fail_msg("%s: %s", url, sent.call.error_text);
        }
    }
    const struct hf_call_header bad[] = {{HF_STR("a"), HF_STR("b\r\nc: d")}};
    call.headers = bad;
    call.header_count = 1;
    make(caller, &sent, server.address, "/", call);
    assert_int_equal(sent.call.error, HF_CALL_REFUSED_HERE);
    assert_int_equal(scripted_server_connections(&server), 0);
    hf_caller_curl_free(caller);
    scripted_server_stop(&server);
}

static void test_cancel(void **unused)
{
    (void)unused;
    static const struct script_step steps[] = {{SCRIPT_SILENT, NULL}};
    struct sent silent = {0};
    struct sent refused = {0};
    struct sent sent;
    scripted_server_start(&server, NULL, steps, HF_ARRAY_COUNT(steps));
    struct hf_caller_curl *caller = caller_of("127.0.0.1");
    struct hf_caller *out = hf_caller_curl_caller(caller);
    start(caller, &silent, server.address, "/", (struct hf_call){.body = HF_STR("{}")});
    for (int i = 0; i < PATIENCE_STEPS && scripted_server_requests(&server) == 0; i++) {
        (void)hf_caller_curl_step(caller, 10000);
    }
    start(caller, &refused, "ftp://x", "/", (struct hf_call){.body = HF_STR("{}")});
    assert_int_equal(hf_caller_curl_open(caller), 2);
    out->cancel(out->context, &silent.call);
    out->cancel(out->context, &refused.call);
    assert_int_equal(hf_caller_curl_open(caller), 0);
    make(caller, &sent, server.address, "/", (struct hf_call){.body = HF_STR("{}")});
    assert_int_equal(sent.call.status, 200);
    assert_false(silent.done || refused.done);
    hf_caller_curl_free(caller);
    scripted_server_stop(&server);
}

static void *wake_it(void *context)
{
    hf_caller_curl_wake(context);
    return NULL;
}

/* A wake from another thread ends a wait, also one that came before it. */
static void test_wake(void **unused)
{
    (void)unused;
    pthread_t thread;
    struct hf_caller_curl *caller = caller_of("");
    for (int i = 0; i < 100; i++) {
        assert_int_equal(pthread_create(&thread, NULL, wake_it, caller), 0);
        assert_int_equal(hf_caller_curl_step(caller, 3600000000u), 0); /* or the test's limit */
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    hf_caller_curl_free(caller);
}

static void test_retry_after(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        uint64_t ms;
    } rows[] = {
        {"0", 0},
        {"120", 120000},
        {"99999999999999999999", (uint64_t)UINT32_MAX * 1000},
        {"Fri, 19 Mar 2021 13:47:00 GMT", 4000},
        {"Fri, 19 Mar 2021 13:46:56 GMT", 0},
        {"Fri, 19 Mar 2020 13:47:00 GMT", 0},
        {"soon", 0},
        {"-5", 0},
        {"1.5", 0},
        {"", 0},
        {"Fri, 19 Mar 2021 13:47:00 GMT and a long tail behind it", 0},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        uint64_t ms = hf_retry_after_ms(hf_str_from(rows[i].text), WALL_US);
        if (ms != rows[i].ms) {
            fail_msg("%s: %llu", rows[i].text, (unsigned long long)ms);
        }
    }
}

/* Many at once, over few connections each kept: every one is done, once. */
static void test_many_at_once(void **unused)
{
    (void)unused;
    static struct sent many[200];
    scripted_server_start(&server, NULL, NULL, 0);
    struct hf_caller_curl *caller = caller_of("127.0.0.1");
    for (size_t i = 0; i < HF_ARRAY_COUNT(many); i++) {
        start(caller, &many[i], server.address, "/", (struct hf_call){.body = HF_STR("{}")});
    }
    for (size_t i = 0; i < HF_ARRAY_COUNT(many); i++) {
        finish(caller, &many[i]);
        assert_int_equal(many[i].call.status, 200);
    }
    assert_int_equal(hf_caller_curl_open(caller), 0);
    assert_int_equal(scripted_server_requests(&server), HF_ARRAY_COUNT(many));
    hf_caller_curl_free(caller);
    scripted_server_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_post),
        cmocka_unit_test(test_get_and_post_by_turns),
        cmocka_unit_test(test_no_proxy_no_redirect),
        cmocka_unit_test(test_bounded_answers),
        cmocka_unit_test(test_how_calls_fail),
        cmocka_unit_test(test_what_is_refused_here),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_wake),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
