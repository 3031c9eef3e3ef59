/*
 * A kept connection that dies under a request: libcurl would send it once more by itself. Each sending must count as
 * an attempt of its own, for the first one may have been done: what a later answer says of the later sending says
 * nothing of the earlier one.
 */
#include "client/client_priv.h"
#include "unit/client_answers.h"
#include "unit/scripted_server.h"
#include "unit/support.h"

#define FORBIDDEN                                                                                  \
    PROBLEM_HEAD("403 Forbidden")                                                                  \
    "Content-Length: 20\r\n\r\n{\"code\":\"forbidden\"}"

static struct scripted_server server;
static struct holdfast_client_failure failure;
static struct holdfast_client_answer *answer;
static size_t retries;

static void on_retry(void *context, const struct holdfast_client_retry *retry)
{
    (void)context;
    (void)retry;
    retries++;
}

static struct holdfast_client *start(const struct script_step *steps, size_t count,
                                     uint64_t total_ms)
{
    struct holdfast_client *client;
    scripted_server_start(&server, NULL, steps, count);
    const char *addresses[] = {server.address};
    struct holdfast_client_options options = {.addresses = addresses,
                                              .address_count = 1,
                                              .total_timeout_ms = total_ms,
                                              .backoff_first_ms = 1,
                                              .backoff_max_ms = 8,
                                              .on_retry = on_retry};
    retries = 0;
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

static enum holdfast_client_error commit(struct holdfast_client *client, const char *key)
{
    struct holdfast_client_call call = {.key = key};
    holdfast_client_answer_free(answer);
    return holdfast_client_commit(client, &call, "{\"do\":[]}", 9, &answer, &failure);
}

/* The request of "two" is read on a kept connection that then ends without a byte; what comes next says that nothing
 * was done by it, or is not for ever. Then there is no more time. */
static void assert_unknown(const char *then)
{
    const struct script_step steps[] = {{SCRIPT_ANSWER, DONE},
                                        {SCRIPT_CLOSE, NULL},
                                        {SCRIPT_ANSWER, then},
                                        {SCRIPT_ANSWER, OVERLOADED}}; /* for 7 s */
    struct holdfast_client *client = start(steps, 4, 6500);
    assert_int_equal(commit(client, "one"), HOLDFAST_CLIENT_OK);
    assert_int_equal(commit(client, "two"), HOLDFAST_CLIENT_UNKNOWN);
    assert_null(answer);
    assert_string_equal(failure.key, "two");
    assert_int_equal(failure.status, 429);
    assert_string_equal(server.requests[1], server.requests[2]);
    stop(client);
}

static void overloaded_is_not_nothing(void **state)
{
    (void)state;
    assert_unknown(OVERLOADED);
}

static void a_refused_token_is_not_nothing(void **state)
{
    (void)state;
    assert_unknown(UNAUTHORIZED);
    assert_unknown(FORBIDDEN);
}

static void a_stranger_is_not_nothing(void **state)
{
    (void)state;
    assert_unknown(STRANGER);
    assert_unknown(REDIRECT);
}

/* Each sending is counted and told, and what Holdfast itself answers to the key is the truth. */
static void each_sending_is_an_attempt(void **state)
{
    (void)state;
    const struct script_step steps[] = {{SCRIPT_ANSWER, DONE},
                                        {SCRIPT_CLOSE, NULL},
                                        {SCRIPT_ANSWER, DONE},
                                        {SCRIPT_CLOSE, NULL},
                                        {SCRIPT_ANSWER, REFUSED}};
    struct holdfast_client *client = start(steps, 5, 20000);
    assert_int_equal(commit(client, "one"), HOLDFAST_CLIENT_OK);
    assert_int_equal(answer->attempts, 1);
    assert_int_equal(commit(client, "two"), HOLDFAST_CLIENT_OK);
    assert_int_equal(answer->attempts, 2);
    assert_int_equal(retries, 1);
    assert_int_equal(commit(client, "three"), HOLDFAST_CLIENT_OK);
    assert_int_equal(answer->status, 422);
    assert_int_equal(answer->attempts, 2);
    assert_int_equal(scripted_server_requests(&server), 5);
    assert_int_equal(scripted_server_connections(&server), 3); /* none for nothing */
    stop(client);
}

/* A read has changed nothing, whatever became of it: the first answer counts. */
static void reads_take_the_first_answer(void **state)
{
    (void)state;
    const struct script_step steps[] = {
        {SCRIPT_ANSWER, DONE}, {SCRIPT_CLOSE, NULL}, {SCRIPT_ANSWER, FORBIDDEN}};
    struct holdfast_client *client = start(steps, 3, 20000);
    assert_int_equal(commit(client, "one"), HOLDFAST_CLIENT_OK);
    holdfast_client_answer_free(answer);
    assert_int_equal(holdfast_client_read(client, NULL, "account", "a", &answer, &failure),
                     HOLDFAST_CLIENT_OK);
    assert_int_equal(answer->status, 403);
    assert_int_equal(answer->attempts, 2);
    stop(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overloaded_is_not_nothing),
        cmocka_unit_test(a_refused_token_is_not_nothing),
        cmocka_unit_test(a_stranger_is_not_nothing),
        cmocka_unit_test(each_sending_is_an_attempt),
        cmocka_unit_test(reads_take_the_first_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
