/*
 * A run: an immutable sorted file of index records, cold part of the index.
 *
 * Owns: the file format (docs/disk-format.md), its writer, its reader, the merge of runs.
 * Must never: change a file that has its final name; trust a byte whose checksum was not compared.
 * Called by: store/index, checkpoints of the node.
 *
 * 1. Keys of a run are strictly ascending; a key is there at most once.
 * 2. A run covers the log positions from_position..to_position (both included): each record of the
 *    index that was made by these commits and that is still valid is in it.
 * 3. A file is called `index-<from>-<to>-<generation>.run` only after all of its bytes were synced;
 *    before that the name ends with `.run.tmp`.
 * 4. `hash` names the whole content: SHA-256 of the header, which holds SHA-256 of all the rest.
 * 5. RAM of an open run: 32 bytes a block of records (99 records in 4096 bytes), and the filter
 *    (16 bits a record) if it is not above HF_RUN_FILTER_RAM_BYTES_MAX; a larger filter stays on
 *    disk and costs one page read a lookup.
 * 6. A reader may be used by several threads at once; an iterator and a writer by one.
 */
#ifndef HF_STORE_RUN_H
#define HF_STORE_RUN_H

#include "base/errors.h"
#include "base/index_key.h"
#include "base/sha256.h"
#include "outside/outside.h"

#define HF_RUN_BLOCK_BYTES_MIN      128u   /* limits.index_block_bytes: from this, */
#define HF_RUN_BLOCK_BYTES_MAX      16384u /* to this, a multiple of 64 */
#define HF_RUN_NAME_BYTES           72     /* of a run's file name with its NUL */
#define HF_RUN_FILTER_RAM_BYTES_MAX (256ull << 20)
#define HF_RUN_FILTER_BITS                                                                         \
    16u /* of the filter, for each record: one in 700 keys that are not there passes */

/* What names a run and proves its content; kept in checkpoints. */
struct hf_run_ref {
    uint64_t from_position; /* first log position covered */
    uint64_t to_position;   /* last one; >= from_position */
    uint32_t generation;    /* 0 = written from RAM; a merge has the highest of its inputs + 1 */
    uint64_t size_bytes;    /* of the file */
    struct hf_hash hash;    /* of the file's content (invariant 4) */
};

/* What a writer must know beforehand. */
struct hf_run_meta {
    uint32_t space;            /* name space of everything in it */
    uint64_t from_position;    /* as in hf_run_ref */
    uint64_t to_position;      /* as in hf_run_ref */
    uint32_t generation;       /* as in hf_run_ref */
    uint32_t block_bytes;      /* limits.index_block_bytes */
    uint64_t record_count_max; /* at most so many records will be added; sizes the filter */
};

struct hf_run_info {
    struct hf_run_ref ref; /* name, size, hash */
    uint32_t space;        /* of the meta */
    uint32_t block_bytes;  /* of the meta */
    uint64_t record_count; /* records in it; may be 0 */
    uint64_t
        dropped_to; /* no record that merges have left out is of a later position; 0 = none was */
    struct hf_index_key first_key; /* zeros if record_count is 0 */
    struct hf_index_key last_key;  /* zeros if record_count is 0 */
};

/* The file name, without directory. */
void hf_run_name(const struct hf_run_ref *ref, char name[HF_RUN_NAME_BYTES]);
/* Parses exactly what hf_run_name writes (size and hash are set to 0); false for anything else. */
bool hf_run_name_parse(struct hf_str name, struct hf_run_ref *ref);

/* ---- Writer: start, add…, then finish or abort (both free it). ---- */

struct hf_run_writer;

/* Creates the temporary file in directory (an old temporary file of that name is replaced).
 * Errors: IO, NO_SPACE, NO_MEMORY. meta's ranges are the caller's duty (HF_CHECK). */
enum hf_err hf_run_writer_start(struct hf_outside *outside, const char *directory,
                                const struct hf_run_meta *meta, struct hf_run_writer **writer,
                                struct hf_error *error) HF_WARN_UNUSED;
/* key must be above the last one (HF_CHECK). After an error only abort may follow. */
enum hf_err hf_run_writer_add(struct hf_run_writer *writer, const struct hf_index_key *key,
                              const struct hf_index_value *value,
                              struct hf_error *error) HF_WARN_UNUSED;
/* Writes the rest, syncs, renames, syncs the directory. On an error the file may be there under its
 * final name or not; if it is, it is whole, and it is an orphan until a checkpoint names it. */
enum hf_err hf_run_writer_finish(struct hf_run_writer *writer, struct hf_run_info *info,
                                 struct hf_error *error) HF_WARN_UNUSED;
/* Removes the temporary file as well as it can. NULL is fine. */
void hf_run_writer_abort(struct hf_run_writer *writer);

/* ---- Reader. ---- */

struct hf_run;

/* Opens a run and loads its fence and filter. If ref->size_bytes is 0, size and hash are not
 * compared (only their consistency inside of the file); else a difference is CORRUPT.
 * Errors: NOT_FOUND, IO, NO_MEMORY, CORRUPT, VERSION. The caller holds one reference. */
enum hf_err hf_run_open(struct hf_outside *outside, const char *directory, uint32_t space,
                        const struct hf_run_ref *ref, struct hf_run **run,
                        struct hf_error *error) HF_WARN_UNUSED;
struct hf_run *hf_run_acquire(struct hf_run *run); /* one reference more; returns run */
void hf_run_release(struct hf_run *run);           /* one less; the last closes; NULL is fine */
const struct hf_run_info *hf_run_info(const struct hf_run *run);
/* Of memory: fences, and the filter if it is there. */
uint64_t hf_run_memory_bytes(const struct hf_run *run);
/* Its records of one kind. 0 also if it has too many kinds to know. */
uint64_t hf_run_kind_count(const struct hf_run *run, uint8_t kind);

/* Hash of a key for the filters, once a lookup over many runs. */
uint64_t hf_run_key_hash(const struct hf_index_key *key);
/* true: the key is not there. false: it may be. Without a look at the disk. */
bool hf_run_lacks(const struct hf_run *run, const struct hf_index_key *key, uint64_t key_hash);
/* The same of many keys: lacks[i] stays true if it was and key i is not there. Lines of the filter are asked for ahead. */
void hf_run_lacks_each(const struct hf_run *run, const struct hf_index_key *keys,
                       const uint64_t *key_hashes, size_t count, bool *lacks);
/* found = false and OK: it is not there. On an error nothing is known. Errors: IO, CORRUPT. */
enum hf_err hf_run_get(struct hf_run *run, const struct hf_index_key *key, uint64_t key_hash,
                       bool *found, struct hf_index_value *value,
                       struct hf_error *error) HF_WARN_UNUSED;
/* Reads and compares everything: checksums, order, counts, filter, SHA-256. */
enum hf_err hf_run_verify(struct hf_run *run, struct hf_error *error) HF_WARN_UNUSED;

/* A walk in ascending order. The run must stay open. */
struct hf_run_iterator {
    struct hf_run *run;          /* borrowed */
    uint8_t *page;               /* current block, owned; NULL before init and after release */
    uint64_t block;              /* number of the current block */
    uint32_t at;                 /* next record in it */
    uint32_t count;              /* records in it */
    struct hf_index_key key;     /* current record, valid if `valid` */
    struct hf_index_value value; /* its value */
    bool valid;                  /* there is a current record; false = behind the end */
};

/* Stands on the first record whose key is >= *from (NULL = the first of all). Errors: as get, and
 * NO_MEMORY; after an error release is fine but not needed. */
enum hf_err hf_run_iterator_init(struct hf_run_iterator *iterator, struct hf_run *run,
                                 const struct hf_index_key *from,
                                 struct hf_error *error) HF_WARN_UNUSED;
/* To the next record; must be valid (HF_CHECK). */
enum hf_err hf_run_iterator_next(struct hf_run_iterator *iterator,
                                 struct hf_error *error) HF_WARN_UNUSED;
/* Of the current record: so many come before it in the run. */
uint64_t hf_run_iterator_number(const struct hf_run_iterator *iterator);
void hf_run_iterator_release(struct hf_run_iterator *iterator);

/* ---- Merge. ---- */

/* What a merge leaves out, and when it ends early. */
struct hf_run_merge_rules {
    /* Asked every now and then (each 64 KiB of a run); true: the merge ends with HF_ERR_CLOSED and leaves nothing
     * behind. NULL: never. */
    bool (*stops)(void *context);
    void *context; /* of stops */
    /* Records of drop_kind whose position is at most drop_to_position are left out, together with older records of
     * their keys in these runs; 0: none is. A dropped key may come back by an older run that is not part of the
     * merge: whoever drops must treat what is found with such a position as if it were not there. */
    uint8_t drop_kind;
    uint64_t drop_to_position;
};

/* The name that a merge of these runs gives its file: no size, no hash. */
struct hf_run_ref hf_run_merged_ref(struct hf_run *const *runs, size_t run_count);

/* Merges runs (newest first, each covering positions below the one before it, none missing between;
 * HF_CHECK) into one new run with block_bytes. rules may be NULL (keep all). RAM: 64 KiB a run,
 * and the new run's fence and filter. */
enum hf_err hf_run_merge(struct hf_outside *outside, const char *directory,
                         struct hf_run *const *runs, size_t run_count, uint32_t block_bytes,
                         const struct hf_run_merge_rules *rules, struct hf_run_info *info,
                         struct hf_error *error) HF_WARN_UNUSED;

#endif
