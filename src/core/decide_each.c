/*
 * A command of units: one commit, one position; each unit, an operation or a chain of linked ones, is decided, refused
 * and replayed by itself, in order, and sees what the earlier ones did.
 *
 * 1. A refusal has one UNIT_REFUSED and spends the unit's new ids; one that has no new id is told and not recorded.
 * 2. A known id is a replay if what is recorded is what is asked for; nothing happens then. Every id of a chain must be.
 * 3. Operations refuse before they change anything: a unit of one needs no taking back. A chain is taken back as a whole.
 */
#include "base/check.h"
#include "core/decide_priv.h"

#define GATHER_MIN                                                                                 \
    16u /* commits asked for at once, at first: each may hold eight thousand records */
#define DECODED_BYTES_MAX                                                                          \
    (24u << 20) /* of frames decoded to compare known ids: they are ten times as large in memory */

struct each {
    struct hf_deciding *d;
    struct hf_index_value *values; /* by operation: where its id is, if it is known */
    struct hf_outcome *outcomes;   /* by operation */
};

/* ---- asking for everything at once ---- */

/* More at once when those that have come were small: records that once came one by one may come again as one request. */
static bool may_gather(const struct hf_view *view)
{
    uint64_t most = GATHER_MIN;
    if (view->needs.position_count >= GATHER_MIN && view->decoded.count > 0 &&
        view->decoded_bytes < DECODED_BYTES_MAX) {
        uint64_t average_bytes = view->decoded_bytes / view->decoded.count + 1;
        uint64_t room = (DECODED_BYTES_MAX - view->decoded_bytes) / average_bytes;
        most = hf_max_u64(GATHER_MIN, hf_min_u64(room, HF_GATHER_MAX));
    }
    return view->needs.position_count < most && !view->short_memory && !view->damaged &&
           view->decoded_bytes <= DECODED_BYTES_MAX;
}

/* What the known ids and accounts will be compared with. */
static enum hf_step gather(struct each *each, uint32_t known_count)
{
    struct hf_deciding *d = each->d;
    struct hf_view *view = &d->draft->view;
    const struct hf_command *command = d->command;
    for (uint32_t i = 0; known_count > 0 && i < command->op_count && may_gather(view); i++) {
        if (!d->known[i]) {
            continue;
        }
        const struct hf_op *op = &command->ops[i];
        const struct hf_commit *commit = hf_view_commit(view, each->values[i].position);
        if (commit != NULL && op->type == HF_OP_HOLD &&
            (each->values[i].flags & HF_INDEX_SPENT) == 0 &&
            each->values[i].index < commit->event_count) {
            const struct hf_posting *posting = &commit->events[each->values[i].index]->posting;
            (void)hf_view_commit(view, posting->hold.opened_position);
        }
    }
    for (uint32_t i = 0; i < command->op_count && may_gather(view); i++) {
        const struct hf_op *op = &command->ops[i];
        if (op->type == HF_OP_OPEN_ACCOUNT && hf_state_account(d->state, &op->subject.id) != NULL) {
            const struct hf_event *event;
            bool spent;
            (void)hf_find_event(d, HF_INDEX_ACCOUNT, &op->subject.id,
                                HF_EVENT_BIT(HF_EVENT_ACCOUNT_OPENED), &event, &spent);
        }
    }
    return hf_view_complete(view) ? STEP_OK : STEP_STOP;
}

/* ---- outcomes ---- */

static void tell(struct each *each, uint32_t first, uint32_t count, uint32_t failed,
                 enum hf_err code, uint16_t flags)
{
    for (uint32_t i = first; i < first + count; i++) {
        bool chain = code != HF_ERR_OK && i != failed;
        each->outcomes[i] = (struct hf_outcome){
            .code = (uint16_t)code,
            .flags = (uint16_t)(flags | (chain ? HF_OUTCOME_CHAIN : 0)),
        };
    }
}

/* The new ids of the unit, which the newest event, its refusal, spends. */
static enum hf_step spend(struct each *each, uint32_t first, uint32_t count,
                          struct hf_refused *refused)
{
    struct hf_deciding *d = each->d;
    struct hf_spent *spent = hf_arena_alloc(&d->draft->view.arena, count * sizeof(*spent));
    enum hf_step step = spent == NULL ? hf_short(d) : STEP_OK;
    for (uint32_t i = first; step == STEP_OK && i < first + count; i++) {
        const struct hf_op *op = &d->command->ops[i];
        uint8_t kind = hf_index_kind_of(op);
        if (!hf_op_spends_id(op) || d->known[i] || hf_draft_id(d, kind, &op->id.id) != NULL) {
            continue;
        }
        spent[refused->spent_count++] = (struct hf_spent){
            .kind = op->type == HF_OP_HOLD ? HF_KIND_HOLD : HF_KIND_TRANSFER,
            .name = op->id,
        };
        step = hf_draft_note_spent(d, kind, &op->id.id);
    }
    refused->spent = spent;
    return step;
}

/* Records that the unit was refused: why stands in d. */
static enum hf_step refuse_unit(struct each *each, uint32_t first, uint32_t count)
{
    struct hf_deciding *d = each->d;
    struct hf_refused refused = {
        .code = d->code, .where = HF_WHERE_DO, .index = d->where_index - first};
    enum hf_step step = d->command->packed ? STEP_OK : hf_fill_current(d, &refused.current);
    if (step == STEP_REFUSED) {
        refused.current.kind = HF_KIND_NONE; /* the name is another thing's */
    } else if (step != STEP_OK) {
        return step;
    }
    tell(each, first, count, d->where_index, refused.code, 0);
    d->op_index = first;
    struct hf_event *event = hf_draft_event(d, HF_EVENT_UNIT_REFUSED);
    if (event == NULL) {
        return STEP_STOP;
    }
    step = spend(each, first, count, &refused);
    if (step != STEP_OK) {
        return step;
    }
    if (refused.spent_count == 0) {
        d->draft->commit.event_count--; /* nothing that a late duplicate could still do */
        return STEP_OK;
    }
    event->unit_refused.refused = refused;
    event->unit_refused.count = count;
    return hf_unit_hash(d, &d->command->ops[first], count, event->unit_refused.content_hash)
               ? STEP_OK
               : STEP_STOP;
}

/* ---- known ids ---- */

static enum hf_err exists_code(const struct hf_op *op)
{
    return op->type == HF_OP_HOLD ? HF_ERR_HOLD_EXISTS : HF_ERR_TRANSFER_EXISTS;
}

/* Some ids of the unit are known (each->values): a replay, or a refusal. */
static enum hf_step decide_known(struct each *each, uint32_t first, uint32_t count,
                                 const bool *known)
{
    struct hf_deciding *d = each->d;
    uint32_t same = 0;
    uint32_t other = first + count;
    enum hf_err code = HF_ERR_OK;
    for (uint32_t i = 0; i < count; i++) {
        const struct hf_event *event;
        enum hf_sameness sameness = HF_OTHER;
        if (!known[i]) {
            continue;
        }
        if (d->draft->view.decoded_bytes > DECODED_BYTES_MAX) {
            return hf_refuse(d, HF_ERR_TOO_LARGE, HF_KIND_NONE, NULL);
        }
        sameness = hf_compare_recorded(d, first, count, i, &each->values[first + i], &event);
        if (sameness == HF_SAME_STOP) {
            return STEP_STOP;
        }
        if (sameness == HF_SAME_REFUSED) {
            const struct hf_refused *refused = &event->unit_refused.refused;
            tell(each, first, count, first + refused->index, refused->code, HF_OUTCOME_REPLAYED);
            return STEP_OK;
        }
        same += sameness == HF_SAME;
        if (sameness != HF_SAME && code == HF_ERR_OK) {
            other = first + i;
            code = sameness == HF_OTHER_NAME ? HF_ERR_ID_COLLISION
                                             : exists_code(&d->command->ops[other]);
        }
    }
    if (same == count) {
        tell(each, first, count, first, HF_ERR_OK, HF_OUTCOME_REPLAYED);
        return STEP_OK;
    }
    for (uint32_t i = 0; code == HF_ERR_OK && i < count; i++) {
        other = first + i; /* all known ones are the same, but others are new */
        code = known[i] ? exists_code(&d->command->ops[other]) : HF_ERR_OK;
    }
    d->where_index = other;
    (void)hf_refuse(d, code, HF_KIND_NONE, NULL);
    return refuse_unit(each, first, count);
}

static enum hf_step decide_account(struct each *each, uint32_t at, enum hf_step step)
{
    struct hf_deciding *d = each->d;
    if (step == STEP_REFUSED && d->code == HF_ERR_ACCOUNT_EXISTS) {
        enum hf_sameness sameness = hf_compare_account(d, &d->command->ops[at]);
        if (sameness == HF_SAME_STOP) {
            return STEP_STOP;
        }
        if (sameness == HF_SAME) {
            tell(each, at, 1, at, HF_ERR_OK, HF_OUTCOME_REPLAYED);
            return STEP_OK;
        }
    }
    return step == STEP_REFUSED ? refuse_unit(each, at, 1) : step;
}

/* ---- units ---- */

static enum hf_step decide_one(struct each *each, uint32_t at)
{
    struct hf_deciding *d = each->d;
    const struct hf_op *op = &d->command->ops[at];
    const struct hf_index_value *own =
        op->has_id && !d->known[at] ? hf_draft_id(d, hf_index_kind_of(op), &op->id.id) : NULL;
    if (own != NULL) { /* the same id twice in one request */
        each->values[at] = *own;
    }
    bool known = d->known[at] || own != NULL;
    if (known) {
        return decide_known(each, at, 1, &known);
    }
    d->where_index = at;
    d->op_index = at;
    enum hf_step step = hf_decide_op(d, op);
    if (step == STEP_OK || step == STEP_STOP) {
        return step;
    }
    return op->type == HF_OP_OPEN_ACCOUNT ? decide_account(each, at, step)
                                          : refuse_unit(each, at, 1);
}

static enum hf_step decide_chain(struct each *each, uint32_t first, uint32_t count)
{
    struct hf_deciding *d = each->d;
    bool *known = hf_arena_alloc(&d->draft->view.arena, count * sizeof(*known));
    bool any = false;
    if (known == NULL) {
        return hf_short(d);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct hf_op *op = &d->command->ops[first + i];
        const struct hf_index_value *own =
            d->known[first + i] ? NULL : hf_draft_id(d, hf_index_kind_of(op), &op->id.id);
        if (own != NULL) {
            each->values[first + i] = *own;
        }
        known[i] = d->known[first + i] || own != NULL;
        any = any || known[i];
    }
    if (any) {
        return decide_known(each, first, count, known);
    }
    struct hf_draft_savepoint savepoint;
    hf_draft_save(d, &savepoint);
    enum hf_step step = STEP_OK;
    for (uint32_t i = first; step == STEP_OK && i < first + count; i++) {
        d->where_index = i;
        d->op_index = i;
        const struct hf_op *op = &d->command->ops[i];
        bool twice = op->has_id &&
                     hf_draft_id(d, hf_index_kind_of(op), &op->id.id) != NULL; /* in the chain */
        step = twice ? hf_refuse(d, exists_code(op), HF_KIND_NONE, NULL) : hf_decide_op(d, op);
    }
    if (step != STEP_REFUSED) {
        hf_draft_keep(d);
        return step;
    }
    const struct hf_deciding refusal = *d;
#ifndef HF_BUG_HALF_CHAIN
    hf_draft_take_back(d, &savepoint);
#else
    hf_draft_keep(d);
#endif
    d->code = refusal.code;
    d->where_index = refusal.where_index;
    d->current_kind = refusal.current_kind;
    d->current_name = refusal.current_name;
    return refuse_unit(each, first, count);
}

static enum hf_step decide_units(struct each *each)
{
    struct hf_deciding *d = each->d;
    const struct hf_command *command = d->command;
    enum hf_step step = STEP_OK;
    d->where = HF_WHERE_DO;
    for (uint32_t first = 0; step == STEP_OK && first < command->op_count;) {
        uint32_t end = first;
        while (command->ops[end].linked) {
            end++; /* the last operation has no link */
        }
        uint32_t count = end + 1 - first;
        step = count == 1 ? decide_one(each, first) : decide_chain(each, first, count);
        first += count;
    }
    return step;
}

/* The whole request is refused: nothing of it is recorded. */
static enum hf_decision refuse_all(struct hf_deciding *d, enum hf_err code)
{
    hf_draft_clear_effects(d->draft);
    d->op_index = HF_NO_OPERATION;
    struct hf_event *event = hf_draft_event(d, HF_EVENT_REFUSED);
    if (event == NULL) {
        return hf_decide_stopped(d->draft);
    }
    event->refused = (struct hf_refused){.code = code, .where = HF_WHERE_NONE};
    d->draft->commit.each = false;
    d->draft->commit.position = 0;
    return HF_DECISION_ANSWER;
}

/* The operations that plain records stand for, in the arena. */
static bool spell_out(struct hf_deciding *d, struct hf_command *spelled)
{
    const struct hf_command *command = d->command;
    struct hf_arena *arena = &d->draft->view.arena;
    struct hf_op *ops = hf_arena_alloc(arena, command->op_count * sizeof(*ops));
    char *texts = hf_arena_alloc(arena, (size_t)command->op_count * HF_UUID_TEXT_BYTES);
    if (ops == NULL || texts == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < command->op_count; i++) {
        hf_op_of_plain(&command->plain[i], texts + (size_t)i * HF_UUID_TEXT_BYTES, &ops[i]);
    }
    *spelled = *command;
    spelled->plain = NULL;
    spelled->ops = ops;
    d->command = spelled;
    return true;
}

/* Unit by unit. */
static enum hf_step decide_each(struct each *each)
{
    struct hf_deciding *d = each->d;
    uint32_t known_count;
    uint32_t first_known = 0;
    enum hf_step step = hf_look_up_ids(d, each->values, &known_count, &first_known);
    if (step == STEP_OK) {
        step = gather(each, known_count);
    }
    if (step == STEP_OK) {
        step = hf_gather(d);
    }
    if (step == STEP_OK) {
        step = hf_book_expiries(d);
    }
    return step == STEP_OK ? decide_units(each) : step;
}

/* The bound is far above what many records with long names come to: what passes it is measured. */
static enum hf_step check_size(struct hf_deciding *d)
{
    const struct hf_commit *commit = &d->draft->commit;
    if (hf_commit_size_bound(commit) <= HF_COMMIT_BYTES_MAX) {
        return STEP_OK;
    }
    struct hf_buffer frame;
    hf_buffer_init(&frame);
    bool encoded = hf_commit_encode(commit, &frame);
    bool fits = frame.size_bytes <= HF_COMMIT_BYTES_MAX;
    hf_buffer_release(&frame);
    if (!encoded) {
        return hf_short(d);
    }
    return fits ? STEP_OK : hf_refuse(d, HF_ERR_TOO_LARGE, HF_KIND_NONE, NULL);
}

enum hf_decision hf_decide_each(struct hf_deciding *d)
{
    uint32_t count = d->command->op_count;
    struct hf_draft *draft = d->draft;
    struct hf_arena *arena = &draft->view.arena;
    struct hf_command spelled;
    struct each each = {.d = d,
                        .outcomes = hf_arena_alloc_zero(arena, count, sizeof(*each.outcomes))};
    if (each.outcomes == NULL) {
        return HF_DECISION_OVERLOADED;
    }
    draft->commit.each = true;
    draft->outcomes = each.outcomes;
    enum hf_step step = STEP_REFUSED;
    if (d->command->plain != NULL) {
        step = hf_decide_strip(d, each.outcomes);
    }
    if (step == STEP_REFUSED) {
        each.values = hf_arena_alloc(arena, count * sizeof(*each.values));
        d->known = hf_arena_alloc_zero(arena, count, sizeof(*d->known));
        if (each.values == NULL || d->known == NULL ||
            (d->command->ops == NULL && !spell_out(d, &spelled))) {
            return HF_DECISION_OVERLOADED;
        }
        step = decide_each(&each);
    }
    if (step == STEP_OK) {
        step = check_size(d);
    }
    if (step == STEP_REFUSED) {
        return refuse_all(d, d->code);
    }
    if (step != STEP_OK) {
        return hf_decide_stopped(draft);
    }
    if (hf_commit_event_total(&draft->commit) == 0) {
        draft->commit.position = 0;
        return HF_DECISION_ANSWER;
    }
    return HF_DECISION_COMMIT;
}
