#include "observe/alert_limits.h"

#include "base/u128.h"

#define SECOND_US 1000000ull
#define MINUTE_US (60 * SECOND_US)
#define MIB       (1ull << 20)

struct unit {
    const char *name;
    uint64_t factor;
};

struct hf_alert_limits hf_alert_limits_default(void)
{
    struct hf_alert_limits limits = {
        .value = {[HF_ALERT_SAGA_FAILING] = 15 * MINUTE_US,
                  [HF_ALERT_COMPENSATION_LATE] = 15 * MINUTE_US,
                  [HF_ALERT_SUBSCRIPTION_STALLED] = 5 * MINUTE_US,
                  [HF_ALERT_MESSAGE_OLD] = 1440 * MINUTE_US,
                  [HF_ALERT_DISK_LOW] = 1024 * MIB,
                  [HF_ALERT_LOG_SLOW] = 250000},
    };
    for (unsigned kind = 1; kind < HF_ALERT_KIND_COUNT; kind++) {
        limits.on[kind] = true;
    }
    return limits;
}

/* Digits and one of the units. */
static bool parse_amount(struct hf_str text, const struct unit *units, size_t unit_count,
                         uint64_t *amount)
{
    size_t digits = 0;
    uint64_t number = 0;
    for (; digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9'; digits++) {
        number = number * 10 + (uint64_t)(text.ptr[digits] - '0');
        if (number > UINT32_MAX) {
            return false;
        }
    }
    struct hf_str rest = {text.ptr + digits, text.len - digits};
    for (size_t i = 0; digits > 0 && i < unit_count; i++) {
        if (hf_str_equal(rest, hf_str_from(units[i].name))) {
            *amount = number * units[i].factor;
            return true;
        }
    }
    return false;
}

bool hf_duration_parse(struct hf_str text, uint64_t *us)
{
    static const struct unit units[] = {{"ms", 1000},
                                        {"s", SECOND_US},
                                        {"m", MINUTE_US},
                                        {"h", 60 * MINUTE_US},
                                        {"d", 1440 * MINUTE_US}};
    return parse_amount(text, units, HF_ARRAY_COUNT(units), us);
}

bool hf_size_parse(struct hf_str text, uint64_t *bytes)
{
    static const struct unit units[] = {
        {"KiB", 1024}, {"MiB", MIB}, {"GiB", 1024 * MIB}, {"TiB", MIB * MIB}};
    return parse_amount(text, units, HF_ARRAY_COUNT(units), bytes);
}

bool hf_alert_limits_set(struct hf_alert_limits *limits, struct hf_str text, const char **why)
{
    const char *equals = text.len == 0 ? NULL : memchr(text.ptr, '=', text.len);
    size_t length = equals == NULL ? 0 : (size_t)(equals - text.ptr);
    enum hf_alert_kind kind = hf_alert_kind_from_wire((struct hf_str){text.ptr, length});
    *why = "expected KIND=VALUE, KIND an alert's: audit_failed, saga_parked, saga_failing, "
           "compensation_late, dead_letter, subscription_stalled, message_old, disk_low, log_slow, "
           "memory_low";
    if (equals == NULL || kind == HF_ALERT_NONE) {
        return false;
    }
    struct hf_str value = {equals + 1, text.len - length - 1};
    bool on = hf_str_equal(value, HF_STR("on"));
    if (on || hf_str_equal(value, HF_STR("off"))) {
        limits->on[kind] = on;
        return true;
    }
    uint64_t amount = 0;
    *why = "expected on or off";
    if (limits->value[kind] == 0) {
        return false;
    }
    *why = kind == HF_ALERT_DISK_LOW ? "expected a size (512MiB, 2GiB), on or off"
                                     : "expected a duration (250ms, 30s, 15m, 2h, 1d), on or off";
    bool taken = kind == HF_ALERT_DISK_LOW ? hf_size_parse(value, &amount)
                                           : hf_duration_parse(value, &amount);
    if (!taken || amount == 0) {
        return false;
    }
    limits->on[kind] = true;
    limits->value[kind] = amount;
    return true;
}
