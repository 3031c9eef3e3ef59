/*
 * Delayed messages through a node in the simulated world: they arrive by the timer, in their order and once; also when the
 * node was stopped meanwhile, with and without a checkpoint of them. Data of feature level 1 gets level 2 recorded.
 */
#include <stdio.h>

#include "api/commit_json.h"
#include "base/time_text.h"
#include "core/decide.h"
#include "log/log_file.h"
#include "node/node.h"
#include "sim/world.h"
#include "unit/support.h"

#define TICK_US 100u /* between two rounds of steps */

struct fixture {
    struct hf_world *world;
    struct hf_outside *outside;
    struct hf_node *node;
};

struct asked {
    struct hf_request request;
    struct hf_command command;
    bool done;
};

static void done(struct hf_request *request)
{
    HF_CONTAINER_OF(request, struct asked, request)->done = true;
}

static void drive(struct fixture *f, uint64_t duration_us)
{
    for (uint64_t past_us = 0; past_us < duration_us; past_us += TICK_US) {
        while (hf_node_step(f->node)) {
        }
        hf_world_run(f->world, TICK_US);
    }
    while (hf_node_step(f->node)) {
    }
}

static void start(struct fixture *f)
{
    struct hf_limits limits = hf_limits_default();
    limits.segment_bytes_first = 1u << 16;
    limits.segment_bytes_max = 1u << 18;
    limits.expiries_per_batch_max = 3;
    struct hf_log_file_options log_options = {.directory = "data",
                                              .create = true,
                                              .segment_bytes_first = limits.segment_bytes_first,
                                              .segment_bytes_max = limits.segment_bytes_max};
    struct hf_node_options options = {.outside = f->outside,
                                      .directory = "data",
                                      .name = "test",
                                      .limits = limits,
                                      .checkpoints = true};
    struct hf_error error = {0};
    if (hf_log_file_open(f->outside, &log_options, &options.log, &error) != HF_ERR_OK) {
        fail_msg("%s", error.text);
    }
    f->node = hf_node_new(&options);
    assert_non_null(f->node);
    if (hf_node_start(f->node, false, NULL, NULL, &error) != HF_ERR_OK) {
        fail_msg("%s", error.text);
    }
    drive(f, 1000);
}

static void stop(struct fixture *f)
{
    struct hf_node_status status;
    hf_node_stop(f->node);
    do {
        drive(f, TICK_US);
        hf_node_status(f->node, &status);
    } while (status.phase != HF_NODE_STOPPED);
    hf_world_drain(f->outside);
    hf_node_free(f->node);
}

static struct fixture begin(void)
{
    struct fixture f = {.world = hf_world_new(11)};
    f.outside = hf_world_boot(hf_world_machine_new(f.world, NULL));
    start(&f);
    return f;
}

static void end(struct fixture *f)
{
    hf_world_drain(f->outside);
    hf_node_free(f->node);
    hf_world_free(f->world);
}

static void commit(struct fixture *f, const char *json)
{
    struct asked asked = {.request = {.done = done}};
    struct hf_malformed malformed = {0};
    hf_command_init(&asked.command, HF_COMMAND_COMMIT);
    assert_true(hf_commit_json_decode(hf_str_from(json), &asked.command, &malformed));
    assert_true(hf_command_finish(&asked.command, &malformed));
    asked.request.command = &asked.command;
    assert_int_equal(hf_node_submit(f->node, &asked.request), HF_ERR_OK);
    for (unsigned i = 0; !asked.done && i < 10000; i++) {
        drive(f, TICK_US);
    }
    assert_true(asked.done);
    assert_int_equal(asked.request.answer.code, HF_ERR_OK);
    hf_answer_release(&asked.request.answer);
    hf_command_release(&asked.command);
}

/* One that is to be delivered after that much log time. */
static void publish(struct fixture *f, uint64_t delay_us)
{
    char time[HF_TIME_TEXT_BYTES];
    char json[512];
    hf_time_format(hf_node_state(f->node)->time_us + delay_us, time);
    (void)snprintf(json, sizeof(json),
                   "{\"do\":[{\"op\":\"publish\",\"topic\":\"t\",\"key\":\"k\",\"type\":\"x\","
                   "\"deliver_at\":\"%s\",\"data\":1}]}",
                   time);
    commit(f, json);
}

static size_t waiting(const struct fixture *f)
{
    return hf_node_state(f->node)->queue.delayed.count;
}

static void they_arrive_by_the_timer(void **state)
{
    (void)state;
    struct fixture f = begin();
    publish(&f, 500000);
    publish(&f, 200000);
    assert_int_equal(waiting(&f), 2);
    uint64_t position = hf_node_state(f.node)->position;
    drive(&f, 250000);
    assert_int_equal(waiting(&f), 1);
    assert_int_equal(hf_node_state(f.node)->position, position + 1);
    drive(&f, 300000);
    assert_int_equal(waiting(&f), 0);
    assert_int_equal(hf_node_state(f.node)->position, position + 2);
    drive(&f, 1000000); /* once */
    assert_int_equal(hf_node_state(f.node)->position, position + 2);
    end(&f);
}

/* Ten at once, three a commit. */
static void a_bounded_number_a_commit(void **state)
{
    (void)state;
    struct fixture f = begin();
    for (unsigned i = 0; i < 10; i++) {
        publish(&f, 300000 - i);
    }
    uint64_t position = hf_node_state(f.node)->position;
    assert_int_equal(waiting(&f), 10);
    drive(&f, 400000);
    assert_int_equal(waiting(&f), 0);
    assert_true(hf_node_state(f.node)->position >= position + 4);
    end(&f);
}

static void they_survive_a_restart(void **state)
{
    (void)state;
    for (int checkpoint = 0; checkpoint < 2; checkpoint++) {
        struct fixture f = begin();
        publish(&f, 5000000);
        publish(&f, 1500000);
        if (checkpoint == 1) {
            struct hf_node_status status;
            hf_node_checkpoint(f.node); /* with the next batch */
            commit(&f, "{\"do\":[{\"op\":\"put\",\"document\":\"d\",\"data\":1}]}");
            drive(&f, 200000);
            hf_node_status(f.node, &status);
            assert_true(status.checkpoint_position > 0);
        }
        assert_int_equal(waiting(&f), 2);
        stop(&f);
        hf_world_run(f.world, 1500000); /* one falls due meanwhile */
        start(&f);
        drive(&f, 10000);
        assert_int_equal(waiting(&f), 1);
        hf_state_verify(hf_node_state(f.node));
        drive(&f, 5000000);
        assert_int_equal(waiting(&f), 0);
        end(&f);
    }
}

/* What this program records at its start, once. */
static void the_feature_level_is_recorded(void **state)
{
    (void)state;
    struct fixture f = begin();
    assert_int_equal(hf_node_state(f.node)->feature_level, HF_FEATURE_LEVEL);
    assert_int_equal(HF_FEATURE_LEVEL, 3);
    uint64_t position = hf_node_state(f.node)->position;
    stop(&f);
    start(&f);
    assert_int_equal(hf_node_state(f.node)->feature_level, HF_FEATURE_LEVEL);
    assert_int_equal(hf_node_state(f.node)->position, position + 1); /* the takeover alone */
    end(&f);
}

/* The state alone: level 1 goes on to 2; a level above this program's is refused as unknown, not as damage. */
static void levels_only_rise_to_this_programs(void **state)
{
    (void)state;
    struct hf_state s;
    struct hf_draft draft;
    hf_state_init(&s, 1);
    hf_draft_init(&draft);
    for (uint64_t level = 1; level <= HF_FEATURE_LEVEL + 1; level++) {
        struct hf_system system = {.level = level};
        struct hf_error error = {0};
        assert_int_equal(hf_decide_system(&s, HF_EVENT_FEATURE_LEVEL, &system, level, &draft),
                         HF_DECISION_COMMIT);
        assert_true(hf_state_reserve(&s, &draft.commit));
        assert_int_equal(hf_state_apply(&s, &draft.commit, &error),
                         level <= HF_FEATURE_LEVEL ? HF_ERR_OK : HF_ERR_VERSION);
    }
    assert_int_equal(s.feature_level, HF_FEATURE_LEVEL);
    hf_draft_release(&draft);
    hf_state_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_arrive_by_the_timer),
        cmocka_unit_test(a_bounded_number_a_commit),
        cmocka_unit_test(they_survive_a_restart),
        cmocka_unit_test(the_feature_level_is_recorded),
        cmocka_unit_test(levels_only_rise_to_this_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
