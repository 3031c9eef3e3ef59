/* Native steps: a commit's operations inside the commit that moves the saga. */
#include "base/check.h"
#include "core/decide_saga.h"
#include "core/op_json.h"

/* A new id that was there before. One that is not known is asked for, and taken to be new for the time being: so a commit
 * that starts many sagas asks for all of their ids at once. */
static enum hf_step check_id(struct hf_deciding *d, const struct hf_op *op)
{
    static const struct {
        uint8_t kind;
        enum hf_err code;
    } taken[] = {
        {HF_INDEX_HOLD, HF_ERR_HOLD_EXISTS},
        {HF_INDEX_TRANSFER, HF_ERR_TRANSFER_EXISTS},
        {HF_INDEX_EVENT, HF_ERR_EVENT_EXISTS},
        {HF_INDEX_MESSAGE, HF_ERR_MESSAGE_EXISTS},
    };
    uint8_t kind = hf_index_kind_of(op);
    struct hf_index_value value;
    if (!op->has_id) {
        return STEP_OK;
    }
    enum hf_lookup found = hf_view_lookup(&d->draft->view, kind, &op->id.id, 0, &value);
    if (found != HF_LOOKUP_PRESENT) {
        return d->draft->view.short_memory ? STEP_STOP : STEP_OK;
    }
    for (size_t i = 0; i < HF_ARRAY_COUNT(taken); i++) {
        if (taken[i].kind == kind) {
            return hf_refuse(d, taken[i].code, HF_KIND_NONE, NULL);
        }
    }
    return hf_refuse(d, HF_ERR_ID_COLLISION, HF_KIND_NONE, NULL);
}

/* Holds of a saga have no expiry of their own. */
static enum hf_step decide_one(struct hf_deciding *d, struct hf_op *op)
{
    enum hf_step step = check_id(d, op);
    if (op->type == HF_OP_HOLD) {
        op->has_timeout = false;
    }
    if (step == STEP_OK && (op->type == HF_OP_CAPTURE || op->type == HF_OP_VOID)) {
        step = hf_book_hold(d, &op->subject);
    }
    if (step == STEP_OK) {
        step = hf_decide_op(d, op);
    }
    d->native_ops++;
    d->saga_bytes += op->data.text.len;
    return step;
}

/* Renders and decodes one operation into the command. */
static enum hf_step add_op(struct hf_deciding *d, struct hf_draft_saga *s,
                           const struct hf_template *template_, struct hf_command *command,
                           struct hf_str *error)
{
    struct hf_arena *arena = &d->draft->view.arena;
    struct hf_str text = HF_STR_NONE;
    enum hf_step step = hf_saga_render(d, s, template_, HF_SAGA_NATIVE_BYTES_MAX, &text, error);
    if (step != STEP_OK || hf_str_present(*error)) {
        return step;
    }
    struct hf_op_fields fields = {0};
    struct hf_malformed malformed = {0};
    bool decoded = hf_op_json_decode(text, arena, &fields, &malformed);
    if (decoded) {
        command->arena = *arena; /* all of it is the draft's… */
        decoded = hf_command_add_op(command, &fields, &malformed);
        *arena = command->arena; /* …and goes on there */
    }
    if (decoded) {
        return STEP_OK;
    }
    if (malformed.code == HF_ERR_NO_MEMORY) {
        return hf_short(d);
    }
    *error = hf_arena_copy(arena, hf_str_from(malformed.text));
    return error->ptr == NULL ? hf_short(d) : STEP_OK;
}

static enum hf_step decide_all(struct hf_deciding *d, const struct hf_command *command,
                               struct hf_str *error)
{
    enum hf_step step = STEP_OK;
    for (uint32_t i = 0; step == STEP_OK && i < command->op_count; i++) {
        step = decide_one(d, &command->ops[i]);
    }
    if (step == STEP_REFUSED) {
        *error = hf_str_from(hf_err_wire(d->code));
        return STEP_OK;
    }
    return step;
}

enum hf_step hf_saga_native(struct hf_deciding *d, struct hf_draft_saga *s,
                            const struct hf_saga_call *call, struct hf_str *error)
{
    struct hf_command command;
    hf_command_init(&command, HF_COMMAND_COMMIT);
    enum hf_step step = STEP_OK;
    for (uint32_t i = 0; step == STEP_OK && !hf_str_present(*error) && i < call->op_count; i++) {
        step = add_op(d, s, &call->ops[i], &command, error);
    }
    hf_buffer_release(&command.scratch);
    if (step != STEP_OK || hf_str_present(*error)) {
        return step;
    }
    struct hf_draft_savepoint before;
    hf_draft_save(d, &before);
    d->op_index = HF_NO_OPERATION;
    d->native_uid = s->saga.uid;
    step = decide_all(d, &command, error);
    if (step != STEP_OK) {
        return step;
    }
    if (hf_str_present(*error)) {
        hf_draft_take_back(d, &before);
        return STEP_OK;
    }
    hf_draft_keep(d);
    d->op_index = before.deciding.op_index;
    d->native_uid = 0;
    return STEP_OK;
}
