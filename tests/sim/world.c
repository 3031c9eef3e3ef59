#include "sim/world.h"

#include <stdio.h>

#include "base/check.h"
#include "sim/sim_memory.h"
#include "sim/world_priv.h"

/* ---- events: a binary heap by (time, sequence) ---- */

static bool event_before(const struct world_event *a, const struct world_event *b)
{
    return a->time_us != b->time_us ? a->time_us < b->time_us : a->sequence < b->sequence;
}

static void event_push(struct hf_world *world, struct world_event event)
{
    world->events = hf_sim_grow(world->events, world->event_count, &world->event_capacity,
                                sizeof(*world->events));
    size_t at = world->event_count++;
    while (at > 0 && event_before(&event, &world->events[(at - 1) / 2])) {
        world->events[at] = world->events[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    world->events[at] = event;
}

static struct world_event event_pop(struct hf_world *world)
{
    struct world_event *events = world->events;
    struct world_event first = events[0];
    struct world_event moved = events[--world->event_count];
    size_t count = world->event_count;
    size_t at = 0;
    for (size_t child = 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && event_before(&events[child + 1], &events[child])) {
            child++;
        }
        if (!event_before(&events[child], &moved)) {
            break;
        }
        events[at] = events[child];
        at = child;
    }
    if (count > 0) {
        events[at] = moved;
    }
    return first;
}

static void after(struct hf_world *world, struct world_process *owner, uint64_t delay_us,
                  hf_world_fn fn, void *context)
{
    event_push(world, (struct world_event){
                          .time_us = world->now_us + delay_us,
                          .sequence = ++world->sequence,
                          .owner = owner,
                          .fn = fn,
                          .context = context,
                      });
}

/* ---- jobs ---- */

static void run_worker(void *context);

static void schedule_worker(struct world_queue *queue)
{
    struct hf_world *world = queue->process->world;
    const struct hf_world_knobs *knobs = &world->knobs;
    if (queue->scheduled || queue->first == NULL || !queue->process->alive) {
        return;
    }
    uint64_t delay = hf_sim_random_between(&world->chance, knobs->job_us_min,
                                           hf_max_u64(knobs->job_us_min, knobs->job_us_max));
    if (hf_sim_random_chance(&world->chance, knobs->slow_job_ppm)) {
        world->counters.slow_jobs++;
        delay += hf_sim_random_below(&world->chance, (uint64_t)knobs->slow_job_us_max + 1);
    }
    queue->scheduled = true;
    after(world, queue->process, delay, run_worker, queue);
}

static void run_job(struct world_queue *queue)
{
    struct hf_job *job = queue->first;
    queue->first = job->next;
    if (queue->first == NULL) {
        queue->last = NULL;
    }
    job->next = NULL;
    queue->waiting--;
    HF_CHECK(!queue->running); /* one at a time; nobody drains from within a job */
    queue->running = true;
    queue->process->world->counters.jobs += queue->process->alive;
    job->run(job);
    queue->running = false;
}

static void run_worker(void *context)
{
    struct world_queue *queue = context;
    queue->scheduled = false;
    if (queue->first != NULL) {
        run_job(queue);
    }
    schedule_worker(queue);
}

void world_submit(struct hf_outside *o, enum hf_worker worker, struct hf_job *job)
{
    struct world_process *process = (struct world_process *)o;
    HF_CHECK(worker < HF_WORKER_COUNT);
    struct world_queue *queue = &process->queues[worker];
    job->next = NULL;
    *(queue->last != NULL ? &queue->last->next : &queue->first) = job;
    queue->last = job;
    queue->waiting++;
    schedule_worker(queue);
}

void world_drain_worker(struct hf_outside *o, enum hf_worker worker)
{
    struct world_process *process = (struct world_process *)o;
    HF_CHECK(worker < HF_WORKER_COUNT);
    /* What its jobs submit is not waited for. */
    for (size_t left = process->queues[worker].waiting; left > 0; left--) {
        run_job(&process->queues[worker]);
    }
}

void hf_world_drain(struct hf_outside *outside)
{
    struct world_process *process = (struct world_process *)outside;
    bool again = true;
    while (again) {
        again = false;
        for (unsigned i = 0; i < HF_WORKER_COUNT; i++) {
            if (process->queues[i].first != NULL) {
                run_job(&process->queues[i]);
                again = true;
            }
        }
    }
}

size_t hf_world_jobs_waiting(const struct hf_outside *outside)
{
    const struct world_process *process = (const struct world_process *)outside;
    size_t waiting = 0;
    for (unsigned i = 0; i < HF_WORKER_COUNT; i++) {
        waiting += process->queues[i].waiting;
    }
    return waiting;
}

/* ---- the doorbell ---- */

static void run_ring(void *context)
{
    struct world_process *process = context;
    process->ring_scheduled = false;
    process->rung = false;
    process->ring_fn(process->ring_context);
}

static void schedule_ring(struct world_process *process)
{
    struct hf_world *world = process->world;
    if (!process->alive || !process->rung || process->ring_scheduled || process->ring_fn == NULL) {
        return;
    }
    process->ring_scheduled = true;
    after(world, process, hf_sim_random_below(&world->chance, world->knobs.ring_us_max + 1ull),
          run_ring, process);
}

void world_ring(struct hf_outside *o)
{
    struct world_process *process = (struct world_process *)o;
    process->rung = true;
    schedule_ring(process);
}

void hf_world_on_ring(struct hf_outside *outside, hf_world_fn fn, void *context)
{
    struct world_process *process = (struct world_process *)outside;
    process->ring_fn = fn;
    process->ring_context = context;
    schedule_ring(process);
}

/* ---- clocks ---- */

uint64_t world_monotonic_us(struct hf_outside *o)
{
    const struct world_process *process = (const struct world_process *)o;
    const struct hf_world_machine *machine = process->machine;
    uint64_t now = process->alive ? process->world->now_us : process->ended_us;
    /* drift_ppm is signed; now stays far below 2^63 / 10^6 µs. */
    int64_t drift = (int64_t)now / 1000 * machine->drift_ppm / 1000;
    return machine->origin_us + (uint64_t)((int64_t)now + drift);
}

uint64_t world_wall_us(struct hf_outside *o)
{
    struct world_process *process = (struct world_process *)o;
    struct hf_world_machine *machine = process->machine;
    struct hf_world *world = process->world;
    const struct hf_world_knobs *knobs = &world->knobs;
    if (!process->alive) {
        return (uint64_t)(machine->wall_us + (int64_t)process->ended_us);
    }
    if (hf_sim_random_chance(&world->chance, knobs->wall_step_ppm)) {
        int64_t step =
            (int64_t)hf_sim_random_below(&world->chance, 2ull * knobs->wall_step_us_max + 1) -
            (int64_t)knobs->wall_step_us_max;
        machine->wall_us += step;
        world->counters.wall_steps++;
    }
    return (uint64_t)(machine->wall_us + (int64_t)world->now_us);
}

void world_random_bytes(struct hf_outside *o, void *data, size_t size_bytes)
{
    struct world_process *process = (struct world_process *)o;
    hf_sim_random_bytes(&process->random, data, size_bytes);
}

/* ---- machines ---- */

static void disk_free(struct world_disk *disk)
{
    while (disk->locks != NULL) {
        struct hf_lock *lock = disk->locks;
        disk->locks = lock->next;
        free(lock->path);
        free(lock);
    }
    hf_fs_free(disk->fs);
    free(disk);
}

struct hf_world_machine *hf_world_machine_new(struct hf_world *world,
                                              struct hf_world_machine *share_disk_with)
{
    HF_CHECK(world->machine_count < HF_FS_MACHINES_MAX);
    struct hf_world_machine *machine = hf_sim_calloc(1, sizeof(*machine));
    machine->world = world;
    machine->number = world->machine_count++;
    machine->disk = share_disk_with == NULL ? NULL : share_disk_with->disk;
    if (machine->disk == NULL) {
        machine->disk = hf_sim_calloc(1, sizeof(*machine->disk));
        machine->disk->fs = hf_fs_new();
        machine->disk->next = world->disks;
        world->disks = machine->disk;
    }
    machine->origin_us = hf_sim_random_below(&world->chance, 1ull << 40);
    machine->drift_ppm =
        (int32_t)hf_sim_random_below(&world->chance, 2ull * world->knobs.drift_ppm_max + 1) -
        (int32_t)world->knobs.drift_ppm_max;
    /* Clocks agree to within a second. */
    machine->wall_us = (int64_t)(1700000000000000 + hf_sim_random_below(&world->chance, 1000000));
    machine->next = world->machines;
    world->machines = machine;
    return machine;
}

uint32_t hf_world_machine_number(const struct hf_world_machine *machine)
{
    return machine->number;
}

struct hf_fs *hf_world_machine_disk(struct hf_world_machine *machine)
{
    return machine->disk->fs;
}

struct hf_outside *hf_world_boot(struct hf_world_machine *machine)
{
    HF_CHECK(machine->process == NULL);
    struct hf_world *world = machine->world;
    struct world_process *process = hf_sim_calloc(1, sizeof(*process));
    process->outside = world_outside_functions();
    process->world = world;
    process->machine = machine;
    process->alive = true;
    process->random = hf_sim_random_fork(&world->chance);
    for (unsigned i = 0; i < HF_WORKER_COUNT; i++) {
        process->queues[i].process = process;
    }
    process->next = world->processes;
    world->processes = process;
    machine->process = process;
    world_note(world, "boot", machine->number, 0, 0);
    return &process->outside;
}

bool hf_world_up(const struct hf_world_machine *machine)
{
    return machine->process != NULL;
}

struct hf_outside *hf_world_process(struct hf_world_machine *machine)
{
    return machine->process == NULL ? NULL : &machine->process->outside;
}

bool hf_world_alive(const struct hf_outside *outside)
{
    return ((const struct world_process *)outside)->alive;
}

struct hf_world *hf_world_of(const struct hf_outside *outside)
{
    return ((const struct world_process *)outside)->world;
}

struct hf_world_machine *hf_world_machine_of(const struct hf_outside *outside)
{
    return ((const struct world_process *)outside)->machine;
}

static uint32_t machines_at_risk(const struct hf_world_machine *machine)
{
    HF_CHECK(machine->number < 32);
    uint32_t mask = 1u << machine->number;
    for (const struct hf_world_machine *m = machine->world->machines; m != NULL; m = m->next) {
        if (m->disk == machine->disk && m->process == NULL) {
            HF_CHECK(m->number < 32);
            mask |= 1u << m->number;
        }
    }
    return mask;
}

void hf_world_crash(struct hf_world_machine *machine, enum hf_crash_kind kind)
{
    struct world_process *process = machine->process;
    struct hf_world *world = machine->world;
    if (process == NULL) {
        return;
    }
    world_note(world, kind == HF_CRASH_POWER ? "power loss" : "kill", machine->number, 0, 0);
    world->counters.crashes[kind]++;
    world->counters.jobs_dropped += hf_world_jobs_waiting(&process->outside);
    process->alive = false;
    process->ended_us = world->now_us;
    machine->process = NULL;
    for (struct hf_lock *lock = machine->disk->locks; lock != NULL; lock = lock->next) {
        lock->held = lock->held && lock->process != process;
    }
    if (kind == HF_CRASH_POWER) {
        hf_fs_power_loss(machine->disk->fs, machines_at_risk(machine), &world->knobs.loss,
                         &world->chance);
    }
    if (hf_sim_random_chance(&world->chance, world->knobs.evict_ppm)) {
        hf_fs_evict(machine->disk->fs);
    }
}

static void run_on_crash(void *context)
{
    struct hf_world_machine *machine = context;
    if (machine->crash_fn != NULL) {
        machine->crash_fn(machine->crash_context);
    }
}

void world_crash_at_point(struct hf_world_machine *machine, enum hf_crash_kind kind)
{
    hf_world_crash(machine, kind);
    after(machine->world, NULL, 0, run_on_crash, machine);
}

void hf_world_on_crash(struct hf_world_machine *machine, hf_world_fn fn, void *context)
{
    machine->crash_fn = fn;
    machine->crash_context = context;
}

void hf_world_arm(struct hf_world_machine *machine, struct hf_world_point point)
{
    HF_CHECK(point.n > 0 && point.action < HF_ACT_COUNT);
    machine->point = point;
    machine->armed = true;
}

void hf_world_disarm(struct hf_world_machine *machine)
{
    machine->armed = false;
}

bool hf_world_armed(const struct hf_world_machine *machine)
{
    return machine->armed;
}

/* ---- the world ---- */

struct hf_world *hf_world_new(uint64_t seed)
{
    struct hf_world *world = hf_sim_calloc(1, sizeof(*world));
    world->random = hf_sim_random_from(seed);
    world->chance = hf_sim_random_fork(&world->random);
    world->trace = hf_sim_mix(seed);
    world->knobs = (struct hf_world_knobs){
        .job_us_min = 50,
        .job_us_max = 400,
        .ring_us_max = 20,
        .loss = {.sector_lost_ppm = HF_PPM / 2,
                 .name_lost_ppm = HF_PPM / 2,
                 .all_or_none_ppm = HF_PPM / 5,
                 .torn_ppm = HF_PPM / 3,
                 .torn_garbage = true},
    };
    return world;
}

void hf_world_free(struct hf_world *world)
{
    if (world == NULL) {
        return;
    }
    while (world->processes != NULL) {
        struct world_process *process = world->processes;
        world->processes = process->next;
        world_files_free(process);
        free(process);
    }
    while (world->machines != NULL) {
        struct hf_world_machine *machine = world->machines;
        world->machines = machine->next;
        free(machine);
    }
    while (world->disks != NULL) {
        struct world_disk *disk = world->disks;
        world->disks = disk->next;
        disk_free(disk);
    }
    free(world->events);
    free(world);
}

struct hf_world_knobs *hf_world_knobs(struct hf_world *world)
{
    return &world->knobs;
}

const struct hf_world_counters *hf_world_counters(const struct hf_world *world)
{
    return &world->counters;
}

struct hf_sim_random *hf_world_random(struct hf_world *world)
{
    return &world->random;
}

uint64_t hf_world_now_us(const struct hf_world *world)
{
    return world->now_us;
}

void hf_world_after(struct hf_world *world, struct hf_outside *owner, uint64_t delay_us,
                    hf_world_fn fn, void *context)
{
    after(world, (struct world_process *)owner, delay_us, fn, context);
}

bool hf_world_step(struct hf_world *world)
{
    while (world->event_count > 0) {
        struct world_event event = event_pop(world);
        if (event.owner != NULL && !event.owner->alive) {
            continue;
        }
        world->now_us = event.time_us;
        world->counters.events++;
        world_note(world, "event", event.owner == NULL ? UINT32_MAX : event.owner->machine->number,
                   event.time_us, event.sequence);
        event.fn(event.context);
        return true;
    }
    return false;
}

void hf_world_run(struct hf_world *world, uint64_t duration_us)
{
    uint64_t end_us = world->now_us + duration_us;
    while (world->event_count > 0 && world->events[0].time_us <= end_us) {
        /* A dropped event at the top must not let a later one run. */
        if (world->events[0].owner != NULL && !world->events[0].owner->alive) {
            (void)event_pop(world);
            continue;
        }
        (void)hf_world_step(world);
    }
    world->now_us = end_us;
}

void hf_world_trace(struct hf_world *world, uint64_t value)
{
    world->trace = hf_sim_mix(world->trace ^ value);
}

uint64_t hf_world_trace_hash(const struct hf_world *world)
{
    return world->trace;
}

void hf_world_trace_text(struct hf_world *world, void *to)
{
    world->trace_to = to;
}

void world_note(struct hf_world *world, const char *what, uint32_t machine, uint64_t a, uint64_t b)
{
    world->trace = hf_sim_mix(world->trace ^ (a * 0x9E3779B97F4A7C15u) ^ b ^
                              ((uint64_t)machine << 56) ^ ((uint64_t)(uint8_t)what[0] << 48));
    if (world->trace_to != NULL) {
        fprintf(world->trace_to, "%12llu m%d %-10s %llu %llu\n", (unsigned long long)world->now_us,
                machine == UINT32_MAX ? -1 : (int)machine, what, (unsigned long long)a,
                (unsigned long long)b);
    }
}
