/*
 * Many payments a second from a program with many threads: they pay one by one, the batcher sends them together.
 *
 *   batch [URL...]             http://127.0.0.1:7070 by default; several: a server and its standby
 *
 * Each payment has its id before it is sent, so it may be sent again after any error, and happens once. Here the ids are told by
 * the payments' numbers: run it twice, and the second run changes nothing. A shop keeps the id with its order.
 * Without meson: cc batch.c $(pkg-config --cflags --libs holdfast-client) -lpthread
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <holdfast_client_packed.h>

#define THREADS  8
#define PAYMENTS 500 /* of each thread */

static struct holdfast_client_batcher *batcher;
static atomic_uint paid, refused, failed;

static void *pay(void *context)
{
    unsigned thread = *(const unsigned *)context;
    for (unsigned n = 0; n < PAYMENTS; n++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "payment:%u.%u", thread, n);
        struct holdfast_client_packed_transfer transfer = {
            .id = holdfast_client_id_of(name),
            .from = holdfast_client_id_of(n % 100 == 99 ? "batch:poor" : "batch:world"),
            .to = holdfast_client_id_of("batch:shop"),
            .asset = "USD/2",
            .amount = 5,
        };
        struct holdfast_client_record record;
        struct holdfast_client_outcome outcome;
        struct holdfast_client_failure failure;
        (void)holdfast_client_pack_transfer(&transfer, &record); /* the id is not zero */
        if (holdfast_client_batcher_transfer(batcher, &record, &outcome, &failure) !=
            HOLDFAST_CLIENT_OK) {
            (void)fprintf(stderr, "batch: %s: %s\n", name,
                          failure.text); /* the same record again, later */
            atomic_fetch_add(&failed, 1);
        } else if (outcome.code == 0) {
            atomic_fetch_add(&paid, 1);
        } else {
            atomic_fetch_add(&refused,
                             1); /* for ever; holdfast_client_code_text(outcome.code) says why */
        }
    }
    return NULL;
}

static int open_accounts(struct holdfast_client *client)
{
    static const char *const names[] = {"batch:world", "batch:shop", "batch:poor"};
    struct holdfast_client_failure failure;
    for (unsigned i = 0; i < 3; i++) {
        struct holdfast_client_account account = {
            .id = names[i], .asset = "USD/2", .floor_none = i == 0};
        struct holdfast_client_answer *answer;
        if (holdfast_client_open_account(client, NULL, &account, &answer, &failure) !=
            HOLDFAST_CLIENT_OK) {
            (void)fprintf(stderr, "batch: %s\n", failure.text);
            return 1;
        }
        holdfast_client_answer_free(answer);
    }
    return 0;
}

static void pay_all(void)
{
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        if (pthread_create(&threads[i], NULL, pay, &numbers[i]) != 0) {
            abort();
        }
    }
    for (unsigned i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
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
    struct holdfast_client_batcher_options usual_batches = {0};
    struct holdfast_client_failure failure;
    struct holdfast_client *client;
    if (holdfast_client_new(&options, &client, &failure) != HOLDFAST_CLIENT_OK ||
        holdfast_client_batcher_new(client, &usual_batches, &batcher, &failure) !=
            HOLDFAST_CLIENT_OK) {
        (void)fprintf(stderr, "batch: %s\n", failure.text);
        return 1;
    }
    int status = open_accounts(client);
    if (status == 0) {
        pay_all();
        (void)printf("%u paid, %u refused, %u without an answer\n", atomic_load(&paid),
                     atomic_load(&refused), atomic_load(&failed));
        status = atomic_load(&failed) > 0;
    }
    holdfast_client_batcher_free(batcher);
    holdfast_client_free(client);
    return status;
}
