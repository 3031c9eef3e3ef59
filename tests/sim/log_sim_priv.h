/*
 * Inside the simulated log: what log_sim.c (clients, what they are told) and log_sim_store.c (the
 * batches, epochs, checks) share. Called by: these two.
 */
#ifndef HF_TESTS_SIM_LOG_SIM_PRIV_H
#define HF_TESTS_SIM_LOG_SIM_PRIV_H

#include "sim/log_sim.h"

/* A stored batch; bytes are NULL once it was trimmed. */
struct sim_stored {
    uint8_t *bytes;       /* owned; header and body */
    size_t size_bytes;    /* of bytes */
    uint64_t epoch;       /* of the appender */
    uint64_t position;    /* of its last commit */
    uint8_t batch_id[16]; /* what tells a duplicate */
};

/* What the client will be told of an append, drawn when it starts. */
enum sim_fate {
    FATE_NORMAL,
    FATE_AMBIGUOUS_STORED, /* it arrives, the answer is lost */
    FATE_AMBIGUOUS_LOST,   /* it never arrives */
    FATE_AMBIGUOUS_LATE,   /* it arrives after AMBIGUOUS was told */
    FATE_FAILED_SENT,      /* FAILED is told, it arrives some time */
    FATE_FAILED_LOST,      /* FAILED is told, it never arrives */
    FATE_NO_SPACE,         /* it is refused, nothing is sent */
};

struct sim_client;

/* A batch under way; outlives its sender. */
struct sim_message {
    struct hf_log_sim *sim;       /* back */
    struct sim_client *client;    /* who hears of it; clients are never freed before the sim */
    enum sim_fate fate;           /* decides who is told what */
    bool told;                    /* the client was told AMBIGUOUS or FAILED already */
    struct hf_log_batch batch;    /* body points into bytes */
    uint8_t *bytes;               /* owned until stored; header and body */
    size_t size_bytes;            /* of bytes */
    struct sim_message *previous; /* of the sim, oldest first */
    struct sim_message *next;     /* of the sim */
};

/* An operation of a client: idle, under way, answered. */
struct sim_answer {
    bool under_way;  /* started and not polled to its end */
    bool answered;   /* outcome may be polled */
    unsigned value;  /* the outcome once it is answered */
    unsigned coming; /* evaluated at the log, on its way back */
};

/* An AMBIGUOUS append that was not resolved yet. */
struct sim_open_batch {
    bool open;                 /* the rest is meant */
    uint64_t seq;              /* of the batch */
    uint8_t batch_id[16];      /* of the batch */
    struct hf_hash bytes_hash; /* of header and body: a resend has the same bytes */
};

struct sim_client {
    struct hf_log log;          /* first: a pointer to it is a pointer to this */
    struct hf_log_sim *sim;     /* back */
    struct hf_outside *outside; /* of its process */
    bool owner;                 /* takeover returned an epoch */
    bool closed;                /* by close */
    bool failed;                /* FAILED was told, or is about to be */
    uint64_t epoch;             /* of the takeover */
    struct sim_answer append;   /* enum hf_append_outcome */
    struct sim_answer resolve;  /* enum hf_resolve_outcome */
    struct sim_answer confirm;  /* enum hf_confirm_outcome */
    struct sim_open_batch open; /* what must be settled before another batch */
    uint64_t resolve_seq;       /* asked for */
    uint8_t resolve_id[16];     /* asked for */
    struct hf_hash sent_hash;   /* of the append under way */
    uint64_t sent_seq;          /* of the append under way */
    uint8_t sent_id[16];        /* of the append under way */
    struct sim_client *next;    /* of the sim */
};

struct hf_log_sim {
    struct hf_world *world;              /* not owned */
    struct hf_sim_random random;         /* its own stream */
    struct hf_log_sim_knobs knobs;       /* chances and delays */
    struct hf_log_sim_counters counters; /* totals */
    uint64_t log_tag;                    /* of every batch */
    struct sim_stored *stored;           /* owned; [seq - 1] */
    size_t stored_capacity;              /* allocated; head.seq are used */
    uint64_t first_seq;                  /* not trimmed */
    struct hf_log_head head;             /* epoch: of the owner */
    struct sim_client *owner;            /* of head.epoch; NULL = nobody or a phantom */
    bool sealed;                         /* since the last append or takeover */
    struct sim_message *first;           /* under way */
    struct sim_message *last;            /* under way */
    uint8_t (*never)[16];                /* owned; batch ids declared NEVER */
    size_t never_count;                  /* used */
    size_t never_capacity;               /* allocated */
    struct sim_client *clients;          /* all that were ever opened */
};

/* log_sim_store.c */
bool sim_is_never(const struct hf_log_sim *sim, const uint8_t batch_id[16]);
bool sim_is_stored(const struct hf_log_sim *sim, uint64_t seq, const uint8_t batch_id[16]);
bool sim_chain_holds(const struct hf_log_batch *batch);
void sim_check_extends(const struct hf_log_sim *sim, const struct hf_log_batch *batch);
/* A message reaches the log. Returns what an append would be told. */
enum hf_append_outcome sim_settle(struct hf_log_sim *sim, struct sim_message *message);
void sim_message_free(struct sim_message *message);
void sim_new_epoch(struct hf_log_sim *sim);

#endif
