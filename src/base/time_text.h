/*
 * Times as text: RFC 3339, UTC, microseconds; and back.
 *
 * Owns: nothing. Must never: ask a clock or a time zone. Called by: codecs.
 * Times are µs since 1970-01-01T00:00:00Z without leap seconds; range years 1970 to 9999.
 */
#ifndef HF_BASE_TIME_TEXT_H
#define HF_BASE_TIME_TEXT_H

#include "base/types.h"

#define HF_TIME_TEXT_BYTES 28                    /* "2020-08-30T17:44:25.000000Z" and NUL */
#define HF_TIME_US_MAX     253402300799999999ull /* 9999-12-31T23:59:59.999999Z */

/* Always with six digits of fraction. time_us above HF_TIME_US_MAX is shown as that. */
void hf_time_format(uint64_t time_us, char text[HF_TIME_TEXT_BYTES]);

/* "YYYY-MM-DDThh:mm:ss[.f{1,6}]Z"; lower-case t and z are fine, offsets and leap seconds are not.
 * false if it is anything else or no such day exists. */
bool hf_time_parse(struct hf_str text, uint64_t *time_us) HF_WARN_UNUSED;

#endif
