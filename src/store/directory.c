/* The directory of checkpoints and runs: what is there, what is newest and good, what can go. */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/check.h"
#include "store/checkpoint.h"
#include "store/checkpoint_priv.h"

/* ---- Listing ---- */

static int newest_first(const void *a, const void *b)
{
    uint64_t left, right;
    memcpy(&left, a, sizeof(left));
    memcpy(&right, b, sizeof(right));
    return left > right ? -1 : left < right;
}

static void collect_checkpoint(void *context, struct hf_str name)
{
    uint64_t position;
    if (hf_checkpoint_name_parse(name, &position)) {
        hf_buffer_bytes(context, &position, sizeof(position));
    }
}

enum hf_err hf_checkpoint_list(struct hf_outside *outside, const char *directory,
                               uint64_t **positions, size_t *count, struct hf_error *error)
{
    *positions = NULL;
    *count = 0;
    struct hf_buffer found;
    hf_buffer_init(&found);
    enum hf_err err = outside->list(outside, directory, collect_checkpoint, &found, error);
    if (err == HF_ERR_OK && found.failed) {
        err = hf_error_set(error, HF_ERR_NO_MEMORY, "list checkpoints: memory is short");
    }
    if (err != HF_ERR_OK) {
        hf_buffer_release(&found);
        return err;
    }
    *count = found.size_bytes / sizeof(uint64_t);
    *positions = (void *)found.data; /* moves to the caller; malloc's memory is aligned */
    if (*count > 0) {
        qsort(*positions, *count, sizeof(uint64_t), newest_first);
    }
    return HF_ERR_OK;
}

/* ---- The newest good one ---- */

/* Opens one and verifies it in full. */
static enum hf_err open_whole(struct hf_outside *outside, const char *directory, uint32_t space,
                              uint64_t position, struct hf_checkpoint **checkpoint,
                              struct hf_error *error)
{
    enum hf_err err = hf_checkpoint_open(outside, directory, space, position, checkpoint, error);
    if (err == HF_ERR_OK) {
        err = hf_checkpoint_verify(*checkpoint, error);
        if (err != HF_ERR_OK) {
            hf_checkpoint_close(*checkpoint);
            *checkpoint = NULL;
        }
    }
    return err;
}

enum hf_err hf_checkpoint_open_newest(struct hf_outside *outside, const char *directory,
                                      uint32_t space, struct hf_checkpoint **checkpoint,
                                      struct hf_checkpoint_damage *damage, struct hf_error *error)
{
    uint64_t *positions;
    size_t count;
    *checkpoint = NULL;
    *damage = (struct hf_checkpoint_damage){0};
    enum hf_err err = hf_checkpoint_list(outside, directory, &positions, &count, error);
    if (err != HF_ERR_OK) {
        return err;
    }
    err = HF_ERR_CORRUPT;
    for (size_t i = 0; i < count && err == HF_ERR_CORRUPT; i++) {
        struct hf_error why = {0};
        err = open_whole(outside, directory, space, positions[i], checkpoint, &why);
        if (err == HF_ERR_CORRUPT) {
            if (damage->damaged_count++ == 0) {
                damage->newest_position = positions[i];
                damage->newest = why;
            }
        } else if (err != HF_ERR_OK && error != NULL) {
            *error = why;
        }
    }
    hf_free(positions);
    if (err == HF_ERR_CORRUPT) {
        err = hf_error_set(error, HF_ERR_NOT_FOUND, "no good checkpoint in %s (%zu damaged)",
                           directory, damage->damaged_count);
    }
    return err;
}

/* ---- Cleaning ---- */

struct clean {
    struct hf_outside *outside;       /* borrowed */
    const char *directory;            /* borrowed */
    struct hf_buffer keep;            /* struct hf_run_ref of runs that are needed */
    struct hf_buffer names;           /* of files to remove, each with its NUL */
    size_t good_count;                /* checkpoints that are kept because they are good */
    uint64_t oldest_kept;             /* position of the oldest of them */
    struct hf_store_cleaned *cleaned; /* counts */
};

static bool ends_with(struct hf_str name, struct hf_str suffix)
{
    return name.len >= suffix.len &&
           memcmp(name.ptr + name.len - suffix.len, suffix.ptr, suffix.len) == 0;
}

static bool run_is_needed(const struct clean *clean, const struct hf_run_ref *run)
{
    size_t count = clean->keep.size_bytes / sizeof(*run);
    for (size_t i = 0; i < count; i++) {
        struct hf_run_ref kept;
        memcpy(&kept, clean->keep.data + i * sizeof(kept), sizeof(kept));
        if (kept.from_position == run->from_position && kept.to_position == run->to_position &&
            kept.generation == run->generation) {
            return true;
        }
    }
    return false;
}

static void collect_removable(void *context, struct hf_str name)
{
    struct clean *clean = context;
    struct hf_str base = name;
    struct hf_run_ref run;
    uint64_t position;
    size_t *counter = NULL;
    if (ends_with(name, HF_STR(".tmp"))) {
        base.len -= 4;
        if (hf_run_name_parse(base, &run) ? !run_is_needed(clean, &run)
                                          : hf_checkpoint_name_parse(base, &position)) {
            counter = &clean->cleaned->temporaries_removed;
        }
    } else if (clean->good_count > 0 && hf_run_name_parse(name, &run)) {
        if (!run_is_needed(clean, &run)) {
            counter = &clean->cleaned->runs_removed;
        }
    } else if (clean->good_count == HF_CHECKPOINTS_KEPT &&
               hf_checkpoint_name_parse(name, &position) && position < clean->oldest_kept) {
        counter = &clean->cleaned->checkpoints_removed;
    }
    if (counter != NULL) {
        ++*counter;
        hf_buffer_bytes(&clean->names, name.ptr, name.len);
        hf_buffer_u8(&clean->names, 0);
    }
}

/* Finds the good checkpoints that stay, and the runs that they need. */
static enum hf_err find_kept(struct clean *clean, uint32_t space, const uint64_t *positions,
                             size_t count, struct hf_error *error)
{
    for (size_t i = 0; i < count && clean->good_count < HF_CHECKPOINTS_KEPT; i++) {
        struct hf_checkpoint *checkpoint;
        enum hf_err err =
            open_whole(clean->outside, clean->directory, space, positions[i], &checkpoint, error);
        if (err == HF_ERR_CORRUPT) {
            continue; /* evidence; it stays until it is older than the kept ones */
        }
        if (err != HF_ERR_OK) {
            return err;
        }
        hf_buffer_bytes(&clean->keep, checkpoint->runs,
                        checkpoint->run_count * sizeof(struct hf_run_ref));
        hf_checkpoint_close(checkpoint);
        clean->oldest_kept = positions[i];
        clean->good_count++;
    }
    return HF_ERR_OK;
}

/* Removing goes on where an interrupted one stopped, so its order does not matter: what is removed
 * was needed by none of the kept ones. */
static enum hf_err remove_names(struct clean *clean, struct hf_error *error)
{
    struct hf_outside *outside = clean->outside;
    for (size_t at = 0; at < clean->names.size_bytes;) {
        char path[HF_STORE_PATH_BYTES];
        const char *name = (const char *)clean->names.data + at;
        enum hf_err err = hf_store_path(path, clean->directory, name, "", error);
        if (err == HF_ERR_OK) {
            err = outside->remove(outside, path, error);
        }
        if (err != HF_ERR_OK) {
            return err;
        }
        at += strlen(name) + 1;
    }
    return clean->names.size_bytes == 0 ? HF_ERR_OK
                                        : outside->sync_directory(outside, clean->directory, error);
}

enum hf_err hf_store_clean(struct hf_outside *outside, const char *directory, uint32_t space,
                           const struct hf_run_ref *live, size_t live_count,
                           struct hf_store_cleaned *cleaned, struct hf_error *error)
{
    struct clean clean = {.outside = outside, .directory = directory, .cleaned = cleaned};
    uint64_t *positions;
    size_t count;
    *cleaned = (struct hf_store_cleaned){0};
    hf_buffer_init(&clean.keep);
    hf_buffer_init(&clean.names);
    enum hf_err err = hf_checkpoint_list(outside, directory, &positions, &count, error);
    if (err == HF_ERR_OK) {
        hf_buffer_bytes(&clean.keep, live, live_count * sizeof(*live));
        err = find_kept(&clean, space, positions, count, error);
    }
    if (err == HF_ERR_OK && clean.keep.failed) {
        err = hf_error_set(error, HF_ERR_NO_MEMORY, "memory is short");
    }
    if (err == HF_ERR_OK) {
        err = outside->list(outside, directory, collect_removable, &clean, error);
    }
    if (err == HF_ERR_OK && clean.names.failed) {
        err = hf_error_set(error, HF_ERR_NO_MEMORY, "memory is short");
    }
    if (err == HF_ERR_OK) {
        err = remove_names(&clean, error);
    }
    if (err == HF_ERR_OK) {
        cleaned->oldest_kept = clean.oldest_kept;
    } else {
        *cleaned = (struct hf_store_cleaned){0};
        hf_error_wrap(error, "clean %s", directory);
    }
    hf_free(positions);
    hf_buffer_release(&clean.keep);
    hf_buffer_release(&clean.names);
    return err;
}
