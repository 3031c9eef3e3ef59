/*
 * A checkpoint's file: header and chunks. Private to src/store and its tests.
 *
 *   offset 0   header, HF_STORE_HEADER_BYTES (fields in checkpoint_format.c)
 *   then the sections in order, each a series of chunks: full ones, and a last shorter one.
 *   A chunk: checksum of the rest u64, tag u64, number u32 (counted through the file), size of the
 *   payload u32, payload. tag = checksum of header bytes 16..80 (space, chunk size, position, seq,
 *   time, chain hash): a chunk of another checkpoint or place is not taken for this one.
 *   RUNS: count u32; for each run from u64, to u64, generation u32, size u64, hash 32 bytes.
 *   POSITIONS: pairs of u64.
 */
#ifndef HF_STORE_CHECKPOINT_PRIV_H
#define HF_STORE_CHECKPOINT_PRIV_H

#include "base/bytes.h"
#include "store/checkpoint.h"
#include "store/sink.h"

#define HF_CHECKPOINT_VERSION          1u
#define HF_CHECKPOINT_CHUNK_HEAD_BYTES 24u
#define HF_CHECKPOINT_RUN_BYTES        60u                 /* of a run in the RUNS section */
#define HF_CHECKPOINT_SECTION_MAX      ((uint64_t)1 << 47) /* bytes of a section; keeps sums small */

/* A header in memory. */
struct hf_checkpoint_layout {
    struct hf_checkpoint_info info;          /* without file_hash while writing */
    uint64_t offset[HF_CHECKPOINT_SECTIONS]; /* of the section's first chunk in the file */
    uint64_t number[HF_CHECKPOINT_SECTIONS]; /* of its first chunk */
    struct hf_hash content_hash;             /* of all behind the header */
    uint64_t tag;                            /* of all chunks */
};

void hf_checkpoint_name(uint64_t position, char name[HF_CHECKPOINT_NAME_BYTES]);
/* Exactly what hf_checkpoint_name writes. */
bool hf_checkpoint_name_parse(struct hf_str name, uint64_t *position);

/* From the sizes of the sections: offsets, numbers, file_bytes; from the meta: the tag. */
void hf_checkpoint_layout_derive(struct hf_checkpoint_layout *layout);
/* Chunks of a section of so many bytes. */
uint64_t hf_checkpoint_chunks(uint64_t section_bytes);
/* Also sets info.file_hash, which is the hash of these bytes. */
void hf_checkpoint_header_encode(struct hf_checkpoint_layout *layout,
                                 uint8_t header[HF_STORE_HEADER_BYTES]);
enum hf_err hf_checkpoint_header_decode(const uint8_t header[HF_STORE_HEADER_BYTES],
                                        uint64_t file_bytes, const char *name,
                                        struct hf_checkpoint_layout *layout,
                                        struct hf_error *error) HF_WARN_UNUSED;

/* chunk: head and payload of size_bytes. seal fills in the head. */
void hf_checkpoint_chunk_seal(const struct hf_checkpoint_layout *layout, uint8_t *chunk,
                              uint64_t number, uint32_t size_bytes);
/* NULL if it is that chunk with that size, else what is wrong (a static text). */
const char *hf_checkpoint_chunk_check(const struct hf_checkpoint_layout *layout,
                                      const uint8_t *chunk, uint64_t number, uint32_t size_bytes);

struct hf_checkpoint {
    struct hf_checkpoint_layout layout;  /* the header */
    struct hf_outside *outside;          /* borrowed */
    struct hf_file *file;                /* open for reading; NULL while it is not */
    struct hf_run_ref *runs;             /* owned; NULL if there is none */
    size_t run_count;                    /* of runs */
    char name[HF_CHECKPOINT_NAME_BYTES]; /* file name, for texts */
};

#endif
