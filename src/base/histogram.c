#include "base/histogram.h"

#include "base/check.h"

static const uint64_t latency_us[] = {50,    100,   250,    500,    1000,   2500,    5000,   10000,
                                      25000, 50000, 100000, 250000, 500000, 1000000, 5000000};
static const uint64_t sizes[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192};

_Static_assert(HF_ARRAY_COUNT(latency_us) <= HF_HISTOGRAM_BOUNDS_MAX, "bounds");
_Static_assert(HF_ARRAY_COUNT(sizes) <= HF_HISTOGRAM_BOUNDS_MAX, "bounds");

static void init(struct hf_histogram *histogram, const uint64_t *bounds, size_t count)
{
    histogram->bounds = bounds;
    histogram->bound_count = (uint32_t)count;
    for (size_t i = 0; i < HF_ARRAY_COUNT(histogram->counts); i++) {
        atomic_init(&histogram->counts[i], 0);
    }
    atomic_init(&histogram->sum, 0);
}

void hf_histogram_init_latency(struct hf_histogram *histogram)
{
    init(histogram, latency_us, HF_ARRAY_COUNT(latency_us));
}

void hf_histogram_init_sizes(struct hf_histogram *histogram)
{
    init(histogram, sizes, HF_ARRAY_COUNT(sizes));
}

void hf_histogram_add(struct hf_histogram *histogram, uint64_t value)
{
    HF_CHECK(histogram->bound_count > 0);
    uint32_t i = 0;
    while (i < histogram->bound_count && value > histogram->bounds[i]) {
        i++;
    }
    hf_tally_add(&histogram->counts[i], 1);
    hf_tally_add(&histogram->sum, value);
}
