#include "core/feed_event.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/sha256.h"

struct hf_str hf_feed_subject_prefix(enum hf_feed_subject subject)
{
    switch (subject) {
    case HF_SUBJECT_NONE:
        break;
    case HF_SUBJECT_ACCOUNTS:
        return HF_STR("accounts/");
    case HF_SUBJECT_TRANSFERS:
        return HF_STR("transfers/");
    case HF_SUBJECT_HOLDS:
        return HF_STR("holds/");
    case HF_SUBJECT_STREAMS:
        return HF_STR("streams/");
    case HF_SUBJECT_DOCUMENTS:
        return HF_STR("documents/");
    case HF_SUBJECT_LEASES:
        return HF_STR("leases/");
    case HF_SUBJECT_TOPICS:
        return HF_STR("topics/");
    case HF_SUBJECT_SUBSCRIPTIONS:
        return HF_STR("subscriptions/");
    case HF_SUBJECT_SAGAS:
        return HF_STR("sagas/");
    case HF_SUBJECT_SAGA_DEFINITIONS:
        return HF_STR("saga-definitions/");
    case HF_SUBJECT_ALERTS:
        return HF_STR("alerts/");
    case HF_SUBJECT_COUNT:
        break;
    }
    return HF_STR("");
}

static void set_subject(struct hf_feed_event *out, enum hf_feed_subject subject,
                        const struct hf_name *name)
{
    out->subject = subject;
    out->subject_name = *name;
}

static void from_posting(const struct hf_event *event, struct hf_feed_event *out)
{
    const struct hf_posting *posting = &event->posting;
    if (event->type == HF_EVENT_TRANSFER_POSTED) {
        set_subject(out, HF_SUBJECT_TRANSFERS, &posting->transfer.name);
        out->asset = &posting->transfer.asset;
    } else {
        set_subject(out, HF_SUBJECT_HOLDS, &posting->hold.name);
        out->asset = &posting->hold.asset;
    }
}

static void from_stream(const struct hf_appended *appended, struct hf_feed_event *out)
{
    set_subject(out, HF_SUBJECT_STREAMS, &appended->stream);
    out->type = appended->type;
    out->key_is_subject = false;
    out->key = appended->stream.text;
    out->payload = &appended->data;
}

static void from_published(const struct hf_published *published, struct hf_feed_event *out)
{
    set_subject(out, HF_SUBJECT_TOPICS, &published->topic);
    out->type = published->type;
    out->key_is_subject = false;
    out->key = published->key;
    out->payload = &published->data;
    out->arrives = published->deliver_at_us == 0;
}

/* A system event that brings a message: the message's own type is what subscriptions match. */
static void from_due(const struct hf_message_due *due, struct hf_feed_event *out)
{
    set_subject(out, HF_SUBJECT_TOPICS, &due->topic);
    out->system = true;
    out->arrives = true;
    out->arrival_type = due->type;
    out->key_is_subject = false;
    out->key = due->key;
    out->data_position = due->message.position;
    out->data_index = due->message.index;
}

static void from_document(const struct hf_event *event, struct hf_feed_event *out)
{
    set_subject(out, HF_SUBJECT_DOCUMENTS, &event->document.document);
    if (event->type == HF_EVENT_DOCUMENT_PUT) {
        out->payload = &event->document.data;
    }
}

static void from_system(struct hf_feed_event *out)
{
    out->system = true;
    out->arrives = false;
}

static void from_subscription(const struct hf_name *name, struct hf_feed_event *out)
{
    set_subject(out, HF_SUBJECT_SUBSCRIPTIONS, name);
    from_system(out);
}

static void from_saga(const struct hf_name *name, struct hf_feed_event *out)
{
    set_subject(out, HF_SUBJECT_SAGAS, name);
    out->key_is_subject = false;
    out->key = name->text;
}

/* For people and whoever watches for them: subscriptions may ask for it. */
static void from_alert(const struct hf_alert_event *alert, struct hf_feed_event *out)
{
    struct hf_name kind = {.text = hf_str_from(hf_alert_wire(alert->kind))};
    set_subject(out, HF_SUBJECT_ALERTS, &kind);
    out->system = true;
    out->by_type = true;
}

/* Sets all that depends on the event's type. */
static void from_event(const struct hf_event *event, struct hf_feed_event *out)
{
    switch (event->type) {
    case HF_EVENT_ACCOUNT_OPENED:
        set_subject(out, HF_SUBJECT_ACCOUNTS, &event->opened.name);
        out->asset = &event->opened.asset;
        return;
    case HF_EVENT_ACCOUNT_CHANGED:
        set_subject(out, HF_SUBJECT_ACCOUNTS, &event->changed.side.account);
        out->asset = event->changed.has_asset ? &event->changed.asset : NULL;
        return;
    case HF_EVENT_TRANSFER_POSTED:
    case HF_EVENT_HOLD_OPENED:
    case HF_EVENT_HOLD_CAPTURED:
    case HF_EVENT_HOLD_VOIDED:
    case HF_EVENT_HOLD_EXPIRED:
    case HF_EVENT_HOLD_EXTENDED:
        from_posting(event, out);
        return;
    case HF_EVENT_STREAM_APPENDED:
        from_stream(&event->appended, out);
        return;
    case HF_EVENT_DOCUMENT_PUT:
    case HF_EVENT_DOCUMENT_DELETED:
        from_document(event, out);
        return;
    case HF_EVENT_LEASE_ACQUIRED:
    case HF_EVENT_LEASE_RENEWED:
    case HF_EVENT_LEASE_RELEASED:
    case HF_EVENT_LEASE_EXPIRED:
        set_subject(out, HF_SUBJECT_LEASES, &event->lease.name);
        return;
    case HF_EVENT_REFUSED:
    case HF_EVENT_UNIT_REFUSED:
    case HF_EVENT_KEY_CANCELLED:
    case HF_EVENT_TAKEOVER:
    case HF_EVENT_CHECKPOINT:
    case HF_EVENT_TAIL_CUT:
    case HF_EVENT_FEATURE_LEVEL:
        from_system(out);
        return;
    case HF_EVENT_MESSAGE_PUBLISHED:
        from_published(&event->published, out);
        return;
    case HF_EVENT_MESSAGE_DUE:
        from_due(&event->due, out);
        return;
    case HF_EVENT_SUBSCRIPTION_PUT:
    case HF_EVENT_SUBSCRIPTION_DELETED:
    case HF_EVENT_SUBSCRIPTION_SOUGHT:
        from_subscription(&event->subscription->subscription, out);
        return;
    case HF_EVENT_SUBSCRIPTION_SCANNED:
        from_subscription(&event->scanned.subscription, out);
        return;
    case HF_EVENT_MESSAGES_DELIVERED:
        from_subscription(&event->delivered.subscription, out);
        return;
    case HF_EVENT_MESSAGES_SETTLED:
        from_subscription(&event->settled.subscription, out);
        return;
    case HF_EVENT_DELIVERY_EXTENDED:
        from_subscription(&event->extended.subscription, out);
        return;
    case HF_EVENT_MESSAGES_REDRIVEN:
        from_subscription(&event->redriven.subscription, out);
        return;
    case HF_EVENT_SAGA_DEFINED:
        set_subject(out, HF_SUBJECT_SAGA_DEFINITIONS, &event->saga_defined.definition);
        return;
    case HF_EVENT_SAGA_STARTED:
    case HF_EVENT_SAGA_CHANGED:
    case HF_EVENT_SAGA_ENDED:
        from_saga(&event->saga->saga, out);
        return;
    case HF_EVENT_SAGA_VERBS:
        from_system(out);
        return;
    case HF_EVENT_ALERT_RAISED:
    case HF_EVENT_ALERT_CLEARED:
        from_alert(&event->alert, out);
        return;
    case HF_EVENT_TYPE_COUNT:
        break;
    }
    HF_CHECK(false); /* a type that is not in the log */
}

void hf_feed_event_of(const struct hf_commit *commit, uint32_t index, struct hf_feed_event *out)
{
    HF_CHECK(index < commit->event_count);
    const struct hf_event *event = commit->events[index];
    *out = (struct hf_feed_event){
        .position = commit->position,
        .index = index,
        .type = hf_str_from(hf_event_wire(event->type)),
        .key_is_subject = true,
        .arrives = true,
        .data_position = commit->position,
        .data_index = index,
    };
    from_event(event, out);
    if (!hf_str_present(out->arrival_type)) {
        out->arrival_type = out->type;
    }
}

static void add(struct hf_buffer *to, struct hf_str text)
{
    hf_buffer_bytes(to, text.ptr, text.len);
}

void hf_feed_subject_text(const struct hf_feed_event *event, struct hf_buffer *to)
{
    if (event->subject == HF_SUBJECT_NONE) {
        return;
    }
    add(to, hf_feed_subject_prefix(event->subject));
    add(to, event->subject_name.text);
}

void hf_feed_key_text(const struct hf_feed_event *event, struct hf_buffer *to)
{
    if (event->key_is_subject) {
        hf_feed_subject_text(event, to);
        return;
    }
    add(to, event->key);
}

struct hf_id hf_feed_key_hash(const struct hf_feed_event *event)
{
    struct hf_str head = HF_STR("");
    struct hf_str tail = event->key;
    if (event->key_is_subject) {
        head = hf_feed_subject_prefix(event->subject);
        tail = event->subject == HF_SUBJECT_NONE ? HF_STR("") : event->subject_name.text;
    }
    struct hf_sha256_part parts[] = {{head.ptr, head.len}, {tail.ptr, tail.len}};
    struct hf_hash hash = hf_sha256_parts(parts, HF_ARRAY_COUNT(parts));
    struct hf_id id;
    memcpy(id.bytes, hash.bytes, sizeof(id.bytes));
    return id;
}

uint32_t hf_feed_bucket(const struct hf_id *key_hash, uint32_t count)
{
    HF_CHECK(count > 0);
    uint64_t number = 0;
    for (size_t i = 0; i < 8; i++) {
        number = number << 8 | key_hash->bytes[i];
    }
    return (uint32_t)(number % count);
}
