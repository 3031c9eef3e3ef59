/*
 * Evolve for strips (core/strip.h): what state_apply.c does for events, for columns.
 *
 * Called by: state_apply.c, with a commit whose strip is not expanded.
 */
#ifndef HF_CORE_STRIP_APPLY_H
#define HF_CORE_STRIP_APPLY_H

#include "core/state_priv.h"

/* Memory for hf_strip_apply; adds the index records and due times that it will write. false: memory is short. */
bool hf_strip_reserve(struct hf_state *state, const struct hf_strip *strip, size_t *records,
                      size_t *dues) HF_WARN_UNUSED;

/* Checks the strip against the state and takes it over; false: damage is noted. */
bool hf_strip_apply(struct hf_applying *a, const struct hf_strip *strip) HF_WARN_UNUSED;

/* ---- strip_hold_apply.c ---- */

/* What hf_strip_reserve does, for the holds. */
bool hf_strip_reserve_holds(struct hf_state *state, const struct hf_strip *strip, size_t *records,
                            size_t *dues) HF_WARN_UNUSED;
/* Finds the holds that were open before, and checks that they are as the strip says they were. */
bool hf_strip_find_holds(struct hf_applying *a, const struct hf_strip *strip) HF_WARN_UNUSED;
/* Asks the CPU for what row k, no transfer, will look at. */
void hf_strip_prefetch_hold(const struct hf_state *state, const struct hf_strip *strip, uint32_t k);
/* Row k, which is no transfer, opens or settles its hold; its accounts have moved. */
bool hf_strip_apply_hold(struct hf_applying *a, const struct hf_strip *strip, uint32_t k,
                         const struct hf_account *from, const struct hf_account *to) HF_WARN_UNUSED;

#endif
