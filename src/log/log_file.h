/*
 * The file driver: segments in one directory on a local file system.
 *
 * Owns: DIR/lock and DIR/log/. The owner holds the kernel's lock on DIR/lock until it dies, so a
 * paused owner is never overtaken; a second process waits and takes over when the lock falls.
 * Called by: node's openers (library, cli), the tests.
 */
#ifndef HF_LOG_LOG_FILE_H
#define HF_LOG_LOG_FILE_H

#include "log/log.h"

struct hf_log_file_options {
    const char *directory;        /* the data directory; created if absent and create is set */
    bool create;                  /* make the directories if they are not there */
    uint64_t segment_bytes_first; /* see struct hf_limits */
    uint64_t segment_bytes_max;   /* see struct hf_limits */
};

/* Opens for reading; takeover() makes it the owner. The outside must outlive the log. */
enum hf_err hf_log_file_open(struct hf_outside *outside, const struct hf_log_file_options *options,
                             struct hf_log **log, struct hf_error *error);

#endif
