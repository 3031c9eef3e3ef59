#include "base/alloc.h"
#include "base/check.h"
#include "store/checkpoint_priv.h"

struct hf_checkpoint_writer {
    struct hf_sink sink;                 /* the file */
    struct hf_checkpoint_layout layout;  /* section_bytes grow; the rest is set by finish */
    struct hf_sha256_stream state_sha;   /* of STATE's payload; not running = finished */
    uint8_t *chunk;                      /* head and payload being filled, owned */
    size_t chunk_bytes;                  /* payload in it */
    uint64_t number;                     /* of the chunk being filled */
    enum hf_checkpoint_section next;     /* the lowest section that may begin */
    enum hf_checkpoint_section section;  /* the one that is being written, if `open` */
    bool open;                           /* between begin and end */
    bool failed;                         /* only abort may follow */
    char name[HF_CHECKPOINT_NAME_BYTES]; /* final file name */
};

static void writer_free(struct hf_checkpoint_writer *writer)
{
    hf_sink_release(&writer->sink);
    hf_free(writer->chunk);
    hf_free(writer);
}

enum hf_err hf_checkpoint_writer_start(struct hf_outside *outside, const char *directory,
                                       const struct hf_checkpoint_meta *meta,
                                       struct hf_checkpoint_writer **writer, struct hf_error *error)
{
    *writer = NULL;
    struct hf_checkpoint_writer *new = hf_calloc(1, sizeof(*new));
    if (new == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "write a checkpoint: memory is short");
    }
    new->layout.info.meta = *meta;
    hf_checkpoint_layout_derive(&new->layout); /* for the tag */
    hf_checkpoint_name(meta->position, new->name);
    new->chunk = hf_malloc(HF_CHECKPOINT_CHUNK_HEAD_BYTES + HF_CHECKPOINT_CHUNK_BYTES);
    enum hf_err err =
        new->chunk == NULL
            ? hf_error_set(error, HF_ERR_NO_MEMORY, "write %s: memory is short", new->name)
            : hf_sink_start(&new->sink, outside, directory, new->name, error);
    if (err != HF_ERR_OK) {
        writer_free(new);
        return err;
    }
    hf_sha256_start(&new->state_sha);
    *writer = new;
    return HF_ERR_OK;
}

void hf_checkpoint_writer_begin(struct hf_checkpoint_writer *writer,
                                enum hf_checkpoint_section section)
{
    HF_CHECK(!writer->failed && !writer->open);
    HF_CHECK(section >= writer->next && section < HF_CHECKPOINT_SECTIONS);
    writer->open = true;
    writer->section = section;
    writer->next = section + 1;
}

static enum hf_err chunk_out(struct hf_checkpoint_writer *writer, struct hf_error *error)
{
    uint8_t *payload = writer->chunk + HF_CHECKPOINT_CHUNK_HEAD_BYTES;
    if (writer->chunk_bytes == 0) {
        return HF_ERR_OK;
    }
    if (writer->section == HF_CHECKPOINT_STATE) {
        hf_sha256_update(&writer->state_sha, payload, writer->chunk_bytes);
    }
    hf_checkpoint_chunk_seal(&writer->layout, writer->chunk, writer->number,
                             (uint32_t)writer->chunk_bytes);
    enum hf_err err = hf_sink_append(&writer->sink, writer->chunk,
                                     HF_CHECKPOINT_CHUNK_HEAD_BYTES + writer->chunk_bytes, error);
    writer->number++;
    writer->chunk_bytes = 0;
    writer->failed = err != HF_ERR_OK;
    return err;
}

enum hf_err hf_checkpoint_writer_append(struct hf_checkpoint_writer *writer, const void *data,
                                        size_t size_bytes, struct hf_error *error)
{
    HF_CHECK(!writer->failed && writer->open);
    uint64_t *section_bytes = &writer->layout.info.section_bytes[writer->section];
    HF_CHECK(size_bytes <= HF_CHECKPOINT_SECTION_MAX - *section_bytes);
    *section_bytes += size_bytes;
    const uint8_t *from = data;
    while (size_bytes > 0) {
        size_t room = HF_CHECKPOINT_CHUNK_BYTES - writer->chunk_bytes;
        size_t part = size_bytes < room ? size_bytes : room;
        memcpy(writer->chunk + HF_CHECKPOINT_CHUNK_HEAD_BYTES + writer->chunk_bytes, from, part);
        writer->chunk_bytes += part;
        from += part;
        size_bytes -= part;
        if (writer->chunk_bytes == HF_CHECKPOINT_CHUNK_BYTES) {
            enum hf_err err = chunk_out(writer, error);
            if (err != HF_ERR_OK) {
                return err;
            }
        }
    }
    return HF_ERR_OK;
}

enum hf_err hf_checkpoint_writer_end(struct hf_checkpoint_writer *writer, struct hf_error *error)
{
    HF_CHECK(!writer->failed && writer->open);
    enum hf_err err = chunk_out(writer, error);
    writer->open = false;
    return err;
}

enum hf_err hf_checkpoint_writer_position(struct hf_checkpoint_writer *writer, uint64_t position,
                                          uint64_t seq, struct hf_error *error)
{
    uint8_t pair[16];
    HF_CHECK(writer->open && writer->section == HF_CHECKPOINT_POSITIONS);
    hf_put_u64(pair, position);
    hf_put_u64(pair + 8, seq);
    return hf_checkpoint_writer_append(writer, pair, sizeof(pair), error);
}

enum hf_err hf_checkpoint_writer_runs(struct hf_checkpoint_writer *writer,
                                      const struct hf_run_ref *runs, size_t run_count,
                                      struct hf_error *error)
{
    HF_CHECK(run_count <= HF_CHECKPOINT_RUNS_MAX);
    uint8_t encoded[HF_CHECKPOINT_RUN_BYTES];
    hf_put_u32(encoded, (uint32_t)run_count);
    hf_checkpoint_writer_begin(writer, HF_CHECKPOINT_RUNS);
    enum hf_err err = hf_checkpoint_writer_append(writer, encoded, 4, error);
    for (size_t i = 0; i < run_count && err == HF_ERR_OK; i++) {
        hf_put_u64(encoded, runs[i].from_position);
        hf_put_u64(encoded + 8, runs[i].to_position);
        hf_put_u32(encoded + 16, runs[i].generation);
        hf_put_u64(encoded + 20, runs[i].size_bytes);
        memcpy(encoded + 28, runs[i].hash.bytes, HF_SHA256_BYTES);
        err = hf_checkpoint_writer_append(writer, encoded, sizeof(encoded), error);
    }
    return err != HF_ERR_OK ? err : hf_checkpoint_writer_end(writer, error);
}

static enum hf_err finish(struct hf_checkpoint_writer *writer, struct hf_error *error)
{
    struct hf_checkpoint_layout *layout = &writer->layout;
    struct hf_checkpoint_layout check;
    uint8_t header[HF_STORE_HEADER_BYTES];
    enum hf_err err = hf_sink_content_hash(&writer->sink, &layout->content_hash, error);
    if (err != HF_ERR_OK) {
        return err;
    }
    layout->info.state_hash = hf_sha256_finish(&writer->state_sha);
    hf_checkpoint_layout_derive(layout);
    HF_CHECK(layout->info.file_bytes == hf_sink_size(&writer->sink));
    hf_checkpoint_header_encode(layout, header);
    HF_CHECK(hf_checkpoint_header_decode(header, layout->info.file_bytes, writer->name, &check,
                                         NULL) == HF_ERR_OK);
    return hf_sink_commit(&writer->sink, header, error);
}

enum hf_err hf_checkpoint_writer_finish(struct hf_checkpoint_writer *writer,
                                        struct hf_checkpoint_info *info, struct hf_error *error)
{
    *info = (struct hf_checkpoint_info){0};
    HF_CHECK(!writer->failed && !writer->open);
    enum hf_err err = finish(writer, error);
    if (err == HF_ERR_OK) {
        *info = writer->layout.info;
    }
    writer_free(writer);
    return err;
}

void hf_checkpoint_writer_abort(struct hf_checkpoint_writer *writer)
{
    if (writer != NULL) {
        writer_free(writer);
    }
}
