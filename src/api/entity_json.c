#include "api/entity_json.h"

#include "api/queue_json.h"
#include "api/saga_json.h"
#include "base/check.h"
#include "core/saga_wire.h"

const char *hf_account_state_wire(enum hf_account_state state)
{
    static const char *const wires[] = {
        [HF_ACCOUNT_OPEN] = "open",
        [HF_ACCOUNT_FROZEN] = "frozen",
        [HF_ACCOUNT_CLOSED] = "closed",
    };
    return wires[state];
}

const char *hf_hold_state_wire(enum hf_hold_state state)
{
    static const char *const wires[] = {
        [HF_HOLD_OPEN] = "open",
        [HF_HOLD_CAPTURED] = "captured",
        [HF_HOLD_VOIDED] = "voided",
        [HF_HOLD_EXPIRED] = "expired",
    };
    return wires[state];
}

const char *hf_transfer_kind_wire(enum hf_transfer_kind kind)
{
    static const char *const wires[] = {
        [HF_TRANSFER_PLAIN] = "transfer",
        [HF_TRANSFER_CAPTURE] = "capture",
        [HF_TRANSFER_REVERSAL] = "reversal",
    };
    return wires[kind];
}

/* ---- pieces ---- */

static void put_string(struct hf_json_writer *w, const char *name, const char *text)
{
    hf_json_put_text(w, name, hf_str_from(text));
}

static void put_limit(struct hf_json_writer *w, const char *name, bool has, hf_i128 value)
{
    if (has) {
        hf_json_put_balance(w, name, value);
    } else {
        hf_json_put_null(w, name);
    }
}

void hf_totals_json(struct hf_json_writer *w, const struct hf_totals *totals)
{
    hf_json_put_amount(w, "debits_posted", totals->debits_posted);
    hf_json_put_amount(w, "credits_posted", totals->credits_posted);
    hf_json_put_amount(w, "debits_pending", totals->debits_pending);
    hf_json_put_amount(w, "credits_pending", totals->credits_pending);
}

void hf_balances_json(struct hf_json_writer *w, const struct hf_totals *totals)
{
    hf_json_put_balance(w, "posted", hf_totals_posted(totals));
    hf_json_put_balance(w, "available", hf_totals_available(totals));
}

static void put_expiry(struct hf_json_writer *w, uint64_t expires_at_us)
{
    if (expires_at_us == 0) {
        hf_json_put_null(w, "expires_at");
    } else {
        hf_json_put_time(w, "expires_at", expires_at_us);
    }
}

static void put_side(struct hf_json_writer *w, const char *name, const struct hf_side *side)
{
    hf_json_begin_object(w, name);
    hf_json_put_text(w, "account", side->account.text);
    hf_json_put_number(w, "version", side->version);
    hf_balances_json(w, &side->totals);
    hf_json_end_object(w);
}

static void put_effective_at(struct hf_json_writer *w, const struct hf_transfer *transfer)
{
    if (transfer->has_effective_at) {
        hf_json_put_time(w, "effective_at", transfer->effective_at_us);
    }
}

/* What a packed record carries for its sender. */
static void put_packed(struct hf_json_writer *w, const struct hf_transfer *transfer)
{
    static const uint8_t zero[HF_USER_DATA_BYTES];
    if (memcmp(transfer->user_data, zero, sizeof(zero)) != 0) {
        static const char digits[] = "0123456789abcdef";
        char hex[2 * HF_USER_DATA_BYTES + 1] = {0};
        for (size_t i = 0; i < HF_USER_DATA_BYTES; i++) {
            hex[2 * i] = digits[transfer->user_data[i] >> 4];
            hex[2 * i + 1] = digits[transfer->user_data[i] & 15];
        }
        put_string(w, "user_data", hex);
    }
    if (transfer->code != 0) {
        hf_json_put_number(w, "code", transfer->code);
    }
}

/* ---- things ---- */

static void put_account(struct hf_json_writer *w, const struct hf_account *account)
{
    hf_json_put_text(w, "id", account->name.text);
    hf_json_put_number(w, "version", account->version);
    hf_json_put_text(w, "asset", hf_asset_str(&account->asset));
    put_limit(w, "floor", account->has_floor, account->floor);
    put_limit(w, "ceiling", account->has_ceiling, account->ceiling);
    put_string(w, "state", hf_account_state_wire(account->state));
    hf_totals_json(w, &account->totals);
    hf_balances_json(w, &account->totals);
    hf_json_put_time(w, "opened_at", account->opened_at_us);
    hf_json_put_time(w, "modified_at", account->modified_at_us);
}

static void put_transfer(struct hf_json_writer *w, const struct hf_transfer *transfer)
{
    hf_json_put_text(w, "id", transfer->name.text);
    put_string(w, "type", hf_transfer_kind_wire(transfer->kind));
    if (transfer->kind == HF_TRANSFER_CAPTURE) {
        hf_json_put_text(w, "hold", transfer->of.text);
    } else if (transfer->kind == HF_TRANSFER_REVERSAL) {
        hf_json_put_text(w, "reverses", transfer->of.text);
    }
    hf_json_put_text(w, "from", transfer->from.text);
    hf_json_put_text(w, "to", transfer->to.text);
    hf_json_put_text(w, "asset", hf_asset_str(&transfer->asset));
    hf_json_put_amount(w, "amount", transfer->amount);
    if (transfer->up_to) {
        hf_json_put_bool(w, "up_to", true);
        hf_json_put_amount(w, "requested", transfer->requested);
    }
    hf_json_put_amount(w, "reversed", transfer->reversed);
    put_effective_at(w, transfer);
    put_packed(w, transfer);
    hf_json_put_number(w, "position", transfer->position);
    hf_json_put_time(w, "posted_at", transfer->posted_at_us);
    if (hf_str_present(transfer->metadata.text)) {
        hf_json_put_raw(w, "metadata", transfer->metadata.text);
    }
}

static void put_hold_state(struct hf_json_writer *w, const struct hf_hold *hold)
{
    hf_json_put_number(w, "version", hold->version);
    put_string(w, "state", hf_hold_state_wire(hold->state));
    hf_json_put_text(w, "asset", hf_asset_str(&hold->asset));
    hf_json_put_amount(w, "amount", hold->amount);
    hf_json_put_amount(w, "captured", hold->captured);
    hf_json_put_amount(w, "remaining", hold->remaining);
    put_expiry(w, hold->expires_at_us);
}

static void put_hold(struct hf_json_writer *w, const struct hf_hold *hold)
{
    hf_json_put_text(w, "id", hold->name.text);
    put_hold_state(w, hold);
    hf_json_put_text(w, "from", hold->from.text);
    hf_json_put_text(w, "to", hold->to.text);
    hf_json_put_number(w, "position", hold->opened_position);
    hf_json_put_time(w, "opened_at", hold->opened_at_us);
    hf_json_put_time(w, "modified_at", hold->modified_at_us);
}

static void put_stream(struct hf_json_writer *w, const struct hf_stream *stream)
{
    hf_json_put_text(w, "id", stream->name.text);
    hf_json_put_number(w, "version", stream->version);
    hf_json_put_time(w, "modified_at", stream->modified_at_us);
}

static void put_document(struct hf_json_writer *w, const struct hf_entity *entity)
{
    const struct hf_document *document = &entity->document;
    hf_json_put_text(w, "id", document->name.text);
    hf_json_put_number(w, "version", document->version);
    hf_json_put_bool(w, "exists", document->exists);
    hf_json_put_number(w, "bytes", document->bytes);
    hf_json_put_time(w, "modified_at", document->modified_at_us);
    hf_json_begin_object(w, "last_change");
    hf_json_put_number(w, "position", document->last_position);
    if (hf_str_present(entity->last_change_key)) {
        hf_json_put_text(w, "key", entity->last_change_key);
    } else {
        hf_json_put_null(w, "key");
    }
    hf_json_end_object(w);
}

static void put_lease(struct hf_json_writer *w, const struct hf_lease *lease)
{
    hf_json_put_text(w, "owner", lease->owner);
    hf_json_put_number(w, "token", lease->token);
    hf_json_put_time(w, "expires_at", lease->expires_at_us);
}

void hf_entity_json(struct hf_json_writer *w, const struct hf_entity *entity)
{
    switch (entity->kind) {
    case HF_KIND_ACCOUNT:
        put_account(w, &entity->account);
        return;
    case HF_KIND_TRANSFER:
        put_transfer(w, &entity->transfer);
        return;
    case HF_KIND_HOLD:
        put_hold(w, &entity->hold);
        return;
    case HF_KIND_STREAM:
        put_stream(w, &entity->stream);
        return;
    case HF_KIND_DOCUMENT:
        put_document(w, entity);
        return;
    case HF_KIND_LEASE:
        hf_json_put_text(w, "id", entity->lease.name.text);
        hf_json_put_bool(w, "held", entity->lease.held);
        put_lease(w, &entity->lease);
        hf_json_put_time(w, "modified_at", entity->lease.modified_at_us);
        return;
    case HF_KIND_MESSAGE:
        hf_json_put_text(w, "id", entity->message.name.text);
        hf_json_put_text(w, "topic", entity->message.topic.text);
        hf_message_id_json(w, "message", entity->message.position, entity->message.index);
        return;
    case HF_KIND_SUBSCRIPTION:
        hf_json_put_text(w, "id", entity->subscription.name.text);
        hf_json_put_number(w, "version", entity->subscription.version);
        hf_json_put_time(w, "modified_at", entity->subscription.modified_at_us);
        return;
    case HF_KIND_SAGA:
        hf_json_put_text(w, "id", entity->saga.name.text);
        hf_json_put_number(w, "version", entity->saga.version);
        hf_json_put_text(w, "state",
                         hf_str_from(hf_saga_state_wire((enum hf_saga_state)entity->saga.state)));
        hf_json_put_time(w, "modified_at", entity->saga.modified_at_us);
        return;
    case HF_KIND_SAGA_DEFINITION:
        hf_json_put_text(w, "id", entity->saga_definition.name.text);
        hf_json_put_number(w, "version", entity->saga_definition.version);
        return;
    case HF_KIND_NONE:
    case HF_KIND_EVENT:
    case HF_KIND_KEY:
    case HF_KIND_COUNT:
        return;
    }
}

/* ---- events ---- */

static const char *account_change_wire(enum hf_account_change change)
{
    static const enum hf_op_type types[] = {
        [HF_CHANGE_LIMITS] = HF_OP_SET_LIMITS,    [HF_CHANGE_METADATA] = HF_OP_SET_METADATA,
        [HF_CHANGE_FROZEN] = HF_OP_FREEZE,        [HF_CHANGE_UNFROZEN] = HF_OP_UNFREEZE,
        [HF_CHANGE_CLOSED] = HF_OP_CLOSE_ACCOUNT,
    };
    return hf_op_wire(types[change]);
}

const char *hf_event_operation(const struct hf_event *event)
{
    static const enum hf_op_type types[HF_EVENT_TYPE_COUNT] = {
        [HF_EVENT_ACCOUNT_OPENED] = HF_OP_OPEN_ACCOUNT,
        [HF_EVENT_TRANSFER_POSTED] = HF_OP_TRANSFER,
        [HF_EVENT_HOLD_OPENED] = HF_OP_HOLD,
        [HF_EVENT_HOLD_CAPTURED] = HF_OP_CAPTURE,
        [HF_EVENT_HOLD_VOIDED] = HF_OP_VOID,
        [HF_EVENT_HOLD_EXTENDED] = HF_OP_EXTEND,
        [HF_EVENT_STREAM_APPENDED] = HF_OP_APPEND,
        [HF_EVENT_DOCUMENT_PUT] = HF_OP_PUT,
        [HF_EVENT_DOCUMENT_DELETED] = HF_OP_DELETE,
        [HF_EVENT_LEASE_ACQUIRED] = HF_OP_ACQUIRE,
        [HF_EVENT_LEASE_RENEWED] = HF_OP_RENEW,
        [HF_EVENT_LEASE_RELEASED] = HF_OP_RELEASE,
        [HF_EVENT_MESSAGE_PUBLISHED] = HF_OP_PUBLISH,
        [HF_EVENT_SUBSCRIPTION_PUT] = HF_OP_PUT_SUBSCRIPTION,
        [HF_EVENT_SUBSCRIPTION_DELETED] = HF_OP_DELETE_SUBSCRIPTION,
        [HF_EVENT_SUBSCRIPTION_SOUGHT] = HF_OP_SEEK,
        [HF_EVENT_MESSAGES_DELIVERED] = HF_OP_RECEIVE,
        [HF_EVENT_MESSAGES_SETTLED] = HF_OP_ACK_BATCH,
        [HF_EVENT_DELIVERY_EXTENDED] = HF_OP_ACK_BATCH,
        [HF_EVENT_MESSAGES_REDRIVEN] = HF_OP_REDRIVE,
    };
    if (event->type == HF_EVENT_UNIT_REFUSED) {
        return "refused";
    }
    if (event->type == HF_EVENT_ACCOUNT_CHANGED) {
        return account_change_wire(event->changed.change);
    }
    if (event->type >= HF_EVENT_SAGA_DEFINED && event->type <= HF_EVENT_SAGA_VERBS) {
        return hf_saga_event_operation(event);
    }
    if (event->type == HF_EVENT_TRANSFER_POSTED &&
        event->posting.transfer.kind == HF_TRANSFER_REVERSAL) {
        return hf_op_wire(HF_OP_REVERSE);
    }
    if (event->type == HF_EVENT_DOCUMENT_PUT && event->document.patched) {
        return hf_op_wire(HF_OP_PATCH);
    }
    if (event->type == HF_EVENT_MESSAGES_SETTLED && !event->settled.batch) {
        bool acked = event->settled.items[0].settlement == HF_SETTLED_ACKED;
        return hf_op_wire(acked ? HF_OP_ACK : HF_OP_NACK);
    }
    return types[event->type] == HF_OP_NONE ? NULL : hf_op_wire(types[event->type]);
}

static void put_opened(struct hf_json_writer *w, const struct hf_account *account)
{
    hf_json_put_text(w, "account", account->name.text);
    hf_json_put_number(w, "version", account->version);
    hf_json_put_text(w, "asset", hf_asset_str(&account->asset));
    put_limit(w, "floor", account->has_floor, account->floor);
    put_limit(w, "ceiling", account->has_ceiling, account->ceiling);
    put_string(w, "state", hf_account_state_wire(account->state));
    hf_balances_json(w, &account->totals);
}

static void put_changed(struct hf_json_writer *w, const struct hf_account_changed *changed)
{
    hf_json_put_text(w, "account", changed->side.account.text);
    hf_json_put_number(w, "version", changed->side.version);
    put_limit(w, "floor", changed->has_floor, changed->floor);
    put_limit(w, "ceiling", changed->has_ceiling, changed->ceiling);
    put_string(w, "state", hf_account_state_wire(changed->state));
    hf_balances_json(w, &changed->side.totals);
}

static void put_posted(struct hf_json_writer *w, const struct hf_posting *posting)
{
    const struct hf_transfer *transfer = &posting->transfer;
    hf_json_put_text(w, "transfer", transfer->name.text);
    if (transfer->kind == HF_TRANSFER_REVERSAL) {
        hf_json_put_text(w, "reverses", transfer->of.text);
    }
    hf_json_put_text(w, "asset", hf_asset_str(&transfer->asset));
    hf_json_put_amount(w, "amount", transfer->amount);
    if (transfer->up_to) {
        hf_json_put_amount(w, "requested", transfer->requested);
    }
    if (transfer->kind == HF_TRANSFER_REVERSAL) {
        hf_json_put_amount(w, "reversed", posting->reversed_after);
    }
    put_effective_at(w, transfer);
    put_packed(w, transfer);
    put_side(w, "from", &posting->debit);
    put_side(w, "to", &posting->credit);
}

static void put_hold_event(struct hf_json_writer *w, const struct hf_event *event)
{
    const struct hf_posting *posting = &event->posting;
    if (event->type == HF_EVENT_HOLD_CAPTURED) {
        hf_json_put_text(w, "transfer", posting->transfer.name.text);
        hf_json_put_amount(w, "moved", posting->transfer.amount);
        hf_json_put_amount(w, "released", posting->released);
    } else if (event->type == HF_EVENT_HOLD_VOIDED || event->type == HF_EVENT_HOLD_EXPIRED) {
        hf_json_put_amount(w, "released", posting->released);
    }
    hf_json_put_text(w, "hold", posting->hold.name.text);
    put_packed(w, &posting->transfer);
    put_hold_state(w, &posting->hold);
    if (event->type != HF_EVENT_HOLD_EXTENDED) {
        put_side(w, "from", &posting->debit);
        put_side(w, "to", &posting->credit);
    }
}

static void put_appended(struct hf_json_writer *w, const struct hf_appended *appended)
{
    hf_json_put_text(w, "stream", appended->stream.text);
    hf_json_put_number(w, "version", appended->version);
    if (appended->has_id) {
        hf_json_put_text(w, "id", appended->id.text);
    }
}

static void put_lease_event(struct hf_json_writer *w, const struct hf_event *event)
{
    hf_json_put_text(w, "lease", event->lease.name.text);
    put_lease(w, &event->lease);
}

static void put_refused(struct hf_json_writer *w, const struct hf_refused *refused)
{
    put_string(w, "code", hf_err_wire(refused->code));
    hf_json_begin_array(w, "spent");
    for (uint32_t i = 0; i < refused->spent_count; i++) {
        hf_json_begin_object(w, NULL);
        hf_json_put_text(w, hf_kind_wire(refused->spent[i].kind), refused->spent[i].name.text);
        hf_json_end_object(w);
    }
    hf_json_end_array(w);
}

static void put_system(struct hf_json_writer *w, const struct hf_event *event)
{
    const struct hf_system *system = &event->system;
    if (event->type == HF_EVENT_TAKEOVER) {
        hf_json_put_number(w, "epoch", system->epoch);
        hf_json_put_text(w, "owner", system->owner);
    } else if (event->type == HF_EVENT_CHECKPOINT) {
        char hex[2 * HF_SHA256_BYTES + 1];
        hf_hash_hex(&system->hash, hex);
        hf_json_put_number(w, "position", system->position);
        put_string(w, "sha256", hex);
    } else if (event->type == HF_EVENT_TAIL_CUT) {
        hf_json_put_number(w, "segment", system->segment);
        hf_json_put_number(w, "offset", system->offset);
        hf_json_put_number(w, "bytes", system->bytes);
    } else {
        hf_json_put_number(w, "level", system->level);
    }
}

static void put_alert_event(struct hf_json_writer *w, const struct hf_event *event)
{
    const struct hf_alert_event *alert = &event->alert;
    put_string(w, "kind", hf_alert_wire(alert->kind));
    hf_json_put_text(w, "subject", alert->subject);
    hf_json_put_time(w, "since", alert->since_us);
    hf_json_put_text(w, "text", alert->text);
    if (event->type == HF_EVENT_ALERT_CLEARED) {
        hf_json_put_number(w, "raised_position", alert->raised_position);
    }
}

void hf_event_json(struct hf_json_writer *w, const struct hf_event *event)
{
    switch (event->type) {
    case HF_EVENT_ACCOUNT_OPENED:
        put_opened(w, &event->opened);
        return;
    case HF_EVENT_ACCOUNT_CHANGED:
        put_changed(w, &event->changed);
        return;
    case HF_EVENT_TRANSFER_POSTED:
        put_posted(w, &event->posting);
        return;
    case HF_EVENT_HOLD_OPENED:
    case HF_EVENT_HOLD_CAPTURED:
    case HF_EVENT_HOLD_VOIDED:
    case HF_EVENT_HOLD_EXPIRED:
    case HF_EVENT_HOLD_EXTENDED:
        put_hold_event(w, event);
        return;
    case HF_EVENT_STREAM_APPENDED:
        put_appended(w, &event->appended);
        return;
    case HF_EVENT_DOCUMENT_PUT:
    case HF_EVENT_DOCUMENT_DELETED:
        hf_json_put_text(w, "document", event->document.document.text);
        hf_json_put_number(w, "version", event->document.version);
        return;
    case HF_EVENT_LEASE_ACQUIRED:
    case HF_EVENT_LEASE_RENEWED:
    case HF_EVENT_LEASE_RELEASED:
    case HF_EVENT_LEASE_EXPIRED:
        put_lease_event(w, event);
        return;
    case HF_EVENT_REFUSED:
        put_refused(w, &event->refused);
        return;
    case HF_EVENT_UNIT_REFUSED:
        put_refused(w, &event->unit_refused.refused);
        return;
    case HF_EVENT_KEY_CANCELLED:
        return;
    case HF_EVENT_TAKEOVER:
    case HF_EVENT_CHECKPOINT:
    case HF_EVENT_TAIL_CUT:
    case HF_EVENT_FEATURE_LEVEL:
        put_system(w, event);
        return;
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
        hf_queue_event_json(w, event);
        return;
    case HF_EVENT_SAGA_DEFINED:
    case HF_EVENT_SAGA_STARTED:
    case HF_EVENT_SAGA_CHANGED:
    case HF_EVENT_SAGA_ENDED:
    case HF_EVENT_SAGA_VERBS:
        hf_saga_event_json(w, event);
        return;
    case HF_EVENT_ALERT_RAISED:
    case HF_EVENT_ALERT_CLEARED:
        put_alert_event(w, event);
        return;
    case HF_EVENT_TYPE_COUNT:
        break;
    }
    HF_CHECK(false);
}

static void put_given(struct hf_json_writer *w, const char *name, const struct hf_payload *payload)
{
    if (hf_str_present(payload->text)) {
        hf_json_put_raw(w, name, payload->text);
    }
}

void hf_event_texts_json(struct hf_json_writer *w, const struct hf_event *event)
{
    if (event->type == HF_EVENT_ACCOUNT_OPENED) {
        put_given(w, "metadata", &event->opened_metadata);
    } else if (event->type == HF_EVENT_ACCOUNT_CHANGED) {
        put_given(w, "metadata", &event->changed.metadata);
    } else if (event->type == HF_EVENT_TRANSFER_POSTED) {
        put_given(w, "metadata", &event->posting.transfer.metadata);
    } else if (event->type == HF_EVENT_STREAM_APPENDED) {
        hf_json_put_text(w, "event", event->appended.type);
        put_given(w, "data", &event->appended.data);
    } else if (event->type == HF_EVENT_DOCUMENT_PUT) {
        put_given(w, "data", &event->document.data);
    } else if (event->type == HF_EVENT_MESSAGE_PUBLISHED) {
        hf_json_put_text(w, "key", event->published.key);
        hf_json_put_text(w, "event", event->published.type);
        put_given(w, "data", &event->published.data);
    } else if (event->type >= HF_EVENT_SAGA_DEFINED && event->type <= HF_EVENT_SAGA_VERBS) {
        hf_saga_event_texts_json(w, event);
    }
}
