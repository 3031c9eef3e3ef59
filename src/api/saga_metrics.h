/*
 * Figures of sagas for /metrics: copied on the node's thread, shown on the loop's.
 *
 * Owns: their names. Must never: have a saga's id as a label, nor more definitions than HF_SAGA_METRICS_MAX. Called by:
 * route_metrics.c.
 */
#ifndef HF_API_SAGA_METRICS_H
#define HF_API_SAGA_METRICS_H

#include "core/read.h"
#include "observe/metric_text.h"

#define HF_SAGA_METRICS_MAX 200u

struct hf_saga_metrics {
    struct hf_saga_counts counts;
    uint64_t time_us; /* of the reading */
    bool more;        /* there are definitions beyond */
    size_t count;     /* of rows */
    struct hf_saga_metrics_row {
        char definition[HF_NAME_BYTES_MAX + 24]; /* "order@3" */
        uint64_t by_state[HF_SAGA_STATE_COUNT];
    } rows[HF_SAGA_METRICS_MAX];
};

/* Of HF_QUERY_SAGA_COUNTS with that limit; now_us: wall clock. */
void hf_saga_metrics_take(struct hf_saga_metrics *metrics, const struct hf_reading *reading,
                          uint64_t now_us);
void hf_saga_metrics_put(const struct hf_saga_metrics *metrics, struct hf_metric_text *text);

#endif
