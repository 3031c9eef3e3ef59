#include "cli/walk.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/check.h"
#include "log/log_file.h"

#define READ_BYTES (4u << 20) /* of the log at once */

enum hf_err hf_walk_open_log(struct hf_outside *outside, const char *directory, struct hf_log **log,
                             struct hf_error *error)
{
    struct hf_limits limits = hf_limits_default();
    struct hf_log_file_options options = {.directory = directory,
                                          .segment_bytes_first = limits.segment_bytes_first,
                                          .segment_bytes_max = limits.segment_bytes_max};
    return hf_log_file_open(outside, &options, log, error);
}

void hf_walk_init(struct hf_walk *walk, struct hf_log *log)
{
    *walk = (struct hf_walk){.log = log};
    hf_buffer_init(&walk->bytes);
    hf_arena_init(&walk->arena);
}

void hf_walk_release(struct hf_walk *walk)
{
    hf_buffer_release(&walk->bytes);
    hf_arena_release(&walk->arena);
}

bool hf_walk_is_owned(const char *directory)
{
    char path[4096];
    int length = snprintf(path, sizeof(path), "%s/lock", directory);
    int fd = length < 0 || (size_t)length >= sizeof(path) ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    bool owned = fcntl(fd, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
    (void)close(fd);
    return owned;
}

/* Is this position in the log? */
static enum hf_err has_position(struct hf_log *log, uint64_t position, bool *has,
                                struct hf_error *error)
{
    uint64_t seq;
    enum hf_err code = log->driver->seek(log, position, &seq, error);
    *has = code == HF_ERR_OK;
    return code == HF_ERR_NOT_FOUND ? HF_ERR_OK : code;
}

enum hf_err hf_walk_limit(struct hf_walk *walk, struct hf_error *error)
{
    uint64_t low = 0; /* in the log, or 0 */
    uint64_t high = 1;
    bool has = true;
    while (has && high < UINT64_MAX / 2) { /* the first power of two that is beyond the head */
        enum hf_err code = has_position(walk->log, high, &has, error);
        if (code != HF_ERR_OK) {
            return code;
        }
        low = has ? high : low;
        high = has ? 2 * high : high;
    }
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        enum hf_err code = has_position(walk->log, middle, &has, error);
        if (code != HF_ERR_OK) {
            return code;
        }
        low = has ? middle : low;
        high = has ? high : middle;
    }
    walk->limit = low == 0 ? 1 : low;
    return HF_ERR_OK;
}

static enum hf_err broken(const struct hf_walk *walk, struct hf_error *error, const char *what)
{
    return hf_error_set(
        error, HF_ERR_CORRUPT, "batch %llu (commits %llu to %llu): %s",
        (unsigned long long)walk->batch.seq, (unsigned long long)walk->batch.first_position,
        (unsigned long long)(walk->batch.first_position + walk->batch.commit_count - 1), what);
}

/* Takes the next batch and compares where it stands with where the walk is. */
static enum hf_err begin_batch(struct hf_walk *walk, struct hf_error *error)
{
    enum hf_err code = hf_log_batch_decode(walk->bytes.data, walk->bytes.size_bytes,
                                           &walk->bytes_at, &walk->batch, error);
    if (code != HF_ERR_OK) {
        return hf_error_wrap(error, "behind batch %llu", (unsigned long long)walk->head.seq);
    }
    const struct hf_log_batch *batch = &walk->batch;
    if (batch->seq != walk->head.seq + 1 || batch->first_position != walk->head.position + 1) {
        return broken(walk, error, "does not follow the batch before it");
    }
    if (batch->epoch < walk->head.epoch) {
        return broken(walk, error, "the epoch falls");
    }
    if (!hf_hash_equal(&batch->hash_before, &walk->head.hash)) {
        return broken(walk, error, "the hash chain is broken before it");
    }
    if (!hf_log_batch_chain_ok(batch)) {
        return broken(walk, error, "its commits do not give the hash that it says");
    }
    walk->head.epoch = batch->epoch;
    walk->batch_left = batch->commit_count;
    walk->body_at = 0;
    return HF_ERR_OK;
}

static enum hf_err read_more(struct hf_walk *walk, struct hf_error *error)
{
    hf_buffer_clear(&walk->bytes);
    walk->bytes_at = 0;
    uint32_t batches;
    if (walk->head.seq == 0) {
        uint64_t first = walk->log->driver->first_seq(walk->log);
        if (first > 1) {
            return hf_error_set(error, HF_ERR_NOT_FOUND,
                                "the log begins with batch %llu: what is before it was trimmed, so "
                                "it can't be replayed from zero",
                                (unsigned long long)first);
        }
    }
    enum hf_err code = walk->log->driver->read(walk->log, walk->head.seq + 1, READ_BYTES,
                                               &walk->bytes, &batches, error);
    if (code != HF_ERR_OK) {
        return hf_error_wrap(error, "behind commit %llu", (unsigned long long)walk->head.position);
    }
    walk->end = batches == 0;
    return HF_ERR_OK;
}

/* Behind the last commit of a batch. */
static enum hf_err end_batch(struct hf_walk *walk, struct hf_error *error)
{
    if (walk->body_at != walk->batch.body_bytes ||
        !hf_hash_equal(&walk->head.hash, &walk->batch.hash_after)) {
        return broken(walk, error, "it does not end where it says");
    }
    walk->head.seq = walk->batch.seq;
    return HF_ERR_OK;
}

static enum hf_err take_commit(struct hf_walk *walk, struct hf_error *error)
{
    if (!hf_commit_frame_next(walk->batch.body, walk->batch.body_bytes, &walk->body_at,
                              &walk->frame)) {
        return broken(walk, error, "it holds fewer commits than it says");
    }
    hf_arena_clear(&walk->arena);
    enum hf_err code =
        hf_commit_decode(walk->frame.record, walk->frame.record_bytes, walk->frame.payload,
                         walk->frame.payload_bytes, &walk->arena, &walk->commit, error);
    if (code != HF_ERR_OK) {
        return hf_error_wrap(error, "commit %llu", (unsigned long long)walk->head.position + 1);
    }
    if (walk->commit.position != walk->head.position + 1 ||
        walk->commit.space != walk->batch.space) {
        return hf_error_set(error, HF_ERR_CORRUPT, "commit %llu: its record says position %llu",
                            (unsigned long long)walk->head.position + 1,
                            (unsigned long long)walk->commit.position);
    }
    walk->head.position++;
    walk->head.hash = hf_log_chain(&walk->head.hash, walk->frame.record, walk->frame.record_bytes);
    walk->batch_left--;
    return walk->batch_left == 0 ? end_batch(walk, error) : HF_ERR_OK;
}

enum hf_err hf_walk_next(struct hf_walk *walk, struct hf_error *error)
{
    if (walk->batch_left == 0) {
        walk->end = walk->limit != 0 && walk->head.position >= walk->limit;
        if (walk->end) {
            return HF_ERR_OK;
        }
        if (walk->bytes_at == walk->bytes.size_bytes) {
            enum hf_err code = read_more(walk, error);
            if (code != HF_ERR_OK || walk->end) {
                return code;
            }
        }
        enum hf_err code = begin_batch(walk, error);
        if (code != HF_ERR_OK) {
            return code;
        }
    }
    return take_commit(walk, error);
}
