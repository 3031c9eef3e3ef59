/*
 * One small durable act after the other, so many a second.
 *
 *   scale-probe commits PORT RATE TAG     transfers probe:from → probe:to, an id of its own each: open loop, timed from when
 *                                         each was due to its whole answer, so a standstill shows in all that were due in it
 *   scale-probe sync FILE RATE            4 KiB written in place and fdatasync'ed, in a file zeroed beforehand: one at a
 *                                         time, timed from its own beginning
 *
 * Goes on until its standard input ends; the answers that are due then are waited for. A line of JSON at the end: count,
 * errors (answers other than 201), p50_us, p99_us, max_us, and worst: the ten longest as [when due, from the start, in ms; how
 * long in us].
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_BYTES_MAX  4096
#define REQUEST_BYTES_MAX 1024
#define LINES             64 /* connections: so many transfers may be without an answer */
#define BLOCK_BYTES       4096
#define BLOCKS            1024
#define WORST             10

struct sample {
    uint64_t due_ns; /* from the start */
    uint64_t took_ns;
};

struct probe {
    uint64_t rate; /* acts a second */
    uint64_t start_ns;
    uint64_t errors;
    struct sample *samples;
    uint64_t count; /* of samples */
    uint64_t room;
};

/* A connection with at most one request under way. */
struct line {
    int file;
    bool busy;
    uint64_t due_ns; /* of the request, from the start */
    size_t bytes;    /* of answer */
    char answer[ANSWER_BYTES_MAX];
};

static void fail(const char *what)
{
    (void)fprintf(stderr, "scale-probe: %s%s%s\n", what, errno == 0 ? "" : ": ",
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

static uint64_t due_ns(const struct probe *probe, uint64_t number)
{
    return number * 1000000000u / probe->rate;
}

static void keep(struct probe *probe, uint64_t due, uint64_t took)
{
    if (probe->count == probe->room) {
        probe->room = probe->room == 0 ? 65536 : 2 * probe->room;
        probe->samples = realloc(probe->samples, probe->room * sizeof(*probe->samples));
        if (probe->samples == NULL) {
            fail("out of memory");
        }
    }
    probe->samples[probe->count++] = (struct sample){due, took};
}

/* Until one of the files can be read, or the time (from the start) has come. */
static void wait_for(const struct probe *probe, struct pollfd *files, nfds_t count,
                     uint64_t until_ns)
{
    uint64_t now = now_ns() - probe->start_ns;
    uint64_t left_ns = now < until_ns ? until_ns - now : 0;
    struct timespec left = {.tv_sec = (time_t)(left_ns / 1000000000u),
                            .tv_nsec = (long)(left_ns % 1000000000u)};
    if (ppoll(files, count, &left, NULL) < 0 && errno != EINTR) {
        fail("poll");
    }
}

/* ---- commits ---- */

static int connect_to(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int yes = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file < 0 || connect(file, (const struct sockaddr *)&to, sizeof(to)) != 0 ||
        setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) != 0) {
        fail("connect");
    }
    return file;
}

static void send_transfer(struct line *line, const char *tag, uint64_t number)
{
    char body[REQUEST_BYTES_MAX / 2];
    char request[REQUEST_BYTES_MAX];
    int body_bytes = snprintf(body, sizeof(body),
                              "{\"id\":\"probe-%.40s-%" PRIu64
                              "\",\"from\":\"probe:from\",\"to\":\"probe:to\",\"asset\":\"EUR/2\","
                              "\"amount\":\"1\"}",
                              tag, number);
    int bytes = snprintf(request, sizeof(request),
                         "POST /v1/transfers HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
                         "application/json\r\nContent-Length: %d\r\n\r\n%s",
                         body_bytes, body);
    /* A request fits into an empty socket buffer, always. */
    if (send(line->file, request, (size_t)bytes, MSG_NOSIGNAL) != bytes) {
        fail("send");
    }
    line->busy = true;
    line->bytes = 0;
}

/* Reads what there is. true: the answer is whole. */
static bool receive(struct line *line)
{
    ssize_t got = recv(line->file, line->answer + line->bytes,
                       sizeof(line->answer) - 1 - line->bytes, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (got <= 0) {
        errno = got == 0 ? 0 : errno;
        fail("the answer did not come");
    }
    line->bytes += (size_t)got;
    line->answer[line->bytes] = '\0';
    const char *end = strstr(line->answer, "\r\n\r\n");
    const char *length = strstr(line->answer, "\r\nContent-Length: ");
    if (end == NULL || length == NULL || length > end) {
        return false;
    }
    size_t body = (size_t)strtoul(length + strlen("\r\nContent-Length: "), NULL, 10);
    return line->bytes >= (size_t)(end + 4 - line->answer) + body;
}

static void take_answers(struct probe *probe, struct line *lines)
{
    for (uint32_t i = 0; i < LINES; i++) {
        struct line *line = &lines[i];
        if (line->busy && receive(line)) {
            line->busy = false;
            keep(probe, line->due_ns, now_ns() - probe->start_ns - line->due_ns);
            probe->errors += strncmp(line->answer, "HTTP/1.1 201 ", strlen("HTTP/1.1 201 ")) != 0;
        }
    }
}

/* Sends what is due while there is an idle line; returns the number of the next one. */
static uint64_t send_due(const struct probe *probe, struct line *lines, const char *tag,
                         uint64_t next)
{
    for (uint32_t i = 0; i < LINES && due_ns(probe, next) <= now_ns() - probe->start_ns; i++) {
        if (!lines[i].busy) {
            lines[i].due_ns = due_ns(probe, next);
            send_transfer(&lines[i], tag, next);
            next++;
        }
    }
    return next;
}

/* Waits for answers, for the end of the input unless it has come, and until the next one is due if an idle line could send it.
 * false: nothing is left to wait for. */
static bool wait_on(const struct probe *probe, const struct line *lines, uint64_t next, bool *ended)
{
    struct pollfd files[LINES + 1] = {{.fd = *ended ? -1 : STDIN_FILENO, .events = POLLIN}};
    uint32_t busy = 0;
    for (uint32_t i = 0; i < LINES; i++) {
        files[i + 1] = (struct pollfd){.fd = lines[i].busy ? lines[i].file : -1, .events = POLLIN};
        busy += lines[i].busy;
    }
    if (*ended && busy == 0) {
        return false;
    }
    bool sends = !*ended && busy < LINES;
    wait_for(probe, files, LINES + 1, sends ? due_ns(probe, next) : UINT64_MAX / 2);
    *ended = *ended || files[0].revents != 0;
    return true;
}

static void run_commits(struct probe *probe, uint16_t port, const char *tag)
{
    static struct line lines[LINES];
    uint64_t next = 0;
    bool ended = false;
    for (uint32_t i = 0; i < LINES; i++) {
        lines[i].file = connect_to(port);
    }
    probe->start_ns = now_ns();
    while (wait_on(probe, lines, next, &ended)) {
        take_answers(probe, lines);
        next = ended ? next : send_due(probe, lines, tag, next);
    }
    for (uint32_t i = 0; i < LINES; i++) {
        (void)close(lines[i].file);
    }
}

/* ---- sync ---- */

static int open_zeroed(const char *path)
{
    static const char block[BLOCK_BYTES];
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (int i = 0; file >= 0 && i < BLOCKS; i++) {
        if (write(file, block, sizeof(block)) != (ssize_t)sizeof(block)) {
            fail("write");
        }
    }
    if (file < 0 || fsync(file) != 0) {
        fail(path);
    }
    return file;
}

static void run_sync(struct probe *probe, const char *path)
{
    static const char block[BLOCK_BYTES];
    struct pollfd end = {.fd = STDIN_FILENO, .events = POLLIN};
    int file = open_zeroed(path);
    probe->start_ns = now_ns();
    for (uint64_t next = 0;; next++) {
        uint64_t due = due_ns(probe, next);
        while (end.revents == 0 && now_ns() - probe->start_ns < due) {
            wait_for(probe, &end, 1, due);
        }
        if (end.revents != 0) {
            break;
        }
        off_t at = (off_t)(next % BLOCKS) * BLOCK_BYTES;
        uint64_t began_ns = now_ns();
        if (pwrite(file, block, sizeof(block), at) != (ssize_t)sizeof(block) ||
            fdatasync(file) != 0) {
            fail("write and sync");
        }
        keep(probe, due, now_ns() - began_ns);
    }
    (void)close(file);
}

/* ---- what is told ---- */

static int by_time(const void *a, const void *b)
{
    uint64_t left = ((const struct sample *)a)->took_ns;
    uint64_t right = ((const struct sample *)b)->took_ns;
    return (left > right) - (left < right);
}

static void report(struct probe *probe)
{
    uint64_t count = probe->count;
    errno = 0;
    if (count == 0) {
        fail("nothing was due before the end");
    }
    qsort(probe->samples, count, sizeof(*probe->samples), by_time);
    (void)printf("{\"count\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"p50_us\":%" PRIu64
                 ",\"p99_us\":%" PRIu64 ",\"max_us\":%" PRIu64 ",\"worst\":[",
                 count, probe->errors, probe->samples[count / 2].took_ns / 1000,
                 probe->samples[count - 1 - count / 100].took_ns / 1000,
                 probe->samples[count - 1].took_ns / 1000);
    for (uint64_t i = 0; i < WORST && i < count; i++) {
        const struct sample *sample = &probe->samples[count - 1 - i];
        (void)printf("%s[%" PRIu64 ",%" PRIu64 "]", i == 0 ? "" : ",", sample->due_ns / 1000000,
                     sample->took_ns / 1000);
    }
    (void)printf("]}\n");
}

static uint64_t number_of(const char *text, uint64_t most)
{
    char *end = NULL;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || value == 0 || value > most) {
        errno = 0;
        fail("a number that is none, or too large");
    }
    return value;
}

int main(int argc, char **argv)
{
    struct probe probe = {0};
    bool commits = argc == 5 && strcmp(argv[1], "commits") == 0;
    if (!commits && (argc != 4 || strcmp(argv[1], "sync") != 0)) {
        fail("usage: scale-probe commits PORT RATE TAG | scale-probe sync FILE RATE");
    }
    probe.rate = number_of(argv[3], 100000);
    if (commits) {
        run_commits(&probe, (uint16_t)number_of(argv[2], UINT16_MAX), argv[4]);
    } else {
        run_sync(&probe, argv[2]);
    }
    report(&probe);
    free(probe.samples);
    return probe.errors == 0 ? 0 : 1;
}
