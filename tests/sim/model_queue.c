/* Topics and subscriptions: what has arrived, and the lines that it lies in. */
#include "sim/model_queue_priv.h"

#include <stdlib.h>

/* ---- looking ---- */

struct hf_naive_subscription *hf_naive_find(const struct hf_model *model,
                                            const struct hf_name *name)
{
    struct hf_naive_subscription *subscription = model->queue.subscriptions;
    while (subscription != NULL &&
           (subscription->gone || !hf_str_equal(subscription->name.text, name->text))) {
        subscription = subscription->next;
    }
    return subscription;
}

struct hf_naive_line *hf_naive_line(const struct hf_naive_subscription *subscription,
                                    const struct hf_id *id)
{
    struct hf_naive_line *line = subscription->lines;
    while (line != NULL && memcmp(line->id.bytes, id->bytes, sizeof(id->bytes)) != 0) {
        line = line->next;
    }
    return line;
}

static size_t bucket_of(const struct hf_place *place)
{
    return (place->position * 7 + place->index) % HF_NAIVE_BUCKETS;
}

struct hf_naive_message *hf_naive_message(const struct hf_naive_subscription *subscription,
                                          const struct hf_place *place)
{
    struct hf_naive_message *message = subscription->messages[bucket_of(place)];
    while (message != NULL &&
           (message->place.position != place->position || message->place.index != place->index)) {
        message = message->next;
    }
    return message;
}

/* ---- lines ---- */

static void unlink_line(struct hf_model *model, struct hf_naive_subscription *subscription,
                        struct hf_naive_line *line)
{
    struct hf_naive_line **at = &subscription->lines;
    while (*at != line) {
        at = &(*at)->next;
    }
    hf_model_touch_bytes(model, at, sizeof(struct hf_naive_line *));
    *at = line->next;
    subscription->line_count--;
}

static struct hf_naive_line *
new_line(struct hf_model *model, struct hf_naive_subscription *subscription, const struct hf_id *id)
{
    struct hf_naive_line *line = hf_arena_alloc_zero(&model->arena, 1, sizeof(*line));
    HF_CHECK(line != NULL);
    line->id = *id;
    line->born = ++subscription->orders;
    line->next = subscription->lines;
    subscription->lines = line;
    subscription->line_count++;
    return line;
}

void hf_naive_arrive(struct hf_model *model, struct hf_naive_subscription *subscription,
                     const struct hf_naive_news *news)
{
    struct hf_naive_message *message = hf_arena_alloc_zero(&model->arena, 1, sizeof(*message));
    HF_CHECK(message != NULL);
    struct hf_naive_message **bucket = &subscription->messages[bucket_of(&news->place)];
    struct hf_naive_message *before = hf_naive_message(subscription, &news->place);
    *message = (struct hf_naive_message){.place = news->place,
                                         .key_hash = news->key_hash,
                                         .at = HF_NAIVE_WAITING,
                                         .number = 1,
                                         .before = before,
                                         .next = *bucket};
    HF_MODEL_TOUCH(model, subscription);
    hf_model_touch_bytes(model, bucket, sizeof(struct hf_naive_message *));
    *bucket = message;
    subscription->arrived++;
    bool keyed = subscription->settings.order == HF_ORDER_KEY;
    struct hf_id id = keyed ? news->key_hash : (struct hf_id){{0}};
    struct hf_naive_line *line = hf_naive_line(subscription, &id);
    if (line == NULL) {
        line = new_line(model, subscription, &id);
        line->ready_order = ++subscription->orders;
        line->first = message;
    } else {
        HF_MODEL_TOUCH(model, line);
        HF_MODEL_TOUCH(model, line->last);
        line->last->behind = message;
        message->number = line->last->number + 1;
    }
    line->last = message;
    message->line = line;
}

void hf_naive_leave(struct hf_model *model, struct hf_naive_subscription *subscription,
                    struct hf_naive_message *message)
{
    struct hf_naive_line *line = message->line;
    HF_CHECK(line->first == message);
    HF_MODEL_TOUCH(model, subscription);
    HF_MODEL_TOUCH(model, line);
    HF_MODEL_TOUCH(model, message);
    line->first = message->behind;
    message->behind = NULL;
    message->line = NULL;
    if (line->first == NULL) {
        unlink_line(model, subscription, line);
    }
}

/* Position and index, big-endian, eight bytes each. */
static struct hf_id place_id(const struct hf_place *place)
{
    struct hf_id id;
    for (size_t i = 0; i < 8; i++) {
        id.bytes[i] = (uint8_t)(place->position >> (56 - 8 * i));
        id.bytes[8 + i] = (uint8_t)((uint64_t)place->index >> (56 - 8 * i));
    }
    return id;
}

struct hf_naive_line *hf_naive_own_line(struct hf_model *model,
                                        struct hf_naive_subscription *subscription,
                                        struct hf_naive_message *message)
{
    struct hf_id id = place_id(&message->place);
    HF_MODEL_TOUCH(model, subscription);
    HF_MODEL_TOUCH(model, message);
    struct hf_naive_line *line = new_line(model, subscription, &id);
    line->own = true;
    line->first = message;
    line->last = message;
    message->line = line;
    message->number = 1;
    return line;
}
