/* How the server is: health, status, limits, metrics; and the OpenAPI document. */
#include <stdio.h>

#include "api/door_priv.h"
#include "api/json_write.h"
#include "api/log_json.h"
#include "api/openapi.h"
#include "api/queue_body.h"

static void put_string(struct hf_json_writer *w, const char *name, const char *text)
{
    hf_json_put_text(w, name, hf_str_from(text));
}

void hf_call_status(struct hf_call *call, struct hf_node_status *status,
                    struct hf_http_counts *counts)
{
    const struct hf_door_options *options = &call->door->options;
    *counts = (struct hf_http_counts){0};
    hf_node_status(options->node, status);
    if (options->counts != NULL) {
        options->counts(options->counts_context, counts);
    }
}

/* Alive: false once the node can't go on in this process. */
enum hf_progress hf_route_health(struct hf_call *call)
{
    struct hf_node_status status;
    hf_node_status(call->door->options.node, &status);
    if (status.phase == HF_NODE_FAILED) {
        return hf_call_problem(call, HF_ERR_IO, "The log failed: this process must be restarted.",
                               "");
    }
    hf_buffer_text(&call->exchange->answer, "{\"status\":\"ok\"}");
    return hf_call_json(call, 200);
}

enum hf_progress hf_route_ready(struct hf_call *call)
{
    struct hf_node_status status;
    hf_node_status(call->door->options.node, &status);
    if (status.phase != HF_NODE_LEADING) {
        return hf_call_problem(call, HF_ERR_NOT_READY, "This server does not lead now.", "");
    }
    hf_buffer_text(&call->exchange->answer, "{\"status\":\"ready\"}");
    return hf_call_json(call, 200);
}

/* The document that describes all of this; what it says is no secret. */
enum hf_progress hf_route_openapi(struct hf_call *call)
{
    hf_buffer_bytes(&call->exchange->answer, hf_openapi_yaml, hf_openapi_yaml_bytes);
    (void)hf_call_json(call, 200);
    call->content_type = "application/yaml";
    return HF_CALL_ANSWERED;
}

/* Status and metrics tell what all principals do. */
bool hf_call_may_look(struct hf_call *call)
{
    bool may = hf_caller_may(&call->caller, HF_SCOPE_OPERATE, HF_STR_NONE);
    if (!may) {
        (void)hf_call_problem(call, HF_ERR_FORBIDDEN, "This needs the scope operate.", "");
    }
    return may;
}

static void put_node(struct hf_json_writer *w, const struct hf_node_status *s)
{
    put_string(w, "phase", hf_node_phase_name(s->phase));
    hf_json_put_number(w, "epoch", s->epoch);
    hf_json_put_number(w, "position", s->position);
    hf_json_put_number(w, "durable_position", s->durable_position);
    hf_json_put_number(w, "checkpoint_position", s->checkpoint_position);
    hf_json_put_number(w, "seq", s->seq);
    hf_json_put_bool(w, "read_only", s->read_only);
    hf_json_put_bool(w, "torn_tail", s->torn_tail);
    if (s->error[0] == '\0') {
        hf_json_put_null(w, "error");
    } else {
        put_string(w, "error", s->error);
    }
    hf_json_begin_object(w, "things");
    hf_json_put_number(w, "accounts", s->accounts);
    hf_json_put_number(w, "open_holds", s->holds);
    hf_json_put_number(w, "streams", s->streams);
    hf_json_put_number(w, "documents", s->documents);
    hf_json_put_number(w, "leases", s->leases);
    hf_json_put_number(w, "sagas", s->sagas);
    hf_json_put_number(w, "parked_sagas", s->sagas_parked);
    hf_json_put_number(w, "failing_sagas", s->sagas_failing);
    hf_json_put_number(w, "subscription_lines", s->lines);
    hf_json_put_number(w, "delayed_messages", s->delayed);
    hf_json_end_object(w);
    hf_json_begin_object(w, "since_start");
    hf_json_put_number(w, "commits", s->commits);
    hf_json_put_number(w, "refusals", s->refusals);
    hf_json_put_number(w, "replays", s->replays);
    hf_json_put_number(w, "reads", s->reads);
    hf_json_put_number(w, "batches", s->batches);
    hf_json_put_number(w, "fetches", s->fetches);
    hf_json_put_number(w, "rebuilds", s->rebuilds);
    hf_json_put_number(w, "recovered_commits", s->recovered_commits);
    hf_json_end_object(w);
}

static void put_http(struct hf_json_writer *w, const struct hf_http_counts *counts)
{
    hf_json_begin_object(w, "http");
    hf_json_put_number(w, "connections", counts->connections);
    hf_json_put_number(w, "accepted", counts->accepted);
    hf_json_put_number(w, "requests", counts->requests);
    hf_json_put_number(w, "refused", counts->refused);
    hf_json_put_number(w, "timed_out", counts->timed_out);
    hf_json_put_number(w, "received_bytes", counts->received_bytes);
    hf_json_put_number(w, "sent_bytes", counts->sent_bytes);
    hf_json_put_number(w, "body_bytes_held", counts->body_bytes_held);
    hf_json_put_number(w, "streams", counts->streams);
    hf_json_end_object(w);
}

/* ---- memory and disk ---- */

/* The last part is what no other one has. */
void hf_call_memory_parts(const struct hf_call *call, const struct hf_node_status *status,
                          const struct hf_http_counts *counts,
                          struct hf_part parts[HF_MEMORY_PARTS])
{
    const struct hf_memory *m = &status->memory;
    const struct hf_part rows[HF_MEMORY_PARTS] = {
        {"accounts", m->state.accounts},
        {"names", m->state.names},
        {"streams_documents", m->state.things},
        {"lines", m->state.lines},
        {"sagas", m->state.sagas},
        {"state_rest", m->state_rest},
        {"recent_index", m->state.index_current},
        {"frozen_index", m->state.index_frozen},
        {"recent_commits", m->state.frames},
        {"tail", m->tail},
        {"checkpoint", m->checkpoint},
        {"index_runs", m->index_runs},
        {"requests", m->requests},
        {"connections", counts->connection_bytes},
        {"bodies", counts->body_bytes_held},
        {"caches", call->door->commits.bytes},
        {"other", 0},
    };
    uint64_t rest = m->allocated;
    memcpy(parts, rows, sizeof(rows));
    for (size_t i = 0; i + 1 < HF_MEMORY_PARTS; i++) {
        rest -= hf_min_u64(rest, parts[i].bytes);
    }
    parts[HF_MEMORY_PARTS - 1].bytes = rest;
}

bool hf_call_disk_parts(const struct hf_call *call, struct hf_disk_use *use,
                        struct hf_part parts[HF_DISK_PARTS])
{
    struct hf_watch *watch = call->door->options.watch;
    if (watch == NULL || !hf_watch_disk(watch, use)) {
        return false;
    }
    const struct hf_part rows[HF_DISK_PARTS] = {
        {"log", use->log},
        {"index", use->index},
        {"checkpoints", use->checkpoints},
        {"temporary", use->temporary},
        {"other", use->other},
    };
    memcpy(parts, rows, sizeof(rows));
    return true;
}

static void put_parts(struct hf_json_writer *w, const struct hf_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char name[48];
        (void)snprintf(name, sizeof(name), "%s_bytes", parts[i].name);
        hf_json_put_number(w, name, parts[i].bytes);
    }
}

static void put_memory(struct hf_call *call, struct hf_json_writer *w,
                       const struct hf_node_status *status, const struct hf_http_counts *counts)
{
    const struct hf_memory *memory = &status->memory;
    struct hf_part parts[HF_MEMORY_PARTS];
    hf_call_memory_parts(call, status, counts, parts);
    hf_json_begin_object(w, "memory");
    put_string(w, "level", hf_memory_level_name(memory->level));
    if (memory->max == 0) {
        hf_json_put_null(w, "max_bytes");
    } else {
        hf_json_put_number(w, "max_bytes", memory->max);
    }
    hf_json_put_number(w, "resident_bytes", memory->resident);
    hf_json_put_number(w, "allocated_bytes", memory->allocated);
    hf_json_put_number(w, "checkpoint_reserve_bytes", memory->checkpoint_reserve);
    hf_json_put_number(w, "refused", memory->refused);
    hf_json_end_object(w);
    hf_json_begin_object(w, "memory_parts");
    put_parts(w, parts, HF_MEMORY_PARTS);
    hf_json_end_object(w);
}

static void put_disk(struct hf_call *call, struct hf_json_writer *w)
{
    struct hf_disk_use use;
    struct hf_part parts[HF_DISK_PARTS];
    if (!hf_call_disk_parts(call, &use, parts)) {
        hf_json_put_null(w, "disk");
        return;
    }
    hf_json_begin_object(w, "disk");
    put_parts(w, parts, HF_DISK_PARTS);
    hf_json_put_number(w, "free_bytes", use.free);
    hf_json_put_number(w, "all_bytes", use.all);
    hf_json_end_object(w);
}

/* Where the log's bytes are; null until they were looked at. */
static void put_log(struct hf_json_writer *w, const struct hf_door_options *options)
{
    struct hf_log_bytes bytes;
    if (options->log_bytes == NULL || !options->log_bytes(options->log_bytes_context, &bytes)) {
        hf_json_put_null(w, "log");
        return;
    }
    hf_json_put_log_bytes(w, "log", &bytes);
}

enum hf_progress hf_route_status(struct hf_call *call)
{
    const struct hf_door_options *options = &call->door->options;
    struct hf_node_status status;
    struct hf_http_counts counts;
    if (!hf_call_may_look(call)) {
        return HF_CALL_ANSWERED;
    }
    hf_call_status(call, &status, &counts);
    struct hf_json_writer w = hf_json_writer_over(&call->exchange->answer);
    hf_json_begin_object(&w, NULL);
    put_string(&w, "version", options->version);
    put_string(&w, "role", "owner");
    put_string(&w, "owner", options->owner == NULL ? "" : options->owner);
    hf_json_put_time(&w, "started_at", call->door->started_us);
    put_node(&w, &status);
    put_memory(call, &w, &status, &counts);
    put_disk(call, &w);
    put_log(&w, options);
    hf_json_put_number(&w, "alerts", status.alerts);
    hf_call_put_audit(call, &w);
    if (options->counts != NULL) {
        put_http(&w, &counts);
    }
    hf_json_end_object(&w);
    return hf_call_json(call, 200);
}

enum hf_progress hf_route_limits(struct hf_call *call)
{
    const struct hf_limits *limits = &call->door->options.limits;
    const struct hf_http_limits *http = &call->door->options.http;
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"request_bytes", HF_REQUEST_BYTES_MAX},
        {"commit_bytes", HF_COMMIT_BYTES_MAX},
        {"operations", HF_COMMIT_OPERATIONS_MAX},
        {"conditions", HF_COMMIT_CONDITIONS_MAX},
        {"data_bytes", HF_DATA_BYTES_MAX},
        {"metadata_bytes", HF_METADATA_BYTES_MAX},
        {"json_depth", HF_JSON_DEPTH_MAX},
        {"name_bytes", HF_NAME_BYTES_MAX},
        {"key_bytes", HF_KEY_BYTES_MAX},
        {"type_bytes", HF_TYPE_BYTES_MAX},
        {"page_items", HF_QUERY_LIMIT_MAX},
        {"reads", HF_QUERIES_MAX},
        {"hold_timeout_ms", HF_HOLD_TIMEOUT_MS_MAX},
        {"lease_ttl_ms", HF_LEASE_TTL_MS_MAX},
        {"key_retention_ms", limits->key_retention_us / 1000},
        {"requests_under_way", limits->queue_commands_max},
        {"receive_messages", HF_RECEIVE_MAX},
        {"receive_bytes", HF_RECEIVE_BYTES_MAX},
        {"receive_wait_ms", HF_RECEIVE_WAIT_MS_MAX},
        {"waiting_receives", limits->waiting_receives_max},
        {"saga_definition_bytes", HF_SAGA_DEFINITION_BYTES_MAX},
        {"saga_steps", HF_SAGA_STEPS_MAX},
        {"saga_input_bytes", HF_SAGA_INPUT_BYTES_MAX},
        {"saga_result_bytes", HF_SAGA_RESULT_BYTES_MAX},
        {"saga_verbs", HF_SAGA_VERBS_MAX},
        {"subscription_lines", limits->queue_lines_max},
        {"delivery_lease_ms", HF_DELIVERY_MS_MAX},
        {"min_position_wait_ms", call->door->options.min_position_ms_max},
        {"head_bytes", http->head_bytes_max},
        {"headers", http->headers_max},
        {"body_bytes", http->body_bytes_max},
        {"connections", http->connections_max},
        {"http_streams", http->streams_max},
        {"head_ms", http->head_ms_max},
        {"body_ms", http->body_ms_max},
        {"idle_ms", http->idle_ms_max},
        {"write_ms", http->write_ms_max},
    };
    struct hf_json_writer w = hf_json_writer_over(&call->exchange->answer);
    hf_json_begin_object(&w, NULL);
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        hf_json_put_number(&w, rows[i].name, rows[i].value);
    }
    hf_json_end_object(&w);
    return hf_call_json(call, 200);
}
