/* Unit tests of src/http's server over loopback sockets: what it answers, and in which order. */
#include "http/http_server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "unit/http_rig.h"
#include "unit/support.h"

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

static void never(void *context, struct hf_http_exchange *exchange)
{
    (void)context;
    (void)exchange;
    HF_CHECK(false);
}

static void requests_follow_each_other_on_one_connection(void **state)
{
    (void)state;
    int fd = rig_connect(&rig);
    for (int i = 0; i < 100; i++) {
        rig_ask(fd,
                i % 2 == 0 ? "GET /now?a=%20b HTTP/1.1\r\nHost: a\r\n\r\n"
                           : "GET /later?a=%20b HTTP/1.1\r\nHost: a\r\n\r\n",
                "200 OK", i % 2 == 0 ? "GET /now a=%20b " : "GET /later a=%20b ");
    }
    rig_ask(fd, "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "200 OK",
            "POST /now - hello");
    rig_ask(fd, "BREW /now? HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", "BREW /now  ");
    (void)close(fd);
    struct hf_http_counts counts = rig_counts(&rig);
    assert_int_equal(counts.accepted, 1);
    assert_int_equal(counts.requests, 102);
    assert_int_equal(counts.refused, 0);
    assert_int_equal(counts.body_bytes_held, 0);
    assert_true(counts.received_bytes > 3000 && counts.sent_bytes > 10000);
}

static void an_answer_has_its_headers(void **state)
{
    (void)state;
    int fd = rig_connect(&rig);
    rig_send_text(fd, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n");
    char *answer = rig_read_answer(fd, false);
    char *date = strstr(answer, "\r\nDate: ");
    assert_non_null(date);
    assert_memory_equal(date + 33, " GMT\r\n", 6);
    memset(date + 8, 'D', 29);
    assert_string_equal(answer, "HTTP/1.1 200 OK\r\nDate: DDDDDDDDDDDDDDDDDDDDDDDDDDDDD\r\n"
                                "Content-Type: text/plain\r\nContent-Length: 11\r\n\r\n"
                                "GET /now - ");
    hf_free(answer);
    rig_send_text(fd, "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n");
    answer = rig_read_answer(fd, false);
    assert_non_null(strstr(answer, "HTTP/1.1 204 No Content\r\nDate: "));
    assert_null(strstr(answer, "Content-"));
    hf_free(answer);
    /* The answer to HEAD has the head that GET's would have. */
    rig_send_text(fd, "HEAD /size?1000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    answer = rig_read_answer(fd, true);
    assert_non_null(strstr(answer, "\r\nContent-Length: 1000000\r\n"));
    hf_free(answer);
    rig_ask(fd, "POST /secret HTTP/1.1\r\nHost: a\r\n\r\n", "401 Unauthorized", "POST /secret");
    rig_ask(fd, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", "GET /now - ");
    (void)close(fd);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    int fd = rig_connect(&rig);
    struct hf_buffer text = {0};
    for (int i = 0; i < 200; i++) {
        static const char *const paths[] = {"now", "later", "now", "size"};
        hf_buffer_format(&text, "POST /%s?%d HTTP/1.1\r\nHost: a\r\n%s", paths[i % 4], 100000 + i,
                         i % 3 == 0 ? "Content-Length: 3\r\n\r\nabc"
                                    : "Transfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n");
    }
    rig_send(fd, (char *)text.data, text.size_bytes);
    for (int i = 0; i < 200; i++) {
        char *answer = rig_read_answer(fd, false);
        char wanted[64];
        if (i % 4 == 3) {
            (void)snprintf(wanted, sizeof(wanted), "Content-Length: %d\r\n", 100000 + i);
        } else {
            (void)snprintf(wanted, sizeof(wanted), "POST /%s %d %s", i % 4 == 1 ? "later" : "now",
                           100000 + i, i % 3 == 0 ? "abc" : "xyz");
        }
        assert_non_null(strstr(answer, wanted));
        hf_free(answer);
    }
    hf_buffer_release(&text);
    (void)close(fd);
}

static void a_request_may_come_in_two_pieces(void **state)
{
    (void)state;
    static const char text[] =
        "POST /later HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n4;e=f\r\ndefg\r\n0\r\nt: u\r\n\r\n";
    int fd = rig_connect(&rig);
    for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
        uint64_t before = rig_counts(&rig).received_bytes;
        rig_send(fd, text, cut);
        while (rig_counts(&rig).received_bytes < before + cut) {
            (void)usleep(100);
        }
        rig_ask(fd, text + cut, "200 OK", "POST /later - abcdefg");
    }
    (void)close(fd);
}

/* size bytes, other ones at each place. */
static char *pattern_of(size_t size)
{
    char *bytes = hf_malloc(size + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (char)('a' + i * i % 23);
    }
    bytes[size] = '\0';
    return bytes;
}

static void check_echo(int fd, const char *bytes, size_t size)
{
    char *answer = rig_read_answer(fd, false);
    char *content = strstr(answer, "\r\n\r\n");
    assert_non_null(content);
    assert_memory_equal(content + 4, "POST /now - ", 12);
    assert_int_equal(strlen(content + 16), size);
    assert_memory_equal(content + 16, bytes, size);
    hf_free(answer);
}

static void large_bodies_come_whole(void **state)
{
    (void)state;
    static const size_t sizes[] = {4000, 4096, 65536, 65537, 300000, 4194304};
    for (size_t i = 0; i < HF_ARRAY_COUNT(sizes); i++) {
        int fd = rig_connect(&rig);
        char *bytes = pattern_of(sizes[i]);
        char head[256];
        (void)snprintf(head, sizeof(head),
                       "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", sizes[i]);
        rig_send_text(fd, head);
        rig_send(fd, bytes, sizes[i]);
        check_echo(fd, bytes, sizes[i]);
        rig_send_text(fd, "POST /now HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (size_t at = 0, step = 1; at < sizes[i]; at += step, step = step * 3 + 1) {
            step = step < sizes[i] - at ? step : sizes[i] - at;
            (void)snprintf(head, sizeof(head), "%zX\r\n", step);
            rig_send_text(fd, head);
            rig_send(fd, bytes + at, step);
            rig_send_text(fd, "\r\n");
        }
        rig_send_text(fd, "0\r\n\r\n");
        check_echo(fd, bytes, sizes[i]);
        hf_free(bytes);
        (void)close(fd);
    }
    assert_int_equal(rig_counts(&rig).body_bytes_held, 0);
}

static void a_body_is_read_only_when_it_is_admitted(void **state)
{
    (void)state;
    int fd = rig_connect(&rig);
    rig_send_text(fd, "POST /now HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                      "Content-Length: 5\r\n\r\n");
    char *answer = rig_read_answer(fd, false);
    assert_string_equal(answer, "HTTP/1.1 100 Continue\r\n\r\n");
    hf_free(answer);
    rig_ask(fd, "hello", "200 OK", "POST /now - hello");
    rig_send_text(fd, "POST /later HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n");
    answer = rig_read_answer(fd, false);
    assert_string_equal(answer, "HTTP/1.1 100 Continue\r\n\r\n");
    hf_free(answer);
    rig_ask(fd, "5\r\nhello\r\n0\r\n\r\n", "200 OK", "POST /later - hello");
    /* Who does not wait is not told to go on. */
    rig_ask(
        fd,
        "POST /now HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
        "200 OK", "POST /now - hello");
    rig_ask(fd, "GET /now HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", "200 OK",
            "GET /now - ");
    (void)close(fd);
    static const char *const refused[] = {
        "POST /secret HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        "POST /secret HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\nabc",
        "POST /secret HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(refused); i++) {
        fd = rig_connect(&rig);
        rig_send_text(fd, refused[i]);
        bool is_reset;
        answer = rig_read_to_end(fd, &is_reset);
        assert_false(is_reset);
        assert_memory_equal(answer, "HTTP/1.1 401 Unauthorized\r\n", 27);
        assert_non_null(strstr(answer, "\r\nWWW-Authenticate: Bearer\r\nConnection: close\r\n\r\n"
                                       "not admitted"));
        hf_free(answer);
        (void)close(fd);
    }
}

static void a_refused_body_does_not_cost_the_answer(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 4194305\r\n\r\n",
        "POST /now HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n400001\r\n",
    };
    char *bytes = pattern_of(4194305);
    for (size_t i = 0; i < HF_ARRAY_COUNT(heads); i++) {
        int fd = rig_connect(&rig);
        rig_send_text(fd, heads[i]);
        rig_send(fd, bytes, 4194305); /* all of it, without a look at the answer */
        bool is_reset;
        char *answer = rig_read_to_end(fd, &is_reset);
        assert_false(is_reset);
        assert_memory_equal(answer, "HTTP/1.1 413 Content Too Large\r\n", 32);
        assert_non_null(
            strstr(answer, "Connection: close\r\n\r\nrefused 413: the body is too large"));
        hf_free(answer);
        (void)close(fd);
    }
    hf_free(bytes);
    assert_int_equal(rig_counts(&rig).refused, 2);
}

static void a_connection_ends_when_it_is_asked_to(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "GET /now HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /later HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n",
        "GET /close HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /now HTTP/1.0\r\n\r\n",
        "GET /later HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        /* What is pipelined behind it is not looked at. */
        "GET /close HTTP/1.1\r\nHost: a\r\n\r\nGET /now HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(texts); i++) {
        int fd = rig_connect(&rig);
        rig_send_text(fd, texts[i]);
        bool is_reset;
        char *answer = rig_read_to_end(fd, &is_reset);
        assert_false(is_reset);
        assert_non_null(strstr(answer, "HTTP/1.1 200 OK\r\n"));
        assert_non_null(strstr(answer, "\r\nConnection: close\r\n\r\nGET /"));
        assert_null(strstr(answer + 1, "HTTP/1.1 "));
        hf_free(answer);
        (void)close(fd);
    }
}

static void half_closed_peers_get_their_answers(void **state)
{
    (void)state;
    int fd = rig_connect(&rig);
    rig_send_text(
        fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\nGET /size?200000 HTTP/1.1\r\nHost: a\r\n\r\n"
            "GET /held HTTP/1.1\r\nHost: a\r\n\r\nGET /now HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    rig_wait_held(&rig, 1);
    rig_release(&rig);
    bool is_reset;
    char *answers = rig_read_to_end(fd, &is_reset);
    assert_false(is_reset);
    assert_non_null(strstr(answers, "GET /later"));
    assert_non_null(strstr(answers, "GET /held"));
    assert_non_null(strstr(answers, "GET /now"));
    assert_true(strlen(answers) > 200000);
    hf_free(answers);
    (void)close(fd);
    fd = rig_connect(&rig);
    rig_send_text(fd, "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    answers = rig_read_to_end(fd, &is_reset);
    assert_non_null(strstr(answers, "refused 400: the request ended before it was whole"));
    hf_free(answers);
    (void)close(fd);
}

static void large_answers_arrive_whole(void **state)
{
    (void)state;
    int fd = rig_connect(&rig);
    for (int i = 0; i < 2; i++) {
        rig_send_text(fd, "GET /size?30000000 HTTP/1.1\r\nHost: a\r\n\r\n"
                          "GET /size?65536 HTTP/1.1\r\nHost: a\r\n\r\n"
                          "GET /now HTTP/1.1\r\nHost: a\r\n\r\n");
        static const size_t sizes[] = {30000000, 65536, 11};
        for (size_t j = 0; j < HF_ARRAY_COUNT(sizes); j++) {
            char *answer = rig_read_answer(fd, false);
            assert_int_equal(strlen(strstr(answer, "\r\n\r\n") + 4), sizes[j]);
            hf_free(answer);
        }
    }
    (void)close(fd);
}

static void garbage_is_refused_and_others_go_on(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *status;
    } garbage[] = {
        {"\x16\x03\x01\x02\x00\x01", "400"},
        {"GET / HTTP/1.1\nHost: a\n\n", "400"},
        {"GET / HTTP/1.1\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a\r\na: b\r\n c\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         "400"},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "501"},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello", "400"},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"},
        {"GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", "417"},
        {"GET /now HTTP/1.1\r\nHost: a\r\n\r\nlots of garbage behind\r\n", "200"},
    };
    int other = rig_connect(&rig);
    for (size_t i = 0; i < HF_ARRAY_COUNT(garbage); i++) {
        int fd = rig_connect(&rig);
        rig_send_text(fd, garbage[i].text);
        rig_ask(other, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", "GET /later - ");
        bool is_reset;
        char *answer = rig_read_to_end(fd, &is_reset);
        assert_false(is_reset);
        assert_memory_equal(answer + 9, garbage[i].status, 3);
        assert_non_null(strstr(answer, "Connection: close\r\n\r\nrefused "));
        hf_free(answer);
        (void)close(fd);
    }
    (void)close(other);
}

static void heads_beyond_the_limits_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *before;
        size_t count;
        const char *answer;
    } cases[] = {
        {"GET /", 8193, "HTTP/1.1 414 URI Too Long\r\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\na: ", 17000,
         "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(cases); i++) {
        int fd = rig_connect(&rig);
        char *bytes = pattern_of(cases[i].count);
        rig_send_text(fd, cases[i].before);
        rig_send(fd, bytes, cases[i].count);
        rig_send_text(fd, " HTTP/1.1\r\nHost: a\r\n\r\n");
        char *answer = rig_read_to_end(fd, NULL);
        assert_memory_equal(answer, cases[i].answer, strlen(cases[i].answer));
        hf_free(answer);
        hf_free(bytes);
        (void)close(fd);
    }
    int fd = rig_connect(&rig);
    char *bytes = pattern_of(8000);
    rig_send_text(fd, "GET /now?");
    rig_send(fd, bytes, 8000);
    rig_ask(fd, " HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", bytes);
    hf_free(bytes);
    (void)close(fd);
}

static void a_peer_that_goes_away_takes_nothing_with_it(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        int fd = rig_connect(&rig);
        int local = rig_connect_local(&rig);
        rig_send_text(fd, "GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
        rig_send_text(local, "GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
        rig_wait_held(&rig, 2);
        if (i > 0) {
            struct linger reset = {.l_onoff = 1, .l_linger = 0};
            assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        }
        (void)close(fd);
        (void)close(local);
        if (i == 2) {
            int other = rig_connect(&rig);
            rig_ask(other, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", "GET /now");
            (void)close(other);
        }
        rig_release(&rig);
        while (rig.answered < rig.handled) {
            (void)usleep(100);
        }
    }
    int fd = rig_connect(&rig);
    rig_ask(fd, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", "GET /now");
    (void)close(fd);
}

static void the_local_socket_is_for_its_owner(void **state)
{
    (void)state;
    char path[128];
    struct stat status;
    (void)snprintf(path, sizeof(path), "%s/socket", rig.directory);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    int fd = rig_connect_local(&rig);
    rig_ask(fd, "GET /now HTTP/1.1\r\nHost: localhost\r\n\r\n", "200 OK", "GET /now - local ");
    (void)close(fd);
    /* A second server does not take it away; a dead one's is replaced. */
    struct hf_http_limits limits = hf_http_limits_default();
    struct hf_http_handler handler = {.handle = never};
    struct hf_http_server *second;
    struct hf_error error = {0};
    assert_int_equal(hf_http_server_new(&limits, &handler, &second, &error), HF_ERR_OK);
    char address[160];
    (void)snprintf(address, sizeof(address), "unix:%s", path);
    assert_int_equal(hf_http_server_listen(second, address, NULL, &error), HF_ERR_EXISTS);
    (void)snprintf(path, sizeof(path), "%s/stale", rig.directory);
    int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    (void)snprintf(name.sun_path, sizeof(name.sun_path), "%s/stale", rig.directory);
    assert_int_equal(bind(stale, (struct sockaddr *)&name, sizeof(name)), 0);
    (void)close(stale);
    (void)snprintf(address, sizeof(address), "unix:%s", path);
    assert_int_equal(hf_http_server_listen(second, address, NULL, &error), HF_ERR_OK);
    hf_http_server_stop(second, 0);
    assert_int_equal(stat(path, &status), -1);
    rig_ask(fd = rig_connect_local(&rig), "GET /now HTTP/1.1\r\nHost: a\r\n\r\n", "200", "local");
    (void)close(fd);
}

static void addresses_are_checked(void **state)
{
    (void)state;
    struct hf_http_limits limits = hf_http_limits_default();
    struct hf_http_handler handler = {.handle = never};
    struct hf_http_server *server;
    struct hf_error error = {0};
    assert_int_equal(hf_http_server_new(&limits, &handler, &server, &error), HF_ERR_OK);
    static const char *const wrong[] = {"",
                                        "7070",
                                        "localhost",
                                        "a:b",
                                        ":1",
                                        "127.0.0.1:",
                                        "::1:80",
                                        "1.2.3.4:65536",
                                        "[]:1",
                                        "127.0.0.1:-1",
                                        "127.0.0.1: 1",
                                        "unix:",
                                        "no.such.host.invalid:1"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(wrong); i++) {
        error = (struct hf_error){0};
        assert_int_equal(hf_http_server_listen(server, wrong[i], NULL, &error),
                         HF_ERR_INVALID_REQUEST);
        assert_non_null(strstr(error.text, "listen on "));
    }
    char taken[32];
    (void)snprintf(taken, sizeof(taken), "127.0.0.1:%u", hf_http_server_port(rig.server, 0));
    assert_int_equal(hf_http_server_listen(server, taken, NULL, &error), HF_ERR_EXISTS);
    assert_non_null(strstr(error.text, "in use"));
    assert_int_equal(hf_http_server_listen(server, "unix:/no/such/directory/s", NULL, &error),
                     HF_ERR_IO);
    assert_int_equal(hf_http_server_listen(server, "localhost:0", NULL, &error), HF_ERR_OK);
    assert_true(hf_http_server_port(server, 0) > 0);
    assert_int_equal(hf_http_server_port(server, 1), 0);
    hf_http_server_stop(server, 0);
}

static void what_is_left_to_the_thread_is_run_there(void **state)
{
    (void)state;
    int fd = rig_connect(&rig);
    uint64_t ran = rig.ran + rig.passed;
    for (int i = 0; i < 300; i++) {
        static const char *const paths[] = {"left", "now", "left", "later"};
        char request[64];
        char answer[64];
        (void)snprintf(request, sizeof(request), "GET /%s?%d HTTP/1.1\r\nHost: a\r\n\r\n",
                       paths[i % 4], i);
        (void)snprintf(answer, sizeof(answer), "GET /%s %d ", paths[i % 4], i);
        rig_ask(fd, request, "200 OK", answer);
    }
    assert_int_equal(rig.ran + rig.passed, ran + 150);
    (void)close(fd);
}

/* A connection whose request blocks the loop's thread, with another request behind it. */
static int block_one(struct rig *own, const char *more)
{
    for (;;) {
        uint64_t passed = own->passed;
        rig_block(own);
        int fd = rig_connect(own);
        rig_send_text(fd, "GET /left?a HTTP/1.1\r\nHost: a\r\n\r\n");
        rig_send_text(fd, more);
        if (rig_wait_blocked(own, passed)) {
            return fd;
        }
        /* The stand-in was the one that read it. */
        hf_free(rig_read_answer(fd, false));
        (void)close(fd);
    }
}

static void others_are_served_while_a_thread_blocks(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        int blocked = block_one(&rig, "GET /now?b HTTP/1.1\r\nHost: a\r\n\r\n");
        uint64_t passed = rig.passed;
        int other = rig_connect(&rig); /* accepted and served by the stand-in */
        rig_ask(other, "GET /now?1 HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", "GET /now 1 ");
        rig_ask(other, "GET /later?2 HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", "GET /later 2 ");
        rig_ask(other, "GET /left?3 HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", "GET /left 3 ");
        assert_int_equal(rig.passed, passed + 1);
        /* One that goes while the other thread has its events is not mixed up with the next of its descriptor. */
        (void)close(other);
        other = rig_connect(&rig);
        rig_ask(other, "GET /now?4 HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", "GET /now 4 ");
        rig_release(&rig);
        char *answer = rig_read_answer(blocked, false);
        assert_non_null(strstr(answer, "GET /left a "));
        hf_free(answer);
        answer = rig_read_answer(blocked, false);
        assert_non_null(strstr(answer, "GET /now b "));
        hf_free(answer);
        rig_ask(other, "GET /now?5 HTTP/1.1\r\nHost: a\r\n\r\n", "200 OK", "GET /now 5 ");
        (void)close(other);
        (void)close(blocked);
    }
}

static void *stop_slowly(void *context)
{
    struct rig *own = context;
    rig_stop(own, 20000);
    return NULL;
}

static void stop_answers_what_is_under_way(void **state)
{
    (void)state;
    struct rig own;
    rig_start(&own, NULL, NULL);
    int idle = rig_connect(&own);
    rig_ask(idle, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n", "200", NULL);
    int half = rig_connect(&own);
    rig_send_text(half, "GET /now HTTP/1.1\r\nHo");
    int busy = rig_connect(&own);
    rig_send_text(busy,
                  "GET /held HTTP/1.1\r\nHost: a\r\n\r\nGET /now HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_wait_held(&own, 1);
    /* The exchange is released only when the stop has begun: the idle connection's end tells so. */
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, stop_slowly, &own), 0);
    char *nothing = rig_read_to_end(idle, NULL);
    assert_string_equal(nothing, "");
    hf_free(nothing);
    rig_send_text(half, "st: a\r\n\r\n");
    char *answer = rig_read_to_end(half, NULL);
    assert_non_null(strstr(answer, "Connection: close\r\n\r\nGET /now"));
    hf_free(answer);
    rig_release(&own);
    answer = rig_read_to_end(busy, NULL);
    assert_non_null(strstr(answer, "Connection: close\r\n\r\nGET /held"));
    assert_null(strstr(answer, "GET /now"));
    hf_free(answer);
    assert_int_equal(pthread_join(stopper, NULL), 0);
    (void)close(idle);
    (void)close(half);
    (void)close(busy);
}

static void stop_does_not_wait_for_peers(void **state)
{
    (void)state;
    struct rig own;
    rig_start(&own, NULL, NULL);
    int half = rig_connect(&own);
    rig_send_text(half, "GET /now HTTP/1.1\r\nHo");
    int deaf = rig_connect(&own);
    rig_send_text(deaf, "GET /size?100000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    char byte;
    assert_int_equal(recv(deaf, &byte, 1, MSG_PEEK), 1);
    rig_stop(&own, 20);
    bool is_reset;
    char *answer = rig_read_to_end(half, &is_reset);
    hf_free(answer);
    answer = rig_read_to_end(deaf, &is_reset);
    assert_true(strlen(answer) < 100000000);
    hf_free(answer);
    (void)close(half);
    (void)close(deaf);
}

static void stop_waits_for_a_thread_that_blocks(void **state)
{
    (void)state;
    struct rig own;
    rig_start(&own, NULL, NULL);
    int idle = rig_connect(&own);
    rig_ask(idle, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n", "200", NULL);
    int busy = block_one(&own, "");
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, stop_slowly, &own), 0);
    char *nothing = rig_read_to_end(idle, NULL); /* the stand-in has begun to stop */
    assert_string_equal(nothing, "");
    hf_free(nothing);
    rig_release(&own);
    char *answer = rig_read_to_end(busy, NULL);
    assert_non_null(strstr(answer, "Connection: close\r\n\r\nGET /left"));
    hf_free(answer);
    assert_int_equal(pthread_join(stopper, NULL), 0);
    (void)close(idle);
    (void)close(busy);
}

/* Whatever allocation of the loop fails: that connection may end, the server goes on. */
static void short_memory_ends_connections_only(void **state)
{
    (void)state;
    int failures = 0;
    for (int n = 1; n <= 24; n++) {
        int fault = rig_connect(&rig);
        int fd = rig_connect(&rig);
        char text[128];
        (void)snprintf(text, sizeof(text), "GET /fault?%d HTTP/1.1\r\nHost: a\r\n\r\n", n);
        rig_send_text(fault, text);
        (void)shutdown(fault, SHUT_WR);
        hf_free(rig_read_to_end(fault, NULL));
        (void)close(fault);
        char *bytes = pattern_of(100000);
        rig_send_text(fd, "POST /now HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n186A0\r\n");
        for (size_t at = 0; at < 100000 && send(fd, bytes + at, 1000, MSG_NOSIGNAL) == 1000;) {
            at += 1000;
        }
        (void)send(fd, "\r\n0\r\n\r\n", 7, MSG_NOSIGNAL);
        char *answer = rig_read_to_end(fd, NULL);
        char *content = strstr(answer, "\r\n\r\n");
        if (content == NULL || strlen(content) != 16 + 100000) {
            failures++;
            assert_string_equal(answer, ""); /* never a part of an answer */
        }
        hf_free(answer);
        hf_free(bytes);
        (void)close(fd);
    }
    int fd = rig_connect(&rig);
    rig_ask(fd, "GET /fault?0 HTTP/1.1\r\nHost: a\r\n\r\n", "200", NULL);
    rig_ask(fd, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n", "200", "GET /now");
    (void)close(fd);
    assert_true(failures > 0); /* how many allocations there are depends on how the bytes arrive */
}

int main(void)
{
#define SERVED(test) cmocka_unit_test_setup_teardown(test, start, stop)
    const struct CMUnitTest tests[] = {
        SERVED(requests_follow_each_other_on_one_connection),
        SERVED(an_answer_has_its_headers),
        SERVED(pipelined_requests_are_answered_in_order),
        SERVED(a_request_may_come_in_two_pieces),
        SERVED(large_bodies_come_whole),
        SERVED(a_body_is_read_only_when_it_is_admitted),
        SERVED(a_refused_body_does_not_cost_the_answer),
        SERVED(a_connection_ends_when_it_is_asked_to),
        SERVED(half_closed_peers_get_their_answers),
        SERVED(large_answers_arrive_whole),
        SERVED(garbage_is_refused_and_others_go_on),
        SERVED(heads_beyond_the_limits_are_refused),
        SERVED(a_peer_that_goes_away_takes_nothing_with_it),
        SERVED(the_local_socket_is_for_its_owner),
        SERVED(addresses_are_checked),
        SERVED(what_is_left_to_the_thread_is_run_there),
        SERVED(others_are_served_while_a_thread_blocks),
        cmocka_unit_test(stop_answers_what_is_under_way),
        cmocka_unit_test(stop_waits_for_a_thread_that_blocks),
        cmocka_unit_test(stop_does_not_wait_for_peers),
        SERVED(short_memory_ends_connections_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
