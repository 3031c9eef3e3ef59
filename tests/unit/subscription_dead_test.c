/* Dead letters: how a message becomes one, redrives, what is listed (docs/adr/0009-subscriptions.md). */
#include "unit/subscription_cases.h"

/* ---- parked ---- */

static void park_key(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){.attempts_max = 2, PROMPT});
    publish(rig, "a", "a1");
    publish(rig, "a", "a2");
    exhaust(rig, "s", "a1", 2);
    publish(rig, "b", "b1");
    publish(rig, "a", "a3");
    expect_receive(rig, "s", 10, "b1"); /* later ones wait behind it */
    expect_ack(rig, "s", 0);
    assert_int_equal(queue_subscription(rig, "s")->parked.count, 1);
    assert_int_equal(queue_subscription(rig, "s")->parked.first->tries, 2);
    redrive(rig, (struct hf_queue_fields){.key = HF_STR("a")}, 1);
    expect_receive(rig, "s", 10, "a1 a2 a3");
    assert_int_equal(batch.got[0].attempt, 1);
    assert_int_equal(queue_act(rig, "s", HF_ACT_PARK, &batch.got[0].receipt, "by hand"), HF_ERR_OK);
    expect_receive(rig, "s", 10, "");
    redrive(rig, (struct hf_queue_fields){.key = HF_STR("a"), .discard = true}, 1);
    expect_receive(rig, "s", 10, "a2 a3"); /* the line goes on with the next */
    assert_int_equal(queue_subscription(rig, "s")->discarded, 1);
}

static void park_message(struct queue_rig *rig)
{
    put(rig, "s",
        (struct queue_settings){.attempts_max = 1, .exhausted = HF_EXHAUSTED_PARK_MESSAGE, PROMPT});
    publish(rig, "a", "a1");
    publish(rig, "a", "a2");
    publish(rig, "a", "a3");
    expect_receive(rig, "s", 2, "a1 a2");
    expect_nack(rig, "s", 0);
    expect_receive(rig, "s", 1, "a2");
    expect_nack(rig, "s", 0);
    expect_receive(rig, "s", 10, "a3"); /* the line goes on */
    expect_ack(rig, "s", 0);
    assert_int_equal(queue_subscription(rig, "s")->parked.count, 2);
    redrive(rig, (struct hf_queue_fields){.key = HF_STR("b")}, 0);
    redrive(rig, (struct hf_queue_fields){.key = HF_STR("a")}, 2);
    expect_receive(rig, "s", 10, "a1 a2"); /* in their order, each a line of its own */
    assert_int_not_equal(batch.got[0].previous_position, 0);
    expect_ack(rig, "s", 1);
    expect_ack(rig, "s", 0);
    assert_int_equal(queue_subscription(rig, "s")->lines.count, 0);
}

static void block(struct queue_rig *rig)
{
    put(rig, "s",
        (struct queue_settings){.attempts_max = 2,
                                .exhausted = HF_EXHAUSTED_BLOCK,
                                .has_backoff = true,
                                .backoff_first_ms = 100,
                                .backoff_max_ms = 10000});
    publish(rig, "a", "a1");
    for (uint32_t i = 0; i < 4; i++) {
        expect_receive(rig, "s", 1, "a1");
        expect_nack(rig, "s", 0);
        uint64_t at_us = hf_subscription_next_ready_us(queue_subscription(rig, "s"));
        assert_true(i == 0 || at_us == rig->core.state.time_us + 10 * SECOND_US);
        rig->now_us = at_us;
    }
    assert_int_equal(queue_subscription(rig, "s")->parked.count, 0);
    expect_receive(rig, "s", 1, "a1");
    assert_int_equal(batch.got[0].attempt, 5);
    assert_int_equal(queue_act(rig, "s", HF_ACT_PARK, &batch.got[0].receipt, NULL), HF_ERR_OK);
    assert_int_equal(queue_subscription(rig, "s")->parked.count, 1);
}

/* A redrive takes what has been parked before it. */
static void redrive_meets_no_lease(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){.attempts_max = 1, .lease_ms = 5000, PROMPT});
    publish(rig, "a", "a1");
    publish(rig, "b", "b1");
    expect_receive(rig, "s", 1, "a1");
    expect_nack(rig, "s", 0);
    expect_receive(rig, "s", 1, "b1");
    rig->now_us = batch.deadline_us;
    redrive(rig, (struct hf_queue_fields){.all = true}, 1);
    assert_int_equal(queue_subscription(rig, "s")->parked.count, 0);
    assert_int_equal(queue_subscription(rig, "s")->out.count, 1);
    queue_settle_time(rig);
    redrive(rig, (struct hf_queue_fields){.all = true}, 1);
    expect_receive(rig, "s", 10, "a1 b1");
}

static void redrive_one_or_all(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){.attempts_max = 1, PROMPT});
    struct hf_place places[4];
    static const char *const keys[] = {"a", "b", "c", "d"};
    for (uint32_t i = 0; i < 4; i++) {
        places[i] = queue_publish(rig, T, keys[i], keys[i], 0);
        expect_receive(rig, "s", 1, keys[i]);
        char error[32];
        (void)snprintf(error, sizeof(error), "broken %s", i % 2 == 0 ? "pipe" : "glass");
        assert_int_equal(queue_act(rig, "s", HF_ACT_NACK, &batch.got[0].receipt, error), HF_ERR_OK);
    }
    char id[48];
    (void)snprintf(id, sizeof(id), "%llu-0", (unsigned long long)places[2].position);
    redrive(rig, (struct hf_queue_fields){.message = hf_str_from(id)}, 1);
    expect_receive(rig, "s", 10, "c");
    expect_ack(rig, "s", 0);
    uint32_t moved;
    assert_int_equal(
        queue_redrive(rig, "s", &(struct hf_queue_fields){.message = hf_str_from(id)}, &moved),
        HF_ERR_MESSAGE_NOT_FOUND);
    redrive(rig, (struct hf_queue_fields){.all = true, .error_contains = HF_STR("glass")}, 2);
    expect_receive(rig, "s", 10, "b d"); /* in the order in which they were parked */
    redrive(rig, (struct hf_queue_fields){.all = true}, 1);
    expect_receive(rig, "s", 10, "a");
}

static void redrive_by_rate(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){.attempts_max = 1, PROMPT});
    for (uint32_t i = 0; i < 6; i++) {
        char key[2] = {(char)('a' + i), '\0'};
        publish(rig, key, key);
        expect_receive(rig, "s", 1, key);
        assert_int_equal(
            queue_act(rig, "s", HF_ACT_NACK, &batch.got[0].receipt, i == 3 ? "other" : "same"),
            HF_ERR_OK);
    }
    struct hf_queue_fields task = {
        .all = true, .has_rate_per_s = true, .rate_per_s = 2, .error_contains = HF_STR("same")};
    redrive(rig, task, 0);
    uint32_t moved;
    assert_int_equal(queue_redrive(rig, "s", &task, &moved), HF_ERR_CONDITION_FAILED);
    pass(rig, 1000);
    assert_int_equal(queue_subscription(rig, "s")->redrive.moved, 1);
    pass(rig, SECOND_US);
    assert_int_equal(queue_subscription(rig, "s")->redrive.moved, 3);
    redrive(rig, (struct hf_queue_fields){.cancel = true}, 0);
    pass(rig, 10 * SECOND_US);
    assert_false(queue_subscription(rig, "s")->redrive.active);
    expect_receive(rig, "s", 10, "a b c");
    redrive(rig, task, 0);
    pass(rig, 10 * SECOND_US);
    assert_false(queue_subscription(rig, "s")->redrive.active); /* done */
    assert_int_equal(queue_subscription(rig, "s")->parked.count, 1);
    assert_int_equal(queue_subscription(rig, "s")->ready.count, 2);
    redrive(rig, (struct hf_queue_fields){.cancel = true}, 0);
}

/* Also those that left their lines before the settings were changed. */
static void redrives_all_of_a_key(struct queue_rig *rig)
{
    struct queue_settings settings = {
        .attempts_max = 1, .exhausted = HF_EXHAUSTED_PARK_MESSAGE, PROMPT};
    put(rig, "s", settings);
    publish(rig, "a", "a1");
    publish(rig, "a", "a2");
    expect_receive(rig, "s", 1, "a1");
    expect_nack(rig, "s", 0);
    settings.topic = T;
    settings.exhausted = HF_EXHAUSTED_PARK_KEY;
    settings.has_expected_version = true;
    settings.expected_version = 1;
    assert_int_equal(queue_put(rig, "s", &settings), HF_ERR_OK);
    expect_receive(rig, "s", 1, "a2");
    expect_nack(rig, "s", 0);
    redrive(rig, (struct hf_queue_fields){.key = HF_STR("a")}, 2);
    expect_receive(rig, "s", 10, "a1 a2");
}

static void dead_letters_fill_up(struct queue_rig *rig)
{
    put(rig, "s",
        (struct queue_settings){.order = HF_ORDER_NONE, .attempts_max = 1, .lines_max = 4, PROMPT});
    for (uint32_t i = 0; i < 8; i++) {
        publish(rig, "k", "w");
    }
    for (uint32_t i = 0; i < 4; i++) {
        expect_receive(rig, "s", 1, "w");
        expect_nack(rig, "s", 0);
    }
    char id[48];
    struct hf_receipt last = batch.got[0].receipt;
    (void)snprintf(id, sizeof(id), "%llu-%u", (unsigned long long)last.position, last.index);
    assert_false(hf_subscription_ready(queue_subscription(rig, "s"), rig->now_us));
    expect_receive(rig, "s", 1, "");
    /* The main line stands before it, and may give nothing yet: it hides nothing. */
    redrive(rig, (struct hf_queue_fields){.message = hf_str_from(id)}, 1);
    expect_receive(rig, "s", 1, "w");
    assert_int_equal(batch.got[0].receipt.position, last.position);
    expect_nack(rig, "s", 0);
    redrive(rig, (struct hf_queue_fields){.all = true}, 4);
    expect_receive(rig, "s", 10, "w w w w");
    assert_true(queue_subscription(rig, "s")->lines.count <= 5);
}

/* ---- many of them ---- */

/* `count` dead letters, each of a key of its own; the last one was nacked with the error "no". */
static void park_many(struct queue_rig *rig, uint32_t count)
{
    rig->quick = true;
    put(rig, "s",
        (struct queue_settings){
            .attempts_max = 1, .lease_ms = 5000, .in_flight_max = HF_IN_FLIGHT_MAX, PROMPT});
    assert_int_equal(queue_publish_many(rig, T, count - 1), HF_ERR_OK);
    publish(rig, "last", "x");
    uint32_t got = 0;
    while (got < count) {
        assert_int_equal(queue_receive(rig, "s", HF_RECEIVE_MAX, &batch), HF_ERR_OK);
        assert_int_not_equal(batch.count, 0);
        got += batch.count;
    }
    assert_string_equal(batch.got[batch.count - 1].data, "x");
    expect_nack(rig, "s", batch.count - 1);
    pass(rig, 6 * SECOND_US);
    assert_int_equal(queue_subscription(rig, "s")->parked.count, count);
}

/* One page; returns how many, *orders gets theirs. */
static uint32_t read_page(struct queue_rig *rig, struct hf_query *query, uint64_t *orders,
                          bool *more)
{
    struct hf_records records;
    struct hf_reading r;
    hf_records_init(&records);
    (void)core_rig_read(&rig->core, query, rig->now_us, &records, &r);
    assert_int_equal(r.code, HF_ERR_OK);
    for (uint32_t i = 0; i < r.dead_count; i++) {
        orders[i] = r.dead[i].line->order;
    }
    *more = r.more;
    query->from = r.next_from;
    hf_records_release(&records);
    return r.dead_count;
}

static struct hf_query dead_query(struct hf_arena *arena, uint32_t limit)
{
    struct hf_query query = {.type = HF_QUERY_DEAD, .limit = limit};
    assert_true(hf_name_make(HF_STR("s"), arena, &query.name));
    return query;
}

/* Pages go on where the last one ended, also if what was there has gone. */
static void pages_of_dead_letters(void **state)
{
    (void)state;
    enum { COUNT = 2100, PAGE = 100 };
    static uint64_t orders[COUNT];
    struct queue_rig rig;
    struct hf_arena arena;
    bool more = true;
    uint32_t got = 0;
    hf_arena_init(&arena);
    queue_rig_init(&rig, CORE_RIG_HOT);
    park_many(&rig, COUNT);
    struct hf_query query = dead_query(&arena, PAGE);
    while (more) {
        uint32_t count = read_page(&rig, &query, orders + got, &more);
        assert_true(count == PAGE || !more);
        got += count;
        assert_true(got <= COUNT);
    }
    assert_int_equal(got, COUNT);
    for (uint32_t i = 1; i < COUNT; i++) {
        assert_true(orders[i - 1] < orders[i]);
    }
    query.from = orders[500];
    redrive(&rig, (struct hf_queue_fields){.all = true},
            1000); /* the first 1,000, and so that one */
    assert_int_equal(read_page(&rig, &query, orders, &more), PAGE);
    assert_int_equal(orders[0], queue_subscription(&rig, "s")->parked.first->order);
    queue_rig_check(&rig);
    queue_rig_release(&rig);
    hf_arena_release(&arena);
}

/* A filter that finds little reads a bounded part of them a page, and says where it goes on. */
static void a_filter_goes_on_page_by_page(void **state)
{
    (void)state;
    enum { COUNT = 2 * HF_QUERY_SCAN_MAX + 10 };
    struct queue_rig rig;
    struct hf_arena arena;
    uint64_t order = 0;
    bool more = true;
    uint32_t pages = 0;
    uint32_t found = 0;
    hf_arena_init(&arena);
    queue_rig_init(&rig, CORE_RIG_HOT);
    park_many(&rig, COUNT);
    struct hf_query query = dead_query(&arena, 10);
    query.error_contains = HF_STR("no");
    while (more) {
        found += read_page(&rig, &query, &order, &more);
        pages++;
    }
    assert_int_equal(found, 1);
    assert_int_equal(pages, 3);
    queue_rig_release(&rig);
    hf_arena_release(&arena);
}

/* More than one command may look at: a task does it, in commits of bounded size. */
static void redrive_by_error_of_many(void **state)
{
    (void)state;
    enum { COUNT = HF_COMMIT_OPERATIONS_MAX + 1 };
    struct queue_rig rig;
    queue_rig_init(&rig, CORE_RIG_HOT);
    park_many(&rig, COUNT);
    redrive(&rig, (struct hf_queue_fields){.all = true, .error_contains = HF_STR("no")}, 0);
    const struct hf_subscription *s = queue_subscription(&rig, "s");
    assert_true(s->redrive.active);
    assert_int_equal(s->redrive.rate_per_s, HF_REDRIVE_RATE_MAX);
    pass(&rig, 60 * SECOND_US);
    assert_false(s->redrive.active);
    assert_int_equal(s->parked.count, COUNT - 1);
    expect_receive(&rig, "s", 10, "x");
    expect_ack(&rig, "s", 0);
    redrive(&rig, (struct hf_queue_fields){.all = true, .error_contains = HF_STR("no")}, 0);
    assert_false(s->redrive.active); /* 10,000 are looked at at once */
    queue_rig_check(&rig);
    queue_rig_release(&rig);
}

/* ---- damage ---- */

/* Two timers are due: a redrive, whose dead letter has no record that can be read, and a lease of another subscription. */
static void begin_damaged(struct queue_rig *rig, struct hf_due due[2])
{
    put(rig, "s", (struct queue_settings){.attempts_max = 1, PROMPT});
    put(rig, "n", (struct queue_settings){.lease_ms = 5000, PROMPT});
    publish(rig, "a", "a1");
    expect_receive(rig, "s", 1, "a1");
    expect_nack(rig, "s", 0);
    expect_receive(rig, "n", 1, "a1");
    rig->now_us += 6 * SECOND_US;
    redrive(
        rig,
        (struct hf_queue_fields){
            .all = true, .has_rate_per_s = true, .rate_per_s = 1, .error_contains = HF_STR("no")},
        0);
    assert_int_equal(hf_state_take_due(&rig->core.state, rig->now_us, due, 2), 2);
}

/* It is given up, and the lease is booked in the same commit. */
static void expect_given_up(struct queue_rig *rig, const struct hf_due due[2],
                            const struct hf_records *records)
{
    const struct hf_draft *draft = &rig->core.draft;
    assert_int_equal(
        hf_decide_expiries(&rig->core.state, records, due, 2, rig->now_us, &rig->core.draft),
        HF_DECISION_COMMIT);
    uint32_t given_up = 0;
    uint32_t booked = 0;
    for (uint32_t i = 0; i < draft->commit.event_count; i++) {
        const struct hf_event *event = draft->commit.events[i];
        given_up += event->type == HF_EVENT_MESSAGES_REDRIVEN &&
                    event->redriven.step == HF_REDRIVE_CANCELLED;
        booked += event->type == HF_EVENT_MESSAGES_SETTLED;
    }
    assert_int_equal(draft->commit.event_count, 2);
    assert_int_equal(given_up, 1);
    assert_int_equal(booked, 1);
}

static void damage_ends_a_redrive_alone(void **state)
{
    (void)state;
    struct queue_rig rig;
    struct hf_due due[2];
    queue_rig_init(&rig, CORE_RIG_HOT);
    rig.quick = true;
    begin_damaged(&rig, due);
    queue_subscription(&rig, "s")->parked.first->event_position = 1; /* has nothing of it */
    expect_given_up(&rig, due, NULL);
    queue_rig_release(&rig);
}

static void what_cant_be_read_ends_a_redrive_alone(void **state)
{
    (void)state;
    struct queue_rig rig;
    struct hf_due due[2];
    struct hf_records records;
    queue_rig_init(&rig, CORE_RIG_COLD);
    rig.quick = true;
    begin_damaged(&rig, due);
    hf_records_init(&records);
    assert_int_equal(
        hf_decide_expiries(&rig.core.state, &records, due, 2, rig.now_us, &rig.core.draft),
        HF_DECISION_NEEDS);
    records.unreadable = true; /* the fetch has found damage */
    expect_given_up(&rig, due, &records);
    hf_records_release(&records);
    queue_rig_release(&rig);
}

#define CASES(X)                                                                                   \
    X(park_key)                                                                                    \
    X(park_message)                                                                                \
    X(block)                                                                                       \
    X(redrive_meets_no_lease)                                                                      \
    X(redrive_one_or_all)                                                                          \
    X(redrive_by_rate)                                                                             \
    X(redrives_all_of_a_key)                                                                       \
    X(dead_letters_fill_up)
CASES(DEFINE_CASE)

int main(void)
{
    const struct CMUnitTest tests[] = {CASES(LIST_CASE) cmocka_unit_test(pages_of_dead_letters),
                                       cmocka_unit_test(a_filter_goes_on_page_by_page),
                                       cmocka_unit_test(redrive_by_error_of_many),
                                       cmocka_unit_test(damage_ends_a_redrive_alone),
                                       cmocka_unit_test(what_cant_be_read_ends_a_redrive_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
