/*
 * holdfast-sim: runs of the whole node on the simulated outside.
 *
 * A seed with an even number runs on files, one with an odd number on the simulated log, unless told
 * otherwise. A few seeds share a process, one after the other, which a check that trips ends: it is reported with the seed
 * that it met.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "sim/saga_sim.h"

#define BATCH_RUNS       32u         /* seeds of one process */
#define KEPT_BYTES       (512 << 20) /* of memory, kept between runs */
#define TOP_PAD_BYTES    (16 << 20)  /* asked for at once */
#define ZEROES_FROM_RUNS 2000u       /* below this many a count may be 0: some things are rare */
#define SAID_BYTES_MAX   2000u

struct options {
    uint64_t seed;
    uint64_t runs;
    unsigned drivers; /* bit 0: by the seed; bit RUN_DRIVER_*: this one always */
    bool json;
    bool verbose;
    bool in_process;
    bool sagas;
    const char *trace;
};

/* What a run leaves behind. */
struct result {
    struct report report;
    struct saga_report sagas;
    bool done;
    char failure[RUN_FAILURE_MAX];
};

static const char help[] =
    "usage: holdfast-sim [--sagas] [--seed N] [--runs K] [--driver sim|file|both] [--json] "
    "[--verbose]\n"
    "                    [--trace FILE] [--in-process]\n"
    "\n"
    "Runs K seeds from N on (1 and 1 by default). --sagas: of sagas, their runner and "
    "participants, instead\n"
    "of everything else. both: odd seeds on the simulated log, even ones "
    "on\n"
    "files. --verbose: one line a run with the hash of its trace, and what its machines did.\n"
    "--trace: every event, file operation and answer of the last run, as text. --in-process: no\n"
    "process for each run (for debuggers).\n"
    "Exit status: 0 clean; 1 a run failed, or (2,000 runs and more) something was never met; 2 "
    "usage.\n";

static bool parse_number(const char *text, uint64_t *number)
{
    char *end;
    if (text == NULL || text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    *number = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

static bool parse_driver(const char *text, unsigned *drivers)
{
    if (text == NULL) {
        return false;
    }
    *drivers = strcmp(text, "both") == 0   ? 1u
               : strcmp(text, "sim") == 0  ? 1u << RUN_DRIVER_SIM
               : strcmp(text, "file") == 0 ? 1u << RUN_DRIVER_FILE
                                           : 0;
    return *drivers != 0;
}

static bool parse(int argc, char **argv, struct options *options)
{
    *options = (struct options){.seed = 1, .runs = 1, .drivers = 1};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool ok = true;
        if (strcmp(argv[i], "--json") == 0) {
            options->json = true;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            options->verbose = true;
        } else if (strcmp(argv[i], "--in-process") == 0) {
            options->in_process = true;
        } else if (strcmp(argv[i], "--sagas") == 0) {
            options->sagas = true;
        } else if (strcmp(argv[i], "--seed") == 0) {
            ok = parse_number(value, &options->seed);
            i++;
        } else if (strcmp(argv[i], "--runs") == 0) {
            ok = parse_number(value, &options->runs) && options->runs > 0;
            i++;
        } else if (strcmp(argv[i], "--driver") == 0) {
            ok = parse_driver(value, &options->drivers);
            i++;
        } else if (strcmp(argv[i], "--trace") == 0) {
            ok = value != NULL;
            options->trace = value;
            i++;
        } else {
            ok = false;
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

static enum run_driver driver_of(const struct options *options, uint64_t seed)
{
    if ((options->drivers & 1u) == 0) {
        return (options->drivers & 1u << RUN_DRIVER_SIM) != 0 ? RUN_DRIVER_SIM : RUN_DRIVER_FILE;
    }
    return seed % 2 == 1 ? RUN_DRIVER_SIM : RUN_DRIVER_FILE;
}

static const char *driver_name(enum run_driver driver)
{
    return driver == RUN_DRIVER_SIM ? "sim" : "file";
}

static void run_here(const struct options *options, uint64_t seed, struct result *result)
{
    FILE *trace = NULL;
    if (options->trace != NULL && seed == options->seed + options->runs - 1) {
        trace = fopen(options->trace, "w");
        if (trace == NULL) {
            (void)snprintf(result->failure, sizeof(result->failure), "can't write %s",
                           options->trace);
            result->done = true;
            return;
        }
    }
    struct run_plan plan = {.seed = seed,
                            .driver = driver_of(options, seed),
                            .verbose = options->verbose,
                            .trace = trace,
                            .sagas = options->sagas ? &result->sagas : NULL};
    (void)run_whole(&plan, &result->report, result->failure);
    if (trace != NULL) {
        (void)fclose(trace);
    }
    result->done = true;
}

/* What a process that died said last, in one line. */
static void tell_death(struct result *result, int status, int said)
{
    char text[SAID_BYTES_MAX];
    ssize_t size = pread(said, text, sizeof(text) - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    for (char *c = text; *c != '\0'; c++) {
        *c = *c == '\n' && c[1] != '\0' ? ';' : *c;
    }
    int used = snprintf(result->failure, sizeof(result->failure),
                        "%s %d: ", WIFSIGNALED(status) ? "stopped by signal" : "ended with status",
                        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    (void)snprintf(result->failure + used, sizeof(result->failure) - (size_t)used, "%.900s", text);
}

/* Forgets what was said before. */
static void say_anew(void)
{
    if (ftruncate(STDERR_FILENO, 0) == 0) {
        (void)lseek(STDERR_FILENO, 0, SEEK_SET);
    }
}

/* Seeds from `first` on, in a process of their own, up to the first that fails. false: there is no process. */
static bool run_apart(const struct options *options, uint64_t first, struct result *results,
                      size_t count)
{
    FILE *said = tmpfile();
    if (said == NULL) {
        return false;
    }
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        (void)dup2(fileno(said), STDERR_FILENO);
        for (size_t i = 0; i < count; i++) {
            say_anew();
            run_here(options, first + i, &results[i]);
            if (results[i].failure[0] != '\0') {
                break;
            }
        }
        (void)fflush(NULL);
        exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0) {
        (void)fclose(said);
        return false;
    }
    size_t ended =
        0; /* the one at which it stopped, or the last one, for what is met as the process ends */
    while (ended + 1 < count && results[ended].done && results[ended].failure[0] == '\0') {
        ended++;
    }
    if (!results[ended].done || status != 0) {
        tell_death(&results[ended], status, fileno(said));
    }
    (void)fclose(said);
    return true;
}

static void print_counts(const struct options *options, const struct result *all, bool strict,
                         size_t *zeroes)
{
    const struct report *sum = &all->report;
    struct hf_buffer out;
    hf_buffer_init(&out);
    unsigned drivers = (sum->runs_of_driver[RUN_DRIVER_SIM] > 0 ? 1u << RUN_DRIVER_SIM : 0) |
                       (sum->runs_of_driver[RUN_DRIVER_FILE] > 0 ? 1u << RUN_DRIVER_FILE : 0);
    *zeroes = options->sagas ? saga_report_write(&all->sagas, strict, &out)
                             : report_write(sum, drivers, options->json, strict, &out);
    (void)fwrite(out.data, 1, out.size_bytes, stdout);
    hf_buffer_release(&out);
}

/* false: this run failed. */
static bool tell_run(const struct options *options, uint64_t seed, const struct result *result,
                     struct result *sum)
{
    enum run_driver driver = driver_of(options, seed);
    if (options->verbose) {
        printf("seed %llu %s: trace %016llx, %llu operations, %llu commits, %llu ends, %llu us\n",
               (unsigned long long)seed, driver_name(driver),
               (unsigned long long)result->report.trace,
               (unsigned long long)result->report.operations,
               (unsigned long long)result->report.commits_compared,
               (unsigned long long)result->report.ended_runs,
               (unsigned long long)result->report.virtual_us);
    }
    if (result->failure[0] != '\0') {
        printf("FAILED seed %llu (%s): %s\n  replay: holdfast-sim%s --seed %llu --driver %s "
               "--verbose\n",
               (unsigned long long)seed, driver_name(driver), result->failure,
               options->sagas ? " --sagas" : "", (unsigned long long)seed, driver_name(driver));
        return false;
    }
    report_add(&sum->report, &result->report);
    saga_report_add(&sum->sagas, &result->sagas);
    sum->report.runs++;
    sum->report.runs_of_driver[driver]++;
    return true;
}

/* How many were clean: all, or up to the one that failed. */
static size_t some_runs(const struct options *options, uint64_t first, struct result *results,
                        size_t count, struct result *sum)
{
    memset(results, 0, count * sizeof(*results));
    if (options->in_process) {
        HF_CHECK(count == 1);
        run_here(options, first, results);
    } else if (!run_apart(options, first, results, count)) {
        (void)snprintf(results->failure, sizeof(results->failure), "no process: %s",
                       strerror(errno));
    }
    size_t clean = 0;
    while (clean < count && tell_run(options, first + clean, &results[clean], sum)) {
        clean++;
    }
    return clean;
}

/* Memory that a run gives back serves the next one: page faults cost as much as the run itself. */
static void keep_memory(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    (void)mallopt(M_TOP_PAD, TOP_PAD_BYTES);
}

static double seconds_since(const struct timespec *begin)
{
    struct timespec end;
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    return (double)(end.tv_sec - begin->tv_sec) + (double)(end.tv_nsec - begin->tv_nsec) / 1e9;
}

int main(int argc, char **argv)
{
    struct options options;
    if (!parse(argc, argv, &options)) {
        (void)fputs(help, stderr);
        return 2;
    }
    static struct result sum;
    struct result *results = mmap(NULL, BATCH_RUNS * sizeof(*results), PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (results == MAP_FAILED) {
        (void)fprintf(stderr, "holdfast-sim: no memory\n");
        return 2;
    }
    unsigned long long first = options.seed;
    unsigned long long last = options.seed + options.runs - 1;
    struct timespec begin;
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    if (!options.json) {
        printf("seeds %llu to %llu\n", first, last);
    }
    keep_memory();
    size_t most = options.in_process || options.verbose || options.trace != NULL ? 1 : BATCH_RUNS;
    for (uint64_t seed = first; seed <= last;) {
        size_t count = last - seed < most ? (size_t)(last - seed + 1) : most;
        size_t clean = some_runs(&options, seed, results, count, &sum);
        if (clean < count) {
            printf("seeds %llu to %llu: stopped at seed %llu\n", first, last,
                   (unsigned long long)(seed + clean));
            return 1;
        }
        seed += count;
    }
    double seconds = seconds_since(&begin);
    bool strict = options.runs >= ZEROES_FROM_RUNS;
    size_t zeroes = 0;
    print_counts(&options, &sum, strict, &zeroes);
    if (!options.json) {
        printf("%.1f seeds a second\n", (double)options.runs / seconds);
        printf("seeds %llu to %llu: %s\n", first, last,
               strict && zeroes > 0 ? "clean, but something was never met" : "clean");
    }
    return strict && zeroes > 0 ? 1 : 0;
}
