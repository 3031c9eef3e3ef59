#include "cli/serve_relay.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "api/answer_json.h"
#include "base/alloc.h"
#include "base/check.h"
#include "cli/serve_upstream.h"

#define CONNECTIONS_MAX 1280 /* to the owner; requests beyond wait */
#define POLLS_MAX       1216 /* of them for receives and feeds, which may take their time */
#define IDLE_MS_MAX                                                                                \
    5000 /* of a connection; far below the owner's, so that it is never the first to close */
#define STREAM_MS_MAX     50000 /* without a byte of a stream, which has heartbeats */
#define STOP_MS_MAX       5000  /* of an answer under way, once this process stops */
#define RETRY_MS          20    /* until an owner is looked for again */
#define ROUND_MS_MAX      250   /* of waiting, while something could become late */
#define READY_WAIT_MS     1000  /* /readyz asks for now */
#define SOCKET_PATH_BYTES sizeof(((struct sockaddr_un *)NULL)->sun_path)
#define MARK              1 /* added to the pointer in an exchange's user: it is the relay's */

enum phase {
    FORWARDING,
    OWNING,   /* everything is handed back */
    STOPPING, /* nothing new is sent */
};

enum outcome {
    ANSWERED, /* by the owner */
    PIECE,    /* of a stream; more will come */
    LAST_PIECE,
    BROKEN_OFF, /* of a stream: the owner has gone in the middle of it, or the peer */
    REFUSED,    /* by the relay */
    HANDED_BACK,
};

/* A request; in its exchange's arena. */
struct call {
    struct hf_http_exchange *exchange; /* whose request */
    struct call *next;                 /* in the list that it stands in */
    uint64_t give_up_ms;               /* without an owner until then it is refused */
    uint64_t not_before_ms;            /* it waits at least until then */
    bool repeatable;                   /* see the header, 1 */
    bool polls;               /* it is a receive, a feed, or waits for a saga: see the header, 3 */
    atomic_bool gone;         /* set by the loop's thread: nobody waits any more */
    bool perhaps_done;        /* it was on a connection that broke */
    enum outcome outcome;     /* when it is resumed */
    enum hf_err code;         /* REFUSED: why */
    int status;               /* ANSWERED: of the owner's answer */
    const char *content_type; /* ANSWERED: or NULL; in the arena */
    struct hf_str headers;    /* ANSWERED: to pass on; in the arena */
    struct hf_str more_headers;    /* to be added to them */
    struct connection *connection; /* the thread's: of a stream under way */
    bool begun;                    /* the loop's: the stream's head is out */
    bool waits_for_room;           /* the loop's: it has the call until notice ROOM */
};

struct list {
    struct call *first; /* NULL: empty */
    struct call *last;  /* valid if first is */
};

struct connection {
    struct hf_upstream upstream; /* fd -1: free */
    struct call *call;           /* NULL: idle */
    bool wants_write;            /* poll for it */
    bool paused;                 /* of a stream: the loop has its last piece */
};

struct hf_relay {
    struct hf_relay_options options; /* socket_path points to path */
    char path[SOCKET_PATH_BYTES];    /* of the owner's socket */
    pthread_t thread;                /* does all but take and resume */
    int bell;                        /* an eventfd: look at what is under the mutex */
    pthread_mutex_t mutex;           /* guards the three below */
    struct list inbox;               /* taken, not yet seen by the thread */
    struct list back;                /* streams whose last piece is written */
    enum phase phase;                /* wanted */
    bool end;                        /* the thread shall end */
    enum phase seen;                 /* the thread's copy of phase */
    struct list waiting;             /* the thread's: for an owner */
    uint64_t no_owner_until_ms;      /* the thread's: don't look before */
    size_t polls;                    /* the thread's: receives on connections */
    struct connection connections[CONNECTIONS_MAX]; /* the thread's */
};

static uint64_t now_ms(void)
{
    struct timespec now;
    HF_CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void push(struct list *list, struct call *call)
{
    call->next = NULL;
    if (list->first == NULL) {
        list->first = call;
    } else {
        list->last->next = call;
    }
    list->last = call;
}

static struct call *pop(struct list *list)
{
    struct call *call = list->first;
    if (call != NULL) {
        list->first = call->next;
    }
    return call;
}

static void lock(struct hf_relay *relay)
{
    HF_CHECK(pthread_mutex_lock(&relay->mutex) == 0);
}

static void unlock(struct hf_relay *relay)
{
    HF_CHECK(pthread_mutex_unlock(&relay->mutex) == 0);
}

static void ring(struct hf_relay *relay)
{
    uint64_t one = 1;
    /* EAGAIN: the counter is full, so the bell rings already. */
    ssize_t written = write(relay->bell, &one, sizeof(one));
    HF_CHECK(written == (ssize_t)sizeof(one) || errno == EAGAIN);
}

/* ---- the loop's thread: in and out ---- */

static bool ends_with(struct hf_str text, struct hf_str end)
{
    return text.len >= end.len && memcmp(text.ptr + (text.len - end.len), end.ptr, end.len) == 0;
}

static bool has_code(struct hf_str body, struct hf_str code)
{
    return body.len > 0 && memmem(body.ptr, body.len, code.ptr, code.len) != NULL;
}

static bool is_receive(const struct hf_http_exchange *exchange)
{
    return exchange->method == HF_HTTP_POST && ends_with(exchange->path, HF_STR("/receive"));
}

/* See the header, 1. */
static bool is_repeatable(const struct hf_http_exchange *exchange)
{
    if (exchange->method == HF_HTTP_GET || exchange->method == HF_HTTP_HEAD ||
        exchange->method == HF_HTTP_OPTIONS) {
        return true;
    }
    if (hf_str_present(hf_http_header(exchange, HF_STR("idempotency-key"), NULL))) {
        return true;
    }
    if (is_receive(exchange)) {
        return has_code(exchange->body, HF_STR("\"attempt\""));
    }
    static const char *const once[] = {"/release", "/renew", "/nack", "/park"};
    bool repeatable = exchange->method == HF_HTTP_POST;
    for (size_t i = 0; i < HF_ARRAY_COUNT(once); i++) {
        repeatable = repeatable && !ends_with(exchange->path, hf_str_from(once[i]));
    }
    return repeatable;
}

static bool is_gone(struct call *call)
{
    return atomic_load_explicit(&call->gone, memory_order_acquire);
}

static void respond_problem(struct hf_http_exchange *exchange, enum hf_err code)
{
    static const char *const details[] = {
        "no owner of the data directory has taken the request; nothing has changed",
        "the owner of the data directory has gone before it answered: repeat the same request",
    };
    hf_buffer_clear(&exchange->answer);
    hf_problem_json(&exchange->answer, code, details[code == HF_ERR_OUTCOME_UNKNOWN], "");
    struct hf_http_response response = {
        .status = hf_err_status(code),
        .content_type = "application/problem+json",
        .headers = HF_STR("Retry-After: 1\r\n"),
    };
    hf_http_respond(exchange, &response);
}

void hf_relay_take(struct hf_relay *relay, struct hf_http_exchange *exchange,
                   struct hf_str more_headers)
{
    struct call *call = hf_arena_alloc_zero(exchange->arena, 1, sizeof(*call));
    if (call == NULL) {
        respond_problem(exchange, HF_ERR_NOT_READY);
        return;
    }
    call->exchange = exchange;
    call->more_headers = more_headers;
    call->repeatable = is_repeatable(exchange);
    call->polls = is_receive(exchange) || hf_str_equal(exchange->path, HF_STR("/v1/feed")) ||
                  has_code(exchange->query, HF_STR("wait="));
    atomic_init(&call->gone, false);
    if (call->polls) {
        hf_http_watch(exchange);
    }
    bool probe = hf_str_equal(exchange->path, HF_STR("/readyz"));
    call->give_up_ms = now_ms() + (probe ? READY_WAIT_MS : relay->options.wait_ms);
    exchange->user = (char *)call + MARK;
    lock(relay);
    push(&relay->inbox, call);
    unlock(relay);
    ring(relay);
}

bool hf_relay_has(const struct hf_http_exchange *exchange)
{
    return ((uintptr_t)exchange->user & MARK) != 0; /* a door's call is aligned */
}

static struct call *call_of(const struct hf_http_exchange *exchange)
{
    return (void *)((char *)exchange->user - MARK);
}

/* The stream's last piece is written: the thread may read on, or let it go. */
static void give_back(struct hf_relay *relay, struct call *call)
{
    call->waits_for_room = false;
    lock(relay);
    push(&relay->back, call);
    unlock(relay);
    ring(relay);
}

void hf_relay_notice(struct hf_relay *relay, struct hf_http_exchange *exchange,
                     enum hf_http_notice what)
{
    struct call *call = call_of(exchange);
    if (call->polls && what != HF_HTTP_ROOM) {
        atomic_store_explicit(&call->gone, true, memory_order_release);
        ring(relay);
    }
    if (call->waits_for_room) {
        give_back(relay, call);
    }
}

static bool begin_stream(struct call *call)
{
    struct hf_http_response response = {
        .status = call->status,
        .content_type = call->content_type,
        .headers = call->headers,
    };
    call->begun = call->content_type != NULL && hf_http_begin(call->exchange, &response);
    return call->begun;
}

/* A stream's outcome. */
static void go_on_stream(struct hf_relay *relay, struct call *call)
{
    struct hf_http_exchange *exchange = call->exchange;
    bool speaks = call->outcome != BROKEN_OFF;
    if (speaks && !call->begun && !begin_stream(call)) { /* as many as may be are open */
        atomic_store_explicit(&call->gone, true, memory_order_release);
    }
    bool room = speaks && call->begun && hf_http_piece(exchange);
    if (call->outcome == PIECE) {
        call->waits_for_room = !room && !is_gone(call);
        if (!call->waits_for_room) {
            give_back(relay, call);
        }
    } else if (!call->begun) {
        exchange->user = NULL;
        respond_problem(exchange, HF_ERR_NOT_READY);
    } else if (call->outcome == LAST_PIECE) {
        hf_http_end(exchange);
    } else {
        hf_http_break(exchange);
    }
}

bool hf_relay_resume(struct hf_relay *relay, struct hf_http_exchange *exchange)
{
    struct call *call = call_of(exchange);
    if (call->outcome >= PIECE && call->outcome <= BROKEN_OFF) {
        go_on_stream(relay, call);
        return true;
    }
    exchange->user = NULL;
    if (call->outcome == HANDED_BACK) {
        hf_buffer_clear(&exchange->answer);
        return false;
    }
    if (call->outcome == REFUSED) {
        respond_problem(exchange, call->code);
        return true;
    }
    struct hf_http_response response = {
        .status = call->status,
        .content_type = call->content_type,
        .headers = call->headers,
    };
    hf_http_respond(exchange, &response);
    return true;
}

/* ---- the relay's thread ---- */

static void finish(struct call *call, enum outcome outcome, enum hf_err code)
{
    call->outcome = outcome;
    call->code = code;
    hf_http_resume(call->exchange);
}

static void refuse(struct call *call)
{
    bool unknown = call->perhaps_done && call->exchange->method != HF_HTTP_GET &&
                   call->exchange->method != HF_HTTP_HEAD;
    finish(call, REFUSED, unknown ? HF_ERR_OUTCOME_UNKNOWN : HF_ERR_NOT_READY);
}

/* Its connection broke, or the owner said that it can't now. */
static void wait_again(struct hf_relay *relay, struct call *call, bool perhaps_done)
{
    call->perhaps_done = call->perhaps_done || perhaps_done;
    if (perhaps_done && !call->repeatable) {
        refuse(call);
        return;
    }
    call->not_before_ms = now_ms() + RETRY_MS;
    push(&relay->waiting, call);
}

/* The connection has no call any more. */
static void let_go(struct hf_relay *relay, struct connection *connection)
{
    relay->polls -= connection->call != NULL && connection->call->polls;
    connection->call = NULL;
}

static void drop(struct hf_relay *relay, struct connection *connection)
{
    struct call *call = connection->call;
    bool sent = call != NULL && hf_upstream_sent_all(&connection->upstream);
    let_go(relay, connection);
    hf_upstream_close(&connection->upstream);
    if (call != NULL) {
        wait_again(relay, call, sent);
    }
}

/* Copies the head of what the owner answered into the exchange, and the body of an answer that is whole. false: memory
 * is short. */
static bool keep_answer(struct call *call, const struct hf_upstream *upstream,
                        struct hf_upstream_answer *answer)
{
    struct hf_http_exchange *exchange = call->exchange;
    struct hf_buffer headers;
    hf_buffer_init(&headers);
    hf_upstream_answer(upstream, answer, &headers);
    hf_buffer_bytes(&headers, call->more_headers.ptr, call->more_headers.len);
    struct hf_str text = {headers.size_bytes == 0 ? "" : (const char *)headers.data,
                          headers.size_bytes};
    call->headers = hf_arena_copy(exchange->arena, text);
    bool good = !headers.failed && hf_str_present(call->headers);
    hf_buffer_release(&headers);
    if (hf_str_present(answer->content_type)) {
        char *type = hf_arena_alloc(exchange->arena, answer->content_type.len + 1);
        if (type != NULL) {
            memcpy(type, answer->content_type.ptr, answer->content_type.len);
            type[answer->content_type.len] = '\0';
        }
        good = good && type != NULL;
        call->content_type = type;
    }
    hf_buffer_clear(&exchange->answer);
    if (!upstream->streams) {
        hf_buffer_bytes(&exchange->answer, answer->body.ptr, answer->body.len);
    }
    call->status = answer->status;
    return good && !exchange->answer.failed;
}

static void whole(struct hf_relay *relay, struct connection *connection)
{
    struct call *call = connection->call;
    struct hf_upstream_answer answer;
    bool kept = keep_answer(call, &connection->upstream, &answer);
    bool stopping = answer.status == 503 && has_code(answer.body, HF_STR("\"code\":\"not_ready\""));
    bool unknown =
        answer.status == 503 && has_code(answer.body, HF_STR("\"code\":\"outcome_unknown\""));
    let_go(relay, connection);
    hf_upstream_end(&connection->upstream);
    connection->upstream.since_ms = now_ms();
    if (answer.close || stopping || unknown) {
        hf_upstream_close(&connection->upstream);
    }
    if (!kept) {
        wait_again(relay, call, true); /* done there, and no room here to say so */
    } else if (stopping || (unknown && call->repeatable)) {
        wait_again(relay, call, unknown);
    } else {
        finish(call, ANSWERED, HF_ERR_OK);
    }
}

/* The stream leaves its connection, which can't be used again. */
static void part(struct hf_relay *relay, struct connection *connection, enum outcome outcome)
{
    struct call *call = connection->call;
    let_go(relay, connection);
    connection->paused = false;
    hf_upstream_close(&connection->upstream);
    finish(call, outcome, HF_ERR_OK);
}

/* Hands the next piece of a stream to the loop, if there is one. */
static void read_stream(struct hf_relay *relay, struct connection *connection)
{
    struct call *call = connection->call;
    struct hf_buffer *piece = &call->exchange->answer;
    enum hf_upstream_progress progress = hf_upstream_piece(&connection->upstream, piece);
    connection->wants_write = false;
    if (progress == HF_UPSTREAM_BROKEN) {
        hf_buffer_clear(piece);
        part(relay, connection, BROKEN_OFF);
    } else if (progress == HF_UPSTREAM_WHOLE) {
        let_go(relay, connection);
        hf_upstream_end(&connection->upstream);
        connection->upstream.since_ms = now_ms();
        finish(call, LAST_PIECE, HF_ERR_OK);
    } else if (piece->size_bytes > 0) {
        connection->upstream.since_ms = now_ms();
        connection->paused = true;
        finish(call, PIECE, HF_ERR_OK);
    }
}

/* The owner's answer is a stream, and its head is there. */
static void begin_reading(struct hf_relay *relay, struct connection *connection)
{
    struct call *call = connection->call;
    struct hf_upstream_answer answer;
    if (!keep_answer(call, &connection->upstream, &answer)) {
        drop(relay, connection);
        return;
    }
    call->connection = connection;
    hf_upstream_drop_head(&connection->upstream);
    if (call->exchange->method == HF_HTTP_HEAD) {
        part(relay, connection, LAST_PIECE);
    } else {
        read_stream(relay, connection);
    }
}

/* Streams whose last piece is written. */
static void take_back(struct hf_relay *relay, struct list *back)
{
    struct call *call;
    while ((call = pop(back)) != NULL) {
        struct connection *connection = call->connection;
        connection->paused = false;
        if (is_gone(call)) {
            part(relay, connection, BROKEN_OFF);
        } else {
            read_stream(relay, connection);
        }
    }
}

static void go(struct hf_relay *relay, struct connection *connection)
{
    if (connection->upstream.streams) {
        read_stream(relay, connection);
        return;
    }
    enum hf_upstream_progress progress = hf_upstream_go(&connection->upstream);
    connection->wants_write = progress == HF_UPSTREAM_WANTS_WRITE;
    if (progress == HF_UPSTREAM_WHOLE) {
        whole(relay, connection);
    } else if (progress == HF_UPSTREAM_STREAMS) {
        begin_reading(relay, connection);
    } else if (progress == HF_UPSTREAM_BROKEN) {
        drop(relay, connection);
    }
}

/* An idle connection, or a new one; NULL: there is no owner now, or all are busy. */
static struct connection *find_connection(struct hf_relay *relay, uint64_t now)
{
    struct connection *unused = NULL;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = &relay->connections[i];
        if (connection->upstream.fd >= 0 && connection->call == NULL) {
            return connection;
        }
        unused = connection->upstream.fd < 0 && unused == NULL ? connection : unused;
    }
    if (unused == NULL || now < relay->no_owner_until_ms) {
        return NULL;
    }
    if (hf_upstream_connect(&unused->upstream, relay->path) != HF_ERR_OK) {
        relay->no_owner_until_ms = now + RETRY_MS;
        return NULL;
    }
    return unused;
}

static void send_call(struct hf_relay *relay, struct connection *connection, struct call *call,
                      uint64_t now)
{
    if (!hf_upstream_begin(&connection->upstream, call->exchange)) {
        wait_again(relay, call, false);
        return;
    }
    connection->call = call;
    relay->polls += call->polls;
    connection->upstream.since_ms = now;
    go(relay, connection);
}

/* Every waiting call: sent, handed back, refused, or left waiting. */
static void serve_waiting(struct hf_relay *relay, uint64_t now)
{
    struct list waiting = relay->waiting;
    relay->waiting = (struct list){0};
    struct call *call;
    while ((call = pop(&waiting)) != NULL) {
        if (relay->seen == OWNING && !is_gone(call)) {
            finish(call, HANDED_BACK, HF_ERR_OK);
            continue;
        }
        if (relay->seen == STOPPING || now >= call->give_up_ms || is_gone(call)) {
            refuse(call);
            continue;
        }
        bool may = now >= call->not_before_ms && (!call->polls || relay->polls < POLLS_MAX);
        struct connection *connection = may ? find_connection(relay, now) : NULL;
        if (connection != NULL) {
            send_call(relay, connection, call, now);
        } else {
            push(&relay->waiting, call);
        }
    }
}

/* Ends connections that have idled, those whose owner does not answer, and those on which nobody waits any more: the
 * owner sees that they have gone. */
static void check_times(struct hf_relay *relay, uint64_t now)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = &relay->connections[i];
        if (connection->upstream.fd < 0) {
            continue;
        }
        if (connection->paused) {
            continue; /* the loop has its call */
        }
        uint64_t most = connection->call == NULL       ? IDLE_MS_MAX
                        : connection->upstream.streams ? STREAM_MS_MAX
                        : relay->seen == STOPPING
                            ? hf_min_u64(STOP_MS_MAX, relay->options.answer_ms)
                            : relay->options.answer_ms;
        bool gone = connection->call != NULL && is_gone(connection->call);
        if (now - connection->upstream.since_ms < most && !gone) {
            continue;
        }
        struct call *call = connection->call;
        if (call != NULL && connection->upstream.streams) {
            part(relay, connection, BROKEN_OFF);
            continue;
        }
        if (call != NULL) { /* the caller has waited long enough: it is told what is known */
            call->perhaps_done = call->perhaps_done || hf_upstream_sent_all(&connection->upstream);
            let_go(relay, connection);
            refuse(call);
        }
        hf_upstream_close(&connection->upstream);
    }
}

/* Takes what came under the mutex. false: the thread shall end. */
static bool look(struct hf_relay *relay)
{
    uint64_t rings;
    ssize_t got = read(relay->bell, &rings, sizeof(rings));
    HF_CHECK(got == (ssize_t)sizeof(rings) || errno == EAGAIN || errno == EINTR);
    lock(relay);
    struct list inbox = relay->inbox;
    relay->inbox = (struct list){0};
    struct list back = relay->back;
    relay->back = (struct list){0};
    relay->seen = relay->phase;
    bool end = relay->end;
    unlock(relay);
    struct call *call;
    while ((call = pop(&inbox)) != NULL) {
        push(&relay->waiting, call);
    }
    take_back(relay, &back);
    return !end;
}

static int round_ms(const struct hf_relay *relay, bool connected)
{
    if (relay->waiting.first != NULL) {
        return RETRY_MS;
    }
    return connected ? ROUND_MS_MAX : -1;
}

/* Waits for the bell and the connections, and goes on with those that are ready. */
static void poll_all(struct hf_relay *relay)
{
    struct pollfd ready[CONNECTIONS_MAX + 1];
    struct connection *whose[CONNECTIONS_MAX + 1];
    nfds_t count = 1;
    ready[0] = (struct pollfd){.fd = relay->bell, .events = POLLIN};
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = &relay->connections[i];
        if (connection->upstream.fd >= 0 && !connection->paused) {
            bool writes = connection->call != NULL && connection->wants_write;
            ready[count] = (struct pollfd){.fd = connection->upstream.fd,
                                           .events = writes ? POLLIN | POLLOUT : POLLIN};
            whose[count++] = connection;
        }
    }
    if (poll(ready, count, round_ms(relay, count > 1)) <= 0) {
        return;
    }
    for (nfds_t i = 1; i < count; i++) {
        if (ready[i].revents == 0) {
            continue;
        }
        if (whose[i]->call == NULL) {
            hf_upstream_close(
                &whose[i]->upstream); /* the owner ended it, or says what nobody asked */
        } else {
            go(relay, whose[i]);
        }
    }
}

static void *run(void *context)
{
    struct hf_relay *relay = context;
    while (look(relay)) {
        uint64_t now = now_ms();
        check_times(relay, now);
        serve_waiting(relay, now);
        poll_all(relay);
    }
    return NULL;
}

/* ---- life ---- */

static bool start_thread(struct hf_relay *relay)
{
    sigset_t all;
    sigset_t before;
    HF_CHECK(sigfillset(&all) == 0);
    HF_CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int failed = pthread_create(&relay->thread, NULL, run, relay);
    HF_CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return failed == 0;
}

struct hf_relay *hf_relay_new(const struct hf_relay_options *options)
{
    HF_CHECK(strlen(options->socket_path) < SOCKET_PATH_BYTES);
    struct hf_relay *relay = hf_calloc(1, sizeof(*relay));
    if (relay == NULL) {
        return NULL;
    }
    memcpy(relay->path, options->socket_path, strlen(options->socket_path) + 1);
    relay->options = *options;
    relay->options.socket_path = relay->path;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        relay->connections[i].upstream.fd = -1;
    }
    HF_CHECK(pthread_mutex_init(&relay->mutex, NULL) == 0);
    relay->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (relay->bell < 0 || !start_thread(relay)) {
        if (relay->bell >= 0) {
            (void)close(relay->bell);
        }
        HF_CHECK(pthread_mutex_destroy(&relay->mutex) == 0);
        hf_free(relay);
        return NULL;
    }
    return relay;
}

static void set_phase(struct hf_relay *relay, enum phase phase, bool end)
{
    lock(relay);
    relay->phase = phase;
    relay->end = end;
    unlock(relay);
    ring(relay);
}

void hf_relay_become_owner(struct hf_relay *relay)
{
    set_phase(relay, OWNING, false);
}

void hf_relay_stop(struct hf_relay *relay)
{
    set_phase(relay, STOPPING, false);
}

void hf_relay_free(struct hf_relay *relay)
{
    if (relay == NULL) {
        return;
    }
    set_phase(relay, STOPPING, true);
    HF_CHECK(pthread_join(relay->thread, NULL) == 0);
    HF_CHECK(relay->inbox.first == NULL && relay->waiting.first == NULL);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        HF_CHECK(relay->connections[i].call == NULL);
        hf_upstream_close(&relay->connections[i].upstream);
    }
    (void)close(relay->bell);
    HF_CHECK(pthread_mutex_destroy(&relay->mutex) == 0);
    hf_free(relay);
}

bool hf_relay_owner(const char *socket_path, char *owner, size_t owner_bytes)
{
    struct hf_upstream upstream;
    struct ucred peer = {0};
    socklen_t size = sizeof(peer);
    char host[256];
    if (hf_upstream_connect(&upstream, socket_path) != HF_ERR_OK) {
        return false;
    }
    bool known = getsockopt(upstream.fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
                 gethostname(host, sizeof(host)) == 0;
    hf_upstream_close(&upstream);
    host[sizeof(host) - 1] = '\0';
    if (known) {
        (void)snprintf(owner, owner_bytes, "%s:%d", host, (int)peer.pid);
    }
    return known;
}
