/* What serve is made of, without a process: addresses, the configuration file, answers of an owner. */
#include <sys/socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/config.h"
#include "cli/serve.h"
#include "cli/serve_upstream.h"

#include "unit/support.h"

/* ---- addresses ---- */

static void addresses_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good, tls, loopback, local;
        const char *bare;
    } rows[] = {
        {"127.0.0.1:7070", true, true, true, false, "127.0.0.1:7070"},
        {"http://127.0.0.1:7070", true, false, true, false, "127.0.0.1:7070"},
        {"https://127.9.9.9:0", true, true, true, false, "127.9.9.9:0"},
        {"localhost:65535", true, true, true, false, "localhost:65535"},
        {"[::1]:1", true, true, true, false, "[::1]:1"},
        {"0.0.0.0:1", true, true, false, false, "0.0.0.0:1"},
        {"[::]:1", true, true, false, false, "[::]:1"},
        {"127.0.0.1.example.org:1", true, true, false, false, "127.0.0.1.example.org:1"},
        {"localhost.example.org:1", true, true, false, false, "localhost.example.org:1"},
        {"10.0.0.1:1", true, true, false, false, "10.0.0.1:1"},
        {"unix:/run/h.sock", true, false, true, true, "unix:/run/h.sock"},
        {"unix:", false, false, false, false, ""},
        {"", false, false, false, false, ""},
        {":1", false, false, false, false, ""},
        {"127.0.0.1", false, false, false, false, ""},
        {"127.0.0.1:", false, false, false, false, ""},
        {"127.0.0.1:65536", false, false, false, false, ""},
        {"127.0.0.1:+1", false, false, false, false, ""},
        {"127.0.0.1:1x", false, false, false, false, ""},
        {"127.0.0.1:0000001", false, false, false, false, ""},
        {"::1:1", false, false, false, false, ""},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        struct hf_serve_address address;
        const char *why = "";
        assert_int_equal(hf_serve_address_parse(rows[i].text, true, &address, &why), rows[i].good);
        if (rows[i].good) {
            assert_int_equal(address.tls, rows[i].tls);
            assert_int_equal(address.loopback, rows[i].loopback);
            assert_int_equal(address.local_socket, rows[i].local);
            assert_string_equal(address.text, rows[i].bare);
        }
    }
    struct hf_serve_address address;
    const char *why = "";
    assert_false(hf_serve_address_parse("https://127.0.0.1:1", false, &address, &why));
    assert_true(hf_serve_address_parse("127.0.0.1:1", false, &address, &why));
    assert_false(address.tls);
}

/* ---- configuration ---- */

struct options {
    const char *text;
    uint64_t number;
    bool flag;
    struct hf_cli_texts texts;
};

struct reading {
    struct options options;
    struct hf_config config;
    struct hf_error error;
    enum hf_err code;
};

/* Reads the text as a file. `given`: bit i as if options[i] had been on the command line. */
static void read_config(struct reading *reading, const char *text, size_t bytes, uint64_t given)
{
    char path[] = "/tmp/holdfast-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, bytes), (ssize_t)bytes);
    (void)close(fd);
    memset(reading, 0, sizeof(*reading));
    const struct hf_cli_option table[] = {
        {"text", "T", "", .text = &reading->options.text},
        {"number", "N", "", .number = &reading->options.number},
        {"flag", NULL, "", .flag = &reading->options.flag},
        {"texts", "T", "", .texts = &reading->options.texts},
    };
    struct hf_cli cli = {
        .name = "serve", .options = table, .option_count = HF_ARRAY_COUNT(table), .given = given};
    hf_config_init(&reading->config);
    reading->code = hf_config_read(&reading->config, path, &cli, &reading->error);
    (void)unlink(path);
}

static void configuration_sets_options(void **state)
{
    (void)state;
    struct reading reading;
    static const char text[] = "# comment\n\n  text = a # b = c \r\nnumber=7\nflag = true\n"
                               "texts = one\ntexts = two";
    read_config(&reading, text, sizeof(text) - 1, 0);
    assert_int_equal(reading.code, HF_ERR_OK);
    assert_string_equal(reading.options.text, "a # b = c");
    assert_int_equal(reading.options.number, 7);
    assert_true(reading.options.flag);
    assert_int_equal(reading.options.texts.count, 2);
    assert_string_equal(reading.options.texts.items[0], "one");
    assert_string_equal(reading.options.texts.items[1], "two");
    hf_config_release(&reading.config);
    read_config(&reading, text, sizeof(text) - 1, 0xF);
    assert_int_equal(reading.code, HF_ERR_OK);
    assert_null(reading.options.text);
    assert_int_equal(reading.options.number, 0);
    assert_false(reading.options.flag);
    assert_int_equal(reading.options.texts.count, 0);
    hf_config_release(&reading.config);
}

static void configuration_refuses_what_it_does_not_know(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *where; /* in the error */
    } rows[] = {
        {"other = 1\n", ":1: other: no such key"},
        {"\n\ntext\n", ":3: text: expected"},
        {"text =\n", ":1: text: has no value"},
        {"= 1\n", ":1: : no such key"},
        {"number = -1\n", ":1: number: takes a number"},
        {"number = 18446744073709551616\n", ":1: number: takes a number"},
        {"flag = 1\n", ":1: flag: takes true or false"},
        {"flag =\n", ":1: flag: takes true or false"},
        {"number = 1\nnumber = 1\n", ":2: number: stands in the file already"},
        {"Text = 1\n", ":1: Text: no such key"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        struct reading reading;
        read_config(&reading, rows[i].text, strlen(rows[i].text), 0);
        assert_int_equal(reading.code, HF_ERR_INVALID_REQUEST);
        assert_non_null(strstr(reading.error.text, rows[i].where));
        hf_config_release(&reading.config);
    }
    struct reading reading;
    read_config(&reading, "text = a\0b\n", 11, 0);
    assert_int_equal(reading.code, HF_ERR_INVALID_REQUEST);
    hf_config_release(&reading.config);
    static char many[33 * 10 + 1];
    for (size_t i = 0; i < 33; i++) {
        memcpy(many + 10 * i, "texts = a\n", 10);
    }
    read_config(&reading, many, 330, 0);
    assert_int_equal(reading.code, HF_ERR_INVALID_REQUEST);
    assert_non_null(strstr(reading.error.text, ":33: texts: was given too often"));
    hf_config_release(&reading.config);
}

/* ---- answers of an owner ---- */

static void answers_are_parsed_at_every_cut(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 201 Created\r\nDate: now\r\nContent-Type: "
                               "application/json\r\nContent-Length: 5\r\nETag: \"3\"\r\nX-Y:  z "
                               "\r\nConnection: keep-alive, Close\r\n\r\n{\"a\"}";
    struct hf_upstream_answer answer;
    for (size_t cut = 0; cut < sizeof(text) - 1; cut++) {
        assert_int_equal(hf_upstream_parse((struct hf_str){text, cut}, &answer, NULL), 0);
    }
    struct hf_buffer headers;
    hf_buffer_init(&headers);
    assert_int_equal(hf_upstream_parse(HF_STR(text), &answer, &headers), 1);
    assert_int_equal(answer.status, 201);
    assert_true(answer.close);
    assert_true(hf_str_equal(answer.content_type, HF_STR("application/json")));
    assert_true(hf_str_equal(answer.body, HF_STR("{\"a\"}")));
    struct hf_str passed = {(const char *)headers.data, headers.size_bytes};
    assert_true(hf_str_equal(passed, HF_STR("ETag: \"3\"\r\nX-Y:  z \r\n")));
    hf_buffer_release(&headers);
}

static void what_is_no_answer_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 2x0 No\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: empty\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
        "HTTP/1.1 204 No Content\r\n\r\nx",
    };
    struct hf_upstream_answer answer;
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        assert_int_equal(hf_upstream_parse(hf_str_from(rows[i]), &answer, NULL), -1);
    }
    assert_int_equal(hf_upstream_parse(HF_STR("HTTP/1.1 204 No Content\r\n\r\n"), &answer, NULL),
                     1);
    assert_int_equal(answer.body.len, 0);
    static char endless[HF_UPSTREAM_HEAD_BYTES_MAX + 1];
    memset(endless, 'a', sizeof(endless));
    assert_int_equal(hf_upstream_parse((struct hf_str){endless, sizeof(endless)}, &answer, NULL),
                     -1);
}

/* A stream of an owner's, cut at every place: its pieces together are its body, and it is whole only at its end. */
static void streams_come_piece_by_piece(void **state)
{
    (void)state;
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Transfer-Encoding: chunked\r\nX: y\r\n\r\n"
                               "3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n";
    size_t size = sizeof(text) - 1;
    struct hf_http_exchange exchange = {
        .method = HF_HTTP_GET, .method_text = HF_STR("GET"), .path = HF_STR("/v1/feed")};
    for (size_t cut = 1; cut <= size; cut++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
        struct hf_upstream upstream = {.fd = pair[0]};
        struct hf_buffer body = {0};
        assert_true(hf_upstream_begin(&upstream, &exchange));
        assert_int_equal(write(pair[1], text, cut), cut);
        enum hf_upstream_progress progress = hf_upstream_go(&upstream);
        if (progress == HF_UPSTREAM_WANTS_READ) { /* the head is not whole */
            assert_int_equal(write(pair[1], text + cut, size - cut), size - cut);
            progress = hf_upstream_go(&upstream);
            assert_int_equal(progress, HF_UPSTREAM_STREAMS);
        } else {
            assert_int_equal(progress, HF_UPSTREAM_STREAMS);
            if (cut < size) {
                assert_int_equal(write(pair[1], text + cut, size - cut), size - cut);
            }
        }
        struct hf_upstream_answer answer;
        struct hf_buffer headers = {0};
        hf_upstream_answer(&upstream, &answer, &headers);
        assert_int_equal(answer.status, 200);
        assert_int_equal(headers.size_bytes, 6);
        hf_upstream_drop_head(&upstream);
        for (int i = 0; i < 5 && progress != HF_UPSTREAM_WHOLE; i++) {
            progress = hf_upstream_piece(&upstream, &body);
        }
        assert_int_equal(progress, HF_UPSTREAM_WHOLE);
        assert_int_equal(body.size_bytes, 19);
        assert_memory_equal(body.data, "abc0123456789abcdef", 19);
        hf_buffer_release(&body);
        hf_buffer_release(&headers);
        hf_upstream_end(&upstream);
        hf_upstream_close(&upstream);
        (void)close(pair[1]);
    }
    /* An end before the last chunk is no end. */
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    struct hf_upstream upstream = {.fd = pair[0]};
    struct hf_buffer body = {0};
    assert_true(hf_upstream_begin(&upstream, &exchange));
    assert_int_equal(write(pair[1], text, size - 5), size - 5);
    (void)close(pair[1]);
    assert_int_equal(hf_upstream_go(&upstream), HF_UPSTREAM_STREAMS);
    hf_upstream_drop_head(&upstream);
    enum hf_upstream_progress progress = HF_UPSTREAM_WANTS_READ;
    for (int i = 0; i < 5 && progress == HF_UPSTREAM_WANTS_READ; i++) {
        progress = hf_upstream_piece(&upstream, &body);
    }
    assert_int_equal(progress, HF_UPSTREAM_BROKEN);
    hf_buffer_release(&body);
    hf_upstream_close(&upstream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_told_apart),
        cmocka_unit_test(configuration_sets_options),
        cmocka_unit_test(configuration_refuses_what_it_does_not_know),
        cmocka_unit_test(answers_are_parsed_at_every_cut),
        cmocka_unit_test(what_is_no_answer_is_refused),
        cmocka_unit_test(streams_come_piece_by_piece),
    };
    return cmocka_run_group_tests_name("serve", tests, NULL, NULL);
}
