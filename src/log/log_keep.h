/*
 * Keeping sealed segments: compressed in place, archived to another directory; and what they weigh.
 *
 * Owns: the moves of a segment from `<number>.log` to `<number>.zst` to the archive's `<number>.zst` with a
 * `<number>.ref` in its place. Must never: touch the active segment, remove a file before its successor was synced and
 * read back, block an append. Called by: `holdfast compact` and serve's keeper, each the owner of the directory.
 *
 *     .log ──compress──► .log + .zst ──read back──► .zst ──copy──► .zst + archived ──read back──► .ref + archived
 *
 * 1. At each moment at least one whole form is there, and readers look for them in the order of the arrows: who finds
 *    one gone finds the next one.
 * 2. A crash leaves two forms of one segment at most, and files that end with `.tmp`; the next run ends what was begun.
 * 3. A segment goes only if its commits are all in a checkpoint that the caller names, and if a later segment is active.
 */
#ifndef HF_LOG_LOG_KEEP_H
#define HF_LOG_LOG_KEEP_H

#include "log/log.h"

#define HF_LOG_KEEP_NEVER UINT64_MAX /* as a number of segments: don't */

/* Told of bytes that were read or written, between two pieces of some 128 KiB; may sleep. false: stop (HF_ERR_CLOSED). */
struct hf_log_work {
    bool (*go_on)(void *context, uint64_t bytes); /* NULL: always */
    void *context;                                /* its */
};

struct hf_log_keep_policy {
    uint64_t position;       /* in a checkpoint; segments with commits behind it stay as they are */
    uint64_t compress_after; /* compress all but so many of the others, the newest; or NEVER */
    uint64_t archive_after;  /* archive all but so many of them, or NEVER */
    const char *archive;     /* directory, absolute; made if it is not there; NULL: don't archive */
    bool archive_moved;      /* references whose files are in `archive` now follow them there */
    uint64_t segments_max;   /* stop when so many were moved; 0: no limit */
};

struct hf_log_kept {
    uint64_t compressed; /* segments */
    uint64_t archived;   /* segments */
    uint64_t followed;   /* references */
    uint64_t from_bytes; /* of the segments that were compressed */
    uint64_t to_bytes;   /* and what became of them */
};

/* log: of the file driver, opened to read by this thread alone. Stops at the first segment that can't be moved, which
 * stays as it is: CORRUPT, IO, NO_SPACE, NO_MEMORY, EXISTS (the archive holds another segment of that name), CLOSED.
 * kept is right in any case. */
enum hf_err hf_log_keep(struct hf_log *log, const struct hf_log_keep_policy *policy,
                        const struct hf_log_work *work, struct hf_log_kept *kept,
                        struct hf_error *error);

/* Where the log's bytes are. A segment that is there in two forms counts in both. */
struct hf_log_bytes {
    uint64_t plain_segments, plain_bytes; /* the active one and the one in the making too */
    uint64_t compressed_segments, compressed_bytes; /* in the data directory */
    uint64_t archived_segments, archived_bytes;     /* as noted here when they were archived */
};
enum hf_err hf_log_bytes(struct hf_outside *outside, const char *directory,
                         struct hf_log_bytes *bytes, struct hf_error *error);

/* Reads every compressed and archived segment wholly, also what no batch covers. Damage, and what can't be reached, is told
 * segment by segment with file and offset; the return value is of what ended the check (LIST, NO_MEMORY, CLOSED). */
typedef void (*hf_log_finding_fn)(void *context, const struct hf_error *finding);
enum hf_err hf_log_check_packs(struct hf_log *log, const struct hf_log_work *work,
                               hf_log_finding_fn each, void *context, struct hf_error *error);

#endif
