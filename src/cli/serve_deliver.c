#include "cli/serve_deliver.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/push_event.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/url.h"
#include "cli/serve_priv.h"
#include "deliver/address.h"
#include "deliver/alert_hook.h"
#include "deliver/push.h"
#include "deliver/runner.h"
#include "deliver/secrets.h"

#define PER_TARGET_MAX       10000
#define ALLOW_BYTES_MAX      8192
#define PUBLIC_URL_BYTES_MAX 512

struct hf_serve_deliver {
    const struct hf_serve_options *options;
    struct hf_secrets *secrets;  /* owned */
    char allow[ALLOW_BYTES_MAX]; /* all --deliver-allow, with commas */
    struct hf_deliver *deliver;  /* owned; NULL: not started */
    struct hf_runner *runner;    /* owned; the same */
    struct hf_push_sender *push; /* owned; the same */
    struct hf_alert_hook *hook;  /* owned; NULL: not started, or not wanted */
    pthread_rwlock_t lock;       /* of the three, for those who ask */
};

/* ---- the secrets' file ---- */

static enum hf_err read_all(int fd, const char *path, struct hf_buffer *text,
                            struct hf_error *error)
{
    for (;;) {
        uint8_t *to = hf_buffer_extend(text, 4096);
        if (to == NULL) {
            return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
        }
        ssize_t got = read(fd, to, 4096);
        text->size_bytes -= 4096 - (got > 0 ? (size_t)got : 0);
        if (got < 0 && errno != EINTR) {
            return hf_error_set(error, HF_ERR_IO, "read %s: %s", path, strerror(errno));
        }
        if (got == 0 || text->size_bytes > HF_SECRETS_BYTES_MAX) {
            return HF_ERR_OK; /* too large: the secrets say so */
        }
    }
}

/* Nobody but its owner (and its group, if it is not writable) may read it. */
static enum hf_err judge_mode(int fd, const char *path, struct hf_error *error)
{
    struct stat about;
    if (fstat(fd, &about) != 0) {
        return hf_error_set(error, HF_ERR_IO, "look at %s: %s", path, strerror(errno));
    }
    if (!S_ISREG(about.st_mode)) {
        return hf_error_set(error, HF_ERR_INVALID_REQUEST, "%s is no file", path);
    }
    if ((about.st_mode & (S_IROTH | S_IWOTH | S_IXOTH | S_IWGRP)) != 0) {
        return hf_error_set(error, HF_ERR_INVALID_REQUEST,
                            "%s can be read or written by others: chmod 600 it", path);
    }
    return HF_ERR_OK;
}

static enum hf_err load_secrets(struct hf_serve_deliver *deliver, struct hf_error *error)
{
    const char *path = deliver->options->secrets;
    if (path == NULL) {
        return HF_ERR_OK;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return hf_error_set(error, errno == ENOENT ? HF_ERR_NOT_FOUND : HF_ERR_IO, "open %s: %s",
                            path, strerror(errno));
    }
    struct hf_buffer text;
    hf_buffer_init(&text);
    enum hf_err code = judge_mode(fd, path, error);
    code = code == HF_ERR_OK ? read_all(fd, path, &text, error) : code;
    (void)close(fd);
    if (code == HF_ERR_OK) {
        code = hf_secrets_load(deliver->secrets,
                               (struct hf_str){(const char *)text.data, text.size_bytes}, error);
        code = code == HF_ERR_OK ? code : hf_error_wrap(error, "%s", path);
    }
    if (text.data != NULL) {
        OPENSSL_cleanse(text.data, text.capacity_bytes);
    }
    hf_buffer_release(&text);
    return code;
}

void hf_serve_deliver_reload(struct hf_serve_deliver *deliver)
{
    struct hf_error error = {0};
    if (deliver->options->secrets == NULL) {
        hf_serve_say("SIGHUP: nothing to do, the tokens file is read by itself when it changes");
        return;
    }
    if (load_secrets(deliver, &error) != HF_ERR_OK) {
        hf_serve_say("SIGHUP: the old secrets stay: %s", error.text);
        return;
    }
    hf_serve_say("SIGHUP: the secrets were read again");
    if (deliver->deliver != NULL) {
        hf_deliver_wake(deliver->deliver);
    }
}

/* ---- the webhook of alerts ---- */

static enum hf_err judge_hook(const struct hf_serve_options *options, struct hf_error *error)
{
    char key[HF_TARGET_KEY_BYTES];
    const char *why;
    if (options->alert_webhook == NULL) {
        return options->alert_webhook_secret == NULL
                   ? HF_ERR_OK
                   : hf_error_set(error, HF_ERR_INVALID_REQUEST,
                                  "--alert-webhook-secret belongs to --alert-webhook");
    }
    if (!hf_target_key(hf_str_from(options->alert_webhook), key, &why)) {
        return hf_error_set(error, HF_ERR_INVALID_REQUEST, "--alert-webhook %s: %s",
                            options->alert_webhook, why);
    }
    return HF_ERR_OK;
}

static void wake(void *context);

static enum hf_err make_hook(struct hf_serve_deliver *deliver, struct hf_deliver *thread,
                             struct hf_node *node, struct hf_outside *outside,
                             struct hf_alert_hook **hook, struct hf_error *error)
{
    struct hf_alert_hook_options options = {
        .outside = outside,
        .node = node,
        .caller = hf_deliver_caller(thread),
        .targets = hf_deliver_targets(thread),
        .secrets = deliver->secrets,
        .url = deliver->options->alert_webhook,
        .secret = deliver->options->alert_webhook_secret,
        .wake = wake,
        .context = thread,
    };
    if (options.url == NULL) {
        return HF_ERR_OK;
    }
    enum hf_err code = hf_alert_hook_new(&options, hook, error);
    if (code == HF_ERR_OK) {
        struct hf_sender sender = hf_alert_hook_sender(*hook);
        hf_deliver_add(thread, &sender);
    }
    return code;
}

void hf_serve_deliver_alerts(struct hf_serve_deliver *deliver)
{
    HF_CHECK(pthread_rwlock_rdlock(&deliver->lock) == 0);
    if (deliver->hook != NULL) {
        hf_alert_hook_look(deliver->hook);
        hf_deliver_wake(deliver->deliver);
    }
    HF_CHECK(pthread_rwlock_unlock(&deliver->lock) == 0);
}

/* ---- life ---- */

static enum hf_err join_allow(struct hf_serve_deliver *deliver, struct hf_error *error)
{
    size_t used = 0;
    struct hf_address_rules rules;
    for (size_t i = 0; i < deliver->options->deliver_allow.count; i++) {
        int more = snprintf(deliver->allow + used, ALLOW_BYTES_MAX - used, "%s%s",
                            i == 0 ? "" : ",", deliver->options->deliver_allow.items[i]);
        if (more < 0 || (size_t)more >= ALLOW_BYTES_MAX - used) {
            return hf_error_set(error, HF_ERR_INVALID_REQUEST, "--deliver-allow is too long");
        }
        used += (size_t)more;
    }
    enum hf_err code = hf_address_rules_parse(hf_str_from(deliver->allow), &rules, error);
    return code == HF_ERR_OK ? code : hf_error_wrap(error, "--deliver-allow");
}

/* http[s]://HOST[:PORT], without a path: the callback's comes behind it. */
static enum hf_err judge_public_url(const char *text, struct hf_error *error)
{
    char target[HF_URL_TARGET_BYTES];
    const char *why;
    struct hf_str url = hf_str_from(text);
    if (text == NULL) {
        return HF_ERR_OK;
    }
    if (!hf_url_target(url, target, &why)) {
        return hf_error_set(error, HF_ERR_INVALID_REQUEST, "--public-url %s", why);
    }
    const char *host = strstr(text, "://") + 3;
    if (url.len > PUBLIC_URL_BYTES_MAX || host[strcspn(host, "/?")] != '\0') {
        return hf_error_set(
            error, HF_ERR_INVALID_REQUEST,
            "--public-url must be http[s]://HOST[:PORT], without a path, of at most "
            "%d bytes",
            PUBLIC_URL_BYTES_MAX);
    }
    return HF_ERR_OK;
}

enum hf_err hf_serve_deliver_new(const struct hf_serve_options *options,
                                 struct hf_serve_deliver **made, struct hf_error *error)
{
    struct hf_serve_deliver *deliver = hf_calloc(1, sizeof(*deliver));
    if (deliver == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    *made = deliver;
    HF_CHECK(pthread_rwlock_init(&deliver->lock, NULL) == 0);
    deliver->options = options;
    deliver->secrets = hf_secrets_new();
    if (deliver->secrets == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    if (options->deliver_per_target > PER_TARGET_MAX) {
        return hf_error_set(error, HF_ERR_INVALID_REQUEST, "--deliver-per-target: 1 to 10000");
    }
    enum hf_err code = join_allow(deliver, error);
    code = code == HF_ERR_OK ? judge_hook(options, error) : code;
    code = code == HF_ERR_OK ? judge_public_url(options->public_url, error) : code;
    return code == HF_ERR_OK ? load_secrets(deliver, error) : code;
}

void hf_serve_deliver_free(struct hf_serve_deliver *deliver)
{
    if (deliver != NULL) {
        HF_CHECK(deliver->deliver == NULL);
        hf_secrets_free(deliver->secrets);
        HF_CHECK(pthread_rwlock_destroy(&deliver->lock) == 0);
        hf_free(deliver);
    }
}

static void wake(void *context)
{
    hf_deliver_wake(context);
}

static enum hf_err make_runner(struct hf_serve_deliver *deliver, struct hf_deliver *thread,
                               struct hf_node *node, struct hf_outside *outside,
                               struct hf_str listener, struct hf_runner **runner,
                               struct hf_error *error)
{
    struct hf_str public_url = hf_str_from(deliver->options->public_url);
    struct hf_runner_options options = {
        .node = hf_runner_node_of(node),
        .caller = hf_deliver_caller(thread),
        .targets = hf_deliver_targets(thread),
        .secrets = deliver->secrets,
        .outside = outside,
        .callback_base = hf_str_present(public_url) ? public_url : listener,
        .wake = wake,
        .wake_context = thread,
        .limits = hf_runner_limits_default(),
    };
    *runner = hf_runner_new(&options);
    if (*runner == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    struct hf_sender sender = hf_runner_sender(*runner);
    hf_deliver_add(thread, &sender);
    return HF_ERR_OK;
}

static enum hf_err make_push(struct hf_serve_deliver *deliver, struct hf_deliver *thread,
                             struct hf_node *node, struct hf_outside *outside,
                             struct hf_push_sender **push, struct hf_error *error)
{
    struct hf_push_options options = {
        .node = node,
        .outside = outside,
        .caller = hf_deliver_caller(thread),
        .targets = hf_deliver_targets(thread),
        .secrets = deliver->secrets,
        .render = hf_push_event_render,
        .wake = wake,
        .wake_context = thread,
    };
    *push = hf_push_new(&options);
    if (*push == NULL) {
        return hf_error_set(error, HF_ERR_NO_MEMORY, "out of memory");
    }
    struct hf_sender sender = hf_push_sender_of(*push);
    hf_deliver_add(thread, &sender);
    return HF_ERR_OK;
}

enum hf_err hf_serve_deliver_start(struct hf_serve_deliver *deliver, struct hf_node *node,
                                   struct hf_outside *outside, struct hf_str listener,
                                   struct hf_error *error)
{
    struct hf_deliver_options options = {
        .outside = outside,
        .tail = hf_node_tail(node),
        .allow = hf_str_from(deliver->allow),
        .ca_file = deliver->options->deliver_ca,
        .per_target = (uint32_t)deliver->options->deliver_per_target,
    };
    struct hf_deliver *thread = NULL;
    struct hf_runner *runner = NULL;
    struct hf_push_sender *push = NULL;
    struct hf_alert_hook *hook = NULL;
    enum hf_err code = hf_deliver_new(&options, &thread, error);
    code = code == HF_ERR_OK ? make_runner(deliver, thread, node, outside, listener, &runner, error)
                             : code;
    code = code == HF_ERR_OK ? make_push(deliver, thread, node, outside, &push, error) : code;
    code = code == HF_ERR_OK ? make_hook(deliver, thread, node, outside, &hook, error) : code;
    code = code == HF_ERR_OK ? hf_deliver_start(thread, error) : code;
    if (code != HF_ERR_OK) {
        hf_alert_hook_free(hook);
        hf_push_free(push);
        hf_runner_free(runner);
        hf_deliver_free(thread);
        return code;
    }
    HF_CHECK(pthread_rwlock_wrlock(&deliver->lock) == 0);
    deliver->deliver = thread;
    deliver->runner = runner;
    deliver->push = push;
    deliver->hook = hook;
    HF_CHECK(pthread_rwlock_unlock(&deliver->lock) == 0);
    return HF_ERR_OK;
}

void hf_serve_deliver_stop(struct hf_serve_deliver *deliver)
{
    if (deliver == NULL || deliver->deliver == NULL) {
        return;
    }
    struct hf_deliver *thread = deliver->deliver;
    struct hf_runner *runner = deliver->runner;
    struct hf_push_sender *push = deliver->push;
    struct hf_alert_hook *hook = deliver->hook;
    hf_deliver_stop(thread);
    HF_CHECK(pthread_rwlock_wrlock(&deliver->lock) == 0);
    deliver->deliver = NULL;
    deliver->runner = NULL;
    deliver->push = NULL;
    deliver->hook = NULL;
    HF_CHECK(pthread_rwlock_unlock(&deliver->lock) == 0);
    hf_alert_hook_free(hook);
    hf_push_free(push);
    hf_runner_free(runner);
    hf_deliver_free(thread);
}

/* ---- what the door asks, on its threads ---- */

static bool push_status(void *context, uint64_t uid, struct hf_push_status *status)
{
    struct hf_serve_deliver *deliver = context;
    HF_CHECK(pthread_rwlock_rdlock(&deliver->lock) == 0);
    bool known = deliver->push != NULL && hf_push_status(deliver->push, uid, status);
    HF_CHECK(pthread_rwlock_unlock(&deliver->lock) == 0);
    return known;
}

static void deliver_sums(void *context, struct hf_deliver_sums *sums)
{
    struct hf_serve_deliver *deliver = context;
    struct hf_target_sums targets = {0};
    *sums = (struct hf_deliver_sums){0};
    HF_CHECK(pthread_rwlock_rdlock(&deliver->lock) == 0);
    if (deliver->deliver != NULL) {
        hf_deliver_sums(deliver->deliver, &targets);
        hf_push_sums(deliver->push, &sums->push);
    }
    HF_CHECK(pthread_rwlock_unlock(&deliver->lock) == 0);
    sums->targets = targets.targets;
    sums->targets_open = targets.open;
    sums->calls_waiting = targets.waiting;
    sums->calls_in_flight = targets.in_flight;
    sums->breakers_opened = targets.opened;
}

void hf_serve_deliver_tell(struct hf_serve_deliver *deliver, struct hf_door_options *options)
{
    options->push_status = push_status;
    options->deliver_sums = deliver_sums;
    options->deliver_context = deliver;
}
