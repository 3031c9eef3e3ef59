#include "unit/packed_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "holdfast_packed.h"

#define HEAD_BYTES_MAX 4096
#define ANSWER_BYTES_MAX                                                                           \
    (HOLDFAST_RESULTS_BYTES + HOLDFAST_PACKED_RECORDS_MAX * HOLDFAST_RESULT_BYTES)
#define FLAGS_KNOWN 31u

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            perror(#condition);                                                                    \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct connection {
    struct packed_server *server;
    size_t number;
    int socket;
    uint8_t *body; /* of the request */
    size_t body_bytes;
    uint8_t answer[ANSWER_BYTES_MAX];
    size_t answer_bytes;
};

/* ---- requests ---- */

static bool read_exactly(int socket, uint8_t *to, size_t bytes)
{
    while (bytes > 0) {
        ssize_t got = recv(socket, to, bytes, 0);
        if (got <= 0) {
            return false;
        }
        to += got;
        bytes -= (size_t)got;
    }
    return true;
}

/* false: the client has gone. */
static bool read_request(struct connection *c)
{
    char head[HEAD_BYTES_MAX + 1];
    size_t have = 0;
    do {
        MUST(have < HEAD_BYTES_MAX);
        if (!read_exactly(c->socket, (uint8_t *)head + have, 1)) {
            return false;
        }
        head[++have] = '\0';
    } while (have < 4 || memcmp(head + have - 4, "\r\n\r\n", 4) != 0);
    MUST(strncmp(head, "POST /v1/transfers HTTP/1.1\r\n", 29) == 0 ||
         strncmp(head, "POST /v1/accounts HTTP/1.1\r\n", 28) == 0);
    MUST(strstr(head, "\r\nContent-Type: application/vnd.holdfast.") != NULL);
    MUST(strstr(head, "\r\nAccept: " HOLDFAST_PACKED_RESULTS "\r\n") != NULL);
    MUST(strstr(head, "Idempotency-Key") == NULL);
    const char *length = strstr(head, "\r\nContent-Length: ");
    MUST(length != NULL);
    c->body_bytes = strtoul(length + 18, NULL, 10);
    free(c->body);
    c->body = malloc(c->body_bytes + 1);
    MUST(c->body != NULL);
    return read_exactly(c->socket, c->body, c->body_bytes);
}

static size_t count_of(const struct connection *c)
{
    return c->body_bytes / HOLDFAST_PACKED_BYTES;
}

static const uint8_t *record_of(const struct connection *c, size_t index)
{
    return c->body + index * HOLDFAST_PACKED_BYTES;
}

static uint32_t flags_of(const struct connection *c, size_t index)
{
    return hf_get_u32(record_of(c, index) + HOLDFAST_TRANSFER_FLAGS);
}

/* ---- what is done ---- */

static struct packed_server_id *find(struct packed_server *server, const uint8_t *id)
{
    static const uint8_t none[16];
    size_t at = (hf_get_u64(id) ^ hf_get_u64(id + 8) * 0x9E3779B97F4A7C15u) % PACKED_SERVER_IDS;
    while (memcmp(server->ids[at].id, none, 16) != 0 && memcmp(server->ids[at].id, id, 16) != 0) {
        at = (at + 1) % PACKED_SERVER_IDS;
    }
    return &server->ids[at];
}

static bool is_new(const struct packed_server_id *id)
{
    static const uint8_t none[16];
    return memcmp(id->id, none, 16) == 0;
}

/* What a chain from first to last comes to: the code of its first refused record, or 0. */
static uint32_t code_of_chain(const struct connection *c, size_t first, size_t last)
{
    for (size_t i = first; i <= last; i++) {
        uint32_t code = hf_get_u32(record_of(c, i) + HOLDFAST_TRANSFER_CODE);
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

/* One record's outcome into the answer. */
static void decide(struct connection *c, size_t index, uint32_t chain_code, bool chained)
{
    const uint8_t *record = record_of(c, index);
    struct packed_server_id *id = find(c->server, record + HOLDFAST_TRANSFER_ID);
    uint32_t own = hf_get_u32(record + HOLDFAST_TRANSFER_CODE);
    uint32_t code = own != 0 ? own : chain_code;
    uint32_t flags = chained && own == 0 && code != 0 ? HOLDFAST_FLAG_CHAIN : 0;
    uint8_t *counts = c->answer;
    if (is_new(id)) {
        memcpy(id->id, record + HOLDFAST_TRANSFER_ID, 16);
        memcpy(id->content, record + HOLDFAST_TRANSFER_AMOUNT, 16);
        id->code = code;
        id->flags = flags;
        c->server->done_count++;
        MUST(c->server->done_count < PACKED_SERVER_IDS / 2);
    } else if (memcmp(id->content, record + HOLDFAST_TRANSFER_AMOUNT, 16) != 0) {
        code = HOLDFAST_CODE_TRANSFER_EXISTS;
        flags = 0;
    } else {
        code = id->code;
        flags = id->flags | HOLDFAST_FLAG_REPLAYED;
    }
    size_t count_at = code != 0                               ? HOLDFAST_RESULTS_REFUSED
                      : (flags & HOLDFAST_FLAG_REPLAYED) != 0 ? HOLDFAST_RESULTS_REPLAYED
                                                              : HOLDFAST_RESULTS_ACCEPTED;
    hf_put_u32(counts + count_at, hf_get_u32(counts + count_at) + 1);
    if (code != 0) {
        uint8_t *entry = c->answer + c->answer_bytes;
        hf_put_u32(entry + HOLDFAST_RESULT_INDEX, (uint32_t)index);
        hf_put_u16(entry + HOLDFAST_RESULT_CODE, (uint16_t)code);
        hf_put_u16(entry + HOLDFAST_RESULT_FLAGS, (uint16_t)flags);
        c->answer_bytes += HOLDFAST_RESULT_BYTES;
    }
}

static void decide_all(struct connection *c)
{
    size_t known = c->server->done_count;
    memset(c->answer, 0, HOLDFAST_RESULTS_BYTES);
    c->answer_bytes = HOLDFAST_RESULTS_BYTES;
    for (size_t i = 0; i < count_of(c);) {
        size_t last = i;
        while ((flags_of(c, last) & HOLDFAST_FLAG_LINKED) != 0) {
            last++;
        }
        uint32_t code = code_of_chain(c, i, last);
        for (size_t at = i; at <= last; at++) {
            decide(c, at, code, last > i);
        }
        i = last + 1;
    }
    if (c->server->done_count > known) {
        hf_put_u64(c->answer + HOLDFAST_RESULTS_POSITION, ++c->server->position);
        hf_put_u64(c->answer + HOLDFAST_RESULTS_TIME_US, 1000000 + c->server->position);
    }
}

/* ---- answers ---- */

static void say(const struct connection *c, const char *status, const char *type, const void *body,
                size_t told_bytes, size_t bytes)
{
    char head[256];
    int length = snprintf(head, sizeof(head),
                          "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", status,
                          type, told_bytes);
    (void)send(c->socket, head, (size_t)length, MSG_NOSIGNAL | MSG_MORE);
    (void)send(c->socket, body, bytes, MSG_NOSIGNAL);
}

static void say_problem(const struct connection *c, const char *status, const char *code)
{
    char body[128];
    size_t length =
        (size_t)snprintf(body, sizeof(body), "{\"code\":\"%s\",\"failed\":\"/7/flags\"}", code);
    say(c, status, "application/problem+json", body, length, length);
}

/* false: the connection ends. */
static bool answer(struct connection *c, enum packed_fault fault)
{
    const size_t bytes = c->answer_bytes;
    switch (fault) {
    case PACKED_LOST:
    case PACKED_DONE_LOST:
        return false;
    case PACKED_CUT:
        say(c, "200 OK", HOLDFAST_PACKED_RESULTS, c->answer, bytes, bytes - 4);
        return false;
    case PACKED_CUT_WHOLE:
        say(c, "200 OK", HOLDFAST_PACKED_RESULTS, c->answer, bytes - 8, bytes - 8);
        return true;
    case PACKED_OTHER_TYPE:
        say(c, "200 OK", "text/html", c->answer, bytes, bytes);
        return true;
    case PACKED_OTHER_SUM:
        hf_put_u32(c->answer + HOLDFAST_RESULTS_REPLAYED,
                   hf_get_u32(c->answer + HOLDFAST_RESULTS_REPLAYED) + 1);
        say(c, "200 OK", HOLDFAST_PACKED_RESULTS, c->answer, bytes, bytes);
        return true;
    case PACKED_BAD_INDEX:
        memset(c->answer, 0, HOLDFAST_RESULTS_BYTES + HOLDFAST_RESULT_BYTES);
        hf_put_u32(c->answer + HOLDFAST_RESULTS_REPLAYED, (uint32_t)count_of(c) - 1);
        hf_put_u32(c->answer + HOLDFAST_RESULTS_REFUSED, 1);
        hf_put_u32(c->answer + HOLDFAST_RESULTS_BYTES + HOLDFAST_RESULT_INDEX,
                   (uint32_t)count_of(c));
        hf_put_u16(c->answer + HOLDFAST_RESULTS_BYTES + HOLDFAST_RESULT_CODE, 170);
        say(c, "200 OK", HOLDFAST_PACKED_RESULTS, c->answer,
            HOLDFAST_RESULTS_BYTES + HOLDFAST_RESULT_BYTES,
            HOLDFAST_RESULTS_BYTES + HOLDFAST_RESULT_BYTES);
        return true;
    case PACKED_DOUBTFUL:
        say_problem(c, "503 Service Unavailable", "outcome_unknown");
        return true;
    case PACKED_NOT_JUDGED:
        say_problem(c, "503 Service Unavailable", "not_ready");
        return true;
    case PACKED_OVERLOADED:
        say_problem(c, "429 Too Many Requests", "overloaded");
        return true;
    case PACKED_BUSY_LONG:
        say(c, "429 Too Many Requests\r\nRetry-After: 3600", "application/problem+json",
            "{\"code\":\"overloaded\"}", 21, 21);
        return true;
    case PACKED_FORBIDDEN:
        say_problem(c, "403 Forbidden", "forbidden");
        return true;
    case PACKED_TOO_LARGE:
        say_problem(c, "413 Content Too Large", "too_large");
        return true;
    case PACKED_STRANGER:
        say(c, "404 Not Found", "text/plain", "none", 4, 4);
        return true;
    case PACKED_FINE:
    case PACKED_FAULTS:
        break;
    }
    say(c, "200 OK", HOLDFAST_PACKED_RESULTS, c->answer, bytes, bytes);
    return true;
}

static bool does_nothing(enum packed_fault fault)
{
    return fault == PACKED_LOST || fault == PACKED_NOT_JUDGED || fault == PACKED_OVERLOADED ||
           fault == PACKED_BUSY_LONG || fault == PACKED_FORBIDDEN || fault == PACKED_TOO_LARGE;
}

static enum packed_fault next_fault(struct packed_server *server, size_t number)
{
    if (number < server->script_count) {
        return server->script[number];
    }
    server->random = server->random * 6364136223846793005u + 1442695040888963407u;
    /* Behind the script only what a repetition ends. */
    return (server->random >> 33) % 256 < server->fault_of_256
               ? (enum packed_fault)(server->random >> 41) % (PACKED_BAD_INDEX + 1)
               : PACKED_FINE;
}

static bool is_malformed(const struct connection *c)
{
    size_t count = count_of(c);
    bool bad = count == 0 || c->body_bytes % HOLDFAST_PACKED_BYTES != 0 ||
               count > HOLDFAST_PACKED_RECORDS_MAX ||
               (flags_of(c, count - 1) & HOLDFAST_FLAG_LINKED) != 0;
    for (size_t i = 0; !bad && i < count; i++) {
        bad = (flags_of(c, i) & ~FLAGS_KNOWN) != 0;
    }
    return bad;
}

/* false: the connection ends. */
static bool serve_one(struct connection *c)
{
    struct packed_server *server = c->server;
    pthread_mutex_lock(&server->mutex);
    MUST(server->request_count < PACKED_SERVER_REQUESTS);
    size_t number = server->request_count++;
    server->sizes[number] = (uint32_t)count_of(c);
    server->waiting++;
    pthread_cond_broadcast(&server->changed);
    while (server->held && server->let == 0) {
        pthread_cond_wait(&server->changed, &server->mutex);
    }
    server->let -= server->held;
    server->waiting--;
    bool malformed = is_malformed(c);
    enum packed_fault fault = next_fault(server, number);
    server->refused_whole += malformed;
    if (!malformed && !does_nothing(fault)) {
        decide_all(c);
    }
    pthread_mutex_unlock(&server->mutex);
    if (malformed && fault != PACKED_LOST) {
        say_problem(c, "400 Bad Request", "invalid_request");
        return true;
    }
    return answer(c, fault);
}

static void *serve(void *context)
{
    struct connection *c = context;
    struct packed_server *server = c->server;
    while (read_request(c) && serve_one(c)) {
    }
    pthread_mutex_lock(&server->mutex);
    server->open[c->number] = -1;
    pthread_mutex_unlock(&server->mutex);
    (void)close(c->socket);
    free(c->body);
    free(c);
    return NULL;
}

/* ---- the server ---- */

static void *accept_all(void *context)
{
    struct packed_server *server = context;
    for (;;) {
        int accepted = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
        if (accepted < 0) {
            return NULL;
        }
        struct connection *c = calloc(1, sizeof(*c));
        MUST(c != NULL);
        pthread_mutex_lock(&server->mutex);
        MUST(server->accepted < PACKED_SERVER_THREADS);
        c->server = server;
        c->number = server->accepted;
        c->socket = accepted;
        server->open[c->number] = accepted;
        MUST(pthread_create(&server->threads[c->number], NULL, serve, c) == 0);
        server->accepted++;
        pthread_mutex_unlock(&server->mutex);
    }
}

void packed_server_start(struct packed_server *server, const enum packed_fault *script,
                         size_t script_count)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(any);
    memset(server, 0, sizeof(*server));
    server->script = script;
    server->script_count = script_count;
    MUST(pthread_mutex_init(&server->mutex, NULL) == 0);
    MUST(pthread_cond_init(&server->changed, NULL) == 0);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(server->listener >= 0);
    MUST(bind(server->listener, (struct sockaddr *)&any, sizeof(any)) == 0);
    MUST(getsockname(server->listener, (struct sockaddr *)&any, &bytes) == 0);
    (void)snprintf(server->address, sizeof(server->address), "http://127.0.0.1:%u",
                   ntohs(any.sin_port));
    MUST(listen(server->listener, 64) == 0);
    MUST(pthread_create(&server->acceptor, NULL, accept_all, server) == 0);
}

void packed_server_stop(struct packed_server *server)
{
    packed_server_hold(server, false);
    (void)shutdown(server->listener, SHUT_RDWR);
    MUST(pthread_join(server->acceptor, NULL) == 0);
    (void)close(server->listener);
    pthread_mutex_lock(&server->mutex);
    for (size_t i = 0; i < server->accepted; i++) {
        if (server->open[i] >= 0) {
            (void)shutdown(server->open[i], SHUT_RDWR);
        }
    }
    pthread_mutex_unlock(&server->mutex);
    for (size_t i = 0; i < server->accepted; i++) {
        MUST(pthread_join(server->threads[i], NULL) == 0);
    }
    MUST(pthread_cond_destroy(&server->changed) == 0);
    MUST(pthread_mutex_destroy(&server->mutex) == 0);
}

void packed_server_hold(struct packed_server *server, bool held)
{
    pthread_mutex_lock(&server->mutex);
    server->held = held;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->mutex);
}

void packed_server_let_one(struct packed_server *server)
{
    pthread_mutex_lock(&server->mutex);
    server->let++;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->mutex);
}

void packed_server_misbehave(struct packed_server *server, uint64_t random, unsigned fault_of_256)
{
    pthread_mutex_lock(&server->mutex);
    server->random = random;
    server->fault_of_256 = fault_of_256;
    pthread_mutex_unlock(&server->mutex);
}

void packed_server_await(struct packed_server *server, size_t waiting)
{
    pthread_mutex_lock(&server->mutex);
    while (server->waiting < waiting) {
        pthread_cond_wait(&server->changed, &server->mutex);
    }
    pthread_mutex_unlock(&server->mutex);
}

bool packed_server_knows(struct packed_server *server, const uint8_t id[16], uint32_t *code)
{
    pthread_mutex_lock(&server->mutex);
    struct packed_server_id *found = find(server, id);
    bool knows = !is_new(found);
    *code = found->code;
    pthread_mutex_unlock(&server->mutex);
    return knows;
}

size_t packed_server_requests(struct packed_server *server)
{
    pthread_mutex_lock(&server->mutex);
    size_t count = server->request_count;
    pthread_mutex_unlock(&server->mutex);
    return count;
}

size_t packed_server_done(struct packed_server *server)
{
    pthread_mutex_lock(&server->mutex);
    size_t count = server->done_count;
    pthread_mutex_unlock(&server->mutex);
    return count;
}

uint32_t packed_server_largest(struct packed_server *server)
{
    pthread_mutex_lock(&server->mutex);
    uint32_t largest = 0;
    for (size_t i = 0; i < server->request_count; i++) {
        largest = server->sizes[i] > largest ? server->sizes[i] : largest;
    }
    pthread_mutex_unlock(&server->mutex);
    return largest;
}
