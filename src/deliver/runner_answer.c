/* What came of a call, on its way into the log. */
#include <stdio.h>

#include "base/check.h"
#include "base/json.h"
#include "deliver/runner_priv.h"

#define EXCERPT_BYTES 160u /* of a body, for people */

/* ---- the answer as fields of a command ---- */

static struct hf_str keep(struct runner_call *call, struct hf_str text)
{
    struct hf_str copy = hf_arena_copy(&call->arena, text);
    call->short_memory = call->short_memory || (copy.ptr == NULL && hf_str_present(text));
    return copy;
}

/* Whole characters of an error's length. */
static struct hf_str at_most(const char *text, size_t len)
{
    size_t most = hf_min_u64(len, HF_SAGA_ERROR_BYTES_MAX);
    while (most > 0 && most < len && ((unsigned char)text[most] & 0xC0) == 0x80) {
        most--;
    }
    return (struct hf_str){text, most};
}

/* The beginning of a text as valid UTF-8 of one line, for histories. */
static struct hf_str excerpt(struct runner_call *call, struct hf_str text)
{
    struct hf_json json;
    struct hf_buffer out;
    size_t length = text.len > EXCERPT_BYTES ? EXCERPT_BYTES : text.len;
    while (length > 0 && length < text.len && ((unsigned char)text.ptr[length] & 0xC0) == 0x80) {
        length--;
    }
    hf_buffer_init(&out);
    hf_json_write_string(&out, (struct hf_str){text.ptr, length});
    struct hf_str written = keep(call, (struct hf_str){(const char *)out.data, out.size_bytes});
    bool failed = out.failed || call->short_memory;
    hf_buffer_release(&out);
    if (failed || length == 0) {
        return HF_STR_NONE;
    }
    hf_json_init(&json, written, &call->arena);
    (void)hf_json_next(&json);
    char *line = hf_arena_alloc(&call->arena, written.len);
    struct hf_str valid = hf_json_string(&json, &call->arena);
    if (line == NULL || !hf_str_present(valid)) {
        return HF_STR_NONE;
    }
    for (size_t i = 0; i < valid.len; i++) {
        unsigned char c = (unsigned char)valid.ptr[i];
        line[i] = c < 0x20 || c == 0x7F ? ' ' : (char)c;
    }
    return at_most(line, valid.len);
}

/* The status, and what the answer says about it; absent: nothing beside the status, or memory is short. */
static struct hf_str refusal(struct runner_call *call)
{
    char status[16];
    int len = snprintf(status, sizeof(status), "HTTP %u: ", (unsigned)call->call.status);
    struct hf_str said = excerpt(call, call->call.answer);
    char *text = hf_arena_alloc(&call->arena, (size_t)len + said.len);
    if (!hf_str_present(said) || text == NULL) {
        return HF_STR_NONE;
    }
    memcpy(text, status, (size_t)len);
    memcpy(text + len, said.ptr, said.len);
    return at_most(text, (size_t)len + said.len);
}

static bool is_definite(enum hf_saga_outcome outcome)
{
    return outcome == HF_OUTCOME_SUCCESS || outcome == HF_OUTCOME_PENDING ||
           outcome == HF_OUTCOME_AGAIN;
}

/* A whole answer: its body, if it is JSON and a result; else a piece of it as the error. */
static void read_answer(struct runner_call *call)
{
    const struct hf_call *from = &call->call;
    struct hf_saga_answer *answer = &call->fields.answer;
    enum hf_saga_outcome outcome = hf_saga_classify(answer, call->op, call->dtm, &call->rules);
    if (!is_definite(outcome)) {
        call->fields.error = refusal(call);
    }
    if (outcome != HF_OUTCOME_SUCCESS || from->answer.len == 0 || call->op != HF_SAGA_ACTION) {
        return;
    }
    if (from->answer.len > HF_SAGA_RESULT_BYTES_MAX) {
        answer->error = HF_CALL_TOO_LARGE;
        call->fields.error = HF_STR("its answer is larger than 65,536 bytes");
    } else if (hf_json_validate(from->answer, NULL) == HF_ERR_OK) {
        answer->body = keep(call, from->answer);
    } else if (!call->dtm) {
        answer->error = HF_CALL_TOO_LARGE;
        call->fields.error =
            HF_STR("its answer says that it is done, and has a body that is no JSON");
    }
}

static void fill_fields(struct runner_call *call)
{
    const struct hf_call *from = &call->call;
    call->fields = (struct hf_saga_op_fields){
        .type = HF_OP_SAGA_ANSWER,
        .saga = call->saga,
        .step = call->step_name,
        .uid = call->uid,
        .op = call->op,
        .attempt = call->attempt,
        .poll = call->polls,
        .duration_ms = from->duration_ms,
        .answer =
            {
                .error = from->error,
                .status = from->status,
                .outcome = keep(call, from->saga_outcome),
                .retry_after_ms = from->retry_after_ms,
                .location = keep(call, from->location),
            },
    };
    if (from->error == HF_CALL_COMPLETE) {
        read_answer(call);
    } else {
        call->fields.error = excerpt(call, hf_str_from(from->error_text));
    }
    if (call->short_memory) { /* as if it had been cut off: it is asked again */
        call->fields.answer = (struct hf_saga_answer){.error = HF_CALL_CUT_OFF};
        call->fields.error = HF_STR("memory was short for its answer");
    }
}

/* ---- the command ---- */

static void answer_came(struct runner_ask *ask, enum hf_err code);

static bool make_command(struct runner_call *call, struct hf_malformed *malformed)
{
    hf_command_init(&call->command, HF_COMMAND_COMMIT);
    bool made = hf_command_add_saga_op(&call->command, &call->fields, malformed) &&
                hf_command_finish(&call->command, malformed);
    if (!made) {
        hf_command_release(&call->command);
    }
    return made;
}

/* false: memory is short. */
static bool submit(struct hf_runner *runner, struct runner_call *call)
{
    struct hf_malformed malformed;
    bool made = make_command(call, &malformed);
    if (!made && malformed.code != HF_ERR_NO_MEMORY) {
        /* Something in the answer that can't be recorded: it counts as one that can't be read. */
        struct hf_str why = keep(call, hf_str_from(malformed.text));
        call->fields.answer = (struct hf_saga_answer){.error = HF_CALL_TOO_LARGE};
        call->fields.error = why;
        made = make_command(call, &malformed);
        HF_CHECK(made || malformed.code == HF_ERR_NO_MEMORY);
    }
    if (!made) {
        return false;
    }
    call->has_command = true;
    call->ask.request = (struct hf_request){.command = &call->command};
    call->ask.came = answer_came;
    runner_submit(runner, &call->ask);
    return true;
}

static void line_up(struct hf_runner *runner, struct runner_call *call)
{
    call->next = NULL;
    *(runner->to_submit == NULL ? &runner->to_submit : &runner->to_submit_last->next) = call;
    runner->to_submit_last = call;
}

bool runner_answer_all(struct hf_runner *runner)
{
    bool did = false;
    struct runner_call *call;
    while (runner->now_us >= runner->submit_us && (call = runner->to_submit) != NULL) {
        struct runner_call *next = call->next;
        if (!submit(runner, call)) {
            runner->submit_us = runner->now_us + RUNNER_BUSY_US;
            break;
        }
        runner->to_submit = next;
        did = true;
    }
    return did;
}

/* ---- the end of a call ---- */

/* The attempt is not out any more. */
static void come_back(struct hf_runner *runner, struct runner_call *call, enum hf_target_end end,
                      uint64_t retry_after_us, enum hf_due_state state)
{
    struct hf_runner_turn *turn = call->turn;
    struct hf_outside *outside = runner->options.outside;
    hf_targets_ended(runner->options.targets, &turn->wait, end, retry_after_us,
                     outside->monotonic_us(outside));
    call->turn = NULL;
    runner->out_count--;
    runner_turn_end(runner, turn, state);
}

#ifdef HF_BUG_SAGA_NEXT_BEFORE_DURABLE
/* planted: what comes behind a step is called when its answer is there, not when that is durable */
static void begin_next(struct hf_runner *runner, const struct runner_call *call)
{
    const struct hf_due_call *due = call->turn->due;
    const struct hf_saga_definition *definition =
        due == NULL || due->definition == NULL
            ? NULL
            : hf_known_definition_use(&runner->definitions, due->definition);
    if (definition == NULL || call->call.status != 200 || call->op != HF_SAGA_ACTION) {
        return;
    }
    for (uint32_t i = 0; i < definition->step_count; i++) {
        const struct hf_saga_step after = {
            .state = HF_STEP_RUNNING, .op = HF_SAGA_ACTION, .attempts = 1};
        if (definition->steps[i].after == UINT64_C(1) << call->step &&
            definition->steps[i].action.kind == HF_CALL_HTTP) {
            runner_set_step(runner, &(struct runner_step){.uid = call->uid,
                                                          .step = i,
                                                          .after = &after,
                                                          .definition = due->definition});
        }
    }
}
#endif

void runner_call_done(struct hf_call *from)
{
    struct runner_call *call = from->context;
    struct hf_runner *runner = call->ask.runner;
    bool slows = from->status == 429 || from->status == 503;
    fill_fields(call);
#ifdef HF_BUG_SAGA_NEXT_BEFORE_DURABLE
    begin_next(runner, call);
#endif
    come_back(runner, call, hf_target_end_of(from->error, from->status),
              slows ? from->retry_after_ms * 1000 : 0, HF_DUE_ANSWERED);
    line_up(runner, call);
}

bool runner_cancel_all(struct hf_runner *runner)
{
    struct runner_call *call = runner->calls;
    bool did = false;
    while (call != NULL) {
        struct runner_call *after = call->after;
        if (call->turn != NULL) {
            runner->options.caller->cancel(runner->options.caller->context, &call->call);
            come_back(runner, call, HF_TARGET_NOT_SENT, 0, HF_DUE_PAUSED);
            runner_call_free(runner, call);
            did = true;
        }
        call = after;
    }
    return did;
}

/* It is in the log, or counts for nothing any more, or the node does not lead (then the next owner sends the attempt again). */
static void answer_came(struct runner_ask *ask, enum hf_err code)
{
    struct runner_call *call = HF_CONTAINER_OF(ask, struct runner_call, ask);
    struct hf_runner *runner = ask->runner;
    if (code != HF_ERR_OK && code != HF_ERR_NOT_READY && !ask->decided && !runner->stopping) {
        /* The disk is full, or could not be read: it is given again. */
        hf_command_release(&call->command);
        call->has_command = false;
        runner->submit_us = runner->now_us + RUNNER_AGAIN_US;
        line_up(runner, call);
        return;
    }
    struct hf_due_call *due = hf_due_calls_find(&runner->dues, call->uid, call->step);
    if (ask->position == 0 && due != NULL && due->state == HF_DUE_ANSWERED &&
        due->attempt == call->attempt && due->op == (uint8_t)call->op) {
        runner_drop_due(runner, due);
    }
    runner_call_free(runner, call);
}
