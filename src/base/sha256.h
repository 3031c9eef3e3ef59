/*
 * SHA-256 by OpenSSL's libcrypto.
 *
 * Owns: nothing. Must never: fail silently: if libcrypto refuses, the process stops (HF_CHECK), for
 * nothing can be proved without it.
 * Called by: names, fingerprints, the chain, checkpoints.
 */
#ifndef HF_BASE_SHA256_H
#define HF_BASE_SHA256_H

#include "base/types.h"

#define HF_SHA256_BYTES 32

struct hf_hash {
    uint8_t bytes[HF_SHA256_BYTES];
};

/* A part of what is hashed. */
struct hf_sha256_part {
    const void *data;  /* may be NULL if size_bytes is 0 */
    size_t size_bytes; /* of data */
};

/* The digest of the parts' concatenation. */
struct hf_hash hf_sha256_parts(const struct hf_sha256_part *parts, size_t count);
struct hf_hash hf_sha256(const void *data, size_t size_bytes);

static inline bool hf_hash_equal(const struct hf_hash *a, const struct hf_hash *b)
{
    return memcmp(a->bytes, b->bytes, HF_SHA256_BYTES) == 0;
}

/* A running digest, for what does not fit into memory at once. Holds no memory of its own. */
struct hf_sha256_stream {
    uint64_t context[14]; /* libcrypto's SHA256_CTX */
    bool running;         /* between start and finish */
};

void hf_sha256_start(struct hf_sha256_stream *stream);
void hf_sha256_update(struct hf_sha256_stream *stream, const void *data, size_t size_bytes);
struct hf_hash hf_sha256_finish(struct hf_sha256_stream *stream);

/* 64 lower-case hex digits and a NUL. */
void hf_hash_hex(const struct hf_hash *hash, char text[2 * HF_SHA256_BYTES + 1]);

#endif
