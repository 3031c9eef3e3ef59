#include "api/push_event.h"

#include <stdio.h>

#include "api/cloudevents.h"
#include "base/check.h"
#include "base/time_text.h"

struct rendering {
    const struct hf_commit *commit;
    const struct hf_feed_event *feed;
    const struct hf_cloud_context *context;
    struct hf_push_event *event;
};

/* A header over what is in texts from `begin` on. */
static void add_header(struct hf_push_event *event, const char *name, size_t begin)
{
    HF_CHECK(event->header_count < HF_PUSH_EVENT_HEADERS_MAX);
    event->headers[event->header_count].name = name;
    event->headers[event->header_count].begin = begin;
    event->headers[event->header_count++].end = event->texts.size_bytes;
}

static void put_header(struct hf_push_event *event, const char *name, struct hf_str value)
{
    size_t begin = event->texts.size_bytes;
    if (hf_str_present(value)) {
        hf_cloud_header_encode(&event->texts, value);
        add_header(event, name, begin);
    }
}

/* Subject and partition key are names and keys: nothing in them is to be encoded but '%', which they don't have. */
static void put_subject(struct rendering *r)
{
    struct hf_push_event *event = r->event;
    size_t begin = event->texts.size_bytes;
    if (r->feed->subject == HF_SUBJECT_NONE) {
        return;
    }
    hf_feed_subject_text(r->feed, &event->texts);
    add_header(event, "ce-subject", begin);
    begin = event->texts.size_bytes;
    hf_feed_key_text(r->feed, &event->texts);
    add_header(event, "ce-partitionkey", begin);
}

static void put_attributes(struct rendering *r)
{
    struct hf_push_event *event = r->event;
    char text[64];
    char time[HF_TIME_TEXT_BYTES];
    char sequence[HF_CLOUD_SEQUENCE_BYTES];
    put_header(event, "ce-specversion", HF_STR("1.0"));
    (void)snprintf(text, sizeof(text), "%llu-%u", (unsigned long long)r->feed->position,
                   r->feed->index);
    put_header(event, "ce-id", hf_str_from(text));
    (void)snprintf(text, sizeof(text), "/spaces/%llu", (unsigned long long)r->commit->space);
    put_header(event, "ce-source", hf_str_from(text));
    put_header(event, "ce-type", r->feed->type);
    put_subject(r);
    hf_time_format(r->commit->time_us, time);
    put_header(event, "ce-time", hf_str_from(time));
    hf_cloud_sequence(r->feed->position, r->feed->index, sequence);
    put_header(event, "ce-sequence", hf_str_from(sequence));
    put_header(event, "ce-traceparent", r->context->traceparent);
    put_header(event, "ce-tracestate", r->context->tracestate);
    put_header(event, "ce-causationid", r->context->causationid);
    put_header(event, "ce-correlationid", r->context->correlationid);
}

static void put_trace(struct rendering *r)
{
    struct hf_push_event *event = r->event;
    event->state_begin = event->texts.size_bytes;
    hf_buffer_bytes(&event->texts, r->context->tracestate.ptr, r->context->tracestate.len);
    event->state_end = event->texts.size_bytes;
    (void)snprintf(event->traceparent, sizeof(event->traceparent), "%.*s",
                   (int)r->context->traceparent.len,
                   r->context->traceparent.len == 0 ? "" : r->context->traceparent.ptr);
}

bool hf_push_event_render(const struct hf_commit *commit, uint32_t index, enum hf_push_mode mode,
                          struct hf_push_event *event)
{
    struct hf_arena arena;
    struct hf_cloud_context context;
    struct hf_feed_event feed;
    HF_CHECK(index < commit->event_count);
    hf_arena_init(&arena);
    hf_feed_event_of(commit, index, &feed);
    bool made = hf_cloud_context_of(commit, &arena, &context);
    struct rendering r = {.commit = commit, .feed = &feed, .context = &context, .event = event};
    if (made && mode == HF_PUSH_BINARY) {
        event->content_type = "application/json";
        put_attributes(&r);
        hf_cloud_event_data(&event->body, commit, &feed);
    } else if (made) {
        event->content_type = "application/cloudevents+json";
        hf_cloud_event_json(&event->body, commit, &feed, &context);
    }
    if (made) {
        put_trace(&r);
    }
    hf_arena_release(&arena);
    return made && !event->body.failed && !event->texts.failed;
}
