/* Commands of units, as docs/protocol.md has them: each record, or chain of linked ones, by itself. */
#include <stdio.h>

#include "sim/model_priv.h"

/* A packed record names things by 128 bits. */
static struct hf_model_thing *find_bits(const struct hf_model *model, enum hf_kind kind,
                                        const struct hf_id *id)
{
    for (struct hf_model_thing *thing = model->newest[kind]; thing != NULL; thing = thing->before) {
        if (memcmp(thing->name.id.bytes, id->bytes, sizeof(id->bytes)) == 0) {
            return thing;
        }
    }
    return NULL;
}

static struct hf_name hex_name(struct hf_arena *arena, const struct hf_id *id)
{
    char text[40];
    size_t len = 0;
    for (size_t i = 0; i < sizeof(id->bytes); i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%02x",
                                i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", id->bytes[i]);
    }
    return (struct hf_name){*id, hf_model_copy(arena, (struct hf_str){text, len})};
}

/* The name that the bits stand for, or their hex text, which nothing has. */
static struct hf_name name_of_bits(struct hf_model *model, enum hf_kind kind,
                                   const struct hf_id *id)
{
    const struct hf_model_thing *thing = find_bits(model, kind, id);
    return thing != NULL ? thing->name : hex_name(&model->scratch, id);
}

static struct hf_asset asset_of_hash(const uint8_t hash[8])
{
    static const char *const known[] = {"USD/2", "EUR/2"};
    struct hf_asset asset = {0};
    for (size_t i = 0; i < HF_ARRAY_COUNT(known); i++) {
        struct hf_hash whole = hf_sha256(known[i], strlen(known[i]));
        if (memcmp(whole.bytes, hash, 8) == 0) {
            HF_CHECK(hf_asset_parse(hf_str_from(known[i]), &asset));
            return asset;
        }
    }
    HF_CHECK(hf_asset_parse(HF_STR("NONE/0"), &asset));
    return asset;
}

/* Operation i as one that names everything, whichever form the command has. */
static struct hf_op spell(struct hf_model *model, const struct hf_command *command, uint32_t i)
{
    struct hf_op op = {0};
    if (command->plain != NULL) {
        const struct hf_packed_transfer *plain = &command->plain[i];
        op.type = (enum hf_op_type)plain->type;
        op.has_id = true;
        op.id.id = plain->id;
        op.subject.id = plain->from;
        op.to.id = plain->to;
        op.has_amount = plain->type != HF_OP_VOID && !plain->all_left;
        op.amount = plain->amount;
        op.final = plain->final;
        if (plain->type == HF_OP_HOLD) {
            op.has_timeout = plain->timeout_ms != 0;
            op.timeout_ms = plain->timeout_ms;
        } else {
            op.has_effective_at = plain->effective_at_us != 0;
            op.effective_at_us = plain->effective_at_us;
        }
        memcpy(op.asset.text, plain->asset_hash, 8);
        memcpy(op.user_data, plain->user_data, sizeof(op.user_data));
        op.code = plain->code;
    } else {
        op = command->ops[i];
    }
    bool moves = op.type == HF_OP_TRANSFER || op.type == HF_OP_HOLD;
    op.id = hex_name(&model->scratch, &op.id.id);
    op.subject = name_of_bits(model, moves ? HF_KIND_ACCOUNT : HF_KIND_HOLD, &op.subject.id);
    if (moves) {
        op.to = name_of_bits(model, HF_KIND_ACCOUNT, &op.to.id);
        op.asset = asset_of_hash((const uint8_t *)op.asset.text);
    }
    return op;
}

static enum hf_kind id_kind(const struct hf_op *op)
{
    return op->type == HF_OP_HOLD ? HF_KIND_HOLD : HF_KIND_TRANSFER;
}

/* ---- what is there already ---- */

static bool same_bits(const struct hf_name *a, const struct hf_name *b)
{
    return memcmp(a->id.bytes, b->id.bytes, sizeof(a->id.bytes)) == 0;
}

/* Field by field, but for the links. */
static bool same_record(const struct hf_op *a, const struct hf_op *b)
{
    return a->type == b->type && same_bits(&a->id, &b->id) && same_bits(&a->subject, &b->subject) &&
           same_bits(&a->to, &b->to) && hf_asset_equal(&a->asset, &b->asset) &&
           a->has_amount == b->has_amount && a->amount == b->amount && a->final == b->final &&
           a->has_timeout == b->has_timeout && a->timeout_ms == b->timeout_ms &&
           a->effective_at_us == b->effective_at_us && a->code == b->code &&
           memcmp(a->user_data, b->user_data, sizeof(a->user_data)) == 0;
}

/* Is the thing what this operation would have made? */
static bool made_by(const struct hf_model_thing *thing, const struct hf_op *op)
{
    static const uint8_t none[HF_USER_DATA_BYTES];
    if (thing->by != NULL) {
        return same_record(thing->by, op); /* it came packed */
    }
    bool bare = op->code == 0 && memcmp(op->user_data, none, sizeof(none)) == 0;
    if (thing->spent || !bare || !hf_str_equal(thing->name.text, op->id.text)) {
        return false;
    }
    if (op->type == HF_OP_TRANSFER) {
        const struct hf_transfer *was = &thing->transfer;
        return was->kind == HF_TRANSFER_PLAIN && same_bits(&was->from, &op->subject) &&
               same_bits(&was->to, &op->to) && hf_asset_equal(&was->asset, &op->asset) &&
               was->requested == op->amount && !was->up_to &&
               was->effective_at_us == op->effective_at_us && !hf_str_present(was->metadata.text);
    }
    const struct hf_hold *was = &thing->hold;
    uint64_t expires_at_us = op->has_timeout ? was->opened_at_us + op->timeout_ms * 1000 : 0;
    return op->type == HF_OP_HOLD && same_bits(&was->from, &op->subject) &&
           same_bits(&was->to, &op->to) && hf_asset_equal(&was->asset, &op->asset) &&
           was->amount == op->amount && thing->first_expires_at_us == expires_at_us;
}

/* Is it spent by the refusal of this very unit? */
static bool refused_by(const struct hf_model_thing *thing, const struct hf_op *ops, uint32_t count)
{
    const struct hf_model_unit *unit = thing->unit;
    bool same = unit != NULL && unit->count == count;
    for (uint32_t i = 0; same && i < count; i++) {
        same = same_record(&unit->ops[i], &ops[i]);
    }
    return same;
}

/* ---- units ---- */

struct units {
    struct hf_model_turn *turn;
    struct hf_op *ops; /* of the command, spelt out */
    struct hf_outcome *outcomes;
};

static void tell(struct units *units, uint32_t first, uint32_t count, uint32_t cause,
                 enum hf_err code, bool replayed)
{
    struct hf_model_counts *counts = &units->turn->model->counts;
    for (uint32_t i = first; i < first + count; i++) {
        bool chain = code != HF_ERR_OK && i != cause;
        units->outcomes[i].code = (uint16_t)code;
        units->outcomes[i].flags = (uint16_t)((replayed ? 1 : 0) | (chain ? 2 : 0));
        counts->records[code != HF_ERR_OK][replayed]++;
        counts->records_of_chains += count > 1;
    }
}

/* A copy of the unit for as long as the model lives. */
static const struct hf_model_unit *keep_unit(struct units *units, uint32_t first, uint32_t count,
                                             uint32_t cause, enum hf_err code)
{
    struct hf_arena *arena = &units->turn->model->arena;
    struct hf_model_unit *unit = hf_arena_alloc_zero(arena, 1, sizeof(*unit));
    struct hf_op *ops = hf_arena_alloc_zero(arena, count, sizeof(*ops));
    HF_CHECK(unit != NULL && ops != NULL);
    memcpy(ops, units->ops + first, count * sizeof(*ops)); /* their bits are compared, no texts */
    *unit = (struct hf_model_unit){ops, count, cause - first, code};
    return unit;
}

static void refuse(struct units *units, uint32_t first, uint32_t count, uint32_t cause,
                   enum hf_err code)
{
    struct hf_model_turn *turn = units->turn;
    struct hf_model *model = turn->model;
    const struct hf_model_unit *unit = keep_unit(units, first, count, cause, code);
    struct hf_spent *spent = hf_arena_alloc_zero(&model->scratch, count, sizeof(*spent));
    uint32_t spent_count = 0;
    HF_CHECK(spent != NULL);
    tell(units, first, count, cause, code, false);
    for (uint32_t i = first; i < first + count; i++) {
        enum hf_kind kind = id_kind(&units->ops[i]);
        if (find_bits(model, kind, &units->ops[i].id.id) != NULL) {
            continue;
        }
        struct hf_model_thing *thing =
            hf_model_make(model, kind, &units->ops[i].id, turn->position, turn->time_us);
        thing->spent = true;
        thing->unit = unit;
        spent[spent_count++] = (struct hf_spent){kind, units->ops[i].id};
    }
    model->counts.units_refused[code]++;
    if (spent_count == 0) {
        return; /* nothing that a late duplicate could still do */
    }
    struct hf_event *event = hf_model_event(model, HF_EVENT_UNIT_REFUSED, first);
    event->unit_refused.count = count;
    event->unit_refused.refused = (struct hf_refused){
        .code = code,
        .where = HF_WHERE_DO,
        .index = cause - first,
        .spent_count = spent_count,
        .spent = spent,
    };
}

/* Some ids are there: all of it is a replay, or it is refused. */
static void answer_known(struct units *units, uint32_t first, uint32_t count)
{
    struct hf_model *model = units->turn->model;
    uint32_t same = 0;
    uint32_t known = first + count; /* the first known one… */
    uint32_t other = first + count; /* …and the first that is something else */
    for (uint32_t i = first; i < first + count; i++) {
        const struct hf_model_thing *thing =
            find_bits(model, id_kind(&units->ops[i]), &units->ops[i].id.id);
        if (thing == NULL) {
            continue;
        }
        if (refused_by(thing, units->ops + first, count)) {
            tell(units, first, count, first + thing->unit->cause, thing->unit->code, true);
            return;
        }
        bool is_same = made_by(thing, &units->ops[i]);
        same += is_same;
        known = known == first + count ? i : known;
        other = !is_same && other == first + count ? i : other;
    }
    if (same == count) {
        tell(units, first, count, first, HF_ERR_OK, true);
        return;
    }
    uint32_t cause = other < first + count ? other : known;
    refuse(units, first, count, cause,
           units->ops[cause].type == HF_OP_HOLD ? HF_ERR_HOLD_EXISTS : HF_ERR_TRANSFER_EXISTS);
}

/* What the record carries goes with what it made; a void has no thing of its own but its id. */
static void mark_made(struct units *units, uint32_t i)
{
    struct hf_model_turn *turn = units->turn;
    struct hf_model *model = turn->model;
    const struct hf_op *op = &units->ops[i];
    struct hf_model_thing *thing = find_bits(model, id_kind(op), &op->id.id);
    if (op->type == HF_OP_VOID) {
        thing = hf_model_make(model, HF_KIND_TRANSFER, &op->id, turn->position, turn->time_us);
        thing->spent = true;
    }
    HF_CHECK(thing != NULL);
    thing->by = keep_unit(units, i, 1, i, HF_ERR_OK)->ops;
    struct hf_transfer *told =
        &model->answer.events[model->answer.event_count - 1].posting.transfer;
    memcpy(told->user_data, op->user_data, sizeof(told->user_data));
    told->code = op->code;
    if (op->type == HF_OP_VOID) {
        told->name = op->id;
    } else if (op->type != HF_OP_HOLD) {
        memcpy(thing->transfer.user_data, op->user_data, sizeof(op->user_data));
        thing->transfer.code = op->code;
    }
}

static void decide_unit(struct units *units, uint32_t first, uint32_t count)
{
    struct hf_model_turn *turn = units->turn;
    struct hf_model *model = turn->model;
    for (uint32_t i = first; i < first + count; i++) {
        if (find_bits(model, id_kind(&units->ops[i]), &units->ops[i].id.id) != NULL) {
            answer_known(units, first, count);
            return;
        }
    }
    size_t undo_count = model->undo_count;
    uint32_t event_count = model->answer.event_count;
    for (uint32_t i = first; i < first + count; i++) {
        turn->op_index = i;
        const struct hf_op *op = &units->ops[i];
        enum hf_err exists = op->type == HF_OP_HOLD ? HF_ERR_HOLD_EXISTS : HF_ERR_TRANSFER_EXISTS;
        bool twice = find_bits(model, id_kind(op), &op->id.id) != NULL; /* in the chain */
        enum hf_err code = twice ? exists : hf_model_operate(turn, op);
        if (code != HF_ERR_OK) {
            hf_model_roll_back(model, undo_count);
            model->answer.event_count = event_count;
            refuse(units, first, count, i, code);
            return;
        }
        mark_made(units, i);
    }
    tell(units, first, count, first, HF_ERR_OK, false);
}

void hf_model_decide_units(struct hf_model_turn *turn)
{
    struct hf_model *model = turn->model;
    struct hf_model_answer *answer = &model->answer;
    const struct hf_command *command = turn->command;
    struct units units = {
        .turn = turn,
        .ops = hf_arena_alloc_zero(&model->scratch, command->op_count, sizeof(*units.ops)),
        .outcomes = hf_arena_alloc_zero(&model->arena, command->op_count, sizeof(*units.outcomes)),
    };
    HF_CHECK(units.ops != NULL && units.outcomes != NULL);
    for (uint32_t i = 0; i < command->op_count; i++) {
        units.ops[i] = spell(model, command, i);
        bool ends = units.ops[i].type == HF_OP_CAPTURE || units.ops[i].type == HF_OP_VOID;
        struct hf_model_thing *hold =
            ends ? hf_model_find(model, HF_KIND_HOLD, &units.ops[i].subject) : NULL;
        if (hold != NULL && hf_model_is_due(hold, turn->time_us)) {
            hf_model_book_expiry(turn, hold);
            model->counts.expired_first++;
        }
    }
    for (uint32_t first = 0; first < command->op_count;) {
        uint32_t count = 1;
        while (units.ops[first + count - 1].linked) {
            count++;
        }
        for (uint32_t i = first; i < first + count; i++) {
            units.ops[i] = spell(model, command, i); /* earlier units may have made what it names */
        }
        decide_unit(&units, first, count);
        first += count;
    }
    answer->outcome = HF_MODEL_ACCEPTED;
    answer->outcomes = units.outcomes;
    answer->recorded = answer->event_count > 0;
    answer->nothing = !answer->recorded;
    model->counts.of_units++;
}

bool hf_model_repeats_unit(const struct hf_model_turn *turn)
{
    const struct hf_command *command = turn->command;
    const struct hf_op *op = &command->ops[0];
    const struct hf_model_thing *thing = find_bits(
        turn->model, id_kind(op), &op->id.id); /* JSON names by text what bits stand for */
    bool packed = command->op_count == 1 && command->condition_count == 0 && !op->up_to &&
                  !hf_str_present(op->metadata.text) && thing != NULL;
    turn->model->answer.code = HF_ERR_OK;
    if (packed && refused_by(thing, op, 1)) {
        turn->model->answer.code = thing->unit->code;
        return true;
    }
    if (!packed || thing->by == NULL || !made_by(thing, op)) {
        return false;
    }
    /* The texts must be those of the accounts: others may have the same bits. */
    bool hold = op->type == HF_OP_HOLD;
    const struct hf_name *from = hold ? &thing->hold.from : &thing->transfer.from;
    const struct hf_name *to = hold ? &thing->hold.to : &thing->transfer.to;
    bool moves = hold || op->type == HF_OP_TRANSFER;
    return !moves ||
           (hf_str_equal(from->text, op->subject.text) && hf_str_equal(to->text, op->to.text));
}
