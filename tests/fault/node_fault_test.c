/*
 * The node under single faults (M5): in a scenario of start, commits, reads, checkpoints, merges, a
 * stop with a seal and a start again, the n-th file operation of each kind fails, is cut short, finds
 * no space, or the machine stops before, in or behind it; for every n. What follows is an error or full
 * success: every answer, the log, the state after each start and the recorded checkpoints are held
 * against the model, and the node must come back and answer everything.
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "sim/run.h"
#include "unit/support.h"

#define OPERATIONS 220
#define N_MAX      20000u /* more would be a scenario without an end */

static char now_at[160];     /* for whoever dies */
static struct report report; /* of all runs */

static void say_where(int signal_number)
{
    (void)signal_number;
    ssize_t written = write(STDERR_FILENO, now_at, strlen(now_at));
    (void)written;
}

/* Runs the scenario until its n-th operation does not exist any more; returns the count of runs. */
static unsigned every_n(enum hf_world_op op, enum hf_world_action action, enum hf_crash_kind crash)
{
    char failure[RUN_FAILURE_MAX];
    unsigned wrong = 0;
    unsigned n = 1;
    for (; n < N_MAX; n++) {
        struct hf_world_point point = {
            .op = op, .file = HF_CLASS_COUNT, .n = n, .action = action, .crash = crash};
        struct run_plan plan = {
            .seed = 20, .driver = RUN_DRIVER_FILE, .only = &point, .operations = OPERATIONS};
        (void)snprintf(now_at, sizeof(now_at), "at %s %u: %s\n", hf_world_op_name(op), n,
                       hf_world_action_name(action));
        if (!run_whole(&plan, &report, failure)) {
            (void)fprintf(stderr, "# %s %u, %s: %s\n", hf_world_op_name(op), n,
                          hf_world_action_name(action), failure);
            wrong++;
        }
        if (!plan.met) {
            break;
        }
    }
    assert_int_equal(wrong, 0);
    assert_true(n < N_MAX);
    return n;
}

static void test_each(enum hf_world_action action, enum hf_crash_kind crash)
{
    unsigned runs = 0;
    for (int op = 0; op < HF_WORLD_OP_COUNT; op++) {
        runs += every_n((enum hf_world_op)op, action, crash);
    }
    (void)fprintf(stderr, "# %s: %u runs\n", hf_world_action_name(action), runs);
    assert_true(runs > 100);
}

static void test_fail(void **state)
{
    (void)state;
    test_each(HF_ACT_FAIL, HF_CRASH_KILL);
}

static void test_short_write(void **state)
{
    (void)state;
    assert_true(every_n(HF_WORLD_OP_WRITE, HF_ACT_SHORT, HF_CRASH_KILL) > 30);
}

static void test_no_space(void **state)
{
    (void)state;
    unsigned runs = 0;
    static const enum hf_world_op ops[] = {HF_WORLD_OP_CREATE, HF_WORLD_OP_WRITE,
                                           HF_WORLD_OP_TRUNCATE, HF_WORLD_OP_RENAME,
                                           HF_WORLD_OP_MAKE_DIRECTORY};
    for (size_t i = 0; i < HF_ARRAY_COUNT(ops); i++) {
        runs += every_n(ops[i], HF_ACT_NO_SPACE, HF_CRASH_KILL);
    }
    assert_true(runs > 30);
}

static void test_crash_before(void **state)
{
    (void)state;
    test_each(HF_ACT_CRASH_BEFORE, HF_CRASH_POWER);
}

static void test_crash_middle(void **state)
{
    (void)state;
    unsigned runs = every_n(HF_WORLD_OP_WRITE, HF_ACT_CRASH_MIDDLE, HF_CRASH_POWER) +
                    every_n(HF_WORLD_OP_SYNC, HF_ACT_CRASH_MIDDLE, HF_CRASH_POWER);
    assert_true(runs > 50);
}

static void test_crash_after(void **state)
{
    (void)state;
    test_each(HF_ACT_CRASH_AFTER, HF_CRASH_KILL);
}

/* What was meant to be met was met. */
static void test_scenario_is_whole(void **state)
{
    (void)state;
    assert_true(report.system_commits[HF_EVENT_CHECKPOINT] > 0);
    assert_true(report.checkpoints_compared > 0);
    assert_true(report.merges > 0);
    assert_true(report.fetches > 0);
    assert_true(report.rebuilds > 0);
    assert_true(report.starts_from_checkpoint > 0);
    assert_true(report.starts_sealed > 0);
    assert_true(report.phases[HF_NODE_FAILED] > 0);
    assert_true(report.phases[HF_NODE_STOPPED] > 0);
    assert_true(report.undecided[HF_ERR_READ_ONLY] > 0);
    const struct hf_naive_counts *queue = &report.model.queue;
    assert_true(queue->published > 0 && queue->published_delayed > 0 && queue->due_by_timer > 0);
    assert_true(queue->created > 0 && queue->scanned_arrivals > 0 && queue->arrived > 0);
    assert_true(queue->deliveries > 0 && queue->acked > 0 && queue->nacked > 0);
    assert_true(queue->parked_key + queue->parked_message + queue->parked_alone > 0);
}

int main(void)
{
    (void)signal(SIGABRT, say_where);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fail),
        cmocka_unit_test(test_short_write),
        cmocka_unit_test(test_no_space),
        cmocka_unit_test(test_crash_before),
        cmocka_unit_test(test_crash_middle),
        cmocka_unit_test(test_crash_after),
        cmocka_unit_test(test_scenario_is_whole),
    };
    return cmocka_run_group_tests_name("node_fault", tests, NULL, NULL);
}
