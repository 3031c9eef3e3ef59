/* A call as it goes out: docs/sagas.md, "What a participant sees and answers". */
#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/json.h"
#include "base/trace_context.h"
#include "core/saga_wire.h"
#include "deliver/runner_priv.h"
#include "deliver/secrets.h"

#define OWN_HEADERS     14u
#define SPARE_CALLS_MAX 256u
#define KEY_BYTES_MAX   256u
#define FORMATTED_BYTES 1024u
#define ANSWER_MORE     1024u /* beyond a result's limit, so that it is known to be too large */

struct making {
    struct hf_runner *runner;
    struct runner_call *call;
    const struct hf_saga_definition *definition;
    const struct hf_saga_step_definition *step;
    const struct hf_saga_call *what;
    const struct runner_texts *texts;
    struct hf_runner_turn *turn;
    struct hf_call_header *headers;
    size_t header_count, headers_max;
    char key[KEY_BYTES_MAX]; /* saga/step/op */
    bool failed;             /* memory was short */
    bool refused;            /* call->call.error_text says why */
};

/* ---- calls ---- */

/* From those that have ended, with the memory of its texts. */
static struct runner_call *reuse(struct hf_runner *runner)
{
    struct runner_call *call = runner->spare_calls;
    struct hf_arena arena = call->arena;
    runner->spare_calls = call->after;
    runner->spare_call_count--;
    memset(call, 0, sizeof(*call));
    call->arena = arena;
    return call;
}

struct runner_call *runner_call_new(struct hf_runner *runner)
{
    struct runner_call *call =
        runner->spare_calls == NULL ? hf_calloc(1, sizeof(*call)) : reuse(runner);
    if (call != NULL) {
        call->after = runner->calls;
        if (call->after != NULL) {
            call->after->before = call;
        }
        runner->calls = call;
        runner->call_count++;
    }
    return call;
}

void runner_call_free(struct hf_runner *runner, struct runner_call *call)
{
    *(call->before == NULL ? &runner->calls : &call->before->after) = call->after;
    if (call->after != NULL) {
        call->after->before = call->before;
    }
    if (call->has_command) {
        hf_command_release(&call->command);
    }
    runner->call_count--;
    if (runner->spare_call_count < SPARE_CALLS_MAX) {
        hf_arena_clear(&call->arena);
        call->after = runner->spare_calls;
        runner->spare_calls = call;
        runner->spare_call_count++;
    } else {
        hf_arena_release(&call->arena);
        hf_free(call);
    }
}

void runner_calls_release(struct hf_runner *runner)
{
    while (runner->spare_calls != NULL) {
        struct runner_call *call = reuse(runner);
        hf_arena_release(&call->arena);
        hf_free(call);
    }
}

/* ---- texts ---- */

static struct hf_str copy(struct making *making, struct hf_str text)
{
    struct hf_str copied = hf_arena_copy(&making->call->arena, text);
    making->failed = making->failed || (copied.ptr == NULL && hf_str_present(text));
    return copied;
}

static struct hf_str printed(struct making *making, const char *format, ...) HF_PRINTF(2, 3);

static struct hf_str printed(struct making *making, const char *format, ...)
{
    char text[FORMATTED_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int used = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    size_t length = used < 0 ? 0 : (size_t)hf_min_u64((uint64_t)used, sizeof(text) - 1);
    return copy(making, (struct hf_str){text, length});
}

static void refuse(struct making *making, const char *format, ...) HF_PRINTF(2, 3);

static void refuse(struct making *making, const char *format, ...)
{
    if (!making->refused) {
        va_list arguments;
        making->refused = true;
        va_start(arguments, format);
        (void)vsnprintf(making->call->call.error_text, sizeof(making->call->call.error_text),
                        format, arguments);
        va_end(arguments);
    }
}

static void put(struct making *making, struct hf_str name, struct hf_str value)
{
    HF_CHECK(making->header_count < making->headers_max);
    making->headers[making->header_count++] = (struct hf_call_header){name, value};
}

/* ---- the definition's own headers ---- */

static void scope_of(struct making *making, struct hf_saga_scope *scope, struct hf_str *results)
{
    const struct hf_saga_changed *saga = making->texts->saga;
    struct hf_reader reader =
        hf_reader_over(making->turn->texts.data, making->turn->texts.size_bytes);
    *scope = (struct hf_saga_scope){
        .saga_id = saga->saga.text,
        .definition_name = saga->definition.text,
        .business_key = saga->business_key,
        .definition_version = saga->definition_version,
        .input = saga->input.text,
        .definition = making->definition,
        .results = results,
    };
    for (uint32_t i = 0; i <= making->definition->step_count && making->turn->has_texts; i++) {
        uint64_t length = hf_read_u64(&reader);
        bool present = length != UINT64_MAX;
        const uint8_t *text = hf_read_bytes(&reader, present ? (size_t)length : 0);
        struct hf_str value =
            present ? (struct hf_str){(const char *)text, (size_t)length} : HF_STR_NONE;
        if (reader.failed) {
            break;
        }
        *(i == 0 ? &scope->input : &results[i - 1]) = value;
    }
}

static bool is_header_text(struct hf_str text)
{
    bool fine = text.len <= HF_SECRET_VALUE_BYTES_MAX;
    for (size_t i = 0; i < text.len && fine; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        fine = (c >= 0x20 && c != 0x7F) || c == '\t';
    }
    return fine;
}

/* The text of a rendered value: a string or a scalar; null: absent. */
static bool text_of(struct making *making, struct hf_str json, struct hf_str *text)
{
    struct hf_json reader;
    *text = HF_STR_NONE;
    hf_json_init(&reader, json, &making->call->arena);
    switch ((int)hf_json_next(&reader)) {
    case HF_JSON_STRING:
        *text = hf_json_string(&reader, &making->call->arena);
        making->failed = making->failed || !hf_str_present(*text);
        return true;
    case HF_JSON_NUMBER:
    case HF_JSON_TRUE:
    case HF_JSON_FALSE:
        *text = reader.raw;
        return true;
    case HF_JSON_NULL:
        return true;
    default:
        return false;
    }
}

static void put_rendered(struct making *making, const struct hf_saga_header *header,
                         const struct hf_saga_scope *scope)
{
    struct hf_buffer rendered;
    struct hf_str what;
    struct hf_str value;
    hf_buffer_init(&rendered);
    enum hf_render result =
        hf_template_render(&header->value, scope, HF_SECRET_VALUE_BYTES_MAX, &rendered, &what);
    struct hf_str json =
        copy(making, (struct hf_str){(const char *)rendered.data,
                                     result == HF_RENDER_OK ? rendered.size_bytes : 0});
    hf_buffer_release(&rendered);
    if (result == HF_RENDER_NO_MEMORY || making->failed) {
        making->failed = true;
    } else if (result != HF_RENDER_OK || !text_of(making, json, &value)) {
        refuse(making, "header %.*s: its template gives no text of at most %d bytes",
               (int)header->name.len, header->name.ptr, HF_SECRET_VALUE_BYTES_MAX);
    } else if (!is_header_text(value)) {
        refuse(making, "header %.*s: its value has a character that no header may have",
               (int)header->name.len, header->name.ptr);
    } else if (hf_str_present(value)) {
        put(making, copy(making, header->name), value);
    }
}

static void put_secret(struct making *making, const struct hf_saga_header *header)
{
    char value[HF_SECRET_VALUE_BYTES_MAX];
    struct hf_secrets *secrets = making->runner->options.secrets;
    size_t length = secrets == NULL ? 0 : hf_secrets_get(secrets, header->secret, value);
    if (length == 0) {
        refuse(making, "header %.*s: there is no secret %.*s in the file of serve --secrets",
               (int)header->name.len, header->name.ptr, (int)header->secret.len,
               header->secret.ptr);
        return;
    }
    put(making, copy(making, header->name), copy(making, (struct hf_str){value, length}));
    explicit_bzero(value, sizeof(value));
}

static void put_headers_of_definition(struct making *making)
{
    struct hf_saga_scope scope;
    struct hf_str results[HF_SAGA_STEPS_MAX] = {0};
    scope_of(making, &scope, results);
    for (uint32_t i = 0; i < making->what->header_count && !making->failed; i++) {
        const struct hf_saga_header *header = &making->what->headers[i];
        if (hf_str_present(header->secret)) {
            put_secret(making, header);
        } else {
            put_rendered(making, header, &scope);
        }
    }
}

/* ---- Holdfast's headers ---- */

static void random_bytes(struct hf_runner *runner, void *to, size_t size)
{
    if (runner->random_left < size) {
        struct hf_outside *outside = runner->options.outside;
        outside->random(outside, runner->random, sizeof(runner->random));
        runner->random_left = sizeof(runner->random);
    }
    runner->random_left -= size;
    memcpy(to, runner->random + runner->random_left, size);
}

static void hex(const uint8_t *bytes, size_t count, char *to)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        to[2 * i] = digits[bytes[i] >> 4];
        to[2 * i + 1] = digits[bytes[i] & 15];
    }
}

/* The trace that the saga was started in, if its commit names one; else one of its own, the same for all of its calls. */
static void put_traceparent(struct making *making)
{
    const struct hf_saga_changed *saga = making->texts->saga;
    char parent[HF_TRACEPARENT_BYTES + 1];
    uint8_t id[8];
    if (!hf_traceparent_of(making->texts->started->metadata.text, &making->call->arena, parent)) {
        struct hf_sha256_part parts[] = {{"holdfast trace", 14},
                                         {saga->secret, sizeof(saga->secret)}};
        struct hf_hash hash = hf_sha256_parts(parts, HF_ARRAY_COUNT(parts));
        memcpy(parent, "00-", 3);
        hex(hash.bytes, 16, parent + 3);
        memcpy(parent + 35, "-0000000000000000-00", 20);
    }
    random_bytes(making->runner, id, sizeof(id));
    id[0] |= (uint8_t)(id[0] == 0 ? 1 : 0); /* an id of zeros is none */
    hex(id, sizeof(id), parent + 36);
    put(making, HF_STR("traceparent"), copy(making, (struct hf_str){parent, HF_TRACEPARENT_BYTES}));
}

static void put_callback(struct making *making)
{
    const struct hf_saga_changed *saga = making->texts->saga;
    struct hf_str base = making->runner->options.callback_base;
    char token[33];
    if (!hf_str_present(base) || making->step->async_poll) {
        return;
    }
    put(making, HF_STR("Saga-Callback"),
        printed(making, "%.*s/v1/sagas/%.*s/steps/%.*s", (int)base.len, base.ptr,
                (int)saga->saga.text.len, saga->saga.text.ptr, (int)making->step->name.len,
                making->step->name.ptr));
    hf_saga_token(saga->secret, making->step->name, making->call->op, token);
    put(making, HF_STR("Saga-Callback-Token"), copy(making, (struct hf_str){token, 32}));
}

static bool load_signing(struct hf_runner *runner, const char *name)
{
    char text[HF_SECRET_VALUE_BYTES_MAX];
    size_t length = hf_secrets_get(runner->options.secrets, hf_str_from(name), text);
    bool fine = length == 0 || hf_sign_secret_parse((struct hf_str){text, length},
                                                    &runner->signing[runner->signing_count]);
    runner->signing_count += length != 0 && fine ? 1 : 0;
    explicit_bzero(text, sizeof(text));
    return fine;
}

/* false: a signing secret is none; then nothing is sent rather than something unsigned. */
static bool know_signing(struct hf_runner *runner)
{
    if (runner->options.secrets == NULL) {
        return true;
    }
    uint64_t generation = hf_secrets_generation(runner->options.secrets);
    if (!runner->signing_known || generation != runner->signing_generation) {
        runner->signing_count = 0;
        runner->signing_generation = generation;
        runner->signing_known = true;
        runner->signing_fine = load_signing(runner, HF_SECRET_SAGA_SIGNING) &&
                               load_signing(runner, HF_SECRET_SAGA_SIGNING_NEXT);
    }
    return runner->signing_fine;
}

static void put_signature(struct making *making, uint64_t wall_s)
{
    struct hf_runner *runner = making->runner;
    if (!know_signing(runner)) {
        refuse(making, "the secret %s or %s is none: whsec_ and base64 of 24 to 64 bytes",
               HF_SECRET_SAGA_SIGNING, HF_SECRET_SAGA_SIGNING_NEXT);
    }
    if (runner->signing_count == 0 || making->refused) {
        return;
    }
    char id[HF_SIGN_MESSAGE_ID_BYTES];
    char signature[HF_SIGN_TEXT_BYTES];
    struct hf_str timestamp = printed(making, "%llu", (unsigned long long)wall_s);
    hf_sign_message_id(hf_str_from(making->key), id);
    hf_sign(hf_str_from(id), timestamp, making->call->call.body, runner->signing,
            runner->signing_count, signature);
    put(making, HF_STR("webhook-id"), copy(making, hf_str_from(id)));
    put(making, HF_STR("webhook-timestamp"), timestamp);
    put(making, HF_STR("webhook-signature"), copy(making, hf_str_from(signature)));
}

/* Nothing of a saga with a timeout is sent later than a month behind it, not by an operator either: its participants may forget
 * it. One without is never forgotten. */
static void put_forget_after(struct making *making, uint64_t wall_us)
{
    uint64_t timeout_us = 1000 * making->definition->timeout_ms;
    if (timeout_us == 0) {
        return;
    }
    uint64_t from_us =
        hf_max_u64(making->texts->started->time_us, making->texts->saga->not_before_us);
    uint64_t forget_us = from_us + timeout_us + HF_SAGA_FORGET_US;
    if (wall_us + 1000ull * making->call->call.timeout_ms > forget_us) {
        refuse(making,
               "its timeout was over more than 30 days ago: participants may have forgotten "
               "the saga, so nothing is sent any more");
        return;
    }
    put(making, HF_STR("Saga-Forget-After"),
        printed(making, "%llu", (unsigned long long)(forget_us / 1000000)));
}

static void put_own_headers(struct making *making)
{
    struct hf_runner *runner = making->runner;
    struct hf_outside *outside = runner->options.outside;
    const struct runner_call *call = making->call;
    uint64_t wall_us = outside->wall_us(outside);
    uint64_t deadline_s = (wall_us + 1000ull * call->call.timeout_ms + 999999) / 1000000;
    struct hf_str op = hf_str_from(hf_saga_op_wire(call->op));
    put(making, HF_STR("Idempotency-Key"), printed(making, "\"%s\"", making->key));
    put(making, HF_STR("Saga-Id"), call->saga);
    put(making, HF_STR("Saga-Step"), call->step_name);
    put(making, HF_STR("Saga-Op"), op);
    put(making, HF_STR("Saga-Attempt"), printed(making, "%u", call->attempt));
    put(making, HF_STR("Saga-Deadline"), printed(making, "%llu", (unsigned long long)deadline_s));
    put_forget_after(making, wall_us);
    put_callback(making);
    put_traceparent(making);
    put_signature(making, wall_us / 1000000);
}

/* ---- the body ---- */

static void make_body(struct making *making)
{
    const struct runner_call *call = making->call;
    struct hf_str body =
        hf_str_present(making->texts->request) ? making->texts->request : HF_STR("{}");
    if (!making->what->envelope) {
        making->call->call.body = copy(making, body);
        return;
    }
    struct hf_buffer out;
    hf_buffer_init(&out);
    hf_buffer_text(&out, "{\"saga\":");
    hf_json_write_string(&out, call->saga);
    hf_buffer_text(&out, ",\"step\":");
    hf_json_write_string(&out, call->step_name);
    hf_buffer_format(&out, ",\"op\":\"%s\",\"attempt\":%u,\"data\":", hf_saga_op_wire(call->op),
                     call->attempt);
    hf_buffer_bytes(&out, body.ptr, body.len);
    hf_buffer_text(&out, "}");
    making->failed = making->failed || out.failed;
    making->call->call.body = copy(making, (struct hf_str){(const char *)out.data, out.size_bytes});
    hf_buffer_release(&out);
}

/* ---- all of it ---- */

static void copy_rules(struct making *making)
{
    const struct hf_saga_status_rules *rules = &making->step->on_status;
    struct hf_arena *arena = &making->call->arena;
    size_t count = rules->count;
    uint16_t *statuses = hf_arena_alloc_zero(arena, count + 1, sizeof(*statuses));
    enum hf_saga_outcome *outcomes = hf_arena_alloc_zero(arena, count + 1, sizeof(*outcomes));
    if (statuses == NULL || outcomes == NULL) {
        making->failed = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        statuses[i] = rules->statuses[i];
        outcomes[i] = rules->outcomes[i];
    }
    making->call->rules = (struct hf_saga_status_rules){rules->count, statuses, outcomes};
    making->call->dtm = making->definition->dtm;
}

static void make(struct making *making)
{
    struct runner_call *call = making->call;
    const struct hf_due_call *due = making->turn->due;
    char key[HF_URL_TARGET_BYTES];
    const char *why;
    call->saga = copy(making, making->texts->saga->saga.text);
    call->step_name = copy(making, making->step->name);
    making->headers_max = OWN_HEADERS + making->what->header_count;
    making->headers =
        hf_arena_alloc_zero(&call->arena, making->headers_max, sizeof(struct hf_call_header));
    if (making->failed || making->headers == NULL) {
        making->failed = true;
        return;
    }
    (void)snprintf(making->key, sizeof(making->key), "%.*s/%.*s/%s", (int)call->saga.len,
                   call->saga.ptr, (int)call->step_name.len, call->step_name.ptr,
                   hf_saga_op_wire(call->op));
    struct hf_str url = due->polls ? making->texts->request : making->what->url;
    if (!hf_url_target(url, key, &why)) {
        refuse(making, "%s %s", due->polls ? "the answer's Location" : "the URL", why);
        return;
    }
    copy_rules(making);
    call->call.url = copy(making, url);
    call->call.get = due->polls;
    call->call.content_type = HF_STR("application/json");
    call->call.timeout_ms = (uint32_t)making->step->attempt_timeout_ms;
    call->call.answer_bytes_max = HF_SAGA_RESULT_BYTES_MAX + ANSWER_MORE;
    if (!due->polls) {
        make_body(making);
    }
    put_own_headers(making);
    put_headers_of_definition(making);
    call->call.headers = making->headers;
    call->call.header_count = making->header_count;
}

bool runner_call_begin(struct hf_runner *runner, struct hf_runner_turn *turn,
                       const struct hf_saga_definition *definition,
                       const struct runner_texts *texts)
{
    const struct hf_due_call *due = turn->due;
    const struct hf_saga_step_definition *step = &definition->steps[due->step];
    struct runner_call *call = runner_call_new(runner);
    if (call == NULL) {
        return false;
    }
    call->uid = due->uid;
    call->step = due->step;
    call->op = (enum hf_saga_op)due->op;
    call->attempt = due->attempt;
    call->polls = due->polls;
    call->ask.runner = runner;
    call->call.done = runner_call_done;
    call->call.context = call;
    struct making making = {
        .runner = runner,
        .call = call,
        .definition = definition,
        .step = step,
        .what = due->op == HF_SAGA_ACTION ? &step->action : &step->compensation,
        .texts = texts,
        .turn = turn,
    };
    make(&making);
    if (making.failed) {
        runner_call_free(runner, call);
        return false;
    }
    call->turn = turn;
    runner_turn_out(turn, call);
    runner->out_count++;
    runner->begun++;
    if (making.refused) {
        call->call.error = HF_CALL_REFUSED_HERE;
        runner_call_done(&call->call);
    } else {
        runner->options.caller->start(runner->options.caller->context, &call->call);
    }
    return true;
}
