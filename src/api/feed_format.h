/*
 * How the feed is written: a JSON page, a CloudEvents batch, lines, or server-sent events.
 *
 * Owns: the framing around events. Must never: let an event's bytes break it: in lines and server-sent events a line
 * feed or carriage return that stands between a user's JSON tokens becomes a blank (inside of strings there is
 * none). Called by: the feed's reader; a fuzz target.
 *
 *   page    {"data":[EVENT,…],"next":"CURSOR","head":17,"lag_commits":0,"lag_ms":0}
 *   batch   [EVENT,…]                                             the cursor goes in a header
 *   lines   {"event":EVENT}\n … {"cursor":"CURSOR","head":17,"lag_commits":0,"lag_ms":0}\n
 *   SSE     id: CURSOR\nevent: TYPE\ndata: EVENT\n\n …            heartbeat: ": heartbeat\nid: CURSOR\n\n"
 */
#ifndef HF_API_FEED_FORMAT_H
#define HF_API_FEED_FORMAT_H

#include "api/cloudevents.h"
#include "api/feed_cursor.h"

enum hf_feed_form {
    HF_FEED_PAGE,
    HF_FEED_BATCH,
    HF_FEED_LINES,
    HF_FEED_SSE,
};

static inline bool hf_feed_form_streams(enum hf_feed_form form)
{
    return form == HF_FEED_LINES || form == HF_FEED_SSE;
}

/* Where a reader is. */
struct hf_feed_progress {
    struct hf_feed_cursor next; /* what it has not seen yet */
    uint64_t mark;              /* of the log */
    uint64_t head;              /* durable position */
    uint64_t lag_commits;       /* commits from next to head */
    uint64_t lag_ms; /* time of the head's commit less that of the last one seen; 0 at the head */
    bool lag_ms_unknown; /* no commit was seen yet: null */
};

/* All append to `to`; look at to->failed at the end. */
void hf_feed_write_begin(struct hf_buffer *to, enum hf_feed_form form);
/* is_first: of a page or batch. next: the place behind this event. */
void hf_feed_write_event(struct hf_buffer *to, enum hf_feed_form form, bool is_first,
                         const struct hf_commit *commit, const struct hf_feed_event *event,
                         const struct hf_cloud_context *context, const struct hf_feed_place *next,
                         uint64_t mark);
/* What is no event of the log, in the same frame: writes up to where its JSON begins, and what stands behind it.
 * Returns where the JSON begins. */
size_t hf_feed_write_item_begin(struct hf_buffer *to, enum hf_feed_form form, bool is_first,
                                struct hf_str type, const struct hf_feed_cursor *behind,
                                uint64_t mark);
void hf_feed_write_item_end(struct hf_buffer *to, enum hf_feed_form form, size_t from);

/* Behind the events of a piece: lines and SSE. */
void hf_feed_write_cursor(struct hf_buffer *to, enum hf_feed_form form,
                          const struct hf_feed_progress *progress, bool heartbeat);
void hf_feed_write_end(struct hf_buffer *to, enum hf_feed_form form,
                       const struct hf_feed_progress *progress);

/* Blanks for line ends in bytes [from, end) of `to`. */
void hf_feed_join_lines(struct hf_buffer *to, size_t from);

#endif
