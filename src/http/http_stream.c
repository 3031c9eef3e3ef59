/* Streamed answers, and exchanges that wait: what the handler says to the peer in pieces, and what it is told. */
#include "base/check.h"
#include "http/http_priv.h"

/* "10000\r\n" and the "\r\n" behind a chunk; "0\r\n\r\n" at the end. */
#define CHUNK_BYTES 24

static struct hf_http_work *work_of(struct hf_http_exchange *exchange)
{
    struct hf_http_work *work = HF_CONTAINER_OF(exchange, struct hf_http_work, exchange);
    HF_CHECK(work->is_handed);
    return work;
}

/* Inside hf_http_run the connection goes on by itself. */
static void go_on(struct hf_http_connection *connection)
{
    if (!connection->is_running) {
        hf_http_ready(connection);
    }
}

bool hf_http_begin(struct hf_http_exchange *exchange, const struct hf_http_response *response)
{
    struct hf_http_work *work = work_of(exchange);
    struct hf_http_connection *connection = work->connection;
    struct hf_http_server *server = work->server;
    HF_CHECK(!work->is_stream && response->content_type != NULL);
    if (atomic_load_explicit(&server->counters.streams, memory_order_relaxed) >=
        server->limits.streams_max) {
        return false;
    }
    work->is_stream = true;
    hf_http_count(&server->counters.streams, 1);
    if (connection->state == HF_HTTP_CLOSED) {
        return true;
    }
    HF_CHECK(connection->state == HF_HTTP_EXCHANGE && work->tail.size_bytes == 0);
    connection->state = HF_HTTP_STREAMING;
    work->in_chunks = !work->head.is_http_1_0;
    connection->must_end = connection->must_end || response->close || !work->in_chunks ||
                           server->drain_deadline_ms != 0;
    (void)hf_http_render_head(connection, response,
                              work->in_chunks ? HF_HTTP_CONTENT_CHUNKS : HF_HTTP_CONTENT_TO_END, 0,
                              0);
    go_on(connection);
    return true;
}

/* What is sent already goes, so that the output is never longer than what is unsent and one piece. */
static void compact(struct hf_http_work *work)
{
    struct hf_buffer *out = &work->out;
    HF_CHECK(work->tail.size_bytes == 0 && work->out_sent <= out->size_bytes);
    if (work->out_sent > 0) {
        memmove(out->data, out->data + work->out_sent, out->size_bytes - work->out_sent);
        out->size_bytes -= work->out_sent;
        work->out_sent = 0;
    }
}

bool hf_http_piece(struct hf_http_exchange *exchange)
{
    struct hf_http_work *work = work_of(exchange);
    struct hf_http_connection *connection = work->connection;
    struct hf_buffer *piece = &exchange->answer;
    HF_CHECK(work->is_stream && !work->wants_room);
    if (connection->state == HF_HTTP_CLOSED || connection->is_broken ||
        exchange->method == HF_HTTP_HEAD) {
        hf_buffer_clear(piece);
        return false;
    }
    HF_CHECK(connection->state == HF_HTTP_STREAMING);
    if (piece->size_bytes > 0 && !piece->failed) {
        compact(work);
        if (hf_buffer_reserve(&work->out, piece->size_bytes + CHUNK_BYTES)) {
            if (work->in_chunks) {
                hf_buffer_format(&work->out, "%zx\r\n", piece->size_bytes);
            }
            hf_buffer_bytes(&work->out, piece->data, piece->size_bytes);
            if (work->in_chunks) {
                hf_buffer_text(&work->out, "\r\n");
            }
        }
    }
    connection->is_broken = piece->failed || work->out.failed;
    hf_buffer_clear(piece);
    work->wants_room = hf_http_unsent(connection) >= HF_HTTP_STREAM_BYTES;
    go_on(connection);
    return !work->wants_room && !connection->is_broken;
}

/* The handler lets go of it. false: the connection is closed, and nothing more is to be done. */
static bool let_go(struct hf_http_work *work)
{
    struct hf_http_connection *connection = work->connection;
    HF_CHECK(work->is_stream);
    work->is_handed = false;
    work->server->exchange_count--;
    hf_http_count(&work->server->counters.streams, (uint64_t)-1);
    if (connection->state == HF_HTTP_CLOSED) {
        hf_http_bury(connection);
        return false;
    }
    HF_CHECK(connection->state == HF_HTTP_STREAMING);
    connection->must_end = connection->must_end || work->server->drain_deadline_ms != 0;
    connection->state = HF_HTTP_ANSWERED;
    return true;
}

void hf_http_end(struct hf_http_exchange *exchange)
{
    struct hf_http_work *work = work_of(exchange);
    struct hf_http_connection *connection = work->connection;
    if (!let_go(work)) {
        return;
    }
    if (work->in_chunks && exchange->method != HF_HTTP_HEAD) {
        compact(work);
        hf_buffer_text(&work->out, "0\r\n\r\n");
        connection->is_broken = connection->is_broken || work->out.failed;
    }
    go_on(connection);
}

void hf_http_break(struct hf_http_exchange *exchange)
{
    struct hf_http_work *work = work_of(exchange);
    struct hf_http_connection *connection = work->connection;
    if (let_go(work)) {
        connection->is_broken = true;
        go_on(connection);
    }
}

void hf_http_watch(struct hf_http_exchange *exchange)
{
    struct hf_http_work *work = work_of(exchange);
    work->is_watched = true;
    if (work->connection->state != HF_HTTP_CLOSED) {
        go_on(work->connection); /* it may have gone already */
    }
}

static void tell(struct hf_http_work *work, enum hf_http_notice what)
{
    struct hf_http_server *server = work->server;
    HF_CHECK(server->handler.notice != NULL);
    server->handler.notice(server->handler.context, &work->exchange, what);
}

void hf_http_tell_gone(struct hf_http_connection *connection)
{
    struct hf_http_work *work = connection->work;
    if (work->is_watched || work->is_stream) {
        tell(work, HF_HTTP_GONE);
    }
}

/* While the handler has it. */
static bool is_open(const struct hf_http_connection *connection)
{
    return connection->state == HF_HTTP_STREAMING || connection->state == HF_HTTP_EXCHANGE;
}

bool hf_http_stream_step(struct hf_http_connection *connection)
{
    struct hf_http_work *work = connection->work;
    if (work->is_watched && connection->hangs_up) {
        hf_http_drop(connection);
        return false;
    }
    if ((work->is_watched || work->is_stream) && connection->server->drain_deadline_ms != 0 &&
        !work->is_told_stop) {
        work->is_told_stop = true;
        tell(work, HF_HTTP_STOP);
        return connection->state != HF_HTTP_CLOSED;
    }
    if (!work->is_stream) {
        return false;
    }
    if (hf_http_flush(connection) == HF_HTTP_IO_LOST) {
        hf_http_drop(connection);
        return false;
    }
    if (work->wants_room && hf_http_unsent(connection) <= HF_HTTP_STREAM_LOW_BYTES) {
        work->wants_room = false;
        tell(work, HF_HTTP_ROOM);
        return connection->state != HF_HTTP_CLOSED &&
               (!is_open(connection) || hf_http_unsent(connection) > 0);
    }
    return false;
}
