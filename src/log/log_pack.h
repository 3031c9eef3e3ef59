/*
 * A sealed segment in compressed form: `<20 digits>.zst`. For the log's own files and tests.
 *
 *     page 0        what the file is: sizes, where the index is, the SHA-256 of the original's bytes
 *     page 1        the original's first page, verbatim: which batches are in it
 *     frames        one zstd frame for each block of the original's bytes, first to last, without gaps
 *     index         an entry a block: where its frame is, its checksum, the first batch that begins in it
 *
 * 1. The file is written once under another name, synced, renamed, and never changes.
 * 2. Every byte is under a checksum, and the original as a whole under a SHA-256; page 0 names both.
 * 3. It is made only of a segment whose batches were all read and are right, up to the next segment's first one.
 *
 * Layout and offsets: docs/disk-format.md. Why like this: docs/adr/0013-sealed-segments.md.
 */
#ifndef HF_LOG_LOG_PACK_H
#define HF_LOG_LOG_PACK_H

#include "log/log_keep.h"
#include "log/log_priv.h"

#define HF_LOG_PACK_BLOCK_BYTES  (128u << 10)             /* of the original, in a frame */
#define HF_LOG_PACK_HEAD_BYTES   (2u * HF_LOG_PAGE_BYTES) /* pages 0 and 1 */
#define HF_LOG_PACK_ENTRY_BYTES  40u                      /* of the index */
#define HF_LOG_PACK_LEVEL        3                        /* zstd's; measured in the ADR */
#define HF_LOG_PACK_FRAME_FACTOR 2u /* a frame has at most so many times its block's bytes */

/* Page 0. */
struct hf_log_pack_header {
    uint8_t log_id[16];      /* as in the state */
    uint64_t number;         /* of the segment */
    uint32_t block_bytes;    /* of the original, in all frames but the last; whole pages */
    uint64_t size_bytes;     /* of the original */
    uint64_t block_count;    /* size_bytes / block_bytes, rounded up */
    uint64_t index_offset;   /* in this file */
    uint64_t index_checksum; /* of the index's bytes */
    uint64_t file_bytes;     /* of this file: the index ends it */
    struct hf_hash content;  /* SHA-256 of the original's bytes */
};

/* An entry of the index. first_* are of the first batch that begins in the block. */
struct hf_log_pack_entry {
    uint64_t offset;         /* of the frame in this file */
    uint32_t frame_bytes;    /* of the frame */
    uint32_t first_at;       /* offset of that batch in the block; UINT32_MAX: none begins there */
    uint64_t first_seq;      /* 0 if there is none */
    uint64_t first_position; /* 0 if there is none */
    uint64_t checksum;       /* of the frame's bytes */
};

void hf_log_pack_header_encode(const struct hf_log_pack_header *header,
                               uint8_t page[HF_LOG_PAGE_BYTES]);
enum hf_log_page hf_log_pack_header_decode(const uint8_t page[HF_LOG_PAGE_BYTES],
                                           struct hf_log_pack_header *header);
void hf_log_pack_entry_encode(const struct hf_log_pack_entry *entry,
                              uint8_t bytes[HF_LOG_PACK_ENTRY_BYTES]);
void hf_log_pack_entry_decode(const uint8_t bytes[HF_LOG_PACK_ENTRY_BYTES],
                              struct hf_log_pack_entry *entry);

/* Pages 0 and 1 as they are stored, checked and taken apart. */
struct hf_log_pack_head {
    uint8_t pages[HF_LOG_PACK_HEAD_BYTES];
    struct hf_log_pack_header header;
    struct hf_log_segment_header segment;
};

/* Fills the rest from the pages. CORRUPT, VERSION: the error says what is wrong, path and offset in front. */
enum hf_err hf_log_pack_head_check(struct hf_log_pack_head *head, const char *path,
                                   struct hf_error *error);
/* The pages of the file at path; NOT_FOUND as open says it. */
enum hf_err hf_log_pack_head_load(struct hf_outside *outside, const char *path,
                                  enum hf_open_mode mode, struct hf_log_pack_head *head,
                                  struct hf_error *error);

/* --- reading: log_pack.c --- */

struct hf_log_pack;

/* Head and index are read and checked; the file may be removed from its directory meanwhile. NOT_FOUND, CORRUPT (path and
 * offset in the text), VERSION, IO, NO_MEMORY. One thread at a time. */
enum hf_err hf_log_pack_open(struct hf_outside *outside, const char *path, enum hf_open_mode mode,
                             struct hf_log_pack **pack, struct hf_error *error);
void hf_log_pack_close(struct hf_log_pack *pack); /* NULL is fine */
const struct hf_log_pack_head *hf_log_pack_head(const struct hf_log_pack *pack);
/* The original's [offset, offset + size_bytes), which must be inside of it. */
enum hf_err hf_log_pack_read(struct hf_log_pack *pack, uint64_t offset, void *data,
                             size_t size_bytes, struct hf_error *error);
/* The last batch at or before seq, or position (the other one 0), of those that are the first in a block; false: there is none. */
bool hf_log_pack_mark(const struct hf_log_pack *pack, uint64_t seq, uint64_t position,
                      struct hf_log_mark *mark);
/* Reads everything and compares with checksums, SHA-256 and page 1. work may be NULL. CLOSED: work said no. */
enum hf_err hf_log_pack_check(struct hf_log_pack *pack, const struct hf_log_work *work,
                              struct hf_error *error);

/* --- writing: log_pack_write.c --- */

/* Makes the file `to` (it must not exist) of the segment at `from`, synced. Its batches are checked on the way: CORRUPT, with
 * segment and offset, and nothing is left at `to`, as with every error. next: header of the segment behind it. */
enum hf_err hf_log_pack_write(struct hf_outside *outside, const char *from, const char *to,
                              const struct hf_log_segment_header *segment,
                              const struct hf_log_segment_header *next,
                              const struct hf_log_work *work, struct hf_error *error);

/* --- archived: log_place.c --- */

/* What is left of an archived segment in DIR/log, `<20 digits>.ref`: the archived file's pages 0 and 1, and where it is. */
struct hf_log_ref {
    struct hf_log_pack_head head;           /* as in the archived file */
    char directory[HF_LOG_DIRECTORY_BYTES]; /* NUL-terminated */
};

void hf_log_ref_encode(const struct hf_log_ref *ref, uint8_t page[HF_LOG_PAGE_BYTES]);
/* path: for the error. */
enum hf_err hf_log_ref_load(struct hf_outside *outside, const char *path, enum hf_open_mode mode,
                            struct hf_log_ref *ref, struct hf_error *error);

/* DIRECTORY/<20 digits><suffix> */
void hf_log_path_segment_in(const char *directory, uint64_t number, const char *suffix,
                            char path[HF_LOG_PATH_BYTES]);
/* Opens a segment that is not there as `.log`: compressed here, or archived. CORRUPT: it is nowhere. IO: its archive can't be
 * reached; the error names file and option. */
enum hf_err hf_log_place_open(struct hf_log_file *log, uint64_t number, enum hf_open_mode mode,
                              struct hf_log_pack **pack, struct hf_error *error);
/* The same, only its header; the archive is not asked. */
enum hf_err hf_log_place_header(struct hf_log_file *log, uint64_t number,
                                struct hf_log_segment_header *header, struct hf_error *error);
/* Compressed segments that an owner's reads left open: a read takes one out and gives it back, or its like, when it is done. The
 * log's mutex must not be held. */
struct hf_log_pack *hf_log_place_borrow(struct hf_log_file *log, uint64_t number);
void hf_log_place_return(struct hf_log_file *log, struct hf_log_pack *pack);
void hf_log_place_release(struct hf_log_file *log); /* closes them */

#endif
