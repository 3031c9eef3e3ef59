/* Conditions: tested in order, at the same instant as the effect. */
#include "core/decide_priv.h"

static bool compares(hf_i128 value, const struct hf_comparison *comparison)
{
    const bool holds[HF_COMPARE_COUNT] = {
        [HF_COMPARE_EQ] = value == comparison->operand[HF_COMPARE_EQ],
        [HF_COMPARE_GT] = value > comparison->operand[HF_COMPARE_GT],
        [HF_COMPARE_GTE] = value >= comparison->operand[HF_COMPARE_GTE],
        [HF_COMPARE_LT] = value < comparison->operand[HF_COMPARE_LT],
        [HF_COMPARE_LTE] = value <= comparison->operand[HF_COMPARE_LTE],
    };
    for (unsigned i = 0; i < HF_COMPARE_COUNT; i++) {
        if ((comparison->present & (1u << i)) != 0 && !holds[i]) {
            return false;
        }
    }
    return true;
}

static bool version_among(const struct hf_condition *condition, uint64_t version)
{
    for (uint32_t i = 0; i < condition->version_count; i++) {
        if (condition->versions[i] == version) {
            return true;
        }
    }
    return false;
}

/* What accounts, streams and documents have in common. */
static bool common_tests(const struct hf_condition *condition, bool exists, uint64_t version,
                         uint64_t modified_at_us)
{
    if (condition->has_exists && condition->exists != exists) {
        return false;
    }
    if (condition->has_version && (!exists || condition->version != version)) {
        return false;
    }
    if (condition->has_versions && (!exists || !version_among(condition, version))) {
        return false;
    }
    return !condition->has_modified_at || (exists && condition->modified_at_us == modified_at_us);
}

static enum hf_step test_account(struct hf_deciding *d, const struct hf_condition *condition,
                                 bool *holds)
{
    struct hf_account *account;
    enum hf_step step = hf_draft_account(d, &condition->subject, &account);
    if (step != STEP_OK) {
        return step;
    }
    *holds = account == NULL
                 ? common_tests(condition, false, 0, 0) && condition->available.present == 0 &&
                       condition->posted.present == 0
                 : common_tests(condition, true, account->version, account->modified_at_us) &&
                       compares(hf_totals_available(&account->totals), &condition->available) &&
                       compares(hf_totals_posted(&account->totals), &condition->posted);
    return *holds ? STEP_OK
                  : hf_refuse(d, HF_ERR_CONDITION_FAILED, HF_KIND_ACCOUNT, &condition->subject);
}

static enum hf_step test_stream(struct hf_deciding *d, const struct hf_condition *condition,
                                bool *holds)
{
    struct hf_stream *stream;
    enum hf_step step = hf_draft_stream(d, &condition->subject, &stream);
    if (step != STEP_OK) {
        return step;
    }
    *holds = stream == NULL
                 ? common_tests(condition, false, 0, 0)
                 : common_tests(condition, true, stream->version, stream->modified_at_us);
    return *holds ? STEP_OK
                  : hf_refuse(d, HF_ERR_CONDITION_FAILED, HF_KIND_STREAM, &condition->subject);
}

static enum hf_step test_document(struct hf_deciding *d, const struct hf_condition *condition,
                                  bool *holds)
{
    struct hf_draft_document *document;
    enum hf_step step = hf_draft_document_get(d, &condition->subject, &document);
    if (step != STEP_OK) {
        return step;
    }
    *holds = document == NULL
                 ? common_tests(condition, false, 0, 0)
                 : common_tests(condition, document->document.exists, document->document.version,
                                document->document.modified_at_us);
    return *holds ? STEP_OK
                  : hf_refuse(d, HF_ERR_CONDITION_FAILED, HF_KIND_DOCUMENT, &condition->subject);
}

static enum hf_step test_transfer(struct hf_deciding *d, const struct hf_condition *condition,
                                  bool *holds)
{
    const struct hf_event *event;
    bool spent;
    enum hf_step step = hf_find_event(d, HF_INDEX_TRANSFER, &condition->subject.id,
                                      HF_TRANSFER_EVENTS, &event, &spent);
    if (step != STEP_OK) {
        return step;
    }
    if (event != NULL &&
        !hf_str_equal(event->posting.transfer.name.text, condition->subject.text)) {
        return hf_refuse(d, HF_ERR_ID_COLLISION, HF_KIND_NONE, NULL);
    }
    *holds = condition->exists == (event != NULL);
    return *holds ? STEP_OK
                  : hf_refuse(d, HF_ERR_CONDITION_FAILED, HF_KIND_TRANSFER, &condition->subject);
}

static enum hf_step test_lease(struct hf_deciding *d, const struct hf_condition *condition,
                               bool *holds)
{
    struct hf_lease *lease;
    enum hf_step step = hf_draft_lease(d, &condition->subject, &lease);
    if (step != STEP_OK) {
        return step;
    }
    *holds = lease != NULL && lease->held && lease->token == condition->token;
    return *holds ? STEP_OK : hf_refuse(d, HF_ERR_FENCED, HF_KIND_LEASE, &condition->subject);
}

static enum hf_step test_hold(struct hf_deciding *d, const struct hf_condition *condition,
                              bool *holds)
{
    struct hf_hold *hold;
    enum hf_step step = hf_draft_hold(d, &condition->subject, &hold);
    if (step != STEP_OK) {
        return step;
    }
    const struct hf_hold *found = hold;
    if (found == NULL) {
        const struct hf_event *event;
        bool spent;
        step =
            hf_find_event(d, HF_INDEX_HOLD, &condition->subject.id, HF_HOLD_EVENTS, &event, &spent);
        if (step != STEP_OK) {
            return step;
        }
        found = event == NULL ? NULL : &event->posting.hold;
        if (found != NULL && !hf_str_equal(found->name.text, condition->subject.text)) {
            return hf_refuse(d, HF_ERR_ID_COLLISION, HF_KIND_NONE, NULL);
        }
    }
    *holds = found != NULL && found->state == condition->state;
    return *holds ? STEP_OK
                  : hf_refuse(d, HF_ERR_CONDITION_FAILED, HF_KIND_HOLD, &condition->subject);
}

static enum hf_step test_condition(struct hf_deciding *d, const struct hf_condition *condition)
{
    bool holds = false;
    switch (condition->kind) {
    case HF_CONDITION_ACCOUNT:
        return test_account(d, condition, &holds);
    case HF_CONDITION_STREAM:
        return test_stream(d, condition, &holds);
    case HF_CONDITION_DOCUMENT:
        return test_document(d, condition, &holds);
    case HF_CONDITION_TRANSFER:
        return test_transfer(d, condition, &holds);
    case HF_CONDITION_LEASE:
        return test_lease(d, condition, &holds);
    case HF_CONDITION_HOLD:
        return test_hold(d, condition, &holds);
    case HF_CONDITION_SUBSCRIPTION:
        return hf_test_receipt(d, condition);
    case HF_CONDITION_SAGA:
        return hf_test_saga(d, condition);
    }
    return STEP_STOP;
}

enum hf_step hf_decide_conditions(struct hf_deciding *d)
{
    d->where = HF_WHERE_IF;
    for (uint32_t i = 0; i < d->command->condition_count; i++) {
        d->where_index = i;
        enum hf_step step = test_condition(d, &d->command->conditions[i]);
        if (step != STEP_OK) {
            return step;
        }
    }
    return STEP_OK;
}
