/*
 * Push subscriptions: Holdfast receives from them itself and sends each message by HTTP.
 *
 *   list ──► pusher ──receive──► node ──messages──► lines ──first of each──► targets ──► call
 *              ▲                                      │                                   │
 *              └── settings changed, disabled         └── next of the line ◄── ack ◄── 2xx │
 *                                                         line goes back   ◄── nack ◄─ else┘
 *
 * Owns: what is out with it: messages, their calls, requests at the node. Must never: decide what a failed try comes to (the
 * subscription's settings do, as for anybody who nacks); send a message of a key while an earlier one is not acked; keep what the log
 * does not know: after a kill, leases run out and the messages come again. Called by: deliver's thread (hf_push_sender); the
 * door, for what is told of a subscription (any thread).
 *
 * 1. Of each line (docs/queues.md) one message is out at a time, and the next one goes when the ack of the one before is durable.
 * 2. At most in_flight_max lines of a subscription are held. While its target's breaker is open it holds one: the probe.
 * 3. Leases are extended while a message waits for its turn.
 * 4. 2xx acks. 410 disables the push, by a commit. Everything else nacks with what came back; 429, 502, 503 and 504 with
 *    Retry-After by that delay, and the target is held back, too.
 * 5. A secret that is named and not there: nothing is received until it is.
 */
#ifndef HF_DELIVER_PUSH_H
#define HF_DELIVER_PUSH_H

#include "deliver/deliver.h"
#include "node/node.h"

struct hf_secrets; /* deliver/secrets.h */
struct hf_push_sender;

#define HF_PUSH_EVENT_HEADERS_MAX 16

/* An event as it is sent. Buffers are the message's; initialised empty. */
struct hf_push_event {
    struct hf_buffer body;
    struct hf_buffer texts;   /* of the values below, one behind the other */
    const char *content_type; /* static */
    struct {
        const char *name;  /* static */
        size_t begin, end; /* in texts */
    } headers[HF_PUSH_EVENT_HEADERS_MAX];
    size_t header_count;
    char traceparent[56];          /* of the event, or "" */
    size_t state_begin, state_end; /* tracestate, in texts; equal: none */
};

/* Renders the event at `index` of a commit; api's (api/push_event.h). false: memory is short. */
typedef bool (*hf_push_render_fn)(const struct hf_commit *commit, uint32_t index,
                                  enum hf_push_mode mode, struct hf_push_event *event);

struct hf_push_options {
    struct hf_node *node; /* outlives it, as all below */
    struct hf_outside *outside;
    struct hf_caller *caller; /* deliver/caller.h */
    struct hf_targets *targets;
    struct hf_secrets *secrets;
    hf_push_render_fn render;
    void (*wake)(void *context); /* something has come, from another thread: step soon */
    void *wake_context;
};

/* NULL: memory is short. */
struct hf_push_sender *hf_push_new(const struct hf_push_options *options) HF_WARN_UNUSED;
/* Stopped, or never stepped. NULL is fine. */
void hf_push_free(struct hf_push_sender *push);
/* What deliver steps. */
struct hf_sender hf_push_sender_of(struct hf_push_sender *push);

/* ---- any thread ---- */

/* Of a subscription by its uid. false: it has no push, or nothing has been seen of it yet. */
bool hf_push_status(struct hf_push_sender *push, uint64_t uid, struct hf_push_status *status);

void hf_push_sums(struct hf_push_sender *push, struct hf_push_sums *sums);

#endif
