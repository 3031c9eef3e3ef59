/*
 * The running audit under single faults: of a pass over a small whole directory the n-th read, open, list or look at a size fails,
 * for every n. Then the pass says that not everything could be looked at, and never that something is damaged (what is there twice,
 * as the log's state, is read once more and nothing is said); the next one finds nothing. A read that is cut short is as a file
 * that was cut: that is damage.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/commit_json.h"
#include "fault/fault_outside.h"
#include "node/engine.h"
#include "observe/audit.h"
#include "unit/support.h"

#define COMMITS    60
#define PATH_BYTES 512
#define N_MAX      20000u /* more would be a pass without an end */

static char directory[PATH_BYTES];
static struct hf_engine *engine;
static struct hf_outside *outside; /* of the audit alone */
static struct hf_audit *audit;
static struct hf_audit_report report;

static atomic_bool decided;

static void done(struct hf_request *request)
{
    (void)request;
    atomic_store(&decided, true);
}

static void commit(const char *json)
{
    struct hf_command command;
    struct hf_malformed malformed = {0};
    hf_command_init(&command, HF_COMMAND_COMMIT);
    assert_true(hf_commit_json_decode(hf_str_from(json), &command, &malformed));
    assert_true(hf_command_finish(&command, &malformed));
    struct hf_request request = {.command = &command, .done = done};
    atomic_store(&decided, false);
    assert_int_equal(hf_node_submit(hf_engine_node(engine), &request), HF_ERR_OK);
    while (!atomic_load(&decided)) {
        usleep(100);
    }
    assert_int_equal(request.answer.code, HF_ERR_OK);
    hf_answer_release(&request.answer);
    hf_command_release(&command);
}

static void open_engine(bool checkpoints)
{
    struct hf_error error = {0};
    struct hf_engine_options options = {.directory = directory,
                                        .create = true,
                                        .checkpoints = checkpoints,
                                        .name = "audit fault test",
                                        .limits = hf_limits_default()};
    options.limits.segment_bytes_first = 64u << 10;
    options.limits.segment_bytes_max = 64u << 10;
    options.limits.checkpoint_every_records = 40;
    assert_int_equal(hf_engine_open(&options, &engine, &error), HF_ERR_OK);
}

/* Two checkpoints, several segments, and nothing that changes any more. */
static void fill(void)
{
    struct hf_error error = {0};
    struct hf_node_status status;
    open_engine(true);
    commit(
        "{\"do\":[{\"op\":\"open_account\",\"account\":\"a\",\"asset\":\"USD/2\",\"floor\":null},"
        "{\"op\":\"open_account\",\"account\":\"b\",\"asset\":\"USD/2\"}]}");
    for (unsigned i = 0;; i++) {
        char json[256];
        (void)snprintf(json, sizeof(json),
                       "{\"do\":[{\"op\":\"transfer\",\"id\":\"t%u\",\"from\":\"a\",\"to\":\"b\","
                       "\"asset\":\"USD/2\",\"amount\":\"%u\"}]}",
                       i, i + 1);
        commit(json);
        hf_node_status(hf_engine_node(engine), &status);
        if (i >= COMMITS && status.checkpoint_position > COMMITS) {
            break;
        }
    }
    assert_int_equal(hf_engine_close(engine, &error), HF_ERR_OK);
    open_engine(false);
}

static int make(void **state)
{
    (void)state;
    struct hf_error error = {0};
    const char *place = getenv("TMPDIR");
    (void)snprintf(directory, sizeof(directory), "%s/hf-audit-fault-XXXXXX",
                   place == NULL ? "/tmp" : place);
    assert_non_null(mkdtemp(directory));
    fill();
    outside = fault_outside_new(hf_engine_outside(engine));
    assert_non_null(outside);
    struct hf_audit_options options = {
        .outside = outside, .node = hf_engine_node(engine), .directory = directory};
    assert_int_equal(hf_audit_new(&options, &audit, &error), HF_ERR_OK);
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
    hf_audit_free(audit);
    fault_outside_free(outside);
    assert_int_equal(hf_engine_close(engine, &error), HF_ERR_OK);
    remove_all(directory);
    return 0;
}

static enum hf_audit_result pass(void)
{
    hf_audit_report(audit, &report);
    uint64_t before = report.passes;
    assert_true(hf_audit_run(audit));
    do {
        usleep(100);
        hf_audit_report(audit, &report);
    } while (report.passes == before);
    return report.last.result;
}

/* Every n; returns how many were told. */
static unsigned each(enum fault_kind kind, enum hf_audit_result wanted)
{
    unsigned told = 0;
    unsigned n = 1;
    for (; n < N_MAX; n++) {
        fault_outside_arm(outside, kind, n, false);
        enum hf_audit_result result = pass();
        bool hit = fault_outside_hit(outside);
        fault_outside_disarm(outside);
        if (!hit) {
            assert_int_equal(result, HF_AUDIT_OK);
            break;
        }
        if (result != wanted && result != HF_AUDIT_OK) {
            fail_msg("%s %u: %s, %s", fault_kind_name(kind), n, hf_audit_result_wire(result),
                     report.last.finding_count == 0 ? "no finding" : report.last.findings[0].text);
        }
        assert_int_equal(report.last.finding_count > 0, result == wanted);
        told += result == wanted;
    }
    assert_int_equal(pass(), HF_AUDIT_OK);
    print_message("%s: %u times, %u told\n", fault_kind_name(kind), n - 1, told);
    return told;
}

static void what_could_not_be_read_is_told_as_that(void **state)
{
    (void)state;
    assert_true(each(FAULT_READ, HF_AUDIT_INCOMPLETE) > 20);
    assert_true(each(FAULT_OPEN, HF_AUDIT_INCOMPLETE) > 5);
    assert_true(each(FAULT_LIST, HF_AUDIT_INCOMPLETE) > 0);
    assert_true(each(FAULT_SIZE, HF_AUDIT_INCOMPLETE) > 0);
}

static void what_is_cut_short_is_damage(void **state)
{
    (void)state;
    assert_true(each(FAULT_SHORT_READ, HF_AUDIT_DAMAGED) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_could_not_be_read_is_told_as_that, make, unmake),
        cmocka_unit_test_setup_teardown(what_is_cut_short_is_damage, make, unmake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
