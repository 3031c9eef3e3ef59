/*
 * Counts of what a set of runs met.
 *
 * Owns: numbers only, so that a report can be shared between processes and added up. Must never: hold
 * real time in what is to be the same for the same seed. Called by: every part of the simulator.
 */
#ifndef HF_TESTS_SIM_REPORT_H
#define HF_TESTS_SIM_REPORT_H

#include "node/node.h"
#include "sim/check.h"
#include "sim/log_sim.h"
#include "sim/world.h"

#define REPORT_CODES  256
#define REPORT_PHASES 8

/* What the faults did, by name. */
#define REPORT_TROUBLES(X)                                                                         \
    X(KILL, "kill -9")                                                                             \
    X(POWER, "power loss")                                                                         \
    X(POINT, "armed point")                                                                        \
    X(STANDBY, "standby takes over")                                                               \
    X(FENCE, "fenced by nobody")                                                                   \
    X(STOP, "stopped with a seal")                                                                 \
    X(FULL_DISK, "full disk")                                                                      \
    X(SLOW_DISK, "slow disk")                                                                      \
    X(IO_ERRORS, "I/O errors")                                                                     \
    X(CLOCK, "clock steps")                                                                        \
    X(LOG, "log faults")                                                                           \
    X(LOG_FULL, "full log")                                                                        \
    X(CHECKPOINT, "forced checkpoint")                                                             \
    X(IN_FLIGHT, "crash with an append in flight")                                                 \
    X(IN_RECOVERY, "crash in recovery")

enum report_trouble {
#define REPORT_TROUBLE_ENUM(name, text) REPORT_TROUBLE_##name,
    REPORT_TROUBLES(REPORT_TROUBLE_ENUM)
#undef REPORT_TROUBLE_ENUM
        REPORT_TROUBLE_COUNT,
};

struct report {
    uint64_t runs;
    uint64_t runs_of_driver[3]; /* by enum run_driver */
    uint64_t trace;             /* hash of the last run */
    uint64_t virtual_us;
    uint64_t operations; /* of clients */
    uint64_t ended_runs; /* crashes and takeovers */
    uint64_t submissions;
    uint64_t duplicates; /* sent beside or after the first */
    uint64_t retries;
    uint64_t waiting_receives;                  /* that may wait for a message */
    uint64_t gave_up;                           /* waits that were too long */
    uint64_t abandoned;                         /* operations without a known outcome */
    uint64_t lost;                              /* submissions whose process ended */
    uint64_t refused_at_door[2];                /* by submit: not ready, overloaded */
    uint64_t new_commits;                       /* answers */
    uint64_t replays;                           /* answers */
    uint64_t unrecorded;                        /* answers */
    uint64_t dry_runs;                          /* answers */
    uint64_t cancels;                           /* answers to cancel of a key */
    uint64_t reads[HF_QUERY_TYPE_COUNT];        /* answers */
    uint64_t reads_absent[HF_QUERY_TYPE_COUNT]; /* of these: not found */
    uint64_t undecided[REPORT_CODES];           /* answers without a decision */
    uint64_t start_errors[REPORT_CODES];
    uint64_t locked;                /* a standby found the lock held */
    uint64_t phases[REPORT_PHASES]; /* nodes that ended so */
    uint64_t troubles[REPORT_TROUBLE_COUNT];
    uint64_t snapshots; /* states kept after a start */
    uint64_t states_compared;
    uint64_t commits_compared;
    uint64_t answers_compared;
    uint64_t system_commits[HF_EVENT_TYPE_COUNT];
    uint64_t checkpoints_compared; /* recorded hashes against the replay */
    uint64_t batches;
    uint64_t fetches;
    uint64_t rebuilds;
    uint64_t starts;
    uint64_t starts_from_checkpoint;
    uint64_t starts_sealed;
    uint64_t starts_torn;
    uint64_t replayed_commits;
    uint64_t checkpoint_errors;
    uint64_t merges;     /* index runs of more than one checkpoint that were met */
    uint64_t key_merges; /* index runs that expired keys were left out of */
    struct hf_world_counters world;
    struct hf_log_sim_counters log;
    struct hf_model_counts model;
};

void report_answer(struct report *report, const struct hf_command *command,
                   const struct hf_query *query, const struct hf_answer *answer);
void report_status(struct report *report, const struct hf_node_status *status);
void report_recovery(struct report *report, const struct hf_node_status *status);
void report_world(struct report *report, const struct hf_world_counters *counters);
void report_log(struct report *report, const struct hf_log_sim_counters *counters);
void report_add(struct report *to, const struct report *from);

/* Writes all counts, as lines or as one JSON object. Returns how many of those that must not be 0 over a
 * big set are, or are too low; if strict they are named. drivers: bits by enum run_driver that ran. */
size_t report_write(const struct report *report, unsigned drivers, bool json, bool strict,
                    struct hf_buffer *out);

void report_say_answer(uint64_t now_us, uint64_t number, uint32_t house,
                       const struct hf_answer *answer);

#endif
