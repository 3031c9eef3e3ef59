/*
 * Verification of a data directory: everything stored is whole and follows from the log.
 *
 * Owns: the report. Must never: take the directory over, change it, trust a stored sum or hash that
 * can be computed anew. Called by: `holdfast verify`, demo, import of events.
 *
 * First pass, over the log: checksums, places, epochs, the hash chain, every record decodes, every text has
 * its SHA-256 and every name its 128 bits. Second pass, replay from zero: balances, versions, floors and
 * ceilings entry by entry; the state's hash at each recorded checkpoint; each stored checkpoint file and
 * each index run against the replayed state and index. At the end Σ debits = Σ credits per asset.
 *
 * A living owner may go on meanwhile: what is verified is what was in the log when it began.
 */
#ifndef HF_CLI_VERIFY_H
#define HF_CLI_VERIFY_H

#include "cli/walk.h"
#include "core/state.h"
#include "store/checkpoint.h"

#define HF_VERIFY_PROBLEMS_MAX 20 /* described; more are only counted */

/* A CHECKPOINT event of the log. */
struct hf_verify_recorded {
    uint64_t position;    /* of the state */
    struct hf_hash hash;  /* of its canonical bytes, as recorded */
    uint64_t recorded_at; /* commit that says so */
};

/* A stored checkpoint, or an index run, to be compared when the replay is there. */
struct hf_verify_file {
    uint64_t position;              /* of the state; last position of a run */
    bool is_run;                    /* else a checkpoint */
    struct hf_run_ref run;          /* if is_run */
    struct hf_hash hash;            /* checkpoint: of the state */
    struct hf_checkpoint_meta meta; /* checkpoint */
    uint64_t
        dropped_to; /* run: of keys, those of positions up to here may have left it; 0 = none */
    bool compared;  /* the replay came to it */
};

struct hf_verify_report {
    struct hf_log_head head; /* of the log */
    uint64_t first_time_us, last_time_us;
    uint64_t commits, client_commits, refusals, events;
    uint64_t transfers; /* posted, captures and reversals too */
    uint64_t takeovers, torn_tails;
    uint64_t accounts, open_holds, streams, documents, leases; /* at the end */
    struct hf_asset_totals *totals;                            /* in arena */
    size_t total_count;
    struct hf_hash state_hash;           /* at the end */
    struct hf_verify_recorded *recorded; /* owned; ascending */
    size_t recorded_count, recorded_capacity;
    size_t recorded_compared;     /* equal to the replayed state */
    struct hf_verify_file *files; /* owned; ascending by position */
    size_t file_count, file_capacity;
    size_t checkpoints, runs; /* files that were compared */
    uint64_t index_records;   /* of runs, compared one by one */
    uint64_t problem_count;   /* 0: all is well */
    char problems[HF_VERIFY_PROBLEMS_MAX][HF_ERROR_TEXT_BYTES];
    struct hf_arena arena;
};

void hf_verify_report_init(struct hf_verify_report *report);
void hf_verify_report_release(struct hf_verify_report *report);

typedef void (*hf_verify_progress_fn)(void *context, uint64_t done, uint64_t total);

/* OK: it could be done, and report->problem_count says what came of it. Else why not (NOT_FOUND, IO,
 * NO_MEMORY, VERSION). progress may be NULL. */
enum hf_err hf_verify(struct hf_outside *outside, const char *directory,
                      hf_verify_progress_fn progress, void *context,
                      struct hf_verify_report *report, struct hf_error *error) HF_WARN_UNUSED;

/* For verify's own files. */
void hf_verify_problem(struct hf_verify_report *report, const char *format, ...) HF_PRINTF(2, 3);
/* Lists the stored checkpoints and the runs that they name, verified each by itself. */
enum hf_err hf_verify_list_files(struct hf_outside *outside, const char *directory,
                                 struct hf_verify_report *report, struct hf_error *error);
/* Compares what is stored of this very position. walk stands behind its commit. */
enum hf_err hf_verify_compare(struct hf_outside *outside, const char *directory,
                              const struct hf_state *state, const struct hf_log_head *head,
                              struct hf_verify_report *report, struct hf_error *error);
/* Positions at which hf_verify_compare has something to do. */
bool hf_verify_is_moment(const struct hf_verify_report *report, uint64_t position);

#endif
