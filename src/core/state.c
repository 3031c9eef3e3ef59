#include "core/state_priv.h"

#include "base/alloc.h"
#include "base/check.h"

void hf_state_init(struct hf_state *state, uint64_t seed)
{
    *state = (struct hf_state){0};
    hf_account_pool_init(&state->accounts, seed);
    hf_table_init(&state->holds, seed);
    hf_table_init(&state->streams, seed);
    hf_table_init(&state->documents, seed);
    hf_table_init(&state->leases, seed);
    hf_queue_init(&state->queue, seed);
    hf_sagas_init(&state->sagas, seed);
    hf_assets_init(&state->assets, seed);
    hf_recent_init(&state->recent, seed);
}

static void release_table(struct hf_table *table)
{
    size_t at = 0;
    void *value;
    while ((value = hf_table_next(table, &at)) != NULL) {
        hf_free(value);
    }
    hf_table_release(table);
}

void hf_state_only_store(struct hf_state *state)
{
    state->only_stored = true;
    hf_index_table_list(&state->recent.current);
}

void hf_state_release(struct hf_state *state)
{
    hf_account_pool_release(&state->accounts);
    release_table(&state->holds);
    release_table(&state->streams);
    release_table(&state->documents);
    release_table(&state->leases);
    hf_queue_release(&state->queue);
    hf_sagas_release(&state->sagas);
    hf_alerts_release(&state->alerts);
    hf_assets_release(&state->assets);
    hf_recent_release(&state->recent);
    for (size_t i = state->spare_used; i < state->spare_count; i++) {
        hf_free(state->spares[i]);
    }
    hf_free(state->spares);
    hf_free(state->strip_accounts);
    hf_free(state->strip_holds);
    hf_free(state->due.items);
    *state = (struct hf_state){0};
}

struct hf_account *hf_state_account(const struct hf_state *state, const struct hf_id *id)
{
    return hf_account_pool_find(&state->accounts, id);
}

struct hf_hold *hf_state_hold(const struct hf_state *state, const struct hf_id *id)
{
    return hf_table_get(&state->holds, id);
}

struct hf_stream *hf_state_stream(const struct hf_state *state, const struct hf_id *id)
{
    return hf_table_get(&state->streams, id);
}

struct hf_document *hf_state_document(const struct hf_state *state, const struct hf_id *id)
{
    return hf_table_get(&state->documents, id);
}

struct hf_lease *hf_state_lease(const struct hf_state *state, const struct hf_id *id)
{
    return hf_table_get(&state->leases, id);
}

static int compare_due(const struct hf_due *a, const struct hf_due *b)
{
    if (a->due_us != b->due_us) {
        return a->due_us < b->due_us ? -1 : 1;
    }
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    return hf_id_compare(&a->id, &b->id);
}

bool hf_due_reserve(struct hf_due_heap *heap, size_t more)
{
    if (more <= heap->capacity - heap->count) {
        return true;
    }
    size_t capacity = heap->capacity == 0 ? 64 : heap->capacity * 2;
    if (capacity < heap->count + more) {
        capacity = heap->count + more;
    }
    struct hf_due *items = hf_realloc(heap->items, capacity * sizeof(*items));
    if (items == NULL) {
        return false;
    }
    heap->items = items;
    heap->capacity = capacity;
    return true;
}

static void sift_down(struct hf_due_heap *heap, size_t at)
{
    struct hf_due item = heap->items[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count &&
            compare_due(&heap->items[child + 1], &heap->items[child]) < 0) {
            child++;
        }
        if (compare_due(&item, &heap->items[child]) <= 0) {
            break;
        }
        heap->items[at] = heap->items[child];
        at = child;
    }
    heap->items[at] = item;
}

void hf_due_push(struct hf_due_heap *heap, const struct hf_due *due)
{
    HF_CHECK(heap->count < heap->capacity);
    size_t at = heap->count++;
    while (at > 0 && compare_due(due, &heap->items[(at - 1) / 2]) < 0) {
        heap->items[at] = heap->items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->items[at] = *due;
}

static bool is_current(const struct hf_state *state, const struct hf_due *due)
{
    if (due->kind == HF_KIND_HOLD) {
        const struct hf_hold *hold = hf_state_hold(state, &due->id);
        return hold != NULL && hold->expires_at_us == due->due_us;
    }
    if (due->kind == HF_KIND_MESSAGE) {
        const struct hf_delayed *delayed = hf_table_get(&state->queue.delayed, &due->id);
        return delayed != NULL && delayed->due_us == due->due_us;
    }
    if (due->kind == HF_KIND_SUBSCRIPTION) {
        const struct hf_subscription *subscription = hf_table_get(&state->queue.by_uid, &due->id);
        return subscription != NULL && subscription->due_us == due->due_us;
    }
    if (due->kind == HF_KIND_SAGA) {
        const struct hf_saga *saga = hf_sagas_get(&state->sagas, &due->id);
        return saga != NULL && saga->due_us == due->due_us;
    }
    const struct hf_lease *lease = hf_state_lease(state, &due->id);
    return lease != NULL && lease->expires_at_us == due->due_us;
}

/* One entry for each subscription that has one, instead of all: room is where those were. */
static void push_subscriptions(struct hf_state *state)
{
    size_t at = 0;
    const struct hf_subscription *subscription;
    while ((subscription = hf_table_next(&state->queue.by_uid, &at)) != NULL) {
        if (subscription->due_us != UINT64_MAX) {
            struct hf_due due = {subscription->due_us, HF_KIND_SUBSCRIPTION,
                                 hf_uid_id(subscription->uid)};
            hf_due_push(&state->due, &due);
        }
    }
}

/* Outdated entries are dropped when they come to the top, and all at once when they are the most. */
void hf_due_compact(struct hf_state *state)
{
    struct hf_due_heap *heap = &state->due;
    size_t things = state->holds.count + state->leases.count + state->queue.delayed.count +
                    state->queue.subscriptions.count + state->sagas.by_id.count;
    if (heap->count < 1024 || heap->count / 4 < things) {
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < heap->count; i++) {
        if (heap->items[i].kind != HF_KIND_SUBSCRIPTION && is_current(state, &heap->items[i])) {
            heap->items[kept++] = heap->items[i];
        }
    }
    heap->count = kept;
    for (size_t i = kept / 2; i > 0; i--) {
        sift_down(heap, i - 1);
    }
    push_subscriptions(state);
}

static void drop_first(struct hf_due_heap *heap)
{
    heap->count--;
    if (heap->count > 0) {
        heap->items[0] = heap->items[heap->count];
        sift_down(heap, 0);
    }
}

/* A subscription knows what the heap has of it, so that evolve pushes what is missing. */
static void note_taken(struct hf_state *state, const struct hf_due *due, uint64_t due_us)
{
    if (due->kind == HF_KIND_SUBSCRIPTION) {
        struct hf_subscription *subscription = hf_table_get(&state->queue.by_uid, &due->id);
        HF_CHECK(subscription != NULL);
        subscription->due_us = due_us;
    }
}

/* The first entry is of a subscription that has nothing to book yet: it has its turn later. */
static bool put_off(struct hf_state *state, uint64_t now_us)
{
    struct hf_due due = state->due.items[0];
    if (due.kind != HF_KIND_SUBSCRIPTION) {
        return false;
    }
    struct hf_subscription *subscription = hf_table_get(&state->queue.by_uid, &due.id);
    due.due_us = hf_subscription_timer_us(subscription);
    if (due.due_us <= now_us) {
        return false;
    }
    drop_first(&state->due);
    subscription->due_us = due.due_us;
    if (due.due_us != UINT64_MAX) {
        hf_due_push(&state->due, &due);
    }
    return true;
}

size_t hf_state_take_due(struct hf_state *state, uint64_t now_us, struct hf_due *due, size_t most)
{
    struct hf_due_heap *heap = &state->due;
    size_t count = 0;
    while (count < most && heap->count > 0 && heap->items[0].due_us <= now_us) {
        if (is_current(state, &heap->items[0])) {
            if (put_off(state, now_us)) {
                continue;
            }
            due[count++] = heap->items[0];
            note_taken(state, &heap->items[0], UINT64_MAX);
        }
        drop_first(heap);
    }
    return count;
}

void hf_state_return_due(struct hf_state *state, const struct hf_due *due, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        hf_due_push(&state->due, &due[i]); /* there is room: they were taken from here */
        note_taken(state, &due[i], due[i].due_us);
    }
}

uint64_t hf_state_next_due_us(const struct hf_state *state)
{
    return state->due.count == 0 ? UINT64_MAX : state->due.items[0].due_us;
}

struct hf_state_bytes hf_state_bytes(const struct hf_state *state)
{
    uint64_t accounts = hf_account_pool_count(&state->accounts);
    uint64_t names = accounts + state->streams.count + state->documents.count;
    uint64_t node = sizeof(struct hf_names_node);
    uint64_t account_nodes = accounts * node;
    uint64_t other_nodes = names * node - account_nodes;
    const struct hf_recent *recent = &state->recent;
    return (struct hf_state_bytes){
        .accounts = hf_account_pool_bytes(&state->accounts) - account_nodes +
                    hf_table_bytes(&state->assets.places) +
                    state->assets.capacity * sizeof(*state->assets.items),
        .names = names * node,
        .things = state->named_bytes - other_nodes + hf_table_bytes(&state->streams) +
                  hf_table_bytes(&state->documents),
        .lines = (state->queue.line_count + state->queue.spare_count) * sizeof(struct hf_line),
        .sagas = state->sagas.bytes + hf_table_bytes(&state->sagas.by_id) +
                 hf_table_bytes(&state->sagas.waits),
        .index_current = hf_index_table_bytes(&recent->current),
        .index_frozen = hf_index_table_bytes(&recent->frozen),
        .frames = recent->frame_bytes + recent->frame_capacity * sizeof(*recent->frames) +
                  recent->frame_count * sizeof(struct hf_shared_bytes),
    };
}

static int compare_totals(const void *a, const void *b)
{
    const struct hf_asset_totals *left = a;
    const struct hf_asset_totals *right = b;
    return hf_str_compare(hf_asset_str(&left->asset), hf_asset_str(&right->asset));
}

struct hf_asset_totals *hf_state_totals(const struct hf_state *state, struct hf_arena *arena,
                                        size_t *count)
{
    size_t capacity = 8;
    size_t accounts = hf_account_pool_count(&state->accounts);
    struct hf_asset_totals *totals = hf_arena_alloc_zero(arena, capacity, sizeof(*totals));
    *count = 0;
    for (size_t number = 0; totals != NULL && number < accounts; number++) {
        const struct hf_account *account = hf_account_pool_at(&state->accounts, number);
        size_t i = 0;
        while (i < *count && !hf_asset_equal(&totals[i].asset, &account->asset)) {
            i++;
        }
        if (i == capacity) {
            struct hf_asset_totals *more =
                hf_arena_alloc_zero(arena, 2 * capacity, sizeof(*totals));
            if (more != NULL) {
                memcpy(more, totals, capacity * sizeof(*totals));
            }
            totals = more;
            capacity *= 2;
            if (totals == NULL) {
                break;
            }
        }
        if (i == *count) {
            totals[i].asset = account->asset;
            (*count)++;
        }
        totals[i].accounts++;
        totals[i].debits_posted += account->totals.debits_posted;
        totals[i].credits_posted += account->totals.credits_posted;
        totals[i].debits_pending += account->totals.debits_pending;
        totals[i].credits_pending += account->totals.credits_pending;
    }
    if (totals == NULL) {
        *count = 0;
        return NULL;
    }
    qsort(totals, *count, sizeof(*totals), compare_totals);
    return totals;
}

static void verify_holds(const struct hf_state *state)
{
    size_t at = 0;
    const struct hf_hold *hold;
    while ((hold = hf_table_next(&state->holds, &at)) != NULL) {
        HF_CHECK(hold->state == HF_HOLD_OPEN && hold->remaining > 0);
        HF_CHECK(hold->captured + hold->remaining == hold->amount);
        HF_CHECK(hf_state_account(state, &hold->from.id) != NULL);
        HF_CHECK(hf_state_account(state, &hold->to.id) != NULL);
    }
}

/* The sums that were kept against those of a walk (which has 128 bits only). */
static void verify_sums(const struct hf_asset_sums *sums, const struct hf_asset_totals *totals)
{
    HF_CHECK(sums != NULL && sums->accounts == totals->accounts);
    HF_CHECK(hf_wide_equal(&sums->debits_posted, &sums->credits_posted));
    HF_CHECK(hf_wide_equal(&sums->debits_pending, &sums->credits_pending));
    HF_CHECK(sums->debits_posted.low == totals->debits_posted);
    HF_CHECK(sums->debits_pending.low == totals->debits_pending);
}

static void verify_names(const struct hf_state *state)
{
    HF_CHECK(state->account_names.count == hf_account_pool_count(&state->accounts));
    HF_CHECK(state->stream_names.count == state->streams.count);
    HF_CHECK(state->document_names.count == state->documents.count);
    hf_names_verify(&state->account_names);
    hf_names_verify(&state->stream_names);
    hf_names_verify(&state->document_names);
}

static void verify_accounts(const struct hf_account_pool *accounts)
{
    for (size_t i = 0; i < hf_account_pool_count(accounts); i++) {
        const struct hf_account *account = hf_account_pool_at(accounts, i);
        HF_CHECK(hf_account_pool_find(accounts, &account->name.id) == account);
    }
}

void hf_state_verify(const struct hf_state *state)
{
    verify_accounts(&state->accounts);
    hf_table_verify(&state->holds);
    hf_table_verify(&state->streams);
    hf_table_verify(&state->documents);
    hf_table_verify(&state->leases);
    hf_queue_verify(&state->queue);
    hf_sagas_verify(&state->sagas);
    hf_alerts_verify(&state->alerts);
    verify_holds(state);
    if (!state->only_stored) {
        verify_names(state);
    }
    for (size_t i = 1; i < state->due.count; i++) {
        HF_CHECK(compare_due(&state->due.items[(i - 1) / 2], &state->due.items[i]) <= 0);
    }
    struct hf_arena arena;
    hf_arena_init(&arena);
    size_t count = 0;
    const struct hf_asset_totals *totals = hf_state_totals(state, &arena, &count);
    for (size_t i = 0; i < count; i++) {
        HF_CHECK(totals[i].debits_posted == totals[i].credits_posted);
        HF_CHECK(totals[i].debits_pending == totals[i].credits_pending);
        verify_sums(hf_assets_get(&state->assets, &totals[i].asset), &totals[i]);
    }
    HF_CHECK(totals == NULL || count == state->assets.count);
    hf_arena_release(&arena);
}
