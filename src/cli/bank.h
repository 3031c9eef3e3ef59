/*
 * A bank's transactions as rows: what import and demo read.
 *
 *   trans_id;account_id;date;type;operation;amount;balance;k_symbol;bank;account
 *
 * Owns: the rows, the names of the other sides, the bad lines. Must never: guess: a line that is not
 * whole is bad and is told by its number. Called by: import bank, demo.
 *
 * The other side of a row: the bank's own bookings by k_symbol first (UROK, SLUZBY, SANKC. UROK), then
 * the other bank of a PREVOD, cash, or bank:other. Amounts are in 1/100 CZK.
 */
#ifndef HF_CLI_BANK_H
#define HF_CLI_BANK_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/errors.h"

#define HF_BANK_ASSET "CZK/2"

struct hf_bank_row {
    uint64_t trans_id;
    uint64_t account_id;
    uint64_t amount;  /* 1/100 */
    uint32_t account; /* index into accounts */
    uint32_t side;    /* index into sides */
    uint32_t date;    /* YYMMDD */
    bool credit;      /* to the customer */
};

struct hf_bank_bad {
    uint64_t line;    /* number, from 1 */
    const char *what; /* static */
};

struct hf_bank {
    struct hf_bank_row *rows; /* owned; in file order */
    size_t row_count, row_capacity;
    uint64_t *accounts; /* owned; account ids, ascending */
    size_t account_count;
    struct hf_str *sides; /* owned; names in arena, in order of appearance */
    size_t side_count, side_capacity;
    struct hf_bank_bad *bad; /* owned; ascending */
    size_t bad_count, bad_capacity;
    struct hf_arena arena;
};

void hf_bank_init(struct hf_bank *bank);
void hf_bank_release(struct hf_bank *bank);
enum hf_err hf_bank_read(struct hf_bank *bank, const char *path,
                         struct hf_error *error) HF_WARN_UNUSED;

/* How many accounts there are to open: customers first, then the other sides. */
static inline size_t hf_bank_opening_count(const struct hf_bank *bank)
{
    return bank->account_count + bank->side_count;
}

#endif
