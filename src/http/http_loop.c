#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "http/http_priv.h"

#define EVENTS_TURN     256
#define ACCEPTS_TURN    64
#define PAUSE_MS        100  /* until accepting is tried again when descriptors have run out */
#define TRIM_MS         1000 /* between looks at the pool */
#define WAIT_MS_FOREVER (-1)

/*
 * Two threads, one turn: who has the turn does everything; it is given up in epoll_wait, and while the loop's thread runs what was
 * left to it. Then the stand-in listens in its place. A stand-in that waits is not sent away: the kernel wakes the one that
 * began to wait last, so that it has nothing to do but when the loop's thread can't; when it comes back from there and is not
 * wanted any more, it goes to sleep without epoll.
 */

/* Of this thread: it runs what was left to it, and will look at what is done there when it comes back. */
static _Thread_local const struct hf_http_server *comes_back_to;

static void take_turn(struct hf_http_server *server)
{
    HF_CHECK(pthread_mutex_lock(&server->turn) == 0);
}

static void give_turn(struct hf_http_server *server)
{
    HF_CHECK(pthread_mutex_unlock(&server->turn) == 0);
}

/* From now on exchanges that are done ring. The turn is held, and `done` is to be looked at once more. */
static void fall_asleep(struct hf_http_server *server)
{
    server->awake--;
    if (server->awake == 0) {
        atomic_store(&server->is_asleep, true);
    }
}

static void wake_up(struct hf_http_server *server)
{
    server->awake++;
    atomic_store(&server->is_asleep, false);
}

void hf_http_ring(struct hf_http_server *server)
{
    if (comes_back_to != server && atomic_exchange(&server->is_asleep, false)) {
        uint64_t one = 1;
        ssize_t written;
        do {
            written = write(server->bell, &one, sizeof(one));
        } while (written < 0 && errno == EINTR);
        HF_CHECK(written == sizeof(one));
    }
}

void hf_http_ready(struct hf_http_connection *connection)
{
    struct hf_http_server *server = connection->server;
    if (connection->is_queued) {
        return;
    }
    connection->is_queued = true;
    connection->next_ready = NULL;
    if (server->ready_last == NULL) {
        server->ready_first = connection;
    } else {
        server->ready_last->next_ready = connection;
    }
    server->ready_last = connection;
}

void hf_http_timer_leave(struct hf_http_connection *connection)
{
    struct hf_http_list *list = &connection->server->timers[connection->timer];
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else if (list->first == connection) {
        list->first = connection->next;
    } else {
        return; /* in no list yet */
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    } else {
        list->last = connection->previous;
    }
    connection->previous = NULL;
    connection->next = NULL;
}

static uint64_t duration_of(const struct hf_http_limits *limits, enum hf_http_timer timer)
{
    switch (timer) {
    case HF_HTTP_TIMER_IDLE:
        return limits->idle_ms_max;
    case HF_HTTP_TIMER_HEAD:
        return limits->head_ms_max;
    case HF_HTTP_TIMER_BODY:
        return limits->body_ms_max;
    case HF_HTTP_TIMER_WRITE:
        return limits->write_ms_max;
    case HF_HTTP_TIMER_LINGER:
        return HF_HTTP_LINGER_MS;
    case HF_HTTP_TIMER_NONE:
    case HF_HTTP_TIMERS:
        break;
    }
    return 0;
}

void hf_http_timer_set(struct hf_http_connection *connection, enum hf_http_timer timer)
{
    struct hf_http_server *server = connection->server;
    hf_http_timer_leave(connection);
    struct hf_http_list *list = &server->timers[timer];
    connection->timer = (uint8_t)timer;
    connection->deadline_ms = server->now_ms + duration_of(&server->limits, timer);
    connection->renew_bytes = 0;
    connection->is_renewed = false;
    connection->previous = list->last;
    if (list->last == NULL) {
        list->first = connection;
    } else {
        list->last->next = connection;
    }
    list->last = connection;
}

static void expire_timers(struct hf_http_server *server)
{
    for (int i = HF_HTTP_TIMER_NONE + 1; i < HF_HTTP_TIMERS; i++) {
        struct hf_http_connection *first;
        while ((first = server->timers[i].first) != NULL && first->deadline_ms <= server->now_ms) {
            hf_http_expire(first);
        }
    }
}

/* Closes a connection to have room for a new one: one that has its last answer, else the one that has been idle
 * longest, else the one whose head has been under way longest: honest clients send theirs at once, so a crowd of
 * slow ones keeps nobody out. */
static bool make_room_for_one(struct hf_http_server *server)
{
    static const enum hf_http_timer victims[] = {HF_HTTP_TIMER_LINGER, HF_HTTP_TIMER_IDLE,
                                                 HF_HTTP_TIMER_HEAD};
    for (size_t i = 0; i < HF_ARRAY_COUNT(victims); i++) {
        if (server->timers[victims[i]].first != NULL) {
            hf_http_drop(server->timers[victims[i]].first);
            return true;
        }
    }
    return false;
}

static void pause_listener(struct hf_http_server *server, struct hf_http_listener *listener,
                           bool pause)
{
    struct epoll_event event = {.events = pause ? 0 : EPOLLIN,
                                .data.u64 = hf_http_event_key(listener->fd, 0)};
    listener->is_paused = pause;
    HF_CHECK(epoll_ctl(server->epoll, EPOLL_CTL_MOD, listener->fd, &event) == 0);
}

static void accept_some(struct hf_http_server *server, struct hf_http_listener *listener)
{
    for (int i = 0; i < ACCEPTS_TURN && listener->fd >= 0; i++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            bool is_short =
                errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
            if (is_short && !make_room_for_one(server)) {
                pause_listener(server, listener, true);
            }
            if (errno == EAGAIN || errno == EWOULDBLOCK || is_short) {
                return;
            }
            continue; /* that connection has an error of its own; the next one may have none */
        }
        if (server->connection_count >= server->limits.connections_max &&
            !make_room_for_one(server)) {
            (void)close(fd);
            continue;
        }
        (void)hf_http_open(server, listener, fd);
    }
}

static void take_event(struct hf_http_server *server, const struct epoll_event *event)
{
    uint32_t fd = (uint32_t)event->data.u64;
    uint32_t number = (uint32_t)(event->data.u64 >> 32);
    for (size_t i = 0; number == 0 && i < server->listener_count; i++) {
        if (server->listeners[i].fd == (int)fd) {
            accept_some(server, &server->listeners[i]);
        }
    }
    struct hf_http_connection *connection =
        number == 0 || fd >= server->by_fd_count ? NULL : server->by_fd[fd];
    if (connection == NULL || connection->number != number) {
        return; /* a listener, the bell (it has woken somebody, that is all), or a connection that is gone */
    }
    if ((event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        connection->hangs_up = true;
        connection->readable = true;
    }
    /* A TLS handshake may wait for either. */
    connection->readable =
        connection->readable || connection->shaking || (event->events & EPOLLIN) != 0;
    connection->writable =
        connection->writable || (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
    if ((event->events & (EPOLLHUP | EPOLLERR)) != 0 &&
        (connection->state == HF_HTTP_EXCHANGE || connection->state == HF_HTTP_STREAMING)) {
        hf_http_drop(connection); /* nobody is there to be answered */
        return;
    }
    hf_http_ready(connection);
}

/* Exchanges that other threads have finished with, in the order in which they did. */
static void drain_done(struct hf_http_server *server)
{
    struct hf_http_work *newest =
        atomic_exchange_explicit(&server->done, NULL, memory_order_acquire);
    struct hf_http_work *oldest = NULL;
    while (newest != NULL) {
        struct hf_http_work *next = atomic_load_explicit(&newest->next_done, memory_order_relaxed);
        atomic_store_explicit(&newest->next_done, oldest, memory_order_relaxed);
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct hf_http_work *next = atomic_load_explicit(&oldest->next_done, memory_order_relaxed);
        HF_CHECK(oldest->is_handed);
        server->handler.resume(server->handler.context, &oldest->exchange);
        oldest = next;
    }
}

static bool has_left(const struct hf_http_server *server)
{
    return server->handler.left != NULL && server->handler.left();
}

/* Each that could go on when this began has one turn. */
static void run_ready(struct hf_http_server *server)
{
    struct hf_http_connection *connection = server->ready_first;
    server->ready_first = NULL;
    server->ready_last = NULL;
    while (connection != NULL) {
        struct hf_http_connection *next = connection->next_ready;
        connection->is_queued = false;
        hf_http_run(connection);
        connection = next;
        if (connection != NULL && has_left(server)) {
            server->handler.pass_left();
        }
    }
}

static void free_dead(struct hf_http_server *server)
{
    struct hf_http_connection *dead = server->dead;
    server->dead = NULL;
    while (dead != NULL) {
        struct hf_http_connection *next = dead->next;
        if (dead->is_queued) {
            hf_http_bury(dead);
        } else {
            hf_http_connection_free(dead);
        }
        dead = next;
    }
}

/* Listeners are closed at once; connections end after what they have under way, the idle ones now. */
static void begin_stop(struct hf_http_server *server)
{
    server->drain_deadline_ms = server->now_ms + atomic_load(&server->drain_ms);
    for (size_t i = 0; i < server->listener_count; i++) {
        hf_http_listener_close(&server->listeners[i]);
    }
    for (int i = 0; i < HF_HTTP_TIMERS; i++) {
        struct hf_http_connection *connection = server->timers[i].first;
        for (; connection != NULL; connection = connection->next) {
            connection->must_end = true;
            /* A request may stand unread in the socket. */
            connection->readable = true;
            hf_http_ready(connection);
        }
    }
}

static void drop_all(struct hf_http_server *server)
{
    for (int i = 0; i < HF_HTTP_TIMERS; i++) {
        while (server->timers[i].first != NULL) {
            hf_http_drop(server->timers[i].first);
        }
    }
}

/* How long the loop may sleep. */
static int wait_ms(const struct hf_http_server *server)
{
    uint64_t until = UINT64_MAX;
    for (int i = HF_HTTP_TIMER_NONE + 1; i < HF_HTTP_TIMERS; i++) {
        if (server->timers[i].first != NULL) {
            until = hf_min_u64(until, server->timers[i].first->deadline_ms);
        }
    }
    if (server->drain_deadline_ms > server->now_ms) {
        until = hf_min_u64(until, server->drain_deadline_ms);
    }
    if (server->pool_count > 0) {
        until = hf_min_u64(until, server->trim_at_ms);
    }
    for (size_t i = 0; i < server->listener_count; i++) {
        if (server->listeners[i].is_paused) {
            until = hf_min_u64(until, server->now_ms + PAUSE_MS);
        }
    }
    if (until == UINT64_MAX) {
        return WAIT_MS_FOREVER;
    }
    return until <= server->now_ms ? 0 : (int)hf_min_u64(until - server->now_ms, 1u << 30);
}

static int wait_for_events(struct hf_http_server *server, struct epoll_event *events)
{
    int timeout_ms = wait_ms(server);
    /* First "I sleep", then a last look: who finishes an exchange between the two rings the bell. */
    fall_asleep(server);
    bool stops = atomic_load(&server->is_stopping) && server->drain_deadline_ms == 0;
    if (server->ready_first != NULL || atomic_load(&server->done) != NULL || stops) {
        timeout_ms = 0;
    }
    give_turn(server);
    int count = epoll_wait(server->epoll, events, EVENTS_TURN, timeout_ms);
    HF_CHECK(count >= 0 || errno == EINTR);
    take_turn(server);
    wake_up(server);
    return count < 0 ? 0 : count;
}

/* What is due by the clock. */
static void look_at_clock(struct hf_http_server *server)
{
    server->now_ms = hf_http_now_ms();
    uint64_t seconds = hf_http_wall_seconds();
    if (seconds != server->date_seconds) {
        server->date_seconds = seconds;
        hf_http_date_format(seconds, server->date);
    }
    if (server->now_ms >= server->trim_at_ms) {
        /* Half of what was not used since the last look. */
        hf_http_pool_trim(server, server->pool_count - (server->pool_low + 1) / 2);
        server->pool_low = server->pool_count;
        server->trim_at_ms = server->now_ms + TRIM_MS;
    }
    for (size_t i = 0; i < server->listener_count; i++) {
        if (server->listeners[i].is_paused && server->listeners[i].fd >= 0) {
            pause_listener(server, &server->listeners[i], false);
        }
    }
}

/* Everything that can be done now. */
static void work(struct hf_http_server *server, const struct epoll_event *events, int count)
{
    look_at_clock(server);
    for (int i = 0; i < count; i++) {
        take_event(server, &events[i]);
    }
    drain_done(server);
    if (server->drain_deadline_ms == 0 && atomic_load(&server->is_stopping)) {
        begin_stop(server);
    }
    run_ready(server);
    expire_timers(server);
    if (server->drain_deadline_ms != 0 && server->now_ms >= server->drain_deadline_ms) {
        drop_all(server);
    }
    free_dead(server);
    server->has_ended =
        server->has_ended ||
        (server->drain_deadline_ms != 0 && server->connection_count == 0 &&
         server->exchange_count == 0 && server->ready_first == NULL && server->dead == NULL);
}

/* Nothing but that is to be done: the stand-in listens meanwhile. */
static void run_left(struct hf_http_server *server)
{
    fall_asleep(server);
    if (server->ready_first != NULL || atomic_load(&server->done) != NULL) {
        server->handler.pass_left();
        wake_up(server);
        return;
    }
    server->runs_left = true;
    if (!server->stands_in) {
        server->stands_in = true;
        HF_CHECK(pthread_cond_signal(&server->stand_in_wanted) == 0);
    }
    give_turn(server);
    comes_back_to = server;
    server->handler.run_left();
    comes_back_to = NULL;
    take_turn(server);
    server->runs_left = false;
    wake_up(server);
    work(server, NULL, 0);
}

void *hf_http_loop(void *context)
{
    struct hf_http_server *server = context;
    struct epoll_event events[EVENTS_TURN];
    take_turn(server);
    look_at_clock(server);
    while (!server->has_ended) {
        int count = wait_for_events(server, events);
        work(server, events, count);
        while (has_left(server)) {
            run_left(server);
        }
    }
    give_turn(server);
    return NULL;
}

/* Is not wanted: sleeps until it is, or until the end. */
static void stand_by(struct hf_http_server *server)
{
    fall_asleep(server);
    if (server->awake == 0) {
        hf_http_ring(
            server); /* what this turn has left to be done, and when, is the other's to see */
    }
    server->stands_in = false;
    while (!server->stands_in && !server->has_ended) {
        HF_CHECK(pthread_cond_wait(&server->stand_in_wanted, &server->turn) == 0);
    }
    wake_up(server);
}

void *hf_http_stand_in(void *context)
{
    struct hf_http_server *server = context;
    struct epoll_event events[EVENTS_TURN];
    take_turn(server);
    wake_up(server);
    while (!server->has_ended) {
        if (!server->runs_left) {
            stand_by(server);
            continue;
        }
        int count = wait_for_events(server, events);
        work(server, events, count);
        if (has_left(server)) {
            server->handler.pass_left();
        }
    }
    fall_asleep(server);
    hf_http_ring(server); /* the loop's thread ends, too */
    give_turn(server);
    return NULL;
}
