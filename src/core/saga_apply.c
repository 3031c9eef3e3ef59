/* Evolve of sagas: facts into the state. */
#include "core/saga_apply.h"

#include "base/alloc.h"
#include "base/check.h"
#include "core/feed_event.h"

/* ---- memory ---- */

static bool add_copy(struct hf_state *state, struct hf_str text)
{
    char *copy = hf_malloc(text.len + 1);
    if (copy != NULL) {
        memcpy(copy, text.ptr, text.len);
    }
    return hf_state_add_spare(state, copy);
}

static struct hf_str take_copy(struct hf_state *state, struct hf_str text)
{
    return (struct hf_str){hf_state_take_spare(state), text.len};
}

static bool stays_in_ram(struct hf_str text)
{
    return hf_str_present(text) && text.len <= HF_SAGA_INLINE_BYTES;
}

/* Also of a definition that this very commit stores; 0: there is none. */
static uint32_t step_count_of(const struct hf_state *state, struct hf_str name, uint64_t version)
{
    const struct hf_saga_stored_definition *definition =
        hf_sagas_definition(&state->sagas, name, version);
    const struct hf_saga_stored_definition *spare = state->sagas.spares;
    while (definition == NULL && spare != NULL) {
        definition =
            hf_str_equal(spare->name.text, name) && spare->version == version ? spare : NULL;
        spare = spare->next_spare;
    }
    return definition == NULL ? 0 : definition->parsed.step_count;
}

static bool reserve_definition(struct hf_state *state, const struct hf_saga_defined *defined)
{
    struct hf_malformed malformed = {0};
    struct hf_saga_stored_definition *definition =
        hf_saga_definition_new(&defined->definition, defined->version);
    if (definition == NULL) {
        return false;
    }
    if (!hf_saga_definition_parse(&definition->parsed, defined->text.text, &malformed)) {
        definition->parsed = (struct hf_saga_definition){0}; /* evolve will see that */
        if (malformed.code == HF_ERR_NO_MEMORY) {
            hf_saga_definition_free(definition);
            return false;
        }
    }
    hf_sagas_add_spare(&state->sagas, definition);
    return true;
}

/* Copies of the texts that an event leaves in RAM, in the order in which apply takes them. */
static bool reserve_texts(struct hf_state *state, const struct hf_saga_changed *changed)
{
    bool ok = !hf_str_present(changed->reason) || add_copy(state, changed->reason);
    for (uint32_t i = 0; ok && i < changed->after_count; i++) {
        if (stays_in_ram(changed->after[i].result.text)) {
            ok = add_copy(state, changed->after[i].result.text);
        }
    }
    return ok;
}

bool hf_saga_reserve_event(struct hf_state *state, const struct hf_event *event)
{
    if (event->type == HF_EVENT_SAGA_DEFINED) {
        return reserve_definition(state, &event->saga_defined);
    }
    if (event->type == HF_EVENT_SAGA_VERBS) {
        return true;
    }
    const struct hf_saga_changed *changed = event->saga;
    bool ok = true;
    if (event->type == HF_EVENT_SAGA_STARTED) {
        struct hf_sagas *sagas = &state->sagas;
        sagas->reserved_waits += changed->await_count;
        uint32_t step_count =
            step_count_of(state, changed->definition.text, changed->definition_version);
        ok = hf_table_reserve(&sagas->by_id, 1 + state->spare_count) &&
             hf_table_reserve(&sagas->waits, sagas->reserved_waits) &&
             hf_state_add_spare(state, hf_saga_new(changed, step_count)) &&
             (!stays_in_ram(changed->input.text) || add_copy(state, changed->input.text));
    }
    return ok && reserve_texts(state, changed);
}

/* What a feed event's awaiting sagas are listed by; NULL: none waits. */
static struct hf_saga_wait *waits_for(const struct hf_state *state, const struct hf_commit *commit,
                                      uint32_t index, struct hf_feed_event *event)
{
    if (state->sagas.wait_count == 0) {
        return NULL;
    }
    hf_feed_event_of(commit, index, event);
    if (!event->arrives || !hf_sagas_wait_for(&state->sagas, event->arrival_type)) {
        return NULL;
    }
    struct hf_id key_hash = hf_feed_key_hash(event);
    return hf_sagas_waits(&state->sagas, event->arrival_type, &key_hash);
}

void hf_saga_reserve(const struct hf_state *state, const struct hf_commit *commit, size_t *dues)
{
    *dues += state->sagas.reserved_waits; /* they may be met by a later event of this commit */
    for (uint32_t i = 0; state->sagas.wait_count > 0 && i < commit->event_count; i++) {
        struct hf_feed_event event;
        const struct hf_saga_wait *wait = waits_for(state, commit, i, &event);
        for (; wait != NULL; wait = wait->behind) {
            ++*dues;
        }
    }
}

/* ---- definitions ---- */

static bool apply_defined(struct hf_applying *a)
{
    const struct hf_saga_defined *defined = &a->event->saga_defined;
    struct hf_saga_stored_definition *definition = hf_sagas_take_spare(&a->state->sagas);
    definition->is_inline = defined->is_inline;
    definition->position = a->commit->position;
    definition->created_us = a->commit->time_us;
    const char *what = NULL;
    if (definition->parsed.step_count == 0 ||
        !hf_str_equal(definition->parsed.text, defined->text.text)) {
        what = "definition of a saga is malformed";
    } else if (defined->is_inline != (defined->definition.text.ptr[0] == '~')) {
        what = "name of a saga's definition is of another kind";
    } else if (!hf_sagas_enter_definition(&a->state->sagas, definition)) {
        what = "version of a saga's definition is there already";
    }
    if (what != NULL) {
        hf_saga_definition_free(definition);
        return hf_apply_damaged(a, what);
    }
    return true;
}

/* ---- steps ---- */

static struct hf_saga_text_at resolved(const struct hf_applying *a, struct hf_saga_text_at at)
{
    bool here = at.position == 0 && at.index == UINT32_MAX;
    return here ? (struct hf_saga_text_at){a->commit->position, a->index} : at;
}

static void take_steps(struct hf_applying *a, struct hf_saga *saga,
                       const struct hf_saga_changed *changed)
{
    for (uint32_t i = 0; i < changed->after_count; i++) {
        const struct hf_saga_step_after *after = &changed->after[i];
        struct hf_saga_step *step = &saga->steps[after->step];
        *step = after->after;
        step->request = resolved(a, step->request);
        step->result = resolved(a, step->result);
        step->error = resolved(a, step->error);
        step->awaited = resolved(a, step->awaited);
        step->poll = resolved(a, step->poll);
        if (stays_in_ram(after->result.text)) {
            struct hf_str *result = &saga->results[after->step];
            hf_free((void *)result->ptr);
            *result = take_copy(a->state, after->result.text);
        }
    }
}

static bool steps_fit(const struct hf_saga_changed *changed, uint32_t step_count)
{
    for (uint32_t i = 0; i < changed->after_count; i++) {
        if (changed->after[i].step >= step_count) {
            return false;
        }
    }
    return changed->step == UINT32_MAX || changed->step < step_count;
}

static bool awaits_fit(const struct hf_saga_changed *started,
                       const struct hf_saga_definition *definition)
{
    for (uint32_t i = 0; i < started->await_count; i++) {
        uint32_t step = started->awaits[i].step;
        if (step >= definition->step_count ||
            definition->steps[step].action.kind != HF_CALL_EVENT) {
            return false;
        }
    }
    return true;
}

/* ---- sagas ---- */

/* What all events of sagas leave behind; state and failing_us are the caller's. */
static void take_head(struct hf_applying *a, struct hf_saga *saga,
                      const struct hf_saga_changed *changed)
{
    saga->version = changed->version;
    saga->modified_us = a->commit->time_us;
    saga->last_position = a->commit->position;
    saga->last_index = a->index;
    saga->resumes = changed->resumes;
    saga->compensating = changed->compensating;
    saga->past_pivot = changed->past_pivot;
    hf_free((void *)saga->reason.ptr);
    saga->reason =
        hf_str_present(changed->reason) ? take_copy(a->state, changed->reason) : HF_STR_NONE;
    if (changed->due_us != saga->due_us) {
        saga->due_us = changed->due_us;
        hf_state_push_due(a->state, HF_KIND_SAGA, &saga->name.id, saga->due_us);
    }
    take_steps(a, saga, changed);
    if (changed->outcome != 0 && !changed->late) {
        a->state->sagas.attempts[changed->outcome]++;
    }
    if (saga->version % HF_SAGA_STRIDE == 0) {
        hf_apply_index(a, HF_INDEX_SAGA, &saga->name.id, saga->version, 0);
    }
}

static bool apply_started(struct hf_applying *a)
{
    const struct hf_saga_changed *started = a->event->saga;
    struct hf_sagas *sagas = &a->state->sagas;
    struct hf_saga_stored_definition *definition =
        hf_sagas_definition(sagas, started->definition.text, started->definition_version);
    struct hf_saga *saga = hf_state_take_spare(a->state);
    if (definition == NULL || hf_sagas_get(sagas, &started->saga.id) != NULL ||
        started->uid != hf_saga_uid(a->commit->position, a->index) || started->version != 1 ||
        started->previous_position != 0 || hf_saga_ended(started->state) || started->late ||
        (started->state == HF_SAGA_PAUSED) != (started->resumes != 0) ||
        !steps_fit(started, definition->parsed.step_count) ||
        !awaits_fit(started, &definition->parsed)) {
        hf_free(saga);
        return hf_apply_damaged(a, "saga can't begin like that");
    }
    saga->definition = definition;
    saga->started_us = a->commit->time_us;
    saga->started_position = a->commit->position;
    saga->input_index = a->index;
    uint64_t timeout_ms = definition->parsed.timeout_ms;
    if (timeout_ms > 0) {
        saga->deadline_us = hf_max_u64(saga->started_us, saga->not_before_us) + timeout_ms * 1000;
    }
    if (stays_in_ram(started->input.text)) {
        saga->input = take_copy(a->state, started->input.text);
    }
    take_head(a, saga, started);
    saga->state = started->state;
    saga->failing_us = started->failing_us;
    if (!hf_sagas_enter(sagas, saga)) {
        hf_saga_free(saga);
        return hf_apply_damaged(a, "saga's name is there already");
    }
    hf_apply_index(a, HF_INDEX_SAGA, &saga->name.id, 0, 0);
    return true;
}

/* A late answer is told and changes nothing; neither does anything else once the saga has ended. */
static bool is_bare(const struct hf_saga *saga, const struct hf_saga_changed *changed)
{
    return changed->after_count == 0 && changed->state == saga->state &&
           changed->resumes == saga->resumes && changed->compensating == saga->compensating &&
           changed->past_pivot == saga->past_pivot && changed->failing_us == saga->failing_us;
}

static bool follows(const struct hf_applying *a, const struct hf_saga *saga,
                    const struct hf_saga_changed *changed)
{
    bool was_ended = hf_saga_ended(saga->state);
    bool ends = !was_ended && hf_saga_ended(changed->state);
    bool forgets = changed->act == HF_SAGA_ACT_FORGET;
#ifdef HF_BUG_SAGA_COMPLETED_OVERWRITTEN
    was_ended = was_ended && forgets;
    ends = a->event->type == HF_EVENT_SAGA_ENDED;
#endif
    return changed->uid == saga->uid && hf_str_equal(changed->saga.text, saga->name.text) &&
           changed->version == saga->version + 1 &&
           changed->previous_position == saga->last_position &&
           ends == (a->event->type == HF_EVENT_SAGA_ENDED) &&
           (!was_ended || ((changed->late || forgets) && is_bare(saga, changed))) &&
           (!changed->late || is_bare(saga, changed)) && (!forgets || was_ended) &&
           (changed->state == HF_SAGA_PAUSED) == (changed->resumes != 0) &&
           (!saga->past_pivot || changed->past_pivot) &&
           steps_fit(changed, saga->definition->parsed.step_count);
}

static void forget(struct hf_applying *a, struct hf_saga *saga)
{
    struct hf_saga_stored_definition *definition = saga->definition;
    hf_sagas_drop(&a->state->sagas, saga);
    if (definition->is_inline && definition->sagas == 0) {
        hf_sagas_drop_definition(&a->state->sagas, definition);
    }
}

static bool apply_changed(struct hf_applying *a)
{
    const struct hf_saga_changed *changed = a->event->saga;
    struct hf_sagas *sagas = &a->state->sagas;
    struct hf_saga *saga = hf_sagas_get(sagas, &changed->saga.id);
    if (saga == NULL || !follows(a, saga, changed)) {
        return hf_apply_damaged(a, "saga does not follow from the one before");
    }
    bool forgets = changed->act == HF_SAGA_ACT_FORGET;
    take_head(a, saga, changed);
    hf_sagas_move(sagas, saga, changed->state, changed->failing_us);
    if (a->event->type == HF_EVENT_SAGA_ENDED) {
        saga->ended_us = a->commit->time_us;
        hf_sagas_finish(sagas, saga);
        hf_apply_index(a, HF_INDEX_SAGA, &saga->name.id, 0, 0);
    } else if (forgets) {
        forget(a, saga);
    }
    return true;
}

bool hf_saga_apply_event(struct hf_applying *a)
{
    switch ((unsigned)a->event->type) {
    case HF_EVENT_SAGA_DEFINED:
        return apply_defined(a);
    case HF_EVENT_SAGA_STARTED:
        return apply_started(a);
    case HF_EVENT_SAGA_VERBS:
        return true; /* it is for those who asked */
    default:
        return apply_changed(a);
    }
}

/* ---- awaited events ---- */

void hf_saga_note_event(struct hf_applying *a)
{
    struct hf_feed_event event;
    struct hf_saga_wait *wait;
    struct hf_saga_wait *next = waits_for(a->state, a->commit, a->index, &event);
    while ((wait = next) != NULL) {
        next = wait->behind;
        struct hf_saga *saga = wait->saga;
        struct hf_saga_step *step = &saga->steps[wait->await.step];
        hf_sagas_unlist(&a->state->sagas, wait);
        if (!hf_saga_step_awaits(step)) {
            continue;
        }
        step->awaited = (struct hf_saga_text_at){event.data_position, event.data_index};
        bool due = step->state == HF_STEP_WAITING && saga->state != HF_SAGA_PAUSED &&
                   (saga->due_us == 0 || saga->due_us > a->commit->time_us);
        if (due) {
            saga->due_us = a->commit->time_us;
            hf_state_push_due(a->state, HF_KIND_SAGA, &saga->name.id, saga->due_us);
        }
    }
}

/* ---- a new owner ---- */

static void forget_definite(struct hf_saga *saga)
{
    for (uint32_t i = 0; i < saga->definition->parsed.step_count; i++) {
        struct hf_saga_step *step = &saga->steps[i];
        bool http = saga->definition->parsed.steps[i].action.kind == HF_CALL_HTTP;
        step->unknown = step->unknown || (http && step->state == HF_STEP_RUNNING);
    }
}

void hf_sagas_takeover(struct hf_sagas *sagas)
{
    /* The states in which a call may be due: not those that wait, of which there may be millions. */
    static const enum hf_saga_state states[] = {HF_SAGA_RUNNING, HF_SAGA_COMPENSATING,
                                                HF_SAGA_PARKED, HF_SAGA_PAUSED};
    for (size_t i = 0; i < HF_ARRAY_COUNT(states); i++) {
        const struct hf_name *name = NULL;
        while ((name = hf_names_behind(&sagas->by_state[states[i]],
                                       name == NULL ? HF_STR("") : name->text, false)) != NULL) {
            forget_definite(HF_CONTAINER_OF(name, struct hf_saga, name));
        }
    }
}
