/*
 * SHA-256 of short texts that come again and again: accounts' names.
 *
 * Owns: one table for the whole process of texts hashed lately, with the first half of their digest.
 * It never decides anything: what it answers is what hf_sha256 would. Must never: block, allocate,
 * or give the digest of another text. Called by: names, on any thread.
 *
 * 1. A place is read without a lock: its version is even and the same before and after the words were
 *    read, or what was read counts for nothing.
 * 2. A place is written by who could make its version odd; whoever comes second leaves it.
 * 3. A text and its length are compared as a whole; a text that does not fit a place is not kept.
 */
#ifndef HF_BASE_HASH_MEMO_H
#define HF_BASE_HASH_MEMO_H

#include "base/types.h"

#define HF_HASH_MEMO_BYTES_MAX 39 /* of a text that is kept */

/* The first 16 bytes of the text's SHA-256. */
void hf_hash_memo(struct hf_str text, uint8_t half[16]);

#endif
