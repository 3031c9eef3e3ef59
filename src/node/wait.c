#include "node/wait.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"

struct hf_wait_queue {
    enum hf_kind kind;        /* SUBSCRIPTION or SAGA */
    struct hf_id id;          /* of which */
    struct hf_request *first; /* longest waiting; by `next` */
    struct hf_request *last;
    size_t under_way;           /* taken by next and not back */
    struct hf_wait_timer timer; /* when its subscription is ready by time, while in the heap… */
    bool timed;                 /* …which it is */
    bool is_stirred;            /* it stands in the list of those… */
    struct hf_wait_queue *stirred_next; /* …by this */
};

/* ---- heaps ---- */

static void heap_set(struct hf_wait_heap *heap, size_t index, struct hf_wait_timer *timer)
{
    heap->items[index] = timer;
    timer->index = index;
}

static void heap_up(struct hf_wait_heap *heap, size_t index)
{
    struct hf_wait_timer *timer = heap->items[index];
    while (index > 0 && heap->items[(index - 1) / 2]->due_us > timer->due_us) {
        heap_set(heap, index, heap->items[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    heap_set(heap, index, timer);
}

static void heap_down(struct hf_wait_heap *heap, size_t index)
{
    struct hf_wait_timer *timer = heap->items[index];
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count &&
            heap->items[child + 1]->due_us < heap->items[child]->due_us) {
            child++;
        }
        if (heap->items[child]->due_us >= timer->due_us) {
            break;
        }
        heap_set(heap, index, heap->items[child]);
        index = child;
    }
    heap_set(heap, index, timer);
}

static bool heap_reserve(struct hf_wait_heap *heap, size_t count)
{
    if (count <= heap->capacity) {
        return true;
    }
    size_t capacity = heap->capacity == 0 ? 16 : 2 * heap->capacity;
    void *items = hf_realloc(heap->items, capacity * sizeof(struct hf_wait_timer *));
    if (items == NULL) {
        return false;
    }
    heap->items = items;
    heap->capacity = capacity;
    return true;
}

/* Room is reserved. */
static void heap_add(struct hf_wait_heap *heap, struct hf_wait_timer *timer)
{
    HF_CHECK(heap->count < heap->capacity);
    heap_set(heap, heap->count++, timer);
    heap_up(heap, heap->count - 1);
}

static void heap_remove(struct hf_wait_heap *heap, struct hf_wait_timer *timer)
{
    size_t index = timer->index;
    HF_CHECK(index < heap->count && heap->items[index] == timer);
    struct hf_wait_timer *moved = heap->items[--heap->count];
    if (moved != timer) {
        heap_set(heap, index, moved);
        heap_up(heap, index);
        heap_down(heap, moved->index);
    }
}

static uint64_t heap_earliest(const struct hf_wait_heap *heap)
{
    return heap->count == 0 ? UINT64_MAX : heap->items[0]->due_us;
}

/* ---- queues ---- */

void hf_waits_init(struct hf_waits *waits, uint64_t seed, size_t count_max)
{
    *waits = (struct hf_waits){.count_max = count_max};
    hf_table_init(&waits->queues, seed);
    hf_table_init(&waits->saga_queues, seed);
    atomic_init(&waits->shown, 0);
}

static struct hf_table *queues_of(struct hf_waits *waits, enum hf_kind kind)
{
    return kind == HF_KIND_SAGA ? &waits->saga_queues : &waits->queues;
}

static void free_queues(struct hf_table *queues)
{
    size_t at = 0;
    struct hf_wait_queue *queue;
    while ((queue = hf_table_next(queues, &at)) != NULL) {
        hf_free(queue);
    }
    hf_table_release(queues);
}

void hf_waits_release(struct hf_waits *waits)
{
    HF_CHECK(waits->count == 0);
    free_queues(&waits->queues);
    free_queues(&waits->saga_queues);
    hf_free(waits->deadlines.items);
    hf_free(waits->ready.items);
}

struct hf_wait_subject hf_wait_subject_of(const struct hf_request *request)
{
    const struct hf_command *command = request->command;
    if (command != NULL) {
        bool receives = command->kind == HF_COMMAND_COMMIT && command->op_count == 1 &&
                        command->ops[0].type == HF_OP_RECEIVE;
        return (struct hf_wait_subject){receives ? HF_KIND_SUBSCRIPTION : HF_KIND_NONE,
                                        receives ? &command->ops[0].subject.id : NULL};
    }
    bool of_saga = request->query_count == 1 && request->queries[0].type == HF_QUERY_SAGA &&
                   request->queries[0].until_settled;
    return (struct hf_wait_subject){of_saga ? HF_KIND_SAGA : HF_KIND_NONE,
                                    of_saga ? &request->queries[0].name.id : NULL};
}

bool hf_wait_saga_goes_on(const struct hf_state *state, const struct hf_id *saga)
{
    const struct hf_saga *found = hf_sagas_get(&state->sagas, saga);
    return found != NULL && !hf_saga_ended(found->state) && found->state != HF_SAGA_PARKED;
}

static void show_count(struct hf_waits *waits)
{
    atomic_store_explicit(&waits->shown, waits->count, memory_order_relaxed);
}

static void stir(struct hf_waits *waits, struct hf_wait_queue *queue)
{
    if (!queue->is_stirred) {
        queue->is_stirred = true;
        queue->stirred_next = waits->stirred;
        waits->stirred = queue;
    }
}

static void unstir(struct hf_waits *waits, struct hf_wait_queue *queue)
{
    struct hf_wait_queue **at = &waits->stirred;
    while (*at != NULL && *at != queue) {
        at = &(*at)->stirred_next;
    }
    HF_CHECK(*at == queue);
    *at = queue->stirred_next;
    queue->is_stirred = false;
}

static void untime(struct hf_waits *waits, struct hf_wait_queue *queue)
{
    if (queue->timed) {
        heap_remove(&waits->ready, &queue->timer);
        queue->timed = false;
    }
}

/* Frees a queue that nobody stands in. */
static void drop_if_empty(struct hf_waits *waits, struct hf_wait_queue *queue)
{
    if (queue->first != NULL || queue->under_way > 0) {
        return;
    }
    if (queue->is_stirred) {
        unstir(waits, queue);
    }
    untime(waits, queue);
    HF_CHECK(hf_table_remove(queues_of(waits, queue->kind), &queue->id) == queue);
    hf_free(queue);
}

/* When the subscription becomes ready by time alone; room in the heap is there since the queue was made. What has
 * come already and still is not ready (too much is in flight) waits for a commit. */
static void time_queue(struct hf_waits *waits, struct hf_wait_queue *queue,
                       const struct hf_subscription *subscription, uint64_t now_us)
{
    uint64_t ready_us =
        subscription == NULL ? UINT64_MAX : hf_subscription_next_ready_us(subscription);
    untime(waits, queue);
    if (ready_us != UINT64_MAX && ready_us > now_us && queue->first != NULL) {
        queue->timer.due_us = ready_us;
        heap_add(&waits->ready, &queue->timer);
        queue->timed = true;
    }
}

static struct hf_wait_queue *queue_for(struct hf_waits *waits, struct hf_wait_subject subject)
{
    struct hf_table *queues = queues_of(waits, subject.kind);
    struct hf_wait_queue *queue = hf_table_get(queues, subject.id);
    if (queue != NULL) {
        return queue;
    }
    queue = hf_calloc(1, sizeof(*queue));
    if (queue == NULL || !hf_table_reserve(queues, 1) ||
        !heap_reserve(&waits->ready, waits->queues.count + 1)) {
        hf_free(queue);
        return NULL;
    }
    queue->kind = subject.kind;
    queue->id = *subject.id;
    (void)hf_table_put(queues, subject.id, queue);
    return queue;
}

/* ---- waiters ---- */

/* By wait_order; almost always at the end, or one that was woken in vain at the front. */
static void insert(struct hf_wait_queue *queue, struct hf_request *request)
{
    struct hf_request **at = &queue->first;
    if (queue->first == NULL || queue->last->wait_order < request->wait_order) {
        at = queue->first == NULL ? &queue->first : &queue->last->next;
    } else {
        while ((*at)->wait_order < request->wait_order) {
            at = &(*at)->next;
        }
    }
    request->next = *at;
    *at = request;
    if (request->next == NULL) {
        queue->last = request;
    }
}

bool hf_waits_keep(struct hf_waits *waits, struct hf_request *request, const struct hf_state *state,
                   uint64_t now_us)
{
    struct hf_wait_subject subject = hf_wait_subject_of(request);
    HF_CHECK(subject.kind != HF_KIND_NONE && !request->waits);
    if (waits->count >= waits->count_max) {
        return false;
    }
    struct hf_wait_queue *queue = queue_for(waits, subject);
    if (queue == NULL) {
        return false;
    }
    if (!heap_reserve(&waits->deadlines, waits->deadlines.count + 1)) {
        drop_if_empty(waits, queue);
        return false;
    }
    if (request->woken) {
        request->woken = false;
        queue->under_way--;
        if (queue->is_stirred) { /* others have taken it: the next commit tells */
            unstir(waits, queue);
        }
    } else {
        request->wait_order = ++waits->order;
    }
    insert(queue, request);
    request->waits = true;
    request->wait_timer.due_us = request->deadline_us;
    heap_add(&waits->deadlines, &request->wait_timer);
    waits->count++;
    show_count(waits);
    if (subject.kind == HF_KIND_SUBSCRIPTION && !queue->timed) {
        time_queue(waits, queue, hf_queue_subscription(&state->queue, subject.id), now_us);
    }
    return true;
}

/* Takes a waiter out. before: the one in front of it, NULL if it is the first. */
static void take_out(struct hf_waits *waits, struct hf_wait_queue *queue,
                     struct hf_request *request, struct hf_request *before)
{
    if (before == NULL) {
        queue->first = request->next;
    } else {
        before->next = request->next;
    }
    if (queue->last == request) {
        queue->last = before;
    }
    request->next = NULL;
    request->waits = false;
    heap_remove(&waits->deadlines, &request->wait_timer);
    waits->count--;
    show_count(waits);
}

static struct hf_wait_queue *queue_of(struct hf_waits *waits, const struct hf_request *request)
{
    struct hf_wait_subject subject = hf_wait_subject_of(request);
    struct hf_wait_queue *queue = hf_table_get(queues_of(waits, subject.kind), subject.id);
    HF_CHECK(queue != NULL);
    return queue;
}

static void take_out_anywhere(struct hf_waits *waits, struct hf_request *request)
{
    struct hf_wait_queue *queue = queue_of(waits, request);
    struct hf_request *before = NULL;
    for (struct hf_request *r = queue->first; r != request; r = r->next) {
        HF_CHECK(r != NULL);
        before = r;
    }
    take_out(waits, queue, request, before);
    drop_if_empty(waits, queue);
}

void hf_waits_settled(struct hf_waits *waits, struct hf_request *request)
{
    if (!request->woken) {
        return;
    }
    struct hf_wait_queue *queue = queue_of(waits, request);
    HF_CHECK(queue->under_way > 0);
    request->woken = false;
    queue->under_way--;
    if (queue->first != NULL) {
        stir(waits, queue); /* it may have left something */
    }
    drop_if_empty(waits, queue);
}

void hf_waits_stir(struct hf_waits *waits, enum hf_kind kind, const struct hf_id *id)
{
    struct hf_wait_queue *queue = hf_table_get(queues_of(waits, kind), id);
    if (queue != NULL && queue->first != NULL) {
        stir(waits, queue);
    }
}

static void stir_table(struct hf_waits *waits, struct hf_table *queues)
{
    size_t at = 0;
    struct hf_wait_queue *queue;
    while ((queue = hf_table_next(queues, &at)) != NULL) {
        stir(waits, queue);
    }
}

void hf_waits_stir_all(struct hf_waits *waits)
{
    stir_table(waits, &waits->queues);
    stir_table(waits, &waits->saga_queues);
}

/* Queues whose subscription has become ready by time. */
static void stir_due(struct hf_waits *waits, uint64_t now_us)
{
    while (waits->ready.count > 0 && heap_earliest(&waits->ready) <= now_us) {
        struct hf_wait_queue *queue =
            HF_CONTAINER_OF(waits->ready.items[0], struct hf_wait_queue, timer);
        untime(waits, queue);
        stir(waits, queue);
    }
}

/* Would another receive find something? A subscription that is gone is told to all that wait for it. */
static bool worth_asking(const struct hf_wait_queue *queue, const struct hf_state *state,
                         const struct hf_subscription *subscription, uint64_t now_us)
{
    if (queue->first == NULL) {
        return false;
    }
    if (queue->kind == HF_KIND_SAGA) {
        return !hf_wait_saga_goes_on(state, &queue->id);
    }
    if (subscription == NULL) {
        return true;
    }
    return hf_subscription_ready(subscription, now_us) &&
           queue->under_way < subscription->ready.count + subscription->backing_off.count;
}

struct hf_request *hf_waits_next(struct hf_waits *waits, const struct hf_state *state,
                                 uint64_t now_us)
{
    stir_due(waits, now_us);
    while (waits->stirred != NULL) {
        struct hf_wait_queue *queue = waits->stirred;
        const struct hf_subscription *subscription =
            queue->kind == HF_KIND_SAGA ? NULL : hf_queue_subscription(&state->queue, &queue->id);
        if (worth_asking(queue, state, subscription, now_us)) {
            struct hf_request *request = queue->first;
            take_out(waits, queue, request, NULL);
            request->woken = true;
            queue->under_way++;
            return request;
        }
        unstir(waits, queue);
        time_queue(waits, queue, subscription, now_us);
        drop_if_empty(waits, queue);
    }
    return NULL;
}

struct hf_request *hf_waits_expired(struct hf_waits *waits, uint64_t monotonic_us)
{
    if (waits->deadlines.count == 0 || heap_earliest(&waits->deadlines) > monotonic_us) {
        return NULL;
    }
    struct hf_request *request =
        HF_CONTAINER_OF(waits->deadlines.items[0], struct hf_request, wait_timer);
    take_out_anywhere(waits, request);
    return request;
}

struct hf_request *hf_waits_gone(struct hf_waits *waits)
{
    for (size_t i = 0; i < waits->deadlines.count; i++) {
        struct hf_request *request =
            HF_CONTAINER_OF(waits->deadlines.items[i], struct hf_request, wait_timer);
        if (atomic_load_explicit(&request->gone, memory_order_acquire)) {
            take_out_anywhere(waits, request);
            return request;
        }
    }
    return NULL;
}

struct hf_request *hf_waits_any(struct hf_waits *waits)
{
    return hf_waits_expired(waits, UINT64_MAX);
}

uint64_t hf_waits_deadline_us(const struct hf_waits *waits)
{
    return heap_earliest(&waits->deadlines);
}

uint64_t hf_waits_ready_us(const struct hf_waits *waits)
{
    return heap_earliest(&waits->ready);
}

/* ---- invariants ---- */

static void verify_heap(const struct hf_wait_heap *heap)
{
    for (size_t i = 0; i < heap->count; i++) {
        HF_CHECK(heap->items[i]->index == i);
        HF_CHECK(i == 0 || heap->items[(i - 1) / 2]->due_us <= heap->items[i]->due_us);
    }
}

struct found {
    size_t count, timed, stirred;
};

static void verify_queues(const struct hf_table *queues, enum hf_kind kind, struct found *found)
{
    size_t at = 0;
    const struct hf_wait_queue *queue;
    while ((queue = hf_table_next(queues, &at)) != NULL) {
        HF_CHECK(queue->kind == kind && (queue->first != NULL || queue->under_way > 0));
        HF_CHECK(kind == HF_KIND_SUBSCRIPTION || !queue->timed);
        for (const struct hf_request *r = queue->first; r != NULL; r = r->next) {
            struct hf_wait_subject subject = hf_wait_subject_of(r);
            HF_CHECK(r->waits && !r->woken);
            HF_CHECK(r->next == NULL ? queue->last == r : r->wait_order < r->next->wait_order);
            HF_CHECK(subject.kind == kind && hf_id_equal(subject.id, &queue->id));
            found->count++;
        }
        found->timed += queue->timed;
        found->stirred += queue->is_stirred;
    }
}

void hf_waits_verify(const struct hf_waits *waits)
{
    struct found found = {0};
    verify_heap(&waits->deadlines);
    verify_heap(&waits->ready);
    verify_queues(&waits->queues, HF_KIND_SUBSCRIPTION, &found);
    verify_queues(&waits->saga_queues, HF_KIND_SAGA, &found);
    for (const struct hf_wait_queue *q = waits->stirred; q != NULL; q = q->stirred_next) {
        HF_CHECK(q->is_stirred && found.stirred > 0);
        found.stirred--;
    }
    HF_CHECK(found.count == waits->count && found.count == waits->deadlines.count);
    HF_CHECK(found.stirred == 0);
    HF_CHECK(found.timed == waits->ready.count && found.count <= waits->count_max);
}
