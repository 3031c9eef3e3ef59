/* What turns need of the log and the state: requests at the node. */
#include "base/alloc.h"
#include "base/check.h"
#include "deliver/runner_priv.h"

/* ---- frames ---- */

uint64_t runner_turn_position(const struct hf_due_call *due, enum turn_frame which)
{
    return which == TURN_STARTED ? due->uid >> HF_SAGA_UID_SHIFT : due->at.position;
}

/* From RAM; NULL: it must be read. Owned by the caller. */
struct hf_shared_bytes *runner_turn_frame(struct hf_runner *runner, struct hf_runner_turn *turn,
                                          enum turn_frame which)
{
    struct hf_shared_bytes *frame = turn->frames[which];
    size_t count;
    if (frame != NULL) {
        return hf_shared_bytes_ref(frame);
    }
    enum hf_tail_result result = runner->options.node.take(
        runner->options.node.context, runner_turn_position(turn->due, which), &frame, 1, &count);
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

void runner_want_frames(struct hf_runner *runner, struct hf_runner_turn *turn)
{
    turn->held = true;
    runner_line_add(&runner->to_read, turn);
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
            runner_turn_go_on(runner, turn);
        } else {
            turn->held = false;
            runner_turn_postpone(runner, turn);
        }
    }
    hf_free(reading);
}

static void add_frame(struct hf_runner *runner, struct turn_reading *reading,
                      struct hf_runner_turn *turn, enum turn_frame which)
{
    uint64_t position = runner_turn_position(turn->due, which);
    if (position == 0 || turn->frames[which] != NULL) {
        return;
    }
    struct hf_shared_bytes *frame = runner_turn_frame(runner, turn, which);
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
bool runner_read_frames(struct hf_runner *runner)
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
        struct hf_runner_turn *turn = runner_line_pop(&runner->to_read);
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
    while ((turn = runner_line_pop(&turns)) != NULL) {
        if (parsed || turn->due == NULL) {
            runner_turn_go_on(runner, turn);
        } else { /* its saga has ended, and that is on its way here; or memory was short */
            turn->held = false;
            runner_turn_postpone(runner, turn);
        }
    }
    hf_known_definition_unref(&runner->definitions, definition);
    hf_buffer_release(&asked->text);
    hf_free(asked);
}

enum runner_went runner_want_definition(struct hf_runner *runner, struct hf_runner_turn *turn)
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
    runner_line_add(&definition->turns, turn);
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

/* ---- inputs and results ---- */

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
        runner_turn_go_on(runner, turn);
    } else {
        turn->held = false;
        runner_turn_postpone(runner, turn);
    }
    hf_free(asked);
}

enum runner_went runner_want_texts(struct hf_runner *runner, struct hf_runner_turn *turn,
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
