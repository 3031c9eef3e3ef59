/*
 * What the forms of a statement share: decimals, the other side of a line.
 *
 * Owns: nothing. Called by: the renderers of statements.
 */
#ifndef HF_API_STATEMENT_TEXT_H
#define HF_API_STATEMENT_TEXT_H

#include "base/buffer.h"
#include "core/read.h"

/* Minor units as a decimal with as many digits behind the point as the asset has: "-0.05", "1200" (scale 0). */
void hf_decimal_text(struct hf_buffer *to, const struct hf_asset *asset, hf_i128 minor_units);
/* The code of an asset: "USD" of "USD/2". Points into it. */
struct hf_str hf_asset_code(const struct hf_asset *asset);

static inline const struct hf_transfer *hf_line_transfer(const struct hf_statement_line *line)
{
    return &line->event->posting.transfer;
}

static inline struct hf_str hf_line_counterparty(const struct hf_statement_line *line)
{
    const struct hf_transfer *transfer = hf_line_transfer(line);
    return line->debit ? transfer->to.text : transfer->from.text;
}

/* Signed: what the line adds to the balance. */
static inline hf_i128 hf_line_change(const struct hf_statement_line *line)
{
    hf_i128 amount = (hf_i128)hf_line_transfer(line)->amount;
    return line->debit ? -amount : amount;
}

#endif
