#include "cli/base64.h"

#include <openssl/evp.h>

#define PIECE_BYTES (3u << 16) /* encoded at once; a multiple of 3 */
#define PIECE_TEXT  (4u << 16) /* its text */

void hf_base64_encode(struct hf_buffer *out, const void *data, size_t size_bytes)
{
    const uint8_t *from = data;
    while (size_bytes > 0) {
        size_t piece = size_bytes < PIECE_BYTES ? size_bytes : PIECE_BYTES;
        size_t text = (piece + 2) / 3 * 4;
        uint8_t *to = hf_buffer_extend(out, text + 1); /* one more for OpenSSL's NUL */
        if (to == NULL) {
            return;
        }
        (void)EVP_EncodeBlock(to, from, (int)piece);
        out->size_bytes--;
        from += piece;
        size_bytes -= piece;
    }
}

/* The text of the bytes must be the text that was given: blanks and loose bits are refused. */
static bool is_canonical(const uint8_t *data, size_t size_bytes, struct hf_str text)
{
    struct hf_buffer again;
    hf_buffer_init(&again);
    hf_base64_encode(&again, data, size_bytes);
    bool same = !again.failed && again.size_bytes == text.len &&
                memcmp(again.data, text.ptr, text.len) == 0;
    hf_buffer_release(&again);
    return same;
}

bool hf_base64_decode(struct hf_buffer *out, struct hf_str text)
{
    if (text.len % 4 != 0) {
        return false;
    }
    size_t start = out->size_bytes;
    for (size_t at = 0; at < text.len; at += PIECE_TEXT) {
        size_t piece = text.len - at < PIECE_TEXT ? text.len - at : PIECE_TEXT;
        uint8_t *to = hf_buffer_extend(out, piece / 4 * 3);
        if (to == NULL || EVP_DecodeBlock(to, (const uint8_t *)text.ptr + at, (int)piece) !=
                              (int)(piece / 4 * 3)) {
            return false;
        }
    }
    for (size_t i = 0; i < 2 && i < text.len && text.ptr[text.len - 1 - i] == '='; i++) {
        out->size_bytes--; /* padding */
    }
    return text.len == 0 || is_canonical(out->data + start, out->size_bytes - start, text);
}
