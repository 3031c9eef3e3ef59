/*
 * Checkpoints: the container of a state at a log position.
 *
 * Owns: the file format (docs/disk-format.md), its writer and reader, the choice of the newest
 * good file, the removal of files that nothing needs any more.
 * Must never: know what the state's bytes mean; hand out a byte whose checksum was not compared.
 * Called by: node.
 *
 * 1. A file is called `checkpoint-<20 digits>.ckpt` only after all of its bytes were synced; before
 *    that the name ends with `.ckpt.tmp`.
 * 2. Sections are streams of chunks of at most HF_CHECKPOINT_CHUNK_BYTES, each with its checksum.
 * 3. `state_hash` is SHA-256 of the STATE section's bytes alone: equal states have equal hashes,
 *    wherever and whenever they were written. It is what the log records.
 * 4. `file_hash` is SHA-256 of the header, which holds SHA-256 of all the rest.
 * 5. Every run that a kept checkpoint names is kept too, so that a damaged newest checkpoint can be
 *    replaced by the older one and the log behind it.
 */
#ifndef HF_STORE_CHECKPOINT_H
#define HF_STORE_CHECKPOINT_H

#include "base/errors.h"
#include "base/sha256.h"
#include "outside/outside.h"
#include "store/run.h"

#define HF_CHECKPOINT_CHUNK_BYTES 65536u
#define HF_CHECKPOINT_RUNS_MAX    1024u /* in a RUNS section */
#define HF_CHECKPOINT_NAME_BYTES  40    /* of a file name with its NUL */
#define HF_CHECKPOINTS_KEPT       2     /* good ones, the newest */

/* Sections in the order in which they are written. */
enum hf_checkpoint_section {
    HF_CHECKPOINT_STATE,     /* core's state in canonical order */
    HF_CHECKPOINT_POSITIONS, /* sparse map: pairs of u64 (position, seq) */
    HF_CHECKPOINT_RUNS,      /* refs of the index's runs, newest first */
    HF_CHECKPOINT_SECTIONS,  /* their count */
};

/* What a checkpoint is of. */
struct hf_checkpoint_meta {
    uint32_t space;            /* name space */
    uint64_t position;         /* last position that the state has seen; also in the file's name */
    uint64_t seq;              /* of the log's batch that ends with it */
    uint64_t time_us;          /* log time of that position */
    struct hf_hash chain_hash; /* of the log's chain at that position */
};

struct hf_checkpoint_info {
    struct hf_checkpoint_meta meta;                 /* as given to the writer */
    uint64_t section_bytes[HF_CHECKPOINT_SECTIONS]; /* payload of each */
    uint64_t file_bytes;                            /* size of the file */
    struct hf_hash state_hash;                      /* invariant 3 */
    struct hf_hash file_hash;                       /* invariant 4 */
};

/* ---- Writer: start, sections…, then finish or abort (both free it). ---- */

struct hf_checkpoint_writer;

/* Creates the temporary file (an old one of that name is replaced). Errors: IO, NO_SPACE, NO_MEMORY. */
enum hf_err hf_checkpoint_writer_start(struct hf_outside *outside, const char *directory,
                                       const struct hf_checkpoint_meta *meta,
                                       struct hf_checkpoint_writer **writer,
                                       struct hf_error *error) HF_WARN_UNUSED;
/* Sections are begun in ascending order, each at most once (HF_CHECK); one that is never begun is
 * empty. After an error only abort may follow. */
void hf_checkpoint_writer_begin(struct hf_checkpoint_writer *writer,
                                enum hf_checkpoint_section section);
enum hf_err hf_checkpoint_writer_append(struct hf_checkpoint_writer *writer, const void *data,
                                        size_t size_bytes, struct hf_error *error) HF_WARN_UNUSED;
enum hf_err hf_checkpoint_writer_end(struct hf_checkpoint_writer *writer,
                                     struct hf_error *error) HF_WARN_UNUSED;
/* One pair of the POSITIONS section, between its begin and end. */
enum hf_err hf_checkpoint_writer_position(struct hf_checkpoint_writer *writer, uint64_t position,
                                          uint64_t seq, struct hf_error *error) HF_WARN_UNUSED;
/* The whole RUNS section: begin, refs, end. run_count <= HF_CHECKPOINT_RUNS_MAX (HF_CHECK). */
enum hf_err hf_checkpoint_writer_runs(struct hf_checkpoint_writer *writer,
                                      const struct hf_run_ref *runs, size_t run_count,
                                      struct hf_error *error) HF_WARN_UNUSED;
/* Header, sync, rename, sync of the directory. On an error the file may be there under its final name
 * or not; if it is, it is whole. */
enum hf_err hf_checkpoint_writer_finish(struct hf_checkpoint_writer *writer,
                                        struct hf_checkpoint_info *info,
                                        struct hf_error *error) HF_WARN_UNUSED;
/* Removes the temporary file as well as it can. NULL is fine. */
void hf_checkpoint_writer_abort(struct hf_checkpoint_writer *writer);

/* ---- Reader. ---- */

struct hf_checkpoint;

/* Opens the checkpoint of one position: header, size, and the RUNS section are compared; the other
 * sections as they are read. Errors: NOT_FOUND, IO, NO_MEMORY, CORRUPT, VERSION. */
enum hf_err hf_checkpoint_open(struct hf_outside *outside, const char *directory, uint32_t space,
                               uint64_t position, struct hf_checkpoint **checkpoint,
                               struct hf_error *error) HF_WARN_UNUSED;
/* NULL is fine. */
void hf_checkpoint_close(struct hf_checkpoint *checkpoint);
const struct hf_checkpoint_info *hf_checkpoint_info(const struct hf_checkpoint *checkpoint);
/* Newest first; they live as long as the checkpoint is open. */
const struct hf_run_ref *hf_checkpoint_runs(const struct hf_checkpoint *checkpoint, size_t *count);
/* Reads the whole file and compares everything. */
enum hf_err hf_checkpoint_verify(struct hf_checkpoint *checkpoint,
                                 struct hf_error *error) HF_WARN_UNUSED;

/* A section as a stream. */
struct hf_checkpoint_stream {
    struct hf_checkpoint *checkpoint;   /* borrowed */
    enum hf_checkpoint_section section; /* which */
    uint8_t *chunk;                     /* the current chunk with its header, owned */
    size_t chunk_at;                    /* next byte of its payload */
    size_t chunk_bytes;                 /* of its payload */
    uint64_t offset;                    /* of the next chunk in the file */
    uint64_t left_bytes;                /* payload of the section that was not yet read */
    uint64_t number;                    /* of the next chunk, counted through the file */
    struct hf_sha256_stream sha;        /* of STATE; not running for others and after the end */
    bool failed;                        /* only release may follow */
};

enum hf_err hf_checkpoint_stream_init(struct hf_checkpoint_stream *stream,
                                      struct hf_checkpoint *checkpoint,
                                      enum hf_checkpoint_section section,
                                      struct hf_error *error) HF_WARN_UNUSED;
/* The next bytes, at most a chunk, borrowed until the next call; size_bytes = 0 is the end. The last
 * chunk of STATE is handed out only after state_hash was compared. Errors: IO, CORRUPT; then only
 * release may follow (HF_CHECK). */
enum hf_err hf_checkpoint_stream_next(struct hf_checkpoint_stream *stream, const uint8_t **data,
                                      size_t *size_bytes, struct hf_error *error) HF_WARN_UNUSED;
/* Exactly size_bytes to `to`; CORRUPT if the section ends before. May be mixed with next. */
enum hf_err hf_checkpoint_stream_read(struct hf_checkpoint_stream *stream, void *to,
                                      size_t size_bytes, struct hf_error *error) HF_WARN_UNUSED;
/* Bytes that were not yet handed out. */
uint64_t hf_checkpoint_stream_left(const struct hf_checkpoint_stream *stream);
void hf_checkpoint_stream_release(struct hf_checkpoint_stream *stream);

/* ---- The directory. ---- */

/* Positions of the files with an exact checkpoint name, newest first; *positions is freed by hf_free.
 * A missing directory is NOT_FOUND. */
enum hf_err hf_checkpoint_list(struct hf_outside *outside, const char *directory,
                               uint64_t **positions, size_t *count,
                               struct hf_error *error) HF_WARN_UNUSED;

/* What was passed over on the way to a good checkpoint. */
struct hf_checkpoint_damage {
    size_t damaged_count;     /* files that were there but not whole */
    uint64_t newest_position; /* of the newest damaged one */
    struct hf_error newest;   /* what is wrong with it */
};

/* The newest checkpoint that verifies in full. NOT_FOUND: none; the log must be read from its
 * beginning (if damage->damaged_count > 0 and the log was trimmed, that is the end). A file that
 * can't be read for another reason than damage (IO, NO_MEMORY, VERSION) is an error, not a reason to
 * take an older one. damage is filled in any case. */
enum hf_err hf_checkpoint_open_newest(struct hf_outside *outside, const char *directory,
                                      uint32_t space, struct hf_checkpoint **checkpoint,
                                      struct hf_checkpoint_damage *damage,
                                      struct hf_error *error) HF_WARN_UNUSED;

struct hf_store_cleaned {
    size_t checkpoints_removed; /* older than the kept ones */
    size_t runs_removed;        /* named by none of the kept ones, nor live */
    size_t temporaries_removed; /* what an interrupted writer left behind */
    uint64_t oldest_kept;       /* position of the oldest kept checkpoint; 0 = none. The log must
                                   keep everything behind it. */
};

/* Removes from directory what nothing needs: all temporary files of checkpoints and of runs that `live` does not name,
 * checkpoints older than the HF_CHECKPOINTS_KEPT newest good ones, runs that neither a kept checkpoint nor `live`
 * names. A damaged checkpoint is left until it is older than the kept ones. If there is no good
 * checkpoint, only temporary files are removed. Meanwhile nothing may write a checkpoint, or a run that is not in `live`
 * (hf_index_clean sees to that). Stops at the first error; a repetition goes on. */
enum hf_err hf_store_clean(struct hf_outside *outside, const char *directory, uint32_t space,
                           const struct hf_run_ref *live, size_t live_count,
                           struct hf_store_cleaned *cleaned, struct hf_error *error) HF_WARN_UNUSED;

#endif
