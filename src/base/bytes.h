/*
 * Numbers to bytes and back: little-endian, by helpers, never by a struct cast.
 *
 * Owns: put/get of fixed-width integers and of variable-length ones (LEB128, shortest form only,
 * so that every value has exactly one encoding), and a bounded reader.
 * Must never: read or write outside of what it was given. Called by: every codec.
 */
#ifndef HF_BASE_BYTES_H
#define HF_BASE_BYTES_H

#include "base/types.h"

static inline void hf_put_u16(uint8_t *to, uint16_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
}

static inline void hf_put_u32(uint8_t *to, uint32_t value)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(to, &value, 4);
#else
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
#endif
}

static inline void hf_put_u64(uint8_t *to, uint64_t value)
{
    hf_put_u32(to, (uint32_t)value);
    hf_put_u32(to + 4, (uint32_t)(value >> 32));
}

static inline uint16_t hf_get_u16(const uint8_t *from)
{
    return (uint16_t)(from[0] | (from[1] << 8));
}

static inline uint32_t hf_get_u32(const uint8_t *from)
{
    return (uint32_t)from[0] | ((uint32_t)from[1] << 8) | ((uint32_t)from[2] << 16) |
           ((uint32_t)from[3] << 24);
}

static inline uint64_t hf_get_u64(const uint8_t *from)
{
    return (uint64_t)hf_get_u32(from) | ((uint64_t)hf_get_u32(from + 4) << 32);
}

/* Big-endian. */
static inline uint64_t hf_get_u64_big(const uint8_t *from)
{
    return (uint64_t)from[0] << 56 | (uint64_t)from[1] << 48 | (uint64_t)from[2] << 40 |
           (uint64_t)from[3] << 32 | (uint64_t)from[4] << 24 | (uint64_t)from[5] << 16 |
           (uint64_t)from[6] << 8 | (uint64_t)from[7];
}

#define HF_VARINT_BYTES_MAX 19 /* of a 128-bit value: ceil(128 / 7) */

/* Writes value in LEB128 at to (room for HF_VARINT_BYTES_MAX); returns the bytes written. */
static inline size_t hf_put_varint(uint8_t *to, hf_u128 value)
{
    size_t n = 0;
    while (value > UINT64_MAX) {
        to[n++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    uint64_t rest = (uint64_t)value; /* shifts of 64 bits are much cheaper */
    while (rest >= 0x80) {
        to[n++] = (uint8_t)(rest | 0x80);
        rest >>= 7;
    }
    to[n++] = (uint8_t)rest;
    return n;
}

/*
 * A reader over bytes. After the first short or malformed read `failed` stays true and every get
 * returns zero values, so a decoder reads all fields and asks once at the end.
 */
struct hf_reader {
    const uint8_t *next; /* next byte to read */
    const uint8_t *end;  /* behind the last byte */
    bool failed;         /* something was short or malformed */
};

static inline struct hf_reader hf_reader_over(const void *data, size_t size_bytes)
{
    const uint8_t *start = data;
    return (struct hf_reader){.next = start, .end = start + size_bytes, .failed = false};
}

static inline size_t hf_reader_left(const struct hf_reader *reader)
{
    return (size_t)(reader->end - reader->next);
}

uint8_t hf_read_u8(struct hf_reader *reader);
uint32_t hf_read_u32(struct hf_reader *reader);
uint64_t hf_read_u64(struct hf_reader *reader);
/* LEB128, shortest form only; a value above max fails. */
hf_u128 hf_read_varint(struct hf_reader *reader, hf_u128 max);
/* Borrowed bytes inside the reader's memory; NULL on failure (and for size 0 a valid pointer). */
const uint8_t *hf_read_bytes(struct hf_reader *reader, size_t size_bytes);
/* varint length (at most max_bytes), then the bytes. Absent strings are not encoded: ptr is never
 * NULL on success. */
struct hf_str hf_read_str(struct hf_reader *reader, size_t max_bytes);

#endif
