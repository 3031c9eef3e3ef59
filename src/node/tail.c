#include "node/tail.h"

#include <pthread.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"

#define RING_FRAMES (1u << 16)
#define HEADER_READ 1u /* bytes: one batch comes in any case */

struct hf_tail {
    struct hf_log *log; /* not owned */
    uint64_t bytes_max; /* of frames in the ring */
    pthread_mutex_t mutex;
    /* Under the mutex. */
    struct hf_tail_head head;
    struct hf_shared_bytes **ring;      /* RING_FRAMES; owned references */
    uint64_t ring_first;                /* position of the oldest one */
    uint64_t ring_count;                /* frames */
    uint64_t ring_bytes;                /* sum of their sizes */
    struct hf_tail_listener *listeners; /* linked */
    bool has_mark;
    uint64_t mark; /* see hf_tail_mark */
};

static void lock(struct hf_tail *tail)
{
    HF_CHECK(pthread_mutex_lock(&tail->mutex) == 0);
}

static void unlock(struct hf_tail *tail)
{
    HF_CHECK(pthread_mutex_unlock(&tail->mutex) == 0);
}

struct hf_tail *hf_tail_new(struct hf_log *log, uint64_t bytes_max)
{
    struct hf_tail *tail = hf_calloc(1, sizeof(*tail));
    if (tail == NULL) {
        return NULL;
    }
    tail->ring = hf_calloc(RING_FRAMES, sizeof(struct hf_shared_bytes *));
    if (tail->ring == NULL) {
        hf_free(tail);
        return NULL;
    }
    tail->log = log;
    tail->bytes_max = bytes_max;
    HF_CHECK(pthread_mutex_init(&tail->mutex, NULL) == 0);
    return tail;
}

static struct hf_shared_bytes **slot_of(struct hf_tail *tail, uint64_t position)
{
    return &tail->ring[position % RING_FRAMES];
}

static void drop_oldest(struct hf_tail *tail)
{
    struct hf_shared_bytes *frame = *slot_of(tail, tail->ring_first);
    tail->ring_bytes -= frame->size_bytes;
    tail->ring_first++;
    tail->ring_count--;
    hf_shared_bytes_unref(frame);
}

void hf_tail_free(struct hf_tail *tail)
{
    if (tail == NULL) {
        return;
    }
    HF_CHECK(tail->listeners == NULL);
    while (tail->ring_count > 0) {
        drop_oldest(tail);
    }
    hf_free(tail->ring);
    HF_CHECK(pthread_mutex_destroy(&tail->mutex) == 0);
    hf_free(tail);
}

/* ---- the node's thread ---- */

uint64_t hf_tail_time_of(const uint8_t *record, size_t record_bytes)
{
    struct hf_reader reader = hf_reader_over(record, record_bytes);
    (void)hf_read_u8(&reader);                 /* version */
    (void)hf_read_varint(&reader, UINT32_MAX); /* space */
    (void)hf_read_varint(&reader, UINT64_MAX); /* position */
    uint64_t time_us = (uint64_t)hf_read_varint(&reader, UINT64_MAX);
    HF_CHECK(!reader.failed);
    return time_us;
}

static uint64_t time_of_frame(const struct hf_shared_bytes *frame)
{
    return hf_tail_time_of(frame->data + HF_COMMIT_FRAME_BYTES, hf_get_u32(frame->data));
}

static void ring_all(struct hf_tail *tail, bool outward)
{
    for (struct hf_tail_listener *at = tail->listeners; at != NULL; at = at->next) {
        if (outward || !at->outward_only) {
            at->ring(at->context);
        }
    }
}

void hf_tail_open(struct hf_tail *tail, const struct hf_tail_head *head)
{
    lock(tail);
    tail->head = *head;
    tail->head.outward = head->position; /* what is there was not looked at */
    tail->head.open = true;
    unlock(tail);
}

static void add_frame(struct hf_tail *tail, uint64_t position, struct hf_shared_bytes *frame)
{
    if (tail->ring_count == 0) {
        tail->ring_first = position;
    }
    if (tail->ring_count == RING_FRAMES) {
        drop_oldest(tail);
    }
    *slot_of(tail, position) = hf_shared_bytes_ref(frame);
    tail->ring_count++;
    tail->ring_bytes += frame->size_bytes;
}

void hf_tail_publish(struct hf_tail *tail, const struct hf_recent *recent, uint64_t position,
                     uint64_t seq, uint64_t outward)
{
    lock(tail);
    uint64_t next = tail->head.position + 1;
    for (uint64_t at = next; at <= position; at++) {
        struct hf_shared_bytes *frame = hf_recent_frame(recent, at);
        if (frame != NULL) {
            add_frame(tail, at, frame);
        }
        if (frame == NULL) { /* it can be read from the log */
            while (tail->ring_count > 0) {
                drop_oldest(tail);
            }
        } else if (at == position) {
            tail->head.time_us = time_of_frame(frame);
        }
    }
    while (tail->ring_bytes > tail->bytes_max && tail->ring_count > 1) {
        drop_oldest(tail);
    }
    tail->head.position = position;
    tail->head.seq = seq;
    bool moves = outward > tail->head.outward;
    tail->head.outward = hf_max_u64(tail->head.outward, outward);
    ring_all(tail, moves);
    unlock(tail);
}

void hf_tail_close(struct hf_tail *tail)
{
    lock(tail);
    tail->head.open = false;
    ring_all(tail, true);
    unlock(tail);
}

/* ---- any thread: RAM ---- */

void hf_tail_bytes(struct hf_tail *tail, uint64_t *ring_bytes, uint64_t *frame_bytes)
{
    lock(tail);
    *ring_bytes = RING_FRAMES * sizeof(*tail->ring);
    *frame_bytes = tail->ring_bytes + tail->ring_count * sizeof(struct hf_shared_bytes);
    unlock(tail);
}

struct hf_tail_head hf_tail_head(struct hf_tail *tail)
{
    lock(tail);
    struct hf_tail_head head = tail->head;
    unlock(tail);
    return head;
}

void hf_tail_listen(struct hf_tail *tail, struct hf_tail_listener *listener)
{
    lock(tail);
    listener->next = tail->listeners;
    tail->listeners = listener;
    unlock(tail);
}

void hf_tail_unlisten(struct hf_tail *tail, struct hf_tail_listener *listener)
{
    lock(tail);
    struct hf_tail_listener **at = &tail->listeners;
    while (*at != listener) {
        HF_CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = listener->next;
    unlock(tail);
}

enum hf_tail_result hf_tail_take(struct hf_tail *tail, uint64_t from,
                                 struct hf_shared_bytes **frames, size_t count_max, size_t *count)
{
    enum hf_tail_result result = HF_TAIL_COLD;
    *count = 0;
    lock(tail);
    if (from > tail->head.position) {
        result = HF_TAIL_AT_HEAD;
    } else if (tail->ring_count > 0 && from >= tail->ring_first) {
        HF_CHECK(tail->ring_first + tail->ring_count == tail->head.position + 1);
        uint64_t there = tail->head.position - from + 1;
        *count = (size_t)hf_min_u64(there, count_max);
        for (size_t i = 0; i < *count; i++) {
            frames[i] = hf_shared_bytes_ref(*slot_of(tail, from + i));
        }
        result = HF_TAIL_FRAMES;
    }
    unlock(tail);
    return result;
}

/* ---- any thread: disk ---- */

enum hf_err hf_tail_batch(const struct hf_buffer *bytes, size_t *at, struct hf_log_batch *batch,
                          struct hf_error *error)
{
    uint64_t body_checksum;
    const uint8_t *header = bytes->data + *at;
    size_t left = bytes->size_bytes - *at;
    if (left < HF_LOG_HEADER_BYTES || !hf_log_header_decode(header, batch, &body_checksum) ||
        batch->body_bytes > left - HF_LOG_HEADER_BYTES) {
        return hf_error_set(error, HF_ERR_CORRUPT, "a batch of the log is not whole");
    }
    batch->body = header + HF_LOG_HEADER_BYTES;
    *at += HF_LOG_HEADER_BYTES + batch->body_bytes;
    return HF_ERR_OK;
}

/* The first batch that `out` has from `at` on. */
static enum hf_err decode_first(const struct hf_buffer *out, size_t at, struct hf_log_batch *batch,
                                struct hf_error *error)
{
    return hf_tail_batch(out, &at, batch, error);
}

enum hf_err hf_tail_read(struct hf_tail *tail, uint64_t position, uint64_t seq_hint,
                         size_t bytes_max, struct hf_buffer *out, struct hf_error *error)
{
    const struct hf_log_driver *driver = tail->log->driver;
    uint64_t seq = seq_hint;
    uint32_t batches = 0;
    struct hf_log_batch batch = {0};
    size_t at = out->size_bytes;
    enum hf_err err = HF_ERR_OK;
    if (seq == 0) {
        err = driver->seek(tail->log, position, &seq, error);
    }
    if (err == HF_ERR_OK) {
        err = driver->read(tail->log, seq, bytes_max, out, &batches, error);
    }
    if (err == HF_ERR_OK && batches == 0) {
        err = hf_error_set(error, HF_ERR_CORRUPT, "the log does not hold batch %llu",
                           (unsigned long long)seq);
    }
    if (err == HF_ERR_OK) {
        err = decode_first(out, at, &batch, error);
    }
    if (err == HF_ERR_OK && (position < batch.first_position ||
                             position - batch.first_position >= batch.commit_count)) {
        err = hf_error_set(error, HF_ERR_CORRUPT, "batch %llu does not hold position %llu",
                           (unsigned long long)seq, (unsigned long long)position);
    }
    return err;
}

/* Batch `seq` alone, or the first one that is left if it was trimmed meanwhile (*seq follows). */
static enum hf_err read_batch(struct hf_tail *tail, uint64_t *seq, struct hf_buffer *bytes,
                              struct hf_log_batch *batch, struct hf_error *error)
{
    const struct hf_log_driver *driver = tail->log->driver;
    enum hf_err err;
    uint32_t batches;
    do {
        hf_buffer_clear(bytes);
        *seq = hf_max_u64(*seq, driver->first_seq(tail->log));
        err = driver->read(tail->log, *seq, HEADER_READ, bytes, &batches, error);
    } while (err == HF_ERR_NOT_FOUND && driver->first_seq(tail->log) > *seq);
    if (err == HF_ERR_OK && batches == 0) {
        err = hf_error_set(error, HF_ERR_NOT_FOUND, "there is no batch %llu",
                           (unsigned long long)*seq);
    }
    return err == HF_ERR_OK ? decode_first(bytes, 0, batch, error) : err;
}

enum hf_err hf_tail_first(struct hf_tail *tail, uint64_t *position, struct hf_error *error)
{
    struct hf_buffer bytes;
    struct hf_log_batch batch;
    uint64_t seq = 1;
    hf_buffer_init(&bytes);
    *position = 1;
    enum hf_err err = HF_ERR_OK;
    if (tail->log->driver->first_seq(tail->log) > 1) {
        err = read_batch(tail, &seq, &bytes, &batch, error);
        *position = err == HF_ERR_OK ? batch.first_position : 1;
    }
    hf_buffer_release(&bytes);
    return err;
}

enum hf_err hf_tail_mark(struct hf_tail *tail, uint64_t *mark, struct hf_error *error)
{
    lock(tail);
    bool known = tail->has_mark;
    *mark = tail->mark;
    unlock(tail);
    if (known) {
        return HF_ERR_OK;
    }
    struct hf_buffer bytes;
    struct hf_log_batch batch;
    uint64_t seq = 1;
    hf_buffer_init(&bytes);
    enum hf_err err = read_batch(tail, &seq, &bytes, &batch, error);
    if (err == HF_ERR_OK) {
        /* The tag itself is in no answer: who knew it could write bytes that look like a record of this log. */
        uint8_t tag[8];
        hf_put_u64(tag, batch.log_tag);
        struct hf_sha256_part parts[] = {{"holdfast log mark", 17}, {tag, sizeof(tag)}};
        struct hf_hash hash = hf_sha256_parts(parts, HF_ARRAY_COUNT(parts));
        *mark = hf_get_u64(hash.bytes);
        lock(tail);
        tail->mark = *mark;
        tail->has_mark = true;
        unlock(tail);
    }
    hf_buffer_release(&bytes);
    return err;
}

/* The time of a batch's first commit. */
static uint64_t first_time(const struct hf_log_batch *batch)
{
    struct hf_commit_frame frame;
    size_t at = 0;
    HF_CHECK(hf_commit_frame_next(batch->body, batch->body_bytes, &at, &frame));
    return hf_tail_time_of(frame.record, frame.record_bytes);
}

/* The first position in the batch with this time or a later one; one behind the batch: none. */
static uint64_t search_batch(const struct hf_log_batch *batch, uint64_t time_us)
{
    struct hf_commit_frame frame;
    size_t at = 0;
    uint64_t position = batch->first_position;
    while (hf_commit_frame_next(batch->body, batch->body_bytes, &at, &frame) &&
           hf_tail_time_of(frame.record, frame.record_bytes) < time_us) {
        position++;
    }
    return position;
}

/* Times strictly increase: the last batch that begins before time_us holds the answer, or ends just before it. */
static enum hf_err search(struct hf_tail *tail, uint64_t time_us, uint64_t last_seq,
                          struct hf_buffer *bytes, uint64_t *position, struct hf_error *error)
{
    struct hf_log_batch batch = {0};
    uint64_t low = 1;
    uint64_t high = last_seq;
    enum hf_err err = read_batch(tail, &low, bytes, &batch, error);
    if (err != HF_ERR_OK || first_time(&batch) >= time_us) {
        *position = err == HF_ERR_OK ? batch.first_position : 0;
        return err;
    }
    while (err == HF_ERR_OK && low < high) { /* low begins before time_us; all behind high do not */
        uint64_t middle = low + (high - low + 1) / 2;
        err = read_batch(tail, &middle, bytes, &batch, error);
        if (err == HF_ERR_OK && middle <= high && first_time(&batch) < time_us) {
            low = middle;
        } else {
            high = middle <= high ? middle - 1 : low;
        }
    }
    if (err == HF_ERR_OK) {
        err = read_batch(tail, &low, bytes, &batch, error);
    }
    *position = err == HF_ERR_OK ? search_batch(&batch, time_us) : 0;
    return err;
}

enum hf_err hf_tail_at_time(struct hf_tail *tail, uint64_t time_us, uint64_t *position,
                            struct hf_error *error)
{
    struct hf_tail_head head = hf_tail_head(tail);
    if (head.position == 0 || time_us > head.time_us) {
        *position = head.position + 1;
        return HF_ERR_OK;
    }
    struct hf_buffer bytes;
    hf_buffer_init(&bytes);
    enum hf_err err = search(tail, time_us, head.seq, &bytes, position, error);
    hf_buffer_release(&bytes);
    return err;
}
