#include "api/door.h"

#include <stdio.h>

#include "api/door_priv.h"
#include "api/feed.h"
#include "base/alloc.h"
#include "base/check.h"

struct hf_door *hf_door_new(const struct hf_door_options *options)
{
    struct hf_door *door = hf_calloc(1, sizeof(*door));
    if (door != NULL) {
        door->options = *options;
        hf_histogram_init_latency(&door->answer_us);
        door->started_us = options->outside->wall_us(options->outside);
        options->outside->random(options->outside, &door->secret, sizeof(door->secret));
    }
    if (door != NULL && options->node != NULL) {
        door->feed = hf_feed_new(hf_node_tail(options->node), options->outside);
        if (door->feed == NULL) {
            hf_free(door);
            door = NULL;
        }
    }
    return door;
}

void hf_door_free(struct hf_door *door)
{
    if (door != NULL) {
        hf_commit_cache_release(&door->commits);
        hf_feed_free(door->feed);
    }
    hf_free(door);
}

/* ---- who, which route, which method, which media type ---- */

/* true: let in. A stranger is somebody without scopes and names. */
static bool check_access(struct hf_call *call, unsigned flags)
{
    if ((flags & HF_ROUTE_OPEN) != 0) {
        return true;
    }
    const char *detail = "";
    enum hf_err err =
        hf_access_check(call->door->options.access, call->exchange, &call->caller, &detail);
    if (err == HF_ERR_UNAUTHORIZED && (flags & HF_ROUTE_STRANGER) != 0) {
        call->stranger = detail;
        call->caller = (struct hf_caller){.principal = HF_STR("stranger")};
        err = HF_ERR_OK;
    }
    if (err != HF_ERR_OK) {
        (void)hf_call_problem(call, err, detail, "");
    }
    return err == HF_ERR_OK;
}

/* OPTIONS: 204 with Allow. */
static bool answer_options(struct hf_call *call)
{
    char allow[96];
    hf_route_allow(&call->path, allow, sizeof(allow));
    hf_call_header(call, "Allow", "%s", allow);
    call->status = 204;
    call->content_type = NULL;
    return false;
}

static bool refuse_method(struct hf_call *call)
{
    char allow[96];
    char detail[160];
    hf_route_allow(&call->path, allow, sizeof(allow));
    (void)snprintf(detail, sizeof(detail), "This resource takes %s.", allow);
    hf_call_header(call, "Allow", "%s", allow);
    (void)hf_call_problem(call, HF_ERR_METHOD_NOT_ALLOWED, detail, "");
    return false;
}

static bool media_taken(unsigned flags, enum hf_media media, bool has_body)
{
    switch (media) {
    case HF_MEDIA_ABSENT:
        return !has_body || (flags & HF_ROUTE_BODY) == 0;
    case HF_MEDIA_JSON:
        return true;
    case HF_MEDIA_NDJSON:
        return (flags & HF_ROUTE_NDJSON) != 0;
    case HF_MEDIA_MERGE_PATCH:
        return (flags & HF_ROUTE_MERGE_PATCH) != 0;
    case HF_MEDIA_PACKED_TRANSFERS:
        return (flags & HF_ROUTE_PACKED_TRANSFERS) != 0;
    case HF_MEDIA_PACKED_ACCOUNTS:
        return (flags & HF_ROUTE_PACKED_ACCOUNTS) != 0;
    case HF_MEDIA_OTHER:
        return false;
    }
    return false;
}

static bool check_media(struct hf_call *call)
{
    unsigned flags = call->route->flags;
    enum hf_http_method method = call->exchange->method;
    call->media = hf_media_of(call->exchange);
    bool reads = method == HF_HTTP_GET || method == HF_HTTP_HEAD;
    if (reads || media_taken(flags, call->media, call->exchange->has_body)) {
        return true;
    }
    const char *detail = "Content-Type must be application/json.";
    if ((flags & HF_ROUTE_NDJSON) != 0) {
        detail = "Content-Type must be application/json, application/x-ndjson or "
                 "application/vnd.holdfast.transfers.";
    } else if ((flags & HF_ROUTE_MERGE_PATCH) != 0) {
        detail = "Content-Type must be application/merge-patch+json or application/json.";
    }
    (void)hf_call_problem(call, HF_ERR_UNSUPPORTED_MEDIA_TYPE, detail, "");
    return false;
}

/* All that the head alone decides. false: the answer is composed. */
static bool admit_call(struct hf_call *call)
{
    struct hf_http_exchange *exchange = call->exchange;
    bool known = false;
    bool readable =
        hf_http_path_split(exchange->path, exchange->arena, &call->path, &call->malformed);
    if (readable) {
        call->route = hf_route_find(&call->path, exchange->method, &known);
    }
    if (!check_access(call, call->route == NULL ? 0 : call->route->flags)) {
        return false;
    }
    if (!readable) {
        (void)hf_call_invalid(call, call->malformed.text);
        return false;
    }
    if (!known) {
        (void)hf_call_problem(call, HF_ERR_NO_ROUTE, "There is nothing at this path.", "");
        return false;
    }
    if (exchange->method == HF_HTTP_OPTIONS) {
        return answer_options(call);
    }
    if (call->route == NULL) {
        return refuse_method(call);
    }
    call->admitted = check_media(call);
    return call->admitted;
}

/* ---- malformed ---- */

static bool check_parameters(struct hf_call *call)
{
    for (uint32_t i = 0; i < call->query.count; i++) {
        struct hf_str name = call->query.parameters[i].name;
        const char *const *taken = call->route->parameters;
        while (taken != NULL && *taken != NULL && !hf_str_equal(hf_str_from(*taken), name)) {
            taken++;
        }
        if (taken == NULL || *taken == NULL) {
            return hf_malformed_set(&call->malformed, HF_ERR_INVALID_REQUEST, "",
                                    "unknown query parameter %.*s", (int)hf_min_u64(name.len, 64),
                                    name.ptr);
        }
    }
    return true;
}

static bool check_body(struct hf_call *call)
{
    unsigned flags = call->route->flags;
    bool has_body = call->exchange->body.len > 0;
    if (has_body && (flags & HF_ROUTE_BODY) == 0) {
        return hf_malformed_set(&call->malformed, HF_ERR_INVALID_REQUEST, "",
                                "this request takes no body");
    }
    if (!has_body && (flags & HF_ROUTE_BODY) != 0 && (flags & HF_ROUTE_BODY_OPTIONAL) == 0) {
        return hf_malformed_set(&call->malformed, HF_ERR_INVALID_REQUEST, "",
                                "this request needs a body");
    }
    return true;
}

/* Headers, query and presence of a body. A precondition that this request would not test is refused: it
 * must not look as if it had held. */
static bool check_form(struct hf_call *call)
{
    struct hf_http_exchange *exchange = call->exchange;
    bool reads = exchange->method == HF_HTTP_GET || exchange->method == HF_HTTP_HEAD;
    if (!hf_http_query_parse(exchange->query, exchange->arena, &call->query, &call->malformed) ||
        !check_parameters(call) || !check_body(call) ||
        !hf_precondition_parse(exchange, &call->precondition, &call->malformed)) {
        return false;
    }
    if (!reads && hf_precondition_given(&call->precondition) &&
        (call->route->flags & HF_ROUTE_MATCH) == 0) {
        return hf_malformed_set(&call->malformed, HF_ERR_INVALID_REQUEST, "",
                                "If-Match and If-None-Match are not tested here: put the condition "
                                "into a commit's \"if\"");
    }
    return reads || hf_idempotency_key_parse(exchange, &call->key, &call->malformed);
}

static enum hf_progress begin(struct hf_call *call)
{
    if (!check_form(call)) {
        return hf_call_malformed(call);
    }
    return call->route->begin(call);
}

/* ---- the exchange's way ---- */

static struct hf_call *call_of(struct hf_door *door, struct hf_http_exchange *exchange)
{
    struct hf_call *call = exchange->user;
    if (call == NULL) {
        call = hf_arena_alloc(exchange->arena, sizeof(*call));
        if (call != NULL) {
            memset(call, 0, sizeof(*call));
            call->door = door;
            call->exchange = exchange;
            exchange->user = call;
        }
    }
    return call;
}

/* The text did not fit into memory. */
static void answer_short_memory(struct hf_call *call)
{
    struct hf_buffer *answer = &call->exchange->answer;
    call->headers_bytes = 0;
    (void)hf_call_undecided(call, call->submitted ? HF_ERR_OUTCOME_UNKNOWN : HF_ERR_NO_MEMORY);
    if (answer->failed) { /* not even that */
        hf_buffer_clear(answer);
        call->content_type = NULL;
    }
}

static struct hf_http_response response_of(struct hf_call *call)
{
    if (call->exchange->answer.failed) {
        answer_short_memory(call);
    }
    size_t origins = 0;
    (void)hf_http_header(call->exchange, HF_STR("origin"), &origins);
    struct hf_str headers = {call->headers, call->headers_bytes};
    if (origins > 0) {
        struct hf_str cors = hf_access_cors(call->door->options.access, call->exchange);
        char *both = hf_arena_alloc(call->exchange->arena, headers.len + cors.len + 1);
        if (both != NULL) {
            memcpy(both, headers.ptr, headers.len);
            if (cors.len > 0) {
                memcpy(both + headers.len, cors.ptr, cors.len);
            }
            headers = (struct hf_str){both, headers.len + cors.len};
        }
    }
    return (struct hf_http_response){
        .status = call->status, .content_type = call->content_type, .headers = headers};
}

static void let_go(struct hf_call *call)
{
    if (call->has_answer) {
        hf_answer_release(&call->request.answer);
    }
    for (size_t i = 0; i < call->frame_count; i++) {
        hf_shared_bytes_unref(call->frames[i]);
    }
    if (call->has_command) {
        hf_command_release(&call->command);
    }
}

/* How long the node's answer was on its way back, rendering included. */
static void measure(struct hf_call *call)
{
    struct hf_outside *outside = call->door->options.outside;
    if (call->request.answered_us != 0) {
        hf_histogram_add(&call->door->answer_us,
                         outside->monotonic_us(outside) - call->request.answered_us);
    }
}

static void go_on(struct hf_call *call, enum hf_progress progress)
{
    if (progress == HF_CALL_ANSWERED) {
        measure(call);
        struct hf_http_response response = response_of(call);
        let_go(call);
        hf_http_respond(call->exchange, &response);
    }
}

/* What only saves work, when memory is short. */
static void give_up_caches(struct hf_door *door)
{
    if (door->options.node != NULL && hf_node_memory_level(door->options.node) != HF_MEMORY_ROOM) {
        hf_commit_cache_release(&door->commits);
    }
}

static void handle(void *context, struct hf_http_exchange *exchange)
{
    struct hf_call *call = call_of(context, exchange);
    if (call == NULL) {
        hf_http_respond(exchange, &(struct hf_http_response){.status = 503});
        return;
    }
    bool admitted = call->admitted || admit_call(call);
    give_up_caches(call->door);
    go_on(call, admitted ? begin(call) : HF_CALL_ANSWERED);
}

static void resume(void *context, struct hf_http_exchange *exchange)
{
    (void)context;
    struct hf_call *call = exchange->user;
    HF_CHECK(call != NULL && call->finish != NULL);
    go_on(call, call->finish(call));
}

/* Nobody would get what a waiting receive takes out, a stream has room, or the server stops. */
static void notice(void *context, struct hf_http_exchange *exchange, enum hf_http_notice what)
{
    struct hf_door *door = context;
    struct hf_call *call = exchange->user;
    if (call != NULL && call->withdraws && what != HF_HTTP_ROOM) {
        hf_node_withdraw(door->options.node, &call->request);
    } else if (call != NULL && call->notice != NULL) {
        go_on(call, call->notice(call, what));
    }
}

bool hf_call_begin_stream(struct hf_call *call)
{
    struct hf_http_response response = response_of(call);
    return hf_http_begin(call->exchange, &response);
}

static bool is_spent(const struct hf_door *door)
{
    return door->options.node != NULL &&
           hf_node_memory_level(door->options.node) == HF_MEMORY_SPENT;
}

static bool admit(void *context, struct hf_http_exchange *exchange,
                  struct hf_http_response *response)
{
    struct hf_call *call = call_of(context, exchange);
    if (call == NULL) {
        *response = (struct hf_http_response){.status = 503};
        return false;
    }
    bool admitted = admit_call(call);
    if (admitted && is_spent(call->door)) { /* before it is read */
        call->request.lacked_memory = true;
        (void)hf_call_undecided(call, HF_ERR_OVERLOADED);
        admitted = false;
    }
    if (!admitted) {
        *response = response_of(call);
    }
    return admitted;
}

static void refuse(void *context, int status, const char *detail, struct hf_buffer *body,
                   const char **content_type)
{
    static const struct {
        int status;
        enum hf_err code;
    } rows[] = {
        {408, HF_ERR_REQUEST_TIMEOUT},    {413, HF_ERR_TOO_LARGE},  {414, HF_ERR_URI_TOO_LONG},
        {417, HF_ERR_EXPECTATION_FAILED}, {429, HF_ERR_OVERLOADED}, {431, HF_ERR_HEADERS_TOO_LARGE},
        {501, HF_ERR_NOT_IMPLEMENTED},    {503, HF_ERR_NOT_READY},  {505, HF_ERR_HTTP_VERSION},
    };
    (void)context;
    enum hf_err code = HF_ERR_INVALID_REQUEST;
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        code = rows[i].status == status ? rows[i].code : code;
    }
    hf_problem_json(body, code, detail, "");
    *content_type = HF_CONTENT_PROBLEM;
}

struct hf_http_handler hf_door_handler(struct hf_door *door)
{
    return (struct hf_http_handler){
        .context = door,
        .handle = handle,
        .resume = resume,
        .notice = notice,
        .refuse = refuse,
        .admit = admit,
    };
}
