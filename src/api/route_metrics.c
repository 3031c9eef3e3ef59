/* GET /metrics: the server's figures, for Prometheus. */
#include "api/door_priv.h"
#include "api/saga_metrics.h"
#include "observe/audit.h"
#include "observe/metric_text.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct row {
    const char *name;
    const char *type; /* "counter" or "gauge" */
    const char *help;
    uint64_t value;
};

static void put_rows(struct hf_metric_text *text, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        hf_metric_family(text, rows[i].name, rows[i].type, rows[i].help);
        hf_metric_sample(text, NULL, HF_STR_NONE, rows[i].value);
    }
}

static void put_node(struct hf_metric_text *text, const struct hf_node_status *s)
{
    const struct row rows[] = {
        {"leading", "gauge", "1 while this process owns the log and decides.",
         s->phase == HF_NODE_LEADING},
        {"read_only", "gauge", "1 while the disk is full.", s->read_only},
        {"epoch", "gauge", "Number of this ownership of the log.", s->epoch},
        {"position", "gauge", "Newest commit that was decided.", s->position},
        {"durable_position", "gauge", "Newest commit that is durable.", s->durable_position},
        {"checkpoint_position", "gauge", "Newest recorded checkpoint.", s->checkpoint_position},
        {"accounts", "gauge", "Accounts.", s->accounts},
        {"open_holds", "gauge", "Open holds.", s->holds},
        {"streams", "gauge", "Streams.", s->streams},
        {"documents", "gauge", "Documents, deleted ones too.", s->documents},
        {"leases", "gauge", "Leases.", s->leases},
        {"subscription_lines", "gauge", "Lines of all subscriptions: what messages cost of memory.",
         s->lines},
        {"delayed_messages", "gauge", "Messages that are published and not due.", s->delayed},
        {"commits_total", "counter", "Commands that were carried out.", s->commits},
        {"refusals_total", "counter", "Commands that were refused.", s->refusals},
        {"replays_total", "counter", "Commands answered from their record.", s->replays},
        {"reads_total", "counter", "Reads.", s->reads},
        {"batches_total", "counter", "Batches made durable.", s->batches},
        {"fetches_total", "counter", "Requests that needed records from the disk.", s->fetches},
        {"rebuilds_total", "counter", "States thrown away and built anew.", s->rebuilds},
    };
    put_rows(text, rows, HF_ARRAY_COUNT(rows));
}

static void put_http(struct hf_metric_text *text, const struct hf_http_counts *c)
{
    const struct row rows[] = {
        {"http_connections", "gauge", "Open connections.", c->connections},
        {"http_connections_total", "counter", "Connections accepted.", c->accepted},
        {"http_requests_total", "counter", "Requests.", c->requests},
        {"http_refused_total", "counter", "Requests that the HTTP server refused.", c->refused},
        {"http_timed_out_total", "counter", "Connections cut off for slowness.", c->timed_out},
        {"http_received_bytes_total", "counter", "Bytes received.", c->received_bytes},
        {"http_sent_bytes_total", "counter", "Bytes sent.", c->sent_bytes},
        {"http_streams", "gauge", "Streamed answers that are open.", c->streams},
        {"http_body_bytes", "gauge", "Bodies of requests under way.", c->body_bytes_held},
    };
    put_rows(text, rows, HF_ARRAY_COUNT(rows));
}

static void put_meter(struct hf_metric_text *text, const struct hf_door *door)
{
    const struct hf_node_meter *meter = hf_node_meter(door->options.node);
    const struct {
        const char *stage;
        const struct hf_histogram *histogram;
    } stages[] = {
        {"queue", &meter->queue_us},
        {"decide", &meter->decide_us},
        {"append", &meter->append_us},
        {"answer", &door->answer_us},
    };
    hf_metric_family(text, "stage_seconds", "histogram",
                     "Time of a request in each stage: waiting to be decided, decided, made "
                     "durable, answered.");
    for (size_t i = 0; i < HF_ARRAY_COUNT(stages); i++) {
        hf_metric_histogram(text, "stage", hf_str_from(stages[i].stage), stages[i].histogram, true);
    }
    hf_metric_family(text, "sync_seconds", "histogram", "Write and sync of a batch.");
    hf_metric_histogram(text, NULL, HF_STR_NONE, &meter->sync_us, true);
    hf_metric_family(text, "batch_commits", "histogram", "Commits of a batch.");
    hf_metric_histogram(text, NULL, HF_STR_NONE, &meter->batch_commits, false);
    hf_metric_family(text, "refused_total", "counter", "Answers that were no, by code.");
    for (uint32_t code = 1; code < HF_METER_CODES; code++) {
        uint64_t count = hf_tally_get(&meter->refusals[code]);
        if (hf_err_known(code) && count > 0) {
            hf_metric_sample(text, "code", hf_str_from(hf_err_wire((enum hf_err)code)), count);
        }
    }
    const struct row rows[] = {
        {"turned_away_total", "counter", "Requests that found the queue full or no leader.",
         hf_tally_get(&meter->turned_away)},
        {"log_bytes_total", "counter", "Bytes of batches made durable.",
         hf_tally_get(&meter->log_bytes)},
        {"timer_commits_total", "counter", "Commits of the timer: what was due.",
         hf_tally_get(&meter->expiries)},
    };
    put_rows(text, rows, HF_ARRAY_COUNT(rows));
}

static void put_load(struct hf_metric_text *text, struct hf_node *node)
{
    uint64_t requests;
    uint64_t bytes;
    hf_node_open_requests(node, &requests, &bytes);
    const struct row rows[] = {
        {"requests_under_way", "gauge", "Requests that are accepted and not answered.", requests},
        {"waiting_receives", "gauge", "Requests that wait for a message, or for a saga to settle.",
         hf_node_waiting_receives(node)},
        {"requests_under_way_bytes", "gauge", "Memory of these requests.", bytes},
    };
    put_rows(text, rows, HF_ARRAY_COUNT(rows));
}

static void put_parts(struct hf_metric_text *text, const struct hf_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        hf_metric_sample(text, "part", hf_str_from(parts[i].name), parts[i].bytes);
    }
}

static void put_memory(struct hf_metric_text *text, const struct hf_call *call,
                       const struct hf_node_status *status, const struct hf_http_counts *counts)
{
    const struct hf_memory *memory = &status->memory;
    struct hf_part parts[HF_MEMORY_PARTS];
    const struct row rows[] = {
        {"memory_max_bytes", "gauge", "The limit of memory; 0: none.", memory->max},
        {"allocated_memory_bytes", "gauge", "Memory in use, as the allocator counts it.",
         memory->allocated},
        {"memory_checkpoint_reserve_bytes", "gauge", "Memory kept for the next checkpoint.",
         memory->checkpoint_reserve},
        {"memory_level", "gauge", "0 room, 1 tight, 2 full, 3 spent.", memory->level},
        {"memory_refused_total", "counter", "Requests refused for memory.", memory->refused},
        {"resident_memory_bytes", "gauge", "Resident memory of the process.", memory->resident},
    };
    /* Left out where the kernel does not tell. */
    put_rows(text, rows, HF_ARRAY_COUNT(rows) - (memory->resident == 0));
    hf_call_memory_parts(call, status, counts, parts);
    hf_metric_family(text, "memory_bytes", "gauge", "Allocated memory by part.");
    put_parts(text, parts, HF_MEMORY_PARTS);
}

static void put_disk(struct hf_metric_text *text, const struct hf_call *call)
{
    struct hf_disk_use use;
    struct hf_part parts[HF_DISK_PARTS];
    if (!hf_call_disk_parts(call, &use, parts)) {
        return;
    }
    hf_metric_family(text, "disk_bytes", "gauge", "What the data directory takes, by part.");
    put_parts(text, parts, HF_DISK_PARTS);
    const struct row rows[] = {
        {"disk_free_bytes", "gauge", "Free where the data are.", use.free},
        {"disk_size_bytes", "gauge", "All that there is, free or not.", use.all},
    };
    put_rows(text, rows, HF_ARRAY_COUNT(rows));
}

/* Where the log's bytes are; left out until they were looked at. */
static void put_log(struct hf_metric_text *text, const struct hf_door_options *options)
{
    struct hf_log_bytes b;
    if (options->log_bytes == NULL || !options->log_bytes(options->log_bytes_context, &b)) {
        return;
    }
    hf_metric_family(text, "log_stored_bytes", "gauge", "Bytes of the log's files, by form.");
    hf_metric_sample(text, "form", HF_STR("plain"), b.plain_bytes);
    hf_metric_sample(text, "form", HF_STR("compressed"), b.compressed_bytes);
    hf_metric_sample(text, "form", HF_STR("archived"), b.archived_bytes);
    hf_metric_family(text, "log_segments", "gauge", "Segments of the log, by form.");
    hf_metric_sample(text, "form", HF_STR("plain"), b.plain_segments);
    hf_metric_sample(text, "form", HF_STR("compressed"), b.compressed_segments);
    hf_metric_sample(text, "form", HF_STR("archived"), b.archived_segments);
}

/* ---- subscriptions ---- */

/* What a family shows of each subscription. */
enum figure {
    FIGURE_READY,
    FIGURE_WAITING,
    FIGURE_IN_FLIGHT,
    FIGURE_BACKING_OFF,
    FIGURE_PARKED,
    FIGURE_DELAYED,
    FIGURE_LAG,
    FIGURE_STALLED,
    FIGURE_ARRIVED,
    FIGURE_ACKED,
    FIGURE_DISCARDED,
    FIGURE_DELIVERIES,
    FIGURE_TRIES,
    FIGURE_PARKINGS,
    FIGURE_AGE_US, /* shown in seconds */
    FIGURE_COUNT,
};

static const struct {
    const char *name;
    const char *type;
    const char *help;
} families[FIGURE_COUNT] = {
    [FIGURE_READY] = {"subscription_ready_lines", "gauge", "Keys with a message to receive."},
    [FIGURE_WAITING] = {"subscription_waiting", "gauge", "Messages that wait."},
    [FIGURE_IN_FLIGHT] = {"subscription_in_flight", "gauge", "Messages that are out."},
    [FIGURE_BACKING_OFF] = {"subscription_backing_off", "gauge", "Keys that back off."},
    [FIGURE_PARKED] = {"subscription_parked", "gauge", "Dead letters."},
    [FIGURE_DELAYED] = {"subscription_delayed", "gauge",
                        "Messages of its topic that are not due; 0 without a topic."},
    [FIGURE_LAG] = {"subscription_lag", "gauge", "Commits that it has not looked at yet."},
    [FIGURE_STALLED] = {"subscription_stalled", "gauge",
                        "1 if there is a backlog and nothing was acked for five minutes."},
    [FIGURE_ARRIVED] = {"subscription_arrived_total", "counter", "Messages that arrived."},
    [FIGURE_ACKED] = {"subscription_acked_total", "counter", "Messages that were acked."},
    [FIGURE_DISCARDED] = {"subscription_discarded_total", "counter", "Dead letters given up."},
    [FIGURE_DELIVERIES] = {"subscription_deliveries_total", "counter", "Deliveries."},
    [FIGURE_TRIES] = {"subscription_failed_tries_total", "counter", "Tries that failed."},
    [FIGURE_PARKINGS] = {"subscription_parkings_total", "counter", "Dead letters made."},
    [FIGURE_AGE_US] = {"subscription_oldest_unacked_age_seconds", "gauge",
                       "Age of the oldest message that has not ended; 0 if there is none."},
};

struct figures {
    size_t name_at; /* in names */
    size_t name_bytes;
    uint64_t values[FIGURE_COUNT];
    struct hf_push_status push; /* state 0: it has none */
};

/* Copied on the node's thread, shown on the loop's. At most HF_QUERY_LIMIT_MAX, by name. */
struct metering {
    struct hf_query queries[3];    /* subscriptions, alerts, sagas */
    struct hf_saga_metrics *sagas; /* in the exchange's arena */
    bool has_sagas;                /* they were read */
    struct hf_buffer names;
    struct figures *rows; /* in the exchange's arena, queries[0].limit of them */
    size_t count;
    bool more;                            /* there are others */
    uint64_t alerts[HF_ALERT_KIND_COUNT]; /* raised, by kind */
};

static void take_figures(const struct hf_subscription_reading *reading, uint64_t time_us,
                         uint64_t values[FIGURE_COUNT])
{
    const struct hf_subscription *s = reading->subscription;
    bool old = reading->oldest_us != 0 && time_us > reading->oldest_us;
    values[FIGURE_READY] = s->ready.count;
    values[FIGURE_WAITING] = s->waiting;
    values[FIGURE_IN_FLIGHT] = s->in_flight;
    values[FIGURE_BACKING_OFF] = s->backing_off.count;
    values[FIGURE_PARKED] = s->parked.count;
    values[FIGURE_DELAYED] = reading->delayed;
    values[FIGURE_LAG] = reading->lag;
    values[FIGURE_STALLED] = reading->stalled;
    values[FIGURE_ARRIVED] = s->arrived;
    values[FIGURE_ACKED] = s->acked;
    values[FIGURE_DISCARDED] = s->discarded;
    values[FIGURE_DELIVERIES] = s->deliveries;
    values[FIGURE_TRIES] = s->failed_tries;
    values[FIGURE_PARKINGS] = s->parkings;
    values[FIGURE_AGE_US] = old ? time_us - reading->oldest_us : 0;
}

static void count_alerts(struct metering *metering, const struct hf_alerts *alerts)
{
    memset(metering->alerts, 0, sizeof(metering->alerts));
    for (uint32_t i = 0; i < alerts->raised_count; i++) {
        metering->alerts[alerts->raised[i]->kind]++;
    }
}

/* On the node's thread. */
static void copy_figures(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct hf_call *call = request->context;
    struct metering *metering = call->work;
    const struct hf_door_options *options = &call->door->options;
    struct hf_outside *outside = options->outside;
    uint64_t now_us = hf_max_u64(reading->time_us, outside->wall_us(outside));
    if (index == 1) {
        count_alerts(metering, reading->alerts);
        return;
    }
    if (index == 2) {
        hf_saga_metrics_take(metering->sagas, reading, now_us);
        metering->has_sagas = true;
        return;
    }
    hf_buffer_clear(&metering->names);
    metering->count = 0;
    metering->more = reading->more;
    for (uint32_t i = 0; i < reading->subscription_count && i < metering->queries[0].limit; i++) {
        struct figures *row = &metering->rows[metering->count++];
        struct hf_str name = reading->subscriptions[i].subscription->name.text;
        row->name_at = metering->names.size_bytes;
        row->name_bytes = name.len;
        hf_buffer_bytes(&metering->names, name.ptr, name.len);
        take_figures(&reading->subscriptions[i], now_us, row->values);
        row->push = (struct hf_push_status){0};
        const struct hf_subscription *s = reading->subscriptions[i].subscription;
        if (s->settings.push != NULL && options->push_status != NULL) {
            (void)options->push_status(options->deliver_context, s->uid, &row->push);
        }
    }
}

/* Those that Holdfast sends itself; of a subscription without a push there is nothing. */
static void put_pushes(struct hf_metric_text *text, const struct metering *metering)
{
    static const struct {
        const char *name;
        const char *type;
        const char *help;
    } rows[] = {
        {"push_up", "gauge", "1 while its messages are sent, 0 if it is held back or disabled."},
        {"push_sent_total", "counter", "Calls that were answered well."},
        {"push_failed_total", "counter", "Calls that failed."},
    };
    for (size_t family = 0; family < HF_ARRAY_COUNT(rows); family++) {
        hf_metric_family(text, rows[family].name, rows[family].type, rows[family].help);
        for (size_t i = 0; i < metering->count; i++) {
            const struct figures *figures = &metering->rows[i];
            const struct hf_push_status *push = &figures->push;
            const uint64_t values[] = {push->state == HF_PUSH_WAITING ||
                                           push->state == HF_PUSH_SENDING,
                                       push->sent, push->failed};
            struct hf_str name = {(const char *)metering->names.data + figures->name_at,
                                  figures->name_bytes};
            if (push->state != 0) {
                hf_metric_sample(text, "subscription", name, values[family]);
            }
        }
    }
}

static void put_deliver(struct hf_metric_text *text, const struct hf_door_options *options)
{
    struct hf_deliver_sums s;
    if (options->deliver_sums == NULL) {
        return;
    }
    options->deliver_sums(options->deliver_context, &s);
    const struct row rows[] = {
        {"push_subscriptions", "gauge", "Subscriptions with a push.", s.push.subscriptions},
        {"push_disabled", "gauge", "Pushes that an answer of 410 disabled.", s.push.disabled},
        {"push_held_back", "gauge", "Pushes whose target does not answer.", s.push.held_back},
        {"push_secret_missing", "gauge", "Pushes that lack a secret.", s.push.secret_missing},
        {"deliver_targets", "gauge", "Targets called of late.", s.targets},
        {"deliver_targets_open", "gauge", "Targets whose breaker is open.", s.targets_open},
        {"deliver_calls_waiting", "gauge", "Calls that wait for their turn.", s.calls_waiting},
        {"deliver_calls_in_flight", "gauge", "Calls that are out.", s.calls_in_flight},
        {"deliver_breakers_opened_total", "counter", "Times that a breaker opened.",
         s.breakers_opened},
    };
    put_rows(text, rows, HF_ARRAY_COUNT(rows));
}

static void put_subscriptions(struct hf_metric_text *text, const struct metering *metering)
{
    const struct row row = {"subscriptions_untold", "gauge",
                            "1 if there are more subscriptions than are shown.", metering->more};
    put_rows(text, &row, 1);
    for (size_t family = 0; family < FIGURE_COUNT && metering->count > 0; family++) {
        hf_metric_family(text, families[family].name, families[family].type, families[family].help);
        for (size_t i = 0; i < metering->count; i++) {
            const struct figures *figures = &metering->rows[i];
            struct hf_str name = {(const char *)metering->names.data + figures->name_at,
                                  figures->name_bytes};
            if (family == FIGURE_AGE_US) {
                hf_metric_sample_seconds(text, "subscription", name, figures->values[family]);
            } else {
                hf_metric_sample(text, "subscription", name, figures->values[family]);
            }
        }
    }
}

/* ---- alerts and the audit ---- */

static void put_alerts(struct hf_metric_text *text, const struct metering *metering)
{
    hf_metric_family(text, "alerts", "gauge", "Alerts that are raised, by kind.");
    for (unsigned kind = 1; kind < HF_ALERT_KIND_COUNT; kind++) {
        hf_metric_sample(text, "kind", hf_str_from(hf_alert_wire((enum hf_alert_kind)kind)),
                         metering->alerts[kind]);
    }
}

static void put_audit(struct hf_metric_text *text, struct hf_call *call)
{
    struct hf_audit *audit = call->door->options.audit;
    struct hf_audit_report *report =
        audit == NULL ? NULL : hf_arena_alloc(call->exchange->arena, sizeof(*report));
    if (report == NULL) {
        return;
    }
    hf_audit_report(audit, report);
    const struct row rows[] = {
        {"audit_running", "gauge", "1 while a pass of the audit is under way.", report->running},
        {"audit_position", "gauge", "Position that the pass under way has come to in the log.",
         report->running ? report->current.position : 0},
        {"audit_passes_total", "counter", "Passes of the audit that ended.", report->passes},
    };
    put_rows(text, rows, HF_ARRAY_COUNT(rows));
    if (report->has_last) {
        const struct hf_audit_pass *last = &report->last;
        const struct row last_rows[] = {
            {"audit_ok", "gauge", "1 if the last pass found nothing.", last->result == HF_AUDIT_OK},
            {"audit_findings", "gauge", "Findings of the last pass.", last->finding_count},
            {"audit_checked_position", "gauge", "Position up to which the last pass looked.",
             last->to_position},
            {"audit_ended_timestamp_seconds", "gauge", "When the last pass ended, Unix time.",
             last->ended_at_us / 1000000},
        };
        put_rows(text, last_rows, HF_ARRAY_COUNT(last_rows));
    }
}

/* ---- the whole ---- */

static enum hf_progress compose(struct hf_call *call)
{
    struct metering *metering = call->work;
    struct hf_buffer *answer = &call->exchange->answer;
    struct hf_metric_text text = {.to = answer};
    struct hf_node_status status;
    struct hf_http_counts counts;
    hf_call_status(call, &status, &counts);
    put_node(&text, &status);
    put_http(&text, &counts);
    put_meter(&text, call->door);
    put_load(&text, call->door->options.node);
    put_memory(&text, call, &status, &counts);
    put_disk(&text, call);
    put_log(&text, &call->door->options);
    if (!metering->names.failed) {
        put_subscriptions(&text, metering);
        put_pushes(&text, metering);
    }
    put_alerts(&text, metering);
    put_audit(&text, call);
    if (metering->has_sagas) {
        hf_saga_metrics_put(metering->sagas, &text);
    }
    put_deliver(&text, &call->door->options);
    hf_buffer_release(&metering->names);
    (void)hf_call_json(call, 200);
    call->content_type = METRICS_TYPE;
    return HF_CALL_ANSWERED;
}

/* Without a leader the server's own figures are all there is. */
static enum hf_progress figures_read(struct hf_call *call)
{
    call->has_answer = true;
    return compose(call);
}

enum hf_progress hf_route_metrics(struct hf_call *call)
{
    struct metering *metering = hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*metering));
    if (!hf_call_may_look(call)) {
        return HF_CALL_ANSWERED;
    }
    if (metering == NULL) {
        return hf_call_undecided(call, HF_ERR_NO_MEMORY);
    }
    metering->queries[0] =
        (struct hf_query){.type = HF_QUERY_SUBSCRIPTIONS, .limit = HF_QUERY_LIMIT_MAX};
    metering->queries[1] = (struct hf_query){.type = HF_QUERY_ALERTS};
    metering->queries[2] =
        (struct hf_query){.type = HF_QUERY_SAGA_COUNTS, .limit = HF_SAGA_METRICS_MAX};
    metering->rows =
        hf_arena_alloc(call->exchange->arena, HF_QUERY_LIMIT_MAX * sizeof(*metering->rows));
    metering->sagas = hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*metering->sagas));
    if (metering->rows == NULL || metering->sagas == NULL) {
        return hf_call_undecided(call, HF_ERR_NO_MEMORY);
    }
    hf_buffer_init(&metering->names);
    call->work = metering;
    enum hf_progress progress = hf_call_read(call, metering->queries, 3, copy_figures);
    call->finish = figures_read;
    if (progress == HF_CALL_ANSWERED) { /* nobody leads here, or it is too busy */
        hf_buffer_clear(&call->exchange->answer);
        call->headers_bytes = 0;
        return compose(call);
    }
    return progress;
}
