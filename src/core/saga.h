/*
 * Sagas and their definitions in the state.
 *
 * Owns: struct hf_saga, the ordered lists that queries go by, waits for events. Must never: decide. Called by: evolve
 * (saga_apply.c), decide and reads (read only), the checkpoint (saga_save.c).
 *
 * 1. Every saga in `by_id` has not been forgotten; ended ones stay until keep_ms is over (due), then the index record of the id
 *    (HF_INDEX_SAGA → newest event) is the tombstone.
 * 2. A saga is in exactly one of `by_state`; in `failing` iff failing_us > 0; in `by_business_key` iff it has one.
 * 3. Texts (input, results) up to HF_SAGA_INLINE_BYTES are in RAM while the saga has not ended, unless the state came of a
 *    checkpoint; all others are read from the log. What is in RAM is never part of canonical bytes.
 * 4. A saga with event steps that has not ended has a wait in `waits` for each that no event has come for.
 * 5. A definition has `sagas` sagas in `by_id`; an inline one without any is gone.
 */
#ifndef HF_CORE_SAGA_H
#define HF_CORE_SAGA_H

#include "base/buffer.h"
#include "base/table.h"
#include "core/names.h"
#include "core/saga_definition.h"

#define HF_SAGA_INLINE_BYTES  512u
#define HF_SAGA_STATE_COUNT   (HF_SAGA_ABANDONED + 1)
#define HF_SAGA_OUTCOME_COUNT (HF_OUTCOME_PARK + 1)

struct hf_saga_stored_definition {
    struct hf_name name;
    uint64_t version;
    bool is_inline;
    uint64_t position; /* where its text is */
    uint64_t created_us;
    uint64_t sagas; /* in `by_id` that use it… */
    uint64_t
        by_state[HF_SAGA_STATE_COUNT]; /* …of them in each state (metrics); made anew, not stored */
    struct hf_saga_definition parsed;
    /* the state's */
    struct hf_name order;      /* text: the name, a zero byte, the version in 8 bytes, big-endian */
    struct hf_names_node node; /* of `order` */
    struct hf_saga_stored_definition *next_spare;
};

/* A step that waits for an event. */
struct hf_saga_wait {
    struct hf_saga *saga;
    struct hf_saga_await await;
    struct hf_id id;             /* key in `waits` */
    struct hf_saga_wait *before; /* in the list of its id; NULL: first */
    struct hf_saga_wait *behind;
    bool listed; /* false: its event was there, or the saga has ended */
};

struct hf_saga {
    struct hf_name name;
    uint64_t uid;
    uint64_t version;
    struct hf_saga_stored_definition *definition;
    struct hf_str business_key;
    struct hf_payload tags;
    uint64_t started_us, modified_us, ended_us, not_before_us;
    uint64_t started_position;
    uint64_t last_position; /* newest event… */
    uint32_t last_index;
    enum hf_saga_state state, resumes;
    bool compensating, past_pivot;
    uint64_t failing_us;
    uint64_t due_us;      /* next look of the timer; 0 = never */
    uint64_t deadline_us; /* of the whole; 0 = none */
    struct hf_str reason; /* owned */
    uint8_t secret[16];
    uint8_t content_hash[16];
    struct hf_str input;        /* in RAM (owned), or absent: from the log at started_position */
    uint32_t input_index;       /* of the STARTED event */
    uint32_t wait_count;        /* of waits, below */
    struct hf_str *results;     /* by step, in RAM (owned) or absent */
    struct hf_saga_step *steps; /* definition->parsed.step_count */
    /* the state's */
    struct hf_names_node state_node;
    struct hf_names_node failing_node;
    struct hf_saga_key *key;    /* NULL: no business key */
    struct hf_saga_wait *waits; /* wait_count of them */
};

/* A saga in the order of business keys. */
struct hf_saga_key {
    struct hf_name
        order; /* text: the business key, a zero byte, the saga's id; its id is not set */
    struct hf_names_node node;
    struct hf_saga *saga;
};

#define HF_SAGA_WAIT_BUCKETS 1024u

struct hf_sagas {
    struct hf_table by_id;                         /* by the name's id: struct hf_saga, owned */
    struct hf_names by_state[HF_SAGA_STATE_COUNT]; /* by hf_saga.name */
    struct hf_names failing;                       /* by hf_saga.name */
    struct hf_names by_business_key;               /* by hf_saga_key.order */
    struct hf_names definitions;                   /* by hf_saga_stored_definition.order, owned */
    uint64_t inline_definitions;                   /* of them */
    struct hf_table waits; /* by id of type and key: first hf_saga_wait of a list */
    uint32_t wait_types
        [HF_SAGA_WAIT_BUCKETS]; /* how many waits are of a type with this hash: most events are of none */
    uint64_t wait_count;
    uint64_t bytes;        /* of memory: sagas without inputs, results and reasons */
    size_t reserved_waits; /* of the commit that is reserved for */
    uint64_t attempts[HF_SAGA_OUTCOME_COUNT]; /* by outcome, of all times */
    struct hf_saga_stored_definition *spares; /* parsed by reserve for evolve to take, in order */
    /* while canonical records are read */
    bool has_sums;
    uint64_t loading_definitions;              /* that are still to come */
    struct hf_saga_stored_definition *loading; /* whose text is not whole yet */
    struct hf_buffer loading_text;             /* its text so far… */
    uint64_t loading_bytes;                    /* …and its size as a whole */
    bool has_loaded;                           /* a saga was read… */
    struct hf_id loaded_id;                    /* …this one last */
};

void hf_sagas_init(struct hf_sagas *sagas, uint64_t seed);
void hf_sagas_release(struct hf_sagas *sagas);
/* All invariants by walks; aborts if one is broken. */
void hf_sagas_verify(const struct hf_sagas *sagas);

/* NULL if there is none. */
struct hf_saga *hf_sagas_get(const struct hf_sagas *sagas, const struct hf_id *id);
struct hf_saga_stored_definition *hf_sagas_definition(const struct hf_sagas *sagas,
                                                      struct hf_str name, uint64_t version);
/* The first definition behind (name, version) by name and version; NULL: there is none. */
struct hf_saga_stored_definition *hf_sagas_definition_behind(const struct hf_sagas *sagas,
                                                             struct hf_str name, uint64_t version);

/* One allocation with its steps (PENDING), waits and copies of name, business key and tags. NULL: memory is short. What else
 * there is in `started` is not taken. */
struct hf_saga *hf_saga_new(const struct hf_saga_changed *started,
                            uint32_t step_count) HF_WARN_UNUSED;
void hf_saga_free(struct hf_saga *saga); /* in no list any more; NULL is fine */
/* Into by_id and the lists, by its state, failing_us and definition; room in by_id (and for its waits in `waits`, where it is entered
 * too unless it has ended) is reserved. false: its text is there under another id. */
bool hf_sagas_enter(struct hf_sagas *sagas, struct hf_saga *saga) HF_WARN_UNUSED;
/* Out of everything, and freed. The definition is the caller's to look at. */
void hf_sagas_drop(struct hf_sagas *sagas, struct hf_saga *saga);
/* State and failing_us as they are to be; the lists follow. */
void hf_sagas_move(struct hf_sagas *sagas, struct hf_saga *saga, enum hf_saga_state state,
                   uint64_t failing_us);
/* Texts and waits go: it has ended. */
void hf_sagas_finish(struct hf_sagas *sagas, struct hf_saga *saga);

/* Takes the definition over, and the arena of what was parsed. NULL: memory is short. */
struct hf_saga_stored_definition *hf_saga_definition_new(const struct hf_name *name,
                                                         uint64_t version) HF_WARN_UNUSED;
void hf_saga_definition_free(struct hf_saga_stored_definition *definition);
bool hf_sagas_enter_definition(struct hf_sagas *sagas,
                               struct hf_saga_stored_definition *definition) HF_WARN_UNUSED;
/* Definitions that reserve has made for evolve. */
void hf_sagas_add_spare(struct hf_sagas *sagas, struct hf_saga_stored_definition *definition);
struct hf_saga_stored_definition *hf_sagas_take_spare(struct hf_sagas *sagas);
void hf_sagas_drop_spares(struct hf_sagas *sagas);
void hf_sagas_drop_definition(struct hf_sagas *sagas, struct hf_saga_stored_definition *definition);

/* ---- awaited events ---- */

/* May a saga wait for an event of this type? false: surely none. */
bool hf_sagas_wait_for(const struct hf_sagas *sagas, struct hf_str type);
/* First wait for this type and key. */
struct hf_saga_wait *hf_sagas_waits(const struct hf_sagas *sagas, struct hf_str type,
                                    const struct hf_id *key_hash);
/* Its event is there. */
void hf_sagas_unlist(struct hf_sagas *sagas, struct hf_saga_wait *wait);
/* The type that a wait's step names. */
struct hf_str hf_saga_wait_type(const struct hf_saga_wait *wait);
/* Does the step still wait, or will it? */
bool hf_saga_step_awaits(const struct hf_saga_step *step);

#endif
