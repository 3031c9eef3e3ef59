#include "api/saga_metrics.h"

#include <stdio.h>

#include "core/saga_wire.h"

void hf_saga_metrics_take(struct hf_saga_metrics *metrics, const struct hf_reading *reading,
                          uint64_t now_us)
{
    metrics->counts = reading->saga_counts;
    metrics->time_us = hf_max_u64(reading->time_us, now_us);
    metrics->more = reading->more;
    metrics->count = 0;
    for (uint32_t i = 0; i < reading->definition_count && i < HF_SAGA_METRICS_MAX; i++) {
        const struct hf_saga_stored_definition *definition = reading->definitions[i];
        struct hf_saga_metrics_row *row = &metrics->rows[metrics->count++];
        (void)snprintf(row->definition, sizeof(row->definition), "%.*s@%llu",
                       (int)definition->name.text.len, definition->name.text.ptr,
                       (unsigned long long)definition->version);
        memcpy(row->by_state, definition->by_state, sizeof(row->by_state));
    }
}

static struct hf_str state_word(size_t state)
{
    return hf_str_from(hf_saga_state_wire((enum hf_saga_state)state));
}

static void put_states(const struct hf_saga_metrics *metrics, struct hf_metric_text *text)
{
    hf_metric_family(text, "saga_states", "gauge", "Sagas that are kept, by state.");
    for (size_t state = HF_SAGA_SCHEDULED; state < HF_SAGA_STATE_COUNT; state++) {
        hf_metric_sample(text, "state", state_word(state), metrics->counts.by_state[state]);
    }
    hf_metric_family(text, "saga_attempts_total", "counter", "Ends of calls, by outcome.");
    for (size_t outcome = HF_OUTCOME_SUCCESS; outcome < HF_SAGA_OUTCOME_COUNT; outcome++) {
        hf_metric_sample(text, "outcome",
                         hf_str_from(hf_saga_outcome_wire((enum hf_saga_outcome)outcome)),
                         metrics->counts.attempts[outcome]);
    }
}

static void put_definitions(const struct hf_saga_metrics *metrics, struct hf_metric_text *text)
{
    hf_metric_family(text, "saga_definitions_untold", "gauge",
                     "1 if there are more definitions than are shown.");
    hf_metric_sample(text, NULL, HF_STR_NONE, metrics->more);
    hf_metric_family(text, "sagas", "gauge", "Sagas of stored definitions, by state.");
    for (size_t i = 0; i < metrics->count; i++) {
        const struct hf_saga_metrics_row *row = &metrics->rows[i];
        for (size_t state = HF_SAGA_SCHEDULED; state < HF_SAGA_STATE_COUNT; state++) {
            if (row->by_state[state] > 0) {
                hf_metric_sample_of_two(text, "definition", hf_str_from(row->definition), "state",
                                        state_word(state), row->by_state[state]);
            }
        }
    }
}

void hf_saga_metrics_put(const struct hf_saga_metrics *metrics, struct hf_metric_text *text)
{
    const struct hf_saga_counts *counts = &metrics->counts;
    uint64_t since_us = counts->oldest_failing_us;
    const struct {
        const char *name, *help;
        uint64_t value;
    } rows[] = {
        {"sagas_failing", "Sagas of which some attempt has failed and none succeeded since.",
         counts->failing},
        {"saga_definitions", "Stored definitions, all versions.", counts->definitions},
        {"saga_inline_definitions", "Definitions that came with their sagas.",
         counts->inline_definitions},
    };
    put_states(metrics, text);
    put_definitions(metrics, text);
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        hf_metric_family(text, rows[i].name, "gauge", rows[i].help);
        hf_metric_sample(text, NULL, HF_STR_NONE, rows[i].value);
    }
    hf_metric_family(text, "saga_oldest_failing_age_seconds", "gauge",
                     "Since when the saga fails that has failed longest; 0 if none does.");
    hf_metric_sample_seconds(
        text, NULL, HF_STR_NONE,
        since_us != 0 && metrics->time_us > since_us ? metrics->time_us - since_us : 0);
}
