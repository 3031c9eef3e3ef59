#include "base/alloc.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>

#define HUGE_PAGE_BYTES ((uintptr_t)2 << 20)
#define HUGE_BYTES_MIN  ((size_t)4 << 20) /* smaller ones hold no whole huge page, or hardly */

static _Thread_local uint64_t fault_countdown;
static _Thread_local bool fault_hit;

static atomic_int_least64_t in_use;                  /* what threads have told */
static _Thread_local int64_t untold;                 /* of this thread */
static _Thread_local int64_t mine;                   /* of this thread, all of it */
static _Thread_local atomic_int_least64_t *told_too; /* or NULL */

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

/* Large tables are looked at in random order: with huge pages the CPU finds most of their addresses in its own
 * table of pages (1.2 to 1.4 times the transfers a second, docs/adr/0015-bulk-speed.md). It is advice: where the
 * system has none, nothing changes. */
static void *with_huge_pages(void *pointer, size_t size_bytes)
{
    if (pointer != NULL && size_bytes >= HUGE_BYTES_MIN) {
        uintptr_t start = ((uintptr_t)pointer + HUGE_PAGE_BYTES - 1) & ~(HUGE_PAGE_BYTES - 1);
        uintptr_t end = ((uintptr_t)pointer + size_bytes) & ~(HUGE_PAGE_BYTES - 1);
        (void)madvise((char *)pointer + (start - (uintptr_t)pointer), end - start, MADV_HUGEPAGE);
    }
    return pointer;
}

static void tell(void)
{
    atomic_fetch_add_explicit(&in_use, untold, memory_order_relaxed);
    if (told_too != NULL) {
        atomic_fetch_add_explicit(told_too, untold, memory_order_relaxed);
    }
    untold = 0;
}

static void note(int64_t bytes)
{
    mine += bytes;
    untold += bytes;
    if (__builtin_expect(untold > HF_ALLOC_SLACK_BYTES || untold < -HF_ALLOC_SLACK_BYTES, 0)) {
        tell();
    }
}

static void *counted(void *pointer)
{
    note((int64_t)malloc_usable_size(pointer));
    return pointer;
}

uint64_t hf_alloc_in_use_bytes(void)
{
    int64_t bytes = atomic_load_explicit(&in_use, memory_order_relaxed);
    return bytes < 0 ? 0 : (uint64_t)bytes;
}

int64_t hf_alloc_thread_bytes(void)
{
    return mine;
}

size_t hf_alloc_block_bytes(const void *pointer)
{
    return malloc_usable_size((void *)pointer);
}

void hf_alloc_count_also(atomic_int_least64_t *also)
{
    tell();
    told_too = also;
}

void *hf_malloc(size_t size_bytes)
{
    return fault_now()
               ? NULL
               : counted(with_huge_pages(malloc(size_bytes == 0 ? 1 : size_bytes), size_bytes));
}

void *hf_calloc(size_t count, size_t size_bytes)
{
    void *pointer =
        fault_now() ? NULL : calloc(count == 0 ? 1 : count, size_bytes == 0 ? 1 : size_bytes);
    return pointer == NULL ? NULL : counted(with_huge_pages(pointer, count * size_bytes));
}

void *hf_realloc(void *pointer, size_t size_bytes)
{
    if (fault_now()) {
        return NULL;
    }
    int64_t before = (int64_t)malloc_usable_size(pointer);
    void *moved = realloc(pointer, size_bytes == 0 ? 1 : size_bytes);
    if (moved != NULL) {
        note((int64_t)malloc_usable_size(moved) - before);
    }
    return with_huge_pages(moved, size_bytes);
}

void hf_free(void *pointer)
{
    note(-(int64_t)malloc_usable_size(pointer));
    free(pointer);
}
