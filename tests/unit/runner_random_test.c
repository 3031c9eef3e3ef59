/*
 * The saga runner beside a naive model: random events of sagas, answers, faults and deaths. Every call must be what the durable log
 * says at that moment, and in the end every step that was to be called was.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/saga_wire.h"
#include "unit/runner_rig.h"
#include "unit/support.h"

#define SECOND_US UINT64_C(1000000)
#define ACTIONS   400u
#define SAGAS_MAX 60u
#define NOTES_MAX 4096u
#define SEEDS     60u

/* A step, or with step RIG_STEPS a saga, as it is from a position on. */
struct note {
    uint64_t position;
    size_t saga;
    uint32_t step;
    enum hf_saga_state saga_state;
    struct hf_saga_step after;
};

struct model {
    struct rig rig;
    uint64_t seed, random;
    struct note notes[NOTES_MAX];
    size_t note_count;
    size_t sagas;
    /* what happened, so that a run that tests nothing is seen */
    uint64_t calls, polls, late, again, retries, kills, gone;
};

static struct model model;

static uint64_t any(uint64_t count)
{
    model.random = model.random * 6364136223846793005u + 1442695040888963407u;
    return (model.random >> 33) % count;
}

static const char *name_of(size_t saga)
{
    return model.rig.sagas[saga].name;
}

static bool is_called(const struct hf_saga_step *step)
{
    return step->state == HF_STEP_RUNNING || step->state == HF_STEP_COMPENSATING || step->polls;
}

/* ---- the model ---- */

static void note(uint64_t position, size_t saga, uint32_t step)
{
    assert_true(model.note_count < NOTES_MAX);
    const struct rig_saga *from = &model.rig.sagas[saga];
    model.notes[model.note_count++] = (struct note){
        .position = position,
        .saga = saga,
        .step = step,
        .saga_state = from->state,
        .after = step < RIG_STEPS ? from->steps[step] : (struct hf_saga_step){0},
    };
}

static void commit(size_t saga, const struct rig_event *event)
{
    uint64_t position = rig_commit(&model.rig, event, 1);
    note(position, saga, RIG_STEPS);
    for (size_t i = 0; i < event->count; i++) {
        note(position, saga, event->steps[i].step);
    }
}

static const struct note *newest(size_t saga, uint32_t step, uint64_t position)
{
    for (size_t i = model.note_count; i > 0; i--) {
        const struct note *at = &model.notes[i - 1];
        if (at->saga == saga && at->step == step && at->position <= position) {
            return at;
        }
    }
    return NULL;
}

static size_t saga_of(const char *name)
{
    for (size_t i = 0; i < model.sagas; i++) {
        if (strcmp(name_of(i), name) == 0) {
            return i;
        }
    }
    fail();
    return 0;
}

static void judge(bool holds, const struct rig_call *call, const char *what)
{
    if (!holds) {
        print_error("seed %llu: %s/%s %s attempt %u%s at %llu: %s\n",
                    (unsigned long long)model.seed, call->saga, call->step, call->op, call->attempt,
                    call->get ? " (poll)" : "", (unsigned long long)call->begun_us, what);
        fail();
    }
}

/* Was it to be called, as the log is up to a position? NULL: yes; else why not. */
static const char *what_is_wrong(const struct rig_call *call, uint64_t position)
{
    size_t saga = saga_of(call->saga);
    const struct note *whole = newest(saga, RIG_STEPS, position);
    const struct note *step = newest(saga, (uint32_t)(call->step[0] - 'a'), position);
    if (whole == NULL || step == NULL) {
        return "is not in the log";
    }
    if (whole->saga_state == HF_SAGA_PAUSED || hf_saga_ended(whole->saga_state)) {
        return "its saga is paused or has ended";
    }
    if (!is_called(&step->after) || step->after.polls != call->get) {
        return "is not to be called";
    }
    if (step->after.attempts != call->attempt ||
        strcmp(hf_saga_op_wire(step->after.op), call->op) != 0) {
        return "is another attempt";
    }
    return step->after.due_us > rig_log_us(&model.rig) ? "is too early" : NULL;
}

static void judge_call(struct rig *rig, struct rig_call *call)
{
    size_t saga = saga_of(call->saga);
    struct hf_runner_status status;
    const char *wrong = "is not in the log";
    hf_runner_status(rig->runner, &status);
    /* What it had followed as its last step ended, or more of what is durable. */
    for (uint64_t at = status.position; at <= rig->durable && wrong != NULL; at++) {
        wrong = what_is_wrong(call, at);
    }
    judge(wrong == NULL, call, wrong);
    for (size_t i = 0; i < rig->call_count; i++) {
        const struct rig_call *other = &rig->calls[i];
        judge(other == call || other->call == NULL || strcmp(other->saga, call->saga) != 0 ||
                  strcmp(other->step, call->step) != 0 || other->attempt != call->attempt ||
                  strcmp(other->op, call->op) != 0,
              call, "is out already");
    }
    for (size_t i = 0; i < rig->answer_count; i++) {
        const struct rig_answer *answer = &rig->answers[i];
        judge(answer->request == NULL || answer->fields.uid != rig->sagas[saga].uid ||
                  answer->fields.attempt != call->attempt ||
                  answer->fields.step.ptr[0] != call->step[0] ||
                  strcmp(hf_saga_op_wire(answer->fields.op), call->op) != 0,
              call, "has its answer already");
    }
    model.calls++;
    model.polls += call->get;
}

/* ---- what happens ---- */

static void start_saga(void)
{
    if (model.sagas < SAGAS_MAX) {
        char name[16];
        (void)snprintf(name, sizeof(name), "s%zu", model.sagas);
        uint64_t position = rig_start(&model.rig, name, 1 + (unsigned)any(7));
        size_t saga = model.sagas++;
        note(position, saga, RIG_STEPS);
        for (uint32_t i = 0; i < RIG_STEPS; i++) {
            note(position, saga, i);
        }
    }
}

static void reply(bool well)
{
    static const unsigned statuses[] = {200, 200, 503, 425, 202, 0};
    size_t out = rig_out_count(&model.rig);
    if (out == 0) {
        return;
    }
    size_t wanted = (size_t)any(out);
    for (size_t i = 0; i < model.rig.call_count; i++) {
        struct rig_call *call = &model.rig.calls[i];
        if (call->call != NULL && wanted-- == 0) {
            rig_reply(&model.rig, call, well ? 200 : statuses[any(6)], NULL);
            return;
        }
    }
}

/* As decide would, about. */
static void decide(void)
{
    struct rig_answer *answer = rig_pending(&model.rig);
    if (answer == NULL) {
        return;
    }
    char name[32];
    (void)snprintf(name, sizeof(name), "%.*s", (int)answer->fields.saga.len,
                   answer->fields.saga.ptr);
    size_t saga = saga_of(name);
    const struct rig_saga *from = &model.rig.sagas[saga];
    uint32_t number = (uint32_t)(answer->fields.step.ptr[0] - 'a');
    const struct hf_saga_step *step = &from->steps[number];
    unsigned status = answer->fields.answer.status;
    bool newest = step->attempts == answer->fields.attempt && step->op == answer->fields.op;
    bool counts = !hf_saga_ended(from->state) && is_called(step) && (newest || status == 200);
    struct rig_event event = {
        .saga = name,
        .act = HF_SAGA_ACT_ANSWER,
        .moved = true,
        .step = number,
        .op = answer->fields.op,
        .attempt = answer->fields.attempt,
        .late = !counts,
    };
    struct rig_step *after = &event.steps[0];
    *after = (struct rig_step){
        .step = number, .state = step->state, .op = step->op, .attempts = step->attempts};
    if (!counts && any(2) == 0) {
        model.gone++;
        rig_decide(&model.rig, answer, 0);
        return;
    }
    event.count = counts ? 1 : 0;
    model.late += counts ? 0 : 1;
    if (status == 200) {
        after->state = HF_STEP_SUCCEEDED;
    } else if (status == 202) {
        after->state = HF_STEP_WAITING;
        after->polls = true;
        after->due_us = rig_log_us(&model.rig) + any(2 * SECOND_US);
        event.poll_at = "http://127.0.0.1:1004/job";
    } else if (status == 425) {
        model.again += counts;
        after->polls = step->polls;
        after->due_us = rig_log_us(&model.rig) + SECOND_US;
    } else {
        after->state = step->polls ? HF_STEP_RUNNING : step->state;
        after->attempts++;
        after->due_us = rig_log_us(&model.rig) + any(5 * SECOND_US);
    }
    commit(saga, &event);
    rig_decide(&model.rig, answer, model.rig.commits);
}

static void operate(void)
{
    if (model.sagas == 0) {
        return;
    }
    size_t saga = (size_t)any(model.sagas);
    const struct rig_saga *from = &model.rig.sagas[saga];
    struct rig_event event = {.saga = from->name};
    uint32_t number = (uint32_t)any(3);
    const struct hf_saga_step *step = &from->steps[number];
    if (hf_saga_ended(from->state)) {
        return;
    }
    switch (any(6)) {
    case 0:
        event.act = from->state == HF_SAGA_PAUSED ? HF_SAGA_ACT_RESUME : HF_SAGA_ACT_PAUSE;
        event.state = from->state == HF_SAGA_PAUSED ? HF_SAGA_RUNNING : HF_SAGA_PAUSED;
        break;
    case 1:
        if (any(4) != 0) {
            return;
        }
        event.type = HF_EVENT_SAGA_ENDED;
        event.act = HF_SAGA_ACT_ABANDON;
        event.state = HF_SAGA_ABANDONED;
        break;
    case 2:
        if (number != 0 || step->op != HF_SAGA_ACTION) {
            return;
        }
        event.act = HF_SAGA_ACT_COMPENSATE;
        event.steps[event.count++] = (struct rig_step){.state = HF_STEP_COMPENSATING,
                                                       .op = HF_SAGA_COMPENSATION,
                                                       .due_us = rig_log_us(&model.rig),
                                                       .request = "{\"undo\":1}"};
        break;
    default:
        if (!is_called(step) || step->polls) {
            return;
        }
        model.retries++;
        event.act = HF_SAGA_ACT_RETRY;
        event.steps[event.count++] = (struct rig_step){.step = number,
                                                       .state = step->state,
                                                       .op = step->op,
                                                       .attempts = step->attempts + 1,
                                                       .due_us = rig_log_us(&model.rig)};
        break;
    }
    commit(saga, &event);
}

static void show_all(void)
{
    model.rig.holds = false;
    model.rig.durable = model.rig.commits;
}

static void kill_it(void)
{
    show_all();
    rig_kill(&model.rig);
    model.rig.page_sagas = 1 + (uint32_t)any(20);
    rig_boot(&model.rig);
    model.kills++;
}

static void act(void)
{
    switch (any(14)) {
    case 0:
    case 1:
        start_saga();
        break;
    case 2:
    case 3:
    case 4:
        reply(false);
        break;
    case 5:
    case 6:
    case 7:
        decide();
        break;
    case 8:
        operate();
        break;
    case 9:
        model.rig.holds = any(2) == 0;
        model.rig.durable = any(2) == 0 ? model.rig.commits : model.rig.durable;
        break;
    case 10:
        model.rig.overloads = (uint32_t)any(4);
        break;
    case 11:
        model.rig.ring_first = any(2) == 0 ? 0 : any(model.rig.commits + 1);
        break;
    case 12:
        if (any(10) == 0) {
            kill_it();
        }
        break;
    default:
        rig_pass(&model.rig, any(3 * SECOND_US));
        break;
    }
    if (any(3) != 0) {
        rig_run(&model.rig);
    }
}

static bool is_all_done(void)
{
    bool all = true;
    for (size_t i = 0; i < model.sagas; i++) {
        for (uint32_t k = 0; k < RIG_STEPS; k++) {
            const struct rig_saga *saga = &model.rig.sagas[i];
            all = all && (hf_saga_ended(saga->state) || !is_called(&saga->steps[k]));
        }
    }
    return all;
}

/* Everybody answers well: all that is to be called is, and ends. */
static void calm_down(void)
{
    show_all();
    model.rig.overloads = 0;
    for (size_t i = 0; i < model.sagas; i++) {
        if (model.rig.sagas[i].state == HF_SAGA_PAUSED) {
            commit(i, &(struct rig_event){
                          .saga = name_of(i), .act = HF_SAGA_ACT_RESUME, .state = HF_SAGA_RUNNING});
        }
    }
    for (size_t round = 0; !is_all_done(); round++) {
        if (round >= 200) {
            print_error("seed %llu: some calls never came\n", (unsigned long long)model.seed);
            fail();
        }
        rig_pass(&model.rig, SECOND_US);
        while (rig_out_count(&model.rig) > 0) {
            reply(true);
        }
        while (rig_pending(&model.rig) != NULL) {
            decide();
        }
    }
    for (size_t i = 0; i < 40; i++) { /* and no further one */
        rig_pass(&model.rig, SECOND_US);
        assert_int_equal(rig_out_count(&model.rig), 0);
    }
}

static void run_seed(uint64_t seed)
{
    struct model counts = model;
    memset(&model, 0, sizeof(model));
    model.seed = model.random = seed;
    model.calls = counts.calls;
    model.polls = counts.polls;
    model.late = counts.late;
    model.again = counts.again;
    model.retries = counts.retries;
    model.kills = counts.kills;
    model.gone = counts.gone;
    rig_init(&model.rig);
    model.rig.on_call = judge_call;
    model.rig.target_limits.in_flight_max = 1 + (uint32_t)any(6);
    model.rig.answers_max = 2 + (uint32_t)any(8);
    rig_boot(&model.rig);
    for (size_t i = 0; i < ACTIONS; i++) {
        act();
    }
    calm_down();
    rig_release(&model.rig);
}

static void every_call_is_what_the_log_says_and_none_is_missed(void **state)
{
    (void)state;
    const char *only = getenv("SEED");
    uint64_t first = only == NULL ? 1 : strtoull(only, NULL, 10);
    uint64_t last = only == NULL ? SEEDS : first;
    print_message("seeds %llu to %llu\n", (unsigned long long)first, (unsigned long long)last);
    for (uint64_t seed = first; seed <= last; seed++) {
        run_seed(seed);
    }
    print_message(
        "calls %llu, polls %llu, late %llu, again %llu, retries %llu, kills %llu, gone %llu\n",
        (unsigned long long)model.calls, (unsigned long long)model.polls,
        (unsigned long long)model.late, (unsigned long long)model.again,
        (unsigned long long)model.retries, (unsigned long long)model.kills,
        (unsigned long long)model.gone);
    assert_true(only != NULL ||
                (model.calls > 0 && model.polls > 0 && model.late > 0 && model.again > 0 &&
                 model.retries > 0 && model.kills > 0 && model.gone > 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_is_what_the_log_says_and_none_is_missed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
