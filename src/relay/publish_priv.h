/*
 * The publisher's inside: the rows that wait, one commit, parking.
 *
 * Owns: nothing of its own. Called by: publish.c, publish_park.c, publish_send.c.
 */
#ifndef HF_RELAY_PUBLISH_PRIV_H
#define HF_RELAY_PUBLISH_PRIV_H

#include "relay/publish.h"

struct hf_publisher_row {
    struct hf_outbox_row row;         /* as it came, for parking; texts in the arena */
    struct hf_outbox_message message; /* texts in row or arena */
    struct hf_cursor_at at;           /* the cursor behind it */
    uint64_t seen_us;                 /* when it was committed */
    bool known;                       /* it is a message already: left out */
    bool alone;                       /* it must not stand behind another row in a commit */
    const char *bad;                  /* why it can be no message; NULL: it can */
};

/* Begins a request's body: the condition that there is no cursor yet, if so, and "do":[. */
void hf_publish_begin(struct hf_publisher *publisher);
/* Before each operation: counts it, and puts a comma unless it is the first. */
void hf_publish_comma(struct hf_publisher *publisher);
/* Puts the cursor behind the operations and ends the body. `next` is to become relay->cursor. */
void hf_publish_end(struct hf_publisher *publisher, const struct hf_cursor *next);

/* Sends the body until the answer is definite. GO_ON and *answer, DONE (asked to stop) or FAILED. dry: decided only. */
enum hf_relay_end hf_publish_send(struct hf_publisher *publisher, bool dry,
                                  struct holdfast_client_answer **answer);
/* The answer is 201: the cursor is what was sent. */
void hf_publish_moved_to(struct hf_publisher *publisher, const struct hf_cursor *next,
                         const struct holdfast_client_answer *answer);
/* What an answer means that is neither 201 nor about a row: MOVED (of the cursor's version) or REFUSED. */
enum hf_relay_end hf_publish_refused(struct hf_publisher *publisher,
                                     const struct holdfast_client_answer *answer);

/* A row that can be no message, and nothing waits before it: parked or the end. `at`: the cursor behind it. */
enum hf_relay_end hf_publish_bad(struct hf_publisher *publisher, const struct hf_outbox_row *row,
                                 const struct hf_cursor_at *at, const char *why);

#endif
