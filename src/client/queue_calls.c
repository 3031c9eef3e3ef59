/* Queues: publish, receive, ack, nack. */
#include "base/json.h"
#include "client/making_priv.h"

enum holdfast_client_error holdfast_client_publish(struct holdfast_client *client,
                                                   const struct holdfast_client_call *call,
                                                   const struct holdfast_client_message *message,
                                                   struct holdfast_client_answer **answer,
                                                   struct holdfast_client_failure *failure)
{
    struct hf_making making;
    bool dry_run = call != NULL && call->dry_run;
    struct holdfast_client_request request = {.method = "POST", .no_key = dry_run};
    hf_making_begin(&making);
    hf_buffer_text(&making.path, dry_run ? "/v1/commits?dry_run=true" : "/v1/commits");
    hf_buffer_text(&making.body, "{\"do\":[");
    hf_making_text(&making, "op", "publish");
    hf_making_required(&making, "topic", message->topic);
    hf_making_required(&making, "key", message->key);
    hf_making_required(&making, "type", message->type);
    if (message->data == NULL && making.wrong == NULL) {
        making.wrong = "data";
    }
    hf_making_raw(&making, "data", message->data);
    hf_making_text(&making, "id", message->id);
    hf_making_text(&making, "deliver_at", message->deliver_at);
    hf_making_end_body(&making);
    hf_buffer_text(&making.body, "]}");
    return hf_making_finish(client, &making, call, &request, answer, failure);
}

enum holdfast_client_error holdfast_client_receive(struct holdfast_client *client,
                                                   const struct holdfast_client_call *call,
                                                   const struct holdfast_client_receive *receive,
                                                   struct holdfast_client_answer **answer,
                                                   struct holdfast_client_failure *failure)
{
    struct hf_making making;
    char attempt[HOLDFAST_CLIENT_KEY_BYTES];
    struct holdfast_client_request request = {
        .method = "POST", .no_key = true, .wait_ms = receive->wait_ms};
    hf_making_begin_path(&making, "/v1/subscriptions/", receive->subscription, "/receive");
    if (receive->attempt == NULL) {
        hf_client_make_key(attempt);
    } else {
        (void)snprintf(attempt, sizeof(attempt), "%s", receive->attempt);
    }
    hf_making_text(&making, "attempt", attempt);
    if (receive->max > 0) {
        hf_making_number(&making, "max", receive->max);
    }
    if (receive->wait_ms > 0) {
        hf_making_number(&making, "wait_ms", receive->wait_ms);
    }
    if (receive->lease_ms > 0) {
        hf_making_number(&making, "lease_ms", receive->lease_ms);
    }
    hf_making_text(&making, "consumer", receive->consumer);
    hf_making_end_body(&making);
    enum holdfast_client_error error =
        hf_making_finish(client, &making, call, &request, answer, failure);
    if (error == HOLDFAST_CLIENT_UNKNOWN && failure != NULL) {
        (void)snprintf(failure->key, sizeof(failure->key), "%s", attempt);
    }
    return error;
}

static void put_receipts(struct hf_making *making, const char *const *receipts, size_t count)
{
    if (count == 0 && making->wrong == NULL) {
        making->wrong = "receipts";
    }
    hf_buffer_text(&making->body, making->comma ? ",\"receipts\":[" : "{\"receipts\":[");
    making->comma = true;
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            hf_buffer_u8(&making->body, ',');
        }
        hf_json_write_string(&making->body, hf_str_from(receipts[i]));
    }
    hf_buffer_u8(&making->body, ']');
}

enum holdfast_client_error
holdfast_client_ack(struct holdfast_client *client, const struct holdfast_client_call *call,
                    const char *subscription, const char *const *receipts, size_t receipt_count,
                    struct holdfast_client_answer **answer, struct holdfast_client_failure *failure)
{
    struct hf_making making;
    struct holdfast_client_request request = {.method = "POST",
                                              .no_key = call == NULL || call->key == NULL};
    hf_making_begin_path(&making, "/v1/subscriptions/", subscription, "/ack");
    put_receipts(&making, receipts, receipt_count);
    hf_making_end_body(&making);
    return hf_making_finish(client, &making, call, &request, answer, failure);
}

enum holdfast_client_error holdfast_client_nack(struct holdfast_client *client,
                                                const struct holdfast_client_call *call,
                                                const struct holdfast_client_nack *nack,
                                                struct holdfast_client_answer **answer,
                                                struct holdfast_client_failure *failure)
{
    struct hf_making making;
    hf_making_begin_path(&making, "/v1/subscriptions/", nack->subscription, "/nack");
    put_receipts(&making, nack->receipts, nack->receipt_count);
    hf_making_text(&making, "error", nack->error);
    if (nack->has_delay) {
        hf_making_number(&making, "delay_ms", nack->delay_ms);
    }
    hf_making_end_body(&making);
    return hf_making_finish_method(client, &making, call, "POST", answer, failure);
}
