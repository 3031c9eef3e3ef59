/*
 * Service C: takes money off a user's account.
 *
 *   POST /withdraw?id=I&user=U&amount=N     200, or 402 if Holdfast finds too little
 *     &version=V           naive: only if the account is still at this version, else 409
 *     &modified_at=T       holdfast: only if it was not changed since, else 409 with the account as it is
 *     &at_least=N          holdfast: only if so much is available
 *
 * The naive variant does what it is told: the check was A's. Money and ledger row are one transaction.
 */
#include <stdio.h>

#include "common/database.h"
#include "common/service.h"
#include "holdfast_client.h"

#define TEXT_BYTES 64
#define PART_BYTES (4 * PARAMETER_BYTES_MAX) /* of a commit */

struct withdrawal {
    const char *id, *user;
    long long amount;
};

static void withdraw_naive(struct request *request, const struct withdrawal *w)
{
    long long version = request_number(request, "version"); /* -1: any */
    database_begin();
    int changed = database_change(
        "UPDATE accounts SET balance = balance - ?1, version = version + 1, "
        "modified_at = strftime('%Y-%m-%dT%H:%M:%fZ') WHERE name = ?2 AND ?3 IN (-1, version)",
        "ntn", w->amount, w->user, version);
    if (changed == 1) {
        (void)database_change("INSERT INTO ledger (id, account, amount) VALUES (?, ?, ?)", "ttn",
                              w->id, w->user, w->amount);
    }
    database_commit();
    respond(request, changed == 1 ? 200 : 409, changed == 1 ? "done" : "changed meanwhile");
}

/* What must hold at the instant of the withdrawal, as JSON. */
static void conditions(struct request *request, const char *user, char *text, size_t size)
{
    const char *modified_at = request_text(request, "modified_at");
    long long at_least = request_number(request, "at_least");
    text[0] = '\0';
    if (modified_at[0] != '\0') {
        (void)snprintf(text, size, "{\"account\":\"%s\",\"modified_at\":\"%s\"}", user,
                       modified_at);
    } else if (at_least >= 0) {
        (void)snprintf(text, size, "{\"account\":\"%s\",\"available\":{\"gte\":\"%lld\"}}", user,
                       at_least);
    }
}

/* Check and effect are one commit. The id makes it happen once, whoever sends it again; the account's floor of 0
 * refuses what is not there. */
static void withdraw_holdfast(struct request *request, const struct withdrawal *w)
{
    char only_if[PART_BYTES], commit[2 * PART_BYTES], available[TEXT_BYTES], time[TEXT_BYTES];
    struct holdfast_client_call call = {.key = w->id};
    struct holdfast_client_answer *decision;
    conditions(request, w->user, only_if, sizeof(only_if));
    int length = snprintf(commit, sizeof(commit),
                          "{\"if\":[%s],\"do\":[{\"op\":\"transfer\",\"id\":\"%s\",\"from\":\"%s\","
                          "\"to\":\"world\",\"asset\":\"USD/2\",\"amount\":\"%lld\"}]}",
                          only_if, w->id, w->user, w->amount);
    if (holdfast_client_commit(service_holdfast(), &call, commit, (size_t)length, &decision,
                               NULL) != HOLDFAST_CLIENT_OK) {
        respond(request, 503, "unknown");
        return;
    }
    if (decision->status == 201) {
        respond(request, 200, "done");
    } else if (decision->status == 422) {
        respond(request, 402, "%s", decision->code);
    } else if (decision->status == 412 &&
               holdfast_client_answer_text(decision, "/current/available", available, TEXT_BYTES) &&
               holdfast_client_answer_text(decision, "/current/modified_at", time, TEXT_BYTES)) {
        /* The account as it is now: a retry needs no further read. */
        respond(request, 409, "available=%s modified_at=%s", available, time);
    } else {
        respond(request, 503, "%s", decision->code);
    }
    holdfast_client_answer_free(decision);
}

static void withdraw(struct request *request)
{
    struct withdrawal w = {.id = request_text(request, "id"),
                           .user = request_text(request, "user"),
                           .amount = request_number(request, "amount")};
    if (w.id[0] == '\0' || w.user[0] == '\0' || w.amount <= 0) {
        respond(request, 400, "id, user and amount are needed");
    } else if (service_settings()->naive) {
        withdraw_naive(request, &w);
    } else {
        withdraw_holdfast(request, &w);
    }
}

int main(int argc, char **argv)
{
    static const struct route routes[] = {{"POST", "/withdraw", withdraw}};
    return service_run(argc, argv, routes, 1);
}
