#include "core/commit.h"

#include "base/check.h"
#include "core/codec_priv.h"
#include "core/strip_priv.h"

#define RECORD_VERSION 1u
#define FRAME_BYTES    8u /* two lengths before the record */

static const char *const event_wires[HF_EVENT_TYPE_COUNT] = {
    [HF_EVENT_ACCOUNT_OPENED] = "holdfast.account.opened",
    [HF_EVENT_ACCOUNT_CHANGED] = "holdfast.account.changed",
    [HF_EVENT_TRANSFER_POSTED] = "holdfast.transfer.posted",
    [HF_EVENT_HOLD_OPENED] = "holdfast.hold.opened",
    [HF_EVENT_HOLD_CAPTURED] = "holdfast.hold.captured",
    [HF_EVENT_HOLD_VOIDED] = "holdfast.hold.voided",
    [HF_EVENT_HOLD_EXPIRED] = "holdfast.hold.expired",
    [HF_EVENT_HOLD_EXTENDED] = "holdfast.hold.extended",
    [HF_EVENT_STREAM_APPENDED] = "holdfast.stream.appended",
    [HF_EVENT_DOCUMENT_PUT] = "holdfast.document.put",
    [HF_EVENT_DOCUMENT_DELETED] = "holdfast.document.deleted",
    [HF_EVENT_LEASE_ACQUIRED] = "holdfast.lease.acquired",
    [HF_EVENT_LEASE_RENEWED] = "holdfast.lease.renewed",
    [HF_EVENT_LEASE_RELEASED] = "holdfast.lease.released",
    [HF_EVENT_LEASE_EXPIRED] = "holdfast.lease.expired",
    [HF_EVENT_REFUSED] = "system.commit.refused",
    [HF_EVENT_KEY_CANCELLED] = "system.key.cancelled",
    [HF_EVENT_TAKEOVER] = "system.takeover",
    [HF_EVENT_CHECKPOINT] = "system.checkpoint.stored",
    [HF_EVENT_TAIL_CUT] = "system.tail.cut",
    [HF_EVENT_FEATURE_LEVEL] = "system.feature_level",
    [HF_EVENT_MESSAGE_PUBLISHED] = "holdfast.message.published",
    [HF_EVENT_MESSAGE_DUE] = "system.message.due",
    [HF_EVENT_SUBSCRIPTION_PUT] = "system.subscription.put",
    [HF_EVENT_SUBSCRIPTION_DELETED] = "system.subscription.deleted",
    [HF_EVENT_SUBSCRIPTION_SCANNED] = "system.subscription.scanned",
    [HF_EVENT_SUBSCRIPTION_SOUGHT] = "system.subscription.sought",
    [HF_EVENT_MESSAGES_DELIVERED] = "system.message.delivered",
    [HF_EVENT_MESSAGES_SETTLED] = "system.message.settled",
    [HF_EVENT_DELIVERY_EXTENDED] = "system.message.extended",
    [HF_EVENT_MESSAGES_REDRIVEN] = "system.message.redriven",
    [HF_EVENT_SAGA_DEFINED] = "holdfast.saga.defined",
    [HF_EVENT_SAGA_STARTED] = "holdfast.saga.started",
    [HF_EVENT_SAGA_CHANGED] = "holdfast.saga.changed",
    [HF_EVENT_SAGA_ENDED] = "holdfast.saga.ended",
    [HF_EVENT_SAGA_VERBS] = "system.saga.verbs",
    [HF_EVENT_ALERT_RAISED] = "system.alert.raised",
    [HF_EVENT_ALERT_CLEARED] = "system.alert.cleared",
    [HF_EVENT_UNIT_REFUSED] = "system.unit.refused",
};

const char *hf_event_wire(enum hf_event_type type)
{
    return event_wires[type];
}

const char *hf_kind_wire(enum hf_kind kind)
{
    static const char *const wires[HF_KIND_COUNT] = {
        "none",  "account", "transfer", "hold",         "stream", "event",           "document",
        "lease", "key",     "message",  "subscription", "saga",   "saga_definition",
    };
    return wires[kind];
}

static void code_side(struct hf_codec *codec, struct hf_side *side)
{
    hf_code_name(codec, &side->account, "entry account");
    hf_code_u64(codec, &side->version, UINT64_MAX, "entry version");
    hf_code_totals(codec, &side->totals);
    hf_code_u64(codec, &side->previous_position, UINT64_MAX, "entry previous position");
}

static void code_posting(struct hf_codec *codec, struct hf_event *event)
{
    struct hf_posting *posting = &event->posting;
    bool posts = event->type == HF_EVENT_TRANSFER_POSTED || event->type == HF_EVENT_HOLD_CAPTURED;
    if (posts) {
        hf_code_transfer(codec, &posting->transfer);
        bool plain = posting->transfer.kind == HF_TRANSFER_PLAIN;
        bool capture = posting->transfer.kind == HF_TRANSFER_CAPTURE;
        if (capture != (event->type == HF_EVENT_HOLD_CAPTURED)) {
            hf_codec_fail(codec, "transfer kind of another event");
        }
        if (!plain && !capture) {
            hf_code_u128(codec, &posting->reversed_after, HF_TOTAL_MAX, "reversed sum");
        }
    }
    if (event->type != HF_EVENT_TRANSFER_POSTED) {
        hf_code_hold(codec, &posting->hold);
    }
    if (event->type == HF_EVENT_HOLD_CAPTURED || event->type == HF_EVENT_HOLD_VOIDED ||
        event->type == HF_EVENT_HOLD_EXPIRED) {
        hf_code_u128(codec, &posting->released, HF_TOTAL_MAX, "released");
    }
    if (event->type != HF_EVENT_HOLD_EXTENDED) {
        code_side(codec, &posting->debit);
        code_side(codec, &posting->credit);
    }
}

#define ASSET_FLAG 0x80u /* beside the change: the asset follows; early frames have none */

static void code_change(struct hf_codec *codec, struct hf_account_changed *changed)
{
    uint8_t byte = (uint8_t)((unsigned)changed->change | (changed->has_asset ? ASSET_FLAG : 0u));
    hf_code_bytes(codec, &byte, 1, "account change");
    changed->change = (enum hf_account_change)(byte & ~ASSET_FLAG);
    changed->has_asset = (byte & ASSET_FLAG) != 0;
    if (changed->change < HF_CHANGE_LIMITS || changed->change > HF_CHANGE_CLOSED) {
        hf_codec_fail(codec, "account change");
    }
    if (changed->has_asset) {
        hf_code_asset(codec, &changed->asset, "asset");
    }
}

static void code_changed(struct hf_codec *codec, struct hf_account_changed *changed)
{
    code_change(codec, changed);
    code_side(codec, &changed->side);
    HF_CODE_ENUM(codec, changed->state, HF_ACCOUNT_CLOSED, "account state");
    hf_code_bool(codec, &changed->has_floor, "floor");
    hf_code_bool(codec, &changed->has_ceiling, "ceiling");
    hf_code_i128(codec, &changed->floor, "floor");
    hf_code_i128(codec, &changed->ceiling, "ceiling");
    if ((!changed->has_floor && changed->floor != 0) ||
        (!changed->has_ceiling && changed->ceiling != 0)) {
        hf_codec_fail(codec, "limit without its flag");
    }
    hf_code_payload(codec, &changed->metadata, HF_METADATA_BYTES_MAX, "account metadata");
}

static void code_appended(struct hf_codec *codec, struct hf_appended *appended)
{
    hf_code_name(codec, &appended->stream, "stream");
    hf_code_u64(codec, &appended->version, UINT64_MAX, "stream version");
    hf_code_text(codec, &appended->type, HF_TYPE_BYTES_MAX, "event type");
    hf_code_bool(codec, &appended->has_id, "event has id");
    if (appended->has_id) {
        hf_code_name(codec, &appended->id, "event id");
        hf_code_bytes(codec, appended->content_hash, 16, "event content hash");
    }
    hf_code_payload(codec, &appended->data, HF_DATA_BYTES_MAX, "event data");
}

static void code_document_changed(struct hf_codec *codec, struct hf_document_changed *document)
{
    hf_code_name(codec, &document->document, "document");
    hf_code_u64(codec, &document->version, UINT64_MAX, "document version");
    hf_code_bool(codec, &document->patched, "document patched");
    hf_code_payload(codec, &document->data, HF_COMMIT_BYTES_MAX, "document data");
}

/* The stored form of a transfer outside of its own event: from, to, position and time too. */
static void code_whole_transfer(struct hf_codec *codec, struct hf_transfer *transfer)
{
    hf_code_transfer(codec, transfer);
    hf_code_name(codec, &transfer->from, "transfer from");
    hf_code_name(codec, &transfer->to, "transfer to");
    hf_code_u128(codec, &transfer->reversed, HF_TOTAL_MAX, "transfer reversed");
    hf_code_u64(codec, &transfer->position, UINT64_MAX, "transfer position");
    hf_code_u64(codec, &transfer->posted_at_us, UINT64_MAX, "transfer posted at");
}

#define CURRENT_EXTRAS                                                                             \
    0x80u /* beside the kind of a transfer: its user data and code stand behind it */

static bool has_extras(const struct hf_transfer *transfer)
{
    static const uint8_t zero[HF_USER_DATA_BYTES];
    return transfer->code != 0 || memcmp(transfer->user_data, zero, sizeof(zero)) != 0;
}

static void code_current_transfer(struct hf_codec *codec, struct hf_transfer *transfer, bool extras)
{
    code_whole_transfer(codec, transfer);
    if (extras) {
        hf_code_bytes(codec, transfer->user_data, sizeof(transfer->user_data), "user data");
        hf_code_u32(codec, &transfer->code, UINT32_MAX, "code");
    } else if (!hf_codec_writing(codec)) {
        memset(transfer->user_data, 0, sizeof(transfer->user_data));
        transfer->code = 0;
    }
    if (has_extras(transfer) != extras) {
        hf_codec_fail(codec, "current extras");
    }
}

static void code_entity(struct hf_codec *codec, struct hf_entity *entity)
{
    bool extras = hf_codec_writing(codec) && entity->kind == HF_KIND_TRANSFER &&
                  has_extras(&entity->transfer);
    uint8_t byte = (uint8_t)((unsigned)entity->kind + 1 + (extras ? CURRENT_EXTRAS : 0));
    hf_code_bytes(codec, &byte, 1, "current kind");
    extras = (byte & CURRENT_EXTRAS) != 0;
    unsigned kind = byte & ~CURRENT_EXTRAS;
    if (kind == 0 || kind > HF_KIND_COUNT || (extras && kind != HF_KIND_TRANSFER + 1)) {
        hf_codec_fail(codec, "current kind");
        return;
    }
    entity->kind = (enum hf_kind)(kind - 1);
    entity->last_change_key = hf_codec_writing(codec) ? entity->last_change_key : HF_STR_NONE;
    switch (entity->kind) {
    case HF_KIND_NONE:
        return;
    case HF_KIND_ACCOUNT:
        hf_code_account(codec, &entity->account);
        return;
    case HF_KIND_TRANSFER:
        code_current_transfer(codec, &entity->transfer, extras);
        return;
    case HF_KIND_HOLD:
        hf_code_hold(codec, &entity->hold);
        return;
    case HF_KIND_STREAM:
        hf_code_stream(codec, &entity->stream);
        return;
    case HF_KIND_DOCUMENT: {
        hf_code_document(codec, &entity->document);
        bool has_key = hf_str_present(entity->last_change_key);
        hf_code_bool(codec, &has_key, "last change has key");
        if (has_key) {
            hf_code_text(codec, &entity->last_change_key, HF_KEY_BYTES_MAX, "last change key");
        }
        return;
    }
    case HF_KIND_LEASE:
        hf_code_lease(codec, &entity->lease);
        return;
    case HF_KIND_MESSAGE:
        hf_code_message(codec, &entity->message);
        return;
    case HF_KIND_SUBSCRIPTION:
        hf_code_subscription_head(codec, &entity->subscription);
        return;
    case HF_KIND_SAGA:
        hf_code_saga_head(codec, &entity->saga);
        return;
    case HF_KIND_SAGA_DEFINITION:
        hf_code_saga_definition_head(codec, &entity->saga_definition);
        return;
    case HF_KIND_EVENT:
    case HF_KIND_KEY:
    case HF_KIND_COUNT:
        break;
    }
    hf_codec_fail(codec, "current kind");
}

static void code_spent(struct hf_codec *codec, struct hf_refused *refused)
{
    hf_code_u32(codec, &refused->spent_count, HF_COMMIT_OPERATIONS_MAX, "spent ids");
    const struct hf_spent *from = refused->spent;
    struct hf_spent *list = NULL;
    if (!hf_codec_writing(codec)) {
        list = hf_arena_alloc_zero(codec->arena, refused->spent_count, sizeof(*list));
        refused->spent = list;
        if (list == NULL) {
            codec->short_memory = true;
            hf_codec_fail(codec, "spent ids");
            return;
        }
    }
    for (uint32_t i = 0; i < refused->spent_count && hf_codec_ok(codec); i++) {
        struct hf_spent spent = list == NULL ? from[i] : (struct hf_spent){0};
        HF_CODE_ENUM(codec, spent.kind, HF_KIND_HOLD, "spent kind");
        hf_code_name(codec, &spent.name, "spent id");
        if (spent.kind == HF_KIND_ACCOUNT) {
            hf_codec_fail(codec, "spent kind");
        }
        if (list != NULL) {
            list[i] = spent;
        }
    }
}

static void code_refused(struct hf_codec *codec, struct hf_refused *refused)
{
    uint32_t code = (uint32_t)refused->code;
    hf_code_u32(codec, &code, UINT16_MAX, "refusal code");
    if (!hf_err_known(code) || code < HF_ERR_INVALID_REQUEST) {
        hf_codec_fail(codec, "refusal code");
    }
    refused->code = (enum hf_err)code;
    uint32_t where = (uint32_t)refused->where + 1;
    hf_code_enum_number(codec, &where, HF_WHERE_DO + 1, "refusal where");
    refused->where = (enum hf_where)(where - 1);
    hf_code_u32(codec, &refused->index, HF_COMMIT_OPERATIONS_MAX, "refusal index");
    code_entity(codec, &refused->current);
    code_spent(codec, refused);
}

static void code_unit_refused(struct hf_codec *codec, struct hf_unit_refused *unit)
{
    code_refused(codec, &unit->refused);
    hf_code_u32(codec, &unit->count, HF_COMMIT_OPERATIONS_MAX, "operations of the unit");
    hf_code_bytes(codec, unit->content_hash, sizeof(unit->content_hash), "hash of the unit");
    if (unit->refused.where != HF_WHERE_DO || unit->refused.index >= unit->count) {
        hf_codec_fail(codec, "unit's refusal");
    }
}

static void code_system(struct hf_codec *codec, struct hf_event *event)
{
    struct hf_system *system = &event->system;
    if (event->type == HF_EVENT_TAKEOVER) {
        hf_code_u64(codec, &system->epoch, UINT64_MAX, "epoch");
        hf_code_text(codec, &system->owner, HF_PRINCIPAL_BYTES_MAX, "owner");
    } else if (event->type == HF_EVENT_CHECKPOINT) {
        hf_code_u64(codec, &system->position, UINT64_MAX, "checkpoint position");
        hf_code_bytes(codec, system->hash.bytes, sizeof(system->hash.bytes), "checkpoint hash");
    } else if (event->type == HF_EVENT_TAIL_CUT) {
        hf_code_u64(codec, &system->segment, UINT64_MAX, "cut segment");
        hf_code_u64(codec, &system->offset, UINT64_MAX, "cut offset");
        hf_code_u64(codec, &system->bytes, UINT64_MAX, "cut bytes");
    } else {
        hf_code_u64(codec, &system->level, UINT64_MAX, "feature level");
    }
}

#define EXTRA_FLAG      0x80u /* beside the type: what a packed record said stands before the fields */
#define EXTRA_USER_DATA 1u
#define EXTRA_CODE      2u
#define EXTRA_ACT       4u /* the id of a void */

static uint8_t extras_of(const struct hf_event *event)
{
    static const uint8_t zero[HF_USER_DATA_BYTES];
    const struct hf_transfer *transfer = &event->posting.transfer;
    if (event->type < HF_EVENT_TRANSFER_POSTED || event->type > HF_EVENT_HOLD_VOIDED) {
        return 0;
    }
    bool act = event->type == HF_EVENT_HOLD_VOIDED && hf_str_present(transfer->name.text);
    return (uint8_t)((memcmp(transfer->user_data, zero, sizeof(zero)) != 0 ? EXTRA_USER_DATA : 0) |
                     (transfer->code != 0 ? EXTRA_CODE : 0) | (act ? EXTRA_ACT : 0));
}

/* What stands beside the type; returns the bits of what follows. */
static uint8_t code_type(struct hf_codec *codec, struct hf_event *event)
{
    uint8_t extras = hf_codec_writing(codec) ? extras_of(event) : 0;
    uint8_t byte = (uint8_t)((unsigned)event->type | (extras != 0 ? EXTRA_FLAG : 0u));
    hf_code_bytes(codec, &byte, 1, "event type");
    unsigned type = byte & ~EXTRA_FLAG;
    if (type == 0 || type >= HF_EVENT_TYPE_COUNT) {
        hf_codec_fail(codec, "event type");
        return 0;
    }
    event->type = (enum hf_event_type)type;
    if ((byte & EXTRA_FLAG) == 0) {
        return 0;
    }
    hf_code_bytes(codec, &extras, 1, "event extras");
    if (extras == 0 || extras > (EXTRA_USER_DATA | EXTRA_CODE | EXTRA_ACT)) {
        hf_codec_fail(codec, "event extras");
    }
    return extras;
}

static void code_extras(struct hf_codec *codec, struct hf_event *event, uint8_t extras)
{
    struct hf_transfer *transfer = &event->posting.transfer;
    if ((extras & EXTRA_USER_DATA) != 0) {
        hf_code_bytes(codec, transfer->user_data, sizeof(transfer->user_data), "user data");
    }
    if ((extras & EXTRA_CODE) != 0) {
        hf_code_u32(codec, &transfer->code, UINT32_MAX, "code");
    }
    if ((extras & EXTRA_ACT) != 0) {
        hf_code_name(codec, &transfer->name, "void id");
    }
    if (extras_of(event) != extras) {
        hf_codec_fail(codec, "event extras");
    }
}

static void code_event(struct hf_codec *codec, struct hf_event *event)
{
    uint8_t extras = code_type(codec, event);
    if (extras != 0 && hf_codec_ok(codec)) {
        code_extras(codec, event, extras);
    }
    uint32_t operation = event->operation + 1; /* HF_NO_OPERATION becomes 0 */
    hf_code_u32(codec, &operation, HF_COMMIT_OPERATIONS_MAX, "event operation");
    event->operation = operation - 1;
    if (!hf_codec_ok(codec)) {
        return;
    }
    switch (event->type) {
    case HF_EVENT_ACCOUNT_OPENED:
        hf_code_account(codec, &event->opened);
        hf_code_payload(codec, &event->opened_metadata, HF_METADATA_BYTES_MAX, "account metadata");
        return;
    case HF_EVENT_ACCOUNT_CHANGED:
        code_changed(codec, &event->changed);
        return;
    case HF_EVENT_TRANSFER_POSTED:
    case HF_EVENT_HOLD_OPENED:
    case HF_EVENT_HOLD_CAPTURED:
    case HF_EVENT_HOLD_VOIDED:
    case HF_EVENT_HOLD_EXPIRED:
    case HF_EVENT_HOLD_EXTENDED:
        code_posting(codec, event);
        return;
    case HF_EVENT_STREAM_APPENDED:
        code_appended(codec, &event->appended);
        return;
    case HF_EVENT_DOCUMENT_PUT:
    case HF_EVENT_DOCUMENT_DELETED:
        code_document_changed(codec, &event->document);
        if (hf_str_present(event->document.data.text) != (event->type == HF_EVENT_DOCUMENT_PUT)) {
            hf_codec_fail(codec, "document data");
        }
        return;
    case HF_EVENT_LEASE_ACQUIRED:
    case HF_EVENT_LEASE_RENEWED:
    case HF_EVENT_LEASE_RELEASED:
    case HF_EVENT_LEASE_EXPIRED:
        hf_code_lease(codec, &event->lease);
        return;
    case HF_EVENT_REFUSED:
        code_refused(codec, &event->refused);
        return;
    case HF_EVENT_KEY_CANCELLED:
        return;
    case HF_EVENT_TAKEOVER:
    case HF_EVENT_CHECKPOINT:
    case HF_EVENT_TAIL_CUT:
    case HF_EVENT_FEATURE_LEVEL:
        code_system(codec, event);
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
        hf_code_queue_event(codec, event);
        return;
    case HF_EVENT_SAGA_DEFINED:
    case HF_EVENT_SAGA_STARTED:
    case HF_EVENT_SAGA_CHANGED:
    case HF_EVENT_SAGA_ENDED:
    case HF_EVENT_SAGA_VERBS:
        hf_code_saga_event(codec, event);
        return;
    case HF_EVENT_ALERT_RAISED:
    case HF_EVENT_ALERT_CLEARED:
        hf_code_alert_event(codec, event);
        return;
    case HF_EVENT_UNIT_REFUSED:
        code_unit_refused(codec, &event->unit_refused);
        return;
    case HF_EVENT_TYPE_COUNT:
        break;
    }
    hf_codec_fail(codec, "event type");
}

#define UNITS 2 /* where others say whether they have a hash of their operations */

static void code_head(struct hf_codec *codec, struct hf_commit *commit)
{
    uint32_t version = RECORD_VERSION;
    hf_code_enum_number(codec, &version, RECORD_VERSION, "record version");
    hf_code_u32(codec, &commit->space, UINT32_MAX, "space");
    hf_code_u64(codec, &commit->position, UINT64_MAX, "position");
    hf_code_u64(codec, &commit->time_us, UINT64_MAX, "time");
    HF_CODE_ENUM(codec, commit->origin, HF_ORIGIN_SYSTEM, "origin");
    hf_code_optional_text(codec, &commit->principal, HF_PRINCIPAL_BYTES_MAX, "principal");
    hf_code_optional_text(codec, &commit->key, HF_KEY_BYTES_MAX, "key");
    hf_code_bool(codec, &commit->has_fingerprint, "has fingerprint");
    if (commit->has_fingerprint) {
        hf_code_bytes(codec, commit->fingerprint, sizeof(commit->fingerprint), "fingerprint");
    }
    uint8_t how = commit->each ? UNITS : commit->has_ops_hash;
    hf_code_bytes(codec, &how, 1, "has ops hash");
    if (how > UNITS) {
        hf_codec_fail(codec, "has ops hash");
    }
    commit->each = how == UNITS;
    commit->has_ops_hash = how == 1;
    if (commit->has_ops_hash) {
        hf_code_bytes(codec, commit->ops_hash, sizeof(commit->ops_hash), "ops hash");
    }
    hf_code_u32(codec, &commit->operation_count, HF_COMMIT_OPERATIONS_MAX, "operations");
    hf_code_payload(codec, &commit->metadata, HF_METADATA_BYTES_MAX, "metadata");
    hf_code_u32(codec, &commit->event_count, UINT32_MAX, "events");
}

/* How many of the events stand before the strip? */
static uint32_t own_events(const struct hf_commit *commit)
{
    return commit->event_count - (commit->expanded ? commit->strip->count : 0);
}

bool hf_commit_encode(const struct hf_commit *commit, struct hf_buffer *to)
{
    struct hf_buffer payload;
    hf_buffer_init(&payload);
    size_t start = to->size_bytes;
    uint8_t *frame = hf_buffer_extend(to, FRAME_BYTES);
    if (frame == NULL) {
        return false;
    }
    struct hf_codec codec = {.out = to, .out_payload = &payload};
    struct hf_commit head = *commit;
    head.event_count = hf_commit_event_total(commit);
    code_head(&codec, &head);
    for (uint32_t i = 0; i < own_events(commit); i++) {
        code_event(&codec, commit->events[i]);
    }
    if (commit->strip != NULL) {
        hf_code_strip(&codec, &head);
    }
    size_t record_bytes = to->size_bytes - start - FRAME_BYTES;
    size_t payload_bytes = payload.size_bytes;
    hf_buffer_bytes(to, payload.data, payload_bytes);
    bool ok = hf_codec_ok(&codec) && record_bytes <= UINT32_MAX && payload_bytes <= UINT32_MAX;
    if (ok) {
        hf_put_u32(to->data + start, (uint32_t)record_bytes);
        hf_put_u32(to->data + start + 4, (uint32_t)payload_bytes);
    }
    hf_buffer_release(&payload);
    return ok;
}

/* Fields that are stored once and meant twice. */
static void complete_event(const struct hf_commit *commit, uint32_t index, struct hf_event *event)
{
    if (event->type == HF_EVENT_TRANSFER_POSTED || event->type == HF_EVENT_HOLD_CAPTURED) {
        struct hf_posting *posting = &event->posting;
        posting->transfer.from = posting->debit.account;
        posting->transfer.to = posting->credit.account;
        posting->transfer.position = commit->position;
        posting->transfer.posted_at_us = commit->time_us;
    } else if (event->type == HF_EVENT_MESSAGE_PUBLISHED) {
        event->published.position = commit->position;
        event->published.index = index;
    }
}

static enum hf_err decode_failed(const struct hf_codec *codec, struct hf_error *error)
{
    if (codec->short_memory) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "decode commit: out of memory");
    }
    return hf_error_set(error, HF_ERR_CORRUPT, "decode commit: bad %s",
                        codec->what == NULL ? "length" : codec->what);
}

/* The events, and the strip behind them. */
static void read_events(struct hf_codec *codec, struct hf_commit *commit)
{
    uint32_t total = commit->event_count;
    for (uint32_t i = 0; i < total && hf_codec_ok(codec); i++) {
        if (hf_codec_at_strip(codec)) {
            commit->event_count = i;
            commit->strip = hf_read_strip(codec, commit, total - i);
            return;
        }
        struct hf_event *event = hf_arena_alloc_zero(codec->arena, 1, sizeof(*event));
        if (event == NULL) {
            codec->short_memory = true;
            return;
        }
        code_event(codec, event);
        complete_event(commit, i, event);
        commit->events[i] = event;
    }
}

static enum hf_err decode(const void *record, size_t record_bytes, const void *payload,
                          size_t payload_bytes, bool glance, struct hf_arena *arena,
                          struct hf_commit *commit, struct hf_error *error)
{
    *commit = (struct hf_commit){0};
    struct hf_codec codec = {
        .in = hf_reader_over(record, record_bytes),
        .in_payload = hf_reader_over(payload, payload_bytes),
        .arena = arena,
        .glance = glance,
    };
    code_head(&codec, commit);
    /* An event has at least two bytes: a count beyond that is damage, not a reason to allocate. */
    if (!hf_codec_ok(&codec) || commit->event_count > hf_reader_left(&codec.in) / 2 + 1) {
        hf_codec_fail(&codec, "events");
        return decode_failed(&codec, error);
    }
    commit->events = hf_arena_alloc_zero(arena, commit->event_count, sizeof(struct hf_event *));
    if (commit->events == NULL) {
        codec.short_memory = true;
    } else {
        read_events(&codec, commit);
    }
    if (codec.short_memory || !hf_codec_ok(&codec) || hf_reader_left(&codec.in) != 0 ||
        hf_reader_left(&codec.in_payload) != 0) {
        commit->event_count = 0;
        commit->strip = NULL;
        return decode_failed(&codec, error);
    }
    return HF_ERR_OK;
}

enum hf_err hf_commit_decode_compact(const void *record, size_t record_bytes, const void *payload,
                                     size_t payload_bytes, struct hf_arena *arena,
                                     struct hf_commit *commit, struct hf_error *error)
{
    return decode(record, record_bytes, payload, payload_bytes, false, arena, commit, error);
}

enum hf_err hf_commit_glance(const void *record, size_t record_bytes, const void *payload,
                             size_t payload_bytes, struct hf_arena *arena, struct hf_commit *commit,
                             struct hf_error *error)
{
    return decode(record, record_bytes, payload, payload_bytes, true, arena, commit, error);
}

enum hf_err hf_commit_decode(const void *record, size_t record_bytes, const void *payload,
                             size_t payload_bytes, struct hf_arena *arena, struct hf_commit *commit,
                             struct hf_error *error)
{
    enum hf_err err = hf_commit_decode_compact(record, record_bytes, payload, payload_bytes, arena,
                                               commit, error);
    if (err == HF_ERR_OK && !hf_commit_expand(commit)) {
        err = hf_error_set(error, HF_ERR_NO_MEMORY, "decode commit: out of memory");
    }
    return err;
}

uint64_t hf_commit_time(const void *record, size_t record_bytes, const void *payload,
                        size_t payload_bytes)
{
    struct hf_commit commit = {0};
    struct hf_codec codec = {
        .in = hf_reader_over(record, record_bytes),
        .in_payload = hf_reader_over(payload, payload_bytes),
    };
    code_head(&codec, &commit);
    return hf_codec_ok(&codec) ? commit.time_us : 0;
}

unsigned hf_commit_only_event(const void *record, size_t record_bytes, const void *payload,
                              size_t payload_bytes)
{
    struct hf_commit commit = {0};
    struct hf_event event = {0};
    struct hf_codec codec = {
        .in = hf_reader_over(record, record_bytes),
        .in_payload = hf_reader_over(payload, payload_bytes),
    };
    code_head(&codec, &commit);
    if (!hf_codec_ok(&codec) || commit.event_count != 1) {
        return 0;
    }
    HF_CODE_ENUM(&codec, event.type, HF_EVENT_TYPE_COUNT - 1, "event type");
    return hf_codec_ok(&codec) ? event.type : 0;
}

const struct hf_commit *hf_commit_unit(const struct hf_commit *commit, const struct hf_event *event,
                                       struct hf_arena *arena)
{
    struct {
        struct hf_commit commit;
        struct hf_event event;
        struct hf_event *events[1];
    } *unit = hf_arena_alloc(arena, sizeof(*unit));
    if (unit == NULL) {
        return NULL;
    }
    unit->commit = *commit;
    unit->event = *event;
    unit->event.operation = 0;
    if (event->type == HF_EVENT_UNIT_REFUSED) {
        unit->event.type = HF_EVENT_REFUSED;
        unit->event.refused = event->unit_refused.refused;
    }
    unit->events[0] = &unit->event;
    unit->commit.each = false;
    unit->commit.operation_count = 1;
    unit->commit.event_count = 1;
    unit->commit.events = unit->events;
    unit->commit.strip = NULL;
    unit->commit.expanded = false;
    return &unit->commit;
}

const struct hf_refused *hf_commit_refusal(const struct hf_commit *commit)
{
    for (uint32_t i = 0; i < commit->event_count; i++) {
        if (commit->events[i]->type == HF_EVENT_REFUSED) {
            return &commit->events[i]->refused;
        }
    }
    return NULL;
}
