/* What time does to sagas: they begin, their timers and deadlines pass, and in the end they are forgotten. */
#include "base/check.h"
#include "core/decide_saga.h"

static bool is_waiting_for_answer(const struct hf_saga_step *step)
{
    return step->op == HF_SAGA_ACTION &&
           (step->state == HF_STEP_RUNNING || step->state == HF_STEP_WAITING);
}

/* The callback of a compensation did not come: it is asked for again. */
static void ask_again(const struct hf_deciding *d, struct hf_draft_saga *s, uint32_t i)
{
    struct hf_saga_step *step = hf_saga_touch(s, i);
    step->state = HF_STEP_COMPENSATING;
    step->attempts++;
    step->due_us = d->time_us;
    step->deadline_us = 0;
    step->polls = false;
    step->poll = (struct hf_saga_text_at){0};
    step->failing_us = step->failing_us == 0 ? d->time_us : step->failing_us;
    step->error = HF_SAGA_THIS_EVENT;
}

static enum hf_step pass_step(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t i,
                              bool whole)
{
    const struct hf_saga_step *step = &s->saga.steps[i];
    bool own = step->deadline_us != 0 && step->deadline_us <= d->time_us;
    bool calls = s->parsed->steps[i].action.kind == HF_CALL_HTTP;
    if (is_waiting_for_answer(step) && (own || (whole && calls))) {
        struct hf_str error = own ? HF_STR("the step took longer than its timeout_ms")
                                  : HF_STR("the saga took longer than its timeout_ms");
        hf_saga_touch(s, i)->error = HF_SAGA_THIS_EVENT;
        hf_saga_event_cause(s, i, 0, error);
        return hf_saga_time_out(d, s, i, error);
    }
    if (step->state == HF_STEP_COMPENSATING_WAITING && own) {
        ask_again(d, s, i);
        hf_saga_event_cause(s, i, 0, HF_STR("nothing came of what was accepted"));
    }
    return STEP_OK;
}

/* A wait for an event that is there is over before its deadline. */
static bool has_come(const struct hf_saga_step *step)
{
    return step->state == HF_STEP_WAITING && step->awaited.position != 0;
}

static bool is_timer_over(const struct hf_deciding *d, const struct hf_draft_saga *s, uint32_t i)
{
    enum hf_call_kind kind = s->parsed->steps[i].action.kind;
    const struct hf_saga_step *step = &s->saga.steps[i];
    return (kind == HF_CALL_SLEEP || kind == HF_CALL_UNTIL) && step->state == HF_STEP_WAITING &&
           step->due_us <= d->time_us;
}

static enum hf_step pass_deadlines(struct hf_deciding *d, struct hf_draft_saga *s)
{
    struct hf_saga *saga = &s->saga;
    bool whole = saga->deadline_us != 0 && saga->deadline_us <= d->time_us && !saga->past_pivot;
    enum hf_step step = STEP_OK;
    for (uint32_t i = 0; whole && i < s->parsed->step_count; i++) {
        bool calls = s->parsed->steps[i].action.kind == HF_CALL_HTTP;
        if (calls && is_waiting_for_answer(&saga->steps[i])) {
            hf_saga_leave_open(hf_saga_touch(s, i)); /* before the first one turns the saga back */
        }
    }
    for (uint32_t i = 0; step == STEP_OK && i < s->parsed->step_count; i++) {
        bool over = !saga->compensating && (is_timer_over(d, s, i) || has_come(&saga->steps[i]));
        if (!over || whole) {
            step = pass_step(d, s, i, whole);
        }
    }
    if (step == STEP_OK && whole && !saga->compensating) {
        hf_saga_turn_back(d, s); /* nothing was in flight */
        saga->reason = HF_STR("the saga took longer than its timeout_ms");
    }
    return step;
}

static enum hf_step forget(struct hf_deciding *d, struct hf_draft_saga *s)
{
    enum hf_step step = hf_saga_event_begin(d, s, HF_SAGA_ACT_FORGET);
    if (step != STEP_OK) {
        return step;
    }
    struct hf_saga *saga = &s->saga;
    struct hf_saga_changed *changed = s->changed;
    saga->version++;
    changed->saga = saga->name;
    changed->uid = saga->uid;
    changed->version = saga->version;
    changed->previous_position = saga->last_position;
    changed->state = saga->state;
    changed->compensating = saga->compensating;
    changed->past_pivot = saga->past_pivot;
    changed->failing_us = saga->failing_us;
    s->changed = NULL;
    return STEP_OK;
}

static bool has_awaited(const struct hf_draft_saga *s)
{
    for (uint32_t i = 0; i < s->parsed->step_count; i++) {
        if (has_come(&s->saga.steps[i])) {
            return true;
        }
    }
    return false;
}

enum hf_step hf_book_saga(struct hf_deciding *d, const struct hf_id *id)
{
    const struct hf_saga *stored = hf_sagas_get(&d->state->sagas, id);
    if (stored == NULL || stored->due_us == 0 || stored->due_us > d->time_us) {
        return STEP_OK;
    }
    struct hf_draft_saga *s;
    enum hf_step step = hf_draft_saga(d, &stored->name, &s);
    if (step != STEP_OK) {
        return step;
    }
    if (hf_saga_ended(s->saga.state)) {
        return forget(d, s);
    }
    step = hf_saga_event_begin(d, s, has_awaited(s) ? HF_SAGA_ACT_EVENT : HF_SAGA_ACT_TIMER);
    if (step != STEP_OK) {
        return step;
    }
    if (s->saga.state == HF_SAGA_SCHEDULED) {
        s->saga.state = HF_SAGA_RUNNING;
    } else {
        step = pass_deadlines(d, s);
    }
    if (step == STEP_OK) {
        step = hf_saga_advance(d, s);
    }
    return step == STEP_OK ? hf_saga_event_end(d, s) : step;
}

/* Of one that has ended or waits for a call nothing is needed; else what is not in RAM may be. */
void hf_gather_saga(struct hf_deciding *d, const struct hf_id *id)
{
    const struct hf_saga *saga = hf_sagas_get(&d->state->sagas, id);
    if (saga == NULL || hf_saga_ended(saga->state)) {
        return;
    }
    const struct hf_saga_definition *parsed = &saga->definition->parsed;
    bool input = false;
    uint64_t results = 0;
    for (uint32_t i = 0; i < parsed->step_count; i++) {
        const struct hf_saga_call *calls[] = {&parsed->steps[i].action,
                                              &parsed->steps[i].compensation};
        for (size_t c = 0; c < HF_ARRAY_COUNT(calls); c++) {
            input = input || calls[c]->body.input;
            results |= calls[c]->body.steps;
            for (uint32_t o = 0; o < calls[c]->op_count; o++) {
                input = input || calls[c]->ops[o].input;
                results |= calls[c]->ops[o].steps;
            }
        }
    }
    struct hf_view *view = &d->draft->view;
    if (input && !hf_str_present(saga->input)) {
        (void)hf_view_commit(view, saga->started_position);
    }
    for (uint32_t i = 0; i < parsed->step_count; i++) {
        if ((results >> i & 1) != 0 && saga->steps[i].result.position != 0 &&
            !hf_str_present(saga->results[i])) {
            (void)hf_view_commit(view, saga->steps[i].result.position);
        }
    }
}
