/*
 * A Holdfast server from a program of yours: opens accounts, pays once, however often it is run, and reads a balance.
 *
 *   client [URL...]            http://127.0.0.1:7070 by default; several: a server and its standby
 *
 * Run it twice: the second run changes nothing, for every change in it has a key. Kill the server under it: it goes
 * on when the server is back. Without meson: cc client.c $(pkg-config --cflags --libs holdfast-client)
 */
#include <stdio.h>
#include <stdlib.h>

#include <holdfast_client.h>

/* There is no answer: was anything done? */
static int failed(const char *what, const struct holdfast_client_failure *failure)
{
    (void)fprintf(stderr, "client: %s: %s\n", what, failure->text);
    if (failure->error == HOLDFAST_CLIENT_UNKNOWN) {
        (void)fprintf(stderr, "client: perhaps done; repeat it with the key %s\n", failure->key);
    }
    return 1;
}

/* There is one: accepted, or refused with a reason. Both are for ever. */
static int show(const char *what, struct holdfast_client_answer *answer)
{
    bool accepted = answer->status < 300;
    (void)printf("%s: %d %s%s%s%s\n", what, answer->status, answer->code,
                 answer->replayed ? " (again the recorded answer)" : "", accepted ? "" : ": ",
                 answer->detail);
    holdfast_client_answer_free(answer);
    return 0;
}

static int open_account(struct holdfast_client *client, const char *id, bool outside)
{
    struct holdfast_client_account account = {.id = id, .asset = "USD/2", .floor_none = outside};
    struct holdfast_client_failure failure;
    struct holdfast_client_answer *answer;
    if (holdfast_client_open_account(client, NULL, &account, &answer, &failure) !=
        HOLDFAST_CLIENT_OK) {
        return failed(id, &failure);
    }
    return show(id, answer);
}

static int pay(struct holdfast_client *client, const char *id, const char *from, const char *to,
               const char *amount)
{
    struct holdfast_client_call call = {.key = id};
    struct holdfast_client_transfer transfer = {
        .id = id, .from = from, .to = to, .asset = "USD/2", .amount = amount};
    struct holdfast_client_failure failure;
    struct holdfast_client_answer *answer;
    if (holdfast_client_transfer(client, &call, &transfer, &answer, &failure) !=
        HOLDFAST_CLIENT_OK) {
        return failed(id, &failure);
    }
    return show(id, answer);
}

static int balance(struct holdfast_client *client, const char *account)
{
    struct holdfast_client_failure failure;
    struct holdfast_client_answer *answer;
    char available[64];
    if (holdfast_client_read(client, NULL, "account", account, &answer, &failure) !=
        HOLDFAST_CLIENT_OK) {
        return failed(account, &failure);
    }
    if (holdfast_client_answer_text(answer, "/available", available, sizeof(available))) {
        (void)printf("%s has %s available at position %llu\n", account, available,
                     (unsigned long long)answer->position);
    }
    holdfast_client_answer_free(answer);
    return 0;
}

int main(int count, char **arguments)
{
    static const char *const usual[] = {"http://127.0.0.1:7070"};
    struct holdfast_client_options options = {
        .addresses = count > 1 ? (const char *const *)(arguments + 1) : usual,
        .address_count = count > 1 ? (size_t)count - 1 : 1,
        .token = getenv("HOLDFAST_TOKEN"),
        .ca_file = getenv("HOLDFAST_CA_FILE"),
    };
    struct holdfast_client_failure failure;
    struct holdfast_client *client;
    if (holdfast_client_new(&options, &client, &failure) != HOLDFAST_CLIENT_OK) {
        return failed("options", &failure);
    }
    int status = open_account(client, "world", true);
    status = status != 0 ? status : open_account(client, "users:42", false);
    status = status != 0 ? status : pay(client, "deposit-1", "world", "users:42", "10000");
    status = status != 0 ? status : pay(client, "order-7", "users:42", "world", "2500");
    status = status != 0 ? status : pay(client, "order-7", "users:42", "world", "2500");
    status = status != 0 ? status : pay(client, "order-8", "users:42", "world", "999999");
    status = status != 0 ? status : balance(client, "users:42");
    holdfast_client_free(client);
    return status;
}
