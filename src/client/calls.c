/* The calls of every day: paths and bodies. */
#include <stdarg.h>

#include "base/json.h"
#include "client/client_priv.h"

/* A request being put together. What goes wrong first is remembered, the rest is dropped. */
struct making {
    struct hf_buffer path;
    struct hf_buffer body;
    bool comma;        /* the next member needs one before it */
    bool query;        /* the path has a '?' */
    const char *wrong; /* static; NULL: nothing */
};

size_t holdfast_client_escape(const char *name, char *text, size_t text_bytes)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t length = 0;
    for (const char *c = name; *c != '\0'; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= '0' && *c <= '9') || strchr("-._~:@=,", *c) != NULL;
        size_t bytes = plain ? 1 : 3;
        if (length + bytes < text_bytes) {
            if (plain) {
                text[length] = *c;
            } else {
                text[length] = '%';
                text[length + 1] = digits[(unsigned char)*c >> 4];
                text[length + 2] = digits[(unsigned char)*c & 15];
            }
        }
        length += bytes;
    }
    if (text_bytes > 0) {
        text[length < text_bytes ? length : 0] = '\0';
    }
    return length;
}

/* ---- paths ---- */

static void begin(struct making *making)
{
    *making = (struct making){0};
    hf_buffer_init(&making->path);
    hf_buffer_init(&making->body);
}

/* A name as one segment of the path. */
static void path_name(struct making *making, const char *name)
{
    char text[3 * 256 + 4];
    if (name == NULL || name[0] == '\0' || strlen(name) > 256) {
        making->wrong = "the name in the path";
        return;
    }
    (void)holdfast_client_escape(name, text, sizeof(text));
    hf_buffer_text(&making->path, text);
}

static void path_query(struct making *making, const char *name, uint64_t number)
{
    hf_buffer_format(&making->path, "%c%s=%llu", making->query ? '&' : '?', name,
                     (unsigned long long)number);
    making->query = true;
}

/* ---- bodies ---- */

static void name_member(struct making *making, const char *name)
{
    hf_buffer_u8(&making->body, making->comma ? ',' : '{');
    hf_buffer_format(&making->body, "\"%s\":", name);
    making->comma = true;
}

/* NULL: absent. */
static void text_member(struct making *making, const char *name, const char *value)
{
    if (value != NULL) {
        name_member(making, name);
        hf_json_write_string(&making->body, hf_str_from(value));
    }
}

static void required_text(struct making *making, const char *name, const char *value)
{
    if (value == NULL && making->wrong == NULL) {
        making->wrong = name;
    }
    text_member(making, name, value);
}

/* JSON as it stands, if it is JSON. */
static void raw_member(struct making *making, const char *name, const char *json)
{
    if (json == NULL) {
        return;
    }
    if (hf_json_validate(hf_str_from(json), NULL) != HF_ERR_OK) {
        making->wrong = making->wrong == NULL ? name : making->wrong;
        return;
    }
    name_member(making, name);
    hf_buffer_text(&making->body, json);
}

static void number_member(struct making *making, const char *name, uint64_t value)
{
    name_member(making, name);
    hf_buffer_format(&making->body, "%llu", (unsigned long long)value);
}

static void true_member(struct making *making, const char *name, bool value)
{
    if (value) {
        name_member(making, name);
        hf_buffer_text(&making->body, "true");
    }
}

static void end_body(struct making *making)
{
    hf_buffer_text(&making->body, making->comma ? "}" : "{}");
}

/* ---- sending what was made ---- */

/* Sends and releases it. body: the caller's own instead of the one made. */
static enum holdfast_client_error finish(struct holdfast_client *client, struct making *making,
                                         const struct holdfast_client_call *call,
                                         struct holdfast_client_request *request,
                                         struct holdfast_client_answer **answer,
                                         struct holdfast_client_failure *failure)
{
    enum holdfast_client_error error;
    if (call != NULL && call->min_position != 0 && strcmp(request->method, "GET") == 0) {
        path_query(making, "min_position", call->min_position);
    }
    hf_buffer_u8(&making->path, 0);
    *answer = NULL;
    if (failure != NULL) {
        *failure = (struct holdfast_client_failure){0};
    }
    if (making->wrong != NULL) {
        error =
            hf_client_fail(failure, HOLDFAST_CLIENT_INVALID, "%s: missing or wrong", making->wrong);
    } else if (making->path.failed || making->body.failed) {
        error = hf_client_fail(failure, HOLDFAST_CLIENT_NO_MEMORY, "out of memory");
    } else {
        request->path = (const char *)making->path.data;
        if (request->body == NULL && making->body.size_bytes > 0) {
            request->body = making->body.data;
            request->body_bytes = making->body.size_bytes;
        }
        error = holdfast_client_send(client, call, request, answer, failure);
    }
    hf_buffer_release(&making->path);
    hf_buffer_release(&making->body);
    return error;
}

static enum holdfast_client_error
finish_method(struct holdfast_client *client, struct making *making,
              const struct holdfast_client_call *call, const char *method,
              struct holdfast_client_answer **answer, struct holdfast_client_failure *failure)
{
    struct holdfast_client_request request = {.method = method};
    return finish(client, making, call, &request, answer, failure);
}

/* before + name + after */
static void begin_path(struct making *making, const char *before, const char *name,
                       const char *after)
{
    begin(making);
    hf_buffer_text(&making->path, before);
    path_name(making, name);
    hf_buffer_text(&making->path, after);
}

/* ---- commits and accounts ---- */

enum holdfast_client_error holdfast_client_commit(struct holdfast_client *client,
                                                  const struct holdfast_client_call *call,
                                                  const char *json, size_t json_bytes,
                                                  struct holdfast_client_answer **answer,
                                                  struct holdfast_client_failure *failure)
{
    struct making making;
    struct holdfast_client_request request = {
        .method = "POST", .body = json, .body_bytes = json_bytes};
    begin(&making);
    making.wrong = json == NULL ? "json" : NULL;
    hf_buffer_text(&making.path,
                   call != NULL && call->dry_run ? "/v1/commits?dry_run=true" : "/v1/commits");
    request.no_key = call != NULL && call->dry_run;
    return finish(client, &making, call, &request, answer, failure);
}

enum holdfast_client_error holdfast_client_open_account(
    struct holdfast_client *client, const struct holdfast_client_call *call,
    const struct holdfast_client_account *account, struct holdfast_client_answer **answer,
    struct holdfast_client_failure *failure)
{
    struct making making;
    begin_path(&making, "/v1/accounts/", account->id, "");
    required_text(&making, "asset", account->asset);
    if (account->floor_none) {
        raw_member(&making, "floor", "null");
    } else {
        text_member(&making, "floor", account->floor);
    }
    text_member(&making, "ceiling", account->ceiling);
    raw_member(&making, "metadata", account->metadata);
    end_body(&making);
    return finish_method(client, &making, call, "PUT", answer, failure);
}

/* ---- transfers and holds ---- */

enum holdfast_client_error holdfast_client_transfer(struct holdfast_client *client,
                                                    const struct holdfast_client_call *call,
                                                    const struct holdfast_client_transfer *transfer,
                                                    struct holdfast_client_answer **answer,
                                                    struct holdfast_client_failure *failure)
{
    struct making making;
    begin(&making);
    hf_buffer_text(&making.path, "/v1/transfers");
    text_member(&making, "id", transfer->id);
    required_text(&making, "from", transfer->from);
    required_text(&making, "to", transfer->to);
    required_text(&making, "asset", transfer->asset);
    required_text(&making, "amount", transfer->amount);
    true_member(&making, "up_to", transfer->up_to);
    text_member(&making, "effective_at", transfer->effective_at);
    raw_member(&making, "metadata", transfer->metadata);
    end_body(&making);
    return finish_method(client, &making, call, "POST", answer, failure);
}

enum holdfast_client_error holdfast_client_reverse(struct holdfast_client *client,
                                                   const struct holdfast_client_call *call,
                                                   const char *transfer, const char *id,
                                                   const char *amount,
                                                   struct holdfast_client_answer **answer,
                                                   struct holdfast_client_failure *failure)
{
    struct making making;
    begin_path(&making, "/v1/transfers/", transfer, "/reverse");
    text_member(&making, "id", id);
    text_member(&making, "amount", amount);
    end_body(&making);
    return finish_method(client, &making, call, "POST", answer, failure);
}

enum holdfast_client_error holdfast_client_hold(struct holdfast_client *client,
                                                const struct holdfast_client_call *call,
                                                const struct holdfast_client_hold *hold,
                                                struct holdfast_client_answer **answer,
                                                struct holdfast_client_failure *failure)
{
    struct making making;
    begin(&making);
    hf_buffer_text(&making.path, "/v1/holds");
    text_member(&making, "id", hold->id);
    required_text(&making, "from", hold->from);
    required_text(&making, "to", hold->to);
    required_text(&making, "asset", hold->asset);
    required_text(&making, "amount", hold->amount);
    if (hold->timeout_ms != 0) {
        number_member(&making, "timeout_ms", hold->timeout_ms);
    }
    end_body(&making);
    return finish_method(client, &making, call, "POST", answer, failure);
}

enum holdfast_client_error holdfast_client_capture(struct holdfast_client *client,
                                                   const struct holdfast_client_call *call,
                                                   const char *hold, const char *amount, bool final,
                                                   struct holdfast_client_answer **answer,
                                                   struct holdfast_client_failure *failure)
{
    struct making making;
    begin_path(&making, "/v1/holds/", hold, "/capture");
    text_member(&making, "amount", amount);
    true_member(&making, "final", final);
    end_body(&making);
    return finish_method(client, &making, call, "POST", answer, failure);
}

enum holdfast_client_error holdfast_client_void(struct holdfast_client *client,
                                                const struct holdfast_client_call *call,
                                                const char *hold,
                                                struct holdfast_client_answer **answer,
                                                struct holdfast_client_failure *failure)
{
    struct making making;
    begin_path(&making, "/v1/holds/", hold, "/void");
    end_body(&making);
    return finish_method(client, &making, call, "POST", answer, failure);
}

enum holdfast_client_error holdfast_client_extend(struct holdfast_client *client,
                                                  const struct holdfast_client_call *call,
                                                  const char *hold, uint64_t timeout_ms,
                                                  struct holdfast_client_answer **answer,
                                                  struct holdfast_client_failure *failure)
{
    struct making making;
    begin_path(&making, "/v1/holds/", hold, "/extend");
    number_member(&making, "timeout_ms", timeout_ms);
    end_body(&making);
    return finish_method(client, &making, call, "POST", answer, failure);
}

/* ---- streams and documents ---- */

enum holdfast_client_error holdfast_client_append(struct holdfast_client *client,
                                                  const struct holdfast_client_call *call,
                                                  const struct holdfast_client_event *event,
                                                  struct holdfast_client_answer **answer,
                                                  struct holdfast_client_failure *failure)
{
    struct making making;
    begin_path(&making, "/v1/streams/", event->stream, "/events");
    required_text(&making, "type", event->type);
    raw_member(&making, "data", event->data);
    text_member(&making, "id", event->id);
    end_body(&making);
    return finish_method(client, &making, call, "POST", answer, failure);
}

enum holdfast_client_error holdfast_client_document_get(struct holdfast_client *client,
                                                        const struct holdfast_client_call *call,
                                                        const char *document, uint64_t version,
                                                        struct holdfast_client_answer **answer,
                                                        struct holdfast_client_failure *failure)
{
    struct making making;
    begin_path(&making, "/v1/documents/", document, "");
    if (version != 0) {
        path_query(&making, "version", version);
    }
    return finish_method(client, &making, call, "GET", answer, failure);
}

static enum holdfast_client_error
document_change(struct holdfast_client *client, const struct holdfast_client_call *call,
                const char *document, struct holdfast_client_request *request,
                struct holdfast_client_answer **answer, struct holdfast_client_failure *failure)
{
    struct making making;
    begin_path(&making, "/v1/documents/", document, "");
    return finish(client, &making, call, request, answer, failure);
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
    struct making making;
    begin_path(&making, "/v1/leases/", lease, "/acquire");
    required_text(&making, "owner", owner);
    number_member(&making, "ttl_ms", ttl_ms);
    end_body(&making);
    return finish_method(client, &making, call, "POST", answer, failure);
}

enum holdfast_client_error holdfast_client_renew(struct holdfast_client *client,
                                                 const struct holdfast_client_call *call,
                                                 const char *lease, uint64_t token, uint64_t ttl_ms,
                                                 struct holdfast_client_answer **answer,
                                                 struct holdfast_client_failure *failure)
{
    struct making making;
    begin_path(&making, "/v1/leases/", lease, "/renew");
    number_member(&making, "token", token);
    if (ttl_ms != 0) {
        number_member(&making, "ttl_ms", ttl_ms);
    }
    end_body(&making);
    return finish_method(client, &making, call, "POST", answer, failure);
}

enum holdfast_client_error holdfast_client_release(struct holdfast_client *client,
                                                   const struct holdfast_client_call *call,
                                                   const char *lease, uint64_t token,
                                                   struct holdfast_client_answer **answer,
                                                   struct holdfast_client_failure *failure)
{
    struct making making;
    begin_path(&making, "/v1/leases/", lease, "/release");
    number_member(&making, "token", token);
    end_body(&making);
    return finish_method(client, &making, call, "POST", answer, failure);
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
    struct making making;
    for (size_t i = 0; i < HF_ARRAY_COUNT(paths); i++) {
        if (kind != NULL && strcmp(kind, paths[i].kind) == 0) {
            begin_path(&making, paths[i].before, id, paths[i].after);
            return finish_method(client, &making, call, "GET", answer, failure);
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
    struct making making;
    struct holdfast_client_request request = {.method = "POST", .no_key = true};
    begin_path(&making, "/v1/keys/", key, "/cancel");
    return finish(client, &making, call, &request, answer, failure);
}
