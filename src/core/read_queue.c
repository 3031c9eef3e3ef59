/* Subscriptions, their dead letters, and messages by their places. */
#include "base/check.h"
#include "core/decide_lines.h"
#include "core/read_priv.h"

static const struct hf_subscription *find_subscription(struct hf_read_work *r)
{
    const struct hf_subscription *s = hf_queue_subscription(&r->state->queue, &r->query->name.id);
    if (s == NULL || !hf_str_equal(s->name.text, r->query->name.text)) {
        r->out->code = HF_ERR_SUBSCRIPTION_NOT_FOUND;
        return NULL;
    }
    return s;
}

/* Of the newest ack, or of the oldest thing that waits for one. */
static bool is_stalled(const struct hf_read_work *r, const struct hf_subscription *s,
                       uint64_t oldest_us)
{
    uint64_t since_us = hf_max_u64(s->last_settled_us, oldest_us);
    return s->waiting + s->in_flight > 0 && since_us + HF_QUEUE_STALLED_US <= r->now_us;
}

static void take_subscription(struct hf_read_work *r, const struct hf_subscription *s,
                              struct hf_subscription_reading *out)
{
    uint64_t scanned = s->live ? r->state->position : s->scanned;
    *out = (struct hf_subscription_reading){
        .subscription = s,
        .scanned = scanned,
        .lag = r->state->position - scanned,
        .next_ready_us = hf_subscription_next_ready_us(s),
        .delayed = hf_queue_delayed_count(&r->state->queue, &s->settings.filter.topic.id),
    };
    if (s->ages.count == 0) {
        return;
    }
    const struct hf_commit *commit = hf_view_commit(r->view, s->ages.items[0]->place.position);
    if (commit != NULL) {
        out->oldest_us = commit->time_us;
        out->stalled = is_stalled(r, s, commit->time_us);
    }
}

void hf_read_subscription(struct hf_read_work *r)
{
    const struct hf_subscription *s = find_subscription(r);
    if (s != NULL) {
        take_subscription(r, s, &r->out->subscription);
    }
}

void hf_read_subscriptions(struct hf_read_work *r)
{
    struct hf_reading *out = r->out;
    struct hf_str prefix = r->query->prefix;
    struct hf_str after = r->query->after;
    out->subscriptions = hf_read_alloc(r, r->query->limit, sizeof(*out->subscriptions));
    if (out->subscriptions == NULL) {
        return;
    }
    bool from_prefix = after.len == 0 || hf_str_compare(after, prefix) < 0;
    const struct hf_names *names = &r->state->queue.names;
    const struct hf_name *name = hf_names_behind(names, from_prefix ? prefix : after, from_prefix);
    while (name != NULL && name->text.len >= prefix.len &&
           (prefix.len == 0 || memcmp(name->text.ptr, prefix.ptr, prefix.len) == 0)) {
        if (out->subscription_count == r->query->limit ||
            r->view->decoded_bytes > HF_QUERY_BYTES_MAX) {
            out->more = true;
            return;
        }
        take_subscription(r, HF_CONTAINER_OF(name, struct hf_subscription, name),
                          &out->subscriptions[out->subscription_count++]);
        out->next_after = name->text;
        name = hf_names_behind(names, name->text, false);
    }
}

/* ---- dead letters ---- */

static bool contains(struct hf_str text, struct hf_str part)
{
    for (size_t at = 0; at + part.len <= text.len; at++) {
        if (part.len == 0 || memcmp(text.ptr + at, part.ptr, part.len) == 0) {
            return true;
        }
    }
    return part.len == 0;
}

/* false: it is left out, or something is needed. */
static bool take_dead(struct hf_read_work *r, const struct hf_subscription *s,
                      const struct hf_line *line, struct hf_dead_letter *out)
{
    const struct hf_settled_item *item = hf_parked_by(r->view, s, line);
    if (item == NULL || !contains(item->error, r->query->error_contains)) {
        return false;
    }
    *out = (struct hf_dead_letter){
        .line = line,
        .commit = hf_view_commit(r->view, line->place.position),
        .error = item->error,
    };
    if (out->commit != NULL && line->place.index >= out->commit->event_count) {
        r->view->damaged = true;
    } else if (out->commit != NULL) {
        out->event = out->commit->events[line->place.index];
    }
    return true;
}

void hf_read_dead(struct hf_read_work *r)
{
    struct hf_reading *out = r->out;
    const struct hf_subscription *s = find_subscription(r);
    if (s == NULL) {
        return;
    }
    out->dead = hf_read_alloc(r, r->query->limit, sizeof(*out->dead));
    const struct hf_line *line =
        out->dead == NULL ? NULL : hf_line_marks_behind(&s->marks, r->query->from);
    for (uint32_t seen = 0; line != NULL; line = line->list_behind, seen++) {
        if (out->dead_count == r->query->limit || seen == HF_QUERY_SCAN_MAX ||
            r->view->decoded_bytes > HF_QUERY_BYTES_MAX ||
            r->view->needs.position_count >= HF_QUERY_SCAN_MAX) {
            out->more = true;
            return;
        }
        if (take_dead(r, s, line, &out->dead[out->dead_count])) {
            out->dead_count++;
        }
        out->next_from = line->order;
    }
}

/* ---- messages ---- */

void hf_read_messages(struct hf_read_work *r)
{
    struct hf_reading *out = r->out;
    if (!hf_read_begin_page(r)) {
        return;
    }
    for (uint32_t i = 0; i < r->query->limit; i++) {
        const struct hf_place *place = &r->query->places[i];
        if (i > 0 && r->view->decoded_bytes > HF_QUERY_BYTES_MAX) {
            out->more = true;
            return;
        }
        if (place->position == 0 || place->position > r->state->position) {
            hf_read_refuse(r, HF_ERR_MESSAGE_NOT_FOUND, NULL);
            return;
        }
        struct hf_page_item *item = &out->items[out->item_count++];
        item->commit = hf_view_commit(r->view, place->position);
        if (item->commit != NULL && place->index >= item->commit->event_count) {
            hf_read_refuse(r, HF_ERR_MESSAGE_NOT_FOUND, NULL);
            return;
        }
        item->event = item->commit == NULL ? NULL : item->commit->events[place->index];
        out->next_from = i + 1;
    }
}
