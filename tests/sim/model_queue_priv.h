/*
 * Inside the model of the queues: keeping (model_queue.c), moves of messages (model_queue_move.c), what
 * operations and commands do (model_queue_op.c).
 *
 * Owns: nothing of its own. Must never: be included outside of tests/sim/model*.c.
 */
#ifndef HF_TESTS_SIM_MODEL_QUEUE_PRIV_H
#define HF_TESTS_SIM_MODEL_QUEUE_PRIV_H

#include "core/queue_op.h"
#include "sim/model_priv.h"

/* ---- model_queue.c ---- */

/* Before the bytes change: they come back when the turn is undone. */
void hf_model_touch_bytes(struct hf_model *model, void *at, size_t size_bytes);
#define HF_MODEL_TOUCH(model, pointer) hf_model_touch_bytes(model, pointer, sizeof(*(pointer)))

struct hf_naive_subscription *hf_naive_find(const struct hf_model *model,
                                            const struct hf_name *name);
struct hf_naive_line *hf_naive_line(const struct hf_naive_subscription *subscription,
                                    const struct hf_id *id);
struct hf_naive_message *hf_naive_message(const struct hf_naive_subscription *subscription,
                                          const struct hf_place *place);
/* A message comes to the end of its line. */
void hf_naive_arrive(struct hf_model *model, struct hf_naive_subscription *subscription,
                     const struct hf_naive_news *news);
/* Its line goes on without its first message, which ends or leaves it for a line of its own. */
void hf_naive_leave(struct hf_model *model, struct hf_naive_subscription *subscription,
                    struct hf_naive_message *message);
/* The line of one message that has left another. */
struct hf_naive_line *hf_naive_own_line(struct hf_model *model,
                                        struct hf_naive_subscription *subscription,
                                        struct hf_naive_message *message);

/* ---- model_queue_move.c ---- */

/* A receive: the deliveries in the model's scratch arena; 0 = nothing. */
uint32_t hf_naive_deliver(struct hf_model_turn *turn, struct hf_naive_subscription *subscription,
                          uint32_t max, uint64_t lease_ms, struct hf_delivery **deliveries);
/* The first message of its line ends. */
struct hf_settled_item hf_naive_ack(struct hf_model_turn *turn,
                                    struct hf_naive_subscription *subscription,
                                    struct hf_naive_message *message);
/* The first message of its line comes back: it backs off or is parked. */
struct hf_settled_item hf_naive_fail(struct hf_model_turn *turn,
                                     struct hf_naive_subscription *subscription,
                                     struct hf_naive_message *message,
                                     const struct hf_naive_failure *failure);
/* A parked line is ready again. */
void hf_naive_redrive(struct hf_model *model, struct hf_naive_subscription *subscription,
                      struct hf_naive_line *line);
/* The dead letter ends; what waits behind it goes on. */
struct hf_settled_item hf_naive_discard(struct hf_model_turn *turn,
                                        struct hf_naive_subscription *subscription,
                                        struct hf_naive_line *line);
/* The parked lines in the order in which they were parked, in the scratch arena. */
size_t hf_naive_parked(struct hf_model *model, const struct hf_naive_subscription *subscription,
                       struct hf_naive_line ***lines);

/* ---- model_queue_system.c ---- */

/* A SETTLED event with room for so many items, none yet. */
struct hf_event *hf_naive_settled_event(struct hf_model *model,
                                        const struct hf_naive_subscription *subscription,
                                        uint32_t operation, size_t room);
void hf_naive_add_item(struct hf_settled *settled, const struct hf_settled_item *item,
                       uint64_t jitter_us);
/* The out line whose time has come first; NULL: none's has. */
struct hf_naive_line *hf_naive_first_out(const struct hf_naive_subscription *subscription,
                                         uint64_t now_us);
/* Does the dead letter's error contain the text? Absent: yes. */
bool hf_naive_error_wanted(const struct hf_naive_line *line, struct hf_str text);
/* Books at most `most` time-outs in their order. The expected event, or NULL: none was due. */
const struct hf_event *hf_naive_time_out(struct hf_model_turn *turn,
                                         struct hf_naive_subscription *subscription, size_t most);

/* ---- model_queue_op.c ---- */

/* PUBLISH … SEEK. */
enum hf_err hf_naive_operate(struct hf_model_turn *turn, const struct hf_op *op);
enum hf_err hf_naive_condition(struct hf_model_turn *turn, const struct hf_condition *condition);
/* What is due comes first, in a command that names the subscription. */
void hf_naive_book(struct hf_model_turn *turn, const struct hf_name *name);

/* ---- model_queue_same.c ---- */

bool hf_naive_same_op(enum hf_op_type type, const struct hf_queue_op *a,
                      const struct hf_queue_op *b);
bool hf_naive_same_filter(const struct hf_filter *a, const struct hf_filter *b);
bool hf_naive_same_settings(const struct hf_subscription_settings *a,
                            const struct hf_subscription_settings *b);
/* A copy that stays; NULL of NULL. */
const struct hf_queue_op *hf_naive_keep_op(struct hf_arena *arena, const struct hf_queue_op *op);
/* Its texts become copies. */
void hf_naive_keep_settings(struct hf_arena *arena, struct hf_subscription_settings *settings);

#endif
