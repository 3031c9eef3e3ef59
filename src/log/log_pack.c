/* Compressed segments: their pages as bytes, and reading them. */
#include "log/log_pack.h"

#include <stdarg.h>
#include <stdio.h>
#include <zstd.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/checksum.h"

#define MAGIC           "HFSEGZST"
#define FORMAT_VERSION  1
#define BLOCK_BYTES_MAX (16u << 20)
#define NO_BLOCK        UINT64_MAX

enum header_offset {
    AT_MAGIC = 0,
    AT_VERSION = 8,
    AT_BLOCK_BYTES = 12,
    AT_LOG_ID = 16,
    AT_NUMBER = 32,
    AT_SIZE_BYTES = 40,
    AT_BLOCK_COUNT = 48,
    AT_INDEX_OFFSET = 56,
    AT_INDEX_CHECKSUM = 64,
    AT_FILE_BYTES = 72,
    AT_CONTENT = 80,
    AT_CHECKSUM = HF_LOG_PAGE_BYTES - 8,
};

struct hf_log_pack {
    struct hf_outside *outside;   /* not owned */
    struct hf_file *file;         /* owned */
    struct hf_log_pack_head head; /* checked */
    uint8_t *index;               /* owned; as stored, checked */
    ZSTD_DCtx *context;           /* owned */
    uint8_t *frame;               /* owned; a block as stored */
    uint8_t *block;               /* owned; a block of the original */
    uint64_t block_number;        /* that is in `block`; NO_BLOCK */
    char path[HF_LOG_PATH_BYTES]; /* for errors */
};

/* --- bytes --- */

void hf_log_pack_header_encode(const struct hf_log_pack_header *header,
                               uint8_t page[HF_LOG_PAGE_BYTES])
{
    memset(page, 0, HF_LOG_PAGE_BYTES);
    memcpy(page + AT_MAGIC, MAGIC, 8);
    hf_put_u32(page + AT_VERSION, FORMAT_VERSION);
    hf_put_u32(page + AT_BLOCK_BYTES, header->block_bytes);
    memcpy(page + AT_LOG_ID, header->log_id, sizeof(header->log_id));
    hf_put_u64(page + AT_NUMBER, header->number);
    hf_put_u64(page + AT_SIZE_BYTES, header->size_bytes);
    hf_put_u64(page + AT_BLOCK_COUNT, header->block_count);
    hf_put_u64(page + AT_INDEX_OFFSET, header->index_offset);
    hf_put_u64(page + AT_INDEX_CHECKSUM, header->index_checksum);
    hf_put_u64(page + AT_FILE_BYTES, header->file_bytes);
    memcpy(page + AT_CONTENT, header->content.bytes, HF_SHA256_BYTES);
    hf_put_u64(page + AT_CHECKSUM, hf_checksum(page, AT_CHECKSUM));
}

/* Are the sizes such that nothing can overflow or be read beside the file? */
static bool sizes_fit(const struct hf_log_pack_header *header)
{
    if (header->block_bytes == 0 || header->block_bytes % HF_LOG_PAGE_BYTES != 0 ||
        header->block_bytes > BLOCK_BYTES_MAX || header->size_bytes < 2 * HF_LOG_PAGE_BYTES ||
        header->size_bytes % HF_LOG_PAGE_BYTES != 0 || header->size_bytes > INT64_MAX ||
        header->file_bytes > INT64_MAX || header->index_offset < HF_LOG_PACK_HEAD_BYTES ||
        header->index_offset > header->file_bytes) {
        return false;
    }
    uint64_t blocks = (header->size_bytes - 1) / header->block_bytes + 1;
    uint64_t index_bytes = header->file_bytes - header->index_offset;
    return header->block_count == blocks && index_bytes % HF_LOG_PACK_ENTRY_BYTES == 0 &&
           index_bytes / HF_LOG_PACK_ENTRY_BYTES == blocks;
}

enum hf_log_page hf_log_pack_header_decode(const uint8_t page[HF_LOG_PAGE_BYTES],
                                           struct hf_log_pack_header *header)
{
    *header = (struct hf_log_pack_header){0};
    if (memcmp(page + AT_MAGIC, MAGIC, 8) != 0 ||
        hf_get_u64(page + AT_CHECKSUM) != hf_checksum(page, AT_CHECKSUM)) {
        return HF_LOG_PAGE_INVALID;
    }
    if (hf_get_u32(page + AT_VERSION) != FORMAT_VERSION) {
        return HF_LOG_PAGE_NEWER;
    }
    header->block_bytes = hf_get_u32(page + AT_BLOCK_BYTES);
    memcpy(header->log_id, page + AT_LOG_ID, sizeof(header->log_id));
    header->number = hf_get_u64(page + AT_NUMBER);
    header->size_bytes = hf_get_u64(page + AT_SIZE_BYTES);
    header->block_count = hf_get_u64(page + AT_BLOCK_COUNT);
    header->index_offset = hf_get_u64(page + AT_INDEX_OFFSET);
    header->index_checksum = hf_get_u64(page + AT_INDEX_CHECKSUM);
    header->file_bytes = hf_get_u64(page + AT_FILE_BYTES);
    memcpy(header->content.bytes, page + AT_CONTENT, HF_SHA256_BYTES);
    uint8_t again[HF_LOG_PAGE_BYTES]; /* reserved bytes are zero */
    hf_log_pack_header_encode(header, again);
    bool right = memcmp(again, page, HF_LOG_PAGE_BYTES) == 0 && sizes_fit(header);
    return right ? HF_LOG_PAGE_VALID : HF_LOG_PAGE_INVALID;
}

void hf_log_pack_entry_encode(const struct hf_log_pack_entry *entry,
                              uint8_t bytes[HF_LOG_PACK_ENTRY_BYTES])
{
    hf_put_u64(bytes, entry->offset);
    hf_put_u32(bytes + 8, entry->frame_bytes);
    hf_put_u32(bytes + 12, entry->first_at);
    hf_put_u64(bytes + 16, entry->first_seq);
    hf_put_u64(bytes + 24, entry->first_position);
    hf_put_u64(bytes + 32, entry->checksum);
}

void hf_log_pack_entry_decode(const uint8_t bytes[HF_LOG_PACK_ENTRY_BYTES],
                              struct hf_log_pack_entry *entry)
{
    entry->offset = hf_get_u64(bytes);
    entry->frame_bytes = hf_get_u32(bytes + 8);
    entry->first_at = hf_get_u32(bytes + 12);
    entry->first_seq = hf_get_u64(bytes + 16);
    entry->first_position = hf_get_u64(bytes + 24);
    entry->checksum = hf_get_u64(bytes + 32);
}

static enum hf_err damaged(const char *path, uint64_t offset, struct hf_error *error,
                           const char *format, ...) HF_PRINTF(4, 5);

static enum hf_err damaged(const char *path, uint64_t offset, struct hf_error *error,
                           const char *format, ...)
{
    char why[128];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(why, sizeof(why), format, arguments);
    va_end(arguments);
    return hf_error_set(error, HF_ERR_CORRUPT, "%s, offset %llu: %s", path,
                        (unsigned long long)offset, why);
}

enum hf_err hf_log_pack_head_check(struct hf_log_pack_head *head, const char *path,
                                   struct hf_error *error)
{
    enum hf_log_page page = hf_log_pack_header_decode(head->pages, &head->header);
    if (page == HF_LOG_PAGE_NEWER) {
        return hf_error_set(error, HF_ERR_VERSION, "%s: written by a newer version", path);
    }
    if (page == HF_LOG_PAGE_INVALID) {
        return damaged(path, 0, error, "the header of a compressed segment is damaged");
    }
    page = hf_log_segment_header_decode(head->pages + HF_LOG_PAGE_BYTES, &head->segment);
    if (page == HF_LOG_PAGE_NEWER) {
        return hf_error_set(error, HF_ERR_VERSION, "%s: written by a newer version", path);
    }
    if (page == HF_LOG_PAGE_INVALID) {
        return damaged(path, HF_LOG_PAGE_BYTES, error, "the segment's header is damaged");
    }
    if (head->segment.number != head->header.number ||
        head->segment.size_bytes != head->header.size_bytes ||
        memcmp(head->segment.log_id, head->header.log_id, sizeof(head->header.log_id)) != 0) {
        return damaged(path, HF_LOG_PAGE_BYTES, error, "the segment's header is another one's");
    }
    return HF_ERR_OK;
}

/* --- open --- */

/* Exactly so many bytes, or CORRUPT. */
static enum hf_err read_all(struct hf_outside *o, struct hf_file *file, const char *path,
                            uint64_t offset, void *data, size_t size_bytes, struct hf_error *error)
{
    size_t got = 0;
    enum hf_err code = o->read(o, file, offset, data, size_bytes, &got, error);
    if (code == HF_ERR_OK && got < size_bytes) {
        code = damaged(path, offset + got, error, "the file is cut short");
    }
    return code;
}

enum hf_err hf_log_pack_head_load(struct hf_outside *outside, const char *path,
                                  enum hf_open_mode mode, struct hf_log_pack_head *head,
                                  struct hf_error *error)
{
    struct hf_file *file;
    enum hf_err code = outside->open(outside, path, mode, &file, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    code = read_all(outside, file, path, 0, head->pages, sizeof(head->pages), error);
    outside->close(outside, file);
    return code == HF_ERR_OK ? hf_log_pack_head_check(head, path, error) : code;
}

/* Frames follow one another from page 2 to the index, and batches ascend. */
static enum hf_err check_index(const struct hf_log_pack *pack, struct hf_error *error)
{
    const struct hf_log_pack_header *header = &pack->head.header;
    size_t index_bytes = (size_t)(header->file_bytes - header->index_offset);
    if (hf_checksum(pack->index, index_bytes) != header->index_checksum) {
        return damaged(pack->path, header->index_offset, error, "the index is damaged");
    }
    uint64_t offset = HF_LOG_PACK_HEAD_BYTES;
    uint64_t seq = 0;
    uint64_t position = 0;
    for (uint64_t i = 0; i < header->block_count; i++) {
        struct hf_log_pack_entry entry;
        hf_log_pack_entry_decode(pack->index + i * HF_LOG_PACK_ENTRY_BYTES, &entry);
        bool begins = entry.first_at != UINT32_MAX;
        bool right = entry.offset == offset && entry.frame_bytes > 0 &&
                     entry.frame_bytes <= HF_LOG_PACK_FRAME_FACTOR * header->block_bytes;
        if (begins) {
            right = right && entry.first_at < header->block_bytes &&
                    entry.first_at % HF_LOG_PAGE_BYTES == 0 && entry.first_seq > seq &&
                    entry.first_position > position;
            seq = entry.first_seq;
            position = entry.first_position;
        }
        if (!right) {
            return damaged(pack->path, header->index_offset + i * HF_LOG_PACK_ENTRY_BYTES, error,
                           "an entry of the index does not follow the one before");
        }
        offset += entry.frame_bytes;
    }
    return offset == header->index_offset
               ? HF_ERR_OK
               : damaged(pack->path, header->index_offset, error, "the index misses a frame");
}

static enum hf_err load(struct hf_log_pack *pack, enum hf_open_mode mode, struct hf_error *error)
{
    struct hf_outside *o = pack->outside;
    const struct hf_log_pack_header *header = &pack->head.header;
    uint64_t size_bytes = 0;
    enum hf_err code = o->open(o, pack->path, mode, &pack->file, error);
    if (code == HF_ERR_OK) {
        code = read_all(o, pack->file, pack->path, 0, pack->head.pages, sizeof(pack->head.pages),
                        error);
    }
    if (code == HF_ERR_OK) {
        code = hf_log_pack_head_check(&pack->head, pack->path, error);
    }
    if (code == HF_ERR_OK) {
        code = o->size(o, pack->file, &size_bytes, error);
    }
    if (code == HF_ERR_OK && size_bytes != header->file_bytes) {
        code = damaged(pack->path, hf_min_u64(size_bytes, header->file_bytes), error,
                       "the file has %llu bytes, its header says %llu",
                       (unsigned long long)size_bytes, (unsigned long long)header->file_bytes);
    }
    if (code != HF_ERR_OK) {
        return code;
    }
    size_t index_bytes = (size_t)(header->file_bytes - header->index_offset);
    pack->index = hf_malloc(index_bytes);
    pack->frame = hf_malloc(HF_LOG_PACK_FRAME_FACTOR * (size_t)header->block_bytes);
    pack->block = hf_malloc(header->block_bytes);
    pack->context = ZSTD_createDCtx();
    if (pack->index == NULL || pack->frame == NULL || pack->block == NULL ||
        pack->context == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "%s: no memory to read it", pack->path);
    }
    code =
        read_all(o, pack->file, pack->path, header->index_offset, pack->index, index_bytes, error);
    return code == HF_ERR_OK ? check_index(pack, error) : code;
}

enum hf_err hf_log_pack_open(struct hf_outside *outside, const char *path, enum hf_open_mode mode,
                             struct hf_log_pack **pack, struct hf_error *error)
{
    *pack = NULL;
    struct hf_log_pack *opened = hf_calloc(1, sizeof(*opened));
    if (opened == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "%s: no memory to read it", path);
    }
    opened->outside = outside;
    opened->block_number = NO_BLOCK;
    int used = snprintf(opened->path, sizeof(opened->path), "%s", path);
    HF_CHECK(used > 0 && (size_t)used < sizeof(opened->path));
    enum hf_err code = load(opened, mode, error);
    if (code != HF_ERR_OK) {
        hf_log_pack_close(opened);
        return code;
    }
    *pack = opened;
    return HF_ERR_OK;
}

void hf_log_pack_close(struct hf_log_pack *pack)
{
    if (pack == NULL) {
        return;
    }
    pack->outside->close(pack->outside, pack->file);
    (void)ZSTD_freeDCtx(pack->context);
    hf_free(pack->index);
    hf_free(pack->frame);
    hf_free(pack->block);
    hf_free(pack);
}

const struct hf_log_pack_head *hf_log_pack_head(const struct hf_log_pack *pack)
{
    return &pack->head;
}

/* --- read --- */

static void entry_of(const struct hf_log_pack *pack, uint64_t block,
                     struct hf_log_pack_entry *entry)
{
    hf_log_pack_entry_decode(pack->index + block * HF_LOG_PACK_ENTRY_BYTES, entry);
}

static size_t bytes_of_block(const struct hf_log_pack *pack, uint64_t block)
{
    const struct hf_log_pack_header *header = &pack->head.header;
    return (size_t)hf_min_u64(header->block_bytes,
                              header->size_bytes - block * header->block_bytes);
}

/* The whole block, into memory of its size. */
static enum hf_err unpack(struct hf_log_pack *pack, uint64_t block, void *to,
                          struct hf_error *error)
{
    struct hf_log_pack_entry entry;
    entry_of(pack, block, &entry);
    size_t want = bytes_of_block(pack, block);
    enum hf_err code = read_all(pack->outside, pack->file, pack->path, entry.offset, pack->frame,
                                entry.frame_bytes, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    if (hf_checksum(pack->frame, entry.frame_bytes) != entry.checksum) {
        return damaged(pack->path, entry.offset, error, "block %llu is damaged",
                       (unsigned long long)block);
    }
    size_t got = ZSTD_decompressDCtx(pack->context, to, want, pack->frame, entry.frame_bytes);
    if (ZSTD_isError(got) || got != want) {
        return damaged(pack->path, entry.offset, error, "block %llu can't be unpacked: %s",
                       (unsigned long long)block,
                       ZSTD_isError(got) ? ZSTD_getErrorName(got) : "it has another size");
    }
    return HF_ERR_OK;
}

/* What is wanted wholly is unpacked where it is wanted; of a block that is wanted in parts the rest is kept for the next read. */
enum hf_err hf_log_pack_read(struct hf_log_pack *pack, uint64_t offset, void *data,
                             size_t size_bytes, struct hf_error *error)
{
    const struct hf_log_pack_header *header = &pack->head.header;
    HF_CHECK(offset <= header->size_bytes && size_bytes <= header->size_bytes - offset);
    uint8_t *to = data;
    while (size_bytes > 0) {
        uint64_t block = offset / header->block_bytes;
        size_t skip = (size_t)(offset - block * header->block_bytes);
        size_t part = (size_t)hf_min_u64(bytes_of_block(pack, block) - skip, size_bytes);
        enum hf_err code = HF_ERR_OK;
        if (part == bytes_of_block(pack, block) && block != pack->block_number) {
            code = unpack(pack, block, to, error);
        } else {
            if (block != pack->block_number) {
                pack->block_number = NO_BLOCK;
                code = unpack(pack, block, pack->block, error);
            }
            if (code == HF_ERR_OK) {
                pack->block_number = block;
                memcpy(to, pack->block + skip, part);
            }
        }
        if (code != HF_ERR_OK) {
            return code;
        }
        to += part;
        offset += part;
        size_bytes -= part;
    }
    return HF_ERR_OK;
}

bool hf_log_pack_mark(const struct hf_log_pack *pack, uint64_t seq, uint64_t position,
                      struct hf_log_mark *mark)
{
    const struct hf_log_pack_header *header = &pack->head.header;
    bool found = false;
    uint64_t low = 0;
    uint64_t high = header->block_count;
    while (low < high) { /* the last block that begins with a batch at or before */
        uint64_t middle = low + (high - low) / 2;
        struct hf_log_pack_entry entry;
        uint64_t at = middle;
        entry_of(pack, at, &entry);
        while (entry.first_at == UINT32_MAX && at > low) { /* a batch larger than a block */
            entry_of(pack, --at, &entry);
        }
        bool before = entry.first_at != UINT32_MAX &&
                      (seq > 0 ? entry.first_seq <= seq : entry.first_position <= position);
        if (before) {
            found = true;
            *mark = (struct hf_log_mark){entry.first_seq, entry.first_position,
                                         at * header->block_bytes + entry.first_at};
        }
        if (before || entry.first_at == UINT32_MAX) {
            low = middle + 1;
        } else {
            high = at;
        }
    }
    return found;
}

/* --- check --- */

enum hf_err hf_log_pack_check(struct hf_log_pack *pack, const struct hf_log_work *work,
                              struct hf_error *error)
{
    const struct hf_log_pack_header *header = &pack->head.header;
    struct hf_sha256_stream stream;
    enum hf_err code = HF_ERR_OK;
    pack->block_number = NO_BLOCK;
    hf_sha256_start(&stream);
    for (uint64_t block = 0; code == HF_ERR_OK && block < header->block_count; block++) {
        size_t size = bytes_of_block(pack, block);
        code = unpack(pack, block, pack->block, error);
        if (code == HF_ERR_OK && block == 0 &&
            memcmp(pack->block, pack->head.pages + HF_LOG_PAGE_BYTES, HF_LOG_PAGE_BYTES) != 0) {
            code = damaged(pack->path, HF_LOG_PAGE_BYTES, error,
                           "page 1 is not the first page of the segment");
        }
        if (code == HF_ERR_OK) {
            hf_sha256_update(&stream, pack->block, size);
        }
        if (code == HF_ERR_OK && work != NULL && work->go_on != NULL &&
            !work->go_on(work->context, size)) {
            code = hf_error_set(error, HF_ERR_CLOSED, "%s: the check was stopped", pack->path);
        }
    }
    struct hf_hash content = hf_sha256_finish(&stream);
    if (code == HF_ERR_OK && !hf_hash_equal(&content, &header->content)) {
        code = damaged(pack->path, AT_CONTENT, error,
                       "what is in it does not have the SHA-256 of the segment");
    }
    return code;
}
