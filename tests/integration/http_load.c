/*
 * holdfast-http-load [--other-first] ADDRESS [ADDRESS]
 *
 * 32 clients send requests of all kinds to the addresses (half of them begin with the other one). Commands on standard
 * input, a line each, with one line of answer on standard output ("WRONG …" before it if something is):
 *
 *   go      the clients run                         going
 *   pause   every request gets its answer           paused <requests answered> <of them sent more than once>
 *   check   (paused) everything again, and books    checked <answers the same again> <first answers that were replays>
 *   end     ends
 */
#include "integration/http_load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_bool running;
static atomic_bool wrong;
static atomic_uint_fast64_t repeated;      /* requests that needed more than one attempt */
static atomic_uint_fast64_t found_decided; /* of these: the attempt before had been decided */

static void *run_client(void *context)
{
    struct http_load_client *client = context;
    while (atomic_load(&running) && client->count < HTTP_LOAD_REQUESTS) {
        bool replayed = false;
        struct http_load_answer *answer = &client->answers[client->count];
        if (!http_load_send(client, client->count, answer, &replayed)) {
            atomic_store(&wrong, true);
            return NULL;
        }
        client->count++;
        repeated += answer->attempts > 1;
        found_decided += replayed;
    }
    return NULL;
}

static bool start(struct http_load_client *clients)
{
    atomic_store(&running, true);
    for (unsigned i = 0; i < HTTP_LOAD_CLIENTS; i++) {
        if (pthread_create(&clients[i].thread, NULL, run_client, &clients[i]) != 0) {
            abort();
        }
    }
    puts("going");
    return true;
}

static bool pause_clients(struct http_load_client *clients)
{
    uint64_t count = 0;
    atomic_store(&running, false);
    for (unsigned i = 0; i < HTTP_LOAD_CLIENTS; i++) {
        (void)pthread_join(clients[i].thread, NULL);
        count += clients[i].count;
    }
    printf("paused %" PRIu64 " %" PRIu64 "\n", count, (uint64_t)atomic_load(&repeated));
    return !atomic_load(&wrong);
}

static bool check(struct http_load_client *clients)
{
    uint64_t same = 0;
    bool good = http_load_check(clients, &same);
    printf("checked %" PRIu64 " %" PRIu64 "\n", same, (uint64_t)atomic_load(&found_decided));
    return good;
}

static struct holdfast_client *connect_to(char **addresses, size_t count, bool other_first)
{
    const char *list[2] = {addresses[0], count > 1 ? addresses[1] : NULL};
    if (other_first && count > 1) {
        list[0] = addresses[1];
        list[1] = addresses[0];
    }
    struct holdfast_client_options options = {
        .addresses = list,
        .address_count = count,
        .total_timeout_ms = 120000,
        .request_timeout_ms = 30000,
        .backoff_max_ms = 50,
    };
    struct holdfast_client *http = NULL;
    struct holdfast_client_failure failure;
    if (holdfast_client_new(&options, &http, &failure) != HOLDFAST_CLIENT_OK) {
        fprintf(stderr, "%s\n", failure.text);
        exit(2);
    }
    return http;
}

static bool obey(const char *line, struct http_load_client *clients)
{
    if (strcmp(line, "go\n") == 0) {
        return start(clients);
    }
    if (strcmp(line, "pause\n") == 0) {
        return pause_clients(clients);
    }
    if (strcmp(line, "check\n") == 0) {
        return check(clients);
    }
    printf("WRONG command %s", line);
    return false;
}

int main(int argc, char **argv)
{
    static struct http_load_client clients[HTTP_LOAD_CLIENTS];
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: holdfast-http-load ADDRESS [ADDRESS]\n");
        return 2;
    }
    for (unsigned i = 0; i < HTTP_LOAD_CLIENTS; i++) {
        clients[i].number = i;
        clients[i].http = connect_to(argv + 1, (size_t)argc - 1, i % 2 == 1);
        clients[i].answers = calloc(HTTP_LOAD_REQUESTS, sizeof(*clients[i].answers));
        if (clients[i].answers == NULL) {
            return 2;
        }
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    bool good = http_load_open(clients[0].http);
    puts("ready");
    char line[64];
    while (good && fgets(line, sizeof(line), stdin) != NULL && strcmp(line, "end\n") != 0) {
        good = obey(line, clients);
    }
    for (unsigned i = 0; i < HTTP_LOAD_CLIENTS; i++) {
        holdfast_client_free(clients[i].http);
        free(clients[i].answers);
    }
    return good ? 0 : 1;
}
