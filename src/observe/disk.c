#include "observe/disk.h"

#include <stdio.h>

struct measuring {
    struct hf_disk_use *use;
    bool in_log;
};

static bool ends_with(struct hf_str name, const char *end)
{
    size_t length = strlen(end);
    return name.len >= length && memcmp(name.ptr + name.len - length, end, length) == 0;
}

static void take_file(void *context, struct hf_str name, uint64_t bytes)
{
    struct measuring *measuring = context;
    struct hf_disk_use *use = measuring->use;
    if (ends_with(name, ".tmp")) {
        use->temporary += bytes;
    } else if (measuring->in_log) {
        use->log += bytes;
    } else if (ends_with(name, ".run")) {
        use->index += bytes;
    } else if (ends_with(name, ".ckpt")) {
        use->checkpoints += bytes;
    } else {
        use->other += bytes;
    }
}

enum hf_err hf_disk_use_measure(const char *directory, hf_disk_files_fn files,
                                struct hf_disk_use *use, struct hf_error *error)
{
    char log[4096];
    struct hf_disk_use found = {.free = use->free, .all = use->all};
    struct measuring measuring = {.use = &found};
    int bytes = snprintf(log, sizeof(log), "%s/log", directory);
    if (bytes < 0 || (size_t)bytes >= sizeof(log)) {
        return hf_error_set(error, HF_ERR_LIMIT, "the data directory's path is too long");
    }
    enum hf_err err = files(directory, take_file, &measuring, error);
    measuring.in_log = true;
    err = err == HF_ERR_OK ? files(log, take_file, &measuring, error) : err;
    if (err == HF_ERR_OK) {
        *use = found;
    }
    return err;
}
