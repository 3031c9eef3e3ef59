/*
 * What a read of one commit costs in a data directory as it is: plain, compressed or archived segments.
 *
 *     segment_bench DIR [READS]      opens the log as its owner: a copy, or a directory that nobody owns
 *
 * Positions are random, over the whole log. Each is sought, and its batch is read, as for a cold record.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/check.h"
#include "log/log_file.h"

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Seek and read of one position, in µs. */
static uint64_t read_one(struct hf_outside *o, struct hf_log *log, uint64_t position,
                         struct hf_buffer *bytes)
{
    struct hf_error error = {0};
    uint64_t seq;
    uint32_t batches = 0;
    uint64_t begun_us = o->monotonic_us(o);
    hf_buffer_clear(bytes);
    enum hf_err code = log->driver->seek(log, position, &seq, &error);
    if (code == HF_ERR_OK) {
        code = log->driver->read(log, seq, 1, bytes, &batches, &error);
    }
    if (code != HF_ERR_OK || batches != 1) {
        (void)fprintf(stderr, "position %llu: %s\n", (unsigned long long)position, error.text);
        exit(1);
    }
    return o->monotonic_us(o) - begun_us;
}

static void run(struct hf_outside *o, struct hf_log *log, uint64_t last, size_t reads,
                const char *what)
{
    uint64_t *took_us = hf_calloc(reads, sizeof(*took_us));
    uint64_t state = 0x9E3779B97F4A7C15u;
    struct hf_buffer bytes;
    HF_CHECK(took_us != NULL);
    hf_buffer_init(&bytes);
    for (size_t i = 0; i < reads; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        took_us[i] = read_one(o, log, (state >> 20) % last + 1, &bytes);
    }
    qsort(took_us, reads, sizeof(*took_us), compare);
    (void)printf("%-12s p50 %llu us, p99 %llu us, max %llu us\n", what,
                 (unsigned long long)took_us[reads / 2],
                 (unsigned long long)took_us[reads * 99 / 100],
                 (unsigned long long)took_us[reads - 1]);
    hf_buffer_release(&bytes);
    hf_free(took_us);
}

int main(int argc, char **argv)
{
    size_t reads = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 2000;
    if (argc < 2 || reads == 0) {
        (void)fprintf(stderr, "usage: segment_bench DIR [READS]\n");
        return 2;
    }
    struct hf_outside *o = hf_outside_linux_new();
    struct hf_log_file_options options = {
        .directory = argv[1], .segment_bytes_first = 16u << 20, .segment_bytes_max = 128u << 20};
    struct hf_log *log;
    struct hf_log_head head;
    struct hf_log_recovery recovery;
    struct hf_error error = {0};
    HF_CHECK(o != NULL);
    if (hf_log_file_open(o, &options, &log, &error) != HF_ERR_OK ||
        log->driver->takeover(log, HF_STR("bench"), false, &head, &recovery, &error) != HF_ERR_OK) {
        (void)fprintf(stderr, "segment_bench: %s\n", error.text);
        return 1;
    }
    run(o, log, head.position, reads, "first round");
    run(o, log, head.position, reads, "second round");
    HF_CHECK(log->driver->seal(log, &error) == HF_ERR_OK);
    log->driver->close(log);
    hf_outside_linux_free(o);
    return 0;
}
