/*
 * Reading batches: from the nearest mark over the headers to the one asked for, then whole records.
 *
 * The owner's reads end at the last durable batch and hold the mutex for moments only. A reader
 * that is not the owner looks at the state again with each call, holds the mutex all the time, and
 * finds the end as a recovery would, without changing anything; it reads past the page cache, which
 * may show what a failed fsync never brought to the disk.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "log/log_pack.h"

#define HOP_AHEAD_BYTES (16u << 10)
#define READ_AHEAD_MAX  (1u << 20)
#define REFRESH_TRIES   4 /* a living owner may trim or switch between two reads of ours */
#define TAIL_TRIES      8 /* a living owner may be writing where we look */

/* A place in the log. */
struct cursor {
    struct hf_log_file *log;             /* whose */
    bool owner;                          /* as it was when the call began */
    uint64_t limit_seq;                  /* nothing behind it is there */
    struct hf_log_window window;         /* over the segment */
    struct hf_log_segment_header header; /* of the segment */
    uint64_t last_seq;                   /* of the segment; UINT64_MAX: it is the active one */
    uint64_t offset;                     /* of the batch in the segment */
    uint64_t seq;                        /* that it must have */
    uint64_t position;                   /* that it must begin with */
    uint64_t noted_offset;               /* of the last mark known here */
    struct hf_log_batch batch;           /* loaded; body NULL if only its header */
    const uint8_t *encoded;              /* whole batch in the window, or NULL */
    uint64_t stored_bytes;               /* from its beginning to the next one's */
};

static void lock_map(struct hf_log_file *log, bool owner)
{
    if (owner) { /* others hold it already */
        hf_log_lock(&log->mutex);
    }
}

static void unlock_map(struct hf_log_file *log, bool owner)
{
    if (owner) {
        hf_log_unlock(&log->mutex);
    }
}

enum hf_err hf_log_file_refresh(struct hf_log_file *log, struct hf_error *error)
{
    enum hf_err code = HF_ERR_OK;
    for (int i = 0; i < REFRESH_TRIES; i++) {
        struct hf_log_state state;
        unsigned slot;
        code = hf_log_state_load(log, &state, &slot, error);
        if (code == HF_ERR_CORRUPT) {
            continue; /* perhaps both slots were being written while we read */
        }
        if (code != HF_ERR_OK || state.generation == log->state.generation) {
            return code;
        }
        struct hf_log_map map = {0};
        code = hf_log_segments_load(log, &state, &map, error);
        if (code == HF_ERR_OK) {
            hf_log_map_release(&log->map);
            log->map = map;
            log->state = state;
            log->resume_segment = 0;
            return code;
        }
    }
    return code;
}

static enum hf_err wrap(const struct cursor *cursor, enum hf_err code, struct hf_error *error)
{
    if (code != HF_ERR_OK) {
        (void)hf_error_wrap(error, "segment %llu", (unsigned long long)cursor->header.number);
    }
    return code;
}

static enum hf_err damaged(const struct cursor *cursor, const char *why, struct hf_error *error)
{
    return hf_error_set(error, HF_ERR_CORRUPT, "segment %llu, offset %llu, batch %llu: %s",
                        (unsigned long long)cursor->header.number,
                        (unsigned long long)cursor->offset, (unsigned long long)cursor->seq, why);
}

/* Is what was sought last between the mark and what is looked for? Who seeks reads there next, and positions that are
 * fetched together ascend: each batch on the way is looked at once. */
static bool is_nearer(const struct cursor *cursor, const struct hf_log_segment *segment,
                      const struct hf_log_mark *mark, uint64_t seq, uint64_t position)
{
    const struct hf_log_file *log = cursor->log;
    return cursor->owner && log->sought_number == segment->header.number &&
           log->sought.seq > mark->seq &&
           (seq > 0 ? log->sought.seq <= seq : log->sought.position <= position);
}

static void note_sought(struct cursor *cursor)
{
    struct hf_log_file *log = cursor->log;
    if (!cursor->owner) {
        return; /* its body was not checked */
    }
    hf_log_lock(&log->mutex);
    log->sought = (struct hf_log_mark){cursor->seq, cursor->position, cursor->offset};
    log->sought_number = cursor->header.number;
    hf_log_unlock(&log->mutex);
}

/* A reader of many pieces in a row that is not the owner begins where it ended, not at the segment's first batch. */
static void resume(struct cursor *cursor, uint64_t seq)
{
    const struct hf_log_file *log = cursor->log;
    if (!cursor->owner && log->resume_segment == cursor->header.number &&
        log->resume.seq > cursor->seq && log->resume.seq <= seq) {
        cursor->offset = log->resume.offset;
        cursor->seq = log->resume.seq;
        cursor->position = log->resume.position;
    }
}

/* A compressed segment knows the first batch of each of its blocks. They were checked when it was made, so this is a place to
 * begin from for every reader; if it is not the nearest one that is known. */
static void leap(struct cursor *cursor, uint64_t seq, uint64_t position)
{
    struct hf_log_mark mark;
    if (hf_log_pack_mark(cursor->window.pack, seq, position, &mark) && mark.seq > cursor->seq) {
        cursor->offset = mark.offset;
        cursor->seq = mark.seq;
        cursor->position = mark.position;
    }
}

/* Opens the segment of seq, or of position if seq is 0, and stands on the nearest place that is known. */
static enum hf_err enter(struct cursor *cursor, uint64_t seq, uint64_t position,
                         struct hf_error *error)
{
    struct hf_log_file *log = cursor->log;
    lock_map(log, cursor->owner);
    struct hf_log_segment *segment =
        seq > 0 ? hf_log_map_by_seq(&log->map, seq) : hf_log_map_by_position(&log->map, position);
    if (segment == NULL) {
        unlock_map(log, cursor->owner);
        return hf_error_set(error, HF_ERR_NOT_FOUND, "trimmed from the log");
    }
    struct hf_log_mark mark = seq > 0 ? hf_log_segment_mark_by_seq(segment, seq)
                                      : hf_log_segment_mark_by_position(segment, position);
    uint64_t noted_offset = mark.offset;
    if (is_nearer(cursor, segment, &mark, seq, position)) {
        mark = log->sought;
    }
    const struct hf_log_segment *last = &log->map.segments[log->map.count - 1];
    cursor->header = segment->header;
    cursor->last_seq = segment == last ? UINT64_MAX : segment[1].header.first_seq - 1;
    cursor->offset = mark.offset;
    cursor->seq = mark.seq;
    cursor->position = mark.position;
    cursor->noted_offset = noted_offset;
    resume(cursor, seq);
    unlock_map(log, cursor->owner);
    enum hf_err code =
        hf_log_window_open_segment(&cursor->window, log, &cursor->header, cursor->owner, error);
    if (code == HF_ERR_OK && cursor->window.pack != NULL) {
        leap(cursor, seq, position);
    }
    return code;
}

/* Loads the record under the cursor, or its header alone. */
static enum hf_err look(struct cursor *cursor, bool whole, enum hf_log_record *outcome,
                        struct hf_error *error)
{
    uint64_t tag = hf_log_tag(cursor->header.log_id);
    *outcome = HF_LOG_RECORD_INVALID;
    cursor->encoded = NULL;
    if (cursor->offset >= cursor->header.size_bytes) {
        return HF_ERR_OK;
    }
    if (whole) {
        return hf_log_window_record(&cursor->window, cursor->offset, tag, outcome, &cursor->batch,
                                    &cursor->encoded, &cursor->stored_bytes, error);
    }
    const uint8_t *page;
    uint64_t body_checksum;
    enum hf_err code =
        hf_log_window_get(&cursor->window, cursor->offset, HF_LOG_PAGE_BYTES, &page, error);
    if (code == HF_ERR_OK && hf_log_header_decode(page, &cursor->batch, &body_checksum) &&
        cursor->batch.log_tag == tag) {
        *outcome = HF_LOG_RECORD_WHOLE;
        cursor->stored_bytes = hf_log_page_up(HF_LOG_HEADER_BYTES + cursor->batch.body_bytes);
    }
    return code;
}

/* A reader that is not the owner met no whole record: is this the end? *again: look once more. */
static enum hf_err judge_tail(struct cursor *cursor, bool *again, struct hf_error *error)
{
    struct hf_log_file *log = cursor->log;
    uint64_t generation = log->state.generation;
    enum hf_err code = hf_log_file_refresh(log, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    *again = log->state.generation != generation;
    if (*again) {
        const struct hf_log_segment *last = &log->map.segments[log->map.count - 1];
        if (last->header.number != cursor->header.number && cursor->last_seq == UINT64_MAX) {
            return enter(cursor, cursor->seq, 0, error);
        }
        return HF_ERR_OK;
    }
    struct hf_log_rest rest;
    hf_log_window_forget(&cursor->window);
    code = hf_log_window_rest(&cursor->window, cursor->offset, hf_log_tag(cursor->header.log_id),
                              &rest, error);
    if (code != HF_ERR_OK) {
        return wrap(cursor, code, error);
    }
    const struct hf_log_state *state = &log->state;
    if (state->sealed && (cursor->seq - 1 != state->seal_seq ||
                          cursor->offset != state->seal_offset || rest.used_bytes > 0)) {
        return damaged(cursor, "the log was closed cleanly, but does not end at its seal", error);
    }
    *again = rest.header_found;
    return HF_ERR_OK;
}

static bool fits(const struct cursor *cursor)
{
    return cursor->batch.seq == cursor->seq && cursor->batch.first_position == cursor->position;
}

/* Loads the batch under the cursor, in the next segment if need be. *end: there is none. */
static enum hf_err load(struct cursor *cursor, bool whole, bool *end, struct hf_error *error)
{
    *end = false;
    for (int tries = 0; tries < TAIL_TRIES; tries++) {
        if (cursor->seq > cursor->limit_seq) {
            *end = true;
            return HF_ERR_OK;
        }
        enum hf_err code = HF_ERR_OK;
        if (cursor->seq > cursor->last_seq) {
            uint64_t position = cursor->position;
            code = enter(cursor, cursor->seq, 0, error);
            if (code == HF_ERR_OK && cursor->position != position) {
                return damaged(cursor, "the segment does not continue the one before", error);
            }
        }
        enum hf_log_record outcome = HF_LOG_RECORD_INVALID;
        if (code == HF_ERR_OK) {
            code = wrap(cursor, look(cursor, whole, &outcome, error), error);
        }
        if (code != HF_ERR_OK) {
            return code;
        }
        if (outcome == HF_LOG_RECORD_DAMAGED) {
            return wrap(cursor, HF_ERR_CORRUPT, error);
        }
        if (outcome == HF_LOG_RECORD_WHOLE) {
            return fits(cursor) ? HF_ERR_OK : damaged(cursor, "another batch is there", error);
        }
        if (cursor->owner || cursor->last_seq != UINT64_MAX) {
            return damaged(cursor, "no valid record", error);
        }
        bool again;
        code = judge_tail(cursor, &again, error);
        if (code != HF_ERR_OK || !again) {
            *end = code == HF_ERR_OK;
            return code;
        }
        hf_log_window_forget(&cursor->window);
    }
    return damaged(cursor, "damaged record before a valid one", error);
}

/* Steps over the loaded batch; remembers the place behind it now and then. */
static void advance(struct cursor *cursor)
{
    cursor->offset += cursor->stored_bytes;
    cursor->seq++;
    cursor->position += cursor->batch.commit_count;
    struct hf_log_file *log = cursor->log;
    if (!cursor->owner && cursor->encoded != NULL && cursor->seq <= cursor->last_seq &&
        cursor->last_seq != UINT64_MAX) { /* whole, and in a segment that never changes */
        log->resume_segment = cursor->header.number;
        log->resume = (struct hf_log_mark){cursor->seq, cursor->position, cursor->offset};
    }
    if (cursor->offset < cursor->noted_offset + HF_LOG_MARK_BYTES ||
        cursor->seq > cursor->last_seq || cursor->seq > cursor->limit_seq) {
        return;
    }
    if (!cursor->owner) {
        return; /* a batch seen without its body checked must not become a place to begin from */
    }
    cursor->noted_offset = cursor->offset;
    hf_log_lock(&log->mutex);
    struct hf_log_segment *segment = hf_log_map_by_seq(&log->map, cursor->seq);
    if (segment != NULL && segment->header.number == cursor->header.number) {
        hf_log_segment_note(segment,
                            (struct hf_log_mark){cursor->seq, cursor->position, cursor->offset});
    }
    hf_log_unlock(&log->mutex);
}

/* Begins a call: *empty if there is no batch at all. end() must follow. */
static enum hf_err begin(struct cursor *cursor, struct hf_log_file *log, bool *empty,
                         uint64_t *first_seq, uint64_t *limit_position, struct hf_error *error)
{
    *cursor = (struct cursor){.log = log, .limit_seq = UINT64_MAX};
    *limit_position = UINT64_MAX;
    *first_seq = 1;
    hf_log_window_init(&cursor->window, log->outside, HOP_AHEAD_BYTES);
    hf_log_lock(&log->mutex);
    cursor->owner = log->owner;
    enum hf_err code = HF_ERR_OK;
    if (cursor->owner) {
        cursor->limit_seq = log->durable.seq;
        *limit_position = log->durable.position;
    } else {
        code = hf_log_file_refresh(log, error);
    }
    *empty = log->map.count == 0;
    if (!*empty) {
        *first_seq = log->map.segments[0].header.first_seq;
    }
    unlock_map(log, cursor->owner);
    return code;
}

static void end(struct cursor *cursor)
{
    hf_log_window_release(&cursor->window);
    if (!cursor->owner) {
        hf_log_unlock(&cursor->log->mutex);
    }
}

/* From the mark over the headers to batch `from`. */
static enum hf_err hop_to_seq(struct cursor *cursor, uint64_t from, bool *at_end,
                              struct hf_error *error)
{
    *at_end = false;
    enum hf_err code = enter(cursor, from, 0, error);
    while (code == HF_ERR_OK && !*at_end && cursor->seq < from) {
        code = load(cursor, false, at_end, error);
        if (code == HF_ERR_OK && !*at_end) {
            advance(cursor);
        }
    }
    return code;
}

/* Copies whole batches to out until bytes_max. */
static enum hf_err copy_batches(struct cursor *cursor, size_t bytes_max, struct hf_buffer *out,
                                uint32_t *batches, struct hf_error *error)
{
    size_t copied = 0;
    for (;;) {
        bool at_end;
        enum hf_err code = load(cursor, true, &at_end, error);
        if (code == HF_ERR_CORRUPT && *batches > 0) {
            return HF_ERR_OK; /* what is before the damage; the next read meets it */
        }
        if (code != HF_ERR_OK || at_end) {
            return code;
        }
        size_t size = HF_LOG_HEADER_BYTES + cursor->batch.body_bytes;
        if (*batches > 0 && (copied >= bytes_max || size > bytes_max - copied)) {
            return HF_ERR_OK;
        }
        hf_buffer_bytes(out, cursor->encoded, size);
        if (out->failed) {
            return hf_error_set(error, HF_ERR_NO_MEMORY, "no memory for a batch of %zu bytes",
                                size);
        }
        copied += size;
        (*batches)++;
        advance(cursor);
    }
}

enum hf_err hf_log_file_read(struct hf_log *base, uint64_t from, size_t bytes_max,
                             struct hf_buffer *out, uint32_t *batches, struct hf_error *error)
{
    HF_CHECK(from > 0);
    *batches = 0;
    struct cursor cursor;
    bool at_end;
    uint64_t first_seq;
    uint64_t limit_position;
    enum hf_err code =
        begin(&cursor, hf_log_file_of(base), &at_end, &first_seq, &limit_position, error);
    if (code == HF_ERR_OK && from < first_seq) {
        code = hf_error_set(error, HF_ERR_NOT_FOUND, "batch %llu was trimmed from the log",
                            (unsigned long long)from);
    }
    if (code == HF_ERR_OK && !at_end && from <= cursor.limit_seq) {
        code = hop_to_seq(&cursor, from, &at_end, error);
        size_t ahead = (size_t)hf_min_u64(bytes_max, READ_AHEAD_MAX - HF_LOG_PAGE_BYTES);
        cursor.window.ahead_bytes = (size_t)hf_log_page_up(ahead) + HF_LOG_PAGE_BYTES;
        if (code == HF_ERR_OK && !at_end) {
            code = copy_batches(&cursor, bytes_max, out, batches, error);
        }
    }
    end(&cursor);
    if (code != HF_ERR_OK) {
        (void)hf_error_wrap(error, "read log");
    }
    return code;
}

/* Over the headers to the batch of the position. */
static enum hf_err hop_to_position(struct cursor *cursor, uint64_t position, bool *at_end,
                                   struct hf_error *error)
{
    enum hf_err code = enter(cursor, 0, position, error);
    while (code == HF_ERR_OK) {
        code = load(cursor, false, at_end, error);
        if (code != HF_ERR_OK || *at_end ||
            position - cursor->position < cursor->batch.commit_count) {
            break;
        }
        advance(cursor);
    }
    if (code == HF_ERR_OK && !*at_end) {
        note_sought(cursor);
    }
    return code;
}

/* Begins a call for a position, and stands on its batch. end() must follow. */
static enum hf_err find_position(struct cursor *cursor, struct hf_log *base, uint64_t position,
                                 struct hf_error *error)
{
    HF_CHECK(position > 0);
    bool at_end;
    uint64_t first_seq;
    uint64_t limit_position;
    enum hf_err code =
        begin(cursor, hf_log_file_of(base), &at_end, &first_seq, &limit_position, error);
    at_end = at_end || position > limit_position;
    if (code == HF_ERR_OK && !at_end) {
        code = hop_to_position(cursor, position, &at_end, error);
    }
    if (code == HF_ERR_OK && at_end) {
        code = hf_error_set(error, HF_ERR_NOT_FOUND, "position %llu is beyond the log's head",
                            (unsigned long long)position);
    }
    return code;
}

enum hf_err hf_log_file_seek(struct hf_log *base, uint64_t position, uint64_t *seq,
                             struct hf_error *error)
{
    struct cursor cursor;
    enum hf_err code = find_position(&cursor, base, position, error);
    *seq = code == HF_ERR_OK ? cursor.seq : 0;
    end(&cursor);
    return code;
}

/* The frame number `number` of the batch under the cursor, of which only the header was looked at. */
static enum hf_err copy_frame(struct cursor *cursor, uint64_t number, struct hf_buffer *out,
                              struct hf_error *error)
{
    uint64_t at = cursor->offset + HF_LOG_HEADER_BYTES;
    uint64_t body_end = at + cursor->batch.body_bytes;
    if (body_end > cursor->header.size_bytes) {
        return damaged(cursor, "it is larger than its segment", error);
    }
    for (uint64_t i = 0;; i++) {
        const uint8_t *bytes;
        if (body_end - at < HF_COMMIT_FRAME_BYTES) {
            return damaged(cursor, "malformed commit frames", error);
        }
        enum hf_err code =
            hf_log_window_get(&cursor->window, at, HF_COMMIT_FRAME_BYTES, &bytes, error);
        if (code != HF_ERR_OK) {
            return wrap(cursor, code, error);
        }
        uint64_t size = HF_COMMIT_FRAME_BYTES + (uint64_t)hf_get_u32(bytes) + hf_get_u32(bytes + 4);
        if (hf_get_u32(bytes) == 0 || size > body_end - at) {
            return damaged(cursor, "malformed commit frames", error);
        }
        if (i < number) {
            at += size;
            continue;
        }
        code = hf_log_window_get(&cursor->window, at, size, &bytes, error);
        if (code == HF_ERR_OK) {
            hf_buffer_bytes(out, bytes, (size_t)size);
            return out->failed ? hf_error_set(error, HF_ERR_NO_MEMORY, "no memory for a commit")
                               : HF_ERR_OK;
        }
        return wrap(cursor, code, error);
    }
}

enum hf_err hf_log_file_peek(struct hf_log *base, uint64_t position, struct hf_buffer *out,
                             struct hf_error *error)
{
    struct cursor cursor;
    enum hf_err code = find_position(&cursor, base, position, error);
    if (code == HF_ERR_OK) {
        code = copy_frame(&cursor, position - cursor.position, out, error);
    }
    end(&cursor);
    return code;
}
