/*
 * `verify` against a real directory with checkpoints and index runs: whole, it is accepted; with one thing
 * forged, whose own checksums are right, it is refused by name; with one byte flipped anywhere, too.
 */
#include "unit/support.h"

#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/commit_json.h"
#include "base/alloc.h"
#include "cli/verify.h"
#include "log/log_file.h"
#include "node/node.h"

#define COMMITS     400
#define PATH_BYTES  512
#define FLIPS       60 /* places of a file that are tried */
#define LIMIT_STEPS 100000000

static char root[PATH_BYTES];       /* of the test's files */
static char whole[PATH_BYTES + 16]; /* the directory that nobody changes */
static char work[PATH_BYTES + 16];  /* a copy to be damaged */
static struct hf_outside *outside;
static unsigned key_count; /* each commit has one */

/* ---- making it ---- */

static struct hf_node *start_node(void)
{
    struct hf_error error;
    struct hf_log *log;
    struct hf_limits limits = hf_limits_default();
    limits.checkpoint_every_records = 60;
    limits.index_runs_max = 2;
    limits.segment_bytes_first = 256u << 10;
    struct hf_log_file_options log_options = {.directory = whole,
                                              .create = true,
                                              .segment_bytes_first = limits.segment_bytes_first,
                                              .segment_bytes_max = limits.segment_bytes_first};
    assert_int_equal(hf_log_file_open(outside, &log_options, &log, &error), HF_ERR_OK);
    struct hf_node_options options = {.outside = outside,
                                      .log = log,
                                      .directory = whole,
                                      .name = "verify test",
                                      .limits = limits,
                                      .checkpoints = true};
    struct hf_node *node = hf_node_new(&options);
    assert_non_null(node);
    assert_int_equal(hf_node_start(node, false, NULL, NULL, &error), HF_ERR_OK);
    return node;
}

static void step(struct hf_node *node)
{
    if (!hf_node_step(node)) {
        hf_outside_linux_wait(outside, 1000);
    }
}

static void done(struct hf_request *request)
{
    *(bool *)request->context = true;
}

static void commit(struct hf_node *node, const char *json)
{
    struct hf_command command;
    struct hf_malformed malformed = {0};
    bool finished = false;
    hf_command_init(&command, HF_COMMAND_COMMIT);
    assert_true(hf_commit_json_decode(hf_str_from(json), &command, &malformed));
    char key[32];
    (void)snprintf(key, sizeof(key), "key-%u", ++key_count);
    assert_true(hf_command_set_key(&command, hf_str_from(key), &malformed));
    assert_true(hf_command_finish(&command, &malformed));
    struct hf_request request = {.command = &command, .done = done, .context = &finished};
    assert_int_equal(hf_node_submit(node, &request), HF_ERR_OK);
    while (!finished) {
        step(node);
    }
    assert_true(request.answer.decided);
    hf_answer_release(&request.answer);
    hf_command_release(&command);
}

static void make_commits(struct hf_node *node)
{
    commit(
        node,
        "{\"do\":[{\"op\":\"open_account\",\"account\":\"a\",\"asset\":\"USD/2\",\"floor\":null},"
        "{\"op\":\"open_account\",\"account\":\"b\",\"asset\":\"USD/2\"}]}");
    for (int i = 0; i < COMMITS; i++) {
        char json[512];
        const char *from = i % 7 == 6 ? "b" : "a"; /* some are refused: b has a floor */
        (void)snprintf(
            json, sizeof(json),
            "{\"do\":[{\"op\":\"transfer\",\"id\":\"t%d\",\"from\":\"%s\",\"to\":\"%s\","
            "\"asset\":\"USD/2\",\"amount\":\"%d\"},"
            "{\"op\":\"hold\",\"id\":\"h%d\",\"from\":\"a\",\"to\":\"b\",\"asset\":\"USD/2\","
            "\"amount\":\"2\"},{\"op\":\"append\",\"stream\":\"s\",\"type\":\"x\","
            "\"data\":{\"i\":%d}}]}",
            i, from, from[0] == 'a' ? "b" : "a", i % 49 == 6 ? 10000000 : 1 + i * 37 % 400, i, i);
        commit(node, json);
        if (i % 3 == 2) {
            (void)snprintf(json, sizeof(json), "{\"do\":[{\"op\":\"capture\",\"hold\":\"h%d\"}]}",
                           i - 1);
            commit(node, json);
        }
    }
}

static int make(void **state)
{
    (void)state;
    const char *place = getenv("TMPDIR");
    (void)snprintf(root, sizeof(root), "%s/hf-verify-XXXXXX", place == NULL ? "/tmp" : place);
    assert_non_null(mkdtemp(root));
    (void)snprintf(whole, sizeof(whole), "%s/whole", root);
    (void)snprintf(work, sizeof(work), "%s/work", root);
    outside = hf_outside_linux_new();
    assert_non_null(outside);
    struct hf_node *node = start_node();
    make_commits(node);
    hf_node_stop(node);
    struct hf_node_status status;
    int steps = 0;
    do {
        step(node);
        hf_node_status(node, &status);
        assert_true(steps++ < LIMIT_STEPS);
    } while (status.phase != HF_NODE_STOPPED);
    hf_node_free(node);
    return 0;
}

/* Runs a program of the system and waits for it. */
static void call(char *arguments[])
{
    pid_t child;
    int status = 0;
    assert_int_equal(posix_spawnp(&child, arguments[0], NULL, NULL, arguments, environ), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void remove_tree(char *path)
{
    call((char *[]){"rm", "-rf", path, NULL});
}

static int unmake(void **state)
{
    (void)state;
    hf_outside_linux_free(outside);
    remove_tree(root);
    return 0;
}

static void copy(void)
{
    remove_tree(work);
    call((char *[]){"cp", "-r", whole, work, NULL});
}

/* ---- verifying it ---- */

/* Returns the count of problems; at least one of them must hold the words (NULL: there must be none). */
static size_t piece_records = HF_VERIFY_PIECE_RECORDS;

static uint64_t verify(const char *directory, const char *words)
{
    struct hf_error error = {0};
    static struct hf_verify_report report;
    hf_verify_report_init(&report);
    report.piece_records = piece_records;
    enum hf_err code = hf_verify(outside, directory, NULL, NULL, &report, &error);
    if (code != HF_ERR_OK) {
        fail_msg("verify: %s", error.text);
    }
    bool found = false;
    for (uint64_t i = 0; i < report.problem_count && i < HF_VERIFY_PROBLEMS_MAX; i++) {
        found = found || (words != NULL && strstr(report.problems[i], words) != NULL);
        if (words == NULL) {
            print_error("%s\n", report.problems[i]);
        }
    }
    if (words != NULL && !found) {
        fail_msg("no problem says \"%s\"; the first: %s", words,
                 report.problem_count == 0 ? "none" : report.problems[0]);
    }
    uint64_t count = report.problem_count;
    hf_verify_report_release(&report);
    return count;
}

static void test_whole(void **state)
{
    (void)state;
    struct hf_error error;
    static struct hf_verify_report report;
    assert_int_equal(verify(whole, NULL), 0);
    hf_verify_report_init(&report);
    assert_int_equal(hf_verify(outside, whole, NULL, NULL, &report, &error), HF_ERR_OK);
    assert_true(report.recorded_count >= 3);
    assert_int_equal(report.recorded_compared, report.recorded_count);
    assert_true(report.checkpoints >= 1);
    assert_true(report.runs >= 2);
    assert_true(report.index_records > COMMITS);
    assert_true(report.refusals > 0);
    assert_true(report.transfers > COMMITS / 2);
    assert_int_equal(report.total_count, 1);
    hf_verify_report_release(&report);
}

/* ---- forging it ---- */

static uint64_t newest_checkpoint(void)
{
    struct hf_error error;
    uint64_t *positions;
    size_t count;
    assert_int_equal(hf_checkpoint_list(outside, work, &positions, &count, &error), HF_ERR_OK);
    assert_true(count > 0);
    uint64_t newest = positions[0];
    hf_free(positions);
    return newest;
}

/* What a forged checkpoint has otherwise. */
struct forgery {
    uint64_t seq_more;            /* added to its batch */
    bool chain;                   /* a bit of its hash of the log */
    size_t state_byte;            /* counted from the end of the state: one more; 0 = none */
    const struct hf_run_ref *run; /* instead of the newest run; NULL = as it was */
};

static void read_state(struct hf_checkpoint *checkpoint, struct hf_buffer *bytes)
{
    struct hf_error error;
    struct hf_checkpoint_stream stream;
    const uint8_t *data;
    size_t size;
    assert_int_equal(hf_checkpoint_stream_init(&stream, checkpoint, HF_CHECKPOINT_STATE, &error),
                     HF_ERR_OK);
    do {
        assert_int_equal(hf_checkpoint_stream_next(&stream, &data, &size, &error), HF_ERR_OK);
        hf_buffer_bytes(bytes, data, size);
    } while (size > 0);
    hf_checkpoint_stream_release(&stream);
}

/* Writes the newest checkpoint anew: whole in itself, and false. */
static void forge_checkpoint(const struct forgery *forgery)
{
    struct hf_error error;
    struct hf_checkpoint *checkpoint;
    struct hf_checkpoint_writer *writer;
    struct hf_buffer bytes;
    struct hf_run_ref runs[16];
    size_t count;
    hf_buffer_init(&bytes);
    assert_int_equal(hf_checkpoint_open(outside, work, 0, newest_checkpoint(), &checkpoint, &error),
                     HF_ERR_OK);
    const struct hf_run_ref *old = hf_checkpoint_runs(checkpoint, &count);
    assert_in_range(count, 1, 16);
    memcpy(runs, old, count * sizeof(*runs));
    read_state(checkpoint, &bytes);
    struct hf_checkpoint_info info = *hf_checkpoint_info(checkpoint);
    hf_checkpoint_close(checkpoint);
    info.meta.seq += forgery->seq_more;
    info.meta.chain_hash.bytes[5] ^= forgery->chain;
    if (forgery->state_byte > 0) {
        bytes.data[bytes.size_bytes - forgery->state_byte]++;
    }
    if (forgery->run != NULL) {
        runs[0] = *forgery->run;
    }
    assert_int_equal(hf_checkpoint_writer_start(outside, work, &info.meta, &writer, &error),
                     HF_ERR_OK);
    hf_checkpoint_writer_begin(writer, HF_CHECKPOINT_STATE);
    assert_int_equal(hf_checkpoint_writer_append(writer, bytes.data, bytes.size_bytes, &error),
                     HF_ERR_OK);
    assert_int_equal(hf_checkpoint_writer_end(writer, &error), HF_ERR_OK);
    assert_int_equal(hf_checkpoint_writer_runs(writer, runs, count, &error), HF_ERR_OK);
    assert_int_equal(hf_checkpoint_writer_finish(writer, &info, &error), HF_ERR_OK);
    hf_buffer_release(&bytes);
}

static void test_forged_checkpoints(void **state)
{
    (void)state;
    copy();
    forge_checkpoint(&(struct forgery){0});
    assert_int_equal(verify(work, NULL), 0); /* the forger himself changes nothing */
    copy();
    forge_checkpoint(&(struct forgery){.seq_more = 1});
    (void)verify(work, "its batch or time is another");
    copy();
    forge_checkpoint(&(struct forgery){.chain = true});
    (void)verify(work, "its hash of the log is another");
    copy();
    forge_checkpoint(&(struct forgery){.state_byte = 1});
    (void)verify(work, "its state is not the replayed one");
}

enum run_forgery { RUN_SAME, RUN_EARLIER, RUN_LATER, RUN_EVENT, RUN_DROP, RUN_ADD };

/* Writes the newest run of the newest checkpoint anew, and the checkpoint that names it. */
static void forge_run(enum run_forgery what)
{
    struct hf_error error;
    struct hf_checkpoint *checkpoint;
    struct hf_run *run;
    struct hf_run_iterator iterator;
    struct hf_run_writer *writer;
    struct hf_run_info info;
    size_t count;
    uint64_t number = 0;
    assert_int_equal(hf_checkpoint_open(outside, work, 0, newest_checkpoint(), &checkpoint, &error),
                     HF_ERR_OK);
    struct hf_run_ref ref = hf_checkpoint_runs(checkpoint, &count)[0];
    hf_checkpoint_close(checkpoint);
    assert_int_equal(hf_run_open(outside, work, 0, &ref, &run, &error), HF_ERR_OK);
    struct hf_run_meta meta = {.from_position = ref.from_position,
                               .to_position = ref.to_position,
                               .generation = ref.generation,
                               .block_bytes = hf_run_info(run)->block_bytes,
                               .record_count_max = hf_run_info(run)->record_count + 1};
    assert_int_equal(hf_run_iterator_init(&iterator, run, NULL, &error), HF_ERR_OK);
    assert_int_equal(hf_run_writer_start(outside, work, &meta, &writer, &error), HF_ERR_OK);
    while (iterator.valid) {
        struct hf_index_key key = iterator.key;
        struct hf_index_value value = iterator.value;
        bool chosen = number++ == 7;
        value.position -= what == RUN_EARLIER && chosen;
        value.position += what == RUN_LATER && chosen;
        value.index += what == RUN_EVENT && chosen;
        if (what != RUN_DROP || !chosen) {
            assert_int_equal(hf_run_writer_add(writer, &key, &value, &error), HF_ERR_OK);
        }
        assert_int_equal(hf_run_iterator_next(&iterator, &error), HF_ERR_OK);
        if (what == RUN_ADD && !iterator.valid) {
            key.id.bytes[0] = 0xFF;
            key.sub = UINT64_MAX;
            assert_int_equal(hf_run_writer_add(writer, &key, &value, &error), HF_ERR_OK);
        }
    }
    assert_true(number > 8);
    hf_run_iterator_release(&iterator);
    hf_run_release(run);
    assert_int_equal(hf_run_writer_finish(writer, &info, &error), HF_ERR_OK);
    forge_checkpoint(&(struct forgery){.run = &info.ref});
}

/* The newest run without one kind of records, by a merge, and the checkpoint that names it. */
static void leave_out(enum hf_index_kind kind)
{
    struct hf_error error;
    struct hf_checkpoint *checkpoint;
    struct hf_run *run;
    struct hf_run_info info;
    size_t count;
    assert_int_equal(hf_checkpoint_open(outside, work, 0, newest_checkpoint(), &checkpoint, &error),
                     HF_ERR_OK);
    struct hf_run_ref ref = hf_checkpoint_runs(checkpoint, &count)[0];
    hf_checkpoint_close(checkpoint);
    assert_int_equal(hf_run_open(outside, work, 0, &ref, &run, &error), HF_ERR_OK);
    assert_true(hf_run_kind_count(run, (uint8_t)kind) > 0);
    struct hf_run_merge_rules rules = {.drop_kind = (uint8_t)kind,
                                       .drop_to_position = ref.to_position};
    assert_int_equal(hf_run_merge(outside, work, &run, 1, 4096, &rules, &info, &error), HF_ERR_OK);
    assert_int_equal(info.record_count,
                     hf_run_info(run)->record_count - hf_run_kind_count(run, (uint8_t)kind));
    hf_run_release(run);
    forge_checkpoint(&(struct forgery){.run = &info.ref});
}

/* The older checkpoint names the true run: it must not be there, or its hash would tell. */
static void forget_older(void)
{
    struct hf_error error;
    uint64_t *positions;
    size_t count;
    char path[4 * PATH_BYTES];
    assert_int_equal(hf_checkpoint_list(outside, work, &positions, &count, &error), HF_ERR_OK);
    for (size_t i = 1; i < count; i++) {
        (void)snprintf(path, sizeof(path), "%s/checkpoint-%020llu.ckpt", work,
                       (unsigned long long)positions[i]);
        assert_int_equal(unlink(path), 0);
    }
    hf_free(positions);
}

static void forge_runs(void)
{
    static const struct {
        enum run_forgery what;
        const char *words;
    } cases[] = {
        {RUN_SAME, NULL},
        {RUN_EARLIER, "a record of kind"},
        {RUN_LATER, "a record of kind"},
        {RUN_EVENT, "a record of kind"},
        {RUN_DROP, "lacks one of its records"},
        {RUN_ADD, "a record of kind"},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(cases); i++) {
        copy();
        forget_older();
        forge_run(cases[i].what);
        assert_int_equal(verify(work, cases[i].words), cases[i].words != NULL);
    }
    copy();
    forget_older();
    leave_out(HF_INDEX_KEY); /* as a merge does it when they have expired */
    assert_int_equal(verify(work, NULL), 0);
    copy();
    forget_older();
    leave_out(HF_INDEX_TRANSFER); /* as none must */
    assert_true(verify(work, "lacks one of its records") > 1);
}

/* Whatever the pieces in which the replay's records are compared: keys that come again in another one, too. */
static void test_forged_runs(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 2, 23, HF_VERIFY_PIECE_RECORDS};
    for (size_t i = 0; i < HF_ARRAY_COUNT(pieces); i++) {
        piece_records = pieces[i];
        forge_runs();
        assert_int_equal(verify(whole, NULL), 0);
    }
}

/* ---- flipping bytes ---- */

/* One byte after another of a file's written part; each flip must be found. */
static void flip_file(const char *name)
{
    char path[5 * PATH_BYTES];
    struct stat about = {0};
    assert_in_range(snprintf(path, sizeof(path), "%s/%s", work, name), 1, sizeof(path) - 1);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &about) == 0);
    unsigned tried = 0;
    for (uint64_t i = 0; i < FLIPS; i++) {
        off_t at = (off_t)((uint64_t)about.st_size * i / FLIPS);
        uint8_t byte;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        if (byte == 0) {
            continue; /* perhaps padding, or room that was never written */
        }
        uint8_t flipped = byte ^ 0x10;
        assert_int_equal(pwrite(fd, &flipped, 1, at), 1);
        static struct hf_verify_report report;
        struct hf_error error = {0};
        hf_verify_report_init(&report);
        enum hf_err code = hf_verify(outside, work, NULL, NULL, &report, &error);
        if (code == HF_ERR_OK && report.problem_count == 0) {
            fail_msg("%s: a flip at byte %lld was not found", name, (long long)at);
        }
        hf_verify_report_release(&report);
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        tried++;
    }
    (void)close(fd);
    assert_true(tried > 0);
}

static void collect(void *context, struct hf_str name)
{
    struct hf_buffer *names = context;
    hf_buffer_bytes(names, name.ptr, name.len);
    hf_buffer_u8(names, 0);
}

static void flip_all(const char *folder, const char *suffix)
{
    char path[4 * PATH_BYTES];
    struct hf_buffer names;
    struct hf_error error;
    unsigned files = 0;
    hf_buffer_init(&names);
    (void)snprintf(path, sizeof(path), "%s/%s", work, folder);
    assert_int_equal(outside->list(outside, path, collect, &names, &error), HF_ERR_OK);
    for (size_t at = 0; at < names.size_bytes; at += strlen((char *)names.data + at) + 1) {
        const char *name = (const char *)names.data + at;
        size_t length = strlen(name);
        if (length > strlen(suffix) && strcmp(name + length - strlen(suffix), suffix) == 0) {
            (void)snprintf(path, sizeof(path), "%s%s", folder, name);
            flip_file(path);
            files++;
        }
    }
    hf_buffer_release(&names);
    assert_true(files > 0);
}

static void test_flips(void **state)
{
    (void)state;
    copy();
    flip_all("log/", ".log");
    flip_all("", ".ckpt");
    assert_int_equal(verify(work, NULL), 0); /* all is as it was again */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_forged_checkpoints),
        cmocka_unit_test(test_forged_runs),
        cmocka_unit_test(test_flips),
    };
    return cmocka_run_group_tests_name("verify", tests, make, unmake);
}
