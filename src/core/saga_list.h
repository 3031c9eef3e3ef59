/*
 * Sagas by a filter, in the order of their ids.
 *
 * Owns: nothing. Must never: change the state. Called by: reads (lists, work), decide (a bulk of verbs).
 */
#ifndef HF_CORE_SAGA_LIST_H
#define HF_CORE_SAGA_LIST_H

#include "core/saga.h"
#include "core/saga_op.h"

/* Candidates one after the other: those of a state, of a business key, that fail, or all of these states. */
struct hf_saga_walk {
    const struct hf_sagas *sagas;
    const struct hf_saga_filter *filter; /* NULL: all of `states` */
    uint32_t states;                     /* bit i: state i; of a walk without a filter */
    struct hf_str after;                 /* behind this id; moves on */
    char order[300];                     /* scratch: business key and id */
};

struct hf_saga_walk hf_saga_walk_begin(const struct hf_sagas *sagas,
                                       const struct hf_saga_filter *filter, struct hf_str after);
/* The next candidate; NULL: there are no more. */
const struct hf_saga *hf_saga_walk_next(struct hf_saga_walk *walk);
/* Does all of the filter hold for it? scratch: for its tags. */
bool hf_saga_matches(const struct hf_saga *saga, const struct hf_saga_filter *filter,
                     struct hf_arena *scratch);

#endif
