/*
 * A wallet whose instance thinks that it owns the account (P12). Requests for one wallet land on any
 * instance; the shop that calls waits for a definite answer.
 *
 *   POST /purchase?id=I&wallet=W&amount=N      200 paid, 402 refused
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/database.h"
#include "common/service.h"
#include "holdfast_client.h"

#define WALLETS_MAX 256
#define NAME_BYTES  64

struct owned {
    char wallet[NAME_BYTES]; /* "" in a free place */
    long long balance;       /* as this instance knows it */
};

static struct owned owned[WALLETS_MAX];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of owned */

/* The wallet in memory; read from the database when it is met first. NULL: there is none. */
static struct owned *own(const char *wallet)
{
    for (size_t i = 0; i < WALLETS_MAX; i++) {
        if (strcmp(owned[i].wallet, wallet) == 0) {
            return &owned[i];
        }
        if (owned[i].wallet[0] == '\0') {
            if (strlen(wallet) >= NAME_BYTES ||
                !database_number(&owned[i].balance, "SELECT balance FROM accounts WHERE name = ?",
                                 "t", wallet)) {
                return NULL;
            }
            (void)snprintf(owned[i].wallet, NAME_BYTES, "%s", wallet);
            return &owned[i];
        }
    }
    return NULL;
}

/* The owner needs no look at the database: it writes through, balance and ledger row in one transaction. */
static void purchase_naive(struct request *request, const char *id, const char *wallet,
                           long long amount)
{
    (void)pthread_mutex_lock(&mutex);
    struct owned *mine = own(wallet);
    if (mine == NULL) {
        respond(request, 404, "no such wallet");
    } else if (mine->balance < amount) {
        respond(request, 402, "balance=%lld", mine->balance);
    } else {
        mine->balance -= amount;
        database_begin();
        (void)database_change("UPDATE accounts SET balance = ? WHERE name = ?", "nt", mine->balance,
                              wallet);
        (void)database_change("INSERT INTO ledger (id, account, amount) VALUES (?, ?, ?)", "ttn",
                              id, wallet, amount);
        database_commit();
        respond(request, 200, "balance=%lld", mine->balance);
    }
    (void)pthread_mutex_unlock(&mutex);
}

/* Holdfast owns the account; any of its servers answers, and the one that owns the log decides. */
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
