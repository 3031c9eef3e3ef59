/* What the feed says of each kind of log event: frozen, for cursors, buckets and lines depend on it. */
#include "core/feed_event.h"
#include "base/arena.h"
#include "unit/support.h"

static struct hf_name name_of(const char *text)
{
    struct hf_arena arena;
    hf_arena_init(&arena);
    struct hf_name name = {0};
    assert_true(hf_name_make(hf_str_from(text), &arena, &name));
    hf_arena_release(&arena);
    return name;
}

static struct hf_asset asset_of(const char *text)
{
    struct hf_asset asset;
    assert_true(hf_asset_parse(hf_str_from(text), &asset));
    return asset;
}

static struct hf_payload text_of(const char *text)
{
    return (struct hf_payload){.text = hf_str_from(text)};
}

/* The feed event of a commit at position 17 that holds `event` third. */
static struct hf_feed_event feed_of(struct hf_event *event)
{
    static struct hf_event other = {.type = HF_EVENT_KEY_CANCELLED};
    static struct hf_event *events[3];
    static struct hf_commit commit;
    events[0] = events[1] = &other;
    events[2] = event;
    commit = (struct hf_commit){.position = 17, .event_count = 3, .events = events};
    struct hf_feed_event feed;
    hf_feed_event_of(&commit, 2, &feed);
    assert_int_equal(feed.position, 17);
    assert_int_equal(feed.index, 2);
    return feed;
}

static void assert_text(const struct hf_feed_event *feed,
                        void (*write)(const struct hf_feed_event *, struct hf_buffer *),
                        const char *wanted)
{
    struct hf_buffer buffer;
    hf_buffer_init(&buffer);
    write(feed, &buffer);
    assert_false(buffer.failed);
    assert_true(hf_str_equal((struct hf_str){(const char *)buffer.data, buffer.size_bytes},
                             hf_str_from(wanted)));
    hf_buffer_release(&buffer);
}

struct wanted {
    const char *type, *subject, *key, *asset, *payload; /* NULL: none */
    bool system;
};

static void assert_feed(struct hf_event *event, struct wanted wanted)
{
    struct hf_feed_event feed = feed_of(event);
    assert_true(hf_str_equal(feed.type, hf_str_from(wanted.type)));
    assert_true(hf_str_equal(feed.arrival_type, feed.type));
    assert_text(&feed, hf_feed_subject_text, wanted.subject);
    assert_text(&feed, hf_feed_key_text, wanted.key);
    assert_int_equal(feed.system, wanted.system);
    assert_int_equal(feed.arrives, !wanted.system);
    assert_int_equal(feed.asset != NULL, wanted.asset != NULL);
    if (wanted.asset != NULL && feed.asset != NULL) {
        assert_true(hf_str_equal(hf_asset_str(feed.asset), hf_str_from(wanted.asset)));
    }
    assert_int_equal(feed.payload != NULL, wanted.payload != NULL);
    if (wanted.payload != NULL && feed.payload != NULL) {
        assert_true(hf_str_equal(feed.payload->text, hf_str_from(wanted.payload)));
    }
    assert_int_equal(feed.data_position, 17);
    assert_int_equal(feed.data_index, 2);
}

static void accounts_tell_their_name_and_asset(void **state)
{
    (void)state;
    struct hf_event opened = {.type = HF_EVENT_ACCOUNT_OPENED};
    opened.opened = (struct hf_account){.name = name_of("users:1"), .asset = asset_of("USD/2")};
    assert_feed(&opened, (struct wanted){.type = "holdfast.account.opened",
                                         .subject = "accounts/users:1",
                                         .key = "accounts/users:1",
                                         .asset = "USD/2"});
    struct hf_event changed = {.type = HF_EVENT_ACCOUNT_CHANGED};
    changed.changed = (struct hf_account_changed){.change = HF_CHANGE_FROZEN,
                                                  .side = {.account = name_of("users:1")}};
    assert_feed(&changed, (struct wanted){.type = "holdfast.account.changed",
                                          .subject = "accounts/users:1",
                                          .key = "accounts/users:1"}); /* as early frames are */
    changed.changed.has_asset = true;
    changed.changed.asset = asset_of("USD/2");
    assert_feed(&changed, (struct wanted){.type = "holdfast.account.changed",
                                          .subject = "accounts/users:1",
                                          .key = "accounts/users:1",
                                          .asset = "USD/2"});
}

static void money_tells_its_transfer_or_hold(void **state)
{
    (void)state;
    struct hf_event posted = {.type = HF_EVENT_TRANSFER_POSTED};
    posted.posting.transfer =
        (struct hf_transfer){.name = name_of("~17.2"), .asset = asset_of("JPY/0")};
    assert_feed(&posted, (struct wanted){.type = "holdfast.transfer.posted",
                                         .subject = "transfers/~17.2",
                                         .key = "transfers/~17.2",
                                         .asset = "JPY/0"});
    static const struct {
        enum hf_event_type type;
        const char *wire;
    } holds[] = {
        {HF_EVENT_HOLD_OPENED, "holdfast.hold.opened"},
        {HF_EVENT_HOLD_CAPTURED, "holdfast.hold.captured"},
        {HF_EVENT_HOLD_VOIDED, "holdfast.hold.voided"},
        {HF_EVENT_HOLD_EXPIRED, "holdfast.hold.expired"},
        {HF_EVENT_HOLD_EXTENDED, "holdfast.hold.extended"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(holds); i++) {
        struct hf_event event = {.type = holds[i].type};
        event.posting.hold = (struct hf_hold){.name = name_of("h1"), .asset = asset_of("BTC/8")};
        assert_feed(&event, (struct wanted){.type = holds[i].wire,
                                            .subject = "holds/h1",
                                            .key = "holds/h1",
                                            .asset = "BTC/8"});
    }
}

static void user_data_keeps_its_type_key_and_text(void **state)
{
    (void)state;
    struct hf_event appended = {.type = HF_EVENT_STREAM_APPENDED};
    appended.appended = (struct hf_appended){
        .stream = name_of("o:1"), .type = HF_STR("order.paid"), .data = text_of("{ \"a\" : 1 }")};
    assert_feed(&appended, (struct wanted){.type = "order.paid",
                                           .subject = "streams/o:1",
                                           .key = "o:1",
                                           .payload = "{ \"a\" : 1 }"});
    struct hf_event put = {.type = HF_EVENT_DOCUMENT_PUT};
    put.document = (struct hf_document_changed){.document = name_of("d"), .data = text_of("7")};
    assert_feed(&put, (struct wanted){.type = "holdfast.document.put",
                                      .subject = "documents/d",
                                      .key = "documents/d",
                                      .payload = "7"});
    struct hf_event deleted = {.type = HF_EVENT_DOCUMENT_DELETED};
    deleted.document = (struct hf_document_changed){.document = name_of("d")};
    assert_feed(&deleted, (struct wanted){.type = "holdfast.document.deleted",
                                          .subject = "documents/d",
                                          .key = "documents/d"});
}

static void leases_tell_their_name(void **state)
{
    (void)state;
    static const char *const wires[] = {"holdfast.lease.acquired", "holdfast.lease.renewed",
                                        "holdfast.lease.released", "holdfast.lease.expired"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(wires); i++) {
        struct hf_event event = {.type = (enum hf_event_type)(HF_EVENT_LEASE_ACQUIRED + i)};
        event.lease = (struct hf_lease){.name = name_of("l1")};
        assert_feed(&event,
                    (struct wanted){.type = wires[i], .subject = "leases/l1", .key = "leases/l1"});
    }
}

static void what_is_not_for_consumers_is_system(void **state)
{
    (void)state;
    static const struct {
        enum hf_event_type type;
        const char *wire;
    } events[] = {
        {HF_EVENT_REFUSED, "system.commit.refused"},
        {HF_EVENT_KEY_CANCELLED, "system.key.cancelled"},
        {HF_EVENT_TAKEOVER, "system.takeover"},
        {HF_EVENT_CHECKPOINT, "system.checkpoint.stored"},
        {HF_EVENT_TAIL_CUT, "system.tail.cut"},
        {HF_EVENT_FEATURE_LEVEL, "system.feature_level"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(events); i++) {
        struct hf_event event = {.type = events[i].type};
        assert_feed(&event, (struct wanted){
                                .type = events[i].wire, .subject = "", .key = "", .system = true});
    }
}

/* Numbers from sha256sum, not from this program. */
static void key_hashes_and_buckets_are_those_of_sha256(void **state)
{
    (void)state;
    static const uint8_t stream_hash[16] = {0x6A, 0xFD, 0xD7, 0x4A, 0xA6, 0x1D, 0x07, 0xC8,
                                            0xB3, 0xFE, 0xE9, 0xF8, 0x64, 0x33, 0x1D, 0x5C};
    static const uint8_t account_hash[16] = {0xAA, 0xA2, 0x15, 0xE1, 0x37, 0x65, 0xEF, 0x31,
                                             0xFC, 0x45, 0x04, 0x56, 0x77, 0x6F, 0x2C, 0xE7};
    struct hf_event appended = {.type = HF_EVENT_STREAM_APPENDED};
    appended.appended = (struct hf_appended){.stream = name_of("o:1"), .type = HF_STR("x")};
    struct hf_feed_event feed = feed_of(&appended);
    struct hf_id hash = hf_feed_key_hash(&feed);
    assert_memory_equal(hash.bytes, stream_hash, 16);
    assert_int_equal(hf_feed_bucket(&hash, 16), 8);
    assert_int_equal(hf_feed_bucket(&hash, 1000), 320);
    assert_int_equal(hf_feed_bucket(&hash, 1), 0);
    struct hf_event opened = {.type = HF_EVENT_ACCOUNT_OPENED};
    opened.opened = (struct hf_account){.name = name_of("users:1"), .asset = asset_of("USD/2")};
    feed = feed_of(&opened);
    hash = hf_feed_key_hash(&feed);
    assert_memory_equal(hash.bytes, account_hash, 16);
    /* A stream named like a UUID: the text is hashed, though the name's id is its own bytes. */
    appended.appended.stream = name_of("6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    feed = feed_of(&appended);
    hash = hf_feed_key_hash(&feed);
    assert_int_equal(hf_feed_bucket(&hash, 1000), 180);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accounts_tell_their_name_and_asset),
        cmocka_unit_test(money_tells_its_transfer_or_hold),
        cmocka_unit_test(user_data_keeps_its_type_key_and_text),
        cmocka_unit_test(leases_tell_their_name),
        cmocka_unit_test(what_is_not_for_consumers_is_system),
        cmocka_unit_test(key_hashes_and_buckets_are_those_of_sha256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
