#include "deliver/due_call.h"

#include "base/alloc.h"
#include "base/check.h"

#define BUCKETS_FIRST 64u

void hf_due_calls_init(struct hf_due_calls *dues, uint64_t seed)
{
    *dues = (struct hf_due_calls){.seed = seed};
}

void hf_due_calls_release(struct hf_due_calls *dues)
{
    HF_CHECK(dues->count == 0);
    hf_free(dues->buckets);
    hf_free(dues->heap);
    *dues = (struct hf_due_calls){0};
}

/* ---- the table ---- */

static struct hf_due_call **bucket_of(const struct hf_due_calls *dues, uint64_t uid)
{
    uint64_t mixed = (uid ^ dues->seed) * 0x9E3779B97F4A7C15u;
    mixed ^= mixed >> 32;
    return &dues->buckets[mixed & (dues->bucket_count - 1)];
}

static bool reserve(struct hf_due_calls *dues)
{
    if (dues->count == dues->heap_capacity) {
        size_t capacity = dues->heap_capacity == 0 ? BUCKETS_FIRST : 2 * dues->heap_capacity;
        struct hf_due_call **heap = hf_realloc(dues->heap, capacity * sizeof(struct hf_due_call *));
        if (heap == NULL) {
            return false;
        }
        dues->heap = heap;
        dues->heap_capacity = capacity;
    }
    if (dues->count < dues->bucket_count) {
        return true;
    }
    struct hf_due_calls grown = *dues;
    grown.bucket_count = dues->bucket_count == 0 ? BUCKETS_FIRST : 2 * dues->bucket_count;
    grown.buckets = hf_calloc(grown.bucket_count, sizeof(struct hf_due_call *));
    if (grown.buckets == NULL) {
        return false;
    }
    for (size_t i = 0; i < dues->bucket_count; i++) {
        struct hf_due_call *due = dues->buckets[i];
        while (due != NULL) {
            struct hf_due_call *next = due->next;
            struct hf_due_call **bucket = bucket_of(&grown, due->uid);
            due->next = *bucket;
            *bucket = due;
            due = next;
        }
    }
    hf_free(dues->buckets);
    *dues = grown;
    return true;
}

struct hf_due_call *hf_due_calls_of(const struct hf_due_calls *dues, uint64_t uid,
                                    const struct hf_due_call *before)
{
    if (dues->bucket_count == 0) {
        return NULL;
    }
    struct hf_due_call *due = before == NULL ? *bucket_of(dues, uid) : before->next;
    while (due != NULL && due->uid != uid) {
        due = due->next;
    }
    return due;
}

struct hf_due_call *hf_due_calls_find(const struct hf_due_calls *dues, uint64_t uid, uint32_t step)
{
    struct hf_due_call *due = hf_due_calls_of(dues, uid, NULL);
    while (due != NULL && due->step != step) {
        due = hf_due_calls_of(dues, uid, due);
    }
    return due;
}

struct hf_due_call *hf_due_calls_add(struct hf_due_calls *dues, uint64_t uid, uint32_t step)
{
    HF_CHECK(step < HF_SAGA_STEPS_MAX);
    if (!reserve(dues)) {
        return NULL;
    }
    struct hf_due_call *due = hf_calloc(1, sizeof(*due));
    if (due != NULL) {
        struct hf_due_call **bucket = bucket_of(dues, uid);
        due->uid = uid;
        due->step = (uint8_t)step;
        due->state = HF_DUE_PAUSED;
        due->next = *bucket;
        *bucket = due;
        dues->count++;
    }
    return due;
}

/* ---- the heap ---- */

static bool is_before(const struct hf_due_call *a, const struct hf_due_call *b)
{
    if (a->due_us != b->due_us) {
        return a->due_us < b->due_us;
    }
    return a->uid != b->uid ? a->uid < b->uid : a->step < b->step;
}

static void heap_set(struct hf_due_calls *dues, size_t index, struct hf_due_call *due)
{
    dues->heap[index] = due;
    due->heap_index = index;
}

static void heap_up(struct hf_due_calls *dues, struct hf_due_call *due)
{
    size_t index = due->heap_index;
    while (index > 0 && is_before(due, dues->heap[(index - 1) / 2])) {
        heap_set(dues, index, dues->heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    heap_set(dues, index, due);
}

static void heap_down(struct hf_due_calls *dues, struct hf_due_call *due)
{
    size_t index = due->heap_index;
    for (;;) {
        size_t child = 2 * index + 1;
        if (child + 1 < dues->heap_count && is_before(dues->heap[child + 1], dues->heap[child])) {
            child++;
        }
        if (child >= dues->heap_count || !is_before(dues->heap[child], due)) {
            break;
        }
        heap_set(dues, index, dues->heap[child]);
        index = child;
    }
    heap_set(dues, index, due);
}

static void heap_add(struct hf_due_calls *dues, struct hf_due_call *due)
{
    HF_CHECK(dues->heap_count < dues->heap_capacity);
    heap_set(dues, dues->heap_count++, due);
    heap_up(dues, due);
}

static void heap_remove(struct hf_due_calls *dues, struct hf_due_call *due)
{
    HF_CHECK(due->heap_index < dues->heap_count && dues->heap[due->heap_index] == due);
    struct hf_due_call *last = dues->heap[--dues->heap_count];
    if (last != due) {
        heap_set(dues, due->heap_index, last);
        heap_up(dues, last);
        heap_down(dues, last);
    }
}

void hf_due_calls_set(struct hf_due_calls *dues, struct hf_due_call *due, enum hf_due_state state)
{
    if (due->state == HF_DUE_LATER) {
        heap_remove(dues, due);
    }
    due->state = (uint8_t)state;
    if (state == HF_DUE_LATER) {
        heap_add(dues, due);
    }
}

struct hf_due_call *hf_due_calls_first(const struct hf_due_calls *dues)
{
    return dues->heap_count == 0 ? NULL : dues->heap[0];
}

void hf_due_calls_remove(struct hf_due_calls *dues, struct hf_due_call *due)
{
    HF_CHECK(due->turn == NULL && due->definition == NULL);
    if (due->state == HF_DUE_LATER) {
        heap_remove(dues, due);
    }
    struct hf_due_call **at = bucket_of(dues, due->uid);
    while (*at != due) {
        at = &(*at)->next;
    }
    *at = due->next;
    dues->count--;
    hf_free(due);
}

void hf_due_calls_verify(const struct hf_due_calls *dues)
{
    size_t count = 0;
    size_t later = 0;
    for (size_t i = 0; i < dues->bucket_count; i++) {
        for (const struct hf_due_call *due = dues->buckets[i]; due != NULL; due = due->next) {
            HF_CHECK(bucket_of(dues, due->uid) == &dues->buckets[i]);
            HF_CHECK(hf_due_calls_find(dues, due->uid, due->step) == due);
            HF_CHECK((due->state == HF_DUE_NOW) == (due->turn != NULL));
            later += due->state == HF_DUE_LATER;
            count++;
        }
    }
    HF_CHECK(count == dues->count && later == dues->heap_count);
    HF_CHECK(dues->count <= dues->heap_capacity);
    for (size_t i = 0; i < dues->heap_count; i++) {
        HF_CHECK(dues->heap[i]->heap_index == i && dues->heap[i]->state == HF_DUE_LATER);
        HF_CHECK(i == 0 || !is_before(dues->heap[i], dues->heap[(i - 1) / 2]));
    }
}
