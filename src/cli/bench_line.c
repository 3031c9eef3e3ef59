/* A connection of the load: one request under way, its answer read as far as it has come. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/bench.h"

#define READ_BYTES  65536u
#define CALL_MS_MAX 120000 /* how long an answer of the preparation may take */

static int connect_to(const struct addrinfo *address)
{
    int on = 1;
    int file = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file < 0) {
        return -1;
    }
    if (setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
        connect(file, address->ai_addr, address->ai_addrlen) != 0 ||
        fcntl(file, F_SETFL, O_NONBLOCK) != 0) {
        int why = errno;
        (void)close(file);
        errno = why;
        return -1;
    }
    return file;
}

bool hf_bench_line_open(struct hf_bench_line *line, const struct hf_bench_plan *plan,
                        struct hf_error *error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    *line = (struct hf_bench_line){.file = -1};
    hf_buffer_init(&line->out);
    hf_buffer_init(&line->in);
    int status = getaddrinfo(plan->host, plan->port, &hints, &found);
    if (status != 0) {
        (void)hf_error_set(error, HF_ERR_IO, "look up %s: %s", plan->host, gai_strerror(status));
        return false;
    }
    for (const struct addrinfo *at = found; at != NULL && line->file < 0; at = at->ai_next) {
        line->file = connect_to(at);
    }
    freeaddrinfo(found);
    if (line->file < 0) {
        (void)hf_error_set(error, HF_ERR_IO, "connect to %s:%s: %s", plan->host, plan->port,
                           strerror(errno));
    }
    return line->file >= 0;
}

void hf_bench_line_close(struct hf_bench_line *line)
{
    if (line->file >= 0) {
        (void)close(line->file);
        line->file = -1;
    }
    hf_buffer_release(&line->out);
    hf_buffer_release(&line->in);
}

static enum hf_bench_progress broken(struct hf_error *error, const char *what, const char *why)
{
    (void)hf_error_set(error, HF_ERR_IO, "%s: %s", what, why);
    return HF_BENCH_BROKEN;
}

/* The value of a header, in the line's own bytes; NULL: it is not there. */
static const char *header(const struct hf_bench_line *line, const char *name)
{
    size_t len = strlen(name);
    const char *at = (const char *)line->in.data;
    const char *end = at + line->head_bytes;
    while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL && (size_t)(end - ++at) > len) {
        if (strncasecmp(at, name, len) == 0 && at[len] == ':') {
            at += len + 1;
            return at + strspn(at, " ");
        }
    }
    return NULL;
}

/* Status and length, once the head is there. */
static enum hf_bench_progress read_head(struct hf_bench_line *line, struct hf_error *error)
{
    const uint8_t *end = memmem(line->in.data, line->in.size_bytes, "\r\n\r\n", 4);
    if (end == NULL) {
        return HF_BENCH_WAITS;
    }
    line->head_bytes = (size_t)(end - line->in.data) + 4;
    const char *status = memchr(line->in.data, ' ', line->head_bytes);
    const char *length = header(line, "Content-Length");
    const char *replayed = header(line, "Idempotent-Replayed");
    line->status = status == NULL ? 0 : (int)strtol(status, NULL, 10);
    line->replayed = replayed != NULL && strncasecmp(replayed, "true", 4) == 0;
    line->body_bytes = length == NULL ? 0 : strtoull(length, NULL, 10);
    if (line->status < 200 || (length == NULL && line->status != 204)) {
        return broken(error, "answer", "its head has no status or no Content-Length");
    }
    return HF_BENCH_ANSWERED;
}

static enum hf_bench_progress receive(struct hf_bench_line *line, struct hf_error *error)
{
    for (;;) {
        size_t room = READ_BYTES;
        if (line->head_bytes > 0) {
            size_t whole = line->head_bytes + line->body_bytes;
            if (line->in.size_bytes >= whole) {
                return line->in.size_bytes == whole
                           ? HF_BENCH_ANSWERED
                           : broken(error, "answer", "there is more than one");
            }
            room = whole - line->in.size_bytes;
        }
        if (!hf_buffer_reserve(&line->in, room)) {
            return broken(error, "answer", "out of memory");
        }
        ssize_t got = recv(line->file, line->in.data + line->in.size_bytes, room, 0);
        if (got <= 0) {
            return got < 0 && (errno == EAGAIN || errno == EINTR) ? HF_BENCH_WAITS
                   : got == 0 ? broken(error, "answer", "the server closed the connection")
                              : broken(error, "receive", strerror(errno));
        }
        line->in.size_bytes += (size_t)got;
        enum hf_bench_progress progress =
            line->head_bytes == 0 ? read_head(line, error) : HF_BENCH_ANSWERED;
        if (progress == HF_BENCH_BROKEN) {
            return progress;
        }
    }
}

enum hf_bench_progress hf_bench_line_go_on(struct hf_bench_line *line, struct hf_error *error)
{
    if (line->out.failed) {
        return broken(error, "request", "out of memory");
    }
    while (line->sent_bytes < line->out.size_bytes) {
        ssize_t sent = send(line->file, line->out.data + line->sent_bytes,
                            line->out.size_bytes - line->sent_bytes, MSG_NOSIGNAL);
        if (sent < 0) {
            return errno == EAGAIN || errno == EINTR ? HF_BENCH_WAITS
                                                     : broken(error, "send", strerror(errno));
        }
        line->sent_bytes += (size_t)sent;
    }
    return receive(line, error);
}

struct hf_str hf_bench_line_body(const struct hf_bench_line *line)
{
    return (struct hf_str){(const char *)line->in.data + line->head_bytes, line->body_bytes};
}

bool hf_bench_line_call(struct hf_bench_line *line, struct hf_error *error)
{
    line->sent_bytes = 0;
    line->head_bytes = 0;
    hf_buffer_clear(&line->in);
    for (;;) {
        enum hf_bench_progress progress = hf_bench_line_go_on(line, error);
        if (progress != HF_BENCH_WAITS) {
            return progress == HF_BENCH_ANSWERED;
        }
        bool sends = line->sent_bytes < line->out.size_bytes;
        struct pollfd socket = {.fd = line->file, .events = POLLIN};
        socket.events = (short)(POLLIN | (sends ? POLLOUT : 0));
        if (poll(&socket, 1, CALL_MS_MAX) == 0) {
            return broken(error, "answer", "none came in two minutes") == HF_BENCH_ANSWERED;
        }
    }
}
