/* The running audit, the watch and the keeper of a server that owns its directory. */
#include "cli/serve_priv.h"

#include <stdio.h>

bool hf_serve_observe_parse(const struct hf_serve_options *options,
                            struct hf_serve_observe *observe, struct hf_error *error)
{
    const char *why = "";
    observe->interval_us = HF_AUDIT_INTERVAL_US;
    observe->rate_bytes_per_s = HF_AUDIT_RATE_BYTES_PER_S;
    observe->limits = hf_alert_limits_default();
    struct hf_str interval =
        hf_str_from(options->audit_interval == NULL ? "" : options->audit_interval);
    struct hf_str rate = hf_str_from(options->audit_rate == NULL ? "" : options->audit_rate);
    if (hf_str_equal(interval, HF_STR("off"))) {
        observe->interval_us = 0;
    } else if (interval.len > 0 &&
               (!hf_duration_parse(interval, &observe->interval_us) || observe->interval_us == 0)) {
        (void)hf_error_set(error, HF_ERR_INVALID_REQUEST,
                           "--audit-interval: expected a duration (30m, 1h, 1d) or off");
        return false;
    }
    if (hf_str_equal(rate, HF_STR("off"))) {
        observe->rate_bytes_per_s = 0;
    } else if (rate.len > 0 && (!hf_size_parse(rate, &observe->rate_bytes_per_s) ||
                                observe->rate_bytes_per_s == 0)) {
        (void)hf_error_set(error, HF_ERR_INVALID_REQUEST,
                           "--audit-rate: expected a size (16MiB, 1GiB) or off");
        return false;
    }
    for (size_t i = 0; i < options->alerts.count; i++) {
        const char *text = options->alerts.items[i];
        if (!hf_alert_limits_set(&observe->limits, hf_str_from(text), &why)) {
            (void)hf_error_set(error, HF_ERR_INVALID_REQUEST, "--alert %s: %s", text, why);
            return false;
        }
    }
    return true;
}

static void wake_watch(void *context)
{
    struct serve *serve = context;
    hf_watch_wake(serve->watch);
}

static void tell_webhook(void *context)
{
    struct serve *serve = context;
    hf_serve_deliver_alerts(serve->deliver);
}

enum hf_err hf_serve_observe(struct serve *serve, struct hf_error *error)
{
    struct hf_node *node = hf_engine_node(serve->engine);
    struct hf_outside *outside = hf_engine_outside(serve->engine);
    struct hf_watch_options watch_options = {
        .outside = outside,
        .node = node,
        .directory = serve->options->data,
        .limits = serve->observe.limits,
        .space = hf_outside_linux_space,
        .files = hf_outside_linux_files,
        .changed = tell_webhook,
        .context = serve,
    };
    enum hf_err code = hf_watch_new(&watch_options, &serve->watch, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    struct hf_audit_options audit_options = {
        .outside = outside,
        .node = node,
        .directory = serve->options->data,
        .interval_us = serve->observe.interval_us,
        .rate_bytes_per_s = serve->observe.rate_bytes_per_s,
        .ended = wake_watch,
        .context = serve,
    };
    code = hf_audit_new(&audit_options, &serve->audit, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    hf_watch_set_audit(serve->watch, serve->audit);
    struct hf_serve_keep_options keep_options = {
        .outside = outside,
        .node = node,
        .directory = serve->options->data,
        .archive = serve->options->archive == NULL ? NULL : serve->archive,
        .compress_after = serve->options->compress_after,
        .archive_after = serve->options->archive_after,
    };
    return hf_serve_keep_new(&keep_options, &serve->keep, error);
}

void hf_serve_observe_end(struct serve *serve)
{
    if (serve->watch != NULL) {
        hf_watch_set_audit(serve->watch, NULL);
    }
    hf_serve_keep_free(serve->keep);
    hf_audit_free(serve->audit);
    hf_watch_free(serve->watch);
    serve->keep = NULL;
    serve->audit = NULL;
    serve->watch = NULL;
}
