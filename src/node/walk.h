/*
 * A walk over the log that believes nothing.
 *
 * Owns: the bytes read last and what is decoded from them. Must never: take the log over, change
 * it, or hand out a commit before its checksums, its place and the hash chain were compared.
 * Called by: verify, export, backup, import of events (for the result); the running audit.
 *
 * 1. seq and position follow without gaps, epochs do not fall, each batch's hash_before is the hash
 *    behind the batch before it, each commit continues the chain, its record decodes.
 * 2. What a step holds lives until the next call.
 * 3. A walk that begins behind the log's first batch believes one thing: where that batch says that it stands, and the hash
 *    before it.
 */
#ifndef HF_NODE_WALK_H
#define HF_NODE_WALK_H

#include "core/commit.h"
#include "log/log.h"

struct hf_walk {
    struct hf_log *log;           /* borrowed */
    struct hf_buffer bytes;       /* batches read */
    size_t bytes_at;              /* of the next batch in it */
    size_t body_at;               /* of the next frame in the batch's body */
    uint32_t batch_left;          /* commits of the batch that are still to come */
    struct hf_log_batch batch;    /* current one */
    struct hf_buffer hashes;      /* of the chain behind each of its commits */
    struct hf_log_head head;      /* behind the last step */
    struct hf_arena arena;        /* the commit */
    struct hf_commit commit;      /* decoded */
    struct hf_commit_frame frame; /* its bytes */
    uint64_t limit;               /* ends with the batch that holds this position; 0 = never */
    bool compact;                 /* the walker's: strips stay such */
    bool believes;                /* the next batch says where the walk is */
    bool end;                     /* the log's end, or the limit, was met: no commit */
};

void hf_walk_init(struct hf_walk *walk, struct hf_log *log);
void hf_walk_release(struct hf_walk *walk);
/* Limits the walk to what is in the log now: a living owner may write faster than a walk reads. */
enum hf_err hf_walk_limit(struct hf_walk *walk, struct hf_error *error) HF_WARN_UNUSED;
/* To batch `seq`: from there on everything is compared again. */
void hf_walk_begin(struct hf_walk *walk, uint64_t seq);
/* Behind damage that hf_walk_next has met: to the next batch that can be found; at the worst to walk->end. The walk must have a
 * limit. CORRUPT is not among its errors. */
enum hf_err hf_walk_skip(struct hf_walk *walk, struct hf_error *error) HF_WARN_UNUSED;
/* The next commit, or walk->end. CORRUPT: damage, and the text says where; IO, NO_MEMORY. */
enum hf_err hf_walk_next(struct hf_walk *walk, struct hf_error *error) HF_WARN_UNUSED;

#endif
