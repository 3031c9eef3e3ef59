/*
 * Standard Webhooks 1.0.0 signatures (PROTOCOLS SW1–SW3).
 *
 * Owns: nothing. Must never: show a secret. Called by: the runner, push.
 *
 *   webhook-id: msg_…   webhook-timestamp: seconds of this attempt   webhook-signature: v1,… [v1,…]
 *   signature = base64(HMAC-SHA256(secret, "{id}.{timestamp}.{body}"))
 */
#ifndef HF_DELIVER_SIGN_H
#define HF_DELIVER_SIGN_H

#include "base/types.h"

#define HF_SIGN_SECRETS_MAX  2 /* both, while a secret is rotated */
#define HF_SIGN_SECRET_BYTES 64
#define HF_SIGN_ONE_BYTES    47 /* "v1," and 44 characters */
#define HF_SIGN_TEXT_BYTES                                                                         \
    (HF_SIGN_SECRETS_MAX * (HF_SIGN_ONE_BYTES + 1)) /* with blanks between, or NUL */
#define HF_SIGN_TIMESTAMP_BYTES  21
#define HF_SIGN_MESSAGE_ID_BYTES 37 /* "msg_", 32 hex digits, NUL */

struct hf_sign_secret {
    uint8_t bytes[HF_SIGN_SECRET_BYTES];
    size_t size_bytes; /* 24–64 */
};

/* "whsec_" and standard base64 of 24 to 64 bytes. */
bool hf_sign_secret_parse(struct hf_str text, struct hf_sign_secret *secret) HF_WARN_UNUSED;

/* A header's value: a signature by each of 1 to HF_SIGN_SECRETS_MAX secrets. timestamp is the decimal text that goes out. */
void hf_sign(struct hf_str id, struct hf_str timestamp, struct hf_str body,
             const struct hf_sign_secret *secrets, size_t secret_count,
             char text[HF_SIGN_TEXT_BYTES]);

/* A webhook-id without '.': "msg_" and the first 16 bytes of SHA-256(what), in hex; the same for the same. */
void hf_sign_message_id(struct hf_str what, char id[HF_SIGN_MESSAGE_ID_BYTES]);

#endif
