/*
 * The store's order service: takes orders in, and keeps their state.
 *
 *   POST /order?order=O&customer=C&item=I&units=N&amount=N[&fault=LIST]
 *       200 confirmed · 402 cancelled · 202 still in hand. Once for each order.
 *
 * Naive: it calls the others in a row; what fails is caught, and what was done before is undone. With Holdfast it starts a
 * saga and nothing else: the saga's steps come back to it.
 *
 *   POST /open     action: the order is there, pending      POST /cancel   its compensation
 *   POST /confirm  action, the pivot                        POST /reopen   its compensation
 */
#include <stdio.h>
#include <string.h>

#include "common/call.h"
#include "common/database.h"
#include "holdfast_client.h"
#include "store/fault.h"
#include "store/step.h"

#define SAGA_BYTES  (8 * PARAMETER_BYTES_MAX)
#define QUERY_BYTES (8 * PARAMETER_BYTES_MAX)
#define STATE_BYTES 16
#define WAIT_MS     5000

/* ---- steps ---- */

static bool insert(struct work *work)
{
    work->refusal = "there is such an order";
    return database_change("INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?, ?, 'pending')",
                           "tttnn", work->order, work->customer, work->item, work->units,
                           work->amount) == 1;
}

static bool set_cancelled(struct work *work)
{
    (void)database_change(
        "UPDATE orders SET state = 'cancelled' WHERE id = ? AND state = 'pending'", "t",
        work->order);
    return true;
}

static bool set_confirmed(struct work *work)
{
    work->refusal = "not pending";
    return database_change(
               "UPDATE orders SET state = 'confirmed' WHERE id = ? AND state = 'pending'", "t",
               work->order) == 1;
}

static bool set_pending(struct work *work)
{
    (void)database_change(
        "UPDATE orders SET state = 'pending' WHERE id = ? AND state = 'confirmed'", "t",
        work->order);
    return true;
}

static const struct step open_step = {.name = "open", .work = insert};
static const struct step cancel_step = {.name = "cancel", .undo = true, .work = set_cancelled};
static const struct step confirm_step = {.name = "confirm", .work = set_confirmed};
static const struct step reopen_step = {.name = "reopen", .undo = true, .work = set_pending};

/* ---- naive: one after the other, and back if something is thrown ---- */

static bool ask(const char *service, const char *step, const struct work *work, struct reply *reply)
{
    return call(reply, "POST",
                "%s/%s?order=%s&customer=%s&item=%s&units=%lld&amount=%lld&payment=%lld&fault=%s",
                service_peer(service), step, work->order, work->customer, work->item, work->units,
                work->amount, work->payment, work->faults) == 200;
}

/* Undoing is tried once; if it fails there is a line in the log. */
static void undo(const char *service, const char *step, const struct work *work)
{
    struct reply reply;
    if (!ask(service, step, work, &reply)) {
        (void)fprintf(stderr, "%s of %s failed: %d\n", step, work->order, reply.status);
    }
}

static bool buy(struct work *work, const struct fault_place *submit)
{
    struct reply reply;
    if (!ask("inventory", "reserve", work, &reply)) {
        return false;
    }
    (void)fault_at(submit, FAULT_BETWEEN);
    if (!ask("payment", "charge", work, &reply)) {
        undo("inventory", "release", work);
        return false;
    }
    work->payment = reply_number(&reply, "number");
    if (step_run(&confirm_step, work) != 200) {
        undo("payment", "refund", work);
        undo("inventory", "release", work);
        return false;
    }
    if (!ask("notification", "mail", work, &reply)) {
        (void)fprintf(stderr, "mail of %s failed: %d\n", work->order, reply.status);
    }
    return true;
}

static int order_naive(struct work *work, const struct fault_place *submit)
{
    char state[STATE_BYTES];
    if (database_text(state, sizeof(state), "SELECT state FROM orders WHERE id = ?", "t",
                      work->order)) {
        return strcmp(state, "confirmed") == 0 ? 200 : strcmp(state, "cancelled") == 0 ? 402 : 202;
    }
    if (step_run(&open_step, work) == 200 && buy(work, submit)) {
        return 200;
    }
    (void)step_run(&cancel_step, work);
    return 402;
}

/* ---- with Holdfast: the order is its saga; whoever sends it again gets the same one ---- */

static int order_holdfast(const struct work *work, const struct fault_place *submit)
{
    char path[2 * PARAMETER_BYTES_MAX];
    char body[SAGA_BYTES];
    char state[STATE_BYTES] = "";
    struct holdfast_client_answer *answer;
    int length =
        snprintf(body, sizeof(body),
                 "{\"definition\":\"store@1\",\"business_key\":\"%s\",\"input\":{\"order\":\"%s\","
                 "\"customer\":"
                 "\"%s\",\"item\":\"%s\",\"units\":%lld,\"amount\":%lld,\"fault\":\"%s\"}}",
                 work->order, work->order, work->customer, work->item, work->units, work->amount,
                 work->faults);
    (void)snprintf(path, sizeof(path), "/v1/sagas/%s?wait=%ds", work->order, WAIT_MS / 1000);
    struct holdfast_client_request request = {.method = "PUT",
                                              .path = path,
                                              .body = body,
                                              .body_bytes = (size_t)length,
                                              .no_key = true,
                                              .wait_ms = WAIT_MS};
    (void)fault_at(submit, FAULT_BETWEEN);
    if (holdfast_client_send(service_holdfast(), NULL, &request, &answer, NULL) !=
        HOLDFAST_CLIENT_OK) {
        return 503;
    }
    int status = answer->status;
    if (status == 200 || status == 201) {
        (void)holdfast_client_answer_text(answer, "/state", state, sizeof(state));
        status = strcmp(state, "succeeded") == 0     ? 200
                 : strcmp(state, "compensated") == 0 ? 402
                                                     : 202;
    }
    holdfast_client_answer_free(answer);
    return status;
}

static void order(struct request *request)
{
    struct work work;
    if (!step_read_query(request, &work) || work.customer[0] == '\0' || work.item[0] == '\0') {
        respond(request, 400, "order, customer, item, units and amount are needed");
        return;
    }
    struct fault_place submit = {work.faults, work.order, "submit"};
    (void)fault_at(&submit, FAULT_BEFORE);
    int status =
        service_settings()->naive ? order_naive(&work, &submit) : order_holdfast(&work, &submit);
    (void)fault_at(&submit, FAULT_AFTER);
    respond(request, status, "retries=0");
}

static void open_order(struct request *request)
{
    step_handle(request, &open_step);
}

static void cancel(struct request *request)
{
    step_handle(request, &cancel_step);
}

static void confirm(struct request *request)
{
    step_handle(request, &confirm_step);
}

static void reopen(struct request *request)
{
    step_handle(request, &reopen_step);
}

int main(int argc, char **argv)
{
    static const struct route routes[] = {{"POST", "/order", order},
                                          {"POST", "/open", open_order},
                                          {"POST", "/cancel", cancel},
                                          {"POST", "/confirm", confirm},
                                          {"POST", "/reopen", reopen}};
    return step_service(argc, argv, routes, sizeof(routes) / sizeof(routes[0]));
}
