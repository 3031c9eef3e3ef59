/*
 * Rows into commits: messages and the cursor behind them, at once or not at all.
 *
 * Owns: the rows that are waiting for their commit, the retries, what becomes of a row that can be no message. Must
 * never: drop a row; let two commits be under way at once; send a commit that does not name the cursor's version.
 * Called by: the sources.
 *
 *   add ──► rows wait ──flush──► commit(messages, cursor) ──201──► relay->cursor moved
 *              │                   │ 412 on the cursor: MOVED, the source reads it again and begins there
 *              │                   │ 409 message_exists at row i: the same message? left out : a bad row
 *              │                   │ 4xx at row i: what stands before it is committed first; row i is bad
 *              │                   └ no answer: repeated under the same key, for ever, until asked to stop
 *              └ rows that can be no message wait, too: at their turn REFUSED, or parked with the cursor behind
 */
#ifndef HF_RELAY_PUBLISH_H
#define HF_RELAY_PUBLISH_H

#include "relay/relay.h"

struct hf_publisher_row;

struct hf_publisher {
    struct hf_relay *relay;
    struct hf_arena arena;         /* the rows' texts */
    struct hf_publisher_row *rows; /* room for batch_rows_max */
    size_t count;                  /* waiting */
    size_t bytes;                  /* of their data */
    struct hf_cursor_at end;       /* where the cursor will stand behind them */
    struct hf_buffer body;         /* of a request */
    size_t operations;             /* in it */
};

/* false: memory is short. To be released in any case. */
bool hf_publisher_init(struct hf_publisher *publisher, struct hf_relay *relay) HF_WARN_UNUSED;
void hf_publisher_release(struct hf_publisher *publisher);
/* Forgets what waits. */
void hf_publisher_clear(struct hf_publisher *publisher);

/* Reads relay->cursor from Holdfast; kind NONE: there is none. */
enum hf_relay_end hf_publisher_load(struct hf_publisher *publisher);

/* Takes a row, copied; at = the cursor behind it; seen_us: when it was committed. It must not be full. GO_ON or FAILED. */
enum hf_relay_end hf_publisher_add(struct hf_publisher *publisher, const struct hf_outbox_row *row,
                                   const struct hf_cursor_at *at, uint64_t seen_us);
/* Must what waits be published before the next row? */
bool hf_publisher_full(const struct hf_publisher *publisher);
/* Publishes what waits. After DONE, REFUSED and FAILED the rest still waits. */
enum hf_relay_end hf_publisher_flush(struct hf_publisher *publisher);
/* Nothing waits: stores `next`, which then is relay->cursor. Not before: what the source tells its database is
 * relay->cursor. */
enum hf_relay_end hf_publisher_save(struct hf_publisher *publisher, const struct hf_cursor *next);

#endif
