/* Loads through libholdfast: threads that commit transfers and wait for each answer. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "holdfast.h"

#define DEPTH_MAX 16 /* commits under way */
#define FUND      1000000000000u
#define FUND_TEXT "1000000000000"

struct text {
    char text[32];
};

struct worker {
    struct holdfast *db;
    const struct bench_load *load;
    const struct text *accounts; /* their names */
    unsigned number;
    uint64_t commits;     /* to make */
    uint64_t *samples_ns; /* one a commit */
    pthread_t thread;
};

static void stop(const char *what, const char *why)
{
    fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(3);
}

static void commit_all(struct holdfast *db, const struct holdfast_operation *operations,
                       size_t count)
{
    struct holdfast_answer *answer;
    struct holdfast_failure failure = {0};
    if (holdfast_commit(db, NULL, operations, count, &answer, &failure) != HOLDFAST_OK) {
        stop("commit", failure.text);
    }
    if (strcmp(holdfast_answer_code(answer), "ok") != 0) {
        stop("refused", holdfast_answer_code(answer));
    }
    holdfast_answer_free(answer);
}

/* Accounts with a floor of 0, funded from one account without a floor. */
static void set_up(struct holdfast *db, struct text *names, unsigned accounts)
{
    struct holdfast_operation open = {
        .op = "open_account", .account = "outside", .asset = "USD/2", .floor_none = true};
    commit_all(db, &open, 1);
    for (unsigned i = 0; i < accounts; i++) {
        char *name = names[i].text;
        (void)snprintf(name, sizeof(names[i].text), "bench:%u", i);
        struct holdfast_operation operations[] = {
            {.op = "open_account", .account = name, .asset = "USD/2"},
            {.op = "transfer",
             .from = "outside",
             .to = name,
             .asset = "USD/2",
             .amount = FUND_TEXT},
        };
        commit_all(db, operations, 2);
    }
}

/* "w<worker>-<number>": a new id, without the detour of printf, which would be measured too. */
static void write_id(struct text *id, unsigned worker, uint64_t number)
{
    char digits[24];
    size_t len = 0;
    do {
        digits[len++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    char *to = id->text;
    *to++ = 'w';
    *to++ = (char)('0' + worker / 10 % 10);
    *to++ = (char)('0' + worker % 10);
    *to++ = '-';
    while (len > 0) {
        *to++ = digits[--len];
    }
    *to = '\0';
}

static void fill(const struct worker *worker, uint64_t commit, uint64_t *random,
                 struct holdfast_operation *operations, struct text *ids)
{
    const struct bench_load *load = worker->load;
    for (unsigned t = 0; t < load->transfers_per_commit; t++) {
        *random = *random * 6364136223846793005u + 1442695040888963407u;
        unsigned from = load->hot ? 0 : (unsigned)((*random >> 33) % load->accounts);
        unsigned to =
            (from + 1 + (unsigned)((*random >> 13) % (load->accounts - 1))) % load->accounts;
        write_id(&ids[t], worker->number, commit * load->transfers_per_commit + t);
        operations[t] = (struct holdfast_operation){.op = "transfer",
                                                    .id = ids[t].text,
                                                    .from = worker->accounts[from].text,
                                                    .to = worker->accounts[to].text,
                                                    .asset = "USD/2",
                                                    .amount = "1"};
    }
}

/* Ends the commit that was started `depth` ago in this slot. */
static void finish(struct worker *worker, struct holdfast_pending *pending, uint64_t started_ns,
                   uint64_t commit)
{
    struct holdfast_answer *answer;
    struct holdfast_failure failure = {0};
    if (holdfast_pending_finish(pending, &answer, &failure) != HOLDFAST_OK) {
        stop("commit", failure.text);
    }
    if (strcmp(holdfast_answer_code(answer), "ok") != 0) {
        stop("refused", holdfast_answer_code(answer));
    }
    holdfast_answer_free(answer);
    worker->samples_ns[commit] = bench_now_ns() - started_ns;
}

/* The number behind "<member>":" in an account's JSON. */
static uint64_t total_of(const char *json, const char *member)
{
    const char *at = strstr(json, member);
    if (at == NULL) {
        stop("account", json);
    }
    return strtoull(at + strlen(member), NULL, 10);
}

/* What the accounts say must be what was sent: every transfer moves 1. */
static void check_totals(struct holdfast *db, const struct text *names,
                         const struct bench_load *load, uint64_t transfers)
{
    uint64_t debits = 0;
    uint64_t credits = 0;
    for (unsigned i = 0; i < load->accounts; i++) {
        struct holdfast_answer *answer;
        struct holdfast_failure failure = {0};
        if (holdfast_read(db, NULL, "account", names[i].text, &answer, &failure) != HOLDFAST_OK) {
            stop("read", failure.text);
        }
        const char *json = holdfast_answer_text(answer, NULL);
        debits += total_of(json, "\"debits_posted\":\"");
        credits += total_of(json, "\"credits_posted\":\"");
        holdfast_answer_free(answer);
    }
    if (debits != transfers || credits != transfers + FUND * load->accounts) {
        stop("totals", "not what was sent");
    }
}

static void *run_worker(void *argument)
{
    struct worker *worker = argument;
    const struct bench_load *load = worker->load;
    struct holdfast_operation *operations = calloc(load->transfers_per_commit, sizeof(*operations));
    struct text *ids = calloc(load->transfers_per_commit, sizeof(*ids));
    struct holdfast_pending *pending[DEPTH_MAX] = {NULL};
    uint64_t started_ns[DEPTH_MAX];
    if (operations == NULL || ids == NULL || load->depth > DEPTH_MAX) {
        stop("memory", "short");
    }
    uint64_t random = worker->number * 0x9E3779B97F4A7C15u + 1;
    for (uint64_t i = 0; i < worker->commits + load->depth; i++) {
        unsigned slot = (unsigned)(i % load->depth);
        if (pending[slot] != NULL) {
            finish(worker, pending[slot], started_ns[slot], i - load->depth);
            pending[slot] = NULL;
        }
        if (i >= worker->commits) {
            continue;
        }
        fill(worker, i, &random, operations, ids);
        struct holdfast_failure failure = {0};
        started_ns[slot] = bench_now_ns();
        if (holdfast_commit_start(worker->db, NULL, operations, load->transfers_per_commit,
                                  &pending[slot], &failure) != HOLDFAST_OK) {
            stop("commit", failure.text);
        }
    }
    free(operations);
    free(ids);
    return NULL;
}

struct bench_result bench_load_run(const char *directory, const struct bench_load *load)
{
    struct holdfast *db;
    struct holdfast_failure failure = {0};
    struct holdfast_options options = {.directory = directory, .create = true, .name = "bench"};
    if (holdfast_open(&options, &db, &failure) != HOLDFAST_OK) {
        stop("open", failure.text);
    }
    uint64_t commits = load->transfers / load->transfers_per_commit / load->threads;
    struct worker *workers = calloc(load->threads, sizeof(*workers));
    struct text *accounts = calloc(load->accounts, sizeof(*accounts));
    uint64_t *samples = calloc((size_t)commits * load->threads, sizeof(*samples));
    if (workers == NULL || accounts == NULL || samples == NULL) {
        stop("memory", "short");
    }
    set_up(db, accounts, load->accounts);
    uint64_t start = bench_now_ns();
    for (unsigned i = 0; i < load->threads; i++) {
        workers[i] = (struct worker){.db = db,
                                     .load = load,
                                     .accounts = accounts,
                                     .number = i,
                                     .commits = commits,
                                     .samples_ns = samples + (size_t)i * commits};
        if (pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]) != 0) {
            stop("thread", "not started");
        }
    }
    for (unsigned i = 0; i < load->threads; i++) {
        (void)pthread_join(workers[i].thread, NULL);
    }
    uint64_t spent_ns = bench_now_ns() - start;
    struct bench_result result = {
        .per_second = (double)(commits * load->threads * load->transfers_per_commit) * 1e9 /
                      (double)spent_ns};
    bench_percentiles(&result, samples, (size_t)commits * load->threads);
    check_totals(db, accounts, load, commits * load->threads * load->transfers_per_commit);
    if (holdfast_close(db, &failure) != HOLDFAST_OK) {
        stop("close", failure.text);
    }
    free(samples);
    free(accounts);
    free(workers);
    return result;
}
