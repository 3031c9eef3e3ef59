#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX     256
#define READ_BYTES     (256u << 10)
#define STILL_SECONDS  60 /* nothing has come for so long: it hangs */
#define DATA_BYTES_MAX 65536

struct settings settings;

/* Latencies of a step. */
struct samples {
    uint32_t *us; /* owned */
    size_t count;
    size_t capacity;
};

static struct {
    const struct protocol *protocol;
    struct connection *connections;
    unsigned connection_count;
    int epoll;
    uint64_t next;      /* number of the next message to publish */
    uint64_t published; /* and answered */
    uint64_t received;
    uint64_t acked;
    struct samples samples[STEP_COUNT];
} load;

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("queue-load: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

/* ---- texts ---- */

static void text_reserve(struct text *text, size_t more)
{
    if (text->capacity - text->size < more) {
        text->capacity = 2 * (text->size + more);
        text->data = realloc(text->data, text->capacity);
        if (text->data == NULL) {
            fail("out of memory");
        }
    }
}

void text_clear(struct text *text)
{
    text->size = 0;
}

void text_add(struct text *text, const char *data, size_t size)
{
    text_reserve(text, size + 1);
    memcpy(text->data + text->size, data, size);
    text->size += size;
}

void text_print(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    text_reserve(text, (size_t)length + 1);
    va_start(arguments, format);
    (void)vsnprintf(text->data + text->size, (size_t)length + 1, format, arguments);
    va_end(arguments);
    text->size += (size_t)length;
}

/* ---- messages ---- */

void message_key(uint64_t number, char key[32])
{
    if (number < settings.hot) {
        (void)snprintf(key, 32, "hot");
        return;
    }
    (void)snprintf(key, 32, "k%llu", (unsigned long long)(number % settings.keys));
}

const char *message_data(void)
{
    static char data[DATA_BYTES_MAX + 1];
    if (data[0] == '\0') {
        for (unsigned i = 0; i < settings.data_bytes; i++) {
            data[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[i % 36];
        }
    }
    return data;
}

/* ---- time ---- */

static uint64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void note(struct samples *samples, uint64_t us)
{
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity == 0 ? 65536 : 2 * samples->capacity;
        samples->us = realloc(samples->us, samples->capacity * sizeof(*samples->us));
        if (samples->us == NULL) {
            fail("out of memory");
        }
    }
    samples->us[samples->count++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static uint32_t percentile(const struct samples *samples, double share)
{
    return samples->count == 0 ? 0 : samples->us[(size_t)(share * (double)(samples->count - 1))];
}

/* ---- requests ---- */

static void flush(struct connection *c)
{
    while (c->sent < c->out.size) {
        ssize_t count = send(c->socket, c->out.data + c->sent, c->out.size - c->sent, MSG_NOSIGNAL);
        if (count < 0 && errno == EAGAIN) {
            return; /* EPOLLOUT comes, edge-triggered */
        }
        if (count <= 0) {
            fail("send: %s", strerror(errno));
        }
        c->sent += (size_t)count;
    }
}

static void ask(struct connection *c, enum step step)
{
    c->step = step;
    if (step == STEP_PUBLISH) {
        uint64_t left = settings.messages - load.next;
        bool full = settings.window > 0 && load.next - load.acked >= settings.window;
        c->idle = left == 0 || full;
        if (c->idle) {
            return;
        }
        unsigned count = left < settings.batch ? (unsigned)left : settings.batch;
        load.protocol->publish(c, load.next, count);
        load.next += count;
    } else if (step == STEP_RECEIVE) {
        load.protocol->receive(c);
    } else {
        load.protocol->ack(c);
    }
    c->sent = 0;
    c->asked_us = now_us();
    flush(c);
}

static void wake_publishers(void)
{
    for (unsigned i = 0; i < load.connection_count; i++) {
        struct connection *c = &load.connections[i];
        if (c->idle) {
            ask(c, STEP_PUBLISH);
        }
    }
}

/* A whole reply: counts it and asks for the next thing. */
static void take_reply(struct connection *c, const char *reply, size_t size)
{
    unsigned count = load.protocol->replied(c, reply, size);
    if (c->step != STEP_RECEIVE || count > 0) { /* an empty receive has waited: no latency */
        note(&load.samples[c->step], now_us() - c->asked_us);
    }
    if (c->step == STEP_PUBLISH) {
        load.published += count;
        ask(c, c->role == ROLE_CYCLE ? STEP_RECEIVE : STEP_PUBLISH);
    } else if (c->step == STEP_RECEIVE) {
        load.received += count;
        ask(c, count > 0 ? STEP_ACK : STEP_RECEIVE);
    } else {
        load.acked += count;
        if (count != c->held) {
            fail("%u of %u were acknowledged", count, c->held);
        }
        ask(c, c->role == ROLE_CYCLE ? STEP_PUBLISH : STEP_RECEIVE);
        wake_publishers();
    }
}

static void read_some(struct connection *c)
{
    for (;;) {
        text_reserve(&c->in, READ_BYTES);
        ssize_t count = recv(c->socket, c->in.data + c->in.size, READ_BYTES, 0);
        if (count < 0 && errno == EAGAIN) {
            return;
        }
        if (count <= 0) {
            fail("the peer has gone");
        }
        c->in.size += (size_t)count;
        size_t size = load.protocol->whole(c);
        if (size > 0) {
            if (size != c->in.size) {
                fail("more than a reply");
            }
            c->in.size = 0;
            take_reply(c, c->in.data, size);
        }
    }
}

/* ---- connections ---- */

static void open_connection(struct connection *c)
{
    char host[64];
    struct sockaddr_in address = {.sin_family = AF_INET};
    const char *colon = strchr(settings.address, ':');
    int on = 1;
    if (colon == NULL || (size_t)(colon - settings.address) >= sizeof(host)) {
        fail("an address is HOST:PORT");
    }
    memcpy(host, settings.address, (size_t)(colon - settings.address));
    host[colon - settings.address] = '\0';
    address.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    c->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1 || c->socket < 0 ||
        connect(c->socket, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        fcntl(c->socket, F_SETFL, O_NONBLOCK) != 0 ||
        setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) {
        fail("connect %s: %s", settings.address, strerror(errno));
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->socket, &event) != 0) {
        fail("epoll: %s", strerror(errno));
    }
}

static void open_all(void)
{
    unsigned counts[ROLE_COUNT] = {settings.publishers, settings.consumers, settings.cyclers};
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.connection_count = counts[0] + counts[1] + counts[2];
    load.connections = load.connection_count == 0
                           ? NULL
                           : calloc(load.connection_count, sizeof(*load.connections));
    if (load.epoll < 0 || load.connections == NULL) {
        fail("out of memory");
    }
    unsigned number = 0;
    for (enum role role = ROLE_PUBLISH; role < ROLE_COUNT; role++) {
        for (unsigned i = 0; i < counts[role]; i++) {
            struct connection *c = &load.connections[number];
            *c = (struct connection){.number = number++, .role = role};
            open_connection(c);
        }
    }
}

static bool done(void)
{
    return load.published >= settings.messages && load.acked >= settings.consume;
}

static void run(void)
{
    struct epoll_event events[EVENTS_MAX];
    for (unsigned i = 0; i < load.connection_count; i++) {
        struct connection *c = &load.connections[i];
        ask(c, c->role == ROLE_CONSUME ? STEP_RECEIVE : STEP_PUBLISH);
    }
    while (!done()) {
        int count = epoll_wait(load.epoll, events, EVENTS_MAX, STILL_SECONDS * 1000);
        if (count == 0) {
            fail("nothing has come for %d s: %llu published, %llu received, %llu acknowledged",
                 STILL_SECONDS, (unsigned long long)load.published,
                 (unsigned long long)load.received, (unsigned long long)load.acked);
        }
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if ((events[i].events & EPOLLOUT) != 0) {
                flush(c);
            }
            if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
                read_some(c);
            }
        }
    }
}

static void report(uint64_t took_us)
{
    static const char *const names[STEP_COUNT] = {"publish", "receive", "ack"};
    uint64_t messages = settings.consume > 0 ? load.acked : load.published;
    (void)printf("{\"published\":%llu,\"received\":%llu,\"acked\":%llu,\"duration_us\":%llu,"
                 "\"per_second\":%.0f",
                 (unsigned long long)load.published, (unsigned long long)load.received,
                 (unsigned long long)load.acked, (unsigned long long)took_us,
                 (double)messages * 1e6 / (double)took_us);
    for (int i = 0; i < STEP_COUNT; i++) {
        struct samples *samples = &load.samples[i];
        qsort(samples->us, samples->count, sizeof(*samples->us), compare);
        (void)printf(",\"%s\":{\"requests\":%zu,\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u}",
                     names[i], samples->count, percentile(samples, 0.5), percentile(samples, 0.99),
                     percentile(samples, 1));
    }
    (void)printf("}\n");
}

/* ---- options ---- */

struct option_row {
    const char *name;
    uint64_t *number;  /* either… */
    unsigned *small;   /* …or… */
    const char **text; /* …or */
};

static void parse(int argc, char **argv)
{
    const struct option_row rows[] = {
        {"address", NULL, NULL, &settings.address},
        {"tag", NULL, NULL, &settings.tag},
        {"queue", NULL, NULL, &settings.queue},
        {"publishers", NULL, &settings.publishers, NULL},
        {"consumers", NULL, &settings.consumers, NULL},
        {"cyclers", NULL, &settings.cyclers, NULL},
        {"batch", NULL, &settings.batch, NULL},
        {"data-bytes", NULL, &settings.data_bytes, NULL},
        {"messages", &settings.messages, NULL, NULL},
        {"consume", &settings.consume, NULL, NULL},
        {"keys", &settings.keys, NULL, NULL},
        {"hot", &settings.hot, NULL, NULL},
        {"window", &settings.window, NULL, NULL},
    };
    for (int i = 2; i < argc; i++) {
        const char *value = strchr(argv[i], '=');
        bool known = false;
        for (size_t k = 0; value != NULL && k < sizeof(rows) / sizeof(rows[0]); k++) {
            size_t length = (size_t)(value - argv[i]);
            if (strncmp(rows[k].name, argv[i], length) != 0 || rows[k].name[length] != '\0') {
                continue;
            }
            known = true;
            if (rows[k].text != NULL) {
                *rows[k].text = value + 1;
            } else if (rows[k].number != NULL) {
                *rows[k].number = strtoull(value + 1, NULL, 10);
            } else {
                *rows[k].small = (unsigned)strtoul(value + 1, NULL, 10);
            }
        }
        if (!known) {
            fail("no such option: %s", argv[i]);
        }
    }
    if (settings.batch == 0 || settings.keys == 0 || settings.data_bytes > DATA_BYTES_MAX) {
        fail("batch and keys must be above 0, data-bytes at most %d", DATA_BYTES_MAX);
    }
}

int main(int argc, char **argv)
{
    static const struct protocol *const protocols[] = {&http_protocol, &redis_protocol};
    settings = (struct settings){.address = "127.0.0.1:7070",
                                 .tag = "bench",
                                 .queue = "bench",
                                 .batch = 1,
                                 .keys = 1000,
                                 .data_bytes = 100};
    for (size_t i = 0; argc > 1 && i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        load.protocol = strcmp(argv[1], protocols[i]->name) == 0 ? protocols[i] : load.protocol;
    }
    if (load.protocol == NULL) {
        (void)fprintf(stderr,
                      "usage: %s http|redis [NAME=VALUE]...\n"
                      "names: address tag queue publishers consumers cyclers batch "
                      "data-bytes messages consume keys hot window\n",
                      argv[0]);
        return 2;
    }
    parse(argc, argv);
    open_all();
    uint64_t began = now_us();
    run();
    report(now_us() - began);
    return 0;
}
