/* holdfast-bench --directory DIR [--rounds N] [--only PATTERN] [--json] */
#include <fnmatch.h>
#include <ftw.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define ROUNDS_MAX 99

uint64_t bench_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

void bench_percentiles(struct bench_result *result, uint64_t *samples_ns, size_t count)
{
    if (count == 0) {
        return;
    }
    qsort(samples_ns, count, sizeof(*samples_ns), compare_u64);
    size_t middle = count / 2;
    size_t high = count - 1 - count / 100;
    result->p50_us = (double)samples_ns[middle] / 1000;
    result->p99_us = (double)samples_ns[high] / 1000;
}

static const struct bench_load loads[] = {
    {"1 thread x 1 transfer", 1, 1, 10000, 1000, false, 1},
    {"64 threads x 1 transfer", 64, 1, 256000, 1000, false, 1},
    {"64 threads x 1 transfer, one hot account", 64, 1, 256000, 1000, true, 1},
    {"1 thread x 1,000 transfers", 1, 1000, 1000000, 1000, false, 1},
    {"1 thread x 1,000 transfers, one hot account", 1, 1000, 1000000, 1000, true, 1},
    {"1 thread x 1,000 transfers, 4 under way", 1, 1000, 1000000, 1000, false, 4},
};

#define LOAD_COUNT (sizeof(loads) / sizeof(loads[0]))
#define ROW_COUNT                                                                                  \
    (LOAD_COUNT + 8) /* the disk, decide + evolve in two sizes, building, packed records */

static const char *row_name(size_t row)
{
    static const char *const others[] = {"raw write + fdatasync, 4 KiB",
                                         "decide + evolve + encode, commits of 1",
                                         "decide + evolve + encode, commits of 1,000",
                                         "building commits of 1,000",
                                         "packed, 10,000 accounts, ids ascend",
                                         "packed, 10,000 accounts, random ids",
                                         "packed, 1,000,000 accounts, ids ascend",
                                         "packed, 1,000,000 accounts, random ids"};
    return row < LOAD_COUNT ? loads[row].name : others[row - LOAD_COUNT];
}

/* NULL: all rows; else those whose name this shell pattern matches. */
static const char *only;

static bool is_wanted(size_t row)
{
    return only == NULL || fnmatch(only, row_name(row), 0) == 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static struct bench_result run_row(const char *directory, size_t row, int round)
{
    if (row == LOAD_COUNT) {
        return bench_disk_run(directory, 5000);
    }
    if (row == LOAD_COUNT + 3) {
        return bench_build_run(1000000, 1000, 1000);
    }
    if (row > LOAD_COUNT + 3) {
        size_t packed = row - LOAD_COUNT - 4;
        return bench_packed_run(10000000, packed < 2 ? 10000 : 1000000, packed % 2 == 1);
    }
    if (row > LOAD_COUNT) {
        return bench_decide_run(row == LOAD_COUNT + 1 ? 300000 : 1000000,
                                row == LOAD_COUNT + 1 ? 1 : 1000, 1000);
    }
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/load-%d-%zu", directory, round, row);
    struct bench_result result = bench_load_run(path, &loads[row]);
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        fprintf(stderr, "bench: could not remove %s\n", path);
    }
    return result;
}

static int compare_results(const void *a, const void *b)
{
    double left = ((const struct bench_result *)a)->per_second;
    double right = ((const struct bench_result *)b)->per_second;
    return left < right ? -1 : left > right;
}

static void print_row(const char *name, const struct bench_result *sorted, int rounds, bool json,
                      bool last)
{
    const struct bench_result *median = &sorted[rounds / 2];
    if (json) {
        printf("  {\"name\":\"%s\",\"per_second\":%.0f,\"lowest\":%.0f,\"highest\":%.0f,"
               "\"p50_us\":%.1f,\"p99_us\":%.1f}%s\n",
               name, median->per_second, sorted[0].per_second, sorted[rounds - 1].per_second,
               median->p50_us, median->p99_us, last ? "" : ",");
        return;
    }
    printf("%-45s %10.0f/s  (%.0f to %.0f)  p50 %.1f us  p99 %.1f us\n", name, median->per_second,
           sorted[0].per_second, sorted[rounds - 1].per_second, median->p50_us, median->p99_us);
}

static void print_all(struct bench_result results[ROW_COUNT][ROUNDS_MAX], int rounds, bool json)
{
    printf(json ? "[\n"
                : "median of %d rounds (lowest to highest); percentiles of the median round, per "
                  "commit\n",
           rounds);
    size_t last = ROW_COUNT;
    for (size_t row = 0; row < ROW_COUNT; row++) {
        last = is_wanted(row) ? row : last;
    }
    for (size_t row = 0; row < ROW_COUNT; row++) {
        if (is_wanted(row)) {
            qsort(results[row], (size_t)rounds, sizeof(results[row][0]), compare_results);
            print_row(row_name(row), results[row], rounds, json, row == last);
        }
    }
    if (json) {
        printf("]\n");
    }
    if (json || only != NULL) {
        return;
    }
    printf("hot / uniform: %.2f with 64 threads, %.2f in commits of 1,000\n",
           results[2][rounds / 2].per_second / results[1][rounds / 2].per_second,
           results[4][rounds / 2].per_second / results[3][rounds / 2].per_second);
}

static int usage(FILE *to, int status)
{
    fprintf(to,
            "usage: holdfast-bench --directory DIR [--rounds N] [--only PATTERN] [--json]\n"
            "Measures durable commits on the disk of DIR, beside its raw sync; with --only the\n"
            "rows whose name PATTERN matches.\n");
    return status;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"directory", required_argument, NULL, 'd'},
                                            {"rounds", required_argument, NULL, 'r'},
                                            {"only", required_argument, NULL, 'o'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *directory = NULL;
    long rounds = 5;
    bool json = false;
    int option;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'd') {
            directory = optarg;
        } else if (option == 'r') {
            rounds = strtol(optarg, NULL, 10);
        } else if (option == 'o') {
            only = optarg;
        } else if (option == 'j') {
            json = true;
        } else {
            return option == 'h' ? usage(stdout, 0) : usage(stderr, 2);
        }
    }
    if (directory == NULL || rounds < 1 || rounds > ROUNDS_MAX) {
        return usage(stderr, 2);
    }
    static struct bench_result results[ROW_COUNT][ROUNDS_MAX];
    for (int round = 0; round < rounds; round++) {
        for (size_t row = 0; row < ROW_COUNT; row++) {
            if (!is_wanted(row)) {
                continue;
            }
            if (isatty(STDERR_FILENO)) {
                fprintf(stderr, "\rround %d of %ld: %-50s", round + 1, rounds, row_name(row));
            }
            results[row][round] = run_row(directory, row, round);
        }
    }
    if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r%70s\r", "");
    }
    print_all(results, (int)rounds, json);
    return 0;
}
