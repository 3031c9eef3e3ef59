/*
 * Verification of a data directory: everything stored is whole and follows from the log.
 *
 * Owns: the report. Must never: take the directory over, change it, trust a stored sum or hash that
 * can be computed anew. Called by: `holdfast verify`, demo, import of events.
 *
 * First pass, over the log: which checkpoints it records, of what has passed by then. Second pass: checksums, places, epochs, the
 * hash chain, every record decodes, every text has its SHA-256 and every name its 128 bits; the replay from zero: balances,
 * versions, floors and ceilings entry by entry; the state's hash at each recorded checkpoint; each stored checkpoint file
 * against the replayed state, each index run against the records that its commits make. At the end Σ debits = Σ credits
 * per asset. Memory: the state, a piece of the index's records, and of a run that is compared its filter and a bit a record.
 *
 * A living owner may go on meanwhile: what is verified is what was in the log when it began.
 */
#ifndef HF_CLI_VERIFY_H
#define HF_CLI_VERIFY_H

#include "cli/walk.h"
#include "core/state.h"
#include "store/checkpoint.h"

#define HF_VERIFY_PROBLEMS_MAX 20 /* described; more are only counted */
#define HF_VERIFY_PIECE_RECORDS                                                                    \
    ((size_t)4 << 20) /* of the index, compared at once; 80 bytes each meanwhile */

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
    size_t piece_records;    /* HF_VERIFY_PIECE_RECORDS from init on; tests make it small */
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
/* Compares the checkpoints of this very position with the state. */
enum hf_err hf_verify_compare(const struct hf_state *state, const struct hf_log_head *head,
                              struct hf_verify_report *report, struct hf_error *error);
/* Positions at which hf_verify_compare has something to do. */
bool hf_verify_is_moment(const struct hf_verify_report *report, uint64_t position);

/* verify_index.c: index runs against a replay, of which hf_state_only_store was called. */
struct hf_verify_run;
struct hf_verify_index {
    struct hf_outside *outside;      /* borrowed, like… */
    const char *directory;           /* …this… */
    struct hf_verify_report *report; /* …and this */
    struct hf_verify_run *runs;      /* owned; those of the report's files */
    size_t run_count;
};

enum hf_err hf_verify_index_begin(struct hf_verify_index *index, struct hf_outside *outside,
                                  const char *directory, struct hf_verify_report *report,
                                  struct hf_error *error) HF_WARN_UNUSED;
/* Behind each commit of the replay. Takes the state's index records now and then. */
enum hf_err hf_verify_index_take(struct hf_verify_index *index, struct hf_state *state,
                                 struct hf_error *error) HF_WARN_UNUSED;
void hf_verify_index_end(struct hf_verify_index *index);

#endif
