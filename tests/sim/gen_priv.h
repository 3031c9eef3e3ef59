/*
 * Inside the generator: names, amounts and texts (gen.c); operations and conditions (gen_op.c); whole
 * commands and their duplicates (gen_command.c). Texts live in gen->work.arena.
 *
 * Owns: nothing of its own. Must never: be included outside of tests/sim/gen*.c.
 */
#ifndef HF_TESTS_SIM_GEN_PRIV_H
#define HF_TESTS_SIM_GEN_PRIV_H

#include "sim/gen.h"

#define HF_GEN_EURO_FIRST 8 /* accounts from here on are in EUR/2 */

uint64_t hf_gen_below(struct hf_gen *gen, uint64_t bound);
bool hf_gen_percent(struct hf_gen *gen, uint32_t percent);
/* Is the next choice to be wrong? */
bool hf_gen_spoil(struct hf_gen *gen);
struct hf_str hf_gen_text(struct hf_gen *gen, const char *format, ...) HF_PRINTF(2, 3);
struct hf_str hf_gen_account(struct hf_gen *gen, size_t slot);
struct hf_str hf_gen_asset(struct hf_gen *gen, size_t slot);
void hf_gen_pair(struct hf_gen *gen, size_t *from, size_t *to);
struct hf_str hf_gen_new_id(struct hf_gen *gen, char kind);
struct hf_str hf_gen_transfer(struct hf_gen *gen);
struct hf_str hf_gen_hold(struct hf_gen *gen);
struct hf_str hf_gen_plain(struct hf_gen *gen, char kind, size_t slot);
struct hf_str hf_gen_amount(struct hf_gen *gen);
struct hf_str hf_gen_json(struct hf_gen *gen, bool object);
struct hf_str hf_gen_big_json(struct hf_gen *gen);

void hf_gen_op(struct hf_gen *gen, struct hf_op_fields *op);
void hf_gen_opening(struct hf_gen *gen, struct hf_op_fields *op, size_t slot);
void hf_gen_condition(struct hf_gen *gen, struct hf_condition_fields *condition);

/* gen_command.c */
void hf_gen_random_key(struct hf_gen *gen);

/* gen_units.c */
void hf_gen_units(struct hf_gen *gen, struct hf_command *command);
/* An earlier packed transfer as an operation of a commit; false: none fits. */
bool hf_gen_repeat_as_json(struct hf_gen *gen, struct hf_op_fields *op);

/* gen_queue.c */
void hf_gen_publish(struct hf_gen *gen, struct hf_op_fields *op);
void hf_gen_ack(struct hf_gen *gen, struct hf_op_fields *op); /* or a nack */
void hf_gen_receipt_condition(struct hf_gen *gen, struct hf_condition_fields *condition);
/* A command into gen->work. */
void hf_gen_queue_fresh(struct hf_gen *gen);
void hf_gen_late(struct hf_gen *gen, size_t slot, bool evening);
void hf_gen_drain(struct hf_gen *gen, struct hf_str subscription, bool redrives);
/* An event from MESSAGE_PUBLISHED on. */
void hf_gen_saw_queue(struct hf_gen *gen, const struct hf_commit *commit,
                      const struct hf_event *event);

#endif
