/* What the disk can do in this very run. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define BLOCK_BYTES 4096

struct bench_result bench_disk_run(const char *directory, unsigned count)
{
    char path[4096];
    static char block[BLOCK_BYTES];
    (void)snprintf(path, sizeof(path), "%s/raw", directory);
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    uint64_t *samples = calloc(count, sizeof(*samples));
    if (file < 0 || samples == NULL) {
        perror(path);
        exit(3);
    }
    for (unsigned i = 0; i < count; i++) {
        if (pwrite(file, block, sizeof(block), (off_t)i * BLOCK_BYTES) != BLOCK_BYTES) {
            perror("pwrite");
            exit(3);
        }
    }
    if (fsync(file) != 0) {
        perror("fsync");
        exit(3);
    }
    memset(block, 1, sizeof(block));
    uint64_t start = bench_now_ns();
    for (unsigned i = 0; i < count; i++) {
        uint64_t before = bench_now_ns();
        if (pwrite(file, block, sizeof(block), (off_t)i * BLOCK_BYTES) != BLOCK_BYTES ||
            fdatasync(file) != 0) {
            perror("fdatasync");
            exit(3);
        }
        samples[i] = bench_now_ns() - before;
    }
    struct bench_result result = {.per_second = count * 1e9 / (double)(bench_now_ns() - start)};
    bench_percentiles(&result, samples, count);
    free(samples);
    (void)close(file);
    (void)unlink(path);
    return result;
}
