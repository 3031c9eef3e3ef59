/* The state of sagas: events that do not fit, bytes that were damaged, memory that is short, random lives. */
#include "base/alloc.h"
#include "core/saga.h"
#include "unit/saga_rig.h"

#define CALL(name) "{\"name\":\"" name "\",\"action\":{\"url\":\"http://127.0.0.1:9/" name "\"}"
#define UNDO(name) ",\"compensation\":{\"url\":\"http://127.0.0.1:9/undo-" name "\"}"

static const char many[] = "{\"keep_ms\":5000,\"steps\":[" CALL("a") UNDO("a") "}," CALL("b")
    UNDO("b") ",\"after\":[\"a\"],\"timeout_ms\":9000}," CALL("c") UNDO(
        "c") ",\"after\":[\"a\"]},"
             "{\"name\":\"e\",\"after\":[\"b\"],\"action\":{\"event\":{\"type\":\"go\",\"key\":{\"$"
             "\":\"/saga/id\"}}}},{\"name\":\"z\",\"after\":[\"c\"],\"action\":{"
             "\"sleep_ms\":3000}},{\"name\":\"p\",\"after\":[\"e\",\"z\"],\"pivot\":true,"
             "\"action\":{\"url\":\"http://127.0.0.1:9/p\"}},{\"name\":\"q\",\"after\":[\"p\"],"
             "\"action\":{\"do\":[{\"op\":\"put\",\"document\":{\"$\":\"/saga/"
             "id\"},\"data\":{\"$\":\"/steps/a\"}}]}}]}";

/* Every event that evolve must refuse leaves an error and no crash. */
static void events_that_do_not_fit_are_damage(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "many", 1, many), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "many@1", NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 500), HF_ERR_OK);
    const struct hf_saga_changed good = *saga_newest(rig)->events[0]->saga;
    struct hf_saga_changed next = good;
    next.version = good.version + 1;
    next.previous_position = rig->core.state.position;
    next.after_count = 0;
    enum { VERSION, POSITION, UID, STATE, ENDS, LATE_MOVES, FORGETS, PAUSED, STEP, PIVOT, CASES };
    for (int i = 0; i < CASES; i++) {
        struct hf_saga_changed bad = next;
        struct hf_saga_step_after after = {.step = 60};
        bad.version += i == VERSION;
        bad.previous_position += i == POSITION;
        bad.uid += i == UID;
        bad.state = i == STATE || i == ENDS ? HF_SAGA_SUCCEEDED : bad.state;
        bad.late = i == LATE_MOVES;
        bad.compensating = i == LATE_MOVES;
        bad.act = i == FORGETS ? HF_SAGA_ACT_FORGET : bad.act;
        bad.resumes = i == PAUSED ? HF_SAGA_RUNNING : 0;
        bad.after_count = i == STEP;
        bad.after = &after;
        struct hf_event event = {.type = HF_EVENT_SAGA_CHANGED, .saga = &bad};
        if (i == PIVOT) {
            event.type = HF_EVENT_SAGA_STARTED; /* of an id that is there */
        }
        struct hf_event *events[] = {&event};
        struct hf_commit commit = {.position = rig->core.state.position + 1,
                                   .time_us = rig->core.state.time_us + 1,
                                   .origin = HF_ORIGIN_SYSTEM,
                                   .event_count = 1,
                                   .events = events};
        struct hf_error error = {0};
        assert_true(hf_state_reserve(&rig->core.state, &commit));
        assert_int_equal(hf_state_apply(&rig->core.state, &commit, &error), HF_ERR_CORRUPT);
    }
}

static bool collect(void *context, const void *data, size_t size_bytes)
{
    struct hf_buffer *to = context;
    hf_buffer_bytes(to, data, size_bytes);
    return !to->failed;
}

static enum hf_err load(const uint8_t *data, size_t size)
{
    struct hf_state state;
    struct hf_state_loader loader;
    struct hf_error error = {0};
    hf_state_init(&state, 5);
    hf_state_loader_init(&loader, &state);
    enum hf_err err = hf_state_loader_feed(&loader, data, size, &error);
    enum hf_err end = hf_state_loader_finish(&loader, &error);
    err = err == HF_ERR_OK ? end : err;
    if (err == HF_ERR_OK) {
        hf_state_verify(&state);
    }
    hf_state_release(&state);
    return err;
}

/* Cut anywhere or with any byte changed it loads, or says that it is damaged; it never crashes. */
static void damaged_checkpoints_are_refused(void **state)
{
    struct saga_rig *rig = *state;
    assert_int_equal(saga_define(rig, "many", 1, many), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "many@1", "{\"n\":1}"), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "t", many, NULL), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "a", 200), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "t", "a", 422), HF_ERR_OK);
    struct hf_buffer bytes;
    hf_buffer_init(&bytes);
    assert_true(hf_state_save(&rig->core.state, collect, &bytes));
    assert_int_equal(load(bytes.data, bytes.size_bytes), HF_ERR_OK);
    for (size_t i = 0; i < bytes.size_bytes; i += 3) {
        assert_int_equal(load(bytes.data, i), HF_ERR_CORRUPT);
        uint8_t was = bytes.data[i];
        bytes.data[i] = (uint8_t)(was ^ (1u << (i % 8)));
        (void)load(bytes.data, bytes.size_bytes);
        bytes.data[i] = was;
    }
    hf_buffer_release(&bytes);
}

/* The whole life of a saga with every allocation of every reservation failing once. */
static void memory_may_be_short_at_any_point(void **state)
{
    struct saga_rig *rig = *state;
    rig->core.faults = true;
    assert_int_equal(saga_define(rig, "many", 1, many), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "s", "many@1", "{\"n\":1}"), HF_ERR_OK);
    assert_int_equal(saga_start(rig, "t", many, NULL), HF_ERR_OK);
    struct saga_answer answer = {.status = 200, .body = "{\"id\":1}"};
    assert_int_equal(saga_give(rig, "s", "a", &answer), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "c", 200), HF_ERR_OK);
    assert_int_equal(saga_status(rig, "s", "b", 401), HF_ERR_OK);
    assert_int_equal(saga_verb(rig, "s", HF_SAGA_ACT_SKIP, "b"), HF_ERR_OK);
    assert_int_equal(
        saga_commit(rig,
                    "{\"do\":[{\"op\":\"append\",\"stream\":\"s\",\"type\":\"go\",\"data\":1}]}"),
        HF_ERR_OK);
    (void)saga_pass(rig, 4000);
    assert_int_equal(saga_status(rig, "s", "p", 200), HF_ERR_OK);
    assert_int_equal(saga_get(rig, "s")->state, HF_SAGA_SUCCEEDED);
    (void)saga_pass(rig, 6000);
    assert_line(rig, "s", "none");
}

/* splitmix64 */
static uint64_t next_random(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static uint64_t below(uint64_t *seed, uint64_t limit)
{
    return next_random(seed) % limit;
}

/* What must hold of every saga at any time. */
static void check_saga(const struct hf_saga *saga)
{
    const struct hf_saga_definition *definition = &saga->definition->parsed;
    bool undone = false;
    for (uint32_t i = 0; i < definition->step_count; i++) {
        const struct hf_saga_step *step = &saga->steps[i];
        bool back = step->op == HF_SAGA_COMPENSATION;
        undone = undone || back;
        assert_true(!back || saga->compensating);
        if (saga->state == HF_SAGA_SUCCEEDED) {
            assert_true(step->state == HF_STEP_SUCCEEDED || step->state == HF_STEP_SKIPPED);
        }
        if (saga->state == HF_SAGA_COMPENSATED) {
            assert_true(step->state == HF_STEP_COMPENSATED || step->state == HF_STEP_FAILED ||
                        step->state == HF_STEP_SKIPPED || step->state == HF_STEP_PENDING);
        }
        /* Reverse order: nothing behind a step that is being undone is still done. */
        for (uint32_t j = 0; back && j < definition->step_count; j++) {
            if ((definition->steps[j].before >> i & 1) != 0) {
                enum hf_step_state behind = saga->steps[j].state;
                assert_true(behind != HF_STEP_SUCCEEDED && behind != HF_STEP_UNKNOWN &&
                            behind != HF_STEP_RUNNING && behind != HF_STEP_WAITING);
            }
        }
    }
    assert_true(!saga->past_pivot || !undone);
}

static void do_something(struct saga_rig *rig, uint64_t *seed)
{
    static const char *const ids[] = {"s", "t", "u"};
    static const char *const steps[] = {"a", "b", "c", "e", "z", "p", "q"};
    static const uint16_t statuses[] = {200, 200, 200, 200, 202, 409, 422, 425, 500, 503, 401};
    const char *id = ids[below(seed, 3)];
    const char *step = steps[below(seed, 7)];
    const struct hf_saga *saga = saga_get(rig, id);
    char json[128];
    if (saga == NULL) {
        (void)saga_start(rig, id, below(seed, 2) == 0 ? "many@1" : many, "{\"n\":1}");
        return;
    }
    switch (below(seed, 12)) {
    case 0:
        (void)saga_pass(rig, below(seed, 4000));
        return;
    case 1: {
        static const enum hf_saga_act verbs[] = {HF_SAGA_ACT_RETRY,  HF_SAGA_ACT_PAUSE,
                                                 HF_SAGA_ACT_RESUME, HF_SAGA_ACT_RESUME,
                                                 HF_SAGA_ACT_SKIP,   HF_SAGA_ACT_COMPENSATE};
        enum hf_saga_act verb = verbs[below(seed, HF_ARRAY_COUNT(verbs))];
        (void)saga_verb(rig, id, verb, verb == HF_SAGA_ACT_SKIP ? step : NULL);
        return;
    }
    case 2:
        (void)snprintf(
            json, sizeof(json),
            "{\"do\":[{\"op\":\"append\",\"stream\":\"%s\",\"type\":\"go\",\"data\":1}]}", id);
        (void)saga_commit(rig, json);
        return;
    case 3:
        (void)saga_outcome(rig, id, step, below(seed, 2) == 0, NULL, NULL);
        return;
    default: {
        struct saga_answer answer = {
            .status = statuses[below(seed, HF_ARRAY_COUNT(statuses))],
            .attempt = below(seed, 4) == 0 ? 1 : 0,
            .op = below(seed, 6) == 0 ? HF_SAGA_ACTION : 0,
            .body = "{\"x\":1}",
            .location = below(seed, 2) == 0 ? "http://127.0.0.1:9/j" : NULL,
            .poll = saga_step(rig, id, step)->polls && below(seed, 2) == 0,
        };
        if (answer.attempt == 0 && saga_step(rig, id, step)->attempts == 0) {
            answer.attempt = 1;
        }
        (void)saga_give(rig, id, step, &answer);
        return;
    }
    }
}

static void random_lives_keep_the_invariants(void **state)
{
    struct saga_rig *rig = *state;
    uint64_t seed = 20261126;
    rig->quick = true;
    assert_int_equal(saga_define(rig, "many", 1, many), HF_ERR_OK);
    uint64_t ended = 0;
    for (unsigned i = 0; i < 4000; i++) {
        do_something(rig, &seed);
        static const char *const ids[] = {"s", "t", "u"};
        for (size_t s = 0; s < HF_ARRAY_COUNT(ids); s++) {
            const struct hf_saga *saga = saga_get(rig, ids[s]);
            if (saga != NULL) {
                check_saga(saga);
                ended += hf_saga_ended(saga->state);
            }
        }
        if (i % 40 == 0) {
            saga_check(rig);
        }
    }
    assert_true(ended > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAGA_TEST(events_that_do_not_fit_are_damage),
        SAGA_TEST(damaged_checkpoints_are_refused),
        SAGA_TEST(memory_may_be_short_at_any_point),
        SAGA_TEST(random_lives_keep_the_invariants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
