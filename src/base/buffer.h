/*
 * A growable run of bytes, for encoders and text.
 *
 * Owns: its memory. After memory was short `failed` stays true, what follows is dropped, and the
 * caller asks once at the end. Not thread-safe. Called by: every encoder.
 */
#ifndef HF_BASE_BUFFER_H
#define HF_BASE_BUFFER_H

#include "base/types.h"

struct hf_buffer {
    uint8_t *data;         /* owned; NULL until something was written */
    size_t size_bytes;     /* written */
    size_t capacity_bytes; /* allocated */
    bool failed;           /* memory was short: the content is not whole */
};

void hf_buffer_init(struct hf_buffer *buffer);
void hf_buffer_release(struct hf_buffer *buffer);
void hf_buffer_clear(struct hf_buffer *buffer); /* empties, keeps the memory, forgets `failed` */
bool hf_buffer_reserve(struct hf_buffer *buffer, size_t more_bytes) HF_WARN_UNUSED;

/* Room for size_bytes at the end, counted as written; NULL after a failure. */
static inline uint8_t *hf_buffer_extend(struct hf_buffer *buffer, size_t size_bytes)
{
    if ((buffer->failed || size_bytes > buffer->capacity_bytes - buffer->size_bytes) &&
        !hf_buffer_reserve(buffer, size_bytes)) {
        return NULL;
    }
    uint8_t *at = buffer->data + buffer->size_bytes;
    buffer->size_bytes += size_bytes;
    return at;
}
void hf_buffer_bytes(struct hf_buffer *buffer, const void *data, size_t size_bytes);
static inline void hf_buffer_u8(struct hf_buffer *buffer, uint8_t value)
{
    uint8_t *at = hf_buffer_extend(buffer, 1);
    if (at != NULL) {
        *at = value;
    }
}
void hf_buffer_u32(struct hf_buffer *buffer, uint32_t value);
void hf_buffer_u64(struct hf_buffer *buffer, uint64_t value);
void hf_buffer_varint_long(struct hf_buffer *buffer, hf_u128 value); /* of any value */
static inline void hf_buffer_varint(struct hf_buffer *buffer, hf_u128 value)
{
    if (value < 0x80) {
        hf_buffer_u8(buffer, (uint8_t)value);
    } else {
        hf_buffer_varint_long(buffer, value);
    }
}
void hf_buffer_str(struct hf_buffer *buffer, struct hf_str text); /* varint length, bytes */
void hf_buffer_text(struct hf_buffer *buffer, const char *text);  /* the bytes alone */
void hf_buffer_format(struct hf_buffer *buffer, const char *format, ...) HF_PRINTF(2, 3);

#endif
