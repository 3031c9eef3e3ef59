/*
 * A load of packed records whose every record is known again: the k-th record of sender s is always the same.
 *
 * The senders live through the kills of their servers. Between two runs everything that was sent has its outcome, which is kept; the
 * check sends all of it again, and tells the books from the outcomes alone.
 *
 *   singles   one transfer at a time by the batcher, each thread waits for its own
 *   chains    submissions to the batcher by groups of four records: a chain of three, then one alone; call-backs
 *   packed    requests of up to 2,000 records in such groups, several tickets under way
 */
#ifndef HF_INTEGRATION_PACKED_LOAD_H
#define HF_INTEGRATION_PACKED_LOAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <holdfast_client_packed.h>

#define PACKED_LOAD_SINGLES 24
#define PACKED_LOAD_CHAINS  4
#define PACKED_LOAD_PACKED  2
#define PACKED_LOAD_SENDERS (PACKED_LOAD_SINGLES + PACKED_LOAD_CHAINS + PACKED_LOAD_PACKED)
#define PACKED_LOAD_RECORDS 2000000 /* of a sender at most */
#define PACKED_LOAD_GROUP   4
#define PACKED_LOAD_USERS   8

#define PACKED_LOAD_NONE UINT32_MAX /* no outcome yet; twice is wrong */

struct packed_load_sender {
    struct holdfast_client *client;          /* everybody's */
    struct holdfast_client_batcher *batcher; /* everybody's */
    pthread_t thread;                        /* valid while it runs */
    uint64_t count;              /* records that have an outcome, or will have when it pauses */
    _Atomic(uint32_t) *outcomes; /* by record: code << 16 | flags, or NONE */
    unsigned number;             /* 0 to PACKED_LOAD_SENDERS - 1 */
    atomic_uint under_way;       /* chains: submissions */
};

static inline bool packed_load_is_single(const struct packed_load_sender *sender)
{
    return sender->number < PACKED_LOAD_SINGLES;
}

struct packed_load_row {
    struct holdfast_client_record record;
    unsigned from, to; /* 0: the world; else a user */
    uint64_t amount;
};

/* The sender's k-th record. */
struct packed_load_row packed_load_row(const struct packed_load_sender *sender, uint64_t k);
struct holdfast_client_id packed_load_account(unsigned number);

/* Sends everything again and compares, then the books. false: it was printed what is wrong. */
bool packed_load_check(struct packed_load_sender *senders);

#endif
