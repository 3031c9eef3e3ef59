#include <stdio.h>

#include "base/check.h"
#include "base/checksum.h"
#include "store/run_priv.h"

static const char magic[8] = {'H', 'F', 'I', 'N', 'D', 'R', 'U', 'N'};

/* Offsets in the header; between and behind them are zeros. */
enum {
    AT_SPACE = 16,
    AT_BLOCK_BYTES = 20,
    AT_FROM = 24,
    AT_TO = 32,
    AT_GENERATION = 40,
    AT_TAG_END = 48,
    AT_RECORDS = 48,
    AT_DATA_PAGES = 56,
    AT_FENCE_PAGES = 64,
    AT_FILTER_PAGES = 72,
    AT_FILTER_LINES = 80,
    AT_SIZE = 88,
    AT_FIRST_KEY = 96,
    AT_LAST_KEY = 121,
    AT_KEYS_END = 146,
    AT_CONTENT_HASH = 160,
    AT_DROPPED_TO = 192, /* 0 in version 1 */
    AT_END = 200,
};

_Static_assert(AT_FIRST_KEY + HF_INDEX_KEY_BYTES == AT_LAST_KEY, "keys do not overlap");
_Static_assert(AT_LAST_KEY + HF_INDEX_KEY_BYTES == AT_KEYS_END, "keys end there");
_Static_assert(AT_CONTENT_HASH + HF_SHA256_BYTES == AT_DROPPED_TO, "the hash ends there");
_Static_assert(HF_INDEX_KEY_BYTES <= HF_INDEX_RECORD_BYTES, "a record holds its key");
_Static_assert(HF_RUN_BLOCK_BYTES_MIN >= HF_RUN_LINE_BYTES * 2, "a page holds a filter line");
_Static_assert(HF_RUN_PAGE_HEAD_BYTES <= HF_RUN_LINE_BYTES, "lines begin behind the head");

#define NAME_PREFIX       "index-"
#define NAME_SUFFIX       ".run"
#define POSITION_DIGITS   20
#define GENERATION_DIGITS 10

void hf_run_name(const struct hf_run_ref *ref, char name[HF_RUN_NAME_BYTES])
{
    int size = snprintf(name, HF_RUN_NAME_BYTES, NAME_PREFIX "%020llu-%020llu-%010u" NAME_SUFFIX,
                        (unsigned long long)ref->from_position,
                        (unsigned long long)ref->to_position, ref->generation);
    HF_CHECK(size > 0 && (size_t)size < HF_RUN_NAME_BYTES);
}

/* Digits of fixed width; false if there is anything else or the number is above UINT64_MAX. */
static bool parse_digits(const char *text, size_t digits, uint64_t *value)
{
    hf_u128 sum = 0;
    for (size_t i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        sum = sum * 10 + (unsigned)(text[i] - '0');
    }
    if (sum > UINT64_MAX) {
        return false;
    }
    *value = (uint64_t)sum;
    return true;
}

bool hf_run_name_parse(struct hf_str name, struct hf_run_ref *ref)
{
    *ref = (struct hf_run_ref){0};
    const size_t prefix_bytes = sizeof(NAME_PREFIX) - 1;
    const size_t size = prefix_bytes + POSITION_DIGITS + 1 + POSITION_DIGITS + 1 +
                        GENERATION_DIGITS + sizeof(NAME_SUFFIX) - 1;
    uint64_t from, to, generation;
    if (name.len != size || memcmp(name.ptr, NAME_PREFIX, prefix_bytes) != 0) {
        return false;
    }
    const char *at = name.ptr + prefix_bytes;
    if (!parse_digits(at, POSITION_DIGITS, &from) || at[POSITION_DIGITS] != '-') {
        return false;
    }
    at += POSITION_DIGITS + 1;
    if (!parse_digits(at, POSITION_DIGITS, &to) || at[POSITION_DIGITS] != '-') {
        return false;
    }
    at += POSITION_DIGITS + 1;
    if (!parse_digits(at, GENERATION_DIGITS, &generation) || generation > UINT32_MAX ||
        memcmp(at + GENERATION_DIGITS, NAME_SUFFIX, sizeof(NAME_SUFFIX) - 1) != 0 || from > to) {
        return false;
    }
    ref->from_position = from;
    ref->to_position = to;
    ref->generation = (uint32_t)generation;
    return true;
}

static void encode_identity(const struct hf_run_info *info, uint8_t *header)
{
    hf_put_u32(header + AT_SPACE, info->space);
    hf_put_u32(header + AT_BLOCK_BYTES, info->block_bytes);
    hf_put_u64(header + AT_FROM, info->ref.from_position);
    hf_put_u64(header + AT_TO, info->ref.to_position);
    hf_put_u32(header + AT_GENERATION, info->ref.generation);
}

void hf_run_layout_derive(struct hf_run_layout *layout)
{
    uint8_t header[AT_TAG_END] = {0};
    uint32_t block_bytes = layout->info.block_bytes;
    encode_identity(&layout->info, header);
    layout->tag = hf_checksum(header + AT_SPACE, AT_TAG_END - AT_SPACE);
    layout->records_a_page = (block_bytes - HF_RUN_PAGE_HEAD_BYTES) / HF_INDEX_RECORD_BYTES;
    layout->fences_a_page = (block_bytes - HF_RUN_PAGE_HEAD_BYTES) / HF_INDEX_KEY_BYTES;
    layout->lines_a_page = block_bytes / HF_RUN_LINE_BYTES - 1;
}

static uint64_t lines_for(uint64_t record_count, uint64_t bits)
{
    const uint64_t bits_a_line = HF_RUN_LINE_BYTES * 8;
    return (record_count * bits + bits_a_line - 1) / bits_a_line;
}

uint64_t hf_run_filter_lines(uint64_t record_count)
{
    return lines_for(record_count, HF_RUN_FILTER_BITS);
}

uint64_t hf_run_filter_lines_min(uint64_t record_count)
{
    return lines_for(record_count, HF_RUN_FILTER_BITS_MIN);
}

void hf_run_header_encode(struct hf_run_layout *layout, uint8_t header[HF_STORE_HEADER_BYTES])
{
    memset(header, 0, HF_STORE_HEADER_BYTES);
    encode_identity(&layout->info, header);
    hf_put_u64(header + AT_RECORDS, layout->info.record_count);
    hf_put_u64(header + AT_DATA_PAGES, layout->data_pages);
    hf_put_u64(header + AT_FENCE_PAGES, layout->fence_pages);
    hf_put_u64(header + AT_FILTER_PAGES, layout->filter_pages);
    hf_put_u64(header + AT_FILTER_LINES, layout->filter_lines);
    hf_put_u64(header + AT_SIZE, layout->info.ref.size_bytes);
    hf_put_index_key(header + AT_FIRST_KEY, &layout->info.first_key);
    hf_put_index_key(header + AT_LAST_KEY, &layout->info.last_key);
    memcpy(header + AT_CONTENT_HASH, layout->content_hash.bytes, HF_SHA256_BYTES);
    hf_put_u64(header + AT_DROPPED_TO, layout->info.dropped_to);
    hf_store_header_seal(header, magic, layout->info.dropped_to == 0 ? 1 : HF_RUN_VERSION);
    layout->info.ref.hash = hf_sha256(header, HF_STORE_HEADER_BYTES);
}

static uint64_t pages_for(uint64_t entry_count, uint32_t capacity)
{
    return (entry_count + capacity - 1) / capacity;
}

/* What is wrong with the numbers of a header, or NULL. */
static const char *check_numbers(const struct hf_run_layout *layout, uint64_t file_bytes)
{
    const struct hf_run_info *info = &layout->info;
    if (info->ref.from_position > info->ref.to_position) {
        return "its positions run backwards";
    }
    if (info->record_count > HF_RUN_RECORD_COUNT_MAX ||
        layout->filter_lines > HF_RUN_RECORD_COUNT_MAX) {
        return "its counts are out of range";
    }
    if (layout->data_pages != pages_for(info->record_count, layout->records_a_page) ||
        layout->fence_pages != pages_for(layout->data_pages, layout->fences_a_page) ||
        layout->filter_pages != pages_for(layout->filter_lines, layout->lines_a_page) ||
        layout->filter_lines < hf_run_filter_lines_min(info->record_count)) {
        return "its counts do not fit together";
    }
    uint64_t pages = layout->data_pages + layout->fence_pages + layout->filter_pages;
    if (pages > UINT32_MAX || info->ref.size_bytes != hf_run_page_offset(layout, pages) ||
        info->ref.size_bytes != file_bytes) {
        return "its size is not what the header says";
    }
    if (info->dropped_to > info->ref.to_position ||
        (info->dropped_to != 0 && info->ref.generation == 0)) {
        return "nothing can have been left out of it";
    }
    int order = hf_index_key_compare(&info->first_key, &info->last_key);
    if (info->record_count < 2 ? order != 0 : order >= 0) {
        return "its first key is not below its last";
    }
    return NULL;
}

enum hf_err hf_run_header_decode(const uint8_t header[HF_STORE_HEADER_BYTES], uint64_t file_bytes,
                                 const char *name, struct hf_run_layout *layout,
                                 struct hf_error *error)
{
    *layout = (struct hf_run_layout){0};
    enum hf_err err = hf_store_header_check(header, magic, HF_RUN_VERSION, name, error);
    if (err != HF_ERR_OK) {
        return err;
    }
    struct hf_run_info *info = &layout->info;
    info->space = hf_get_u32(header + AT_SPACE);
    info->block_bytes = hf_get_u32(header + AT_BLOCK_BYTES);
    info->ref.from_position = hf_get_u64(header + AT_FROM);
    info->ref.to_position = hf_get_u64(header + AT_TO);
    info->ref.generation = hf_get_u32(header + AT_GENERATION);
    info->ref.size_bytes = hf_get_u64(header + AT_SIZE);
    info->record_count = hf_get_u64(header + AT_RECORDS);
    info->first_key = hf_get_index_key(header + AT_FIRST_KEY);
    info->last_key = hf_get_index_key(header + AT_LAST_KEY);
    info->dropped_to = hf_get_u64(header + AT_DROPPED_TO);
    layout->data_pages = hf_get_u64(header + AT_DATA_PAGES);
    layout->fence_pages = hf_get_u64(header + AT_FENCE_PAGES);
    layout->filter_pages = hf_get_u64(header + AT_FILTER_PAGES);
    layout->filter_lines = hf_get_u64(header + AT_FILTER_LINES);
    memcpy(layout->content_hash.bytes, header + AT_CONTENT_HASH, HF_SHA256_BYTES);
    info->ref.hash = hf_sha256(header, HF_STORE_HEADER_BYTES);
    const char *wrong = NULL;
    if (info->block_bytes < HF_RUN_BLOCK_BYTES_MIN || info->block_bytes > HF_RUN_BLOCK_BYTES_MAX ||
        info->block_bytes % HF_RUN_LINE_BYTES != 0) {
        wrong = "its block size is out of range";
    } else if (!hf_store_zero(header, AT_GENERATION + 4, AT_TAG_END) ||
               !hf_store_zero(header, AT_KEYS_END, AT_CONTENT_HASH) ||
               !hf_store_zero(header, AT_END, HF_STORE_HEADER_BYTES - 8)) {
        wrong = "a reserved byte of the header is not zero";
    } else if ((info->dropped_to != 0) != (hf_store_header_version(header) == HF_RUN_VERSION)) {
        wrong = "its format version is not that of what was left out of it";
    } else {
        hf_run_layout_derive(layout);
        wrong = check_numbers(layout, file_bytes);
    }
    return wrong == NULL ? HF_ERR_OK : hf_error_set(error, HF_ERR_CORRUPT, "%s: %s", name, wrong);
}

void hf_run_page_seal(const struct hf_run_layout *layout, uint8_t *page, uint64_t number,
                      uint32_t count)
{
    HF_CHECK(number <= UINT32_MAX);
    hf_put_u64(page + 8, layout->tag);
    hf_put_u32(page + 16, (uint32_t)number);
    hf_put_u32(page + 20, count);
    hf_put_u64(page, hf_checksum(page + 8, layout->info.block_bytes - 8));
}

const char *hf_run_page_check(const struct hf_run_layout *layout, const uint8_t *page,
                              uint64_t number, uint32_t count)
{
    if (hf_get_u64(page) != hf_checksum(page + 8, layout->info.block_bytes - 8)) {
        return "its checksum differs";
    }
    if (hf_get_u64(page + 8) != layout->tag) {
        return "it belongs to another run";
    }
    if (hf_get_u32(page + 16) != number) {
        return "it belongs to another place";
    }
    if (hf_get_u32(page + 20) != count) {
        return "it holds another count of entries";
    }
    return NULL;
}

uint32_t hf_run_page_count(uint64_t page_in_section, uint64_t entry_count, uint32_t capacity)
{
    uint64_t before = page_in_section * capacity;
    HF_CHECK(before < entry_count);
    return (uint32_t)hf_min_u64(entry_count - before, capacity);
}

uint64_t hf_run_key_hash(const struct hf_index_key *key)
{
    uint8_t encoded[HF_INDEX_KEY_BYTES];
    hf_put_index_key(encoded, key);
    return hf_checksum(encoded, sizeof(encoded));
}

uint64_t hf_run_filter_line(uint64_t key_hash, uint64_t line_count)
{
    return (uint64_t)(((hf_u128)key_hash * line_count) >> 64);
}

/* Six 9-bit pieces at the top; another function of the key's hash than the choice of the line. */
static uint64_t filter_pieces(uint64_t key_hash)
{
    return (key_hash ^ (key_hash >> 32)) * 0xD6E8FEB86659FD93u;
}

void hf_run_filter_set(uint8_t *line, uint64_t key_hash)
{
    uint64_t pieces = filter_pieces(key_hash);
    for (unsigned i = 0; i < 6; i++, pieces <<= 9) {
        unsigned bit = (unsigned)(pieces >> 55);
        line[bit >> 3] = (uint8_t)(line[bit >> 3] | (1u << (bit & 7)));
    }
}

bool hf_run_filter_test(const uint8_t *line, uint64_t key_hash)
{
    uint64_t pieces = filter_pieces(key_hash);
    for (unsigned i = 0; i < 6; i++, pieces <<= 9) {
        unsigned bit = (unsigned)(pieces >> 55);
        if ((line[bit >> 3] & (1u << (bit & 7))) == 0) {
            return false;
        }
    }
    return true;
}
