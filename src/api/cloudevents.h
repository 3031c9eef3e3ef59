/*
 * CloudEvents 1.0: how the world outside sees an event (PROTOCOLS CE1–CE4).
 *
 * Owns: the envelope's members, their order and their forms, frozen by tests/golden/feed.txt. Must never: look at
 * state, change a byte of a user's data. Called by: the feed, receive, tests; binary mode by webhooks.
 *
 *   {"specversion":"1.0","id":"17-0","source":"/spaces/0","type":"…","subject":"streams/o:1","time":"…",
 *    "datacontenttype":"application/json","partitionkey":"o:1","sequence":"0000000000000017-0000000000",
 *    "data":{…},"traceparent":"…","tracestate":"…","causationid":"…","correlationid":"…"}
 *
 * 1. Without a subject (most system events) there is neither subject nor partitionkey; the last four only if the
 *    commit's metadata has a valid one.
 * 2. data: the user's bytes of a stream event or message; {"document","version","data"} of a document; what
 *    the answer to the operation says of every other event ("op", ids, versions, balances), and its metadata.
 * 3. sequence sorts as a text like (position, index) as numbers.
 * 4. traceparent by W3C Trace Context: of a higher version the part that is known, as version 00; an invalid one is
 *    left out, and tracestate with it.
 */
#ifndef HF_API_CLOUDEVENTS_H
#define HF_API_CLOUDEVENTS_H

#include "base/trace_context.h"
#include "core/feed_event.h"

#define HF_CLOUD_SEQUENCE_BYTES 28 /* with the NUL */
#define HF_CLOUD_CONTEXT_BYTES  256

/* What a commit's metadata says to all of its events; texts unescaped, in the frame or the arena; absent: none. */
struct hf_cloud_context {
    struct hf_str traceparent;   /* HF_TRACEPARENT_BYTES, version 00 */
    struct hf_str tracestate;    /* never without traceparent */
    struct hf_str causationid;   /* 1 to HF_CLOUD_CONTEXT_BYTES bytes without control characters */
    struct hf_str correlationid; /* the same */
};

/* false: memory is short. */
bool hf_cloud_context_of(const struct hf_commit *commit, struct hf_arena *arena,
                         struct hf_cloud_context *context) HF_WARN_UNUSED;

/* Appends the event in structured JSON; look at to->failed afterwards. event is hf_feed_event_of(commit, …). */
void hf_cloud_event_json(struct hf_buffer *to, const struct hf_commit *commit,
                         const struct hf_feed_event *event, const struct hf_cloud_context *context);
/* The same of an event whose envelope and data are not of one commit: a delayed message as it is received.
 * data is written as it is. */
void hf_cloud_envelope_json(struct hf_buffer *to, const struct hf_commit *commit,
                            const struct hf_feed_event *event, struct hf_str data,
                            const struct hf_cloud_context *context);

/* The event's data alone: the body of binary mode. */
void hf_cloud_event_data(struct hf_buffer *to, const struct hf_commit *commit,
                         const struct hf_feed_event *event);

void hf_cloud_sequence(uint64_t position, uint32_t index, char text[HF_CLOUD_SEQUENCE_BYTES]);

bool hf_tracestate_valid(struct hf_str text);

/* Binary mode (CE2): an attribute's value as a header's, percent-encoded; and back, false if it is malformed or not
 * UTF-8 in its shortest form. */
void hf_cloud_header_encode(struct hf_buffer *to, struct hf_str value);
bool hf_cloud_header_decode(struct hf_buffer *to, struct hf_str header) HF_WARN_UNUSED;

#endif
