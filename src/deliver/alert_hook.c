#include "deliver/alert_hook.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/check.h"
#include "base/json.h"
#include "base/time_text.h"
#include "deliver/caller.h"
#include "deliver/sign.h"
#include "node/node.h"

#define LOOK_EVERY_US  5000000u   /* also when nobody says that something changed */
#define CLEARED_FOR_US 600000000u /* cleared so lately at the start: perhaps nobody was told */
#define RETRY_FIRST_US 1000000u
#define RETRY_MAX_US   60000000u
#define TIMEOUT_MS     15000u
#define ANSWER_BYTES   4096u
#define HEADERS_MAX    3u
#define TEXT_BYTES     (HF_ALERT_TEXT_BYTES_MAX + 1)

/* Something to be told. */
struct notice {
    bool cleared;
    enum hf_alert_kind kind;
    char subject[HF_ALERT_SUBJECT_BYTES_MAX + 1];
    char text[TEXT_BYTES];
    uint64_t since_us, raised_position, cleared_position, time_us;
};

/* The name of an alert that was told as raised. */
struct known {
    enum hf_alert_kind kind;
    char subject[HF_ALERT_SUBJECT_BYTES_MAX + 1];
    uint64_t raised_position;
};

/* In the order of what it does. */
struct hf_alert_hook { /* NOLINT(clang-analyzer-optin.performance.Padding) */
    struct hf_alert_hook_options options;
    char *url;    /* owned */
    char *secret; /* owned, or NULL */
    atomic_bool look;
    bool stopping;

    /* reading */
    struct hf_request request;
    bool reading;
    pthread_mutex_t mutex; /* of `answered` */
    bool answered;
    uint64_t next_look_us; /* monotonic */
    struct notice *
        seen; /* owned: what a read brought, raised ones first; HF_ALERTS_MAX + HF_ALERTS_CLEARED_MAX */
    uint32_t seen_count;
    uint64_t seen_position;   /* of the state that was read */
    uint64_t looked_position; /* of the read before; 0: there was none */
    struct known known[HF_ALERTS_MAX];
    uint32_t known_count;

    /* telling */
    struct notice *notices; /* owned: a ring of HF_ALERT_NOTICES_MAX */
    uint32_t first, count;
    struct hf_target_wait wait; /* of the first one */
    struct hf_call call;
    bool queued;            /* wait is at the targets… */
    bool out;               /* …or call is under way */
    uint64_t retry_us;      /* monotonic; not before */
    uint64_t retry_wait_us; /* the next one */
    struct hf_buffer body;
    char message_id[HF_SIGN_MESSAGE_ID_BYTES];
    char timestamp[HF_SIGN_TIMESTAMP_BYTES];
    char signature[HF_SIGN_TEXT_BYTES];
    struct hf_call_header headers[HEADERS_MAX];

    atomic_uint_fast64_t posted, failed, waiting, dropped;
};

/* ---- what is new ---- */

static void copy_text(char *to, size_t to_bytes, struct hf_str text)
{
    size_t bytes = hf_min_u64(text.len, to_bytes - 1);
    memcpy(to, text.ptr, bytes);
    to[bytes] = '\0';
}

static void take_alert(const struct hf_alert *alert, struct notice *out)
{
    *out = (struct notice){
        .cleared = alert->cleared_position != 0,
        .kind = alert->kind,
        .since_us = alert->since_us,
        .raised_position = alert->raised_position,
        .cleared_position = alert->cleared_position,
        .time_us = alert->cleared_position != 0 ? alert->cleared_at_us : alert->raised_at_us,
    };
    copy_text(out->subject, sizeof(out->subject), alert->subject);
    copy_text(out->text, sizeof(out->text), alert->text);
}

/* On the node's thread. */
static void take(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct hf_alert_hook *hook = request->context;
    const struct hf_alerts *alerts = reading->alerts;
    (void)index;
    hook->seen_position = reading->position;
    hook->seen_count = 0;
    for (uint32_t i = 0; i < alerts->raised_count; i++) {
        take_alert(alerts->raised[i], &hook->seen[hook->seen_count++]);
    }
    for (uint32_t i = 0; i < alerts->cleared_count; i++) {
        take_alert(alerts->cleared[i], &hook->seen[hook->seen_count++]);
    }
}

/* On the node's thread. Woken under the lock: whoever frees the hook, or what it wakes, has seen under it that this is over. */
static void done(struct hf_request *request)
{
    struct hf_alert_hook *hook = request->context;
    HF_CHECK(pthread_mutex_lock(&hook->mutex) == 0);
    hook->answered = true;
    hook->options.wake(hook->options.context);
    HF_CHECK(pthread_mutex_unlock(&hook->mutex) == 0);
}

static bool is_answered(struct hf_alert_hook *hook)
{
    HF_CHECK(pthread_mutex_lock(&hook->mutex) == 0);
    bool answered = hook->answered;
    HF_CHECK(pthread_mutex_unlock(&hook->mutex) == 0);
    return answered;
}

static uint32_t find_known(const struct hf_alert_hook *hook, const struct notice *notice)
{
    uint32_t i = 0;
    while (i < hook->known_count && (hook->known[i].kind != notice->kind ||
                                     hook->known[i].raised_position != notice->raised_position ||
                                     strcmp(hook->known[i].subject, notice->subject) != 0)) {
        i++;
    }
    return i;
}

static void drop_first(struct hf_alert_hook *hook)
{
    hook->first = (hook->first + 1) % HF_ALERT_NOTICES_MAX;
    hook->count--;
    atomic_store(&hook->waiting, hook->count);
}

static void add_notice(struct hf_alert_hook *hook, const struct notice *notice)
{
    if (hook->count == HF_ALERT_NOTICES_MAX) {
        if (hook->queued || hook->out) {
            atomic_fetch_add(&hook->dropped, 1); /* the first one is being told: the newest goes */
            return;
        }
        drop_first(hook);
        atomic_fetch_add(&hook->dropped, 1);
    }
    hook->notices[(hook->first + hook->count) % HF_ALERT_NOTICES_MAX] = *notice;
    hook->count++;
    atomic_store(&hook->waiting, hook->count);
}

/* It was raised; true: that is told already. */
static bool know(struct hf_alert_hook *hook, const struct notice *notice)
{
    if (find_known(hook, notice) < hook->known_count) {
        return true;
    }
    if (hook->known_count < HF_ALERTS_MAX) {
        struct known *known = &hook->known[hook->known_count++];
        known->kind = notice->kind;
        known->raised_position = notice->raised_position;
        memcpy(known->subject, notice->subject, sizeof(known->subject));
    }
    return false;
}

/* A cleared one is told if its raising was, or could have been. */
static void tell_cleared(struct hf_alert_hook *hook, const struct notice *notice, uint64_t wall_us)
{
    uint32_t at = find_known(hook, notice);
    bool known = at < hook->known_count;
    bool between = hook->looked_position != 0 && notice->raised_position > hook->looked_position;
    bool late = hook->looked_position == 0 && notice->time_us + CLEARED_FOR_US > wall_us;
    if (known) {
        hook->known[at] = hook->known[--hook->known_count];
    }
    if (between && !known) {
        struct notice raised = *notice; /* came and went between two looks */
        raised.cleared = false;
        add_notice(hook, &raised);
    }
    if (known || between || late) {
        add_notice(hook, notice);
    }
}

static uint64_t position_of(const struct notice *notice)
{
    return notice->cleared ? notice->cleared_position : notice->raised_position;
}

/* In the order of the log; what one commit clears comes before what it raises. */
static int compare(const void *a, const void *b)
{
    const struct notice *left = a;
    const struct notice *right = b;
    if (position_of(left) != position_of(right)) {
        return position_of(left) < position_of(right) ? -1 : 1;
    }
    if (left->cleared != right->cleared) {
        return left->cleared ? -1 : 1;
    }
    return left->kind != right->kind ? (int)left->kind - (int)right->kind
                                     : strcmp(left->subject, right->subject);
}

static void take_seen(struct hf_alert_hook *hook)
{
    uint64_t wall_us = hook->options.outside->wall_us(hook->options.outside);
    qsort(hook->seen, hook->seen_count, sizeof(*hook->seen), compare);
    for (uint32_t i = 0; i < hook->seen_count; i++) {
        const struct notice *notice = &hook->seen[i];
        if (!notice->cleared && !know(hook, notice)) {
            add_notice(hook, notice);
        } else if (notice->cleared && notice->cleared_position > hook->looked_position) {
            tell_cleared(hook, notice, wall_us);
        }
    }
    hook->looked_position = hook->seen_position;
}

static bool step_reading(struct hf_alert_hook *hook, uint64_t now_us)
{
    static const struct hf_query query = {.type = HF_QUERY_ALERTS};
    if (hook->reading) {
        if (!is_answered(hook)) {
            return false;
        }
        hook->reading = false;
        bool decided = hook->request.answer.decided;
        hf_answer_release(&hook->request.answer);
        if (decided && !hook->stopping) {
            take_seen(hook);
        }
        return true;
    }
    if (hook->stopping || (!atomic_exchange(&hook->look, false) && now_us < hook->next_look_us)) {
        return false;
    }
    hook->next_look_us = now_us + LOOK_EVERY_US;
    hook->answered = false; /* nothing is asked: nobody else looks at it */
    hook->request = (struct hf_request){
        .queries = &query, .query_count = 1, .render = take, .done = done, .context = hook};
    hook->reading = hf_node_submit(hook->options.node, &hook->request) == HF_ERR_OK;
    return hook->reading;
}

/* ---- telling ---- */

static void put_text(struct hf_buffer *to, const char *name, const char *text)
{
    hf_buffer_format(to, "\"%s\":", name);
    hf_json_write_string(to, hf_str_from(text));
}

static void compose(struct hf_alert_hook *hook, const struct notice *notice)
{
    char time[HF_TIME_TEXT_BYTES];
    char since[HF_TIME_TEXT_BYTES];
    struct hf_buffer *body = &hook->body;
    hf_time_format(notice->time_us, time);
    hf_time_format(notice->since_us, since);
    hf_buffer_clear(body);
    hf_buffer_format(body, "{\"type\":\"system.alert.%s\",\"timestamp\":\"%s\",\"data\":{",
                     notice->cleared ? "cleared" : "raised", time);
    put_text(body, "kind", hf_alert_wire(notice->kind));
    hf_buffer_text(body, ",");
    put_text(body, "subject", notice->subject);
    hf_buffer_format(body, ",\"since\":\"%s\",", since);
    put_text(body, "text", notice->text);
    hf_buffer_format(body, ",\"raised_position\":%" PRIu64, notice->raised_position);
    if (notice->cleared) {
        hf_buffer_format(body, ",\"cleared_position\":%" PRIu64, notice->cleared_position);
    }
    hf_buffer_text(body, "}}");
}

/* false: there is no such secret now, or it is none for signatures. */
static bool sign(struct hf_alert_hook *hook)
{
    char value[HF_SECRET_VALUE_BYTES_MAX];
    struct hf_sign_secret secret;
    size_t bytes = hook->options.secrets == NULL
                       ? 0
                       : hf_secrets_get(hook->options.secrets, hf_str_from(hook->secret), value);
    bool usable = bytes > 0 && hf_sign_secret_parse((struct hf_str){value, bytes}, &secret);
    if (usable) {
        struct hf_str body = {(const char *)hook->body.data, hook->body.size_bytes};
        hf_sign(hf_str_from(hook->message_id), hf_str_from(hook->timestamp), body, &secret, 1,
                hook->signature);
    }
    explicit_bzero(value, sizeof(value));
    explicit_bzero(&secret, sizeof(secret));
    return usable;
}

static void make_message_id(struct hf_alert_hook *hook, const struct notice *notice)
{
    char what[HF_ALERT_SUBJECT_BYTES_MAX + 96];
    (void)snprintf(what, sizeof(what), "alert %" PRIu64 " %s %s %s",
                   notice->cleared ? notice->cleared_position : notice->raised_position,
                   notice->cleared ? "cleared" : "raised", hf_alert_wire(notice->kind),
                   notice->subject);
    hf_sign_message_id(hf_str_from(what), hook->message_id);
}

static void try_later(struct hf_alert_hook *hook, uint64_t now_us, uint64_t wait_us)
{
    atomic_fetch_add(&hook->failed, 1);
    hook->retry_us = now_us + hf_max_u64(hook->retry_wait_us, wait_us);
    hook->retry_wait_us = hf_min_u64(2 * hook->retry_wait_us, RETRY_MAX_US);
}

static void call_done(struct hf_call *call)
{
    struct hf_alert_hook *hook = call->context;
    uint64_t now_us = hook->options.outside->monotonic_us(hook->options.outside);
    uint64_t retry_after_us = call->retry_after_ms * 1000;
    hook->out = false;
    hf_targets_ended(hook->options.targets, &hook->wait,
                     hf_target_end_of(call->error, call->status), retry_after_us, now_us);
    if (call->error == HF_CALL_COMPLETE && call->status >= 200 && call->status < 300) {
        atomic_fetch_add(&hook->posted, 1);
        hook->retry_us = 0;
        hook->retry_wait_us = RETRY_FIRST_US;
        drop_first(hook);
    } else {
        try_later(hook, now_us, hf_min_u64(retry_after_us, RETRY_MAX_US));
    }
}

/* Its turn at the target: never inside of it may the call end, so a call without a secret is not begun at all (step). */
static void send(struct hf_target_wait *wait)
{
    struct hf_alert_hook *hook = HF_CONTAINER_OF(wait, struct hf_alert_hook, wait);
    size_t count = 0;
    hook->queued = false;
    hook->out = true;
    hook->headers[count++] =
        (struct hf_call_header){HF_STR("webhook-id"), hf_str_from(hook->message_id)};
    hook->headers[count++] =
        (struct hf_call_header){HF_STR("webhook-timestamp"), hf_str_from(hook->timestamp)};
    if (hook->secret != NULL) {
        hook->headers[count++] =
            (struct hf_call_header){HF_STR("webhook-signature"), hf_str_from(hook->signature)};
    }
    hook->call = (struct hf_call){
        .url = hf_str_from(hook->url),
        .body = {(const char *)hook->body.data, hook->body.size_bytes},
        .content_type = HF_STR("application/json"),
        .headers = hook->headers,
        .header_count = count,
        .timeout_ms = TIMEOUT_MS,
        .answer_bytes_max = ANSWER_BYTES,
        .done = call_done,
        .context = hook,
    };
    hook->options.caller->start(hook->options.caller->context, &hook->call);
}

static bool step_telling(struct hf_alert_hook *hook, uint64_t now_us)
{
    if (hook->stopping || hook->count == 0 || hook->queued || hook->out ||
        now_us < hook->retry_us) {
        return false;
    }
    const struct notice *notice = &hook->notices[hook->first];
    uint64_t wall_us = hook->options.outside->wall_us(hook->options.outside);
    compose(hook, notice);
    make_message_id(hook, notice);
    (void)snprintf(hook->timestamp, sizeof(hook->timestamp), "%" PRIu64, wall_us / 1000000);
    if (hook->body.failed || (hook->secret != NULL && !sign(hook)) ||
        hf_targets_queue(hook->options.targets, hf_str_from(hook->url), &hook->wait) != HF_ERR_OK) {
        try_later(hook, now_us, 0);
        return false;
    }
    hook->queued = true;
    return true;
}

/* ---- the sender ---- */

static bool step(void *context, uint64_t now_us)
{
    struct hf_alert_hook *hook = context;
    bool did = step_reading(hook, now_us);
    return step_telling(hook, now_us) || did;
}

static uint64_t next_step_us(void *context)
{
    const struct hf_alert_hook *hook = context;
    uint64_t next = hook->reading ? UINT64_MAX : hook->next_look_us;
    bool waits = hook->count > 0 && !hook->queued && !hook->out;
    return waits ? hf_min_u64(next, hook->retry_us) : next;
}

static void stop(void *context)
{
    struct hf_alert_hook *hook = context;
    hook->stopping = true;
    if (hook->queued) {
        hf_targets_withdraw(hook->options.targets, &hook->wait);
        hook->queued = false;
    }
    if (hook->out) {
        hook->options.caller->cancel(hook->options.caller->context, &hook->call);
        hook->out = false;
        hf_targets_ended(hook->options.targets, &hook->wait, HF_TARGET_NOT_SENT, 0,
                         hook->options.outside->monotonic_us(hook->options.outside));
    }
}

static bool stopped(void *context)
{
    const struct hf_alert_hook *hook = context;
    return !hook->reading;
}

struct hf_sender hf_alert_hook_sender(struct hf_alert_hook *hook)
{
    return (struct hf_sender){.context = hook,
                              .step = step,
                              .next_step_us = next_step_us,
                              .stop = stop,
                              .stopped = stopped};
}

void hf_alert_hook_look(struct hf_alert_hook *hook)
{
    atomic_store(&hook->look, true);
}

void hf_alert_hook_counts(struct hf_alert_hook *hook, struct hf_alert_hook_counts *counts)
{
    *counts = (struct hf_alert_hook_counts){
        .posted = atomic_load(&hook->posted),
        .failed = atomic_load(&hook->failed),
        .waiting = atomic_load(&hook->waiting),
        .dropped = atomic_load(&hook->dropped),
    };
}

static char *copy_of(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = hf_malloc(bytes);
    if (copy != NULL) {
        memcpy(copy, text, bytes);
    }
    return copy;
}

enum hf_err hf_alert_hook_new(const struct hf_alert_hook_options *options,
                              struct hf_alert_hook **hook, struct hf_error *error)
{
    char key[HF_TARGET_KEY_BYTES];
    const char *why;
    *hook = NULL;
    if (!hf_target_key(hf_str_from(options->url), key, &why)) {
        return hf_error_set(error, HF_ERR_INVALID_REQUEST, "the alerts' webhook: %s", why);
    }
    struct hf_alert_hook *made = hf_calloc(1, sizeof(*made));
    if (made != NULL) {
        HF_CHECK(pthread_mutex_init(&made->mutex, NULL) == 0);
        made->url = copy_of(options->url);
        made->secret = options->secret == NULL ? NULL : copy_of(options->secret);
        made->seen = hf_calloc(HF_ALERTS_MAX + HF_ALERTS_CLEARED_MAX, sizeof(*made->seen));
        made->notices = hf_calloc(HF_ALERT_NOTICES_MAX, sizeof(*made->notices));
    }
    if (made == NULL || made->url == NULL || (options->secret != NULL && made->secret == NULL) ||
        made->seen == NULL || made->notices == NULL) {
        hf_alert_hook_free(made);
        return hf_error_set(error, HF_ERR_NO_MEMORY, "the alerts' webhook: out of memory");
    }
    made->options = *options;
    made->retry_wait_us = RETRY_FIRST_US;
    made->wait.send = send;
    hf_buffer_init(&made->body);
    *hook = made;
    return HF_ERR_OK;
}

void hf_alert_hook_free(struct hf_alert_hook *hook)
{
    if (hook != NULL) {
        HF_CHECK(!hook->reading && !hook->queued && !hook->out);
        hf_buffer_release(&hook->body);
        hf_free(hook->url);
        hf_free(hook->secret);
        hf_free(hook->seen);
        hf_free(hook->notices);
        HF_CHECK(pthread_mutex_destroy(&hook->mutex) == 0);
        hf_free(hook);
    }
}
