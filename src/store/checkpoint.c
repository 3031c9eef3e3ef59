#include "store/checkpoint.h"

#include "base/alloc.h"
#include "base/check.h"
#include "store/checkpoint_priv.h"

static enum hf_err open_file(struct hf_checkpoint *checkpoint, const char *directory,
                             uint32_t space, uint64_t position, struct hf_error *error)
{
    struct hf_outside *outside = checkpoint->outside;
    const struct hf_checkpoint_meta *meta = &checkpoint->layout.info.meta;
    char path[HF_STORE_PATH_BYTES];
    uint8_t header[HF_STORE_HEADER_BYTES];
    uint64_t file_bytes = 0;
    enum hf_err err = hf_store_path(path, directory, checkpoint->name, "", error);
    if (err == HF_ERR_OK) {
        err = outside->open(outside, path, HF_OPEN_READ, &checkpoint->file, error);
    }
    if (err != HF_ERR_OK) {
        checkpoint->file = NULL;
        return err;
    }
    err = outside->size(outside, checkpoint->file, &file_bytes, error);
    if (err == HF_ERR_OK) {
        err = hf_store_read(outside, checkpoint->file, checkpoint->name, 0, header, sizeof(header),
                            error);
    }
    if (err == HF_ERR_OK) {
        err = hf_checkpoint_header_decode(header, file_bytes, checkpoint->name, &checkpoint->layout,
                                          error);
    }
    if (err == HF_ERR_OK && (meta->position != position || meta->space != space)) {
        err = hf_error_set(error, HF_ERR_CORRUPT,
                           "%s: the header is that of position %llu in space %u", checkpoint->name,
                           (unsigned long long)meta->position, meta->space);
    }
    return err;
}

static enum hf_err bad_runs(const struct hf_checkpoint *checkpoint, struct hf_error *error)
{
    return hf_error_set(error, HF_ERR_CORRUPT, "%s: its list of runs is malformed",
                        checkpoint->name);
}

static enum hf_err read_runs(struct hf_checkpoint *checkpoint, struct hf_checkpoint_stream *stream,
                             struct hf_error *error)
{
    uint8_t encoded[HF_CHECKPOINT_RUN_BYTES] = {0};
    enum hf_err err = hf_checkpoint_stream_read(stream, encoded, 4, error);
    if (err != HF_ERR_OK) {
        return err;
    }
    uint32_t count = hf_get_u32(encoded);
    if (count > HF_CHECKPOINT_RUNS_MAX ||
        hf_checkpoint_stream_left(stream) != (uint64_t)count * HF_CHECKPOINT_RUN_BYTES) {
        return bad_runs(checkpoint, error);
    }
    checkpoint->runs = hf_calloc(count, sizeof(*checkpoint->runs));
    if (checkpoint->runs == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "open %s: memory is short", checkpoint->name);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct hf_run_ref *run = &checkpoint->runs[i];
        err = hf_checkpoint_stream_read(stream, encoded, sizeof(encoded), error);
        if (err != HF_ERR_OK) {
            return err;
        }
        run->from_position = hf_get_u64(encoded);
        run->to_position = hf_get_u64(encoded + 8);
        run->generation = hf_get_u32(encoded + 16);
        run->size_bytes = hf_get_u64(encoded + 20);
        memcpy(run->hash.bytes, encoded + 28, HF_SHA256_BYTES);
        if (run->from_position > run->to_position || run->size_bytes == 0 ||
            (i > 0 && run->to_position >= run[-1].from_position)) {
            return bad_runs(checkpoint, error);
        }
    }
    checkpoint->run_count = count;
    return HF_ERR_OK;
}

static enum hf_err load_runs(struct hf_checkpoint *checkpoint, struct hf_error *error)
{
    if (checkpoint->layout.info.section_bytes[HF_CHECKPOINT_RUNS] == 0) {
        return HF_ERR_OK;
    }
    struct hf_checkpoint_stream stream;
    enum hf_err err = hf_checkpoint_stream_init(&stream, checkpoint, HF_CHECKPOINT_RUNS, error);
    if (err == HF_ERR_OK) {
        err = read_runs(checkpoint, &stream, error);
    }
    hf_checkpoint_stream_release(&stream);
    return err;
}

enum hf_err hf_checkpoint_open(struct hf_outside *outside, const char *directory, uint32_t space,
                               uint64_t position, struct hf_checkpoint **checkpoint,
                               struct hf_error *error)
{
    *checkpoint = NULL;
    struct hf_checkpoint *new = hf_calloc(1, sizeof(*new));
    if (new == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "open a checkpoint: memory is short");
    }
    new->outside = outside;
    hf_checkpoint_name(position, new->name);
    enum hf_err err = open_file(new, directory, space, position, error);
    if (err == HF_ERR_OK) {
        err = load_runs(new, error);
    }
    if (err != HF_ERR_OK) {
        hf_checkpoint_close(new);
        return err;
    }
    *checkpoint = new;
    return HF_ERR_OK;
}

void hf_checkpoint_close(struct hf_checkpoint *checkpoint)
{
    if (checkpoint != NULL) {
        checkpoint->outside->close(checkpoint->outside, checkpoint->file);
        hf_free(checkpoint->runs);
        hf_free(checkpoint);
    }
}

const struct hf_checkpoint_info *hf_checkpoint_info(const struct hf_checkpoint *checkpoint)
{
    return &checkpoint->layout.info;
}

const struct hf_run_ref *hf_checkpoint_runs(const struct hf_checkpoint *checkpoint, size_t *count)
{
    *count = checkpoint->run_count;
    return checkpoint->runs;
}

enum hf_err hf_checkpoint_stream_init(struct hf_checkpoint_stream *stream,
                                      struct hf_checkpoint *checkpoint,
                                      enum hf_checkpoint_section section, struct hf_error *error)
{
    HF_CHECK(section < HF_CHECKPOINT_SECTIONS);
    const struct hf_checkpoint_layout *layout = &checkpoint->layout;
    *stream = (struct hf_checkpoint_stream){
        .checkpoint = checkpoint,
        .section = section,
        .offset = layout->offset[section],
        .number = layout->number[section],
        .left_bytes = layout->info.section_bytes[section],
    };
    stream->chunk = hf_malloc(HF_CHECKPOINT_CHUNK_HEAD_BYTES + HF_CHECKPOINT_CHUNK_BYTES);
    if (stream->chunk == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "read %s: memory is short", checkpoint->name);
    }
    if (section == HF_CHECKPOINT_STATE) {
        hf_sha256_start(&stream->sha);
    }
    return HF_ERR_OK;
}

/* Reads the next chunk, which exists, into memory; believes it only after all comparisons. */
static enum hf_err load_chunk(struct hf_checkpoint_stream *stream, struct hf_error *error)
{
    struct hf_checkpoint *checkpoint = stream->checkpoint;
    uint32_t payload_bytes = (uint32_t)hf_min_u64(stream->left_bytes, HF_CHECKPOINT_CHUNK_BYTES);
    size_t size_bytes = HF_CHECKPOINT_CHUNK_HEAD_BYTES + (size_t)payload_bytes;
    HF_CHECK(!stream->failed);
    stream->failed = true; /* until everything was compared */
    stream->chunk_bytes = 0;
    stream->chunk_at = 0;
    enum hf_err err = hf_store_read(checkpoint->outside, checkpoint->file, checkpoint->name,
                                    stream->offset, stream->chunk, size_bytes, error);
    if (err != HF_ERR_OK) {
        return err;
    }
    const char *wrong = hf_checkpoint_chunk_check(&checkpoint->layout, stream->chunk,
                                                  stream->number, payload_bytes);
    if (wrong == NULL && stream->section == HF_CHECKPOINT_STATE) {
        hf_sha256_update(&stream->sha, stream->chunk + HF_CHECKPOINT_CHUNK_HEAD_BYTES,
                         payload_bytes);
        if (stream->left_bytes == payload_bytes) {
            struct hf_hash hash = hf_sha256_finish(&stream->sha);
            if (!hf_hash_equal(&hash, &checkpoint->layout.info.state_hash)) {
                wrong = "the state's SHA-256 differs";
            }
        }
    }
    if (wrong != NULL) {
        return hf_error_set(error, HF_ERR_CORRUPT, "%s: chunk at %llu: %s", checkpoint->name,
                            (unsigned long long)stream->offset, wrong);
    }
    stream->failed = false;
    stream->chunk_bytes = payload_bytes;
    stream->left_bytes -= payload_bytes;
    stream->offset += size_bytes;
    stream->number++;
    return HF_ERR_OK;
}

enum hf_err hf_checkpoint_stream_next(struct hf_checkpoint_stream *stream, const uint8_t **data,
                                      size_t *size_bytes, struct hf_error *error)
{
    *data = NULL;
    *size_bytes = 0;
    if (stream->chunk_at == stream->chunk_bytes) {
        if (stream->left_bytes == 0) {
            return HF_ERR_OK;
        }
        enum hf_err err = load_chunk(stream, error);
        if (err != HF_ERR_OK) {
            return err;
        }
    }
    *data = stream->chunk + HF_CHECKPOINT_CHUNK_HEAD_BYTES + stream->chunk_at;
    *size_bytes = stream->chunk_bytes - stream->chunk_at;
    stream->chunk_at = stream->chunk_bytes;
    return HF_ERR_OK;
}

enum hf_err hf_checkpoint_stream_read(struct hf_checkpoint_stream *stream, void *to,
                                      size_t size_bytes, struct hf_error *error)
{
    if (size_bytes > hf_checkpoint_stream_left(stream)) {
        return hf_error_set(error, HF_ERR_CORRUPT, "%s: a section ends %llu bytes too early",
                            stream->checkpoint->name,
                            (unsigned long long)(size_bytes - hf_checkpoint_stream_left(stream)));
    }
    uint8_t *at = to;
    while (size_bytes > 0) {
        if (stream->chunk_at == stream->chunk_bytes) {
            enum hf_err err = load_chunk(stream, error);
            if (err != HF_ERR_OK) {
                return err;
            }
        }
        size_t there = stream->chunk_bytes - stream->chunk_at;
        size_t part = size_bytes < there ? size_bytes : there;
        memcpy(at, stream->chunk + HF_CHECKPOINT_CHUNK_HEAD_BYTES + stream->chunk_at, part);
        stream->chunk_at += part;
        at += part;
        size_bytes -= part;
    }
    return HF_ERR_OK;
}

uint64_t hf_checkpoint_stream_left(const struct hf_checkpoint_stream *stream)
{
    return stream->left_bytes + (stream->chunk_bytes - stream->chunk_at);
}

void hf_checkpoint_stream_release(struct hf_checkpoint_stream *stream)
{
    hf_free(stream->chunk);
    *stream = (struct hf_checkpoint_stream){0};
}

/* Reads a section to its end; the bytes of each chunk, heads included, go into sha. */
static enum hf_err verify_section(struct hf_checkpoint *checkpoint,
                                  enum hf_checkpoint_section section, struct hf_sha256_stream *sha,
                                  struct hf_error *error)
{
    struct hf_checkpoint_stream stream;
    const uint8_t *data;
    size_t size_bytes;
    enum hf_err err = hf_checkpoint_stream_init(&stream, checkpoint, section, error);
    while (err == HF_ERR_OK) {
        err = hf_checkpoint_stream_next(&stream, &data, &size_bytes, error);
        if (err != HF_ERR_OK || size_bytes == 0) {
            break;
        }
        hf_sha256_update(sha, stream.chunk, HF_CHECKPOINT_CHUNK_HEAD_BYTES + size_bytes);
    }
    hf_checkpoint_stream_release(&stream);
    return err;
}

enum hf_err hf_checkpoint_verify(struct hf_checkpoint *checkpoint, struct hf_error *error)
{
    const struct hf_checkpoint_info *info = &checkpoint->layout.info;
    struct hf_hash empty = hf_sha256(NULL, 0);
    struct hf_sha256_stream sha;
    enum hf_err err = HF_ERR_OK;
    hf_sha256_start(&sha);
    for (int i = 0; i < HF_CHECKPOINT_SECTIONS && err == HF_ERR_OK; i++) {
        err = verify_section(checkpoint, (enum hf_checkpoint_section)i, &sha, error);
    }
    struct hf_hash hash = hf_sha256_finish(&sha);
    if (err != HF_ERR_OK) {
        return err;
    }
    if (!hf_hash_equal(&hash, &checkpoint->layout.content_hash)) {
        return hf_error_set(error, HF_ERR_CORRUPT, "%s: its SHA-256 differs", checkpoint->name);
    }
    if (info->section_bytes[HF_CHECKPOINT_STATE] == 0 &&
        !hf_hash_equal(&info->state_hash, &empty)) {
        return hf_error_set(error, HF_ERR_CORRUPT, "%s: the hash of its empty state differs",
                            checkpoint->name);
    }
    if (info->section_bytes[HF_CHECKPOINT_POSITIONS] % 16 != 0) {
        return hf_error_set(error, HF_ERR_CORRUPT, "%s: its positions are not pairs",
                            checkpoint->name);
    }
    return HF_ERR_OK;
}
