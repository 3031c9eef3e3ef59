/*
 * The naive model: what Holdfast must answer, written down a second time.
 *
 * Owns: accounts, transfers, holds, streams, event ids, documents, leases and keys as chained lists,
 * and every command that was recorded. Must never: call anything of core (it reads the plain structs of
 * commands and fills the plain structs of events with what it expects); keep history other than that.
 * Called by: check.c, which compares; tests.
 *
 * 1. Commands come in the order of the log; position and time are the log's.
 * 2. A decision that is not recorded leaves the model exactly as it was.
 * 3. An effect is undone by putting back copies of the things that it touched, newest first.
 */
#ifndef HF_TESTS_SIM_MODEL_H
#define HF_TESTS_SIM_MODEL_H

#include "core/commit.h"
#include "core/decide.h" /* struct hf_outcome */
#include "sim/model_queue.h"

#define HF_MODEL_BUCKETS 1024

/* Names in the order of enum hf_compare. */
struct hf_model_counts {
    uint64_t op_accepted[HF_OP_COUNT];    /* operations of accepted commits */
    uint64_t op_refused[HF_OP_COUNT];     /* operations that refused a commit */
    uint64_t condition_held[9];           /* by enum hf_condition_kind */
    uint64_t condition_failed[9];         /* the same */
    uint64_t version_tested;              /* conditions with version */
    uint64_t modified_tested;             /* with modified_at */
    uint64_t exists_tested;               /* with exists */
    uint64_t available[HF_COMPARE_COUNT]; /* with available, by comparator */
    uint64_t posted[HF_COMPARE_COUNT];    /* with posted */
    uint64_t refused[256];                /* by enum hf_err, recorded or not */
    uint64_t accepted;                    /* commits */
    uint64_t refused_recorded;            /* commits */
    uint64_t replayed_by_key;             /* answers */
    uint64_t replayed_by_id;              /* answers */
    uint64_t cancelled;                   /* keys */
    uint64_t keys_forgotten;              /* met after their retention */
    uint64_t expired_first;               /* holds and leases booked by the command that met them */
    uint64_t expired_by_timer;            /* booked by the system */
    struct hf_naive_counts queue;         /* of topics and subscriptions */
    uint64_t of_units;                    /* commands of units */
    uint64_t replayed_units;              /* answers to commits of one operation */
    uint64_t records[2][2];               /* their records: [refused][replayed] */
    uint64_t records_of_chains;           /* of these: linked ones */
    uint64_t units_refused[256];          /* units, by enum hf_err */
};

/* A unit that was refused. */
struct hf_model_unit {
    const struct hf_op *ops; /* spelt out; their texts are gone */
    uint32_t count;
    uint32_t cause; /* which of them */
    enum hf_err code;
};

enum hf_model_outcome {
    HF_MODEL_ACCEPTED = 1,
    HF_MODEL_REFUSED,
    HF_MODEL_REPLAYED, /* of the commit at replayed_position */
};

/* What the model expects. Valid until it is asked again. */
struct hf_model_answer {
    enum hf_model_outcome outcome;
    bool recorded;              /* takes a position */
    bool nothing;               /* accepted, and there is nothing to record: an empty receive */
    enum hf_err code;           /* REFUSED */
    enum hf_where where;        /* REFUSED */
    uint32_t index;             /* REFUSED: item of `if` or `do` */
    struct hf_entity current;   /* REFUSED */
    struct hf_str current_text; /* REFUSED: of a document */
    const struct hf_outcome *outcomes; /* of a command of units, by operation; else NULL */
    uint64_t replayed_position;        /* REPLAYED */
    bool by_key;                       /* REPLAYED by key, else by id */
    uint32_t event_count; /* of a recorded answer; expiries first, then one event per operation */
    struct hf_event *events; /* owned by the model; REFUSED holds them before its REFUSED event */
    uint32_t event_capacity; /* room */
    uint32_t spent_count;    /* REFUSED */
    struct hf_spent *spent;  /* owned by the model */
    uint32_t spent_capacity; /* room */
};

/* Anything with a name. */
struct hf_model_thing {
    enum hf_kind kind;
    struct hf_name name;              /* KEY: principal, a blank, key */
    struct hf_model_thing *next;      /* in the same bucket */
    struct hf_model_thing *before;    /* made before this one, of the same kind */
    bool gone;                        /* its making was undone */
    bool spent;                       /* TRANSFER, HOLD: a refusal took the id */
    uint64_t made_position;           /* commit that made or spent it; KEY: that answered it */
    uint64_t made_at_us;              /* its time */
    struct hf_str text;               /* DOCUMENT: its JSON; ACCOUNT: its metadata, or absent */
    struct hf_str last_key;           /* DOCUMENT: key of the last change's commit, or absent */
    bool cancelled;                   /* KEY */
    uint32_t op_index;                /* EVENT: the operation of the commit that appended it */
    hf_u128 reversed;                 /* TRANSFER: sum of its reversals */
    uint64_t first_expires_at_us;     /* HOLD: as it was opened */
    const struct hf_op *by;           /* TRANSFER, HOLD: the packed record that made it, or NULL */
    const struct hf_model_unit *unit; /* spent: by the refusal of this unit, or NULL */
    union {
        struct hf_account account;
        struct hf_transfer transfer;
        struct hf_hold hold;
        struct hf_stream stream;
        struct hf_document document;
        struct hf_lease lease;
        struct hf_message message;
        struct hf_subscription_head subscription;
    };
};

struct hf_model {
    struct hf_arena arena;                                           /* everything that stays */
    struct hf_arena scratch;                                         /* of the newest answer */
    uint64_t key_retention_us;                                       /* log time */
    uint64_t position;                                               /* newest commit */
    uint64_t time_us;                                                /* its time */
    struct hf_model_thing *buckets[HF_KIND_COUNT][HF_MODEL_BUCKETS]; /* by the id's bytes */
    struct hf_model_thing *newest[HF_KIND_COUNT];                    /* all of a kind */
    const struct hf_outcome **outcomes; /* owned array, by position, of commands of units */
    const struct hf_command **commands; /* owned array, by position; NULL = of the system */
    size_t command_capacity;            /* room */
    struct hf_model_undo *undos;        /* owned; copies of what was touched */
    size_t undo_count;                  /* used */
    size_t undo_capacity;               /* room */
    struct hf_model_answer answer;      /* the newest */
    struct hf_naive_queues queue;       /* topics and subscriptions */
    struct hf_model_counts counts;
};

/* NULL if memory is short. */
struct hf_model *hf_model_new(uint64_t key_retention_us);
void hf_model_free(struct hf_model *model); /* NULL is fine */

/* Decides the command as the commit at `position`; if it is to be recorded it becomes part of the model
 * and the model's position. */
const struct hf_model_answer *hf_model_decide(struct hf_model *model,
                                              const struct hf_command *command, uint64_t position,
                                              uint64_t time_us);
/* The same without any effect. */
const struct hf_model_answer *hf_model_try(struct hf_model *model, const struct hf_command *command,
                                           uint64_t position, uint64_t time_us);

/* A system commit begins; what it books follows. */
void hf_model_begin_system(struct hf_model *model, uint64_t position, uint64_t time_us);
/* Books the expiry of a hold or lease. The expected event, or NULL: it is not due or not there. */
const struct hf_event *hf_model_expire(struct hf_model *model, enum hf_kind kind,
                                       const struct hf_name *name);
/* Every held lease gets one fresh term. */
void hf_model_takeover(struct hf_model *model);

/* NULL if it is not there (a spent id is there). */
struct hf_model_thing *hf_model_find(const struct hf_model *model, enum hf_kind kind,
                                     const struct hf_name *name);
/* As `current`: kind NONE for what does not exist (spent ids, deleted documents, leases not held). */
struct hf_entity hf_model_entity(const struct hf_model_thing *thing_or_null);

/* Do two JSON texts mean the same? Both absent is the same. */
bool hf_model_json_equal(struct hf_str a, struct hf_str b);
/* A copy of a command for as long as the model lives. */
const struct hf_command *hf_model_keep(struct hf_model *model, const struct hf_command *command);

#endif
