#include <stdio.h>

#include "base/check.h"
#include "base/checksum.h"
#include "store/checkpoint_priv.h"

static const char magic[8] = {'H', 'F', 'C', 'H', 'E', 'C', 'K', 'P'};

/* Offsets in the header; between and behind them are zeros. */
enum {
    AT_SPACE = 16,
    AT_CHUNK_BYTES = 20,
    AT_POSITION = 24,
    AT_SEQ = 32,
    AT_TIME = 40,
    AT_CHAIN_HASH = 48,
    AT_TAG_END = 80,
    AT_SECTIONS = 80, /* for each: offset u64, bytes u64, chunks u64 */
    SECTION_BYTES = 24,
    AT_FILE_BYTES = 152,
    AT_STATE_HASH = 160,
    AT_CONTENT_HASH = 192,
    AT_END = 224,
};

_Static_assert(AT_CHAIN_HASH + HF_SHA256_BYTES == AT_TAG_END, "the chain hash ends there");
_Static_assert((int)AT_SECTIONS + (int)SECTION_BYTES * (int)HF_CHECKPOINT_SECTIONS ==
                   (int)AT_FILE_BYTES,
               "the table of sections ends there");

#define NAME_PREFIX "checkpoint-"
#define NAME_SUFFIX ".ckpt"
#define NAME_DIGITS 20

void hf_checkpoint_name(uint64_t position, char name[HF_CHECKPOINT_NAME_BYTES])
{
    int size = snprintf(name, HF_CHECKPOINT_NAME_BYTES, NAME_PREFIX "%020llu" NAME_SUFFIX,
                        (unsigned long long)position);
    HF_CHECK(size > 0 && (size_t)size < HF_CHECKPOINT_NAME_BYTES);
}

bool hf_checkpoint_name_parse(struct hf_str name, uint64_t *position)
{
    *position = 0;
    const size_t prefix_bytes = sizeof(NAME_PREFIX) - 1;
    const size_t suffix_bytes = sizeof(NAME_SUFFIX) - 1;
    if (name.len != prefix_bytes + NAME_DIGITS + suffix_bytes ||
        memcmp(name.ptr, NAME_PREFIX, prefix_bytes) != 0 ||
        memcmp(name.ptr + prefix_bytes + NAME_DIGITS, NAME_SUFFIX, suffix_bytes) != 0) {
        return false;
    }
    hf_u128 sum = 0;
    for (size_t i = 0; i < NAME_DIGITS; i++) {
        char digit = name.ptr[prefix_bytes + i];
        if (digit < '0' || digit > '9') {
            return false;
        }
        sum = sum * 10 + (unsigned)(digit - '0');
    }
    if (sum > UINT64_MAX) {
        return false;
    }
    *position = (uint64_t)sum;
    return true;
}

static void encode_identity(const struct hf_checkpoint_meta *meta, uint8_t *header)
{
    hf_put_u32(header + AT_SPACE, meta->space);
    hf_put_u32(header + AT_CHUNK_BYTES, HF_CHECKPOINT_CHUNK_BYTES);
    hf_put_u64(header + AT_POSITION, meta->position);
    hf_put_u64(header + AT_SEQ, meta->seq);
    hf_put_u64(header + AT_TIME, meta->time_us);
    memcpy(header + AT_CHAIN_HASH, meta->chain_hash.bytes, HF_SHA256_BYTES);
}

uint64_t hf_checkpoint_chunks(uint64_t section_bytes)
{
    return (section_bytes + HF_CHECKPOINT_CHUNK_BYTES - 1) / HF_CHECKPOINT_CHUNK_BYTES;
}

void hf_checkpoint_layout_derive(struct hf_checkpoint_layout *layout)
{
    uint8_t header[AT_TAG_END] = {0};
    encode_identity(&layout->info.meta, header);
    layout->tag = hf_checksum(header + AT_SPACE, AT_TAG_END - AT_SPACE);
    uint64_t offset = HF_STORE_HEADER_BYTES;
    uint64_t number = 0;
    for (int i = 0; i < HF_CHECKPOINT_SECTIONS; i++) {
        uint64_t bytes = layout->info.section_bytes[i];
        HF_CHECK(bytes <= HF_CHECKPOINT_SECTION_MAX);
        layout->offset[i] = offset;
        layout->number[i] = number;
        number += hf_checkpoint_chunks(bytes);
        offset += bytes + hf_checkpoint_chunks(bytes) * HF_CHECKPOINT_CHUNK_HEAD_BYTES;
    }
    layout->info.file_bytes = offset;
}

void hf_checkpoint_header_encode(struct hf_checkpoint_layout *layout,
                                 uint8_t header[HF_STORE_HEADER_BYTES])
{
    struct hf_checkpoint_info *info = &layout->info;
    memset(header, 0, HF_STORE_HEADER_BYTES);
    encode_identity(&info->meta, header);
    for (int i = 0; i < HF_CHECKPOINT_SECTIONS; i++) {
        uint8_t *at = header + AT_SECTIONS + SECTION_BYTES * i;
        hf_put_u64(at, layout->offset[i]);
        hf_put_u64(at + 8, info->section_bytes[i]);
        hf_put_u64(at + 16, hf_checkpoint_chunks(info->section_bytes[i]));
    }
    hf_put_u64(header + AT_FILE_BYTES, info->file_bytes);
    memcpy(header + AT_STATE_HASH, info->state_hash.bytes, HF_SHA256_BYTES);
    memcpy(header + AT_CONTENT_HASH, layout->content_hash.bytes, HF_SHA256_BYTES);
    hf_store_header_seal(header, magic, HF_CHECKPOINT_VERSION);
    info->file_hash = hf_sha256(header, HF_STORE_HEADER_BYTES);
}

/* Sections as in the table, each where it must be; what is wrong, or NULL. */
static const char *decode_sections(const uint8_t *header, uint64_t file_bytes,
                                   struct hf_checkpoint_layout *layout)
{
    for (int i = 0; i < HF_CHECKPOINT_SECTIONS; i++) {
        uint64_t bytes = hf_get_u64(header + AT_SECTIONS + SECTION_BYTES * i + 8);
        if (bytes > HF_CHECKPOINT_SECTION_MAX) {
            return "the size of a section is out of range";
        }
        layout->info.section_bytes[i] = bytes;
    }
    hf_checkpoint_layout_derive(layout);
    for (int i = 0; i < HF_CHECKPOINT_SECTIONS; i++) {
        const uint8_t *at = header + AT_SECTIONS + SECTION_BYTES * i;
        if (hf_get_u64(at) != layout->offset[i] ||
            hf_get_u64(at + 16) != hf_checkpoint_chunks(layout->info.section_bytes[i])) {
            return "its table of sections does not fit together";
        }
    }
    if (layout->info.file_bytes != hf_get_u64(header + AT_FILE_BYTES) ||
        layout->info.file_bytes != file_bytes) {
        return "its size is not what the header says";
    }
    return NULL;
}

enum hf_err hf_checkpoint_header_decode(const uint8_t header[HF_STORE_HEADER_BYTES],
                                        uint64_t file_bytes, const char *name,
                                        struct hf_checkpoint_layout *layout, struct hf_error *error)
{
    *layout = (struct hf_checkpoint_layout){0};
    enum hf_err err = hf_store_header_check(header, magic, HF_CHECKPOINT_VERSION, name, error);
    if (err != HF_ERR_OK) {
        return err;
    }
    struct hf_checkpoint_info *info = &layout->info;
    info->meta.space = hf_get_u32(header + AT_SPACE);
    info->meta.position = hf_get_u64(header + AT_POSITION);
    info->meta.seq = hf_get_u64(header + AT_SEQ);
    info->meta.time_us = hf_get_u64(header + AT_TIME);
    memcpy(info->meta.chain_hash.bytes, header + AT_CHAIN_HASH, HF_SHA256_BYTES);
    memcpy(info->state_hash.bytes, header + AT_STATE_HASH, HF_SHA256_BYTES);
    memcpy(layout->content_hash.bytes, header + AT_CONTENT_HASH, HF_SHA256_BYTES);
    info->file_hash = hf_sha256(header, HF_STORE_HEADER_BYTES);
    const char *wrong = NULL;
    if (hf_get_u32(header + AT_CHUNK_BYTES) != HF_CHECKPOINT_CHUNK_BYTES) {
        wrong = "its chunk size is not the one of this version";
    } else if (!hf_store_zero(header, AT_END, HF_STORE_HEADER_BYTES - 8)) {
        wrong = "a reserved byte of the header is not zero";
    } else {
        wrong = decode_sections(header, file_bytes, layout);
    }
    return wrong == NULL ? HF_ERR_OK : hf_error_set(error, HF_ERR_CORRUPT, "%s: %s", name, wrong);
}

void hf_checkpoint_chunk_seal(const struct hf_checkpoint_layout *layout, uint8_t *chunk,
                              uint64_t number, uint32_t size_bytes)
{
    HF_CHECK(number <= UINT32_MAX);
    HF_CHECK(size_bytes > 0 && size_bytes <= HF_CHECKPOINT_CHUNK_BYTES);
    hf_put_u64(chunk + 8, layout->tag);
    hf_put_u32(chunk + 16, (uint32_t)number);
    hf_put_u32(chunk + 20, size_bytes);
    hf_put_u64(chunk, hf_checksum(chunk + 8, HF_CHECKPOINT_CHUNK_HEAD_BYTES - 8 + size_bytes));
}

const char *hf_checkpoint_chunk_check(const struct hf_checkpoint_layout *layout,
                                      const uint8_t *chunk, uint64_t number, uint32_t size_bytes)
{
    size_t covered_bytes = HF_CHECKPOINT_CHUNK_HEAD_BYTES - 8 + (size_t)size_bytes;
    if (hf_get_u64(chunk) != hf_checksum(chunk + 8, covered_bytes)) {
        return "its checksum differs";
    }
    if (hf_get_u64(chunk + 8) != layout->tag) {
        return "it belongs to another checkpoint";
    }
    if (hf_get_u32(chunk + 16) != number) {
        return "it belongs to another place";
    }
    if (hf_get_u32(chunk + 20) != size_bytes) {
        return "it has another size";
    }
    return NULL;
}
