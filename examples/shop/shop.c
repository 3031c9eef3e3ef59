/*
 * A shop sells what is in stock (P18). Several instances; each shows and decides by the stock that it knows.
 *
 *   POST /buy?id=I&item=X&units=N      200 sold, 402 sold out
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/database.h"
#include "common/service.h"
#include "holdfast_client.h"

#define ITEMS_MAX  64
#define NAME_BYTES 64
#define AGE_US_MAX 1000000 /* the copy is read again after a second */

struct copy {
    char item[NAME_BYTES]; /* "" in a free place */
    long long units;       /* in stock when it was read, less what this instance sold since */
    long long read_us;     /* when */
};

static struct copy copies[ITEMS_MAX];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of copies */

static long long now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The copy of an item, not older than a second. NULL: there is no such item. Under the mutex. */
static struct copy *copy_of(const char *item)
{
    size_t i = 0;
    while (i < ITEMS_MAX && copies[i].item[0] != '\0' && strcmp(copies[i].item, item) != 0) {
        i++;
    }
    if (i == ITEMS_MAX || strlen(item) >= NAME_BYTES) {
        return NULL;
    }
    struct copy *copy = &copies[i];
    long long now = now_us();
    if (copy->item[0] == '\0' || now - copy->read_us > AGE_US_MAX) {
        if (!database_number(&copy->units, "SELECT balance FROM accounts WHERE name = ?", "t",
                             item)) {
            return NULL;
        }
        (void)snprintf(copy->item, NAME_BYTES, "%s", item);
        copy->read_us = now;
    }
    return copy;
}

/* Takes the units off the copy if they are there. */
static bool reserve_in_copy(const char *item, long long units)
{
    (void)pthread_mutex_lock(&mutex);
    struct copy *copy = copy_of(item);
    bool enough = copy != NULL && copy->units >= units;
    if (enough) {
        copy->units -= units;
    }
    (void)pthread_mutex_unlock(&mutex);
    return enough;
}

/* The stock itself is changed by a statement that is right by itself. */
static void buy_naive(struct request *request, const char *id, const char *item, long long units)
{
    if (!reserve_in_copy(item, units)) {
        respond(request, 402, "sold out");
        return;
    }
    database_begin();
    (void)database_change("UPDATE accounts SET balance = balance - ? WHERE name = ?", "nt", units,
                          item);
    (void)database_change("INSERT INTO ledger (id, account, amount) VALUES (?, ?, ?)", "ttn", id,
                          item, units);
    database_commit();
    respond(request, 200, "sold");
}

/* Looking and reserving are one commit, by the stock's floor of 0; what was reserved is then taken. Both have the
 * buyer's id, so both happen once. */
static void buy_holdfast(struct request *request, const char *id, const char *item, long long units)
{
    char digits[32];
    struct holdfast_client_answer *answer;
    (void)snprintf(digits, sizeof(digits), "%lld", units);
    struct holdfast_client_hold hold = {
        .id = id, .from = item, .to = "sold", .asset = "UNIT/0", .amount = digits};
    if (holdfast_client_hold(service_holdfast(), NULL, &hold, &answer, NULL) !=
        HOLDFAST_CLIENT_OK) {
        respond(request, 503, "unknown");
        return;
    }
    int status = answer->status;
    holdfast_client_answer_free(answer);
    if (status == 201) { /* here the buyer pays */
        struct holdfast_client_call once = {.key = id};
        if (holdfast_client_capture(service_holdfast(), &once, id, NULL, true, &answer, NULL) !=
            HOLDFAST_CLIENT_OK) {
            respond(request, 503, "unknown");
            return;
        }
        status = answer->status;
        holdfast_client_answer_free(answer);
    }
    respond(request,
            status == 200 || status == 201 ? 200
            : status == 422                ? 402
                                           : 503,
            "%d", status);
}

static void buy(struct request *request)
{
    const char *id = request_text(request, "id");
    const char *item = request_text(request, "item");
    long long units = request_number(request, "units");
    if (id[0] == '\0' || item[0] == '\0' || units <= 0) {
        respond(request, 400, "id, item and units are needed");
    } else if (service_settings()->naive) {
        buy_naive(request, id, item, units);
    } else {
        buy_holdfast(request, id, item, units);
    }
}

int main(int argc, char **argv)
{
    static const struct route routes[] = {{"POST", "/buy", buy}};
    return service_run(argc, argv, routes, 1);
}
