/* The tail: what each event of a saga leaves to be called. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "deliver/runner_priv.h"

/* Commits that have left the ring before they were followed. */
struct runner_frames {
    struct runner_ask ask;
    uint64_t positions[RUNNER_READ_MAX];
    struct hf_shared_bytes *frames[RUNNER_READ_MAX];
    size_t count;
};

/* ---- entries ---- */

void runner_drop_due(struct hf_runner *runner, struct hf_due_call *due)
{
    if (due->turn != NULL) {
        runner_turn_leave(runner, due->turn);
    }
    hf_known_definition_unref(&runner->definitions, due->definition);
    due->definition = NULL;
    hf_due_calls_remove(&runner->dues, due);
}

static bool is_called(const struct hf_saga_step *step)
{
    return step->state == HF_STEP_RUNNING || step->state == HF_STEP_COMPENSATING || step->polls;
}

/* The call of this attempt is out, or has its answer. */
static bool is_under_way(const struct hf_due_call *due, const struct hf_saga_step *after)
{
    bool out = due->state == HF_DUE_ANSWERED || (due->turn != NULL && due->turn->stage == TURN_OUT);
    return out && due->op == (uint8_t)after->op && due->attempt == after->attempts;
}

void runner_set_step(struct hf_runner *runner, const struct runner_step *step)
{
    const struct hf_saga_step *after = step->after;
    struct hf_due_call *due = hf_due_calls_find(&runner->dues, step->uid, step->step);
    if (!is_called(after)) {
        if (due != NULL) {
            runner_drop_due(runner, due);
        }
        return;
    }
    if (due != NULL && !step->answered && is_under_way(due, after)) {
        return;
    }
    if (due == NULL) {
        due = hf_due_calls_add(&runner->dues, step->uid, step->step);
    } else if (due->turn != NULL) {
        runner_turn_leave(runner, due->turn);
    }
    if (due == NULL) {
        runner_read_again(runner);
        return;
    }
    if (due->definition == NULL && step->definition != NULL) {
        due->definition = hf_known_definition_ref(step->definition);
    }
    hf_due_calls_set(&runner->dues, due, HF_DUE_PAUSED);
    due->due_us = after->due_us;
    due->attempt = after->attempts;
    due->op = (uint8_t)after->op;
    due->polls = after->polls;
    due->at = after->polls ? after->poll : after->request;
    if (!step->paused) {
        hf_due_calls_set(&runner->dues, due, HF_DUE_LATER);
    }
}

/* ---- events ---- */

static void drop_saga(struct hf_runner *runner, uint64_t uid)
{
    struct hf_due_call *due;
    while ((due = hf_due_calls_of(&runner->dues, uid, NULL)) != NULL) {
        runner_drop_due(runner, due);
    }
}

/* What is not out waits, or goes on. */
static void pause_saga(struct hf_runner *runner, uint64_t uid, bool paused)
{
    for (struct hf_due_call *due = hf_due_calls_of(&runner->dues, uid, NULL); due != NULL;
         due = hf_due_calls_of(&runner->dues, uid, due)) {
        bool out = due->turn != NULL && due->turn->stage == TURN_OUT;
        if (!paused && due->state == HF_DUE_PAUSED) {
            hf_due_calls_set(&runner->dues, due, HF_DUE_LATER);
        } else if (paused && !out && due->state != HF_DUE_ANSWERED && due->state != HF_DUE_PAUSED) {
            if (due->turn != NULL) {
                runner_turn_leave(runner, due->turn);
            }
            hf_due_calls_set(&runner->dues, due, HF_DUE_PAUSED);
        }
    }
}

/* What a place of an event means that stands at (position, index). */
static struct hf_saga_text_at place_of(const struct hf_saga_text_at *place, uint64_t position,
                                       uint32_t index)
{
    bool here = place->position == 0 && place->index == UINT32_MAX;
    return here ? (struct hf_saga_text_at){position, index} : *place;
}

/* A counted reference, or NULL: not known (or memory is short: it is looked up when it is due). */
static struct hf_known_definition *definition_of(struct hf_runner *runner, enum hf_event_type type,
                                                 const struct hf_saga_changed *saga)
{
    if (type == HF_EVENT_SAGA_STARTED) {
        return hf_known_definition_get(&runner->definitions, &saga->definition,
                                       saga->definition_version);
    }
    for (struct hf_due_call *due = hf_due_calls_of(&runner->dues, saga->uid, NULL); due != NULL;
         due = hf_due_calls_of(&runner->dues, saga->uid, due)) {
        if (due->definition != NULL) {
            return hf_known_definition_ref(due->definition);
        }
    }
    return NULL;
}

static void take_steps(struct hf_runner *runner, const struct hf_saga_changed *saga,
                       struct hf_known_definition *definition, uint64_t position, uint32_t index)
{
    for (uint32_t i = 0; i < saga->after_count; i++) {
        const struct hf_saga_step_after *after = &saga->after[i];
        struct hf_saga_step step = after->after;
        step.request = place_of(&step.request, position, index);
        step.poll = place_of(&step.poll, position, index);
        runner_set_step(
            runner, &(struct runner_step){
                        .uid = saga->uid,
                        .step = after->step,
                        .after = &step,
                        .definition = definition,
                        .paused = saga->state == HF_SAGA_PAUSED,
                        .answered = saga->act == HF_SAGA_ACT_ANSWER && saga->step == after->step &&
                                    saga->attempt == step.attempts && saga->op == step.op,
                    });
    }
}

/* An answer that has moved nothing: nobody waits for it any more. */
static void forget_late(struct hf_runner *runner, const struct hf_saga_changed *saga)
{
    struct hf_due_call *due = hf_due_calls_find(&runner->dues, saga->uid, saga->step);
    if (saga->act == HF_SAGA_ACT_ANSWER && saga->late && due != NULL &&
        due->state == HF_DUE_ANSWERED && due->attempt == saga->attempt &&
        due->op == (uint8_t)saga->op) {
        runner_drop_due(runner, due);
    }
}

static void take_saga(struct hf_runner *runner, const struct hf_commit *commit, uint32_t index)
{
    const struct hf_event *event = commit->events[index];
    const struct hf_saga_changed *saga = event->saga;
    if (hf_saga_ended(saga->state)) {
        drop_saga(runner, saga->uid);
        return;
    }
    struct hf_known_definition *definition = definition_of(runner, event->type, saga);
    take_steps(runner, saga, definition, commit->position, index);
    forget_late(runner, saga);
    pause_saga(runner, saga->uid, saga->state == HF_SAGA_PAUSED);
    hf_known_definition_unref(&runner->definitions, definition);
}

/* The definition of the saga that the same commit starts is parsed at once, unless memory is short. */
static void take_inline(struct hf_runner *runner, const struct hf_saga_defined *defined)
{
    struct hf_known_definition *definition =
        hf_known_definition_get(&runner->definitions, &defined->definition, defined->version);
    if (definition != NULL) {
        enum hf_err code =
            hf_known_definition_parse(&runner->definitions, definition, defined->text.text);
        (void)code; /* it is read when a call needs it */
        hf_known_definition_unref(&runner->definitions, definition);
    }
}

static void take_commit(struct hf_runner *runner, const struct hf_commit *commit)
{
    for (uint32_t i = 0; i < commit->event_count; i++) {
        const struct hf_event *event = commit->events[i];
        switch ((int)event->type) {
        case HF_EVENT_SAGA_STARTED:
        case HF_EVENT_SAGA_CHANGED:
        case HF_EVENT_SAGA_ENDED:
            take_saga(runner, commit, i);
            break;
        case HF_EVENT_SAGA_DEFINED:
            if (event->saga_defined.is_inline) {
                take_inline(runner, &event->saga_defined);
            }
            break;
        default:
            break;
        }
    }
}

/* ---- frames ---- */

/* Most commits are of one event and none of a saga. */
static bool may_concern(const struct hf_shared_bytes *frame)
{
    size_t record = hf_get_u32(frame->data);
    const uint8_t *start = frame->data + HF_COMMIT_FRAME_BYTES;
    unsigned only =
        hf_commit_only_event(start, record, start + record, hf_get_u32(frame->data + 4));
    return only == 0 || (only >= HF_EVENT_SAGA_DEFINED && only <= HF_EVENT_SAGA_ENDED);
}

/* false: not now. */
static bool take_frame(struct hf_runner *runner, const struct hf_shared_bytes *frame)
{
    if (may_concern(frame)) {
        hf_arena_clear(&runner->scratch);
        const struct hf_commit *commit = runner_decode(runner, frame, runner->next_position);
        if (commit == NULL) {
            return false;
        }
        take_commit(runner, commit);
    }
    runner->next_position++;
    return true;
}

void runner_drop_window(struct hf_runner *runner)
{
    for (size_t i = 0; i < runner->window_count; i++) {
        hf_shared_bytes_unref(runner->window[i]);
    }
    runner->window_count = 0;
}

/* ---- commits that are not in the ring any more ---- */

static void cold_came(struct runner_ask *ask, enum hf_err code)
{
    struct runner_frames *cold = HF_CONTAINER_OF(ask, struct runner_frames, ask);
    struct hf_runner *runner = ask->runner;
    HF_CHECK(runner->cold == cold);
    runner->cold = NULL;
    if (code == HF_ERR_OK) {
        runner_drop_window(runner);
        runner->window_first = cold->positions[0];
        runner->window_count = cold->count;
        for (size_t i = 0; i < cold->count; i++) {
            runner->window[i] = cold->frames[i];
        }
    } else if (code != HF_ERR_NOT_READY) { /* trimmed, or the disk: the state knows what is left */
        runner_read_again(runner);
    }
    hf_free(cold);
}

static bool read_cold(struct hf_runner *runner)
{
    struct runner_frames *cold = hf_calloc(1, sizeof(*cold));
    if (cold == NULL) {
        return false;
    }
    uint64_t there = runner->head_position - runner->next_position + 1;
    cold->count = (size_t)hf_min_u64(there, RUNNER_READ_MAX);
    for (size_t i = 0; i < cold->count; i++) {
        cold->positions[i] = runner->next_position + i;
    }
    cold->ask.request = (struct hf_request){
        .positions = cold->positions,
        .position_count = cold->count,
        .frames = cold->frames,
    };
    cold->ask.came = cold_came;
    runner->cold = cold;
    runner_submit(runner, &cold->ask);
    return true;
}

/* The next commit is in the window. */
static bool fill_window(struct hf_runner *runner)
{
    uint64_t next = runner->next_position;
    if (next >= runner->window_first && next - runner->window_first < runner->window_count) {
        return true;
    }
    runner_drop_window(runner);
    runner->window_first = next;
    switch (runner->options.node.take(runner->options.node.context, next, runner->window,
                                      RUNNER_WINDOW, &runner->window_count)) {
    case HF_TAIL_FRAMES:
        return true;
    case HF_TAIL_AT_HEAD:
        break;
    case HF_TAIL_COLD:
        if (!read_cold(runner)) {
            runner_read_again(runner);
        }
        break;
    }
    return false;
}

/* Nothing from the next commit to the head is of a saga. */
static bool skip_to_head(struct hf_runner *runner)
{
    if (runner->head_outward >= runner->next_position ||
        runner->next_position > runner->head_position) {
        return false;
    }
    runner->next_position = runner->head_position + 1;
    return true;
}

bool runner_follow(struct hf_runner *runner)
{
    if (runner->phase == RUNNER_READING || runner->cold != NULL || runner->read_again_us != 0) {
        return false;
    }
    bool did = skip_to_head(runner);
    for (uint32_t i = 0; i < runner->options.limits.commits_per_step && fill_window(runner); i++) {
        if (!take_frame(runner, runner->window[runner->next_position - runner->window_first])) {
            runner_read_again(runner);
            break;
        }
        did = true;
    }
    if (runner->phase == RUNNER_CATCHING_UP && runner->next_position > runner->work_position) {
        runner->phase = RUNNER_FOLLOWING;
        did = true;
    }
    return did;
}
