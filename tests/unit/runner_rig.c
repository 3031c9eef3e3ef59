#include "unit/runner_rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "unit/support.h"

#define REQUESTS_MAX 65536u

const char rig_definition[] =
    "{\"steps\":["
    "{\"name\":\"a\",\"action\":{\"url\":\"http://127.0.0.1:1001/a\"},"
    "\"compensation\":{\"url\":\"http://127.0.0.1:1001/undo-a\"},\"attempt_timeout_ms\":2500},"
    "{\"name\":\"b\",\"after\":[\"a\"],\"action\":{\"url\":\"http://127.0.0.1:1001/b\"}},"
    "{\"name\":\"c\",\"action\":{\"url\":\"http://127.0.0.1:1002/c\"}},"
    "{\"name\":\"d\",\"action\":{\"url\":\"http://127.0.0.1:1002/d\",\"envelope\":true,"
    "\"headers\":{\"X-Fixed\":\"plain\",\"X-Shop\":{\"$\":\"/input/shop\"},"
    "\"Authorization\":{\"secret\":\"shop-token\"}}},"
    "\"async\":{\"mode\":\"callback\"}}]}";

/* ---- the outside ---- */

static uint64_t monotonic_us(struct hf_outside *outside)
{
    return HF_CONTAINER_OF(outside, struct rig, outside)->now_us;
}

static uint64_t wall_us(struct hf_outside *outside)
{
    return RIG_LOG_US + HF_CONTAINER_OF(outside, struct rig, outside)->now_us;
}

static void random_bytes(struct hf_outside *outside, void *data, size_t size)
{
    struct rig *rig = HF_CONTAINER_OF(outside, struct rig, outside);
    for (size_t i = 0; i < size; i++) {
        rig->random = rig->random * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)data)[i] = (uint8_t)(rig->random >> 56);
    }
}

uint64_t rig_log_us(const struct rig *rig)
{
    return RIG_LOG_US + rig->now_us;
}

/* ---- the log ---- */

static struct hf_tail_head head(void *context)
{
    struct rig *rig = context;
    return (struct hf_tail_head){
        .position = rig->durable,
        .time_us = rig->durable == 0 ? 0 : rig->times[rig->durable - 1],
        .seq = rig->durable,
        .outward = rig->durable,
        .open = !rig->down,
    };
}

static enum hf_tail_result take(void *context, uint64_t from, struct hf_shared_bytes **frames,
                                size_t count_max, size_t *count)
{
    struct rig *rig = context;
    *count = 0;
    if (from > rig->durable) {
        return HF_TAIL_AT_HEAD;
    }
    if (from < rig->ring_first) {
        return HF_TAIL_COLD;
    }
    while (*count < count_max && from + *count <= rig->durable) {
        frames[*count] = hf_shared_bytes_ref(rig->frames[from + *count - 1]);
        (*count)++;
    }
    return HF_TAIL_FRAMES;
}

struct rig_saga *rig_find(struct rig *rig, const char *saga)
{
    for (size_t i = rig->saga_count; i > 0; i--) {
        if (strcmp(rig->sagas[i - 1].name, saga) == 0) {
            return &rig->sagas[i - 1];
        }
    }
    return NULL;
}

static struct hf_name name_of(struct rig *rig, const char *text)
{
    struct hf_name name;
    assert_true(hf_name_make(hf_str_from(text), &rig->arena, &name));
    return name;
}

static struct hf_payload payload_of(const char *text)
{
    struct hf_payload payload = {.text = hf_str_from(text)};
    if (text != NULL) {
        payload.hash = hf_sha256(text, strlen(text));
    }
    return payload;
}

static struct rig_saga *make_saga(struct rig *rig, const char *name, uint64_t uid)
{
    assert_true(rig->saga_count < RIG_SAGAS_MAX);
    struct rig_saga *saga = &rig->sagas[rig->saga_count++];
    *saga = (struct rig_saga){.uid = uid, .state = HF_SAGA_RUNNING};
    (void)snprintf(saga->name, sizeof(saga->name), "%s", name);
    memset(saga->secret, 7, sizeof(saga->secret));
    for (size_t i = 0; i < RIG_STEPS; i++) {
        saga->steps[i] = (struct hf_saga_step){.state = HF_STEP_PENDING, .op = HF_SAGA_ACTION};
    }
    return saga;
}

/* The step as it is after; as the event has it in *after. */
static void change_step(struct rig_saga *saga, const struct rig_event *event,
                        const struct rig_step *from, uint64_t position, uint32_t index,
                        struct hf_saga_step_after *after)
{
    struct hf_saga_text_at here = {position, index};
    struct hf_saga_step *step = &saga->steps[from->step];
    step->state = from->state;
    step->op = from->op == 0 ? HF_SAGA_ACTION : from->op;
    step->attempts = from->attempts == 0 ? 1 : from->attempts;
    step->due_us = from->due_us;
    step->polls = from->polls;
    step->began_us = RIG_LOG_US;
    step->request = from->request == NULL ? step->request : here;
    if (!from->polls) {
        step->poll = (struct hf_saga_text_at){0};
    } else if (event->poll_at != NULL) {
        step->poll = here;
    }
    HF_CHECK(after != NULL);
    *after = (struct hf_saga_step_after){.step = from->step, .after = *step};
    after->request = payload_of(from->request);
    if (from->request != NULL) {
        after->after.request = HF_SAGA_THIS_EVENT;
    }
    if (from->polls && event->poll_at != NULL) {
        after->after.poll = HF_SAGA_THIS_EVENT;
    }
}

static struct hf_event *make_event(struct rig *rig, const struct rig_event *from, uint64_t position,
                                   uint32_t index)
{
    bool starts = from->type == HF_EVENT_SAGA_STARTED;
    struct rig_saga *saga = starts ? make_saga(rig, from->saga, hf_saga_uid(position, index))
                                   : rig_find(rig, from->saga);
    assert_non_null(saga);
    struct hf_event *event = hf_arena_alloc_zero(&rig->arena, 1, sizeof(*event));
    struct hf_saga_changed *to = hf_arena_alloc_zero(&rig->arena, 1, sizeof(*to));
    struct hf_saga_step_after *after = hf_arena_alloc_zero(&rig->arena, RIG_STEPS, sizeof(*after));
    assert_true(event != NULL && to != NULL && after != NULL);
    saga->state = from->state == 0 ? saga->state : from->state;
    saga->version++;
    *event = (struct hf_event){
        .type = from->type == 0 ? HF_EVENT_SAGA_CHANGED : from->type, .operation = 0, .saga = to};
    *to = (struct hf_saga_changed){
        .saga = name_of(rig, saga->name),
        .uid = saga->uid,
        .version = saga->version,
        .act = from->act != 0 ? from->act
               : starts       ? HF_SAGA_ACT_START
                              : HF_SAGA_ACT_TIMER,
        .state = saga->state,
        .step = from->moved ? from->step : UINT32_MAX,
        .op = from->op == 0 ? HF_SAGA_ACTION : from->op,
        .attempt = from->attempt,
        .outcome = from->act == HF_SAGA_ACT_ANSWER ? HF_OUTCOME_SUCCESS : 0,
        .late = from->late,
        .poll_at = hf_str_from(from->poll_at),
        .after_count = (uint32_t)from->count,
        .after = after,
    };
    static const char *const step_names[] = {"a", "b", "c", "d"};
    to->step_name = from->moved ? hf_str_from(step_names[from->step]) : HF_STR_NONE;
    if (saga->state == HF_SAGA_PAUSED) {
        to->resumes = HF_SAGA_RUNNING;
    }
    if (starts) {
        to->definition = name_of(rig, "order");
        to->definition_version = 1;
        to->input = payload_of("{\"shop\":\"berlin\"}");
        memcpy(to->secret, saga->secret, sizeof(to->secret));
    } else {
        to->previous_position = position - 1;
    }
    for (size_t i = 0; i < from->count; i++) {
        change_step(saga, from, &from->steps[i], position, index, &after[i]);
    }
    return event;
}

static void keep_frame(struct rig *rig, struct hf_buffer *bytes)
{
    if (rig->commits == rig->commits_capacity) {
        rig->commits_capacity = rig->commits_capacity == 0 ? 64 : 2 * rig->commits_capacity;
        rig->frames =
            realloc(rig->frames, rig->commits_capacity * sizeof(struct hf_shared_bytes *));
        rig->times = realloc(rig->times, rig->commits_capacity * sizeof(*rig->times));
    }
    HF_CHECK(rig->frames != NULL && rig->times != NULL);
    struct hf_shared_bytes *frame = hf_shared_bytes_new(bytes->size_bytes);
    assert_non_null(frame);
    memcpy(frame->data, bytes->data, bytes->size_bytes);
    rig->frames[rig->commits] = frame;
    rig->times[rig->commits] = rig_log_us(rig);
    rig->commits++;
    if (!rig->holds) {
        rig->durable = rig->commits;
    }
}

uint64_t rig_commit(struct rig *rig, const struct rig_event *events, size_t count)
{
    struct hf_event *made[16];
    struct hf_buffer bytes;
    uint64_t position = rig->commits + 1;
    assert_true(count <= HF_ARRAY_COUNT(made));
    for (size_t i = 0; i < count; i++) {
        made[i] = make_event(rig, &events[i], position, (uint32_t)i);
    }
    struct hf_commit commit = {
        .position = position,
        .time_us = rig_log_us(rig),
        .origin = HF_ORIGIN_CLIENT,
        .principal = HF_STR("local"),
        .operation_count = 1,
        .event_count = (uint32_t)count,
        .events = made,
    };
    hf_buffer_init(&bytes);
    assert_true(hf_commit_encode(&commit, &bytes));
    keep_frame(rig, &bytes);
    hf_buffer_release(&bytes);
    hf_arena_clear(&rig->arena);
    return position;
}

uint64_t rig_start(struct rig *rig, const char *saga, unsigned steps)
{
    struct rig_event event = {.type = HF_EVENT_SAGA_STARTED, .saga = saga};
    for (uint32_t i = 0; i < RIG_STEPS; i++) {
        if ((steps >> i & 1) != 0) {
            event.steps[event.count++] = (struct rig_step){.step = i,
                                                           .state = HF_STEP_RUNNING,
                                                           .due_us = rig_log_us(rig),
                                                           .request = "{\"n\":1}"};
        }
    }
    return rig_commit(rig, &event, 1);
}

/* ---- the node ---- */

static enum hf_err submit(void *context, struct hf_request *request)
{
    struct rig *rig = context;
    if (rig->down) {
        return HF_ERR_NOT_READY;
    }
    if (rig->overloads > 0) {
        rig->overloads--;
        return HF_ERR_OVERLOADED;
    }
    request->answer = (struct hf_answer){0};
    if (request->command != NULL) {
        if (rig->answer_count == rig->answers_capacity) {
            rig->answers_capacity = rig->answers_capacity == 0 ? 64 : 2 * rig->answers_capacity;
            rig->answers = realloc(rig->answers, rig->answers_capacity * sizeof(*rig->answers));
            assert_non_null(rig->answers);
        }
        assert_int_equal(request->command->op_count, 1);
        assert_int_equal(request->command->ops[0].type, HF_OP_SAGA_ANSWER);
        rig->answers[rig->answer_count++] = (struct rig_answer){
            .request = request,
            .fields = request->command->ops[0].saga->fields,
        };
        return HF_ERR_OK;
    }
    assert_true(rig->waiting_count < REQUESTS_MAX);
    rig->waiting[rig->waiting_count++] = request;
    return HF_ERR_OK;
}

static void finish(struct rig *rig, struct hf_request *request, enum hf_err code)
{
    request->answer.code = code;
    request->answer.decided = code == HF_ERR_OK;
    request->answer.seen_position = rig->durable;
    request->done(request);
}

static void serve_positions(struct rig *rig, struct hf_request *request)
{
    for (size_t i = 0; i < request->position_count; i++) {
        uint64_t position = request->positions[i];
        assert_true(position >= 1 && position <= rig->durable);
        request->frames[i] = hf_shared_bytes_ref(rig->frames[position - 1]);
        rig->reads++;
    }
    finish(rig, request, HF_ERR_OK);
}

static bool has_work(const struct rig_saga *saga)
{
    bool has = false;
    for (size_t i = 0; i < RIG_STEPS; i++) {
        enum hf_step_state state = saga->steps[i].state;
        has = has || state == HF_STEP_RUNNING || state == HF_STEP_COMPENSATING ||
              saga->steps[i].polls;
    }
    return has && !hf_saga_ended(saga->state);
}

/* Pages go by the place in the list; next_after is that as a number. */
static void serve_work(struct rig *rig, struct hf_request *request)
{
    static struct hf_saga sagas[HF_QUERY_LIMIT_MAX];
    static struct hf_saga_reading readings[HF_QUERY_LIMIT_MAX];
    const struct hf_query *query = request->queries;
    struct hf_reading reading = {.sagas = readings};
    char text[24] = "";
    char next[24];
    memcpy(text, query->after.ptr == NULL ? "" : query->after.ptr, query->after.len);
    uint32_t limit = rig->page_sagas == 0 ? query->limit : rig->page_sagas;
    size_t at = (size_t)strtoull(text, NULL, 10);
    for (; at < rig->saga_count && reading.saga_count < limit; at++) {
        struct rig_saga *saga = &rig->sagas[at];
        if (has_work(saga)) {
            struct hf_saga *to = &sagas[reading.saga_count];
            *to = (struct hf_saga){.uid = saga->uid,
                                   .state = saga->state,
                                   .definition = &rig->stored,
                                   .steps = saga->steps};
            readings[reading.saga_count++] = (struct hf_saga_reading){.saga = to};
        }
    }
    reading.more = at < rig->saga_count;
    (void)snprintf(next, sizeof(next), "%zu", at);
    reading.next_after = hf_str_from(next);
    request->render(request, 0, &reading);
    rig->work_pages++;
    uint64_t seen = rig->durable;
    if (rig->between_pages != NULL) {
        rig->between_pages(rig);
    }
    request->answer.code = HF_ERR_OK;
    request->answer.decided = true;
    request->answer.seen_position = seen;
    request->done(request);
}

static void serve_saga(struct rig *rig, struct hf_request *request)
{
    char name[64] = "";
    memcpy(name, request->queries->name.text.ptr, request->queries->name.text.len);
    const struct rig_saga *found = rig_find(rig, name);
    assert_non_null(found);
    struct hf_str results[RIG_STEPS] = {0};
    struct hf_saga saga = {.uid = found->uid, .definition = &rig->stored};
    struct hf_reading reading = {
        .saga = {.saga = &saga, .input = HF_STR("{\"shop\":\"berlin\"}"), .results = results}};
    request->render(request, 0, &reading);
    finish(rig, request, HF_ERR_OK);
}

static void serve(struct rig *rig, struct hf_request *request)
{
    if (request->position_count > 0) {
        serve_positions(rig, request);
        return;
    }
    switch ((int)request->queries->type) {
    case HF_QUERY_SAGA_WORK:
        serve_work(rig, request);
        return;
    case HF_QUERY_SAGA_DEFINITION: {
        struct hf_reading reading = {.text = payload_of(rig->definition)};
        assert_int_equal(request->queries->version, 1);
        request->render(request, 0, &reading);
        finish(rig, request, HF_ERR_OK);
        return;
    }
    case HF_QUERY_SAGA:
        serve_saga(rig, request);
        return;
    default:
        fail();
    }
}

/* A read has seen all commits: its answer waits until they are durable. */
static bool must_wait(const struct rig *rig, const struct hf_request *request)
{
    return request->query_count > 0 && rig->durable < rig->commits;
}

static bool serve_all(struct rig *rig)
{
    bool did = false;
    for (size_t i = 0; i < rig->waiting_count;) {
        struct hf_request *request = rig->waiting[i];
        if (must_wait(rig, request)) {
            i++;
            continue;
        }
        rig->waiting_count--;
        memmove(rig->waiting + i, rig->waiting + i + 1,
                (rig->waiting_count - i) * sizeof(struct hf_request *));
        serve(rig, request);
        did = true;
    }
    return did;
}

/* ---- participants ---- */

struct hf_str rig_header(const struct hf_call *call, const char *name)
{
    for (size_t i = 0; i < call->header_count; i++) {
        if (hf_str_equal(call->headers[i].name, hf_str_from(name))) {
            return call->headers[i].value;
        }
    }
    return HF_STR_NONE;
}

static void copy_header(const struct hf_call *call, const char *name, char *to, size_t size)
{
    struct hf_str value = rig_header(call, name);
    (void)snprintf(to, size, "%.*s", (int)value.len, value.ptr == NULL ? "" : value.ptr);
}

static void start_call(void *context, struct hf_call *call)
{
    struct rig *rig = context;
    char number[16];
    if (rig->call_count == rig->calls_capacity) {
        rig->calls_capacity = rig->calls_capacity == 0 ? 64 : 2 * rig->calls_capacity;
        rig->calls = realloc(rig->calls, rig->calls_capacity * sizeof(*rig->calls));
        assert_non_null(rig->calls);
    }
    struct rig_call *begun = &rig->calls[rig->call_count++];
    *begun = (struct rig_call){
        .call = call, .get = call->get, .begun_us = rig->now_us, .head = rig->durable};
    copy_header(call, "Saga-Id", begun->saga, sizeof(begun->saga));
    copy_header(call, "Saga-Step", begun->step, sizeof(begun->step));
    copy_header(call, "Saga-Op", begun->op, sizeof(begun->op));
    copy_header(call, "Saga-Attempt", number, sizeof(number));
    begun->attempt = (uint32_t)strtoul(number, NULL, 10);
    if (rig->on_call != NULL) {
        rig->on_call(rig, begun);
    }
}

static void cancel_call(void *context, struct hf_call *call)
{
    struct rig *rig = context;
    for (size_t i = 0; i < rig->call_count; i++) {
        if (rig->calls[i].call == call) {
            rig->calls[i].call = NULL;
            rig->calls[i].cancelled = true;
            return;
        }
    }
    fail();
}

struct rig_call *rig_out(struct rig *rig, const char *saga, const char *step)
{
    for (size_t i = rig->call_count; i > 0; i--) {
        struct rig_call *call = &rig->calls[i - 1];
        if (call->call != NULL && strcmp(call->saga, saga) == 0 && strcmp(call->step, step) == 0) {
            return call;
        }
    }
    print_error("no call of %s/%s is out\n", saga, step);
    fail();
    return NULL;
}

size_t rig_out_count(const struct rig *rig)
{
    size_t count = 0;
    for (size_t i = 0; i < rig->call_count; i++) {
        count += rig->calls[i].call != NULL;
    }
    return count;
}

void rig_reply(struct rig *rig, struct rig_call *call, unsigned status, const char *body)
{
    struct hf_call *to = call->call;
    call->call = NULL;
    to->error = status == 0 ? HF_CALL_TIMED_OUT : HF_CALL_COMPLETE;
    to->status = (uint16_t)status;
    to->answer = body == NULL ? HF_STR_NONE : hf_str_from(body);
    to->duration_ms = 3;
    to->done(to);
    rig_run(rig);
}

struct rig_answer *rig_pending(struct rig *rig)
{
    for (size_t i = 0; i < rig->answer_count; i++) {
        if (rig->answers[i].request != NULL) {
            return &rig->answers[i];
        }
    }
    return NULL;
}

void rig_decide(struct rig *rig, struct rig_answer *answer, uint64_t position)
{
    struct hf_request *request = answer->request;
    answer->request = NULL;
    request->answer.position = position;
    finish(rig, request, HF_ERR_OK);
}

/* ---- life ---- */

static void wake(void *context)
{
    (void)context; /* it is stepped in any case */
}

void rig_init(struct rig *rig)
{
    struct hf_malformed malformed;
    *rig = (struct rig){
        .now_us = 1000000,
        .random = 1,
        .definition = rig_definition,
        .outside = {.monotonic_us = monotonic_us, .wall_us = wall_us, .random = random_bytes},
        .target_limits = hf_target_limits_default(),
        .caller = {.start = start_call, .cancel = cancel_call},
    };
    rig->caller.context = rig;
    hf_arena_init(&rig->arena);
    rig->sagas = calloc(RIG_SAGAS_MAX, sizeof(*rig->sagas));
    rig->waiting = calloc(REQUESTS_MAX, sizeof(struct hf_request *));
    rig->secrets = hf_secrets_new();
    assert_true(rig->sagas != NULL && rig->waiting != NULL && rig->secrets != NULL);
    rig->stored = (struct hf_saga_stored_definition){.version = 1};
    rig->stored.name = (struct hf_name){.text = HF_STR("order")};
    struct hf_hash hash = hf_sha256("order", 5);
    memcpy(rig->stored.name.id.bytes, hash.bytes, 16);
    assert_true(
        hf_saga_definition_parse(&rig->stored.parsed, hf_str_from(rig_definition), &malformed));
}

void rig_boot(struct rig *rig)
{
    struct hf_runner_options options = {
        .node = {.context = rig, .submit = submit, .head = head, .take = take},
        .caller = &rig->caller,
        .secrets = rig->secrets,
        .outside = &rig->outside,
        .callback_base = HF_STR("http://127.0.0.1:7070"),
        .wake = wake,
        .limits = hf_runner_limits_default(),
    };
    options.limits.answers_max =
        rig->answers_max == 0 ? options.limits.answers_max : rig->answers_max;
    rig->targets = hf_targets_new(&rig->target_limits, 1);
    options.targets = rig->targets;
    rig->runner = hf_runner_new(&options);
    assert_true(rig->targets != NULL && rig->runner != NULL);
}

static bool step(struct rig *rig)
{
    bool did = hf_runner_step(rig->runner, rig->now_us);
    hf_runner_verify(rig->runner);
    did = hf_targets_run(rig->targets, rig->now_us, 64) > 0 || did;
    return serve_all(rig) || did;
}

void rig_run(struct rig *rig)
{
    for (size_t i = 0; step(rig); i++) {
        assert_true(i < 100000);
    }
}

void rig_pass(struct rig *rig, uint64_t us)
{
    rig_run(rig);
    rig->now_us += us;
    rig_run(rig);
}

void rig_kill(struct rig *rig)
{
    struct rig_answer *answer;
    rig->down = true;
    rig->holds = false;
    rig->durable = rig->commits;
    while ((answer = rig_pending(rig)) != NULL) { /* nobody hears of it */
        struct hf_request *request = answer->request;
        answer->request = NULL;
        finish(rig, request, HF_ERR_NOT_READY);
    }
    while (rig->waiting_count > 0) {
        finish(rig, rig->waiting[--rig->waiting_count], HF_ERR_NOT_READY);
    }
    hf_runner_free(rig->runner);
    assert_int_equal(rig_out_count(rig), 0);
    hf_targets_free(rig->targets);
    rig->runner = NULL;
    rig->targets = NULL;
    rig->down = false;
}

void rig_release(struct rig *rig)
{
    if (rig->runner != NULL) {
        rig_kill(rig);
    }
    for (size_t i = 0; i < rig->commits; i++) {
        hf_shared_bytes_unref(rig->frames[i]);
    }
    hf_saga_definition_release(&rig->stored.parsed);
    hf_secrets_free(rig->secrets);
    free(rig->frames);
    free(rig->times);
    free(rig->sagas);
    free(rig->waiting);
    free(rig->calls);
    free(rig->answers);
    hf_arena_release(&rig->arena);
}
