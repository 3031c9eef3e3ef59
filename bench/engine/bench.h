/*
 * The engine's benchmark: durable commits through libholdfast, beside what the disk itself can do.
 *
 * Every figure of a round is measured in the same run, interleaved with the others; medians over the rounds
 * are printed with their spread. Nothing is asserted about time.
 */
#ifndef HF_BENCH_ENGINE_BENCH_H
#define HF_BENCH_ENGINE_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A measured part of a round. */
struct bench_result {
    double per_second; /* transfers, or syncs */
    double p50_us;     /* of one commit, or one sync */
    double p99_us;
};

/* What a load does; transfers go from one account to another, all with a floor of 0. */
struct bench_load {
    const char *name;
    unsigned threads; /* that commit */
    unsigned transfers_per_commit;
    uint64_t transfers; /* in all */
    unsigned accounts;  /* that money moves between */
    bool hot;           /* every transfer debits the same account */
    unsigned depth;     /* commits that a thread has under way; 1: it waits for each */
};

uint64_t bench_now_ns(void);

/* Runs a load on a fresh database in directory (which must not exist). Exits with a message on any failure:
 * a refused transfer, or totals that are not what was sent. */
struct bench_result bench_load_run(const char *directory, const struct bench_load *load);

/* write + fdatasync of 4 KiB into a pre-zeroed file. */
struct bench_result bench_disk_run(const char *directory, unsigned count);

/* From texts to a finished command, on the caller's thread. */
struct bench_result bench_build_run(uint64_t transfers, unsigned transfers_per_commit,
                                    unsigned accounts);

/* decide + reserve + evolve + encode in RAM, no log, no threads. */
struct bench_result bench_decide_run(uint64_t transfers, unsigned transfers_per_commit,
                                     unsigned accounts);

/* From packed records to an encoded and chained commit, state and index up to date, in RAM: requests of 8,190 records, between
 * accounts chosen at random, ids that ascend or are random. What a server does for them but for network and disk. */
struct bench_result bench_packed_run(uint64_t transfers, unsigned accounts, bool random_ids);

/* Sorts samples and fills p50 and p99. */
void bench_percentiles(struct bench_result *result, uint64_t *samples_ns, size_t count);

#endif
