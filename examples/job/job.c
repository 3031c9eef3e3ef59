/*
 * A job that only the owner of a user's lock may do: read the balance, add a
 * thousandth of it as interest (P11). An instance can be stopped at any
 * instruction, by its garbage collector or its host, for longer than its lock lasts.
 *
 *   POST /work?id=I&user=U      200 done, "retries=N" (waits for the lock)
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/call.h"
#include "common/database.h"
#include "common/service.h"
#include "holdfast_client.h"

#define LOCK_MS      150  /* how long a lock lasts; a job takes a few */
#define POLL_US      2000 /* between looks at a lock that another has */
#define TEXT_BYTES   64
#define RATE         1000 /* interest = balance / RATE */
#define COMMIT_BYTES (10 * PARAMETER_BYTES_MAX)

struct job {
    const char *id, *user;
};

static long long now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The balance by B; -1: no answer. */
static long long read_balance(const char *user)
{
    struct reply reply;
    return call(&reply, "GET", "%s/balance?user=%s", service_peer("balance"), user) == 200
               ? reply_number(&reply, "available")
               : -1;
}

/* The lock is a row with an end; it is taken if that has come. Returns when it was taken: of two owners, the later one
 * has the greater number. */
static long long lock_naive(const struct job *job)
{
    for (;;) {
        long long now = now_us();
        if (database_change(
                "UPDATE locks SET owner = ?1, expires_us = ?2 WHERE name = ?3 AND expires_us < ?4",
                "tntn", job->id, now + LOCK_MS * 1000, job->user, now) == 1) {
            return now;
        }
        (void)usleep(POLL_US);
    }
}

static void work_naive(struct request *request, const struct job *job)
{
    long long taken_us = lock_naive(job);
    long long balance = read_balance(job->user);
    if (balance >= 0) {
        database_begin();
        (void)database_change("UPDATE accounts SET balance = ? WHERE name = ?", "nt",
                              balance + balance / RATE, job->user);
        (void)database_change("INSERT INTO ledger (id, account, amount, token) VALUES (?, ?, ?, ?)",
                              "ttnn", job->id, job->user, balance / RATE, taken_us);
        database_commit();
    }
    (void)database_change("UPDATE locks SET expires_us = 0 WHERE name = ? AND owner = ?", "tt",
                          job->user, job->id);
    respond(request, balance >= 0 ? 200 : 503, "retries=0");
}

/* The lease's token; 0: no answer. */
static uint64_t lock_holdfast(const struct job *job)
{
    for (;;) {
        uint64_t token = 0;
        struct holdfast_client_answer *lease;
        if (holdfast_client_acquire(service_holdfast(), NULL, job->user, job->id, LOCK_MS, &lease,
                                    NULL) != HOLDFAST_CLIENT_OK) {
            return 0;
        }
        bool held = lease->status == 409;
        (void)holdfast_client_answer_number(lease, "/token", &token);
        holdfast_client_answer_free(lease);
        if (!held) {
            return token;
        }
        (void)usleep(POLL_US);
    }
}

/* The effect, the note of it and the proof that the lease is still held are one commit: 201, or 412 if another owns it
 * by now. 0: no answer. */
static int commit_job(const struct job *job, uint64_t token, long long balance)
{
    char commit[COMMIT_BYTES];
    struct holdfast_client_answer *decision;
    int length =
        snprintf(commit, sizeof(commit),
                 "{\"if\":[{\"lease\":\"%s\",\"token\":%llu}],\"do\":["
                 "{\"op\":\"transfer\",\"from\":\"world\",\"to\":\"%s\",\"asset\":\"USD/"
                 "2\",\"amount\":\"%lld\"},"
                 "{\"op\":\"append\",\"stream\":\"jobs:%s\",\"type\":\"done\",\"id\":\"%s\","
                 "\"data\":{\"token\":%llu,\"amount\":%lld}}]}",
                 job->user, (unsigned long long)token, job->user, balance / RATE, job->user,
                 job->id, (unsigned long long)token, balance / RATE);
    if (holdfast_client_commit(service_holdfast(), NULL, commit, (size_t)length, &decision, NULL) !=
        HOLDFAST_CLIENT_OK) {
        return 0;
    }
    int status = decision->status;
    holdfast_client_answer_free(decision);
    return status;
}

static void work_holdfast(struct request *request, const struct job *job)
{
    int status;
    int retries = -1;
    do {
        uint64_t token = lock_holdfast(job);
        long long balance = token == 0 ? -1 : read_balance(job->user);
        status = balance < 0 ? 0 : commit_job(job, token, balance);
        if (status == 201) {
            struct holdfast_client_answer *released;
            (void)holdfast_client_release(service_holdfast(), NULL, job->user, token, &released,
                                          NULL);
            holdfast_client_answer_free(released);
        }
        retries++;
    } while (status == 412); /* deposed: begin anew */
    respond(request, status == 201 ? 200 : 503, "retries=%d", retries);
}

static void work(struct request *request)
{
    struct job job = {.id = request_text(request, "id"), .user = request_text(request, "user")};
    if (job.id[0] == '\0' || job.user[0] == '\0') {
        respond(request, 400, "id and user are needed");
    } else {
        service_settings()->naive ? work_naive(request, &job) : work_holdfast(request, &job);
    }
}

int main(int argc, char **argv)
{
    static const struct route routes[] = {{"POST", "/work", work}};
    return service_run(argc, argv, routes, 1);
}
