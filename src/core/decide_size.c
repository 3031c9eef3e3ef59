/* How large a commit can become on disk. */
#include "core/decide_priv.h"
#include "core/strip.h"

#define NUMBERS_BYTES  384u /* above all numbers, flags and short texts of any one event */
#define ARRIVAL_BYTES  48u
#define DELIVERY_BYTES 128u
#define SETTLED_BYTES  96u
#define STEP_BYTES     288u
#define AWAIT_BYTES    24u
#define SAGA_TEXTS_BYTES                                                                           \
    (2 * HF_SAGA_ERROR_BYTES_MAX + 512u) /* error, reason, actor, business key, step's name */
#define SETTINGS_BYTES 3072u             /* sixteen types, a prefix, a topic, numbers */

static uint64_t name_bound(const struct hf_name *name)
{
    return 18 + name->text.len;
}

static uint64_t posting_bound(const struct hf_posting *posting)
{
    return name_bound(&posting->transfer.name) + name_bound(&posting->transfer.of) +
           name_bound(&posting->debit.account) + name_bound(&posting->credit.account) +
           name_bound(&posting->hold.name) + name_bound(&posting->hold.from) +
           name_bound(&posting->hold.to) + posting->transfer.metadata.text.len;
}

/* As long as its texts are: a commit may have ten thousand of them. */
static uint64_t published_bound(const struct hf_published *published)
{
    return name_bound(&published->topic) + published->key.len + published->type.len +
           name_bound(&published->id) + published->data.text.len;
}

static uint64_t settled_bound(const struct hf_settled *settled)
{
    uint64_t bytes = name_bound(&settled->subscription);
    for (uint32_t i = 0; i < settled->count; i++) {
        bytes += SETTLED_BYTES + settled->items[i].error.len;
    }
    return bytes;
}

static uint64_t saga_bound(const struct hf_saga_changed *saga)
{
    uint64_t bytes = name_bound(&saga->saga) + name_bound(&saga->definition) + saga->tags.text.len +
                     saga->input.text.len + saga->poll_at.len + SAGA_TEXTS_BYTES +
                     (uint64_t)saga->await_count * AWAIT_BYTES;
    for (uint32_t i = 0; i < saga->after_count; i++) {
        bytes += STEP_BYTES + saga->after[i].request.text.len + saga->after[i].result.text.len;
    }
    return bytes;
}

static uint64_t event_bound(const struct hf_event *event)
{
    switch ((unsigned)event->type) {
    case HF_EVENT_STREAM_APPENDED:
        return event->appended.data.text.len + 3 * HF_NAME_BYTES_MAX;
    case HF_EVENT_DOCUMENT_PUT:
        return event->document.data.text.len + HF_NAME_BYTES_MAX;
    case HF_EVENT_ACCOUNT_OPENED:
        return event->opened_metadata.text.len + HF_NAME_BYTES_MAX;
    case HF_EVENT_ACCOUNT_CHANGED:
        return event->changed.metadata.text.len + HF_NAME_BYTES_MAX;
    case HF_EVENT_TRANSFER_POSTED:
    case HF_EVENT_HOLD_OPENED:
    case HF_EVENT_HOLD_CAPTURED:
    case HF_EVENT_HOLD_VOIDED:
    case HF_EVENT_HOLD_EXPIRED:
    case HF_EVENT_HOLD_EXTENDED:
        return posting_bound(&event->posting);
    case HF_EVENT_MESSAGE_PUBLISHED:
        return published_bound(&event->published);
    case HF_EVENT_MESSAGE_DUE:
        return 3 * HF_NAME_BYTES_MAX;
    case HF_EVENT_SUBSCRIPTION_PUT:
        return SETTINGS_BYTES;
    case HF_EVENT_SUBSCRIPTION_SCANNED:
        return HF_NAME_BYTES_MAX + (uint64_t)event->scanned.count * ARRIVAL_BYTES;
    case HF_EVENT_MESSAGES_DELIVERED:
        return 2 * HF_NAME_BYTES_MAX + (uint64_t)event->delivered.count * DELIVERY_BYTES;
    case HF_EVENT_MESSAGES_SETTLED:
        return settled_bound(&event->settled);
    case HF_EVENT_MESSAGES_REDRIVEN:
        return HF_NAME_BYTES_MAX + event->redriven.error_filter.len +
               (uint64_t)event->redriven.count * sizeof(struct hf_id);
    case HF_EVENT_SAGA_DEFINED:
        return HF_NAME_BYTES_MAX + event->saga_defined.text.text.len;
    case HF_EVENT_SAGA_STARTED:
    case HF_EVENT_SAGA_CHANGED:
    case HF_EVENT_SAGA_ENDED:
        return saga_bound(event->saga);
    case HF_EVENT_SAGA_VERBS:
        return (1 + (uint64_t)event->saga_verbs->refused_count) * (HF_NAME_BYTES_MAX + 32);
    case HF_EVENT_UNIT_REFUSED: {
        const struct hf_refused *refused = &event->unit_refused.refused;
        uint64_t bytes = 6 * HF_NAME_BYTES_MAX;
        for (uint32_t i = 0; i < refused->spent_count; i++) {
            bytes += name_bound(&refused->spent[i].name);
        }
        return bytes;
    }
    case HF_EVENT_ALERT_RAISED:
    case HF_EVENT_ALERT_CLEARED:
        return event->alert.subject.len + event->alert.text.len;
    default:
        return 2 * HF_NAME_BYTES_MAX;
    }
}

uint64_t hf_commit_size_bound(const struct hf_commit *commit)
{
    uint64_t bytes = HF_METADATA_BYTES_MAX + 1024;
    for (uint32_t i = 0; i < commit->event_count; i++) {
        bytes += NUMBERS_BYTES + event_bound(commit->events[i]);
    }
    return bytes + (commit->strip == NULL ? 0 : hf_strip_size_bound(commit->strip));
}
