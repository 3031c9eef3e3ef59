/*
 * Evolve: facts into the state. First each event is checked against the state (admit), then it is
 * taken over as it stands: balances and versions are those of the event, nothing is decided again.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "core/queue_apply.h"
#include "core/saga_apply.h"
#include "core/state_priv.h"
#include "core/strip_apply.h"

#define PREFETCH_AHEAD    8u /* events whose memory is asked for early */
#define RECORDS_PER_EVENT 4u /* a reversal: its id, the newest reversal, two entries */

bool hf_apply_damaged(struct hf_applying *a, const char *what)
{
    hf_error_set(a->error, HF_ERR_CORRUPT, "commit %llu, event %u: %s",
                 (unsigned long long)a->commit->position, a->index, what);
    return false;
}

/* ---- memory ---- */

bool hf_state_add_spare(struct hf_state *state, void *thing)
{
    if (thing == NULL) {
        return false;
    }
    if (state->spare_count == state->spare_capacity) {
        size_t capacity = state->spare_capacity == 0 ? 16 : state->spare_capacity * 2;
        void **spares = hf_realloc(state->spares, capacity * sizeof(*spares));
        if (spares == NULL) {
            hf_free(thing);
            return false;
        }
        state->spares = spares;
        state->spare_capacity = capacity;
    }
    state->spares[state->spare_count++] = thing;
    return true;
}

void *hf_state_take_spare(struct hf_state *state)
{
    HF_CHECK(state->spare_used < state->spare_count);
    return state->spares[state->spare_used++];
}

static void drop_spares(struct hf_state *state)
{
    hf_account_pool_begin(&state->accounts);
    for (size_t i = state->spare_used; i < state->spare_count; i++) {
        hf_free(state->spares[i]);
    }
    state->spare_count = 0;
    state->spare_used = 0;
    hf_sagas_drop_spares(&state->sagas);
}

void hf_state_forgo(struct hf_state *state)
{
    drop_spares(state);
}

/* Allocates what the event will put into a table; texts are copied now, values by evolve. */
static bool reserve_thing(struct hf_state *state, const struct hf_event *event)
{
    switch (event->type) {
    case HF_EVENT_ACCOUNT_OPENED:
        return hf_account_pool_reserve(&state->accounts, &event->opened.name) &&
               hf_assets_reserve(&state->assets, state->accounts.reserved);
    case HF_EVENT_HOLD_OPENED:
        return hf_table_reserve(&state->holds, 1 + state->spare_count) &&
               hf_state_add_spare(state, hf_hold_new(&event->posting.hold));
    case HF_EVENT_STREAM_APPENDED: {
        struct hf_stream stream = {.name = event->appended.stream};
        return event->appended.version != 1 ||
               (hf_table_reserve(&state->streams, 1 + state->spare_count) &&
                hf_state_add_spare(state, hf_stream_new(&stream)));
    }
    case HF_EVENT_DOCUMENT_PUT: {
        struct hf_document document = {.name = event->document.document};
        return event->document.version != 1 ||
               (hf_table_reserve(&state->documents, 1 + state->spare_count) &&
                hf_state_add_spare(state, hf_document_new(&document)));
    }
    case HF_EVENT_LEASE_ACQUIRED:
        return hf_table_reserve(&state->leases, 1 + state->spare_count) &&
               hf_state_add_spare(state, hf_lease_new(&event->lease));
    case HF_EVENT_ALERT_RAISED: {
        struct hf_alert alert = {.subject = event->alert.subject, .text = event->alert.text};
        return hf_state_add_spare(state, hf_alert_new(&alert));
    }
    case HF_EVENT_ALERT_CLEARED:
    case HF_EVENT_ACCOUNT_CHANGED:
    case HF_EVENT_TRANSFER_POSTED:
    case HF_EVENT_HOLD_CAPTURED:
    case HF_EVENT_HOLD_VOIDED:
    case HF_EVENT_HOLD_EXPIRED:
    case HF_EVENT_HOLD_EXTENDED:
    case HF_EVENT_DOCUMENT_DELETED:
    case HF_EVENT_LEASE_RENEWED:
    case HF_EVENT_LEASE_RELEASED:
    case HF_EVENT_LEASE_EXPIRED:
    case HF_EVENT_REFUSED:
    case HF_EVENT_KEY_CANCELLED:
    case HF_EVENT_TAKEOVER:
    case HF_EVENT_CHECKPOINT:
    case HF_EVENT_TAIL_CUT:
    case HF_EVENT_FEATURE_LEVEL:
    case HF_EVENT_MESSAGE_PUBLISHED: /* hf_queue_reserve_event */
    case HF_EVENT_MESSAGE_DUE:
    case HF_EVENT_SUBSCRIPTION_PUT:
    case HF_EVENT_SUBSCRIPTION_DELETED:
    case HF_EVENT_SUBSCRIPTION_SCANNED:
    case HF_EVENT_SUBSCRIPTION_SOUGHT:
    case HF_EVENT_MESSAGES_DELIVERED:
    case HF_EVENT_MESSAGES_SETTLED:
    case HF_EVENT_DELIVERY_EXTENDED:
    case HF_EVENT_MESSAGES_REDRIVEN:
    case HF_EVENT_SAGA_DEFINED: /* hf_saga_reserve_event */
    case HF_EVENT_SAGA_STARTED:
    case HF_EVENT_SAGA_CHANGED:
    case HF_EVENT_SAGA_ENDED:
    case HF_EVENT_SAGA_VERBS:
    case HF_EVENT_UNIT_REFUSED:
    case HF_EVENT_TYPE_COUNT:
        return true;
    }
    return true;
}

static bool is_queue_event(enum hf_event_type type)
{
    return type >= HF_EVENT_MESSAGE_PUBLISHED && type <= HF_EVENT_MESSAGES_REDRIVEN;
}

/* Subscriptions match events, and sagas wait for them. */
static bool looks_at_events(const struct hf_state *state)
{
    return state->queue.live_count > 0 || state->sagas.wait_count > 0;
}

bool hf_state_reserve(struct hf_state *state, struct hf_commit *commit)
{
    HF_CHECK(state->spare_count == 0);
    size_t records = 1;
    size_t dues = 0;
    bool ok = !looks_at_events(state) || hf_commit_expand(commit);
    hf_due_compact(state);
    hf_account_pool_begin(&state->accounts);
    state->sagas.reserved_waits = 0;
    for (uint32_t i = 0; ok && i < commit->event_count; i++) {
        const struct hf_event *event = commit->events[i];
        records += RECORDS_PER_EVENT;
        dues += 1;
        if (event->type == HF_EVENT_REFUSED) {
            records += event->refused.spent_count;
        } else if (event->type == HF_EVENT_UNIT_REFUSED) {
            records += event->unit_refused.refused.spent_count;
        } else if (event->type == HF_EVENT_TAKEOVER) {
            dues += state->leases.count + state->queue.subscriptions.count;
        }
        if (event->type >= HF_EVENT_SAGA_DEFINED && event->type <= HF_EVENT_SAGA_VERBS) {
            ok = hf_saga_reserve_event(state, event);
        } else if (is_queue_event(event->type)) {
            ok = hf_queue_reserve_event(state, commit, i);
        } else {
            ok = reserve_thing(state, event);
        }
    }
    if (ok && commit->strip != NULL && !commit->expanded) {
        ok = hf_strip_reserve(state, commit->strip, &records, &dues);
    }
    hf_saga_reserve(state, commit, &dues);
    ok = ok && hf_queue_reserve(state, commit, &records);
    ok = ok && hf_recent_reserve(&state->recent, records) && hf_due_reserve(&state->due, dues);
    if (!ok) {
        drop_spares(state);
    }
    return ok;
}

/* ---- the index ---- */

void hf_apply_index(struct hf_applying *a, uint8_t kind, const struct hf_id *id, uint64_t sub,
                    uint32_t flags)
{
    struct hf_index_key key = {.kind = kind, .id = *id, .sub = sub};
    struct hf_index_value value = {
        .position = a->commit->position, .index = a->index, .flags = flags};
    hf_recent_put(&a->state->recent, &key, &value);
}

/* ---- money ---- */

static bool check_name(const struct hf_name *stored, const struct hf_name *named)
{
    return hf_str_equal(stored->text, named->text);
}

/* Finds the entry's account and checks what every entry must fulfil. */
static struct hf_account *entry_account(struct hf_applying *a, const struct hf_side *side)
{
    struct hf_account *account = hf_state_account(a->state, &side->account.id);
    if (account == NULL || !check_name(&account->name, &side->account)) {
        hf_apply_damaged(a, "entry of an unknown account");
        return NULL;
    }
    if (side->version != account->version + 1 ||
        side->previous_position != account->last_position) {
        hf_apply_damaged(a, "entry does not follow the account's last one");
        return NULL;
    }
    return account;
}

static void take_entry(struct hf_applying *a, struct hf_account *account,
                       const struct hf_side *side)
{
    account->totals = side->totals;
    account->version = side->version;
    account->modified_at_us = a->commit->time_us;
    account->last_position = a->commit->position;
    if (account->version % HF_ENTRY_STRIDE == 0) {
        hf_apply_index(a, HF_INDEX_ENTRY, &account->name.id, account->version, 0);
    }
}

/* How an event moves the totals: posted up, pending up or down. */
struct movement {
    hf_u128 posted;       /* added to debits posted of one, credits posted of the other */
    hf_u128 pending_up;   /* added to pending */
    hf_u128 pending_down; /* taken from pending */
    bool limited;         /* floors, ceilings and account states count */
};

static bool totals_follow(const struct hf_totals *before, const struct hf_totals *after, bool debit,
                          const struct movement *movement)
{
    struct hf_totals expected = *before;
    hf_u128 *posted = debit ? &expected.debits_posted : &expected.credits_posted;
    hf_u128 *pending = debit ? &expected.debits_pending : &expected.credits_pending;
    return hf_u128_add(*posted, movement->posted, posted) &&
           hf_u128_sub(*pending, movement->pending_down, pending) &&
           hf_u128_add(*pending, movement->pending_up, pending) &&
           memcmp(&expected, after, sizeof(expected)) == 0;
}

static bool apply_movement(struct hf_applying *a, const struct hf_posting *posting,
                           const struct hf_asset *asset, const struct movement *movement)
{
    struct hf_account *debit = entry_account(a, &posting->debit);
    struct hf_account *credit = entry_account(a, &posting->credit);
    if (debit == NULL || credit == NULL) {
        return false;
    }
    if (debit == credit || !hf_asset_equal(&debit->asset, asset) ||
        !hf_asset_equal(&credit->asset, asset)) {
        return hf_apply_damaged(a, "assets or accounts do not fit");
    }
    if (!totals_follow(&debit->totals, &posting->debit.totals, true, movement) ||
        !totals_follow(&credit->totals, &posting->credit.totals, false, movement)) {
        return hf_apply_damaged(a, "balances do not follow from those before");
    }
    if (movement->limited) {
        if (debit->state != HF_ACCOUNT_OPEN || credit->state != HF_ACCOUNT_OPEN) {
            return hf_apply_damaged(a, "account is not open");
        }
        if (debit->has_floor && hf_totals_available(&posting->debit.totals) < debit->floor) {
            return hf_apply_damaged(a, "below the floor");
        }
        if (credit->has_ceiling && hf_totals_incoming(&posting->credit.totals) > credit->ceiling) {
            return hf_apply_damaged(a, "above the ceiling");
        }
    }
    take_entry(a, debit, &posting->debit);
    take_entry(a, credit, &posting->credit);
    hf_assets_move(&a->state->assets, &credit->asset, movement->posted, movement->pending_up,
                   movement->pending_down);
    return true;
}

static bool apply_transfer(struct hf_applying *a)
{
    const struct hf_posting *posting = &a->event->posting;
    struct movement movement = {.posted = posting->transfer.amount, .limited = true};
    if (posting->transfer.amount == 0) {
        return hf_apply_damaged(a, "transfer of nothing");
    }
    if (!apply_movement(a, posting, &posting->transfer.asset, &movement)) {
        return false;
    }
    hf_apply_index(a, HF_INDEX_TRANSFER, &posting->transfer.name.id, 0, 0);
    if (posting->transfer.kind == HF_TRANSFER_REVERSAL) {
        hf_apply_index(a, HF_INDEX_REVERSAL, &posting->transfer.of.id, 0, 0);
    }
    return true;
}

void hf_state_push_due(struct hf_state *state, enum hf_kind kind, const struct hf_id *id,
                       uint64_t due_us)
{
    if (due_us != 0) {
        struct hf_due due = {.due_us = due_us, .kind = kind, .id = *id};
        hf_due_push(&state->due, &due);
    }
}

static bool apply_hold_opened(struct hf_applying *a)
{
    const struct hf_posting *posting = &a->event->posting;
    const struct hf_hold *hold = &posting->hold;
    struct movement movement = {.pending_up = hold->amount, .limited = true};
    if (hold->state != HF_HOLD_OPEN || hold->amount == 0 || hold->remaining != hold->amount ||
        hold->captured != 0 || hold->version != 1 ||
        hf_state_hold(a->state, &hold->name.id) != NULL) {
        return hf_apply_damaged(a, "hold can't begin like that");
    }
    if (!apply_movement(a, posting, &hold->asset, &movement)) {
        return false;
    }
    struct hf_hold *stored = hf_state_take_spare(a->state);
    (void)hf_table_put(&a->state->holds, &stored->name.id, stored);
    hf_state_push_due(a->state, HF_KIND_HOLD, &stored->name.id, stored->expires_at_us);
    hf_apply_index(a, HF_INDEX_HOLD, &hold->name.id, 0, 0);
    return true;
}

/* The stored hold that an event is about, if the event's hold follows from it. */
static struct hf_hold *changed_hold(struct hf_applying *a, const struct hf_hold *after)
{
    struct hf_hold *hold = hf_state_hold(a->state, &after->name.id);
    if (hold == NULL || !check_name(&hold->name, &after->name) ||
        after->version != hold->version + 1 || after->amount != hold->amount ||
        (after->state == HF_HOLD_OPEN) != (after->remaining > 0)) {
        hf_apply_damaged(a, "hold does not follow from the one before");
        return NULL;
    }
    return hold;
}

static void take_hold(struct hf_applying *a, struct hf_hold *hold, const struct hf_hold *after)
{
    hold->state = after->state;
    hold->captured = after->captured;
    hold->remaining = after->remaining;
    hold->version = after->version;
    hold->last_position = after->last_position;
    hold->modified_at_us = after->modified_at_us;
    if (after->expires_at_us != hold->expires_at_us) {
        hold->expires_at_us = after->expires_at_us;
        hf_state_push_due(a->state, HF_KIND_HOLD, &hold->name.id, hold->expires_at_us);
    }
    hf_apply_index(a, HF_INDEX_HOLD, &hold->name.id, 0, 0);
    if (hold->state != HF_HOLD_OPEN) {
        struct hf_hold *removed = hf_table_remove(&a->state->holds, &hold->name.id);
        HF_CHECK(removed == hold);
        hf_free(removed);
    }
}

static bool apply_hold_changed(struct hf_applying *a)
{
    const struct hf_posting *posting = &a->event->posting;
    const struct hf_hold *after = &posting->hold;
    struct hf_hold *hold = changed_hold(a, after);
    if (hold == NULL) {
        return false;
    }
    if (a->event->type == HF_EVENT_HOLD_EXTENDED) {
        take_hold(a, hold, after);
        return true;
    }
    bool captures = a->event->type == HF_EVENT_HOLD_CAPTURED;
    hf_u128 captured = captures ? posting->transfer.amount : 0;
    hf_u128 freed;
    if (!hf_u128_add(captured, posting->released, &freed) || freed > hold->remaining ||
        freed == 0 || after->remaining != hold->remaining - freed ||
        after->captured != hold->captured + captured || (!captures && after->remaining != 0)) {
        return hf_apply_damaged(a, "hold's sums do not follow");
    }
    struct movement movement = {.posted = captured, .pending_down = freed};
    struct hf_asset asset = hold->asset;
    if (!apply_movement(a, posting, &asset, &movement)) {
        return false;
    }
    if (captures) {
        hf_apply_index(a, HF_INDEX_TRANSFER, &posting->transfer.name.id, 0, 0);
    } else if (hf_str_present(posting->transfer.name.text)) { /* a void that has an id */
        hf_apply_index(a, HF_INDEX_TRANSFER, &posting->transfer.name.id, 0, HF_INDEX_SPENT);
    }
    take_hold(a, hold, after);
    return true;
}

/* ---- accounts ---- */

static bool apply_account_opened(struct hf_applying *a)
{
    const struct hf_account *opened = &a->event->opened;
    static const struct hf_totals none;
    if (hf_state_account(a->state, &opened->name.id) != NULL || opened->version != 0 ||
        memcmp(&opened->totals, &none, sizeof(none)) != 0 || opened->state != HF_ACCOUNT_OPEN) {
        return hf_apply_damaged(a, "account can't begin like that");
    }
    struct hf_account *stored = hf_account_pool_put(&a->state->accounts, opened);
    if (!hf_state_enter(a->state, HF_KIND_ACCOUNT, stored)) {
        return hf_apply_damaged(a, "account's name is there already");
    }
    hf_apply_index(a, HF_INDEX_ACCOUNT, &stored->name.id, 0, 0);
    return true;
}

static bool apply_account_changed(struct hf_applying *a)
{
    const struct hf_account_changed *changed = &a->event->changed;
    struct hf_account *account = entry_account(a, &changed->side);
    if (account == NULL) {
        return false;
    }
    bool empty = account->totals.debits_pending == 0 && account->totals.credits_pending == 0 &&
                 hf_totals_posted(&account->totals) == 0;
    if (account->state == HF_ACCOUNT_CLOSED || (changed->state == HF_ACCOUNT_CLOSED && !empty) ||
        (changed->has_asset && !hf_asset_equal(&changed->asset, &account->asset)) ||
        memcmp(&account->totals, &changed->side.totals, sizeof(account->totals)) != 0) {
        return hf_apply_damaged(a, "account can't change like that");
    }
    take_entry(a, account, &changed->side);
    account->state = changed->state;
    account->has_floor = changed->has_floor;
    account->has_ceiling = changed->has_ceiling;
    account->floor = changed->floor;
    account->ceiling = changed->ceiling;
    if (changed->change == HF_CHANGE_METADATA) {
        account->metadata_position = a->commit->position;
    }
    return true;
}

/* ---- streams, documents, leases ---- */

static bool apply_appended(struct hf_applying *a)
{
    const struct hf_appended *appended = &a->event->appended;
    struct hf_stream *stream = hf_state_stream(a->state, &appended->stream.id);
    if (appended->version != (stream == NULL ? 1 : stream->version + 1) ||
        (stream != NULL && !check_name(&stream->name, &appended->stream))) {
        return hf_apply_damaged(a, "event does not follow the stream's last one");
    }
    if (stream == NULL) {
        stream = hf_state_take_spare(a->state);
        if (!hf_state_enter(a->state, HF_KIND_STREAM, stream)) {
            return hf_apply_damaged(a, "stream's name is there already");
        }
    }
    stream->version = appended->version;
    stream->modified_at_us = a->commit->time_us;
    stream->last_position = a->commit->position;
    hf_apply_index(a, HF_INDEX_STREAM_EVENT, &stream->name.id, stream->version, 0);
    if (appended->has_id) {
        hf_apply_index(a, HF_INDEX_EVENT, &appended->id.id, 0, 0);
    }
    return true;
}

static bool apply_document(struct hf_applying *a)
{
    const struct hf_document_changed *changed = &a->event->document;
    bool put = a->event->type == HF_EVENT_DOCUMENT_PUT;
    struct hf_document *document = hf_state_document(a->state, &changed->document.id);
    if (changed->version != (document == NULL ? 1 : document->version + 1) ||
        (document != NULL && !check_name(&document->name, &changed->document)) ||
        (!put && (document == NULL || !document->exists))) {
        return hf_apply_damaged(a, "document does not follow from the one before");
    }
    if (document == NULL) {
        document = hf_state_take_spare(a->state);
        if (!hf_state_enter(a->state, HF_KIND_DOCUMENT, document)) {
            return hf_apply_damaged(a, "document's name is there already");
        }
    }
    document->exists = put;
    document->version = changed->version;
    document->bytes = changed->data.text.len;
    document->modified_at_us = a->commit->time_us;
    document->last_position = a->commit->position;
    hf_apply_index(a, HF_INDEX_DOCUMENT, &document->name.id, document->version, 0);
    return true;
}

static bool apply_lease(struct hf_applying *a)
{
    const struct hf_lease *after = &a->event->lease;
    struct hf_lease *lease = hf_state_lease(a->state, &after->name.id);
    bool acquires = a->event->type == HF_EVENT_LEASE_ACQUIRED;
    bool keeps = acquires || a->event->type == HF_EVENT_LEASE_RENEWED;
    if (acquires != (lease == NULL) || after->held != keeps ||
        (lease != NULL &&
         (!check_name(&lease->name, &after->name) || lease->token != after->token))) {
        return hf_apply_damaged(a, "lease does not follow from the one before");
    }
    hf_apply_index(a, HF_INDEX_LEASE, &after->name.id, 0, 0);
    if (acquires) {
        lease = hf_state_take_spare(a->state);
        (void)hf_table_put(&a->state->leases, &lease->name.id, lease);
    } else if (keeps) {
        lease->ttl_us = after->ttl_us;
        lease->expires_at_us = after->expires_at_us;
        lease->last_position = after->last_position;
        lease->modified_at_us = after->modified_at_us;
    } else {
        hf_free(hf_table_remove(&a->state->leases, &after->name.id));
        return true;
    }
    hf_state_push_due(a->state, HF_KIND_LEASE, &lease->name.id, lease->expires_at_us);
    return true;
}

/* ---- the rest ---- */

static bool apply_refused(struct hf_applying *a, const struct hf_refused *refused)
{
    for (uint32_t i = 0; i < refused->spent_count; i++) {
        const struct hf_spent *spent = &refused->spent[i];
        hf_apply_index(a, spent->kind == HF_KIND_HOLD ? HF_INDEX_HOLD : HF_INDEX_TRANSFER,
                       &spent->name.id, 0, HF_INDEX_SPENT);
    }
    return true;
}

/* After a restart or takeover every held lease gets one fresh term. */
static bool apply_takeover(struct hf_applying *a)
{
    struct hf_state *state = a->state;
    if (a->event->system.epoch <= state->epoch) {
        return hf_apply_damaged(a, "epoch falls");
    }
    state->epoch = a->event->system.epoch;
    size_t at = 0;
    struct hf_lease *lease;
    while ((lease = hf_table_next(&state->leases, &at)) != NULL) {
        lease->expires_at_us = a->commit->time_us + lease->ttl_us;
        hf_state_push_due(state, HF_KIND_LEASE, &lease->name.id, lease->expires_at_us);
    }
    hf_sagas_takeover(&state->sagas);
    return hf_queue_takeover(a);
}

static bool apply_system(struct hf_applying *a)
{
    const struct hf_system *system = &a->event->system;
    if (a->event->type == HF_EVENT_CHECKPOINT) {
        if (system->position >= a->commit->position ||
            system->position < a->state->checkpoint_position) {
            return hf_apply_damaged(a, "checkpoint out of order");
        }
        a->state->checkpoint_position = system->position;
        a->state->checkpoint_hash = system->hash;
    } else if (a->event->type == HF_EVENT_FEATURE_LEVEL) {
        if (system->level > HF_FEATURE_LEVEL) {
            hf_error_set(a->error, HF_ERR_VERSION,
                         "the data is at feature level %llu and this program knows %d: use the "
                         "newer program",
                         (unsigned long long)system->level, HF_FEATURE_LEVEL);
            return false;
        }
        a->state->feature_level = system->level;
    }
    return true;
}

static bool apply_alert(struct hf_applying *a)
{
    const struct hf_alert_event *event = &a->event->alert;
    struct hf_alerts *alerts = &a->state->alerts;
    const struct hf_alert *known = hf_alerts_find(alerts, event->kind, event->subject);
    if (a->event->type == HF_EVENT_ALERT_CLEARED) {
        if (known == NULL || known->raised_position != event->raised_position ||
            known->since_us != event->since_us) {
            return hf_apply_damaged(a, "alert that is cleared was not raised like that");
        }
        hf_alerts_clear(alerts, event->kind, event->subject, a->commit->time_us,
                        a->commit->position);
        return true;
    }
    if (known != NULL || alerts->raised_count == HF_ALERTS_MAX ||
        event->since_us > a->commit->time_us) {
        return hf_apply_damaged(a, "alert can't be raised like that");
    }
    struct hf_alert *alert = hf_state_take_spare(a->state);
    alert->kind = event->kind;
    alert->since_us = event->since_us;
    alert->raised_at_us = a->commit->time_us;
    alert->raised_position = a->commit->position;
    return hf_alerts_raise(alerts, alert);
}

static void prefetch_name(const struct hf_state *state, enum hf_index_kind kind,
                          const struct hf_name *name)
{
    struct hf_index_key key = {.kind = (uint8_t)kind, .id = name->id};
    hf_recent_prefetch_put(&state->recent, &key);
}

/* The slots that money will be put into: of the index, and of the holds. */
static void prefetch(const struct hf_state *state, const struct hf_event *event)
{
    if (event->type == HF_EVENT_TRANSFER_POSTED || event->type == HF_EVENT_HOLD_CAPTURED) {
        prefetch_name(state, HF_INDEX_TRANSFER, &event->posting.transfer.name);
    }
    if (event->type >= HF_EVENT_HOLD_OPENED && event->type <= HF_EVENT_HOLD_EXTENDED) {
        prefetch_name(state, HF_INDEX_HOLD, &event->posting.hold.name);
        hf_table_prefetch(&state->holds, &event->posting.hold.name.id);
    }
}

static bool apply_event(struct hf_applying *a)
{
    switch (a->event->type) {
    case HF_EVENT_ACCOUNT_OPENED:
        return apply_account_opened(a);
    case HF_EVENT_ACCOUNT_CHANGED:
        return apply_account_changed(a);
    case HF_EVENT_TRANSFER_POSTED:
        return apply_transfer(a);
    case HF_EVENT_HOLD_OPENED:
        return apply_hold_opened(a);
    case HF_EVENT_HOLD_CAPTURED:
    case HF_EVENT_HOLD_VOIDED:
    case HF_EVENT_HOLD_EXPIRED:
    case HF_EVENT_HOLD_EXTENDED:
        return apply_hold_changed(a);
    case HF_EVENT_STREAM_APPENDED:
        return apply_appended(a);
    case HF_EVENT_DOCUMENT_PUT:
    case HF_EVENT_DOCUMENT_DELETED:
        return apply_document(a);
    case HF_EVENT_LEASE_ACQUIRED:
    case HF_EVENT_LEASE_RENEWED:
    case HF_EVENT_LEASE_RELEASED:
    case HF_EVENT_LEASE_EXPIRED:
        return apply_lease(a);
    case HF_EVENT_REFUSED:
        return apply_refused(a, &a->event->refused);
    case HF_EVENT_UNIT_REFUSED:
        return a->commit->each ? apply_refused(a, &a->event->unit_refused.refused)
                               : hf_apply_damaged(a, "unit of a commit that has none");
    case HF_EVENT_KEY_CANCELLED:
        return true; /* the commit's key is indexed below */
    case HF_EVENT_TAKEOVER:
        return apply_takeover(a);
    case HF_EVENT_CHECKPOINT:
    case HF_EVENT_TAIL_CUT:
    case HF_EVENT_FEATURE_LEVEL:
        return apply_system(a);
    case HF_EVENT_MESSAGE_PUBLISHED:
    case HF_EVENT_MESSAGE_DUE:
    case HF_EVENT_SUBSCRIPTION_PUT:
    case HF_EVENT_SUBSCRIPTION_DELETED:
    case HF_EVENT_SUBSCRIPTION_SCANNED:
    case HF_EVENT_SUBSCRIPTION_SOUGHT:
    case HF_EVENT_MESSAGES_DELIVERED:
    case HF_EVENT_MESSAGES_SETTLED:
    case HF_EVENT_DELIVERY_EXTENDED:
    case HF_EVENT_MESSAGES_REDRIVEN:
        return hf_queue_apply_event(a);
    case HF_EVENT_ALERT_RAISED:
    case HF_EVENT_ALERT_CLEARED:
        return apply_alert(a);
    case HF_EVENT_SAGA_DEFINED:
    case HF_EVENT_SAGA_STARTED:
    case HF_EVENT_SAGA_CHANGED:
    case HF_EVENT_SAGA_ENDED:
    case HF_EVENT_SAGA_VERBS:
        return hf_saga_apply_event(a);
    case HF_EVENT_TYPE_COUNT:
        break;
    }
    return hf_apply_damaged(a, "unknown event");
}

enum hf_err hf_state_apply(struct hf_state *state, const struct hf_commit *commit,
                           struct hf_error *error)
{
    struct hf_error local;
    struct hf_applying a = {
        .state = state, .commit = commit, .error = error == NULL ? &local : error};
    bool ok = true;
    if (commit->position != state->position + 1 || commit->time_us <= state->time_us ||
        commit->space != state->space) {
        ok = hf_apply_damaged(&a, "position, time or space does not follow");
    }
    for (a.index = 0; ok && a.index < commit->event_count; a.index++) {
        a.event = commit->events[a.index];
        if (a.index + PREFETCH_AHEAD < commit->event_count) {
            prefetch(state, commit->events[a.index + PREFETCH_AHEAD]);
        }
        ok = apply_event(&a);
        if (ok) {
            hf_saga_note_event(&a);
        }
    }
    if (ok && commit->strip != NULL && !commit->expanded) {
        ok = hf_strip_apply(&a, commit->strip);
    }
    ok = ok && hf_queue_arrivals(&a);
    if (!ok) {
        drop_spares(state);
        return a.error->code;
    }
    if (hf_str_present(commit->key)) {
        struct hf_id id = hf_key_id(commit->principal, commit->key);
        a.index = 0;
        hf_apply_index(&a, HF_INDEX_KEY, &id, 0, 0);
    }
    state->position = commit->position;
    state->time_us = commit->time_us;
    HF_CHECK(state->spare_used == state->spare_count);
    state->spare_count = 0;
    state->spare_used = 0;
    return HF_ERR_OK;
}
