/*
 * Subscriptions themselves: PUT, DELETE, seek, redrive.
 *
 * PUT is idempotent by its content: what is asked for is compared with the settings that are there; the same is 200 with
 * "position":null, for nothing was recorded.
 */
#include "api/door_priv.h"
#include "api/queue_body.h"
#include "api/queue_json.h"

/* What a version can't be: a precondition that no version meets. */
#define NO_VERSION HF_JSON_INTEGER_MAX

struct changing {
    struct hf_queue_body body;
    struct hf_query query; /* PUT of what is there: the subscription as it is */
    enum hf_progress (*finish)(struct hf_call *call); /* behind the search for a time */
};

static struct changing *begin(struct hf_call *call, enum hf_op_type type)
{
    struct changing *changing = hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*changing));
    call->form = (struct hf_answer_form){.one_result = true, .failed = HF_FAILED_IN_OBJECT};
    if (!hf_call_path_name(call, false)) {
        return NULL;
    }
    if (changing == NULL) {
        (void)hf_call_undecided(call, HF_ERR_NO_MEMORY);
        return NULL;
    }
    call->work = changing;
    changing->body.fields.type = type;
    changing->body.fields.subscription = call->path.segments[2];
    return changing;
}

static bool decode(struct hf_call *call, struct changing *changing, enum hf_queue_body_kind kind)
{
    struct hf_queue_fields given = changing->body.fields;
    if (!hf_queue_body_decode(call->exchange->body, kind, call->exchange->arena, &changing->body,
                              &call->malformed)) {
        (void)hf_call_malformed(call);
        return false;
    }
    changing->body.fields.type = given.type;
    changing->body.fields.subscription = given.subscription;
    return true;
}

/* If-Match with one version, or If-None-Match: *; that is all that a subscription's change can be tied to. */
static bool take_precondition(struct hf_call *call, struct hf_queue_fields *fields)
{
    const struct hf_precondition *precondition = &call->precondition;
    const struct hf_tag_list *match = &precondition->match;
    bool none = precondition->none_match.given;
    if (!hf_precondition_given(precondition)) {
        return true;
    }
    if ((match->given && (none || match->any || match->strong_count > 1))) {
        (void)hf_call_invalid(call, "Tie a subscription's change to one version: If-Match: \"3\".");
        return false;
    }
    fields->has_expected_version = true;
    fields->expected_version =
        none ? 0 : (match->strong_count == 1 ? match->versions[0] : NO_VERSION);
    return true;
}

static enum hf_progress submit(struct hf_call *call)
{
    struct changing *changing = call->work;
    if (!hf_call_command(call, HF_COMMAND_COMMIT)) {
        return HF_CALL_ANSWERED;
    }
    return hf_command_add_queue_op(&call->command, &changing->body.fields, &call->malformed)
               ? hf_call_commit(call)
               : hf_call_malformed(call);
}

/* ---- from, to: a time ---- */

static enum hf_progress time_found(struct hf_call *call, uint64_t position)
{
    struct changing *changing = call->work;
    changing->body.fields.seek.position = position;
    call->finish = changing->finish;
    return submit(call);
}

/* A point in time is looked up in the log before the command is made of it. */
static enum hf_progress find_and_submit(struct hf_call *call)
{
    struct changing *changing = call->work;
    const struct hf_seek *seek = &changing->body.fields.seek;
    changing->finish = call->finish;
    return seek->kind == HF_SEEK_TIME ? hf_call_find_time(call, seek->time_us, time_found)
                                      : submit(call);
}

/* ---- PUT ---- */

/* On the node's thread: the same settings are there already. */
static void render_same(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct hf_call *call = request->context;
    (void)index;
    hf_buffer_clear(&call->exchange->answer);
    call->read_status = 200;
    call->has_etag = reading->code == HF_ERR_OK;
    if (reading->code != HF_ERR_OK) { /* deleted meanwhile */
        call->read_status = hf_err_status(reading->code);
        hf_problem_json(&call->exchange->answer, reading->code, hf_err_title(reading->code), "");
        return;
    }
    const struct hf_subscription *s = reading->subscription.subscription;
    call->etag = s->version;
    struct hf_json_writer w = hf_json_writer_over(&call->exchange->answer);
    hf_json_begin_object(&w, NULL);
    hf_json_put_null(&w, "position");
    hf_json_put_text(&w, "op", HF_STR("put_subscription"));
    hf_json_put_text(&w, "subscription", s->name.text);
    hf_json_put_number(&w, "version", s->version);
    hf_settings_json(&w, &s->settings);
    hf_json_end_object(&w);
}

static enum hf_progress put_decided(struct hf_call *call)
{
    struct changing *changing = call->work;
    const struct hf_answer *answer = &call->request.answer;
    if (!answer->decided || answer->code != HF_ERR_OK || answer->position != 0) {
        return hf_call_commit_answer(call);
    }
    hf_answer_release(&call->request.answer);
    changing->query.type = HF_QUERY_SUBSCRIPTION;
    changing->query.name = call->command.ops[0].subject;
    return hf_call_read(call, &changing->query, 1, render_same);
}

/* A push carries events out of the reach of tokens, so who makes one may read them all. */
static bool may_push(struct hf_call *call, const struct changing *changing)
{
    if (!changing->body.fields.push.given || hf_call_may_list(call, HF_STR(""))) {
        return true;
    }
    (void)hf_call_problem(call, HF_ERR_FORBIDDEN,
                          "A subscription with push sends events to its URL: the token must have "
                          "scope read for all names.",
                          "/push");
    return false;
}

enum hf_progress hf_route_subscription_put(struct hf_call *call)
{
    struct changing *changing = begin(call, HF_OP_PUT_SUBSCRIPTION);
    if (changing == NULL || !decode(call, changing, HF_BODY_PUT) || !may_push(call, changing) ||
        !take_precondition(call, &changing->body.fields)) {
        return HF_CALL_ANSWERED;
    }
    call->finish = put_decided;
    return find_and_submit(call);
}

/* ---- DELETE, seek, redrive ---- */

enum hf_progress hf_route_subscription_delete(struct hf_call *call)
{
    struct changing *changing = begin(call, HF_OP_DELETE_SUBSCRIPTION);
    return changing == NULL || !take_precondition(call, &changing->body.fields) ? HF_CALL_ANSWERED
                                                                                : submit(call);
}

enum hf_progress hf_route_seek(struct hf_call *call)
{
    struct changing *changing = begin(call, HF_OP_SEEK);
    return changing == NULL || !decode(call, changing, HF_BODY_SEEK) ? HF_CALL_ANSWERED
                                                                     : find_and_submit(call);
}

/* {"position":17,"moved":3,"redrive":null}: of several events of one command, all that moved. */
static enum hf_progress redriven(struct hf_call *call)
{
    const struct hf_answer *answer = &call->request.answer;
    if (!answer->decided || answer->code != HF_ERR_OK) {
        return hf_call_commit_answer(call);
    }
    const struct hf_commit *commit = hf_call_decided(call);
    if (commit == NULL) {
        return HF_CALL_ANSWERED;
    }
    struct hf_json_writer w = hf_json_writer_over(&call->exchange->answer);
    const struct hf_redriven *started = NULL;
    uint64_t moved = 0;
    for (uint32_t i = 0; i < commit->event_count; i++) {
        const struct hf_event *event = commit->events[i];
        bool own = event->operation != HF_NO_OPERATION;
        if (own && event->type == HF_EVENT_MESSAGES_REDRIVEN) {
            started = event->redriven.step == HF_REDRIVE_STARTED ? &event->redriven : started;
            moved += event->redriven.count;
        } else if (own && event->type == HF_EVENT_MESSAGES_SETTLED) {
            moved += event->settled.count; /* discarded */
        }
    }
    hf_json_begin_object(&w, NULL);
    if (answer->position == 0) {
        hf_json_put_null(&w, "position");
    } else {
        hf_json_put_number(&w, "position", answer->position);
    }
    hf_json_put_number(&w, "moved", moved);
    if (started == NULL) {
        hf_json_put_null(&w, "redrive");
    } else {
        hf_json_begin_object(&w, "redrive");
        hf_json_put_bool(&w, "active", true);
        hf_json_put_number(&w, "rate_per_s", started->rate_per_s);
        hf_json_put_number(&w, "total", started->total);
        hf_json_end_object(&w);
    }
    hf_json_end_object(&w);
    hf_call_change_headers(call);
    return hf_call_json(call, 200);
}

enum hf_progress hf_route_redrive(struct hf_call *call)
{
    struct changing *changing = begin(call, HF_OP_REDRIVE);
    if (changing == NULL || !decode(call, changing, HF_BODY_REDRIVE)) {
        return HF_CALL_ANSWERED;
    }
    if (!hf_http_query_bool(&call->query, "dry_run", &call->dry_run, &call->malformed)) {
        return hf_call_malformed(call);
    }
    call->finish = redriven;
    return submit(call);
}
