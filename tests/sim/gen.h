/*
 * The generator: random commands over a small universe, so that they meet each other often.
 *
 * Owns: its random numbers, recipes of earlier commands (for duplicates of every kind), and what it has
 * learnt of the things from commits that it was shown. Must never: make a malformed command; take
 * anything but its seed and what it was shown into account.
 * Called by: the simulator, tests/unit/core_random_test.c.
 */
#ifndef HF_TESTS_SIM_GEN_H
#define HF_TESTS_SIM_GEN_H

#include "core/commit.h"
#include "core/queue_op.h"
#include "sim/sim_random.h"

#define HF_GEN_OPS_MAX        6
#define HF_GEN_CONDITIONS_MAX 3
#define HF_GEN_RECIPES        64 /* earlier commands that may come again */
#define HF_GEN_ACCOUNTS       12
#define HF_GEN_STREAMS        6
#define HF_GEN_DOCUMENTS      6
#define HF_GEN_LEASES         4
#define HF_GEN_REFERENCES     64 /* transfers and holds, each, that were seen */

#define HF_GEN_TOPICS        3
#define HF_GEN_SUBSCRIPTIONS 6
#define HF_GEN_DELIVERIES    64 /* of a subscription, that were seen */
#define HF_GEN_PARKED        16 /* the same */
#define HF_GEN_ITEMS_MAX     8  /* of a batch */

/* A command as flat fields. */
struct hf_gen_recipe {
    struct hf_arena arena;                                        /* its texts */
    enum hf_command_kind kind;                                    /* 0 = unused */
    struct hf_str principal;                                      /* always given */
    struct hf_str key;                                            /* or absent */
    struct hf_str metadata;                                       /* or absent */
    bool dry_run;                                                 /* decide only */
    uint32_t condition_count;                                     /* used */
    uint32_t op_count;                                            /* used */
    struct hf_condition_fields conditions[HF_GEN_CONDITIONS_MAX]; /* if */
    struct hf_op_fields ops[HF_GEN_OPS_MAX];                      /* do */
    struct hf_queue_fields own; /* an operation with a route, instead; type 0: none */
    struct hf_act_fields items[HF_GEN_ITEMS_MAX]; /* of own; own.items is set when it is built */
    uint32_t lines_max;                           /* of own, PUT_SUBSCRIPTION */
};

struct hf_gen_account {
    uint32_t generation;     /* part of the name: a closed account's is not used again */
    bool open;               /* it was seen to open and not to close */
    bool frozen;             /* seen */
    uint64_t version;        /* seen */
    uint64_t modified_at_us; /* seen */
    hf_i128 posted;          /* seen */
    hf_i128 available;       /* seen */
};

struct hf_gen_head {
    bool exists;             /* seen */
    uint64_t version;        /* seen */
    uint64_t modified_at_us; /* seen */
};

struct hf_gen_lease {
    bool held;          /* seen */
    uint64_t token;     /* newest seen */
    uint64_t old_token; /* the one before */
};

struct hf_gen_reference {
    char text[64]; /* name of a transfer or hold */
    bool ended;    /* the hold has ended, the transfer is or has a reversal */
};

struct hf_gen_delivery {
    struct hf_receipt receipt;
    bool settled; /* seen */
};

struct hf_gen_subscription {
    bool exists;                                          /* seen */
    bool ordered;                                         /* seen */
    uint64_t uid;                                         /* newest seen */
    uint64_t version;                                     /* newest seen */
    uint64_t generation;                                  /* how many of the name */
    struct hf_gen_delivery deliveries[HF_GEN_DELIVERIES]; /* ring */
    uint64_t delivery_count;                              /* shown */
    struct hf_place parked[HF_GEN_PARKED];                /* ring */
    uint64_t parked_count;                                /* shown */
};

#define HF_GEN_REQUESTS    12 /* of packed records, that may come again */
#define HF_GEN_RECORDS_MAX 40

/* A packed record. */
struct hf_gen_record {
    struct hf_packed_transfer plain;
    bool linked;
};

struct hf_gen_request {
    struct hf_gen_record records[HF_GEN_RECORDS_MAX];
    uint32_t count;
};

struct hf_gen_knobs {
    uint64_t short_timeout_ms_max; /* holds and leases that soon expire */
    uint32_t short_timeout_ppm;    /* how many of them */
    uint32_t duplicate_ppm;        /* earlier commands once more, of one kind or another */
    uint32_t dry_run_ppm;          /* of commands */
    uint32_t big_ppm;              /* documents of some 600 KB, so that a patch is too large */
    uint32_t units_ppm;            /* of commands that are of units */
    uint32_t spoil_ppm;            /* of choices that are deliberately wrong */
    bool tag_unkeyed; /* a command without a key gets metadata {"n":N}, N its number from 1 */
};

struct hf_gen {
    struct hf_sim_random random;
    struct hf_gen_knobs knobs;
    uint64_t made;          /* commands so far */
    uint64_t fresh;         /* ids that are new so far */
    uint64_t newest_us;     /* time of the newest commit shown */
    uint64_t newest;        /* its position */
    uint32_t queue_flavour; /* bits by which subscriptions differ */
    struct hf_gen_subscription subscriptions[HF_GEN_SUBSCRIPTIONS]; /* u0 … */
    struct hf_gen_account accounts[HF_GEN_ACCOUNTS];      /* 0 … 7 USD/2, the others EUR/2 */
    struct hf_gen_head streams[HF_GEN_STREAMS];           /* s0 … */
    struct hf_gen_head documents[HF_GEN_DOCUMENTS];       /* d0 … */
    struct hf_gen_lease leases[HF_GEN_LEASES];            /* l0 … */
    struct hf_gen_reference transfers[HF_GEN_REFERENCES]; /* seen to be posted */
    struct hf_gen_reference holds[HF_GEN_REFERENCES];     /* seen to be open */
    size_t big_slot;                              /* document that was made big, plus 1; 0 = none */
    uint64_t transfer_count;                      /* shown */
    uint64_t hold_count;                          /* shown */
    struct hf_gen_recipe recipes[HF_GEN_RECIPES]; /* ring */
    uint64_t recipe_count;                        /* made */
    struct hf_gen_recipe work;                    /* the one being made */
    struct hf_gen_request requests[HF_GEN_REQUESTS]; /* ring */
    uint64_t request_count;                          /* made */
};

void hf_gen_init(struct hf_gen *gen, uint64_t seed);
void hf_gen_release(struct hf_gen *gen);

/* A finished command; the caller releases it. It needs nothing of the generator. */
void hf_gen_command(struct hf_gen *gen, struct hf_command *command);

/* The same of topics and subscriptions. */
void hf_gen_queue_command(struct hf_gen *gen, struct hf_command *command);
/* Of a consumer: in the evening a receive with the shortest lease, then whatever meets its end. */
void hf_gen_late_command(struct hf_gen *gen, size_t slot, bool evening, struct hf_command *command);
/* What moves a subscription to its end: acks of what is out, else a receive; or a redrive of all. */
void hf_gen_drain_command(struct hf_gen *gen, struct hf_str subscription, bool redrives,
                          struct hf_command *command);

/* A commit that became visible; in any order, but best in the log's. */
void hf_gen_saw(struct hf_gen *gen, const struct hf_commit *commit);

/* Names and keys for reads, seen or not; text has room for 64 bytes. */
void hf_gen_name(struct hf_gen *gen, enum hf_kind kind, char text[64]);
/* A message that the subscription (or any, if NULL) delivered, mostly; sometimes a place where there is none. */
void hf_gen_place(struct hf_gen *gen, const struct hf_name *subscription, struct hf_place *place);
void hf_gen_key(struct hf_gen *gen, char key[64], char principal[64]);

#endif
