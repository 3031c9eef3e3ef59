/* Accounts' own operations, streams, documents, leases. */
#include "base/check.h"
#include "base/json.h"
#include "core/decide_priv.h"

/* ---- accounts ---- */

static enum hf_step open_account(struct hf_deciding *d, const struct hf_op *op)
{
    struct hf_account *account;
    enum hf_step step = hf_draft_account(d, &op->subject, &account);
    if (step != STEP_OK) {
        return step;
    }
    if (account != NULL) {
        return hf_refuse(d, HF_ERR_ACCOUNT_EXISTS, HF_KIND_ACCOUNT, &op->subject);
    }
    struct hf_event *event = hf_draft_event(d, HF_EVENT_ACCOUNT_OPENED);
    account = hf_arena_alloc(&d->draft->view.arena, sizeof(*account));
    if (event == NULL || account == NULL) {
        return hf_short(d);
    }
    bool has_metadata = hf_str_present(op->metadata.text);
    *account = (struct hf_account){
        .name = op->subject,
        .asset = op->asset,
        .state = HF_ACCOUNT_OPEN,
        .has_floor = !op->floor_none,
        .floor = op->floor_none ? 0 : op->floor,
        .has_ceiling = !op->ceiling_none,
        .ceiling = op->ceiling_none ? 0 : op->ceiling,
        .opened_position = d->position,
        .opened_at_us = d->time_us,
        .modified_at_us = d->time_us,
        .metadata_position = has_metadata ? d->position : 0,
    };
    event->opened = *account;
    event->opened_metadata = op->metadata;
    return hf_draft_enter(d, &d->draft->accounts, &op->subject.id, account);
}

static enum hf_step change_account(struct hf_deciding *d, const struct hf_op *op,
                                   struct hf_account *account, enum hf_account_change change)
{
    struct hf_event *event = hf_draft_event(d, HF_EVENT_ACCOUNT_CHANGED);
    if (event == NULL) {
        return STEP_STOP;
    }
    if (op->has_floor) {
        account->has_floor = !op->floor_none;
        account->floor = op->floor_none ? 0 : op->floor;
    }
    if (op->has_ceiling) {
        account->has_ceiling = !op->ceiling_none;
        account->ceiling = op->ceiling_none ? 0 : op->ceiling;
    }
    if (change == HF_CHANGE_METADATA) {
        account->metadata_position = d->position;
        event->changed.metadata = op->metadata;
    }
    event->changed.change = change;
    event->changed.has_asset = true;
    event->changed.asset = account->asset;
    event->changed.state = account->state;
    event->changed.has_floor = account->has_floor;
    event->changed.has_ceiling = account->has_ceiling;
    event->changed.floor = account->floor;
    event->changed.ceiling = account->ceiling;
    hf_draft_entry(d, account, &event->changed.side);
    return STEP_OK;
}

static bool is_empty(const struct hf_account *account)
{
    return hf_totals_posted(&account->totals) == 0 && account->totals.debits_pending == 0 &&
           account->totals.credits_pending == 0;
}

enum hf_step hf_decide_account_op(struct hf_deciding *d, const struct hf_op *op)
{
    if (op->type == HF_OP_OPEN_ACCOUNT) {
        return open_account(d, op);
    }
    struct hf_account *account;
    enum hf_step step = hf_draft_account(d, &op->subject, &account);
    if (step != STEP_OK) {
        return step;
    }
    if (account == NULL) {
        return hf_refuse(d, HF_ERR_ACCOUNT_NOT_FOUND, HF_KIND_NONE, NULL);
    }
    if (account->state == HF_ACCOUNT_CLOSED) {
        return hf_refuse(d, HF_ERR_ACCOUNT_CLOSED, HF_KIND_ACCOUNT, &op->subject);
    }
    if (op->type == HF_OP_SET_LIMITS) {
        return change_account(d, op, account, HF_CHANGE_LIMITS);
    }
    if (op->type == HF_OP_SET_METADATA) {
        return change_account(d, op, account, HF_CHANGE_METADATA);
    }
    if (op->type == HF_OP_FREEZE) {
        account->state = HF_ACCOUNT_FROZEN;
        return change_account(d, op, account, HF_CHANGE_FROZEN);
    }
    if (op->type == HF_OP_UNFREEZE) {
        account->state = HF_ACCOUNT_OPEN;
        return change_account(d, op, account, HF_CHANGE_UNFROZEN);
    }
    HF_CHECK(op->type == HF_OP_CLOSE_ACCOUNT);
    if (account->state == HF_ACCOUNT_FROZEN) {
        return hf_refuse(d, HF_ERR_ACCOUNT_FROZEN, HF_KIND_ACCOUNT, &op->subject);
    }
    if (!is_empty(account)) {
        return hf_refuse(d, HF_ERR_ACCOUNT_NOT_EMPTY, HF_KIND_ACCOUNT, &op->subject);
    }
    account->state = HF_ACCOUNT_CLOSED;
    return change_account(d, op, account, HF_CHANGE_CLOSED);
}

/* ---- streams ---- */

enum hf_step hf_decide_append(struct hf_deciding *d, const struct hf_op *op)
{
    struct hf_stream *stream;
    enum hf_step step = hf_draft_stream(d, &op->subject, &stream);
    if (step != STEP_OK) {
        return step;
    }
    if (op->has_id && hf_draft_id(d, HF_INDEX_EVENT, &op->id.id) != NULL) {
        return hf_refuse(d, HF_ERR_EVENT_EXISTS, HF_KIND_STREAM, &op->subject);
    }
    uint64_t version = stream == NULL ? 0 : stream->version;
    if (op->has_expected_version && op->expected_version != version) {
        return hf_refuse(d, HF_ERR_CONDITION_FAILED, HF_KIND_STREAM, &op->subject);
    }
    struct hf_event *event = hf_draft_event(d, HF_EVENT_STREAM_APPENDED);
    if (event == NULL) {
        return STEP_STOP;
    }
    if (stream == NULL) {
        stream = hf_arena_alloc_zero(&d->draft->view.arena, 1, sizeof(*stream));
        if (stream == NULL) {
            return hf_short(d);
        }
        stream->name = op->subject;
        step = hf_draft_enter(d, &d->draft->streams, &op->subject.id, stream);
    }
    stream->version = version + 1;
    stream->modified_at_us = d->time_us;
    stream->last_position = d->position;
    event->appended = (struct hf_appended){
        .stream = op->subject,
        .version = stream->version,
        .type = op->type_text,
        .has_id = op->has_id,
        .id = op->id,
        .data = op->data,
    };
    if (op->has_id) {
        memcpy(event->appended.content_hash, op->content_hash, sizeof(op->content_hash));
    }
    if (step == STEP_OK && op->has_id) {
        step = hf_draft_note(d, HF_INDEX_EVENT, &op->id.id);
    }
    return step;
}

/* ---- documents ---- */

/* The document's text at this point. */
static enum hf_step current_text(struct hf_deciding *d, const struct hf_draft_document *document,
                                 struct hf_str *text)
{
    if (hf_str_present(document->text)) {
        *text = document->text;
        return STEP_OK;
    }
    const struct hf_commit *commit =
        hf_view_commit(&d->draft->view, document->document.last_position);
    if (commit == NULL) {
        return STEP_STOP;
    }
    for (uint32_t i = 0; i < commit->event_count; i++) {
        const struct hf_event *event = commit->events[i];
        if (event->type == HF_EVENT_DOCUMENT_PUT &&
            event->document.version == document->document.version &&
            hf_id_equal(&event->document.document.id, &document->document.name.id)) {
            *text = event->document.data.text;
            return STEP_OK;
        }
    }
    d->draft->view.damaged = true;
    return STEP_STOP;
}

static enum hf_step patched(struct hf_deciding *d, const struct hf_op *op,
                            const struct hf_draft_document *document, struct hf_payload *data)
{
    struct hf_str text;
    enum hf_step step = current_text(d, document, &text);
    if (step != STEP_OK) {
        return step;
    }
    struct hf_buffer result;
    hf_buffer_init(&result);
    if (!hf_json_merge_patch(text, op->data.text, &result)) {
        hf_buffer_release(&result);
        return hf_short(d);
    }
    if (result.size_bytes > HF_DATA_BYTES_MAX) {
        hf_buffer_release(&result);
        return hf_refuse(d, HF_ERR_TOO_LARGE, HF_KIND_DOCUMENT, &op->subject);
    }
    data->text = hf_arena_copy(&d->draft->view.arena,
                               (struct hf_str){(const char *)result.data, result.size_bytes});
    data->hash = hf_sha256(result.data, result.size_bytes);
    hf_buffer_release(&result);
    return data->text.ptr == NULL ? hf_short(d) : STEP_OK;
}

/* Finds the document and tests expected_version; *document NULL if it never was. */
static enum hf_step expected_document(struct hf_deciding *d, const struct hf_op *op,
                                      struct hf_draft_document **document, bool *exists)
{
    enum hf_step step = hf_draft_document_get(d, &op->subject, document);
    if (step != STEP_OK) {
        return step;
    }
    *exists = *document != NULL && (*document)->document.exists;
    uint64_t version = *exists ? (*document)->document.version : 0;
    if (op->has_expected_version && op->expected_version != version) {
        return hf_refuse(d, HF_ERR_CONDITION_FAILED, HF_KIND_DOCUMENT, &op->subject);
    }
    if (!*exists && op->type != HF_OP_PUT) {
        return hf_refuse(d, HF_ERR_DOCUMENT_NOT_FOUND, HF_KIND_NONE, NULL);
    }
    return STEP_OK;
}

static enum hf_step new_document(struct hf_deciding *d, const struct hf_op *op,
                                 struct hf_draft_document **document)
{
    *document = hf_arena_alloc_zero(&d->draft->view.arena, 1, sizeof(**document));
    if (*document == NULL) {
        return hf_short(d);
    }
    (*document)->document.name = op->subject;
    return hf_draft_enter(d, &d->draft->documents, &op->subject.id, *document);
}

enum hf_step hf_decide_document_op(struct hf_deciding *d, const struct hf_op *op)
{
    struct hf_draft_document *document;
    bool exists;
    struct hf_payload data = op->data;
    enum hf_step step = expected_document(d, op, &document, &exists);
    if (step == STEP_OK && op->type == HF_OP_PATCH) {
        step = patched(d, op, document, &data);
    }
    if (step == STEP_OK && document == NULL) {
        step = new_document(d, op, &document);
    }
    if (step != STEP_OK) {
        return step;
    }
    bool deletes = op->type == HF_OP_DELETE;
    struct hf_event *event =
        hf_draft_event(d, deletes ? HF_EVENT_DOCUMENT_DELETED : HF_EVENT_DOCUMENT_PUT);
    if (event == NULL) {
        return STEP_STOP;
    }
    document->text = deletes ? HF_STR_NONE : data.text;
    document->document.exists = !deletes;
    document->document.version++;
    document->document.bytes = deletes ? 0 : data.text.len;
    document->document.modified_at_us = d->time_us;
    document->document.last_position = d->position;
    event->document = (struct hf_document_changed){
        .document = op->subject,
        .version = document->document.version,
        .patched = op->type == HF_OP_PATCH,
    };
    if (!deletes) {
        event->document.data = data;
    }
    return STEP_OK;
}

/* ---- leases ---- */

static enum hf_step acquire(struct hf_deciding *d, const struct hf_op *op, struct hf_lease *lease)
{
    if (lease != NULL && lease->held) {
        return hf_refuse(d, HF_ERR_LEASE_HELD, HF_KIND_LEASE, &op->subject);
    }
    struct hf_event *event = hf_draft_event(d, HF_EVENT_LEASE_ACQUIRED);
    struct hf_lease *fresh = hf_arena_alloc(&d->draft->view.arena, sizeof(*fresh));
    if (event == NULL || fresh == NULL) {
        return hf_short(d);
    }
    *fresh = (struct hf_lease){
        .name = op->subject,
        .owner = op->type_text,
        .held = true,
        .token = d->position,
        .ttl_us = op->timeout_ms * 1000,
        .expires_at_us = d->time_us + op->timeout_ms * 1000,
        .last_position = d->position,
        .modified_at_us = d->time_us,
    };
    event->lease = *fresh;
    return hf_draft_enter(d, &d->draft->leases, &op->subject.id, fresh);
}

static enum hf_step let_go(struct hf_deciding *d, struct hf_lease *lease, enum hf_event_type type)
{
    struct hf_event *event = hf_draft_event(d, type);
    if (event == NULL) {
        return STEP_STOP;
    }
    lease->held = false;
    lease->last_position = d->position;
    lease->modified_at_us = d->time_us;
    event->lease = *lease;
    return STEP_OK;
}

enum hf_step hf_expire_lease(struct hf_deciding *d, struct hf_lease *lease)
{
    return let_go(d, lease, HF_EVENT_LEASE_EXPIRED);
}

enum hf_step hf_decide_lease_op(struct hf_deciding *d, const struct hf_op *op)
{
    struct hf_lease *lease;
    enum hf_step step = hf_draft_lease(d, &op->subject, &lease);
    if (step != STEP_OK) {
        return step;
    }
    if (op->type == HF_OP_ACQUIRE) {
        return acquire(d, op, lease);
    }
    if (lease == NULL || !lease->held || lease->token != op->token) {
        return hf_refuse(d, HF_ERR_FENCED, HF_KIND_LEASE, &op->subject);
    }
    if (op->type == HF_OP_RELEASE) {
        return let_go(d, lease, HF_EVENT_LEASE_RELEASED);
    }
    struct hf_event *event = hf_draft_event(d, HF_EVENT_LEASE_RENEWED);
    if (event == NULL) {
        return STEP_STOP;
    }
    if (op->has_timeout) {
        lease->ttl_us = op->timeout_ms * 1000;
    }
    lease->expires_at_us = d->time_us + lease->ttl_us;
    lease->last_position = d->position;
    lease->modified_at_us = d->time_us;
    event->lease = *lease;
    return STEP_OK;
}
