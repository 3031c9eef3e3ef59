/* Reads: one thing, lists, balances; all rendered on the node's thread. */
#include "api/cursor.h"
#include "api/door_priv.h"
#include "api/reading_json.h"

#define LIMIT_DEFAULT 100

/* ---- towards the node ---- */

static void read_done(struct hf_request *request)
{
    struct hf_call *call = request->context;
    hf_http_resume(call->exchange);
}

enum hf_progress hf_call_read_answer(struct hf_call *call)
{
    const struct hf_answer *answer = &call->request.answer;
    call->has_answer = true;
    if (!answer->decided) {
        return hf_call_undecided(call, answer->code);
    }
    hf_call_header_number(call, "Holdfast-Position", "", answer->seen_position, "");
    if (call->has_etag) {
        hf_call_header_number(call, "ETag", "\"", call->etag, "\"");
    }
    const char *content_type = call->content_type; /* of a text that is no JSON */
    (void)hf_call_json(call, call->read_status);
    if (call->read_status == 304) {
        call->content_type = NULL;
    } else if (content_type != NULL && call->read_status == 200) {
        call->content_type = content_type;
    }
    return HF_CALL_ANSWERED;
}

enum hf_progress hf_call_read(struct hf_call *call, const struct hf_query *queries, size_t count,
                              hf_render_fn render)
{
    struct hf_outside *outside = call->door->options.outside;
    uint64_t min_position = 0;
    if (!hf_http_query_number(&call->query, "min_position", &min_position, &call->malformed)) {
        return hf_call_malformed(call);
    }
    uint64_t wait_us = (uint64_t)call->door->options.min_position_ms_max * 1000;
    call->request = (struct hf_request){
        .queries = queries,
        .query_count = count,
        .min_position = min_position,
        .deadline_us = call->deadline_us != 0 ? call->deadline_us
                       : min_position == 0    ? 0
                                              : outside->monotonic_us(outside) + wait_us,
        .render = render,
        .done = read_done,
        .context = call,
        .may_lack = call->route->begin != hf_route_metrics, /* who is short of memory looks there */
    };
    call->finish = hf_call_read_answer;
    enum hf_err err = hf_node_submit(call->door->options.node, &call->request);
    return err == HF_ERR_OK ? HF_CALL_UNDER_WAY : hf_call_undecided(call, err);
}

static enum hf_progress forbidden(struct hf_call *call)
{
    return hf_call_problem(call, HF_ERR_FORBIDDEN, "The token's scopes or names do not cover this.",
                           "");
}

static enum hf_progress short_memory(struct hf_call *call)
{
    return hf_call_undecided(call, HF_ERR_NO_MEMORY);
}

bool hf_call_query_name(struct hf_call *call, struct hf_query *query, bool reference)
{
    if (!hf_call_path_name(call, reference)) {
        return false;
    }
    if (!hf_name_make(call->path.segments[2], call->exchange->arena, &query->name)) {
        (void)short_memory(call);
        return false;
    }
    return true;
}

/* A prefix is covered if whatever begins with it is: '!' stands in no name and ends no pattern, so that a
 * pattern for one name alone does not pass. */
bool hf_call_may_list(const struct hf_call *call, struct hf_str prefix)
{
    char text[HF_NAME_BYTES_MAX + 1];
    if (prefix.len > HF_NAME_BYTES_MAX) {
        return call->caller.names == NULL && hf_caller_may(&call->caller, HF_SCOPE_READ, prefix);
    }
    if (prefix.len > 0) {
        memcpy(text, prefix.ptr, prefix.len);
    }
    text[prefix.len] = '!';
    return hf_caller_may(&call->caller, HF_SCOPE_READ, (struct hf_str){text, prefix.len + 1});
}

/* ---- one thing ---- */

bool hf_query_etag(const struct hf_query *query, const struct hf_reading *reading, uint64_t *etag)
{
    const struct hf_entity *entity = &reading->entity;
    switch ((unsigned)query->type) {
    case HF_QUERY_ACCOUNT:
        *etag = entity->account.version;
        return true;
    case HF_QUERY_HOLD:
        *etag = entity->hold.version;
        return true;
    case HF_QUERY_SUBSCRIPTION:
        *etag = reading->subscription.subscription->version;
        return true;
    case HF_QUERY_SAGA:
        *etag = reading->saga.saga->version;
        return true;
    case HF_QUERY_STREAM:
        *etag = entity->stream.version;
        return true;
    case HF_QUERY_DOCUMENT:
        *etag = query->has_version ? query->version : entity->document.version;
        return true;
    default:
        return false;
    }
}

/* What the sender of a push subscription tells. */
static const struct hf_push_status *push_status_of(const struct hf_call *call,
                                                   const struct hf_subscription *s,
                                                   struct hf_push_status *status)
{
    const struct hf_door_options *options = &call->door->options;
    return s != NULL && s->settings.push != NULL && status != NULL &&
                   options->push_status != NULL &&
                   options->push_status(options->deliver_context, s->uid, status)
               ? status
               : NULL;
}

static int render_subscription(struct hf_call *call, const struct hf_query *query,
                               const struct hf_reading *reading)
{
    struct hf_push_status status;
    struct hf_reading told = *reading;
    told.subscription.push = push_status_of(call, reading->subscription.subscription, &status);
    return hf_reading_json(&call->exchange->answer, query, &told);
}

static void render_thing(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct hf_call *call = request->context;
    struct hf_buffer *answer = &call->exchange->answer;
    const struct hf_query *query = &request->queries[index];
    hf_buffer_clear(answer);
    call->read_status = query->type == HF_QUERY_SUBSCRIPTION && reading->code == HF_ERR_OK
                            ? render_subscription(call, query, reading)
                            : hf_reading_json(answer, query, reading);
    call->has_etag = reading->code == HF_ERR_OK && hf_query_etag(query, reading, &call->etag);
    if (!call->has_etag) {
        return;
    }
    int status = hf_precondition_of_read(&call->precondition, call->etag);
    if (status != 200) {
        hf_buffer_clear(answer);
        call->read_status = status;
    }
    if (status == 412) {
        hf_problem_json(answer, HF_ERR_CONDITION_FAILED,
                        "The thing is at another version: see the ETag.", "");
    }
}

/* The position or key of the path. */
static bool take_other_subject(struct hf_call *call, struct hf_query *query)
{
    struct hf_str text = call->path.segments[2];
    if (query->type == HF_QUERY_KEY) {
        query->principal = call->caller.principal;
        query->key = text;
        bool valid = text.len > 0 && text.len <= HF_KEY_BYTES_MAX;
        for (size_t i = 0; valid && i < text.len; i++) {
            valid = text.ptr[i] >= 0x21 && text.ptr[i] <= 0x7E;
        }
        if (!valid) {
            (void)hf_call_invalid(call, "A key has 1 to 255 characters of U+0021 to U+007E.");
        }
        return valid;
    }
    hf_u128 position;
    if (!hf_u128_parse(text, &position) || position > HF_JSON_INTEGER_MAX) {
        (void)hf_call_invalid(call, "A commit is named by its position in digits.");
        return false;
    }
    query->position = (uint64_t)position;
    return true;
}

static bool may_read(const struct hf_call *call, const struct hf_query *query)
{
    const struct hf_caller *caller = &call->caller;
    if (query->type == HF_QUERY_COMMIT || query->type == HF_QUERY_TOTALS) {
        return hf_call_may_list(call, HF_STR("")); /* it tells of things of any name */
    }
    return hf_caller_may(caller, HF_SCOPE_READ, query->name.text);
}

enum hf_progress hf_route_thing(struct hf_call *call)
{
    struct hf_query *query = hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*query));
    if (query == NULL) {
        return short_memory(call);
    }
    query->type = call->route->query;
    bool named = query->type != HF_QUERY_KEY && query->type != HF_QUERY_COMMIT;
    bool reference = query->type == HF_QUERY_TRANSFER || query->type == HF_QUERY_HOLD ||
                     query->type == HF_QUERY_SAGA;
    if (named ? !hf_call_query_name(call, query, reference) : !take_other_subject(call, query)) {
        return HF_CALL_ANSWERED;
    }
    query->has_version = hf_str_present(hf_http_query_get(&call->query, "version"));
    if (!hf_http_query_number(&call->query, "version", &query->version, &call->malformed) ||
        (query->type == HF_QUERY_SAGA && !hf_call_take_saga_wait(call, query))) {
        return hf_call_malformed(call);
    }
    return may_read(call, query) ? hf_call_read(call, query, 1, render_thing) : forbidden(call);
}

/* ---- lists ---- */

static void render_plain(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct hf_call *call = request->context;
    hf_buffer_clear(&call->exchange->answer);
    for (uint32_t i = 0; i < reading->subscription_count; i++) {
        struct hf_subscription_reading *each = &reading->subscriptions[i];
        struct hf_push_status *status =
            each->subscription->settings.push == NULL
                ? NULL
                : hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*status));
        each->push = push_status_of(call, each->subscription, status);
    }
    call->read_status = hf_reading_json(&call->exchange->answer, &request->queries[index], reading);
}

static bool invalid(struct hf_call *call, const char *text)
{
    return hf_malformed_set(&call->malformed, HF_ERR_INVALID_REQUEST, "", "%s", text);
}

bool hf_call_take_limit(struct hf_call *call, struct hf_query *query)
{
    uint64_t limit = LIMIT_DEFAULT;
    if (!hf_http_query_number(&call->query, "limit", &limit, &call->malformed)) {
        return false;
    }
    query->limit = (uint32_t)hf_min_u64(limit, UINT32_MAX);
    return (limit >= 1 && limit <= HF_QUERY_LIMIT_MAX) || invalid(call, "limit is 1 to 1000");
}

bool hf_call_take_cursor(struct hf_call *call, struct hf_query *query)
{
    struct hf_str after = hf_http_query_get(&call->query, "after");
    if (!hf_str_present(after)) {
        return true;
    }
    switch (hf_cursor_decode(after, call->exchange->arena, query)) {
    case HF_CURSOR_OK:
        return true;
    case HF_CURSOR_MALFORMED:
        return invalid(call, "after is not the `next` of this list");
    case HF_CURSOR_NO_MEMORY:
        break;
    }
    return hf_malformed_set(&call->malformed, HF_ERR_NO_MEMORY, "", "out of memory");
}

/* ?account=: the account whose transfers or holds are listed. */
static bool take_account(struct hf_call *call, struct hf_query *query)
{
    struct hf_str account = hf_http_query_get(&call->query, "account");
    if (!hf_str_present(account) || !hf_name_valid(account)) {
        return invalid(call, "which account? ?account= names it");
    }
    return hf_name_make(account, call->exchange->arena, &query->name) ||
           hf_malformed_set(&call->malformed, HF_ERR_NO_MEMORY, "", "out of memory");
}

bool hf_hold_state_parse(struct hf_str text, enum hf_hold_state *state)
{
    static const struct hf_str names[] = {
        {"open", 4}, {"captured", 8}, {"voided", 6}, {"expired", 7}};
    for (size_t i = 0; i < HF_ARRAY_COUNT(names); i++) {
        if (hf_str_equal(text, names[i])) {
            *state = (enum hf_hold_state)(i + HF_HOLD_OPEN);
            return true;
        }
    }
    return false;
}

static bool take_filters(struct hf_call *call, struct hf_query *query)
{
    struct hf_str state = hf_http_query_get(&call->query, "state");
    query->prefix = hf_http_query_get(&call->query, "prefix");
    if (query->prefix.len > HF_NAME_BYTES_MAX) {
        return invalid(call, "a prefix has at most 128 bytes");
    }
    if (hf_str_present(state) && !hf_hold_state_parse(state, &query->hold_state)) {
        return invalid(call, "state is open, captured, voided or expired");
    }
    bool by_account = query->type == HF_QUERY_TRANSFERS || query->type == HF_QUERY_HOLDS;
    if (by_account && !take_account(call, query)) {
        return false;
    }
    bool from = hf_str_present(hf_http_query_get(&call->query, "from"));
    if (from && hf_str_present(hf_http_query_get(&call->query, "after"))) {
        return invalid(call, "give either from or after");
    }
    if (query->type == HF_QUERY_STREAM_EVENTS) {
        query->from = 1;
    }
    return hf_http_query_number(&call->query, "from", &query->from, &call->malformed) &&
           hf_call_take_limit(call, query) && hf_call_take_cursor(call, query);
}

enum hf_progress hf_route_list(struct hf_call *call)
{
    struct hf_query *query = hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*query));
    if (query == NULL) {
        return short_memory(call);
    }
    query->type = call->route->query;
    bool of_saga = query->type == HF_QUERY_SAGA_HISTORY;
    bool of_one =
        query->type == HF_QUERY_ENTRIES || query->type == HF_QUERY_STREAM_EVENTS || of_saga;
    if (of_one && !hf_call_query_name(call, query, of_saga)) {
        return HF_CALL_ANSWERED;
    }
    if (!take_filters(call, query)) {
        return hf_call_malformed(call);
    }
    bool by_name = query->type == HF_QUERY_ACCOUNTS || query->type == HF_QUERY_STREAMS ||
                   query->type == HF_QUERY_DOCUMENTS || query->type == HF_QUERY_SUBSCRIPTIONS;
    bool may = by_name ? hf_call_may_list(call, query->prefix) : may_read(call, query);
    return may ? hf_call_read(call, query, 1, render_plain) : forbidden(call);
}

/* ---- totals ---- */

enum hf_progress hf_route_totals(struct hf_call *call)
{
    struct hf_query *query = hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*query));
    if (query == NULL) {
        return short_memory(call);
    }
    query->type = HF_QUERY_TOTALS;
    if (!hf_asset_parse(call->path.segments[2], &query->asset)) {
        return hf_call_invalid(call, "An asset is CODE/scale; in a path USD%2F2 stands for USD/2.");
    }
    return may_read(call, query) ? hf_call_read(call, query, 1, render_plain) : forbidden(call);
}
