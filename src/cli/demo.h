/*
 * The demo's two processes: a driver that judges, and a child that owns the database and is killed.
 *
 * Owns: memory that both map, so that what was acknowledged outlives the child. Must never: take an
 * answer for true that a later one contradicts. Private to demo*.c.
 *
 * 1. A command is an index: first the openings of accounts, then the file's rows.
 * 2. An acknowledgement is written once, by the thread that got the first answer; every later answer to
 *    the same command, in this run or after a restart, must be the same, byte for byte.
 */
#ifndef HF_CLI_DEMO_H
#define HF_CLI_DEMO_H

#include <stdatomic.h>

#include "cli/bank_submit.h"

#define HF_DEMO_THREADS 8 /* that submit */

enum hf_demo_ack_state {
    HF_DEMO_UNKNOWN,  /* no answer yet */
    HF_DEMO_WRITING,  /* a thread writes it; left like that by a kill it counts as unknown */
    HF_DEMO_ANSWERED, /* the other fields are valid */
};

struct hf_demo_ack {
    atomic_uint state;      /* enum hf_demo_ack_state */
    uint32_t status;        /* HTTP status of the answer */
    uint64_t position;      /* of the recorded decision */
    uint64_t text_checksum; /* of the answer's text */
};

struct hf_demo_shared {
    atomic_uint_fast64_t acknowledged;   /* rows with an answer */
    atomic_uint_fast64_t sent;           /* rows and openings submitted, duplicates too */
    atomic_uint_fast64_t replayed;       /* answers that were decided before */
    atomic_uint_fast64_t contradictions; /* a later answer was another */
    atomic_uint_fast64_t busy_us;        /* from the first row sent to the last answer, all runs */
    atomic_bool started;                 /* the child sends rows */
    atomic_bool failed;                  /* failure is filled */
    char failure[512];                   /* what went wrong in the child */
};

struct hf_demo {
    const struct hf_bank *bank;    /* read before the child begins */
    const char *directory;         /* of the data */
    uint64_t seed;                 /* of who sends what how often */
    struct hf_demo_shared *shared; /* mapped */
    struct hf_demo_ack *acks;      /* by command; mapped */
    hf_i128 *sums;                 /* by customer: posted, as the ledger says at the end; mapped */
};

static inline size_t hf_demo_command_count(const struct hf_demo *demo)
{
    return hf_bank_opening_count(demo->bank) + demo->bank->row_count;
}

/* The child's whole life; run counts restarts. Returns its exit status. */
int hf_demo_child(const struct hf_demo *demo, unsigned run);

#endif
