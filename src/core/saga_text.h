/*
 * Texts of sagas in the log: what a step's places (struct hf_saga_text_at) lead to.
 *
 * Owns: nothing. Must never: fetch. Called by: decide, reads, the runner; each with the commit at the place's position.
 */
#ifndef HF_CORE_SAGA_TEXT_H
#define HF_CORE_SAGA_TEXT_H

#include "core/commit.h"

/* Each: absent if the commit has no such text there. */
/* Also of an awaited event: its data is the step's result. */
struct hf_str hf_saga_result_at(const struct hf_commit *commit, uint32_t index, uint32_t step);
struct hf_str hf_saga_request_at(const struct hf_commit *commit, uint32_t index, uint32_t step);
struct hf_str hf_saga_error_at(const struct hf_commit *commit, uint32_t index);
struct hf_str hf_saga_poll_at(const struct hf_commit *commit, uint32_t index);
struct hf_str hf_saga_input_at(const struct hf_commit *commit, uint32_t index);

/* The saga's event at this version; NULL: it is not in the commit. */
const struct hf_event *hf_saga_event_find(const struct hf_commit *commit, const struct hf_id *saga,
                                          uint64_t version);

#endif
