/* Raising and clearing alerts. */
#include "base/check.h"
#include "core/decide_priv.h"

static bool same_name(const struct hf_alert_event *event, const struct hf_alert_change *change)
{
    return event->kind == change->kind && hf_str_equal(event->subject, change->subject);
}

/* Is it raised once the changes so far are done? *position: of the commit that raised it, *since_us: as raised. */
static bool is_raised(const struct hf_deciding *d, const struct hf_alert_change *change,
                      uint64_t *position, uint64_t *since_us)
{
    const struct hf_commit *commit = &d->draft->commit;
    for (uint32_t i = commit->event_count; i > 0; i--) {
        const struct hf_event *event = commit->events[i - 1];
        if (same_name(&event->alert, change)) {
            *position = d->position;
            *since_us = event->alert.since_us;
            return event->type == HF_EVENT_ALERT_RAISED;
        }
    }
    const struct hf_alert *alert = hf_alerts_find(&d->state->alerts, change->kind, change->subject);
    if (alert != NULL) {
        *position = alert->raised_position;
        *since_us = alert->since_us;
    }
    return alert != NULL;
}

static enum hf_step raise(struct hf_deciding *d, const struct hf_alert_change *change)
{
    struct hf_event *event = hf_draft_event(d, HF_EVENT_ALERT_RAISED);
    if (event == NULL) {
        return STEP_STOP;
    }
    event->alert = (struct hf_alert_event){
        .kind = change->kind,
        .subject = change->subject,
        .text = change->text,
        .since_us = hf_min_u64(change->since_us, d->time_us),
    };
    return STEP_OK;
}

static enum hf_step clear(struct hf_deciding *d, const struct hf_alert_change *change,
                          uint64_t position, uint64_t since_us)
{
    struct hf_event *event = hf_draft_event(d, HF_EVENT_ALERT_CLEARED);
    if (event == NULL) {
        return STEP_STOP;
    }
    event->alert = (struct hf_alert_event){
        .kind = change->kind,
        .subject = change->subject,
        .text = change->text,
        .since_us = since_us,
        .raised_position = position,
    };
    return STEP_OK;
}

enum hf_step hf_decide_alerts(struct hf_deciding *d)
{
    const struct hf_command *command = d->command;
    uint32_t raised = d->state->alerts.raised_count;
    HF_CHECK(command->alert_count <= HF_ALERT_CHANGES_MAX);
    for (uint32_t i = 0; i < command->alert_count; i++) {
        const struct hf_alert_change *change = &command->alerts[i];
        HF_CHECK(hf_alert_texts_valid(change->subject, change->text));
        uint64_t position = 0;
        uint64_t since_us = 0;
        bool is = is_raised(d, change, &position, &since_us);
        enum hf_step step = STEP_OK;
        /* An alert that this very commit raised is not cleared by it: whoever reads wants to see it. */
        if (change->clear && is && position != d->position) {
            step = clear(d, change, position, since_us);
            raised--;
        } else if (!change->clear && !is && raised < HF_ALERTS_MAX) {
            step = raise(d, change);
            raised++;
        }
        if (step != STEP_OK) {
            return step;
        }
    }
    return STEP_OK;
}
