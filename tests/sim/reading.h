/*
 * Readings that outlive the draft which they were made in.
 *
 * Owns: nothing; the copies live in the run's arena. Must never: point into the node. Called by:
 * submission.c copies, judge_read.c compares.
 */
#ifndef HF_TESTS_SIM_READING_H
#define HF_TESTS_SIM_READING_H

#include "core/read.h"

/* One item of a page. */
struct run_item {
    uint64_t position;        /* of the commit */
    uint64_t commit_checksum; /* of its frame */
    uint32_t event;           /* place in the commit; UINT32_MAX = not one of its events */
    bool has_side;            /* entries */
    uint64_t side_version;
    struct hf_totals side_totals;
};

struct run_reading {
    enum hf_err code;
    struct hf_entity entity;  /* if code is OK */
    struct hf_str text;       /* or absent */
    uint64_t commit_position; /* 0 = none */
    uint64_t commit_checksum; /* of its frame */
    struct run_item *items;
    uint32_t item_count;
    bool more;
    uint64_t position;
    uint64_t time_us;
};

struct run_reading *reading_copy(struct hf_arena *arena, const struct hf_reading *reading);

#endif
