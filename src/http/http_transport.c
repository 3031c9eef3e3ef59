#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "http/http_priv.h"

enum hf_http_io hf_http_receive(struct hf_http_connection *connection, void *to, size_t size,
                                size_t *got)
{
    *got = 0;
    if (connection->ended) {
        return HF_HTTP_IO_END;
    }
    enum hf_http_io result = HF_HTTP_IO_SOME;
    if (connection->ssl != NULL) {
        result = hf_http_tls_receive(connection, to, size, got);
    } else {
        ssize_t bytes;
        do {
            bytes = recv(connection->fd, to, size, 0);
        } while (bytes < 0 && errno == EINTR);
        if (bytes > 0) {
            *got = (size_t)bytes;
            /* Drained: what comes later makes a new event. An end that was told already makes none. */
            connection->readable = connection->hangs_up || *got == size;
        } else {
            result = bytes == 0                                  ? HF_HTTP_IO_END
                     : (errno == EAGAIN || errno == EWOULDBLOCK) ? HF_HTTP_IO_BLOCK
                                                                 : HF_HTTP_IO_LOST;
        }
    }
    if (result == HF_HTTP_IO_BLOCK) {
        connection->readable = false;
    }
    connection->ended = connection->ended || result == HF_HTTP_IO_END;
    hf_http_count(&connection->server->counters.received_bytes, *got);
    return result;
}

enum hf_http_io hf_http_discard(struct hf_http_connection *connection)
{
    char dropped[4096];
    ssize_t bytes;
    do {
        bytes = recv(connection->fd, dropped, sizeof(dropped), 0);
    } while (bytes < 0 && errno == EINTR);
    if (bytes > 0) {
        return HF_HTTP_IO_SOME;
    }
    if (bytes < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        connection->readable = false;
        return HF_HTTP_IO_BLOCK;
    }
    return bytes == 0 ? HF_HTTP_IO_END : HF_HTTP_IO_LOST;
}

void hf_http_send_end(struct hf_http_connection *connection)
{
    if (connection->ssl != NULL) {
        hf_http_tls_goodbye(connection->ssl);
    }
    /* It fails only if the connection is gone, which the next read tells too. */
    (void)shutdown(connection->fd, SHUT_WR);
}

size_t hf_http_unsent(const struct hf_http_connection *connection)
{
    const struct hf_http_work *work = connection->work;
    return work == NULL ? 0 : work->out.size_bytes + work->tail.size_bytes - work->out_sent;
}

/* One write of what is unsent. *sent: how much it took. */
static enum hf_http_io send_once(struct hf_http_connection *connection, size_t *sent)
{
    struct hf_http_work *work = connection->work;
    struct iovec parts[2];
    size_t count = 0;
    size_t skip = work->out_sent;
    const struct hf_buffer *const buffers[] = {&work->out, &work->tail};
    for (size_t i = 0; i < HF_ARRAY_COUNT(buffers); i++) {
        size_t skipped = skip < buffers[i]->size_bytes ? skip : buffers[i]->size_bytes;
        skip -= skipped;
        if (skipped < buffers[i]->size_bytes) {
            parts[count++] = (struct iovec){.iov_base = buffers[i]->data + skipped,
                                            .iov_len = buffers[i]->size_bytes - skipped};
        }
    }
    HF_CHECK(count > 0);
    if (connection->ssl != NULL) {
        return hf_http_tls_send(connection, parts[0].iov_base, parts[0].iov_len, sent);
    }
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    ssize_t bytes;
    do {
        bytes = sendmsg(connection->fd, &message, MSG_NOSIGNAL);
    } while (bytes < 0 && errno == EINTR);
    if (bytes >= 0) {
        *sent = (size_t)bytes;
        return HF_HTTP_IO_SOME;
    }
    return errno == EAGAIN || errno == EWOULDBLOCK ? HF_HTTP_IO_BLOCK : HF_HTTP_IO_LOST;
}

enum hf_http_io hf_http_flush(struct hf_http_connection *connection)
{
    struct hf_http_work *work = connection->work;
    while (hf_http_unsent(connection) > 0) {
        if (!connection->writable) {
            return HF_HTTP_IO_BLOCK;
        }
        size_t sent = 0;
        enum hf_http_io result = send_once(connection, &sent);
        if (result != HF_HTTP_IO_SOME) {
            connection->writable = result != HF_HTTP_IO_BLOCK;
            return result;
        }
        work->out_sent += sent;
        hf_http_count(&connection->server->counters.sent_bytes, sent);
        connection->renew_bytes += (uint32_t)sent;
        if (connection->renew_bytes >= HF_HTTP_WRITE_RENEW_BYTES) {
            connection->is_renewed = true;
        }
    }
    if (work != NULL) {
        hf_buffer_clear(&work->out);
        hf_buffer_clear(&work->tail);
        work->out_sent = 0;
    }
    return HF_HTTP_IO_SOME;
}
