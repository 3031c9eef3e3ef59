#include "core/alert.h"

#include "base/alloc.h"
#include "base/check.h"

static const char *const wires[HF_ALERT_KIND_COUNT] = {"none",
#define HF_ALERT_WIRE(name, wire) wire,
                                                       HF_ALERT_KINDS(HF_ALERT_WIRE)
#undef HF_ALERT_WIRE
};

const char *hf_alert_wire(enum hf_alert_kind kind)
{
    return wires[kind];
}

enum hf_alert_kind hf_alert_kind_from_wire(struct hf_str wire)
{
    for (unsigned kind = 1; kind < HF_ALERT_KIND_COUNT; kind++) {
        if (hf_str_equal(wire, hf_str_from(wires[kind]))) {
            return (enum hf_alert_kind)kind;
        }
    }
    return HF_ALERT_NONE;
}

void hf_alerts_release(struct hf_alerts *alerts)
{
    for (uint32_t i = 0; i < alerts->raised_count; i++) {
        hf_free(alerts->raised[i]);
    }
    for (uint32_t i = 0; i < alerts->cleared_count; i++) {
        hf_free(alerts->cleared[i]);
    }
    *alerts = (struct hf_alerts){0};
}

static int compare(const struct hf_alert *alert, enum hf_alert_kind kind, struct hf_str subject)
{
    if (alert->kind != kind) {
        return alert->kind < kind ? -1 : 1;
    }
    return hf_str_compare(alert->subject, subject);
}

/* Where it is, or belongs. */
static uint32_t place_of(const struct hf_alerts *alerts, enum hf_alert_kind kind,
                         struct hf_str subject, bool *found)
{
    uint32_t low = 0;
    uint32_t high = alerts->raised_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (compare(alerts->raised[middle], kind, subject) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *found = low < alerts->raised_count && compare(alerts->raised[low], kind, subject) == 0;
    return low;
}

const struct hf_alert *hf_alerts_find(const struct hf_alerts *alerts, enum hf_alert_kind kind,
                                      struct hf_str subject)
{
    bool found;
    uint32_t at = place_of(alerts, kind, subject, &found);
    return found ? alerts->raised[at] : NULL;
}

void hf_alerts_verify(const struct hf_alerts *alerts)
{
    HF_CHECK(alerts->raised_count <= HF_ALERTS_MAX);
    HF_CHECK(alerts->cleared_count <= HF_ALERTS_CLEARED_MAX);
    for (uint32_t i = 0; i < alerts->raised_count; i++) {
        const struct hf_alert *alert = alerts->raised[i];
        HF_CHECK(alert->kind > HF_ALERT_NONE && alert->kind < HF_ALERT_KIND_COUNT);
        HF_CHECK(alert->cleared_position == 0 && alert->raised_position > 0);
        HF_CHECK(i == 0 || compare(alerts->raised[i - 1], alert->kind, alert->subject) < 0);
    }
    for (uint32_t i = 0; i < alerts->cleared_count; i++) {
        const struct hf_alert *alert = alerts->cleared[i];
        HF_CHECK(alert->cleared_position > alert->raised_position);
        HF_CHECK(i == 0 || alerts->cleared[i - 1]->cleared_position <= alert->cleared_position);
    }
}

bool hf_alert_texts_valid(struct hf_str subject, struct hf_str text)
{
    if (subject.len == 0 || subject.len > HF_ALERT_SUBJECT_BYTES_MAX ||
        text.len > HF_ALERT_TEXT_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < subject.len; i++) {
        unsigned char c = (unsigned char)subject.ptr[i];
        if (c <= 0x20 || c >= 0x7F || c == '"' || c == '\\') {
            return false;
        }
    }
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 0x20 || c == 0x7F) {
            return false;
        }
    }
    return true;
}

struct hf_alert *hf_alert_new(const struct hf_alert *from)
{
    char *memory = hf_malloc(sizeof(*from) + from->subject.len + from->text.len);
    if (memory == NULL) {
        return NULL;
    }
    struct hf_alert *alert = (void *)memory;
    char *texts = memory + sizeof(*from);
    *alert = *from;
    memcpy(texts, from->subject.ptr, from->subject.len);
    alert->subject.ptr = texts;
    if (from->text.len > 0) {
        memcpy(texts + from->subject.len, from->text.ptr, from->text.len);
    }
    alert->text.ptr = texts + from->subject.len;
    return alert;
}

bool hf_alerts_raise(struct hf_alerts *alerts, struct hf_alert *alert)
{
    bool found;
    uint32_t at = place_of(alerts, alert->kind, alert->subject, &found);
    if (found || alerts->raised_count == HF_ALERTS_MAX) {
        hf_free(alert);
        return false;
    }
    for (uint32_t i = alerts->raised_count; i > at; i--) {
        alerts->raised[i] = alerts->raised[i - 1];
    }
    alerts->raised[at] = alert;
    alerts->raised_count++;
    return true;
}

bool hf_alerts_add_cleared(struct hf_alerts *alerts, struct hf_alert *alert)
{
    if (alerts->cleared_count == HF_ALERTS_CLEARED_MAX) {
        hf_free(alert);
        return false;
    }
    alerts->cleared[alerts->cleared_count++] = alert;
    return true;
}

/* Those behind place `at` move up; so many are left then. */
static void take_out(struct hf_alert **list, uint32_t at, uint32_t left)
{
    for (uint32_t i = at; i < left; i++) {
        list[i] = list[i + 1];
    }
}

void hf_alerts_clear(struct hf_alerts *alerts, enum hf_alert_kind kind, struct hf_str subject,
                     uint64_t time_us, uint64_t position)
{
    bool found;
    uint32_t at = place_of(alerts, kind, subject, &found);
    HF_CHECK(found);
    struct hf_alert *alert = alerts->raised[at];
    alerts->raised_count--;
    take_out(alerts->raised, at, alerts->raised_count);
    alert->cleared_at_us = time_us;
    alert->cleared_position = position;
    if (alerts->cleared_count == HF_ALERTS_CLEARED_MAX) {
        hf_free(alerts->cleared[0]);
        alerts->cleared_count--;
        take_out(alerts->cleared, 0, alerts->cleared_count);
    }
    HF_CHECK(hf_alerts_add_cleared(alerts, alert));
}
