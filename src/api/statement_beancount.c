#include "api/statement_beancount.h"

#include <stdlib.h>

#include "api/entity_json.h"
#include "api/statement_text.h"
#include "base/time_text.h"

#define DAY_US 86400000000ull

/* What a statement is written with. */
struct writing {
    struct hf_buffer *to;
    struct hf_str account;        /* the name whose statement it is */
    const struct hf_asset *asset; /* its asset */
};

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void put_component(struct hf_buffer *to, struct hf_str component)
{
    static const char hex[] = "0123456789abcdef";
    char first = component.len == 0 ? '\0' : component.ptr[0];
    if (is_upper(first)) {
        hf_buffer_text(to, "X-");
    } else if (!is_lower(first) && !is_digit(first)) {
        hf_buffer_text(to, "Y-Z");
    }
    for (size_t i = 0; i < component.len; i++) {
        char c = component.ptr[i];
        if (i == 0 && is_lower(c)) {
            hf_buffer_u8(to, (uint8_t)(c - 'a' + 'A'));
        } else if (is_upper(c) || is_lower(c) || is_digit(c)) {
            hf_buffer_u8(to, (uint8_t)c);
        } else if (c == '-') {
            hf_buffer_text(to, "--");
        } else {
            hf_buffer_u8(to, '-');
            hf_buffer_u8(to, (uint8_t)hex[(unsigned char)c >> 4]);
            hf_buffer_u8(to, (uint8_t)hex[(unsigned char)c & 15]);
        }
    }
}

void hf_beancount_account(struct hf_buffer *to, struct hf_str name)
{
    size_t from = 0;
    hf_buffer_text(to, "Assets");
    for (size_t i = 0; i <= name.len; i++) {
        if (i == name.len || name.ptr[i] == ':') {
            hf_buffer_u8(to, ':');
            put_component(to, (struct hf_str){name.ptr + from, i - from});
            from = i + 1;
        }
    }
}

void hf_beancount_commodity(struct hf_buffer *to, const struct hf_asset *asset)
{
    struct hf_str code = hf_asset_code(asset);
    hf_buffer_bytes(to, code.ptr, code.len);
    if (code.len == 1 || code.ptr[code.len - 1] == '_' || hf_str_equal(code, HF_STR("TRUE")) ||
        hf_str_equal(code, HF_STR("FALSE")) || hf_str_equal(code, HF_STR("NULL"))) {
        hf_buffer_text(to, "-H");
    }
}

static void put_date(struct hf_buffer *to, uint64_t time_us)
{
    char text[HF_TIME_TEXT_BYTES];
    hf_time_format(time_us, text);
    hf_buffer_bytes(to, text, 10);
}

static void put_time(struct hf_buffer *to, uint64_t time_us)
{
    char text[HF_TIME_TEXT_BYTES];
    hf_time_format(time_us, text);
    hf_buffer_text(to, text);
}

static void put_str(struct hf_buffer *to, struct hf_str text)
{
    hf_buffer_bytes(to, text.ptr, text.len);
}

static void put_amount(struct writing *w, hf_i128 amount)
{
    hf_decimal_text(w->to, w->asset, amount);
    hf_buffer_u8(w->to, ' ');
    hf_beancount_commodity(w->to, w->asset);
}

/* A posting of the account, or if other is given of that one. */
static void put_posting(struct writing *w, struct hf_str name, hf_i128 amount)
{
    hf_buffer_text(w->to, "  ");
    hf_beancount_account(w->to, name);
    hf_buffer_text(w->to, "  ");
    put_amount(w, amount);
    hf_buffer_u8(w->to, '\n');
}

static void put_open(struct writing *w, uint64_t day_us, struct hf_str name)
{
    put_date(w->to, day_us);
    hf_buffer_text(w->to, " open ");
    hf_beancount_account(w->to, name);
    hf_buffer_u8(w->to, ' ');
    hf_beancount_commodity(w->to, w->asset);
    hf_buffer_text(w->to, "\n  name: \"");
    put_str(w->to, name);
    hf_buffer_text(w->to, "\"\n");
}

static int compare_names(const void *a, const void *b)
{
    return hf_str_compare(*(const struct hf_str *)a, *(const struct hf_str *)b);
}

/* Opens the account and all that it met, each once. false: memory was short. */
static bool put_opens(struct writing *w, uint64_t day_us, const struct hf_statement *statement)
{
    uint32_t count = statement->line_count;
    struct hf_buffer names; /* an array of struct hf_str */
    hf_buffer_init(&names);
    put_open(w, day_us, w->account);
    struct hf_str *others =
        count == 0 ? NULL : (void *)hf_buffer_extend(&names, count * sizeof(*others));
    for (uint32_t i = 0; others != NULL && i < count; i++) {
        others[i] = hf_line_counterparty(&statement->lines[i]);
    }
    if (others != NULL) {
        qsort(others, count, sizeof(*others), compare_names);
    }
    for (uint32_t i = 0; others != NULL && i < count; i++) {
        if (i == 0 || !hf_str_equal(others[i], others[i - 1])) {
            put_open(w, day_us, others[i]);
        }
    }
    hf_buffer_release(&names);
    return others != NULL || count == 0;
}

static void put_opening(struct writing *w, uint64_t day_us, hf_i128 posted)
{
    put_date(w->to, day_us);
    hf_buffer_text(w->to, " open Equity:Opening-Balances ");
    hf_beancount_commodity(w->to, w->asset);
    hf_buffer_text(w->to, "\n\n");
    put_date(w->to, day_us);
    hf_buffer_text(w->to, " * \"Opening balance\"\n");
    put_posting(w, w->account, posted);
    hf_buffer_text(w->to, "  Equity:Opening-Balances  ");
    put_amount(w, -posted);
    hf_buffer_u8(w->to, '\n');
}

static void put_line(struct writing *w, const struct hf_statement_line *line)
{
    const struct hf_transfer *transfer = hf_line_transfer(line);
    hf_buffer_u8(w->to, '\n');
    put_date(w->to, line->time_us);
    hf_buffer_text(w->to, " * \"");
    put_str(w->to, hf_line_counterparty(line));
    hf_buffer_format(w->to, "\" \"%s ", hf_transfer_kind_wire(transfer->kind));
    put_str(w->to, transfer->name.text);
    hf_buffer_format(w->to, "\"\n  position: %llu\n  posted-at: \"",
                     (unsigned long long)line->commit->position);
    put_time(w->to, line->commit->time_us);
    hf_buffer_text(w->to, "\"\n");
    if (transfer->has_effective_at) {
        hf_buffer_text(w->to, "  effective-at: \"");
        put_time(w->to, transfer->effective_at_us);
        hf_buffer_text(w->to, "\"\n");
    }
    put_posting(w, w->account, hf_line_change(line));
    put_posting(w, hf_line_counterparty(line), -hf_line_change(line));
}

/* The newest instant that the statement speaks of. */
static uint64_t last_instant(const struct hf_query *query, const struct hf_reading *reading)
{
    const struct hf_statement *statement = &reading->statement;
    if (query->to_us != UINT64_MAX) {
        return query->to_us - 1;
    }
    return statement->line_count == 0
               ? reading->time_us
               : hf_max_u64(reading->time_us, statement->lines[statement->line_count - 1].time_us);
}

static void put_closing(struct writing *w, uint64_t last_us, hf_i128 posted)
{
    uint64_t day_us = (last_us / DAY_US + 1) * DAY_US;
    if (day_us > HF_TIME_US_MAX) {
        hf_buffer_text(w->to,
                       "\n; no assertion: beancount has no day behind the statement's end\n");
        return;
    }
    hf_buffer_u8(w->to, '\n');
    put_date(w->to, day_us);
    hf_buffer_text(w->to, " balance ");
    hf_beancount_account(w->to, w->account);
    hf_buffer_text(w->to, "  ");
    hf_decimal_text(w->to, w->asset, posted);
    hf_buffer_text(w->to, " ~ 0 ");
    hf_beancount_commodity(w->to, w->asset);
    hf_buffer_u8(w->to, '\n');
}

void hf_statement_beancount(struct hf_buffer *to, const struct hf_query *query,
                            const struct hf_reading *reading)
{
    const struct hf_statement *statement = &reading->statement;
    struct writing w = {.to = to,
                        .account = reading->entity.account.name.text,
                        .asset = &reading->entity.account.asset};
    hf_i128 opening = hf_totals_posted(&statement->opening.totals);
    uint64_t last_us = last_instant(query, reading);
    uint64_t first_us = statement->line_count > 0 ? statement->lines[0].time_us : last_us;
    if (query->from_us > 0) {
        first_us = query->from_us - hf_min_u64(query->from_us, DAY_US);
    }
    hf_buffer_text(to, "; Statement of the account ");
    put_str(to, w.account);
    hf_buffer_text(to, " in ");
    put_str(to, hf_asset_str(w.asset));
    hf_buffer_format(to, " by the %s clock, from ",
                     query->clock == HF_CLOCK_EFFECTIVE ? "effective" : "recorded");
    put_time(to, query->from_us > 0 ? query->from_us : first_us);
    hf_buffer_text(to, " to before ");
    put_time(to, last_us + 1);
    hf_buffer_text(to, ".\n\n");
    if (!put_opens(&w, first_us, statement)) {
        to->failed = true;
        return;
    }
    if (opening != 0) {
        put_opening(&w, first_us, opening);
    }
    for (uint32_t i = 0; i < statement->line_count; i++) {
        put_line(&w, &statement->lines[i]);
    }
    put_closing(&w, last_us, hf_totals_posted(&statement->closing.totals));
}
