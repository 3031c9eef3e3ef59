/*
 * Alerts: what an operator must know, raised once and cleared once.
 *
 * Owns: the kinds, the table of raised alerts, the newest cleared ones, their changes as commands and events. Must never: know why
 * an alert is raised (observe/watch.c does), do I/O, ask a clock. Called by: state (evolve, checkpoints), decide, reads.
 *
 * 1. An alert is named by kind and subject. `raised` has each name at most once, ascending by (kind, subject).
 * 2. Raising what is raised and clearing what is not changes nothing and is not recorded: so whoever watches may repeat himself.
 * 3. At most HF_ALERTS_MAX are raised; one more is not recorded. `cleared` has the newest ones, oldest first.
 */
#ifndef HF_CORE_ALERT_H
#define HF_CORE_ALERT_H

#include "base/arena.h"
#include "base/errors.h"
#include "base/types.h"

/* X(NAME, "wire name") in the order of their frozen numbers, from 1. */
#define HF_ALERT_KINDS(X)                                                                          \
    X(AUDIT_FAILED, "audit_failed")                                                                \
    X(SAGA_PARKED, "saga_parked")                                                                  \
    X(SAGA_FAILING, "saga_failing")                                                                \
    X(COMPENSATION_LATE, "compensation_late")                                                      \
    X(DEAD_LETTER, "dead_letter")                                                                  \
    X(SUBSCRIPTION_STALLED, "subscription_stalled")                                                \
    X(MESSAGE_OLD, "message_old")                                                                  \
    X(DISK_LOW, "disk_low")                                                                        \
    X(LOG_SLOW, "log_slow")                                                                        \
    X(MEMORY_LOW, "memory_low")

enum hf_alert_kind {
    HF_ALERT_NONE = 0,
#define HF_ALERT_ENUM(name, wire) HF_ALERT_##name,
    HF_ALERT_KINDS(HF_ALERT_ENUM)
#undef HF_ALERT_ENUM
        HF_ALERT_KIND_COUNT,
};

const char *hf_alert_wire(enum hf_alert_kind kind);             /* "dead_letter" */
enum hf_alert_kind hf_alert_kind_from_wire(struct hf_str wire); /* NONE if it is none */

#define HF_ALERTS_MAX              256u
#define HF_ALERTS_CLEARED_MAX      64u
#define HF_ALERT_CHANGES_MAX       32u  /* of one command */
#define HF_ALERT_SUBJECT_BYTES_MAX 160u /* "subscriptions/" and a name */
#define HF_ALERT_TEXT_BYTES_MAX    512u

struct hf_alert {
    enum hf_alert_kind kind;
    struct hf_str
        subject; /* "subscriptions/mailer", "log"; printable ASCII without quote and backslash, not empty */
    struct hf_str text;       /* for people; UTF-8 without control characters */
    uint64_t since_us;        /* when what it tells of began */
    uint64_t raised_at_us;    /* the commit's time… */
    uint64_t raised_position; /* …and position */
    uint64_t cleared_at_us;   /* 0: it is raised */
    uint64_t cleared_position;
};

/* ALERT_RAISED, ALERT_CLEARED. */
struct hf_alert_event {
    enum hf_alert_kind kind;
    struct hf_str subject;
    struct hf_str text;       /* cleared: why, or what it was */
    uint64_t since_us;        /* cleared: as raised */
    uint64_t raised_position; /* cleared: of the commit that raised it; raised: 0 */
};

/* What a watcher wants; texts are its own until the command is answered. */
struct hf_alert_change {
    bool clear; /* else raise */
    enum hf_alert_kind kind;
    struct hf_str subject;
    struct hf_str text;
    uint64_t since_us; /* raise */
};

struct hf_alerts {
    struct hf_alert *raised[HF_ALERTS_MAX]; /* owned */
    uint32_t raised_count;
    struct hf_alert *cleared[HF_ALERTS_CLEARED_MAX]; /* owned */
    uint32_t cleared_count;
};

void hf_alerts_release(struct hf_alerts *alerts);
/* NULL: it is not raised. */
const struct hf_alert *hf_alerts_find(const struct hf_alerts *alerts, enum hf_alert_kind kind,
                                      struct hf_str subject);
/* All invariants by walks; aborts if one is broken. */
void hf_alerts_verify(const struct hf_alerts *alerts);

/* May these texts stand in an alert? */
bool hf_alert_texts_valid(struct hf_str subject, struct hf_str text);

/* For the state's files. One allocation with the texts behind it; NULL: memory is short. */
struct hf_alert *hf_alert_new(const struct hf_alert *from) HF_WARN_UNUSED;
/* Takes the alert over. false: it is raised already or there is no room; the alert is freed. */
bool hf_alerts_raise(struct hf_alerts *alerts, struct hf_alert *alert);
/* Moves it to the newest cleared ones. The caller has found it. */
void hf_alerts_clear(struct hf_alerts *alerts, enum hf_alert_kind kind, struct hf_str subject,
                     uint64_t time_us, uint64_t position);
/* As loaded: behind the cleared ones so far. false: there is no room; the alert is freed. */
bool hf_alerts_add_cleared(struct hf_alerts *alerts, struct hf_alert *alert);

#endif
