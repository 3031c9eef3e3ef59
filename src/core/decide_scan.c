/* Scans: what arrived in the past is found in the log and recorded, until a subscription has caught up. */
#include "base/check.h"
#include "core/decide_lines.h"
#include "core/feed_event.h"

#define COMMITS_MAX 16384u       /* looked at by one scan */
#define BYTES_MAX   (256u << 10) /* of commits decoded by one scan: it holds up the others */

struct scanning {
    struct hf_deciding *d;
    const struct hf_subscription *stored;
    struct hf_arrival *arrivals; /* grows in the arena */
    uint32_t count;
    uint32_t capacity;
    uint32_t most;
};

static bool keep_arrival(struct scanning *scan, const struct hf_arrival *arrival)
{
    if (scan->count == scan->capacity) {
        uint32_t capacity = scan->capacity == 0 ? 64 : scan->capacity * 2;
        struct hf_arrival *arrivals =
            hf_arena_alloc(&scan->d->draft->view.arena, capacity * sizeof(*arrivals));
        if (arrivals == NULL) {
            return false;
        }
        if (scan->count > 0) {
            memcpy(arrivals, scan->arrivals, scan->count * sizeof(*arrivals));
        }
        scan->arrivals = arrivals;
        scan->capacity = capacity;
    }
    scan->arrivals[scan->count++] = *arrival;
    return true;
}

static bool take_commit(struct scanning *scan, const struct hf_commit *commit)
{
    for (uint32_t i = 0; i < commit->event_count; i++) {
        struct hf_feed_event event;
        hf_feed_event_of(commit, i, &event);
        if (hf_filter_arrives(&scan->stored->settings.filter, &event)) {
            struct hf_arrival arrival = hf_queue_arrival(commit, &event);
            if (!keep_arrival(scan, &arrival)) {
                return false;
            }
        }
    }
    return true;
}

/* May the arrivals so far go in? Those of one commit always may, for half of the room was free. */
static bool has_room(const struct scanning *scan, uint32_t before)
{
    const struct hf_subscription_settings *settings = &scan->stored->settings;
    uint64_t more = settings->order == HF_ORDER_KEY ? scan->count : 1;
    return before == 0 || (scan->count <= HF_SCAN_ARRIVALS_MAX &&
                           scan->stored->lines.count + more <= settings->lines_max);
}

/* Asks for the log from here on. */
static enum hf_step need_range(struct scanning *scan, uint64_t from)
{
    struct hf_commit_range range = {
        .from = from, .count = hf_min_u64(scan->d->state->position - from + 1, COMMITS_MAX)};
    if (!hf_needs_add_range(&scan->d->draft->view.needs, &range)) {
        return hf_short(scan->d);
    }
    return STEP_STOP;
}

static enum hf_step record(struct scanning *scan, uint64_t through)
{
    struct hf_event *event = hf_draft_event(scan->d, HF_EVENT_SUBSCRIPTION_SCANNED);
    if (event == NULL) {
        return STEP_STOP;
    }
    event->scanned = (struct hf_scanned){
        .subscription = scan->stored->name,
        .uid = scan->stored->uid,
        .from = scan->stored->scanned,
        .through = through,
        .count = scan->count,
        .arrivals = scan->arrivals,
    };
    return STEP_OK;
}

enum hf_step hf_scan(struct hf_deciding *d, const struct hf_subscription *stored, uint32_t most)
{
    struct scanning scan = {.d = d, .stored = stored, .most = most};
    struct hf_view *view = &d->draft->view;
    uint64_t through = stored->scanned;
    while (through < d->state->position && scan.count < most &&
           through - stored->scanned < COMMITS_MAX && view->decoded_bytes < BYTES_MAX) {
        if (!hf_view_has_commit(view, through + 1)) {
            if (through > stored->scanned) {
                break; /* what there is comes first */
            }
            return need_range(&scan, through + 1);
        }
        if (hf_view_brings_nothing(view, through + 1)) {
            through++;
            continue;
        }
        const struct hf_commit *commit = hf_view_commit(view, through + 1);
        uint32_t before = scan.count;
        if (commit == NULL) {
            return STEP_STOP;
        }
        if (!take_commit(&scan, commit)) {
            return hf_short(d);
        }
        if (!has_room(&scan, before)) {
            scan.count = before;
#ifdef HF_BUG_CURSOR_BEFORE_MESSAGES
            through++;
#endif
            break;
        }
        through++;
    }
    return through > stored->scanned ? record(&scan, through) : STEP_OK;
}
