/*
 * Statements as CSV (RFC 4180), for spreadsheets.
 *
 * Owns: the columns. Must never: write a cell that a spreadsheet takes for a formula (a cell begins with a
 * letter, a digit or "~"; a balance below zero is the one that begins with "-", and is a number). Called by: the
 * routes, on the node's thread.
 *
 * A header, a row `opening`, a row a line, a row `closing`; lines end in CR LF. Amounts stand twice: in minor units
 * and as decimals.
 */
#ifndef HF_API_STATEMENT_CSV_H
#define HF_API_STATEMENT_CSV_H

#include "base/buffer.h"
#include "core/read.h"

#define HF_STATEMENT_CSV_TYPE "text/csv; charset=utf-8; header=present"

/* Appends the statement; the reading's code is OK, and the query's was `whole`. */
void hf_statement_csv(struct hf_buffer *to, const struct hf_query *query,
                      const struct hf_reading *reading);

#endif
