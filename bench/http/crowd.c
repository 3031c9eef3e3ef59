/*
 * Many connections, each with one request under way, and how evenly they are served.
 *
 *   http-crowd PORT CONNECTIONS SECONDS TAG ACCOUNTS transfers|dry-run
 *
 * wrk tells how long requests take, not whose. This keeps count by connection: each sends a transfer between
 * accounts bench:<n> (under a key of its own; or a dry run of one), waits for its answer, sends the next. When
 * the time is over nothing new is sent, and every answer that is due is waited for: so what is counted is
 * exactly what the server did. One thread. A line of JSON at the end:
 *
 *   requests, errors (answers other than 201, or 200 of a dry run), duration_us; p50_us, p99_us, max_us of a
 *   request; each_min, each_p50, each_max: requests of the connection with the fewest, of the one in the middle,
 *   of the one with the most.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_BYTES_MAX  8192
#define REQUEST_BYTES_MAX 1024
#define EVENTS_TURN       256
#define DRAIN_SECONDS     30 /* for the answers that are due at the end */

struct connection {
    int fd;
    uint32_t number;               /* its place in the crowd */
    uint64_t count;                /* answers so far */
    uint64_t sent_ns;              /* when the request under way was sent */
    size_t answer_bytes;           /* of answer */
    char answer[ANSWER_BYTES_MAX]; /* what has come of it */
};

struct crowd {
    struct connection *connections;
    uint32_t count;    /* of connections */
    uint64_t accounts; /* that money moves between */
    const char *tag;   /* makes the keys new */
    bool dry_run;
    int epoll;
    uint32_t under_way;   /* requests without an answer yet */
    uint64_t errors;      /* answers with another status */
    uint32_t *samples_us; /* how long each request took */
    size_t sample_count;
    size_t sample_room;
};

static void fail(const char *what)
{
    (void)fprintf(stderr, "http-crowd: %s%s%s\n", what, errno == 0 ? "" : ": ",
                  errno == 0 ? "" : strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        fail("clock_gettime");
    }
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void connect_one(struct crowd *crowd, uint32_t number, uint16_t port)
{
    struct connection *connection = &crowd->connections[number];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int yes = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection->number = number;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 ||
        connect(connection->fd, (const struct sockaddr *)&to, sizeof(to)) != 0 ||
        setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) != 0) {
        fail("connect");
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0) {
        fail("epoll_ctl");
    }
}

static void send_next(struct crowd *crowd, struct connection *connection)
{
    char body[REQUEST_BYTES_MAX / 2];
    char request[REQUEST_BYTES_MAX];
    uint64_t from = (connection->number * UINT64_C(7919) + connection->count * UINT64_C(104729)) %
                    crowd->accounts;
    int body_bytes =
        snprintf(body, sizeof(body),
                 "%s{%s\"from\":\"bench:%" PRIu64 "\",\"to\":\"bench:%" PRIu64
                 "\",\"asset\":\"USD/2\",\"amount\":\"1\"}%s",
                 crowd->dry_run ? "{\"do\":[" : "", crowd->dry_run ? "\"op\":\"transfer\"," : "",
                 from, (from + 1) % crowd->accounts, crowd->dry_run ? "]}" : "");
    int bytes =
        snprintf(request, sizeof(request),
                 "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                 "Idempotency-Key: %s-%" PRIu32 "-%" PRIu64 "\r\nContent-Length: %d\r\n\r\n%s",
                 crowd->dry_run ? "/v1/commits?dry_run=true" : "/v1/transfers", crowd->tag,
                 connection->number, connection->count, body_bytes, body);
    if (bytes < 0 || (size_t)bytes >= sizeof(request)) {
        errno = 0;
        fail("the tag is too long");
    }
    connection->sent_ns = now_ns();
    connection->answer_bytes = 0;
    /* A request fits into an empty socket buffer, always. */
    if (send(connection->fd, request, (size_t)bytes, MSG_NOSIGNAL) != bytes) {
        fail("send");
    }
    crowd->under_way++;
}

static void keep_sample(struct crowd *crowd, uint64_t taken_ns)
{
    if (crowd->sample_count == crowd->sample_room) {
        size_t room = crowd->sample_room == 0 ? 65536 : 2 * crowd->sample_room;
        uint32_t *grown = realloc(crowd->samples_us, room * sizeof(*grown));
        if (grown == NULL) {
            fail("out of memory");
        }
        crowd->samples_us = grown;
        crowd->sample_room = room;
    }
    crowd->samples_us[crowd->sample_count++] = (uint32_t)(taken_ns / 1000);
}

/* Is the answer whole? It must be one answer with a Content-Length, as the server sends them. */
static bool is_whole(const struct connection *connection)
{
    const char *answer = connection->answer;
    const char *end = strstr(answer, "\r\n\r\n");
    const char *length = strstr(answer, "\r\nContent-Length: ");
    if (end == NULL) {
        return false;
    }
    errno = 0;
    if (length == NULL || length > end) {
        fail("an answer without a length");
    }
    size_t body_bytes = (size_t)strtoul(length + strlen("\r\nContent-Length: "), NULL, 10);
    size_t wanted = (size_t)(end + 4 - answer) + body_bytes;
    if (wanted >= ANSWER_BYTES_MAX || connection->answer_bytes > wanted) {
        fail("an answer that is longer than it should be");
    }
    return connection->answer_bytes == wanted;
}

/* Reads what there is. true: the answer is whole. */
static bool receive(struct crowd *crowd, struct connection *connection)
{
    ssize_t bytes = recv(connection->fd, connection->answer + connection->answer_bytes,
                         sizeof(connection->answer) - 1 - connection->answer_bytes, MSG_DONTWAIT);
    if (bytes < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return false;
    }
    if (bytes <= 0) {
        errno = bytes == 0 ? 0 : errno;
        fail("the server ended a connection");
    }
    connection->answer_bytes += (size_t)bytes;
    connection->answer[connection->answer_bytes] = '\0';
    if (!is_whole(connection)) {
        return false;
    }
    const char *good = crowd->dry_run ? "HTTP/1.1 200 " : "HTTP/1.1 201 ";
    if (strncmp(connection->answer, good, strlen(good)) != 0) {
        crowd->errors++;
    }
    keep_sample(crowd, now_ns() - connection->sent_ns);
    connection->count++;
    crowd->under_way--;
    return true;
}

/* Returns how long requests were sent, in ns. */
static uint64_t run(struct crowd *crowd, uint64_t seconds)
{
    struct epoll_event events[EVENTS_TURN];
    uint64_t started = now_ns();
    uint64_t until = started + seconds * 1000000000u;
    for (uint32_t i = 0; i < crowd->count; i++) {
        send_next(crowd, &crowd->connections[i]);
    }
    while (crowd->under_way > 0) {
        int count = epoll_wait(crowd->epoll, events, EVENTS_TURN, 1000);
        if (count < 0 && errno != EINTR) {
            fail("epoll_wait");
        }
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (receive(crowd, connection) && now_ns() < until) {
                send_next(crowd, connection);
            }
        }
        if (now_ns() > until + DRAIN_SECONDS * UINT64_C(1000000000)) {
            errno = 0;
            fail("answers are missing");
        }
    }
    return now_ns() - started;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static int compare_counts(const void *a, const void *b)
{
    const struct connection *left = a;
    const struct connection *right = b;
    return (left->count > right->count) - (left->count < right->count);
}

static void report(struct crowd *crowd, uint64_t duration_ns)
{
    size_t samples = crowd->sample_count;
    qsort(crowd->samples_us, samples, sizeof(*crowd->samples_us), compare_u32);
    qsort(crowd->connections, crowd->count, sizeof(*crowd->connections), compare_counts);
    (void)printf("{\"requests\":%zu,\"errors\":%" PRIu64 ",\"duration_us\":%" PRIu64
                 ",\"p50_us\":%" PRIu32 ",\"p99_us\":%" PRIu32 ",\"max_us\":%" PRIu32
                 ",\"each_min\":%" PRIu64 ",\"each_p50\":%" PRIu64 ",\"each_max\":%" PRIu64 "}\n",
                 samples, crowd->errors, duration_ns / 1000, crowd->samples_us[samples / 2],
                 crowd->samples_us[samples - 1 - samples / 100], crowd->samples_us[samples - 1],
                 crowd->connections[0].count, crowd->connections[crowd->count / 2].count,
                 crowd->connections[crowd->count - 1].count);
}

static uint64_t number_of(const char *text, uint64_t most)
{
    char *end = NULL;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || value == 0 || value > most) {
        errno = 0;
        fail("usage: http-crowd PORT CONNECTIONS SECONDS TAG ACCOUNTS transfers|dry-run");
    }
    return value;
}

int main(int argc, char **argv)
{
    struct crowd crowd = {0};
    if (argc != 7) {
        (void)number_of("", 0);
    }
    uint16_t port = (uint16_t)number_of(argv[1], UINT16_MAX);
    crowd.count = (uint32_t)number_of(argv[2], 100000);
    uint64_t seconds = number_of(argv[3], 3600);
    crowd.tag = argv[4];
    crowd.accounts = number_of(argv[5], UINT32_MAX);
    crowd.dry_run = strcmp(argv[6], "dry-run") == 0;
    crowd.connections = calloc(crowd.count, sizeof(*crowd.connections));
    crowd.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (crowd.connections == NULL || crowd.epoll < 0) {
        fail("start");
    }
    for (uint32_t i = 0; i < crowd.count; i++) {
        connect_one(&crowd, i, port);
    }
    report(&crowd, run(&crowd, seconds));
    for (uint32_t i = 0; i < crowd.count; i++) {
        (void)close(crowd.connections[i].fd);
    }
    free(crowd.connections);
    free(crowd.samples_us);
    (void)close(crowd.epoll);
    return crowd.errors == 0 ? 0 : 1;
}
