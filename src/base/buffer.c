#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/bytes.h"

void hf_buffer_init(struct hf_buffer *buffer)
{
    *buffer = (struct hf_buffer){0};
}

void hf_buffer_release(struct hf_buffer *buffer)
{
    hf_free(buffer->data);
    hf_buffer_init(buffer);
}

void hf_buffer_clear(struct hf_buffer *buffer)
{
    buffer->size_bytes = 0;
    buffer->failed = false;
}

bool hf_buffer_reserve(struct hf_buffer *buffer, size_t more_bytes)
{
    if (buffer->failed || more_bytes > SIZE_MAX / 4 - buffer->size_bytes) {
        buffer->failed = true;
        return false;
    }
    size_t needed = buffer->size_bytes + more_bytes;
    if (needed <= buffer->capacity_bytes) {
        return true;
    }
    size_t capacity = buffer->capacity_bytes < 128 ? 256 : buffer->capacity_bytes * 2;
    if (capacity < needed) {
        capacity = needed;
    }
    uint8_t *data = hf_realloc(buffer->data, capacity);
    if (data == NULL) {
        buffer->failed = true;
        return false;
    }
    buffer->data = data;
    buffer->capacity_bytes = capacity;
    return true;
}

void hf_buffer_bytes(struct hf_buffer *buffer, const void *data, size_t size_bytes)
{
    if (size_bytes == 0) {
        return;
    }
    uint8_t *at = hf_buffer_extend(buffer, size_bytes);
    if (at != NULL) {
        memcpy(at, data, size_bytes);
    }
}

void hf_buffer_u32(struct hf_buffer *buffer, uint32_t value)
{
    uint8_t *at = hf_buffer_extend(buffer, 4);
    if (at != NULL) {
        hf_put_u32(at, value);
    }
}

void hf_buffer_u64(struct hf_buffer *buffer, uint64_t value)
{
    uint8_t *at = hf_buffer_extend(buffer, 8);
    if (at != NULL) {
        hf_put_u64(at, value);
    }
}

void hf_buffer_varint_long(struct hf_buffer *buffer, hf_u128 value)
{
    if (hf_buffer_reserve(buffer, HF_VARINT_BYTES_MAX)) {
        buffer->size_bytes += hf_put_varint(buffer->data + buffer->size_bytes, value);
    }
}

void hf_buffer_str(struct hf_buffer *buffer, struct hf_str text)
{
    hf_buffer_varint(buffer, text.len);
    hf_buffer_bytes(buffer, text.ptr, text.len);
}

void hf_buffer_text(struct hf_buffer *buffer, const char *text)
{
    hf_buffer_bytes(buffer, text, strlen(text));
}

void hf_buffer_format(struct hf_buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int needed = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (needed < 0 || !hf_buffer_reserve(buffer, (size_t)needed + 1)) {
        buffer->failed = true;
        return;
    }
    va_start(arguments, format);
    (void)vsnprintf((char *)buffer->data + buffer->size_bytes, (size_t)needed + 1, format,
                    arguments);
    va_end(arguments);
    buffer->size_bytes += (size_t)needed;
}
