/*
 * The log: an ordered, hash-chained, durable sequence of batches with one owner at a time.
 *
 * Owns: the contract between node and every driver (file, simulated; later etcd, PostgreSQL).
 * Must never: look into a commit (its bytes are opaque but for their two lengths), answer anybody,
 * call back. Called by: node (one thread for owner's calls), fetch and checkpoint jobs (read only).
 *
 * The log numbers batches by `seq` (1, 2, 3, …); `position` numbers commits; a batch holds the
 * commits first_position … first_position + commit_count - 1.
 *
 * I1 One batch per seq, no gaps; positions follow without gaps too.
 * I2 Epochs never fall from a batch to the next.
 * I3 After takeover() has returned epoch e, no batch of an epoch below e can appear behind its head.
 * I4 What append reported HF_APPEND_OK survives kill -9 and power loss.
 * I5 hash(n) = SHA-256(hash(n-1) || record part of commit n), per commit; hash(0) is 32 zero bytes.
 *    The record part holds the SHA-256 of every payload, not its bytes; a payload can be erased.
 * I6 Nobody acts on a batch before it is durable: read() returns durable batches only.
 *
 * A batch's body is a run of commit frames, without padding:
 *     u32 record_bytes | u32 payload_bytes | record | payload
 * little-endian, both lengths > 0 for record, >= 0 for payload.
 */
#ifndef HF_LOG_LOG_H
#define HF_LOG_LOG_H

#include "base/buffer.h"
#include "base/errors.h"
#include "base/sha256.h"
#include "base/types.h"
#include "outside/outside.h"

#define HF_COMMIT_FRAME_BYTES 8 /* the two lengths before a commit */

/* Where a log ends. seq and position are 0 for an empty log, hash then all zero. */
struct hf_log_head {
    uint64_t epoch;      /* of the owner after takeover; of the last batch when read */
    uint64_t seq;        /* of the last batch */
    uint64_t position;   /* of the last commit */
    struct hf_hash hash; /* of the chain behind the last commit */
};

/* What recovery met at the end of the log. */
struct hf_log_recovery {
    bool sealed;           /* the former owner stopped cleanly */
    bool torn_tail;        /* an incomplete record was cut */
    uint64_t torn_segment; /* where */
    uint64_t torn_offset;  /* bytes from the start of the segment */
    uint64_t torn_bytes;   /* from there to behind the last byte that was not zero */
};

struct hf_log_batch {
    uint32_t space;          /* name space of all of its commits; 0 for now */
    uint64_t seq;            /* head.seq + 1 */
    uint64_t epoch;          /* of the appender */
    uint64_t first_position; /* head.position + 1 */
    uint32_t commit_count;   /* > 0 */
    uint8_t batch_id[16];    /* random; tells the same bytes resent from another batch */
    uint64_t log_tag; /* set by the driver: random per log, so that no client's text and no other
                                 log's record passes for one of this log; not part of any answer */
    struct hf_hash hash_before; /* of the chain, before the first commit */
    struct hf_hash hash_after;  /* of the chain, behind the last commit */
    const uint8_t *body;        /* commit frames */
    size_t body_bytes;          /* > 0 */
};

enum hf_append_outcome {
    HF_APPEND_PENDING,   /* not finished yet */
    HF_APPEND_OK,        /* durable */
    HF_APPEND_FENCED,    /* another owner; this batch is not in the log and never will be */
    HF_APPEND_AMBIGUOUS, /* perhaps: ask resolve, resend the same bytes on RETRY */
    HF_APPEND_NO_SPACE,  /* not written, nothing changed; may be tried again later */
    HF_APPEND_FAILED,    /* a write or sync failed: final for this process; perhaps stored */
};

enum hf_resolve_outcome {
    HF_RESOLVE_PENDING,
    HF_RESOLVE_COMMITTED, /* it is in the log */
    HF_RESOLVE_NEVER,     /* it is not and never will be */
    HF_RESOLVE_RETRY,     /* it is not, yet may be appended: send the same bytes again */
    HF_RESOLVE_FENCED, /* another owner has taken over; nothing of this owner will follow (the batch
                             may be in the log: the new owner knows) */
};

enum hf_confirm_outcome {
    HF_CONFIRM_PENDING,
    HF_CONFIRM_OK,     /* this epoch owned the log at some moment after confirm_start */
    HF_CONFIRM_FENCED, /* it does not any more */
    HF_CONFIRM_FAILED, /* can't tell; ask again later */
};

struct hf_log;

/* The driver's functions. One append, one resolve and one confirm may be under way at once; a poll
 * that does not answer PENDING ends it. *_start and *_poll never block. `outside->ring` is rung when
 * a poll is worth while. */
struct hf_log_driver {
    const char *name; /* "file", "simulated" */
    /* Fences all earlier owners, recovers, returns the head. HF_ERR_LOCKED: another process owns it
     * (wait = false) ; wait = true blocks until it is free. HF_ERR_CORRUPT: damage that is no torn tail. */
    enum hf_err (*takeover)(struct hf_log *log, struct hf_str me, bool wait,
                            struct hf_log_head *head, struct hf_log_recovery *recovery,
                            struct hf_error *error);
    /* The batch and its body must stay as they are until the append has ended (poll). */
    void (*append_start)(struct hf_log *log, const struct hf_log_batch *batch);
    enum hf_append_outcome (*append_poll)(struct hf_log *log, struct hf_error *error);
    void (*resolve_start)(struct hf_log *log, uint64_t seq, const uint8_t batch_id[16]);
    enum hf_resolve_outcome (*resolve_poll)(struct hf_log *log, struct hf_error *error);
    void (*confirm_start)(struct hf_log *log);
    enum hf_confirm_outcome (*confirm_poll)(struct hf_log *log);
    /* Appends whole durable batches from seq `from` on to `out`, in the form of hf_log_batch_encode, at
     * least one if there is one (even if it is larger than bytes_max); *batches = their count (0 at the
     * head). Checksums are verified: HF_ERR_CORRUPT. Blocks on disk; thread-safe; also without takeover
     * (a reader of a closed or living directory: it then sees what is durable or about to be). */
    enum hf_err (*read)(struct hf_log *log, uint64_t from, size_t bytes_max, struct hf_buffer *out,
                        uint32_t *batches, struct hf_error *error);
    /* *seq = the batch that holds commit `position` (>= 1). HF_ERR_NOT_FOUND: beyond the head, or
     * trimmed. Blocks on disk; thread-safe; also without takeover. */
    enum hf_err (*seek)(struct hf_log *log, uint64_t position, uint64_t *seq,
                        struct hf_error *error);
    /* Appends the frame of commit `position` to `out`, and reads hardly more: its batch's header is checked, its body is not. For
     * a hint that is proven by what it leads to. Errors and threads as of read and seek. NULL: read() must do. */
    enum hf_err (*peek)(struct hf_log *log, uint64_t position, struct hf_buffer *out,
                        struct hf_error *error);
    /* First seq that can be read (1 unless trimmed). */
    uint64_t (*first_seq)(struct hf_log *log);
    /* Forgets whole segments below up_to; never the newest. Only behind a recorded checkpoint. */
    enum hf_err (*trim)(struct hf_log *log, uint64_t up_to, struct hf_error *error);
    /* Clean stop: marks the log as ended here (no append may be under way). Damage behind or before a
     * seal is corruption, never a torn tail. */
    enum hf_err (*seal)(struct hf_log *log, struct hf_error *error);
    /* Lets go of everything, the lock too. An append under way is waited for. */
    void (*close)(struct hf_log *log);
};

struct hf_log {
    const struct hf_log_driver *driver; /* never NULL; the driver's struct begins with this one */
};

/*
 * A batch as bytes, the same for every driver, on disk and in read()'s answers:
 * header (HF_LOG_HEADER_BYTES, own checksum) then body. See docs/disk-format.md.
 */
#define HF_LOG_HEADER_BYTES   160
#define HF_LOG_BODY_BYTES_MAX (1ull << 30) /* of a batch; a header that says more is not valid */

/* Writes the header of batch (checksums included) to `to`. */
void hf_log_header_encode(const struct hf_log_batch *batch, uint8_t to[HF_LOG_HEADER_BYTES]);
/* Appends header and body to out; look at out->failed afterwards. */
void hf_log_batch_encode(const struct hf_log_batch *batch, struct hf_buffer *out);
/* Reads and checks a header; body is NULL afterwards, body_bytes set. false: not a valid header. */
bool hf_log_header_decode(const uint8_t from[HF_LOG_HEADER_BYTES], struct hf_log_batch *batch,
                          uint64_t *body_checksum);
/* Takes the next whole batch from [*at, size) of data; checks both checksums, the frames and that they
 * fill the body; advances *at. HF_ERR_CORRUPT otherwise. body points into data. */
enum hf_err hf_log_batch_decode(const uint8_t *data, size_t size, size_t *at,
                                struct hf_log_batch *batch, struct hf_error *error);

/* The same of bytes whose body was checked since they were read, as read() does: that checksum is not computed again. */
enum hf_err hf_log_batch_decode_checked(const uint8_t *data, size_t size, size_t *at,
                                        struct hf_log_batch *batch, struct hf_error *error);

/* A commit inside a batch's body. */
struct hf_commit_frame {
    const uint8_t *record;  /* what the chain covers */
    size_t record_bytes;    /* > 0 */
    const uint8_t *payload; /* texts, in the record's order */
    size_t payload_bytes;   /* may be 0 */
};

/* Takes the next frame from [*at, body_bytes); false at the end or if malformed (*at is then unchanged
 * and not body_bytes if malformed). */
bool hf_commit_frame_next(const uint8_t *body, size_t body_bytes, size_t *at,
                          struct hf_commit_frame *frame);

/* hash(n) from hash(n-1) and the record (I5). */
struct hf_hash hf_log_chain(const struct hf_hash *before, const uint8_t *record,
                            size_t record_bytes);

/* Recomputes the chain over a batch's frames; false if hash_after does not come out. */
bool hf_log_batch_chain_ok(const struct hf_log_batch *batch);

#endif
