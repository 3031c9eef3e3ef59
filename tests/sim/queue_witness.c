#include "sim/queue_witness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/table.h"

typedef unsigned long long ull;

enum seen_at {
    SEEN_WAITING = 1,
    SEEN_OUT,
    SEEN_BACKING_OFF,
    SEEN_PARKED,
    SEEN_ACKED,
    SEEN_DISCARDED,
};

static const char *const seen_names[] = {"",       "waiting", "out",      "backing off",
                                         "parked", "acked",   "discarded"};

struct seen_message {
    const struct hf_queue_arrival_seen *arrival;
    enum seen_at at;
    bool alone;                  /* it left its line */
    uint32_t tries;              /* failed */
    uint64_t token;              /* newest */
    uint64_t deadline_us;        /* OUT */
    uint64_t lease_ms;           /* OUT */
    uint64_t not_before_us;      /* BACKING_OFF */
    uint64_t parked_order;       /* PARKED: of all that ever were */
    struct seen_message *behind; /* the next that arrived of its key */
};

/* What arrived, for subscriptions that begin in the past. */
struct hf_queue_arrival_seen {
    uint64_t position;
    struct hf_naive_news news;
};

/* The messages of a key, or of none. */
struct seen_key {
    struct seen_message *first; /* has not ended */
    struct seen_message *last;
};

struct seen_subscription {
    struct hf_str name;
    uint64_t uid;
    bool gone;
    struct hf_subscription_settings settings;
    struct hf_table messages; /* by place: struct seen_message, in the arena */
    struct hf_table keys;     /* by key hash: struct seen_key, in the arena */
    struct seen_subscription *next;
};

struct seen_delayed {
    uint64_t due_us;
    struct hf_place place;
    bool arrived;
    struct seen_delayed *next;
};

struct hf_witness {
    struct hf_arena arena;
    struct seen_subscription *subscriptions; /* newest first */
    struct seen_delayed *delayed;            /* newest first */
    struct hf_queue_arrival_seen **arrivals; /* owned array; the items in the arena */
    size_t arrival_count;
    size_t arrival_capacity;
    uint64_t parked_count;          /* ever */
    const struct hf_commit *commit; /* the one that is looked at */
    char *wrong;                    /* of the caller */
};

HF_PRINTF(2, 3) static bool say(struct hf_witness *w, const char *format, ...)
{
    char text[HF_WITNESS_BYTES - 32];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    (void)snprintf(w->wrong, HF_WITNESS_BYTES, "commit %llu: %s",
                   w->commit == NULL ? 0 : (ull)w->commit->position, text);
    return false;
}

static void *make(struct hf_witness *w, size_t size_bytes)
{
    void *made = hf_arena_alloc_zero(&w->arena, 1, size_bytes);
    HF_CHECK(made != NULL);
    return made;
}

struct hf_witness *hf_witness_new(void)
{
    struct hf_witness *w = calloc(1, sizeof(*w));
    HF_CHECK(w != NULL);
    hf_arena_init(&w->arena);
    return w;
}

void hf_witness_free(struct hf_witness *w)
{
    if (w == NULL) {
        return;
    }
    for (struct seen_subscription *s = w->subscriptions; s != NULL; s = s->next) {
        hf_table_release(&s->messages);
        hf_table_release(&s->keys);
    }
    free(w->arrivals);
    hf_arena_release(&w->arena);
    free(w);
}

/* ---- what has arrived ---- */

static struct hf_id id_of(const struct hf_place *place)
{
    struct hf_id id = {{0}};
    memcpy(id.bytes, &place->position, sizeof(place->position));
    memcpy(id.bytes + 8, &place->index, sizeof(place->index));
    return id;
}

static bool has_ended(const struct seen_message *message)
{
    return message->at == SEEN_ACKED || message->at == SEEN_DISCARDED;
}

static void arrive(struct hf_witness *w, struct seen_subscription *s,
                   const struct hf_queue_arrival_seen *arrival)
{
    struct seen_message *message = make(w, sizeof(*message));
    *message = (struct seen_message){.arrival = arrival, .at = SEEN_WAITING};
    struct hf_id id = id_of(&arrival->news.place);
    HF_CHECK(hf_table_reserve(&s->messages, 1) && hf_table_reserve(&s->keys, 1));
    HF_CHECK(hf_table_get(&s->messages, &id) == NULL);
    (void)hf_table_put(&s->messages, &id, message);
    struct seen_key *key = hf_table_get(&s->keys, &arrival->news.key_hash);
    if (key == NULL) {
        key = make(w, sizeof(*key));
        (void)hf_table_put(&s->keys, &arrival->news.key_hash, key);
    }
    if (key->first == NULL) {
        key->first = message;
    } else {
        key->last->behind = message;
    }
    key->last = message;
}

static struct seen_subscription *find(struct hf_witness *w, const struct hf_name *name,
                                      uint64_t uid)
{
    struct seen_subscription *s = w->subscriptions;
    while (s != NULL && (s->gone || s->uid != uid || !hf_str_equal(s->name, name->text))) {
        s = s->next;
    }
    return s;
}

/* Begins anew with what arrived behind the position. */
static void begin(struct hf_witness *w, struct seen_subscription *s, uint64_t scanned)
{
    hf_table_clear(&s->messages);
    hf_table_clear(&s->keys);
    for (size_t i = 0; i < w->arrival_count; i++) {
        if (w->arrivals[i]->position > scanned &&
            hf_naive_wants(&s->settings.filter, &w->arrivals[i]->news)) {
            arrive(w, s, w->arrivals[i]);
        }
    }
}

static struct hf_str keep(struct hf_witness *w, struct hf_str text)
{
    struct hf_str copy = HF_STR_NONE;
    if (hf_str_present(text)) {
        copy = hf_arena_copy(&w->arena, text);
        HF_CHECK(copy.ptr != NULL);
    }
    return copy;
}

static bool put(struct hf_witness *w, const struct hf_subscription_change *change)
{
    struct seen_subscription *s = find(w, &change->subscription, change->uid);
    bool made = s == NULL;
    if (made) {
        s = make(w, sizeof(*s));
        s->name = keep(w, change->subscription.text);
        s->uid = change->uid;
        hf_table_init(&s->messages, 1);
        hf_table_init(&s->keys, 1);
        s->next = w->subscriptions;
        w->subscriptions = s;
    }
    s->settings = change->settings;
    struct hf_filter *filter = &s->settings.filter;
    filter->topic.text = keep(w, filter->topic.text);
    filter->prefix = keep(w, filter->prefix);
    for (uint32_t i = 0; i < filter->type_count; i++) {
        filter->types[i] = keep(w, filter->types[i]);
    }
    if (made) {
        begin(w, s, change->scanned);
    }
    return true;
}

static bool changed(struct hf_witness *w, const struct hf_event *event)
{
    const struct hf_subscription_change *change = event->subscription;
    if (event->type == HF_EVENT_SUBSCRIPTION_PUT) {
        return put(w, change);
    }
    struct seen_subscription *s = find(w, &change->subscription, change->uid);
    if (s == NULL) {
        return say(w, "subscription %.*s is changed and not there",
                   (int)change->subscription.text.len, change->subscription.text.ptr);
    }
    if (event->type == HF_EVENT_SUBSCRIPTION_DELETED) {
        s->gone = true;
    } else {
        begin(w, s, change->scanned);
    }
    return true;
}

/* ---- deliveries ---- */

/* "17-0 of key k3 in u1" */
static const char *name_of(const struct seen_subscription *s, const struct hf_place *place,
                           const struct seen_message *message)
{
    static char text[200];
    (void)snprintf(text, sizeof(text), "%llu-%u of key %.*s in %.*s", (ull)place->position,
                   place->index, message == NULL ? 1 : (int)message->arrival->news.key.len,
                   message == NULL ? "?" : message->arrival->news.key.ptr, (int)s->name.len,
                   s->name.ptr);
    return text;
}

static struct seen_message *message_at(struct seen_subscription *s, const struct hf_place *place)
{
    struct hf_id id = id_of(place);
    return hf_table_get(&s->messages, &id);
}

/* The first message of the key that still counts in its order; the ended ones before it are forgotten. */
static struct seen_message *first_of_key(struct seen_subscription *s,
                                         const struct seen_message *message)
{
    struct seen_key *key = hf_table_get(&s->keys, &message->arrival->news.key_hash);
    HF_CHECK(key != NULL);
    while (key->first != NULL && (has_ended(key->first) || key->first->alone)) {
        key->first = key->first->behind;
    }
    return key->first;
}

/* An earlier message of its key that has not ended and is not out with this token; NULL: none. */
static const struct seen_message *earlier(struct seen_subscription *s,
                                          const struct seen_message *message, uint64_t token)
{
    if (s->settings.order != HF_ORDER_KEY || message->alone) {
        return NULL;
    }
    const struct seen_message *at = first_of_key(s, message);
    for (; at != message; at = at->behind) {
        HF_CHECK(at != NULL);
        bool together = token != 0 && at->at == SEEN_OUT && at->token == token;
        if (!has_ended(at) && !at->alone && !together) {
            return at;
        }
    }
    return NULL;
}

static bool delivery(struct hf_witness *w, struct seen_subscription *s,
                     const struct hf_delivered *delivered, const struct hf_delivery *d)
{
    struct seen_message *message = message_at(s, &d->message);
    const char *name = name_of(s, &d->message, message);
    if (message == NULL || message->arrival->position >= w->commit->position) {
        return say(w, "message %s is delivered and has not arrived", name);
    }
    if (message->at != SEEN_WAITING && message->at != SEEN_BACKING_OFF) {
        return say(w, "message %s is delivered while it is %s (receive at %llu)", name,
                   seen_names[message->at], (ull)message->token);
    }
    if (message->at == SEEN_BACKING_OFF && message->not_before_us > w->commit->time_us) {
        return say(w, "message %s is delivered %llu us before it may be", name,
                   (ull)(message->not_before_us - w->commit->time_us));
    }
    const struct seen_message *before = earlier(s, message, w->commit->position);
    if (before != NULL) {
        return say(w, "message %s is delivered while the earlier one %llu-%u of its key is %s",
                   name, (ull)before->arrival->news.place.position,
                   before->arrival->news.place.index, seen_names[before->at]);
    }
    if (d->attempt != 1 + message->tries) {
        return say(w, "message %s is delivered as attempt %u after %u failed tries", name,
                   d->attempt, message->tries);
    }
    message->at = SEEN_OUT;
    message->token = w->commit->position;
    message->deadline_us = delivered->deadline_us;
    message->lease_ms = delivered->lease_ms;
    return true;
}

static bool deliver(struct hf_witness *w, const struct hf_delivered *delivered)
{
    struct seen_subscription *s = find(w, &delivered->subscription, delivered->uid);
    if (s == NULL) {
        return say(w, "a receive from a subscription that is not there");
    }
    for (uint32_t i = 0; i < delivered->count; i++) {
        if (!delivery(w, s, delivered, &delivered->deliveries[i])) {
            return false;
        }
    }
    return true;
}

/* ---- what comes back ---- */

/* Those behind it that went out with it wait again. */
static void bring_back(struct seen_subscription *s, struct seen_message *message)
{
    if (s->settings.order != HF_ORDER_KEY || message->alone) {
        return;
    }
    struct seen_message *at = message->behind;
    for (; at != NULL; at = at->behind) {
        if (at->at == SEEN_OUT && at->token == message->token) {
            at->at = SEEN_WAITING;
        }
    }
}

static bool check_receipt(struct hf_witness *w, struct seen_subscription *s,
                          const struct seen_message *message, const struct hf_settled_item *item)
{
    const char *name = name_of(s, &item->message, message);
    bool timer =
        item->settlement == HF_SETTLED_TIMED_OUT ||
        (item->settlement == HF_SETTLED_PARKED && hf_str_equal(item->error, HF_STR("timeout")));
    if (message->at != SEEN_OUT) {
        return say(w, "message %s is settled with token %llu while it is %s", name,
                   (ull)item->token, seen_names[message->at]);
    }
    if (item->token != message->token) {
        return say(w, "message %s is settled with the stale token %llu; it is out with %llu", name,
                   (ull)item->token, (ull)message->token);
    }
    if (!timer && message->deadline_us <= w->commit->time_us) {
        return say(w, "message %s is settled %llu us after its lease ended", name,
                   (ull)(w->commit->time_us - message->deadline_us));
    }
    if (timer && w->commit->origin == HF_ORIGIN_SYSTEM &&
        message->deadline_us > w->commit->time_us) {
        return say(w, "message %s times out %llu us early", name,
                   (ull)(message->deadline_us - w->commit->time_us));
    }
    const struct seen_message *before = earlier(s, message, 0);
    if (before != NULL) {
        return say(w, "message %s is settled before the earlier one %llu-%u of its key", name,
                   (ull)before->arrival->news.place.position, before->arrival->news.place.index);
    }
    return true;
}

static bool settle_item(struct hf_witness *w, struct seen_subscription *s,
                        const struct hf_settled_item *item)
{
    struct seen_message *message = message_at(s, &item->message);
    if (message == NULL) {
        return say(w, "message %s is settled and has not arrived",
                   name_of(s, &item->message, message));
    }
    const char *name = name_of(s, &item->message, message);
    if (item->settlement == HF_SETTLED_DISCARDED) {
        bool parked = message->at == SEEN_PARKED;
        message->at = SEEN_DISCARDED;
        return parked || say(w, "message %s is discarded and was not parked", name);
    }
    if (!check_receipt(w, s, message, item)) {
        return false;
    }
    if (item->settlement == HF_SETTLED_ACKED) {
        message->at = SEEN_ACKED;
        return true;
    }
    bool asked = item->settlement == HF_SETTLED_PARKED && item->tries == message->tries;
    if (!asked && item->tries != message->tries + 1) {
        return say(w, "message %s has %u failed tries after this one, and had %u before", name,
                   item->tries, message->tries);
    }
    message->tries = item->tries;
    bring_back(s, message);
    message->at = item->settlement == HF_SETTLED_PARKED ? SEEN_PARKED : SEEN_BACKING_OFF;
    message->parked_order = ++w->parked_count;
    message->alone = message->alone || item->own_line;
    message->not_before_us = item->not_before_us;
    return true;
}

static bool settle(struct hf_witness *w, const struct hf_settled *settled)
{
    struct seen_subscription *s = find(w, &settled->subscription, settled->uid);
    if (s == NULL) {
        return say(w, "messages are settled in a subscription that is not there");
    }
    for (uint32_t i = 0; i < settled->count; i++) {
        const struct hf_settled_item *item = &settled->items[i];
        if (item->code == HF_ERR_OK && !item->repeated && !settle_item(w, s, item)) {
            return false;
        }
    }
    return true;
}

/* The first message of the line with this id: a key's, or one by itself. */
static struct seen_message *first_of_line(struct seen_subscription *s, const struct hf_id *line)
{
    struct seen_key *key = hf_table_get(&s->keys, line);
    if (key != NULL && s->settings.order == HF_ORDER_KEY) {
        return key->first == NULL ? NULL : first_of_key(s, key->first);
    }
    struct hf_place place = {0};
    for (size_t i = 0; i < 8; i++) {
        place.position = place.position << 8 | line->bytes[i];
    }
    for (size_t i = 12; i < 16; i++) {
        place.index = place.index << 8 | line->bytes[i];
    }
    return message_at(s, &place);
}

static bool extend(struct hf_witness *w, const struct hf_extended *extended)
{
    struct seen_subscription *s = find(w, &extended->subscription, extended->uid);
    if (s == NULL) {
        return say(w, "a delivery is extended in a subscription that is not there");
    }
    if (extended->code != HF_ERR_OK) {
        return true;
    }
    struct seen_message *message = first_of_line(s, &extended->line);
    if (message == NULL || message->at != SEEN_OUT || message->token != extended->token) {
        return say(w, "a delivery of %.*s is extended with the stale token %llu", (int)s->name.len,
                   s->name.ptr, (ull)extended->token);
    }
    if (message->deadline_us <= w->commit->time_us) {
        return say(w, "a delivery of %.*s is extended after its lease ended", (int)s->name.len,
                   s->name.ptr);
    }
    bool group = s->settings.order == HF_ORDER_KEY && !message->alone;
    for (; message != NULL; message = group ? message->behind : NULL) {
        if (message->at == SEEN_OUT && message->token == extended->token) {
            message->deadline_us = extended->deadline_us;
            message->lease_ms = extended->lease_ms;
        }
    }
    return true;
}

static bool redrive(struct hf_witness *w, const struct hf_redriven *redriven)
{
    struct seen_subscription *s = find(w, &redriven->subscription, redriven->uid);
    uint64_t order = 0;
    if (s == NULL) {
        return say(w, "a redrive in a subscription that is not there");
    }
    for (uint32_t i = 0; i < redriven->count; i++) {
        struct seen_message *message = first_of_line(s, &redriven->lines[i]);
        if (message == NULL || message->at != SEEN_PARKED) {
            return say(w, "line %u of a redrive of %.*s is not parked but %s", i, (int)s->name.len,
                       s->name.ptr, message == NULL ? "not there" : seen_names[message->at]);
        }
        if (message->parked_order < order) {
            return say(w, "message %s is redriven after one that was parked later",
                       name_of(s, &message->arrival->news.place, message));
        }
        order = message->parked_order;
        message->at = SEEN_WAITING;
        message->tries = 0;
    }
    return true;
}

/* What is out gets one fresh term. */
static void take_over(struct hf_witness *w)
{
    for (struct seen_subscription *s = w->subscriptions; s != NULL; s = s->next) {
        size_t at = 0;
        struct seen_message *message;
        while (!s->gone && (message = hf_table_next(&s->messages, &at)) != NULL) {
            if (message->at == SEEN_OUT) {
                message->deadline_us = w->commit->time_us + message->lease_ms * 1000;
            }
        }
    }
}

/* ---- the log ---- */

static bool due(struct hf_witness *w, const struct hf_message_due *due)
{
    struct seen_delayed *at = w->delayed;
    while (at != NULL &&
           (at->place.position != due->message.position || at->place.index != due->message.index)) {
        at = at->next;
    }
    if (at == NULL || at->arrived) {
        return say(w, "message %llu-%u is due and was %s", (ull)due->message.position,
                   due->message.index, at == NULL ? "not delayed" : "due before");
    }
    if (at->due_us > w->commit->time_us) {
        return say(w, "message %llu-%u arrives %llu us early", (ull)due->message.position,
                   due->message.index, (ull)(at->due_us - w->commit->time_us));
    }
    at->arrived = true;
    return true;
}

static bool look_at(struct hf_witness *w, const struct hf_event *event)
{
    switch ((int)event->type) {
    case HF_EVENT_MESSAGE_DUE:
        return due(w, &event->due);
    case HF_EVENT_SUBSCRIPTION_PUT:
    case HF_EVENT_SUBSCRIPTION_DELETED:
    case HF_EVENT_SUBSCRIPTION_SOUGHT:
        return changed(w, event);
    case HF_EVENT_MESSAGES_DELIVERED:
        return deliver(w, &event->delivered);
    case HF_EVENT_MESSAGES_SETTLED:
        return settle(w, &event->settled);
    case HF_EVENT_DELIVERY_EXTENDED:
        return extend(w, &event->extended);
    case HF_EVENT_MESSAGES_REDRIVEN:
        return redrive(w, &event->redriven);
    case HF_EVENT_TAKEOVER:
        take_over(w);
        return true;
    default:
        return true;
    }
}

static void take_arrival(struct hf_witness *w, const struct hf_naive_news *news)
{
    if (w->arrival_count == w->arrival_capacity) {
        w->arrival_capacity = w->arrival_capacity == 0 ? 256 : w->arrival_capacity * 2;
        w->arrivals =
            realloc(w->arrivals, w->arrival_capacity * sizeof(struct hf_queue_arrival_seen *));
        HF_CHECK(w->arrivals != NULL);
    }
    struct hf_queue_arrival_seen *arrival = make(w, sizeof(*arrival));
    *arrival = (struct hf_queue_arrival_seen){.position = w->commit->position, .news = *news};
    w->arrivals[w->arrival_count++] = arrival;
    for (struct seen_subscription *s = w->subscriptions; s != NULL; s = s->next) {
        if (!s->gone && hf_naive_wants(&s->settings.filter, news)) {
            arrive(w, s, arrival);
        }
    }
}

bool hf_witness_commit(struct hf_witness *w, const struct hf_commit *commit,
                       char wrong[HF_WITNESS_BYTES])
{
    w->commit = commit;
    w->wrong = wrong;
    for (uint32_t i = 0; i < commit->event_count; i++) {
        if (!look_at(w, commit->events[i])) {
            return false;
        }
    }
    for (uint32_t i = 0; i < commit->event_count; i++) {
        struct hf_naive_news news = hf_naive_news_of(commit, i, &w->arena);
        if (news.arrives) {
            take_arrival(w, &news);
        } else if (commit->events[i]->type == HF_EVENT_MESSAGE_PUBLISHED) {
            struct seen_delayed *delayed = make(w, sizeof(*delayed));
            *delayed = (struct seen_delayed){.due_us = commit->events[i]->published.deliver_at_us,
                                             .place = news.place,
                                             .next = w->delayed};
            w->delayed = delayed;
        }
    }
    return true;
}

static bool drained(struct hf_witness *w, struct seen_subscription *s)
{
    size_t at = 0;
    const struct seen_message *message;
    while ((message = hf_table_next(&s->messages, &at)) != NULL) {
        const struct seen_message *first = first_of_key(s, message);
        bool behind = s->settings.order == HF_ORDER_KEY && !message->alone && first != NULL &&
                      first->at == SEEN_PARKED;
        if (!has_ended(message) && message->at != SEEN_PARKED && !behind) {
            return say(w, "message %s never ended: it is %s",
                       name_of(s, &message->arrival->news.place, message), seen_names[message->at]);
        }
    }
    return true;
}

bool hf_witness_drained(struct hf_witness *w, char wrong[HF_WITNESS_BYTES])
{
    w->commit = NULL;
    w->wrong = wrong;
    for (struct seen_subscription *s = w->subscriptions; s != NULL; s = s->next) {
        if (!s->gone && !drained(w, s)) {
            return false;
        }
    }
    return true;
}
