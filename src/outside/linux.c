/* The linux outside: directories, files, clocks, random bytes. */
#include "outside/linux_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/check.h"

#define DIRECT_ALIGN_BYTES  4096u        /* offset, size and memory of a direct read */
#define DIRECT_BOUNCE_BYTES (256u << 10) /* a read that is not aligned goes through such a piece */
#define FILE_MODE           0600
#define DIRECTORY_MODE      0700

#define CACHESTAT_CALL                                                                             \
    451 /* the same on every architecture; Debian 12's headers have no name for it */
#define COLD_BYTES_MIN (64u << 10) /* a read of fewer goes through the page cache in any case */
#define COLD_FD_NONE   (-1)        /* not opened yet */
#define COLD_FD_NEVER  (-2)        /* it can't be */

struct hf_file {
    int fd; /* open descriptor, close-on-exec */
    int cold_fd; /* the same file with O_DIRECT, for large reads of what is not in the page cache; or COLD_FD_… */
    bool direct; /* opened with O_DIRECT */
    bool random; /* HF_OPEN_READ_RANDOM */
    char name[]; /* for error texts, and to open it again */
};

enum hf_err hf_linux_fail(struct hf_error *error, int number, const char *what, const char *path)
{
    enum hf_err code = HF_ERR_IO;
    if (number == ENOSPC || number == EDQUOT) {
        code = HF_ERR_NO_SPACE;
    } else if (number == ENOENT) {
        code = HF_ERR_NOT_FOUND;
    } else if (number == EEXIST) {
        code = HF_ERR_EXISTS;
    } else if (number == ENOMEM) {
        code = HF_ERR_NO_MEMORY;
    }
    const char *why = strerrordesc_np(number);
    return hf_error_set(error, code, "%s %s: %s", what, path, why == NULL ? "unknown error" : why);
}

static enum hf_err make_directory(struct hf_outside *o, const char *path, struct hf_error *error)
{
    (void)o;
    if (mkdir(path, DIRECTORY_MODE) == 0) {
        return HF_ERR_OK;
    }
    int number = errno;
    struct stat status;
    if (number == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
        return HF_ERR_OK;
    }
    return hf_linux_fail(error, number, "make directory", path);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b); /* by bytes; no locale */
}

struct name_list {
    char **names;    /* owned, and each name */
    size_t count;    /* of names */
    size_t capacity; /* of names */
};

static bool name_list_add(struct name_list *list, const char *name)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
        char **names = hf_realloc(list->names, capacity * sizeof(*names));
        if (names == NULL) {
            return false;
        }
        list->names = names;
        list->capacity = capacity;
    }
    size_t size = strlen(name) + 1;
    char *copy = hf_malloc(size);
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, name, size);
    list->names[list->count++] = copy;
    return true;
}

static void name_list_release(struct name_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        hf_free(list->names[i]);
    }
    hf_free(list->names);
}

static enum hf_err collect_names(DIR *directory, const char *path, struct name_list *names,
                                 struct hf_error *error)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (entry == NULL) {
            return errno == 0 ? HF_ERR_OK : hf_linux_fail(error, errno, "list", path);
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (!name_list_add(names, entry->d_name)) {
            return hf_linux_fail(error, ENOMEM, "list", path);
        }
    }
}

static enum hf_err list(struct hf_outside *o, const char *path, hf_list_fn each, void *context,
                        struct hf_error *error)
{
    (void)o;
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return hf_linux_fail(error, errno, "list", path);
    }
    struct name_list names = {0};
    enum hf_err code = collect_names(directory, path, &names, error);
    (void)closedir(directory);
    if (code == HF_ERR_OK && names.count > 0) {
        qsort(names.names, names.count, sizeof(*names.names), compare_names);
        for (size_t i = 0; i < names.count; i++) {
            each(context, hf_str_from(names.names[i]));
        }
    }
    name_list_release(&names);
    return code;
}

/* open and fsync retried on EINTR only. */
static int open_retry(const char *path, int flags)
{
    int fd;
    do {
        fd = open(path, flags | O_CLOEXEC | O_NOCTTY, FILE_MODE);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

static enum hf_err sync_directory(struct hf_outside *o, const char *path, struct hf_error *error)
{
    (void)o;
    int fd = open_retry(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) {
        return hf_linux_fail(error, errno, "open directory", path);
    }
    int result;
    do {
        result = fsync(fd);
    } while (result < 0 && errno == EINTR);
    int number = errno;
    (void)close(fd);
    return result == 0 ? HF_ERR_OK : hf_linux_fail(error, number, "sync directory", path);
}

static enum hf_err rename_file(struct hf_outside *o, const char *from, const char *to,
                               struct hf_error *error)
{
    (void)o;
    return rename(from, to) == 0 ? HF_ERR_OK : hf_linux_fail(error, errno, "rename", from);
}

static enum hf_err remove_file(struct hf_outside *o, const char *path, struct hf_error *error)
{
    (void)o;
    return unlink(path) == 0 ? HF_ERR_OK : hf_linux_fail(error, errno, "remove", path);
}

/* Without O_DIRECT: what is dirty is written and all of it dropped from the cache, so that reads
 * come from the device. */
static int drop_cache(int fd)
{
    if (fdatasync(fd) != 0) {
        return errno;
    }
    return posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static int open_random(const char *path)
{
    int fd = open_retry(path, O_RDONLY);
    if (fd >= 0) {
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM); /* advice: it may be ignored */
    }
    return fd;
}

static int open_mode(const char *path, enum hf_open_mode mode, bool *direct)
{
    *direct = false;
    switch (mode) {
    case HF_OPEN_READ:
        return open_retry(path, O_RDONLY);
    case HF_OPEN_READ_RANDOM:
        return open_random(path);
    case HF_OPEN_READ_WRITE:
        return open_retry(path, O_RDWR);
    case HF_OPEN_CREATE_NEW:
        return open_retry(path, O_RDWR | O_CREAT | O_EXCL);
    case HF_OPEN_READ_DIRECT:
        break;
    }
    int fd = open_retry(path, O_RDONLY | O_DIRECT);
    *direct = fd >= 0;
    if (fd >= 0 || errno != EINVAL) {
        return fd;
    }
    fd = open_retry(path, O_RDONLY); /* a file system without O_DIRECT */
    int number = fd < 0 ? 0 : drop_cache(fd);
    if (number != 0) {
        (void)close(fd);
        errno = number;
        fd = -1;
    }
    return fd;
}

static enum hf_err open_file(struct hf_outside *o, const char *path, enum hf_open_mode mode,
                             struct hf_file **file, struct hf_error *error)
{
    (void)o;
    *file = NULL;
    size_t name_bytes = strlen(path) + 1;
    struct hf_file *opened = hf_malloc(sizeof(*opened) + name_bytes);
    if (opened == NULL) {
        return hf_linux_fail(error, ENOMEM, "open", path);
    }
    opened->fd = open_mode(path, mode, &opened->direct);
    opened->cold_fd = COLD_FD_NONE;
    opened->random = mode == HF_OPEN_READ_RANDOM;
    if (opened->fd < 0) {
        int number = errno;
        hf_free(opened);
        return hf_linux_fail(error, number, mode == HF_OPEN_CREATE_NEW ? "create" : "open", path);
    }
    memcpy(opened->name, path, name_bytes);
    *file = opened;
    return HF_ERR_OK;
}

static void close_file(struct hf_outside *o, struct hf_file *file)
{
    (void)o;
    if (file != NULL) {
        (void)close(
            file->fd); /* Linux frees the descriptor even on an error; syncs were explicit */
        if (file->cold_fd >= 0) {
            (void)close(file->cold_fd);
        }
        hf_free(file);
    }
}

static enum hf_err file_size(struct hf_outside *o, struct hf_file *file, uint64_t *size_bytes,
                             struct hf_error *error)
{
    (void)o;
    *size_bytes = 0;
    struct stat status;
    if (fstat(file->fd, &status) != 0) {
        return hf_linux_fail(error, errno, "size of", file->name);
    }
    HF_CHECK(status.st_size >= 0);
    *size_bytes = (uint64_t)status.st_size;
    return HF_ERR_OK;
}

/* Reads until size_bytes or the end of the file. Returns an errno. */
static int read_whole(int fd, uint64_t offset, uint8_t *data, size_t size_bytes, size_t *read_bytes)
{
    size_t done = 0;
    int number = 0;
    while (done < size_bytes) {
        ssize_t got = pread(fd, data + done, size_bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            number = got < 0 ? errno : 0;
            break;
        }
        done += (size_t)got;
    }
    *read_bytes = done;
    return number;
}

/* O_DIRECT wants aligned memory, offset and size: reads aligned pieces and copies what was asked
 * for. Returns an errno. */
static int read_bounced(int fd, uint64_t offset, uint8_t *data, size_t size_bytes,
                        size_t *read_bytes)
{
    *read_bytes = 0;
    uint8_t *memory = hf_malloc(DIRECT_BOUNCE_BYTES + DIRECT_ALIGN_BYTES);
    if (memory == NULL) {
        return ENOMEM;
    }
    uintptr_t misfit = (uintptr_t)memory % DIRECT_ALIGN_BYTES;
    uint8_t *piece = memory + (misfit == 0 ? 0 : DIRECT_ALIGN_BYTES - misfit);
    size_t done = 0;
    int number = 0;
    while (done < size_bytes) {
        uint64_t at = offset + done;
        size_t skip = (size_t)(at % DIRECT_ALIGN_BYTES);
        uint64_t ask =
            hf_min_u64(DIRECT_BOUNCE_BYTES, (skip + (size_bytes - done) + DIRECT_ALIGN_BYTES - 1) /
                                                DIRECT_ALIGN_BYTES * DIRECT_ALIGN_BYTES);
        size_t got;
        number = read_whole(fd, at - skip, piece, (size_t)ask, &got);
        if (number != 0 || got <= skip) {
            break;
        }
        size_t use = (size_t)hf_min_u64(got - skip, size_bytes - done);
        memcpy(data + done, piece + skip, use);
        done += use;
        if (got < ask) {
            break; /* end of file */
        }
    }
    hf_free(memory);
    *read_bytes = done;
    return number;
}

/* Is all of it in the page cache? true also if the kernel (before 6.5) can't tell. A read that must not wait (RWF_NOWAIT) is no way
 * to ask: it begins to read what is not there. */
static bool is_cached(int fd, uint64_t offset, size_t size_bytes)
{
    struct {
        uint64_t offset, bytes;
    } range = {offset, size_bytes};
    struct {
        uint64_t cached, dirty, written, evicted, recently_evicted; /* pages */
    } pages = {0};
    return syscall(CACHESTAT_CALL, fd, &range, &pages, 0) != 0 ||
           pages.cached * DIRECT_ALIGN_BYTES >= size_bytes;
}

/* A large piece of a file that is read here and there: out of the page cache if all of it is there, else past it. Old commits that
 * are looked at once must not push out what is looked at often, nor wait until the kernel has found pages to throw away.
 * Returns an errno. */
static int read_cold(struct hf_file *file, uint64_t offset, uint8_t *data, size_t size_bytes,
                     size_t *read_bytes)
{
    if (is_cached(file->fd, offset, size_bytes)) {
        return read_whole(file->fd, offset, data, size_bytes, read_bytes);
    }
    if (file->cold_fd == COLD_FD_NONE) {
        file->cold_fd = open_retry(file->name, O_RDONLY | O_DIRECT);
        file->cold_fd = file->cold_fd < 0 ? COLD_FD_NEVER : file->cold_fd;
    }
    if (file->cold_fd >= 0 &&
        read_whole(file->cold_fd, offset, data, size_bytes, read_bytes) == 0) {
        return 0;
    }
    return read_whole(file->fd, offset, data, size_bytes, read_bytes);
}

static enum hf_err read_file(struct hf_outside *o, struct hf_file *file, uint64_t offset,
                             void *data, size_t size_bytes, size_t *read_bytes,
                             struct hf_error *error)
{
    (void)o;
    HF_CHECK(offset <= INT64_MAX - size_bytes);
    bool aligned = offset % DIRECT_ALIGN_BYTES == 0 && size_bytes % DIRECT_ALIGN_BYTES == 0 &&
                   (uintptr_t)data % DIRECT_ALIGN_BYTES == 0;
    int number;
    if (file->direct && !aligned) {
        number = read_bounced(file->fd, offset, data, size_bytes, read_bytes);
    } else if (file->random && aligned && size_bytes >= COLD_BYTES_MIN) {
        number = read_cold(file, offset, data, size_bytes, read_bytes);
    } else {
        number = read_whole(file->fd, offset, data, size_bytes, read_bytes);
    }
    if (number != 0) {
        *read_bytes = 0;
        return hf_linux_fail(error, number, "read", file->name);
    }
    return HF_ERR_OK;
}

/* A short write goes on: the next call tells why it was short (no space, mostly), or nothing is
 * wrong. */
static enum hf_err write_file(struct hf_outside *o, struct hf_file *file, uint64_t offset,
                              const void *data, size_t size_bytes, struct hf_error *error)
{
    (void)o;
    HF_CHECK(offset <= INT64_MAX - size_bytes);
    const uint8_t *bytes = data;
    size_t done = 0;
    while (done < size_bytes) {
        ssize_t put = pwrite(file->fd, bytes + done, size_bytes - done, (off_t)(offset + done));
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return hf_linux_fail(error, errno, "write", file->name);
        }
        if (put == 0) {
            return hf_error_set(error, HF_ERR_IO, "write %s: nothing was written", file->name);
        }
        done += (size_t)put;
    }
    return HF_ERR_OK;
}

static enum hf_err sync_file(struct hf_outside *o, struct hf_file *file, struct hf_error *error)
{
    (void)o;
    int result;
    do {
        result = fdatasync(file->fd);
    } while (result < 0 && errno == EINTR);
    return result == 0 ? HF_ERR_OK : hf_linux_fail(error, errno, "sync", file->name);
}

static enum hf_err truncate_file(struct hf_outside *o, struct hf_file *file, uint64_t size_bytes,
                                 struct hf_error *error)
{
    (void)o;
    HF_CHECK(size_bytes <= INT64_MAX);
    int result;
    do {
        result = ftruncate(file->fd, (off_t)size_bytes);
    } while (result < 0 && errno == EINTR);
    return result == 0 ? HF_ERR_OK : hf_linux_fail(error, errno, "truncate", file->name);
}

static uint64_t clock_us(clockid_t clock)
{
    struct timespec now;
    HF_CHECK(clock_gettime(clock, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

uint64_t hf_linux_monotonic_us(struct hf_outside *o)
{
    (void)o;
    return clock_us(CLOCK_MONOTONIC);
}

static uint64_t wall_us(struct hf_outside *o)
{
    (void)o;
    return clock_us(CLOCK_REALTIME);
}

static void random_bytes(struct hf_outside *o, void *data, size_t size_bytes)
{
    (void)o;
    uint8_t *bytes = data;
    size_t done = 0;
    while (done < size_bytes) {
        ssize_t got = getrandom(bytes + done, size_bytes - done, 0);
        HF_CHECK(got >= 0 || errno == EINTR);
        done += got > 0 ? (size_t)got : 0;
    }
}

enum hf_err hf_outside_linux_space(const char *path, uint64_t *free_bytes, uint64_t *all_bytes,
                                   struct hf_error *error)
{
    struct statvfs status;
    int result;
    *free_bytes = 0;
    *all_bytes = 0;
    do {
        result = statvfs(path, &status);
    } while (result != 0 && errno == EINTR);
    if (result != 0) {
        return hf_linux_fail(error, errno, "ask for the free space of", path);
    }
    *free_bytes = (uint64_t)status.f_bavail * status.f_frsize;
    *all_bytes = (uint64_t)status.f_blocks * status.f_frsize;
    return HF_ERR_OK;
}

struct hf_outside *hf_outside_linux_new(void)
{
    struct linux_outside *outside = hf_calloc(1, sizeof(*outside));
    if (outside == NULL) {
        return NULL;
    }
    outside->base = (struct hf_outside){
        .make_directory = make_directory,
        .list = list,
        .sync_directory = sync_directory,
        .rename = rename_file,
        .remove = remove_file,
        .open = open_file,
        .close = close_file,
        .size = file_size,
        .read = read_file,
        .write = write_file,
        .sync = sync_file,
        .truncate = truncate_file,
        .lock = hf_linux_lock,
        .unlock = hf_linux_unlock,
        .monotonic_us = hf_linux_monotonic_us,
        .wall_us = wall_us,
        .random = random_bytes,
        .submit = hf_linux_submit,
        .drain = hf_linux_drain,
        .ring = hf_linux_ring,
    };
    hf_linux_workers_init(outside);
    return &outside->base;
}

void hf_outside_linux_free(struct hf_outside *outside)
{
    if (outside != NULL) {
        struct linux_outside *self = HF_CONTAINER_OF(outside, struct linux_outside, base);
        hf_linux_workers_release(self);
        hf_free(self);
    }
}
