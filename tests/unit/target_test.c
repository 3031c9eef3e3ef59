/* Targets: keys of URLs, turns, limits, the breaker, Retry-After; and a random history beside the invariants. */
#include "deliver/target.h"

#include <stdio.h>

#include "unit/support.h"

#define SECOND_US 1000000ull
#define WAITS     64

struct bench {
    struct hf_targets *targets;
    struct hf_target_wait waits[WAITS];
    uint64_t now_us;
    size_t sent; /* by run */
};

static struct hf_target_limits small_limits(void)
{
    return (struct hf_target_limits){
        .targets_max = 4,
        .in_flight_max = 4,
        .calls_max = 6,
        .failures_in_row = 3,
        .failure_percent = 60,
        .open_first_us = SECOND_US,
        .open_max_us = 4 * SECOND_US,
    };
}

static void begin(struct bench *b)
{
    *b = (struct bench){.now_us = 100 * SECOND_US};
    struct hf_target_limits limits = small_limits();
    b->targets = hf_targets_new(&limits, 42);
    assert_non_null(b->targets);
}

static void end(struct bench *b)
{
    hf_targets_verify(b->targets);
    for (size_t i = 0; i < WAITS; i++) {
        hf_targets_withdraw(b->targets, &b->waits[i]);
        if (b->waits[i].in_flight) {
            hf_targets_ended(b->targets, &b->waits[i], HF_TARGET_OK, 0, b->now_us);
        }
    }
    hf_targets_verify(b->targets);
    hf_targets_free(b->targets);
}

static void queue(struct bench *b, size_t i, const char *url, uint64_t owner)
{
    b->waits[i].owner = owner;
    assert_int_equal(hf_targets_queue(b->targets, hf_str_from(url), &b->waits[i]), HF_ERR_OK);
    hf_targets_verify(b->targets);
}

/* Index of the next one, or -1. */
static int next(struct bench *b)
{
    struct hf_target_wait *wait = hf_targets_next(b->targets, b->now_us);
    hf_targets_verify(b->targets);
    return wait == NULL ? -1 : (int)(wait - b->waits);
}

static void ended(struct bench *b, int i, enum hf_target_end how, uint64_t retry_after_us)
{
    hf_targets_ended(b->targets, &b->waits[i], how, retry_after_us, b->now_us);
    hf_targets_verify(b->targets);
}

static struct hf_target_status status_of(const struct bench *b, const char *url)
{
    struct hf_target_status status;
    assert_true(hf_targets_status(b->targets, hf_str_from(url), &status));
    return status;
}

/* ---- keys ---- */

static void test_keys(void **unused)
{
    (void)unused;
    static const struct {
        const char *url, *key, *why;
    } rows[] = {
        {"http://example.com", "http://example.com:80", NULL},
        {"HTTPS://Example.COM/Path?q=1", "https://example.com:443", NULL},
        {"http://example.com:8080?x", "http://example.com:8080", NULL},
        {"http://127.0.0.1:1/", "http://127.0.0.1:1", NULL},
        {"https://[FE80::1]:65535/a", "https://[fe80::1]:65535", NULL},
        {"http://a_b-c.d/%20", "http://a_b-c.d:80", NULL},
        {"http://h/a:b@c", "http://h:80", NULL},
        {"ftp://example.com", NULL, "must begin"},
        {"httpx://example.com", NULL, "must begin"},
        {"http:/example.com", NULL, "must begin"},
        {"example.com", NULL, "must begin"},
        {"", NULL, "must begin"},
        {"http://", NULL, "no host"},
        {"http:///path", NULL, "no host"},
        {"http://user:pw@example.com/", NULL, "user or password"},
        {"http://example.com@127.0.0.1/", NULL, "user or password"},
        {"http://example.com/#a", NULL, "fragment"},
        {"http://example.com/a b", NULL, "percent-encoded"},
        {"http://example.com/\n", NULL, "percent-encoded"},
        {"http://ex\xc3\xa4mple.com/", NULL, "percent-encoded"},
        {"http://example.com:0/", NULL, "host or port"},
        {"http://example.com:65536/", NULL, "host or port"},
        {"http://example.com:/", NULL, "host or port"},
        {"http://example.com:12345678901", NULL, "host or port"},
        {"http://example.com\\@evil", NULL, "user or password"},
        {"http://example.com\\evil", NULL, "host or port"},
        {"http://[::1", NULL, "no host"},
        {"http://[]/", NULL, "no host"},
        {"http://[::1]x/", NULL, "host or port"},
        {"http://[fe80::1%25lo]/", NULL, "no host"},
        {"http://%6c/", NULL, "no host"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        char key[HF_TARGET_KEY_BYTES];
        const char *why = "";
        bool ok = hf_target_key(hf_str_from(rows[i].url), key, &why);
        bool right = rows[i].key != NULL ? ok && strcmp(key, rows[i].key) == 0
                                         : !ok && strstr(why, rows[i].why) != NULL;
        if (!right) {
            fail_msg("%s: %s", rows[i].url, ok ? key : why);
        }
    }
    char longest[HF_URL_BYTES_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    memcpy(longest, "http://h/", 9);
    char key[HF_TARGET_KEY_BYTES];
    const char *why = "";
    assert_true(hf_target_key((struct hf_str){longest, HF_URL_BYTES_MAX}, key, &why));
    assert_false(hf_target_key((struct hf_str){longest, HF_URL_BYTES_MAX + 1}, key, &why));
    memset(longest, 'a', sizeof(longest));
    memcpy(longest, "https://", 8);
    assert_true(hf_target_key((struct hf_str){longest, 8 + 253}, key, &why));
    assert_false(hf_target_key((struct hf_str){longest, 8 + 254}, key, &why));
}

/* ---- turns ---- */

/* Owner 1 has many, owners 2 and 3 one each: they don't wait behind all of owner 1's. */
static void test_owners_take_turns(void **unused)
{
    (void)unused;
    struct bench b;
    begin(&b);
    for (size_t i = 0; i < 10; i++) {
        queue(&b, i, "http://a/", 1);
    }
    queue(&b, 10, "http://a/x", 2);
    queue(&b, 11, "http://a/y", 3);
    static const int expected[] = {0, 10, 11, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    for (size_t i = 0; i < HF_ARRAY_COUNT(expected); i++) {
        int got = next(&b);
        assert_int_equal(got, expected[i]);
        ended(&b, got, HF_TARGET_OK, 0);
    }
    assert_int_equal(next(&b), -1);
    end(&b);
}

/* A slow target, all of its calls out, holds up no other one; all together stay within calls_max. */
static void test_targets_take_turns(void **unused)
{
    (void)unused;
    struct bench b;
    begin(&b);
    for (size_t i = 0; i < 10; i++) {
        queue(&b, i, "http://slow/", i);
    }
    queue(&b, 10, "http://other/", 1);
    queue(&b, 11, "http://other/", 1);
    queue(&b, 12, "http://other/", 1);
    static const int expected[] = {0, 10, 1, 11, 2, 12, -1};
    for (size_t i = 0; i < HF_ARRAY_COUNT(expected); i++) {
        assert_int_equal(next(&b), expected[i]);
    }
    ended(&b, 10, HF_TARGET_OK, 0);
    assert_int_equal(next(&b), 3);
    ended(&b, 11, HF_TARGET_OK, 0);
    assert_int_equal(next(&b), -1); /* slow has its four */
    ended(&b, 0, HF_TARGET_OK, 0);
    assert_int_equal(next(&b), 4);
    struct hf_target_sums sums;
    hf_targets_sums(b.targets, &sums);
    assert_int_equal(sums.targets, 2);
    assert_int_equal(sums.waiting, 5);
    assert_int_equal(sums.in_flight, 5);
    end(&b);
}

static void count_send(struct hf_target_wait *wait)
{
    struct bench *b = HF_CONTAINER_OF(wait - wait->owner, struct bench, waits[0]);
    b->sent++;
}

static void test_run_and_withdraw(void **unused)
{
    (void)unused;
    struct bench b;
    begin(&b);
    for (size_t i = 0; i < 6; i++) {
        b.waits[i].send = count_send;
        queue(&b, i, i % 2 == 0 ? "http://a/" : "http://b/", i);
    }
    hf_targets_withdraw(b.targets, &b.waits[2]);
    hf_targets_withdraw(b.targets, &b.waits[2]);
    hf_targets_verify(b.targets);
    assert_int_equal(hf_targets_run(b.targets, b.now_us, 3), 3);
    assert_int_equal(hf_targets_run(b.targets, b.now_us, 100), 2);
    assert_int_equal(b.sent, 5);
    assert_false(b.waits[2].in_flight);
    end(&b);
}

/* From the middle and the end of an owner's queue. */
static void test_withdraw_anywhere(void **unused)
{
    (void)unused;
    struct bench b;
    begin(&b);
    for (size_t i = 0; i < 5; i++) {
        queue(&b, i, "http://a/", 9);
    }
    hf_targets_withdraw(b.targets, &b.waits[2]);
    hf_targets_withdraw(b.targets, &b.waits[4]);
    hf_targets_withdraw(b.targets, &b.waits[0]);
    hf_targets_verify(b.targets);
    queue(&b, 5, "http://a/", 9);
    static const int expected[] = {1, 3, 5, -1};
    for (size_t i = 0; i < HF_ARRAY_COUNT(expected); i++) {
        assert_int_equal(next(&b), expected[i]);
    }
    end(&b);
}

/* ---- the breaker ---- */

static void fail_until_open(struct bench *b, const char *url)
{
    for (size_t i = 0; i < 3; i++) {
        queue(b, i, url, i);
    }
    for (size_t i = 0; i < 3; i++) {
        int got = next(b);
        assert_true(got >= 0);
        ended(b, got, HF_TARGET_FAILED, 0);
    }
    assert_int_equal(status_of(b, url).phase, HF_TARGET_OPEN);
}

static void test_failures_open_it(void **unused)
{
    (void)unused;
    struct bench b;
    begin(&b);
    fail_until_open(&b, "http://a/");
    for (size_t i = 10; i < 16; i++) {
        queue(&b, i, "http://a/", i);
    }
    assert_int_equal(next(&b), -1);
    uint64_t due_us = hf_targets_next_us(b.targets);
    assert_true(due_us >= b.now_us + SECOND_US / 2 && due_us <= b.now_us + SECOND_US);
    b.now_us = due_us - 1;
    assert_int_equal(next(&b), -1);
    b.now_us = due_us;
    int probe = next(&b);
    assert_int_equal(probe, 10);
    assert_int_equal(next(&b), -1); /* one probe, whoever waits */
    ended(&b, probe, HF_TARGET_FAILED, 0);
    due_us = hf_targets_next_us(b.targets); /* twice as long */
    assert_true(due_us >= b.now_us + SECOND_US && due_us <= b.now_us + 2 * SECOND_US);
    b.now_us = due_us;
    probe = next(&b);
    assert_int_equal(probe, 11);
    ended(&b, probe, HF_TARGET_OK, 0);
    /* it comes back as a trickle: 2, then one more with each success */
    assert_int_equal(status_of(&b, "http://a/").phase, HF_TARGET_CLOSED);
    assert_int_equal(next(&b), 12);
    assert_int_equal(next(&b), 13);
    assert_int_equal(next(&b), -1);
    ended(&b, 12, HF_TARGET_OK, 0);
    assert_int_equal(next(&b), 14);
    assert_int_equal(next(&b), 15);
    assert_int_equal(next(&b), -1);
    end(&b);
}

static void test_waits_are_capped(void **unused)
{
    (void)unused;
    struct bench b;
    begin(&b);
    fail_until_open(&b, "http://a/");
    queue(&b, 10, "http://a/", 1);
    for (size_t i = 0; i < 40; i++) {
        b.now_us = hf_targets_next_us(b.targets);
        assert_int_equal(next(&b), 10);
        ended(&b, 10, HF_TARGET_FAILED, 0);
        queue(&b, 10, "http://a/", 1);
        assert_true(hf_targets_next_us(b.targets) <= b.now_us + 4 * SECOND_US);
        assert_true(i < 2 || hf_targets_next_us(b.targets) >= b.now_us + 2 * SECOND_US);
    }
    end(&b);
}

/* Not in a row, but too many of the last 64. */
static void test_a_ratio_opens_it(void **unused)
{
    (void)unused;
    struct bench b;
    begin(&b);
    size_t calls = 0;
    queue(&b, 0, "http://a/", 1);
    while (status_of(&b, "http://a/").phase == HF_TARGET_CLOSED && calls < 200) {
        assert_int_equal(next(&b), 0);
        ended(&b, 0, calls % 3 == 2 ? HF_TARGET_OK : HF_TARGET_FAILED, 0);
        queue(&b, 0, "http://a/", 1);
        calls++;
    }
    assert_int_equal(calls, HF_TARGET_WINDOW);
    end(&b);
    begin(&b);
    queue(&b, 0, "http://a/", 1);
    for (calls = 0; calls < 300; calls++) { /* half of them is not enough */
        assert_int_equal(next(&b), 0);
        ended(&b, 0, calls % 2 == 0 ? HF_TARGET_OK : HF_TARGET_FAILED, 0);
        queue(&b, 0, "http://a/", 1);
    }
    assert_int_equal(status_of(&b, "http://a/").phase, HF_TARGET_CLOSED);
    end(&b);
}

/* What was out when it opened says nothing of the probe, and does not hold it up. */
static void test_late_ends_change_nothing(void **unused)
{
    (void)unused;
    struct bench b;
    begin(&b);
    for (size_t i = 0; i < 6; i++) {
        queue(&b, i, "http://a/", i);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(next(&b), i);
    }
    ended(&b, 0, HF_TARGET_FAILED, 0);
    ended(&b, 1, HF_TARGET_FAILED, 0);
    ended(&b, 2, HF_TARGET_FAILED, 0); /* open; 3 is still out */
    assert_int_equal(next(&b), -1);
    b.now_us = hf_targets_next_us(b.targets);
    assert_int_equal(next(&b), 4);
    ended(&b, 3, HF_TARGET_FAILED, 0);
    assert_int_equal(status_of(&b, "http://a/").phase, HF_TARGET_PROBING);
    ended(&b, 4, HF_TARGET_NOT_SENT, 0); /* the next one is the probe */
    assert_int_equal(next(&b), 5);
    ended(&b, 5, HF_TARGET_OK, 0);
    assert_int_equal(status_of(&b, "http://a/").phase, HF_TARGET_CLOSED);
    end(&b);
}

static void test_retry_after(void **unused)
{
    (void)unused;
    struct bench b;
    begin(&b);
    for (size_t i = 0; i < 8; i++) {
        queue(&b, i, "http://a/", i);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(next(&b), i);
    }
    ended(&b, 0, HF_TARGET_THROTTLED, 7 * SECOND_US);
    ended(&b, 1, HF_TARGET_FAILED, 3 * SECOND_US); /* told when: no failure of the breaker's */
    ended(&b, 2, HF_TARGET_OK, 0);
    ended(&b, 3, HF_TARGET_FAILED, 1);
    assert_int_equal(status_of(&b, "http://a/").phase, HF_TARGET_CLOSED);
    assert_int_equal(next(&b), -1);
    assert_int_equal(hf_targets_next_us(b.targets), b.now_us + 7 * SECOND_US);
    b.now_us += 7 * SECOND_US;
    assert_int_equal(next(&b), 4); /* 4 → 2 → 1 → 2 → 1 */
    assert_int_equal(next(&b), -1);
    ended(&b, 4, HF_TARGET_THROTTLED, 400 * 86400 * SECOND_US);
    assert_int_equal(hf_targets_next_us(b.targets), b.now_us + HF_TARGET_RETRY_AFTER_US_MAX);
    end(&b);
}

/* A probe that is told to come later: it is alive. */
static void test_a_throttled_probe(void **unused)
{
    (void)unused;
    struct bench b;
    begin(&b);
    fail_until_open(&b, "http://a/");
    queue(&b, 10, "http://a/", 1);
    queue(&b, 11, "http://a/", 1);
    b.now_us = hf_targets_next_us(b.targets);
    assert_int_equal(next(&b), 10);
    ended(&b, 10, HF_TARGET_FAILED, 9 * SECOND_US); /* 503 with Retry-After */
    assert_int_equal(next(&b), -1);
    assert_int_equal(hf_targets_next_us(b.targets), b.now_us + 9 * SECOND_US);
    b.now_us += 9 * SECOND_US;
    assert_int_equal(next(&b), 11);
    end(&b);
}

/* ---- limits ---- */

static void test_targets_max(void **unused)
{
    (void)unused;
    struct bench b;
    struct hf_target_status status;
    begin(&b);
    queue(&b, 0, "http://a/", 1);
    queue(&b, 1, "http://b/", 1);
    queue(&b, 2, "http://c/", 1);
    queue(&b, 3, "http://d/", 1);
    assert_int_equal(hf_targets_queue(b.targets, HF_STR("http://e/"), &b.waits[4]),
                     HF_ERR_OVERLOADED);
    assert_false(b.waits[4].waiting);
    hf_targets_withdraw(b.targets, &b.waits[1]);
    queue(&b, 4, "http://e/", 1); /* takes the place of b, which was idle */
    assert_false(hf_targets_status(b.targets, HF_STR("http://b/"), &status));
    end(&b);
}

static void test_what_an_end_says(void **unused)
{
    (void)unused;
    static const struct {
        enum hf_call_error error;
        uint16_t status;
        enum hf_target_end end;
    } rows[] = {
        {HF_CALL_COMPLETE, 200, HF_TARGET_OK},         {HF_CALL_COMPLETE, 302, HF_TARGET_OK},
        {HF_CALL_COMPLETE, 404, HF_TARGET_OK},         {HF_CALL_COMPLETE, 410, HF_TARGET_OK},
        {HF_CALL_COMPLETE, 429, HF_TARGET_THROTTLED},  {HF_CALL_COMPLETE, 500, HF_TARGET_FAILED},
        {HF_CALL_COMPLETE, 503, HF_TARGET_FAILED},     {HF_CALL_NOT_CONNECTED, 0, HF_TARGET_FAILED},
        {HF_CALL_TIMED_OUT, 0, HF_TARGET_FAILED},      {HF_CALL_CUT_OFF, 0, HF_TARGET_FAILED},
        {HF_CALL_REFUSED_HERE, 0, HF_TARGET_NOT_SENT}, {HF_CALL_TOO_LARGE, 200, HF_TARGET_OK},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        assert_int_equal(hf_target_end_of(rows[i].error, rows[i].status), rows[i].end);
    }
}

/* ---- a random history ---- */

static uint64_t random_below(uint64_t *seed, uint64_t most)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (*seed >> 33) % most;
}

static void test_random_history(void **unused)
{
    (void)unused;
    static const char *const urls[] = {"http://a/", "http://b/", "http://c/",
                                       "http://d/", "http://e/", "http://f/"};
    uint64_t seed = 7;
    uint64_t sent = 0;
    uint64_t refused = 0;
    struct bench b;
    begin(&b);
    for (int round = 0; round < 20000; round++) {
        size_t i = random_below(&seed, WAITS);
        struct hf_target_wait *wait = &b.waits[i];
        if (wait->in_flight) {
            uint64_t retry = random_below(&seed, 4) == 0 ? random_below(&seed, SECOND_US) : 0;
            ended(&b, (int)i, (enum hf_target_end)(1 + random_below(&seed, 4)), retry);
        } else if (wait->waiting) {
            if (random_below(&seed, 8) == 0) {
                hf_targets_withdraw(b.targets, wait);
            }
        } else {
            wait->owner = random_below(&seed, 5);
            enum hf_err code =
                hf_targets_queue(b.targets, hf_str_from(urls[random_below(&seed, 6)]), wait);
            refused += code == HF_ERR_OVERLOADED ? 1 : 0;
            assert_true(code == HF_ERR_OK || code == HF_ERR_OVERLOADED);
        }
        hf_targets_verify(b.targets);
        if (random_below(&seed, 3) == 0) {
            sent += next(&b) >= 0 ? 1 : 0;
            b.now_us += random_below(&seed, SECOND_US / 4);
        }
    }
    assert_true(sent > 1000 && refused > 10);
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_owners_take_turns),
        cmocka_unit_test(test_targets_take_turns),
        cmocka_unit_test(test_run_and_withdraw),
        cmocka_unit_test(test_withdraw_anywhere),
        cmocka_unit_test(test_failures_open_it),
        cmocka_unit_test(test_waits_are_capped),
        cmocka_unit_test(test_a_ratio_opens_it),
        cmocka_unit_test(test_late_ends_change_nothing),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_a_throttled_probe),
        cmocka_unit_test(test_targets_max),
        cmocka_unit_test(test_what_an_end_says),
        cmocka_unit_test(test_random_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
