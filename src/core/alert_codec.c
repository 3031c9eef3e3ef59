/* Alerts as bytes: their events, and as the state keeps them. */
#include "core/codec_priv.h"

static void code_texts(struct hf_codec *codec, struct hf_str *subject, struct hf_str *text)
{
    hf_code_text(codec, subject, HF_ALERT_SUBJECT_BYTES_MAX, "alert subject");
    hf_code_text(codec, text, HF_ALERT_TEXT_BYTES_MAX, "alert text");
    if (hf_codec_ok(codec) && !hf_alert_texts_valid(*subject, *text)) {
        hf_codec_fail(codec, "alert text");
    }
}

void hf_code_alert_event(struct hf_codec *codec, struct hf_event *event)
{
    struct hf_alert_event *alert = &event->alert;
    HF_CODE_ENUM(codec, alert->kind, HF_ALERT_KIND_COUNT - 1, "alert kind");
    code_texts(codec, &alert->subject, &alert->text);
    hf_code_u64(codec, &alert->since_us, UINT64_MAX, "alert since");
    if (event->type == HF_EVENT_ALERT_CLEARED) {
        hf_code_u64(codec, &alert->raised_position, UINT64_MAX, "alert raised position");
    }
}

void hf_code_alert(struct hf_codec *codec, struct hf_alert *alert)
{
    HF_CODE_ENUM(codec, alert->kind, HF_ALERT_KIND_COUNT - 1, "alert kind");
    code_texts(codec, &alert->subject, &alert->text);
    hf_code_u64(codec, &alert->since_us, UINT64_MAX, "alert since");
    hf_code_u64(codec, &alert->raised_at_us, UINT64_MAX, "alert raised at");
    hf_code_u64(codec, &alert->raised_position, UINT64_MAX, "alert raised position");
    hf_code_u64(codec, &alert->cleared_at_us, UINT64_MAX, "alert cleared at");
    hf_code_u64(codec, &alert->cleared_position, UINT64_MAX, "alert cleared position");
    bool cleared = alert->cleared_position != 0;
    if (alert->raised_position == 0 || cleared != (alert->cleared_at_us != 0) ||
        (cleared && alert->cleared_position <= alert->raised_position)) {
        hf_codec_fail(codec, "alert position");
    }
}
