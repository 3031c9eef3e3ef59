/* Times in buckets that grow with them: 64 for each doubling. */
#include "cli/bench.h"

/* Below 2 * STEPS each value has a bucket of its own; above, the leading bits choose. */
static size_t bucket_of(uint64_t ns)
{
    if (ns < 2 * HF_BENCH_BUCKETS) {
        return (size_t)ns;
    }
    unsigned doubling = 63u - (unsigned)__builtin_clzll(ns);
    unsigned shift = doubling - 6;
    size_t bucket =
        (size_t)(shift + 1) * HF_BENCH_BUCKETS + (size_t)((ns >> shift) - HF_BENCH_BUCKETS);
    return bucket < HF_BENCH_TIMES ? bucket : HF_BENCH_TIMES - 1;
}

/* The highest value that falls into it. */
static uint64_t top_of(size_t bucket)
{
    if (bucket < 2 * HF_BENCH_BUCKETS) {
        return bucket;
    }
    unsigned shift = (unsigned)(bucket / HF_BENCH_BUCKETS) - 1;
    uint64_t lead = bucket % HF_BENCH_BUCKETS + HF_BENCH_BUCKETS;
    return ((lead + 1) << shift) - 1;
}

void hf_bench_latency_add(struct hf_bench_latency *latency, uint64_t ns)
{
    latency->counts[bucket_of(ns)]++;
    latency->count++;
    latency->max_ns = hf_max_u64(latency->max_ns, ns);
}

uint64_t hf_bench_latency_at(const struct hf_bench_latency *latency, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)latency->count);
    wanted += (double)wanted < share * (double)latency->count;
    wanted = hf_max_u64(wanted, 1);
    uint64_t seen = 0;
    for (size_t i = 0; i < HF_BENCH_TIMES; i++) {
        seen += latency->counts[i];
        if (seen >= wanted) {
            return hf_min_u64(top_of(i), latency->max_ns);
        }
    }
    return latency->max_ns;
}
