/*
 * Starts sagas over many connections, or makes plain commits beside them, and measures how long each takes.
 *
 *   holdfast-saga-load kind=closed|open|batch|commits port=N [connections=64] [count=10000] [rate=200] [batch=100]
 *                      [definition=name@1] [input={}] [tag=x]
 *
 *   closed   each connection starts a saga, waits for its end, starts the next: PUT /v1/sagas/{id}?wait=30s
 *   open     a saga each 1/rate s, whatever became of those before; its time counts from when it was to begin
 *   batch    commits of `batch` start_saga, closed; nobody waits for their ends
 *   commits  a transfer each 1/rate s, open: what others wait beside the sagas (accounts load:a and load:b exist)
 *
 * Prints one line of JSON. Any answer but a success, or a saga that has not succeeded, ends it with status 1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

#define EVENTS_MAX 256
#define SECOND_US  1000000u
#define STILL_US   60000000u /* nothing has come for so long: it hangs */

enum kind { KIND_CLOSED, KIND_OPEN, KIND_BATCH, KIND_COMMITS };

struct connection {
    int socket;
    bool busy;
    uint64_t begun_us; /* or when it was to begin */
    struct text in, out;
    size_t sent;
    struct connection *next; /* idle ones */
};

static struct {
    enum kind kind;
    const char *definition, *input, *tag;
    uint64_t count, rate, batch;
    uint64_t begun, ended; /* requests */
    uint64_t begin_us;
    uint32_t *samples_us;
    struct connection *idle;
    struct text body;
    int epoll;
} load;

/* ---- requests ---- */

static void put_request(struct connection *c, const char *method, const char *path,
                        const char *header)
{
    text_clear(&c->out);
    text_print(&c->out,
               "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n%s"
               "Content-Length: %zu\r\n\r\n%.*s",
               method, path, header, load.body.size, (int)load.body.size, load.body.data);
}

static void write_request(struct connection *c, uint64_t number)
{
    char path[128];
    char header[128] = "";
    text_clear(&load.body);
    if (load.kind == KIND_COMMITS) {
        text_print(&load.body,
                   "{\"id\":\"%s-%llu\",\"from\":\"load:a\",\"to\":\"load:b\",\"asset\":\"USD/2\","
                   "\"amount\":\"1\"}",
                   load.tag, (unsigned long long)number);
        put_request(c, "POST", "/v1/transfers", header);
        return;
    }
    if (load.kind == KIND_BATCH) {
        text_print(&load.body, "{\"do\":[");
        for (uint64_t i = 0; i < load.batch; i++) {
            text_print(
                &load.body,
                "%s{\"op\":\"start_saga\",\"saga\":\"%s-%llu\",\"definition\":\"%s\",\"input\":%s}",
                i == 0 ? "" : ",", load.tag, (unsigned long long)number * load.batch + i,
                load.definition, load.input);
        }
        text_print(&load.body, "]}");
        put_request(c, "POST", "/v1/commits", header);
        return;
    }
    text_print(&load.body, "{\"definition\":\"%s\",\"input\":%s}", load.definition, load.input);
    (void)snprintf(path, sizeof(path), "/v1/sagas/%s-%llu?wait=30s", load.tag,
                   (unsigned long long)number);
    put_request(c, "PUT", path, header);
}

static void begin(struct connection *c, uint64_t begun_us)
{
    write_request(c, load.begun++);
    c->busy = true;
    c->sent = 0;
    c->begun_us = begun_us;
    if (!text_send(&c->out, &c->sent, c->socket)) {
        fail("the server has closed a connection");
    }
}

static void rest(struct connection *c)
{
    c->busy = false;
    c->next = load.idle;
    load.idle = c;
}

static void check(const struct connection *c, size_t size)
{
    bool fine = size > 12 &&
                (memcmp(c->in.data + 9, "200", 3) == 0 || memcmp(c->in.data + 9, "201", 3) == 0);
    if (load.kind == KIND_CLOSED || load.kind == KIND_OPEN) {
        static const char ended[] = "\"state\":\"succeeded\"";
        fine = fine && memmem(c->in.data, size, ended, sizeof(ended) - 1) != NULL;
    }
    if (!fine) {
        fail("no success: %.*s", (int)size, c->in.data);
    }
}

static void take_answer(struct connection *c)
{
    if (!text_read(&c->in, c->socket)) {
        fail("the server has closed a connection");
    }
    size_t size = message_bytes(&c->in);
    if (size == 0 || !c->busy) {
        return;
    }
    check(c, size);
    text_drop(&c->in, size);
    uint64_t took_us = now_us() - c->begun_us;
    load.samples_us[load.ended++] = took_us > UINT32_MAX ? UINT32_MAX : (uint32_t)took_us;
    bool is_open = load.kind == KIND_OPEN || load.kind == KIND_COMMITS;
    if (!is_open && load.begun < load.count) {
        begin(c, now_us());
    } else {
        rest(c);
    }
}

/* ---- the loop ---- */

static void connect_one(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int one = 1;
    struct connection *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        fail("out of memory");
    }
    c->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->socket < 0 || connect(c->socket, (struct sockaddr *)&address, sizeof(address)) != 0) {
        fail("connect: %s", strerror(errno));
    }
    (void)setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.ptr = c}};
    if (fcntl(c->socket, F_SETFL, O_NONBLOCK) != 0 ||
        epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->socket, &event) != 0) {
        fail("fcntl or epoll_ctl: %s", strerror(errno));
    }
    rest(c);
}

/* Begins what is due; returns µs to the next beginning, at most a second. */
static uint64_t begin_due(void)
{
    bool is_open = load.kind == KIND_OPEN || load.kind == KIND_COMMITS;
    while (load.begun < load.count) {
        uint64_t at_us = is_open ? load.begin_us + load.begun * 1000000 / load.rate : now_us();
        uint64_t now = now_us();
        if (at_us > now) {
            return at_us - now < SECOND_US ? at_us - now : SECOND_US;
        }
        struct connection *c = load.idle;
        if (c == NULL) {
            if (is_open) {
                fail("all connections are busy: more of them, or a lower rate");
            }
            return SECOND_US;
        }
        load.idle = c->next;
        begin(c, at_us);
    }
    return SECOND_US;
}

static void run(void)
{
    uint64_t last_us = now_us();
    load.begin_us = last_us;
    while (load.ended < load.count) {
        struct epoll_event events[EVENTS_MAX];
        uint64_t wait_us = begin_due();
        struct timespec wait = {.tv_sec = (time_t)(wait_us / SECOND_US),
                                .tv_nsec = (long)(wait_us % SECOND_US) * 1000};
        int count = epoll_pwait2(load.epoll, events, EVENTS_MAX, &wait, NULL);
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->busy && !text_send(&c->out, &c->sent, c->socket)) {
                fail("the server has closed a connection");
            }
            if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
                take_answer(c);
                last_us = now_us();
            }
        }
        if (now_us() - last_us > STILL_US) {
            fail("nothing has come for a minute: %llu of %llu have ended",
                 (unsigned long long)load.ended, (unsigned long long)load.count);
        }
    }
}

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static uint32_t percentile(double share)
{
    return load.samples_us[(size_t)(share * (double)(load.count - 1))];
}

static void report(void)
{
    uint64_t took_us = now_us() - load.begin_us;
    uint64_t sagas = load.kind == KIND_BATCH ? load.count * load.batch : load.count;
    qsort(load.samples_us, load.count, sizeof(*load.samples_us), compare);
    (void)printf("{\"count\":%llu,\"seconds\":%.3f,\"per_second\":%.1f,\"p50_us\":%u,\"p99_us\":%u,"
                 "\"max_us\":%u}\n",
                 (unsigned long long)sagas, (double)took_us / 1e6,
                 (double)sagas * 1e6 / (double)took_us, percentile(0.5), percentile(0.99),
                 percentile(1));
}

int main(int count, char **words)
{
    const char *kind = word_of(count, words, "kind", "closed");
    load.kind = strcmp(kind, "open") == 0      ? KIND_OPEN
                : strcmp(kind, "batch") == 0   ? KIND_BATCH
                : strcmp(kind, "commits") == 0 ? KIND_COMMITS
                                               : KIND_CLOSED;
    load.definition = word_of(count, words, "definition", "bench@1");
    load.input = word_of(count, words, "input", "{}");
    load.tag = word_of(count, words, "tag", "s");
    load.rate = number_of(count, words, "rate", 200);
    load.batch = number_of(count, words, "batch", 100);
    load.count = number_of(count, words, "count", 10000);
    load.count = load.kind == KIND_BATCH ? load.count / load.batch : load.count;
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.samples_us = calloc(load.count + 1, sizeof(*load.samples_us));
    if (load.samples_us == NULL || load.count == 0 || load.rate == 0) {
        fail("count and rate must be above 0");
    }
    uint64_t connections = number_of(count, words, "connections", 64);
    for (uint64_t i = 0; i < connections; i++) {
        connect_one((uint16_t)number_of(count, words, "port", 7070));
    }
    run();
    report();
    return 0;
}
