/* The server's process from its listeners to its exit. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/serve_notify.h"
#include "cli/serve_priv.h"

#define DRAIN_MS        10000 /* for requests under way at a stop */
#define RELAY_WAIT_MS   10000 /* a standby's request waits for an owner */
#define RELAY_ANSWER_MS 40000 /* and for its answer */
#define HEALTH_MS       500   /* between looks at the node */

/* ---- ready ---- */

static void url_of(const struct serve *serve, size_t i, char url[HF_SERVE_ADDRESS_BYTES + 32])
{
    const struct hf_serve_address *address = &serve->addresses[i];
    if (address->local_socket) {
        (void)snprintf(url, HF_SERVE_ADDRESS_BYTES + 32, "%s", address->text);
        return;
    }
    const char *colon = strrchr(address->text, ':'); /* the port as bound: 0 was any */
    (void)snprintf(url, HF_SERVE_ADDRESS_BYTES + 32, "%s://%.*s:%u",
                   address->tls ? "https" : "http", (int)(colon - address->text), address->text,
                   hf_http_server_port(serve->server, i));
}

static void print_json(const struct serve *serve, struct hf_buffer *out, const char *owner)
{
    struct hf_json_writer w = hf_json_writer_over(out);
    char url[HF_SERVE_ADDRESS_BYTES + 32];
    hf_json_begin_object(&w, NULL);
    hf_json_put_text(&w, "version", HF_STR(HF_VERSION_TEXT));
    hf_json_put_number(&w, "pid", (uint64_t)getpid());
    hf_json_put_text(&w, "data", hf_str_from(serve->options->data));
    hf_json_put_text(&w, "role", serve->was_standby ? HF_STR("standby") : HF_STR("owner"));
    hf_json_put_text(&w, "owner", hf_str_from(owner));
    hf_json_begin_array(&w, "listeners");
    for (size_t i = 0; i < serve->address_count; i++) {
        url_of(serve, i, url);
        hf_json_begin_object(&w, NULL);
        hf_json_put_text(&w, "url", hf_str_from(url));
        hf_json_put_number(&w, "port", hf_http_server_port(serve->server, i));
        hf_json_end_object(&w);
    }
    hf_json_end_array(&w);
    hf_json_end_object(&w);
}

static void print_line(const struct serve *serve, struct hf_buffer *out, const char *owner)
{
    char url[HF_SERVE_ADDRESS_BYTES + 32];
    hf_buffer_text(out, "holdfast " HF_VERSION_TEXT " listening on ");
    for (size_t i = 0; i < serve->address_count; i++) {
        url_of(serve, i, url);
        hf_buffer_format(out, "%s%s", i == 0 ? "" : " and ", url);
    }
    hf_buffer_format(out, ", data in %s", serve->options->data);
    if (serve->was_standby) {
        hf_buffer_format(out, ", standby of %s", owner);
    }
}

/* The one line on standard output, once requests are answered. */
static void become_ready(struct serve *serve)
{
    char owner[sizeof(serve->owner)] = "another process";
    struct hf_buffer out;
    if (!serve->was_standby) {
        memcpy(owner, serve->owner, sizeof(owner));
    } else {
        (void)hf_relay_owner(serve->sockets.owner, owner, sizeof(owner));
    }
    hf_buffer_init(&out);
    if (serve->cli->json) {
        print_json(serve, &out, owner);
    } else {
        print_line(serve, &out, owner);
    }
    (void)hf_cli_print(serve->cli, &out, HF_EXIT_OK);
    hf_notify("READY=1\nSTATUS=%s%s", serve->was_standby ? "standby of " : "owner",
              serve->was_standby ? owner : "");
    serve->ready = true;
}

/* ---- from standby to owner ---- */

static enum hf_err begin_serving(struct serve *serve, struct hf_error *error)
{
    if (serve->serving) {
        return HF_ERR_OK;
    }
    enum hf_err code = hf_http_server_start(serve->server, error);
    serve->serving = code == HF_ERR_OK;
    return code;
}

static enum hf_err become_standby(struct serve *serve, struct hf_error *error)
{
    struct hf_relay_options options = {
        .socket_path = serve->sockets.owner,
        .wait_ms = RELAY_WAIT_MS,
        .answer_ms = RELAY_ANSWER_MS,
    };
    serve->was_standby = true;
    serve->relay = hf_relay_new(&options);
    serve->front.relay = serve->relay;
    if (serve->relay == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "can't start a thread");
    }
    hf_serve_say("another process owns %s: standby, its requests go to the owner",
                 serve->options->data);
    enum hf_err code = begin_serving(serve, error);
    if (code == HF_ERR_OK) {
        become_ready(serve);
    }
    return code;
}

/* Sagas' participants call back at the first listener that has a URL, unless --public-url says more. */
static enum hf_err start_calls(struct serve *serve, struct hf_node *node,
                               struct hf_outside *outside, struct hf_error *error)
{
    char url[HF_SERVE_ADDRESS_BYTES + 32] = "";
    for (size_t i = serve->address_count; i > 0; i--) {
        if (!serve->addresses[i - 1].local_socket) {
            url_of(serve, i - 1, url);
        }
    }
    struct hf_str listener = url[0] == '\0' ? HF_STR_NONE : hf_str_from(url);
    return hf_serve_deliver_start(serve->deliver, node, outside, listener, error);
}

static void tell_memory(const struct serve *serve)
{
    if (serve->memory_max == 0) {
        hf_serve_say("no limit of memory");
    } else {
        hf_serve_say(
            "keeps within %llu MiB of memory%s", (unsigned long long)(serve->memory_max >> 20),
            serve->options->memory_max == NULL ? " (three quarters of what there is)" : "");
    }
}

static enum hf_err become_owner(struct serve *serve, struct hf_error *error)
{
    struct hf_node *node = hf_engine_node(serve->engine);
    enum hf_err code = hf_serve_observe(serve, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    struct hf_door_options options = hf_serve_door_options(serve);
    options.node = node;
    options.audit = serve->audit;
    options.watch = serve->watch;
    options.log_bytes = hf_serve_keep_bytes;
    options.log_bytes_context = serve->keep;
    options.outside = hf_engine_outside(serve->engine);
    hf_serve_deliver_tell(serve->deliver, &options);
    serve->door = hf_door_new(&options);
    if (serve->door == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    code = hf_serve_sockets_take(&serve->sockets, error);
    code = code == HF_ERR_OK ? start_calls(serve, node, options.outside, error) : code;
    if (code != HF_ERR_OK) {
        return code;
    }
    struct hf_http_handler handler = hf_door_handler(serve->door);
    hf_front_become_owner(&serve->front, &handler);
    struct hf_node_status status;
    hf_node_status(node, &status);
    hf_serve_say("owner of %s: epoch %llu, position %llu%s", serve->options->data,
                 (unsigned long long)status.epoch, (unsigned long long)status.position,
                 status.torn_tail ? "; an unfinished batch was cut from the log's end" : "");
    tell_memory(serve);
    code = begin_serving(serve, error);
    if (code == HF_ERR_OK && !serve->ready) {
        become_ready(serve);
    } else {
        hf_notify("STATUS=owner, taken over at position %llu", (unsigned long long)status.position);
    }
    return code;
}

static enum hf_err follow_opener(struct serve *serve, struct hf_error *error)
{
    uint64_t rings;
    ssize_t got = read(serve->bell, &rings, sizeof(rings)); /* EAGAIN: it did not ring */
    HF_CHECK(got == (ssize_t)sizeof(rings) || errno == EAGAIN);
    switch ((enum hf_serve_opening)atomic_load(&serve->opening)) {
    case WAITING:
        return serve->relay == NULL ? become_standby(serve, error) : HF_ERR_OK;
    case OPENED:
        return serve->door == NULL ? become_owner(serve, error) : HF_ERR_OK;
    case NOT_OPENED:
        *error = serve->open_error;
        return error->code;
    case OPENING:
        break;
    }
    return HF_ERR_OK;
}

/* ---- while it runs ---- */

/* Asks the node how it is; an error ends the process. */
static enum hf_err look_after(struct serve *serve, struct hf_error *error)
{
    if (serve->door == NULL) {
        return HF_ERR_OK;
    }
    struct hf_node_status status;
    hf_node_status(hf_engine_node(serve->engine), &status);
    if (status.phase == HF_NODE_DEPOSED) {
        return hf_error_set(error, HF_ERR_DEPOSED, "another owner has taken over");
    }
    if (status.phase == HF_NODE_FAILED) {
        return hf_error_set(error, HF_ERR_IO, "%s",
                            status.error[0] == '\0' ? "the node has failed" : status.error);
    }
    if (status.read_only != serve->read_only) {
        serve->read_only = status.read_only;
        hf_serve_say(status.read_only ? "the disk is full: read-only until there is room"
                                      : "there is room again: commits are taken");
        hf_notify("STATUS=%s", status.read_only ? "owner, read-only: the disk is full" : "owner");
    }
    return HF_ERR_OK;
}

/* Tells the watchdog that the node's thread steps; a standby has none that could stick. */
static void feed_watchdog(struct serve *serve)
{
    uint64_t now_us = serve->outside->monotonic_us(serve->outside);
    if (serve->watchdog_ms == 0 || now_us - serve->fed_us < serve->watchdog_ms * 1000 / 4) {
        return;
    }
    serve->fed_us = now_us;
    if (serve->door == NULL) {
        hf_notify("WATCHDOG=1");
        return;
    }
    uint64_t rounds = hf_engine_rounds(serve->engine);
    if (rounds != serve->rounds) {
        hf_notify("WATCHDOG=1");
        serve->rounds = rounds;
    }
    struct hf_outside *outside = hf_engine_outside(serve->engine);
    outside->ring(outside);
}

/* true: a signal wants the process to end. */
static bool read_signals(struct serve *serve)
{
    struct signalfd_siginfo info;
    while (read(serve->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            hf_serve_deliver_reload(serve->deliver);
        } else {
            hf_serve_say("%s: stopping", info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
            return true;
        }
    }
    return false;
}

/* Until a signal (OK) or an error. */
static enum hf_err run(struct serve *serve, struct hf_error *error)
{
    uint64_t wait_ms = HEALTH_MS;
    if (serve->watchdog_ms != 0) {
        wait_ms = hf_min_u64(wait_ms, hf_max_u64(serve->watchdog_ms / 8, 1));
    }
    for (;;) {
        struct pollfd ready[] = {
            {.fd = serve->signals, .events = POLLIN},
            {.fd = serve->bell, .events = POLLIN},
        };
        (void)poll(ready, HF_ARRAY_COUNT(ready), (int)wait_ms);
        if (read_signals(serve)) {
            return HF_ERR_OK;
        }
        enum hf_err code = follow_opener(serve, error);
        code = code == HF_ERR_OK ? look_after(serve, error) : code;
        if (code != HF_ERR_OK) {
            return code;
        }
        feed_watchdog(serve);
    }
}

/* ---- the end ---- */

/* Answers what is under way, seals the log. */
static enum hf_err end(struct serve *serve, struct hf_error *error)
{
    hf_notify("STOPPING=1\nSTATUS=stopping");
    enum hf_err code = HF_ERR_OK;
    enum hf_serve_opening opening = (enum hf_serve_opening)atomic_load(&serve->opening);
    if (serve->relay != NULL && serve->door == NULL) {
        hf_relay_stop(serve->relay);
    }
    if (serve->server != NULL) {
        hf_http_server_stop(serve->server, DRAIN_MS);
    }
    hf_serve_deliver_stop(serve->deliver);
    hf_relay_free(serve->relay);
    hf_door_free(serve->standby_door);
    hf_door_free(serve->door);
    hf_serve_observe_end(serve);
    hf_serve_sockets_close(&serve->sockets, serve->door != NULL);
    if (serve->opener_started && opening != OPENED && opening != NOT_OPENED) {
        /* It waits for the lock or replays the log, and can't be asked to stop. Nothing of this process's is
         * stored, so that the process may end around it; exit's handlers must not. */
        (void)fflush(NULL);
        _exit(error->code == HF_ERR_OK ? HF_EXIT_OK : HF_EXIT_ENVIRONMENT);
    }
    if (serve->opener_started) {
        HF_CHECK(pthread_join(serve->opener, NULL) == 0);
        code = opening == OPENED ? hf_engine_close(serve->engine, error) : HF_ERR_OK;
    }
    hf_serve_deliver_free(serve->deliver);
    hf_access_free(serve->access);
    hf_http_tls_free(serve->tls);
    if (serve->outside != NULL) {
        hf_outside_linux_free(serve->outside);
    }
    return code;
}

int hf_serve_run(const struct hf_cli *cli, const struct hf_serve_options *options)
{
    struct serve serve = {
        .cli = cli,
        .options = options,
        .signals = -1,
        .bell = -1,
        .sockets.directory = -1,
        .watchdog_ms = hf_notify_watchdog_ms(),
    };
    char host[256];
    if (gethostname(host, sizeof(host)) != 0) {
        (void)snprintf(host, sizeof(host), "localhost");
    }
    host[sizeof(host) - 1] = '\0';
    (void)snprintf(serve.owner, sizeof(serve.owner), "%s:%d", host, (int)getpid());
    struct hf_error error = {0};
    struct hf_error end_error = {0};
    enum hf_err code = hf_serve_make(&serve, &error);
    bool usage = code == HF_ERR_INVALID_REQUEST;
    code = code == HF_ERR_OK ? run(&serve, &error) : code;
    if (code != HF_ERR_OK) {
        end_error = error; /* told if the process ends without returning here */
        if (serve.ready) {
            hf_serve_say("%s", error.text);
        } else {
            (void)hf_cli_fail(cli, &error); /* with --json it takes the ready line's place */
        }
        hf_notify("STATUS=%s", error.text);
    }
    enum hf_err ended = end(&serve, &end_error);
    if (code == HF_ERR_OK && ended != HF_ERR_OK) {
        hf_serve_say("%s", end_error.text);
    }
    if (code == HF_ERR_OK && ended == HF_ERR_OK) {
        hf_serve_say("stopped, the log is sealed");
    }
    for (int fd = 0; fd < 2; fd++) {
        int which = fd == 0 ? serve.signals : serve.bell;
        if (which >= 0) {
            (void)close(which);
        }
    }
    return usage                                     ? HF_EXIT_USAGE
           : code == HF_ERR_OK && ended == HF_ERR_OK ? HF_EXIT_OK
                                                     : HF_EXIT_ENVIRONMENT;
}
