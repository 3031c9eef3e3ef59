#include "cli/text_table.h"

#include "base/check.h"
#include "base/u128.h"

#define GAP       2  /* blanks between columns */
#define SCALE_MAX 18 /* of an asset */

void hf_text_table_init(struct hf_text_table *table, size_t column_count)
{
    HF_CHECK(column_count >= 1 && column_count <= HF_TEXT_COLUMNS_MAX);
    *table = (struct hf_text_table){.column_count = column_count};
    hf_buffer_init(&table->text);
    hf_buffer_init(&table->ends);
}

void hf_text_table_release(struct hf_text_table *table)
{
    hf_buffer_release(&table->text);
    hf_buffer_release(&table->ends);
}

void hf_text_table_cell(struct hf_text_table *table, struct hf_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = (uint8_t)text.ptr[i];
        uint8_t next = i + 1 < text.len ? (uint8_t)text.ptr[i + 1] : 0;
        if (c == 0xC2 && next >= 0x80 && next < 0xA0) { /* U+0080 to U+009F */
            i++;
            c = '?';
        } else if (c == '\n' || c == '\r' || c == '\t') {
            c = ' ';
        } else if (c < 0x20 || c == 0x7F) {
            c = '?';
        }
        hf_buffer_u8(&table->text, c);
    }
    uint64_t end = table->text.size_bytes;
    hf_buffer_bytes(&table->ends, &end, sizeof(end));
}

static struct hf_str cell(const struct hf_text_table *table, size_t index)
{
    uint64_t begin = 0;
    uint64_t end;
    if (index > 0) {
        memcpy(&begin, table->ends.data + (index - 1) * sizeof(begin), sizeof(begin));
    }
    memcpy(&end, table->ends.data + index * sizeof(end), sizeof(end));
    return end == begin ? HF_STR("")
                        : (struct hf_str){(const char *)table->text.data + begin, end - begin};
}

/* Characters of UTF-8. */
static size_t width_of(struct hf_str text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.len; i++) {
        width += ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
    }
    return width;
}

static void blanks(struct hf_buffer *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        hf_buffer_u8(out, ' ');
    }
}

void hf_text_table_print(const struct hf_text_table *table, struct hf_buffer *out)
{
    size_t widths[HF_TEXT_COLUMNS_MAX] = {0};
    size_t count = table->ends.size_bytes / sizeof(uint64_t);
    if (table->text.failed || table->ends.failed) {
        out->failed = true;
        return;
    }
    HF_CHECK(count % table->column_count == 0);
    for (size_t i = 0; i < count; i++) {
        size_t *width = &widths[i % table->column_count];
        *width = hf_max_u64(*width, width_of(cell(table, i)));
    }
    size_t owed = 0; /* blanks to write before the next character of the line */
    for (size_t i = 0; i < count; i++) {
        size_t column = i % table->column_count;
        struct hf_str text = cell(table, i);
        size_t padding = widths[column] - width_of(text);
        owed += table->right[column] ? padding : 0;
        if (text.len > 0) {
            blanks(out, owed);
            hf_buffer_bytes(out, text.ptr, text.len);
            owed = 0;
        }
        owed += (table->right[column] ? 0 : padding) + GAP;
        if (column + 1 == table->column_count) {
            hf_buffer_u8(out, '\n');
            owed = 0;
        }
    }
}

/* The scale of "USD/2"; 0 if there is none. */
static size_t scale_of(struct hf_str asset)
{
    const char *slash = asset.len == 0 ? NULL : memchr(asset.ptr, '/', asset.len);
    hf_u128 scale = 0;
    if (slash == NULL ||
        !hf_u128_parse((struct hf_str){slash + 1, (size_t)(asset.ptr + asset.len - slash) - 1},
                       &scale) ||
        scale > SCALE_MAX) {
        return 0;
    }
    return (size_t)scale;
}

void hf_amount_decimal(struct hf_buffer *out, struct hf_str minor, struct hf_str asset)
{
    hf_i128 value;
    size_t scale = scale_of(asset);
    if (scale == 0 || !hf_i128_parse(minor, &value)) {
        hf_buffer_bytes(out, minor.ptr, minor.len);
        return;
    }
    if (minor.ptr[0] == '-') {
        hf_buffer_u8(out, '-');
        minor = (struct hf_str){minor.ptr + 1, minor.len - 1};
    }
    size_t whole = minor.len > scale ? minor.len - scale : 0;
    if (whole == 0) {
        hf_buffer_u8(out, '0');
    }
    hf_buffer_bytes(out, minor.ptr, whole);
    hf_buffer_u8(out, '.');
    for (size_t i = minor.len; i < scale; i++) {
        hf_buffer_u8(out, '0');
    }
    hf_buffer_bytes(out, minor.ptr + whole, minor.len - whole);
}
