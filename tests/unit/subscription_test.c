/*
 * The sentences of docs/adr/0009-subscriptions.md, on the core by itself: order, receipts, tries, settings. Dead letters are
 * in subscription_dead_test.c; where a subscription begins and what is told of messages in subscription_scan_test.c. After
 * each step state = log, its canonical bytes load to the same state, and its invariants hold.
 */
#include "core/queue_rules.h"
#include "unit/subscription_cases.h"

/* ---- order by key ---- */

static void order_by_key(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){0});
    publish(rig, "a", "a1");
    publish(rig, "a", "a2");
    publish(rig, "b", "b1");
    publish(rig, "a", "a3");
    expect_receive(rig, "s", 2, "a1 a2"); /* consecutive ones of a key go out together */
    struct queue_batch group = batch;
    expect_receive(rig, "s", 10, "b1"); /* later ones of a wait; other keys flow */
    expect_ack(rig, "s", 0);
    publish(rig, "a", "a4");
    expect_receive(rig, "s", 10, "");
    assert_int_equal(queue_act(rig, "s", HF_ACT_ACK, &group.got[1].receipt, NULL),
                     HF_ERR_ACK_OUT_OF_ORDER);
    assert_int_equal(queue_act(rig, "s", HF_ACT_ACK, &group.got[0].receipt, NULL), HF_ERR_OK);
    expect_receive(rig, "s", 10, ""); /* the group is not done */
    assert_int_equal(queue_act(rig, "s", HF_ACT_ACK, &group.got[1].receipt, NULL), HF_ERR_OK);
    expect_receive(rig, "s", 10, "a3 a4");
    assert_int_equal(batch.got[0].receipt.number, 3);
    assert_int_equal(queue_subscription(rig, "s")->in_flight, 2);
}

static void nothing_to_deliver(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){0});
    uint64_t position = rig->core.state.position;
    expect_receive(rig, "s", 10, "");
    assert_int_equal(rig->core.state.position, position); /* no commit */
    assert_int_equal(queue_receive(rig, "other", 10, &batch), HF_ERR_SUBSCRIPTION_NOT_FOUND);
}

static void limits_of_a_receive(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){.in_flight_max = 3});
    for (int i = 0; i < 5; i++) {
        publish(rig, i % 2 == 0 ? "a" : "b", "w");
    }
    expect_receive(rig, "s", 2, "w w");
    struct queue_batch first = batch;
    expect_receive(rig, "s", 10, "w");
    expect_receive(rig, "s", 10, "");
    assert_int_equal(queue_act(rig, "s", HF_ACT_ACK, &first.got[0].receipt, NULL), HF_ERR_OK);
    expect_receive(rig, "s", 10, ""); /* all that may be out is out, or waits behind it */
    assert_int_equal(queue_act(rig, "s", HF_ACT_ACK, &first.got[1].receipt, NULL), HF_ERR_OK);
    expect_receive(rig, "s", 10, "w");
}

/* ---- receipts ---- */

static void receipts_go_stale(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){PROMPT});
    publish(rig, "a", "a1");
    publish(rig, "a", "a2");
    expect_receive(rig, "s", 10, "a1 a2");
    struct queue_batch old = batch;
    expect_nack(rig, "s", 0);
    assert_int_equal(queue_act(rig, "s", HF_ACT_ACK, &old.got[0].receipt, NULL),
                     HF_ERR_STALE_RECEIPT);
    assert_int_equal(queue_act(rig, "s", HF_ACT_ACK, &old.got[1].receipt, NULL),
                     HF_ERR_STALE_RECEIPT);
    assert_int_equal(queue_if_live(rig, "s", &old.got[0].receipt), HF_ERR_CONDITION_FAILED);
    rig->now_us += SECOND_US;
    expect_receive(rig, "s", 10, "a1 a2");
    assert_int_equal(batch.got[0].attempt, 2);
    assert_int_equal(batch.got[1].attempt, 1); /* it went back uncounted */
    assert_true(batch.got[0].previous_position > old.position);
    assert_int_equal(batch.got[1].previous_position, old.position);
    assert_int_equal(queue_act(rig, "s", HF_ACT_ACK, &old.got[0].receipt, NULL),
                     HF_ERR_STALE_RECEIPT);
    assert_int_equal(queue_if_live(rig, "s", &batch.got[1].receipt), HF_ERR_OK);
    expect_ack(rig, "s", 0);
    expect_ack(rig, "s", 1);
    assert_int_equal(queue_subscription(rig, "s")->lines.count, 0);
}

static void acks_repeat(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){0});
    publish(rig, "a", "a1");
    publish(rig, "a", "a2");
    expect_receive(rig, "s", 1, "a1");
    expect_ack(rig, "s", 0);
    uint64_t position = rig->core.state.position;
    expect_ack(rig, "s", 0); /* as then */
    assert_int_equal(rig->core.state.position, position);
    enum hf_err code;
    assert_int_equal(queue_ack_batch(rig, "s", &batch.got[0].receipt, 1, &code), HF_ERR_OK);
    assert_int_equal(code, HF_ERR_OK);
    assert_int_equal(rig->core.state.position, position);
    assert_int_equal(queue_act(rig, "s", HF_ACT_NACK, &batch.got[0].receipt, NULL),
                     HF_ERR_STALE_RECEIPT);
    struct hf_receipt forged = batch.got[0].receipt;
    forged.token++;
    assert_int_equal(queue_act(rig, "s", HF_ACT_ACK, &forged, NULL), HF_ERR_STALE_RECEIPT);
    struct hf_receipt done = batch.got[0].receipt;
    expect_receive(rig, "s", 1, "a2");
    struct hf_receipt both[] = {done, batch.got[0].receipt, batch.got[0].receipt};
    assert_int_equal(queue_ack_all(rig, "s", both, 3, false), HF_ERR_OK);
    assert_int_equal(queue_subscription(rig, "s")->acked, 2);
}

static void batch_of_acks(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){0});
    publish(rig, "a", "a1");
    publish(rig, "a", "a2");
    publish(rig, "b", "b1");
    expect_receive(rig, "s", 10, "a1 a2 b1");
    struct hf_receipt stale = batch.got[0].receipt;
    stale.token--;
    struct hf_receipt receipts[] = {batch.got[1].receipt, batch.got[0].receipt,
                                    batch.got[1].receipt, stale, batch.got[2].receipt};
    enum hf_err codes[5];
    assert_int_equal(queue_ack_batch(rig, "s", receipts, 5, codes), HF_ERR_OK);
    assert_int_equal(codes[0], HF_ERR_ACK_OUT_OF_ORDER);
    assert_int_equal(codes[1], HF_ERR_OK);
    assert_int_equal(codes[2], HF_ERR_OK);
    assert_int_equal(codes[3], HF_ERR_STALE_RECEIPT);
    assert_int_equal(codes[4], HF_ERR_OK);
    assert_int_equal(queue_subscription(rig, "s")->acked, 3);
    uint64_t position = rig->core.state.position;
    assert_int_equal(queue_ack_batch(rig, "s", &stale, 1, codes), HF_ERR_OK);
    assert_int_equal(codes[0], HF_ERR_STALE_RECEIPT);
    assert_int_equal(rig->core.state.position, position); /* nothing changed: no commit */
}

static void acks_of_one_commit(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){0});
    publish(rig, "a", "a1");
    publish(rig, "a", "a2");
    publish(rig, "a", "a3");
    expect_receive(rig, "s", 2, "a1 a2");
    struct hf_receipt receipts[] = {batch.got[0].receipt, batch.got[1].receipt};
    assert_int_equal(queue_ack_all(rig, "s", receipts, 2, true), HF_ERR_ACCOUNT_NOT_FOUND);
    assert_int_equal(queue_subscription(rig, "s")->in_flight,
                     2); /* a refused commit leaves nothing */
    struct hf_receipt reversed[] = {batch.got[1].receipt, batch.got[0].receipt};
    assert_int_equal(queue_ack_all(rig, "s", reversed, 2, false), HF_ERR_ACK_OUT_OF_ORDER);
    assert_int_equal(queue_ack_all(rig, "s", receipts, 2, false), HF_ERR_OK);
    expect_receive(rig, "s", 10, "a3");
}

/* ---- tries ---- */

static void backing_off(struct queue_rig *rig)
{
    put(rig, "s",
        (struct queue_settings){
            .has_backoff = true, .backoff_first_ms = 1000, .backoff_max_ms = 3000});
    publish(rig, "a", "a1");
    publish(rig, "a", "a2");
    static const uint64_t whole_us[] = {SECOND_US, 2 * SECOND_US, 3 * SECOND_US, 3 * SECOND_US};
    for (uint32_t i = 0; i < HF_ARRAY_COUNT(whole_us); i++) {
        expect_receive(rig, "s", 1, "a1");
        assert_int_equal(batch.got[0].attempt, i + 1);
        expect_nack(rig, "s", 0);
        uint64_t at_us = hf_subscription_next_ready_us(queue_subscription(rig, "s"));
        uint64_t failed_us = rig->core.state.time_us;
        assert_true(at_us - failed_us >= whole_us[i] / 2 && at_us - failed_us <= whole_us[i]);
        rig->now_us = at_us - 2;
        expect_receive(rig, "s", 1, "");
        rig->now_us = at_us;
    }
    expect_receive(rig, "s", 1, "a1");
    assert_int_equal(queue_nack_delayed(rig, "s", &batch.got[0].receipt, 7000), HF_ERR_OK);
    assert_int_equal(hf_subscription_next_ready_us(queue_subscription(rig, "s")),
                     rig->core.state.time_us + 7 * SECOND_US);
}

static void time_outs(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){.lease_ms = 5000, PROMPT});
    publish(rig, "a", "a1");
    publish(rig, "a", "a2");
    publish(rig, "b", "b1");
    expect_receive(rig, "s", 10, "a1 a2 b1");
    struct queue_batch old = batch;
    assert_int_equal(queue_extend(rig, "s", &old.got[2].receipt, 60000), HF_ERR_OK);
    rig->now_us = old.deadline_us;
    /* A command that meets it books it first. */
    assert_int_equal(queue_act(rig, "s", HF_ACT_ACK, &old.got[0].receipt, NULL),
                     HF_ERR_STALE_RECEIPT);
    expect_receive(rig, "s", 10, "a1 a2");
    assert_int_equal(batch.got[0].attempt, 2);
    assert_int_equal(batch.got[1].attempt, 1);
    pass(rig, 6 * SECOND_US); /* the timer */
    expect_receive(rig, "s", 10, "a1 a2");
    assert_int_equal(batch.got[0].attempt, 3);
    assert_int_equal(queue_act(rig, "s", HF_ACT_ACK, &old.got[2].receipt, NULL), HF_ERR_OK);
    assert_int_equal(queue_subscription(rig, "s")->failed_tries, 2);
}

/* A slow consumer keeps a message for long while others come and go: due times don't pile up, and none is lost. */
static void due_times_stay_few(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){.in_flight_max = 10, .backoff_max_ms = 1000});
    publish(rig, "slow", "x");
    expect_receive(rig, "s", 1, "x");
    struct queue_batch slow = batch;
    assert_int_equal(queue_extend(rig, "s", &slow.got[0].receipt, HF_DELIVERY_MS_MAX), HF_ERR_OK);
    rig->quick = true;
    for (int i = 0; i < 2000; i++) {
        rig->now_us += 1000;
        publish(rig, "quick", "y");
        expect_receive(rig, "s", 1, "y");
        expect_ack(rig, "s", 0);
    }
    rig->quick = false;
    assert_true(rig->core.state.due.count < 8);
    publish(rig, "third", "z");
    expect_receive(rig, "s", 1, "z");
    pass(rig, 31 * SECOND_US); /* its own time, though a later one was there before */
    assert_int_equal(queue_subscription(rig, "s")->in_flight, 1);
    assert_int_equal(queue_subscription(rig, "s")->failed_tries, 1);
    pass(rig, HF_DELIVERY_MS_MAX * 1000ull);
    assert_int_equal(queue_subscription(rig, "s")->in_flight, 0);
    assert_int_equal(queue_subscription(rig, "s")->failed_tries, 2);
}

static void takeover_gives_a_term(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){.lease_ms = 5000, PROMPT});
    publish(rig, "a", "a1");
    publish(rig, "b", "b1");
    expect_receive(rig, "s", 10, "a1 b1");
    rig->now_us = batch.deadline_us - 1;
    core_rig_take_over(&rig->core, rig->now_us);
    queue_rig_check(rig);
    pass(rig, 4 * SECOND_US);
    expect_ack(rig, "s", 0);
    pass(rig, 2 * SECOND_US);
    expect_receive(rig, "s", 10, "b1");
    assert_int_equal(batch.got[0].attempt, 2);
}

/* ---- unordered ---- */

static void unordered(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){.order = HF_ORDER_NONE, .attempts_max = 2, PROMPT});
    for (uint32_t i = 1; i <= 4; i++) {
        char word[2] = {(char)('0' + i), '\0'};
        publish(rig, "same", word);
    }
    expect_receive(rig, "s", 1, "1");
    struct queue_batch first = batch;
    expect_receive(rig, "s", 2, "2 3"); /* nothing hides anything */
    expect_ack(rig, "s", 1);            /* in any order */
    expect_ack(rig, "s", 0);
    assert_int_equal(queue_act(rig, "s", HF_ACT_NACK, &first.got[0].receipt, NULL), HF_ERR_OK);
    publish(rig, "same", "5");
    rig->now_us += SECOND_US;
    expect_receive(rig, "s", 10, "1 4 5");
    assert_int_equal(batch.got[0].attempt, 2);
    expect_nack(rig, "s", 0); /* parked by itself */
    assert_int_equal(queue_subscription(rig, "s")->parked.count, 1);
    redrive(rig, (struct hf_queue_fields){.key = HF_STR("same")}, 1);
    publish(rig, "same", "6");
    struct queue_batch rest = batch;
    expect_receive(rig, "s", 10, "1 6");
    assert_int_equal(batch.got[0].attempt, 1);
    expect_ack(rig, "s", 0);
    expect_ack(rig, "s", 1);
    assert_int_equal(queue_act(rig, "s", HF_ACT_ACK, &rest.got[2].receipt, NULL), HF_ERR_OK);
    assert_int_equal(queue_act(rig, "s", HF_ACT_ACK, &rest.got[1].receipt, NULL), HF_ERR_OK);
    assert_int_equal(queue_subscription(rig, "s")->lines.count, 0);
}

/* The main line takes turns with what was redriven. */
static void backlog_hides_nothing(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){.order = HF_ORDER_NONE, .attempts_max = 1, PROMPT});
    publish(rig, "k", "bad");
    expect_receive(rig, "s", 1, "bad");
    expect_nack(rig, "s", 0);
    for (uint32_t i = 0; i < 4; i++) {
        publish(rig, "k", "w");
    }
    redrive(rig, (struct hf_queue_fields){.all = true}, 1);
    expect_receive(rig, "s", 1, "w");
    expect_receive(rig, "s", 1, "bad");
    expect_receive(rig, "s", 10, "w w w");
}

/* ---- settings ---- */

static void settings(struct queue_rig *rig)
{
    struct queue_settings s = {.topic = T, .from = {.kind = HF_SEEK_BEGINNING}};
    assert_int_equal(queue_put(rig, "s", &s), HF_ERR_OK);
    uint64_t position = rig->core.state.position;
    assert_int_equal(queue_put(rig, "s", &s), HF_ERR_OK); /* the same again: nothing */
    assert_int_equal(rig->core.state.position, position);
    /* A position beyond the head is the head, also when it is asked for again. */
    struct queue_settings ahead = {.topic = T,
                                   .from = {.kind = HF_SEEK_POSITION, .position = position + 100}};
    assert_int_equal(queue_put(rig, "ahead", &ahead), HF_ERR_OK);
    publish(rig, "a", "1");
    position = rig->core.state.position;
    assert_int_equal(queue_put(rig, "ahead", &ahead), HF_ERR_OK);
    ahead.from.position = position; /* that, too, was beyond it */
    assert_int_equal(queue_put(rig, "ahead", &ahead), HF_ERR_OK);
    ahead.from.position = 0;
    assert_int_equal(queue_put(rig, "ahead", &ahead), HF_ERR_SUBSCRIPTION_EXISTS);
    assert_int_equal(rig->core.state.position, position);
    s.in_flight_max = 7;
    assert_int_equal(queue_put(rig, "s", &s), HF_ERR_PRECONDITION_REQUIRED);
    s.has_expected_version = true;
    s.expected_version = 2;
    assert_int_equal(queue_put(rig, "s", &s), HF_ERR_CONDITION_FAILED);
    s.expected_version = 1;
    assert_int_equal(queue_put(rig, "s", &s), HF_ERR_OK);
    assert_int_equal(queue_subscription(rig, "s")->settings.in_flight_max, 7);
    assert_int_equal(queue_subscription(rig, "s")->version, 2);
    s.topic = "other";
    assert_int_equal(queue_put(rig, "s", &s), HF_ERR_CONDITION_FAILED);
    s.expected_version = 2;
    assert_int_equal(queue_put(rig, "s", &s), HF_ERR_SUBSCRIPTION_EXISTS);
    assert_int_equal(queue_delete(rig, "s"), HF_ERR_OK);
    assert_null(queue_subscription(rig, "s"));
    assert_int_equal(queue_delete(rig, "s"), HF_ERR_SUBSCRIPTION_NOT_FOUND);
    s.has_expected_version = false;
    assert_int_equal(queue_put(rig, "s", &s), HF_ERR_OK);
    assert_int_equal(queue_subscription(rig, "s")->version, 1);
}

/* Receipts of one that was deleted count for nothing at its successor. */
static void successors(struct queue_rig *rig)
{
    put(rig, "s", (struct queue_settings){0});
    publish(rig, "a", "1");
    expect_receive(rig, "s", 1, "1");
    assert_int_equal(queue_delete(rig, "s"), HF_ERR_OK);
    put(rig, "s", (struct queue_settings){.from = {.kind = HF_SEEK_BEGINNING}});
    queue_settle_time(rig);
    struct hf_receipt old = batch.got[0].receipt;
    expect_receive(rig, "s", 1, "1");
    assert_int_equal(queue_act(rig, "s", HF_ACT_ACK, &old, NULL), HF_ERR_STALE_RECEIPT);
    expect_ack(rig, "s", 0);
}

/* ---- the rules ---- */

static void backoff_is_bounded(void **state)
{
    (void)state;
    struct hf_subscription_settings s = {
        .backoff_first_ms = 1000, .backoff_max_ms = 60000, .attempts_max = 6};
    uint64_t distinct = 0;
    for (uint32_t tries = 1; tries < 100; tries++) {
        uint64_t whole_us = hf_min_u64(1000ull << (tries < 40 ? tries - 1 : 39), 60000) * 1000;
        uint64_t before = 0;
        for (uint64_t position = 1; position < 50; position++) {
            struct hf_place place = {.position = position};
            uint64_t us = hf_backoff_us(&s, &place, tries);
            assert_true(us >= whole_us / 2 && us <= whole_us);
            assert_int_equal(us, hf_backoff_us(&s, &place, tries));
            distinct += us != before;
            before = us;
        }
    }
    assert_true(distinct > 4800); /* spread */
    s.backoff_first_ms = 0;
    s.backoff_max_ms = 0;
    assert_int_equal(hf_backoff_us(&s, &(struct hf_place){.position = 1}, 9), 0);
    s.backoff_first_ms = HF_BACKOFF_MS_MAX;
    s.backoff_max_ms = HF_BACKOFF_MS_MAX;
    assert_true(hf_backoff_us(&s, &(struct hf_place){.position = 1}, UINT32_MAX) <=
                HF_BACKOFF_MS_MAX * 1000ull);
}

#define CASES(X)                                                                                   \
    X(order_by_key)                                                                                \
    X(nothing_to_deliver)                                                                          \
    X(limits_of_a_receive)                                                                         \
    X(receipts_go_stale)                                                                           \
    X(acks_repeat)                                                                                 \
    X(batch_of_acks)                                                                               \
    X(acks_of_one_commit)                                                                          \
    X(backing_off)                                                                                 \
    X(time_outs)                                                                                   \
    X(due_times_stay_few)                                                                          \
    X(takeover_gives_a_term)                                                                       \
    X(unordered)                                                                                   \
    X(backlog_hides_nothing)                                                                       \
    X(settings)                                                                                    \
    X(successors)
CASES(DEFINE_CASE)

int main(void)
{
    const struct CMUnitTest tests[] = {CASES(LIST_CASE) cmocka_unit_test(backoff_is_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
