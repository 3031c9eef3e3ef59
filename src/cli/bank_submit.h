/*
 * Rows of a bank's file as commits: an account opened, or a transfer posted.
 *
 * Owns: nothing. Must never: send anything twice by itself; who calls decides that. Thread-safe.
 * Called by: import bank, demo.
 */
#ifndef HF_CLI_BANK_SUBMIT_H
#define HF_CLI_BANK_SUBMIT_H

#include "cli/bank.h"
#include "holdfast.h"

#define HF_BANK_NAME_BYTES 160

/* "customers:576" or "bank:fees": of the opening with this index. */
void hf_bank_account_name(const struct hf_bank *bank, size_t opening,
                          char name[HF_BANK_NAME_BYTES]);

/* Opens an account (under the key bank-open:<name>); customers get the floor, NULL = none, other sides
 * have none. */
enum holdfast_error hf_bank_open_account(struct holdfast *db, const struct hf_bank *bank,
                                         size_t opening, const char *floor, const char *principal,
                                         struct holdfast_answer **answer,
                                         struct holdfast_failure *failure);
/* Posts a row as the transfer trans:<trans_id>. */
enum holdfast_error hf_bank_post_row(struct holdfast *db, const struct hf_bank *bank, size_t index,
                                     const char *principal, struct holdfast_answer **answer,
                                     struct holdfast_failure *failure);

/*
 * Everything in file order of each account, by threads that share the accounts among them: first all
 * openings, then the rows.
 */
struct hf_bank_load {
    struct holdfast *db;        /* borrowed */
    const struct hf_bank *bank; /* borrowed */
    const char *floor;          /* of customers; NULL = none */
    const char *principal;      /* NULL = "local" */
    unsigned threads;           /* at least 1 */
    uint16_t *codes;            /* by row: HTTP status of its answer; 0 = none. Caller's. */
    void (*progress)(void *context, uint64_t done, uint64_t total); /* or NULL */
    void *context;                                                  /* of progress */
    /* What came of it. */
    uint64_t replayed;               /* rows that were decided before */
    struct holdfast_failure failure; /* the first; error OK = none */
};

/* false: load->failure says why; what was posted stays. */
bool hf_bank_load_run(struct hf_bank_load *load);

#endif
