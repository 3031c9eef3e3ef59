/* What becomes of a saga that was moved: ready steps begin, native ones are done at once, what is over ends. */
#include <stdio.h>

#include "base/check.h"
#include "base/json.h"
#include "base/time_text.h"
#include "core/decide_saga.h"
#include "core/saga_text.h"

/* ---- texts ---- */

static enum hf_step load_input(struct hf_deciding *d, struct hf_draft_saga *s)
{
    if (s->input_known) {
        return STEP_OK;
    }
    const struct hf_commit *commit = hf_view_commit(&d->draft->view, s->saga.started_position);
    if (commit == NULL) {
        return STEP_STOP;
    }
    s->saga.input = hf_saga_input_at(commit, s->saga.input_index);
    s->input_known = true;
    return STEP_OK;
}

static enum hf_step load_result(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t i)
{
    if ((s->results_known >> i & 1) != 0) {
        return STEP_OK;
    }
    const struct hf_saga_text_at *at = &s->saga.steps[i].result;
    const struct hf_commit *commit = hf_view_commit(&d->draft->view, at->position);
    if (commit == NULL) {
        return STEP_STOP;
    }
    s->saga.results[i] = hf_saga_result_at(commit, at->index, i);
    s->results_known |= UINT64_C(1) << i;
    return STEP_OK;
}

/* All at once: what is cold is asked for together. */
enum hf_step hf_saga_load_texts(struct hf_deciding *d, struct hf_draft_saga *s,
                                const struct hf_template *template_)
{
    enum hf_step step = template_->input ? load_input(d, s) : STEP_OK;
    for (uint32_t i = 0; i < s->parsed->step_count; i++) {
        if ((template_->steps >> i & 1) != 0 && load_result(d, s, i) != STEP_OK) {
            step = STEP_STOP;
        }
    }
    return step;
}

static struct hf_saga_scope scope_of(const struct hf_draft_saga *s)
{
    return (struct hf_saga_scope){
        .saga_id = s->saga.name.text,
        .definition_name = s->definition.text,
        .business_key = s->saga.business_key,
        .definition_version = s->definition_version,
        .input = s->saga.input,
        .definition = s->parsed,
        .results = s->saga.results,
    };
}

static struct hf_str missing_text(struct hf_deciding *d, struct hf_str what)
{
    char text[256];
    size_t len = what.len < 160 ? what.len : 160;
    int size = snprintf(text, sizeof(text), "there is no string or integer at %.*s", (int)len,
                        len == 0 ? "" : what.ptr);
    return hf_arena_copy(&d->draft->view.arena, (struct hf_str){text, (size_t)size});
}

enum hf_step hf_saga_render(struct hf_deciding *d, struct hf_draft_saga *s,
                            const struct hf_template *template_, size_t most, struct hf_str *text,
                            struct hf_str *error)
{
    *error = HF_STR_NONE;
    *text = template_->text;
    if (template_->constant) {
        return STEP_OK;
    }
    enum hf_step step = hf_saga_load_texts(d, s, template_);
    if (step != STEP_OK) {
        return step;
    }
    struct hf_buffer out;
    hf_buffer_init(&out);
    struct hf_saga_scope scope = scope_of(s);
    struct hf_str what = HF_STR_NONE;
    enum hf_render render = hf_template_render(template_, &scope, most, &out, &what);
    if (render == HF_RENDER_OK) {
        *text = hf_arena_copy(&d->draft->view.arena,
                              (struct hf_str){(const char *)out.data, out.size_bytes});
    } else if (render == HF_RENDER_MISSING) {
        *error = missing_text(d, what);
    } else if (render == HF_RENDER_TOO_LARGE) {
        *error = HF_STR("what comes of the template is too large");
    }
    hf_buffer_release(&out);
    bool short_memory = render == HF_RENDER_NO_MEMORY || text->ptr == NULL ||
                        (render == HF_RENDER_MISSING && error->ptr == NULL);
    return short_memory ? hf_short(d) : STEP_OK;
}

/* ---- awaited events ---- */

/* The rendered key is a JSON string; *key absent: it is none. */
static enum hf_step render_key(struct hf_deciding *d, struct hf_draft_saga *s,
                               const struct hf_template *template_, struct hf_str *key)
{
    struct hf_str text;
    struct hf_str error;
    *key = HF_STR_NONE;
    enum hf_step step = hf_saga_render(d, s, template_, HF_SAGA_REQUEST_BYTES_MAX, &text, &error);
    if (step != STEP_OK || hf_str_present(error)) {
        return step;
    }
    struct hf_json json;
    hf_json_init(&json, text, &d->draft->view.arena);
    if (hf_json_next(&json) == HF_JSON_STRING) {
        *key = hf_json_string(&json, &d->draft->view.arena);
        return key->ptr == NULL ? hf_short(d) : STEP_OK;
    }
    return STEP_OK;
}

enum hf_step hf_saga_register_awaits(struct hf_deciding *d, struct hf_draft_saga *s)
{
    struct hf_saga_await awaits[HF_SAGA_STEPS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->parsed->step_count; i++) {
        const struct hf_saga_call *action = &s->parsed->steps[i].action;
        struct hf_str key;
        if (action->kind != HF_CALL_EVENT) {
            continue;
        }
        enum hf_step step = render_key(d, s, &action->event_key, &key);
        if (step != STEP_OK) {
            return step;
        }
        if (hf_str_present(key)) {
            struct hf_hash hash = hf_sha256(key.ptr, key.len);
            awaits[count].step = i;
            memcpy(awaits[count].key_hash.bytes, hash.bytes, sizeof(awaits[count].key_hash.bytes));
            count++;
        }
    }
    if (count == 0) {
        return STEP_OK;
    }
    struct hf_saga_await *list = hf_arena_alloc(&d->draft->view.arena, count * sizeof(*list));
    if (list == NULL) {
        return hf_short(d);
    }
    memcpy(list, awaits, count * sizeof(*list));
    s->awaits = list;
    s->await_count = count;
    return STEP_OK;
}

static bool is_registered(const struct hf_draft_saga *s, uint32_t step)
{
    for (uint32_t i = 0; i < s->await_count; i++) {
        if (s->awaits[i].step == step) {
            return true;
        }
    }
    for (uint32_t i = 0; s->stored != NULL && i < s->stored->wait_count; i++) {
        if (s->stored->waits[i].await.step == step) {
            return true;
        }
    }
    return false;
}

/* ---- beginning ---- */

/* The next attempt of the op; the caller sets state and due. */
static struct hf_saga_step *begin_op(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t i,
                                     enum hf_saga_op op)
{
    struct hf_saga_step *step = hf_saga_touch(s, i);
    step->attempts = step->op == op ? step->attempts + 1 : 1;
    step->op = op;
    step->conflicts = 0;
    step->polls = false;
    step->last_status = 0;
    step->began_us = step->attempts == 1 ? d->time_us : step->began_us;
    step->ended_us = 0;
    step->due_us = 0;
    step->failing_us = 0;
    step->error = (struct hf_saga_text_at){0};
    uint64_t timeout_ms = op == HF_SAGA_ACTION ? s->parsed->steps[i].timeout_ms : 0;
    step->deadline_us = timeout_ms == 0 ? 0 : d->time_us + timeout_ms * 1000;
    return step;
}

/* It can't be done: an event of its own tells that. The event under way tells what came before. */
static enum hf_step refuse_step(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t i,
                                enum hf_saga_op op, struct hf_str error)
{
    enum hf_step step = hf_saga_event_end(d, s);
    if (step == STEP_OK) {
        step = hf_saga_event_begin(d, s, HF_SAGA_ACT_NATIVE);
    }
    if (step != STEP_OK) {
        return step;
    }
    if (error.len > HF_SAGA_ERROR_BYTES_MAX) {
        error.len = HF_SAGA_ERROR_BYTES_MAX;
    }
    struct hf_saga_step *at = begin_op(d, s, i, op);
    at->error = HF_SAGA_THIS_EVENT;
    bool action = op == HF_SAGA_ACTION;
    hf_saga_event_cause(s, i, action ? HF_OUTCOME_FAIL : HF_OUTCOME_PARK, error);
    return action ? hf_saga_fail(d, s, i, error) : hf_saga_park(d, s, i, error);
}

static enum hf_step begin_http(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t i,
                               enum hf_saga_op op, const struct hf_saga_call *call)
{
    struct hf_str body = HF_STR("{}");
    struct hf_str error = HF_STR_NONE;
    enum hf_step result = STEP_OK;
    if (hf_str_present(call->body.text)) {
        result = hf_saga_render(d, s, &call->body, HF_SAGA_REQUEST_BYTES_MAX, &body, &error);
    }
    if (result != STEP_OK || hf_str_present(error)) {
        return result != STEP_OK ? result : refuse_step(d, s, i, op, error);
    }
    struct hf_saga_step *step = begin_op(d, s, i, op);
    step->state = op == HF_SAGA_ACTION ? HF_STEP_RUNNING : HF_STEP_COMPENSATING;
    step->due_us = d->time_us;
    step->request = HF_SAGA_THIS_EVENT;
    s->requests[i] = (struct hf_payload){.text = body, .hash = hf_sha256(body.ptr, body.len)};
    d->saga_bytes += body.len;
    return STEP_OK;
}

static enum hf_step begin_native(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t i,
                                 enum hf_saga_op op, const struct hf_saga_call *call)
{
    struct hf_str error = HF_STR_NONE;
    enum hf_step result = hf_saga_native(d, s, call, &error);
    if (result != STEP_OK || hf_str_present(error)) {
        return result != STEP_OK ? result : refuse_step(d, s, i, op, error);
    }
    (void)begin_op(d, s, i, op);
    hf_saga_succeed(d, s, i, NULL);
    return STEP_OK;
}

/* A timer, until when. */
static void begin_timer(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t i, uint64_t due_us)
{
    struct hf_saga_step *step = begin_op(d, s, i, HF_SAGA_ACTION);
    if (due_us <= d->time_us) {
        hf_saga_succeed(d, s, i, NULL);
        return;
    }
    step->state = HF_STEP_WAITING;
    step->due_us = due_us;
}

static enum hf_step begin_until(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t i,
                                const struct hf_template *until)
{
    struct hf_str text;
    uint64_t due_us;
    enum hf_step step = render_key(d, s, until, &text);
    if (step != STEP_OK) {
        return step;
    }
    if (!hf_str_present(text) || !hf_time_parse(text, &due_us)) {
        return refuse_step(d, s, i, HF_SAGA_ACTION,
                           HF_STR("until is no time: RFC 3339 in UTC is one"));
    }
    begin_timer(d, s, i, due_us);
    return STEP_OK;
}

/* The awaited event is there: its data is the result. */
static void take_awaited(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t i)
{
    hf_saga_succeed(d, s, i, NULL);
    struct hf_saga_step *step = &s->saga.steps[i];
    step->result = step->awaited;
    s->results_known &= ~(UINT64_C(1) << i);
}

static enum hf_step begin_event(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t i)
{
    if (!is_registered(s, i)) {
        return refuse_step(d, s, i, HF_SAGA_ACTION,
                           HF_STR("the key of the awaited event is no string"));
    }
    struct hf_saga_step *step = begin_op(d, s, i, HF_SAGA_ACTION);
    if (step->awaited.position != 0) {
        take_awaited(d, s, i);
        return STEP_OK;
    }
    step->state = HF_STEP_WAITING;
    if (step->deadline_us == 0) {
        step->deadline_us = d->time_us + HF_SAGA_WAIT_MS_DEFAULT * UINT64_C(1000);
    }
    return STEP_OK;
}

static enum hf_step begin_action(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t i)
{
    const struct hf_saga_step_definition *definition = &s->parsed->steps[i];
    const struct hf_saga_call *action = &definition->action;
    if (definition->when.present) {
        enum hf_step step = hf_saga_load_texts(d, s, &definition->when.value);
        if (step != STEP_OK) {
            return step;
        }
        struct hf_saga_scope scope = scope_of(s);
        bool short_memory = false;
        bool holds = hf_saga_when_holds(&definition->when, &scope, &short_memory);
        if (short_memory) {
            return hf_short(d);
        }
        if (!holds) {
            struct hf_saga_step *skipped = hf_saga_touch(s, i);
            skipped->state = HF_STEP_SKIPPED;
            skipped->ended_us = d->time_us;
            s->results_known |= UINT64_C(1) << i;
            return STEP_OK;
        }
    }
    switch (action->kind) {
    case HF_CALL_HTTP:
        return begin_http(d, s, i, HF_SAGA_ACTION, action);
    case HF_CALL_NATIVE:
        return begin_native(d, s, i, HF_SAGA_ACTION, action);
    case HF_CALL_SLEEP:
        begin_timer(d, s, i, d->time_us + action->sleep_ms * 1000);
        return STEP_OK;
    case HF_CALL_UNTIL:
        return begin_until(d, s, i, &action->until);
    case HF_CALL_EVENT:
        return begin_event(d, s, i);
    case HF_CALL_NONE:
        break;
    }
    (void)begin_op(d, s, i, HF_SAGA_ACTION);
    hf_saga_succeed(d, s, i, NULL);
    return STEP_OK;
}

static enum hf_step begin_compensation(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t i)
{
    const struct hf_saga_call *call = &s->parsed->steps[i].compensation;
    if (call->kind == HF_CALL_HTTP) {
        return begin_http(d, s, i, HF_SAGA_COMPENSATION, call);
    }
    if (call->kind == HF_CALL_NATIVE) {
        return begin_native(d, s, i, HF_SAGA_COMPENSATION, call);
    }
    (void)begin_op(d, s, i, HF_SAGA_COMPENSATION);
    hf_saga_succeed(d, s, i, NULL);
    return STEP_OK;
}

/* ---- forwards and backwards ---- */

static bool has_come_through(enum hf_step_state state)
{
    return state == HF_STEP_SUCCEEDED || state == HF_STEP_SKIPPED;
}

static bool is_ready(const struct hf_draft_saga *s, uint32_t i)
{
    if (s->saga.steps[i].state != HF_STEP_PENDING) {
        return false;
    }
    /* All that come before, directly or not: one between may have been skipped by hand ahead of its turn. */
    for (uint32_t j = 0; j < s->parsed->step_count; j++) {
        if ((s->parsed->steps[i].before >> j & 1) != 0 &&
            !has_come_through(s->saga.steps[j].state)) {
            return false;
        }
    }
    return true;
}

/* An action in flight settles before anything is undone. */
static bool has_settled(const struct hf_draft_saga *s)
{
    for (uint32_t i = 0; i < s->parsed->step_count; i++) {
        const struct hf_saga_step *step = &s->saga.steps[i];
        if (step->op == HF_SAGA_ACTION &&
            (step->state == HF_STEP_RUNNING || step->state == HF_STEP_WAITING)) {
            return false;
        }
    }
    return true;
}

static bool wants_undoing(enum hf_step_state state)
{
    return state == HF_STEP_SUCCEEDED || state == HF_STEP_UNKNOWN;
}

static bool is_undone(enum hf_step_state state)
{
    return state != HF_STEP_SUCCEEDED && state != HF_STEP_UNKNOWN &&
           state != HF_STEP_COMPENSATING && state != HF_STEP_COMPENSATING_WAITING &&
           state != HF_STEP_PARKED;
}

/* Everything behind it is undone. */
static bool is_next_to_undo(const struct hf_draft_saga *s, uint32_t i)
{
    if (!wants_undoing(s->saga.steps[i].state)) {
        return false;
    }
    for (uint32_t j = 0; j < s->parsed->step_count; j++) {
        if ((s->parsed->steps[j].before >> i & 1) != 0 && !is_undone(s->saga.steps[j].state)) {
            return false;
        }
    }
    return true;
}

/* The step to begin next; UINT32_MAX: none. */
static uint32_t next_step(const struct hf_draft_saga *s)
{
    bool back = s->saga.compensating;
    if (back && !has_settled(s)) {
        return UINT32_MAX;
    }
    for (uint32_t i = 0; i < s->parsed->step_count; i++) {
        if (back ? is_next_to_undo(s, i) : is_ready(s, i)) {
            return i;
        }
    }
    return UINT32_MAX;
}

static void end_if_over(struct hf_draft_saga *s)
{
    bool back = s->saga.compensating;
    if (back && !has_settled(s)) {
        return;
    }
    for (uint32_t i = 0; i < s->parsed->step_count; i++) {
        enum hf_step_state state = s->saga.steps[i].state;
        if (back ? !is_undone(state) : !has_come_through(state)) {
            return;
        }
    }
    s->saga.state = back ? HF_SAGA_COMPENSATED : HF_SAGA_SUCCEEDED;
}

static bool stands_still(const struct hf_draft_saga *s)
{
    return s->saga.state == HF_SAGA_SCHEDULED || s->saga.state == HF_SAGA_PAUSED ||
           hf_saga_ended(s->saga.state);
}

static bool is_too_much(const struct hf_deciding *d)
{
    return d->saga_bytes >= HF_SAGA_COMMIT_BYTES_SOFT ||
           d->native_ops >= HF_SAGA_COMMIT_NATIVE_SOFT;
}

/* Timers and awaited events whose time has come. */
static void take_due(struct hf_deciding *d, struct hf_draft_saga *s)
{
    for (uint32_t i = 0; i < s->parsed->step_count && !s->saga.compensating; i++) {
        const struct hf_saga_step *step = &s->saga.steps[i];
        enum hf_call_kind kind = s->parsed->steps[i].action.kind;
        bool timer = kind == HF_CALL_SLEEP || kind == HF_CALL_UNTIL;
        if (step->state != HF_STEP_WAITING) {
            continue;
        }
        if (timer && step->due_us <= d->time_us) {
            hf_saga_succeed(d, s, i, NULL);
        } else if (kind == HF_CALL_EVENT && step->awaited.position != 0) {
            (void)hf_saga_touch(s, i);
            take_awaited(d, s, i);
        }
    }
}

enum hf_step hf_saga_advance(struct hf_deciding *d, struct hf_draft_saga *s)
{
    if (stands_still(s)) {
        return STEP_OK;
    }
    take_due(d, s);
    uint32_t i;
    while ((i = next_step(s)) != UINT32_MAX) {
        if (is_too_much(d)) {
            s->goes_on = true;
            return STEP_OK;
        }
        enum hf_step step =
            s->saga.compensating ? begin_compensation(d, s, i) : begin_action(d, s, i);
        if (step != STEP_OK) {
            return step;
        }
    }
    end_if_over(s);
    if (hf_saga_ended(s->saga.state) && s->saga.version == 0) {
        /* It began and ended in one commit: two events. */
        enum hf_saga_state ended = s->saga.state;
        s->saga.state = HF_SAGA_RUNNING;
        enum hf_step step = hf_saga_event_end(d, s);
        if (step == STEP_OK) {
            step = hf_saga_event_begin(d, s, HF_SAGA_ACT_START);
        }
        s->saga.state = ended;
        return step;
    }
    return STEP_OK;
}
