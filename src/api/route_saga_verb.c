/*
 * What is done to sagas by hand, and by participants:
 *
 *   POST /v1/sagas/{id}/retry|pause|resume|skip|compensate|abandon    an operator: If-Match or a key
 *   POST /v1/sagas/{id}/steps/{step}/complete|fail                    a callback token, or an operator: a key
 *   POST /v1/saga-verbs                                               a page of a bulk
 */
#include "api/door_priv.h"
#include "api/saga_body.h"
#include "api/saga_json.h"
#include "core/saga_wire.h"

/* What a version can't be: a precondition that no version meets. */
#define NO_VERSION HF_JSON_INTEGER_MAX

/* If-Match with one version: all that a verb can be tied to. false: composed. */
static bool take_precondition(struct hf_call *call, struct hf_saga_op_fields *fields)
{
    const struct hf_precondition *precondition = &call->precondition;
    const struct hf_tag_list *match = &precondition->match;
    if (!hf_precondition_given(precondition)) {
        return true;
    }
    if (precondition->none_match.given || match->any || match->strong_count > 1) {
        (void)hf_call_invalid(call, "Tie this to one version of the saga: If-Match: \"3\".");
        return false;
    }
    fields->has_expected_version = true;
    fields->expected_version = match->strong_count == 1 ? match->versions[0] : NO_VERSION;
    return true;
}

/* The commit's result: what the saga came to. */
static enum hf_progress moved(struct hf_call *call)
{
    const struct hf_answer *answer = &call->request.answer;
    if (!answer->decided || answer->code != HF_ERR_OK) {
        return hf_call_commit_answer(call);
    }
    const struct hf_commit *commit = hf_call_decided(call);
    if (commit == NULL) {
        return HF_CALL_ANSWERED;
    }
    const struct hf_event *event = NULL;
    for (uint32_t i = commit->event_count; i > 0 && event == NULL; i--) {
        const struct hf_event *each = commit->events[i - 1];
        bool of_saga = each->type == HF_EVENT_SAGA_CHANGED || each->type == HF_EVENT_SAGA_ENDED;
        event = of_saga && each->operation != HF_NO_OPERATION ? each : NULL;
    }
    struct hf_buffer *to = &call->exchange->answer;
    hf_buffer_clear(to);
    hf_call_change_headers(call);
    if (event == NULL) { /* it had been done before: nothing was recorded */
        hf_buffer_text(to, "{\"position\":null}");
        return hf_call_json(call, 200);
    }
    hf_answer_event_json(to, commit, event);
    hf_call_header_number(call, "ETag", "\"", hf_saga_left_by(commit, event)->version, "\"");
    return hf_call_json(call, 200);
}

static struct hf_saga_body *decode(struct hf_call *call, enum hf_saga_body_kind kind)
{
    struct hf_saga_body *body = hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*body));
    call->form = (struct hf_answer_form){.one_result = true, .failed = HF_FAILED_IN_OBJECT};
    if (body == NULL) {
        (void)hf_call_undecided(call, HF_ERR_NO_MEMORY);
        return NULL;
    }
    if (!hf_saga_body_decode(call->exchange->body, kind, call->exchange->arena, body,
                             &call->malformed)) {
        (void)hf_call_malformed(call);
        return NULL;
    }
    return body;
}

static enum hf_progress submit(struct hf_call *call, const struct hf_saga_op_fields *fields,
                               enum hf_progress (*finish)(struct hf_call *call))
{
    if (!hf_call_command(call, HF_COMMAND_COMMIT)) {
        return HF_CALL_ANSWERED;
    }
    if (!hf_command_add_saga_op(&call->command, fields, &call->malformed)) {
        return hf_call_malformed(call);
    }
    call->finish = finish;
    return hf_call_commit(call);
}

enum hf_progress hf_route_saga_verb(struct hf_call *call)
{
    if (!hf_call_path_name(call, true)) {
        return HF_CALL_ANSWERED;
    }
    struct hf_saga_body *body = decode(call, HF_SAGA_BODY_VERB);
    if (body == NULL || !take_precondition(call, &body->fields)) {
        return HF_CALL_ANSWERED;
    }
    body->fields.type = HF_OP_SAGA_VERB;
    body->fields.saga = call->path.segments[2];
    if (!hf_saga_verb_parse(call->path.segments[3], &body->fields.verb)) {
        return hf_call_invalid(call, "There is no such verb.");
    }
    return submit(call, &body->fields, moved);
}

/* ---- steps ---- */

/* Of whom is it: of somebody with the step's token, who needs no other authorization, or of an operator? */
static bool check_who(struct hf_call *call, const struct hf_op_fields *fields)
{
    if (hf_str_present(fields->callback_token)) {
        return true;
    }
    if (call->stranger != NULL) {
        (void)hf_call_problem(call, HF_ERR_UNAUTHORIZED, call->stranger, "");
        return false;
    }
    if (!hf_str_present(call->key)) {
        (void)hf_call_problem(
            call, HF_ERR_IDEMPOTENCY_KEY_MISSING,
            "Send the callback token; or, as an operator, an Idempotency-Key, and "
            "the same one with each repetition.",
            "");
        return false;
    }
    return true;
}

/* The fields of the body, kept for when the whole of it has been read. */
static bool keep_fields(void *context, uint32_t index, struct hf_op_fields *fields,
                        struct hf_malformed *malformed)
{
    (void)index;
    (void)malformed;
    *(struct hf_op_fields *)context = *fields;
    return true;
}

enum hf_progress hf_route_saga_step(struct hf_call *call)
{
    struct hf_op_fields fields = {0};
    struct hf_str body = call->exchange->body.len > 0 ? call->exchange->body : HF_STR("{}");
    call->form = (struct hf_answer_form){.one_result = true, .failed = HF_FAILED_IN_OBJECT};
    if (!hf_call_path_name(call, true)) {
        return HF_CALL_ANSWERED;
    }
    if (!hf_resource_json_decode(body, call->route->operation->members, NULL, call->exchange->arena,
                                 keep_fields, &fields, &call->malformed)) {
        return hf_call_malformed(call);
    }
    if (!check_who(call, &fields)) {
        return HF_CALL_ANSWERED;
    }
    fields.op = hf_str_from(call->route->operation->op);
    fields.saga = call->path.segments[2];
    fields.step = call->path.segments[4];
    if (call->stranger != NULL) {
        call->key = HF_STR_NONE; /* keys belong to principals */
    }
    if (!hf_call_command(call, HF_COMMAND_COMMIT)) {
        return HF_CALL_ANSWERED;
    }
    if (!hf_command_add_op(&call->command, &fields, &call->malformed)) {
        return hf_call_malformed(call);
    }
    call->finish = moved;
    return hf_call_commit(call);
}

/* ---- many ---- */

/* What became of the page. */
static enum hf_progress page_done(struct hf_call *call)
{
    const struct hf_answer *answer = &call->request.answer;
    if (!answer->decided || answer->code != HF_ERR_OK) {
        return hf_call_commit_answer(call);
    }
    const struct hf_commit *commit = hf_call_decided(call);
    if (commit == NULL) {
        return HF_CALL_ANSWERED;
    }
    static const struct hf_saga_bulk nothing = {.next = {NULL, 0}};
    const struct hf_event *event = hf_call_last_event(commit, HF_EVENT_SAGA_VERBS);
    struct hf_json_writer w = hf_json_writer_over(&call->exchange->answer);
    hf_json_begin_object(&w, NULL);
    if (answer->position == 0) {
        hf_json_put_null(&w, "position");
    } else {
        hf_json_put_number(&w, "position", answer->position);
    }
    hf_saga_bulk_json(&w, event == NULL ? &nothing : event->saga_verbs);
    hf_json_end_object(&w);
    hf_call_change_headers(call);
    return hf_call_json(call, 200);
}

enum hf_progress hf_route_saga_verbs(struct hf_call *call)
{
    struct hf_saga_body *body = decode(call, HF_SAGA_BODY_BULK);
    if (body == NULL) {
        return HF_CALL_ANSWERED;
    }
    call->dry_run = body->dry_run;
    body->fields.type = HF_OP_SAGA_VERBS;
    if (body->dry_run && !hf_str_present(body->fields.reason)) {
        body->fields.reason = HF_STR("dry run"); /* nothing is recorded that had to be explained */
    }
    return submit(call, &body->fields, page_done);
}
