/* Definitions of sagas: PUT, GET, lists. A version never changes: there is nothing to be tied to, no ETag. */
#include "api/door_priv.h"
#include "api/reading_json.h"
#include "api/saga_json.h"

/* The path's version. false: composed. */
static bool take_version(struct hf_call *call, uint64_t *version)
{
    hf_u128 number = 0;
    if (!hf_u128_parse(call->path.segments[3], &number) || number == 0 ||
        number > HF_JSON_INTEGER_MAX) {
        (void)hf_call_invalid(call, "A definition's version is a number from 1 on.");
        return false;
    }
    *version = (uint64_t)number;
    return true;
}

/* The same content was there: nothing was recorded. */
static enum hf_progress answer_same(struct hf_call *call)
{
    const struct hf_op *op = &call->command.ops[0];
    struct hf_json_writer w = hf_json_writer_over(&call->exchange->answer);
    hf_json_begin_object(&w, NULL);
    hf_json_put_null(&w, "position");
    hf_json_put_text(&w, "op", HF_STR("define_saga"));
    hf_json_begin_object(&w, "definition");
    hf_json_put_text(&w, "name", op->subject.text);
    hf_json_put_number(&w, "version", op->saga->definition_version);
    hf_json_end_object(&w);
    hf_json_end_object(&w);
    hf_call_change_headers(call);
    return hf_call_json(call, 200);
}

static enum hf_progress defined(struct hf_call *call)
{
    const struct hf_answer *answer = &call->request.answer;
    if (!answer->decided || answer->code != HF_ERR_OK ||
        (answer->position != 0 && !answer->replayed)) {
        return hf_call_commit_answer(call);
    }
    return hf_call_decided(call) == NULL ? HF_CALL_ANSWERED : answer_same(call);
}

enum hf_progress hf_route_saga_definition_put(struct hf_call *call)
{
    struct hf_saga_op_fields *fields =
        hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*fields));
    call->form = (struct hf_answer_form){.one_result = true, .failed = HF_FAILED_IN_OBJECT};
    if (fields == NULL) {
        return hf_call_undecided(call, HF_ERR_NO_MEMORY);
    }
    if (!hf_call_path_name(call, false) || !take_version(call, &fields->version) ||
        !hf_call_command(call, HF_COMMAND_COMMIT)) {
        return HF_CALL_ANSWERED;
    }
    fields->type = HF_OP_DEFINE_SAGA;
    fields->name = call->path.segments[2];
    fields->definition_json = call->exchange->body;
    if (!hf_command_add_saga_op(&call->command, fields, &call->malformed)) {
        return hf_call_malformed(call);
    }
    call->finish = defined;
    return hf_call_commit(call);
}

/* ---- reads ---- */

static void render(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct hf_call *call = request->context;
    struct hf_reading allowed = *reading;
    allowed.definition_count = 0;
    for (uint32_t i = 0; i < reading->definition_count; i++) { /* others are left out of the page */
        if (hf_caller_may(&call->caller, HF_SCOPE_READ, reading->definitions[i]->name.text)) {
            allowed.definitions[allowed.definition_count++] = reading->definitions[i];
        }
    }
    hf_buffer_clear(&call->exchange->answer);
    call->read_status =
        hf_reading_json(&call->exchange->answer, &request->queries[index], &allowed);
}

static enum hf_progress read_definitions(struct hf_call *call, struct hf_query *query)
{
    struct hf_str name = query->name.text;
    if (!hf_caller_may(&call->caller, HF_SCOPE_READ, name)) {
        return hf_call_problem(call, HF_ERR_FORBIDDEN,
                               "The token's scopes or names do not cover this.", "");
    }
    return hf_call_read(call, query, 1, render);
}

/* All, those of a name, or one. */
enum hf_progress hf_route_saga_definition(struct hf_call *call)
{
    struct hf_query *query = hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*query));
    bool one = call->route->query == HF_QUERY_SAGA_DEFINITION;
    if (query == NULL) {
        return hf_call_undecided(call, HF_ERR_NO_MEMORY);
    }
    query->type = call->route->query;
    if (call->path.count > 2 && !hf_call_query_name(call, query, false)) {
        return HF_CALL_ANSWERED;
    }
    if (one) {
        return take_version(call, &query->version) ? read_definitions(call, query)
                                                   : HF_CALL_ANSWERED;
    }
    if (!hf_call_take_limit(call, query) || !hf_call_take_cursor(call, query)) {
        return hf_call_malformed(call);
    }
    return read_definitions(call, query);
}
