/* Subscriptions at their limits, and what no decision would have written: it is refused as damage. */
#include <stdio.h>

#include "unit/queue_rig.h"
#include "unit/support.h"

#define T "t"

static struct queue_batch batch;

static void put(struct queue_rig *rig, const char *name, const struct queue_settings *settings)
{
    assert_int_equal(queue_put(rig, name, settings), HF_ERR_OK);
}

/* ---- large commits ---- */

/* A commit may have as many messages as operations. */
static void as_many_messages_as_operations(void **state)
{
    (void)state;
    struct queue_rig rig;
    queue_rig_init(&rig, CORE_RIG_HOT);
    put(&rig, "s", &(struct queue_settings){.topic = T, .in_flight_max = HF_IN_FLIGHT_MAX});
    assert_int_equal(queue_publish_many(&rig, T, HF_COMMIT_OPERATIONS_MAX), HF_ERR_OK);
    assert_int_equal(queue_subscription(&rig, "s")->waiting, HF_COMMIT_OPERATIONS_MAX);
    assert_int_equal(queue_receive(&rig, "s", HF_RECEIVE_MAX, &batch), HF_ERR_OK);
    assert_int_equal(batch.count, HF_RECEIVE_MAX);
    queue_rig_check(&rig);
    queue_rig_release(&rig);
}

/* More arrivals than a commit may bring at once: those who want them take them from the log. */
static void thousands_of_subscriptions_fall_behind(void **state)
{
    (void)state;
    enum { READERS = HF_COMMIT_ARRIVALS_MAX / HF_COMMIT_OPERATIONS_MAX + 1 };
    struct queue_rig rig;
    char name[32];
    queue_rig_init(&rig, CORE_RIG_HOT);
    rig.quick = true;
    for (int i = 0; i < READERS; i++) {
        (void)snprintf(name, sizeof(name), "s%d", i);
        put(&rig, name, &(struct queue_settings){.topic = i == 0 ? NULL : T});
    }
    put(&rig, "elsewhere", &(struct queue_settings){.topic = "u"});
    assert_int_equal(queue_publish_many(&rig, T, HF_COMMIT_OPERATIONS_MAX), HF_ERR_OK);
    queue_rig_check(&rig);
    for (int i = 0; i < READERS; i++) {
        (void)snprintf(name, sizeof(name), "s%d", i);
        assert_false(queue_subscription(&rig, name)->live);
        assert_int_equal(queue_subscription(&rig, name)->arrived, 0);
    }
    assert_true(queue_subscription(&rig, "elsewhere")->live);
    (void)queue_publish(&rig, T, "one", "more", 0);
    queue_settle_time(&rig);
    queue_rig_check(&rig);
    for (int i = 0; i < READERS; i++) {
        (void)snprintf(name, sizeof(name), "s%d", i);
        assert_true(queue_subscription(&rig, name)->live);
        assert_int_equal(queue_subscription(&rig, name)->arrived, HF_COMMIT_OPERATIONS_MAX + 1);
    }
    queue_rig_release(&rig);
}

/* What can't arrive is not decoded: a scan reads past megabytes of deliveries and of other scans at once. */
static void scans_pass_by_what_brings_nothing(void **state)
{
    (void)state;
    struct queue_rig rig;
    queue_rig_init(&rig, CORE_RIG_HOT);
    rig.quick = true;
    static const char *const names[] = {"s", "s2", "s3", "s4"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(names); i++) {
        put(&rig, names[i],
            &(struct queue_settings){.topic = T, .in_flight_max = HF_IN_FLIGHT_MAX});
    }
    assert_int_equal(queue_publish_many(&rig, T, HF_COMMIT_OPERATIONS_MAX), HF_ERR_OK);
    uint64_t published = rig.core.state.position;
    for (size_t i = 0; i < HF_ARRAY_COUNT(names); i++) {
        while (queue_receive(&rig, names[i], HF_RECEIVE_MAX, &batch) == HF_ERR_OK &&
               batch.count > 0) {
        }
    }
    (void)queue_publish(&rig, T, "one", "more", 0);
    put(&rig, "late",
        &(struct queue_settings){.topic = T,
                                 .from = {.kind = HF_SEEK_POSITION, .position = published}});
    uint64_t head = rig.core.state.position;
    queue_settle_time(&rig);
    assert_true(queue_subscription(&rig, "late")->live);
    assert_int_equal(queue_subscription(&rig, "late")->arrived, 1);
    assert_int_equal(rig.core.state.position, head + 1);
    queue_rig_check(&rig);
    queue_rig_release(&rig);
}

/* ---- forged commits ---- */

static struct hf_arena arena;

static struct hf_name name_of(const char *text)
{
    struct hf_name name;
    assert_true(hf_name_make(hf_str_from(text), &arena, &name));
    return name;
}

/* The state is of no use afterwards, but it is whole enough to be released. */
static void expect_damage(struct hf_event *events, uint32_t count)
{
    struct queue_rig rig;
    struct hf_event *list[4];
    queue_rig_init(&rig, CORE_RIG_HOT);
    put(&rig, "old", &(struct queue_settings){.topic = T});
    (void)queue_publish(&rig, T, "k", "word", 0);
    struct hf_state *state = &rig.core.state;
    const struct hf_subscription *old = queue_subscription(&rig, "old");
    struct hf_commit commit = {
        .position = state->position + 1,
        .time_us = state->time_us + 1,
        .origin = HF_ORIGIN_SYSTEM,
        .event_count = count,
        .events = list,
    };
    for (uint32_t i = 0; i < count; i++) {
        list[i] = &events[i];
        struct hf_subscription_change *change = NULL;
        switch ((unsigned)events[i].type) {
        case HF_EVENT_SUBSCRIPTION_PUT:
        case HF_EVENT_SUBSCRIPTION_DELETED:
        case HF_EVENT_SUBSCRIPTION_SOUGHT:
            change = (struct hf_subscription_change *)events[i].subscription;
            change->settings = old->settings;
            change->uid = events[i].type == HF_EVENT_SUBSCRIPTION_PUT ? commit.position : old->uid;
            change->scanned = 1;
            break;
        case HF_EVENT_SUBSCRIPTION_SCANNED:
            events[i].scanned.uid = commit.position;
            break;
        case HF_EVENT_MESSAGES_REDRIVEN:
            events[i].redriven.uid = commit.position;
            break;
        default:
            break;
        }
    }
    struct hf_error error = {0};
    assert_true(hf_state_reserve(state, &commit));
    assert_int_equal(hf_state_apply(state, &commit, &error), HF_ERR_CORRUPT);
    queue_rig_release(&rig);
}

static void nothing_uses_what_the_same_commit_makes(void **state)
{
    (void)state;
    hf_arena_init(&arena);
    struct hf_name old = name_of("old");
    struct hf_name fresh = name_of("fresh");
    struct hf_subscription_change first = {.subscription = fresh, .version = 1};
    struct hf_subscription_change again = first;
    struct hf_subscription_change second = {.subscription = fresh, .version = 2};
    struct hf_subscription_change other = {.subscription = name_of("other"), .version = 1};
    struct hf_subscription_change gone = {.subscription = old, .version = 1};
    struct hf_subscription_change in_its_place = {.subscription = old, .version = 1};
    struct hf_arrival arrival = {.message = {.position = 2}, .key_hash = {{1}}};
    struct hf_event put_first = {.type = HF_EVENT_SUBSCRIPTION_PUT, .subscription = &first};
    struct hf_event scan = {
        .type = HF_EVENT_SUBSCRIPTION_SCANNED,
        .scanned = {
            .subscription = fresh, .from = 1, .through = 2, .count = 1, .arrivals = &arrival}};
    struct hf_event redrive = {.type = HF_EVENT_MESSAGES_REDRIVEN,
                               .redriven = {.subscription = fresh,
                                            .step = HF_REDRIVE_STARTED,
                                            .rate_per_s = 1,
                                            .error_filter = HF_STR("x"),
                                            .next_us = 1}};
    struct hf_event then_scan[] = {put_first, scan};
    struct hf_event then_redrive[] = {put_first, redrive};
    struct hf_event put_second = {.type = HF_EVENT_SUBSCRIPTION_PUT, .subscription = &second};
    struct hf_event then_change[] = {put_first, put_second};
    struct hf_event put_again = {.type = HF_EVENT_SUBSCRIPTION_PUT, .subscription = &again};
    struct hf_event twice[] = {put_first, put_again};
    struct hf_event put_other = {.type = HF_EVENT_SUBSCRIPTION_PUT, .subscription = &other};
    struct hf_event two[] = {put_first, put_other};
    struct hf_event delete_old = {.type = HF_EVENT_SUBSCRIPTION_DELETED, .subscription = &gone};
    struct hf_event put_old = {.type = HF_EVENT_SUBSCRIPTION_PUT, .subscription = &in_its_place};
    struct hf_event renewed[] = {delete_old, put_old};
    expect_damage(then_scan, HF_ARRAY_COUNT(then_scan));
    expect_damage(then_redrive, HF_ARRAY_COUNT(then_redrive));
    expect_damage(then_change, HF_ARRAY_COUNT(then_change));
    expect_damage(twice, HF_ARRAY_COUNT(twice));
    expect_damage(two, HF_ARRAY_COUNT(two));
    expect_damage(renewed, HF_ARRAY_COUNT(renewed));
    hf_arena_release(&arena);
}

/* ---- canonical bytes ---- */

static bool keep(void *context, const void *data, size_t size_bytes)
{
    hf_buffer_bytes(context, data, size_bytes);
    return true;
}

/* A task without a rate would never end, and be divided by. */
static void a_task_has_a_rate(void **state)
{
    (void)state;
    struct queue_rig rig;
    struct hf_buffer bytes[2];
    size_t at = 0;
    queue_rig_init(&rig, CORE_RIG_HOT);
    put(&rig, "s", &(struct queue_settings){.topic = T});
    (void)queue_publish(&rig, T, "k", "word", 0);
    assert_int_equal(queue_receive(&rig, "s", 1, &batch), HF_ERR_OK);
    assert_int_equal(queue_act(&rig, "s", HF_ACT_PARK, &batch.got[0].receipt, "no"), HF_ERR_OK);
    struct hf_subscription *s = (struct hf_subscription *)queue_subscription(&rig, "s");
    for (uint32_t i = 0; i < 2; i++) { /* where does the rate stand? */
        s->redrive =
            (struct hf_redrive_task){.active = true, .rate_per_s = 1 + i, .at = s->parked.first};
        hf_buffer_init(&bytes[i]);
        assert_true(hf_state_save(&rig.core.state, keep, &bytes[i]));
    }
    s->redrive = (struct hf_redrive_task){0};
    while (bytes[0].data[at] == bytes[1].data[at]) {
        at++;
    }
    for (uint8_t rate = 0; rate < 2; rate++) {
        struct hf_state loaded;
        struct hf_state_loader loader;
        struct hf_error error = {0};
        hf_state_init(&loaded, 7);
        hf_state_loader_init(&loader, &loaded);
        bytes[0].data[at] = rate;
        enum hf_err err = hf_state_loader_feed(&loader, bytes[0].data, bytes[0].size_bytes, &error);
        enum hf_err end = hf_state_loader_finish(&loader, &error);
        assert_int_equal(err == HF_ERR_OK ? end : err, rate == 0 ? HF_ERR_CORRUPT : HF_ERR_OK);
        hf_state_release(&loaded);
    }
    hf_buffer_release(&bytes[0]);
    hf_buffer_release(&bytes[1]);
    queue_rig_release(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_messages_as_operations),
        cmocka_unit_test(thousands_of_subscriptions_fall_behind),
        cmocka_unit_test(scans_pass_by_what_brings_nothing),
        cmocka_unit_test(nothing_uses_what_the_same_commit_makes),
        cmocka_unit_test(a_task_has_a_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
