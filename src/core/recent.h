/*
 * The newest part of what would otherwise be cold: index records and whole commits, in RAM.
 *
 * Owns: index records of positions above covered_position, and the frames of the newest commits.
 * Must never: answer for what it does not cover (that is HF_LOOKUP_UNKNOWN, never "absent").
 * Called by: state (evolve adds), view (decide and reads look), node (tells what may be forgotten).
 *
 * 1. Every index record of a commit above covered_position is in `current` or `frozen`.
 * 2. Frames are of the positions first_frame … first_frame + frame_count - 1, without a gap, up to
 *    the state's head; those above the durable position are never dropped.
 * 3. freeze() starts a checkpoint: `frozen` then holds the records up to frozen_position; when the
 *    store covers them, drop_frozen() forgets them.
 */
#ifndef HF_CORE_RECENT_H
#define HF_CORE_RECENT_H

#include "base/shared_bytes.h"
#include "core/index_table.h"

/* Kinds of index keys. Numbers are stored. */
enum hf_index_kind {
    HF_INDEX_TRANSFER = 1,     /* transfer id -> its event, or the refusal that spent it */
    HF_INDEX_HOLD = 2,         /* hold id -> its newest event, or the refusal that spent it */
    HF_INDEX_EVENT = 3,        /* stream event id -> its event */
    HF_INDEX_KEY = 4,          /* principal's key -> the commit */
    HF_INDEX_ACCOUNT = 5,      /* account id -> its opening */
    HF_INDEX_STREAM_EVENT = 6, /* stream id, version -> its event */
    HF_INDEX_DOCUMENT = 7,     /* document id, version -> its event */
    HF_INDEX_REVERSAL = 8,     /* reversed transfer's id -> the newest reversal */
    HF_INDEX_LEASE = 9,        /* lease name -> its newest event */
    HF_INDEX_ENTRY =
        10, /* account id, version -> the entry's event: each HF_ENTRY_STRIDE-th, and of strips finer ones */
    HF_INDEX_MESSAGE = 11, /* message id -> its event */
    HF_INDEX_LINE =
        12, /* uids of subscription and line, number in the line -> the message; flags: its bytes */
    HF_INDEX_DELIVERY =
        13, /* subscription's uid and message's position, its index -> newest event about it */
    HF_INDEX_SAGA = 14, /* saga id -> newest of its STARTED and ENDED; with its version as sub (each
               HF_SAGA_STRIDE-th) -> that event */
    HF_INDEX_KIND_COUNT,
};

/* Entries between two of them are reached by the chain of previous positions. */
#define HF_ENTRY_STRIDE 32u
/* The commit of a strip is large, and an account often has one entry in it: of those so many are passed at most. Such a record may
 * be missing, in runs of before there were any. */
#define HF_ENTRY_STRIDE_FINE 8u

#define HF_SAGA_STRIDE 32u /* the same of a saga's events */

#define HF_INDEX_SPENT 1u /* flag: the id was spent by a refusal */

struct hf_recent {
    struct hf_index_table current;   /* newest records */
    struct hf_index_table frozen;    /* records of a checkpoint under way */
    bool has_frozen;                 /* is `frozen` in use */
    uint64_t frozen_position;        /* frozen covers up to here */
    uint64_t covered_position;       /* the store's index answers for all up to here */
    struct hf_shared_bytes **frames; /* ring of frame_capacity; owned references */
    size_t frame_capacity;           /* power of two, or 0 */
    size_t frame_count;              /* frames kept */
    uint64_t first_frame;            /* position of the oldest one */
    uint64_t frame_bytes;            /* sum of their sizes */
};

void hf_recent_init(struct hf_recent *recent, uint64_t seed);
void hf_recent_release(struct hf_recent *recent);
/* Room for index records and one frame. */
bool hf_recent_reserve(struct hf_recent *recent, size_t records) HF_WARN_UNUSED;
void hf_recent_put(struct hf_recent *recent, const struct hf_index_key *key,
                   const struct hf_index_value *value);
const struct hf_index_value *hf_recent_get(const struct hf_recent *recent,
                                           const struct hf_index_key *key);
/* Asks the CPU for what a get of key will look at first. */
void hf_recent_prefetch(const struct hf_recent *recent, const struct hf_index_key *key);
/* The same of a put. */
void hf_recent_prefetch_put(const struct hf_recent *recent, const struct hf_index_key *key);
/* Keeps a reference of its own. position follows the newest frame's (or starts anew). */
void hf_recent_add_frame(struct hf_recent *recent, uint64_t position,
                         struct hf_shared_bytes *frame);
/* NULL if it is not kept. */
struct hf_shared_bytes *hf_recent_frame(const struct hf_recent *recent, uint64_t position);
/* Drops the oldest frames up to durable_position while they take more than bytes_max. */
void hf_recent_trim(struct hf_recent *recent, uint64_t durable_position, uint64_t bytes_max);

/* Begins a checkpoint at position (the newest put's). Not while has_frozen. */
void hf_recent_freeze(struct hf_recent *recent, uint64_t position);
/* The store covers frozen_position now. */
void hf_recent_drop_frozen(struct hf_recent *recent);

/* Somebody else answers for all records up to position (the newest put's): they are forgotten. Not while has_frozen. */
void hf_recent_cover(struct hf_recent *recent, uint64_t position);

/* Gives back what is kept for the next freeze. */
void hf_recent_drop_spare(struct hf_recent *recent);

#endif
