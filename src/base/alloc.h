/*
 * Allocation with a fault hook.
 *
 * Owns: the only calls of malloc, realloc and free in the project. Must never: abort when memory
 * is short; the caller decides. Tests make the n-th allocation of a thread fail.
 * Called by: containers of base, and modules that own long-lived objects.
 */
#ifndef HF_BASE_ALLOC_H
#define HF_BASE_ALLOC_H

#include "base/types.h"

/* As malloc, calloc, realloc; NULL if memory is short. size may be 0 (a unique pointer). */
void *hf_malloc(size_t size_bytes) HF_WARN_UNUSED;
void *hf_calloc(size_t count, size_t size_bytes) HF_WARN_UNUSED;
void *hf_realloc(void *pointer, size_t size_bytes) HF_WARN_UNUSED;
void hf_free(void *pointer);

/* Tests: the calling thread's n-th allocation from now on fails, once (n = 1 is the next one).
 * n = 0 switches it off. hf_alloc_fault_hit() tells whether it happened since it was set. */
void hf_alloc_fault_set(uint64_t n);
bool hf_alloc_fault_hit(void);

#endif
