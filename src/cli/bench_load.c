/* The loop: requests out when they are due, answers in, each looked at and timed. */
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "cli/bench.h"
#include "holdfast_packed.h"

#define EVENTS_MAX    256
#define PROGRESS_NS   200000000u
#define ANSWER_NS_MAX UINT64_C(120000000000) /* no answer for so long: the load ends */
#define WAIT_MS_MAX   100

struct load {
    const struct hf_bench_plan *plan;
    struct hf_bench_maker maker;
    struct hf_bench_line *lines; /* plan->connections */
    uint32_t *idle;              /* numbers of lines without a request… */
    uint32_t idle_count;         /* …so many */
    int epoll;
    uint64_t start_ns;
    uint64_t end_ns;      /* nothing is sent from then on; UINT64_MAX: until all is sent */
    uint64_t due_ns;      /* --rate: when the next request is due */
    uint64_t sent;        /* requests */
    uint64_t answered_ns; /* the last answer came */
    uint64_t moved_ns;    /* the last request was sent, or answered */
    struct hf_bench_result *result;
    struct hf_error *error;
};

static volatile sig_atomic_t stop_wanted;

static void want_stop(int number)
{
    (void)number;
    stop_wanted = 1;
}

uint64_t hf_bench_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t processor_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- answers ---- */

static bool unexpected(struct load *load, const struct hf_bench_line *line)
{
    struct hf_str body = hf_bench_line_body(line);
    (void)hf_error_set(load->error, HF_ERR_IO, "an answer that was not expected: status %d: %.*s",
                       line->status, (int)hf_min_u64(body.len, 300), body.ptr);
    return false;
}

static bool take_packed(struct load *load, const struct hf_bench_line *line)
{
    struct hf_bench_result *result = load->result;
    struct hf_str body = hf_bench_line_body(line);
    const uint8_t *answer = (const uint8_t *)body.ptr;
    if (line->status != 200 || body.len < HOLDFAST_RESULTS_BYTES) {
        return unexpected(load, line);
    }
    uint32_t accepted = hf_get_u32(answer + HOLDFAST_RESULTS_ACCEPTED);
    uint32_t replayed = hf_get_u32(answer + HOLDFAST_RESULTS_REPLAYED);
    uint32_t refused = hf_get_u32(answer + HOLDFAST_RESULTS_REFUSED);
    if (accepted + replayed + refused != line->request.count) {
        return unexpected(load, line);
    }
    result->accepted += accepted;
    result->replayed += replayed;
    result->refused += refused;
    /* Money moves by a transfer, or by a capture. */
    bool moves = !load->plan->two_phase || line->request.captures;
    result->expected += moves ? accepted : 0;
    return true;
}

/* A line for each operation: {"status":201,…}. */
static bool take_lines(struct load *load, const struct hf_bench_line *line)
{
    static const char name[] = "\"status\":";
    struct hf_str body = hf_bench_line_body(line);
    const char *end = body.ptr + body.len;
    uint32_t lines = 0;
    if (line->status != 200) {
        return unexpected(load, line);
    }
    for (const char *at = body.ptr; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const char *status =
            stop == NULL ? NULL : memmem(at, (size_t)(stop - at), name, sizeof(name) - 1);
        if (status == NULL) {
            return unexpected(load, line);
        }
        bool accepted = strtoul(status + sizeof(name) - 1, NULL, 10) == 201;
        load->result->accepted += accepted;
        load->result->refused += !accepted;
        load->result->expected += accepted;
        lines++;
        at = stop + 1;
    }
    return lines == line->request.count || unexpected(load, line);
}

static bool take_one(struct load *load, const struct hf_bench_line *line)
{
    struct hf_bench_result *result = load->result;
    if (line->status == 201 && !line->replayed) {
        result->accepted += line->request.count;
        result->expected += line->request.count;
    } else if (line->replayed) {
        result->replayed += line->request.count;
    } else if (line->status == 422) {
        result->refused += line->request.count;
    } else {
        return unexpected(load, line);
    }
    return true;
}

static bool take_answer(struct load *load, const struct hf_bench_line *line)
{
    if (line->request.read) {
        load->result->reads++;
        return line->status == 200 || unexpected(load, line);
    }
    switch (load->plan->form) {
    case HF_BENCH_PACKED:
        return take_packed(load, line);
    case HF_BENCH_NDJSON:
        return take_lines(load, line);
    case HF_BENCH_SINGLE:
    case HF_BENCH_STREAMS:
    case HF_BENCH_DOCUMENTS:
        break;
    }
    return take_one(load, line);
}

/* Notes the time of each step that is done with this answer. */
static void end_steps(const struct load *load, uint64_t now_ns)
{
    struct hf_bench_result *result = load->result;
    uint64_t step = load->plan->step;
    uint64_t done = result->accepted + result->replayed + result->refused;
    while (step > 0 && result->steps < HF_BENCH_STEPS_MAX && done / step > result->steps) {
        result->step_ns[result->steps++] = now_ns - load->start_ns;
    }
}

/* ---- sending ---- */

static bool has_more(const struct load *load, uint64_t now_ns)
{
    const struct hf_bench_plan *plan = load->plan;
    return stop_wanted == 0 && now_ns < load->end_ns &&
           (plan->operations == 0 || load->maker.next < plan->operations);
}

static bool watch(struct load *load, uint32_t number, uint32_t events, int what)
{
    struct epoll_event event = {.events = events, .data.u32 = number};
    if (epoll_ctl(load->epoll, what, load->lines[number].file, &event) != 0) {
        (void)hf_error_set(load->error, HF_ERR_IO, "epoll: %s", strerror(errno));
        return false;
    }
    return true;
}

static bool go_on(struct load *load, uint32_t number);

/* The line's next request, due at due_ns. */
static bool send_next(struct load *load, uint32_t number, uint64_t due_ns)
{
    struct hf_bench_line *line = &load->lines[number];
    hf_bench_make(&load->maker, &line->request, &line->out);
    line->sent_bytes = 0;
    line->head_bytes = 0;
    hf_buffer_clear(&line->in);
    line->busy = true;
    line->due_ns = due_ns;
    load->moved_ns = hf_bench_now_ns();
    load->sent++;
    return go_on(load, number);
}

/* A hold's captures follow it whatever the time. */
static bool must_go_on(const struct load *load, const struct hf_bench_line *line)
{
    return load->plan->two_phase && !line->request.captures && line->request.count > 0;
}

static bool go_on(struct load *load, uint32_t number)
{
    struct hf_bench_line *line = &load->lines[number];
    enum hf_bench_progress progress = hf_bench_line_go_on(line, load->error);
    if (progress == HF_BENCH_BROKEN) {
        return false;
    }
    if (progress == HF_BENCH_WAITS) {
        bool sends = line->sent_bytes < line->out.size_bytes;
        return watch(load, number, EPOLLIN | (sends ? EPOLLOUT : 0u), EPOLL_CTL_MOD);
    }
    uint64_t now_ns = hf_bench_now_ns();
    load->answered_ns = now_ns;
    load->moved_ns = now_ns;
    hf_bench_latency_add(&load->result->latency, now_ns - line->due_ns);
    load->result->requests++;
    line->busy = false;
    load->idle[load->idle_count++] = number;
    if (!take_answer(load, line)) {
        return false;
    }
    end_steps(load, now_ns);
    return true;
}

/* An idle line that has something to send: in the end those alone whose holds wait for their captures. */
static bool take_idle(struct load *load, uint64_t now_ns, uint32_t *number)
{
    bool more = has_more(load, now_ns);
    for (uint32_t i = load->idle_count; i > 0; i--) {
        *number = load->idle[i - 1];
        if (more || must_go_on(load, &load->lines[*number])) {
            load->idle[i - 1] = load->idle[--load->idle_count];
            return true;
        }
    }
    return false;
}

/* Every request that is due and has a line. */
static bool send_due(struct load *load)
{
    uint64_t now_ns = hf_bench_now_ns();
    bool ok = true;
    uint32_t number;
    while (ok && (load->plan->rate == 0 || load->due_ns <= now_ns) &&
           take_idle(load, now_ns, &number)) {
        uint64_t due_ns = now_ns;
        if (load->plan->rate > 0) {
            due_ns = load->due_ns;
            load->due_ns = load->start_ns +
                           (uint64_t)((hf_u128)(load->sent + 1) * 1000000000u / load->plan->rate);
        }
        ok = send_next(load, number, due_ns);
        now_ns = hf_bench_now_ns();
    }
    return ok;
}

/* Is every line at rest, and nothing more to come? */
static bool is_over(const struct load *load)
{
    if (load->idle_count < load->plan->connections || has_more(load, hf_bench_now_ns())) {
        return false;
    }
    for (uint32_t i = 0; i < load->plan->connections; i++) {
        if (must_go_on(load, &load->lines[i])) {
            return false;
        }
    }
    return true;
}

static int wait_ms(const struct load *load, uint64_t now_ns)
{
    if (load->plan->rate == 0 || load->idle_count == 0) {
        return WAIT_MS_MAX;
    }
    return load->due_ns <= now_ns
               ? 0
               : (int)hf_min_u64((load->due_ns - now_ns) / 1000000u, WAIT_MS_MAX);
}

static bool wait_for_events(struct load *load)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t now_ns = hf_bench_now_ns();
    int count = epoll_wait(load->epoll, events, EVENTS_MAX, wait_ms(load, now_ns));
    if (count < 0 && errno != EINTR) {
        (void)hf_error_set(load->error, HF_ERR_IO, "epoll: %s", strerror(errno));
        return false;
    }
    bool ok = true;
    for (int i = 0; ok && i < count; i++) {
        uint32_t number = events[i].data.u32;
        if (load->lines[number].busy) {
            ok = go_on(load, number);
        } else {
            (void)hf_error_set(load->error, HF_ERR_IO, "the server closed a connection");
            ok = false;
        }
    }
    if (ok && load->idle_count < load->plan->connections &&
        hf_bench_now_ns() - load->moved_ns > ANSWER_NS_MAX) {
        (void)hf_error_set(load->error, HF_ERR_IO, "no answer in two minutes");
        ok = false;
    }
    return ok;
}

static void show(const struct load *load, struct hf_cli_progress *progress, uint64_t now_ns)
{
    const struct hf_bench_plan *plan = load->plan;
    if (plan->operations > 0) {
        hf_cli_progress_show(progress, load->maker.next, plan->operations);
    } else {
        hf_cli_progress_show(progress, (now_ns - load->start_ns) / 1000000u, plan->seconds * 1000);
    }
}

static bool run(struct load *load, struct hf_cli_progress *progress)
{
    uint64_t shown_ns = load->start_ns;
    bool ok = send_due(load);
    while (ok && !is_over(load)) {
        ok = wait_for_events(load) && send_due(load);
        uint64_t now_ns = hf_bench_now_ns();
        if (now_ns - shown_ns > PROGRESS_NS) {
            show(load, progress, now_ns);
            shown_ns = now_ns;
        }
    }
    return ok;
}

static bool open_lines(struct load *load)
{
    const struct hf_bench_plan *plan = load->plan;
    load->lines = hf_calloc(plan->connections, sizeof(*load->lines));
    load->idle = hf_calloc(plan->connections, sizeof(*load->idle));
    if (load->lines == NULL || load->idle == NULL) {
        (void)hf_error_set(load->error, HF_ERR_NO_MEMORY, "out of memory");
        return false;
    }
    for (uint32_t i = 0; i < plan->connections; i++) {
        load->lines[i].file = -1;
    }
    for (uint32_t i = 0; i < plan->connections; i++) {
        if (!hf_bench_line_open(&load->lines[i], plan, load->error) ||
            !watch(load, i, EPOLLIN, EPOLL_CTL_ADD)) {
            return false;
        }
        load->idle[load->idle_count++] = i;
    }
    return true;
}

bool hf_bench_run(const struct hf_bench_plan *plan, struct hf_cli_progress *progress,
                  struct hf_bench_result *result, struct hf_error *error)
{
    struct load load = {.plan = plan, .result = result, .error = error};
    struct sigaction before_int, before_term;
    struct sigaction stop = {.sa_handler = want_stop};
    hf_bench_maker_init(&load.maker, plan);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    bool ok = load.epoll >= 0 && open_lines(&load);
    (void)sigaction(SIGINT, &stop, &before_int);
    (void)sigaction(SIGTERM, &stop, &before_term);
    uint64_t processor_before_ns = processor_ns();
    load.start_ns = hf_bench_now_ns();
    load.due_ns = load.start_ns;
    load.answered_ns = load.start_ns;
    load.end_ns = plan->seconds == 0 ? UINT64_MAX : load.start_ns + plan->seconds * 1000000000u;
    ok = ok && run(&load, progress);
    result->elapsed_ns = load.answered_ns - load.start_ns;
    result->processor_ns = processor_ns() - processor_before_ns;
    result->ended_early = stop_wanted != 0;
    (void)sigaction(SIGINT, &before_int, NULL);
    (void)sigaction(SIGTERM, &before_term, NULL);
    for (uint32_t i = 0; load.lines != NULL && i < plan->connections; i++) {
        hf_bench_line_close(&load.lines[i]);
    }
    hf_free(load.lines);
    hf_free(load.idle);
    if (load.epoll >= 0) {
        (void)close(load.epoll);
    }
    return ok;
}
