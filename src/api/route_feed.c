/* GET /v1/feed: from a request to a reader, and what it reads back to the peer. */
#include <stdio.h>

#include "api/http_accept.h"
#include "api/route_feed.h"
#include "base/check.h"

#define PAGE_LIMIT 100
#define WAIT_MAX   30 /* seconds */
#define RECHECK_US HF_FEED_HEARTBEAT_US

static const struct hf_str offers[] = {
    [HF_FEED_PAGE] = {"application/json", 16},
    [HF_FEED_BATCH] = {"application/cloudevents-batch+json", 34},
    [HF_FEED_LINES] = {"application/x-ndjson", 20},
    [HF_FEED_SSE] = {"text/event-stream", 17},
};

/* ---- the request ---- */

static bool invalid(struct hf_call *call, const char *text)
{
    return hf_malformed_set(&call->malformed, HF_ERR_INVALID_REQUEST, "", "%s", text);
}

bool hf_call_take_feed_filter(struct hf_call *call, struct hf_filter *filter)
{
    const struct hf_http_query *query = &call->query;
    struct hf_str types[HF_FILTER_TYPES_MAX + 1];
    struct hf_filter_fields fields = {
        .topic = hf_http_query_get(query, "topic"),
        .prefix = hf_http_query_get(query, "prefix"),
        .asset = hf_http_query_get(query, "asset"),
        .bucket = hf_http_query_get(query, "bucket"),
        .types = types,
    };
    struct hf_str list = hf_http_query_get(query, "types");
    for (size_t at = 0; hf_str_present(list) && at <= list.len;) {
        const char *comma = at < list.len ? memchr(list.ptr + at, ',', list.len - at) : NULL;
        size_t end = comma == NULL ? list.len : (size_t)(comma - list.ptr);
        if (fields.type_count == HF_ARRAY_COUNT(types)) {
            break; /* one too many: refused below */
        }
        types[fields.type_count++] = (struct hf_str){list.ptr + at, end - at};
        at = end + 1;
    }
    if (hf_filter_make(&fields, call->exchange->arena, filter, &call->malformed)) {
        return true;
    }
    call->malformed.pointer[0] = '\0'; /* it is in the query */
    return false;
}

/* One of after, from, position, time; Last-Event-ID wins, for a browser repeats the first request's query. */
static bool take_start(struct hf_call *call, struct hf_feed_reader *reader)
{
    const struct hf_http_query *query = &call->query;
    struct hf_str from = hf_http_query_get(query, "from");
    struct hf_str after = hf_http_query_get(query, "after");
    struct hf_str last = hf_http_header(call->exchange, HF_STR("last-event-id"), NULL);
    bool has_position = hf_str_present(hf_http_query_get(query, "position"));
    bool has_time = false;
    if (!hf_http_query_number(query, "position", &reader->number, &call->malformed) ||
        !hf_http_query_time(query, "time", &has_time, &reader->number, &call->malformed)) {
        return false;
    }
    if (hf_str_present(from) + hf_str_present(after) + has_position + has_time > 1) {
        return invalid(call, "give one of after, from, position and time");
    }
    if (has_position && reader->number == 0) {
        return invalid(call, "positions begin with 1");
    }
    reader->from = has_position ? HF_FEED_FROM_POSITION
                   : has_time   ? HF_FEED_FROM_TIME
                                : HF_FEED_FROM_BEGINNING;
    if (hf_str_present(from)) {
        bool now = hf_str_equal(from, HF_STR("now"));
        if (!now && !hf_str_equal(from, HF_STR("beginning"))) {
            return invalid(call, "from is beginning or now");
        }
        reader->from = now ? HF_FEED_FROM_NOW : HF_FEED_FROM_BEGINNING;
    }
    if (hf_str_present(after) || last.len > 0) {
        reader->from = HF_FEED_FROM_CURSOR;
        reader->cursor = last.len > 0 ? last : after;
    }
    return true;
}

static bool take_amount(struct hf_call *call, struct hf_feed_reader *reader)
{
    struct hf_outside *outside = call->door->options.outside;
    const struct hf_http_query *query = &call->query;
    bool streams = hf_feed_form_streams(reader->form);
    uint64_t wait = 0;
    reader->limit = streams ? UINT64_MAX : PAGE_LIMIT;
    reader->follows = reader->form == HF_FEED_SSE;
    if (!hf_http_query_number(query, "limit", &reader->limit, &call->malformed) ||
        !hf_http_query_number(query, "wait", &wait, &call->malformed) ||
        !hf_http_query_bool(query, "follow", &reader->follows, &call->malformed)) {
        return false;
    }
    if (reader->limit == 0 || (!streams && reader->limit > HF_QUERY_LIMIT_MAX)) {
        return invalid(call, "limit is 1 to 1000");
    }
    if (wait > WAIT_MAX) {
        return invalid(call, "wait is 0 to 30 seconds");
    }
    if (streams && wait > 0) {
        return invalid(call, "wait is for pages: a stream follows with follow=true");
    }
    if (!streams && hf_str_present(hf_http_query_get(query, "follow"))) {
        return invalid(call, "follow is for streams: a page waits with wait=SECONDS");
    }
    if (wait > 0) {
        reader->deadline_us = outside->monotonic_us(outside) + wait * 1000000;
    }
    return true;
}

/* ---- the lanes ---- */

static void done(struct hf_feed_reader *reader)
{
    struct hf_call *call = reader->context;
    hf_http_resume(call->exchange);
}

static bool is_short(void *context)
{
    const struct hf_call *call = context;
    return hf_node_memory_level(call->door->options.node) != HF_MEMORY_ROOM;
}

bool hf_feed_send_on(struct hf_call *call)
{
    struct hf_feeding *feeding = call->work;
    atomic_store_explicit(&feeding->reader.recalled, feeding->over, memory_order_relaxed);
    feeding->in_lane = hf_feed_submit(call->door->feed, &feeding->reader);
    return feeding->in_lane;
}

enum hf_progress hf_feed_end_stream(struct hf_call *call)
{
    hf_http_end(call->exchange); /* the call is gone with it */
    return HF_CALL_UNDER_WAY;
}

/* ---- what the lanes give back ---- */

static enum hf_progress refused(struct hf_call *call, const struct hf_feed_reader *reader)
{
    enum hf_progress progress = hf_call_problem(call, reader->code, reader->detail, "");
    struct hf_buffer *answer = &call->exchange->answer;
    if (reader->first_position > 0 && !answer->failed) {
        answer->size_bytes--; /* the closing brace */
        hf_buffer_format(answer, ",\"first_position\":%llu}",
                         (unsigned long long)reader->first_position);
    }
    return progress;
}

static void put_cursor_header(struct hf_call *call, const struct hf_feed_progress *progress)
{
    struct hf_buffer text;
    hf_buffer_init(&text);
    hf_feed_cursor_encode(&text, &progress->next, progress->mark);
    if (!text.failed) {
        hf_call_header(call, "Holdfast-Cursor", "%.*s", (int)text.size_bytes,
                       (const char *)text.data);
    }
    hf_buffer_release(&text);
}

enum hf_progress hf_feed_answer_page(struct hf_call *call, const struct hf_feed_progress *progress)
{
    put_cursor_header(call, progress);
    hf_call_header_number(call, "Holdfast-Position", "", progress->head, "");
    call->status = 200;
    call->content_type = offers[((struct hf_feeding *)call->work)->reader.form].ptr;
    return HF_CALL_ANSWERED;
}

static bool begin_stream(struct hf_call *call)
{
    call->status = 200;
    call->content_type = offers[((struct hf_feeding *)call->work)->reader.form].ptr;
    return hf_call_begin_stream(call);
}

static enum hf_progress too_many_streams(struct hf_call *call)
{
    call->headers_bytes = 0;
    return hf_call_problem(call, HF_ERR_OVERLOADED,
                           "As many streams as /v1/limits tells are open: ask again later.", "");
}

/* A stream lives long: has the token ended meanwhile, or other names? */
static bool still_allowed(struct hf_call *call)
{
    struct hf_feeding *feeding = call->work;
    struct hf_outside *outside = call->door->options.outside;
    uint64_t now_us = outside->monotonic_us(outside);
    if (now_us - feeding->checked_us < RECHECK_US) {
        return true;
    }
    feeding->checked_us = now_us;
    struct hf_arena arena;
    struct hf_http_exchange again = *call->exchange;
    struct hf_caller caller;
    const char *detail;
    hf_arena_init(&arena);
    again.arena = &arena;
    enum hf_err err = hf_access_check(call->door->options.access, &again, &caller, &detail);
    bool same = err == HF_ERR_OK && caller.scopes == call->caller.scopes &&
                caller.name_count == call->caller.name_count &&
                (caller.names == NULL) == (call->caller.names == NULL);
    for (size_t i = 0; same && caller.names != NULL && i < caller.name_count; i++) {
        same = hf_str_equal(caller.names[i], call->caller.names[i]);
    }
    hf_arena_release(&arena);
    return same;
}

enum hf_feed_piece hf_feed_send_piece(struct hf_call *call, enum hf_progress *progress)
{
    struct hf_feeding *feeding = call->work;
    *progress = HF_CALL_UNDER_WAY;
    if (!feeding->begun) {
        if (call->exchange->answer.failed) {
            *progress = hf_call_undecided(call, HF_ERR_NO_MEMORY);
            return HF_FEED_NOT_SENT;
        }
        if (!begin_stream(call)) {
            *progress = too_many_streams(call);
            return HF_FEED_NOT_SENT;
        }
        feeding->begun = true;
    }
    feeding->over = feeding->over || !still_allowed(call);
    return hf_http_piece(call->exchange) ? HF_FEED_SENT : HF_FEED_SENT_FULL;
}

static enum hf_progress go_on_stream(struct hf_call *call)
{
    struct hf_feeding *feeding = call->work;
    enum hf_progress progress;
    enum hf_feed_piece piece = hf_feed_send_piece(call, &progress);
    if (piece == HF_FEED_NOT_SENT) {
        return progress;
    }
    bool ends = feeding->reader.result == HF_FEED_DONE || feeding->over;
    if (ends || (piece == HF_FEED_SENT && !hf_feed_send_on(call))) {
        return hf_feed_end_stream(call);
    }
    return HF_CALL_UNDER_WAY; /* full: until notice ROOM */
}

static enum hf_progress come_back(struct hf_call *call)
{
    struct hf_feeding *feeding = call->work;
    const struct hf_feed_reader *reader = &feeding->reader;
    feeding->in_lane = false;
    if (reader->result == HF_FEED_REFUSED) {
        return refused(call, reader);
    }
    return hf_feed_form_streams(reader->form) ? go_on_stream(call)
                                              : hf_feed_answer_page(call, &reader->progress);
}

static enum hf_progress take_notice(struct hf_call *call, enum hf_http_notice what)
{
    struct hf_feeding *feeding = call->work;
    feeding->over = feeding->over || what != HF_HTTP_ROOM;
    if (feeding->in_lane) {
        if (feeding->over) {
            hf_feed_recall(call->door->feed, &feeding->reader);
        }
        return HF_CALL_UNDER_WAY; /* it comes back */
    }
    return feeding->over || !hf_feed_send_on(call) ? hf_feed_end_stream(call) : HF_CALL_UNDER_WAY;
}

/* ---- the route ---- */

enum hf_progress hf_feed_begin_reading(struct hf_call *call)
{
    call->finish = come_back;
    call->notice = take_notice;
    return hf_feed_send_on(call) ? HF_CALL_UNDER_WAY : hf_call_undecided(call, HF_ERR_NO_MEMORY);
}

enum hf_progress hf_route_feed(struct hf_call *call)
{
    int form = hf_http_accept(call->exchange, offers, HF_ARRAY_COUNT(offers));
    struct hf_feeding *feeding = hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*feeding));
    if (feeding == NULL) {
        return hf_call_undecided(call, HF_ERR_NO_MEMORY);
    }
    if (form < 0) {
        return hf_call_problem(call, HF_ERR_NOT_ACCEPTABLE,
                               "The feed comes as application/json, application/x-ndjson, "
                               "text/event-stream or application/cloudevents-batch+json.",
                               "");
    }
    struct hf_feed_reader *reader = &feeding->reader;
    struct hf_outside *outside = call->door->options.outside;
    reader->form = (enum hf_feed_form)form;
    reader->caller = &call->caller;
    reader->out = &call->exchange->answer;
    reader->done = done;
    reader->is_short = is_short;
    reader->context = call;
    feeding->checked_us = outside->monotonic_us(outside);
    if (!take_start(call, reader) || !take_amount(call, reader) ||
        !hf_call_take_feed_filter(call, &reader->filter)) {
        return hf_call_malformed(call);
    }
    if (!hf_caller_may(&call->caller, HF_SCOPE_READ, HF_STR_NONE)) {
        return hf_call_problem(call, HF_ERR_FORBIDDEN, "This needs the scope read.", "");
    }
    call->work = feeding;
    hf_call_header(call, "Cache-Control", "no-store");
    bool streams = hf_feed_form_streams(reader->form);
    if (streams && call->exchange->method == HF_HTTP_HEAD) {
        return begin_stream(call) ? hf_feed_end_stream(call) : too_many_streams(call);
    }
    if (reader->follows || reader->deadline_us != 0) {
        hf_http_watch(call->exchange);
    }
    return hf_str_present(hf_http_query_get(&call->query, "snapshot"))
               ? hf_route_snapshot(call)
               : hf_feed_begin_reading(call);
}
