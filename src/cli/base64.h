/*
 * Base64 (RFC 4648, with padding, without line ends) by OpenSSL.
 *
 * Owns: nothing. Must never: accept a text that it would not have written. Called by: export, import.
 */
#ifndef HF_CLI_BASE64_H
#define HF_CLI_BASE64_H

#include "base/buffer.h"

/* Appends the text of the bytes. */
void hf_base64_encode(struct hf_buffer *out, const void *data, size_t size_bytes);
/* Appends the bytes of the text; false if it is not the canonical form, or memory is short. */
bool hf_base64_decode(struct hf_buffer *out, struct hf_str text) HF_WARN_UNUSED;

#endif
