#include "api/statement_csv.h"

#include "api/entity_json.h"
#include "api/statement_text.h"
#include "base/time_text.h"
#include "base/u128.h"

/* The row that is being written. */
struct row {
    struct hf_buffer *to;
    bool comma; /* the next cell needs one before it */
};

static void begin_cell(struct row *row)
{
    if (row->comma) {
        hf_buffer_u8(row->to, ',');
    }
    row->comma = true;
}

/* Quoted if it must be; names have no quotes and no line ends, but are quoted right if they ever do. */
static void put_text(struct row *row, struct hf_str text)
{
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        quoted = quoted || strchr(",\"\r\n", text.ptr[i]) != NULL;
    }
    begin_cell(row);
    if (quoted) {
        hf_buffer_u8(row->to, '"');
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"') {
            hf_buffer_u8(row->to, '"');
        }
        hf_buffer_u8(row->to, (uint8_t)text.ptr[i]);
    }
    if (quoted) {
        hf_buffer_u8(row->to, '"');
    }
}

static void put_time(struct row *row, uint64_t time_us)
{
    char text[HF_TIME_TEXT_BYTES];
    hf_time_format(time_us, text);
    put_text(row, hf_str_from(text));
}

static void put_number(struct row *row, uint64_t number)
{
    char digits[HF_U128_TEXT_BYTES];
    size_t count = hf_u128_format(number, digits);
    put_text(row, (struct hf_str){digits, count});
}

static void put_blanks(struct row *row, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        begin_cell(row);
    }
}

static void put_minor(struct row *row, hf_i128 value)
{
    char digits[HF_I128_TEXT_BYTES];
    size_t count = hf_i128_format(value, digits);
    put_text(row, (struct hf_str){digits, count});
}

static void put_decimal(struct row *row, const struct hf_asset *asset, hf_i128 value)
{
    begin_cell(row);
    hf_decimal_text(row->to, asset, value);
}

static void end_row(struct row *row)
{
    hf_buffer_bytes(row->to, "\r\n", 2);
    row->comma = false;
}

/* row, time, posted_at, version, position, transfer, type, counterparty */
static void put_line_head(struct row *row, const struct hf_statement_line *line)
{
    const struct hf_transfer *transfer = hf_line_transfer(line);
    put_text(row, HF_STR("line"));
    put_time(row, line->time_us);
    put_time(row, line->commit->time_us);
    put_number(row, line->side->version);
    put_number(row, line->commit->position);
    put_text(row, transfer->name.text);
    put_text(row, hf_str_from(hf_transfer_kind_wire(transfer->kind)));
    put_text(row, hf_line_counterparty(line));
}

static void put_line(struct row *row, const struct hf_asset *asset,
                     const struct hf_statement_line *line)
{
    hf_i128 amount = (hf_i128)hf_line_transfer(line)->amount;
    put_line_head(row, line);
    put_blanks(row, line->debit ? 0 : 1);
    put_minor(row, amount);
    put_blanks(row, line->debit ? 1 : 0);
    put_minor(row, line->posted);
    put_blanks(row, line->debit ? 0 : 1);
    put_decimal(row, asset, amount);
    put_blanks(row, line->debit ? 1 : 0);
    put_decimal(row, asset, line->posted);
    put_text(row, hf_asset_str(asset));
    end_row(row);
}

/* opening, closing. time_us 0: none */
static void put_balance(struct row *row, const char *what, uint64_t time_us,
                        const struct hf_asset *asset, const struct hf_balance *balance)
{
    hf_i128 posted = hf_totals_posted(&balance->totals);
    put_text(row, hf_str_from(what));
    if (time_us > 0) {
        put_time(row, time_us);
    } else {
        put_blanks(row, 1);
    }
    put_blanks(row, 8); /* posted_at … credit_minor */
    put_minor(row, posted);
    put_blanks(row, 2); /* debit, credit */
    put_decimal(row, asset, posted);
    put_text(row, hf_asset_str(asset));
    end_row(row);
}

void hf_statement_csv(struct hf_buffer *to, const struct hf_query *query,
                      const struct hf_reading *reading)
{
    const struct hf_statement *statement = &reading->statement;
    const struct hf_asset *asset = &reading->entity.account.asset;
    struct row row = {.to = to};
    hf_buffer_text(to, "row,time,posted_at,version,position,transfer,type,counterparty,debit_minor,"
                       "credit_minor,balance_minor,debit,credit,balance,asset\r\n");
    put_balance(&row, "opening", query->from_us, asset, &statement->opening);
    for (uint32_t i = 0; i < statement->line_count; i++) {
        put_line(&row, asset, &statement->lines[i]);
    }
    uint64_t end_us = query->to_us == UINT64_MAX ? reading->time_us : query->to_us;
    put_balance(&row, "closing", end_us, asset, &statement->closing);
}
