/* An entry that is due: where it is called, its turn there, the texts that its call is made of. */
#include "base/alloc.h"
#include "base/check.h"
#include "deliver/runner_priv.h"

#define LOOKING_MAX 1024u /* turns that look for their URL */
/* The turns of what can't be called (a Location that is no URL): the call is refused when it begins. */
#define NOWHERE HF_STR("http://nowhere.invalid/")

/* ---- life ---- */

static void send_it(struct hf_target_wait *wait);

static struct hf_runner_turn *new_turn(struct hf_runner *runner, struct hf_due_call *due)
{
    struct hf_runner_turn *turn = hf_calloc(1, sizeof(*turn));
    if (turn != NULL) {
        turn->wait.send = send_it;
        turn->wait.owner = due->uid;
        turn->runner = runner;
        turn->due = due;
        turn->stage = TURN_LOOKING;
        hf_buffer_init(&turn->texts);
        due->turn = turn;
        hf_due_calls_set(&runner->dues, due, HF_DUE_NOW);
        runner->turns++;
        runner->looking++;
    }
    return turn;
}

static void set_stage(struct hf_runner_turn *turn, enum turn_stage stage)
{
    struct hf_runner *runner = turn->runner;
    runner->looking -= turn->stage == TURN_LOOKING ? 1 : 0;
    turn->stage = stage;
}

static void free_turn(struct hf_runner *runner, struct hf_runner_turn *turn)
{
    HF_CHECK(turn->due == NULL && !turn->held);
    set_stage(turn, TURN_OUT);
    for (size_t i = 0; i < TURN_FRAMES; i++) {
        hf_shared_bytes_unref(turn->frames[i]);
    }
    hf_buffer_release(&turn->texts);
    runner->turns--;
    hf_free(turn);
}

/* The entry of a turn gets another state. */
static void part(struct hf_runner_turn *turn, enum hf_due_state state)
{
    struct hf_due_call *due = turn->due;
    if (due != NULL) {
        turn->due = NULL;
        due->turn = NULL;
        hf_due_calls_set(&turn->runner->dues, due, state);
    }
}

/* Nothing comes of the turn: it is not held by anything. */
static void end_turn(struct hf_runner *runner, struct hf_runner_turn *turn)
{
    if (turn->stage == TURN_LOADING) { /* it counts as in flight */
        hf_targets_ended(runner->options.targets, &turn->wait, HF_TARGET_NOT_SENT, 0,
                         runner->now_us);
    }
    free_turn(runner, turn);
}

void runner_turn_leave(struct hf_runner *runner, struct hf_runner_turn *turn)
{
    part(turn, HF_DUE_PAUSED);
    if (turn->stage == TURN_QUEUED) {
        hf_targets_withdraw(runner->options.targets, &turn->wait);
        free_turn(runner, turn);
    } else if (turn->stage != TURN_OUT && !turn->held) {
        end_turn(runner, turn);
    } /* else it ends when it comes back */
}

void runner_turn_out(struct hf_runner_turn *turn, struct runner_call *call)
{
    set_stage(turn, TURN_OUT);
    turn->call = call;
}

void runner_turn_end(struct hf_runner *runner, struct hf_runner_turn *turn, enum hf_due_state state)
{
    HF_CHECK(turn->stage == TURN_OUT);
    part(turn, state);
    free_turn(runner, turn);
}

/* It is tried again a little later. */
void runner_turn_postpone(struct hf_runner *runner, struct hf_runner_turn *turn)
{
    if (turn->due != NULL) {
        turn->due->due_us = runner_log_us(runner) + RUNNER_AGAIN_US;
    }
    part(turn, HF_DUE_LATER);
    end_turn(runner, turn);
}

static void go_on(struct hf_runner *runner, struct hf_runner_turn *turn);

/* What held it is over. */
void runner_turn_go_on(struct hf_runner *runner, struct hf_runner_turn *turn)
{
    turn->held = false;
    if (turn->due == NULL) {
        end_turn(runner, turn);
    } else {
        go_on(runner, turn);
    }
}

/* ---- what a commit says ---- */

/* The saga's event at an index of a commit; NULL: there is none. */
static const struct hf_saga_changed *saga_at(const struct hf_commit *commit, uint32_t index,
                                             uint64_t uid)
{
    if (index >= commit->event_count) {
        return NULL;
    }
    const struct hf_event *event = commit->events[index];
    bool is_saga = event->type == HF_EVENT_SAGA_STARTED || event->type == HF_EVENT_SAGA_CHANGED;
    return is_saga && event->saga->uid == uid ? event->saga : NULL;
}

/* Decodes a frame that the turn needs. WAITING: it is being read. */
static enum runner_went decode(struct hf_runner *runner, struct hf_runner_turn *turn,
                               enum turn_frame which, const struct hf_commit **commit)
{
    struct hf_shared_bytes *frame = runner_turn_frame(runner, turn, which);
    if (frame == NULL) {
        runner_want_frames(runner, turn);
        return WENT_WAITING;
    }
    hf_shared_bytes_unref(turn->frames[which]);
    turn->frames[which] = frame; /* what is decoded points into it */
    *commit = runner_decode(runner, frame, runner_turn_position(turn->due, which));
    return *commit == NULL ? WENT_SHORT : WENT_ON;
}

/* What to send: the body, or the URL to poll. */
static enum runner_went find_request(struct hf_runner *runner, struct hf_runner_turn *turn,
                                     struct hf_str *request)
{
    const struct hf_due_call *due = turn->due;
    const struct hf_commit *commit;
    *request = HF_STR_NONE;
    if (due->at.position == 0) {
        return due->polls ? WENT_SHORT : WENT_ON;
    }
    enum runner_went went = decode(runner, turn, TURN_AT, &commit);
    if (went != WENT_ON) {
        return went;
    }
    const struct hf_saga_changed *saga = saga_at(commit, due->at.index, due->uid);
    if (saga == NULL) {
        return WENT_SHORT;
    }
    if (due->polls) {
        *request = saga->poll_at;
        return hf_str_present(*request) ? WENT_ON : WENT_SHORT;
    }
    for (uint32_t i = 0; i < saga->after_count; i++) {
        if (saga->after[i].step == due->step) {
            *request = saga->after[i].request.text;
        }
    }
    return WENT_ON;
}

static enum runner_went find_started(struct hf_runner *runner, struct hf_runner_turn *turn,
                                     struct runner_texts *texts)
{
    struct hf_due_call *due = turn->due;
    enum runner_went went = decode(runner, turn, TURN_STARTED, &texts->started);
    if (went != WENT_ON) {
        return went;
    }
    uint32_t index = (uint32_t)(due->uid & ((1u << HF_SAGA_UID_SHIFT) - 1));
    texts->saga = saga_at(texts->started, index, due->uid);
    if (texts->saga == NULL || texts->started->events[index]->type != HF_EVENT_SAGA_STARTED) {
        return WENT_SHORT;
    }
    if (due->definition == NULL) {
        due->definition = hf_known_definition_get(&runner->definitions, &texts->saga->definition,
                                                  texts->saga->definition_version);
    }
    return due->definition == NULL ? WENT_SHORT : WENT_ON;
}

static const struct hf_saga_call *call_of(const struct hf_saga_definition *definition,
                                          const struct hf_due_call *due)
{
    const struct hf_saga_step_definition *step =
        due->step < definition->step_count ? &definition->steps[due->step] : NULL;
    const struct hf_saga_call *call = step == NULL                ? NULL
                                      : due->op == HF_SAGA_ACTION ? &step->action
                                                                  : &step->compensation;
    return call != NULL && call->kind == HF_CALL_HTTP ? call : NULL;
}

/* ---- looking for the URL ---- */

static enum runner_went queue(struct hf_runner *runner, struct hf_runner_turn *turn,
                              struct hf_str url)
{
    char key[HF_URL_TARGET_BYTES];
    const char *why;
    struct hf_str at = hf_url_target(url, key, &why) ? url : NOWHERE;
    if (hf_targets_queue(runner->options.targets, at, &turn->wait) != HF_ERR_OK) {
        return WENT_SHORT;
    }
    set_stage(turn, TURN_QUEUED);
    return WENT_ON;
}

static enum runner_went look(struct hf_runner *runner, struct hf_runner_turn *turn)
{
    struct hf_due_call *due = turn->due;
    struct runner_texts texts;
    struct hf_str url;
    hf_arena_clear(&runner->scratch);
    if (due->polls) {
        enum runner_went went = find_request(runner, turn, &url);
        return went == WENT_ON ? queue(runner, turn, url) : went;
    }
    enum runner_went went = due->definition == NULL ? find_started(runner, turn, &texts) : WENT_ON;
    if (went != WENT_ON) {
        return went;
    }
    const struct hf_saga_definition *definition =
        hf_known_definition_use(&runner->definitions, due->definition);
    if (definition == NULL) {
        return runner_want_definition(runner, turn);
    }
    const struct hf_saga_call *call = call_of(definition, due);
    return call == NULL ? WENT_SHORT : queue(runner, turn, call->url);
}

/* ---- loading what the call is made of ---- */

static bool needs_texts(const struct hf_saga_call *call)
{
    bool needs = false;
    for (uint32_t i = 0; i < call->header_count; i++) {
        const struct hf_saga_header *header = &call->headers[i];
        needs = needs || (!hf_str_present(header->secret) && !header->value.constant);
    }
    return needs;
}

/* Its turn has come. */
static enum runner_went load(struct hf_runner *runner, struct hf_runner_turn *turn)
{
    struct hf_due_call *due = turn->due;
    struct runner_texts texts;
    hf_arena_clear(&runner->scratch);
    enum runner_went went = find_started(runner, turn, &texts);
    went = went == WENT_ON ? find_request(runner, turn, &texts.request) : went;
    if (went != WENT_ON) {
        return went;
    }
    const struct hf_saga_definition *definition =
        hf_known_definition_use(&runner->definitions, due->definition);
    if (definition == NULL) {
        return runner_want_definition(runner, turn);
    }
    const struct hf_saga_call *call = call_of(definition, due);
    if (call == NULL) {
        return WENT_SHORT;
    }
    if (needs_texts(call) && !turn->has_texts) {
        return runner_want_texts(runner, turn, &texts.saga->saga);
    }
    return runner_call_begin(runner, turn, definition, &texts) ? WENT_ON : WENT_SHORT;
}

/* ---- turns ---- */

static bool may_begin(const struct hf_runner *runner)
{
    return runner->call_count < runner->options.limits.answers_max;
}

static void go_on(struct hf_runner *runner, struct hf_runner_turn *turn)
{
    if (runner->phase != RUNNER_FOLLOWING || runner->stopping) {
        runner_turn_postpone(runner, turn);
        return;
    }
    if (turn->stage == TURN_LOADING && !may_begin(runner)) {
        turn->held = true;
        runner_line_add(&runner->to_load, turn);
        return;
    }
    enum runner_went went = turn->stage == TURN_LOOKING ? look(runner, turn) : load(runner, turn);
    if (went == WENT_SHORT) {
        runner_turn_postpone(runner, turn);
    }
}

/* Inside hf_targets_run: nothing is done here. */
static void send_it(struct hf_target_wait *wait)
{
    struct hf_runner_turn *turn = HF_CONTAINER_OF(wait, struct hf_runner_turn, wait);
    set_stage(turn, TURN_LOADING);
    turn->held = true;
    runner_line_add(&turn->runner->to_load, turn);
}

bool runner_may_look(const struct hf_runner *runner)
{
    return runner->looking < LOOKING_MAX;
}

static bool begin_due(struct hf_runner *runner)
{
    struct hf_due_call *due = hf_due_calls_first(&runner->dues);
    if (due == NULL || due->due_us > runner_log_us(runner) || !runner_may_look(runner)) {
        return false;
    }
    struct hf_runner_turn *turn = new_turn(runner, due);
    if (turn == NULL) {
        hf_due_calls_set(&runner->dues, due, HF_DUE_PAUSED);
        due->due_us = runner_log_us(runner) + RUNNER_AGAIN_US;
        hf_due_calls_set(&runner->dues, due, HF_DUE_LATER);
        return false;
    }
    go_on(runner, turn);
    return true;
}

static bool load_some(struct hf_runner *runner)
{
    bool did = false;
    struct hf_runner_turn *turn;
    while ((may_begin(runner) || runner->phase != RUNNER_FOLLOWING || runner->stopping) &&
           (turn = runner_line_pop(&runner->to_load)) != NULL) {
        runner_turn_go_on(runner, turn);
        did = true;
    }
    return did;
}

bool runner_turns(struct hf_runner *runner)
{
    bool did = load_some(runner);
    if (runner->phase == RUNNER_FOLLOWING && !runner->stopping) {
        for (uint32_t i = 0; i < runner->options.limits.dues_per_step && begin_due(runner); i++) {
            did = true;
        }
    }
    while (runner_read_frames(runner)) {
        did = true;
    }
    return did;
}
