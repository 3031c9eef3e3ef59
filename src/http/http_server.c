#include "http/http_server.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/limits.h"
#include "http/http_priv.h"

/* Descriptors for all that are no connections: the log, indexes, listeners, jobs. */
#define DESCRIPTORS_KEPT 256u

struct hf_http_limits hf_http_limits_default(void)
{
    return (struct hf_http_limits){
        .head_bytes_max = 16u << 10,
        .headers_max = 64,
        .body_bytes_max = HF_REQUEST_BYTES_MAX,
        .connections_max = 10000,
        .head_ms_max = 10000,
        .body_ms_max = 30000,
        .idle_ms_max = 75000,
        .write_ms_max = 30000,
        .body_bytes_in_all = 256u << 20,
        .streams_max = 1000,
    };
}

/* So many connections as the process may have; its soft limit of open files is raised if need be. */
static uint32_t connections_allowed(uint32_t wanted)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) {
        return wanted;
    }
    rlim_t needed = (rlim_t)wanted + DESCRIPTORS_KEPT;
    if (files.rlim_cur < needed) {
        files.rlim_cur = files.rlim_max < needed ? files.rlim_max : needed;
        (void)setrlimit(RLIMIT_NOFILE, &files);
        (void)getrlimit(RLIMIT_NOFILE, &files);
    }
    if (files.rlim_cur >= needed) {
        return wanted;
    }
    rlim_t half = files.rlim_cur / 2;
    rlim_t kept = half < DESCRIPTORS_KEPT ? half : DESCRIPTORS_KEPT;
    return (uint32_t)(files.rlim_cur - kept);
}

static void server_free(struct hf_http_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        hf_http_listener_close(&server->listeners[i]);
    }
    hf_http_pool_trim(server, 0);
    hf_free(server->by_fd);
    HF_CHECK(pthread_mutex_destroy(&server->turn) == 0);
    HF_CHECK(pthread_cond_destroy(&server->stand_in_wanted) == 0);
    if (server->epoll >= 0) {
        (void)close(server->epoll);
    }
    if (server->bell >= 0) {
        (void)close(server->bell);
    }
    hf_free(server);
}

enum hf_err hf_http_server_new(const struct hf_http_limits *limits,
                               const struct hf_http_handler *handler,
                               struct hf_http_server **server_out, struct hf_error *error)
{
    *server_out = NULL;
    HF_CHECK(handler->handle != NULL);
    HF_CHECK(limits->head_bytes_max > 0 && limits->head_bytes_max <= 1u << 20);
    struct hf_http_server *server = hf_calloc(1, sizeof(*server));
    if (server == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "http server: out of memory");
    }
    HF_CHECK(pthread_mutex_init(&server->turn, NULL) == 0);
    HF_CHECK(pthread_cond_init(&server->stand_in_wanted, NULL) == 0);
    server->limits = *limits;
    server->limits.connections_max = connections_allowed(limits->connections_max);
    server->handler = *handler;
    server->head_limits = (struct hf_http_head_limits){
        .head_bytes_max = (uint32_t)limits->head_bytes_max,
        .target_bytes_max =
            (uint32_t)hf_min_u64(HF_HTTP_TARGET_BYTES_MAX, limits->head_bytes_max / 2),
        .fields_max = limits->headers_max,
    };
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    server->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET,
                                .data.u64 = hf_http_event_key(server->bell, 0)};
    if (server->epoll < 0 || server->bell < 0 ||
        epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->bell, &event) != 0) {
        char text[128];
        enum hf_err failure = hf_error_set(error, HF_ERR_IO, "http server: %s",
                                           strerror_r(errno, text, sizeof(text)));
        server_free(server);
        return failure;
    }
    *server_out = server;
    return HF_ERR_OK;
}

enum hf_err hf_http_server_listen(struct hf_http_server *server, const char *address,
                                  struct hf_http_tls *tls, struct hf_error *error)
{
    HF_CHECK(!server->is_started);
    if (server->listener_count == HF_HTTP_LISTENERS_MAX) {
        return hf_error_set(error, HF_ERR_LIMIT, "listen on %s: at most %d addresses", address,
                            HF_HTTP_LISTENERS_MAX);
    }
    struct hf_http_listener *listener = &server->listeners[server->listener_count];
    enum hf_err result = hf_http_listener_open(listener, address, error);
    if (result != HF_ERR_OK) {
        return result;
    }
    listener->tls = tls;
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = hf_http_event_key(listener->fd, 0)};
    if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, listener->fd, &event) != 0) {
        hf_http_listener_close(listener);
        return hf_error_set(error, HF_ERR_IO, "listen on %s: epoll refuses the socket", address);
    }
    server->listener_count++;
    return HF_ERR_OK;
}

uint16_t hf_http_server_port(const struct hf_http_server *server, size_t n)
{
    return n < server->listener_count ? server->listeners[n].port : 0;
}

/* Ends the stand-in. */
static void dismiss(struct hf_http_server *server)
{
    HF_CHECK(pthread_mutex_lock(&server->turn) == 0);
    server->has_ended = true;
    HF_CHECK(pthread_cond_signal(&server->stand_in_wanted) == 0);
    HF_CHECK(pthread_mutex_unlock(&server->turn) == 0);
    atomic_store(&server->is_asleep, true); /* so that it is rung */
    hf_http_ring(server);
    HF_CHECK(pthread_join(server->stand_in, NULL) == 0);
}

enum hf_err hf_http_server_start(struct hf_http_server *server, struct hf_error *error)
{
    HF_CHECK(!server->is_started);
    /* Signals are for the program's own threads; a write to a closed connection must not raise any. */
    sigset_t all;
    sigset_t before;
    HF_CHECK(sigfillset(&all) == 0);
    HF_CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    server->awake = 1; /* the loop's thread; it begins as such */
    bool stood_in = pthread_create(&server->stand_in, NULL, hf_http_stand_in, server) == 0;
    server->is_started =
        stood_in && pthread_create(&server->thread, NULL, hf_http_loop, server) == 0;
    HF_CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (stood_in && !server->is_started) {
        dismiss(server);
    }
    return server->is_started ? HF_ERR_OK
                              : hf_error_set(error, HF_ERR_NO_MEMORY, "http server: no thread");
}

void hf_http_server_stop(struct hf_http_server *server, uint32_t drain_ms)
{
    if (server->is_started) {
        atomic_store(&server->drain_ms, drain_ms);
        atomic_store(&server->is_stopping, true);
        hf_http_ring(server);
        HF_CHECK(pthread_join(server->thread, NULL) == 0);
        dismiss(server);
        /* Who has finished the last exchange may still be ringing the bell. */
        while (atomic_load(&server->resuming) != 0) {
            (void)sched_yield();
        }
    }
    server_free(server);
}

void hf_http_server_counts(struct hf_http_server *server, struct hf_http_counts *counts)
{
    struct hf_http_counters *counters = &server->counters;
    *counts = (struct hf_http_counts){
        .connections = atomic_load_explicit(&counters->connections, memory_order_relaxed),
        .accepted = atomic_load_explicit(&counters->accepted, memory_order_relaxed),
        .requests = atomic_load_explicit(&counters->requests, memory_order_relaxed),
        .refused = atomic_load_explicit(&counters->refused, memory_order_relaxed),
        .timed_out = atomic_load_explicit(&counters->timed_out, memory_order_relaxed),
        .received_bytes = atomic_load_explicit(&counters->received_bytes, memory_order_relaxed),
        .sent_bytes = atomic_load_explicit(&counters->sent_bytes, memory_order_relaxed),
        .body_bytes_held = atomic_load_explicit(&counters->body_bytes_held, memory_order_relaxed),
        .streams = atomic_load_explicit(&counters->streams, memory_order_relaxed),
    };
    counts->connection_bytes =
        counts->connections * sizeof(struct hf_http_connection) +
        atomic_load_explicit(&counters->works, memory_order_relaxed) * hf_http_work_bytes(server);
}
