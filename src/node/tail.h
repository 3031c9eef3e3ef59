/*
 * The tail: the log as readers from outside see it, to be read by any thread beside the writer.
 *
 * Owns: references to the newest durable frames (a ring), the durable position, the doorbell of those who wait for more.
 * Must never: show what is not durable; let a reader hold up the node's thread: it takes a mutex for moments, reads the
 * disk on the caller's thread, and rings each listener at most once a batch. Called by: the node (publishes), the feed and
 * others who read the log (any thread).
 *
 *   log (disk) ─────────────────────────────────────► durable position
 *        hf_tail_read: cold, blocks      │ ring: hf_tail_take │
 *
 * 1. The ring holds the frames first … durable without a gap, or nothing.
 * 2. Positions from hf_tail_first on can be read; below it the log was trimmed.
 * 3. After it has closed (the node does not lead any more) nothing more becomes durable here; what is can be read.
 */
#ifndef HF_NODE_TAIL_H
#define HF_NODE_TAIL_H

#include "base/shared_bytes.h"
#include "core/commit.h"
#include "core/recent.h"
#include "log/log.h"

struct hf_tail;

struct hf_tail_head {
    uint64_t position; /* newest durable commit; 0 = none */
    uint64_t time_us;  /* its time */
    uint64_t seq;      /* its batch */
    uint64_t
        outward; /* no commit behind it, up to position, moves a saga or changes a subscription */
    bool open;   /* more may come */
};

/* Keeps at most bytes_max of frames. log outlives it. NULL: memory is short. */
struct hf_tail *hf_tail_new(struct hf_log *log, uint64_t bytes_max);
void hf_tail_free(struct hf_tail *tail); /* no listener is left */

/* ---- the node's thread ---- */

/* It leads: what was recovered is durable. */
void hf_tail_open(struct hf_tail *tail, const struct hf_tail_head *head);
/* Everything up to position is durable now, the newest frames are in `recent`; outward as in the head, 0: as before. */
void hf_tail_publish(struct hf_tail *tail, const struct hf_recent *recent, uint64_t position,
                     uint64_t seq, uint64_t outward);
void hf_tail_close(struct hf_tail *tail);

/* ---- any thread ---- */

struct hf_tail_head hf_tail_head(struct hf_tail *tail);
/* Of memory: the ring, and the frames in it, which others may have, too. */
void hf_tail_bytes(struct hf_tail *tail, uint64_t *ring_bytes, uint64_t *frame_bytes);

/* Rung after each durable batch and when it closes, on the node's thread: must not block nor call the tail. */
struct hf_tail_listener {
    void (*ring)(void *context);
    void *context;
    bool outward_only;             /* only after a batch that moves head.outward */
    struct hf_tail_listener *next; /* the tail's */
};
void hf_tail_listen(struct hf_tail *tail, struct hf_tail_listener *listener);
/* When it has returned, ring is not running and will not be called again. */
void hf_tail_unlisten(struct hf_tail *tail, struct hf_tail_listener *listener);

enum hf_tail_result {
    HF_TAIL_FRAMES,  /* at least one */
    HF_TAIL_AT_HEAD, /* nothing from there on yet */
    HF_TAIL_COLD,    /* not in the ring: read it */
};
/* References to the frames of positions from, from + 1, …, at most count_max. */
enum hf_tail_result hf_tail_take(struct hf_tail *tail, uint64_t from,
                                 struct hf_shared_bytes **frames, size_t count_max, size_t *count);

/* Appends whole batches (hf_log_batch_encode) to `out`, beginning with the one that holds `position` (1 to the durable
 * one), as many as fit into bytes_max. seq_hint: the batch that begins with it, if known, else 0. Nothing behind the
 * durable position is counted on: the last batch may end behind it by no commit. NOT_FOUND: trimmed. Blocks on disk. */
enum hf_err hf_tail_read(struct hf_tail *tail, uint64_t position, uint64_t seq_hint,
                         size_t bytes_max, struct hf_buffer *out, struct hf_error *error);

/* First position that can be read (1 for an empty log). Blocks on disk. */
enum hf_err hf_tail_first(struct hf_tail *tail, uint64_t *position, struct hf_error *error);
/* First position whose commit has this time or a later one; one behind the durable position if there is none; the
 * first one that can be read if all are later. Blocks on disk. */
enum hf_err hf_tail_at_time(struct hf_tail *tail, uint64_t time_us, uint64_t *position,
                            struct hf_error *error);
/* A number that tells this log from all others, and no secret of it. Blocks on disk the first time. NOT_FOUND: the log
 * is empty. */
enum hf_err hf_tail_mark(struct hf_tail *tail, uint64_t *mark, struct hf_error *error);

/* The next batch of what hf_tail_read gave, from *at on, which it advances. Its checksums were verified when it was
 * read. HF_ERR_CORRUPT: it is not whole. */
enum hf_err hf_tail_batch(const struct hf_buffer *bytes, size_t *at, struct hf_log_batch *batch,
                          struct hf_error *error);

/* A frame's record: its commit's time. */
uint64_t hf_tail_time_of(const uint8_t *record, size_t record_bytes);

#endif
