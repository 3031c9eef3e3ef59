/*
 * The machine's own bar: the smallest program that moves packed batches of transfers from TCP through a checksum and a
 * durable log into a ledger of hash tables, and answers. What Holdfast's bulk door reaches is told as a part of this.
 *
 * One thread receives, checks and applies; another writes the log, syncs it and answers. The load comes from a process of
 * its own. There is no recovery, no history, no refusal that is remembered: nothing but the path.
 */
#ifndef HF_BENCH_CEILING_CEILING_H
#define HF_BENCH_CEILING_CEILING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CEILING_RECORDS_MAX     8190u /* of a batch */
#define CEILING_CONNECTIONS_MAX 64u

__extension__ typedef unsigned __int128 ceiling_u128;

/* As wide as a record of Holdfast's packed door; the machine's own byte order. */
struct ceiling_record {
    uint64_t id[2];
    uint64_t from[2];
    uint64_t to[2];
    ceiling_u128 amount;
    uint8_t rest[64];
};

struct ceiling_head {
    uint32_t count;
    uint32_t zero;
    uint64_t checksum; /* XXH3 of the records */
};

struct ceiling_answer {
    uint32_t accepted;
    uint32_t replayed;
    uint32_t refused;
    uint32_t zero;
};

struct ceiling_request {
    struct ceiling_head head;
    struct ceiling_record records[CEILING_RECORDS_MAX];
};

struct ceiling_options {
    const char *directory; /* the log is written here */
    uint64_t transfers;
    uint64_t accounts;
    unsigned connections; /* each has one batch under way */
    bool random_ids;      /* else they ascend */
    bool hot;             /* all debit one of two accounts */
};

/* What the load has seen. */
struct ceiling_result {
    double seconds;
    double per_second;
    double p50_us; /* of a batch, from before it is sent to its answer */
    double p99_us;
    uint64_t accepted;
    uint64_t replayed;
    uint64_t refused;
};

/* ledger.c */
struct ceiling_ledger;
/* Accounts 1 to `accounts`, each with more than it can spend; room for so many ids. NULL: memory is short. */
struct ceiling_ledger *ceiling_ledger_new(uint64_t accounts, uint64_t ids);
void ceiling_ledger_free(struct ceiling_ledger *ledger);
struct ceiling_answer ceiling_ledger_apply(struct ceiling_ledger *ledger,
                                           const struct ceiling_record *records, uint32_t count);
/* What all have debited and credited since the start; they must be equal. */
void ceiling_ledger_totals(const struct ceiling_ledger *ledger, ceiling_u128 *debits,
                           ceiling_u128 *credits);

/* log.c */
struct ceiling_log;
struct ceiling_log_entry {
    struct ceiling_request *request;
    size_t size_bytes;
    struct ceiling_answer answer; /* sent to `socket` when the request is durable */
    int socket;
};
/* A file in the directory, zeroed ahead, written round and round, and the thread that writes it. NULL: says why. */
struct ceiling_log *ceiling_log_open(const char *directory);
/* At most one entry of a connection may be under way. */
void ceiling_log_append(struct ceiling_log *log, const struct ceiling_log_entry *entry);
/* Waits for what was appended, and removes the file. */
void ceiling_log_close(struct ceiling_log *log);

/* serve.c. Serves so many connections of the listener until all have been closed; false: says why on standard error. */
bool ceiling_serve(int listener, unsigned count, struct ceiling_ledger *ledger,
                   struct ceiling_log *log);

/* load.c. Sends everything and waits for all answers; exits with a message when something is wrong. */
struct ceiling_result ceiling_load(uint16_t port, const struct ceiling_options *options);

uint64_t ceiling_now_ns(void);

#endif
