/*
 * A rig for the log's contract: any driver on a simulated world, and what it owes.
 *
 * Owns: a world with two machines (on one disk for the file driver), the model of the log: the
 * batches that were acknowledged, and the one that perhaps is there. Must never: look into a driver.
 * Called by: the fault suites of the log.
 *
 * 1. After a takeover the log holds exactly the acknowledged batches, in order, byte for byte, and
 *    perhaps the one whose outcome nobody was told (I1, I4).
 * 2. Epochs grow with every takeover; a batch has its appender's epoch (I2, I3).
 * 3. The chain is recomputed (I5). What read() gives was or will be in the log for ever (I6).
 */
#ifndef HF_TESTS_FAULT_LOG_RIG_H
#define HF_TESTS_FAULT_LOG_RIG_H

#include "log/log.h"
#include "sim/log_sim.h"
#include "sim/world.h"

enum rig_kind {
    RIG_SIMULATED, /* log_sim.h; machines with disks of their own */
    RIG_FILE,      /* log_file.h on one disk */
};

/* A batch that was made. */
struct rig_batch {
    struct hf_log_batch batch; /* body is owned */
    bool present;              /* the rest is meant (for rig.perhaps) */
};

/* What became of an append. */
enum rig_outcome {
    RIG_DONE,     /* acknowledged */
    RIG_ABSENT,   /* not there, and will never be; the owner may go on (NO_SPACE, NEVER) */
    RIG_DEPOSED,  /* fenced */
    RIG_FAILED,   /* the log has to be opened again */
    RIG_CRASHED,  /* the machine is down */
    RIG_OUTCOMES, /* count */
};

struct rig {
    enum rig_kind kind;                  /* which driver */
    struct hf_world *world;              /* owned */
    struct hf_log_sim *sim;              /* owned; NULL for the file driver */
    struct hf_world_machine *machine[2]; /* of the world */
    struct hf_log *log[2];               /* open on the machine's last process, or NULL */
    struct hf_log_head head[2];          /* of the owner's view */
    struct hf_sim_random random;         /* of the bodies and choices */
    struct rig_batch *batches;           /* owned; acknowledged, [seq - 1] */
    size_t count;                        /* used */
    size_t capacity;                     /* allocated */
    struct rig_batch perhaps;            /* nobody knows */
    uint64_t first_seq;                  /* trimmed below at most */
    uint64_t epoch;                      /* the highest that was ever returned */
    uint64_t sent_seq[2];                /* of the machine's last append */
    uint8_t sent_id[2][16];              /* of the machine's last append */
    uint64_t told[RIG_OUTCOMES];         /* counts */
    uint64_t perhaps_there;              /* it was in the log */
    uint64_t perhaps_absent;             /* it was not */
};

struct rig *rig_new(enum rig_kind kind, uint64_t seed);
void rig_free(struct rig *rig);

/* Switches every fault off (chances and armed points), so that what follows must succeed. */
void rig_calm(struct rig *rig);
/* Closes the log of a machine, if one is open; its process may be dead. */
void rig_close(struct rig *rig, unsigned machine);
/* Boots the machine if it is down, opens the log if it is not open. */
enum hf_err rig_open(struct rig *rig, unsigned machine, struct hf_error *error);
/* Opens and takes over; on success the model's rules 1 to 3 hold or the test ends. */
enum hf_err rig_takeover(struct rig *rig, unsigned machine, struct hf_log_recovery *recovery);
/* The same, calm, again and again until it succeeds; fails the test if it does not. */
void rig_takeover_calm(struct rig *rig, unsigned machine, struct hf_log_recovery *recovery);
/* Reads the whole log and compares; settles the perhaps. */
void rig_verify(struct rig *rig, unsigned machine);

/* Makes a batch at the owner's head and starts its append; it is the rig's perhaps. */
void rig_append_start(struct rig *rig, unsigned machine, size_t body_bytes_about);
/* Steps the world until the append has ended, AMBIGUOUS is resolved, RETRY resent. */
enum rig_outcome rig_append_finish(struct rig *rig, unsigned machine);
enum rig_outcome rig_append(struct rig *rig, unsigned machine, size_t body_bytes_about);
/* Steps the world until confirm has answered; PENDING if the machine went down. */
enum hf_confirm_outcome rig_confirm(struct rig *rig, unsigned machine);

#endif
