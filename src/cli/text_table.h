/*
 * Columns of text for people.
 *
 * Owns: the cells. Must never: cut a cell; leave blanks at a line's end; give a terminal what could steer it
 * (control characters of a cell become '?', line ends and tabs blanks). Called by: the commands against a server.
 *
 * Cells are added row by row. A column of numbers is aligned to the right. Widths count characters, not bytes. If memory
 * was short, the buffer that it is printed to says so.
 */
#ifndef HF_CLI_TEXT_TABLE_H
#define HF_CLI_TEXT_TABLE_H

#include "base/buffer.h"

#define HF_TEXT_COLUMNS_MAX 12

struct hf_text_table {
    size_t column_count;
    bool right[HF_TEXT_COLUMNS_MAX]; /* aligned to the right */
    struct hf_buffer text;           /* the cells' bytes, one behind the other */
    struct hf_buffer ends;           /* of each cell: where it ends in text, u64 */
};

void hf_text_table_init(struct hf_text_table *table, size_t column_count);
void hf_text_table_release(struct hf_text_table *table);
void hf_text_table_cell(struct hf_text_table *table, struct hf_str text);
void hf_text_table_print(const struct hf_text_table *table, struct hf_buffer *out);

/* "1250" of USD/2 as "12.50", of JPY/0 as it is; what is no number or no asset stays as it is. */
void hf_amount_decimal(struct hf_buffer *out, struct hf_str minor, struct hf_str asset);

#endif
