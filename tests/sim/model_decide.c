/* The order of answers: key, ids, expiries, `if`, `do`. */
#include <stdlib.h>

#include "sim/model_queue_priv.h"

/* The kind of thing whose new id the operation names. */
static enum hf_kind new_kind(const struct hf_op *op)
{
    if (!op->has_id) {
        return HF_KIND_NONE;
    }
    return op->type == HF_OP_HOLD      ? HF_KIND_HOLD
           : op->type == HF_OP_APPEND  ? HF_KIND_EVENT
           : op->type == HF_OP_PUBLISH ? HF_KIND_MESSAGE
                                       : HF_KIND_TRANSFER;
}

static struct hf_name key_name(struct hf_model *model, const struct hf_command *command)
{
    char text[HF_PRINCIPAL_BYTES_MAX + HF_KEY_BYTES_MAX + 2];
    size_t len = command->principal.len;
    HF_CHECK(len + 1 + command->key.len <= sizeof(text));
    memcpy(text, command->principal.ptr, len);
    text[len++] = ' ';
    memcpy(text + len, command->key.ptr, command->key.len);
    len += command->key.len;
    struct hf_name name = {.text = hf_model_copy(&model->scratch, (struct hf_str){text, len})};
    for (size_t i = 0; i < len; i++) {
        name.id.bytes[i % 8] = (uint8_t)(name.id.bytes[i % 8] * 31 + (uint8_t)text[i]);
    }
    return name;
}

static void refuse(struct hf_model_turn *turn, enum hf_err code, enum hf_where where,
                   uint32_t index, bool recorded)
{
    struct hf_model_answer *answer = &turn->model->answer;
    answer->outcome = HF_MODEL_REFUSED;
    answer->code = code;
    answer->where = where;
    answer->index = index;
    answer->recorded = recorded;
}

static void replay(struct hf_model_turn *turn, uint64_t position, bool by_key)
{
    struct hf_model_answer *answer = &turn->model->answer;
    answer->outcome = HF_MODEL_REPLAYED;
    answer->replayed_position = position;
    answer->by_key = by_key;
}

/* true if the key has the answer. */
static bool by_key(struct hf_model_turn *turn)
{
    struct hf_model *model = turn->model;
    const struct hf_command *command = turn->command;
    if (!hf_str_present(command->key)) {
        return false;
    }
    struct hf_name name = key_name(model, command);
    const struct hf_model_thing *key = hf_model_find(model, HF_KIND_KEY, &name);
    if (key == NULL) {
        return false;
    }
    if (key->made_at_us + model->key_retention_us <= turn->time_us) {
        model->counts.keys_forgotten++;
        return false;
    }
    bool same = command->kind == HF_COMMAND_CANCEL_KEY || key->cancelled ||
                hf_model_same_request(command, model->commands[key->made_position]);
    if (same) {
        replay(turn, key->made_position, true);
    } else {
        refuse(turn, HF_ERR_IDEMPOTENCY_KEY_REUSED, HF_WHERE_NONE, 0, false);
    }
    return true;
}

/* Ids that no refusal spends. */
static bool is_event_id(enum hf_kind kind)
{
    return kind == HF_KIND_EVENT || kind == HF_KIND_MESSAGE;
}

/* Is the event of this operation stored, word for word? */
static bool same_event(const struct hf_model_turn *turn, const struct hf_model_thing *event,
                       const struct hf_op *op)
{
    const struct hf_command *was = turn->model->commands[event->made_position];
    return hf_model_same_op(&was->ops[event->op_index], op);
}

/* All appends, or all publishes, each with an id and nothing else. */
static bool only_such_with_ids(const struct hf_command *command, enum hf_op_type type)
{
    bool only = command->condition_count == 0;
    for (uint32_t i = 0; only && i < command->op_count; i++) {
        only = command->ops[i].type == type && command->ops[i].has_id;
    }
    return only;
}

static enum hf_err known_id(struct hf_model_turn *turn, const struct hf_op *op)
{
    struct hf_model *model = turn->model;
    enum hf_kind kind = new_kind(op);
    struct hf_model_thing *thing = hf_model_find(model, kind, &op->id);
    if (thing == NULL) {
        return HF_ERR_ID_COLLISION;
    }
    bool partial = is_event_id(kind) && same_event(turn, thing, op) &&
                   only_such_with_ids(turn->command, op->type);
    if (kind == HF_KIND_MESSAGE) {
        turn->culprit = thing;
        return partial ? HF_ERR_PARTIAL_REPLAY : HF_ERR_MESSAGE_EXISTS;
    }
    if (kind != HF_KIND_EVENT) {
        turn->culprit = thing;
        return kind == HF_KIND_HOLD ? HF_ERR_HOLD_EXISTS : HF_ERR_TRANSFER_EXISTS;
    }
    turn->culprit = hf_model_find(model, HF_KIND_STREAM, &op->subject);
    return partial ? HF_ERR_PARTIAL_REPLAY : HF_ERR_EVENT_EXISTS;
}

/* The commit that has exactly these operations under these ids; 0 = none. */
static uint64_t same_commit(const struct hf_model_turn *turn)
{
    const struct hf_command *command = turn->command;
    uint64_t position = 0;
    for (uint32_t i = 0; i < command->op_count; i++) {
        const struct hf_op *op = &command->ops[i];
        if (op->type == HF_OP_ACK || op->type == HF_OP_NACK) {
            continue; /* it names its receipt */
        }
        const struct hf_model_thing *thing =
            op->has_id ? hf_model_find(turn->model, new_kind(op), &op->id) : NULL;
        if (thing == NULL || (position != 0 && thing->made_position != position)) {
            return 0;
        }
        position = thing->made_position;
    }
    if (position == 0) {
        return 0;
    }
    const struct hf_command *was = turn->model->commands[position];
    if (was->kind == HF_COMMAND_EACH) {
        return hf_model_repeats_unit(turn) ? position : 0;
    }
    bool same = command->condition_count == 0 && was->condition_count == 0 &&
                was->op_count == command->op_count;
    for (uint32_t i = 0; same && i < command->op_count; i++) {
        same = hf_model_same_op(&command->ops[i], &was->ops[i]);
    }
    return same ? position : 0;
}

/* true if the ids have the answer. */
static bool by_ids(struct hf_model_turn *turn, bool recorded)
{
    const struct hf_command *command = turn->command;
    for (uint32_t i = 0; i < command->op_count; i++) {
        const struct hf_op *op = &command->ops[i];
        enum hf_kind kind = new_kind(op);
        if (kind == HF_KIND_NONE || (hf_model_find(turn->model, kind, &op->id) == NULL &&
                                     !hf_model_collides(turn->model, kind, &op->id))) {
            continue;
        }
        uint64_t position = same_commit(turn);
        if (position != 0) {
            replay(turn, position, false);
        } else {
            turn->op_index = i;
            refuse(turn, known_id(turn, op), HF_WHERE_DO, i, recorded);
        }
        return true;
    }
    return false;
}

static void expire_named(struct hf_model_turn *turn, enum hf_kind kind, const struct hf_name *name)
{
    struct hf_model_thing *thing = hf_model_find(turn->model, kind, name);
    if (thing != NULL && hf_model_is_due(thing, turn->time_us)) {
        hf_model_book_expiry(turn, thing);
        turn->model->counts.expired_first++;
    }
}

static void expiries_first(struct hf_model_turn *turn)
{
    const struct hf_command *command = turn->command;
    for (uint32_t i = 0; i < command->condition_count; i++) {
        const struct hf_condition *condition = &command->conditions[i];
        if (condition->kind == HF_CONDITION_HOLD || condition->kind == HF_CONDITION_LEASE) {
            bool hold = condition->kind == HF_CONDITION_HOLD;
            expire_named(turn, hold ? HF_KIND_HOLD : HF_KIND_LEASE, &condition->subject);
        } else if (condition->kind == HF_CONDITION_SUBSCRIPTION) {
            hf_naive_book(turn, &condition->subject);
        }
    }
    for (uint32_t i = 0; i < command->op_count; i++) {
        const struct hf_op *op = &command->ops[i];
        if (op->type == HF_OP_CAPTURE || op->type == HF_OP_VOID || op->type == HF_OP_EXTEND) {
            expire_named(turn, HF_KIND_HOLD, &op->subject);
        } else if (op->type == HF_OP_ACQUIRE || op->type == HF_OP_RENEW ||
                   op->type == HF_OP_RELEASE) {
            expire_named(turn, HF_KIND_LEASE, &op->subject);
        } else if (op->type == HF_OP_ACK || op->type == HF_OP_NACK || op->type == HF_OP_RECEIVE ||
                   op->type == HF_OP_ACK_BATCH) {
            hf_naive_book(turn, &op->subject);
        }
    }
}

/* true if every condition holds and every operation is done. */
static bool carry_out(struct hf_model_turn *turn, bool recorded)
{
    const struct hf_command *command = turn->command;
    struct hf_model_counts *counts = &turn->model->counts;
    for (uint32_t i = 0; i < command->condition_count; i++) {
        enum hf_err code = hf_model_condition(turn, &command->conditions[i]);
        if (code != HF_ERR_OK) {
            counts->condition_failed[command->conditions[i].kind]++;
            refuse(turn, code, HF_WHERE_IF, i, recorded);
            return false;
        }
        counts->condition_held[command->conditions[i].kind]++;
    }
    for (uint32_t i = 0; i < command->op_count; i++) {
        turn->op_index = i;
        enum hf_err code = hf_model_operate(turn, &command->ops[i]);
        if (code != HF_ERR_OK) {
            counts->op_refused[command->ops[i].type]++;
            refuse(turn, code, HF_WHERE_DO, i, recorded);
            return false;
        }
    }
    return true;
}

/* What the answer tells of the thing that it is about: as it is after the refusal. */
static void describe_culprit(struct hf_model_turn *turn)
{
    struct hf_model_answer *answer = &turn->model->answer;
    answer->current = hf_model_entity(turn->culprit);
    if (turn->culprit != NULL && answer->current.kind == HF_KIND_DOCUMENT) {
        answer->current_text = turn->culprit->text;
    }
}

static void spend_ids(struct hf_model_turn *turn)
{
    struct hf_model *model = turn->model;
    for (uint32_t i = 0; i < turn->command->op_count; i++) {
        const struct hf_op *op = &turn->command->ops[i];
        enum hf_kind kind = new_kind(op);
        if (kind == HF_KIND_NONE || is_event_id(kind) ||
            hf_model_find(model, kind, &op->id) != NULL ||
            hf_model_collides(model, kind, &op->id)) {
            continue;
        }
        struct hf_model_thing *thing =
            hf_model_make(model, kind, &op->id, turn->position, turn->time_us);
        thing->spent = true;
        hf_model_spend(model, kind, &op->id);
    }
}

static void answer_key(struct hf_model_turn *turn, bool cancelled)
{
    struct hf_model *model = turn->model;
    if (!hf_str_present(turn->command->key)) {
        return;
    }
    struct hf_name name = key_name(model, turn->command);
    struct hf_model_thing *key = hf_model_find(model, HF_KIND_KEY, &name);
    if (key == NULL) {
        key = hf_model_make(model, HF_KIND_KEY, &name, turn->position, turn->time_us);
    } else {
        hf_model_touch(model, key);
        key->made_position = turn->position;
        key->made_at_us = turn->time_us;
    }
    key->cancelled = cancelled;
}

/* A commit of one ack that was given before, by the same principal and alone: it answers as then. */
static bool is_ack_again(const struct hf_model_turn *turn)
{
    const struct hf_command *command = turn->command;
    if (turn->repeats == 0 || turn->repeats == turn->position || command->op_count != 1 ||
        command->ops[0].type != HF_OP_ACK) {
        return false;
    }
    const struct hf_command *was = turn->model->commands[turn->repeats];
    return was->op_count == 1 && hf_str_equal(was->principal, command->principal);
}

static void decide(struct hf_model_turn *turn)
{
    struct hf_model *model = turn->model;
    struct hf_model_answer *answer = &model->answer;
    const struct hf_command *command = turn->command;
    bool recorded = command->spends_ids || hf_str_present(command->key);
    if (command->kind == HF_COMMAND_EACH) {
        hf_model_decide_units(turn);
        return;
    }
    if (by_key(turn)) {
        return;
    }
    if (command->kind == HF_COMMAND_CANCEL_KEY) {
        answer->outcome = HF_MODEL_ACCEPTED;
        answer->recorded = true;
        (void)hf_model_event(model, HF_EVENT_KEY_CANCELLED, HF_NO_OPERATION);
        answer_key(turn, true);
        return;
    }
    if (by_ids(turn, recorded) && answer->outcome == HF_MODEL_REFUSED) {
        if (answer->recorded) {
            expiries_first(turn);
        }
        describe_culprit(turn);
    }
    if (answer->outcome == 0) {
        expiries_first(turn);
        size_t undo_count = model->undo_count;
        uint32_t event_count = answer->event_count;
        const struct hf_naive_counts counts = model->counts.queue;
        if (carry_out(turn, recorded)) {
            answer->outcome = HF_MODEL_ACCEPTED;
            answer->nothing = turn->idle_ops == command->op_count;
            answer->recorded = !answer->nothing;
            if (answer->nothing && is_ack_again(turn)) {
                replay(turn, turn->repeats, false);
            }
        } else {
            hf_model_roll_back(model, undo_count);
            model->counts.queue = counts;
            answer->event_count = event_count;
            describe_culprit(turn);
        }
    }
    if (answer->outcome == HF_MODEL_REFUSED && answer->recorded) {
        spend_ids(turn);
    }
    if (answer->recorded) {
        answer_key(turn, false);
    }
}

const struct hf_model_answer *hf_model_try(struct hf_model *model, const struct hf_command *command,
                                           uint64_t position, uint64_t time_us)
{
    struct hf_model_answer *answer = &model->answer;
    hf_arena_clear(&model->scratch);
    model->undo_count = 0;
    *answer = (struct hf_model_answer){.events = answer->events,
                                       .event_capacity = answer->event_capacity,
                                       .spent = answer->spent,
                                       .spent_capacity = answer->spent_capacity};
    struct hf_model_turn turn = {
        .model = model, .command = command, .position = position, .time_us = time_us};
    struct hf_naive_counts counts = model->counts.queue;
    decide(&turn);
    hf_model_roll_back(model, 0);
    if (!command->dry_run) { /* what is never recorded */
        counts.receives_empty = model->counts.queue.receives_empty;
        counts.acked_again = model->counts.queue.acked_again;
        counts.put_again = model->counts.queue.put_again;
        counts.timed_out_first = model->counts.queue.timed_out_first;
    }
    model->counts.queue = counts;
    return answer;
}

/* An effect, an ack and a publish: what a consumer does exactly once. */
static bool is_whole_step(const struct hf_command *command)
{
    bool ack = false;
    bool publish = false;
    bool effect = false;
    for (uint32_t i = 0; command->kind == HF_COMMAND_COMMIT && i < command->op_count; i++) {
        enum hf_op_type type = command->ops[i].type;
        ack = ack || type == HF_OP_ACK;
        publish = publish || type == HF_OP_PUBLISH;
        effect = effect || type < HF_OP_PUBLISH;
    }
    return ack && publish && effect;
}

static void remember(struct hf_model *model, const struct hf_command *command, uint64_t position)
{
    if (position >= model->command_capacity) {
        size_t capacity = position * 2 + 64;
        model->commands = realloc(model->commands, capacity * sizeof(const struct hf_command *));
        HF_CHECK(model->commands != NULL);
        memset(model->commands + model->command_capacity, 0,
               (capacity - model->command_capacity) * sizeof(const struct hf_command *));
        model->outcomes = realloc(model->outcomes, capacity * sizeof(const struct hf_outcome *));
        HF_CHECK(model->outcomes != NULL);
        memset(model->outcomes + model->command_capacity, 0,
               (capacity - model->command_capacity) * sizeof(const struct hf_outcome *));
        model->command_capacity = capacity;
    }
    model->commands[position] = hf_model_keep(model, command);
    model->outcomes[position] = model->answer.outcomes;
}

static void count(struct hf_model *model, const struct hf_command *command)
{
    const struct hf_model_answer *answer = &model->answer;
    if (answer->outcome == HF_MODEL_REFUSED) {
        model->counts.refused_recorded++;
        return;
    }
    model->counts.accepted += command->kind == HF_COMMAND_COMMIT;
    model->counts.queue.exactly_once += is_whole_step(command);
    model->counts.cancelled += command->kind == HF_COMMAND_CANCEL_KEY;
    for (uint32_t i = 0; command->kind == HF_COMMAND_COMMIT && i < command->op_count; i++) {
        model->counts.op_accepted[command->ops[i].type]++;
    }
}

const struct hf_model_answer *hf_model_decide(struct hf_model *model,
                                              const struct hf_command *command, uint64_t position,
                                              uint64_t time_us)
{
    struct hf_model_answer *answer = &model->answer;
    hf_arena_clear(&model->scratch);
    model->undo_count = 0;
    *answer = (struct hf_model_answer){.events = answer->events,
                                       .event_capacity = answer->event_capacity,
                                       .spent = answer->spent,
                                       .spent_capacity = answer->spent_capacity};
    struct hf_model_turn turn = {
        .model = model, .command = command, .position = position, .time_us = time_us};
    decide(&turn);
    if (!answer->recorded) {
        hf_model_roll_back(model, 0);
        return answer;
    }
    model->undo_count = 0;
    model->position = position;
    model->time_us = time_us;
    remember(model, command, position);
    count(model, command);
    return answer;
}
