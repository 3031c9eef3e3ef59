/* The door: what HTTP itself asks of it: order of refusals, headers, targets, media types, tokens, many lines, many reads. */
#include "unit/door_rig.h"

#include "unit/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"

static struct door_rig rig;

static int setup(void **state)
{
    (void)state;
    door_rig_init(&rig);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    door_rig_release(&rig);
    return 0;
}

#define RUN(rows) door_rig_rows(&rig, rows, HF_ARRAY_COUNT(rows))

static void open_accounts(void)
{
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"PUT /v1/accounts/world", NULL, "{'asset':'USD/2','floor':null}"}, 201, NULL, NULL, NULL},
        {{"PUT /v1/accounts/a", NULL, "{'asset':'USD/2'}"}, 201, NULL, NULL, NULL},
        {{"PUT /v1/accounts/b", NULL, "{'asset':'USD/2'}"}, 201, NULL, NULL, NULL},
        {{"POST /v1/transfers", NULL, "{'id':'fund','from':'world','to':'a','asset':'USD/2','amount':'1000'}"}, 201, NULL, NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

/* ---- methods, paths, queries ---- */

static void methods_and_paths(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"GET /", NULL, NULL}, 404, "'code':'not_found'", NULL, NULL},
        {{"GET /v1/account/a", NULL, NULL}, 404, "not_found", NULL, NULL},
        {{"GET /v1/accounts/", NULL, NULL}, 404, "not_found", NULL, NULL},
        {{"GET /v1/accounts/a/", NULL, NULL}, 404, "not_found", NULL, NULL},
        {{"GET //v1/accounts/a", NULL, NULL}, 404, "not_found", NULL, NULL},
        {{"GET /v1/accounts/a/b/c/d/e/f/g", NULL, NULL}, 404, "not_found", NULL, NULL},
        {{"BREW /v1/accounts/a", NULL, NULL}, 405, "method_not_allowed", "Allow: PUT, PATCH, GET, HEAD, OPTIONS", NULL},
        {{"DELETE /v1/accounts/a", NULL, NULL}, 405, "method_not_allowed", "Allow: PUT, PATCH, GET, HEAD, OPTIONS", NULL},
        {{"GET /v1/commits", NULL, NULL}, 405, "This resource takes POST, OPTIONS.", "Allow: POST, OPTIONS\r\n", NULL},
        {{"GET /v1/read", NULL, NULL}, 405, NULL, "Allow: POST, OPTIONS\r\n", NULL},
        {{"HEAD /v1/commits", NULL, NULL}, 405, NULL, "Allow: POST", NULL},
        {{"OPTIONS /v1/documents/d", NULL, NULL}, 204, NULL, "Allow: PUT, PATCH, DELETE, GET, HEAD, OPTIONS", "!Access-Control"},
        {{"OPTIONS /v1/nothing", NULL, NULL}, 404, NULL, NULL, NULL},
        {{"PUT /v1/accounts/%61%3a1", NULL, "{'asset':'USD/2'}"}, 201, "'account':'a:1'", "Location: /v1/accounts/a:1", NULL},
        {{"GET /v1/%61ccounts/a:1", NULL, NULL}, 200, "'id':'a:1'", NULL, NULL},
        {{"GET /v1/accounts/a%2F1", NULL, NULL}, 400, "no name", NULL, NULL},
        {{"GET /v1/accounts/a%2", NULL, NULL}, 400, "two hex digits", NULL, NULL},
        {{"GET /v1/accounts/a%", NULL, NULL}, 400, "two hex digits", NULL, NULL},
        {{"GET /v1/accounts/a%zz", NULL, NULL}, 400, "two hex digits", NULL, NULL},
        {{"GET /v1/accounts/a%00", NULL, NULL}, 400, "not UTF-8 text without control", NULL, NULL},
        {{"GET /v1/accounts/a%C0%AF", NULL, NULL}, 400, "not UTF-8", NULL, NULL},
        {{"GET /v1/accounts/a%ED%A0%80", NULL, NULL}, 400, "not UTF-8", NULL, NULL},
        {{"GET /v1/accounts/%C3%A9", NULL, NULL}, 400, "no name", NULL, NULL},
        {{"GET /v1/accounts/\xC3\xA9", NULL, NULL}, 400, "must be percent-encoded", NULL, NULL},
        {{"GET /v1/accounts/~1.0", NULL, NULL}, 400, "no name", NULL, NULL},
        {{"GET /v1/transfers/~1.0", NULL, NULL}, 404, "transfer_not_found", NULL, NULL},
        {{"GET /v1/accounts/a:1?verbose=1", NULL, NULL}, 400, "unknown query parameter verbose", NULL, NULL},
        {{"GET /v1/accounts/a:1?min_position=1&min_position=1", NULL, NULL}, 400, "given twice", NULL, NULL},
        {{"GET /v1/accounts/a:1?=1", NULL, NULL}, 400, "no name", NULL, NULL},
        {{"GET /v1/accounts/a:1?", NULL, NULL}, 200, NULL, NULL, NULL},
        {{"GET /v1/accounts/a:1?min_position=1", NULL, NULL}, 200, NULL, NULL, NULL},
        {{"GET /v1/accounts/a:1?min%5Fposition=%31", NULL, NULL}, 200, NULL, NULL, NULL},
        {{"GET /v1/accounts/a:1?min_position=1e3", NULL, NULL}, 400, "integer", NULL, NULL},
        {{"GET /v1/accounts/a:1?min_position=", NULL, NULL}, 400, "integer", NULL, NULL},
        {{"GET /v1/accounts/a:1?min_position=900", NULL, NULL}, 503, "not_ready", "Retry-After: 1", NULL},
        {{"PUT /v1/accounts/plus+1", NULL, "{'asset':'USD/2'}"}, 201, "'account':'plus+1'", NULL, NULL},
        {{"GET /v1/accounts?prefix=plus+", NULL, NULL}, 200, "'id':'plus+1'", NULL, NULL},
        {{"GET /v1/accounts?prefix=plus%2B", NULL, NULL}, 200, "'id':'plus+1'", NULL, NULL},
        {{"GET /v1/assets/USD%2F2/totals", NULL, NULL}, 200, "USD/2", NULL, NULL},
        {{"GET /v1/assets/USD/2/totals", NULL, NULL}, 404, "not_found", NULL, NULL},
        {{"GET /v1/assets/usd/totals", NULL, NULL}, 400, "USD%2F2", NULL, NULL},
        {{"GET /v1/accounts/a:1", NULL, "{}"}, 400, "no body", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

/* ---- the order of refusals ---- */

static void order_of_refusals(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct door_row rows[] = {
        /* 403 of a foreign Host or Origin comes before all */
        {{"BREW /v1/accounts/a", "Host: evil.example", "x"}, 403, "forbidden", NULL, NULL},
        {{"POST /v1/commits", "Origin: https://evil.example", "x"}, 403, "forbidden", "!Access-Control-Allow-Origin", NULL},
        {{"GET /v1/nothing", "Host: evil.example", NULL}, 403, "forbidden", NULL, NULL},
        /* 405, then 415 */
        {{"GET /v1/commits", "Content-Type: text/plain", "x"}, 405, NULL, NULL, NULL},
        {{"POST /v1/commits?x=1", "Content-Type: text/plain\nIf-Match: x", "x"}, 415, "unsupported_media_type", NULL, NULL},
        /* malformed, idempotency_key_missing, 428 */
        {{"POST /v1/commits?x=1", NULL, "x"}, 400, "unknown query parameter", NULL, NULL},
        {{"POST /v1/commits", NULL, "x"}, 400, "'code':'invalid_request'", NULL, NULL},
        {{"POST /v1/commits", NULL, "{'do':[{'op':'freeze','account':'-'}]}"}, 400, "'code':'invalid_request'", NULL, NULL},
        {{"POST /v1/commits", NULL, "{'do':[{'op':'freeze','account':'a'}]}"}, 400, "idempotency_key_missing", NULL, NULL},
        {{"PUT /v1/documents/d", NULL, "{"}, 400, "invalid_request", NULL, NULL},
        {{"PUT /v1/documents/d", NULL, "{}"}, 428, NULL, NULL, NULL},
        /* key replay before id replay before conditions */
        {{"POST /v1/commits", "Idempotency-Key: o1", "{'if':[{'account':'none','exists':true}],'do':[{'op':'append','stream':'s','id':'e1','type':'t','data':1}]}"}, 412, "'failed':'/if/0'", NULL, NULL},
        {{"POST /v1/streams/s/events", NULL, "{'id':'e1','type':'t','data':1}"}, 201, NULL, NULL, NULL},
        {{"POST /v1/commits", "Idempotency-Key: o1", "{'if':[{'account':'none','exists':true}],'do':[{'op':'append','stream':'s','id':'e1','type':'t','data':1}]}"}, 412, NULL, "Idempotent-Replayed: true", NULL},
        {{"POST /v1/commits", "Idempotency-Key: o2", "{'if':[{'account':'none','exists':true}],'do':[{'op':'append','stream':'s','id':'e1','type':'t','data':1}]}"}, 409, "event_exists", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

static void heads_are_admitted(void **state)
{
    (void)state;
    struct door_reply reply = {0};
    hf_buffer_init(&reply.body);
    struct door_ask post = {"POST /v1/commits",
                            "Content-Type: application/json\nIdempotency-Key: k", NULL};
    assert_true(door_rig_admit(&rig, &post, &reply));
    struct door_ask get = {"GET /v1/commits", NULL, NULL};
    assert_false(door_rig_admit(&rig, &get, &reply));
    assert_int_equal(reply.status, 405);
    assert_non_null(strstr(reply.headers, "Allow: POST"));
    struct door_ask text = {"POST /v1/commits", "Content-Type: text/plain", ""};
    assert_false(door_rig_admit(&rig, &text, &reply));
    assert_int_equal(reply.status, 415);
    assert_string_equal(reply.content_type, "application/problem+json");
    assert_non_null(strstr((char *)reply.body.data, "unsupported_media_type"));
    hf_buffer_release(&reply.body);
}

static void what_the_server_refuses(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *code;
    } rows[] = {
        {400, "invalid_request"},
        {408, "request_timeout"},
        {413, "too_large"},
        {414, "uri_too_long"},
        {417, "expectation_failed"},
        {429, "overloaded"},
        {431, "headers_too_large"},
        {501, "not_implemented"},
        {505, "http_version_not_supported"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        char wanted[160];
        const char *type = NULL;
        struct hf_buffer body;
        hf_buffer_init(&body);
        rig.handler.refuse(rig.handler.context, rows[i].status, "words", &body, &type);
        hf_buffer_u8(&body, 0);
        (void)snprintf(wanted, sizeof(wanted), "\"status\":%d,\"detail\":\"words\",\"code\":\"%s\"",
                       rows[i].status, rows[i].code);
        assert_non_null(strstr((char *)body.data, wanted));
        assert_string_equal(type, "application/problem+json");
        hf_buffer_release(&body);
    }
}

/* ---- headers ---- */

static void keys(void **state)
{
    (void)state;
    open_accounts();
    char longest[400] = "Idempotency-Key: ";
    char too_long[400];
    memset(longest + 17, 'x', 255);
    longest[17 + 255] = '\0';
    (void)snprintf(too_long, sizeof(too_long), "%sx", longest);
    /* clang-format off */
    const struct door_row rows[] = {
        {{"PATCH /v1/accounts/a", "Idempotency-Key: abc", "{'ceiling':null}"}, 200, NULL, "!Replayed", NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key: 'abc'", "{'ceiling':null}"}, 200, NULL, "Idempotent-Replayed: true", NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key: 'a\\'b\\\\c'", "{'ceiling':null}"}, 200, NULL, "!Replayed", NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key: a'b\\c", "{'ceiling':null}"}, 200, NULL, "Idempotent-Replayed: true", NULL},
        {{"PATCH /v1/accounts/a", longest, "{'ceiling':null}"}, 200, NULL, "!Replayed", NULL},
        {{"PATCH /v1/accounts/a", too_long, "{'ceiling':null}"}, 400, "1 to 255 characters", NULL, NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key: ''", "{'ceiling':null}"}, 400, "1 to 255 characters", NULL, NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key:", "{'ceiling':null}"}, 400, "1 to 255 characters", NULL, NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key: a b", "{'ceiling':null}"}, 400, "1 to 255 characters", NULL, NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key: 'a b'", "{'ceiling':null}"}, 400, "1 to 255 characters", NULL, NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key: 'a", "{'ceiling':null}"}, 400, "1 to 255 characters", NULL, NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key: 'a'b", "{'ceiling':null}"}, 400, "1 to 255 characters", NULL, NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key: 'a';x=1", "{'ceiling':null}"}, 400, "1 to 255 characters", NULL, NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key: 'a\\b'", "{'ceiling':null}"}, 400, "1 to 255 characters", NULL, NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key: \xC3\xA9", "{'ceiling':null}"}, 400, "1 to 255 characters", NULL, NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key: a\nIdempotency-Key: a", "{'ceiling':null}"}, 400, "more than once", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

static void preconditions(void **state)
{
    (void)state;
    open_accounts(); /* a is at version 1 */
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"PATCH /v1/accounts/a", "If-Match: '0', W/'1', 'x', ,'2'", "{'ceiling':null}"}, 412, "'version':1", NULL, NULL},
        {{"PATCH /v1/accounts/a", "If-Match: 'x'", "{'ceiling':null}"}, 412, "'version':1", NULL, NULL},
        {{"PATCH /v1/accounts/a", "If-Match: '01'", "{'ceiling':null}"}, 412, "'version':1", NULL, NULL},
        {{"PATCH /v1/accounts/a", "If-Match: W/'1'", "{'ceiling':null}"}, 412, "'version':1", NULL, NULL},
        {{"PATCH /v1/accounts/a", "If-Match: '7'\nIf-Match: '1'", "{'ceiling':null}"}, 200, "'version':2", NULL, NULL},
        {{"PATCH /v1/accounts/a", "If-Match: *", "{'ceiling':null}"}, 200, "'version':3", NULL, NULL},
        {{"PATCH /v1/accounts/a", "If-Match: '3'\nIf-None-Match: *", "{'ceiling':null}"}, 412, "'version':3", NULL, NULL},
        {{"PATCH /v1/accounts/a", "If-Match: 3", "{'ceiling':null}"}, 400, "in quotes", NULL, NULL},
        {{"PATCH /v1/accounts/a", "If-Match:", "{'ceiling':null}"}, 400, "in quotes", NULL, NULL},
        {{"PATCH /v1/accounts/a", "If-Match: *, '3'", "{'ceiling':null}"}, 400, "in quotes", NULL, NULL},
        {{"PATCH /v1/accounts/a", "If-Match: *\nIf-Match: '3'", "{'ceiling':null}"}, 400, "in quotes", NULL, NULL},
        {{"PATCH /v1/accounts/a", "If-Match: '3' '4'", "{'ceiling':null}"}, 400, "in quotes", NULL, NULL},
        {{"PATCH /v1/accounts/a", "If-Match: '3", "{'ceiling':null}"}, 400, "in quotes", NULL, NULL},
        {{"PATCH /v1/accounts/a", "If-Match: w/'3'", "{'ceiling':null}"}, 400, "in quotes", NULL, NULL},
        {{"PATCH /v1/accounts/a", "If-Match: '3 '", "{'ceiling':null}"}, 400, "in quotes", NULL, NULL},
        /* the same precondition is the same request; another is another */
        {{"PATCH /v1/accounts/a", "If-Match: '3' , '4'\nIdempotency-Key: p", "{'ceiling':null}"}, 200, "'version':4", "!Replayed", NULL},
        {{"PATCH /v1/accounts/a", "If-Match: '3'\nIf-Match: '4'\nIdempotency-Key: p", "{'ceiling':null}"}, 200, "'version':4", "Idempotent-Replayed: true", NULL},
        {{"PATCH /v1/accounts/a", "If-Match: '3'\nIdempotency-Key: p", "{'ceiling':null}"}, 422, "idempotency_key_reused", NULL, NULL},
        {{"PATCH /v1/accounts/a", "If-Match: *\nIdempotency-Key: p", "{'ceiling':null}"}, 422, "idempotency_key_reused", NULL, NULL},
        {{"PATCH /v1/accounts/a", "Idempotency-Key: p", "{'ceiling':null}"}, 422, "idempotency_key_reused", NULL, NULL},
        {{"PATCH /v1/accounts/b", "If-Match: '3', '4'\nIdempotency-Key: p", "{'ceiling':null}"}, 422, "idempotency_key_reused", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

static void media_types(void **state)
{
    (void)state;
    open_accounts();
#define BODY "{'id':'m','from':'a','to':'b','asset':'USD/2','amount':'1'}"
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"POST /v1/transfers", "Content-Type: text/plain", BODY}, 415, "application/x-ndjson", NULL, NULL},
        {{"POST /v1/transfers", "Content-Type: application/x-www-form-urlencoded", BODY}, 415, NULL, NULL, NULL},
        {{"POST /v1/transfers", "Content-Type: application/json; charset=latin1", BODY}, 415, NULL, NULL, NULL},
        {{"POST /v1/transfers", "Content-Type: application/json; x=1", BODY}, 415, NULL, NULL, NULL},
        {{"POST /v1/transfers", "Content-Type: application/jsonp", BODY}, 415, NULL, NULL, NULL},
        {{"POST /v1/transfers", "Content-Type: application/json\nContent-Type: application/json", BODY}, 415, NULL, NULL, NULL},
        {{"POST /v1/transfers", "Content-Type:", BODY}, 415, NULL, NULL, NULL},
        {{"POST /v1/transfers", "Content-Type: Application/JSON ; charset=UTF-8", BODY}, 201, NULL, NULL, NULL},
        {{"POST /v1/transfers", "Content-Type: application/json;charset='utf-8'", BODY}, 201, NULL, NULL, NULL},
        {{"POST /v1/transfers", "Accept: text/html", BODY}, 201, NULL, NULL, NULL},
        {{"POST /v1/keys/k/cancel", "Content-Type: application/x-www-form-urlencoded", NULL}, 415, NULL, NULL, NULL},
        {{"POST /v1/commits", "Content-Type: application/x-ndjson", "{}"}, 415, NULL, NULL, NULL},
        {{"PATCH /v1/accounts/a", "Content-Type: application/merge-patch+json", "{}"}, 415, NULL, NULL, NULL},
        {{"POST /v1/transfers?mode=each", NULL, BODY}, 400, "x-ndjson", NULL, NULL},
        {{"POST /v1/transfers?mode=some", "Content-Type: application/x-ndjson", BODY}, 400, "atomic or each", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

static void origins(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"OPTIONS /v1/commits", "Origin: https://console.example.org\nAccess-Control-Request-Method: POST", NULL}, 204, NULL, "Access-Control-Allow-Origin: https://console.example.org", "Allow: POST, OPTIONS"},
        {{"PUT /v1/accounts/a", "Origin: https://console.example.org", "{'asset':'USD/2'}"}, 201, NULL, "Access-Control-Allow-Origin: https://console.example.org", "Holdfast-Position"},
        {{"OPTIONS /v1/commits", "Origin: https://evil.example\nAccess-Control-Request-Method: POST", NULL}, 403, NULL, "!Access-Control-Allow-Origin", NULL},
        {{"GET /healthz", "Origin: https://evil.example", NULL}, 200, NULL, "!Access-Control-Allow-Origin", NULL},
    };
    /* clang-format on */
    RUN(rows);
}

/* ---- tokens ---- */

static void with_token(const char *request, const char *secret, const char *more, const char *body,
                       int status, const char *part)
{
    char headers[256];
    (void)snprintf(headers, sizeof(headers), "Authorization: Bearer %s%s", secret, more);
    const struct door_row row = {{request, headers, body}, status, part, NULL, NULL};
    door_rig_rows(&rig, &row, 1);
}

static void create_token(const char *principal, unsigned scopes, const char *const *names,
                         size_t name_count, char secret[HF_TOKEN_SECRET_BYTES])
{
    char id[HF_TOKEN_ID_BYTES];
    struct hf_error error = {0};
    struct hf_token token = {
        .principal = principal, .scopes = scopes, .names = names, .name_count = name_count};
    assert_int_equal(hf_tokens_create(hf_engine_outside(rig.engine), rig.tokens_path, &token, id,
                                      secret, &error),
                     HF_ERR_OK);
}

static void tokens(void **state)
{
    (void)state;
    static const char *const shop[] = {"shop1:", "till"};
    char admin[HF_TOKEN_SECRET_BYTES];
    char narrow[HF_TOKEN_SECRET_BYTES];
    char blind[HF_TOKEN_SECRET_BYTES];
    char reader[HF_TOKEN_SECRET_BYTES];
    create_token("boss", HF_SCOPE_ADMIN, NULL, 0, admin);
    create_token("shop1", HF_SCOPE_COMMIT | HF_SCOPE_READ, shop, 2, narrow);
    create_token("blind", HF_SCOPE_COMMIT, NULL, 0, blind);
    create_token("reader", HF_SCOPE_READ, NULL, 0, reader);
    door_rig_restart(&rig);
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"GET /v1/accounts/a", NULL, NULL}, 401, "unauthorized", "WWW-Authenticate: Bearer", NULL},
        {{"BREW /v1/nothing", NULL, NULL}, 401, "unauthorized", NULL, NULL},
        {{"POST /v1/commits", "Authorization: Bearer hft_wrong\nContent-Type: text/plain", "x"}, 401, NULL, NULL, NULL},
        {{"GET /healthz", NULL, NULL}, 200, "ok", NULL, NULL},
        {{"GET /readyz", NULL, NULL}, 200, "ready", NULL, NULL},
        {{"GET /metrics", NULL, NULL}, 401, NULL, NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
    with_token("PUT /v1/accounts/shop1:a", admin, "", "{'asset':'USD/2','floor':null}", 201, NULL);
    with_token("PUT /v1/accounts/shop2:a", admin, "", "{'asset':'USD/2'}", 201, NULL);
    /* names: every one that is mentioned, new ids too; malformed comes before 403, 403 before the node */
    with_token("PUT /v1/accounts/shop1:b", narrow, "", "{'asset':'USD/2'}", 201, NULL);
    with_token("PUT /v1/accounts/till", narrow, "", "{'asset':'USD/2'}", 201, NULL);
    with_token("PUT /v1/accounts/till2", narrow, "", "{'asset':'USD/2'}", 403, "forbidden");
    with_token("PUT /v1/accounts/shop2:b", narrow, "", "{'asset':'usd'}", 400, "'failed':'/asset'");
    with_token("PUT /v1/accounts/shop2:b", narrow, "", "{'asset':'USD/2'}", 403, "forbidden");
    with_token("POST /v1/transfers", narrow, "",
               "{'from':'shop1:a','to':'shop2:a','asset':'USD/2','amount':'1'}", 400,
               "idempotency_key_missing");
    with_token("POST /v1/transfers", narrow, "\nIdempotency-Key: k",
               "{'from':'shop1:a','to':'shop2:a','asset':'USD/2','amount':'1'}", 403, NULL);
    with_token("POST /v1/transfers", narrow, "",
               "{'id':'t','from':'shop1:a','to':'shop1:b','asset':'USD/2','amount':'1'}", 403,
               NULL);
    with_token("POST /v1/transfers", narrow, "",
               "{'id':'shop1:t','from':'shop1:a','to':'shop1:b','asset':'USD/2','amount':'1'}", 201,
               NULL);
    with_token("POST /v1/commits", narrow, "\nIdempotency-Key: k",
               "{'if':[{'account':'shop2:a','exists':true}],'do':[{'op':'set_metadata','account':'"
               "till','metadata':{}}]}",
               403, NULL);
    with_token("PATCH /v1/accounts/shop1:b", narrow, "\nIf-Match: *", "{'floor':'-5'}", 403,
               NULL); /* limits: operate */
    with_token("PATCH /v1/accounts/shop1:b", narrow, "\nIf-Match: *", "{'metadata':{}}", 200, NULL);
    with_token("GET /v1/accounts/shop1:b", narrow, "", NULL, 200, NULL);
    with_token("GET /v1/accounts/shop2:a", narrow, "", NULL, 403, NULL);
    with_token("GET /v1/accounts?prefix=shop1:", narrow, "", NULL, 200, NULL);
    with_token("GET /v1/accounts?prefix=shop1:b", narrow, "", NULL, 200, NULL);
    with_token("GET /v1/accounts?prefix=till", narrow, "", NULL, 403, NULL); /* would show till2 */
    with_token("GET /v1/accounts?prefix=shop", narrow, "", NULL, 403, NULL);
    with_token("GET /v1/accounts", narrow, "", NULL, 403, NULL);
    with_token("GET /v1/commits/3", narrow, "", NULL, 403, NULL);
    with_token("GET /v1/assets/USD%2F2/totals", narrow, "", NULL, 403, NULL);
    with_token("POST /v1/read", narrow, "",
               "{'reads':[{'account':'shop1:b'},{'account':'shop2:a'}]}", 403, NULL);
    with_token("GET /v1/status", narrow, "", NULL, 403, NULL);
    with_token("GET /v1/limits", narrow, "", NULL, 200, NULL);
    /* keys are the principal's own */
    with_token("POST /v1/keys/k9/cancel", narrow, "", NULL, 200, NULL);
    with_token("GET /v1/keys/k9", narrow, "", NULL, 200, NULL);
    with_token("GET /v1/keys/k9", admin, "", NULL, 404, "key_not_found");
    /* scopes */
    with_token("PUT /v1/accounts/x", reader, "", "{'asset':'USD/2'}", 403, NULL);
    with_token("POST /v1/keys/k9/cancel", reader, "", NULL, 403, NULL);
    with_token("GET /v1/accounts/shop1:a", blind, "", NULL, 403, NULL);
    /* who may not read gets a refusal without the thing */
    with_token("POST /v1/transfers", blind, "",
               "{'id':'z','from':'shop2:a','to':'shop1:a','asset':'USD/2','amount':'7'}", 422,
               "'detail':'Insufficient funds.','code':'insufficient_funds','current':null");
    with_token("GET /v1/status", admin, "", NULL, 200, "'phase':'leading'");
}

/* ---- many lines ---- */

#define LINE(id, amount)                                                                           \
    "{'id':'" id "','from':'a','to':'b','asset':'USD/2','amount':'" amount "'}\n"
#define ND "Content-Type: application/x-ndjson"

static void lines_as_one(void **state)
{
    (void)state;
    open_accounts();
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"POST /v1/transfers", ND, LINE("n1", "1") LINE("n2", "2")}, 201, "'results':[{'op':'transfer','transfer':'n1'", "Location: /v1/commits/", NULL},
        {{"POST /v1/transfers?mode=atomic", ND, LINE("n1", "1") LINE("n2", "2")}, 201, "'transfer':'n2'", "Idempotent-Replayed: true", NULL},
        {{"POST /v1/transfers", ND, LINE("n3", "1") LINE("n4", "5000")}, 422, "'failed':'/1'", NULL, NULL},
        {{"GET /v1/transfers/n3", NULL, NULL}, 404, NULL, NULL, NULL},
        {{"POST /v1/transfers", ND, LINE("n5", "1") LINE("n6", "x")}, 400, "'failed':'/1/amount'", NULL, NULL},
        {{"POST /v1/transfers", ND, LINE("n5", "1") "{'x':1}\n"}, 400, "'failed':'/1/x'", NULL, NULL},
        {{"POST /v1/transfers", ND, LINE("n5", "1") "\n"}, 400, "'failed':'/1'", NULL, NULL},
        {{"POST /v1/transfers", ND, LINE("n5", "1") "{'from':'a','to':'b','asset':'USD/2','amount':'1'}"}, 400, "idempotency_key_missing", NULL, NULL},
        {{"POST /v1/transfers", ND "\nIdempotency-Key: n", LINE("n5", "1") "{'from':'a','to':'b','asset':'USD/2','amount':'1'}"}, 201, NULL, NULL, NULL},
        {{"POST /v1/transfers?mode=atomic", ND "\nIdempotency-Key: n", LINE("n5", "1") "{'from':'a','to':'b','asset':'USD/2','amount':'1'}"}, 201, NULL, "Idempotent-Replayed: true", NULL},
        /* a list of one is answered in another form, so it is another request */
        {{"POST /v1/transfers", ND "\nIdempotency-Key: o", "{'from':'a','to':'b','asset':'USD/2','amount':'1'}"}, 201, "'results':[", NULL, NULL},
        {{"POST /v1/transfers", "Idempotency-Key: o", "{'from':'a','to':'b','asset':'USD/2','amount':'1'}"}, 422, "idempotency_key_reused", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

static void lines_each(void **state)
{
    (void)state;
    open_accounts();
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"POST /v1/transfers?mode=each", ND "\nIdempotency-Key: n", LINE("n1", "1")}, 400, "send no Idempotency-Key", NULL, NULL},
        {{"POST /v1/transfers?mode=each", ND, LINE("n1", "1") LINE("n2", "5000") "{'id':'n3'\n" LINE( "n4", "-4") "{'from':'a','to':'b','asset':'USD/2','amount':'1'}\n" LINE("n1", "1") LINE("n1", "2")}, 200, "{'status':201,'replayed':false,'body':{'position':", NULL, NULL},
        {{"POST /v1/transfers?mode=each", ND, LINE("n1", "1") LINE("n2", "5000")}, 200, "{'status':201,'replayed':true,'body':{'position':", NULL, NULL},
        {{"POST /v1/transfers?mode=each", ND, LINE("n2", "5000")}, 200, "{'status':422,'replayed':true,'body':{'type':'urn:holdfast:problem:insufficient_funds'", NULL, NULL},
        {{"POST /v1/transfers?mode=each", ND, LINE("n4", "-4")}, 200, "{'status':400,'replayed':false,'body':{'type':'urn:holdfast:problem:invalid_request','" "title':'The request is malformed','status':400,", NULL, NULL},
        {{"POST /v1/transfers?mode=each", ND, LINE("n4", "-4")}, 200, "'failed':'/amount'", NULL, NULL},
        {{"POST /v1/transfers?mode=each", ND, "{'from':'a','to':'b','asset':'USD/2','amount':'1'}\n"}, 200, "'failed':'/id'", NULL, NULL},
        {{"POST /v1/transfers?mode=each", ND, LINE("n1", "2")}, 200, "{'status':409,'replayed':false,", NULL, NULL},
        {{"GET /v1/accounts/b", NULL, NULL}, 200, "'posted':'1'", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

static void many_lines_each(void **state)
{
    (void)state;
    enum { COUNT = 700 };
    open_accounts();
    struct hf_buffer body;
    hf_buffer_init(&body);
    for (int i = 0; i < COUNT; i++) {
        hf_buffer_format(&body, "{'id':'m%d','from':'a','to':'b','asset':'USD/2','amount':'%d'}\n",
                         i, i == 300 ? 0 : 1);
    }
    hf_buffer_u8(&body, 0);
    struct door_reply reply = {0};
    hf_buffer_init(&reply.body);
    struct door_ask ask = {"POST /v1/transfers?mode=each", ND, (const char *)body.data};
    door_rig_ask(&rig, &ask, &reply);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.content_type, "application/x-ndjson");
    const char *line = (const char *)reply.body.data;
    for (int i = 0; i < COUNT; i++) {
        char wanted[64];
        const char *end = strchr(line, '\n');
        assert_non_null(end);
        (void)snprintf(wanted, sizeof(wanted), "\"transfer\":\"m%d\",", i);
        const char *found = strstr(line, i == 300 ? "amount_invalid" : wanted);
        assert_true(found != NULL && found < end);
        line = end + 1;
    }
    assert_int_equal(*line, '\0');
    /* clang-format off */
    const struct door_row rows[] = {
        {{"GET /v1/accounts/b", NULL, NULL}, 200, "'posted':'699'", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
    hf_buffer_release(&reply.body);
    hf_buffer_release(&body);
}

/* ---- many reads ---- */

static void reads(void **state)
{
    (void)state;
    open_accounts();
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"PUT /v1/documents/d", "If-None-Match: *", " {'x': 1}"}, 201, NULL, NULL, NULL},
        {{"POST /v1/read", NULL, "{'reads':[{'account':'a'},{'document':'d'},{'account':'none'},{'transfer':'fund'}]}"}, 200, "{'position':7,'results':[{'status':200,'version':1,'body':{'id':'a'", "Holdfast-Position: 7", NULL},
        {{"POST /v1/read", NULL, "{'reads':[{'document':'d'}]}"}, 200, "{'status':200,'version':1,'body': {'x': 1}}]}", NULL, NULL},
        {{"POST /v1/read", NULL, "{'reads':[{'account':'none'}]}"}, 200, "{'status':404,'body':{'type':'urn:holdfast:problem:account_not_found'", NULL, NULL},
        {{"POST /v1/read?min_position=7", NULL, "{'reads':[{'account':'a'}]}"}, 200, NULL, NULL, NULL},
        {{"POST /v1/read?min_position=70", NULL, "{'reads':[{'account':'a'}]}"}, 503, "not_ready", NULL, NULL},
        {{"POST /v1/read", NULL, "{'reads':[{'holds':'a'},{'transfers':'a','limit':1},{'entries':'a'}]}"}, 200, "'body':{'data':[],'next':null}", NULL, NULL},
        {{"POST /v1/read", NULL, "{'reads':[{'holds':'a'},{'holds':'a'},{'holds':'a'},{'holds':'a'},{'account':'a'}]}"}, 413, "'failed':'/reads'", NULL, NULL},
        {{"POST /v1/read", NULL, "{'reads':[{'balance':'a','at':'2030-01-01T00:00:00Z','clock':'effective'}]}"}, 200, "'clock':'effective'", NULL, NULL},
        {{"POST /v1/read", NULL, "{'reads':[]}"}, 400, "'failed':'/reads'", NULL, NULL},
        {{"POST /v1/read", NULL, "{'reads':[{}]}"}, 400, "'failed':'/reads/0'", NULL, NULL},
        {{"POST /v1/read", NULL, "{'reads':[{'account':'a','document':'d'}]}"}, 400, "one thing", NULL, NULL},
        {{"POST /v1/read", NULL, "{'reads':[{'account':'a','version':1}]}"}, 400, "no such member", NULL, NULL},
        {{"POST /v1/read", NULL, "{'reads':[{'account':'a b'}]}"}, 400, "'failed':'/reads/0/account'", NULL, NULL},
        {{"POST /v1/read", NULL, "{'reads':[{'account':7}]}"}, 400, "must be a string", NULL, NULL},
        {{"POST /v1/read", NULL, "{'reads':[{'account':'a'}],'x':1}"}, 400, "a read is an object", NULL, NULL},
        {{"POST /v1/read", NULL, "{'reads':[{'account':'a'}"}, 400, "JSON: byte", NULL, NULL},
        {{"POST /v1/read", NULL, "{'reads':[{'account':'a','account':'a'}]}"}, 400, "JSON: byte", NULL, NULL},
        {{"POST /v1/read", NULL, "[]"}, 400, "a read is an object", NULL, NULL},
        {{"POST /v1/read", NULL, "{'reads':[{'balance':'a','clock':'effective'}]}"}, 400, "goes with at", NULL, NULL},
        {{"POST /v1/read", NULL, "{'reads':[{'entries':'a','limit':0}]}"}, 400, "'failed':'/reads/0/limit'", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

/* ---- how the server is ---- */

static void system_routes(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"GET /healthz", "Host: anything", NULL}, 200, "{'status':'ok'}", NULL, NULL},
        {{"GET /readyz", NULL, NULL}, 200, "{'status':'ready'}", NULL, NULL},
        {{"GET /v1/status", NULL, NULL}, 200, "'version':'0.1.0','role':'owner','owner':'test:1'", NULL, NULL},
        {{"GET /v1/limits", NULL, NULL}, 200, "'request_bytes':4194304,", NULL, NULL},
        {{"GET /v1/limits", NULL, NULL}, 200, "'connections':7,", NULL, NULL},
        {{"GET /metrics", NULL, NULL}, 200, "# TYPE holdfast_commits_total counter\nholdfast_commits_total 0\n", NULL, NULL},
        {{"GET /metrics?x=1", NULL, NULL}, 400, NULL, NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
}

static void recorded_answers_survive_a_restart(void **state)
{
    (void)state;
    open_accounts();
    struct door_reply before = {0};
    struct door_reply after = {0};
    hf_buffer_init(&before.body);
    hf_buffer_init(&after.body);
    struct door_ask ask = {
        "POST /v1/holds", "Idempotency-Key: 'h'",
        "{'from':'a','to':'b','asset':'USD/2','amount':'5','timeout_ms':600000}"};
    door_rig_ask(&rig, &ask, &before);
    door_rig_restart(&rig);
    door_rig_ask(&rig, &ask, &after);
    assert_int_equal(before.status, 201);
    assert_int_equal(after.status, 201);
    assert_string_equal((char *)before.body.data, (char *)after.body.data);
    assert_null(strstr(before.headers, "Replayed"));
    assert_non_null(strstr(after.headers, "Idempotent-Replayed: true\r\n"));
    hf_buffer_release(&before.body);
    hf_buffer_release(&after.body);
}

/* ---- short of memory ---- */

/* Each request with its n-th allocation failing, for n = 1, 2, 3 … until none fails: an honest answer each time, and
 * under the same key the right one afterwards. */
static void short_of_memory(void **state)
{
    (void)state;
    open_accounts();
    static const struct door_ask asks[] = {
        {"POST /v1/commits", "Idempotency-Key: K",
         "{'if':[{'account':'a','exists':true}],'do':[{'op':'transfer','from':'a','to':'b','asset':"
         "'USD/"
         "2','amount':'1','metadata':{'x':[1,2]}},{'op':'append','stream':'s','type':'t','data':{}}"
         "]}"},
        {"POST /v1/transfers", "Idempotency-Key: K",
         "{'from':'a','to':'b','asset':'USD/2','amount':'1'}"},
        {"PATCH /v1/accounts/a", "Idempotency-Key: 'K'\nIf-Match: '0'", "{'metadata':{}}"},
        {"PATCH /v1/accounts/a", "Idempotency-Key: 'K'\nIf-Match: '77', '78'", "{'metadata':{}}"},
        {"PUT /v1/accounts/a", "Origin: https://console.example.org", "{'asset':'USD/2'}"},
        {"PUT /v1/accounts/a", NULL, "{'asset':'USD/2','metadata':{'x':1}}"},
        {"PUT /v1/documents/d", "If-None-Match: *", "{'a':'b'}"},
        {"POST /v1/streams/s/events", "Idempotency-Key: K",
         "[{'type':'t','data':{}},{'type':'t','data':{}}]"},
        {"POST /v1/transfers?mode=each", "Content-Type: application/x-ndjson",
         "{'id':'K','from':'a','to':'b','asset':'USD/"
         "2','amount':'1'}\n{'id':'L','from':'a','to':'b','asset':'USD/2','amount':'1'}\n"},
        {"POST /v1/read", NULL, "{'reads':[{'account':'a'},{'document':'\\u0064'}]}"},
        {"GET /v1/accounts/%61?min_position=%31", NULL, NULL},
        {"GET /v1/accounts?prefix=%61", NULL, NULL},
        {"GET /v1/accounts/a/statement?format=csv", NULL, NULL},
        {"GET /v1/nothing", NULL, NULL},
        {"GET /metrics", NULL, NULL},
        {"POST /v1/keys/K/cancel", NULL, "{}"},
    };
    struct door_reply reply = {0};
    hf_buffer_init(&reply.body);
    int all_faults = 0; /* reads are rendered on the node's thread: they may have none here */
    for (size_t i = 0; i < HF_ARRAY_COUNT(asks); i++) {
        bool hit = true;
        int faults = 0;
        for (uint64_t n = 1; hit; n++) {
            rig.fault_at = n;
            door_rig_ask(&rig, &asks[i], &reply);
            hit = rig.fault_hit;
            faults += hit;
            bool honest = reply.status == 503 || reply.status == 429 || reply.body.size_bytes > 1;
            if (!honest || reply.status < 200 || reply.status > 503) {
                print_error("%s, allocation %d: %d %s\n", asks[i].request, (int)n, reply.status,
                            (const char *)reply.body.data);
                fail();
            }
        }
        rig.fault_at = 0;
        all_faults += faults;
    }
    assert_true(all_faults > 40);
    /* clang-format off */
    static const struct door_row rows[] = {
        {{"GET /v1/accounts/world", NULL, NULL}, 200, "'posted':'-1000'", NULL, NULL},
        {{"POST /v1/transfers?mode=each", "Content-Type: application/x-ndjson", "{'id':'L','from':'a','to':'b','asset':'USD/2','amount':'1'}\n"}, 200, "'status':201,'replayed':true", NULL, NULL},
    };
    /* clang-format on */
    RUN(rows);
    hf_buffer_release(&reply.body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(methods_and_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(order_of_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(heads_are_admitted, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_server_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(keys, setup, teardown),
        cmocka_unit_test_setup_teardown(preconditions, setup, teardown),
        cmocka_unit_test_setup_teardown(media_types, setup, teardown),
        cmocka_unit_test_setup_teardown(origins, setup, teardown),
        cmocka_unit_test_setup_teardown(tokens, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_as_one, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_each, setup, teardown),
        cmocka_unit_test_setup_teardown(many_lines_each, setup, teardown),
        cmocka_unit_test_setup_teardown(reads, setup, teardown),
        cmocka_unit_test_setup_teardown(system_routes, setup, teardown),
        cmocka_unit_test_setup_teardown(short_of_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(recorded_answers_survive_a_restart, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
