/*
 * The file driver under faults (M5): every I/O call of a scenario fails in turn, the machine stops
 * at every change, every byte of a small log is flipped and every prefix of its files cut.
 *
 * Runs in memory (/dev/shm) if it can: tens of thousands of logs are opened.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "fault/fault_outside.h"
#include "log/log_file.h"
#include "log/log_priv.h"
#include "unit/log_support.h"
#include "unit/support.h"

static struct hf_outside *real;    /* linux */
static struct hf_outside *failing; /* over it */
static char directory[64];

static int group_setup(void **state)
{
    (void)state;
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ".";
    (void)snprintf(directory, sizeof(directory), "%s/hf-log-fault-XXXXXX", base);
    real = hf_outside_linux_new();
    failing = real == NULL ? NULL : fault_outside_new(real);
    return failing == NULL || mkdtemp(directory) == NULL ? -1 : 0;
}

static void remove_each(void *context, struct hf_str name)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", (const char *)context, name.ptr);
    (void)real->remove(real, path, NULL);
}

static void wipe(void)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/log", directory);
    (void)real->list(real, path, remove_each, path, NULL);
    (void)rmdir(path);
    (void)real->list(real, directory, remove_each, directory, NULL);
}

static int group_teardown(void **state)
{
    (void)state;
    wipe();
    fault_outside_free(failing);
    hf_outside_linux_free(real);
    return rmdir(directory);
}

static const size_t sizes[] = {10, 3000, 4000, 9000, 100, 5000, 1};

/* What the scenario was told; the log must never fall behind it. */
struct told {
    struct log_model model; /* acknowledged batches; epoch of the last takeover */
    uint64_t first_seq_min; /* batches below may be trimmed */
    bool sealed;            /* the last thing that was said */
    bool seal_unclear;      /* a takeover that failed may have consumed the seal */
    bool perhaps;           /* one append ended without a clear answer */
    const char *wrong;      /* a broken promise; NULL = none */
    struct hf_error error;  /* of the last failure */
};

/* Checks the whole content against the model; a failed read is fine, a wrong one is not. */
static bool content_ok(struct hf_log *log, struct told *told)
{
    struct hf_log_head head;
    enum hf_err code;
    const char *wrong =
        log_model_check(log, sizes, HF_ARRAY_COUNT(sizes), 9000, &head, &code, &told->error);
    if (wrong == NULL && code == HF_ERR_OK && head.seq != told->model.head.seq) {
        wrong = "a read without an error ends elsewhere";
    }
    if (wrong != NULL) {
        told->wrong = wrong;
    }
    return code == HF_ERR_OK;
}

/* false: the run is over. */
static bool append_some(struct hf_log *log, struct told *told, int count)
{
    for (int i = 0; i < count; i++) {
        size_t bytes = sizes[(told->model.head.seq + 1) % HF_ARRAY_COUNT(sizes)];
        enum hf_append_outcome outcome =
            log_model_append(&told->model, log, failing, bytes, &told->error);
        for (int tries = 0; outcome == HF_APPEND_NO_SPACE && tries < 3; tries++) {
            if (told->error.code != HF_ERR_NO_SPACE) {
                told->wrong = "no space, but the error says something else";
            }
            outcome = log_model_append(&told->model, log, failing, bytes, &told->error);
        }
        if (outcome == HF_APPEND_FAILED) {
            told->perhaps = true;
            if (log_model_append(&told->model, log, failing, bytes, NULL) != HF_APPEND_FAILED) {
                told->wrong = "a failed append was not final";
            }
        }
        if (outcome != HF_APPEND_OK) {
            return false;
        }
    }
    return true;
}

/* Opens, takes over, appends, reads, perhaps trims and seals. false: something failed. */
static bool live(struct told *told, bool create, int count, bool trim, bool seal)
{
    struct hf_log *log;
    struct hf_log_head head;
    struct hf_log_recovery recovery;
    const struct hf_log_file_options options = {.directory = directory,
                                                .create = create,
                                                .segment_bytes_first = 8192,
                                                .segment_bytes_max = 32768};
    if (hf_log_file_open(failing, &options, &log, &told->error) != HF_ERR_OK) {
        return false;
    }
    told->seal_unclear = true;
    bool ok = log->driver->takeover(log, HF_STR("fault"), false, &head, &recovery, &told->error) ==
              HF_ERR_OK;
    if (ok) {
        if (head.seq != told->model.head.seq || head.epoch <= told->model.head.epoch ||
            recovery.torn_tail || recovery.sealed != told->sealed) {
            told->wrong = "takeover found another log";
        }
        told->model.head.epoch = head.epoch;
        told->sealed = false;
        told->seal_unclear = false;
        ok = append_some(log, told, count) && content_ok(log, told);
    }
    uint64_t seq;
    if (ok && log->driver->seek(log, told->model.head.position, &seq, &told->error) == HF_ERR_OK &&
        seq != told->model.head.seq) {
        told->wrong = "seek found another batch";
    }
    if (ok && trim) {
        told->first_seq_min = 6;
        ok = log->driver->trim(log, 6, &told->error) == HF_ERR_OK;
    }
    if (ok && seal) {
        ok = log->driver->seal(log, &told->error) == HF_ERR_OK;
        told->sealed = ok;
    }
    log->driver->close(log);
    return ok;
}

/* Three lives of a log. */
static void scenario(struct told *told)
{
    (void)(live(told, true, 12, true, true) && live(told, false, 3, false, false) &&
           live(told, false, 2, false, true));
}

/* Without faults everything that was acknowledged is there, in order, and the log goes on. */
static void check_afterwards(struct told *told)
{
    struct hf_log *log;
    struct hf_log_head head;
    struct hf_log_recovery recovery;
    const struct hf_log_file_options options = {.directory = directory,
                                                .create = true,
                                                .segment_bytes_first = 8192,
                                                .segment_bytes_max = 32768};
    if (hf_log_file_open(real, &options, &log, &told->error) != HF_ERR_OK) {
        told->wrong = "does not open afterwards";
        return;
    }
    if (log->driver->takeover(log, HF_STR("after"), false, &head, &recovery, &told->error) !=
        HF_ERR_OK) {
        told->wrong = "no takeover afterwards";
        log->driver->close(log);
        return;
    }
    uint64_t acknowledged = told->model.head.seq;
    if (head.seq < acknowledged || head.seq > acknowledged + (told->perhaps ? 1 : 0)) {
        told->wrong = "acknowledged batches are missing, or others are there";
    } else if (head.epoch <= told->model.head.epoch) {
        told->wrong = "the epoch did not rise";
    } else if (told->sealed && (recovery.torn_tail || !(recovery.sealed || told->seal_unclear))) {
        told->wrong = "the seal is missing";
    } else if (log->driver->first_seq(log) > 1 &&
               log->driver->first_seq(log) > told->first_seq_min) {
        told->wrong = "too much was trimmed";
    } else {
        if (head.seq > acknowledged) { /* the unclear one is in */
            struct hf_log_batch batch;
            log_model_batch(&told->model, sizes[head.seq % HF_ARRAY_COUNT(sizes)], &batch);
            log_model_acknowledged(&told->model, &batch);
        }
        told->model.head.epoch = head.epoch;
        if (!hf_hash_equal(&head.hash, &told->model.head.hash) || !content_ok(log, told)) {
            told->wrong = told->wrong == NULL ? "the content can't be read" : told->wrong;
        }
    }
    log->driver->close(log);
    if (told->wrong == NULL) {
        told->sealed = false;
        if (!live(told, false, 6, false, true) || !live(told, false, 0, false, false)) {
            told->wrong = told->wrong == NULL ? "the log does not go on" : told->wrong;
        }
    }
}

/* Runs the scenario with the n-th call failing; false: there was no n-th call. */
static bool run_one(enum fault_kind kind, uint64_t n, bool on)
{
    struct told told = {0};
    hf_buffer_init(&told.model.body);
    wipe();
    fault_outside_arm(failing, kind, n, on);
    scenario(&told);
    bool hit = fault_outside_hit(failing);
    fault_outside_disarm(failing);
    if (!hit && told.model.head.seq != 17) {
        told.wrong = "the scenario did not end though nothing failed";
    }
    if (told.wrong == NULL) {
        check_afterwards(&told);
    }
    hf_buffer_release(&told.model.body);
    if (told.wrong != NULL) {
        fail_msg("%s %llu%s: %s (%s)", fault_kind_name(kind), (unsigned long long)n,
                 on ? " and on" : "", told.wrong, told.error.text);
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
        assert_true(points > 0 || kind == FAULT_TRUNCATE); /* the driver truncates nothing */
    }
}

/* The machine stops in a takeover that follows a stop, at every point of both. */
static void crashes_during_recovery_too(void **state)
{
    (void)state;
    uint64_t runs = 0;
    bool first_hit = true;
    for (uint64_t first = 1; first_hit; first += 3) {
        bool second_hit = true;
        for (uint64_t second = 1; second_hit; second++) {
            struct told told = {0};
            hf_buffer_init(&told.model.body);
            wipe();
            fault_outside_arm(failing, FAULT_CRASH, first, true);
            scenario(&told);
            first_hit = fault_outside_hit(failing);
            fault_outside_disarm(failing);
            struct hf_log *log;
            struct hf_log_head head;
            struct hf_log_recovery recovery;
            const struct hf_log_file_options options = {.directory = directory,
                                                        .create = true,
                                                        .segment_bytes_first = 8192,
                                                        .segment_bytes_max = 32768};
            fault_outside_arm(failing, FAULT_CRASH, second, true);
            if (hf_log_file_open(failing, &options, &log, &told.error) == HF_ERR_OK) {
                told.seal_unclear = true;
                if (log->driver->takeover(log, HF_STR("b"), false, &head, &recovery, &told.error) ==
                    HF_ERR_OK) {
                    told.model.head.epoch = head.epoch;
                    told.sealed = false;
                }
                log->driver->close(log);
            }
            second_hit = fault_outside_hit(failing) && first_hit;
            fault_outside_disarm(failing);
            check_afterwards(&told);
            hf_buffer_release(&told.model.body);
            if (told.wrong != NULL) {
                fail_msg("crash at %llu, then at %llu: %s (%s)", (unsigned long long)first,
                         (unsigned long long)second, told.wrong, told.error.text);
            }
            runs++;
        }
    }
    print_message("%llu pairs of crashes\n", (unsigned long long)runs);
    assert_true(runs > 100);
}

/* --- damage --- */

#define IMAGE_FILES_MAX 4
#define IMAGE_BYTES_MAX 16384

/* A small log as bytes. */
struct image {
    struct {
        char path[160];                 /* of the file */
        size_t size_bytes;              /* of the file */
        uint8_t bytes[IMAGE_BYTES_MAX]; /* its content */
    } files[IMAGE_FILES_MAX];
    size_t file_count;      /* used */
    struct log_model model; /* what is in it */
    bool sealed;            /* it ends with a seal */
};

static void load_file(struct image *image, const char *name)
{
    struct hf_file *file;
    HF_CHECK(image->file_count < IMAGE_FILES_MAX);
    char *path = image->files[image->file_count].path;
    (void)snprintf(path, sizeof(image->files[0].path), "%s/log/%s", directory, name);
    assert_int_equal(real->open(real, path, HF_OPEN_READ, &file, NULL), HF_ERR_OK);
    assert_int_equal(real->read(real, file, 0, image->files[image->file_count].bytes,
                                IMAGE_BYTES_MAX, &image->files[image->file_count].size_bytes, NULL),
                     HF_ERR_OK);
    real->close(real, file);
    image->file_count++;
}

/* Five batches in two segments. */
static void make_image(struct image *image, bool sealed)
{
    struct told told = {0};
    memset(image, 0, sizeof(*image));
    hf_buffer_init(&told.model.body);
    wipe();
    struct hf_log *log;
    struct hf_log_head head;
    struct hf_log_recovery recovery;
    const struct hf_log_file_options options = {.directory = directory,
                                                .create = true,
                                                .segment_bytes_first = 12288,
                                                .segment_bytes_max = 16384};
    assert_int_equal(hf_log_file_open(real, &options, &log, NULL), HF_ERR_OK);
    assert_int_equal(log->driver->takeover(log, HF_STR("i"), false, &head, &recovery, NULL), 0);
    told.model.head.epoch = head.epoch;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(log_model_append(&told.model, log, real, 600, NULL), HF_APPEND_OK);
    }
    assert_int_equal(hf_log_file_of(log)->active_number, 2);
    if (sealed) {
        assert_int_equal(log->driver->seal(log, NULL), HF_ERR_OK);
    }
    log->driver->close(log);
    load_file(image, "state");
    load_file(image, "00000000000000000001.log");
    load_file(image, "00000000000000000002.log");
    image->sealed = sealed;
    image->model = told.model;
    hf_buffer_release(&image->model.body);
}

static void store_file(const char *path, const uint8_t *bytes, size_t size_bytes)
{
    struct hf_file *file;
    (void)real->remove(real, path, NULL);
    assert_int_equal(real->open(real, path, HF_OPEN_CREATE_NEW, &file, NULL), HF_ERR_OK);
    assert_int_equal(real->write(real, file, 0, bytes, size_bytes, NULL), HF_ERR_OK);
    real->close(real, file);
}

static void store_image(const struct image *image)
{
    for (size_t i = 0; i < image->file_count; i++) {
        store_file(image->files[i].path, image->files[i].bytes, image->files[i].size_bytes);
    }
}

struct verdicts {
    uint64_t corrupt; /* refused */
    uint64_t torn;    /* the last batch was cut, and it was reported */
    uint64_t same;    /* nothing was lost */
};

static const size_t image_sizes[] = {600};

/* A takeover, or a reader's view, of the damaged log. NULL, or what is wrong. */
static const char *judge(const struct image *image, bool owner, struct verdicts *verdicts,
                         struct hf_error *error)
{
    struct hf_log *log;
    struct hf_log_head head = {0};
    struct hf_log_recovery recovery = {0};
    const struct hf_log_file_options options = {.directory = directory};
    enum hf_err code = hf_log_file_open(real, &options, &log, error);
    const char *wrong = NULL;
    if (code == HF_ERR_OK) {
        if (owner) {
            code = log->driver->takeover(log, HF_STR("j"), false, &head, &recovery, error);
        }
        struct hf_log_head found = {0};
        if (code == HF_ERR_OK) {
            wrong = log_model_check(log, image_sizes, 1, 100000, &found, &code, error);
        }
        if (code == HF_ERR_OK && wrong == NULL && owner && found.seq != head.seq) {
            wrong = "takeover's head is not what can be read";
        }
        head = found;
        log->driver->close(log);
    }
    if (wrong != NULL) {
        return wrong;
    }
    if (code != HF_ERR_OK) {
        verdicts->corrupt++;
        return code == HF_ERR_CORRUPT ? NULL : "an error that does not say corrupt";
    }
    uint64_t whole = image->model.head.seq;
    if (head.seq == whole) {
        verdicts->same++;
        verdicts->torn += recovery.torn_tail;
        return recovery.torn_tail && image->sealed ? "a torn tail behind a seal" : NULL;
    }
    verdicts->torn++;
    if (image->sealed) {
        return "a sealed log lost a batch";
    }
    if (head.seq + 1 != whole) {
        return "more than the last batch was lost";
    }
    return owner && !recovery.torn_tail ? "a batch was lost without a word" : NULL;
}

static void judge_both(const struct image *image, struct verdicts *verdicts, const char *what,
                       size_t file, size_t offset)
{
    for (int owner = 0; owner < 2; owner++) { /* the reader first: it changes nothing */
        struct hf_error error = {HF_ERR_OK, ""};
        const char *wrong = judge(image, owner == 1, verdicts, &error);
        if (wrong != NULL) {
            fail_msg("%s %s at %zu, %s, %s: %s (%s)", what, image->files[file].path, offset,
                     image->sealed ? "sealed" : "not sealed", owner == 1 ? "takeover" : "reader",
                     wrong, error.text);
        }
    }
}

static void every_flipped_byte_is_noticed(void **state)
{
    (void)state;
    for (int sealed = 0; sealed < 2; sealed++) {
        struct verdicts verdicts = {0};
        static struct image image;
        make_image(&image, sealed == 1);
        for (size_t file = 0; file < image.file_count; file++) {
            for (size_t offset = 0; offset < image.files[file].size_bytes; offset++) {
                uint8_t *byte = &image.files[file].bytes[offset];
                *byte ^= (uint8_t)(1u << (offset * 5 % 8));
                store_image(&image);
                judge_both(&image, &verdicts, "flip", file, offset);
                *byte ^= (uint8_t)(1u << (offset * 5 % 8));
            }
        }
        print_message("%s: corrupt %llu, torn %llu, whole %llu\n",
                      sealed == 1 ? "sealed" : "not sealed", (unsigned long long)verdicts.corrupt,
                      (unsigned long long)verdicts.torn, (unsigned long long)verdicts.same);
        assert_true(verdicts.corrupt > 0 && verdicts.same > 0);
        assert_true((verdicts.torn > 0) == (sealed == 0));
    }
}

static void every_cut_prefix_is_noticed(void **state)
{
    (void)state;
    for (int sealed = 0; sealed < 2; sealed++) {
        struct verdicts verdicts = {0};
        static struct image image;
        make_image(&image, sealed == 1);
        for (size_t file = 0; file < image.file_count; file++) {
            size_t whole = image.files[file].size_bytes;
            for (size_t size = 0; size < whole; size += size < 300 || whole - size < 300 ? 1 : 13) {
                image.files[file].size_bytes = size;
                store_image(&image);
                judge_both(&image, &verdicts, "cut", file, size);
            }
            image.files[file].size_bytes = whole;
        }
        assert_true(verdicts.corrupt > 0 && verdicts.torn == 0);
    }
}

/* A batch that reached the disk in part: each page of it there or not, the first ones or the last. */
static void every_torn_write_is_cut(void **state)
{
    (void)state;
    static struct image image;
    make_image(&image, false);
    struct verdicts verdicts = {0};
    static uint8_t last[IMAGE_BYTES_MAX];
    memcpy(last, image.files[2].bytes, sizeof(last));
    size_t end = image.files[2].size_bytes; /* of the last batch that is there */
    while (end > 0 && last[end - 1] == 0) {
        end--;
    }
    size_t start = (end - 1) / HF_LOG_PAGE_BYTES * HF_LOG_PAGE_BYTES;
    for (size_t keep = 0; keep <= end - start; keep += 16) { /* a prefix, then a suffix of it */
        for (int suffix = 0; suffix < 2; suffix++) {
            memcpy(image.files[2].bytes, last, sizeof(last));
            if (suffix == 1) {
                memset(image.files[2].bytes + start, 0, keep);
            } else {
                memset(image.files[2].bytes + start + keep, 0, end - start - keep);
            }
            bool gone = memcmp(image.files[2].bytes + start, last + start, end - start) != 0;
            bool zero = (suffix == 0 && keep == 0) || (suffix == 1 && keep == end - start);
            store_image(&image);
            struct hf_log *log;
            struct hf_log_head head;
            struct hf_log_recovery recovery;
            const struct hf_log_file_options options = {.directory = directory};
            assert_int_equal(hf_log_file_open(real, &options, &log, NULL), HF_ERR_OK);
            assert_int_equal(log->driver->takeover(log, HF_STR("t"), false, &head, &recovery, NULL),
                             HF_ERR_OK);
            log->driver->close(log);
            assert_int_equal(head.seq, image.model.head.seq - (gone ? 1 : 0));
            assert_true(recovery.torn_tail == (gone && !zero));
            verdicts.torn += recovery.torn_tail;
        }
    }
    assert_true(verdicts.torn > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_io_fails_in_turn),
        cmocka_unit_test(crashes_during_recovery_too),
        cmocka_unit_test(every_torn_write_is_cut),
        cmocka_unit_test(every_cut_prefix_is_noticed),
        cmocka_unit_test(every_flipped_byte_is_noticed),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
