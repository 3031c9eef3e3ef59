/* Messages on their way: out, back, parked, ended. */
#include "sim/model_queue_priv.h"

#include <stdlib.h>

/* ---- out ---- */

/* Lines that back off and whose time has come go first, by time; then the ready ones, the one that has been
 * ready for longest first. */
static int compare_lines(const void *a, const void *b)
{
    const struct hf_naive_line *left = *(const struct hf_naive_line *const *)a;
    const struct hf_naive_line *right = *(const struct hf_naive_line *const *)b;
    bool left_back = left->first->at == HF_NAIVE_BACKING_OFF;
    bool right_back = right->first->at == HF_NAIVE_BACKING_OFF;
    if (left_back != right_back) {
        return left_back ? -1 : 1;
    }
    if (!left_back) {
        return left->ready_order < right->ready_order ? -1 : 1;
    }
    if (left->due_us != right->due_us) {
        return left->due_us < right->due_us ? -1 : 1;
    }
    return left->born < right->born ? -1 : 1;
}

static size_t lines_to_take(const struct hf_naive_subscription *subscription, uint64_t now_us,
                            struct hf_naive_line **lines)
{
    size_t count = 0;
    for (struct hf_naive_line *line = subscription->lines; line != NULL; line = line->next) {
        enum hf_naive_at at = line->first->at;
        if (at == HF_NAIVE_WAITING || (at == HF_NAIVE_BACKING_OFF && line->due_us <= now_us)) {
            lines[count++] = line;
        }
    }
    qsort(lines, count, sizeof(struct hf_naive_line *), compare_lines);
    return count;
}

struct taking {
    struct hf_model_turn *turn;
    struct hf_naive_subscription *subscription;
    uint64_t lease_ms;
    uint64_t room;     /* messages that may go out */
    uint64_t own_room; /* lines of their own that messages of the main line may get */
    uint64_t bytes;    /* of those that do */
    struct hf_delivery *deliveries;
    uint32_t count;
};

static bool fits(const struct taking *taking, const struct hf_naive_message *message)
{
    return taking->count < taking->room &&
           (taking->count == 0 || taking->bytes + message->place.bytes <= HF_RECEIVE_BYTES_MAX);
}

/* The message of the line, which it was in or has just got. */
static void take(struct taking *taking, struct hf_naive_message *message,
                 const struct hf_id *from_line)
{
    struct hf_model *model = taking->turn->model;
    struct hf_naive_line *line = message->line;
    taking->deliveries[taking->count++] =
        (struct hf_delivery){.line = line->id,
                             .from_line = *from_line,
                             .number = message->number,
                             .message = message->place,
                             .attempt = 1 + message->tries,
                             .previous_position = message->newest};
    HF_MODEL_TOUCH(model, message);
    HF_MODEL_TOUCH(model, line);
    message->at = HF_NAIVE_OUT;
    message->token = taking->turn->position;
    message->out_line = line->id;
    message->out_number = message->number;
    message->newest = taking->turn->position;
    line->lease_ms = taking->lease_ms;
    line->due_us = taking->turn->time_us + taking->lease_ms * 1000;
    taking->bytes += message->place.bytes;
    taking->subscription->in_flight++;
    taking->subscription->deliveries++;
    model->counts.queue.deliveries++;
    model->counts.queue.redelivered += message->tries > 0;
    model->counts.queue.prefetched += line->first != message;
}

/* false: nothing more fits. */
static bool take_messages(struct taking *taking, struct hf_naive_line *line)
{
    struct hf_model *model = taking->turn->model;
    bool main = taking->subscription->settings.order == HF_ORDER_NONE && !line->own;
    struct hf_id id = line->id;
    struct hf_naive_message *message = line->first;
    while (message != NULL) {
        struct hf_naive_message *behind = message->behind;
        if (!fits(taking, message)) {
            return false;
        }
        if (main && taking->own_room == 0) {
            return true;
        }
        taking->own_room -= main;
        if (main) {
            hf_naive_leave(model, taking->subscription, message);
            (void)hf_naive_own_line(model, taking->subscription, message);
        }
        take(taking, message, &id);
        struct hf_delivery *delivery = &taking->deliveries[taking->count - 1];
        bool last = behind == NULL || !fits(taking, behind) || (main && taking->own_room == 0);
        if (behind != NULL && last) {
            delivery->behind = behind->place;
        }
        message = behind;
    }
    return true;
}

static void become_ready(struct hf_model *model, struct hf_naive_subscription *subscription,
                         struct hf_naive_line *line)
{
    HF_MODEL_TOUCH(model, line);
    line->ready_order = ++subscription->orders;
}

/* The main line has had its turn then: it goes behind the others. */
static bool take_line(struct taking *taking, struct hf_naive_line *line)
{
    bool main = taking->subscription->settings.order == HF_ORDER_NONE && !line->own;
    uint32_t before = taking->count;
    bool more = take_messages(taking, line);
    if (main && taking->count > before && line->first != NULL) {
        become_ready(taking->turn->model, taking->subscription, line);
    }
    return more;
}

uint32_t hf_naive_deliver(struct hf_model_turn *turn, struct hf_naive_subscription *subscription,
                          uint32_t max, uint64_t lease_ms, struct hf_delivery **deliveries)
{
    struct hf_model *model = turn->model;
    uint64_t free = subscription->settings.in_flight_max > subscription->in_flight
                        ? subscription->settings.in_flight_max - subscription->in_flight
                        : 0;
    struct taking taking = {.turn = turn,
                            .subscription = subscription,
                            .lease_ms = lease_ms,
                            .room = max < free ? max : free};
    /* Dead letters must not fill the memory. */
    uint64_t lines_max = subscription->settings.lines_max;
    taking.room = subscription->parked >= lines_max ? 0 : taking.room;
    taking.own_room =
        subscription->line_count <= lines_max ? lines_max + 1 - subscription->line_count : 0;
    struct hf_naive_line **lines = hf_arena_alloc_zero(
        &model->scratch, subscription->line_count + 1, sizeof(struct hf_naive_line *));
    taking.deliveries =
        hf_arena_alloc_zero(&model->scratch, taking.room + 1, sizeof(*taking.deliveries));
    HF_CHECK(lines != NULL && taking.deliveries != NULL);
    HF_MODEL_TOUCH(model, subscription);
    size_t count = lines_to_take(subscription, turn->time_us, lines);
    for (size_t i = 0; i < count && take_line(&taking, lines[i]); i++) {
    }
    *deliveries = taking.deliveries;
    return taking.count;
}

/* ---- back ---- */

static struct hf_settled_item item_of(const struct hf_naive_message *message,
                                      enum hf_settlement settlement)
{
    return (struct hf_settled_item){
        .settlement = settlement,
        .code = HF_ERR_OK,
        .line = message->line->id,
        .number = message->number,
        .message = message->place,
        .token = message->at == HF_NAIVE_OUT ? message->token : 0,
        .tries = message->tries,
        .previous_position = message->newest,
    };
}

/* The whole group of the line's first message is not out any more. */
static void bring_back(struct hf_model *model, struct hf_naive_subscription *subscription,
                       struct hf_naive_line *line)
{
    struct hf_naive_message *message = line->first;
    for (; message != NULL && message->at == HF_NAIVE_OUT; message = message->behind) {
        HF_MODEL_TOUCH(model, message);
        message->at = HF_NAIVE_WAITING;
        subscription->in_flight--;
        model->counts.queue.returned += message != line->first;
    }
}

struct hf_settled_item hf_naive_ack(struct hf_model_turn *turn,
                                    struct hf_naive_subscription *subscription,
                                    struct hf_naive_message *message)
{
    struct hf_model *model = turn->model;
    struct hf_naive_line *line = message->line;
    struct hf_settled_item item = item_of(message, HF_SETTLED_ACKED);
    HF_MODEL_TOUCH(model, subscription);
    hf_naive_leave(model, subscription, message);
    message->at = HF_NAIVE_ACKED;
    message->newest = turn->position;
    subscription->in_flight--;
    subscription->ended++;
    subscription->acked++;
    if (line->first != NULL && line->first->at != HF_NAIVE_OUT) {
        become_ready(model, subscription, line);
    }
    model->counts.queue.acked++;
    return item;
}

/* The line with its first message, or that message alone. */
static void park(struct hf_model_turn *turn, struct hf_naive_subscription *subscription,
                 struct hf_naive_message *message, struct hf_str error,
                 struct hf_settled_item *item)
{
    struct hf_model *model = turn->model;
    const struct hf_subscription_settings *settings = &subscription->settings;
    struct hf_naive_line *line = message->line;
    bool keyed = settings->order == HF_ORDER_KEY;
    bool alone = settings->exhausted == HF_EXHAUSTED_PARK_MESSAGE ||
                 (settings->exhausted == HF_EXHAUSTED_BLOCK && !keyed);
    if (alone && keyed && !line->own) {
        hf_naive_leave(model, subscription, message);
        if (line->first != NULL) {
            become_ready(model, subscription, line);
        }
        line = hf_naive_own_line(model, subscription, message);
        item->own_line = true;
    }
    HF_MODEL_TOUCH(model, line);
    HF_MODEL_TOUCH(model, message);
    message->at = HF_NAIVE_PARKED;
    line->parked_order = ++subscription->orders;
    line->parked_at_us = turn->time_us;
    line->parked_position = turn->position;
    line->error = hf_model_copy(&model->arena, error);
    subscription->parked++;
    subscription->parkings++;
    item->settlement = HF_SETTLED_PARKED;
    item->error = line->error;
    model->counts.queue.parked_message += item->own_line;
    model->counts.queue.parked_key += keyed && !line->own;
    model->counts.queue.parked_alone += !item->own_line && line->own;
}

/* min(max, first × 2^(tries − 1)) */
static uint64_t backoff_ms(const struct hf_subscription_settings *settings, uint32_t tries)
{
    uint64_t wait_ms = settings->backoff_first_ms;
    for (uint32_t i = 1; i < tries && wait_ms < settings->backoff_max_ms; i++) {
        wait_ms *= 2;
    }
    return wait_ms < settings->backoff_max_ms ? wait_ms : settings->backoff_max_ms;
}

struct hf_settled_item hf_naive_fail(struct hf_model_turn *turn,
                                     struct hf_naive_subscription *subscription,
                                     struct hf_naive_message *message,
                                     const struct hf_naive_failure *failure)
{
    struct hf_model *model = turn->model;
    const struct hf_subscription_settings *settings = &subscription->settings;
    struct hf_naive_line *line = message->line;
    struct hf_settled_item item = item_of(message, failure->settlement);
    HF_MODEL_TOUCH(model, subscription);
    HF_MODEL_TOUCH(model, message);
    HF_MODEL_TOUCH(model, line);
    bring_back(model, subscription, line);
    message->newest = turn->position;
    if (failure->settlement != HF_SETTLED_PARKED) {
        message->tries++;
        subscription->failed_tries++;
    }
    item.tries = message->tries;
    item.error = failure->settlement == HF_SETTLED_NACKED ? failure->error : HF_STR_NONE;
    bool exhausted = message->tries >= settings->attempts_max;
    if (failure->settlement == HF_SETTLED_PARKED ||
        (exhausted && settings->exhausted != HF_EXHAUSTED_BLOCK)) {
        park(turn, subscription, message, failure->error, &item);
        return item;
    }
    model->counts.queue.blocked += exhausted;
    message->at = HF_NAIVE_BACKING_OFF;
    uint64_t wait_us =
        1000 * (exhausted ? settings->backoff_max_ms : backoff_ms(settings, message->tries));
    line->jitter_us = exhausted ? 0 : wait_us / 2;
    if (failure->has_delay && !exhausted) {
        wait_us = failure->delay_ms * 1000;
        line->jitter_us = 0;
    }
    line->due_us = turn->time_us + wait_us;
    item.not_before_us = line->due_us;
    return item;
}

/* ---- dead letters ---- */

void hf_naive_redrive(struct hf_model *model, struct hf_naive_subscription *subscription,
                      struct hf_naive_line *line)
{
    HF_MODEL_TOUCH(model, subscription);
    HF_MODEL_TOUCH(model, line);
    HF_MODEL_TOUCH(model, line->first);
    HF_CHECK(line->first->at == HF_NAIVE_PARKED);
    line->first->at = HF_NAIVE_WAITING;
    line->first->tries = 0;
    line->ready_order = ++subscription->orders;
    subscription->parked--;
}

struct hf_settled_item hf_naive_discard(struct hf_model_turn *turn,
                                        struct hf_naive_subscription *subscription,
                                        struct hf_naive_line *line)
{
    struct hf_model *model = turn->model;
    struct hf_naive_message *message = line->first;
    struct hf_settled_item item = item_of(message, HF_SETTLED_DISCARDED);
    HF_MODEL_TOUCH(model, subscription);
    hf_naive_leave(model, subscription, message);
    message->at = HF_NAIVE_DISCARDED;
    message->newest = turn->position;
    subscription->parked--;
    subscription->ended++;
    subscription->discarded++;
    if (line->first != NULL) {
        become_ready(model, subscription, line);
    }
    model->counts.queue.discarded++;
    return item;
}

/* Dead letters in the order in which they were parked. */
static int compare_parked(const void *a, const void *b)
{
    const struct hf_naive_line *left = *(const struct hf_naive_line *const *)a;
    const struct hf_naive_line *right = *(const struct hf_naive_line *const *)b;
    return left->parked_order < right->parked_order ? -1 : 1;
}

size_t hf_naive_parked(struct hf_model *model, const struct hf_naive_subscription *subscription,
                       struct hf_naive_line ***lines)
{
    size_t count = 0;
    *lines = hf_arena_alloc_zero(&model->scratch, subscription->line_count + 1,
                                 sizeof(struct hf_naive_line *));
    HF_CHECK(*lines != NULL);
    for (struct hf_naive_line *line = subscription->lines; line != NULL; line = line->next) {
        if (line->first->at == HF_NAIVE_PARKED) {
            (*lines)[count++] = line;
        }
    }
    qsort(*lines, count, sizeof(struct hf_naive_line *), compare_parked);
    return count;
}
