#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "http/http_priv.h"

static void shrink(struct hf_buffer *buffer)
{
    hf_buffer_clear(buffer);
    if (buffer->capacity_bytes > HF_HTTP_KEPT_BYTES_MAX) {
        hf_buffer_release(buffer);
    }
}

/* Ready for the next request of the same connection, whose bytes may be in the input already. */
static void begin_exchange(struct hf_http_work *work)
{
    struct hf_http_server *server = work->server;
    struct hf_buffer answer = work->exchange.answer;
    shrink(&answer);
    shrink(&work->body);
    if (work->arena.total_bytes > HF_HTTP_KEPT_BYTES_MAX) {
        hf_arena_release(&work->arena);
    } else {
        hf_arena_clear(&work->arena);
    }
    atomic_store_explicit(
        &server->counters.body_bytes_held,
        atomic_load_explicit(&server->counters.body_bytes_held, memory_order_relaxed) -
            work->body_held,
        memory_order_relaxed);
    work->body_held = 0;
    work->exchange = (struct hf_http_exchange){.arena = &work->arena, .answer = answer};
    work->is_stream = false;
    work->in_chunks = false;
    work->wants_room = false;
    work->is_watched = false;
    work->is_told_stop = false;
    work->in_begin += work->in_used;
    work->in_used = 0;
    hf_http_head_begin(&work->head, &server->head_limits, work->fields);
}

/* Without its buffers. */
static size_t work_size(const struct hf_http_server *server)
{
    return sizeof(struct hf_http_work) +
           server->limits.headers_max *
               (sizeof(struct hf_http_field) + sizeof(struct hf_http_header));
}

size_t hf_http_work_bytes(const struct hf_http_server *server)
{
    return work_size(server) + HF_HTTP_INPUT_BYTES;
}

static void work_free(struct hf_http_work *work)
{
    hf_http_count(&work->server->counters.works, UINT64_MAX); /* one less */
    hf_arena_release(&work->arena);
    hf_buffer_release(&work->exchange.answer);
    hf_buffer_release(&work->in);
    hf_buffer_release(&work->body);
    hf_buffer_release(&work->out);
    hf_buffer_release(&work->tail);
    hf_free(work);
}

static bool take_work(struct hf_http_connection *connection)
{
    struct hf_http_server *server = connection->server;
    struct hf_http_work *work = server->pool;
    if (work != NULL) {
        server->pool = work->next_free;
        server->pool_count--;
        server->pool_low =
            server->pool_count < server->pool_low ? server->pool_count : server->pool_low;
    } else {
        size_t fields = server->limits.headers_max;
        work = hf_calloc(1, work_size(server));
        if (work == NULL) {
            return false;
        }
        hf_http_count(&server->counters.works, 1);
        work->server = server;
        work->headers = (struct hf_http_header *)(void *)(work->fields + fields);
        begin_exchange(work);
    }
    work->connection = connection;
    connection->work = work;
    return true;
}

/* Gives the work back: to the pool, or to the system if the pool is full. */
static void give_work(struct hf_http_connection *connection)
{
    struct hf_http_work *work = connection->work;
    struct hf_http_server *server = connection->server;
    HF_CHECK(!work->is_handed);
    connection->work = NULL;
    work->connection = NULL;
    begin_exchange(work);
    if (server->pool_count == HF_HTTP_POOL_MAX) {
        work_free(work);
        return;
    }
    shrink(&work->in);
    shrink(&work->out);
    shrink(&work->tail);
    work->in_begin = 0;
    work->out_sent = 0;
    work->next_free = server->pool;
    server->pool = work;
    server->pool_count++;
}

void hf_http_pool_trim(struct hf_http_server *server, uint32_t keep)
{
    while (server->pool_count > keep) {
        struct hf_http_work *work = server->pool;
        server->pool = work->next_free;
        server->pool_count--;
        work_free(work);
    }
}

/* Room for the descriptor in by_fd. */
static bool reserve_fd(struct hf_http_server *server, int fd)
{
    size_t needed = (size_t)fd + 1;
    if (needed <= server->by_fd_count) {
        return true;
    }
    size_t count = needed + needed / 2;
    struct hf_http_connection **grown =
        hf_realloc(server->by_fd, count * sizeof(struct hf_http_connection *));
    if (grown == NULL) {
        return false;
    }
    for (size_t i = server->by_fd_count; i < count; i++) {
        grown[i] = NULL;
    }
    server->by_fd = grown;
    server->by_fd_count = count;
    return true;
}

bool hf_http_open(struct hf_http_server *server, const struct hf_http_listener *listener, int fd)
{
    struct hf_http_connection *connection = hf_calloc(1, sizeof(*connection));
    if (connection == NULL) {
        (void)close(fd);
        return false;
    }
    connection->server = server;
    connection->fd = fd;
    connection->is_local = listener->path != NULL;
    connection->writable = true;
    if (!connection->is_local) {
        int on = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    if (listener->tls != NULL) {
        connection->ssl = hf_http_tls_open(listener->tls, fd);
        connection->shaking = true;
    }
    server->newest_number += server->newest_number == UINT32_MAX ? 2 : 1;
    connection->number = server->newest_number;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.u64 = hf_http_event_key(fd, connection->number)};
    if ((listener->tls != NULL && connection->ssl == NULL) || !reserve_fd(server, fd) ||
        epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        hf_http_tls_close(connection->ssl);
        (void)close(fd);
        hf_free(connection);
        return false;
    }
    server->by_fd[fd] = connection;
    hf_http_timer_set(connection, connection->shaking ? HF_HTTP_TIMER_HEAD : HF_HTTP_TIMER_IDLE);
    server->connection_count++;
    hf_http_count(&server->counters.accepted, 1);
    hf_http_count(&server->counters.connections, 1);
    return true;
}

void hf_http_bury(struct hf_http_connection *connection)
{
    struct hf_http_server *server = connection->server;
    HF_CHECK(connection->state == HF_HTTP_CLOSED);
    connection->next = server->dead;
    server->dead = connection;
}

void hf_http_drop(struct hf_http_connection *connection)
{
    struct hf_http_server *server = connection->server;
    if (connection->state == HF_HTTP_CLOSED) {
        return;
    }
    hf_http_tls_close(connection->ssl);
    connection->ssl = NULL;
    server->by_fd[connection->fd] = NULL;
    (void)close(connection->fd); /* takes it out of the epoll set too */
    connection->fd = -1;
    connection->state = HF_HTTP_CLOSED;
    hf_http_timer_leave(connection);
    server->connection_count--;
    hf_http_count(&server->counters.connections, (uint64_t)-1);
    if (connection->work == NULL || !connection->work->is_handed) {
        hf_http_bury(connection);
    } else {
        hf_http_tell_gone(connection);
    }
}

void hf_http_connection_free(struct hf_http_connection *connection)
{
    HF_CHECK(connection->state == HF_HTTP_CLOSED && !connection->is_queued);
    if (connection->work != NULL) {
        give_work(connection);
    }
    hf_free(connection);
}

/* The answer stands in the output: on to the next request, or to the end. */
static void finish_exchange(struct hf_http_connection *connection)
{
    struct hf_http_work *work = connection->work;
    begin_exchange(work);
    connection->is_renewed = true;
    if (connection->must_end) {
        connection->state = HF_HTTP_CLOSING;
    } else if (work->tail.size_bytes > 0 || hf_http_unsent(connection) >= HF_HTTP_COALESCE_BYTES) {
        connection->state = HF_HTTP_WRITING;
    } else {
        connection->state = HF_HTTP_IN_HEAD;
    }
}

/* The last answer must be sent; then the connection ends, at once if nothing unread can come. */
static bool close_when_sent(struct hf_http_connection *connection)
{
    enum hf_http_io io = hf_http_flush(connection);
    if (io == HF_HTTP_IO_BLOCK) {
        return false;
    }
    bool unread =
        connection->must_linger || connection->work->in.size_bytes > connection->work->in_begin;
    if (io == HF_HTTP_IO_SOME && unread && !connection->ended) {
        /* Closing a socket with unread bytes resets the connection, and the peer may lose the answer. */
        hf_http_send_end(connection);
        connection->state = HF_HTTP_LINGER;
        connection->is_renewed = true;
        give_work(connection);
        return true;
    }
    if (io == HF_HTTP_IO_SOME && connection->ssl != NULL) {
        hf_http_tls_goodbye(connection->ssl);
    }
    hf_http_drop(connection);
    return false;
}

/* One step. false: nothing more can be done now. */
static bool step(struct hf_http_connection *connection)
{
    enum hf_http_io io;
    switch ((enum hf_http_state)connection->state) {
    case HF_HTTP_IDLE:
        if (!connection->readable) {
            return false;
        }
        if (connection->work == NULL && !take_work(connection)) {
            hf_http_drop(connection);
            return false;
        }
        return hf_http_read_head(connection);
    case HF_HTTP_IN_HEAD:
        return hf_http_read_head(connection);
    case HF_HTTP_IN_BODY:
        return hf_http_read_body(connection);
    case HF_HTTP_ANSWERED:
        finish_exchange(connection);
        return true;
    case HF_HTTP_WRITING:
        io = hf_http_flush(connection);
        if (io == HF_HTTP_IO_LOST) {
            hf_http_drop(connection);
        } else if (io == HF_HTTP_IO_SOME) {
            connection->state = HF_HTTP_IN_HEAD;
        }
        return io == HF_HTTP_IO_SOME;
    case HF_HTTP_CLOSING:
        return close_when_sent(connection);
    case HF_HTTP_LINGER:
        io = connection->readable ? hf_http_discard(connection) : HF_HTTP_IO_BLOCK;
        if (io == HF_HTTP_IO_END || io == HF_HTTP_IO_LOST) {
            hf_http_drop(connection);
        }
        return io == HF_HTTP_IO_SOME;
    case HF_HTTP_EXCHANGE:
    case HF_HTTP_STREAMING:
        return hf_http_stream_step(connection);
    case HF_HTTP_CLOSED:
        break;
    }
    return false;
}

static enum hf_http_timer timer_of(const struct hf_http_connection *connection)
{
    if (hf_http_unsent(connection) > 0) {
        return HF_HTTP_TIMER_WRITE;
    }
    switch ((enum hf_http_state)connection->state) {
    case HF_HTTP_IDLE:
        return connection->shaking ? HF_HTTP_TIMER_HEAD : HF_HTTP_TIMER_IDLE;
    case HF_HTTP_IN_HEAD:
        return HF_HTTP_TIMER_HEAD;
    case HF_HTTP_IN_BODY:
        return HF_HTTP_TIMER_BODY;
    case HF_HTTP_LINGER:
        return HF_HTTP_TIMER_LINGER;
    case HF_HTTP_EXCHANGE:
    case HF_HTTP_STREAMING:
    case HF_HTTP_ANSWERED:
    case HF_HTTP_WRITING:
    case HF_HTTP_CLOSING:
    case HF_HTTP_CLOSED:
        break;
    }
    return HF_HTTP_TIMER_NONE;
}

/* Nothing can go on: sends what is to be sent, gives memory back, sets the time-out for what it waits for. */
static void settle(struct hf_http_connection *connection)
{
    if (connection->state != HF_HTTP_LINGER && connection->work != NULL &&
        hf_http_flush(connection) == HF_HTTP_IO_LOST) {
        hf_http_drop(connection);
        return;
    }
    struct hf_http_work *work = connection->work;
    if (connection->state == HF_HTTP_IN_HEAD && work != NULL &&
        work->in_begin == work->in.size_bytes && hf_http_unsent(connection) == 0) {
        connection->state = HF_HTTP_IDLE;
        connection->is_renewed = true;
    }
    if (connection->state == HF_HTTP_IDLE) {
        if (work != NULL) {
            give_work(connection);
        }
        if (connection->server->drain_deadline_ms != 0) {
            hf_http_drop(connection);
            return;
        }
    }
    enum hf_http_timer timer = timer_of(connection);
    if (timer != connection->timer || connection->is_renewed) {
        hf_http_timer_set(connection, timer);
    }
}

void hf_http_run(struct hf_http_connection *connection)
{
    if (connection->state == HF_HTTP_CLOSED) {
        return;
    }
    connection->is_running = true;
    bool goes_on = true;
    for (unsigned steps = 0; goes_on && steps < HF_HTTP_STEPS_TURN; steps++) {
        goes_on = step(connection);
        if (connection->is_broken) {
            hf_http_drop(connection);
            goes_on = false;
        }
    }
    connection->is_running = false;
    if (connection->state == HF_HTTP_CLOSED) {
        return;
    }
    if (goes_on) {
        hf_http_ready(connection);
        return;
    }
    settle(connection);
}

void hf_http_expire(struct hf_http_connection *connection)
{
    enum hf_http_timer timer = connection->timer;
    if (timer == HF_HTTP_TIMER_HEAD || timer == HF_HTTP_TIMER_BODY ||
        timer == HF_HTTP_TIMER_WRITE) {
        hf_http_count(&connection->server->counters.timed_out, 1);
    }
    if ((timer == HF_HTTP_TIMER_HEAD || timer == HF_HTTP_TIMER_BODY) && connection->work != NULL) {
        hf_http_refuse(connection, 408, "the request did not come in time");
        hf_http_run(connection);
        return;
    }
    if (timer == HF_HTTP_TIMER_WRITE) {
        /* What the peer does not read must not stay in the system's memory either. */
        struct linger none = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    }
    hf_http_drop(connection);
}
