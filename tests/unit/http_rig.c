#include "unit/http_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/check.h"
#include "unit/support.h"

static void answer(struct rig *rig, struct hf_http_exchange *exchange)
{
    struct hf_http_response response = {.status = 200, .content_type = "text/plain"};
    struct hf_buffer *to = &exchange->answer;
    atomic_fetch_add(&rig->answered, 1);
    if (hf_str_equal(exchange->path, HF_STR("/size"))) {
        size_t size = strtoul(exchange->query.ptr, NULL, 10);
        uint8_t *bytes = hf_buffer_extend(to, size);
        if (bytes != NULL) {
            memset(bytes, 'x', size);
        }
        hf_http_respond(exchange, &response);
        return;
    }
    if (hf_str_equal(exchange->path, HF_STR("/empty"))) {
        response = (struct hf_http_response){.status = 204};
    } else if (hf_str_equal(exchange->path, HF_STR("/secret"))) {
        response.status = 401;
        response.headers = HF_STR("WWW-Authenticate: Bearer\r\n");
    }
    response.close = hf_str_equal(exchange->path, HF_STR("/close"));
    struct hf_str query = hf_str_present(exchange->query) ? exchange->query : HF_STR("-");
    hf_buffer_format(to, "%.*s %.*s %.*s %s%s", (int)exchange->method_text.len,
                     exchange->method_text.ptr, (int)exchange->path.len, exchange->path.ptr,
                     (int)query.len, query.ptr, exchange->secure ? "secure " : "",
                     exchange->local_socket ? "local " : "");
    hf_buffer_bytes(to, exchange->body.ptr, exchange->body.len);
    hf_http_respond(exchange, &response);
}

/* What a stream has still to say; in the exchange's arena. */
struct stream {
    uint64_t left; /* pieces */
    uint64_t sent;
    bool is_resumed; /* a tick is under way */
    bool is_over;    /* its peer has gone meanwhile */
};

static void end(struct rig *rig, struct hf_http_exchange *exchange)
{
    atomic_fetch_add(&rig->answered, 1);
    hf_http_end(exchange);
}

static void go_on(struct rig *rig, struct hf_http_exchange *exchange)
{
    struct stream *stream = exchange->user;
    bool room = true;
    while (room && stream->left > 0) {
        uint8_t *bytes = hf_buffer_extend(&exchange->answer, 1000);
        if (bytes != NULL) {
            memset(bytes, (int)('a' + stream->sent % 26), 1000);
        }
        stream->left--;
        stream->sent++;
        room = hf_http_piece(exchange);
    }
    if (stream->left == 0) {
        end(rig, exchange);
    }
}

static void begin_stream(struct rig *rig, struct hf_http_exchange *exchange, bool endless)
{
    struct hf_http_response response = {.status = 200, .content_type = "text/plain"};
    struct stream *stream = hf_arena_alloc_zero(exchange->arena, 1, sizeof(*stream));
    HF_CHECK(stream != NULL);
    exchange->user = stream;
    stream->left = endless ? UINT64_MAX : strtoul(exchange->query.ptr, NULL, 10);
    if (!hf_http_begin(exchange, &response)) {
        response.status = 429;
        atomic_fetch_add(&rig->answered, 1);
        hf_http_respond(exchange, &response);
        return;
    }
    if (exchange->method == HF_HTTP_HEAD) {
        end(rig, exchange);
        return;
    }
    go_on(rig, exchange);
}

static void unfollow(struct rig *rig, struct hf_http_exchange *exchange)
{
    HF_CHECK(pthread_mutex_lock(&rig->mutex) == 0);
    for (size_t i = 0; i < rig->following_count; i++) {
        if (rig->following[i] == exchange) {
            rig->following[i] = rig->following[--rig->following_count];
        }
    }
    HF_CHECK(pthread_mutex_unlock(&rig->mutex) == 0);
}

static void begin_follow(struct rig *rig, struct hf_http_exchange *exchange)
{
    struct hf_http_response response = {.status = 200, .content_type = "text/plain"};
    struct stream *stream = hf_arena_alloc_zero(exchange->arena, 1, sizeof(*stream));
    HF_CHECK(stream != NULL);
    exchange->user = stream;
    hf_http_watch(exchange);
    HF_CHECK(hf_http_begin(exchange, &response));
    hf_buffer_text(&exchange->answer, "begun\n");
    (void)hf_http_piece(exchange);
    HF_CHECK(pthread_mutex_lock(&rig->mutex) == 0);
    HF_CHECK(rig->following_count < HF_ARRAY_COUNT(rig->following));
    rig->following[rig->following_count++] = exchange;
    HF_CHECK(pthread_cond_broadcast(&rig->changed) == 0);
    HF_CHECK(pthread_mutex_unlock(&rig->mutex) == 0);
}

static void notice(void *context, struct hf_http_exchange *exchange, enum hf_http_notice what)
{
    struct rig *rig = context;
    atomic_fetch_add(what == HF_HTTP_ROOM   ? &rig->rooms
                     : what == HF_HTTP_GONE ? &rig->gones
                                            : &rig->stops,
                     1);
    if (hf_str_equal(exchange->path, HF_STR("/wait"))) {
        hf_buffer_text(&exchange->answer, "stop");
        atomic_fetch_add(&rig->answered, 1);
        hf_http_respond(exchange,
                        &(struct hf_http_response){.status = 200, .content_type = "text/plain"});
        return;
    }
    struct stream *stream = exchange->user;
    if (hf_str_equal(exchange->path, HF_STR("/follow"))) {
        unfollow(rig, exchange);
        stream->is_over = true;
        if (!stream->is_resumed) {
            hf_buffer_text(&exchange->answer, "stop\n");
            (void)hf_http_piece(exchange);
            end(rig, exchange);
        }
        return;
    }
    if (what == HF_HTTP_ROOM) {
        go_on(rig, exchange);
    } else {
        end(rig, exchange);
    }
}

/* To be resumed by the rig's thread, at once (later) or when it is released. */
static void wait_for(struct rig *rig, struct hf_http_exchange *exchange, bool later)
{
    HF_CHECK(pthread_mutex_lock(&rig->mutex) == 0);
    struct hf_http_exchange **list = later ? rig->waiting : rig->held;
    size_t *count = later ? &rig->waiting_count : &rig->held_count;
    HF_CHECK(*count < HF_ARRAY_COUNT(rig->held));
    list[(*count)++] = exchange;
    HF_CHECK(pthread_cond_broadcast(&rig->changed) == 0);
    HF_CHECK(pthread_mutex_unlock(&rig->mutex) == 0);
}

/* ---- what is left to a thread ---- */

static _Thread_local struct rig *left_rig;
static _Thread_local struct hf_http_exchange *left_exchange;

static bool left(void)
{
    return left_exchange != NULL;
}

static void pass_left(void)
{
    atomic_fetch_add(&left_rig->passed, 1);
    wait_for(left_rig, left_exchange, true);
    left_exchange = NULL;
}

static void run_left(void)
{
    struct rig *rig = left_rig;
    struct hf_http_exchange *exchange = left_exchange;
    left_exchange = NULL;
    atomic_fetch_add(&rig->ran, 1);
    HF_CHECK(pthread_mutex_lock(&rig->mutex) == 0);
    rig->blocked++;
    HF_CHECK(pthread_cond_broadcast(&rig->changed) == 0);
    while (rig->blocks) {
        HF_CHECK(pthread_cond_wait(&rig->changed, &rig->mutex) == 0);
    }
    rig->blocked--;
    HF_CHECK(pthread_mutex_unlock(&rig->mutex) == 0);
    hf_http_resume(exchange);
}

void rig_block(struct rig *rig)
{
    HF_CHECK(pthread_mutex_lock(&rig->mutex) == 0);
    rig->blocks = true;
    HF_CHECK(pthread_mutex_unlock(&rig->mutex) == 0);
}

bool rig_wait_blocked(struct rig *rig, uint64_t passed_before)
{
    HF_CHECK(pthread_mutex_lock(&rig->mutex) == 0);
    while (rig->blocked == 0 && atomic_load(&rig->passed) == passed_before) {
        HF_CHECK(pthread_cond_wait(&rig->changed, &rig->mutex) == 0);
    }
    bool blocked = rig->blocked > 0;
    HF_CHECK(pthread_mutex_unlock(&rig->mutex) == 0);
    return blocked;
}

static void handle(void *context, struct hf_http_exchange *exchange)
{
    struct rig *rig = context;
    atomic_fetch_add(&rig->handled, 1);
    if (hf_str_equal(exchange->path, HF_STR("/stream")) ||
        hf_str_equal(exchange->path, HF_STR("/endless"))) {
        begin_stream(rig, exchange, exchange->path.ptr[1] == 'e');
        return;
    }
    if (hf_str_equal(exchange->path, HF_STR("/follow"))) {
        begin_follow(rig, exchange);
        return;
    }
    if (hf_str_equal(exchange->path, HF_STR("/wait"))) {
        hf_http_watch(exchange);
        return;
    }
    HF_CHECK(hf_arena_alloc(exchange->arena, 100) != NULL || hf_alloc_fault_hit());
    bool later = hf_str_equal(exchange->path, HF_STR("/later"));
    bool held = hf_str_equal(exchange->path, HF_STR("/held"));
    if (hf_str_equal(exchange->path, HF_STR("/fault"))) {
        hf_alloc_fault_set(strtoul(exchange->query.ptr, NULL, 10));
    }
    if (hf_str_equal(exchange->path, HF_STR("/left")) && left_exchange == NULL) {
        left_rig = rig;
        left_exchange = exchange;
    } else if (later || held) {
        wait_for(rig, exchange, later);
    } else {
        answer(rig, exchange);
    }
}

static void resume(void *context, struct hf_http_exchange *exchange)
{
    if (hf_str_equal(exchange->path, HF_STR("/follow"))) {
        struct stream *stream = exchange->user;
        HF_CHECK(pthread_mutex_lock(&((struct rig *)context)->mutex) == 0);
        stream->is_resumed = false;
        HF_CHECK(pthread_mutex_unlock(&((struct rig *)context)->mutex) == 0);
        hf_buffer_text(&exchange->answer, "tick\n");
        (void)hf_http_piece(exchange);
        if (stream->is_over) {
            end(context, exchange);
        }
        return;
    }
    answer(context, exchange);
}

static void refuse(void *context, int status, const char *detail, struct hf_buffer *body,
                   const char **content_type)
{
    (void)context;
    hf_buffer_format(body, "refused %d: %s", status, detail);
    *content_type = "text/plain";
}

static bool admit(void *context, struct hf_http_exchange *exchange,
                  struct hf_http_response *response)
{
    (void)context;
    HF_CHECK(exchange->has_body && exchange->body.len == 0);
    if (!hf_str_equal(exchange->path, HF_STR("/secret"))) {
        return true;
    }
    *response = (struct hf_http_response){.status = 401,
                                          .content_type = "text/plain",
                                          .headers = HF_STR("WWW-Authenticate: Bearer\r\n")};
    hf_buffer_text(&exchange->answer, "not admitted");
    return false;
}

static void *resume_waiting(void *context)
{
    struct rig *rig = context;
    HF_CHECK(pthread_mutex_lock(&rig->mutex) == 0);
    for (;;) {
        while (rig->waiting_count == 0 && !rig->is_ending) {
            HF_CHECK(pthread_cond_wait(&rig->changed, &rig->mutex) == 0);
        }
        if (rig->waiting_count == 0) {
            break;
        }
        for (size_t i = 0; i < rig->waiting_count; i++) {
            hf_http_resume(rig->waiting[i]);
        }
        rig->waiting_count = 0;
    }
    HF_CHECK(pthread_mutex_unlock(&rig->mutex) == 0);
    return NULL;
}

void rig_start(struct rig *rig, const struct hf_http_limits *limits, struct hf_http_tls *tls)
{
    *rig = (struct rig){.directory = "hf-http-test-XXXXXX"};
    assert_non_null(mkdtemp(rig->directory));
    assert_int_equal(pthread_mutex_init(&rig->mutex, NULL), 0);
    assert_int_equal(pthread_cond_init(&rig->changed, NULL), 0);
    struct hf_http_limits defaults = hf_http_limits_default();
    struct hf_http_handler handler = {.context = rig,
                                      .handle = handle,
                                      .resume = resume,
                                      .notice = notice,
                                      .refuse = refuse,
                                      .admit = admit,
                                      .left = left,
                                      .run_left = run_left,
                                      .pass_left = pass_left};
    struct hf_error error = {0};
    assert_int_equal(
        hf_http_server_new(limits == NULL ? &defaults : limits, &handler, &rig->server, &error),
        HF_ERR_OK);
    char path[128];
    (void)snprintf(path, sizeof(path), "unix:%s/socket", rig->directory);
    assert_int_equal(hf_http_server_listen(rig->server, "127.0.0.1:0", tls, &error), HF_ERR_OK);
    assert_int_equal(hf_http_server_listen(rig->server, path, NULL, &error), HF_ERR_OK);
    assert_int_equal(pthread_create(&rig->thread, NULL, resume_waiting, rig), 0);
    assert_int_equal(hf_http_server_start(rig->server, &error), HF_ERR_OK);
}

void rig_stop(struct rig *rig, uint32_t drain_ms)
{
    hf_http_server_stop(rig->server, drain_ms);
    rig->server = NULL;
    HF_CHECK(pthread_mutex_lock(&rig->mutex) == 0);
    rig->is_ending = true;
    HF_CHECK(pthread_cond_broadcast(&rig->changed) == 0);
    HF_CHECK(pthread_mutex_unlock(&rig->mutex) == 0);
    assert_int_equal(pthread_join(rig->thread, NULL), 0);
    assert_int_equal(pthread_cond_destroy(&rig->changed), 0);
    assert_int_equal(pthread_mutex_destroy(&rig->mutex), 0);
    /* Every exchange was answered once; the socket file went with the server. */
    assert_int_equal(rig->handled, rig->answered);
    assert_int_equal(rmdir(rig->directory), 0);
}

void rig_wait_held(struct rig *rig, size_t count)
{
    HF_CHECK(pthread_mutex_lock(&rig->mutex) == 0);
    while (rig->held_count < count) {
        HF_CHECK(pthread_cond_wait(&rig->changed, &rig->mutex) == 0);
    }
    HF_CHECK(pthread_mutex_unlock(&rig->mutex) == 0);
}

void rig_release(struct rig *rig)
{
    HF_CHECK(pthread_mutex_lock(&rig->mutex) == 0);
    for (size_t i = 0; i < rig->held_count; i++) {
        hf_http_resume(rig->held[i]);
    }
    rig->held_count = 0;
    rig->blocks = false;
    HF_CHECK(pthread_cond_broadcast(&rig->changed) == 0);
    HF_CHECK(pthread_mutex_unlock(&rig->mutex) == 0);
}

void rig_tick(struct rig *rig, size_t count)
{
    HF_CHECK(pthread_mutex_lock(&rig->mutex) == 0);
    while (rig->following_count < count) {
        HF_CHECK(pthread_cond_wait(&rig->changed, &rig->mutex) == 0);
    }
    for (size_t i = 0; i < rig->following_count; i++) {
        struct stream *stream = rig->following[i]->user;
        stream->is_resumed = true;
        hf_http_resume(rig->following[i]);
    }
    HF_CHECK(pthread_mutex_unlock(&rig->mutex) == 0);
}

struct hf_http_counts rig_counts(struct rig *rig)
{
    struct hf_http_counts counts;
    hf_http_server_counts(rig->server, &counts);
    return counts;
}

static int connected(int fd, const void *address, socklen_t size)
{
    struct timeval patience = {.tv_sec = 20};
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, address, size), 0);
    return fd;
}

int rig_connect(struct rig *rig)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(hf_http_server_port(rig->server, 0)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = connected(socket(AF_INET, SOCK_STREAM, 0), &address, sizeof(address));
    int on = 1;
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
    return fd;
}

int rig_connect_local(struct rig *rig)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", rig->directory);
    return connected(socket(AF_UNIX, SOCK_STREAM, 0), &address, sizeof(address));
}

void rig_send(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        assert_true(sent > 0);
        data += sent;
        size -= (size_t)sent;
    }
}

void rig_send_text(int fd, const char *text)
{
    rig_send(fd, text, strlen(text));
}

char *rig_read_to_end(int fd, bool *is_reset)
{
    struct hf_buffer text = {0};
    for (;;) {
        char bytes[4096];
        ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
        if (got <= 0) {
            assert_true(got == 0 || errno == ECONNRESET);
            if (is_reset != NULL) {
                *is_reset = got < 0;
            }
            break;
        }
        hf_buffer_bytes(&text, bytes, (size_t)got);
    }
    hf_buffer_u8(&text, 0);
    assert_false(text.failed);
    return (char *)text.data;
}

char *rig_read_answer(int fd, bool is_head)
{
    struct hf_buffer text = {0};
    size_t wanted = SIZE_MAX;
    while (text.size_bytes < wanted) {
        /* The head byte by byte, so that nothing of the next answer is taken. */
        char bytes[4096];
        size_t left = wanted - text.size_bytes;
        size_t size = wanted == SIZE_MAX ? 1 : left < sizeof(bytes) ? left : sizeof(bytes);
        ssize_t got = recv(fd, bytes, size, 0);
        assert_true(got > 0);
        hf_buffer_bytes(&text, bytes, (size_t)got);
        if (wanted == SIZE_MAX && text.size_bytes > 4 &&
            memcmp(text.data + text.size_bytes - 4, "\r\n\r\n", 4) == 0) {
            char *head = (char *)text.data;
            head[text.size_bytes - 1] = '\0';
            const char *length = strstr(head, "\r\nContent-Length: ");
            wanted = text.size_bytes;
            if (length != NULL && !is_head) {
                wanted += strtoul(length + 18, NULL, 10);
            }
            head[text.size_bytes - 1] = '\n';
        }
    }
    hf_buffer_u8(&text, 0);
    assert_false(text.failed);
    return (char *)text.data;
}

void rig_ask(int fd, const char *text, const char *status, const char *body)
{
    rig_send_text(fd, text);
    char *read = rig_read_answer(fd, false);
    char *content = strstr(read, "\r\n\r\n");
    if (strncmp(read, "HTTP/1.1 ", 9) != 0 || strncmp(read + 9, status, strlen(status)) != 0 ||
        (body != NULL && (content == NULL || strstr(content, body) == NULL))) {
        print_error("%s\nis not: %s … %s\nfor: %s\n", read, status, body == NULL ? "" : body, text);
        fail();
    }
    hf_free(read);
}
