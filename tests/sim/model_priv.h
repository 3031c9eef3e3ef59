/*
 * Inside the model: the things' keeping (model.c), the order of answers (model_decide.c), the operations
 * (model_op.c, model_thing_op.c).
 *
 * Owns: nothing of its own. Must never: be included outside of tests/sim/model*.c.
 */
#ifndef HF_TESTS_SIM_MODEL_PRIV_H
#define HF_TESTS_SIM_MODEL_PRIV_H

#include "base/check.h"
#include "sim/model.h"

/* Before a change: the thing as it was; or that it was made. */
struct hf_model_undo {
    struct hf_model_thing *thing; /* what changed; NULL: bytes */
    bool made;                    /* it did not exist before */
    struct hf_model_thing was;    /* copy, unless made */
    void *at;                     /* bytes: where… */
    size_t size_bytes;            /* …how many… */
    void *bytes;                  /* …and a copy in the scratch arena */
};

/* One decision under way. */
struct hf_model_turn {
    struct hf_model *model;
    const struct hf_command *command;
    uint64_t position;              /* that it has or would have */
    uint64_t time_us;               /* of the decision */
    uint32_t op_index;              /* of the operation under way */
    uint32_t idle_ops;              /* operations that change nothing */
    uint64_t repeats;               /* commit of the ack that one of them repeats; 0 = none */
    struct hf_model_thing *culprit; /* becomes `current` */
};

struct hf_model_thing *hf_model_make(struct hf_model *model, enum hf_kind kind,
                                     const struct hf_name *name, uint64_t position,
                                     uint64_t time_us);
void hf_model_touch(struct hf_model *model, struct hf_model_thing *thing);
void hf_model_roll_back(struct hf_model *model, size_t undo_count);
/* Another text with the same 128 bits? Of leases only those that are held count. */
bool hf_model_collides(const struct hf_model *model, enum hf_kind kind, const struct hf_name *name);
struct hf_str hf_model_copy(struct hf_arena *arena, struct hf_str text);
struct hf_name hf_model_copy_name(struct hf_arena *arena, const struct hf_name *name);

/* The next expected event, zeroed. */
struct hf_event *hf_model_event(struct hf_model *model, enum hf_event_type type,
                                uint32_t operation);
void hf_model_spend(struct hf_model *model, enum hf_kind kind, const struct hf_name *name);

/* A change of an account, after its totals were changed: one entry. */
struct hf_side hf_model_entry(struct hf_model_turn *turn, struct hf_model_thing *thing);
void hf_model_book_expiry(struct hf_model_turn *turn, struct hf_model_thing *thing);
bool hf_model_is_due(const struct hf_model_thing *thing, uint64_t time_us);

/* HF_ERR_OK and a culprit of NULL, or the refusal and what it is about. */
enum hf_err hf_model_condition(struct hf_model_turn *turn, const struct hf_condition *condition);
enum hf_err hf_model_operate(struct hf_model_turn *turn, const struct hf_op *op);
/* model_units.c */
void hf_model_decide_units(struct hf_model_turn *turn);
/* Is the command one operation, whose id is there, and the same as a unit of a command of units? The answer's code is then
 * that of the unit. */
bool hf_model_repeats_unit(const struct hf_model_turn *turn);
enum hf_err hf_model_operate_money(struct hf_model_turn *turn, const struct hf_op *op);
enum hf_err hf_model_operate_thing(struct hf_model_turn *turn, const struct hf_op *op);
/* Finds what must exist; else the code (or id_collision). */
enum hf_err hf_model_need(struct hf_model_turn *turn, enum hf_kind kind, const struct hf_name *name,
                          enum hf_err missing, struct hf_model_thing **thing);

bool hf_model_same_op(const struct hf_op *a, const struct hf_op *b);
bool hf_model_same_request(const struct hf_command *a, const struct hf_command *b);
/* RFC 7396 with jansson: compact text in arena; target absent = nothing yet. */
struct hf_str hf_model_merge(struct hf_arena *arena, struct hf_str target, struct hf_str patch);

#endif
