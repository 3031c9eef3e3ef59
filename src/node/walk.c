#include "node/walk.h"

#include "base/check.h"

#define READ_BYTES (4u << 20) /* of the log at once */

void hf_walk_init(struct hf_walk *walk, struct hf_log *log)
{
    *walk = (struct hf_walk){.log = log};
    hf_buffer_init(&walk->bytes);
    hf_buffer_init(&walk->hashes);
    hf_arena_init(&walk->arena);
}

void hf_walk_release(struct hf_walk *walk)
{
    hf_buffer_release(&walk->bytes);
    hf_buffer_release(&walk->hashes);
    hf_arena_release(&walk->arena);
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

void hf_walk_begin(struct hf_walk *walk, uint64_t seq)
{
    HF_CHECK(seq > 0);
    hf_buffer_clear(&walk->bytes);
    walk->bytes_at = 0;
    walk->batch_left = 0;
    walk->head = (struct hf_log_head){.seq = seq - 1};
    walk->believes = seq > 1;
    walk->end = false;
}

/* The first batch behind the position that can be found although something before it can't be read. */
static enum hf_err find_behind(struct hf_walk *walk, uint64_t position, uint64_t *seq,
                               struct hf_error *error)
{
    const struct hf_log_driver *driver = walk->log->driver;
    uint64_t low = position; /* can't be found, as far as is known */
    uint64_t high = walk->limit;
    enum hf_err code = driver->seek(walk->log, high, seq, error);
    while (code == HF_ERR_OK && high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        uint64_t found;
        enum hf_err err = driver->seek(walk->log, middle, &found, error);
        if (err == HF_ERR_OK) {
            high = middle;
            *seq = found;
        } else if (err == HF_ERR_CORRUPT) {
            low = middle;
        } else {
            code = err;
        }
    }
    return code;
}

enum hf_err hf_walk_skip(struct hf_walk *walk, struct hf_error *error)
{
    uint64_t seq = walk->head.seq + 2; /* behind the one that could not be taken */
    uint64_t position = walk->head.position;
    struct hf_log_batch batch;
    uint32_t batches;
    size_t at = 0;
    hf_walk_begin(walk, seq);
    enum hf_err code = walk->log->driver->read(walk->log, seq, 1, &walk->bytes, &batches, error);
    if (code == HF_ERR_OK && batches > 0) {
        code = hf_log_batch_decode(walk->bytes.data, walk->bytes.size_bytes, &at, &batch, error);
    }
    walk->end = code == HF_ERR_OK && batches == 0;
    if (code != HF_ERR_CORRUPT) {
        return code;
    }
    code = position >= walk->limit ? HF_ERR_CORRUPT : find_behind(walk, position, &seq, error);
    if (code == HF_ERR_OK) {
        hf_walk_begin(walk, seq);
    }
    walk->end = code == HF_ERR_CORRUPT;
    return code == HF_ERR_CORRUPT ? HF_ERR_OK : code;
}

static enum hf_err broken(const struct hf_walk *walk, struct hf_error *error, const char *what)
{
    return hf_error_set(
        error, HF_ERR_CORRUPT, "batch %llu (commits %llu to %llu): %s",
        (unsigned long long)walk->batch.seq, (unsigned long long)walk->batch.first_position,
        (unsigned long long)(walk->batch.first_position + walk->batch.commit_count - 1), what);
}

/* Follows the chain through the batch, before any of its commits is handed out. */
static enum hf_err check_chain(struct hf_walk *walk, struct hf_error *error)
{
    const struct hf_log_batch *batch = &walk->batch;
    struct hf_hash hash = batch->hash_before;
    struct hf_commit_frame frame;
    size_t at = 0;
    hf_buffer_clear(&walk->hashes);
    while (hf_commit_frame_next(batch->body, batch->body_bytes, &at, &frame)) {
        hash = hf_log_chain(&hash, frame.record, frame.record_bytes);
        hf_buffer_bytes(&walk->hashes, hash.bytes, sizeof(hash.bytes));
    }
    if (walk->hashes.failed) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory for batch %llu",
                            (unsigned long long)batch->seq);
    }
    return hf_hash_equal(&hash, &batch->hash_after)
               ? HF_ERR_OK
               : broken(walk, error, "its commits do not give the hash that it says");
}

/* Takes the next batch and compares where it stands with where the walk is. */
static enum hf_err begin_batch(struct hf_walk *walk, struct hf_error *error)
{
    enum hf_err code = hf_log_batch_decode_checked(walk->bytes.data, walk->bytes.size_bytes,
                                                   &walk->bytes_at, &walk->batch, error);
    if (code != HF_ERR_OK) {
        return hf_error_wrap(error, "behind batch %llu", (unsigned long long)walk->head.seq);
    }
    const struct hf_log_batch *batch = &walk->batch;
    if (walk->believes) {
        walk->believes = false;
        walk->head.position = batch->first_position - 1;
        walk->head.epoch = batch->epoch;
        walk->head.hash = batch->hash_before;
    }
    if (batch->seq != walk->head.seq + 1 || batch->first_position != walk->head.position + 1) {
        return broken(walk, error, "does not follow the batch before it");
    }
    if (batch->epoch < walk->head.epoch) {
        return broken(walk, error, "the epoch falls");
    }
    if (!hf_hash_equal(&batch->hash_before, &walk->head.hash)) {
        return broken(walk, error, "the hash chain is broken before it");
    }
    code = check_chain(walk, error);
    if (code != HF_ERR_OK) {
        return code;
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
    enum hf_err code = (walk->compact ? hf_commit_decode_compact : hf_commit_decode)(
        walk->frame.record, walk->frame.record_bytes, walk->frame.payload,
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
    size_t number = walk->batch.commit_count - walk->batch_left;
    HF_CHECK((number + 1) * HF_SHA256_BYTES <= walk->hashes.size_bytes);
    memcpy(walk->head.hash.bytes, walk->hashes.data + number * HF_SHA256_BYTES, HF_SHA256_BYTES);
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
