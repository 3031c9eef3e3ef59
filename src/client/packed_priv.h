/*
 * Packed calls, from the inside.
 *
 * Owns: what makes an answer a whole one. Must never: change the records between two sendings. Called by: packed calls,
 * tickets, the batcher, their tests.
 */
#ifndef HF_CLIENT_PACKED_PRIV_H
#define HF_CLIENT_PACKED_PRIV_H

#include "client/client_priv.h"
#include "holdfast_client_packed.h"

/* NULL: they can be sent; else what is wrong, static. */
const char *hf_client_records_wrong(enum holdfast_client_packed_kind kind,
                                    const struct holdfast_client_record *records, size_t count,
                                    size_t count_max);

/* The same of a packed call. */
const char *hf_client_packed_wrong(const struct holdfast_client_packed *packed);

/* Is this the answer to a request of so many records: whole, and in itself without contradiction? */
bool hf_client_results_fit(const uint8_t *body, size_t body_bytes, size_t record_count);

#endif
