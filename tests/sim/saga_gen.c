/* Definitions by random: a graph of steps of all kinds, as JSON and as facts. */
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "sim/saga_sim.h"

struct text {
    char *at;
    size_t left;
};

static void put(struct text *text, const char *format, ...) HF_PRINTF(2, 3);
static void put(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int used = vsnprintf(text->at, text->left, format, arguments);
    va_end(arguments);
    HF_CHECK(used >= 0 && (size_t)used < text->left);
    text->at += used;
    text->left -= (size_t)used;
}

static enum saga_work draw_action(struct saga_sim *sim)
{
    static const struct {
        enum saga_work work;
        unsigned weight;
    } table[] = {{SAGA_WORK_HTTP, 60}, {SAGA_WORK_TRANSFER, 8}, {SAGA_WORK_POOR, 6},
                 {SAGA_WORK_HOLD, 8},  {SAGA_WORK_SLEEP, 6},    {SAGA_WORK_EVENT, 6},
                 {SAGA_WORK_NONE, 6}};
    uint64_t at = saga_below(sim, 100);
    size_t i = 0;
    while (at >= table[i].weight) {
        at -= table[i++].weight;
    }
    return table[i].work;
}

/* All steps before it, directly or not. */
static void close_over(struct saga_plan *plan, uint32_t step)
{
    struct saga_plan_step *s = &plan->steps[step];
    s->before = s->after;
    for (uint32_t i = 0; i < step; i++) {
        if ((s->after >> i & 1) != 0) {
            s->before |= plan->steps[i].before;
        }
    }
}

static void draw_step(struct saga_sim *sim, struct saga_plan *plan, uint32_t number)
{
    struct saga_plan_step *step = &plan->steps[number];
    *step = (struct saga_plan_step){.action = draw_action(sim)};
    (void)snprintf(step->name, sizeof(step->name), "s%u", number);
    for (uint32_t i = 0; i < number; i++) {
        step->after |= saga_percent(sim, i + 1 == number ? 60 : 25) ? UINT64_C(1) << i : 0;
    }
    close_over(plan, number);
    bool native = step->action == SAGA_WORK_TRANSFER || step->action == SAGA_WORK_POOR ||
                  step->action == SAGA_WORK_HOLD;
    if (step->action == SAGA_WORK_HTTP) {
        step->undo = saga_percent(sim, 90) ? SAGA_WORK_HTTP : SAGA_WORK_NONE;
        step->async = saga_percent(sim, 25);
        step->poll = step->async && saga_percent(sim, 50);
        step->attempts_max = saga_percent(sim, 30) ? (uint32_t)saga_between(sim, 1, 4) : 0;
        step->then_park = saga_percent(sim, 30);
    } else if (native) {
        step->undo = step->action;
    }
    if (step->action == SAGA_WORK_EVENT ||
        (step->action == SAGA_WORK_HTTP && saga_percent(sim, 30))) {
        step->timeout_ms = (uint32_t)saga_between(sim, 1000, 2500);
    }
    step->when_gold = saga_percent(sim, 10);
    step->target = (uint32_t)saga_below(sim, SAGA_TARGETS);
}

/* A pivot that all steps come before or behind: what is behind it has no compensation. */
static void draw_pivot(struct saga_sim *sim, struct saga_plan *plan)
{
    uint32_t pivot = (uint32_t)saga_below(sim, plan->step_count);
    struct saga_plan_step *step = &plan->steps[pivot];
    if (step->action != SAGA_WORK_HTTP && step->action != SAGA_WORK_TRANSFER) {
        return;
    }
    step->pivot = true;
    step->when_gold = false;
    step->after = (UINT64_C(1) << pivot) - 1;
    close_over(plan, pivot);
    for (uint32_t i = pivot + 1; i < plan->step_count; i++) {
        plan->steps[i].after |= UINT64_C(1) << pivot;
        close_over(plan, i);
        plan->steps[i].undo = SAGA_WORK_NONE;
    }
}

static void put_native(struct text *text, const struct saga_plan_step *step, bool undo)
{
    const char *from = step->action == SAGA_WORK_POOR ? "s:poor" : "s:pool";
    if (step->action == SAGA_WORK_HOLD && undo) {
        put(text, "{\"op\":\"void\",\"hold\":{\"$join\":[{\"$\":\"/saga/id\"},\"-%s\"]}}",
            step->name);
        return;
    }
    put(text,
        "{\"op\":\"%s\",\"id\":{\"$join\":[{\"$\":\"/saga/"
        "id\"},\"-%s%s\"]},\"from\":\"%s\",\"to\":\"%s\","
        "\"asset\":\"EUR/2\",\"amount\":\"1\"}",
        step->action == SAGA_WORK_HOLD ? "hold" : "transfer", step->name, undo ? "-back" : "",
        undo ? "s:shop" : from, undo ? from : "s:shop");
}

static void put_work(struct text *text, const struct saga_plan_step *step, bool undo,
                     struct saga_sim *sim)
{
    switch (undo ? step->undo : step->action) {
    case SAGA_WORK_HTTP:
        put(text,
            "{\"url\":\"http://p%u.test/%s\",\"body\":{\"saga\":{\"$\":\"/saga/"
            "id\"},\"what\":\"%s\"},"
            "\"headers\":{\"X-From\":{\"$join\":[\"sim-\",{\"$\":\"/saga/definition\"}]}}%s}",
            step->target, undo ? "undo" : "do", step->name,
            saga_percent(sim, 20) ? ",\"envelope\":true" : "");
        return;
    case SAGA_WORK_TRANSFER:
    case SAGA_WORK_POOR:
    case SAGA_WORK_HOLD:
        put(text, "{\"do\":[");
        put_native(text, step, undo);
        put(text, "]}");
        return;
    case SAGA_WORK_SLEEP:
        put(text, "{\"sleep_ms\":%llu}", (unsigned long long)saga_between(sim, 1, 800));
        return;
    case SAGA_WORK_EVENT:
        put(text, "{\"event\":{\"type\":\"paid\",\"key\":{\"$\":\"/saga/id\"}}}");
        return;
    case SAGA_WORK_NONE:
    case SAGA_WORK_COUNT:
        put(text, "{}");
        return;
    }
}

static void put_step(struct text *text, struct saga_sim *sim, const struct saga_plan *plan,
                     uint32_t number)
{
    const struct saga_plan_step *step = &plan->steps[number];
    put(text, "%s{\"name\":\"%s\",\"after\":[", number == 0 ? "" : ",", step->name);
    bool first = true;
    for (uint32_t i = 0; i < number; i++) {
        if ((step->after >> i & 1) != 0) {
            put(text, "%s\"%s\"", first ? "" : ",", plan->steps[i].name);
            first = false;
        }
    }
    put(text, "],\"action\":");
    put_work(text, step, false, sim);
    if (step->undo != SAGA_WORK_NONE) {
        put(text, ",\"compensation\":");
        put_work(text, step, true, sim);
    }
    if (step->pivot) {
        put(text, ",\"pivot\":true");
    }
    if (step->when_gold) {
        put(text, ",\"when\":{\"value\":{\"$\":\"/input/gold\"},\"eq\":true}");
    }
    if (step->async) {
        put(text,
            step->poll ? ",\"async\":{\"mode\":\"poll\",\"every_ms\":%llu}"
                       : ",\"async\":{\"mode\":\"callback\"}",
            (unsigned long long)saga_between(sim, 100, 400));
    }
    if (step->timeout_ms > 0) {
        put(text, ",\"timeout_ms\":%u", step->timeout_ms);
    }
    if (step->action == SAGA_WORK_HTTP || step->undo == SAGA_WORK_HTTP) {
        put(text,
            ",\"attempt_timeout_ms\":%llu,\"retry\":{\"attempts_max\":%u,\"then\":\"%s\","
            "\"backoff_first_ms\":%llu,\"backoff_max_ms\":%llu,\"conflict_attempts_max\":%llu}",
            (unsigned long long)saga_between(sim, 100, 300), step->attempts_max,
            step->then_park ? "park" : "compensate", (unsigned long long)saga_between(sim, 1, 40),
            (unsigned long long)saga_between(sim, 40, 300),
            (unsigned long long)saga_between(sim, 1, 4));
    }
    put(text, "}");
}

void saga_gen_plan(struct saga_sim *sim, uint32_t number)
{
    struct saga_plan *plan = &sim->plans[number];
    *plan = (struct saga_plan){.dtm = saga_percent(sim, 10),
                               .step_count = (uint32_t)saga_between(sim, 1, SAGA_STEPS_MAX)};
    (void)snprintf(plan->name, sizeof(plan->name), "d%u", number);
    for (uint32_t i = 0; i < plan->step_count; i++) {
        draw_step(sim, plan, i);
    }
    if (saga_percent(sim, 40)) {
        draw_pivot(sim, plan);
    }
    plan->timeout_ms = saga_percent(sim, 20) ? (uint32_t)saga_between(sim, 1000, 5000) : 0;
    struct text text = {plan->json, sizeof(plan->json)};
    put(&text, "{\"steps\":[");
    for (uint32_t i = 0; i < plan->step_count; i++) {
        put_step(&text, sim, plan, i);
    }
    put(&text, "]%s", plan->dtm ? ",\"profile\":\"dtm\"" : "");
    if (plan->timeout_ms > 0) {
        put(&text, ",\"timeout_ms\":%u", plan->timeout_ms);
    }
    put(&text, "}");
}
