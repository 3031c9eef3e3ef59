/*
 * Statements for beancount (version 2 syntax), the double-entry bookkeeper.
 *
 * Owns: how names become beancount's. Must never: give two names the same account. Called by: the routes, on
 * the node's thread.
 */
#ifndef HF_API_STATEMENT_BEANCOUNT_H
#define HF_API_STATEMENT_BEANCOUNT_H

#include "base/buffer.h"
#include "core/read.h"

#define HF_STATEMENT_BEANCOUNT_TYPE "text/plain; charset=utf-8"

/* Appends the statement; the reading's code is OK, and the query's was `whole`. */
void hf_statement_beancount(struct hf_buffer *to, const struct hf_query *query,
                            const struct hf_reading *reading);

#endif
