/*
 * The rules by which tries are counted and spread: pure functions of settings, message and tries.
 *
 * Owns: backoff and what happens when tries are used up. Must never: look at state or a clock; be asked by evolve
 * (an event holds what came out, so that a later rule replays to the same state). Called by: decide.
 */
#ifndef HF_CORE_QUEUE_RULES_H
#define HF_CORE_QUEUE_RULES_H

#include "core/queue_event.h"

/* How long a message waits after its tries-th failed try (tries ≥ 1), in µs: min(max, first × 2^(tries−1)), of which
 * between half and all, by a hash of message and tries. */
uint64_t hf_backoff_us(const struct hf_subscription_settings *settings,
                       const struct hf_place *message, uint32_t tries);

/* What a failed try leads to. */
enum hf_try_end {
    HF_TRY_BACKS_OFF,
    HF_TRY_PARKS_LINE,   /* later messages wait behind it */
    HF_TRY_PARKS_ITSELF, /* it leaves its line */
};

/* After the tries-th failed try. own: it is alone in its line already. */
enum hf_try_end hf_try_failed(const struct hf_subscription_settings *settings, uint32_t tries,
                              bool own);
/* Asked to be parked. */
enum hf_try_end hf_try_parked(const struct hf_subscription_settings *settings, bool own);
/* When a message whose try failed and that backs off may go out again; `block` and used up: at the longest. */
uint64_t hf_not_before_us(const struct hf_subscription_settings *settings,
                          const struct hf_place *message, uint32_t tries, uint64_t now_us);

/* How many messages may leave the main line now, if the subscription has so many lines. */
static inline uint64_t hf_own_lines_max(const struct hf_subscription_settings *settings,
                                        uint64_t lines)
{
    return lines <= settings->lines_max ? settings->lines_max + 1 - lines : 0;
}

#endif
