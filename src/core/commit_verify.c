/* Do stored texts have the SHA-256 that the record says, and stored names the 128 bits? */
#include "core/commit.h"
#include "core/strip.h"

struct check {
    const char *what; /* first thing that does not fit; NULL = all does */
};

static void check_payload(struct check *check, const struct hf_payload *payload, const char *what)
{
    if (check->what != NULL || !hf_str_present(payload->text)) {
        return;
    }
    struct hf_hash hash = hf_sha256(payload->text.ptr, payload->text.len);
    if (!hf_hash_equal(&hash, &payload->hash)) {
        check->what = what;
    }
}

/* An absent name (the `of` of a plain transfer) is fine. */
static void check_name(struct check *check, const struct hf_name *name, const char *what)
{
    if (check->what == NULL && hf_str_present(name->text) && !hf_name_id_matches(name)) {
        check->what = what;
    }
}

static void check_transfer(struct check *check, const struct hf_transfer *transfer)
{
    check_name(check, &transfer->name, "the id of a transfer");
    check_name(check, &transfer->from, "the account that a transfer debits");
    check_name(check, &transfer->to, "the account that a transfer credits");
    check_name(check, &transfer->of, "what a transfer captures or reverses");
    check_payload(check, &transfer->metadata, "the metadata of a transfer");
}

static void check_hold(struct check *check, const struct hf_hold *hold)
{
    check_name(check, &hold->name, "the id of a hold");
    check_name(check, &hold->from, "the account that a hold debits");
    check_name(check, &hold->to, "the account that a hold credits");
}

static void check_posting(struct check *check, const struct hf_posting *posting)
{
    check_transfer(check, &posting->transfer);
    check_hold(check, &posting->hold);
    check_name(check, &posting->debit.account, "the account of a debit");
    check_name(check, &posting->credit.account, "the account of a credit");
}

static void check_entity(struct check *check, const struct hf_entity *entity)
{
    switch (entity->kind) {
    case HF_KIND_ACCOUNT:
        check_name(check, &entity->account.name, "the account of a refusal");
        return;
    case HF_KIND_TRANSFER:
        check_transfer(check, &entity->transfer);
        return;
    case HF_KIND_HOLD:
        check_hold(check, &entity->hold);
        return;
    case HF_KIND_STREAM:
        check_name(check, &entity->stream.name, "the stream of a refusal");
        return;
    case HF_KIND_DOCUMENT:
        check_name(check, &entity->document.name, "the document of a refusal");
        return;
    case HF_KIND_LEASE:
        check_name(check, &entity->lease.name, "the lease of a refusal");
        return;
    case HF_KIND_MESSAGE:
        check_name(check, &entity->message.name, "the message id of a refusal");
        check_name(check, &entity->message.topic, "the topic of a refusal");
        return;
    case HF_KIND_SUBSCRIPTION:
        check_name(check, &entity->subscription.name, "the subscription of a refusal");
        return;
    case HF_KIND_SAGA:
        check_name(check, &entity->saga.name, "the saga of a refusal");
        return;
    case HF_KIND_SAGA_DEFINITION:
        check_name(check, &entity->saga_definition.name, "the saga definition of a refusal");
        return;
    case HF_KIND_NONE:
    case HF_KIND_EVENT:
    case HF_KIND_KEY:
    case HF_KIND_COUNT:
        return;
    }
}

static void check_refused(struct check *check, const struct hf_refused *refused)
{
    check_entity(check, &refused->current);
    for (uint32_t i = 0; i < refused->spent_count; i++) {
        check_name(check, &refused->spent[i].name, "an id that a refusal spent");
    }
}

static void check_key(struct check *check, struct hf_str key, const struct hf_id *key_hash)
{
    struct hf_hash hash = hf_sha256(key.ptr, key.len);
    if (check->what == NULL && memcmp(hash.bytes, key_hash->bytes, sizeof(key_hash->bytes)) != 0) {
        check->what = "the key of a message";
    }
}

/* MESSAGE_PUBLISHED and everything behind it. */
static void check_queue_event(struct check *check, const struct hf_event *event)
{
    static const char what[] = "the name of a subscription";
    switch ((unsigned)event->type) {
    case HF_EVENT_MESSAGE_PUBLISHED:
        check_name(check, &event->published.topic, "the name of a topic");
        check_name(check, &event->published.id, "the id of a message");
        check_key(check, event->published.key, &event->published.key_hash);
        check_payload(check, &event->published.data, "the data of a message");
        return;
    case HF_EVENT_MESSAGE_DUE:
        check_name(check, &event->due.topic, "the name of a topic");
        check_key(check, event->due.key, &event->due.key_hash);
        return;
    case HF_EVENT_SUBSCRIPTION_PUT:
        check_name(check, &event->subscription->settings.filter.topic, "the topic of a filter");
        check_name(check, &event->subscription->subscription, what);
        return;
    case HF_EVENT_SUBSCRIPTION_DELETED:
    case HF_EVENT_SUBSCRIPTION_SOUGHT:
        check_name(check, &event->subscription->subscription, what);
        return;
    case HF_EVENT_SUBSCRIPTION_SCANNED:
        check_name(check, &event->scanned.subscription, what);
        return;
    case HF_EVENT_MESSAGES_DELIVERED:
        check_name(check, &event->delivered.subscription, what);
        return;
    case HF_EVENT_MESSAGES_SETTLED:
        check_name(check, &event->settled.subscription, what);
        return;
    case HF_EVENT_DELIVERY_EXTENDED:
        check_name(check, &event->extended.subscription, what);
        return;
    default:
        check_name(check, &event->redriven.subscription, what);
        return;
    }
}

static void check_saga(struct check *check, const struct hf_saga_changed *saga)
{
    check_name(check, &saga->saga, "the id of a saga");
    check_name(check, &saga->definition, "the name of a saga's definition");
    check_payload(check, &saga->tags, "the tags of a saga");
    check_payload(check, &saga->input, "the input of a saga");
    for (uint32_t i = 0; i < saga->after_count; i++) {
        check_payload(check, &saga->after[i].request, "the request of a saga's step");
        check_payload(check, &saga->after[i].result, "the result of a saga's step");
    }
}

/* SAGA_DEFINED and everything behind it. */
static void check_saga_event(struct check *check, const struct hf_event *event)
{
    if (event->type == HF_EVENT_SAGA_DEFINED) {
        check_name(check, &event->saga_defined.definition, "the name of a saga's definition");
        check_payload(check, &event->saga_defined.text, "the definition of a saga");
    } else if (event->type != HF_EVENT_SAGA_VERBS) {
        check_saga(check, event->saga);
    } else {
        for (uint32_t i = 0; i < event->saga_verbs->refused_count; i++) {
            check_name(check, &event->saga_verbs->refused[i].saga, "the id of a refused saga");
        }
    }
}

static void check_event(struct check *check, const struct hf_event *event)
{
    switch (event->type) {
    case HF_EVENT_ACCOUNT_OPENED:
        check_name(check, &event->opened.name, "the id of an account");
        check_payload(check, &event->opened_metadata, "the metadata of an account");
        return;
    case HF_EVENT_ACCOUNT_CHANGED:
        check_name(check, &event->changed.side.account, "the id of an account");
        check_payload(check, &event->changed.metadata, "the metadata of an account");
        return;
    case HF_EVENT_TRANSFER_POSTED:
    case HF_EVENT_HOLD_OPENED:
    case HF_EVENT_HOLD_CAPTURED:
    case HF_EVENT_HOLD_VOIDED:
    case HF_EVENT_HOLD_EXPIRED:
    case HF_EVENT_HOLD_EXTENDED:
        check_posting(check, &event->posting);
        return;
    case HF_EVENT_STREAM_APPENDED:
        check_name(check, &event->appended.stream, "the id of a stream");
        check_name(check, &event->appended.id, "the id of an event");
        check_payload(check, &event->appended.data, "the data of an event");
        return;
    case HF_EVENT_DOCUMENT_PUT:
    case HF_EVENT_DOCUMENT_DELETED:
        check_name(check, &event->document.document, "the id of a document");
        check_payload(check, &event->document.data, "the text of a document");
        return;
    case HF_EVENT_LEASE_ACQUIRED:
    case HF_EVENT_LEASE_RENEWED:
    case HF_EVENT_LEASE_RELEASED:
    case HF_EVENT_LEASE_EXPIRED:
        check_name(check, &event->lease.name, "the name of a lease");
        return;
    case HF_EVENT_REFUSED:
        check_refused(check, &event->refused);
        return;
    case HF_EVENT_UNIT_REFUSED:
        check_refused(check, &event->unit_refused.refused);
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
        check_queue_event(check, event);
        return;
    case HF_EVENT_SAGA_DEFINED:
    case HF_EVENT_SAGA_STARTED:
    case HF_EVENT_SAGA_CHANGED:
    case HF_EVENT_SAGA_ENDED:
    case HF_EVENT_SAGA_VERBS:
        check_saga_event(check, event);
        return;
    case HF_EVENT_KEY_CANCELLED:
    case HF_EVENT_TAKEOVER:
    case HF_EVENT_CHECKPOINT:
    case HF_EVENT_TAIL_CUT:
    case HF_EVENT_FEATURE_LEVEL:
    case HF_EVENT_ALERT_RAISED:
    case HF_EVENT_ALERT_CLEARED:
    case HF_EVENT_TYPE_COUNT:
        return;
    }
}

/* The names of its accounts; a transfer's, and those that are not stored, are the hex text of their bits. */
static bool strip_as_hashed(const struct hf_strip *strip)
{
    struct check check = {0};
    for (uint32_t i = 0; i < strip->account_count; i++) {
        check_name(&check, &strip->accounts[i].name, "an account");
    }
    return check.what == NULL;
}

enum hf_err hf_commit_verify_texts(const struct hf_commit *commit, struct hf_error *error)
{
    struct check check = {0};
    check_payload(&check, &commit->metadata, "the metadata of the commit");
    for (uint32_t i = 0; i < commit->event_count && check.what == NULL; i++) {
        check_event(&check, commit->events[i]);
        if (check.what != NULL) {
            return hf_error_set(error, HF_ERR_CORRUPT, "commit %llu, event %u: %s is not as hashed",
                                (unsigned long long)commit->position, i, check.what);
        }
    }
    if (commit->strip != NULL && !commit->expanded && !strip_as_hashed(commit->strip)) {
        check.what = "an account of its transfers";
    }
    if (check.what != NULL) {
        return hf_error_set(error, HF_ERR_CORRUPT, "commit %llu: %s is not as hashed",
                            (unsigned long long)commit->position, check.what);
    }
    return HF_ERR_OK;
}
