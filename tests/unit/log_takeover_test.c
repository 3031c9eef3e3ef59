/* Takeovers that are killed, and then lose their power: the next one finds a state all the same. */
#include "log/log_file.h"
#include "sim/world.h"

#include "unit/support.h"

#define SEEDS         40
#define POINTS        4 /* operations on the state: two writes, two syncs; one more sync before them */
#define SEGMENT_BYTES (64u << 10)

static struct hf_log *open_log(struct hf_outside *outside)
{
    struct hf_log_file_options options = {.directory = "data",
                                          .create = true,
                                          .segment_bytes_first = SEGMENT_BYTES,
                                          .segment_bytes_max = SEGMENT_BYTES};
    struct hf_log *log;
    struct hf_error error;
    assert_int_equal(hf_log_file_open(outside, &options, &log, &error), HF_ERR_OK);
    return log;
}

/* A process that takes the log over; what stands armed may end it. Returns how the takeover ended. */
static enum hf_err take(struct hf_world_machine *machine, struct hf_error *error)
{
    struct hf_log_head head;
    struct hf_log_recovery recovery;
    struct hf_outside *outside = hf_world_boot(machine);
    struct hf_log *log = open_log(outside);
    *error = (struct hf_error){0};
    enum hf_err code = log->driver->takeover(log, HF_STR("me"), false, &head, &recovery, error);
    log->driver->close(log);
    hf_world_drain(outside);
    return code;
}

/* First a kill -9 at the n-th operation on the state, then a power loss in the m-th sync of the next owner. */
static void killed_then_dark(uint64_t seed, enum hf_world_op op, uint64_t n, uint64_t m)
{
    struct hf_error error;
    struct hf_world *world = hf_world_new(seed);
    struct hf_world_machine *machine = hf_world_machine_new(world, NULL);
    assert_int_equal(take(machine, &error), HF_ERR_OK);
    hf_world_crash(machine, HF_CRASH_KILL);
    hf_world_arm(machine, (struct hf_world_point){.op = op,
                                                  .file = HF_CLASS_STATE,
                                                  .n = n,
                                                  .action = HF_ACT_CRASH_BEFORE,
                                                  .crash = HF_CRASH_KILL});
    (void)take(machine, &error);
    hf_world_crash(machine, HF_CRASH_KILL);
    hf_world_arm(machine, (struct hf_world_point){.op = HF_WORLD_OP_SYNC,
                                                  .file = HF_CLASS_STATE,
                                                  .n = m,
                                                  .action = HF_ACT_CRASH_MIDDLE,
                                                  .crash = HF_CRASH_POWER});
    (void)take(machine, &error);
    hf_world_crash(machine, HF_CRASH_POWER);
    hf_world_disarm(machine);
    if (take(machine, &error) != HF_ERR_OK) {
        fail_msg("seed %llu, %s %llu, then sync %llu: %s", (unsigned long long)seed,
                 hf_world_op_name(op), (unsigned long long)n, (unsigned long long)m, error.text);
    }
    hf_world_free(world);
}

static void test_a_kill_and_a_power_loss_leave_a_state(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        for (uint64_t n = 1; n <= POINTS; n++) {
            for (uint64_t m = 1; m <= POINTS; m++) {
                killed_then_dark(seed, HF_WORLD_OP_SYNC, n, m);
                killed_then_dark(seed, HF_WORLD_OP_WRITE, n, m);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_kill_and_a_power_loss_leave_a_state)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
