/* The webhook of alerts, beside a living engine, with a caller that answers as the test says: order, repetition, signature. */
#include "unit/support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deliver/alert_hook.h"
#include "deliver/caller.h"
#include "deliver/sign.h"
#include "node/engine.h"

#define PATH_BYTES 512
#define POSTS_MAX  64
#define SECRET     "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define SECOND_US  1000000ull

struct post {
    char body[1024], id[64], timestamp[32], signature[128];
};

static char directory[PATH_BYTES];
static struct hf_engine *engine;
static struct hf_targets *targets;
static struct hf_secrets *secrets;
static struct hf_alert_hook *hook;
static struct hf_sender sender;
static struct hf_call *out; /* the call under way */
static struct post posts[POSTS_MAX];
static size_t post_count;
static uint64_t now_us; /* what the sender is told */

/* ---- a caller by hand ---- */

static void copy(char *to, size_t to_bytes, struct hf_str text)
{
    assert_true(text.len < to_bytes);
    memcpy(to, text.ptr, text.len);
    to[text.len] = '\0';
}

static void start_call(void *context, struct hf_call *call)
{
    (void)context;
    assert_null(out);
    assert_true(post_count < POSTS_MAX);
    struct post *post = &posts[post_count++];
    *post = (struct post){{0}, {0}, {0}, {0}};
    copy(post->body, sizeof(post->body), call->body);
    for (size_t i = 0; i < call->header_count; i++) {
        struct hf_str name = call->headers[i].name;
        struct hf_str value = call->headers[i].value;
        if (hf_str_equal(name, HF_STR("webhook-id"))) {
            copy(post->id, sizeof(post->id), value);
        } else if (hf_str_equal(name, HF_STR("webhook-timestamp"))) {
            copy(post->timestamp, sizeof(post->timestamp), value);
        } else {
            assert_true(hf_str_equal(name, HF_STR("webhook-signature")));
            copy(post->signature, sizeof(post->signature), value);
        }
    }
    assert_true(hf_str_equal(call->content_type, HF_STR("application/json")));
    out = call;
}

static void cancel_call(void *context, struct hf_call *call)
{
    (void)context;
    assert_true(out == call);
    out = NULL;
}

static struct hf_caller caller = {.start = start_call, .cancel = cancel_call};

static void answer(enum hf_call_error error, uint16_t status)
{
    struct hf_call *call = out;
    assert_non_null(call);
    out = NULL;
    call->error = error;
    call->status = status;
    call->done(call);
}

/* ---- the engine and the hook ---- */

static void wake(void *context)
{
    (void)context;
}

static void make_hook(const char *secret)
{
    struct hf_error error = {0};
    struct hf_target_limits limits = hf_target_limits_default();
    targets = hf_targets_new(&limits, 7);
    struct hf_alert_hook_options options = {
        .outside = hf_engine_outside(engine),
        .node = hf_engine_node(engine),
        .caller = &caller,
        .targets = targets,
        .secrets = secrets,
        .url = "http://127.0.0.1:9/alerts",
        .secret = secret,
        .wake = wake,
    };
    assert_int_equal(hf_alert_hook_new(&options, &hook, &error), HF_ERR_OK);
    sender = hf_alert_hook_sender(hook);
}

static void end_hook(void)
{
    sender.stop(sender.context);
    assert_null(out);
    while (!sender.stopped(sender.context)) {
        usleep(200);
        (void)sender.step(sender.context, now_us);
    }
    hf_alert_hook_free(hook);
    hf_targets_verify(targets);
    hf_targets_free(targets);
}

static int make(void **state)
{
    (void)state;
    struct hf_error error = {0};
    const char *place = getenv("TMPDIR");
    (void)snprintf(directory, sizeof(directory), "%s/hf-hook-XXXXXX",
                   place == NULL ? "/tmp" : place);
    assert_non_null(mkdtemp(directory));
    struct hf_engine_options options = {
        .directory = directory, .create = true, .name = "hook test", .limits = hf_limits_default()};
    options.limits.segment_bytes_first = 64u << 10;
    assert_int_equal(hf_engine_open(&options, &engine, &error), HF_ERR_OK);
    secrets = hf_secrets_new();
    assert_int_equal(
        hf_secrets_load(secrets, HF_STR("alerts " SECRET "\nother no-signing-secret\n"), &error),
        HF_ERR_OK);
    post_count = 0;
    out = NULL;
    now_us = hf_engine_outside(engine)->monotonic_us(hf_engine_outside(engine));
    return 0;
}

static void remove_all(const char *path)
{
    DIR *open = opendir(path);
    struct dirent *entry;
    while (open != NULL && (entry = readdir(open)) != NULL) {
        char inside[2 * PATH_BYTES];
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            (void)snprintf(inside, sizeof(inside), "%s/%s", path, entry->d_name);
            remove_all(inside);
        }
    }
    if (open != NULL) {
        assert_int_equal(closedir(open), 0);
    }
    assert_int_equal(remove(path), 0);
}

static int unmake(void **state)
{
    (void)state;
    struct hf_error error = {0};
    end_hook();
    hf_secrets_free(secrets);
    assert_int_equal(hf_engine_close(engine, &error), HF_ERR_OK);
    remove_all(directory);
    return 0;
}

/* ---- alerts ---- */

static atomic_bool decided;

static void done(struct hf_request *request)
{
    (void)request;
    atomic_store(&decided, true);
}

static void change(bool clear, enum hf_alert_kind kind, const char *subject, const char *text)
{
    struct hf_command command;
    struct hf_alert_change one = {.clear = clear,
                                  .kind = kind,
                                  .subject = hf_str_from(subject),
                                  .text = hf_str_from(text),
                                  .since_us = 1600000000000000ull};
    hf_command_init(&command, HF_COMMAND_ALERTS);
    command.alerts = &one;
    command.alert_count = 1;
    struct hf_request request = {.command = &command, .done = done};
    atomic_store(&decided, false);
    assert_int_equal(hf_node_submit(hf_engine_node(engine), &request), HF_ERR_OK);
    while (!atomic_load(&decided)) {
        usleep(200);
    }
    assert_true(request.answer.decided && request.answer.position > 0);
    hf_answer_release(&request.answer);
    hf_command_release(&command);
}

/* Steps until a call is out; every step makes time go on by `step_us`. */
static const struct post *next_post(uint64_t step_us)
{
    size_t before = post_count;
    hf_alert_hook_look(hook);
    while (post_count == before) {
        (void)sender.step(sender.context, now_us);
        (void)hf_targets_run(targets, now_us, 10);
        now_us += step_us;
        usleep(100);
    }
    assert_int_equal(post_count, before + 1);
    return &posts[before];
}

/* As many rounds as any news would need. */
static void assert_silent(void)
{
    for (int i = 0; i < 100; i++) {
        hf_alert_hook_look(hook);
        (void)sender.step(sender.context, now_us);
        (void)hf_targets_run(targets, now_us, 10);
        usleep(100);
    }
    assert_null(out);
}

static void assert_has(const struct post *post, const char *words)
{
    if (strstr(post->body, words) == NULL) {
        fail_msg("%s lacks %s", post->body, words);
    }
}

static void each_change_is_posted_once_in_order(void **state)
{
    (void)state;
    make_hook(NULL);
    assert_silent();
    change(false, HF_ALERT_DEAD_LETTER, "subscriptions/a", "3 dead letters, \"why\"");
    const struct post *first = next_post(0);
    assert_has(first, "{\"type\":\"system.alert.raised\",\"timestamp\":\"");
    assert_has(first,
               "\"data\":{\"kind\":\"dead_letter\",\"subject\":\"subscriptions/a\",\"since\":"
               "\"2020-09-13T12:26:40.000000Z\",\"text\":\"3 dead letters, \\\"why\\\"\",");
    assert_true(strncmp(first->id, "msg_", 4) == 0);
    assert_string_equal(first->signature, "");
    answer(HF_CALL_COMPLETE, 204);
    assert_silent();
    change(false, HF_ALERT_DISK_LOW, "disk", "10 MiB");
    change(true, HF_ALERT_DEAD_LETTER, "subscriptions/a", "none");
    assert_has(next_post(0), "\"kind\":\"disk_low\"");
    answer(HF_CALL_COMPLETE, 200);
    const struct post *last = next_post(0);
    assert_has(last, "\"type\":\"system.alert.cleared\"");
    assert_has(last, "\"cleared_position\":");
    answer(HF_CALL_COMPLETE, 200);
    assert_silent();
    assert_int_equal(post_count, 3);
    assert_string_not_equal(posts[0].id, posts[1].id);
    struct hf_alert_hook_counts counts;
    hf_alert_hook_counts(hook, &counts);
    assert_int_equal(counts.posted, 3);
    assert_int_equal(counts.failed + counts.waiting + counts.dropped, 0);
}

static void what_came_and_went_between_two_looks_is_told(void **state)
{
    (void)state;
    make_hook(NULL);
    change(false, HF_ALERT_LOG_SLOW, "log", "slow");
    (void)next_post(0);
    answer(HF_CALL_COMPLETE, 200);
    change(false, HF_ALERT_DISK_LOW, "disk", "low");
    change(true, HF_ALERT_DISK_LOW, "disk", "room");
    assert_has(next_post(0), "raised");
    answer(HF_CALL_COMPLETE, 200);
    const struct post *cleared = next_post(0);
    assert_has(cleared, "cleared");
    assert_has(cleared, "disk_low");
    answer(HF_CALL_COMPLETE, 200);
    assert_silent();
}

/* Nobody is there; it answers nonsense; then it takes it: the same id, a new time. */
static void what_was_not_taken_is_posted_again_before_the_next(void **state)
{
    (void)state;
    make_hook(NULL);
    change(false, HF_ALERT_DISK_LOW, "disk", "low");
    change(true, HF_ALERT_DISK_LOW, "disk", "room");
    (void)next_post(0);
    answer(HF_CALL_NOT_CONNECTED, 0);
    assert_silent(); /* not at once */
    (void)next_post(SECOND_US / 10);
    answer(HF_CALL_COMPLETE, 500);
    (void)next_post(SECOND_US / 10);
    answer(HF_CALL_COMPLETE, 302);
    (void)next_post(SECOND_US / 10);
    assert_string_equal(posts[0].id, posts[3].id);
    assert_string_equal(posts[0].body, posts[3].body);
    answer(HF_CALL_COMPLETE, 200);
    struct hf_alert_hook_counts counts;
    hf_alert_hook_counts(hook, &counts);
    assert_int_equal(counts.posted, 1);
    assert_int_equal(counts.failed, 3);
}

static void a_new_process_tells_what_is_raised_under_the_same_id(void **state)
{
    (void)state;
    char id[64];
    make_hook(NULL);
    change(false, HF_ALERT_DISK_LOW, "disk", "low");
    (void)snprintf(id, sizeof(id), "%s", next_post(0)->id);
    answer(HF_CALL_COMPLETE, 200);
    end_hook();
    make_hook(NULL);
    assert_string_equal(next_post(0)->id, id);
    answer(HF_CALL_COMPLETE, 200);
    change(true, HF_ALERT_DISK_LOW, "disk", "room");
    end_hook();
    make_hook(NULL); /* it was cleared just now: perhaps nobody was told */
    assert_has(next_post(0), "cleared");
}

static void it_is_signed_with_the_secret_of_that_name(void **state)
{
    (void)state;
    struct hf_sign_secret secret;
    char wanted[HF_SIGN_TEXT_BYTES];
    make_hook("alerts");
    change(false, HF_ALERT_DISK_LOW, "disk", "low");
    const struct post *post = next_post(0);
    assert_true(hf_sign_secret_parse(HF_STR(SECRET), &secret));
    hf_sign(hf_str_from(post->id), hf_str_from(post->timestamp), hf_str_from(post->body), &secret,
            1, wanted);
    assert_string_equal(post->signature, wanted);
    answer(HF_CALL_COMPLETE, 200);
}

static void without_its_secret_nothing_is_posted(void **state)
{
    (void)state;
    struct hf_error error = {0};
    struct hf_alert_hook_counts counts;
    make_hook("later");
    change(false, HF_ALERT_DISK_LOW, "disk", "low");
    do {
        hf_alert_hook_look(hook);
        (void)sender.step(sender.context, now_us);
        (void)hf_targets_run(targets, now_us, 10);
        hf_alert_hook_counts(hook, &counts);
        usleep(100);
    } while (counts.failed == 0);
    assert_int_equal(post_count, 0);
    assert_int_equal(hf_secrets_load(secrets, HF_STR("later " SECRET "\n"), &error), HF_ERR_OK);
    assert_true(next_post(SECOND_US / 10)->signature[0] != '\0');
}

static void a_url_that_cannot_be_called_is_refused(void **state)
{
    (void)state;
    struct hf_error error = {0};
    struct hf_alert_hook *other;
    struct hf_alert_hook_options options = {.url = "ftp://example.org/", .wake = wake};
    make_hook(NULL);
    assert_int_equal(hf_alert_hook_new(&options, &other, &error), HF_ERR_INVALID_REQUEST);
    assert_null(other);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, make, unmake)
    const struct CMUnitTest tests[] = {
        TEST(each_change_is_posted_once_in_order),
        TEST(what_came_and_went_between_two_looks_is_told),
        TEST(what_was_not_taken_is_posted_again_before_the_next),
        TEST(a_new_process_tells_what_is_raised_under_the_same_id),
        TEST(it_is_signed_with_the_secret_of_that_name),
        TEST(without_its_secret_nothing_is_posted),
        TEST(a_url_that_cannot_be_called_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
