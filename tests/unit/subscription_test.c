/*
 * Every sentence of docs/adr/0009-subscriptions.md, on the core by itself: once with everything in RAM, once with
 * everything cold. After each step state = log, its canonical bytes load to the same state, and its invariants hold.
 */
#include <stdio.h>

#include "core/feed_event.h"
#include "core/queue_rules.h"
#include "unit/queue_rig.h"
#include "unit/support.h"

#define SECOND_US 1000000ull
#define T         "t"

static struct queue_batch batch;
static char text[4096];

/* ---- helpers ---- */

static void expect_receive(struct queue_rig *rig, const char *name, uint32_t max, const char *words)
{
    assert_int_equal(queue_receive(rig, name, max, &batch), HF_ERR_OK);
    assert_string_equal(queue_words(&batch, text, sizeof(text)), words);
}

static void expect_ack(struct queue_rig *rig, const char *name, uint32_t index)
{
    assert_int_equal(queue_act(rig, name, HF_ACT_ACK, &batch.got[index].receipt, NULL), HF_ERR_OK);
}

static void expect_nack(struct queue_rig *rig, const char *name, uint32_t index)
{
    assert_int_equal(queue_act(rig, name, HF_ACT_NACK, &batch.got[index].receipt, "no"), HF_ERR_OK);
}

static void publish(struct queue_rig *rig, const char *key, const char *word)
{
    (void)queue_publish(rig, T, key, word, 0);
}

static void put(struct queue_rig *rig, const char *name, struct queue_settings s)
{
    s.topic = s.topic == NULL ? T : s.topic;
    assert_int_equal(queue_put(rig, name, &s), HF_ERR_OK);
}

static void pass(struct queue_rig *rig, uint64_t us)
{
    rig->now_us += us;
    queue_settle_time(rig);
}

#define PROMPT .has_backoff = true, .backoff_first_ms = 0, .backoff_max_ms = 0

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

/* ---- dead letters ---- */

static void exhaust(struct queue_rig *rig, const char *name, const char *words, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        rig->now_us += SECOND_US;
        expect_receive(rig, name, 1, words);
        expect_nack(rig, name, 0);
    }
    rig->now_us += SECOND_US;
}

static void redrive(struct queue_rig *rig, struct hf_queue_fields what, uint32_t expected)
{
    uint32_t moved;
    assert_int_equal(queue_redrive(rig, "s", &what, &moved), HF_ERR_OK);
    assert_int_equal(moved, expected);
}

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

/* ---- settings ---- */

static void settings(struct queue_rig *rig)
{
    struct queue_settings s = {.topic = T, .from = {.kind = HF_SEEK_BEGINNING}};
    assert_int_equal(queue_put(rig, "s", &s), HF_ERR_OK);
    uint64_t position = rig->core.state.position;
    assert_int_equal(queue_put(rig, "s", &s), HF_ERR_OK); /* the same again: nothing */
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

/* In RAM, cold, and with every allocation of every reservation and reload failing in turn. */
static void run_case(void (*test)(struct queue_rig *))
{
    static const enum core_rig_mode modes[] = {CORE_RIG_HOT, CORE_RIG_COLD, CORE_RIG_HOT};
    for (size_t i = 0; i < HF_ARRAY_COUNT(modes); i++) {
        struct queue_rig rig;
        queue_rig_init(&rig, modes[i]);
        rig.core.faults = i == 2;
        test(&rig);
        queue_rig_check(&rig);
        queue_rig_release(&rig);
    }
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
    X(park_key)                                                                                    \
    X(park_message)                                                                                \
    X(block)                                                                                       \
    X(redrive_one_or_all)                                                                          \
    X(redrive_meets_no_lease)                                                                      \
    X(redrive_by_rate)                                                                             \
    X(unordered)                                                                                   \
    X(backlog_hides_nothing)                                                                       \
    X(redrives_all_of_a_key)                                                                       \
    X(dead_letters_fill_up)                                                                        \
    X(scans_the_past)                                                                              \
    X(seeks)                                                                                       \
    X(lines_have_a_limit)                                                                          \
    X(delayed)                                                                                     \
    X(settings)                                                                                    \
    X(successors)                                                                                  \
    X(history)

#define DEFINE_CASE(name)                                                                          \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        run_case(name);                                                                            \
    }
CASES(DEFINE_CASE)

int main(void)
{
#define LIST_CASE(name) cmocka_unit_test(test_##name),
    const struct CMUnitTest tests[] = {CASES(LIST_CASE) cmocka_unit_test(backoff_is_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
