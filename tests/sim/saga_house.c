/* A runner for each leading node: stepped by the world, ended with its process. */
#include <stdlib.h>

#include "base/check.h"
#include "deliver/target.h"
#include "sim/saga_sim.h"
#include "sim/sim_memory.h"

#define STEPS_MAX      100000u
#define SENDS_PER_STEP 64u
#define WAKE_US_MAX    200u /* until a runner that was woken is stepped */
#define STOP_STEPS_MAX 1000u

struct saga_house {
    struct run_house *house;
    struct hf_outside *outside; /* its process */
    struct saga_party *party;
    struct hf_targets *targets;
    struct hf_runner *runner;
    struct hf_tail_head last; /* as the node told it */
    bool dead;                /* the node is gone or going */
    bool awake;               /* a step is scheduled to come soon */
    uint64_t timer_us;        /* earliest step that is scheduled for later */
};

static void step(void *context);

static void step_soon(struct saga_house *sagas)
{
    if (!sagas->awake && !sagas->dead) {
        struct run *run = sagas->house->run;
        sagas->awake = true;
        hf_world_after(run->world, sagas->outside,
                       hf_sim_random_below(&run->sagas->random, WAKE_US_MAX), step, sagas);
    }
}

/* ---- the node, as the runner sees it ---- */

static enum hf_err submit(void *context, struct hf_request *request)
{
    struct saga_house *sagas = context;
    return sagas->dead ? HF_ERR_NOT_READY : hf_node_submit(sagas->house->node, request);
}

static struct hf_tail_head head(void *context)
{
    struct saga_house *sagas = context;
    if (!sagas->dead) {
        sagas->last = hf_tail_head(hf_node_tail(sagas->house->node));
    }
    return sagas->last;
}

static enum hf_tail_result take(void *context, uint64_t from, struct hf_shared_bytes **frames,
                                size_t count_max, size_t *count)
{
    struct saga_house *sagas = context;
    *count = 0;
    return sagas->dead
               ? HF_TAIL_AT_HEAD
               : hf_tail_take(hf_node_tail(sagas->house->node), from, frames, count_max, count);
}

static void wake(void *context)
{
    step_soon(context);
}

/* ---- steps ---- */

static void step_at(struct saga_house *sagas, uint64_t now_us, uint64_t due_us)
{
    if (due_us == UINT64_MAX || (sagas->timer_us > now_us && sagas->timer_us <= due_us)) {
        return;
    }
    sagas->timer_us = due_us;
    uint64_t delay_us = due_us > now_us ? due_us - now_us : 0;
    hf_world_after(sagas->house->run->world, sagas->outside, delay_us + delay_us / 1000 + 1, step,
                   sagas);
}

static void step(void *context)
{
    struct saga_house *sagas = context;
    if (sagas->dead || !hf_world_alive(sagas->outside)) {
        return;
    }
    struct run *run = sagas->house->run;
    sagas->awake = false;
    uint64_t now_us = sagas->outside->monotonic_us(sagas->outside);
    unsigned steps = 0;
    bool did = true;
    while (did && !sagas->dead) {
        did = hf_runner_step(sagas->runner, now_us);
        did = hf_targets_run(sagas->targets, now_us, SENDS_PER_STEP) > 0 || did;
        if (++steps > STEPS_MAX) {
            (void)run_fail(run, "the runner of machine %u never rests", sagas->house->number);
            return;
        }
    }
#ifdef HF_SLOW_CHECKS
    hf_runner_verify(sagas->runner);
#endif
    step_at(sagas, now_us,
            hf_min_u64(hf_runner_next_step_us(sagas->runner), hf_targets_next_us(sagas->targets)));
}

/* ---- from start to end ---- */

void saga_house_up(struct run_house *house)
{
    struct run *run = house->run;
    if (run->sagas == NULL) {
        return;
    }
    struct saga_house *sagas = hf_sim_calloc(1, sizeof(*sagas));
    house->sagas = sagas;
    *sagas = (struct saga_house){.house = house, .outside = house->outside};
    struct hf_target_limits target_limits = hf_target_limits_default();
    target_limits.open_first_us = 20000;
    target_limits.open_max_us = 200000;
    target_limits.in_flight_max = (uint32_t)hf_sim_random_between(&run->sagas->random, 1, 16);
    sagas->targets = hf_targets_new(&target_limits, hf_sim_random_u64(&run->sagas->random));
    sagas->party = saga_party_new(run->sagas, house);
    struct hf_runner_limits limits = hf_runner_limits_default();
    limits.commits_per_step = (uint32_t)hf_sim_random_between(&run->sagas->random, 1, 64);
    limits.dues_per_step = (uint32_t)hf_sim_random_between(&run->sagas->random, 1, 64);
    limits.answers_max = (uint32_t)hf_sim_random_between(&run->sagas->random, 2, 64);
    limits.reads_max = (uint32_t)hf_sim_random_between(&run->sagas->random, 1, 8);
    limits.spread_us_max = 20000;
    struct hf_runner_options options = {
        .node = {.context = sagas, .submit = submit, .head = head, .take = take},
        .caller = saga_party_caller(sagas->party),
        .targets = sagas->targets,
        .outside = house->outside,
        .callback_base = HF_STR("http://holdfast.test"),
        .wake = wake,
        .wake_context = sagas,
        .limits = limits,
    };
    sagas->runner = sagas->targets == NULL ? NULL : hf_runner_new(&options);
    HF_CHECK(sagas->runner != NULL);
    step_soon(sagas);
}

void saga_house_look(struct run_house *house)
{
    if (house->sagas == NULL) {
        return;
    }
    struct hf_node_status status;
    hf_node_status(house->node, &status);
    struct hf_tail_head last = house->sagas->last;
    if (head(house->sagas).position != last.position || !house->sagas->last.open) {
        step_soon(house->sagas);
    }
}

void saga_house_wake(struct run_house *house)
{
    if (house->sagas != NULL) {
        step_soon(house->sagas);
    }
}

void saga_house_down(struct run_house *house)
{
    if (house->sagas != NULL) {
        house->sagas->dead = true;
        house->sagas->last.open = false;
    }
}

void saga_house_free(struct run_house *house)
{
    struct saga_house *sagas = house->sagas;
    if (sagas == NULL) {
        return;
    }
    struct hf_runner_status status;
    hf_runner_status(sagas->runner, &status);
    house->run->sagas->report->takeovers += status.out > 0;
    hf_runner_stop(sagas->runner);
    uint64_t now_us = sagas->outside->monotonic_us(sagas->outside);
    for (unsigned i = 0; !hf_runner_stopped(sagas->runner); i++) {
        HF_CHECK(i < STOP_STEPS_MAX);
        now_us += hf_runner_limits_default().grace_us;
        (void)hf_runner_step(sagas->runner, now_us);
    }
    hf_runner_free(sagas->runner);
    hf_targets_free(sagas->targets);
    house->sagas = NULL;
    free(sagas); /* events of its process are dropped */
}
