/*
 * What a data directory takes on its disk, by part.
 *
 * Owns: which file belongs to which part. Must never: open a file. Called by: the watch (status and metrics show what it found),
 * `holdfast status DIR`.
 */
#ifndef HF_OBSERVE_DISK_H
#define HF_OBSERVE_DISK_H

#include "base/errors.h"

/* As hf_outside_linux_files. */
typedef enum hf_err (*hf_disk_files_fn)(const char *path,
                                        void (*each)(void *context, struct hf_str name,
                                                     uint64_t bytes),
                                        void *context, struct hf_error *error);

struct hf_disk_use {
    uint64_t log;   /* segments, the prepared one, too */
    uint64_t index; /* runs */
    uint64_t checkpoints;
    uint64_t temporary; /* being written, or left behind by a crash */
    uint64_t other;     /* tokens, what is not Holdfast's */
    uint64_t free, all; /* of the file system; 0: not known */
};

/* free and all are not touched. */
enum hf_err hf_disk_use_measure(const char *directory, hf_disk_files_fn files,
                                struct hf_disk_use *use, struct hf_error *error) HF_WARN_UNUSED;

#endif
