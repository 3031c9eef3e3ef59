#include "core/queue.h"

#include "base/alloc.h"
#include "base/check.h"
#include "core/feed_event.h"

#define SPARE_LINES_MAX 4096u /* nodes that are kept for later */

void hf_queue_init(struct hf_queue *queue, uint64_t seed)
{
    *queue = (struct hf_queue){.seed = seed};
    hf_table_init(&queue->subscriptions, seed);
    hf_table_init(&queue->by_uid, seed);
    hf_table_init(&queue->readers, seed);
    hf_table_init(&queue->delayed, seed);
    hf_table_init(&queue->delayed_topics, seed);
}

static void free_table(struct hf_table *table)
{
    size_t at = 0;
    void *value;
    while ((value = hf_table_next(table, &at)) != NULL) {
        hf_free(value);
    }
    hf_table_release(table);
}

static void release_readers(struct hf_table *table)
{
    size_t at = 0;
    struct hf_readers *readers;
    while ((readers = hf_table_next(table, &at)) != NULL) {
        hf_free(readers->items);
    }
    free_table(table);
}

void hf_queue_release(struct hf_queue *queue)
{
    size_t at = 0;
    struct hf_subscription *subscription;
    while ((subscription = hf_table_next(&queue->subscriptions, &at)) != NULL) {
        hf_subscription_free(subscription);
    }
    hf_table_release(&queue->subscriptions);
    hf_table_release(&queue->by_uid);
    free_table(&queue->delayed);
    free_table(&queue->delayed_topics);
    release_readers(&queue->readers);
    hf_free(queue->others.items);
    while (queue->spare_count > 0) {
        hf_line_free(hf_queue_take_line(queue));
    }
    hf_free(queue->matches);
    *queue = (struct hf_queue){0};
}

/* ---- nodes of lines ---- */

bool hf_queue_reserve_lines(struct hf_queue *queue, size_t count)
{
    while (queue->spare_count < count) {
        struct hf_line *line = hf_malloc(sizeof(*line));
        if (line == NULL) {
            return false;
        }
        line->out_places = NULL;
        line->list_behind = queue->spares;
        queue->spares = line;
        queue->spare_count++;
    }
    return true;
}

struct hf_line *hf_queue_take_line(struct hf_queue *queue)
{
    HF_CHECK(queue->spare_count > 0);
    struct hf_line *line = queue->spares;
    queue->spares = line->list_behind;
    queue->spare_count--;
    *line = (struct hf_line){0};
    return line;
}

void hf_queue_give_line(struct hf_queue *queue, struct hf_line *line)
{
    hf_free(line->out_places);
    line->out_places = NULL;
    if (queue->spare_count >= SPARE_LINES_MAX) {
        hf_free(line);
        return;
    }
    line->list_behind = queue->spares;
    queue->spares = line;
    queue->spare_count++;
}

/* ---- finding subscriptions ---- */

static struct hf_names_node *names_node(struct hf_subscription *subscription)
{
    return (void *)(subscription + 1);
}

static struct hf_readers *readers_of(struct hf_queue *queue, const struct hf_filter *filter)
{
    return hf_str_present(filter->topic.text) ? hf_table_get(&queue->readers, &filter->topic.id)
                                              : &queue->others;
}

static bool reserve_reader(struct hf_readers *readers)
{
    if (readers->count < readers->capacity) {
        return true;
    }
    size_t capacity = readers->capacity == 0 ? 4 : readers->capacity * 2;
    struct hf_subscription **items =
        hf_realloc(readers->items, capacity * sizeof(struct hf_subscription *));
    if (items == NULL) {
        return false;
    }
    readers->items = items;
    readers->capacity = capacity;
    return true;
}

bool hf_queue_reserve_subscription(struct hf_queue *queue, const struct hf_filter *filter)
{
    if (!hf_table_reserve(&queue->subscriptions, 1) || !hf_table_reserve(&queue->by_uid, 1) ||
        !hf_table_reserve(&queue->readers, 1)) {
        return false;
    }
    if (readers_of(queue, filter) == NULL) {
        struct hf_readers *readers = hf_calloc(1, sizeof(*readers));
        if (readers == NULL) {
            return false;
        }
        (void)hf_table_put(&queue->readers, &filter->topic.id, readers);
    }
    return reserve_reader(readers_of(queue, filter));
}

bool hf_queue_enter(struct hf_queue *queue, struct hf_subscription *subscription)
{
    struct hf_id uid = hf_uid_id(subscription->uid);
    struct hf_readers *readers = readers_of(queue, &subscription->settings.filter);
    if (readers == NULL) {
        hf_subscription_free(subscription);
        return false;
    }
    HF_CHECK(readers->count < readers->capacity);
    (void)hf_table_put(&queue->subscriptions, &subscription->name.id, subscription);
    (void)hf_table_put(&queue->by_uid, &uid, subscription);
    readers->items[readers->count++] = subscription;
    return hf_names_insert(&queue->names, &subscription->name, names_node(subscription));
}

static void leave_readers(struct hf_queue *queue, const struct hf_subscription *subscription)
{
    const struct hf_filter *filter = &subscription->settings.filter;
    struct hf_readers *readers = readers_of(queue, filter);
    size_t at = 0;
    while (readers->items[at] != subscription) {
        at++;
        HF_CHECK(at < readers->count);
    }
    readers->items[at] = readers->items[--readers->count];
    if (readers->count == 0 && readers != &queue->others) {
        (void)hf_table_remove(&queue->readers, &filter->topic.id);
        hf_free(readers->items);
        hf_free(readers);
    }
}

void hf_queue_drop(struct hf_queue *queue, struct hf_subscription *subscription)
{
    struct hf_id uid = hf_uid_id(subscription->uid);
    hf_queue_set_live(queue, subscription, true); /* out of the lagging list */
    hf_queue_note_lag(queue, subscription);
    hf_queue_set_live(queue, subscription, false);
    leave_readers(queue, subscription);
    queue->line_count -= subscription->lines.count;
    hf_names_remove(&queue->names, &subscription->name, names_node(subscription));
    (void)hf_table_remove(&queue->subscriptions, &subscription->name.id);
    (void)hf_table_remove(&queue->by_uid, &uid);
    for (size_t i = 0; i < queue->match_count; i++) {
        if (queue->matches[i].subscription == subscription) {
            queue->matches[i].subscription = NULL;
        }
    }
    hf_subscription_free(subscription);
}

void hf_queue_set_live(struct hf_queue *queue, struct hf_subscription *subscription, bool live)
{
    queue->live_count -= subscription->live;
    subscription->live = live;
    queue->live_count += live;
}

static bool wants_scan(const struct hf_subscription *subscription)
{
    return !subscription->live && subscription->lines.count <= subscription->settings.lines_max / 2;
}

static void append_lagging(struct hf_queue *queue, struct hf_subscription *s)
{
    s->lagging_before = queue->lagging_last;
    s->lagging_behind = NULL;
    *(queue->lagging_last == NULL ? &queue->lagging_first : &queue->lagging_last->lagging_behind) =
        s;
    queue->lagging_last = s;
}

static void remove_lagging(struct hf_queue *queue, struct hf_subscription *s)
{
    *(s->lagging_before == NULL ? &queue->lagging_first : &s->lagging_before->lagging_behind) =
        s->lagging_behind;
    *(s->lagging_behind == NULL ? &queue->lagging_last : &s->lagging_behind->lagging_before) =
        s->lagging_before;
    s->lagging_before = NULL;
    s->lagging_behind = NULL;
}

void hf_queue_note_lag(struct hf_queue *queue, struct hf_subscription *s)
{
    if (s->lagging == wants_scan(s)) {
        return;
    }
    s->lagging = !s->lagging;
    if (s->lagging) {
        append_lagging(queue, s);
    } else {
        remove_lagging(queue, s);
    }
}

void hf_queue_rotate(struct hf_queue *queue, uint64_t uid)
{
    struct hf_subscription *s = hf_queue_by_uid(queue, uid);
    if (s != NULL && s->lagging) {
        remove_lagging(queue, s);
        append_lagging(queue, s);
    }
}

uint64_t hf_subscription_timer_us(const struct hf_subscription *subscription)
{
    uint64_t out_us =
        subscription->out.count == 0 ? UINT64_MAX : subscription->out.items[0]->due_us;
    return hf_min_u64(out_us,
                      subscription->redrive.active ? subscription->redrive.next_us : UINT64_MAX);
}

/* Messages have the hash of their key with them; a message that is due is where it was published. */
struct hf_arrival hf_queue_arrival(const struct hf_commit *commit,
                                   const struct hf_feed_event *event)
{
    const struct hf_event *stored = commit->events[event->index];
    if (stored->type == HF_EVENT_MESSAGE_DUE) {
        return (struct hf_arrival){.message = stored->due.message,
                                   .key_hash = stored->due.key_hash};
    }
    return (struct hf_arrival){
        .message = {.position = event->position,
                    .index = event->index,
                    .bytes = event->payload == NULL ? 0 : (uint32_t)event->payload->text.len},
        .key_hash = stored->type == HF_EVENT_MESSAGE_PUBLISHED ? stored->published.key_hash
                                                               : hf_feed_key_hash(event),
    };
}

const struct hf_settled_item *hf_settled_find(const struct hf_settled *settled,
                                              const struct hf_place *message)
{
    for (uint32_t i = 0; i < settled->count; i++) {
        const struct hf_settled_item *item = &settled->items[i];
        if (item->code == HF_ERR_OK && !item->repeated &&
            item->message.position == message->position && item->message.index == message->index) {
            return item;
        }
    }
    return NULL;
}

struct hf_subscription *hf_queue_subscription(const struct hf_queue *queue, const struct hf_id *id)
{
    return hf_table_get(&queue->subscriptions, id);
}

struct hf_subscription *hf_queue_by_uid(const struct hf_queue *queue, uint64_t uid)
{
    struct hf_id id = hf_uid_id(uid);
    return hf_table_get(&queue->by_uid, &id);
}

const struct hf_delayed *hf_queue_delayed(const struct hf_queue *queue, uint64_t position,
                                          uint32_t index)
{
    struct hf_id id = hf_place_id(position, index);
    return hf_table_get(&queue->delayed, &id);
}

/* ---- delayed messages ---- */

bool hf_queue_reserve_delayed(struct hf_queue *queue, const struct hf_id *topic, size_t more)
{
    if (!hf_table_reserve(&queue->delayed, 1 + more) ||
        !hf_table_reserve(&queue->delayed_topics, 1)) {
        return false;
    }
    if (hf_table_get(&queue->delayed_topics, topic) != NULL) {
        return true;
    }
    struct hf_delayed_topic *counted = hf_calloc(1, sizeof(*counted));
    if (counted == NULL) {
        return false;
    }
    (void)hf_table_put(&queue->delayed_topics, topic, counted);
    return true;
}

void hf_queue_put_delayed(struct hf_queue *queue, struct hf_delayed *delayed)
{
    struct hf_delayed_topic *counted =
        hf_table_get(&queue->delayed_topics, &delayed->message.topic.id);
    struct hf_id id =
        hf_place_id(delayed->message.message.position, delayed->message.message.index);
    HF_CHECK(counted != NULL);
    counted->count++;
    (void)hf_table_put(&queue->delayed, &id, delayed);
}

void hf_queue_drop_delayed(struct hf_queue *queue, const struct hf_place *place)
{
    struct hf_id id = hf_place_id(place->position, place->index);
    struct hf_delayed *delayed = hf_table_remove(&queue->delayed, &id);
    HF_CHECK(delayed != NULL);
    struct hf_delayed_topic *counted =
        hf_table_get(&queue->delayed_topics, &delayed->message.topic.id);
    HF_CHECK(counted != NULL && counted->count > 0);
    if (--counted->count == 0) {
        (void)hf_table_remove(&queue->delayed_topics, &delayed->message.topic.id);
        hf_free(counted);
    }
    hf_free(delayed);
}

uint64_t hf_queue_delayed_count(const struct hf_queue *queue, const struct hf_id *topic)
{
    const struct hf_delayed_topic *counted = hf_table_get(&queue->delayed_topics, topic);
    return counted == NULL ? 0 : counted->count;
}

/* ---- verification ---- */

static void verify_subscriptions(const struct hf_queue *queue)
{
    size_t at = 0;
    size_t live = 0;
    uint64_t lines = 0;
    size_t lagging = 0;
    const struct hf_subscription *subscription;
    hf_names_verify(&queue->names);
    HF_CHECK(queue->names.count == queue->subscriptions.count);
    while ((subscription = hf_table_next(&queue->subscriptions, &at)) != NULL) {
        HF_CHECK(hf_queue_subscription(queue, &subscription->name.id) == subscription);
        HF_CHECK(hf_queue_by_uid(queue, subscription->uid) == subscription);
        HF_CHECK(subscription->lagging == wants_scan(subscription));
        HF_CHECK(subscription->due_us <= hf_subscription_timer_us(subscription));
        hf_subscription_verify(subscription);
        live += subscription->live;
        lines += subscription->lines.count;
        lagging += subscription->lagging;
    }
    HF_CHECK(live == queue->live_count && lines == queue->line_count);
    const struct hf_subscription *before = NULL;
    for (subscription = queue->lagging_first; subscription != NULL;
         subscription = subscription->lagging_behind) {
        HF_CHECK(subscription->lagging && subscription->lagging_before == before && lagging-- > 0);
        before = subscription;
    }
    HF_CHECK(lagging == 0 && queue->lagging_last == before);
}

static void verify_delayed(const struct hf_queue *queue)
{
    size_t at = 0;
    uint64_t counted = 0;
    const struct hf_delayed *delayed;
    const struct hf_delayed_topic *topic;
    hf_table_verify(&queue->delayed);
    hf_table_verify(&queue->delayed_topics);
    while ((delayed = hf_table_next(&queue->delayed, &at)) != NULL) {
        const struct hf_place *place = &delayed->message.message;
        HF_CHECK(delayed->due_us > 0);
        HF_CHECK(hf_queue_delayed(queue, place->position, place->index) == delayed);
        HF_CHECK(hf_queue_delayed_count(queue, &delayed->message.topic.id) > 0);
    }
    at = 0;
    while ((topic = hf_table_next(&queue->delayed_topics, &at)) != NULL) {
        counted += topic->count;
    }
    HF_CHECK(counted == queue->delayed.count);
}

static void verify_readers(const struct hf_queue *queue)
{
    size_t at = 0;
    size_t count = queue->others.count;
    const struct hf_readers *readers;
    while ((readers = hf_table_next(&queue->readers, &at)) != NULL) {
        count += readers->count;
    }
    HF_CHECK(count == queue->subscriptions.count);
}

void hf_queue_verify(const struct hf_queue *queue)
{
    verify_delayed(queue);
    hf_table_verify(&queue->subscriptions);
    hf_table_verify(&queue->by_uid);
    HF_CHECK(queue->subscriptions.count == queue->by_uid.count);
    verify_subscriptions(queue);
    verify_readers(queue);
}
