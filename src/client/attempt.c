/* One request to one address, and what came of it. */
#include <strings.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/json.h"
#include "client/client_priv.h"

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
    struct hf_client_attempt *attempt = context;
    size_t bytes = size * count;
    if (bytes > attempt->body_bytes_max - attempt->body.size_bytes) {
        return CURL_WRITEFUNC_ERROR;
    }
    hf_buffer_bytes(&attempt->body, data, bytes);
    attempt->no_memory = attempt->body.failed;
    return attempt->body.failed ? CURL_WRITEFUNC_ERROR : bytes;
}

/* When a kept connection ends without a byte of an answer, libcurl goes on by itself: it would send the request once
 * more, on a new connection. The sending before may have been done, and this one's answer, 429 or 403, would be taken for
 * the whole truth. So an attempt sends once; another one follows, on the next address. */
static bool is_sent_again(struct hf_client_attempt *attempt)
{
    attempt->cut = attempt->sent;
    return attempt->cut;
}

/* libcurl needs a new connection. The form is libcurl's. */
static curl_socket_t before_connecting(void *context, curlsocktype purpose,
                                       struct curl_sockaddr *address)
{
    (void)purpose;
    return is_sent_again(context)
               ? CURL_SOCKET_BAD
               : socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* libcurl is about to send on a connection that stands, a new one or another kept one: from here on the server may
 * have the request. The form is libcurl's. */
// NOLINTNEXTLINE(readability-non-const-parameter)
static int before_sending(void *context, char *address, char *local_address, int port,
                          int local_port)
{
    struct hf_client_attempt *attempt = context;
    (void)address;
    (void)local_address;
    (void)port;
    (void)local_port;
    if (is_sent_again(attempt)) {
        return CURL_PREREQFUNC_ABORT;
    }
    attempt->sent = true;
    return CURL_PREREQFUNC_OK;
}

static CURLcode set_request(struct holdfast_client *client, CURL *easy,
                            const struct hf_client_message *message,
                            const struct hf_client_address *address, uint64_t timeout_ms,
                            struct hf_client_attempt *attempt)
{
    CURLcode code = CURLE_OK;
    struct hf_buffer url;
    hf_buffer_init(&url);
    hf_buffer_text(&url, address->base);
    hf_buffer_text(&url, message->path);
    hf_buffer_u8(&url, 0);
    if (url.failed) {
        hf_buffer_release(&url);
        return CURLE_OUT_OF_MEMORY;
    }
#define SET(option, value)                                                                         \
    do {                                                                                           \
        code = code == CURLE_OK ? curl_easy_setopt(easy, option, value) : code;                    \
    } while (0)
    SET(CURLOPT_URL, (const char *)url.data);
    SET(CURLOPT_UNIX_SOCKET_PATH, address->socket);
    SET(CURLOPT_HTTPHEADER, message->headers);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)hf_min_u64(client->connect_timeout_ms, timeout_ms));
    SET(CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, attempt);
    SET(CURLOPT_OPENSOCKETFUNCTION, before_connecting);
    SET(CURLOPT_OPENSOCKETDATA, attempt);
    SET(CURLOPT_PREREQFUNCTION, before_sending);
    SET(CURLOPT_PREREQDATA, attempt);
    bool head = strcmp(message->method, "HEAD") == 0;
    bool bare = message->body == NULL && strcmp(message->method, "POST") != 0;
    SET(CURLOPT_POSTFIELDS, NULL);
    SET(CURLOPT_NOBODY, head ? 1L : 0L);
    if (!head && bare) {
        SET(CURLOPT_HTTPGET, 1L);
    } else if (!head) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)message->body_bytes);
        SET(CURLOPT_POSTFIELDS, message->body == NULL ? "" : message->body);
    }
    SET(CURLOPT_CUSTOMREQUEST, message->method);
#undef SET
    hf_buffer_release(&url); /* libcurl has its own copy */
    return code;
}

/* ---- what came of it ---- */

/* A header that stands once, else NULL. It lives until the next use of the handle. */
static const char *header(CURL *easy, const char *name)
{
    struct curl_header *found = NULL;
    return curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK &&
                   found->amount == 1
               ? found->value
               : NULL;
}

static void copy_header(CURL *easy, const char *name, char *to, size_t to_bytes)
{
    const char *value = header(easy, name);
    bool fits = value != NULL && strlen(value) < to_bytes;
    (void)snprintf(to, to_bytes, "%s", fits ? value : "");
}

static bool is_json(const char *content_type)
{
    size_t length = strcspn(content_type, "; \t");
    struct hf_str type = {content_type, length};
    return hf_str_equal(type, HF_STR("application/json")) ||
           hf_str_equal(type, HF_STR("application/problem+json"));
}

static void read_headers(CURL *easy, struct hf_client_attempt *attempt)
{
    curl_off_t seconds = 0;
    uint64_t position;
    copy_header(easy, "content-type", attempt->content_type, sizeof(attempt->content_type));
    copy_header(easy, "etag", attempt->etag, sizeof(attempt->etag));
    const char *replayed = header(easy, "idempotent-replayed");
    attempt->replayed = replayed != NULL && strcmp(replayed, "true") == 0;
    const char *text = header(easy, "holdfast-position");
    if (text != NULL && hf_json_integer(hf_str_from(text), &position)) {
        attempt->position = position;
    }
    if (curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK && seconds > 0) {
        attempt->retry_after_ms = hf_min_u64((uint64_t)seconds, 86400) * 1000;
    }
}

/* Is the end of the answer known from its head, and is its JSON whole? */
static bool is_whole(CURL *easy, const char *method, const struct hf_client_attempt *attempt)
{
    if (attempt->status == 204 || attempt->status == 304 || strcmp(method, "HEAD") == 0) {
        return true;
    }
    if (header(easy, "content-length") == NULL && header(easy, "transfer-encoding") == NULL) {
        return false;
    }
    struct hf_str body = {(const char *)attempt->body.data, attempt->body.size_bytes};
    return !is_json(attempt->content_type) ||
           (body.len > 0 && hf_json_validate(body, NULL) == HF_ERR_OK);
}

static void read_code(struct hf_client_attempt *attempt)
{
    if (attempt->status < 400 || !is_json(attempt->content_type)) {
        return;
    }
    struct hf_arena arena;
    bool string = false;
    struct hf_str body = {(const char *)attempt->body.data, attempt->body.size_bytes};
    hf_arena_init(&arena);
    struct hf_str code = hf_client_json_find(body, "/code", &arena, &string);
    if (string && code.len < sizeof(attempt->code)) {
        (void)snprintf(attempt->code, sizeof(attempt->code), "%.*s", (int)code.len, code.ptr);
    }
    hf_arena_release(&arena);
}

static enum hf_client_outcome judge_status(const struct hf_client_attempt *attempt)
{
    int status = attempt->status;
    if ((status >= 200 && status < 300) || status == 304) {
        return HF_CLIENT_DEFINITE;
    }
    if (status < 400) {
        return HF_CLIENT_HOPELESS; /* a redirect: this is no Holdfast */
    }
    if (status == 429 || (status == 503 && (strcmp(attempt->code, "not_ready") == 0 ||
                                            strcmp(attempt->code, "read_only") == 0))) {
        return HF_CLIENT_NOTHING_DONE;
    }
    return status == 408 || status >= 500 ? HF_CLIENT_MAYBE_DONE : HF_CLIENT_DEFINITE;
}

static bool is_other(const struct hf_client_check *check, const struct hf_client_attempt *attempt)
{
    return check != NULL && attempt->outcome == HF_CLIENT_DEFINITE && attempt->status < 400 &&
           !check->fits(attempt, check->context);
}

static void judge_answer(CURL *easy, const struct hf_client_message *message,
                         struct hf_client_attempt *attempt)
{
    long status = 0;
    HF_CHECK(curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK);
    attempt->status = (int)status;
    read_headers(easy, attempt);
    if (!is_whole(easy, message->method, attempt)) {
        attempt->outcome = HF_CLIENT_MAYBE_DONE;
        (void)snprintf(attempt->text, sizeof(attempt->text),
                       "status %ld, but its body is not whole", status);
        return;
    }
    read_code(attempt);
    attempt->outcome = judge_status(attempt);
    if (is_other(message->check, attempt)) {
        attempt->outcome = HF_CLIENT_MAYBE_DONE;
        (void)snprintf(attempt->text, sizeof(attempt->text),
                       "status %ld, but its body is no answer to this request", status);
        return;
    }
    (void)snprintf(attempt->text, sizeof(attempt->text), "status %ld%s%s", status,
                   attempt->outcome == HF_CLIENT_HOPELESS ? ": a redirect, which is not followed"
                   : attempt->code[0] == '\0'             ? ""
                                                          : " ",
                   attempt->code);
}

static void judge_error(CURLcode code, const char *error, struct hf_client_attempt *attempt)
{
    bool settings = code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
                    code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL;
    attempt->no_memory = attempt->no_memory || code == CURLE_OUT_OF_MEMORY;
    attempt->outcome = attempt->sent ? HF_CLIENT_MAYBE_DONE
                       : settings    ? HF_CLIENT_HOPELESS
                                     : HF_CLIENT_NOTHING_DONE;
    attempt->status = 0;
    if (code == CURLE_WRITE_ERROR && !attempt->no_memory) {
        (void)snprintf(attempt->text, sizeof(attempt->text), "the answer has more than %zu bytes",
                       attempt->body_bytes_max);
    } else {
        (void)snprintf(attempt->text, sizeof(attempt->text), "%s",
                       attempt->no_memory ? "out of memory"
                       : attempt->cut     ? "the kept connection ended without an answer"
                       : error[0] != '\0' ? error
                                          : curl_easy_strerror(code));
    }
}

void hf_client_try(struct holdfast_client *client, struct hf_client_connection *connection,
                   const struct hf_client_address *address, const struct hf_client_message *message,
                   uint64_t timeout_ms, struct hf_client_attempt *attempt)
{
    struct hf_buffer body = attempt->body;
    hf_buffer_clear(&body);
    *attempt = (struct hf_client_attempt){.body = body, .body_bytes_max = client->answer_bytes_max};
    connection->error[0] = '\0';
    CURLcode code = set_request(client, connection->easy, message, address, timeout_ms, attempt);
    if (code == CURLE_OK) {
        code = curl_easy_perform(connection->easy);
    }
    if (code == CURLE_OK) {
        judge_answer(connection->easy, message, attempt);
    } else {
        judge_error(code, connection->error, attempt);
    }
}
