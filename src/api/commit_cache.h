/*
 * Commits that were decoded last, for those who render single events of them.
 *
 * Owns: references to frames and what they decode to. Must never: hold a commit that is not durable (a position then
 * means one commit for ever); be used by two threads. Called by: the door's routes that show messages, on the
 * loop's thread.
 *
 * A topic that was filled by large commits is received from message by message; without this each of them would
 * decode its whole commit again.
 */
#ifndef HF_API_COMMIT_CACHE_H
#define HF_API_COMMIT_CACHE_H

#include "api/cloudevents.h"
#include "base/shared_bytes.h"

#define HF_COMMIT_CACHE_ENTRIES 64
#define HF_COMMIT_CACHE_BYTES   (8u << 20) /* of frames; one may be larger */

struct hf_cached_commit {
    uint64_t position;             /* 0: free */
    uint64_t used;                 /* when last, by the cache's count */
    struct hf_shared_bytes *frame; /* owned reference */
    struct hf_arena arena;         /* of what follows */
    const struct hf_commit *commit;
    struct hf_cloud_context context;
};

struct hf_commit_cache {
    struct hf_cached_commit entries[HF_COMMIT_CACHE_ENTRIES];
    uint64_t uses;
    uint64_t bytes; /* of the entries' frames */
};

void hf_commit_cache_release(struct hf_commit_cache *cache); /* also of one that is all zero */
/* The commit at `position`, whose frame this is; lives until the next call. NULL: memory is short. */
const struct hf_cached_commit *hf_commit_cache_get(struct hf_commit_cache *cache, uint64_t position,
                                                   struct hf_shared_bytes *frame);

#endif
