/* Which segments there are, and a sparse map from batches to places inside them. Memory only. */
#include "base/alloc.h"
#include "base/check.h"
#include "log/log_priv.h"

void hf_log_map_release(struct hf_log_map *map)
{
    for (size_t i = 0; i < map->count; i++) {
        hf_free(map->segments[i].marks);
    }
    hf_free(map->segments);
    *map = (struct hf_log_map){0};
}

static bool follows(const struct hf_log_segment_header *before,
                    const struct hf_log_segment_header *header)
{
    return header->number == before->number + 1 && header->first_seq >= before->first_seq &&
           header->first_position >= before->first_position && header->epoch >= before->epoch &&
           memcmp(header->log_id, before->log_id, sizeof(header->log_id)) == 0;
}

static bool grow(struct hf_log_map *map)
{
    if (map->count < map->capacity) {
        return true;
    }
    size_t capacity = map->capacity == 0 ? 8 : map->capacity * 2;
    struct hf_log_segment *segments = hf_realloc(map->segments, capacity * sizeof(*segments));
    if (segments == NULL) {
        return false;
    }
    map->segments = segments;
    map->capacity = capacity;
    return true;
}

enum hf_err hf_log_map_add(struct hf_log_map *map, const struct hf_log_segment_header *header,
                           struct hf_error *error)
{
    if (map->count > 0 && !follows(&map->segments[map->count - 1].header, header)) {
        return hf_error_set(error, HF_ERR_CORRUPT,
                            "segment %llu does not follow the segment before it",
                            (unsigned long long)header->number);
    }
    struct hf_log_mark *marks = hf_malloc(8 * sizeof(*marks));
    if (marks == NULL || !grow(map)) {
        hf_free(marks);
        return hf_error_set(error, HF_ERR_NO_MEMORY, "segment %llu: memory is short",
                            (unsigned long long)header->number);
    }
    marks[0] = (struct hf_log_mark){
        .seq = header->first_seq, .position = header->first_position, .offset = HF_LOG_PAGE_BYTES};
    map->segments[map->count++] = (struct hf_log_segment){
        .header = *header, .marks = marks, .mark_count = 1, .mark_capacity = 8};
    return HF_ERR_OK;
}

void hf_log_map_drop_below(struct hf_log_map *map, uint64_t number)
{
    size_t drop = 0;
    while (drop < map->count && map->segments[drop].header.number < number) {
        hf_free(map->segments[drop++].marks);
    }
    if (drop > 0) {
        memmove(map->segments, map->segments + drop, (map->count - drop) * sizeof(*map->segments));
        map->count -= drop;
    }
}

/* Segments without a batch share their first_seq with the next one: the last of them is meant. */
struct hf_log_segment *hf_log_map_by_seq(const struct hf_log_map *map, uint64_t seq)
{
    size_t low = 0;
    size_t high = map->count;
    while (low < high) { /* the first that begins behind seq */
        size_t middle = low + (high - low) / 2;
        if (map->segments[middle].header.first_seq <= seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? NULL : &map->segments[low - 1];
}

struct hf_log_segment *hf_log_map_by_position(const struct hf_log_map *map, uint64_t position)
{
    size_t low = 0;
    size_t high = map->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->segments[middle].header.first_position <= position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? NULL : &map->segments[low - 1];
}

struct hf_log_mark hf_log_segment_mark_by_seq(const struct hf_log_segment *segment, uint64_t seq)
{
    size_t low = 0;
    size_t high = segment->mark_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (segment->marks[middle].seq <= seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    HF_CHECK(low > 0);
    return segment->marks[low - 1];
}

struct hf_log_mark hf_log_segment_mark_by_position(const struct hf_log_segment *segment,
                                                   uint64_t position)
{
    size_t low = 0;
    size_t high = segment->mark_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (segment->marks[middle].position <= position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    HF_CHECK(low > 0);
    return segment->marks[low - 1];
}

void hf_log_segment_note(struct hf_log_segment *segment, struct hf_log_mark mark)
{
    if (mark.offset < segment->marks[segment->mark_count - 1].offset + HF_LOG_MARK_BYTES) {
        return;
    }
    if (segment->mark_count == segment->mark_capacity) {
        size_t capacity = segment->mark_capacity * 2;
        struct hf_log_mark *marks = hf_realloc(segment->marks, capacity * sizeof(*marks));
        if (marks == NULL) {
            return; /* reads walk a little further */
        }
        segment->marks = marks;
        segment->mark_capacity = capacity;
    }
    segment->marks[segment->mark_count++] = mark;
}
