/*
 * Points of the past: which commit was the newest one at a time, and which entry of an account came before a commit.
 *
 * Both are facts that never change, so what was fetched once counts for as long as the records live. Nothing of the commits that
 * are looked at on the way is kept: thirty of them may have eight thousand transfers each.
 */
#include "base/bytes.h"
#include "base/check.h"
#include "core/read.h"
#include "core/view.h"

/* Time of a commit in RAM; 0: damaged, and the view knows it. */
static uint64_t time_of(struct hf_view *view, uint64_t position)
{
    const struct hf_shared_bytes *frame = hf_recent_frame(&view->state->recent, position);
    HF_CHECK(frame != NULL && frame->size_bytes >= 8);
    size_t record_bytes = hf_get_u32(frame->data);
    uint64_t time_us = hf_commit_time(frame->data + 8, record_bytes, frame->data + 8 + record_bytes,
                                      frame->size_bytes - 8 - record_bytes);
    view->damaged = view->damaged || time_us == 0;
    return time_us;
}

/* Among the commits in RAM, of which the first one is not later. */
static enum hf_lookup find_recent(struct hf_view *view, uint64_t time_us, uint64_t *position)
{
    uint64_t low = view->state->recent.first_frame;
    uint64_t high = low + view->state->recent.frame_count; /* is later, or does not exist */
    while (high - low > 1 && !view->damaged) {
        uint64_t middle = low + (high - low) / 2;
        *(time_of(view, middle) <= time_us ? &low : &high) = middle;
    }
    *position = low;
    return view->damaged ? HF_LOOKUP_UNKNOWN : HF_LOOKUP_PRESENT;
}

enum hf_lookup hf_view_position_at(struct hf_view *view, uint64_t time_us, uint64_t *position)
{
    const struct hf_state *state = view->state;
    const struct hf_recent *recent = &state->recent;
    if (state->time_us <= time_us) {
        *position = state->position;
        return HF_LOOKUP_PRESENT;
    }
    if (recent->frame_count > 0 && time_of(view, recent->first_frame) <= time_us) {
        return find_recent(view, time_us, position);
    }
    struct hf_time_need need = {
        .time_us = time_us,
        .below = recent->frame_count > 0 ? recent->first_frame : state->position,
    };
    if (need.below <= 1) {
        *position = 0;
        return view->damaged ? HF_LOOKUP_UNKNOWN : HF_LOOKUP_PRESENT;
    }
    size_t count = view->records == NULL ? 0 : view->records->time_count;
    for (size_t i = 0; i < count; i++) {
        if (view->records->times[i].time_us == time_us) {
            *position = view->records->times[i].position;
            return HF_LOOKUP_PRESENT;
        }
    }
    view->short_memory |= !hf_needs_add_time(&view->needs, &need);
    return HF_LOOKUP_UNKNOWN;
}

/* By the commit itself. */
static enum hf_lookup follow(struct hf_view *view, const struct hf_shared_bytes *frame,
                             const struct hf_entry_descent *descent, struct hf_entry_place *before)
{
    struct hf_commit commit;
    struct hf_arena arena;
    hf_arena_init(&arena);
    size_t record_bytes = hf_get_u32(frame->data);
    enum hf_err err =
        hf_commit_glance(frame->data + 8, record_bytes, frame->data + 8 + record_bytes,
                         frame->size_bytes - 8 - record_bytes, &arena, &commit, NULL);
    bool found = err == HF_ERR_OK && commit.position == descent->at.position &&
                 hf_entry_before(&commit, &descent->account, descent->at.version, before);
    hf_arena_release(&arena);
    view->short_memory = view->short_memory || err == HF_ERR_NO_MEMORY;
    view->damaged = view->damaged || (!found && err != HF_ERR_NO_MEMORY);
    return found ? HF_LOOKUP_PRESENT : HF_LOOKUP_UNKNOWN;
}

enum hf_lookup hf_view_entry_before(struct hf_view *view, const struct hf_entry_descent *descent,
                                    struct hf_entry_place *before)
{
    uint64_t version = descent->at.version;
    struct hf_index_key key = {.kind = HF_INDEX_ENTRY, .id = descent->account, .sub = version};
    const struct hf_index_value *link =
        view->records == NULL ? NULL : hf_index_table_get(&view->records->links, &key);
    if (link != NULL) {
        *before = (struct hf_entry_place){version - link->index, link->position};
        return HF_LOOKUP_PRESENT;
    }
    const struct hf_shared_bytes *frame = hf_view_frame(view, descent->at.position);
    if (frame != NULL) {
        return follow(view, frame, descent, before);
    }
    view->short_memory |= !hf_needs_add_descent(&view->needs, descent);
    return HF_LOOKUP_UNKNOWN;
}
