#include "api/feed_format.h"

#include "base/u128.h"

static void add(struct hf_buffer *to, struct hf_str text)
{
    hf_buffer_bytes(to, text.ptr, text.len);
}

static void add_number(struct hf_buffer *to, struct hf_str name, uint64_t number)
{
    char digits[HF_U128_TEXT_BYTES];
    size_t count = hf_u128_format(number, digits);
    add(to, name);
    hf_buffer_bytes(to, digits, count);
}

void hf_feed_join_lines(struct hf_buffer *to, size_t from)
{
    static const char ends[] = {'\n', '\r'};
    for (size_t i = 0; i < sizeof(ends) && !to->failed; i++) {
        uint8_t *at = to->data + from;
        const uint8_t *end = to->data + to->size_bytes;
        while (at < end && (at = memchr(at, ends[i], (size_t)(end - at))) != NULL) {
            *at++ = ' ';
        }
    }
}

void hf_feed_write_begin(struct hf_buffer *to, enum hf_feed_form form)
{
    switch (form) {
    case HF_FEED_PAGE:
        add(to, HF_STR("{\"data\":["));
        return;
    case HF_FEED_BATCH:
        hf_buffer_u8(to, '[');
        return;
    case HF_FEED_SSE:
        add(to, HF_STR("retry: 1000\n\n"));
        return;
    case HF_FEED_LINES:
        return;
    }
}

void hf_feed_write_event(struct hf_buffer *to, enum hf_feed_form form, bool is_first,
                         const struct hf_commit *commit, const struct hf_feed_event *event,
                         const struct hf_cloud_context *context, const struct hf_feed_place *next,
                         uint64_t mark)
{
    struct hf_feed_cursor behind = {.place = *next};
    size_t from = hf_feed_write_item_begin(to, form, is_first, event->type, &behind, mark);
    hf_cloud_event_json(to, commit, event, context);
    hf_feed_write_item_end(to, form, from);
}

size_t hf_feed_write_item_begin(struct hf_buffer *to, enum hf_feed_form form, bool is_first,
                                struct hf_str type, const struct hf_feed_cursor *behind,
                                uint64_t mark)
{
    switch (form) {
    case HF_FEED_PAGE:
    case HF_FEED_BATCH:
        if (!is_first) {
            hf_buffer_u8(to, ',');
        }
        break;
    case HF_FEED_SSE:
        add(to, HF_STR("id: "));
        hf_feed_cursor_encode(to, behind, mark);
        add(to, HF_STR("\nevent: "));
        add(to, type);
        add(to, HF_STR("\ndata: "));
        break;
    case HF_FEED_LINES:
        add(to, HF_STR("{\"event\":"));
        break;
    }
    return to->size_bytes;
}

void hf_feed_write_item_end(struct hf_buffer *to, enum hf_feed_form form, size_t from)
{
    if (hf_feed_form_streams(form)) {
        hf_feed_join_lines(to, from);
        add(to, form == HF_FEED_SSE ? HF_STR("\n\n") : HF_STR("}\n"));
    }
}

static void put_progress(struct hf_buffer *to, struct hf_str name,
                         const struct hf_feed_progress *progress)
{
    add(to, name);
    hf_feed_cursor_encode(to, &progress->next, progress->mark);
    add_number(to, HF_STR("\",\"head\":"), progress->head);
    add_number(to, HF_STR(",\"lag_commits\":"), progress->lag_commits);
    if (progress->lag_ms_unknown) {
        add(to, HF_STR(",\"lag_ms\":null}"));
    } else {
        add_number(to, HF_STR(",\"lag_ms\":"), progress->lag_ms);
        hf_buffer_u8(to, '}');
    }
}

void hf_feed_write_cursor(struct hf_buffer *to, enum hf_feed_form form,
                          const struct hf_feed_progress *progress, bool heartbeat)
{
    if (form == HF_FEED_LINES) {
        put_progress(to, HF_STR("{\"cursor\":\""), progress);
        hf_buffer_u8(to, '\n');
    } else if (form == HF_FEED_SSE && heartbeat) {
        add(to, HF_STR(": heartbeat\nid: "));
        hf_feed_cursor_encode(to, &progress->next, progress->mark);
        add(to, HF_STR("\n\n"));
    }
}

void hf_feed_write_end(struct hf_buffer *to, enum hf_feed_form form,
                       const struct hf_feed_progress *progress)
{
    switch (form) {
    case HF_FEED_PAGE:
        put_progress(to, HF_STR("],\"next\":\""), progress);
        return;
    case HF_FEED_BATCH:
        hf_buffer_u8(to, ']');
        return;
    case HF_FEED_LINES:
    case HF_FEED_SSE:
        hf_feed_write_cursor(to, form, progress, true);
        return;
    }
}
