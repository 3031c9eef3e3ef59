#include "core/queue.h"

#include "base/alloc.h"
#include "base/check.h"

void hf_queue_init(struct hf_queue *queue, uint64_t seed)
{
    *queue = (struct hf_queue){0};
    hf_table_init(&queue->subscriptions, seed);
    hf_table_init(&queue->by_uid, seed);
    hf_table_init(&queue->delayed, seed);
}

void hf_queue_release(struct hf_queue *queue)
{
    size_t at = 0;
    struct hf_delayed *delayed;
    while ((delayed = hf_table_next(&queue->delayed, &at)) != NULL) {
        hf_free(delayed);
    }
    at = 0;
    struct hf_subscription *subscription;
    while ((subscription = hf_table_next(&queue->subscriptions, &at)) != NULL) {
        hf_subscription_free(subscription);
    }
    hf_table_release(&queue->delayed);
    hf_table_release(&queue->subscriptions);
    hf_table_release(&queue->by_uid);
    *queue = (struct hf_queue){0};
}

struct hf_subscription *hf_queue_subscription(const struct hf_queue *queue, const struct hf_id *id)
{
    return hf_table_get(&queue->subscriptions, id);
}

struct hf_subscription *hf_queue_by_uid(const struct hf_queue *queue, uint64_t uid)
{
    struct hf_id id = hf_uid_id(uid);
    return hf_table_get(&queue->by_uid, &id);
}

const struct hf_delayed *hf_queue_delayed(const struct hf_queue *queue, uint64_t position,
                                          uint32_t index)
{
    struct hf_id id = hf_place_id(position, index);
    return hf_table_get(&queue->delayed, &id);
}

void hf_queue_verify(const struct hf_queue *queue)
{
    hf_table_verify(&queue->delayed);
    hf_table_verify(&queue->subscriptions);
    hf_table_verify(&queue->by_uid);
    HF_CHECK(queue->subscriptions.count == queue->by_uid.count);
    size_t at = 0;
    const struct hf_delayed *delayed;
    while ((delayed = hf_table_next(&queue->delayed, &at)) != NULL) {
        const struct hf_place *place = &delayed->message.message;
        HF_CHECK(delayed->due_us > 0);
        HF_CHECK(hf_queue_delayed(queue, place->position, place->index) == delayed);
    }
    at = 0;
    const struct hf_subscription *subscription;
    while ((subscription = hf_table_next(&queue->subscriptions, &at)) != NULL) {
        HF_CHECK(hf_queue_by_uid(queue, subscription->uid) == subscription);
        hf_subscription_verify(subscription);
    }
    for (subscription = queue->lagging; subscription != NULL;
         subscription = subscription->lagging_next) {
        HF_CHECK(!subscription->live);
    }
}
