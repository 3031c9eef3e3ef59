/* holdfast-ceiling --directory DIR [--transfers N] [--accounts N] [--connections N] [--random-ids] [--hot] [--rounds N] [--json] */
#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ceiling.h"

#define ROUNDS_MAX 99

uint64_t ceiling_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void fail(const char *what)
{
    perror(what);
    exit(3);
}

static int listen_on_loopback(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 ||
        listen(listener, CEILING_CONNECTIONS_MAX) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
        fail("listen");
    }
    *port = ntohs(address.sin_port);
    return listener;
}

/* The load in a process of its own. It shares no memory that the server writes; it begins when it is told to by a byte, and
 * sends its result. */
static pid_t start_load(uint16_t port, const struct ceiling_options *options, int go, int told)
{
    pid_t child = fork();
    if (child < 0) {
        fail("fork");
    }
    if (child == 0) {
        char byte;
        if (read(go, &byte, 1) != 1) {
            _exit(3);
        }
        struct ceiling_result result = ceiling_load(port, options);
        _exit(write(told, &result, sizeof(result)) == (ssize_t)sizeof(result) ? 0 : 3);
    }
    return child;
}

static void check_totals(const struct ceiling_ledger *ledger, const struct ceiling_result *result)
{
    ceiling_u128 debits;
    ceiling_u128 credits;
    ceiling_ledger_totals(ledger, &debits, &credits);
    if (debits != credits || debits != result->accepted || result->replayed != 0 ||
        result->refused != 0) {
        fprintf(stderr, "ceiling: the totals are not what was sent\n");
        exit(1);
    }
}

static struct ceiling_result run_round(const struct ceiling_options *options)
{
    int go[2];
    int told[2];
    uint16_t port;
    int listener = listen_on_loopback(&port);
    if (pipe(go) != 0 || pipe(told) != 0) {
        fail("pipe");
    }
    pid_t child = start_load(port, options, go[0], told[1]);
    struct ceiling_ledger *ledger = ceiling_ledger_new(options->accounts, options->transfers);
    struct ceiling_log *log = ceiling_log_open(options->directory);
    if (ledger == NULL || write(go[1], "", 1) != 1) {
        fail("start");
    }
    bool served = ceiling_serve(listener, options->connections, ledger, log);
    ceiling_log_close(log);
    struct ceiling_result result = {0};
    int status = 0;
    if (!served || read(told[0], &result, sizeof(result)) != (ssize_t)sizeof(result) ||
        waitpid(child, &status, 0) != child || status != 0) {
        fprintf(stderr, "ceiling: the round failed\n");
        exit(3);
    }
    check_totals(ledger, &result);
    ceiling_ledger_free(ledger);
    for (int i = 0; i < 2; i++) {
        (void)close(go[i]);
        (void)close(told[i]);
    }
    (void)close(listener);
    return result;
}

static int compare_results(const void *a, const void *b)
{
    double left = ((const struct ceiling_result *)a)->per_second;
    double right = ((const struct ceiling_result *)b)->per_second;
    return left < right ? -1 : left > right;
}

static void print_result(const struct ceiling_result *sorted, long rounds, bool json)
{
    const struct ceiling_result *median = &sorted[rounds / 2];
    printf(json ? "{\"transfers_per_second\":%.0f,\"lowest\":%.0f,\"highest\":%.0f,\"batch_p50_"
                  "us\":%.0f,"
                  "\"batch_p99_us\":%.0f}\n"
                : "%.0f transfers/s (%.0f to %.0f); a batch p50 %.0f us, p99 %.0f us\n",
           median->per_second, sorted[0].per_second, sorted[rounds - 1].per_second, median->p50_us,
           median->p99_us);
}

static int usage(FILE *to, int status)
{
    fprintf(
        to,
        "usage: holdfast-ceiling --directory DIR [--transfers N] [--accounts N]\n"
        "                        [--connections N] [--random-ids] [--hot] [--rounds N] [--json]\n"
        "The machine's own bar: packed batches through TCP, checksum, durable log and a\n"
        "ledger of hash tables. 10,000,000 transfers, 10,000 accounts, 4 connections, 5 rounds.\n");
    return status;
}

static uint64_t number(const char *text)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    return *text < '0' || *text > '9' || *end != '\0' ? 0 : value;
}

int main(int argc, char **argv)
{
    static const struct option words[] = {{"directory", required_argument, NULL, 'd'},
                                          {"transfers", required_argument, NULL, 't'},
                                          {"accounts", required_argument, NULL, 'a'},
                                          {"connections", required_argument, NULL, 'c'},
                                          {"random-ids", no_argument, NULL, 'i'},
                                          {"hot", no_argument, NULL, 'H'},
                                          {"rounds", required_argument, NULL, 'r'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    struct ceiling_options options = {.transfers = 10000000, .accounts = 10000};
    uint64_t connections = 4;
    uint64_t rounds = 5;
    bool json = false;
    int word;
    while ((word = getopt_long(argc, argv, "h", words, NULL)) != -1) {
        switch (word) {
        case 'd':
            options.directory = optarg;
            break;
        case 't':
            options.transfers = number(optarg);
            break;
        case 'a':
            options.accounts = number(optarg);
            break;
        case 'c':
            connections = number(optarg);
            break;
        case 'i':
            options.random_ids = true;
            break;
        case 'H':
            options.hot = true;
            break;
        case 'r':
            rounds = number(optarg);
            break;
        case 'j':
            json = true;
            break;
        default:
            return word == 'h' ? usage(stdout, 0) : usage(stderr, 2);
        }
    }
    if (options.directory == NULL || options.transfers < 1 || options.transfers > 1u << 30 ||
        options.accounts < 3 || options.accounts > 1u << 27 || connections < 1 ||
        connections > CEILING_CONNECTIONS_MAX || rounds < 1 || rounds > ROUNDS_MAX ||
        optind != argc) {
        return usage(stderr, 2);
    }
    options.connections = (unsigned)connections;
    struct ceiling_result results[ROUNDS_MAX];
    for (uint64_t round = 0; round < rounds; round++) {
        if (isatty(STDERR_FILENO)) {
            fprintf(stderr, "\rround %d of %d", (int)round + 1, (int)rounds);
        }
        results[round] = run_round(&options);
    }
    if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r%40s\r", "");
    }
    qsort(results, (size_t)rounds, sizeof(results[0]), compare_results);
    print_result(results, (long)rounds, json);
    return 0;
}
