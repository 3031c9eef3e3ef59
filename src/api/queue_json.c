/* Events of topics and subscriptions as JSON members. */
#include "api/queue_json.h"

#include <stdio.h>

#include "api/json_write.h"
#include "base/check.h"

static void put_string(struct hf_json_writer *w, const char *name, const char *text)
{
    hf_json_put_text(w, name, hf_str_from(text));
}

void hf_message_id_json(struct hf_json_writer *w, const char *name, uint64_t position,
                        uint32_t index)
{
    char text[HF_MESSAGE_ID_BYTES];
    (void)snprintf(text, sizeof(text), "%llu-%u", (unsigned long long)position, index);
    put_string(w, name, text);
}

static void put_place(struct hf_json_writer *w, const struct hf_place *place)
{
    hf_message_id_json(w, "message", place->position, place->index);
}

/* ---- messages ---- */

static void put_published(struct hf_json_writer *w, const struct hf_published *published)
{
    hf_json_put_text(w, "topic", published->topic.text);
    hf_message_id_json(w, "message", published->position, published->index);
    if (published->has_id) {
        hf_json_put_text(w, "id", published->id.text);
    }
    if (published->deliver_at_us != 0) {
        hf_json_put_time(w, "deliver_at", published->deliver_at_us);
    }
}

static void put_due(struct hf_json_writer *w, const struct hf_message_due *due)
{
    hf_json_put_text(w, "topic", due->topic.text);
    put_place(w, &due->message);
    hf_json_put_text(w, "key", due->key);
}

/* ---- subscriptions ---- */

void hf_filter_json(struct hf_json_writer *w, const char *name, const struct hf_filter *filter)
{
    hf_json_begin_object(w, name);
    if (hf_str_present(filter->topic.text)) {
        hf_json_put_text(w, "topic", filter->topic.text);
    }
    if (filter->type_count > 0) {
        hf_json_begin_array(w, "types");
        for (uint32_t i = 0; i < filter->type_count; i++) {
            hf_json_put_text(w, NULL, filter->types[i]);
        }
        hf_json_end_array(w);
    }
    if (hf_str_present(filter->prefix)) {
        hf_json_put_text(w, "prefix", filter->prefix);
    }
    if (filter->has_asset) {
        hf_json_put_text(w, "asset", hf_asset_str(&filter->asset));
    }
    if (filter->has_bucket) {
        char bucket[32];
        (void)snprintf(bucket, sizeof(bucket), "%u/%u", filter->bucket, filter->bucket_count);
        put_string(w, "bucket", bucket);
    }
    hf_json_end_object(w);
}

static void put_header(struct hf_json_writer *w, const struct hf_push_header *header)
{
    char name[HF_PUSH_HEADER_NAME_MAX + 1];
    (void)snprintf(name, sizeof(name), "%.*s", (int)header->name.len, header->name.ptr);
    if (!header->secret) {
        hf_json_put_text(w, name, header->value);
        return;
    }
    hf_json_begin_object(w, name);
    hf_json_put_text(w, "secret", header->value);
    hf_json_end_object(w);
}

static void put_push(struct hf_json_writer *w, const struct hf_push *push)
{
    hf_json_begin_object(w, "push");
    hf_json_put_text(w, "url", push->url);
    put_string(w, "mode", push->mode == HF_PUSH_BINARY ? "binary" : "structured");
    hf_json_begin_array(w, "secrets");
    for (uint32_t i = 0; i < push->secret_count; i++) {
        hf_json_put_text(w, NULL, push->secrets[i]);
    }
    hf_json_end_array(w);
    hf_json_put_number(w, "timeout_ms", push->timeout_ms);
    hf_json_put_number(w, "in_flight_max", push->in_flight_max);
    hf_json_begin_object(w, "headers");
    for (uint32_t i = 0; i < push->header_count; i++) {
        put_header(w, &push->headers[i]);
    }
    hf_json_end_object(w);
    if (push->disabled_us == 0) {
        hf_json_put_null(w, "disabled");
    } else {
        hf_json_begin_object(w, "disabled");
        hf_json_put_time(w, "at", push->disabled_us);
        hf_json_put_text(w, "reason", push->disabled_reason);
        hf_json_end_object(w);
    }
    hf_json_end_object(w);
}

void hf_settings_json(struct hf_json_writer *w, const struct hf_subscription_settings *settings)
{
    static const char *const exhausted[] = {
        [HF_EXHAUSTED_PARK_KEY] = "park_key",
        [HF_EXHAUSTED_PARK_MESSAGE] = "park_message",
        [HF_EXHAUSTED_BLOCK] = "block",
    };
    hf_filter_json(w, "filter", &settings->filter);
    put_string(w, "order", settings->order == HF_ORDER_KEY ? "key" : "none");
    hf_json_put_number(w, "attempts_max", settings->attempts_max);
    hf_json_put_number(w, "lease_ms", settings->lease_ms);
    hf_json_begin_object(w, "backoff");
    hf_json_put_number(w, "first_ms", settings->backoff_first_ms);
    hf_json_put_number(w, "max_ms", settings->backoff_max_ms);
    hf_json_end_object(w);
    put_string(w, "exhausted", exhausted[settings->exhausted]);
    hf_json_put_number(w, "in_flight_max", settings->in_flight_max);
    if (settings->push != NULL) {
        put_push(w, settings->push);
    }
}

static void put_change(struct hf_json_writer *w, const struct hf_event *event)
{
    const struct hf_subscription_change *change = event->subscription;
    hf_json_put_text(w, "subscription", change->subscription.text);
    hf_json_put_number(w, "version", change->version);
    if (event->type == HF_EVENT_SUBSCRIPTION_PUT) {
        hf_settings_json(w, &change->settings);
    }
    if (event->type == HF_EVENT_SUBSCRIPTION_SOUGHT) {
        hf_json_put_number(w, "scanned_position", change->scanned);
    }
}

static void put_scanned(struct hf_json_writer *w, const struct hf_scanned *scanned)
{
    hf_json_put_text(w, "subscription", scanned->subscription.text);
    hf_json_put_number(w, "from", scanned->from);
    hf_json_put_number(w, "through", scanned->through);
    hf_json_put_number(w, "arrivals", scanned->count);
}

/* ---- deliveries ---- */

static void put_delivered(struct hf_json_writer *w, const struct hf_delivered *delivered)
{
    hf_json_put_text(w, "subscription", delivered->subscription.text);
    if (hf_str_present(delivered->consumer)) {
        hf_json_put_text(w, "consumer", delivered->consumer);
    }
    hf_json_put_time(w, "deadline", delivered->deadline_us);
    hf_json_begin_array(w, "messages");
    for (uint32_t i = 0; i < delivered->count; i++) {
        hf_json_begin_object(w, NULL);
        put_place(w, &delivered->deliveries[i].message);
        hf_json_put_number(w, "attempt", delivered->deliveries[i].attempt);
        hf_json_end_object(w);
    }
    hf_json_end_array(w);
}

static const char *settlement_wire(enum hf_settlement settlement)
{
    static const char *const wires[] = {
        [HF_SETTLED_ACKED] = "acked",           [HF_SETTLED_NACKED] = "backing_off",
        [HF_SETTLED_TIMED_OUT] = "backing_off", [HF_SETTLED_PARKED] = "parked",
        [HF_SETTLED_DISCARDED] = "discarded",
    };
    return wires[settlement];
}

static void put_item_code(struct hf_json_writer *w, enum hf_err code)
{
    put_string(w, "code", hf_err_wire(code));
    hf_json_put_number(w, "status", (uint64_t)hf_err_status(code));
}

void hf_settled_item_json(struct hf_json_writer *w, const struct hf_settled_item *item)
{
    if (item->code != HF_ERR_OK) {
        put_item_code(w, item->code);
        return;
    }
    put_place(w, &item->message);
    put_string(w, "state", settlement_wire(item->settlement));
    bool backs_off =
        item->settlement == HF_SETTLED_NACKED || item->settlement == HF_SETTLED_TIMED_OUT;
    if (backs_off || item->settlement == HF_SETTLED_PARKED) {
        hf_json_put_number(w, "tries", item->tries);
    }
    if (backs_off) {
        hf_json_put_time(w, "not_before", item->not_before_us);
    }
}

static void put_settled(struct hf_json_writer *w, const struct hf_settled *settled)
{
    hf_json_put_text(w, "subscription", settled->subscription.text);
    if (!settled->batch && settled->count == 1) {
        hf_settled_item_json(w, &settled->items[0]);
        return;
    }
    hf_json_begin_array(w, "results");
    for (uint32_t i = 0; i < settled->count; i++) {
        hf_json_begin_object(w, NULL);
        hf_settled_item_json(w, &settled->items[i]);
        hf_json_end_object(w);
    }
    hf_json_end_array(w);
}

static void put_extended(struct hf_json_writer *w, const struct hf_extended *extended)
{
    hf_json_put_text(w, "subscription", extended->subscription.text);
    if (extended->code != HF_ERR_OK) {
        put_item_code(w, extended->code);
    } else {
        hf_json_put_time(w, "deadline", extended->deadline_us);
    }
}

static void put_redriven(struct hf_json_writer *w, const struct hf_redriven *redriven)
{
    static const char *const steps[] = {
        [HF_REDRIVE_MOVED] = "moved",
        [HF_REDRIVE_STARTED] = "started",
        [HF_REDRIVE_DONE] = "done",
        [HF_REDRIVE_CANCELLED] = "cancelled",
    };
    hf_json_put_text(w, "subscription", redriven->subscription.text);
    put_string(w, "redrive", steps[redriven->step]);
    if (redriven->step == HF_REDRIVE_STARTED) {
        hf_json_put_number(w, "rate_per_s", redriven->rate_per_s);
        hf_json_put_number(w, "total", redriven->total);
    } else if (redriven->step != HF_REDRIVE_CANCELLED) {
        hf_json_put_number(w, "moved", redriven->count);
    }
}

void hf_queue_event_json(struct hf_json_writer *w, const struct hf_event *event)
{
    switch ((unsigned)event->type) {
    case HF_EVENT_MESSAGE_PUBLISHED:
        put_published(w, &event->published);
        return;
    case HF_EVENT_MESSAGE_DUE:
        put_due(w, &event->due);
        return;
    case HF_EVENT_SUBSCRIPTION_PUT:
    case HF_EVENT_SUBSCRIPTION_DELETED:
    case HF_EVENT_SUBSCRIPTION_SOUGHT:
        put_change(w, event);
        return;
    case HF_EVENT_SUBSCRIPTION_SCANNED:
        put_scanned(w, &event->scanned);
        return;
    case HF_EVENT_MESSAGES_DELIVERED:
        put_delivered(w, &event->delivered);
        return;
    case HF_EVENT_MESSAGES_SETTLED:
        put_settled(w, &event->settled);
        return;
    case HF_EVENT_DELIVERY_EXTENDED:
        put_extended(w, &event->extended);
        return;
    default:
        HF_CHECK(event->type == HF_EVENT_MESSAGES_REDRIVEN);
        put_redriven(w, &event->redriven);
        return;
    }
}
