/*
 * GET /v1/feed?snapshot=accounts|streams|documents: the things as they are, then a cursor of the feed.
 *
 *   place = behind the durable head ─► names behind `after` (list) ─► those things (reads at one position) ─► piece
 *                                        ▲                                              │
 *                                        └──────────── more names ──────────────────────┘──► the feed from `place`
 *
 * Why nothing is missed: the place is fixed before the first name is read, and every later change is in the feed from
 * there on. What is seen twice (a thing was read after a change that the feed shows again) is told by its version.
 */
#include "api/entity_json.h"
#include "api/reading_json.h"
#include "api/route_feed.h"
#include "base/check.h"

#define THINGS_MAX HF_QUERIES_MAX /* of a piece */

struct hf_snapshot {
    enum hf_kind kind;            /* ACCOUNT, STREAM or DOCUMENT */
    struct hf_str prefix;         /* of the names */
    struct hf_feed_cursor cursor; /* where the feed will begin, and the last name shown */
    uint64_t mark;                /* of the log */
    struct hf_query list;         /* the names of a piece */
    bool more;                    /* there are names behind the piece's */
    uint32_t count;               /* names of the piece */
    uint32_t done;                /* of them, written */
    uint32_t step;                /* at most so many are read in one go */
    size_t base_bytes;            /* of the answer before the reading under way */
    uint64_t shown;               /* things of this page or stream */
    struct hf_query queries[THINGS_MAX];
    char names[THINGS_MAX][HF_NAME_BYTES_MAX];
};

/* ---- a thing as an event ---- */

static struct hf_str type_of(enum hf_kind kind)
{
    return kind == HF_KIND_ACCOUNT  ? HF_STR("holdfast.account.snapshot")
           : kind == HF_KIND_STREAM ? HF_STR("holdfast.stream.snapshot")
                                    : HF_STR("holdfast.document.snapshot");
}

static struct hf_str collection_of(enum hf_kind kind)
{
    return kind == HF_KIND_ACCOUNT  ? HF_STR("accounts/")
           : kind == HF_KIND_STREAM ? HF_STR("streams/")
                                    : HF_STR("documents/");
}

static void add(struct hf_buffer *to, struct hf_str text)
{
    hf_buffer_bytes(to, text.ptr, text.len);
}

static uint64_t version_of(const struct hf_entity *entity, uint64_t *modified_at_us)
{
    if (entity->kind == HF_KIND_ACCOUNT) {
        *modified_at_us = entity->account.modified_at_us;
        return entity->account.version;
    }
    if (entity->kind == HF_KIND_STREAM) {
        *modified_at_us = entity->stream.modified_at_us;
        return entity->stream.version;
    }
    *modified_at_us = entity->document.modified_at_us;
    return entity->document.version;
}

/* {"position","version","account":{…as GET shows it}}; a document's data as it is. */
static void put_data(struct hf_json_writer *w, const struct hf_query *query,
                     const struct hf_reading *reading, uint64_t version)
{
    static const char *const members[] = {
        [HF_KIND_ACCOUNT] = "account", [HF_KIND_STREAM] = "stream", [HF_KIND_DOCUMENT] = "data"};
    hf_json_begin_object(w, "data");
    hf_json_put_number(w, "position", reading->position);
    hf_json_put_number(w, "version", version);
    if (reading->entity.kind == HF_KIND_DOCUMENT) {
        hf_json_put_text(w, "document", query->name.text);
    }
    hf_buffer_format(w->to, ",\"%s\":", members[reading->entity.kind]);
    (void)hf_reading_json(w->to, query, reading);
    hf_json_end_object(w);
}

static void put_thing(struct hf_buffer *to, const struct hf_query *query,
                      const struct hf_reading *reading)
{
    struct hf_str collection = collection_of(reading->entity.kind);
    uint64_t modified_at_us;
    uint64_t version = version_of(&reading->entity, &modified_at_us);
    struct hf_json_writer w = hf_json_writer_over(to);
    hf_json_begin_object(&w, NULL);
    hf_json_put_text(&w, "specversion", HF_STR("1.0"));
    hf_buffer_format(to, ",\"id\":\"%llu-", (unsigned long long)reading->position);
    add(to, collection);
    add(to, query->name.text);
    add(to, HF_STR("\",\"source\":\"/spaces/0\""));
    hf_json_put_text(&w, "type", type_of(reading->entity.kind));
    add(to, HF_STR(",\"subject\":\""));
    add(to, collection);
    add(to, query->name.text);
    hf_buffer_u8(to, '"');
    hf_json_put_time(&w, "time", modified_at_us);
    hf_json_put_text(&w, "datacontenttype", HF_STR("application/json"));
    add(to, HF_STR(",\"partitionkey\":\""));
    if (reading->entity.kind != HF_KIND_STREAM) { /* as its events have it */
        add(to, collection);
    }
    add(to, query->name.text);
    hf_buffer_u8(to, '"');
    put_data(&w, query, reading, version);
    hf_json_end_object(&w);
}

/* ---- the node's thread ---- */

static void keep_names(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct hf_call *call = request->context;
    struct hf_snapshot *snapshot = ((struct hf_feeding *)call->work)->snapshot;
    static const enum hf_query_type types[] = {[HF_KIND_ACCOUNT] = HF_QUERY_ACCOUNT,
                                               [HF_KIND_STREAM] = HF_QUERY_STREAM,
                                               [HF_KIND_DOCUMENT] = HF_QUERY_DOCUMENT};
    (void)index;
    HF_CHECK(reading->entity_count <= THINGS_MAX);
    snapshot->count = reading->entity_count;
    snapshot->more = reading->more;
    for (uint32_t i = 0; i < snapshot->count; i++) {
        const struct hf_entity *entity = &reading->entities[i];
        const struct hf_name *name = entity->kind == HF_KIND_ACCOUNT  ? &entity->account.name
                                     : entity->kind == HF_KIND_STREAM ? &entity->stream.name
                                                                      : &entity->document.name;
        memcpy(snapshot->names[i], name->text.ptr, name->text.len);
        snapshot->queries[i] = (struct hf_query){
            .type = types[snapshot->kind],
            .name = {.id = name->id, .text = {snapshot->names[i], name->text.len}}};
    }
    if (reading->more) {
        snapshot->cursor.after_bytes = (uint8_t)reading->next_after.len;
        memcpy(snapshot->cursor.after, reading->next_after.ptr, reading->next_after.len);
    }
}

static void render_thing(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct hf_call *call = request->context;
    struct hf_feeding *feeding = call->work;
    struct hf_snapshot *snapshot = feeding->snapshot;
    struct hf_buffer *to = &call->exchange->answer;
    const struct hf_query *query = &request->queries[index];
    if (index == 0) {
        to->size_bytes = snapshot->base_bytes;
    }
    bool exists = reading->code == HF_ERR_OK &&
                  (reading->entity.kind != HF_KIND_DOCUMENT || reading->entity.document.exists);
    if (!exists) {
        return; /* it has gone meanwhile: the feed tells */
    }
    struct hf_feed_cursor behind = snapshot->cursor;
    behind.after_bytes = (uint8_t)query->name.text.len;
    memcpy(behind.after, query->name.text.ptr, query->name.text.len);
    bool is_first = snapshot->shown == 0 && to->size_bytes == snapshot->base_bytes;
    enum hf_feed_form form = feeding->reader.form;
    size_t from = hf_feed_write_item_begin(to, form, is_first, type_of(snapshot->kind), &behind,
                                           snapshot->mark);
    put_thing(to, query, reading);
    hf_feed_write_item_end(to, form, from);
}

static void read_done(struct hf_request *request)
{
    struct hf_call *call = request->context;
    hf_http_resume(call->exchange);
}

/* ---- the loop's thread ---- */

static enum hf_progress submit(struct hf_call *call, const struct hf_query *queries, size_t count,
                               hf_render_fn render,
                               enum hf_progress (*finish)(struct hf_call *call))
{
    struct hf_feeding *feeding = call->work;
    call->request = (struct hf_request){.queries = queries,
                                        .query_count = count,
                                        .render = render,
                                        .done = read_done,
                                        .context = call,
                                        .may_lack = true};
    call->finish = finish;
    enum hf_err err = hf_node_submit(call->door->options.node, &call->request);
    feeding->in_lane = err == HF_ERR_OK;
    if (err == HF_ERR_OK) {
        return HF_CALL_UNDER_WAY;
    }
    return feeding->begun ? hf_feed_end_stream(call) : hf_call_undecided(call, err);
}

static enum hf_progress read_names(struct hf_call *call);
static enum hf_progress read_things(struct hf_call *call);

/* After each answer of the node: OK, or why there is none. */
static enum hf_err take_answer(struct hf_call *call)
{
    struct hf_feeding *feeding = call->work;
    enum hf_err code = call->request.answer.decided && call->request.answer.code != HF_ERR_TOO_LARGE
                           ? HF_ERR_OK
                           : call->request.answer.code;
    feeding->in_lane = false;
    hf_answer_release(&call->request.answer);
    return code;
}

static enum hf_progress fail(struct hf_call *call, enum hf_err code)
{
    struct hf_feeding *feeding = call->work;
    hf_buffer_clear(&call->exchange->answer);
    return feeding->begun ? hf_feed_end_stream(call) : hf_call_undecided(call, code);
}

static struct hf_feed_progress progress_of(struct hf_call *call, bool ends)
{
    const struct hf_snapshot *snapshot = ((struct hf_feeding *)call->work)->snapshot;
    struct hf_tail_head head = hf_tail_head(hf_node_tail(call->door->options.node));
    struct hf_feed_progress progress = {
        .next = snapshot->cursor, .mark = snapshot->mark, .head = head.position};
    progress.next.is_snapshot = !ends;
    progress.lag_commits = head.position + 1 - snapshot->cursor.place.position;
    progress.lag_ms_unknown = progress.lag_commits > 0;
    return progress;
}

/* The things are all shown: the feed goes on, from the place that was fixed at the beginning. */
static enum hf_progress on_to_the_feed(struct hf_call *call)
{
    struct hf_feeding *feeding = call->work;
    feeding->reader.from = HF_FEED_FROM_POSITION;
    feeding->reader.number = feeding->snapshot->cursor.place.position;
    feeding->reader.limit = UINT64_MAX;
    feeding->reader.began = true;
    return hf_feed_begin_reading(call);
}

/* The names of a piece are all written. */
static enum hf_progress finish_piece(struct hf_call *call)
{
    struct hf_feeding *feeding = call->work;
    struct hf_snapshot *snapshot = feeding->snapshot;
    struct hf_buffer *to = &call->exchange->answer;
    enum hf_feed_form form = feeding->reader.form;
    bool ends = !snapshot->more;
    struct hf_feed_progress progress = progress_of(call, ends);
    if (!hf_feed_form_streams(form)) {
        hf_feed_write_end(to, form, &progress);
        return hf_feed_answer_page(call, &progress);
    }
    bool follows = feeding->reader.follows;
    if (!ends || !follows) {
        hf_feed_write_cursor(to, form, &progress, ends);
    }
    enum hf_progress sent;
    enum hf_feed_piece piece = hf_feed_send_piece(call, &sent);
    if (piece == HF_FEED_NOT_SENT) {
        return sent;
    }
    if (feeding->over || (ends && !follows)) {
        return hf_feed_end_stream(call);
    }
    if (piece == HF_FEED_SENT_FULL) {
        return HF_CALL_UNDER_WAY; /* until notice ROOM */
    }
    return ends ? on_to_the_feed(call) : read_names(call);
}

static enum hf_progress have_things(struct hf_call *call)
{
    struct hf_snapshot *snapshot = ((struct hf_feeding *)call->work)->snapshot;
    size_t asked = call->request.query_count;
    enum hf_err code = take_answer(call);
    if (code == HF_ERR_TOO_LARGE && asked > 1) { /* their texts together are too much for one go */
        call->exchange->answer.size_bytes = snapshot->base_bytes;
        snapshot->step = (uint32_t)(asked / 2);
        return read_things(call);
    }
    if (code != HF_ERR_OK) {
        return fail(call, code);
    }
    snapshot->shown += call->exchange->answer.size_bytes > snapshot->base_bytes;
    snapshot->done += (uint32_t)asked;
    return snapshot->done < snapshot->count ? read_things(call) : finish_piece(call);
}

static enum hf_progress read_things(struct hf_call *call)
{
    struct hf_snapshot *snapshot = ((struct hf_feeding *)call->work)->snapshot;
    uint32_t left = snapshot->count - snapshot->done;
    snapshot->base_bytes = call->exchange->answer.size_bytes;
    return submit(call, &snapshot->queries[snapshot->done],
                  left < snapshot->step ? left : snapshot->step, render_thing, have_things);
}

static enum hf_progress have_names(struct hf_call *call)
{
    struct hf_snapshot *snapshot = ((struct hf_feeding *)call->work)->snapshot;
    enum hf_err code = take_answer(call);
    if (code != HF_ERR_OK) {
        return fail(call, code);
    }
    return snapshot->count > 0 ? read_things(call) : finish_piece(call);
}

static enum hf_progress read_names(struct hf_call *call)
{
    struct hf_snapshot *snapshot = ((struct hf_feeding *)call->work)->snapshot;
    snapshot->list.after = (struct hf_str){snapshot->cursor.after, snapshot->cursor.after_bytes};
    snapshot->count = 0;
    snapshot->done = 0;
    snapshot->step = THINGS_MAX;
    return submit(call, &snapshot->list, 1, keep_names, have_names);
}

static enum hf_progress take_notice(struct hf_call *call, enum hf_http_notice what)
{
    struct hf_feeding *feeding = call->work;
    feeding->over = feeding->over || what != HF_HTTP_ROOM;
    if (feeding->in_lane) {
        return HF_CALL_UNDER_WAY; /* the node answers soon */
    }
    if (feeding->over) {
        return hf_feed_end_stream(call);
    }
    return feeding->snapshot->more ? read_names(call) : on_to_the_feed(call);
}

/* ---- the request ---- */

static bool invalid(struct hf_call *call, const char *text)
{
    return hf_malformed_set(&call->malformed, HF_ERR_INVALID_REQUEST, "", "%s", text);
}

static bool take_kind(struct hf_call *call, struct hf_snapshot *snapshot)
{
    static const struct {
        struct hf_str text;
        enum hf_kind kind;
        enum hf_query_type list;
    } rows[] = {
        {{"accounts", 8}, HF_KIND_ACCOUNT, HF_QUERY_ACCOUNTS},
        {{"streams", 7}, HF_KIND_STREAM, HF_QUERY_STREAMS},
        {{"documents", 9}, HF_KIND_DOCUMENT, HF_QUERY_DOCUMENTS},
    };
    struct hf_str text = hf_http_query_get(&call->query, "snapshot");
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        if (hf_str_equal(text, rows[i].text)) {
            snapshot->kind = rows[i].kind;
            snapshot->list.type = rows[i].list;
            return true;
        }
    }
    return invalid(call, "snapshot is accounts, streams or documents");
}

/* The filter's prefix is a subject's; what is listed are names. */
static bool take_prefix(struct hf_call *call, struct hf_snapshot *snapshot,
                        const struct hf_filter *filter)
{
    struct hf_str collection = collection_of(snapshot->kind);
    struct hf_str prefix = filter->prefix;
    if (filter->type_count > 0 || filter->has_asset || filter->has_bucket ||
        hf_str_present(filter->topic.text)) {
        return invalid(call, "a snapshot is filtered by prefix alone");
    }
    if (!hf_str_present(prefix)) {
        return true;
    }
    if (prefix.len < collection.len || memcmp(prefix.ptr, collection.ptr, collection.len) != 0) {
        return invalid(call, "prefix must be of the collection of the snapshot");
    }
    snapshot->prefix = (struct hf_str){prefix.ptr + collection.len, prefix.len - collection.len};
    return true;
}

static struct hf_snapshot *make(struct hf_call *call, const struct hf_feed_reader *reader)
{
    struct hf_snapshot *snapshot = hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*snapshot));
    if (snapshot == NULL) {
        (void)hf_malformed_set(&call->malformed, HF_ERR_NO_MEMORY, "", "out of memory");
        return NULL;
    }
    if (!take_kind(call, snapshot) || !take_prefix(call, snapshot, &reader->filter)) {
        return NULL;
    }
    snapshot->list.prefix = snapshot->prefix;
    snapshot->list.limit = (uint32_t)hf_min_u64(reader->limit, THINGS_MAX);
    return snapshot;
}

/* Takes the cursor of a snapshot under way. false: it is none, and the feed's reader has to do with it. */
static bool take_cursor(const struct hf_feed_reader *reader, uint64_t mark,
                        struct hf_feed_cursor *cursor)
{
    return hf_feed_cursor_decode(reader->cursor, mark, cursor) == HF_FEED_CURSOR_OK &&
           cursor->is_snapshot;
}

enum hf_progress hf_route_snapshot(struct hf_call *call)
{
    struct hf_feeding *feeding = call->work;
    struct hf_feed_reader *reader = &feeding->reader;
    struct hf_tail *tail = hf_node_tail(call->door->options.node);
    struct hf_error error = {0};
    uint64_t mark;
    /* Known but for the very first time: then it is one small read. */
    enum hf_err err = hf_tail_mark(tail, &mark, &error);
    if (err != HF_ERR_OK) {
        return hf_call_undecided(call, err == HF_ERR_NOT_FOUND ? HF_ERR_NOT_READY : err);
    }
    struct hf_feed_cursor cursor = {.place.position = hf_tail_head(tail).position + 1};
    bool goes_on = reader->from == HF_FEED_FROM_CURSOR;
    if (goes_on && !take_cursor(reader, mark, &cursor)) {
        return hf_feed_begin_reading(call);
    }
    if (!goes_on && reader->from != HF_FEED_FROM_BEGINNING) {
        return hf_call_invalid(call,
                               "A snapshot is of now: from, position and time don't go with it.");
    }
    struct hf_snapshot *snapshot = make(call, reader);
    if (snapshot == NULL) {
        return hf_call_malformed(call);
    }
    if (goes_on && cursor.kind != snapshot->kind) {
        return hf_call_invalid(call, "The cursor is of a snapshot of another collection.");
    }
    if (!hf_call_may_list(call, snapshot->prefix)) {
        return hf_call_problem(call, HF_ERR_FORBIDDEN,
                               "The token's scopes or names do not cover this.", "");
    }
    cursor.is_snapshot = true;
    cursor.kind = snapshot->kind;
    snapshot->cursor = cursor;
    snapshot->mark = mark;
    feeding->snapshot = snapshot;
    call->notice = take_notice;
    hf_feed_write_begin(&call->exchange->answer, reader->form);
    return read_names(call);
}
