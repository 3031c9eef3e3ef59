/* Faults: what goes wrong, when, for how long. */
#include "base/check.h"
#include "sim/run.h"
#include "sim/sim_memory.h"

#define STRIKE_US_MIN  1500u
#define STRIKE_US_MAX  30000u
#define WEATHER_US_MAX 30000u

static uint64_t between(struct run *run, uint64_t low, uint64_t high)
{
    return hf_sim_random_between(&run->random, low, high);
}

static bool percent(struct run *run, unsigned chance)
{
    return hf_sim_random_below(&run->random, 100) < chance;
}

static struct run_house *victim(struct run *run)
{
    struct run_house *leader = percent(run, 85) ? house_leader(run) : NULL;
    return leader != NULL ? leader : &run->houses[between(run, 0, run->house_count - 1)];
}

static enum hf_crash_kind crash_kind(struct run *run)
{
    return percent(run, 50) ? HF_CRASH_KILL : HF_CRASH_POWER;
}

/* ---- weather: chances that hold for a while ---- */

static void fair_weather(struct run *run)
{
    struct hf_world_knobs *knobs = hf_world_knobs(run->world);
    struct hf_world_knobs fair = {
        .job_us_min = 50,
        .job_us_max = 400,
        .ring_us_max = 20,
        .drift_ppm_max = knobs->drift_ppm_max,
        .evict_ppm = run->calm ? 0 : 200000,
        .loss = knobs->loss,
    };
    *knobs = fair;
    for (uint32_t i = 0; i < run->house_count; i++) {
        hf_fs_budget_set(hf_world_machine_disk(run->houses[i].machine), UINT64_MAX);
    }
    if (run->log_sim != NULL) {
        *hf_log_sim_knobs(run->log_sim) = (struct hf_log_sim_knobs){
            .delay_us_min = 50, .delay_us_max = 500, .late_us_max = 20000};
    }
}

static void weather_ends(void *context)
{
    struct run *run = context;
    if (hf_world_now_us(run->world) >= run->weather_until_us) {
        fair_weather(run);
    }
}

static void weather_for(struct run *run, uint64_t duration_us)
{
    run->weather_until_us =
        hf_max_u64(run->weather_until_us, hf_world_now_us(run->world) + duration_us);
    hf_world_after(run->world, NULL, duration_us, weather_ends, run);
}

static void full_disk(struct run *run)
{
    struct hf_fs *disk = hf_world_machine_disk(victim(run)->machine);
    hf_fs_budget_set(disk, hf_fs_used_bytes(disk) + between(run, 0, 30000));
}

static void slow_disk(struct run *run)
{
    struct hf_world_knobs *knobs = hf_world_knobs(run->world);
    knobs->slow_job_ppm = (uint32_t)between(run, 50000, 500000);
    knobs->slow_job_us_max = (uint32_t)between(run, 1000, 30000);
}

static void io_errors(struct run *run)
{
    struct hf_world_knobs *knobs = hf_world_knobs(run->world);
    uint32_t most = percent(run, 50) ? 3000 : 30000;
    knobs->open_error_ppm = (uint32_t)between(run, 0, most);
    knobs->read_error_ppm = (uint32_t)between(run, 0, most);
    knobs->write_error_ppm = (uint32_t)between(run, 0, most);
    knobs->write_short_ppm = (uint32_t)between(run, 0, most);
    knobs->sync_error_ppm = (uint32_t)between(run, 0, most);
    knobs->directory_error_ppm = (uint32_t)between(run, 0, most);
}

static void clock_steps(struct run *run)
{
    struct hf_world_knobs *knobs = hf_world_knobs(run->world);
    knobs->wall_step_ppm = (uint32_t)between(run, 1000, 50000);
    knobs->wall_step_us_max = percent(run, 70) ? 100000 : 3000000;
}

static void log_faults(struct run *run)
{
    struct hf_log_sim_knobs *knobs = hf_log_sim_knobs(run->log_sim);
    knobs->slow_ppm = (uint32_t)between(run, 0, 200000);
    knobs->ambiguous_stored_ppm = (uint32_t)between(run, 0, 120000);
    knobs->ambiguous_lost_ppm = (uint32_t)between(run, 0, 120000);
    knobs->ambiguous_late_ppm = (uint32_t)between(run, 0, 120000);
    knobs->failed_ppm = percent(run, 30) ? (uint32_t)between(run, 0, 30000) : 0;
    knobs->no_space_ppm = percent(run, 15) ? (uint32_t)between(run, 0, 30000) : 0;
    knobs->resolve_never_ppm = (uint32_t)between(run, 0, 700000);
    knobs->confirm_failed_ppm = (uint32_t)between(run, 0, 300000);
    knobs->takeover_failed_ppm = (uint32_t)between(run, 0, 400000);
    knobs->read_failed_ppm = percent(run, 40) ? (uint32_t)between(run, 0, 100000) : 0;
}

/* ---- blows ---- */

static void arm(struct run *run, struct run_house *house)
{
    struct hf_world_point point = {
        .op = (enum hf_world_op)between(run, 0, HF_WORLD_OP_COUNT),
        .file = (enum hf_world_class)between(run, 0, HF_CLASS_COUNT),
        .n = between(run, 1, percent(run, 60) ? 3 : 25),
        .action = (enum hf_world_action)between(
            run, 0, percent(run, 60) ? HF_ACT_CRASH_AFTER : HF_ACT_COUNT - 1),
        .crash = crash_kind(run),
    };
    if (point.file == HF_CLASS_OTHER) {
        point.file = HF_CLASS_COUNT;
    }
    hf_world_arm(house->machine, point);
    bool background = point.file == HF_CLASS_CHECKPOINT || point.file == HF_CLASS_RUN;
    if (house->node != NULL && house->started && (background || percent(run, 30))) {
        hf_node_checkpoint(house->node);
    }
}

static void standby_takes_over(struct run *run)
{
    for (uint32_t i = 0; i < run->house_count; i++) {
        struct run_house *house = &run->houses[i];
        if (house->node != NULL && !house->started && !house->ending) {
            house->takes_over = true;
            return;
        }
    }
}

static void blow(struct run *run, enum report_trouble trouble)
{
    struct run_house *house = victim(run);
    switch (trouble) {
    case REPORT_TROUBLE_KILL:
        house_crash(house, HF_CRASH_KILL);
        return;
    case REPORT_TROUBLE_POWER:
        house_crash(house, HF_CRASH_POWER);
        return;
    case REPORT_TROUBLE_IN_RECOVERY:
        house_crash(house, crash_kind(run));
        arm(run, house);
        return;
    case REPORT_TROUBLE_POINT:
        arm(run, house);
        return;
    case REPORT_TROUBLE_STANDBY:
        standby_takes_over(run);
        return;
    case REPORT_TROUBLE_FENCE:
        hf_log_sim_fence(run->log_sim);
        return;
    case REPORT_TROUBLE_STOP:
        house_stop(house);
        return;
    case REPORT_TROUBLE_CHECKPOINT:
        if (house->node != NULL && house->started) {
            hf_node_checkpoint(house->node);
        }
        return;
    case REPORT_TROUBLE_IN_FLIGHT:
        run->crash_in_flight = true;
        return;
    case REPORT_TROUBLE_FULL_DISK:
        full_disk(run);
        break;
    case REPORT_TROUBLE_SLOW_DISK:
        slow_disk(run);
        break;
    case REPORT_TROUBLE_IO_ERRORS:
        io_errors(run);
        break;
    case REPORT_TROUBLE_CLOCK:
        clock_steps(run);
        break;
    case REPORT_TROUBLE_LOG:
        log_faults(run);
        break;
    case REPORT_TROUBLE_LOG_FULL:
        hf_log_sim_knobs(run->log_sim)->full = true;
        break;
    case REPORT_TROUBLE_COUNT:
        return;
    }
    weather_for(run, between(run, 500, WEATHER_US_MAX));
}

/* How often each comes, in the order of enum report_trouble. */
static const unsigned weights[2][REPORT_TROUBLE_COUNT] = {
    /* kill power point standby fence stop full slow io clock log logfull checkpoint flight recovery */
    {6, 6, 24, 10, 3, 3, 2, 4, 4, 5, 20, 1, 4, 6, 5},
    {6, 6, 40, 0, 0, 5, 5, 6, 8, 5, 0, 0, 4, 6, 8},
};

static enum report_trouble draw(struct run *run)
{
    const unsigned *chances = weights[run->driver == RUN_DRIVER_FILE];
    unsigned sum = 0;
    for (unsigned i = 0; i < REPORT_TROUBLE_COUNT; i++) {
        sum += chances[i];
    }
    uint64_t at = hf_sim_random_below(&run->random, sum);
    unsigned i = 0;
    while (at >= chances[i]) {
        at -= chances[i++];
    }
    return (enum report_trouble)i;
}

static void strike(void *context)
{
    struct run *run = context;
    if (run->calm) {
        return;
    }
    uint64_t now_us = hf_world_now_us(run->world);
    if (now_us < run->night_until_us && !hf_sim_random_chance(&run->random, HF_PPM / 20)) {
        hf_world_after(run->world, NULL, between(run, STRIKE_US_MIN, STRIKE_US_MAX), strike, run);
        return;
    }
    enum report_trouble trouble = draw(run);
    run->report->troubles[trouble]++;
    hf_world_trace(run->world, trouble);
    blow(run, trouble);
    hf_world_after(run->world, NULL, between(run, STRIKE_US_MIN, STRIKE_US_MAX), strike, run);
}

void nemesis_start(struct run *run)
{
    fair_weather(run);
    if (run->plan->only != NULL) {
        hf_world_arm(run->houses[0].machine, *run->plan->only);
        return;
    }
    hf_world_after(run->world, NULL, between(run, 5000, 20000), strike, run);
}

void nemesis_calm(struct run *run)
{
    fair_weather(run);
    run->crash_in_flight = false;
    /* The one fault of a plan may come as late as in the stop or in the last start. */
    for (uint32_t i = 0; i < run->house_count && run->plan->only == NULL; i++) {
        hf_world_disarm(run->houses[i].machine);
    }
}
