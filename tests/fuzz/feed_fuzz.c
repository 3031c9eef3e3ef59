/*
 * Bytes as what the feed reads and writes. The first byte chooses:
 *
 *   0 a cursor's text · 1 a cursor's bytes, with the checksum that fits · 2 the query of a filter, its parts by line ·
 *   3 a commit's frame (u32 bytes of the record, record, payload) · 4 a user's JSON as an event's data
 *
 * A cursor or filter that is taken has one meaning. Every event is written in all four forms, and whatever is in it does
 * not break the frame: a page is JSON, a line is JSON without an end of line in it, a server-sent event has its three
 * fields and nothing else.
 */
#include "api/feed_format.h"
#include "base/base64url.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/checksum.h"
#include "base/json.h"
#include "core/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MARK 0x0102030405060708ull

/* ---- cursors ---- */

static void read_cursor(struct hf_str text)
{
    struct hf_feed_cursor cursor;
    uint64_t mark = MARK;
    enum hf_feed_cursor_result result = hf_feed_cursor_decode(text, mark, &cursor);
    if (result == HF_FEED_CURSOR_MALFORMED) {
        return;
    }
    if (result == HF_FEED_CURSOR_FOREIGN) { /* the mark is told by nobody but the text */
        uint8_t bytes[256];
        HF_CHECK(hf_base64url_decode(text, bytes, sizeof(bytes)) > 10);
        mark = hf_get_u64(bytes + 2);
        HF_CHECK(mark != MARK);
        HF_CHECK(hf_feed_cursor_decode(text, mark, &cursor) == HF_FEED_CURSOR_OK);
    }
    HF_CHECK(cursor.place.position >= 1 && cursor.place.position <= HF_JSON_INTEGER_MAX);
    HF_CHECK(cursor.after_bytes <= HF_NAME_BYTES_MAX);
    struct hf_buffer again;
    hf_buffer_init(&again);
    hf_feed_cursor_encode(&again, &cursor, mark);
    HF_CHECK(again.size_bytes == text.len && memcmp(again.data, text.ptr, text.len) == 0);
    hf_buffer_release(&again);
}

static void read_cursor_inside(const uint8_t *data, size_t size)
{
    struct hf_buffer bytes;
    struct hf_buffer text;
    uint8_t sum[4];
    hf_buffer_init(&bytes);
    hf_buffer_init(&text);
    hf_put_u32(sum, (uint32_t)hf_checksum(data, size));
    hf_buffer_bytes(&bytes, data, size);
    hf_buffer_bytes(&bytes, sum, sizeof(sum));
    hf_base64url_encode(&text, bytes.data, bytes.size_bytes);
    read_cursor((struct hf_str){(const char *)text.data, text.size_bytes});
    hf_buffer_release(&bytes);
    hf_buffer_release(&text);
}

/* ---- filters ---- */

static struct hf_str take_line(struct hf_str *text)
{
    const char *end = text->len == 0 ? NULL : memchr(text->ptr, '\n', text->len);
    struct hf_str line = {text->ptr, end == NULL ? text->len : (size_t)(end - text->ptr)};
    size_t taken = end == NULL ? text->len : line.len + 1;
    *text = (struct hf_str){text->ptr + taken, text->len - taken};
    return line.len == 0 ? HF_STR_NONE : line;
}

static void try_filter(struct hf_str text)
{
    struct hf_str types[HF_FILTER_TYPES_MAX + 1];
    struct hf_arena arena;
    struct hf_filter filter;
    struct hf_filter again;
    struct hf_malformed malformed = {0};
    struct hf_filter_fields fields = {
        .topic = take_line(&text),
        .prefix = take_line(&text),
        .asset = take_line(&text),
        .bucket = take_line(&text),
        .types = types,
    };
    while (text.len > 0 && fields.type_count < HF_ARRAY_COUNT(types)) {
        struct hf_str type = take_line(&text);
        types[fields.type_count++] = hf_str_present(type) ? type : HF_STR("");
    }
    hf_arena_init(&arena);
    if (!hf_filter_make(&fields, &arena, &filter, &malformed)) {
        HF_CHECK(malformed.code == HF_ERR_INVALID_REQUEST && malformed.text[0] != '\0');
        hf_arena_release(&arena);
        return;
    }
    HF_CHECK(hf_filter_make(&fields, &arena, &again, &malformed));
    HF_CHECK(hf_filter_equal(&filter, &again));
    HF_CHECK(!filter.has_bucket || filter.bucket < filter.bucket_count);
    /* The name that a filter wants is matched by it. */
    struct hf_feed_event event = {.position = 1, .type = HF_STR("holdfast.transfer.posted")};
    event.arrival_type = event.type;
    if (hf_str_present(filter.topic.text)) {
        event.subject = HF_SUBJECT_TOPICS;
        event.subject_name = filter.topic;
    }
    event.asset = filter.has_asset ? &filter.asset : NULL;
    event.key = HF_STR("key");
    bool plain = filter.type_count == 0 && !hf_str_present(filter.prefix) && !filter.has_bucket;
    bool matches = hf_filter_matches(&filter, &event);
    HF_CHECK(matches || !plain);
    HF_CHECK(!hf_filter_arrives(&filter, &event)); /* `arrives` is not set */
    hf_arena_release(&arena);
}

/* ---- writers ---- */

static struct hf_str text_of(const struct hf_buffer *buffer)
{
    return (struct hf_str){(const char *)buffer->data, buffer->size_bytes};
}

static void expect_json(struct hf_str text)
{
    struct hf_error error = {0};
    HF_CHECK(hf_json_validate(text, &error) == HF_ERR_OK);
}

/* Each line is one JSON value, and there are as many as were written. */
static void expect_lines(struct hf_str text, uint32_t events)
{
    uint32_t count = 0;
    while (text.len > 0) {
        HF_CHECK(memchr(text.ptr, '\n', text.len) != NULL);
        struct hf_str line = take_line(&text);
        HF_CHECK(hf_str_present(line) && memchr(line.ptr, '\r', line.len) == NULL);
        expect_json(line);
        count++;
    }
    HF_CHECK(count == events + 1); /* and the cursor's */
}

static bool starts_with(struct hf_str text, const char *beginning)
{
    size_t len = strlen(beginning);
    return text.len >= len && memcmp(text.ptr, beginning, len) == 0;
}

static struct hf_str behind(struct hf_str text, size_t bytes)
{
    return (struct hf_str){text.ptr + bytes, text.len - bytes};
}

static void expect_cursor(struct hf_str text)
{
    struct hf_feed_cursor cursor;
    HF_CHECK(hf_feed_cursor_decode(text, MARK, &cursor) == HF_FEED_CURSOR_OK);
}

/* As a browser reads it: fields up to an empty line. */
static void expect_stream(struct hf_str text, uint32_t events)
{
    uint32_t count = 0;
    HF_CHECK(memchr(text.ptr, '\r', text.len) == NULL && memchr(text.ptr, '\0', text.len) == NULL);
    HF_CHECK(starts_with(take_line(&text), "retry: "));
    HF_CHECK(!hf_str_present(take_line(&text)));
    while (starts_with(text, "id: ")) {
        expect_cursor(behind(take_line(&text), 4));
        struct hf_str type = take_line(&text);
        HF_CHECK(starts_with(type, "event: ") && type.len > 7);
        struct hf_str data = take_line(&text);
        HF_CHECK(starts_with(data, "data: "));
        expect_json(behind(data, 6));
        HF_CHECK(!hf_str_present(take_line(&text)));
        count++;
    }
    HF_CHECK(count == events);
    HF_CHECK(starts_with(take_line(&text), ": heartbeat"));
    struct hf_str id = take_line(&text);
    HF_CHECK(starts_with(id, "id: "));
    expect_cursor(behind(id, 4));
    HF_CHECK(!hf_str_present(take_line(&text)) && text.len == 0);
}

/* expects: the commit has nothing but what a decision could have stored. */
static void write_all(const struct hf_commit *commit, const struct hf_cloud_context *context,
                      enum hf_feed_form form, bool expects)
{
    struct hf_buffer out;
    struct hf_feed_progress progress = {
        .next.place = {.position = commit->position + 1}, .mark = MARK, .head = commit->position};
    hf_buffer_init(&out);
    hf_feed_write_begin(&out, form);
    for (uint32_t i = 0; i < commit->event_count; i++) {
        struct hf_feed_event event;
        struct hf_feed_place next = {.position = commit->position, .index = i + 1};
        hf_feed_event_of(commit, i, &event);
        hf_feed_write_event(&out, form, i == 0, commit, &event, context, &next, MARK);
    }
    hf_feed_write_end(&out, form, &progress);
    HF_CHECK(!out.failed);
    if (expects && (form == HF_FEED_PAGE || form == HF_FEED_BATCH)) {
        expect_json(text_of(&out));
    } else if (expects && form == HF_FEED_LINES) {
        expect_lines(text_of(&out), commit->event_count);
    } else if (expects) {
        expect_stream(text_of(&out), commit->event_count);
    }
    hf_buffer_release(&out);
}

static void write_commit(const struct hf_commit *commit, struct hf_arena *arena, bool expects)
{
    struct hf_cloud_context context;
    HF_CHECK(hf_cloud_context_of(commit, arena, &context));
    write_all(commit, &context, HF_FEED_PAGE, expects);
    write_all(commit, &context, HF_FEED_BATCH, expects);
    write_all(commit, &context, HF_FEED_LINES, expects);
    write_all(commit, &context, HF_FEED_SSE, expects);
}

/* What is in a frame was decided once; a frame that is forged need not be shown well, but it must not be read beyond. */
static void try_frame(const uint8_t *data, size_t size)
{
    if (size < 4) {
        return;
    }
    size_t record_bytes = hf_min_u64(hf_get_u32(data), size - 4);
    const uint8_t *payload = data + 4 + record_bytes;
    struct hf_arena arena;
    struct hf_commit commit;
    struct hf_error error = {0};
    hf_arena_init(&arena);
    if (hf_commit_decode(data + 4, record_bytes, payload, size - 4 - record_bytes, &arena, &commit,
                         NULL) == HF_ERR_OK &&
        commit.position >= 1 && commit.position < HF_JSON_INTEGER_MAX &&
        hf_commit_verify_texts(&commit, &error) == HF_ERR_OK) {
        write_commit(&commit, &arena, false);
    }
    hf_arena_release(&arena);
}

/* The user's bytes go out as they are, line ends and all white space between tokens included: as a stream's event, a
 * message, a document and what the commit itself says. */
static void try_data(struct hf_str text)
{
    struct hf_error error = {0};
    if (text.len > HF_DATA_BYTES_MAX || hf_json_validate(text, &error) != HF_ERR_OK) {
        return;
    }
    struct hf_event appended = {.type = HF_EVENT_STREAM_APPENDED};
    struct hf_event published = {.type = HF_EVENT_MESSAGE_PUBLISHED};
    struct hf_event document = {.type = HF_EVENT_DOCUMENT_PUT};
    struct hf_event *events[] = {&appended, &published, &document};
    struct hf_commit commit = {.position = 17,
                               .time_us = 1700000000000000u,
                               .principal = HF_STR("local"),
                               .event_count = HF_ARRAY_COUNT(events),
                               .events = events};
    struct hf_arena arena;
    hf_arena_init(&arena);
    HF_CHECK(hf_name_make(HF_STR("o:1"), &arena, &appended.appended.stream));
    appended.appended.version = 1;
    appended.appended.type = HF_STR("order.placed");
    appended.appended.data.text = text;
    published.published.topic = appended.appended.stream;
    published.published.key = HF_STR("k");
    published.published.type = HF_STR("refund.asked");
    published.published.data.text = text;
    document.document.document = appended.appended.stream;
    document.document.version = 1;
    document.document.data.text = text;
    commit.metadata.text = text.ptr[0] == '{' ? text : HF_STR_NONE;
    write_commit(&commit, &arena, true);
    hf_arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct hf_str text = {(const char *)data + 1, size - 1};
    switch (data[0] % 5) {
    case 0:
        read_cursor(text);
        break;
    case 1:
        read_cursor_inside(data + 1, size - 1);
        break;
    case 2:
        try_filter(text);
        break;
    case 3:
        try_frame(data + 1, size - 1);
        break;
    default:
        try_data(text);
        break;
    }
    return 0;
}
