/* Where a subscription begins: scans, seeks, delayed messages; and what is told of a message (docs/adr/0009-subscriptions.md). */
#include "unit/subscription_cases.h"

/* ---- where it begins ---- */

static void scans_the_past(struct queue_rig *rig)
{
    static const char *const words[] = {"1", "2", "3", "4", "5", "6", "7", "8"};
    for (uint32_t i = 0; i < 8; i++) {
        publish(rig, i % 2 == 0 ? "a" : "b", words[i]);
        (void)queue_publish(rig, "elsewhere", "a", "no", 0);
    }
    put(rig, "s", (struct queue_settings){.from = {.kind = HF_SEEK_BEGINNING}});
    put(rig, "n", (struct queue_settings){0});
    assert_false(queue_subscription(rig, "s")->live);
    assert_true(queue_subscription(rig, "n")->live);
    expect_receive(rig, "s", 10, "");
    assert_true(core_rig_scan(&rig->core, 3, rig->now_us));
    assert_false(queue_subscription(rig, "s")->live);
    publish(rig, "a", "9"); /* it is found by the scan, for it is not live */
    expect_receive(rig, "s", 1, "1");
    queue_settle_time(rig);
    assert_true(queue_subscription(rig, "s")->live);
    publish(rig, "a", "10"); /* and this one arrives by itself */
    struct queue_batch one = batch;
    expect_receive(rig, "s", 10, "2 4 6 8");
    assert_int_equal(queue_act(rig, "s", HF_ACT_ACK, &one.got[0].receipt, NULL), HF_ERR_OK);
    expect_receive(rig, "s", 10, "3 5 7 9 10");
    expect_receive(rig, "n", 10, "9 10");
}

static void seeks(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){0});
    publish(rig, "a", "1");
    uint64_t behind_one = rig->core.state.position;
    publish(rig, "a", "2");
    expect_receive(rig, "s", 10, "1 2");
    struct hf_receipt old = batch.got[0].receipt;
    struct hf_seek to = {.kind = HF_SEEK_POSITION, .position = behind_one};
    assert_int_equal(queue_seek(rig, "s", &to), HF_ERR_OK);
    assert_int_equal(queue_act(rig, "s", HF_ACT_ACK, &old, NULL), HF_ERR_STALE_RECEIPT);
    assert_false(queue_subscription(rig, "s")->live);
    queue_settle_time(rig);
    expect_receive(rig, "s", 10, "2");
    to.kind = HF_SEEK_NOW;
    assert_int_equal(queue_seek(rig, "s", &to), HF_ERR_OK);
    assert_true(queue_subscription(rig, "s")->live);
    expect_receive(rig, "s", 10, "");
    publish(rig, "a", "3");
    expect_receive(rig, "s", 10, "3");
    to.kind = HF_SEEK_BEGINNING;
    assert_int_equal(queue_seek(rig, "s", &to), HF_ERR_OK);
    queue_settle_time(rig);
    expect_receive(rig, "s", 10, "1 2 3");
    assert_int_equal(queue_subscription(rig, "s")->version, 4);
    assert_int_equal(queue_seek(rig, "x", &to), HF_ERR_SUBSCRIPTION_NOT_FOUND);
}

static void lines_have_a_limit(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){.lines_max = 4});
    static const char *const keys[] = {"a", "b", "c", "d", "e", "f", "g"};
    for (uint32_t i = 0; i < 7; i++) {
        publish(rig, keys[i], keys[i]);
    }
    assert_false(queue_subscription(rig, "s")->live); /* before the commit that would overflow it */
    assert_int_equal(queue_subscription(rig, "s")->lines.count, 4);
    queue_settle_time(rig);
    expect_receive(rig, "s", 10, "a b c d");
    struct queue_batch first = batch;
    expect_receive(rig, "s", 10, "");
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(queue_act(rig, "s", HF_ACT_ACK, &first.got[i].receipt, NULL), HF_ERR_OK);
        queue_settle_time(rig);
    }
    expect_receive(rig, "s", 10, "e f g");
    expect_ack(rig, "s", 0);
    queue_settle_time(rig);
    assert_true(queue_subscription(rig, "s")->live);
    assert_int_equal(queue_subscription(rig, "s")->arrived, 7);
}

/* ---- delayed messages ---- */

static void delayed(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){0});
    (void)queue_publish(rig, T, "a", "later", rig->now_us + 5 * SECOND_US);
    publish(rig, "a", "soon");
    expect_receive(rig, "s", 10, "soon");
    expect_ack(rig, "s", 0);
    pass(rig, 4 * SECOND_US);
    expect_receive(rig, "s", 10, "");
    put(rig, "n", (struct queue_settings){0}); /* it arrives when it is due, so here too */
    pass(rig, SECOND_US);
    publish(rig, "a", "last");
    expect_receive(rig, "s", 10, "later last");
    expect_receive(rig, "n", 10, "later last");
    put(rig, "b", (struct queue_settings){.from = {.kind = HF_SEEK_BEGINNING}});
    queue_settle_time(rig);
    expect_receive(rig, "b", 10, "soon later last");
}

/* ---- reads ---- */

static void read(struct queue_rig *rig, const struct hf_query *query, struct hf_records *records,
                 struct hf_reading *reading)
{
    hf_records_init(records);
    (void)core_rig_read(&rig->core, query, rig->now_us, records, reading);
}

static void history(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){.attempts_max = 2, PROMPT});
    struct hf_place place = queue_publish(rig, T, "a", "a1", 0);
    struct hf_arena arena;
    struct hf_records records;
    struct hf_reading r;
    hf_arena_init(&arena);
    struct hf_query query = {.type = HF_QUERY_MESSAGE_HISTORY,
                             .limit = HF_HISTORY_LIMIT_MAX,
                             .message_position = place.position,
                             .message_index = place.index};
    assert_true(hf_name_make(HF_STR("s"), &arena, &query.name));
    read(rig, &query, &records, &r);
    assert_int_equal(r.message.state, HF_MESSAGE_WAITING);
    assert_int_equal(r.message.try_count, 0);
    hf_records_release(&records);
    exhaust(rig, "s", "a1", 2);
    read(rig, &query, &records, &r);
    assert_int_equal(r.message.state, HF_MESSAGE_PARKED);
    assert_int_equal(r.message.try_count, 2);
    assert_int_equal(r.message.tries[0].end->settlement, HF_SETTLED_PARKED);
    assert_int_equal(r.message.tries[0].delivery->attempt, 2);
    assert_int_equal(r.message.tries[1].end->settlement, HF_SETTLED_NACKED);
    assert_int_equal(r.message.tries[1].delivery->attempt, 1);
    hf_records_release(&records);
    struct hf_query dead = {.type = HF_QUERY_DEAD, .limit = 10, .name = query.name};
    read(rig, &dead, &records, &r);
    assert_int_equal(r.dead_count, 1);
    assert_int_equal(r.dead[0].line->tries, 2);
    assert_true(hf_str_equal(r.dead[0].error, HF_STR("no")));
    assert_ptr_equal(r.dead[0].event->type, HF_EVENT_MESSAGE_PUBLISHED);
    hf_records_release(&records);
    redrive(rig, (struct hf_queue_fields){.all = true}, 1);
    expect_receive(rig, "s", 1, "a1");
    expect_ack(rig, "s", 0);
    read(rig, &query, &records, &r);
    assert_int_equal(r.message.state, HF_MESSAGE_ACKED);
    assert_int_equal(r.message.try_count, 3);
    hf_records_release(&records);
    query.message_position = 1;
    read(rig, &query, &records, &r);
    assert_int_equal(r.code, HF_ERR_MESSAGE_NOT_FOUND);
    hf_records_release(&records);
    /* One that waits behind another of the same commit. */
    struct hf_place first = queue_publish_two(rig, T, "pair", "p1", "p2");
    query.message_position = first.position;
    query.message_index = first.index + 1;
    read(rig, &query, &records, &r);
    assert_int_equal(r.code, HF_ERR_OK);
    assert_int_equal(r.message.state, HF_MESSAGE_WAITING);
    hf_records_release(&records);
    expect_receive(rig, "s", 10, "p1 p2");
    expect_ack(rig, "s", 0);
    expect_ack(rig, "s", 1);
    /* A delayed message that waits behind one that was published later. */
    place = queue_publish(rig, T, "late", "l1", rig->now_us + SECOND_US);
    publish(rig, "late", "l2");
    pass(rig, 2 * SECOND_US);
    query.message_position = place.position;
    query.message_index = place.index;
    read(rig, &query, &records, &r);
    assert_int_equal(r.code, HF_ERR_OK);
    assert_int_equal(r.message.state, HF_MESSAGE_WAITING);
    hf_records_release(&records);
    expect_receive(rig, "s", 10, "l2 l1");
    expect_ack(rig, "s", 0);
    expect_ack(rig, "s", 1);
    struct hf_query list = {.type = HF_QUERY_SUBSCRIPTIONS, .limit = 10, .prefix = HF_STR("s")};
    publish(rig, "a", "a2");
    read(rig, &list, &records, &r);
    assert_int_equal(r.subscription_count, 1);
    assert_int_equal(r.subscriptions[0].subscription->acked, 5);
    assert_int_equal(r.subscriptions[0].oldest_us, rig->core.state.time_us);
    assert_false(r.subscriptions[0].stalled);
    hf_records_release(&records);
    hf_arena_release(&arena);
}

static enum hf_message_state state_of(struct queue_rig *rig, const struct hf_place *place)
{
    struct hf_arena arena;
    struct hf_records records;
    struct hf_reading r;
    hf_arena_init(&arena);
    struct hf_query query = {.type = HF_QUERY_MESSAGE_HISTORY,
                             .limit = HF_HISTORY_LIMIT_MAX,
                             .message_position = place->position,
                             .message_index = place->index};
    assert_true(hf_name_make(HF_STR("s"), &arena, &query.name));
    read(rig, &query, &records, &r);
    assert_int_equal(r.code, HF_ERR_OK);
    hf_records_release(&records);
    hf_arena_release(&arena);
    return r.message.state;
}

/* What was done before a seek, and has come again, waits. */
static void seeks_bring_back_what_was_done(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){0});
    struct hf_place first = queue_publish(rig, T, "a", "a1", 0);
    struct hf_place second = queue_publish(rig, T, "a", "a2", 0);
    expect_receive(rig, "s", 10, "a1 a2");
    expect_ack(rig, "s", 0);
    expect_ack(rig, "s", 1);
    assert_int_equal(state_of(rig, &second), HF_MESSAGE_ACKED);
    struct hf_seek to = {.kind = HF_SEEK_NOW};
    assert_int_equal(queue_seek(rig, "s", &to), HF_ERR_OK);
    assert_int_equal(state_of(rig, &second), HF_MESSAGE_ACKED); /* and so it stays */
    to.kind = HF_SEEK_BEGINNING;
    assert_int_equal(queue_seek(rig, "s", &to), HF_ERR_OK);
    assert_int_equal(state_of(rig, &first), HF_MESSAGE_WAITING); /* the log is not read yet */
    assert_int_equal(state_of(rig, &second), HF_MESSAGE_WAITING);
    queue_settle_time(rig);
    assert_int_equal(state_of(rig, &first), HF_MESSAGE_WAITING);
    assert_int_equal(state_of(rig, &second), HF_MESSAGE_WAITING);
    expect_receive(rig, "s", 1, "a1");
    expect_ack(rig, "s", 0);
    assert_int_equal(state_of(rig, &first), HF_MESSAGE_ACKED);
    assert_int_equal(state_of(rig, &second), HF_MESSAGE_WAITING);
}

static uint64_t delayed_of(struct queue_rig *rig, const char *name)
{
    struct hf_records records;
    struct hf_reading r;
    struct hf_query list = {
        .type = HF_QUERY_SUBSCRIPTIONS, .limit = 10, .prefix = hf_str_from(name)};
    read(rig, &list, &records, &r);
    assert_int_equal(r.subscription_count, 1);
    hf_records_release(&records);
    return r.subscriptions[0].delayed;
}

static void delayed_ones_are_counted(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){0});
    (void)queue_publish(rig, T, "a", "a1", rig->now_us + 5 * SECOND_US);
    (void)queue_publish(rig, T, "b", "b1", rig->now_us + 9 * SECOND_US);
    (void)queue_publish(rig, "other", "a", "o1", rig->now_us + 5 * SECOND_US);
    put(rig, "n", (struct queue_settings){0}); /* made later: it tells the same */
    struct queue_settings all = {.topic = NULL};
    assert_int_equal(queue_put(rig, "all", &all), HF_ERR_OK);
    assert_int_equal(delayed_of(rig, "s"), 2);
    assert_int_equal(delayed_of(rig, "n"), 2);
    assert_int_equal(delayed_of(rig, "all"), 0);
    pass(rig, 6 * SECOND_US);
    assert_int_equal(delayed_of(rig, "s"), 1);
    pass(rig, 6 * SECOND_US);
    assert_int_equal(delayed_of(rig, "s"), 0);
    assert_int_equal(rig->core.state.queue.delayed_topics.count, 0);
}

#define CASES(X)                                                                                   \
    X(scans_the_past)                                                                              \
    X(seeks)                                                                                       \
    X(lines_have_a_limit)                                                                          \
    X(delayed)                                                                                     \
    X(history)                                                                                     \
    X(seeks_bring_back_what_was_done)                                                              \
    X(delayed_ones_are_counted)
CASES(DEFINE_CASE)

int main(void)
{
    const struct CMUnitTest tests[] = {CASES(LIST_CASE)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
