#include "http/http_head.h"

#include "base/check.h"
#include "http/http_text.h"

#define METHOD_BYTES_MAX 32
/* A request line is a target with this much around it: the method, two spaces, HTTP/1.1. */
#define AROUND_TARGET_BYTES (METHOD_BYTES_MAX + 10)

void hf_http_head_begin(struct hf_http_head *head, const struct hf_http_head_limits *limits,
                        struct hf_http_field *fields)
{
    *head = (struct hf_http_head){.limits = *limits, .fields = fields};
}

static enum hf_http_progress bad(struct hf_http_head *head, int status, const char *detail)
{
    head->status = status;
    head->detail = detail;
    return HF_HTTP_BAD;
}

static struct hf_str text_of(const char *data, struct hf_http_span span)
{
    return (struct hf_str){data + span.at, span.bytes};
}

static struct hf_http_span span_of(const char *data, const char *from, const char *end)
{
    return (struct hf_http_span){(uint32_t)(from - data), (uint32_t)(end - from)};
}

static enum hf_http_method method_of(struct hf_str text)
{
    static const struct {
        struct hf_str text;
        enum hf_http_method method;
    } methods[] = {
        {{"GET", 3}, HF_HTTP_GET},         {{"POST", 4}, HF_HTTP_POST},
        {{"PUT", 3}, HF_HTTP_PUT},         {{"HEAD", 4}, HF_HTTP_HEAD},
        {{"PATCH", 5}, HF_HTTP_PATCH},     {{"DELETE", 6}, HF_HTTP_DELETE},
        {{"OPTIONS", 7}, HF_HTTP_OPTIONS},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(methods); i++) {
        if (hf_str_equal(text, methods[i].text)) {
            return methods[i].method;
        }
    }
    return HF_HTTP_OTHER;
}

/* Path and query of [at, end). */
static enum hf_http_progress read_path(struct hf_http_head *head, const char *data, const char *at,
                                       const char *end)
{
    const char *question = NULL;
    for (const char *c = at; c < end; c++) {
        if (!hf_http_is(*c, HF_HTTP_TARGET)) {
            return bad(head, 400, "the request target has a character that a URI must not have");
        }
        if (*c == '%' &&
            (end - c < 3 || !hf_http_is(c[1], HF_HTTP_HEX) || !hf_http_is(c[2], HF_HTTP_HEX))) {
            return bad(head, 400, "a '%' in the request target is not followed by two hex digits");
        }
        if (*c == '?' && question == NULL) {
            question = c;
        }
    }
    head->path = span_of(data, at, question == NULL ? end : question);
    if (question != NULL) {
        head->has_query = true;
        head->query = span_of(data, question + 1, end);
    }
    return HF_HTTP_MORE;
}

static enum hf_http_progress read_target(struct hf_http_head *head, const char *data,
                                         const char *at, const char *end)
{
    if (at < end && *at == '/') {
        return read_path(head, data, at, end);
    }
    static const struct hf_str schemes[] = {{"http://", 7}, {"https://", 8}};
    for (size_t i = 0; i < HF_ARRAY_COUNT(schemes); i++) {
        size_t length = schemes[i].len;
        if ((size_t)(end - at) <= length ||
            !hf_http_same((struct hf_str){at, length}, schemes[i])) {
            continue;
        }
        const char *authority = at + length;
        const char *behind = authority;
        while (behind < end && *behind != '/' && *behind != '?') {
            behind++;
        }
        if (behind == authority) {
            return bad(head, 400, "the request target names no host");
        }
        head->authority = span_of(data, authority, behind);
        return read_path(head, data, behind, end);
    }
    return bad(head, 400, "the request target must begin with '/', 'http://' or 'https://'");
}

static enum hf_http_progress read_version(struct hf_http_head *head, struct hf_str text)
{
    if (hf_str_equal(text, HF_STR("HTTP/1.1"))) {
        return HF_HTTP_MORE;
    }
    if (hf_str_equal(text, HF_STR("HTTP/1.0"))) {
        head->is_http_1_0 = true;
        head->ends_connection = true;
        return HF_HTTP_MORE;
    }
    bool like_version = text.len == 8 && memcmp(text.ptr, "HTTP/", 5) == 0 && text.ptr[6] == '.' &&
                        text.ptr[5] >= '0' && text.ptr[5] <= '9' && text.ptr[7] >= '0' &&
                        text.ptr[7] <= '9';
    return like_version ? bad(head, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
                        : bad(head, 400, "the request line does not end with an HTTP version");
}

static enum hf_http_progress read_request_line(struct hf_http_head *head, const char *data,
                                               const char *line, const char *end)
{
    if (line == end) {
        if (head->has_skipped_line) {
            return bad(head, 400, "empty lines stand before the request line");
        }
        head->has_skipped_line = true;
        return HF_HTTP_MORE;
    }
    head->has_request_line = true;
    const char *at = line;
    while (at < end && hf_http_is(*at, HF_HTTP_TOKEN)) {
        at++;
    }
    if (at == line || at == end || *at != ' ') {
        return bad(head, 400, "the request line must be: method, space, target, space, version");
    }
    head->method_span = span_of(data, line, at);
    head->method = method_of(text_of(data, head->method_span));
    const char *target = at + 1;
    const char *space = memchr(target, ' ', (size_t)(end - target));
    if (space == NULL || space == target) {
        return bad(head, 400, "the request line must be: method, space, target, space, version");
    }
    enum hf_http_progress progress =
        read_version(head, (struct hf_str){space + 1, (size_t)(end - space - 1)});
    if (progress == HF_HTTP_BAD) {
        return progress;
    }
    if (head->method_span.bytes > METHOD_BYTES_MAX) {
        return bad(head, 501, "no method has such a long name");
    }
    if ((size_t)(space - target) > head->limits.target_bytes_max) {
        return bad(head, 414, "the request target is too long");
    }
    return read_target(head, data, target, space);
}

static enum hf_http_progress read_content_length(struct hf_http_head *head, struct hf_str value)
{
    if (head->has_length) {
        return bad(head, 400, "Content-Length stands twice");
    }
    if (value.len == 0) {
        return bad(head, 400, "Content-Length is not a decimal number");
    }
    head->has_length = true;
    uint64_t length = 0;
    bool over = false;
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9') {
            return bad(head, 400, "Content-Length is not a decimal number");
        }
        over = over || __builtin_mul_overflow(length, (uint64_t)10, &length) ||
               __builtin_add_overflow(length, (uint64_t)(value.ptr[i] - '0'), &length);
    }
    head->content_length = over ? UINT64_MAX : length;
    return HF_HTTP_MORE;
}

static enum hf_http_progress read_host(struct hf_http_head *head, struct hf_str value)
{
    if (head->has_host) {
        return bad(head, 400, "Host stands twice");
    }
    head->has_host = true;
    head->host_index = head->field_count;
    if (value.len == 0) {
        return bad(head, 400, "Host is empty");
    }
    for (size_t i = 0; i < value.len; i++) {
        if (!hf_http_is(value.ptr[i], HF_HTTP_HOST)) {
            return bad(head, 400, "Host is not a host name or address with an optional port");
        }
    }
    return HF_HTTP_MORE;
}

/* Is `close` among the list's tokens? */
static bool names_close(struct hf_str list)
{
    size_t at = 0;
    while (at < list.len) {
        const char *comma = memchr(list.ptr + at, ',', list.len - at);
        size_t end = comma == NULL ? list.len : (size_t)(comma - list.ptr);
        size_t next = end + 1;
        while (at < end && (list.ptr[at] == ' ' || list.ptr[at] == '\t')) {
            at++;
        }
        while (end > at && (list.ptr[end - 1] == ' ' || list.ptr[end - 1] == '\t')) {
            end--;
        }
        if (hf_http_same((struct hf_str){list.ptr + at, end - at}, HF_STR("close"))) {
            return true;
        }
        at = next;
    }
    return false;
}

/* What the fields mean that frame the message or concern the connection. */
static enum hf_http_progress read_meaning(struct hf_http_head *head, struct hf_str name,
                                          struct hf_str value)
{
    if (hf_str_equal(name, HF_STR("host"))) {
        return read_host(head, value);
    }
    if (hf_str_equal(name, HF_STR("content-length"))) {
        return read_content_length(head, value);
    }
    if (hf_str_equal(name, HF_STR("transfer-encoding"))) {
        if (head->is_chunked) {
            return bad(head, 400, "Transfer-Encoding stands twice");
        }
        if (!hf_http_same(value, HF_STR("chunked"))) {
            return bad(head, 501, "the only Transfer-Encoding understood is: chunked");
        }
        head->is_chunked = true;
    } else if (hf_str_equal(name, HF_STR("connection"))) {
        head->ends_connection = head->ends_connection || names_close(value);
    } else if (hf_str_equal(name, HF_STR("expect")) && !head->is_http_1_0) {
        if (!hf_http_same(value, HF_STR("100-continue"))) {
            return bad(head, 417, "the only expectation understood is: 100-continue");
        }
        head->expects_continue = true;
    }
    return HF_HTTP_MORE;
}

static enum hf_http_progress read_field(struct hf_http_head *head, char *data, char *line,
                                        const char *end)
{
    if (*line == ' ' || *line == '\t') {
        return bad(head, 400, "a header field begins with white space");
    }
    if (head->field_count == head->limits.fields_max) {
        return bad(head, 431, "too many header fields");
    }
    char *at = line;
    while (at < end && hf_http_is(*at, HF_HTTP_TOKEN)) {
        *at = hf_http_lower(*at);
        at++;
    }
    if (at == line || at == end || *at != ':') {
        return bad(head, 400, "a header field is not: name, colon, value");
    }
    const char *value = at + 1;
    const char *value_end = end;
    while (value < value_end && (*value == ' ' || *value == '\t')) {
        value++;
    }
    while (value_end > value && (value_end[-1] == ' ' || value_end[-1] == '\t')) {
        value_end--;
    }
    struct hf_http_field *field = &head->fields[head->field_count];
    *field = (struct hf_http_field){span_of(data, line, at), span_of(data, value, value_end)};
    enum hf_http_progress progress =
        read_meaning(head, text_of(data, field->name), text_of(data, field->value));
    head->field_count += progress == HF_HTTP_MORE;
    return progress;
}

/* What can be judged only when all fields are known. */
static enum hf_http_progress finish(struct hf_http_head *head, const char *data)
{
    head->head_bytes = head->scanned;
    if (head->has_length && head->is_chunked) {
        return bad(head, 400, "both Content-Length and Transfer-Encoding are given");
    }
    if (head->is_http_1_0 && head->is_chunked) {
        return bad(head, 400, "HTTP/1.0 has no Transfer-Encoding");
    }
    if (!head->has_host && !head->is_http_1_0) {
        return bad(head, 400, "Host is missing");
    }
    if (head->authority.at != 0) {
        struct hf_str authority = text_of(data, head->authority);
        struct hf_str host =
            head->has_host ? text_of(data, head->fields[head->host_index].value) : HF_STR_NONE;
        bool same = host.len == authority.len;
        for (size_t i = 0; same && i < host.len; i++) {
            same = hf_http_lower(host.ptr[i]) == hf_http_lower(authority.ptr[i]);
        }
        if (!same) {
            return bad(head, 400, "the request target names another host than Host");
        }
    }
    return HF_HTTP_DONE;
}

/* A whole line, [line, end) without its CR LF. */
static enum hf_http_progress read_line(struct hf_http_head *head, char *data, char *line,
                                       const char *end)
{
    if (!head->has_request_line) {
        return read_request_line(head, data, line, end);
    }
    if (line == end) {
        return finish(head, data);
    }
    return read_field(head, data, line, end);
}

/* How far the current line may be looked at: faults behind a limit must not be seen before the limit. */
static size_t window_of(const struct hf_http_head *head)
{
    size_t window = head->limits.head_bytes_max;
    if (!head->has_request_line) {
        size_t line_end =
            (size_t)head->line_at + head->limits.target_bytes_max + AROUND_TARGET_BYTES + 2;
        window = line_end < window ? line_end : window;
    }
    return window;
}

enum hf_http_progress hf_http_head_feed(struct hf_http_head *head, char *data, size_t size)
{
    HF_CHECK(head->status == 0 && head->head_bytes == 0 && head->scanned <= size);
    for (;;) {
        size_t window = window_of(head);
        size_t end = size < window ? size : window;
        size_t at = head->scanned;
        while (at < end && hf_http_is(data[at], HF_HTTP_TEXT)) {
            at++;
        }
        head->scanned = (uint32_t)at;
        if (at == end || (data[at] == '\r' && at + 1 == end)) {
            if (end < window) {
                return HF_HTTP_MORE;
            }
            return head->has_request_line ? bad(head, 431, "the header fields are too long")
                                          : bad(head, 414, "the request line is too long");
        }
        if (data[at] != '\r' || data[at + 1] != '\n') {
            return bad(head, 400,
                       data[at] == '\r' || data[at] == '\n'
                           ? "a line does not end with CR LF"
                           : "a control character stands in the request's head");
        }
        char *line = data + head->line_at;
        head->scanned = head->line_at = (uint32_t)(at + 2);
        enum hf_http_progress progress = read_line(head, data, line, data + at);
        if (progress != HF_HTTP_MORE) {
            return progress;
        }
    }
}

void hf_http_head_point(const struct hf_http_head *head, const char *data,
                        struct hf_http_header *headers, struct hf_http_exchange *exchange)
{
    HF_CHECK(head->head_bytes > 0 && head->status == 0);
    for (uint32_t i = 0; i < head->field_count; i++) {
        headers[i] = (struct hf_http_header){text_of(data, head->fields[i].name),
                                             text_of(data, head->fields[i].value)};
    }
    exchange->method = head->method;
    exchange->method_text = text_of(data, head->method_span);
    exchange->path = head->path.bytes > 0 ? text_of(data, head->path) : HF_STR("/");
    exchange->query = head->has_query ? text_of(data, head->query) : HF_STR_NONE;
    exchange->headers = headers;
    exchange->header_count = head->field_count;
}
