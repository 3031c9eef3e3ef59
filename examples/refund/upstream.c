/*
 * Takes refunds in and hands them to the notification service by a queue (P5 to P8).
 *
 *   POST /refund?id=I&order=O&amount=N[&poison=1][&die=STEP]      once for each id: 200
 */
#include <stdio.h>

#include "common/database.h"
#include "holdfast_client.h"
#include "refund/queue.h"

#define COMMIT_BYTES (10 * PARAMETER_BYTES_MAX)

/* A row that says INIT, and a message: two writes. Who comes again finds the row. */
static void refund_naive(struct request *request, const struct message *message)
{
    if (database_change("INSERT OR IGNORE INTO audit VALUES (?, 'INIT')", "t", message->id) == 1) {
        queue_send("refunds", message);
    }
    respond(request, 200, "retries=0");
}

/* The message and the note that there is one are one commit; the message's id makes it happen once. */
static void refund_holdfast(struct request *request, const struct message *message)
{
    char commit[COMMIT_BYTES];
    struct holdfast_client_call call = {.key = message->id};
    struct holdfast_client_answer *decision;
    int length = snprintf(
        commit, sizeof(commit),
        "{\"do\":[{\"op\":\"put\",\"document\":\"refunds:%s\",\"data\":{\"state\":\"INIT\"}},"
        "{\"op\":\"publish\",\"topic\":\"refunds\",\"key\":\"%s\",\"id\":\"%s\",\"type\":\"refund."
        "made\",\"data\":{\"id\":\"%s\",\"order\":\"%s\",\"amount\":%lld,\"poison\":%lld,\"die\":"
        "%lld}}]}",
        message->id, message->order, message->id, message->id, message->order, message->amount,
        message->poison, message->die);
    if (holdfast_client_commit(service_holdfast(), &call, commit, (size_t)length, &decision,
                               NULL) != HOLDFAST_CLIENT_OK) {
        respond(request, 503, "unknown");
        return;
    }
    respond(request, decision->status == 201 ? 200 : 503, "retries=0 %s", decision->code);
    holdfast_client_answer_free(decision);
}

/* An optional number; 0 if it is absent. */
static long long option(struct request *request, const char *name)
{
    long long value = request_number(request, name);
    return value < 0 ? 0 : value;
}

static void refund(struct request *request)
{
    struct message message = {.amount = request_number(request, "amount"),
                              .poison = option(request, "poison"),
                              .die = option(request, "die")};
    (void)snprintf(message.id, sizeof(message.id), "%s", request_text(request, "id"));
    (void)snprintf(message.order, sizeof(message.order), "%s", request_text(request, "order"));
    if (message.id[0] == '\0' || message.order[0] == '\0' || message.amount <= 0) {
        respond(request, 400, "id, order and amount are needed");
    } else {
        service_settings()->naive ? refund_naive(request, &message)
                                  : refund_holdfast(request, &message);
    }
}

int main(int argc, char **argv)
{
    static const struct route routes[] = {{"POST", "/refund", refund}};
    return service_run(argc, argv, routes, 1);
}
