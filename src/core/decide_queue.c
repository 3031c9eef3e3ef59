/* Messages: publishing, and arrival when they are due. */
#include "core/decide_priv.h"
#include "core/queue_op.h"

static enum hf_step publish(struct hf_deciding *d, const struct hf_op *op, uint64_t deliver_at_us)
{
    struct hf_event *event = hf_draft_event(d, HF_EVENT_MESSAGE_PUBLISHED);
    if (event == NULL) {
        return STEP_STOP;
    }
    event->published = (struct hf_published){
        .topic = op->subject,
        .key = op->queue->key,
        .key_hash = op->queue->key_hash,
        .type = op->type_text,
        .has_id = op->has_id,
        .id = op->id,
        .deliver_at_us = deliver_at_us,
        .data = op->data,
        .position = d->position,
        .index = d->draft->commit.event_count - 1,
    };
    if (!op->has_id) {
        return STEP_OK;
    }
    memcpy(event->published.content_hash, op->content_hash, sizeof(op->content_hash));
    return hf_draft_note(d, HF_INDEX_MESSAGE, &op->id.id);
}

enum hf_step hf_decide_publish(struct hf_deciding *d, const struct hf_op *op)
{
    if (op->has_id && hf_draft_id(d, HF_INDEX_MESSAGE, &op->id.id) != NULL) {
        return hf_refuse(d, HF_ERR_MESSAGE_EXISTS, HF_KIND_NONE, NULL); /* named twice */
    }
    bool later = op->queue->has_deliver_at && op->queue->deliver_at_us > d->time_us;
    if (later && op->queue->deliver_at_us - d->time_us > HF_MESSAGE_DELAY_US_MAX) {
        return hf_refuse(d, HF_ERR_LIMIT_EXCEEDED, HF_KIND_NONE, NULL);
    }
    return publish(d, op, later ? op->queue->deliver_at_us : 0);
}

enum hf_step hf_book_message(struct hf_deciding *d, const struct hf_id *place)
{
    const struct hf_delayed *delayed = hf_table_get(&d->state->queue.delayed, place);
    if (delayed == NULL || delayed->due_us > d->time_us) {
        return STEP_OK;
    }
    struct hf_event *event = hf_draft_event(d, HF_EVENT_MESSAGE_DUE);
    if (event == NULL) {
        return STEP_STOP;
    }
    event->due = delayed->message;
    return STEP_OK;
}

enum hf_step hf_current_message(struct hf_deciding *d, struct hf_entity *entity)
{
    const struct hf_event *event;
    bool spent;
    enum hf_step step = hf_find_event(d, HF_INDEX_MESSAGE, &d->current_name.id,
                                      HF_EVENT_BIT(HF_EVENT_MESSAGE_PUBLISHED), &event, &spent);
    if (step != STEP_OK || event == NULL) {
        return step;
    }
    entity->kind = HF_KIND_MESSAGE;
    entity->message = (struct hf_message){
        .name = event->published.id,
        .topic = event->published.topic,
        .key = event->published.key,
        .position = event->published.position,
        .index = event->published.index,
    };
    return STEP_OK;
}

enum hf_step hf_current_subscription(struct hf_deciding *d, struct hf_entity *entity)
{
    const struct hf_subscription *subscription =
        hf_queue_subscription(&d->state->queue, &d->current_name.id);
    if (subscription != NULL && hf_str_equal(subscription->name.text, d->current_name.text)) {
        entity->kind = HF_KIND_SUBSCRIPTION;
        entity->subscription = (struct hf_subscription_head){
            .name = subscription->name,
            .uid = subscription->uid,
            .version = subscription->version,
            .modified_at_us = subscription->modified_at_us,
        };
    }
    return STEP_OK;
}
