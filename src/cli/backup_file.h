/*
 * The file of a backup: the log's batches as they are stored, between a header and an end.
 *
 *     header, 64 bytes    0 "HFBACKUP"   8 u32 format, 1   12 zero   16 u64 made at, µs   24 zero   56 checksum
 *     batches             as hf_log_batch_encode writes them, from batch 1 on, without gaps or padding
 *     end, 128 bytes      0 "HFBACKND"   8 u64 batches   16 u64 commits   24 u64 time of the last commit, µs
 *                         32 hash of the chain   64 SHA-256 of everything before the end   96 zero   120 checksum
 *
 * Little-endian; a checksum (XXH3-64) covers the bytes before it in its part. One file, written and read from front to
 * back, so that it can go through a pipe: compressed, encrypted, to another machine. It does not depend on
 * segments or on who owned the log. A file without its end is no backup.
 *
 * Owns: the open file. Must never: hand out a batch whose checksums are wrong. Called by: backup, restore; tests.
 */
#ifndef HF_CLI_BACKUP_FILE_H
#define HF_CLI_BACKUP_FILE_H

#include <stdio.h>

#include "log/log.h"

#define HF_BACKUP_HEADER_BYTES 64
#define HF_BACKUP_END_BYTES    128

/* What the end says. */
struct hf_backup_end {
    uint64_t batches;    /* in the file */
    uint64_t commits;    /* position of the last one */
    uint64_t time_us;    /* of the last one */
    struct hf_hash hash; /* of the chain behind it */
};

struct hf_backup_file {
    FILE *file;                   /* open; standard input or output are not closed */
    const char *path;             /* borrowed; for errors */
    struct hf_sha256_stream sums; /* of everything so far */
    struct hf_buffer bytes;       /* of the batch */
    uint64_t made_us;             /* reading: when the backup began */
    uint64_t size_bytes;          /* so far */
};

/* Writing: path "-" is standard output; else a file that must not be there. EXISTS, IO, NO_SPACE. */
enum hf_err hf_backup_create(struct hf_backup_file *backup, const char *path, uint64_t made_us,
                             struct hf_error *error) HF_WARN_UNUSED;
enum hf_err hf_backup_put(struct hf_backup_file *backup, const struct hf_log_batch *batch,
                          struct hf_error *error) HF_WARN_UNUSED;
/* Writes the end and makes all of it durable. */
enum hf_err hf_backup_finish(struct hf_backup_file *backup, const struct hf_backup_end *end,
                             struct hf_error *error) HF_WARN_UNUSED;

/* Reading: path "-" is standard input. NOT_FOUND, IO, VERSION, CORRUPT. */
enum hf_err hf_backup_open(struct hf_backup_file *backup, const char *path,
                           struct hf_error *error) HF_WARN_UNUSED;
/* The next batch, until the next call; or *ended, with the end. CORRUPT: the file is damaged or not whole. */
enum hf_err hf_backup_next(struct hf_backup_file *backup, struct hf_log_batch *batch, bool *ended,
                           struct hf_backup_end *end, struct hf_error *error) HF_WARN_UNUSED;

/* NULL file is fine. */
void hf_backup_close(struct hf_backup_file *backup);

#endif
