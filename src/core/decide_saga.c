/* Sagas in a decision: the copy that is moved, its event; what is started, defined, asked for by conditions. */
#include "core/decide_saga.h"

#include <stdio.h>

#include "base/check.h"

/* ---- the copy ---- */

static bool alloc_arrays(struct hf_deciding *d, struct hf_draft_saga *s)
{
    struct hf_arena *arena = &d->draft->view.arena;
    uint32_t count = s->parsed->step_count;
    s->saga.steps = hf_arena_alloc_zero(arena, count, sizeof(*s->saga.steps));
    s->saga.results = hf_arena_alloc_zero(arena, count, sizeof(*s->saga.results));
    s->requests = hf_arena_alloc_zero(arena, count, sizeof(*s->requests));
    s->payloads = hf_arena_alloc_zero(arena, count, sizeof(*s->payloads));
    return s->saga.steps != NULL && s->saga.results != NULL && s->requests != NULL &&
           s->payloads != NULL;
}

static enum hf_step copy_stored(struct hf_deciding *d, const struct hf_saga *stored,
                                struct hf_draft_saga **out)
{
    struct hf_draft_saga *s = hf_arena_alloc_zero(&d->draft->view.arena, 1, sizeof(*s));
    if (s == NULL) {
        return hf_short(d);
    }
    s->saga = *stored;
    s->stored = stored;
    s->parsed = &stored->definition->parsed;
    s->definition = stored->definition->name;
    s->definition_version = stored->definition->version;
    if (!alloc_arrays(d, s)) {
        return hf_short(d);
    }
    uint32_t count = s->parsed->step_count;
    memcpy(s->saga.steps, stored->steps, count * sizeof(*s->saga.steps));
    memcpy(s->saga.results, stored->results, count * sizeof(*s->saga.results));
    for (uint32_t i = 0; i < count; i++) {
        bool known = hf_str_present(s->saga.results[i]) || s->saga.steps[i].result.position == 0;
        s->results_known |= (uint64_t)known << i;
    }
    s->input_known = hf_str_present(s->saga.input);
    *out = s;
    return hf_draft_enter(d, &d->draft->sagas, &stored->name.id, s);
}

enum hf_step hf_draft_saga(struct hf_deciding *d, const struct hf_name *name,
                           struct hf_draft_saga **out)
{
    *out = hf_table_get(&d->draft->sagas, &name->id);
    const struct hf_saga *stored =
        *out != NULL ? &(*out)->saga : hf_sagas_get(&d->state->sagas, &name->id);
    if (stored == NULL) {
        return STEP_OK;
    }
    if (!hf_str_equal(stored->name.text, name->text)) {
        return hf_refuse(d, HF_ERR_ID_COLLISION, HF_KIND_NONE, NULL);
    }
    return *out != NULL ? STEP_OK : copy_stored(d, stored, out);
}

enum hf_step hf_draft_saga_find(struct hf_deciding *d, const struct hf_name *name,
                                struct hf_draft_saga **out)
{
    enum hf_step step = hf_draft_saga(d, name, out);
    return step == STEP_OK && *out == NULL ? hf_refuse(d, HF_ERR_SAGA_NOT_FOUND, HF_KIND_NONE, NULL)
                                           : step;
}

struct hf_saga_step *hf_saga_touch(struct hf_draft_saga *s, uint32_t step)
{
    HF_CHECK(s->changed != NULL && step < s->parsed->step_count);
    s->touched |= UINT64_C(1) << step;
    return &s->saga.steps[step];
}

/* ---- what follows from the steps ---- */

static bool is_action_in_flight(const struct hf_saga_step *step)
{
    return step->op == HF_SAGA_ACTION &&
           (step->state == HF_STEP_RUNNING || step->state == HF_STEP_WAITING);
}

/* Of a saga that goes on, apart from a pause. */
static enum hf_saga_state state_of(const struct hf_draft_saga *s)
{
    bool parked = false;
    bool runs = s->goes_on;
    bool waits = false;
    for (uint32_t i = 0; i < s->parsed->step_count; i++) {
        enum hf_step_state state = s->saga.steps[i].state;
        parked = parked || state == HF_STEP_PARKED;
        runs = runs || state == HF_STEP_RUNNING;
        waits = waits || state == HF_STEP_WAITING;
    }
    if (parked) {
        return HF_SAGA_PARKED;
    }
    if (s->saga.compensating) {
        return HF_SAGA_COMPENSATING;
    }
    return runs || !waits ? HF_SAGA_RUNNING : HF_SAGA_WAITING;
}

static uint64_t earlier(uint64_t due_us, uint64_t other_us)
{
    return other_us == 0 || (due_us != 0 && due_us <= other_us) ? due_us : other_us;
}

static uint64_t step_due(const struct hf_deciding *d, const struct hf_draft_saga *s, uint32_t i)
{
    const struct hf_saga_step *step = &s->saga.steps[i];
    enum hf_call_kind kind = s->parsed->steps[i].action.kind;
    bool active = step->state == HF_STEP_RUNNING || step->state == HF_STEP_WAITING ||
                  step->state == HF_STEP_COMPENSATING_WAITING;
    uint64_t due_us = active ? step->deadline_us : 0;
    if (step->state == HF_STEP_WAITING && (kind == HF_CALL_SLEEP || kind == HF_CALL_UNTIL)) {
        due_us = earlier(due_us, step->due_us);
    }
    if (step->state == HF_STEP_WAITING && kind == HF_CALL_EVENT && step->awaited.position != 0) {
        due_us = earlier(due_us, d->time_us);
    }
    return due_us;
}

/* When the timer has to look at it again; 0: never. */
static uint64_t due_of(const struct hf_deciding *d, const struct hf_draft_saga *s)
{
    const struct hf_saga *saga = &s->saga;
    if (hf_saga_ended(saga->state)) {
        return d->time_us + s->parsed->keep_ms * 1000;
    }
    if (saga->state == HF_SAGA_PAUSED) {
        return 0;
    }
    if (saga->state == HF_SAGA_SCHEDULED) {
        return saga->not_before_us;
    }
    if (s->goes_on) {
        return d->time_us;
    }
    uint64_t due_us = 0;
    bool in_flight = false;
    for (uint32_t i = 0; i < s->parsed->step_count; i++) {
        due_us = earlier(due_us, step_due(d, s, i));
        in_flight = in_flight || is_action_in_flight(&saga->steps[i]);
    }
    bool whole = !saga->past_pivot && (!saga->compensating || in_flight);
    return whole ? earlier(due_us, saga->deadline_us) : due_us;
}

static uint64_t failing_of(const struct hf_draft_saga *s)
{
    uint64_t failing_us = 0;
    for (uint32_t i = 0; i < s->parsed->step_count; i++) {
        failing_us = earlier(failing_us, s->saga.steps[i].failing_us);
    }
    return failing_us;
}

/* ---- the event ---- */

enum hf_step hf_saga_event_begin(struct hf_deciding *d, struct hf_draft_saga *s,
                                 enum hf_saga_act act)
{
    HF_CHECK(s->changed == NULL);
    bool starts = s->stored == NULL && s->saga.version == 0;
    s->event = hf_draft_event(d, starts ? HF_EVENT_SAGA_STARTED : HF_EVENT_SAGA_CHANGED);
    s->changed = hf_arena_alloc_zero(&d->draft->view.arena, 1, sizeof(*s->changed));
    if (s->event == NULL || s->changed == NULL) {
        return hf_short(d);
    }
    if (act == HF_SAGA_ACT_NATIVE || (act == HF_SAGA_ACT_START && !starts)) {
        s->event->operation = HF_NO_OPERATION; /* an operation has one result: its first event */
    }
    s->event->saga = s->changed;
    s->event_index = d->draft->commit.event_count - 1;
    s->changed->act = act;
    s->changed->step = UINT32_MAX;
    s->touched = 0;
    s->is_verb = act >= HF_SAGA_ACT_RETRY && act <= HF_SAGA_ACT_ABANDON;
    s->goes_on = false;
    return STEP_OK;
}

void hf_saga_event_cause(struct hf_draft_saga *s, uint32_t step, enum hf_saga_outcome outcome,
                         struct hf_str error)
{
    s->changed->step = step;
    s->changed->step_name = s->parsed->steps[step].name;
    s->changed->op = s->saga.steps[step].op;
    s->changed->attempt = s->saga.steps[step].attempts;
    s->changed->outcome = outcome;
    s->changed->error = error;
}

static void resolve(const struct hf_deciding *d, const struct hf_draft_saga *s,
                    struct hf_saga_text_at *at)
{
    if (at->position == 0 && at->index == UINT32_MAX) {
        *at = (struct hf_saga_text_at){d->position, s->event_index};
    }
}

/* The touched steps as they are; in the copy their texts are then where the event is. */
static enum hf_step take_after(struct hf_deciding *d, struct hf_draft_saga *s)
{
    uint32_t count = (uint32_t)__builtin_popcountll(s->touched);
    struct hf_saga_step_after *list =
        hf_arena_alloc_zero(&d->draft->view.arena, count, sizeof(*list));
    if (list == NULL) {
        return hf_short(d);
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < s->parsed->step_count; i++) {
        if ((s->touched >> i & 1) == 0) {
            continue;
        }
        struct hf_saga_step *step = &s->saga.steps[i];
        list[at++] = (struct hf_saga_step_after){
            .step = i, .after = *step, .request = s->requests[i], .result = s->payloads[i]};
        s->requests[i] = (struct hf_payload){0};
        s->payloads[i] = (struct hf_payload){0};
        resolve(d, s, &step->request);
        resolve(d, s, &step->result);
        resolve(d, s, &step->error);
        resolve(d, s, &step->poll);
    }
    s->changed->after = list;
    s->changed->after_count = count;
    return STEP_OK;
}

static void take_start(struct hf_draft_saga *s)
{
    struct hf_saga_changed *changed = s->changed;
    changed->definition = s->definition;
    changed->definition_version = s->definition_version;
    changed->business_key = s->saga.business_key;
    changed->tags = s->saga.tags;
    changed->not_before_us = s->saga.not_before_us;
    memcpy(changed->secret, s->saga.secret, sizeof(changed->secret));
    memcpy(changed->content_hash, s->saga.content_hash, sizeof(changed->content_hash));
    changed->awaits = s->awaits;
    changed->await_count = s->await_count;
}

/* All that does not depend on what happened. */
static void take_head(struct hf_deciding *d, struct hf_draft_saga *s)
{
    struct hf_saga *saga = &s->saga;
    struct hf_saga_changed *changed = s->changed;
    saga->version++;
    changed->saga = saga->name;
    changed->uid = saga->uid;
    changed->version = saga->version;
    changed->previous_position = saga->last_position;
    changed->state = saga->state;
    changed->resumes = saga->resumes;
    changed->compensating = saga->compensating;
    changed->past_pivot = saga->past_pivot;
    changed->failing_us = saga->failing_us;
    changed->due_us = saga->due_us;
    changed->reason = saga->reason;
    saga->last_position = d->position;
    saga->last_index = s->event_index;
    saga->modified_us = d->time_us;
    s->event = NULL;
    s->changed = NULL;
}

enum hf_step hf_saga_event_end(struct hf_deciding *d, struct hf_draft_saga *s)
{
    struct hf_saga *saga = &s->saga;
    enum hf_step step = take_after(d, s);
    if (step != STEP_OK) {
        return step;
    }
    if (saga->state == HF_SAGA_PAUSED) {
        saga->resumes = saga->resumes == HF_SAGA_SCHEDULED ? HF_SAGA_SCHEDULED : state_of(s);
    } else if (!hf_saga_ended(saga->state)) {
        saga->state = saga->state == HF_SAGA_SCHEDULED ? HF_SAGA_SCHEDULED : state_of(s);
        saga->resumes = 0;
    } else {
        saga->resumes = 0;
        saga->ended_us = d->time_us;
        s->event->type = HF_EVENT_SAGA_ENDED;
    }
    bool goes_forward = saga->state == HF_SAGA_RUNNING || saga->state == HF_SAGA_WAITING ||
                        saga->state == HF_SAGA_SCHEDULED || saga->state == HF_SAGA_SUCCEEDED;
    if (goes_forward && !s->is_verb) {
        saga->reason = HF_STR_NONE;
    }
    saga->failing_us = hf_saga_ended(saga->state) ? 0 : failing_of(s);
    saga->due_us = due_of(d, s);
    if (saga->version == 0) {
        take_start(s);
    }
    take_head(d, s);
    return STEP_OK;
}

enum hf_step hf_saga_late(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t step,
                          const struct hf_saga_changed *told)
{
    enum hf_step begun = hf_saga_event_begin(d, s, told->act);
    if (begun != STEP_OK) {
        return begun;
    }
    *s->changed = *told;
    s->changed->late = true;
    s->changed->step = step;
    s->changed->step_name = s->parsed->steps[step].name;
    take_head(d, s);
    return STEP_OK;
}

enum hf_step hf_saga_reason(struct hf_deciding *d, struct hf_draft_saga *s, uint32_t step,
                            struct hf_str error)
{
    if (s->is_verb) {
        return STEP_OK; /* the operator has said why */
    }
    char text[HF_SAGA_ERROR_BYTES_MAX + 1];
    struct hf_str name = s->parsed->steps[step].name;
    int len = snprintf(text, sizeof(text), "%.*s: %.*s", (int)name.len, name.ptr, (int)error.len,
                       error.len == 0 ? "" : error.ptr);
    size_t kept = (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1;
    s->saga.reason = hf_arena_copy(&d->draft->view.arena, (struct hf_str){text, kept});
    return s->saga.reason.ptr == NULL ? hf_short(d) : STEP_OK;
}

/* ---- started ---- */

/* An inline definition comes with the first saga that uses it. */
static enum hf_step define_inline(struct hf_deciding *d, const struct hf_saga_command *command)
{
    if (hf_sagas_definition(&d->state->sagas, command->definition.text,
                            command->definition_version) != NULL ||
        hf_draft_id(d, HF_INDEX_KIND_COUNT, &command->definition.id) != NULL) {
        return STEP_OK;
    }
    struct hf_event *event = hf_draft_event(d, HF_EVENT_SAGA_DEFINED);
    if (event == NULL) {
        return STEP_STOP;
    }
    event->operation = HF_NO_OPERATION; /* the start is the operation's result */
    event->saga_defined = (struct hf_saga_defined){
        .definition = command->definition,
        .version = command->definition_version,
        .is_inline = true,
        .text = command->definition_text,
    };
    d->saga_bytes += command->definition_text.text.len;
    return hf_draft_note(d, HF_INDEX_KIND_COUNT,
                         &command->definition.id); /* in no index: a mark here */
}

static enum hf_step find_definition(struct hf_deciding *d, const struct hf_saga_command *command,
                                    struct hf_draft_saga *s)
{
    s->definition = command->definition;
    s->definition_version = command->definition_version;
    if (command->parsed != NULL) {
        s->parsed = command->parsed;
        return define_inline(d, command);
    }
    const struct hf_saga_stored_definition *stored = hf_sagas_definition(
        &d->state->sagas, command->definition.text, command->definition_version);
    if (stored == NULL) {
        return hf_refuse(d, HF_ERR_SAGA_DEFINITION_NOT_FOUND, HF_KIND_NONE, NULL);
    }
    s->parsed = &stored->parsed;
    s->definition = stored->name;
    return STEP_OK;
}

/* The saga's name: given and free, or the server's. */
static enum hf_step new_name(struct hf_deciding *d, const struct hf_op *op, struct hf_name *name)
{
    if (!op->has_id) {
        return hf_server_name(d, name);
    }
    struct hf_draft_saga *there;
    enum hf_step step = hf_draft_saga(d, &op->id, &there);
    *name = op->id;
    return step == STEP_OK && there != NULL
               ? hf_refuse(d, HF_ERR_SAGA_EXISTS, HF_KIND_SAGA, &op->id)
               : step;
}

static enum hf_step start(struct hf_deciding *d, const struct hf_op *op, struct hf_draft_saga *s)
{
    const struct hf_saga_command *command = op->saga;
    struct hf_saga *saga = &s->saga;
    saga->business_key = command->fields.business_key;
    saga->tags = command->tags;
    saga->started_us = d->time_us;
    saga->input = command->input.text;
    s->input_known = true;
    s->results_known = UINT64_MAX;
    memcpy(saga->secret, command->fields.secret, sizeof(saga->secret));
    memcpy(saga->content_hash, op->content_hash, sizeof(saga->content_hash));
    bool later = command->not_before_us > d->time_us;
    saga->not_before_us = later ? command->not_before_us : 0;
    saga->state = later ? HF_SAGA_SCHEDULED : HF_SAGA_RUNNING;
    if (s->parsed->timeout_ms > 0) {
        saga->deadline_us =
            hf_max_u64(d->time_us, saga->not_before_us) + s->parsed->timeout_ms * 1000;
    }
    for (uint32_t i = 0; i < s->parsed->step_count; i++) {
        saga->steps[i] = (struct hf_saga_step){.state = HF_STEP_PENDING, .op = HF_SAGA_ACTION};
    }
    enum hf_step step = hf_saga_event_begin(d, s, HF_SAGA_ACT_START);
    if (step != STEP_OK) {
        return step;
    }
    saga->uid = hf_saga_uid(d->position, s->event_index);
    saga->started_position = d->position;
    saga->input_index = s->event_index;
    s->changed->input = command->input;
    d->saga_bytes += command->input.text.len;
    step = hf_draft_note(d, HF_INDEX_SAGA, &saga->name.id);
    if (step == STEP_OK) {
        step = hf_saga_register_awaits(d, s);
    }
    if (step == STEP_OK) {
        step = hf_saga_advance(d, s);
    }
    return step == STEP_OK ? hf_saga_event_end(d, s) : step;
}

enum hf_step hf_decide_start_saga(struct hf_deciding *d, const struct hf_op *op)
{
    struct hf_draft_saga *s = hf_arena_alloc_zero(&d->draft->view.arena, 1, sizeof(*s));
    if (s == NULL) {
        return hf_short(d);
    }
    enum hf_step step = new_name(d, op, &s->saga.name);
    if (step == STEP_OK) {
        step = find_definition(d, op->saga, s);
    }
    if (step != STEP_OK) {
        return step;
    }
    if (!alloc_arrays(d, s)) {
        return hf_short(d);
    }
    step = hf_draft_enter(d, &d->draft->sagas, &s->saga.name.id, s);
    return step == STEP_OK ? start(d, op, s) : step;
}

/* ---- defined ---- */

enum hf_step hf_decide_define_saga(struct hf_deciding *d, const struct hf_op *op)
{
    const struct hf_saga_command *command = op->saga;
    const struct hf_saga_stored_definition *stored = hf_sagas_definition(
        &d->state->sagas, command->definition.text, command->definition_version);
    if (stored != NULL && hf_str_equal(stored->parsed.text, command->definition_text.text)) {
        d->idle_ops++;
        return STEP_OK;
    }
    if (stored != NULL) {
        return hf_refuse(d, HF_ERR_DEFINITION_EXISTS, HF_KIND_SAGA_DEFINITION,
                         &command->definition);
    }
    struct hf_event *event = hf_draft_event(d, HF_EVENT_SAGA_DEFINED);
    if (event == NULL) {
        return STEP_STOP;
    }
    event->saga_defined = (struct hf_saga_defined){
        .definition = command->definition,
        .version = command->definition_version,
        .text = command->definition_text,
    };
    return STEP_OK;
}

/* ---- what others ask ---- */

enum hf_step hf_test_saga(struct hf_deciding *d, const struct hf_condition *condition)
{
    struct hf_draft_saga *s;
    enum hf_step step = hf_draft_saga(d, &condition->subject, &s);
    if (step != STEP_OK) {
        return step;
    }
    bool holds = s != NULL && s->saga.state == (enum hf_saga_state)condition->saga_state;
    return holds ? STEP_OK
                 : hf_refuse(d, HF_ERR_CONDITION_FAILED, HF_KIND_SAGA, &condition->subject);
}

enum hf_step hf_saga_is_live(struct hf_deciding *d, uint64_t uid, bool *live)
{
    struct hf_index_value at = {.position = uid >> HF_SAGA_UID_SHIFT,
                                .index = (uint32_t)(uid & ((1u << HF_SAGA_UID_SHIFT) - 1))};
    *live = true;
    if (at.position == d->position) {
        return STEP_OK; /* started by this very commit */
    }
    const struct hf_event *event =
        hf_view_event(&d->draft->view, &at, HF_EVENT_BIT(HF_EVENT_SAGA_STARTED));
    if (event == NULL) {
        return STEP_STOP;
    }
    struct hf_draft_saga *s;
    enum hf_step step = hf_draft_saga(d, &event->saga->saga, &s);
    *live = step == STEP_OK && s != NULL && !hf_saga_ended(s->saga.state);
    return step;
}

enum hf_step hf_current_saga(struct hf_deciding *d, struct hf_entity *entity)
{
    const struct hf_saga *saga = hf_sagas_get(&d->state->sagas, &d->current_name.id);
    if (saga != NULL && hf_str_equal(saga->name.text, d->current_name.text)) {
        entity->kind = HF_KIND_SAGA;
        entity->saga = (struct hf_saga_head){
            .name = saga->name,
            .version = saga->version,
            .state = (uint8_t)saga->state,
            .modified_at_us = saga->modified_us,
        };
    }
    return STEP_OK;
}

/* The version that was asked for is the command's. */
enum hf_step hf_current_saga_definition(struct hf_deciding *d, struct hf_entity *entity)
{
    const struct hf_op *op = &d->command->ops[0];
    entity->kind = HF_KIND_SAGA_DEFINITION;
    entity->saga_definition = (struct hf_saga_definition_head){
        .name = op->saga->definition, .version = op->saga->definition_version};
    return STEP_OK;
}

enum hf_step hf_decide_saga_op(struct hf_deciding *d, const struct hf_op *op)
{
    switch ((unsigned)op->type) {
    case HF_OP_DEFINE_SAGA:
        return hf_decide_define_saga(d, op);
    case HF_OP_START_SAGA:
        return hf_decide_start_saga(d, op);
    case HF_OP_COMPLETE_STEP:
    case HF_OP_FAIL_STEP:
        return hf_decide_step_outcome(d, op);
    case HF_OP_SAGA_ANSWER:
        return hf_decide_saga_answer(d, op);
    case HF_OP_SAGA_VERB:
        return hf_decide_saga_verb(d, op);
    default:
        HF_CHECK(op->type == HF_OP_SAGA_VERBS);
        return hf_decide_saga_verbs(d, op);
    }
}
