#include "core/saga_text.h"

#include "core/feed_event.h"

static const struct hf_saga_changed *saga_event(const struct hf_event *event)
{
    bool is_saga = event->type == HF_EVENT_SAGA_STARTED || event->type == HF_EVENT_SAGA_CHANGED ||
                   event->type == HF_EVENT_SAGA_ENDED;
    return is_saga ? event->saga : NULL;
}

static const struct hf_saga_changed *changed_at(const struct hf_commit *commit, uint32_t index)
{
    return index < commit->event_count ? saga_event(commit->events[index]) : NULL;
}

static const struct hf_saga_step_after *after_at(const struct hf_commit *commit, uint32_t index,
                                                 uint32_t step)
{
    const struct hf_saga_changed *changed = changed_at(commit, index);
    for (uint32_t i = 0; changed != NULL && i < changed->after_count; i++) {
        if (changed->after[i].step == step) {
            return &changed->after[i];
        }
    }
    return NULL;
}

struct hf_str hf_saga_result_at(const struct hf_commit *commit, uint32_t index, uint32_t step)
{
    const struct hf_saga_step_after *after = after_at(commit, index, step);
    if (after != NULL) {
        return after->result.text;
    }
    if (index >= commit->event_count || changed_at(commit, index) != NULL) {
        return HF_STR_NONE;
    }
    struct hf_feed_event event;
    hf_feed_event_of(commit, index, &event);
    return event.payload == NULL ? HF_STR_NONE : event.payload->text;
}

struct hf_str hf_saga_request_at(const struct hf_commit *commit, uint32_t index, uint32_t step)
{
    const struct hf_saga_step_after *after = after_at(commit, index, step);
    return after == NULL ? HF_STR_NONE : after->request.text;
}

struct hf_str hf_saga_error_at(const struct hf_commit *commit, uint32_t index)
{
    const struct hf_saga_changed *changed = changed_at(commit, index);
    return changed == NULL ? HF_STR_NONE : changed->error;
}

struct hf_str hf_saga_poll_at(const struct hf_commit *commit, uint32_t index)
{
    const struct hf_saga_changed *changed = changed_at(commit, index);
    return changed == NULL ? HF_STR_NONE : changed->poll_at;
}

struct hf_str hf_saga_input_at(const struct hf_commit *commit, uint32_t index)
{
    const struct hf_saga_changed *changed = changed_at(commit, index);
    return changed == NULL ? HF_STR_NONE : changed->input.text;
}

const struct hf_event *hf_saga_event_find(const struct hf_commit *commit, const struct hf_id *saga,
                                          uint64_t version)
{
    for (uint32_t i = 0; i < commit->event_count; i++) {
        const struct hf_saga_changed *changed = saga_event(commit->events[i]);
        if (changed != NULL && changed->version == version &&
            hf_id_equal(&changed->saga.id, saga)) {
            return commit->events[i];
        }
    }
    return NULL;
}
