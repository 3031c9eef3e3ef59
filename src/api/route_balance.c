/* An account's balance at some point, and its statement. */
#include "api/door_priv.h"
#include "api/reading_json.h"
#include "api/statement_beancount.h"
#include "api/statement_csv.h"

static bool invalid(struct hf_call *call, const char *text)
{
    return hf_malformed_set(&call->malformed, HF_ERR_INVALID_REQUEST, "", "%s", text);
}

bool hf_clock_parse(struct hf_str text, enum hf_query_clock *clock)
{
    *clock = hf_str_equal(text, HF_STR("effective")) ? HF_CLOCK_EFFECTIVE : HF_CLOCK_RECORDED;
    return *clock == HF_CLOCK_EFFECTIVE || hf_str_equal(text, HF_STR("recorded"));
}

static bool take_clock(struct hf_call *call, struct hf_query *query)
{
    struct hf_str clock = hf_http_query_get(&call->query, "clock");
    return !hf_str_present(clock) || hf_clock_parse(clock, &query->clock) ||
           invalid(call, "clock is recorded or effective");
}

static bool given(const struct hf_call *call, const char *name)
{
    return hf_str_present(hf_http_query_get(&call->query, name));
}

static enum hf_progress ask(struct hf_call *call, const struct hf_query *query, hf_render_fn render)
{
    if (!hf_caller_may(&call->caller, HF_SCOPE_READ, query->name.text)) {
        return hf_call_problem(call, HF_ERR_FORBIDDEN,
                               "The token's scopes or names do not cover this.", "");
    }
    return hf_call_read(call, query, 1, render);
}

/* ---- balance ---- */

static void render_balance(struct hf_request *request, size_t index,
                           const struct hf_reading *reading)
{
    struct hf_call *call = request->context;
    hf_buffer_clear(&call->exchange->answer);
    call->read_status = hf_reading_json(&call->exchange->answer, &request->queries[index], reading);
}

static bool take_point(struct hf_call *call, struct hf_query *query)
{
    bool at_time;
    unsigned points = (given(call, "at") ? 1u : 0) + (given(call, "at_version") ? 1u : 0) +
                      (given(call, "at_position") ? 1u : 0);
    if (points > 1) {
        return invalid(call, "give one of at, at_version and at_position");
    }
    if (!hf_http_query_time(&call->query, "at", &at_time, &query->at_us, &call->malformed) ||
        !hf_http_query_number(&call->query, "at_version", &query->version, &call->malformed) ||
        !hf_http_query_number(&call->query, "at_position", &query->position, &call->malformed)) {
        return false;
    }
    query->at = at_time                     ? HF_AT_TIME
                : given(call, "at_version") ? HF_AT_VERSION
                : points == 1               ? HF_AT_POSITION
                                            : HF_AT_NOW;
    if (!take_clock(call, query)) {
        return false;
    }
    return query->clock == HF_CLOCK_RECORDED || query->at == HF_AT_TIME ||
           invalid(call, "clock=effective goes with at: versions and positions are recorded order");
}

enum hf_progress hf_route_balance(struct hf_call *call)
{
    struct hf_query *query = hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*query));
    if (query == NULL) {
        return hf_call_undecided(call, HF_ERR_NO_MEMORY);
    }
    query->type = HF_QUERY_BALANCE;
    if (!hf_call_query_name(call, query, false)) {
        return HF_CALL_ANSWERED;
    }
    return take_point(call, query) ? ask(call, query, render_balance) : hf_call_malformed(call);
}

/* ---- statement ---- */

static void render_csv(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct hf_call *call = request->context;
    if (reading->code != HF_ERR_OK) {
        render_balance(request, index, reading);
        return;
    }
    hf_buffer_clear(&call->exchange->answer);
    call->read_status = 200;
    hf_statement_csv(&call->exchange->answer, &request->queries[index], reading);
}

static void render_beancount(struct hf_request *request, size_t index,
                             const struct hf_reading *reading)
{
    struct hf_call *call = request->context;
    if (reading->code != HF_ERR_OK) {
        render_balance(request, index, reading);
        return;
    }
    hf_buffer_clear(&call->exchange->answer);
    call->read_status = 200;
    hf_statement_beancount(&call->exchange->answer, &request->queries[index], reading);
}

static bool take_period(struct hf_call *call, struct hf_query *query)
{
    bool from;
    bool to;
    query->to_us = UINT64_MAX;
    if (!hf_http_query_time(&call->query, "from", &from, &query->from_us, &call->malformed) ||
        !hf_http_query_time(&call->query, "to", &to, &query->to_us, &call->malformed) ||
        !take_clock(call, query)) {
        return false;
    }
    return query->to_us > query->from_us || invalid(call, "from must be before to");
}

/* Pages are for JSON; the other forms are whole or refused. */
static bool take_extent(struct hf_call *call, struct hf_query *query, bool json)
{
    if (json) {
        return hf_call_take_limit(call, query) && hf_call_take_cursor(call, query);
    }
    query->limit = HF_QUERY_LIMIT_MAX;
    query->whole = true;
    return (!given(call, "limit") && !given(call, "after")) ||
           invalid(call, "limit and after are for format=json");
}

enum hf_progress hf_route_statement(struct hf_call *call)
{
    struct hf_query *query = hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*query));
    struct hf_str format = hf_http_query_get(&call->query, "format");
    hf_render_fn render = render_balance;
    if (query == NULL) {
        return hf_call_undecided(call, HF_ERR_NO_MEMORY);
    }
    query->type = HF_QUERY_STATEMENT;
    if (!hf_call_query_name(call, query, false)) {
        return HF_CALL_ANSWERED;
    }
    if (hf_str_equal(format, HF_STR("csv"))) {
        call->content_type = HF_STATEMENT_CSV_TYPE;
        render = render_csv;
    } else if (hf_str_equal(format, HF_STR("beancount"))) {
        call->content_type = HF_STATEMENT_BEANCOUNT_TYPE;
        render = render_beancount;
    } else if (hf_str_present(format) && !hf_str_equal(format, HF_STR("json"))) {
        return hf_call_invalid(call, "format is json, csv or beancount");
    }
    return take_period(call, query) && take_extent(call, query, render == render_balance)
               ? ask(call, query, render)
               : hf_call_malformed(call);
}
