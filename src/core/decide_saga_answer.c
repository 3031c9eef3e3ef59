/* Answers: of participants, brought by the runner; by callbacks and operators. */
#include <stdio.h>

#include "base/check.h"
#include "core/decide_saga.h"

/* An answer that is taken in. */
struct answering {
    struct hf_deciding *d;
    struct hf_draft_saga *s;
    uint32_t i; /* the step */
    const struct hf_saga_command *command;
    enum hf_saga_outcome outcome;
    struct hf_str error; /* why, or absent */
};

static const struct hf_saga_step *step_of(const struct answering *a)
{
    return &a->s->saga.steps[a->i];
}

static const struct hf_saga_step_definition *definition_of(const struct answering *a)
{
    return &a->s->parsed->steps[a->i];
}

/* What is told of it, whether it counts or not. */
static void tell(const struct answering *a, struct hf_saga_changed *changed)
{
    const struct hf_saga_op_fields *f = &a->command->fields;
    changed->op = f->op;
    changed->attempt = f->attempt;
    changed->outcome = a->outcome;
    changed->status = f->answer.status;
    changed->duration_ms = f->duration_ms;
    changed->error = a->error;
}

static enum hf_step late(struct answering *a, enum hf_saga_act act)
{
    struct hf_saga_changed told = {.act = act, .actor = a->command->fields.actor};
    tell(a, &told);
    return hf_saga_late(a->d, a->s, a->i, &told);
}

/* ---- what an outcome does to a step ---- */

/* Asked for by the participant, up to a limit, or what is usual. */
static uint64_t wait_us(const struct answering *a, uint64_t usual_us)
{
    uint64_t asked_ms = a->command->fields.answer.retry_after_ms;
    return asked_ms == 0 ? usual_us : hf_min_u64(asked_ms, HF_SAGA_RETRY_AFTER_MS_MAX) * 1000;
}

static void note_failing(const struct answering *a, struct hf_saga_step *step)
{
    step->failing_us = step->failing_us == 0 ? a->d->time_us : step->failing_us;
    step->error = HF_SAGA_THIS_EVENT;
}

/* The next attempt, later. */
static void back_off(const struct answering *a, struct hf_saga_step *step)
{
    const struct hf_saga_retry *retry = &definition_of(a)->retry;
    uint64_t usual_us = hf_saga_backoff_us(retry, a->s->saga.uid, a->i, step->attempts);
    step->state = step->op == HF_SAGA_ACTION ? HF_STEP_RUNNING : HF_STEP_COMPENSATING;
    step->due_us = a->d->time_us + wait_us(a, usual_us);
    step->attempts++;
    step->polls = false;
    step->poll = (struct hf_saga_text_at){0};
    note_failing(a, step);
}

/* Is it an action whose branch is to settle, not to be tried again? */
static bool settles(const struct answering *a)
{
    return a->s->saga.compensating && step_of(a)->op == HF_SAGA_ACTION;
}

static enum hf_step settle(struct answering *a)
{
    return hf_saga_fail(a->d, a->s, a->i, a->error);
}

/* A poll that went wrong says nothing about the step: it asks again. */
static void poll_again(const struct answering *a, struct hf_saga_step *step, uint64_t least_us)
{
    uint64_t every_ms = definition_of(a)->poll_every_ms;
    uint64_t usual_us = (every_ms == 0 ? HF_SAGA_POLL_MS_DEFAULT : every_ms) * 1000;
    step->due_us = a->d->time_us + wait_us(a, hf_max_u64(usual_us, least_us));
}

static enum hf_step failed_try(struct answering *a)
{
    struct hf_saga_step *step = hf_saga_touch(a->s, a->i);
    const struct hf_saga_retry *retry = &definition_of(a)->retry;
    if (a->command->fields.poll) {
        note_failing(a, step);
        poll_again(a, step, hf_saga_backoff_us(retry, a->s->saga.uid, a->i, 4));
        return STEP_OK;
    }
    step->conflicts = 0;
    if (settles(a)) {
        return settle(a);
    }
    if (retry->attempts_max == 0 || step->attempts < retry->attempts_max) {
        back_off(a, step);
        return STEP_OK;
    }
    step->error = HF_SAGA_THIS_EVENT;
    bool parks = step->op == HF_SAGA_COMPENSATION || retry->then_park;
    return parks ? hf_saga_park(a->d, a->s, a->i, a->error)
                 : hf_saga_fail(a->d, a->s, a->i, a->error);
}

static enum hf_step conflict(struct answering *a)
{
    struct hf_saga_step *step = hf_saga_touch(a->s, a->i);
    if (settles(a)) {
        return settle(a);
    }
    step->conflicts++;
    if (step->conflicts <= definition_of(a)->retry.conflict_attempts_max) {
        back_off(a, step);
        return STEP_OK;
    }
    step->error = HF_SAGA_THIS_EVENT;
    return hf_saga_park(a->d, a->s, a->i, a->error);
}

static void accepted(struct answering *a)
{
    struct hf_saga_step *step = hf_saga_touch(a->s, a->i);
    const struct hf_saga_step_definition *definition = definition_of(a);
    struct hf_str location = a->command->fields.answer.location;
    bool action = step->op == HF_SAGA_ACTION;
    step->state = action ? HF_STEP_WAITING : HF_STEP_COMPENSATING_WAITING;
    step->due_us = 0;
    step->failing_us = 0;
    step->conflicts = 0;
    if (hf_str_present(location) && !definition->async_callback) {
        step->polls = true;
        step->poll = HF_SAGA_THIS_EVENT;
        a->s->changed->poll_at = location;
    }
    if (step->polls) {
        poll_again(a, step, 0);
    }
    if (step->deadline_us == 0) {
        uint64_t timeout_ms =
            definition->timeout_ms == 0 ? HF_SAGA_WAIT_MS_DEFAULT : definition->timeout_ms;
        step->deadline_us = a->d->time_us + timeout_ms * 1000;
    }
}

/* Still working: asked again, and no attempt has failed. */
static void again(struct answering *a)
{
    struct hf_saga_step *step = hf_saga_touch(a->s, a->i);
    step->failing_us = 0;
    step->conflicts = 0;
    if (step->polls) {
        poll_again(a, step, 0);
        return;
    }
    step->state = step->op == HF_SAGA_ACTION ? HF_STEP_RUNNING : HF_STEP_COMPENSATING;
    step->due_us = a->d->time_us + wait_us(a, HF_SAGA_POLL_MS_DEFAULT * UINT64_C(1000));
}

static enum hf_step fail(struct answering *a)
{
    struct hf_saga_step *step = hf_saga_touch(a->s, a->i);
    step->error = HF_SAGA_THIS_EVENT;
    return step->op == HF_SAGA_ACTION ? hf_saga_fail(a->d, a->s, a->i, a->error)
                                      : hf_saga_park(a->d, a->s, a->i, a->error);
}

static enum hf_step park(struct answering *a)
{
    hf_saga_touch(a->s, a->i)->error = HF_SAGA_THIS_EVENT;
    return settles(a) ? settle(a) : hf_saga_park(a->d, a->s, a->i, a->error);
}

static enum hf_step apply(struct answering *a)
{
    switch (a->outcome) {
    case HF_OUTCOME_SUCCESS:
        hf_saga_succeed(a->d, a->s, a->i, &a->command->result);
        return STEP_OK;
    case HF_OUTCOME_FAIL:
        return fail(a);
    case HF_OUTCOME_RETRY:
        return failed_try(a);
    case HF_OUTCOME_CONFLICT:
        return conflict(a);
    case HF_OUTCOME_PENDING:
        accepted(a);
        return STEP_OK;
    case HF_OUTCOME_AGAIN:
        again(a);
        return STEP_OK;
    case HF_OUTCOME_PARK:
        return park(a);
    }
    HF_CHECK(false);
    return STEP_STOP;
}

static enum hf_step take_in(struct answering *a, enum hf_saga_act act)
{
    enum hf_step step = hf_saga_event_begin(a->d, a->s, act);
    if (step != STEP_OK) {
        return step;
    }
    hf_saga_event_cause(a->s, a->i, a->outcome, a->error);
    tell(a, a->s->changed);
    a->s->changed->actor = a->command->fields.actor;
    step = apply(a);
#ifdef HF_BUG_SAGA_COMPLETED_OVERWRITTEN
    if (hf_saga_ended(a->s->saga.state)) {
        a->s->saga.state = HF_SAGA_SUCCEEDED;
    }
#endif
    if (step == STEP_OK) {
        step = hf_saga_advance(a->d, a->s);
    }
    return step == STEP_OK ? hf_saga_event_end(a->d, a->s) : step;
}

/* ---- by the runner ---- */

/* In words, if the runner has not told. */
static bool make_error(struct answering *a)
{
    const struct hf_saga_op_fields *f = &a->command->fields;
    bool good = a->outcome == HF_OUTCOME_SUCCESS || a->outcome == HF_OUTCOME_PENDING ||
                a->outcome == HF_OUTCOME_AGAIN;
    a->error = good ? HF_STR_NONE : f->error;
    if (good || hf_str_present(f->error)) {
        return true;
    }
    char text[32];
    int len = f->answer.status == 0 ? snprintf(text, sizeof(text), "no answer")
                                    : snprintf(text, sizeof(text), "HTTP %u", f->answer.status);
    a->error = hf_arena_copy(&a->d->draft->view.arena, (struct hf_str){text, (size_t)len});
    return a->error.ptr != NULL;
}

/* Does it still count? Success of any attempt does until the step is decided, all else only of the newest. */
static bool counts(const struct answering *a)
{
    const struct hf_saga_op_fields *f = &a->command->fields;
    const struct hf_saga_step *step = step_of(a);
#ifndef HF_BUG_SAGA_COMPLETED_OVERWRITTEN
    if (hf_saga_ended(a->s->saga.state)) {
        return false;
    }
#endif
#ifdef HF_BUG_SAGA_LATE_ANSWER_COUNTS
    if (a->outcome == HF_OUTCOME_SUCCESS) {
        return true;
    }
#endif
#ifdef HF_BUG_SAGA_COMPLETED_OVERWRITTEN
    if (hf_saga_ended(a->s->saga.state)) {
        return a->outcome == HF_OUTCOME_SUCCESS && step->op == f->op;
    }
#endif
    if (!hf_saga_is_open(step, f->op) || f->attempt > step->attempts) {
        return false;
    }
    if (a->outcome == HF_OUTCOME_SUCCESS) {
        return true;
    }
    return f->attempt == step->attempts && step->state != HF_STEP_PARKED && f->poll == step->polls;
}

enum hf_step hf_decide_saga_answer(struct hf_deciding *d, const struct hf_op *op)
{
    const struct hf_saga_op_fields *f = &op->saga->fields;
    struct answering a = {.d = d, .command = op->saga};
    enum hf_step step = hf_draft_saga(d, &op->subject, &a.s);
    if (step == STEP_STOP) {
        return step;
    }
    a.i = step == STEP_REFUSED || a.s == NULL || a.s->saga.uid != f->uid
              ? UINT32_MAX
              : hf_saga_definition_step(a.s->parsed, f->step);
    if (a.i == UINT32_MAX) {
        d->idle_ops++; /* the saga is gone */
        return STEP_OK;
    }
    a.outcome =
        hf_saga_classify(&f->answer, f->op, a.s->parsed->dtm, &definition_of(&a)->on_status);
    if (!make_error(&a)) {
        return hf_short(d);
    }
    if (!counts(&a)) {
        return late(&a, HF_SAGA_ACT_ANSWER);
    }
    /* Of a poll only what it tells of the step counts. */
    bool unknown =
        !f->poll && f->op == HF_SAGA_ACTION && hf_saga_leaves_unknown(&f->answer, a.outcome);
    if (unknown) {
        a.s->saga.steps[a.i].unknown = true; /* the step is touched by every outcome */
    }
    a.s->saga.steps[a.i].last_status = f->answer.status;
    return take_in(&a, HF_SAGA_ACT_ANSWER);
}

/* ---- by callback or operator ---- */

static bool same_token(const struct hf_draft_saga *s, uint32_t i, enum hf_saga_op op,
                       struct hf_str token)
{
    char text[33];
    hf_saga_token(s->saga.secret, s->parsed->steps[i].name, op, text);
    unsigned differs = token.len != 32;
    for (size_t at = 0; at < 32 && at < token.len; at++) {
        differs |= (unsigned char)(token.ptr[at] ^ text[at]); /* as long for any token */
    }
    return differs == 0;
}

/* Which op the token is for. */
static enum hf_step find_op(struct answering *a, const struct hf_op *op, enum hf_saga_op *of)
{
    struct hf_str token = a->command->fields.token;
    *of = step_of(a)->op;
    if (!hf_str_present(token)) {
        return STEP_OK;
    }
    for (unsigned each = HF_SAGA_ACTION; each <= HF_SAGA_COMPENSATION; each++) {
        if (same_token(a->s, a->i, (enum hf_saga_op)each, token)) {
            *of = (enum hf_saga_op)each;
            return STEP_OK;
        }
    }
    return hf_refuse(a->d, HF_ERR_FORBIDDEN, HF_KIND_SAGA, &op->subject);
}

enum hf_step hf_decide_step_outcome(struct hf_deciding *d, const struct hf_op *op)
{
    struct hf_saga_command command = *op->saga;
    struct answering a = {.d = d, .command = &command};
    bool completes = op->type == HF_OP_COMPLETE_STEP;
    enum hf_step step = hf_draft_saga_find(d, &op->subject, &a.s);
    if (step != STEP_OK) {
        return step;
    }
    a.i = hf_saga_definition_step(a.s->parsed, command.fields.step);
    if (a.i == UINT32_MAX) {
        return hf_refuse(d, HF_ERR_SAGA_STEP_NOT_FOUND, HF_KIND_SAGA, &op->subject);
    }
    enum hf_saga_op of;
    step = find_op(&a, op, &of);
    if (step != STEP_OK) {
        return step;
    }
    bool by_token = hf_str_present(command.fields.token);
    bool ended = hf_saga_ended(a.s->saga.state);
    command.fields.op = of;
    command.fields.attempt = step_of(&a)->op == of ? step_of(&a)->attempts : 0;
    a.outcome = completes ? HF_OUTCOME_SUCCESS : HF_OUTCOME_FAIL;
    a.error = completes ? HF_STR_NONE : command.fields.error;
    if (!completes && !hf_str_present(a.error)) {
        a.error = HF_STR("it was told that it failed");
    }
    enum hf_saga_act act = completes ? HF_SAGA_ACT_COMPLETE : HF_SAGA_ACT_FAIL;
    bool open = !ended && hf_saga_is_open(step_of(&a), of);
    if (open && (!by_token || completes || step_of(&a)->state != HF_STEP_PARKED)) {
        return take_in(&a, act);
    }
    if (by_token) {
        return late(&a, act);
    }
    return hf_refuse(d, ended ? HF_ERR_SAGA_ENDED : HF_ERR_SAGA_STEP_STATE, HF_KIND_SAGA,
                     &op->subject);
}
