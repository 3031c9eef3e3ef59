/*
 * The end of a run for its messages: no more faults, and consumers receive and ack until nothing is left
 * but dead letters (some of which they redrive first). What does not come to its end is a failure.
 */
#include <stdio.h>

#include "base/check.h"
#include "sim/run.h"

#define ROUNDS_MAX 4000u
#define DRAIN_US_MAX                                                                               \
    60000000u           /* virtual time: leases end, what backs off comes back, scans catch up */
#define PAUSE_US 20000u /* between two rounds in which nothing was to be had */

/* Anything that a consumer or time moves on. */
static bool has_more(const struct hf_subscription *subscription)
{
    return !subscription->live || subscription->ready.count > 0 || subscription->out.count > 0 ||
           subscription->backing_off.count > 0 || subscription->redrive.active;
}

/* The first subscription that has more, by name; NULL: none. */
static const struct hf_subscription *next_of(const struct hf_state *state, struct hf_str after,
                                             bool parked)
{
    const struct hf_subscription *next = NULL;
    const struct hf_subscription *at;
    size_t slot = 0;
    while ((at = hf_table_next(&state->queue.subscriptions, &slot)) != NULL) {
        bool wanted = parked ? at->parked.count > 0 : has_more(at);
        if (wanted && hf_str_compare(at->name.text, after) > 0 &&
            (next == NULL || hf_str_compare(at->name.text, next->name.text) < 0)) {
            next = at;
        }
    }
    return next;
}

/* A delayed message that comes soon: the others are days away. */
static bool delayed_soon(const struct hf_state *state)
{
    const struct hf_delayed *delayed;
    size_t slot = 0;
    while ((delayed = hf_table_next(&state->queue.delayed, &slot)) != NULL) {
        if (delayed->due_us < state->time_us + DRAIN_US_MAX) {
            return true;
        }
    }
    return false;
}

/* Runs until nothing is under way. */
static void settle(struct run *run)
{
    uint64_t from_us = hf_world_now_us(run->world);
    while (run->failure[0] == '\0' && run->ops_open > 0) {
        hf_world_run(run->world, 500);
        if (hf_world_now_us(run->world) - from_us > DRAIN_US_MAX / 10) {
            (void)run_fail(run, "stuck: consumers get no answer after the last fault");
        }
    }
}

/* One step for each subscription that has more. Returns how many have. */
static unsigned one_round(struct run *run, const struct hf_state *state, bool redrives)
{
    struct hf_str names[16];
    bool full[16]; /* of dead letters: nothing else goes out */
    unsigned count = 0;
    struct hf_str after = HF_STR("");
    const struct hf_subscription *subscription;
    while (count < HF_ARRAY_COUNT(names) &&
           (subscription = next_of(state, after, redrives)) != NULL) {
        names[count] = hf_arena_copy(&run->arena, subscription->name.text);
        HF_CHECK(names[count].ptr != NULL);
        full[count] = subscription->parked.count > subscription->settings.lines_max / 2;
        after = names[count++];
    }
    for (unsigned i = 0; i < count && run->failure[0] == '\0'; i++) {
        client_drain(run, names[i], redrives || full[i]);
        settle(run);
    }
    return count;
}

static const struct hf_state *leading_state(struct run *run)
{
    struct run_house *leader = house_leader(run);
    return leader == NULL || leader->status.position != leader->status.durable_position
               ? NULL
               : hf_node_state(leader->node);
}

static void fail_stuck(struct run *run)
{
    const struct hf_state *state = leading_state(run);
    const struct hf_subscription *s = state == NULL ? NULL : next_of(state, HF_STR(""), false);
    if (s == NULL) {
        (void)run_fail(run, "stuck: nobody leads, or a message that is due does not arrive");
        return;
    }
    (void)run_fail(
        run,
        "stuck: messages of %.*s do not come to their end: %s, scanned %llu of %llu, %zu "
        "lines of %u: %zu ready, %zu out, %zu backing off, %zu parked; %llu in flight "
        "of %u%s",
        (int)s->name.text.len, s->name.text.ptr, s->live ? "live" : "behind",
        (unsigned long long)s->scanned, (unsigned long long)state->position, s->lines.count,
        s->settings.lines_max, s->ready.count, s->out.count, s->backing_off.count, s->parked.count,
        (unsigned long long)s->in_flight, s->settings.in_flight_max,
        s->redrive.active ? "; a redrive is under way" : "");
}

void drain(struct run *run)
{
    uint64_t from_us = hf_world_now_us(run->world);
    bool redrives = hf_sim_random_chance(&run->random, HF_PPM / 2);
    uint64_t position = 0;
    while (run->failure[0] == '\0') {
        const struct hf_state *state = leading_state(run);
        if (state != NULL) {
            if (redrives) {
                redrives = false;
                (void)one_round(run, state, true);
                continue;
            }
            if (one_round(run, state, false) == 0 && !delayed_soon(state)) {
                return;
            }
        }
        state = leading_state(run);
        bool idle = state != NULL && state->position == position;
        position = state == NULL ? 0 : state->position;
        hf_world_run(run->world, idle ? PAUSE_US : 500);
        if (hf_world_now_us(run->world) - from_us > DRAIN_US_MAX) {
            fail_stuck(run);
        }
    }
}
