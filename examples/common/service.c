#include "service.h"

#include <getopt.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "holdfast_client.h"

#define PEERS_MAX      8
#define ADDRESSES_MAX  8
#define ANSWER_BYTES   1024
#define NUMBER_DIGITS  15
#define BODY_BYTES_MAX 4095

struct request {
    struct MHD_Connection *connection;
    int status;                    /* of the answer */
    size_t body_bytes;             /* that came, also of a body that is too long to keep */
    char body[BODY_BYTES_MAX + 1]; /* ends with NUL */
    char text[ANSWER_BYTES];       /* of the answer */
};

static struct settings settings;
static const struct route *routes;
static size_t route_count;
static char *peers[PEERS_MAX]; /* "NAME=ADDRESS" */
static size_t peer_count;
static struct holdfast_client *holdfast;
static void (*at_start)(void);

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

const struct settings *service_settings(void)
{
    return &settings;
}

struct holdfast_client *service_holdfast(void)
{
    if (holdfast == NULL) {
        die("--holdfast URL is needed");
    }
    return holdfast;
}

/* One client for the process; it keeps a connection for each call that is under way. */
static void connect_holdfast(char *addresses)
{
    const char *list[ADDRESSES_MAX];
    struct holdfast_client_failure failure;
    struct holdfast_client_options options = {.addresses = list, .backoff_max_ms = 100};
    for (char *rest, *address = strtok_r(addresses, ",", &rest);
         address != NULL && options.address_count < ADDRESSES_MAX;
         address = strtok_r(NULL, ",", &rest)) {
        list[options.address_count++] = address;
    }
    if (holdfast_client_new(&options, &holdfast, &failure) != HOLDFAST_CLIENT_OK) {
        die("--holdfast: %s", failure.text);
    }
}

const char *service_peer(const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < peer_count; i++) {
        if (strncmp(peers[i], name, length) == 0 && peers[i][length] == '=') {
            return peers[i] + length + 1;
        }
    }
    die("--peer %s=ADDRESS is needed", name);
}

const char *request_text(struct request *request, const char *name)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:_-";
    const char *value =
        MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
    size_t length = value == NULL ? 0 : strspn(value, plain);
    bool good = value != NULL && value[length] == '\0' && length <= PARAMETER_BYTES_MAX;
    return good ? value : "";
}

long long request_number(struct request *request, const char *name)
{
    const char *text = request_text(request, name);
    size_t digits = strspn(text, "0123456789");
    bool whole = digits > 0 && digits <= NUMBER_DIGITS && text[digits] == '\0';
    return whole ? strtoll(text, NULL, 10) : -1;
}

const char *request_header(struct request *request, const char *name)
{
    const char *value = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
    return value == NULL ? "" : value;
}

const char *request_body(struct request *request)
{
    return request->body;
}

void respond(struct request *request, int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    request->status = status;
    (void)vsnprintf(request->text, sizeof(request->text), format, arguments);
    va_end(arguments);
}

static void handle(struct request *request, const char *method, const char *path)
{
    respond(request, 404, "no such path");
    for (size_t i = 0; i < route_count; i++) {
        if (strcmp(routes[i].method, method) == 0 && strcmp(routes[i].path, path) == 0) {
            routes[i].handle(request);
            return;
        }
    }
}

static void take_body(struct request *request, const char *piece, size_t bytes)
{
    if (request->body_bytes + bytes <= BODY_BYTES_MAX) {
        memcpy(request->body + request->body_bytes, piece, bytes);
    }
    request->body_bytes += bytes;
}

static enum MHD_Result answer(struct request *request)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(request->text), request->text, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    enum MHD_Result result =
        MHD_queue_response(request->connection, (unsigned)request->status, response);
    MHD_destroy_response(response);
    return result;
}

/* libmicrohttpd calls this once for the head, then for pieces of a body, then at the end. */
static enum MHD_Result serve(void *context, struct MHD_Connection *connection, const char *path,
                             const char *method, const char *version, const char *upload,
                             size_t *upload_size, void **state)
{
    struct request *request = *state;
    (void)context, (void)version;
    if (request == NULL) {
        request = calloc(1, sizeof(*request));
        *state = request;
        return request == NULL ? MHD_NO : MHD_YES;
    }
    if (*upload_size > 0) {
        take_body(request, upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    request->connection = connection;
    if (request->body_bytes > BODY_BYTES_MAX) {
        respond(request, 413, "a body has at most %d bytes", BODY_BYTES_MAX);
    } else {
        handle(request, method, path);
    }
    return answer(request);
}

static void forget(void *context, struct MHD_Connection *connection, void **state,
                   enum MHD_RequestTerminationCode code)
{
    (void)context, (void)connection, (void)code;
    free(*state);
    *state = NULL;
}

static unsigned long parse_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"naive", no_argument, NULL, 'n'},          {"port", required_argument, NULL, 'p'},
        {"database", required_argument, NULL, 'd'}, {"holdfast", required_argument, NULL, 'h'},
        {"peer", required_argument, NULL, 'e'},     {"deaths", required_argument, NULL, 'k'},
        {"mended", no_argument, NULL, 'm'},         {NULL, 0, NULL, 0},
    };
    unsigned long port = 0;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'n':
            settings.naive = true;
            break;
        case 'p':
            port = strtoul(optarg, NULL, 10);
            break;
        case 'd':
            settings.database = optarg;
            break;
        case 'h':
            connect_holdfast(optarg);
            break;
        case 'k':
            settings.deaths = optarg;
            break;
        case 'm':
            settings.mended = true;
            break;
        case 'e':
            if (peer_count == PEERS_MAX) {
                die("at most %d peers", PEERS_MAX);
            }
            peers[peer_count++] = optarg;
            break;
        default:
            exit(2);
        }
    }
    if (port > UINT16_MAX || (settings.database == NULL && (settings.naive || holdfast == NULL))) {
        die("usage: %s [--naive] --database FILE | --holdfast URL[,URL]  [--port N] "
            "[--peer NAME=ADDRESS]...",
            argv[0]);
    }
    return port;
}

void service_at_start(void (*begin)(void))
{
    at_start = begin;
}

int service_run(int argc, char **argv, const struct route *service_routes, size_t count)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)parse_options(argc, argv));
    routes = service_routes;
    route_count = count;
    (void)signal(SIGPIPE, SIG_IGN);
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ERROR_LOG, 0,
        NULL, NULL, serve, NULL, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_LISTENING_ADDRESS_REUSE,
        1u, MHD_OPTION_LISTEN_BACKLOG_SIZE, 512u, MHD_OPTION_NOTIFY_COMPLETED, forget, NULL,
        MHD_OPTION_END);
    if (daemon == NULL) {
        die("%s: can't listen", argv[0]);
    }
    (void)printf("listening %u\n", MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    (void)fflush(stdout);
    if (at_start != NULL) {
        at_start();
    }
    for (;;) {
        (void)pause();
    }
}
