/*
 * The saga runner on a real node in the simulated world: participants that answer anyhow, and a process that dies again and again.
 * Every saga ends, and each participant's books agree with how it ended.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "core/saga_op.h"
#include "core/state_priv.h"
#include "deliver/caller.h"
#include "deliver/runner.h"
#include "log/log_file.h"
#include "sim/sim_random.h"
#include "sim/world.h"
#include "unit/support.h"

#define TICK_US   200u
#define SAGAS     40u
#define STEPS     3u
#define SEEDS     6u
#define TICKS_MAX 2000000u
#define CALLS_MAX 256u

static const char definition[] =
    "{\"steps\":["
    "{\"name\":\"s0\",\"action\":{\"url\":\"http://127.0.0.1:1001/0\",\"body\":{\"n\":{\"$\":\"/"
    "input/n\"}}},"
    "\"compensation\":{\"url\":\"http://127.0.0.1:1001/"
    "u0\"},\"retry\":{\"backoff_first_ms\":100,\"backoff_max_ms\":300}},"
    "{\"name\":\"s1\",\"after\":[\"s0\"],\"action\":{\"url\":\"http://127.0.0.1:1002/"
    "1\",\"body\":{\"$\":\"/steps/s0\"}},"
    "\"compensation\":{\"url\":\"http://127.0.0.1:1002/"
    "u1\"},\"retry\":{\"backoff_first_ms\":100,\"backoff_max_ms\":300}},"
    "{\"name\":\"s2\",\"after\":[\"s1\"],\"action\":{\"url\":\"http://127.0.0.1:1001/2\"},"
    "\"compensation\":{\"url\":\"http://127.0.0.1:1001/"
    "u2\"},\"retry\":{\"backoff_first_ms\":100,\"backoff_max_ms\":300}}]}";

/* What a participant keeps of a step, as behind a barrier. */
struct kept {
    unsigned action, compensation; /* status that is the answer for ever; 0: none yet */
};

struct out {
    struct hf_call *call;
    uint64_t answer_us; /* world's time */
};

struct fixture {
    uint64_t seed;
    struct hf_sim_random random;
    struct hf_world *world;
    struct hf_world_machine *machine;
    struct hf_outside *outside;
    struct hf_node *node;
    struct hf_targets *targets;
    struct hf_runner *runner;
    struct hf_caller caller;
    struct out out[CALLS_MAX];
    size_t out_count;
    struct kept kept[SAGAS][STEPS];
    bool started[SAGAS];
    uint64_t calls, crashes, refused;
};

/* ---- participants ---- */

static void start_call(void *context, struct hf_call *call)
{
    struct fixture *f = context;
    assert_true(f->out_count < CALLS_MAX);
    f->out[f->out_count++] = (struct out){call, hf_world_now_us(f->world) +
                                                    hf_sim_random_between(&f->random, 100, 20000)};
    f->calls++;
}

static void cancel_call(void *context, struct hf_call *call)
{
    struct fixture *f = context;
    for (size_t i = 0; i < f->out_count; i++) {
        if (f->out[i].call == call) {
            f->out[i] = f->out[--f->out_count];
            return;
        }
    }
    fail();
}

static struct hf_str header(const struct hf_call *call, const char *name)
{
    for (size_t i = 0; i < call->header_count; i++) {
        if (hf_str_equal(call->headers[i].name, hf_str_from(name))) {
            return call->headers[i].value;
        }
    }
    fail();
    return HF_STR_NONE;
}

/* The status of an effect, which stays; and now and then an answer that does not tell it. */
static unsigned answer_of(struct fixture *f, const struct hf_call *call)
{
    size_t saga = (size_t)strtoull(header(call, "Saga-Id").ptr + 1, NULL, 10);
    size_t step = (size_t)(header(call, "Saga-Step").ptr[1] - '0');
    bool action = hf_str_equal(header(call, "Saga-Op"), HF_STR("action"));
    struct kept *kept = &f->kept[saga][step];
    uint64_t mood = hf_sim_random_below(&f->random, 100);
    assert_true(saga < SAGAS && step < STEPS);
    /* A step is asked for only when the ones before it stand. */
    for (size_t i = 0; action && kept->action == 0 && i < step; i++) {
        assert_int_equal(f->kept[saga][i].action, 200);
    }
    if (mood < 10) {
        return 503;
    }
    if (!action) {
        kept->action = kept->action == 0 ? 410 : kept->action;
        kept->compensation = 200;
    } else if (kept->action == 0) {
        kept->action = mood < 20 ? 422 : 200;
        f->refused += mood < 20;
    }
    return mood >= 20 && mood < 30 ? 500 : action ? kept->action : kept->compensation;
}

static void answer_some(struct fixture *f)
{
    for (size_t i = 0; i < f->out_count;) {
        struct hf_call *call = f->out[i].call;
        if (f->out[i].answer_us > hf_world_now_us(f->world)) {
            i++;
            continue;
        }
        f->out[i] = f->out[--f->out_count];
        unsigned status = answer_of(f, call);
        bool lost = hf_sim_random_below(&f->random, 20) == 0;
        call->error = lost ? HF_CALL_TIMED_OUT : HF_CALL_COMPLETE;
        call->status = lost ? 0 : (uint16_t)status;
        call->answer = status == 200 && !lost ? HF_STR("{\"done\":1}") : HF_STR_NONE;
        call->done(call);
    }
}

/* ---- the process ---- */

static void wake(void *context)
{
    (void)context; /* it is stepped in any case */
}

static void boot(struct fixture *f)
{
    struct hf_limits limits = hf_limits_default();
    limits.segment_bytes_first = limits.segment_bytes_max = 1u << 16;
    limits.tail_bytes_max = 20000; /* much of it is cold */
    limits.checkpoint_every_bytes = 1u << 17;
    struct hf_log_file_options log_options = {.directory = "data",
                                              .create = true,
                                              .segment_bytes_first = limits.segment_bytes_first,
                                              .segment_bytes_max = limits.segment_bytes_max};
    struct hf_target_limits target_limits = hf_target_limits_default();
    struct hf_error error = {0};
    target_limits.in_flight_max = 8;
    target_limits.open_max_us = target_limits.open_first_us;
    f->outside = hf_world_boot(f->machine);
    struct hf_node_options options = {.outside = f->outside,
                                      .directory = "data",
                                      .name = "test",
                                      .limits = limits,
                                      .checkpoints = true};
    assert_int_equal(hf_log_file_open(f->outside, &log_options, &options.log, &error), HF_ERR_OK);
    f->node = hf_node_new(&options);
    assert_non_null(f->node);
    assert_int_equal(hf_node_start(f->node, false, NULL, NULL, &error), HF_ERR_OK);
    f->targets = hf_targets_new(&target_limits, f->seed);
    struct hf_runner_options runner_options = {
        .node = hf_runner_node_of(f->node),
        .caller = &f->caller,
        .targets = f->targets,
        .outside = f->outside,
        .callback_base = HF_STR("http://127.0.0.1:7070"),
        .wake = wake,
        .limits = hf_runner_limits_default(),
    };
    f->runner = hf_runner_new(&runner_options);
    assert_true(f->targets != NULL && f->runner != NULL);
}

static void crash(struct fixture *f, enum hf_crash_kind kind)
{
    hf_world_crash(f->machine, kind);
    hf_world_drain(f->outside);
    hf_node_free(f->node);
    hf_runner_free(f->runner);
    hf_targets_free(f->targets);
    assert_int_equal(f->out_count, 0);
    f->crashes++;
}

static void tick(struct fixture *f)
{
    while (hf_node_step(f->node)) {
    }
    uint64_t now_us = f->outside->monotonic_us(f->outside);
    while (hf_runner_step(f->runner, now_us)) {
        (void)hf_targets_run(f->targets, now_us, 16);
    }
    (void)hf_targets_run(f->targets, now_us, 16);
    hf_runner_verify(f->runner);
    answer_some(f);
    hf_world_run(f->world, TICK_US);
}

/* ---- commands ---- */

struct asked {
    struct hf_request request;
    struct hf_command command;
    bool done;
};

static void done(struct hf_request *request)
{
    HF_CONTAINER_OF(request, struct asked, request)->done = true;
}

/* One of its own: it has to come through. */
static void submit(struct fixture *f, const struct hf_saga_op_fields *fields)
{
    struct asked asked = {.request = {.done = done, .command = &asked.command}};
    struct hf_malformed malformed = {0};
    hf_command_init(&asked.command, HF_COMMAND_COMMIT);
    assert_true(hf_command_add_saga_op(&asked.command, fields, &malformed));
    assert_true(hf_command_finish(&asked.command, &malformed));
    assert_int_equal(hf_node_submit(f->node, &asked.request), HF_ERR_OK);
    for (size_t i = 0; !asked.done; i++) {
        assert_true(i < 100000);
        tick(f);
    }
    assert_int_equal(asked.request.answer.code, HF_ERR_OK);
    hf_answer_release(&asked.request.answer);
    hf_command_release(&asked.command);
}

static void start_saga(struct fixture *f, size_t number)
{
    char name[16];
    char input[32];
    char key[16];
    struct asked asked = {.request = {.done = done, .command = &asked.command}};
    struct hf_malformed malformed = {0};
    (void)snprintf(name, sizeof(name), "w%zu", number);
    (void)snprintf(key, sizeof(key), "k%zu", number);
    (void)snprintf(input, sizeof(input), "{\"n\":%zu}", number);
    struct hf_op_fields fields = {.op = HF_STR("start_saga"),
                                  .saga = hf_str_from(name),
                                  .definition = HF_STR("order@1"),
                                  .input = hf_str_from(input)};
    hf_command_init(&asked.command, HF_COMMAND_COMMIT);
    assert_true(hf_command_set_key(&asked.command, hf_str_from(key), &malformed));
    assert_true(hf_command_add_op(&asked.command, &fields, &malformed));
    assert_true(hf_command_finish(&asked.command, &malformed));
    assert_int_equal(hf_node_submit(f->node, &asked.request), HF_ERR_OK);
    for (size_t i = 0; !asked.done; i++) {
        assert_true(i < 100000);
        tick(f);
    }
    assert_int_equal(asked.request.answer.code, HF_ERR_OK);
    f->started[number] = true;
    hf_answer_release(&asked.request.answer);
    hf_command_release(&asked.command);
}

/* ---- the judgement ---- */

static const struct hf_saga *saga_of(const struct fixture *f, size_t number)
{
    char text[16];
    struct hf_arena arena;
    struct hf_name name;
    (void)snprintf(text, sizeof(text), "w%zu", number);
    hf_arena_init(&arena);
    assert_true(hf_name_make(hf_str_from(text), &arena, &name));
    const struct hf_saga *saga = hf_sagas_get(&hf_node_state(f->node)->sagas, &name.id);
    hf_arena_release(&arena);
    assert_non_null(saga);
    return saga;
}

static bool all_ended(const struct fixture *f)
{
    for (size_t i = 0; i < SAGAS; i++) {
        if (!f->started[i] || !hf_saga_ended(saga_of(f, i)->state)) {
            return false;
        }
    }
    return true;
}

static void judge(const struct fixture *f, size_t counts[2])
{
    for (size_t i = 0; i < SAGAS; i++) {
        enum hf_saga_state state = saga_of(f, i)->state;
        assert_true(state == HF_SAGA_SUCCEEDED || state == HF_SAGA_COMPENSATED);
        counts[state == HF_SAGA_SUCCEEDED ? 0 : 1]++;
        for (size_t k = 0; k < STEPS; k++) {
            const struct kept *kept = &f->kept[i][k];
            bool stands = kept->action == 200 && kept->compensation == 0;
            if (stands != (state == HF_SAGA_SUCCEEDED)) {
                print_error("seed %llu: saga %zu step %zu: action %u, compensation %u, saga %d\n",
                            (unsigned long long)f->seed, i, k, kept->action, kept->compensation,
                            (int)state);
                fail();
            }
        }
    }
}

static void run_seed(uint64_t seed, size_t counts[2])
{
    static struct fixture f;
    f = (struct fixture){.seed = seed, .caller = {.start = start_call, .cancel = cancel_call}};
    f.caller.context = &f;
    f.world = hf_world_new(seed);
    f.machine = hf_world_machine_new(f.world, NULL);
    f.random = *hf_world_random(f.world);
    boot(&f);
    submit(&f, &(struct hf_saga_op_fields){.type = HF_OP_DEFINE_SAGA,
                                           .name = HF_STR("order"),
                                           .version = 1,
                                           .definition_json = hf_str_from(definition)});
    size_t number = 0;
    uint64_t next_crash = 500;
    for (uint64_t i = 0; !all_ended(&f); i++) {
        if (i >= TICKS_MAX) {
            print_error("seed %llu: some sagas never end\n", (unsigned long long)seed);
            fail();
        }
        if (number < SAGAS && i % 40 == 0) {
            start_saga(&f, number++);
        }
        tick(&f);
        if (i >= next_crash && f.crashes < 8) {
            crash(&f, f.crashes % 2 == 0 ? HF_CRASH_KILL : HF_CRASH_POWER);
            boot(&f);
            next_crash = i + 100 + hf_sim_random_below(&f.random, 1500);
        }
    }
    judge(&f, counts);
    assert_true(f.crashes > 0 && f.calls > SAGAS * STEPS / 2 && f.refused > 0);
    crash(&f, HF_CRASH_KILL);
    hf_world_free(f.world);
}

static void every_saga_ends_and_the_books_agree(void **state)
{
    (void)state;
    const char *only = getenv("SEED");
    uint64_t first = only == NULL ? 1 : strtoull(only, NULL, 10);
    uint64_t last = only == NULL ? SEEDS : first;
    size_t counts[2] = {0};
    print_message("seeds %llu to %llu\n", (unsigned long long)first, (unsigned long long)last);
    for (uint64_t seed = first; seed <= last; seed++) {
        run_seed(seed, counts);
    }
    print_message("seeds %llu to %llu: %zu succeeded, %zu compensated\n", (unsigned long long)first,
                  (unsigned long long)last, counts[0], counts[1]);
    assert_true(only != NULL || (counts[0] > 0 && counts[1] > 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_saga_ends_and_the_books_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
