/*
 * A participant that does nothing: answers every request at once, over connections that stay open.
 *
 *   holdfast-saga-stub
 *
 * Prints its port. POST /later is 202 (it never calls back), everything else 200 and {"done":true}. On SIGTERM it prints how many
 * requests came.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

#define EVENTS_MAX 256

struct connection {
    int socket;
    struct text in, out;
    size_t sent;
};

static const char done[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                           "Content-Length: 13\r\n\r\n{\"done\":true}";
static const char later[] = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";

static uint64_t requests;

static int listen_anywhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener, 4096) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
        fail("listen: %s", strerror(errno));
    }
    (void)printf("%u\n", ntohs(address.sin_port));
    (void)fflush(stdout);
    return listener;
}

static void watch(int epoll, int file, void *what, uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.ptr = what}};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, file, &event) != 0) {
        fail("epoll_ctl: %s", strerror(errno));
    }
}

static void accept_all(int epoll, int listener)
{
    int one = 1;
    int taken;
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): epoll has them */
    while ((taken = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *c = calloc(1, sizeof(*c));
        if (c == NULL) {
            fail("out of memory");
        }
        (void)setsockopt(taken, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        c->socket = taken;
        watch(epoll, taken, c, EPOLLIN | EPOLLOUT | EPOLLET);
    }
}

static void answer(struct connection *c)
{
    bool open = text_read(&c->in, c->socket);
    size_t size;
    while ((size = message_bytes(&c->in)) > 0) {
        bool is_later = c->in.size > 11 && memcmp(c->in.data, "POST /later", 11) == 0;
        text_print(&c->out, "%s", is_later ? later : done);
        text_drop(&c->in, size);
        requests++;
    }
    open = text_send(&c->out, &c->sent, c->socket) && open;
    if (c->sent == c->out.size) {
        text_clear(&c->out);
        c->sent = 0;
    }
    if (!open) {
        (void)close(c->socket);
        free(c->in.data);
        free(c->out.data);
        free(c);
    }
}

int main(void)
{
    sigset_t wanted;
    (void)sigemptyset(&wanted);
    (void)sigaddset(&wanted, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &wanted, NULL);
    int ends = signalfd(-1, &wanted, SFD_CLOEXEC);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_anywhere();
    watch(epoll, listener, &listener, EPOLLIN);
    watch(epoll, ends, &ends, EPOLLIN);
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &ends) {
                (void)printf("%llu\n", (unsigned long long)requests);
                return 0;
            }
            if (events[i].data.ptr == &listener) {
                accept_all(epoll, listener);
            } else {
                answer(events[i].data.ptr);
            }
        }
    }
}
