/* The participants: they take calls well or badly, and keep a ledger of what they did. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "sim/saga_sim.h"
#include "sim/sim_memory.h"

#define WAY_US_MAX      3000u    /* of a call to its participant, or back */
#define SLOW_US_MAX     90000u   /* of an answer that takes its time */
#define LATE_US_MAX     5000000u /* how much later lost calls still arrive */
#define CALLBACK_US_MAX 500000u

struct saga_party {
    struct hf_caller caller;
    struct saga_sim *sim;
    struct run_house *house;
    struct hf_outside *outside; /* the process that calls */
};

/* A call on its way, in the run's arena. */
struct visit {
    struct saga_party *party;
    struct hf_call *call; /* NULL: nobody waits for the answer any more */
    size_t contact;       /* number */
    uint32_t saga, step;
    enum hf_saga_op op;
    bool poll;
    enum saga_manner manner;
    char token[33]; /* Saga-Callback-Token, or empty */
    /* the answer */
    enum hf_call_error error;
    uint16_t status;
    const char *word;
    const char *body;
    char location[96];
};

/* ---- who is meant ---- */

static struct hf_str header_of(const struct hf_call *call, const char *name)
{
    for (size_t i = 0; i < call->header_count; i++) {
        if (hf_str_equal(call->headers[i].name, hf_str_from(name))) {
            return call->headers[i].value;
        }
    }
    return (struct hf_str){0};
}

/* "<saga>/<step>/<op>" */
static void parse_who(struct saga_sim *sim, struct hf_str who, struct visit *visit)
{
    char text[96];
    char saga[32];
    char step[16];
    char op[16];
    HF_CHECK(who.len < sizeof(text));
    memcpy(text, who.ptr, who.len);
    text[who.len] = '\0';
    HF_CHECK(sscanf(text, "%31[^/]/%15[^/]/%15s", saga, step, op) == 3);
    visit->saga = sim->saga_count;
    for (uint32_t i = 0; i < sim->saga_count; i++) {
        if (strcmp(sim->sagas[i].id, saga) == 0) {
            visit->saga = i;
        }
    }
    HF_CHECK(visit->saga < sim->saga_count);
    const struct saga_plan *plan = sim->sagas[visit->saga].plan;
    visit->step = plan->step_count;
    for (uint32_t i = 0; i < plan->step_count; i++) {
        if (strcmp(plan->steps[i].name, step) == 0) {
            visit->step = i;
        }
    }
    HF_CHECK(visit->step < plan->step_count);
    visit->op = strcmp(op, "action") == 0 ? HF_SAGA_ACTION : HF_SAGA_COMPENSATION;
    HF_CHECK(visit->op == HF_SAGA_ACTION || strcmp(op, "compensate") == 0);
}

/* ---- the barrier ---- */

enum word {
    DONE,
    REFUSED,
    GONE,
};

static struct saga_row *row_of(const struct visit *visit)
{
    return &visit->party->sim->sagas[visit->saga].rows[visit->step];
}

/* The action as the barrier lets it happen; refuses: the business says no. */
static enum word act(struct saga_report *report, struct saga_row *row, bool refuses)
{
    report->repeated += row->action != SAGA_ROW_NONE;
    switch (row->action) {
    case SAGA_ROW_NONE:
        row->action = refuses ? SAGA_ROW_FAILED : SAGA_ROW_DONE;
        row->done += !refuses;
        return refuses ? REFUSED : DONE;
    case SAGA_ROW_DONE:
        return DONE;
    case SAGA_ROW_FAILED:
        return REFUSED;
    case SAGA_ROW_BY_COMPENSATE:
        break;
    }
    report->barred++;
    return GONE;
}

static enum word undo(struct saga_report *report, struct saga_row *row)
{
    report->repeated += row->compensated;
    if (row->action == SAGA_ROW_NONE) {
        row->action = SAGA_ROW_BY_COMPENSATE;
    }
    row->undone += row->action == SAGA_ROW_DONE && !row->compensated;
    row->compensated = true;
    return DONE;
}

static enum word work(const struct visit *visit, bool refuses)
{
    struct saga_report *report = visit->party->sim->report;
    return visit->op == HF_SAGA_ACTION ? act(report, row_of(visit), refuses)
           : refuses                   ? REFUSED
                                       : undo(report, row_of(visit));
}

/* ---- answers ---- */

static void reply_event(void *context)
{
    struct visit *visit = context;
    struct hf_call *call = visit->call;
    struct saga_contact *contact = &visit->party->sim->contacts[visit->contact];
    if (call == NULL) {
        return;
    }
    visit->call = NULL;
    contact->told = true;
    contact->error = visit->error;
    contact->status = visit->status;
    contact->word = visit->word;
    call->own = NULL;
    call->error = visit->error;
    call->status = visit->status;
    call->saga_outcome = visit->word == NULL ? (struct hf_str){0} : hf_str_from(visit->word);
    call->location = visit->location[0] == '\0' ? (struct hf_str){0} : hf_str_from(visit->location);
    call->retry_after_ms = visit->status == 503 ? 20 : 0;
    call->answer_type = HF_STR("application/json");
    call->answer = hf_str_from(visit->body == NULL ? "" : visit->body);
    call->duration_ms = 1;
    (void)snprintf(call->error_text, sizeof(call->error_text), "%s",
                   visit->error == HF_CALL_COMPLETE ? "" : "the simulated network");
    call->done(call);
    saga_house_wake(visit->party->house);
}

static void reply(struct visit *visit, uint64_t delay_us)
{
    struct saga_party *party = visit->party;
    if (visit->call != NULL) {
        hf_world_after(party->sim->run->world, party->outside, delay_us, reply_event, visit);
    }
}

static void answer(struct visit *visit, uint16_t status, const char *word, const char *body)
{
    visit->error = HF_CALL_COMPLETE;
    visit->status = status;
    visit->word = word;
    visit->body = body;
    struct saga_sim *sim = visit->party->sim;
    reply(visit, saga_between(sim, 20, saga_percent(sim, 15) ? SLOW_US_MAX : WAY_US_MAX));
}

static void fail(struct visit *visit, enum hf_call_error error, uint64_t delay_us)
{
    visit->error = error;
    reply(visit, delay_us);
}

static void time_out(struct visit *visit)
{
    bool cut = saga_percent(visit->party->sim, 30);
    fail(visit, cut ? HF_CALL_CUT_OFF : HF_CALL_TIMED_OUT,
         visit->call == NULL || cut ? 1000 : visit->call->timeout_ms * UINT64_C(1000));
}

static uint16_t one_of(struct saga_sim *sim, const uint16_t *statuses, size_t count)
{
    return statuses[saga_below(sim, count)];
}

/* As the barrier says: 200, a business failure, or 410. */
static void answer_word(struct visit *visit, enum word word)
{
    static const uint16_t refusals[] = {400, 402, 406, 413, 415, 422, 424, 451};
    struct saga_sim *sim = visit->party->sim;
    bool dtm = sim->sagas[visit->saga].plan->dtm;
    if (word == DONE) {
        answer(visit, visit->manner == SAGA_MANNER_EMPTY && !dtm ? 204 : 200, NULL,
               visit->manner == SAGA_MANNER_EMPTY ? NULL : "{\"ok\":true,\"n\":17}");
    } else if (dtm) {
        answer(visit, 409, NULL, "{\"ok\":false}");
    } else {
        answer(visit, word == GONE ? 410 : one_of(sim, refusals, HF_ARRAY_COUNT(refusals)), NULL,
               "{\"ok\":false}");
    }
}

/* ---- manners ---- */

static void again_event(void *context)
{
    struct visit *visit = context;
    (void)work(visit, false);
}

static void again_later(struct visit *visit)
{
    struct saga_sim *sim = visit->party->sim;
    struct visit *copy = hf_arena_alloc_zero(&sim->run->arena, 1, sizeof(*copy));
    HF_CHECK(copy != NULL);
    *copy = *visit;
    copy->call = NULL;
    hf_world_after(sim->run->world, NULL, saga_between(sim, 1, LATE_US_MAX), again_event, copy);
}

static void callback_event(void *context)
{
    struct visit *visit = context;
    struct saga_sim *sim = visit->party->sim;
    row_of(visit)->working[visit->op] = false;
    bool refuses = !sim->healthy && visit->op == HF_SAGA_ACTION && saga_percent(sim, 15);
    enum word word = work(visit, refuses);
    saga_client_call_back(sim, visit->saga, visit->step, visit->op, word == DONE);
}

static void accept_call(struct visit *visit)
{
    struct saga_sim *sim = visit->party->sim;
    struct saga_row *row = row_of(visit);
    const struct saga_plan_step *own = &sim->sagas[visit->saga].plan->steps[visit->step];
    if (own->async && !own->poll && visit->token[0] != '\0') {
        memcpy(row->token[visit->op], visit->token, sizeof(row->token[visit->op]));
        if (!row->working[visit->op]) {
            row->working[visit->op] = true;
            struct visit *copy = hf_arena_alloc_zero(&sim->run->arena, 1, sizeof(*copy));
            HF_CHECK(copy != NULL);
            *copy = *visit;
            copy->call = NULL;
            hf_world_after(sim->run->world, NULL, saga_between(sim, 1, CALLBACK_US_MAX),
                           callback_event, copy);
        }
        answer(visit, 202, NULL, NULL);
        return;
    }
    const struct sim_saga *saga = &sim->sagas[visit->saga];
    (void)snprintf(visit->location, sizeof(visit->location), "http://p%u.test/poll/%s/%s/%s",
                   saga->plan->steps[visit->step].target, saga->id,
                   saga->plan->steps[visit->step].name,
                   visit->op == HF_SAGA_ACTION ? "action" : "compensate");
    answer(visit, 202, NULL, NULL);
}

static void take_poll(struct visit *visit)
{
    struct saga_sim *sim = visit->party->sim;
    if (!sim->healthy && saga_percent(sim, 30)) {
        answer(visit, 202, NULL, NULL);
    } else if (!sim->healthy && saga_percent(sim, 10)) {
        answer(visit, 500, NULL, NULL);
    } else {
        bool refuses = !sim->healthy && visit->op == HF_SAGA_ACTION && saga_percent(sim, 10);
        answer_word(visit, work(visit, refuses));
    }
}

/* The call has come. */
static void arrive(void *context)
{
    struct visit *visit = context;
    struct saga_sim *sim = visit->party->sim;
    struct saga_row *row = row_of(visit);
    if (visit->poll) {
        take_poll(visit);
        return;
    }
    if (row->strange && row->action == SAGA_ROW_DONE && visit->op == HF_SAGA_ACTION &&
        !sim->healthy) {
        answer_word(visit, REFUSED);
        return;
    }
    switch (visit->manner) {
    case SAGA_MANNER_WELL:
    case SAGA_MANNER_EMPTY:
        answer_word(visit, work(visit, false));
        return;
    case SAGA_MANNER_WORD_SUCCESS:
        if (work(visit, false) == DONE) {
            answer(visit, 500, "success", "{\"ok\":1}");
        } else {
            answer_word(visit, REFUSED);
        }
        return;
    case SAGA_MANNER_WORD_FAIL:
        if (work(visit, true) == REFUSED) {
            answer(visit, 200, "fail", "{\"ok\":0}");
        } else {
            answer_word(visit, visit->op == HF_SAGA_ACTION ? work(visit, true) : REFUSED);
        }
        return;
    case SAGA_MANNER_WORD_RETRY:
        answer(visit, 200, "retry", NULL);
        return;
    case SAGA_MANNER_WORD_PENDING:
    case SAGA_MANNER_ACCEPTED:
    case SAGA_MANNER_ACCEPTED_POLL:
        accept_call(visit);
        if (visit->manner == SAGA_MANNER_WORD_PENDING) {
            visit->word = "pending";
            visit->status = 200;
        }
        return;
    case SAGA_MANNER_WORD_PARK:
        answer(visit, 200, "park", NULL);
        return;
    case SAGA_MANNER_FAIL:
        answer_word(visit, work(visit, true));
        return;
    case SAGA_MANNER_ERROR:
        answer(visit, 500, NULL, "oops");
        return;
    case SAGA_MANNER_ERROR_DONE:
        (void)work(visit, false);
        answer(visit, 502, NULL, NULL);
        return;
    case SAGA_MANNER_BUSY:
        answer(visit, 503, NULL, NULL);
        return;
    case SAGA_MANNER_THROTTLED:
        answer(visit, 429, NULL, NULL);
        return;
    case SAGA_MANNER_LOST:
        time_out(visit);
        return;
    case SAGA_MANNER_AGAIN:
        row->strange = visit->op == HF_SAGA_ACTION;
        (void)work(visit, false);
        time_out(visit);
        return;
    case SAGA_MANNER_LOST_ANSWER:
        (void)work(visit, false);
        time_out(visit);
        return;
    case SAGA_MANNER_LATE:
        again_later(visit);
        time_out(visit);
        return;
    case SAGA_MANNER_DOUBLE:
        again_later(visit);
        answer_word(visit, work(visit, false));
        return;
    case SAGA_MANNER_WORKING:
        answer(visit, 425, NULL, NULL);
        return;
    case SAGA_MANNER_CONFLICT: {
        static const uint16_t conflicts[] = {409, 412, 423};
        bool dtm = sim->sagas[visit->saga].plan->dtm;
        answer(visit, dtm ? 412 : one_of(sim, conflicts, HF_ARRAY_COUNT(conflicts)), NULL, NULL);
        return;
    }
    case SAGA_MANNER_UNAUTHORIZED:
        answer(visit, 401, NULL, NULL);
        return;
    case SAGA_MANNER_MISSING:
        answer(visit, saga_percent(sim, 50) ? 404 : 501, NULL, NULL);
        return;
    case SAGA_MANNER_REDIRECT:
        answer(visit, 302, NULL, NULL);
        return;
    case SAGA_MANNER_ODD:
        answer(visit, 418, NULL, NULL);
        return;
    case SAGA_MANNER_NO_CONNECTION:
        fail(visit, HF_CALL_NOT_CONNECTED, 100);
        return;
    case SAGA_MANNER_TOO_LARGE:
        (void)work(visit, false);
        fail(visit, HF_CALL_TOO_LARGE, 2000);
        return;
    case SAGA_MANNER_COUNT:
        break;
    }
    HF_CHECK(false);
}

static enum saga_manner draw_manner(struct saga_sim *sim, const struct visit *visit)
{
    if (sim->healthy || saga_percent(sim, 55)) {
        return SAGA_MANNER_WELL;
    }
    const struct saga_plan_step *step = &sim->sagas[visit->saga].plan->steps[visit->step];
    if (step->async && saga_percent(sim, 60)) {
        return step->poll ? SAGA_MANNER_ACCEPTED_POLL : SAGA_MANNER_ACCEPTED;
    }
    return (enum saga_manner)saga_below(sim, SAGA_MANNER_COUNT);
}

/* ---- the caller ---- */

static void start(void *context, struct hf_call *call)
{
    struct saga_party *party = context;
    struct saga_sim *sim = party->sim;
    struct visit *visit = hf_arena_alloc_zero(&sim->run->arena, 1, sizeof(*visit));
    HF_CHECK(visit != NULL);
    *visit = (struct visit){.party = party, .call = call, .poll = call->get};
    struct hf_str who = header_of(call, "Idempotency-Key");
    uint32_t attempt = 0;
    if (call->get) {
        const char *path = memchr(call->url.ptr + 7, '/', call->url.len - 7);
        HF_CHECK(path != NULL && memcmp(path, "/poll/", 6) == 0);
        path += 6;
        who = (struct hf_str){path, (size_t)(call->url.ptr + call->url.len - path)};
        sim->report->polls++;
    } else {
        HF_CHECK(who.len > 2 && who.ptr[0] == '"' && who.ptr[who.len - 1] == '"');
        who = (struct hf_str){who.ptr + 1, who.len - 2};
        attempt = (uint32_t)strtoul(header_of(call, "Saga-Attempt").ptr, NULL, 10);
        HF_CHECK(attempt > 0);
        sim->report->calls++;
    }
    struct hf_str token = header_of(call, "Saga-Callback-Token");
    HF_CHECK(token.len == 0 || token.len == 32);
    if (token.len == 32) {
        memcpy(visit->token, token.ptr, token.len);
    }
    parse_who(sim, who, visit);
    visit->manner = draw_manner(sim, visit);
    if (!call->get) {
        (visit->op == HF_SAGA_ACTION ? sim->report->manners
                                     : sim->report->manners_undo)[visit->manner]++;
    }
    struct hf_node_status status;
    hf_node_status(party->house->node, &status);
    sim->contacts = hf_sim_grow(sim->contacts, sim->contact_count, &sim->contact_capacity,
                                sizeof(*sim->contacts));
    visit->contact = sim->contact_count;
    sim->contacts[sim->contact_count++] = (struct saga_contact){
        .saga = visit->saga,
        .step = visit->step,
        .op = visit->op,
        .attempt = attempt,
        .durable = status.durable_position,
    };
    call->own = visit;
    hf_world_trace(sim->run->world, visit->saga * 4096 + visit->step * 64 + visit->manner);
    hf_world_after(sim->run->world, NULL, saga_between(sim, 20, WAY_US_MAX), arrive, visit);
}

static void cancel(void *context, struct hf_call *call)
{
    (void)context;
    struct visit *visit = call->own;
    if (visit != NULL) {
        visit->call = NULL;
        call->own = NULL;
    }
}

struct saga_party *saga_party_new(struct saga_sim *sim, struct run_house *house)
{
    struct saga_party *party = hf_arena_alloc_zero(&sim->run->arena, 1, sizeof(*party));
    HF_CHECK(party != NULL);
    *party = (struct saga_party){
        .caller = {.context = party, .start = start, .cancel = cancel},
        .sim = sim,
        .house = house,
        .outside = house->outside,
    };
    return party;
}

struct hf_caller *saga_party_caller(struct saga_party *party)
{
    return &party->caller;
}
