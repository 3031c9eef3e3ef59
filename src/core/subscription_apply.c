/* Evolve of subscriptions: made, changed, sought, scanned; what arrives with each commit; takeover. */
#include "base/alloc.h"
#include "base/check.h"
#include "core/feed_event.h"
#include "core/queue_apply.h"

/* ---- arrivals: who wants what ---- */

static bool reserve_match(struct hf_queue *queue)
{
    if (queue->match_count < queue->match_capacity) {
        return true;
    }
    size_t capacity = queue->match_capacity == 0 ? 64 : queue->match_capacity * 2;
    struct hf_match *matches = hf_realloc(queue->matches, capacity * sizeof(*matches));
    if (matches == NULL) {
        return false;
    }
    queue->matches = matches;
    queue->match_capacity = capacity;
    return true;
}

/* An event that may arrive; its place and key hash when the first subscription wants it. */
struct arriving {
    const struct hf_commit *commit;
    struct hf_feed_event event;
    bool has_arrival;
    struct hf_arrival arrival;
};

static bool match_readers(struct hf_queue *queue, const struct hf_readers *readers,
                          struct arriving *arriving)
{
    for (size_t i = 0; i < readers->count; i++) {
        struct hf_subscription *subscription = readers->items[i];
        if (!subscription->live ||
            !hf_filter_arrives(&subscription->settings.filter, &arriving->event)) {
            continue;
        }
        if (queue->match_count == HF_COMMIT_ARRIVALS_MAX) {
            queue->too_many = true;
            return true;
        }
        if (!reserve_match(queue)) {
            return false;
        }
        if (!arriving->has_arrival) {
            arriving->arrival = hf_queue_arrival(arriving->commit, &arriving->event);
            arriving->has_arrival = true;
        }
        subscription->arriving++;
        queue->matches[queue->match_count++] = (struct hf_match){subscription, arriving->arrival};
    }
    return true;
}

static bool match_event(struct hf_queue *queue, const struct hf_commit *commit, uint32_t index)
{
    struct arriving arriving = {.commit = commit};
    hf_feed_event_of(commit, index, &arriving.event);
    if (!arriving.event.arrives) {
        return true;
    }
    const struct hf_readers *readers =
        arriving.event.subject == HF_SUBJECT_TOPICS
            ? hf_table_get(&queue->readers, &arriving.event.subject_name.id)
            : NULL;
    return (readers == NULL || match_readers(queue, readers, &arriving)) &&
           match_readers(queue, &queue->others, &arriving);
}

static void forget_matches(struct hf_queue *queue)
{
    for (size_t i = 0; i < queue->match_count; i++) {
        if (queue->matches[i].subscription != NULL) {
            queue->matches[i].subscription->arriving = 0;
        }
    }
    queue->match_count = 0;
}

/* Every arrival of the commit, unless they are too many. */
static bool match_commit(struct hf_queue *queue, const struct hf_commit *commit)
{
    forget_matches(queue); /* of a commit that was given up */
    queue->too_many = false;
    bool ok = true;
    for (uint32_t i = 0; ok && !queue->too_many && queue->live_count > 0 && i < commit->event_count;
         i++) {
        ok = match_event(queue, commit, i);
    }
    if (queue->too_many) {
        forget_matches(queue);
    }
    return ok;
}

/* Would these arrivals be more than the lines that it may have? A commit that comes alone always has its place. */
static bool overflows(const struct hf_subscription *subscription)
{
    const struct hf_subscription_settings *settings = &subscription->settings;
    struct hf_id main_key = HF_LINE_MAIN_KEY;
    size_t more = settings->order == HF_ORDER_KEY                         ? subscription->arriving
                  : hf_subscription_line(subscription, &main_key) == NULL ? 1
                                                                          : 0;
    return subscription->lines.count > settings->lines_max / 2 &&
           subscription->lines.count + more > settings->lines_max;
}

/* It takes this commit's arrivals, and what comes until then, from the log. */
static void fall_behind(struct hf_applying *a, struct hf_subscription *subscription)
{
    subscription->scanned = a->commit->position - 1;
    hf_queue_set_live(&a->state->queue, subscription, false);
    hf_queue_note_lag(&a->state->queue, subscription);
}

static void all_fall_behind(struct hf_applying *a, const struct hf_readers *readers)
{
    for (size_t i = 0; i < readers->count; i++) {
        if (readers->items[i]->live) {
            fall_behind(a, readers->items[i]);
        }
    }
}

/* One commit for thousands of subscriptions must not hold up all others: those that might want something of it are not
 * live any more, and scans take it in by and by. */
static void leave_to_scans(struct hf_applying *a)
{
    const struct hf_queue *queue = &a->state->queue;
    const struct hf_readers *before = NULL;
    all_fall_behind(a, &queue->others);
    for (uint32_t i = 0; i < a->commit->event_count; i++) {
        struct hf_feed_event event;
        hf_feed_event_of(a->commit, i, &event);
        const struct hf_readers *readers =
            event.arrives && event.subject == HF_SUBJECT_TOPICS
                ? hf_table_get(&queue->readers, &event.subject_name.id)
                : NULL;
        if (readers != NULL && readers != before) {
            all_fall_behind(a, readers);
        }
        before = readers;
    }
}

bool hf_queue_arrivals(struct hf_applying *a)
{
    struct hf_queue *queue = &a->state->queue;
    if (queue->too_many) {
        leave_to_scans(a);
    }
    for (size_t i = 0; i < queue->match_count; i++) {
        const struct hf_match *match = &queue->matches[i];
        struct hf_subscription *subscription = match->subscription;
        if (subscription == NULL) {
            continue;
        }
        if (subscription->arriving > 0 && subscription->live && overflows(subscription)) {
            fall_behind(a, subscription);
        }
        subscription->arriving = 0;
        if (subscription->live) {
            size_t before = subscription->lines.count;
            hf_lines_arrive(a, subscription, &match->arrival);
            queue->line_count += subscription->lines.count - before;
        }
    }
    queue->match_count = 0;
    return true;
}

/* ---- memory ---- */

const struct hf_name *hf_queue_event_subscription(const struct hf_event *event, uint64_t *uid)
{
    switch ((unsigned)event->type) {
    case HF_EVENT_MESSAGES_DELIVERED:
        *uid = event->delivered.uid;
        return &event->delivered.subscription;
    case HF_EVENT_MESSAGES_SETTLED:
        *uid = event->settled.uid;
        return &event->settled.subscription;
    case HF_EVENT_DELIVERY_EXTENDED:
        *uid = event->extended.uid;
        return &event->extended.subscription;
    case HF_EVENT_MESSAGES_REDRIVEN:
        *uid = event->redriven.uid;
        return &event->redriven.subscription;
    case HF_EVENT_SUBSCRIPTION_SCANNED:
        *uid = event->scanned.uid;
        return &event->scanned.subscription;
    default:
        *uid = event->subscription->uid;
        return &event->subscription->subscription;
    }
}

static bool reserve_put(struct hf_state *state, const struct hf_subscription_change *change)
{
    const struct hf_push *push = change->settings.push;
    if (change->version == 1 &&
        (!hf_queue_reserve_subscription(&state->queue, &change->settings.filter) ||
         !hf_state_add_spare(state, hf_subscription_new(&change->subscription, &change->settings,
                                                        change->uid, state->queue.seed)))) {
        return false;
    }
    return push == NULL || hf_state_add_spare(state, hf_push_copy(push));
}

/* The subscription whose lines the event changes, or NULL. */
static struct hf_subscription *changed_by(const struct hf_state *state,
                                          const struct hf_event *event)
{
    if (event->type < HF_EVENT_SUBSCRIPTION_SCANNED || event->type > HF_EVENT_MESSAGES_REDRIVEN ||
        event->type == HF_EVENT_SUBSCRIPTION_SOUGHT) {
        return NULL;
    }
    uint64_t uid;
    (void)hf_queue_event_subscription(event, &uid);
    return hf_queue_by_uid(&state->queue, uid);
}

bool hf_subscription_reserve_event(struct hf_state *state, const struct hf_event *event)
{
    if (event->type == HF_EVENT_SUBSCRIPTION_PUT) {
        return reserve_put(state, event->subscription);
    }
    return changed_by(state, event) == NULL || hf_lines_reserve_event(state, event);
}

bool hf_queue_reserve(struct hf_state *state, const struct hf_commit *commit, size_t *records)
{
    struct hf_queue *queue = &state->queue;
    struct hf_line_room room = {0};
    bool ok = match_commit(queue, commit);
    for (uint32_t i = 0; i < commit->event_count; i++) {
        hf_lines_count(commit->events[i], &room);
    }
    for (size_t i = 0; ok && i < queue->match_count; i++) {
        struct hf_subscription *s = queue->matches[i].subscription;
        ok = hf_lines_reserve(s, s->arriving + room.lines, 0, 0);
    }
    for (uint32_t i = 0; ok && i < commit->event_count; i++) {
        struct hf_subscription *s = changed_by(state, commit->events[i]);
        ok = s == NULL || hf_lines_reserve(s, s->arriving + room.lines, room.out, room.backing_off);
    }
    *records += room.records + queue->match_count;
    return ok && hf_queue_reserve_lines(queue, queue->match_count + room.lines);
}

/* A message that comes behind others adds none; two that begin a line together are counted twice. */
static bool begins_line(const struct hf_match *match)
{
    static const struct hf_id main_key; /* zero: HF_LINE_MAIN_KEY */
    const struct hf_subscription *s = match->subscription;
    return s != NULL &&
           hf_subscription_line(s, s->settings.order == HF_ORDER_KEY ? &match->arrival.key_hash
                                                                     : &main_key) == NULL;
}

uint64_t hf_queue_load(const struct hf_queue *queue)
{
    return queue->line_count + queue->delayed.count;
}

struct hf_queue_growth hf_queue_growth_of(const struct hf_queue *queue,
                                          const struct hf_commit *commit)
{
    struct hf_queue_growth growth = {0};
    for (size_t i = 0; i < queue->match_count; i++) {
        growth.arriving += begins_line(&queue->matches[i]);
    }
    for (uint32_t i = 0; i < commit->event_count; i++) {
        const struct hf_event *event = commit->events[i];
        if (event->type == HF_EVENT_MESSAGE_PUBLISHED) {
            growth.arriving += event->published.deliver_at_us != 0;
        }
        for (uint32_t j = 0;
             event->type == HF_EVENT_MESSAGES_DELIVERED && j < event->delivered.count; j++) {
            const struct hf_delivery *delivery = &event->delivered.deliveries[j];
            growth.delivering += !hf_id_equal(&delivery->line, &delivery->from_line);
        }
    }
    return growth;
}

/* ---- events ---- */

/* The subscription that an event names, or NULL, and damage is noted. One that this very commit makes has no room
 * reserved. */
static struct hf_subscription *named(struct hf_applying *a, const struct hf_name *name,
                                     uint64_t uid)
{
    struct hf_subscription *subscription = hf_queue_subscription(&a->state->queue, &name->id);
    if (subscription == NULL || subscription->uid != uid || uid == a->commit->position ||
        !hf_str_equal(subscription->name.text, name->text)) {
        hf_apply_damaged(a, "event of an unknown subscription");
        return NULL;
    }
    return subscription;
}

/* Subscriptions' own events arrive nowhere. */
static bool has_arrivals(const struct hf_commit *commit)
{
    for (uint32_t i = 0; i < commit->event_count; i++) {
        if (commit->events[i]->type < HF_EVENT_SUBSCRIPTION_PUT ||
            commit->events[i]->type > HF_EVENT_MESSAGES_REDRIVEN) {
            return true;
        }
    }
    return false;
}

/* It has seen everything up to `scanned`, and this commit has nothing that could arrive. */
static bool set_scanned(struct hf_applying *a, struct hf_subscription *subscription,
                        uint64_t scanned)
{
    if (scanned >= a->commit->position || has_arrivals(a->commit)) {
        return hf_apply_damaged(a, "subscription has seen what was not there");
    }
    subscription->scanned = scanned;
    hf_queue_set_live(&a->state->queue, subscription, scanned + 1 == a->commit->position);
    hf_queue_note_lag(&a->state->queue, subscription);
    return true;
}

static bool apply_put(struct hf_applying *a)
{
    const struct hf_subscription_change *change = a->event->subscription;
    struct hf_queue *queue = &a->state->queue;
    struct hf_subscription *s = hf_queue_subscription(queue, &change->subscription.id);
    if (change->version == 1) {
        if (s != NULL || change->uid != a->commit->position ||
            hf_queue_by_uid(queue, change->uid) != NULL) {
            return hf_apply_damaged(a, "subscription can't begin like that");
        }
        s = hf_state_take_spare(a->state);
        s->settings.push = change->settings.push == NULL ? NULL : hf_state_take_spare(a->state);
        s->created_at_us = a->commit->time_us;
        s->modified_at_us = a->commit->time_us;
        s->from = change->scanned;
        if (!hf_queue_enter(queue, s)) {
            return hf_apply_damaged(a, "subscription's name is there already");
        }
        return set_scanned(a, s, change->scanned);
    }
    if (s == NULL || s->uid != change->uid || s->uid == a->commit->position ||
        change->version != s->version + 1 ||
        !hf_str_equal(s->name.text, change->subscription.text) ||
        !hf_filter_equal(&s->settings.filter, &change->settings.filter) ||
        s->settings.order != change->settings.order ||
        s->settings.lines_max != change->settings.lines_max) {
        return hf_apply_damaged(a, "subscription does not follow from the one before");
    }
    struct hf_filter kept = s->settings.filter; /* its texts are ours */
    const struct hf_push *before = s->settings.push;
    s->settings = change->settings;
    s->settings.filter = kept;
    s->settings.push = change->settings.push == NULL ? NULL : hf_state_take_spare(a->state);
    hf_free((void *)before); /* what a change took over from it, it has copied */
    s->version = change->version;
    s->modified_at_us = a->commit->time_us;
    return true;
}

static bool apply_deleted(struct hf_applying *a)
{
    const struct hf_subscription_change *change = a->event->subscription;
    struct hf_subscription *s = named(a, &change->subscription, change->uid);
    if (s == NULL) {
        return false;
    }
    hf_queue_drop(&a->state->queue, s);
    return true;
}

static bool apply_sought(struct hf_applying *a)
{
    const struct hf_subscription_change *change = a->event->subscription;
    struct hf_subscription *s = named(a, &change->subscription, change->uid);
    if (s == NULL) {
        return false;
    }
    if (change->version != s->version + 1) {
        return hf_apply_damaged(a, "subscription does not follow from the one before");
    }
    s->version = change->version;
    s->modified_at_us = a->commit->time_us;
    s->sought_at = a->commit->position;
    s->sought_to = change->scanned;
    hf_lines_drop(s);
    return set_scanned(a, s, change->scanned);
}

static bool apply_scanned(struct hf_applying *a)
{
    const struct hf_scanned *scanned = &a->event->scanned;
    struct hf_subscription *s = named(a, &scanned->subscription, scanned->uid);
    if (s == NULL) {
        return false;
    }
    if (s->live || scanned->from != s->scanned || scanned->through <= scanned->from) {
        return hf_apply_damaged(a, "scan does not follow");
    }
    for (uint32_t i = 0; i < scanned->count; i++) {
        const struct hf_arrival *arrival = &scanned->arrivals[i];
        if (arrival->message.position > scanned->through) {
            return hf_apply_damaged(a, "scan has found what is behind it");
        }
        hf_lines_arrive(a, s, arrival);
    }
    return set_scanned(a, s, scanned->through);
}

/* Whenever it has a next due time, that or an earlier one is in the heap. */
static void note_timer(struct hf_applying *a, struct hf_subscription *s)
{
    uint64_t due_us = hf_subscription_timer_us(s);
    if (due_us < s->due_us) {
        struct hf_id id = hf_uid_id(s->uid);
        s->due_us = due_us;
        hf_state_push_due(a->state, HF_KIND_SUBSCRIPTION, &id, due_us);
    }
}

static bool apply_lines(struct hf_applying *a, const struct hf_name *name, uint64_t uid)
{
    struct hf_subscription *s = named(a, name, uid);
    return s != NULL && hf_lines_apply_event(a, s);
}

bool hf_subscription_apply_event(struct hf_applying *a)
{
    uint64_t uid;
    const struct hf_name *name = hf_queue_event_subscription(a->event, &uid);
    struct hf_queue *queue = &a->state->queue;
    const struct hf_subscription *there = hf_queue_subscription(queue, &name->id);
    size_t before = there == NULL ? 0 : there->lines.count;
    bool ok;
    switch ((unsigned)a->event->type) {
    case HF_EVENT_SUBSCRIPTION_PUT:
        ok = apply_put(a);
        break;
    case HF_EVENT_SUBSCRIPTION_DELETED:
        return apply_deleted(a);
    case HF_EVENT_SUBSCRIPTION_SOUGHT:
        ok = apply_sought(a);
        break;
    case HF_EVENT_SUBSCRIPTION_SCANNED:
        ok = apply_scanned(a);
        break;
    default:
        ok = apply_lines(a, name, uid);
        break;
    }
    struct hf_subscription *s = hf_queue_subscription(queue, &name->id);
    if (s != NULL) {
        queue->line_count += s->lines.count - before; /* modulo 2^64: they may be fewer */
    }
    if (ok && s != NULL) {
        note_timer(a, s);
        hf_queue_note_lag(queue, s);
    }
    return ok;
}

/* What is out gets one fresh term: a consumer may have asked for more time, and nobody was there to hear it. */
bool hf_queue_takeover(struct hf_applying *a)
{
    size_t at = 0;
    struct hf_subscription *s;
    while ((s = hf_table_next(&a->state->queue.subscriptions, &at)) != NULL) {
        for (size_t i = 0; i < s->out.count; i++) {
            struct hf_line *line = s->out.items[i];
            line->due_us = a->commit->time_us + line->lease_ms * 1000;
        }
        hf_lines_reheap_out(s);
        note_timer(a, s);
    }
    return true;
}
