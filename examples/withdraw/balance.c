/*
 * Service B: what does a user have?
 *
 *   GET /balance?user=U     200 "available=1234 version=7 modified_at=2020-08-30T17:44:25.000000Z"
 */
#include "common/database.h"
#include "common/service.h"
#include "holdfast_client.h"

#define TEXT_BYTES 64

static void balance_naive(struct request *request, const char *user)
{
    char line[256];
    if (database_text(
            line, sizeof(line),
            "SELECT 'available=' || balance || ' version=' || version || ' modified_at=' || "
            "modified_at FROM accounts WHERE name = ?",
            "t", user)) {
        respond(request, 200, "%s", line);
    } else {
        respond(request, 404, "no such user");
    }
}

static void balance_holdfast(struct request *request, const char *user)
{
    struct holdfast_client_answer *account;
    char time[TEXT_BYTES], available[TEXT_BYTES], version[TEXT_BYTES];
    if (holdfast_client_read(service_holdfast(), NULL, "account", user, &account, NULL) !=
        HOLDFAST_CLIENT_OK) {
        respond(request, 503, "unknown");
    } else if (account->status == 200 &&
               holdfast_client_answer_text(account, "/available", available, TEXT_BYTES) &&
               holdfast_client_answer_text(account, "/version", version, TEXT_BYTES) &&
               holdfast_client_answer_text(account, "/modified_at", time, TEXT_BYTES)) {
        respond(request, 200, "available=%s version=%s modified_at=%s", available, version, time);
    } else {
        respond(request, 404, "%s", account->code);
    }
    holdfast_client_answer_free(account);
}

static void balance(struct request *request)
{
    const char *user = request_text(request, "user");
    service_settings()->naive ? balance_naive(request, user) : balance_holdfast(request, user);
}

int main(int argc, char **argv)
{
    static const struct route routes[] = {{"GET", "/balance", balance}};
    return service_run(argc, argv, routes, 1);
}
