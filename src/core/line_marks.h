/*
 * Marks in a list of lines: where a walk behind a given order begins, so that a page of a million dead letters is not
 * looked for from the front.
 *
 * Owns: the array of marks. Must never: change or free a line. Called by: subscription.c, for its parked list.
 *
 * 1. Lines of the list ascend by `order`, and so do the marks; the first line is marked.
 * 2. Behind each mark, before the next one, are `behind` lines without one: fewer than HF_LINE_MARK_EVERY.
 */
#ifndef HF_CORE_LINE_MARKS_H
#define HF_CORE_LINE_MARKS_H

#include "base/types.h"

#define HF_LINE_MARK_EVERY 256u

struct hf_line;
struct hf_line_list;

struct hf_line_mark {
    struct hf_line *line;
    uint64_t order;  /* the line's */
    uint32_t behind; /* lines without a mark, up to the next one */
};

struct hf_line_marks {
    struct hf_line_mark *items; /* owned array */
    size_t count;
    size_t capacity;
};

void hf_line_marks_release(struct hf_line_marks *marks);
/* Room for `lines` more lines. false: memory is short, nothing has changed. */
bool hf_line_marks_reserve(struct hf_line_marks *marks, size_t lines) HF_WARN_UNUSED;
/* The line was appended to the list; room is reserved. */
void hf_line_marks_added(struct hf_line_marks *marks, struct hf_line *line);
/* The line is going to be taken out of the list: its neighbours are still its own. */
void hf_line_marks_leaving(struct hf_line_marks *marks, const struct hf_line *line);
/* The first line of a greater order, or NULL. */
struct hf_line *hf_line_marks_behind(const struct hf_line_marks *marks, uint64_t order);
/* Both invariants by a walk; aborts if one is broken. */
void hf_line_marks_verify(const struct hf_line_marks *marks, const struct hf_line_list *list);

#endif
