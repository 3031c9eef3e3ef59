#include "unit/saga_rig.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/check.h"
#include "core/saga_text.h"
#include "core/saga_wire.h"

static int begin(void **state, enum core_rig_mode mode)
{
    struct saga_rig *rig = hf_calloc(1, sizeof(*rig));
    HF_CHECK(rig != NULL);
    rig->now_us = SAGA_RIG_START_US;
    core_rig_init(&rig->core, mode);
    hf_records_init(&rig->records);
    *state = rig;
    return 0;
}

int saga_rig_hot(void **state)
{
    return begin(state, CORE_RIG_HOT);
}

int saga_rig_cold(void **state)
{
    return begin(state, CORE_RIG_COLD);
}

int saga_rig_end(void **state)
{
    struct saga_rig *rig = *state;
    saga_check(rig);
    hf_records_release(&rig->records);
    core_rig_release(&rig->core);
    hf_free(rig);
    return 0;
}

void saga_check(struct saga_rig *rig)
{
    core_rig_check(&rig->core);
    if (rig->core.mode == CORE_RIG_COLD) {
        core_rig_reload(&rig->core);
    }
}

static struct hf_str text_of(const char *text)
{
    return text == NULL ? HF_STR_NONE : hf_str_from(text);
}

struct hf_name saga_name(const char *text)
{
    struct hf_name name;
    struct hf_arena arena;
    hf_arena_init(&arena);
    bool made = hf_name_make(hf_str_from(text), &arena, &name);
    HF_CHECK(made && name.text.ptr == text);
    hf_arena_release(&arena);
    return name;
}

static enum hf_err run(struct saga_rig *rig, struct hf_command *command)
{
    struct hf_malformed malformed = {0};
    bool finished = hf_command_finish(command, &malformed);
    HF_CHECK(finished);
    rig->now_us++;
    enum hf_decision decision = core_rig_run(&rig->core, command, rig->now_us);
    HF_CHECK(decision == HF_DECISION_COMMIT || decision == HF_DECISION_ANSWER ||
             decision == HF_DECISION_REPLAY);
    const struct hf_draft *draft = &rig->core.draft;
    const struct hf_commit *commit =
        decision == HF_DECISION_REPLAY ? draft->replayed : &draft->commit;
    const struct hf_refused *refused = hf_commit_refusal(commit);
    enum hf_err code = refused == NULL ? HF_ERR_OK : refused->code;
    hf_command_release(command);
    if (!rig->quick) {
        saga_check(rig);
    }
    return code;
}

static enum hf_err malformed_code(struct hf_command *command, const struct hf_malformed *malformed)
{
    (void)fprintf(stderr, "malformed: %s %s\n", malformed->pointer, malformed->text);
    hf_command_release(command);
    return malformed->code;
}

static enum hf_err run_saga_op(struct saga_rig *rig, const struct hf_saga_op_fields *fields)
{
    struct hf_command command;
    struct hf_malformed malformed = {0};
    hf_command_init(&command, HF_COMMAND_COMMIT);
    memset(command.secret, 7, sizeof(command.secret));
    return hf_command_add_saga_op(&command, fields, &malformed)
               ? run(rig, &command)
               : malformed_code(&command, &malformed);
}

enum hf_err saga_define(struct saga_rig *rig, const char *name, uint64_t version, const char *json)
{
    struct hf_saga_op_fields fields = {.type = HF_OP_DEFINE_SAGA,
                                       .name = hf_str_from(name),
                                       .version = version,
                                       .definition_json = hf_str_from(json)};
    return run_saga_op(rig, &fields);
}

enum hf_err saga_start_fields(struct saga_rig *rig, const struct hf_op_fields *fields)
{
    struct hf_command command;
    struct hf_malformed malformed = {0};
    struct hf_op_fields start = *fields;
    hf_command_init(&command, HF_COMMAND_COMMIT);
    memset(command.secret, 7, sizeof(command.secret));
    start.op = HF_STR("start_saga");
    return hf_command_add_op(&command, &start, &malformed) ? run(rig, &command)
                                                           : malformed_code(&command, &malformed);
}

enum hf_err saga_start(struct saga_rig *rig, const char *id, const char *definition,
                       const char *input)
{
    struct hf_op_fields fields = {
        .saga = text_of(id), .definition = hf_str_from(definition), .input = text_of(input)};
    return saga_start_fields(rig, &fields);
}

const struct hf_saga *saga_get(struct saga_rig *rig, const char *id)
{
    struct hf_name name = saga_name(id);
    return hf_sagas_get(&rig->core.state.sagas, &name.id);
}

const struct hf_saga_step *saga_step(struct saga_rig *rig, const char *id, const char *step)
{
    const struct hf_saga *saga = saga_get(rig, id);
    assert_non_null(saga);
    uint32_t i = hf_saga_definition_step(&saga->definition->parsed, hf_str_from(step));
    assert_int_not_equal(i, UINT32_MAX);
    return &saga->steps[i];
}

enum hf_err saga_give(struct saga_rig *rig, const char *id, const char *step,
                      const struct saga_answer *answer)
{
    const struct hf_saga *saga = saga_get(rig, id);
    const struct hf_saga_step *at = saga == NULL ? NULL : saga_step(rig, id, step);
    struct hf_saga_op_fields fields = {
        .type = HF_OP_SAGA_ANSWER,
        .saga = hf_str_from(id),
        .step = hf_str_from(step),
        .uid = saga == NULL ? 1 : saga->uid,
        .op = answer->op != 0 ? answer->op
              : at == NULL    ? HF_SAGA_ACTION
                              : at->op,
        .attempt = answer->attempt != 0 ? answer->attempt
                   : at == NULL         ? 1
                                        : at->attempts,
        .poll = answer->poll,
        .duration_ms = 3,
        .answer =
            {
                .error = answer->error,
                .status = answer->status,
                .outcome = text_of(answer->outcome),
                .retry_after_ms = answer->retry_after_ms,
                .location = text_of(answer->location),
                .body = text_of(answer->body),
            },
    };
    return run_saga_op(rig, &fields);
}

enum hf_err saga_status(struct saga_rig *rig, const char *id, const char *step, uint16_t status)
{
    struct saga_answer answer = {.status = status};
    return saga_give(rig, id, step, &answer);
}

enum hf_err saga_outcome(struct saga_rig *rig, const char *id, const char *step, bool completes,
                         const char *token, const char *result)
{
    struct hf_command command;
    struct hf_malformed malformed = {0};
    struct hf_op_fields fields = {
        .op = completes ? HF_STR("complete_step") : HF_STR("fail_step"),
        .saga = hf_str_from(id),
        .step = hf_str_from(step),
        .callback_token = text_of(token),
        .result = text_of(result),
    };
    hf_command_init(&command, HF_COMMAND_COMMIT);
    return hf_command_add_op(&command, &fields, &malformed) ? run(rig, &command)
                                                            : malformed_code(&command, &malformed);
}

void saga_token_of(struct saga_rig *rig, const char *id, const char *step, enum hf_saga_op op,
                   char token[33])
{
    hf_saga_token(saga_get(rig, id)->secret, hf_str_from(step), op, token);
}

enum hf_err saga_verb_fields(struct saga_rig *rig, const struct hf_saga_op_fields *fields)
{
    return run_saga_op(rig, fields);
}

enum hf_err saga_verb(struct saga_rig *rig, const char *id, enum hf_saga_act verb, const char *step)
{
    struct hf_saga_op_fields fields = {
        .type = HF_OP_SAGA_VERB,
        .saga = hf_str_from(id),
        .verb = verb,
        .step = text_of(step),
        .reason = HF_STR("by hand"),
        .actor = HF_STR("ann"),
    };
    return run_saga_op(rig, &fields);
}

enum hf_err saga_commit(struct saga_rig *rig, const char *json)
{
    struct core_rig_answer answer = {0};
    hf_buffer_init(&answer.text);
    rig->now_us++;
    struct core_rig_ask ask = {.text = json, .now_us = rig->now_us};
    core_rig_ask(&rig->core, &ask, &answer);
    const struct hf_refused *refused = hf_commit_refusal(&rig->core.draft.commit);
    enum hf_err code = answer.status < 300 ? HF_ERR_OK
                       : refused == NULL   ? HF_ERR_INVALID_REQUEST
                                           : refused->code;
    hf_buffer_release(&answer.text);
    if (!rig->quick) {
        saga_check(rig);
    }
    return code;
}

uint32_t saga_pass(struct saga_rig *rig, uint64_t ms)
{
    rig->now_us += ms * 1000;
    uint32_t commits = 0;
    while (core_rig_tick(&rig->core, rig->now_us)) {
        commits++;
        assert_true(commits < 10000);
        rig->now_us++;
        if (!rig->quick) {
            saga_check(rig);
        }
    }
    return commits;
}

const char *saga_line(struct saga_rig *rig, const char *id)
{
    const struct hf_saga *saga = saga_get(rig, id);
    if (saga == NULL) {
        return "none";
    }
    size_t at =
        (size_t)snprintf(rig->line, sizeof(rig->line), "%s", hf_saga_state_wire(saga->state));
    for (uint32_t i = 0; i < saga->definition->parsed.step_count; i++) {
        const struct hf_saga_step *step = &saga->steps[i];
        struct hf_str name = saga->definition->parsed.steps[i].name;
        char attempts[12] = "";
        if (step->attempts > 0) {
            (void)snprintf(attempts, sizeof(attempts), "%u", step->attempts);
        }
        at += (size_t)snprintf(rig->line + at, sizeof(rig->line) - at, " %.*s=%s%s%s%s%s",
                               (int)name.len, name.ptr, hf_step_state_wire(step->state), attempts,
                               step->failing_us > 0 ? "!" : "", step->unknown ? "?" : "",
                               step->op == HF_SAGA_COMPENSATION ? "~" : "");
        assert_true(at < sizeof(rig->line));
    }
    return rig->line;
}

struct hf_reading *saga_read(struct saga_rig *rig, const struct hf_query *query)
{
    hf_records_release(&rig->records);
    hf_records_init(&rig->records);
    (void)core_rig_read(&rig->core, query, rig->now_us, &rig->records, &rig->reading);
    return &rig->reading;
}

struct hf_reading *saga_query(struct saga_rig *rig, enum hf_query_type type, const char *id)
{
    struct hf_query query = {.type = type, .limit = 100};
    if (id != NULL) {
        query.name = saga_name(id);
    }
    return saga_read(rig, &query);
}

const struct hf_commit *saga_newest(struct saga_rig *rig)
{
    struct hf_query query = {.type = HF_QUERY_COMMIT, .position = rig->core.state.position};
    return saga_read(rig, &query)->commit;
}

struct hf_str saga_request(struct saga_rig *rig, const char *id, const char *step)
{
    const struct hf_saga *saga = saga_get(rig, id);
    uint32_t i = hf_saga_definition_step(&saga->definition->parsed, hf_str_from(step));
    struct hf_query query = {.type = HF_QUERY_COMMIT, .position = saga->steps[i].request.position};
    assert_int_not_equal(query.position, 0);
    return hf_saga_request_at(saga_read(rig, &query)->commit, saga->steps[i].request.index, i);
}
