/*
 * Bodies of the routes of subscriptions: JSON into fields.
 *
 * Owns: their members' names and JSON types. Must never: know a limit or a default (the command checks), accept a
 * member that the route does not take. Called by: the routes of subscriptions; a fuzz target.
 *
 * What is refused is named by a JSON pointer into the body: "/filter/topics", "/items/3/delay_ms".
 */
#ifndef HF_API_QUEUE_BODY_H
#define HF_API_QUEUE_BODY_H

#include "core/command.h"
#include "core/queue_op.h"

enum hf_queue_body_kind {
    HF_BODY_PUT,
    HF_BODY_RECEIVE,
    HF_BODY_ACK,
    HF_BODY_NACK,
    HF_BODY_EXTEND,
    HF_BODY_PARK,
    HF_BODY_REDRIVE,
    HF_BODY_SEEK,
};

#define HF_RECEIVE_WAIT_MS_MAX 30000

struct hf_queue_body {
    struct hf_queue_fields fields; /* type, subscription and act are the caller's */
    bool has_wait_ms;
    uint64_t wait_ms;                /* receive; ≤ HF_RECEIVE_WAIT_MS_MAX */
    bool has_delay_ms;               /* nack with receipts: for all of them */
    uint64_t delay_ms;               /* if has_delay_ms */
    struct hf_str error;             /* nack with receipts, park: for all of them; or absent */
    struct hf_str time;              /* from, to: {"time"}; its microseconds are in fields.seek */
    bool has_filter;                 /* put */
    bool has_backoff;                /* put */
    bool has_receipts;               /* "receipts" was there */
    bool has_items;                  /* "items" was there */
    struct hf_act_fields *own_items; /* fields.items, while it grows */
    uint32_t item_capacity;          /* of own_items */
};

/* text: the whole body; its memory and the arena must outlive the fields. */
bool hf_queue_body_decode(struct hf_str text, enum hf_queue_body_kind kind, struct hf_arena *arena,
                          struct hf_queue_body *body,
                          struct hf_malformed *malformed) HF_WARN_UNUSED;

#endif
