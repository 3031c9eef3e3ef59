/*
 * Immutable bytes that several owners share: counted references.
 *
 * Owns: its memory until the last reference is dropped, by any thread. Must never: change after it
 * was filled by its maker. Called by: core's recent commits, node's batches and answers.
 */
#ifndef HF_BASE_SHARED_BYTES_H
#define HF_BASE_SHARED_BYTES_H

#include <stdatomic.h>

#include "base/types.h"

struct hf_shared_bytes {
    atomic_uint references; /* > 0 */
    size_t size_bytes;      /* of data */
    uint8_t data[];         /* the maker fills it before sharing */
};

/* One reference; data not set. NULL if memory is short. */
struct hf_shared_bytes *hf_shared_bytes_new(size_t size_bytes) HF_WARN_UNUSED;
struct hf_shared_bytes *hf_shared_bytes_ref(struct hf_shared_bytes *bytes);
void hf_shared_bytes_unref(struct hf_shared_bytes *bytes); /* NULL is fine */

#endif
