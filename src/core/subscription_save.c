/*
 * Subscriptions and their lines as canonical records, and back.
 *
 * Layout (docs/disk-format.md): subscriptions ascending by id; each is followed by its lines: ready ones in list order,
 * parked ones in list order, those out and those backing off, each of these ascending by uid.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/check.h"
#include "core/queue_apply.h"

static bool check(struct hf_codec *codec, bool fits, const char *what)
{
    HF_CHECK(fits || !hf_codec_writing(codec));
    return fits || hf_codec_fail(codec, what);
}

static void code_redrive(struct hf_codec *codec, struct hf_redrive_task *task)
{
    hf_code_bool(codec, &task->active, "redrive active");
    if (!task->active) {
        return;
    }
    hf_code_u32(codec, &task->rate_per_s, HF_REDRIVE_RATE_MAX, "redrive rate");
    (void)check(codec, task->rate_per_s > 0, "redrive rate");
    hf_code_optional_text(codec, &task->error_filter, HF_QUEUE_ERROR_BYTES_MAX,
                          "redrive error filter");
    hf_code_u64(codec, &task->until_order, UINT64_MAX, "redrive until");
    hf_code_u64(codec, &task->through_order, UINT64_MAX, "redrive through");
    hf_code_u64(codec, &task->next_us, UINT64_MAX, "redrive next");
    hf_code_u64(codec, &task->moved, UINT64_MAX, "redrive moved");
    hf_code_u64(codec, &task->total, UINT64_MAX, "redrive total");
}

#define LIVE_FLAG   1u
#define SOUGHT_FLAG 2u /* sought_at and sought_to follow */

/* One byte, and what it announces. */
static void code_whereabouts(struct hf_codec *codec, struct hf_subscription *s)
{
    uint8_t flags = (uint8_t)((s->live ? LIVE_FLAG : 0u) | (s->sought_at != 0 ? SOUGHT_FLAG : 0u));
    hf_code_bytes(codec, &flags, 1, "subscription live");
    if (!check(codec, (flags & ~(LIVE_FLAG | SOUGHT_FLAG)) == 0, "subscription live")) {
        return;
    }
    s->live = (flags & LIVE_FLAG) != 0;
    if (!s->live) {
        hf_code_u64(codec, &s->scanned, UINT64_MAX, "scanned position");
    }
    if ((flags & SOUGHT_FLAG) != 0) {
        hf_code_u64(codec, &s->sought_at, UINT64_MAX, "sought at");
        hf_code_u64(codec, &s->sought_to, UINT64_MAX, "sought to");
        (void)check(codec, s->sought_at > s->uid && s->sought_to < s->sought_at, "sought at");
    }
}

/* All but the lines, of which it has line_count. */
static void code_subscription(struct hf_codec *codec, struct hf_subscription *s,
                              uint64_t *line_count)
{
    hf_code_name(codec, &s->name, "subscription");
    hf_code_u64(codec, &s->uid, UINT64_MAX, "subscription uid");
    hf_code_u64(codec, &s->version, UINT64_MAX, "subscription version");
    hf_code_settings(codec, &s->settings);
    hf_code_u64(codec, &s->from, UINT64_MAX, "subscription from");
    hf_code_u64(codec, &s->created_at_us, UINT64_MAX, "subscription created at");
    hf_code_u64(codec, &s->modified_at_us, UINT64_MAX, "subscription modified at");
    code_whereabouts(codec, s);
    hf_code_u64(codec, &s->next_uid, UINT64_MAX, "next line uid");
    hf_code_u64(codec, &s->next_order, UINT64_MAX, "next order");
    hf_code_u64(codec, &s->arrived, UINT64_MAX, "arrived");
    hf_code_u64(codec, &s->ended, UINT64_MAX, "ended");
    hf_code_u64(codec, &s->acked, UINT64_MAX, "acked");
    hf_code_u64(codec, &s->discarded, UINT64_MAX, "discarded");
    hf_code_u64(codec, &s->deliveries, UINT64_MAX, "deliveries");
    hf_code_u64(codec, &s->failed_tries, UINT64_MAX, "failed tries");
    hf_code_u64(codec, &s->parkings, UINT64_MAX, "parkings");
    hf_code_u64(codec, &s->last_settled_us, UINT64_MAX, "last settled at");
    code_redrive(codec, &s->redrive);
    hf_code_u64(codec, line_count, UINT64_MAX, "lines");
}

/* Present only if `must` says so. */
static void code_behind(struct hf_codec *codec, struct hf_line *line, bool must)
{
    if (must) {
        hf_code_place(codec, &line->behind);
    } else {
        (void)check(codec, line->behind.position == 0, "line's message behind");
    }
}

static void code_out(struct hf_codec *codec, struct hf_line *line)
{
    hf_code_u64(codec, &line->next, UINT64_MAX, "line's next");
    hf_code_u64(codec, &line->token, UINT64_MAX, "line's token");
    hf_code_u64(codec, &line->due_us, UINT64_MAX, "line's deadline");
    hf_code_u64(codec, &line->lease_ms, HF_DELIVERY_MS_MAX, "line's lease");
    if (!hf_codec_ok(codec) ||
        !check(codec, line->next > line->first && line->next <= line->last + 1 && line->token > 0,
               "line's next") ||
        !check(codec, line->next - line->first <= HF_RECEIVE_MAX, "line's group")) {
        return;
    }
    code_behind(codec, line, line->next <= line->last);
    uint64_t count = line->next - line->first - 1;
    if (!hf_codec_writing(codec) && count > 0) {
        line->out_from = line->first + 1;
        line->out_places = hf_calloc(count, sizeof(*line->out_places));
        if (line->out_places == NULL) {
            codec->short_memory = true;
            hf_codec_fail(codec, "line's messages");
            return;
        }
    }
    for (uint64_t i = 0; i < count; i++) {
        hf_code_place(codec, &line->out_places[line->first + 1 + i - line->out_from]);
    }
}

/* Reading: out_places may be there even if it failed. */
static void code_line(struct hf_codec *codec, struct hf_line *line)
{
    hf_code_bytes(codec, line->key.bytes, sizeof(line->key.bytes), "line");
    hf_code_u64(codec, &line->uid, UINT64_MAX, "line's uid");
    hf_code_u64(codec, &line->first, UINT64_MAX - 1, "line's first");
    hf_code_u64(codec, &line->last, UINT64_MAX - 1, "line's last");
    hf_code_place(codec, &line->place);
    hf_code_u64(codec, &line->delivered_to, UINT64_MAX, "line's delivered");
    hf_code_u32(codec, &line->tries, UINT32_MAX, "line's tries");
    hf_code_bool(codec, &line->own, "line of one message");
    hf_code_u64(codec, &line->event_position, UINT64_MAX, "line's newest end");
    HF_CODE_ENUM(codec, line->state, HF_LINE_PARKED, "line's state");
    if (!hf_codec_ok(codec) ||
        !check(codec, line->first >= 1 && line->first <= line->last, "line's numbers")) {
        return;
    }
    switch (line->state) {
    case HF_LINE_READY:
        hf_code_u64(codec, &line->order, UINT64_MAX, "line's order");
        break;
    case HF_LINE_PARKED:
        hf_code_u64(codec, &line->order, UINT64_MAX, "line's order");
        hf_code_u64(codec, &line->parked_at_us, UINT64_MAX, "line parked at");
        code_behind(codec, line, line->first < line->last);
        break;
    case HF_LINE_BACKING_OFF:
        hf_code_u64(codec, &line->due_us, UINT64_MAX, "line's not before");
        break;
    case HF_LINE_OUT:
        code_out(codec, line);
        return;
    }
    line->next = line->first;
}

/* ---- saving ---- */

uint64_t hf_subscription_records(const struct hf_state *state)
{
    uint64_t records = state->queue.subscriptions.count;
    size_t at = 0;
    const struct hf_subscription *s;
    while ((s = hf_table_next(&state->queue.subscriptions, &at)) != NULL) {
        records += s->lines.count;
    }
    return records;
}

static int compare_uids(const void *a, const void *b)
{
    const struct hf_line *left = *(const struct hf_line *const *)a;
    const struct hf_line *right = *(const struct hf_line *const *)b;
    return left->uid < right->uid ? -1 : left->uid > right->uid;
}

static bool save_line(struct hf_saving *saving, const struct hf_line *line)
{
    struct hf_line copy = *line; /* coding takes what it may fill in */
    struct hf_codec codec = hf_saving_begin(saving);
    code_line(&codec, &copy);
    return hf_saving_emit(saving, &codec);
}

static bool save_list(struct hf_saving *saving, const struct hf_line_list *list)
{
    bool ok = true;
    for (const struct hf_line *line = list->first; ok && line != NULL; line = line->list_behind) {
        ok = save_line(saving, line);
    }
    return ok;
}

static bool save_heap(struct hf_saving *saving, const struct hf_line_heap *heap)
{
    struct hf_line **lines = hf_malloc(heap->count * sizeof(struct hf_line *));
    if (lines == NULL) {
        return false;
    }
    if (heap->count > 0) {
        memcpy(lines, heap->items, heap->count * sizeof(struct hf_line *));
        qsort(lines, heap->count, sizeof(struct hf_line *), compare_uids);
    }
    bool ok = true;
    for (size_t i = 0; ok && i < heap->count; i++) {
        ok = save_line(saving, lines[i]);
    }
    hf_free(lines);
    return ok;
}

static bool save_subscription(struct hf_saving *saving, const struct hf_subscription *s)
{
    struct hf_subscription copy = *s;
    uint64_t line_count = s->lines.count;
    struct hf_codec codec = hf_saving_begin(saving);
    code_subscription(&codec, &copy, &line_count);
    return hf_saving_emit(saving, &codec) && save_list(saving, &s->ready) &&
           save_list(saving, &s->parked) && save_heap(saving, &s->out) &&
           save_heap(saving, &s->backing_off);
}

static int compare_ids(const void *a, const void *b)
{
    const struct hf_subscription *left = *(const struct hf_subscription *const *)a;
    const struct hf_subscription *right = *(const struct hf_subscription *const *)b;
    return hf_id_compare(&left->name.id, &right->name.id);
}

bool hf_subscription_save(const struct hf_state *state, struct hf_saving *saving)
{
    size_t count = 0;
    size_t at = 0;
    struct hf_subscription *s;
    struct hf_subscription **all =
        hf_malloc(state->queue.subscriptions.count * sizeof(struct hf_subscription *));
    if (all == NULL) {
        return false;
    }
    while ((s = hf_table_next(&state->queue.subscriptions, &at)) != NULL) {
        all[count++] = s;
    }
    qsort(all, count, sizeof(struct hf_subscription *), compare_ids);
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        ok = save_subscription(saving, all[i]);
    }
    hf_free(all);
    return ok;
}

/* ---- loading ---- */

static enum hf_err bad(struct hf_error *error, const char *what)
{
    return hf_error_set(error, HF_ERR_CORRUPT, "load state: %s", what);
}

static enum hf_err no_memory(struct hf_error *error)
{
    return hf_error_set(error, HF_ERR_NO_MEMORY, "load state: out of memory");
}

/* The last of its lines is there. */
static enum hf_err complete(struct hf_state *state, struct hf_error *error)
{
    struct hf_subscription *s = state->queue.loading;
    state->queue.loading = NULL;
    if (s->waiting + s->in_flight + s->parked.count != s->arrived - s->ended ||
        s->arrived < s->ended) {
        return bad(error, "a subscription's messages do not add up");
    }
    s->redrive.at =
        s->redrive.active ? hf_line_marks_behind(&s->marks, s->redrive.through_order) : NULL;
    hf_queue_note_lag(&state->queue, s);
    s->due_us = hf_subscription_timer_us(s);
    if (s->due_us == UINT64_MAX) {
        return HF_ERR_OK;
    }
    struct hf_due due = {s->due_us, HF_KIND_SUBSCRIPTION, hf_uid_id(s->uid)};
    if (!hf_due_reserve(&state->due, 1)) {
        return no_memory(error);
    }
    hf_due_push(&state->due, &due);
    return HF_ERR_OK;
}

/* The text of a redrive, which is the codec's so far; *copy stays NULL if there is none. false: memory is short. */
static bool copy_filter_text(const struct hf_redrive_task *task, char **copy)
{
    if (!hf_str_present(task->error_filter)) {
        return true;
    }
    *copy = hf_malloc(task->error_filter.len);
    if (*copy != NULL) {
        memcpy(*copy, task->error_filter.ptr, task->error_filter.len);
    }
    return *copy != NULL;
}

/* A subscription that was read goes into the state, with copies of its texts. */
static enum hf_err enter_loaded(struct hf_state *state, const struct hf_codec *codec,
                                const struct hf_subscription *read, uint64_t line_count,
                                struct hf_error *error)
{
    struct hf_queue *queue = &state->queue;
    if (codec->short_memory) {
        return no_memory(error);
    }
    if (!hf_codec_ok(codec)) {
        return bad(error, codec->what == NULL ? "bad subscription" : codec->what);
    }
    struct hf_id uid = hf_uid_id(read->uid);
    if (read->uid == 0 || hf_table_get(&queue->by_uid, &uid) != NULL ||
        (queue->has_loaded && hf_id_compare(&queue->loaded_id, &read->name.id) >= 0)) {
        return bad(error, "subscriptions out of order");
    }
    queue->has_loaded = true;
    queue->loaded_id = read->name.id;
    char *filter_text = NULL;
    struct hf_subscription *s =
        hf_queue_reserve_subscription(queue, &read->settings.filter) &&
                copy_filter_text(&read->redrive, &filter_text)
            ? hf_subscription_new(&read->name, &read->settings, read->uid, queue->seed)
            : NULL;
    struct hf_push *push = hf_push_copy(read->settings.push);
    if (s == NULL || (push == NULL && read->settings.push != NULL)) {
        hf_free(filter_text);
        hf_free(push);
        hf_free(s);
        return no_memory(error);
    }
    struct hf_subscription fresh = *s;
    *s = *read;
    s->redrive.error_filter.ptr = filter_text;
    s->name = fresh.name;
    s->settings = fresh.settings;
    s->settings.push = push;
    s->lines = fresh.lines;
    s->seed = fresh.seed;
    s->due_us = UINT64_MAX;
    s->live = false;
    if (!hf_queue_enter(queue, s)) {
        return bad(error, "a subscription's name is there twice");
    }
    hf_queue_set_live(queue, s, read->live);
    queue->loading = s;
    queue->loading_left = line_count;
    queue->loading_group = 0;
    queue->loading_uid = 0;
    return line_count == 0 ? complete(state, error) : HF_ERR_OK;
}

static enum hf_err load_subscription(struct hf_state *state, struct hf_codec *codec,
                                     struct hf_error *error)
{
    struct hf_subscription read = {0};
    uint64_t line_count = 0;
    code_subscription(codec, &read, &line_count);
    return enter_loaded(state, codec, &read, line_count, error);
}

static const struct hf_line_list *list_of(const struct hf_subscription *s,
                                          const struct hf_line *line)
{
    return line->state == HF_LINE_READY ? &s->ready : &s->parked;
}

/* Lines come in groups, as save_subscription() writes them, and the last two groups go by uid. */
static bool in_turn(struct hf_queue *queue, const struct hf_line *line)
{
    static const unsigned groups[] = {
        [HF_LINE_READY] = 0, [HF_LINE_PARKED] = 1, [HF_LINE_OUT] = 2, [HF_LINE_BACKING_OFF] = 3};
    unsigned group = groups[line->state];
    bool by_uid = group >= groups[HF_LINE_OUT];
    bool next = group > queue->loading_group;
    bool ok =
        next || (group == queue->loading_group && (!by_uid || line->uid > queue->loading_uid));
    queue->loading_group = group;
    queue->loading_uid = line->uid;
    return ok;
}

static bool fits(const struct hf_subscription *s, const struct hf_line *line)
{
    struct hf_id main_key = HF_LINE_MAIN_KEY;
    bool is_main = hf_id_equal(&line->key, &main_key);
    bool listed = line->state == HF_LINE_READY || line->state == HF_LINE_PARKED;
    const struct hf_line *before = listed ? list_of(s, line)->last : NULL;
    return hf_subscription_line(s, &line->key) == NULL && line->uid > 0 &&
           line->uid < s->next_uid && line->delivered_to <= line->last &&
           (!listed ||
            (line->order < s->next_order && (before == NULL || before->order < line->order))) &&
           (s->settings.order == HF_ORDER_NONE ? is_main != line->own : !is_main) &&
           (!is_main || line->state == HF_LINE_READY) && (!line->own || line->last == 1);
}

static enum hf_err load_line(struct hf_state *state, struct hf_codec *codec, struct hf_error *error)
{
    struct hf_subscription *s = state->queue.loading;
    struct hf_line *line = hf_calloc(1, sizeof(*line));
    if (line == NULL) {
        return no_memory(error);
    }
    code_line(codec, line);
    if (!hf_codec_ok(codec) || !in_turn(&state->queue, line) || !fits(s, line)) {
        enum hf_err err = codec->short_memory
                              ? no_memory(error)
                              : bad(error, codec->what == NULL ? "bad line" : codec->what);
        hf_line_free(line);
        return err;
    }
    if (!hf_lines_reserve(s, 1, 1, 1)) {
        hf_line_free(line);
        return no_memory(error);
    }
    uint64_t next_order = s->next_order;
    s->next_order = line->order;
    hf_lines_add(s, line);
    s->next_order = next_order;
    state->queue.line_count++;
    uint64_t out = line->next - line->first;
    s->in_flight += out;
    s->waiting += line->last - line->first + 1 - out - (line->state == HF_LINE_PARKED);
    state->queue.loading_left--;
    return state->queue.loading_left == 0 ? complete(state, error) : HF_ERR_OK;
}

enum hf_err hf_subscription_load(struct hf_state *state, struct hf_codec *codec,
                                 struct hf_error *error)
{
    return state->queue.loading != NULL ? load_line(state, codec, error)
                                        : load_subscription(state, codec, error);
}
