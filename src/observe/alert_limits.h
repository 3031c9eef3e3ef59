/*
 * From when on something is an alert: the thresholds, and how users write them.
 *
 * Owns: the defaults and the syntax "kind=VALUE": a duration (250ms 30s 15m 2h 1d), for disk_low a size (512MiB 2GiB), on, off.
 * Must never: ask a clock or a state. Called by: serve's options, the watch, tests.
 *
 *   audit_failed          on     the last pass of the audit met damage, or could not be made
 *   saga_parked           on     a saga can't go on without an operator
 *   saga_failing          15m    a call of a saga has been failing for so long
 *   compensation_late     15m    a saga has been compensating for so long
 *   dead_letter           on     a subscription has dead letters
 *   subscription_stalled  5m     messages wait or are out, and for so long nothing was acked
 *   message_old           1d     a message that has not ended is so old
 *   disk_low              1GiB   less is free where the data are; cleared with a tenth more
 *   log_slow              250ms  of the writes of the log in the last minute more than one in a hundred took longer
 *   memory_low            on     near the limit of memory: some requests are refused; cleared when there is room
 */
#ifndef HF_OBSERVE_ALERT_LIMITS_H
#define HF_OBSERVE_ALERT_LIMITS_H

#include "core/alert.h"

struct hf_alert_limits {
    bool on[HF_ALERT_KIND_COUNT]; /* off: never raised, and cleared if it is */
    uint64_t
        value[HF_ALERT_KIND_COUNT]; /* µs; disk_low: bytes; of those that are only on or off 0 */
};

struct hf_alert_limits hf_alert_limits_default(void);

/* "subscription_stalled=30s". false: *why, static, says what is wrong. */
bool hf_alert_limits_set(struct hf_alert_limits *limits, struct hf_str text, const char **why);

/* "15m" in µs; "16MiB" in bytes. false: it is none. */
bool hf_duration_parse(struct hf_str text, uint64_t *us);
bool hf_size_parse(struct hf_str text, uint64_t *bytes);

#endif
