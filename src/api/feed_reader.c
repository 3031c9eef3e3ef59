#include "api/feed_reader.h"

#include <stdio.h>

#include "base/check.h"

#define STEP_BYTES   (1u << 20) /* of frames looked at before others have their turn */
#define STEP_COMMITS 2048u

static enum hf_feed_step refuse(struct hf_feed_reader *reader, enum hf_err code, const char *detail,
                                uint64_t first_position)
{
    reader->result = HF_FEED_REFUSED;
    reader->code = code;
    reader->first_position = first_position;
    (void)snprintf(reader->detail, sizeof(reader->detail), "%s", detail);
    return HF_FEED_GIVE;
}

static enum hf_feed_step refuse_environment(struct hf_feed_reader *reader,
                                            const struct hf_error *error)
{
    enum hf_err code = error->code == HF_ERR_NO_MEMORY ? HF_ERR_OVERLOADED : error->code;
    return refuse(reader, code, "The log could not be read: the server's own log says why.", 0);
}

/* ---- giving back ---- */

static void measure(struct hf_feed_reader *reader, struct hf_feed_source *source)
{
    struct hf_tail_head head = hf_tail_head(source->tail);
    struct hf_feed_progress *progress = &reader->progress;
    *progress = (struct hf_feed_progress){
        .next.place = reader->next,
        .mark = reader->mark,
        .head = head.position,
        .lag_commits =
            head.position >= reader->next.position ? head.position - reader->next.position + 1 : 0,
    };
    progress->lag_ms_unknown = progress->lag_commits > 0 && reader->seen_us == 0;
    if (progress->lag_commits > 0 && reader->seen_us != 0 && head.time_us > reader->seen_us) {
        progress->lag_ms = (head.time_us - reader->seen_us) / 1000;
    }
}

static void begin(struct hf_feed_reader *reader)
{
    if (!reader->began) {
        reader->began = true;
        hf_feed_write_begin(reader->out, reader->form);
    }
}

static enum hf_feed_step give(struct hf_feed_reader *reader, struct hf_feed_source *source,
                              enum hf_feed_result result, uint64_t now_us)
{
    begin(reader);
    measure(reader, source);
    reader->result = result;
    if (result == HF_FEED_DONE) {
        hf_feed_write_end(reader->out, reader->form, &reader->progress);
    } else {
        bool heartbeat = reader->piece_events == 0;
        hf_feed_write_cursor(reader->out, reader->form, &reader->progress, heartbeat);
    }
    reader->piece_events = 0;
    reader->heartbeat_us = now_us + HF_FEED_HEARTBEAT_US;
    return HF_FEED_GIVE;
}

/* ---- the beginning ---- */

static enum hf_feed_step gone(struct hf_feed_reader *reader, struct hf_feed_source *source)
{
    struct hf_error error = {0};
    uint64_t first;
    if (hf_tail_first(source->tail, &first, &error) != HF_ERR_OK) {
        return refuse_environment(reader, &error);
    }
    char detail[160];
    (void)snprintf(detail, sizeof(detail),
                   "The log was trimmed: its first available position is %llu.",
                   (unsigned long long)first);
    return refuse(reader, HF_ERR_CURSOR_GONE, detail, first);
}

static enum hf_feed_step take_cursor(struct hf_feed_reader *reader, uint64_t head)
{
    struct hf_feed_cursor cursor;
    switch (hf_feed_cursor_decode(reader->cursor, reader->mark, &cursor)) {
    case HF_FEED_CURSOR_MALFORMED:
        return refuse(reader, HF_ERR_INVALID_REQUEST, "The cursor is none that the feed gave.", 0);
    case HF_FEED_CURSOR_FOREIGN:
        return refuse(reader, HF_ERR_CURSOR_GONE, "The cursor is of another log.", 0);
    case HF_FEED_CURSOR_OK:
        break;
    }
    if (cursor.is_snapshot) {
        return refuse(reader, HF_ERR_INVALID_REQUEST,
                      "The cursor is of a snapshot: give it with snapshot=, until it ends.", 0);
    }
    if (cursor.place.position > head + 1) {
        return refuse(reader, HF_ERR_CURSOR_GONE,
                      "The cursor is ahead of the log: it was restored from an older state.", 0);
    }
    reader->next = cursor.place;
    return HF_FEED_AGAIN;
}

static enum hf_feed_step take_time(struct hf_feed_reader *reader, struct hf_feed_source *source)
{
    struct hf_error error = {0};
    uint64_t position;
    uint64_t first;
    if (!source->disk) {
        return HF_FEED_ELSEWHERE;
    }
    if (hf_tail_at_time(source->tail, reader->number, &position, &error) != HF_ERR_OK ||
        hf_tail_first(source->tail, &first, &error) != HF_ERR_OK) {
        return refuse_environment(reader, &error);
    }
    if (first > 1 && position <= first) { /* some of that time may have been trimmed */
        return gone(reader, source);
    }
    reader->next.position = position;
    return HF_FEED_AGAIN;
}

static enum hf_feed_step take_beginning(struct hf_feed_reader *reader,
                                        struct hf_feed_source *source)
{
    struct hf_error error = {0};
    if (!source->disk) {
        return HF_FEED_ELSEWHERE;
    }
    if (hf_tail_first(source->tail, &reader->next.position, &error) != HF_ERR_OK) {
        return refuse_environment(reader, &error);
    }
    return HF_FEED_AGAIN;
}

static enum hf_feed_step open_at(struct hf_feed_reader *reader, struct hf_feed_source *source,
                                 uint64_t head)
{
    switch (reader->from) {
    case HF_FEED_FROM_BEGINNING:
        return take_beginning(reader, source);
    case HF_FEED_FROM_NOW:
        reader->next.position = head + 1;
        return HF_FEED_AGAIN;
    case HF_FEED_FROM_POSITION:
        if (reader->number > head + 1) {
            return refuse(reader, HF_ERR_INVALID_REQUEST, "position is beyond the log's head.", 0);
        }
        reader->next.position = reader->number;
        return HF_FEED_AGAIN;
    case HF_FEED_FROM_TIME:
        return take_time(reader, source);
    case HF_FEED_FROM_CURSOR:
        return take_cursor(reader, head);
    }
    return HF_FEED_AGAIN;
}

/* AGAIN: opened. */
static enum hf_feed_step open_reader(struct hf_feed_reader *reader, struct hf_feed_source *source,
                                     uint64_t now_us)
{
    struct hf_error error = {0};
    struct hf_tail_head head = hf_tail_head(source->tail);
    enum hf_err err = hf_tail_mark(source->tail, &reader->mark, &error);
    if (err == HF_ERR_NOT_FOUND && head.open) { /* a new log, whose first batch is on its way */
        reader->next.position = 1;
        reader->wake_us = now_us + HF_FEED_LOOK_US;
        return source->disk ? HF_FEED_ELSEWHERE : HF_FEED_WAIT;
    }
    if (err == HF_ERR_NOT_FOUND) {
        return refuse(reader, HF_ERR_NOT_READY, "The log is empty, and has no owner.", 0);
    }
    if (err != HF_ERR_OK) {
        return refuse_environment(reader, &error);
    }
    reader->next = (struct hf_feed_place){0};
    enum hf_feed_step step = open_at(reader, source, head.position);
    if (step == HF_FEED_AGAIN) {
        reader->opened = true;
        reader->heartbeat_us = now_us + HF_FEED_HEARTBEAT_US;
        reader->look_us = now_us + HF_FEED_LOOK_US;
        if (hf_feed_form_streams(reader->form)) {
            /* The peer sees at once that it is let in. */
            return give(reader, source, HF_FEED_MORE, now_us);
        }
    }
    return step;
}

/* ---- events ---- */

static bool may_read(const struct hf_caller *caller, const struct hf_feed_event *event)
{
    if (caller->names == NULL) {
        return true; /* the scope was tested at the beginning */
    }
    return event->subject != HF_SUBJECT_NONE &&
           hf_caller_may(caller, HF_SCOPE_READ, event->subject_name.text);
}

static bool is_full(const struct hf_feed_reader *reader)
{
    size_t most = hf_feed_form_streams(reader->form) ? HF_FEED_PIECE_BYTES : HF_FEED_PAGE_BYTES;
    if (reader->out->size_bytes >= HF_FEED_SHORT_BYTES && reader->is_short != NULL &&
        reader->is_short(reader->context)) {
        return true;
    }
    return reader->events >= reader->limit || reader->out->size_bytes >= most ||
           reader->out->failed;
}

/* Writes what is wanted of a commit, from next on. true: all of it was looked at. */
static bool take_commit(struct hf_feed_reader *reader, const struct hf_feed_commit *from)
{
    const struct hf_commit *commit = &from->commit;
    begin(reader);
    while (reader->next.index < commit->event_count) {
        if (is_full(reader)) {
            return false;
        }
        struct hf_feed_event event;
        hf_feed_event_of(commit, reader->next.index, &event);
        reader->next.index++;
        if (!hf_filter_matches(&reader->filter, &event) || !may_read(reader->caller, &event)) {
            continue;
        }
        /* The place behind a commit's last event is the next commit's first. */
        struct hf_feed_place next = reader->next;
        if (next.index == commit->event_count) {
            next = (struct hf_feed_place){.position = next.position + 1};
        }
        hf_feed_write_event(reader->out, reader->form, reader->events == 0, commit, &event,
                            &from->context, &next, reader->mark);
        reader->events++;
        reader->piece_events++;
    }
    reader->next = (struct hf_feed_place){.position = reader->next.position + 1};
    return true;
}

static enum hf_feed_step at_head(struct hf_feed_reader *reader, struct hf_feed_source *source,
                                 uint64_t now_us)
{
    bool open = hf_tail_head(source->tail).open;
    if (!hf_feed_form_streams(reader->form)) {
        if (reader->events > 0 || now_us >= reader->deadline_us || !open) {
            return give(reader, source, HF_FEED_DONE, now_us);
        }
        reader->wake_us = reader->deadline_us;
        return HF_FEED_WAIT;
    }
    if (!reader->follows || !open) {
        return give(reader, source, HF_FEED_DONE, now_us);
    }
    if (reader->piece_events > 0 || now_us >= reader->heartbeat_us) {
        return give(reader, source, HF_FEED_MORE, now_us);
    }
    reader->wake_us = reader->heartbeat_us;
    return HF_FEED_WAIT;
}

/* Enough was looked at in one step. */
static enum hf_feed_step at_pause(struct hf_feed_reader *reader, struct hf_feed_source *source,
                                  uint64_t now_us)
{
    if (hf_feed_form_streams(reader->form)) {
        bool speaks = reader->piece_events > 0 || now_us >= reader->heartbeat_us;
        return speaks ? give(reader, source, HF_FEED_MORE, now_us) : HF_FEED_AGAIN;
    }
    uint64_t until_us = hf_max_u64(reader->look_us, reader->deadline_us);
    return now_us >= until_us ? give(reader, source, HF_FEED_DONE, now_us) : HF_FEED_AGAIN;
}

static enum hf_feed_step at_full(struct hf_feed_reader *reader, struct hf_feed_source *source,
                                 uint64_t now_us)
{
    bool done = !hf_feed_form_streams(reader->form) || reader->events >= reader->limit;
    return give(reader, source, done ? HF_FEED_DONE : HF_FEED_MORE, now_us);
}

/* The log was trimmed, or it is damaged. */
static enum hf_feed_step at_break(struct hf_feed_reader *reader, struct hf_feed_source *source,
                                  enum hf_feed_got got, const struct hf_error *error,
                                  uint64_t now_us)
{
    if (reader->events > 0 || (reader->began && hf_feed_form_streams(reader->form))) {
        return give(reader, source, HF_FEED_DONE, now_us); /* who goes on with its cursor is told */
    }
    hf_buffer_clear(reader->out);
    return got == HF_FEED_GONE ? gone(reader, source) : refuse_environment(reader, error);
}

enum hf_feed_step hf_feed_reader_step(struct hf_feed_reader *reader, struct hf_feed_source *source,
                                      uint64_t now_us)
{
    if (!reader->opened) {
        enum hf_feed_step step = open_reader(reader, source, now_us);
        if (step != HF_FEED_AGAIN) {
            return step;
        }
    }
    if (atomic_load_explicit(&reader->recalled, memory_order_relaxed)) {
        return give(reader, source, HF_FEED_DONE, now_us);
    }
    size_t bytes = 0;
    for (size_t commits = 0; commits < STEP_COMMITS && bytes < STEP_BYTES; commits++) {
        const struct hf_feed_commit *commit;
        struct hf_error error = {0};
        if (is_full(reader)) {
            return at_full(reader, source, now_us);
        }
        enum hf_feed_got got = hf_feed_source_get(source, reader->next.position, &commit, &error);
        switch (got) {
        case HF_FEED_GOT:
            break;
        case HF_FEED_AT_HEAD:
            return at_head(reader, source, now_us);
        case HF_FEED_COLD:
        case HF_FEED_HOT:
            return HF_FEED_ELSEWHERE;
        case HF_FEED_GONE:
        case HF_FEED_BROKEN:
            return at_break(reader, source, got, &error, now_us);
        }
        reader->seen_us = commit->commit.time_us;
        if (!take_commit(reader, commit)) {
            return at_full(reader, source, now_us);
        }
        bytes += commit->bytes;
    }
    return at_pause(reader, source, now_us);
}
