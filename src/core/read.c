#include "core/read.h"

#include "base/check.h"
#include "core/decide_priv.h"
#include "core/read_priv.h"

static void not_found(struct hf_read_work *r, enum hf_err code)
{
    r->out->code = code;
}

void hf_read_refuse(struct hf_read_work *r, enum hf_err code, const char *detail)
{
    r->out->code = code;
    r->out->detail = detail;
}

void *hf_read_alloc(struct hf_read_work *r, size_t count, size_t size_bytes)
{
    void *items = hf_arena_alloc_zero(&r->view->arena, count, size_bytes);
    r->view->short_memory = r->view->short_memory || items == NULL;
    return items;
}

/* Looks an id up; true if it is there. Otherwise the answer is `code`, or something is needed. */
static bool find(struct hf_read_work *r, uint8_t kind, uint64_t sub, enum hf_err code,
                 struct hf_index_value *value)
{
    enum hf_lookup lookup = hf_view_lookup(r->view, kind, &r->query->name.id, sub, value);
    if (lookup == HF_LOOKUP_PRESENT && (value->flags & HF_INDEX_SPENT) == 0) {
        return true;
    }
    if (lookup != HF_LOOKUP_UNKNOWN) {
        not_found(r, code);
    }
    return false;
}

static bool same_name(struct hf_read_work *r, const struct hf_name *name, enum hf_err code)
{
    bool same = hf_str_equal(name->text, r->query->name.text);
    if (!same) {
        not_found(r, code);
    }
    return same;
}

const struct hf_account *hf_read_find_account(struct hf_read_work *r)
{
    const struct hf_account *account = hf_state_account(r->state, &r->query->name.id);
    if (account == NULL || !same_name(r, &account->name, HF_ERR_ACCOUNT_NOT_FOUND)) {
        not_found(r, HF_ERR_ACCOUNT_NOT_FOUND);
        return NULL;
    }
    r->out->entity.kind = HF_KIND_ACCOUNT;
    r->out->entity.account = *account;
    return account;
}

static void read_account(struct hf_read_work *r)
{
    const struct hf_account *account = hf_read_find_account(r);
    if (account == NULL || account->metadata_position == 0) {
        return;
    }
    const struct hf_commit *commit = hf_view_commit(r->view, account->metadata_position);
    for (uint32_t i = 0; commit != NULL && i < commit->event_count; i++) {
        const struct hf_event *event = commit->events[i];
        if (event->type == HF_EVENT_ACCOUNT_OPENED &&
            hf_id_equal(&event->opened.name.id, &account->name.id)) {
            r->out->text = event->opened_metadata;
        } else if (event->type == HF_EVENT_ACCOUNT_CHANGED &&
                   event->changed.change == HF_CHANGE_METADATA &&
                   hf_id_equal(&event->changed.side.account.id, &account->name.id)) {
            r->out->text = event->changed.metadata;
        }
    }
}

void hf_read_take_transfer(struct hf_read_work *r, const struct hf_event *event,
                           struct hf_entity *entity)
{
    entity->kind = HF_KIND_TRANSFER;
    entity->transfer = event->posting.transfer;
    struct hf_index_value reversal;
    if (hf_view_lookup(r->view, HF_INDEX_REVERSAL, &entity->transfer.name.id, 0, &reversal) ==
        HF_LOOKUP_PRESENT) {
        const struct hf_event *newest =
            hf_view_event(r->view, &reversal, HF_EVENT_BIT(HF_EVENT_TRANSFER_POSTED));
        if (newest != NULL) {
            entity->transfer.reversed = newest->posting.reversed_after;
        }
    }
}

static void read_transfer(struct hf_read_work *r)
{
    struct hf_index_value value;
    if (!find(r, HF_INDEX_TRANSFER, 0, HF_ERR_TRANSFER_NOT_FOUND, &value)) {
        return;
    }
    const struct hf_event *event = hf_view_event(r->view, &value, HF_TRANSFER_EVENTS);
    if (event == NULL || !same_name(r, &event->posting.transfer.name, HF_ERR_TRANSFER_NOT_FOUND)) {
        return;
    }
    hf_read_take_transfer(r, event, &r->out->entity);
}

const struct hf_hold *hf_read_find_hold(struct hf_read_work *r, const struct hf_id *id)
{
    const struct hf_hold *hold = hf_state_hold(r->state, id);
    if (hold != NULL) {
        return hold;
    }
    struct hf_index_value value;
    if (hf_view_lookup(r->view, HF_INDEX_HOLD, id, 0, &value) != HF_LOOKUP_PRESENT ||
        (value.flags & HF_INDEX_SPENT) != 0) {
        return NULL;
    }
    const struct hf_event *event = hf_view_event(r->view, &value, HF_HOLD_EVENTS);
    return event == NULL ? NULL : &event->posting.hold;
}

static void read_hold(struct hf_read_work *r)
{
    const struct hf_hold *hold = hf_read_find_hold(r, &r->query->name.id);
    if (hold == NULL) {
        not_found(r, HF_ERR_HOLD_NOT_FOUND);
    } else if (same_name(r, &hold->name, HF_ERR_HOLD_NOT_FOUND)) {
        r->out->entity.kind = HF_KIND_HOLD;
        r->out->entity.hold = *hold;
    }
}

bool hf_read_begin_page(struct hf_read_work *r)
{
    r->out->items = hf_read_alloc(r, r->query->limit, sizeof(*r->out->items));
    return r->out->items != NULL;
}

bool hf_read_begin_list(struct hf_read_work *r)
{
    r->out->entities = hf_read_alloc(r, r->query->limit, sizeof(*r->out->entities));
    return r->out->entities != NULL;
}

static void read_stream(struct hf_read_work *r)
{
    const struct hf_stream *stream = hf_state_stream(r->state, &r->query->name.id);
    if (stream == NULL || !same_name(r, &stream->name, HF_ERR_STREAM_NOT_FOUND)) {
        not_found(r, HF_ERR_STREAM_NOT_FOUND);
        return;
    }
    r->out->entity.kind = HF_KIND_STREAM;
    r->out->entity.stream = *stream;
    if (r->query->type == HF_QUERY_STREAM || !hf_read_begin_page(r)) {
        return;
    }
    uint64_t version = hf_max_u64(r->query->from, 1);
    for (; version <= stream->version && r->out->item_count < r->query->limit &&
           r->view->decoded_bytes <= HF_QUERY_BYTES_MAX;
         version++) {
        struct hf_index_value value;
        enum hf_lookup lookup =
            hf_view_lookup(r->view, HF_INDEX_STREAM_EVENT, &stream->name.id, version, &value);
        if (lookup == HF_LOOKUP_ABSENT) {
            r->view->damaged = true;
            return;
        }
        struct hf_page_item *item = &r->out->items[r->out->item_count++];
        if (lookup == HF_LOOKUP_PRESENT) {
            item->event = hf_view_event(r->view, &value, HF_EVENT_BIT(HF_EVENT_STREAM_APPENDED));
            item->commit = item->event == NULL ? NULL : hf_view_commit(r->view, value.position);
        }
    }
    r->out->more = version <= stream->version;
    r->out->next_from = version;
}

static void read_document(struct hf_read_work *r)
{
    const struct hf_document *document = hf_state_document(r->state, &r->query->name.id);
    if (document == NULL || !same_name(r, &document->name, HF_ERR_DOCUMENT_NOT_FOUND) ||
        (r->query->has_version ? r->query->version == 0 || r->query->version > document->version
                               : !document->exists)) {
        not_found(r, HF_ERR_DOCUMENT_NOT_FOUND);
        return;
    }
    uint64_t version = r->query->has_version ? r->query->version : document->version;
    struct hf_index_value value;
    if (!find(r, HF_INDEX_DOCUMENT, version, HF_ERR_DOCUMENT_NOT_FOUND, &value)) {
        return;
    }
    const struct hf_event *event = hf_view_event(r->view, &value,
                                                 HF_EVENT_BIT(HF_EVENT_DOCUMENT_PUT) |
                                                     HF_EVENT_BIT(HF_EVENT_DOCUMENT_DELETED));
    const struct hf_commit *commit = event == NULL ? NULL : hf_view_commit(r->view, value.position);
    if (commit == NULL) {
        return;
    }
    r->out->entity.kind = HF_KIND_DOCUMENT;
    r->out->entity.document = (struct hf_document){
        .name = document->name,
        .exists = event->type == HF_EVENT_DOCUMENT_PUT,
        .version = version,
        .modified_at_us = commit->time_us,
        .last_position = commit->position,
        .bytes = event->document.data.text.len,
    };
    r->out->entity.last_change_key = commit->key;
    r->out->text = event->document.data;
    if (!r->out->entity.document.exists) {
        not_found(r, HF_ERR_DOCUMENT_NOT_FOUND);
    }
}

static void read_lease(struct hf_read_work *r)
{
    const struct hf_lease *lease = hf_state_lease(r->state, &r->query->name.id);
    if (lease == NULL) {
        struct hf_index_value value;
        if (!find(r, HF_INDEX_LEASE, 0, HF_ERR_LEASE_NOT_FOUND, &value)) {
            return;
        }
        const struct hf_event *event = hf_view_event(r->view, &value,
                                                     HF_EVENT_BIT(HF_EVENT_LEASE_RELEASED) |
                                                         HF_EVENT_BIT(HF_EVENT_LEASE_EXPIRED));
        if (event == NULL) {
            return;
        }
        lease = &event->lease;
    }
    if (same_name(r, &lease->name, HF_ERR_LEASE_NOT_FOUND)) {
        r->out->entity.kind = HF_KIND_LEASE;
        r->out->entity.lease = *lease;
    }
}

static void read_key(struct hf_read_work *r)
{
    struct hf_id id = hf_key_id(r->query->principal, r->query->key);
    struct hf_index_value value;
    enum hf_lookup lookup = hf_view_lookup(r->view, HF_INDEX_KEY, &id, 0, &value);
    if (lookup == HF_LOOKUP_ABSENT) {
        not_found(r, HF_ERR_KEY_NOT_FOUND);
    }
    if (lookup != HF_LOOKUP_PRESENT) {
        return;
    }
    const struct hf_commit *commit = hf_view_commit(r->view, value.position);
    if (commit == NULL) {
        return;
    }
    if (commit->time_us + r->key_retention_us <= r->now_us ||
        !hf_str_equal(commit->key, r->query->key) ||
        !hf_str_equal(commit->principal, r->query->principal)) {
        not_found(r, HF_ERR_KEY_NOT_FOUND);
        return;
    }
    r->out->commit = commit;
}

static void read_commit(struct hf_read_work *r)
{
    if (r->query->position == 0 || r->query->position > r->state->position) {
        not_found(r, HF_ERR_COMMIT_NOT_FOUND);
        return;
    }
    r->out->commit = hf_view_commit(r->view, r->query->position);
}

/* Newest first; the cost follows the page and not the history. */
static void read_entries(struct hf_read_work *r)
{
    read_account(r);
    if (r->out->code == HF_ERR_OK && hf_read_begin_page(r)) {
        hf_read_entry_page(r);
    }
}

/* They are few, and nothing of them is cold. */
static void read_alerts(struct hf_read_work *r)
{
    r->out->alerts = &r->state->alerts;
}

static bool has_limit(enum hf_query_type type)
{
    return type == HF_QUERY_STREAM_EVENTS || type == HF_QUERY_ENTRIES ||
           (type >= HF_QUERY_ACCOUNTS && type <= HF_QUERY_HOLDS) || type == HF_QUERY_STATEMENT ||
           (type >= HF_QUERY_SUBSCRIPTIONS && type != HF_QUERY_SAGA &&
            type != HF_QUERY_SAGA_DEFINITION && type != HF_QUERY_ALERTS);
}

uint32_t hf_query_weight(const struct hf_query *query)
{
    bool effective = query->clock == HF_CLOCK_EFFECTIVE;
    switch (query->type) {
    case HF_QUERY_ENTRIES:
    case HF_QUERY_STREAM_EVENTS:
    case HF_QUERY_ACCOUNTS:
    case HF_QUERY_STREAMS:
    case HF_QUERY_SUBSCRIPTIONS:
    case HF_QUERY_MESSAGES:
    case HF_QUERY_MESSAGE_HISTORY:
    case HF_QUERY_SAGA_DEFINITIONS:
    case HF_QUERY_SAGA_COUNTS:
        return query->limit;
    case HF_QUERY_DEAD:
    case HF_QUERY_DOCUMENTS:
    case HF_QUERY_TRANSFERS:
    case HF_QUERY_HOLDS:
    case HF_QUERY_SAGA_HISTORY:
    case HF_QUERY_SAGAS:
    case HF_QUERY_SAGA_WORK:
        return HF_QUERY_SCAN_MAX;
    case HF_QUERY_BALANCE:
        return effective && query->at == HF_AT_TIME ? HF_QUERY_WALK_MAX : HF_ENTRY_STRIDE;
    case HF_QUERY_STATEMENT:
        return effective || query->whole ? HF_QUERY_WALK_MAX : query->limit + 2 * HF_ENTRY_STRIDE;
    case HF_QUERY_ACCOUNT:
    case HF_QUERY_TRANSFER:
    case HF_QUERY_HOLD:
    case HF_QUERY_STREAM:
    case HF_QUERY_DOCUMENT:
    case HF_QUERY_LEASE:
    case HF_QUERY_KEY:
    case HF_QUERY_COMMIT:
    case HF_QUERY_TOTALS:
    case HF_QUERY_SUBSCRIPTION:
    case HF_QUERY_SAGA:
    case HF_QUERY_SAGA_DEFINITION:
    case HF_QUERY_ALERTS:
    case HF_QUERY_TYPE_COUNT:
        break;
    }
    return 1;
}

enum hf_decision hf_read(const struct hf_state *state, const struct hf_records *records,
                         const struct hf_query *query, uint64_t now_us, uint64_t key_retention_us,
                         struct hf_draft *draft, struct hf_reading *reading)
{
    struct hf_view *view = &draft->view;
    hf_view_begin(view, state, records);
    *reading = (struct hf_reading){.position = state->position, .time_us = state->time_us};
    struct hf_read_work r = {
        .view = view,
        .state = state,
        .query = query,
        .out = reading,
        .now_us = hf_max_u64(now_us, state->time_us + 1),
        .key_retention_us = key_retention_us,
    };
    static void (*const readers[HF_QUERY_TYPE_COUNT])(struct hf_read_work *) = {
        [HF_QUERY_ACCOUNT] = read_account,
        [HF_QUERY_TRANSFER] = read_transfer,
        [HF_QUERY_HOLD] = read_hold,
        [HF_QUERY_STREAM] = read_stream,
        [HF_QUERY_STREAM_EVENTS] = read_stream,
        [HF_QUERY_DOCUMENT] = read_document,
        [HF_QUERY_LEASE] = read_lease,
        [HF_QUERY_KEY] = read_key,
        [HF_QUERY_COMMIT] = read_commit,
        [HF_QUERY_ENTRIES] = read_entries,
        [HF_QUERY_ACCOUNTS] = hf_read_accounts,
        [HF_QUERY_STREAMS] = hf_read_streams,
        [HF_QUERY_DOCUMENTS] = hf_read_documents,
        [HF_QUERY_TRANSFERS] = hf_read_transfers,
        [HF_QUERY_HOLDS] = hf_read_holds,
        [HF_QUERY_BALANCE] = hf_read_balance,
        [HF_QUERY_STATEMENT] = hf_read_statement,
        [HF_QUERY_TOTALS] = hf_read_totals,
        [HF_QUERY_SUBSCRIPTION] = hf_read_subscription,
        [HF_QUERY_SUBSCRIPTIONS] = hf_read_subscriptions,
        [HF_QUERY_DEAD] = hf_read_dead,
        [HF_QUERY_MESSAGE_HISTORY] = hf_read_message_history,
        [HF_QUERY_MESSAGES] = hf_read_messages,
        [HF_QUERY_SAGA] = hf_read_saga,
        [HF_QUERY_SAGA_HISTORY] = hf_read_saga_history,
        [HF_QUERY_SAGAS] = hf_read_sagas,
        [HF_QUERY_SAGA_DEFINITION] = hf_read_saga_definition,
        [HF_QUERY_SAGA_DEFINITIONS] = hf_read_saga_definitions,
        [HF_QUERY_SAGA_COUNTS] = hf_read_saga_counts,
        [HF_QUERY_SAGA_WORK] = hf_read_saga_work,
        [HF_QUERY_ALERTS] = read_alerts,
    };
    HF_CHECK(query->type > 0 && query->type < HF_QUERY_TYPE_COUNT);
    HF_CHECK(!has_limit(query->type) || (query->limit >= 1 && query->limit <= HF_QUERY_LIMIT_MAX));
    readers[query->type](&r);
    if (view->damaged) {
        return HF_DECISION_DAMAGED;
    }
    if (view->short_memory) {
        return HF_DECISION_OVERLOADED;
    }
    return hf_needs_any(&view->needs) ? HF_DECISION_NEEDS : HF_DECISION_ANSWER;
}
