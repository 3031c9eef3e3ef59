/*
 * The simulated log driver: a replicated log in memory, shared by machines, with every fault.
 *
 * Owns: the stored batches of one log, the messages under way to it, what its clients were told.
 * Must never: break I1–I6 of log/log.h itself; answer what its contract does not allow.
 * Called by: the simulator program, the contract suite.
 *
 * 1. A batch travels as a message that outlives its sender. It is stored when it arrives, if its epoch
 *    owns the log and its batch_id was not declared NEVER. The same batch_id is stored once, however
 *    often it arrives.
 * 2. A takeover settles, at random, whether a message under way came just before it or never will.
 * 3. What is appended is checked against I1 (seq, positions), I2, I3 (epochs) and I5 (the chain is
 *    recomputed): HF_CHECK with a condition named after the invariant. So is the client's side of the
 *    contract: no other batch while an AMBIGUOUS one is unresolved, one append at a time.
 * 4. FAILED is final for that struct hf_log: every further append is FAILED.
 * 5. Stored is durable: the log survives every crash of machines.
 */
#ifndef HF_TESTS_SIM_LOG_SIM_H
#define HF_TESTS_SIM_LOG_SIM_H

#include "log/log.h"
#include "sim/world.h"

struct hf_log_sim;

/* Chances in parts per million, delays in µs; may be changed at any time. Calm by default: no faults. */
struct hf_log_sim_knobs {
    uint32_t delay_us_min;         /* of a message, one way (default 50) */
    uint32_t delay_us_max;         /* the same (default 500) */
    uint32_t late_us_max;          /* further delay of a late or slow message (default 50,000) */
    uint32_t slow_ppm;             /* an append or its answer takes up to late_us_max more */
    uint32_t ambiguous_stored_ppm; /* stored, the answer is lost */
    uint32_t ambiguous_lost_ppm;   /* lost on the way */
    uint32_t ambiguous_late_ppm;   /* reported AMBIGUOUS while still on its way */
    uint32_t failed_ppm;           /* FAILED; stored in half of the cases */
    uint32_t no_space_ppm;         /* NO_SPACE */
    uint32_t
        phantom_takeover_ppm; /* at an append: somebody else takes the log over, appends nothing */
    uint32_t resolve_never_ppm;  /* of the resolves that may choose between RETRY and NEVER */
    uint32_t confirm_failed_ppm; /* confirm can't tell */
    uint32_t
        takeover_failed_ppm;  /* takeover fails with HF_ERR_IO; half of them have fenced already */
    uint32_t read_failed_ppm; /* read fails with HF_ERR_IO */
    bool full;                /* every append is NO_SPACE until it is switched off */
};

/* What was told to clients, and what became of batches. */
struct hf_log_sim_counters {
    uint64_t append_ok;               /* told OK */
    uint64_t append_fenced;           /* told FENCED */
    uint64_t append_ambiguous_stored; /* told AMBIGUOUS, was in the log by then */
    uint64_t append_ambiguous_lost;   /* told AMBIGUOUS, was lost on the way */
    uint64_t append_ambiguous_late;   /* told AMBIGUOUS, still on its way */
    uint64_t append_failed_stored;    /* told FAILED, is in the log */
    uint64_t append_failed_lost;      /* told FAILED, never arrives */
    uint64_t append_no_space;         /* told NO_SPACE */
    uint64_t resolve_committed;       /* told so */
    uint64_t resolve_never;           /* told so */
    uint64_t resolve_retry;           /* told so */
    uint64_t resolve_fenced;          /* told so */
    uint64_t confirm_ok;              /* told so */
    uint64_t confirm_fenced;          /* told so */
    uint64_t confirm_failed;          /* told so */
    uint64_t takeovers;               /* that returned an epoch */
    uint64_t takeovers_failed;        /* that failed, fenced or not */
    uint64_t takeovers_of_living;     /* the owner was still running */
    uint64_t takeovers_in_flight;     /* an append of an older epoch was under way */
    uint64_t in_flight_stored;        /* of these: came before */
    uint64_t in_flight_rejected;      /* messages that arrived with a fenced epoch */
    uint64_t orphans_stored;          /* stored after their sender's process had ended */
    uint64_t late_stored;             /* stored after AMBIGUOUS had been told */
    uint64_t duplicates;              /* arrivals of what was stored already */
    uint64_t phantom_takeovers;       /* by nobody */
    uint64_t seals;                   /* clean stops */
    uint64_t reads_failed;            /* HF_ERR_IO */
};

struct hf_log_sim *hf_log_sim_new(struct hf_world *world);
/* Every struct hf_log of it must be closed; messages under way must not arrive any more (free the
 * world first or never step it again). */
void hf_log_sim_free(struct hf_log_sim *sim);

struct hf_log_sim_knobs *hf_log_sim_knobs(struct hf_log_sim *sim);
const struct hf_log_sim_counters *hf_log_sim_counters(const struct hf_log_sim *sim);

/* A client's view: answers come as events of the outside's process, with ring(). As every driver's:
 * close by log->driver->close (also after the process died). */
enum hf_err hf_log_sim_open(struct hf_log_sim *sim, struct hf_outside *outside, struct hf_log **log,
                            struct hf_error *error);

/* The truth, for checkers: what is stored now. */
struct hf_log_head hf_log_sim_head(const struct hf_log_sim *sim);
/* The stored batch of seq (first_seq … head.seq), or NULL; encoded as read() gives it. */
const uint8_t *hf_log_sim_stored(const struct hf_log_sim *sim, uint64_t seq, size_t *size_bytes);
/* Somebody else takes over now (as phantom_takeover_ppm). */
void hf_log_sim_fence(struct hf_log_sim *sim);
/* I1–I5 over everything stored; aborts if one is broken. */
void hf_log_sim_verify(const struct hf_log_sim *sim);

#endif
