/*
 * libholdfast: Holdfast's engine inside your own process.
 *
 * One directory holds one database; one process owns it at a time. Many threads may commit and read.
 * A commit is conditions and operations, all or nothing, once; see docs/http-api.md for their members:
 * the JSON form here is the same as that of POST /v1/commits.
 *
 * Ownership: what a function gives through an out pointer belongs to the caller until the matching free.
 * Texts are UTF-8; those given with a length need no NUL, those returned have one behind them.
 * Errors: functions return an `enum holdfast_error`; details go into struct holdfast_failure, which lives
 * on the caller's stack and may be NULL. On an error out pointers are NULL and nothing has changed, except
 * where HOLDFAST_OUTCOME_UNKNOWN is returned: then repeat the same commit under the same key until it is definite.
 * Threads: a struct holdfast may be used by any number of threads; all other objects by one at a time.
 */
#ifndef HOLDFAST_H
#define HOLDFAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HOLDFAST_API __attribute__((visibility("default")))

/* Version of this header: major * 10000 + minor * 100 + patch. */
#define HOLDFAST_VERSION 100
HOLDFAST_API const char *holdfast_version(void); /* "0.1.0"; static */

/* What can come instead of an answer. Numbers are frozen. */
enum holdfast_error {
    HOLDFAST_OK = 0,
    HOLDFAST_IO = 1,       /* a file operation failed */
    HOLDFAST_NO_SPACE = 2, /* the disk is full */
    HOLDFAST_NO_MEMORY = 3,
    HOLDFAST_CORRUPT = 4,   /* stored data is damaged: restore it; nothing was answered from it */
    HOLDFAST_LOCKED = 5,    /* another process owns the directory */
    HOLDFAST_NOT_FOUND = 6, /* no such directory, or no data in it */
    HOLDFAST_UNKNOWN_FORMAT = 8, /* written by a newer version */
    HOLDFAST_CLOSED = 10,
    HOLDFAST_INVALID_REQUEST = 100, /* malformed; failure.pointer says where */
    HOLDFAST_TOO_LARGE = 106,
    HOLDFAST_OVERLOADED = 190,      /* too much is waiting; try again later */
    HOLDFAST_NOT_READY = 191,       /* not leading (any more); nothing has happened */
    HOLDFAST_READ_ONLY = 192,       /* the disk is full; nothing has happened */
    HOLDFAST_OUTCOME_UNKNOWN = 193, /* perhaps done: repeat under the same key */
};

struct holdfast_failure {
    enum holdfast_error error; /* the same as returned */
    char pointer[64];          /* JSON pointer to the malformed place, or "" */
    char text[400];            /* what, where, what to do */
};

struct holdfast;        /* an open database */
struct holdfast_answer; /* what came of a commit or a read */

/* Zero-initialise; only directory is needed. */
struct holdfast_options {
    const char *directory;     /* the data directory */
    bool create;               /* make it if it is not there */
    bool wait_for_lock;        /* wait until another owner is gone, instead of HOLDFAST_LOCKED */
    bool no_checkpoints;       /* don't store checkpoints (every start replays the whole log) */
    uint64_t key_retention_ms; /* how long idempotency keys are kept; 0 = 7 days */
    const char *name;          /* who this is, in takeover records; NULL = "libholdfast" */
    /* Called while the log is replayed at opening, on the opening thread; NULL = silent. */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *progress_context;
};

/* Opens and recovers. *db is to be closed by holdfast_close. */
HOLDFAST_API enum holdfast_error holdfast_open(const struct holdfast_options *options,
                                               struct holdfast **db,
                                               struct holdfast_failure *failure);

/* Waits for what is under way, seals the log and frees db. All other calls must have returned. An error
 * (the seal could not be written) is no loss: everything answered is durable. NULL is fine. */
HOLDFAST_API enum holdfast_error holdfast_close(struct holdfast *db,
                                                struct holdfast_failure *failure);

/* Who asks, under which idempotency key; zero-initialise for none. */
struct holdfast_caller {
    const char *principal; /* NULL = "local" */
    const char *key;       /* idempotency key, or NULL */
    bool dry_run;          /* decide only: nothing is recorded */
};

/* Commits `json`: {"if":[…],"do":[…],"metadata":{…}}. Blocks until the decision is durable. HOLDFAST_OK: there
 * is an answer, accepted or refused (see holdfast_answer_status). */
HOLDFAST_API enum holdfast_error holdfast_commit_json(struct holdfast *db,
                                                      const struct holdfast_caller *caller,
                                                      const char *json, size_t json_bytes,
                                                      struct holdfast_answer **answer,
                                                      struct holdfast_failure *failure);

/* An operation without JSON: the members of docs/http-api.md by name; NULL or 0 = absent. Amounts and limits
 * are decimal strings. floor_none and ceiling_none stand for null. */
struct holdfast_operation {
    const char *op; /* "transfer", … */
    const char *account, *id, *from, *to, *asset, *amount, *transfer, *hold, *stream, *document;
    const char *lease, *owner, *type, *data, *metadata, *floor, *ceiling, *effective_at;
    bool floor_none, ceiling_none, up_to, final, has_expected_version;
    uint64_t timeout_ms, ttl_ms, token, expected_version;
};

/* Commits `count` operations, without conditions. */
HOLDFAST_API enum holdfast_error holdfast_commit(struct holdfast *db,
                                                 const struct holdfast_caller *caller,
                                                 const struct holdfast_operation *operations,
                                                 size_t count, struct holdfast_answer **answer,
                                                 struct holdfast_failure *failure);

/* The same without waiting: several commits of one thread can be under way; in which order they are decided is
 * not promised. *pending must be given to holdfast_pending_finish, before holdfast_close; the
 * operations and their texts may be freed at once. */
struct holdfast_pending;
HOLDFAST_API enum holdfast_error
holdfast_commit_start(struct holdfast *db, const struct holdfast_caller *caller,
                      const struct holdfast_operation *operations, size_t count,
                      struct holdfast_pending **pending, struct holdfast_failure *failure);
/* Would finish return at once? */
HOLDFAST_API bool holdfast_pending_done(struct holdfast_pending *pending);
/* Waits, gives what holdfast_commit would have given, and frees pending in any case. */
HOLDFAST_API enum holdfast_error holdfast_pending_finish(struct holdfast_pending *pending,
                                                         struct holdfast_answer **answer,
                                                         struct holdfast_failure *failure);

/* Records that the caller's key will never do anything, unless it has an answer; answers what is recorded. */
HOLDFAST_API enum holdfast_error holdfast_cancel_key(struct holdfast *db,
                                                     const struct holdfast_caller *caller,
                                                     struct holdfast_answer **answer,
                                                     struct holdfast_failure *failure);

/* Reads one thing as JSON. kind: account transfer hold stream document lease key commit; id: its name, for
 * commit the position in digits. For a document the answer's text is the document itself, byte for byte. */
HOLDFAST_API enum holdfast_error
holdfast_read(struct holdfast *db, const struct holdfast_caller *caller, const char *kind,
              const char *id, struct holdfast_answer **answer, struct holdfast_failure *failure);

/* A page: kind "events" of a stream (from: first number, 1 = the beginning) or "entries" of an account (newest
 * first, from: below this version, 0 = from the newest). limit 1 to 1000. */
HOLDFAST_API enum holdfast_error holdfast_read_page(struct holdfast *db,
                                                    const struct holdfast_caller *caller,
                                                    const char *kind, const char *id, uint64_t from,
                                                    uint32_t limit, struct holdfast_answer **answer,
                                                    struct holdfast_failure *failure);

HOLDFAST_API int
holdfast_answer_status(const struct holdfast_answer *answer); /* HTTP status: 201, 422, … */
HOLDFAST_API const char *holdfast_answer_code(
    const struct holdfast_answer *answer); /* "ok", "insufficient_funds", …; static */
HOLDFAST_API uint64_t holdfast_answer_position(
    const struct holdfast_answer *answer); /* of the record; 0 = not recorded */
HOLDFAST_API uint64_t
holdfast_answer_seen_position(const struct holdfast_answer *answer); /* state that was seen */
HOLDFAST_API bool
holdfast_answer_replayed(const struct holdfast_answer *answer); /* decided before */
/* The answer's JSON (or document), rendered at the first call; lives as long as the answer. NULL: memory is short. */
HOLDFAST_API const char *holdfast_answer_text(struct holdfast_answer *answer, size_t *bytes);
HOLDFAST_API void holdfast_answer_free(struct holdfast_answer *answer); /* NULL is fine */

#ifdef __cplusplus
}
#endif

#endif
