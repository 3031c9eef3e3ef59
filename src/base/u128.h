/*
 * 128-bit amounts: checked arithmetic, decimal text.
 *
 * Owns: nothing. Must never: wrap around silently. Called by: core, codecs.
 *
 * Totals stop at HF_TOTAL_MAX = 2^127 - 1, so that the difference of two totals fits a signed
 * 128-bit number.
 */
#ifndef HF_BASE_U128_H
#define HF_BASE_U128_H

#include "base/types.h"

#define HF_U128_MAX  (~(hf_u128)0)
#define HF_TOTAL_MAX (HF_U128_MAX >> 1)
#define HF_I128_MAX  ((hf_i128)HF_TOTAL_MAX)
#define HF_I128_MIN  (-HF_I128_MAX - 1)

#define HF_U128_TEXT_BYTES 40 /* 39 digits and NUL */
#define HF_I128_TEXT_BYTES 41 /* a sign more */

/* false on overflow; then *sum is unchanged. */
static inline bool hf_u128_add(hf_u128 a, hf_u128 b, hf_u128 *sum)
{
    hf_u128 result;
    if (__builtin_add_overflow(a, b, &result)) {
        return false;
    }
    *sum = result;
    return true;
}

/* false if b > a; then *difference is unchanged. */
static inline bool hf_u128_sub(hf_u128 a, hf_u128 b, hf_u128 *difference)
{
    if (b > a) {
        return false;
    }
    *difference = a - b;
    return true;
}

/* A sum of many 128-bit numbers: 2^192 - 1 at most, which 2^64 of them can't pass. */
struct hf_wide {
    hf_u128 low;   /* the lower 128 bits */
    uint64_t high; /* what stands above them */
};

static inline void hf_wide_add(struct hf_wide *sum, hf_u128 value)
{
    sum->low += value;
    sum->high += sum->low < value;
}

/* value was added before. */
static inline void hf_wide_sub(struct hf_wide *sum, hf_u128 value)
{
    sum->high -= sum->low < value;
    sum->low -= value;
}

static inline bool hf_wide_equal(const struct hf_wide *a, const struct hf_wide *b)
{
    return a->low == b->low && a->high == b->high;
}

#define HF_WIDE_TEXT_BYTES 59 /* 58 digits and NUL */
size_t hf_wide_format(const struct hf_wide *value, char text[HF_WIDE_TEXT_BYTES]);

/* Decimal digits without sign, leading zeros, point or blanks ("0" is fine); false otherwise or
 * if it is 2^128 or more. */
bool hf_u128_parse(struct hf_str text, hf_u128 *value) HF_WARN_UNUSED;
/* The same with an optional leading "-" ("-0" is refused); range of a signed 128-bit number
 * without its lowest value. */
bool hf_i128_parse(struct hf_str text, hf_i128 *value) HF_WARN_UNUSED;

/* Writes digits and a NUL; returns the digits' count. */
size_t hf_u128_format(hf_u128 value, char text[HF_U128_TEXT_BYTES]);
size_t hf_i128_format(hf_i128 value, char text[HF_I128_TEXT_BYTES]);

/* Signed values as unsigned ones, small magnitudes first (zig-zag), for varints. */
static inline hf_u128 hf_i128_zigzag(hf_i128 value)
{
    return ((hf_u128)value << 1) ^ (value < 0 ? HF_U128_MAX : 0);
}

static inline hf_i128 hf_i128_unzigzag(hf_u128 value)
{
    return (hf_i128)((value >> 1) ^ ((value & 1) != 0 ? HF_U128_MAX : 0));
}

#endif
