/* What operators do to sagas: one, or a page of those that a filter finds. */
#include "base/check.h"
#include "core/decide_saga.h"
#include "core/saga_list.h"

/* A verb that is done to a saga. */
struct verb {
    struct hf_deciding *d;
    const struct hf_saga_command *command;
    struct hf_draft_saga *s;
    uint32_t i; /* the step that is named; UINT32_MAX: none */
    bool done;  /* it has changed something */
};

static enum hf_step refuse(const struct verb *v, enum hf_err code)
{
    struct hf_name name = v->s->saga.name;
    return hf_refuse(v->d, code, HF_KIND_SAGA, &name);
}

/* splitmix64's last steps. */
static uint64_t mix(uint64_t value)
{
    value ^= value >> 30;
    value *= 0xBF58476D1CE4E5B9u;
    value ^= value >> 27;
    value *= 0x94D049BB133111EBu;
    return value ^ (value >> 31);
}

/* Now, or in a bulk spread over some time. */
static uint64_t due_us(const struct verb *v)
{
    uint64_t jitter_us = v->command->fields.jitter_ms * 1000;
    uint64_t spread_us =
        jitter_us == 0 ? 0 : mix(v->s->saga.uid + 0x9E3779B97F4A7C15u) % (jitter_us + 1);
    return v->d->time_us + spread_us;
}

/* ---- retry ---- */

/* A parked step tries again: a call at once, everything else by beginning anew. */
static void retry_parked(const struct verb *v, uint32_t i)
{
    struct hf_saga_step *step = hf_saga_touch(v->s, i);
    const struct hf_saga_step_definition *definition = &v->s->parsed->steps[i];
    bool action = step->op == HF_SAGA_ACTION;
    enum hf_call_kind kind = action ? definition->action.kind : definition->compensation.kind;
    step->conflicts = 0;
    step->error = (struct hf_saga_text_at){0};
    if (kind != HF_CALL_HTTP || step->request.position == 0) {
        step->state = action          ? HF_STEP_PENDING
                      : step->unknown ? HF_STEP_UNKNOWN
                                      : HF_STEP_SUCCEEDED;
        return;
    }
    step->state = action ? HF_STEP_RUNNING : HF_STEP_COMPENSATING;
    step->attempts++;
    step->due_us = due_us(v);
    step->ended_us = 0;
    if (action && definition->timeout_ms > 0) {
        step->deadline_us = v->d->time_us + definition->timeout_ms * 1000;
    }
}

/* true: there was something to try again. */
static bool retry_step(const struct verb *v, uint32_t i)
{
    const struct hf_saga_step *step = &v->s->saga.steps[i];
    bool out = step->state == HF_STEP_RUNNING || step->state == HF_STEP_COMPENSATING || step->polls;
    if (step->state == HF_STEP_PARKED) {
        retry_parked(v, i);
        return true;
    }
    if (out && step->due_us > v->d->time_us) {
        hf_saga_touch(v->s, i)->due_us = due_us(v);
        return true;
    }
    return out && v->i == i; /* it is due already */
}

static enum hf_step retry(struct verb *v)
{
    struct hf_draft_saga *s = v->s;
    bool any = false;
    if (v->i != UINT32_MAX) {
        any = retry_step(v, v->i);
    } else if (s->saga.state == HF_SAGA_SCHEDULED) {
        s->saga.not_before_us = due_us(v);
        s->saga.state =
            s->saga.not_before_us <= v->d->time_us ? HF_SAGA_RUNNING : HF_SAGA_SCHEDULED;
        any = true;
    } else {
        for (uint32_t i = 0; i < s->parsed->step_count; i++) {
            any = retry_step(v, i) || any;
        }
    }
    return any ? STEP_OK : refuse(v, HF_ERR_SAGA_STEP_STATE);
}

/* ---- the others ---- */

static enum hf_step skip(struct verb *v)
{
    const struct hf_saga_step *step = &v->s->saga.steps[v->i];
    bool pending = step->state == HF_STEP_PENDING && !v->s->saga.compensating;
    if (!pending && !hf_saga_is_open(step, step->op)) {
        return refuse(v, HF_ERR_SAGA_STEP_STATE);
    }
    hf_saga_succeed(v->d, v->s, v->i, &v->command->result);
    return STEP_OK;
}

static enum hf_step compensate(struct verb *v)
{
    if (v->s->saga.past_pivot) {
        return refuse(v, HF_ERR_SAGA_PAST_PIVOT);
    }
    if (v->s->saga.state == HF_SAGA_SCHEDULED) {
        v->s->saga.state = HF_SAGA_RUNNING;
    }
    hf_saga_turn_back(v->d, v->s);
    return STEP_OK;
}

/* Would it change nothing? */
static bool is_idle(const struct verb *v)
{
    const struct hf_saga *saga = &v->s->saga;
    switch ((unsigned)v->command->fields.verb) {
    case HF_SAGA_ACT_PAUSE:
        return saga->state == HF_SAGA_PAUSED;
    case HF_SAGA_ACT_RESUME:
        return saga->state != HF_SAGA_PAUSED;
    case HF_SAGA_ACT_COMPENSATE:
        return saga->compensating;
    default:
        return false;
    }
}

static enum hf_step act(struct verb *v)
{
    struct hf_saga *saga = &v->s->saga;
    switch ((unsigned)v->command->fields.verb) {
    case HF_SAGA_ACT_RETRY:
        return retry(v);
    case HF_SAGA_ACT_SKIP:
        return skip(v);
    case HF_SAGA_ACT_COMPENSATE:
        return compensate(v);
    case HF_SAGA_ACT_PAUSE:
        saga->resumes = saga->state;
        saga->state = HF_SAGA_PAUSED;
        return STEP_OK;
    case HF_SAGA_ACT_RESUME:
        saga->state = saga->resumes == HF_SAGA_SCHEDULED ? HF_SAGA_SCHEDULED : HF_SAGA_RUNNING;
        return STEP_OK;
    default:
        HF_CHECK(v->command->fields.verb == HF_SAGA_ACT_ABANDON);
        saga->state = HF_SAGA_ABANDONED;
        return STEP_OK;
    }
}

/* What can be refused without an event; the rest of `act` refuses before it changes anything. */
static enum hf_step check(struct verb *v, struct hf_str step_name)
{
    if (hf_saga_ended(v->s->saga.state)) {
        return refuse(v, HF_ERR_SAGA_ENDED);
    }
    v->i = UINT32_MAX;
    if (hf_str_present(step_name)) {
        v->i = hf_saga_definition_step(v->s->parsed, step_name);
        if (v->i == UINT32_MAX) {
            return refuse(v, HF_ERR_SAGA_STEP_NOT_FOUND);
        }
    }
    return STEP_OK;
}

static enum hf_step do_verb(struct verb *v, struct hf_str step_name)
{
    const struct hf_saga_op_fields *f = &v->command->fields;
    struct hf_draft_saga *s = v->s;
    v->done = false;
    enum hf_step step = check(v, step_name);
    if (step != STEP_OK || is_idle(v)) {
        return step;
    }
    step = hf_saga_event_begin(v->d, s, f->verb);
    if (step != STEP_OK) {
        return step;
    }
    s->saga.reason = f->reason;
    s->changed->actor = f->actor;
    step = act(v);
    if (step == STEP_REFUSED) {
        v->d->draft->commit.event_count--; /* the event that was begun: nothing came behind it */
        s->saga.reason = s->stored == NULL ? HF_STR_NONE : s->stored->reason;
        s->changed = NULL;
        return step;
    }
    if (step == STEP_OK && v->i != UINT32_MAX) {
        hf_saga_event_cause(s, v->i, 0, HF_STR_NONE);
    }
    if (step == STEP_OK) {
        step = hf_saga_advance(v->d, s);
    }
    v->done = true;
    return step == STEP_OK ? hf_saga_event_end(v->d, s) : step;
}

enum hf_step hf_decide_saga_verb(struct hf_deciding *d, const struct hf_op *op)
{
    const struct hf_saga_op_fields *f = &op->saga->fields;
    struct verb v = {.d = d, .command = op->saga};
    enum hf_step step = hf_draft_saga_find(d, &op->subject, &v.s);
    if (step != STEP_OK) {
        return step;
    }
    if (f->has_expected_version && f->expected_version != v.s->saga.version) {
        return refuse(&v, HF_ERR_CONDITION_FAILED);
    }
    step = do_verb(&v, f->step);
    d->idle_ops += step == STEP_OK && !v.done;
    return step;
}

/* ---- in bulk ---- */

struct bulk {
    struct hf_saga_bulk sums;
    struct hf_saga_bulk_refused *refused; /* room for the limit */
};

static enum hf_step do_one(struct hf_deciding *d, const struct hf_saga_command *command,
                           const struct hf_saga *saga, struct bulk *bulk)
{
    struct verb v = {.d = d, .command = command};
    enum hf_step step = hf_draft_saga(d, &saga->name, &v.s);
    if (step != STEP_OK) {
        return step;
    }
    bulk->sums.matched++;
    step = do_verb(&v, command->fields.filter.step);
    if (step == STEP_REFUSED) {
        bulk->refused[bulk->sums.refused_count++] =
            (struct hf_saga_bulk_refused){.saga = v.s->saga.name, .code = d->code};
        return STEP_OK;
    }
    bulk->sums.done += step == STEP_OK;
    return step;
}

static bool is_too_much(const struct hf_deciding *d)
{
    return d->saga_bytes >= HF_SAGA_COMMIT_BYTES_SOFT ||
           d->native_ops >= HF_SAGA_COMMIT_NATIVE_SOFT;
}

/* Only skip and retry are of a step; the filter's step is a filter to the others. */
enum hf_step hf_decide_saga_verbs(struct hf_deciding *d, const struct hf_op *op)
{
    const struct hf_saga_op_fields *f = &op->saga->fields;
    struct hf_saga_command command = *op->saga;
    struct hf_arena *arena = &d->draft->view.arena;
    struct bulk bulk = {.sums = {.verb = f->verb}};
    bulk.refused = hf_arena_alloc_zero(arena, f->limit, sizeof(*bulk.refused));
    struct hf_saga_bulk *sums = hf_arena_alloc(arena, sizeof(*sums));
    if (bulk.refused == NULL || sums == NULL) {
        return hf_short(d);
    }
    bool of_step = f->verb == HF_SAGA_ACT_RETRY || f->verb == HF_SAGA_ACT_SKIP;
    struct hf_saga_walk walk = hf_saga_walk_begin(&d->state->sagas, &f->filter, f->after);
    const struct hf_saga *saga;
    uint32_t seen = 0;
    while ((saga = hf_saga_walk_next(&walk)) != NULL) {
        if (hf_saga_matches(saga, &f->filter, arena)) {
            command.fields.filter.step = of_step ? f->filter.step : HF_STR_NONE;
            enum hf_step step = do_one(d, &command, saga, &bulk);
            if (step != STEP_OK) {
                return step;
            }
        }
        if (bulk.sums.matched == f->limit || ++seen == HF_SAGA_BULK_SCAN_MAX || is_too_much(d)) {
            bulk.sums.next = saga->name.text;
            break;
        }
    }
    struct hf_event *event = hf_draft_event(d, HF_EVENT_SAGA_VERBS);
    if (event == NULL) {
        return STEP_STOP;
    }
    *sums = bulk.sums;
    sums->refused = bulk.refused;
    event->saga_verbs = sums;
    return STEP_OK;
}
