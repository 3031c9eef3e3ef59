#include "cli/walk.h"

#include <fcntl.h>
#include <unistd.h>

#include "log/log_file.h"

enum hf_err hf_walk_open_log(struct hf_outside *outside, const char *directory, struct hf_log **log,
                             struct hf_error *error)
{
    struct hf_limits limits = hf_limits_default();
    struct hf_log_file_options options = {.directory = directory,
                                          .segment_bytes_first = limits.segment_bytes_first,
                                          .segment_bytes_max = limits.segment_bytes_max};
    return hf_log_file_open(outside, &options, log, error);
}

bool hf_walk_is_owned(const char *directory)
{
    char path[4096];
    int length = snprintf(path, sizeof(path), "%s/lock", directory);
    int fd = length < 0 || (size_t)length >= sizeof(path) ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    bool owned = fcntl(fd, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
    (void)close(fd);
    return owned;
}
