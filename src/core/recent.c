#include "core/recent.h"

#include "base/alloc.h"
#include "base/check.h"

#define FRAME_CAPACITY_MIN 64u

void hf_recent_init(struct hf_recent *recent, uint64_t seed)
{
    *recent = (struct hf_recent){0};
    hf_index_table_init(&recent->current, seed);
    hf_index_table_init(&recent->frozen, seed);
}

static struct hf_shared_bytes **slot_of(const struct hf_recent *recent, uint64_t position)
{
    return &recent->frames[position & (recent->frame_capacity - 1)];
}

static void drop_oldest(struct hf_recent *recent)
{
    struct hf_shared_bytes **slot = slot_of(recent, recent->first_frame);
    recent->frame_bytes -= (*slot)->size_bytes;
    hf_shared_bytes_unref(*slot);
    *slot = NULL;
    recent->first_frame++;
    recent->frame_count--;
}

void hf_recent_release(struct hf_recent *recent)
{
    while (recent->frame_count > 0) {
        drop_oldest(recent);
    }
    hf_free(recent->frames);
    hf_index_table_release(&recent->current);
    hf_index_table_release(&recent->frozen);
    *recent = (struct hf_recent){0};
}

static bool reserve_frame(struct hf_recent *recent)
{
    if (recent->frame_count < recent->frame_capacity) {
        return true;
    }
    struct hf_recent larger = *recent;
    larger.frame_capacity =
        recent->frame_capacity == 0 ? FRAME_CAPACITY_MIN : recent->frame_capacity * 2;
    larger.frames = hf_calloc(larger.frame_capacity, sizeof(struct hf_shared_bytes *));
    if (larger.frames == NULL) {
        return false;
    }
    for (size_t i = 0; i < recent->frame_count; i++) {
        uint64_t position = recent->first_frame + i;
        *slot_of(&larger, position) = *slot_of(recent, position);
    }
    hf_free(recent->frames);
    *recent = larger;
    return true;
}

bool hf_recent_reserve(struct hf_recent *recent, size_t records)
{
    return hf_index_table_reserve(&recent->current, records) && reserve_frame(recent);
}

void hf_recent_put(struct hf_recent *recent, const struct hf_index_key *key,
                   const struct hf_index_value *value)
{
    hf_index_table_put(&recent->current, key, value);
}

const struct hf_index_value *hf_recent_get(const struct hf_recent *recent,
                                           const struct hf_index_key *key)
{
    bool in_current = !hf_index_table_is_above(&recent->current, key);
    bool in_frozen = recent->has_frozen && !hf_index_table_is_above(&recent->frozen, key);
    if (!in_current && !in_frozen) {
        return NULL;
    }
    uint32_t hash = hf_index_table_hash(&recent->current, key); /* of both: one seed */
    const struct hf_index_value *value =
        in_current ? hf_index_table_get_hashed(&recent->current, key, hash) : NULL;
    return value == NULL && in_frozen ? hf_index_table_get_hashed(&recent->frozen, key, hash)
                                      : value;
}

void hf_recent_prefetch(const struct hf_recent *recent, const struct hf_index_key *key)
{
    bool in_current = !hf_index_table_is_above(&recent->current, key);
    bool in_frozen = recent->has_frozen && !hf_index_table_is_above(&recent->frozen, key);
    if (!in_current && !in_frozen) {
        return;
    }
    uint32_t hash = hf_index_table_hash(&recent->current, key);
    if (in_current) {
        hf_index_table_prefetch(&recent->current, hash);
    }
    if (in_frozen) {
        hf_index_table_prefetch(&recent->frozen, hash);
    }
}

void hf_recent_prefetch_put(const struct hf_recent *recent, const struct hf_index_key *key)
{
    hf_index_table_prefetch(&recent->current, hf_index_table_hash(&recent->current, key));
}

void hf_recent_add_frame(struct hf_recent *recent, uint64_t position, struct hf_shared_bytes *frame)
{
    if (recent->frame_count == 0) {
        recent->first_frame = position;
    }
    HF_CHECK(recent->frame_count < recent->frame_capacity);
    HF_CHECK(position == recent->first_frame + recent->frame_count);
    *slot_of(recent, position) = hf_shared_bytes_ref(frame);
    recent->frame_count++;
    recent->frame_bytes += frame->size_bytes;
}

struct hf_shared_bytes *hf_recent_frame(const struct hf_recent *recent, uint64_t position)
{
    if (position < recent->first_frame || position - recent->first_frame >= recent->frame_count) {
        return NULL;
    }
    return *slot_of(recent, position);
}

void hf_recent_trim(struct hf_recent *recent, uint64_t durable_position, uint64_t bytes_max)
{
    while (recent->frame_count > 0 && recent->frame_bytes > bytes_max &&
           recent->first_frame <= durable_position) {
        drop_oldest(recent);
    }
}

void hf_recent_freeze(struct hf_recent *recent, uint64_t position)
{
    HF_CHECK(!recent->has_frozen);
    struct hf_index_table spare = recent->frozen;
    recent->frozen = recent->current;
    recent->current = spare;
    recent->has_frozen = true;
    recent->frozen_position = position;
}

void hf_recent_drop_frozen(struct hf_recent *recent)
{
    HF_CHECK(recent->has_frozen);
    if (recent->current.count < recent->frozen.count / 8) {
        hf_index_table_release(&recent->frozen); /* it is not needed soon */
    } else {
        hf_index_table_clear(&recent->frozen); /* its memory is the next one's */
    }
    recent->has_frozen = false;
    recent->covered_position = recent->frozen_position;
}

void hf_recent_cover(struct hf_recent *recent, uint64_t position)
{
    HF_CHECK(!recent->has_frozen);
    hf_index_table_clear(&recent->current);
    recent->covered_position = position;
}

void hf_recent_drop_spare(struct hf_recent *recent)
{
    if (!recent->has_frozen) {
        hf_index_table_release(&recent->frozen);
    }
}
