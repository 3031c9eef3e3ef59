/* Filters: what is malformed, what each part matches, their stored form. */
#include "core/filter.h"
#include "base/alloc.h"
#include "core/codec_priv.h"
#include "core/feed_event.h"
#include "unit/support.h"

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

static struct hf_name name_of(const char *text)
{
    struct hf_name name = {0};
    assert_true(hf_name_make(hf_str_from(text), &arena, &name));
    return name;
}

static struct hf_asset usd;

static struct hf_feed_event message(const char *topic, const char *key, const char *type)
{
    return (struct hf_feed_event){.arrives = true,
                                  .type = hf_str_from(type),
                                  .arrival_type = hf_str_from(type),
                                  .subject = HF_SUBJECT_TOPICS,
                                  .subject_name = name_of(topic),
                                  .key = hf_str_from(key)};
}

static struct hf_feed_event stream_event(const char *stream, const char *type)
{
    struct hf_feed_event event = message(stream, stream, type);
    event.subject = HF_SUBJECT_STREAMS;
    return event;
}

static struct hf_feed_event transfer(const char *id)
{
    struct hf_feed_event event = stream_event(id, "holdfast.transfer.posted");
    event.subject = HF_SUBJECT_TRANSFERS;
    event.key_is_subject = true;
    assert_true(hf_asset_parse(HF_STR("USD/2"), &usd));
    event.asset = &usd;
    return event;
}

static struct hf_feed_event system_event(const char *type)
{
    return (struct hf_feed_event){.system = true,
                                  .type = hf_str_from(type),
                                  .arrival_type = hf_str_from(type),
                                  .key_is_subject = true};
}

/* A message that was delayed and is due. */
static struct hf_feed_event due_message(const char *topic, const char *type)
{
    struct hf_feed_event event = message(topic, "k", "system.message.due");
    event.system = true;
    event.arrival_type = hf_str_from(type);
    return event;
}

static struct hf_filter make(struct hf_filter_fields fields)
{
    struct hf_filter filter;
    struct hf_malformed malformed;
    assert_true(hf_filter_make(&fields, &arena, &filter, &malformed));
    return filter;
}

#define TYPES(...)                                                                                 \
    .types = (const struct hf_str[]){__VA_ARGS__},                                                 \
    .type_count = sizeof((const struct hf_str[]){__VA_ARGS__}) / sizeof(struct hf_str)

static void assert_refused(struct hf_filter_fields fields, const char *pointer)
{
    struct hf_filter filter;
    struct hf_malformed malformed = {0};
    assert_false(hf_filter_make(&fields, &arena, &filter, &malformed));
    assert_int_equal(malformed.code, HF_ERR_INVALID_REQUEST);
    assert_string_equal(malformed.pointer, pointer);
    assert_true(malformed.text[0] != 0);
}

static void malformed_parts_are_named(void **state)
{
    (void)state;
    static const char *const topics[] = {"", "a b", "/a", "-a"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(topics); i++) {
        assert_refused((struct hf_filter_fields){.topic = hf_str_from(topics[i])}, "/filter/topic");
    }
    static const char *const prefixes[] = {"",          "streams", "orders/x",     "streams/a b",
                                           "streams/-", "/",       "transfers/~-", "Streams/a"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(prefixes); i++) {
        assert_refused((struct hf_filter_fields){.prefix = hf_str_from(prefixes[i])},
                       "/filter/prefix");
    }
    static const char *const assets[] = {"", "USD", "usd/2", "USD/19"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(assets); i++) {
        assert_refused((struct hf_filter_fields){.asset = hf_str_from(assets[i])}, "/filter/asset");
    }
    static const char *const buckets[] = {
        "",      "3",       "/",     "3/",    "/16",  "16/16", "0/0",   "-1/4",
        "01/16", "1/65537", "1/+16", "1/016", " 1/4", "1/4 ",  "1/1/2", "1/1000000000000"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(buckets); i++) {
        assert_refused((struct hf_filter_fields){.bucket = hf_str_from(buckets[i])},
                       "/filter/bucket");
    }
    static const char *const types[] = {"", ".*", "a b", "\x7F"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(types); i++) {
        struct hf_str type = hf_str_from(types[i]);
        assert_refused((struct hf_filter_fields){.types = &type, .type_count = 1}, "/filter/types");
    }
    struct hf_str many[HF_FILTER_TYPES_MAX + 1];
    for (size_t i = 0; i < HF_ARRAY_COUNT(many); i++) {
        many[i] = HF_STR("a");
    }
    assert_refused((struct hf_filter_fields){.types = many, .type_count = HF_FILTER_TYPES_MAX + 1},
                   "/filter/types");
    struct hf_filter filter =
        make((struct hf_filter_fields){.types = many, .type_count = HF_FILTER_TYPES_MAX});
    assert_int_equal(filter.type_count, HF_FILTER_TYPES_MAX);
}

static void texts_are_copied(void **state)
{
    (void)state;
    char topic[] = "refunds", prefix[] = "topics/re", type[] = "a.*";
    struct hf_str types[] = {hf_str_from(type)};
    struct hf_filter filter = make((struct hf_filter_fields){.topic = hf_str_from(topic),
                                                             .prefix = hf_str_from(prefix),
                                                             .types = types,
                                                             .type_count = 1});
    topic[0] = prefix[0] = type[0] = '!';
    struct hf_feed_event event = message("refunds", "k", "a.b");
    assert_true(hf_filter_matches(&filter, &event));
}

static void without_parts_all_but_system_events_match(void **state)
{
    (void)state;
    struct hf_filter all = make((struct hf_filter_fields){0});
    struct hf_feed_event t = transfer("t"), s = system_event("system.takeover");
    struct hf_feed_event due = due_message("refunds", "x");
    assert_true(hf_filter_matches(&all, &t));
    assert_false(hf_filter_matches(&all, &s));
    assert_false(hf_filter_matches(&all, &due));
    struct hf_filter everything_system = make((struct hf_filter_fields){TYPES(HF_STR("system.*"))});
    struct hf_filter one = make((struct hf_filter_fields){TYPES(HF_STR("system.takeover"))});
    struct hf_filter other = make((struct hf_filter_fields){TYPES(HF_STR("system.tail.cut"))});
    assert_true(hf_filter_matches(&everything_system, &s));
    assert_true(hf_filter_matches(&everything_system, &due));
    assert_false(hf_filter_matches(&everything_system, &t));
    assert_true(hf_filter_matches(&one, &s));
    assert_false(hf_filter_matches(&other, &s));
}

static void arrivals_are_never_system_and_delayed_ones_come_when_due(void **state)
{
    (void)state;
    struct hf_filter all = make((struct hf_filter_fields){0});
    struct hf_filter system_ = make((struct hf_filter_fields){TYPES(HF_STR("system.*"))});
    struct hf_filter typed =
        make((struct hf_filter_fields){.topic = HF_STR("refunds"), TYPES(HF_STR("refund.*"))});
    struct hf_feed_event s = system_event("system.takeover");
    struct hf_feed_event due = due_message("refunds", "refund.asked");
    struct hf_feed_event delayed = message("refunds", "k", "refund.asked");
    delayed.arrives = false;
    struct hf_feed_event now = message("refunds", "k", "refund.asked");
    assert_false(hf_filter_arrives(&all, &s));
    assert_false(hf_filter_arrives(&system_, &s));
    assert_false(hf_filter_arrives(&system_, &due));
    assert_true(hf_filter_arrives(&all, &due));
    assert_true(hf_filter_arrives(&typed, &due));
    assert_false(hf_filter_arrives(&typed, &delayed));
    assert_true(hf_filter_matches(&typed, &delayed)); /* a reader sees it as it is published */
    assert_true(hf_filter_arrives(&typed, &now));
    struct hf_feed_event other = due_message("refunds", "payment.asked");
    assert_false(hf_filter_arrives(&typed, &other));
}

static void each_part_must_match(void **state)
{
    (void)state;
    struct hf_feed_event refund = message("refunds", "k", "refund.asked");
    struct hf_feed_event order = stream_event("orders:1", "order.paid");
    struct hf_feed_event money = transfer("t");
    struct hf_filter by_topic = make((struct hf_filter_fields){.topic = HF_STR("refunds")});
    assert_true(hf_filter_matches(&by_topic, &refund));
    struct hf_feed_event same_name = stream_event("refunds", "x");
    assert_false(hf_filter_matches(&by_topic, &same_name));
    struct hf_filter by_prefix =
        make((struct hf_filter_fields){.prefix = HF_STR("streams/orders:")});
    assert_true(hf_filter_matches(&by_prefix, &order));
    assert_false(hf_filter_matches(&by_prefix, &refund));
    struct hf_feed_event shorter = stream_event("orders", "x");
    assert_false(hf_filter_matches(&by_prefix, &shorter));
    struct hf_filter collection = make((struct hf_filter_fields){.prefix = HF_STR("transfers/")});
    assert_true(hf_filter_matches(&collection, &money));
    assert_false(hf_filter_matches(&collection, &order));
    struct hf_filter by_asset = make((struct hf_filter_fields){.asset = HF_STR("USD/2")});
    assert_true(hf_filter_matches(&by_asset, &money));
    assert_false(hf_filter_matches(&by_asset, &order));
    struct hf_filter euro = make((struct hf_filter_fields){.asset = HF_STR("EUR/2")});
    assert_false(hf_filter_matches(&euro, &money));
    struct hf_filter types =
        make((struct hf_filter_fields){TYPES(HF_STR("refund.asked"), HF_STR("order.*"))});
    assert_true(hf_filter_matches(&types, &refund));
    assert_true(hf_filter_matches(&types, &order));
    assert_false(hf_filter_matches(&types, &money));
    struct hf_feed_event bare = stream_event("orders:1", "order");
    struct hf_feed_event longer = stream_event("orders:1", "orders.paid");
    assert_false(hf_filter_matches(&types, &bare));
    assert_false(hf_filter_matches(&types, &longer));
    struct hf_filter both = make((struct hf_filter_fields){.prefix = HF_STR("streams/orders:"),
                                                           TYPES(HF_STR("order.lost"))});
    assert_false(hf_filter_matches(&both, &order));
}

static void each_event_is_in_one_bucket(void **state)
{
    (void)state;
    struct hf_feed_event event = stream_event("o:1", "x");
    struct hf_id hash = hf_feed_key_hash(&event);
    uint32_t bucket = hf_feed_bucket(&hash, 16);
    int matching = 0;
    for (uint32_t i = 0; i < 16; i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "%u/16", i);
        struct hf_filter filter = make((struct hf_filter_fields){.bucket = hf_str_from(text)});
        if (hf_filter_matches(&filter, &event)) {
            matching++;
            assert_int_equal(i, bucket);
        }
    }
    assert_int_equal(matching, 1);
}

static void encode(const struct hf_filter *filter, struct hf_buffer *out)
{
    struct hf_buffer payload;
    hf_buffer_init(&payload);
    struct hf_codec codec = {.out = out, .out_payload = &payload};
    struct hf_filter copy = *filter;
    hf_code_filter(&codec, &copy);
    assert_true(hf_codec_ok(&codec));
    assert_int_equal(payload.size_bytes, 0);
    hf_buffer_release(&payload);
}

static bool decode(const void *data, size_t size_bytes, struct hf_filter *filter)
{
    struct hf_codec codec = {.in = hf_reader_over(data, size_bytes),
                             .in_payload = hf_reader_over("", 0),
                             .arena = &arena};
    hf_code_filter(&codec, filter);
    return hf_codec_ok(&codec) && hf_reader_left(&codec.in) == 0;
}

static void the_stored_form_is_frozen_and_strict(void **state)
{
    (void)state;
    struct hf_filter empty = make((struct hf_filter_fields){0});
    struct hf_filter full = make((struct hf_filter_fields){.topic = HF_STR("refunds"),
                                                           .prefix = HF_STR("topics/ref"),
                                                           .asset = HF_STR("USD/2"),
                                                           .bucket = HF_STR("3/16"),
                                                           TYPES(HF_STR("a.*"), HF_STR("b"))});
    struct hf_buffer out;
    hf_buffer_init(&out);
    encode(&empty, &out);
    assert_int_equal(out.size_bytes, 5);
    assert_memory_equal(out.data, "\0\0\0\0\0", 5);
    struct hf_filter back;
    assert_true(decode(out.data, out.size_bytes, &back));
    assert_true(hf_filter_equal(&back, &empty));
    assert_false(hf_filter_equal(&back, &full));
    hf_buffer_clear(&out);
    encode(&full, &out);
    static const uint8_t tail[] = "\1\012topics/ref\1\5USD/2\1\3\020\2\3a.*\1b";
    assert_int_equal(out.size_bytes, 1 + 16 + 8 + sizeof(tail) - 1);
    assert_memory_equal(out.data + 25, tail, sizeof(tail) - 1);
    assert_true(decode(out.data, out.size_bytes, &back));
    assert_true(hf_filter_equal(&back, &full));
    for (size_t cut = 0; cut < out.size_bytes; cut++) {
        assert_false(decode(out.data, cut, &back));
    }
    static const char *const bad[] = {"\2\0\0\0\0", "\0\1\1x\0\0\0", "\0\0\0\1\4\4\0",
                                      "\0\0\0\0\1\2.*", "\0\0\0\0\021"};
    static const size_t bad_bytes[] = {5, 7, 7, 8, 5};
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad); i++) {
        assert_false(decode(bad[i], bad_bytes[i], &back));
    }
    hf_buffer_release(&out);
}

static void short_memory_is_told(void **state)
{
    (void)state;
    struct hf_filter_fields fields = {
        .topic = HF_STR("t"), .prefix = HF_STR("topics/t"), TYPES(HF_STR("a"))};
    struct hf_arena small;
    hf_arena_init(&small);
    struct hf_filter filter;
    struct hf_malformed malformed = {0};
    hf_alloc_fault_set(1);
    assert_false(hf_filter_make(&fields, &small, &filter, &malformed));
    hf_alloc_fault_set(0);
    assert_int_equal(malformed.code, HF_ERR_NO_MEMORY);
    hf_arena_release(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_parts_are_named),
        cmocka_unit_test(texts_are_copied),
        cmocka_unit_test(without_parts_all_but_system_events_match),
        cmocka_unit_test(arrivals_are_never_system_and_delayed_ones_come_when_due),
        cmocka_unit_test(each_part_must_match),
        cmocka_unit_test(each_event_is_in_one_bucket),
        cmocka_unit_test(the_stored_form_is_frozen_and_strict),
        cmocka_unit_test(short_memory_is_told),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
