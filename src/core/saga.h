/*
 * Sagas and their definitions in the state.
 *
 * Owns: struct hf_saga, the ordered lists that queries go by, waits for events. Must never: decide. Called by: evolve
 * (saga_apply.c), decide and reads (read only), the checkpoint (saga_save.c).
 *
 * 1. Every saga in `sagas` has not been forgotten; ended ones stay until keep_ms is over (due), then the index record of the id
 *    (HF_INDEX_SAGA → newest event) is the tombstone.
 * 2. A saga is in exactly one of `by_state`; in `failing` iff failing_us > 0; in its business key's list iff it has one.
 * 3. Texts (input, results) up to HF_SAGA_INLINE_BYTES are in RAM while the saga lives; longer ones are read from the log.
 */
#ifndef HF_CORE_SAGA_H
#define HF_CORE_SAGA_H

#include "core/names.h"
#include "core/saga_definition.h"

#define HF_SAGA_INLINE_BYTES  512u
#define HF_SAGA_STATE_COUNT   (HF_SAGA_ABANDONED + 1)
#define HF_SAGA_OUTCOME_COUNT (HF_OUTCOME_PARK + 1)

struct hf_saga_stored_definition {
    struct hf_name name;
    uint64_t version;
    bool is_inline;
    uint64_t position;               /* where its text is */
    uint64_t created_us;
    uint64_t sagas;                  /* in `sagas` that use it… */
    uint64_t by_state[HF_SAGA_STATE_COUNT]; /* …of them in each state (metrics); made anew, not stored */
    struct hf_saga_definition parsed;
};

struct hf_saga {
    struct hf_name name;
    uint64_t uid;
    uint64_t version;
    struct hf_saga_stored_definition *definition;
    struct hf_str business_key;
    struct hf_payload tags;
    uint64_t started_us, modified_us, ended_us, not_before_us;
    uint64_t started_position;
    uint64_t last_position;          /* newest event… */
    uint32_t last_index;
    enum hf_saga_state state, resumes;
    bool compensating, past_pivot;
    uint64_t failing_us;
    uint64_t due_us;                 /* next look of the timer; 0 = never */
    uint64_t deadline_us;            /* of the whole; 0 = none */
    struct hf_str reason;
    uint8_t secret[16];
    uint8_t content_hash[16];
    struct hf_str input;             /* in RAM, or absent: from the log at started_position */
    uint32_t input_index;            /* of the STARTED event */
    struct hf_str *results;          /* by step, in RAM or absent; NULL: none yet */
    struct hf_saga_step *steps;      /* definition->parsed.step_count */
};

#endif
