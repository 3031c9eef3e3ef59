/* Alerts in the core: raised once, cleared once, in every state file, on the feed. The seed is printed; SEED=n replays. */
#include <stdio.h>
#include <stdlib.h>

#include "core/decide.h"
#include "core/feed_event.h"
#include "core/filter.h"
#include "core/read.h"
#include "unit/core_rig.h"
#include "unit/support.h"

#define SUBJECTS 6
#define STEPS    3000

static struct hf_alert_change change_of(bool clear, enum hf_alert_kind kind, const char *subject,
                                        const char *text, uint64_t since_us)
{
    return (struct hf_alert_change){.clear = clear,
                                    .kind = kind,
                                    .subject = hf_str_from(subject),
                                    .text = hf_str_from(text),
                                    .since_us = since_us};
}

static enum hf_decision run(struct core_rig *rig, const struct hf_alert_change *changes,
                            uint32_t count, uint64_t now_us)
{
    struct hf_command command;
    hf_command_init(&command, HF_COMMAND_ALERTS);
    command.alerts = changes;
    command.alert_count = count;
    enum hf_decision decision = core_rig_run(rig, &command, now_us);
    hf_command_release(&command);
    return decision;
}

static bool run_one(struct core_rig *rig, bool clear, enum hf_alert_kind kind, const char *subject,
                    uint64_t now_us)
{
    struct hf_alert_change change = change_of(clear, kind, subject, "because", now_us / 2);
    enum hf_decision decision = run(rig, &change, 1, now_us);
    assert_true(decision == HF_DECISION_COMMIT || decision == HF_DECISION_ANSWER);
    return decision == HF_DECISION_COMMIT;
}

static void an_alert_is_raised_once_and_cleared_once(void **state)
{
    (void)state;
    struct core_rig rig;
    core_rig_init(&rig, CORE_RIG_HOT);
    struct hf_alerts *alerts = &rig.state.alerts;
    assert_false(run_one(&rig, true, HF_ALERT_DISK_LOW, "disk", 10));
    assert_int_equal(rig.state.position, 0);
    assert_true(run_one(&rig, false, HF_ALERT_DISK_LOW, "disk", 20));
    assert_false(run_one(&rig, false, HF_ALERT_DISK_LOW, "disk", 30));
    assert_int_equal(rig.state.position, 1);
    const struct hf_alert *alert = hf_alerts_find(alerts, HF_ALERT_DISK_LOW, HF_STR("disk"));
    assert_non_null(alert);
    assert_int_equal(alert->since_us, 10);
    assert_int_equal(alert->raised_at_us, 20);
    assert_int_equal(alert->raised_position, 1);
    assert_null(hf_alerts_find(alerts, HF_ALERT_LOG_SLOW, HF_STR("disk")));
    assert_null(hf_alerts_find(alerts, HF_ALERT_DISK_LOW, HF_STR("dis")));
    assert_int_equal(rig.draft.commit.event_count, 0); /* of the second raise */
    assert_true(run_one(&rig, true, HF_ALERT_DISK_LOW, "disk", 40));
    assert_int_equal(rig.draft.commit.origin, HF_ORIGIN_SYSTEM);
    assert_false(run_one(&rig, true, HF_ALERT_DISK_LOW, "disk", 50));
    assert_int_equal(alerts->raised_count, 0);
    assert_int_equal(alerts->cleared_count, 1);
    assert_int_equal(alerts->cleared[0]->cleared_at_us, 40);
    assert_int_equal(alerts->cleared[0]->raised_position, 1);
    assert_int_equal(alerts->cleared[0]->cleared_position, 2);
    core_rig_check(&rig);
    core_rig_reload(&rig);
    core_rig_release(&rig);
}

/* The same name several times in one command; a beginning that is later than the commit. */
static void a_command_of_several_changes_is_taken_in_order(void **state)
{
    (void)state;
    struct core_rig rig;
    core_rig_init(&rig, CORE_RIG_HOT);
    struct hf_alert_change twice[] = {
        change_of(false, HF_ALERT_DEAD_LETTER, "subscriptions/a", "1 dead letter", 900),
        change_of(false, HF_ALERT_DEAD_LETTER, "subscriptions/a", "2 dead letters", 5),
        change_of(true, HF_ALERT_DEAD_LETTER, "subscriptions/a", "none", 0),
        change_of(false, HF_ALERT_DEAD_LETTER, "subscriptions/b", "", 7),
    };
    assert_int_equal(run(&rig, twice, HF_ARRAY_COUNT(twice), 100), HF_DECISION_COMMIT);
    assert_int_equal(rig.state.position, 1);
    assert_int_equal(rig.state.alerts.raised_count, 2);
    const struct hf_alert *first = rig.state.alerts.raised[0];
    assert_true(hf_str_equal(first->text, HF_STR("1 dead letter")));
    assert_int_equal(first->since_us, first->raised_at_us);
    struct hf_alert_change again[] = {
        change_of(true, HF_ALERT_DEAD_LETTER, "subscriptions/a", "none", 0),
        change_of(false, HF_ALERT_DEAD_LETTER, "subscriptions/a", "3 dead letters", 150),
    };
    assert_int_equal(run(&rig, again, HF_ARRAY_COUNT(again), 200), HF_DECISION_COMMIT);
    assert_int_equal(rig.state.position, 2);
    assert_int_equal(rig.state.alerts.raised_count, 2);
    assert_int_equal(rig.state.alerts.raised[0]->since_us, 150);
    assert_int_equal(rig.state.alerts.cleared_count, 1);
    core_rig_check(&rig);
    core_rig_release(&rig);
}

static void what_is_too_much_is_left_out(void **state)
{
    (void)state;
    struct core_rig rig;
    core_rig_init(&rig, CORE_RIG_HOT);
    char subject[32];
    for (unsigned i = 0; i < HF_ALERTS_MAX; i++) {
        (void)snprintf(subject, sizeof(subject), "sagas/s%u", i);
        assert_true(run_one(&rig, false, HF_ALERT_SAGA_PARKED, subject, 100 + i));
    }
    assert_false(run_one(&rig, false, HF_ALERT_DISK_LOW, "disk", 1000));
    assert_int_equal(rig.state.alerts.raised_count, HF_ALERTS_MAX);
    core_rig_reload(&rig);
    for (unsigned i = 0; i < HF_ALERTS_CLEARED_MAX + 10; i++) {
        (void)snprintf(subject, sizeof(subject), "sagas/s%u", i);
        assert_true(run_one(&rig, true, HF_ALERT_SAGA_PARKED, subject, 2000 + i));
    }
    assert_true(run_one(&rig, false, HF_ALERT_DISK_LOW, "disk", 3000));
    assert_int_equal(rig.state.alerts.cleared_count, HF_ALERTS_CLEARED_MAX);
    assert_true(hf_str_equal(rig.state.alerts.cleared[0]->subject, HF_STR("sagas/s10")));
    core_rig_check(&rig);
    core_rig_reload(&rig);
    core_rig_release(&rig);
}

/* ---- against a naive model ---- */

struct model {
    bool raised[HF_ALERT_KIND_COUNT][SUBJECTS];
    uint64_t position[HF_ALERT_KIND_COUNT][SUBJECTS];
    uint64_t raised_count, cleared_count; /* ever */
};

static uint64_t draw(uint64_t *seed, uint64_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (*seed >> 33) % below;
}

static void compare(const struct core_rig *rig, const struct model *model)
{
    const struct hf_alerts *alerts = &rig->state.alerts;
    uint32_t count = 0;
    char subject[8];
    for (unsigned kind = 1; kind < HF_ALERT_KIND_COUNT; kind++) {
        for (unsigned i = 0; i < SUBJECTS; i++) {
            (void)snprintf(subject, sizeof(subject), "s%u", i);
            const struct hf_alert *alert =
                hf_alerts_find(alerts, (enum hf_alert_kind)kind, hf_str_from(subject));
            assert_int_equal(alert != NULL, model->raised[kind][i]);
            assert_true(alert == NULL || alert->raised_position == model->position[kind][i]);
            count += alert != NULL;
        }
    }
    assert_int_equal(count, alerts->raised_count);
}

static void every_history_is_as_the_model_says(void **state)
{
    (void)state;
    const char *given = getenv("SEED");
    uint64_t seed = given == NULL ? 7 : strtoull(given, NULL, 10);
    print_message("SEED=%llu\n", (unsigned long long)seed);
    struct core_rig rig;
    struct model model = {0};
    core_rig_init(&rig, CORE_RIG_COLD);
    rig.faults = true;
    for (int step = 0; step < STEPS; step++) {
        unsigned kind = 1 + (unsigned)draw(&seed, HF_ALERT_KIND_COUNT - 1);
        unsigned i = (unsigned)draw(&seed, SUBJECTS);
        bool clear = draw(&seed, 2) == 0;
        char subject[8];
        (void)snprintf(subject, sizeof(subject), "s%u", i);
        bool changes = model.raised[kind][i] == clear;
        bool recorded =
            run_one(&rig, clear, (enum hf_alert_kind)kind, subject, 1000 + 10 * (uint64_t)step);
        assert_int_equal(recorded, changes);
        model.raised[kind][i] = !clear;
        if (changes && !clear) {
            model.position[kind][i] = rig.state.position;
            model.raised_count++;
        }
        model.cleared_count += changes && clear;
        if (step % 97 == 0) {
            compare(&rig, &model);
            core_rig_check(&rig);
            core_rig_reload(&rig);
        }
    }
    compare(&rig, &model);
    assert_true(model.raised_count > 500 && model.cleared_count > 500);
    core_rig_release(&rig);
}

/* ---- bytes ---- */

static bool to_buffer(void *context, const void *data, size_t size_bytes)
{
    struct hf_buffer *buffer = context;
    hf_buffer_bytes(buffer, data, size_bytes);
    return !buffer->failed;
}

static enum hf_err load(const uint8_t *data, size_t size, struct hf_state *state)
{
    struct hf_state_loader loader;
    hf_state_init(state, 1);
    hf_state_loader_init(&loader, state);
    enum hf_err err = hf_state_loader_feed(&loader, data, size, NULL);
    enum hf_err finished = hf_state_loader_finish(&loader, NULL);
    return err == HF_ERR_OK ? finished : err;
}

/* What was damaged is refused, or is another state that saves as it was loaded. */
static void damaged_states_are_refused(void **state)
{
    (void)state;
    struct core_rig rig;
    core_rig_init(&rig, CORE_RIG_HOT);
    assert_true(run_one(&rig, false, HF_ALERT_DISK_LOW, "disk", 10));
    assert_true(run_one(&rig, false, HF_ALERT_DEAD_LETTER, "subscriptions/a", 20));
    assert_true(run_one(&rig, true, HF_ALERT_DISK_LOW, "disk", 30));
    assert_true(run_one(&rig, false, HF_ALERT_LOG_SLOW, "log", 40));
    struct hf_buffer bytes;
    struct hf_buffer again;
    hf_buffer_init(&bytes);
    hf_buffer_init(&again);
    assert_true(hf_state_save(&rig.state, to_buffer, &bytes));
    unsigned refused = 0;
    for (size_t i = 0; i < bytes.size_bytes; i++) {
        for (unsigned flip = 1; flip < 256; flip = flip << 1 | 1) {
            struct hf_state damaged;
            bytes.data[i] ^= (uint8_t)flip;
            enum hf_err err = load(bytes.data, bytes.size_bytes, &damaged);
            assert_true(err == HF_ERR_OK || err == HF_ERR_CORRUPT);
            if (err == HF_ERR_OK) {
                hf_buffer_clear(&again);
                assert_true(hf_state_save(&damaged, to_buffer, &again));
                assert_int_equal(again.size_bytes, bytes.size_bytes);
                assert_memory_equal(again.data, bytes.data, bytes.size_bytes);
                hf_state_verify(&damaged);
            }
            refused += err != HF_ERR_OK;
            hf_state_release(&damaged);
            bytes.data[i] ^= (uint8_t)flip;
        }
    }
    assert_true(refused > bytes.size_bytes);
    hf_buffer_release(&bytes);
    hf_buffer_release(&again);
    core_rig_release(&rig);
}

/* ---- frozen ---- */

static void put_hex(struct hf_buffer *text, const char *name, const uint8_t *data, size_t size)
{
    hf_buffer_format(text, "%s ", name);
    for (size_t i = 0; i < size; i++) {
        hf_buffer_format(text, "%02x", data[i]);
    }
    hf_buffer_text(text, "\n");
}

/* What an older program stored means the same for ever: commits and state of a fixed history. GOLDEN_WRITE=1 writes them anew. */
static void stored_bytes_are_as_they_always_were(void **state)
{
    (void)state;
    static char wanted[8192];
    struct core_rig rig;
    struct hf_buffer text;
    struct hf_buffer bytes;
    core_rig_init(&rig, CORE_RIG_HOT);
    hf_buffer_init(&text);
    hf_buffer_init(&bytes);
    for (unsigned kind = 1; kind <= HF_ALERT_LOG_SLOW; kind++) { /* those of that time */
        assert_true(run_one(&rig, false, (enum hf_alert_kind)kind, "sagas/s", 1000 * kind));
    }
    assert_true(run_one(&rig, true, HF_ALERT_DEAD_LETTER, "sagas/s", 50000));
    for (uint64_t position = 1; position <= rig.state.position; position++) {
        const struct hf_shared_bytes *frame = core_rig_frame(&rig, position);
        put_hex(&text, "commit", frame->data, frame->size_bytes);
    }
    assert_true(hf_state_save(&rig.state, to_buffer, &bytes));
    put_hex(&text, "state", bytes.data, bytes.size_bytes);
    bool writing = getenv("GOLDEN_WRITE") != NULL;
    FILE *golden = fopen(HF_GOLDEN_DIR "/alerts.txt", writing ? "w" : "r");
    assert_non_null(golden);
    if (writing) {
        assert_int_equal(fwrite(text.data, 1, text.size_bytes, golden), text.size_bytes);
    } else {
        assert_int_equal(fread(wanted, 1, sizeof(wanted), golden), text.size_bytes);
        assert_memory_equal(text.data, wanted, text.size_bytes);
    }
    assert_int_equal(fclose(golden), 0);
    hf_buffer_release(&text);
    hf_buffer_release(&bytes);
    core_rig_release(&rig);
}

/* An event that contradicts the state is damage, whatever its bytes. */
static void events_that_do_not_fit_are_damage(void **state)
{
    (void)state;
    static const struct hf_alert_event events[] = {
        {HF_ALERT_DISK_LOW, {"disk", 4}, {"", 0}, 5, 0},   /* raised already */
        {HF_ALERT_LOG_SLOW, {"log", 3}, {"", 0}, 5000, 0}, /* begins after its commit */
        {HF_ALERT_LOG_SLOW, {"log", 3}, {"", 0}, 5, 1},    /* clears what is not raised */
        {HF_ALERT_DISK_LOW, {"disk", 4}, {"", 0}, 5, 7},   /* raised elsewhere */
        {HF_ALERT_DISK_LOW, {"disk", 4}, {"", 0}, 6, 1},   /* since another time */
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(events); i++) {
        struct core_rig rig;
        core_rig_init(&rig, CORE_RIG_HOT);
        assert_true(run_one(&rig, false, HF_ALERT_DISK_LOW, "disk", 10));
        struct hf_event event = {
            .type = i < 2 ? HF_EVENT_ALERT_RAISED : HF_EVENT_ALERT_CLEARED,
            .operation = HF_NO_OPERATION,
            .alert = events[i],
        };
        struct hf_event *list[] = {&event};
        struct hf_commit commit = {.position = 2,
                                   .time_us = 20,
                                   .origin = HF_ORIGIN_SYSTEM,
                                   .event_count = 1,
                                   .events = list};
        assert_true(hf_state_reserve(&rig.state, &commit));
        assert_int_equal(hf_state_apply(&rig.state, &commit, NULL), HF_ERR_CORRUPT);
        core_rig_release(&rig);
    }
}

/* ---- the feed ---- */

static void only_filters_that_name_their_type_get_them(void **state)
{
    (void)state;
    struct hf_event event = {.type = HF_EVENT_ALERT_RAISED, .operation = HF_NO_OPERATION};
    event.alert = (struct hf_alert_event){.kind = HF_ALERT_DEAD_LETTER,
                                          .subject = HF_STR("subscriptions/mailer")};
    struct hf_event *list[] = {&event};
    struct hf_commit commit = {.position = 3, .event_count = 1, .events = list};
    struct hf_feed_event feed;
    hf_feed_event_of(&commit, 0, &feed);
    assert_true(hf_str_equal(feed.type, HF_STR("system.alert.raised")));
    assert_true(feed.system);
    static const struct {
        const char *type; /* NULL: none */
        const char *prefix;
        bool takes;
    } rows[] = {
        {NULL, NULL, false},
        {"system.alert.*", NULL, true},
        {"system.*", NULL, true},
        {"system.alert.raised", NULL, true},
        {"system.alert.cleared", NULL, false},
        {"order.*", NULL, false},
        {"system.alert.*", "alerts/dead", true},
        {"system.alert.*", "alerts/dead_letter", true},
        {"system.alert.*", "alerts/disk_low", false},
        {NULL, "alerts/dead", false},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        struct hf_arena arena;
        hf_arena_init(&arena);
        struct hf_filter filter;
        struct hf_malformed malformed;
        struct hf_str type = rows[i].type == NULL ? HF_STR_NONE : hf_str_from(rows[i].type);
        struct hf_filter_fields fields = {
            .types = &type,
            .type_count = rows[i].type != NULL,
            .prefix = rows[i].prefix == NULL ? HF_STR_NONE : hf_str_from(rows[i].prefix),
        };
        assert_true(hf_filter_make(&fields, &arena, &filter, &malformed));
        assert_int_equal(hf_filter_matches(&filter, &feed), rows[i].takes);
        assert_int_equal(hf_filter_arrives(&filter, &feed), rows[i].takes);
        hf_arena_release(&arena);
    }
}

static void texts_are_for_people_and_headers(void **state)
{
    (void)state;
    char longest[HF_ALERT_TEXT_BYTES_MAX + 1];
    memset(longest, 'x', sizeof(longest));
    struct hf_str text = {longest, HF_ALERT_TEXT_BYTES_MAX};
    assert_true(hf_alert_texts_valid(HF_STR("a"), text));
    text.len++;
    assert_false(hf_alert_texts_valid(HF_STR("a"), text));
    struct hf_str subject = {longest, HF_ALERT_SUBJECT_BYTES_MAX};
    assert_true(hf_alert_texts_valid(subject, HF_STR("")));
    subject.len++;
    assert_false(hf_alert_texts_valid(subject, HF_STR("")));
    assert_false(hf_alert_texts_valid(HF_STR(""), HF_STR("")));
    assert_false(hf_alert_texts_valid(HF_STR("a b"), HF_STR("")));
    assert_false(hf_alert_texts_valid(HF_STR("a\"b"), HF_STR("")));
    assert_false(hf_alert_texts_valid(HF_STR("a"), HF_STR("two\nlines")));
    assert_true(hf_alert_texts_valid(HF_STR("a"), HF_STR("Σ debits")));
    for (unsigned kind = 1; kind < HF_ALERT_KIND_COUNT; kind++) {
        const char *wire = hf_alert_wire((enum hf_alert_kind)kind);
        assert_int_equal(hf_alert_kind_from_wire(hf_str_from(wire)), kind);
    }
    assert_int_equal(hf_alert_kind_from_wire(HF_STR("none")), HF_ALERT_NONE);
    assert_int_equal(HF_ALERT_MEMORY_LOW, 10); /* as stored */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_alert_is_raised_once_and_cleared_once),
        cmocka_unit_test(a_command_of_several_changes_is_taken_in_order),
        cmocka_unit_test(what_is_too_much_is_left_out),
        cmocka_unit_test(every_history_is_as_the_model_says),
        cmocka_unit_test(damaged_states_are_refused),
        cmocka_unit_test(stored_bytes_are_as_they_always_were),
        cmocka_unit_test(events_that_do_not_fit_are_damage),
        cmocka_unit_test(only_filters_that_name_their_type_get_them),
        cmocka_unit_test(texts_are_for_people_and_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
