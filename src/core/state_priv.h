/*
 * What the files of the state share.
 */
#ifndef HF_CORE_STATE_PRIV_H
#define HF_CORE_STATE_PRIV_H

#include "core/state.h"

/* A commit that is being applied. */
struct hf_applying {
    struct hf_state *state;
    const struct hf_commit *commit;
    const struct hf_event *event; /* the current one */
    uint32_t index;               /* its number */
    struct hf_error *error;
};

/* Notes what does not fit; always false. */
bool hf_apply_damaged(struct hf_applying *a, const char *what);
/* (kind, id, sub) -> the current event; hf_recent_put for records that point elsewhere. Room is reserved:
 * four records for each event, and what hf_queue_reserve adds. */
void hf_apply_index(struct hf_applying *a, uint8_t kind, const struct hf_id *id, uint64_t sub,
                    uint32_t flags);

/* Canonical bytes being written: records of at most HF_STATE_RECORD_BYTES_MAX. */
struct hf_codec;
struct hf_saving;
#define HF_STATE_RECORD_BYTES_MAX 65536u
struct hf_codec hf_saving_begin(struct hf_saving *saving);
bool hf_saving_emit(struct hf_saving *saving, struct hf_codec *codec) HF_WARN_UNUSED;

/* Things allocated by reserve (NULL: fails), taken by evolve in the same order. */
bool hf_state_add_spare(struct hf_state *state, void *thing) HF_WARN_UNUSED;
void *hf_state_take_spare(struct hf_state *state);

bool hf_due_reserve(struct hf_due_heap *heap, size_t more) HF_WARN_UNUSED;
void hf_due_push(struct hf_due_heap *heap, const struct hf_due *due); /* room is reserved */
/* The same; nothing if due_us is 0. Room for one is reserved with each event. */
void hf_state_push_due(struct hf_state *state, enum hf_kind kind, const struct hf_id *id,
                       uint64_t due_us);
void hf_due_compact(struct hf_state *state); /* drops outdated entries if they are the most */

/* A copy of a thing with its texts behind it, in one allocation; NULL if memory is short. */
struct hf_hold *hf_hold_new(const struct hf_hold *from) HF_WARN_UNUSED;
/* A hold of nothing but its hex name. Its `from` and `to` may become the names that accounts of the state have. */
struct hf_hold *hf_hold_new_hex(const struct hf_id *id) HF_WARN_UNUSED;
struct hf_stream *hf_stream_new(const struct hf_stream *from) HF_WARN_UNUSED;
struct hf_document *hf_document_new(const struct hf_document *from) HF_WARN_UNUSED;
struct hf_lease *hf_lease_new(const struct hf_lease *from) HF_WARN_UNUSED;
struct hf_delayed *hf_delayed_new(const struct hf_delayed *from) HF_WARN_UNUSED;

/* A stream or document is the state's now: its memory counts. An account's is the pool's. */
void hf_state_count_thing(struct hf_state *state, enum hf_kind kind, const void *thing);
/* An account, stream or document just made, into its table and ordered names (an account into its asset's sums,
 * too). Room is reserved. false: its text is there under another id, which is damage; the state is then
 * unusable. */
bool hf_state_enter(struct hf_state *state, enum hf_kind kind, void *thing) HF_WARN_UNUSED;
/* The ordered names of all things in the kind's table, none of which has been entered there. EXISTS: as above. */
enum hf_err hf_state_fill_names(struct hf_state *state, enum hf_kind kind) HF_WARN_UNUSED;

#endif
