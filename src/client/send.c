/*
 * Sending until the answer is definite.
 *
 *   round      every address once, beginning with the one that answered last; then a wait, then the next round
 *   definite   2xx, 304, 4xx but 408 and 429: the answer
 *   nothing    no connection, 429, not_ready, read_only: again
 *   maybe      anything else behind a sent request: again, and the call is UNKNOWN if the time ends
 *   hopeless   settings are wrong: the address is left out; if all of a round are, the call ends
 */
#include "base/check.h"
#include "client/client_priv.h"

#define HEADERS_BYTES_MAX 1024 /* of one header line that the caller gives parts of */

struct sending {
    struct holdfast_client *client;
    struct hf_client_connection *connection;
    struct hf_client_message message;
    const char *key; /* "" = none */
    bool changes;    /* else it is a read */
    uint64_t deadline_ms;
    uint64_t request_ms; /* of one attempt */
    size_t first;        /* index of the round's first address */
    size_t tried;        /* addresses of this round that had their turn */
    size_t hopeless;     /* of those */
    size_t last;         /* index of the address asked last */
    uint64_t backoff_ms; /* before the next round */
    uint64_t not_before_ms[HOLDFAST_CLIENT_ADDRESSES_MAX]; /* by Retry-After */
    bool maybe_done;                                       /* by an attempt of this call */
    unsigned attempts;
    struct hf_client_attempt attempt; /* the last one */
};

/* ---- the request's headers ---- */

static bool visible(const char *text, const char *but)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < 0x21 || *c > 0x7E || strchr(but, *c) != NULL) {
            return false;
        }
    }
    return true;
}

/* A header's value that may have blanks in it, but no line end. */
static bool one_line(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < 0x20 || *c > 0x7E) {
            return false;
        }
    }
    return true;
}

static bool add_line(struct curl_slist **headers, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*headers, line);
    if (longer == NULL) {
        return false;
    }
    *headers = longer;
    return true;
}

/* before + value + after as a line. value NULL: nothing to do. */
static bool add_header(struct curl_slist **headers, const char *before, const char *value,
                       const char *after)
{
    char line[HEADERS_BYTES_MAX];
    if (value == NULL) {
        return true;
    }
    int length = snprintf(line, sizeof(line), "%s%s%s", before, value, after);
    return length > 0 && (size_t)length < sizeof(line) && add_line(headers, line);
}

static bool is_read(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

/* NULL: all is well; else what is wrong, static. */
static const char *wrong_argument(const struct holdfast_client_request *request,
                                  const struct holdfast_client_call *call)
{
    const struct {
        const char *value, *what;
    } lines[] = {
        {request->content_type, "content_type: a line end or more than 256 bytes"},
        {request->accept, "accept: a line end or more than 256 bytes"},
        {call->if_match, "if_match: a line end or more than 256 bytes"},
        {call->if_none_match, "if_none_match: a line end or more than 256 bytes"},
    };
    if (request->method == NULL || request->method[0] == '\0' || strlen(request->method) > 16 ||
        !visible(request->method, "()<>@,;:\\\"/[]?={}")) {
        return "method: missing, or no HTTP method";
    }
    if (request->path == NULL || request->path[0] != '/' || !visible(request->path, "#\\\"")) {
        return "path: must begin with / and be percent-encoded";
    }
    if (request->body == NULL && request->body_bytes > 0) {
        return "body: missing";
    }
    for (size_t i = 0; i < HF_ARRAY_COUNT(lines); i++) {
        if (lines[i].value != NULL && (!one_line(lines[i].value) || strlen(lines[i].value) > 256)) {
            return lines[i].what;
        }
    }
    const char *key = call->key;
    if (key != NULL &&
        (key[0] == '\0' || strlen(key) >= HOLDFAST_CLIENT_KEY_BYTES || !visible(key, "\"\\"))) {
        return "key: 1 to 255 characters of U+0021 to U+007E without quotes and backslashes";
    }
    return NULL;
}

static bool make_headers(struct sending *sending, const struct holdfast_client_request *request,
                         const struct holdfast_client_call *call)
{
    struct curl_slist **headers = &sending->message.headers;
    const char *type = request->content_type;
    if (request->body == NULL) {
        type = NULL;
    } else if (type == NULL) {
        type = "application/json";
    }
    bool ok = (type != NULL || add_line(headers, "Content-Type:")) && /* libcurl's own: none */
              add_line(headers, "Expect:") &&
              (sending->client->authorization == NULL ||
               add_line(headers, sending->client->authorization));
    ok = ok && add_header(headers, "Content-Type: ", type, "");
    ok = ok && add_header(headers, "Accept: ", request->accept, "");
    ok = ok && add_header(headers, "If-Match: ", call->if_match, "");
    ok = ok && add_header(headers, "If-None-Match: ", call->if_none_match, "");
    return ok && (sending->key[0] == '\0' ||
                  add_header(headers, "Idempotency-Key: \"", sending->key, "\""));
}

void hf_client_make_key(char key[HOLDFAST_CLIENT_KEY_BYTES])
{
    uint8_t bytes[16];
    hf_client_random(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        (void)snprintf(key + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* ---- attempts ---- */

static size_t address_now(const struct sending *sending)
{
    return (sending->first + sending->tried) % sending->client->address_count;
}

/* Half of the backoff and a random part of the other half. */
static uint64_t jittered(uint64_t backoff_ms)
{
    uint64_t random;
    hf_client_random(&random, sizeof(random));
    return backoff_ms / 2 + random % (backoff_ms - backoff_ms / 2 + 1);
}

/* On to the next address; behind the last one a new round. Gives the time until it may be asked. */
static uint64_t advance(struct sending *sending)
{
    uint64_t wait_ms = 0;
    uint64_t now_ms = hf_client_now_ms();
    if (sending->attempt.retry_after_ms > 0) {
        sending->not_before_ms[sending->last] = now_ms + sending->attempt.retry_after_ms;
    }
    if (++sending->tried == sending->client->address_count) {
        sending->tried = 0;
        sending->hopeless = 0;
        wait_ms = jittered(sending->backoff_ms);
        sending->backoff_ms = hf_min_u64(sending->backoff_ms * 2, sending->client->backoff_max_ms);
    }
    uint64_t not_before_ms = sending->not_before_ms[address_now(sending)];
    return hf_max_u64(wait_ms, not_before_ms > now_ms ? not_before_ms - now_ms : 0);
}

/* After an unknown outcome of a change only an answer that Holdfast itself gave to this very request is definite: not
 * the refusal of a token that was withdrawn meanwhile, nor something from a box in between. */
static bool is_definite(const struct sending *sending)
{
    const struct hf_client_attempt *attempt = &sending->attempt;
    if (attempt->outcome != HF_CLIENT_DEFINITE) {
        return false;
    }
    return !sending->maybe_done || !sending->changes || attempt->status < 400 ||
           (attempt->code[0] != '\0' && attempt->status != 401 && attempt->status != 403);
}

static void try_once(struct sending *sending)
{
    struct holdfast_client *client = sending->client;
    uint64_t now_ms = hf_client_now_ms();
    uint64_t left_ms = sending->deadline_ms > now_ms ? sending->deadline_ms - now_ms : 1;
    sending->attempts++;
    sending->last = address_now(sending);
    hf_client_try(client, sending->connection, &client->addresses[sending->last], &sending->message,
                  hf_min_u64(left_ms, sending->request_ms), &sending->attempt);
}

static enum holdfast_client_error give_up(const struct sending *sending, bool hopeless,
                                          struct holdfast_client_failure *failure)
{
    const struct hf_client_attempt *attempt = &sending->attempt;
    const char *address = sending->client->addresses[sending->last].given;
    bool unknown = sending->maybe_done && sending->changes;
    if (failure != NULL) {
        failure->status = attempt->status;
        failure->attempts = sending->attempts;
        (void)snprintf(failure->code, sizeof(failure->code), "%s", attempt->code);
    }
    if (unknown && sending->key[0] != '\0') {
        return hf_client_fail(failure, HOLDFAST_CLIENT_UNKNOWN,
                              "%s: %s; unknown after %u attempts: repeat with key %s", address,
                              attempt->text, sending->attempts, sending->key);
    }
    if (unknown) {
        return hf_client_fail(failure, HOLDFAST_CLIENT_UNKNOWN,
                              "%s: %s; unknown after %u attempts: perhaps done", address,
                              attempt->text, sending->attempts);
    }
    if (attempt->no_memory) {
        return hf_client_fail(failure, HOLDFAST_CLIENT_NO_MEMORY, "out of memory");
    }
    return hf_client_fail(
        failure, hopeless ? HOLDFAST_CLIENT_MISCONFIGURED : HOLDFAST_CLIENT_UNAVAILABLE,
        "%s: %s; gave up after %u attempt%s%s", address, attempt->text, sending->attempts,
        sending->attempts == 1 ? "" : "s", sending->changes ? ", nothing has changed" : "");
}

static void tell(const struct sending *sending, uint64_t wait_ms)
{
    struct holdfast_client *client = sending->client;
    if (client->on_retry != NULL) {
        struct holdfast_client_retry retry = {.address = client->addresses[sending->last].given,
                                              .key = sending->key,
                                              .text = sending->attempt.text,
                                              .status = sending->attempt.status,
                                              .attempts = sending->attempts,
                                              .wait_ms = wait_ms};
        client->on_retry(client->on_retry_context, &retry);
    }
}

static enum holdfast_client_error run(struct sending *sending,
                                      struct holdfast_client_answer **answer,
                                      struct holdfast_client_failure *failure)
{
    struct holdfast_client *client = sending->client;
    for (;;) {
        try_once(sending);
        if (is_definite(sending)) {
            atomic_store(&client->preferred, sending->last);
            *answer =
                hf_client_answer_new(&sending->attempt, sending->key,
                                     client->addresses[sending->last].given, sending->attempts);
            return *answer != NULL ? HOLDFAST_CLIENT_OK
                                   : hf_client_fail(failure, HOLDFAST_CLIENT_NO_MEMORY,
                                                    "out of memory for the answer");
        }
        enum hf_client_outcome outcome = sending->attempt.outcome;
        sending->hopeless += outcome == HF_CLIENT_HOPELESS;
        sending->maybe_done = sending->maybe_done || outcome == HF_CLIENT_MAYBE_DONE;
        bool hopeless = sending->hopeless == client->address_count && !sending->maybe_done;
        if (hopeless || sending->attempt.no_memory) {
            return give_up(sending, hopeless, failure);
        }
        uint64_t wait_ms = advance(sending);
        if (hf_client_now_ms() + wait_ms >= sending->deadline_ms) {
            return give_up(sending, false, failure);
        }
        tell(sending, wait_ms);
        hf_client_sleep_ms(wait_ms);
    }
}

enum holdfast_client_error hf_client_send(struct holdfast_client *client,
                                          const struct holdfast_client_call *call,
                                          const struct holdfast_client_request *request,
                                          const struct hf_client_check *check, bool *maybe_done,
                                          struct holdfast_client_answer **answer,
                                          struct holdfast_client_failure *failure)
{
    static const struct holdfast_client_call nothing = {0};
    struct holdfast_client_failure unwanted;
    char key[HOLDFAST_CLIENT_KEY_BYTES] = "";
    *answer = NULL;
    *maybe_done = false;
    call = call == NULL ? &nothing : call;
    failure = failure == NULL ? &unwanted : failure;
    *failure = (struct holdfast_client_failure){0};
    const char *wrong = wrong_argument(request, call);
    if (wrong != NULL) {
        return hf_client_fail(failure, HOLDFAST_CLIENT_INVALID, "%s", wrong);
    }
    bool changes = !is_read(request->method);
    if (changes && !request->no_key) {
        if (call->key == NULL) {
            hf_client_make_key(key);
        } else {
            (void)snprintf(key, sizeof(key), "%s", call->key);
        }
        (void)snprintf(failure->key, sizeof(failure->key), "%s", key);
    }
    uint64_t total_ms =
        call->total_timeout_ms == 0 ? client->total_timeout_ms : call->total_timeout_ms;
    uint64_t wait_ms = hf_min_u64(request->wait_ms, HF_CLIENT_MS_MAX);
    struct sending sending = {
        .client = client,
        .message = {.method = request->method,
                    .path = request->path,
                    .body = request->body,
                    .body_bytes = request->body_bytes,
                    .check = check},
        .key = key,
        .changes = changes,
        .deadline_ms =
            hf_client_now_ms() +
            hf_min_u64(hf_min_u64(total_ms, HF_CLIENT_MS_MAX) + wait_ms, HF_CLIENT_MS_MAX),
        .request_ms = hf_min_u64(client->request_timeout_ms + wait_ms, HF_CLIENT_MS_MAX),
        .first = atomic_load(&client->preferred),
        .backoff_ms = client->backoff_first_ms,
    };
    enum holdfast_client_error error;
    sending.connection = hf_client_take(client);
    if (sending.connection == NULL || !make_headers(&sending, request, call)) {
        error = hf_client_fail(failure, HOLDFAST_CLIENT_NO_MEMORY, "out of memory");
    } else {
        error = run(&sending, answer, failure);
    }
    failure->attempts = sending.attempts;
    *maybe_done = sending.maybe_done;
    curl_slist_free_all(sending.message.headers);
    hf_buffer_release(&sending.attempt.body);
    if (sending.connection != NULL) {
        hf_client_give_back(client, sending.connection);
    }
    return error;
}

enum holdfast_client_error holdfast_client_send(struct holdfast_client *client,
                                                const struct holdfast_client_call *call,
                                                const struct holdfast_client_request *request,
                                                struct holdfast_client_answer **answer,
                                                struct holdfast_client_failure *failure)
{
    bool maybe_done;
    return hf_client_send(client, call, request, NULL, &maybe_done, answer, failure);
}
