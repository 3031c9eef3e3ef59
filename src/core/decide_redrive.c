/* Redrive: dead letters go again, or are given up; at once, or by a task that the timer moves on. */
#include "base/check.h"
#include "core/decide_lines.h"
#include "core/feed_event.h"

#define MOVED_MAX      1000u  /* lines redriven or discarded by one command */
#define LOOKED_AT_MAX  10000u /* dead letters that one command looks at */
#define STEPS_A_SECOND 10u    /* of a task */
#define CATCH_UP_US    1000000u

/* Lines that were chosen, and how far the list was looked at. */
struct choosing {
    struct hf_deciding *d;
    struct hf_draft_subscription *s;
    struct hf_str error_filter; /* or absent */
    const struct hf_id *key;    /* only messages of this partition key; or NULL */
    const struct hf_line **lines;
    uint32_t count;
    uint32_t most;
    uint64_t through_order; /* of the last line looked at */
};

static bool contains(struct hf_str text, struct hf_str part)
{
    for (size_t at = 0; at + part.len <= text.len; at++) {
        if (part.len == 0 || memcmp(text.ptr + at, part.ptr, part.len) == 0) {
            return true;
        }
    }
    return false;
}

const struct hf_settled_item *
hf_parked_by(struct hf_view *view, const struct hf_subscription *stored, const struct hf_line *line)
{
    const struct hf_commit *commit = hf_view_commit(view, line->event_position);
    for (uint32_t i = 0; commit != NULL && i < commit->event_count; i++) {
        const struct hf_event *event = commit->events[i];
        if (event->type != HF_EVENT_MESSAGES_SETTLED || event->settled.uid != stored->uid) {
            continue;
        }
        const struct hf_settled_item *item = hf_settled_find(&event->settled, &line->place);
        if (item != NULL) {
            return item;
        }
    }
    view->damaged = view->damaged || commit != NULL;
    return NULL;
}

/* The partition key's hash of the line's message. false: needed, or damage. */
static bool key_of(struct hf_view *view, const struct hf_line *line, struct hf_id *key_hash)
{
    if (!line->own) {
        *key_hash = line->key;
        return true;
    }
    const struct hf_commit *commit = hf_view_commit(view, line->place.position);
    if (commit == NULL) {
        return false;
    }
    if (line->place.index >= commit->event_count) {
        view->damaged = true;
        return false;
    }
    struct hf_feed_event event;
    hf_feed_event_of(commit, line->place.index, &event);
    *key_hash = hf_feed_key_hash(&event);
    return true;
}

static bool is_wanted(struct choosing *c, const struct hf_line *line)
{
    struct hf_view *view = &c->d->draft->view;
    if (hf_str_present(c->error_filter)) {
        const struct hf_settled_item *item = hf_parked_by(view, c->s->stored, line);
        return item != NULL && contains(item->error, c->error_filter);
    }
    struct hf_id key_hash;
    return c->key == NULL || (key_of(view, line, &key_hash) && hf_id_equal(&key_hash, c->key));
}

static bool begin_choosing(struct choosing *c)
{
    c->lines = hf_arena_alloc(&c->d->draft->view.arena, c->most * sizeof(struct hf_line *));
    return c->lines != NULL;
}

/* Looks at dead letters from `line` on, up to order `until`, at most `look`. What is cold is asked for together. */
static enum hf_step choose(struct choosing *c, const struct hf_line *line, uint64_t until,
                           uint32_t look)
{
    struct hf_view *view = &c->d->draft->view;
    for (; line != NULL && line->order <= until && look > 0 && c->count < c->most &&
           view->needs.position_count < HF_GATHER_MAX;
         line = line->list_behind, look--) {
        c->through_order = line->order;
        /* What this commit has parked itself is in no list yet; what is here was parked before. */
        if (is_wanted(c, line)) {
            c->lines[c->count++] = line;
        }
    }
    return hf_view_complete(view) ? STEP_OK : STEP_STOP;
}

/* ---- what is done with them ---- */

static struct hf_event *redriven(struct hf_deciding *d, const struct hf_draft_subscription *s,
                                 enum hf_redrive_step step)
{
    struct hf_event *event = hf_draft_event(d, HF_EVENT_MESSAGES_REDRIVEN);
    if (event != NULL) {
        event->redriven =
            (struct hf_redriven){.subscription = s->name, .uid = s->stored->uid, .step = step};
    }
    return event;
}

static enum hf_step move_lines(struct choosing *c, struct hf_event *event)
{
    struct hf_id *lines = hf_arena_alloc(&c->d->draft->view.arena, c->count * sizeof(struct hf_id));
    if (lines == NULL || event == NULL) {
        return hf_short(c->d);
    }
    for (uint32_t i = 0; i < c->count; i++) {
        lines[i] = c->lines[i]->key;
    }
    event->redriven.count = c->count;
    event->redriven.lines = lines;
    return STEP_OK;
}

static enum hf_step discard_lines(struct choosing *c)
{
    struct hf_settled_item *items;
    struct hf_event *event = hf_draft_settled(c->d, c->s, c->count, &items);
    if (event == NULL) {
        return STEP_STOP;
    }
    for (uint32_t i = 0; i < c->count; i++) {
        const struct hf_line *line = c->lines[i];
        items[i] = (struct hf_settled_item){
            .settlement = HF_SETTLED_DISCARDED,
            .line = line->key,
            .number = line->first,
            .message = line->place,
            .tries = line->tries,
            .previous_position = line->event_position,
        };
    }
    return STEP_OK;
}

static enum hf_step finish(struct choosing *c, bool discard)
{
    if (discard && c->count > 0) {
        return discard_lines(c);
    }
    return move_lines(c, redriven(c->d, c->s, HF_REDRIVE_MOVED));
}

/* ---- commands ---- */

static bool is_at(const struct hf_line *line, const struct hf_redrive *redrive)
{
    return line != NULL && line->state == HF_LINE_PARKED &&
           line->place.position == redrive->position && line->place.index == redrive->index;
}

static enum hf_step no_message(struct hf_deciding *d)
{
    return hf_refuse(d, HF_ERR_MESSAGE_NOT_FOUND, HF_KIND_NONE, NULL);
}

/* The dead letter: a line of its own, or the first of its key's line. */
static enum hf_step redrive_message(struct choosing *c, const struct hf_redrive *redrive)
{
    struct hf_deciding *d = c->d;
    const struct hf_subscription *stored = c->s->stored;
    struct hf_id key = hf_place_id(redrive->position, redrive->index);
    const struct hf_line *line = hf_subscription_line(stored, &key);
    if (line == NULL && redrive->position <= d->state->position) {
        const struct hf_commit *commit = hf_view_commit(&d->draft->view, redrive->position);
        if (commit == NULL) {
            return STEP_STOP;
        }
        if (redrive->index >= commit->event_count) {
            return no_message(d);
        }
        struct hf_feed_event event;
        hf_feed_event_of(commit, redrive->index, &event);
        key = hf_feed_key_hash(&event);
        line = hf_subscription_line(stored, &key);
    }
    if (!is_at(line, redrive)) {
        return no_message(d);
    }
    c->lines[c->count++] = line;
    return finish(c, redrive->discard);
}

/* More than one command may look at. */
static bool too_many(const struct choosing *c)
{
    return c->s->stored->parked.count > LOOKED_AT_MAX;
}

static enum hf_step redrive_some(struct choosing *c, const struct hf_redrive *redrive)
{
    enum hf_step step = choose(c, c->s->stored->parked.first, UINT64_MAX, LOOKED_AT_MAX);
    return step == STEP_OK ? finish(c, redrive->discard) : step;
}

/* Of an ordered subscription whose messages never left their lines there is one dead letter a key. */
static enum hf_step redrive_key(struct choosing *c, const struct hf_redrive *redrive)
{
    const struct hf_line *line = hf_subscription_line(c->s->stored, &redrive->key_hash);
    const struct hf_subscription_settings *settings = &c->s->stored->settings;
    bool unchanged = c->s->stored->version == 1; /* else it may have been park_message before */
    if (settings->order == HF_ORDER_KEY && settings->exhausted != HF_EXHAUSTED_PARK_MESSAGE &&
        unchanged && line != NULL && line->state == HF_LINE_PARKED) {
        c->lines[c->count++] = line;
        return finish(c, redrive->discard);
    }
    c->key = &redrive->key_hash;
    return too_many(c) ? hf_refuse(c->d, HF_ERR_TOO_LARGE, HF_KIND_NONE, NULL)
                       : redrive_some(c, redrive);
}

static uint64_t step_us(uint32_t rate_per_s, uint32_t lines)
{
    return (uint64_t)lines * 1000000 / rate_per_s;
}

static uint32_t step_lines(uint32_t rate_per_s)
{
    uint32_t lines = rate_per_s / STEPS_A_SECOND;
    return lines == 0 ? 1 : (lines > HF_BOOK_MAX ? HF_BOOK_MAX : lines);
}

static enum hf_step start_task(struct hf_deciding *d, const struct hf_draft_subscription *s,
                               struct hf_str error_filter, uint32_t rate_per_s)
{
    if (s->stored->redrive.active) {
        return hf_refuse(d, HF_ERR_CONDITION_FAILED, HF_KIND_SUBSCRIPTION, &s->name);
    }
    struct hf_event *event = redriven(d, s, HF_REDRIVE_STARTED);
    if (event == NULL) {
        return STEP_STOP;
    }
    event->redriven.rate_per_s = rate_per_s;
    event->redriven.error_filter = error_filter;
    event->redriven.until_order = s->stored->next_order - 1;
    event->redriven.total = s->stored->parked.count;
    event->redriven.next_us = d->time_us;
    return STEP_OK;
}

/* At a rate it is a task, and so it is, as fast as can be, if the errors of too many are to be looked at. */
static enum hf_step redrive_all(struct choosing *c, const struct hf_redrive *redrive)
{
    c->error_filter = redrive->error_filter;
    if (redrive->rate_per_s > 0) {
        return start_task(c->d, c->s, c->error_filter, redrive->rate_per_s);
    }
    return hf_str_present(c->error_filter) && too_many(c)
               ? start_task(c->d, c->s, c->error_filter, HF_REDRIVE_RATE_MAX)
               : redrive_some(c, redrive);
}

static enum hf_step cancel_task(struct hf_deciding *d, struct hf_draft_subscription *s)
{
    if (s->stored->redrive.active) {
        return redriven(d, s, HF_REDRIVE_CANCELLED) == NULL ? STEP_STOP : STEP_OK;
    }
    struct choosing none = {.d = d, .s = s};
    return move_lines(&none, redriven(d, s, HF_REDRIVE_MOVED)); /* nothing is left to cancel */
}

enum hf_step hf_decide_redrive(struct hf_deciding *d, const struct hf_op *op)
{
    const struct hf_redrive *redrive = &op->queue->redrive;
    struct choosing c = {.d = d, .most = MOVED_MAX};
    enum hf_step step = hf_draft_subscription(d, &op->subject, &c.s);
    if (step != STEP_OK) {
        return step;
    }
    if (c.s == NULL) {
        return hf_refuse(d, HF_ERR_SUBSCRIPTION_NOT_FOUND, HF_KIND_NONE, NULL);
    }
    if (!begin_choosing(&c)) {
        return hf_short(d);
    }
    switch (redrive->what) {
    case HF_REDRIVE_MESSAGE:
        return redrive_message(&c, redrive);
    case HF_REDRIVE_KEY:
        return redrive_key(&c, redrive);
    case HF_REDRIVE_ALL:
        return redrive_all(&c, redrive);
    case HF_REDRIVE_CANCEL:
        return cancel_task(d, c.s);
    }
    HF_CHECK(false);
    return STEP_STOP;
}

/* ---- the task ---- */

/* A dead letter whose record is damaged, or can't be read: the task ends there, for it must not hold up all other timers.
 * Nothing of this step is in the draft yet. */
static enum hf_step give_up(struct hf_deciding *d, struct hf_draft_subscription *s)
{
    struct hf_view *view = &d->draft->view;
    view->damaged = false;
    hf_needs_clear(&view->needs);
    return redriven(d, s, HF_REDRIVE_CANCELLED) == NULL ? STEP_STOP : STEP_OK;
}

enum hf_step hf_step_redrive(struct hf_deciding *d, struct hf_draft_subscription *s)
{
    const struct hf_redrive_task *task = &s->stored->redrive;
    if (!task->active || task->next_us > d->time_us) {
        return STEP_OK;
    }
    struct choosing c = {
        .d = d,
        .s = s,
        .error_filter = task->error_filter,
        .most = step_lines(task->rate_per_s),
        .through_order = task->through_order,
    };
    if (!begin_choosing(&c)) {
        return hf_short(d);
    }
    const struct hf_view *view = &d->draft->view;
    enum hf_step step = choose(&c, task->at, task->until_order, HF_BOOK_MAX);
    bool unreadable =
        hf_needs_any(&view->needs) && view->records != NULL && view->records->unreadable;
    if (step != STEP_OK && !view->short_memory && (view->damaged || unreadable)) {
        return give_up(d, s);
    }
    if (step != STEP_OK) {
        return step;
    }
    const struct hf_line *rest = task->at;
    while (rest != NULL && rest->order <= c.through_order) {
        rest = rest->list_behind;
    }
    bool done = rest == NULL || rest->order > task->until_order;
    struct hf_event *event = redriven(d, s, done ? HF_REDRIVE_DONE : HF_REDRIVE_MOVED);
    if (event == NULL) {
        return STEP_STOP;
    }
    event->redriven.through_order = hf_max_u64(c.through_order, 1);
    if (!done) {
        /* A task that was held up catches up a second at most. */
        uint64_t least_us = d->time_us > CATCH_UP_US ? d->time_us - CATCH_UP_US : 0;
        event->redriven.next_us =
            hf_max_u64(task->next_us, least_us) + step_us(task->rate_per_s, c.count);
    }
    return move_lines(&c, event);
}
