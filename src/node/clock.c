#include "node/clock.h"

#define SLEW_PARTS 2000u /* one µs of correction in so many µs: 500 ppm */

void hf_clock_start(struct hf_clock *clock, struct hf_outside *outside, uint64_t last_us)
{
    clock->monotonic_us = outside->monotonic_us(outside);
    clock->time_us = hf_max_u64(outside->wall_us(outside), last_us + 1);
    clock->budget_us = 0;
}

uint64_t hf_clock_now(struct hf_clock *clock, struct hf_outside *outside)
{
    uint64_t monotonic_us = outside->monotonic_us(outside);
    uint64_t elapsed_us =
        monotonic_us > clock->monotonic_us ? monotonic_us - clock->monotonic_us : 0;
    uint64_t wall_us = outside->wall_us(outside);
    clock->monotonic_us = hf_max_u64(monotonic_us, clock->monotonic_us);
    clock->time_us += elapsed_us;
    clock->budget_us += elapsed_us;
    uint64_t most_us = clock->budget_us / SLEW_PARTS;
    uint64_t used_us = 0;
    if (wall_us > clock->time_us) {
        used_us = hf_min_u64(wall_us - clock->time_us, most_us);
        clock->time_us += used_us;
    } else if (wall_us < clock->time_us) {
        /* Backwards at most as far as time has just gone on: it never falls. */
        used_us = hf_min_u64(hf_min_u64(clock->time_us - wall_us, most_us), elapsed_us);
        clock->time_us -= used_us;
    } else {
        clock->budget_us = 0;
        return clock->time_us;
    }
    clock->budget_us -= used_us * SLEW_PARTS;
    return clock->time_us;
}
