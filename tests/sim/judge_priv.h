/*
 * Inside the judgement: the log as it was read back, and the answers in the order of what they saw.
 *
 * Owns: nothing beyond one judgement. Must never: change what the run kept, but for its own marks.
 * Called by: judge.c, judge_read.c.
 */
#ifndef HF_TESTS_SIM_JUDGE_PRIV_H
#define HF_TESTS_SIM_JUDGE_PRIV_H

#include <stdio.h>

#include "sim/check.h"
#include "sim/run.h"

/* A commit of the log; position - 1 is its place. */
struct judge_commit {
    struct hf_str frame; /* in the judge's arena */
    uint64_t checksum;   /* of the frame */
    struct hf_commit commit;
    struct run_op *op; /* whose; NULL: the system's */
    bool told_new;     /* somebody was told that it was new */
};

struct judge {
    struct run *run;
    struct hf_arena arena;        /* frames and decoded commits */
    struct hf_arena scratch;      /* one answer */
    struct judge_commit *commits; /* owned */
    size_t count;
    size_t capacity;
    size_t *checkpoints; /* owned: which of them record one */
    size_t checkpoint_count;
    size_t checkpoint_capacity;
    struct hf_table commands;        /* by identity: the first struct run_op of it */
    struct run_submission **answers; /* owned; by seen position */
    size_t answer_count;
    struct hf_checker checker;
    const struct hf_state *zero; /* replayed from nothing */
};

/* judge.c: the log as it is, into judge->commits; every recorded checkpoint and the state at the end against a replay. */
bool judge_read_log(struct judge *judge, struct hf_log *log, uint64_t until_seq);
bool judge_from_zero(struct judge *judge, struct hf_log *log, uint64_t until_seq,
                     const struct hf_state *real);
/* A reading against the model and the log up to the model's position. */
bool judge_reading(struct judge *judge, const struct run_submission *submission,
                   char difference[HF_DIFFERENCE_BYTES]);
/* judge_list.c; as judge_reading, each for its types of query */
bool judge_names(struct judge *judge, const struct hf_query *query, const struct run_reading *real,
                 char *difference);
bool judge_of_account(struct judge *judge, const struct hf_query *query,
                      const struct run_reading *real, char *difference);
bool judge_balance(struct judge *judge, const struct hf_query *query,
                   const struct run_reading *real, char *difference);
bool judge_totals(struct judge *judge, const struct hf_query *query, const struct run_reading *real,
                  char *difference);
bool judge_statement(struct judge *judge, const struct hf_query *query,
                     const struct run_reading *real, char *difference);
/* judge_queue.c; the same */
bool judge_subscription(struct judge *judge, const struct hf_query *query,
                        const struct run_reading *real, char *difference);
bool judge_subscriptions(struct judge *judge, const struct hf_query *query,
                         const struct run_reading *real, char *difference);
bool judge_dead(struct judge *judge, const struct hf_query *query, const struct run_reading *real,
                char *difference);
bool judge_messages(struct judge *judge, const struct hf_query *query,
                    const struct run_reading *real, char *difference);
bool judge_history(struct judge *judge, const struct hf_query *query,
                   const struct run_reading *real, char *difference);
/* What was asked for, in a few words. */
void judge_describe(const struct run_op *op, char text[200]);

#endif
