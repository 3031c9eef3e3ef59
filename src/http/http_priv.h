/*
 * What the server's files share: the server, its listeners, connections and their work.
 *
 *                        first byte          whole head, body to come
 *   accept ──► IDLE ───────────────► HEAD ───────────────────────────► BODY
 *               ▲                     │ whole request                   │
 *               │                     ▼                                 │
 *               │                EXCHANGE ◄─────────────────────────────┘
 *               │                     │ hf_http_begin
 *               │                     ├───────────────► STREAMING
 *               │ nothing left        │ hf_http_respond   │ hf_http_end
 *               │ to read or write    ▼                   │
 *               └─── HEAD ◄────── ANSWERED ◄──────────────┘
 *                                     ├──► WRITING (much is unsent) ──► HEAD
 *                                     │
 *                                     └──► CLOSING (all is to be sent) ──► LINGER or CLOSED
 *
 * Owns: nothing by itself. Rules of the folder:
 * 1. Everything but hf_http_resume, the counts and `stopping` belongs to the thread that has the loop's turn (http_loop.c).
 * 2. A connection has a work (buffers, arena, exchange) only while it is not idle; works are pooled.
 * 3. A connection that ends is closed at once and freed at the end of the turn, when nothing of this turn names it
 *    any more; if its exchange is under way, when that is answered. Events name it by descriptor and number, so one that the
 *    other thread still holds is known to be late.
 * 4. Events only set `readable` and `writable` (edge-triggered) and queue the connection; hf_http_run moves it.
 */
#ifndef HF_HTTP_HTTP_PRIV_H
#define HF_HTTP_HTTP_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "http/http_body.h"
#include "http/http_clock.h"
#include "http/http_head.h"
#include "http/http_server.h"

#define HF_HTTP_LISTENERS_MAX    8
#define HF_HTTP_TARGET_BYTES_MAX 8192u       /* of a request target */
#define HF_HTTP_INPUT_BYTES      4096u       /* first size of a work's input */
#define HF_HTTP_KEPT_BYTES_MAX   (64u << 10) /* a pooled work keeps buffers up to this size */
#define HF_HTTP_POOL_MAX         1024u       /* works kept for reuse */
#define HF_HTTP_COALESCE_BYTES                                                                     \
    (64u << 10) /* answers are joined up to this size; larger ones are not copied */
#define HF_HTTP_ADMIT_BYTES                                                                        \
    (64u << 10) /* longer bodies are read only when the handler admits them */
#define HF_HTTP_STEPS_TURN                                                                         \
    64u /* reads and requests of one connection before others have their turn */
#define HF_HTTP_BODY_RENEW_BYTES  (256u << 10) /* of a body within body_ms_max, at least */
#define HF_HTTP_WRITE_RENEW_BYTES (64u << 10)  /* of an answer within write_ms_max, at least */
#define HF_HTTP_STREAM_BYTES      (256u << 10) /* unsent of a stream: full */
#define HF_HTTP_STREAM_LOW_BYTES  (64u << 10)  /* room again */
#define HF_HTTP_LINGER_MS         2000u /* what comes after a refusal is read and dropped for this long */

enum hf_http_state {
    HF_HTTP_IDLE,      /* no byte of a request is there, all answers are sent; no work */
    HF_HTTP_IN_HEAD,   /* waits for a whole head */
    HF_HTTP_IN_BODY,   /* waits for a whole body */
    HF_HTTP_EXCHANGE,  /* the handler has it */
    HF_HTTP_STREAMING, /* the handler has it, and its answer has begun */
    HF_HTTP_ANSWERED,  /* the answer stands in the output */
    HF_HTTP_WRITING,   /* the output must be sent before the next request is looked at */
    HF_HTTP_CLOSING,   /* the output must be sent, then the connection ends */
    HF_HTTP_LINGER, /* all is sent; what still comes is dropped, so that the peer can read its answer */
    HF_HTTP_CLOSED, /* the socket is closed */
};

/* One time-out each; a list is in the order of its deadlines, for each kind has one duration. */
enum hf_http_timer {
    HF_HTTP_TIMER_NONE, /* never */
    HF_HTTP_TIMER_IDLE, /* the longest idle first */
    HF_HTTP_TIMER_HEAD,
    HF_HTTP_TIMER_BODY,
    HF_HTTP_TIMER_WRITE,
    HF_HTTP_TIMER_LINGER,
    HF_HTTP_TIMERS,
};

/* What a request in work needs. Pooled: what an idle connection costs is struct hf_http_connection alone. */
struct hf_http_work {
    struct hf_http_exchange exchange;      /* as the handler sees it */
    struct hf_http_connection *connection; /* whose it is */
    struct hf_http_server *server;         /* for hf_http_resume, when the connection may be gone */
    _Atomic(struct hf_http_work *) next_done; /* in the list of resumed exchanges */
    struct hf_http_work *next_free;           /* in the pool */
    struct hf_arena arena;                    /* the exchange's */
    struct hf_buffer in;                      /* received; the request begins at in_begin */
    size_t in_begin;                          /* everything before it is used up */
    size_t in_used;                           /* bytes of `in` that the request under way takes */
    struct hf_buffer body;                    /* a body that was not whole in `in` */
    struct hf_buffer out;                     /* answers not yet sent */
    struct hf_buffer tail;                    /* a large answer's body, behind `out` */
    size_t out_sent;                          /* bytes of out and tail that are sent */
    bool is_handed;                           /* the handler has the exchange */
    bool is_stream;                           /* its answer has begun */
    bool in_chunks;                           /* …and goes in chunks */
    bool wants_room;                          /* …and was full */
    bool is_watched;                          /* the handler wants to know when the peer goes */
    bool is_told_stop;                        /* notice STOP was given */
    size_t body_held;                         /* counted in the server's body_bytes_held */
    struct hf_http_head head;                 /* parser of the head */
    struct hf_http_body body_parser;          /* parser of the body */
    struct hf_http_header *headers;           /* room for headers_max */
    struct hf_http_field fields[];            /* room for headers_max */
};

struct hf_http_connection {
    struct hf_http_server *server;
    struct hf_http_work *work;             /* NULL while idle */
    struct ssl_st *ssl;                    /* NULL: plain */
    struct hf_http_connection *previous;   /* in the list of its timer */
    struct hf_http_connection *next;       /* in the list of its timer, or of the dead */
    struct hf_http_connection *next_ready; /* in the list of those that can go on */
    uint64_t deadline_ms;                  /* when its timer ends */
    uint32_t renew_bytes;                  /* sent or received since the timer was set */
    int fd;                                /* -1 when closed */
    uint32_t number;  /* not 0; with fd it is another connection's only after 2^32 of them */
    uint8_t state;    /* enum hf_http_state */
    uint8_t timer;    /* enum hf_http_timer */
    bool readable;    /* a read may give something */
    bool writable;    /* a write may take something */
    bool hangs_up;    /* an event told that the peer sends no more */
    bool ended;       /* everything that it sent is read */
    bool shaking;     /* the TLS handshake is not finished */
    bool is_local;    /* came over a Unix socket */
    bool is_queued;   /* in the list of those that can go on */
    bool is_running;  /* inside hf_http_run */
    bool must_end;    /* no further request after this answer */
    bool must_linger; /* something unread may come behind the answer */
    bool is_renewed;  /* its timer starts anew */
    bool is_broken;   /* memory was short for its answer: it can only end */
};

struct hf_http_listener {
    int fd;                  /* -1 once closed */
    uint16_t port;           /* 0 for a Unix socket */
    struct hf_http_tls *tls; /* NULL: plain */
    char *path;              /* of a Unix socket, else NULL */
    uint64_t path_device;    /* the socket file that is ours, to be removed at the end */
    uint64_t path_inode;
    bool is_paused; /* out of descriptors: not listened to until one is free */
};

struct hf_http_list {
    struct hf_http_connection *first;
    struct hf_http_connection *last;
};

struct hf_http_counters {
    _Atomic uint64_t connections;
    _Atomic uint64_t accepted;
    _Atomic uint64_t requests;
    _Atomic uint64_t refused;
    _Atomic uint64_t timed_out;
    _Atomic uint64_t received_bytes;
    _Atomic uint64_t sent_bytes;
    _Atomic uint64_t body_bytes_held;
    _Atomic uint64_t streams;
    _Atomic uint64_t works; /* with a connection, and pooled */
};

struct hf_http_server {
    struct hf_http_limits limits;           /* as in force */
    struct hf_http_handler handler;         /* as given */
    struct hf_http_head_limits head_limits; /* the same for the parser */
    struct hf_http_listener listeners[HF_HTTP_LISTENERS_MAX];
    size_t listener_count;
    struct hf_http_counters counters;
    int epoll;            /* -1: none */
    int bell;             /* eventfd; rings the loop awake */
    pthread_t thread;     /* the loop's */
    pthread_t stand_in;   /* in its place while it runs what was left to it */
    pthread_mutex_t turn; /* of the one of the two that is at work; not held in epoll_wait */
    pthread_cond_t stand_in_wanted;
    bool is_started;
    /* Between threads. */
    _Atomic(struct hf_http_work *) done; /* resumed exchanges, the newest first */
    _Atomic bool is_asleep;    /* nobody is at work, and all who wait saw `done` empty: ring */
    _Atomic uint32_t resuming; /* threads inside hf_http_resume */
    _Atomic bool is_stopping;  /* set once */
    _Atomic uint32_t drain_ms; /* set before is_stopping */
    /* The turn's own. */
    unsigned awake;                    /* of the two threads: at work, or waiting for the turn */
    bool runs_left;                    /* the loop's thread is not to be had for the moment */
    bool stands_in;                    /* the stand-in waits for events, or is at work */
    bool has_ended;                    /* both threads shall end */
    uint64_t now_ms;                   /* of this turn */
    uint64_t date_seconds;             /* what date shows */
    char date[HF_HTTP_DATE_BYTES + 1]; /* for answers */
    uint64_t drain_deadline_ms; /* when answers are not waited for any more; 0: not stopping */
    struct hf_http_connection **by_fd; /* open ones, NULL elsewhere; owned array of by_fd_count */
    size_t by_fd_count;
    uint32_t newest_number;  /* of a connection */
    size_t connection_count; /* open */
    size_t exchange_count;   /* with the handler */
    struct hf_http_list timers[HF_HTTP_TIMERS];
    struct hf_http_connection *ready_first; /* those that can go on */
    struct hf_http_connection *ready_last;
    struct hf_http_connection *dead; /* to be freed at the end of the turn */
    struct hf_http_work *pool;       /* the last used first */
    uint32_t pool_count;
    uint32_t pool_low;   /* the fewest since the pool was last trimmed */
    uint64_t trim_at_ms; /* when it is trimmed next */
};

/* What an event of epoll says: number 0 is the bell or a listener. */
static inline uint64_t hf_http_event_key(int fd, uint32_t number)
{
    return (uint64_t)number << 32 | (uint32_t)fd;
}

/* Counters are written by who has the turn and read by anybody. */
static inline void hf_http_count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

/* http_listen.c: listeners. */
enum hf_err hf_http_listener_open(struct hf_http_listener *listener, const char *address,
                                  struct hf_error *error);
void hf_http_listener_close(struct hf_http_listener *listener);

/* http_loop.c: the loop's threads. */
void *hf_http_loop(void *context);     /* the server */
void *hf_http_stand_in(void *context); /* the server */
/* Puts the connection among those that can go on. */
void hf_http_ready(struct hf_http_connection *connection);
/* Rings the loop awake if it sleeps. Any thread. */
void hf_http_ring(struct hf_http_server *server);
/* Takes it out of its timer's list. */
void hf_http_timer_leave(struct hf_http_connection *connection);
/* Moves it to the end of a timer's list with a new deadline. */
void hf_http_timer_set(struct hf_http_connection *connection, enum hf_http_timer timer);

/* http_connection.c: the life of a connection. */
/* Takes over fd, closed on failure (false: memory is short). */
bool hf_http_open(struct hf_http_server *server, const struct hf_http_listener *listener, int fd);
/* Goes on as far as it can without waiting. */
void hf_http_run(struct hf_http_connection *connection);
/* Closes the socket; an exchange under way keeps its memory. */
void hf_http_drop(struct hf_http_connection *connection);
/* Its timer has ended. */
void hf_http_expire(struct hf_http_connection *connection);
/* Closed, and its exchange (if any) answered: it is freed at the end of the turn. */
void hf_http_bury(struct hf_http_connection *connection);
/* Frees it, and its work. Only when it is closed and in no list. */
void hf_http_connection_free(struct hf_http_connection *connection);
/* Of a work, with its first buffer. */
size_t hf_http_work_bytes(const struct hf_http_server *server);
/* Frees works of the pool until `keep` are left. */
void hf_http_pool_trim(struct hf_http_server *server, uint32_t keep);

/* http_request.c: from bytes to an exchange. Each returns true if the connection can go on at once. */
bool hf_http_read_head(struct hf_http_connection *connection);
bool hf_http_read_body(struct hf_http_connection *connection);

/* http_answer.c: from an exchange to bytes. */
/* The server's own answer to what it does not take; ends the connection. */
void hf_http_refuse(struct hf_http_connection *connection, int status, const char *detail);
/* The exchange's answer into the output; changes no state. */
void hf_http_render(struct hf_http_connection *connection, const struct hf_http_response *response);
void hf_http_render_continue(struct hf_http_connection *connection);

enum hf_http_content {
    HF_HTTP_CONTENT_NONE,   /* no body, and no type of one */
    HF_HTTP_CONTENT_LENGTH, /* of known length */
    HF_HTTP_CONTENT_CHUNKS, /* to come in chunks */
    HF_HTTP_CONTENT_TO_END, /* until the connection ends */
};
/* The head of an answer into the output, with room behind it for more_bytes; false: memory is short, and the
 * connection is broken. */
bool hf_http_render_head(struct hf_http_connection *connection,
                         const struct hf_http_response *response, enum hf_http_content content,
                         size_t content_bytes, size_t more_bytes);

/* http_stream.c: streamed answers and exchanges that wait. */
/* The handler has it (EXCHANGE or STREAMING): notices, and what can be sent. false: nothing more now. */
bool hf_http_stream_step(struct hf_http_connection *connection);
/* The connection is closed: the handler is told if it wants to know. */
void hf_http_tell_gone(struct hf_http_connection *connection);

/* http_transport.c: bytes to and from the peer, plain or TLS. */
enum hf_http_io {
    HF_HTTP_IO_SOME,  /* at least a byte moved */
    HF_HTTP_IO_BLOCK, /* not now; an event will tell */
    HF_HTTP_IO_END,   /* the peer sends no more */
    HF_HTTP_IO_LOST,  /* the connection is gone */
};
enum hf_http_io hf_http_receive(struct hf_http_connection *connection, void *to, size_t size,
                                size_t *got);
/* Sends what stands in the output, as far as it goes. SOME: everything is sent, or nothing was there. */
enum hf_http_io hf_http_flush(struct hf_http_connection *connection);
/* Reads what still comes after the last answer, and drops it. */
enum hf_http_io hf_http_discard(struct hf_http_connection *connection);
/* Tells the peer that nothing more will be sent. */
void hf_http_send_end(struct hf_http_connection *connection);
/* Unsent bytes of the output. */
size_t hf_http_unsent(const struct hf_http_connection *connection);

/* http_tls.c */
/* NULL: memory is short. */
struct ssl_st *hf_http_tls_open(struct hf_http_tls *tls, int fd);
void hf_http_tls_goodbye(struct ssl_st *ssl); /* once, without waiting */
void hf_http_tls_close(struct ssl_st *ssl);   /* frees */
enum hf_http_io hf_http_tls_receive(struct hf_http_connection *connection, void *to, size_t size,
                                    size_t *got);
enum hf_http_io hf_http_tls_send(struct hf_http_connection *connection, const void *data,
                                 size_t size, size_t *sent);

#endif
