#include "deliver/target.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/sha256.h"
#include "base/table.h"
#include "deliver/target_priv.h"

static_assert(HF_TARGET_WINDOW == 64, "the window is a word of bits");

struct hf_target_limits hf_target_limits_default(void)
{
    return (struct hf_target_limits){
        .targets_max = 10000,
        .in_flight_max = 128,
        .calls_max = 4096,
        .failures_in_row = 10,
        .failure_percent = 60,
        .open_first_us = 1000000,
        .open_max_us = 30000000,
    };
}

enum hf_target_end hf_target_end_of(enum hf_call_error error, uint16_t status)
{
    switch (error) {
    case HF_CALL_COMPLETE:
        return status == 429   ? HF_TARGET_THROTTLED
               : status >= 500 ? HF_TARGET_FAILED
                               : HF_TARGET_OK;
    case HF_CALL_TOO_LARGE:
        return HF_TARGET_OK;
    case HF_CALL_REFUSED_HERE:
        return HF_TARGET_NOT_SENT;
    case HF_CALL_NOT_CONNECTED:
    case HF_CALL_TIMED_OUT:
    case HF_CALL_CUT_OFF:
        break;
    }
    return HF_TARGET_FAILED;
}

/* ---- lists of targets ---- */

static void list_add(struct target_list *list, struct hf_target *target)
{
    target->before = list->last;
    target->after = NULL;
    *(list->last == NULL ? &list->first : &list->last->after) = target;
    list->last = target;
}

static void list_remove(struct target_list *list, struct hf_target *target)
{
    *(target->before == NULL ? &list->first : &target->before->after) = target->after;
    *(target->after == NULL ? &list->last : &target->after->before) = target->before;
    target->before = target->after = NULL;
}

/* ---- the heap of those that wait for a time ---- */

static void heap_set(struct hf_targets *targets, size_t index, struct hf_target *target)
{
    targets->heap[index] = target;
    target->heap_index = index;
}

static void heap_up(struct hf_targets *targets, size_t index)
{
    struct hf_target *target = targets->heap[index];
    while (index > 0 && targets->heap[(index - 1) / 2]->due_us > target->due_us) {
        heap_set(targets, index, targets->heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    heap_set(targets, index, target);
}

static void heap_down(struct hf_targets *targets, size_t index)
{
    struct hf_target *target = targets->heap[index];
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= targets->heap_count) {
            break;
        }
        if (child + 1 < targets->heap_count &&
            targets->heap[child + 1]->due_us < targets->heap[child]->due_us) {
            child++;
        }
        if (targets->heap[child]->due_us >= target->due_us) {
            break;
        }
        heap_set(targets, index, targets->heap[child]);
        index = child;
    }
    heap_set(targets, index, target);
}

/* There is a place for every target. */
static void heap_add(struct hf_targets *targets, struct hf_target *target)
{
    HF_CHECK(targets->heap_count < targets->heap_capacity);
    heap_set(targets, targets->heap_count++, target);
    heap_up(targets, targets->heap_count - 1);
}

static void heap_remove(struct hf_targets *targets, struct hf_target *target)
{
    size_t index = target->heap_index;
    HF_CHECK(index < targets->heap_count && targets->heap[index] == target);
    struct hf_target *moved = targets->heap[--targets->heap_count];
    if (moved != target) {
        heap_set(targets, index, moved);
        heap_up(targets, index);
        heap_down(targets, moved->heap_index);
    }
}

/* ---- where a target belongs ---- */

static void take_out(struct hf_targets *targets, struct hf_target *target)
{
    switch (target->place) {
    case TARGET_NOWHERE:
        break;
    case TARGET_IDLE:
        list_remove(&targets->idle, target);
        break;
    case TARGET_READY:
        list_remove(&targets->ready, target);
        break;
    case TARGET_TIMED:
        heap_remove(targets, target);
        break;
    }
    target->place = TARGET_NOWHERE;
}

static enum target_place place_of(const struct hf_target *target)
{
    if (target->waiting == 0) {
        return target->in_flight == 0 ? TARGET_IDLE : TARGET_NOWHERE;
    }
    if (target->due_us != 0) {
        return TARGET_TIMED;
    }
    bool may = target->phase == HF_TARGET_PROBING ? target->probe == NULL
                                                  : target->in_flight < target->allowed;
    return may ? TARGET_READY : TARGET_NOWHERE;
}

static void put_in(struct hf_targets *targets, struct hf_target *target)
{
    target->place = place_of(target);
    switch (target->place) {
    case TARGET_NOWHERE:
        break;
    case TARGET_IDLE:
        list_add(&targets->idle, target);
        break;
    case TARGET_READY:
        list_add(&targets->ready, target);
        break;
    case TARGET_TIMED:
        heap_add(targets, target);
        break;
    }
}

/* What it was ready for has not changed: it keeps its turn. */
static void settle_in(struct hf_targets *targets, struct hf_target *target)
{
    if (place_of(target) != target->place || target->place == TARGET_TIMED) {
        take_out(targets, target);
        put_in(targets, target);
    }
}

/* ---- life ---- */

struct hf_targets *hf_targets_new(const struct hf_target_limits *limits, uint64_t seed)
{
    HF_CHECK(limits->targets_max > 0 && limits->in_flight_max > 0 && limits->calls_max > 0);
    HF_CHECK(limits->failures_in_row > 0 && limits->open_first_us <= limits->open_max_us);
    struct hf_targets *targets = hf_calloc(1, sizeof(*targets));
    if (targets == NULL) {
        return NULL;
    }
    targets->limits = *limits;
    targets->seed = seed;
    hf_table_init(&targets->by_key, seed);
    hf_table_init(&targets->owners, seed);
    return targets;
}

void hf_targets_free(struct hf_targets *targets)
{
    if (targets == NULL) {
        return;
    }
    HF_CHECK(targets->waiting == 0 && targets->in_flight == 0);
    size_t at = 0;
    struct hf_target *target;
    while ((target = hf_table_next(&targets->by_key, &at)) != NULL) {
        hf_free(target);
    }
    hf_table_release(&targets->by_key);
    hf_table_release(&targets->owners);
    hf_free(targets->heap);
    hf_free(targets);
}

static struct hf_id id_of_key(const char *key)
{
    struct hf_hash hash = hf_sha256(key, strlen(key));
    struct hf_id id;
    memcpy(id.bytes, hash.bytes, sizeof(id.bytes));
    return id;
}

static bool reserve_heap(struct hf_targets *targets, size_t count)
{
    if (count <= targets->heap_capacity) {
        return true;
    }
    size_t capacity = targets->heap_capacity == 0 ? 16 : 2 * targets->heap_capacity;
    void *heap = hf_realloc(targets->heap, capacity * sizeof(struct hf_target *));
    if (heap == NULL) {
        return false;
    }
    targets->heap = heap;
    targets->heap_capacity = capacity;
    return true;
}

static enum hf_err make_target(struct hf_targets *targets, const struct hf_id *id,
                               struct hf_target **made)
{
    if (targets->by_key.count >= targets->limits.targets_max) {
        struct hf_target *oldest = targets->idle.first;
        if (oldest == NULL) {
            return HF_ERR_OVERLOADED;
        }
        take_out(targets, oldest);
        (void)hf_table_remove(&targets->by_key, &oldest->id);
        targets->open -= oldest->phase == HF_TARGET_CLOSED ? 0 : 1;
        hf_free(oldest);
    }
    if (!reserve_heap(targets, targets->by_key.count + 1) ||
        !hf_table_reserve(&targets->by_key, 1)) {
        return HF_ERR_NO_MEMORY;
    }
    struct hf_target *target = hf_calloc(1, sizeof(*target));
    if (target == NULL) {
        return HF_ERR_NO_MEMORY;
    }
    target->id = *id;
    target->number = ++targets->last_number;
    target->phase = HF_TARGET_CLOSED;
    target->allowed = targets->limits.in_flight_max;
    (void)hf_table_put(&targets->by_key, id, target);
    put_in(targets, target);
    *made = target;
    return HF_ERR_OK;
}

/* ---- queues: of an owner its waits, in a ring of the target the owners ---- */

static struct hf_id owner_id(const struct hf_target *target, uint64_t owner)
{
    struct hf_id id;
    hf_put_u64(id.bytes, target->number);
    hf_put_u64(id.bytes + 8, owner);
    return id;
}

/* first takes the place of before in the ring. */
static void replace_owner(struct hf_target *target, struct hf_target_wait *gone,
                          struct hf_target_wait *heir)
{
    bool alone = gone->owner_after == gone;
    heir->owner_after = alone ? heir : gone->owner_after;
    heir->owner_before = alone ? heir : gone->owner_before;
    heir->owner_after->owner_before = heir;
    heir->owner_before->owner_after = heir;
    target->turn = target->turn == gone ? heir : target->turn;
    gone->owner_after = gone->owner_before = NULL;
}

/* Behind all others: the turn comes to it last. */
static void add_owner(struct hf_target *target, struct hf_target_wait *first)
{
    if (target->turn == NULL) {
        first->owner_after = first->owner_before = first;
        target->turn = first;
        return;
    }
    first->owner_after = target->turn;
    first->owner_before = target->turn->owner_before;
    first->owner_before->owner_after = first;
    target->turn->owner_before = first;
}

static void remove_owner(struct hf_target *target, struct hf_target_wait *first)
{
    bool alone = first->owner_after == first;
    first->owner_before->owner_after = first->owner_after;
    first->owner_after->owner_before = first->owner_before;
    target->turn = alone ? NULL : target->turn == first ? first->owner_after : target->turn;
    first->owner_after = first->owner_before = NULL;
}

/* Takes the first wait of an owner out of the queues. */
static void take_first(struct hf_targets *targets, struct hf_target *target,
                       struct hf_target_wait *first)
{
    struct hf_id id = owner_id(target, first->owner);
    struct hf_target_wait *second = first->next;
    if (second == NULL) {
        remove_owner(target, first);
        (void)hf_table_remove(&targets->owners, &id);
    } else {
        second->last = first->last;
        replace_owner(target, first, second);
        (void)hf_table_put(&targets->owners, &id, second);
    }
    first->next = first->last = NULL;
    first->waiting = false;
    target->waiting--;
    targets->waiting--;
}

enum hf_err hf_targets_queue(struct hf_targets *targets, struct hf_str url,
                             struct hf_target_wait *wait)
{
    char key[HF_TARGET_KEY_BYTES];
    const char *why;
    HF_CHECK(!wait->waiting && !wait->in_flight);
    HF_CHECK(hf_target_key(url, key, &why));
    struct hf_id id = id_of_key(key);
    struct hf_target *target = hf_table_get(&targets->by_key, &id);
    if (!hf_table_reserve(&targets->owners, 1)) {
        return HF_ERR_NO_MEMORY;
    }
    if (target == NULL) {
        enum hf_err code = make_target(targets, &id, &target);
        if (code != HF_ERR_OK) {
            return code;
        }
    }
    struct hf_id owner = owner_id(target, wait->owner);
    struct hf_target_wait *first = hf_table_get(&targets->owners, &owner);
    wait->target = target;
    wait->next = NULL;
    wait->waiting = true;
    if (first == NULL) {
        wait->last = wait;
        add_owner(target, wait);
        (void)hf_table_put(&targets->owners, &owner, wait);
    } else {
        first->last->next = wait;
        first->last = wait;
    }
    target->waiting++;
    targets->waiting++;
    settle_in(targets, target);
    return HF_ERR_OK;
}

void hf_targets_withdraw(struct hf_targets *targets, struct hf_target_wait *wait)
{
    if (!wait->waiting) {
        return;
    }
    struct hf_target *target = wait->target;
    struct hf_id owner = owner_id(target, wait->owner);
    struct hf_target_wait *first = hf_table_get(&targets->owners, &owner);
    if (first == wait) {
        take_first(targets, target, wait);
    } else {
        struct hf_target_wait *before = first;
        while (before->next != wait) {
            before = before->next;
        }
        before->next = wait->next;
        first->last = first->last == wait ? before : first->last;
        wait->next = NULL;
        wait->waiting = false;
        target->waiting--;
        targets->waiting--;
    }
    wait->target = NULL;
    settle_in(targets, target);
}

/* ---- turns ---- */

/* Those whose time has come are as ready as they can be. */
static void let_go_on(struct hf_targets *targets, uint64_t now_us)
{
    while (targets->heap_count > 0 && targets->heap[0]->due_us <= now_us) {
        struct hf_target *target = targets->heap[0];
        take_out(targets, target);
        target->due_us = 0;
        if (target->phase == HF_TARGET_OPEN) {
            target->phase = HF_TARGET_PROBING;
            target->allowed = 1;
        }
        put_in(targets, target);
    }
}

struct hf_target_wait *hf_targets_next(struct hf_targets *targets, uint64_t now_us)
{
    let_go_on(targets, now_us);
    struct hf_target *target = targets->ready.first;
    if (target == NULL || targets->in_flight >= targets->limits.calls_max) {
        return NULL;
    }
    struct hf_target_wait *wait = target->turn;
    target->turn = wait->owner_after;
    take_out(targets, target);
    take_first(targets, target, wait);
    wait->in_flight = true;
    target->in_flight++;
    targets->in_flight++;
    if (target->phase == HF_TARGET_PROBING) {
        target->probe = wait;
    }
    put_in(targets, target);
    return wait;
}

uint32_t hf_targets_run(struct hf_targets *targets, uint64_t now_us, uint32_t most)
{
    uint32_t sent = 0;
    struct hf_target_wait *wait;
    while (sent < most && (wait = hf_targets_next(targets, now_us)) != NULL) {
        wait->send(wait);
        sent++;
    }
    return sent;
}

uint64_t hf_targets_next_us(const struct hf_targets *targets)
{
    return targets->heap_count == 0 ? UINT64_MAX : targets->heap[0]->due_us;
}

/* ---- how calls end ---- */

/* Somewhere between half and all of a wait: by a hash, the same in every run. */
static uint64_t jittered(const struct hf_targets *targets, const struct hf_target *target,
                         uint64_t wait_us)
{
    struct hf_id id = owner_id(target, target->opens);
    uint64_t half = wait_us / 2;
    return half + hf_id_hash(&id, targets->seed) % (wait_us - half + 1);
}

static void open_breaker(struct hf_targets *targets, struct hf_target *target, uint64_t now_us)
{
    uint64_t wait_us = targets->limits.open_first_us;
    for (uint32_t i = 0; i < target->opens && wait_us < targets->limits.open_max_us; i++) {
        wait_us = hf_min_u64(2 * wait_us, targets->limits.open_max_us);
    }
    targets->open += target->phase == HF_TARGET_CLOSED ? 1 : 0;
    targets->opened++;
    target->phase = HF_TARGET_OPEN;
    target->due_us = hf_max_u64(target->due_us, now_us + jittered(targets, target, wait_us));
    target->opens += target->opens < UINT32_MAX ? 1 : 0;
    target->probe = NULL;
}

static void close_breaker(struct hf_targets *targets, struct hf_target *target)
{
    targets->open--;
    target->phase = HF_TARGET_CLOSED;
    target->probe = NULL;
    target->failures_in_row = 0;
    target->window = 0;
    target->window_count = 0;
    target->allowed = 1;
}

static void count_end(struct hf_target *target, bool failed)
{
    target->window = target->window << 1 | (failed ? 1 : 0);
    target->window_count += target->window_count < HF_TARGET_WINDOW ? 1 : 0;
    target->failures_in_row = failed ? target->failures_in_row + 1 : 0;
}

static bool fails_too_often(const struct hf_targets *targets, const struct hf_target *target)
{
    uint32_t failures = (uint32_t)__builtin_popcountll(target->window);
    return target->failures_in_row >= targets->limits.failures_in_row ||
           (target->window_count == HF_TARGET_WINDOW &&
            failures * 100 >= targets->limits.failure_percent * HF_TARGET_WINDOW);
}

static void end_closed(struct hf_targets *targets, struct hf_target *target, enum hf_target_end end,
                       uint64_t now_us)
{
    switch (end) {
    case HF_TARGET_OK:
        count_end(target, false);
        target->opens = target->allowed == targets->limits.in_flight_max ? 0 : target->opens;
        target->allowed += target->allowed < targets->limits.in_flight_max ? 1 : 0;
        break;
    case HF_TARGET_FAILED:
        count_end(target, true);
        if (fails_too_often(targets, target)) {
            open_breaker(targets, target, now_us);
        }
        break;
    case HF_TARGET_THROTTLED:
        target->allowed = (uint32_t)hf_max_u64(target->allowed / 2, 1);
        break;
    case HF_TARGET_NOT_SENT:
        break;
    }
}

static void end_probe(struct hf_targets *targets, struct hf_target *target, enum hf_target_end end,
                      uint64_t now_us)
{
    switch (end) {
    case HF_TARGET_OK:
    case HF_TARGET_THROTTLED:
        close_breaker(targets, target);
        target->allowed += end == HF_TARGET_OK && targets->limits.in_flight_max > 1 ? 1 : 0;
        break;
    case HF_TARGET_FAILED:
        open_breaker(targets, target, now_us);
        break;
    case HF_TARGET_NOT_SENT:
        target->probe = NULL; /* the next one is it */
        break;
    }
}

void hf_targets_ended(struct hf_targets *targets, struct hf_target_wait *wait,
                      enum hf_target_end end, uint64_t retry_after_us, uint64_t now_us)
{
    struct hf_target *target = wait->target;
    HF_CHECK(wait->in_flight && target->in_flight > 0 && targets->in_flight > 0);
    take_out(targets, target);
    wait->in_flight = false;
    wait->target = NULL;
    target->in_flight--;
    targets->in_flight--;
    bool told = retry_after_us > 0 && end != HF_TARGET_NOT_SENT;
    if (told) { /* it is alive, and says when */
        uint64_t held_us = hf_min_u64(retry_after_us, HF_TARGET_RETRY_AFTER_US_MAX);
        target->due_us = hf_max_u64(target->due_us, now_us + held_us);
        end = end == HF_TARGET_FAILED ? HF_TARGET_THROTTLED : end;
    }
    if (target->phase == HF_TARGET_CLOSED) {
        end_closed(targets, target, end, now_us);
    } else if (target->phase == HF_TARGET_PROBING && target->probe == wait) {
        end_probe(targets, target, end, now_us);
    } /* else: sent before it opened, and says nothing new */
    put_in(targets, target);
}

/* ---- what is told ---- */

void hf_targets_sums(const struct hf_targets *targets, struct hf_target_sums *sums)
{
    *sums = (struct hf_target_sums){
        .targets = targets->by_key.count,
        .open = targets->open,
        .waiting = targets->waiting,
        .in_flight = targets->in_flight,
        .opened = targets->opened,
    };
}

bool hf_targets_status(const struct hf_targets *targets, struct hf_str url,
                       struct hf_target_status *status)
{
    char key[HF_TARGET_KEY_BYTES];
    const char *why;
    *status = (struct hf_target_status){0};
    if (!hf_target_key(url, key, &why)) {
        return false;
    }
    struct hf_id id = id_of_key(key);
    const struct hf_target *target = hf_table_get(&targets->by_key, &id);
    if (target == NULL) {
        return false;
    }
    *status = (struct hf_target_status){
        .phase = target->phase,
        .in_flight = target->in_flight,
        .allowed = target->allowed,
        .waiting = target->waiting,
        .open_until_us = target->due_us,
    };
    return true;
}

static void verify_target(const struct hf_targets *targets, const struct hf_target *target)
{
    uint64_t waiting = 0;
    const struct hf_target_wait *first = target->turn;
    while (first != NULL) {
        struct hf_id id = owner_id(target, first->owner);
        HF_CHECK(hf_table_get(&targets->owners, &id) == first);
        const struct hf_target_wait *last = first;
        for (const struct hf_target_wait *wait = first; wait != NULL; wait = wait->next) {
            HF_CHECK(wait->waiting && !wait->in_flight && wait->target == target);
            HF_CHECK(wait->owner == first->owner);
            waiting++;
            last = wait;
        }
        HF_CHECK(first->last == last && first->owner_after->owner_before == first);
        first = first->owner_after == target->turn ? NULL : first->owner_after;
    }
    HF_CHECK(waiting == target->waiting && target->place == place_of(target));
    HF_CHECK(target->allowed >= 1 && target->allowed <= targets->limits.in_flight_max);
    HF_CHECK(target->phase != HF_TARGET_OPEN || target->due_us != 0);
    HF_CHECK(target->place != TARGET_TIMED || targets->heap[target->heap_index] == target);
}

void hf_targets_verify(const struct hf_targets *targets)
{
    uint64_t waiting = 0;
    uint64_t in_flight = 0;
    uint64_t open = 0;
    size_t at = 0;
    const struct hf_target *target;
    while ((target = hf_table_next(&targets->by_key, &at)) != NULL) {
        verify_target(targets, target);
        waiting += target->waiting;
        in_flight += target->in_flight;
        open += target->phase == HF_TARGET_CLOSED ? 0 : 1;
    }
    HF_CHECK(waiting == targets->waiting && in_flight == targets->in_flight);
    HF_CHECK(open == targets->open && in_flight <= targets->limits.calls_max);
    for (size_t i = 1; i < targets->heap_count; i++) {
        HF_CHECK(targets->heap[(i - 1) / 2]->due_us <= targets->heap[i]->due_us);
    }
}
