/*
 * Lines as the operations of one commit have left them so far, and the ends of tries among them.
 *
 * Owns: copies of the subscriptions and lines that a decision touches, in the draft. Must never: change the state.
 * Called by: decide_subscription.c, decide_receive.c, decide_settle.c, decide_redrive.c.
 */
#ifndef HF_CORE_DECIDE_LINES_H
#define HF_CORE_DECIDE_LINES_H

#include "core/decide_priv.h"
#include "core/queue_op.h"
#include "core/queue_rules.h"

/* A line as it is at this point of the commit. */
struct hf_draft_line {
    struct hf_line line;         /* a copy; out_places are the stored line's */
    uint64_t uid;                /* of the subscription */
    bool gone;                   /* no message is left in it */
    uint64_t acked_from;         /* numbers acked by this commit, of `acked_token`… */
    uint64_t acked_to;           /* …up to before this one */
    uint64_t acked_token;        /* 0: none */
    struct hf_draft_line *chain; /* another one in the same slot of the table */
    struct hf_draft_line
        *behind; /* of this subscription, in the order in which they were touched */
};

struct hf_draft_subscription {
    struct hf_name name; /* things begin with their name */
    const struct hf_subscription *stored;
    uint64_t in_flight;
    size_t parked; /* lines */
    size_t lines;
    struct hf_draft_line *touched_first;
    struct hf_draft_line *touched_last;
};

/* *out NULL: there is none of that name. */
enum hf_step hf_draft_subscription(struct hf_deciding *d, const struct hf_name *name,
                                   struct hf_draft_subscription **out);
/* The copy, made from the stored one if need be. *out NULL: there is no such line (any more). */
enum hf_step hf_draft_line(struct hf_deciding *d, struct hf_draft_subscription *s,
                           const struct hf_id *key, struct hf_draft_line **out);
/* The copy if there is one already, also of a line that has gone; else NULL. */
struct hf_draft_line *hf_draft_line_touched(const struct hf_deciding *d,
                                            const struct hf_draft_subscription *s,
                                            const struct hf_id *key);

/* A new event about the subscription, with room for `count` items; NULL: memory. */
struct hf_event *hf_draft_settled(struct hf_deciding *d, const struct hf_draft_subscription *s,
                                  uint32_t count, struct hf_settled_item **items);

/* How a try of the first message of a line that is out ends; `why` may be absent. */
struct hf_failing {
    enum hf_settlement settlement; /* NACKED, TIMED_OUT; PARKED: asked for */
    bool has_delay;
    uint64_t delay_ms;
    struct hf_str error;
};
/* Fills the item (PARKED if tries are used up) and moves the copy on. */
void hf_end_try(struct hf_deciding *d, struct hf_draft_subscription *s, struct hf_draft_line *draft,
                const struct hf_failing *failing, struct hf_settled_item *item);
/* The first message of a line that is out is done. */
void hf_ack_first(struct hf_draft_subscription *s, struct hf_draft_line *draft,
                  struct hf_settled_item *item);

/* OK, or why the receipt counts for nothing: STALE_RECEIPT. *out is set if OK. Its deadline, if it has passed, is booked
 * first. Not STEP_OK: memory. */
enum hf_step hf_find_receipt(struct hf_deciding *d, struct hf_draft_subscription *s,
                             const struct hf_receipt *receipt, struct hf_draft_line **out,
                             enum hf_err *code);
/* Was a stale receipt acked with its very token? Its commit, 0 = no. Not STEP_OK: something is needed. */
enum hf_step hf_find_acked(struct hf_deciding *d, struct hf_draft_subscription *s,
                           const struct hf_receipt *receipt, uint64_t *position,
                           struct hf_place *message);

/* The item that parked the line; NULL: its commit is needed, or damage was met. */
const struct hf_settled_item *hf_parked_by(struct hf_view *view,
                                           const struct hf_subscription *stored,
                                           const struct hf_line *line);

/* The operations, one a file. */
enum hf_step hf_decide_receive(struct hf_deciding *d, const struct hf_op *op);
enum hf_step hf_decide_act(struct hf_deciding *d, const struct hf_op *op);
enum hf_step hf_decide_redrive(struct hf_deciding *d, const struct hf_op *op);
/* Records the next arrivals of the past; STEP_OK without an event: nothing to do. */
enum hf_step hf_scan(struct hf_deciding *d, const struct hf_subscription *stored, uint32_t most);
/* The next step of a redrive task that is due. */
enum hf_step hf_step_redrive(struct hf_deciding *d, struct hf_draft_subscription *s);

#endif
