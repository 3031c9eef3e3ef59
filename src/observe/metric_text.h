/*
 * Metrics as text: Prometheus' exposition format 0.0.4.
 *
 * Owns: the form: HELP and TYPE before a family's first sample, escaped label values, numbers as they are.
 * Must never: know what is measured. Called by: api's metrics route; tests.
 *
 *   hf_metric_family(&text, "commits_total", "counter", "Commits.");
 *   hf_metric_sample(&text, "", NULL, HF_STR_NONE, 17);
 */
#ifndef HF_OBSERVE_METRIC_TEXT_H
#define HF_OBSERVE_METRIC_TEXT_H

#include "base/buffer.h"
#include "base/histogram.h"

struct hf_metric_text {
    struct hf_buffer *to; /* look at its `failed` at the end */
    const char *name;     /* of the family that is open, without "holdfast_" */
};

/* Opens a family; its name gets the prefix "holdfast_". type: "counter", "gauge" or "histogram". */
void hf_metric_family(struct hf_metric_text *text, const char *name, const char *type,
                      const char *help);
/* A sample of the open family; label NULL: without one. */
void hf_metric_sample(struct hf_metric_text *text, const char *label, struct hf_str label_value,
                      uint64_t value);
/* With two labels. */
void hf_metric_sample_of_two(struct hf_metric_text *text, const char *label,
                             struct hf_str label_value, const char *second,
                             struct hf_str second_value, uint64_t value);
/* With one or none, in seconds, of µs. */
void hf_metric_sample_seconds(struct hf_metric_text *text, const char *label,
                              struct hf_str label_value, uint64_t value_us);
/* A whole histogram under one label (or NULL) of the open family. in_us: bounds and sum are µs, shown in seconds. */
void hf_metric_histogram(struct hf_metric_text *text, const char *label, struct hf_str label_value,
                         const struct hf_histogram *histogram, bool in_us);

#endif
