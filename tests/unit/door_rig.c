#include "unit/door_rig.h"

#include "unit/support.h"

#include "base/alloc.h"

#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define HEADERS_MAX 24

/* What the server would keep beside the exchange. */
struct kept {
    struct hf_http_exchange exchange; /* first: found by its address */
    struct hf_http_header headers[HEADERS_MAX];
    struct hf_arena arena;
    struct hf_buffer text; /* of the request, quotes replaced */
    struct door_rig *rig;
    struct door_reply *reply;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool resumed; /* under mutex */
    bool begun;   /* the asking thread's own, as the next */
    bool answered;
};

/* ---- http_exchange.h ---- */

struct hf_str hf_http_header(const struct hf_http_exchange *exchange, struct hf_str name,
                             size_t *count)
{
    struct hf_str value = HF_STR_NONE;
    size_t found = 0;
    for (size_t i = 0; i < exchange->header_count; i++) {
        if (hf_str_equal(exchange->headers[i].name, name)) {
            value = found++ == 0 ? exchange->headers[i].value : value;
        }
    }
    if (count != NULL) {
        *count = found;
    }
    return value;
}

static void keep(struct door_reply *reply, const struct hf_http_exchange *exchange,
                 const struct hf_http_response *response)
{
    reply->status = response->status;
    (void)snprintf(reply->content_type, sizeof(reply->content_type), "%s",
                   response->content_type == NULL ? "" : response->content_type);
    (void)snprintf(reply->headers, sizeof(reply->headers), "%.*s", (int)response->headers.len,
                   response->headers.ptr == NULL ? "" : response->headers.ptr);
    hf_buffer_clear(&reply->body);
    hf_buffer_bytes(&reply->body, exchange->answer.data, exchange->answer.size_bytes);
    hf_buffer_u8(&reply->body, 0);
    assert_false(exchange->answer.failed);
}

void hf_http_respond(struct hf_http_exchange *exchange, const struct hf_http_response *response)
{
    struct kept *kept = (struct kept *)(void *)exchange;
    kept->rig->fault_hit = hf_alloc_fault_hit();
    hf_alloc_fault_set(0);
    assert_false(kept->answered);
    kept->answered = true;
    keep(kept->reply, exchange, response);
}

/* A stream is one answer, whose body is all of its pieces. */
bool hf_http_begin(struct hf_http_exchange *exchange, const struct hf_http_response *response)
{
    struct kept *kept = (struct kept *)(void *)exchange;
    assert_false(kept->answered || kept->begun);
    kept->begun = true;
    struct hf_buffer piece = exchange->answer;
    hf_buffer_init(&exchange->answer);
    keep(kept->reply, exchange, response);
    exchange->answer = piece;
    return true;
}

bool hf_http_piece(struct hf_http_exchange *exchange)
{
    struct kept *kept = (struct kept *)(void *)exchange;
    struct hf_buffer *body = &kept->reply->body;
    assert_true(kept->begun && !kept->answered);
    body->size_bytes--; /* the NUL */
    hf_buffer_bytes(body, exchange->answer.data, exchange->answer.size_bytes);
    hf_buffer_u8(body, 0);
    hf_buffer_clear(&exchange->answer);
    return true;
}

void hf_http_end(struct hf_http_exchange *exchange)
{
    struct kept *kept = (struct kept *)(void *)exchange;
    assert_true(kept->begun && !kept->answered);
    kept->rig->fault_hit = hf_alloc_fault_hit();
    hf_alloc_fault_set(0);
    kept->answered = true;
}

/* Nobody goes away here. */
void hf_http_watch(struct hf_http_exchange *exchange)
{
    (void)exchange;
}

void hf_http_resume(struct hf_http_exchange *exchange)
{
    struct kept *kept = (struct kept *)(void *)exchange;
    pthread_mutex_lock(&kept->mutex);
    kept->resumed = true;
    pthread_cond_signal(&kept->changed);
    pthread_mutex_unlock(&kept->mutex);
}

/* ---- an exchange out of text ---- */

static enum hf_http_method method_of(struct hf_str text)
{
    static const struct {
        const char *name;
        enum hf_http_method method;
    } rows[] = {{"GET", HF_HTTP_GET},        {"HEAD", HF_HTTP_HEAD},   {"POST", HF_HTTP_POST},
                {"PUT", HF_HTTP_PUT},        {"PATCH", HF_HTTP_PATCH}, {"DELETE", HF_HTTP_DELETE},
                {"OPTIONS", HF_HTTP_OPTIONS}};
    for (size_t i = 0; i < HF_ARRAY_COUNT(rows); i++) {
        if (hf_str_equal(text, hf_str_from(rows[i].name))) {
            return rows[i].method;
        }
    }
    return HF_HTTP_OTHER;
}

static char *room_for(struct kept *kept, size_t bytes)
{
    char *room = hf_arena_alloc(&kept->arena, bytes + 1);
    assert_non_null(room);
    return room;
}

static struct hf_str copy_text(struct kept *kept, const char *text, bool plain)
{
    size_t bytes = strlen(text);
    char *copy = room_for(kept, bytes);
    for (size_t i = 0; i < bytes; i++) {
        copy[i] = !plain && text[i] == '\'' ? '"' : text[i];
    }
    return (struct hf_str){copy, bytes};
}

static void add_header(struct kept *kept, struct hf_str name, struct hf_str value)
{
    assert_true(kept->exchange.header_count < HEADERS_MAX);
    char *lower = room_for(kept, name.len);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        lower[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    kept->headers[kept->exchange.header_count++] =
        (struct hf_http_header){{lower, name.len}, value};
}

static void add_headers(struct kept *kept, const struct door_ask *ask)
{
    struct hf_str text = copy_text(kept, ask->headers == NULL ? "" : ask->headers, false);
    kept->exchange.headers = kept->headers;
    size_t at = 0;
    while (at < text.len) {
        const char *end = memchr(text.ptr + at, '\n', text.len - at);
        size_t bytes = end == NULL ? text.len - at : (size_t)(end - text.ptr) - at;
        const char *colon = memchr(text.ptr + at, ':', bytes);
        assert_non_null(colon);
        struct hf_str name = {text.ptr + at, (size_t)(colon - text.ptr) - at};
        struct hf_str value = {colon + 1, bytes - name.len - 1};
        while (value.len > 0 && value.ptr[0] == ' ') {
            value.ptr++;
            value.len--;
        }
        add_header(kept, name, value);
        at += bytes + 1;
    }
    if (hf_http_header(&kept->exchange, HF_STR("host"), NULL).ptr == NULL) {
        add_header(kept, copy_text(kept, "host", true), HF_STR("127.0.0.1:7070"));
    }
    size_t types = 0;
    (void)hf_http_header(&kept->exchange, HF_STR("content-type"), &types);
    if (types == 0 && ask->body != NULL) {
        add_header(kept, copy_text(kept, "content-type", true), HF_STR("application/json"));
    }
}

static void make(struct kept *kept, const struct door_ask *ask, struct door_reply *reply)
{
    *kept = (struct kept){.reply = reply};
    hf_arena_init(&kept->arena);
    assert_int_equal(pthread_mutex_init(&kept->mutex, NULL), 0);
    assert_int_equal(pthread_cond_init(&kept->changed, NULL), 0);
    struct hf_http_exchange *exchange = &kept->exchange;
    struct hf_str request = copy_text(kept, ask->request, true);
    const char *space = memchr(request.ptr, ' ', request.len);
    assert_non_null(space);
    exchange->method_text = (struct hf_str){request.ptr, (size_t)(space - request.ptr)};
    exchange->method = method_of(exchange->method_text);
    exchange->path = (struct hf_str){space + 1, request.len - exchange->method_text.len - 1};
    const char *mark = memchr(exchange->path.ptr, '?', exchange->path.len);
    if (mark != NULL) {
        size_t whole = exchange->path.len;
        exchange->path.len = (size_t)(mark - exchange->path.ptr);
        exchange->query = (struct hf_str){mark + 1, whole - exchange->path.len - 1};
    }
    exchange->arena = &kept->arena;
    exchange->has_body = ask->body != NULL;
    exchange->body = ask->body == NULL ? HF_STR_NONE : copy_text(kept, ask->body, false);
    hf_buffer_init(&exchange->answer);
    add_headers(kept, ask);
}

static void drop(struct kept *kept)
{
    hf_buffer_release(&kept->exchange.answer);
    hf_arena_release(&kept->arena);
    pthread_mutex_destroy(&kept->mutex);
    pthread_cond_destroy(&kept->changed);
}

void door_rig_ask(struct door_rig *rig, const struct door_ask *ask, struct door_reply *reply)
{
    struct kept kept;
    make(&kept, ask, reply);
    kept.rig = rig;
    hf_alloc_fault_set(rig->fault_at);
    rig->handler.handle(rig->handler.context, &kept.exchange);
    while (!kept.answered) {
        pthread_mutex_lock(&kept.mutex);
        while (!kept.resumed) {
            pthread_cond_wait(&kept.changed, &kept.mutex);
        }
        kept.resumed = false;
        pthread_mutex_unlock(&kept.mutex);
        rig->handler.resume(rig->handler.context, &kept.exchange);
    }
    drop(&kept);
}

bool door_rig_admit(struct door_rig *rig, const struct door_ask *ask, struct door_reply *reply)
{
    struct kept kept;
    struct hf_http_response response = {0};
    make(&kept, ask, reply);
    bool admitted = rig->handler.admit(rig->handler.context, &kept.exchange, &response);
    if (!admitted) {
        keep(reply, &kept.exchange, &response);
    }
    drop(&kept);
    return admitted;
}

/* ---- the server around it ---- */

static void open_engine(struct door_rig *rig)
{
    struct hf_error error = {0};
    struct hf_engine_options options = {.directory = rig->directory,
                                        .create = true,
                                        .name = "door_test",
                                        .limits = hf_limits_default()};
    options.limits.segment_bytes_first = 1u << 20;
    options.limits.segment_bytes_max = 1u << 20;
    if (hf_engine_open(&options, &rig->engine, &error) != HF_ERR_OK) {
        print_error("open: %s\n", error.text);
        fail();
    }
    static const char *const origins[] = {"https://console.example.org"};
    struct hf_access_options access = {.outside = hf_engine_outside(rig->engine),
                                       .tokens_path = rig->tokens_path,
                                       .loopback_only = true,
                                       .origins = origins,
                                       .origin_count = 1};
    assert_int_equal(hf_access_new(&access, &rig->access, &error), HF_ERR_OK);
    struct hf_door_options door = {.node = hf_engine_node(rig->engine),
                                   .outside = hf_engine_outside(rig->engine),
                                   .access = rig->access,
                                   .limits = options.limits,
                                   .http = {.connections_max = 7},
                                   .version = "0.1.0",
                                   .min_position_ms_max = 50,
                                   .owner = "test:1"};
    rig->door = hf_door_new(&door);
    assert_non_null(rig->door);
    rig->handler = hf_door_handler(rig->door);
}

static void close_engine(struct door_rig *rig)
{
    struct hf_error error = {0};
    hf_door_free(rig->door);
    hf_access_free(rig->access);
    if (hf_engine_close(rig->engine, &error) != HF_ERR_OK) {
        print_error("close: %s\n", error.text);
        fail();
    }
}

void door_rig_init(struct door_rig *rig)
{
    *rig = (struct door_rig){.directory = "door_test.XXXXXX"};
    assert_non_null(mkdtemp(rig->directory));
    (void)snprintf(rig->tokens_path, sizeof(rig->tokens_path), "%s/tokens.json", rig->directory);
    open_engine(rig);
}

void door_rig_restart(struct door_rig *rig)
{
    close_engine(rig);
    open_engine(rig);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

void door_rig_release(struct door_rig *rig)
{
    close_engine(rig);
    assert_int_equal(nftw(rig->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* ---- tables ---- */

static void quoted(const char *from, char *to, size_t bytes)
{
    size_t i = 0;
    for (; from[i] != '\0' && i + 1 < bytes; i++) {
        to[i] = from[i] == '\'' ? '"' : from[i];
    }
    to[i] = '\0';
}

static bool has(const char *text, const char *part)
{
    char wanted[1024];
    quoted(part, wanted, sizeof(wanted));
    return strstr(text, wanted) != NULL;
}

static bool header_fits(const struct door_reply *reply, const char *wanted)
{
    if (wanted == NULL) {
        return true;
    }
    return wanted[0] == '!' ? !has(reply->headers, wanted + 1) : has(reply->headers, wanted);
}

void door_rig_rows(struct door_rig *rig, const struct door_row *rows, size_t count)
{
    struct door_reply reply = {0};
    hf_buffer_init(&reply.body);
    for (size_t i = 0; i < count; i++) {
        const struct door_row *row = &rows[i];
        door_rig_ask(rig, &row->ask, &reply);
        const char *body = (const char *)reply.body.data;
        if (reply.status != row->status || (row->part != NULL && !has(body, row->part)) ||
            !header_fits(&reply, row->header) || !header_fits(&reply, row->header2)) {
            print_error("row %zu: %s\n%s\n%s\nwanted %d %s %s %s\ncame %d %s\n%s%s\n", i,
                        row->ask.request, row->ask.headers == NULL ? "" : row->ask.headers,
                        row->ask.body == NULL ? "" : row->ask.body, row->status,
                        row->part == NULL ? "" : row->part, row->header == NULL ? "" : row->header,
                        row->header2 == NULL ? "" : row->header2, reply.status, reply.content_type,
                        reply.headers, body);
            fail();
        }
        if (reply.status >= 400 && strcmp(reply.content_type, "application/problem+json") != 0) {
            print_error("row %zu: a problem of type %s\n", i, reply.content_type);
            fail();
        }
    }
    hf_buffer_release(&reply.body);
}
