/*
 * Readings that outlive the draft which they were made in.
 *
 * Owns: nothing; the copies live in the run's arena. Must never: point into the node. Called by:
 * submission.c copies, judge_read.c compares.
 */
#ifndef HF_TESTS_SIM_READING_H
#define HF_TESTS_SIM_READING_H

#include "core/read.h"

/* For reports. */
const char *run_query_name(enum hf_query_type type);
/* Lists by name and totals are never "not found". */
bool run_query_may_miss(enum hf_query_type type);

/* One item of a page. */
struct run_item {
    uint64_t position;        /* of the commit */
    uint64_t commit_checksum; /* of its frame */
    uint32_t event;           /* place in the commit; UINT32_MAX = not one of its events */
    bool has_side;            /* entries */
    uint64_t side_version;
    struct hf_totals side_totals;
};

/* A line of a statement. */
struct run_line {
    uint64_t version;
    uint64_t position;
    uint64_t time_us;
    hf_i128 change; /* signed */
    hf_i128 posted; /* after it */
};

/* A subscription as it was. */
struct run_subscription {
    struct hf_str name;
    uint64_t uid, version;
    bool live;
    uint64_t scanned, lag;
    uint64_t arrived, ended, acked, discarded, deliveries, failed_tries, parkings, in_flight,
        waiting;
    uint64_t ready_lines, parked_lines, next_ready_us;
};

struct run_dead {
    struct hf_place place;
    uint32_t tries;
    uint64_t parked_at_us;
    struct hf_str error; /* or absent */
};

struct run_try {
    uint64_t delivered_by; /* commit; 0 = none */
    uint64_t ended_by;     /* the same */
    enum hf_settlement end;
};

struct run_reading {
    struct run_subscription subscription;
    struct hf_str *names; /* of subscriptions */
    uint32_t name_count;
    struct run_dead *dead;
    uint32_t dead_count;
    enum hf_message_state message_state; /* message history */
    struct run_try *tries;
    uint32_t try_count;
    enum hf_err code;
    struct hf_entity entity;  /* if code is OK */
    struct hf_str text;       /* or absent */
    uint64_t commit_position; /* 0 = none */
    uint64_t commit_checksum; /* of its frame */
    struct run_item *items;
    uint32_t item_count;
    struct hf_entity *entities;
    uint32_t entity_count;
    struct hf_balance balance;
    struct hf_balance opening;
    struct hf_balance closing;
    struct run_line *lines;
    uint32_t line_count;
    struct hf_asset_sums totals;
    bool more;
    uint64_t next_from;
    struct hf_str next_after;
    uint64_t position;
    uint64_t time_us;
};

struct run_reading *reading_copy(struct hf_arena *arena, const struct hf_reading *reading);

#endif
