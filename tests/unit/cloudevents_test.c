/*
 * CloudEvents: the envelope of every kind of event against a golden file, trace context, binary mode.
 *
 * tests/golden/feed.txt holds a line an event: what the commits of tests/golden/core.txt look like in the feed. It is
 * frozen. GOLDEN_WRITE=1 writes it (only before a release).
 */
#include "api/cloudevents.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/json.h"
#include "unit/support.h"

#define LINE_BYTES 65536

static struct hf_arena arena;

static int setup(void **state)
{
    (void)state;
    hf_arena_init(&arena);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hf_arena_release(&arena);
    return 0;
}

/* ---- golden ---- */

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1);
}

static size_t unhex(const char *text, uint8_t *to)
{
    size_t size = 0;
    while (digit_of(text[0]) >= 0 && digit_of(text[1]) >= 0) {
        to[size++] = (uint8_t)(digit_of(text[0]) * 16 + digit_of(text[1]));
        text += 2;
    }
    return size;
}

static void render(const struct hf_commit *commit, struct hf_buffer *to)
{
    struct hf_cloud_context context;
    assert_true(hf_cloud_context_of(commit, &arena, &context));
    for (uint32_t i = 0; i < commit->event_count; i++) {
        struct hf_feed_event event;
        size_t start = to->size_bytes;
        hf_feed_event_of(commit, i, &event);
        hf_cloud_event_json(to, commit, &event, &context);
        assert_false(to->failed);
        struct hf_str text = {(char *)to->data + start, to->size_bytes - start};
        struct hf_error error;
        assert_int_equal(hf_json_validate(text, &error), HF_ERR_OK);
        hf_buffer_u8(to, '\n');
    }
}

/* "<record> -<payload> <hash>" */
static void decode_line(const char *line, struct hf_commit *commit)
{
    uint8_t *record = hf_arena_alloc(&arena, LINE_BYTES / 2);
    uint8_t *payload = hf_arena_alloc(&arena, LINE_BYTES / 2);
    assert_non_null(record);
    assert_non_null(payload);
    size_t record_bytes = unhex(line, record);
    const char *dash = strchr(line, '-');
    assert_non_null(dash);
    size_t payload_bytes = unhex(dash + 1, payload);
    struct hf_error error;
    assert_int_equal(
        hf_commit_decode(record, record_bytes, payload, payload_bytes, &arena, commit, &error),
        HF_ERR_OK);
}

static struct hf_name name_of(const char *text)
{
    struct hf_name name;
    assert_true(hf_name_make(hf_str_from(text), &arena, &name));
    return name;
}

/* What no command brings about at once: timers, cancellations, the node's own records. */
static void render_others(struct hf_buffer *text, bool seen[HF_EVENT_TYPE_COUNT])
{
    struct hf_event expired = {.type = HF_EVENT_HOLD_EXPIRED, .operation = HF_NO_OPERATION};
    expired.posting.hold = (struct hf_hold){.name = name_of("h9"),
                                            .state = HF_HOLD_EXPIRED,
                                            .amount = 5,
                                            .version = 2,
                                            .expires_at_us = 1600000000000000u};
    assert_true(hf_asset_parse(HF_STR("USD/2"), &expired.posting.hold.asset));
    expired.posting.released = 5;
    expired.posting.debit = (struct hf_side){.account = name_of("a"), .version = 3};
    expired.posting.credit = (struct hf_side){.account = name_of("b"), .version = 4};
    struct hf_event lease = {.type = HF_EVENT_LEASE_EXPIRED, .operation = HF_NO_OPERATION};
    lease.lease = (struct hf_lease){
        .name = name_of("l9"), .owner = HF_STR("me"), .token = 9, .expires_at_us = 1};
    struct hf_event cancelled = {.type = HF_EVENT_KEY_CANCELLED, .operation = HF_NO_OPERATION};
    struct hf_event checkpoint = {.type = HF_EVENT_CHECKPOINT, .operation = HF_NO_OPERATION};
    checkpoint.system.position = 12;
    struct hf_event cut = {.type = HF_EVENT_TAIL_CUT, .operation = HF_NO_OPERATION};
    cut.system = (struct hf_system){.segment = 1, .offset = 4096, .bytes = 17};
    struct hf_event level = {.type = HF_EVENT_FEATURE_LEVEL, .operation = HF_NO_OPERATION};
    level.system.level = 1;
    struct hf_event published = {.type = HF_EVENT_MESSAGE_PUBLISHED};
    published.published = (struct hf_published){.topic = name_of("refunds"),
                                                .key = HF_STR("order-7"),
                                                .type = HF_STR("refund.asked"),
                                                .deliver_at_us = 1700000000000002u,
                                                .data.text = HF_STR("[1, 2]")};
    struct hf_event due = {.type = HF_EVENT_MESSAGE_DUE, .operation = HF_NO_OPERATION};
    due.due = (struct hf_message_due){.message = {.position = 16, .index = 3, .bytes = 6},
                                      .topic = name_of("refunds"),
                                      .key = HF_STR("order-7"),
                                      .type = HF_STR("refund.asked")};
    struct hf_event raised = {.type = HF_EVENT_ALERT_RAISED, .operation = HF_NO_OPERATION};
    raised.alert = (struct hf_alert_event){.kind = HF_ALERT_DEAD_LETTER,
                                           .subject = HF_STR("subscriptions/mailer"),
                                           .text = HF_STR("3 dead letters, \"550\""),
                                           .since_us = 1600000000000001u};
    struct hf_event cleared = raised;
    cleared.type = HF_EVENT_ALERT_CLEARED;
    cleared.alert.raised_position = 17;
    struct hf_event *events[] = {&expired, &lease,     &cancelled, &checkpoint, &cut,
                                 &level,   &published, &due,       &raised,     &cleared};
    struct hf_commit commit = {.position = 9007199254740991u,
                               .time_us = 1700000000000001u,
                               .event_count = HF_ARRAY_COUNT(events),
                               .events = events};
    render(&commit, text);
    for (size_t i = 0; i < HF_ARRAY_COUNT(events); i++) {
        seen[events[i]->type] = true;
    }
}

static void every_kind_of_event_looks_as_it_always_did(void **state)
{
    (void)state;
    static char line[LINE_BYTES];
    static char wanted[LINE_BYTES];
    bool writing = getenv("GOLDEN_WRITE") != NULL;
    FILE *core = fopen(HF_GOLDEN_DIR "/core.txt", "r");
    FILE *golden = fopen(HF_GOLDEN_DIR "/feed.txt", writing ? "w" : "r");
    assert_non_null(core);
    assert_non_null(golden);
    struct hf_buffer text;
    hf_buffer_init(&text);
    bool seen[HF_EVENT_TYPE_COUNT] = {false};
    while (fgets(line, sizeof(line), core) != NULL && strchr(line, '-') != NULL) {
        struct hf_commit commit;
        decode_line(line, &commit);
        render(&commit, &text);
        for (uint32_t i = 0; i < commit.event_count; i++) {
            seen[commit.events[i]->type] = true;
        }
    }
    render_others(&text, seen);
    hf_buffer_u8(&text, 0);
    if (writing) {
        assert_true(fputs((char *)text.data, golden) >= 0);
    } else {
        const char *at = (char *)text.data;
        while (fgets(wanted, sizeof(wanted), golden) != NULL) {
            assert_memory_equal(at, wanted, strlen(wanted));
            at += strlen(wanted);
        }
        assert_string_equal(at, "");
    }
    for (int type = HF_EVENT_ACCOUNT_OPENED; type <= HF_EVENT_MESSAGE_DUE; type++) {
        assert_true(seen[type]);
    }
    assert_int_equal(fclose(golden), 0);
    assert_int_equal(fclose(core), 0);
    hf_buffer_release(&text);
}

/* ---- by hand ---- */

static struct hf_commit commit_of(struct hf_event *event, const char *metadata)
{
    static struct hf_event *events[1];
    events[0] = event;
    struct hf_commit commit = {
        .position = 17, .time_us = 1600000000123456u, .event_count = 1, .events = events};
    if (metadata != NULL) {
        commit.metadata.text = hf_str_from(metadata);
    }
    return commit;
}

static void assert_rendered(const struct hf_commit *commit, const char *wanted)
{
    struct hf_buffer text;
    hf_buffer_init(&text);
    render(commit, &text);
    text.data[text.size_bytes - 1] = '\0';
    assert_string_equal((char *)text.data, wanted);
    hf_buffer_release(&text);
}

static void users_bytes_are_unchanged_and_context_stands_behind(void **state)
{
    (void)state;
    struct hf_event event = {.type = HF_EVENT_STREAM_APPENDED};
    event.appended.type = HF_STR("a\"b");
    event.appended.data.text = HF_STR("{ \"n\" : 1.50,\n \"u\":\"\\u00e9\" }");
    assert_true(hf_name_make(HF_STR("o:1"), &arena, &event.appended.stream));
    struct hf_commit commit = commit_of(
        &event,
        "{\"traceparent\":\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\","
        "\"x\":{\"traceparent\":1},\"tracestate\":\"rojo=1,t@c=2\",\"causationid\":\"caf\\u00e9\","
        "\"correlationid\":\"c-1\"}");
    assert_rendered(
        &commit,
        "{\"specversion\":\"1.0\",\"id\":\"17-0\",\"source\":\"/spaces/0\",\"type\":\"a\\\"b\","
        "\"subject\":\"streams/o:1\",\"time\":\"2020-09-13T12:26:40.123456Z\","
        "\"datacontenttype\":\"application/json\",\"partitionkey\":\"o:1\","
        "\"sequence\":\"0000000000000017-0000000000\","
        "\"data\":{ \"n\" : 1.50,\n \"u\":\"\\u00e9\" },"
        "\"traceparent\":\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\","
        "\"tracestate\":\"rojo=1,t@c=2\",\"causationid\":\"caf\xC3\xA9\","
        "\"correlationid\":\"c-1\"}");
    struct hf_event cancelled = {.type = HF_EVENT_KEY_CANCELLED};
    commit = commit_of(&cancelled, "{\"tracestate\":\"rojo=1\",\"causationid\":7,"
                                   "\"correlationid\":\"a\\u0001b\"}");
    commit.space = 4;
    assert_rendered(&commit,
                    "{\"specversion\":\"1.0\",\"id\":\"17-0\",\"source\":\"/spaces/4\","
                    "\"type\":\"system.key.cancelled\",\"time\":\"2020-09-13T12:26:40.123456Z\","
                    "\"datacontenttype\":\"application/json\","
                    "\"sequence\":\"0000000000000017-0000000000\",\"data\":{}}");
}

static void sequences_sort_like_positions(void **state)
{
    (void)state;
    static const struct {
        uint64_t position;
        uint32_t index;
    } places[] = {{1, 0},  {1, 9},           {1, 10},
                  {2, 0},  {9, 4294967295u}, {10, 0},
                  {99, 1}, {100, 0},         {9007199254740991u, 0}};
    char before[HF_CLOUD_SEQUENCE_BYTES] = "";
    for (size_t i = 0; i < HF_ARRAY_COUNT(places); i++) {
        char text[HF_CLOUD_SEQUENCE_BYTES];
        hf_cloud_sequence(places[i].position, places[i].index, text);
        assert_int_equal(strlen(text), HF_CLOUD_SEQUENCE_BYTES - 1);
        assert_true(strcmp(before, text) < 0);
        memcpy(before, text, sizeof(before));
    }
}

/* ---- TC1, TC2 ---- */

static void traceparents_are_taken_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *known; /* NULL: invalid */
    } rows[] = {
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
         "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", NULL},
        {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-09",
         "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-09"},
        {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what",
         "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.what", NULL},
        {"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", NULL},
        {"00-00000000000000000000000000000000-b7ad6b7169203331-01", NULL},
        {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", NULL},
        {"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", NULL},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", NULL},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", NULL},
        {"00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", NULL},
        {"0g-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        char known[55];
        bool valid = hf_traceparent_parse(hf_str_from(rows[i].text), known);
        assert_int_equal(valid, rows[i].known != NULL);
        if (valid) {
            assert_memory_equal(known, rows[i].known, 55);
        }
    }
}

static void a_traceparent_is_found_in_metadata(void **state)
{
    (void)state;
    static const char parent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    static const struct {
        const char *metadata; /* NULL: absent */
        bool found;
    } rows[] = {
        {NULL, false},
        {"{}", false},
        {"[\"traceparent\"]", false},
        {"{\"traceparent\":1}", false},
        {"{\"traceparent\":\"00-0\"}", false},
        {"{\"a\":{\"traceparent\":\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\"}}",
         false},
        {"{\"a\":[1,{\"b\":2}],\"traceparent\":"
         "\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\",\"c\":0}",
         true},
        {"{\"traceparent\":\"\\u00300-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\"}",
         true},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        char known[HF_TRACEPARENT_BYTES];
        bool found = hf_traceparent_of(hf_str_from(rows[i].metadata), &arena, known);
        assert_int_equal(found, rows[i].found);
        assert_true(!found || memcmp(known, parent, sizeof(known)) == 0);
    }
}

static void tracestates_are_taken_strictly(void **state)
{
    (void)state;
    static const char *const valid[] = {
        "rojo=00f067aa0ba902b7", "a=1,b=2", " a=1 ,\tb=2", "a=1,,b=2",
        "tenant@system=x",       "1a@b=2",  "a_-*/9=x y~!"};
    static const char *const bad[] = {"",      ",",    "a",    "=1",      "a=",     "A=1",  "1a=2",
                                      "a=b=c", "a@=1", "@a=1", "a@b@c=1", "a=\x7F", "a=1,b"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(valid); i++) {
        assert_true(hf_tracestate_valid(hf_str_from(valid[i])));
    }
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad); i++) {
        assert_false(hf_tracestate_valid(hf_str_from(bad[i])));
    }
    char many[600];
    size_t used = 0;
    for (int i = 0; i < 33; i++) {
        used += (size_t)snprintf(many + used, sizeof(many) - used, "%sa%d=1", i == 0 ? "" : ",", i);
    }
    assert_false(hf_tracestate_valid((struct hf_str){many, used}));
    assert_true(hf_tracestate_valid((struct hf_str){many, used - 6}));
    memset(many, 'a', sizeof(many));
    many[1] = '=';
    assert_true(hf_tracestate_valid((struct hf_str){many, 258}));
    assert_false(hf_tracestate_valid((struct hf_str){many, 259}));
}

static void short_memory_is_told(void **state)
{
    (void)state;
    struct hf_event event = {.type = HF_EVENT_KEY_CANCELLED};
    struct hf_commit commit =
        commit_of(&event, "{\"causationid\":\"\\u0041\",\"correlationid\":\"\\u0042\"}");
    int failures = 0;
    for (uint64_t n = 1; n < 5; n++) {
        struct hf_arena small;
        hf_arena_init(&small);
        struct hf_cloud_context context;
        hf_alloc_fault_set(n);
        bool ok = hf_cloud_context_of(&commit, &small, &context);
        hf_alloc_fault_set(0);
        failures += !ok;
        if (ok) {
            assert_true(hf_str_equal(context.causationid, HF_STR("A")));
            assert_true(hf_str_equal(context.correlationid, HF_STR("B")));
        }
        hf_arena_release(&small);
    }
    assert_true(failures >= 1 && failures < 4);
}

/* ---- CE2 ---- */

static void assert_decodes(const char *header, const char *value)
{
    struct hf_buffer text;
    hf_buffer_init(&text);
    bool ok = hf_cloud_header_decode(&text, hf_str_from(header));
    assert_int_equal(ok, value != NULL);
    if (ok) {
        assert_int_equal(text.size_bytes, strlen(value));
        assert_memory_equal(text.data, value, text.size_bytes);
    }
    hf_buffer_release(&text);
}

static void binary_mode_headers_are_percent_encoded(void **state)
{
    (void)state;
    static const struct {
        const char *value, *header;
    } rows[] = {
        {"Euro \xE2\x82\xAC \xF0\x9F\x98\x80", "Euro%20%E2%82%AC%20%F0%9F%98%80"},
        {"a\"b%c", "a%22b%25c"},
        {"plain~!#[]", "plain~!#[]"},
        {"\x7F\x01", "%7F%01"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        struct hf_buffer text;
        hf_buffer_init(&text);
        hf_cloud_header_encode(&text, hf_str_from(rows[i].value));
        hf_buffer_u8(&text, 0);
        assert_string_equal((char *)text.data, rows[i].header);
        hf_buffer_release(&text);
        assert_decodes(rows[i].header, rows[i].value);
    }
    assert_decodes("%e2%82%ac", "\xE2\x82\xAC"); /* either case */
    static const char *const bad[] = {"%",
                                      "%4",
                                      "%4g",
                                      "%C0%AF" /* overlong */,
                                      "%E0%80%AF",
                                      "%F0%80%80%AF",
                                      "%ED%A0%80" /* a surrogate */,
                                      "%E2%82",
                                      "%FF",
                                      "%F4%90%80%80"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad); i++) {
        assert_decodes(bad[i], NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_event_looks_as_it_always_did),
        cmocka_unit_test(users_bytes_are_unchanged_and_context_stands_behind),
        cmocka_unit_test(sequences_sort_like_positions),
        cmocka_unit_test(traceparents_are_taken_strictly),
        cmocka_unit_test(a_traceparent_is_found_in_metadata),
        cmocka_unit_test(tracestates_are_taken_strictly),
        cmocka_unit_test(short_memory_is_told),
        cmocka_unit_test(binary_mode_headers_are_percent_encoded),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
