#include "deliver/runner.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "deliver/runner_priv.h"

struct hf_runner_limits hf_runner_limits_default(void)
{
    return (struct hf_runner_limits){
        .answers_max = 8192,
        .reads_max = 32,
        .commits_per_step = 1024,
        .dues_per_step = 1024,
        .definitions_bytes_max = 64u << 20,
        .grace_us = 3000000,
        .spread_us_max = 1000000,
    };
}

/* ---- life ---- */

struct hf_runner *hf_runner_new(const struct hf_runner_options *options)
{
    uint64_t seed;
    struct hf_runner *runner = hf_calloc(1, sizeof(*runner));
    if (runner == NULL) {
        return NULL;
    }
    runner->options = *options;
    if (hf_str_present(options->callback_base)) {
        runner->callback_base = hf_malloc(options->callback_base.len + 1);
        if (runner->callback_base == NULL) {
            hf_free(runner);
            return NULL;
        }
        memcpy(runner->callback_base, options->callback_base.ptr, options->callback_base.len);
        runner->options.callback_base.ptr = runner->callback_base;
    }
    options->outside->random(options->outside, &seed, sizeof(seed));
    hf_due_calls_init(&runner->dues, seed);
    hf_known_definitions_init(&runner->definitions, options->limits.definitions_bytes_max, seed);
    hf_arena_init(&runner->scratch);
    HF_CHECK(pthread_mutex_init(&runner->mutex, NULL) == 0);
    runner->phase = RUNNER_READING;
    return runner;
}

/* Every entry but those whose call is out or whose answer is on its way. */
static void drop_idle(struct hf_runner *runner)
{
    for (size_t i = 0; i < runner->dues.bucket_count; i++) {
        struct hf_due_call *due = runner->dues.buckets[i];
        while (due != NULL) {
            struct hf_due_call *next = due->next;
            bool out = due->turn != NULL && due->turn->stage == TURN_OUT;
            if (!out && due->state != HF_DUE_ANSWERED) {
                runner_drop_due(runner, due);
            }
            due = next;
        }
    }
}

void runner_drop_all(struct hf_runner *runner)
{
    for (size_t i = 0; i < runner->dues.bucket_count; i++) {
        while (runner->dues.buckets[i] != NULL) {
            runner_drop_due(runner, runner->dues.buckets[i]);
        }
    }
}

void runner_halt(struct hf_runner *runner, const char *why)
{
    if (runner->phase != RUNNER_HALTED) {
        runner->phase = RUNNER_HALTED; /* its entries go at the end of the step */
        runner->halts = true;
        HF_CHECK(pthread_mutex_lock(&runner->mutex) == 0);
        (void)snprintf(runner->status.error, sizeof(runner->status.error), "%s", why);
        HF_CHECK(pthread_mutex_unlock(&runner->mutex) == 0);
    }
}

void runner_read_again(struct hf_runner *runner)
{
    if (runner->read_again_us == 0) {
        runner->read_again_us = runner->now_us + RUNNER_AGAIN_US;
    }
}

/* ---- requests at the node ---- */

static void asks_add(struct runner_asks *asks, struct runner_ask *ask)
{
    ask->next = NULL;
    *(asks->first == NULL ? &asks->first : &asks->last->next) = ask;
    asks->last = ask;
}

static struct runner_ask *asks_pop(struct runner_asks *asks)
{
    struct runner_ask *ask = asks->first;
    if (ask != NULL) {
        asks->first = ask->next;
    }
    return ask;
}

/* On the node's thread. */
static void ask_done(struct hf_request *request)
{
    struct runner_ask *ask = request->context;
    struct hf_runner *runner = ask->runner;
    HF_CHECK(pthread_mutex_lock(&runner->mutex) == 0);
    bool first = runner->inbox.first == NULL;
    asks_add(&runner->inbox, ask);
    if (first) { /* else it was woken for those before. Under the lock: who frees it has seen under it that nothing is under way */
        runner->options.wake(runner->options.wake_context);
    }
    HF_CHECK(pthread_mutex_unlock(&runner->mutex) == 0);
}

static void try_to_submit(struct hf_runner *runner, struct runner_ask *ask)
{
    enum hf_err code = runner->options.node.submit(runner->options.node.context, &ask->request);
    if (code == HF_ERR_OVERLOADED) {
        asks_add(&runner->again, ask);
        runner->again_us = hf_max_u64(runner->again_us, runner->now_us + RUNNER_BUSY_US);
    } else if (code != HF_ERR_OK) {
        runner->asks--;
        runner_halt(runner, "the node does not lead");
        ask->came(ask, HF_ERR_NOT_READY);
    }
}

void runner_submit(struct hf_runner *runner, struct runner_ask *ask)
{
    ask->runner = runner;
    ask->request.done = ask_done;
    ask->request.context = ask;
    runner->asks++;
    try_to_submit(runner, ask);
}

static void take_answer(struct hf_runner *runner, struct runner_ask *ask)
{
    enum hf_err code = ask->request.answer.code;
    ask->decided = ask->request.answer.decided;
    ask->position = ask->request.answer.position;
    ask->seen_position = ask->request.answer.seen_position;
    hf_answer_release(&ask->request.answer);
    if (code == HF_ERR_OVERLOADED && !ask->decided) {
        asks_add(&runner->again, ask);
        runner->again_us = hf_max_u64(runner->again_us, runner->now_us + RUNNER_BUSY_US);
        return;
    }
    runner->asks--;
    if (code == HF_ERR_NOT_READY || code == HF_ERR_DEPOSED || code == HF_ERR_OUTCOME_UNKNOWN) {
        runner_halt(runner, "the node does not lead any more");
        code = HF_ERR_NOT_READY;
    }
    ask->came(ask, code);
}

static bool take_inbox(struct hf_runner *runner)
{
    HF_CHECK(pthread_mutex_lock(&runner->mutex) == 0);
    struct runner_asks inbox = runner->inbox;
    runner->inbox = (struct runner_asks){0};
    HF_CHECK(pthread_mutex_unlock(&runner->mutex) == 0);
    struct runner_ask *ask;
    bool did = inbox.first != NULL;
    while ((ask = asks_pop(&inbox)) != NULL) {
        take_answer(runner, ask);
    }
    return did;
}

static bool submit_again(struct hf_runner *runner)
{
    if (runner->again.first == NULL || runner->now_us < runner->again_us) {
        return false;
    }
    struct runner_asks again = runner->again;
    struct runner_ask *ask;
    runner->again = (struct runner_asks){0};
    runner->again_us = 0;
    while ((ask = asks_pop(&again)) != NULL) {
        try_to_submit(runner, ask);
    }
    return true;
}

/* ---- decoding ---- */

const struct hf_commit *runner_decode(struct hf_runner *runner, const struct hf_shared_bytes *frame,
                                      uint64_t position)
{
    struct hf_error error = {0};
    size_t record = hf_get_u32(frame->data);
    size_t payload = hf_get_u32(frame->data + 4);
    const uint8_t *start = frame->data + HF_COMMIT_FRAME_BYTES;
    struct hf_commit *commit = hf_arena_alloc(&runner->scratch, sizeof(*commit));
    if (commit == NULL) {
        return NULL;
    }
    enum hf_err code =
        hf_commit_decode(start, record, start + record, payload, &runner->scratch, commit, &error);
    if (code == HF_ERR_OK && commit->position != position) {
        code = hf_error_set(&error, HF_ERR_CORRUPT, "commit %llu stands at position %llu",
                            (unsigned long long)commit->position, (unsigned long long)position);
    }
    if (code == HF_ERR_CORRUPT) {
        runner_halt(runner, error.text);
    }
    return code == HF_ERR_OK ? commit : NULL;
}

/* ---- the step ---- */

uint64_t runner_log_us(const struct hf_runner *runner)
{
    return runner->head_us + (runner->now_us - runner->head_seen_us);
}

static void look_at_head(struct hf_runner *runner)
{
    struct hf_tail_head head = runner->options.node.head(runner->options.node.context);
    if (head.position != runner->head_position || runner->head_seen_us == 0) {
        runner->head_position = head.position;
        runner->head_us = head.time_us;
        runner->head_outward = head.outward;
        runner->head_seen_us = runner->now_us;
    }
    if (!head.open) {
        runner_halt(runner, "the node does not lead any more");
    }
}

static void show_status(struct hf_runner *runner)
{
    HF_CHECK(pthread_mutex_lock(&runner->mutex) == 0);
    struct hf_runner_status *status = &runner->status;
    status->following = runner->phase == RUNNER_FOLLOWING;
    status->position = runner->next_position == 0 ? 0 : runner->next_position - 1;
    status->later = runner->dues.heap_count;
    status->now = runner->turns;
    status->out = runner->out_count;
    status->answering = runner->call_count - runner->out_count;
    status->calls = runner->begun;
    HF_CHECK(pthread_mutex_unlock(&runner->mutex) == 0);
}

static bool end_grace(struct hf_runner *runner)
{
    if (runner->stop_us == 0) {
        runner->stop_us = runner->now_us + runner->options.limits.grace_us;
    }
    return runner->now_us >= runner->stop_us && runner_cancel_all(runner);
}

/* What it knows is not whole: it sends nothing until it has read the work anew. */
static void leave_off(struct hf_runner *runner)
{
    if (runner->halts) {
        runner->halts = false;
        drop_idle(runner);
    } else if (runner->read_again_us != 0 &&
               (runner->phase == RUNNER_FOLLOWING || runner->phase == RUNNER_CATCHING_UP)) {
        runner->phase = RUNNER_READING;
        drop_idle(runner);
        runner_drop_window(runner);
    }
}

/* The work is read when there is nothing of an earlier reading any more. */
static bool begin_reading(struct hf_runner *runner)
{
    bool first = runner->phase == RUNNER_READING && runner->read_again_us == 0;
    bool again = runner->read_again_us != 0 && runner->now_us >= runner->read_again_us;
    if (runner->stopping || runner->phase != RUNNER_READING || runner->work != NULL ||
        runner->cold != NULL || !(first || again)) {
        return false;
    }
    drop_idle(runner); /* of a reading that failed */
    runner->read_again_us = 0;
    runner_work_start(runner);
    return true;
}

bool hf_runner_step(struct hf_runner *runner, uint64_t now_us)
{
    runner->now_us = now_us;
    look_at_head(runner);
    /* First of all what the log says, so that nothing is sent that it has gone beyond. */
    bool did = !runner->stopping && runner->phase != RUNNER_HALTED && runner_follow(runner);
    leave_off(runner);
    did = take_inbox(runner) || did;
    did = submit_again(runner) || did;
    did = begin_reading(runner) || did;
    did = runner_turns(runner) || did;
    did = runner_answer_all(runner) || did;
    leave_off(runner);
    if (runner->stopping) {
        did = end_grace(runner) || did;
    }
    show_status(runner);
    return did;
}

uint64_t hf_runner_next_step_us(struct hf_runner *runner)
{
    uint64_t next_us = runner->again.first == NULL ? UINT64_MAX : runner->again_us;
    if (runner->to_submit != NULL) {
        next_us = hf_min_u64(next_us, runner->submit_us);
    }
    if (runner->stopping) {
        return runner->call_count == 0 ? next_us : hf_min_u64(next_us, runner->stop_us);
    }
    if (runner->read_again_us != 0) {
        next_us = hf_min_u64(next_us, runner->read_again_us);
    }
    const struct hf_due_call *due = hf_due_calls_first(&runner->dues);
    if (due != NULL && runner->phase == RUNNER_FOLLOWING && runner_may_look(runner)) {
        uint64_t log_us = runner_log_us(runner);
        uint64_t wait_us = due->due_us > log_us ? due->due_us - log_us : 0;
        next_us = hf_min_u64(next_us, runner->now_us + wait_us);
    }
    return next_us;
}

void hf_runner_stop(struct hf_runner *runner)
{
    runner->stopping = true;
    drop_idle(runner);
}

bool hf_runner_stopped(const struct hf_runner *runner)
{
    return runner->stopping && runner->asks == 0 && runner->call_count == 0 && runner->turns == 0;
}

void hf_runner_status(struct hf_runner *runner, struct hf_runner_status *status)
{
    HF_CHECK(pthread_mutex_lock(&runner->mutex) == 0);
    *status = runner->status;
    HF_CHECK(pthread_mutex_unlock(&runner->mutex) == 0);
}

void hf_runner_verify(const struct hf_runner *runner)
{
    hf_due_calls_verify(&runner->dues);
    uint32_t calls = 0;
    uint32_t out = 0;
    for (const struct runner_call *call = runner->calls; call != NULL; call = call->after) {
        calls++;
        if (call->turn != NULL) {
            HF_CHECK(call->turn->stage == TURN_OUT && call->turn->call == call);
            out++;
        }
    }
    HF_CHECK(calls == runner->call_count && out == runner->out_count);
    HF_CHECK(calls <= runner->options.limits.answers_max);
}

/* ---- the end ---- */

static enum hf_err submit_to_nobody(void *context, struct hf_request *request)
{
    (void)context;
    (void)request;
    return HF_ERR_NOT_READY;
}

/* What has come back, or never went, is given up. */
static void let_go(struct hf_runner *runner)
{
    runner->phase = RUNNER_HALTED;
    runner->stopping = true;
    runner->options.node.submit = submit_to_nobody;
    drop_idle(runner);
    (void)runner_cancel_all(runner);
    runner->submit_us = 0;
    for (size_t i = 0; i < 3;
         i++) { /* read, line, request: what one gives up may be the next one's */
        (void)take_inbox(runner);
        runner->again_us = 0;
        (void)submit_again(runner);
        (void)runner_turns(runner);
        (void)runner_answer_all(runner);
    }
    HF_CHECK(runner->asks == 0 && runner->turns == 0 && runner->calls == NULL);
}

void hf_runner_free(struct hf_runner *runner)
{
    if (runner == NULL) {
        return;
    }
    let_go(runner);
    runner_drop_all(runner);
    runner_drop_window(runner);
    runner_calls_release(runner);
    hf_due_calls_release(&runner->dues);
    hf_known_definitions_release(&runner->definitions);
    hf_arena_release(&runner->scratch);
    HF_CHECK(pthread_mutex_destroy(&runner->mutex) == 0);
    hf_free(runner->callback_base);
    hf_free(runner);
}

/* ---- plugs ---- */

static enum hf_err submit_to_node(void *context, struct hf_request *request)
{
    return hf_node_submit(context, request);
}

static struct hf_tail_head head_of_node(void *context)
{
    return hf_tail_head(hf_node_tail(context));
}

static enum hf_tail_result take_from_node(void *context, uint64_t from,
                                          struct hf_shared_bytes **frames, size_t count_max,
                                          size_t *count)
{
    return hf_tail_take(hf_node_tail(context), from, frames, count_max, count);
}

struct hf_runner_node hf_runner_node_of(struct hf_node *node)
{
    return (struct hf_runner_node){
        .context = node,
        .submit = submit_to_node,
        .head = head_of_node,
        .take = take_from_node,
    };
}

static bool step_it(void *context, uint64_t now_us)
{
    return hf_runner_step(context, now_us);
}

static uint64_t next_of_it(void *context)
{
    return hf_runner_next_step_us(context);
}

static void stop_it(void *context)
{
    hf_runner_stop(context);
}

static bool stopped_it(void *context)
{
    return hf_runner_stopped(context);
}

struct hf_sender hf_runner_sender(struct hf_runner *runner)
{
    return (struct hf_sender){
        .context = runner,
        .step = step_it,
        .next_step_us = next_of_it,
        .stop = stop_it,
        .stopped = stopped_it,
    };
}
