/* Documents: PUT, PATCH, DELETE. The body is the data, byte for byte. */
#include "api/door_priv.h"

enum hf_progress hf_route_document_change(struct hf_call *call)
{
    call->form = (struct hf_answer_form){.one_result = true, .failed = HF_FAILED_IN_OBJECT};
    if (!hf_call_path_name(call, false) || !hf_call_command(call, HF_COMMAND_COMMIT)) {
        return HF_CALL_ANSWERED;
    }
    struct hf_condition_fields document = {.document = call->path.segments[2]};
    struct hf_op_fields fields = {
        .op = hf_str_from(call->route->operation->op),
        .document = call->path.segments[2],
        .data = call->exchange->body.len > 0 ? call->exchange->body : HF_STR_NONE,
    };
    return hf_precondition_add(&call->precondition, &document, &call->command, &call->malformed) &&
                   hf_command_add_op(&call->command, &fields, &call->malformed)
               ? hf_call_commit(call)
               : hf_call_malformed(call);
}
