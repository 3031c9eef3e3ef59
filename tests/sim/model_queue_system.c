/* What the system does to topics and subscriptions by itself, and what arrives behind each commit. */
#include "sim/model_queue_priv.h"

#include <stdlib.h>

/* ---- arrivals ---- */

static void remember_arrival(struct hf_naive_queues *queue, uint64_t position,
                             const struct hf_naive_news *news)
{
    if (queue->arrival_count == queue->arrival_capacity) {
        queue->arrival_capacity = queue->arrival_capacity == 0 ? 256 : queue->arrival_capacity * 2;
        queue->arrivals =
            realloc(queue->arrivals, queue->arrival_capacity * sizeof(*queue->arrivals));
        HF_CHECK(queue->arrivals != NULL);
    }
    queue->arrivals[queue->arrival_count++] =
        (struct hf_naive_arrival){.position = position, .news = *news};
}

static void wait_for_due(struct hf_model *model, const struct hf_commit *commit, uint32_t index,
                         const struct hf_naive_news *news)
{
    const struct hf_published *published = &commit->events[index]->published;
    struct hf_naive_waiting *waiting = hf_arena_alloc_zero(&model->arena, 1, sizeof(*waiting));
    HF_CHECK(waiting != NULL);
    *waiting = (struct hf_naive_waiting){
        .due_us = published->deliver_at_us,
        .message = {.message = news->place,
                    .topic = hf_model_copy_name(&model->arena, &published->topic),
                    .key = news->key,
                    .key_hash = news->key_hash,
                    .type = news->type},
        .next = model->queue.delayed,
    };
    model->queue.delayed = waiting;
}

/* More lines than it may have with what this commit brings? If it has few, one commit always fits. */
static bool overflows(const struct hf_naive_subscription *subscription, uint64_t arriving)
{
    uint64_t most = subscription->settings.lines_max;
    uint64_t more = arriving;
    if (subscription->settings.order == HF_ORDER_NONE) {
        struct hf_id main_line = {{0}};
        more = hf_naive_line(subscription, &main_line) == NULL ? 1 : 0;
    }
    return subscription->line_count > most / 2 && subscription->line_count + more > most;
}

/* The arrivals of the newest commit, from `first` on. */
static void arrive_at(struct hf_model *model, struct hf_naive_subscription *subscription,
                      size_t first)
{
    struct hf_naive_queues *queue = &model->queue;
    uint64_t arriving = 0;
    for (size_t i = first; i < queue->arrival_count; i++) {
        arriving += hf_naive_wants(&subscription->settings.filter, &queue->arrivals[i].news);
    }
    if (arriving > 0 && overflows(subscription, arriving)) {
        subscription->live = false;
        subscription->scanned = model->position - 1;
        model->counts.queue.fell_behind++;
        return;
    }
    for (size_t i = first; arriving > 0 && i < queue->arrival_count; i++) {
        if (hf_naive_wants(&subscription->settings.filter, &queue->arrivals[i].news)) {
            hf_naive_arrive(model, subscription, &queue->arrivals[i].news);
            model->counts.queue.arrived++;
        }
    }
}

void hf_naive_commit_ends(struct hf_model *model, const struct hf_commit *commit)
{
    struct hf_naive_queues *queue = &model->queue;
    size_t first = queue->arrival_count;
    for (uint32_t i = 0; i < commit->event_count; i++) {
        struct hf_naive_news news = hf_naive_news_of(commit, i, &model->arena);
        bool published = commit->events[i]->type == HF_EVENT_MESSAGE_PUBLISHED;
        model->counts.queue.published += published && news.arrives;
        model->counts.queue.published_delayed += published && !news.arrives;
        if (news.arrives) {
            remember_arrival(queue, commit->position, &news);
        } else if (published) {
            wait_for_due(model, commit, i, &news);
        }
    }
    struct hf_naive_subscription *subscription = queue->subscriptions;
    for (; subscription != NULL; subscription = subscription->next) {
        if (!subscription->gone && subscription->live) {
            arrive_at(model, subscription, first);
        }
    }
    model->undo_count = 0;
}

/* ---- delayed messages ---- */

static bool due_before(const struct hf_naive_waiting *a, const struct hf_naive_waiting *b)
{
    const struct hf_place *left = &a->message.message;
    const struct hf_place *right = &b->message.message;
    if (a->due_us != b->due_us) {
        return a->due_us < b->due_us;
    }
    return left->position != right->position ? left->position < right->position
                                             : left->index < right->index;
}

/* The next one in the order in which they arrive; NULL: none waits. */
static struct hf_naive_waiting *next_due(const struct hf_model *model)
{
    struct hf_naive_waiting *next = NULL;
    for (struct hf_naive_waiting *at = model->queue.delayed; at != NULL; at = at->next) {
        if (!at->arrived && (next == NULL || due_before(at, next))) {
            next = at;
        }
    }
    return next;
}

const struct hf_event *hf_naive_due(struct hf_model *model, const char **wrong)
{
    struct hf_naive_waiting *next = next_due(model);
    if (next == NULL) {
        *wrong = "a message is due, but none was delayed";
        return NULL;
    }
    if (next->due_us > model->time_us) {
        *wrong = "a delayed message arrives early";
        return NULL;
    }
    next->arrived = true;
    model->counts.queue.due_by_timer++;
    struct hf_event *event = hf_model_event(model, HF_EVENT_MESSAGE_DUE, HF_NO_OPERATION);
    event->due = next->message;
    return event;
}

/* ---- time-outs ---- */

/* The out line of the subscription whose time has come first; NULL: none. */
struct hf_naive_line *hf_naive_first_out(const struct hf_naive_subscription *subscription,
                                         uint64_t now_us)
{
    struct hf_naive_line *first = NULL;
    for (struct hf_naive_line *line = subscription->lines; line != NULL; line = line->next) {
        if (line->first->at != HF_NAIVE_OUT || line->due_us > now_us) {
            continue;
        }
        if (first == NULL || line->due_us < first->due_us ||
            (line->due_us == first->due_us && line->born < first->born)) {
            first = line;
        }
    }
    return first;
}

/* In the place before the first item: where the jitters are. */
struct hf_event *hf_naive_settled_event(struct hf_model *model,
                                        const struct hf_naive_subscription *subscription,
                                        uint32_t operation, size_t room)
{
    struct hf_settled_item *items = hf_arena_alloc_zero(&model->scratch, room + 1, sizeof(*items));
    uint64_t *jitters_us = hf_arena_alloc_zero(&model->scratch, room + 1, sizeof(*jitters_us));
    HF_CHECK(items != NULL && jitters_us != NULL);
    items[0].error = (struct hf_str){(const char *)jitters_us, room};
    struct hf_event *event = hf_model_event(model, HF_EVENT_MESSAGES_SETTLED, operation);
    event->settled = (struct hf_settled){
        .subscription = subscription->name, .uid = subscription->uid, .items = items + 1};
    return event;
}

const uint64_t *hf_naive_jitters_us(const struct hf_settled *settled)
{
    return (const uint64_t *)(const void *)settled->items[-1].error.ptr;
}

void hf_naive_add_item(struct hf_settled *settled, const struct hf_settled_item *item,
                       uint64_t jitter_us)
{
    struct hf_settled_item *items = (struct hf_settled_item *)settled->items;
    uint64_t *jitters_us = (uint64_t *)hf_naive_jitters_us(settled);
    HF_CHECK(settled->count < items[-1].error.len);
    jitters_us[settled->count] = jitter_us;
    items[settled->count++] = *item;
}

static size_t out_lines(const struct hf_naive_subscription *subscription)
{
    size_t count = 0;
    for (struct hf_naive_line *line = subscription->lines; line != NULL; line = line->next) {
        count += line->first->at == HF_NAIVE_OUT;
    }
    return count;
}

const struct hf_event *hf_naive_time_out(struct hf_model_turn *turn,
                                         struct hf_naive_subscription *subscription, size_t most)
{
    struct hf_model *model = turn->model;
    const struct hf_naive_failure failure = {.settlement = HF_SETTLED_TIMED_OUT,
                                             .error = HF_STR("timeout")};
    struct hf_event *event = NULL;
    for (size_t i = 0; i < most; i++) {
        struct hf_naive_line *line = hf_naive_first_out(subscription, turn->time_us);
        if (line == NULL) {
            break;
        }
        if (event == NULL) {
            event = hf_naive_settled_event(model, subscription, HF_NO_OPERATION,
                                           out_lines(subscription));
        }
        struct hf_naive_message *message = line->first;
        struct hf_settled_item item = hf_naive_fail(turn, subscription, message, &failure);
        bool open = message->at == HF_NAIVE_BACKING_OFF;
        hf_naive_add_item(&event->settled, &item, open ? message->line->jitter_us : 0);
    }
    return event;
}

const struct hf_event *hf_naive_time_out_event(struct hf_model *model,
                                               const struct hf_settled *settled)
{
    struct hf_naive_subscription *subscription = hf_naive_find(model, &settled->subscription);
    struct hf_model_turn turn = {
        .model = model, .position = model->position, .time_us = model->time_us};
    if (subscription == NULL) {
        return NULL;
    }
    const struct hf_event *event = hf_naive_time_out(&turn, subscription, settled->count);
    model->counts.queue.timed_out_by_timer += event == NULL ? 0 : event->settled.count;
    model->undo_count = 0;
    return event;
}

/* The jitter that was left open is as it was recorded. */
void hf_naive_adopt(struct hf_model *model, const struct hf_commit *commit)
{
    for (uint32_t i = 0; i < commit->event_count; i++) {
        const struct hf_settled *settled = &commit->events[i]->settled;
        if (commit->events[i]->type != HF_EVENT_MESSAGES_SETTLED) {
            continue;
        }
        struct hf_naive_subscription *subscription = hf_naive_find(model, &settled->subscription);
        for (uint32_t j = 0; subscription != NULL && j < settled->count; j++) {
            struct hf_naive_line *line = hf_naive_line(subscription, &settled->items[j].line);
            if (line != NULL && line->first->at == HF_NAIVE_BACKING_OFF && line->jitter_us > 0 &&
                settled->items[j].not_before_us != 0) {
                line->due_us = settled->items[j].not_before_us;
                line->jitter_us = 0;
            }
        }
    }
}

void hf_naive_takeover(struct hf_model *model)
{
    struct hf_naive_subscription *subscription = model->queue.subscriptions;
    for (; subscription != NULL; subscription = subscription->next) {
        struct hf_naive_line *line = subscription->gone ? NULL : subscription->lines;
        for (; line != NULL; line = line->next) {
            if (line->first->at == HF_NAIVE_OUT) {
                line->due_us = model->time_us + line->lease_ms * 1000;
                model->counts.queue.fresh_terms++;
            }
        }
    }
}

/* ---- scans ---- */

static bool same_arrival(const struct hf_arrival *real, const struct hf_naive_news *news)
{
    return real->message.position == news->place.position &&
           real->message.index == news->place.index && real->message.bytes == news->place.bytes &&
           memcmp(real->key_hash.bytes, news->key_hash.bytes, sizeof(news->key_hash.bytes)) == 0;
}

const char *hf_naive_scan(struct hf_model *model, const struct hf_scanned *scanned)
{
    struct hf_naive_queues *queue = &model->queue;
    struct hf_naive_subscription *subscription = hf_naive_find(model, &scanned->subscription);
    if (subscription == NULL || subscription->uid != scanned->uid) {
        return "a scan of a subscription that is not there";
    }
    if (subscription->live || subscription->scanned != scanned->from) {
        return "a scan that does not begin where the arrivals end that are in the lines";
    }
    if (scanned->through >= model->position || scanned->through <= scanned->from) {
        return "a scan beyond the head";
    }
    uint32_t taken = 0;
    for (size_t i = 0; i < queue->arrival_count; i++) {
        const struct hf_naive_arrival *arrival = &queue->arrivals[i];
        if (arrival->position <= scanned->from || arrival->position > scanned->through ||
            !hf_naive_wants(&subscription->settings.filter, &arrival->news)) {
            continue;
        }
        if (taken == scanned->count) {
            return "a scan that leaves a message out";
        }
        if (!same_arrival(&scanned->arrivals[taken], &arrival->news)) {
            return "a scan that takes another message than the next that arrived";
        }
        hf_naive_arrive(model, subscription, &arrival->news);
        taken++;
    }
    if (taken != scanned->count) {
        return "a scan that takes a message that did not arrive";
    }
    subscription->scanned = scanned->through;
    model->counts.queue.scans++;
    model->counts.queue.scanned_arrivals += taken;
    if (scanned->through + 1 == model->position) {
        subscription->live = true;
        model->counts.queue.went_live++;
    }
    model->undo_count = 0;
    return NULL;
}

/* ---- a redrive with a rate ---- */

/* Does the error contain the text? */
bool hf_naive_error_wanted(const struct hf_naive_line *line, struct hf_str text)
{
    return !hf_str_present(text) || text.len == 0 ||
           (hf_str_present(line->error) &&
            memmem(line->error.ptr, line->error.len, text.ptr, text.len) != NULL);
}

/* A step moves the next dead letters of the task, in the order in which they were parked. */
const char *hf_naive_redrive_step(struct hf_model *model, const struct hf_redriven *redriven)
{
    struct hf_naive_subscription *subscription = hf_naive_find(model, &redriven->subscription);
    if (subscription == NULL || subscription->uid != redriven->uid ||
        !subscription->redrive.active || redriven->through_order == 0) {
        return "a step of a redrive that is not under way";
    }
    struct hf_naive_task *task = &subscription->redrive;
    /* Each step may round down by a microsecond. */
    uint64_t elapsed_us = model->time_us - task->started_us + task->moved;
    if (task->moved * 1000000 > elapsed_us * task->rate_per_s) {
        return "a step of a redrive that is faster than its rate";
    }
    struct hf_naive_line **parked;
    size_t count = hf_naive_parked(model, subscription, &parked);
    uint32_t moved = 0;
    bool more = false;
    for (size_t i = 0; i < count; i++) {
        if (parked[i]->parked_order > task->until_order ||
            !hf_naive_error_wanted(parked[i], task->error_filter)) {
            continue;
        }
        if (moved == redriven->count) {
            more = true;
            break;
        }
        if (memcmp(redriven->lines[moved].bytes, parked[i]->id.bytes,
                   sizeof(parked[i]->id.bytes)) != 0) {
            return "a step of a redrive that takes another dead letter than the next";
        }
        hf_naive_redrive(model, subscription, parked[i]);
        moved++;
    }
    if (moved != redriven->count) {
        return "a step of a redrive that takes what is no dead letter of it";
    }
    if (redriven->step == HF_REDRIVE_DONE && more) {
        return "the end of a redrive that leaves dead letters behind";
    }
    task->moved += moved;
    task->active = redriven->step != HF_REDRIVE_DONE;
    model->counts.queue.redriven_by_rate += moved;
    model->counts.queue.redrive_done += !task->active;
    model->undo_count = 0;
    return NULL;
}
