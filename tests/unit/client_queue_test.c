/* The client's calls of queues: what they send, and what they send again. */
#include <string.h>
#include <time.h>

#include "holdfast_client.h"
#include "unit/scripted_server.h"
#include "unit/support.h"

static struct scripted_server server;
static struct holdfast_client_failure failure;
static struct holdfast_client_answer *answer;

static struct holdfast_client *start(const struct script_step *steps, size_t count,
                                     uint64_t total_ms)
{
    const char *addresses[] = {NULL};
    struct holdfast_client *client;
    scripted_server_start(&server, NULL, steps, count);
    addresses[0] = server.address;
    struct holdfast_client_options options = {
        .addresses = addresses,
        .address_count = 1,
        .request_timeout_ms = 5000,
        .total_timeout_ms = total_ms,
        .backoff_first_ms = 1,
        .backoff_max_ms = 8,
    };
    assert_int_equal(holdfast_client_new(&options, &client, &failure), HOLDFAST_CLIENT_OK);
    return client;
}

static void stop(struct holdfast_client *client)
{
    holdfast_client_answer_free(answer);
    answer = NULL;
    holdfast_client_free(client);
    scripted_server_stop(&server);
}

/* The last request: its first line and its body; has it a key? */
static void assert_sent(enum holdfast_client_error error, const char *line, const char *body,
                        bool keyed)
{
    assert_int_equal(error, HOLDFAST_CLIENT_OK);
    const char *request = server.requests[scripted_server_requests(&server) - 1];
    const char *sent_body = strstr(request, "\r\n\r\n");
    assert_memory_equal(request, line, strlen(line));
    assert_non_null(sent_body);
    assert_string_equal(sent_body + 4, body);
    assert_int_equal(strstr(request, "\r\nIdempotency-Key: \"") != NULL, keyed);
    holdfast_client_answer_free(answer);
    answer = NULL;
}

static void what_is_sent(void **state)
{
    (void)state;
    struct holdfast_client *c = start(NULL, 0, 5000);
    struct holdfast_client_message message = {
        .topic = "t", .key = "k", .type = "made", .data = "{\"a\": 1}", .id = "m1"};
    assert_sent(holdfast_client_publish(c, NULL, &message, &answer, &failure),
                "POST /v1/commits HTTP/1.1",
                "{\"do\":[{\"op\":\"publish\",\"topic\":\"t\",\"key\":\"k\",\"type\":\"made\","
                "\"data\":{\"a\": 1},\"id\":\"m1\"}]}",
                true);
    struct holdfast_client_receive receive = {.subscription = "jobs:1",
                                              .max = 5,
                                              .wait_ms = 100,
                                              .lease_ms = 2000,
                                              .consumer = "me",
                                              .attempt = "a1"};
    assert_sent(holdfast_client_receive(c, NULL, &receive, &answer, &failure),
                "POST /v1/subscriptions/jobs:1/receive HTTP/1.1",
                "{\"attempt\":\"a1\",\"max\":5,\"wait_ms\":100,\"lease_ms\":2000,"
                "\"consumer\":\"me\"}",
                false);
    const char *receipts[] = {"r1", "r2"};
    assert_sent(holdfast_client_ack(c, NULL, "jobs:1", receipts, 2, &answer, &failure),
                "POST /v1/subscriptions/jobs:1/ack HTTP/1.1", "{\"receipts\":[\"r1\",\"r2\"]}",
                false);
    struct holdfast_client_nack nack = {.subscription = "jobs:1",
                                        .receipts = receipts,
                                        .receipt_count = 1,
                                        .error = "no \"answer\"",
                                        .has_delay = true,
                                        .delay_ms = 0};
    assert_sent(holdfast_client_nack(c, NULL, &nack, &answer, &failure),
                "POST /v1/subscriptions/jobs:1/nack HTTP/1.1",
                "{\"receipts\":[\"r1\"],\"error\":\"no \\\"answer\\\"\",\"delay_ms\":0}", true);
    stop(c);
}

static void wrong_arguments_send_nothing(void **state)
{
    (void)state;
    struct holdfast_client *c = start(NULL, 0, 5000);
    struct holdfast_client_message no_data = {.topic = "t", .key = "k", .type = "made"};
    struct holdfast_client_message bad_data = {
        .topic = "t", .key = "k", .type = "made", .data = "{"};
    struct holdfast_client_receive nowhere = {.max = 1};
    assert_int_equal(holdfast_client_publish(c, NULL, &no_data, &answer, &failure),
                     HOLDFAST_CLIENT_INVALID);
    assert_int_equal(holdfast_client_publish(c, NULL, &bad_data, &answer, &failure),
                     HOLDFAST_CLIENT_INVALID);
    assert_int_equal(holdfast_client_receive(c, NULL, &nowhere, &answer, &failure),
                     HOLDFAST_CLIENT_INVALID);
    assert_int_equal(holdfast_client_ack(c, NULL, "s", NULL, 0, &answer, &failure),
                     HOLDFAST_CLIENT_INVALID);
    assert_int_equal(scripted_server_requests(&server), 0);
    stop(c);
}

/* An answer that was lost: the same attempt again, so the same messages. */
static void a_receive_is_sent_again_under_its_attempt(void **state)
{
    (void)state;
    static const struct script_step steps[] = {{SCRIPT_CLOSE, NULL}, {SCRIPT_CLOSE, "HTTP/1.1 2"}};
    struct holdfast_client *c = start(steps, 2, 5000);
    struct holdfast_client_receive receive = {.subscription = "s"};
    assert_int_equal(holdfast_client_receive(c, NULL, &receive, &answer, &failure),
                     HOLDFAST_CLIENT_OK);
    assert_int_equal(scripted_server_requests(&server), 3);
    assert_string_equal(server.requests[0], server.requests[1]);
    assert_string_equal(server.requests[0], server.requests[2]);
    assert_non_null(strstr(server.requests[0], "{\"attempt\":\""));
    /* The next one is another. */
    holdfast_client_answer_free(answer);
    assert_int_equal(holdfast_client_receive(c, NULL, &receive, &answer, &failure),
                     HOLDFAST_CLIENT_OK);
    assert_string_not_equal(server.requests[0], server.requests[3]);
    stop(c);
}

static void an_unknown_receive_tells_its_attempt(void **state)
{
    (void)state;
    struct script_step steps[SCRIPT_STEPS_MAX];
    for (size_t i = 0; i < SCRIPT_STEPS_MAX; i++) {
        steps[i] = (struct script_step){SCRIPT_CLOSE, NULL};
    }
    struct holdfast_client *c = start(steps, SCRIPT_STEPS_MAX, 60);
    struct holdfast_client_receive receive = {.subscription = "s"};
    assert_int_equal(holdfast_client_receive(c, NULL, &receive, &answer, &failure),
                     HOLDFAST_CLIENT_UNKNOWN);
    char body[300];
    (void)snprintf(body, sizeof(body), "{\"attempt\":\"%s\"}", failure.key);
    pthread_mutex_lock(&server.mutex); /* the last request may still be on its way */
    assert_non_null(strstr(server.requests[0], body));
    pthread_mutex_unlock(&server.mutex);
    stop(c);
}

/* The server may wait before it answers: the time-outs have that much more. */
static void a_wait_is_waited_for(void **state)
{
    (void)state;
    static const struct script_step steps[] = {{SCRIPT_SILENT, NULL}, {SCRIPT_SILENT, NULL}};
    scripted_server_start(&server, NULL, steps, 2);
    const char *addresses[] = {server.address};
    struct holdfast_client *c;
    struct holdfast_client_options options = {.addresses = addresses,
                                              .address_count = 1,
                                              .request_timeout_ms = 50,
                                              .total_timeout_ms = 60,
                                              .backoff_first_ms = 1,
                                              .backoff_max_ms = 2};
    assert_int_equal(holdfast_client_new(&options, &c, &failure), HOLDFAST_CLIENT_OK);
    struct holdfast_client_receive receive = {.subscription = "s", .wait_ms = 400};
    struct timespec before;
    (void)clock_gettime(CLOCK_MONOTONIC, &before);
    assert_int_equal(holdfast_client_receive(c, NULL, &receive, &answer, &failure),
                     HOLDFAST_CLIENT_UNKNOWN);
    struct timespec after;
    (void)clock_gettime(CLOCK_MONOTONIC, &after);
    int64_t took_ms =
        (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
    assert_true(took_ms >= 440); /* 450 ms for the first attempt, 460 in all */
    stop(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent),
        cmocka_unit_test(wrong_arguments_send_nothing),
        cmocka_unit_test(a_receive_is_sent_again_under_its_attempt),
        cmocka_unit_test(an_unknown_receive_tells_its_attempt),
        cmocka_unit_test(a_wait_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
