#include "core/read.h"

#include "base/check.h"
#include "core/decide_priv.h"

struct reading {
    struct hf_view *view;
    const struct hf_state *state;
    const struct hf_query *query;
    struct hf_reading *out;
    uint64_t now_us;
    uint64_t key_retention_us;
};

static void not_found(struct reading *r, enum hf_err code)
{
    r->out->code = code;
}

/* Looks an id up; true if it is there. Otherwise the answer is `code`, or something is needed. */
static bool find(struct reading *r, uint8_t kind, uint64_t sub, enum hf_err code,
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

static bool same_name(struct reading *r, const struct hf_name *name, enum hf_err code)
{
    bool same = hf_str_equal(name->text, r->query->name.text);
    if (!same) {
        not_found(r, code);
    }
    return same;
}

static void read_account(struct reading *r)
{
    const struct hf_account *account = hf_state_account(r->state, &r->query->name.id);
    if (account == NULL || !same_name(r, &account->name, HF_ERR_ACCOUNT_NOT_FOUND)) {
        not_found(r, HF_ERR_ACCOUNT_NOT_FOUND);
        return;
    }
    r->out->entity.kind = HF_KIND_ACCOUNT;
    r->out->entity.account = *account;
    if (account->metadata_position == 0) {
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

static void read_transfer(struct reading *r)
{
    struct hf_index_value value;
    if (!find(r, HF_INDEX_TRANSFER, 0, HF_ERR_TRANSFER_NOT_FOUND, &value)) {
        return;
    }
    const struct hf_event *event = hf_view_event(r->view, &value, HF_TRANSFER_EVENTS);
    if (event == NULL || !same_name(r, &event->posting.transfer.name, HF_ERR_TRANSFER_NOT_FOUND)) {
        return;
    }
    r->out->entity.kind = HF_KIND_TRANSFER;
    r->out->entity.transfer = event->posting.transfer;
    struct hf_index_value reversal;
    if (hf_view_lookup(r->view, HF_INDEX_REVERSAL, &r->query->name.id, 0, &reversal) ==
        HF_LOOKUP_PRESENT) {
        const struct hf_event *newest =
            hf_view_event(r->view, &reversal, 1u << HF_EVENT_TRANSFER_POSTED);
        if (newest != NULL) {
            r->out->entity.transfer.reversed = newest->posting.reversed_after;
        }
    }
}

static void read_hold(struct reading *r)
{
    const struct hf_hold *hold = hf_state_hold(r->state, &r->query->name.id);
    if (hold == NULL) {
        struct hf_index_value value;
        if (!find(r, HF_INDEX_HOLD, 0, HF_ERR_HOLD_NOT_FOUND, &value)) {
            return;
        }
        const struct hf_event *event = hf_view_event(r->view, &value, HF_HOLD_EVENTS);
        if (event == NULL) {
            return;
        }
        hold = &event->posting.hold;
    }
    if (same_name(r, &hold->name, HF_ERR_HOLD_NOT_FOUND)) {
        r->out->entity.kind = HF_KIND_HOLD;
        r->out->entity.hold = *hold;
    }
}

/* Room for a page's items. */
static bool begin_page(struct reading *r)
{
    HF_CHECK(r->query->limit >= 1 && r->query->limit <= HF_QUERY_LIMIT_MAX);
    r->out->items = hf_arena_alloc_zero(&r->view->arena, r->query->limit, sizeof(*r->out->items));
    if (r->out->items == NULL) {
        r->view->short_memory = true;
    }
    return r->out->items != NULL;
}

static void read_stream(struct reading *r)
{
    const struct hf_stream *stream = hf_state_stream(r->state, &r->query->name.id);
    if (stream == NULL || !same_name(r, &stream->name, HF_ERR_STREAM_NOT_FOUND)) {
        not_found(r, HF_ERR_STREAM_NOT_FOUND);
        return;
    }
    r->out->entity.kind = HF_KIND_STREAM;
    r->out->entity.stream = *stream;
    if (r->query->type == HF_QUERY_STREAM || !begin_page(r)) {
        return;
    }
    uint64_t version = hf_max_u64(r->query->from, 1);
    for (; version <= stream->version && r->out->item_count < r->query->limit; version++) {
        struct hf_index_value value;
        enum hf_lookup lookup =
            hf_view_lookup(r->view, HF_INDEX_STREAM_EVENT, &stream->name.id, version, &value);
        if (lookup == HF_LOOKUP_ABSENT) {
            r->view->damaged = true;
            return;
        }
        struct hf_page_item *item = &r->out->items[r->out->item_count++];
        if (lookup == HF_LOOKUP_PRESENT) {
            item->event = hf_view_event(r->view, &value, 1u << HF_EVENT_STREAM_APPENDED);
            item->commit = item->event == NULL ? NULL : hf_view_commit(r->view, value.position);
        }
    }
    r->out->more = version <= stream->version;
}

/* The side of an event that belongs to the account with this version, or NULL. */
static const struct hf_side *side_of(const struct hf_event *event, const struct hf_id *id,
                                     uint64_t version)
{
    const struct hf_side *sides[2] = {NULL, NULL};
    if (event->type == HF_EVENT_ACCOUNT_CHANGED) {
        sides[0] = &event->changed.side;
    } else if (event->type == HF_EVENT_TRANSFER_POSTED ||
               (HF_HOLD_EVENTS & 1u << event->type && event->type != HF_EVENT_HOLD_EXTENDED)) {
        sides[0] = &event->posting.debit;
        sides[1] = &event->posting.credit;
    }
    for (int i = 0; i < 2; i++) {
        if (sides[i] != NULL && sides[i]->version == version &&
            hf_id_equal(&sides[i]->account.id, id)) {
            return sides[i];
        }
    }
    return NULL;
}

const struct hf_side *hf_entry_find(const struct hf_commit *commit, const struct hf_id *account,
                                    uint64_t version, const struct hf_event **event)
{
    for (uint32_t i = 0; i < commit->event_count; i++) {
        const struct hf_side *side = side_of(commit->events[i], account, version);
        if (side != NULL) {
            *event = commit->events[i];
            return side;
        }
    }
    return NULL;
}

/* Where a walk begins that is to meet version `start`: at the next indexed entry above it, or at the
 * newest. false: something is needed. */
static bool walk_from(struct reading *r, const struct hf_account *account, uint64_t start,
                      uint64_t *version, uint64_t *position)
{
    uint64_t indexed = (start + HF_ENTRY_STRIDE - 1) / HF_ENTRY_STRIDE * HF_ENTRY_STRIDE;
    *version = account->version;
    *position = account->last_position;
    if (indexed >= account->version) {
        return true;
    }
    struct hf_index_value value;
    enum hf_lookup lookup =
        hf_view_lookup(r->view, HF_INDEX_ENTRY, &account->name.id, indexed, &value);
    if (lookup == HF_LOOKUP_ABSENT) {
        r->view->damaged = true;
    }
    *version = indexed;
    *position = value.position;
    return lookup == HF_LOOKUP_PRESENT;
}

/* The commit of an entry; if it is cold, it is needed together with the entries behind it. */
static const struct hf_commit *entry_commit(struct reading *r, const struct hf_id *account,
                                            uint64_t version, uint64_t position, uint64_t last)
{
    struct hf_needs *needs = &r->view->needs;
    size_t before = needs->position_count;
    const struct hf_commit *commit = hf_view_commit(r->view, position);
    if (commit == NULL && needs->position_count > before) {
        struct hf_entry_chain chain = {.account = *account,
                                       .version = version,
                                       .position = position,
                                       .count = (uint32_t)(version - last + 1)};
        if (!hf_needs_add_chain(needs, &chain)) {
            r->view->short_memory = true;
        }
    }
    return commit;
}

/* Newest first, along the chain of entries; the cost follows the page and not the history. */
static void read_entries(struct reading *r)
{
    read_account(r);
    if (r->out->code != HF_ERR_OK || !begin_page(r)) {
        return;
    }
    const struct hf_account *account = &r->out->entity.account;
    uint64_t start = account->version;
    uint64_t version, position;
    if (r->query->from > 0 && r->query->from <= start) {
        start = r->query->from - 1;
    }
    if (start == 0 || !walk_from(r, account, start, &version, &position)) {
        return;
    }
    uint64_t last = start > r->query->limit ? start - r->query->limit + 1 : 1;
    for (; version >= last; version--) {
        struct hf_page_item item = {0};
        item.commit = entry_commit(r, &account->name.id, version, position, last);
        if (item.commit == NULL) {
            return;
        }
        item.side = hf_entry_find(item.commit, &account->name.id, version, &item.event);
        if (item.side == NULL) {
            r->view->damaged = true;
            return;
        }
        if (version <= start) {
            r->out->items[r->out->item_count++] = item;
        }
        position = item.side->previous_position;
    }
    r->out->more = last > 1;
}

static void read_document(struct reading *r)
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
    const struct hf_event *event = hf_view_event(
        r->view, &value, 1u << HF_EVENT_DOCUMENT_PUT | 1u << HF_EVENT_DOCUMENT_DELETED);
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

static void read_lease(struct reading *r)
{
    const struct hf_lease *lease = hf_state_lease(r->state, &r->query->name.id);
    if (lease == NULL) {
        struct hf_index_value value;
        if (!find(r, HF_INDEX_LEASE, 0, HF_ERR_LEASE_NOT_FOUND, &value)) {
            return;
        }
        const struct hf_event *event = hf_view_event(
            r->view, &value, 1u << HF_EVENT_LEASE_RELEASED | 1u << HF_EVENT_LEASE_EXPIRED);
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

static void read_key(struct reading *r)
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

static void read_commit(struct reading *r)
{
    if (r->query->position == 0 || r->query->position > r->state->position) {
        not_found(r, HF_ERR_COMMIT_NOT_FOUND);
        return;
    }
    r->out->commit = hf_view_commit(r->view, r->query->position);
}

enum hf_decision hf_read(const struct hf_state *state, const struct hf_records *records,
                         const struct hf_query *query, uint64_t now_us, uint64_t key_retention_us,
                         struct hf_draft *draft, struct hf_reading *reading)
{
    struct hf_view *view = &draft->view;
    hf_view_begin(view, state, records);
    *reading = (struct hf_reading){.position = state->position, .time_us = state->time_us};
    struct reading r = {
        .view = view,
        .state = state,
        .query = query,
        .out = reading,
        .now_us = hf_max_u64(now_us, state->time_us + 1),
        .key_retention_us = key_retention_us,
    };
    static void (*const readers[HF_QUERY_TYPE_COUNT])(struct reading *) = {
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
    };
    HF_CHECK(query->type > 0 && query->type < HF_QUERY_TYPE_COUNT && readers[query->type] != NULL);
    readers[query->type](&r);
    if (view->damaged) {
        return HF_DECISION_DAMAGED;
    }
    if (view->short_memory) {
        return HF_DECISION_OVERLOADED;
    }
    return hf_needs_any(&view->needs) ? HF_DECISION_NEEDS : HF_DECISION_ANSWER;
}
