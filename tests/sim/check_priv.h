/*
 * Inside the checker: comparing field by field, the first difference in words.
 *
 * Owns: nothing. Must never: be included outside of tests/sim/check*.c.
 */
#ifndef HF_TESTS_SIM_CHECK_PRIV_H
#define HF_TESTS_SIM_CHECK_PRIV_H

#include "sim/check.h"

struct hf_compare_at {
    const char *what; /* "commit 17 op 2" */
    const char *part; /* "debit side" or "" */
    char *text;       /* of the difference; HF_DIFFERENCE_BYTES */
};

/* Says so; returns false. */
bool hf_differ(const struct hf_compare_at *c, const char *field, const char *real,
               const char *model);
bool hf_same_number(const struct hf_compare_at *c, const char *field, uint64_t real,
                    uint64_t model);
/* Absent is not empty. */
bool hf_same_text(const struct hf_compare_at *c, const char *field, struct hf_str real,
                  struct hf_str model);
bool hf_same_name(const struct hf_compare_at *c, const char *field, const struct hf_name *real,
                  const struct hf_name *model);
bool hf_same_asset(const struct hf_compare_at *c, const struct hf_asset *real,
                   const struct hf_asset *model);

struct hf_subscription_settings;
bool hf_same_settings(const struct hf_compare_at *c, const struct hf_subscription_settings *real,
                      const struct hf_subscription_settings *model);

/* check_queue.c: of the events that topics and subscriptions make. */
bool hf_compare_queue_event(const struct hf_compare_at *c, const struct hf_event *real,
                            const struct hf_event *model);
/* The state's subscriptions and delayed messages against the model's. */
bool hf_checker_queues(struct hf_checker *checker, const struct hf_state *state,
                       char difference[HF_DIFFERENCE_BYTES]);

#endif
