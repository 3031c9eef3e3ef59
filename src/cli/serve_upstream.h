/*
 * A connection of a standby to the owner's Unix socket, with one request on it at a time.
 *
 * Owns: the socket, the request's head and the bytes of the answer. Must never: block; change a byte of a body;
 * decide whether a request may be repeated. Called by: serve_relay; tests.
 *
 * 1. Hop-by-hop headers, Host, Origin, Sec-Fetch-Site and Expect do not go on: the standby has checked them.
 *    Everything else does. A HEAD goes on as a GET: the standby's own server leaves the body out, and tells its length.
 * 2. An answer is whole when its Content-Length is there, or it comes in chunks, piece by piece; what is framed in
 *    another way is broken (an owner is of this same program, and says one or the other).
 */
#ifndef HF_CLI_SERVE_UPSTREAM_H
#define HF_CLI_SERVE_UPSTREAM_H

#include "base/buffer.h"
#include "base/errors.h"
#include "http/http_body.h"
#include "http/http_exchange.h"

#define HF_UPSTREAM_HEAD_BYTES_MAX (64u << 10) /* of an answer's head */

struct hf_upstream {
    int fd;                                  /* -1: not connected */
    const struct hf_http_exchange *exchange; /* whose request is under way; NULL: idle */
    struct hf_buffer head;                   /* of the request */
    size_t sent_bytes;                       /* of head and body */
    struct hf_buffer in;                     /* of the answer so far */
    uint64_t since_ms;        /* when the request began, or the idling, or the last piece came */
    bool streams;             /* the answer's head is there, and its body comes in chunks */
    struct hf_http_body body; /* of a stream */
};

enum hf_upstream_progress {
    HF_UPSTREAM_WANTS_WRITE, /* poll for writing (and reading) */
    HF_UPSTREAM_WANTS_READ,  /* the request is out; poll for reading */
    HF_UPSTREAM_WHOLE,       /* the answer is there */
    HF_UPSTREAM_STREAMS,     /* its head is there: hf_upstream_answer, then hf_upstream_piece */
    HF_UPSTREAM_BROKEN,      /* the connection is of no use any more */
};

/* An answer's parts; texts point into the bytes given. */
struct hf_upstream_answer {
    int status;                 /* 200 to 599 */
    struct hf_str content_type; /* absent: none */
    struct hf_str body;         /* as it came */
    bool close;                 /* the owner ends the connection behind it */
};

/* A socket with nothing under way. NOT_FOUND or IO: there is no owner that listens, or it takes no more now. */
enum hf_err hf_upstream_connect(struct hf_upstream *upstream, const char *path);
void hf_upstream_close(struct hf_upstream *upstream);

/* Takes the exchange's request, to be sent by hf_upstream_go. false: memory is short. */
bool hf_upstream_begin(struct hf_upstream *upstream, const struct hf_http_exchange *exchange);
enum hf_upstream_progress hf_upstream_go(struct hf_upstream *upstream);
/* Could the owner have begun to act on the request? */
bool hf_upstream_sent_all(const struct hf_upstream *upstream);

/* Of a stream: what has come goes to the end of `piece`. WHOLE: it was the last one; WANTS_READ: poll; BROKEN. Once it
 * has given something, it is to be called again before polling. */
enum hf_upstream_progress hf_upstream_piece(struct hf_upstream *upstream, struct hf_buffer *piece);

/* Behind WHOLE and STREAMS: the answer's parts, until hf_upstream_end. Headers to pass on are appended to `headers`. */
void hf_upstream_answer(const struct hf_upstream *upstream, struct hf_upstream_answer *answer,
                        struct hf_buffer *headers);
/* Behind STREAMS and hf_upstream_answer, before the first piece: the answer's head is done with. */
void hf_upstream_drop_head(struct hf_upstream *upstream);
/* Ready for the next request. */
void hf_upstream_end(struct hf_upstream *upstream);

/* Without a socket: 1 whole, 2 the head of a stream (body: what has come of its chunks), 0 more is needed, -1 this is no
 * answer. headers may be NULL. */
int hf_upstream_parse(struct hf_str bytes, struct hf_upstream_answer *answer,
                      struct hf_buffer *headers);

#endif
