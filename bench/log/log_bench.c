/*
 * The file driver beside the raw disk: how much an append costs over its write and sync.
 *
 *     meson compile -C build log_bench && build/bench/log/log_bench [DIRECTORY]
 *
 * Raw: a zeroed file, one write and one sync at a time, buffered with fdatasync and with
 * O_DIRECT | O_DSYNC. Driver: batches of the same size on disk, with their checksum. Rounds of all
 * of them alternate, for the disk is shared and noisy; figures are medians of the rounds.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "log/log_file.h"
#include "log/log_priv.h"

#define FILE_BYTES  (64u << 20)
#define ROUND_COUNT 5
#define ROUND_US    700000u /* a round of one kind and size ends then, or at the file's end */
#define SAMPLES_MAX 20000

static const size_t sizes[] = {4096, 65536, 1 << 20};
static struct hf_outside *o;

struct figure {
    double p50_us;   /* of one append */
    double p99_us;   /* of one append */
    double mb_per_s; /* bytes on disk by time */
};

struct samples {
    uint32_t *us;        /* owned; of each append */
    size_t count;        /* used */
    uint64_t bytes;      /* written */
    uint64_t started_us; /* first one */
    uint64_t ended_us;   /* last one */
};

static int compare_us(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void begin(struct samples *samples)
{
    samples->count = 0;
    samples->bytes = 0;
    samples->started_us = o->monotonic_us(o);
}

static bool add(struct samples *samples, uint64_t from_us, size_t bytes)
{
    samples->ended_us = o->monotonic_us(o);
    samples->us[samples->count++] = (uint32_t)(samples->ended_us - from_us);
    samples->bytes += bytes;
    return samples->count < SAMPLES_MAX && samples->ended_us - samples->started_us < ROUND_US;
}

static struct figure figure_of(struct samples *samples)
{
    HF_CHECK(samples->count > 0);
    qsort(samples->us, samples->count, sizeof(*samples->us), compare_us);
    double seconds = (double)(samples->ended_us - samples->started_us) / 1e6;
    size_t half = samples->count / 2;
    size_t last_hundredth = samples->count * 99 / 100;
    return (struct figure){samples->us[half], samples->us[last_hundredth],
                           (double)samples->bytes / 1e6 / seconds};
}

static void make_zeroed(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    HF_CHECK(fd >= 0);
    static uint8_t zeroes[1 << 20];
    for (uint64_t at = 0; at < FILE_BYTES; at += sizeof(zeroes)) {
        HF_CHECK(pwrite(fd, zeroes, sizeof(zeroes), (off_t)at) == (ssize_t)sizeof(zeroes));
    }
    HF_CHECK(fsync(fd) == 0);
    (void)close(fd);
}

static struct figure run_raw(const char *path, bool direct, size_t size, const uint8_t *data,
                             struct samples *samples)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | (direct ? O_DIRECT | O_DSYNC : 0));
    HF_CHECK(fd >= 0);
    begin(samples);
    uint64_t from_us = samples->started_us;
    for (uint64_t at = 0; at + size <= FILE_BYTES; at += size) {
        HF_CHECK(pwrite(fd, data, size, (off_t)at) == (ssize_t)size);
        HF_CHECK(direct || fdatasync(fd) == 0);
        if (!add(samples, from_us, size)) {
            break;
        }
        from_us = samples->ended_us;
    }
    (void)close(fd);
    return figure_of(samples);
}

/* One commit in a batch: the chain's SHA-256 is the node's work and not measured here. */
static struct figure run_driver(struct hf_log *log, struct hf_log_head *head, size_t size,
                                uint8_t *data, struct samples *samples)
{
    size_t body_bytes = size - HF_LOG_HEADER_BYTES;
    data[0] = (uint8_t)(body_bytes - HF_COMMIT_FRAME_BYTES);
    data[1] = (uint8_t)((body_bytes - HF_COMMIT_FRAME_BYTES) >> 8);
    data[2] = (uint8_t)((body_bytes - HF_COMMIT_FRAME_BYTES) >> 16);
    data[3] = 0;
    memset(data + 4, 0, 4);
    begin(samples);
    uint64_t from_us = samples->started_us;
    for (uint64_t written = 0; written + size <= FILE_BYTES; written += size) {
        struct hf_log_batch batch = {
            .seq = head->seq + 1,
            .epoch = head->epoch,
            .first_position = head->position + 1,
            .commit_count = 1,
            .hash_before = head->hash,
            .hash_after = head->hash,
            .body = data,
            .body_bytes = body_bytes,
        };
        struct hf_error error;
        enum hf_append_outcome outcome;
        log->driver->append_start(log, &batch);
        while ((outcome = log->driver->append_poll(log, &error)) == HF_APPEND_PENDING) {
            hf_outside_linux_wait(o, 1000000);
        }
        HF_CHECK(outcome == HF_APPEND_OK);
        head->seq++;
        head->position++;
        if (!add(samples, from_us, size)) {
            break;
        }
        from_us = samples->ended_us;
    }
    return figure_of(samples);
}

static int compare_figures(const void *a, const void *b)
{
    double x = ((const struct figure *)a)->p50_us;
    double y = ((const struct figure *)b)->p50_us;
    return x < y ? -1 : x > y;
}

static void remove_each(void *context, struct hf_str name)
{
    char path[1100];
    (void)snprintf(path, sizeof(path), "%s/%s", (const char *)context, name.ptr);
    (void)o->remove(o, path, NULL);
}

/* Reads all, then takes over again: what a start costs. */
static void measure_start(const struct hf_log_file_options *options)
{
    struct hf_log *log;
    struct hf_log_head head;
    struct hf_log_recovery recovery;
    struct hf_error error;
    HF_CHECK(hf_log_file_open(o, options, &log, &error) == HF_ERR_OK);
    uint64_t before_us = o->monotonic_us(o);
    HF_CHECK(log->driver->takeover(log, HF_STR("bench"), false, &head, &recovery, &error) ==
             HF_ERR_OK);
    uint64_t took_us = o->monotonic_us(o) - before_us;
    double mib = (double)hf_log_file_of(log)->active_bytes / (1 << 20);
    printf("takeover with an active segment of %.0f MiB: %.1f ms\n", mib, (double)took_us / 1000);
    struct hf_buffer out;
    hf_buffer_init(&out);
    uint64_t bytes = 0;
    before_us = o->monotonic_us(o);
    for (uint64_t seq = 1; seq <= head.seq;) {
        uint32_t batches;
        hf_buffer_clear(&out);
        HF_CHECK(log->driver->read(log, seq, 4 << 20, &out, &batches, &error) == HF_ERR_OK);
        HF_CHECK(batches > 0);
        seq += batches;
        bytes += out.size_bytes;
    }
    took_us = o->monotonic_us(o) - before_us;
    printf("read of %llu batches: %.0f MB/s\n", (unsigned long long)head.seq,
           (double)bytes / (double)took_us);
    before_us = o->monotonic_us(o);
    for (uint64_t i = 0; i < 1000 && head.seq > 0; i++) {
        uint32_t batches;
        hf_buffer_clear(&out);
        HF_CHECK(log->driver->read(log, 1 + i * 7919 % head.seq, 1, &out, &batches, &error) ==
                 HF_ERR_OK);
    }
    printf("read of one batch anywhere: %.0f us\n",
           (double)(o->monotonic_us(o) - before_us) / 1000);
    hf_buffer_release(&out);
    log->driver->close(log);
}

int main(int argc, char **argv)
{
    const char *base = argc > 1 ? argv[1] : ".";
    char directory[900];
    char path[1000];
    char direct_path[1000];
    char log_path[1000];
    (void)snprintf(directory, sizeof(directory), "%s/hf-log-bench-XXXXXX", base);
    o = hf_outside_linux_new();
    struct samples samples = {.us = hf_malloc(SAMPLES_MAX * sizeof(uint32_t))};
    void *memory = NULL;
    HF_CHECK(o != NULL && samples.us != NULL && mkdtemp(directory) != NULL);
    HF_CHECK(posix_memalign(&memory, 4096, 1 << 20) == 0);
    uint8_t *data = memory;
    for (size_t i = 0; i < 1 << 20; i++) {
        data[i] = (uint8_t)(i * 2654435761u >> 13);
    }
    (void)snprintf(path, sizeof(path), "%s/raw", directory);
    (void)snprintf(log_path, sizeof(log_path), "%s/log", directory);
    (void)snprintf(direct_path, sizeof(direct_path), "%s/raw-direct", directory);
    make_zeroed(path); /* a file for each: direct writes drop the other's cached pages */
    make_zeroed(direct_path);
    const struct hf_log_file_options options = {.directory = directory,
                                                .create = true,
                                                .segment_bytes_first = 16u << 20,
                                                .segment_bytes_max = 128u << 20};
    struct hf_log *log;
    struct hf_log_head head;
    struct hf_log_recovery recovery;
    HF_CHECK(hf_log_file_open(o, &options, &log, NULL) == HF_ERR_OK);
    HF_CHECK(log->driver->takeover(log, HF_STR("bench"), false, &head, &recovery, NULL) == 0);
    static const char *const kinds[] = {"write + fdatasync", "O_DIRECT | O_DSYNC", "driver"};
    printf("%-20s %8s %9s %9s %9s\n", "", "bytes", "p50 us", "p99 us", "MB/s");
    for (size_t s = 0; s < HF_ARRAY_COUNT(sizes); s++) {
        static struct figure figures[3][ROUND_COUNT];
        for (size_t round = 0; round < ROUND_COUNT; round++) {
            figures[0][round] = run_raw(path, false, sizes[s], data, &samples);
            figures[1][round] = run_raw(direct_path, true, sizes[s], data, &samples);
            figures[2][round] = run_driver(log, &head, sizes[s], data, &samples);
        }
        for (size_t kind = 0; kind < 3; kind++) {
            qsort(figures[kind], ROUND_COUNT, sizeof(figures[0][0]), compare_figures);
            struct figure median = figures[kind][ROUND_COUNT / 2];
            printf("%-20s %8zu %9.0f %9.0f %9.1f\n", kinds[kind], sizes[s], median.p50_us,
                   median.p99_us, median.mb_per_s);
        }
    }
    log->driver->close(log);
    measure_start(&options);
    (void)o->list(o, log_path, remove_each, log_path, NULL);
    (void)rmdir(log_path);
    (void)o->list(o, directory, remove_each, directory, NULL);
    (void)rmdir(directory);
    free(memory);
    hf_free(samples.us);
    hf_outside_linux_free(o);
    return 0;
}
