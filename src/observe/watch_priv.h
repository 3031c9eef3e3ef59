/*
 * What the files of the watch share: what was seen, and what is to be changed.
 */
#ifndef HF_OBSERVE_WATCH_PRIV_H
#define HF_OBSERVE_WATCH_PRIV_H

#include "base/histogram.h"
#include "observe/watch.h"

#define HF_WATCH_PAGE 256u /* subscriptions looked at at once */

/* The name of an alert that is raised. */
struct hf_watch_raised {
    enum hf_alert_kind kind;
    char subject[HF_ALERT_SUBJECT_BYTES_MAX + 1];
};

/* What is judged of a subscription. */
struct hf_watch_subscription {
    char name[HF_NAME_BYTES_MAX + 1];
    uint64_t parked;          /* dead letters */
    uint64_t parked_since_us; /* the oldest of them */
    uint64_t waiting, in_flight;
    uint64_t last_settled_us; /* the newest ack; 0: none ever */
    uint64_t oldest_us;       /* the oldest message that has not ended; 0: there is none */
};

/* Writes of the log, counted up to some moment: sync_us's buckets. */
struct hf_watch_syncs {
    uint64_t at_us; /* monotonic */
    uint64_t counts[HF_HISTOGRAM_BOUNDS_MAX + 1];
};

/* A round of judging. */
struct hf_judging {
    const struct hf_alert_limits *limits;
    uint64_t now_us; /* log time */
    struct hf_watch_raised raised[HF_ALERTS_MAX];
    uint32_t raised_count;
    /* what is to be changed; texts lie beside */
    struct hf_alert_change changes[HF_ALERT_CHANGES_MAX];
    char subjects[HF_ALERT_CHANGES_MAX][HF_ALERT_SUBJECT_BYTES_MAX + 1];
    char texts[HF_ALERT_CHANGES_MAX][HF_ALERT_TEXT_BYTES_MAX + 1];
    uint32_t change_count; /* what finds no room has its turn in the next round */
};

bool hf_judging_is_raised(const struct hf_judging *judging, enum hf_alert_kind kind,
                          const char *subject);
/* The alert is to be raised (if `is`) or cleared, if it is not so already. */
void hf_judge(struct hf_judging *judging, enum hf_alert_kind kind, const char *subject, bool is,
              uint64_t since_us, const char *format, ...) HF_PRINTF(6, 7);

void hf_judge_subscription(struct hf_judging *judging, const struct hf_watch_subscription *s);
/* A page of names, ascending, of those behind `after` up to its last one (to_end: to the end): alerts about others there are
 * about what is gone. */
void hf_judge_gone(struct hf_judging *judging, const struct hf_watch_subscription *page,
                   uint32_t count, const char *after, bool to_end);
void hf_judge_disk(struct hf_judging *judging, const char *directory, uint64_t free_bytes,
                   uint64_t all_bytes);
void hf_judge_audit(struct hf_judging *judging, const struct hf_audit_report *report);
/* Between two moments. */
void hf_judge_syncs(struct hf_judging *judging, const struct hf_histogram *histogram,
                    const struct hf_watch_syncs *before, const struct hf_watch_syncs *after);

#endif
