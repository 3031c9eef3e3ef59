#include "observe/metric_text.h"

#include <inttypes.h>
#include <stdio.h>

void hf_metric_family(struct hf_metric_text *text, const char *name, const char *type,
                      const char *help)
{
    text->name = name;
    hf_buffer_format(text->to, "# HELP holdfast_%s %s\n# TYPE holdfast_%s %s\n", name, help, name,
                     type);
}

/* Backslash, quote and line feed are escaped; names have none of them, but a principal may. */
static void put_label_value(struct hf_buffer *to, struct hf_str value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        if (c == '\n') {
            hf_buffer_text(to, "\\n");
        } else {
            if (c == '\\' || c == '"') {
                hf_buffer_bytes(to, "\\", 1);
            }
            hf_buffer_bytes(to, &c, 1);
        }
    }
}

/* "holdfast_name<suffix>{label="value",le="bound"} " */
static void begin_sample(struct hf_metric_text *text, const char *suffix, const char *label,
                         struct hf_str label_value, const char *bound)
{
    hf_buffer_format(text->to, "holdfast_%s%s", text->name, suffix);
    if (label != NULL || bound != NULL) {
        hf_buffer_text(text->to, "{");
        if (label != NULL) {
            hf_buffer_format(text->to, "%s=\"", label);
            put_label_value(text->to, label_value);
            hf_buffer_text(text->to, bound != NULL ? "\"," : "\"");
        }
        if (bound != NULL) {
            hf_buffer_format(text->to, "le=\"%s\"", bound);
        }
        hf_buffer_text(text->to, "}");
    }
    hf_buffer_text(text->to, " ");
}

static void put_number(struct hf_buffer *to, uint64_t value, bool in_us)
{
    if (in_us) {
        hf_buffer_format(to, "%" PRIu64 ".%06" PRIu64 "\n", value / 1000000, value % 1000000);
    } else {
        hf_buffer_format(to, "%" PRIu64 "\n", value);
    }
}

void hf_metric_sample(struct hf_metric_text *text, const char *label, struct hf_str label_value,
                      uint64_t value)
{
    begin_sample(text, "", label, label_value, NULL);
    put_number(text->to, value, false);
}

void hf_metric_sample_of_two(struct hf_metric_text *text, const char *label,
                             struct hf_str label_value, const char *second,
                             struct hf_str second_value, uint64_t value)
{
    hf_buffer_format(text->to, "holdfast_%s{%s=\"", text->name, label);
    put_label_value(text->to, label_value);
    hf_buffer_format(text->to, "\",%s=\"", second);
    put_label_value(text->to, second_value);
    hf_buffer_text(text->to, "\"} ");
    put_number(text->to, value, false);
}

void hf_metric_sample_seconds(struct hf_metric_text *text, const char *label,
                              struct hf_str label_value, uint64_t value_us)
{
    begin_sample(text, "", label, label_value, NULL);
    put_number(text->to, value_us, true);
}

static void bound_text(char *text, size_t text_bytes, uint64_t bound, bool in_us)
{
    if (in_us) {
        (void)snprintf(text, text_bytes, "%" PRIu64 ".%06" PRIu64, bound / 1000000,
                       bound % 1000000);
    } else {
        (void)snprintf(text, text_bytes, "%" PRIu64, bound);
    }
}

void hf_metric_histogram(struct hf_metric_text *text, const char *label, struct hf_str label_value,
                         const struct hf_histogram *histogram, bool in_us)
{
    /* The sum is looked at first, so that it never holds a value that no bucket has. */
    uint64_t sum = hf_tally_get(&histogram->sum);
    uint64_t count = 0;
    for (uint32_t i = 0; i <= histogram->bound_count; i++) {
        char bound[48] = "+Inf";
        if (i < histogram->bound_count) {
            bound_text(bound, sizeof(bound), histogram->bounds[i], in_us);
        }
        count += hf_tally_get(&histogram->counts[i]);
        begin_sample(text, "_bucket", label, label_value, bound);
        put_number(text->to, count, false);
    }
    begin_sample(text, "_sum", label, label_value, NULL);
    put_number(text->to, sum, in_us);
    begin_sample(text, "_count", label, label_value, NULL);
    put_number(text->to, count, false);
}
