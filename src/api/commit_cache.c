#include "api/commit_cache.h"

#include "base/bytes.h"
#include "base/check.h"
#include "log/log.h"

static void drop(struct hf_commit_cache *cache, struct hf_cached_commit *entry)
{
    if (entry->position != 0) {
        cache->bytes -= entry->frame->size_bytes;
        hf_shared_bytes_unref(entry->frame);
        hf_arena_release(&entry->arena);
        *entry = (struct hf_cached_commit){0};
    }
}

void hf_commit_cache_release(struct hf_commit_cache *cache)
{
    for (size_t i = 0; i < HF_COMMIT_CACHE_ENTRIES; i++) {
        drop(cache, &cache->entries[i]);
    }
}

/* The one that was not used for longest; NULL: all are free. */
static struct hf_cached_commit *oldest(struct hf_commit_cache *cache)
{
    struct hf_cached_commit *found = NULL;
    for (size_t i = 0; i < HF_COMMIT_CACHE_ENTRIES; i++) {
        struct hf_cached_commit *entry = &cache->entries[i];
        if (entry->position != 0 && (found == NULL || entry->used < found->used)) {
            found = entry;
        }
    }
    return found;
}

static struct hf_cached_commit *make_room(struct hf_commit_cache *cache, size_t more_bytes)
{
    struct hf_cached_commit *entry;
    while (cache->bytes + more_bytes > HF_COMMIT_CACHE_BYTES && (entry = oldest(cache)) != NULL) {
        drop(cache, entry);
    }
    for (size_t i = 0; i < HF_COMMIT_CACHE_ENTRIES; i++) {
        if (cache->entries[i].position == 0) {
            return &cache->entries[i];
        }
    }
    entry = oldest(cache);
    drop(cache, entry);
    return entry;
}

static bool decode(struct hf_cached_commit *entry)
{
    const struct hf_shared_bytes *frame = entry->frame;
    size_t record_bytes = hf_get_u32(frame->data);
    const uint8_t *record = frame->data + HF_COMMIT_FRAME_BYTES;
    size_t payload_bytes = frame->size_bytes - HF_COMMIT_FRAME_BYTES - record_bytes;
    struct hf_commit *commit = hf_arena_alloc(&entry->arena, sizeof(*commit));
    enum hf_err err = HF_ERR_NO_MEMORY;
    if (commit != NULL) {
        err = hf_commit_decode(record, record_bytes, record + record_bytes, payload_bytes,
                               &entry->arena, commit, NULL);
    }
    /* The frame was written by this process or verified when it was fetched. */
    HF_CHECK(err == HF_ERR_OK || err == HF_ERR_NO_MEMORY);
    entry->commit = commit;
    return err == HF_ERR_OK && hf_cloud_context_of(commit, &entry->arena, &entry->context);
}

const struct hf_cached_commit *hf_commit_cache_get(struct hf_commit_cache *cache, uint64_t position,
                                                   struct hf_shared_bytes *frame)
{
    HF_CHECK(position != 0);
    for (size_t i = 0; i < HF_COMMIT_CACHE_ENTRIES; i++) {
        if (cache->entries[i].position == position) {
            cache->entries[i].used = ++cache->uses;
            return &cache->entries[i];
        }
    }
    struct hf_cached_commit *entry = make_room(cache, frame->size_bytes);
    *entry = (struct hf_cached_commit){
        .position = position,
        .used = ++cache->uses,
        .frame = hf_shared_bytes_ref(frame),
    };
    cache->bytes += frame->size_bytes;
    hf_arena_init(&entry->arena);
    if (!decode(entry)) {
        drop(cache, entry);
        return NULL;
    }
    return entry;
}
