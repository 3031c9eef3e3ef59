/*
 * Memory that is asked for before it is needed.
 *
 * Owns: one hint to the CPU. Must never: read the address; it may be any. Called by: whoever looks at many places of large
 * tables in turn.
 */
#ifndef HF_BASE_PREFETCH_H
#define HF_BASE_PREFETCH_H

/* GCC takes a function that does nothing but prefetch for one without effect, and drops calls of it: the empty volatile
 * statement is the effect. Half of the time of a bulk load went with prefetches that were not there (docs/adr/0015). */
static inline void hf_prefetch(const void *address)
{
    __builtin_prefetch(address);
    __asm__ volatile("");
}

#endif
