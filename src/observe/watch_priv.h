/*
 * What the files of the watch share: what was seen, and what is to be changed.
 */
#ifndef HF_OBSERVE_WATCH_PRIV_H
#define HF_OBSERVE_WATCH_PRIV_H

#include "base/histogram.h"
#include "observe/watch.h"

#define HF_WATCH_PAGE      256u /* subscriptions looked at at once… */
#define HF_WATCH_SAGA_PAGE 64u  /* …and sagas of each list */
#define HF_WATCH_SAGAS_MAX                                                                         \
    32u /* sagas of a kind that have an alert each; beyond it one tells of the rest */
#define HF_WATCH_REASON_BYTES 256u

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

/* The lists of sagas that are looked at, by name. */
enum hf_watch_list {
    HF_WATCH_PARKED,
    HF_WATCH_FAILING,
    HF_WATCH_COMPENSATING,
    HF_WATCH_LISTS,
};

/* What is judged of a saga. */
struct hf_watch_saga {
    char name[HF_NAME_BYTES_MAX + 1];
    uint64_t
        since_us; /* when it was parked, its calls began to fail, its oldest compensation began */
    char reason[HF_WATCH_REASON_BYTES]; /* of a parked one; cut if it is longer */
};

/* Names of a page, ascending, of those behind `after`; the last one of all if to_end. */
struct hf_watch_range {
    const char *first; /* the first one's text… */
    size_t stride;     /* …and how far from one to the next */
    uint32_t count;
    const char *after;
    bool to_end;
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

/* Raised from the level FULL on, cleared at ROOM. */
void hf_judge_memory(struct hf_judging *judging, const struct hf_memory *memory);
bool hf_judging_is_raised(const struct hf_judging *judging, enum hf_alert_kind kind,
                          const char *subject);
/* The alert is to be raised (if `is`) or cleared, if it is not so already. */
void hf_judge(struct hf_judging *judging, enum hf_alert_kind kind, const char *subject, bool is,
              uint64_t since_us, const char *format, ...) HF_PRINTF(6, 7);

void hf_judge_subscription(struct hf_judging *judging, const struct hf_watch_subscription *s);
/* Alerts of the kind about "<collection>NAME" whose name should be in the range and is not: what they tell of is over. */
void hf_judge_gone(struct hf_judging *judging, enum hf_alert_kind kind, const char *collection,
                   const struct hf_watch_range *range, const char *text);
/* A page of a list. *seen: how many past their time the sweep has met so far; from the first name on it begins at 0. */
void hf_judge_sagas(struct hf_judging *judging, enum hf_watch_list list,
                    const struct hf_watch_saga *page, const struct hf_watch_range *range,
                    uint64_t *seen);
void hf_judge_disk(struct hf_judging *judging, const char *directory, uint64_t free_bytes,
                   uint64_t all_bytes);
void hf_judge_audit(struct hf_judging *judging, const struct hf_audit_report *report);
/* Between two moments. */
void hf_judge_syncs(struct hf_judging *judging, const struct hf_histogram *histogram,
                    const struct hf_watch_syncs *before, const struct hf_watch_syncs *after);

#endif
