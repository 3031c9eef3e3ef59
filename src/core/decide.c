#include "core/decide.h"

#include "base/check.h"
#include "core/decide_lines.h"
#include "core/decide_priv.h"
#include "core/strip.h"

#define HF_SAGA_BATCH_BYTES_MAX (1u << 20) /* texts of sagas in one commit of the timer, about */
#define PREFETCH_AHEAD          8u         /* look-ups whose memory is asked for early */

/* ---- keys ---- */

static enum hf_step decide_key(struct hf_deciding *d, uint64_t retention_us,
                               enum hf_decision *decision)
{
    const struct hf_command *command = d->command;
    struct hf_view *view = &d->draft->view;
    struct hf_index_value value;
#ifdef HF_BUG_DEDUPE_OFF
    return STEP_OK;
#endif
    switch (hf_view_lookup(view, HF_INDEX_KEY, &command->key_id, 0, &value)) {
    case HF_LOOKUP_UNKNOWN:
        return STEP_STOP;
    case HF_LOOKUP_ABSENT:
        return STEP_OK;
    case HF_LOOKUP_PRESENT:
        break;
    }
    const struct hf_commit *found = hf_view_commit(view, value.position);
    if (found == NULL) {
        return STEP_STOP;
    }
    if (found->time_us + retention_us <= d->time_us) {
        return STEP_OK; /* the key has expired: a new request */
    }
    bool cancelled = found->event_count > 0 &&
                     found->events[found->event_count - 1]->type == HF_EVENT_KEY_CANCELLED;
    bool same_key = hf_str_equal(found->key, command->key) &&
                    hf_str_equal(found->principal, command->principal);
    if (!same_key) {
        d->code = HF_ERR_ID_COLLISION;
    } else if (!cancelled && command->kind != HF_COMMAND_CANCEL_KEY &&
               memcmp(found->fingerprint, command->fingerprint, sizeof(found->fingerprint)) != 0) {
        d->code = HF_ERR_IDEMPOTENCY_KEY_REUSED;
    } else {
        d->draft->replayed = found;
        *decision = HF_DECISION_REPLAY;
        return STEP_STOP;
    }
    *decision = HF_DECISION_ANSWER;
    return STEP_REFUSED;
}

/* ---- ids ---- */

uint8_t hf_index_kind_of(const struct hf_op *op)
{
    if (op->type == HF_OP_APPEND) {
        return HF_INDEX_EVENT;
    }
    if (op->type == HF_OP_PUBLISH) {
        return HF_INDEX_MESSAGE;
    }
    if (op->type == HF_OP_START_SAGA) {
        return HF_INDEX_SAGA;
    }
    return op->type == HF_OP_HOLD ? HF_INDEX_HOLD : HF_INDEX_TRANSFER;
}

/* The commit that made a known id, and the event that tells of it (NULL: a refusal spent it). */
static const struct hf_commit *maker_of(struct hf_deciding *d, const struct hf_op *op,
                                        const struct hf_index_value *at,
                                        const struct hf_event **event)
{
    struct hf_view *view = &d->draft->view;
    *event = NULL;
    if ((at->flags & HF_INDEX_SPENT) != 0) {
        return hf_view_compact(view, at->position);
    }
    *event = hf_view_event(view, at,
                           HF_POSTING_EVENTS | HF_EVENT_BIT(HF_EVENT_STREAM_APPENDED) |
                               HF_EVENT_BIT(HF_EVENT_MESSAGE_PUBLISHED) | HF_SAGA_EVENTS);
    if (*event == NULL) {
        return NULL;
    }
    if (op->type == HF_OP_START_SAGA) {
        return hf_view_commit(view, (*event)->saga->uid >> HF_SAGA_UID_SHIFT);
    }
    /* A hold's record is its newest event; what made it is the commit that opened it. */
    uint64_t position =
        op->type == HF_OP_HOLD ? (*event)->posting.hold.opened_position : at->position;
    return hf_view_compact(view, position);
}

static bool names_spent(const struct hf_refused *refused, const struct hf_name *name)
{
    for (uint32_t i = 0; i < refused->spent_count; i++) {
        if (hf_name_equal(&refused->spent[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* Is it the name of a void that stands in the commit's strip? */
static bool is_void_of_strip(const struct hf_commit *maker, const struct hf_name *name)
{
    return maker->strip != NULL && !maker->expanded && hf_name_is_hex_of(name->text, &name->id) &&
           hf_strip_find_row(maker->strip, HF_STRIP_VOID, &name->id) < maker->strip->count;
}

/* A refusal of the commit or of a unit spent it, or a void has it. */
static bool spent_name_matches(const struct hf_commit *maker, const struct hf_name *name)
{
    if (is_void_of_strip(maker, name)) {
        return true;
    }
    for (uint32_t i = 0; i < maker->event_count; i++) {
        const struct hf_event *event = maker->events[i];
        if ((event->type == HF_EVENT_REFUSED && names_spent(&event->refused, name)) ||
            (event->type == HF_EVENT_UNIT_REFUSED &&
             names_spent(&event->unit_refused.refused, name)) ||
            (event->type == HF_EVENT_HOLD_VOIDED &&
             hf_name_equal(&event->posting.transfer.name, name))) {
            return true;
        }
    }
    return false;
}

static bool name_matches(const struct hf_op *op, const struct hf_commit *maker,
                         const struct hf_event *event)
{
    if (event == NULL) {
        return spent_name_matches(maker, &op->id);
    }
    if (op->type == HF_OP_APPEND) {
        return hf_str_equal(event->appended.id.text, op->id.text);
    }
    if (op->type == HF_OP_PUBLISH) {
        return hf_str_equal(event->published.id.text, op->id.text);
    }
    if (op->type == HF_OP_HOLD) {
        return hf_str_equal(event->posting.hold.name.text, op->id.text);
    }
    if (op->type == HF_OP_START_SAGA) {
        return hf_str_equal(event->saga->saga.text, op->id.text);
    }
    return hf_str_equal(event->posting.transfer.name.text, op->id.text);
}

/* Refuses for a known id that is no replay. */
static enum hf_step refuse_known(struct hf_deciding *d, const struct hf_op *op,
                                 const struct hf_event *event)
{
    if (op->type == HF_OP_APPEND || op->type == HF_OP_PUBLISH) {
        HF_CHECK(event != NULL); /* a refusal spends no id of an event or message */
        bool append = op->type == HF_OP_APPEND;
        bool partial = memcmp(append ? event->appended.content_hash : event->published.content_hash,
                              op->content_hash, 16) == 0;
        partial = partial && d->command->replays_by_id;
        for (uint32_t i = 0; i < d->command->op_count; i++) {
            partial = partial && d->command->ops[i].type == op->type;
        }
        enum hf_err exists = append ? HF_ERR_EVENT_EXISTS : HF_ERR_MESSAGE_EXISTS;
        return hf_refuse(d, partial ? HF_ERR_PARTIAL_REPLAY : exists,
                         append ? HF_KIND_STREAM : HF_KIND_MESSAGE,
                         append ? &op->subject : &op->id);
    }
    if (op->type == HF_OP_START_SAGA) {
        return hf_refuse(d, HF_ERR_SAGA_EXISTS, HF_KIND_SAGA, &op->id);
    }
    bool hold = op->type == HF_OP_HOLD;
    return hf_refuse(d, hold ? HF_ERR_HOLD_EXISTS : HF_ERR_TRANSFER_EXISTS,
                     event == NULL ? HF_KIND_NONE : (hold ? HF_KIND_HOLD : HF_KIND_TRANSFER),
                     event == NULL ? NULL : &op->id);
}

enum hf_step hf_look_up_ids(struct hf_deciding *d, struct hf_index_value *values,
                            uint32_t *known_count, uint32_t *first_known)
{
    const struct hf_command *command = d->command;
    bool unknown = false;
    *known_count = 0;
    for (uint32_t i = 0; i < command->op_count; i++) {
        const struct hf_op *op = &command->ops[i];
        d->known[i] = false;
        if (i + PREFETCH_AHEAD < command->op_count) {
            const struct hf_op *ahead = &command->ops[i + PREFETCH_AHEAD];
            struct hf_index_key key = {.kind = hf_index_kind_of(ahead), .id = ahead->id.id};
            hf_recent_prefetch(&d->state->recent, &key);
        }
        if (!op->has_id) {
            continue;
        }
        enum hf_lookup lookup =
            hf_view_lookup_new(&d->draft->view, hf_index_kind_of(op), &op->id.id, &values[i]);
#ifdef HF_BUG_REFUSED_ID_USABLE
        if (lookup == HF_LOOKUP_PRESENT && (values[i].flags & HF_INDEX_SPENT) != 0) {
            lookup = HF_LOOKUP_ABSENT;
        }
#endif
        unknown = unknown || lookup == HF_LOOKUP_UNKNOWN;
        if (lookup == HF_LOOKUP_PRESENT) {
            d->known[i] = true;
            if ((*known_count)++ == 0) {
                *first_known = i;
            }
        }
    }
    return unknown ? STEP_STOP : STEP_OK;
}

/* A command of one operation repeats a unit of a commit of units, or does not (STEP_OK). */
static enum hf_step replay_unit(struct hf_deciding *d, const struct hf_commit *maker,
                                const struct hf_index_value *at, enum hf_decision *decision)
{
    const struct hf_event *event = NULL;
    enum hf_sameness sameness = hf_compare_recorded(d, 0, 1, 0, at, &event);
    if (sameness == HF_OTHER || sameness == HF_OTHER_NAME) {
        return STEP_OK;
    }
    if (sameness == HF_SAME_STOP) {
        return STEP_STOP;
    }
    d->draft->replayed = hf_commit_unit(maker, event, &d->draft->view.arena);
    if (d->draft->replayed == NULL) {
        return hf_short(d);
    }
    d->draft->replayed_unit = true;
    *decision = HF_DECISION_REPLAY;
    return STEP_STOP;
}

static enum hf_step decide_ids(struct hf_deciding *d, enum hf_decision *decision)
{
    const struct hf_command *command = d->command;
    struct hf_arena *arena = &d->draft->view.arena;
    struct hf_index_value *values = hf_arena_alloc_zero(arena, command->op_count, sizeof(*values));
    d->known = hf_arena_alloc_zero(arena, command->op_count, sizeof(*d->known));
    if (values == NULL || d->known == NULL) {
        return hf_short(d);
    }
    uint32_t known_count;
    uint32_t id_count = 0;
    uint32_t first = 0;
    enum hf_step step = hf_look_up_ids(d, values, &known_count, &first);
#ifdef HF_BUG_DEDUPE_OFF
    known_count = 0;
#endif
    if (step != STEP_OK || known_count == 0) {
        return step;
    }
    const struct hf_needs *needs = &d->draft->view.needs;
    for (uint32_t i = first; i < command->op_count && needs->position_count < HF_GATHER_MAX; i++) {
        const struct hf_event *event; /* the makers of all known ids are asked for at once */
        if (d->known[i]) {
            (void)maker_of(d, &command->ops[i], &values[i], &event);
        }
    }
    if (!hf_view_complete(&d->draft->view)) {
        return STEP_STOP;
    }
    const struct hf_commit *made_by = NULL;
    const struct hf_event *first_event = NULL;
    for (uint32_t i = 0; i < command->op_count; i++) {
        id_count += command->ops[i].has_id;
    }
    bool replays = command->replays_by_id && known_count == id_count;
    for (uint32_t i = first; i < command->op_count; i++) {
        if (!d->known[i]) {
            continue;
        }
        const struct hf_event *event;
        const struct hf_commit *maker = maker_of(d, &command->ops[i], &values[i], &event);
        if (maker == NULL) {
            return STEP_STOP;
        }
        d->where = HF_WHERE_DO;
        d->where_index = i;
        bool own_name = name_matches(&command->ops[i], maker, event);
        if (!own_name && i == first) { /* the first failure is the answer */
            return hf_refuse(d, HF_ERR_ID_COLLISION, HF_KIND_NONE, NULL);
        }
        first_event = i == first ? event : first_event;
        replays = replays && own_name && (made_by == NULL || made_by == maker);
        made_by = maker;
    }
    if (replays && made_by->has_ops_hash &&
        memcmp(made_by->ops_hash, command->ops_hash, sizeof(command->ops_hash)) == 0) {
        d->draft->replayed = made_by;
        *decision = HF_DECISION_REPLAY;
        return STEP_STOP;
    }
    if (replays && made_by->each && command->op_count == 1) {
        step = replay_unit(d, made_by, &values[0], decision);
        if (step != STEP_OK) {
            return step;
        }
    }
    d->where_index = first;
    return refuse_known(d, &command->ops[first], first_event);
}

/* ---- expiry first ---- */

enum hf_step hf_book_hold(struct hf_deciding *d, const struct hf_name *name)
{
    struct hf_hold *hold;
    const struct hf_deciding before = *d;
    enum hf_step step = hf_draft_hold(d, name, &hold);
    if (step == STEP_REFUSED) {
        *d = before; /* another thing's name: nothing to expire */
        return STEP_OK;
    }
    if (step != STEP_OK || hold == NULL || hold->state != HF_HOLD_OPEN ||
        hold->expires_at_us == 0 || hold->expires_at_us > d->time_us) {
        return step;
    }
    return hf_end_hold(d, hold, HF_EVENT_HOLD_EXPIRED);
}

static enum hf_step book_lease(struct hf_deciding *d, const struct hf_name *name)
{
    struct hf_lease *lease;
    const struct hf_deciding before = *d;
    enum hf_step step = hf_draft_lease(d, name, &lease);
    if (step == STEP_REFUSED) {
        *d = before;
        return STEP_OK;
    }
    if (step != STEP_OK || lease == NULL || !lease->held || lease->expires_at_us > d->time_us) {
        return step;
    }
    return hf_expire_lease(d, lease);
}

enum hf_step hf_book_expiries(struct hf_deciding *d)
{
    const struct hf_command *command = d->command;
    enum hf_step step = STEP_OK;
    d->op_index = HF_NO_OPERATION;
    for (uint32_t i = 0; step == STEP_OK && i < command->condition_count; i++) {
        const struct hf_condition *condition = &command->conditions[i];
        d->where = HF_WHERE_IF;
        d->where_index = i;
        if (condition->kind == HF_CONDITION_HOLD) {
            step = hf_book_hold(d, &condition->subject);
        } else if (condition->kind == HF_CONDITION_LEASE) {
            step = book_lease(d, &condition->subject);
        } else if (condition->kind == HF_CONDITION_SUBSCRIPTION) {
            step = hf_book_subscription(d, &condition->subject);
        }
    }
    for (uint32_t i = 0; step == STEP_OK && i < command->op_count; i++) {
        const struct hf_op *op = &command->ops[i];
        d->where = HF_WHERE_DO;
        d->where_index = i;
        if (op->type == HF_OP_CAPTURE || op->type == HF_OP_VOID || op->type == HF_OP_EXTEND) {
            step = hf_book_hold(d, &op->subject);
        } else if (op->type == HF_OP_ACQUIRE || op->type == HF_OP_RENEW ||
                   op->type == HF_OP_RELEASE) {
            step = book_lease(d, &op->subject);
        } else if (op->type == HF_OP_RECEIVE || op->type == HF_OP_ACK_BATCH || hf_op_is_ack(op)) {
            step = hf_book_subscription(d, &op->subject); /* the others meet no lease */
        }
    }
    return step;
}

/* ---- operations ---- */

enum hf_step hf_decide_op(struct hf_deciding *d, const struct hf_op *op)
{
    switch (op->type) {
    case HF_OP_OPEN_ACCOUNT:
    case HF_OP_SET_LIMITS:
    case HF_OP_SET_METADATA:
    case HF_OP_FREEZE:
    case HF_OP_UNFREEZE:
    case HF_OP_CLOSE_ACCOUNT:
        return hf_decide_account_op(d, op);
    case HF_OP_TRANSFER:
        return hf_decide_transfer(d, op);
    case HF_OP_REVERSE:
        return hf_decide_reverse(d, op);
    case HF_OP_HOLD:
    case HF_OP_CAPTURE:
    case HF_OP_VOID:
    case HF_OP_EXTEND:
        return hf_decide_hold_op(d, op);
    case HF_OP_APPEND:
        return hf_decide_append(d, op);
    case HF_OP_PUT:
    case HF_OP_PATCH:
    case HF_OP_DELETE:
        return hf_decide_document_op(d, op);
    case HF_OP_ACQUIRE:
    case HF_OP_RENEW:
    case HF_OP_RELEASE:
        return hf_decide_lease_op(d, op);
    case HF_OP_PUBLISH:
        return hf_decide_publish(d, op);
    case HF_OP_ACK:
    case HF_OP_NACK:
    case HF_OP_PUT_SUBSCRIPTION:
    case HF_OP_DELETE_SUBSCRIPTION:
    case HF_OP_RECEIVE:
    case HF_OP_ACK_BATCH:
    case HF_OP_REDRIVE:
    case HF_OP_SEEK:
        return hf_decide_subscription_op(d, op);
    case HF_OP_DEFINE_SAGA:
    case HF_OP_START_SAGA:
    case HF_OP_COMPLETE_STEP:
    case HF_OP_FAIL_STEP:
    case HF_OP_SAGA_ANSWER:
    case HF_OP_SAGA_VERB:
    case HF_OP_SAGA_VERBS:
        return hf_decide_saga_op(d, op);
    case HF_OP_NONE:
    case HF_OP_COUNT:
        break;
    }
    HF_CHECK(false);
    return STEP_STOP;
}

static enum hf_step decide_ops(struct hf_deciding *d)
{
    d->where = HF_WHERE_DO;
    for (uint32_t i = 0; i < d->command->op_count; i++) {
        d->where_index = i;
        d->op_index = i;
        enum hf_step step = hf_decide_op(d, &d->command->ops[i]);
        if (step != STEP_OK) {
            return step;
        }
    }
    return STEP_OK;
}

/* ---- the commit ---- */

static void begin(struct hf_deciding *d, const struct hf_state *state,
                  const struct hf_records *records, uint64_t now_us, struct hf_draft *draft)
{
    hf_view_begin(&draft->view, state, records);
    draft->event_capacity = 0;
    draft->commit = (struct hf_commit){0};
    draft->replayed = NULL;
    draft->replayed_unit = false;
    draft->outcomes = NULL;
    hf_draft_clear_effects(draft);
    *d = (struct hf_deciding){
        .state = state,
        .draft = draft,
        .position = state->position + 1,
        .time_us = hf_max_u64(now_us, state->time_us + 1),
        .op_index = HF_NO_OPERATION,
    };
    draft->commit.space = state->space;
    draft->commit.position = d->position;
    draft->commit.time_us = d->time_us;
    draft->commit.origin = HF_ORIGIN_SYSTEM;
}

static void sign(struct hf_deciding *d)
{
    const struct hf_command *command = d->command;
    struct hf_commit *commit = &d->draft->commit;
    commit->origin = HF_ORIGIN_CLIENT;
    commit->principal = command->principal;
    commit->key = command->key;
    commit->has_fingerprint = hf_str_present(command->key);
    commit->has_ops_hash = command->replays_by_id;
    memcpy(commit->fingerprint, command->fingerprint, sizeof(commit->fingerprint));
    memcpy(commit->ops_hash, command->ops_hash, sizeof(commit->ops_hash));
    commit->operation_count = command->op_count;
    commit->metadata = command->metadata;
}

/* Every new transfer and hold id of the command, once. The draft's own ids are of no use any more. */
static enum hf_step list_spent(struct hf_deciding *d, struct hf_refused *refused)
{
    const struct hf_command *command = d->command;
    struct hf_index_table *listed = &d->draft->ids;
    struct hf_spent *spent =
        hf_arena_alloc(&d->draft->view.arena, command->op_count * sizeof(*spent));
    hf_index_table_clear(listed);
    if (spent == NULL || !hf_index_table_reserve(listed, command->op_count)) {
        return hf_short(d);
    }
    static const struct hf_index_value none;
    for (uint32_t i = 0; i < command->op_count; i++) {
        const struct hf_op *op = &command->ops[i];
        struct hf_index_key key = {.kind = hf_index_kind_of(op), .id = op->id.id};
        if (hf_op_spends_id(op) && !d->known[i] && hf_index_table_get(listed, &key) == NULL) {
            hf_index_table_put(listed, &key, &none);
            spent[refused->spent_count++] = (struct hf_spent){
                .kind = op->type == HF_OP_HOLD ? HF_KIND_HOLD : HF_KIND_TRANSFER,
                .name = op->id,
            };
        }
    }
    refused->spent = spent;
    return STEP_OK;
}

/* Turns the draft into a refusal: what expired stays booked (if the refusal is recorded), the rest is
 * forgotten. `current` shows what expired in any case. */
static enum hf_step make_refusal(struct hf_deciding *d, bool recorded)
{
    struct hf_refused refused = {.code = d->code, .where = d->where, .index = d->where_index};
    hf_draft_clear_effects(d->draft);
    enum hf_where where = d->where;
    enum hf_step step = hf_book_expiries(d);
    if (step == STEP_OK) {
        step = hf_fill_current(d, &refused.current);
    }
    if (step == STEP_REFUSED) {
        refused.current.kind = HF_KIND_NONE; /* without the effects the name is another thing's */
        step = STEP_OK;
    }
    if (!recorded) {
        d->draft->commit.event_count = 0;
    }
    if (step == STEP_OK && recorded) {
        step = list_spent(d, &refused);
    }
    d->op_index = where == HF_WHERE_DO ? refused.index : HF_NO_OPERATION;
    struct hf_event *event = step == STEP_OK ? hf_draft_event(d, HF_EVENT_REFUSED) : NULL;
    if (event == NULL) {
        return STEP_STOP;
    }
    event->refused = refused;
    if (!recorded) {
        d->draft->commit.position = 0;
    }
    return STEP_OK;
}

enum hf_decision hf_decide_stopped(const struct hf_draft *draft)
{
    if (draft->view.damaged) {
        return HF_DECISION_DAMAGED;
    }
    if (draft->view.short_memory) {
        return HF_DECISION_OVERLOADED;
    }
    HF_CHECK(hf_needs_any(&draft->view.needs));
    return HF_DECISION_NEEDS;
}

/* Nothing would change: nothing is recorded. An ack that was given before has its answer already. */
static enum hf_step answer_idle(struct hf_deciding *d, enum hf_decision *decision)
{
    const struct hf_command *command = d->command;
    *decision = HF_DECISION_ANSWER;
    d->draft->commit.position = 0;
    if (d->repeats == 0 || d->repeats == d->position || command->op_count != 1 ||
        command->ops[0].type != HF_OP_ACK) {
        return STEP_OK;
    }
    const struct hf_commit *commit = hf_view_commit(&d->draft->view, d->repeats);
    if (commit == NULL) {
        return STEP_STOP;
    }
    if (commit->operation_count == 1 && hf_str_equal(commit->principal, command->principal)) {
        d->draft->replayed = commit;
        *decision = HF_DECISION_REPLAY;
    }
    return STEP_OK;
}

/* A commit of the system's; nothing is recorded if nothing changes. */
static enum hf_decision decide_alerts(struct hf_deciding *d)
{
    struct hf_commit *commit = &d->draft->commit;
    if (hf_decide_alerts(d) != STEP_OK) {
        return hf_decide_stopped(d->draft);
    }
    if (commit->event_count > 0) {
        return HF_DECISION_COMMIT;
    }
    commit->position = 0;
    return HF_DECISION_ANSWER;
}

enum hf_decision hf_decide(const struct hf_state *state, const struct hf_records *records,
                           const struct hf_command *command, uint64_t now_us,
                           uint64_t key_retention_us, struct hf_draft *draft)
{
    struct hf_deciding deciding;
    struct hf_deciding *d = &deciding;
    begin(d, state, records, now_us, draft);
    d->command = command;
    if (command->kind == HF_COMMAND_ALERTS) {
        return decide_alerts(d);
    }
    sign(d);
    if (command->kind == HF_COMMAND_EACH) {
        return hf_decide_each(d);
    }
    enum hf_decision decision = HF_DECISION_COMMIT;
    enum hf_step step = STEP_OK;
    if (hf_str_present(command->key)) {
        step = decide_key(d, key_retention_us, &decision);
    }
    if (step == STEP_OK && command->kind == HF_COMMAND_CANCEL_KEY) {
        return hf_draft_event(d, HF_EVENT_KEY_CANCELLED) == NULL ? hf_decide_stopped(draft)
                                                                 : decision;
    }
    if (step == STEP_OK) {
        step = decide_ids(d, &decision);
    }
    if (decision == HF_DECISION_REPLAY) {
        return decision;
    }
    if (step == STEP_OK) {
        step = hf_gather(d);
    }
    if (step == STEP_OK) {
        step = hf_book_expiries(d);
    }
    if (step == STEP_OK) {
        step = hf_decide_conditions(d);
    }
    if (step == STEP_OK) {
        step = decide_ops(d);
    }
    if (step != STEP_STOP && !hf_view_complete(&draft->view)) {
        return hf_decide_stopped(
            draft); /* it went on with what it had not seen, to ask for the rest, too */
    }
    if (step == STEP_OK && d->idle_ops == command->op_count) {
        step = answer_idle(d, &decision);
    }
    if (step == STEP_OK && hf_commit_size_bound(&draft->commit) > HF_COMMIT_BYTES_MAX) {
        d->where = HF_WHERE_NONE;
        d->where_index = 0;
        step = hf_refuse(d, HF_ERR_TOO_LARGE, HF_KIND_NONE, NULL);
    }
    if (step == STEP_REFUSED) {
        bool recordable = decision == HF_DECISION_COMMIT;
        bool recorded = recordable && (hf_str_present(command->key) || command->spends_ids);
        decision = recorded ? HF_DECISION_COMMIT : HF_DECISION_ANSWER;
        step = make_refusal(d, recorded);
    }
    return step == STEP_OK ? decision : hf_decide_stopped(draft);
}

bool hf_decide_needs(const struct hf_command *command, struct hf_needs *needs)
{
    bool ok = true;
    if (hf_str_present(command->key)) {
        struct hf_index_key key = {.kind = HF_INDEX_KEY, .id = command->key_id};
        ok = hf_needs_add_key(needs, &key);
    }
    for (uint32_t i = 0; ok && command->plain != NULL && i < command->op_count; i++) {
        const struct hf_packed_transfer *plain = &command->plain[i];
        struct hf_index_key key = {.kind = hf_index_kind_of_plain(plain), .id = plain->id};
        ok = hf_needs_add_key(needs, &key);
    }
    for (uint32_t i = 0; ok && command->plain == NULL && i < command->op_count; i++) {
        const struct hf_op *op = &command->ops[i];
        if (op->has_id) {
            struct hf_index_key key = {.kind = hf_index_kind_of(op), .id = op->id.id};
            ok = hf_needs_add_key(needs, &key);
        }
        if (ok && op->type == HF_OP_REVERSE) {
            struct hf_index_key key = {.kind = HF_INDEX_TRANSFER, .id = op->subject.id};
            ok = hf_needs_add_key(needs, &key);
            key.kind = HF_INDEX_REVERSAL;
            ok = ok && hf_needs_add_key(needs, &key);
        }
    }
    for (uint32_t i = 0; ok && i < command->condition_count; i++) {
        const struct hf_condition *condition = &command->conditions[i];
        if (condition->kind == HF_CONDITION_TRANSFER) {
            struct hf_index_key key = {.kind = HF_INDEX_TRANSFER, .id = condition->subject.id};
            ok = hf_needs_add_key(needs, &key);
        }
    }
    return ok;
}

static enum hf_step book(struct hf_deciding *d, const struct hf_due *due)
{
    if (due->kind == HF_KIND_HOLD) {
        const struct hf_hold *hold = hf_state_hold(d->state, &due->id);
        return hold == NULL ? STEP_OK : hf_book_hold(d, &hold->name);
    }
    if (due->kind == HF_KIND_MESSAGE) {
        return hf_book_message(d, &due->id);
    }
    if (due->kind == HF_KIND_SUBSCRIPTION) {
        const struct hf_subscription *subscription =
            hf_table_get(&d->state->queue.by_uid, &due->id);
        return subscription == NULL ? STEP_OK : hf_book_subscription(d, &subscription->name);
    }
    if (due->kind == HF_KIND_SAGA) {
        return hf_book_saga(d, &due->id);
    }
    const struct hf_lease *lease = hf_state_lease(d->state, &due->id);
    return lease == NULL ? STEP_OK : book_lease(d, &lease->name);
}

enum hf_decision hf_decide_expiries(const struct hf_state *state, const struct hf_records *records,
                                    const struct hf_due *due, size_t count, uint64_t now_us,
                                    struct hf_draft *draft)
{
    struct hf_deciding deciding;
    struct hf_deciding *d = &deciding;
    begin(d, state, records, now_us, draft);
    draft->booked = 0;
    for (size_t i = 0; i < count && draft->view.needs.position_count < HF_GATHER_MAX; i++) {
        if (due[i].kind == HF_KIND_SAGA) {
            hf_gather_saga(d, &due[i].id);
        }
    }
    if (!hf_view_complete(&draft->view)) {
        return hf_decide_stopped(draft);
    }
    enum hf_step step = STEP_OK;
    while (step == STEP_OK && draft->booked < count && d->saga_bytes < HF_SAGA_BATCH_BYTES_MAX) {
        step = book(d, &due[draft->booked]);
        draft->booked++;
    }
    if (step != STEP_OK || !hf_view_complete(&draft->view)) {
        return hf_decide_stopped(draft);
    }
    return draft->commit.event_count > 0 ? HF_DECISION_COMMIT : HF_DECISION_ANSWER;
}

enum hf_decision hf_decide_scan(const struct hf_state *state, const struct hf_records *records,
                                uint64_t uid, uint32_t most, uint64_t now_us,
                                struct hf_draft *draft)
{
    struct hf_deciding deciding;
    struct hf_deciding *d = &deciding;
    begin(d, state, records, now_us, draft);
    const struct hf_subscription *stored = hf_queue_by_uid(&state->queue, uid);
    enum hf_step step = stored == NULL || !stored->lagging ? STEP_OK : hf_scan(d, stored, most);
    if (step != STEP_OK) {
        return hf_decide_stopped(draft);
    }
    return draft->commit.event_count > 0 ? HF_DECISION_COMMIT : HF_DECISION_ANSWER;
}

enum hf_decision hf_decide_system(const struct hf_state *state, enum hf_event_type type,
                                  const struct hf_system *system, uint64_t now_us,
                                  struct hf_draft *draft)
{
    struct hf_deciding deciding;
    begin(&deciding, state, NULL, now_us, draft);
    struct hf_event *event = hf_draft_event(&deciding, type);
    if (event == NULL) {
        return hf_decide_stopped(draft);
    }
    event->system = *system;
    return HF_DECISION_COMMIT;
}
