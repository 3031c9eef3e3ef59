#include "deliver/caller_curl.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/check.h"
#include "deliver/caller_curl_priv.h"

#define EVENTS_MAX      256
#define SPARE_SLOTS_MAX 1024 /* easy handles kept for the next calls */
#define CONNECTIONS_MAX 4096 /* kept alive */

/* ---- sockets and times, as libcurl asks for them ---- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known)
{
    struct hf_caller_curl *caller = context;
    struct epoll_event event = {.data.fd = fd};
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(caller->epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    int failed =
        epoll_ctl(caller->epoll, known == NULL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
    if (failed != 0 && errno == EEXIST) {
        failed = epoll_ctl(caller->epoll, EPOLL_CTL_MOD, fd, &event);
    }
    if (known == NULL) {
        (void)curl_multi_assign(caller->multi, fd, caller); /* not NULL: it is in the set */
    }
    return failed == 0 ? 0 : -1;
}

static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
    struct hf_caller_curl *caller = context;
    (void)multi;
    caller->timer_us = timeout_ms < 0 ? UINT64_MAX : caller_now_us() + (uint64_t)timeout_ms * 1000;
    return 0;
}

uint64_t caller_now_us(void)
{
    struct timespec now;
    HF_CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- making ---- */

static bool set_up_multi(struct hf_caller_curl *caller)
{
    CURLM *multi = caller->multi;
    return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, caller) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERDATA, caller) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_MAX) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) == CURLM_OK;
}

static bool set_up_descriptors(struct hf_caller_curl *caller)
{
    struct epoll_event event = {.events = EPOLLIN};
    caller->epoll = epoll_create1(EPOLL_CLOEXEC);
    caller->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    event.data.fd = caller->bell;
    return caller->epoll >= 0 && caller->bell >= 0 &&
           epoll_ctl(caller->epoll, EPOLL_CTL_ADD, caller->bell, &event) == 0;
}

enum hf_err hf_caller_curl_new(const struct hf_caller_curl_options *options,
                               struct hf_caller_curl **made, struct hf_error *error)
{
    *made = NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return hf_error_set(error, HF_ERR_IO, "libcurl can't start");
    }
    struct hf_caller_curl *caller = hf_calloc(1, sizeof(*caller));
    if (caller == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    caller->rules = *options->rules;
    caller->wall_us = options->wall_us;
    caller->wall_context = options->wall_context;
    caller->timer_us = UINT64_MAX;
    caller->epoll = caller->bell = -1;
    caller->caller =
        (struct hf_caller){.context = caller, .start = caller_start, .cancel = caller_cancel};
    caller->ca_file = options->ca_file;
    caller->multi = curl_multi_init();
    if (caller->multi == NULL || !set_up_descriptors(caller) || !set_up_multi(caller)) {
        hf_caller_curl_free(caller);
        return hf_error_set(error, HF_ERR_IO, "can't make what calls go out by: %s",
                            strerror(errno));
    }
    *made = caller;
    return HF_ERR_OK;
}

void hf_caller_curl_free(struct hf_caller_curl *caller)
{
    if (caller == NULL) {
        return;
    }
    HF_CHECK(caller->open == 0);
    while (caller->spare != NULL) {
        struct caller_slot *slot = caller->spare;
        caller->spare = slot->next;
        caller_slot_free(slot);
    }
    if (caller->multi != NULL) {
        (void)curl_multi_cleanup(caller->multi);
    }
    if (caller->epoll >= 0) {
        (void)close(caller->epoll);
    }
    if (caller->bell >= 0) {
        (void)close(caller->bell);
    }
    hf_free(caller);
}

struct hf_caller *hf_caller_curl_caller(struct hf_caller_curl *caller)
{
    return &caller->caller;
}

size_t hf_caller_curl_open(const struct hf_caller_curl *caller)
{
    return caller->open;
}

/* ---- calls ---- */

static void put_failed(struct hf_caller_curl *caller, struct hf_call *call,
                       enum hf_call_error error, const char *why)
{
    call->error = error;
    (void)snprintf(call->error_text, sizeof(call->error_text), "%s", why);
    call->next = NULL;
    *(caller->failed_last == NULL ? &caller->failed : &caller->failed_last->next) = call;
    caller->failed_last = call;
}

void caller_start(void *context, struct hf_call *call)
{
    struct hf_caller_curl *caller = context;
    struct caller_slot *slot = caller->spare;
    call->own = NULL;
    caller->open++;
    if (slot != NULL) {
        caller->spare = slot->next;
        caller->spare_count--;
    } else {
        slot = caller_slot_new(caller);
    }
    if (slot == NULL) {
        put_failed(caller, call, HF_CALL_NOT_CONNECTED, "out of memory");
        return;
    }
    const char *why = caller_slot_begin(slot, call);
    if (why != NULL || curl_multi_add_handle(caller->multi, slot->easy) != CURLM_OK) {
        caller_slot_free(slot);
        put_failed(caller, call, why != NULL ? HF_CALL_REFUSED_HERE : HF_CALL_NOT_CONNECTED,
                   why != NULL ? why : "out of memory");
        return;
    }
    call->own = slot;
}

static void put_back(struct hf_caller_curl *caller, struct caller_slot *slot)
{
    caller_slot_clear(slot);
    if (caller->spare_count >= SPARE_SLOTS_MAX) {
        caller_slot_free(slot);
        return;
    }
    slot->next = caller->spare;
    caller->spare = slot;
    caller->spare_count++;
}

void caller_cancel(void *context, struct hf_call *call)
{
    struct hf_caller_curl *caller = context;
    struct caller_slot *slot = call->own;
    if (slot == NULL) { /* among those that failed at once */
        struct hf_call **at = &caller->failed;
        struct hf_call *before = NULL;
        while (*at != call) {
            HF_CHECK(*at != NULL);
            before = *at;
            at = &(*at)->next;
        }
        *at = call->next;
        caller->failed_last = caller->failed_last == call ? before : caller->failed_last;
    } else {
        HF_CHECK(slot->call == call);
        (void)curl_multi_remove_handle(caller->multi, slot->easy);
        put_back(caller, slot);
    }
    call->own = NULL;
    caller->open--;
}

static void finish(struct hf_caller_curl *caller, struct caller_slot *slot, CURLcode result)
{
    struct hf_call *call = slot->call;
    caller_slot_end(slot, result);
    (void)curl_multi_remove_handle(caller->multi, slot->easy);
    call->own = NULL;
    caller->open--;
    call->done(call);
    put_back(caller, slot);
}

/* ---- stepping ---- */

static size_t finish_all(struct hf_caller_curl *caller)
{
    size_t count = 0;
    int left;
    CURLMsg *message;
    while (caller->failed != NULL) {
        struct hf_call *call = caller->failed;
        caller->failed = call->next;
        caller->failed_last = caller->failed == NULL ? NULL : caller->failed_last;
        caller->open--;
        call->done(call);
        count++;
    }
    while ((message = curl_multi_info_read(caller->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            struct caller_slot *slot = NULL;
            CURLcode result = message->data.result;
            (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&slot);
            finish(caller, slot, result);
            count++;
        }
    }
    return count;
}

static int wait_ms(const struct hf_caller_curl *caller, uint64_t timeout_us)
{
    uint64_t now_us = caller_now_us();
    uint64_t timer_us = caller->timer_us > now_us ? caller->timer_us - now_us : 0;
    uint64_t least_us = caller->failed != NULL ? 0 : hf_min_u64(timer_us, timeout_us);
    return least_us > 3600000000u ? 3600000 : (int)((least_us + 999) / 1000);
}

size_t hf_caller_curl_step(struct hf_caller_curl *caller, uint64_t timeout_us)
{
    struct epoll_event events[EVENTS_MAX];
    int running;
    int count = epoll_wait(caller->epoll, events, EVENTS_MAX, wait_ms(caller, timeout_us));
    for (int i = 0; i < count; i++) {
        if (events[i].data.fd == caller->bell) {
            uint64_t rings;
            ssize_t got = read(caller->bell, &rings, sizeof(rings));
            HF_CHECK(got == (ssize_t)sizeof(rings) || errno == EAGAIN || errno == EINTR);
            atomic_store(&caller->rung, false);
            continue;
        }
        int what = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                   (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        (void)curl_multi_socket_action(caller->multi, events[i].data.fd, what, &running);
    }
    if (caller_now_us() >= caller->timer_us) {
        caller->timer_us = UINT64_MAX;
        (void)curl_multi_socket_action(caller->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    return finish_all(caller);
}

void hf_caller_curl_wake(struct hf_caller_curl *caller)
{
    uint64_t one = 1;
    if (!atomic_exchange(&caller->rung, true)) {
        HF_CHECK(write(caller->bell, &one, sizeof(one)) == (ssize_t)sizeof(one));
    }
}
