/*
 * Moving segments under faults: every I/O call of a compaction and archiving fails in turn, and the machine stops at every
 * change. Nothing of the log is ever lost, readers find all of it at once, and the next run ends what was begun.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fault/fault_outside.h"
#include "log/log_file.h"
#include "log/log_keep.h"
#include "unit/log_support.h"
#include "unit/support.h"

#define BATCHES 14

static struct hf_outside *real;    /* linux */
static struct hf_outside *failing; /* over it */
static char root[64];
static char directory[96];
static char archive[96];

static const size_t sizes[] = {10, 3000, 4000, 9000, 100, 5000, 1};

static int group_setup(void **state)
{
    (void)state;
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ".";
    (void)snprintf(root, sizeof(root), "%s/hf-keep-fault-XXXXXX", base);
    real = hf_outside_linux_new();
    failing = real == NULL ? NULL : fault_outside_new(real);
    if (failing == NULL || mkdtemp(root) == NULL) {
        return -1;
    }
    (void)snprintf(directory, sizeof(directory), "%s/data", root);
    (void)snprintf(archive, sizeof(archive), "%s/archive", root);
    return 0;
}

static void remove_each(void *context, struct hf_str name)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", (const char *)context, name.ptr);
    (void)real->remove(real, path, NULL);
}

static void wipe_one(char *path)
{
    (void)real->list(real, path, remove_each, path, NULL);
    (void)rmdir(path);
}

static void wipe(void)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/log", directory);
    wipe_one(path);
    wipe_one(directory);
    wipe_one(archive);
}

static int group_teardown(void **state)
{
    (void)state;
    wipe();
    fault_outside_free(failing);
    hf_outside_linux_free(real);
    return rmdir(root);
}

static struct hf_log *open_log(struct hf_outside *o, bool create, struct hf_error *error)
{
    struct hf_log *log = NULL;
    const struct hf_log_file_options options = {.directory = directory,
                                                .create = create,
                                                .segment_bytes_first = 8192,
                                                .segment_bytes_max = 32768};
    (void)hf_log_file_open(o, &options, &log, error);
    return log;
}

/* A log of some sealed segments; returns its head. */
static struct hf_log_head make_log(void)
{
    struct log_model model = {0};
    struct hf_log_head head;
    struct hf_log_recovery recovery;
    struct hf_error error;
    wipe();
    hf_buffer_init(&model.body);
    struct hf_log *log = open_log(real, true, &error);
    assert_non_null(log);
    assert_int_equal(log->driver->takeover(log, HF_STR("fault"), false, &head, &recovery, &error),
                     HF_ERR_OK);
    model.head.epoch = head.epoch;
    for (int i = 0; i < BATCHES; i++) {
        size_t bytes = sizes[(model.head.seq + 1) % HF_ARRAY_COUNT(sizes)];
        assert_int_equal(log_model_append(&model, log, real, bytes, &error), HF_APPEND_OK);
    }
    assert_int_equal(log->driver->seal(log, &error), HF_ERR_OK);
    log->driver->close(log);
    hf_buffer_release(&model.body);
    return model.head;
}

static enum hf_err keep(struct hf_outside *o, const struct hf_log_head *head,
                        struct hf_log_kept *kept, struct hf_error *error)
{
    *kept = (struct hf_log_kept){0};
    const struct hf_log_keep_policy policy = {
        .position = head->position, .archive = archive, .archive_after = 1, .archive_moved = true};
    struct hf_log *log = open_log(o, false, error);
    if (log == NULL) {
        return error->code;
    }
    enum hf_err code = hf_log_keep(log, &policy, NULL, kept, error);
    log->driver->close(log);
    return code;
}

static const char *read_all(struct hf_log *log, const struct hf_log_head *want,
                            struct hf_error *error)
{
    struct hf_log_head head;
    enum hf_err code;
    const char *wrong =
        log_model_check(log, sizes, HF_ARRAY_COUNT(sizes), 9000, &head, &code, error);
    if (wrong == NULL && (code != HF_ERR_OK || head.seq != want->seq)) {
        wrong = "not all of it can be read";
    }
    return wrong;
}

static void count_tmp(void *context, struct hf_str name)
{
    *(unsigned *)context += name.len > 4 && memcmp(name.ptr + name.len - 4, ".tmp", 4) == 0;
}

static unsigned count_unfinished(void)
{
    char path[128];
    unsigned count = 0;
    (void)snprintf(path, sizeof(path), "%s/log", directory);
    (void)real->list(real, path, count_tmp, &count, NULL);
    (void)real->list(real, archive, count_tmp, &count, NULL);
    return count;
}

/* NULL: nothing was lost, and the work can be ended. */
static const char *check_afterwards(const struct hf_log_head *want, struct hf_error *error)
{
    struct hf_log_head head;
    struct hf_log_recovery recovery;
    struct hf_log_kept kept;
    struct hf_log_bytes bytes;
    struct hf_log *log = open_log(real, false, error);
    if (log == NULL) {
        return "does not open afterwards";
    }
    const char *wrong = read_all(log, want, error);
    log->driver->close(log);
    if (wrong != NULL) {
        return wrong;
    }
    if (keep(real, want, &kept, error) != HF_ERR_OK) {
        return "the work can't be ended";
    }
    if (hf_log_bytes(real, directory, &bytes, error) != HF_ERR_OK || bytes.plain_segments != 1 ||
        bytes.compressed_segments != 1 || bytes.archived_segments < 2) {
        return "the work was not ended";
    }
    if (count_unfinished() > 0) {
        return "something unfinished is left";
    }
    log = open_log(real, false, error);
    if (log == NULL ||
        log->driver->takeover(log, HF_STR("after"), false, &head, &recovery, error) != HF_ERR_OK) {
        return "no takeover afterwards";
    }
    wrong = read_all(log, want, error);
    if (wrong == NULL && !recovery.sealed) {
        wrong = "the seal is gone";
    }
    log->driver->close(log);
    return wrong;
}

/* false: there was no n-th call. */
static bool run_one(enum fault_kind kind, uint64_t n, bool on)
{
    struct hf_log_head head = make_log();
    struct hf_log_kept kept;
    struct hf_error error = {0};
    fault_outside_arm(failing, kind, n, on);
    enum hf_err code = keep(failing, &head, &kept, &error);
    bool hit = fault_outside_hit(failing);
    fault_outside_disarm(failing);
    if (!hit && code != HF_ERR_OK) {
        fail_msg("%s %llu: it failed though nothing did (%s)", fault_kind_name(kind),
                 (unsigned long long)n, error.text);
    }
    const char *wrong = check_afterwards(&head, &error);
    if (wrong != NULL) {
        fail_msg("%s %llu%s: %s (%s)", fault_kind_name(kind), (unsigned long long)n,
                 on ? " and on" : "", wrong, error.text);
    }
    return hit;
}

static void every_io_fails_in_turn(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < FAULT_KIND_COUNT; kind++) {
        uint64_t points = 0;
        for (int on = 0; on < 2; on++) {
            uint64_t n = 1;
            while (run_one((enum fault_kind)kind, n, on == 1)) {
                n++;
            }
            points += n - 1;
        }
        print_message("%s: %llu points\n", fault_kind_name((enum fault_kind)kind),
                      (unsigned long long)points);
        assert_true(points > 0 || kind == FAULT_TRUNCATE || kind == FAULT_LOCK);
    }
}

/* The machine stops, and again while the next run ends the work. */
static void crashes_twice(void **state)
{
    (void)state;
    uint64_t runs = 0;
    bool first_hit = true;
    for (uint64_t first = 1; first_hit; first++) {
        bool second_hit = true;
        for (uint64_t second = 1; second_hit; second += 4) {
            struct hf_log_head head = make_log();
            struct hf_log_kept kept;
            struct hf_error error = {0};
            fault_outside_arm(failing, FAULT_CRASH, first, true);
            (void)keep(failing, &head, &kept, &error);
            first_hit = fault_outside_hit(failing);
            fault_outside_disarm(failing);
            fault_outside_arm(failing, FAULT_CRASH, second, true);
            (void)keep(failing, &head, &kept, &error);
            second_hit = fault_outside_hit(failing) && first_hit;
            fault_outside_disarm(failing);
            const char *wrong = check_afterwards(&head, &error);
            if (wrong != NULL) {
                fail_msg("crash at %llu, then at %llu: %s (%s)", (unsigned long long)first,
                         (unsigned long long)second, wrong, error.text);
            }
            runs++;
        }
    }
    print_message("%llu pairs of crashes\n", (unsigned long long)runs);
    assert_true(runs > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_io_fails_in_turn),
        cmocka_unit_test(crashes_twice),
    };
    return cmocka_run_group_tests_name("log_keep_fault", tests, group_setup, group_teardown);
}
