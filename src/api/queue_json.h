/*
 * Events of topics and subscriptions as JSON members.
 *
 * Owns: the members' names and order, frozen by tests/golden. Must never: depend on anything but the
 * values given. Called by: entity_json.c, the routes of subscriptions.
 */
#ifndef HF_API_QUEUE_JSON_H
#define HF_API_QUEUE_JSON_H

#include "api/json_write.h"
#include "core/commit.h"

#define HF_MESSAGE_ID_BYTES 36 /* "<position>-<index>" with its NUL */

/* The members of MESSAGE_PUBLISHED and everything behind it. */
void hf_queue_event_json(struct hf_json_writer *w, const struct hf_event *event);
/* What became of one receipt: message, state, tries, not_before; or code, status. */
void hf_settled_item_json(struct hf_json_writer *w, const struct hf_settled_item *item);
/* A member (or item, if name is NULL) "17-0". */
void hf_message_id_json(struct hf_json_writer *w, const char *name, uint64_t position,
                        uint32_t index);
/* An object of the parts that are given. */
void hf_filter_json(struct hf_json_writer *w, const char *name, const struct hf_filter *filter);
/* The members filter … in_flight_max. */
void hf_settings_json(struct hf_json_writer *w, const struct hf_subscription_settings *settings);

#endif
