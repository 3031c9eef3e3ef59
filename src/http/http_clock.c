#include "http/http_clock.h"

#include <time.h>

#include "base/check.h"
#include "base/time_text.h"

static struct timespec clock_of(clockid_t clock)
{
    struct timespec now;
    HF_CHECK(clock_gettime(clock, &now) == 0);
    return now;
}

uint64_t hf_http_now_ms(void)
{
    struct timespec now = clock_of(CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t hf_http_wall_seconds(void)
{
    return (uint64_t)clock_of(CLOCK_REALTIME).tv_sec;
}

void hf_http_date_format(uint64_t seconds, char text[HF_HTTP_DATE_BYTES + 1])
{
    static const char days[] = "ThuFriSatSunMonTueWed"; /* 1970-01-01 was a Thursday */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char time_text[HF_TIME_TEXT_BYTES]; /* "2020-08-30T17:44:25.000000Z" */
    hf_time_format(seconds * 1000000, time_text);
    unsigned month = (unsigned)(time_text[5] - '0') * 10 + (unsigned)(time_text[6] - '0');
    (void)snprintf(text, HF_HTTP_DATE_BYTES + 1, "%.3s, %.2s %.3s %.4s %.8s GMT",
                   days + 3 * (seconds / 86400 % 7), time_text + 8,
                   months + (size_t)3 * (month - 1), time_text, time_text + 11);
}
