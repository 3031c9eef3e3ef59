/*
 * A server on loopback that follows a script, for the tests of the client.
 *
 * Owns: a listening socket, a thread a connection, the requests as they came. Each request takes the next step of the
 * script; behind its end every request is answered 200 {"n":<number of the request>}.
 */
#ifndef HF_TESTS_UNIT_SCRIPTED_SERVER_H
#define HF_TESTS_UNIT_SCRIPTED_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define SCRIPT_STEPS_MAX    64
#define SCRIPT_REQUESTS_MAX 1024
#define SCRIPT_REQUEST_MAX  2048

enum script_action {
    SCRIPT_ANSWER,      /* write the text and keep the connection */
    SCRIPT_CLOSE,       /* write the text, then close: nothing, or a piece of an answer */
    SCRIPT_SILENT,      /* say nothing until the client closes */
    SCRIPT_CLOSE_DOORS, /* close the listener, then as CLOSE */
};

struct script_step {
    enum script_action action;
    const char *text; /* static; NULL = nothing */
};

struct scripted_server {
    int listener; /* -1: closed */
    unsigned port;
    char address[128]; /* "http://127.0.0.1:4711" or "unix:PATH" */
    const struct script_step *steps;
    size_t step_count;
    pthread_t acceptor;
    pthread_mutex_t mutex; /* of what follows */
    size_t accepted;       /* connections */
    size_t request_count;
    char requests[SCRIPT_REQUESTS_MAX][SCRIPT_REQUEST_MAX]; /* head and body, cut */
    int open[SCRIPT_REQUESTS_MAX];                          /* sockets by connection; -1 = closed */
    pthread_t threads[SCRIPT_REQUESTS_MAX];
    bool stopping;
};

/* path: of a Unix socket, or NULL for a free TCP port. Aborts the test if it can't. */
void scripted_server_start(struct scripted_server *server, const char *path,
                           const struct script_step *steps, size_t step_count);
/* Ends every connection and thread. */
void scripted_server_stop(struct scripted_server *server);

/* How many there were so far. Requests up to there may be looked at afterwards. */
size_t scripted_server_requests(struct scripted_server *server);
size_t scripted_server_connections(struct scripted_server *server);

/* The value of a header of the n-th request, into value; "" if absent. name as "\r\nName: ". */
void scripted_server_header(struct scripted_server *server, size_t n, const char *name, char *value,
                            size_t value_bytes);

#endif
