/*
 * Evolve for strips (core/strip.h): what state_apply.c does for events, for columns.
 *
 * Called by: state_apply.c, with a commit whose strip is not expanded.
 */
#ifndef HF_CORE_STRIP_APPLY_H
#define HF_CORE_STRIP_APPLY_H

#include "core/state_priv.h"

/* Memory for hf_strip_apply; adds the index records that it will write. false: memory is short. */
bool hf_strip_reserve(struct hf_state *state, const struct hf_strip *strip,
                      size_t *records) HF_WARN_UNUSED;

/* Checks the strip against the state and takes it over; false: damage is noted. */
bool hf_strip_apply(struct hf_applying *a, const struct hf_strip *strip) HF_WARN_UNUSED;

#endif
