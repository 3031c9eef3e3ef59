/* The refusal's `current`: the thing that it is about, as a retry needs it. */
#include "core/decide_priv.h"

static enum hf_step current_transfer(struct hf_deciding *d, struct hf_entity *entity)
{
    const struct hf_event *event;
    const struct hf_event *reversal;
    bool spent;
    enum hf_step step = hf_find_event(d, HF_INDEX_TRANSFER, &d->current_name.id, HF_TRANSFER_EVENTS,
                                      &event, &spent);
    if (step != STEP_OK || event == NULL) {
        return step;
    }
    step = hf_find_event(d, HF_INDEX_REVERSAL, &d->current_name.id,
                         HF_EVENT_BIT(HF_EVENT_TRANSFER_POSTED), &reversal, &spent);
    if (step == STEP_OK) {
        entity->kind = HF_KIND_TRANSFER;
        entity->transfer = event->posting.transfer;
        entity->transfer.reversed = reversal == NULL ? 0 : reversal->posting.reversed_after;
    }
    return step;
}

static enum hf_step current_hold(struct hf_deciding *d, struct hf_entity *entity)
{
    struct hf_hold *hold;
    enum hf_step step = hf_draft_hold(d, &d->current_name, &hold);
    if (step != STEP_OK) {
        return step;
    }
    if (hold != NULL) {
        entity->kind = HF_KIND_HOLD;
        entity->hold = *hold;
        return STEP_OK;
    }
    const struct hf_event *event;
    bool spent;
    step = hf_find_event(d, HF_INDEX_HOLD, &d->current_name.id, HF_HOLD_EVENTS, &event, &spent);
    if (step == STEP_OK && event != NULL) {
        entity->kind = HF_KIND_HOLD;
        entity->hold = event->posting.hold;
    }
    return step;
}

static enum hf_step current_document(struct hf_deciding *d, struct hf_entity *entity)
{
    const struct hf_document *document = hf_state_document(d->state, &d->current_name.id);
    if (document == NULL || !document->exists) {
        return STEP_OK;
    }
    const struct hf_commit *commit = hf_view_commit(&d->draft->view, document->last_position);
    if (commit == NULL) {
        return STEP_STOP;
    }
    entity->kind = HF_KIND_DOCUMENT;
    entity->document = *document;
    entity->last_change_key = commit->key;
    return STEP_OK;
}

enum hf_step hf_fill_current(struct hf_deciding *d, struct hf_entity *entity)
{
    entity->kind = HF_KIND_NONE;
    if (d->current_kind == HF_KIND_ACCOUNT) {
        struct hf_account *account;
        enum hf_step step = hf_draft_account(d, &d->current_name, &account);
        if (step == STEP_OK && account != NULL) {
            entity->kind = HF_KIND_ACCOUNT;
            entity->account = *account;
        }
        return step;
    }
    if (d->current_kind == HF_KIND_STREAM) {
        const struct hf_stream *stream = hf_state_stream(d->state, &d->current_name.id);
        if (stream != NULL && hf_str_equal(stream->name.text, d->current_name.text)) {
            entity->kind = HF_KIND_STREAM;
            entity->stream = *stream;
        }
        return STEP_OK;
    }
    if (d->current_kind == HF_KIND_LEASE) {
        struct hf_lease *lease;
        enum hf_step step = hf_draft_lease(d, &d->current_name, &lease);
        if (step == STEP_OK && lease != NULL && lease->held) {
            entity->kind = HF_KIND_LEASE;
            entity->lease = *lease;
        }
        return step;
    }
    if (d->current_kind == HF_KIND_TRANSFER) {
        return current_transfer(d, entity);
    }
    if (d->current_kind == HF_KIND_HOLD) {
        return current_hold(d, entity);
    }
    if (d->current_kind == HF_KIND_MESSAGE) {
        return hf_current_message(d, entity);
    }
    if (d->current_kind == HF_KIND_SUBSCRIPTION) {
        return hf_current_subscription(d, entity);
    }
    if (d->current_kind == HF_KIND_SAGA) {
        return hf_current_saga(d, entity);
    }
    if (d->current_kind == HF_KIND_SAGA_DEFINITION) {
        return hf_current_saga_definition(d, entity);
    }
    return d->current_kind == HF_KIND_DOCUMENT ? current_document(d, entity) : STEP_OK;
}
