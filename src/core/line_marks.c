#include "core/line_marks.h"

#include "base/alloc.h"
#include "base/check.h"
#include "core/subscription.h"

void hf_line_marks_release(struct hf_line_marks *marks)
{
    hf_free(marks->items);
    *marks = (struct hf_line_marks){0};
}

bool hf_line_marks_reserve(struct hf_line_marks *marks, size_t lines)
{
    size_t more = lines / HF_LINE_MARK_EVERY + (lines % HF_LINE_MARK_EVERY != 0);
    if (more <= marks->capacity - marks->count) {
        return true;
    }
    size_t capacity = hf_max_u64(marks->capacity * 2, marks->count + more);
    struct hf_line_mark *items = hf_realloc(marks->items, capacity * sizeof(*items));
    if (items == NULL) {
        return false;
    }
    marks->items = items;
    marks->capacity = capacity;
    return true;
}

/* The last mark whose order is at most this one; marks->count: there is none. */
static size_t find(const struct hf_line_marks *marks, uint64_t order)
{
    size_t low = 0;             /* marks before it are at most `order`… */
    size_t high = marks->count; /* …and those from here on are greater */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (marks->items[middle].order <= order) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? marks->count : low - 1;
}

void hf_line_marks_added(struct hf_line_marks *marks, struct hf_line *line)
{
    struct hf_line_mark *last = marks->count == 0 ? NULL : &marks->items[marks->count - 1];
    if (last != NULL && last->behind + 1 < HF_LINE_MARK_EVERY) {
        last->behind++;
        return;
    }
    HF_CHECK(marks->items != NULL && marks->count < marks->capacity);
    marks->items[marks->count++] = (struct hf_line_mark){.line = line, .order = line->order};
}

void hf_line_marks_leaving(struct hf_line_marks *marks, const struct hf_line *line)
{
    size_t at = find(marks, line->order);
    HF_CHECK(at < marks->count);
    struct hf_line_mark *mark = &marks->items[at];
    if (mark->behind > 0) {
        mark->behind--;
        if (mark->line == line) {
            mark->line = line->list_behind;
            mark->order = mark->line->order;
        }
        return;
    }
    HF_CHECK(mark->line == line);
    marks->count--;
    memmove(mark, mark + 1, (marks->count - at) * sizeof(*mark));
}

struct hf_line *hf_line_marks_behind(const struct hf_line_marks *marks, uint64_t order)
{
    size_t at = find(marks, order);
    struct hf_line *line =
        marks->count == 0 ? NULL : marks->items[at == marks->count ? 0 : at].line;
    while (line != NULL && line->order <= order) {
        line = line->list_behind;
    }
    return line;
}

void hf_line_marks_verify(const struct hf_line_marks *marks, const struct hf_line_list *list)
{
    const struct hf_line *line = list->first;
    for (size_t i = 0; i < marks->count; i++) {
        const struct hf_line_mark *mark = &marks->items[i];
        HF_CHECK(line != NULL && mark->line == line && mark->order == line->order);
        HF_CHECK(mark->behind < HF_LINE_MARK_EVERY);
        for (uint32_t j = 0; j <= mark->behind; j++) {
            HF_CHECK(line != NULL && line->state == HF_LINE_PARKED);
            line = line->list_behind;
        }
    }
    HF_CHECK(line == NULL);
}
