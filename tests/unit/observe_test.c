/* Metrics as text: escaping, histograms, seconds. */
#include "observe/metric_text.h"
#include "unit/support.h"

static void label_values_are_escaped(void **state)
{
    (void)state;
    struct hf_buffer out;
    hf_buffer_init(&out);
    struct hf_metric_text text = {.to = &out};
    hf_metric_family(&text, "things", "gauge", "Things.");
    hf_metric_sample(&text, "name", HF_STR("a\\b\"c\nd"), 7);
    hf_metric_sample(&text, NULL, HF_STR_NONE, UINT64_MAX);
    hf_metric_sample_seconds(&text, "name", HF_STR(""), 1000001);
    hf_buffer_u8(&out, 0);
    assert_false(out.failed);
    assert_string_equal((const char *)out.data, "# HELP holdfast_things Things.\n"
                                                "# TYPE holdfast_things gauge\n"
                                                "holdfast_things{name=\"a\\\\b\\\"c\\nd\"} 7\n"
                                                "holdfast_things 18446744073709551615\n"
                                                "holdfast_things{name=\"\"} 1.000001\n");
    hf_buffer_release(&out);
}

static void histograms_count_up(void **state)
{
    (void)state;
    static struct hf_histogram histogram;
    struct hf_buffer out;
    hf_buffer_init(&out);
    struct hf_metric_text text = {.to = &out};
    hf_histogram_init_sizes(&histogram);
    hf_histogram_add(&histogram, 0);
    hf_histogram_add(&histogram, 1);
    hf_histogram_add(&histogram, 2);
    hf_histogram_add(&histogram, 3);
    hf_histogram_add(&histogram, 8192);
    hf_histogram_add(&histogram, 8193);
    hf_metric_family(&text, "sizes", "histogram", "Sizes.");
    hf_metric_histogram(&text, NULL, HF_STR_NONE, &histogram, false);
    hf_buffer_u8(&out, 0);
    const char *shown = (const char *)out.data;
    assert_non_null(strstr(shown, "holdfast_sizes_bucket{le=\"1\"} 2\n"));
    assert_non_null(strstr(shown, "holdfast_sizes_bucket{le=\"2\"} 3\n"));
    assert_non_null(strstr(shown, "holdfast_sizes_bucket{le=\"4\"} 4\n"));
    assert_non_null(strstr(shown, "holdfast_sizes_bucket{le=\"4096\"} 4\n"));
    assert_non_null(strstr(shown, "holdfast_sizes_bucket{le=\"8192\"} 5\n"));
    assert_non_null(strstr(shown, "holdfast_sizes_bucket{le=\"+Inf\"} 6\n"));
    assert_non_null(strstr(shown, "holdfast_sizes_sum 16391\nholdfast_sizes_count 6\n"));
    hf_buffer_clear(&out);
    hf_histogram_init_latency(&histogram);
    hf_histogram_add(&histogram, 50);
    hf_histogram_add(&histogram, 6000000);
    hf_metric_histogram(&text, "stage", HF_STR("decide"), &histogram, true);
    hf_buffer_u8(&out, 0);
    shown = (const char *)out.data;
    assert_non_null(strstr(shown, "holdfast_sizes_bucket{stage=\"decide\",le=\"0.000050\"} 1\n"));
    assert_non_null(strstr(shown, "holdfast_sizes_bucket{stage=\"decide\",le=\"5.000000\"} 1\n"));
    assert_non_null(strstr(shown, "holdfast_sizes_sum{stage=\"decide\"} 6.000050\n"));
    hf_buffer_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(label_values_are_escaped),
        cmocka_unit_test(histograms_count_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
