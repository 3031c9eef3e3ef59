#include "core/view.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "core/strip.h"

#define EVENT_BYTES                                                                                \
    100u /* in a frame, as decoded_bytes counts them, of an event that came out of a strip */

/* `items` with room for one more behind its first `count`; NULL: memory is short. */
static void *grown(void *items, size_t count, size_t *capacity, size_t item_bytes)
{
    if (count < *capacity) {
        return items;
    }
    size_t wanted = *capacity == 0 ? 4 : *capacity * 2;
    void *more = hf_realloc(items, wanted * item_bytes);
    if (more != NULL) {
        *capacity = wanted;
    }
    return more;
}

void hf_records_init(struct hf_records *records)
{
    *records = (struct hf_records){0};
}

void hf_records_release(struct hf_records *records)
{
    size_t at = 0;
    struct hf_shared_bytes *frame;
    while ((frame = hf_table_next(&records->frames, &at)) != NULL) {
        hf_shared_bytes_unref(frame);
    }
    hf_table_release(&records->frames);
    hf_index_table_release(&records->index);
    hf_index_table_release(&records->maybe);
    hf_index_table_release(&records->links);
    hf_free(records->times);
}

static struct hf_id position_id(uint64_t position)
{
    struct hf_id id = {{0}};
    hf_put_u64(id.bytes, position);
    return id;
}

bool hf_records_add_answer(struct hf_records *records, const struct hf_index_key *key,
                           const struct hf_index_value *value_or_null)
{
    if (!hf_index_table_reserve(&records->index, 1)) {
        return false;
    }
    struct hf_index_value absent = {.flags = HF_RECORD_ABSENT};
    hf_index_table_put(&records->index, key, value_or_null == NULL ? &absent : value_or_null);
    return true;
}

bool hf_records_add_frame(struct hf_records *records, uint64_t position,
                          struct hf_shared_bytes *frame)
{
    if (!hf_table_reserve(&records->frames, 1)) {
        return false;
    }
    struct hf_id id = position_id(position);
    hf_shared_bytes_unref(hf_table_put(&records->frames, &id, hf_shared_bytes_ref(frame)));
    return true;
}

bool hf_records_add_link(struct hf_records *records, const struct hf_id *account, uint64_t version,
                         const struct hf_entry_place *before)
{
    struct hf_index_key key = {.kind = HF_INDEX_ENTRY, .id = *account, .sub = version};
    struct hf_index_value value = {.position = before->position,
                                   .index = (uint32_t)(version - before->version)};
    if (!hf_index_table_reserve(&records->links, 1)) {
        return false;
    }
    hf_index_table_put(&records->links, &key, &value);
    return true;
}

bool hf_records_add_time(struct hf_records *records, const struct hf_time_answer *answer)
{
    struct hf_time_answer *times =
        grown(records->times, records->time_count, &records->time_capacity, sizeof(*times));
    if (times == NULL) {
        return false;
    }
    records->times = times;
    records->times[records->time_count++] = *answer;
    return true;
}

struct hf_shared_bytes *hf_records_frame(const struct hf_records *records, uint64_t position)
{
    struct hf_id id = position_id(position);
    return hf_table_get(&records->frames, &id);
}

void hf_needs_init(struct hf_needs *needs)
{
    *needs = (struct hf_needs){0};
}

void hf_needs_release(struct hf_needs *needs)
{
    hf_free(needs->keys);
    hf_free(needs->positions);
    hf_free(needs->chains);
    hf_free(needs->ranges);
    hf_free(needs->descents);
    hf_free(needs->times);
    hf_needs_init(needs);
}

void hf_needs_clear(struct hf_needs *needs)
{
    needs->key_count = 0;
    needs->position_count = 0;
    needs->chain_count = 0;
    needs->range_count = 0;
    needs->descent_count = 0;
    needs->time_count = 0;
}

bool hf_needs_add_key(struct hf_needs *needs, const struct hf_index_key *key)
{
    struct hf_index_key *keys =
        grown(needs->keys, needs->key_count, &needs->key_capacity, sizeof(*keys));
    if (keys == NULL) {
        return false;
    }
    needs->keys = keys;
    needs->keys[needs->key_count++] = *key;
    return true;
}

bool hf_needs_add_position(struct hf_needs *needs, uint64_t position)
{
    if (needs->position_count > 0 && needs->positions[needs->position_count - 1] == position) {
        return true;
    }
    uint64_t *positions = grown(needs->positions, needs->position_count, &needs->position_capacity,
                                sizeof(*positions));
    if (positions == NULL) {
        return false;
    }
    needs->positions = positions;
    needs->positions[needs->position_count++] = position;
    return true;
}

bool hf_needs_add_chain(struct hf_needs *needs, const struct hf_entry_chain *chain)
{
    struct hf_entry_chain *chains =
        grown(needs->chains, needs->chain_count, &needs->chain_capacity, sizeof(*chains));
    if (chains == NULL) {
        return false;
    }
    needs->chains = chains;
    needs->chains[needs->chain_count++] = *chain;
    return true;
}

bool hf_needs_add_range(struct hf_needs *needs, const struct hf_commit_range *range)
{
    struct hf_commit_range *ranges =
        grown(needs->ranges, needs->range_count, &needs->range_capacity, sizeof(*ranges));
    if (ranges == NULL) {
        return false;
    }
    needs->ranges = ranges;
    needs->ranges[needs->range_count++] = *range;
    return true;
}

bool hf_needs_add_descent(struct hf_needs *needs, const struct hf_entry_descent *descent)
{
    struct hf_entry_descent *descents =
        grown(needs->descents, needs->descent_count, &needs->descent_capacity, sizeof(*descents));
    if (descents == NULL) {
        return false;
    }
    needs->descents = descents;
    needs->descents[needs->descent_count++] = *descent;
    return true;
}

bool hf_needs_add_time(struct hf_needs *needs, const struct hf_time_need *need)
{
    struct hf_time_need *times =
        grown(needs->times, needs->time_count, &needs->time_capacity, sizeof(*times));
    if (times == NULL) {
        return false;
    }
    needs->times = times;
    needs->times[needs->time_count++] = *need;
    return true;
}

bool hf_needs_add_all(struct hf_needs *needs, const struct hf_needs *more)
{
    bool ok = true;
    for (size_t i = 0; ok && i < more->key_count; i++) {
        ok = hf_needs_add_key(needs, &more->keys[i]);
    }
    for (size_t i = 0; ok && i < more->position_count; i++) {
        ok = hf_needs_add_position(needs, more->positions[i]);
    }
    for (size_t i = 0; ok && i < more->chain_count; i++) {
        ok = hf_needs_add_chain(needs, &more->chains[i]);
    }
    for (size_t i = 0; ok && i < more->range_count; i++) {
        ok = hf_needs_add_range(needs, &more->ranges[i]);
    }
    for (size_t i = 0; ok && i < more->descent_count; i++) {
        ok = hf_needs_add_descent(needs, &more->descents[i]);
    }
    for (size_t i = 0; ok && i < more->time_count; i++) {
        ok = hf_needs_add_time(needs, &more->times[i]);
    }
    return ok;
}

void hf_view_init(struct hf_view *view)
{
    *view = (struct hf_view){0};
}

void hf_view_release(struct hf_view *view)
{
    hf_arena_release(&view->arena);
    hf_table_release(&view->decoded);
    hf_needs_release(&view->needs);
}

void hf_view_begin(struct hf_view *view, const struct hf_state *state,
                   const struct hf_records *records)
{
    view->state = state;
    view->records = records;
    hf_arena_clear(&view->arena);
    hf_table_clear(&view->decoded);
    hf_needs_clear(&view->needs);
    view->decoded_bytes = 0;
    view->short_memory = false;
    view->damaged = false;
}

bool hf_view_complete(const struct hf_view *view)
{
    return !view->short_memory && !view->damaged && !hf_needs_any(&view->needs);
}

static enum hf_lookup look_up(struct hf_view *view, const struct hf_index_key *key, bool is_new,
                              struct hf_index_value *value)
{
    const struct hf_recent *recent = &view->state->recent;
    const struct hf_index_value *found = hf_recent_get(recent, key);
    if (found != NULL) {
        *value = *found;
        return HF_LOOKUP_PRESENT;
    }
    if (recent->covered_position == 0) {
        return HF_LOOKUP_ABSENT;
    }
    if (view->records != NULL && view->records->as_of >= recent->covered_position) {
        if (view->records->lacks_ids && is_new &&
            hf_index_table_get(&view->records->maybe, key) == NULL) {
            return HF_LOOKUP_ABSENT;
        }
        found = hf_index_table_get(&view->records->index, key);
        if (found != NULL) {
            *value = *found;
            return (found->flags & HF_RECORD_ABSENT) != 0 ? HF_LOOKUP_ABSENT : HF_LOOKUP_PRESENT;
        }
    }
    if (!hf_needs_add_key(&view->needs, key)) {
        view->short_memory = true;
    }
    return HF_LOOKUP_UNKNOWN;
}

enum hf_lookup hf_view_lookup(struct hf_view *view, uint8_t kind, const struct hf_id *id,
                              uint64_t sub, struct hf_index_value *value)
{
    struct hf_index_key key = {.kind = kind, .id = *id, .sub = sub};
    return look_up(view, &key, false, value);
}

enum hf_lookup hf_view_lookup_new(struct hf_view *view, uint8_t kind, const struct hf_id *id,
                                  struct hf_index_value *value)
{
    struct hf_index_key key = {.kind = kind, .id = *id};
    return look_up(view, &key, true, value);
}

static struct hf_commit *decode(struct hf_view *view, uint64_t position,
                                const struct hf_shared_bytes *frame)
{
    struct hf_commit *commit = hf_arena_alloc(&view->arena, sizeof(*commit));
    if (commit == NULL || !hf_table_reserve(&view->decoded, 1)) {
        view->short_memory = true;
        return NULL;
    }
    HF_CHECK(frame->size_bytes >= 8);
    size_t record_bytes = hf_get_u32(frame->data);
    size_t payload_bytes = hf_get_u32(frame->data + 4);
    HF_CHECK(frame->size_bytes == 8 + record_bytes + payload_bytes);
    enum hf_err err =
        hf_commit_glance(frame->data + 8, record_bytes, frame->data + 8 + record_bytes,
                         payload_bytes, &view->arena, commit, NULL);
    if (err == HF_ERR_NO_MEMORY) {
        view->short_memory = true;
        return NULL;
    }
    if (err != HF_ERR_OK || commit->position != position) {
        view->damaged = true;
        return NULL;
    }
    view->decoded_bytes += frame->size_bytes;
    struct hf_id id = position_id(position);
    (void)hf_table_put(&view->decoded, &id, commit);
    return commit;
}

const struct hf_shared_bytes *hf_view_frame(const struct hf_view *view, uint64_t position)
{
    const struct hf_shared_bytes *frame = hf_recent_frame(&view->state->recent, position);
    return frame != NULL || view->records == NULL ? frame
                                                  : hf_records_frame(view->records, position);
}

bool hf_view_has_commit(const struct hf_view *view, uint64_t position)
{
    return hf_view_frame(view, position) != NULL;
}

bool hf_view_brings_nothing(const struct hf_view *view, uint64_t position)
{
    const struct hf_shared_bytes *frame = hf_view_frame(view, position);
    if (frame == NULL) {
        return false;
    }
    size_t record_bytes = hf_get_u32(frame->data);
    unsigned only = hf_commit_only_event(
        frame->data + 8, record_bytes, frame->data + 8 + record_bytes, hf_get_u32(frame->data + 4));
    return only >= HF_EVENT_SUBSCRIPTION_PUT && only <= HF_EVENT_MESSAGES_REDRIVEN;
}

/* A strip may still be one. */
static struct hf_commit *find_commit(struct hf_view *view, uint64_t position)
{
    struct hf_id id = position_id(position);
    struct hf_commit *commit = hf_table_get(&view->decoded, &id);
    if (commit != NULL) {
        return commit;
    }
    const struct hf_shared_bytes *frame = hf_view_frame(view, position);
    if (frame != NULL) {
        return decode(view, position, frame);
    }
    if (!hf_needs_add_position(&view->needs, position)) {
        view->short_memory = true;
    }
    return NULL;
}

const struct hf_commit *hf_view_compact(struct hf_view *view, uint64_t position)
{
    return find_commit(view, position);
}

const struct hf_commit *hf_view_commit(struct hf_view *view, uint64_t position)
{
    struct hf_commit *commit = find_commit(view, position);
    if (commit == NULL || commit->strip == NULL || commit->expanded) {
        return commit;
    }
    view->decoded_bytes += (uint64_t)commit->strip->count * EVENT_BYTES;
    if (!hf_commit_expand(commit)) {
        view->short_memory = true;
        return NULL;
    }
    return commit;
}

const struct hf_event *hf_view_event(struct hf_view *view, const struct hf_index_value *at,
                                     uint64_t wanted_types)
{
    const struct hf_commit *commit = hf_view_compact(view, at->position);
    if (commit == NULL) {
        return NULL;
    }
    const struct hf_event *event = hf_commit_event(commit, at->index);
    view->damaged = view->damaged || at->index >= hf_commit_event_total(commit) ||
                    (event != NULL && (HF_EVENT_BIT(event->type) & wanted_types) == 0);
    view->short_memory = view->short_memory || (event == NULL && !view->damaged);
    return view->damaged ? NULL : event;
}
