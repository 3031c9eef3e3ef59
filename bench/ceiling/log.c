/* All that has come is written and synced together, then answered. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ceiling.h"

#define FILE_BYTES ((off_t)256 << 20)
#define PAGE_BYTES 4096u

struct ceiling_log {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t there;
    struct ceiling_log_entry entries[CEILING_CONNECTIONS_MAX];
    unsigned count;
    bool ends;
    int file;
    off_t at;
    char path[4096];
};

static void fail(const char *what)
{
    fprintf(stderr, "ceiling: %s: %s\n", what, strerror(errno));
    exit(3);
}

static void write_all(int file, const void *data, size_t size_bytes, off_t at)
{
    const char *from = data;
    while (size_bytes > 0) {
        ssize_t written = pwrite(file, from, size_bytes, at);
        if (written < 0) {
            fail("write the log");
        }
        from += written;
        at += written;
        size_bytes -= (size_t)written;
    }
}

static void write_entry(struct ceiling_log *log, const struct ceiling_log_entry *entry)
{
    off_t size = (off_t)((entry->size_bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES);
    if (log->at + size > FILE_BYTES) {
        log->at = 0;
    }
    write_all(log->file, entry->request, entry->size_bytes, log->at);
    log->at += size;
}

static void *run(void *context)
{
    struct ceiling_log *log = context;
    for (;;) {
        struct ceiling_log_entry entries[CEILING_CONNECTIONS_MAX];
        (void)pthread_mutex_lock(&log->mutex);
        while (log->count == 0 && !log->ends) {
            (void)pthread_cond_wait(&log->there, &log->mutex);
        }
        unsigned count = log->count;
        memcpy(entries, log->entries, count * sizeof(entries[0]));
        log->count = 0;
        (void)pthread_mutex_unlock(&log->mutex);
        if (count == 0) {
            return NULL;
        }
        for (unsigned i = 0; i < count; i++) {
            write_entry(log, &entries[i]);
        }
        if (fdatasync(log->file) != 0) {
            fail("sync the log");
        }
        for (unsigned i = 0; i < count; i++) {
            /* The socket's buffer is empty: this fits. */
            if (send(entries[i].socket, &entries[i].answer, sizeof(entries[i].answer),
                     MSG_NOSIGNAL) != (ssize_t)sizeof(entries[i].answer)) {
                fail("answer");
            }
        }
    }
}

struct ceiling_log *ceiling_log_open(const char *directory)
{
    struct ceiling_log *log = calloc(1, sizeof(*log));
    char *zeroes = calloc(1, 1u << 20);
    if (log == NULL || zeroes == NULL) {
        fail("open the log");
    }
    (void)snprintf(log->path, sizeof(log->path), "%s/ceiling.log", directory);
    log->file = open(log->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (log->file < 0) {
        fail(log->path);
    }
    for (off_t at = 0; at < FILE_BYTES; at += 1 << 20) {
        write_all(log->file, zeroes, 1u << 20, at);
    }
    free(zeroes);
    if (fsync(log->file) != 0) {
        fail(log->path);
    }
    (void)pthread_mutex_init(&log->mutex, NULL);
    (void)pthread_cond_init(&log->there, NULL);
    if (pthread_create(&log->thread, NULL, run, log) != 0) {
        fail("start a thread");
    }
    return log;
}

void ceiling_log_append(struct ceiling_log *log, const struct ceiling_log_entry *entry)
{
    (void)pthread_mutex_lock(&log->mutex);
    log->entries[log->count++] = *entry;
    (void)pthread_cond_signal(&log->there);
    (void)pthread_mutex_unlock(&log->mutex);
}

void ceiling_log_close(struct ceiling_log *log)
{
    (void)pthread_mutex_lock(&log->mutex);
    log->ends = true;
    (void)pthread_cond_signal(&log->there);
    (void)pthread_mutex_unlock(&log->mutex);
    (void)pthread_join(log->thread, NULL);
    (void)pthread_cond_destroy(&log->there);
    (void)pthread_mutex_destroy(&log->mutex);
    (void)close(log->file);
    (void)unlink(log->path);
    free(log);
}
