/* An entry that is due: where it is called, its turn there, the texts that its call is made of. */
#include "base/alloc.h"
#include "base/check.h"
#include "deliver/runner_priv.h"

#define LOOKING_MAX 1024u /* turns that look for their URL */
/* The turns of what can't be called (a Location that is no URL): the call is refused when it begins. */
#define NOWHERE HF_STR("http://nowhere.invalid/")

enum went {
    WENT_ON,
    WENT_WAITING, /* for a text: it is told when that is there */
    WENT_SHORT,   /* memory is short, or what it needs is not to be had now */
};

/* ---- lines ---- */

static void line_add(struct turn_line *line, struct hf_runner_turn *turn)
{
    turn->next = NULL;
    *(line->first == NULL ? &line->first : &line->last->next) = turn;
    line->last = turn;
}

static struct hf_runner_turn *line_pop(struct turn_line *line)
{
    struct hf_runner_turn *turn = line->first;
    if (turn != NULL) {
        line->first = turn->next;
        turn->next = NULL;
    }
    return turn;
}

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
static void postpone(struct hf_runner *runner, struct hf_runner_turn *turn)
{
    if (turn->due != NULL) {
        turn->due->due_us = runner_log_us(runner) + RUNNER_AGAIN_US;
    }
    part(turn, HF_DUE_LATER);
    end_turn(runner, turn);
}

static void go_on(struct hf_runner *runner, struct hf_runner_turn *turn);

/* What held it is over. */
static void release(struct hf_runner *runner, struct hf_runner_turn *turn)
{
    turn->held = false;
    if (turn->due == NULL) {
        end_turn(runner, turn);
    } else {
        go_on(runner, turn);
    }
}

/* ---- frames ---- */

static uint64_t position_of(const struct hf_due_call *due, enum turn_frame which)
{
    return which == TURN_STARTED ? due->uid >> HF_SAGA_UID_SHIFT : due->at.position;
}

/* From RAM; NULL: it must be read. Owned by the caller. */
static struct hf_shared_bytes *frame_of(struct hf_runner *runner, struct hf_runner_turn *turn,
                                        enum turn_frame which)
{
    struct hf_shared_bytes *frame = turn->frames[which];
    size_t count;
    if (frame != NULL) {
        return hf_shared_bytes_ref(frame);
    }
    enum hf_tail_result result = runner->options.node.take(
        runner->options.node.context, position_of(turn->due, which), &frame, 1, &count);
    return result == HF_TAIL_FRAMES ? frame : NULL;
}

struct turn_reading {
    struct runner_ask ask;
    struct hf_runner_turn *turns[RUNNER_READ_MAX];
    size_t turn_count;
    uint64_t positions[RUNNER_READ_MAX];
    struct hf_shared_bytes *frames[RUNNER_READ_MAX];
    struct hf_runner_turn *owners[RUNNER_READ_MAX]; /* of frames */
    enum turn_frame which[RUNNER_READ_MAX];
    size_t count;
};

static void want_frames(struct hf_runner *runner, struct hf_runner_turn *turn)
{
    turn->held = true;
    line_add(&runner->to_read, turn);
}

static void frames_came(struct runner_ask *ask, enum hf_err code)
{
    struct turn_reading *reading = HF_CONTAINER_OF(ask, struct turn_reading, ask);
    struct hf_runner *runner = ask->runner;
    runner->reads--;
    for (size_t i = 0; i < reading->count; i++) {
        reading->owners[i]->frames[reading->which[i]] =
            reading->frames[i]; /* NULL behind an error */
    }
    for (size_t i = 0; i < reading->turn_count; i++) {
        struct hf_runner_turn *turn = reading->turns[i];
        if (code == HF_ERR_OK || turn->due == NULL) {
            release(runner, turn);
        } else {
            turn->held = false;
            postpone(runner, turn);
        }
    }
    hf_free(reading);
}

static void add_frame(struct hf_runner *runner, struct turn_reading *reading,
                      struct hf_runner_turn *turn, enum turn_frame which)
{
    uint64_t position = position_of(turn->due, which);
    if (position == 0 || turn->frames[which] != NULL) {
        return;
    }
    struct hf_shared_bytes *frame = frame_of(runner, turn, which);
    if (frame != NULL) {
        turn->frames[which] = frame;
        return;
    }
    reading->positions[reading->count] = position;
    reading->owners[reading->count] = turn;
    reading->which[reading->count] = which;
    reading->count++;
}

/* One request for the frames of several turns. */
static bool read_frames(struct hf_runner *runner)
{
    if (runner->to_read.first == NULL || runner->reads >= runner->options.limits.reads_max) {
        return false;
    }
    struct turn_reading *reading = hf_calloc(1, sizeof(*reading));
    if (reading == NULL) {
        return false;
    }
    while (reading->count + TURN_FRAMES <= RUNNER_READ_MAX &&
           reading->turn_count < RUNNER_READ_MAX && runner->to_read.first != NULL) {
        struct hf_runner_turn *turn = line_pop(&runner->to_read);
        reading->turns[reading->turn_count++] = turn;
        if (turn->due != NULL) {
            add_frame(runner, reading, turn, TURN_STARTED);
            add_frame(runner, reading, turn, TURN_AT);
        }
    }
    runner->reads++;
    reading->ask.came = frames_came;
    reading->ask.runner = runner;
    if (reading->count == 0) {
        frames_came(&reading->ask, HF_ERR_OK);
        return true;
    }
    reading->ask.request = (struct hf_request){
        .positions = reading->positions,
        .position_count = reading->count,
        .frames = reading->frames,
    };
    runner_submit(runner, &reading->ask);
    return true;
}

/* ---- definitions ---- */

struct definition_reading {
    struct runner_ask ask;
    struct hf_query query;
    struct hf_known_definition *definition; /* a reference */
    struct hf_buffer text;
};

/* On the node's thread. */
static void note_definition(struct hf_request *request, size_t index,
                            const struct hf_reading *reading)
{
    struct definition_reading *asked =
        HF_CONTAINER_OF(request, struct definition_reading, ask.request);
    (void)index; /* there is one query */
    hf_buffer_clear(&asked->text);
    hf_buffer_bytes(&asked->text, reading->text.text.ptr, reading->text.text.len);
}

static void definition_came(struct runner_ask *ask, enum hf_err code)
{
    struct definition_reading *asked = HF_CONTAINER_OF(ask, struct definition_reading, ask);
    struct hf_runner *runner = ask->runner;
    struct hf_known_definition *definition = asked->definition;
    struct hf_str text = {(const char *)asked->text.data, asked->text.size_bytes};
    if (code == HF_ERR_OK && !asked->text.failed) {
        code = hf_known_definition_parse(&runner->definitions, definition, text);
    }
    bool parsed = code == HF_ERR_OK && !asked->text.failed;
    struct turn_line turns = definition->turns;
    definition->turns = (struct turn_line){0};
    definition->asked = false;
    struct hf_runner_turn *turn;
    while ((turn = line_pop(&turns)) != NULL) {
        if (parsed || turn->due == NULL) {
            release(runner, turn);
        } else { /* its saga has ended, and that is on its way here; or memory was short */
            turn->held = false;
            postpone(runner, turn);
        }
    }
    hf_known_definition_unref(&runner->definitions, definition);
    hf_buffer_release(&asked->text);
    hf_free(asked);
}

static enum went want_definition(struct hf_runner *runner, struct hf_runner_turn *turn)
{
    struct hf_known_definition *definition = turn->due->definition;
    struct definition_reading *asked = NULL;
    if (!definition->asked) {
        asked = hf_calloc(1, sizeof(*asked));
        if (asked == NULL) {
            return WENT_SHORT;
        }
    }
    turn->held = true;
    line_add(&definition->turns, turn);
    if (asked != NULL) {
        definition->asked = true;
        asked->definition = hf_known_definition_ref(definition);
        hf_buffer_init(&asked->text);
        asked->query = (struct hf_query){
            .type = HF_QUERY_SAGA_DEFINITION,
            .name = definition->name,
            .version = definition->version,
        };
        asked->ask.request = (struct hf_request){
            .queries = &asked->query, .query_count = 1, .render = note_definition};
        asked->ask.came = definition_came;
        runner_submit(runner, &asked->ask);
    }
    return WENT_WAITING;
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
static enum went decode(struct hf_runner *runner, struct hf_runner_turn *turn,
                        enum turn_frame which, const struct hf_commit **commit)
{
    struct hf_shared_bytes *frame = frame_of(runner, turn, which);
    if (frame == NULL) {
        want_frames(runner, turn);
        return WENT_WAITING;
    }
    hf_shared_bytes_unref(turn->frames[which]);
    turn->frames[which] = frame; /* what is decoded points into it */
    *commit = runner_decode(runner, frame, position_of(turn->due, which));
    return *commit == NULL ? WENT_SHORT : WENT_ON;
}

/* What to send: the body, or the URL to poll. */
static enum went find_request(struct hf_runner *runner, struct hf_runner_turn *turn,
                              struct hf_str *request)
{
    const struct hf_due_call *due = turn->due;
    const struct hf_commit *commit;
    *request = HF_STR_NONE;
    if (due->at.position == 0) {
        return due->polls ? WENT_SHORT : WENT_ON;
    }
    enum went went = decode(runner, turn, TURN_AT, &commit);
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

static enum went find_started(struct hf_runner *runner, struct hf_runner_turn *turn,
                              struct runner_texts *texts)
{
    struct hf_due_call *due = turn->due;
    enum went went = decode(runner, turn, TURN_STARTED, &texts->started);
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

static enum went queue(struct hf_runner *runner, struct hf_runner_turn *turn, struct hf_str url)
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

static enum went look(struct hf_runner *runner, struct hf_runner_turn *turn)
{
    struct hf_due_call *due = turn->due;
    struct runner_texts texts;
    struct hf_str url;
    hf_arena_clear(&runner->scratch);
    if (due->polls) {
        enum went went = find_request(runner, turn, &url);
        return went == WENT_ON ? queue(runner, turn, url) : went;
    }
    enum went went = due->definition == NULL ? find_started(runner, turn, &texts) : WENT_ON;
    if (went != WENT_ON) {
        return went;
    }
    const struct hf_saga_definition *definition =
        hf_known_definition_use(&runner->definitions, due->definition);
    if (definition == NULL) {
        return want_definition(runner, turn);
    }
    const struct hf_saga_call *call = call_of(definition, due);
    return call == NULL ? WENT_SHORT : queue(runner, turn, call->url);
}

/* ---- loading what the call is made of ---- */

struct texts_reading {
    struct runner_ask ask;
    struct hf_query query;
    struct hf_runner_turn *turn;
    uint64_t uid;
    bool found;
    struct hf_buffer texts;
    char name[HF_NAME_BYTES_MAX];
};

static void note_text(struct hf_buffer *texts, struct hf_str text)
{
    uint64_t length = hf_str_present(text) ? text.len : UINT64_MAX;
    hf_buffer_u64(texts, length);
    hf_buffer_bytes(texts, text.ptr, text.len);
}

/* On the node's thread. */
static void note_texts(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct texts_reading *asked = HF_CONTAINER_OF(request, struct texts_reading, ask.request);
    const struct hf_saga *saga = reading->saga.saga;
    (void)index; /* there is one query */
    hf_buffer_clear(&asked->texts);
    asked->found = reading->code == HF_ERR_OK && saga != NULL && saga->uid == asked->uid;
    if (asked->found) {
        note_text(&asked->texts, reading->saga.input);
        for (uint32_t i = 0; i < saga->definition->parsed.step_count; i++) {
            note_text(&asked->texts,
                      reading->saga.results == NULL ? HF_STR_NONE : reading->saga.results[i]);
        }
    }
}

static void texts_came(struct runner_ask *ask, enum hf_err code)
{
    struct texts_reading *asked = HF_CONTAINER_OF(ask, struct texts_reading, ask);
    struct hf_runner *runner = ask->runner;
    struct hf_runner_turn *turn = asked->turn;
    runner->reads--;
    turn->has_texts = code == HF_ERR_OK && asked->found && !asked->texts.failed;
    if (turn->has_texts) {
        turn->texts = asked->texts;
    } else {
        hf_buffer_release(&asked->texts);
    }
    if (turn->has_texts || turn->due == NULL) {
        release(runner, turn);
    } else {
        turn->held = false;
        postpone(runner, turn);
    }
    hf_free(asked);
}

static enum went want_texts(struct hf_runner *runner, struct hf_runner_turn *turn,
                            const struct hf_name *saga)
{
    struct texts_reading *asked = hf_calloc(1, sizeof(*asked));
    if (asked == NULL) {
        return WENT_SHORT;
    }
    HF_CHECK(saga->text.len <= sizeof(asked->name));
    memcpy(asked->name, saga->text.ptr, saga->text.len);
    hf_buffer_init(&asked->texts);
    asked->turn = turn;
    asked->uid = turn->due->uid;
    asked->query = (struct hf_query){
        .type = HF_QUERY_SAGA,
        .name = {saga->id, {asked->name, saga->text.len}},
    };
    asked->ask.request =
        (struct hf_request){.queries = &asked->query, .query_count = 1, .render = note_texts};
    asked->ask.came = texts_came;
    turn->held = true;
    runner->reads++;
    runner_submit(runner, &asked->ask);
    return WENT_WAITING;
}

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
static enum went load(struct hf_runner *runner, struct hf_runner_turn *turn)
{
    struct hf_due_call *due = turn->due;
    struct runner_texts texts;
    hf_arena_clear(&runner->scratch);
    enum went went = find_started(runner, turn, &texts);
    went = went == WENT_ON ? find_request(runner, turn, &texts.request) : went;
    if (went != WENT_ON) {
        return went;
    }
    const struct hf_saga_definition *definition =
        hf_known_definition_use(&runner->definitions, due->definition);
    if (definition == NULL) {
        return want_definition(runner, turn);
    }
    const struct hf_saga_call *call = call_of(definition, due);
    if (call == NULL) {
        return WENT_SHORT;
    }
    if (needs_texts(call) && !turn->has_texts) {
        return want_texts(runner, turn, &texts.saga->saga);
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
        postpone(runner, turn);
        return;
    }
    if (turn->stage == TURN_LOADING && !may_begin(runner)) {
        turn->held = true;
        line_add(&runner->to_load, turn);
        return;
    }
    enum went went = turn->stage == TURN_LOOKING ? look(runner, turn) : load(runner, turn);
    if (went == WENT_SHORT) {
        postpone(runner, turn);
    }
}

/* Inside hf_targets_run: nothing is done here. */
static void send_it(struct hf_target_wait *wait)
{
    struct hf_runner_turn *turn = HF_CONTAINER_OF(wait, struct hf_runner_turn, wait);
    set_stage(turn, TURN_LOADING);
    turn->held = true;
    line_add(&turn->runner->to_load, turn);
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
           (turn = line_pop(&runner->to_load)) != NULL) {
        release(runner, turn);
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
    while (read_frames(runner)) {
        did = true;
    }
    return did;
}
