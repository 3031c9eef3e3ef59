/* Pages of the file driver as bytes: the state's slots and the segments' headers. No I/O here. */
#include "log/log_priv.h"

#include "base/bytes.h"
#include "base/checksum.h"

#define STATE_MAGIC    "HFSTATE1"
#define SEGMENT_MAGIC  "HOLDFAST"
#define FORMAT_VERSION 1

/* Both kinds of page begin alike and end with the checksum of all before. */
enum page_offset {
    AT_MAGIC = 0,
    AT_VERSION = 8,
    AT_FLAGS = 12,
    AT_LOG_ID = 16,
    AT_FIELDS = 32,
    AT_CHECKSUM = HF_LOG_PAGE_BYTES - 8,
};

enum state_offset {
    STATE_GENERATION = 32,
    STATE_EPOCH = 40,
    STATE_FIRST_SEGMENT = 48,
    STATE_ACTIVE_SEGMENT = 56,
    STATE_SEAL_SEQ = 64,
    STATE_SEAL_POSITION = 72,
    STATE_SEAL_OFFSET = 80,
    STATE_SEAL_HASH = 96,
    STATE_OWNER = 128,
    STATE_END = STATE_OWNER + HF_LOG_OWNER_BYTES,
};

enum segment_offset {
    SEGMENT_NUMBER = 32,
    SEGMENT_SIZE_BYTES = 40,
    SEGMENT_FIRST_SEQ = 48,
    SEGMENT_FIRST_POSITION = 56,
    SEGMENT_EPOCH = 64,
    SEGMENT_HASH_BEFORE = 96,
    SEGMENT_END = 128,
};

#define FLAG_SEALED 1u

static void begin_page(uint8_t *page, const char *magic, uint32_t flags, const uint8_t log_id[16])
{
    memset(page, 0, HF_LOG_PAGE_BYTES);
    memcpy(page + AT_MAGIC, magic, 8);
    hf_put_u32(page + AT_VERSION, FORMAT_VERSION);
    hf_put_u32(page + AT_FLAGS, flags);
    memcpy(page + AT_LOG_ID, log_id, 16);
}

static void end_page(uint8_t *page)
{
    hf_put_u64(page + AT_CHECKSUM, hf_checksum(page, AT_CHECKSUM));
}

static enum hf_log_page check_page(const uint8_t *page, const char *magic)
{
    if (memcmp(page + AT_MAGIC, magic, 8) != 0 ||
        hf_get_u64(page + AT_CHECKSUM) != hf_checksum(page, AT_CHECKSUM)) {
        return HF_LOG_PAGE_INVALID;
    }
    return hf_get_u32(page + AT_VERSION) == FORMAT_VERSION ? HF_LOG_PAGE_VALID : HF_LOG_PAGE_NEWER;
}

void hf_log_state_encode(const struct hf_log_state *state, uint8_t page[HF_LOG_PAGE_BYTES])
{
    begin_page(page, STATE_MAGIC, state->sealed ? FLAG_SEALED : 0, state->log_id);
    hf_put_u64(page + STATE_GENERATION, state->generation);
    hf_put_u64(page + STATE_EPOCH, state->epoch);
    hf_put_u64(page + STATE_FIRST_SEGMENT, state->first_segment);
    hf_put_u64(page + STATE_ACTIVE_SEGMENT, state->active_segment);
    hf_put_u64(page + STATE_SEAL_SEQ, state->seal_seq);
    hf_put_u64(page + STATE_SEAL_POSITION, state->seal_position);
    hf_put_u64(page + STATE_SEAL_OFFSET, state->seal_offset);
    memcpy(page + STATE_SEAL_HASH, state->seal_hash.bytes, HF_SHA256_BYTES);
    memcpy(page + STATE_OWNER, state->owner, HF_LOG_OWNER_BYTES);
    end_page(page);
}

enum hf_log_page hf_log_state_decode(const uint8_t page[HF_LOG_PAGE_BYTES],
                                     struct hf_log_state *state)
{
    *state = (struct hf_log_state){0};
    enum hf_log_page outcome = check_page(page, STATE_MAGIC);
    if (outcome != HF_LOG_PAGE_VALID) {
        return outcome;
    }
    uint32_t flags = hf_get_u32(page + AT_FLAGS);
    struct hf_log_state read = {
        .generation = hf_get_u64(page + STATE_GENERATION),
        .epoch = hf_get_u64(page + STATE_EPOCH),
        .first_segment = hf_get_u64(page + STATE_FIRST_SEGMENT),
        .active_segment = hf_get_u64(page + STATE_ACTIVE_SEGMENT),
        .sealed = (flags & FLAG_SEALED) != 0,
        .seal_seq = hf_get_u64(page + STATE_SEAL_SEQ),
        .seal_position = hf_get_u64(page + STATE_SEAL_POSITION),
        .seal_offset = hf_get_u64(page + STATE_SEAL_OFFSET),
    };
    memcpy(read.log_id, page + AT_LOG_ID, 16);
    memcpy(read.seal_hash.bytes, page + STATE_SEAL_HASH, HF_SHA256_BYTES);
    memcpy(read.owner, page + STATE_OWNER, HF_LOG_OWNER_BYTES);
    bool possible = (flags & ~FLAG_SEALED) == 0 && read.generation > 0 && read.first_segment > 0 &&
                    read.owner[HF_LOG_OWNER_BYTES - 1] == '\0' &&
                    (read.active_segment == 0 || read.active_segment >= read.first_segment);
    if (!possible) {
        return HF_LOG_PAGE_INVALID;
    }
    *state = read;
    return HF_LOG_PAGE_VALID;
}

void hf_log_segment_header_encode(const struct hf_log_segment_header *header,
                                  uint8_t page[HF_LOG_PAGE_BYTES])
{
    begin_page(page, SEGMENT_MAGIC, 0, header->log_id);
    hf_put_u64(page + SEGMENT_NUMBER, header->number);
    hf_put_u64(page + SEGMENT_SIZE_BYTES, header->size_bytes);
    hf_put_u64(page + SEGMENT_FIRST_SEQ, header->first_seq);
    hf_put_u64(page + SEGMENT_FIRST_POSITION, header->first_position);
    hf_put_u64(page + SEGMENT_EPOCH, header->epoch);
    memcpy(page + SEGMENT_HASH_BEFORE, header->hash_before.bytes, HF_SHA256_BYTES);
    end_page(page);
}

enum hf_log_page hf_log_segment_header_decode(const uint8_t page[HF_LOG_PAGE_BYTES],
                                              struct hf_log_segment_header *header)
{
    *header = (struct hf_log_segment_header){0};
    enum hf_log_page outcome = check_page(page, SEGMENT_MAGIC);
    if (outcome != HF_LOG_PAGE_VALID) {
        return outcome;
    }
    struct hf_log_segment_header read = {
        .number = hf_get_u64(page + SEGMENT_NUMBER),
        .size_bytes = hf_get_u64(page + SEGMENT_SIZE_BYTES),
        .first_seq = hf_get_u64(page + SEGMENT_FIRST_SEQ),
        .first_position = hf_get_u64(page + SEGMENT_FIRST_POSITION),
        .epoch = hf_get_u64(page + SEGMENT_EPOCH),
    };
    memcpy(read.log_id, page + AT_LOG_ID, 16);
    memcpy(read.hash_before.bytes, page + SEGMENT_HASH_BEFORE, HF_SHA256_BYTES);
    bool possible = hf_get_u32(page + AT_FLAGS) == 0 && read.number > 0 && read.first_seq > 0 &&
                    read.first_position > 0 && read.size_bytes % HF_LOG_PAGE_BYTES == 0 &&
                    read.size_bytes >= 2 * HF_LOG_PAGE_BYTES && read.size_bytes <= INT64_MAX / 2;
    if (!possible) {
        return HF_LOG_PAGE_INVALID;
    }
    *header = read;
    return HF_LOG_PAGE_VALID;
}

uint64_t hf_log_tag(const uint8_t log_id[16])
{
    return hf_get_u64(log_id) ^ hf_get_u64(log_id + 8);
}
