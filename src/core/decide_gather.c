/* What the operations will look at, asked for at once. */
#include "core/decide_priv.h"

/* Looks at what (kind, id) points to, so that it is asked for. */
static void gather_event(struct hf_deciding *d, uint8_t kind, const struct hf_id *id,
                         uint64_t wanted_types)
{
    struct hf_view *view = &d->draft->view;
    struct hf_index_value value;
    if (hf_view_lookup(view, kind, id, 0, &value) == HF_LOOKUP_PRESENT &&
        (value.flags & HF_INDEX_SPENT) == 0) {
        (void)hf_view_event(view, &value, wanted_types);
    }
}

static void gather_op(struct hf_deciding *d, const struct hf_op *op)
{
    const struct hf_id *id = &op->subject.id;
    if (op->type == HF_OP_REVERSE) {
        gather_event(d, HF_INDEX_TRANSFER, id, HF_TRANSFER_EVENTS);
        gather_event(d, HF_INDEX_REVERSAL, id, HF_EVENT_BIT(HF_EVENT_TRANSFER_POSTED));
    } else if (op->type == HF_OP_CAPTURE || op->type == HF_OP_VOID || op->type == HF_OP_EXTEND) {
        if (hf_state_hold(d->state, id) == NULL) {
            gather_event(d, HF_INDEX_HOLD, id, HF_HOLD_EVENTS);
        }
    } else if (op->type == HF_OP_PATCH) {
        const struct hf_document *document = hf_state_document(d->state, id);
        if (document != NULL && document->exists) {
            (void)hf_view_commit(&d->draft->view, document->last_position);
        }
    } else if (op->type >= HF_OP_ACK) {
        hf_gather_subscription(d, op);
    }
}

enum hf_step hf_gather(struct hf_deciding *d)
{
    const struct hf_needs *needs = &d->draft->view.needs;
    const struct hf_command *command = d->command;
    for (uint32_t i = 0; i < command->op_count && needs->position_count < HF_GATHER_MAX; i++) {
        gather_op(d, &command->ops[i]);
    }
    for (uint32_t i = 0; i < command->condition_count && needs->position_count < HF_GATHER_MAX;
         i++) {
        const struct hf_condition *condition = &command->conditions[i];
        const struct hf_id *id = &condition->subject.id;
        if (condition->kind == HF_CONDITION_HOLD && hf_state_hold(d->state, id) == NULL) {
            gather_event(d, HF_INDEX_HOLD, id, HF_HOLD_EVENTS);
        } else if (condition->kind == HF_CONDITION_TRANSFER) {
            gather_event(d, HF_INDEX_TRANSFER, id, HF_TRANSFER_EVENTS);
        }
    }
    return hf_view_complete(&d->draft->view) ? STEP_OK : STEP_STOP;
}
