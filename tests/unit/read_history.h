/*
 * Random histories for the tests of reads, and what their commits tell.
 *
 * Owns: a core rig, the facts found by decoding every commit anew. Must never: use what reads use (index, chains of
 * entries). Called by: read_test, read_list_test. SEED=n makes every history of that seed.
 */
#ifndef HF_TESTS_UNIT_READ_HISTORY_H
#define HF_TESTS_UNIT_READ_HISTORY_H

#include "unit/core_rig.h"

#define START_US     1600000000000000ull
#define ENTRIES_MAX  20000u
#define ACCOUNTS     10u
#define ROUNDS_BOUND 24u /* of fetching: a search over the indexed entries, one chain, reversals */

/* An entry of an account as the commits tell it. */
struct fact {
    uint32_t account; /* number */
    uint64_t version;
    uint64_t position;
    uint64_t time_us;
    struct hf_totals totals;
    bool posts;            /* a transfer, capture or reversal */
    bool opens_hold;       /* its hold is `id` */
    bool debit;            /* of the posting */
    hf_u128 amount;        /* if it posts */
    uint64_t effective_us; /* if it posts */
    char id[64];           /* transfer or hold */
};

struct history {
    struct core_rig rig;
    struct core_rig_answer answer;
    uint64_t random;
    uint64_t now_us;
    unsigned transfers, holds; /* made so far */
    struct fact *facts;
    size_t fact_count;
    uint64_t opened_position[ACCOUNTS], opened_us[ACCOUNTS];
    uint64_t *times; /* of commits, by position */
    uint32_t rounds_most;
};

/* What was read, and what it points into. */
struct look {
    struct hf_records records;
    struct hf_reading reading;
};

extern const char *const history_accounts[ACCOUNTS];
extern struct hf_arena history_names; /* of query names; the test's to init and release */

uint64_t history_below(struct history *h, uint64_t bound); /* random */
void history_begin(struct history *h, enum core_rig_mode mode, uint64_t seed);
void history_end(struct history *h);
/* Asks core_rig_ask, a little later than before. */
void history_ask(struct history *h, const char *text);
/* So many commits more, learned. */
void history_grow(struct history *h, unsigned commits);
/* Finds the facts. */
void history_learn(struct history *h);

struct hf_name history_name(const char *text);
/* Reads; asserts that the rounds of fetching stay within ROUNDS_BOUND. */
void history_look(struct history *h, const struct hf_query *query, struct look *look);
void history_look_done(struct look *look);

#endif
