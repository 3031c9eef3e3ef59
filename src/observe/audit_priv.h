/*
 * What the files of the audit share: the pass under way.
 */
#ifndef HF_OBSERVE_AUDIT_PRIV_H
#define HF_OBSERVE_AUDIT_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/state.h"
#include "node/replay.h"
#include "observe/audit.h"
#include "store/checkpoint.h"

#define HF_AUDIT_RECORDED_MAX                                                                      \
    16u /* the newest checkpoints that the log recorded: more are not stored either */

/* A CHECKPOINT event of the log. */
struct hf_audit_recorded {
    uint64_t position;
    struct hf_hash hash;
};

struct hf_audit {
    struct hf_audit_options options;
    char *directory; /* owned */
    pthread_t thread;
    pthread_mutex_t mutex;  /* guards what follows */
    pthread_cond_t changed; /* wanted, stopping, or a read is answered */
    bool wanted;
    bool stopping;
    bool answered; /* of the read that the pass waits for */
    struct hf_audit_report report;
    uint64_t next_us; /* monotonic; the next pass */

    /* The audit's thread alone. */
    struct hf_audit_pass pass; /* what the report shows a copy of */
    uint64_t begun_us;         /* monotonic */
    uint64_t allowed_us;       /* monotonic: before this nothing more is read */
    uint64_t unpaced_bytes;    /* since it was looked at */
    struct hf_log *log;
    struct hf_audit_recorded recorded[HF_AUDIT_RECORDED_MAX]; /* a ring */
    size_t recorded_count;                                    /* ever, in this pass */
    char after[HF_NAME_BYTES_MAX +
               1]; /* account at which the next pass goes on; "": from the first */
};

/* Bytes were read: sleeps as the rate wants it, shows the progress. false: the pass is to stop. */
bool hf_audit_pace(struct hf_audit *audit, size_t bytes);
/* Waits for `answered`, set under the mutex; false: the audit is to stop (the answer is waited for all the same). */
bool hf_audit_wait(struct hf_audit *audit);
/* error->code: CORRUPT and VERSION are damage; CLOSED ends the pass as stopped; LIMIT is nothing, the next pass goes on there; the rest
 * could not be looked at. */
void hf_audit_note(struct hf_audit *audit, const struct hf_error *error);
void hf_audit_damage(struct hf_audit *audit, const char *format, ...) HF_PRINTF(2, 3);
static inline bool hf_audit_is_full(const struct hf_audit *audit)
{
    return audit->pass.finding_count >= HF_AUDIT_FINDINGS_MAX;
}

/* audit_log.c, audit_state.c, audit_live.c: the parts. */
void hf_audit_check_log(struct hf_audit *audit);
void hf_audit_check_states(struct hf_audit *audit);
/* The replayed state, at least of the newer checkpoint, against the node. */
void hf_audit_check_live(struct hf_audit *audit, struct hf_replay *replay);

/* The replay goes on to the batch of this position, and calls `each` behind every commit; the index records that it makes are
 * dropped. false: it could not, which was noted. */
bool hf_audit_replay_to(struct hf_audit *audit, struct hf_replay *replay, uint64_t seq,
                        hf_replay_fn each, void *context);

#endif
