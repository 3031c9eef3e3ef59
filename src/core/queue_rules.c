#include "core/queue_rules.h"

#include "base/check.h"

/* splitmix64's last steps: every bit of the input reaches every bit of the result. */
static uint64_t mix(uint64_t value)
{
    value ^= value >> 30;
    value *= 0xBF58476D1CE4E5B9u;
    value ^= value >> 27;
    value *= 0x94D049BB133111EBu;
    return value ^ (value >> 31);
}

uint64_t hf_backoff_us(const struct hf_subscription_settings *settings,
                       const struct hf_place *message, uint32_t tries)
{
    HF_CHECK(tries >= 1);
    uint64_t whole_ms = settings->backoff_first_ms;
    for (uint32_t i = 1; i < tries && whole_ms > 0 && whole_ms < settings->backoff_max_ms; i++) {
        whole_ms *= 2; /* below 2 × a day: no overflow */
    }
    uint64_t whole_us = hf_min_u64(whole_ms, settings->backoff_max_ms) * 1000;
    uint64_t half_us = whole_us / 2;
    uint64_t hash = mix(mix(message->position + 0x9E3779B97F4A7C15u) ^
                        ((uint64_t)message->index << 32 | tries));
    return half_us + hash % (whole_us - half_us + 1);
}

static bool used_up(const struct hf_subscription_settings *settings, uint32_t tries)
{
    return tries >= settings->attempts_max;
}

enum hf_try_end hf_try_failed(const struct hf_subscription_settings *settings, uint32_t tries,
                              bool own)
{
    if (!used_up(settings, tries) || settings->exhausted == HF_EXHAUSTED_BLOCK) {
        return HF_TRY_BACKS_OFF;
    }
    return hf_try_parked(settings, own);
}

enum hf_try_end hf_try_parked(const struct hf_subscription_settings *settings, bool own)
{
    bool itself = settings->exhausted == HF_EXHAUSTED_PARK_MESSAGE;
    return itself && !own ? HF_TRY_PARKS_ITSELF : HF_TRY_PARKS_LINE;
}

uint64_t hf_not_before_us(const struct hf_subscription_settings *settings,
                          const struct hf_place *message, uint32_t tries, uint64_t now_us)
{
    if (used_up(settings, tries)) {
        return now_us + settings->backoff_max_ms * 1000;
    }
    return now_us + hf_backoff_us(settings, message, tries);
}
