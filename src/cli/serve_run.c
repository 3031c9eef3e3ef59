/* The server's process from its first listener to its exit. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/door.h"
#include "base/check.h"
#include "cli/serve.h"
#include "cli/serve_front.h"
#include "cli/serve_notify.h"
#include "node/engine.h"

#ifndef HF_VERSION_TEXT
#define HF_VERSION_TEXT "unknown"
#endif

#define DRAIN_MS             10000 /* for requests under way at a stop */
#define RELAY_WAIT_MS        10000 /* a standby's request waits for an owner */
#define RELAY_ANSWER_MS      40000 /* and for its answer */
#define MIN_POSITION_MS      30000 /* a read waits for min_position */
#define HEALTH_MS            500   /* between looks at the node */
#define EXTEND_EVERY_US      1000000u
#define HOUR_US              3600000000ull
#define KEY_RETENTION_US_MAX (UINT64_MAX / 4)

enum opening {
    OPENING, /* recovery is under way, or has not begun */
    WAITING, /* another process owns the directory */
    OPENED,
    NOT_OPENED, /* final */
};

struct serve {
    const struct hf_cli *cli;
    const struct hf_serve_options *options;
    char owner[320];                                         /* this process: "host:pid" */
    struct hf_serve_address addresses[HF_CLI_TEXTS_MAX + 1]; /* the own socket is not among them */
    size_t address_count;                                    /* of addresses */
    struct hf_serve_sockets sockets;                         /* in the directory */
    struct hf_outside *outside;                              /* of access; the engine has its own */
    struct hf_access *access;                                /* owned */
    struct hf_http_tls *tls;                                 /* owned; NULL: none */
    struct hf_http_server *server;                           /* owned */
    bool serving;                                            /* the server was started */
    struct hf_relay *relay;                                  /* owned; NULL: never a standby */
    struct hf_door *standby_door;                            /* owned; without a node */
    struct hf_door *door;                                    /* owned; NULL: not the owner */
    struct hf_front front;                                   /* the server's handler */
    int signals;                                             /* a signalfd; -1 */
    int bell;                   /* an eventfd: `opening` has changed; -1 */
    pthread_t opener;           /* valid if opener_started */
    bool opener_started;        /* its thread exists */
    atomic_int opening;         /* enum opening */
    struct hf_engine *engine;   /* valid once OPENED */
    struct hf_error open_error; /* valid once NOT_OPENED */
    uint64_t extended_us;       /* the opener's: when it last asked for more time */
    bool ready;                 /* the ready line was printed */
    bool was_standby;           /* it waited for another owner */
    bool read_only;             /* as told last */
    uint64_t rounds;            /* of the engine when its bell was rung last */
    uint64_t fed_us;            /* the watchdog, when it was fed last */
    uint64_t watchdog_ms;       /* 0: none */
};

static void say(const char *format, ...) HF_PRINTF(1, 2);

static void say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("holdfast serve: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
}

/* ---- the opener's thread ---- */

static void set_opening(struct serve *serve, enum opening opening)
{
    uint64_t one = 1;
    atomic_store(&serve->opening, (int)opening);
    HF_CHECK(write(serve->bell, &one, sizeof(one)) == (ssize_t)sizeof(one));
}

/* A long recovery is no reason for the service manager to give up. */
static void show_progress(void *context, uint64_t done, uint64_t total)
{
    struct serve *serve = context;
    uint64_t now_us = serve->outside->monotonic_us(serve->outside);
    if (now_us - serve->extended_us >= EXTEND_EVERY_US) {
        serve->extended_us = now_us;
        hf_notify("EXTEND_TIMEOUT_USEC=30000000\nSTATUS=replaying the log: commit %llu of %llu",
                  (unsigned long long)done, (unsigned long long)total);
    }
}

static struct hf_limits limits_of(const struct hf_serve_options *options)
{
    struct hf_limits limits = hf_limits_default();
    if (options->key_retention_hours != 0) {
        limits.key_retention_us =
            hf_min_u64(options->key_retention_hours, KEY_RETENTION_US_MAX / HOUR_US) * HOUR_US;
    }
    return limits;
}

static enum hf_err open_engine(struct serve *serve, bool wait)
{
    struct hf_engine_options options = {
        .directory = serve->options->data,
        .create = true,
        .wait_for_lock = wait,
        .checkpoints = true,
        .name = serve->owner,
        .limits = limits_of(serve->options),
        .progress = show_progress,
        .progress_context = serve,
    };
    return hf_engine_open(&options, &serve->engine, &serve->open_error);
}

static void *open_it(void *context)
{
    struct serve *serve = context;
    enum hf_err code = open_engine(serve, false);
    if (code == HF_ERR_LOCKED) {
        set_opening(serve, WAITING);
        code = open_engine(serve, true);
    }
    set_opening(serve, code == HF_ERR_OK ? OPENED : NOT_OPENED);
    return NULL;
}

/* ---- making everything ---- */

static enum hf_err make_descriptors(struct serve *serve, struct hf_error *error)
{
    sigset_t wanted;
    HF_CHECK(sigemptyset(&wanted) == 0);
    HF_CHECK(sigaddset(&wanted, SIGTERM) == 0 && sigaddset(&wanted, SIGINT) == 0);
    HF_CHECK(sigaddset(&wanted, SIGHUP) == 0);
    HF_CHECK(pthread_sigmask(SIG_BLOCK, &wanted, NULL) == 0);
    (void)signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* the HTTP server asks how many there are */
    }
    serve->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    serve->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (serve->signals < 0 || serve->bell < 0) {
        return hf_error_set(error, HF_ERR_IO, "signalfd or eventfd: %s", strerror(errno));
    }
    return HF_ERR_OK;
}

static enum hf_err make_directory(struct serve *serve, struct hf_error *error)
{
    if (mkdir(serve->options->data, 0700) != 0 && errno != EEXIST) {
        return hf_error_set(error, HF_ERR_IO, "make %s: %s", serve->options->data, strerror(errno));
    }
    return hf_serve_sockets_open(serve->options->data, &serve->sockets, error);
}

static void complain(void *context, const char *what)
{
    (void)context;
    if (what == NULL) {
        say("the tokens file is whole again");
    } else {
        say("the tokens file can't be used, nobody is let in: %s", what);
    }
}

static enum hf_err parse_addresses(struct serve *serve, struct hf_error *error)
{
    const struct hf_serve_options *options = serve->options;
    static const char *const standard[] = {"127.0.0.1:7070"};
    const char *const *texts = options->listen.count == 0 ? standard : options->listen.items;
    serve->address_count = options->listen.count == 0 ? 1 : options->listen.count;
    for (size_t i = 0; i < serve->address_count; i++) {
        const char *why = "";
        if (!hf_serve_address_parse(texts[i], options->tls_cert != NULL, &serve->addresses[i],
                                    &why)) {
            return hf_error_set(error, HF_ERR_INVALID_REQUEST, "--listen %s: %s", texts[i], why);
        }
    }
    return HF_ERR_OK;
}

static bool all_loopback(const struct serve *serve)
{
    bool all = true;
    for (size_t i = 0; i < serve->address_count; i++) {
        all = all && serve->addresses[i].loopback;
    }
    return all;
}

static enum hf_err make_access(struct serve *serve, struct hf_error *error)
{
    const struct hf_serve_options *options = serve->options;
    char path[4096];
    int used = snprintf(path, sizeof(path), "%s/tokens.json", options->data);
    if (options->tokens == NULL && (used < 0 || (size_t)used >= sizeof(path))) {
        return hf_error_set(error, HF_ERR_LIMIT, "the data directory's path is too long");
    }
    serve->outside = hf_outside_linux_new();
    if (serve->outside == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    struct hf_access_options access_options = {
        .outside = serve->outside,
        .tokens_path = options->tokens == NULL ? path : options->tokens,
        .allow_open = options->allow_open,
        .loopback_only = all_loopback(serve),
        .hosts = options->hosts.items,
        .host_count = options->hosts.count,
        .origins = options->origins.items,
        .origin_count = options->origins.count,
        .complain = complain,
    };
    return hf_access_new(&access_options, &serve->access, error);
}

/* Beyond this machine only what is asked for in so many words. */
static enum hf_err judge_addresses(struct serve *serve, struct hf_error *error)
{
    bool tokens = hf_access_has_tokens(serve->access);
    for (size_t i = 0; i < serve->address_count; i++) {
        const struct hf_serve_address *address = &serve->addresses[i];
        if (address->loopback || serve->options->allow_open || (tokens && address->tls)) {
            continue;
        }
        const char *lacks = tokens         ? "TLS (--tls-cert, --tls-key)"
                            : address->tls ? "tokens (holdfast token create)"
                                           : "tokens (holdfast token create) and TLS (--tls-cert, "
                                             "--tls-key)";
        return hf_error_set(error, HF_ERR_INVALID_REQUEST,
                            "--listen %s: others can reach this address, so it needs %s; "
                            "--allow-open listens without them",
                            address->text, lacks);
    }
    return HF_ERR_OK;
}

static void count_http(void *context, struct hf_http_counts *counts)
{
    struct serve *serve = context;
    hf_http_server_counts(serve->server, counts);
}

static struct hf_http_limits http_limits(const struct serve *serve)
{
    struct hf_http_limits limits = hf_http_limits_default();
    if (serve->options->connections_max != 0) {
        limits.connections_max = (uint32_t)hf_min_u64(serve->options->connections_max, UINT32_MAX);
    }
    return limits;
}

static struct hf_door_options door_options(struct serve *serve)
{
    return (struct hf_door_options){
        .outside = serve->outside,
        .access = serve->access,
        .limits = limits_of(serve->options),
        .http = http_limits(serve),
        .version = HF_VERSION_TEXT,
        .min_position_ms_max = MIN_POSITION_MS,
        .counts = count_http,
        .counts_context = serve,
        .owner = serve->owner,
    };
}

/* The server's handler, as a standby's at first. */
static enum hf_err make_front(struct serve *serve, struct hf_error *error)
{
    struct hf_door_options options = door_options(serve);
    serve->standby_door = hf_door_new(&options);
    if (serve->standby_door == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    serve->front.standby = hf_door_handler(serve->standby_door);
    serve->front.access = serve->access;
    serve->front.owner_socket = serve->sockets.owner;
    serve->front.version = HF_VERSION_TEXT;
    return HF_ERR_OK;
}

static enum hf_err make_server(struct serve *serve, struct hf_error *error)
{
    const struct hf_serve_options *options = serve->options;
    enum hf_err code = make_front(serve, error);
    if (code == HF_ERR_OK && options->tls_cert != NULL) {
        code = hf_http_tls_load(options->tls_cert, options->tls_key, &serve->tls, error);
    }
    struct hf_http_limits limits = http_limits(serve);
    struct hf_http_handler handler = hf_front_handler(&serve->front);
    if (code == HF_ERR_OK) {
        code = hf_http_server_new(&limits, &handler, &serve->server, error);
    }
    for (size_t i = 0; i < serve->address_count && code == HF_ERR_OK; i++) {
        const struct hf_serve_address *address = &serve->addresses[i];
        code = hf_http_server_listen(serve->server, address->text, address->tls ? serve->tls : NULL,
                                     error);
    }
    if (code == HF_ERR_OK) {
        char own[HF_SERVE_SOCKET_BYTES + 8];
        (void)snprintf(own, sizeof(own), "unix:%s", serve->sockets.own);
        code = hf_http_server_listen(serve->server, own, NULL, error);
    }
    return code;
}

static enum hf_err start_opener(struct serve *serve, struct hf_error *error)
{
    if (pthread_create(&serve->opener, NULL, open_it, serve) != 0) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "can't start a thread");
    }
    serve->opener_started = true;
    return HF_ERR_OK;
}

static enum hf_err make(struct serve *serve, struct hf_error *error)
{
    enum hf_err code = parse_addresses(serve, error);
    code = code == HF_ERR_OK ? make_descriptors(serve, error) : code;
    code = code == HF_ERR_OK ? make_directory(serve, error) : code;
    code = code == HF_ERR_OK ? make_access(serve, error) : code;
    code = code == HF_ERR_OK ? judge_addresses(serve, error) : code;
    code = code == HF_ERR_OK ? make_server(serve, error) : code;
    return code == HF_ERR_OK ? start_opener(serve, error) : code;
}

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
    say("another process owns %s: standby, its requests go to the owner", serve->options->data);
    enum hf_err code = begin_serving(serve, error);
    if (code == HF_ERR_OK) {
        become_ready(serve);
    }
    return code;
}

static enum hf_err become_owner(struct serve *serve, struct hf_error *error)
{
    struct hf_node *node = hf_engine_node(serve->engine);
    struct hf_door_options options = door_options(serve);
    options.node = node;
    options.outside = hf_engine_outside(serve->engine);
    serve->door = hf_door_new(&options);
    if (serve->door == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    enum hf_err code = hf_serve_sockets_take(&serve->sockets, error);
    if (code != HF_ERR_OK) {
        return code;
    }
    struct hf_http_handler handler = hf_door_handler(serve->door);
    hf_front_become_owner(&serve->front, &handler);
    struct hf_node_status status;
    hf_node_status(node, &status);
    say("owner of %s: epoch %llu, position %llu%s", serve->options->data,
        (unsigned long long)status.epoch, (unsigned long long)status.position,
        status.torn_tail ? "; an unfinished batch was cut from the log's end" : "");
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
    switch ((enum opening)atomic_load(&serve->opening)) {
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
        say(status.read_only ? "the disk is full: read-only until there is room"
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
            say("SIGHUP: nothing to do, the tokens file is read by itself when it changes");
        } else {
            say("%s: stopping", info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
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
    enum opening opening = (enum opening)atomic_load(&serve->opening);
    if (serve->relay != NULL && serve->door == NULL) {
        hf_relay_stop(serve->relay);
    }
    if (serve->server != NULL) {
        hf_http_server_stop(serve->server, DRAIN_MS);
    }
    hf_relay_free(serve->relay);
    hf_door_free(serve->standby_door);
    hf_door_free(serve->door);
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
    enum hf_err code = make(&serve, &error);
    bool usage = code == HF_ERR_INVALID_REQUEST;
    code = code == HF_ERR_OK ? run(&serve, &error) : code;
    if (code != HF_ERR_OK) {
        end_error = error; /* told if the process ends without returning here */
        say("%s", error.text);
        hf_notify("STATUS=%s", error.text);
    }
    enum hf_err ended = end(&serve, &end_error);
    if (code == HF_ERR_OK && ended != HF_ERR_OK) {
        say("%s", end_error.text);
    }
    if (code == HF_ERR_OK && ended == HF_ERR_OK) {
        say("stopped, the log is sealed");
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
