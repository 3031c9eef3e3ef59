/*
 * What every unit test includes: cmocka, and an assert for 128-bit numbers (cmocka's own integer
 * asserts truncate them).
 */
#ifndef HF_TESTS_UNIT_SUPPORT_H
#define HF_TESTS_UNIT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/u128.h"

static inline void hf_assert_u128(hf_u128 actual, hf_u128 expected, const char *file, int line)
{
    if (actual != expected) {
        char actual_text[HF_U128_TEXT_BYTES];
        char expected_text[HF_U128_TEXT_BYTES];
        hf_u128_format(actual, actual_text);
        hf_u128_format(expected, expected_text);
        print_error("%s is not %s\n", actual_text, expected_text);
        _fail(file, line);
    }
}

#define assert_u128_equal(actual, expected) hf_assert_u128((actual), (expected), __FILE__, __LINE__)

#endif
