/*
 * Statements for beancount (version 2 syntax), the double-entry bookkeeper.
 *
 * Owns: how names become beancount's. Must never: give two names the same account, or write what beancount
 * refuses. Called by: the routes, on the node's thread.
 *
 * Accounts are Assets: followed by the name, cut into components at each ":". In a component
 *   letters and digits       stand for themselves,
 *   "-"                      becomes "--",
 *   any other character      becomes "-" and its two lower-case hex digits ("." is "-2e"),
 *   a lower-case first letter becomes upper-case ("users:42" is Assets:Users:42),
 *   an upper-case first letter gets "X-" before it ("Users" is X-Users),
 *   any other first character, and nothing, gets "Y-Z" before it ("" is Y-Z).
 * So no two names meet, and the name can be read back.
 *
 * Commodities are the asset's code; one that beancount would not take (a single letter, "_" at the end, TRUE,
 * FALSE, NULL) gets "-H" behind it. Amounts are decimals.
 *
 * The opening balance comes from Equity:Opening-Balances on the day before; the closing balance is asserted, to
 * the last digit, on the day behind the statement's end.
 */
#ifndef HF_API_STATEMENT_BEANCOUNT_H
#define HF_API_STATEMENT_BEANCOUNT_H

#include "base/buffer.h"
#include "core/read.h"

#define HF_STATEMENT_BEANCOUNT_TYPE "text/plain; charset=utf-8"

/* Appends the statement; the reading's code is OK, and the query's was `whole`. */
void hf_statement_beancount(struct hf_buffer *to, const struct hf_query *query,
                            const struct hf_reading *reading);

/* The beancount account of a name; the commodity of an asset. */
void hf_beancount_account(struct hf_buffer *to, struct hf_str name);
void hf_beancount_commodity(struct hf_buffer *to, const struct hf_asset *asset);

#endif
