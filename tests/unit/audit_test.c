/*
 * The running audit beside a living engine: what is whole is found whole; a byte flipped in any stored file, a balance changed in
 * RAM, is found and named, and what lies behind it is looked at all the same; after the mend the next pass finds nothing.
 */
#include "unit/support.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/commit_json.h"
#include "node/engine.h"
#include "node/node_priv.h"
#include "observe/audit.h"

#define COMMITS       300
#define SEGMENT_BYTES (64u << 10)
#define PATH_BYTES    512
#define PAGE          4096

static char directory[PATH_BYTES];
static struct hf_engine *engine;
static struct hf_audit *audit;
static struct hf_audit_report report; /* of the newest pass */

/* ---- the engine ---- */

struct waiting {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool done;
};

static void done(struct hf_request *request)
{
    struct waiting *waiting = request->context;
    pthread_mutex_lock(&waiting->mutex);
    waiting->done = true;
    pthread_cond_signal(&waiting->changed);
    pthread_mutex_unlock(&waiting->mutex);
}

static void commit(const char *json)
{
    struct hf_command command;
    struct hf_malformed malformed = {0};
    struct waiting waiting = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                              .changed = PTHREAD_COND_INITIALIZER};
    hf_command_init(&command, HF_COMMAND_COMMIT);
    assert_true(hf_commit_json_decode(hf_str_from(json), &command, &malformed));
    assert_true(hf_command_finish(&command, &malformed));
    struct hf_request request = {.command = &command, .done = done, .context = &waiting};
    assert_int_equal(hf_node_submit(hf_engine_node(engine), &request), HF_ERR_OK);
    pthread_mutex_lock(&waiting.mutex);
    while (!waiting.done) {
        pthread_cond_wait(&waiting.changed, &waiting.mutex);
    }
    pthread_mutex_unlock(&waiting.mutex);
    assert_int_equal(request.answer.code, HF_ERR_OK);
    hf_answer_release(&request.answer);
    hf_command_release(&command);
}

static void pay(unsigned from, unsigned count)
{
    for (unsigned i = from; i < from + count; i++) {
        char json[400];
        (void)snprintf(json, sizeof(json),
                       "{\"do\":[{\"op\":\"transfer\",\"id\":\"t%u\",\"from\":\"world\",\"to\":"
                       "\"user%u\",\"asset\":\"USD/2\",\"amount\":\"%u\"},{\"op\":\"append\","
                       "\"stream\":\"s\",\"type\":\"x\",\"data\":{\"i\":%u}}]}",
                       i, i % 3, 1 + i, i);
        commit(json);
    }
}

static void status_of(struct hf_node_status *status)
{
    hf_node_status(hf_engine_node(engine), status);
}

static void start_audit(uint64_t rate_bytes_per_s)
{
    struct hf_error error = {0};
    struct hf_audit_options options = {.outside = hf_engine_outside(engine),
                                       .node = hf_engine_node(engine),
                                       .directory = directory,
                                       .rate_bytes_per_s = rate_bytes_per_s};
    assert_int_equal(hf_audit_new(&options, &audit, &error), HF_ERR_OK);
}

static void open_engine(bool checkpoints)
{
    struct hf_error error = {0};
    struct hf_engine_options options = {.directory = directory,
                                        .create = true,
                                        .checkpoints = checkpoints,
                                        .name = "audit test",
                                        .limits = hf_limits_default()};
    options.limits.segment_bytes_first = SEGMENT_BYTES;
    options.limits.segment_bytes_max = SEGMENT_BYTES;
    options.limits.checkpoint_every_records = 150;
    options.limits.index_runs_max = 3;
    enum hf_err err = hf_engine_open(&options, &engine, &error);
    if (err != HF_ERR_OK) {
        fail_msg("%s", error.text);
    }
}

static int make(void **state)
{
    (void)state;
    const char *place = getenv("TMPDIR");
    (void)snprintf(directory, sizeof(directory), "%s/hf-audit-XXXXXX",
                   place == NULL ? "/tmp" : place);
    assert_non_null(mkdtemp(directory));
    open_engine(true);
    start_audit(0);
    return 0;
}

/* With accounts, payments, and two checkpoints. */
static void fill(void)
{
    struct hf_node_status status;
    commit("{\"do\":[{\"op\":\"open_account\",\"account\":\"world\",\"asset\":\"USD/2\",\"floor\":"
           "null},{\"op\":\"open_account\",\"account\":\"user0\",\"asset\":\"USD/2\"},{\"op\":"
           "\"open_account\",\"account\":\"user1\",\"asset\":\"USD/2\"},{\"op\":\"open_account\","
           "\"account\":\"user2\",\"asset\":\"USD/2\"}]}");
    pay(0, COMMITS);
    for (unsigned i = 0;; i++) {
        status_of(&status);
        if (status.checkpoint_position > COMMITS / 2) {
            break;
        }
        pay(COMMITS + i, 1);
    }
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

/* So that no file comes or goes while it is damaged. */
static void end_checkpoints(void)
{
    struct hf_error error = {0};
    hf_audit_free(audit);
    assert_int_equal(hf_engine_close(engine, &error), HF_ERR_OK);
    open_engine(false);
    start_audit(0);
}

static int unmake(void **state)
{
    (void)state;
    struct hf_error error = {0};
    hf_audit_free(audit);
    assert_int_equal(hf_engine_close(engine, &error), HF_ERR_OK);
    remove_all(directory);
    return 0;
}

/* ---- passes ---- */

static const struct hf_audit_pass *pass(void)
{
    hf_audit_report(audit, &report);
    uint64_t before = report.passes;
    assert_true(hf_audit_run(audit));
    do {
        usleep(500);
        hf_audit_report(audit, &report);
    } while (report.passes == before);
    return &report.last;
}

static const struct hf_audit_pass *assert_clean(void)
{
    const struct hf_audit_pass *last = pass();
    if (last->finding_count > 0) {
        fail_msg("%s", last->findings[0].text);
    }
    assert_int_equal(last->result, HF_AUDIT_OK);
    return last;
}

/* There is damage, and a finding of it has the words. */
static const struct hf_audit_pass *assert_finds(enum hf_audit_part part, const char *words)
{
    const struct hf_audit_pass *last = pass();
    bool found = false;
    assert_int_equal(last->result, HF_AUDIT_DAMAGED);
    for (uint64_t i = 0; i < last->finding_count && i < HF_AUDIT_FINDINGS_MAX; i++) {
        const struct hf_audit_finding *finding = &last->findings[i];
        found = found || (finding->part == part && strstr(finding->text, words) != NULL);
    }
    if (!found) {
        fail_msg("no finding has \"%s\"; the first: %s", words, last->findings[0].text);
    }
    return last;
}

/* ---- damage ---- */

/* The number-th file of the folder whose name ends so, in byte order. */
static void find_file(const char *folder, const char *end, size_t number, char path[2 * PATH_BYTES])
{
    char place[PATH_BYTES + 16];
    struct dirent **names;
    (void)snprintf(place, sizeof(place), "%s%s", directory, folder);
    int count = scandir(place, &names, NULL, alphasort);
    assert_true(count > 0);
    path[0] = '\0';
    for (int i = 0; i < count; i++) {
        size_t length = strlen(names[i]->d_name);
        bool fits =
            length > strlen(end) && strcmp(names[i]->d_name + length - strlen(end), end) == 0;
        if (fits && number-- == 0) {
            (void)snprintf(path, 2 * PATH_BYTES, "%s/%s", place, names[i]->d_name);
        }
        free(names[i]);
    }
    free(names);
    assert_true(path[0] != '\0');
}

static void flip(const char *path, off_t offset)
{
    uint8_t byte;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    assert_int_equal(close(fd), 0);
}

static void nothing_stored_is_nothing_wrong(void **state)
{
    (void)state;
    struct hf_node_status status;
    do {
        usleep(500);
        status_of(&status);
    } while (status.durable_position == 0);
    const struct hf_audit_pass *last = assert_clean();
    assert_int_equal(last->accounts, 0);
    assert_int_equal(last->checkpoints, 0);
    assert_true(last->commits > 0); /* the takeover's */
}

static void everything_is_looked_at(void **state)
{
    (void)state;
    struct hf_node_status status;
    fill();
    status_of(&status);
    const struct hf_audit_pass *last = assert_clean();
    assert_int_equal(last->from_position, 1);
    assert_true(last->to_position >= status.durable_position);
    assert_int_equal(last->commits, last->to_position);
    assert_true(last->batches > 0 && last->batches <= last->commits);
    assert_true(last->checkpoints > 0 && last->replayed > 0);
    assert_true(last->index_runs > 0 && last->index_records > 0);
    assert_int_equal(last->accounts, 4);
    assert_int_equal(last->assets, 1);
    assert_true(last->bytes > 0);
}

/* In the body of a batch: the batches behind it are looked at, in its own segment, too. */
static void a_flipped_byte_of_a_commit_is_found(void **state)
{
    (void)state;
    char path[2 * PATH_BYTES];
    fill();
    find_file("/log", ".log", 3, path);
    flip(path, 2 * PAGE + 300);
    const struct hf_audit_pass *last = assert_finds(HF_AUDIT_LOG, "segment 4");
    assert_int_equal(last->finding_count, 1);
    assert_true(last->findings[0].damage);
    assert_true(last->commits < last->to_position);
    assert_true(last->commits > last->to_position - 8);
    flip(path, 2 * PAGE + 300);
    (void)assert_clean();
}

/* In the header of a batch nobody knows where the next one is: the next segment is. */
static void a_flipped_byte_of_a_header_is_found(void **state)
{
    (void)state;
    char path[2 * PATH_BYTES];
    fill();
    find_file("/log", ".log", 2, path);
    flip(path, 5 * PAGE + 40);
    const struct hf_audit_pass *last = assert_finds(HF_AUDIT_LOG, "segment 3");
    assert_int_equal(last->finding_count, 1);
    assert_true(last->commits < last->to_position);
    assert_true(last->commits > last->to_position / 2);
    flip(path, 5 * PAGE + 40);
    (void)assert_clean();
}

static size_t count_segments(void)
{
    char place[PATH_BYTES + 16];
    struct dirent **names;
    size_t segments = 0;
    (void)snprintf(place, sizeof(place), "%s/log", directory);
    int count = scandir(place, &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        segments += strstr(names[i]->d_name, ".log") != NULL;
        free(names[i]);
    }
    free(names);
    return segments;
}

/* The last page that is not zero; 0: there is none behind the header. */
static off_t last_page(const char *path)
{
    struct stat about = {0};
    uint64_t head = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &about) == 0);
    off_t page = about.st_size / PAGE;
    while (head == 0 && page > 0) {
        page--;
        assert_int_equal(pread(fd, &head, sizeof(head), page * PAGE), sizeof(head));
    }
    assert_int_equal(close(fd), 0);
    return page;
}

/* Nothing valid follows it, so it looks like the log's end; but the node knows better. */
static void a_flipped_byte_of_the_last_batch_is_found(void **state)
{
    (void)state;
    char path[2 * PATH_BYTES];
    fill();
    end_checkpoints();
    pay(20000, 1);
    off_t page = 0;
    for (size_t number = count_segments(); page == 0; number--) {
        find_file("/log", ".log", number - 1, path);
        page = last_page(path);
    }
    flip(path, page * PAGE + 300);
    const struct hf_audit_pass *last = assert_finds(HF_AUDIT_LOG, "nothing can be read");
    assert_true(last->commits < last->to_position);
    flip(path, page * PAGE + 300);
    (void)assert_clean();
}

static void damage_in_several_places_is_counted(void **state)
{
    (void)state;
    char path[2 * PATH_BYTES];
    fill();
    for (unsigned i = 0; i < 3; i++) {
        find_file("/log", ".log", i, path);
        flip(path, 3 * PAGE + 200);
        flip(path, 9 * PAGE + 200);
    }
    assert_int_equal(assert_finds(HF_AUDIT_LOG, "segment 2")->finding_count, 6);
    for (unsigned i = 0; i < 3; i++) {
        find_file("/log", ".log", i, path);
        flip(path, 3 * PAGE + 200);
        flip(path, 9 * PAGE + 200);
    }
    (void)assert_clean();
}

static void more_damage_than_can_be_told_ends_the_part(void **state)
{
    (void)state;
    char path[2 * PATH_BYTES];
    fill();
    for (unsigned i = 0; i < 3; i++) {
        find_file("/log", ".log", i, path);
        for (off_t page = 2; page < 12; page++) {
            flip(path, page * PAGE + 200);
        }
    }
    const struct hf_audit_pass *last = assert_finds(HF_AUDIT_LOG, "segment 1");
    assert_true(last->finding_count >= HF_AUDIT_FINDINGS_MAX);
    assert_true(last->finding_count < HF_AUDIT_FINDINGS_MAX + 5);
}

static void a_flipped_byte_of_a_checkpoint_is_found(void **state)
{
    (void)state;
    char path[2 * PATH_BYTES];
    fill();
    end_checkpoints();
    for (unsigned number = 0; number < 2; number++) {
        find_file("", ".ckpt", number, path);
        flip(path, PAGE + 100);
        const struct hf_audit_pass *last = assert_finds(HF_AUDIT_CHECKPOINTS, "checkpoint");
        assert_int_equal(last->commits, last->to_position);
        assert_int_equal(last->accounts, number == 0 ? 4 : last->accounts);
        flip(path, PAGE + 100);
    }
    find_file("", ".ckpt", 1, path);
    flip(path, 30); /* its header */
    (void)assert_finds(HF_AUDIT_CHECKPOINTS, "checkpoint");
    flip(path, 30);
    (void)assert_clean();
}

static void a_flipped_byte_of_an_index_run_is_found(void **state)
{
    (void)state;
    char path[2 * PATH_BYTES];
    fill();
    end_checkpoints();
    find_file("", ".run", 0, path);
    flip(path, PAGE + 100);
    (void)assert_finds(HF_AUDIT_CHECKPOINTS, "index run");
    flip(path, PAGE + 100);
    (void)assert_clean();
}

/* What no checksum of a file can tell: the state in RAM is another than the log's. */
static void a_balance_changed_in_memory_is_found(void **state)
{
    (void)state;
    struct hf_arena arena;
    struct hf_name name;
    fill();
    hf_arena_init(&arena);
    assert_true(hf_name_make(HF_STR("user1"), &arena, &name));
    hf_arena_release(&arena);
    struct hf_account *account = hf_state_account(hf_node_state(hf_engine_node(engine)), &name.id);
    account->totals.credits_posted += 1;
    const struct hf_audit_pass *last = assert_finds(HF_AUDIT_BALANCES, "account user1");
    assert_int_equal(last->finding_count, 1);
    account->totals.credits_posted -= 1;
    (void)assert_clean();
    account->floor -= 1;
    (void)assert_finds(HF_AUDIT_BALANCES, "account user1");
    account->floor += 1;
    struct hf_asset_sums *sums = hf_node_state(hf_engine_node(engine))->assets.items;
    sums[0].debits_posted.low += 1;
    (void)assert_finds(HF_AUDIT_BALANCES, "asset USD/2");
    sums[0].debits_posted.low -= 1;
    (void)assert_clean();
}

static void a_trimmed_log_is_looked_at_from_where_it_begins(void **state)
{
    (void)state;
    struct hf_error error = {0};
    fill();
    struct hf_log *log = hf_engine_node(engine)->log;
    struct hf_node_status status;
    uint64_t seq;
    status_of(&status);
    assert_int_equal(log->driver->seek(log, status.checkpoint_position / 2, &seq, &error),
                     HF_ERR_OK);
    assert_int_equal(log->driver->trim(log, seq, &error), HF_ERR_OK);
    const struct hf_audit_pass *last = assert_clean();
    assert_true(last->from_position > 1);
    assert_int_equal(last->commits, last->to_position - last->from_position + 1);
    assert_int_equal(last->accounts, 4);
}

static void it_goes_on_over_checkpoints_and_a_new_owner(void **state)
{
    (void)state;
    struct hf_error error = {0};
    fill();
    (void)assert_clean();
    hf_audit_free(audit);
    assert_int_equal(hf_engine_close(engine, &error), HF_ERR_OK);
    open_engine(true);
    start_audit(0);
    (void)assert_clean();
    for (unsigned i = 0; i < 6; i++) {
        assert_true(hf_audit_run(audit));
        pay(10000 + 100 * i, 100); /* checkpoints, merges and cleaning beside the pass */
        do {
            usleep(500);
            hf_audit_report(audit, &report);
        } while (report.running || report.next_in_us == 0);
        assert_int_equal(report.last.result, HF_AUDIT_OK);
    }
    assert_int_equal(report.passes, 7);
}

/* A pass that would take hours ends at once, and is not told as one that found nothing. */
static void a_slow_pass_can_be_stopped(void **state)
{
    (void)state;
    fill();
    hf_audit_free(audit);
    start_audit(100);
    assert_true(hf_audit_run(audit));
    do {
        usleep(500);
        hf_audit_report(audit, &report);
    } while (!report.running);
    assert_false(hf_audit_run(audit)); /* another one follows */
    hf_audit_report(audit, &report);
    assert_true(report.running);
    assert_int_equal(report.current.result, HF_AUDIT_UNDER_WAY);
    hf_audit_free(audit);
    start_audit(0);
    hf_audit_report(audit, &report);
    assert_false(report.has_last);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, make, unmake)
    const struct CMUnitTest tests[] = {
        TEST(nothing_stored_is_nothing_wrong),
        TEST(everything_is_looked_at),
        TEST(a_flipped_byte_of_a_commit_is_found),
        TEST(a_flipped_byte_of_a_header_is_found),
        TEST(a_flipped_byte_of_the_last_batch_is_found),
        TEST(damage_in_several_places_is_counted),
        TEST(more_damage_than_can_be_told_ends_the_part),
        TEST(a_flipped_byte_of_a_checkpoint_is_found),
        TEST(a_flipped_byte_of_an_index_run_is_found),
        TEST(a_balance_changed_in_memory_is_found),
        TEST(a_trimmed_log_is_looked_at_from_where_it_begins),
        TEST(it_goes_on_over_checkpoints_and_a_new_owner),
        TEST(a_slow_pass_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
