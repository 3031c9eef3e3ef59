#include "node/meter.h"

void hf_node_meter_init(struct hf_node_meter *meter)
{
    hf_histogram_init_latency(&meter->queue_us);
    hf_histogram_init_latency(&meter->decide_us);
    hf_histogram_init_latency(&meter->append_us);
    hf_histogram_init_latency(&meter->sync_us);
    hf_histogram_init_sizes(&meter->batch_commits);
    atomic_init(&meter->log_bytes, 0);
    atomic_init(&meter->expiries, 0);
    atomic_init(&meter->turned_away, 0);
    for (size_t i = 0; i < HF_METER_CODES; i++) {
        atomic_init(&meter->refusals[i], 0);
    }
}
