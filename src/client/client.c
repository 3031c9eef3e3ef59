/* A client: its settings, and the connections that calls borrow. */
#include "client/client_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/random.h>
#include <sys/un.h>

#include "base/alloc.h"
#include "base/check.h"

#define IDLE_SECONDS_MAX 60L /* below the server's 75 s: it should not be the one who closes */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static bool curl_ready;

static void start_curl(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

const char *holdfast_client_version(void)
{
    return HF_CLIENT_VERSION;
}

enum holdfast_client_error hf_client_fail(struct holdfast_client_failure *failure,
                                          enum holdfast_client_error error, const char *format, ...)
{
    if (failure != NULL) {
        va_list arguments;
        failure->error = error;
        va_start(arguments, format);
        (void)vsnprintf(failure->text, sizeof(failure->text), format, arguments);
        va_end(arguments);
    }
    return error;
}

uint64_t hf_client_now_ms(void)
{
    struct timespec now;
    HF_CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void hf_client_sleep_ms(uint64_t ms)
{
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

void hf_client_random(void *bytes, size_t size_bytes)
{
    /* Up to 256 bytes come whole, once the kernel's pool is ready; only a signal before that interrupts. */
    ssize_t got;
    HF_CHECK(size_bytes <= 256);
    do {
        got = getrandom(bytes, size_bytes, 0);
    } while (got < 0 && errno == EINTR);
    HF_CHECK(got == (ssize_t)size_bytes);
}

bool hf_client_thread(pthread_t *thread, void *(*run)(void *context), void *context)
{
    sigset_t all;
    sigset_t before;
    HF_CHECK(sigfillset(&all) == 0);
    HF_CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    bool ok = pthread_create(thread, NULL, run, context) == 0;
    HF_CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return ok;
}

/* ---- settings ---- */

/* prefix + text; NULL if memory is short. */
static char *join(const char *prefix, const char *text)
{
    size_t prefix_bytes = strlen(prefix);
    size_t bytes = strlen(text);
    char *copy = hf_malloc(prefix_bytes + bytes + 1);
    if (copy != NULL) {
        memcpy(copy, prefix, prefix_bytes);
        memcpy(copy + prefix_bytes, text, bytes + 1);
    }
    return copy;
}

static bool printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < 0x21 || *text > 0x7E) {
            return false;
        }
    }
    return true;
}

/* Is there something in this part of the URL? */
static bool has_part(CURLU *url, CURLUPart part, const char *but)
{
    char *text = NULL;
    bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK && strcmp(text, but) != 0;
    curl_free(text);
    return has;
}

/* scheme://host[:port] and nothing else? */
static bool is_base(const char *text)
{
    CURLU *url = curl_url();
    bool http = strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
    bool ok = url != NULL && http && printable(text) &&
              curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
              !has_part(url, CURLUPART_USER, "") && !has_part(url, CURLUPART_PASSWORD, "") &&
              !has_part(url, CURLUPART_PATH, "/") && !has_part(url, CURLUPART_QUERY, "") &&
              !has_part(url, CURLUPART_FRAGMENT, "");
    curl_url_cleanup(url);
    return ok;
}

static enum holdfast_client_error set_address(struct hf_client_address *address, const char *text,
                                              struct holdfast_client_failure *failure)
{
    bool local = text != NULL && strncmp(text, "unix:", 5) == 0;
    if (text == NULL || (local && text[5] == '\0') || (!local && !is_base(text))) {
        return hf_client_fail(failure, HOLDFAST_CLIENT_INVALID,
                              "address %s: wanted http://HOST:PORT, https://HOST or unix:PATH",
                              text == NULL ? "(none)" : text);
    }
    if (local && strlen(text + 5) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
        return hf_client_fail(failure, HOLDFAST_CLIENT_INVALID, "address %s: the path is too long",
                              text);
    }
    address->given = join("", text);
    address->base = join("", local ? "http://localhost" : text);
    address->socket = local ? join("", text + 5) : NULL;
    if (address->given == NULL || address->base == NULL || (local && address->socket == NULL)) {
        return hf_client_fail(failure, HOLDFAST_CLIENT_NO_MEMORY, "out of memory");
    }
    size_t bytes = strlen(address->base);
    if (address->base[bytes - 1] == '/') {
        address->base[bytes - 1] = '\0';
    }
    return HOLDFAST_CLIENT_OK;
}

static enum holdfast_client_error set_texts(struct holdfast_client *client,
                                            const struct holdfast_client_options *options,
                                            struct holdfast_client_failure *failure)
{
    const char *agent =
        options->user_agent == NULL ? "holdfast-client/" HF_CLIENT_VERSION : options->user_agent;
    if (options->token != NULL && (options->token[0] == '\0' || !printable(options->token))) {
        return hf_client_fail(failure, HOLDFAST_CLIENT_INVALID,
                              "token: it is empty or has a blank or line end in it");
    }
    for (const char *c = agent; *c != '\0'; c++) {
        if (*c < 0x20 || *c > 0x7E) {
            return hf_client_fail(failure, HOLDFAST_CLIENT_INVALID, "user_agent: not printable");
        }
    }
    client->user_agent = join("", agent);
    client->authorization =
        options->token == NULL ? NULL : join("Authorization: Bearer ", options->token);
    client->ca_file = options->ca_file == NULL ? NULL : join("", options->ca_file);
    if (client->user_agent == NULL || (options->token != NULL && client->authorization == NULL) ||
        (options->ca_file != NULL && client->ca_file == NULL)) {
        return hf_client_fail(failure, HOLDFAST_CLIENT_NO_MEMORY, "out of memory");
    }
    return HOLDFAST_CLIENT_OK;
}

static uint64_t or_default(uint64_t value, uint64_t fallback)
{
    return value == 0 ? fallback : value;
}

static uint64_t ms_or_default(uint64_t value, uint64_t fallback)
{
    return hf_min_u64(or_default(value, fallback), HF_CLIENT_MS_MAX);
}

static enum holdfast_client_error set_all(struct holdfast_client *client,
                                          const struct holdfast_client_options *options,
                                          struct holdfast_client_failure *failure)
{
    client->connect_timeout_ms = ms_or_default(options->connect_timeout_ms, 2000);
    client->request_timeout_ms = ms_or_default(options->request_timeout_ms, 10000);
    client->total_timeout_ms = ms_or_default(options->total_timeout_ms, 60000);
    client->backoff_first_ms = ms_or_default(options->backoff_first_ms, 20);
    client->backoff_max_ms = ms_or_default(options->backoff_max_ms, 2000);
    client->answer_bytes_max = (size_t)or_default(options->answer_bytes_max, 64u << 20);
    client->idle_max = (unsigned)or_default(options->idle_max, 64);
    client->proxy_from_environment = options->proxy_from_environment;
    client->on_retry = options->on_retry;
    client->on_retry_context = options->on_retry_context;
    enum holdfast_client_error error = set_texts(client, options, failure);
    for (size_t i = 0; error == HOLDFAST_CLIENT_OK && i < options->address_count; i++) {
        client->address_count = i + 1; /* what is set of it will be freed */
        error = set_address(&client->addresses[i], options->addresses[i], failure);
    }
    return error;
}

enum holdfast_client_error holdfast_client_new(const struct holdfast_client_options *options,
                                               struct holdfast_client **client,
                                               struct holdfast_client_failure *failure)
{
    *client = NULL;
    if (failure != NULL) {
        *failure = (struct holdfast_client_failure){0};
    }
    HF_CHECK(pthread_once(&curl_once, start_curl) == 0);
    if (options->addresses == NULL || options->address_count < 1 ||
        options->address_count > HOLDFAST_CLIENT_ADDRESSES_MAX) {
        return hf_client_fail(failure, HOLDFAST_CLIENT_INVALID, "addresses: from 1 to %d",
                              HOLDFAST_CLIENT_ADDRESSES_MAX);
    }
    struct holdfast_client *made = hf_calloc(1, sizeof(*made));
    if (made == NULL || !curl_ready) {
        hf_free(made);
        return hf_client_fail(failure, HOLDFAST_CLIENT_NO_MEMORY, "out of memory");
    }
    HF_CHECK(pthread_mutex_init(&made->mutex, NULL) == 0);
    enum holdfast_client_error error = set_all(made, options, failure);
    if (error != HOLDFAST_CLIENT_OK) {
        holdfast_client_free(made);
        return error;
    }
    *client = made;
    return HOLDFAST_CLIENT_OK;
}

static void free_connection(struct hf_client_connection *connection)
{
    curl_easy_cleanup(connection->easy);
    hf_free(connection);
}

void holdfast_client_free(struct holdfast_client *client)
{
    if (client == NULL) {
        return;
    }
    while (client->idle != NULL) {
        struct hf_client_connection *connection = client->idle;
        client->idle = connection->next;
        free_connection(connection);
    }
    for (size_t i = 0; i < client->address_count; i++) {
        hf_free(client->addresses[i].given);
        hf_free(client->addresses[i].base);
        hf_free(client->addresses[i].socket);
    }
    if (client->authorization != NULL) {
        explicit_bzero(client->authorization, strlen(client->authorization));
    }
    hf_free(client->authorization);
    hf_free(client->ca_file);
    hf_free(client->user_agent);
    HF_CHECK(pthread_mutex_destroy(&client->mutex) == 0);
    hf_free(client);
}

/* ---- connections ---- */

/* Settings that are the same for every request. false: memory is short. */
static bool set_up(const struct holdfast_client *client, struct hf_client_connection *connection)
{
    CURL *easy = connection->easy;
    CURLcode code = CURLE_OK;
#define SET(option, value)                                                                         \
    do {                                                                                           \
        code = code == CURLE_OK ? curl_easy_setopt(easy, option, value) : code;                    \
    } while (0)
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_MAXAGE_CONN, IDLE_SECONDS_MAX);
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_ERRORBUFFER, connection->error);
    SET(CURLOPT_USERAGENT, client->user_agent);
    if (!client->proxy_from_environment) {
        SET(CURLOPT_PROXY, "");
    }
    if (client->ca_file != NULL) {
        SET(CURLOPT_CAINFO, client->ca_file);
        SET(CURLOPT_CAPATH, NULL); /* nobody else */
    }
#undef SET
    return code == CURLE_OK;
}

struct hf_client_connection *hf_client_take(struct holdfast_client *client)
{
    HF_CHECK(pthread_mutex_lock(&client->mutex) == 0);
    struct hf_client_connection *connection = client->idle;
    if (connection != NULL) {
        client->idle = connection->next;
        client->idle_count--;
    }
    HF_CHECK(pthread_mutex_unlock(&client->mutex) == 0);
    if (connection != NULL) {
        return connection;
    }
    connection = hf_calloc(1, sizeof(*connection));
    if (connection == NULL) {
        return NULL;
    }
    connection->easy = curl_easy_init();
    if (connection->easy == NULL || !set_up(client, connection)) {
        free_connection(connection);
        return NULL;
    }
    return connection;
}

void hf_client_give_back(struct holdfast_client *client, struct hf_client_connection *connection)
{
    HF_CHECK(pthread_mutex_lock(&client->mutex) == 0);
    bool keep = client->idle_count < client->idle_max;
    if (keep) {
        connection->next = client->idle;
        client->idle = connection;
        client->idle_count++;
    }
    HF_CHECK(pthread_mutex_unlock(&client->mutex) == 0);
    if (!keep) {
        free_connection(connection);
    }
}
