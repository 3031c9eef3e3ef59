/* What became of a message in a subscription: its tries, each event naming the commit of the one before. */
#include "base/check.h"
#include "core/feed_event.h"
#include "core/read_priv.h"

struct history {
    struct hf_read_work *work;
    const struct hf_subscription *stored;
    struct hf_place message; /* bytes don't matter */
    struct hf_message_reading *out;
};

/* ---- the walk ---- */

static const struct hf_delivery *find_delivery(const struct hf_delivered *delivered,
                                               const struct hf_place *message)
{
    for (uint32_t i = 0; i < delivered->count; i++) {
        const struct hf_delivery *delivery = &delivered->deliveries[i];
        if (delivery->message.position == message->position &&
            delivery->message.index == message->index) {
            return delivery;
        }
    }
    return NULL;
}

/* An end, newer than all that follow; it belongs to the delivery that is met next. */
static void note_end(struct history *h, const struct hf_commit *commit,
                     const struct hf_settled_item *end)
{
    h->out->tries[h->out->try_count++] = (struct hf_message_try){.ended_by = commit, .end = end};
}

static void note_delivery(struct history *h, const struct hf_commit *commit,
                          const struct hf_delivered *delivered, const struct hf_delivery *delivery)
{
    struct hf_message_reading *out = h->out;
    struct hf_message_try *newest = out->try_count == 0 ? NULL : &out->tries[out->try_count - 1];
    bool ended =
        newest != NULL && newest->delivery == NULL && newest->end->token == commit->position;
    struct hf_message_try *try = ended ? newest : &out->tries[out->try_count++];
    HF_CHECK(try != NULL);
    try->delivered_by = commit;
    try->delivered = delivered;
    try->delivery = delivery;
}

/* The message's events of one commit, newest first. Returns the commit of the one before them; 0 = none. */
static uint64_t take_commit(struct history *h, const struct hf_commit *commit)
{
    uint64_t previous = commit->position;
    bool found = false;
    for (uint32_t i = commit->event_count; i > 0 && previous == commit->position; i--) {
        const struct hf_event *event = commit->events[i - 1];
        const struct hf_delivery *delivery = NULL;
        const struct hf_settled_item *end = NULL;
        if (event->type == HF_EVENT_MESSAGES_DELIVERED && event->delivered.uid == h->stored->uid) {
            delivery = find_delivery(&event->delivered, &h->message);
        } else if (event->type == HF_EVENT_MESSAGES_SETTLED &&
                   event->settled.uid == h->stored->uid) {
            end = hf_settled_find(&event->settled, &h->message);
        }
        if (delivery != NULL) {
            note_delivery(h, commit, &event->delivered, delivery);
            previous = delivery->previous_position;
        } else if (end != NULL) {
            note_end(h, commit, end);
            previous = end->previous_position;
        }
        found = found || delivery != NULL || end != NULL;
    }
    if (!found || previous >= commit->position) {
        h->work->view->damaged = true;
        return 0;
    }
    return previous;
}

/* Two more tries may come of a commit, and one that has only its end is completed by the next. */
static void walk(struct history *h, uint64_t position)
{
    struct hf_reading *reading = h->work->out;
    uint32_t limit = h->work->query->limit;
    while (position != 0) {
        if (h->out->try_count >= limit && h->out->tries[limit - 1].delivery != NULL) {
            reading->more = true;
            reading->next_from = position;
            return;
        }
        const struct hf_commit *commit = hf_view_commit(h->work->view, position);
        if (commit == NULL) {
            return;
        }
        position = take_commit(h, commit);
    }
}

/* ---- what it is now ---- */

static enum hf_message_state state_of_line(const struct hf_line *line)
{
    switch (line->state) {
    case HF_LINE_READY:
        return HF_MESSAGE_WAITING;
    case HF_LINE_BACKING_OFF:
        return HF_MESSAGE_BACKING_OFF;
    case HF_LINE_OUT:
        return HF_MESSAGE_IN_FLIGHT;
    case HF_LINE_PARKED:
        return HF_MESSAGE_PARKED;
    }
    return HF_MESSAGE_WAITING;
}

static bool is_at(const struct hf_place *place, const struct hf_place *message)
{
    return place->position == message->position && place->index == message->index;
}

static bool is_later(const struct hf_place *message, const struct hf_place *than)
{
    return message->position > than->position ||
           (message->position == than->position && message->index > than->index);
}

static bool is_out(const struct hf_line *line, const struct hf_place *message)
{
    for (uint64_t number = line->first; number < line->next; number++) {
        if (is_at(hf_line_out_place(line, number), message)) {
            return true;
        }
    }
    return false;
}

/* How it ended, as far as its newest event tells; LEFT: it has not. */
static enum hf_message_state done_as(const struct hf_message_try *newest)
{
    if (newest == NULL || newest->end == NULL) {
        return HF_MESSAGE_LEFT;
    }
    return newest->end->settlement == HF_SETTLED_ACKED       ? HF_MESSAGE_ACKED
           : newest->end->settlement == HF_SETTLED_DISCARDED ? HF_MESSAGE_DISCARDED
                                                             : HF_MESSAGE_LEFT;
}

/* 0: it was not delayed. */
static uint64_t delayed_until(const struct history *h)
{
    const struct hf_event *event = h->out->event;
    return event->type == HF_EVENT_MESSAGE_PUBLISHED ? event->published.deliver_at_us : 0;
}

/* It ended before the newest seek: does it arrive behind where that went? One that was delayed does if it was due later than
 * the commit there. */
static bool has_come_again(const struct history *h)
{
    const struct hf_subscription *s = h->stored;
    uint64_t until_us = delayed_until(h);
    if (h->message.position > s->sought_to || until_us == 0) {
        return h->message.position > s->sought_to;
    }
    const struct hf_commit *commit = hf_view_commit(h->work->view, s->sought_to);
    return commit != NULL && commit->time_us < until_us; /* NULL: it is asked for */
}

/* newest: what happened to it last, or NULL. */
static enum hf_message_state state_of(const struct history *h, const struct hf_arrival *arrival,
                                      const struct hf_message_try *newest)
{
    const struct hf_subscription *s = h->stored;
    struct hf_id own_key = hf_place_id(h->message.position, h->message.index);
    struct hf_id main_key = HF_LINE_MAIN_KEY;
    const struct hf_line *own = hf_subscription_line(s, &own_key);
    const struct hf_id *key = s->settings.order == HF_ORDER_KEY ? &arrival->key_hash : &main_key;
    const struct hf_line *line = hf_subscription_line(s, key);
    if (hf_queue_delayed(&h->work->state->queue, h->message.position, h->message.index) != NULL) {
        return HF_MESSAGE_DELAYED;
    }
    if (own != NULL) {
        return state_of_line(own);
    }
    if (line != NULL && is_at(&line->place, &h->message)) {
        return state_of_line(line);
    }
    if (line != NULL && is_out(line, &h->message)) {
        return HF_MESSAGE_IN_FLIGHT;
    }
    enum hf_message_state done = done_as(newest);
    if (done != HF_MESSAGE_LEFT && newest->ended_by->position <= s->sought_at) {
        return has_come_again(h) ? HF_MESSAGE_WAITING : done;
    }
    if (done != HF_MESSAGE_LEFT) {
        return done;
    }
    /* One that was delayed has come behind what was published later. */
    bool was_delayed = delayed_until(h) != 0;
    bool to_come = !s->live && (was_delayed || h->message.position > s->scanned);
    bool behind = line != NULL && (was_delayed || is_later(&h->message, &line->place));
    return to_come || behind ? HF_MESSAGE_WAITING : HF_MESSAGE_LEFT;
}

/* The message and what would arrive of it; false: it is none of this subscription's, or something is needed. */
static bool find_message(struct history *h, struct hf_arrival *arrival)
{
    struct hf_read_work *r = h->work;
    const struct hf_commit *commit =
        h->message.position == 0 || h->message.position > r->state->position
            ? NULL
            : hf_view_commit(r->view, h->message.position);
    if (commit == NULL) {
        if (!hf_needs_any(&r->view->needs)) {
            r->out->code = HF_ERR_MESSAGE_NOT_FOUND;
        }
        return false;
    }
    struct hf_feed_event event = {0};
    bool there = h->message.index < commit->event_count;
    if (there) {
        hf_feed_event_of(commit, h->message.index, &event);
        /* A delayed one arrives when it is due, with what it is here. */
        event.arrives =
            event.arrives || commit->events[h->message.index]->type == HF_EVENT_MESSAGE_PUBLISHED;
        there = commit->events[h->message.index]->type != HF_EVENT_MESSAGE_DUE &&
                hf_filter_arrives(&h->stored->settings.filter, &event);
    }
    if (!there) {
        r->out->code = HF_ERR_MESSAGE_NOT_FOUND;
        return false;
    }
    *arrival = hf_queue_arrival(commit, &event);
    h->out->commit = commit;
    h->out->event = commit->events[h->message.index];
    return true;
}

void hf_read_message_history(struct hf_read_work *r)
{
    struct history h = {
        .work = r,
        .stored = hf_queue_subscription(&r->state->queue, &r->query->name.id),
        .message = {.position = r->query->message_position, .index = r->query->message_index},
        .out = &r->out->message,
    };
    if (h.stored == NULL || !hf_str_equal(h.stored->name.text, r->query->name.text)) {
        r->out->code = HF_ERR_SUBSCRIPTION_NOT_FOUND;
        return;
    }
    struct hf_arrival arrival;
    struct hf_index_value value = {0};
    struct hf_id id = hf_pair_id(h.stored->uid, h.message.position);
    h.out->tries = hf_read_alloc(r, r->query->limit + 3, sizeof(*h.out->tries));
    enum hf_lookup lookup =
        hf_view_lookup(r->view, HF_INDEX_DELIVERY, &id, h.message.index, &value);
    if (h.out->tries == NULL || !find_message(&h, &arrival) || lookup == HF_LOOKUP_UNKNOWN) {
        return;
    }
    bool has_history = lookup == HF_LOOKUP_PRESENT;
    if (has_history) {
        walk(&h, r->query->from == 0 ? value.position : r->query->from);
    }
    h.out->state = state_of(&h, &arrival, h.out->try_count == 0 ? NULL : &h.out->tries[0]);
    if (h.out->state == HF_MESSAGE_LEFT && !has_history) {
        r->out->code = HF_ERR_MESSAGE_NOT_FOUND;
    }
}
