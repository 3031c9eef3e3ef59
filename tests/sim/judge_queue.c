/* Readings of subscriptions, dead letters and messages: against the model, and the log walked from its beginning. */
#include <stdarg.h>
#include <stdlib.h>

#include "base/check.h"
#include "sim/judge_priv.h"
#include "sim/model_queue_priv.h"

typedef unsigned long long ull;

HF_PRINTF(2, 3) static bool say(char *difference, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(difference, HF_DIFFERENCE_BYTES, format, arguments);
    va_end(arguments);
    return false;
}

static bool expect_code(const struct run_reading *real, enum hf_err expected, char *difference)
{
    return real->code == expected || say(difference, "the read says %s, model says %s",
                                         hf_err_wire(real->code), hf_err_wire(expected));
}

static bool same(const char *what, uint64_t real, uint64_t model, char *difference)
{
    return real == model ||
           say(difference, "%s is %llu, model says %llu", what, (ull)real, (ull)model);
}

/* ---- subscriptions ---- */

/* When the next line may go again; UINT64_MAX: none backs off. */
static uint64_t next_ready(const struct hf_naive_subscription *model)
{
    uint64_t next_us = UINT64_MAX;
    for (const struct hf_naive_line *line = model->lines; line != NULL; line = line->next) {
        if (line->first->at == HF_NAIVE_BACKING_OFF && line->due_us < next_us) {
            next_us = line->due_us;
        }
    }
    return next_us;
}

bool judge_subscription(struct judge *judge, const struct hf_query *query,
                        const struct run_reading *real, char *difference)
{
    const struct hf_model *all = judge->checker.model;
    const struct hf_naive_subscription *model = hf_naive_find(all, &query->name);
    if (model == NULL || real->code != HF_ERR_OK) {
        return expect_code(real, model == NULL ? HF_ERR_SUBSCRIPTION_NOT_FOUND : HF_ERR_OK,
                           difference);
    }
    const struct run_subscription *s = &real->subscription;
    uint64_t scanned = model->live ? all->position : model->scanned;
    uint64_t waiting = model->arrived - model->ended - model->in_flight - model->parked;
    return same("uid", s->uid, model->uid, difference) &&
           same("version", s->version, model->version, difference) &&
           same("live", s->live, model->live, difference) &&
           same("scanned", s->scanned, scanned, difference) &&
           same("lag", s->lag, all->position - scanned, difference) &&
           same("arrived", s->arrived, model->arrived, difference) &&
           same("ended", s->ended, model->ended, difference) &&
           same("acked", s->acked, model->acked, difference) &&
           same("discarded", s->discarded, model->discarded, difference) &&
           same("deliveries", s->deliveries, model->deliveries, difference) &&
           same("failed tries", s->failed_tries, model->failed_tries, difference) &&
           same("parkings", s->parkings, model->parkings, difference) &&
           same("in flight", s->in_flight, model->in_flight, difference) &&
           same("waiting", s->waiting, waiting, difference) &&
           same("dead letters", s->parked_lines, model->parked, difference) &&
           same("next ready", s->next_ready_us, next_ready(model), difference);
}

/* The first of those that are listed behind `after`, in the order of their names; NULL: no more. */
static const struct hf_naive_subscription *
next_listed(const struct hf_model *model, const struct hf_query *query, struct hf_str after)
{
    const struct hf_naive_subscription *next = NULL;
    const struct hf_naive_subscription *at = model->queue.subscriptions;
    for (; at != NULL; at = at->next) {
        struct hf_str name = at->name.text;
        bool listed = !at->gone && name.len >= query->prefix.len &&
                      (query->prefix.len == 0 ||
                       memcmp(name.ptr, query->prefix.ptr, query->prefix.len) == 0) &&
                      (after.len == 0 || hf_str_compare(name, after) > 0);
        if (listed && (next == NULL || hf_str_compare(name, next->name.text) < 0)) {
            next = at;
        }
    }
    return next;
}

bool judge_subscriptions(struct judge *judge, const struct hf_query *query,
                         const struct run_reading *real, char *difference)
{
    const struct hf_model *model = judge->checker.model;
    struct hf_str after = query->after;
    if (!expect_code(real, HF_ERR_OK, difference)) {
        return false;
    }
    for (uint32_t i = 0; i < real->name_count; i++) {
        const struct hf_naive_subscription *next = next_listed(model, query, after);
        if (next == NULL || !hf_str_equal(next->name.text, real->names[i])) {
            return say(difference, "item %u of the list is %.*s, model says %.*s", i,
                       (int)real->names[i].len, real->names[i].ptr,
                       next == NULL ? 4 : (int)next->name.text.len,
                       next == NULL ? "none" : next->name.text.ptr);
        }
        after = next->name.text;
    }
    bool more = next_listed(model, query, after) != NULL;
    return same("more", real->more, more, difference) &&
           (real->more || real->name_count <= query->limit ||
            say(difference, "more items than were asked for"));
}

/* ---- dead letters ---- */

bool judge_dead(struct judge *judge, const struct hf_query *query, const struct run_reading *real,
                char *difference)
{
    struct hf_model *all = judge->checker.model;
    const struct hf_naive_subscription *model = hf_naive_find(all, &query->name);
    struct hf_naive_line **lines;
    uint32_t told = 0;
    if (model == NULL || real->code != HF_ERR_OK) {
        return expect_code(real, model == NULL ? HF_ERR_SUBSCRIPTION_NOT_FOUND : HF_ERR_OK,
                           difference);
    }
    size_t count = hf_naive_parked(all, model, &lines);
    for (size_t i = 0; i < count; i++) {
        const struct hf_naive_message *first = lines[i]->first;
        if (!hf_naive_error_wanted(lines[i], query->error_contains)) {
            continue;
        }
        if (told == real->dead_count) {
            return real->more || say(difference, "dead letter %llu-%u is left out",
                                     (ull)first->place.position, first->place.index);
        }
        const struct run_dead *dead = &real->dead[told++];
        if (dead->place.position != first->place.position ||
            dead->place.index != first->place.index) {
            return say(difference, "dead letter %u is %llu-%u, model says %llu-%u", told - 1,
                       (ull)dead->place.position, dead->place.index, (ull)first->place.position,
                       first->place.index);
        }
        if (!same("tries of the dead letter", dead->tries, first->tries, difference) ||
            !same("its time", dead->parked_at_us, lines[i]->parked_at_us, difference) ||
            !hf_str_equal(dead->error, lines[i]->error)) {
            return difference[0] != '\0' || say(difference, "another error");
        }
    }
    return same("dead letters", real->dead_count, told, difference);
}

/* ---- messages ---- */

bool judge_messages(struct judge *judge, const struct hf_query *query,
                    const struct run_reading *real, char *difference)
{
    bool there = true;
    for (uint32_t i = 0; there && i < query->limit; i++) {
        const struct hf_place *place = &query->places[i];
        there = place->position > 0 && place->position <= judge->checker.model->position &&
                place->index < judge->commits[place->position - 1].commit.event_count;
    }
    if (!there || real->code != HF_ERR_OK) {
        return expect_code(real, there ? HF_ERR_OK : HF_ERR_MESSAGE_NOT_FOUND, difference);
    }
    for (uint32_t i = 0; i < real->item_count; i++) {
        const struct hf_place *place = &query->places[i];
        if (real->items[i].position != place->position || real->items[i].event != place->index ||
            real->items[i].commit_checksum != judge->commits[place->position - 1].checksum) {
            return say(difference, "message %u is not the event %llu-%u of the log", i,
                       (ull)place->position, place->index);
        }
    }
    return same("messages", real->item_count, query->limit, difference);
}

#define TRIES_MAX 512u

/* The tries of a message as the log has them since it came (again), oldest first. */
struct tries {
    const struct hf_naive_subscription *subscription;
    const struct hf_query *query;
    struct run_try all[TRIES_MAX];
    uint32_t count;
    bool anew;   /* a seek came behind the last one */
    bool sought; /* there was a seek */
};

static bool is_it(const struct tries *tries, const struct hf_place *place)
{
    return place->position == tries->query->message_position &&
           place->index == tries->query->message_index;
}

static struct run_try *add(struct tries *tries)
{
    if (tries->anew) {
        tries->count = 0;
        tries->anew = false;
    }
    HF_CHECK(tries->count < TRIES_MAX);
    tries->all[tries->count] = (struct run_try){0};
    return &tries->all[tries->count++];
}

static void note_settled(struct tries *tries, uint64_t position, const struct hf_settled *settled)
{
    for (uint32_t i = 0; i < settled->count; i++) {
        const struct hf_settled_item *item = &settled->items[i];
        if (item->code != HF_ERR_OK || item->repeated || !is_it(tries, &item->message)) {
            continue;
        }
        bool end_only = item->settlement == HF_SETTLED_DISCARDED;
        struct run_try *try = end_only ? add(tries) : &tries->all[tries->count - 1];
        try->ended_by = position;
        try->end = item->settlement;
    }
}

static void note_event(struct tries *tries, uint64_t position, const struct hf_event *event)
{
    uint64_t uid = tries->subscription->uid;
    if (event->type == HF_EVENT_SUBSCRIPTION_SOUGHT && event->subscription->uid == uid) {
        tries->anew = true;
        tries->sought = true;
    } else if (event->type == HF_EVENT_MESSAGES_SETTLED && event->settled.uid == uid) {
        note_settled(tries, position, &event->settled);
    } else if (event->type == HF_EVENT_MESSAGES_DELIVERED && event->delivered.uid == uid) {
        for (uint32_t i = 0; i < event->delivered.count; i++) {
            if (is_it(tries, &event->delivered.deliveries[i].message)) {
                add(tries)->delivered_by = position;
            }
        }
    }
}

/* What the model says that it is; 0: a seek has left it behind, or it is none of the subscription's. */
static enum hf_message_state state_of(const struct hf_model *model,
                                      const struct hf_naive_subscription *subscription,
                                      const struct hf_place *place)
{
    static const enum hf_message_state states[] = {
        [HF_NAIVE_WAITING] = HF_MESSAGE_WAITING,
        [HF_NAIVE_OUT] = HF_MESSAGE_IN_FLIGHT,
        [HF_NAIVE_BACKING_OFF] = HF_MESSAGE_BACKING_OFF,
        [HF_NAIVE_PARKED] = HF_MESSAGE_PARKED,
        [HF_NAIVE_ACKED] = HF_MESSAGE_ACKED,
        [HF_NAIVE_DISCARDED] = HF_MESSAGE_DISCARDED,
        [HF_NAIVE_FORGOTTEN] = 0,
    };
    const struct hf_naive_message *message = hf_naive_message(subscription, place);
    const struct hf_naive_waiting *waiting = model->queue.delayed;
    for (; waiting != NULL; waiting = waiting->next) {
        if (!waiting->arrived && waiting->message.message.position == place->position &&
            waiting->message.message.index == place->index) {
            return HF_MESSAGE_DELAYED;
        }
    }
    return message == NULL ? 0 : states[message->at];
}

static bool was_delayed(const struct judge *judge, const struct hf_place *place)
{
    if (place->position == 0 || place->position > judge->count) {
        return false;
    }
    const struct hf_commit *commit = &judge->commits[place->position - 1].commit;
    const struct hf_event *event =
        place->index < commit->event_count ? commit->events[place->index] : NULL;
    return event != NULL && event->type == HF_EVENT_MESSAGE_PUBLISHED &&
           event->published.deliver_at_us != 0;
}

bool judge_history(struct judge *judge, const struct hf_query *query,
                   const struct run_reading *real, char *difference)
{
    const struct hf_model *all = judge->checker.model;
    struct tries *tries = calloc(1, sizeof(*tries));
    HF_CHECK(tries != NULL);
    tries->query = query;
    tries->subscription = hf_naive_find(all, &query->name);
    if (tries->subscription == NULL) {
        free(tries);
        return expect_code(real, HF_ERR_SUBSCRIPTION_NOT_FOUND, difference);
    }
    for (uint64_t i = 0; i < all->position; i++) {
        const struct hf_commit *commit = &judge->commits[i].commit;
        for (uint32_t j = 0; j < commit->event_count; j++) {
            note_event(tries, commit->position, commit->events[j]);
        }
    }
    struct hf_place place = {.position = query->message_position, .index = query->message_index};
    enum hf_message_state state = state_of(all, tries->subscription, &place);
    bool ok = true;
    bool done = state == HF_MESSAGE_ACKED || state == HF_MESSAGE_DISCARDED;
    if (done && tries->anew && !tries->subscription->live &&
        place.position > tries->subscription->scanned) {
        state = HF_MESSAGE_WAITING; /* a seek went behind it, and a scan will bring it again */
    }
    if (tries->sought && was_delayed(judge, &place)) {
        state =
            0; /* whether a seek went behind its arrival is told by its time alone, which is near enough */
    }
    if (state != 0 && state != HF_MESSAGE_DELAYED) {
        ok = expect_code(real, HF_ERR_OK, difference) &&
             same("state of the message", real->message_state, state, difference);
    }
    for (uint32_t i = 0; ok && real->code == HF_ERR_OK && i < real->try_count; i++) {
        const struct run_try none = {0};
        const struct run_try *try = i < tries->count ? &tries->all[tries->count - 1 - i] : &none;
        ok = same("commit of a delivery", real->tries[i].delivered_by, try->delivered_by,
                  difference) &&
             same("commit of its end", real->tries[i].ended_by, try->ended_by, difference) &&
             same("end of the try", real->tries[i].end, try->end, difference);
    }
    if (ok && real->code == HF_ERR_OK && !real->more) {
        ok = same("tries", real->try_count, tries->count, difference);
    }
    free(tries);
    return ok;
}
