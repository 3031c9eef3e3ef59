/*
 * Allocation with a fault hook.
 *
 * Owns: the only calls of malloc, realloc and free in the project. Must never: abort when memory
 * is short; the caller decides. Tests make the n-th allocation of a thread fail.
 * Called by: containers of base, and modules that own long-lived objects.
 *
 * What is in use is counted, as the allocator rounds it up. Each thread counts by itself and adds to the sum when it has
 * HF_ALLOC_SLACK_BYTES more or less than it told last: so counting costs no shared cache line, and the sum is wrong by
 * that much a thread at most.
 */
#ifndef HF_BASE_ALLOC_H
#define HF_BASE_ALLOC_H

#include <stdatomic.h>

#include "base/types.h"

/* As malloc, calloc, realloc; NULL if memory is short. size may be 0 (a unique pointer). */
void *hf_malloc(size_t size_bytes) HF_WARN_UNUSED;
void *hf_calloc(size_t count, size_t size_bytes) HF_WARN_UNUSED;
void *hf_realloc(void *pointer, size_t size_bytes) HF_WARN_UNUSED;
void hf_free(void *pointer);

#define HF_ALLOC_SLACK_BYTES 32768

/* Bytes in use by all threads. */
uint64_t hf_alloc_in_use_bytes(void);
/* What the calling thread has allocated and not freed since it began, exactly; below 0 if it frees for others. The difference of
 * two calls is what was kept between them. */
int64_t hf_alloc_thread_bytes(void);
/* What a block takes; 0 for NULL. */
size_t hf_alloc_block_bytes(const void *pointer);
/* From now on what the calling thread allocates is added to *also, too, and what it frees taken off it; NULL: no more. To be
 * undone by the same thread before *also goes. */
void hf_alloc_count_also(atomic_int_least64_t *also);

/* Tests: the calling thread's n-th allocation from now on fails, once (n = 1 is the next one).
 * n = 0 switches it off. hf_alloc_fault_hit() tells whether it happened since it was set. */
void hf_alloc_fault_set(uint64_t n);
bool hf_alloc_fault_hit(void);

#endif
