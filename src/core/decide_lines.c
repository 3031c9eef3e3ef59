#include "core/decide_lines.h"

#include "base/check.h"

#define TIMED_OUT_ERROR HF_STR("timeout")

/* ---- copies ---- */

enum hf_step hf_draft_subscription(struct hf_deciding *d, const struct hf_name *name,
                                   struct hf_draft_subscription **out)
{
    struct hf_table *table = &d->draft->subscriptions;
    *out = hf_table_get(table, &name->id);
    const struct hf_subscription *stored = hf_queue_subscription(&d->state->queue, &name->id);
    if (stored == NULL) {
        return STEP_OK;
    }
    if (!hf_str_equal(stored->name.text, name->text)) {
        *out = NULL;
        return hf_refuse(d, HF_ERR_ID_COLLISION, HF_KIND_NONE, NULL);
    }
    if (*out != NULL) {
        return STEP_OK;
    }
    struct hf_draft_subscription *copy = hf_arena_alloc(&d->draft->view.arena, sizeof(*copy));
    if (copy == NULL) {
        return hf_short(d);
    }
    *copy = (struct hf_draft_subscription){
        .name = stored->name,
        .stored = stored,
        .in_flight = stored->in_flight,
        .parked = stored->parked.count,
        .lines = stored->lines.count,
    };
    *out = copy;
    return hf_draft_enter(d, table, &name->id, copy);
}

/* Lines of all subscriptions are in one table; the same slot of two is told apart by the chain. */
static struct hf_id slot_of(uint64_t uid, const struct hf_id *key)
{
    struct hf_id id = *key;
    for (int i = 0; i < 8; i++) {
        id.bytes[i] ^= (uint8_t)(uid >> (8 * i));
    }
    return id;
}

struct hf_draft_line *hf_draft_line_touched(const struct hf_deciding *d,
                                            const struct hf_draft_subscription *s,
                                            const struct hf_id *key)
{
    struct hf_id slot = slot_of(s->stored->uid, key);
    struct hf_draft_line *line = hf_table_get(&d->draft->lines, &slot);
    while (line != NULL && (line->uid != s->stored->uid || !hf_id_equal(&line->line.key, key))) {
        line = line->chain;
    }
    return line;
}

enum hf_step hf_draft_line(struct hf_deciding *d, struct hf_draft_subscription *s,
                           const struct hf_id *key, struct hf_draft_line **out)
{
    struct hf_draft_line *line = hf_draft_line_touched(d, s, key);
    *out = line == NULL || line->gone ? NULL : line;
    const struct hf_line *stored = hf_subscription_line(s->stored, key);
    if (line != NULL || stored == NULL) {
        return STEP_OK;
    }
    line = hf_arena_alloc_zero(&d->draft->view.arena, 1, sizeof(*line));
    if (line == NULL) {
        return hf_short(d);
    }
    struct hf_id slot = slot_of(s->stored->uid, key);
    line->line = *stored;
    line->uid = s->stored->uid;
    line->chain = hf_table_get(&d->draft->lines, &slot);
    if (s->touched_first == NULL) {
        s->touched_first = line;
    } else {
        s->touched_last->behind = line;
    }
    s->touched_last = line;
    *out = line;
    return hf_draft_enter(d, &d->draft->lines, &slot, line);
}

/* ---- ends of tries ---- */

struct hf_event *hf_draft_settled(struct hf_deciding *d, const struct hf_draft_subscription *s,
                                  uint32_t count, struct hf_settled_item **items)
{
    struct hf_event *event = hf_draft_event(d, HF_EVENT_MESSAGES_SETTLED);
    *items = hf_arena_alloc_zero(&d->draft->view.arena, count, sizeof(**items));
    if (event == NULL || *items == NULL) {
        (void)hf_short(d);
        return NULL;
    }
    event->settled = (struct hf_settled){
        .subscription = s->name, .uid = s->stored->uid, .count = count, .items = *items};
    return event;
}

/* The line is not out any more: its first message has failed, the others go back. */
static void come_back(struct hf_draft_subscription *s, struct hf_line *line)
{
    s->in_flight -= line->next - line->first;
    hf_line_return(line);
}

/* `first` leaves a line that nothing of is out. */
static void go_on(struct hf_draft_subscription *s, struct hf_draft_line *draft)
{
    struct hf_line *line = &draft->line;
    line->state = HF_LINE_PARKED; /* as one whose first message ends */
    draft->gone = !hf_line_advance(line);
    line->state = HF_LINE_READY;
    s->lines -= draft->gone;
}

static void park(struct hf_deciding *d, struct hf_draft_subscription *s,
                 struct hf_draft_line *draft, struct hf_settled_item *item)
{
    come_back(s, &draft->line);
    s->parked++;
    if (item->own_line) {
        s->lines++;
        go_on(s, draft);
        return;
    }
    draft->line.state = HF_LINE_PARKED;
    draft->line.tries = item->tries;
    draft->line.event_position = d->position;
}

static void back_off(struct hf_deciding *d, struct hf_draft_subscription *s, struct hf_line *line,
                     const struct hf_settled_item *item)
{
    come_back(s, line);
    line->state = HF_LINE_BACKING_OFF;
    line->tries = item->tries;
    line->due_us = item->not_before_us;
    line->event_position = d->position;
}

static void begin_item(const struct hf_line *line, struct hf_settled_item *item)
{
    *item = (struct hf_settled_item){
        .line = line->key,
        .number = line->first,
        .message = line->place,
        .token = line->token,
        .tries = line->tries,
        .previous_position = line->token, /* its delivery: nothing else has happened to it since */
    };
}

void hf_end_try(struct hf_deciding *d, struct hf_draft_subscription *s, struct hf_draft_line *draft,
                const struct hf_failing *failing, struct hf_settled_item *item)
{
    const struct hf_subscription_settings *settings = &s->stored->settings;
    struct hf_line *line = &draft->line;
    HF_CHECK(line->state == HF_LINE_OUT);
    begin_item(line, item);
    bool asked = failing->settlement == HF_SETTLED_PARKED;
    item->tries += !asked;
    enum hf_try_end end = asked ? hf_try_parked(settings, line->own)
                                : hf_try_failed(settings, item->tries, line->own);
    item->error = failing->error;
    if (end != HF_TRY_BACKS_OFF) {
        item->settlement = HF_SETTLED_PARKED;
        item->own_line = end == HF_TRY_PARKS_ITSELF;
        if (failing->settlement == HF_SETTLED_TIMED_OUT) {
            item->error = TIMED_OUT_ERROR;
        }
        park(d, s, draft, item);
        return;
    }
    item->settlement = failing->settlement;
    bool delayed = failing->has_delay && item->tries < settings->attempts_max;
    item->not_before_us = delayed
                              ? d->time_us + failing->delay_ms * 1000
                              : hf_not_before_us(settings, &line->place, item->tries, d->time_us);
    back_off(d, s, line, item);
}

void hf_ack_first(struct hf_draft_subscription *s, struct hf_draft_line *draft,
                  struct hf_settled_item *item)
{
    struct hf_line *line = &draft->line;
    begin_item(line, item);
    item->settlement = HF_SETTLED_ACKED;
    if (draft->acked_token != line->token) {
        draft->acked_token = line->token;
        draft->acked_from = line->first;
    }
    draft->acked_to = line->first + 1;
    s->in_flight--;
    if (line->first + 1 < line->next) {
        (void)hf_line_advance(line);
        return;
    }
    bool more = hf_line_advance(line);
    hf_line_return(line);
    line->state = HF_LINE_READY;
    draft->gone = !more;
    s->lines -= !more;
}

/* ---- time-outs ---- */

static const struct hf_failing timed_out = {.settlement = HF_SETTLED_TIMED_OUT};

static bool is_due(const struct hf_deciding *d, const struct hf_line *line)
{
    return line->state == HF_LINE_OUT && line->due_us <= d->time_us;
}

/* One that was not among those booked first, for there were too many. */
static enum hf_step book_one(struct hf_deciding *d, struct hf_draft_subscription *s,
                             struct hf_draft_line *line)
{
    uint32_t op_index = d->op_index;
    struct hf_settled_item *item;
    d->op_index = HF_NO_OPERATION;
    struct hf_event *event = hf_draft_settled(d, s, 1, &item);
    d->op_index = op_index;
    if (event == NULL) {
        return STEP_STOP;
    }
    hf_end_try(d, s, line, &timed_out, item);
    return STEP_OK;
}

/* How many of one subscription. The timer books at least one of each that it took out of the due times: only then evolve
 * puts it back in. */
static size_t bookable(const struct hf_deciding *d)
{
    if (d->command != NULL || d->booked + HF_BOOK_MAX <= HF_BOOK_ALL_MAX) {
        return HF_BOOK_MAX;
    }
    return 1;
}

/* Those that are due and not yet booked by this commit, in (due, uid) order. */
static enum hf_step book_due(struct hf_deciding *d, struct hf_draft_subscription *s)
{
    struct hf_arena *arena = &d->draft->view.arena;
    const struct hf_line_heap *heap = &s->stored->out;
    if (heap->count == 0 || heap->items[0]->due_us > d->time_us) {
        return STEP_OK;
    }
    struct hf_line **due = hf_arena_alloc(arena, HF_BOOK_MAX * sizeof(struct hf_line *));
    size_t *scratch = hf_arena_alloc(arena, (HF_BOOK_MAX + 1) * sizeof(*scratch));
    if (due == NULL || scratch == NULL) {
        return hf_short(d);
    }
    uint32_t count = 0;
    size_t found = hf_line_heap_earliest(heap, d->time_us, due, bookable(d), scratch);
    for (size_t i = 0; i < found; i++) {
        if (hf_draft_line_touched(d, s, &due[i]->key) == NULL) {
            due[count++] = due[i];
        }
    }
    if (count == 0) {
        return STEP_OK;
    }
    d->booked += count;
    struct hf_settled_item *items;
    struct hf_event *event = hf_draft_settled(d, s, count, &items);
    enum hf_step step = event == NULL ? STEP_STOP : STEP_OK;
    for (uint32_t i = 0; step == STEP_OK && i < count; i++) {
        struct hf_draft_line *line;
        step = hf_draft_line(d, s, &due[i]->key, &line);
        if (step == STEP_OK) {
            HF_CHECK(line != NULL);
            hf_end_try(d, s, line, &timed_out, &items[i]);
        }
    }
    return step;
}

enum hf_step hf_book_subscription(struct hf_deciding *d, const struct hf_name *name)
{
    struct hf_draft_subscription *s;
    const struct hf_deciding before = *d;
    enum hf_step step = hf_draft_subscription(d, name, &s);
    if (step == STEP_REFUSED) {
        *d = before; /* another one's name: nothing to book */
        return STEP_OK;
    }
    if (step != STEP_OK || s == NULL) {
        return step;
    }
    step = book_due(d, s);
    return step == STEP_OK && d->command == NULL ? hf_step_redrive(d, s) : step;
}

/* ---- receipts ---- */

enum hf_step hf_find_receipt(struct hf_deciding *d, struct hf_draft_subscription *s,
                             const struct hf_receipt *receipt, struct hf_draft_line **out,
                             enum hf_err *code)
{
    struct hf_draft_line *line = NULL;
    *out = NULL;
    *code = HF_ERR_STALE_RECEIPT;
    if (receipt->uid != s->stored->uid) {
        return STEP_OK;
    }
    enum hf_step step = hf_draft_line(d, s, &receipt->line, &line);
    if (step == STEP_OK && line != NULL && is_due(d, &line->line)) {
        step = book_one(d, s, line);
    }
    if (step != STEP_OK || line == NULL || line->gone || line->line.state != HF_LINE_OUT ||
        line->line.token != receipt->token || receipt->number < line->line.first ||
        receipt->number >= line->line.next) {
        return step;
    }
    const struct hf_place *place = hf_line_out_place(&line->line, receipt->number);
    if (place->position != receipt->position || place->index != receipt->index) {
        return STEP_OK;
    }
    *out = line;
    *code = HF_ERR_OK;
    return STEP_OK;
}

/* Acked by an earlier operation of this commit? */
static bool acked_here(const struct hf_deciding *d, const struct hf_draft_subscription *s,
                       const struct hf_receipt *receipt)
{
    const struct hf_draft_line *line = hf_draft_line_touched(d, s, &receipt->line);
    return line != NULL && line->acked_token == receipt->token &&
           receipt->number >= line->acked_from && receipt->number < line->acked_to;
}

enum hf_step hf_find_acked(struct hf_deciding *d, struct hf_draft_subscription *s,
                           const struct hf_receipt *receipt, uint64_t *position,
                           struct hf_place *message)
{
    struct hf_view *view = &d->draft->view;
    struct hf_id id = hf_pair_id(receipt->uid, receipt->position);
    struct hf_index_value value;
    *position = 0;
    *message = (struct hf_place){.position = receipt->position, .index = receipt->index};
    if (receipt->uid != s->stored->uid) {
        return STEP_OK;
    }
    if (acked_here(d, s, receipt)) {
        *position = d->position;
        return STEP_OK;
    }
    switch (hf_view_lookup(view, HF_INDEX_DELIVERY, &id, receipt->index, &value)) {
    case HF_LOOKUP_UNKNOWN:
        return STEP_STOP;
    case HF_LOOKUP_ABSENT:
        return STEP_OK;
    case HF_LOOKUP_PRESENT:
        break;
    }
    const struct hf_event *event = hf_view_event(view, &value,
                                                 HF_EVENT_BIT(HF_EVENT_MESSAGES_DELIVERED) |
                                                     HF_EVENT_BIT(HF_EVENT_MESSAGES_SETTLED));
    if (event == NULL) {
        return STEP_STOP;
    }
    if (event->type != HF_EVENT_MESSAGES_SETTLED) {
        return STEP_OK;
    }
    if (value.flags >= event->settled.count) {
        view->damaged = true;
        return STEP_STOP;
    }
    const struct hf_settled_item *item = &event->settled.items[value.flags];
    if (item->settlement == HF_SETTLED_ACKED && item->token == receipt->token &&
        item->number == receipt->number && hf_id_equal(&item->line, &receipt->line)) {
        *position = value.position;
        *message = item->message;
    }
    return STEP_OK;
}
