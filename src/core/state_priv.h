/*
 * What the files of the state share.
 */
#ifndef HF_CORE_STATE_PRIV_H
#define HF_CORE_STATE_PRIV_H

#include "core/state.h"

bool hf_due_reserve(struct hf_due_heap *heap, size_t more) HF_WARN_UNUSED;
void hf_due_push(struct hf_due_heap *heap, const struct hf_due *due); /* room is reserved */
void hf_due_compact(struct hf_state *state); /* drops outdated entries if they are the most */

/* A copy of a thing with its texts behind it, in one allocation; NULL if memory is short. */
struct hf_account *hf_account_new(const struct hf_account *from) HF_WARN_UNUSED;
struct hf_hold *hf_hold_new(const struct hf_hold *from) HF_WARN_UNUSED;
struct hf_stream *hf_stream_new(const struct hf_stream *from) HF_WARN_UNUSED;
struct hf_document *hf_document_new(const struct hf_document *from) HF_WARN_UNUSED;
struct hf_lease *hf_lease_new(const struct hf_lease *from) HF_WARN_UNUSED;

/* An account, stream or document just made, into its table and ordered names (an account into its asset's sums,
 * too). Room is reserved. false: its text is there under another id, which is damage; the state is then
 * unusable. */
bool hf_state_enter(struct hf_state *state, enum hf_kind kind, void *thing) HF_WARN_UNUSED;
/* The ordered names of all things in the kind's table, none of which has been entered there. EXISTS: as above. */
enum hf_err hf_state_fill_names(struct hf_state *state, enum hf_kind kind) HF_WARN_UNUSED;

#endif
