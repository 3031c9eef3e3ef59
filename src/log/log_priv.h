/*
 * The file driver's insides; for its own files and tests. Formats: docs/disk-format.md.
 *
 * DIR/lock                     the kernel's lock lies on it; no content
 * DIR/log/state                two slots of one page: epoch, seal, which segments there are
 * DIR/log/<20 digits>.log      a segment: a page of header, then batches on page boundaries
 * DIR/log/<20 digits>.new      a segment that is being made; never holds batches
 * DIR/log/<20 digits>.zst      a sealed segment, compressed (log_pack.h)
 * DIR/log/<20 digits>.ref      where an archived one is
 * DIR/log/<20 digits>.tmp      one of these two in the making
 *
 * 1. A batch is written only into the active segment, and only after the state that names that
 *    segment as active is durable. So segments above the active one hold nothing.
 * 2. A segment's bytes are zero and durable before its first batch: what is not zero behind the
 *    last whole batch was torn or damaged.
 * 3. One append at a time: a batch is written only after all before it are durable. So a torn batch
 *    is the last one, and anything valid behind an invalid batch means damage.
 * 4. An update of the state writes and syncs one slot after the other, the older one first.
 *
 * Which thread may touch what: the owner's thread calls the driver; the append runs on
 * HF_WORKER_LOG between append_start and the end of the poll; zeroing runs on HF_WORKER_PREPARE.
 */
#ifndef HF_LOG_LOG_PRIV_H
#define HF_LOG_LOG_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "log/log.h"
#include "log/log_file.h"

#define HF_LOG_PAGE_BYTES      4096u        /* batches begin on multiples of this */
#define HF_LOG_MARK_BYTES      (256u << 10) /* one mark of the sparse map per so many bytes */
#define HF_LOG_ZERO_STEP_BYTES (256u << 10) /* zeroed and synced at once when preparing */
#define HF_LOG_PACKS_OPEN      4            /* compressed segments kept open between reads */
#define HF_LOG_OWNER_BYTES     64           /* of the owner's name in the state */
#define HF_LOG_DIRECTORY_BYTES 1024         /* of the data directory's path */
#define HF_LOG_PATH_BYTES      1100         /* of a file's path */

static inline uint64_t hf_log_page_up(uint64_t bytes)
{
    return (bytes + HF_LOG_PAGE_BYTES - 1) / HF_LOG_PAGE_BYTES * HF_LOG_PAGE_BYTES;
}

/* --- log_disk.c: pages as bytes ------------------------------------------------------------- */

enum hf_log_page {
    HF_LOG_PAGE_VALID,   /* decoded */
    HF_LOG_PAGE_INVALID, /* not written, torn or damaged */
    HF_LOG_PAGE_NEWER,   /* whole, but of a format this program does not know */
};

struct hf_log_state {
    uint8_t log_id[16];             /* random, of the log's birth */
    uint64_t generation;            /* of this state; grows by one with each update */
    uint64_t epoch;                 /* of the last takeover; 0 before the first */
    uint64_t first_segment;         /* lowest number that must be there; below it: trimmed */
    uint64_t active_segment;        /* the one that is appended to; 0 = none was made yet */
    bool sealed;                    /* clean stop; the log then ends exactly here: */
    uint64_t seal_seq;              /* last batch */
    uint64_t seal_position;         /* last commit */
    uint64_t seal_offset;           /* end of the last batch in the active segment */
    struct hf_hash seal_hash;       /* of the chain */
    char owner[HF_LOG_OWNER_BYTES]; /* who took over last; for people; NUL-terminated */
};

struct hf_log_segment_header {
    uint8_t log_id[16];         /* as in the state */
    uint64_t number;            /* as in the name */
    uint64_t size_bytes;        /* of the file, header included */
    uint64_t first_seq;         /* of its first batch */
    uint64_t first_position;    /* of its first commit */
    uint64_t epoch;             /* of the owner that made it */
    struct hf_hash hash_before; /* of the chain, before its first commit */
};

void hf_log_state_encode(const struct hf_log_state *state, uint8_t page[HF_LOG_PAGE_BYTES]);
enum hf_log_page hf_log_state_decode(const uint8_t page[HF_LOG_PAGE_BYTES],
                                     struct hf_log_state *state);
void hf_log_segment_header_encode(const struct hf_log_segment_header *header,
                                  uint8_t page[HF_LOG_PAGE_BYTES]);
enum hf_log_page hf_log_segment_header_decode(const uint8_t page[HF_LOG_PAGE_BYTES],
                                              struct hf_log_segment_header *header);
/* What batches of this log carry in log_tag. */
uint64_t hf_log_tag(const uint8_t log_id[16]);

/* --- log_map.c: which segments there are, and marks inside them ------------------------------ */

/* A known place of a batch. */
struct hf_log_mark {
    uint64_t seq;      /* of the batch */
    uint64_t position; /* its first */
    uint64_t offset;   /* in its segment */
};

struct hf_log_segment {
    struct hf_log_segment_header header; /* as read or written */
    struct hf_log_mark *marks;           /* owned; ascending; the first is the first batch's */
    size_t mark_count;                   /* >= 1 */
    size_t mark_capacity;                /* allocated */
};

struct hf_log_map {
    struct hf_log_segment *segments; /* owned; ascending and without gaps in number */
    size_t count;                    /* of segments */
    size_t capacity;                 /* allocated */
};

void hf_log_map_release(struct hf_log_map *map);
/* Adds the next segment; HF_ERR_CORRUPT if it does not follow the last one. */
enum hf_err hf_log_map_add(struct hf_log_map *map, const struct hf_log_segment_header *header,
                           struct hf_error *error);
void hf_log_map_drop_below(struct hf_log_map *map, uint64_t number);
/* The last segment that begins at or before the seq, or the position; NULL = below all. */
struct hf_log_segment *hf_log_map_by_seq(const struct hf_log_map *map, uint64_t seq);
struct hf_log_segment *hf_log_map_by_position(const struct hf_log_map *map, uint64_t position);
/* The last mark at or before. The segment begins at or before it. */
struct hf_log_mark hf_log_segment_mark_by_seq(const struct hf_log_segment *segment, uint64_t seq);
struct hf_log_mark hf_log_segment_mark_by_position(const struct hf_log_segment *segment,
                                                   uint64_t position);
/* Remembers a place if it is far enough behind the last mark. Short memory only costs speed. */
void hf_log_segment_note(struct hf_log_segment *segment, struct hf_log_mark mark);

/* --- log_window.c: reading a segment --------------------------------------------------------- */

struct hf_log_pack; /* a compressed segment: log_pack.h */
struct hf_log_file; /* below */

/* A piece of a segment in memory. */
struct hf_log_window {
    struct hf_outside *outside; /* not owned */
    struct hf_file *file;       /* owned; NULL if it is compressed */
    struct hf_log_pack *pack;   /* owned; NULL if it is not */
    struct hf_log_file *lender; /* gets the pack back; NULL: it is closed */
    uint64_t size_bytes;        /* of the segment by its header; nothing is read behind it */
    uint8_t *memory;            /* owned, as allocated */
    uint8_t *bytes;             /* inside memory, on a page boundary */
    size_t capacity_bytes;      /* of bytes */
    uint64_t at;                /* offset of bytes[0] in the file */
    size_t have_bytes;          /* valid from there */
    size_t ahead_bytes;         /* read at least so much at once */
};

void hf_log_window_init(struct hf_log_window *window, struct hf_outside *outside,
                        size_t ahead_bytes);
void hf_log_window_release(struct hf_log_window *window);
/* Lets go of the old file and opens another; size_bytes as in the struct. */
enum hf_err hf_log_window_open(struct hf_log_window *window, const char *path,
                               enum hf_open_mode mode, uint64_t size_bytes, struct hf_error *error);
/* The same for a segment of the log, wherever it is (log_place.c). own: for an owner's read, which may hand compressed ones on
 * to the next read. */
enum hf_err hf_log_window_open_segment(struct hf_log_window *window, struct hf_log_file *log,
                                       const struct hf_log_segment_header *header, bool own,
                                       struct hf_error *error);
/* *bytes = the segment's [offset, offset + size_bytes), valid until the next call.
 * HF_ERR_CORRUPT: the file is shorter. */
enum hf_err hf_log_window_get(struct hf_log_window *window, uint64_t offset, uint64_t size_bytes,
                              const uint8_t **bytes, struct hf_error *error);
void hf_log_window_forget(struct hf_log_window *window); /* the next get reads again */

enum hf_log_record {
    HF_LOG_RECORD_WHOLE,   /* header, body and frames are right */
    HF_LOG_RECORD_INVALID, /* header or body is torn, or there is none */
    HF_LOG_RECORD_DAMAGED, /* its bytes are no result of a tear; the error says why */
};

/* Looks at the record at offset. WHOLE: batch is filled; its body points into the window, which
 * holds the encoded batch at *encoded; *stored_bytes = how far the next record is. A failed read
 * is the return value. */
enum hf_err hf_log_window_record(struct hf_log_window *window, uint64_t offset, uint64_t log_tag,
                                 enum hf_log_record *outcome, struct hf_log_batch *batch,
                                 const uint8_t **encoded, uint64_t *stored_bytes,
                                 struct hf_error *error);

/* What lies behind the last whole batch. */
struct hf_log_rest {
    uint64_t used_bytes;   /* from `from` to behind the last byte that is not zero; 0 = all zero */
    bool header_found;     /* a valid batch header of this log beyond the first page */
    uint64_t found_offset; /* where */
};

enum hf_err hf_log_window_rest(struct hf_log_window *window, uint64_t from, uint64_t log_tag,
                               struct hf_log_rest *rest, struct hf_error *error);

/* --- the driver ------------------------------------------------------------------------------ */

/* The segment that is being made. `mutex` guards all but the two flags. */
struct hf_log_prepare {
    pthread_mutex_t mutex; /* one step at a time */
    struct hf_job job;     /* on HF_WORKER_PREPARE */
    _Atomic bool queued;   /* the job is submitted and not finished */
    _Atomic bool stop;     /* the job shall end at once: somebody else goes on, or it's over */
    struct hf_file *file;  /* NULL = not begun */
    uint64_t number;       /* of the segment */
    uint64_t size_bytes;   /* when it is whole */
    uint64_t zeroed_bytes; /* durable zeroes so far */
    uint64_t target_bytes; /* the job zeroes up to here */
    bool gave_up;          /* it failed; only the append itself tries again */
};

struct hf_log_file {
    struct hf_log base;                     /* first */
    struct hf_outside *outside;             /* not owned */
    bool create;                            /* from the options */
    uint64_t segment_bytes_first;           /* from the options, whole pages */
    uint64_t segment_bytes_max;             /* from the options, whole pages */
    char directory[HF_LOG_DIRECTORY_BYTES]; /* the data directory */

    pthread_mutex_t mutex;      /* guards these; an owner holds it for moments only */
    bool owner;                 /* takeover was successful */
    struct hf_log_map map;      /* segments */
    struct hf_log_head durable; /* owner: the last durable batch; epoch: of this owner */
    struct hf_log_mark sought;  /* owner: what was sought last, to be read next… */
    uint64_t sought_number;     /* …and its segment; 0: nothing */
    struct hf_log_pack *packs[HF_LOG_PACKS_OPEN]; /* owner: read lately, the newest first */
    uint64_t resume_segment;   /* not the owner: where the last read ended; 0 = nowhere… */
    struct hf_log_mark resume; /* …behind whole batches of a segment that is not active */

    /* Guarded by state_mutex (held while it is written). */
    pthread_mutex_t state_mutex;
    struct hf_log_state state;  /* as stored */
    unsigned state_slot;        /* that holds it for sure */
    struct hf_file *state_file; /* owner: open for writing */

    /* The owner's; the append's while one is under way. */
    uint8_t log_id[16];               /* as in the state */
    struct hf_lock *lock;             /* NULL = not held */
    struct hf_file *active_file;      /* the active segment, open for writing */
    uint64_t active_number;           /* its number */
    uint64_t active_bytes;            /* its size */
    uint64_t active_offset;           /* where the next batch goes */
    uint8_t last_batch_id[16];        /* of the last durable batch since takeover or recovery */
    uint8_t *write_memory;            /* owned; a batch as it is written */
    size_t write_capacity_bytes;      /* of write_memory */
    const struct hf_log_batch *batch; /* under way; NULL = none */
    struct hf_job append_job;         /* on HF_WORKER_LOG */
    _Atomic int append_outcome;       /* enum hf_append_outcome */
    struct hf_error append_error;     /* valid once the outcome is there */
    _Atomic bool failed;              /* a write or sync failed: no append any more */
    uint64_t resolve_seq;             /* asked for */
    uint8_t resolve_batch_id[16];     /* asked for */
    struct hf_log_prepare prepare;    /* the next segment */
};

static inline struct hf_log_file *hf_log_file_of(struct hf_log *log)
{
    return HF_CONTAINER_OF(log, struct hf_log_file, base);
}

void hf_log_lock(pthread_mutex_t *mutex);
void hf_log_unlock(pthread_mutex_t *mutex);

/* Paths: DIR/lock, DIR/log, DIR/log/<name>, DIR/log/<number><suffix>. */
void hf_log_path_lock(const struct hf_log_file *log, char path[HF_LOG_PATH_BYTES]);
void hf_log_path_log(const struct hf_log_file *log, char path[HF_LOG_PATH_BYTES]);
void hf_log_path_in_log(const struct hf_log_file *log, const char *name,
                        char path[HF_LOG_PATH_BYTES]);
void hf_log_path_segment(const struct hf_log_file *log, uint64_t number, const char *suffix,
                         char path[HF_LOG_PATH_BYTES]);

/* Syncs the directory that path is in: its name lasts. */
enum hf_err hf_log_sync_parent(struct hf_outside *outside, const char *path,
                               struct hf_error *error);

/* log_state.c. load: HF_ERR_NOT_FOUND if there is none. update needs state_mutex; a failure makes
 * the driver final. */
enum hf_err hf_log_state_load(struct hf_log_file *log, struct hf_log_state *state, unsigned *slot,
                              struct hf_error *error);
enum hf_err hf_log_state_create(struct hf_log_file *log, struct hf_error *error);
enum hf_err hf_log_state_update(struct hf_log_file *log, struct hf_log_state next,
                                struct hf_error *error);

/* log_segment.c. Headers of first..active into an empty map. */
enum hf_err hf_log_segments_load(struct hf_log_file *log, const struct hf_log_state *state,
                                 struct hf_log_map *map, struct hf_error *error);
uint64_t hf_log_segment_bytes(const struct hf_log_file *log, uint64_t number, uint64_t need_bytes);
/* Makes a segment for the batch behind `head` (or ends the one in preparation), at least
 * need_bytes large; its header is durable and its name in the directory; not active yet. Nothing
 * remains if it fails. */
enum hf_err hf_log_segment_make(struct hf_log_file *log, uint64_t number, uint64_t need_bytes,
                                const struct hf_log_head *head, uint64_t epoch,
                                struct hf_file **file, struct hf_log_segment_header *header,
                                struct hf_error *error);
void hf_log_prepare_init(struct hf_log_file *log);
void hf_log_prepare_release(struct hf_log_file *log); /* the job must have been drained */
void hf_log_prepare_go_on(struct hf_log_file *log);   /* after an append: zeroes a bit more */

/* log_recover.c */
enum hf_err hf_log_file_takeover(struct hf_log *base, struct hf_str me, bool wait,
                                 struct hf_log_head *head, struct hf_log_recovery *recovery,
                                 struct hf_error *error);
/* "00000000000000000007.log" -> 7, with suffix ".log"; 0: not such a name. suffix has four bytes. */
uint64_t hf_log_number_of(struct hf_str name, const char *suffix);
void hf_log_file_disown(struct hf_log_file *log); /* closes the owner's files, drops the lock */

/* log_read.c */
enum hf_err hf_log_file_refresh(struct hf_log_file *log, struct hf_error *error);
enum hf_err hf_log_file_read(struct hf_log *base, uint64_t from, size_t bytes_max,
                             struct hf_buffer *out, uint32_t *batches, struct hf_error *error);
enum hf_err hf_log_file_seek(struct hf_log *base, uint64_t position, uint64_t *seq,
                             struct hf_error *error);
enum hf_err hf_log_file_peek(struct hf_log *base, uint64_t position, struct hf_buffer *out,
                             struct hf_error *error);

#endif
