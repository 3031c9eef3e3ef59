#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xxhash.h>

#include "ceiling.h"

struct connection {
    struct ceiling_request *request;
    size_t size_bytes; /* received of it */
};

static bool is_whole(const struct connection *connection)
{
    const struct ceiling_head *head = &connection->request->head;
    return connection->size_bytes >= sizeof(*head) &&
           connection->size_bytes == sizeof(*head) + head->count * sizeof(struct ceiling_record);
}

static bool take_request(struct connection *connection, int socket, struct ceiling_ledger *ledger,
                         struct ceiling_log *log)
{
    struct ceiling_request *request = connection->request;
    uint32_t count = request->head.count;
    if (count > CEILING_RECORDS_MAX ||
        XXH3_64bits(request->records, count * sizeof(request->records[0])) !=
            request->head.checksum) {
        fprintf(stderr, "ceiling: a batch is damaged\n");
        return false;
    }
    struct ceiling_log_entry entry = {
        .request = request,
        .size_bytes = connection->size_bytes,
        .answer = ceiling_ledger_apply(ledger, request->records, count),
        .socket = socket,
    };
    connection->size_bytes = 0;
    ceiling_log_append(log, &entry);
    return true;
}

/* 1: go on; 0: the peer has closed; -1: wrong. */
static int receive(struct connection *connection, int socket, struct ceiling_ledger *ledger,
                   struct ceiling_log *log)
{
    ssize_t got = recv(socket, (char *)connection->request + connection->size_bytes,
                       sizeof(*connection->request) - connection->size_bytes, MSG_DONTWAIT);
    if (got < 0) {
        return errno == EAGAIN || errno == EINTR ? 1 : -1;
    }
    if (got == 0) {
        return 0;
    }
    connection->size_bytes += (size_t)got;
    return !is_whole(connection) || take_request(connection, socket, ledger, log) ? 1 : -1;
}

static bool accept_all(int listener, struct connection *connections, struct pollfd *sockets,
                       unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        int on = 1;
        sockets[i] = (struct pollfd){.fd = accept(listener, NULL, NULL), .events = POLLIN};
        connections[i] = (struct connection){.request = malloc(sizeof(struct ceiling_request))};
        if (sockets[i].fd < 0 || connections[i].request == NULL) {
            return false;
        }
        (void)setsockopt(sockets[i].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    return true;
}

bool ceiling_serve(int listener, unsigned count, struct ceiling_ledger *ledger,
                   struct ceiling_log *log)
{
    struct connection connections[CEILING_CONNECTIONS_MAX] = {0};
    struct pollfd sockets[CEILING_CONNECTIONS_MAX];
    unsigned open_count = count;
    bool good = accept_all(listener, connections, sockets, count);
    while (good && open_count > 0) {
        good = poll(sockets, count, -1) > 0 || errno == EINTR;
        for (unsigned i = 0; good && i < count; i++) {
            if (sockets[i].fd < 0 || sockets[i].revents == 0) {
                continue;
            }
            int result = receive(&connections[i], sockets[i].fd, ledger, log);
            good = result >= 0;
            if (result == 0) {
                (void)close(sockets[i].fd);
                sockets[i].fd = -1; /* which poll passes over */
                open_count--;
            }
        }
    }
    if (!good) {
        fprintf(stderr, "ceiling: a connection failed\n");
    }
    for (unsigned i = 0; i < count; i++) {
        free(connections[i].request);
    }
    return good;
}
