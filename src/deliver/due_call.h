/*
 * The calls of sagas that are to be made: one index of all of them.
 *
 * Owns: an entry for each step whose call is due, due later, or out; a heap of the later ones by (due time, uid, step). Must never:
 * send, ask a clock, read the log (an entry says where its body is). Called by: the saga runner.
 *
 * 1. A step of a saga (uid, index) has at most one entry.
 * 2. LATER: it is in the heap; all others are not. An entry that exists can always go (back) into the heap: there is room for all.
 * 3. RAM: an entry of 72 bytes and a place in the heap and the table for each; what a call needs beside that is read when its turn
 *    comes. Sagas that wait for a callback, a timer or an event have no entry.
 */
#ifndef HF_DELIVER_DUE_CALL_H
#define HF_DELIVER_DUE_CALL_H

#include "core/saga_event.h"

struct hf_known_definition; /* deliver/known_definition.h */
struct hf_runner_turn;      /* deliver/runner_priv.h */

enum hf_due_state {
    HF_DUE_LATER = 1, /* until due_us */
    HF_DUE_PAUSED,    /* its saga is paused */
    HF_DUE_NOW,       /* it has a turn */
    HF_DUE_ANSWERED,  /* its answer is on its way into the log */
};

struct hf_due_call {
    uint64_t uid;    /* of the saga */
    uint64_t due_us; /* log time */
    struct hf_saga_text_at
        at; /* the event with its request, or with its poll_at; position 0: no body */
    uint32_t attempt;
    uint8_t step;                           /* index in the definition */
    uint8_t op;                             /* enum hf_saga_op */
    uint8_t state;                          /* enum hf_due_state */
    bool polls;                             /* a poll, not a call */
    size_t heap_index;                      /* LATER */
    struct hf_due_call *next;               /* of its bucket */
    struct hf_known_definition *definition; /* counted, the runner's; NULL: not known yet */
    struct hf_runner_turn *turn;            /* NOW: the runner's; else NULL */
};

struct hf_due_calls {
    struct hf_due_call **buckets; /* by uid; owned */
    size_t bucket_count;          /* a power of two, or 0 */
    struct hf_due_call **heap;    /* LATER; owned */
    size_t heap_count;
    size_t heap_capacity; /* ≥ count */
    size_t count;         /* entries */
    uint64_t seed;
};

void hf_due_calls_init(struct hf_due_calls *dues, uint64_t seed);
void hf_due_calls_release(struct hf_due_calls *dues); /* none is left */

struct hf_due_call *hf_due_calls_find(const struct hf_due_calls *dues, uint64_t uid, uint32_t step);
/* Those of a saga: `before` NULL: the first; then the one behind `before`, which may not have been removed. */
struct hf_due_call *hf_due_calls_of(const struct hf_due_calls *dues, uint64_t uid,
                                    const struct hf_due_call *before);

/* A new entry, PAUSED, everything else 0. NULL: memory is short. */
struct hf_due_call *hf_due_calls_add(struct hf_due_calls *dues, uint64_t uid,
                                     uint32_t step) HF_WARN_UNUSED;
void hf_due_calls_remove(struct hf_due_calls *dues, struct hf_due_call *due);

/* Moves it to another state; LATER: into the heap, by due_us. */
void hf_due_calls_set(struct hf_due_calls *dues, struct hf_due_call *due, enum hf_due_state state);
/* The first of the heap; NULL: it is empty. */
struct hf_due_call *hf_due_calls_first(const struct hf_due_calls *dues);

/* Every invariant by a walk; aborts if one is broken. */
void hf_due_calls_verify(const struct hf_due_calls *dues);

#endif
