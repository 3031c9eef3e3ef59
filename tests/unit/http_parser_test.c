/* Unit tests of src/http's parsers: every refused form, every way of cutting. */
#include "http/http_body.h"

#include "http/http_clock.h"
#include "unit/http_reading.h"
#include "unit/support.h"

#define H    "Host: a\r\n"
#define GET  "GET / HTTP/1.1\r\n" H
#define POST "POST /x HTTP/1.1\r\n" H
#define TE   POST "Transfer-Encoding: chunked\r\n\r\n"

struct valid {
    const char *text;
    const char *summary;
    size_t rest_bytes; /* behind the request */
};

struct refused {
    const char *text;
    size_t size; /* 0: up to the NUL */
    int status;
    const char *detail; /* a part of it */
};

/* The same result for each cut in two, and byte by byte. */
static struct reading read_all_ways(const char *text, size_t size)
{
    struct reading whole = reading_of(text, size, size, 1);
    for (size_t first = 0; first <= size + 1; first++) {
        /* The last round is byte by byte. */
        struct reading cut =
            first <= size ? reading_of(text, size, first, size) : reading_of(text, size, 1, 1);
        if (!reading_equal(&whole, &cut)) {
            print_error("cut at %zu: %.*s instead of %.*s\nin: %s\n", first,
                        (int)cut.summary.size_bytes, reading_text_of(&cut).ptr,
                        (int)whole.summary.size_bytes, reading_text_of(&whole).ptr, text);
            fail();
        }
        hf_buffer_release(&cut.summary);
    }
    return whole;
}

static void check_valid(const struct valid *valid)
{
    size_t size = strlen(valid->text);
    struct reading reading = read_all_ways(valid->text, size);
    struct hf_str summary = reading_text_of(&reading);
    if (reading.progress != HF_HTTP_DONE || !hf_str_equal(summary, hf_str_from(valid->summary))) {
        print_error("%.*s\nis not: %s\nfor: %s\n", (int)summary.len, summary.ptr, valid->summary,
                    valid->text);
        fail();
    }
    assert_int_equal(size - reading.used_bytes, valid->rest_bytes);
    hf_buffer_release(&reading.summary);
}

static void check_refused(const struct refused *refused)
{
    struct reading reading =
        read_all_ways(refused->text, refused->size == 0 ? strlen(refused->text) : refused->size);
    if (reading.progress != HF_HTTP_BAD || reading.status != refused->status ||
        strstr(reading.detail, refused->detail) == NULL) {
        print_error("%.*s\nis not: %d %s\nfor: %s\n", (int)reading.summary.size_bytes,
                    reading_text_of(&reading).ptr, refused->status, refused->detail, refused->text);
        fail();
    }
    hf_buffer_release(&reading.summary);
}

static void valid_requests_are_read(void **state)
{
    (void)state;
    static const struct valid valids[] = {
        {GET "\r\n", "GET|/|-|host|=a|method 1||", 0},
        {"\r\n" GET "\r\n", "GET|/|-|host|=a|method 1||", 0},
        {"HEAD /a%2Fb/c?d=%20+&e=(1)?/: HTTP/1.1\r\n" H "\r\nrest",
         "HEAD|/a%2Fb/c|d=%20+&e=(1)?/:|host|=a|method 2||", 4},
        {"GET /? HTTP/1.1\r\n" H "\r\n", "GET|/||host|=a|method 1||", 0},
        {"PUT //x/../y HTTP/1.1\r\n" H "\r\n", "PUT|//x/../y|-|host|=a|method 4||", 0},
        {"BREW / HTTP/1.1\r\n" H "\r\n", "BREW|/|-|host|=a|method 0||", 0},
        {"get / HTTP/1.1\r\n" H "\r\n", "get|/|-|host|=a|method 0||", 0},
        {"OPTIONS / HTTP/1.1\r\n" H "\r\n", "OPTIONS|/|-|host|=a|method 7||", 0},
        {"PATCH / HTTP/1.1\r\n" H "\r\n", "PATCH|/|-|host|=a|method 5||", 0},
        {"DELETE / HTTP/1.1\r\n" H "\r\n", "DELETE|/|-|host|=a|method 6||", 0},
        {"GET / HTTP/1.1\r\nhOsT:\t a:80 \t\r\nX-Y:\r\nX-Y:a \xC3\xA9\tb\r\n\r\n",
         "GET|/|-|host|=a:80|x-y|=|x-y|=a \xC3\xA9\tb|method 1||", 0},
        {"GET http://A.b:80/p?q HTTP/1.1\r\nHost: a.B:80\r\n\r\n",
         "GET|/p|q|host|=a.B:80|method 1||", 0},
        {"GET HTTPS://a HTTP/1.1\r\n" H "\r\n", "GET|/|-|host|=a|method 1||", 0},
        {"GET http://a?b HTTP/1.1\r\n" H "\r\n", "GET|/|b|host|=a|method 1||", 0},
        {"GET / HTTP/1.1\r\nHost: [::1]:7070\r\n\r\n", "GET|/|-|host|=[::1]:7070|method 1||", 0},
        {"GET / HTTP/1.0\r\n\r\n", "GET|/|-|method 1 1.0 close||", 0},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: x\r\n\r\n",
         "GET|/|-|connection|=keep-alive|expect|=x|method 1 1.0 close||", 0},
        {GET "Connection: keep-alive\r\nConnection: a, Close ,b\r\n\r\n",
         "GET|/|-|host|=a|connection|=keep-alive|connection|=a, Close ,b|method 1 close||", 0},
        {GET "Connection: closed\r\n\r\n", "GET|/|-|host|=a|connection|=closed|method 1||", 0},
        {POST "Content-Length: 5\r\n\r\nhello",
         "POST|/x|-|host|=a|content-length|=5|method 3|hello|", 0},
        {POST "Content-Length: 005\r\nExpect: 100-Continue\r\n\r\nhelloGET",
         "POST|/x|-|host|=a|content-length|=005|expect|=100-Continue|method 3 expects|hello|", 3},
        {POST "Content-Length: 0\r\n\r\nGET", "POST|/x|-|host|=a|content-length|=0|method 3||", 3},
        {POST "\r\nGET", "POST|/x|-|host|=a|method 3||", 3},
        {TE "5\r\nhello\r\n0\r\n\r\nGET",
         "POST|/x|-|host|=a|transfer-encoding|=chunked|method 3 chunked|hello|", 3},
        {TE "0000000000000001;a=\"b\xFF\";c\r\nx\r\nA;\r\n0123456789\r\n000;z\r\n\r\n",
         "POST|/x|-|host|=a|transfer-encoding|=chunked|method 3 chunked|x0123456789|", 0},
        {TE "0\r\nTrailer: a: b\r\nContent-Length: 7\r\nz:\r\n\r\n",
         "POST|/x|-|host|=a|transfer-encoding|=chunked|method 3 chunked||", 0},
        {POST "transfer-encoding:CHUNKED\r\n\r\n1\r\n\n\r\n0\r\n\r\n",
         "POST|/x|-|host|=a|transfer-encoding|=CHUNKED|method 3 chunked|\n|", 0},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(valids); i++) {
        check_valid(&valids[i]);
    }
}

static void malformed_heads_are_refused(void **state)
{
    (void)state;
    static const struct refused refuseds[] = {
        {"GET / HTTP/1.1\nHost: a\n\n", 0, 400, "CR LF"},
        {GET "\n", 0, 400, "CR LF"},
        {GET "a: b\n\r\n", 0, 400, "CR LF"},
        {"\nGET", 0, 400, "CR LF"},
        {GET "a: b\rc: d\r\n\r\n", 0, 400, "CR LF"},
        {GET "\r\r\n", 0, 400, "CR LF"},
        {"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", 29, 400, "control"},
        {"GET /\0 HTTP/1.1\r\n\r\n", 19, 400, "control"},
        {GET "a: \x01\r\n\r\n", 0, 400, "control"},
        {GET "a: \x7F\r\n\r\n", 0, 400, "control"},
        {GET "a\x1B: b\r\n\r\n", 0, 400, "control"},
        {"\x16\x03\x01\x02", 4, 400, "control"},
        {"\r\n\r\n" GET "\r\n", 0, 400, "empty lines"},
        {"GET /\r\n" H "\r\n", 0, 400, "request line"},
        {"GET\r\n" H "\r\n", 0, 400, "request line"},
        {" GET / HTTP/1.1\r\n", 0, 400, "request line"},
        {"GET  / HTTP/1.1\r\n", 0, 400, "request line"},
        {"GET\t/ HTTP/1.1\r\n", 0, 400, "request line"},
        {"G(T / HTTP/1.1\r\n", 0, 400, "request line"},
        {"GET / HTTP/1.1 \r\n", 0, 400, "version"},
        {"GET /  HTTP/1.1\r\n", 0, 400, "version"},
        {"GET / a HTTP/1.1\r\n", 0, 400, "version"},
        {"GET / http/1.1\r\n", 0, 400, "version"},
        {"GET / HTTP/1.\r\n", 0, 400, "version"},
        {"GET / HTTP/1.10\r\n", 0, 400, "version"},
        {"GET / HTTP/11\r\n", 0, 400, "version"},
        {"GET / HTTP/1.2\r\n", 0, 505, "HTTP/1.1"},
        {"GET / HTTP/0.9\r\n", 0, 505, "HTTP/1.1"},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, 505, "HTTP/1.1"},
        {"GET * HTTP/1.1\r\n", 0, 400, "must begin"},
        {"OPTIONS * HTTP/1.1\r\n", 0, 400, "must begin"},
        {"CONNECT a:80 HTTP/1.1\r\n", 0, 400, "must begin"},
        {"GET x HTTP/1.1\r\n", 0, 400, "must begin"},
        {"GET ?a HTTP/1.1\r\n", 0, 400, "must begin"},
        {"GET ftp://a/ HTTP/1.1\r\n", 0, 400, "must begin"},
        {"GET http:///x HTTP/1.1\r\n", 0, 400, "no host"},
        {"GET http:// HTTP/1.1\r\n", 0, 400, "must begin"},
        {"GET /#a HTTP/1.1\r\n", 0, 400, "must not have"},
        {"GET /\xC3\xA9 HTTP/1.1\r\n", 0, 400, "must not have"},
        {"GET /\"a\" HTTP/1.1\r\n", 0, 400, "must not have"},
        {"GET /a\\b HTTP/1.1\r\n", 0, 400, "must not have"},
        {"GET /?a[]=1 HTTP/1.1\r\n", 0, 400, "must not have"},
        {"GET /\t HTTP/1.1\r\n", 0, 400, "must not have"},
        {"GET /% HTTP/1.1\r\n", 0, 400, "hex digits"},
        {"GET /%2 HTTP/1.1\r\n", 0, 400, "hex digits"},
        {"GET /?%zz HTTP/1.1\r\n", 0, 400, "hex digits"},
        {"GETGETGETGETGETGETGETGETGETGETGET / HTTP/1.1\r\n", 0, 501, "method"},
        {"GET http://b/ HTTP/1.1\r\n" H "\r\n", 0, 400, "another host"},
        {"GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n", 0, 400, "another host"},
        {"GET http://a/ HTTP/1.0\r\n\r\n", 0, 400, "another host"},
        {"GET / HTTP/1.1\r\n\r\n", 0, 400, "Host is missing"},
        {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 0, 400, "Host is empty"},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 0, 400, "host name"},
        {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 0, 400, "host name"},
        {"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 0, 400, "host name"},
        {GET "Host: a\r\n\r\n", 0, 400, "Host stands twice"},
        {GET " folded\r\n\r\n", 0, 400, "white space"},
        {GET "a: b\r\n\tfolded\r\n\r\n", 0, 400, "white space"},
        {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 0, 400, "white space"},
        {GET "a : b\r\n\r\n", 0, 400, "colon"},
        {GET "a\t: b\r\n\r\n", 0, 400, "colon"},
        {GET "a\r\n\r\n", 0, 400, "colon"},
        {GET ": b\r\n\r\n", 0, 400, "colon"},
        {GET "a b: c\r\n\r\n", 0, 400, "colon"},
        {GET "\xC3\xA9: c\r\n\r\n", 0, 400, "colon"},
        {GET "Expect: 200-ok\r\n\r\n", 0, 417, "100-continue"},
        {GET "Expect: 100-continue, x\r\n\r\n", 0, 417, "100-continue"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(refuseds); i++) {
        check_refused(&refuseds[i]);
    }
}

static void framing_that_could_be_read_in_two_ways_is_refused(void **state)
{
    (void)state;
    static const struct refused refuseds[] = {
        {POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 400, "both"},
        {POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 0, 400, "both"},
        {POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 0, 400, "twice"},
        {POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 0, 400, "twice"},
        {POST "Content-Length: 5, 5\r\n\r\n", 0, 400, "decimal"},
        {POST "Content-Length:\r\n\r\n", 0, 400, "decimal"},
        {POST "Content-Length: +5\r\n\r\n", 0, 400, "decimal"},
        {POST "Content-Length: -5\r\n\r\n", 0, 400, "decimal"},
        {POST "Content-Length: 0x5\r\n\r\n", 0, 400, "decimal"},
        {POST "Content-Length: 5 5\r\n\r\n", 0, 400, "decimal"},
        {POST "Content-Length: \xEF\xBC\x95\r\n\r\n", 0, 400, "decimal"},
        {POST "Content-Length : 5\r\n\r\n", 0, 400, "colon"},
        {POST "Content-Length: 101\r\n\r\n", 0, 413, "too large"},
        {POST "Content-Length: 18446744073709551616\r\n\r\n", 0, 413, "too large"},
        {POST "Content-Length: 99999999999999999999999999\r\n\r\n", 0, 413, "too large"},
        {POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 0, 501, "chunked"},
        {POST "Transfer-Encoding: identity\r\n\r\n", 0, 501, "chunked"},
        {POST "Transfer-Encoding: chunked, chunked\r\n\r\n", 0, 501, "chunked"},
        {POST "Transfer-Encoding: xchunked\r\n\r\n", 0, 501, "chunked"},
        {POST "Transfer-Encoding: \"chunked\"\r\n\r\n", 0, 501, "chunked"},
        {POST "Transfer-Encoding:\r\n\r\n", 0, 501, "chunked"},
        {POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 400, "twice"},
        {POST "Transfer-Encoding : chunked\r\n\r\n", 0, 400, "colon"},
        {POST "Transfer-Encoding:\x0B"
              "chunked\r\n\r\n",
         0, 400, "control"},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 0, 400, "HTTP/1.0"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(refuseds); i++) {
        check_refused(&refuseds[i]);
    }
}

static void malformed_chunks_are_refused(void **state)
{
    (void)state;
    static const struct refused refuseds[] = {
        {TE "\r\n", 0, 400, "hex digits"},
        {TE "g\r\n", 0, 400, "hex digits"},
        {TE " 5\r\nhello\r\n", 0, 400, "hex digits"},
        {TE "5 \r\nhello\r\n", 0, 400, "hex digits"},
        {TE "5 ;a\r\nhello\r\n", 0, 400, "hex digits"},
        {TE "0x5\r\nhello\r\n", 0, 400, "hex digits"},
        {TE "+5\r\nhello\r\n", 0, 400, "hex digits"},
        {TE "-5\r\nhello\r\n", 0, 400, "hex digits"},
        {TE ";a\r\n", 0, 400, "hex digits"},
        {TE "5\nhello\r\n0\r\n\r\n", 0, 400, "hex digits"},
        {TE "00000000000000005\r\nhello\r\n", 0, 400, "too many digits"},
        {TE "65\r\n", 0, 413, "too large"},
        {TE "FFFFFFFFFFFFFFFF\r\n", 0, 413, "too large"},
        {TE "1\r\nx\r\n64\r\n", 0, 413, "too large"},
        {TE "5\r\nhello0\r\n\r\n", 0, 400, "longer than its size"},
        {TE "5\r\nhello\n0\r\n\r\n", 0, 400, "longer than its size"},
        {TE "5\r\nhello\r0\r\n\r\n", 0, 400, "CR LF"},
        {TE "5\r\rhello", 0, 400, "CR LF"},
        {TE "5;a\rb", 0, 400, "CR LF"},
        {TE "5;a\nhello\r\n0\r\n\r\n", 0, 400, "control"},
        {TE "5;\x01", 0, 400, "control"},
        {TE "0\r\n\rx", 0, 400, "CR LF"},
        {TE "0\r\n\n", 0, 400, "name, colon"},
        {TE "0\r\n a: b\r\n\r\n", 0, 400, "name, colon"},
        {TE "0\r\na: b\r\n c\r\n\r\n", 0, 400, "name, colon"},
        {TE "0\r\na\r\n\r\n", 0, 400, "name, colon"},
        {TE "0\r\n: b\r\n\r\n", 0, 400, "name, colon"},
        {TE "0\r\na : b\r\n\r\n", 0, 400, "name, colon"},
        {TE "0\r\na: \x02\r\n\r\n", 0, 400, "control"},
        {TE "0\r\na: b\n\r\n", 0, 400, "control"},
        {TE "0\r\na: b\rc", 0, 400, "CR LF"},
        {TE "0\r\nGET / HTTP/1.1\r\n\r\n", 0, 400, "name, colon"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(refuseds); i++) {
        check_refused(&refuseds[i]);
    }
}

/* before + count times byte + behind. */
static char *stretched(const char *before, size_t count, char byte, const char *behind)
{
    size_t before_bytes = strlen(before);
    size_t behind_bytes = strlen(behind);
    char *text = hf_malloc(before_bytes + count + behind_bytes + 1);
    assert_non_null(text);
    memcpy(text, before, before_bytes);
    memset(text + before_bytes, byte, count);
    memcpy(text + before_bytes + count, behind, behind_bytes + 1);
    return text;
}

static void limits_are_exact(void **state)
{
    (void)state;
    static const struct {
        const char *before;
        size_t count;
        int byte;
        int status; /* 0: whole; -1: more is wanted */
        const char *behind;
        const char *detail;
    } cases[] = {
        /* The target has 100 bytes at most, the line 42 around it, the head 600. */
        {"GET /", 99, 'a', 0, " HTTP/1.1\r\n" H "\r\n", ""},
        {"GET /", 100, 'a', 414, " HTTP/1.1\r\n" H "\r\n", "target is too long"},
        {"GET /", 5000, 'a', 414, "\x01\n", "line is too long"},
        {"", 141, 'a', -1, "", ""},
        {"", 144, 'a', 414, "", "line is too long"},
        {GET "a: ", 600 - 25 - 3 - 4, 'b', 0, "\r\n\r\n", ""},
        {GET "a: ", 600 - 25 - 3 - 3, 'b', 431, "\r\n\r\n", "too long"},
        {GET "a: ", 5000, 'b', 431, "\x01\n\r\n", "too long"},
        {GET "a: ", 600 - 25 - 4, 'b', -1, "", ""},
        {TE "1;", 256, 'a', 0, "\r\nx\r\n0\r\n\r\n", ""},
        {TE "1;", 257, 'a', 400, "\r\nx\r\n0\r\n\r\n", "extension is too long"},
        {TE "0\r\na:", 4093, 'b', 400, "\n\r\n", "control"},
        {TE "0\r\na:", 4093, 'b', 0, "\r\n\r\n", ""},
        {TE "0\r\na:", 4095, 'b', 431, "\r\n\r\n", "trailer"},
        {TE "64\r\n", 100, 'b', 0, "\r\n0\r\n\r\n", ""},
        {POST "Content-Length: 100\r\n\r\n", 100, 'b', 0, "", ""},
        {POST "Content-Length: 100\r\n\r\n", 99, 'b', -1, "", ""},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(cases); i++) {
        char *text =
            stretched(cases[i].before, cases[i].count, (char)cases[i].byte, cases[i].behind);
        struct reading whole = reading_of(text, strlen(text), SIZE_MAX, 1);
        struct reading bytes = reading_of(text, strlen(text), 1, 1);
        assert_true(reading_equal(&whole, &bytes));
        enum hf_http_progress wanted = cases[i].status == 0    ? HF_HTTP_DONE
                                       : cases[i].status == -1 ? HF_HTTP_MORE
                                                               : HF_HTTP_BAD;
        if (whole.progress != wanted ||
            (wanted == HF_HTTP_BAD && whole.status != cases[i].status) ||
            (wanted == HF_HTTP_BAD && strstr(whole.detail, cases[i].detail) == NULL)) {
            print_error("case %zu: progress %d, %.*s\n", i, whole.progress,
                        (int)whole.summary.size_bytes, reading_text_of(&whole).ptr);
            fail();
        }
        hf_buffer_release(&whole.summary);
        hf_buffer_release(&bytes.summary);
        hf_free(text);
    }
}

static void header_fields_are_counted(void **state)
{
    (void)state;
    struct hf_buffer text = {0};
    hf_buffer_text(&text, GET);
    for (int i = 1; i < READING_FIELDS_MAX; i++) {
        hf_buffer_text(&text, "a: b\r\n");
    }
    size_t most = text.size_bytes;
    hf_buffer_text(&text, "\r\n");
    struct reading reading = read_all_ways((char *)text.data, text.size_bytes);
    assert_int_equal(reading.progress, HF_HTTP_DONE);
    hf_buffer_release(&reading.summary);
    text.size_bytes = most;
    hf_buffer_text(&text, "a: b\r\n\r\n");
    reading = read_all_ways((char *)text.data, text.size_bytes);
    assert_int_equal(reading.status, 431);
    assert_string_equal(reading.detail, "too many header fields");
    hf_buffer_release(&reading.summary);
    hf_buffer_release(&text);
}

/* Every beginning of a request waits for more. */
static void a_part_of_a_request_is_never_whole(void **state)
{
    (void)state;
    static const char *const texts[] = {
        POST "Content-Length: 5\r\n\r\nhello",
        TE "5;a=b\r\nhello\r\n0\r\na: b\r\n\r\n",
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(texts); i++) {
        for (size_t size = 0; size < strlen(texts[i]); size++) {
            struct reading reading = reading_of(texts[i], size, size, 1);
            assert_int_equal(reading.progress, HF_HTTP_MORE);
            hf_buffer_release(&reading.summary);
        }
    }
}

static void headers_are_found_by_name(void **state)
{
    (void)state;
    const struct hf_http_header headers[] = {
        {HF_STR("a"), HF_STR("1")}, {HF_STR("b"), HF_STR("")}, {HF_STR("a"), HF_STR("2")}};
    struct hf_http_exchange exchange = {.headers = headers, .header_count = 3};
    size_t count;
    assert_true(hf_str_equal(hf_http_header(&exchange, HF_STR("a"), &count), HF_STR("1")));
    assert_int_equal(count, 2);
    assert_true(hf_str_present(hf_http_header(&exchange, HF_STR("b"), &count)));
    assert_int_equal(count, 1);
    assert_false(hf_str_present(hf_http_header(&exchange, HF_STR("c"), &count)));
    assert_int_equal(count, 0);
    assert_false(hf_str_present(hf_http_header(&exchange, HF_STR("A"), NULL)));
}

static void dates_have_the_form_of_the_standard(void **state)
{
    (void)state;
    static const struct {
        uint64_t seconds;
        const char *text;
    } dates[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},          {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
        {951782399, "Mon, 28 Feb 2000 23:59:59 GMT"},  {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {4102444799, "Thu, 31 Dec 2099 23:59:59 GMT"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(dates); i++) {
        char text[HF_HTTP_DATE_BYTES + 1];
        hf_http_date_format(dates[i].seconds, text);
        assert_string_equal(text, dates[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_requests_are_read),
        cmocka_unit_test(malformed_heads_are_refused),
        cmocka_unit_test(framing_that_could_be_read_in_two_ways_is_refused),
        cmocka_unit_test(malformed_chunks_are_refused),
        cmocka_unit_test(limits_are_exact),
        cmocka_unit_test(header_fields_are_counted),
        cmocka_unit_test(a_part_of_a_request_is_never_whole),
        cmocka_unit_test(headers_are_found_by_name),
        cmocka_unit_test(dates_have_the_form_of_the_standard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
