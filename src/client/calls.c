/* The calls of every day: paths and bodies. */
#include "client/making_priv.h"

/* ---- commits and accounts ---- */

enum holdfast_client_error holdfast_client_commit(struct holdfast_client *client,
                                                  const struct holdfast_client_call *call,
                                                  const char *json, size_t json_bytes,
                                                  struct holdfast_client_answer **answer,
                                                  struct holdfast_client_failure *failure)
{
    struct hf_making making;
    struct holdfast_client_request request = {
        .method = "POST", .body = json, .body_bytes = json_bytes};
    hf_making_begin(&making);
    making.wrong = json == NULL ? "json" : NULL;
    hf_buffer_text(&making.path,
                   call != NULL && call->dry_run ? "/v1/commits?dry_run=true" : "/v1/commits");
    request.no_key = call != NULL && call->dry_run;
    return hf_making_finish(client, &making, call, &request, answer, failure);
}

enum holdfast_client_error holdfast_client_open_account(
    struct holdfast_client *client, const struct holdfast_client_call *call,
    const struct holdfast_client_account *account, struct holdfast_client_answer **answer,
    struct holdfast_client_failure *failure)
{
    struct hf_making making;
    hf_making_begin_path(&making, "/v1/accounts/", account->id, "");
    hf_making_required(&making, "asset", account->asset);
    if (account->floor_none) {
        hf_making_raw(&making, "floor", "null");
    } else {
        hf_making_text(&making, "floor", account->floor);
    }
    hf_making_text(&making, "ceiling", account->ceiling);
    hf_making_raw(&making, "metadata", account->metadata);
    hf_making_end_body(&making);
    return hf_making_finish_method(client, &making, call, "PUT", answer, failure);
}

/* ---- transfers and holds ---- */

enum holdfast_client_error holdfast_client_transfer(struct holdfast_client *client,
                                                    const struct holdfast_client_call *call,
                                                    const struct holdfast_client_transfer *transfer,
                                                    struct holdfast_client_answer **answer,
                                                    struct holdfast_client_failure *failure)
{
    struct hf_making making;
    hf_making_begin(&making);
    hf_buffer_text(&making.path, "/v1/transfers");
    hf_making_text(&making, "id", transfer->id);
    hf_making_required(&making, "from", transfer->from);
    hf_making_required(&making, "to", transfer->to);
    hf_making_required(&making, "asset", transfer->asset);
    hf_making_required(&making, "amount", transfer->amount);
    hf_making_true(&making, "up_to", transfer->up_to);
    hf_making_text(&making, "effective_at", transfer->effective_at);
    hf_making_raw(&making, "metadata", transfer->metadata);
    hf_making_end_body(&making);
    return hf_making_finish_method(client, &making, call, "POST", answer, failure);
}

enum holdfast_client_error holdfast_client_reverse(struct holdfast_client *client,
                                                   const struct holdfast_client_call *call,
                                                   const char *transfer, const char *id,
                                                   const char *amount,
                                                   struct holdfast_client_answer **answer,
                                                   struct holdfast_client_failure *failure)
{
    struct hf_making making;
    hf_making_begin_path(&making, "/v1/transfers/", transfer, "/reverse");
    hf_making_text(&making, "id", id);
    hf_making_text(&making, "amount", amount);
    hf_making_end_body(&making);
    return hf_making_finish_method(client, &making, call, "POST", answer, failure);
}

enum holdfast_client_error holdfast_client_hold(struct holdfast_client *client,
                                                const struct holdfast_client_call *call,
                                                const struct holdfast_client_hold *hold,
                                                struct holdfast_client_answer **answer,
                                                struct holdfast_client_failure *failure)
{
    struct hf_making making;
    hf_making_begin(&making);
    hf_buffer_text(&making.path, "/v1/holds");
    hf_making_text(&making, "id", hold->id);
    hf_making_required(&making, "from", hold->from);
    hf_making_required(&making, "to", hold->to);
    hf_making_required(&making, "asset", hold->asset);
    hf_making_required(&making, "amount", hold->amount);
    if (hold->timeout_ms != 0) {
        hf_making_number(&making, "timeout_ms", hold->timeout_ms);
    }
    hf_making_end_body(&making);
    return hf_making_finish_method(client, &making, call, "POST", answer, failure);
}

enum holdfast_client_error holdfast_client_capture(struct holdfast_client *client,
                                                   const struct holdfast_client_call *call,
                                                   const char *hold, const char *amount, bool final,
                                                   struct holdfast_client_answer **answer,
                                                   struct holdfast_client_failure *failure)
{
    struct hf_making making;
    hf_making_begin_path(&making, "/v1/holds/", hold, "/capture");
    hf_making_text(&making, "amount", amount);
    hf_making_true(&making, "final", final);
    hf_making_end_body(&making);
    return hf_making_finish_method(client, &making, call, "POST", answer, failure);
}

enum holdfast_client_error holdfast_client_void(struct holdfast_client *client,
                                                const struct holdfast_client_call *call,
                                                const char *hold,
                                                struct holdfast_client_answer **answer,
                                                struct holdfast_client_failure *failure)
{
    struct hf_making making;
    hf_making_begin_path(&making, "/v1/holds/", hold, "/void");
    hf_making_end_body(&making);
    return hf_making_finish_method(client, &making, call, "POST", answer, failure);
}

enum holdfast_client_error holdfast_client_extend(struct holdfast_client *client,
                                                  const struct holdfast_client_call *call,
                                                  const char *hold, uint64_t timeout_ms,
                                                  struct holdfast_client_answer **answer,
                                                  struct holdfast_client_failure *failure)
{
    struct hf_making making;
    hf_making_begin_path(&making, "/v1/holds/", hold, "/extend");
    hf_making_number(&making, "timeout_ms", timeout_ms);
    hf_making_end_body(&making);
    return hf_making_finish_method(client, &making, call, "POST", answer, failure);
}

/* ---- streams and documents ---- */

enum holdfast_client_error holdfast_client_append(struct holdfast_client *client,
                                                  const struct holdfast_client_call *call,
                                                  const struct holdfast_client_event *event,
                                                  struct holdfast_client_answer **answer,
                                                  struct holdfast_client_failure *failure)
{
    struct hf_making making;
    hf_making_begin_path(&making, "/v1/streams/", event->stream, "/events");
    hf_making_required(&making, "type", event->type);
    hf_making_raw(&making, "data", event->data);
    hf_making_text(&making, "id", event->id);
    hf_making_end_body(&making);
    return hf_making_finish_method(client, &making, call, "POST", answer, failure);
}

enum holdfast_client_error holdfast_client_document_get(struct holdfast_client *client,
                                                        const struct holdfast_client_call *call,
                                                        const char *document, uint64_t version,
                                                        struct holdfast_client_answer **answer,
                                                        struct holdfast_client_failure *failure)
{
    struct hf_making making;
    hf_making_begin_path(&making, "/v1/documents/", document, "");
    if (version != 0) {
        hf_making_path_query(&making, "version", version);
    }
    return hf_making_finish_method(client, &making, call, "GET", answer, failure);
}

static enum holdfast_client_error
document_change(struct holdfast_client *client, const struct holdfast_client_call *call,
                const char *document, struct holdfast_client_request *request,
                struct holdfast_client_answer **answer, struct holdfast_client_failure *failure)
{
    struct hf_making making;
    hf_making_begin_path(&making, "/v1/documents/", document, "");
    return hf_making_finish(client, &making, call, request, answer, failure);
}

enum holdfast_client_error holdfast_client_document_put(struct holdfast_client *client,
                                                        const struct holdfast_client_call *call,
                                                        const char *document, const char *json,
                                                        size_t json_bytes,
                                                        struct holdfast_client_answer **answer,
                                                        struct holdfast_client_failure *failure)
{
    struct holdfast_client_request request = {
        .method = "PUT", .body = json, .body_bytes = json_bytes};
    return document_change(client, call, document, &request, answer, failure);
}

enum holdfast_client_error holdfast_client_document_patch(struct holdfast_client *client,
                                                          const struct holdfast_client_call *call,
                                                          const char *document, const char *json,
                                                          size_t json_bytes,
                                                          struct holdfast_client_answer **answer,
                                                          struct holdfast_client_failure *failure)
{
    struct holdfast_client_request request = {.method = "PATCH",
                                              .body = json,
                                              .body_bytes = json_bytes,
                                              .content_type = "application/merge-patch+json"};
    return document_change(client, call, document, &request, answer, failure);
}

enum holdfast_client_error holdfast_client_document_delete(struct holdfast_client *client,
                                                           const struct holdfast_client_call *call,
                                                           const char *document,
                                                           struct holdfast_client_answer **answer,
                                                           struct holdfast_client_failure *failure)
{
    struct holdfast_client_request request = {.method = "DELETE"};
    return document_change(client, call, document, &request, answer, failure);
}

/* ---- leases ---- */

enum holdfast_client_error holdfast_client_acquire(struct holdfast_client *client,
                                                   const struct holdfast_client_call *call,
                                                   const char *lease, const char *owner,
                                                   uint64_t ttl_ms,
                                                   struct holdfast_client_answer **answer,
                                                   struct holdfast_client_failure *failure)
{
    struct hf_making making;
    hf_making_begin_path(&making, "/v1/leases/", lease, "/acquire");
    hf_making_required(&making, "owner", owner);
    hf_making_number(&making, "ttl_ms", ttl_ms);
    hf_making_end_body(&making);
    return hf_making_finish_method(client, &making, call, "POST", answer, failure);
}

enum holdfast_client_error holdfast_client_renew(struct holdfast_client *client,
                                                 const struct holdfast_client_call *call,
                                                 const char *lease, uint64_t token, uint64_t ttl_ms,
                                                 struct holdfast_client_answer **answer,
                                                 struct holdfast_client_failure *failure)
{
    struct hf_making making;
    hf_making_begin_path(&making, "/v1/leases/", lease, "/renew");
    hf_making_number(&making, "token", token);
    if (ttl_ms != 0) {
        hf_making_number(&making, "ttl_ms", ttl_ms);
    }
    hf_making_end_body(&making);
    return hf_making_finish_method(client, &making, call, "POST", answer, failure);
}

enum holdfast_client_error holdfast_client_release(struct holdfast_client *client,
                                                   const struct holdfast_client_call *call,
                                                   const char *lease, uint64_t token,
                                                   struct holdfast_client_answer **answer,
                                                   struct holdfast_client_failure *failure)
{
    struct hf_making making;
    hf_making_begin_path(&making, "/v1/leases/", lease, "/release");
    hf_making_number(&making, "token", token);
    hf_making_end_body(&making);
    return hf_making_finish_method(client, &making, call, "POST", answer, failure);
}

/* ---- reads and keys ---- */

enum holdfast_client_error holdfast_client_read(struct holdfast_client *client,
                                                const struct holdfast_client_call *call,
                                                const char *kind, const char *id,
                                                struct holdfast_client_answer **answer,
                                                struct holdfast_client_failure *failure)
{
    static const struct {
        const char *kind, *before, *after;
    } paths[] = {
        {"account", "/v1/accounts/", ""},
        {"balance", "/v1/accounts/", "/balance"},
        {"entries", "/v1/accounts/", "/entries"},
        {"transfer", "/v1/transfers/", ""},
        {"hold", "/v1/holds/", ""},
        {"events", "/v1/streams/", "/events"},
        {"document", "/v1/documents/", ""},
        {"lease", "/v1/leases/", ""},
        {"key", "/v1/keys/", ""},
        {"commit", "/v1/commits/", ""},
    };
    struct hf_making making;
    for (size_t i = 0; i < HF_ARRAY_COUNT(paths); i++) {
        if (kind != NULL && strcmp(kind, paths[i].kind) == 0) {
            hf_making_begin_path(&making, paths[i].before, id, paths[i].after);
            return hf_making_finish_method(client, &making, call, "GET", answer, failure);
        }
    }
    *answer = NULL;
    if (failure != NULL) {
        *failure = (struct holdfast_client_failure){0};
    }
    return hf_client_fail(failure, HOLDFAST_CLIENT_INVALID, "kind: no such kind: %s",
                          kind == NULL ? "(none)" : kind);
}

enum holdfast_client_error holdfast_client_key_read(struct holdfast_client *client,
                                                    const struct holdfast_client_call *call,
                                                    const char *key,
                                                    struct holdfast_client_answer **answer,
                                                    struct holdfast_client_failure *failure)
{
    return holdfast_client_read(client, call, "key", key, answer, failure);
}

enum holdfast_client_error holdfast_client_key_cancel(struct holdfast_client *client,
                                                      const struct holdfast_client_call *call,
                                                      const char *key,
                                                      struct holdfast_client_answer **answer,
                                                      struct holdfast_client_failure *failure)
{
    struct hf_making making;
    struct holdfast_client_request request = {.method = "POST", .no_key = true};
    hf_making_begin_path(&making, "/v1/keys/", key, "/cancel");
    return hf_making_finish(client, &making, call, &request, answer, failure);
}
