/*
 * Memory of the simulation itself.
 *
 * Owns: nothing. Not by base/alloc.h, whose fault hook must hit the code under test alone. A
 * simulation that runs out of memory stops: there is nothing to learn from going on.
 * Called by: tests/sim.
 */
#ifndef HF_TESTS_SIM_MEMORY_H
#define HF_TESTS_SIM_MEMORY_H

#include <stdlib.h>

#include "base/check.h"
#include "base/types.h"

/* Zeroed. */
static inline void *hf_sim_calloc(size_t count, size_t size_bytes)
{
    void *memory = calloc(count, size_bytes);
    HF_CHECK(memory != NULL);
    return memory;
}

static inline void *hf_sim_realloc(void *memory, size_t size_bytes)
{
    memory = realloc(memory, size_bytes);
    HF_CHECK(memory != NULL);
    return memory;
}

/* Room for one more in an array whose count reaches its capacity. */
static inline void *hf_sim_grow(void *array, size_t count, size_t *capacity, size_t size_bytes)
{
    if (count < *capacity) {
        return array;
    }
    *capacity = *capacity == 0 ? 16 : *capacity * 2;
    return hf_sim_realloc(array, *capacity * size_bytes);
}

static inline char *hf_sim_copy_text(const char *text)
{
    size_t size_bytes = strlen(text) + 1;
    char *copy = hf_sim_calloc(1, size_bytes);
    memcpy(copy, text, size_bytes);
    return copy;
}

#endif
