/*
 * Accounts: PUT opens, PATCH changes.
 *
 * PUT is idempotent by the account's id: if the account exists, what is asked for is compared with the commit
 * that opened it; the same is answered 200 with the result of the opening, anything else 409 account_exists.
 */
#include "api/door_priv.h"

/* ---- PUT ---- */

struct comparing {
    struct hf_answer refusal; /* account_exists; owned until it is put back into the call */
    struct hf_query query;    /* the commit that opened the account */
    bool same;                /* node's thread: it asked for the same; the answer is rendered */
    bool short_memory;        /* node's thread */
};

static bool asked_the_same(const struct hf_event *event, const struct hf_op *op, bool *short_memory)
{
    const struct hf_account *opened = &event->opened;
    return hf_asset_equal(&opened->asset, &op->asset) && opened->has_floor == !op->floor_none &&
           opened->has_ceiling == !op->ceiling_none &&
           (op->floor_none || opened->floor == op->floor) &&
           (op->ceiling_none || opened->ceiling == op->ceiling) &&
           hf_payload_same(&event->opened_metadata, &op->metadata, short_memory);
}

/* On the node's thread. */
static void compare(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    (void)index;
    struct hf_call *call = request->context;
    struct comparing *comparing = call->work;
    const struct hf_op *op = &call->command.ops[0];
    comparing->same = false;
    hf_buffer_clear(&call->exchange->answer);
    if (reading->code != HF_ERR_OK) {
        return;
    }
    for (uint32_t i = 0; i < reading->commit->event_count; i++) {
        const struct hf_event *event = reading->commit->events[i];
        if (event->type == HF_EVENT_ACCOUNT_OPENED &&
            hf_name_equal(&event->opened.name, &op->subject) &&
            asked_the_same(event, op, &comparing->short_memory)) {
            comparing->same = true;
            hf_answer_event_json(&call->exchange->answer, reading->commit, event);
        }
    }
}

static enum hf_progress compared(struct hf_call *call)
{
    struct comparing *comparing = call->work;
    struct hf_answer read = call->request.answer;
    call->request.answer = comparing->refusal;
    if (!read.decided || comparing->short_memory) {
        call->has_answer = true;
        return hf_call_undecided(call, read.decided ? HF_ERR_NO_MEMORY : read.code);
    }
    if (!comparing->same) {
        return hf_call_commit_answer(call);
    }
    call->has_answer = true;
    hf_call_header(call, "Holdfast-Position", "%llu",
                   (unsigned long long)comparing->query.position);
    hf_call_header(call, "Idempotent-Replayed", "true");
    return hf_call_json(call, 200);
}

static enum hf_progress opened_or_not(struct hf_call *call)
{
    const struct hf_answer *answer = &call->request.answer;
    if (!answer->decided || answer->code != HF_ERR_ACCOUNT_EXISTS) {
        return hf_call_commit_answer(call);
    }
    const struct hf_commit *commit = hf_call_decode(answer->frame, call->exchange->arena);
    const struct hf_refused *refused = commit == NULL ? NULL : hf_commit_refusal(commit);
    struct comparing *comparing = hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*comparing));
    if (commit == NULL || comparing == NULL) {
        call->has_answer = true;
        return hf_call_undecided(call, HF_ERR_NO_MEMORY);
    }
    if (refused == NULL || refused->current.kind != HF_KIND_ACCOUNT) {
        return hf_call_commit_answer(call);
    }
    comparing->refusal = *answer;
    comparing->query = (struct hf_query){.type = HF_QUERY_COMMIT,
                                         .position = refused->current.account.opened_position};
    call->work = comparing;
    enum hf_progress progress = hf_call_read(call, &comparing->query, 1, compare);
    call->finish = compared;
    if (progress == HF_CALL_ANSWERED) { /* not submitted: the call holds the refusal no more */
        hf_answer_release(&comparing->refusal);
    }
    return progress;
}

static bool add_open(void *context, uint32_t index, struct hf_op_fields *fields,
                     struct hf_malformed *malformed)
{
    (void)index;
    struct hf_call *call = context;
    fields->op = HF_STR("open_account");
    fields->account = call->path.segments[2];
    return hf_command_add_op(&call->command, fields, malformed);
}

enum hf_progress hf_route_account_put(struct hf_call *call)
{
    call->form = (struct hf_answer_form){.one_result = true, .failed = HF_FAILED_IN_OBJECT};
    if (!hf_call_path_name(call, false) || !hf_call_command(call, HF_COMMAND_COMMIT)) {
        return HF_CALL_ANSWERED;
    }
    struct hf_condition_fields account = {.account = call->path.segments[2]};
    if (!hf_precondition_add(&call->precondition, &account, &call->command, &call->malformed) ||
        !hf_resource_json_decode(call->exchange->body, call->route->operation->members, NULL,
                                 &call->command.arena, add_open, call, &call->malformed)) {
        return hf_call_malformed(call);
    }
    call->finish = opened_or_not;
    return hf_call_commit(call);
}

/* ---- PATCH ---- */

static bool take_fields(void *context, uint32_t index, struct hf_op_fields *fields,
                        struct hf_malformed *malformed)
{
    (void)index;
    (void)malformed;
    *(struct hf_op_fields *)context = *fields;
    return true;
}

static bool add_state(struct hf_call *call, struct hf_str state, struct hf_op_fields *fields)
{
    static const struct {
        const char *state;
        const char *op;
    } rows[] = {{"open", "unfreeze"}, {"frozen", "freeze"}, {"closed", "close_account"}};
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        if (hf_str_equal(state, hf_str_from(rows[i].state))) {
            fields->op = hf_str_from(rows[i].op);
            return hf_command_add_op(&call->command, fields, &call->malformed);
        }
    }
    return hf_malformed_set(&call->malformed, HF_ERR_INVALID_REQUEST, "/state",
                            "open, frozen or closed");
}

/* Limits, metadata, state, in this order: closing comes last. */
static bool add_changes(struct hf_call *call, const struct hf_op_fields *given)
{
    struct hf_op_fields fields = {.account = call->path.segments[2]};
    if (hf_str_present(given->floor) || given->floor_null || hf_str_present(given->ceiling) ||
        given->ceiling_null) {
        struct hf_op_fields limits = *given;
        limits.op = HF_STR("set_limits");
        limits.account = fields.account;
        limits.metadata = HF_STR_NONE;
        limits.type = HF_STR_NONE;
        if (!hf_command_add_op(&call->command, &limits, &call->malformed)) {
            return false;
        }
    }
    if (hf_str_present(given->metadata)) {
        struct hf_op_fields metadata = fields;
        metadata.op = HF_STR("set_metadata");
        metadata.metadata = given->metadata;
        if (!hf_command_add_op(&call->command, &metadata, &call->malformed)) {
            return false;
        }
    }
    if (hf_str_present(given->type)) {
        return add_state(call, given->type, &fields);
    }
    return call->command.op_count > 0 ||
           hf_malformed_set(&call->malformed, HF_ERR_INVALID_REQUEST, "",
                            "nothing to change: give floor, ceiling, metadata or state");
}

enum hf_progress hf_route_account_patch(struct hf_call *call)
{
    static const char *const members[] = {"floor", "ceiling", "metadata", "state", NULL};
    struct hf_op_fields given = {0};
    call->form = (struct hf_answer_form){.one_result = true, .failed = HF_FAILED_IN_OBJECT};
    if (!hf_call_path_name(call, false) || !hf_call_command(call, HF_COMMAND_COMMIT)) {
        return HF_CALL_ANSWERED;
    }
    struct hf_condition_fields account = {.account = call->path.segments[2]};
    return hf_resource_json_decode(call->exchange->body, members, NULL, &call->command.arena,
                                   take_fields, &given, &call->malformed) &&
                   hf_precondition_add(&call->precondition, &account, &call->command,
                                       &call->malformed) &&
                   add_changes(call, &given)
               ? hf_call_commit(call)
               : hf_call_malformed(call);
}
