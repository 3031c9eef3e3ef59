/*
 * A sink: a file of the store while it is being written.
 *
 * Owns: the temporary file, a buffer, the running SHA-256 of what follows the header.
 * Must never: give a file its final name before all of its bytes are synced.
 * Called by: the writers of runs and checkpoints. (Private to src/store.)
 *
 * A file has a header of HF_STORE_HEADER_BYTES at offset 0, which is known last and written last.
 * What is synced before commit is worth nothing: it only keeps short what a sync of another file may have to wait for.
 * Order: append… → content hash → commit (header, sync, rename, sync of the directory).
 */
#ifndef HF_STORE_SINK_H
#define HF_STORE_SINK_H

#include "base/errors.h"
#include "base/sha256.h"
#include "outside/outside.h"

#define HF_STORE_HEADER_BYTES 4096u
#define HF_STORE_PATH_BYTES   4096u
#define HF_STORE_SINK_BYTES   (256u << 10) /* written in pieces of this */
#define HF_STORE_SINK_SYNC_BYTES                                                                   \
    (4u << 20) /* and synced in pieces of this: the log's syncs wait behind no more on their disk */

struct hf_sink {
    struct hf_outside *outside;               /* borrowed */
    struct hf_file *file;                     /* the temporary file; NULL = closed */
    uint64_t offset;                          /* where the buffer's first byte belongs */
    uint64_t synced;                          /* of the file, before the last commit of it */
    uint8_t *buffer;                          /* HF_STORE_SINK_BYTES, owned */
    size_t used_bytes;                        /* of the buffer */
    struct hf_sha256_stream sha;              /* of all behind the header; not running = finished */
    bool created;                             /* the temporary file exists */
    char directory[HF_STORE_PATH_BYTES];      /* of the file */
    char final_path[HF_STORE_PATH_BYTES];     /* after commit */
    char temporary_path[HF_STORE_PATH_BYTES]; /* before: the same with ".tmp" */
};

/* Joins "<directory>/<name><suffix>"; LIMIT if it is too long. */
enum hf_err hf_store_path(char path[HF_STORE_PATH_BYTES], const char *directory, const char *name,
                          const char *suffix, struct hf_error *error) HF_WARN_UNUSED;

/* Creates the temporary file, replacing an old one. After an error release is fine. */
enum hf_err hf_sink_start(struct hf_sink *sink, struct hf_outside *outside, const char *directory,
                          const char *name, struct hf_error *error) HF_WARN_UNUSED;
enum hf_err hf_sink_append(struct hf_sink *sink, const void *data, size_t size_bytes,
                           struct hf_error *error) HF_WARN_UNUSED;
/* Size of the file so far, with the header. */
uint64_t hf_sink_size(const struct hf_sink *sink);
/* Writes what is buffered; no append may follow. Once. */
enum hf_err hf_sink_content_hash(struct hf_sink *sink, struct hf_hash *hash,
                                 struct hf_error *error) HF_WARN_UNUSED;
enum hf_err hf_sink_commit(struct hf_sink *sink, const uint8_t header[HF_STORE_HEADER_BYTES],
                           struct hf_error *error) HF_WARN_UNUSED;
/* Closes, frees, and removes the temporary file (if it could be) unless it was committed. */
void hf_sink_release(struct hf_sink *sink);

/* Reads exactly size_bytes; a file that ends before is CORRUPT. name is for the error's text. */
enum hf_err hf_store_read(struct hf_outside *outside, struct hf_file *file, const char *name,
                          uint64_t offset, void *data, size_t size_bytes,
                          struct hf_error *error) HF_WARN_UNUSED;

/* The frame that headers of both formats share: magic at 0, version at 8, HF_STORE_HEADER_BYTES at
 * 12, checksum of all before it in the last 8 bytes. seal fills it in; check compares it; versions from 1 to
 * version_max are known. */
void hf_store_header_seal(uint8_t header[HF_STORE_HEADER_BYTES], const char magic[8],
                          uint32_t version);
enum hf_err hf_store_header_check(const uint8_t header[HF_STORE_HEADER_BYTES], const char magic[8],
                                  uint32_t version_max, const char *name,
                                  struct hf_error *error) HF_WARN_UNUSED;
/* Of a header that was checked. */
uint32_t hf_store_header_version(const uint8_t header[HF_STORE_HEADER_BYTES]);
/* Are bytes [from, to) of data zero? */
bool hf_store_zero(const uint8_t *data, size_t from, size_t to);

#endif
