/*
 * Evolve of topics and subscriptions: what state_apply.c calls.
 *
 * Owns: nothing; queue_apply.c has messages, subscription_apply.c has subscriptions. Must never: fail after reserve for
 * another reason than an event that does not fit. Called by: state_apply.c, in this order: for each event
 * reserve_event; reserve; for each event apply_event (and takeover); behind the last event arrivals.
 */
#ifndef HF_CORE_QUEUE_APPLY_H
#define HF_CORE_QUEUE_APPLY_H

#include "core/codec_priv.h"
#include "core/state_priv.h"

/* Spares for an event from MESSAGE_PUBLISHED on, in the order of events. false: memory is short; spares are dropped by
 * the caller, all else is as before or merely roomier. */
bool hf_queue_reserve_event(struct hf_state *state, const struct hf_commit *commit,
                            uint32_t index) HF_WARN_UNUSED;
/* Room for all of the commit's own queue events and for its arrivals; *records grows by the index records that they need
 * above four for each event. One due entry for each event is reserved by the caller (for a takeover one for each
 * subscription too). false as above. */
bool hf_queue_reserve(struct hf_state *state, const struct hf_commit *commit,
                      size_t *records) HF_WARN_UNUSED;

/* One of the events from MESSAGE_PUBLISHED on. false: hf_apply_damaged has said why. */
bool hf_queue_apply_event(struct hf_applying *a);
/* All events are applied: those that arrive go into the lines of live subscriptions, `scanned` of these goes on. */
bool hf_queue_arrivals(struct hf_applying *a);
/* A new owner: what is out gets one fresh term. */
bool hf_queue_takeover(struct hf_applying *a);

/* ---- subscription_apply.c ---- */

/* The subscription that an event from SUBSCRIPTION_PUT on is about. */
const struct hf_name *hf_queue_event_subscription(const struct hf_event *event, uint64_t *uid);

bool hf_subscription_reserve_event(struct hf_state *state,
                                   const struct hf_event *event) HF_WARN_UNUSED;
/* SUBSCRIPTION_*, MESSAGES_*, DELIVERY_EXTENDED. */
bool hf_subscription_apply_event(struct hf_applying *a);

/* ---- canonical bytes: subscription_save.c ---- */

/* How many records hf_subscription_save emits. */
uint64_t hf_subscription_records(const struct hf_state *state);
/* Each: `struct hf_codec codec = hf_saving_begin(saving); code fields; hf_saving_emit(saving, &codec)`; in an order that
 * follows from the state alone. */
bool hf_subscription_save(const struct hf_state *state, struct hf_saving *saving) HF_WARN_UNUSED;
/* One record, in the order in which they were emitted. What the codec refuses is told by the caller. */
enum hf_err hf_subscription_load(struct hf_state *state, struct hf_codec *codec,
                                 struct hf_error *error) HF_WARN_UNUSED;

/* ---- lines_apply.c ---- */

/* A message arrives: behind the others of its line, or in a new one. */
void hf_lines_arrive(struct hf_applying *a, struct hf_subscription *subscription,
                     const struct hf_arrival *arrival);
/* How much the events of a commit may add: new lines, lines that go out, lines that back off, index records. */
struct hf_line_room {
    size_t lines, out, backing_off, records;
};
void hf_lines_count(const struct hf_event *event, struct hf_line_room *room);
/* Spares for a MESSAGES_* event, taken by evolve in the order of events. */
bool hf_lines_reserve_event(struct hf_state *state, const struct hf_event *event) HF_WARN_UNUSED;
/* MESSAGES_*, DELIVERY_EXTENDED of this subscription. */
bool hf_lines_apply_event(struct hf_applying *a, struct hf_subscription *subscription);

#endif
