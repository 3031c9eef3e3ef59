/* What the watch makes of figures: an alert when its time has come, none before, cleared when it is over; and the thresholds. */
#include "unit/support.h"

#include <stdio.h>
#include <string.h>

#include "base/histogram.h"
#include "observe/watch_priv.h"

#define SECOND_US 1000000ull
#define NOW_US    1800000000000000ull

static struct hf_alert_limits limits;
static struct hf_judging judging;

static int begin(void **state)
{
    (void)state;
    limits = hf_alert_limits_default();
    judging = (struct hf_judging){.limits = &limits, .now_us = NOW_US};
    return 0;
}

static void raise(enum hf_alert_kind kind, const char *subject)
{
    struct hf_watch_raised *raised = &judging.raised[judging.raised_count++];
    raised->kind = kind;
    (void)snprintf(raised->subject, sizeof(raised->subject), "%s", subject);
}

/* The only change since the last look; NULL: there is none. */
static const struct hf_alert_change *change(void)
{
    assert_true(judging.change_count <= 1);
    const struct hf_alert_change *change = judging.change_count == 0 ? NULL : &judging.changes[0];
    assert_true(change == NULL || hf_alert_texts_valid(change->subject, change->text));
    judging.change_count = 0;
    return change;
}

static void assert_raises(enum hf_alert_kind kind, const char *subject, uint64_t since_us)
{
    const struct hf_alert_change *made = change();
    assert_non_null(made);
    assert_false(made->clear);
    assert_int_equal(made->kind, kind);
    assert_true(hf_str_equal(made->subject, hf_str_from(subject)));
    assert_int_equal(made->since_us, since_us);
}

static void assert_clears(enum hf_alert_kind kind, const char *subject)
{
    const struct hf_alert_change *made = change();
    assert_non_null(made);
    assert_true(made->clear);
    assert_int_equal(made->kind, kind);
    assert_true(hf_str_equal(made->subject, hf_str_from(subject)));
}

static void dead_letters_are_told_as_long_as_there_are_any(void **state)
{
    (void)state;
    struct hf_watch_subscription s = {.name = "mailer"};
    hf_judge_subscription(&judging, &s);
    assert_null(change());
    s.parked = 3;
    s.parked_since_us = NOW_US - 5;
    hf_judge_subscription(&judging, &s);
    assert_raises(HF_ALERT_DEAD_LETTER, "subscriptions/mailer", NOW_US - 5);
    raise(HF_ALERT_DEAD_LETTER, "subscriptions/mailer");
    hf_judge_subscription(&judging, &s);
    assert_null(change());
    s.parked = 0;
    hf_judge_subscription(&judging, &s);
    assert_clears(HF_ALERT_DEAD_LETTER, "subscriptions/mailer");
}

static void a_backlog_without_acks_is_a_stall(void **state)
{
    (void)state;
    uint64_t limit_us = limits.value[HF_ALERT_SUBSCRIPTION_STALLED];
    struct hf_watch_subscription s = {
        .name = "a", .waiting = 1, .oldest_us = NOW_US - limit_us + 1};
    hf_judge_subscription(&judging, &s);
    assert_null(change());
    s.oldest_us--;
    hf_judge_subscription(&judging, &s);
    assert_raises(HF_ALERT_SUBSCRIPTION_STALLED, "subscriptions/a", NOW_US - limit_us);
    s.last_settled_us = NOW_US - 1; /* slow, but it goes on */
    hf_judge_subscription(&judging, &s);
    assert_null(change());
    s.last_settled_us = NOW_US + 5; /* the log's clock is ahead of ours */
    hf_judge_subscription(&judging, &s);
    assert_null(change());
    s.last_settled_us = 0;
    s.waiting = 0;
    s.in_flight = 2; /* out, and nobody answers */
    hf_judge_subscription(&judging, &s);
    assert_raises(HF_ALERT_SUBSCRIPTION_STALLED, "subscriptions/a", NOW_US - limit_us);
    raise(HF_ALERT_SUBSCRIPTION_STALLED, "subscriptions/a");
    s.in_flight = 0; /* dead letters alone are no stall */
    s.oldest_us = 0;
    hf_judge_subscription(&judging, &s);
    assert_clears(HF_ALERT_SUBSCRIPTION_STALLED, "subscriptions/a");
}

static void an_old_message_is_told(void **state)
{
    (void)state;
    const char *why;
    assert_true(hf_alert_limits_set(&limits, HF_STR("message_old=10s"), &why));
    struct hf_watch_subscription s = {.name = "a",
                                      .waiting = 1,
                                      .oldest_us = NOW_US - 10 * SECOND_US,
                                      .last_settled_us = NOW_US - 1};
    hf_judge_subscription(&judging, &s);
    assert_raises(HF_ALERT_MESSAGE_OLD, "subscriptions/a", NOW_US - 10 * SECOND_US);
    raise(HF_ALERT_MESSAGE_OLD, "subscriptions/a");
    s.oldest_us = NOW_US - 9 * SECOND_US;
    hf_judge_subscription(&judging, &s);
    assert_clears(HF_ALERT_MESSAGE_OLD, "subscriptions/a");
}

static void what_is_off_is_not_raised_and_is_cleared(void **state)
{
    (void)state;
    const char *why;
    struct hf_watch_subscription s = {.name = "a", .parked = 1, .parked_since_us = 1};
    assert_true(hf_alert_limits_set(&limits, HF_STR("dead_letter=off"), &why));
    hf_judge_subscription(&judging, &s);
    assert_null(change());
    raise(HF_ALERT_DEAD_LETTER, "subscriptions/a");
    hf_judge_subscription(&judging, &s);
    assert_clears(HF_ALERT_DEAD_LETTER, "subscriptions/a");
}

/* Pages go through the names in order: whoever is missing in his page is gone. */
static void alerts_about_what_was_deleted_are_cleared(void **state)
{
    (void)state;
    static const char page[][2] = {"b", "d"};
    struct hf_watch_range range = {page[0], sizeof(page[0]), 2, "a", false};
    raise(HF_ALERT_DEAD_LETTER, "subscriptions/b");
    raise(HF_ALERT_DISK_LOW, "disk");
    raise(HF_ALERT_MESSAGE_OLD, "subscriptions/c"); /* of another kind */
    raise(HF_ALERT_DEAD_LETTER, "subscriptions/a"); /* of the page before */
    raise(HF_ALERT_DEAD_LETTER, "subscriptions/e"); /* of the page behind */
    hf_judge_gone(&judging, HF_ALERT_DEAD_LETTER, "subscriptions/", &range, "gone");
    assert_null(change());
    raise(HF_ALERT_DEAD_LETTER, "subscriptions/c");
    hf_judge_gone(&judging, HF_ALERT_DEAD_LETTER, "subscriptions/", &range, "gone");
    assert_clears(HF_ALERT_DEAD_LETTER, "subscriptions/c");
    judging.raised_count = 0;
    raise(HF_ALERT_DEAD_LETTER, "subscriptions/e");
    range.to_end = true;
    hf_judge_gone(&judging, HF_ALERT_DEAD_LETTER, "subscriptions/", &range, "gone");
    assert_clears(HF_ALERT_DEAD_LETTER, "subscriptions/e");
    range = (struct hf_watch_range){page[0], sizeof(page[0]), 0, "", true};
    hf_judge_gone(&judging, HF_ALERT_DEAD_LETTER, "subscriptions/", &range, "gone");
    assert_clears(HF_ALERT_DEAD_LETTER, "subscriptions/e");
}

/* ---- sagas ---- */

static struct hf_watch_saga sagas[2 * HF_WATCH_SAGAS_MAX];

static struct hf_watch_range all_of(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(sagas[i].name, sizeof(sagas[i].name), "s%02u", i);
    }
    return (struct hf_watch_range){sagas[0].name, sizeof(sagas[0]), count, "", true};
}

static void a_parked_saga_is_told_with_its_reason(void **state)
{
    (void)state;
    uint64_t seen = 7; /* of the sweep before */
    struct hf_watch_range range = all_of(1);
    sagas[0].since_us = NOW_US - 3;
    (void)snprintf(sagas[0].reason, sizeof(sagas[0].reason), "401 of http://x\ty");
    hf_judge_sagas(&judging, HF_WATCH_PARKED, sagas, &range, &seen);
    assert_int_equal(seen, 1);
    assert_raises(HF_ALERT_SAGA_PARKED, "sagas/s00", NOW_US - 3);
    raise(HF_ALERT_SAGA_PARKED, "sagas/s00");
    hf_judge_sagas(&judging, HF_WATCH_PARKED, sagas, &range, &seen);
    assert_null(change());
    range.count = 0;
    hf_judge_sagas(&judging, HF_WATCH_PARKED, sagas, &range, &seen);
    assert_clears(HF_ALERT_SAGA_PARKED, "sagas/s00");
}

static void a_failing_saga_is_told_when_its_time_is_over(void **state)
{
    (void)state;
    uint64_t seen = 0;
    struct hf_watch_range range = all_of(1);
    sagas[0].since_us = NOW_US - limits.value[HF_ALERT_SAGA_FAILING] + 1;
    hf_judge_sagas(&judging, HF_WATCH_FAILING, sagas, &range, &seen);
    assert_null(change());
    sagas[0].since_us--;
    hf_judge_sagas(&judging, HF_WATCH_FAILING, sagas, &range, &seen);
    assert_raises(HF_ALERT_SAGA_FAILING, "sagas/s00", sagas[0].since_us);
    raise(HF_ALERT_SAGA_FAILING, "sagas/s00");
    sagas[0].since_us = NOW_US - 1; /* it went well, and fails anew */
    hf_judge_sagas(&judging, HF_WATCH_FAILING, sagas, &range, &seen);
    assert_clears(HF_ALERT_SAGA_FAILING, "sagas/s00");
    judging.raised_count = 0;
    sagas[0].since_us = 0; /* nothing is compensated at the moment */
    hf_judge_sagas(&judging, HF_WATCH_COMPENSATING, sagas, &range, &seen);
    assert_null(change());
    sagas[0].since_us = 1;
    hf_judge_sagas(&judging, HF_WATCH_COMPENSATING, sagas, &range, &seen);
    assert_raises(HF_ALERT_COMPENSATION_LATE, "sagas/s00", 1);
}

/* A wrong URL parks ten thousand: thirty-two are told by name, and that there are others; each once. */
static void a_flood_of_sagas_is_told_in_few_words(void **state)
{
    (void)state;
    uint64_t seen = 0;
    struct hf_watch_range range = all_of(HF_WATCH_SAGAS_MAX + 8);
    for (uint32_t i = 0; i < range.count; i++) {
        sagas[i].since_us = 5;
    }
    for (int round = 0; round < 4; round++) {
        judging.change_count = 0;
        hf_judge_sagas(&judging, HF_WATCH_PARKED, sagas, &range, &seen);
        for (uint32_t i = 0; i < judging.change_count; i++) {
            assert_false(judging.changes[i].clear);
            raise(judging.changes[i].kind, judging.subjects[i]);
        }
    }
    assert_int_equal(judging.raised_count, HF_WATCH_SAGAS_MAX + 1);
    assert_true(hf_judging_is_raised(&judging, HF_ALERT_SAGA_PARKED, "sagas"));
    judging.change_count = 0;
    range.count = HF_WATCH_SAGAS_MAX; /* the last eight were mended */
    hf_judge_sagas(&judging, HF_WATCH_PARKED, sagas, &range, &seen);
    assert_clears(HF_ALERT_SAGA_PARKED, "sagas");
}

/* The sweep's second page: what is missing on it is gone, what was on the first one is not. */
static void sweeps_go_on_page_by_page(void **state)
{
    (void)state;
    uint64_t seen = 0;
    struct hf_watch_range first = all_of(2);
    first.to_end = false;
    sagas[0].since_us = sagas[1].since_us = 1;
    raise(HF_ALERT_SAGA_PARKED, "sagas/s00");
    raise(HF_ALERT_SAGA_PARKED, "sagas/s01");
    raise(HF_ALERT_SAGA_PARKED, "sagas/s05");
    raise(HF_ALERT_SAGA_PARKED, "sagas");
    hf_judge_sagas(&judging, HF_WATCH_PARKED, sagas, &first, &seen);
    assert_null(change());
    struct hf_watch_range second = {sagas[2].name, sizeof(sagas[0]), 0, "s01", true};
    seen = HF_WATCH_SAGAS_MAX + 1;
    hf_judge_sagas(&judging, HF_WATCH_PARKED, &sagas[2], &second, &seen);
    assert_clears(HF_ALERT_SAGA_PARKED, "sagas/s05");
}

static void a_full_disk_is_told_once_and_needs_room_to_be_cleared(void **state)
{
    (void)state;
    uint64_t limit = limits.value[HF_ALERT_DISK_LOW];
    hf_judge_disk(&judging, "/data", limit, 10 * limit);
    assert_null(change());
    hf_judge_disk(&judging, "/da\nta", limit - 1, 10 * limit);
    assert_raises(HF_ALERT_DISK_LOW, "disk", NOW_US);
    raise(HF_ALERT_DISK_LOW, "disk");
    hf_judge_disk(&judging, "/data", limit + limit / 10 - 1, 10 * limit);
    assert_null(change());
    hf_judge_disk(&judging, "/data", limit + limit / 10, 10 * limit);
    assert_clears(HF_ALERT_DISK_LOW, "disk");
}

static void
short_memory_is_told_when_things_are_refused_and_cleared_when_there_is_room(void **state)
{
    (void)state;
    struct hf_memory memory = {.max = 100ull << 20, .resident = 60ull << 20};
    hf_judge_memory(&judging, &memory);
    assert_null(change());
    memory.level = HF_MEMORY_TIGHT;
    hf_judge_memory(&judging, &memory);
    assert_null(change());
    memory.level = HF_MEMORY_FULL;
    hf_judge_memory(&judging, &memory);
    assert_raises(HF_ALERT_MEMORY_LOW, "memory", NOW_US);
    raise(HF_ALERT_MEMORY_LOW, "memory");
    memory.level = HF_MEMORY_TIGHT;
    hf_judge_memory(&judging, &memory);
    assert_null(change());
    memory.level = HF_MEMORY_ROOM;
    hf_judge_memory(&judging, &memory);
    assert_clears(HF_ALERT_MEMORY_LOW, "memory");
}

static enum hf_err list_files(const char *path,
                              void (*each)(void *context, struct hf_str name, uint64_t bytes),
                              void *context, struct hf_error *error)
{
    (void)error;
    if (strcmp(path, "/data") == 0) {
        each(context, HF_STR("lock"), 1);
        each(context, HF_STR("checkpoint-1.ckpt"), 20);
        each(context, HF_STR("index-1.run"), 300);
        each(context, HF_STR("index-2.run.tmp"), 4000);
        each(context, HF_STR("checkpoint-2.ckpt"), 20);
    } else {
        assert_string_equal(path, "/data/log");
        each(context, HF_STR("00000000000000000001.log"), 50000);
        each(context, HF_STR("next"), 600000);
        each(context, HF_STR("x.tmp"), 4000);
    }
    return HF_ERR_OK;
}

static void files_belong_to_their_parts(void **state)
{
    (void)state;
    struct hf_disk_use use = {.free = 7, .all = 9, .log = 5};
    assert_int_equal(hf_disk_use_measure("/data", list_files, &use, NULL), HF_ERR_OK);
    assert_int_equal(use.log, 650000);
    assert_int_equal(use.index, 300);
    assert_int_equal(use.checkpoints, 40);
    assert_int_equal(use.temporary, 8000);
    assert_int_equal(use.other, 1);
    assert_int_equal(use.free, 7);
    assert_int_equal(use.all, 9);
}

static void what_the_audit_found_stays_until_a_pass_finds_nothing(void **state)
{
    (void)state;
    static struct hf_audit_report report;
    report = (struct hf_audit_report){.running = true};
    raise(HF_ALERT_AUDIT_FAILED, "audit"); /* of before a restart */
    hf_judge_audit(&judging, &report);
    assert_null(change());
    report.has_last = true;
    report.last.result = HF_AUDIT_OK;
    hf_judge_audit(&judging, &report);
    assert_clears(HF_ALERT_AUDIT_FAILED, "audit");
    judging.raised_count = 0;
    report.last.started_at_us = 17;
    report.last.result = HF_AUDIT_DAMAGED;
    report.last.finding_count = 21;
    memset(report.last.findings[0].text, 'x', sizeof(report.last.findings[0].text) - 1);
    hf_judge_audit(&judging, &report);
    assert_raises(HF_ALERT_AUDIT_FAILED, "audit", 17);
}

static void slow_writes_are_told(void **state)
{
    (void)state;
    static struct hf_histogram histogram;
    struct hf_watch_syncs before = {0};
    struct hf_watch_syncs after = {0};
    hf_histogram_init_latency(&histogram);
    uint32_t last = histogram.bound_count; /* above every bound */
    after.counts[0] = 990;
    after.counts[last] = 10;
    hf_judge_syncs(&judging, &histogram, &before, &after);
    assert_null(change()); /* one in a hundred */
    after.counts[last] = 11;
    hf_judge_syncs(&judging, &histogram, &before, &after);
    assert_raises(HF_ALERT_LOG_SLOW, "log", NOW_US);
    raise(HF_ALERT_LOG_SLOW, "log");
    before = after;
    after.counts[last] += 5; /* too few to tell */
    hf_judge_syncs(&judging, &histogram, &before, &after);
    assert_null(change());
    after = before;
    after.counts[0] += 3;
    hf_judge_syncs(&judging, &histogram, &before, &after);
    assert_clears(HF_ALERT_LOG_SLOW, "log");
}

static void more_than_fits_has_its_turn_later(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HF_ALERT_CHANGES_MAX + 5; i++) {
        struct hf_watch_subscription s = {.parked = 1, .parked_since_us = 1};
        (void)snprintf(s.name, sizeof(s.name), "s%u", i);
        hf_judge_subscription(&judging, &s);
    }
    assert_int_equal(judging.change_count, HF_ALERT_CHANGES_MAX);
}

static void thresholds_are_read_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum hf_alert_kind kind; /* NONE: it is refused */
        uint64_t value;
    } rows[] = {
        {"saga_failing=30s", HF_ALERT_SAGA_FAILING, 30 * SECOND_US},
        {"subscription_stalled=250ms", HF_ALERT_SUBSCRIPTION_STALLED, 250000},
        {"message_old=2d", HF_ALERT_MESSAGE_OLD, 172800 * SECOND_US},
        {"compensation_late=1h", HF_ALERT_COMPENSATION_LATE, 3600 * SECOND_US},
        {"log_slow=5m", HF_ALERT_LOG_SLOW, 300 * SECOND_US},
        {"disk_low=512MiB", HF_ALERT_DISK_LOW, 512ull << 20},
        {"disk_low=1KiB", HF_ALERT_DISK_LOW, 1024},
        {"disk_low=3TiB", HF_ALERT_DISK_LOW, 3ull << 40},
        {"", HF_ALERT_NONE, 0},
        {"disk_low", HF_ALERT_NONE, 0},
        {"=1s", HF_ALERT_NONE, 0},
        {"none=1s", HF_ALERT_NONE, 0},
        {"disk_low=", HF_ALERT_NONE, 0},
        {"disk_low=10s", HF_ALERT_NONE, 0},
        {"disk_low=0MiB", HF_ALERT_NONE, 0},
        {"message_old=1MiB", HF_ALERT_NONE, 0},
        {"message_old=1", HF_ALERT_NONE, 0},
        {"message_old=s", HF_ALERT_NONE, 0},
        {"message_old=-1s", HF_ALERT_NONE, 0},
        {"message_old=99999999999s", HF_ALERT_NONE, 0},
        {"message_old= 1s", HF_ALERT_NONE, 0},
        {"dead_letter=1s", HF_ALERT_NONE, 0},
        {"DEAD_LETTER=off", HF_ALERT_NONE, 0},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        struct hf_alert_limits set = hf_alert_limits_default();
        struct hf_alert_limits before = set;
        const char *why = NULL;
        bool taken = hf_alert_limits_set(&set, hf_str_from(rows[i].text), &why);
        assert_int_equal(taken, rows[i].kind != HF_ALERT_NONE);
        assert_true(!taken || set.value[rows[i].kind] == rows[i].value);
        assert_true(taken ||
                    (memcmp(set.on, before.on, sizeof(set.on)) == 0 &&
                     memcmp(set.value, before.value, sizeof(set.value)) == 0 && why != NULL));
    }
    struct hf_alert_limits set = hf_alert_limits_default();
    const char *why;
    assert_true(hf_alert_limits_set(&set, HF_STR("message_old=off"), &why));
    assert_false(set.on[HF_ALERT_MESSAGE_OLD]);
    assert_true(hf_alert_limits_set(&set, HF_STR("message_old=1s"), &why));
    assert_true(set.on[HF_ALERT_MESSAGE_OLD]);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup(function, begin)
    const struct CMUnitTest tests[] = {
        TEST(dead_letters_are_told_as_long_as_there_are_any),
        TEST(a_backlog_without_acks_is_a_stall),
        TEST(an_old_message_is_told),
        TEST(what_is_off_is_not_raised_and_is_cleared),
        TEST(alerts_about_what_was_deleted_are_cleared),
        TEST(a_parked_saga_is_told_with_its_reason),
        TEST(a_failing_saga_is_told_when_its_time_is_over),
        TEST(a_flood_of_sagas_is_told_in_few_words),
        TEST(sweeps_go_on_page_by_page),
        TEST(a_full_disk_is_told_once_and_needs_room_to_be_cleared),
        TEST(short_memory_is_told_when_things_are_refused_and_cleared_when_there_is_room),
        TEST(files_belong_to_their_parts),
        TEST(what_the_audit_found_stays_until_a_pass_finds_nothing),
        TEST(slow_writes_are_told),
        TEST(more_than_fits_has_its_turn_later),
        TEST(thresholds_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
