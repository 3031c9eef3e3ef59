/*
 * A source: commits of the log for one thread of the feed, decoded once for all of its readers.
 *
 * Owns: what it has read: references to frames of the tail's ring with what they decode to, or blocks of the log from the
 * disk. Must never: hold more than its fixed number of each; be used by two threads. Called by: the feed's lanes,
 * through its readers.
 *
 * 1. A source of RAM never touches the disk: what is not in the ring is COLD. One of the disk gives back to RAM (HOT) what
 *    the ring has by now, and the head.
 * 2. A commit that was given lives until the next call.
 */
#ifndef HF_API_FEED_SOURCE_H
#define HF_API_FEED_SOURCE_H

#include "api/cloudevents.h"
#include "node/tail.h"

#define HF_FEED_WINDOW 64u  /* frames taken from the ring at once */
#define HF_FEED_SLOTS  128u /* decoded commits kept, and one for those of large frames */
#define HF_FEED_BLOCKS 8u   /* of the log, read from the disk */

struct hf_feed_commit {
    uint64_t position; /* 0: nothing */
    struct hf_commit commit;
    struct hf_cloud_context context;
    size_t bytes; /* of its frame */
};

struct hf_feed_slot {
    struct hf_feed_commit decoded;
    struct hf_shared_bytes *frame; /* owned reference */
    struct hf_arena arena;         /* of decoded */
};

struct hf_feed_block {
    struct hf_buffer bytes; /* batches, as read */
    uint32_t *offsets;      /* of the frames in bytes; owned */
    size_t count;           /* frames */
    size_t capacity;        /* of offsets */
    uint64_t first;         /* position of the first frame */
    uint64_t next_seq;      /* batch behind it */
    uint64_t used;          /* when last, by the source's count; 0 = empty */
};

struct hf_feed_source {
    struct hf_tail *tail;
    bool disk; /* else RAM */
    /* RAM */
    struct hf_shared_bytes *window[HF_FEED_WINDOW]; /* owned references */
    uint64_t window_first;
    size_t window_count;
    struct hf_feed_slot slots[HF_FEED_SLOTS + 1];
    /* disk */
    struct hf_feed_block blocks[HF_FEED_BLOCKS];
    uint64_t uses;
    struct hf_arena arena;         /* of current */
    struct hf_feed_commit current; /* its texts point into a block */
};

enum hf_feed_got {
    HF_FEED_GOT,
    HF_FEED_AT_HEAD, /* not durable yet */
    HF_FEED_COLD,    /* of RAM: it must be read from the disk */
    HF_FEED_HOT,     /* of the disk: RAM has it, or will have */
    HF_FEED_GONE,    /* trimmed */
    HF_FEED_BROKEN,  /* see error */
};

void hf_feed_source_init(struct hf_feed_source *source, struct hf_tail *tail, bool disk);
void hf_feed_source_release(struct hf_feed_source *source);
/* Nobody reads now: gives back what is large. */
void hf_feed_source_rest(struct hf_feed_source *source);

enum hf_feed_got hf_feed_source_get(struct hf_feed_source *source, uint64_t position,
                                    const struct hf_feed_commit **commit, struct hf_error *error);

#endif
