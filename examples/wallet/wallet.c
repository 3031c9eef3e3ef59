/*
 * A wallet for purchases: a list of transactions, the balance is their sum (P4). Several instances; the shop that
 * calls waits for a definite answer.
 *
 *   POST /purchase?id=I&wallet=W&amount=N      200 paid, 402 refused
 */
#include <stdio.h>

#include "common/database.h"
#include "common/service.h"
#include "holdfast_client.h"

/* Rows are only ever added; each statement is right by itself. */
static void purchase_naive(struct request *request, const char *id, const char *wallet,
                           long long amount)
{
    long long balance;
    (void)database_number(
        &balance, "SELECT COALESCE(-SUM(amount), 0) FROM ledger WHERE account = ?", "t", wallet);
    if (balance < amount) {
        respond(request, 402, "balance=%lld", balance);
        return;
    }
    (void)database_change("INSERT INTO ledger (id, account, amount) VALUES (?, ?, ?)", "ttn", id,
                          wallet, amount);
    respond(request, 200, "balance=%lld", balance - amount);
}

/* The list has an owner that knows its sum: the account with a floor of 0. */
static void purchase_holdfast(struct request *request, const char *id, const char *wallet,
                              long long amount)
{
    char digits[32];
    struct holdfast_client_answer *decision;
    (void)snprintf(digits, sizeof(digits), "%lld", amount);
    struct holdfast_client_transfer transfer = {
        .id = id, .from = wallet, .to = "world", .asset = "USD/2", .amount = digits};
    if (holdfast_client_transfer(service_holdfast(), NULL, &transfer, &decision, NULL) !=
        HOLDFAST_CLIENT_OK) {
        respond(request, 503, "unknown");
        return;
    }
    int status = decision->status;
    respond(request, status == 201 ? 200 : status == 422 ? 402 : 503, "%s", decision->code);
    holdfast_client_answer_free(decision);
}

static void purchase(struct request *request)
{
    const char *id = request_text(request, "id");
    const char *wallet = request_text(request, "wallet");
    long long amount = request_number(request, "amount");
    if (id[0] == '\0' || wallet[0] == '\0' || amount <= 0) {
        respond(request, 400, "id, wallet and amount are needed");
    } else if (service_settings()->naive) {
        purchase_naive(request, id, wallet, amount);
    } else {
        purchase_holdfast(request, id, wallet, amount);
    }
}

int main(int argc, char **argv)
{
    static const struct route routes[] = {{"POST", "/purchase", purchase}};
    return service_run(argc, argv, routes, 1);
}
