/*
 * Lists, balances, totals and statements as JSON: what reading_json.c leaves to another file.
 *
 * Owns: their members' names and order. Must never: look beyond the reading. Called by: reading_json.c.
 */
#ifndef HF_API_READING_LIST_JSON_H
#define HF_API_READING_LIST_JSON_H

#include "api/json_write.h"
#include "core/read.h"

/* {"data":[…],"next":…} */
void hf_list_json(struct hf_json_writer *w, const struct hf_query *query,
                  const struct hf_reading *reading);
/* {"account","asset","clock",…} */
void hf_balance_json(struct hf_json_writer *w, const struct hf_query *query,
                     const struct hf_reading *reading);
void hf_statement_json(struct hf_json_writer *w, const struct hf_query *query,
                       const struct hf_reading *reading);
void hf_asset_sums_json(struct hf_json_writer *w, const struct hf_asset_sums *sums);

#endif
