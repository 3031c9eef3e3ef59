/* GET /metrics: the server's figures, for Prometheus. */
#include "api/door_priv.h"
#include "observe/metric_text.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define PAGE_BYTES   4096u /* of memory, as the kernel counts it; other sizes don't run here */

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
        {"requests_under_way_bytes", "gauge", "Memory of these requests.", bytes},
    };
    put_rows(text, rows, HF_ARRAY_COUNT(rows));
}

/* Resident memory: the second number of /proc/self/statm; left out where there is no such file. */
static void put_memory(struct hf_metric_text *text, struct hf_outside *outside)
{
    struct hf_file *file = NULL;
    char data[128] = "";
    size_t read_bytes = 0;
    if (outside->open(outside, "/proc/self/statm", HF_OPEN_READ, &file, NULL) != HF_ERR_OK) {
        return;
    }
    enum hf_err err = outside->read(outside, file, 0, data, sizeof(data) - 1, &read_bytes, NULL);
    outside->close(outside, file);
    const char *second = err == HF_ERR_OK ? memchr(data, ' ', read_bytes) : NULL;
    uint64_t pages = 0;
    for (const char *at = second == NULL ? "" : second + 1; *at >= '0' && *at <= '9'; at++) {
        pages = pages * 10 + (uint64_t)(*at - '0');
    }
    if (pages > 0) {
        hf_metric_family(text, "resident_memory_bytes", "gauge", "Resident memory of the process.");
        hf_metric_sample(text, NULL, HF_STR_NONE, pages * PAGE_BYTES);
    }
}

enum hf_progress hf_route_metrics(struct hf_call *call)
{
    struct hf_node_status status;
    struct hf_http_counts counts;
    struct hf_metric_text text = {.to = &call->exchange->answer};
    if (!hf_call_may_look(call)) {
        return HF_CALL_ANSWERED;
    }
    hf_call_status(call, &status, &counts);
    put_node(&text, &status);
    put_http(&text, &counts);
    put_meter(&text, call->door);
    put_load(&text, call->door->options.node);
    put_memory(&text, call->door->options.outside);
    (void)hf_call_json(call, 200);
    call->content_type = METRICS_TYPE;
    return HF_CALL_ANSWERED;
}
