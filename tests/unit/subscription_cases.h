/*
 * What the tests of subscriptions share: short calls over queue_rig.h, each case run in RAM, cold, and with every
 * allocation failing in turn.
 *
 * Owns: the batch that the last receive filled in, one for each program. Called by: subscription_test.c,
 * subscription_dead_test.c, subscription_scan_test.c.
 */
#ifndef HF_TESTS_UNIT_SUBSCRIPTION_CASES_H
#define HF_TESTS_UNIT_SUBSCRIPTION_CASES_H

#include <stdio.h>

#include "unit/queue_rig.h"
#include "unit/support.h"

#define SECOND_US 1000000ull
#define T         "t"
#define PROMPT    .has_backoff = true, .backoff_first_ms = 0, .backoff_max_ms = 0

static struct queue_batch batch;

static inline void expect_receive(struct queue_rig *rig, const char *name, uint32_t max,
                                  const char *words)
{
    assert_int_equal(queue_receive(rig, name, max, &batch), HF_ERR_OK);
    char text[4096];
    assert_string_equal(queue_words(&batch, text, sizeof(text)), words);
}

static inline void expect_ack(struct queue_rig *rig, const char *name, uint32_t index)
{
    assert_int_equal(queue_act(rig, name, HF_ACT_ACK, &batch.got[index].receipt, NULL), HF_ERR_OK);
}

static inline void expect_nack(struct queue_rig *rig, const char *name, uint32_t index)
{
    assert_int_equal(queue_act(rig, name, HF_ACT_NACK, &batch.got[index].receipt, "no"), HF_ERR_OK);
}

static inline void publish(struct queue_rig *rig, const char *key, const char *word)
{
    (void)queue_publish(rig, T, key, word, 0);
}

static inline void put(struct queue_rig *rig, const char *name, struct queue_settings s)
{
    s.topic = s.topic == NULL ? T : s.topic;
    assert_int_equal(queue_put(rig, name, &s), HF_ERR_OK);
}

static inline void pass(struct queue_rig *rig, uint64_t us)
{
    rig->now_us += us;
    queue_settle_time(rig);
}

static inline void exhaust(struct queue_rig *rig, const char *name, const char *words,
                           uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        rig->now_us += SECOND_US;
        expect_receive(rig, name, 1, words);
        expect_nack(rig, name, 0);
    }
    rig->now_us += SECOND_US;
}

static inline void redrive(struct queue_rig *rig, struct hf_queue_fields what, uint32_t expected)
{
    uint32_t moved;
    assert_int_equal(queue_redrive(rig, "s", &what, &moved), HF_ERR_OK);
    assert_int_equal(moved, expected);
}

/* In RAM, cold, and with every allocation of every reservation and reload failing in turn. */
static inline void run_case(void (*test)(struct queue_rig *))
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

#define DEFINE_CASE(name)                                                                          \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        run_case(name);                                                                            \
    }
#define LIST_CASE(name) cmocka_unit_test(test_##name),

#endif
