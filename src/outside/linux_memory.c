/* What the kernel says of memory and of files' sizes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "outside/linux_priv.h"

#define SAVING_ARENAS    2
#define SAVING_BYTES     (512 << 10)
#define LARGE_BYTES      (4 << 20)
#define KEPT_BYTES       (4 << 20) /* of freed memory, in each arena */
#define CGROUP_DEPTH_MAX 32u
#define DISK_BLOCK_BYTES 512u /* of st_blocks */

/* The file's first bytes; "" if it can't be read. */
static void read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
    text[got < 0 ? 0 : got] = '\0';
    if (fd >= 0) {
        (void)close(fd);
    }
}

static uint64_t page_bytes(void)
{
    long bytes = sysconf(_SC_PAGESIZE);
    return bytes > 0 ? (uint64_t)bytes : 4096;
}

uint64_t hf_outside_linux_resident(void)
{
    char text[128];
    read_text("/proc/self/statm", text, sizeof(text));
    const char *second = strchr(text, ' ');
    return second == NULL ? 0 : strtoull(second, NULL, 10) * page_bytes();
}

void hf_outside_linux_trim(void)
{
    (void)malloc_trim(0);
}

/* Left to itself the allocator puts blocks of up to 32 MiB where it can't give them back behind smaller ones. What is smaller stays
 * with it: at the limit of a memory cgroup each page that is taken anew waits until another one is thrown away. */
void hf_outside_linux_return_large(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
}

/* Left to itself the allocator keeps up to 64 MiB of freed memory in each of eight arenas a processor. */
void hf_outside_linux_save_memory(void)
{
    (void)mallopt(M_ARENA_MAX, SAVING_ARENAS);
    (void)mallopt(M_MMAP_THRESHOLD, SAVING_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, SAVING_BYTES);
}

/* ---- limits ---- */

/* A number in a file; UINT64_MAX if there is none ("max", no such file). */
static uint64_t read_limit(const char *directory, const char *name)
{
    char path[4096];
    char text[64];
    int bytes = snprintf(path, sizeof(path), "%s/%s", directory, name);
    if (bytes < 0 || (size_t)bytes >= sizeof(path)) {
        return UINT64_MAX;
    }
    read_text(path, text, sizeof(text));
    uint64_t limit = text[0] >= '0' && text[0] <= '9' ? strtoull(text, NULL, 10) : UINT64_MAX;
    return limit == 0 ? UINT64_MAX : limit;
}

/* The least limit of the group and of those that it is in. Inside of a container the mount may begin at the group itself, so that
 * the path which the kernel tells is not there: then what is found on the way up counts, and the mount's own. */
static uint64_t least_limit(const char *mount, const char *group, const char *name)
{
    char path[4096];
    uint64_t least = UINT64_MAX;
    int bytes = snprintf(path, sizeof(path), "%s%s", mount, group);
    if (bytes < 0 || (size_t)bytes >= sizeof(path)) {
        return least;
    }
    for (unsigned depth = 0; depth < CGROUP_DEPTH_MAX && strlen(path) >= strlen(mount); depth++) {
        uint64_t limit = read_limit(path, name);
        least = limit < least ? limit : least;
        char *slash = strrchr(path, '/');
        if (slash == NULL) {
            break;
        }
        *slash = '\0';
    }
    return least;
}

/* "4:memory:/group" of v1, "0::/group" of v2. */
static uint64_t cgroup_limit(char *line)
{
    char *controllers = strchr(line, ':');
    char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (group == NULL) {
        return UINT64_MAX;
    }
    *group++ = '\0';
    controllers++;
    if (strcmp(controllers, "memory") == 0) {
        return least_limit("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
    }
    return controllers[0] == '\0' ? least_limit("/sys/fs/cgroup", group, "memory.max") : UINT64_MAX;
}

uint64_t hf_outside_linux_memory_max(void)
{
    char text[4096];
    long pages = sysconf(_SC_PHYS_PAGES);
    uint64_t least = pages > 0 ? (uint64_t)pages * page_bytes() : UINT64_MAX;
    read_text("/proc/self/cgroup", text, sizeof(text));
    char *rest = text;
    char *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        uint64_t limit = cgroup_limit(line);
        least = limit < least ? limit : least;
    }
    return least;
}

/* ---- files ---- */

enum hf_err hf_outside_linux_files(const char *path,
                                   void (*each)(void *context, struct hf_str name, uint64_t bytes),
                                   void *context, struct hf_error *error)
{
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return hf_linux_fail(error, errno, "list", path);
    }
    const struct dirent *entry;
    struct stat status;
    while ((entry = readdir(directory)) != NULL) {
        /* What has gone since it was listed does not count. */
        if (fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(status.st_mode)) {
            each(context, hf_str_from(entry->d_name),
                 (uint64_t)status.st_blocks * DISK_BLOCK_BYTES);
        }
    }
    (void)closedir(directory);
    return HF_ERR_OK;
}
