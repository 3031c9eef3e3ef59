/*
 * POST /v1/read: many reads at one position.
 *
 *   {"reads":[{"account":"users:42"},{"document":"d","version":3},{"events":"orders:1","from":5,"limit":10}]}
 *   200 {"position":17,"results":[{"status":200,"version":4,"body":{…}},{"status":404,"body":{problem}},…]}
 *
 * Each read names one thing by its kind; `version` in a result is what its ETag would be.
 */
#include <stdio.h>

#include "api/cursor.h"
#include "api/door_priv.h"
#include "api/json_write.h"
#include "api/reading_json.h"
#include "base/json.h"
#include "base/time_text.h"

/* What a read may say besides its subject. */
enum option {
    TAKES_VERSION = 1,
    TAKES_FROM = 2,
    TAKES_LIMIT = 4,
    TAKES_AFTER = 8,
    TAKES_STATE = 16,
    TAKES_POINT = 32, /* at, at_version, at_position, clock */
};
#define TAKES_PAGE (TAKES_LIMIT | TAKES_AFTER)

enum subject {
    SUBJECT_NAME,
    SUBJECT_REFERENCE, /* of a transfer or hold */
    SUBJECT_PREFIX,
    SUBJECT_KEY,
    SUBJECT_ASSET,
};

static const struct kind {
    struct hf_str name;
    enum hf_query_type type;
    enum subject subject;
    unsigned options;
} kinds[] = {
    {{"account", 7}, HF_QUERY_ACCOUNT, SUBJECT_NAME, 0},
    {{"transfer", 8}, HF_QUERY_TRANSFER, SUBJECT_REFERENCE, 0},
    {{"hold", 4}, HF_QUERY_HOLD, SUBJECT_REFERENCE, 0},
    {{"stream", 6}, HF_QUERY_STREAM, SUBJECT_NAME, 0},
    {{"document", 8}, HF_QUERY_DOCUMENT, SUBJECT_NAME, TAKES_VERSION},
    {{"lease", 5}, HF_QUERY_LEASE, SUBJECT_NAME, 0},
    {{"key", 3}, HF_QUERY_KEY, SUBJECT_KEY, 0},
    {{"events", 6}, HF_QUERY_STREAM_EVENTS, SUBJECT_NAME, TAKES_FROM | TAKES_PAGE},
    {{"entries", 7}, HF_QUERY_ENTRIES, SUBJECT_NAME, TAKES_PAGE},
    {{"balance", 7}, HF_QUERY_BALANCE, SUBJECT_NAME, TAKES_POINT},
    {{"transfers", 9}, HF_QUERY_TRANSFERS, SUBJECT_NAME, TAKES_PAGE},
    {{"holds", 5}, HF_QUERY_HOLDS, SUBJECT_NAME, TAKES_PAGE | TAKES_STATE},
    {{"accounts", 8}, HF_QUERY_ACCOUNTS, SUBJECT_PREFIX, TAKES_PAGE},
    {{"streams", 7}, HF_QUERY_STREAMS, SUBJECT_PREFIX, TAKES_PAGE},
    {{"documents", 9}, HF_QUERY_DOCUMENTS, SUBJECT_PREFIX, TAKES_PAGE},
    {{"totals", 6}, HF_QUERY_TOTALS, SUBJECT_ASSET, 0},
};

#define LIMIT_DEFAULT 100
/* Items that the reads of a request may look at, in one go on the node's thread. A list of transfers, holds or
 * documents counts as 1,000 whatever its limit, for it filters: an account with its transfers and holds fits. */
#define WEIGHT_MAX (4 * HF_QUERY_LIMIT_MAX)

struct reads {
    struct hf_call *call;     /* whose body it is */
    struct hf_json json;      /* where we are in it */
    struct hf_query *queries; /* HF_QUERIES_MAX of them */
    uint32_t count;           /* queries so far */
    uint64_t weight;          /* of all of them */
};

/* One read's members before they are put together. */
struct item {
    const struct kind *kind;                                /* NULL: not named yet */
    struct hf_str after;                                    /* a cursor, or absent */
    bool has_from, has_at, has_at_version, has_at_position; /* the member was there */
    unsigned options;                                       /* of enum option: given */
};

static bool refuse(struct reads *reads, const char *member, const char *what)
{
    char pointer[64];
    (void)snprintf(pointer, sizeof(pointer), "/reads/%u%s%s", reads->count,
                   member == NULL ? "" : "/", member == NULL ? "" : member);
    return hf_malformed_set(&reads->call->malformed, HF_ERR_INVALID_REQUEST, pointer, "%s", what);
}

static bool refuse_token(struct reads *reads, const char *member, const char *what)
{
    struct hf_error error = {0};
    if (reads->json.token != HF_JSON_ERROR) {
        return refuse(reads, member, what);
    }
    enum hf_err code = hf_json_error(&reads->json, &error);
    return hf_malformed_set(&reads->call->malformed, code, "", "%s", error.text);
}

static bool short_memory(struct reads *reads)
{
    return hf_malformed_set(&reads->call->malformed, HF_ERR_NO_MEMORY, "", "out of memory");
}

static bool take_string(struct reads *reads, const char *member, struct hf_str *text)
{
    if (hf_json_next(&reads->json) != HF_JSON_STRING) {
        return refuse_token(reads, member, "must be a string");
    }
    *text = hf_json_string(&reads->json, reads->call->exchange->arena);
    return hf_str_present(*text) || short_memory(reads);
}

static bool take_number(struct reads *reads, const char *member, uint64_t *number)
{
    if (hf_json_next(&reads->json) != HF_JSON_NUMBER || !hf_json_integer(reads->json.raw, number)) {
        return refuse_token(reads, member, "must be an integer from 0 to 2^53 - 1");
    }
    return true;
}

static bool take_subject(struct reads *reads, struct item *item, const struct kind *kind,
                         struct hf_query *query)
{
    struct hf_str text = HF_STR_NONE;
    struct hf_arena *arena = reads->call->exchange->arena;
    if (item->kind != NULL) {
        return refuse(reads, kind->name.ptr, "a read names one thing");
    }
    item->kind = kind;
    query->type = kind->type;
    if (!take_string(reads, kind->name.ptr, &text)) {
        return false;
    }
    switch (kind->subject) {
    case SUBJECT_NAME:
    case SUBJECT_REFERENCE:
        if (kind->subject == SUBJECT_NAME ? !hf_name_valid(text) : !hf_name_valid_reference(text)) {
            return refuse(reads, kind->name.ptr, "this is no name");
        }
        return hf_name_make(text, arena, &query->name) || short_memory(reads);
    case SUBJECT_PREFIX:
        query->prefix = text;
        return text.len <= HF_NAME_BYTES_MAX ||
               refuse(reads, kind->name.ptr, "a prefix has at most 128 bytes");
    case SUBJECT_KEY:
        query->principal = reads->call->caller.principal;
        query->key = text;
        return (text.len > 0 && text.len <= HF_KEY_BYTES_MAX) ||
               refuse(reads, kind->name.ptr, "a key has 1 to 255 bytes");
    case SUBJECT_ASSET:
        return hf_asset_parse(text, &query->asset) ||
               refuse(reads, kind->name.ptr, "an asset is CODE/scale, for example USD/2");
    }
    return false;
}

static bool take_limit(struct reads *reads, struct hf_query *query)
{
    uint64_t limit = 0;
    if (!take_number(reads, "limit", &limit)) {
        return false;
    }
    query->limit = (uint32_t)hf_min_u64(limit, UINT32_MAX);
    return (limit >= 1 && limit <= HF_QUERY_LIMIT_MAX) || refuse(reads, "limit", "from 1 to 1000");
}

static bool take_at(struct reads *reads, struct item *item, struct hf_query *query)
{
    struct hf_str text = HF_STR_NONE;
    item->has_at = true;
    return take_string(reads, "at", &text) &&
           (hf_time_parse(text, &query->at_us) ||
            refuse(reads, "at", "a time is RFC 3339 in UTC, for example 2020-08-30T17:44:25Z"));
}

static bool take_clock(struct reads *reads, struct hf_query *query)
{
    struct hf_str text = HF_STR_NONE;
    return take_string(reads, "clock", &text) &&
           (hf_clock_parse(text, &query->clock) || refuse(reads, "clock", "recorded or effective"));
}

static bool take_state(struct reads *reads, struct hf_query *query)
{
    struct hf_str text = HF_STR_NONE;
    return take_string(reads, "state", &text) &&
           (hf_hold_state_parse(text, &query->hold_state) ||
            refuse(reads, "state", "open, captured, voided or expired"));
}

/* The member whose name is the current token. */
static bool take_member(struct reads *reads, struct item *item, struct hf_query *query)
{
    struct hf_json *json = &reads->json;
    for (size_t i = 0; i < HF_ARRAY_COUNT(kinds); i++) {
        if (hf_json_is(json, kinds[i].name)) {
            return take_subject(reads, item, &kinds[i], query);
        }
    }
    if (hf_json_is(json, HF_STR("version"))) {
        item->options |= TAKES_VERSION;
        query->has_version = true;
        return take_number(reads, "version", &query->version);
    }
    if (hf_json_is(json, HF_STR("from"))) {
        item->options |= TAKES_FROM;
        item->has_from = true;
        return take_number(reads, "from", &query->from);
    }
    if (hf_json_is(json, HF_STR("limit"))) {
        item->options |= TAKES_LIMIT;
        return take_limit(reads, query);
    }
    if (hf_json_is(json, HF_STR("after"))) {
        item->options |= TAKES_AFTER;
        return take_string(reads, "after", &item->after);
    }
    if (hf_json_is(json, HF_STR("state"))) {
        item->options |= TAKES_STATE;
        return take_state(reads, query);
    }
    item->options |= TAKES_POINT;
    if (hf_json_is(json, HF_STR("at"))) {
        return take_at(reads, item, query);
    }
    if (hf_json_is(json, HF_STR("at_version"))) {
        item->has_at_version = true;
        return take_number(reads, "at_version", &query->version);
    }
    if (hf_json_is(json, HF_STR("at_position"))) {
        item->has_at_position = true;
        return take_number(reads, "at_position", &query->position);
    }
    if (hf_json_is(json, HF_STR("clock"))) {
        return take_clock(reads, query);
    }
    return refuse(reads, NULL, "unknown member of a read");
}

static bool take_point(struct reads *reads, const struct item *item, struct hf_query *query)
{
    unsigned points = (item->has_at ? 1u : 0) + (item->has_at_version ? 1u : 0) +
                      (item->has_at_position ? 1u : 0);
    query->at = item->has_at           ? HF_AT_TIME
                : item->has_at_version ? HF_AT_VERSION
                : points == 1          ? HF_AT_POSITION
                                       : HF_AT_NOW;
    if (points > 1) {
        return refuse(reads, NULL, "give one of at, at_version and at_position");
    }
    return query->clock == HF_CLOCK_RECORDED || query->at == HF_AT_TIME ||
           refuse(reads, "clock", "effective goes with at");
}

static bool put_together(struct reads *reads, const struct item *item, struct hf_query *query)
{
    if (item->kind == NULL) {
        return refuse(reads, NULL, "which thing? name an account, document, stream, …");
    }
    if ((item->options & ~item->kind->options) != 0) {
        return refuse(reads, NULL, "this kind of read takes no such member");
    }
    if (item->has_from && hf_str_present(item->after)) {
        return refuse(reads, "after", "give either from or after");
    }
    query->limit = query->limit == 0 ? LIMIT_DEFAULT : query->limit;
    if (query->type == HF_QUERY_STREAM_EVENTS && !item->has_from) {
        query->from = 1;
    }
    if (!take_point(reads, item, query)) {
        return false;
    }
    if (hf_str_present(item->after)) {
        switch (hf_cursor_decode(item->after, reads->call->exchange->arena, query)) {
        case HF_CURSOR_OK:
            break;
        case HF_CURSOR_MALFORMED:
            return refuse(reads, "after", "this is not the `next` of this list");
        case HF_CURSOR_NO_MEMORY:
            return short_memory(reads);
        }
    }
    reads->weight += hf_query_weight(query);
    return true;
}

static bool take_read(struct reads *reads)
{
    struct item item = {0};
    if (reads->count == HF_QUERIES_MAX) {
        return hf_malformed_set(&reads->call->malformed, HF_ERR_TOO_LARGE, "/reads",
                                "at most %d reads in one request", HF_QUERIES_MAX);
    }
    struct hf_query *query = &reads->queries[reads->count];
    if (reads->json.token != HF_JSON_OBJECT_BEGIN) {
        return refuse_token(reads, NULL, "must be an object");
    }
    while (hf_json_next(&reads->json) == HF_JSON_NAME) {
        if (!take_member(reads, &item, query)) {
            return false;
        }
    }
    if (reads->json.token != HF_JSON_OBJECT_END) {
        return refuse_token(reads, NULL, "");
    }
    bool ok = put_together(reads, &item, query);
    reads->count += ok;
    return ok;
}

static bool next_is(struct reads *reads, enum hf_json_token token)
{
    return hf_json_next(&reads->json) == token;
}

static bool refuse_body(struct reads *reads)
{
    if (reads->json.token == HF_JSON_ERROR) {
        return refuse_token(reads, NULL, "");
    }
    return hf_malformed_set(&reads->call->malformed, HF_ERR_INVALID_REQUEST, "",
                            "a read is an object {\"reads\":[{\"account\":\"users:42\"},…]}");
}

static bool take_body(struct reads *reads)
{
    struct hf_malformed *malformed = &reads->call->malformed;
    hf_json_init(&reads->json, reads->call->exchange->body, reads->call->exchange->arena);
    if (!next_is(reads, HF_JSON_OBJECT_BEGIN) || !next_is(reads, HF_JSON_NAME) ||
        !hf_json_is(&reads->json, HF_STR("reads")) || !next_is(reads, HF_JSON_ARRAY_BEGIN)) {
        return refuse_body(reads);
    }
    while (!next_is(reads, HF_JSON_ARRAY_END)) {
        if (!take_read(reads)) {
            return false;
        }
    }
    if (!next_is(reads, HF_JSON_OBJECT_END) || !next_is(reads, HF_JSON_END)) {
        return refuse_body(reads);
    }
    if (reads->count == 0) {
        return hf_malformed_set(malformed, HF_ERR_INVALID_REQUEST, "/reads", "one read at least");
    }
    return reads->count == 1 || reads->weight <= WEIGHT_MAX ||
           hf_malformed_set(malformed, HF_ERR_TOO_LARGE, "/reads",
                            "these reads may look at more than %d items together: ask for fewer "
                            "lists, or set limits",
                            WEIGHT_MAX);
}

static bool may_read_all(const struct reads *reads)
{
    const struct hf_call *call = reads->call;
    for (uint32_t i = 0; i < reads->count; i++) {
        const struct hf_query *query = &reads->queries[i];
        bool list = query->type == HF_QUERY_ACCOUNTS || query->type == HF_QUERY_STREAMS ||
                    query->type == HF_QUERY_DOCUMENTS || query->type == HF_QUERY_TOTALS;
        if (list ? !hf_call_may_list(call, query->prefix)
                 : !hf_caller_may(&call->caller, HF_SCOPE_READ, query->name.text)) {
            return false;
        }
    }
    return true;
}

/* On the node's thread, for index 0, 1, …, perhaps from 0 again. */
static void render(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct hf_call *call = request->context;
    struct hf_buffer *answer = &call->exchange->answer;
    const struct hf_query *query = &request->queries[index];
    uint64_t version;
    if (index == 0) {
        hf_buffer_clear(answer);
        hf_buffer_format(answer, "{\"position\":%llu,\"results\":[",
                         (unsigned long long)reading->position);
    }
    hf_buffer_format(answer, "%s{\"status\":%d", index == 0 ? "" : ",",
                     hf_err_status(reading->code));
    if (reading->code == HF_ERR_OK && hf_query_etag(query, reading, &version)) {
        hf_buffer_format(answer, ",\"version\":%llu", (unsigned long long)version);
    }
    hf_buffer_text(answer, ",\"body\":");
    (void)hf_reading_json(answer, query, reading);
    hf_buffer_text(answer, index + 1 == request->query_count ? "}]}" : "}");
    call->read_status = 200;
}

enum hf_progress hf_route_read(struct hf_call *call)
{
    struct hf_arena *arena = call->exchange->arena;
    struct reads *reads = hf_arena_alloc_zero(arena, 1, sizeof(*reads));
    if (reads != NULL) {
        reads->call = call;
        reads->queries = hf_arena_alloc_zero(arena, HF_QUERIES_MAX, sizeof(*reads->queries));
    }
    if (reads == NULL || reads->queries == NULL) {
        return hf_call_undecided(call, HF_ERR_NO_MEMORY);
    }
    if (!take_body(reads)) {
        return hf_call_malformed(call);
    }
    if (!may_read_all(reads)) {
        return hf_call_problem(call, HF_ERR_FORBIDDEN,
                               "The token's scopes or names do not cover one of the reads.", "");
    }
    return hf_call_read(call, reads->queries, reads->count, render);
}
