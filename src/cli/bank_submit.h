/*
 * Rows of a bank's file as commits: an account opened, or a transfer posted, in a directory or on a server.
 *
 * Owns: nothing. Must never: send anything twice by itself but what the client repeats under the same key; who calls
 * decides that. Thread-safe. Called by: import bank, demo.
 */
#ifndef HF_CLI_BANK_SUBMIT_H
#define HF_CLI_BANK_SUBMIT_H

#include "cli/bank.h"
#include "holdfast.h"
#include "holdfast_client.h"

#define HF_BANK_NAME_BYTES 160

/* Where commits go: exactly one of db and client is set; both are borrowed. */
struct hf_bank_target {
    struct holdfast *db;            /* the library */
    struct holdfast_client *client; /* a server */
    const char *principal;          /* of the library; NULL = "local" */
};

/* A decision. */
struct hf_bank_answer {
    int status;             /* HTTP status: 201, 422 */
    bool replayed;          /* decided before */
    uint64_t position;      /* of the record */
    uint64_t text_checksum; /* of the answer's text */
    char code[64];          /* "ok", "insufficient_funds" */
};

/* "customers:576" or "bank:fees": of the opening with this index. */
void hf_bank_account_name(const struct hf_bank *bank, size_t opening,
                          char name[HF_BANK_NAME_BYTES]);

/* Opens an account (under the key bank-open:<name>); customers get the floor, NULL = none, other sides
 * have none. */
enum holdfast_error hf_bank_open_account(const struct hf_bank_target *target,
                                         const struct hf_bank *bank, size_t opening,
                                         const char *floor, struct hf_bank_answer *answer,
                                         struct holdfast_failure *failure);
/* Posts a row as the transfer trans:<trans_id>. */
enum holdfast_error hf_bank_post_row(const struct hf_bank_target *target,
                                     const struct hf_bank *bank, size_t index,
                                     struct hf_bank_answer *answer,
                                     struct holdfast_failure *failure);

/*
 * Everything in file order of each account, by threads that share the accounts among them: first all
 * openings, then the rows.
 */
struct hf_bank_load {
    struct hf_bank_target target;
    const struct hf_bank *bank; /* borrowed */
    const char *floor;          /* of customers; NULL = none */
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
