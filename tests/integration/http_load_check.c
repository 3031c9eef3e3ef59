/* Everything again, and the books. */
#include "integration/http_load.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SAMPLE_EVERY 97 /* of what an earlier check has compared */

/* ---- every answer again ---- */

static bool ask_again(struct http_load_client *client, uint64_t n)
{
    struct http_load_answer again = {0};
    const struct http_load_answer *first = &client->answers[n];
    bool replayed = false;
    if (!http_load_send(client, n, &again, &replayed)) {
        return false;
    }
    if (!replayed || again.status != first->status || again.position != first->position ||
        again.text_hash != first->text_hash) {
        printf("WRONG client %u, request %" PRIu64 ": %d at %" PRIu64 " was answered, now %s%d at "
               "%" PRIu64 "%s\n",
               client->number, n, first->status, first->position, replayed ? "" : "anew ",
               again.status, again.position,
               again.text_hash == first->text_hash ? "" : ", with another text");
        return false;
    }
    return true;
}

struct asking {
    struct http_load_client *client;
    uint64_t same;
    bool good;
};

static void *ask_all(void *context)
{
    struct asking *asking = context;
    struct http_load_client *client = asking->client;
    for (uint64_t n = 0; n < client->count && asking->good; n++) {
        if (n >= client->checked || (n + client->number) % SAMPLE_EVERY == 0) {
            asking->good = ask_again(client, n);
            asking->same += asking->good;
        }
    }
    client->checked = client->count;
    return NULL;
}

/* ---- books ---- */

struct books {
    uint64_t moved;   /* from world to shop, posted */
    uint64_t pending; /* the same, held */
};

/* What the requests of kind k among the first `count` come to. */
static uint64_t rounds_of(uint64_t count, enum http_load_kind kind)
{
    return count / HTTP_LOAD_KINDS + (count % HTTP_LOAD_KINDS > (uint64_t)kind ? 1 : 0);
}

static void add_books(const struct http_load_client *client, struct books *books)
{
    uint64_t n = client->count;
    uint64_t captured = rounds_of(n, HTTP_LOAD_CAPTURE);
    books->moved += 7 * rounds_of(n, HTTP_LOAD_TRANSFER) + 3 * rounds_of(n, HTTP_LOAD_MANY) +
                    3 * captured + 2 * rounds_of(n, HTTP_LOAD_NAMELESS) -
                    4 * rounds_of(n, HTTP_LOAD_REVERSE);
    books->pending += 5 * (rounds_of(n, HTTP_LOAD_HOLD) - captured);
}

/* A GET with status 200. */
static struct holdfast_client_answer *read_path(struct holdfast_client *http, const char *path)
{
    struct holdfast_client_request request = {.method = "GET", .path = path};
    struct holdfast_client_answer *answer = NULL;
    struct holdfast_client_failure failure;
    if (holdfast_client_send(http, NULL, &request, &answer, &failure) != HOLDFAST_CLIENT_OK) {
        printf("WRONG GET %s: %s\n", path, failure.text);
        return NULL;
    }
    if (answer->status != 200) {
        printf("WRONG GET %s: %d %s\n", path, answer->status, answer->body);
        holdfast_client_answer_free(answer);
        return NULL;
    }
    return answer;
}

static bool text_is(struct holdfast_client_answer *answer, const char *pointer, const char *wanted)
{
    char text[64];
    if (holdfast_client_answer_text(answer, pointer, text, sizeof(text)) &&
        strcmp(text, wanted) == 0) {
        return true;
    }
    printf("WRONG books: %s is %s, not %s, in %s\n", pointer, text, wanted, answer->body);
    return false;
}

static bool check_account(struct holdfast_client *http, const char *path, const char *posted,
                          const char *debits_pending, const char *credits_pending)
{
    struct holdfast_client_answer *answer = read_path(http, path);
    if (answer == NULL) {
        return false;
    }
    bool good = text_is(answer, "/posted", posted) &&
                text_is(answer, "/debits_pending", debits_pending) &&
                text_is(answer, "/credits_pending", credits_pending);
    holdfast_client_answer_free(answer);
    return good;
}

/* The stream has two events a round, the document two changes: both by the same commits or neither. */
static bool check_things(const struct http_load_client *client)
{
    char path[64];
    char wanted[32];
    uint64_t n = client->count;
    uint64_t pairs = rounds_of(n, HTTP_LOAD_PAIR);
    if (pairs == 0) {
        return true;
    }
    (void)snprintf(path, sizeof(path), "/v1/documents/d:%u", client->number);
    struct holdfast_client_answer *answer = read_path(client->http, path);
    uint64_t document = pairs + rounds_of(n, HTTP_LOAD_DOCUMENT);
    bool good = answer != NULL && answer->version == document;
    if (answer != NULL && !good) {
        printf("WRONG document d:%u: version %" PRIu64 ", not %" PRIu64 "\n", client->number,
               answer->version, document);
    }
    holdfast_client_answer_free(answer);
    (void)snprintf(path, sizeof(path), "/v1/streams?prefix=s:%u&limit=1", client->number);
    answer = good ? read_path(client->http, path) : NULL;
    (void)snprintf(wanted, sizeof(wanted), "%" PRIu64, pairs + rounds_of(n, HTTP_LOAD_CONDITION));
    good = answer != NULL && text_is(answer, "/data/0/version", wanted);
    holdfast_client_answer_free(answer);
    return good;
}

bool http_load_check(struct http_load_client *clients, uint64_t *same)
{
    struct asking asking[HTTP_LOAD_CLIENTS];
    struct books books = {0};
    bool good = true;
    for (unsigned i = 0; i < HTTP_LOAD_CLIENTS; i++) {
        asking[i] = (struct asking){.client = &clients[i], .good = true};
        if (pthread_create(&clients[i].thread, NULL, ask_all, &asking[i]) != 0) {
            return false;
        }
    }
    for (unsigned i = 0; i < HTTP_LOAD_CLIENTS; i++) {
        (void)pthread_join(clients[i].thread, NULL);
        good = good && asking[i].good;
        *same += asking[i].same;
        add_books(&clients[i], &books);
    }
    char moved[32];
    char minus[40];
    char pending[32];
    (void)snprintf(moved, sizeof(moved), "%" PRIu64, books.moved);
    (void)snprintf(minus, sizeof(minus), "%s%" PRIu64, books.moved > 0 ? "-" : "", books.moved);
    (void)snprintf(pending, sizeof(pending), "%" PRIu64, books.pending);
    struct holdfast_client *http = clients[0].http;
    good = good && check_account(http, "/v1/accounts/world", minus, pending, "0") &&
           check_account(http, "/v1/accounts/shop", moved, "0", pending) &&
           check_account(http, "/v1/accounts/poor", "0", "0", "0");
    for (unsigned i = 0; i < HTTP_LOAD_CLIENTS && good; i++) {
        good = check_things(&clients[i]);
    }
    return good;
}
