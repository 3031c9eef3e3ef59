/* Machines: their processes, nodes, and how these end. */
#include <stdio.h>

#include "base/check.h"
#include "log/log_file.h"
#include "sim/run.h"
#include "sim/saga_sim.h"
#include "sim/sim_memory.h"

#define DIRECTORY      "data"
#define STEPS_MAX      100000u /* without a pause: more is a node that never rests */
#define FINAL_US_MAX   3000u   /* a node that has ended stays for a while */
#define STANDBY_US_MAX 4000u   /* between two looks of a standby */

static void step(void *context);

/* ---- the end of a process ---- */

static void count_status(struct run_house *house)
{
    struct hf_node_status now;
    hf_node_status(house->node, &now);
    report_status(house->run->report, &now);
}

/* Nobody hears of what its runner had out. */
static void free_node(struct run_house *house)
{
    saga_house_down(house);
    hf_node_free(house->node);
    saga_house_free(house);
    house->node = NULL;
}

void house_end(struct run_house *house)
{
    struct run *run = house->run;
    hf_world_crash(house->machine, HF_CRASH_KILL);
    if (house->node != NULL) {
        count_status(house);
        submission_lose_all(house);
        free_node(house);
    }
    house->outside = NULL;
    house->started = false;
    house->ending = false;
    house_boot_later(house, hf_sim_random_between(&run->random, 100, 20000));
}

void house_crash(struct run_house *house, enum hf_crash_kind kind)
{
    if (hf_world_up(house->machine)) {
        house->run->ends++;
        hf_world_crash(house->machine, kind);
        house_end(house);
    }
}

static void crash_now(void *context)
{
    struct run_house *house = context;
    if (!house->run->calm) {
        house_crash(house, hf_sim_random_chance(&house->run->random, HF_PPM / 2) ? HF_CRASH_KILL
                                                                                 : HF_CRASH_POWER);
    }
}

static void crashed(void *context)
{
    struct run_house *house = context;
    if (!hf_world_up(house->machine)) {
        house->run->ends++;
        house_end(house);
    }
}

static void end_now(void *context)
{
    struct run_house *house = context;
    if (house->ending && house->node != NULL) {
        house_end(house);
    }
}

static void end_later(struct run_house *house)
{
    struct run *run = house->run;
    if (house->ending) {
        return;
    }
    house->ending = true;
    hf_world_after(run->world, NULL, hf_sim_random_below(&run->random, FINAL_US_MAX), end_now,
                   house);
}

/* ---- the loop ---- */

static bool keep_piece(void *context, const void *data, size_t size_bytes)
{
    hf_buffer_bytes(context, data, size_bytes);
    return true;
}

/* The state as it is, if all of it is durable. */
static void keep_state(struct run_house *house)
{
    struct run *run = house->run;
    const struct hf_state *state = hf_node_state(house->node);
    if (house->shown || house->status.phase != HF_NODE_LEADING ||
        house->status.position != house->status.durable_position || state->position == 0) {
        return;
    }
    house->shown = true;
    run->snapshots = hf_sim_grow(run->snapshots, run->snapshot_count, &run->snapshot_capacity,
                                 sizeof(*run->snapshots));
    struct run_snapshot *snapshot = &run->snapshots[run->snapshot_count++];
    *snapshot = (struct run_snapshot){.position = state->position};
    HF_CHECK(hf_state_save(state, keep_piece, &snapshot->bytes) && !snapshot->bytes.failed);
    run->report->snapshots++;
}

static void step_at(struct run_house *house, uint64_t due_us)
{
    uint64_t now_us = house->outside->monotonic_us(house->outside);
    if (due_us == UINT64_MAX || (house->timer_us > now_us && house->timer_us <= due_us)) {
        return;
    }
    house->timer_us = due_us;
    /* Clocks drift: one µs later is never too early for long. */
    uint64_t delay_us = due_us > now_us ? due_us - now_us : 0;
    hf_world_after(house->run->world, house->outside, delay_us + delay_us / 1000 + 1, step, house);
}

static void look(struct run_house *house)
{
    struct run *run = house->run;
    hf_node_status(house->node, &house->status);
    enum hf_node_phase phase = house->status.phase;
    hf_world_trace(run->world, house->status.position * 8 + (uint64_t)phase);
    keep_state(house);
    if (run->crash_in_flight && house->status.position > house->status.durable_position) {
        run->crash_in_flight = false;
        hf_world_after(run->world, house->outside, hf_sim_random_below(&run->random, 300),
                       crash_now, house);
    }
    if (phase == HF_NODE_DEPOSED || phase == HF_NODE_FAILED || phase == HF_NODE_STOPPED) {
        if (!house->ending) {
            run->report->phases[phase]++;
            run->ends += phase == HF_NODE_DEPOSED;
            if (run->verbose) {
                printf("%12llu house %u: %s: %s\n", (unsigned long long)hf_world_now_us(run->world),
                       house->number, hf_node_phase_name(phase), house->status.error);
            }
        }
        end_later(house);
    }
}

static void step(void *context)
{
    struct run_house *house = context;
    if (house->node == NULL || !house->started || !hf_world_alive(house->outside)) {
        return;
    }
    unsigned steps = 0;
    while (hf_node_step(house->node) && hf_world_alive(house->outside)) {
        if (++steps > STEPS_MAX) {
            (void)run_fail(house->run, "the node of machine %u never rests at position %llu",
                           house->number, (unsigned long long)house->status.position);
            end_later(house);
            return;
        }
    }
    if (!hf_world_alive(house->outside)) {
        return; /* `crashed` follows */
    }
    look(house);
    saga_house_look(house);
    step_at(house, hf_node_next_step_us(house->node));
}

/* ---- the start ---- */

static bool must_wait(const struct run_house *house)
{
    const struct run *run = house->run;
    if (run->driver == RUN_DRIVER_FILE || house->takes_over) {
        return false;
    }
    for (uint32_t i = 0; i < run->house_count; i++) {
        const struct run_house *other = &run->houses[i];
        if (other != house && other->node != NULL && other->started && !other->ending) {
            return true;
        }
    }
    return false;
}

static void try_start(void *context);

static void start_later(struct run_house *house)
{
    uint64_t delay_us = hf_sim_random_between(&house->run->random, 200, STANDBY_US_MAX);
    hf_world_after(house->run->world, house->outside, delay_us, try_start, house);
}

static void start_failed(struct run_house *house, enum hf_err err, const struct hf_error *error)
{
    struct run *run = house->run;
    run->report->start_errors[err]++;
    if (run->verbose) {
        printf("%12llu house %u: start: %s\n", (unsigned long long)hf_world_now_us(run->world),
               house->number, error->text);
    }
    if (err == HF_ERR_CORRUPT) {
        (void)run_fail(run, "machine %u can't recover: %s", house->number, error->text);
    }
    if (hf_world_alive(house->outside)) {
        end_later(house);
    }
}

static void try_start(void *context)
{
    struct run_house *house = context;
    struct run *run = house->run;
    struct hf_error error = {0};
    if (house->node == NULL || house->started || house->ending) {
        return;
    }
    if (must_wait(house)) {
        start_later(house);
        return;
    }
    enum hf_err err = hf_node_start(house->node, false, NULL, NULL, &error);
    if (err == HF_ERR_LOCKED) {
        run->report->locked++;
        start_later(house);
        return;
    }
    house->takes_over = false;
    if (err != HF_ERR_OK) {
        start_failed(house, err, &error);
        return;
    }
    house->started = true;
    house->shown = false;
    hf_node_status(house->node, &house->status);
    report_recovery(run->report, &house->status);
    if (run->verbose) {
        printf("%12llu house %u: leads in epoch %llu from position %llu, %llu replayed\n",
               (unsigned long long)hf_world_now_us(run->world), house->number,
               (unsigned long long)house->status.epoch,
               (unsigned long long)hf_node_state(house->node)->position,
               (unsigned long long)house->status.recovered_commits);
    }
    saga_house_up(house);
    step_at(house, 0);
}

static enum hf_err open_log(struct run_house *house, struct hf_log **log, struct hf_error *error)
{
    struct run *run = house->run;
    if (run->driver == RUN_DRIVER_SIM) {
        return hf_log_sim_open(run->log_sim, house->outside, log, error);
    }
    struct hf_log_file_options options = {
        .directory = DIRECTORY,
        .create = true,
        .segment_bytes_first = run->limits.segment_bytes_first,
        .segment_bytes_max = run->limits.segment_bytes_max,
    };
    return hf_log_file_open(house->outside, &options, log, error);
}

static void boot(void *context)
{
    struct run_house *house = context;
    struct run *run = house->run;
    if (hf_world_up(house->machine) || house->node != NULL) {
        return;
    }
    struct hf_error error = {0};
    struct hf_log *log = NULL;
    house->timer_us = 0;
    house->outside = hf_world_boot(house->machine);
    if (open_log(house, &log, &error) != HF_ERR_OK) {
        if (error.code == HF_ERR_CORRUPT) {
            (void)run_fail(run, "machine %u can't open the log: %s", house->number, error.text);
        }
        run->report->start_errors[error.code]++;
        house_end(house);
        return;
    }
    char name[16];
    (void)snprintf(name, sizeof(name), "machine-%u", house->number);
    struct hf_node_options options = {
        .outside = house->outside,
        .log = log,
        .directory = DIRECTORY,
        .name = name,
        .limits = run->limits,
        .checkpoints = true,
    };
    house->node = hf_node_new(&options);
    HF_CHECK(house->node != NULL);
    house->log = log;
    hf_node_status(house->node, &house->status);
    hf_world_on_ring(house->outside, step, house);
    hf_world_after(run->world, house->outside, 50, try_start, house);
}

void house_boot_later(struct run_house *house, uint64_t delay_us)
{
    hf_world_after(house->run->world, NULL, delay_us, boot, house);
}

void house_init(struct run *run, uint32_t number, struct hf_world_machine *machine)
{
    struct run_house *house = &run->houses[number];
    *house = (struct run_house){.run = run, .number = number, .machine = machine};
    hf_world_on_crash(machine, crashed, house);
    house_boot_later(house, 1 + number * 1000u);
}

void house_release(struct run_house *house)
{
    if (house->node != NULL) {
        hf_world_crash(house->machine, HF_CRASH_KILL);
        count_status(house);
        submission_lose_all(house);
        free_node(house);
    }
}

struct run_house *house_leader(struct run *run)
{
    struct run_house *leader = NULL;
    for (uint32_t i = 0; i < run->house_count; i++) {
        struct run_house *house = &run->houses[i];
        if (house->node != NULL && house->started && house->status.phase == HF_NODE_LEADING &&
            hf_world_alive(house->outside) &&
            (leader == NULL || house->status.epoch > leader->status.epoch)) {
            leader = house;
        }
    }
    return leader;
}

void house_stop(struct run_house *house)
{
    if (house->node != NULL && house->started && hf_world_alive(house->outside)) {
        hf_node_stop(house->node);
    }
}
