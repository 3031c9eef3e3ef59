#include "base/check.h"
#include "http/http_priv.h"

/* Less room than this in the input is not worth a call. */
#define ROOM_BYTES_MIN 1024u
/* Room behind a head for the chunks of its body. */
#define CHUNKED_ROOM_BYTES 4096u
/* First size of a body that is read by itself. */
#define BODY_BYTES_FIRST (64u << 10)

/* Counts bytes of a body; false: too many in all, and the request is refused. */
static bool hold(struct hf_http_connection *connection, size_t bytes)
{
    struct hf_http_server *server = connection->server;
    connection->work->body_held += bytes;
    hf_http_count(&server->counters.body_bytes_held, bytes);
    if (atomic_load_explicit(&server->counters.body_bytes_held, memory_order_relaxed) >
        server->limits.body_bytes_in_all) {
        hf_http_refuse(connection, 429, "the bodies of all requests together are too large now");
        return false;
    }
    return true;
}

static bool hand_over(struct hf_http_connection *connection, struct hf_str body)
{
    struct hf_http_server *server = connection->server;
    struct hf_http_work *work = connection->work;
    work->exchange.body = body;
    work->is_handed = true;
    connection->state = HF_HTTP_EXCHANGE;
    server->exchange_count++;
    server->handler.handle(server->handler.context, &work->exchange);
    return connection->state != HF_HTTP_EXCHANGE || work->is_watched;
}

/* Asks the handler whether a body shall be read. false: answered. */
static bool admit(struct hf_http_connection *connection)
{
    struct hf_http_server *server = connection->server;
    struct hf_http_work *work = connection->work;
    struct hf_http_response response = {0};
    if (server->handler.admit == NULL ||
        server->handler.admit(server->handler.context, &work->exchange, &response)) {
        return true;
    }
    connection->must_end = true;
    connection->must_linger = true;
    hf_http_render(connection, &response);
    return false;
}

static bool begin_body(struct hf_http_connection *connection)
{
    struct hf_http_server *server = connection->server;
    struct hf_http_work *work = connection->work;
    const struct hf_http_head *head = &work->head;
    bool is_too_large = !head->is_chunked && head->content_length > server->limits.body_bytes_max;
    bool is_long = !head->is_chunked && head->content_length > HF_HTTP_ADMIT_BYTES;
    if ((head->expects_continue || is_too_large || is_long) && !admit(connection)) {
        return true;
    }
    if (is_too_large) {
        hf_http_refuse(connection, 413, "the body is too large");
        return true;
    }
    size_t there = work->in.size_bytes - work->in_begin - head->head_bytes;
    if (!head->is_chunked && there >= head->content_length) {
        size_t length = (size_t)head->content_length;
        work->in_used = head->head_bytes + length;
        const char *body = (const char *)work->in.data + work->in_begin + head->head_bytes;
        return !hold(connection, length) || hand_over(connection, (struct hf_str){body, length});
    }
    hf_http_body_begin(&work->body_parser, head->is_chunked, head->content_length,
                       server->limits.body_bytes_max);
    work->in_used = head->head_bytes;
    connection->state = HF_HTTP_IN_BODY;
    connection->is_renewed = true;
    if (head->expects_continue && there == 0) {
        hf_http_render_continue(connection);
    }
    return !connection->is_broken;
}

/* The head is whole. */
static bool begin_request(struct hf_http_connection *connection)
{
    struct hf_http_server *server = connection->server;
    struct hf_http_work *work = connection->work;
    const struct hf_http_head *head = &work->head;
    hf_http_count(&server->counters.requests, 1);
    /* From here on the input must not move: the exchange points into it. */
    if (head->is_chunked && !hf_buffer_reserve(&work->in, CHUNKED_ROOM_BYTES)) {
        hf_http_drop(connection);
        return false;
    }
    struct hf_http_exchange *exchange = &work->exchange;
    hf_http_head_point(head, (const char *)work->in.data + work->in_begin, work->headers, exchange);
    exchange->secure = connection->ssl != NULL;
    exchange->local_socket = connection->is_local;
    exchange->has_body = head->is_chunked || head->content_length > 0;
    connection->must_end = connection->must_end || head->ends_connection;
    if (exchange->has_body) {
        return begin_body(connection);
    }
    work->in_used = head->head_bytes;
    return hand_over(connection, HF_STR(""));
}

/* What a peer that sends no more, or is gone, means in the middle of a request. */
static bool end_of_input(struct hf_http_connection *connection, enum hf_http_io io)
{
    if (io == HF_HTTP_IO_END && connection->work->in.size_bytes > connection->work->in_begin) {
        hf_http_refuse(connection, 400, "the request ended before it was whole");
        return true;
    }
    if (io == HF_HTTP_IO_END && hf_http_unsent(connection) > 0) {
        connection->must_end = true;
        connection->state = HF_HTTP_CLOSING;
        return true;
    }
    if (io != HF_HTTP_IO_BLOCK) {
        hf_http_drop(connection);
    }
    return false;
}

/* Room for more of the head; false if memory is short. */
static bool make_room(struct hf_http_work *work)
{
    if (work->in_begin == work->in.size_bytes) {
        work->in.size_bytes = 0;
        work->in_begin = 0;
    }
    if (work->in.capacity_bytes - work->in.size_bytes >= ROOM_BYTES_MIN) {
        return true;
    }
    if (work->in_begin > 0) {
        memmove(work->in.data, work->in.data + work->in_begin,
                work->in.size_bytes - work->in_begin);
        work->in.size_bytes -= work->in_begin;
        work->in_begin = 0;
    }
    return hf_buffer_reserve(&work->in,
                             work->in.capacity_bytes == 0 ? HF_HTTP_INPUT_BYTES : ROOM_BYTES_MIN);
}

bool hf_http_read_head(struct hf_http_connection *connection)
{
    struct hf_http_work *work = connection->work;
    if (work->in.size_bytes > work->in_begin) {
        switch (hf_http_head_feed(&work->head, (char *)work->in.data + work->in_begin,
                                  work->in.size_bytes - work->in_begin)) {
        case HF_HTTP_DONE:
            return begin_request(connection);
        case HF_HTTP_BAD:
            hf_http_refuse(connection, work->head.status, work->head.detail);
            return true;
        case HF_HTTP_MORE:
            break;
        }
    }
    if (connection->ended) {
        return end_of_input(connection, HF_HTTP_IO_END);
    }
    if (!connection->readable) {
        return false;
    }
    if (!make_room(work)) {
        hf_http_drop(connection);
        return false;
    }
    size_t got;
    enum hf_http_io io = hf_http_receive(connection, work->in.data + work->in.size_bytes,
                                         work->in.capacity_bytes - work->in.size_bytes, &got);
    work->in.size_bytes += got;
    if (io != HF_HTTP_IO_SOME) {
        return end_of_input(connection, io);
    }
    connection->state = HF_HTTP_IN_HEAD;
    return true;
}

/* Takes `size` bytes of the body from `data`; what is behind the body stays in the input. */
static bool take_body(struct hf_http_connection *connection, const char *data, size_t size)
{
    struct hf_http_work *work = connection->work;
    size_t before = work->body.size_bytes;
    size_t taken;
    enum hf_http_progress progress =
        hf_http_body_feed(&work->body_parser, data, size, &work->body, &taken);
    size_t body_end = work->in_begin + work->in_used;
    size_t left = progress == HF_HTTP_DONE ? size - taken : 0;
    memmove(work->in.data + body_end, data + size - left, left);
    work->in.size_bytes = body_end + left;
    if (progress == HF_HTTP_BAD) {
        hf_http_refuse(connection, work->body_parser.status, work->body_parser.detail);
        return true;
    }
    if (work->body.failed) {
        hf_http_drop(connection);
        return false;
    }
    if (!hold(connection, work->body.size_bytes - before)) {
        return true;
    }
    return progress == HF_HTTP_MORE ||
           hand_over(connection,
                     (struct hf_str){(const char *)work->body.data, work->body.size_bytes});
}

/* A body of known length goes straight to its place. */
static enum hf_http_io receive_plain(struct hf_http_connection *connection, size_t *got)
{
    struct hf_http_work *work = connection->work;
    struct hf_buffer *body = &work->body;
    size_t wanted = (size_t)work->body_parser.left;
    size_t step = body->size_bytes < BODY_BYTES_FIRST ? BODY_BYTES_FIRST : body->size_bytes;
    *got = 0;
    if (body->capacity_bytes == body->size_bytes &&
        !hf_buffer_reserve(body, wanted < step ? wanted : step)) {
        return HF_HTTP_IO_LOST;
    }
    size_t room = body->capacity_bytes - body->size_bytes;
    enum hf_http_io io = hf_http_receive(connection, body->data + body->size_bytes,
                                         wanted < room ? wanted : room, got);
    body->size_bytes += *got;
    work->body_parser.left -= *got;
    work->body_parser.size_bytes += *got;
    return io;
}

bool hf_http_read_body(struct hf_http_connection *connection)
{
    struct hf_http_work *work = connection->work;
    size_t body_at = work->in_begin + work->in_used;
    if (work->in.size_bytes > body_at) {
        return take_body(connection, (const char *)work->in.data + body_at,
                         work->in.size_bytes - body_at);
    }
    if (connection->ended) {
        return end_of_input(connection, HF_HTTP_IO_END);
    }
    if (!connection->readable) {
        return false;
    }
    size_t got;
    enum hf_http_io io;
    if (work->body_parser.is_chunked) {
        io = hf_http_receive(connection, work->in.data + body_at, work->in.capacity_bytes - body_at,
                             &got);
        work->in.size_bytes += got;
    } else {
        io = receive_plain(connection, &got);
    }
    if (io != HF_HTTP_IO_SOME) {
        return end_of_input(connection, io);
    }
    connection->renew_bytes += (uint32_t)got;
    connection->is_renewed =
        connection->is_renewed || connection->renew_bytes >= HF_HTTP_BODY_RENEW_BYTES;
    if (work->body_parser.is_chunked) {
        return true;
    }
    if (!hold(connection, got)) {
        return true;
    }
    return work->body_parser.left > 0 ||
           hand_over(connection,
                     (struct hf_str){(const char *)work->body.data, work->body.size_bytes});
}
