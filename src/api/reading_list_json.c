#include "api/reading_list_json.h"

#include "api/cursor.h"
#include "api/entity_json.h"
#include "api/statement_text.h"

/* The cursor as a member, or null. */
/* The key of its last change is in its commit, which a list does not look at. */
static void put_document(struct hf_json_writer *w, const struct hf_document *document)
{
    hf_json_put_text(w, "id", document->name.text);
    hf_json_put_number(w, "version", document->version);
    hf_json_put_number(w, "bytes", document->bytes);
    hf_json_put_time(w, "modified_at", document->modified_at_us);
    hf_json_put_number(w, "position", document->last_position);
}

void hf_list_json(struct hf_json_writer *w, const struct hf_query *query,
                  const struct hf_reading *reading)
{
    hf_json_begin_object(w, NULL);
    hf_json_begin_array(w, "data");
    for (uint32_t i = 0; i < reading->entity_count; i++) {
        const struct hf_entity *entity = &reading->entities[i];
        hf_json_begin_object(w, NULL);
        if (entity->kind == HF_KIND_DOCUMENT) {
            put_document(w, &entity->document);
        } else {
            hf_entity_json(w, entity);
        }
        hf_json_end_object(w);
    }
    hf_json_end_array(w);
    hf_cursor_json(w, query, reading);
    hf_json_end_object(w);
}

static void put_clock(struct hf_json_writer *w, enum hf_query_clock clock)
{
    hf_json_put_text(w, "clock",
                     clock == HF_CLOCK_EFFECTIVE ? HF_STR("effective") : HF_STR("recorded"));
}

static void put_account(struct hf_json_writer *w, const struct hf_reading *reading)
{
    hf_json_put_text(w, "account", reading->entity.account.name.text);
    hf_json_put_text(w, "asset", hf_asset_str(&reading->entity.account.asset));
}

/* What is not known by the effective clock is null. */
static void put_balance(struct hf_json_writer *w, const struct hf_balance *balance)
{
    const struct hf_totals *totals = &balance->totals;
    if (balance->has_pending) {
        hf_balances_json(w, totals);
        hf_totals_json(w, totals);
        return;
    }
    hf_json_put_balance(w, "posted", hf_totals_posted(totals));
    hf_json_put_null(w, "available");
    hf_json_put_amount(w, "debits_posted", totals->debits_posted);
    hf_json_put_amount(w, "credits_posted", totals->credits_posted);
    hf_json_put_null(w, "debits_pending");
    hf_json_put_null(w, "credits_pending");
}

void hf_balance_json(struct hf_json_writer *w, const struct hf_query *query,
                     const struct hf_reading *reading)
{
    const struct hf_balance *balance = &reading->balance;
    hf_json_begin_object(w, NULL);
    put_account(w, reading);
    put_clock(w, query->at == HF_AT_TIME ? query->clock : HF_CLOCK_RECORDED);
    if (query->at == HF_AT_TIME) {
        hf_json_put_time(w, "at", query->at_us);
    }
    put_balance(w, balance);
    hf_json_put_number(w, "version", balance->version);
    hf_json_put_number(w, "position", balance->position);
    hf_json_put_time(w, "time", balance->time_us);
    hf_json_end_object(w);
}

void hf_asset_sums_json(struct hf_json_writer *w, const struct hf_asset_sums *sums)
{
    const struct {
        const char *name;
        const struct hf_wide *sum;
    } members[] = {
        {"debits_posted", &sums->debits_posted},
        {"credits_posted", &sums->credits_posted},
        {"debits_pending", &sums->debits_pending},
        {"credits_pending", &sums->credits_pending},
    };
    hf_json_begin_object(w, NULL);
    hf_json_put_text(w, "asset", hf_asset_str(&sums->asset));
    hf_json_put_number(w, "accounts", sums->accounts);
    for (size_t i = 0; i < HF_ARRAY_COUNT(members); i++) {
        char digits[HF_WIDE_TEXT_BYTES];
        size_t count = hf_wide_format(members[i].sum, digits);
        hf_json_put_text(w, members[i].name, (struct hf_str){digits, count});
    }
    hf_json_end_object(w);
}

/* ---- statements ---- */

static void put_optional_time(struct hf_json_writer *w, const char *name, bool given,
                              uint64_t time_us)
{
    if (given) {
        hf_json_put_time(w, name, time_us);
    } else {
        hf_json_put_null(w, name);
    }
}

static void put_edge(struct hf_json_writer *w, const char *name, const struct hf_balance *balance)
{
    hf_json_begin_object(w, name);
    put_balance(w, balance);
    if (balance->has_pending) {
        hf_json_put_number(w, "version", balance->version);
    } else {
        hf_json_put_null(w, "version");
    }
    hf_json_end_object(w);
}

static void put_line(struct hf_json_writer *w, const struct hf_statement_line *line)
{
    const struct hf_transfer *transfer = hf_line_transfer(line);
    hf_json_begin_object(w, NULL);
    hf_json_put_time(w, "time", line->time_us);
    hf_json_put_text(w, "transfer", transfer->name.text);
    hf_json_put_text(w, "type", hf_str_from(hf_transfer_kind_wire(transfer->kind)));
    if (transfer->kind == HF_TRANSFER_CAPTURE) {
        hf_json_put_text(w, "hold", transfer->of.text);
    } else if (transfer->kind == HF_TRANSFER_REVERSAL) {
        hf_json_put_text(w, "reverses", transfer->of.text);
    }
    hf_json_put_text(w, "counterparty", hf_line_counterparty(line));
    hf_json_put_balance(w, "change", hf_line_change(line));
    hf_json_put_balance(w, "posted", line->posted);
    hf_json_put_number(w, "version", line->side->version);
    hf_json_put_number(w, "position", line->commit->position);
    hf_json_put_time(w, "posted_at", line->commit->time_us);
    if (transfer->has_effective_at) {
        hf_json_put_time(w, "effective_at", transfer->effective_at_us);
    }
    if (hf_str_present(transfer->metadata.text)) {
        hf_json_put_raw(w, "metadata", transfer->metadata.text);
    }
    hf_json_end_object(w);
}

void hf_statement_json(struct hf_json_writer *w, const struct hf_query *query,
                       const struct hf_reading *reading)
{
    const struct hf_statement *statement = &reading->statement;
    hf_json_begin_object(w, NULL);
    put_account(w, reading);
    put_clock(w, query->clock);
    put_optional_time(w, "from", query->from_us > 0, query->from_us);
    put_optional_time(w, "to", query->to_us != UINT64_MAX, query->to_us);
    put_edge(w, "opening", &statement->opening);
    hf_json_begin_array(w, "data");
    for (uint32_t i = 0; i < statement->line_count; i++) {
        put_line(w, &statement->lines[i]);
    }
    hf_json_end_array(w);
    put_edge(w, "closing", &statement->closing);
    hf_cursor_json(w, query, reading);
    hf_json_end_object(w);
}
