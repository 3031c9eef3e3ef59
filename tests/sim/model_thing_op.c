/* Conditions; the operations on accounts themselves, streams, documents and leases. */
#include "sim/model_queue_priv.h"

static enum hf_err about(struct hf_model_turn *turn, struct hf_model_thing *thing, enum hf_err code)
{
    turn->culprit = thing;
    return code;
}

static bool holds(const struct hf_comparison *comparison, hf_i128 value, uint64_t *counts)
{
    bool all = true;
    for (int i = 0; i < HF_COMPARE_COUNT; i++) {
        if ((comparison->present & (1u << i)) == 0) {
            continue;
        }
        counts[i]++;
        hf_i128 operand = comparison->operand[i];
        all =
            all &&
            ((i == HF_COMPARE_EQ && value == operand) || (i == HF_COMPARE_GT && value > operand) ||
             (i == HF_COMPARE_GTE && value >= operand) || (i == HF_COMPARE_LT && value < operand) ||
             (i == HF_COMPARE_LTE && value <= operand));
    }
    return all;
}

static bool account_holds(struct hf_model_turn *turn, const struct hf_condition *condition,
                          const struct hf_account *account)
{
    struct hf_model_counts *counts = &turn->model->counts;
    hf_i128 posted =
        (hf_i128)account->totals.credits_posted - (hf_i128)account->totals.debits_posted;
    hf_i128 available = posted - (hf_i128)account->totals.debits_pending;
    return holds(&condition->available, available, counts->available) &&
           holds(&condition->posted, posted, counts->posted);
}

static bool stamps_hold(const struct hf_condition *condition, uint64_t version,
                        uint64_t modified_at_us)
{
    return (!condition->has_version || condition->version == version) &&
           (!condition->has_modified_at || condition->modified_at_us == modified_at_us);
}

/* Account, stream, document, transfer. */
static enum hf_err test_thing(struct hf_model_turn *turn, const struct hf_condition *condition,
                              struct hf_model_thing *thing)
{
    struct hf_model_counts *counts = &turn->model->counts;
    counts->version_tested += condition->has_version;
    counts->modified_tested += condition->has_modified_at;
    counts->exists_tested += condition->has_exists;
    bool exists = thing != NULL && !thing->spent &&
                  (thing->kind != HF_KIND_DOCUMENT || thing->document.exists);
    if (!exists) {
        bool only_absence = condition->has_exists && !condition->exists &&
                            !condition->has_version && !condition->has_modified_at &&
                            condition->available.present == 0 && condition->posted.present == 0;
        return only_absence ? HF_ERR_OK : HF_ERR_CONDITION_FAILED;
    }
    bool ok = !condition->has_exists || condition->exists;
    if (thing->kind == HF_KIND_ACCOUNT) {
        ok = ok && stamps_hold(condition, thing->account.version, thing->account.modified_at_us) &&
             account_holds(turn, condition, &thing->account);
    } else if (thing->kind == HF_KIND_STREAM) {
        ok = ok && stamps_hold(condition, thing->stream.version, thing->stream.modified_at_us);
    } else if (thing->kind == HF_KIND_DOCUMENT) {
        ok = ok && stamps_hold(condition, thing->document.version, thing->document.modified_at_us);
    }
    return ok ? HF_ERR_OK : about(turn, thing, HF_ERR_CONDITION_FAILED);
}

enum hf_err hf_model_condition(struct hf_model_turn *turn, const struct hf_condition *condition)
{
    static const enum hf_kind kinds[] = {
        [HF_CONDITION_ACCOUNT] = HF_KIND_ACCOUNT,   [HF_CONDITION_STREAM] = HF_KIND_STREAM,
        [HF_CONDITION_DOCUMENT] = HF_KIND_DOCUMENT, [HF_CONDITION_TRANSFER] = HF_KIND_TRANSFER,
        [HF_CONDITION_LEASE] = HF_KIND_LEASE,       [HF_CONDITION_HOLD] = HF_KIND_HOLD,
    };
    struct hf_model *model = turn->model;
    if (condition->kind == HF_CONDITION_SUBSCRIPTION) {
        return hf_naive_condition(turn, condition);
    }
    enum hf_kind kind = kinds[condition->kind];
    struct hf_model_thing *thing = hf_model_find(model, kind, &condition->subject);
    if ((thing == NULL || kind == HF_KIND_LEASE) &&
        hf_model_collides(model, kind, &condition->subject)) {
        return HF_ERR_ID_COLLISION;
    }
    if (kind == HF_KIND_LEASE) {
        bool held = thing != NULL && thing->lease.held;
        return held && thing->lease.token == condition->token ? HF_ERR_OK
                                                              : about(turn, thing, HF_ERR_FENCED);
    }
    if (kind == HF_KIND_HOLD) {
        bool exists = thing != NULL && !thing->spent;
        return exists && thing->hold.state == condition->state
                   ? HF_ERR_OK
                   : about(turn, thing, HF_ERR_CONDITION_FAILED);
    }
    return test_thing(turn, condition, thing);
}

static enum hf_err operate_open(struct hf_model_turn *turn, const struct hf_op *op)
{
    struct hf_model_thing *thing = hf_model_find(turn->model, HF_KIND_ACCOUNT, &op->subject);
    if (thing != NULL) {
        return about(turn, thing, HF_ERR_ACCOUNT_EXISTS);
    }
    if (hf_model_collides(turn->model, HF_KIND_ACCOUNT, &op->subject)) {
        return HF_ERR_ID_COLLISION;
    }
    thing =
        hf_model_make(turn->model, HF_KIND_ACCOUNT, &op->subject, turn->position, turn->time_us);
    bool has_metadata = hf_str_present(op->metadata.text);
    thing->text = hf_model_copy(&turn->model->arena, op->metadata.text);
    thing->account = (struct hf_account){.name = thing->name,
                                         .asset = op->asset,
                                         .state = HF_ACCOUNT_OPEN,
                                         .has_floor = !op->floor_none,
                                         .has_ceiling = !op->ceiling_none,
                                         .floor = op->floor_none ? 0 : op->floor,
                                         .ceiling = op->ceiling_none ? 0 : op->ceiling,
                                         .opened_position = turn->position,
                                         .opened_at_us = turn->time_us,
                                         .modified_at_us = turn->time_us,
                                         .metadata_position = has_metadata ? turn->position : 0};
    struct hf_event *event = hf_model_event(turn->model, HF_EVENT_ACCOUNT_OPENED, turn->op_index);
    event->opened = thing->account;
    event->opened_metadata.text = thing->text;
    return HF_ERR_OK;
}

static void account_changed(struct hf_model_turn *turn, struct hf_model_thing *thing,
                            enum hf_account_change change, struct hf_str metadata)
{
    struct hf_event *event = hf_model_event(turn->model, HF_EVENT_ACCOUNT_CHANGED, turn->op_index);
    event->changed = (struct hf_account_changed){.change = change,
                                                 .has_asset = true,
                                                 .asset = thing->account.asset,
                                                 .side = hf_model_entry(turn, thing),
                                                 .state = thing->account.state,
                                                 .has_floor = thing->account.has_floor,
                                                 .has_ceiling = thing->account.has_ceiling,
                                                 .floor = thing->account.floor,
                                                 .ceiling = thing->account.ceiling,
                                                 .metadata.text = metadata};
}

static void change_limits(struct hf_account *account, const struct hf_op *op)
{
    if (op->has_floor) {
        account->has_floor = !op->floor_none;
        account->floor = op->floor_none ? 0 : op->floor;
    }
    if (op->has_ceiling) {
        account->has_ceiling = !op->ceiling_none;
        account->ceiling = op->ceiling_none ? 0 : op->ceiling;
    }
}

static enum hf_err check_close(struct hf_model_turn *turn, struct hf_model_thing *thing)
{
    const struct hf_totals *totals = &thing->account.totals;
    if (thing->account.state == HF_ACCOUNT_FROZEN) {
        return about(turn, thing, HF_ERR_ACCOUNT_FROZEN);
    }
    bool empty = totals->debits_posted == totals->credits_posted && totals->debits_pending == 0 &&
                 totals->credits_pending == 0;
    return empty ? HF_ERR_OK : about(turn, thing, HF_ERR_ACCOUNT_NOT_EMPTY);
}

static enum hf_err operate_account(struct hf_model_turn *turn, const struct hf_op *op)
{
    struct hf_model_thing *thing;
    enum hf_err code =
        hf_model_need(turn, HF_KIND_ACCOUNT, &op->subject, HF_ERR_ACCOUNT_NOT_FOUND, &thing);
    if (code == HF_ERR_OK && thing->account.state == HF_ACCOUNT_CLOSED) {
        code = about(turn, thing, HF_ERR_ACCOUNT_CLOSED);
    }
    if (code == HF_ERR_OK && op->type == HF_OP_CLOSE_ACCOUNT) {
        code = check_close(turn, thing);
    }
    if (code != HF_ERR_OK) {
        return code;
    }
    enum hf_account_change change = HF_CHANGE_LIMITS;
    struct hf_str metadata = HF_STR_NONE;
    hf_model_touch(turn->model, thing);
    if (op->type == HF_OP_SET_LIMITS) {
        change_limits(&thing->account, op);
    } else if (op->type == HF_OP_SET_METADATA) {
        change = HF_CHANGE_METADATA;
        metadata = hf_model_copy(&turn->model->arena, op->metadata.text);
        thing->text = metadata;
        thing->account.metadata_position = turn->position;
    } else if (op->type == HF_OP_FREEZE) {
        change = HF_CHANGE_FROZEN;
        thing->account.state = HF_ACCOUNT_FROZEN;
    } else if (op->type == HF_OP_UNFREEZE) {
        change = HF_CHANGE_UNFROZEN;
        thing->account.state = HF_ACCOUNT_OPEN;
    } else {
        change = HF_CHANGE_CLOSED;
        thing->account.state = HF_ACCOUNT_CLOSED;
    }
    account_changed(turn, thing, change, metadata);
    return HF_ERR_OK;
}

static enum hf_err operate_append(struct hf_model_turn *turn, const struct hf_op *op)
{
    struct hf_model *model = turn->model;
    struct hf_model_thing *stream = hf_model_find(model, HF_KIND_STREAM, &op->subject);
    if (op->has_id && hf_model_find(model, HF_KIND_EVENT, &op->id) != NULL) {
        return about(turn, stream, HF_ERR_EVENT_EXISTS);
    }
    if ((op->has_id && hf_model_collides(model, HF_KIND_EVENT, &op->id)) ||
        (stream == NULL && hf_model_collides(model, HF_KIND_STREAM, &op->subject))) {
        return HF_ERR_ID_COLLISION;
    }
    uint64_t version = stream == NULL ? 0 : stream->stream.version;
    if (op->has_expected_version && op->expected_version != version) {
        return about(turn, stream, HF_ERR_CONDITION_FAILED);
    }
    if (stream == NULL) {
        stream = hf_model_make(model, HF_KIND_STREAM, &op->subject, turn->position, turn->time_us);
        stream->stream.name = stream->name;
    }
    hf_model_touch(model, stream);
    stream->stream.version++;
    stream->stream.last_position = turn->position;
    stream->stream.modified_at_us = turn->time_us;
    struct hf_event *event = hf_model_event(model, HF_EVENT_STREAM_APPENDED, turn->op_index);
    event->appended = (struct hf_appended){.stream = stream->name,
                                           .version = stream->stream.version,
                                           .type = op->type_text,
                                           .has_id = op->has_id,
                                           .data.text = op->data.text};
    if (op->has_id) {
        struct hf_model_thing *made =
            hf_model_make(model, HF_KIND_EVENT, &op->id, turn->position, turn->time_us);
        made->op_index = turn->op_index;
        event->appended.id = made->name;
    }
    return HF_ERR_OK;
}

static enum hf_err document_text(struct hf_model_turn *turn, const struct hf_op *op,
                                 const struct hf_model_thing *thing, struct hf_str *text)
{
    *text = HF_STR_NONE;
    if (op->type == HF_OP_PUT) {
        *text = hf_model_copy(&turn->model->arena, op->data.text);
    } else if (op->type == HF_OP_PATCH) {
        *text = hf_model_merge(&turn->model->arena, thing->text, op->data.text);
    }
    return text->len > HF_DATA_BYTES_MAX ? HF_ERR_TOO_LARGE : HF_ERR_OK;
}

static enum hf_err operate_document(struct hf_model_turn *turn, const struct hf_op *op)
{
    struct hf_model *model = turn->model;
    struct hf_model_thing *thing = hf_model_find(model, HF_KIND_DOCUMENT, &op->subject);
    if (thing == NULL && hf_model_collides(model, HF_KIND_DOCUMENT, &op->subject)) {
        return HF_ERR_ID_COLLISION;
    }
    bool exists = thing != NULL && thing->document.exists;
    if (op->has_expected_version &&
        op->expected_version != (exists ? thing->document.version : 0)) {
        return about(turn, thing, HF_ERR_CONDITION_FAILED);
    }
    if (!exists && op->type != HF_OP_PUT) {
        return about(turn, NULL, HF_ERR_DOCUMENT_NOT_FOUND);
    }
    struct hf_str text;
    enum hf_err code = document_text(turn, op, thing, &text);
    if (code != HF_ERR_OK) {
        return about(turn, thing, code);
    }
    if (thing == NULL) {
        thing = hf_model_make(model, HF_KIND_DOCUMENT, &op->subject, turn->position, turn->time_us);
        thing->document.name = thing->name;
    }
    hf_model_touch(model, thing);
    thing->text = text;
    thing->last_key = hf_model_copy(&model->arena, turn->command->key);
    thing->document.exists = op->type != HF_OP_DELETE;
    thing->document.version++;
    thing->document.modified_at_us = turn->time_us;
    thing->document.last_position = turn->position;
    thing->document.bytes = text.len;
    struct hf_event *event = hf_model_event(
        model, op->type == HF_OP_DELETE ? HF_EVENT_DOCUMENT_DELETED : HF_EVENT_DOCUMENT_PUT,
        turn->op_index);
    event->document = (struct hf_document_changed){.document = thing->name,
                                                   .version = thing->document.version,
                                                   .patched = op->type == HF_OP_PATCH,
                                                   .data.text = text};
    return HF_ERR_OK;
}

static void lease_event(struct hf_model_turn *turn, struct hf_model_thing *thing,
                        enum hf_event_type type)
{
    thing->lease.last_position = turn->position;
    thing->lease.modified_at_us = turn->time_us;
    struct hf_event *event = hf_model_event(turn->model, type, turn->op_index);
    event->lease = thing->lease;
}

static enum hf_err operate_acquire(struct hf_model_turn *turn, const struct hf_op *op)
{
    struct hf_model *model = turn->model;
    struct hf_model_thing *thing = hf_model_find(model, HF_KIND_LEASE, &op->subject);
    if (hf_model_collides(model, HF_KIND_LEASE, &op->subject)) {
        return HF_ERR_ID_COLLISION;
    }
    if (thing != NULL && thing->lease.held) {
        return about(turn, thing, HF_ERR_LEASE_HELD);
    }
    if (thing == NULL) {
        thing = hf_model_make(model, HF_KIND_LEASE, &op->subject, turn->position, turn->time_us);
        thing->lease.name = thing->name;
    }
    hf_model_touch(model, thing);
    thing->lease.owner = hf_model_copy(&model->arena, op->type_text);
    thing->lease.held = true;
    thing->lease.token = turn->position;
    thing->lease.ttl_us = op->timeout_ms * 1000;
    thing->lease.expires_at_us = turn->time_us + thing->lease.ttl_us;
    lease_event(turn, thing, HF_EVENT_LEASE_ACQUIRED);
    return HF_ERR_OK;
}

static enum hf_err operate_lease(struct hf_model_turn *turn, const struct hf_op *op)
{
    struct hf_model *model = turn->model;
    struct hf_model_thing *thing = hf_model_find(model, HF_KIND_LEASE, &op->subject);
    if (hf_model_collides(model, HF_KIND_LEASE, &op->subject)) {
        return HF_ERR_ID_COLLISION;
    }
    bool held = thing != NULL && thing->lease.held;
    if (!held || thing->lease.token != op->token) {
        return about(turn, thing, HF_ERR_FENCED);
    }
    hf_model_touch(model, thing);
    if (op->type == HF_OP_RELEASE) {
        thing->lease.held = false;
        lease_event(turn, thing, HF_EVENT_LEASE_RELEASED);
        return HF_ERR_OK;
    }
    if (op->has_timeout) {
        thing->lease.ttl_us = op->timeout_ms * 1000;
    }
    thing->lease.expires_at_us = turn->time_us + thing->lease.ttl_us;
    lease_event(turn, thing, HF_EVENT_LEASE_RENEWED);
    return HF_ERR_OK;
}

enum hf_err hf_model_operate_thing(struct hf_model_turn *turn, const struct hf_op *op)
{
    switch ((int)op->type) {
    case HF_OP_OPEN_ACCOUNT:
        return operate_open(turn, op);
    case HF_OP_SET_LIMITS:
    case HF_OP_SET_METADATA:
    case HF_OP_FREEZE:
    case HF_OP_UNFREEZE:
    case HF_OP_CLOSE_ACCOUNT:
        return operate_account(turn, op);
    case HF_OP_APPEND:
        return operate_append(turn, op);
    case HF_OP_PUT:
    case HF_OP_PATCH:
    case HF_OP_DELETE:
        return operate_document(turn, op);
    case HF_OP_ACQUIRE:
        return operate_acquire(turn, op);
    case HF_OP_RENEW:
    case HF_OP_RELEASE:
        return operate_lease(turn, op);
    default:
        return HF_ERR_INVALID_REQUEST; /* never: a command has no other operation */
    }
}

enum hf_err hf_model_operate(struct hf_model_turn *turn, const struct hf_op *op)
{
    turn->culprit = NULL;
    if (op->type >= HF_OP_PUBLISH) {
        return hf_naive_operate(turn, op);
    }
    return hf_model_operate_money(turn, op);
}
