/* Unit tests of src/http: streamed answers, and exchanges whose peers go. */
#include "http/http_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "unit/http_rig.h"
#include "unit/support.h"

#define PIECE_BYTES 1000u

static struct rig rig;

static int start(void **state)
{
    (void)state;
    rig_start(&rig, NULL, NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    rig_stop(&rig, 5000);
    return 0;
}

static void wait_until(_Atomic uint64_t *counter, uint64_t value)
{
    for (int i = 0; *counter < value; i++) {
        assert_true(i < 20000);
        (void)usleep(1000);
    }
    assert_int_equal(*counter, value);
}

static void wait_without_streams(void)
{
    for (int i = 0; rig_counts(&rig).streams > 0; i++) {
        assert_true(i < 20000);
        (void)usleep(1000);
    }
}

/* Exactly `size` bytes, to be freed. */
static char *read_bytes(int fd, size_t size)
{
    char *bytes = hf_malloc(size + 1);
    assert_non_null(bytes);
    for (size_t at = 0; at < size;) {
        ssize_t got = recv(fd, bytes + at, size - at, 0);
        assert_true(got > 0);
        at += (size_t)got;
    }
    bytes[size] = '\0';
    return bytes;
}

static void expect_bytes(int fd, const char *text)
{
    char *bytes = read_bytes(fd, strlen(text));
    assert_string_equal(bytes, text);
    hf_free(bytes);
}

static void expect_head(int fd, const char *status, bool in_chunks)
{
    char *head = rig_read_answer(fd, true);
    assert_non_null(strstr(head, status));
    assert_int_equal(strstr(head, "\r\nTransfer-Encoding: chunked\r\n") != NULL, in_chunks);
    assert_null(strstr(head, "Content-Length"));
    hf_free(head);
}

/* The pieces of /stream?count, as one chunk each if in_chunks. */
static void expect_pieces(int fd, uint64_t count, bool in_chunks)
{
    size_t extra = in_chunks ? 5 : 0;
    for (uint64_t i = 0; i < count; i++) {
        char *bytes = read_bytes(fd, PIECE_BYTES + (in_chunks ? 7 : 0));
        if (in_chunks) {
            assert_memory_equal(bytes, "3e8\r\n", 5);
            assert_memory_equal(bytes + 5 + PIECE_BYTES, "\r\n", 2);
        }
        for (size_t at = 0; at < PIECE_BYTES; at += 111) {
            assert_int_equal(bytes[extra + at], 'a' + (int)(i % 26));
        }
        hf_free(bytes);
    }
}

static void a_stream_comes_whole_and_the_connection_goes_on(void **state)
{
    (void)state;
    static const uint64_t counts[] = {0, 1, 2, 100, 1000, 20000};
    int fds[] = {rig_connect(&rig), rig_connect_local(&rig)};
    for (size_t i = 0; i < HF_ARRAY_COUNT(counts); i++) {
        for (size_t k = 0; k < HF_ARRAY_COUNT(fds); k++) {
            char text[128];
            (void)snprintf(text, sizeof(text),
                           "GET /stream?%llu HTTP/1.1\r\nHost: a\r\n\r\n"
                           "GET /now HTTP/1.1\r\nHost: a\r\n\r\n",
                           (unsigned long long)counts[i]);
            rig_send_text(fds[k], text);
            expect_head(fds[k], "HTTP/1.1 200 OK\r\n", true);
            expect_pieces(fds[k], counts[i], true);
            expect_bytes(fds[k], "0\r\n\r\n");
            rig_ask(fds[k], "", "200 OK", "GET /now - ");
        }
    }
    (void)close(fds[0]);
    (void)close(fds[1]);
    wait_without_streams();
    assert_int_equal(rig.gones, 0);
}

static void http_1_0_gets_no_chunks_and_head_no_body(void **state)
{
    (void)state;
    int fd = rig_connect(&rig);
    rig_send_text(fd, "GET /stream?30 HTTP/1.0\r\n\r\n");
    expect_head(fd, "HTTP/1.1 200 OK\r\n", false);
    expect_pieces(fd, 30, false);
    char *rest = rig_read_to_end(fd, NULL);
    assert_string_equal(rest, "");
    hf_free(rest);
    (void)close(fd);
    fd = rig_connect(&rig);
    rig_send_text(fd, "HEAD /stream?30 HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_head(fd, "HTTP/1.1 200 OK\r\n", true);
    rig_ask(fd, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", "GET /now - ");
    rig_send_text(fd, "HEAD /stream?30 HTTP/1.0\r\n\r\n");
    expect_head(fd, "HTTP/1.1 200 OK\r\n", false);
    rest = rig_read_to_end(fd, NULL);
    assert_string_equal(rest, "");
    hf_free(rest);
    (void)close(fd);
}

/* Small windows, and a peer that reads a little now and then: nothing is lost, nothing piles up. */
static void a_slow_peer_gets_all_of_it(void **state)
{
    (void)state;
    int fd = rig_connect_local(&rig);
    int small = 4096;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    rig_send_text(fd, "GET /stream?3000 HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)usleep(20000);
    expect_head(fd, "200 OK", true);
    for (int i = 0; i < 3000; i++) {
        char *bytes = read_bytes(fd, 500);
        hf_free(bytes);
        bytes = read_bytes(fd, 507);
        assert_int_equal(bytes[0], 'a' + i % 26);
        hf_free(bytes);
        if (i % 100 == 0) {
            (void)usleep(2000);
        }
    }
    expect_bytes(fd, "0\r\n\r\n");
    assert_true(rig.rooms >= 3);
    (void)close(fd);
}

static void a_peer_that_does_not_read_is_cut_off(void **state)
{
    (void)state;
    struct hf_http_limits limits = hf_http_limits_default();
    limits.write_ms_max = 100;
    rig_start(&rig, &limits, NULL);
    int deaf = rig_connect(&rig);
    int other = rig_connect(&rig);
    rig_send_text(deaf, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_until(&rig.gones, 1);
    assert_int_equal(rig_counts(&rig).timed_out, 1);
    assert_int_equal(rig_counts(&rig).streams, 0);
    /* What the kernel took and the bounded buffer; no more was ever made. */
    assert_true(rig_counts(&rig).sent_bytes < 64u << 20);
    rig_ask(other, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", "GET /now - ");
    bool is_reset = false;
    char *rest = rig_read_to_end(deaf, &is_reset);
    hf_free(rest);
    (void)close(deaf);
    (void)close(other);
    rig_stop(&rig, 5000);
}

static void a_peer_that_goes_ends_its_stream(void **state)
{
    (void)state;
    int fd = rig_connect(&rig);
    rig_send_text(fd, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_head(fd, "200 OK", true);
    (void)close(fd);
    wait_until(&rig.gones, 1);
    fd = rig_connect(&rig);
    rig_send_text(fd, "GET /follow HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_head(fd, "200 OK", true);
    expect_bytes(fd, "6\r\nbegun\n\r\n");
    rig_tick(&rig, 1);
    expect_bytes(fd, "5\r\ntick\n\r\n");
    (void)close(fd);
    wait_until(&rig.gones, 2);
    wait_without_streams();
}

static void who_waits_learns_that_the_peer_has_gone(void **state)
{
    (void)state;
    uint64_t gones = 0;
    for (int i = 0; i < 30; i++) {
        int fd = i % 2 == 0 ? rig_connect(&rig) : rig_connect_local(&rig);
        rig_send_text(fd, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
        if (i % 3 == 0) {
            wait_until(&rig.handled, (uint64_t)i + 1); /* else it may have gone before */
        }
        if (i % 5 == 0) {
            assert_int_equal(shutdown(fd, SHUT_WR), 0); /* it asks for nothing more: gone, too */
            wait_until(&rig.gones, ++gones);
            (void)close(fd);
        } else {
            (void)close(fd);
            wait_until(&rig.gones, ++gones);
        }
    }
    /* Something unread behind the request makes no difference. */
    int fd = rig_connect(&rig);
    rig_send_text(fd, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\nGET /now HTTP/1.1\r\n");
    wait_until(&rig.handled, 31);
    (void)close(fd);
    wait_until(&rig.gones, ++gones);
    assert_int_equal(rig.answered, 31);
}

static void a_stop_is_told_and_what_is_said_arrives(void **state)
{
    (void)state;
    int waiting = rig_connect(&rig);
    rig_send_text(waiting, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    int following = rig_connect(&rig);
    rig_send_text(following, "GET /follow HTTP/1.1\r\nHost: a\r\n\r\n");
    int endless = rig_connect(&rig);
    rig_send_text(endless, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_head(endless, "200 OK", true);
    rig_tick(&rig, 1);
    expect_head(following, "200 OK", true);
    expect_bytes(following, "6\r\nbegun\n\r\n5\r\ntick\n\r\n");
    wait_until(&rig.handled, 3);
    rig_stop(&rig, 100); /* endless is not read: it ends with the time */
    expect_bytes(following, "5\r\nstop\n\r\n0\r\n\r\n");
    char *answer = rig_read_to_end(waiting, NULL);
    assert_non_null(strstr(answer, "\r\n\r\nstop"));
    hf_free(answer);
    assert_int_equal(rig.stops, 3);
    (void)close(waiting);
    (void)close(following);
    (void)close(endless);
    rig_start(&rig, NULL, NULL);
}

static void streams_are_counted_and_limited(void **state)
{
    (void)state;
    struct hf_http_limits limits = hf_http_limits_default();
    limits.streams_max = 2;
    rig_start(&rig, &limits, NULL);
    int fds[2];
    for (size_t i = 0; i < HF_ARRAY_COUNT(fds); i++) {
        fds[i] = rig_connect(&rig);
        rig_send_text(fds[i], "GET /follow HTTP/1.1\r\nHost: a\r\n\r\n");
        expect_head(fds[i], "200 OK", true);
    }
    assert_int_equal(rig_counts(&rig).streams, 2);
    int fd = rig_connect(&rig);
    rig_ask(fd, "GET /stream?1 HTTP/1.1\r\nHost: a\r\n\r\n", "429", NULL);
    (void)close(fds[0]);
    wait_until(&rig.gones, 1);
    rig_send_text(fd, "GET /stream?1 HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_head(fd, "200 OK", true);
    expect_pieces(fd, 1, true);
    expect_bytes(fd, "0\r\n\r\n");
    (void)close(fds[1]);
    (void)close(fd);
    rig_stop(&rig, 5000);
}

/* Whichever allocation fails: the stream is whole, or it ends without its last chunk. */
static void short_memory_never_ends_a_stream_as_if_it_were_whole(void **state)
{
    (void)state;
    int cut = 0;
    for (uint64_t n = 1; n <= 40; n++) {
        int fd = rig_connect(&rig);
        char text[160];
        (void)snprintf(text, sizeof(text),
                       "GET /fault?%llu HTTP/1.1\r\nHost: a\r\n\r\n"
                       "GET /stream?700 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                       (unsigned long long)n);
        rig_send_text(fd, text);
        char *all = rig_read_to_end(fd, NULL);
        char *chunks = strstr(all, "chunked\r\n");
        size_t size = strlen(all);
        bool whole = size > 5 && memcmp(all + size - 5, "0\r\n\r\n", 5) == 0;
        if (whole) {
            assert_non_null(chunks);
            assert_true(size > 700 * 1007);
        } else {
            cut++;
        }
        hf_free(all);
        (void)close(fd);
        /* What is left of the fault may hit these. */
        for (bool again = true; again;) {
            fd = rig_connect(&rig);
            rig_send_text(fd, "GET /fault?0 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            all = rig_read_to_end(fd, NULL);
            again = strstr(all, "200 OK") == NULL;
            hf_free(all);
            (void)close(fd);
        }
    }
    assert_true(cut >= 1 && cut < 40);
    wait_without_streams();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_stream_comes_whole_and_the_connection_goes_on, start,
                                        stop),
        cmocka_unit_test_setup_teardown(http_1_0_gets_no_chunks_and_head_no_body, start, stop),
        cmocka_unit_test_setup_teardown(a_slow_peer_gets_all_of_it, start, stop),
        cmocka_unit_test(a_peer_that_does_not_read_is_cut_off),
        cmocka_unit_test_setup_teardown(a_peer_that_goes_ends_its_stream, start, stop),
        cmocka_unit_test_setup_teardown(who_waits_learns_that_the_peer_has_gone, start, stop),
        cmocka_unit_test_setup_teardown(a_stop_is_told_and_what_is_said_arrives, start, stop),
        cmocka_unit_test(streams_are_counted_and_limited),
        cmocka_unit_test_setup_teardown(short_memory_never_ends_a_stream_as_if_it_were_whole, start,
                                        stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
