/*
 * Histograms: how often values fell between fixed bounds.
 *
 * Owns: the counts. Must never: allocate, lock, round a value. Called by: node's meter and the door (one thread
 * adds), whoever shows metrics (any thread looks).
 *
 * 1. One thread alone adds to a histogram; all others may look at any time. What they see of one add may lag
 *    behind by a count or the sum, never be torn.
 * 2. counts[i] are values ≤ bounds[i] and above bounds[i-1]; the last one are those above all bounds.
 */
#ifndef HF_BASE_HISTOGRAM_H
#define HF_BASE_HISTOGRAM_H

#include <stdatomic.h>

#include "base/types.h"

#define HF_HISTOGRAM_BOUNDS_MAX 20

/* A number that one thread counts up and others look at. */
typedef atomic_uint_least64_t hf_tally;

static inline void hf_tally_add(hf_tally *tally, uint64_t more)
{
    /* One writer: no need of a locked instruction. */
    uint64_t now = atomic_load_explicit(tally, memory_order_relaxed);
    atomic_store_explicit(tally, now + more, memory_order_relaxed);
}

static inline uint64_t hf_tally_get(const hf_tally *tally)
{
    return atomic_load_explicit(tally, memory_order_relaxed);
}

struct hf_histogram {
    const uint64_t *bounds; /* static, ascending */
    uint32_t bound_count;   /* ≤ HF_HISTOGRAM_BOUNDS_MAX */
    hf_tally counts[HF_HISTOGRAM_BOUNDS_MAX + 1];
    hf_tally sum; /* of the values */
};

/* Latencies in µs: 50 µs to 5 s. */
void hf_histogram_init_latency(struct hf_histogram *histogram);
/* Sizes: 1 to 8,192, doubling. */
void hf_histogram_init_sizes(struct hf_histogram *histogram);
void hf_histogram_add(struct hf_histogram *histogram, uint64_t value);

#endif
