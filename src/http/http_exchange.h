/*
 * An exchange: one HTTP request and the answer to it.
 *
 *   handle ──► respond                                           the whole answer at once
 *          └─► begin ──► piece ──► piece … ──► end               a streamed answer
 *                          └── false: full ──► notice ROOM ──┘
 *
 * Owns: the request's parts as they came, and the answer until it is written. Must never: know what
 * a path means, decode a body. Called by: the server makes exchanges and hands them to its handler;
 * api reads the request and answers.
 *
 * 1. The handler runs on the loop's thread with the whole body there; it must not block. It answers
 *    at once or later.
 * 2. Later means: some thread calls hf_http_resume (thread-safe; not again before the handler's `resume` has
 *    run); the loop then calls `resume` on its own thread, in batches, and that answers or goes on. Every
 *    exchange ends exactly once: by hf_http_respond, or by hf_http_begin, any number of pieces, and hf_http_end;
 *    also when its peer has gone (what is said is then dropped). Never while a resume is under way.
 * 3. All texts of the request live until the answer was given; the exchange itself until then, too.
 * 4. Pipelined requests of a connection are handled one at a time, in order.
 * 5. A streamed answer has a bounded buffer: after a piece that did not return true there is no further one until
 *    notice ROOM. A peer that does not read is cut off after write_ms_max, as with every answer.
 * 6. Who waits for something else than the peer (hf_http_watch), or streams, is told by `notice`: GONE when the peer
 *    has gone, STOP when the server stops. The exchange must then come to its end soon.
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

enum hf_http_notice {
    HF_HTTP_ROOM, /* a stream that was full may go on */
    HF_HTTP_GONE, /* the peer has gone: nothing that is said arrives; comes once */
    HF_HTTP_STOP, /* the server stops: come to an end, what is said still arrives; comes once */
};

/* Answers with exchange->answer as the body (none for HEAD and 204, 304). Loop's thread; the exchange is
 * gone afterwards. */
void hf_http_respond(struct hf_http_exchange *exchange, const struct hf_http_response *response);

/* Begins a streamed answer: status and headers; its body comes in pieces, in chunks or (HTTP/1.0) until the
 * connection ends. false: as many streams as streams_max are open: nothing was sent, answer otherwise. */
bool hf_http_begin(struct hf_http_exchange *exchange,
                   const struct hf_http_response *response) HF_WARN_UNUSED;
/* Sends what stands in exchange->answer, and empties it. true: there is room for more. To a HEAD nothing is sent. If
 * the answer's memory was short (failed), the connection ends, for half a piece would be a lie. */
bool hf_http_piece(struct hf_http_exchange *exchange);
/* The stream is whole. The exchange is gone afterwards. */
void hf_http_end(struct hf_http_exchange *exchange);
/* The stream can't be made whole: the connection ends without its last chunk, so that nobody takes it for whole. The
 * exchange is gone afterwards. */
void hf_http_break(struct hf_http_exchange *exchange);

/* From now on notice GONE comes as soon as the peer has closed its side, even if it could still read: for exchanges
 * that wait for something which nobody might fetch. Without it (and in streams without it) GONE comes when the
 * connection is lost. */
void hf_http_watch(struct hf_http_exchange *exchange);

/* Thread-safe: the loop shall call `resume` for this exchange. */
void hf_http_resume(struct hf_http_exchange *exchange);

#endif
