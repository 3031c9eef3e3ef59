/*
 * An exchange: one HTTP request and the answer to it.
 *
 * Owns: the request's parts as they came, and the answer until it is written. Must never: know what
 * a path means, decode a body. Called by: the server makes exchanges and hands them to its handler;
 * api reads the request and answers.
 *
 * 1. The handler runs on the loop's thread with the whole body there; it must not block. It answers
 *    at once (hf_http_respond) or later.
 * 2. Later means: some thread calls hf_http_resume (thread-safe, once); the loop then calls the
 *    handler's `resume` on its own thread, in batches, and that answers. Every exchange is answered
 *    exactly once, also when its peer has gone (the answer is then dropped).
 * 3. All texts of the request live until the answer was given; the exchange itself until then, too.
 * 4. Pipelined requests of a connection are handled one at a time, in order.
 */
#ifndef HF_HTTP_HTTP_EXCHANGE_H
#define HF_HTTP_HTTP_EXCHANGE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/types.h"

enum hf_http_method {
    HF_HTTP_OTHER = 0, /* a valid token that is none of these */
    HF_HTTP_GET,
    HF_HTTP_HEAD,
    HF_HTTP_POST,
    HF_HTTP_PUT,
    HF_HTTP_PATCH,
    HF_HTTP_DELETE,
    HF_HTTP_OPTIONS,
};

struct hf_http_header {
    struct hf_str name;  /* in lower case */
    struct hf_str value; /* without white space around it; bytes 0x20–7E, 0x80–FF and tab */
};

struct hf_http_exchange {
    enum hf_http_method method;
    struct hf_str method_text; /* "GET" */
    struct hf_str path;        /* raw, before '?': still percent-encoded, begins with '/' */
    struct hf_str query;       /* raw, behind '?'; ptr NULL if there is no '?' */
    const struct hf_http_header *headers; /* in the order they came */
    size_t header_count;
    struct hf_str body;      /* whole, chunks joined; len 0 if none */
    bool has_body;           /* Content-Length > 0 or chunked was given */
    bool secure;             /* came over TLS */
    bool local_socket;       /* came over the Unix socket */
    struct hf_arena *arena;  /* for the handler: lives as long as the exchange */
    void *user;              /* the handler's own, NULL at first */
    struct hf_buffer answer; /* the handler writes the answer's body here before it answers */
};

/* The value of a header that may stand once; ptr NULL if it is absent. *count (may be NULL) tells how
 * often it stands: more than once is the handler's error to report. name in lower case. */
struct hf_str hf_http_header(const struct hf_http_exchange *exchange, struct hf_str name,
                             size_t *count);

struct hf_http_response {
    int status;
    const char *content_type; /* static; NULL: no body */
    /* Further headers, each "Name: value\r\n", or absent. Copied. */
    struct hf_str headers;
    bool close; /* end the connection behind this answer */
};

/* Answers with exchange->answer as the body (none for HEAD and 204, 304). Loop's thread; the exchange is
 * gone afterwards. */
void hf_http_respond(struct hf_http_exchange *exchange, const struct hf_http_response *response);

/* Thread-safe: the loop shall call `resume` for this exchange. */
void hf_http_resume(struct hf_http_exchange *exchange);

#endif
