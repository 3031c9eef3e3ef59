/*
 * A reader of the feed, step by step, on the tail of a node in the simulated world: pages, streams, heartbeats, cursors, and a slow
 * reader that goes from the disk to RAM.
 */
#include <stdio.h>

#include "api/feed_reader.h"
#include "unit/node_rig.h"
#include "unit/support.h"

#define SECOND_US 1000000u
#define NOW_US    (100ull * SECOND_US) /* monotonic, as the lanes would tell it */

struct feeding {
    struct node_rig rig;
    struct hf_feed_source ram;
    struct hf_feed_source disk;
    struct hf_feed_reader reader;
    struct hf_caller caller;
    struct hf_buffer out;
    struct hf_arena arena; /* of filters */
    struct hf_str cursor;  /* where the last reader was, as text */
    char cursor_text[HF_FEED_CURSOR_CHARS_MAX];
    unsigned disk_steps; /* since the reader began */
};

static void begin(struct feeding *f, uint64_t tail_bytes_max)
{
    *f = (struct feeding){.caller = {.scopes = HF_SCOPE_READ}};
    node_rig_init(&f->rig, 3);
    f->rig.limits.tail_bytes_max = tail_bytes_max;
    f->rig.checkpoints = false;
    node_rig_make(&f->rig);
    node_rig_start(&f->rig);
    node_rig_drive(&f->rig, 1000);
    hf_feed_source_init(&f->ram, hf_node_tail(f->rig.node), false);
    hf_feed_source_init(&f->disk, hf_node_tail(f->rig.node), true);
    hf_buffer_init(&f->out);
    hf_arena_init(&f->arena);
}

static void end(struct feeding *f)
{
    hf_feed_source_release(&f->ram);
    hf_feed_source_release(&f->disk);
    hf_buffer_release(&f->out);
    hf_arena_release(&f->arena);
    node_rig_end(&f->rig);
}

/* Events of stream s: numbers first, first + 1, …, one a commit. */
static void append(struct feeding *f, unsigned first, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char json[256];
        (void)snprintf(json, sizeof(json),
                       "{\"do\":[{\"op\":\"append\",\"stream\":\"s\",\"type\":\"%s\",\"data\":"
                       "{\"n\":%u}}]}",
                       (first + i) % 2 == 0 ? "even" : "odd", first + i);
        node_rig_commit(&f->rig, json);
    }
}

static void read_from(struct feeding *f, enum hf_feed_form form, enum hf_feed_from from,
                      uint64_t limit)
{
    hf_buffer_clear(&f->out);
    f->disk_steps = 0;
    f->reader = (struct hf_feed_reader){.form = form,
                                        .limit = limit,
                                        .caller = &f->caller,
                                        .from = from,
                                        .out = &f->out,
                                        .follows = form == HF_FEED_SSE};
}

static void want_type(struct feeding *f, const char *type)
{
    struct hf_str types[] = {hf_str_from(type)};
    struct hf_filter_fields fields = {.types = types, .type_count = 1};
    struct hf_malformed malformed = {0};
    assert_true(hf_filter_make(&fields, &f->arena, &f->reader.filter, &malformed));
}

static void keep_cursor(struct feeding *f)
{
    struct hf_buffer text;
    hf_buffer_init(&text);
    hf_feed_cursor_encode(&text, &f->reader.progress.next, f->reader.progress.mark);
    assert_true(!text.failed && text.size_bytes <= sizeof(f->cursor_text));
    memcpy(f->cursor_text, text.data, text.size_bytes);
    f->cursor = (struct hf_str){f->cursor_text, text.size_bytes};
    hf_buffer_release(&text);
}

/* As the lanes do: from one source to the other, until it is given back or waits. */
static enum hf_feed_step go(struct feeding *f, uint64_t now_us)
{
    bool disk = false;
    for (unsigned i = 0; i < 1000; i++) {
        enum hf_feed_step step = hf_feed_reader_step(&f->reader, disk ? &f->disk : &f->ram, now_us);
        f->disk_steps += disk;
        if (step == HF_FEED_GIVE && f->reader.result != HF_FEED_REFUSED) {
            keep_cursor(f);
        }
        if (step == HF_FEED_GIVE || step == HF_FEED_WAIT) {
            return step;
        }
        disk = step == HF_FEED_ELSEWHERE ? !disk : disk;
    }
    fail_msg("it comes to no end");
    return HF_FEED_AGAIN;
}

static void expect(struct feeding *f, uint64_t now_us, enum hf_feed_result result, uint64_t events)
{
    assert_int_equal(go(f, now_us), HF_FEED_GIVE);
    if (f->reader.result == HF_FEED_REFUSED) {
        print_error("%s\n", f->reader.detail);
    }
    assert_int_equal(f->reader.result, result);
    assert_int_equal(f->reader.events, events);
}

static bool says(const struct feeding *f, const char *text)
{
    return memmem(f->out.data, f->out.size_bytes, text, strlen(text)) != NULL;
}

/* How often it is in what was written. */
static unsigned times(const struct feeding *f, const char *text)
{
    unsigned count = 0;
    const uint8_t *at = f->out.data;
    const uint8_t *stop = at + f->out.size_bytes;
    while (at < stop && (at = memmem(at, (size_t)(stop - at), text, strlen(text))) != NULL) {
        count++;
        at++;
    }
    return count;
}

static void expect_refused(struct feeding *f, enum hf_err code, const char *detail)
{
    assert_int_equal(go(f, NOW_US), HF_FEED_GIVE);
    assert_int_equal(f->reader.result, HF_FEED_REFUSED);
    assert_int_equal(f->reader.code, code);
    assert_non_null(strstr(f->reader.detail, detail));
    assert_int_equal(f->out.size_bytes, 0);
}

/* ---- pages ---- */

static void pages_follow_one_another(void **state)
{
    (void)state;
    struct feeding f;
    begin(&f, 1u << 20);
    append(&f, 0, 10);
    uint64_t head = node_rig_position(&f.rig);
    read_from(&f, HF_FEED_PAGE, HF_FEED_FROM_BEGINNING, 4);
    expect(&f, NOW_US, HF_FEED_DONE, 4);
    assert_true(says(&f, "\"n\":0") && says(&f, "\"n\":3") && !says(&f, "\"n\":4"));
    assert_int_equal(f.reader.progress.head, head);
    assert_int_equal(f.reader.progress.lag_commits,
                     head + 1 - f.reader.progress.next.place.position);
    for (unsigned page = 0; page < 2; page++) {
        struct hf_str after = f.cursor;
        read_from(&f, HF_FEED_PAGE, HF_FEED_FROM_CURSOR, 4);
        f.reader.cursor = after;
        expect(&f, NOW_US, HF_FEED_DONE, page == 0 ? 4 : 2);
    }
    assert_true(says(&f, "\"n\":8") && says(&f, "\"n\":9") && says(&f, "\"lag_commits\":0"));
    read_from(&f, HF_FEED_PAGE, HF_FEED_FROM_POSITION, 100);
    f.reader.number = head;
    expect(&f, NOW_US, HF_FEED_DONE, 1);
    read_from(&f, HF_FEED_PAGE, HF_FEED_FROM_NOW, 100);
    expect(&f, NOW_US, HF_FEED_DONE, 0);
    end(&f);
}

/* It waits for the first event, or until its time is over. */
static void a_page_waits_at_the_head(void **state)
{
    (void)state;
    struct feeding f;
    begin(&f, 1u << 20);
    append(&f, 0, 1);
    read_from(&f, HF_FEED_PAGE, HF_FEED_FROM_NOW, 10);
    f.reader.deadline_us = NOW_US + 5 * SECOND_US;
    assert_int_equal(go(&f, NOW_US), HF_FEED_WAIT);
    assert_int_equal(f.reader.wake_us, NOW_US + 5 * SECOND_US);
    append(&f, 1, 2);
    expect(&f, NOW_US + 1, HF_FEED_DONE, 2);
    read_from(&f, HF_FEED_PAGE, HF_FEED_FROM_NOW, 10);
    f.reader.deadline_us = NOW_US + 5 * SECOND_US;
    assert_int_equal(go(&f, NOW_US), HF_FEED_WAIT);
    expect(&f, NOW_US + 5 * SECOND_US, HF_FEED_DONE, 0);
    end(&f);
}

/* What nobody wants moves the cursor, too. */
static void a_filter_moves_the_cursor(void **state)
{
    (void)state;
    struct feeding f;
    begin(&f, 1u << 20);
    append(&f, 0, 9);
    uint64_t head = node_rig_position(&f.rig);
    read_from(&f, HF_FEED_PAGE, HF_FEED_FROM_BEGINNING, 100);
    want_type(&f, "odd");
    expect(&f, NOW_US, HF_FEED_DONE, 4);
    assert_int_equal(times(&f, "\"type\":\"odd\""), 4);
    read_from(&f, HF_FEED_PAGE, HF_FEED_FROM_BEGINNING, 100);
    want_type(&f, "neither");
    expect(&f, NOW_US, HF_FEED_DONE, 0);
    assert_int_equal(f.reader.progress.next.place.position, head + 1);
    end(&f);
}

/* ---- streams ---- */

/* A heartbeat tells the cursor when nothing comes, or nothing that is wanted. */
static void heartbeats_when_nothing_matches(void **state)
{
    (void)state;
    struct feeding f;
    begin(&f, 1u << 20);
    append(&f, 0, 2);
    read_from(&f, HF_FEED_SSE, HF_FEED_FROM_NOW, UINT64_MAX);
    want_type(&f, "neither");
    expect(&f, NOW_US, HF_FEED_MORE, 0); /* it is let in */
    assert_true(says(&f, "retry: ") && says(&f, ": heartbeat\nid: "));
    hf_buffer_clear(&f.out);
    assert_int_equal(go(&f, NOW_US + 1), HF_FEED_WAIT);
    assert_int_equal(f.reader.wake_us, NOW_US + HF_FEED_HEARTBEAT_US);
    append(&f, 2, 3);
    assert_int_equal(go(&f, NOW_US + SECOND_US), HF_FEED_WAIT);
    assert_int_equal(f.out.size_bytes, 0);
    expect(&f, NOW_US + HF_FEED_HEARTBEAT_US, HF_FEED_MORE, 0);
    assert_int_equal(times(&f, ": heartbeat\n"), 1);
    assert_int_equal(f.reader.progress.next.place.position, node_rig_position(&f.rig) + 1);
    /* The cursor of the heartbeat goes on behind what nobody wanted. */
    struct hf_str after = f.cursor;
    append(&f, 5, 1);
    read_from(&f, HF_FEED_LINES, HF_FEED_FROM_CURSOR, UINT64_MAX);
    f.reader.cursor = after;
    expect(&f, NOW_US, HF_FEED_MORE, 0);
    expect(&f, NOW_US, HF_FEED_DONE, 1);
    assert_true(says(&f, "\"n\":5") && says(&f, "{\"cursor\":\""));
    end(&f);
}

static void a_stream_ends_when_it_is_recalled(void **state)
{
    (void)state;
    struct feeding f;
    begin(&f, 1u << 20);
    append(&f, 0, 3);
    read_from(&f, HF_FEED_LINES, HF_FEED_FROM_BEGINNING, UINT64_MAX);
    f.reader.follows = true;
    expect(&f, NOW_US, HF_FEED_MORE, 0);
    expect(&f, NOW_US, HF_FEED_MORE, 3);
    assert_int_equal(go(&f, NOW_US), HF_FEED_WAIT);
    atomic_store(&f.reader.recalled, true);
    expect(&f, NOW_US, HF_FEED_DONE, 3);
    end(&f);
}

/* ---- cursors ---- */

static void cursors_are_refused_where_they_must(void **state)
{
    (void)state;
    struct feeding f;
    begin(&f, 1u << 20);
    append(&f, 0, 3);
    uint64_t head = node_rig_position(&f.rig);
    read_from(&f, HF_FEED_PAGE, HF_FEED_FROM_BEGINNING, 1);
    expect(&f, NOW_US, HF_FEED_DONE, 1);
    uint64_t mark = f.reader.mark;
    const struct {
        struct hf_feed_cursor cursor;
        uint64_t mark;
        enum hf_err code;
        const char *detail;
    } cases[] = {
        {{.place = {.position = 1}}, mark + 1, HF_ERR_CURSOR_GONE, "another log"},
        {{.place = {.position = head + 2}}, mark, HF_ERR_CURSOR_GONE, "ahead of the log"},
        {{.is_snapshot = true, .place = {.position = 1}, .kind = HF_KIND_STREAM},
         mark,
         HF_ERR_INVALID_REQUEST,
         "of a snapshot"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(cases); i++) {
        struct hf_buffer text;
        hf_buffer_init(&text);
        hf_feed_cursor_encode(&text, &cases[i].cursor, cases[i].mark);
        read_from(&f, HF_FEED_PAGE, HF_FEED_FROM_CURSOR, 1);
        f.reader.cursor = (struct hf_str){(const char *)text.data, text.size_bytes};
        expect_refused(&f, cases[i].code, cases[i].detail);
        hf_buffer_release(&text);
    }
    read_from(&f, HF_FEED_PAGE, HF_FEED_FROM_CURSOR, 1);
    f.reader.cursor = HF_STR("AQEnocursor");
    expect_refused(&f, HF_ERR_INVALID_REQUEST, "none that the feed gave");
    read_from(&f, HF_FEED_PAGE, HF_FEED_FROM_POSITION, 1);
    f.reader.number = head + 2;
    expect_refused(&f, HF_ERR_INVALID_REQUEST, "beyond the log's head");
    end(&f);
}

/* What the log has no more is told, with where it begins. */
static void a_trimmed_cursor_is_gone(void **state)
{
    (void)state;
    struct feeding f;
    begin(&f, 2000);
    read_from(&f, HF_FEED_PAGE, HF_FEED_FROM_BEGINNING, 1);
    append(&f, 0, 1);
    expect(&f, NOW_US, HF_FEED_DONE, 1);
    struct hf_str after = f.cursor;
    append(&f, 1, 200);
    struct hf_error error = {0};
    uint64_t seq = hf_tail_head(hf_node_tail(f.rig.node)).seq;
    uint64_t first;
    assert_int_equal(f.rig.log->driver->trim(f.rig.log, seq, &error), HF_ERR_OK);
    assert_int_equal(hf_tail_first(hf_node_tail(f.rig.node), &first, &error), HF_ERR_OK);
    assert_true(first > 3);
    read_from(&f, HF_FEED_PAGE, HF_FEED_FROM_CURSOR, 1);
    f.reader.cursor = after;
    expect_refused(&f, HF_ERR_CURSOR_GONE, "trimmed");
    assert_int_equal(f.reader.first_position, first);
    read_from(&f, HF_FEED_PAGE, HF_FEED_FROM_BEGINNING, 1); /* what there is */
    expect(&f, NOW_US, HF_FEED_DONE, 1);
    end(&f);
}

/* ---- slow readers ---- */

/* It is far behind what RAM keeps: the disk has it, piece by piece, until RAM has the rest. */
static void a_slow_reader_reads_from_the_disk(void **state)
{
    (void)state;
    struct feeding f;
    enum { EVENTS = 400 };
    begin(&f, 4000);
    read_from(&f, HF_FEED_LINES, HF_FEED_FROM_NOW, UINT64_MAX);
    f.reader.follows = true;
    expect(&f, NOW_US, HF_FEED_MORE, 0);
    hf_buffer_clear(&f.out);
    append(&f, 0, EVENTS); /* meanwhile its peer takes nothing */
    unsigned pieces = 0;
    while (go(&f, NOW_US) == HF_FEED_GIVE) {
        assert_int_equal(f.reader.result, HF_FEED_MORE);
        pieces++;
    }
    assert_true(f.disk_steps > 0);
    assert_true(pieces > 0);
    assert_int_equal(f.reader.events, EVENTS);
    assert_int_equal(times(&f, "{\"event\":"), EVENTS);
    for (unsigned i = 0; i < EVENTS; i += 37) {
        char text[32];
        (void)snprintf(text, sizeof(text), "{\"n\":%u}", i);
        assert_int_equal(times(&f, text), 1);
    }
    /* At the head it is RAM's again. */
    unsigned before = f.disk_steps;
    hf_buffer_clear(&f.out);
    append(&f, EVENTS, 1);
    expect(&f, NOW_US, HF_FEED_MORE, EVENTS + 1);
    assert_int_equal(f.disk_steps, before);
    end(&f);
}

/* A piece is bounded: the rest comes when the peer has taken it. */
static void pieces_are_bounded(void **state)
{
    (void)state;
    struct feeding f;
    enum { EVENTS = 20, TEXT = 20000 };
    static char json[TEXT + 200];
    begin(&f, 1u << 20);
    for (unsigned i = 0; i < EVENTS; i++) {
        int head =
            snprintf(json, sizeof(json),
                     "{\"do\":[{\"op\":\"append\",\"stream\":\"s\",\"type\":\"t\",\"data\":\"");
        memset(json + head, 'x', TEXT);
        memcpy(json + head + TEXT, "\"}]}", 5);
        node_rig_commit(&f.rig, json);
    }
    read_from(&f, HF_FEED_LINES, HF_FEED_FROM_BEGINNING, UINT64_MAX);
    expect(&f, NOW_US, HF_FEED_MORE, 0);
    unsigned pieces = 0;
    do {
        hf_buffer_clear(&f.out);
        assert_int_equal(go(&f, NOW_US), HF_FEED_GIVE);
        assert_true(f.out.size_bytes < HF_FEED_PIECE_BYTES + TEXT + 1000);
        pieces++;
    } while (f.reader.result == HF_FEED_MORE);
    assert_int_equal(f.reader.events, EVENTS);
    assert_true(pieces >= EVENTS * TEXT / (HF_FEED_PIECE_BYTES + TEXT));
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_follow_one_another),
        cmocka_unit_test(a_page_waits_at_the_head),
        cmocka_unit_test(a_filter_moves_the_cursor),
        cmocka_unit_test(heartbeats_when_nothing_matches),
        cmocka_unit_test(a_stream_ends_when_it_is_recalled),
        cmocka_unit_test(cursors_are_refused_where_they_must),
        cmocka_unit_test(a_trimmed_cursor_is_gone),
        cmocka_unit_test(a_slow_reader_reads_from_the_disk),
        cmocka_unit_test(pieces_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
