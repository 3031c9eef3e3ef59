/*
 * The checker: holds what the real thing decided, told and kept against the model.
 *
 * Owns: a model, and the answers that wait until the model has reached the position that they saw.
 * Must never: take the real thing's word for a rule; only the bytes of patched documents are taken over
 * (after they were found to mean the same) and the order of the system's expiries.
 * Called by: the simulator, tests/unit/core_random_test.c.
 *
 * 1. Commits come in the order of the log, each once.
 * 2. An answer that was not recorded comes before the commit behind the one that it saw.
 * 3. Every function returns false at the first difference and says in words where it is.
 */
#ifndef HF_TESTS_SIM_CHECK_H
#define HF_TESTS_SIM_CHECK_H

#include "core/state.h"
#include "sim/model.h"
#include "sim/queue_witness.h"

#define HF_DIFFERENCE_BYTES 512

/* An answer that is no commit of its own. */
struct hf_told {
    const struct hf_command *command; /* whose; copied if it has to wait */
    enum hf_model_outcome outcome;    /* REFUSED, REPLAYED; ACCEPTED only of a dry run */
    enum hf_err code;                 /* REFUSED */
    enum hf_where where;              /* REFUSED */
    uint32_t index;                   /* REFUSED */
    const struct hf_entity *current;  /* REFUSED; NULL = not compared. Only when it need not wait */
    const struct hf_outcome *outcomes; /* of a command of units; else NULL */
    uint64_t replayed_position;        /* REPLAYED */
    bool unit;                         /* REPLAYED: a unit of that commit, with `code` */
    const struct hf_commit
        *draft;            /* dry run: what would be recorded; NULL = not compared. As above */
    uint64_t saw_position; /* newest commit that the decision knew */
    uint64_t time_us;      /* of the decision */
};

struct hf_told_waiting {
    struct hf_told told;          /* its command is the model's copy */
    struct hf_told_waiting *next; /* newest first */
};

struct hf_checker {
    struct hf_model *model;
    struct hf_witness *witness;
    struct hf_told_waiting *waiting; /* in the model's arena */
    uint64_t waiting_count;          /* of them */
    uint64_t commits;                /* compared */
    uint64_t answers;                /* compared */
    uint64_t states;                 /* compared */
};

void hf_checker_init(struct hf_checker *checker, uint64_t key_retention_us);
void hf_checker_release(struct hf_checker *checker);

/* The next commit of the log; command is its client's, NULL for the system's. */
bool hf_checker_commit(struct hf_checker *checker, const struct hf_command *command,
                       const struct hf_commit *real,
                       char difference[HF_DIFFERENCE_BYTES]) HF_WARN_UNUSED;

/* What was told of the records of the command of units that made the commit at this position, which the model has passed. */
bool hf_checker_outcomes(const struct hf_checker *checker, uint64_t position,
                         const struct hf_outcome *outcomes, uint32_t count,
                         char difference[HF_DIFFERENCE_BYTES]) HF_WARN_UNUSED;

/* Compared at once, or when the model is at saw_position. */
bool hf_checker_told(struct hf_checker *checker, const struct hf_told *told,
                     char difference[HF_DIFFERENCE_BYTES]) HF_WARN_UNUSED;

/* The whole state, at the model's position. */
bool hf_checker_state(struct hf_checker *checker, const struct hf_state *state,
                      char difference[HF_DIFFERENCE_BYTES]) HF_WARN_UNUSED;

/* One thing as a read at the model's position shows it; kind NONE = not there. */
bool hf_checker_entity(struct hf_checker *checker, enum hf_kind kind, const struct hf_name *name,
                       const struct hf_entity *real,
                       char difference[HF_DIFFERENCE_BYTES]) HF_WARN_UNUSED;

/* Two events, word for word, but the patched document's bytes (JSON is compared). `what` begins the
 * difference, which has room for HF_DIFFERENCE_BYTES. */
bool hf_compare_event(const char *what, const struct hf_event *real, const struct hf_event *model,
                      char *difference) HF_WARN_UNUSED;
bool hf_compare_entity(const char *what, const struct hf_entity *real,
                       const struct hf_entity *model, char *difference) HF_WARN_UNUSED;

/* Behind the last commit: consumers have taken what there was. */
bool hf_checker_drained(struct hf_checker *checker,
                        char difference[HF_DIFFERENCE_BYTES]) HF_WARN_UNUSED;

/* Lines "operation transfer accepted 17" … of everything that is counted; returns how many of those that
 * must not be 0 are. */
size_t hf_counts_write(const struct hf_model_counts *counts, struct hf_buffer *out);
/* The same of commands of units. */
size_t hf_counts_write_units(const struct hf_model_counts *counts, struct hf_buffer *out);
void hf_counts_add(struct hf_model_counts *to, const struct hf_model_counts *from);

#endif
