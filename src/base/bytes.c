#include "base/bytes.h"

static const uint8_t *take(struct hf_reader *reader, size_t size_bytes)
{
    if (reader->failed || hf_reader_left(reader) < size_bytes) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *start = reader->next;
    reader->next += size_bytes;
    return start;
}

uint8_t hf_read_u8(struct hf_reader *reader)
{
    const uint8_t *at = take(reader, 1);
    return at == NULL ? 0 : *at;
}

uint32_t hf_read_u32(struct hf_reader *reader)
{
    const uint8_t *at = take(reader, 4);
    return at == NULL ? 0 : hf_get_u32(at);
}

uint64_t hf_read_u64(struct hf_reader *reader)
{
    const uint8_t *at = take(reader, 8);
    return at == NULL ? 0 : hf_get_u64(at);
}

/* Most numbers fit into 63 bits: the same rules without 128-bit arithmetic. False: not read, nothing said
 * about it. */
static bool read_short_varint(struct hf_reader *reader, hf_u128 max, uint64_t *value)
{
    size_t most = reader->failed ? 0 : (size_t)(reader->end - reader->next);
    most = most < 9 ? most : 9;
    *value = 0;
    for (size_t i = 0; i < most; i++) {
        uint8_t byte = reader->next[i];
        *value |= (uint64_t)(byte & 0x7F) << (7 * i);
        if ((byte & 0x80) == 0) {
            bool fine = *value <= max && (byte != 0 || i == 0);
            reader->next += fine ? i + 1 : 0;
            return fine;
        }
    }
    return false;
}

hf_u128 hf_read_varint(struct hf_reader *reader, hf_u128 max)
{
    uint64_t small;
    if (read_short_varint(reader, max, &small)) {
        return small;
    }
    hf_u128 value = 0;
    for (unsigned shift = 0; shift < 128; shift += 7) {
        const uint8_t *at = take(reader, 1);
        if (at == NULL) {
            return 0;
        }
        hf_u128 part = *at & 0x7Fu;
        bool too_big = shift == 126 && part > 3;
        bool padded = *at == 0 && shift > 0; /* a longer form of a smaller value */
        if (too_big || padded) {
            break;
        }
        value |= part << shift;
        if ((*at & 0x80) == 0) {
            if (value > max) {
                break;
            }
            return value;
        }
    }
    reader->failed = true;
    return 0;
}

const uint8_t *hf_read_bytes(struct hf_reader *reader, size_t size_bytes)
{
    return take(reader, size_bytes);
}

struct hf_str hf_read_str(struct hf_reader *reader, size_t max_bytes)
{
    size_t len = (size_t)hf_read_varint(reader, max_bytes);
    const uint8_t *at = take(reader, len);
    return at == NULL ? HF_STR_NONE : (struct hf_str){(const char *)at, len};
}
