/*
 * Random numbers of the simulation: xoshiro256**, seeded by splitmix64.
 *
 * Owns: nothing. Must never: take anything but its seed into account, so that a run replays.
 * Chances are given in parts per million; there is no floating point. Called by: tests/sim, tests.
 */
#ifndef HF_TESTS_SIM_RANDOM_H
#define HF_TESTS_SIM_RANDOM_H

#include "base/types.h"

#define HF_PPM 1000000u /* always */

struct hf_sim_random {
    uint64_t state[4]; /* never all zero */
};

static inline uint64_t hf_sim_mix(uint64_t value)
{
    value += 0x9E3779B97F4A7C15u;
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
    return value ^ (value >> 31);
}

static inline struct hf_sim_random hf_sim_random_from(uint64_t seed)
{
    struct hf_sim_random random;
    for (unsigned i = 0; i < 4; i++) {
        random.state[i] = hf_sim_mix(seed + i * 0x9E3779B97F4A7C15u);
    }
    random.state[0] |= 1;
    return random;
}

static inline uint64_t hf_sim_random_u64(struct hf_sim_random *random)
{
    uint64_t *s = random->state;
    uint64_t scaled = s[1] * 5;
    uint64_t result = ((scaled << 7) | (scaled >> 57)) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = (s[3] << 45) | (s[3] >> 19);
    return result;
}

/* 0 … bound - 1; bound > 0. */
static inline uint64_t hf_sim_random_below(struct hf_sim_random *random, uint64_t bound)
{
    return (uint64_t)(((hf_u128)hf_sim_random_u64(random) * bound) >> 64);
}

/* low … high, both included. */
static inline uint64_t hf_sim_random_between(struct hf_sim_random *random, uint64_t low,
                                             uint64_t high)
{
    return low + hf_sim_random_below(random, high - low + 1);
}

/* true with a chance of ppm in a million; draws nothing when ppm is 0. */
static inline bool hf_sim_random_chance(struct hf_sim_random *random, uint32_t ppm)
{
    return ppm != 0 && hf_sim_random_below(random, HF_PPM) < ppm;
}

/* An independent stream: what is drawn from it later does not move the parent. */
static inline struct hf_sim_random hf_sim_random_fork(struct hf_sim_random *random)
{
    return hf_sim_random_from(hf_sim_random_u64(random));
}

static inline void hf_sim_random_bytes(struct hf_sim_random *random, void *data, size_t size_bytes)
{
    uint8_t *to = data;
    while (size_bytes > 0) {
        uint64_t value = hf_sim_random_u64(random);
        size_t part = size_bytes < 8 ? size_bytes : 8;
        memcpy(to, &value, part);
        to += part;
        size_bytes -= part;
    }
}

#endif
