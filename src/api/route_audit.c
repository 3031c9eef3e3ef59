/* The running audit, and the alerts. */
#include "api/door_priv.h"
#include "observe/audit.h"

static void put_string(struct hf_json_writer *w, const char *name, const char *text)
{
    hf_json_put_text(w, name, hf_str_from(text));
}

/* ---- the audit ---- */

static const char *state_of(const struct hf_audit_report *report)
{
    return report->running ? "running" : "idle";
}

static void put_findings(struct hf_json_writer *w, const struct hf_audit_pass *pass)
{
    hf_json_put_number(w, "finding_count", pass->finding_count);
    hf_json_begin_array(w, "findings");
    for (uint64_t i = 0; i < hf_min_u64(pass->finding_count, HF_AUDIT_FINDINGS_MAX); i++) {
        const struct hf_audit_finding *finding = &pass->findings[i];
        hf_json_begin_object(w, NULL);
        put_string(w, "part", hf_audit_part_wire(finding->part));
        put_string(w, "kind", finding->damage ? "damage" : "unread");
        hf_json_put_number(w, "position", finding->position);
        put_string(w, "text", finding->text);
        hf_json_end_object(w);
    }
    hf_json_end_array(w);
}

static void put_pass(struct hf_json_writer *w, const char *name, const struct hf_audit_pass *pass,
                     bool running)
{
    hf_json_begin_object(w, name);
    if (running) {
        put_string(w, "part", hf_audit_part_wire(pass->part));
        hf_json_put_number(w, "position", pass->position);
    } else {
        put_string(w, "result", hf_audit_result_wire(pass->result));
    }
    hf_json_put_time(w, "started_at", pass->started_at_us);
    if (!running) {
        hf_json_put_time(w, "ended_at", pass->ended_at_us);
    }
    hf_json_put_number(w, "duration_ms", pass->duration_us / 1000);
    hf_json_put_number(w, "from_position", pass->from_position);
    hf_json_put_number(w, "to_position", pass->to_position);
    hf_json_put_number(w, "bytes", pass->bytes);
    hf_json_put_number(w, "batches", pass->batches);
    hf_json_put_number(w, "commits", pass->commits);
    hf_json_put_number(w, "checkpoints", pass->checkpoints);
    hf_json_put_number(w, "replayed", pass->replayed);
    hf_json_put_number(w, "index_runs", pass->index_runs);
    hf_json_put_number(w, "index_records", pass->index_records);
    hf_json_put_number(w, "accounts", pass->accounts);
    hf_json_put_number(w, "assets", pass->assets);
    put_findings(w, pass);
    hf_json_end_object(w);
}

static void put_report(struct hf_json_writer *w, const struct hf_audit_report *report)
{
    put_string(w, "state", state_of(report));
    hf_json_put_number(w, "interval_ms", report->interval_us / 1000);
    hf_json_put_number(w, "rate_bytes_per_s", report->rate_bytes_per_s);
    hf_json_put_number(w, "passes", report->passes);
    if (report->next_in_us == UINT64_MAX) {
        hf_json_put_null(w, "next_in_ms");
    } else {
        hf_json_put_number(w, "next_in_ms", report->next_in_us / 1000);
    }
    if (report->running) {
        put_pass(w, "running", &report->current, true);
    } else {
        hf_json_put_null(w, "running");
    }
    if (report->has_last) {
        put_pass(w, "last", &report->last, false);
    } else {
        hf_json_put_null(w, "last");
    }
}

/* In the exchange's arena: a report is too large for a stack. NULL: composed. */
static struct hf_audit_report *take_report(struct hf_call *call)
{
    struct hf_audit_report *report = hf_arena_alloc(call->exchange->arena, sizeof(*report));
    if (report == NULL) {
        (void)hf_call_undecided(call, HF_ERR_NO_MEMORY);
        return NULL;
    }
    hf_audit_report(call->door->options.audit, report);
    return report;
}

static enum hf_progress answer_report(struct hf_call *call, int status)
{
    struct hf_json_writer w = hf_json_writer_over(&call->exchange->answer);
    if (call->door->options.audit == NULL) {
        hf_json_begin_object(&w, NULL);
        put_string(&w, "state", "off");
        hf_json_end_object(&w);
        return hf_call_json(call, 200);
    }
    const struct hf_audit_report *report = take_report(call);
    if (report == NULL) {
        return HF_CALL_ANSWERED;
    }
    hf_json_begin_object(&w, NULL);
    put_report(&w, report);
    hf_json_end_object(&w);
    return hf_call_json(call, status);
}

enum hf_progress hf_route_audit(struct hf_call *call)
{
    return hf_call_may_look(call) ? answer_report(call, 200) : HF_CALL_ANSWERED;
}

/* Repeating it does no harm: a pass more. */
enum hf_progress hf_route_audit_run(struct hf_call *call)
{
    if (!hf_call_may_look(call)) {
        return HF_CALL_ANSWERED;
    }
    if (call->door->options.audit != NULL) {
        (void)hf_audit_run(call->door->options.audit);
    }
    return answer_report(call, 202);
}

void hf_call_put_audit(struct hf_call *call, struct hf_json_writer *w)
{
    hf_json_begin_object(w, "audit");
    const struct hf_audit_report *report =
        call->door->options.audit == NULL ? NULL : take_report(call);
    put_string(w, "state", report == NULL ? "off" : state_of(report));
    if (report != NULL && report->has_last) {
        hf_json_begin_object(w, "last");
        put_string(w, "result", hf_audit_result_wire(report->last.result));
        hf_json_put_time(w, "ended_at", report->last.ended_at_us);
        hf_json_put_number(w, "to_position", report->last.to_position);
        hf_json_put_number(w, "finding_count", report->last.finding_count);
        hf_json_end_object(w);
    } else {
        hf_json_put_null(w, "last");
    }
    hf_json_end_object(w);
}

/* ---- alerts ---- */

static void put_alert(struct hf_json_writer *w, const struct hf_alert *alert)
{
    hf_json_begin_object(w, NULL);
    put_string(w, "kind", hf_alert_wire(alert->kind));
    hf_json_put_text(w, "subject", alert->subject);
    hf_json_put_time(w, "since", alert->since_us);
    hf_json_put_text(w, "text", alert->text);
    hf_json_put_time(w, "raised_at", alert->raised_at_us);
    hf_json_put_number(w, "raised_position", alert->raised_position);
    if (alert->cleared_position == 0) {
        hf_json_put_null(w, "cleared_at");
        hf_json_put_null(w, "cleared_position");
    } else {
        hf_json_put_time(w, "cleared_at", alert->cleared_at_us);
        hf_json_put_number(w, "cleared_position", alert->cleared_position);
    }
    hf_json_end_object(w);
}

/* On the node's thread. Newest cleared ones first. */
static void render_alerts(struct hf_request *request, size_t index,
                          const struct hf_reading *reading)
{
    struct hf_call *call = request->context;
    const struct hf_alerts *alerts = reading->alerts;
    (void)index;
    hf_buffer_clear(&call->exchange->answer);
    struct hf_json_writer w = hf_json_writer_over(&call->exchange->answer);
    hf_json_begin_object(&w, NULL);
    hf_json_begin_array(&w, "data");
    for (uint32_t i = 0; i < alerts->raised_count; i++) {
        put_alert(&w, alerts->raised[i]);
    }
    hf_json_end_array(&w);
    hf_json_begin_array(&w, "cleared");
    for (uint32_t i = alerts->cleared_count; i > 0; i--) {
        put_alert(&w, alerts->cleared[i - 1]);
    }
    hf_json_end_array(&w);
    hf_json_put_null(&w, "next");
    hf_json_end_object(&w);
    call->read_status = 200;
}

enum hf_progress hf_route_alerts(struct hf_call *call)
{
    static const struct hf_query query = {.type = HF_QUERY_ALERTS};
    return hf_call_may_look(call) ? hf_call_read(call, &query, 1, render_alerts) : HF_CALL_ANSWERED;
}
