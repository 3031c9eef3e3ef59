/*
 * An event as push sends it: CloudEvents 1.0 over HTTP, binary or structured (PROTOCOLS CE2, CE3).
 *
 * Owns: which attributes are headers, and how. Must never: change a byte of the data. Called by: deliver's push, through its options.
 */
#ifndef HF_API_PUSH_EVENT_H
#define HF_API_PUSH_EVENT_H

#include "deliver/push.h"

/* An hf_push_render_fn. */
bool hf_push_event_render(const struct hf_commit *commit, uint32_t index, enum hf_push_mode mode,
                          struct hf_push_event *event);

#endif
