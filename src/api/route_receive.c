/*
 * POST /v1/subscriptions/{id}/receive
 *
 *   commit (or its replay by the attempt) ─► durable ─► frames of the messages' commits ─► answer
 *        └── nothing there: waits in the node ─► {"position":null,"messages":[]}
 *
 * The newest commits are in RAM; the others are read from the log in a second step. All rendering is on the loop's
 * thread.
 */
#include "api/door_priv.h"
#include "api/json_write.h"
#include "api/queue_body.h"
#include "base/check.h"

#define MESSAGE_BYTES_ABOUT 600 /* of a message in the answer, besides its data */

struct receiving {
    const struct hf_commit *commit;
    const struct hf_delivered *delivered;
};

/* ---- rendering ---- */

static void put_receipt(struct hf_json_writer *w, const struct hf_commit *commit,
                        const struct hf_delivered *delivered, const struct hf_delivery *delivery)
{
    const struct hf_receipt receipt = {
        .uid = delivered->uid,
        .line = delivery->line,
        .number = delivery->number,
        .token = commit->position,
        .position = delivery->message.position,
        .index = delivery->message.index,
    };
    hf_json_put_raw(w, "receipt", HF_STR("\""));
    hf_receipt_encode(w->to, &receipt);
    hf_buffer_u8(w->to, '"');
}

static bool put_message(struct hf_call *call, struct hf_json_writer *w,
                        const struct receiving *receiving, uint32_t index,
                        struct hf_shared_bytes *frame)
{
    const struct hf_delivered *delivered = receiving->delivered;
    const struct hf_delivery *delivery = &delivered->deliveries[index];
    hf_json_begin_object(w, NULL);
    put_receipt(w, receiving->commit, delivered, delivery);
    hf_json_put_number(w, "attempt", delivery->attempt);
    hf_json_put_time(w, "deadline", delivered->deadline_us);
    bool shown = hf_call_put_event(call, w, "event", &delivery->message, frame);
    hf_json_end_object(w);
    return shown;
}

static enum hf_progress answer_empty(struct hf_call *call)
{
    hf_call_header(call, "Holdfast-Position", "%llu",
                   (unsigned long long)call->request.answer.seen_position);
    hf_buffer_text(&call->exchange->answer, "{\"position\":null,\"messages\":[]}");
    return hf_call_json(call, 200);
}

static size_t size_about(const struct hf_delivered *delivered)
{
    size_t bytes = 64;
    for (uint32_t i = 0; i < delivered->count; i++) {
        bytes += MESSAGE_BYTES_ABOUT + delivered->deliveries[i].message.bytes;
    }
    return bytes;
}

/* All frames are there. */
static enum hf_progress answer_messages(struct hf_call *call)
{
    struct receiving *receiving = call->work;
    const struct hf_answer *answer = &call->request.answer;
    struct hf_json_writer w = hf_json_writer_over(&call->exchange->answer);
    bool ok = hf_buffer_reserve(&call->exchange->answer, size_about(receiving->delivered));
    hf_json_begin_object(&w, NULL);
    hf_json_put_number(&w, "position", receiving->commit->position);
    hf_json_begin_array(&w, "messages");
    for (uint32_t i = 0; ok && i < receiving->delivered->count; i++) {
        ok = put_message(call, &w, receiving, i, call->frames[i]);
    }
    hf_json_end_array(&w);
    hf_json_end_object(&w);
    if (!ok) {
        return hf_call_undecided(call, HF_ERR_OUTCOME_UNKNOWN);
    }
    hf_call_header(call, "Holdfast-Position", "%llu", (unsigned long long)answer->position);
    if (answer->replayed) {
        hf_call_header(call, "Idempotent-Replayed", "true");
    }
    return hf_call_json(call, 200);
}

/* ---- the decision is there ---- */

static enum hf_progress received(struct hf_call *call)
{
    const struct hf_answer *answer = &call->request.answer;
    call->has_answer = true;
    if (!answer->decided) {
        return hf_call_undecided(call, answer->code);
    }
    call->submitted = true;
    const struct hf_commit *commit = hf_call_decode(answer->frame, call->exchange->arena);
    struct receiving *receiving = hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*receiving));
    if (commit == NULL || receiving == NULL) {
        return hf_call_undecided(call, HF_ERR_OUTCOME_UNKNOWN);
    }
    if (answer->code != HF_ERR_OK) {
        return hf_call_commit_answer(call);
    }
    const struct hf_event *event = hf_call_last_event(commit, HF_EVENT_MESSAGES_DELIVERED);
    if (event == NULL || event->delivered.count == 0) {
        return answer_empty(call);
    }
    receiving->commit = commit;
    receiving->delivered = &event->delivered;
    call->work = receiving;
    uint32_t count = receiving->delivered->count;
    uint64_t *positions = hf_arena_alloc(call->exchange->arena, count * sizeof(*positions));
    if (positions == NULL) {
        return hf_call_undecided(call, HF_ERR_OUTCOME_UNKNOWN);
    }
    for (uint32_t i = 0; i < count; i++) {
        positions[i] = receiving->delivered->deliveries[i].message.position;
    }
    return hf_call_frames(call, positions, count, answer_messages, HF_ERR_OUTCOME_UNKNOWN);
}

/* ---- the request ---- */

enum hf_progress hf_route_receive(struct hf_call *call)
{
    struct hf_queue_body body;
    struct hf_str text = call->exchange->body.len > 0 ? call->exchange->body : HF_STR("{}");
    call->form = (struct hf_answer_form){.one_result = true, .failed = HF_FAILED_IN_OBJECT};
    if (!hf_call_path_name(call, false)) {
        return HF_CALL_ANSWERED;
    }
    if (!hf_queue_body_decode(text, HF_BODY_RECEIVE, call->exchange->arena, &body,
                              &call->malformed)) {
        return hf_call_malformed(call);
    }
    if (hf_str_present(body.fields.attempt) && hf_str_present(call->key)) {
        return hf_call_problem(call, HF_ERR_INVALID_REQUEST,
                               "Give either attempt or Idempotency-Key: both make it repeatable.",
                               "/attempt");
    }
    body.fields.type = HF_OP_RECEIVE;
    body.fields.subscription = call->path.segments[2];
    if (!hf_call_command(call, HF_COMMAND_COMMIT)) {
        return HF_CALL_ANSWERED;
    }
    if (!hf_command_add_queue_op(&call->command, &body.fields, &call->malformed)) {
        return hf_call_malformed(call);
    }
    if (body.wait_ms > 0) {
        struct hf_outside *outside = call->door->options.outside;
        call->deadline_us = outside->monotonic_us(outside) + body.wait_ms * 1000;
        call->withdraws = true;
        hf_http_watch(call->exchange);
    }
    call->finish = received;
    return hf_call_commit(call);
}
