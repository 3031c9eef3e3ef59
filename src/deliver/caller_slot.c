/* One call: the handle's options, what comes of the answer, how it ended. */
#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/check.h"
#include "deliver/caller_curl_priv.h"

#define RECEIVE_BYTES  16384
#define DNS_CACHE_S    30
#define IDLE_S_MAX     90          /* a connection that was not used for longer is not used again */
#define KEPT_BYTES_MAX (64u << 10) /* of a spare slot's buffers */
#define DROPPED_BYTES_MAX                                                                          \
    (256u << 10) /* of an error's body that is read for the connection's sake */

/* ---- what libcurl calls ---- */

/* The address of a connection that is about to be made: judged here, whatever its name said before. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *peer)
{
    struct caller_slot *slot = context;
    struct hf_address address = {.ipv6 = peer->family == AF_INET6};
    if (purpose != CURLSOCKTYPE_IPCXN || (peer->family != AF_INET && peer->family != AF_INET6)) {
        slot->refusal = "no internet address";
        return CURL_SOCKET_BAD;
    }
    if (address.ipv6) {
        const struct sockaddr_in6 *in6 = (const void *)&peer->addr;
        memcpy(address.bytes, &in6->sin6_addr, 16);
    } else {
        const struct sockaddr_in *in4 = (const void *)&peer->addr;
        memcpy(address.bytes, &in4->sin_addr, 4);
    }
    const char *refusal = hf_address_refusal(&slot->caller->rules, &address);
    if (refusal != NULL) {
        slot->refusal = refusal;
        (void)inet_ntop(peer->family, address.bytes, slot->refused, sizeof(slot->refused));
        return CURL_SOCKET_BAD;
    }
    return socket(peer->family, peer->socktype | SOCK_CLOEXEC, peer->protocol);
}

static bool is_success(const struct caller_slot *slot)
{
    long status = 0;
    (void)curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
    return status >= 200 && status < 300;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct caller_slot *slot = context;
    size_t bytes = size * count;
    size_t most = (size_t)hf_min_u64(slot->call->answer_bytes_max, HF_CALL_ANSWER_BYTES_MAX);
    size_t room = most - slot->answer.size_bytes;
    size_t kept = bytes < room ? bytes : room;
    hf_buffer_bytes(&slot->answer, data, kept);
    if (kept == bytes) {
        return slot->answer.failed ? 0 : bytes;
    }
    if (!slot->call->cuts_answer && is_success(slot)) {
        slot->too_large = true;
        return 0;
    }
    slot->dropped_bytes += bytes - kept;
    slot->cut = slot->dropped_bytes > DROPPED_BYTES_MAX;
    return slot->cut ? 0 : bytes;
}

static bool has_name(struct hf_str line, struct hf_str name)
{
    return line.len > name.len && line.ptr[name.len] == ':' &&
           strncasecmp(line.ptr, name.ptr, name.len) == 0;
}

/* The first of a name counts; one that does not fit, or is no text, counts as absent. */
static void take_value(struct caller_value *value, struct hf_str line, size_t name_bytes)
{
    const char *at = line.ptr + name_bytes + 1;
    const char *end = line.ptr + line.len;
    while (at < end && (*at == ' ' || *at == '\t')) {
        at++;
    }
    while (end > at && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    size_t bytes = (size_t)(end - at);
    if (value->bytes != 0 || bytes >= sizeof(value->text)) {
        return;
    }
    for (size_t i = 0; i < bytes; i++) {
        if (at[i] < ' ' || at[i] > '~') {
            return;
        }
    }
    memcpy(value->text, at, bytes);
    value->text[bytes] = '\0';
    value->bytes = bytes;
}

static void forget_values(struct caller_slot *slot)
{
    struct caller_value *values[] = {&slot->outcome, &slot->location, &slot->type,
                                     &slot->retry_after};
    for (size_t i = 0; i < HF_ARRAY_COUNT(values); i++) {
        values[i]->bytes = 0;
        values[i]->text[0] = '\0';
    }
}

static size_t on_header(char *data /* NOLINT */, size_t size, size_t count, void *context)
{
    struct caller_slot *slot = context;
    struct hf_str line = {data, size * count};
    const struct {
        struct hf_str name;
        struct caller_value *value;
    } known[] = {
        {HF_STR("saga-outcome"), &slot->outcome},
        {HF_STR("location"), &slot->location},
        {HF_STR("content-type"), &slot->type},
        {HF_STR("retry-after"), &slot->retry_after},
    };
    if (line.len > 5 && memcmp(line.ptr, "HTTP/", 5) == 0) {
        forget_values(slot); /* a 100's are not the answer's */
    }
    for (size_t i = 0; i < HF_ARRAY_COUNT(known); i++) {
        if (has_name(line, known[i].name)) {
            take_value(known[i].value, line, known[i].name.len);
        }
    }
    return line.len;
}

/* ---- life ---- */

static bool set_safety(CURL *easy, const struct hf_caller_curl *caller)
{
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           (caller->ca_file == NULL ||
            curl_easy_setopt(easy, CURLOPT_CAINFO, caller->ca_file) == CURLE_OK);
}

static bool set_transport(CURL *easy)
{
    return curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BYTES) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, (long)DNS_CACHE_S) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)IDLE_S_MAX) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_USERAGENT, "holdfast") == CURLE_OK;
}

static bool set_functions(struct caller_slot *slot)
{
    CURL *easy = slot->easy;
    return curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, slot) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, slot) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, slot) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, slot->error) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PRIVATE, slot) == CURLE_OK;
}

struct caller_slot *caller_slot_new(struct hf_caller_curl *caller)
{
    struct caller_slot *slot = hf_calloc(1, sizeof(*slot));
    if (slot == NULL) {
        return NULL;
    }
    slot->caller = caller;
    hf_buffer_init(&slot->url);
    hf_buffer_init(&slot->lines);
    hf_buffer_init(&slot->answer);
    slot->easy = curl_easy_init();
    if (slot->easy == NULL || !set_safety(slot->easy, caller) || !set_transport(slot->easy) ||
        !set_functions(slot)) {
        caller_slot_free(slot);
        return NULL;
    }
    return slot;
}

void caller_slot_free(struct caller_slot *slot)
{
    if (slot->easy != NULL) {
        curl_easy_cleanup(slot->easy);
    }
    hf_buffer_release(&slot->url);
    hf_buffer_release(&slot->lines);
    hf_buffer_release(&slot->answer);
    hf_free(slot);
}

static void clear_buffer(struct hf_buffer *buffer)
{
    if (buffer->capacity_bytes > KEPT_BYTES_MAX) {
        hf_buffer_release(buffer);
        hf_buffer_init(buffer);
    }
}

void caller_slot_clear(struct caller_slot *slot)
{
    slot->call = NULL;
    clear_buffer(&slot->lines);
    clear_buffer(&slot->answer);
}

/* ---- a call begins ---- */

static bool is_header_text(struct hf_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((text.ptr[i] < ' ' && text.ptr[i] != '\t') || text.ptr[i] == 127) {
            return false;
        }
    }
    return true;
}

/* "Name: value"; an empty value as "Name;", which is how libcurl is told that it is meant so. */
static bool put_line(struct hf_buffer *lines, struct hf_str name, struct hf_str value)
{
    if (name.len == 0 || !is_header_text(name) || !is_header_text(value)) {
        return false;
    }
    hf_buffer_bytes(lines, name.ptr, name.len);
    hf_buffer_text(lines, value.len == 0 ? ";" : ": ");
    hf_buffer_bytes(lines, value.ptr, value.len);
    hf_buffer_u8(lines, '\0');
    return true;
}

/* The list over the lines: libcurl reads it until the call ends, and copies nothing. */
static void link_headers(struct caller_slot *slot, size_t count)
{
    char *at = (char *)slot->lines.data;
    for (size_t i = 0; i < count; i++) {
        slot->headers[i].data = at;
        slot->headers[i].next = i + 1 < count ? &slot->headers[i + 1] : NULL;
        at += strlen(at) + 1;
    }
}

static const char *begin_headers(struct caller_slot *slot, const struct hf_call *call)
{
    size_t count = 1;
    if (call->header_count > HF_CALL_HEADERS_MAX) {
        return "more than 64 headers";
    }
    hf_buffer_clear(&slot->lines);
    hf_buffer_bytes(&slot->lines, "Expect:", sizeof("Expect:")); /* never wait for a 100 */
    if (!call->get && call->content_type.len > 0) {
        if (!put_line(&slot->lines, HF_STR("Content-Type"), call->content_type)) {
            return "the content type has a character that no header may have";
        }
        count++;
    }
    for (size_t i = 0; i < call->header_count; i++, count++) {
        if (!put_line(&slot->lines, call->headers[i].name, call->headers[i].value)) {
            return "a header has a character that no header may have";
        }
    }
    if (slot->lines.failed) {
        return "out of memory";
    }
    link_headers(slot, count);
    return curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER, slot->headers) == CURLE_OK
               ? NULL
               : "out of memory";
}

static bool begin_method(struct caller_slot *slot, const struct hf_call *call)
{
    if (call->get) {
        bool set = slot->is_get || curl_easy_setopt(slot->easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
        slot->is_get = true;
        return set;
    }
    slot->is_get = false;
    const char *body = call->body.len == 0 ? "" : call->body.ptr;
    return curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len) ==
               CURLE_OK &&
           curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS, body) == CURLE_OK &&
           curl_easy_setopt(slot->easy, CURLOPT_POST, 1L) == CURLE_OK;
}

/* What the handle is set to already is not set again: libcurl would copy it. */
static bool begin_url(struct caller_slot *slot, struct hf_str url)
{
    if (slot->url.size_bytes == url.len + 1 && memcmp(slot->url.data, url.ptr, url.len) == 0) {
        return true;
    }
    hf_buffer_clear(&slot->url);
    hf_buffer_bytes(&slot->url, url.ptr, url.len);
    hf_buffer_u8(&slot->url, '\0');
    if (slot->url.failed ||
        curl_easy_setopt(slot->easy, CURLOPT_URL, (const char *)slot->url.data) != CURLE_OK) {
        hf_buffer_clear(&slot->url);
        return false;
    }
    return true;
}

static bool begin_timeout(struct caller_slot *slot, uint32_t timeout_ms)
{
    long connect_ms = (long)hf_min_u64(timeout_ms, HF_CALL_CONNECT_MS_MAX);
    if (slot->timeout_ms == timeout_ms) {
        return true;
    }
    slot->timeout_ms = timeout_ms;
    return curl_easy_setopt(slot->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms) == CURLE_OK &&
           curl_easy_setopt(slot->easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) == CURLE_OK;
}

const char *caller_slot_begin(struct caller_slot *slot, struct hf_call *call)
{
    char key[HF_TARGET_KEY_BYTES];
    const char *why = NULL;
    call->error = HF_CALL_COMPLETE;
    call->error_text[0] = '\0';
    call->status = 0;
    call->saga_outcome = call->location = call->answer_type = call->answer = HF_STR_NONE;
    call->retry_after_ms = 0;
    call->duration_ms = 0;
    slot->call = call;
    slot->refusal = NULL;
    slot->too_large = slot->cut = false;
    slot->dropped_bytes = 0;
    slot->error[0] = '\0';
    hf_buffer_clear(&slot->answer);
    forget_values(slot);
    if (!hf_target_key(call->url, key, &why)) {
        return why;
    }
    why = begin_headers(slot, call);
    if (why != NULL) {
        return why;
    }
    return begin_url(slot, call->url) && begin_method(slot, call) &&
                   begin_timeout(slot, call->timeout_ms)
               ? NULL
               : "out of memory";
}

/* ---- it has ended ---- */

uint64_t hf_retry_after_ms(struct hf_str value, uint64_t wall_us)
{
    char text[40];
    uint64_t seconds = 0;
    bool digits = value.len > 0 && value.len < sizeof(text);
    for (size_t i = 0; i < value.len && digits; i++) {
        digits = value.ptr[i] >= '0' && value.ptr[i] <= '9';
        seconds = hf_min_u64(10 * seconds + (uint64_t)(value.ptr[i] - '0'), UINT32_MAX);
    }
    if (digits) {
        return seconds * 1000;
    }
    if (value.len == 0 || value.len >= sizeof(text)) {
        return 0;
    }
    memcpy(text, value.ptr, value.len);
    text[value.len] = '\0';
    time_t when = curl_getdate(text, NULL);
    uint64_t now_s = wall_us / 1000000;
    return when <= 0 || (uint64_t)when <= now_s ? 0 : ((uint64_t)when - now_s) * 1000;
}

/* Location as an absolute URL, in place; one that is none is forgotten. */
static void resolve_location(struct caller_slot *slot)
{
    CURLU *url = curl_url();
    char *resolved = NULL;
    struct caller_value *location = &slot->location;
    bool ok = url != NULL &&
              curl_url_set(url, CURLUPART_URL, (const char *)slot->url.data, 0) == CURLUE_OK &&
              curl_url_set(url, CURLUPART_URL, location->text, 0) == CURLUE_OK &&
              curl_url_get(url, CURLUPART_URL, &resolved, 0) == CURLUE_OK;
    location->bytes = ok ? strlen(resolved) : 0;
    location->bytes = location->bytes < sizeof(location->text) ? location->bytes : 0;
    if (location->bytes > 0) {
        memcpy(location->text, resolved, location->bytes + 1);
    }
    curl_free(resolved);
    curl_url_cleanup(url);
}

static struct hf_str text_of(const struct caller_value *value)
{
    return value->bytes == 0 ? HF_STR_NONE : (struct hf_str){value->text, value->bytes};
}

static bool was_sent(const struct caller_slot *slot)
{
    long request_bytes = 0;
    (void)curl_easy_getinfo(slot->easy, CURLINFO_REQUEST_SIZE, &request_bytes);
    return request_bytes > 0;
}

static enum hf_call_error error_of(const struct caller_slot *slot, CURLcode result)
{
    if (result == CURLE_OK || slot->cut) {
        return HF_CALL_COMPLETE;
    }
    if (slot->too_large) {
        return HF_CALL_TOO_LARGE;
    }
    if (!was_sent(slot)) {
        bool refused = slot->refusal != NULL || result == CURLE_URL_MALFORMAT ||
                       result == CURLE_UNSUPPORTED_PROTOCOL;
        return refused ? HF_CALL_REFUSED_HERE : HF_CALL_NOT_CONNECTED;
    }
    return result == CURLE_OPERATION_TIMEDOUT ? HF_CALL_TIMED_OUT : HF_CALL_CUT_OFF;
}

static void say_why(struct caller_slot *slot, CURLcode result)
{
    struct hf_call *call = slot->call;
    const size_t room = sizeof(call->error_text);
    switch (call->error) {
    case HF_CALL_COMPLETE:
        call->error_text[0] = '\0';
        break;
    case HF_CALL_REFUSED_HERE:
        if (slot->refusal != NULL) {
            (void)snprintf(call->error_text, room, "%s is %s, which needs --deliver-allow",
                           slot->refused, slot->refusal);
            break;
        }
        (void)snprintf(call->error_text, room, "%s", curl_easy_strerror(result));
        break;
    case HF_CALL_TOO_LARGE:
        (void)snprintf(call->error_text, room, "the answer has more than %zu bytes",
                       call->answer_bytes_max);
        break;
    case HF_CALL_TIMED_OUT:
        (void)snprintf(call->error_text, room, "no answer within %u ms", call->timeout_ms);
        break;
    case HF_CALL_NOT_CONNECTED:
    case HF_CALL_CUT_OFF:
        (void)snprintf(call->error_text, room, "%s",
                       slot->error[0] != '\0' ? slot->error : curl_easy_strerror(result));
        break;
    }
}

void caller_slot_end(struct caller_slot *slot, CURLcode result)
{
    struct hf_call *call = slot->call;
    long status = 0;
    curl_off_t total_us = 0;
    (void)curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(slot->easy, CURLINFO_TOTAL_TIME_T, &total_us);
    call->duration_ms = (uint32_t)hf_min_u64((uint64_t)total_us / 1000, UINT32_MAX);
    call->error = error_of(slot, result);
    say_why(slot, result);
    if (call->error != HF_CALL_COMPLETE && call->error != HF_CALL_TOO_LARGE) {
        return;
    }
    call->status = (uint16_t)status;
    if (slot->location.bytes > 0) {
        resolve_location(slot);
    }
    call->saga_outcome = text_of(&slot->outcome);
    call->location = text_of(&slot->location);
    call->answer_type = text_of(&slot->type);
    if (slot->retry_after.bytes > 0) {
        struct hf_caller_curl *caller = slot->caller;
        call->retry_after_ms =
            hf_retry_after_ms(text_of(&slot->retry_after), caller->wall_us(caller->wall_context));
    }
    call->answer = (struct hf_str){slot->answer.size_bytes == 0 ? "" : (char *)slot->answer.data,
                                   slot->answer.size_bytes};
}
