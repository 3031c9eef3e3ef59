/*
 * A reader of the feed: where it is, what it wants, and what it has to write.
 *
 * Owns: nothing; its memory and its output are an exchange's. Must never: show an event that is not durable, that the
 * filter does not want or whose subject the caller may not read; lose its place: what is written and the place
 * move together. Called by: the feed's lanes (one step at a time), its route.
 *
 *              ┌────────── lane ──────────┐
 *   route ──►  open ──► step … step ──► given back: MORE (a piece), DONE (the last one) or REFUSED ──► route
 *                        │  ▲                                                      │
 *                        └──┘ waits at the head; goes from RAM to disk and back    └─ MORE: again, when there is room
 *
 * 1. The lane or the route has it, never both. While the lane has it, only `recalled` may be touched.
 * 2. A page is given back when it is full, at the head (with events, or after wait_us), or after a second of
 *    looking at what nobody wants; a stream when a piece is full, at the head, and at each heartbeat.
 */
#ifndef HF_API_FEED_READER_H
#define HF_API_FEED_READER_H

#include <stdatomic.h>

#include "api/access.h"
#include "api/feed_format.h"
#include "api/feed_source.h"
#include "core/filter.h"

#define HF_FEED_PIECE_BYTES  (128u << 10) /* a stream's piece is given back from here on */
#define HF_FEED_PAGE_BYTES   (4u << 20)   /* a page is full from here on */
#define HF_FEED_SHORT_BYTES  (64u << 10)  /* …from here on while memory is short */
#define HF_FEED_HEARTBEAT_US (15u * 1000000u)
#define HF_FEED_LOOK_US      1000000u /* a page without events ends after so long */

enum hf_feed_from {
    HF_FEED_FROM_BEGINNING, /* the first event that can be read */
    HF_FEED_FROM_NOW,       /* behind the head */
    HF_FEED_FROM_POSITION,  /* number: the first event of this commit */
    HF_FEED_FROM_TIME,      /* number: the first event of this time in µs or later */
    HF_FEED_FROM_CURSOR,    /* cursor */
};

enum hf_feed_result {
    HF_FEED_MORE,    /* a piece of a stream */
    HF_FEED_DONE,    /* the page, or the last piece */
    HF_FEED_REFUSED, /* before anything was written: code, detail, first_position */
};

struct hf_feed_reader {
    /* what it wants: set by the route */
    enum hf_feed_form form;
    bool follows;            /* a stream goes on at the head */
    uint64_t limit;          /* events at most */
    uint64_t deadline_us;    /* a page waits at the head until then (monotonic); 0: not at all */
    struct hf_filter filter; /* which events */
    const struct hf_caller *caller;              /* who; texts live as long as the reader */
    enum hf_feed_from from;                      /* where it begins… */
    uint64_t number;                             /* …POSITION, TIME */
    struct hf_str cursor;                        /* …CURSOR, as text */
    struct hf_buffer *out;                       /* an exchange's answer */
    void (*done)(struct hf_feed_reader *reader); /* given back; on the lane's thread */
    bool (*is_short)(void *context); /* of memory: pages are short, too; any thread; may be NULL */
    void *context;                   /* the route's own */

    /* where it is */
    bool opened;
    struct hf_feed_place next;
    uint64_t mark;         /* of the log */
    uint64_t seen_us;      /* time of the last commit looked at; 0: none */
    uint64_t events;       /* written in all */
    bool began;            /* the frame's beginning is written */
    uint64_t piece_events; /* of them in this piece */
    uint64_t heartbeat_us; /* when the next one is due (monotonic) */
    uint64_t look_us;      /* when an empty page ends */

    /* given back with */
    enum hf_feed_result result;
    enum hf_err code;                 /* REFUSED */
    uint64_t first_position;          /* REFUSED, CURSOR_GONE: what can be read; 0: not told */
    char detail[160];                 /* REFUSED */
    struct hf_feed_progress progress; /* MORE, DONE */

    atomic_bool recalled; /* the route wants it back soon */

    /* the lane's own */
    struct hf_feed_reader *lane_next;
    uint64_t wake_us; /* waiting: until then at the latest */
};

enum hf_feed_step {
    HF_FEED_GIVE,      /* back to the route */
    HF_FEED_WAIT,      /* at the head, until wake_us */
    HF_FEED_AGAIN,     /* there is more to look at; let others go first */
    HF_FEED_ELSEWHERE, /* the source of the other kind has it */
};

/* One step, of bounded work. Lane's thread; blocks on the disk if the source does. */
enum hf_feed_step hf_feed_reader_step(struct hf_feed_reader *reader, struct hf_feed_source *source,
                                      uint64_t now_us);

#endif
