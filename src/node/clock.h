/*
 * Log time: follows the monotonic clock, slews to the wall clock, never jumps, never goes back.
 *
 * Owns: the anchor. Must never: step. At most 500 ppm of the elapsed time are corrected, so a wall clock
 * that is set by an hour is followed within 83 days, and a lease is never cut short by it.
 * Called by: node.
 */
#ifndef HF_NODE_CLOCK_H
#define HF_NODE_CLOCK_H

#include "outside/outside.h"

struct hf_clock {
    uint64_t monotonic_us; /* at the last reading */
    uint64_t time_us;      /* log time then */
    uint64_t budget_us;    /* elapsed time that allows corrections */
};

/* Starts at the wall clock, or right behind last_us if that is later. */
void hf_clock_start(struct hf_clock *clock, struct hf_outside *outside, uint64_t last_us);
/* µs since 1970 UTC; never less than before. */
uint64_t hf_clock_now(struct hf_clock *clock, struct hf_outside *outside);

#endif
