/*
 * Subscriptions: lines of messages that have arrived and not ended (docs/adr/0009-subscriptions.md has the
 * rules and the picture; this is their state).
 *
 * Owns: the lines, their places in the lists by which they are found, the sums that are told. Must never: do I/O,
 * ask a clock, keep a node for a message that only waits behind another. Called by: state (evolve), decide,
 * reads, checkpoints.
 *
 * 1. A line has first ≤ last; messages first … next-1 are out, next … last wait. next == first unless OUT.
 * 2. A line is in exactly one of: the ready list, the backing-off heap, the out heap, the parked list; and in `ages`.
 * 3. Message `first` is at `place`. Of an OUT line first+1 … next-1 are at `out_places` and `next` is at `behind`; of a
 *    PARKED one first+1 is. So what ends needs no look-up. Any other message n > first is at index record
 *    (HF_INDEX_LINE, uids of subscription and line, n).
 * 4. Of an unordered subscription the main line (key hash zero) is only ever ready (never out); every other line has one
 *    message and is `own`.
 * 5. live: every arrival up to the state's position is in the lines. Else: up to `scanned`.
 * 6. waiting + in_flight + parked = arrived − ended.
 * 7. `marks` are of the parked list (line_marks.h).
 */
#ifndef HF_CORE_SUBSCRIPTION_H
#define HF_CORE_SUBSCRIPTION_H

#include "base/table.h"
#include "core/line_marks.h"
#include "core/names.h"
#include "core/queue_event.h"

enum hf_line_state {
    HF_LINE_READY = 1,
    HF_LINE_BACKING_OFF,
    HF_LINE_OUT,
    HF_LINE_PARKED,
};

struct hf_line {
    struct hf_id key;       /* hash of the key; of a message's own line: its place */
    uint64_t uid;           /* within the subscription, for index records; never used again */
    uint64_t first;         /* number of the first message that has not ended */
    uint64_t next;          /* first one that is not out */
    uint64_t last;          /* newest one */
    struct hf_place place;  /* of `first` */
    struct hf_place behind; /* OUT: of `next`; PARKED: of first+1; position 0: none waits */
    uint64_t delivered_to;  /* highest number ever out: those up to it have a history */
    uint64_t token;         /* OUT: position of the receive */
    uint64_t due_us;        /* OUT: deadline; BACKING_OFF: not before */
    uint64_t lease_ms;      /* OUT: for a fresh term */
    uint32_t tries;         /* failed ones of `first` */
    enum hf_line_state state;
    bool own;                    /* it holds one message that left its line */
    uint64_t order;              /* READY, PARKED: place in the list, ascending */
    uint64_t event_position;     /* commit that ended the last try of `first`; 0: none yet */
    uint64_t parked_at_us;       /* PARKED: its time */
    struct hf_line *list_before; /* READY, PARKED: neighbours in the list… */
    struct hf_line *list_behind;
    size_t heap_index;           /* OUT, BACKING_OFF: place in the heap */
    size_t age_index;            /* place in `ages` */
    struct hf_place *out_places; /* OUT with several: of out_from …, owned; else NULL */
    uint64_t out_from;           /* number of the first of them */
};

#define HF_LINE_MAIN_KEY ((struct hf_id){{0}}) /* of an unordered subscription's main line */

struct hf_line_list {
    struct hf_line *first; /* oldest */
    struct hf_line *last;
    size_t count;
};

/* Earliest first, by (due_us, uid) or by (place, uid). */
struct hf_line_heap {
    struct hf_line **items; /* owned array */
    size_t count;
    size_t capacity;
};

struct hf_redrive_task {
    bool active;
    uint32_t rate_per_s;
    struct hf_str error_filter; /* owned, or absent */
    uint64_t until_order;       /* lines parked later are not of it */
    uint64_t through_order;     /* looked at up to here */
    struct hf_line *at;         /* first parked line behind that, or NULL */
    uint64_t next_us;           /* when */
    uint64_t moved;             /* so far */
    uint64_t total;             /* parked lines at its start */
};

struct hf_subscription {
    struct hf_name name;
    uint64_t uid;                             /* position of the commit that created it */
    uint64_t version;                         /* of the settings and seeks, 1 at first */
    struct hf_subscription_settings settings; /* texts owned; push, too: a block of its own */
    uint64_t from; /* what was before it when it was made: arrivals up to here never counted */
    uint64_t
        sought_at; /* commit of the newest seek, 0: none; what ended before it may wait again… */
    uint64_t sought_to; /* …if it arrived behind this position */
    uint64_t created_at_us;
    uint64_t modified_at_us;
    bool live;
    uint64_t scanned;      /* if not live; with every commit else */
    struct hf_table lines; /* by key: struct hf_line, owned */
    struct hf_line_list ready;
    struct hf_line_list parked;
    struct hf_line_marks marks; /* of it: a page of dead letters begins at one */
    struct hf_line_heap backing_off;
    struct hf_line_heap out;
    struct hf_line_heap ages; /* all lines, by the place of `first`: which message is the oldest */
    uint64_t next_uid;        /* of a line */
    uint64_t next_order;      /* for list places */
    struct hf_redrive_task redrive;
    /* sums since it was made (seek clears waiting, in_flight, parked) */
    uint64_t arrived; /* messages */
    uint64_t ended;
    uint64_t acked;
    uint64_t discarded;
    uint64_t deliveries;
    uint64_t failed_tries; /* nacked or timed out */
    uint64_t parkings;
    uint64_t in_flight;       /* messages out now */
    uint64_t waiting;         /* in lines, neither out nor a parked first */
    uint64_t last_settled_us; /* time of the newest ack; 0 = none: for `stalled` */
    /* the state's: see core/queue.h */
    struct hf_subscription *lagging_before; /* list of those that want a scan… */
    struct hf_subscription *lagging_behind;
    bool lagging; /* …and whether it is in it */
    uint64_t
        due_us; /* what the state's due times have for it, not later than its timer; UINT64_MAX = nothing */
    size_t arriving; /* scratch: arrivals of the commit that is reserved for */
    uint64_t seed;   /* of its tables */
};

/* A message that is published and not due. */
struct hf_delayed {
    uint64_t due_us;
    struct hf_message_due message; /* texts owned, behind this struct */
};

/* One allocation; texts copied; empty, not live. name, settings and uid are set, but
 * for settings.push. NULL: memory is short. */
struct hf_subscription *hf_subscription_new(const struct hf_name *name,
                                            const struct hf_subscription_settings *settings,
                                            uint64_t uid, uint64_t seed) HF_WARN_UNUSED;
void hf_subscription_free(struct hf_subscription *subscription); /* lines, too; NULL is fine */
/* All lines go, and the redrive task. Their number and what they held is taken from the sums (ended grows). */
void hf_lines_drop(struct hf_subscription *subscription);

void hf_line_free(struct hf_line *line);
/* Forgets the redrive task, if there is one. */
void hf_subscription_end_redrive(struct hf_subscription *subscription);

struct hf_line *hf_subscription_line(const struct hf_subscription *subscription,
                                     const struct hf_id *key);
/* Room for `lines` more in the table and `ages`, `out` more that go out and `failing` more that back off or are parked. */
bool hf_lines_reserve(struct hf_subscription *subscription, size_t lines, size_t out,
                      size_t failing) HF_WARN_UNUSED;
/* A line that the caller filled in (all but order, indices and neighbours); READY and PARKED ones go to the end of
 * their list. Room is reserved. */
void hf_lines_add(struct hf_subscription *subscription, struct hf_line *line);
/* Out of everything; the caller frees it. */
void hf_lines_remove(struct hf_subscription *subscription, struct hf_line *line);
/* Out of the list or heap of its state, so that the caller may change state, due_us and order… */
void hf_line_leave(struct hf_subscription *subscription, struct hf_line *line);
/* …and into that of its (new) state, at the end of a list. */
void hf_line_enter(struct hf_subscription *subscription, struct hf_line *line);
/* After `place` was changed. */
void hf_line_aged(struct hf_subscription *subscription, struct hf_line *line);
/* After every out line's due_us was changed. */
void hf_lines_reheap_out(struct hf_subscription *subscription);

/* The place of a message that is out, first ≤ number < next. */
const struct hf_place *hf_line_out_place(const struct hf_line *line, uint64_t number);
/* Message `first` ends or leaves. OUT or PARKED: `place`, and of a PARKED one `behind`, follow. Sums, lists and ages are
 * the caller's. true: the line still has messages. */
bool hf_line_advance(struct hf_line *line);
/* What is out goes back: next = first; out_places are the caller's to free (evolve) or forget (a draft's copy). */
void hf_line_return(struct hf_line *line);

/* The earliest `most` of a heap with due_us ≤ now_us, in order, without touching it. scratch: room for most + 1
 * numbers. Returns how many. */
size_t hf_line_heap_earliest(const struct hf_line_heap *heap, uint64_t now_us, struct hf_line **out,
                             size_t most, size_t *scratch);

/* Is there something that a receive at now_us would deliver? */
bool hf_subscription_ready(const struct hf_subscription *subscription, uint64_t now_us);
/* When the next line stops backing off; UINT64_MAX: none. */
uint64_t hf_subscription_next_ready_us(const struct hf_subscription *subscription);

/* Every invariant by a walk; aborts if one is broken. */
void hf_subscription_verify(const struct hf_subscription *subscription);

#endif
