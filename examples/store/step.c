#include "store/step.h"

#include <stdio.h>
#include <string.h>

#include "common/call.h"
#include "common/database.h"
#include "store/barrier.h"
#include "store/fault.h"

#define ANSWER_BYTES 128
#define PATIENCE_MS  1000 /* of the naive callers; as attempt_timeout_ms in store.json */

static struct fault_place place_of(const struct step *step, const struct work *work)
{
    return (struct fault_place){work->faults, work->order, step->name};
}

static void read_text(struct request *request, const char *name, char text[PARAMETER_BYTES_MAX + 1])
{
    (void)snprintf(text, PARAMETER_BYTES_MAX + 1, "%s", request_text(request, name));
}

bool step_read_query(struct request *request, struct work *work)
{
    *work = (struct work){.units = request_number(request, "units"),
                          .amount = request_number(request, "amount"),
                          .payment = request_number(request, "payment")};
    read_text(request, "order", work->order);
    read_text(request, "customer", work->customer);
    read_text(request, "item", work->item);
    read_text(request, "fault", work->faults);
    return work->order[0] != '\0' && work->units > 0 && work->amount > 0;
}

/* ---- naive ---- */

static int run_once(const struct step *step, struct work *work)
{
    struct fault_place place = place_of(step, work);
    int status = fault_at(&place, FAULT_BEFORE);
    if (status != 0) {
        return status;
    }
    database_begin();
    if (fault_refuses(&place) || !step->work(work)) {
        database_rollback();
        return 422;
    }
    (void)fault_at(&place, FAULT_BETWEEN);
    database_commit();
    status = fault_at(&place, FAULT_AFTER);
    return status == 0 ? 200 : status;
}

int step_run(const struct step *step, struct work *work)
{
    struct fault_place place = place_of(step, work);
    int status = run_once(step, work);
    return fault_repeats(&place) ? run_once(step, work) : status;
}

static void handle_naive(struct request *request, const struct step *step)
{
    struct work work;
    if (!step_read_query(request, &work)) {
        respond(request, 400, "order, units and amount are needed");
        return;
    }
    int status = step_run(step, &work);
    respond(request, status, "number=%lld", work.number);
}

/* ---- behind the barrier ---- */

/* A member of the body as a text; "" if it is not there. */
static void read_member(const char *body, const char *pointer, char text[PARAMETER_BYTES_MAX + 1])
{
    (void)database_text(text, PARAMETER_BYTES_MAX + 1, "SELECT coalesce(json_extract(?, ?), '')",
                        "tt", body, pointer);
}

static long long read_number(const char *body, const char *pointer)
{
    long long number;
    (void)database_number(&number, "SELECT CAST(json_extract(?, ?) AS INTEGER)", "tt", body,
                          pointer);
    return number;
}

static bool read_body(const char *body, struct work *work)
{
    long long good;
    *work = (struct work){0};
    if (!database_number(&good, "SELECT json_valid(?)", "t", body) || good == 0) {
        return false;
    }
    read_member(body, "$.order", work->order);
    read_member(body, "$.customer", work->customer);
    read_member(body, "$.item", work->item);
    read_member(body, "$.fault", work->faults);
    work->units = read_number(body, "$.units");
    work->amount = read_number(body, "$.amount");
    work->payment = read_number(body, "$.payment");
    return work->order[0] != '\0' && strchr(work->order, '/') == NULL;
}

/* The work, in the transaction that the barrier's row is in. Returns the status that is kept. */
static int do_work(const struct step *step, struct work *work, char answer[ANSWER_BYTES])
{
    struct fault_place place = place_of(step, work);
    (void)database_change("SAVEPOINT effect", "");
    if (fault_refuses(&place) || !step->work(work)) {
        (void)database_change("ROLLBACK TO effect", "");
        (void)snprintf(answer, ANSWER_BYTES, "{\"error\":\"%s\"}",
                       work->refusal == NULL ? "refused" : work->refusal);
        return 422;
    }
    (void)snprintf(answer, ANSWER_BYTES, "{\"number\":%lld}", work->number);
    return 200;
}

static int run_behind_barrier(const struct step *step, const struct barrier_call *call,
                              struct work *work, char answer[ANSWER_BYTES])
{
    struct fault_place place = place_of(step, work);
    int status = fault_at(&place, FAULT_BEFORE);
    if (status != 0) {
        return status;
    }
    status = 200;
    database_begin();
    enum barrier_says says =
        step->undo ? barrier_compensate(call) : barrier_action(call, &status, answer, ANSWER_BYTES);
    if (says == BARRIER_ERROR) {
        database_rollback();
        return 503;
    }
    if (says == BARRIER_DO) {
        status = do_work(step, work, answer);
        if (step->undo && status != 200) {
            database_rollback(); /* it is not done, and nothing may say that it was */
            return 503;
        }
        if (!step->undo) {
            barrier_keep(call, status, answer);
        }
    }
    (void)fault_at(&place, FAULT_BETWEEN);
    database_commit();
    int after = fault_at(&place, FAULT_AFTER);
    return after == 0 ? status : after;
}

static void handle_call(struct request *request, const struct step *step)
{
    const char *forget_after = request_header(request, "Saga-Forget-After");
    struct barrier_call call = {request_header(request, "Saga-Id"),
                                request_header(request, "Saga-Step"),
                                forget_after[0] == '\0' ? NULL : forget_after};
    bool undo = strcmp(request_header(request, "Saga-Op"), "compensate") == 0;
    char answer[ANSWER_BYTES] = "";
    struct work work;
    if (!barrier_is_call(&call) || undo != step->undo) {
        respond(request, 405, "%s is %s of a saga", step->name,
                step->undo ? "a compensation" : "an action");
        return;
    }
    if (!read_body(request_body(request), &work)) {
        respond(request, 400, "{\"error\":\"no JSON with an order\"}");
        return;
    }
    struct fault_place place = place_of(step, &work);
    int status = run_behind_barrier(step, &call, &work, answer);
    if (fault_repeats(&place)) {
        status = run_behind_barrier(step, &call, &work, answer);
    }
    respond(request, status, "%s", status == 200 || status == 422 ? answer : "");
}

void step_handle(struct request *request, const struct step *step)
{
    service_settings()->naive ? handle_naive(request, step) : handle_call(request, step);
}

int step_service(int argc, char **argv, const struct route *routes, size_t count)
{
    database_sync_each_commit();
    call_limit(PATIENCE_MS);
    return service_run(argc, argv, routes, count);
}
