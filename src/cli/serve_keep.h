/*
 * The keeper of a server that owns its directory: moves sealed segments by the policy of its options, and tells what
 * the log weighs.
 *
 * Owns: a thread. Must never: be waited for by anything that answers; move what no recorded checkpoint covers.
 * Called by: serve.
 *
 * It looks when a checkpoint was recorded. Its thread has the lowest priority of processor and disk, syncs a MiB at a
 * time, and rests three times as long as it worked: a server that has nothing else to do gives it a quarter of a processor.
 */
#ifndef HF_CLI_SERVE_KEEP_H
#define HF_CLI_SERVE_KEEP_H

#include "log/log_keep.h"
#include "node/node.h"

#define HF_SERVE_ARCHIVE_AFTER 8 /* segments, unless --archive-after says more */

struct hf_serve_keep_options {
    struct hf_outside *outside; /* outlives the keeper, as all of these */
    struct hf_node *node;       /* its status */
    const char *directory;      /* data directory */
    const char *archive;        /* absolute; NULL: none */
    uint64_t compress_after;    /* see struct hf_log_keep_policy */
    uint64_t archive_after;
};

struct hf_serve_keep;

enum hf_err hf_serve_keep_new(const struct hf_serve_keep_options *options,
                              struct hf_serve_keep **keep, struct hf_error *error) HF_WARN_UNUSED;
/* Ends what is under way at the next piece; before the engine is closed. NULL is fine. */
void hf_serve_keep_free(struct hf_serve_keep *keep);
/* As of the last look. Fits the door's options; context is the keeper. Any thread. false: there was no look yet. */
bool hf_serve_keep_bytes(void *context, struct hf_log_bytes *bytes);

#endif
