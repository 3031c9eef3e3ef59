/*
 * The skeleton of an example service: options, a small HTTP server, the answers.
 *
 * Owns: the command line and the listening socket. Must never: know what a service does. Called by:
 * each service's main.
 *
 *   SERVICE [--naive] [--port N] [--database FILE] [--holdfast URL[,URL]] [--peer NAME=ADDRESS]...
 *           [--deaths DIR] [--mended]
 *
 * 1. Requests carry their parameters in the query and are answered by one line of text, so that the
 *    examples show the story and not a codec. Only a saga's calls have a body (store/step.c).
 * 2. Every connection has a thread of its own; a handler may block.
 * 3. The first line on standard output is "listening PORT"; whoever started the service waits for it.
 */
#ifndef EXAMPLES_COMMON_SERVICE_H
#define EXAMPLES_COMMON_SERVICE_H

#include <stdbool.h>
#include <stddef.h>

struct settings {
    bool naive;           /* do what such services do today, else ask Holdfast */
    const char *database; /* SQLite file: of the naive variant; a store's service has one in both */
    const char *deaths;   /* folder with a file for each message that a process has died of */
    bool mended;          /* the service is deployed with its fix */
};

struct holdfast_client;
struct request; /* what came in, and the answer */

struct route {
    const char *method;                      /* "POST" */
    const char *path;                        /* "/pay" */
    void (*handle)(struct request *request); /* answers once */
};

/* Called by service_run once it listens: for threads of the service's own. */
void service_at_start(void (*begin)(void));

/* Serves until the process is killed. Returns main's exit status. */
int service_run(int argc, char **argv, const struct route *service_routes, size_t count);

const struct settings *service_settings(void);

/* Address of another service ("127.0.0.1:8001"); the process ends if it was not given. */
const char *service_peer(const char *name);

#define PARAMETER_BYTES_MAX 127

/* A parameter: letters, digits and . : _ - only, so that it can stand in a URL, in JSON and in SQL, and no longer than
 * PARAMETER_BYTES_MAX; "" if it is absent or anything else. Lives as long as the request. */
const char *request_text(struct request *request, const char *name);
/* A parameter that is a whole number ≥ 0; -1 if it is none. */
long long request_number(struct request *request, const char *name);

/* A header as it came, "" if it is absent; the body, "" if there is none. Both live as long as the request. */
const char *request_header(struct request *request, const char *name);
const char *request_body(struct request *request);

/* Answers. Status by the services' own convention: 200 done, 400 asked wrongly, 402 refused, 409 gave up, 503
 * unknown. */
void respond(struct request *request, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The client for Holdfast, one for all threads. */
struct holdfast_client *service_holdfast(void);

/* Ends the process: the environment failed. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
