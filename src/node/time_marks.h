/*
 * Time marks: when some of the log's commits were made, so that a time leads to a short stretch of the log.
 *
 * Owns: a sorted list of (position, time) of bounded size. When it is full every other mark is dropped, and marks are from then
 * on twice as far apart. Must never: answer what a mark does not prove. Marks are a shortcut: without them the log itself is
 * searched, and what is looked at there becomes a mark. Thread-safe.
 * Called by: the node's thread (each commit it makes or replays), the fetch worker.
 *
 * 1. Positions and times both strictly ascend, as they do in the log.
 * 2. Two marks are at least `every` positions apart.
 */
#ifndef HF_NODE_TIME_MARKS_H
#define HF_NODE_TIME_MARKS_H

#include "base/types.h"

#define HF_TIME_MARKS_MAX 16384u /* 256 KiB */

struct hf_time_marks;

/* capacity >= 2. NULL: memory is short. */
struct hf_time_marks *hf_time_marks_new(size_t capacity);
void hf_time_marks_free(struct hf_time_marks *marks); /* NULL: nothing */
void hf_time_marks_clear(struct hf_time_marks *marks);
/* A commit of the log; becomes a mark unless another one is near. */
void hf_time_marks_note(struct hf_time_marks *marks, uint64_t position, uint64_t time_us);
/* *low: of the newest mark that is not later, 0 = none. *high: of the oldest that is later, UINT64_MAX = none. */
void hf_time_marks_bracket(struct hf_time_marks *marks, uint64_t time_us, uint64_t *low,
                           uint64_t *high);
/* Aborts if an invariant is broken. */
void hf_time_marks_verify(struct hf_time_marks *marks);

#endif
