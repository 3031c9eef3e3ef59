#include "base/base64url.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void hf_base64url_encode(struct hf_buffer *to, const uint8_t *bytes, size_t count)
{
    unsigned bits = 0;
    unsigned bit_count = 0;
    for (size_t i = 0; i < count; i++) {
        bits = (bits << 8 | bytes[i]) & 0xFFFF;
        bit_count += 8;
        while (bit_count >= 6) {
            bit_count -= 6;
            hf_buffer_u8(to, (uint8_t)alphabet[bits >> bit_count & 63]);
        }
    }
    if (bit_count > 0) {
        hf_buffer_u8(to, (uint8_t)alphabet[bits << (6 - bit_count) & 63]);
    }
}

size_t hf_base64url_decode(struct hf_str text, uint8_t *bytes, size_t bytes_max)
{
    unsigned bits = 0;
    unsigned bit_count = 0;
    size_t count = 0;
    if (text.len > HF_BASE64URL_CHARS(bytes_max) || text.len % 4 == 1) {
        return 0;
    }
    for (size_t i = 0; i < text.len; i++) {
        const char *at = memchr(alphabet, text.ptr[i], sizeof(alphabet) - 1);
        if (at == NULL) {
            return 0;
        }
        bits = (bits << 6 | (unsigned)(at - alphabet)) & 0xFFFF;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            if (count == bytes_max) {
                return 0;
            }
            bytes[count++] = (uint8_t)(bits >> bit_count);
        }
    }
    return (bits & ((1u << bit_count) - 1)) == 0 ? count : 0;
}
