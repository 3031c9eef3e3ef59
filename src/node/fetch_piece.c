/* Commits out of the log: whole batches are read and checked, a commit is found in one. */
#include "base/check.h"
#include "node/fetch_priv.h"

#define FETCH_READ_BYTES                                                                           \
    (4u << 10) /* of the log for one commit; a batch comes whole in any case… */
#define FETCH_NEAR_BYTES (64u << 10) /* …and at once if it lies not far behind the one before */
#define NEAR_COMMITS     256u

static bool in_batch(const struct hf_fetch_piece *piece, uint64_t position)
{
    return piece->has_batch && position >= piece->batch.first_position &&
           position - piece->batch.first_position < piece->batch.commit_count;
}

/* Not far behind what was read? Then there is likely more of it. */
static bool is_near(const struct hf_fetch_piece *piece, uint64_t position)
{
    return piece->has_batch && position > piece->batch.first_position &&
           position - piece->batch.first_position < NEAR_COMMITS;
}

/* Walks on in what was read. */
static bool find_ahead(struct hf_fetch_piece *piece, uint64_t position)
{
    while (piece->has_batch && !in_batch(piece, position) &&
           position > piece->batch.first_position && piece->at < piece->bytes.size_bytes) {
        piece->has_batch =
            hf_log_batch_decode_checked(piece->bytes.data, piece->bytes.size_bytes, &piece->at,
                                        &piece->batch, NULL) == HF_ERR_OK;
    }
    return in_batch(piece, position);
}

static enum hf_err find_batch(struct hf_node *node, struct hf_fetch_piece *piece, uint64_t position,
                              struct hf_error *error)
{
    const struct hf_log_driver *driver = node->log->driver;
    uint64_t seq;
    uint32_t batches;
    if (find_ahead(piece, position)) {
        return HF_ERR_OK;
    }
    size_t read_bytes = is_near(piece, position) ? FETCH_NEAR_BYTES : FETCH_READ_BYTES;
    hf_buffer_clear(&piece->bytes);
    piece->at = 0;
    piece->has_batch = false;
    enum hf_err err = driver->seek(node->log, position, &seq, error);
    if (err == HF_ERR_OK) {
        err = driver->read(node->log, seq, read_bytes, &piece->bytes, &batches, error);
    }
    if (err == HF_ERR_OK) {
        err = hf_log_batch_decode_checked(piece->bytes.data, piece->bytes.size_bytes, &piece->at,
                                          &piece->batch, error);
    }
    piece->has_batch = err == HF_ERR_OK;
    if (err == HF_ERR_OK && !in_batch(piece, position)) {
        return hf_error_set(error, HF_ERR_CORRUPT, "batch %llu does not hold position %llu",
                            (unsigned long long)seq, (unsigned long long)position);
    }
    return err;
}

bool hf_fetch_keep(struct hf_request *request, uint64_t position,
                   const struct hf_commit_frame *frame, uint64_t *left_bytes)
{
    HF_CHECK(frame->record != NULL);
    size_t size = HF_COMMIT_FRAME_BYTES + frame->record_bytes + frame->payload_bytes;
    struct hf_shared_bytes *bytes = hf_shared_bytes_new(size);
    if (bytes == NULL) {
        return false;
    }
    memcpy(bytes->data, frame->record - HF_COMMIT_FRAME_BYTES, size);
    bool added = hf_records_add_frame(&request->records, position, bytes);
    *left_bytes -= hf_min_u64(*left_bytes, size);
    hf_shared_bytes_unref(bytes);
    return added;
}

enum hf_err hf_fetch_find(struct hf_node *node, struct hf_fetch_piece *piece, uint64_t position,
                          struct hf_commit_frame *frame, struct hf_error *error)
{
    enum hf_err err = find_batch(node, piece, position, error);
    size_t at = 0;
    for (uint64_t i = piece->batch.first_position; err == HF_ERR_OK && i <= position; i++) {
        HF_CHECK(hf_commit_frame_next(piece->batch.body, piece->batch.body_bytes, &at, frame));
    }
    return err;
}

enum hf_err hf_fetch_hint(struct hf_node *node, struct hf_fetch_piece *piece, uint64_t position,
                          struct hf_commit_frame *frame, struct hf_error *error)
{
    const struct hf_log_driver *driver = node->log->driver;
    if (driver->peek == NULL || in_batch(piece, position)) {
        return hf_fetch_find(node, piece, position, frame, error);
    }
    size_t at = 0;
    hf_buffer_clear(&piece->bytes);
    piece->has_batch = false;
    enum hf_err err = driver->peek(node->log, position, &piece->bytes, error);
    if (err == HF_ERR_OK &&
        !hf_commit_frame_next(piece->bytes.data, piece->bytes.size_bytes, &at, frame)) {
        err = hf_error_set(error, HF_ERR_CORRUPT, "commit %llu: malformed frame",
                           (unsigned long long)position);
    }
    return err;
}

enum hf_err hf_fetch_frame(struct hf_node *node, struct hf_request *request, uint64_t position,
                           uint64_t *left_bytes, struct hf_fetch_piece *piece,
                           struct hf_error *error)
{
    if (hf_records_frame(&request->records, position) != NULL) {
        return HF_ERR_OK; /* several keys may lead to one commit */
    }
    struct hf_commit_frame frame = {0};
    enum hf_err err = hf_fetch_find(node, piece, position, &frame, error);
    if (err != HF_ERR_OK) {
        return err;
    }
    bool added = hf_fetch_keep(request, position, &frame, left_bytes);
    return added ? HF_ERR_OK : hf_error_set(error, HF_ERR_OVERLOADED, "out of memory");
}
