/*
 * Bytes as encoded batches (bit 0 of the first byte clear; with bit 1 as a body alone), or as
 * damage to a small log (set).
 *
 * Damage: the second byte says how many batches the log has and whether it is sealed; then come
 * triples of u16 offset, u8 xor over state and segment together. With bit 1 of the first byte set
 * the header of each touched batch gets its checksums put right again, so that decoders meet wrong
 * fields in a right frame; else what recovery finds must be a beginning of what was written.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/checksum.h"
#include "log/log_file.h"
#include "log/log_priv.h"
#include "unit/log_support.h"

#define SEGMENT_BYTES (10 * HF_LOG_PAGE_BYTES)
#define STATE_BYTES   (2 * HF_LOG_PAGE_BYTES)
#define BATCHES_MAX   6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- an outside with two files in memory --- */

struct hf_file {
    uint8_t *data;     /* the file */
    size_t size_bytes; /* of data */
};

static uint8_t image[STATE_BYTES + SEGMENT_BYTES]; /* state, then segment 1 */
static struct hf_file state_file = {image, STATE_BYTES};
static struct hf_file segment_file = {image + STATE_BYTES, SEGMENT_BYTES};

static enum hf_err list(struct hf_outside *o, const char *path, hf_list_fn each, void *context,
                        struct hf_error *error)
{
    (void)o, (void)path, (void)error;
    each(context, HF_STR("00000000000000000001.log"));
    each(context, HF_STR("state"));
    return HF_ERR_OK;
}

static enum hf_err fail_path(struct hf_outside *o, const char *path, struct hf_error *error)
{
    (void)o;
    return hf_error_set(error, HF_ERR_IO, "%s: not here", path);
}

static enum hf_err open_file(struct hf_outside *o, const char *path, enum hf_open_mode mode,
                             struct hf_file **file, struct hf_error *error)
{
    (void)o, (void)mode;
    size_t length = strlen(path);
    *file = NULL;
    if (length > 5 && strcmp(path + length - 5, "state") == 0) {
        *file = &state_file;
    } else if (length > 6 && strcmp(path + length - 6, "01.log") == 0) {
        *file = &segment_file;
    }
    return *file != NULL ? HF_ERR_OK : hf_error_set(error, HF_ERR_NOT_FOUND, "%s: not there", path);
}

static void close_file(struct hf_outside *o, struct hf_file *file)
{
    (void)o, (void)file;
}

static enum hf_err size_of(struct hf_outside *o, struct hf_file *file, uint64_t *size_bytes,
                           struct hf_error *error)
{
    (void)o, (void)error;
    *size_bytes = file->size_bytes;
    return HF_ERR_OK;
}

static enum hf_err read_file(struct hf_outside *o, struct hf_file *file, uint64_t offset,
                             void *data, size_t size_bytes, size_t *read_bytes,
                             struct hf_error *error)
{
    (void)o, (void)error;
    *read_bytes = 0;
    if (offset < file->size_bytes) {
        *read_bytes = (size_t)hf_min_u64(size_bytes, file->size_bytes - offset);
        memcpy(data, file->data + offset, *read_bytes);
    }
    return HF_ERR_OK;
}

static enum hf_err write_file(struct hf_outside *o, struct hf_file *file, uint64_t offset,
                              const void *data, size_t size_bytes, struct hf_error *error)
{
    (void)o, (void)error;
    HF_CHECK(offset + size_bytes <= file->size_bytes); /* nothing is appended here */
    memcpy(file->data + offset, data, size_bytes);
    return HF_ERR_OK;
}

static enum hf_err sync_file(struct hf_outside *o, struct hf_file *file, struct hf_error *error)
{
    (void)o, (void)file, (void)error;
    return HF_ERR_OK;
}

static enum hf_err lock_path(struct hf_outside *o, const char *path, bool wait,
                             struct hf_lock **lock, struct hf_error *error)
{
    (void)o, (void)path, (void)wait, (void)error;
    *lock = (struct hf_lock *)&image; /* any address; never looked into */
    return HF_ERR_OK;
}

static void unlock_path(struct hf_outside *o, struct hf_lock *lock)
{
    (void)o, (void)lock;
}

static void drain(struct hf_outside *o, enum hf_worker worker)
{
    (void)o, (void)worker;
}

static struct hf_outside outside = {
    .list = list,
    .remove = fail_path,
    .make_directory = fail_path,
    .sync_directory = fail_path,
    .open = open_file,
    .close = close_file,
    .size = size_of,
    .read = read_file,
    .write = write_file,
    .sync = sync_file,
    .lock = lock_path,
    .unlock = unlock_path,
    .drain = drain,
};

/* --- bytes as batches --- */

static void decode_all(const uint8_t *data, size_t size)
{
    size_t at = 0;
    struct hf_log_batch batch;
    struct hf_error error;
    while (at < size && hf_log_batch_decode(data, size, &at, &batch, &error) == HF_ERR_OK) {
        HF_CHECK(at <= size && batch.body_bytes > 0 && batch.commit_count > 0);
        (void)hf_log_batch_chain_ok(&batch);
        struct hf_buffer again;
        hf_buffer_init(&again);
        hf_log_batch_encode(&batch, &again); /* one encoding only */
        HF_CHECK(memcmp(again.data, data + at - again.size_bytes, again.size_bytes) == 0);
        hf_buffer_release(&again);
    }
}

/* The bytes as a body behind a header that fits it: only the frames can be wrong. */
static void decode_framed(const uint8_t *data, size_t size)
{
    if (size < 9 || size > 65536) {
        return;
    }
    struct hf_log_batch batch = {.seq = 1,
                                 .first_position = 1,
                                 .commit_count = 1 + data[0] % 8u,
                                 .body = data + 1,
                                 .body_bytes = size - 1};
    struct hf_buffer out;
    hf_buffer_init(&out);
    hf_log_batch_encode(&batch, &out);
    decode_all(out.data, out.size_bytes);
    hf_buffer_release(&out);
}

/* --- a damaged log --- */

static const uint8_t log_id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

/* Puts `count` batches and the state into the image; offsets[i] = where batch i is. */
static struct hf_log_head make_image(unsigned count, bool sealed, size_t offsets[BATCHES_MAX])
{
    struct log_model model = {.head.epoch = 1};
    hf_buffer_init(&model.body);
    memset(image, 0, sizeof(image));
    struct hf_log_segment_header header = {
        .number = 1, .size_bytes = SEGMENT_BYTES, .first_seq = 1, .first_position = 1};
    memcpy(header.log_id, log_id, sizeof(log_id));
    hf_log_segment_header_encode(&header, image + STATE_BYTES);
    size_t at = HF_LOG_PAGE_BYTES;
    for (unsigned i = 0; i < count; i++) {
        struct hf_log_batch batch;
        log_model_batch(&model, i == 2 ? 5000 : 300, &batch);
        batch.log_tag = hf_log_tag(log_id);
        uint8_t *to = image + STATE_BYTES + at;
        offsets[i] = STATE_BYTES + at;
        hf_log_header_encode(&batch, to);
        memcpy(to + HF_LOG_HEADER_BYTES, batch.body, batch.body_bytes);
        at += (size_t)hf_log_page_up(HF_LOG_HEADER_BYTES + batch.body_bytes);
        HF_CHECK(at <= SEGMENT_BYTES);
        log_model_acknowledged(&model, &batch);
    }
    struct hf_log_state state = {
        .generation = 5, .epoch = 1, .first_segment = 1, .active_segment = 1, .sealed = sealed};
    memcpy(state.log_id, log_id, sizeof(log_id));
    if (sealed) {
        state.seal_seq = model.head.seq;
        state.seal_position = model.head.position;
        state.seal_hash = model.head.hash;
        state.seal_offset = at;
    }
    hf_log_state_encode(&state, image);
    hf_log_state_encode(&state, image + HF_LOG_PAGE_BYTES);
    hf_buffer_release(&model.body);
    return model.head;
}

static void put_right(uint8_t *header)
{
    uint64_t body_bytes = hf_get_u64(header + 128);
    uint64_t room = (uint64_t)(image + sizeof(image) - header) - HF_LOG_HEADER_BYTES;
    if (body_bytes <= room) {
        hf_put_u64(header + 136, hf_checksum(header + HF_LOG_HEADER_BYTES, (size_t)body_bytes));
    }
    hf_put_u64(header + 152, hf_checksum(header, 152));
}

static enum hf_err take(struct hf_log_head *head, struct hf_log_recovery *recovery,
                        struct hf_log **log)
{
    const struct hf_log_file_options options = {.directory = "d"};
    struct hf_error error;
    enum hf_err code = hf_log_file_open(&outside, &options, log, &error);
    if (code == HF_ERR_OK) {
        code = (*log)->driver->takeover(*log, HF_STR("f"), false, head, recovery, &error);
        if (code != HF_ERR_OK) {
            (*log)->driver->close(*log);
        }
    }
    HF_CHECK(code == HF_ERR_OK || code == HF_ERR_CORRUPT || code == HF_ERR_VERSION);
    return code;
}

/* Reads up to the head, which must be reached. */
static void read_whole(struct hf_log *log, const struct hf_log_head *head)
{
    struct hf_buffer out;
    struct hf_error error;
    uint32_t batches;
    size_t at = 0;
    hf_buffer_init(&out);
    HF_CHECK(log->driver->read(log, 1, SIZE_MAX, &out, &batches, &error) == HF_ERR_OK);
    HF_CHECK(batches == head->seq);
    for (uint32_t i = 0; i < batches; i++) {
        struct hf_log_batch batch;
        HF_CHECK(hf_log_batch_decode(out.data, out.size_bytes, &at, &batch, &error) == HF_ERR_OK);
        HF_CHECK(batch.seq == i + 1);
    }
    HF_CHECK(at == out.size_bytes);
    hf_buffer_release(&out);
}

static void recover(const uint8_t *data, size_t size, bool right)
{
    size_t offsets[BATCHES_MAX] = {0};
    unsigned count = data[0] % (BATCHES_MAX + 1);
    bool sealed = (data[0] & 0x80) != 0;
    struct hf_log_head written = make_image(count, sealed, offsets);
    for (size_t at = 1; at + 3 <= size; at += 3) {
        size_t offset = hf_get_u16(data + at) % sizeof(image);
        image[offset] ^= data[at + 2];
        for (unsigned i = 0; right && i < count; i++) {
            put_right(image + offsets[i]);
        }
    }
    struct hf_log *log;
    struct hf_log_head head;
    struct hf_log_head again;
    struct hf_log_recovery recovery;
    if (take(&head, &recovery, &log) != HF_ERR_OK) {
        return;
    }
    HF_CHECK(right || head.seq <= written.seq);
    HF_CHECK(right || head.seq < written.seq || hf_hash_equal(&head.hash, &written.hash));
    HF_CHECK(!recovery.sealed || !recovery.torn_tail);
    read_whole(log, &head);
    log->driver->close(log);
    HF_CHECK(take(&again, &recovery, &log) == HF_ERR_OK); /* what was accepted once stays so */
    HF_CHECK(!recovery.torn_tail && !recovery.sealed);
    HF_CHECK(again.seq == head.seq && again.epoch == head.epoch + 1);
    log->driver->close(log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    if ((data[0] & 3) == 2) {
        decode_framed(data + 1, size - 1);
    } else if ((data[0] & 1) == 0) {
        decode_all(data + 1, size - 1);
    } else {
        recover(data + 1, size - 1, (data[0] & 2) != 0);
    }
    return 0;
}
