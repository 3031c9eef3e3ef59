/*
 * The outside: disk, clock, random and background work behind one small table of functions.
 *
 * Owns: nothing itself; linux.c and tests/sim's simulated world implement it. No other file opens,
 * reads, writes or syncs files, asks a clock or a source of random bytes, or starts threads for
 * background work. Must never: call back into its caller from another thread, but for a job's
 * run function on its worker (or the thread that took it, below) and the doorbell.
 * Called by: log, store, node. (The program's own arguments and texts are read by cli directly.)
 *
 * 1. Every function that can fail returns enum hf_err and fills struct hf_error (may be NULL).
 * 2. Offsets and sizes are bytes. A short write is an error (HF_ERR_IO); a short read reports the
 *    bytes that were there (end of file).
 * 3. ENOSPC and EDQUOT are HF_ERR_NO_SPACE, ENOENT HF_ERR_NOT_FOUND, EEXIST HF_ERR_EXISTS, else HF_ERR_IO.
 *    Only EINTR is retried.
 * 4. A failed write or sync leaves the file in an unknown state: the caller must not trust it.
 * 5. Functions may be called from several threads, a file's read/write too.
 */
#ifndef HF_OUTSIDE_OUTSIDE_H
#define HF_OUTSIDE_OUTSIDE_H

#include "base/errors.h"
#include "base/types.h"

struct hf_file;    /* an open file; implementation's own */
struct hf_lock;    /* a held directory lock */
struct hf_outside; /* below */

enum hf_open_mode {
    HF_OPEN_READ,        /* must exist; read only */
    HF_OPEN_READ_RANDOM, /* the same; what is asked for is read, and nothing ahead of it; large aligned pieces that are not in the
                            page cache come from the device past it */
    HF_OPEN_READ_WRITE,  /* must exist */
    HF_OPEN_CREATE_NEW,  /* must not exist; read and write */
    HF_OPEN_READ_DIRECT, /* must exist; reads come from the device, past the page cache (O_DIRECT where
                            the file system has it, else dirty pages are written and dropped first) */
};

/* Background workers: each kind runs its jobs one at a time, in order of submission. */
enum hf_worker {
    HF_WORKER_LOG,        /* writes and syncs of the log */
    HF_WORKER_FETCH,      /* cold records */
    HF_WORKER_CHECKPOINT, /* checkpoints */
    HF_WORKER_MERGE,      /* merges of index runs: long, and nobody waits for them */
    HF_WORKER_PREPARE,    /* zeroes the next log segment, a little at a time */
    HF_WORKER_COUNT,
};

/* A job; lives in its submitter's memory until `done` has been called. */
struct hf_job {
    void (*run)(
        struct hf_job *job); /* on the worker; may block on disk; must touch only its own data */
    struct hf_job *next;     /* the worker's queue; not the submitter's to touch */
};

/* Called for each name in a directory, in byte order. Not "." and "..". */
typedef void (*hf_list_fn)(void *context, struct hf_str name);

struct hf_outside {
    /* Directories. Paths are relative to the current directory or absolute; NUL-terminated. */
    enum hf_err (*make_directory)(struct hf_outside *o, const char *path,
                                  struct hf_error *error); /* OK if it exists */
    enum hf_err (*list)(struct hf_outside *o, const char *path, hf_list_fn each, void *context,
                        struct hf_error *error);
    enum hf_err (*sync_directory)(struct hf_outside *o, const char *path, struct hf_error *error);
    enum hf_err (*rename)(struct hf_outside *o, const char *from, const char *to,
                          struct hf_error *error);
    enum hf_err (*remove)(struct hf_outside *o, const char *path, struct hf_error *error);

    /* Files. */
    enum hf_err (*open)(struct hf_outside *o, const char *path, enum hf_open_mode mode,
                        struct hf_file **file, struct hf_error *error);
    void (*close)(struct hf_outside *o,
                  struct hf_file *file); /* NULL is fine; what was not synced may be lost */
    enum hf_err (*size)(struct hf_outside *o, struct hf_file *file, uint64_t *size_bytes,
                        struct hf_error *error);
    enum hf_err (*read)(struct hf_outside *o, struct hf_file *file, uint64_t offset, void *data,
                        size_t size_bytes, size_t *read_bytes, struct hf_error *error);
    enum hf_err (*write)(struct hf_outside *o, struct hf_file *file, uint64_t offset,
                         const void *data, size_t size_bytes,
                         struct hf_error *error); /* all or an error */
    enum hf_err (*sync)(struct hf_outside *o, struct hf_file *file,
                        struct hf_error *error); /* fdatasync */
    enum hf_err (*truncate)(struct hf_outside *o, struct hf_file *file, uint64_t size_bytes,
                            struct hf_error *error);

    /* The directory lock. Held until unlock or until the process dies (kernel's lock).
     * wait = false: HF_ERR_LOCKED at once if another holds it. wait = true: blocks. */
    enum hf_err (*lock)(struct hf_outside *o, const char *path, bool wait, struct hf_lock **lock,
                        struct hf_error *error);
    void (*unlock)(struct hf_outside *o, struct hf_lock *lock);

    /* Clocks in µs: monotonic from any origin, wall since 1970 UTC (may jump). Random never fails. */
    uint64_t (*monotonic_us)(struct hf_outside *o);
    uint64_t (*wall_us)(struct hf_outside *o);
    void (*random)(struct hf_outside *o, void *data, size_t size_bytes);

    /* Background work. submit never fails and never runs the job inside the call. */
    void (*submit)(struct hf_outside *o, enum hf_worker worker, struct hf_job *job);
    /* Blocks until every job submitted so far to this worker has finished. Not from a job. */
    void (*drain)(struct hf_outside *o, enum hf_worker worker);
    /* The owner's doorbell: wakes hf_node's thread. May be called from any thread; never acts. */
    void (*ring)(struct hf_outside *o);
};

/*
 * The linux implementation. Workers are threads that start with the first job of their kind.
 * ring() wakes hf_outside_linux_wait(). Free only after every job has finished.
 */
struct hf_outside *hf_outside_linux_new(void); /* NULL: memory is short */
void hf_outside_linux_free(struct hf_outside *outside);
/*
 * Whoever rings while the owner sleeps may do the owner's work in its place: waking a thread takes longer than a short step.
 * `step` says whether it did; if not, the owner is woken. It is called by the thread that rings; of a ring from inside a job,
 * when the job has returned. Never twice at once by one thread. To be set before the first job.
 */
void hf_outside_linux_lend(struct hf_outside *outside, bool (*step)(void *context), void *context);
/*
 * A thread may write the log in the log worker's place: waking another one for it, and being woken by it, takes as long as a sync.
 * `left`, asked by a thread, tells whether the newest submit of this thread left its job to it; from the first time that a thread
 * asks, its submits do so when the log's worker is asleep. What was left must be run or passed on soon,
 * and before the outside is freed.
 */
bool hf_outside_linux_left(void);
/* Runs it on this thread, unless the worker has taken it meanwhile. Blocks on disk. Rings when the job did. */
void hf_outside_linux_run_left(void);
/* The worker shall do it after all. */
void hf_outside_linux_pass_left(void);
/* Bytes of the file system that path is on: free for this process, and all. */
enum hf_err hf_outside_linux_space(const char *path, uint64_t *free_bytes, uint64_t *all_bytes,
                                   struct hf_error *error) HF_WARN_UNUSED;
/* Resident memory of this process; 0: the kernel does not tell. Any thread. */
uint64_t hf_outside_linux_resident(void);
/* The most that this process may have: of the machine's memory and the limits of its memory cgroups (v1 and v2) the least. */
uint64_t hf_outside_linux_memory_max(void);
/* Gives freed memory back to the kernel: takes milliseconds if there is much. */
void hf_outside_linux_trim(void);
/* From now on large blocks (4 MiB) go back to the kernel as soon as they are freed. Before threads are begun. */
void hf_outside_linux_return_large(void);
/* From now on the allocator keeps little of what is freed: for a process that may have little. Before threads are begun. */
void hf_outside_linux_save_memory(void);
/* The directory's files with what they take on the disk (not those of directories in it). */
enum hf_err hf_outside_linux_files(const char *path,
                                   void (*each)(void *context, struct hf_str name, uint64_t bytes),
                                   void *context, struct hf_error *error) HF_WARN_UNUSED;
/* Blocks until ring() was called since the last return or until timeout_us has passed. */
void hf_outside_linux_wait(struct hf_outside *outside, uint64_t timeout_us);

#endif
