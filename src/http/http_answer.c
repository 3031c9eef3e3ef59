#include "base/check.h"
#include "http/http_priv.h"

/* More than the longest head without the handler's own headers. */
#define HEAD_BYTES 512

static struct hf_str reason_of(int status)
{
    static const struct {
        int status;
        struct hf_str text;
    } reasons[] = {
        {200, {"OK", 2}},
        {201, {"Created", 7}},
        {202, {"Accepted", 8}},
        {204, {"No Content", 10}},
        {304, {"Not Modified", 12}},
        {400, {"Bad Request", 11}},
        {401, {"Unauthorized", 12}},
        {403, {"Forbidden", 9}},
        {404, {"Not Found", 9}},
        {405, {"Method Not Allowed", 18}},
        {406, {"Not Acceptable", 14}},
        {408, {"Request Timeout", 15}},
        {409, {"Conflict", 8}},
        {410, {"Gone", 4}},
        {412, {"Precondition Failed", 19}},
        {413, {"Content Too Large", 17}},
        {414, {"URI Too Long", 12}},
        {415, {"Unsupported Media Type", 22}},
        {417, {"Expectation Failed", 18}},
        {422, {"Unprocessable Content", 21}},
        {423, {"Locked", 6}},
        {428, {"Precondition Required", 21}},
        {429, {"Too Many Requests", 17}},
        {431, {"Request Header Fields Too Large", 31}},
        {500, {"Internal Server Error", 21}},
        {501, {"Not Implemented", 15}},
        {503, {"Service Unavailable", 19}},
        {504, {"Gateway Timeout", 15}},
        {505, {"HTTP Version Not Supported", 26}},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(reasons); i++) {
        if (reasons[i].status == status) {
            return reasons[i].text;
        }
    }
    return HF_STR("");
}

static char *put(char *to, struct hf_str text)
{
    memcpy(to, text.ptr, text.len);
    return to + text.len;
}

static char *put_decimal(char *to, uint64_t value)
{
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (count > 0) {
        *to++ = digits[--count];
    }
    return to;
}

static char *put_head(char *to, const struct hf_http_connection *connection,
                      const struct hf_http_response *response, enum hf_http_content content,
                      size_t content_bytes)
{
    to = put(to, HF_STR("HTTP/1.1 "));
    to = put_decimal(to, (uint64_t)response->status);
    *to++ = ' ';
    to = put(to, reason_of(response->status));
    to = put(to, HF_STR("\r\nDate: "));
    to = put(to, (struct hf_str){connection->server->date, HF_HTTP_DATE_BYTES});
    if (content != HF_HTTP_CONTENT_NONE) {
        to = put(to, HF_STR("\r\nContent-Type: "));
        to = put(to, hf_str_from(response->content_type));
    }
    if (content == HF_HTTP_CONTENT_CHUNKS) {
        to = put(to, HF_STR("\r\nTransfer-Encoding: chunked"));
    } else if (content != HF_HTTP_CONTENT_TO_END && response->status != 204 &&
               response->status != 304) {
        to = put(to, HF_STR("\r\nContent-Length: "));
        to = put_decimal(to, content_bytes);
    }
    to = put(to, HF_STR("\r\n"));
    if (response->headers.len > 0) {
        to = put(to, response->headers);
    }
    if (connection->must_end) {
        to = put(to, HF_STR("Connection: close\r\n"));
    }
    return put(to, HF_STR("\r\n"));
}

bool hf_http_render_head(struct hf_http_connection *connection,
                         const struct hf_http_response *response, enum hf_http_content content,
                         size_t content_bytes, size_t more_bytes)
{
    struct hf_buffer *out = &connection->work->out;
    HF_CHECK(response->status >= 200 && response->status <= 599);
    HF_CHECK(response->headers.len == 0 ||
             (response->headers.len > 2 &&
              memcmp(response->headers.ptr + response->headers.len - 2, "\r\n", 2) == 0));
    size_t room = HEAD_BYTES + response->headers.len + more_bytes +
                  (content == HF_HTTP_CONTENT_NONE ? 0 : strlen(response->content_type));
    if (!hf_buffer_reserve(out, room)) {
        connection->is_broken = true;
        return false;
    }
    char *start = (char *)out->data + out->size_bytes;
    char *end = put_head(start, connection, response, content, content_bytes);
    out->size_bytes += (size_t)(end - start);
    HF_CHECK(out->size_bytes + more_bytes <= out->capacity_bytes);
    return true;
}

void hf_http_render(struct hf_http_connection *connection, const struct hf_http_response *response)
{
    struct hf_http_work *work = connection->work;
    struct hf_http_exchange *exchange = &work->exchange;
    bool has_content =
        response->content_type != NULL && response->status != 204 && response->status != 304;
    size_t content_bytes = has_content ? exchange->answer.size_bytes : 0;
    size_t sent_bytes = exchange->method == HF_HTTP_HEAD ? 0 : content_bytes;
    bool is_copied = sent_bytes <= HF_HTTP_COALESCE_BYTES;
    connection->state = HF_HTTP_ANSWERED;
    /* If memory is short: half an answer would be a lie. The peer sees the connection end, so it does not know what
     * happened, and asks again. */
    connection->is_broken =
        connection->is_broken || (has_content && exchange->answer.failed) ||
        !hf_http_render_head(connection, response,
                             has_content ? HF_HTTP_CONTENT_LENGTH : HF_HTTP_CONTENT_NONE,
                             content_bytes, is_copied ? sent_bytes : 0);
    if (connection->is_broken) {
        return;
    }
    if (sent_bytes > 0 && is_copied) {
        hf_buffer_bytes(&work->out, exchange->answer.data, sent_bytes);
    } else if (sent_bytes > 0) {
        HF_CHECK(work->tail.size_bytes == 0);
        struct hf_buffer empty = work->tail;
        work->tail = exchange->answer;
        exchange->answer = empty;
    }
}

void hf_http_refuse(struct hf_http_connection *connection, int status, const char *detail)
{
    struct hf_http_work *work = connection->work;
    struct hf_http_server *server = connection->server;
    struct hf_http_response response = {.status = status, .close = true};
    hf_buffer_clear(&work->exchange.answer);
    if (server->handler.refuse != NULL) {
        server->handler.refuse(server->handler.context, status, detail, &work->exchange.answer,
                               &response.content_type);
    }
    if (status == 429) {
        response.headers = HF_STR("Retry-After: 1\r\n");
    }
    /* A HEAD that is refused before its head was whole must not get a body either. */
    work->exchange.method = work->head.method;
    connection->must_end = true;
    connection->must_linger = true;
    hf_http_render(connection, &response);
    hf_http_count(&server->counters.refused, 1);
}

void hf_http_render_continue(struct hf_http_connection *connection)
{
    struct hf_buffer *out = &connection->work->out;
    hf_buffer_text(out, "HTTP/1.1 100 Continue\r\n\r\n");
    connection->is_broken = connection->is_broken || out->failed;
}
