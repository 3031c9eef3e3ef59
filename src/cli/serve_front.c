#include "cli/serve_front.h"

#include "api/answer_json.h"
#include "api/json_write.h"
#include "outside/outside.h"

#define OWNER_BYTES 320

static bool is_owner(struct hf_front *front)
{
    return atomic_load_explicit(&front->is_owner, memory_order_acquire);
}

static void respond_json(struct hf_http_exchange *exchange, struct hf_str headers)
{
    struct hf_http_response response = {
        .status = 200,
        .content_type = "application/json",
        .headers = headers,
    };
    hf_http_respond(exchange, &response);
}

static void respond_health(struct hf_http_exchange *exchange)
{
    struct hf_json_writer w = hf_json_writer_over(&exchange->answer);
    hf_json_begin_object(&w, NULL);
    hf_json_put_text(&w, "status", HF_STR("ok"));
    hf_json_end_object(&w);
    respond_json(exchange, HF_STR_NONE);
}

static void respond_status(struct hf_front *front, struct hf_http_exchange *exchange,
                           struct hf_str headers)
{
    char owner[OWNER_BYTES];
    struct hf_caller caller;
    const char *detail = "";
    if (hf_access_check(front->access, exchange, &caller, &detail) != HF_ERR_OK ||
        !hf_caller_may(&caller, HF_SCOPE_OPERATE, HF_STR_NONE)) {
        hf_problem_json(&exchange->answer, HF_ERR_FORBIDDEN, "This needs the scope operate.", "");
        hf_http_respond(exchange,
                        &(struct hf_http_response){.status = hf_err_status(HF_ERR_FORBIDDEN),
                                                   .content_type = "application/problem+json",
                                                   .headers = headers});
        return;
    }
    struct hf_json_writer w = hf_json_writer_over(&exchange->answer);
    hf_json_begin_object(&w, NULL);
    hf_json_put_text(&w, "version", hf_str_from(front->version));
    hf_json_put_text(&w, "role", HF_STR("standby"));
    if (hf_relay_owner(front->owner_socket, owner, sizeof(owner))) {
        hf_json_put_text(&w, "owner", hf_str_from(owner));
    } else {
        hf_json_put_null(&w, "owner");
    }
    hf_json_end_object(&w);
    respond_json(exchange, headers);
}

/* As a standby: what the head alone decides is decided here, as the owner would. */
static void handle_for_owner(struct hf_front *front, struct hf_http_exchange *exchange)
{
    bool get = exchange->method == HF_HTTP_GET || exchange->method == HF_HTTP_HEAD;
    if (get && hf_str_equal(exchange->path, HF_STR("/healthz"))) {
        respond_health(exchange);
        return;
    }
    struct hf_http_response response;
    bool admitted = front->standby.admit(front->standby.context, exchange, &response);
    exchange->user = NULL; /* the door's notes; whoever answers makes its own */
    if (!admitted) {
        hf_http_respond(exchange, &response);
        return;
    }
    struct hf_str cors = hf_access_cors(front->access, exchange);
    if (get && hf_str_equal(exchange->path, HF_STR("/v1/status"))) {
        respond_status(front, exchange, cors);
    } else {
        hf_relay_take(front->relay, exchange, cors);
    }
}

static void handle(void *context, struct hf_http_exchange *exchange)
{
    struct hf_front *front = context;
    if (is_owner(front)) {
        front->door.handle(front->door.context, exchange);
    } else {
        handle_for_owner(front, exchange);
    }
}

static void resume(void *context, struct hf_http_exchange *exchange)
{
    struct hf_front *front = context;
    if (!hf_relay_has(exchange)) {
        front->door.resume(front->door.context, exchange);
    } else if (!hf_relay_resume(front->relay, exchange)) {
        front->door.handle(front->door.context, exchange);
    }
}

/* Of an exchange that is watched or streams: whose it is shall know. */
static void notice(void *context, struct hf_http_exchange *exchange, enum hf_http_notice what)
{
    struct hf_front *front = context;
    if (hf_relay_has(exchange)) {
        hf_relay_notice(front->relay, exchange, what);
    } else if (is_owner(front)) {
        front->door.notice(front->door.context, exchange, what);
    }
}

static const struct hf_http_handler *current(struct hf_front *front)
{
    return is_owner(front) ? &front->door : &front->standby;
}

static bool admit(void *context, struct hf_http_exchange *exchange,
                  struct hf_http_response *response)
{
    const struct hf_http_handler *handler = current(context);
    bool admitted = handler->admit(handler->context, exchange, response);
    if (handler == &((struct hf_front *)context)->standby) {
        exchange->user = NULL;
    }
    return admitted;
}

/* What the HTTP server refuses by itself. */
static void refuse(void *context, int status, const char *detail, struct hf_buffer *body,
                   const char **content_type)
{
    const struct hf_http_handler *handler = current(context);
    handler->refuse(handler->context, status, detail, body, content_type);
}

struct hf_http_handler hf_front_handler(struct hf_front *front)
{
    return (struct hf_http_handler){
        .context = front,
        .handle = handle,
        .resume = resume,
        .notice = notice,
        .refuse = refuse,
        .admit = admit,
        .left = hf_outside_linux_left,
        .run_left = hf_outside_linux_run_left,
        .pass_left = hf_outside_linux_pass_left,
    };
}

void hf_front_become_owner(struct hf_front *front, const struct hf_http_handler *door)
{
    front->door = *door;
    atomic_store_explicit(&front->is_owner, true, memory_order_release);
    if (front->relay != NULL) {
        hf_relay_become_owner(front->relay);
    }
}
