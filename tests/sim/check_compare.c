/* Comparing values field by field, with the first difference in words. */
#include <stdarg.h>
#include <stdio.h>

#include "sim/check_priv.h"

bool hf_differ(const struct hf_compare_at *c, const char *field, const char *real,
               const char *model)
{
    (void)snprintf(c->text, HF_DIFFERENCE_BYTES, "%.80s: %s%s%s is %.120s, model says %.120s",
                   c->what, c->part, c->part[0] == '\0' ? "" : " ", field, real, model);
    return false;
}

bool hf_same_number(const struct hf_compare_at *c, const char *field, uint64_t real, uint64_t model)
{
    if (real == model) {
        return true;
    }
    char texts[2][24];
    (void)snprintf(texts[0], sizeof(texts[0]), "%llu", (unsigned long long)real);
    (void)snprintf(texts[1], sizeof(texts[1]), "%llu", (unsigned long long)model);
    return hf_differ(c, field, texts[0], texts[1]);
}

static bool same_amount(const struct hf_compare_at *c, const char *field, hf_u128 real,
                        hf_u128 model)
{
    if (real == model) {
        return true;
    }
    char texts[2][HF_U128_TEXT_BYTES];
    (void)hf_u128_format(real, texts[0]);
    (void)hf_u128_format(model, texts[1]);
    return hf_differ(c, field, texts[0], texts[1]);
}

static bool same_signed(const struct hf_compare_at *c, const char *field, hf_i128 real,
                        hf_i128 model)
{
    if (real == model) {
        return true;
    }
    char texts[2][HF_I128_TEXT_BYTES];
    (void)hf_i128_format(real, texts[0]);
    (void)hf_i128_format(model, texts[1]);
    return hf_differ(c, field, texts[0], texts[1]);
}

bool hf_same_text(const struct hf_compare_at *c, const char *field, struct hf_str real,
                  struct hf_str model)
{
    if (hf_str_present(real) == hf_str_present(model) && hf_str_equal(real, model)) {
        return true;
    }
    char texts[2][100];
    (void)snprintf(texts[0], sizeof(texts[0]), "\"%.*s\"%s", (int)hf_min_u64(real.len, 90),
                   hf_str_present(real) ? real.ptr : "", hf_str_present(real) ? "" : " (absent)");
    (void)snprintf(texts[1], sizeof(texts[1]), "\"%.*s\"%s", (int)hf_min_u64(model.len, 90),
                   hf_str_present(model) ? model.ptr : "",
                   hf_str_present(model) ? "" : " (absent)");
    return hf_differ(c, field, texts[0], texts[1]);
}

bool hf_same_name(const struct hf_compare_at *c, const char *field, const struct hf_name *real,
                  const struct hf_name *model)
{
    struct hf_str real_text = real->text.len == 0 ? HF_STR_NONE : real->text;
    struct hf_str model_text = model->text.len == 0 ? HF_STR_NONE : model->text;
    if (!hf_same_text(c, field, real_text, model_text)) {
        return false;
    }
    return memcmp(real->id.bytes, model->id.bytes, sizeof(real->id.bytes)) == 0 ||
           hf_differ(c, field, "other 128 bits", "its own");
}

bool hf_same_asset(const struct hf_compare_at *c, const struct hf_asset *real,
                   const struct hf_asset *model)
{
    return hf_same_text(c, "asset", hf_asset_str(real), hf_asset_str(model));
}

static bool same_limit(const struct hf_compare_at *c, const char *field, bool real_has,
                       hf_i128 real, bool model_has, hf_i128 model)
{
    if (real_has != model_has) {
        return hf_differ(c, field, real_has ? "given" : "none", model_has ? "given" : "none");
    }
    return !real_has || same_signed(c, field, real, model);
}

static bool same_totals(const struct hf_compare_at *c, const struct hf_totals *real,
                        const struct hf_totals *model)
{
    return same_amount(c, "debits posted", real->debits_posted, model->debits_posted) &&
           same_amount(c, "credits posted", real->credits_posted, model->credits_posted) &&
           same_amount(c, "debits pending", real->debits_pending, model->debits_pending) &&
           same_amount(c, "credits pending", real->credits_pending, model->credits_pending);
}

static bool same_side(const struct hf_compare_at *outer, const char *part,
                      const struct hf_side *real, const struct hf_side *model)
{
    struct hf_compare_at c = {outer->what, part, outer->text};
    return hf_same_name(&c, "account", &real->account, &model->account) &&
           same_totals(&c, &real->totals, &model->totals) &&
           hf_same_number(&c, "version", real->version, model->version) &&
           hf_same_number(&c, "previous position", real->previous_position,
                          model->previous_position);
}

static bool same_account(const struct hf_compare_at *c, const struct hf_account *real,
                         const struct hf_account *model)
{
    return hf_same_name(c, "name", &real->name, &model->name) &&
           hf_same_asset(c, &real->asset, &model->asset) &&
           hf_same_number(c, "state", real->state, model->state) &&
           same_limit(c, "floor", real->has_floor, real->floor, model->has_floor, model->floor) &&
           same_limit(c, "ceiling", real->has_ceiling, real->ceiling, model->has_ceiling,
                      model->ceiling) &&
           same_totals(c, &real->totals, &model->totals) &&
           hf_same_number(c, "version", real->version, model->version) &&
           hf_same_number(c, "opened position", real->opened_position, model->opened_position) &&
           hf_same_number(c, "opened at", real->opened_at_us, model->opened_at_us) &&
           hf_same_number(c, "modified at", real->modified_at_us, model->modified_at_us) &&
           hf_same_number(c, "last position", real->last_position, model->last_position) &&
           hf_same_number(c, "metadata position", real->metadata_position,
                          model->metadata_position);
}

static bool same_hold(const struct hf_compare_at *c, const struct hf_hold *real,
                      const struct hf_hold *model)
{
    return hf_same_name(c, "hold", &real->name, &model->name) &&
           hf_same_name(c, "from", &real->from, &model->from) &&
           hf_same_name(c, "to", &real->to, &model->to) &&
           hf_same_asset(c, &real->asset, &model->asset) &&
           hf_same_number(c, "hold state", real->state, model->state) &&
           same_amount(c, "hold amount", real->amount, model->amount) &&
           same_amount(c, "captured", real->captured, model->captured) &&
           same_amount(c, "remaining", real->remaining, model->remaining) &&
           hf_same_number(c, "expires at", real->expires_at_us, model->expires_at_us) &&
           hf_same_number(c, "opened position", real->opened_position, model->opened_position) &&
           hf_same_number(c, "opened at", real->opened_at_us, model->opened_at_us) &&
           hf_same_number(c, "hold version", real->version, model->version) &&
           hf_same_number(c, "last position", real->last_position, model->last_position) &&
           hf_same_number(c, "modified at", real->modified_at_us, model->modified_at_us);
}

static bool same_lease(const struct hf_compare_at *c, const struct hf_lease *real,
                       const struct hf_lease *model)
{
    return hf_same_name(c, "lease", &real->name, &model->name) &&
           hf_same_text(c, "owner", real->owner, model->owner) &&
           hf_same_number(c, "held", real->held, model->held) &&
           hf_same_number(c, "token", real->token, model->token) &&
           hf_same_number(c, "ttl", real->ttl_us, model->ttl_us) &&
           hf_same_number(c, "expires at", real->expires_at_us, model->expires_at_us);
}

static bool same_transfer(const struct hf_compare_at *c, const struct hf_transfer *real,
                          const struct hf_transfer *model)
{
    return hf_same_name(c, "transfer", &real->name, &model->name) &&
           hf_same_name(c, "from", &real->from, &model->from) &&
           hf_same_name(c, "to", &real->to, &model->to) &&
           hf_same_asset(c, &real->asset, &model->asset) &&
           hf_same_number(c, "transfer kind", real->kind, model->kind) &&
           hf_same_name(c, "of", &real->of, &model->of) &&
           same_amount(c, "amount", real->amount, model->amount) &&
           same_amount(c, "requested", real->requested, model->requested) &&
           hf_same_number(c, "up_to", real->up_to, model->up_to) &&
           hf_same_number(c, "has effective_at", real->has_effective_at, model->has_effective_at) &&
           hf_same_number(c, "effective_at", real->effective_at_us, model->effective_at_us) &&
           hf_same_number(c, "position", real->position, model->position) &&
           hf_same_number(c, "posted at", real->posted_at_us, model->posted_at_us) &&
           hf_same_text(c, "metadata", real->metadata.text, model->metadata.text);
}

static bool same_posting(const struct hf_compare_at *c, enum hf_event_type type,
                         const struct hf_posting *real, const struct hf_posting *model)
{
    bool has_transfer = type == HF_EVENT_TRANSFER_POSTED || type == HF_EVENT_HOLD_CAPTURED;
    bool reversal =
        type == HF_EVENT_TRANSFER_POSTED && model->transfer.kind == HF_TRANSFER_REVERSAL;
    if ((has_transfer && !same_transfer(c, &real->transfer, &model->transfer)) ||
        (reversal &&
         !same_amount(c, "sum reversed", real->reversed_after, model->reversed_after)) ||
        (type != HF_EVENT_TRANSFER_POSTED && !same_hold(c, &real->hold, &model->hold))) {
        return false;
    }
    return type == HF_EVENT_HOLD_EXTENDED ||
           (same_amount(c, "released", real->released, model->released) &&
            same_side(c, "debit side", &real->debit, &model->debit) &&
            same_side(c, "credit side", &real->credit, &model->credit));
}

static bool same_changed(const struct hf_compare_at *c, const struct hf_account_changed *real,
                         const struct hf_account_changed *model)
{
    return hf_same_number(c, "change", real->change, model->change) &&
           hf_same_number(c, "has its asset", real->has_asset, model->has_asset) &&
           hf_same_asset(c, &real->asset, &model->asset) &&
           hf_same_number(c, "state", real->state, model->state) &&
           same_limit(c, "floor", real->has_floor, real->floor, model->has_floor, model->floor) &&
           same_limit(c, "ceiling", real->has_ceiling, real->ceiling, model->has_ceiling,
                      model->ceiling) &&
           hf_same_text(c, "metadata", real->metadata.text, model->metadata.text) &&
           same_side(c, "entry", &real->side, &model->side);
}

static bool same_appended(const struct hf_compare_at *c, const struct hf_appended *real,
                          const struct hf_appended *model)
{
    return hf_same_name(c, "stream", &real->stream, &model->stream) &&
           hf_same_number(c, "version", real->version, model->version) &&
           hf_same_text(c, "type", real->type, model->type) &&
           hf_same_number(c, "has an id", real->has_id, model->has_id) &&
           hf_same_name(c, "event id", &real->id, &model->id) &&
           hf_same_text(c, "data", real->data.text, model->data.text);
}

static bool same_document_change(const struct hf_compare_at *c,
                                 const struct hf_document_changed *real,
                                 const struct hf_document_changed *model)
{
    if (!hf_same_name(c, "document", &real->document, &model->document) ||
        !hf_same_number(c, "version", real->version, model->version) ||
        !hf_same_number(c, "patched", real->patched, model->patched)) {
        return false;
    }
    if (!model->patched) {
        return hf_same_text(c, "text", real->data.text, model->data.text);
    }
    return (hf_str_present(real->data.text) &&
            hf_model_json_equal(real->data.text, model->data.text)) ||
           hf_same_text(c, "patched text", real->data.text, model->data.text);
}

bool hf_compare_event(const char *what, const struct hf_event *real, const struct hf_event *model,
                      char *difference)
{
    struct hf_compare_at c = {.what = what, .part = ""};
    c.text = difference;
    if (real->type != model->type) {
        return hf_differ(&c, "event", hf_event_wire(real->type), hf_event_wire(model->type));
    }
    if (!hf_same_number(&c, "operation", real->operation, model->operation)) {
        return false;
    }
    switch ((int)model->type) {
    case HF_EVENT_ACCOUNT_OPENED:
        return same_account(&c, &real->opened, &model->opened) &&
               hf_same_text(&c, "metadata", real->opened_metadata.text,
                            model->opened_metadata.text);
    case HF_EVENT_ACCOUNT_CHANGED:
        return same_changed(&c, &real->changed, &model->changed);
    case HF_EVENT_TRANSFER_POSTED:
    case HF_EVENT_HOLD_OPENED:
    case HF_EVENT_HOLD_CAPTURED:
    case HF_EVENT_HOLD_VOIDED:
    case HF_EVENT_HOLD_EXPIRED:
    case HF_EVENT_HOLD_EXTENDED:
        return same_posting(&c, model->type, &real->posting, &model->posting);
    case HF_EVENT_STREAM_APPENDED:
        return same_appended(&c, &real->appended, &model->appended);
    case HF_EVENT_DOCUMENT_PUT:
    case HF_EVENT_DOCUMENT_DELETED:
        return same_document_change(&c, &real->document, &model->document);
    case HF_EVENT_LEASE_ACQUIRED:
    case HF_EVENT_LEASE_RENEWED:
    case HF_EVENT_LEASE_RELEASED:
    case HF_EVENT_LEASE_EXPIRED:
        return same_lease(&c, &real->lease, &model->lease);
    default:
        /* KEY_CANCELLED says nothing but its name */
        return hf_compare_queue_event(&c, real, model);
    }
}

bool hf_compare_entity(const char *what, const struct hf_entity *real,
                       const struct hf_entity *model, char *difference)
{
    struct hf_compare_at c = {.what = what, .part = "current"};
    c.text = difference;
    if (real->kind != model->kind) {
        return hf_differ(&c, "kind", hf_kind_wire(real->kind), hf_kind_wire(model->kind));
    }
    switch ((int)model->kind) {
    case HF_KIND_ACCOUNT:
        return same_account(&c, &real->account, &model->account);
    case HF_KIND_TRANSFER:
        return same_transfer(&c, &real->transfer, &model->transfer);
    case HF_KIND_HOLD:
        return same_hold(&c, &real->hold, &model->hold);
    case HF_KIND_STREAM:
        return hf_same_name(&c, "name", &real->stream.name, &model->stream.name) &&
               hf_same_number(&c, "version", real->stream.version, model->stream.version) &&
               hf_same_number(&c, "modified at", real->stream.modified_at_us,
                              model->stream.modified_at_us) &&
               hf_same_number(&c, "last position", real->stream.last_position,
                              model->stream.last_position);
    case HF_KIND_DOCUMENT:
        return hf_same_name(&c, "name", &real->document.name, &model->document.name) &&
               hf_same_number(&c, "exists", real->document.exists, model->document.exists) &&
               hf_same_number(&c, "version", real->document.version, model->document.version) &&
               hf_same_number(&c, "modified at", real->document.modified_at_us,
                              model->document.modified_at_us) &&
               hf_same_number(&c, "last position", real->document.last_position,
                              model->document.last_position) &&
               hf_same_number(&c, "bytes", real->document.bytes, model->document.bytes);
    case HF_KIND_LEASE:
        return same_lease(&c, &real->lease, &model->lease);
    default:
        return true;
    }
}
