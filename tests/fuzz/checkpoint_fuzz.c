/*
 * Bytes as a checkpoint (bit 0 of the first byte clear) or as a run (set).
 *
 * Checksums would stop nearly every changed byte at the door. So with bit 1 set the rest of the input
 * is only what the checksums cover (the first FIELD_BYTES of the header, then pages or chunks), and
 * sizes, counts and checksums are put in by this file: the readers then meet wrong content in a right
 * frame. What verify calls good must be readable in full, each record by get too.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/check.h"
#include "store/checkpoint_priv.h"
#include "store/run_priv.h"

#define FIELD_BYTES 256u
#define FILE_MAX    (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- An outside with one file, read only. ---- */

struct hf_file {
    uint8_t *data;     /* the file */
    size_t size_bytes; /* of data */
};

static struct hf_file the_file;

static enum hf_err open_file(struct hf_outside *o, const char *path, enum hf_open_mode mode,
                             struct hf_file **file, struct hf_error *error)
{
    (void)o, (void)path, (void)error;
    HF_CHECK(mode == HF_OPEN_READ);
    *file = &the_file;
    return HF_ERR_OK;
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

static struct hf_outside outside = {
    .open = open_file, .close = close_file, .size = size_of, .read = read_file};

/* ---- Frames around wrong content. ---- */

static void frame_run(const uint8_t *fields, uint8_t *file, size_t *size_bytes)
{
    struct hf_run_layout layout = {0};
    size_t body_bytes = *size_bytes - HF_STORE_HEADER_BYTES;
    layout.info.space = hf_get_u32(fields + 16);
    layout.info.block_bytes = HF_RUN_BLOCK_BYTES_MIN + 64 * (fields[20] % 4u);
    layout.info.ref.from_position = hf_get_u64(fields + 24);
    layout.info.ref.to_position = hf_get_u64(fields + 32);
    layout.info.ref.generation = hf_get_u32(fields + 40);
    layout.info.first_key = hf_get_index_key(fields + 96);
    layout.info.last_key = hf_get_index_key(fields + 121);
    hf_run_layout_derive(&layout);
    uint32_t block_bytes = layout.info.block_bytes;
    layout.info.record_count = hf_get_u64(fields + 48) % (body_bytes / 40 + 1);
    layout.filter_lines = hf_run_filter_lines(layout.info.record_count) + fields[81] % 3u;
    layout.data_pages =
        (layout.info.record_count + layout.records_a_page - 1) / layout.records_a_page;
    layout.fence_pages = (layout.data_pages + layout.fences_a_page - 1) / layout.fences_a_page;
    layout.filter_pages = (layout.filter_lines + layout.lines_a_page - 1) / layout.lines_a_page;
    uint64_t pages = layout.data_pages + layout.fence_pages + layout.filter_pages;
    if (pages * block_bytes > body_bytes) {
        return; /* then only the header is looked at */
    }
    *size_bytes = HF_STORE_HEADER_BYTES + pages * block_bytes;
    for (uint64_t i = 0; i < pages; i++) {
        uint64_t in_filter = i - layout.data_pages - layout.fence_pages;
        uint32_t count =
            i < layout.data_pages
                ? hf_run_page_count(i, layout.info.record_count, layout.records_a_page)
            : i < layout.data_pages + layout.fence_pages
                ? hf_run_page_count(i - layout.data_pages, layout.data_pages, layout.fences_a_page)
                : hf_run_page_count(in_filter, layout.filter_lines, layout.lines_a_page);
        hf_run_page_seal(&layout, file + HF_STORE_HEADER_BYTES + i * block_bytes, i, count);
    }
    layout.info.ref.size_bytes = *size_bytes;
    layout.content_hash =
        hf_sha256(file + HF_STORE_HEADER_BYTES, *size_bytes - HF_STORE_HEADER_BYTES);
    hf_run_header_encode(&layout, file);
}

static void frame_checkpoint(const uint8_t *fields, uint8_t *file, size_t *size_bytes)
{
    struct hf_checkpoint_layout layout = {0};
    size_t left = *size_bytes - HF_STORE_HEADER_BYTES;
    struct hf_sha256_stream state_sha;
    layout.info.meta.space = hf_get_u32(fields + 16);
    layout.info.meta.position = hf_get_u64(fields + 24);
    for (size_t i = 0; i < HF_CHECKPOINT_SECTIONS; i++) {
        size_t bytes = hf_get_u32(fields + 88 + 24 * i) % (left + 1);
        size_t heads = hf_checkpoint_chunks(bytes) * HF_CHECKPOINT_CHUNK_HEAD_BYTES;
        if (bytes + heads > left) {
            bytes = left > heads ? left - heads : 0;
        }
        layout.info.section_bytes[i] = bytes;
        left -= bytes + hf_checkpoint_chunks(bytes) * HF_CHECKPOINT_CHUNK_HEAD_BYTES;
    }
    hf_checkpoint_layout_derive(&layout);
    HF_CHECK(layout.info.file_bytes <= *size_bytes);
    *size_bytes = layout.info.file_bytes;
    hf_sha256_start(&state_sha);
    for (size_t i = 0; i < HF_CHECKPOINT_SECTIONS; i++) {
        uint64_t bytes = layout.info.section_bytes[i];
        uint8_t *chunk = file + layout.offset[i];
        for (uint64_t number = layout.number[i]; bytes > 0; number++) {
            uint32_t payload_bytes = (uint32_t)hf_min_u64(bytes, HF_CHECKPOINT_CHUNK_BYTES);
            hf_checkpoint_chunk_seal(&layout, chunk, number, payload_bytes);
            if (i == HF_CHECKPOINT_STATE) {
                hf_sha256_update(&state_sha, chunk + HF_CHECKPOINT_CHUNK_HEAD_BYTES, payload_bytes);
            }
            chunk += HF_CHECKPOINT_CHUNK_HEAD_BYTES + payload_bytes;
            bytes -= payload_bytes;
        }
    }
    layout.info.state_hash = hf_sha256_finish(&state_sha);
    layout.content_hash =
        hf_sha256(file + HF_STORE_HEADER_BYTES, *size_bytes - HF_STORE_HEADER_BYTES);
    hf_checkpoint_header_encode(&layout, file);
}

/* ---- Reading ---- */

/* What verify called good: every record is found by get, too. */
static void read_all(struct hf_run *run)
{
    struct hf_run_iterator iterator;
    HF_CHECK(hf_run_iterator_init(&iterator, run, NULL, NULL) == HF_ERR_OK);
    uint64_t count = 0;
    for (; iterator.valid; count++) {
        bool found;
        struct hf_index_value value;
        HF_CHECK(hf_run_get(run, &iterator.key, hf_run_key_hash(&iterator.key), &found, &value,
                            NULL) == HF_ERR_OK);
        HF_CHECK(found && memcmp(&value, &iterator.value, sizeof(value)) == 0);
        HF_CHECK(hf_run_iterator_next(&iterator, NULL) == HF_ERR_OK);
    }
    HF_CHECK(count == hf_run_info(run)->record_count);
    hf_run_iterator_release(&iterator);
}

static void try_run(void)
{
    struct hf_run *run;
    struct hf_error error;
    struct hf_run_ref ref = {0};
    if (the_file.size_bytes >= HF_STORE_HEADER_BYTES) { /* so that the identity fits */
        ref.from_position = hf_get_u64(the_file.data + 24);
        ref.to_position = hf_get_u64(the_file.data + 32);
        ref.generation = hf_get_u32(the_file.data + 40);
    }
    uint32_t space =
        the_file.size_bytes >= HF_STORE_HEADER_BYTES ? hf_get_u32(the_file.data + 16) : 0;
    if (hf_run_open(&outside, "d", space, &ref, &run, &error) != HF_ERR_OK) {
        return;
    }
    struct hf_index_key probes[] = {
        {.kind = 1}, {.kind = 255}, hf_run_info(run)->first_key, hf_run_info(run)->last_key};
    for (size_t i = 0; i < HF_ARRAY_COUNT(probes); i++) {
        bool found;
        struct hf_index_value value;
        struct hf_run_iterator iterator;
        enum hf_err err =
            hf_run_get(run, &probes[i], hf_run_key_hash(&probes[i]), &found, &value, &error);
        HF_CHECK(err == HF_ERR_OK || (err == HF_ERR_CORRUPT && !found));
        err = hf_run_iterator_init(&iterator, run, &probes[i], &error);
        while (err == HF_ERR_OK && iterator.valid) {
            err = hf_run_iterator_next(&iterator, &error);
        }
        hf_run_iterator_release(&iterator);
    }
    if (hf_run_verify(run, &error) == HF_ERR_OK) {
        read_all(run);
        hf_free(run->filter); /* and once more with the filter on disk */
        run->filter = NULL;
        read_all(run);
    }
    hf_run_release(run);
}

static void try_checkpoint(void)
{
    struct hf_checkpoint *checkpoint;
    struct hf_error error;
    bool has_header = the_file.size_bytes >= HF_STORE_HEADER_BYTES;
    uint32_t space = has_header ? hf_get_u32(the_file.data + 16) : 0;
    uint64_t position = has_header ? hf_get_u64(the_file.data + 24) : 0;
    if (hf_checkpoint_open(&outside, "d", space, position, &checkpoint, &error) != HF_ERR_OK) {
        return;
    }
    bool good = hf_checkpoint_verify(checkpoint, &error) == HF_ERR_OK;
    for (int i = 0; i < HF_CHECKPOINT_SECTIONS; i++) {
        struct hf_checkpoint_stream stream;
        uint64_t left = hf_checkpoint_info(checkpoint)->section_bytes[i];
        enum hf_err err =
            hf_checkpoint_stream_init(&stream, checkpoint, (enum hf_checkpoint_section)i, &error);
        HF_CHECK(err == HF_ERR_OK);
        while (err == HF_ERR_OK && left > 0) {
            uint8_t piece[1000];
            size_t part = (size_t)hf_min_u64(left, sizeof(piece));
            err = hf_checkpoint_stream_read(&stream, piece, part, &error);
            left -= part;
        }
        HF_CHECK(!good || err == HF_ERR_OK);
        hf_checkpoint_stream_release(&stream);
    }
    hf_checkpoint_close(checkpoint);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > FILE_MAX) {
        return 0;
    }
    bool is_run = (data[0] & 1) != 0;
    bool framed = (data[0] & 2) != 0;
    const uint8_t *rest = data + 1;
    size_t rest_bytes = size - 1;
    uint8_t *file = NULL;
    if (framed && rest_bytes >= FIELD_BYTES) {
        size_t file_bytes = rest_bytes - FIELD_BYTES + HF_STORE_HEADER_BYTES;
        file = calloc(1, file_bytes);
        HF_CHECK(file != NULL);
        memcpy(file + HF_STORE_HEADER_BYTES, rest + FIELD_BYTES, rest_bytes - FIELD_BYTES);
        if (is_run) {
            frame_run(rest, file, &file_bytes);
        } else {
            frame_checkpoint(rest, file, &file_bytes);
        }
        the_file = (struct hf_file){file, file_bytes};
    } else {
        file = malloc(rest_bytes + 1); /* exact, so that a sanitizer sees its end */
        HF_CHECK(file != NULL);
        memcpy(file, rest, rest_bytes);
        the_file = (struct hf_file){file, rest_bytes};
    }
    if (is_run) {
        try_run();
    } else {
        try_checkpoint();
    }
    free(file);
    return 0;
}
