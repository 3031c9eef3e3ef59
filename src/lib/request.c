/* Commits and reads: from the caller's arguments to a request. */
#include <stdio.h>

#include "api/commit_json.h"
#include "api/reading_json.h"
#include "base/alloc.h"
#include "base/check.h"
#include "lib/lib_priv.h"

static const struct holdfast_caller nobody;

static enum holdfast_error malformed_failure(const struct hf_malformed *malformed,
                                             struct holdfast_failure *failure)
{
    return hf_lib_fail(failure, malformed->code, malformed->pointer, malformed->text);
}

static enum holdfast_error short_memory(struct holdfast_failure *failure)
{
    return hf_lib_fail(failure, HF_ERR_NO_MEMORY, "", "out of memory");
}

struct holdfast_answer *hf_lib_answer_new(enum holdfast_answer_kind kind)
{
    struct holdfast_answer *answer = hf_calloc(1, sizeof(*answer));
    if (answer != NULL) {
        answer->kind = kind;
        hf_buffer_init(&answer->text);
    }
    return answer;
}

/* ---- commits ---- */

static bool set_caller(struct hf_command *command, const struct holdfast_caller *caller,
                       struct hf_malformed *malformed)
{
    command->dry_run = caller->dry_run;
    return (caller->principal == NULL ||
            hf_command_set_principal(command, hf_str_from(caller->principal), malformed)) &&
           (caller->key == NULL ||
            hf_command_set_key(command, hf_str_from(caller->key), malformed));
}

static int commit_status(const struct hf_answer *answer, bool dry_run)
{
    if (answer->code != HF_ERR_OK) {
        return hf_err_status(answer->code);
    }
    return dry_run && !answer->replayed ? 200 : 201;
}

void hf_lib_settle(struct holdfast_answer *answer, const struct hf_command *command)
{
    bool cancels = command->kind == HF_COMMAND_CANCEL_KEY;
    answer->dry_run = command->dry_run && !answer->answer.replayed;
    answer->status = cancels ? 200 : commit_status(&answer->answer, answer->dry_run);
}

/* Decides a command that is finished but for its fingerprints, and lets go of it. */
static enum holdfast_error run_command(struct holdfast *db, struct hf_command *command, bool built,
                                       struct hf_malformed *malformed,
                                       struct holdfast_answer **answer,
                                       struct holdfast_failure *failure)
{
    enum holdfast_error error;
    bool cancels = command->kind == HF_COMMAND_CANCEL_KEY;
    if (!built || !hf_command_finish(command, malformed)) {
        error = malformed_failure(malformed, failure);
    } else {
        struct hf_call call = {.request.command = command};
        call.answer = hf_lib_answer_new(cancels ? ANSWER_CANCEL : ANSWER_COMMIT);
        error =
            call.answer == NULL ? short_memory(failure) : hf_lib_run(db, &call, answer, failure);
    }
    if (error == HOLDFAST_OK) {
        HF_CHECK(*answer != NULL);
        hf_lib_settle(*answer, command);
    }
    hf_command_release(command);
    return error;
}

enum holdfast_error holdfast_commit_json(struct holdfast *db, const struct holdfast_caller *caller,
                                         const char *json, size_t json_bytes,
                                         struct holdfast_answer **answer,
                                         struct holdfast_failure *failure)
{
    *answer = NULL;
    struct hf_malformed malformed = {0};
    struct hf_command command;
    struct hf_outside *outside = hf_engine_outside(db->engine);
    hf_command_init(&command, HF_COMMAND_COMMIT);
    outside->random(outside, command.secret, sizeof(command.secret)); /* of sagas that it starts */
    bool built = set_caller(&command, caller == NULL ? &nobody : caller, &malformed) &&
                 hf_commit_json_decode((struct hf_str){json, json_bytes}, &command, &malformed);
    return run_command(db, &command, built, &malformed, answer, failure);
}

static void take_fields(struct hf_op_fields *fields, const struct holdfast_operation *operation)
{
    *fields = (struct hf_op_fields){
        .op = hf_str_from(operation->op),
        .account = hf_str_from(operation->account),
        .id = hf_str_from(operation->id),
        .from = hf_str_from(operation->from),
        .to = hf_str_from(operation->to),
        .asset = hf_str_from(operation->asset),
        .amount = hf_str_from(operation->amount),
        .transfer = hf_str_from(operation->transfer),
        .hold = hf_str_from(operation->hold),
        .stream = hf_str_from(operation->stream),
        .document = hf_str_from(operation->document),
        .lease = hf_str_from(operation->lease),
        .owner = hf_str_from(operation->owner),
        .type = hf_str_from(operation->type),
        .data = hf_str_from(operation->data),
        .metadata = hf_str_from(operation->metadata),
        .floor = hf_str_from(operation->floor),
        .ceiling = hf_str_from(operation->ceiling),
        .effective_at = hf_str_from(operation->effective_at),
        .floor_null = operation->floor_none,
        .ceiling_null = operation->ceiling_none,
        .has_up_to = operation->up_to,
        .up_to = operation->up_to,
        .has_final = operation->final,
        .final = operation->final,
        .has_timeout_ms = operation->timeout_ms != 0,
        .timeout_ms = operation->timeout_ms,
        .has_ttl_ms = operation->ttl_ms != 0,
        .ttl_ms = operation->ttl_ms,
        .has_token = operation->token != 0,
        .token = operation->token,
        .has_expected_version = operation->has_expected_version,
        .expected_version = operation->expected_version,
    };
}

/* Room for all operations at once: growing step by step would copy them, on fresh pages. */
static bool make_room(struct hf_command *command, size_t count, struct hf_malformed *malformed)
{
    if (count <= 1 || count > HF_COMMIT_OPERATIONS_MAX) {
        return true;
    }
    command->ops = hf_arena_alloc(&command->arena, count * sizeof(*command->ops));
    command->op_capacity = command->ops == NULL ? 0 : (uint32_t)count;
    return command->ops != NULL ||
           hf_malformed_set(malformed, HF_ERR_NO_MEMORY, "", "out of memory");
}

bool hf_lib_build(struct hf_command *command, const struct holdfast_caller *caller,
                  const struct holdfast_operation *operations, size_t count,
                  struct hf_malformed *malformed)
{
    hf_command_init(command, HF_COMMAND_COMMIT);
    bool built = set_caller(command, caller == NULL ? &nobody : caller, malformed) &&
                 make_room(command, count, malformed);
    for (size_t i = 0; built && i < count; i++) {
        struct hf_op_fields fields;
        take_fields(&fields, &operations[i]);
        built = hf_command_add_op(command, &fields, malformed);
    }
    return built;
}

enum holdfast_error holdfast_commit(struct holdfast *db, const struct holdfast_caller *caller,
                                    const struct holdfast_operation *operations, size_t count,
                                    struct holdfast_answer **answer,
                                    struct holdfast_failure *failure)
{
    *answer = NULL;
    struct hf_malformed malformed = {0};
    struct hf_command command;
    bool built = hf_lib_build(&command, caller, operations, count, &malformed);
    return run_command(db, &command, built, &malformed, answer, failure);
}

enum holdfast_error holdfast_cancel_key(struct holdfast *db, const struct holdfast_caller *caller,
                                        struct holdfast_answer **answer,
                                        struct holdfast_failure *failure)
{
    *answer = NULL;
    if (caller == NULL || caller->key == NULL) {
        return hf_lib_fail(failure, HF_ERR_INVALID_REQUEST, "", "which key? caller.key is needed");
    }
    struct hf_malformed malformed = {0};
    struct hf_command command;
    hf_command_init(&command, HF_COMMAND_CANCEL_KEY);
    bool built = set_caller(&command, caller, &malformed);
    command.dry_run = false;
    return run_command(db, &command, built, &malformed, answer, failure);
}

/* ---- reads ---- */

/* On the node's thread: what was read lives no longer than this. */
static void render(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct hf_call *call = request->context;
    struct hf_buffer *text = &call->answer->text;
    hf_buffer_clear(text); /* a read may be done anew after a rebuild */
    call->answer->status = hf_reading_json(text, &request->queries[index], reading);
    hf_buffer_u8(text, 0);
    call->short_memory = text->failed;
    call->answer->rendered = true;
}

static enum holdfast_error run_query(struct holdfast *db, const struct hf_query *query,
                                     struct holdfast_answer **answer,
                                     struct holdfast_failure *failure)
{
    struct hf_call call = {.request = {.queries = query, .query_count = 1, .render = render}};
    call.answer = hf_lib_answer_new(ANSWER_READ);
    return call.answer == NULL ? short_memory(failure) : hf_lib_run(db, &call, answer, failure);
}

static bool take_position(const char *digits, uint64_t *position)
{
    hf_u128 value;
    bool ok = hf_u128_parse(hf_str_from(digits), &value) && value <= UINT64_MAX;
    *position = ok ? (uint64_t)value : 0;
    return ok;
}

/* The query's subject: a key, a position, or a name (in the arena if it must be folded). */
static enum holdfast_error take_subject(struct hf_query *query,
                                        const struct holdfast_caller *caller, const char *id,
                                        struct hf_arena *arena, struct holdfast_failure *failure)
{
    struct hf_str text = hf_str_from(id);
    if (query->type == HF_QUERY_KEY) {
        bool named = caller != NULL && caller->principal != NULL;
        query->principal = named ? hf_str_from(caller->principal) : HF_STR("local");
        query->key = text;
        return text.len == 0 ? hf_lib_fail(failure, HF_ERR_INVALID_REQUEST, "", "which key?")
                             : HOLDFAST_OK;
    }
    if (query->type == HF_QUERY_COMMIT) {
        return take_position(id, &query->position)
                   ? HOLDFAST_OK
                   : hf_lib_fail(failure, HF_ERR_INVALID_REQUEST, "",
                                 "a commit is read by its position in digits");
    }
    bool reference = query->type == HF_QUERY_TRANSFER || query->type == HF_QUERY_HOLD;
    if (reference ? !hf_name_valid_reference(text) : !hf_name_valid(text)) {
        return hf_lib_fail(failure, HF_ERR_INVALID_REQUEST, "", "the id is no name");
    }
    return hf_name_make(text, arena, &query->name) ? HOLDFAST_OK : short_memory(failure);
}

static enum holdfast_error read_subject(struct holdfast *db, const struct holdfast_caller *caller,
                                        struct hf_query *query, const char *id,
                                        struct holdfast_answer **answer,
                                        struct holdfast_failure *failure)
{
    struct hf_arena arena;
    hf_arena_init(&arena);
    enum holdfast_error error = take_subject(query, caller, id, &arena, failure);
    if (error == HOLDFAST_OK) {
        error = run_query(db, query, answer, failure);
    }
    hf_arena_release(&arena);
    return error;
}

/* The query of a kind among those given; 0 if there is none. */
static enum hf_query_type query_of(const char *kind, bool page)
{
    static const struct {
        const char *kind;
        bool page;
        enum hf_query_type type;
    } kinds[] = {
        {"account", false, HF_QUERY_ACCOUNT}, {"transfer", false, HF_QUERY_TRANSFER},
        {"hold", false, HF_QUERY_HOLD},       {"stream", false, HF_QUERY_STREAM},
        {"lease", false, HF_QUERY_LEASE},     {"document", false, HF_QUERY_DOCUMENT},
        {"key", false, HF_QUERY_KEY},         {"commit", false, HF_QUERY_COMMIT},
        {"entries", true, HF_QUERY_ENTRIES},  {"events", true, HF_QUERY_STREAM_EVENTS},
    };
    for (size_t i = 0; kind != NULL && i < HF_ARRAY_COUNT(kinds); i++) {
        if (kinds[i].page == page && strcmp(kinds[i].kind, kind) == 0) {
            return kinds[i].type;
        }
    }
    return (enum hf_query_type)0;
}

enum holdfast_error holdfast_read(struct holdfast *db, const struct holdfast_caller *caller,
                                  const char *kind, const char *id, struct holdfast_answer **answer,
                                  struct holdfast_failure *failure)
{
    *answer = NULL;
    struct hf_query query = {.type = query_of(kind, false)};
    if (query.type == 0) {
        return hf_lib_fail(failure, HF_ERR_INVALID_REQUEST, "",
                           "kind is one of account, transfer, hold, stream, document, lease, key, "
                           "commit");
    }
    return read_subject(db, caller, &query, id, answer, failure);
}

enum holdfast_error holdfast_read_page(struct holdfast *db, const struct holdfast_caller *caller,
                                       const char *kind, const char *id, uint64_t from,
                                       uint32_t limit, struct holdfast_answer **answer,
                                       struct holdfast_failure *failure)
{
    *answer = NULL;
    struct hf_query query = {.type = query_of(kind, true), .from = from, .limit = limit};
    if (query.type == 0) {
        return hf_lib_fail(failure, HF_ERR_INVALID_REQUEST, "", "kind is events or entries");
    }
    if (limit == 0 || limit > HF_QUERY_LIMIT_MAX) {
        return hf_lib_fail(failure, HF_ERR_INVALID_REQUEST, "", "limit is 1 to 1000");
    }
    return read_subject(db, caller, &query, id, answer, failure);
}
