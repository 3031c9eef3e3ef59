#include "sim/run.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "sim/saga_sim.h"
#include "sim/sim_memory.h"

#define OPS_MIN      2000u
#define OPS_SPREAD   200u
#define ENDS_MIN     5u
#define RUN_US_MAX   120000000u /* virtual time of a whole run */
#define STUCK_US     5000000u   /* calm, and nothing is answered for so long */
#define LOOK_US      5000u
#define SAGAS_US_MIN 3000000u /* of a run of sagas, before the calm */

bool run_fail(struct run *run, const char *format, ...)
{
    if (run->failure[0] == '\0') {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(run->failure, sizeof(run->failure), format, arguments);
        va_end(arguments);
    }
    return false;
}

static uint64_t choose(struct run *run, const uint64_t *from, size_t count)
{
    return from[hf_sim_random_below(&run->random, count)];
}

/* Edges are near. */
static struct hf_limits small_limits(struct run *run)
{
    static const uint64_t commits[] = {3, 8, 20, 200};
    static const uint64_t recent[] = {0, 2000, 20000, 200000};
    static const uint64_t queue[] = {6, 16, 40};
    static const uint64_t records[] = {150, 400, 1200};
    static const uint64_t expiries[] = {1, 1, 3, 12};
    static const uint64_t retention_us[] = {30000, 150000, 1000000, 604800000000};
    struct hf_limits limits = hf_limits_default();
    limits.batch_commits_max = (uint32_t)choose(run, commits, HF_ARRAY_COUNT(commits));
    limits.batch_bytes_max = hf_sim_random_between(&run->random, 600, 30000);
    limits.run_ahead_bytes_max = limits.batch_bytes_max * hf_sim_random_between(&run->random, 1, 4);
    limits.own_bytes_max = limits.batch_bytes_max / 2;
    limits.queue_commands_max = (uint32_t)choose(run, queue, HF_ARRAY_COUNT(queue));
    limits.queue_bytes_max = 4u << 20;
    limits.recent_bytes_max = choose(run, recent, HF_ARRAY_COUNT(recent));
    limits.expiries_per_batch_max = (uint32_t)choose(run, expiries, HF_ARRAY_COUNT(expiries));
    limits.checkpoint_every_bytes = hf_sim_random_between(&run->random, 40000, 400000);
    limits.checkpoint_every_records = choose(run, records, HF_ARRAY_COUNT(records));
    limits.checkpoint_records_max = 2 * limits.checkpoint_every_records;
    limits.segment_bytes_first = 64u << 10;
    limits.segment_bytes_max = 64u << (10 + hf_sim_random_below(&run->random, 3));
    limits.key_retention_us = choose(run, retention_us, HF_ARRAY_COUNT(retention_us));
    limits.index_block_bytes = 512u << hf_sim_random_below(&run->random, 3);
    limits.index_runs_max = (uint32_t)hf_sim_random_between(&run->random, 1, 3);
    if (run->plan->only != NULL) {
        /* Several checkpoints and merges in a short scenario, everything cold. */
        limits.checkpoint_every_records = 100;
        limits.index_runs_max = 1;
        limits.recent_bytes_max = 0;
    }
    return limits;
}

/* Sagas live for seconds: their runs are as long as that, with as many ends as others. */
static void set_up_sagas(struct run *run)
{
    struct saga_sim *sim = hf_sim_calloc(1, sizeof(*sim));
    *sim = (struct saga_sim){
        .run = run, .random = hf_sim_random_fork(&run->random), .report = run->plan->sagas};
    run->sagas = sim;
    sim->plan_count = (uint32_t)saga_between(sim, 2, SAGA_PLANS_MAX);
    sim->saga_goal = (uint32_t)saga_between(sim, 16, SAGA_COUNT_MAX);
    for (uint32_t i = 0; i < sim->plan_count; i++) {
        saga_gen_plan(sim, i);
    }
    run->ops_wanted = 0;
}

static void set_up(struct run *run)
{
    run->world = hf_world_new(run->seed);
    run->random = hf_sim_random_fork(hf_world_random(run->world));
    run->client_random = hf_sim_random_fork(hf_world_random(run->world));
    run->limits = small_limits(run);
    run->ops_wanted = OPS_MIN + hf_sim_random_below(&run->random, OPS_SPREAD);
    run->ends_wanted = ENDS_MIN;
    if (run->plan->only != NULL) {
        run->ops_wanted = run->plan->operations;
        run->ends_wanted = 0;
    }
    run->gap_us_max = 200u << hf_sim_random_below(&run->random, 5);
    hf_world_knobs(run->world)->drift_ppm_max = 200;
    hf_arena_init(&run->arena);
    hf_arena_init(&run->scratch);
    hf_gen_init(&run->gen, hf_sim_random_u64(&run->random));
    run->gen.knobs.short_timeout_ms_max = 40;
    run->gen.knobs.tag_unkeyed = true;
    run->gen.knobs.units_ppm = 60000;
    if (run->plan->sagas != NULL) {
        set_up_sagas(run);
    }
    bool files = run->driver == RUN_DRIVER_FILE;
    run->log_sim = files ? NULL : hf_log_sim_new(run->world);
    run->house_count = files ? 1 + (uint32_t)hf_sim_random_below(&run->random, 2)
                             : 2 + (uint32_t)hf_sim_random_below(&run->random, 2);
    if (run->plan->only != NULL) {
        run->house_count = 1;
    }
    struct hf_world_machine *first = NULL;
    for (uint32_t i = 0; i < run->house_count; i++) {
        struct hf_world_machine *machine = hf_world_machine_new(run->world, first);
        first = files && first == NULL ? machine : first;
        house_init(run, i, machine);
    }
}

static void tear_down(struct run *run)
{
    for (uint32_t i = 0; i < run->house_count; i++) {
        house_release(&run->houses[i]);
    }
    report_world(run->report, hf_world_counters(run->world));
    if (run->log_sim != NULL) {
        if (run->failure[0] == '\0') {
            hf_log_sim_verify(run->log_sim);
        }
        report_log(run->report, hf_log_sim_counters(run->log_sim));
    }
    for (size_t i = 0; i < run->submission_count; i++) {
        submission_free(run->submissions[i]);
    }
    free(run->submissions);
    client_release(run);
    for (size_t i = 0; i < run->snapshot_count; i++) {
        hf_buffer_release(&run->snapshots[i].bytes);
    }
    free(run->snapshots);
    if (run->sagas != NULL) {
        free(run->sagas->contacts);
        free(run->sagas);
    }
    hf_gen_release(&run->gen);
    hf_arena_release(&run->arena);
    hf_arena_release(&run->scratch);
    hf_log_sim_free(run->log_sim);
    hf_world_free(run->world);
}

static bool is_failed(const struct run *run)
{
    return run->failure[0] != '\0';
}

static bool is_enough(const struct run *run)
{
    bool sagas = run->sagas == NULL || (run->sagas->saga_count == run->sagas->saga_goal &&
                                        hf_world_now_us(run->world) > SAGAS_US_MIN);
    return sagas && run->op_count >= run->ops_wanted && run->ends >= run->ends_wanted;
}

/* Clients and faults until there was enough of both. */
static void run_storm(struct run *run)
{
    nemesis_start(run);
    if (run->sagas != NULL) {
        saga_client_start(run->sagas);
    } else {
        client_start(run);
    }
    while (!is_failed(run) && !is_enough(run)) {
        hf_world_run(run->world, LOOK_US);
        if (hf_world_now_us(run->world) > RUN_US_MAX) {
            (void)run_fail(run, "stuck: %zu operations and %llu ends in %u virtual seconds",
                           run->op_count, (unsigned long long)run->ends, RUN_US_MAX / 1000000);
        }
    }
}

static bool anything_under_way(const struct run *run)
{
    if (run->ops_open > 0) {
        return true;
    }
    for (uint32_t i = 0; i < run->house_count; i++) {
        if (run->houses[i].under_way != NULL) {
            return true;
        }
    }
    return false;
}

static const char *describe_stuck(const struct run *run)
{
    static char text[400];
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < run->house_count && used < sizeof(text); i++) {
        const struct run_house *house = &run->houses[i];
        used += (size_t)snprintf(
            text + used, sizeof(text) - used, "; machine %u: %s%s, position %llu, durable %llu%s%s",
            i, house->node == NULL ? "down, " : "", hf_node_phase_name(house->status.phase),
            (unsigned long long)house->status.position,
            (unsigned long long)house->status.durable_position,
            house->status.read_only ? ", read-only" : "",
            house->under_way != NULL ? ", owes answers" : "");
    }
    return text;
}

/* No more faults: everything that was begun must come to its end. */
static void run_calm(struct run *run)
{
    run->calm = true;
    nemesis_calm(run);
    uint64_t from_us = hf_world_now_us(run->world);
    while (!is_failed(run) && anything_under_way(run)) {
        hf_world_run(run->world, LOOK_US);
        if (hf_world_now_us(run->world) - from_us > STUCK_US) {
            (void)run_fail(run,
                           "stuck: %llu operations have no answer %u virtual seconds after "
                           "the last fault%s",
                           (unsigned long long)run->ops_open, STUCK_US / 1000000,
                           describe_stuck(run));
        }
    }
}

/* Steps until a machine leads and all is durable; NULL if that does not come. */
static struct run_house *wait_for_leader(struct run *run)
{
    uint64_t from_us = hf_world_now_us(run->world);
    while (!is_failed(run)) {
        struct run_house *leader = house_leader(run);
        if (leader != NULL && run->log_sim != NULL &&
            leader->status.epoch != hf_log_sim_head(run->log_sim).epoch) {
            house_crash(leader, HF_CRASH_KILL); /* idle, and deposed without knowing */
            leader = NULL;
        }
        if (leader != NULL && leader->status.position == leader->status.durable_position &&
            leader->shown) {
            return leader;
        }
        hf_world_run(run->world, LOOK_US);
        if (hf_world_now_us(run->world) - from_us > STUCK_US) {
            (void)run_fail(run, "stuck: no machine leads%s", describe_stuck(run));
        }
    }
    return NULL;
}

/* Stops the leader with a seal; another start follows by itself. */
static void stop_cleanly(struct run *run)
{
    struct run_house *leader = wait_for_leader(run);
    if (leader == NULL) {
        return;
    }
    uint64_t stops = run->report->phases[HF_NODE_STOPPED];
    uint64_t from_us = hf_world_now_us(run->world);
    house_stop(leader);
    while (!is_failed(run) && run->report->phases[HF_NODE_STOPPED] == stops &&
           (run->plan->only == NULL || hf_world_armed(run->houses[0].machine))) {
        hf_world_run(run->world, LOOK_US);
        if (hf_world_now_us(run->world) - from_us > STUCK_US) {
            (void)run_fail(run, "stuck: the node does not stop%s", describe_stuck(run));
        }
    }
    hf_world_run(run->world, 50000);
}

bool run_whole(struct run_plan *plan, struct report *report, char failure[RUN_FAILURE_MAX])
{
    struct run run = {.plan = plan,
                      .seed = plan->seed,
                      .driver = plan->driver,
                      .report = report,
                      .verbose = plan->verbose,
                      .verbose_answers = plan->trace != NULL};
    set_up(&run);
    hf_world_trace_text(run.world, plan->trace);
    run_storm(&run);
    if (!is_failed(&run)) {
        run_calm(&run);
    }
    if (!is_failed(&run)) {
        stop_cleanly(&run);
    }
    /* Last, so that no timer brings anything between this and the judge. */
    if (!is_failed(&run) && plan->only == NULL) {
        if (run.sagas != NULL) {
            saga_drain(run.sagas);
        } else {
            drain(&run);
        }
    }
    struct run_house *leader = is_failed(&run) ? NULL : wait_for_leader(&run);
    plan->met = !hf_world_armed(run.houses[0].machine);
    hf_world_disarm(run.houses[0].machine);
    if (leader != NULL) {
        (void)(run.sagas != NULL ? saga_judge(run.sagas, leader) : judge(&run, leader));
    }
    report->operations += run.op_count;
    report->ended_runs += run.ends;
    report->trace = hf_world_trace_hash(run.world);
    report->virtual_us += hf_world_now_us(run.world);
    bool ok = !is_failed(&run);
    (void)snprintf(failure, RUN_FAILURE_MAX, "%s", run.failure);
    tear_down(&run);
    return ok;
}
