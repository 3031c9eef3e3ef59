/*
 * An arena: memory that is given back all at once.
 *
 * Owns: a list of chunks. Must never: free a single object, move one. Everything allocated lives
 * until clear or release. Not thread-safe. Called by: decoders, commands, drafts.
 */
#ifndef HF_BASE_ARENA_H
#define HF_BASE_ARENA_H

#include "base/types.h"

struct hf_arena_chunk;

struct hf_arena {
    struct hf_arena_chunk *first; /* newest chunk first; NULL = nothing allocated yet */
    size_t used_bytes;            /* in the newest chunk */
    size_t total_bytes;           /* of all chunks, for limits */
};

void hf_arena_init(struct hf_arena *arena);
void hf_arena_release(struct hf_arena *arena);

/* Gives everything back but keeps the newest chunk for reuse (if it is of ordinary size). */
void hf_arena_clear(struct hf_arena *arena);

/* 16-byte aligned, not zeroed; NULL if memory is short. */
void *hf_arena_alloc(struct hf_arena *arena, size_t size_bytes) HF_WARN_UNUSED;
/* Zeroed array; NULL if memory is short or count × size overflows. */
void *hf_arena_alloc_zero(struct hf_arena *arena, size_t count, size_t size_bytes) HF_WARN_UNUSED;
/* Copies text; ptr NULL in the result if memory is short (also for an absent text). */
struct hf_str hf_arena_copy(struct hf_arena *arena, struct hf_str text) HF_WARN_UNUSED;

#endif
