/*
 * Checksums against accidents (torn writes, flipped bits): XXH3-64 by the xxhash library.
 *
 * Not against malice: that is what the SHA-256 chain is for. Called by: log, store.
 */
#ifndef HF_BASE_CHECKSUM_H
#define HF_BASE_CHECKSUM_H

#include "base/types.h"

uint64_t hf_checksum(const void *data, size_t size_bytes);

#endif
