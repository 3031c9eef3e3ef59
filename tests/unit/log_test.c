/* Unit tests of src/log: the encoding, and the file driver on a real directory. */
#include "log/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "log/log_file.h"
#include "log/log_priv.h"

#include "unit/log_support.h"
#include "unit/support.h"

static struct hf_outside *o;
static char directory[64];
static struct log_model model;

static int setup(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof(directory), "hf-log-test-XXXXXX");
    o = hf_outside_linux_new();
    model = (struct log_model){0};
    hf_buffer_init(&model.body);
    return o == NULL || mkdtemp(directory) == NULL ? -1 : 0;
}

static void remove_each(void *context, struct hf_str name)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", (const char *)context, name.ptr);
    (void)o->remove(o, path, NULL);
}

static void wipe(void)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/log", directory);
    (void)o->list(o, path, remove_each, path, NULL);
    (void)rmdir(path);
    (void)o->list(o, directory, remove_each, directory, NULL);
}

static int teardown(void **state)
{
    (void)state;
    wipe();
    hf_buffer_release(&model.body);
    hf_outside_linux_free(o);
    return rmdir(directory);
}

static struct hf_log *open_sized(bool create, uint64_t first_bytes, uint64_t max_bytes)
{
    struct hf_error error;
    struct hf_log *log;
    const struct hf_log_file_options options = {.directory = directory,
                                                .create = create,
                                                .segment_bytes_first = first_bytes,
                                                .segment_bytes_max = max_bytes};
    if (hf_log_file_open(o, &options, &log, &error) != HF_ERR_OK) {
        fail_msg("%s", error.text);
    }
    return log;
}

static struct hf_log *open_log(void)
{
    return open_sized(true, 64 << 10, 256 << 10);
}

/* Takes over, and the model's epoch follows; the head must be the model's. */
static struct hf_log_recovery own(struct hf_log *log)
{
    struct hf_error error;
    struct hf_log_head head;
    struct hf_log_recovery recovery;
    if (log->driver->takeover(log, HF_STR("test"), false, &head, &recovery, &error) != HF_ERR_OK) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(head.seq, model.head.seq);
    assert_int_equal(head.position, model.head.position);
    assert_true(hf_hash_equal(&head.hash, &model.head.hash));
    assert_true(head.epoch > model.head.epoch);
    model.head.epoch = head.epoch;
    return recovery;
}

static const size_t sizes[] = {10, 3000, 4000, 9000, 100, 30000, 5000, 1};

static void append(struct hf_log *log, int count)
{
    for (int i = 0; i < count; i++) {
        struct hf_error error;
        size_t bytes = sizes[(model.head.seq + 1) % HF_ARRAY_COUNT(sizes)];
        enum hf_append_outcome outcome = log_model_append(&model, log, o, bytes, &error);
        if (outcome != HF_APPEND_OK) {
            fail_msg("%d %s", (int)outcome, error.text);
        }
    }
}

static void check_content(struct hf_log *log, size_t bytes_max)
{
    struct hf_error error;
    struct hf_log_head head;
    enum hf_err code;
    const char *wrong =
        log_model_check(log, sizes, HF_ARRAY_COUNT(sizes), bytes_max, &head, &code, &error);
    assert_null(wrong);
    if (code != HF_ERR_OK) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(head.seq, model.head.seq);
    assert_int_equal(head.position, model.head.position);
    assert_true(hf_hash_equal(&head.hash, &model.head.hash));
}

/* Changes one byte of a file of the log directory; returns false if the file is not so long. */
static bool flip(const char *name, uint64_t offset)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/log/%s", directory, name);
    struct hf_file *file;
    uint8_t byte;
    size_t got;
    assert_int_equal(o->open(o, path, HF_OPEN_READ_WRITE, &file, NULL), HF_ERR_OK);
    assert_int_equal(o->read(o, file, offset, &byte, 1, &got, NULL), HF_ERR_OK);
    if (got == 1) {
        byte ^= 0x20;
        assert_int_equal(o->write(o, file, offset, &byte, 1, NULL), HF_ERR_OK);
    }
    o->close(o, file);
    return got == 1;
}

static enum hf_err try_takeover(struct hf_log_head *head, struct hf_log_recovery *recovery,
                                struct hf_error *error)
{
    struct hf_log *log;
    const struct hf_log_file_options options = {.directory = directory};
    enum hf_err code = hf_log_file_open(o, &options, &log, error);
    if (code == HF_ERR_OK) {
        code = log->driver->takeover(log, HF_STR("again"), false, head, recovery, error);
        log->driver->close(log);
    }
    return code;
}

/* --- the encoding --- */

static void batches_survive_the_encoding(void **state)
{
    (void)state;
    struct hf_buffer out;
    hf_buffer_init(&out);
    struct hf_log_batch batch;
    struct hf_log_batch back;
    struct hf_error error;
    model.head.epoch = 7;
    log_model_batch(&model, 3000, &batch);
    batch.space = 3;
    batch.log_tag = 99;
    hf_log_batch_encode(&batch, &out);
    size_t at = 0;
    assert_int_equal(hf_log_batch_decode(out.data, out.size_bytes, &at, &back, &error), HF_ERR_OK);
    assert_int_equal(at, out.size_bytes);
    assert_int_equal(back.space, 3);
    assert_int_equal(back.seq, 1);
    assert_int_equal(back.epoch, 7);
    assert_int_equal(back.log_tag, 99);
    assert_int_equal(back.commit_count, batch.commit_count);
    assert_memory_equal(back.batch_id, batch.batch_id, 16);
    assert_true(hf_log_batch_chain_ok(&back));
    back.hash_after.bytes[0] ^= 1;
    assert_false(hf_log_batch_chain_ok(&back));
    for (size_t i = 0; i < out.size_bytes; i++) { /* every byte counts */
        out.data[i] ^= 1;
        at = 0;
        assert_int_equal(hf_log_batch_decode(out.data, out.size_bytes, &at, &back, &error),
                         HF_ERR_CORRUPT);
        assert_int_equal(at, 0);
        out.data[i] ^= 1;
    }
    for (size_t size = 0; size < out.size_bytes; size++) { /* and none may be missing */
        at = 0;
        assert_int_equal(hf_log_batch_decode(out.data, size, &at, &back, &error), HF_ERR_CORRUPT);
    }
    hf_buffer_release(&out);
}

static void frames_must_fill_the_body(void **state)
{
    (void)state;
    static const uint8_t body[] = {1, 0, 0, 0, 2, 0, 0, 0, 'a', 'b', 'c'};
    struct hf_commit_frame frame;
    size_t at = 0;
    assert_true(hf_commit_frame_next(body, sizeof(body), &at, &frame));
    assert_int_equal(frame.record_bytes, 1);
    assert_int_equal(frame.payload_bytes, 2);
    assert_int_equal(frame.payload[0], 'b');
    assert_int_equal(at, sizeof(body));
    assert_false(hf_commit_frame_next(body, sizeof(body), &at, &frame));
    at = 0;
    assert_false(hf_commit_frame_next(body, sizeof(body) - 1, &at, &frame));
    assert_int_equal(at, 0);
    static const uint8_t no_record[] = {0, 0, 0, 0, 0, 0, 0, 0};
    assert_false(hf_commit_frame_next(no_record, sizeof(no_record), &at, &frame));
    struct hf_log_batch batch = {.seq = 1,
                                 .first_position = 1,
                                 .commit_count = 2, /* but there is one */
                                 .body = body,
                                 .body_bytes = sizeof(body)};
    struct hf_buffer out;
    hf_buffer_init(&out);
    hf_log_batch_encode(&batch, &out);
    assert_int_equal(hf_log_batch_decode(out.data, out.size_bytes, &at, &batch, NULL),
                     HF_ERR_CORRUPT);
    hf_buffer_release(&out);
}

/* --- the file driver --- */

static void appends_survive_reopening(void **state)
{
    (void)state;
    for (int round = 0; round < 6; round++) {
        struct hf_log *log = open_log();
        struct hf_log_recovery recovery = own(log);
        assert_false(recovery.torn_tail);
        assert_true(recovery.sealed == (round == 3 || round == 4));
        append(log, round == 3 ? 0 : 15);
        check_content(log, 1);
        check_content(log, 20000);
        check_content(log, 10 << 20);
        if (round == 2 || round == 3) { /* sealed, and sealed again without a batch between */
            assert_int_equal(log->driver->seal(log, NULL), HF_ERR_OK);
        }
        log->driver->close(log);
        struct hf_log *reader = open_sized(false, 0, 0);
        check_content(reader, 50000);
        reader->driver->close(reader);
    }
}

static void every_segment_size_holds_every_batch(void **state)
{
    (void)state;
    static const uint64_t firsts[] = {8192, 12288, 16384, 65536};
    for (size_t i = 0; i < HF_ARRAY_COUNT(firsts); i++) {
        for (uint64_t times = 1; times <= 4; times *= 2) {
            model.head = (struct hf_log_head){0};
            struct hf_log *log = open_sized(true, firsts[i], firsts[i] * times);
            (void)own(log);
            append(log, 40);
            check_content(log, 1);
            log->driver->close(log);
            log = open_sized(true, firsts[i], firsts[i] * times);
            (void)own(log);
            append(log, 5);
            check_content(log, 100000);
            log->driver->close(log);
            wipe();
        }
    }
}

static void a_large_batch_gets_a_large_segment(void **state)
{
    (void)state;
    struct hf_error error;
    struct hf_log *log = open_sized(true, 8192, 8192);
    (void)own(log);
    assert_int_equal(log_model_append(&model, log, o, 5 << 20, &error), HF_APPEND_OK);
    struct hf_buffer out;
    hf_buffer_init(&out);
    uint32_t batches;
    assert_int_equal(log->driver->read(log, 1, 1, &out, &batches, &error), HF_ERR_OK);
    assert_int_equal(batches, 1);
    assert_true(out.size_bytes > 5 << 20);
    hf_buffer_release(&out);
    log->driver->close(log);
}

static void seek_finds_the_batch_of_a_position(void **state)
{
    (void)state;
    struct hf_log *log = open_sized(true, 65536, 4 << 20);
    struct hf_error error;
    uint64_t seq;
    (void)own(log);
    assert_int_equal(log->driver->seek(log, 1, &seq, &error), HF_ERR_NOT_FOUND);
    struct hf_buffer nothing = {0};
    assert_int_equal(log->driver->peek(log, 1, &nothing, &error), HF_ERR_NOT_FOUND);
    assert_int_equal(nothing.size_bytes, 0);
    static uint64_t first_positions[301];
    for (int i = 1; i <= 300; i++) {
        first_positions[i] = model.head.position + 1;
        append(log, 1);
    }
    struct hf_log *logs[2] = {log, open_sized(false, 0, 0)};
    for (int i = 0; i < 2; i++) {
        for (uint64_t want = 300; want > 0; want--) {
            uint64_t last = want == 300 ? model.head.position : first_positions[want + 1] - 1;
            assert_int_equal(logs[i]->driver->seek(logs[i], first_positions[want], &seq, &error),
                             HF_ERR_OK);
            assert_int_equal(seq, want);
            assert_int_equal(logs[i]->driver->seek(logs[i], last, &seq, &error), HF_ERR_OK);
            assert_int_equal(seq, want);
        }
        assert_int_equal(logs[i]->driver->seek(logs[i], model.head.position + 1, &seq, &error),
                         HF_ERR_NOT_FOUND);
        logs[i]->driver->close(logs[i]);
    }
}

static void read_one(struct hf_log *log, uint64_t seq, uint64_t first_position)
{
    struct hf_error error = {0};
    struct hf_log_batch batch;
    struct hf_buffer out;
    uint32_t batches;
    size_t at = 0;
    hf_buffer_init(&out);
    assert_int_equal(log->driver->read(log, seq, 1, &out, &batches, &error), HF_ERR_OK);
    assert_int_equal(batches, 1);
    assert_int_equal(hf_log_batch_decode(out.data, out.size_bytes, &at, &batch, &error), HF_ERR_OK);
    assert_int_equal(batch.seq, seq);
    assert_int_equal(batch.first_position, first_position);
    hf_buffer_release(&out);
}

/* Where the last look was is where the next one begins if it lies further on, in the same segment: forwards, backwards, to
 * and fro, and behind a trim the place is the right one. */
static void what_was_sought_is_read(void **state)
{
    (void)state;
    enum { BATCHES = 200 };
    static uint64_t first_positions[BATCHES + 1];
    struct hf_log *log = open_sized(true, 16384, 65536);
    struct hf_error error = {0};
    uint64_t seq;
    (void)own(log);
    for (int i = 1; i <= BATCHES; i++) {
        first_positions[i] = model.head.position + 1;
        append(log, 1);
    }
    for (uint64_t i = 0; i < 3ull * BATCHES; i++) {
        uint64_t want = i < BATCHES       ? i + 1
                        : i < 2 * BATCHES ? 2 * BATCHES - i
                                          : i * 7919 % BATCHES + 1;
        assert_int_equal(log->driver->seek(log, first_positions[want], &seq, &error), HF_ERR_OK);
        assert_int_equal(seq, want);
        uint64_t other = (want + i) % BATCHES + 1; /* before or behind what was sought */
        read_one(log, other, first_positions[other]);
        read_one(log, want, first_positions[want]);
    }
    assert_int_equal(log->driver->seek(log, first_positions[40], &seq, &error), HF_ERR_OK);
    assert_int_equal(log->driver->trim(log, 100, &error), HF_ERR_OK);
    for (uint64_t want = log->driver->first_seq(log); want <= BATCHES; want += 3) {
        read_one(log, want, first_positions[want]);
    }
    log->driver->close(log);
}

static void trim_forgets_whole_segments(void **state)
{
    (void)state;
    struct hf_log *log = open_sized(true, 16384, 16384);
    struct hf_error error;
    (void)own(log);
    append(log, 50);
    assert_int_equal(log->driver->first_seq(log), 1);
    assert_int_equal(log->driver->trim(log, 30, &error), HF_ERR_OK);
    uint64_t first = log->driver->first_seq(log);
    assert_true(first > 1 && first <= 30);
    struct hf_buffer out;
    hf_buffer_init(&out);
    uint32_t batches;
    assert_int_equal(log->driver->read(log, first - 1, 1, &out, &batches, &error),
                     HF_ERR_NOT_FOUND);
    uint64_t seq;
    assert_int_equal(log->driver->seek(log, 1, &seq, &error), HF_ERR_NOT_FOUND);
    assert_int_equal(log->driver->read(log, first, 1 << 20, &out, &batches, &error), HF_ERR_OK);
    assert_int_equal(batches, 50 - first + 1);
    assert_int_equal(log->driver->trim(log, UINT64_MAX, &error), HF_ERR_OK);
    assert_true(log->driver->first_seq(log) <= 50); /* the newest stays */
    append(log, 10);
    log->driver->close(log);
    log = open_log();
    (void)own(log);
    assert_true(log->driver->first_seq(log) > 30);
    append(log, 1);
    log->driver->close(log);
    hf_buffer_release(&out);
}

static void two_opens_exclude_each_other(void **state)
{
    (void)state;
    struct hf_log *first = open_log();
    struct hf_log *second = open_log();
    struct hf_log_head head;
    struct hf_log_recovery recovery;
    struct hf_error error;
    (void)own(first);
    append(first, 3);
    assert_int_equal(second->driver->takeover(second, HF_STR("b"), false, &head, &recovery, &error),
                     HF_ERR_LOCKED);
    check_content(second, 4096); /* it may read meanwhile */
    append(first, 30);
    check_content(second, 4096);
    first->driver->close(first);
    (void)own(second);
    append(second, 3);
    second->driver->confirm_start(second);
    assert_int_equal(second->driver->confirm_poll(second), HF_CONFIRM_OK);
    second->driver->close(second);
}

static void resolve_tells_what_is_there(void **state)
{
    (void)state;
    struct hf_log *log = open_log();
    (void)own(log);
    append(log, 2);
    uint8_t id[16];
    memset(id, 2, sizeof(id)); /* as log_model_batch makes it for seq 2 */
    log->driver->resolve_start(log, 2, id);
    assert_int_equal(log->driver->resolve_poll(log, NULL), HF_RESOLVE_COMMITTED);
    log->driver->resolve_start(log, 3, id);
    assert_int_equal(log->driver->resolve_poll(log, NULL), HF_RESOLVE_RETRY);
    id[0]++;
    log->driver->resolve_start(log, 2, id);
    assert_int_equal(log->driver->resolve_poll(log, NULL), HF_RESOLVE_NEVER);
    log->driver->close(log);
}

/* A process that owns the log, appends `count` batches, says so and goes on or sleeps. */
static pid_t start_owner(int count, bool go_on)
{
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct hf_outside *own_outside = hf_outside_linux_new();
        o = own_outside;
        struct hf_log *log = open_log();
        (void)own(log);
        append(log, count);
        bool told = write(pipes[1], &model.head, sizeof(model.head)) == sizeof(model.head);
        (void)alarm(20);
        for (int i = 0; told && go_on && i < 1000000; i++) {
            append(log, 1);
        }
        (void)pause();
        _exit(1);
    }
    assert_int_equal(read(pipes[0], &model.head, sizeof(model.head)), sizeof(model.head));
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    return child;
}

static void a_standby_takes_over_a_killed_owner(void **state)
{
    (void)state;
    struct hf_error error;
    struct hf_log_head head;
    struct hf_log_recovery recovery;
    pid_t owner = start_owner(5, false);
    struct hf_log *log = open_log();
    assert_int_equal(log->driver->takeover(log, HF_STR("b"), false, &head, &recovery, &error),
                     HF_ERR_LOCKED);
    assert_int_equal(kill(owner, SIGSTOP), 0);
    (void)usleep(50000);
    assert_int_equal(log->driver->takeover(log, HF_STR("b"), false, &head, &recovery, &error),
                     HF_ERR_LOCKED); /* a paused owner is still the owner */
    pid_t killer = fork();
    if (killer == 0) {
        (void)usleep(100000);
        _exit(kill(owner, SIGKILL));
    }
    uint64_t before = o->monotonic_us(o);
    assert_int_equal(log->driver->takeover(log, HF_STR("b"), true, &head, &recovery, &error),
                     HF_ERR_OK);
    uint64_t waited_us = o->monotonic_us(o) - before;
    assert_true(waited_us > 50000 && waited_us < 1100000);
    assert_int_equal(head.seq, 5);
    assert_int_equal(head.epoch, model.head.epoch + 1);
    assert_true(hf_hash_equal(&head.hash, &model.head.hash));
    model.head.epoch = head.epoch;
    append(log, 5);
    check_content(log, 4096);
    log->driver->close(log);
    assert_int_equal(waitpid(owner, NULL, 0), owner);
    assert_int_equal(waitpid(killer, NULL, 0), killer);
}

static void kill_at_any_moment_loses_nothing(void **state)
{
    (void)state;
    struct hf_error error;
    for (int round = 0; round < 15; round++) {
        pid_t owner = start_owner(3, true);
        struct hf_log_head told = model.head;
        (void)usleep((useconds_t)(round * 1700));
        assert_int_equal(kill(owner, SIGKILL), 0);
        assert_int_equal(waitpid(owner, NULL, 0), owner);
        struct hf_log *log = open_log();
        struct hf_log_head head;
        struct hf_log_recovery recovery;
        assert_int_equal(log->driver->takeover(log, HF_STR("b"), false, &head, &recovery, &error),
                         HF_ERR_OK);
        assert_true(head.seq >= told.seq && head.position >= told.position);
        model.head = head;
        check_content(log, 20000);
        log->driver->close(log);
    }
}

/* --- the end of the log --- */

#define FIRST_SEGMENT "00000000000000000001.log"

/* A small log in one segment; returns where its last batch begins and where it ends. */
static void make_small(bool sealed, uint64_t *last_offset, uint64_t *end_offset)
{
    model.head = (struct hf_log_head){0};
    struct hf_log *log = open_log();
    (void)own(log);
    append(log, 3);
    *last_offset = hf_log_file_of(log)->active_offset;
    append(log, 1);
    *end_offset = hf_log_file_of(log)->active_offset;
    if (sealed) {
        assert_int_equal(log->driver->seal(log, NULL), HF_ERR_OK);
    }
    log->driver->close(log);
}

static void a_torn_last_batch_is_cut_and_reported(void **state)
{
    (void)state;
    uint64_t last = 0;
    uint64_t end = 0;
    make_small(false, &last, &end);
    struct hf_log_head head = {0};
    struct hf_log_recovery recovery = {0};
    struct hf_error error;
    assert_true(flip(FIRST_SEGMENT, last + 200));
    assert_int_equal(try_takeover(&head, &recovery, &error), HF_ERR_OK);
    assert_int_equal(head.seq, 3);
    assert_true(recovery.torn_tail);
    assert_int_equal(recovery.torn_segment, 1);
    assert_int_equal(recovery.torn_offset, last);
    assert_true(recovery.torn_bytes > 160 && recovery.torn_bytes <= end - last);
    assert_int_equal(try_takeover(&head, &recovery, &error), HF_ERR_OK);
    assert_false(recovery.torn_tail); /* it was cut */
    assert_int_equal(head.epoch, 3);
    assert_true(flip(FIRST_SEGMENT, end + 5000)); /* behind a hole of zeroes */
    assert_int_equal(try_takeover(&head, &recovery, &error), HF_ERR_OK);
    assert_true(recovery.torn_tail);
    assert_int_equal(head.seq, 3);
}

static void damage_is_no_torn_tail(void **state)
{
    (void)state;
    uint64_t last = 0;
    uint64_t end = 0;
    struct hf_log_head head;
    struct hf_log_recovery recovery;
    struct hf_error error;
    make_small(false, &last, &end);
    static const uint64_t places[] = {0, 4096, 4096 + 170, 8192 + 8};
    for (size_t i = 0; i < HF_ARRAY_COUNT(places); i++) { /* header; header, body of a batch */
        assert_true(flip(FIRST_SEGMENT, places[i]));
        assert_int_equal(try_takeover(&head, &recovery, &error), HF_ERR_CORRUPT);
        assert_non_null(strstr(error.text, "segment 1, offset "));
        struct hf_log *reader;
        const struct hf_log_file_options options = {.directory = directory};
        enum hf_err code = hf_log_file_open(o, &options, &reader, &error);
        if (code == HF_ERR_OK) {
            (void)log_model_check(reader, sizes, HF_ARRAY_COUNT(sizes), 1, &head, &code, &error);
            reader->driver->close(reader);
        }
        assert_int_equal(code, HF_ERR_CORRUPT);
        assert_true(flip(FIRST_SEGMENT, places[i]));
    }
    assert_true(flip(FIRST_SEGMENT, end - 1)); /* padding of the last batch: the batch is whole */
    assert_int_equal(try_takeover(&head, &recovery, &error), HF_ERR_OK);
    assert_false(recovery.torn_tail);
    assert_int_equal(head.seq, 4);
}

static void damage_behind_or_before_a_seal_is_corrupt(void **state)
{
    (void)state;
    uint64_t last = 0;
    uint64_t end = 0;
    struct hf_log_head head;
    struct hf_log_recovery recovery;
    struct hf_error error;
    make_small(true, &last, &end);
    const uint64_t places[] = {last + 5, last + 170, end, end + 4096 + 17};
    for (size_t i = 0; i < HF_ARRAY_COUNT(places); i++) {
        assert_true(flip(FIRST_SEGMENT, places[i]));
        assert_int_equal(try_takeover(&head, &recovery, &error), HF_ERR_CORRUPT);
        struct hf_log *reader = open_sized(false, 0, 0);
        enum hf_err code;
        (void)log_model_check(reader, sizes, HF_ARRAY_COUNT(sizes), 1, &head, &code, &error);
        reader->driver->close(reader);
        assert_int_equal(code, HF_ERR_CORRUPT);
        assert_true(flip(FIRST_SEGMENT, places[i]));
    }
    assert_int_equal(try_takeover(&head, &recovery, &error), HF_ERR_OK);
    assert_true(recovery.sealed);
    assert_true(flip(FIRST_SEGMENT, last + 5)); /* the seal is consumed: now it is a torn tail */
    assert_int_equal(try_takeover(&head, &recovery, &error), HF_ERR_OK);
    assert_true(recovery.torn_tail);
}

static void a_missing_segment_is_corrupt(void **state)
{
    (void)state;
    struct hf_log_head head;
    struct hf_log_recovery recovery;
    struct hf_error error;
    struct hf_log *log = open_sized(true, 16384, 16384);
    (void)own(log);
    append(log, 50);
    uint64_t newest = hf_log_file_of(log)->active_number;
    log->driver->close(log);
    const uint64_t numbers[] = {1, 3, newest};
    for (size_t i = 0; i < HF_ARRAY_COUNT(numbers); i++) {
        char from[200];
        char to[200];
        (void)snprintf(from, sizeof(from), "%s/log/%020llu.log", directory,
                       (unsigned long long)numbers[i]);
        (void)snprintf(to, sizeof(to), "%s/away", directory);
        assert_int_equal(rename(from, to), 0);
        assert_int_equal(try_takeover(&head, &recovery, &error), HF_ERR_CORRUPT);
        assert_int_equal(rename(to, from), 0);
    }
    assert_int_equal(try_takeover(&head, &recovery, &error), HF_ERR_OK);
    char state_path[200];
    (void)snprintf(state_path, sizeof(state_path), "%s/log/state", directory);
    assert_int_equal(remove(state_path), 0);
    log = open_log(); /* create is set, yet nothing may be made here */
    assert_int_equal(log->driver->takeover(log, HF_STR("t"), false, &head, &recovery, &error),
                     HF_ERR_CORRUPT);
    log->driver->close(log);
}

static void leftovers_of_a_crash_are_removed(void **state)
{
    (void)state;
    uint64_t last = 0;
    uint64_t end = 0;
    make_small(false, &last, &end);
    static const char *const names[] = {"00000000000000000002.log", "00000000000000000002.new",
                                        "00000000000000000009.new"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(names); i++) { /* half zeroed, or with a torn header */
        char path[200];
        (void)snprintf(path, sizeof(path), "%s/log/%s", directory, names[i]);
        struct hf_file *file;
        assert_int_equal(o->open(o, path, HF_OPEN_CREATE_NEW, &file, NULL), HF_ERR_OK);
        assert_int_equal(o->write(o, file, 0, "HOLDFAST torn", 13, NULL), HF_ERR_OK);
        assert_int_equal(o->truncate(o, file, 20000, NULL), HF_ERR_OK);
        o->close(o, file);
    }
    struct hf_log *log = open_log();
    (void)own(log);
    for (size_t i = 0; i < HF_ARRAY_COUNT(names); i++) {
        char path[200];
        struct hf_file *file;
        (void)snprintf(path, sizeof(path), "%s/log/%s", directory, names[i]);
        assert_int_equal(o->open(o, path, HF_OPEN_READ, &file, NULL), HF_ERR_NOT_FOUND);
    }
    append(log, 40);
    check_content(log, 4096);
    log->driver->close(log);
}

static void a_log_that_is_not_there_is_not_found(void **state)
{
    (void)state;
    struct hf_error error;
    struct hf_log *log;
    struct hf_log_file_options options = {.directory = directory};
    assert_int_equal(hf_log_file_open(o, &options, &log, &error), HF_ERR_NOT_FOUND);
    assert_null(log);
    options.directory = "/proc/no-such-place";
    options.create = true;
    assert_int_not_equal(hf_log_file_open(o, &options, &log, &error), HF_ERR_OK);
    assert_null(log);
}

/* --- threads --- */

struct reading {
    pthread_t thread;   /* its own */
    struct hf_log *log; /* the owner's */
    _Atomic bool *stop; /* set at the end */
    uint64_t reads;     /* done */
    const char *wrong;  /* what a check found */
    enum hf_err code;   /* of a failed read */
};

static void *read_all_the_time(void *context)
{
    struct reading *reading = context;
    while (!atomic_load(reading->stop) && reading->wrong == NULL && reading->code == HF_ERR_OK) {
        struct hf_log_head head;
        reading->wrong = log_model_check(reading->log, sizes, HF_ARRAY_COUNT(sizes), 30000, &head,
                                         &reading->code, NULL);
        uint64_t seq;
        if (head.position > 0 && reading->code == HF_ERR_OK) {
            reading->code =
                reading->log->driver->seek(reading->log, head.position / 2 + 1, &seq, NULL);
        }
        reading->reads++;
    }
    return NULL;
}

static void reads_run_beside_appends(void **state)
{
    (void)state;
    struct hf_log *log = open_sized(true, 32768, 512 << 10);
    (void)own(log);
    _Atomic bool stop;
    atomic_init(&stop, false);
    struct reading readings[2];
    for (int i = 0; i < 2; i++) {
        readings[i] = (struct reading){.log = log, .stop = &stop};
        assert_int_equal(pthread_create(&readings[i].thread, NULL, read_all_the_time, &readings[i]),
                         0);
    }
    append(log, 250);
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(readings[i].thread, NULL), 0);
        assert_null(readings[i].wrong);
        assert_int_equal(readings[i].code, HF_ERR_OK);
        assert_true(readings[i].reads > 0);
    }
    check_content(log, 100000);
    log->driver->close(log);
}

static void close_waits_for_the_append(void **state)
{
    (void)state;
    struct hf_log *log = open_log();
    (void)own(log);
    struct hf_log_batch batch;
    log_model_batch(&model, sizes[1], &batch);
    log->driver->append_start(log, &batch);
    log->driver->close(log);
    log_model_acknowledged(&model, &batch);
    log = open_log();
    (void)own(log);
    check_content(log, 4096);
    log->driver->close(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(batches_survive_the_encoding, setup, teardown),
        cmocka_unit_test_setup_teardown(frames_must_fill_the_body, setup, teardown),
        cmocka_unit_test_setup_teardown(appends_survive_reopening, setup, teardown),
        cmocka_unit_test_setup_teardown(every_segment_size_holds_every_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_batch_gets_a_large_segment, setup, teardown),
        cmocka_unit_test_setup_teardown(seek_finds_the_batch_of_a_position, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_sought_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(trim_forgets_whole_segments, setup, teardown),
        cmocka_unit_test_setup_teardown(two_opens_exclude_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(resolve_tells_what_is_there, setup, teardown),
        cmocka_unit_test_setup_teardown(a_standby_takes_over_a_killed_owner, setup, teardown),
        cmocka_unit_test_setup_teardown(kill_at_any_moment_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_torn_last_batch_is_cut_and_reported, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_no_torn_tail, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_behind_or_before_a_seal_is_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_segment_is_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(leftovers_of_a_crash_are_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_log_that_is_not_there_is_not_found, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_run_beside_appends, setup, teardown),
        cmocka_unit_test_setup_teardown(close_waits_for_the_append, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
