/*
 * base64url (RFC 4648 §5) without padding: opaque texts that users hand back.
 *
 * Owns: nothing. Must never: accept a text that it would not have written. Called by: cursors, receipts.
 */
#ifndef HF_BASE_BASE64URL_H
#define HF_BASE_BASE64URL_H

#include "base/buffer.h"

/* Characters that count bytes take. */
#define HF_BASE64URL_CHARS(count) (((count)*4 + 2) / 3)

/* Appends the text of the bytes; look at to->failed afterwards. */
void hf_base64url_encode(struct hf_buffer *to, const uint8_t *bytes, size_t count);
/* Returns the bytes' count; 0: not base64url in its one form, or more than bytes_max of them. */
size_t hf_base64url_decode(struct hf_str text, uint8_t *bytes, size_t bytes_max);

#endif
