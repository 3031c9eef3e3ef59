/*
 * The head of an HTTP/1.1 request: request line and header fields. Sans-IO.
 *
 * Owns: the rules of RFC 9112 for heads, taken strictly: what two readers could read in two ways is refused.
 * Must never: read from anywhere, allocate, keep a pointer into the caller's bytes between calls, know limits
 * of bodies. Called by: the server's connections; tests; the fuzzer.
 *
 * 1. The result does not depend on how the bytes were cut: the first fault in the order of the bytes counts.
 * 2. A fault ends it: status and detail are set, and nothing may be fed any more.
 * 3. Whatever is refused could not be framed with certainty; the connection must be closed behind the answer.
 *
 * Refused: bare LF or CR, control characters, obs-fold, white space before a colon, anything but single spaces
 * in the request line, targets beyond RFC 3986, an absolute target that is not the Host's, no Host or two,
 * both or two of Content-Length and Transfer-Encoding (400); codings but exactly `chunked`, methods of more than
 * 32 bytes (501); expectations but 100-continue (417); long targets (414); long heads, too many fields (431);
 * versions but 1.0 and 1.1 (505). HTTP/1.0 ends its connection and may have no Transfer-Encoding.
 */
#ifndef HF_HTTP_HTTP_HEAD_H
#define HF_HTTP_HTTP_HEAD_H

#include "http/http_exchange.h"

enum hf_http_progress {
    HF_HTTP_MORE, /* well so far; more bytes are needed */
    HF_HTTP_DONE, /* whole */
    HF_HTTP_BAD,  /* status and detail tell why */
};

/* A piece of the head, by offsets: the caller's bytes may move between calls. */
struct hf_http_span {
    uint32_t at;    /* from the first byte fed */
    uint32_t bytes; /* its length */
};

struct hf_http_field {
    struct hf_http_span name;  /* in lower case */
    struct hf_http_span value; /* without white space around it */
};

struct hf_http_head_limits {
    uint32_t head_bytes_max;   /* from the first byte to the empty line's LF */
    uint32_t target_bytes_max; /* of the request target */
    uint32_t fields_max;       /* header fields */
};

struct hf_http_head {
    struct hf_http_head_limits limits; /* as given */
    struct hf_http_field *fields;      /* the caller's, room for fields_max */
    uint32_t field_count;              /* filled in */
    uint32_t line_at;                  /* where the line begins that is being read */
    uint32_t scanned;                  /* bytes looked at */
    bool has_request_line;             /* it was read */
    bool has_skipped_line;             /* one empty line before the request line is allowed */
    /* Of the request line. */
    enum hf_http_method method;      /* HF_HTTP_OTHER too before the request line was read */
    struct hf_http_span method_span; /* its text */
    struct hf_http_span authority;   /* of an absolute target; empty if it has none */
    struct hf_http_span path;  /* begins with '/'; empty for an absolute target without a path */
    struct hf_http_span query; /* behind '?' */
    bool has_query;            /* there was a '?' */
    bool is_http_1_0;          /* else 1.1 */
    /* Of the fields. */
    uint32_t host_index;     /* field of Host, if has_host */
    bool has_host;           /* Host stands there */
    bool has_length;         /* Content-Length stands there */
    bool is_chunked;         /* Transfer-Encoding: chunked */
    bool expects_continue;   /* Expect: 100-continue */
    bool ends_connection;    /* Connection: close, or HTTP/1.0 */
    uint64_t content_length; /* UINT64_MAX: more than fits */
    /* The result. */
    uint32_t head_bytes; /* when done: bytes of the head; the body begins there */
    int status;          /* when bad: the answer's status */
    const char *detail;  /* when bad: a static sentence */
};

/* fields must hold limits->fields_max and live as long as the head is used. */
void hf_http_head_begin(struct hf_http_head *head, const struct hf_http_head_limits *limits,
                        struct hf_http_field *fields);

/* data: all bytes of the request so far, from its first, `size` of them; what was fed before stands there
 * unchanged (it may have moved). Names are put into lower case in place. May be longer than the head. */
enum hf_http_progress hf_http_head_feed(struct hf_http_head *head, char *data, size_t size);

/* Fills in method, path, query, headers of the exchange, pointing into data; headers has room for field_count.
 * Only when done. */
void hf_http_head_point(const struct hf_http_head *head, const char *data,
                        struct hf_http_header *headers, struct hf_http_exchange *exchange);

#endif
