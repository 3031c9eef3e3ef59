/*
 * The load of a scenario: sends a plan's requests to several instances of a service, many at once.
 *
 *   scenario-load -c CONNECTIONS [-m MARK]... ADDRESS... <PLAN >RESULTS
 *
 * A line of the plan is "INSTANCE TAB PATH": which of the addresses is asked first, and the path with its query; it is
 * sent as POST. Requests are begun in the plan's order. One without an answer is sent again, to the next
 * instance, as a client or a proxy would: with the same id. A line of the results, in the plan's order, is
 * "STATUS TAB TRIES TAB TEXT"; status 0: no answer after all tries. When so many answers have come as a mark says, "mark
 * N" goes to standard error: whoever runs the scenario then does its fault.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "service.h"

#define CONNECTIONS_MAX 256
#define MARKS_MAX       64
#define TRIES_MAX       1000
#define AGAIN_US        5000 /* between tries */

struct sending {
    char *path;      /* owned by the line that was read */
    size_t instance; /* asked first */
    int tries;
    struct reply reply;
};

static struct sending *sendings; /* the plan */
static size_t sending_count;
static char **addresses;
static size_t address_count;
static unsigned long marks[MARKS_MAX]; /* ascending */
static size_t mark_count;
static atomic_size_t next, answered;

static void read_plan(void)
{
    size_t capacity = 0;
    size_t room = 0;
    char *line = NULL;
    while (getline(&line, &room, stdin) > 0) {
        char *path;
        if (sending_count == capacity) {
            capacity = capacity == 0 ? 1024 : 2 * capacity;
            sendings = realloc(sendings, capacity * sizeof(*sendings));
            if (sendings == NULL) {
                die("out of memory");
            }
        }
        unsigned long instance = strtoul(line, &path, 10);
        line[strcspn(line, "\n")] = '\0';
        if (*path != '\t' || instance >= address_count) {
            die("a line of the plan is not INSTANCE TAB PATH: %s", line);
        }
        sendings[sending_count++] = (struct sending){.path = path + 1, .instance = instance};
        line = NULL; /* the path points into it */
        room = 0;
    }
    free(line);
}

static void send_until_answered(struct sending *sending)
{
    while (sending->tries < TRIES_MAX) {
        size_t instance = (sending->instance + (size_t)sending->tries) % address_count;
        sending->tries++;
        int status = call(&sending->reply, "POST", "%s%s", addresses[instance], sending->path);
        if (status != 0 && status != 503) {
            return;
        }
        (void)usleep(AGAIN_US);
    }
}

static void *run_connection(void *context)
{
    (void)context;
    for (;;) {
        size_t index = atomic_fetch_add(&next, 1);
        if (index >= sending_count) {
            return NULL;
        }
        send_until_answered(&sendings[index]);
        size_t count = atomic_fetch_add(&answered, 1) + 1;
        for (size_t i = 0; i < mark_count; i++) {
            if (marks[i] == count) {
                (void)fprintf(stderr, "mark %zu\n", count);
            }
        }
    }
}

static unsigned long parse_options(int argc, char **argv)
{
    unsigned long connections = 0;
    int option;
    while ((option = getopt(argc, argv, "c:m:")) != -1) {
        if (option == 'c') {
            connections = strtoul(optarg, NULL, 10);
        } else if (option == 'm' && mark_count < MARKS_MAX) {
            marks[mark_count++] = strtoul(optarg, NULL, 10);
        } else {
            exit(2);
        }
    }
    addresses = argv + optind;
    address_count = (size_t)(argc - optind);
    if (connections == 0 || connections > CONNECTIONS_MAX || address_count == 0) {
        die("usage: %s -c CONNECTIONS [-m MARK]... ADDRESS... <PLAN >RESULTS", argv[0]);
    }
    return connections;
}

int main(int argc, char **argv)
{
    unsigned long connections = parse_options(argc, argv);
    pthread_t threads[CONNECTIONS_MAX];
    read_plan();
    for (unsigned long i = 0; i < connections; i++) {
        if (pthread_create(&threads[i], NULL, run_connection, NULL) != 0) {
            die("can't start a thread");
        }
    }
    for (unsigned long i = 0; i < connections; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    for (size_t i = 0; i < sending_count; i++) {
        struct reply *reply = &sendings[i].reply;
        reply->text[strcspn(reply->text, "\n")] = '\0';
        (void)printf("%d\t%d\t%s\n", reply->status, sendings[i].tries, reply->text);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
