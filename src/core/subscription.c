#include "core/subscription.h"

#include "base/alloc.h"
#include "base/check.h"
#include "core/queue_rules.h"

/* ---- making and freeing ---- */

static size_t filter_text_bytes(const struct hf_filter *filter)
{
    size_t bytes = filter->topic.text.len + filter->prefix.len;
    for (uint32_t i = 0; i < filter->type_count; i++) {
        bytes += filter->types[i].len;
    }
    return bytes;
}

/* Copies a text to *at, which moves on; absent stays absent. */
static void keep_text(struct hf_str *text, char **at)
{
    if (!hf_str_present(*text)) {
        return;
    }
    memcpy(*at, text->ptr, text->len);
    text->ptr = *at;
    *at += text->len;
}

struct hf_subscription *hf_subscription_new(const struct hf_name *name,
                                            const struct hf_subscription_settings *settings,
                                            uint64_t uid, uint64_t seed)
{
    size_t bytes = sizeof(struct hf_subscription) + sizeof(struct hf_names_node) + name->text.len +
                   filter_text_bytes(&settings->filter);
    struct hf_subscription *s = hf_malloc(bytes);
    if (s == NULL) {
        return NULL;
    }
    *s = (struct hf_subscription){
        .name = *name,
        .uid = uid,
        .version = 1,
        .settings = *settings,
        .next_uid = 1,
        .next_order = 1,
        .due_us = UINT64_MAX,
        .seed = seed,
    };
    hf_table_init(&s->lines, seed);
    s->settings.push = NULL; /* its owner gives it a copy */
    struct hf_filter *filter = &s->settings.filter;
    char *at = (char *)(s + 1) + sizeof(struct hf_names_node);
    keep_text(&s->name.text, &at);
    keep_text(&filter->topic.text, &at);
    keep_text(&filter->prefix, &at);
    for (uint32_t i = 0; i < filter->type_count; i++) {
        keep_text(&filter->types[i], &at);
    }
    return s;
}

void hf_line_free(struct hf_line *line)
{
    hf_free(line->out_places);
    hf_free(line);
}

static void free_lines(struct hf_subscription *s)
{
    size_t at = 0;
    struct hf_line *line;
    while ((line = hf_table_next(&s->lines, &at)) != NULL) {
        hf_line_free(line);
    }
}

void hf_subscription_end_redrive(struct hf_subscription *s)
{
    hf_free((char *)s->redrive.error_filter.ptr);
    s->redrive = (struct hf_redrive_task){0};
}

void hf_subscription_free(struct hf_subscription *s)
{
    if (s == NULL) {
        return;
    }
    free_lines(s);
    hf_table_release(&s->lines);
    hf_free(s->backing_off.items);
    hf_free(s->out.items);
    hf_free(s->ages.items);
    hf_line_marks_release(&s->marks);
    hf_subscription_end_redrive(s);
    hf_free((void *)s->settings.push);
    hf_free(s);
}

void hf_lines_drop(struct hf_subscription *s)
{
    free_lines(s);
    hf_table_clear(&s->lines);
    s->ready = (struct hf_line_list){0};
    s->parked = (struct hf_line_list){0};
    s->marks.count = 0;
    s->backing_off.count = 0;
    s->out.count = 0;
    s->ages.count = 0;
    s->ended = s->arrived;
    s->in_flight = 0;
    s->waiting = 0;
    hf_subscription_end_redrive(s);
}

struct hf_line *hf_subscription_line(const struct hf_subscription *s, const struct hf_id *key)
{
    return hf_table_get(&s->lines, key);
}

/* ---- lists ---- */

static struct hf_line_list *list_of(struct hf_subscription *s, const struct hf_line *line)
{
    return line->state == HF_LINE_READY ? &s->ready : &s->parked;
}

static void list_append(struct hf_line_list *list, struct hf_line *line)
{
    line->list_before = list->last;
    line->list_behind = NULL;
    if (list->last == NULL) {
        list->first = line;
    } else {
        list->last->list_behind = line;
    }
    list->last = line;
    list->count++;
}

static void list_remove(struct hf_line_list *list, struct hf_line *line)
{
    if (line->list_before == NULL) {
        list->first = line->list_behind;
    } else {
        line->list_before->list_behind = line->list_behind;
    }
    if (line->list_behind == NULL) {
        list->last = line->list_before;
    } else {
        line->list_behind->list_before = line->list_before;
    }
    list->count--;
}

/* ---- heaps ---- */

static int compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_due(const struct hf_line *a, const struct hf_line *b)
{
    int order = compare_u64(a->due_us, b->due_us);
    return order != 0 ? order : compare_u64(a->uid, b->uid);
}

static int compare_age(const struct hf_line *a, const struct hf_line *b)
{
    int order = compare_u64(a->place.position, b->place.position);
    order = order != 0 ? order : compare_u64(a->place.index, b->place.index);
    return order != 0 ? order : compare_u64(a->uid, b->uid);
}

/* What orders a heap, and where a line keeps its place in it. */
struct heap_kind {
    int (*compare)(const struct hf_line *a, const struct hf_line *b);
    size_t index_offset; /* of a size_t in struct hf_line */
};

static const struct heap_kind by_due = {compare_due, offsetof(struct hf_line, heap_index)};
static const struct heap_kind by_age = {compare_age, offsetof(struct hf_line, age_index)};

static size_t *index_in(const struct heap_kind *kind, struct hf_line *line)
{
    return (size_t *)(void *)((char *)line + kind->index_offset);
}

static bool heap_reserve(struct hf_line_heap *heap, size_t more)
{
    if (more <= heap->capacity - heap->count) {
        return true;
    }
    size_t capacity = heap->capacity == 0 ? 8 : heap->capacity * 2;
    capacity = capacity < heap->count + more ? heap->count + more : capacity;
    struct hf_line **items = hf_realloc(heap->items, capacity * sizeof(struct hf_line *));
    if (items == NULL) {
        return false;
    }
    heap->items = items;
    heap->capacity = capacity;
    return true;
}

static void heap_set(const struct heap_kind *kind, struct hf_line_heap *heap, size_t at,
                     struct hf_line *line)
{
    heap->items[at] = line;
    *index_in(kind, line) = at;
}

static void sift_up(const struct heap_kind *kind, struct hf_line_heap *heap, size_t at)
{
    struct hf_line *line = heap->items[at];
    while (at > 0 && kind->compare(line, heap->items[(at - 1) / 2]) < 0) {
        heap_set(kind, heap, at, heap->items[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_set(kind, heap, at, line);
}

static void sift_down(const struct heap_kind *kind, struct hf_line_heap *heap, size_t at)
{
    struct hf_line *line = heap->items[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count &&
            kind->compare(heap->items[child + 1], heap->items[child]) < 0) {
            child++;
        }
        if (kind->compare(line, heap->items[child]) <= 0) {
            break;
        }
        heap_set(kind, heap, at, heap->items[child]);
        at = child;
    }
    heap_set(kind, heap, at, line);
}

static void heap_push(const struct heap_kind *kind, struct hf_line_heap *heap, struct hf_line *line)
{
    HF_CHECK(heap->count < heap->capacity);
    heap->items[heap->count++] = line;
    sift_up(kind, heap, heap->count - 1);
}

/* Of a line whose key may have changed. */
static void heap_update(const struct heap_kind *kind, struct hf_line_heap *heap, size_t at)
{
    struct hf_line *line = heap->items[at];
    sift_up(kind, heap, at);
    sift_down(kind, heap, *index_in(kind, line));
}

static void heap_remove(const struct heap_kind *kind, struct hf_line_heap *heap,
                        struct hf_line *line)
{
    size_t at = *index_in(kind, line);
    HF_CHECK(at < heap->count && heap->items[at] == line);
    struct hf_line *moved = heap->items[--heap->count];
    if (moved != line) {
        heap->items[at] = moved;
        heap_update(kind, heap, at);
    }
}

/* Places in a heap whose parents were taken: a heap of indices, earliest line first. */
struct candidates {
    const struct hf_line_heap *heap;
    size_t *items;
    size_t count;
};

static bool candidate_before(const struct candidates *c, size_t a, size_t b)
{
    return compare_due(c->heap->items[c->items[a]], c->heap->items[c->items[b]]) < 0;
}

static void swap_candidates(struct candidates *c, size_t a, size_t b)
{
    size_t item = c->items[a];
    c->items[a] = c->items[b];
    c->items[b] = item;
}

static void push_candidate(struct candidates *c, size_t item)
{
    if (item >= c->heap->count) {
        return;
    }
    size_t at = c->count++;
    c->items[at] = item;
    while (at > 0 && candidate_before(c, at, (at - 1) / 2)) {
        swap_candidates(c, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static size_t pop_candidate(struct candidates *c)
{
    size_t item = c->items[0];
    c->items[0] = c->items[--c->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= c->count) {
            return item;
        }
        if (child + 1 < c->count && candidate_before(c, child + 1, child)) {
            child++;
        }
        if (!candidate_before(c, child, at)) {
            return item;
        }
        swap_candidates(c, child, at);
        at = child;
    }
}

size_t hf_line_heap_earliest(const struct hf_line_heap *heap, uint64_t now_us, struct hf_line **out,
                             size_t most, size_t *scratch)
{
    struct candidates candidates = {.heap = heap};
    candidates.items = scratch;
    size_t count = 0;
    if (most > 0) {
        push_candidate(&candidates, 0);
    }
    while (count < most && candidates.count > 0) {
        size_t item =
            pop_candidate(&candidates); /* each one taken brings two: at most `most` + 1 */
        if (heap->items[item]->due_us > now_us) {
            break;
        }
        out[count++] = heap->items[item];
        push_candidate(&candidates, 2 * item + 1);
        push_candidate(&candidates, 2 * item + 2);
    }
    return count;
}

/* ---- lines ---- */

bool hf_lines_reserve(struct hf_subscription *s, size_t lines, size_t out, size_t failing)
{
    return hf_table_reserve(&s->lines, lines) && heap_reserve(&s->ages, lines) &&
           heap_reserve(&s->out, out) && heap_reserve(&s->backing_off, failing) &&
           hf_line_marks_reserve(&s->marks, failing);
}

void hf_line_enter(struct hf_subscription *s, struct hf_line *line)
{
    switch (line->state) {
    case HF_LINE_READY:
    case HF_LINE_PARKED:
        line->order = s->next_order++;
        list_append(list_of(s, line), line);
        if (line->state == HF_LINE_PARKED) {
            hf_line_marks_added(&s->marks, line);
        }
        return;
    case HF_LINE_BACKING_OFF:
        heap_push(&by_due, &s->backing_off, line);
        return;
    case HF_LINE_OUT:
        heap_push(&by_due, &s->out, line);
        return;
    }
}

void hf_line_leave(struct hf_subscription *s, struct hf_line *line)
{
    switch (line->state) {
    case HF_LINE_READY:
    case HF_LINE_PARKED:
        if (s->redrive.at == line) {
            s->redrive.at = line->list_behind;
        }
        if (line->state == HF_LINE_PARKED) {
            hf_line_marks_leaving(&s->marks, line);
        }
        list_remove(list_of(s, line), line);
        return;
    case HF_LINE_BACKING_OFF:
        heap_remove(&by_due, &s->backing_off, line);
        return;
    case HF_LINE_OUT:
        heap_remove(&by_due, &s->out, line);
        return;
    }
}

void hf_lines_add(struct hf_subscription *s, struct hf_line *line)
{
    HF_CHECK(hf_table_put(&s->lines, &line->key, line) == NULL);
    heap_push(&by_age, &s->ages, line);
    hf_line_enter(s, line);
}

void hf_lines_remove(struct hf_subscription *s, struct hf_line *line)
{
    hf_line_leave(s, line);
    heap_remove(&by_age, &s->ages, line);
    HF_CHECK(hf_table_remove(&s->lines, &line->key) == line);
}

void hf_line_aged(struct hf_subscription *s, struct hf_line *line)
{
    heap_update(&by_age, &s->ages, line->age_index);
}

void hf_lines_reheap_out(struct hf_subscription *s)
{
    for (size_t i = s->out.count / 2; i > 0; i--) {
        sift_down(&by_due, &s->out, i - 1);
    }
}

const struct hf_place *hf_line_out_place(const struct hf_line *line, uint64_t number)
{
    HF_CHECK(number >= line->first && number < line->next);
    if (number == line->first) {
        return &line->place;
    }
    HF_CHECK(line->out_places != NULL && number >= line->out_from);
    return &line->out_places[number - line->out_from];
}

bool hf_line_advance(struct hf_line *line)
{
    HF_CHECK(line->state == HF_LINE_OUT ? line->first < line->next : line->state == HF_LINE_PARKED);
    bool group_goes_on = line->state == HF_LINE_OUT && line->first + 1 < line->next;
    struct hf_place place =
        group_goes_on ? *hf_line_out_place(line, line->first + 1) : line->behind;
    line->first++;
    line->place = place;
    line->tries = 0;
    line->event_position = 0;
    if (!group_goes_on) {
        line->next = line->first;
        line->behind = (struct hf_place){0};
    }
    return line->first <= line->last;
}

void hf_line_return(struct hf_line *line)
{
    if (line->first + 1 < line->next) {
        line->behind = *hf_line_out_place(line, line->first + 1);
    }
    line->next = line->first;
    line->out_places = NULL;
    line->out_from = 0;
    line->token = 0;
    line->lease_ms = 0;
}

bool hf_subscription_ready(const struct hf_subscription *s, uint64_t now_us)
{
    struct hf_id main_key = HF_LINE_MAIN_KEY;
    bool only_main = s->ready.count == 1 && hf_id_equal(&s->ready.first->key, &main_key);
    if (s->in_flight >= s->settings.in_flight_max || s->parked.count >= s->settings.lines_max) {
        return false;
    }
    return (s->backing_off.count > 0 && s->backing_off.items[0]->due_us <= now_us) ||
           (s->ready.count > 0 &&
            (!only_main || hf_own_lines_max(&s->settings, s->lines.count) > 0));
}

uint64_t hf_subscription_next_ready_us(const struct hf_subscription *s)
{
    return s->backing_off.count == 0 ? UINT64_MAX : s->backing_off.items[0]->due_us;
}

/* ---- verification ---- */

/* What a walk over the lines counts. */
struct walk {
    uint64_t ready, backing_off, out, parked, in_flight, waiting;
};

static void verify_line(const struct hf_subscription *s, const struct hf_line *line,
                        struct walk *walk)
{
    static const struct hf_id main_key;
    bool unordered = s->settings.order == HF_ORDER_NONE;
    bool is_main = hf_id_equal(&line->key, &main_key);
    bool out = line->state == HF_LINE_OUT;
    HF_CHECK(line->first >= 1 && line->first <= line->last && line->next >= line->first);
    HF_CHECK(line->next <= line->last + 1 && out == (line->next > line->first));
    HF_CHECK(line->place.position > 0 && line->delivered_to <= line->last);
    HF_CHECK(out == (line->token > 0));
    HF_CHECK((line->out_places != NULL) ==
             (out && line->next > line->out_from && line->out_from > 0));
    HF_CHECK(!out || (line->behind.position > 0) == (line->next <= line->last));
    HF_CHECK(line->state != HF_LINE_PARKED ||
             (line->behind.position > 0) == (line->first < line->last));
    HF_CHECK(!unordered || is_main != line->own);
    HF_CHECK(!is_main || (unordered && line->state == HF_LINE_READY));
    HF_CHECK(!line->own || line->last == 1);
    HF_CHECK(s->ages.items[line->age_index] == line);
    uint64_t messages = line->last - line->first + 1;
    walk->ready += line->state == HF_LINE_READY;
    walk->backing_off += line->state == HF_LINE_BACKING_OFF;
    walk->out += out;
    walk->parked += line->state == HF_LINE_PARKED;
    walk->in_flight += line->next - line->first;
    walk->waiting += messages - (line->next - line->first) - (line->state == HF_LINE_PARKED);
}

static void verify_list(const struct hf_line_list *list, enum hf_line_state state)
{
    const struct hf_line *before = NULL;
    size_t count = 0;
    for (const struct hf_line *line = list->first; line != NULL; line = line->list_behind) {
        HF_CHECK(line->state == state && line->list_before == before);
        HF_CHECK(before == NULL || before->order < line->order);
        before = line;
        count++;
    }
    HF_CHECK(list->last == before && list->count == count);
}

static void verify_heap(const struct heap_kind *kind, const struct hf_line_heap *heap)
{
    for (size_t i = 0; i < heap->count; i++) {
        HF_CHECK(*index_in(kind, heap->items[i]) == i);
        HF_CHECK(i == 0 || kind->compare(heap->items[(i - 1) / 2], heap->items[i]) < 0);
    }
}

void hf_subscription_verify(const struct hf_subscription *s)
{
    struct walk walk = {0};
    size_t at = 0;
    const struct hf_line *line;
    hf_table_verify(&s->lines);
    while ((line = hf_table_next(&s->lines, &at)) != NULL) {
        HF_CHECK(hf_subscription_line(s, &line->key) == line);
        verify_line(s, line, &walk);
    }
    verify_list(&s->ready, HF_LINE_READY);
    verify_list(&s->parked, HF_LINE_PARKED);
    hf_line_marks_verify(&s->marks, &s->parked);
    verify_heap(&by_due, &s->backing_off);
    verify_heap(&by_due, &s->out);
    verify_heap(&by_age, &s->ages);
    HF_CHECK(s->ready.count == walk.ready && s->parked.count == walk.parked);
    HF_CHECK(s->backing_off.count == walk.backing_off && s->out.count == walk.out);
    HF_CHECK(s->ages.count == s->lines.count);
    HF_CHECK(s->in_flight == walk.in_flight && s->waiting == walk.waiting);
    HF_CHECK(s->waiting + s->in_flight + s->parked.count == s->arrived - s->ended);
}
