/*
 * The running audit: a paced pass over what is stored, again and again, beside the server's work.
 *
 *   log ─────────► every batch from the disk: checksums, places, epochs, hash chain, records, texts
 *   checkpoints ─► the older one + the log = the newer one; both = what the log recorded of them; each index run's pages
 *   balances ────► the newer one + the log = what the node answers with: account by account, sums per asset; Σ debits = Σ credits
 *
 * Owns: a thread, a reader of the log of its own (past the page cache), the report. Must never: write to the directory, take the
 * log over, hold the node up (it submits ordinary reads of a page of accounts), read faster than its rate. Called by: serve,
 * when its node leads and before the engine is closed; the door and the watch ask for the report.
 *
 * 1. What is compared at a pass's begin is what was durable then; commits that come meanwhile are the next pass's.
 * 2. A pass that meets damage goes on behind it. Findings say what and where; at most HF_AUDIT_FINDINGS_MAX are kept, all are counted.
 * 3. Its memory: a few MiB, one copy of the state while checkpoints and balances are compared, an index run's filter.
 */
#ifndef HF_OBSERVE_AUDIT_H
#define HF_OBSERVE_AUDIT_H

#include "node/node.h"

#define HF_AUDIT_FINDINGS_MAX     20u
#define HF_AUDIT_INTERVAL_US      3600000000ull /* by default, from begin to begin */
#define HF_AUDIT_RATE_BYTES_PER_S (16ull << 20) /* by default */

enum hf_audit_part {
    HF_AUDIT_NOTHING = 0,
    HF_AUDIT_LOG,
    HF_AUDIT_CHECKPOINTS,
    HF_AUDIT_BALANCES,
};

const char *hf_audit_part_wire(enum hf_audit_part part); /* "log" */

enum hf_audit_result {
    HF_AUDIT_UNDER_WAY = 0,
    HF_AUDIT_OK,         /* everything was looked at, and is as it must be */
    HF_AUDIT_DAMAGED,    /* see the findings */
    HF_AUDIT_INCOMPLETE, /* something could not be looked at: see the findings */
    HF_AUDIT_STOPPED,    /* the server stopped, or leads no more */
};

const char *hf_audit_result_wire(enum hf_audit_result result); /* "ok" */

struct hf_audit_finding {
    enum hf_audit_part part;
    bool damage;                    /* else it could not be looked at */
    uint64_t position;              /* the last one that was good before it; 0 = none */
    char text[HF_ERROR_TEXT_BYTES]; /* what, and where */
};

struct hf_audit_pass {
    enum hf_audit_result result;
    enum hf_audit_part part;             /* UNDER_WAY: what it is at */
    uint64_t started_at_us, ended_at_us; /* wall clock */
    uint64_t duration_us;                /* so far */
    uint64_t from_position, to_position; /* of the log: what is looked at */
    uint64_t position;                   /* UNDER_WAY, in the log: so far */
    uint64_t bytes;                      /* read and compared, of all files */
    uint64_t batches, commits;           /* of the log */
    uint64_t checkpoints;                /* stored ones that the replay gave again */
    uint64_t replayed;                   /* commits */
    uint64_t index_runs, index_records;
    uint64_t accounts; /* compared with what the node answers */
    uint64_t assets;
    uint64_t finding_count;
    struct hf_audit_finding findings[HF_AUDIT_FINDINGS_MAX];
};

struct hf_audit_report {
    uint64_t interval_us; /* 0: only when asked for */
    uint64_t rate_bytes_per_s;
    uint64_t passes;     /* ended since the start, stopped ones apart */
    uint64_t next_in_us; /* until the next one begins; UINT64_MAX: when asked for */
    bool running;        /* `current` is under way */
    bool has_last;       /* `last` is of a pass that ended, not stopped */
    struct hf_audit_pass current, last;
};

struct hf_audit_options {
    struct hf_outside *outside;   /* the engine's */
    struct hf_node *node;         /* outlives the audit */
    const char *directory;        /* the data directory */
    uint64_t interval_us;         /* 0: only when asked for */
    uint64_t rate_bytes_per_s;    /* 0: as fast as it goes */
    void (*ended)(void *context); /* behind each pass, on the audit's thread; may be NULL */
    void *context;                /* its */
};

struct hf_audit;

/* Starts the thread. IO, NO_MEMORY… */
enum hf_err hf_audit_new(const struct hf_audit_options *options, struct hf_audit **audit,
                         struct hf_error *error) HF_WARN_UNUSED;
/* Stops a pass under way and ends the thread; NULL is fine. The node must still be stepped, or have ended. */
void hf_audit_free(struct hf_audit *audit);

/* Begins a pass now. false: one is under way. Any thread. */
bool hf_audit_run(struct hf_audit *audit);
/* Any thread. */
void hf_audit_report(struct hf_audit *audit, struct hf_audit_report *report);

#endif
