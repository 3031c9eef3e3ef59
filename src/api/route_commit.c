/* Commits and keys as such. */
#include "api/door_priv.h"

enum hf_progress hf_route_commits(struct hf_call *call)
{
    if (!hf_http_query_bool(&call->query, "dry_run", &call->dry_run, &call->malformed)) {
        return hf_call_malformed(call);
    }
    if (!hf_call_command(call, HF_COMMAND_COMMIT)) {
        return HF_CALL_ANSWERED;
    }
    return hf_commit_json_decode(call->exchange->body, &call->command, &call->malformed)
               ? hf_call_commit(call)
               : hf_call_malformed(call);
}

static bool take_nothing(void *context, uint32_t index, struct hf_op_fields *fields,
                         struct hf_malformed *malformed)
{
    (void)context;
    (void)index;
    (void)fields;
    (void)malformed;
    return true;
}

/* POST /v1/keys/{key}/cancel: the key is the path's; a header's would be another's. */
enum hf_progress hf_route_cancel(struct hf_call *call)
{
    static const char *const no_members[] = {NULL};
    if (call->exchange->body.len > 0 &&
        !hf_resource_json_decode(call->exchange->body, no_members, NULL, call->exchange->arena,
                                 take_nothing, NULL, &call->malformed)) {
        return hf_call_malformed(call);
    }
    call->key = call->path.segments[2];
    return hf_call_command(call, HF_COMMAND_CANCEL_KEY) ? hf_call_commit(call) : HF_CALL_ANSWERED;
}
