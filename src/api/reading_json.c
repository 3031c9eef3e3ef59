#include "api/reading_json.h"

#include "api/answer_json.h"
#include "api/entity_json.h"
#include "api/reading_list_json.h"
#include "api/saga_json.h"
#include "api/subscription_json.h"
#include "base/check.h"

static void put_thing(struct hf_json_writer *w, const struct hf_reading *reading)
{
    hf_json_begin_object(w, NULL);
    hf_entity_json(w, &reading->entity);
    if (reading->entity.kind == HF_KIND_ACCOUNT) {
        hf_json_put_raw(w, "metadata", reading->text.text);
    }
    hf_json_end_object(w);
}

static void put_optional_text(struct hf_json_writer *w, const char *name, struct hf_str text)
{
    if (hf_str_present(text)) {
        hf_json_put_text(w, name, text);
    } else {
        hf_json_put_null(w, name);
    }
}

static void put_commit(struct hf_json_writer *w, const struct hf_commit *commit)
{
    bool client = commit->origin == HF_ORIGIN_CLIENT;
    hf_json_begin_object(w, NULL);
    hf_json_put_number(w, "position", commit->position);
    hf_json_put_time(w, "time", commit->time_us);
    hf_json_put_text(w, "origin", client ? HF_STR("client") : HF_STR("system"));
    if (client) {
        put_optional_text(w, "principal", commit->principal);
        put_optional_text(w, "key", commit->key);
        hf_json_put_text(w, "code", hf_str_from(hf_err_wire(hf_answer_code(commit))));
        hf_json_put_raw(w, "metadata", commit->metadata.text);
    }
    hf_json_begin_array(w, "events");
    for (uint32_t i = 0; i < commit->event_count; i++) {
        const struct hf_event *event = commit->events[i];
        hf_json_begin_object(w, NULL);
        hf_json_put_text(w, "type", hf_str_from(hf_event_wire(event->type)));
        if (event->operation != HF_NO_OPERATION) {
            hf_json_put_number(w, "operation", event->operation);
        }
        hf_event_json(w, event);
        hf_event_texts_json(w, event);
        hf_json_end_object(w);
    }
    hf_json_end_array(w);
    hf_json_end_object(w);
}

static void put_stream_event(struct hf_json_writer *w, const struct hf_page_item *item)
{
    const struct hf_appended *appended = &item->event->appended;
    hf_json_put_number(w, "version", appended->version);
    put_optional_text(w, "id", appended->has_id ? appended->id.text : HF_STR_NONE);
    hf_json_put_text(w, "type", appended->type);
    hf_json_put_raw(w, "data", appended->data.text);
    hf_json_put_number(w, "position", item->commit->position);
    hf_json_put_time(w, "time", item->commit->time_us);
}

/* What an entry came of: the transfer or hold, and the operation's name. */
static void put_cause(struct hf_json_writer *w, const struct hf_event *event)
{
    bool posted = event->type == HF_EVENT_TRANSFER_POSTED || event->type == HF_EVENT_HOLD_CAPTURED;
    hf_json_put_text(w, "type", hf_str_from(hf_event_wire(event->type)));
    if (posted) {
        hf_json_put_text(w, "transfer", event->posting.transfer.name.text);
        hf_json_put_amount(w, "amount", event->posting.transfer.amount);
    }
    if (event->type != HF_EVENT_TRANSFER_POSTED && event->type != HF_EVENT_ACCOUNT_CHANGED) {
        hf_json_put_text(w, "hold", event->posting.hold.name.text);
    }
}

static void put_entry(struct hf_json_writer *w, const struct hf_page_item *item)
{
    const struct hf_totals *totals = &item->side->totals;
    hf_json_put_number(w, "version", item->side->version);
    hf_json_put_number(w, "position", item->commit->position);
    hf_json_put_time(w, "time", item->commit->time_us);
    put_cause(w, item->event);
    hf_totals_json(w, totals);
    hf_balances_json(w, totals);
}

static void put_page(struct hf_json_writer *w, const struct hf_reading *reading, bool entries)
{
    hf_json_begin_object(w, NULL);
    hf_json_begin_array(w, "data");
    for (uint32_t i = 0; i < reading->item_count; i++) {
        const struct hf_page_item *item = &reading->items[i];
        hf_json_begin_object(w, NULL);
        if (entries) {
            put_entry(w, item);
        } else {
            put_stream_event(w, item);
        }
        hf_json_end_object(w);
    }
    hf_json_end_array(w);
    if (reading->more) {
        hf_json_put_amount(w, "next", reading->next_from); /* as a string: opaque to users */
    } else {
        hf_json_put_null(w, "next");
    }
    hf_json_end_object(w);
}

int hf_reading_json(struct hf_buffer *to, const struct hf_query *query,
                    const struct hf_reading *reading)
{
    struct hf_json_writer w = hf_json_writer_over(to);
    if (reading->code != HF_ERR_OK) {
        const char *detail =
            reading->detail == NULL ? "Nothing of that name is there to be read." : reading->detail;
        hf_problem_json(to, reading->code, detail, "");
        return hf_err_status(reading->code);
    }
    switch (query->type) {
    case HF_QUERY_ACCOUNT:
    case HF_QUERY_TRANSFER:
    case HF_QUERY_HOLD:
    case HF_QUERY_STREAM:
    case HF_QUERY_LEASE:
        put_thing(&w, reading);
        return 200;
    case HF_QUERY_STREAM_EVENTS:
    case HF_QUERY_ENTRIES:
        put_page(&w, reading, query->type == HF_QUERY_ENTRIES);
        return 200;
    case HF_QUERY_DOCUMENT:
        hf_json_put_raw(&w, NULL, reading->text.text);
        return 200;
    case HF_QUERY_KEY:
        hf_key_json(to, reading->commit);
        return 200;
    case HF_QUERY_COMMIT:
        put_commit(&w, reading->commit);
        return 200;
    case HF_QUERY_ACCOUNTS:
    case HF_QUERY_STREAMS:
    case HF_QUERY_DOCUMENTS:
    case HF_QUERY_TRANSFERS:
    case HF_QUERY_HOLDS:
        hf_list_json(&w, query, reading);
        return 200;
    case HF_QUERY_BALANCE:
        hf_balance_json(&w, query, reading);
        return 200;
    case HF_QUERY_STATEMENT:
        hf_statement_json(&w, query, reading);
        return 200;
    case HF_QUERY_SUBSCRIPTION:
        hf_subscription_json(&w, &reading->subscription);
        return 200;
    case HF_QUERY_SUBSCRIPTIONS:
        hf_subscription_list_json(&w, query, reading);
        return 200;
    case HF_QUERY_SAGA:
        hf_saga_json(&w, &reading->saga);
        return 200;
    case HF_QUERY_SAGA_HISTORY:
        hf_saga_history_json(&w, reading);
        return 200;
    case HF_QUERY_SAGAS:
        hf_saga_list_json(&w, query, reading);
        return 200;
    case HF_QUERY_SAGA_DEFINITION:
        hf_saga_definition_json(&w, reading);
        return 200;
    case HF_QUERY_SAGA_DEFINITIONS:
        hf_saga_definition_list_json(&w, query, reading);
        return 200;
    case HF_QUERY_TOTALS:
        hf_asset_sums_json(&w, &reading->totals);
        return 200;
    case HF_QUERY_DEAD:
    case HF_QUERY_MESSAGE_HISTORY:
    case HF_QUERY_MESSAGES:
    case HF_QUERY_SAGA_COUNTS:
    case HF_QUERY_SAGA_WORK:
    case HF_QUERY_ALERTS:
    case HF_QUERY_TYPE_COUNT:
        break; /* rendered by their own routes */
    }
    HF_CHECK(false);
    return 500;
}
