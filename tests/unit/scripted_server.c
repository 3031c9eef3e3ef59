#include "unit/scripted_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            perror(#condition);                                                                    \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct connection {
    struct scripted_server *server;
    size_t number;
    int socket;
};

/* Bytes of the whole request at the beginning of text, or 0: not whole yet. */
static size_t whole_request(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n");
    if (end == NULL) {
        return 0;
    }
    size_t head = (size_t)(end - text) + 4;
    const char *length = strstr(text, "\r\nContent-Length: ");
    size_t body = length == NULL || length > end ? 0 : strtoul(length + 18, NULL, 10);
    return strlen(text) >= head + body ? head + body : 0;
}

/* One request, NUL behind it. false: the client has gone. */
static bool read_request(int socket, char text[SCRIPT_REQUEST_MAX])
{
    size_t have = 0;
    text[0] = '\0';
    while (whole_request(text) == 0) {
        MUST(have < SCRIPT_REQUEST_MAX - 1);
        ssize_t got = recv(socket, text + have, SCRIPT_REQUEST_MAX - 1 - have, 0);
        if (got <= 0) {
            return false;
        }
        have += (size_t)got;
        text[have] = '\0';
    }
    return true;
}

/* Keeps the request and gives its step. */
static struct script_step next_step(struct scripted_server *server, const char *text,
                                    size_t *number)
{
    struct script_step step = {SCRIPT_ANSWER, NULL};
    pthread_mutex_lock(&server->mutex);
    *number = server->request_count;
    MUST(*number < SCRIPT_REQUESTS_MAX);
    (void)snprintf(server->requests[*number], SCRIPT_REQUEST_MAX, "%s", text);
    server->request_count++;
    if (*number < server->step_count) {
        step = server->steps[*number];
    }
    pthread_mutex_unlock(&server->mutex);
    return step;
}

static void answer(int socket, const char *text)
{
    if (text != NULL) {
        (void)send(socket, text, strlen(text), MSG_NOSIGNAL);
    }
}

/* false: the connection ends. */
static bool follow(struct scripted_server *server, int socket, const struct script_step *step,
                   size_t number)
{
    char text[256];
    char body[32];
    switch (step->action) {
    case SCRIPT_ANSWER:
        if (step->text == NULL) {
            (void)snprintf(body, sizeof(body), "{\"n\":%zu}", number);
            (void)snprintf(text, sizeof(text),
                           "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                           "Content-Length: %zu\r\n\r\n%s",
                           strlen(body), body);
            answer(socket, text);
        } else {
            answer(socket, step->text);
        }
        return true;
    case SCRIPT_CLOSE_DOORS:
        (void)shutdown(server->listener, SHUT_RDWR);
        MUST(pthread_join(server->acceptor, NULL) == 0);
        (void)close(server->listener);
        server->listener = -1;
        answer(socket, step->text);
        return false;
    case SCRIPT_CLOSE:
        answer(socket, step->text);
        return false;
    case SCRIPT_SILENT:
        (void)recv(socket, text, sizeof(text), 0);
        return false;
    }
    return false;
}

static void *serve(void *context)
{
    struct connection *connection = context;
    struct scripted_server *server = connection->server;
    char text[SCRIPT_REQUEST_MAX];
    size_t number;
    while (read_request(connection->socket, text)) {
        struct script_step step = next_step(server, text, &number);
        if (!follow(server, connection->socket, &step, number)) {
            break;
        }
    }
    pthread_mutex_lock(&server->mutex);
    server->open[connection->number] = -1;
    pthread_mutex_unlock(&server->mutex);
    (void)close(connection->socket);
    free(connection);
    return NULL;
}

static void *accept_all(void *context)
{
    struct scripted_server *server = context;
    for (;;) {
        int accepted = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
        if (accepted < 0) {
            return NULL;
        }
        struct connection *connection = malloc(sizeof(*connection));
        MUST(connection != NULL);
        pthread_mutex_lock(&server->mutex);
        MUST(server->accepted < SCRIPT_REQUESTS_MAX);
        *connection = (struct connection){server, server->accepted, accepted};
        server->open[server->accepted] = accepted;
        MUST(pthread_create(&server->threads[server->accepted], NULL, serve, connection) == 0);
        server->accepted++;
        pthread_mutex_unlock(&server->mutex);
    }
}

static void listen_on(struct scripted_server *server, const char *path)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    socklen_t bytes = sizeof(any);
    server->listener = socket(path == NULL ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(server->listener >= 0);
    if (path != NULL) {
        (void)snprintf(local.sun_path, sizeof(local.sun_path), "%s", path);
        MUST(bind(server->listener, (struct sockaddr *)&local, sizeof(local)) == 0);
        (void)snprintf(server->address, sizeof(server->address), "unix:%.100s", path);
    } else {
        MUST(bind(server->listener, (struct sockaddr *)&any, sizeof(any)) == 0);
        MUST(getsockname(server->listener, (struct sockaddr *)&any, &bytes) == 0);
        server->port = ntohs(any.sin_port);
        (void)snprintf(server->address, sizeof(server->address), "http://127.0.0.1:%u",
                       server->port);
    }
    MUST(listen(server->listener, 64) == 0);
}

void scripted_server_start(struct scripted_server *server, const char *path,
                           const struct script_step *steps, size_t step_count)
{
    memset(server, 0, sizeof(*server));
    server->steps = steps;
    server->step_count = step_count;
    MUST(pthread_mutex_init(&server->mutex, NULL) == 0);
    listen_on(server, path);
    MUST(pthread_create(&server->acceptor, NULL, accept_all, server) == 0);
}

void scripted_server_stop(struct scripted_server *server)
{
    pthread_mutex_lock(&server->mutex);
    for (size_t i = 0; i < server->accepted; i++) {
        if (server->open[i] >= 0) {
            (void)shutdown(server->open[i], SHUT_RDWR);
        }
    }
    pthread_mutex_unlock(&server->mutex);
    if (server->listener >= 0) {
        (void)shutdown(server->listener, SHUT_RDWR);
        MUST(pthread_join(server->acceptor, NULL) == 0);
        (void)close(server->listener);
    }
    /* The last ones may have come between the two. */
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
    MUST(pthread_mutex_destroy(&server->mutex) == 0);
}

size_t scripted_server_requests(struct scripted_server *server)
{
    pthread_mutex_lock(&server->mutex);
    size_t count = server->request_count;
    pthread_mutex_unlock(&server->mutex);
    return count;
}

size_t scripted_server_connections(struct scripted_server *server)
{
    pthread_mutex_lock(&server->mutex);
    size_t count = server->accepted;
    pthread_mutex_unlock(&server->mutex);
    return count;
}

void scripted_server_header(struct scripted_server *server, size_t n, const char *name, char *value,
                            size_t value_bytes)
{
    pthread_mutex_lock(&server->mutex);
    const char *head_end = strstr(server->requests[n], "\r\n\r\n");
    const char *found = strstr(server->requests[n], name);
    value[0] = '\0';
    if (found != NULL && head_end != NULL && found < head_end) {
        found += strlen(name);
        (void)snprintf(value, value_bytes, "%.*s", (int)strcspn(found, "\r"), found);
    }
    pthread_mutex_unlock(&server->mutex);
}
