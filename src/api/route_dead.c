/* What a subscription has done with messages: dead letters, and the history of one message. */
#include "api/cursor.h"
#include "api/door_priv.h"
#include "api/queue_json.h"
#include "api/reading_json.h"
#include "api/subscription_json.h"
#include "core/queue_op.h"

/* The event of a commit in RAM, or null if the caller may not read its subject. false: memory is short. */
static bool put_event(struct hf_call *call, struct hf_json_writer *w,
                      const struct hf_commit *commit, const struct hf_feed_event *event)
{
    struct hf_cloud_context context;
    struct hf_arena arena;
    if (!hf_caller_may(&call->caller, HF_SCOPE_READ, event->subject_name.text)) {
        hf_json_put_null(w, "event");
        return true;
    }
    hf_arena_init(&arena);
    bool ok = hf_cloud_context_of(commit, &arena, &context);
    if (ok) {
        hf_json_put_raw(w, "event", HF_STR(""));
        hf_cloud_event_json(w->to, commit, event, &context);
    }
    hf_arena_release(&arena);
    return ok;
}

static void put_key(struct hf_json_writer *w, const struct hf_feed_event *event)
{
    hf_json_put_raw(w, "key", HF_STR("\"")); /* nothing in a key is escaped */
    hf_feed_key_text(event, w->to);
    hf_buffer_u8(w->to, '"');
}

static bool put_letter(struct hf_call *call, struct hf_json_writer *w,
                       const struct hf_dead_letter *letter)
{
    const struct hf_line *line = letter->line;
    struct hf_feed_event event;
    hf_feed_event_of(letter->commit, line->place.index, &event);
    hf_json_begin_object(w, NULL);
    hf_message_id_json(w, "message", line->place.position, line->place.index);
    put_key(w, &event);
    hf_json_put_number(w, "tries", line->tries);
    if (hf_str_present(letter->error)) {
        hf_json_put_text(w, "error", letter->error);
    } else {
        hf_json_put_null(w, "error");
    }
    hf_json_put_time(w, "parked_at", line->parked_at_us);
    hf_json_put_number(w, "position", line->event_position);
    bool ok = put_event(call, w, letter->commit, &event);
    hf_json_end_object(w);
    return ok;
}

/* On the node's thread. */
static void render_dead(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct hf_call *call = request->context;
    struct hf_buffer *answer = &call->exchange->answer;
    hf_buffer_clear(answer);
    call->read_status = 200;
    if (reading->code != HF_ERR_OK) {
        call->read_status = hf_reading_json(answer, &request->queries[index], reading);
        return;
    }
    struct hf_json_writer w = hf_json_writer_over(answer);
    bool ok = true;
    hf_json_begin_object(&w, NULL);
    hf_json_begin_array(&w, "data");
    for (uint32_t i = 0; ok && i < reading->dead_count; i++) {
        ok = put_letter(call, &w, &reading->dead[i]);
    }
    hf_json_end_array(&w);
    hf_cursor_json(&w, &request->queries[index], reading);
    hf_json_end_object(&w);
    answer->failed = answer->failed || !ok;
}

static enum hf_progress forbidden(struct hf_call *call)
{
    return hf_call_problem(call, HF_ERR_FORBIDDEN, "The token's scopes or names do not cover this.",
                           "");
}

enum hf_progress hf_route_dead(struct hf_call *call)
{
    struct hf_query *query = hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*query));
    if (query == NULL) {
        return hf_call_undecided(call, HF_ERR_NO_MEMORY);
    }
    query->type = HF_QUERY_DEAD;
    query->error_contains = hf_http_query_get(&call->query, "error_contains");
    if (query->error_contains.len == 0) {
        query->error_contains = HF_STR_NONE;
    }
    if (!hf_call_query_name(call, query, false)) {
        return HF_CALL_ANSWERED;
    }
    if (query->error_contains.len > HF_QUEUE_ERROR_BYTES_MAX) {
        return hf_call_invalid(call, "error_contains has at most 512 bytes.");
    }
    if (!hf_call_take_limit(call, query) || !hf_call_take_cursor(call, query)) {
        return hf_call_malformed(call);
    }
    return hf_caller_may(&call->caller, HF_SCOPE_READ, query->name.text)
               ? hf_call_read(call, query, 1, render_dead)
               : forbidden(call);
}

/* ---- one message ---- */

/*
 * The history is read newest first, a page of tries at a time; each is kept as JSON until all are there, and they are
 * shown oldest first.
 */
struct telling {
    struct hf_query query;
    struct hf_buffer head;  /* up to the deliveries */
    struct hf_buffer event; /* the last member */
    struct hf_buffer tries; /* rendered, newest first */
    size_t *ends;           /* in `tries`, of each; in the exchange's arena */
    size_t count;           /* tries of the pages before */
    size_t capacity;        /* of ends */
    size_t page_count;      /* of the page under way */
    uint64_t next_from;     /* the next page; 0 = that was the last one */
    bool short_memory;
};

static void release(struct telling *telling)
{
    hf_buffer_release(&telling->head);
    hf_buffer_release(&telling->event);
    hf_buffer_release(&telling->tries);
}

static bool room_for(struct hf_call *call, struct telling *telling, size_t count)
{
    if (count <= telling->capacity) {
        return true;
    }
    size_t capacity = 2 * count;
    size_t *ends = hf_arena_alloc(call->exchange->arena, capacity * sizeof(*ends));
    if (ends == NULL) {
        return false;
    }
    if (telling->count > 0) {
        memcpy(ends, telling->ends, telling->count * sizeof(*ends));
    }
    telling->ends = ends;
    telling->capacity = capacity;
    return true;
}

static void put_head(struct hf_call *call, struct telling *telling,
                     const struct hf_message_reading *message)
{
    struct hf_feed_event event;
    struct hf_json_writer w = hf_json_writer_over(&telling->head);
    struct hf_json_writer last = hf_json_writer_over(&telling->event);
    hf_buffer_clear(&telling->head);
    hf_buffer_clear(&telling->event);
    hf_feed_event_of(message->commit, telling->query.message_index, &event);
    hf_json_begin_object(&w, NULL);
    hf_message_id_json(&w, "message", telling->query.message_position,
                       telling->query.message_index);
    put_key(&w, &event);
    hf_json_put_text(&w, "state", hf_str_from(hf_message_state_wire(message->state)));
    hf_json_begin_array(&w, "deliveries");
    last.comma = true;
    telling->short_memory = !put_event(call, &last, message->commit, &event);
}

/* On the node's thread; may be called again for the same page. */
static void render_page(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct hf_call *call = request->context;
    struct telling *telling = call->work;
    const struct hf_message_reading *message = &reading->message;
    hf_buffer_clear(&call->exchange->answer);
    call->read_status = 200;
    telling->next_from = 0;
    telling->page_count = 0;
    if (reading->code != HF_ERR_OK) {
        call->read_status =
            hf_reading_json(&call->exchange->answer, &request->queries[index], reading);
        return;
    }
    if (telling->count == 0) {
        put_head(call, telling, message);
    }
    telling->tries.size_bytes = telling->count == 0 ? 0 : telling->ends[telling->count - 1];
    if (!room_for(call, telling, telling->count + message->try_count)) {
        telling->short_memory = true;
        return;
    }
    for (uint32_t i = 0; i < message->try_count; i++) {
        struct hf_json_writer w = hf_json_writer_over(&telling->tries);
        bool newest = telling->count == 0 && i == 0;
        bool is_out =
            newest && message->state == HF_MESSAGE_IN_FLIGHT && message->tries[i].ended_by == NULL;
        hf_message_try_json(&w, &message->tries[i], is_out);
        telling->ends[telling->count + i] = telling->tries.size_bytes;
    }
    telling->page_count = message->try_count;
    telling->next_from = reading->more ? reading->next_from : 0;
}

static void compose(struct hf_call *call, struct telling *telling)
{
    struct hf_buffer *answer = &call->exchange->answer;
    hf_buffer_bytes(answer, telling->head.data, telling->head.size_bytes);
    for (size_t i = telling->count; i > 0; i--) {
        size_t begin = i == 1 ? 0 : telling->ends[i - 2];
        if (i < telling->count) {
            hf_buffer_u8(answer, ',');
        }
        hf_buffer_bytes(answer, telling->tries.data + begin, telling->ends[i - 1] - begin);
    }
    hf_buffer_u8(answer, ']');
    hf_buffer_bytes(answer, telling->event.data, telling->event.size_bytes);
    hf_buffer_u8(answer, '}');
    answer->failed = answer->failed || telling->head.failed || telling->tries.failed ||
                     telling->event.failed || telling->short_memory;
}

static enum hf_progress page_read(struct hf_call *call)
{
    struct telling *telling = call->work;
    bool whole = call->request.answer.decided && call->read_status == 200;
    if (whole) {
        telling->count += telling->page_count;
        if (telling->next_from != 0 && !telling->short_memory) {
            hf_answer_release(&call->request.answer);
            telling->query.from = telling->next_from;
            enum hf_progress progress = hf_call_read(call, &telling->query, 1, render_page);
            call->finish = page_read;
            if (progress == HF_CALL_ANSWERED) {
                release(telling);
            }
            return progress;
        }
        compose(call, telling);
    }
    release(telling);
    return hf_call_read_answer(call);
}

enum hf_progress hf_route_message(struct hf_call *call)
{
    struct telling *telling = hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*telling));
    if (telling == NULL) {
        return hf_call_undecided(call, HF_ERR_NO_MEMORY);
    }
    struct hf_query *query = &telling->query;
    query->type = HF_QUERY_MESSAGE_HISTORY;
    query->limit = HF_HISTORY_LIMIT_MAX;
    if (!hf_call_query_name(call, query, false)) {
        return HF_CALL_ANSWERED;
    }
    if (!hf_message_id_parse(call->path.segments[4], &query->message_position,
                             &query->message_index)) {
        return hf_call_invalid(call, "A message is named by its position and index: 17-0.");
    }
    if (!hf_caller_may(&call->caller, HF_SCOPE_READ, query->name.text)) {
        return forbidden(call);
    }
    call->work = telling;
    hf_buffer_init(&telling->head);
    hf_buffer_init(&telling->event);
    hf_buffer_init(&telling->tries);
    enum hf_progress progress = hf_call_read(call, query, 1, render_page);
    call->finish = page_read;
    if (progress == HF_CALL_ANSWERED) {
        release(telling);
    }
    return progress;
}
