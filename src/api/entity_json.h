/*
 * Things and events as JSON members.
 *
 * Owns: the members' names and order, frozen by tests/golden. Must never: depend on anything but the
 * values given. Called by: the renderers of answers and readings.
 */
#ifndef HF_API_ENTITY_JSON_H
#define HF_API_ENTITY_JSON_H

#include "api/json_write.h"
#include "core/commit.h"

/* The members of a thing into the object that is open: id, version, state. kind NONE: nothing. */
void hf_entity_json(struct hf_json_writer *w, const struct hf_entity *entity);

/* How a commit speaks of an event: ids, versions and balances that came of it. */
void hf_event_json(struct hf_json_writer *w, const struct hf_event *event);
/* What a user gave with it besides: metadata, data. Nothing if there is none. */
void hf_event_texts_json(struct hf_json_writer *w, const struct hf_event *event);

/* The four totals; posted and available. */
void hf_totals_json(struct hf_json_writer *w, const struct hf_totals *totals);
void hf_balances_json(struct hf_json_writer *w, const struct hf_totals *totals);

/* The operation that an event came of: "transfer"; NULL if it comes of none. */
const char *hf_event_operation(const struct hf_event *event);

const char *hf_account_state_wire(enum hf_account_state state); /* "open" */
const char *hf_hold_state_wire(enum hf_hold_state state);       /* "open" */
const char *hf_transfer_kind_wire(enum hf_transfer_kind kind);  /* "transfer" */

#endif
