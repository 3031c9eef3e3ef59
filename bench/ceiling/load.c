#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xxhash.h>

#include "ceiling.h"

struct load {
    const struct ceiling_options *options;
    struct ceiling_request *request; /* one for all: it is copied into the socket whole */
    struct pollfd sockets[CEILING_CONNECTIONS_MAX];
    uint64_t sent_ns[CEILING_CONNECTIONS_MAX];
    uint64_t sent;
    uint64_t answered;
    uint64_t *samples_ns;
    size_t sample_count;
    uint64_t random[2];
    struct ceiling_result result;
};

static void fail(const char *what)
{
    fprintf(stderr, "ceiling: load: %s: %s\n", what, strerror(errno));
    exit(3);
}

static uint64_t random_u64(struct load *load)
{
    uint64_t a = load->random[0];
    uint64_t b = load->random[1];
    load->random[0] = b;
    a ^= a << 23;
    load->random[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
    return load->random[1] + b;
}

static uint64_t one_of(struct load *load, uint64_t count)
{
    return (uint64_t)(((ceiling_u128)random_u64(load) * count) >> 64);
}

static uint32_t fill(struct load *load)
{
    uint64_t left = load->options->transfers - load->sent;
    uint32_t count = left < CEILING_RECORDS_MAX ? (uint32_t)left : CEILING_RECORDS_MAX;
    for (uint32_t i = 0; i < count; i++) {
        struct ceiling_record *record = &load->request->records[i];
        uint64_t accounts = load->options->accounts;
        uint64_t from = load->options->hot ? one_of(load, 2) : one_of(load, accounts);
        uint64_t to = (from + 1 + one_of(load, accounts - 1)) % accounts;
        record->id[0] = load->options->random_ids ? random_u64(load) : load->sent + i + 1;
        record->id[1] = load->options->random_ids ? random_u64(load) : 1;
        record->from[0] = from + 1;
        record->to[0] = to + 1;
        record->amount = 1;
    }
    load->request->head = (struct ceiling_head){
        .count = count,
        .checksum = XXH3_64bits(load->request->records, count * sizeof(load->request->records[0])),
    };
    load->sent += count;
    return count;
}

/* Blocks until the server has taken it. */
static void send_next(struct load *load, unsigned i)
{
    uint32_t count = fill(load);
    size_t size_bytes = sizeof(load->request->head) + count * sizeof(load->request->records[0]);
    const char *from = (const char *)load->request;
    load->sent_ns[i] = ceiling_now_ns();
    while (size_bytes > 0) {
        ssize_t sent = send(load->sockets[i].fd, from, size_bytes, MSG_NOSIGNAL);
        if (sent < 0) {
            fail("send");
        }
        from += sent;
        size_bytes -= (size_t)sent;
    }
}

static void take_answer(struct load *load, unsigned i)
{
    struct ceiling_answer answer;
    if (recv(load->sockets[i].fd, &answer, sizeof(answer), MSG_WAITALL) !=
        (ssize_t)sizeof(answer)) {
        fail("receive");
    }
    load->samples_ns[load->sample_count++] = ceiling_now_ns() - load->sent_ns[i];
    load->answered += (uint64_t)answer.accepted + answer.replayed + answer.refused;
    load->result.accepted += answer.accepted;
    load->result.replayed += answer.replayed;
    load->result.refused += answer.refused;
}

static void open_all(struct load *load, uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    for (unsigned i = 0; i < load->options->connections; i++) {
        int on = 1;
        int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        load->sockets[i] = (struct pollfd){.fd = file, .events = POLLIN};
        if (file < 0 || setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
            connect(file, (struct sockaddr *)&address, sizeof(address)) != 0) {
            fail("connect");
        }
    }
}

static void run(struct load *load)
{
    for (unsigned i = 0; i < load->options->connections && load->sent < load->options->transfers;
         i++) {
        send_next(load, i);
    }
    while (load->answered < load->options->transfers) {
        if (poll(load->sockets, load->options->connections, -1) < 0) {
            fail("poll");
        }
        for (unsigned i = 0; i < load->options->connections; i++) {
            if (load->sockets[i].revents == 0) {
                continue;
            }
            take_answer(load, i);
            if (load->sent < load->options->transfers) {
                send_next(load, i);
            }
        }
    }
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

struct ceiling_result ceiling_load(uint16_t port, const struct ceiling_options *options)
{
    struct load load = {.options = options, .random = {0x243f6a8885a308d3u, 0x13198a2e03707344u}};
    size_t batches = (size_t)(options->transfers / CEILING_RECORDS_MAX + 1);
    load.request = calloc(1, sizeof(*load.request));
    load.samples_ns = calloc(batches, sizeof(*load.samples_ns));
    if (load.request == NULL || load.samples_ns == NULL) {
        fail("memory");
    }
    open_all(&load, port);
    uint64_t start_ns = ceiling_now_ns();
    run(&load);
    load.result.seconds = (double)(ceiling_now_ns() - start_ns) / 1e9;
    load.result.per_second = (double)options->transfers / load.result.seconds;
    qsort(load.samples_ns, load.sample_count, sizeof(*load.samples_ns), compare_u64);
    size_t middle = load.sample_count / 2;
    size_t high = load.sample_count - 1 - load.sample_count / 100;
    load.result.p50_us = (double)load.samples_ns[middle] / 1000;
    load.result.p99_us = (double)load.samples_ns[high] / 1000;
    for (unsigned i = 0; i < options->connections; i++) {
        (void)close(load.sockets[i].fd);
    }
    free(load.samples_ns);
    free(load.request);
    return load.result;
}
