/*
 * POST /v1/subscriptions/{id}/ack|nack|extend|park: what became of messages that are out, receipt by receipt.
 *
 * One commit, answered from its frame: {"position":17,"results":[{"message":"9-0","state":"acked"}, …]}. A batch of which
 * nothing was recorded has "position":null.
 */
#include "api/door_priv.h"
#include "api/json_write.h"
#include "api/queue_body.h"
#include "api/queue_json.h"

/* Of an extend there is an event for each receipt; which message it is stands in the receipt alone. */
static void put_extended(struct hf_json_writer *w, const struct hf_extended *extended,
                         const struct hf_receipt *receipt)
{
    hf_json_begin_object(w, NULL);
    if (extended->code != HF_ERR_OK) {
        hf_json_put_text(w, "code", hf_str_from(hf_err_wire(extended->code)));
        hf_json_put_number(w, "status", (uint64_t)hf_err_status(extended->code));
    } else {
        hf_message_id_json(w, "message", receipt->position, receipt->index);
        hf_json_put_text(w, "state", HF_STR("in_flight"));
        hf_json_put_time(w, "deadline", extended->deadline_us);
    }
    hf_json_end_object(w);
}

static void put_results(struct hf_json_writer *w, const struct hf_queue_op *op,
                        const struct hf_commit *commit)
{
    uint32_t extended = 0;
    hf_json_begin_array(w, "results");
    for (uint32_t i = 0; i < commit->event_count; i++) {
        const struct hf_event *event = commit->events[i];
        if (event->operation == HF_NO_OPERATION) {
            continue; /* what was due and is booked first */
        }
        if (event->type == HF_EVENT_DELIVERY_EXTENDED && extended < op->item_count) {
            put_extended(w, &event->extended, &op->items[extended++].receipt);
        } else if (event->type == HF_EVENT_MESSAGES_SETTLED) {
            for (uint32_t n = 0; n < event->settled.count; n++) {
                hf_json_begin_object(w, NULL);
                hf_settled_item_json(w, &event->settled.items[n]);
                hf_json_end_object(w);
            }
        }
    }
    hf_json_end_array(w);
}

static enum hf_progress settled(struct hf_call *call)
{
    const struct hf_answer *answer = &call->request.answer;
    const struct hf_commit *commit = hf_call_decided(call);
    if (commit == NULL) {
        return HF_CALL_ANSWERED;
    }
    if (answer->code != HF_ERR_OK) {
        return hf_call_commit_answer(call);
    }
    struct hf_json_writer w = hf_json_writer_over(&call->exchange->answer);
    hf_json_begin_object(&w, NULL);
    if (answer->position == 0) {
        hf_json_put_null(&w, "position");
    } else {
        hf_json_put_number(&w, "position", answer->position);
    }
    put_results(&w, call->command.ops[0].queue, commit);
    hf_json_end_object(&w);
    hf_call_change_headers(call);
    return hf_call_json(call, 200);
}

static enum hf_progress settle(struct hf_call *call, enum hf_queue_body_kind kind, enum hf_act act)
{
    struct hf_queue_body body;
    call->form = (struct hf_answer_form){.one_result = true, .failed = HF_FAILED_IN_OBJECT};
    if (!hf_call_path_name(call, false)) {
        return HF_CALL_ANSWERED;
    }
    if (!hf_queue_body_decode(call->exchange->body, kind, call->exchange->arena, &body,
                              &call->malformed)) {
        return hf_call_malformed(call);
    }
    body.fields.type = HF_OP_ACK_BATCH;
    body.fields.subscription = call->path.segments[2];
    body.fields.act = act;
    if (!hf_call_command(call, HF_COMMAND_COMMIT)) {
        return HF_CALL_ANSWERED;
    }
    if (!hf_command_add_queue_op(&call->command, &body.fields, &call->malformed)) {
        return hf_call_malformed(call);
    }
    call->finish = settled;
    return hf_call_commit(call);
}

enum hf_progress hf_route_ack(struct hf_call *call)
{
    return settle(call, HF_BODY_ACK, HF_ACT_ACK);
}

enum hf_progress hf_route_nack(struct hf_call *call)
{
    return settle(call, HF_BODY_NACK, HF_ACT_NACK);
}

enum hf_progress hf_route_extend(struct hf_call *call)
{
    return settle(call, HF_BODY_EXTEND, HF_ACT_EXTEND);
}

enum hf_progress hf_route_park(struct hf_call *call)
{
    return settle(call, HF_BODY_PARK, HF_ACT_PARK);
}
