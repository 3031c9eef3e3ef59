/*
 * Receipts: what a consumer got with a message and hands back to settle it.
 *
 * Owns: their text: base64url of version 1, varints (LEB128) subscription's uid, number, token, message's position and
 * index, 16 bytes of the line's key hash, and the first 4 bytes of a SHA-256 of all that. Must never: be an
 * authority (the state decides whether one is live); accept a text that it would not have written.
 * Called by: commands, the renderers of a receive.
 */
#ifndef HF_CORE_RECEIPT_H
#define HF_CORE_RECEIPT_H

#include "base/buffer.h"
#include "base/table.h"

struct hf_receipt {
    uint64_t uid;      /* of the subscription; > 0 */
    struct hf_id line; /* key hash of the line while it is out */
    uint64_t number;   /* of the message in that line; > 0 */
    uint64_t token;    /* position of the receive; > 0 */
    uint64_t position; /* of the message; > 0 */
    uint32_t index;    /* of the message */
};

#define HF_RECEIPT_BYTES_MAX 66 /* version, four varints of 64 bits, one of 32, line, checksum */
#define HF_RECEIPT_CHARS_MAX 88

/* Appends the text; look at to->failed afterwards. */
void hf_receipt_encode(struct hf_buffer *to, const struct hf_receipt *receipt);
/* false: this is no receipt. */
bool hf_receipt_decode(struct hf_str text, struct hf_receipt *receipt) HF_WARN_UNUSED;

#endif
