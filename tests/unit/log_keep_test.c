/* Unit tests of compressed and archived segments: the format byte by byte, the moves, what readers see of them. */
#include "log/log_keep.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "log/log_file.h"
#include "log/log_pack.h"

#include "unit/log_support.h"
#include "unit/support.h"

static struct hf_outside *o;
static char root[64];      /* holds the two below */
static char directory[96]; /* the data directory */
static char archive[96];   /* another one */
static char moved[96];     /* where the archive goes */
static struct log_model model;

static const size_t sizes[] = {10, 3000, 4000, 9000, 100, 30000, 5000, 1};

static void remove_each(void *context, struct hf_str name)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", (const char *)context, name.ptr);
    if (rmdir(path) != 0) {
        (void)o->remove(o, path, NULL);
    }
}

static void wipe(char *path)
{
    (void)o->list(o, path, remove_each, path, NULL);
    (void)rmdir(path);
}

static int setup(void **state)
{
    (void)state;
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ".";
    (void)snprintf(root, sizeof(root), "%s/hf-log-keep-XXXXXX", base);
    o = hf_outside_linux_new();
    model = (struct log_model){0};
    hf_buffer_init(&model.body);
    if (o == NULL || mkdtemp(root) == NULL) {
        return -1;
    }
    (void)snprintf(directory, sizeof(directory), "%s/data", root);
    (void)snprintf(archive, sizeof(archive), "%s/archive", root);
    (void)snprintf(moved, sizeof(moved), "%s/moved", root);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/log", directory);
    wipe(path);
    wipe(directory);
    wipe(archive);
    wipe(moved);
    hf_buffer_release(&model.body);
    hf_outside_linux_free(o);
    return rmdir(root);
}

static struct hf_log *open_log(bool create, uint64_t first_bytes, uint64_t max_bytes)
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

static void own(struct hf_log *log)
{
    struct hf_error error;
    struct hf_log_head head;
    struct hf_log_recovery recovery;
    if (log->driver->takeover(log, HF_STR("test"), false, &head, &recovery, &error) != HF_ERR_OK) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(head.seq, model.head.seq);
    model.head.epoch = head.epoch;
}

static void append(struct hf_log *log, int count)
{
    for (int i = 0; i < count; i++) {
        struct hf_error error;
        size_t bytes = sizes[(model.head.seq + 1) % HF_ARRAY_COUNT(sizes)];
        if (log_model_append(&model, log, o, bytes, &error) != HF_APPEND_OK) {
            fail_msg("%s", error.text);
        }
    }
}

/* A log of `count` batches, closed cleanly. */
static void make_log(uint64_t first_bytes, uint64_t max_bytes, int count)
{
    struct hf_log *log = open_log(true, first_bytes, max_bytes);
    own(log);
    append(log, count);
    assert_int_equal(log->driver->seal(log, NULL), HF_ERR_OK);
    log->driver->close(log);
}

static void check_content(struct hf_log *log, size_t bytes_max)
{
    struct hf_error error;
    struct hf_log_head head;
    enum hf_err code;
    const char *wrong =
        log_model_check(log, sizes, HF_ARRAY_COUNT(sizes), bytes_max, &head, &code, &error);
    if (wrong != NULL || code != HF_ERR_OK) {
        fail_msg("%s", wrong != NULL ? wrong : error.text);
    }
    assert_int_equal(head.seq, model.head.seq);
    assert_true(hf_hash_equal(&head.hash, &model.head.hash));
}

/* Each batch by its seq and each position, as a reader and as the owner, in an order that jumps. */
static void check_any_place(struct hf_log *log)
{
    struct hf_buffer read;
    hf_buffer_init(&read);
    for (uint64_t i = 0; i < model.head.seq; i++) {
        uint64_t seq = i * 7919 % model.head.seq + 1;
        uint32_t batches;
        struct hf_error error;
        hf_buffer_clear(&read);
        if (log->driver->read(log, seq, 1, &read, &batches, &error) != HF_ERR_OK) {
            fail_msg("%s", error.text);
        }
        struct hf_log_batch batch;
        size_t at = 0;
        assert_int_equal(batches, 1);
        assert_int_equal(hf_log_batch_decode(read.data, read.size_bytes, &at, &batch, NULL),
                         HF_ERR_OK);
        assert_int_equal(batch.seq, seq);
        uint64_t found;
        uint64_t position = batch.first_position + batch.commit_count - 1;
        assert_int_equal(log->driver->seek(log, position, &found, &error), HF_ERR_OK);
        assert_int_equal(found, seq);
    }
    hf_buffer_release(&read);
}

static void check_all(void)
{
    struct hf_log *log = open_log(false, 8192, 8192);
    check_content(log, 9000);
    check_content(log, 1u << 20);
    check_any_place(log);
    own(log);
    check_content(log, 9000);
    check_any_place(log);
    assert_int_equal(log->driver->seal(log, NULL), HF_ERR_OK);
    log->driver->close(log);
}

static enum hf_err keep(const struct hf_log_keep_policy *policy, struct hf_log_kept *kept,
                        struct hf_error *error)
{
    struct hf_log *log = open_log(false, 8192, 8192);
    enum hf_err code = hf_log_keep(log, policy, NULL, kept, error);
    log->driver->close(log);
    return code;
}

static struct hf_log_kept keep_ok(uint64_t compress_after, const char *to, uint64_t archive_after)
{
    struct hf_log_kept kept;
    struct hf_error error;
    const struct hf_log_keep_policy policy = {.position = model.head.position,
                                              .compress_after = compress_after,
                                              .archive = to,
                                              .archive_after = archive_after,
                                              .archive_moved = true};
    if (keep(&policy, &kept, &error) != HF_ERR_OK) {
        fail_msg("%s", error.text);
    }
    return kept;
}

static struct hf_log_bytes weigh(void)
{
    struct hf_log_bytes bytes;
    assert_int_equal(hf_log_bytes(o, directory, &bytes, NULL), HF_ERR_OK);
    return bytes;
}

static void path_of(const char *where, uint64_t number, const char *suffix, char path[256])
{
    (void)snprintf(path, 256, "%s/%s%020llu%s", where, where == directory ? "log/" : "",
                   (unsigned long long)number, suffix);
}

/* A file as bytes; to be freed. */
static uint8_t *load(const char *path, size_t *size_bytes)
{
    struct hf_file *file;
    uint64_t size;
    assert_int_equal(o->open(o, path, HF_OPEN_READ, &file, NULL), HF_ERR_OK);
    assert_int_equal(o->size(o, file, &size, NULL), HF_ERR_OK);
    uint8_t *bytes = malloc((size_t)size);
    assert_non_null(bytes);
    assert_int_equal(o->read(o, file, 0, bytes, (size_t)size, size_bytes, NULL), HF_ERR_OK);
    assert_int_equal(*size_bytes, size);
    o->close(o, file);
    return bytes;
}

static void store(const char *path, const uint8_t *bytes, size_t size_bytes)
{
    struct hf_file *file;
    (void)o->remove(o, path, NULL);
    assert_int_equal(o->open(o, path, HF_OPEN_CREATE_NEW, &file, NULL), HF_ERR_OK);
    if (size_bytes > 0) {
        assert_int_equal(o->write(o, file, 0, bytes, size_bytes, NULL), HF_ERR_OK);
    }
    o->close(o, file);
}

struct findings {
    unsigned count;
    struct hf_error first;
};

static void take_finding(void *context, const struct hf_error *finding)
{
    struct findings *findings = context;
    if (findings->count++ == 0) {
        findings->first = *finding;
    }
}

static struct findings check_packs(void)
{
    struct findings findings = {0};
    struct hf_log *log = open_log(false, 8192, 8192);
    assert_int_equal(hf_log_check_packs(log, NULL, take_finding, &findings, NULL), HF_ERR_OK);
    log->driver->close(log);
    return findings;
}

static void the_same_is_read(void **state)
{
    (void)state;
    make_log(256 << 10, 1 << 20, 900); /* batches that end in another block, blocks with many */
    struct hf_log_bytes before = weigh();
    assert_true(before.plain_segments > 5);
    struct hf_log_kept kept = keep_ok(2, NULL, HF_LOG_KEEP_NEVER);
    struct hf_log_bytes bytes = weigh();
    assert_true(kept.compressed > 2 && kept.archived == 0);
    assert_int_equal(before.plain_segments - bytes.plain_segments, kept.compressed);
    assert_int_equal(bytes.compressed_segments, kept.compressed);
    assert_int_equal(bytes.compressed_bytes, kept.to_bytes);
    assert_int_equal(before.plain_bytes - bytes.plain_bytes, kept.from_bytes);
    check_all();
    assert_true(keep_ok(0, NULL, HF_LOG_KEEP_NEVER).compressed == 2);
    check_all();
    assert_int_equal(keep_ok(0, archive, 3).archived, kept.compressed + 2 - 3);
    assert_int_equal(weigh().archived_segments, kept.compressed + 2 - 3);
    check_all();
    assert_int_equal(keep_ok(0, archive, 0).archived, 3);
    bytes = weigh();
    assert_int_equal(bytes.compressed_segments, 0);
    assert_int_equal(bytes.plain_segments, 1);
    check_all();
    assert_int_equal(check_packs().count, 0);
    kept = keep_ok(0, archive, 0); /* nothing is left to do */
    assert_int_equal(kept.compressed + kept.archived + kept.followed, 0);
}

static void nothing_behind_the_checkpoint_moves(void **state)
{
    (void)state;
    make_log(64 << 10, 64 << 10, 100);
    struct hf_log_kept kept;
    struct hf_log *log = open_log(false, 8192, 8192);
    uint64_t third = hf_log_file_of(log)->map.segments[2].header.first_position;
    log->driver->close(log);
    struct hf_log_keep_policy policy = {.archive_after = HF_LOG_KEEP_NEVER};
    assert_int_equal(keep(&policy, &kept, NULL), HF_ERR_OK);
    assert_int_equal(kept.compressed, 0);
    policy.position = third - 2;
    assert_int_equal(keep(&policy, &kept, NULL), HF_ERR_OK);
    assert_int_equal(kept.compressed, 1);
    policy.position = third - 1;
    assert_int_equal(keep(&policy, &kept, NULL), HF_ERR_OK);
    assert_int_equal(kept.compressed, 1);
    check_all();
}

static void a_log_goes_on_and_is_trimmed(void **state)
{
    (void)state;
    make_log(64 << 10, 64 << 10, 60);
    (void)keep_ok(0, archive, 2);
    struct hf_log *log = open_log(false, 64 << 10, 64 << 10);
    own(log);
    append(log, 60);
    check_content(log, 9000);
    uint64_t seq;
    assert_int_equal(log->driver->seek(log, 1, &seq, NULL), HF_ERR_OK);
    uint64_t before = weigh().archived_segments;
    assert_true(before > 1);
    assert_int_equal(log->driver->trim(log, model.head.seq, NULL), HF_ERR_OK);
    assert_int_equal(weigh().archived_segments, 0);
    assert_int_equal(weigh().compressed_segments, 0);
    char path[256];
    size_t size_bytes;
    path_of(archive, 1, ".zst", path); /* what an archive has it keeps */
    free(load(path, &size_bytes));
    log->driver->close(log);
}

/* Every byte of the file matters, and so does each of its lengths. */
static void every_flip_and_cut_is_found(const char *path)
{
    size_t size_bytes;
    uint8_t *bytes = load(path, &size_bytes);
    assert_int_equal(check_packs().count, 0);
    for (size_t i = 0; i < size_bytes; i++) {
        uint8_t was = bytes[i];
        bytes[i] ^= (uint8_t)(1u << (i % 8));
        store(path, bytes, size_bytes);
        struct findings findings = check_packs();
        if (findings.count != 1) {
            fail_msg("byte %zu: %u findings", i, findings.count);
        }
        assert_true(findings.first.code == HF_ERR_CORRUPT || findings.first.code == HF_ERR_VERSION);
        assert_non_null(strstr(findings.first.text, path));
        assert_non_null(strstr(findings.first.text, "offset "));
        bytes[i] = was;
    }
    for (size_t length = 0; length < size_bytes; length += length < 16 ? 1u : 37u) {
        store(path, bytes, length);
        assert_int_equal(check_packs().count, 1);
    }
    uint8_t *longer = malloc(size_bytes + 1);
    assert_non_null(longer);
    memcpy(longer, bytes, size_bytes);
    longer[size_bytes] = 0;
    store(path, longer, size_bytes + 1);
    assert_int_equal(check_packs().count, 1);
    store(path, bytes, size_bytes);
    assert_int_equal(check_packs().count, 0);
    free(longer);
    free(bytes);
}

/* An archived file: the log opens by its reference, and the check looks at the file. */
static void damage_is_found(void **state)
{
    (void)state;
    char path[256];
    make_log(16 << 10, 16 << 10, 6);
    (void)keep_ok(0, archive, 0);
    path_of(archive, 1, ".zst", path);
    every_flip_and_cut_is_found(path);
}

/* In the data directory a damaged header stops the opening, as with a plain segment; the rest is found by the check. */
static void damage_in_the_directory_is_found(void **state)
{
    (void)state;
    char path[256];
    size_t size_bytes;
    make_log(16 << 10, 16 << 10, 6);
    (void)keep_ok(0, NULL, 0);
    path_of(directory, 1, ".zst", path);
    uint8_t *bytes = load(path, &size_bytes);
    for (size_t i = 0; i < size_bytes; i += i < HF_LOG_PACK_HEAD_BYTES ? 62u : 1u) {
        bytes[i] ^= 4;
        store(path, bytes, size_bytes);
        const struct hf_log_file_options options = {.directory = directory};
        struct hf_log *log;
        struct hf_error error = {0};
        enum hf_err code = hf_log_file_open(o, &options, &log, &error);
        if (i < HF_LOG_PACK_HEAD_BYTES) {
            assert_true(code == HF_ERR_CORRUPT || code == HF_ERR_VERSION);
            assert_non_null(strstr(error.text, path));
        } else {
            struct findings findings = {0};
            assert_int_equal(code, HF_ERR_OK);
            assert_int_equal(hf_log_check_packs(log, NULL, take_finding, &findings, NULL),
                             HF_ERR_OK);
            assert_int_equal(findings.count, 1);
        }
        if (code == HF_ERR_OK) {
            log->driver->close(log);
        }
        bytes[i] ^= 4;
    }
    store(path, bytes, size_bytes);
    check_all();
    free(bytes);
}

/* A reference is as sound as what it stands for. */
static void damaged_references_are_found(void **state)
{
    (void)state;
    char path[256];
    size_t size_bytes;
    make_log(16 << 10, 16 << 10, 6);
    (void)keep_ok(0, archive, 0);
    path_of(directory, 1, ".ref", path);
    uint8_t *bytes = load(path, &size_bytes);
    assert_int_equal(size_bytes, HF_LOG_PACK_HEAD_BYTES + HF_LOG_PAGE_BYTES);
    for (size_t i = 0; i < size_bytes; i++) {
        struct hf_log_ref ref;
        struct hf_error error;
        bytes[i] ^= (uint8_t)(1u << (i % 8));
        store(path, bytes, size_bytes);
        enum hf_err code = hf_log_ref_load(o, path, HF_OPEN_READ, &ref, &error);
        assert_true(code == HF_ERR_CORRUPT || code == HF_ERR_VERSION);
        bytes[i] ^= (uint8_t)(1u << (i % 8));
    }
    store(path, bytes, size_bytes);
    check_all();
    free(bytes);
}

/* The head of the log is served without its archive; what lies in it is missed by name. */
static void a_missing_archive_is_named(void **state)
{
    (void)state;
    char path[256];
    make_log(64 << 10, 64 << 10, 60);
    (void)keep_ok(0, archive, 1);
    assert_int_equal(o->rename(o, archive, moved, NULL), HF_ERR_OK);
    struct hf_log *log = open_log(false, 64 << 10, 64 << 10);
    own(log);
    append(log, 3);
    struct hf_error error;
    struct hf_buffer read;
    uint32_t batches;
    uint64_t seq;
    hf_buffer_init(&read);
    assert_int_equal(log->driver->read(log, model.head.seq, 1, &read, &batches, &error), HF_ERR_OK);
    assert_int_equal(log->driver->read(log, 1, 1, &read, &batches, &error), HF_ERR_IO);
    path_of(archive, 1, ".zst", path);
    assert_non_null(strstr(error.text, path));
    assert_non_null(strstr(error.text, "--archive"));
    assert_int_equal(log->driver->seek(log, 1, &seq, &error), HF_ERR_IO);
    hf_buffer_release(&read);
    assert_int_equal(log->driver->seal(log, NULL), HF_ERR_OK);
    log->driver->close(log);
    assert_true(check_packs().count > 1);
    uint64_t archived = weigh().archived_segments;
    assert_int_equal(keep_ok(0, moved, 1).followed, archived); /* it is told where it is now */
    assert_int_equal(check_packs().count, 0);
    check_all();
}

/* A crash left the segment twice: the original is read, the next run ends the work or begins it anew. */
static void both_forms_are_resolved(void **state)
{
    (void)state;
    char plain[256];
    char packed[256];
    size_t plain_bytes;
    size_t packed_bytes;
    make_log(64 << 10, 64 << 10, 60);
    path_of(directory, 1, ".log", plain);
    path_of(directory, 1, ".zst", packed);
    uint8_t *original = load(plain, &plain_bytes);
    (void)keep_ok(0, NULL, 0);
    uint8_t *compressed = load(packed, &packed_bytes);
    for (int damaged = 0; damaged < 2; damaged++) {
        compressed[packed_bytes / 2] ^= (uint8_t)damaged;
        store(plain, original, plain_bytes);
        store(packed, compressed, packed_bytes);
        check_all();
        assert_int_equal(keep_ok(0, NULL, 0).compressed, 1);
        assert_int_not_equal(access(plain, F_OK), 0);
        check_all();
    }
    /* Between archive and reference, and between reference and removal. */
    compressed[packed_bytes / 2] ^= 1;
    (void)keep_ok(0, archive, 0);
    store(packed, compressed, packed_bytes);
    check_all();
    assert_int_equal(keep_ok(0, archive, 0).archived, 1);
    assert_int_not_equal(access(packed, F_OK), 0);
    check_all();
    path_of(directory, 1, ".ref", plain);
    store(packed, compressed, packed_bytes);
    assert_int_equal(o->remove(o, plain, NULL), HF_ERR_OK);
    assert_int_equal(keep_ok(0, archive, 0).archived, 1);
    check_all();
    free(original);
    free(compressed);
}

/* Two ledgers must not overwrite each other's segments. */
static void an_archive_of_another_log_is_refused(void **state)
{
    (void)state;
    char path[256];
    size_t size_bytes;
    struct hf_log_kept kept;
    struct hf_error error;
    make_log(64 << 10, 64 << 10, 60);
    (void)keep_ok(0, archive, 0);
    path_of(archive, 1, ".zst", path);
    uint8_t *bytes = load(path, &size_bytes);
    char data[128];
    (void)snprintf(data, sizeof(data), "%s/log", directory);
    wipe(data);
    wipe(directory);
    model.head = (struct hf_log_head){0};
    make_log(64 << 10, 64 << 10, 60);
    const struct hf_log_keep_policy policy = {.position = model.head.position, .archive = archive};
    assert_int_equal(keep(&policy, &kept, &error), HF_ERR_EXISTS);
    assert_non_null(strstr(error.text, path));
    assert_int_equal(kept.archived, 0);
    size_t again_bytes;
    uint8_t *again = load(path, &again_bytes);
    assert_int_equal(again_bytes, size_bytes);
    assert_memory_equal(again, bytes, size_bytes);
    check_all();
    free(again);
    free(bytes);
}

static void one_segment_at_a_time(void **state)
{
    (void)state;
    make_log(64 << 10, 64 << 10, 100);
    struct hf_log_kept kept;
    const struct hf_log_keep_policy policy = {.position = model.head.position,
                                              .compress_after = 0,
                                              .archive = archive,
                                              .archive_after = 2,
                                              .segments_max = 1};
    struct hf_log *log = open_log(false, 8192, 8192);
    size_t left = hf_log_file_of(log)->map.count - 1;
    log->driver->close(log);
    assert_true(left > 3);
    for (; left > 0; left--) {
        assert_int_equal(keep(&policy, &kept, NULL), HF_ERR_OK);
        assert_int_equal(kept.compressed, 1);
        assert_int_equal(kept.archived, left > 2 ? 1 : 0);
    }
    assert_int_equal(keep(&policy, &kept, NULL), HF_ERR_OK);
    assert_int_equal(kept.compressed + kept.archived, 0);
    check_all();
}

/* A file that was mended is read again, though the damaged one was open. */
static void a_mended_file_is_read(void **state)
{
    (void)state;
    char path[256];
    size_t size_bytes;
    struct hf_error error;
    struct hf_buffer read;
    uint32_t batches;
    make_log(64 << 10, 64 << 10, 60);
    (void)keep_ok(0, NULL, 0);
    path_of(directory, 1, ".zst", path);
    uint8_t *bytes = load(path, &size_bytes);
    bytes[HF_LOG_PACK_HEAD_BYTES + 20] ^= 1;
    store(path, bytes, size_bytes);
    struct hf_log *log = open_log(false, 8192, 8192);
    own(log);
    hf_buffer_init(&read);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(log->driver->read(log, 1, 1, &read, &batches, &error), HF_ERR_CORRUPT);
        assert_non_null(strstr(error.text, path));
    }
    bytes[HF_LOG_PACK_HEAD_BYTES + 20] ^= 1;
    store(path, bytes, size_bytes);
    assert_int_equal(log->driver->read(log, 1, 1, &read, &batches, &error), HF_ERR_OK);
    check_content(log, 9000);
    log->driver->close(log);
    hf_buffer_release(&read);
    free(bytes);
}

/* What is damaged is not sealed under new checksums. */
static void a_damaged_segment_stays(void **state)
{
    (void)state;
    char path[256];
    size_t size_bytes;
    struct hf_log_kept kept;
    struct hf_error error;
    make_log(64 << 10, 64 << 10, 60);
    path_of(directory, 2, ".log", path);
    uint8_t *bytes = load(path, &size_bytes);
    bytes[HF_LOG_PAGE_BYTES + HF_LOG_HEADER_BYTES + 3] ^= 1;
    store(path, bytes, size_bytes);
    const struct hf_log_keep_policy policy = {.position = model.head.position,
                                              .archive_after = HF_LOG_KEEP_NEVER};
    assert_int_equal(keep(&policy, &kept, &error), HF_ERR_CORRUPT);
    assert_non_null(strstr(error.text, path));
    assert_non_null(strstr(error.text, "offset 4096"));
    assert_int_equal(kept.compressed, 1);
    assert_int_equal(access(path, F_OK), 0);
    bytes[HF_LOG_PAGE_BYTES + HF_LOG_HEADER_BYTES + 3] ^= 1;
    store(path, bytes, size_bytes);
    check_all();
    free(bytes);
}

static bool stop_after(void *context, uint64_t bytes)
{
    int64_t *left = context;
    *left -= (int64_t)bytes;
    return *left > 0;
}

static void work_can_be_stopped_anywhere(void **state)
{
    (void)state;
    make_log(512 << 10, 512 << 10, 120);
    const struct hf_log_keep_policy policy = {.position = model.head.position, .archive = archive};
    enum hf_err code = HF_ERR_CLOSED;
    for (int64_t step = 0; code == HF_ERR_CLOSED; step += 100000) {
        int64_t left = step;
        struct hf_log_kept kept;
        struct hf_log_work work = {.go_on = stop_after, .context = &left};
        struct hf_log *log = open_log(false, 8192, 8192);
        code = hf_log_keep(log, &policy, &work, &kept, NULL);
        log->driver->close(log);
        check_all();
    }
    assert_int_equal(code, HF_ERR_OK);
    assert_int_equal(weigh().plain_segments, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_same_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_behind_the_checkpoint_moves, setup, teardown),
        cmocka_unit_test_setup_teardown(a_log_goes_on_and_is_trimmed, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_in_the_directory_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_references_are_found, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_archive_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(both_forms_are_resolved, setup, teardown),
        cmocka_unit_test_setup_teardown(an_archive_of_another_log_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(one_segment_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(a_mended_file_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_segment_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(work_can_be_stopped_anywhere, setup, teardown),
    };
    return cmocka_run_group_tests_name("log_keep", tests, NULL, NULL);
}
