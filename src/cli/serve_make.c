/* Putting the server's process together: options, access, listeners, and the thread that opens the directory. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/serve_notify.h"
#include "cli/serve_priv.h"

#define MIN_POSITION_MS      30000   /* a read waits for min_position */
#define CONNECTION_BYTES     16384u  /* of memory, busy */
#define STREAM_BYTES         262144u /* that a reader has not taken, at most */
#define EXTEND_EVERY_US      1000000u
#define HOUR_US              3600000000ull
#define KEY_RETENTION_US_MAX (UINT64_MAX / 4)

void hf_serve_say(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("holdfast serve: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
}

/* ---- the opener's thread ---- */

static void set_opening(struct serve *serve, enum hf_serve_opening opening)
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

/* Of the machine's memory, or of what the cgroup leaves of it: other programs, and what the kernel keeps for files and sockets. */
#define LITTLE_MEMORY_BYTES                                                                        \
    (1ull << 30) /* below this, what the allocator keeps matters more than its speed */
#define MEMORY_SHARE_PERCENT 75u

static bool choose_memory(struct serve *serve, struct hf_error *error)
{
    const char *text = serve->options->memory_max;
    if (text == NULL) {
        uint64_t most = hf_outside_linux_memory_max();
        serve->memory_max = hf_max_u64(most / 100 * MEMORY_SHARE_PERCENT, HF_MEMORY_MAX_LEAST);
        return true;
    }
    if (strcmp(text, "off") == 0) {
        return true;
    }
    if (!hf_size_parse(hf_str_from(text), &serve->memory_max) ||
        serve->memory_max < HF_MEMORY_MAX_LEAST) {
        (void)hf_error_set(error, HF_ERR_INVALID_REQUEST,
                           "--memory-max: expected a size of 64MiB or more (512MiB, 2GiB) or off");
        return false;
    }
    return true;
}

static struct hf_limits limits_of(const struct serve *serve)
{
    const struct hf_serve_options *options = serve->options;
    struct hf_limits limits = hf_limits_default();
    if (options->key_retention_hours != 0) {
        limits.key_retention_us =
            hf_min_u64(options->key_retention_hours, KEY_RETENTION_US_MAX / HOUR_US) * HOUR_US;
    }
    hf_memory_shape(&limits, serve->memory_max);
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
        .limits = limits_of(serve),
        .memory = {.max_bytes = serve->memory_max,
                   .resident = hf_outside_linux_resident,
                   .trim = hf_outside_linux_trim},
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
    serve->outside = hf_outside_linux_new();
    if (serve->outside == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    if (mkdir(serve->options->data, 0700) != 0 && errno != EEXIST) {
        return hf_error_set(error, HF_ERR_IO, "make %s: %s", serve->options->data, strerror(errno));
    }
    return hf_serve_sockets_open(serve->outside, serve->options->data, &serve->sockets, error);
}

static void complain(void *context, const char *what)
{
    (void)context;
    if (what == NULL) {
        hf_serve_say("the tokens file is whole again");
    } else {
        hf_serve_say("the tokens file can't be used, nobody is let in: %s", what);
    }
}

static enum hf_err parse_addresses(struct serve *serve, struct hf_error *error)
{
    const struct hf_serve_options *options = serve->options;
    bool none = options->listen.count == 0;
    serve->address_count = none ? 1 : options->listen.count;
    for (size_t i = 0; i < serve->address_count; i++) {
        const char *text = none ? "127.0.0.1:7070" : options->listen.items[i];
        const char *why = "";
        if (!hf_serve_address_parse(text, options->tls_cert != NULL, &serve->addresses[i], &why)) {
            return hf_error_set(error, HF_ERR_INVALID_REQUEST, "--listen %s: %s", text, why);
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

/* Shares of the memory that there may be. */
static void shape_http(struct hf_http_limits *limits, uint64_t memory_max)
{
    limits->body_bytes_in_all = hf_min_u64(limits->body_bytes_in_all,
                                           hf_max_u64(memory_max / 16, 2 * limits->body_bytes_max));
    limits->connections_max =
        (uint32_t)hf_min_u64(limits->connections_max, memory_max / 4 / CONNECTION_BYTES);
    limits->streams_max = (uint32_t)hf_min_u64(limits->streams_max, memory_max / 8 / STREAM_BYTES);
}

static struct hf_http_limits http_limits(const struct serve *serve)
{
    struct hf_http_limits limits = hf_http_limits_default();
    if (serve->options->connections_max != 0) {
        limits.connections_max = (uint32_t)hf_min_u64(serve->options->connections_max, UINT32_MAX);
    }
    if (serve->memory_max != 0) {
        shape_http(&limits, serve->memory_max);
    }
    return limits;
}

struct hf_door_options hf_serve_door_options(struct serve *serve)
{
    return (struct hf_door_options){
        .outside = serve->outside,
        .access = serve->access,
        .limits = limits_of(serve),
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
    struct hf_door_options options = hf_serve_door_options(serve);
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

enum hf_err hf_serve_make(struct serve *serve, struct hf_error *error)
{
    if (!hf_serve_observe_parse(serve->options, &serve->observe, error) ||
        !choose_memory(serve, error)) {
        return HF_ERR_INVALID_REQUEST;
    }
    hf_outside_linux_return_large();
    if (serve->memory_max != 0 && serve->memory_max < LITTLE_MEMORY_BYTES) {
        hf_outside_linux_save_memory();
    }
    enum hf_err code = parse_addresses(serve, error);
    if (code == HF_ERR_OK && serve->options->archive != NULL) {
        code =
            hf_cli_absolute(serve->options->archive, serve->archive, sizeof(serve->archive), error);
    }
    code = code == HF_ERR_OK ? make_descriptors(serve, error) : code;
    code = code == HF_ERR_OK ? make_directory(serve, error) : code;
    code = code == HF_ERR_OK ? hf_serve_deliver_new(serve->options, &serve->deliver, error) : code;
    code = code == HF_ERR_OK ? make_access(serve, error) : code;
    code = code == HF_ERR_OK ? judge_addresses(serve, error) : code;
    code = code == HF_ERR_OK ? make_server(serve, error) : code;
    return code == HF_ERR_OK ? start_opener(serve, error) : code;
}
