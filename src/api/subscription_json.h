/*
 * Subscriptions as they are, dead letters' and messages' histories: as JSON.
 *
 * Owns: the members' names and order. Must never: look beyond the reading. Called by: reading_json.c, the routes of
 * subscriptions; on the node's thread.
 */
#ifndef HF_API_SUBSCRIPTION_JSON_H
#define HF_API_SUBSCRIPTION_JSON_H

#include "api/json_write.h"
#include "core/read.h"

void hf_subscription_json(struct hf_json_writer *w, const struct hf_subscription_reading *reading);
/* {"data":[…],"next":…} */
void hf_subscription_list_json(struct hf_json_writer *w, const struct hf_query *query,
                               const struct hf_reading *reading);
/* "in_flight" … */
const char *hf_message_state_wire(enum hf_message_state state);
/* A delivery and its end, as an object. is_out: the message is with this consumer now. */
void hf_message_try_json(struct hf_json_writer *w, const struct hf_message_try *each, bool is_out);

#endif
