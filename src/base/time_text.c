#include "base/time_text.h"

#include <stdio.h>

#define DAY_US 86400000000ull

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar; years start in March, so that
 * the leap day is the last one and the days before a month are (153 m + 2) / 5. */
static uint64_t days_of(uint32_t year, uint32_t month, uint32_t day)
{
    uint64_t y = month <= 2 ? year - 1u : year;
    uint64_t m = month <= 2 ? month + 9u : month - 3u;
    return y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static void date_of(uint64_t days, uint32_t *year, uint32_t *month, uint32_t *day)
{
    uint64_t since = days + 719468;
    uint64_t era = since / 146097;
    uint64_t in_era = since % 146097;
    uint64_t y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    uint64_t in_year = in_era - (365 * y + y / 4 - y / 100);
    uint64_t m = (5 * in_year + 2) / 153;
    *day = (uint32_t)(in_year - (153 * m + 2) / 5 + 1);
    *month = (uint32_t)(m < 10 ? m + 3 : m - 9);
    *year = (uint32_t)(y + era * 400 + (*month <= 2 ? 1 : 0));
}

void hf_time_format(uint64_t time_us, char text[HF_TIME_TEXT_BYTES])
{
    uint64_t at = hf_min_u64(time_us, HF_TIME_US_MAX);
    uint32_t year, month, day;
    date_of(at / DAY_US, &year, &month, &day);
    uint64_t rest = at % DAY_US;
    uint64_t fields[] = {
        year,           month, day, rest / 3600000000u, rest / 60000000u % 60, rest / 1000000u % 60,
        rest % 1000000u};
    static const uint8_t widths[] = {4, 2, 2, 2, 2, 2, 6};
    static const char separators[] = "--T::.Z";
    char *to = text;
    for (size_t i = 0; i < HF_ARRAY_COUNT(fields); i++) {
        for (size_t digit = widths[i]; digit > 0; digit--) {
            to[digit - 1] = (char)('0' + (int)(fields[i] % 10));
            fields[i] /= 10;
        }
        to += widths[i];
        *to++ = separators[i];
    }
    *to = '\0';
}

/* Reads exactly `count` digits at *at. */
static bool digits(struct hf_str text, size_t *at, size_t count, uint32_t *value)
{
    *value = 0;
    for (size_t i = 0; i < count; i++, (*at)++) {
        if (*at >= text.len || text.ptr[*at] < '0' || text.ptr[*at] > '9') {
            return false;
        }
        *value = *value * 10 + (uint32_t)(text.ptr[*at] - '0');
    }
    return true;
}

static bool one_of(struct hf_str text, size_t *at, char a, char b)
{
    if (*at >= text.len || (text.ptr[*at] != a && text.ptr[*at] != b)) {
        return false;
    }
    (*at)++;
    return true;
}

static bool fraction(struct hf_str text, size_t *at, uint32_t *us)
{
    *us = 0;
    if (!one_of(text, at, '.', '.')) {
        return true;
    }
    size_t count = 0;
    while (*at < text.len && text.ptr[*at] >= '0' && text.ptr[*at] <= '9' && count < 6) {
        *us = *us * 10 + (uint32_t)(text.ptr[*at] - '0');
        (*at)++;
        count++;
    }
    for (size_t i = count; i < 6; i++) {
        *us *= 10;
    }
    return count > 0;
}

bool hf_time_parse(struct hf_str text, uint64_t *time_us)
{
    size_t at = 0;
    uint32_t year, month, day, hour, minute, second, us;
    if (!digits(text, &at, 4, &year) || !one_of(text, &at, '-', '-') ||
        !digits(text, &at, 2, &month) || !one_of(text, &at, '-', '-') ||
        !digits(text, &at, 2, &day) || !one_of(text, &at, 'T', 't') ||
        !digits(text, &at, 2, &hour) || !one_of(text, &at, ':', ':') ||
        !digits(text, &at, 2, &minute) || !one_of(text, &at, ':', ':') ||
        !digits(text, &at, 2, &second) || !fraction(text, &at, &us) ||
        !one_of(text, &at, 'Z', 'z') || at != text.len) {
        return false;
    }
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 ||
        second > 59) {
        return false;
    }
    uint64_t days = days_of(year, month, day);
    uint32_t check_year, check_month, check_day;
    date_of(days, &check_year, &check_month, &check_day);
    if (check_year != year || check_month != month || check_day != day) {
        return false;
    }
    *time_us = days * DAY_US + ((uint64_t)hour * 3600 + minute * 60 + second) * 1000000 + us;
    return true;
}
