#include "cli/saga_trial.h"

#include <stdio.h>

#include "base/shared_bytes.h"
#include "core/saga.h"

#define SECOND_US      1000000ull
#define ANSWER_US      10000ull /* how long an ordinary call takes */
#define CALLBACK_US    (5 * SECOND_US)
#define RETRY_AFTER_MS 30000u
#define WORKING_TIMES  3u
#define HORIZON_US     (400ull * 86400 * SECOND_US)
#define CALLS_MAX      40u /* of one step: it then goes on for ever */
#define COMING_MAX     16u
#define BEGIN_US       1893456000000000ull /* 2030-01-01: any time does */
#define RETENTION_US   (7ull * 86400 * SECOND_US)
#define TURNS_MAX      20000u

enum what {
    COMES_ANSWER,
    COMES_COMPLETE,
    COMES_FAIL,
};

/* Something that a participant has sent and that is on its way. */
struct coming {
    uint64_t at_us;
    enum what what;
    uint32_t step;
    enum hf_saga_op op;
    uint32_t attempt;
    bool poll;
    bool ends_call; /* the call that is out is over with it */
    enum hf_call_error error;
    uint16_t status;
    uint64_t retry_after_ms;
    bool location;
};

struct trial {
    const struct hf_trial_input *input;
    const struct hf_trial_case *each;
    struct hf_trial_result *result;
    struct hf_malformed *malformed;
    struct hf_state state;
    struct hf_draft draft;
    struct hf_name name; /* of the saga */
    uint64_t now_us;
    struct coming coming[COMING_MAX];
    size_t coming_count;
    bool out[HF_SAGA_STEPS_MAX]; /* a call of the step is under way */
    uint32_t working[HF_SAGA_STEPS_MAX];
};

const char *hf_trial_way_text(enum hf_trial_way way)
{
    static const char *const texts[] = {
#define WAY_TEXT(name, text, action, compensation) [HF_TRIAL_##name] = (text),
        HF_TRIAL_WAYS(WAY_TEXT)
#undef WAY_TEXT
    };
    return texts[way];
}

bool hf_trial_way_fits(enum hf_trial_way way, enum hf_saga_op op)
{
    static const bool fits[][2] = {
#define WAY_FITS(name, text, action, compensation) [HF_TRIAL_##name] = {(action), (compensation)},
        HF_TRIAL_WAYS(WAY_FITS)
#undef WAY_FITS
    };
    return fits[way][op == HF_SAGA_COMPENSATION];
}

/* ---- the core, stepped ---- */

static enum hf_err record(struct trial *trial)
{
    struct hf_buffer bytes;
    struct hf_error error = {0};
    enum hf_err err = HF_ERR_NO_MEMORY;
    hf_buffer_init(&bytes);
    struct hf_shared_bytes *frame = NULL;
    if (hf_commit_encode(&trial->draft.commit, &bytes)) {
        frame = hf_shared_bytes_new(bytes.size_bytes);
    }
    if (frame != NULL && hf_state_reserve(&trial->state, &trial->draft.commit)) {
        memcpy(frame->data, bytes.data, bytes.size_bytes);
        err = hf_state_apply(&trial->state, &trial->draft.commit, &error);
        if (err == HF_ERR_OK) {
            hf_recent_add_frame(&trial->state.recent, trial->state.position, frame);
        }
    }
    hf_shared_bytes_unref(frame);
    hf_buffer_release(&bytes);
    return err;
}

/* Whatever was decided; *code: the refusal's. */
static enum hf_err take_decision(struct trial *trial, enum hf_decision decision, enum hf_err *code)
{
    const struct hf_refused *refused =
        decision == HF_DECISION_COMMIT || decision == HF_DECISION_ANSWER
            ? hf_commit_refusal(&trial->draft.commit)
            : NULL;
    *code = refused == NULL ? HF_ERR_OK : refused->code;
    switch (decision) {
    case HF_DECISION_COMMIT:
        return record(trial);
    case HF_DECISION_ANSWER:
    case HF_DECISION_REPLAY:
        return HF_ERR_OK;
    case HF_DECISION_NEEDS: /* nothing is cold here */
    case HF_DECISION_DAMAGED:
        return HF_ERR_CORRUPT;
    case HF_DECISION_OVERLOADED:
        break;
    }
    return HF_ERR_NO_MEMORY;
}

static enum hf_err decide(struct trial *trial, struct hf_command *command, enum hf_err *code)
{
    if (!hf_command_finish(command, trial->malformed)) {
        return trial->malformed->code;
    }
    return take_decision(
        trial, hf_decide(&trial->state, NULL, command, trial->now_us, RETENTION_US, &trial->draft),
        code);
}

static bool begin(struct trial *trial, struct hf_command *command)
{
    hf_command_init(command, HF_COMMAND_COMMIT);
    return hf_command_set_principal(command, HF_STR("test"), trial->malformed);
}

static enum hf_err run_saga_op(struct trial *trial, const struct hf_saga_op_fields *fields,
                               enum hf_err *code)
{
    struct hf_command command;
    bool ok = begin(trial, &command) && hf_command_add_saga_op(&command, fields, trial->malformed);
    enum hf_err err = ok ? decide(trial, &command, code) : trial->malformed->code;
    hf_command_release(&command);
    return err;
}

static enum hf_err run_op(struct trial *trial, const struct hf_op_fields *fields, enum hf_err *code)
{
    struct hf_command command;
    bool ok = begin(trial, &command) && hf_command_add_op(&command, fields, trial->malformed);
    enum hf_err err = ok ? decide(trial, &command, code) : trial->malformed->code;
    hf_command_release(&command);
    return err;
}

static const struct hf_saga *saga_of(const struct trial *trial)
{
    return hf_sagas_get(&trial->state.sagas, &trial->name.id);
}

/* ---- the participants ---- */

/* How the step's call goes. A compensation that is to be seen needs something to undo: then its cause is refused. */
static enum hf_trial_way way_of(const struct trial *trial, uint32_t step, enum hf_saga_op op)
{
    const struct hf_trial_case *each = trial->each;
    if (step == each->step && op == each->op) {
        return each->way;
    }
    if (each->op == HF_SAGA_COMPENSATION && op == HF_SAGA_ACTION && step == each->refused) {
        return step == each->step ? HF_TRIAL_TIMEOUT_REFUSES : HF_TRIAL_REFUSES;
    }
    return HF_TRIAL_SUCCEEDS;
}

static void send(struct trial *trial, const struct coming *coming)
{
    if (trial->coming_count < COMING_MAX) {
        trial->coming[trial->coming_count++] = *coming;
    }
}

/* The participant does it, or undoes it. */
static void carry_out(struct trial *trial, uint32_t step, enum hf_saga_op op)
{
    struct hf_trial_step *record = &trial->result->steps[step];
    if (op == HF_SAGA_ACTION) {
        record->done = true;
    } else {
        record->undone = true;
    }
}

static void answer_status(struct trial *trial, struct coming *coming, uint16_t status)
{
    coming->status = status;
    if (status == 200) {
        carry_out(trial, coming->step, coming->op);
    }
    send(trial, coming);
}

static void answer_error(struct trial *trial, struct coming *coming, enum hf_call_error error,
                         uint64_t timeout_us)
{
    coming->error = error;
    coming->at_us = trial->now_us + (error == HF_CALL_TIMED_OUT ? timeout_us : ANSWER_US);
    send(trial, coming);
}

/* A 202, and what follows it: by callback, or where a poll asks. */
static void accept_call(struct trial *trial, struct coming *coming,
                        const struct hf_saga_step_definition *step, enum hf_trial_way way)
{
    coming->location = step->async_poll;
    answer_status(trial, coming, 202);
    if (step->async_poll || way == HF_TRIAL_ACCEPTS_SILENT) {
        return;
    }
    struct coming later = *coming;
    later.at_us = trial->now_us + CALLBACK_US;
    later.ends_call = false;
    later.what = way == HF_TRIAL_ACCEPTS_SUCCEEDS ? COMES_COMPLETE : COMES_FAIL;
    if (way == HF_TRIAL_ACCEPTS_SUCCEEDS) {
        carry_out(trial, coming->step, coming->op);
    }
    send(trial, &later);
}

static void answer_poll(struct trial *trial, struct coming *coming, enum hf_trial_way way)
{
    answer_status(trial, coming,
                  way == HF_TRIAL_ACCEPTS_SUCCEEDS ? 200
                  : way == HF_TRIAL_ACCEPTS_SILENT ? 202
                                                   : 422);
}

/* `attempt` counts the calls of this op. */
static void answer_call(struct trial *trial, struct coming *coming, uint32_t attempt,
                        const struct hf_saga_step_definition *step)
{
    enum hf_trial_way way = way_of(trial, coming->step, coming->op);
    uint64_t timeout_us = step->attempt_timeout_ms * 1000;
    bool first = attempt == 1;
    struct coming second = *coming;
    switch (way) {
    case HF_TRIAL_SUCCEEDS:
        answer_status(trial, coming, 200);
        return;
    case HF_TRIAL_REFUSES:
        answer_status(trial, coming, 422);
        return;
    case HF_TRIAL_GONE: /* there is nothing to undo any more */
        carry_out(trial, coming->step, coming->op);
        answer_status(trial, coming, 410);
        return;
    case HF_TRIAL_UNAUTHORIZED:
        answer_status(trial, coming, 401);
        return;
    case HF_TRIAL_CONFLICT_ONCE:
        answer_status(trial, coming, first ? 409 : 200);
        return;
    case HF_TRIAL_CONFLICT:
        answer_status(trial, coming, 409);
        return;
    case HF_TRIAL_ERROR_ONCE:
        answer_status(trial, coming, first ? 503 : 200);
        return;
    case HF_TRIAL_DOWN:
        answer_status(trial, coming, 503);
        return;
    case HF_TRIAL_BUSY_ONCE:
        coming->retry_after_ms = first ? RETRY_AFTER_MS : 0;
        answer_status(trial, coming, first ? 429 : 200);
        return;
    case HF_TRIAL_NO_CONNECTION_ONCE:
        if (first) {
            answer_error(trial, coming, HF_CALL_NOT_CONNECTED, timeout_us);
        } else {
            answer_status(trial, coming, 200);
        }
        return;
    case HF_TRIAL_TIMEOUT_ONCE:
    case HF_TRIAL_TIMEOUT_REFUSES:
    case HF_TRIAL_CUT_OFF_REFUSES:
        if (first) {
            carry_out(trial, coming->step, coming->op);
            answer_error(trial, coming,
                         way == HF_TRIAL_CUT_OFF_REFUSES ? HF_CALL_CUT_OFF : HF_CALL_TIMED_OUT,
                         timeout_us);
        } else {
            answer_status(trial, coming, way == HF_TRIAL_TIMEOUT_ONCE ? 200 : 422);
        }
        return;
    case HF_TRIAL_TIMEOUT:
        answer_error(trial, coming, HF_CALL_TIMED_OUT, timeout_us);
        return;
    case HF_TRIAL_ACCEPTS_SUCCEEDS:
    case HF_TRIAL_ACCEPTS_REFUSES:
    case HF_TRIAL_ACCEPTS_SILENT:
        accept_call(trial, coming, step, way);
        return;
    case HF_TRIAL_WORKING:
        answer_status(trial, coming, trial->working[coming->step]++ < WORKING_TIMES ? 425 : 200);
        return;
    case HF_TRIAL_TWICE:
        answer_status(trial, coming, 200);
        second.status = 200;
        second.ends_call = false;
        second.at_us += ANSWER_US;
        send(trial, &second);
        return;
    case HF_TRIAL_LATE:
        if (!first) {
            answer_status(trial, coming, 422);
            return;
        }
        answer_error(trial, coming, HF_CALL_TIMED_OUT, timeout_us);
        carry_out(trial, coming->step, coming->op);
        second.status = 200;
        second.ends_call = false;
        second.at_us = trial->now_us + timeout_us + 120 * SECOND_US; /* behind the second answer */
        send(trial, &second);
        return;
    case HF_TRIAL_WAY_COUNT:
        break;
    }
}

/* A call goes out. */
static void call(struct trial *trial, const struct hf_saga *saga, uint32_t index)
{
    const struct hf_saga_step *step = &saga->steps[index];
    struct hf_trial_result *result = trial->result;
    struct hf_trial_step *record = &result->steps[index];
    bool action = step->op == HF_SAGA_ACTION;
    struct coming coming = {
        .at_us = trial->now_us + ANSWER_US,
        .what = COMES_ANSWER,
        .step = index,
        .op = step->op,
        .attempt = step->attempts,
        .poll = step->polls,
        .ends_call = true,
    };
    trial->out[index] = true;
    if (step->polls) {
        answer_poll(trial, &coming, way_of(trial, index, step->op));
        return;
    }
    if (!action && record->compensations == 0) {
        result->undone[result->undone_count++] = index;
    }
    uint32_t calls = action ? ++record->actions : ++record->compensations;
    answer_call(trial, &coming, calls, &saga->definition->parsed.steps[index]);
}

/* ---- what has come, told to the core ---- */

static enum hf_err tell_answer(struct trial *trial, const struct hf_saga *saga,
                               const struct coming *coming)
{
    const struct hf_saga_definition *definition = &saga->definition->parsed;
    enum hf_err code;
    struct hf_saga_op_fields fields = {
        .type = HF_OP_SAGA_ANSWER,
        .saga = trial->name.text,
        .step = definition->steps[coming->step].name,
        .uid = saga->uid,
        .op = coming->op,
        .attempt = coming->attempt,
        .poll = coming->poll,
        .duration_ms = (uint32_t)(ANSWER_US / 1000),
        .answer =
            {
                .error = coming->error,
                .status = coming->status,
                .retry_after_ms = coming->retry_after_ms,
                .location = coming->location ? HF_STR("http://poll.invalid/") : HF_STR_NONE,
                .body = coming->status == 200 ? trial->input->results[coming->step] : HF_STR(""),
            },
    };
    return run_saga_op(trial, &fields, &code);
}

static enum hf_err tell_callback(struct trial *trial, const struct hf_saga *saga,
                                 const struct coming *coming)
{
    char token[33];
    enum hf_err code;
    struct hf_str step = saga->definition->parsed.steps[coming->step].name;
    bool done = coming->what == COMES_COMPLETE;
    hf_saga_token(saga->secret, step, coming->op, token);
    struct hf_op_fields fields = {
        .op = done ? HF_STR("complete_step") : HF_STR("fail_step"),
        .saga = trial->name.text,
        .step = step,
        .callback_token = hf_str_from(token),
        .result = done ? trial->input->results[coming->step] : HF_STR_NONE,
        .error = done ? HF_STR_NONE : HF_STR("refused"),
    };
    return run_op(trial, &fields, &code);
}

static enum hf_err deliver(struct trial *trial, const struct hf_saga *saga, size_t index)
{
    struct coming coming = trial->coming[index];
    trial->coming[index] = trial->coming[--trial->coming_count];
    trial->now_us = hf_max_u64(trial->now_us + 1, coming.at_us);
    if (coming.ends_call) {
        trial->out[coming.step] = false;
    }
    return coming.what == COMES_ANSWER ? tell_answer(trial, saga, &coming)
                                       : tell_callback(trial, saga, &coming);
}

static enum hf_err run_timers(struct trial *trial)
{
    struct hf_due due[8];
    enum hf_err code;
    trial->now_us = hf_max_u64(trial->now_us + 1, hf_state_next_due_us(&trial->state));
    size_t count = hf_state_take_due(&trial->state, trial->now_us, due, HF_ARRAY_COUNT(due));
    if (count == 0) {
        return HF_ERR_OK;
    }
    return take_decision(
        trial, hf_decide_expiries(&trial->state, NULL, due, count, trial->now_us, &trial->draft),
        &code);
}

/* ---- the run ---- */

/* The call that is due first. UINT64_MAX: none. */
static uint64_t next_call(const struct trial *trial, const struct hf_saga *saga, uint32_t *index)
{
    uint64_t first_us = UINT64_MAX;
    for (uint32_t i = 0; i < saga->definition->parsed.step_count; i++) {
        const struct hf_saga_step *step = &saga->steps[i];
        bool calls = step->state == HF_STEP_RUNNING || step->state == HF_STEP_COMPENSATING ||
                     (step->polls && (step->state == HF_STEP_WAITING ||
                                      step->state == HF_STEP_COMPENSATING_WAITING));
        if (calls && !trial->out[i] && step->due_us < first_us) {
            first_us = step->due_us;
            *index = i;
        }
    }
    return first_us;
}

static uint64_t next_coming(const struct trial *trial, size_t *index)
{
    uint64_t first_us = UINT64_MAX;
    for (size_t i = 0; i < trial->coming_count; i++) {
        if (trial->coming[i].at_us < first_us) {
            first_us = trial->coming[i].at_us;
            *index = i;
        }
    }
    return first_us;
}

static bool too_many_calls(const struct trial *trial)
{
    for (uint32_t i = 0; i < trial->result->step_count; i++) {
        const struct hf_trial_step *step = &trial->result->steps[i];
        if (step->actions > CALLS_MAX || step->compensations > CALLS_MAX) {
            return true;
        }
    }
    return false;
}

/* One thing happens. *over: there is nothing more to come, and result->end says how. */
static enum hf_err turn(struct trial *trial, bool *over)
{
    const struct hf_saga *saga = saga_of(trial);
    uint32_t step = 0;
    size_t index = 0;
    struct hf_trial_result *result = trial->result;
    bool ended = hf_saga_ended(saga->state);
    bool rests = ended || saga->state == HF_SAGA_PARKED;
    uint64_t coming_us = next_coming(trial, &index);
    uint64_t call_us = ended ? UINT64_MAX : next_call(trial, saga, &step);
    uint64_t timer_us = rests ? UINT64_MAX : hf_state_next_due_us(&trial->state);
    uint64_t next_us = hf_min_u64(coming_us, hf_min_u64(call_us, timer_us));
    *over = true;
    if (next_us == UINT64_MAX) {
        result->end = ended ? HF_TRIAL_ENDED : rests ? HF_TRIAL_PARKED : HF_TRIAL_STUCK;
        return HF_ERR_OK;
    }
    if (too_many_calls(trial) || next_us > BEGIN_US + HORIZON_US) {
        result->end = HF_TRIAL_GOES_ON;
        return HF_ERR_OK;
    }
    *over = false;
    if (coming_us == next_us) {
        return deliver(trial, saga, index);
    }
    if (timer_us == next_us) {
        return run_timers(trial);
    }
    trial->now_us = hf_max_u64(trial->now_us, call_us);
    call(trial, saga, step);
    return HF_ERR_OK;
}

static enum hf_err start(struct trial *trial, bool *over)
{
    enum hf_err code = HF_ERR_OK;
    struct hf_saga_op_fields define = {
        .type = HF_OP_DEFINE_SAGA,
        .name = HF_STR("test"),
        .version = 1,
        .definition_json = trial->input->definition,
    };
    struct hf_op_fields fields = {
        .op = HF_STR("start_saga"),
        .saga = trial->name.text,
        .definition = HF_STR("test@1"),
        .input = trial->input->input,
    };
    enum hf_err err = run_saga_op(trial, &define, &code);
    if (err == HF_ERR_OK) {
        trial->now_us++;
        err = run_op(trial, &fields, &code);
    }
    *over = err == HF_ERR_OK && saga_of(trial) == NULL;
    if (*over) {
        trial->result->end = HF_TRIAL_REJECTED;
        (void)snprintf(trial->result->reason, sizeof(trial->result->reason), "%s",
                       hf_err_wire(code));
    }
    return err;
}

static void conclude(struct trial *trial)
{
    struct hf_trial_result *result = trial->result;
    const struct hf_saga *saga = saga_of(trial);
    result->took_us = trial->now_us - BEGIN_US;
    if (saga == NULL) {
        return;
    }
    result->state = saga->state;
    for (uint32_t i = 0; i < result->step_count; i++) {
        result->steps[i].state = saga->steps[i].state;
    }
    (void)snprintf(result->reason, sizeof(result->reason), "%.*s", (int)saga->reason.len,
                   saga->reason.len == 0 ? "" : saga->reason.ptr);
}

enum hf_err hf_trial_run(const struct hf_trial_input *input, const struct hf_trial_case *each,
                         struct hf_trial_result *result, struct hf_malformed *malformed)
{
    struct trial trial = {
        .input = input,
        .each = each,
        .result = result,
        .malformed = malformed,
        .now_us = BEGIN_US,
    };
    struct hf_arena arena;
    bool over = false;
    *result = (struct hf_trial_result){0};
    hf_arena_init(&arena);
    hf_state_init(&trial.state, 1);
    hf_draft_init(&trial.draft);
    enum hf_err err =
        hf_name_make(HF_STR("test"), &arena, &trial.name) ? HF_ERR_OK : HF_ERR_NO_MEMORY;
    if (err == HF_ERR_OK) {
        err = start(&trial, &over);
    }
    const struct hf_saga *saga = err == HF_ERR_OK ? saga_of(&trial) : NULL;
    result->step_count = saga == NULL ? 0 : saga->definition->parsed.step_count;
    result->end = saga == NULL ? HF_TRIAL_REJECTED : HF_TRIAL_GOES_ON;
    for (uint32_t turns = 0; err == HF_ERR_OK && !over && turns < TURNS_MAX; turns++) {
        err = turn(&trial, &over);
    }
    if (err == HF_ERR_OK) {
        conclude(&trial);
    }
    hf_draft_release(&trial.draft);
    hf_state_release(&trial.state);
    hf_arena_release(&arena);
    return err;
}
