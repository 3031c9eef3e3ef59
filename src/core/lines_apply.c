/* Evolve of lines: arrivals, deliveries, their ends, redrives. */
#include "base/alloc.h"
#include "base/check.h"
#include "core/queue_apply.h"

static bool same_place(const struct hf_place *a, const struct hf_place *b)
{
    return a->position == b->position && a->index == b->index && a->bytes == b->bytes;
}

static bool is_main(const struct hf_id *key)
{
    struct hf_id main_key = HF_LINE_MAIN_KEY;
    return hf_id_equal(key, &main_key);
}

/* ---- memory ---- */

/* Does a group begin here? */
static bool begins_group(const struct hf_delivered *delivered, uint32_t i)
{
    return i == 0 ||
           !hf_id_equal(&delivered->deliveries[i].line, &delivered->deliveries[i - 1].line);
}

static uint32_t group_size(const struct hf_delivered *delivered, uint32_t first)
{
    uint32_t end = first + 1;
    while (end < delivered->count && !begins_group(delivered, end)) {
        end++;
    }
    return end - first;
}

/* Places of the second and later messages of a group; none if it has one. */
static bool reserve_places(struct hf_state *state, const struct hf_delivered *delivered)
{
    for (uint32_t i = 0; i < delivered->count;) {
        uint32_t size = group_size(delivered, i);
        if (size > 1 &&
            !hf_state_add_spare(state, hf_malloc((size - 1) * sizeof(struct hf_place)))) {
            return false;
        }
        i += size;
    }
    return true;
}

static uint32_t own_lines(const struct hf_settled *settled)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < settled->count; i++) {
        count += settled->items[i].own_line;
    }
    return count;
}

static bool reserve_started(struct hf_state *state, const struct hf_redriven *redriven)
{
    if (redriven->step != HF_REDRIVE_STARTED || !hf_str_present(redriven->error_filter)) {
        return true;
    }
    char *copy = hf_malloc(redriven->error_filter.len);
    if (copy != NULL) {
        memcpy(copy, redriven->error_filter.ptr, redriven->error_filter.len);
    }
    return hf_state_add_spare(state, copy);
}

void hf_lines_count(const struct hf_event *event, struct hf_line_room *room)
{
    if (event->type == HF_EVENT_MESSAGES_DELIVERED) {
        room->lines += event->delivered.count;
        room->out += event->delivered.count;
        room->records += event->delivered.count;
    } else if (event->type == HF_EVENT_MESSAGES_SETTLED) {
        room->lines += own_lines(&event->settled);
        room->backing_off += event->settled.count;
        room->records += event->settled.count;
    } else if (event->type == HF_EVENT_SUBSCRIPTION_SCANNED) {
        room->lines += event->scanned.count;
        room->records += event->scanned.count;
    }
}

bool hf_lines_reserve_event(struct hf_state *state, const struct hf_event *event)
{
    if (event->type == HF_EVENT_MESSAGES_DELIVERED) {
        return reserve_places(state, &event->delivered);
    }
    return event->type != HF_EVENT_MESSAGES_REDRIVEN || reserve_started(state, &event->redriven);
}

/* ---- arrivals ---- */

static void index_place(struct hf_applying *a, const struct hf_subscription *s,
                        const struct hf_line *line, const struct hf_place *place)
{
    struct hf_index_key key = {
        .kind = HF_INDEX_LINE, .id = hf_pair_id(s->uid, line->uid), .sub = line->last};
    struct hf_index_value value = {
        .position = place->position, .index = place->index, .flags = place->bytes};
    hf_recent_put(&a->state->recent, &key, &value);
}

/* A new line of one message; its state is to be set, and it is to be added. */
static struct hf_line *begin_line(struct hf_applying *a, struct hf_subscription *s,
                                  const struct hf_id *key, const struct hf_place *place)
{
    struct hf_line *line = hf_queue_take_line(&a->state->queue);
    line->key = *key;
    line->uid = s->next_uid++;
    line->first = 1;
    line->next = 1;
    line->last = 1;
    line->place = *place;
    return line;
}

void hf_lines_arrive(struct hf_applying *a, struct hf_subscription *s,
                     const struct hf_arrival *arrival)
{
    const struct hf_place *place = &arrival->message;
    struct hf_id main_key = HF_LINE_MAIN_KEY;
    const struct hf_id *key = s->settings.order == HF_ORDER_KEY ? &arrival->key_hash : &main_key;
    struct hf_line *line = hf_subscription_line(s, key);
#ifdef HF_BUG_ORDER_OFF
    struct hf_id own_key = hf_place_id(place->position, place->index);
    bool waits =
        line == NULL || line->state != HF_LINE_OUT; /* planted: behind what is out it does not */
    key = waits ? key : &own_key;
    line = waits ? line : NULL;
#endif
    s->arrived++;
    s->waiting++;
    if (line == NULL) {
        line = begin_line(a, s, key, place);
        line->state = HF_LINE_READY;
#ifdef HF_BUG_ORDER_OFF
        line->own = !waits;
#endif
        hf_lines_add(s, line);
        return;
    }
    line->last++;
    index_place(a, s, line, place);
    bool follows = line->state == HF_LINE_OUT
                       ? line->next == line->last
                       : line->state == HF_LINE_PARKED && line->first + 1 == line->last;
    if (follows) {
        line->behind = *place;
    }
}

/* ---- moves that several events share ---- */

static void end_line(struct hf_applying *a, struct hf_subscription *s, struct hf_line *line)
{
    hf_lines_remove(s, line);
    hf_queue_give_line(&a->state->queue, line);
}

/* No longer OUT: what is out goes back. The line is in no list or heap now. */
static void come_back(struct hf_subscription *s, struct hf_line *line)
{
    uint64_t count = line->next - line->first;
    struct hf_place *places = line->out_places;
    s->in_flight -= count;
    s->waiting += count;
    hf_line_return(line);
    hf_free(places);
}

static void make_ready(struct hf_subscription *s, struct hf_line *line)
{
    line->state = HF_LINE_READY;
    line->due_us = 0;
    line->parked_at_us = 0;
    line->behind = (struct hf_place){0};
    hf_line_enter(s, line);
}

/* `first` has ended and the line is in no list or heap: it is ready for the next one, or goes. */
static void go_on(struct hf_applying *a, struct hf_subscription *s, struct hf_line *line, bool more)
{
    make_ready(s, line); /* also to be removed from there */
    if (more) {
        hf_line_aged(s, line);
    } else {
        end_line(a, s, line);
    }
}

static void index_delivery(struct hf_applying *a, const struct hf_subscription *s,
                           const struct hf_place *place, uint32_t item)
{
    struct hf_id id = hf_pair_id(s->uid, place->position);
    hf_apply_index(a, HF_INDEX_DELIVERY, &id, place->index, item);
}

/* ---- deliveries ---- */

static void send_out(struct hf_applying *a, struct hf_line *line, uint64_t count)
{
    const struct hf_delivered *delivered = &a->event->delivered;
    line->state = HF_LINE_OUT;
    line->next = line->first + count;
    line->delivered_to = hf_max_u64(line->delivered_to, line->next - 1);
    line->token = a->commit->position;
    line->due_us = delivered->deadline_us;
    line->lease_ms = delivered->lease_ms;
    line->order = 0;
}

/* A message out of the main line, into a line of its own. */
static bool deliver_from_main(struct hf_applying *a, struct hf_subscription *s, uint32_t i)
{
    const struct hf_delivered *delivered = &a->event->delivered;
    const struct hf_delivery *delivery = &delivered->deliveries[i];
    struct hf_line *from = hf_subscription_line(s, &delivery->from_line);
    struct hf_id own_key = hf_place_id(delivery->message.position, delivery->message.index);
    if (s->settings.order != HF_ORDER_NONE || !is_main(&delivery->from_line) || from == NULL ||
        !same_place(&from->place, &delivery->message) || delivery->number != 1 ||
        delivery->attempt != 1 || !hf_id_equal(&delivery->line, &own_key) ||
        hf_subscription_line(s, &own_key) != NULL) {
        return hf_apply_damaged(a, "delivery is not of the main line's first message");
    }
    bool more = from->first < from->last;
    bool next_too = i + 1 < delivered->count && is_main(&delivered->deliveries[i + 1].from_line);
    struct hf_place next = next_too ? delivered->deliveries[i + 1].message : delivery->behind;
    if (more != (next.position != 0)) {
        return hf_apply_damaged(a, "delivery does not tell what is behind it");
    }
    struct hf_line *own = begin_line(a, s, &own_key, &delivery->message);
    own->own = true;
    send_out(a, own, 1);
    hf_lines_add(s, own);
    s->waiting--;
    s->in_flight++;
    if (!more) {
        end_line(a, s, from);
        return true;
    }
    from->first++;
    from->next = from->first;
    from->place = next;
    hf_line_aged(s, from);
    if (!next_too) {
        /* It has had its turn: a backlog does not hide what was redriven. */
        hf_line_leave(s, from);
        hf_line_enter(s, from);
    }
    return true;
}

static bool group_fits(struct hf_applying *a, const struct hf_line *line, uint32_t first,
                       uint32_t size)
{
    const struct hf_delivery *deliveries = &a->event->delivered.deliveries[first];
    bool ready = line->state == HF_LINE_READY ||
                 (line->state == HF_LINE_BACKING_OFF && line->due_us <= a->commit->time_us);
    bool fits = ready && !is_main(&line->key) && line->first + size - 1 <= line->last &&
                same_place(&deliveries[0].message, &line->place) &&
                deliveries[0].attempt == line->tries + 1;
    for (uint32_t i = 0; fits && i < size; i++) {
        bool last = i + 1 == size;
        bool behind = last && line->first + size <= line->last;
        fits = deliveries[i].number == line->first + i && deliveries[i].message.position != 0 &&
               (deliveries[i].behind.position != 0) == behind;
    }
    return fits;
}

static bool deliver_group(struct hf_applying *a, struct hf_subscription *s, uint32_t first,
                          uint32_t size)
{
    const struct hf_delivery *deliveries = &a->event->delivered.deliveries[first];
    struct hf_line *line = hf_subscription_line(s, &deliveries->line);
    if (line == NULL || !group_fits(a, line, first, size)) {
        return hf_apply_damaged(a, "delivery is not of a line's first messages");
    }
    hf_line_leave(s, line);
    send_out(a, line, size);
    line->behind = deliveries[size - 1].behind;
    if (size > 1) {
        line->out_places = hf_state_take_spare(a->state);
        line->out_from = line->first + 1;
        for (uint32_t i = 1; i < size; i++) {
            line->out_places[i - 1] = deliveries[i].message;
        }
    }
    hf_line_enter(s, line);
    s->waiting -= size;
    s->in_flight += size;
    return true;
}

static bool apply_delivered(struct hf_applying *a, struct hf_subscription *s)
{
    const struct hf_delivered *delivered = &a->event->delivered;
    if (delivered->count == 0 ||
        delivered->deadline_us != a->commit->time_us + delivered->lease_ms * 1000) {
        return hf_apply_damaged(a, "delivery of nothing, or its deadline does not follow");
    }
    for (uint32_t i = 0; i < delivered->count;) {
        const struct hf_delivery *delivery = &delivered->deliveries[i];
        uint32_t size = group_size(delivered, i);
        bool own = !hf_id_equal(&delivery->line, &delivery->from_line);
        if (own ? size != 1 || !deliver_from_main(a, s, i) : !deliver_group(a, s, i, size)) {
            return hf_apply_damaged(a, "delivery does not fit its line");
        }
        for (uint32_t j = i; j < i + size; j++) {
            index_delivery(a, s, &delivered->deliveries[j].message, j);
        }
        i += size;
    }
    s->deliveries += delivered->count;
    return true;
}

/* ---- ends of tries ---- */

static void apply_acked(struct hf_applying *a, struct hf_subscription *s, struct hf_line *line)
{
    s->in_flight--;
    s->ended++;
    s->acked++;
    s->last_settled_us = a->commit->time_us;
    if (line->first + 1 < line->next) {
        (void)hf_line_advance(line);
        hf_line_aged(s, line);
        return;
    }
    hf_line_leave(s, line);
    bool more = hf_line_advance(line);
    struct hf_place *places = line->out_places;
    hf_line_return(line);
    hf_free(places);
    go_on(a, s, line, more);
}

static bool apply_failed(struct hf_applying *a, struct hf_subscription *s, struct hf_line *line,
                         const struct hf_settled_item *item)
{
    if (item->tries != line->tries + 1) {
        return hf_apply_damaged(a, "try is not counted once");
    }
    hf_line_leave(s, line);
    come_back(s, line);
    line->state = HF_LINE_BACKING_OFF;
    line->behind = (struct hf_place){0};
    line->tries = item->tries;
    line->due_us = item->not_before_us;
    line->event_position = a->commit->position;
    hf_line_enter(s, line);
    s->failed_tries++;
    return true;
}

/* It is parked: by itself, or the line with it. */
static bool apply_parked(struct hf_applying *a, struct hf_subscription *s, struct hf_line *line,
                         const struct hf_settled_item *item)
{
    if (item->tries != line->tries && item->tries != line->tries + 1) {
        return hf_apply_damaged(a, "try is not counted once");
    }
    struct hf_line *parked = line;
    s->failed_tries += item->tries - line->tries;
    hf_line_leave(s, line);
    if (item->own_line) {
        struct hf_id key = hf_place_id(line->place.position, line->place.index);
        if (line->own || is_main(&line->key) || hf_subscription_line(s, &key) != NULL) {
            return hf_apply_damaged(a, "message can't leave its line");
        }
        parked = begin_line(a, s, &key, &line->place);
        parked->own = true;
        parked->delivered_to = 1;
    }
    come_back(s, line);
    s->waiting--;
    s->parkings++;
    parked->state = HF_LINE_PARKED;
    parked->tries = item->tries;
    parked->due_us = 0;
    parked->event_position = a->commit->position;
    parked->parked_at_us = a->commit->time_us;
    if (!item->own_line) {
        hf_line_enter(s, line);
        return true;
    }
    hf_lines_add(s, parked);
    line->state = HF_LINE_PARKED; /* as one whose first message ends */
    go_on(a, s, line, hf_line_advance(line));
    return true;
}

static bool apply_discarded(struct hf_applying *a, struct hf_subscription *s, struct hf_line *line)
{
    if (line->state != HF_LINE_PARKED) {
        return hf_apply_damaged(a, "what is discarded is no dead letter");
    }
    s->ended++;
    s->discarded++;
    hf_line_leave(s, line);
    go_on(a, s, line, hf_line_advance(line));
    return true;
}

static bool apply_settled_item(struct hf_applying *a, struct hf_subscription *s,
                               const struct hf_settled_item *item)
{
    struct hf_line *line = hf_subscription_line(s, &item->line);
    bool discards = item->settlement == HF_SETTLED_DISCARDED;
    if (line == NULL || item->number != line->first || !same_place(&item->message, &line->place) ||
        (!discards && (line->state != HF_LINE_OUT || line->token != item->token))) {
        return hf_apply_damaged(a, "what ends is not first in its line, or not out");
    }
    switch (item->settlement) {
    case HF_SETTLED_ACKED:
        apply_acked(a, s, line);
        return true;
    case HF_SETTLED_NACKED:
    case HF_SETTLED_TIMED_OUT:
        return apply_failed(a, s, line, item);
    case HF_SETTLED_PARKED:
        return apply_parked(a, s, line, item);
    case HF_SETTLED_DISCARDED:
        return apply_discarded(a, s, line);
    }
    return hf_apply_damaged(a, "unknown settlement");
}

static bool apply_settled(struct hf_applying *a, struct hf_subscription *s)
{
    const struct hf_settled *settled = &a->event->settled;
    for (uint32_t i = 0; i < settled->count; i++) {
        const struct hf_settled_item *item = &settled->items[i];
        if (item->code != HF_ERR_OK || item->repeated) {
            continue;
        }
        if (!apply_settled_item(a, s, item)) {
            return false;
        }
        index_delivery(a, s, &item->message, i);
    }
    return true;
}

static bool apply_extended(struct hf_applying *a, struct hf_subscription *s)
{
    const struct hf_extended *extended = &a->event->extended;
    if (extended->code != HF_ERR_OK) {
        return true;
    }
    struct hf_line *line = hf_subscription_line(s, &extended->line);
    if (line == NULL || line->state != HF_LINE_OUT || line->token != extended->token ||
        extended->number < line->first || extended->number >= line->next) {
        return hf_apply_damaged(a, "what is extended is not out");
    }
    hf_line_leave(s, line);
    line->lease_ms = extended->lease_ms;
    line->due_us = extended->deadline_us;
    hf_line_enter(s, line);
    return true;
}

/* ---- redrives ---- */

static bool apply_moved(struct hf_applying *a, struct hf_subscription *s)
{
    const struct hf_redriven *redriven = &a->event->redriven;
    struct hf_redrive_task *task = &s->redrive;
    bool of_task = redriven->through_order != 0;
    if (of_task ? !task->active || redriven->through_order < task->through_order
                : redriven->step == HF_REDRIVE_DONE) {
        return hf_apply_damaged(a, "redrive does not follow");
    }
    for (uint32_t i = 0; i < redriven->count; i++) {
        struct hf_line *line = hf_subscription_line(s, &redriven->lines[i]);
        if (line == NULL || line->state != HF_LINE_PARKED) {
            return hf_apply_damaged(a, "what is redriven is no dead letter");
        }
        hf_line_leave(s, line);
        line->tries = 0;
        s->waiting++;
        make_ready(s, line);
    }
    if (!of_task) {
        return true;
    }
    task->moved += redriven->count;
    task->through_order = redriven->through_order;
    task->next_us = redriven->next_us;
    while (task->at != NULL && task->at->order <= task->through_order) {
        task->at = task->at->list_behind;
    }
    if (redriven->step == HF_REDRIVE_DONE) {
        hf_subscription_end_redrive(s);
    }
    return true;
}

static bool apply_redriven(struct hf_applying *a, struct hf_subscription *s)
{
    const struct hf_redriven *redriven = &a->event->redriven;
    switch (redriven->step) {
    case HF_REDRIVE_MOVED:
    case HF_REDRIVE_DONE:
        return apply_moved(a, s);
    case HF_REDRIVE_STARTED:
        if (s->redrive.active) {
            return hf_apply_damaged(a, "second redrive");
        }
        s->redrive = (struct hf_redrive_task){
            .active = true,
            .rate_per_s = redriven->rate_per_s,
            .until_order = redriven->until_order,
            .at = s->parked.first,
            .next_us = redriven->next_us,
            .total = redriven->total,
        };
        if (hf_str_present(redriven->error_filter)) {
            s->redrive.error_filter =
                (struct hf_str){hf_state_take_spare(a->state), redriven->error_filter.len};
        }
        return true;
    case HF_REDRIVE_CANCELLED:
        if (!s->redrive.active) {
            return hf_apply_damaged(a, "no redrive to cancel");
        }
        hf_subscription_end_redrive(s);
        return true;
    }
    return hf_apply_damaged(a, "unknown redrive");
}

bool hf_lines_apply_event(struct hf_applying *a, struct hf_subscription *s)
{
    switch ((unsigned)a->event->type) {
    case HF_EVENT_MESSAGES_DELIVERED:
        return apply_delivered(a, s);
    case HF_EVENT_MESSAGES_SETTLED:
        return apply_settled(a, s);
    case HF_EVENT_DELIVERY_EXTENDED:
        return apply_extended(a, s);
    default:
        HF_CHECK(a->event->type == HF_EVENT_MESSAGES_REDRIVEN);
        return apply_redriven(a, s);
    }
}
