/*
 * Sagas: PUT, POST, lists, history.
 *
 *   start ─► commit ─┬─► 201 its result
 *                    └─► (wait) a read that waits in the node ─► 201 the saga as it is then
 *   the same id and content again ─► a read ─► 200 the saga as it is
 *
 * Whatever becomes of the read: the saga is started, so the answer is never less than the commit's result.
 */
#include "api/door_priv.h"
#include "api/reading_json.h"
#include "api/saga_body.h"
#include "api/saga_json.h"
#include "core/saga_wire.h"

#define WAIT_S_MAX 30

struct starting {
    struct hf_query query;     /* the saga as it is */
    struct hf_str result;      /* the commit's result, in the exchange's arena */
    uint64_t version;          /* in which the commit left the saga */
    int status;                /* 201: started now */
    uint64_t wait_deadline_us; /* 0 = it does not wait */
    bool again;                /* PUT: the same again is answered by the saga as it is */
};

/* ---- waiting ---- */

/* ?wait=10s (or 10): *deadline_us 0: there is none. false: call->malformed. */
static bool take_wait(struct hf_call *call, uint64_t *deadline_us)
{
    struct hf_outside *outside = call->door->options.outside;
    struct hf_str text = hf_http_query_get(&call->query, "wait");
    hf_u128 seconds = 0;
    *deadline_us = 0;
    if (!hf_str_present(text)) {
        return true;
    }
    text.len -= text.len > 0 && text.ptr[text.len - 1] == 's' ? 1 : 0;
    if (!hf_u128_parse(text, &seconds) || seconds > WAIT_S_MAX) {
        return hf_malformed_set(&call->malformed, HF_ERR_INVALID_REQUEST, "",
                                "wait is 0 to %d seconds: wait=10s", WAIT_S_MAX);
    }
    if (seconds > 0) {
        *deadline_us = outside->monotonic_us(outside) + (uint64_t)seconds * 1000000;
    }
    return true;
}

static void wait_in_node(struct hf_call *call, struct hf_query *query, uint64_t deadline_us)
{
    if (deadline_us != 0) {
        query->until_settled = true;
        call->deadline_us = deadline_us;
        call->withdraws = true;
        hf_http_watch(call->exchange);
    }
}

bool hf_call_take_saga_wait(struct hf_call *call, struct hf_query *query)
{
    uint64_t deadline_us = 0;
    if (!take_wait(call, &deadline_us)) {
        return false;
    }
    wait_in_node(call, query, deadline_us);
    return true;
}

/* ---- start ---- */

/* On the node's thread. */
static void render_saga(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct hf_call *call = request->context;
    struct hf_buffer *answer = &call->exchange->answer;
    hf_buffer_clear(answer);
    call->read_status = hf_reading_json(answer, &request->queries[index], reading);
    call->has_etag = reading->code == HF_ERR_OK;
    call->etag = reading->code == HF_ERR_OK ? reading->saga.saga->version : 0;
}

static void put_location(struct hf_call *call, struct hf_str name)
{
    hf_call_header_text(call, "Location", "/v1/sagas/", name, "");
}

/* The commit's own result: what is said without a read, or when the read could not be made. */
static enum hf_progress answer_result(struct hf_call *call, const struct starting *starting)
{
    struct hf_buffer *answer = &call->exchange->answer;
    hf_buffer_clear(answer);
    hf_buffer_bytes(answer, starting->result.ptr, starting->result.len);
    if (starting->status == 201) {
        put_location(call, starting->query.name.text);
    }
    return hf_call_json(call, starting->status);
}

static enum hf_progress saga_read(struct hf_call *call)
{
    struct starting *starting = call->work;
    if (!call->request.answer.decided || call->read_status != 200) {
        call->has_answer = true;
        return answer_result(call, starting); /* the server stops, or the saga was forgotten */
    }
    if (starting->status == 201) {
        put_location(call, starting->query.name.text);
    }
    call->read_status = starting->status;
    return hf_call_read_answer(call);
}

static enum hf_progress read_saga(struct hf_call *call, struct starting *starting)
{
    hf_answer_release(&call->request.answer);
    call->has_answer = false;
    starting->query.type = HF_QUERY_SAGA;
    wait_in_node(call, &starting->query, starting->wait_deadline_us);
    enum hf_progress progress = hf_call_read(call, &starting->query, 1, render_saga);
    call->finish = saga_read;
    return progress == HF_CALL_UNDER_WAY ? progress : answer_result(call, starting);
}

/* Copies what the answer needs of the commit, whose frame goes when the read is made. */
static bool keep_result(struct hf_call *call, struct starting *starting,
                        const struct hf_commit *commit)
{
    struct hf_arena *arena = call->exchange->arena;
    const struct hf_event *event = hf_call_last_event(commit, HF_EVENT_SAGA_STARTED);
    struct hf_buffer *answer = &call->exchange->answer;
    struct hf_name name = call->command.ops[0].subject;
    if (event == NULL) { /* nothing was recorded: it was there */
        struct hf_json_writer w = hf_json_writer_over(answer);
        hf_json_begin_object(&w, NULL);
        hf_json_put_null(&w, "position");
        hf_json_put_text(&w, "op", HF_STR("start_saga"));
        hf_json_put_text(&w, "saga", name.text);
        hf_json_end_object(&w);
    } else {
        name = event->saga->saga;
        starting->version = hf_saga_left_by(commit, event)->version;
        hf_answer_event_json(answer, commit, event);
    }
    starting->query.name.id = name.id;
    starting->query.name.text = hf_arena_copy(arena, name.text);
    starting->result =
        hf_arena_copy(arena, (struct hf_str){(const char *)answer->data, answer->size_bytes});
    bool ok = !answer->failed && hf_str_present(starting->query.name.text) &&
              hf_str_present(starting->result);
    hf_buffer_clear(answer);
    return ok;
}

static enum hf_progress started(struct hf_call *call)
{
    struct starting *starting = call->work;
    const struct hf_answer *answer = &call->request.answer;
    if (!answer->decided || answer->code != HF_ERR_OK) {
        return hf_call_commit_answer(call);
    }
    const struct hf_commit *commit = hf_call_decided(call);
    if (commit == NULL) {
        return HF_CALL_ANSWERED;
    }
    if (!keep_result(call, starting, commit)) {
        return hf_call_undecided(call, HF_ERR_OUTCOME_UNKNOWN);
    }
    bool there = answer->replayed || answer->position == 0;
    starting->status = there && starting->again ? 200 : 201;
    if (there ? starting->again : starting->wait_deadline_us != 0) {
        return read_saga(call, starting);
    }
    hf_call_change_headers(call);
    hf_call_header_number(call, "ETag", "\"", starting->version, "\"");
    return answer_result(call, starting);
}

/* The body is an operation's: the rest is as with others. */
static enum hf_progress start(struct hf_call *call, bool again)
{
    struct starting *starting = hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*starting));
    if (starting == NULL) {
        return hf_call_undecided(call, HF_ERR_NO_MEMORY);
    }
    starting->again = again;
    if (!take_wait(call, &starting->wait_deadline_us)) {
        return hf_call_malformed(call);
    }
    call->work = starting;
    call->finish = started;
    return hf_route_operation(call);
}

enum hf_progress hf_route_saga_put(struct hf_call *call)
{
    return start(call, true);
}

enum hf_progress hf_route_saga_post(struct hf_call *call)
{
    return start(call, false);
}

/* ---- lists ---- */

struct listing {
    struct hf_query query;
    struct hf_saga_filter filter;
};

static bool invalid(struct hf_call *call, const char *text)
{
    return hf_malformed_set(&call->malformed, HF_ERR_INVALID_REQUEST, "", "%s", text);
}

static bool take_filter(struct hf_call *call, struct hf_saga_filter *filter)
{
    const struct hf_http_query *query = &call->query;
    struct hf_str state = hf_http_query_get(query, "state");
    struct hf_str tag = hf_http_query_get(query, "tag");
    bool given;
    filter->has_state = hf_str_present(state);
    filter->definition = hf_http_query_get(query, "definition");
    filter->business_key = hf_http_query_get(query, "business_key");
    filter->step = hf_http_query_get(query, "step");
    if (filter->has_state && !hf_saga_state_parse(state, &filter->state)) {
        return invalid(call, "state is scheduled, running, waiting, compensating, parked, paused, "
                             "succeeded, compensated or abandoned");
    }
    if (hf_str_present(tag) && !hf_saga_tag_split(tag, filter)) {
        return invalid(call, "tag is a key, a colon and a value: tag=shop:berlin");
    }
    return hf_http_query_bool(query, "failing", &filter->failing, &call->malformed) &&
           hf_http_query_time(query, "older_than", &given, &filter->older_than_us,
                              &call->malformed);
}

static void render_list(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct hf_call *call = request->context;
    struct hf_reading allowed = *reading;
    allowed.saga_count = 0;
    for (uint32_t i = 0; i < reading->saga_count; i++) { /* others are left out of the page */
        if (hf_caller_may(&call->caller, HF_SCOPE_READ, reading->sagas[i].saga->name.text)) {
            allowed.sagas[allowed.saga_count++] = reading->sagas[i];
        }
    }
    hf_buffer_clear(&call->exchange->answer);
    call->read_status =
        hf_reading_json(&call->exchange->answer, &request->queries[index], &allowed);
}

enum hf_progress hf_route_sagas(struct hf_call *call)
{
    struct listing *listing = hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*listing));
    if (listing == NULL) {
        return hf_call_undecided(call, HF_ERR_NO_MEMORY);
    }
    listing->query.type = HF_QUERY_SAGAS;
    listing->query.saga_filter = &listing->filter;
    if (!take_filter(call, &listing->filter) || !hf_call_take_limit(call, &listing->query) ||
        !hf_call_take_cursor(call, &listing->query)) {
        return hf_call_malformed(call);
    }
    if (!hf_caller_may(&call->caller, HF_SCOPE_READ, HF_STR_NONE)) {
        return hf_call_problem(call, HF_ERR_FORBIDDEN, "This needs the scope read.", "");
    }
    return hf_call_read(call, &listing->query, 1, render_list);
}
