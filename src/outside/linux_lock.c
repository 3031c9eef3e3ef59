/*
 * The directory lock: an open file description lock over a lock file.
 *
 * Such a lock belongs to the open file, not to the process: two opens in one process exclude each
 * other, and a stopped process keeps it. It falls when the last descriptor of that open file is
 * gone. A fork would copy the descriptor and keep the lock alive behind a killed parent, so every
 * forked child closes its copies at once (exec closes them by O_CLOEXEC).
 */
#include "outside/linux_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"

struct hf_lock {
    int fd;               /* of the lock file; -1 in a forked child */
    struct hf_lock *next; /* all locks of this process, for the fork handler */
};

static pthread_mutex_t locks_mutex = PTHREAD_MUTEX_INITIALIZER; /* guards the list */
static struct hf_lock *locks;                                   /* all that are held */
static pthread_once_t fork_handlers_once = PTHREAD_ONCE_INIT;

static void before_fork(void)
{
    HF_CHECK(pthread_mutex_lock(&locks_mutex) == 0);
}

static void after_fork_parent(void)
{
    HF_CHECK(pthread_mutex_unlock(&locks_mutex) == 0);
}

static void after_fork_child(void)
{
    for (struct hf_lock *lock = locks; lock != NULL; lock = lock->next) {
        if (lock->fd >= 0) {
            (void)close(lock->fd);
            lock->fd = -1;
        }
    }
    HF_CHECK(pthread_mutex_unlock(&locks_mutex) == 0);
}

static void install_fork_handlers(void)
{
    HF_CHECK(pthread_atfork(before_fork, after_fork_parent, after_fork_child) == 0);
}

/* Is the file that fd has open still the one that the path names? */
static bool still_named(int fd, const char *path)
{
    struct stat opened;
    struct stat named;
    return fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

/* Opens and enters the list in one step, so that no fork comes between. -1: errno. */
static int open_listed(struct hf_lock *lock, const char *path)
{
    HF_CHECK(pthread_mutex_lock(&locks_mutex) == 0);
    do {
        lock->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    } while (lock->fd < 0 && errno == EINTR);
    if (lock->fd >= 0) {
        lock->next = locks;
        locks = lock;
    }
    HF_CHECK(pthread_mutex_unlock(&locks_mutex) == 0);
    return lock->fd;
}

static void close_listed(struct hf_lock *lock)
{
    HF_CHECK(pthread_mutex_lock(&locks_mutex) == 0);
    for (struct hf_lock **at = &locks; *at != NULL; at = &(*at)->next) {
        if (*at == lock) {
            *at = lock->next;
            break;
        }
    }
    if (lock->fd >= 0) {
        (void)close(lock->fd); /* the lock falls with it */
    }
    HF_CHECK(pthread_mutex_unlock(&locks_mutex) == 0);
}

enum hf_err hf_linux_lock(struct hf_outside *o, const char *path, bool wait, struct hf_lock **lock,
                          struct hf_error *error)
{
    (void)o;
    *lock = NULL;
    HF_CHECK(pthread_once(&fork_handlers_once, install_fork_handlers) == 0);
    struct hf_lock *held = hf_malloc(sizeof(*held));
    if (held == NULL) {
        return hf_linux_fail(error, ENOMEM, "lock", path);
    }
    for (;;) {
        if (open_listed(held, path) < 0) {
            int number = errno;
            hf_free(held);
            return hf_linux_fail(error, number, "open lock file", path);
        }
        struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET}; /* the whole file */
        int result;
        do {
            result = fcntl(held->fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &range);
        } while (result < 0 && errno == EINTR);
        int number = errno;
        if (result == 0 && still_named(held->fd, path)) {
            *lock = held;
            return HF_ERR_OK;
        }
        close_listed(held);
        if (result != 0) {
            hf_free(held);
            return number == EAGAIN || number == EACCES
                       ? hf_error_set(error, HF_ERR_LOCKED, "lock %s: held by another process",
                                      path)
                       : hf_linux_fail(error, number, "lock", path);
        }
        /* The lock file was replaced while this one was waited for: its successor counts. */
    }
}

void hf_linux_unlock(struct hf_outside *o, struct hf_lock *lock)
{
    (void)o;
    if (lock != NULL) {
        close_listed(lock);
        hf_free(lock);
    }
}
