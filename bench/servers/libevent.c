/* The bench's server by libevent's evhttp. It has no way to finish a request from another thread: `later` goes
 * back to the loop by a queue and event_active. */
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/thread.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define DONE_MAX 65536

static bool is_later;
static struct event *wake;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct evhttp_request *done[DONE_MAX];
static size_t done_count;

static void answer(struct evhttp_request *request)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    (void)evhttp_add_header(headers, "Content-Type", "application/json");
    (void)evhttp_add_header(headers, "Holdfast-Position", "123456");
    (void)evbuffer_add(evhttp_request_get_output_buffer(request), BENCH_ANSWER,
                       sizeof(BENCH_ANSWER) - 1);
    evhttp_send_reply(request, 201, "Created", NULL);
}

static void handle(struct evhttp_request *request, void *context)
{
    (void)context;
    if (is_later) {
        bench_later(request);
    } else {
        answer(request);
    }
}

static void finish_one(void *request)
{
    (void)pthread_mutex_lock(&mutex);
    done[done_count++] = request;
    bool is_first = done_count == 1;
    (void)pthread_mutex_unlock(&mutex);
    if (is_first) {
        event_active(wake, 0, 0);
    }
}

static void answer_done(evutil_socket_t fd, short what, void *context)
{
    static struct evhttp_request *taken[DONE_MAX];
    (void)fd;
    (void)what;
    (void)context;
    (void)pthread_mutex_lock(&mutex);
    size_t count = done_count;
    memcpy(taken, done, count * sizeof(struct evhttp_request *));
    done_count = 0;
    (void)pthread_mutex_unlock(&mutex);
    for (size_t i = 0; i < count; i++) {
        answer(taken[i]);
    }
}

int main(int count, char **arguments)
{
    (void)evthread_use_pthreads();
    is_later = bench_mode(count, arguments, finish_one);
    struct event_base *base = event_base_new();
    struct evhttp *http = base == NULL ? NULL : evhttp_new(base);
    if (http == NULL ||
        evhttp_bind_socket(http, "127.0.0.1", (unsigned short)bench_port(arguments)) != 0) {
        return 1;
    }
    wake = event_new(base, -1, EV_PERSIST, answer_done, NULL);
    evhttp_set_gencb(http, handle, NULL);
    evhttp_set_max_headers_size(http, 16384);
    evhttp_set_max_body_size(http, 4 << 20);
    (void)event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
    return 0;
}
