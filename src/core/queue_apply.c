/* Evolve of messages: published, delayed, due. */
#include "core/queue_apply.h"

#include "base/check.h"

/* The message as it waits. */
static struct hf_delayed delayed_of(const struct hf_commit *commit, uint32_t index)
{
    const struct hf_published *published = &commit->events[index]->published;
    return (struct hf_delayed){
        .due_us = published->deliver_at_us,
        .message =
            {
                .message = {.position = commit->position,
                            .index = index,
                            .bytes = (uint32_t)published->data.text.len},
                .topic = published->topic,
                .key = published->key,
                .key_hash = published->key_hash,
                .type = published->type,
            },
    };
}

bool hf_queue_reserve_event(struct hf_state *state, const struct hf_commit *commit, uint32_t index)
{
    const struct hf_event *event = commit->events[index];
    if (event->type == HF_EVENT_MESSAGE_PUBLISHED && event->published.deliver_at_us != 0) {
        struct hf_delayed delayed = delayed_of(commit, index);
        return hf_queue_reserve_delayed(&state->queue, &delayed.message.topic.id,
                                        state->spare_count) &&
               hf_state_add_spare(state, hf_delayed_new(&delayed));
    }
    return event->type <= HF_EVENT_MESSAGE_DUE || hf_subscription_reserve_event(state, event);
}

static bool apply_published(struct hf_applying *a)
{
    const struct hf_published *published = &a->event->published;
    if (published->has_id) {
        hf_apply_index(a, HF_INDEX_MESSAGE, &published->id.id, 0, 0);
    }
    if (published->deliver_at_us == 0) {
        return true;
    }
    if (published->deliver_at_us <= a->commit->time_us) {
        return hf_apply_damaged(a, "delayed message is due when it is published");
    }
    struct hf_delayed *delayed = hf_state_take_spare(a->state);
    struct hf_id id = hf_place_id(a->commit->position, a->index);
    hf_queue_put_delayed(&a->state->queue, delayed);
    hf_state_push_due(a->state, HF_KIND_MESSAGE, &id, delayed->due_us);
    return true;
}

static bool apply_due(struct hf_applying *a)
{
    const struct hf_message_due *due = &a->event->due;
    struct hf_id id = hf_place_id(due->message.position, due->message.index);
    struct hf_delayed *delayed = hf_table_get(&a->state->queue.delayed, &id);
    if (delayed == NULL || delayed->due_us > a->commit->time_us ||
        delayed->message.message.bytes != due->message.bytes ||
        !hf_name_equal(&delayed->message.topic, &due->topic) ||
        !hf_str_equal(delayed->message.key, due->key) ||
        !hf_id_equal(&delayed->message.key_hash, &due->key_hash) ||
        !hf_str_equal(delayed->message.type, due->type)) {
        return hf_apply_damaged(a, "message that is due was not delayed, or until later");
    }
    hf_queue_drop_delayed(&a->state->queue, &due->message);
    return true;
}

bool hf_queue_apply_event(struct hf_applying *a)
{
    if (a->event->type == HF_EVENT_MESSAGE_PUBLISHED) {
        return apply_published(a);
    }
    if (a->event->type == HF_EVENT_MESSAGE_DUE) {
        return apply_due(a);
    }
    HF_CHECK(a->event->type > HF_EVENT_MESSAGE_DUE);
    return hf_subscription_apply_event(a);
}
