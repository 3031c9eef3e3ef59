/*
 * Deciding: a command against the state, at a time: events, or a refusal.
 *
 * Owns: the rules of Holdfast and the order of answers. Must never: change the state, do I/O, ask a
 * clock. Called by: node's pipeline; tests.
 *
 * Order of answers: key replay or reuse → id replay or *_exists → `if` in order → `do` in order; within an
 * operation: amount_invalid, not found, state, asset, limits, funds. The first failure is the answer.
 * Operations are all or none; later ones see earlier ones.
 *
 * A draft is reused from decision to decision. What hf_decide puts into it lives until the next
 * hf_decide on it.
 */
#ifndef HF_CORE_DECIDE_H
#define HF_CORE_DECIDE_H

#include "core/view.h"

enum hf_decision {
    HF_DECISION_COMMIT, /* draft->commit is to be recorded: effects, or a refusal that is remembered */
    HF_DECISION_ANSWER, /* a refusal that is not recorded: draft->commit has position 0 and one REFUSED */
    HF_DECISION_REPLAY,     /* the answer is the recorded commit draft->replayed */
    HF_DECISION_NEEDS,      /* fetch draft->view.needs, then decide again */
    HF_DECISION_OVERLOADED, /* memory is short; nothing was decided */
    HF_DECISION_DAMAGED,    /* stored records contradict each other: stop */
};

#define HF_OUTCOME_REPLAYED                                                                        \
    1u /* it was decided by an earlier commit, or by an earlier unit of this one */
#define HF_OUTCOME_CHAIN 2u /* refused with its unit: another operation of it is the cause */

/* What became of an operation of a commit of units. */
struct hf_outcome {
    uint16_t code;  /* an enum hf_err; OK: it has taken effect */
    uint16_t flags; /* HF_OUTCOME_… */
};

struct hf_draft {
    struct hf_view view;              /* what is seen; its arena holds all that follows */
    struct hf_commit commit;          /* what is decided */
    const struct hf_commit *replayed; /* REPLAY */
    bool replayed_unit; /* …which is a unit of a recorded commit, made in the arena */
    const struct hf_outcome *outcomes; /* of a command of units, by operation; COMMIT and ANSWER */
    /* Things as the operations so far have left them, by id: copies in the arena. */
    struct hf_table accounts;
    struct hf_table holds;
    struct hf_table streams;
    struct hf_table documents;
    struct hf_table leases;
    struct hf_table subscriptions;
    struct hf_table lines;     /* of subscriptions */
    struct hf_table sagas;     /* struct hf_draft_saga */
    struct hf_index_table ids; /* index records of this very commit; HF_RECORD_ABSENT: taken back */
    struct hf_undo *undo;      /* newest first: what a step's operations have changed so far… */
    bool undoes;               /* …while this is set */
    size_t booked; /* hf_decide_expiries: so many of the things in `due` had their turn */
    uint32_t event_capacity;
    void *
        strip_room; /* owned; decide_strip.c: what a strip is made in, kept from decision to decision */
    size_t strip_room_bytes;
};

void hf_draft_init(struct hf_draft *draft);
void hf_draft_release(struct hf_draft *draft);

/* Index keys that the command's decision is sure to look up; from the command alone, so any thread may
 * fetch them beforehand. false if memory is short. */
bool hf_decide_needs(const struct hf_command *command, struct hf_needs *needs) HF_WARN_UNUSED;

/* Of the index record of the id that a plain record calls new. */
static inline uint8_t hf_index_kind_of_plain(const struct hf_packed_transfer *plain)
{
    return plain->type == HF_OP_HOLD ? HF_INDEX_HOLD : HF_INDEX_TRANSFER;
}

/* records may be NULL. now_us: clock; the commit's time is max(now_us, state's + 1). */
enum hf_decision hf_decide(const struct hf_state *state, const struct hf_records *records,
                           const struct hf_command *command, uint64_t now_us,
                           uint64_t key_retention_us, struct hf_draft *draft) HF_WARN_UNUSED;

/* System commits. Each COMMIT, ANSWER (nothing to do) or OVERLOADED; expiries and scans may have NEEDS, too. */
/* Books what is due, in (due, kind, id) order. `due` lists it; with COMMIT the first draft->booked are done, the others are given
 * back by the caller before the commit is recorded. */
enum hf_decision hf_decide_expiries(const struct hf_state *state, const struct hf_records *records,
                                    const struct hf_due *due, size_t count, uint64_t now_us,
                                    struct hf_draft *draft) HF_WARN_UNUSED;
/* The next arrivals of the past for a subscription that wants a scan: at most about `most` of them (one commit's come
 * together). NEEDS: of the log; ANSWER: it wants none, or there is no room for its lines. */
enum hf_decision hf_decide_scan(const struct hf_state *state, const struct hf_records *records,
                                uint64_t uid, uint32_t most, uint64_t now_us,
                                struct hf_draft *draft) HF_WARN_UNUSED;
enum hf_decision hf_decide_system(const struct hf_state *state, enum hf_event_type type,
                                  const struct hf_system *system, uint64_t now_us,
                                  struct hf_draft *draft) HF_WARN_UNUSED;

#endif
