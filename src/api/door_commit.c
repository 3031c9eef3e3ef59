/* Changes: from a body to a commit, and back to an answer. */
#include "api/door_priv.h"
#include "base/bytes.h"
#include "base/check.h"
#include "core/saga_op.h"

/* ---- permission ---- */

static enum hf_scope scope_of(enum hf_op_type type)
{
    bool operates = type == HF_OP_SET_LIMITS || type == HF_OP_FREEZE || type == HF_OP_UNFREEZE ||
                    type == HF_OP_CLOSE_ACCOUNT || type == HF_OP_PUT_SUBSCRIPTION ||
                    type == HF_OP_DELETE_SUBSCRIPTION || type == HF_OP_REDRIVE ||
                    type == HF_OP_SEEK || type == HF_OP_DEFINE_SAGA ||
                    type == HF_OP_COMPLETE_STEP || type == HF_OP_FAIL_STEP ||
                    type == HF_OP_SAGA_VERB || type == HF_OP_SAGA_VERBS;
    return operates ? HF_SCOPE_OPERATE : HF_SCOPE_COMMIT;
}

/* '!' stands in no name: only a token for all names covers it. */
static bool may_everywhere(const struct hf_caller *caller, enum hf_scope scope)
{
    return hf_caller_may(caller, scope, HF_STR("!"));
}

static bool call_reaches_far(const struct hf_saga_call *call)
{
    bool far = call->kind == HF_CALL_NATIVE;
    for (uint32_t i = 0; i < call->header_count; i++) {
        far = far || hf_str_present(call->headers[i].secret);
    }
    return far;
}

/* Native steps act on whatever their templates name, and a secret goes wherever its URL leads: such a definition can do what its
 * author may not, unless that is everything. */
static bool may_define(const struct hf_caller *caller, const struct hf_saga_definition *definition)
{
    bool far = false;
    for (uint32_t i = 0; i < definition->step_count; i++) {
        far = far || call_reaches_far(&definition->steps[i].action) ||
              call_reaches_far(&definition->steps[i].compensation);
    }
    return !far || may_everywhere(caller, HF_SCOPE_OPERATE);
}

/* What an operation on a saga needs besides scope and names. A callback token is an authorization of its own. */
static bool may_saga_op(const struct hf_caller *caller, const struct hf_op *op)
{
    const struct hf_saga_command *saga = op->saga;
    if (op->type == HF_OP_SAGA_VERBS) {
        return may_everywhere(caller, HF_SCOPE_OPERATE);
    }
    if (saga->parsed != NULL) {
        return may_define(caller, saga->parsed);
    }
    return op->type != HF_OP_START_SAGA ||
           hf_caller_may(caller, HF_SCOPE_COMMIT, saga->definition.text);
}

static bool has_callback_token(const struct hf_op *op)
{
    return (op->type == HF_OP_COMPLETE_STEP || op->type == HF_OP_FAIL_STEP) &&
           hf_str_present(op->saga->fields.token);
}

/* What a packed record names by 128 bits alone may have any name. */
static bool may_reference(const struct hf_caller *caller, enum hf_scope scope,
                          const struct hf_op *op)
{
    bool references = op->type == HF_OP_TRANSFER || op->type == HF_OP_HOLD ||
                      op->type == HF_OP_CAPTURE || op->type == HF_OP_VOID;
    return !references || hf_str_present(op->subject.text) || may_everywhere(caller, scope);
}

bool hf_call_may_op(const struct hf_caller *caller, const struct hf_op *op)
{
    enum hf_scope scope = scope_of(op->type);
    return has_callback_token(op) ||
           ((op->saga == NULL || may_saga_op(caller, op)) && may_reference(caller, scope, op) &&
            hf_caller_may(caller, scope, op->subject.text) &&
            hf_caller_may(caller, scope, op->to.text) && hf_caller_may(caller, scope, op->id.text));
}

/* Every name that a commit mentions must be covered, also new ids: they are spent for everybody. */
bool hf_call_may_commit(const struct hf_call *call, const struct hf_command *command)
{
    const struct hf_caller *caller = &call->caller;
    if (command->kind == HF_COMMAND_CANCEL_KEY) {
        return hf_caller_may(caller, HF_SCOPE_COMMIT, HF_STR_NONE);
    }
    if (command->plain != NULL && command->ops == NULL) {
        return may_everywhere(caller, HF_SCOPE_COMMIT); /* by 128 bits alone: see may_reference */
    }
    for (uint32_t i = 0; i < command->op_count; i++) {
        if (!hf_call_may_op(caller, &command->ops[i])) {
            return false;
        }
    }
    for (uint32_t i = 0; i < command->condition_count; i++) {
        if (!hf_caller_may(caller, HF_SCOPE_COMMIT, command->conditions[i].subject.text)) {
            return false;
        }
    }
    return true;
}

static struct hf_str name_of(const struct hf_entity *entity)
{
    switch (entity->kind) {
    case HF_KIND_ACCOUNT:
        return entity->account.name.text;
    case HF_KIND_TRANSFER:
        return entity->transfer.name.text;
    case HF_KIND_HOLD:
        return entity->hold.name.text;
    case HF_KIND_STREAM:
        return entity->stream.name.text;
    case HF_KIND_DOCUMENT:
        return entity->document.name.text;
    case HF_KIND_LEASE:
        return entity->lease.name.text;
    case HF_KIND_MESSAGE:
        return entity->message.topic.text;
    case HF_KIND_SUBSCRIPTION:
        return entity->subscription.name.text;
    case HF_KIND_SAGA:
        return entity->saga.name.text;
    case HF_KIND_SAGA_DEFINITION:
        return entity->saga_definition.name.text;
    case HF_KIND_NONE:
    case HF_KIND_EVENT:
    case HF_KIND_KEY:
    case HF_KIND_COUNT:
        break;
    }
    return HF_STR_NONE;
}

/* ---- the command ---- */

bool hf_call_command(struct hf_call *call, enum hf_command_kind kind)
{
    hf_command_init(&call->command, kind);
    call->has_command = true;
    call->door->secret++;
    memcpy(call->command.secret, &call->door->secret, sizeof(call->command.secret));
    bool ok = hf_command_set_principal(&call->command, call->caller.principal, &call->malformed) &&
              (!hf_str_present(call->key) ||
               hf_command_set_key(&call->command, call->key, &call->malformed));
    if (!ok) {
        (void)hf_call_malformed(call);
    }
    return ok;
}

static bool check_key(struct hf_call *call)
{
    bool needed = call->route->method == HF_HTTP_POST && !call->dry_run &&
                  (call->route->flags & HF_ROUTE_KEY_FREE) == 0 && !call->command.key_free;
    if (!needed || hf_str_present(call->key)) {
        return true;
    }
    (void)hf_call_problem(
        call, HF_ERR_IDEMPOTENCY_KEY_MISSING,
        "Send the header Idempotency-Key with a value of your own, for example a "
        "UUID, and the same one with each repetition; or give each transfer, hold "
        "or event an id. See docs/http-api.md, \"Once\".",
        "");
    return false;
}

static bool check_precondition(struct hf_call *call)
{
    unsigned flags = call->route->flags;
    bool given = hf_precondition_given(&call->precondition);
    bool with_key = (flags & HF_ROUTE_MATCH_OR_KEY) != 0;
    if (given || (flags & (HF_ROUTE_MATCH_NEEDED | HF_ROUTE_MATCH_OR_KEY)) == 0 ||
        (with_key && hf_str_present(call->key))) {
        return true;
    }
    const char *detail =
        with_key ? "Read the thing, then send If-Match with its ETag, for example If-Match: \"3\"; "
                   "or send an Idempotency-Key to change it as it is."
                 : "Read the thing, then send If-Match with its ETag, for example If-Match: \"3\"; "
                   "or If-None-Match: * to create what does not exist.";
    (void)hf_call_problem(call, HF_ERR_PRECONDITION_REQUIRED, detail, "");
    return false;
}

static void request_done(struct hf_request *request)
{
    struct hf_call *call = request->context;
    hf_http_resume(call->exchange);
}

static enum hf_progress submit(struct hf_call *call)
{
    call->request = (struct hf_request){
        .command = &call->command,
        .outcomes = call->outcomes,
        .deadline_us = call->deadline_us,
        .done = request_done,
        .context = call,
    };
    call->finish = call->finish == NULL ? hf_call_commit_answer : call->finish;
    enum hf_err err = hf_node_submit(call->door->options.node, &call->request);
    if (err != HF_ERR_OK) {
        return hf_call_undecided(call, err);
    }
    return HF_CALL_UNDER_WAY;
}

enum hf_progress hf_call_commit(struct hf_call *call)
{
    call->command.dry_run = call->dry_run;
    call->command.door = hf_route_fingerprint(call);
    if (!hf_str_present(call->command.door)) {
        return hf_call_undecided(call, HF_ERR_NO_MEMORY);
    }
    if (!hf_command_finish(&call->command, &call->malformed)) {
        return hf_call_malformed(call);
    }
    if (!check_key(call) || !check_precondition(call)) {
        return HF_CALL_ANSWERED;
    }
    if (!hf_call_may_commit(call, &call->command)) {
        return hf_call_problem(call, HF_ERR_FORBIDDEN,
                               "The token's scopes or names do not cover this.", "");
    }
    return submit(call);
}

enum hf_progress hf_call_commit_each(struct hf_call *call)
{
    if (!hf_command_finish(&call->command, &call->malformed)) {
        return hf_call_malformed(call);
    }
    if (!hf_call_may_commit(call, &call->command)) {
        return hf_call_problem(call, HF_ERR_FORBIDDEN,
                               "The token's scopes or names do not cover this.", "");
    }
    call->outcomes =
        hf_arena_alloc(call->exchange->arena, call->command.op_count * sizeof(*call->outcomes));
    return call->outcomes == NULL ? hf_call_undecided(call, HF_ERR_NO_MEMORY) : submit(call);
}

/* ---- the answer ---- */

const struct hf_commit *hf_call_decode(const struct hf_shared_bytes *frame, struct hf_arena *arena)
{
    size_t record_bytes = hf_get_u32(frame->data);
    size_t payload_bytes = hf_get_u32(frame->data + 4);
    const uint8_t *record = frame->data + HF_COMMIT_FRAME_BYTES;
    HF_CHECK(HF_COMMIT_FRAME_BYTES + record_bytes + payload_bytes == frame->size_bytes);
    struct hf_commit *commit = hf_arena_alloc(arena, sizeof(*commit));
    enum hf_err err = HF_ERR_NO_MEMORY;
    if (commit != NULL) {
        err = hf_commit_decode(record, record_bytes, record + record_bytes, payload_bytes, arena,
                               commit, NULL);
    }
    /* The frame was written by this process or verified when it was fetched. */
    HF_CHECK(err == HF_ERR_OK || err == HF_ERR_NO_MEMORY);
    return err == HF_ERR_OK ? commit : NULL;
}

/* Has the operation made a thing that was not there? */
static bool creates(const struct hf_call *call, const struct hf_event *event)
{
    switch ((unsigned)event->type) {
    case HF_EVENT_ACCOUNT_OPENED:
    case HF_EVENT_TRANSFER_POSTED:
    case HF_EVENT_HOLD_OPENED:
    case HF_EVENT_HOLD_CAPTURED: /* a transfer */
    case HF_EVENT_STREAM_APPENDED:
    case HF_EVENT_LEASE_ACQUIRED:
        return true;
    case HF_EVENT_DOCUMENT_PUT:
        return call->precondition.none_match.given;
    case HF_EVENT_SUBSCRIPTION_PUT:
        return event->subscription->version == 1;
    case HF_EVENT_SAGA_DEFINED:
        return true;
    default:
        return false;
    }
}

int hf_call_render(struct hf_call *call, struct hf_buffer *to, const struct hf_commit *commit,
                   bool dry_run)
{
    struct hf_answer_form form = call->form;
    const struct hf_refused *refused = hf_commit_refusal(commit);
    form.dry_run = dry_run;
    if (refused != NULL) {
        form.hide_current =
            !hf_caller_may(&call->caller, HF_SCOPE_READ, name_of(&refused->current));
    }
    hf_answer_json_as(to, commit, &form);
    int status = hf_answer_status(commit, dry_run);
    if (status == 201 && form.one_result && !creates(call, hf_answer_last_event(commit))) {
        status = 200;
    }
    return status;
}

/* Location and ETag of what a resource's route has made or changed. Names need no escaping in a path. */
static void put_thing_headers(struct hf_call *call, const struct hf_event *event, bool created)
{
    const char *folder = NULL;
    struct hf_str name = HF_STR_NONE;
    switch ((unsigned)event->type) {
    case HF_EVENT_ACCOUNT_OPENED:
        folder = "/v1/accounts/";
        name = event->opened.name.text;
        hf_call_header_number(call, "ETag", "\"", event->opened.version, "\"");
        break;
    case HF_EVENT_ACCOUNT_CHANGED:
        hf_call_header_number(call, "ETag", "\"", event->changed.side.version, "\"");
        break;
    case HF_EVENT_TRANSFER_POSTED:
    case HF_EVENT_HOLD_CAPTURED:
        folder = "/v1/transfers/";
        name = event->posting.transfer.name.text;
        break;
    case HF_EVENT_HOLD_OPENED:
        folder = "/v1/holds/";
        name = event->posting.hold.name.text;
        break;
    case HF_EVENT_STREAM_APPENDED:
        folder = "/v1/streams/";
        name = event->appended.stream.text;
        hf_call_header_number(call, "ETag", "\"", event->appended.version, "\"");
        break;
    case HF_EVENT_DOCUMENT_PUT:
        folder = "/v1/documents/";
        name = event->document.document.text;
        hf_call_header_number(call, "ETag", "\"", event->document.version, "\"");
        break;
    case HF_EVENT_SUBSCRIPTION_PUT:
    case HF_EVENT_SUBSCRIPTION_SOUGHT:
        folder = "/v1/subscriptions/";
        name = event->subscription->subscription.text;
        hf_call_header_number(call, "ETag", "\"", event->subscription->version, "\"");
        break;
    case HF_EVENT_LEASE_ACQUIRED:
        folder = "/v1/leases/";
        name = event->lease.name.text;
        break;
    default:
        break;
    }
    if (created && folder != NULL) {
        hf_call_header_text(call, "Location", folder, name, "");
    }
}

void hf_call_change_headers(struct hf_call *call)
{
    const struct hf_answer *answer = &call->request.answer;
    uint64_t position = answer->position > 0 ? answer->position : answer->seen_position;
    hf_call_header_number(call, "Holdfast-Position", "", position, "");
    if (answer->replayed) {
        hf_call_header_text(call, "Idempotent-Replayed", "", HF_STR("true"), "");
    }
}

static void put_headers(struct hf_call *call, const struct hf_commit *commit, int status)
{
    hf_call_change_headers(call);
    const struct hf_event *event = hf_answer_last_event(commit);
    if (status >= 300 || event == NULL || call->command.kind == HF_COMMAND_CANCEL_KEY) {
        return;
    }
    if (call->form.one_result) {
        put_thing_headers(call, event, status == 201);
    } else if (status == 201) {
        hf_call_header_number(call, "Location", "/v1/commits/", commit->position, "");
    }
}

const struct hf_commit *hf_call_decided(struct hf_call *call)
{
    const struct hf_answer *answer = &call->request.answer;
    call->has_answer = true;
    if (!answer->decided) {
        (void)hf_call_undecided(call, answer->code);
        return NULL;
    }
    call->submitted = true;
    const struct hf_commit *commit = hf_call_decode(answer->frame, call->exchange->arena);
    if (commit == NULL) {
        (void)hf_call_undecided(call, HF_ERR_OUTCOME_UNKNOWN);
    }
    return commit;
}

enum hf_progress hf_call_commit_answer(struct hf_call *call)
{
    const struct hf_answer *answer = &call->request.answer;
    const struct hf_commit *commit = hf_call_decided(call);
    if (commit == NULL) {
        return HF_CALL_ANSWERED;
    }
    hf_buffer_clear(&call->exchange->answer);
    int status = 200;
    if (call->command.kind == HF_COMMAND_CANCEL_KEY) {
        hf_key_json(&call->exchange->answer, commit);
    } else {
        status = hf_call_render(call, &call->exchange->answer, commit,
                                call->dry_run && !answer->replayed);
    }
    put_headers(call, commit, status);
    return hf_call_json(call, status);
}

/* ---- bodies of operations ---- */

static bool add_operation(void *context, uint32_t index, struct hf_op_fields *fields,
                          struct hf_malformed *malformed)
{
    struct hf_call *call = context;
    const struct hf_operation_route *operation = call->route->operation;
    fields->op = hf_str_from(operation->op);
    if (operation->subject != HF_NO_SUBJECT) {
        struct hf_str *subject = (struct hf_str *)(void *)((char *)fields + operation->subject);
        *subject = call->path.segments[2];
    }
    uint64_t version = 0;
    bool none = call->precondition.none_match.any;
    if (index == 0 && operation->array_too &&
        (none || hf_precondition_single(&call->precondition, &version))) {
        if (fields->has_expected_version) {
            return hf_malformed_set(malformed, HF_ERR_INVALID_REQUEST, "/do/0/expected_version",
                                    "give either expected_version or If-Match");
        }
        fields->has_expected_version = true;
        fields->expected_version = version;
    }
    return hf_command_add_op(&call->command, fields, malformed);
}

/* Preconditions of a stream: what expected_version can say is said so, because such an append still
 * replays by its event ids; a list or If-Match: * becomes a condition. */
static bool add_stream_precondition(struct hf_call *call)
{
    const struct hf_precondition *precondition = &call->precondition;
    uint64_t version;
    bool said = hf_precondition_single(precondition, &version)
                    ? !precondition->none_match.given
                    : precondition->none_match.any && !precondition->match.given;
    if (said || !hf_precondition_given(precondition)) {
        return true;
    }
    struct hf_condition_fields stream = {.stream = call->path.segments[2]};
    return hf_precondition_add(precondition, &stream, &call->command, &call->malformed);
}

enum hf_progress hf_route_operation(struct hf_call *call)
{
    const struct hf_operation_route *operation = call->route->operation;
    struct hf_http_exchange *exchange = call->exchange;
    bool reference = operation->subject == offsetof(struct hf_op_fields, transfer) ||
                     operation->subject == offsetof(struct hf_op_fields, hold);
    call->form = (struct hf_answer_form){.one_result = true, .failed = HF_FAILED_IN_OBJECT};
    if (operation->subject != HF_NO_SUBJECT && !hf_call_path_name(call, reference)) {
        return HF_CALL_ANSWERED;
    }
    if (!hf_call_command(call, HF_COMMAND_COMMIT)) {
        return HF_CALL_ANSWERED;
    }
    if (operation->array_too && !add_stream_precondition(call)) {
        return hf_call_malformed(call);
    }
    bool array = false;
    struct hf_str body = exchange->body.len > 0 ? exchange->body : HF_STR("{}");
    bool ok =
        hf_resource_json_decode(body, operation->members, operation->array_too ? &array : NULL,
                                &call->command.arena, add_operation, call, &call->malformed);
    if (array) {
        call->form = (struct hf_answer_form){.failed = HF_FAILED_IN_ARRAY};
    }
    return ok ? hf_call_commit(call) : hf_call_malformed(call);
}
