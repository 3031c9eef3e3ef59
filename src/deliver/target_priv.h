/* The insides of targets; private to target.c and its tests. */
#ifndef HF_DELIVER_TARGET_PRIV_H
#define HF_DELIVER_TARGET_PRIV_H

#include "base/table.h"
#include "deliver/target.h"

/* Where a target is listed. */
enum target_place {
    TARGET_NOWHERE, /* nobody waits but calls are out, or nobody may go: an end will move it */
    TARGET_IDLE,    /* nothing to do: the oldest is forgotten if there are too many */
    TARGET_READY,   /* somebody waits and may go */
    TARGET_TIMED,   /* somebody waits for due_us */
};

struct hf_target {
    struct hf_id id;             /* first bytes of SHA-256 of its key */
    uint64_t number;             /* never used again */
    struct hf_target_wait *turn; /* the owner whose turn is next; NULL: nobody waits */
    uint64_t waiting;            /* waits in the queues */
    uint32_t in_flight, allowed; /* calls */
    enum hf_target_phase phase;
    enum target_place place;
    struct hf_target_wait *probe; /* PROBING: the call that decides; NULL: not yet sent */
    uint32_t failures_in_row;
    uint32_t window_count; /* of the ends that `window` has */
    uint64_t window;       /* the last ends, newest lowest; 1 = failed */
    uint32_t opens;        /* in a row: without having been fully allowed in between */
    uint64_t due_us;       /* OPEN, or held back by Retry-After: until then; 0 = may be called */
    size_t heap_index;     /* TIMED */
    struct hf_target *before, *after; /* IDLE, READY */
};

struct target_list {
    struct hf_target *first, *last;
};

struct hf_targets {
    struct hf_target_limits limits;
    uint64_t seed;
    struct hf_table by_key;   /* owns the targets */
    struct hf_table owners;   /* (target's number, owner) → its first wait */
    struct target_list ready; /* in turn */
    struct target_list idle;  /* longest idle first */
    struct hf_target **heap;  /* TIMED, by due_us; a place for every target */
    size_t heap_count, heap_capacity;
    uint64_t last_number;
    uint64_t waiting, in_flight, open, opened;
};

#endif
