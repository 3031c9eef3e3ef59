/* Unit tests of src/store/checkpoint*, directory: with damage, faults and crashes. */
#include "store/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "store/checkpoint_priv.h"
#include "unit/store_outside.h"
#include "unit/support.h"

static uint64_t first_seed;
static uint64_t random_state;
static struct store_outside *world;
static struct hf_outside *o;

static uint64_t roll(uint64_t bound)
{
    return store_random(&random_state) % bound;
}

static int setup(void **state)
{
    (void)state;
    random_state = first_seed;
    world = store_outside_new();
    o = store_outside_of(world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hf_alloc_fault_set(0);
    store_outside_free(world);
    return 0;
}

/* What a checkpoint is written from. */
struct content {
    uint64_t position;          /* seq and time follow from it */
    uint8_t *state;             /* malloc'd */
    size_t state_bytes;         /* of state */
    size_t position_count;      /* pairs (i, 3 i) */
    struct hf_run_ref runs[20]; /* newest first */
    size_t run_count;           /* of runs */
};

static struct content content_of(uint64_t position, size_t state_bytes, size_t run_count)
{
    struct content content = {.position = position,
                              .state = malloc(state_bytes + 1),
                              .state_bytes = state_bytes,
                              .position_count = state_bytes / 10,
                              .run_count = run_count};
    assert_non_null(content.state);
    for (size_t i = 0; i < state_bytes; i++) {
        content.state[i] = (uint8_t)roll(256);
    }
    for (size_t i = 0; i < run_count; i++) {
        uint64_t place = run_count - i;
        content.runs[i] = (struct hf_run_ref){.from_position = place * 10,
                                              .to_position = place * 10 + 9,
                                              .generation = (uint32_t)i,
                                              .size_bytes = 4096 + i};
        content.runs[i].hash.bytes[i] = 1;
    }
    return content;
}

static struct hf_checkpoint_meta meta_of(const struct content *content)
{
    struct hf_checkpoint_meta meta = {.space = 3,
                                      .position = content->position,
                                      .seq = content->position / 2,
                                      .time_us = content->position * 1000};
    memset(meta.chain_hash.bytes, (int)(content->position & 255), HF_SHA256_BYTES);
    return meta;
}

static enum hf_err write_sections(struct hf_checkpoint_writer *writer,
                                  const struct content *content, size_t piece_bytes)
{
    struct hf_error error;
    hf_checkpoint_writer_begin(writer, HF_CHECKPOINT_STATE);
    for (size_t done = 0; done < content->state_bytes;) {
        size_t part = (size_t)hf_min_u64(piece_bytes, content->state_bytes - done);
        enum hf_err err = hf_checkpoint_writer_append(writer, content->state + done, part, &error);
        if (err != HF_ERR_OK) {
            return err;
        }
        done += part;
    }
    enum hf_err err = hf_checkpoint_writer_end(writer, &error);
    if (err != HF_ERR_OK) {
        return err;
    }
    hf_checkpoint_writer_begin(writer, HF_CHECKPOINT_POSITIONS);
    for (size_t i = 0; i < content->position_count && err == HF_ERR_OK; i++) {
        err = hf_checkpoint_writer_position(writer, i, 3 * i, &error);
    }
    if (err == HF_ERR_OK) {
        err = hf_checkpoint_writer_end(writer, &error);
    }
    if (err == HF_ERR_OK && content->run_count > 0) {
        err = hf_checkpoint_writer_runs(writer, content->runs, content->run_count, &error);
    }
    return err;
}

static enum hf_err write_checkpoint(const struct content *content, size_t piece_bytes,
                                    struct hf_checkpoint_info *info)
{
    struct hf_checkpoint_meta meta = meta_of(content);
    struct hf_checkpoint_writer *writer;
    enum hf_err err = hf_checkpoint_writer_start(o, "d", &meta, &writer, NULL);
    if (err != HF_ERR_OK) {
        assert_null(writer);
        return err;
    }
    err = write_sections(writer, content, piece_bytes);
    if (err != HF_ERR_OK) {
        hf_checkpoint_writer_abort(writer);
        return err;
    }
    return hf_checkpoint_writer_finish(writer, info, NULL);
}

static const char *path_of(uint64_t position)
{
    static char path[HF_CHECKPOINT_NAME_BYTES + 2];
    char name[HF_CHECKPOINT_NAME_BYTES];
    hf_checkpoint_name(position, name);
    (void)snprintf(path, sizeof(path), "d/%s", name);
    return path;
}

/* Reads the state by pieces; OK only if it is whole; bytes that were handed out must be right. */
static enum hf_err read_state(struct hf_checkpoint *checkpoint, const struct content *content,
                              bool by_chunks)
{
    struct hf_checkpoint_stream stream;
    size_t done = 0;
    enum hf_err err = hf_checkpoint_stream_init(&stream, checkpoint, HF_CHECKPOINT_STATE, NULL);
    while (err == HF_ERR_OK && done < content->state_bytes) {
        assert_int_equal(hf_checkpoint_stream_left(&stream), content->state_bytes - done);
        if (by_chunks) {
            const uint8_t *data;
            size_t size;
            err = hf_checkpoint_stream_next(&stream, &data, &size, NULL);
            if (err == HF_ERR_OK) {
                assert_true(size > 0 && size <= content->state_bytes - done);
                assert_memory_equal(data, content->state + done, size);
                done += size;
            }
        } else {
            uint8_t piece[5000];
            size_t size = (size_t)hf_min_u64(1 + roll(5000), content->state_bytes - done);
            err = hf_checkpoint_stream_read(&stream, piece, size, NULL);
            if (err == HF_ERR_OK) {
                assert_memory_equal(piece, content->state + done, size);
                done += size;
            }
        }
    }
    if (err == HF_ERR_OK) {
        const uint8_t *data;
        size_t size;
        uint8_t byte;
        assert_int_equal(hf_checkpoint_stream_left(&stream), 0);
        assert_int_equal(hf_checkpoint_stream_next(&stream, &data, &size, NULL), HF_ERR_OK);
        assert_int_equal(size, 0);
        assert_int_equal(hf_checkpoint_stream_read(&stream, &byte, 1, NULL), HF_ERR_CORRUPT);
    }
    hf_checkpoint_stream_release(&stream);
    return err;
}

static enum hf_err read_positions(struct hf_checkpoint *checkpoint, const struct content *content)
{
    struct hf_checkpoint_stream stream;
    enum hf_err err = hf_checkpoint_stream_init(&stream, checkpoint, HF_CHECKPOINT_POSITIONS, NULL);
    for (size_t i = 0; i < content->position_count && err == HF_ERR_OK; i++) {
        uint8_t pair[16];
        err = hf_checkpoint_stream_read(&stream, pair, sizeof(pair), NULL);
        if (err == HF_ERR_OK) {
            assert_true(hf_get_u64(pair) == i && hf_get_u64(pair + 8) == 3 * i);
        }
    }
    hf_checkpoint_stream_release(&stream);
    return err;
}

/* Everything about an open one. */
static enum hf_err check_content(struct hf_checkpoint *checkpoint, const struct content *content)
{
    const struct hf_checkpoint_info *info = hf_checkpoint_info(checkpoint);
    struct hf_checkpoint_meta meta = meta_of(content);
    struct hf_hash state_hash = hf_sha256(content->state, content->state_bytes);
    size_t run_count;
    const struct hf_run_ref *runs = hf_checkpoint_runs(checkpoint, &run_count);
    assert_true(info->meta.space == meta.space && info->meta.position == meta.position);
    assert_true(info->meta.seq == meta.seq && info->meta.time_us == meta.time_us);
    assert_true(hf_hash_equal(&info->meta.chain_hash, &meta.chain_hash));
    assert_true(hf_hash_equal(&info->state_hash, &state_hash));
    assert_int_equal(info->section_bytes[HF_CHECKPOINT_STATE], content->state_bytes);
    assert_int_equal(run_count, content->run_count);
    for (size_t i = 0; i < run_count; i++) {
        assert_true(runs[i].from_position == content->runs[i].from_position);
        assert_true(runs[i].to_position == content->runs[i].to_position);
        assert_true(runs[i].generation == content->runs[i].generation);
        assert_true(runs[i].size_bytes == content->runs[i].size_bytes);
        assert_true(hf_hash_equal(&runs[i].hash, &content->runs[i].hash));
    }
    enum hf_err err = read_state(checkpoint, content, false);
    if (err == HF_ERR_OK) {
        err = read_state(checkpoint, content, true);
    }
    if (err == HF_ERR_OK) {
        err = read_positions(checkpoint, content);
    }
    return err != HF_ERR_OK ? err : hf_checkpoint_verify(checkpoint, NULL);
}

static void checkpoints_come_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 300000};
    for (size_t i = 0; i < HF_ARRAY_COUNT(sizes); i++) {
        struct content content = content_of(100 + i, sizes[i], i * 4);
        struct hf_checkpoint_info info, again;
        struct hf_checkpoint *checkpoint;
        assert_int_equal(write_checkpoint(&content, 1 + roll(100000), &info), HF_ERR_OK);
        assert_int_equal(hf_checkpoint_open(o, "d", 3, 100 + i, &checkpoint, NULL), HF_ERR_OK);
        assert_true(hf_hash_equal(&hf_checkpoint_info(checkpoint)->file_hash, &info.file_hash));
        assert_true(hf_hash_equal(&hf_checkpoint_info(checkpoint)->state_hash, &info.state_hash));
        assert_int_equal(check_content(checkpoint, &content), HF_ERR_OK);
        hf_checkpoint_close(checkpoint);
        assert_int_equal(hf_checkpoint_open(o, "d", 4, 100 + i, &checkpoint, NULL), HF_ERR_CORRUPT);
        assert_null(checkpoint);
        /* The same content in other pieces is the same file. */
        assert_int_equal(write_checkpoint(&content, 1 + roll(100000), &again), HF_ERR_OK);
        assert_true(hf_hash_equal(&again.file_hash, &info.file_hash));
        free(content.state);
    }
    struct hf_checkpoint *checkpoint;
    assert_int_equal(hf_checkpoint_open(o, "d", 3, 99, &checkpoint, NULL), HF_ERR_NOT_FOUND);
}

static void names_are_exact(void **state)
{
    (void)state;
    char name[HF_CHECKPOINT_NAME_BYTES];
    uint64_t position;
    hf_checkpoint_name(UINT64_MAX, name);
    assert_string_equal(name, "checkpoint-18446744073709551615.ckpt");
    assert_true(hf_checkpoint_name_parse(hf_str_from(name), &position));
    assert_true(position == UINT64_MAX);
    static const char *const bad[] = {
        "",
        "checkpoint-.ckpt",
        "checkpoint-18446744073709551616.ckpt",
        "checkpoint-0000000000000000001.ckpt",
        "checkpoint-000000000000000000001.ckpt",
        "checkpoint-0000000000000000000x.ckpt",
        "checkpoint-00000000000000000001.ckpt.tmp",
        "checkpoint_00000000000000000001.ckpt",
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad); i++) {
        assert_false(hf_checkpoint_name_parse(hf_str_from(bad[i]), &position));
    }
}

/* true = whole. Bytes that are handed out are compared on the way. */
static bool usable(uint64_t position, const struct content *content)
{
    struct hf_checkpoint *checkpoint;
    enum hf_err err = hf_checkpoint_open(o, "d", 3, position, &checkpoint, NULL);
    if (err != HF_ERR_OK) {
        assert_int_equal(err, HF_ERR_CORRUPT);
        assert_null(checkpoint);
        return false;
    }
    err = check_content(checkpoint, content);
    enum hf_err verified = hf_checkpoint_verify(checkpoint, NULL);
    assert_true(err == HF_ERR_OK || err == HF_ERR_CORRUPT);
    assert_true(verified == HF_ERR_OK || verified == HF_ERR_CORRUPT);
    assert_true(verified == HF_ERR_CORRUPT || err == HF_ERR_OK);
    hf_checkpoint_close(checkpoint);
    return verified == HF_ERR_OK;
}

static void every_damage_is_found(void **state)
{
    (void)state;
    struct content content = content_of(77, 300, 3);
    struct hf_checkpoint_info info = {0};
    assert_int_equal(write_checkpoint(&content, 1000, &info), HF_ERR_OK);
    size_t size;
    uint8_t *bytes = store_outside_get(world, path_of(77), &size);
    assert_int_equal(size, info.file_bytes);
    assert_true(usable(77, &content));
    for (size_t i = 0; i < size; i++) {
        uint8_t flip = (uint8_t)(1 + roll(255));
        bytes[i] ^= flip;
        store_outside_put(world, path_of(77), bytes, size);
        assert_false(usable(77, &content));
        bytes[i] ^= flip;
    }
    for (size_t i = 0; i < size; i++) {
        store_outside_put(world, path_of(77), bytes, i);
        assert_false(usable(77, &content));
    }
    uint8_t *longer = calloc(1, size + 1);
    assert_non_null(longer);
    memcpy(longer, bytes, size);
    store_outside_put(world, path_of(77), longer, size + 1);
    assert_false(usable(77, &content));
    store_outside_put(world, path_of(78), bytes, size); /* under another name */
    assert_false(usable(78, &content));
    free(longer);
    free(bytes);
    free(content.state);
}

/* A long state: the first chunks are right before the damage, none behind it is handed out. */
static void damage_in_a_late_chunk_is_found_in_time(void **state)
{
    (void)state;
    struct content content = content_of(5, 400000, 0);
    struct hf_checkpoint_info info;
    assert_int_equal(write_checkpoint(&content, 7777, &info), HF_ERR_OK);
    size_t size;
    uint8_t *bytes = store_outside_get(world, path_of(5), &size);
    for (int i = 0; i < 50; i++) {
        size_t at = roll(size);
        uint8_t flip = (uint8_t)(1u << roll(8));
        bytes[at] ^= flip;
        store_outside_put(world, path_of(5), bytes, size);
        assert_false(usable(5, &content));
        bytes[at] ^= flip;
    }
    free(bytes);
    free(content.state);
}

static void the_newest_good_one_is_taken(void **state)
{
    (void)state;
    struct content content[4];
    struct hf_checkpoint_info info;
    struct hf_checkpoint *checkpoint;
    struct hf_checkpoint_damage damage;
    assert_int_equal(hf_checkpoint_open_newest(o, "d", 3, &checkpoint, &damage, NULL),
                     HF_ERR_NOT_FOUND);
    assert_int_equal(damage.damaged_count, 0);
    for (size_t i = 0; i < 4; i++) {
        content[i] = content_of(10 * i + 9, 1000, 2);
        assert_int_equal(write_checkpoint(&content[i], 100, &info), HF_ERR_OK);
    }
    store_outside_put(world, "d/checkpoint-99.ckpt", "x", 1); /* not an exact name */
    store_outside_put(world, "d/checkpoint-00000000000000000099.ckpt.tmp", "x", 1);
    for (size_t i = 4; i-- > 0;) {
        assert_int_equal(hf_checkpoint_open_newest(o, "d", 3, &checkpoint, &damage, NULL),
                         HF_ERR_OK);
        assert_int_equal(damage.damaged_count, 3 - i);
        if (i < 3) {
            assert_int_equal(damage.newest_position, 39);
            assert_int_equal(damage.newest.code, HF_ERR_CORRUPT);
            assert_non_null(strstr(damage.newest.text, "checkpoint-00000000000000000039.ckpt"));
        }
        assert_int_equal(check_content(checkpoint, &content[i]), HF_ERR_OK);
        hf_checkpoint_close(checkpoint);
        size_t size;
        uint8_t *bytes = store_outside_get(world, path_of(10 * i + 9), &size);
        bytes[roll(size)] ^= 4;
        store_outside_put(world, path_of(10 * i + 9), bytes, size);
        free(bytes);
    }
    struct hf_error error;
    assert_int_equal(hf_checkpoint_open_newest(o, "d", 3, &checkpoint, &damage, &error),
                     HF_ERR_NOT_FOUND);
    assert_int_equal(damage.damaged_count, 4);
    for (size_t i = 0; i < 4; i++) {
        free(content[i].state);
    }
}

/* A newer format is not damage: no older checkpoint is taken in its place. */
static void a_newer_format_is_refused(void **state)
{
    (void)state;
    struct content content = content_of(8, 100, 0);
    struct hf_checkpoint_info info;
    struct hf_checkpoint *checkpoint;
    struct hf_checkpoint_damage damage;
    assert_int_equal(write_checkpoint(&content, 100, &info), HF_ERR_OK);
    size_t size;
    uint8_t *bytes = store_outside_get(world, path_of(8), &size);
    hf_store_header_seal(bytes, (const char *)bytes, HF_CHECKPOINT_VERSION + 1);
    store_outside_put(world, path_of(9), bytes, size);
    struct hf_error error;
    assert_int_equal(hf_checkpoint_open_newest(o, "d", 3, &checkpoint, &damage, &error),
                     HF_ERR_VERSION);
    assert_int_equal(error.code, HF_ERR_VERSION);
    struct hf_store_cleaned cleaned;
    assert_int_equal(hf_store_clean(o, "d", 3, NULL, 0, &cleaned, &error), HF_ERR_VERSION);
    assert_int_equal(store_outside_file_count(world), 2);
    free(bytes);
    free(content.state);
}

/* A plausible header over a malformed list of runs. */
static void malformed_runs_are_refused(void **state)
{
    (void)state;
    static const struct hf_run_ref bad[][2] = {
        {{.from_position = 5, .to_position = 4, .size_bytes = 1}},
        {{.from_position = 5, .to_position = 6, .size_bytes = 0}},
        {{.from_position = 5, .to_position = 6, .size_bytes = 1},
         {.from_position = 3, .to_position = 5, .size_bytes = 1}},
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad); i++) {
        struct content content = content_of(8, 10, 0);
        struct hf_checkpoint_info info;
        struct hf_checkpoint *checkpoint;
        content.run_count = bad[i][1].size_bytes != 0 ? 2 : 1;
        memcpy(content.runs, bad[i], sizeof(bad[i]));
        assert_int_equal(write_checkpoint(&content, 100, &info), HF_ERR_OK);
        assert_int_equal(hf_checkpoint_open(o, "d", 3, 8, &checkpoint, NULL), HF_ERR_CORRUPT);
        free(content.state);
    }
}

/* ---- Cleaning ---- */

static const char *run_path(const struct hf_run_ref *ref, const char *suffix)
{
    static char path[HF_RUN_NAME_BYTES + 10];
    char name[HF_RUN_NAME_BYTES];
    hf_run_name(ref, name);
    (void)snprintf(path, sizeof(path), "d/%s%s", name, suffix);
    return path;
}

static void put_run(const struct hf_run_ref *ref)
{
    store_outside_put(world, run_path(ref, ""), "run", 3);
}

static void what_nothing_needs_is_removed(void **state)
{
    (void)state;
    struct content content[4];
    struct hf_checkpoint_info info;
    struct hf_store_cleaned cleaned;
    struct hf_run_ref orphan = {.from_position = 1, .to_position = 2};
    struct hf_run_ref live = {.from_position = 50, .to_position = 60};
    store_outside_put(world, "d/log-1", "x", 1);
    store_outside_put(world, run_path(&orphan, ".tmp"), "x", 1);
    store_outside_put(world, "d/checkpoint-00000000000000000007.ckpt.tmp", "x", 1);
    put_run(&orphan);
    put_run(&live);
    /* Without a good checkpoint only temporary files go. */
    assert_int_equal(hf_store_clean(o, "d", 3, &live, 1, &cleaned, NULL), HF_ERR_OK);
    assert_int_equal(cleaned.temporaries_removed, 2);
    assert_int_equal(cleaned.runs_removed, 0);
    assert_int_equal(cleaned.oldest_kept, 0);
    for (size_t i = 0; i < 4; i++) { /* each names run i, and run i + 1 in front of it */
        content[i] = content_of(i + 1, 100, 2);
        content[i].runs[0].from_position = 100 * (i + 2);
        content[i].runs[0].to_position = 100 * (i + 2) + 99;
        content[i].runs[1].from_position = 100 * (i + 1);
        content[i].runs[1].to_position = 100 * (i + 1) + 99;
        put_run(&content[i].runs[0]);
        put_run(&content[i].runs[1]);
        assert_int_equal(write_checkpoint(&content[i], 100, &info), HF_ERR_OK);
    }
    /* The newest but one is damaged: 4 and 2 are the good ones; 1 goes, 3 stays for now. */
    size_t size;
    uint8_t *bytes = store_outside_get(world, path_of(3), &size);
    bytes[size - 1] ^= 1;
    store_outside_put(world, path_of(3), bytes, size);
    free(bytes);
    assert_int_equal(hf_store_clean(o, "d", 3, &live, 1, &cleaned, NULL), HF_ERR_OK);
    assert_int_equal(cleaned.checkpoints_removed, 1);
    assert_int_equal(cleaned.oldest_kept, 2);
    assert_false(store_outside_exists(world, path_of(1)));
    assert_true(store_outside_exists(world, path_of(2)));
    assert_true(store_outside_exists(world, path_of(3)));
    assert_true(store_outside_exists(world, path_of(4)));
    assert_true(store_outside_exists(world, "d/log-1"));
    assert_true(store_outside_exists(world, run_path(&live, "")));
    assert_false(store_outside_exists(world, run_path(&orphan, "")));
    assert_false(store_outside_exists(world, run_path(&content[0].runs[1], "")));
    for (size_t i = 0; i < 2; i++) {
        assert_true(store_outside_exists(world, run_path(&content[1].runs[i], "")));
        assert_true(store_outside_exists(world, run_path(&content[3].runs[i], "")));
    }
    /* Two newer good ones: now all older ones go, the damaged one too. */
    for (uint64_t position = 5; position <= 6; position++) {
        content[0].position = position;
        content[0].run_count = 0;
        assert_int_equal(write_checkpoint(&content[0], 100, &info), HF_ERR_OK);
    }
    assert_int_equal(hf_store_clean(o, "d", 3, NULL, 0, &cleaned, NULL), HF_ERR_OK);
    assert_int_equal(cleaned.checkpoints_removed, 3);
    assert_int_equal(cleaned.oldest_kept, 5);
    assert_int_equal(store_outside_file_count(world), 3); /* 5, 6, log-1 */
    for (size_t i = 0; i < 4; i++) {
        free(content[i].state);
    }
}

/* ---- Faults ---- */

/* A second checkpoint beside the first, then cleaning, then reading the newest. */
static enum hf_err scenario(const struct content *second)
{
    struct hf_checkpoint_info info;
    struct hf_store_cleaned cleaned;
    struct hf_checkpoint *checkpoint = NULL;
    struct hf_checkpoint_damage damage;
    enum hf_err err = write_checkpoint(second, 50000, &info);
    if (err == HF_ERR_OK) {
        err = hf_store_clean(o, "d", 3, NULL, 0, &cleaned, NULL);
    }
    if (err == HF_ERR_OK) {
        err = hf_checkpoint_open_newest(o, "d", 3, &checkpoint, &damage, NULL);
    }
    if (err == HF_ERR_OK) {
        assert_int_equal(damage.damaged_count, 0);
        err = check_content(checkpoint, second);
    }
    hf_checkpoint_close(checkpoint);
    return err;
}

/* After a fault or crash: the old or the new one is the newest, in full. */
static void check_old_or_new(const struct content *old, const struct content *new, bool finished)
{
    struct hf_checkpoint *checkpoint;
    struct hf_checkpoint_damage damage;
    assert_int_equal(hf_checkpoint_open_newest(o, "d", 3, &checkpoint, &damage, NULL), HF_ERR_OK);
    assert_int_equal(damage.damaged_count, 0);
    uint64_t position = hf_checkpoint_info(checkpoint)->meta.position;
    assert_true(position == new->position || (!finished && position == old->position));
    assert_int_equal(check_content(checkpoint, position == old->position ? old : new), HF_ERR_OK);
    hf_checkpoint_close(checkpoint);
}

static void begin_again(const struct content *content, size_t count)
{
    struct hf_checkpoint_info info;
    store_outside_free(world);
    world = store_outside_new();
    o = store_outside_of(world);
    store_outside_put(world, "d/checkpoint-00000000000000000099.ckpt.tmp", "stale", 5);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(write_checkpoint(&content[i], 1000, &info), HF_ERR_OK);
    }
}

static void every_io_fails_in_turn(void **state)
{
    (void)state;
    struct content content[3] = {content_of(7, 5000, 2), content_of(8, 100, 2),
                                 content_of(99, 150000, 3)};
    uint64_t n = 1;
    for (;; n++) {
        begin_again(content, 2);
        store_outside_fail(world, n, HF_ERR_IO);
        enum hf_err err = scenario(&content[2]);
        bool failed = store_outside_failed(world);
        store_outside_fail(world, 0, HF_ERR_OK);
        /* Only the removal of a temporary file may fail silently; it is not reached here. */
        assert_int_equal(err, failed ? HF_ERR_IO : HF_ERR_OK);
        assert_int_equal(store_outside_open_count(world), 0);
        check_old_or_new(&content[1], &content[2], err == HF_ERR_OK);
        assert_int_equal(scenario(&content[2]), HF_ERR_OK);
        assert_int_equal(store_outside_file_count(world), 2); /* 8, 99 */
        if (!failed) {
            break;
        }
    }
    print_message("# %llu calls failed in turn\n", (unsigned long long)n - 1);
    assert_true(n > 30);
    for (size_t i = 0; i < 3; i++) {
        free(content[i].state);
    }
}

static void every_crash_leaves_old_or_new(void **state)
{
    (void)state;
    struct content content[3] = {content_of(7, 5000, 2), content_of(8, 100, 2),
                                 content_of(99, 150000, 3)};
    for (uint64_t seed = 0; seed < 6; seed++) {
        for (uint64_t n = 1;; n++) {
            struct hf_checkpoint_info info;
            begin_again(content, 2);
            store_outside_crash_at(world, n);
            bool finished = write_checkpoint(&content[2], 50000, &info) == HF_ERR_OK;
            struct hf_store_cleaned cleaned;
            enum hf_err err = hf_store_clean(o, "d", 3, NULL, 0, &cleaned, NULL);
            bool failed = store_outside_failed(world);
            assert_int_equal(err, failed ? HF_ERR_CRASHED : HF_ERR_OK);
            store_outside_power_cycle(world, seed == 0 ? 0 : seed * 1000 + n);
            check_old_or_new(&content[1], &content[2], finished);
            assert_int_equal(scenario(&content[2]), HF_ERR_OK);
            if (!failed) {
                break;
            }
        }
    }
    for (size_t i = 0; i < 3; i++) {
        free(content[i].state);
    }
}

static void every_allocation_fails_in_turn(void **state)
{
    (void)state;
    struct content content[3] = {content_of(7, 5000, 2), content_of(8, 100, 2),
                                 content_of(99, 70000, 3)};
    uint64_t n = 1;
    for (;; n++) {
        begin_again(content, 2);
        hf_alloc_fault_set(n);
        enum hf_err err = scenario(&content[2]);
        bool hit = hf_alloc_fault_hit();
        hf_alloc_fault_set(0);
        assert_int_equal(err, hit ? HF_ERR_NO_MEMORY : HF_ERR_OK);
        check_old_or_new(&content[1], &content[2], err == HF_ERR_OK);
        if (!hit) {
            break;
        }
    }
    assert_true(n > 20);
    for (size_t i = 0; i < 3; i++) {
        free(content[i].state);
    }
}

int main(void)
{
    const char *seed = getenv("SEED");
    first_seed = seed == NULL ? 1 : strtoull(seed, NULL, 10);
    first_seed += first_seed == 0;
    print_message("# SEED=%llu\n", (unsigned long long)first_seed);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(checkpoints_come_back),          TEST(names_are_exact),
        TEST(every_damage_is_found),          TEST(damage_in_a_late_chunk_is_found_in_time),
        TEST(the_newest_good_one_is_taken),   TEST(a_newer_format_is_refused),
        TEST(malformed_runs_are_refused),     TEST(what_nothing_needs_is_removed),
        TEST(every_io_fails_in_turn),         TEST(every_crash_leaves_old_or_new),
        TEST(every_allocation_fails_in_turn),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    print_message("# SEED=%llu\n", (unsigned long long)first_seed);
    return failed;
}
