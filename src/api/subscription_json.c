#include "api/subscription_json.h"

#include "api/cursor.h"
#include "api/queue_json.h"

static void put_time(struct hf_json_writer *w, const char *name, bool given, uint64_t time_us)
{
    if (given) {
        hf_json_put_time(w, name, time_us);
    } else {
        hf_json_put_null(w, name);
    }
}

static void put_redrive(struct hf_json_writer *w, const struct hf_redrive_task *task)
{
    if (!task->active) {
        hf_json_put_null(w, "redrive");
        return;
    }
    hf_json_begin_object(w, "redrive");
    hf_json_put_bool(w, "active", true);
    hf_json_put_number(w, "rate_per_s", task->rate_per_s);
    hf_json_put_number(w, "moved", task->moved);
    hf_json_put_number(w, "total", task->total);
    hf_json_end_object(w);
}

static void put_push_status(struct hf_json_writer *w, const struct hf_push_status *status)
{
    bool failed = status->last_error_us != 0;
    hf_json_begin_object(w, "push_status");
    hf_json_put_text(w, "state", hf_str_from(hf_push_state_wire(status->state)));
    hf_json_put_number(w, "in_flight", status->in_flight);
    hf_json_put_number(w, "sent", status->sent);
    hf_json_put_number(w, "failed", status->failed);
    put_time(w, "last_error_at", failed, status->last_error_us);
    if (failed) {
        hf_json_put_text(w, "last_error", hf_str_from(status->last_error));
    } else {
        hf_json_put_null(w, "last_error");
    }
    hf_json_end_object(w);
}

void hf_subscription_json(struct hf_json_writer *w, const struct hf_subscription_reading *reading)
{
    const struct hf_subscription *s = reading->subscription;
    const struct {
        const char *name;
        uint64_t value;
    } figures[] = {
        {"scanned_position", reading->scanned},
        {"lag", reading->lag},
        {"ready_lines", s->ready.count},
        {"waiting", s->waiting},
        {"in_flight", s->in_flight},
        {"backing_off", s->backing_off.count},
        {"parked", s->parked.count},
        {"delayed", reading->delayed},
        {"arrived", s->arrived},
        {"ended", s->ended},
        {"acked", s->acked},
        {"discarded", s->discarded},
        {"deliveries", s->deliveries},
        {"failed_tries", s->failed_tries},
    };
    hf_json_begin_object(w, NULL);
    hf_json_put_text(w, "name", s->name.text);
    hf_json_put_number(w, "version", s->version);
    hf_settings_json(w, &s->settings);
    hf_json_put_time(w, "created_at", s->created_at_us);
    hf_json_put_bool(w, "live", s->live);
    for (size_t i = 0; i < HF_ARRAY_COUNT(figures); i++) {
        hf_json_put_number(w, figures[i].name, figures[i].value);
    }
    put_time(w, "oldest_unacked_at", reading->oldest_us != 0, reading->oldest_us);
    put_time(w, "next_ready_at", reading->next_ready_us != UINT64_MAX, reading->next_ready_us);
    hf_json_put_bool(w, "stalled", reading->stalled);
    put_redrive(w, &s->redrive);
    if (reading->push != NULL) {
        put_push_status(w, reading->push);
    }
    hf_json_end_object(w);
}

void hf_subscription_list_json(struct hf_json_writer *w, const struct hf_query *query,
                               const struct hf_reading *reading)
{
    hf_json_begin_object(w, NULL);
    hf_json_begin_array(w, "data");
    for (uint32_t i = 0; i < reading->subscription_count; i++) {
        hf_subscription_json(w, &reading->subscriptions[i]);
    }
    hf_json_end_array(w);
    hf_cursor_json(w, query, reading);
    hf_json_end_object(w);
}

/* ---- messages ---- */

const char *hf_message_state_wire(enum hf_message_state state)
{
    static const char *const wires[] = {
        [HF_MESSAGE_DELAYED] = "delayed",     [HF_MESSAGE_WAITING] = "waiting",
        [HF_MESSAGE_IN_FLIGHT] = "in_flight", [HF_MESSAGE_BACKING_OFF] = "backing_off",
        [HF_MESSAGE_PARKED] = "parked",       [HF_MESSAGE_ACKED] = "acked",
        [HF_MESSAGE_DISCARDED] = "discarded", [HF_MESSAGE_LEFT] = "left",
    };
    return wires[state];
}

static void put_end(struct hf_json_writer *w, const struct hf_message_try *each, bool is_out)
{
    static const char *const wires[] = {
        [HF_SETTLED_ACKED] = "acked",         [HF_SETTLED_NACKED] = "nacked",
        [HF_SETTLED_TIMED_OUT] = "timed_out", [HF_SETTLED_PARKED] = "parked",
        [HF_SETTLED_DISCARDED] = "discarded",
    };
    if (is_out) {
        hf_json_put_null(w, "end");
        return;
    }
    hf_json_begin_object(w, "end");
    if (each->ended_by == NULL) { /* it went back with an earlier one, uncounted */
        hf_json_put_text(w, "state", HF_STR("returned"));
        hf_json_put_null(w, "time");
        hf_json_put_null(w, "position");
    } else {
        hf_json_put_text(w, "state", hf_str_from(wires[each->end->settlement]));
        hf_json_put_time(w, "time", each->ended_by->time_us);
        hf_json_put_number(w, "position", each->ended_by->position);
        if (hf_str_present(each->end->error)) {
            hf_json_put_text(w, "error", each->end->error);
        }
    }
    hf_json_end_object(w);
}

void hf_message_try_json(struct hf_json_writer *w, const struct hf_message_try *each, bool is_out)
{
    hf_json_begin_object(w, NULL);
    if (each->delivered_by == NULL) { /* a dead letter that was given up: nobody had it */
        static const char *const names[] = {"position",  "time",     "attempt",
                                            "principal", "consumer", "deadline"};
        for (size_t i = 0; i < HF_ARRAY_COUNT(names); i++) {
            hf_json_put_null(w, names[i]);
        }
    } else {
        hf_json_put_number(w, "position", each->delivered_by->position);
        hf_json_put_time(w, "time", each->delivered_by->time_us);
        hf_json_put_number(w, "attempt", each->delivery->attempt);
        hf_json_put_text(w, "principal", each->delivered_by->principal);
        if (hf_str_present(each->delivered->consumer)) {
            hf_json_put_text(w, "consumer", each->delivered->consumer);
        } else {
            hf_json_put_null(w, "consumer");
        }
        hf_json_put_time(w, "deadline", each->delivered->deadline_us);
    }
    put_end(w, each, is_out);
    hf_json_end_object(w);
}
