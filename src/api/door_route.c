/* The table of routes, and what follows from it. */
#include <stdio.h>

#include "api/door_priv.h"

#define LIST(...)   ((const char *const[]){__VA_ARGS__, NULL})
#define FIELD(name) offsetof(struct hf_op_fields, name)

#define READ_PARAMETERS LIST("min_position")
#define NAME_PARAMETERS LIST("prefix", "after", "limit", "min_position")

static const struct hf_operation_route put_account = {
    "open_account", FIELD(account), LIST("asset", "floor", "ceiling", "metadata"), false};
static const struct hf_operation_route transfer = {
    "transfer", HF_NO_SUBJECT,
    LIST("id", "from", "to", "asset", "amount", "up_to", "effective_at", "metadata"), false};
static const struct hf_operation_route reverse = {"reverse", FIELD(transfer), LIST("id", "amount"),
                                                  false};
static const struct hf_operation_route hold = {
    "hold", HF_NO_SUBJECT, LIST("id", "from", "to", "asset", "amount", "timeout_ms"), false};
static const struct hf_operation_route capture = {"capture", FIELD(hold), LIST("amount", "final"),
                                                  false};
static const struct hf_operation_route void_hold = {"void", FIELD(hold), LIST(NULL), false};
static const struct hf_operation_route extend = {"extend", FIELD(hold), LIST("timeout_ms"), false};
static const struct hf_operation_route append = {
    "append", FIELD(stream), LIST("type", "data", "id", "expected_version"), true};
static const struct hf_operation_route put = {"put", FIELD(document), NULL, false};
static const struct hf_operation_route patch = {"patch", FIELD(document), NULL, false};
static const struct hf_operation_route delete = {"delete", FIELD(document), NULL, false};
static const struct hf_operation_route acquire = {"acquire", FIELD(lease), LIST("owner", "ttl_ms"),
                                                  false};
static const struct hf_operation_route renew = {"renew", FIELD(lease), LIST("token", "ttl_ms"),
                                                false};
static const struct hf_operation_route release = {"release", FIELD(lease), LIST("token"), false};

#define START_MEMBERS LIST("definition", "input", "business_key", "tags", "not_before")
static const struct hf_operation_route start_saga = {"start_saga", HF_NO_SUBJECT, START_MEMBERS,
                                                     false};
static const struct hf_operation_route put_saga = {"start_saga", FIELD(saga), START_MEMBERS, false};
static const struct hf_operation_route complete_step = {
    "complete_step", FIELD(saga), LIST("token", "result", "reason", "actor"), false};
static const struct hf_operation_route fail_step = {
    "fail_step", FIELD(saga), LIST("token", "error", "reason", "actor"), false};

#define JSON    HF_ROUTE_BODY
#define MAYBE   (HF_ROUTE_BODY | HF_ROUTE_BODY_OPTIONAL)
#define VERB    (HF_ROUTE_BODY | HF_ROUTE_KEY_FREE | HF_ROUTE_MATCH | HF_ROUTE_MATCH_OR_KEY)
#define OF_STEP (MAYBE | HF_ROUTE_KEY_FREE | HF_ROUTE_STRANGER)
#define CHANGES (HF_ROUTE_MATCH | HF_ROUTE_MATCH_NEEDED | HF_ROUTE_BARE_BODY)

static const struct hf_route routes[] = {
    {HF_HTTP_POST, JSON, "/v1/commits", LIST("dry_run"), hf_route_commits, NULL, 0},
    {HF_HTTP_GET, 0, "/v1/commits/{position}", READ_PARAMETERS, hf_route_thing, NULL,
     HF_QUERY_COMMIT},
    {HF_HTTP_GET, 0, "/v1/keys/{key}", READ_PARAMETERS, hf_route_thing, NULL, HF_QUERY_KEY},
    {HF_HTTP_POST, MAYBE | HF_ROUTE_KEY_FREE, "/v1/keys/{key}/cancel", NULL, hf_route_cancel, NULL,
     0},

    {HF_HTTP_PUT, JSON | HF_ROUTE_MATCH, "/v1/accounts/{id}", NULL, hf_route_account_put,
     &put_account, 0},
    {HF_HTTP_PATCH, JSON | HF_ROUTE_MATCH | HF_ROUTE_MATCH_OR_KEY, "/v1/accounts/{id}", NULL,
     hf_route_account_patch, NULL, 0},
    {HF_HTTP_GET, 0, "/v1/accounts/{id}", READ_PARAMETERS, hf_route_thing, NULL, HF_QUERY_ACCOUNT},
    {HF_HTTP_POST, JSON | HF_ROUTE_PACKED_ACCOUNTS, "/v1/accounts", NULL, hf_route_accounts, NULL,
     0},
    {HF_HTTP_GET, 0, "/v1/accounts", NAME_PARAMETERS, hf_route_list, NULL, HF_QUERY_ACCOUNTS},
    {HF_HTTP_GET, 0, "/v1/accounts/{id}/entries", LIST("after", "limit", "min_position"),
     hf_route_list, NULL, HF_QUERY_ENTRIES},
    {HF_HTTP_GET, 0, "/v1/accounts/{id}/balance",
     LIST("at", "at_version", "at_position", "clock", "min_position"), hf_route_balance, NULL,
     HF_QUERY_BALANCE},
    {HF_HTTP_GET, 0, "/v1/accounts/{id}/statement",
     LIST("from", "to", "format", "clock", "after", "limit", "min_position"), hf_route_statement,
     NULL, HF_QUERY_STATEMENT},

    {HF_HTTP_POST, JSON | HF_ROUTE_NDJSON | HF_ROUTE_PACKED_TRANSFERS, "/v1/transfers",
     LIST("mode"), hf_route_transfers, &transfer, 0},
    {HF_HTTP_GET, 0, "/v1/transfers", LIST("account", "after", "limit", "min_position"),
     hf_route_list, NULL, HF_QUERY_TRANSFERS},
    {HF_HTTP_GET, 0, "/v1/transfers/{id}", READ_PARAMETERS, hf_route_thing, NULL,
     HF_QUERY_TRANSFER},
    {HF_HTTP_POST, MAYBE, "/v1/transfers/{id}/reverse", NULL, hf_route_operation, &reverse, 0},

    {HF_HTTP_POST, JSON, "/v1/holds", NULL, hf_route_operation, &hold, 0},
    {HF_HTTP_GET, 0, "/v1/holds", LIST("account", "state", "after", "limit", "min_position"),
     hf_route_list, NULL, HF_QUERY_HOLDS},
    {HF_HTTP_GET, 0, "/v1/holds/{id}", READ_PARAMETERS, hf_route_thing, NULL, HF_QUERY_HOLD},
    {HF_HTTP_POST, MAYBE, "/v1/holds/{id}/capture", NULL, hf_route_operation, &capture, 0},
    {HF_HTTP_POST, MAYBE, "/v1/holds/{id}/void", NULL, hf_route_operation, &void_hold, 0},
    {HF_HTTP_POST, JSON, "/v1/holds/{id}/extend", NULL, hf_route_operation, &extend, 0},

    {HF_HTTP_POST, JSON | HF_ROUTE_MATCH, "/v1/streams/{id}/events", NULL, hf_route_operation,
     &append, 0},
    {HF_HTTP_GET, 0, "/v1/streams/{id}/events", LIST("from", "after", "limit", "min_position"),
     hf_route_list, NULL, HF_QUERY_STREAM_EVENTS},
    {HF_HTTP_GET, 0, "/v1/streams", NAME_PARAMETERS, hf_route_list, NULL, HF_QUERY_STREAMS},
    {HF_HTTP_GET, 0, "/v1/streams/{id}", READ_PARAMETERS, hf_route_thing, NULL, HF_QUERY_STREAM},

    {HF_HTTP_PUT, JSON | CHANGES, "/v1/documents/{id}", NULL, hf_route_document_change, &put, 0},
    {HF_HTTP_PATCH, JSON | HF_ROUTE_MERGE_PATCH | CHANGES, "/v1/documents/{id}", NULL,
     hf_route_document_change, &patch, 0},
    {HF_HTTP_DELETE, CHANGES, "/v1/documents/{id}", NULL, hf_route_document_change, &delete, 0},
    {HF_HTTP_GET, 0, "/v1/documents/{id}", LIST("version", "min_position"), hf_route_thing, NULL,
     HF_QUERY_DOCUMENT},
    {HF_HTTP_GET, 0, "/v1/documents", NAME_PARAMETERS, hf_route_list, NULL, HF_QUERY_DOCUMENTS},

    {HF_HTTP_POST, JSON, "/v1/leases/{id}/acquire", NULL, hf_route_operation, &acquire, 0},
    {HF_HTTP_POST, JSON | HF_ROUTE_KEY_FREE, "/v1/leases/{id}/renew", NULL, hf_route_operation,
     &renew, 0},
    {HF_HTTP_POST, JSON | HF_ROUTE_KEY_FREE, "/v1/leases/{id}/release", NULL, hf_route_operation,
     &release, 0},
    {HF_HTTP_GET, 0, "/v1/leases/{id}", READ_PARAMETERS, hf_route_thing, NULL, HF_QUERY_LEASE},

    {HF_HTTP_PUT, JSON | HF_ROUTE_MATCH, "/v1/subscriptions/{id}", NULL, hf_route_subscription_put,
     NULL, 0},
    {HF_HTTP_GET, 0, "/v1/subscriptions/{id}", READ_PARAMETERS, hf_route_thing, NULL,
     HF_QUERY_SUBSCRIPTION},
    {HF_HTTP_GET, 0, "/v1/subscriptions", NAME_PARAMETERS, hf_route_list, NULL,
     HF_QUERY_SUBSCRIPTIONS},
    {HF_HTTP_GET, 0, "/v1/subscriptions/{id}/dead",
     LIST("error_contains", "limit", "after", "min_position"), hf_route_dead, NULL, HF_QUERY_DEAD},
    {HF_HTTP_GET, 0, "/v1/subscriptions/{id}/messages/{message}", READ_PARAMETERS, hf_route_message,
     NULL, HF_QUERY_MESSAGE_HISTORY},
    {HF_HTTP_DELETE, HF_ROUTE_MATCH | HF_ROUTE_MATCH_OR_KEY, "/v1/subscriptions/{id}", NULL,
     hf_route_subscription_delete, NULL, 0},
    {HF_HTTP_POST, MAYBE | HF_ROUTE_KEY_FREE, "/v1/subscriptions/{id}/receive", NULL,
     hf_route_receive, NULL, 0},
    {HF_HTTP_POST, JSON | HF_ROUTE_KEY_FREE, "/v1/subscriptions/{id}/ack", NULL, hf_route_ack, NULL,
     0},
    {HF_HTTP_POST, JSON | HF_ROUTE_KEY_FREE, "/v1/subscriptions/{id}/nack", NULL, hf_route_nack,
     NULL, 0},
    {HF_HTTP_POST, JSON | HF_ROUTE_KEY_FREE, "/v1/subscriptions/{id}/extend", NULL, hf_route_extend,
     NULL, 0},
    {HF_HTTP_POST, JSON | HF_ROUTE_KEY_FREE, "/v1/subscriptions/{id}/park", NULL, hf_route_park,
     NULL, 0},
    {HF_HTTP_POST, JSON, "/v1/subscriptions/{id}/redrive", LIST("dry_run"), hf_route_redrive, NULL,
     0},
    {HF_HTTP_POST, JSON, "/v1/subscriptions/{id}/seek", NULL, hf_route_seek, NULL, 0},

    {HF_HTTP_PUT, JSON, "/v1/saga-definitions/{id}/{version}", NULL, hf_route_saga_definition_put,
     NULL, 0},
    {HF_HTTP_GET, 0, "/v1/saga-definitions/{id}/{version}", READ_PARAMETERS,
     hf_route_saga_definition, NULL, HF_QUERY_SAGA_DEFINITION},
    {HF_HTTP_GET, 0, "/v1/saga-definitions/{id}", LIST("after", "limit", "min_position"),
     hf_route_saga_definition, NULL, HF_QUERY_SAGA_DEFINITIONS},
    {HF_HTTP_GET, 0, "/v1/saga-definitions", LIST("after", "limit", "min_position"),
     hf_route_saga_definition, NULL, HF_QUERY_SAGA_DEFINITIONS},
    {HF_HTTP_PUT, JSON, "/v1/sagas/{id}", LIST("wait"), hf_route_saga_put, &put_saga, 0},
    {HF_HTTP_GET, 0, "/v1/sagas/{id}", LIST("wait", "min_position"), hf_route_thing, NULL,
     HF_QUERY_SAGA},
    {HF_HTTP_POST, JSON, "/v1/sagas", LIST("wait"), hf_route_saga_post, &start_saga, 0},
    {HF_HTTP_GET, 0, "/v1/sagas",
     LIST("state", "definition", "tag", "business_key", "step", "failing", "older_than", "after",
          "limit", "min_position"),
     hf_route_sagas, NULL, HF_QUERY_SAGAS},
    {HF_HTTP_GET, 0, "/v1/sagas/{id}/history", LIST("after", "limit", "min_position"),
     hf_route_list, NULL, HF_QUERY_SAGA_HISTORY},
    {HF_HTTP_POST, VERB, "/v1/sagas/{id}/retry", NULL, hf_route_saga_verb, NULL, 0},
    {HF_HTTP_POST, VERB, "/v1/sagas/{id}/pause", NULL, hf_route_saga_verb, NULL, 0},
    {HF_HTTP_POST, VERB, "/v1/sagas/{id}/resume", NULL, hf_route_saga_verb, NULL, 0},
    {HF_HTTP_POST, VERB, "/v1/sagas/{id}/skip", NULL, hf_route_saga_verb, NULL, 0},
    {HF_HTTP_POST, VERB, "/v1/sagas/{id}/compensate", NULL, hf_route_saga_verb, NULL, 0},
    {HF_HTTP_POST, VERB, "/v1/sagas/{id}/abandon", NULL, hf_route_saga_verb, NULL, 0},
    {HF_HTTP_POST, OF_STEP, "/v1/sagas/{id}/steps/{step}/complete", NULL, hf_route_saga_step,
     &complete_step, 0},
    {HF_HTTP_POST, OF_STEP, "/v1/sagas/{id}/steps/{step}/fail", NULL, hf_route_saga_step,
     &fail_step, 0},
    {HF_HTTP_POST, JSON, "/v1/saga-verbs", NULL, hf_route_saga_verbs, NULL, 0},

    {HF_HTTP_POST, JSON | HF_ROUTE_KEY_FREE, "/v1/read", READ_PARAMETERS, hf_route_read, NULL, 0},
    {HF_HTTP_GET, 0, "/v1/feed",
     LIST("after", "from", "position", "time", "limit", "wait", "follow", "types", "prefix",
          "topic", "asset", "bucket", "snapshot"),
     hf_route_feed, NULL, 0},
    {HF_HTTP_GET, 0, "/v1/assets/{asset}/totals", READ_PARAMETERS, hf_route_totals, NULL,
     HF_QUERY_TOTALS},
    {HF_HTTP_GET, 0, "/v1/status", NULL, hf_route_status, NULL, 0},
    {HF_HTTP_GET, 0, "/v1/audit", NULL, hf_route_audit, NULL, 0},
    {HF_HTTP_POST, MAYBE | HF_ROUTE_KEY_FREE, "/v1/audit/run", NULL, hf_route_audit_run, NULL, 0},
    {HF_HTTP_GET, 0, "/v1/alerts", READ_PARAMETERS, hf_route_alerts, NULL, HF_QUERY_ALERTS},
    {HF_HTTP_GET, 0, "/v1/limits", NULL, hf_route_limits, NULL, 0},
    {HF_HTTP_GET, 0, "/metrics", NULL, hf_route_metrics, NULL, 0},
    {HF_HTTP_GET, HF_ROUTE_OPEN, "/healthz", NULL, hf_route_health, NULL, 0},
    {HF_HTTP_GET, HF_ROUTE_OPEN, "/openapi.yaml", NULL, hf_route_openapi, NULL, 0},
    {HF_HTTP_GET, HF_ROUTE_OPEN, "/readyz", NULL, hf_route_ready, NULL, 0},
};

/* Does the path fit "/v1/accounts/{id}"? */
static bool fits(const struct hf_http_path *path, const char *pattern)
{
    uint32_t index = 0;
    while (*pattern == '/') {
        const char *step = ++pattern;
        while (*pattern != '\0' && *pattern != '/') {
            pattern++;
        }
        if (index == path->count) {
            return false;
        }
        struct hf_str segment = path->segments[index++];
        if (*step == '{'
                ? segment.len == 0
                : !hf_str_equal(segment, (struct hf_str){step, (size_t)(pattern - step)})) {
            return false;
        }
    }
    return index == path->count && !path->too_long;
}

const struct hf_route *hf_route_find(const struct hf_http_path *path, enum hf_http_method method,
                                     bool *known)
{
    enum hf_http_method wanted = method == HF_HTTP_HEAD ? HF_HTTP_GET : method;
    *known = false;
    for (size_t i = 0; i < HF_ARRAY_COUNT(routes); i++) {
        if (fits(path, routes[i].pattern)) {
            *known = true;
            if (routes[i].method == wanted) {
                return &routes[i];
            }
        }
    }
    return NULL;
}

void hf_route_allow(const struct hf_http_path *path, char *text, size_t text_bytes)
{
    static const char *const names[] = {
        [HF_HTTP_OTHER] = "",          [HF_HTTP_GET] = "GET, HEAD, ", [HF_HTTP_HEAD] = "",
        [HF_HTTP_POST] = "POST, ",     [HF_HTTP_PUT] = "PUT, ",       [HF_HTTP_PATCH] = "PATCH, ",
        [HF_HTTP_DELETE] = "DELETE, ", [HF_HTTP_OPTIONS] = "",
    };
    size_t used = 0;
    for (size_t i = 0; i < HF_ARRAY_COUNT(routes); i++) {
        if (fits(path, routes[i].pattern) && used < text_bytes) {
            used += (size_t)snprintf(text + used, text_bytes - used, "%s", names[routes[i].method]);
        }
    }
    if (used < text_bytes) {
        (void)snprintf(text + used, text_bytes - used, "OPTIONS");
    }
}

static const char *method_name(enum hf_http_method method)
{
    static const char *const names[] = {
        [HF_HTTP_OTHER] = "",        [HF_HTTP_GET] = "GET",         [HF_HTTP_HEAD] = "HEAD",
        [HF_HTTP_POST] = "POST",     [HF_HTTP_PUT] = "PUT",         [HF_HTTP_PATCH] = "PATCH",
        [HF_HTTP_DELETE] = "DELETE", [HF_HTTP_OPTIONS] = "OPTIONS",
    };
    return names[method];
}

static char *append_text(char *to, struct hf_str text)
{
    if (text.len > 0) {
        memcpy(to, text.ptr, text.len);
    }
    return to + text.len;
}

/*
 * Version 1, frozen by tests/golden/http.txt; a line feed between the parts:
 *
 *   1 POST /v1/streams/{id}/events   method and pattern (the names in the path are in the operations)
 *   []                               if the body is a list (array or NDJSON): it is answered in another form
 *   If-Match:"3","4"                 if it is there; without white space
 *   If-None-Match:*                  if it is there
 *
 * POST /v1/commits is "": the same commit is the same request through the library, too. Query parameters are no
 * part of it: dry_run asks what the same request would do, and mode=each takes no key.
 */
struct hf_str hf_route_fingerprint(const struct hf_call *call)
{
    const struct hf_tag_list *match = &call->precondition.match;
    const struct hf_tag_list *none_match = &call->precondition.none_match;
    bool list = call->form.failed == HF_FAILED_IN_ARRAY;
    if (call->route->begin == hf_route_commits) {
        return HF_STR("");
    }
    size_t bytes = strlen(call->route->pattern) + match->text.len + none_match->text.len + 80;
    char *text = hf_arena_alloc(call->exchange->arena, bytes);
    if (text == NULL) {
        return HF_STR_NONE;
    }
    char *to = append_text(text, HF_STR("1 "));
    to = append_text(to, hf_str_from(method_name(call->route->method)));
    to = append_text(to, HF_STR(" "));
    to = append_text(to, hf_str_from(call->route->pattern));
    to = list ? append_text(to, HF_STR("\n[]")) : to;
    if (match->given) {
        to = append_text(append_text(to, HF_STR("\nIf-Match:")), match->text);
    }
    if (none_match->given) {
        to = append_text(append_text(to, HF_STR("\nIf-None-Match:")), none_match->text);
    }
    return (struct hf_str){text, (size_t)(to - text)};
}
