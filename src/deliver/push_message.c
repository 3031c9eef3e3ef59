/* A message as a call: headers, signature, and what its answer means. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/check.h"
#include "deliver/push_priv.h"
#include "outside/outside.h"

#define OWNER_BIT (UINT64_C(1) << 63) /* turns of subscriptions are not those of sagas */

struct push_message *push_message_new(void)
{
    struct push_message *message = hf_calloc(1, sizeof(*message));
    if (message != NULL) {
        hf_buffer_init(&message->event.body);
        hf_buffer_init(&message->event.texts);
        hf_buffer_init(&message->values);
    }
    return message;
}

void push_message_free(struct push_message *message)
{
    hf_buffer_release(&message->event.body);
    hf_buffer_release(&message->event.texts);
    hf_buffer_release(&message->values);
    hf_free(message);
}

/* ---- secrets ---- */

bool push_look_up_secrets(struct pusher *p)
{
    struct hf_secrets *secrets = p->push->options.secrets;
    uint64_t generation = hf_secrets_generation(secrets);
    char value[HF_SECRET_VALUE_BYTES_MAX];
    if (p->secrets_generation == generation + 1) {
        return p->secrets_there;
    }
    bool all = true;
    for (uint32_t i = 0; i < p->config->secret_count; i++) {
        size_t bytes = hf_secrets_get(secrets, p->config->secrets[i], value);
        all = hf_sign_secret_parse((struct hf_str){value, bytes}, &p->secrets[i]) && all;
    }
    for (uint32_t i = 0; i < p->config->header_count; i++) {
        const struct hf_push_header *header = &p->config->headers[i];
        all = (!header->secret || hf_secrets_get(secrets, header->value, value) > 0) && all;
    }
    explicit_bzero(value, sizeof(value));
    p->secrets_generation = generation + 1;
    p->secrets_there = all;
    if (!all) {
        push_note_error(p, "a secret that push names is not in the file of serve --secrets, or is "
                           "not whsec_ and base64 of 24 to 64 bytes");
    }
    return all;
}

/* ---- how it ended ---- */

static void end_with(struct push_message *message, bool acked)
{
    struct pusher *p = message->line->pusher;
    message->line->settling = true;
    push_list_add(acked ? &p->acked : &p->nacked, message);
    push_touch(p);
}

static void say_error(struct push_message *message, const char *text)
{
    int used = snprintf(message->error, sizeof(message->error), "%s", text);
    message->error_bytes = used < 0 ? 0 : hf_min_u64((uint64_t)used, sizeof(message->error) - 1);
}

/* "503: text of the answer": what is no printable ASCII is a '?'. */
static void say_status(struct push_message *message)
{
    const struct hf_call *call = &message->call;
    char text[PUSH_ANSWER_BYTES + 1];
    size_t bytes = hf_min_u64(call->answer.len, PUSH_ANSWER_BYTES);
    for (size_t i = 0; i < bytes; i++) {
        char c = call->answer.ptr[i];
        text[i] = c >= ' ' && c <= '~' ? c : c == '\n' || c == '\t' || c == '\r' ? ' ' : '?';
    }
    text[bytes] = '\0';
    char whole[PUSH_ANSWER_BYTES + 32];
    (void)snprintf(whole, sizeof(whole), "status %u%s%s", call->status, bytes > 0 ? ": " : "",
                   text);
    say_error(message, whole);
}

static bool may_tell_when(uint16_t status)
{
    return status == 429 || status == 502 || status == 503 || status == 504;
}

static void disable(struct pusher *p, const struct push_message *message)
{
    p->wants_disable = true;
    (void)snprintf(p->disable_reason, sizeof(p->disable_reason), "%.*s",
                   (int)hf_min_u64(message->error_bytes, sizeof(p->disable_reason) - 1),
                   message->error);
}

static void called(struct hf_call *call)
{
    struct push_message *message = HF_CONTAINER_OF(call, struct push_message, call);
    struct pusher *p = message->line->pusher;
    struct hf_push_sender *push = p->push;
    bool answered = call->error == HF_CALL_COMPLETE || call->error == HF_CALL_TOO_LARGE;
    bool good = answered && call->status >= 200 && call->status < 300;
    uint64_t retry_us = answered && may_tell_when(call->status) ? call->retry_after_ms * 1000 : 0;
    message->calling = false;
    hf_targets_ended(push->options.targets, &message->wait,
                     good ? HF_TARGET_OK : hf_target_end_of(call->error, call->status), retry_us,
                     push->options.outside->monotonic_us(push->options.outside));
    HF_CHECK(pthread_mutex_lock(&push->mutex) == 0);
    p->status.sent += good ? 1 : 0;
    p->status.failed += good ? 0 : 1;
    HF_CHECK(pthread_mutex_unlock(&push->mutex) == 0);
    if (!good) {
        if (answered) {
            say_status(message);
        } else {
            say_error(message, call->error_text);
        }
        message->has_delay = retry_us > 0;
        message->delay_ms = hf_min_u64(call->retry_after_ms, HF_BACKOFF_MS_MAX);
        push_note_error(p, message->error);
        if (answered && call->status == 410) {
            disable(p, message);
        }
    }
    end_with(message, good);
}

/* ---- its turn ---- */

static void put_header(struct push_message *message, size_t *count, struct hf_str name,
                       struct hf_str value)
{
    HF_CHECK(*count < PUSH_HEADERS_MAX);
    message->headers[(*count)++] = (struct hf_call_header){.name = name, .value = value};
}

/* TC3: the event's trace goes on with a new parent; without one it begins here. */
static void make_traceparent(struct push_message *message, struct hf_outside *outside)
{
    uint8_t random[24];
    char hex[2 * sizeof(random) + 1];
    outside->random(outside, random, sizeof(random));
    random[0] |= 1; /* neither id may be all zero */
    random[16] |= 1;
    for (size_t i = 0; i < sizeof(random); i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", random[i]);
    }
    const char *known = message->event.traceparent;
    bool goes_on = known[0] != '\0';
    (void)snprintf(message->traceparent, sizeof(message->traceparent), "00-%.32s-%.16s-%.2s",
                   goes_on ? known + 3 : hex, hex + 32, goes_on ? known + 53 : "00");
}

static struct hf_str text_of(const struct push_message *message, size_t begin, size_t end)
{
    return (struct hf_str){(const char *)message->event.texts.data + begin, end - begin};
}

/* The user's headers; values behind one another in `values`, which does not grow once they are pointed at. */
static bool put_own_headers(struct push_message *message, size_t *count)
{
    const struct pusher *p = message->line->pusher;
    const struct hf_push *config = p->config;
    size_t ends[HF_PUSH_HEADERS_MAX];
    char secret[HF_SECRET_VALUE_BYTES_MAX];
    hf_buffer_clear(&message->values);
    for (uint32_t i = 0; i < config->header_count; i++) {
        struct hf_str value = config->headers[i].value;
        if (config->headers[i].secret) {
            size_t bytes = hf_secrets_get(p->push->options.secrets, value, secret);
            value = (struct hf_str){secret, bytes};
        }
        hf_buffer_bytes(&message->values, value.ptr, value.len);
        ends[i] = message->values.size_bytes;
    }
    explicit_bzero(secret, sizeof(secret));
    size_t begin = 0;
    for (uint32_t i = 0; i < config->header_count && !message->values.failed; i++) {
        const char *text = (const char *)message->values.data + begin;
        put_header(message, count, config->headers[i].name, (struct hf_str){text, ends[i] - begin});
        begin = ends[i];
    }
    return !message->values.failed;
}

static void put_webhook_headers(struct push_message *message, size_t *count)
{
    struct pusher *p = message->line->pusher;
    struct hf_outside *outside = p->push->options.outside;
    const struct hf_receipt *receipt = &message->receipt;
    char what[HF_NAME_BYTES_MAX + 80];
    int used = snprintf(what, sizeof(what), "push/%.*s/%llu/%llu-%u", (int)p->name.text.len,
                        p->name.text.ptr, (unsigned long long)p->uid,
                        (unsigned long long)receipt->position, receipt->index);
    hf_sign_message_id((struct hf_str){what, (size_t)used}, message->id);
    (void)snprintf(message->timestamp, sizeof(message->timestamp), "%llu",
                   (unsigned long long)(outside->wall_us(outside) / 1000000));
    put_header(message, count, HF_STR("webhook-id"), hf_str_from(message->id));
    put_header(message, count, HF_STR("webhook-timestamp"), hf_str_from(message->timestamp));
    if (p->config->secret_count > 0) {
        struct hf_str body = {(const char *)message->event.body.data,
                              message->event.body.size_bytes};
        hf_sign(hf_str_from(message->id), hf_str_from(message->timestamp), body, p->secrets,
                p->config->secret_count, message->signature);
        put_header(message, count, HF_STR("webhook-signature"), hf_str_from(message->signature));
    }
    make_traceparent(message, outside);
    put_header(message, count, HF_STR("traceparent"), hf_str_from(message->traceparent));
    if (message->event.state_end > message->event.state_begin) {
        put_header(message, count, HF_STR("tracestate"),
                   text_of(message, message->event.state_begin, message->event.state_end));
    }
}

/* Its turn has come. */
static void send(struct hf_target_wait *wait)
{
    struct push_message *message = HF_CONTAINER_OF(wait, struct push_message, wait);
    struct pusher *p = message->line->pusher;
    struct hf_push_sender *push = p->push;
    size_t count = 0;
    if (!push_look_up_secrets(p) || !put_own_headers(message, &count)) {
        push_list_add(&push->unsent, message);
        return;
    }
    put_webhook_headers(message, &count);
    for (size_t i = 0; i < message->event.header_count; i++) {
        put_header(
            message, &count, hf_str_from(message->event.headers[i].name),
            text_of(message, message->event.headers[i].begin, message->event.headers[i].end));
    }
    message->call = (struct hf_call){
        .url = p->config->url,
        .body = {(const char *)message->event.body.data, message->event.body.size_bytes},
        .content_type = hf_str_from(message->event.content_type),
        .headers = message->headers,
        .header_count = count,
        .timeout_ms = p->config->timeout_ms,
        .answer_bytes_max = PUSH_ANSWER_BYTES,
        .cuts_answer = true,
        .done = called,
    };
    message->calling = true;
    push->options.caller->start(push->options.caller->context, &message->call);
}

void push_queue(struct push_line *line, uint64_t now_us)
{
    struct push_message *message = line->first;
    struct pusher *p = line->pusher;
    (void)now_us;
    message->wait.send = send;
    message->wait.owner = p->uid | OWNER_BIT;
    enum hf_err code = hf_targets_queue(p->push->options.targets, p->config->url, &message->wait);
    if (code != HF_ERR_OK) {
        say_error(message, code == HF_ERR_OVERLOADED
                               ? "more targets are called at once than can be kept apart"
                               : "out of memory");
        end_with(message, false);
    }
}
