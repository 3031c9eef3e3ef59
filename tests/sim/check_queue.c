/* What topics and subscriptions did, held against the model: the words of the first difference. */
#include "sim/check_priv.h"

#include <stdio.h>

typedef unsigned long long ull;

static bool same_id(const struct hf_compare_at *c, const char *field, const struct hf_id *real,
                    const struct hf_id *model)
{
    return memcmp(real->bytes, model->bytes, sizeof(real->bytes)) == 0 ||
           hf_differ(c, field, "another one", "its own");
}

static bool same_place(const struct hf_compare_at *c, const struct hf_place *real,
                       const struct hf_place *model)
{
    if (real->position != model->position || real->index != model->index) {
        char texts[2][48];
        (void)snprintf(texts[0], sizeof(texts[0]), "%llu-%u", (ull)real->position, real->index);
        (void)snprintf(texts[1], sizeof(texts[1]), "%llu-%u", (ull)model->position, model->index);
        return hf_differ(c, "message", texts[0], texts[1]);
    }
    return hf_same_number(c, "bytes of the message", real->bytes, model->bytes);
}

static bool same_published(const struct hf_compare_at *c, const struct hf_published *real,
                           const struct hf_published *model)
{
    return hf_same_name(c, "topic", &real->topic, &model->topic) &&
           hf_same_text(c, "key", real->key, model->key) &&
           same_id(c, "hash of the key", &real->key_hash, &model->key_hash) &&
           hf_same_text(c, "type", real->type, model->type) &&
           hf_same_number(c, "has id", real->has_id, model->has_id) &&
           (!model->has_id || hf_same_name(c, "id", &real->id, &model->id)) &&
           hf_same_number(c, "deliver at", real->deliver_at_us, model->deliver_at_us) &&
           hf_same_text(c, "data", real->data.text, model->data.text);
}

static bool same_due(const struct hf_compare_at *c, const struct hf_message_due *real,
                     const struct hf_message_due *model)
{
    return same_place(c, &real->message, &model->message) &&
           hf_same_name(c, "topic", &real->topic, &model->topic) &&
           hf_same_text(c, "key", real->key, model->key) &&
           same_id(c, "hash of the key", &real->key_hash, &model->key_hash) &&
           hf_same_text(c, "type", real->type, model->type);
}

static bool same_filter(const struct hf_compare_at *c, const struct hf_filter *real,
                        const struct hf_filter *model)
{
    bool same = hf_same_text(c, "filter's topic", real->topic.text, model->topic.text) &&
                hf_same_text(c, "filter's prefix", real->prefix, model->prefix) &&
                hf_same_number(c, "filter's types", real->type_count, model->type_count);
    for (uint32_t i = 0; same && i < model->type_count; i++) {
        same = hf_same_text(c, "filter's type", real->types[i], model->types[i]);
    }
    return same && hf_same_number(c, "filter has asset", real->has_asset, model->has_asset) &&
           (!model->has_asset || hf_same_asset(c, &real->asset, &model->asset)) &&
           hf_same_number(c, "filter has bucket", real->has_bucket, model->has_bucket) &&
           (!model->has_bucket ||
            (hf_same_number(c, "filter's bucket", real->bucket, model->bucket) &&
             hf_same_number(c, "filter's buckets", real->bucket_count, model->bucket_count)));
}

bool hf_same_settings(const struct hf_compare_at *c, const struct hf_subscription_settings *real,
                      const struct hf_subscription_settings *model)
{
    return same_filter(c, &real->filter, &model->filter) &&
           hf_same_number(c, "order", real->order, model->order) &&
           hf_same_number(c, "exhausted", real->exhausted, model->exhausted) &&
           hf_same_number(c, "attempts max", real->attempts_max, model->attempts_max) &&
           hf_same_number(c, "lease", real->lease_ms, model->lease_ms) &&
           hf_same_number(c, "backoff first", real->backoff_first_ms, model->backoff_first_ms) &&
           hf_same_number(c, "backoff max", real->backoff_max_ms, model->backoff_max_ms) &&
           hf_same_number(c, "in flight max", real->in_flight_max, model->in_flight_max);
}

static bool same_change(const struct hf_compare_at *c, enum hf_event_type type,
                        const struct hf_subscription_change *real,
                        const struct hf_subscription_change *model)
{
    return hf_same_name(c, "subscription", &real->subscription, &model->subscription) &&
           hf_same_number(c, "uid", real->uid, model->uid) &&
           hf_same_number(c, "version", real->version, model->version) &&
           (type != HF_EVENT_SUBSCRIPTION_PUT ||
            hf_same_settings(c, &real->settings, &model->settings)) &&
           (type == HF_EVENT_SUBSCRIPTION_DELETED ||
            hf_same_number(c, "scanned", real->scanned, model->scanned));
}

static bool same_delivered(const struct hf_compare_at *c, const struct hf_delivered *real,
                           const struct hf_delivered *model)
{
    bool same = hf_same_name(c, "subscription", &real->subscription, &model->subscription) &&
                hf_same_number(c, "uid", real->uid, model->uid) &&
                hf_same_text(c, "consumer", real->consumer, model->consumer) &&
                hf_same_number(c, "lease", real->lease_ms, model->lease_ms) &&
                hf_same_number(c, "deadline", real->deadline_us, model->deadline_us);
    for (uint32_t i = 0; same && i < real->count && i < model->count; i++) {
        char part[40];
        (void)snprintf(part, sizeof(part), "delivery %u:", i);
        struct hf_compare_at item = {c->what, part, c->text};
        const struct hf_delivery *a = &real->deliveries[i];
        const struct hf_delivery *b = &model->deliveries[i];
        same = same_place(&item, &a->message, &b->message) &&
               same_id(&item, "line", &a->line, &b->line) &&
               same_id(&item, "line that it was in", &a->from_line, &b->from_line) &&
               hf_same_number(&item, "number", a->number, b->number) &&
               hf_same_number(&item, "attempt", a->attempt, b->attempt) &&
               hf_same_number(&item, "previous position", a->previous_position,
                              b->previous_position) &&
               hf_same_number(&item, "message behind it", a->behind.position, b->behind.position) &&
               (b->behind.position == 0 || same_place(&item, &a->behind, &b->behind));
    }
    return same && hf_same_number(c, "deliveries", real->count, model->count);
}

/* The model leaves the jitter open: up to half of the wait earlier. */
static bool same_not_before(const struct hf_compare_at *c, uint64_t real, uint64_t model,
                            uint64_t jitter_us)
{
    if (real <= model && real >= model - jitter_us) {
        return true;
    }
    char texts[2][64];
    (void)snprintf(texts[0], sizeof(texts[0]), "%llu", (ull)real);
    (void)snprintf(texts[1], sizeof(texts[1]), "%llu to %llu", (ull)(model - jitter_us),
                   (ull)model);
    return hf_differ(c, "not before", texts[0], texts[1]);
}

static bool same_item(const struct hf_compare_at *c, const struct hf_settled_item *a,
                      const struct hf_settled_item *b, uint64_t jitter_us)
{
    if (a->code != b->code) {
        return hf_differ(c, "answer", hf_err_wire(a->code), hf_err_wire(b->code));
    }
    if (!same_id(c, "line", &a->line, &b->line) ||
        !hf_same_number(c, "number", a->number, b->number)) {
        return false;
    }
    return b->code != HF_ERR_OK ||
           (hf_same_number(c, "settlement", a->settlement, b->settlement) &&
            hf_same_number(c, "repeated", a->repeated, b->repeated) &&
            same_place(c, &a->message, b->repeated ? &a->message : &b->message) &&
            hf_same_number(c, "message's position", a->message.position, b->message.position) &&
            hf_same_number(c, "message's index", a->message.index, b->message.index) &&
            hf_same_number(c, "token", a->token, b->token) &&
            hf_same_number(c, "tries", a->tries, b->tries) &&
            same_not_before(c, a->not_before_us, b->not_before_us, jitter_us) &&
            hf_same_number(c, "own line", a->own_line, b->own_line) &&
            hf_same_number(c, "previous position", a->previous_position, b->previous_position) &&
            hf_same_text(c, "error", a->error, b->error));
}

static bool same_settled(const struct hf_compare_at *c, const struct hf_settled *real,
                         const struct hf_settled *model)
{
    const uint64_t *jitters_us = hf_naive_jitters_us(model);
    bool same = hf_same_name(c, "subscription", &real->subscription, &model->subscription) &&
                hf_same_number(c, "uid", real->uid, model->uid) &&
                hf_same_number(c, "batch", real->batch, model->batch);
    for (uint32_t i = 0; same && i < real->count && i < model->count; i++) {
        char part[40];
        (void)snprintf(part, sizeof(part), "item %u:", i);
        struct hf_compare_at item = {c->what, part, c->text};
        same = same_item(&item, &real->items[i], &model->items[i], jitters_us[i]);
    }
    return same && hf_same_number(c, "items", real->count, model->count);
}

static bool same_extended(const struct hf_compare_at *c, const struct hf_extended *a,
                          const struct hf_extended *b)
{
    return hf_same_name(c, "subscription", &a->subscription, &b->subscription) &&
           hf_same_number(c, "uid", a->uid, b->uid) && same_id(c, "line", &a->line, &b->line) &&
           hf_same_number(c, "number", a->number, b->number) &&
           hf_same_number(c, "code", a->code, b->code) &&
           (b->code != HF_ERR_OK ||
            (hf_same_number(c, "token", a->token, b->token) &&
             hf_same_number(c, "lease", a->lease_ms, b->lease_ms) &&
             hf_same_number(c, "deadline", a->deadline_us, b->deadline_us)));
}

static bool same_redriven(const struct hf_compare_at *c, const struct hf_redriven *a,
                          const struct hf_redriven *b)
{
    bool same = hf_same_name(c, "subscription", &a->subscription, &b->subscription) &&
                hf_same_number(c, "uid", a->uid, b->uid) &&
                hf_same_number(c, "step", a->step, b->step) &&
                hf_same_number(c, "rate", a->rate_per_s, b->rate_per_s) &&
                hf_same_text(c, "error filter", a->error_filter, b->error_filter) &&
                hf_same_number(c, "total", a->total, b->total);
    for (uint32_t i = 0; same && i < a->count && i < b->count; i++) {
        same = same_id(c, "line", &a->lines[i], &b->lines[i]);
    }
    return same && hf_same_number(c, "lines", a->count, b->count);
}

bool hf_compare_queue_event(const struct hf_compare_at *c, const struct hf_event *real,
                            const struct hf_event *model)
{
    switch ((int)model->type) {
    case HF_EVENT_MESSAGE_PUBLISHED:
        return same_published(c, &real->published, &model->published);
    case HF_EVENT_MESSAGE_DUE:
        return same_due(c, &real->due, &model->due);
    case HF_EVENT_SUBSCRIPTION_PUT:
    case HF_EVENT_SUBSCRIPTION_DELETED:
    case HF_EVENT_SUBSCRIPTION_SOUGHT:
        return same_change(c, model->type, real->subscription, model->subscription);
    case HF_EVENT_MESSAGES_DELIVERED:
        return same_delivered(c, &real->delivered, &model->delivered);
    case HF_EVENT_MESSAGES_SETTLED:
        return same_settled(c, &real->settled, &model->settled);
    case HF_EVENT_DELIVERY_EXTENDED:
        return same_extended(c, &real->extended, &model->extended);
    case HF_EVENT_MESSAGES_REDRIVEN:
        return same_redriven(c, &real->redriven, &model->redriven);
    default:
        return true;
    }
}
