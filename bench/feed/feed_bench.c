/*
 * The feed under load, from outside: one process, plain sockets, a line of JSON at the end.
 *
 *   feed-bench PORT fill COMMITS EVENTS            commits of EVENTS transfers (if the accounts bench:a, bench:b are
 *                                                  there) each, so that there is something to catch up with
 *   feed-bench PORT catchup READERS                reads the feed from the beginning to the head as lines; events/s
 *   feed-bench PORT live COMMITS_PER_SECOND SECONDS CONNECTIONS
 *                                                  commits at a steady rate; a reader of server-sent events notes how
 *                                                  long each took from the moment its commit was sent, and from the
 *                                                  moment its answer was there, until its event was
 *   feed-bench PORT polls COUNT SECONDS PID        COUNT idle long polls; the CPU time that PID spends meanwhile
 *   feed-bench PORT deaf COUNT SECONDS             COUNT readers that ask for everything and read 16 KiB a second
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES      (256u << 10)
#define CONNECTIONS_MAX 1024
#define SAMPLES_MAX     2000000u

static uint16_t port;

static void fail(const char *what)
{
    (void)fprintf(stderr, "feed-bench: %s%s%s\n", what, errno == 0 ? "" : ": ",
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

static int connect_one(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int yes = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) != 0) {
        fail("connect");
    }
    return fd;
}

static void send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            fail("send");
        }
        data += sent;
        size -= (size_t)sent;
    }
}

static void ask_feed(int fd, const char *query, const char *accept)
{
    char text[512];
    int size =
        snprintf(text, sizeof(text),
                 "GET /v1/feed%s HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\n\r\n", query, accept);
    send_all(fd, text, (size_t)size);
}

/* Reads one answer with a Content-Length; its status. */
static int read_answer(int fd, char *buffer, size_t room)
{
    size_t have = 0;
    for (;;) {
        ssize_t got = recv(fd, buffer + have, room - 1 - have, 0);
        if (got <= 0) {
            fail("recv");
        }
        have += (size_t)got;
        buffer[have] = '\0';
        const char *end = strstr(buffer, "\r\n\r\n");
        const char *length = strstr(buffer, "Content-Length: ");
        if (end != NULL && length != NULL &&
            have >= (size_t)(end + 4 - buffer) + strtoul(length + 16, NULL, 10)) {
            return (int)strtol(buffer + 9, NULL, 10);
        }
        if (have + 1 >= room) {
            fail("an answer is too long");
        }
    }
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void print_times(const char *name, uint64_t *samples, size_t count)
{
    size_t middle = count / 2;
    size_t late = count * 99 / 100;
    qsort(samples, count, sizeof(*samples), compare);
    (void)printf("\"%s_us\":{\"p50\":%.0f,\"p99\":%.0f,\"max\":%.0f}", name,
                 (double)samples[middle] / 1e3, (double)samples[late] / 1e3,
                 (double)samples[count - 1] / 1e3);
}

/* ---- fill ---- */

static int fill(uint64_t commits, uint64_t events)
{
    static char answer[8u << 20];
    size_t room = 256 + events * 128;
    char *text = malloc(room + 256);
    int fd = connect_one();
    uint64_t run = now_ns();
    if (text == NULL) {
        fail("memory");
    }
    for (uint64_t i = 0; i < commits; i++) {
        size_t used = (size_t)snprintf(text, room, "{\"do\":[");
        for (uint64_t k = 0; k < events; k++) {
            used += (size_t)snprintf(text + used, room - used,
                                     "%s{\"op\":\"transfer\",\"id\":\"f%" PRIx64 ".%" PRIu64
                                     ".%" PRIu64 "\",\"from\":\"bench:a\",\"to\":\"bench:b\","
                                     "\"asset\":\"USD/2\",\"amount\":\"1\"}",
                                     k == 0 ? "" : ",", run, i, k);
        }
        used += (size_t)snprintf(text + used, room - used, "]}");
        char head[200];
        int head_bytes = snprintf(head, sizeof(head),
                                  "POST /v1/commits HTTP/1.1\r\nHost: localhost\r\n"
                                  "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                                  used);
        send_all(fd, head, (size_t)head_bytes);
        send_all(fd, text, used);
        if (read_answer(fd, answer, sizeof(answer)) != 201) {
            fail(answer);
        }
    }
    free(text);
    (void)printf("{\"events\":%" PRIu64 ",\"duration_us\":%" PRIu64 "}\n", commits * events,
                 (now_ns() - run) / 1000);
    return 0;
}

/* ---- catch up ---- */

struct catching {
    pthread_t thread;
    uint64_t events;
    uint64_t bytes;
};

/* Counts lines that begin with {"event": whatever the cuts, and knows the last chunk. */
static void *catch_up(void *context)
{
    struct catching *catching = context;
    static const char mark[] = "\n{\"event\":";
    char *buffer = malloc(READ_BYTES + 64);
    int fd = connect_one();
    size_t kept = 0;
    if (buffer == NULL) {
        fail("memory");
    }
    ask_feed(fd, "", "application/x-ndjson");
    for (;;) {
        ssize_t got = recv(fd, buffer + kept, READ_BYTES, 0);
        if (got <= 0) {
            fail("the stream broke off");
        }
        size_t have = kept + (size_t)got;
        catching->bytes += (uint64_t)got;
        const char *at = buffer;
        const char *end = buffer + have;
        while ((at = memmem(at, (size_t)(end - at), mark, sizeof(mark) - 1)) != NULL) {
            catching->events++;
            at += sizeof(mark) - 1;
        }
        if (have >= 7 && memcmp(end - 7, "\r\n0\r\n\r\n", 7) == 0) {
            break;
        }
        kept = have < sizeof(mark) - 2 ? have : sizeof(mark) - 2;
        memmove(buffer, end - kept, kept);
    }
    free(buffer);
    (void)close(fd);
    return NULL;
}

static int catchup(uint64_t readers)
{
    struct catching *all = calloc(readers, sizeof(*all));
    uint64_t begin = now_ns();
    uint64_t events = 0;
    uint64_t bytes = 0;
    if (all == NULL) {
        fail("memory");
    }
    for (uint64_t i = 0; i < readers; i++) {
        if (pthread_create(&all[i].thread, NULL, catch_up, &all[i]) != 0) {
            fail("thread");
        }
    }
    for (uint64_t i = 0; i < readers; i++) {
        (void)pthread_join(all[i].thread, NULL);
        events += all[i].events;
        bytes += all[i].bytes;
    }
    double seconds = (double)(now_ns() - begin) / 1e9;
    (void)printf("{\"readers\":%" PRIu64 ",\"events\":%" PRIu64 ",\"bytes\":%" PRIu64
                 ",\"events_per_s\":%.0f,\"mb_per_s\":%.0f}\n",
                 readers, events, bytes, (double)events / seconds, (double)bytes / seconds / 1e6);
    free(all);
    return 0;
}

/* ---- live ---- */

struct live {
    _Atomic uint64_t *answered_ns; /* by commit; 0: not yet */
    uint64_t *from_sent_ns;        /* samples */
    uint64_t *seen_ns;             /* by commit */
    uint64_t total;                /* commits to come */
    atomic_bool ready;             /* the reader is at the head */
    uint64_t seen;                 /* events */
};

/* The number behind a mark; false: not there. */
static bool number_behind(const char **at, const char *end, const char *mark, uint64_t *number)
{
    const char *found = memmem(*at, (size_t)(end - *at), mark, strlen(mark));
    if (found == NULL) {
        return false;
    }
    found += strlen(mark);
    uint64_t value = 0;
    while (found < end && *found >= '0' && *found <= '9') {
        value = value * 10 + (uint64_t)(*found++ - '0');
    }
    *at = found;
    *number = value;
    return found < end;
}

static void *read_live(void *context)
{
    struct live *live = context;
    char *buffer = malloc(READ_BYTES * 2);
    size_t have = 0;
    int fd = connect_one();
    if (buffer == NULL) {
        fail("memory");
    }
    ask_feed(fd, "?from=now&types=bench", "text/event-stream");
    while (live->seen < live->total) {
        ssize_t got = recv(fd, buffer + have, READ_BYTES, 0);
        if (got <= 0) {
            fail("the stream broke off");
        }
        uint64_t now = now_ns();
        have += (size_t)got;
        atomic_store(&live->ready, true);
        const char *at = buffer;
        const char *end = buffer + have;
        for (;;) {
            uint64_t number;
            uint64_t sent;
            const char *from = at;
            if (!number_behind(&at, end, "\"data\":{\"n\":", &number) ||
                !number_behind(&at, end, "\"t\":", &sent)) {
                at = from;
                break;
            }
            live->from_sent_ns[live->seen] = now - sent;
            live->seen_ns[number] = now;
            live->seen++;
        }
        have = (size_t)(end - at);
        if (have > READ_BYTES) {
            fail("an event is too long");
        }
        memmove(buffer, at, have);
    }
    free(buffer);
    (void)close(fd);
    return NULL;
}

struct committer {
    int fd;
    bool busy;
    uint64_t number;
    size_t have;
    char answer[4096];
};

static void send_commit(struct committer *committer, uint64_t number, uint64_t run)
{
    char body[256];
    char text[512];
    uint64_t now = now_ns();
    int body_bytes = snprintf(body, sizeof(body),
                              "{\"do\":[{\"op\":\"append\",\"stream\":\"bench\",\"type\":\"bench\","
                              "\"id\":\"l%" PRIx64 ".%" PRIu64 "\",\"data\":{\"n\":%" PRIu64
                              ",\"t\":%" PRIu64 "}}]}",
                              run, number, number, now);
    int size = snprintf(text, sizeof(text),
                        "POST /v1/commits HTTP/1.1\r\nHost: localhost\r\n"
                        "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                        body_bytes, body);
    committer->busy = true;
    committer->number = number;
    committer->have = 0;
    send_all(committer->fd, text, (size_t)size);
}

static void take_answer(struct committer *committer, struct live *live)
{
    ssize_t got = recv(committer->fd, committer->answer + committer->have,
                       sizeof(committer->answer) - 1 - committer->have, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return;
    }
    if (got <= 0) {
        fail("recv");
    }
    committer->have += (size_t)got;
    committer->answer[committer->have] = '\0';
    const char *end = strstr(committer->answer, "\r\n\r\n");
    const char *length = strstr(committer->answer, "Content-Length: ");
    if (end == NULL || length == NULL ||
        committer->have < (size_t)(end + 4 - committer->answer) + strtoul(length + 16, NULL, 10)) {
        return;
    }
    if (memcmp(committer->answer + 9, "201", 3) != 0) {
        fail(committer->answer);
    }
    atomic_store(&live->answered_ns[committer->number], now_ns());
    committer->busy = false;
}

static void run_commits(struct live *live, uint64_t rate, uint64_t connections)
{
    struct committer *committers = calloc(connections, sizeof(*committers));
    struct pollfd *polled = calloc(connections, sizeof(*polled));
    uint64_t run = now_ns();
    uint64_t sent = 0;
    uint64_t answered = 0;
    if (committers == NULL || polled == NULL) {
        fail("memory");
    }
    for (uint64_t i = 0; i < connections; i++) {
        committers[i].fd = connect_one();
        polled[i] = (struct pollfd){.fd = committers[i].fd, .events = POLLIN};
    }
    uint64_t next = 0;
    while (answered < live->total) {
        uint64_t due = (now_ns() - run) * rate / 1000000000u + 1;
        for (uint64_t i = 0; i < connections && sent < due && sent < live->total; i++) {
            struct committer *committer = &committers[(next + i) % connections];
            if (!committer->busy) {
                send_commit(committer, sent++, run);
                next = (next + i + 1) % connections;
            }
        }
        struct timespec wait = {.tv_nsec = 50000};
        (void)ppoll(polled, connections, &wait, NULL);
        for (uint64_t i = 0; i < connections; i++) {
            if ((polled[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && committers[i].busy) {
                take_answer(&committers[i], live);
                answered += !committers[i].busy;
            }
        }
    }
    double seconds = (double)(now_ns() - run) / 1e9;
    (void)printf("{\"commits\":%" PRIu64 ",\"per_s\":%.0f,", live->total,
                 (double)live->total / seconds);
    for (uint64_t i = 0; i < connections; i++) {
        (void)close(committers[i].fd);
    }
    free(committers);
    free(polled);
}

static int live_bench(uint64_t rate, uint64_t seconds, uint64_t connections)
{
    struct live live = {.total = rate * seconds};
    pthread_t reader;
    if (live.total > SAMPLES_MAX || connections > CONNECTIONS_MAX) {
        fail("too many");
    }
    live.answered_ns = calloc(live.total, sizeof(*live.answered_ns));
    live.from_sent_ns = calloc(live.total, sizeof(*live.from_sent_ns));
    live.seen_ns = calloc(live.total, sizeof(*live.seen_ns));
    if (live.answered_ns == NULL || live.from_sent_ns == NULL || live.seen_ns == NULL ||
        pthread_create(&reader, NULL, read_live, &live) != 0) {
        fail("memory or thread");
    }
    while (!atomic_load(&live.ready)) {
        (void)usleep(1000);
    }
    run_commits(&live, rate, connections);
    (void)pthread_join(reader, NULL);
    /* How long behind its answer; those that were seen first count as 0. */
    uint64_t first = 0;
    for (uint64_t i = 0; i < live.total; i++) {
        uint64_t answered = atomic_load(&live.answered_ns[i]);
        first += live.seen_ns[i] <= answered;
        live.seen_ns[i] = live.seen_ns[i] > answered ? live.seen_ns[i] - answered : 0;
    }
    print_times("from_sent", live.from_sent_ns, live.total);
    (void)printf(",");
    print_times("behind_answer", live.seen_ns, live.total);
    (void)printf(",\"before_answer\":%" PRIu64 "}\n", first);
    return 0;
}

/* ---- idle and slow readers ---- */

static double cpu_seconds(long pid)
{
    char path[64];
    char text[1024];
    (void)snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL || fgets(text, sizeof(text), file) == NULL) {
        fail(path);
    }
    (void)fclose(file);
    char *rest = strrchr(text, ')');
    unsigned long ticks = 0;
    int field = 2; /* the name, in parentheses; utime and stime are the 14th and the 15th */
    for (char *word = rest == NULL ? NULL : strtok_r(rest + 1, " ", &rest);
         word != NULL && field < 15; word = strtok_r(NULL, " ", &rest)) {
        field++;
        ticks += field >= 14 ? strtoul(word, NULL, 10) : 0;
    }
    if (field != 15) {
        fail(path);
    }
    return (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static int polls(uint64_t count, uint64_t seconds, long pid)
{
    static char answer[1u << 16];
    int fds[CONNECTIONS_MAX * 4];
    if (count > CONNECTIONS_MAX * 4 || seconds > 25) {
        fail("too many, or too long");
    }
    for (uint64_t i = 0; i < count; i++) {
        fds[i] = connect_one();
        ask_feed(fds[i], "?from=now&wait=30&types=nothing", "application/json");
    }
    (void)sleep(2);
    double before = cpu_seconds(pid);
    (void)sleep((unsigned)seconds);
    double used = cpu_seconds(pid) - before;
    for (uint64_t i = 0; i < count; i++) {
        if (read_answer(fds[i], answer, sizeof(answer)) != 200) {
            fail(answer);
        }
        (void)close(fds[i]);
    }
    (void)printf("{\"polls\":%" PRIu64 ",\"seconds\":%" PRIu64 ",\"core_percent\":%.2f}\n", count,
                 seconds, 100 * used / (double)seconds);
    return 0;
}

static int deaf(uint64_t count, uint64_t seconds)
{
    static char buffer[16u << 10];
    int fds[CONNECTIONS_MAX];
    if (count > CONNECTIONS_MAX) {
        fail("too many");
    }
    for (uint64_t i = 0; i < count; i++) {
        fds[i] = connect_one();
        ask_feed(fds[i], "?follow=true", "application/x-ndjson");
    }
    for (uint64_t s = 0; s < seconds; s++) {
        for (uint64_t i = 0; i < count; i++) {
            if (recv(fds[i], buffer, sizeof(buffer), MSG_DONTWAIT) == 0) {
                fail("a reader was cut off");
            }
        }
        (void)sleep(1);
    }
    (void)printf("{\"deaf\":%" PRIu64 "}\n", count);
    return 0;
}

static uint64_t argument(char **arguments, int count, int index)
{
    if (index >= count) {
        fail("an argument is missing: see the file's head");
    }
    return strtoul(arguments[index], NULL, 10);
}

int main(int count, char **arguments)
{
    if (count < 3) {
        fail("feed-bench PORT fill|catchup|live|polls|deaf …");
    }
    port = (uint16_t)argument(arguments, count, 1);
    if (strcmp(arguments[2], "fill") == 0) {
        return fill(argument(arguments, count, 3), argument(arguments, count, 4));
    }
    if (strcmp(arguments[2], "catchup") == 0) {
        return catchup(argument(arguments, count, 3));
    }
    if (strcmp(arguments[2], "live") == 0) {
        return live_bench(argument(arguments, count, 3), argument(arguments, count, 4),
                          argument(arguments, count, 5));
    }
    if (strcmp(arguments[2], "polls") == 0) {
        return polls(argument(arguments, count, 3), argument(arguments, count, 4),
                     (long)argument(arguments, count, 5));
    }
    if (strcmp(arguments[2], "deaf") == 0) {
        return deaf(argument(arguments, count, 3), argument(arguments, count, 4));
    }
    fail("no such bench");
}
