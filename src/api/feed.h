/*
 * The feed's lanes: the threads that read the log for all readers of the feed.
 *
 * Owns: two threads, each with a source: the lane of RAM serves who is near the head and those that wait there; the lane
 * of the disk those who catch up, in turns. Must never: touch the node's thread, but to be rung by it once a durable
 * batch; let a reader that catches up keep one at the head waiting. Called by: the feed's route (the loop's
 * thread).
 *
 *   submit ─► RAM lane ◄──────► disk lane
 *               │ ▲ waits         │
 *               ▼ │               ▼
 *              done              done        (on the lane's thread)
 *
 * 1. A reader that was submitted is given back exactly once by its `done`; until then it belongs to the lanes.
 * 2. The threads start with the first reader. hf_feed_free only when none is left.
 */
#ifndef HF_API_FEED_H
#define HF_API_FEED_H

#include "api/feed_reader.h"

struct hf_feed;

/* NULL: memory is short. tail and outside (its monotonic clock is CLOCK_MONOTONIC) outlive it. */
struct hf_feed *hf_feed_new(struct hf_tail *tail, struct hf_outside *outside);
void hf_feed_free(struct hf_feed *feed); /* NULL is fine */

/* false: no thread can be started; the reader was not taken. */
bool hf_feed_submit(struct hf_feed *feed, struct hf_feed_reader *reader) HF_WARN_UNUSED;
/* The reader is to come back soon, with what it has. Any time after submit; it may be on its way already. */
void hf_feed_recall(struct hf_feed *feed, struct hf_feed_reader *reader);

#endif
