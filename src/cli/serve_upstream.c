#include "cli/serve_upstream.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"

#define READ_BYTES (64u << 10)

/* ---- which headers go on ---- */

static bool is_in(struct hf_str name, const struct hf_str *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (hf_str_equal(name, list[i])) {
            return true;
        }
    }
    return false;
}

static bool is_hop_by_hop(struct hf_str name)
{
    static const struct hf_str names[] = {
        {"connection", 10}, {"keep-alive", 10}, {"proxy-connection", 16},  {"te", 2},
        {"trailer", 7},     {"upgrade", 7},     {"transfer-encoding", 17}, {"content-length", 14},
    };
    return is_in(name, names, HF_ARRAY_COUNT(names));
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Is the name (in lower case) an item of the comma-separated value? */
static bool lists(struct hf_str value, struct hf_str name)
{
    size_t at = 0;
    while (at < value.len) {
        size_t end = at;
        while (end < value.len && value.ptr[end] != ',') {
            end++;
        }
        size_t from = at;
        size_t to = end;
        while (from < to && (value.ptr[from] == ' ' || value.ptr[from] == '\t')) {
            from++;
        }
        while (to > from && (value.ptr[to - 1] == ' ' || value.ptr[to - 1] == '\t')) {
            to--;
        }
        bool same = to - from == name.len;
        for (size_t i = 0; same && i < name.len; i++) {
            same = lower(value.ptr[from + i]) == name.ptr[i];
        }
        if (same) {
            return true;
        }
        at = end + 1;
    }
    return false;
}

static bool goes_on(const struct hf_http_exchange *exchange, struct hf_str name)
{
    static const struct hf_str checked_here[] = {
        {"host", 4}, {"origin", 6}, {"expect", 6}, {"sec-fetch-site", 14}};
    if (is_hop_by_hop(name) || is_in(name, checked_here, HF_ARRAY_COUNT(checked_here))) {
        return false;
    }
    for (size_t i = 0; i < exchange->header_count; i++) {
        const struct hf_http_header *header = &exchange->headers[i];
        if (hf_str_equal(header->name, HF_STR("connection")) && lists(header->value, name)) {
            return false;
        }
    }
    return true;
}

/* ---- the socket ---- */

enum hf_err hf_upstream_connect(struct hf_upstream *upstream, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    HF_CHECK(strlen(path) < sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path) + 1);
    *upstream = (struct hf_upstream){.fd = -1};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return HF_ERR_IO;
    }
    /* On a Unix socket connect is done at once or fails: EAGAIN says that the owner's queue is full. */
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        enum hf_err code = errno == ENOENT || errno == ECONNREFUSED ? HF_ERR_NOT_FOUND : HF_ERR_IO;
        (void)close(fd);
        return code;
    }
    upstream->fd = fd;
    hf_buffer_init(&upstream->head);
    hf_buffer_init(&upstream->in);
    return HF_ERR_OK;
}

void hf_upstream_close(struct hf_upstream *upstream)
{
    if (upstream->fd >= 0) {
        (void)close(upstream->fd);
        hf_buffer_release(&upstream->head);
        hf_buffer_release(&upstream->in);
    }
    *upstream = (struct hf_upstream){.fd = -1};
}

static void put(struct hf_buffer *to, struct hf_str text)
{
    hf_buffer_bytes(to, text.ptr, text.len);
}

bool hf_upstream_begin(struct hf_upstream *upstream, const struct hf_http_exchange *exchange)
{
    HF_CHECK(upstream->exchange == NULL);
    struct hf_buffer *head = &upstream->head;
    hf_buffer_clear(head);
    hf_buffer_clear(&upstream->in);
    put(head, exchange->method == HF_HTTP_HEAD ? HF_STR("GET") : exchange->method_text);
    hf_buffer_u8(head, ' ');
    put(head, exchange->path);
    if (hf_str_present(exchange->query)) {
        hf_buffer_u8(head, '?');
        put(head, exchange->query);
    }
    hf_buffer_text(head, " HTTP/1.1\r\nhost: localhost\r\n");
    for (size_t i = 0; i < exchange->header_count; i++) {
        const struct hf_http_header *header = &exchange->headers[i];
        if (goes_on(exchange, header->name)) {
            put(head, header->name);
            hf_buffer_text(head, ": ");
            put(head, header->value);
            hf_buffer_text(head, "\r\n");
        }
    }
    if (exchange->has_body || exchange->method == HF_HTTP_POST || exchange->method == HF_HTTP_PUT ||
        exchange->method == HF_HTTP_PATCH) {
        hf_buffer_format(head, "content-length: %zu\r\n", exchange->body.len);
    }
    hf_buffer_text(head, "\r\n");
    if (head->failed) {
        return false;
    }
    upstream->exchange = exchange;
    upstream->sent_bytes = 0;
    upstream->streams = false;
    return true;
}

bool hf_upstream_sent_all(const struct hf_upstream *upstream)
{
    return upstream->exchange != NULL &&
           upstream->sent_bytes == upstream->head.size_bytes + upstream->exchange->body.len;
}

/* Writes what the socket takes. false: broken. */
static bool send_some(struct hf_upstream *upstream)
{
    struct hf_str head = {(const char *)upstream->head.data, upstream->head.size_bytes};
    while (!hf_upstream_sent_all(upstream)) {
        bool in_head = upstream->sent_bytes < head.len;
        struct hf_str part = in_head ? head : upstream->exchange->body;
        size_t at = in_head ? upstream->sent_bytes : upstream->sent_bytes - head.len;
        ssize_t sent = send(upstream->fd, part.ptr + at, part.len - at, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            return errno == EAGAIN || errno == EWOULDBLOCK;
        }
        upstream->sent_bytes += (size_t)sent;
    }
    return true;
}

enum receipt {
    RECEIVED,
    NOTHING_NOW,
    ENDED, /* the peer has gone, or memory is short */
};

/* What the socket has, behind what is there already. */
static enum receipt receive_some(struct hf_upstream *upstream)
{
    uint8_t *room = hf_buffer_extend(&upstream->in, READ_BYTES);
    if (room == NULL) {
        return ENDED;
    }
    ssize_t got;
    do {
        got = recv(upstream->fd, room, READ_BYTES, 0);
    } while (got < 0 && errno == EINTR);
    bool waits = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    upstream->in.size_bytes -= READ_BYTES - (got > 0 ? (size_t)got : 0);
    return got > 0 ? RECEIVED : waits ? NOTHING_NOW : ENDED;
}

enum hf_upstream_progress hf_upstream_go(struct hf_upstream *upstream)
{
    HF_CHECK(upstream->exchange != NULL);
    /* An owner that refuses a request before its end may answer and close: its answer is read even so. */
    bool writable = send_some(upstream);
    enum receipt receipt;
    while ((receipt = receive_some(upstream)) == RECEIVED) {
        struct hf_str bytes = {(const char *)upstream->in.data, upstream->in.size_bytes};
        struct hf_upstream_answer answer;
        int parsed = hf_upstream_parse(bytes, &answer, NULL);
        if (parsed == 2) {
            upstream->streams = true;
            hf_http_body_begin(&upstream->body, true, 0, UINT64_MAX);
            return HF_UPSTREAM_STREAMS;
        }
        if (parsed != 0) {
            return parsed > 0 ? HF_UPSTREAM_WHOLE : HF_UPSTREAM_BROKEN;
        }
    }
    if (receipt == ENDED || !writable) {
        return HF_UPSTREAM_BROKEN;
    }
    return hf_upstream_sent_all(upstream) ? HF_UPSTREAM_WANTS_READ : HF_UPSTREAM_WANTS_WRITE;
}

/* Chunks to data. */
static enum hf_upstream_progress take_chunks(struct hf_upstream *upstream, struct hf_buffer *piece)
{
    size_t taken;
    struct hf_buffer *in = &upstream->in;
    enum hf_http_progress progress =
        hf_http_body_feed(&upstream->body, (const char *)in->data, in->size_bytes, piece, &taken);
    bool more = taken < in->size_bytes; /* nobody asked for more */
    hf_buffer_clear(in);
    if (progress == HF_HTTP_BAD || piece->failed || (progress == HF_HTTP_DONE && more)) {
        return HF_UPSTREAM_BROKEN;
    }
    return progress == HF_HTTP_DONE ? HF_UPSTREAM_WHOLE : HF_UPSTREAM_WANTS_READ;
}

enum hf_upstream_progress hf_upstream_piece(struct hf_upstream *upstream, struct hf_buffer *piece)
{
    HF_CHECK(upstream->exchange != NULL && upstream->streams);
    if (upstream->in.size_bytes > 0) {
        enum hf_upstream_progress progress = take_chunks(upstream, piece);
        if (progress != HF_UPSTREAM_WANTS_READ || piece->size_bytes > 0) {
            return progress;
        }
    }
    enum receipt receipt;
    while ((receipt = receive_some(upstream)) == RECEIVED) {
        enum hf_upstream_progress progress = take_chunks(upstream, piece);
        if (progress != HF_UPSTREAM_WANTS_READ || piece->size_bytes > 0) {
            return progress;
        }
    }
    return receipt == NOTHING_NOW ? HF_UPSTREAM_WANTS_READ : HF_UPSTREAM_BROKEN;
}

void hf_upstream_answer(const struct hf_upstream *upstream, struct hf_upstream_answer *answer,
                        struct hf_buffer *headers)
{
    struct hf_str bytes = {(const char *)upstream->in.data, upstream->in.size_bytes};
    HF_CHECK(hf_upstream_parse(bytes, answer, headers) >= 1);
}

void hf_upstream_drop_head(struct hf_upstream *upstream)
{
    struct hf_buffer *in = &upstream->in;
    const uint8_t *stop = memmem(in->data, in->size_bytes, "\r\n\r\n", 4);
    HF_CHECK(stop != NULL);
    size_t head = (size_t)(stop - in->data) + 4;
    in->size_bytes -= head;
    memmove(in->data, in->data + head, in->size_bytes);
}

void hf_upstream_end(struct hf_upstream *upstream)
{
    upstream->exchange = NULL;
    if (upstream->in.capacity_bytes > 2 * READ_BYTES) { /* a long answer's memory is given back */
        hf_buffer_release(&upstream->in);
    }
}

/* ---- an answer's bytes ---- */

struct line {
    struct hf_str name;  /* as it came */
    struct hf_str value; /* without white space around it */
};

/* Takes a header line [from, to) without its CRLF. */
static bool split_line(const char *from, const char *to, struct line *line)
{
    const char *colon = memchr(from, ':', (size_t)(to - from));
    if (colon == NULL || colon == from) {
        return false;
    }
    line->name = (struct hf_str){from, (size_t)(colon - from)};
    const char *value = colon + 1;
    while (value < to && (*value == ' ' || *value == '\t')) {
        value++;
    }
    while (to > value && (to[-1] == ' ' || to[-1] == '\t')) {
        to--;
    }
    line->value = (struct hf_str){value, (size_t)(to - value)};
    return true;
}

static bool name_is(struct hf_str name, struct hf_str wanted)
{
    bool same = name.len == wanted.len;
    for (size_t i = 0; same && i < name.len; i++) {
        same = lower(name.ptr[i]) == wanted.ptr[i];
    }
    return same;
}

static bool parse_length(struct hf_str text, size_t *length)
{
    size_t value = 0;
    if (text.len == 0 || text.len > 15) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        value = 10 * value + (size_t)(text.ptr[i] - '0');
    }
    *length = value;
    return true;
}

/* What the server that passes it on writes by itself. */
static bool is_written_anew(struct hf_str name)
{
    static const struct hf_str names[] = {
        {"connection", 10},        {"keep-alive", 10},   {"trailer", 7}, {"content-length", 14},
        {"transfer-encoding", 17}, {"content-type", 12}, {"date", 4},    {"server", 6},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(names); i++) {
        if (name_is(name, names[i])) {
            return true;
        }
    }
    return false;
}

static int parse_status(const char *text, size_t size_bytes)
{
    static const char start[] = "HTTP/1.1 ";
    size_t at = sizeof(start) - 1;
    if (size_bytes < at + 3 || memcmp(text, start, at) != 0) {
        return -1;
    }
    int status = 0;
    for (size_t i = at; i < at + 3; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }
        status = 10 * status + (text[i] - '0');
    }
    return status >= 200 && status <= 599 ? status : -1; /* nothing interim was asked for */
}

/* The end of the line at `at`: its CRLF; NULL: none before `end`. */
static const char *line_end(const char *at, const char *end)
{
    const char *found = memmem(at, (size_t)(end - at), "\r\n", 2);
    return found;
}

int hf_upstream_parse(struct hf_str bytes, struct hf_upstream_answer *answer,
                      struct hf_buffer *headers)
{
    *answer = (struct hf_upstream_answer){0};
    size_t searched = (size_t)hf_min_u64(bytes.len, HF_UPSTREAM_HEAD_BYTES_MAX);
    const char *stop = memmem(bytes.ptr, searched, "\r\n\r\n", 4);
    if (stop == NULL) {
        return bytes.len >= HF_UPSTREAM_HEAD_BYTES_MAX ? -1 : 0;
    }
    const char *body = stop + 4;
    const char *at = line_end(bytes.ptr, body);
    answer->status = parse_status(bytes.ptr, (size_t)(at - bytes.ptr));
    if (answer->status < 0) {
        return -1;
    }
    size_t length = 0;
    bool has_length = false;
    bool chunked = false;
    for (at += 2; at < stop; at = line_end(at, body) + 2) {
        struct line line;
        const char *end = line_end(at, body);
        if (!split_line(at, end, &line)) {
            return -1;
        }
        if (name_is(line.name, HF_STR("transfer-encoding"))) {
            if (chunked || !hf_str_equal(line.value, HF_STR("chunked"))) {
                return -1;
            }
            chunked = true;
        }
        if (name_is(line.name, HF_STR("content-length"))) {
            if (has_length || !parse_length(line.value, &length)) {
                return -1;
            }
            has_length = true;
        } else if (name_is(line.name, HF_STR("content-type"))) {
            answer->content_type = line.value;
        } else if (name_is(line.name, HF_STR("connection"))) {
            answer->close = answer->close || lists(line.value, HF_STR("close"));
        }
        if (headers != NULL && !is_written_anew(line.name)) {
            hf_buffer_bytes(headers, at, (size_t)(end + 2 - at));
        }
    }
    bool bare = answer->status == 204 || answer->status == 304;
    if ((!has_length && !bare && !chunked) || (chunked && (has_length || bare))) {
        return -1;
    }
    size_t there = bytes.len - (size_t)(body - bytes.ptr);
    if (chunked) {
        answer->body = (struct hf_str){body, there};
        return 2;
    }
    length = bare ? 0 : length;
    if (there < length) {
        return 0;
    }
    answer->body = (struct hf_str){body, length};
    return there == length ? 1 : -1; /* nobody asked for more */
}
