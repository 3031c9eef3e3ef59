/*
 * The server: listeners, connections, TLS, limits and time-outs around exchanges.
 *
 * Owns: sockets, connections, their buffers, the loop's threads (epoll): one that does everything, and one that takes its place
 * while it runs what a request has left it. Must never: know a path or a body's meaning; wait for anything but epoll while
 * nobody else listens; let one connection's slowness or hostility touch another.
 * Called by: cli's serve (starts and stops it); tests.
 *
 * 1. A connection has one exchange under way; while it is, nothing more is read from it than its buffer
 *    takes (back-pressure by TCP).
 * 2. What is malformed is answered (400, 413, 431, 505 …, problem details through `refuse`) and the
 *    connection is closed; framing that could be read in two ways is malformed (RFC 9112 §6.3).
 * 3. Every wait has an end: head_ms_max from the first byte to the end of the head, body_ms_max for the body
 *    (or a minimum rate), idle_ms_max between requests, write_ms_max for a peer that does not read.
 * 4. Beyond connections_max a new connection replaces the one that has been idle longest, else the one whose head has
 *    been under way longest; with an exchange under way on each, the new one is closed.
 */
#ifndef HF_HTTP_HTTP_SERVER_H
#define HF_HTTP_HTTP_SERVER_H

#include "base/errors.h"
#include "http/http_exchange.h"

struct hf_http_limits {
    size_t head_bytes_max;      /* request line and headers: 16 KiB */
    uint32_t headers_max;       /* 64 */
    size_t body_bytes_max;      /* HF_REQUEST_BYTES_MAX */
    uint32_t connections_max;   /* 10,000, less if the process may not open as many files */
    uint32_t head_ms_max;       /* 10,000 */
    uint32_t body_ms_max;       /* 30,000 */
    uint32_t idle_ms_max;       /* 75,000 */
    uint32_t write_ms_max;      /* 30,000 */
    uint64_t body_bytes_in_all; /* of all exchanges under way; beyond it 429: 256 MiB */
    uint32_t streams_max;       /* streamed answers at once: 1,000 */
};

struct hf_http_limits hf_http_limits_default(void);

struct hf_http_handler {
    void *context;
    /* A whole request. */
    void (*handle)(void *context, struct hf_http_exchange *exchange);
    /* hf_http_resume was called for it. */
    void (*resume)(void *context, struct hf_http_exchange *exchange);
    /* Something has happened to an exchange that streams or is watched; it may answer or end here. NULL: no
     * exchange ever does. */
    void (*notice)(void *context, struct hf_http_exchange *exchange, enum hf_http_notice what);
    /* Writes a problem document for what the server itself refuses: status 400, 408, 413, 414, 417, 429, 431,
     * 501, 505 with a sentence about what was wrong. */
    void (*refuse)(void *context, int status, const char *detail, struct hf_buffer *body,
                   const char **content_type);
    /* Asked before a body is read that waits for 100 Continue, or whose Content-Length is above 64 KiB or above
     * body_bytes_max (which is refused afterwards): shall it be read? false: exchange->answer with *response is
     * the answer (401, 405, 413, 415), the body is never read and the connection is closed. exchange->body is
     * empty yet; what is left in arena and user is there when `handle` is called. */
    bool (*admit)(void *context, struct hf_http_exchange *exchange,
                  struct hf_http_response *response);
    /* Work that blocks, and that another thread would do, but not as soon: `left` asks whether the thread that asks was left some by
     * what it did last; then it does it (run) if nothing else is there to be done, or gives it away (pass). While it runs, the
     * server's other thread listens. NULL: never. */
    bool (*left)(void);
    void (*run_left)(void);
    void (*pass_left)(void);
};

struct hf_http_tls; /* a certificate and its key, ready for use */

/* PEM files. TLS 1.2 and up. */
enum hf_err hf_http_tls_load(const char *certificate_path, const char *key_path,
                             struct hf_http_tls **tls_out, struct hf_error *error);
void hf_http_tls_free(struct hf_http_tls *tls); /* NULL is fine */

struct hf_http_server;

/* A server without listeners; handler is copied. */
enum hf_err hf_http_server_new(const struct hf_http_limits *limits,
                               const struct hf_http_handler *handler,
                               struct hf_http_server **server_out, struct hf_error *error);

/* Listens on "127.0.0.1:7070", "[::1]:7070", "localhost:7070" or "unix:PATH" (mode 0600; a stale socket file
 * is replaced, a living one is HF_ERR_EXISTS). Port 0: any. tls NULL: plain; it must outlive the server. */
enum hf_err hf_http_server_listen(struct hf_http_server *server, const char *address,
                                  struct hf_http_tls *tls, struct hf_error *error);
/* The port of the n-th listener as bound (0 for a Unix socket). */
uint16_t hf_http_server_port(const struct hf_http_server *server, size_t n);

/* Starts the loop's threads. */
enum hf_err hf_http_server_start(struct hf_http_server *server, struct hf_error *error);

/* Stops accepting, closes idle connections, answers what is under way (at most drain_ms), ends the threads.
 * Every exchange handed to the handler has been answered or dropped when it returns, provided the handler
 * goes on answering. Then frees everything. */
void hf_http_server_stop(struct hf_http_server *server, uint32_t drain_ms);

struct hf_http_counts {
    uint64_t connections; /* open now */
    uint64_t accepted;    /* since start */
    uint64_t requests;    /* whole heads since start */
    uint64_t refused;     /* answered by the server itself since start */
    uint64_t timed_out;   /* cut off since start: slow heads, bodies and readers, not idle ones */
    uint64_t received_bytes;  /* since start */
    uint64_t sent_bytes;      /* since start */
    uint64_t body_bytes_held; /* of exchanges under way */
    uint64_t streams;         /* open now */
    uint64_t
        connection_bytes; /* of memory: connections, what is under way on them and kept for more, without bodies, answers and TLS */
};
/* Thread-safe. */
void hf_http_server_counts(struct hf_http_server *server, struct hf_http_counts *counts);

#endif
