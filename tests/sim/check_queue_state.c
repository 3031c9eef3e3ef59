/* The subscriptions of a state, line by line, and its delayed messages against the model's. */
#include "sim/check_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "core/queue.h"

typedef unsigned long long ull;

static enum hf_line_state state_of(const struct hf_naive_line *line)
{
    switch ((int)line->first->at) {
    case HF_NAIVE_OUT:
        return HF_LINE_OUT;
    case HF_NAIVE_BACKING_OFF:
        return HF_LINE_BACKING_OFF;
    case HF_NAIVE_PARKED:
        return HF_LINE_PARKED;
    default:
        return HF_LINE_READY;
    }
}

/* Number of the first message that is not out. */
static uint64_t next_of(const struct hf_naive_line *line)
{
    const struct hf_naive_message *message = line->first;
    while (message != NULL && message->at == HF_NAIVE_OUT) {
        message = message->behind;
    }
    return message == NULL ? line->last->number + 1 : message->number;
}

static bool same_line(const struct hf_compare_at *c, const struct hf_line *real,
                      const struct hf_naive_line *model)
{
    enum hf_line_state state = state_of(model);
    bool timed = state == HF_LINE_OUT || state == HF_LINE_BACKING_OFF;
    return hf_same_number(c, "state", real->state, state) &&
           hf_same_number(c, "first number", real->first, model->first->number) &&
           hf_same_number(c, "number of what waits", real->next, next_of(model)) &&
           hf_same_number(c, "last number", real->last, model->last->number) &&
           hf_same_number(c, "first message's position", real->place.position,
                          model->first->place.position) &&
           hf_same_number(c, "first message's index", real->place.index,
                          model->first->place.index) &&
           hf_same_number(c, "first message's bytes", real->place.bytes,
                          model->first->place.bytes) &&
           hf_same_number(c, "tries", real->tries, model->first->tries) &&
           hf_same_number(c, "own", real->own, model->own) &&
           (!timed || hf_same_number(c, "due", real->due_us, model->due_us)) &&
           (state != HF_LINE_OUT ||
            (hf_same_number(c, "token", real->token, model->first->token) &&
             hf_same_number(c, "lease", real->lease_ms, model->lease_ms))) &&
           (state != HF_LINE_PARKED ||
            (hf_same_number(c, "parked at", real->parked_at_us, model->parked_at_us) &&
             hf_same_number(c, "parked by commit", real->event_position, model->parked_position)));
}

static int compare_order(const void *a, const void *b)
{
    const struct hf_naive_line *left = *(const struct hf_naive_line *const *)a;
    const struct hf_naive_line *right = *(const struct hf_naive_line *const *)b;
    bool parked = left->first->at == HF_NAIVE_PARKED;
    uint64_t l = parked ? left->parked_order : left->ready_order;
    uint64_t r = parked ? right->parked_order : right->ready_order;
    return l < r ? -1 : 1;
}

/* The list holds just the model's lines of that state in their order. */
static bool same_list(const struct hf_compare_at *c, const struct hf_line_list *list,
                      const struct hf_naive_subscription *subscription, enum hf_line_state state)
{
    const struct hf_naive_line **lines =
        calloc(subscription->line_count + 1, sizeof(struct hf_naive_line *));
    HF_CHECK(lines != NULL);
    size_t count = 0;
    for (struct hf_naive_line *line = subscription->lines; line != NULL; line = line->next) {
        if (state_of(line) == state) {
            lines[count++] = line;
        }
    }
    qsort(lines, count, sizeof(struct hf_naive_line *), compare_order);
    bool same = hf_same_number(c, state == HF_LINE_READY ? "ready lines" : "parked lines",
                               list->count, count);
    const struct hf_line *real = list->first;
    for (size_t i = 0; same && i < count; i++, real = real->list_behind) {
        same = memcmp(real->key.bytes, lines[i]->id.bytes, sizeof(real->key.bytes)) == 0 ||
               hf_differ(c,
                         state == HF_LINE_READY ? "order of the ready list"
                                                : "order of the dead letters",
                         "another one", "the order in which they became so");
    }
    free(lines);
    return same;
}

static bool same_sums(const struct hf_compare_at *c, const struct hf_subscription *real,
                      const struct hf_naive_subscription *model)
{
    uint64_t waiting = model->arrived - model->ended - model->in_flight - model->parked;
    return hf_same_number(c, "arrived", real->arrived, model->arrived) &&
           hf_same_number(c, "ended", real->ended, model->ended) &&
           hf_same_number(c, "acked", real->acked, model->acked) &&
           hf_same_number(c, "discarded", real->discarded, model->discarded) &&
           hf_same_number(c, "deliveries", real->deliveries, model->deliveries) &&
           hf_same_number(c, "failed tries", real->failed_tries, model->failed_tries) &&
           hf_same_number(c, "parkings", real->parkings, model->parkings) &&
           hf_same_number(c, "in flight", real->in_flight, model->in_flight) &&
           hf_same_number(c, "waiting", real->waiting, waiting);
}

static bool same_task(const struct hf_compare_at *c, const struct hf_redrive_task *real,
                      const struct hf_naive_task *model)
{
    return hf_same_number(c, "redrive is active", real->active, model->active) &&
           (!model->active ||
            (hf_same_number(c, "redrive's rate", real->rate_per_s, model->rate_per_s) &&
             hf_same_text(c, "redrive's filter", real->error_filter, model->error_filter) &&
             hf_same_number(c, "redrive has moved", real->moved, model->moved) &&
             hf_same_number(c, "redrive's total", real->total, model->total)));
}

static bool same_subscription(const struct hf_compare_at *c, const struct hf_subscription *real,
                              const struct hf_naive_subscription *model)
{
    if (!hf_same_number(c, "uid", real->uid, model->uid) ||
        !hf_same_number(c, "version", real->version, model->version) ||
        !hf_same_settings(c, &real->settings, &model->settings) ||
        !hf_same_number(c, "live", real->live, model->live) ||
        (!model->live && !hf_same_number(c, "scanned", real->scanned, model->scanned)) ||
        !hf_same_number(c, "lines", real->lines.count, model->line_count) ||
        !same_sums(c, real, model) || !same_task(c, &real->redrive, &model->redrive)) {
        return false;
    }
    for (struct hf_naive_line *line = model->lines; line != NULL; line = line->next) {
        char part[80];
        (void)snprintf(part, sizeof(part), "line of %llu-%u:", (ull)line->first->place.position,
                       line->first->place.index);
        struct hf_compare_at at = {c->what, part, c->text};
        const struct hf_line *found = hf_subscription_line(real, &line->id);
        if (found == NULL) {
            return hf_differ(&at, "line", "not there", "there");
        }
        if (!same_line(&at, found, line)) {
            return false;
        }
    }
    return same_list(c, &real->ready, model, HF_LINE_READY) &&
           same_list(c, &real->parked, model, HF_LINE_PARKED);
}

static bool same_delayed(const struct hf_compare_at *c, const struct hf_queue *real,
                         const struct hf_model *model)
{
    size_t count = 0;
    const struct hf_naive_waiting *waiting = model->queue.delayed;
    for (; waiting != NULL; waiting = waiting->next) {
        if (waiting->arrived) {
            continue;
        }
        count++;
        const struct hf_place *place = &waiting->message.message;
        const struct hf_delayed *found = hf_queue_delayed(real, place->position, place->index);
        if (found == NULL) {
            return hf_differ(c, "delayed message", "not there", "there");
        }
        if (!hf_same_number(c, "delayed until", found->due_us, waiting->due_us)) {
            return false;
        }
    }
    return hf_same_number(c, "delayed messages", real->delayed.count, count);
}

bool hf_checker_queues(struct hf_checker *checker, const struct hf_state *state,
                       char difference[HF_DIFFERENCE_BYTES])
{
    char what[80];
    size_t count = 0;
    const struct hf_naive_subscription *model = checker->model->queue.subscriptions;
    for (; model != NULL; model = model->next) {
        if (model->gone) {
            continue;
        }
        count++;
        (void)snprintf(what, sizeof(what), "state at commit %llu: subscription %.*s",
                       (ull)state->position, (int)model->name.text.len, model->name.text.ptr);
        struct hf_compare_at c = {.what = what, .part = ""};
        c.text = difference;
        const struct hf_subscription *real = hf_queue_subscription(&state->queue, &model->name.id);
        if (real == NULL) {
            return hf_differ(&c, "subscription", "not there", "there");
        }
        if (!same_subscription(&c, real, model)) {
            return false;
        }
    }
    (void)snprintf(what, sizeof(what), "state at commit %llu", (ull)state->position);
    struct hf_compare_at c = {.what = what, .part = ""};
    c.text = difference;
    return hf_same_number(&c, "subscriptions", state->queue.subscriptions.count, count) &&
           same_delayed(&c, &state->queue, checker->model);
}
