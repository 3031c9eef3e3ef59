#include "base/alloc.h"

#include <stdlib.h>

static _Thread_local uint64_t fault_countdown;
static _Thread_local bool fault_hit;

static bool fault_now(void)
{
    if (__builtin_expect(fault_countdown == 0, 1)) {
        return false;
    }
    fault_countdown--;
    if (fault_countdown == 0) {
        fault_hit = true;
        return true;
    }
    return false;
}

void hf_alloc_fault_set(uint64_t n)
{
    fault_countdown = n;
    fault_hit = false;
}

bool hf_alloc_fault_hit(void)
{
    return fault_hit;
}

void *hf_malloc(size_t size_bytes)
{
    return fault_now() ? NULL : malloc(size_bytes == 0 ? 1 : size_bytes);
}

void *hf_calloc(size_t count, size_t size_bytes)
{
    return fault_now() ? NULL : calloc(count == 0 ? 1 : count, size_bytes == 0 ? 1 : size_bytes);
}

void *hf_realloc(void *pointer, size_t size_bytes)
{
    return fault_now() ? NULL : realloc(pointer, size_bytes == 0 ? 1 : size_bytes);
}

void hf_free(void *pointer)
{
    free(pointer);
}
