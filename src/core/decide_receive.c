/*
 * Receive: which messages go out together. Lines that back off and may go again, in heap order; then ready ones in
 * list order. All places that are not in the state are asked for at once.
 */
#include <stdlib.h>

#include "base/check.h"
#include "core/decide_lines.h"

struct receiving {
    struct hf_deciding *d;
    struct hf_draft_subscription *s;
    const struct hf_line **lines; /* those that it takes from, in order */
    uint32_t line_count;
    uint32_t line_capacity;
    struct hf_delivery *deliveries;
    uint32_t count;
    uint32_t most;
    uint64_t from_main; /* how many more may become lines of their own */
    uint64_t bytes;
    bool full;
};

static bool is_main(const struct hf_line *line)
{
    struct hf_id main_key = HF_LINE_MAIN_KEY;
    return hf_id_equal(&line->key, &main_key);
}

/* ---- which lines ---- */

static int compare_due(const void *a, const void *b)
{
    const struct hf_line *left = *(const struct hf_line *const *)a;
    const struct hf_line *right = *(const struct hf_line *const *)b;
    if (left->due_us != right->due_us) {
        return left->due_us < right->due_us ? -1 : 1;
    }
    return left->uid < right->uid ? -1 : left->uid > right->uid;
}

static void take_line(struct receiving *r, const struct hf_line *line)
{
    HF_CHECK(r->line_count < r->line_capacity);
    r->lines[r->line_count++] = line;
}

static bool untouched(const struct receiving *r, const struct hf_line *line)
{
    return r->s->touched_first == NULL || hf_draft_line_touched(r->d, r->s, &line->key) == NULL;
}

/* What was booked by this very commit, of a state. */
static void take_touched(struct receiving *r, enum hf_line_state state)
{
    for (const struct hf_draft_line *t = r->s->touched_first; t != NULL; t = t->behind) {
        if (!t->gone && t->line.state == state &&
            (state != HF_LINE_BACKING_OFF || t->line.due_us <= r->d->time_us)) {
            take_line(r, &t->line);
        }
    }
}

static uint32_t touched_count(const struct hf_draft_subscription *s)
{
    uint32_t count = 0;
    for (const struct hf_draft_line *t = s->touched_first; t != NULL; t = t->behind) {
        count++;
    }
    return count;
}

/* As many lines as there may be messages; a line gives at least one. */
static enum hf_step take_lines(struct receiving *r)
{
    struct hf_arena *arena = &r->d->draft->view.arena;
    const struct hf_subscription *stored = r->s->stored;
    uint32_t touched = touched_count(r->s);
    size_t backing_off = hf_min_u64(r->most, stored->backing_off.count);
    size_t ready = hf_min_u64(r->most, stored->ready.count);
    r->line_capacity = (uint32_t)(backing_off + ready) + touched;
    r->lines = hf_arena_alloc(arena, r->line_capacity * sizeof(struct hf_line *));
    struct hf_line **due = hf_arena_alloc(arena, backing_off * sizeof(struct hf_line *));
    size_t *scratch = hf_arena_alloc(arena, (backing_off + 1) * sizeof(*scratch));
    if (r->lines == NULL || due == NULL || scratch == NULL) {
        return hf_short(r->d);
    }
    size_t found =
        hf_line_heap_earliest(&stored->backing_off, r->d->time_us, due, backing_off, scratch);
    for (size_t i = 0; i < found; i++) {
        if (untouched(r, due[i])) {
            take_line(r, due[i]);
        }
    }
    take_touched(r, HF_LINE_BACKING_OFF);
    if (r->line_count > 1) {
        qsort(r->lines, r->line_count, sizeof(struct hf_line *), compare_due);
    }
    /* A main line that may give nothing now hides no other. */
    const struct hf_line *line = stored->ready.first;
    for (; line != NULL && r->line_count < r->most; line = line->list_behind) {
        if (untouched(r, line) && (r->from_main > 0 || !is_main(line))) {
            take_line(r, line);
        }
    }
    take_touched(r, HF_LINE_READY); /* they stand at the list's end */
    return STEP_OK;
}

/* ---- which messages ---- */

/* The place of a message that waits; position 0: it is needed, or damage was met. */
static struct hf_place place_of(struct receiving *r, const struct hf_line *line, uint64_t number)
{
    struct hf_view *view = &r->d->draft->view;
    struct hf_id id = hf_pair_id(r->s->stored->uid, line->uid);
    struct hf_index_value value;
    if (number == line->first) {
        return line->place;
    }
    switch (hf_view_lookup(view, HF_INDEX_LINE, &id, number, &value)) {
    case HF_LOOKUP_PRESENT:
        return (struct hf_place){value.position, value.index, value.flags};
    case HF_LOOKUP_ABSENT:
        view->damaged = true; /* each one behind another has its record */
        break;
    case HF_LOOKUP_UNKNOWN:
        break;
    }
    return (struct hf_place){0};
}

/* The commit with the newest event about a message that may have been out before; 0 = none. */
static uint64_t previous_of(struct receiving *r, const struct hf_line *line, uint64_t number,
                            const struct hf_place *place)
{
    struct hf_view *view = &r->d->draft->view;
    if (number == line->first && line->event_position != 0) {
        return line->event_position;
    }
    if (number > line->delivered_to || place->position == 0) {
        return 0;
    }
    struct hf_id id = hf_pair_id(r->s->stored->uid, place->position);
    struct hf_index_value value;
    enum hf_lookup lookup = hf_view_lookup(view, HF_INDEX_DELIVERY, &id, place->index, &value);
    view->damaged = view->damaged || lookup == HF_LOOKUP_ABSENT;
    return lookup == HF_LOOKUP_PRESENT ? value.position : 0;
}

/* One more message; false: it is too many, and waits behind. */
static bool add_message(struct receiving *r, const struct hf_line *line, uint64_t number)
{
    struct hf_place place = place_of(r, line, number);
    if (r->count == r->most || (r->count > 0 && r->bytes + place.bytes > HF_RECEIVE_BYTES_MAX)) {
        r->full = true;
        if (r->count > 0 && number > line->first) {
            r->deliveries[r->count - 1].behind = place;
        }
        return false;
    }
    r->bytes += place.bytes;
    bool main = is_main(line);
    r->deliveries[r->count++] = (struct hf_delivery){
        .line = main ? hf_place_id(place.position, place.index) : line->key,
        .from_line = line->key,
        .number = main ? 1 : number,
        .message = place,
        .attempt = number == line->first && !main ? 1 + line->tries : 1,
        .previous_position = main ? 0 : previous_of(r, line, number, &place),
    };
#ifdef HF_BUG_PREFETCHED_TRY_COUNTED
    if (number > line->first && number <= line->delivered_to) {
        r->deliveries[r->count - 1].attempt++; /* it went out with one that failed */
    }
#endif
    return true;
}

static void add_line(struct receiving *r, const struct hf_line *line)
{
    uint64_t end = line->last;
    if (is_main(line) && end - line->first >= r->from_main) {
        end = line->first + r->from_main - 1;
    }
    for (uint64_t number = line->first; number <= end; number++) {
        if (!add_message(r, line, number)) {
            return;
        }
    }
    if (end < line->last && end >= line->first) {
        r->deliveries[r->count - 1].behind = place_of(r, line, end + 1);
    }
}

static enum hf_step deliver(struct receiving *r, const struct hf_op *op)
{
    struct hf_deciding *d = r->d;
    if (r->count == 0) {
        d->draft->commit.event_count = 0; /* what is due is left to the timer */
        d->idle_ops++;
        return STEP_OK;
    }
    uint64_t lease_ms = op->has_timeout ? op->timeout_ms : r->s->stored->settings.lease_ms;
    struct hf_event *event = hf_draft_event(d, HF_EVENT_MESSAGES_DELIVERED);
    if (event == NULL) {
        return STEP_STOP;
    }
    event->delivered = (struct hf_delivered){
        .subscription = r->s->name,
        .uid = r->s->stored->uid,
        .consumer = op->queue->consumer,
        .lease_ms = lease_ms,
        .deadline_us = d->time_us + lease_ms * 1000,
        .count = r->count,
        .deliveries = r->deliveries,
    };
    return STEP_OK;
}

enum hf_step hf_decide_receive(struct hf_deciding *d, const struct hf_op *op)
{
    struct receiving r = {.d = d};
    enum hf_step step = hf_draft_subscription(d, &op->subject, &r.s);
    if (step != STEP_OK) {
        return step;
    }
    if (r.s == NULL) {
        return hf_refuse(d, HF_ERR_SUBSCRIPTION_NOT_FOUND, HF_KIND_NONE, NULL);
    }
    const struct hf_subscription_settings *settings = &r.s->stored->settings;
    const struct hf_push *push = settings->push;
    if (push != NULL && !op->queue->pushes) {
        return hf_refuse(d, HF_ERR_SUBSCRIPTION_PUSHED, HF_KIND_SUBSCRIPTION, &op->subject);
    }
    uint64_t room =
        r.s->in_flight < settings->in_flight_max ? settings->in_flight_max - r.s->in_flight : 0;
    /* Dead letters must not fill the memory: nothing goes out while there are too many, and of a main line no more
     * than may become lines of their own. */
    room = r.s->parked >= settings->lines_max ? 0 : room;
    room = op->queue->pushes && (push == NULL || push->disabled_us != 0) ? 0 : room;
    r.from_main = hf_own_lines_max(settings, r.s->lines);
    r.most = (uint32_t)hf_min_u64(room, op->queue->max);
    r.deliveries = hf_arena_alloc_zero(&d->draft->view.arena, r.most, sizeof(*r.deliveries));
    if (r.deliveries == NULL) {
        return hf_short(d);
    }
    step = r.most == 0 ? STEP_OK : take_lines(&r);
    for (uint32_t i = 0; step == STEP_OK && i < r.line_count && !r.full; i++) {
        add_line(&r, r.lines[i]);
    }
    if (step == STEP_OK && !hf_view_complete(&d->draft->view)) {
        step = STEP_STOP;
    }
    return step == STEP_OK ? deliver(&r, op) : step;
}
