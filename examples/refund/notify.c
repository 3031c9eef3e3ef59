/*
 * The notification service: takes refunds from a queue, adds them up for each order, and tells three others
 * (mail, books, push) by a queue each. Several instances, each with several workers (P5 to P8).
 *
 * --mended: it can handle what it could not before (the fix is deployed).
 *
 * A message may say that the process which handles it dies, once, behind a certain step: that is how kills come between
 * every two steps. An audit says INIT or DONE for each refund.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "common/database.h"
#include "holdfast_client.h"
#include "refund/queue.h"

#define WORKERS       2    /* threads of an instance */
#define POLL_US       5000 /* naive: between looks at an empty queue */
#define PATH_BYTES    512
#define COMMIT_BYTES  8192
#define BATCH         "8"
#define RECEIPT_BYTES 256
#define POINTER_BYTES 64

static const char *const downstream[] = {"mail", "books", "push"};
#define DOWNSTREAM_COUNT (sizeof(downstream) / sizeof(downstream[0]))

/* Dies here if the message says so and nobody has died of it yet. */
static void step(const struct message *message, long long number, bool last)
{
    char path[PATH_BYTES];
    if (message->die == 0 || (last ? message->die < number : message->die != number)) {
        return;
    }
    (void)snprintf(path, sizeof(path), "%s/died-%s", service_settings()->deaths, message->id);
    int file = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    if (file >= 0) {
        (void)close(file);
        (void)raise(SIGKILL);
    }
}

static bool can_handle(const struct message *message)
{
    return message->poison == 0 || service_settings()->mended;
}

/* ---- naive: look, note, add, tell, note, delete ---- */

static void handle_naive(struct message *message)
{
    char state[8];
    step(message, 1, false);
    if (database_text(state, sizeof(state), "SELECT state FROM audit WHERE id = ?", "t",
                      message->id) &&
        state[0] == 'D') {
        queue_delete(message);
        return;
    }
    step(message, 2, false);
    if (!can_handle(message)) {
        if (message->receives >= RECEIVES_MAX) {
            (void)fprintf(stderr, "given up: %s\n", message->id);
            queue_delete(message);
        }
        return; /* it comes again when it is visible */
    }
    (void)database_number(&message->total, "SELECT total FROM totals WHERE order_key = ?", "t",
                          message->order);
    message->total += message->amount;
    (void)database_change("INSERT OR REPLACE INTO totals VALUES (?, ?)", "tn", message->order,
                          message->total);
    step(message, 3, false);
    for (size_t i = 0; i < DOWNSTREAM_COUNT; i++) {
        queue_send(downstream[i], message);
        step(message, 4 + (long long)i, false);
    }
    (void)database_change("UPDATE audit SET state = 'DONE' WHERE id = ?", "t", message->id);
    step(message, 4 + DOWNSTREAM_COUNT, true);
    queue_delete(message);
}

static void work_naive(void)
{
    struct message message;
    for (;;) {
        if (queue_receive("refunds", &message)) {
            handle_naive(&message);
        } else {
            (void)usleep(POLL_US);
        }
    }
}

/* ---- with Holdfast: look, and everything else is one commit ---- */

/* What was paid back of the order so far, and the version that says so; false: no answer. */
static bool read_total(const struct message *message, long long *total, uint64_t *version)
{
    char document[2 * PARAMETER_BYTES_MAX];
    uint64_t number = 0;
    struct holdfast_client_answer *answer;
    (void)snprintf(document, sizeof(document), "orders:%s", message->order);
    if (holdfast_client_document_get(service_holdfast(), NULL, document, 0, &answer, NULL) !=
        HOLDFAST_CLIENT_OK) {
        return false;
    }
    bool found = answer->status == 200;
    bool known = found || answer->status == 404;
    *version = found ? answer->version : 0;
    if (found) {
        (void)holdfast_client_answer_number(answer, "/total", &number);
    }
    *total = (long long)number;
    holdfast_client_answer_free(answer);
    return known;
}

static int publishes(const struct message *message, char *text, size_t size)
{
    int length = 0;
    for (size_t i = 0; i < DOWNSTREAM_COUNT; i++) {
        length += snprintf(text + length, size - (size_t)length,
                           "{\"op\":\"publish\",\"topic\":\"%s\",\"key\":\"%s\",\"id\":\"%s:%s\","
                           "\"type\":\"refund.told\",\"data\":{\"id\":\"%s\",\"order\":\"%s\","
                           "\"total\":%lld}},",
                           downstream[i], message->order, downstream[i], message->id, message->id,
                           message->order, message->total);
    }
    return length;
}

/* Effect, acknowledgement and what goes out: all of it if the message is still ours, or nothing. */
static void handle_holdfast(struct message *message, const char *receipt)
{
    char commit[COMMIT_BYTES];
    uint64_t version;
    struct holdfast_client_answer *decision;
    step(message, 1, false);
    if (!read_total(message, &message->total, &version)) {
        return; /* it comes again when its lease is over */
    }
    step(message, 2, false);
    message->total += message->amount;
    int length = snprintf(
        commit, sizeof(commit),
        "{\"if\":[{\"subscription\":\"notify\",\"receipt\":\"%s\"}],\"do\":["
        "{\"op\":\"put\",\"document\":\"orders:%s\",\"data\":{\"total\":%lld},\"expected_version\":"
        "%llu},{\"op\":\"put\",\"document\":\"refunds:%s\",\"data\":{\"state\":\"DONE\"}},",
        receipt, message->order, message->total, (unsigned long long)version, message->id);
    length += publishes(message, commit + length, sizeof(commit) - (size_t)length);
    length +=
        snprintf(commit + length, sizeof(commit) - (size_t)length,
                 "{\"op\":\"ack\",\"subscription\":\"notify\",\"receipt\":\"%s\"}]}", receipt);
    if (holdfast_client_commit(service_holdfast(), NULL, commit, (size_t)length, &decision, NULL) ==
        HOLDFAST_CLIENT_OK) {
        holdfast_client_answer_free(decision); /* 412: it is another's by now */
    }
    step(message, 3, true);
}

static void post(const char *path, const char *body, int length,
                 struct holdfast_client_answer **answer)
{
    struct holdfast_client_request request = {
        .method = "POST", .path = path, .body = body, .body_bytes = (size_t)length, .no_key = true};
    (void)holdfast_client_send(service_holdfast(), NULL, &request, answer, NULL);
}

static void give_back(const char *receipt)
{
    char body[2 * RECEIPT_BYTES];
    struct holdfast_client_answer *answer;
    int length =
        snprintf(body, sizeof(body), "{\"receipts\":[\"%s\"],\"error\":\"poison\"}", receipt);
    post("/v1/subscriptions/notify/nack", body, length, &answer);
    holdfast_client_answer_free(answer);
}

/* The message at an index of a receive's answer; false: there is none. */
static bool take_message(const struct holdfast_client_answer *answer, unsigned index,
                         struct message *message, char receipt[RECEIPT_BYTES])
{
    static const struct {
        const char *name;
        size_t at;
    } numbers[] = {{"amount", offsetof(struct message, amount)},
                   {"poison", offsetof(struct message, poison)},
                   {"die", offsetof(struct message, die)}};
    char pointer[POINTER_BYTES];
    *message = (struct message){0};
    (void)snprintf(pointer, sizeof(pointer), "/messages/%u/receipt", index);
    if (!holdfast_client_answer_text(answer, pointer, receipt, RECEIPT_BYTES)) {
        return false;
    }
    (void)snprintf(pointer, sizeof(pointer), "/messages/%u/event/data/id", index);
    (void)holdfast_client_answer_text(answer, pointer, message->id, sizeof(message->id));
    (void)snprintf(pointer, sizeof(pointer), "/messages/%u/event/data/order", index);
    (void)holdfast_client_answer_text(answer, pointer, message->order, sizeof(message->order));
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        uint64_t number = 0;
        (void)snprintf(pointer, sizeof(pointer), "/messages/%u/event/data/%s", index,
                       numbers[i].name);
        (void)holdfast_client_answer_number(answer, pointer, &number);
        *(long long *)(void *)((char *)message + numbers[i].at) = (long long)number;
    }
    return true;
}

static void work_holdfast(void)
{
    static const char body[] = "{\"max\":" BATCH ",\"wait_ms\":1000}";
    for (;;) {
        struct holdfast_client_answer *answer;
        struct message message;
        char receipt[RECEIPT_BYTES];
        post("/v1/subscriptions/notify/receive", body, (int)sizeof(body) - 1, &answer);
        for (unsigned i = 0; answer != NULL && take_message(answer, i, &message, receipt); i++) {
            can_handle(&message) ? handle_holdfast(&message, receipt) : give_back(receipt);
        }
        if (answer == NULL || answer->status != 200) {
            (void)usleep(POLL_US);
        }
        holdfast_client_answer_free(answer);
    }
}

static void *work(void *context)
{
    (void)context;
    service_settings()->naive ? work_naive() : work_holdfast();
    return NULL;
}

static void health(struct request *request)
{
    respond(request, 200, "alive");
}

/* Once the options are known. */
static void begin(void)
{
    for (int i = 0; i < WORKERS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, NULL) != 0) {
            die("can't start a thread");
        }
    }
}

int main(int argc, char **argv)
{
    static const struct route routes[] = {{"GET", "/health", health}};
    service_at_start(begin);
    return service_run(argc, argv, routes, 1);
}
