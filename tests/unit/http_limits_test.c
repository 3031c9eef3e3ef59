/* Unit tests of src/http's server: time-outs, crowds, limits of all together. Limits are tiny, so that they are met. */
#include "http/http_server.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "unit/http_rig.h"
#include "unit/support.h"

#define GET "GET /now HTTP/1.1\r\nHost: a\r\n\r\n"

/* Time-outs of these kinds are met; the others are far away. */
static struct hf_http_limits limits_of(uint32_t head_ms, uint32_t body_ms, uint32_t idle_ms,
                                       uint32_t write_ms)
{
    struct hf_http_limits limits = hf_http_limits_default();
    limits.head_ms_max = head_ms == 0 ? 60000 : head_ms;
    limits.body_ms_max = body_ms == 0 ? 60000 : body_ms;
    limits.idle_ms_max = idle_ms == 0 ? 60000 : idle_ms;
    limits.write_ms_max = write_ms == 0 ? 60000 : write_ms;
    return limits;
}

static void expect_end(int fd, const char *part)
{
    char *answer = rig_read_to_end(fd, NULL);
    if (part == NULL) {
        assert_string_equal(answer, "");
    } else {
        assert_non_null(strstr(answer, part));
    }
    hf_free(answer);
    (void)close(fd);
}

static void slow_heads_are_cut_off(void **state)
{
    (void)state;
    struct rig rig;
    struct hf_http_limits limits = limits_of(50, 0, 0, 0);
    rig_start(&rig, &limits, NULL);
    int other = rig_connect(&rig);
    rig_ask(other, GET, "200", "GET /now");
    int part = rig_connect(&rig);
    rig_send_text(part, "GET /now HTTP/1.1\r\nHost: a\r\nA");
    expect_end(part, "HTTP/1.1 408 Request Timeout\r\n");
    /* A byte now and then does not help. */
    int drip = rig_connect(&rig);
    rig_send_text(drip, "GET /now HTTP/1.1\r\nHost: a\r\nA: ");
    while (send(drip, "b", 1, MSG_NOSIGNAL) == 1 && rig_counts(&rig).timed_out < 2) {
        (void)usleep(5000);
    }
    expect_end(drip, "refused 408");
    /* Nor does the beginning of a second request behind a whole one. */
    int second = rig_connect(&rig);
    rig_send_text(second, GET "G");
    expect_end(second, "refused 408");
    rig_ask(other, GET, "200", "GET /now");
    (void)close(other);
    assert_int_equal(rig_counts(&rig).timed_out, 3);
    rig_stop(&rig, 5000);
}

static void slow_bodies_are_cut_off(void **state)
{
    (void)state;
    struct rig rig;
    struct hf_http_limits limits = limits_of(0, 50, 0, 0);
    rig_start(&rig, &limits, NULL);
    int other = rig_connect(&rig);
    static const char *const texts[] = {
        "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nhello",
        "POST /now HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
        "POST /now HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhello",
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(texts); i++) {
        int fd = rig_connect(&rig);
        rig_send_text(fd, texts[i]);
        expect_end(fd, "refused 408: the request did not come in time");
        rig_ask(other, GET, "200", "GET /now");
    }
    (void)close(other);
    assert_int_equal(rig_counts(&rig).timed_out, HF_ARRAY_COUNT(texts));
    assert_int_equal(rig_counts(&rig).body_bytes_held, 0);
    rig_stop(&rig, 5000);
}

static void idle_connections_are_closed_without_a_word(void **state)
{
    (void)state;
    struct rig rig;
    struct hf_http_limits limits = limits_of(0, 0, 50, 0);
    rig_start(&rig, &limits, NULL);
    expect_end(rig_connect(&rig), NULL);
    int fd = rig_connect(&rig);
    rig_ask(fd, GET, "200", "GET /now");
    expect_end(fd, NULL);
    /* While its exchange is under way a connection is not idle. */
    int held = rig_connect(&rig);
    rig_send_text(held, "GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_wait_held(&rig, 1);
    expect_end(rig_connect(&rig), NULL);
    rig_release(&rig);
    expect_end(held, "GET /held");
    assert_int_equal(rig_counts(&rig).timed_out, 0);
    rig_stop(&rig, 5000);
}

static void peers_that_do_not_read_are_cut_off(void **state)
{
    (void)state;
    struct rig rig;
    struct hf_http_limits limits = limits_of(0, 0, 0, 50);
    rig_start(&rig, &limits, NULL);
    int other = rig_connect(&rig);
    int deaf = rig_connect(&rig);
    rig_send_text(deaf, "GET /size?50000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    while (rig_counts(&rig).timed_out == 0) {
        rig_ask(other, GET, "200", "GET /now");
    }
    bool is_reset;
    char *answer = rig_read_to_end(deaf, &is_reset);
    assert_true(is_reset || strlen(answer) < 50000000);
    hf_free(answer);
    (void)close(deaf);
    /* Nor may one go on sending requests whose answers it does not read. */
    int flood = rig_connect(&rig);
    struct timeval patience = {.tv_usec = 10000};
    assert_int_equal(setsockopt(flood, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
    while (rig_counts(&rig).timed_out == 1) {
        static const char text[] = "GET /size?60000 HTTP/1.1\r\nHost: a\r\n\r\n";
        (void)send(flood, text, sizeof(text) - 1, MSG_NOSIGNAL);
    }
    (void)close(flood);
    rig_ask(other, GET, "200", "GET /now");
    (void)close(other);
    rig_stop(&rig, 5000);
}

static void what_is_not_read_any_more_is_dropped_for_a_while_only(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, NULL);
    int fd = rig_connect(&rig);
    rig_send_text(fd, "nonsense\r\n");
    char *answer = rig_read_answer(fd, false);
    assert_non_null(strstr(answer, "refused 400"));
    hf_free(answer);
    /* The peer goes on sending: in the end the connection is gone. */
    while (send(fd, "more nonsense", 13, MSG_NOSIGNAL) == 13) {
        (void)usleep(1000);
    }
    (void)close(fd);
    assert_int_equal(rig_counts(&rig).connections, 0);
    rig_stop(&rig, 5000);
}

static void a_thousand_connections_are_served(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct rlimit files;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    /* Both ends of each are in this process. */
    files.rlim_cur = files.rlim_max < 4096 ? files.rlim_max : 4096;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_cur < 2 * COUNT + 100) {
        skip();
    }
    struct rig rig;
    struct hf_http_limits limits = hf_http_limits_default();
    limits.connections_max = COUNT + 10;
    rig_start(&rig, &limits, NULL);
    static int fds[COUNT];
    for (int i = 0; i < COUNT; i++) {
        fds[i] = rig_connect(&rig);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            rig_send_text(fds[i], round == 1 ? "GET /now HTTP/1.1\r\nHo" : GET);
        }
        for (int i = 0; i < COUNT; i++) {
            rig_ask(fds[i], round == 1 ? "st: a\r\n\r\n" : "", "200", "GET /now");
        }
    }
    struct hf_http_counts counts = rig_counts(&rig);
    assert_int_equal(counts.connections, COUNT);
    assert_int_equal(counts.accepted, COUNT);
    assert_int_equal(counts.requests, 3 * COUNT);
    for (int i = 0; i < COUNT; i++) {
        (void)close(fds[i]);
    }
    while (rig_counts(&rig).connections > 0) {
        (void)usleep(1000);
    }
    rig_stop(&rig, 5000);
}

static void a_new_connection_replaces_the_longest_idle(void **state)
{
    (void)state;
    struct rig rig;
    struct hf_http_limits limits = hf_http_limits_default();
    limits.connections_max = 3;
    rig_start(&rig, &limits, NULL);
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = rig_connect(&rig);
        rig_ask(fds[i], GET, "200", "GET /now");
    }
    rig_ask(fds[0], GET, "200", "GET /now"); /* now the second is the longest idle */
    int fourth = rig_connect(&rig);
    rig_ask(fourth, GET, "200", "GET /now");
    expect_end(fds[1], NULL);
    /* With all three busy, the new one has to go. */
    const int busy[] = {fds[0], fds[2], fourth};
    for (int i = 0; i < 3; i++) {
        rig_send_text(busy[i], "GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    rig_wait_held(&rig, 3);
    expect_end(rig_connect(&rig), NULL);
    rig_release(&rig);
    for (int i = 0; i < 3; i++) {
        rig_ask(busy[i], "", "200", "GET /held");
    }
    assert_int_equal(rig_counts(&rig).connections, 3);
    for (int i = 0; i < 3; i++) {
        (void)close(busy[i]);
    }
    rig_stop(&rig, 5000);
}

static void slow_heads_keep_nobody_out(void **state)
{
    (void)state;
    struct rig rig;
    struct hf_http_limits limits = hf_http_limits_default();
    limits.connections_max = 3;
    rig_start(&rig, &limits, NULL);
    int slow[3];
    for (int i = 0; i < 3; i++) {
        uint64_t before = rig_counts(&rig).received_bytes;
        slow[i] = rig_connect(&rig);
        rig_send_text(slow[i], "GET /now HTTP/1.1\r\n");
        while (rig_counts(&rig).received_bytes == before) {
            (void)usleep(100);
        }
    }
    int fd = rig_connect(&rig);
    rig_ask(fd, GET, "200", "GET /now");
    expect_end(slow[0], NULL);
    rig_ask(slow[1], "Host: a\r\n\r\n", "200", "GET /now");
    (void)close(fd);
    (void)close(slow[1]);
    (void)close(slow[2]);
    rig_stop(&rig, 5000);
}

static void bodies_are_limited_in_all(void **state)
{
    (void)state;
    struct rig rig;
    struct hf_http_limits limits = hf_http_limits_default();
    limits.body_bytes_in_all = 100000;
    rig_start(&rig, &limits, NULL);
    int held = rig_connect(&rig);
    char *body = hf_malloc(60000);
    assert_non_null(body);
    memset(body, 'b', 60000);
    rig_send_text(held, "POST /held HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n");
    rig_send(held, body, 60000);
    rig_wait_held(&rig, 1);
    assert_int_equal(rig_counts(&rig).body_bytes_held, 60000);
    static const char *const heads[] = {
        "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n",
        "POST /now HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nEA60\r\n",
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(heads); i++) {
        int fd = rig_connect(&rig);
        rig_send_text(fd, heads[i]);
        rig_send(fd, body, 60000);
        char *answer = rig_read_to_end(fd, NULL);
        assert_memory_equal(answer, "HTTP/1.1 429 Too Many Requests\r\n", 32);
        assert_non_null(
            strstr(answer, "\r\nRetry-After: 1\r\nConnection: close\r\n\r\nrefused 429"));
        hf_free(answer);
        (void)close(fd);
    }
    int small = rig_connect(&rig);
    rig_ask(small, "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok", "200",
            "POST /now - ok");
    rig_release(&rig);
    rig_ask(held, "", "200", "POST /held - bbb");
    /* Now there is room. */
    rig_send_text(small, heads[0]);
    rig_send(small, body, 60000);
    rig_ask(small, "", "200", "POST /now - bbb");
    assert_int_equal(rig_counts(&rig).body_bytes_held, 0);
    hf_free(body);
    (void)close(small);
    (void)close(held);
    rig_stop(&rig, 5000);
}

/* Exchanges resumed by another thread while clients come, go and are cut off. */
static void *ask_again_and_again(void *context)
{
    struct rig *rig = context;
    for (int i = 0; i < 200; i++) {
        int fd = rig_connect(rig);
        rig_send_text(fd, "GET /later?1 HTTP/1.1\r\nHost: a\r\n\r\n"
                          "GET /later?2 HTTP/1.1\r\nHost: a\r\n\r\n");
        if (i % 3 == 0) {
            (void)close(fd); /* without a look at the answers */
            continue;
        }
        rig_ask(fd, "", "200", "GET /later 1");
        rig_ask(fd, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n", "200", "GET /later 2");
        rig_ask(fd, "", "200", "GET /now");
        (void)close(fd);
    }
    return NULL;
}

static void crowds_that_come_and_go_are_served(void **state)
{
    (void)state;
    struct rig rig;
    rig_start(&rig, NULL, NULL);
    pthread_t threads[8];
    for (size_t i = 0; i < HF_ARRAY_COUNT(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask_again_and_again, &rig), 0);
    }
    for (size_t i = 0; i < HF_ARRAY_COUNT(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(rig_counts(&rig).accepted, 8 * 200);
    assert_int_equal(rig_counts(&rig).refused, 0);
    rig_stop(&rig, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_heads_are_cut_off),
        cmocka_unit_test(slow_bodies_are_cut_off),
        cmocka_unit_test(idle_connections_are_closed_without_a_word),
        cmocka_unit_test(peers_that_do_not_read_are_cut_off),
        cmocka_unit_test(what_is_not_read_any_more_is_dropped_for_a_while_only),
        cmocka_unit_test(a_thousand_connections_are_served),
        cmocka_unit_test(a_new_connection_replaces_the_longest_idle),
        cmocka_unit_test(slow_heads_keep_nobody_out),
        cmocka_unit_test(bodies_are_limited_in_all),
        cmocka_unit_test(crowds_that_come_and_go_are_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
