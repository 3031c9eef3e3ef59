/*
 * What the process holds in memory, part by part, and the limit that it keeps.
 *
 * Owns: the levels and what is refused at each. Must never: walk over things; refuse what frees memory while there is any left;
 * free or take anything by itself but what is kept for speed (recent commits, spare room).
 * Called by: the node (before a request is accepted, and every few milliseconds), status, metrics.
 *
 *   used = the larger of resident memory and what the allocator has given out
 *   kept for a checkpoint = what one takes beside that: it replays into a state of its own
 *   used + kept, of the limit:     75 %          85 %            94 %
 *                       ROOM ───────► TIGHT ───────► FULL ───────► SPENT
 *
 *   TIGHT  fewer recent commits are kept, spare room goes, a checkpoint is begun early, freed memory is given back
 *   FULL   what stays in memory is refused: new accounts, holds, messages, streams, documents, leases, sagas, subscriptions
 *   SPENT  all commits are refused but those that end or keep something, and reads of many things
 *
 * 1. A level is left 3 % below where it was entered, so that it does not flutter.
 * 2. Refused is `overloaded`, before anything was decided: nothing has happened, nothing is recorded.
 * 3. Without a limit nothing is refused and the kernel is not asked; the parts are told all the same.
 */
#ifndef HF_NODE_MEMORY_H
#define HF_NODE_MEMORY_H

#include "base/limits.h"
#include "core/command.h"
#include "core/state.h"

#define HF_MEMORY_MAX_LEAST (64ull << 20) /* a smaller limit is none to work with */

enum hf_memory_level {
    HF_MEMORY_ROOM = 0,
    HF_MEMORY_TIGHT,
    HF_MEMORY_FULL,
    HF_MEMORY_SPENT,
    HF_MEMORY_LEVEL_COUNT,
};

const char *hf_memory_level_name(enum hf_memory_level level); /* "room" */

/* The limit, and whom to ask; zero: none. */
struct hf_memory_options {
    uint64_t max_bytes;
    uint64_t (*resident)(void); /* bytes; 0: not known */
    void (*trim)(void);         /* gives freed memory back */
};

/* In bytes; the parts do not overlap. What is not in one of them is the rest of `allocated`. */
struct hf_memory {
    uint64_t max;                /* 0: no limit */
    uint64_t resident;           /* as the kernel counts it, when it was asked last; 0: not known */
    uint64_t allocated;          /* in use, as the allocator counts it */
    uint64_t checkpoint_reserve; /* kept for a checkpoint to come */
    enum hf_memory_level level;
    uint64_t refused; /* requests since start */
    struct hf_state_bytes state;
    uint64_t state_rest; /* holds, leases, due times, texts of sagas, heaps of subscriptions */
    uint64_t checkpoint; /* the state of the one under way */
    uint64_t index_runs; /* fences and filters */
    uint64_t tail;       /* without frames that are recent ones, too */
    uint64_t requests;   /* accepted and not answered */
};

/* How much of a command stays in memory. */
enum hf_memory_growth {
    HF_MEMORY_ENDS,  /* nothing: it ends or keeps what is there */
    HF_MEMORY_MOVES, /* an index record until the next checkpoint */
    HF_MEMORY_GROWS,
};
enum hf_memory_growth hf_memory_growth_of(const struct hf_command *command);

/* Shares of the limit for what is bounded by bytes: lowers, never raises. */
void hf_memory_shape(struct hf_limits *limits, uint64_t max_bytes);

/* The level for so much, coming from `before`. */
enum hf_memory_level hf_memory_level_of(uint64_t bytes, uint64_t max_bytes,
                                        enum hf_memory_level before);

#endif
