#include "api/saga_json.h"

#include "api/cursor.h"
#include "base/check.h"
#include "core/saga_wire.h"

static void put_word(struct hf_json_writer *w, const char *name, const char *word)
{
    hf_json_put_text(w, name, hf_str_from(word));
}

/* 0 is null. */
static void put_time(struct hf_json_writer *w, const char *name, uint64_t time_us)
{
    if (time_us == 0) {
        hf_json_put_null(w, name);
    } else {
        hf_json_put_time(w, name, time_us);
    }
}

static void put_text(struct hf_json_writer *w, const char *name, struct hf_str text)
{
    if (hf_str_present(text)) {
        hf_json_put_text(w, name, text);
    } else {
        hf_json_put_null(w, name);
    }
}

/* 0 is null. */
static void put_op_as(struct hf_json_writer *w, const char *name, unsigned op)
{
    put_text(w, name, op == 0 ? HF_STR_NONE : hf_str_from(hf_saga_op_wire((enum hf_saga_op)op)));
}

static void put_op(struct hf_json_writer *w, unsigned op)
{
    put_op_as(w, "op", op);
}

static void put_status(struct hf_json_writer *w, const char *name, uint16_t status)
{
    if (status == 0) {
        hf_json_put_null(w, name);
    } else {
        hf_json_put_number(w, name, status);
    }
}

static void put_definition(struct hf_json_writer *w, struct hf_str name, uint64_t version)
{
    hf_json_begin_object(w, "definition");
    hf_json_put_text(w, "name", name);
    hf_json_put_number(w, "version", version);
    hf_json_end_object(w);
}

/* ---- a saga ---- */

static bool is_under_way(enum hf_step_state state)
{
    return state == HF_STEP_RUNNING || state == HF_STEP_WAITING || state == HF_STEP_COMPENSATING ||
           state == HF_STEP_COMPENSATING_WAITING || state == HF_STEP_PARKED;
}

/* The members of a step that stand in a list, too. */
static void put_step_head(struct hf_json_writer *w, struct hf_str name,
                          const struct hf_saga_step *step)
{
    hf_json_put_text(w, "name", name);
    put_word(w, "state", hf_step_state_wire(step->state));
    put_op(w, step->state == HF_STEP_PENDING ? 0 : step->op);
    hf_json_put_number(w, "attempts", step->attempts);
    put_time(w, "began_at", step->began_us);
    put_time(w, "ended_at", step->ended_us);
    put_time(w, "next_attempt_at", step->due_us);
    put_time(w, "deadline", step->deadline_us);
    put_time(w, "failing_since", step->failing_us);
}

static void put_step(struct hf_json_writer *w, const struct hf_saga_reading *reading,
                     uint32_t index)
{
    const struct hf_saga_definition *definition = &reading->saga->definition->parsed;
    const struct hf_saga_step *step = &reading->saga->steps[index];
    hf_json_begin_object(w, NULL);
    put_step_head(w, definition->steps[index].name, step);
    put_text(w, "last_error", reading->errors == NULL ? HF_STR_NONE : reading->errors[index]);
    put_status(w, "last_status", step->last_status);
    hf_json_put_bool(w, "unknown", step->unknown);
    hf_json_put_raw(w, "result", reading->results == NULL ? HF_STR_NONE : reading->results[index]);
    hf_json_end_object(w);
}

/* Up to `reason`. */
static void put_head(struct hf_json_writer *w, const struct hf_saga *saga)
{
    hf_json_put_text(w, "id", saga->name.text);
    hf_json_put_number(w, "version", saga->version);
    put_definition(w, saga->definition->name.text, saga->definition->version);
    put_word(w, "state", hf_saga_state_wire(saga->state));
    put_text(w, "business_key", saga->business_key);
    hf_json_put_raw(w, "tags", saga->tags.text);
    hf_json_put_time(w, "started_at", saga->started_us);
    hf_json_put_time(w, "modified_at", saga->modified_us);
    put_time(w, "ended_at", saga->ended_us);
    put_time(w, "not_before", saga->not_before_us);
    put_time(w, "deadline", saga->deadline_us);
    put_time(w, "failing_since", saga->failing_us);
    put_text(w, "reason", saga->reason);
    hf_json_put_bool(w, "compensating", saga->compensating);
    hf_json_put_bool(w, "past_pivot", saga->past_pivot);
}

void hf_saga_json(struct hf_json_writer *w, const struct hf_saga_reading *reading)
{
    const struct hf_saga *saga = reading->saga;
    hf_json_begin_object(w, NULL);
    put_head(w, saga);
    hf_json_put_raw(w, "input", reading->input);
    hf_json_begin_array(w, "steps");
    for (uint32_t i = 0; i < saga->definition->parsed.step_count; i++) {
        put_step(w, reading, i);
    }
    hf_json_end_array(w);
    hf_json_end_object(w);
}

static void put_listed(struct hf_json_writer *w, const struct hf_saga *saga)
{
    const struct hf_saga_definition *definition = &saga->definition->parsed;
    hf_json_begin_object(w, NULL);
    put_head(w, saga);
    hf_json_begin_array(w, "under_way");
    for (uint32_t i = 0; i < definition->step_count; i++) {
        if (is_under_way(saga->steps[i].state)) {
            hf_json_begin_object(w, NULL);
            put_step_head(w, definition->steps[i].name, &saga->steps[i]);
            put_status(w, "last_status", saga->steps[i].last_status);
            hf_json_end_object(w);
        }
    }
    hf_json_end_array(w);
    hf_json_end_object(w);
}

void hf_saga_list_json(struct hf_json_writer *w, const struct hf_query *query,
                       const struct hf_reading *reading)
{
    hf_json_begin_object(w, NULL);
    hf_json_begin_array(w, "data");
    for (uint32_t i = 0; i < reading->saga_count; i++) {
        put_listed(w, reading->sagas[i].saga);
    }
    hf_json_end_array(w);
    hf_cursor_json(w, query, reading);
    hf_json_end_object(w);
}

/* ---- history ---- */

static const struct hf_saga_step_after *after_of(const struct hf_saga_changed *changed)
{
    for (uint32_t i = 0; i < changed->after_count; i++) {
        if (changed->after[i].step == changed->step) {
            return &changed->after[i];
        }
    }
    return NULL;
}

/* What an act did to the steps, each as it was afterwards; with the body that is to be sent, if a call was begun. */
static void put_changes(struct hf_json_writer *w, const struct hf_saga_definition *definition,
                        const struct hf_saga_changed *changed)
{
    hf_json_begin_array(w, "changes");
    for (uint32_t i = 0; i < changed->after_count; i++) {
        const struct hf_saga_step_after *after = &changed->after[i];
        hf_json_begin_object(w, NULL);
        hf_json_put_text(w, "step", definition->steps[after->step].name);
        put_word(w, "state", hf_step_state_wire(after->after.state));
        put_op(w, after->after.op);
        hf_json_put_number(w, "attempts", after->after.attempts);
        hf_json_put_bool(w, "unknown", after->after.unknown);
        put_time(w, "next_attempt_at", after->after.due_us);
        put_time(w, "deadline", after->after.deadline_us);
        if (hf_str_present(after->request.text)) {
            hf_json_put_raw(w, "request", after->request.text);
        }
        if (hf_str_present(after->result.text)) {
            hf_json_put_raw(w, "result", after->result.text);
        }
        hf_json_end_object(w);
    }
    hf_json_end_array(w);
}

/* The attempt that moved the saga, as far as one did. op: the member's name: a result has an `op` of its own. */
static void put_attempt(struct hf_json_writer *w, const char *op,
                        const struct hf_saga_changed *changed)
{
    bool attempted = changed->outcome != 0;
    put_text(w, "step", changed->step_name);
    put_op_as(w, op, changed->op);
    if (changed->attempt == 0) {
        hf_json_put_null(w, "attempt");
    } else {
        hf_json_put_number(w, "attempt", changed->attempt);
    }
    put_text(w, "outcome",
             attempted ? hf_str_from(hf_saga_outcome_wire(changed->outcome)) : HF_STR_NONE);
    hf_json_put_bool(w, "late", changed->late);
    put_status(w, "status", changed->status);
    put_text(w, "error", changed->error);
    if (changed->act == HF_SAGA_ACT_ANSWER) {
        hf_json_put_number(w, "duration_ms", changed->duration_ms);
    } else {
        hf_json_put_null(w, "duration_ms");
    }
}

static void put_act(struct hf_json_writer *w, const struct hf_saga_definition *definition,
                    const struct hf_commit *commit, const struct hf_saga_changed *changed)
{
    bool client = commit->origin == HF_ORIGIN_CLIENT;
    hf_json_begin_object(w, NULL);
    hf_json_put_number(w, "version", changed->version);
    hf_json_put_number(w, "position", commit->position);
    hf_json_put_time(w, "time", commit->time_us);
    put_word(w, "act", hf_saga_act_wire(changed->act));
    put_text(w, "principal", client ? commit->principal : HF_STR_NONE);
    put_text(w, "actor", changed->actor);
    put_text(w, "reason", changed->reason);
    put_attempt(w, "op", changed);
    put_word(w, "state", hf_saga_state_wire(changed->state));
    put_changes(w, definition, changed);
    hf_json_end_object(w);
}

void hf_saga_history_json(struct hf_json_writer *w, const struct hf_reading *reading)
{
    const struct hf_saga_definition *definition = &reading->saga.saga->definition->parsed;
    hf_json_begin_object(w, NULL);
    hf_json_begin_array(w, "data");
    for (uint32_t i = 0; i < reading->item_count; i++) {
        put_act(w, definition, reading->items[i].commit, reading->items[i].event->saga);
    }
    hf_json_end_array(w);
    if (reading->more) {
        hf_json_put_amount(w, "next", reading->next_from); /* as a string: opaque to users */
    } else {
        hf_json_put_null(w, "next");
    }
    hf_json_end_object(w);
}

/* ---- definitions ---- */

static void put_stored(struct hf_json_writer *w, const struct hf_saga_stored_definition *stored)
{
    hf_json_put_text(w, "name", stored->name.text);
    hf_json_put_number(w, "version", stored->version);
    hf_json_put_number(w, "position", stored->position);
    hf_json_put_time(w, "created_at", stored->created_us);
    hf_json_put_number(w, "sagas", stored->sagas);
    hf_json_begin_object(w, "by_state");
    for (size_t state = HF_SAGA_SCHEDULED; state < HF_SAGA_STATE_COUNT; state++) {
        if (stored->by_state[state] > 0) {
            hf_json_put_number(w, hf_saga_state_wire((enum hf_saga_state)state),
                               stored->by_state[state]);
        }
    }
    hf_json_end_object(w);
}

void hf_saga_definition_json(struct hf_json_writer *w, const struct hf_reading *reading)
{
    hf_json_begin_object(w, NULL);
    put_stored(w, reading->definitions[0]);
    hf_json_put_raw(w, "definition", reading->text.text);
    hf_json_end_object(w);
}

void hf_saga_definition_list_json(struct hf_json_writer *w, const struct hf_query *query,
                                  const struct hf_reading *reading)
{
    hf_json_begin_object(w, NULL);
    hf_json_begin_array(w, "data");
    for (uint32_t i = 0; i < reading->definition_count; i++) {
        hf_json_begin_object(w, NULL);
        put_stored(w, reading->definitions[i]);
        hf_json_end_object(w);
    }
    hf_json_end_array(w);
    hf_cursor_json(w, query, reading);
    hf_json_end_object(w);
}

/* ---- events ---- */

/* left: the saga's newest event, or this one. */
static void put_changed(struct hf_json_writer *w, const struct hf_saga_changed *changed,
                        const struct hf_saga_changed *left)
{
    hf_json_put_text(w, "saga", changed->saga.text);
    hf_json_put_number(w, "version", left->version);
    if (changed->act == HF_SAGA_ACT_START) {
        put_definition(w, changed->definition.text, changed->definition_version);
        put_text(w, "business_key", changed->business_key);
        put_time(w, "not_before", changed->not_before_us);
    }
    put_word(w, "act", hf_saga_act_wire(changed->act));
    put_word(w, "state", hf_saga_state_wire(left->state));
    put_time(w, "failing_since", left->failing_us);
    put_text(w, "reason", left->reason);
    if (hf_str_present(changed->actor)) {
        hf_json_put_text(w, "actor", changed->actor);
    }
    if (hf_str_present(changed->step_name)) {
        put_attempt(w, "step_op", changed);
    }
}

void hf_saga_bulk_json(struct hf_json_writer *w, const struct hf_saga_bulk *bulk)
{
    hf_json_put_number(w, "matched", bulk->matched);
    hf_json_put_number(w, "done", bulk->done);
    hf_json_begin_array(w, "refused");
    for (uint32_t i = 0; i < bulk->refused_count; i++) {
        const struct hf_saga_bulk_refused *refused = &bulk->refused[i];
        hf_json_begin_object(w, NULL);
        hf_json_put_text(w, "saga", refused->saga.text);
        put_word(w, "code", hf_err_wire(refused->code));
        hf_json_put_number(w, "status", (uint64_t)hf_err_status(refused->code));
        hf_json_end_object(w);
    }
    hf_json_end_array(w);
    put_text(w, "next", bulk->next);
}

void hf_saga_event_json(struct hf_json_writer *w, const struct hf_event *event)
{
    switch ((unsigned)event->type) {
    case HF_EVENT_SAGA_DEFINED:
        put_definition(w, event->saga_defined.definition.text, event->saga_defined.version);
        return;
    case HF_EVENT_SAGA_VERBS:
        put_word(w, "verb", hf_saga_act_wire(event->saga_verbs->verb));
        hf_saga_bulk_json(w, event->saga_verbs);
        return;
    default:
        HF_CHECK(event->type >= HF_EVENT_SAGA_STARTED && event->type <= HF_EVENT_SAGA_ENDED);
        put_changed(w, event->saga, event->saga);
        return;
    }
}

static bool is_of_saga(const struct hf_event *event)
{
    return event->type >= HF_EVENT_SAGA_STARTED && event->type <= HF_EVENT_SAGA_ENDED;
}

const struct hf_saga_changed *hf_saga_left_by(const struct hf_commit *commit,
                                              const struct hf_event *event)
{
    const struct hf_saga_changed *left = event->saga;
    for (uint32_t i = 0; i < commit->event_count; i++) {
        const struct hf_event *other = commit->events[i];
        if (is_of_saga(other) && hf_str_equal(other->saga->saga.text, left->saga.text) &&
            other->saga->version > left->version) {
            left = other->saga;
        }
    }
    return left;
}

void hf_saga_result_json(struct hf_json_writer *w, const struct hf_commit *commit,
                         const struct hf_event *event)
{
    if (is_of_saga(event)) {
        put_changed(w, event->saga, hf_saga_left_by(commit, event));
    } else {
        hf_saga_event_json(w, event);
    }
}

void hf_saga_event_texts_json(struct hf_json_writer *w, const struct hf_event *event)
{
    if (event->type == HF_EVENT_SAGA_DEFINED) {
        hf_json_put_raw(w, "data", event->saga_defined.text.text);
        return;
    }
    if (event->type == HF_EVENT_SAGA_VERBS) {
        return;
    }
    const struct hf_saga_changed *changed = event->saga;
    const struct hf_saga_step_after *after = after_of(changed);
    if (hf_str_present(changed->input.text)) {
        hf_json_put_raw(w, "input", changed->input.text);
    }
    if (hf_str_present(changed->tags.text)) {
        hf_json_put_raw(w, "tags", changed->tags.text);
    }
    if (after != NULL && hf_str_present(after->result.text)) {
        hf_json_put_raw(w, "result", after->result.text);
    }
}

const char *hf_saga_event_operation(const struct hf_event *event)
{
    if (event->type == HF_EVENT_SAGA_DEFINED || event->type == HF_EVENT_SAGA_STARTED ||
        event->type == HF_EVENT_SAGA_VERBS) {
        return hf_op_wire(event->type == HF_EVENT_SAGA_DEFINED   ? HF_OP_DEFINE_SAGA
                          : event->type == HF_EVENT_SAGA_STARTED ? HF_OP_START_SAGA
                                                                 : HF_OP_SAGA_VERBS);
    }
    switch (event->saga->act) {
    case HF_SAGA_ACT_START:
        return hf_op_wire(HF_OP_START_SAGA);
    case HF_SAGA_ACT_ANSWER:
        return hf_op_wire(HF_OP_SAGA_ANSWER);
    case HF_SAGA_ACT_COMPLETE:
        return hf_op_wire(HF_OP_COMPLETE_STEP);
    case HF_SAGA_ACT_FAIL:
        return hf_op_wire(HF_OP_FAIL_STEP);
    case HF_SAGA_ACT_RETRY:
    case HF_SAGA_ACT_PAUSE:
    case HF_SAGA_ACT_RESUME:
    case HF_SAGA_ACT_SKIP:
    case HF_SAGA_ACT_COMPENSATE:
    case HF_SAGA_ACT_ABANDON:
        return hf_saga_act_wire(event->saga->act);
    case HF_SAGA_ACT_NATIVE:
    case HF_SAGA_ACT_TIMER:
    case HF_SAGA_ACT_EVENT:
    case HF_SAGA_ACT_FORGET:
        break;
    }
    return NULL;
}
