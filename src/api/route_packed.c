/* POST /v1/transfers and /v1/accounts with packed records (docs/protocol.md). */
#include "api/door_priv.h"
#include "api/http_accept.h"
#include "api/packed.h"
#include "holdfast_packed.h"

static const struct hf_str offers[] = {
    {HOLDFAST_PACKED_RESULTS, sizeof(HOLDFAST_PACKED_RESULTS) - 1},
    {"application/json", sizeof("application/json") - 1},
};

static enum hf_progress decided(struct hf_call *call)
{
    const struct hf_answer *answer = &call->request.answer;
    call->has_answer = true;
    if (!answer->decided) {
        return hf_call_undecided(call, answer->code);
    }
    if (answer->code != HF_ERR_OK) {
        return hf_call_problem(call, answer->code, "Send fewer records in one request.", "");
    }
    call->submitted = true;
    struct hf_buffer *to = &call->exchange->answer;
    uint32_t count = call->command.op_count;
    bool json = hf_http_accept(call->exchange, offers, HF_ARRAY_COUNT(offers)) == 1;
    hf_buffer_clear(to);
    if (answer->position > 0) {
        hf_call_header_number(call, "Holdfast-Position", "", answer->position, "");
    }
    if (json) {
        hf_packed_results_json(to, answer->position, answer->time_us, call->request.outcomes,
                               count);
        return hf_call_json(call, 200);
    }
    hf_packed_results(to, answer->position, answer->time_us, call->request.outcomes, count);
    call->status = 200;
    call->content_type = HOLDFAST_PACKED_RESULTS;
    return HF_CALL_ANSWERED;
}

enum hf_progress hf_route_packed(struct hf_call *call, enum hf_packed_kind kind)
{
    if (hf_str_present(call->key)) {
        return hf_call_invalid(call, "Packed records replay by their ids: send no "
                                     "Idempotency-Key.");
    }
    if (call->query.count > 0) {
        return hf_call_invalid(call, "Packed records go with no query.");
    }
    if (hf_http_accept(call->exchange, offers, HF_ARRAY_COUNT(offers)) < 0) {
        return hf_call_problem(
            call, HF_ERR_NOT_ACCEPTABLE,
            "The answer comes as " HOLDFAST_PACKED_RESULTS " or application/json.", "");
    }
    if (!hf_call_command(call, HF_COMMAND_EACH)) {
        return HF_CALL_ANSWERED;
    }
    if (!hf_packed_decode(kind, call->exchange->body, &call->command, &call->malformed)) {
        return call->malformed.code == HF_ERR_NO_MEMORY
                   ? hf_call_undecided(call, HF_ERR_NO_MEMORY)
                   : hf_call_problem(call, call->malformed.code, call->malformed.text,
                                     call->malformed.pointer);
    }
    call->finish = decided;
    return hf_call_commit_each(call);
}

enum hf_progress hf_route_accounts(struct hf_call *call)
{
    return call->media == HF_MEDIA_PACKED_ACCOUNTS
               ? hf_route_packed(call, HF_PACKED_ACCOUNTS)
               : hf_call_problem(call, HF_ERR_UNSUPPORTED_MEDIA_TYPE,
                                 "Content-Type must be " HOLDFAST_PACKED_ACCOUNTS
                                 "; one account in JSON is PUT /v1/accounts/{id}.",
                                 "");
}
