/*
 * POST /v1/subscriptions/{id}/receive
 *
 *   commit (or its replay by the attempt) ─► durable ─► frames of the messages' commits ─► answer
 *        └── nothing there: waits in the node ─► {"position":null,"messages":[]}
 *
 * The newest commits are in RAM; the others are read from the log in a second step. All rendering is on the loop's
 * thread.
 */
#include <stdlib.h>

#include "api/door_priv.h"
#include "api/json_write.h"
#include "api/queue_body.h"
#include "base/check.h"

#define MESSAGE_BYTES_ABOUT 500 /* of a message in the answer, besides its data */

/* A delivery's event, rendered; they are rendered in the order of their commits, so that each of those is decoded once. */
struct part {
    uint64_t position; /* of the message */
    uint32_t delivery; /* its index */
    size_t begin;      /* in receiving.events */
    size_t end;
};

struct receiving {
    const struct hf_commit *commit;
    const struct hf_delivered *delivered;
    struct part *parts;      /* in the exchange's arena, by position… */
    uint32_t *part_of;       /* …and where that of a delivery is */
    struct hf_buffer events; /* all of them */
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

static void put_message(struct hf_json_writer *w, const struct receiving *receiving, uint32_t index)
{
    const struct hf_delivered *delivered = receiving->delivered;
    const struct hf_delivery *delivery = &delivered->deliveries[index];
    const struct part *part = &receiving->parts[receiving->part_of[index]];
    hf_json_begin_object(w, NULL);
    put_receipt(w, receiving->commit, delivered, delivery);
    hf_json_put_number(w, "attempt", delivery->attempt);
    hf_json_put_time(w, "deadline", delivered->deadline_us);
    hf_json_put_raw(w, "event",
                    (struct hf_str){(const char *)receiving->events.data + part->begin,
                                    part->end - part->begin});
    hf_json_end_object(w);
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

/* All events, in the order of their commits. */
static bool render_events(struct hf_call *call, struct receiving *receiving)
{
    struct hf_buffer *events = &receiving->events;
    uint32_t count = receiving->delivered->count;
    bool ok = hf_buffer_reserve(events, size_about(receiving->delivered));
    for (uint32_t i = 0; ok && i < count; i++) {
        struct part *part = &receiving->parts[i];
        const struct hf_place *place = &receiving->delivered->deliveries[part->delivery].message;
        part->begin = events->size_bytes;
        ok = hf_call_put_event(call, events, place, call->frames[i]);
        part->end = events->size_bytes;
        receiving->part_of[part->delivery] = i;
    }
    return ok && !events->failed;
}

static void compose(struct hf_call *call, const struct receiving *receiving)
{
    struct hf_json_writer w = hf_json_writer_over(&call->exchange->answer);
    hf_json_begin_object(&w, NULL);
    hf_json_put_number(&w, "position", receiving->commit->position);
    hf_json_begin_array(&w, "messages");
    for (uint32_t i = 0; i < receiving->delivered->count; i++) {
        put_message(&w, receiving, i);
    }
    hf_json_end_array(&w);
    hf_json_end_object(&w);
}

/* All frames are there, in the order of the parts. */
static enum hf_progress answer_messages(struct hf_call *call)
{
    struct receiving *receiving = call->work;
    const struct hf_answer *answer = &call->request.answer;
    hf_buffer_init(&receiving->events);
    bool ok = render_events(call, receiving) &&
              hf_buffer_reserve(&call->exchange->answer,
                                receiving->events.size_bytes +
                                    (size_t)receiving->delivered->count * MESSAGE_BYTES_ABOUT);
    if (ok) {
        compose(call, receiving);
    }
    hf_buffer_release(&receiving->events);
    if (!ok) {
        return hf_call_undecided(call, HF_ERR_OUTCOME_UNKNOWN);
    }
    hf_call_header(call, "Holdfast-Position", "%llu", (unsigned long long)answer->position);
    if (answer->replayed) {
        hf_call_header(call, "Idempotent-Replayed", "true");
    }
    return hf_call_json(call, 200);
}

static int by_position(const void *a, const void *b)
{
    const struct part *x = a;
    const struct part *y = b;
    if (x->position != y->position) {
        return x->position < y->position ? -1 : 1;
    }
    return x->delivery < y->delivery ? -1 : 1;
}

/* ---- the decision is there ---- */

static enum hf_progress read_frames(struct hf_call *call, struct receiving *receiving)
{
    struct hf_arena *arena = call->exchange->arena;
    uint32_t count = receiving->delivered->count;
    uint64_t *positions = hf_arena_alloc(arena, count * sizeof(*positions));
    receiving->parts = hf_arena_alloc_zero(arena, count, sizeof(*receiving->parts));
    receiving->part_of = hf_arena_alloc_zero(arena, count, sizeof(*receiving->part_of));
    if (positions == NULL || receiving->parts == NULL || receiving->part_of == NULL) {
        return hf_call_undecided(call, HF_ERR_OUTCOME_UNKNOWN);
    }
    for (uint32_t i = 0; i < count; i++) {
        receiving->parts[i].position = receiving->delivered->deliveries[i].message.position;
        receiving->parts[i].delivery = i;
    }
    qsort(receiving->parts, count, sizeof(*receiving->parts), by_position);
    for (uint32_t i = 0; i < count; i++) {
        positions[i] = receiving->parts[i].position;
    }
    return hf_call_frames(call, positions, count, answer_messages, HF_ERR_OUTCOME_UNKNOWN);
}

static enum hf_progress received(struct hf_call *call)
{
    const struct hf_commit *commit = hf_call_decided(call);
    if (commit == NULL) {
        return HF_CALL_ANSWERED;
    }
    struct receiving *receiving = hf_arena_alloc_zero(call->exchange->arena, 1, sizeof(*receiving));
    if (receiving == NULL) {
        return hf_call_undecided(call, HF_ERR_OUTCOME_UNKNOWN);
    }
    if (call->request.answer.code != HF_ERR_OK) {
        return hf_call_commit_answer(call);
    }
    const struct hf_event *event = hf_call_last_event(commit, HF_EVENT_MESSAGES_DELIVERED);
    if (event == NULL || event->delivered.count == 0) {
        return answer_empty(call);
    }
    receiving->commit = commit;
    receiving->delivered = &event->delivered;
    call->work = receiving;
    return read_frames(call, receiving);
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
