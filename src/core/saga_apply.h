/*
 * Evolve of sagas: what state_apply.c and state_save.c call.
 *
 * Owns: nothing; core/saga.h has the state. Must never: fail after reserve for another reason than an event that does not fit.
 * Called by: state_apply.c, in this order: for each event reserve_event; reserve; for each event apply_event if it is a saga's,
 * then note_event; state_save.c.
 */
#ifndef HF_CORE_SAGA_APPLY_H
#define HF_CORE_SAGA_APPLY_H

#include "core/codec_priv.h"
#include "core/state_priv.h"

/* Spares for one of the events SAGA_DEFINED … SAGA_VERBS, in the order of events. false: memory is short; spares are dropped by
 * the caller. */
bool hf_saga_reserve_event(struct hf_state *state, const struct hf_event *event) HF_WARN_UNUSED;
/* *dues grows by the due entries that awaited events of the commit need; its own events have one each already. */
void hf_saga_reserve(const struct hf_state *state, const struct hf_commit *commit, size_t *dues);

/* SAGA_DEFINED … SAGA_VERBS. false: hf_apply_damaged has said why. */
bool hf_saga_apply_event(struct hf_applying *a);
/* A new owner: a call that was due may have been sent by the one before, so its action has no definite answer. */
void hf_sagas_takeover(struct hf_sagas *sagas);
/* Any event, applied: sagas that wait for it are due. */
void hf_saga_note_event(struct hf_applying *a);

/* ---- canonical bytes: saga_save.c ---- */

bool hf_sagas_any(const struct hf_sagas *sagas); /* is there anything to be saved? */
uint64_t hf_saga_records(const struct hf_state *state);
bool hf_saga_save(const struct hf_state *state, struct hf_saving *saving) HF_WARN_UNUSED;
/* One record, in the order in which they were emitted. What the codec refuses is told by the caller. */
enum hf_err hf_saga_load(struct hf_state *state, struct hf_codec *codec,
                         struct hf_error *error) HF_WARN_UNUSED;
/* Behind the last one: is everything whole? */
enum hf_err hf_saga_load_end(struct hf_state *state, struct hf_error *error) HF_WARN_UNUSED;

#endif
