/* Unit tests of src/store/index: against a model, with faults, crashes and threads. */
#include "store/index.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "store/checkpoint.h"
#include "unit/store_outside.h"
#include "unit/support.h"

#define KEYS     2000 /* possible keys; the model is an array of them */
#define A_FLUSH  150  /* records in a run from RAM, at most */
#define RUNS_MAX 4

static uint64_t first_seed;
static uint64_t random_state;
static struct store_outside *world;
static struct hf_outside *o;
static struct hf_limits limits;

/* Position at which each key was last set; 0 = never. */
static uint64_t model[KEYS];
static uint64_t position; /* last one covered */

static uint64_t roll(uint64_t bound)
{
    return store_random(&random_state) % bound;
}

static void begin_again(void)
{
    if (world != NULL) {
        store_outside_free(world);
    }
    world = store_outside_new();
    o = store_outside_of(world);
    memset(model, 0, sizeof(model));
    position = 0;
}

static int setup(void **state)
{
    (void)state;
    random_state = first_seed;
    limits = hf_limits_default();
    limits.index_block_bytes = 256;
    limits.index_runs_max = RUNS_MAX;
    begin_again();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hf_alloc_fault_set(0);
    store_outside_free(world);
    world = NULL;
    return 0;
}

/* Ascending in number. */
static struct hf_index_key key_of(size_t number)
{
    struct hf_index_key key = {.kind = (uint8_t)(number / 1000), .sub = number % 7};
    key.id.bytes[3] = (uint8_t)(number / 7 / 256);
    key.id.bytes[9] = (uint8_t)(number / 7 % 256);
    return key;
}

static struct hf_index_value value_of(size_t number, uint64_t at)
{
    return (struct hf_index_value){
        .position = at, .index = (uint32_t)(number ^ at), .flags = (uint32_t)number};
}

/* Writes a run of random keys behind `position`; changed gets their numbers. */
static enum hf_err write_flush(struct hf_run_info *info, size_t *changed, size_t *changed_count)
{
    struct hf_run_meta meta = {.from_position = position + 1,
                               .to_position = position + 10,
                               .block_bytes = 256,
                               .record_count_max = A_FLUSH};
    struct hf_run_writer *writer;
    *changed_count = 0;
    enum hf_err err = hf_run_writer_start(o, "d", &meta, &writer, NULL);
    if (err != HF_ERR_OK) {
        return err;
    }
    for (size_t number = roll(30); number < KEYS && *changed_count < A_FLUSH;
         number += 1 + roll(30)) {
        struct hf_index_key key = key_of(number);
        struct hf_index_value value = value_of(number, meta.to_position);
        err = hf_run_writer_add(writer, &key, &value, NULL);
        if (err != HF_ERR_OK) {
            hf_run_writer_abort(writer);
            return err;
        }
        changed[(*changed_count)++] = number;
    }
    return hf_run_writer_finish(writer, info, NULL);
}

/* Writes a run and adds it; the model follows only if the index did. */
static enum hf_err flush(struct hf_index *index)
{
    size_t changed[A_FLUSH];
    size_t changed_count;
    struct hf_run_info info;
    enum hf_err err = write_flush(&info, changed, &changed_count);
    if (err == HF_ERR_OK) {
        err = hf_index_add(index, &info.ref, NULL);
    }
    if (err == HF_ERR_OK) {
        position += 10;
        for (size_t i = 0; i < changed_count; i++) {
            model[changed[i]] = position;
        }
    }
    return err;
}

static enum hf_err check_key(struct hf_index *index, size_t number)
{
    bool found;
    struct hf_index_value value;
    struct hf_index_key key = key_of(number);
    enum hf_err err = hf_index_get(index, &key, &found, &value, NULL);
    if (err == HF_ERR_OK) {
        struct hf_index_value expected = value_of(number, model[number]);
        assert_int_equal(found, model[number] != 0);
        struct hf_index_set *set = hf_index_acquire(index);
        assert_false(found && hf_index_set_lacks(set, &key));
        assert_true(set->run_count > 0 || hf_index_set_lacks(set, &key));
        hf_index_release(index, set);
        if (found) {
            assert_memory_equal(&value, &expected, sizeof(value));
        }
    }
    return err;
}

/* Many keys at once are told as one after another. */
static void check_lacks(struct hf_index *index)
{
    struct hf_index_set *set = hf_index_acquire(index);
    for (size_t number = 0, count = 1; number < KEYS; number += count) {
        struct hf_index_key keys[HF_INDEX_LACKS_MAX];
        bool lacks[HF_INDEX_LACKS_MAX];
        count = 1 + roll(HF_INDEX_LACKS_MAX);
        for (size_t i = 0; i < count; i++) {
            keys[i] = key_of((number + i) % KEYS);
            keys[i].kind = (uint8_t)(keys[i].kind + roll(2));
        }
        hf_index_set_lacks_each(set, keys, count, lacks);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(lacks[i], hf_index_set_lacks(set, &keys[i]));
        }
    }
    hf_index_release(index, set);
}

static void check_all(struct hf_index *index)
{
    for (size_t number = 0; number < KEYS; number++) {
        assert_int_equal(check_key(index, number), HF_ERR_OK);
    }
    check_lacks(index);
    assert_int_equal(hf_index_covered(index), position);
}

/* The refs of the present set. */
static size_t refs_of(struct hf_index *index, struct hf_run_ref *refs)
{
    struct hf_index_set *set = hf_index_acquire(index);
    size_t count = set->run_count;
    for (size_t i = 0; i < count; i++) {
        refs[i] = hf_run_info(set->runs[i])->ref;
    }
    hf_index_release(index, set);
    return count;
}

/* Merges what pick says of the present set. */
static enum hf_err merge(struct hf_index *index, const struct hf_index_pick *pick,
                         const struct hf_run_merge_rules *rules)
{
    struct hf_index_set *set = hf_index_acquire(index);
    enum hf_err err = hf_index_merge(index, set, pick, rules, NULL);
    hf_index_release(index, set);
    return err;
}

/* What the policy asks for; false: nothing. */
static bool merge_by_policy(struct hf_index *index)
{
    struct hf_index_set *set = hf_index_acquire(index);
    struct hf_index_pick pick;
    bool needed = hf_index_pick_merge(index, set, &pick);
    if (needed) {
        assert_true(pick.count >= 2);
        assert_int_equal(hf_index_merge(index, set, &pick, NULL, NULL), HF_ERR_OK);
    }
    hf_index_release(index, set);
    return needed;
}

static struct hf_index *open_empty(void)
{
    struct hf_index *index;
    assert_int_equal(hf_index_open(o, "d", 0, &limits, NULL, 0, &index, NULL), HF_ERR_OK);
    return index;
}

static void the_index_follows_a_model(void **state)
{
    (void)state;
    struct hf_index *index = open_empty();
    check_all(index);
    for (int round = 0; round < 60; round++) {
        struct hf_run_ref refs[RUNS_MAX + 1];
        assert_int_equal(flush(index), HF_ERR_OK);
        (void)merge_by_policy(index);
        size_t count = refs_of(index, refs);
        assert_true(count <= RUNS_MAX);
        if (round % 5 == 0) { /* a restart */
            hf_index_close(index);
            assert_int_equal(hf_index_open(o, "d", 0, &limits, refs, count, &index, NULL),
                             HF_ERR_OK);
        }
        if (round % 10 == 9) {
            check_all(index);
        }
        for (size_t i = 0; i < 20; i++) {
            assert_int_equal(check_key(index, roll(KEYS)), HF_ERR_OK);
        }
        /* Files that are in no set any more go, as a checkpoint would do it. */
        struct hf_checkpoint_meta meta = {.position = position};
        struct hf_checkpoint_writer *writer;
        struct hf_checkpoint_info info;
        struct hf_store_cleaned cleaned;
        assert_int_equal(hf_checkpoint_writer_start(o, "d", &meta, &writer, NULL), HF_ERR_OK);
        assert_int_equal(hf_checkpoint_writer_runs(writer, refs, count, NULL), HF_ERR_OK);
        assert_int_equal(hf_checkpoint_writer_finish(writer, &info, NULL), HF_ERR_OK);
        assert_int_equal(hf_index_clean(index, &cleaned, NULL), HF_ERR_OK);
        assert_true(store_outside_file_count(world) <= 2 + 2 * RUNS_MAX);
    }
    hf_index_close(index);
}

static void a_merge_of_all_can_drop(void **state)
{
    (void)state;
    struct hf_index *index = open_empty();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(flush(index), HF_ERR_OK);
    }
    struct hf_index_pick all = {.first = 0, .count = 3};
    struct hf_run_merge_rules rules = {.drop_kind = 1, .drop_to_position = 20};
    assert_int_equal(merge(index, &all, &rules), HF_ERR_OK);
    uint64_t count = 0;
    for (size_t number = 0; number < KEYS; number++) {
        if (key_of(number).kind == 1 && model[number] <= 20) {
            model[number] = 0;
        }
        count += model[number] != 0;
    }
    check_all(index);
    assert_int_equal(hf_index_record_count(index), count);
    struct hf_index_pick one = {.first = 0, .count = 1}; /* a rewrite */
    assert_int_equal(merge(index, &one, NULL), HF_ERR_OK);
    check_all(index);
    hf_index_close(index);
}

/* As a checkpoint does it: what the set names, then a cleaning. */
static enum hf_err write_checkpoint(struct hf_index *index)
{
    struct hf_checkpoint_meta meta = {.position = position};
    struct hf_checkpoint_writer *writer;
    struct hf_checkpoint_info info;
    struct hf_store_cleaned cleaned;
    struct hf_run_ref refs[8];
    size_t count = refs_of(index, refs);
    enum hf_err err = hf_checkpoint_writer_start(o, "d", &meta, &writer, NULL);
    if (err != HF_ERR_OK) {
        return err;
    }
    err = hf_checkpoint_writer_runs(writer, refs, count, NULL);
    if (err != HF_ERR_OK) {
        hf_checkpoint_writer_abort(writer);
        return err;
    }
    err = hf_checkpoint_writer_finish(writer, &info, NULL);
    return err != HF_ERR_OK ? err : hf_index_clean(index, &cleaned, NULL);
}

/* In the middle of a merge, what a checkpoint does: a new run, a checkpoint that names the set, a cleaning. */
struct beside {
    struct hf_index *index;
    unsigned asked; /* so often */
    bool stops;     /* in the end */
};

static bool checkpoint_beside(void *context)
{
    struct beside *beside = context;
    if (++beside->asked <= 2) {
        assert_int_equal(flush(beside->index), HF_ERR_OK);
        assert_int_equal(write_checkpoint(beside->index), HF_ERR_OK);
        check_all(beside->index);
    }
    return beside->stops && beside->asked == 2;
}

/* The index of the newest checkpoint, as after a restart. */
static struct hf_index *reopen(struct hf_index *index)
{
    struct hf_checkpoint *checkpoint;
    struct hf_checkpoint_damage damage;
    size_t count;
    hf_index_close(index);
    assert_int_equal(hf_checkpoint_open_newest(o, "d", 0, &checkpoint, &damage, NULL), HF_ERR_OK);
    const struct hf_run_ref *refs = hf_checkpoint_runs(checkpoint, &count);
    assert_int_equal(hf_index_open(o, "d", 0, &limits, refs, count, &index, NULL), HF_ERR_OK);
    hf_checkpoint_close(checkpoint);
    return index;
}

static void checkpoints_go_on_beside_a_merge(void **state)
{
    (void)state;
    struct hf_run_ref refs[8];
    for (int stops = 0; stops < 2; stops++) {
        begin_again();
        struct hf_index *index = open_empty();
        for (int i = 0; i < 4; i++) {
            assert_int_equal(flush(index), HF_ERR_OK);
        }
        assert_int_equal(write_checkpoint(index), HF_ERR_OK);
        struct beside beside = {.index = index, .stops = stops != 0};
        struct hf_index_pick pick = {.first = 1, .count = 2};
        struct hf_index_set *set = hf_index_acquire(index);
        struct hf_run_merge_rules rules = {.stops = checkpoint_beside, .context = &beside};
        assert_int_equal(hf_index_merge(index, set, &pick, &rules, NULL),
                         stops ? HF_ERR_CLOSED : HF_ERR_OK);
        hf_index_release(index, set);
        assert_int_equal(beside.asked, 2);
        assert_int_equal(refs_of(index, refs), stops ? 6 : 5);
        check_all(index);
        index = reopen(index); /* the checkpoints beside the merge know nothing of it */
        assert_int_equal(refs_of(index, refs), 6);
        check_all(index);
        assert_int_equal(write_checkpoint(index), HF_ERR_OK);
        assert_int_equal(write_checkpoint(index), HF_ERR_OK);
        assert_int_equal(store_outside_file_count(world), 6 + 2); /* nothing is left behind */
        hf_index_close(index);
    }
}

static void bad_sets_are_refused(void **state)
{
    (void)state;
    struct hf_index *index = open_empty();
    struct hf_run_ref refs[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(flush(index), HF_ERR_OK);
    }
    assert_int_equal(refs_of(index, refs), 3);
    hf_index_close(index);
    struct hf_run_ref bad[3] = {refs[0], refs[2]}; /* a gap */
    assert_int_equal(hf_index_open(o, "d", 0, &limits, bad, 2, &index, NULL), HF_ERR_CORRUPT);
    assert_null(index);
    bad[0] = refs[1];
    bad[1] = refs[0]; /* the wrong order */
    assert_int_equal(hf_index_open(o, "d", 0, &limits, bad, 2, &index, NULL), HF_ERR_CORRUPT);
    memcpy(bad, refs, sizeof(bad));
    bad[1].generation++; /* a missing file */
    assert_int_equal(hf_index_open(o, "d", 0, &limits, bad, 3, &index, NULL), HF_ERR_CORRUPT);
    memcpy(bad, refs, sizeof(bad));
    bad[2].hash.bytes[0] ^= 1; /* another content */
    assert_int_equal(hf_index_open(o, "d", 0, &limits, bad, 3, &index, NULL), HF_ERR_CORRUPT);
    assert_int_equal(hf_index_open(o, "d", 1, &limits, refs, 3, &index, NULL), HF_ERR_CORRUPT);
    assert_int_equal(hf_index_open(o, "d", 0, &limits, refs, 3, &index, NULL), HF_ERR_OK);
    check_all(index);
    hf_index_close(index);
}

/* Flushes of flush_records each; tells how often merges wrote a record. */
static double simulate(uint64_t flushes, uint64_t flush_records, size_t *run_count,
                       uint64_t *counts)
{
    uint64_t written = 0;
    *run_count = 0;
    for (uint64_t i = 0; i < flushes; i++) {
        memmove(counts + 1, counts, *run_count * sizeof(counts[0]));
        counts[0] = flush_records;
        ++*run_count;
        struct hf_index_pick pick;
        if (hf_index_pick_from(counts, *run_count, 8, &pick)) {
            uint64_t sum = 0;
            assert_true(pick.count >= 2 && pick.first + pick.count <= *run_count);
            for (size_t k = 0; k < pick.count; k++) {
                sum += counts[pick.first + k];
            }
            assert_true(sum <= HF_INDEX_MERGED_RECORDS_MAX);
            written += sum;
            counts[pick.first] = sum;
            memmove(counts + pick.first + 1, counts + pick.first + pick.count,
                    (*run_count - pick.first - pick.count) * sizeof(counts[0]));
            *run_count -= pick.count - 1;
        }
    }
    uint64_t total = 0;
    for (size_t i = 0; i < *run_count; i++) {
        total += counts[i];
    }
    assert_int_equal(total, flushes * flush_records);
    return (double)written / (double)total;
}

/* The policy writes few records again and keeps the count of runs bounded; a run that is large enough is left alone. */
static void the_policy_is_cheap(void **state)
{
    (void)state;
    static uint64_t counts[HF_INDEX_RUNS_MAX]; /* newest first */
    size_t run_count;
    double small = simulate(2000, 1, &run_count, counts);
    assert_true(run_count <= 8);
    assert_true(small <= 5);
    double million = simulate(100, 1000000, &run_count, counts);
    assert_true(run_count <= 8);
    assert_true(million <= 2);
    double without_end = simulate(20000, 1000000, &run_count, counts);
    size_t small_ones = 0;
    while (counts[small_ones] <= HF_INDEX_MERGED_RECORDS_MAX / 2) {
        small_ones++;
    }
    assert_true(small_ones <= 8);
    assert_true(run_count >= 150 && run_count <= 300);
    assert_true(without_end <= 5);
    print_message(
        "# merges wrote a record %.1f times in 2,000 flushes, %.1f in 100 million records, "
        "%.1f in 20 billion\n",
        small, million, without_end);
    struct hf_index_pick pick;
    const uint64_t even[] = {1, 1, 1, 100};
    assert_true(hf_index_pick_from(even, 4, 3, &pick));
    assert_true(pick.first == 0 && pick.count == 3);
    assert_false(hf_index_pick_from(even, 4, 4, &pick));
    const uint64_t large_ones[] = {1, 50, 100, 400, 400};
    assert_true(hf_index_pick_from(large_ones, 5, 4, &pick));
    assert_true(pick.first == 0 && pick.count == 2);
    const uint64_t empty[] = {0, 0, 0};
    assert_true(hf_index_pick_from(empty, 3, 2, &pick));
    assert_true(pick.first == 0 && pick.count == 3);
    const uint64_t full = HF_INDEX_MERGED_RECORDS_MAX / 2 + 1;
    const uint64_t not_counted[] = {1, 1, full, 1, full};
    assert_false(hf_index_pick_from(not_counted, 5, 2, &pick));
    assert_true(hf_index_pick_from(not_counted, 5, 1, &pick));
    assert_true(pick.first == 0 && pick.count == 2);
}

/* ---- Faults: one operation fails, the index stays what it was, a repetition works. ---- */

static enum hf_err scenario(struct hf_index *index)
{
    struct hf_index_pick pick = {.first = 1, .count = 2};
    enum hf_err err = flush(index);
    if (err == HF_ERR_OK) {
        err = merge(index, &pick, NULL);
    }
    for (size_t number = 0; number < KEYS && err == HF_ERR_OK; number += 3) {
        err = check_key(index, number);
    }
    return err;
}

static void every_fault_leaves_the_set_whole(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) { /* input and output, then memory */
        uint64_t n = 1;
        for (;; n += n < 120 ? 1 : 7) {
            begin_again();
            random_state = first_seed;
            struct hf_index *index = open_empty();
            for (int i = 0; i < 3; i++) {
                assert_int_equal(flush(index), HF_ERR_OK);
            }
            store_outside_fail(world, kind == 0 ? n : 0, HF_ERR_IO);
            hf_alloc_fault_set(kind == 0 ? 0 : n);
            enum hf_err err = scenario(index);
            bool failed = kind == 0 ? store_outside_failed(world) : hf_alloc_fault_hit();
            hf_alloc_fault_set(0);
            store_outside_fail(world, 0, HF_ERR_IO);
            enum hf_err expected = kind == 0 ? HF_ERR_IO : HF_ERR_NO_MEMORY;
            assert_int_equal(err, failed ? expected : HF_ERR_OK);
            check_all(index);
            assert_int_equal(scenario(index), HF_ERR_OK);
            check_all(index);
            hf_index_close(index);
            assert_int_equal(store_outside_open_count(world), 0);
            if (!failed) {
                break;
            }
        }
        assert_true(n > 10);
    }
}

/* A checkpoint of the set, then a flush, a merge, a second checkpoint, cleaning: a crash in any of
 * these leaves the first set or the second, whole. */
static void every_crash_leaves_the_old_set_or_the_new(void **state)
{
    (void)state;
    static uint64_t old_model[KEYS];
    for (uint64_t seed = 0; seed < 4; seed++) {
        bool failed = true;
        for (uint64_t n = 1; failed; n++) {
            begin_again();
            random_state = first_seed;
            struct hf_index *index = open_empty();
            for (int i = 0; i < 3; i++) {
                assert_int_equal(flush(index), HF_ERR_OK);
            }
            assert_int_equal(write_checkpoint(index), HF_ERR_OK);
            uint64_t old_position = position;
            memcpy(old_model, model, sizeof(model));
            struct hf_index_pick pick = {.first = 0, .count = 3};
            store_outside_crash_at(world, n);
            enum hf_err err = flush(index);
            if (err == HF_ERR_OK) {
                err = merge(index, &pick, NULL);
            }
            if (err == HF_ERR_OK) {
                err = write_checkpoint(index);
            }
            failed = store_outside_failed(world);
            assert_int_equal(err, failed ? HF_ERR_CRASHED : HF_ERR_OK);
            hf_index_close(index);
            store_outside_power_cycle(world, seed == 0 ? 0 : seed * 1000 + n);
            struct hf_checkpoint *checkpoint;
            struct hf_checkpoint_damage damage;
            size_t count;
            assert_int_equal(hf_checkpoint_open_newest(o, "d", 0, &checkpoint, &damage, NULL),
                             HF_ERR_OK);
            const struct hf_run_ref *refs = hf_checkpoint_runs(checkpoint, &count);
            assert_int_equal(hf_index_open(o, "d", 0, &limits, refs, count, &index, NULL),
                             HF_ERR_OK);
            if (hf_checkpoint_info(checkpoint)->meta.position == old_position) {
                memcpy(model, old_model, sizeof(model));
                position = old_position;
            }
            hf_checkpoint_close(checkpoint);
            check_all(index);
            assert_int_equal(flush(index), HF_ERR_OK); /* and it goes on */
            assert_int_equal(write_checkpoint(index), HF_ERR_OK);
            check_all(index);
            hf_index_close(index);
        }
    }
}

/* ---- Threads ---- */

#define READERS 3

static struct hf_index *shared;
static atomic_bool stop;
static atomic_uint lookups;

struct reader {
    uint64_t seed;        /* of its choice of keys; not 0 */
    unsigned wrong_count; /* answers that were wrong; valid after join */
};

/* Every key is in each set since the first flush, with a position that never goes back. */
static void *read_all_the_time(void *context)
{
    struct reader *reader = context;
    uint64_t random = reader->seed;
    uint64_t *seen = calloc(KEYS, sizeof(*seen));
    reader->wrong_count = seen == NULL;
    while (!atomic_load(&stop) && seen != NULL) {
        size_t number = store_random(&random) % KEYS;
        struct hf_index_key key = key_of(number);
        struct hf_index_value value;
        bool found;
        enum hf_err err = hf_index_get(shared, &key, &found, &value, NULL);
        reader->wrong_count += err != HF_ERR_OK || !found || value.flags != number ||
                               value.position == 0 || value.position < seen[number];
        seen[number] = value.position;
        atomic_fetch_add(&lookups, 1);
    }
    free(seen);
    return NULL;
}

/* The merge worker. */
static void *merge_all_the_time(void *context)
{
    unsigned *wrong_count = context;
    while (!atomic_load(&stop)) {
        struct hf_index_set *set = hf_index_acquire(shared);
        struct hf_index_pick pick;
        if (hf_index_pick_merge(shared, set, &pick)) {
            *wrong_count += hf_index_merge(shared, set, &pick, NULL, NULL) != HF_ERR_OK;
        }
        hf_index_release(shared, set);
    }
    return NULL;
}

static enum hf_err flush_every_key(struct hf_index *index)
{
    struct hf_run_meta meta = {.from_position = position + 1,
                               .to_position = position + 10,
                               .block_bytes = 256,
                               .record_count_max = KEYS};
    struct hf_run_writer *writer;
    struct hf_run_info info;
    assert_int_equal(hf_run_writer_start(o, "d", &meta, &writer, NULL), HF_ERR_OK);
    for (size_t number = 0; number < KEYS; number++) {
        struct hf_index_key key = key_of(number);
        struct hf_index_value value = value_of(number, meta.to_position);
        assert_int_equal(hf_run_writer_add(writer, &key, &value, NULL), HF_ERR_OK);
        model[number] = meta.to_position;
    }
    assert_int_equal(hf_run_writer_finish(writer, &info, NULL), HF_ERR_OK);
    position += 10;
    return hf_index_add(index, &info.ref, NULL);
}

static void readers_meet_no_replacement(void **state)
{
    (void)state;
    pthread_t threads[READERS];
    pthread_t merger;
    unsigned merges_failed = 0;
    struct reader readers[READERS];
    shared = open_empty();
    assert_int_equal(flush_every_key(shared), HF_ERR_OK);
    atomic_store(&stop, false);
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.seed = first_seed + i};
        assert_int_equal(pthread_create(&threads[i], NULL, read_all_the_time, &readers[i]), 0);
    }
    assert_int_equal(pthread_create(&merger, NULL, merge_all_the_time, &merges_failed), 0);
    for (int round = 0; round < 40; round++) {
        assert_int_equal(flush(shared), HF_ERR_OK);
        /* Old files are removed under the readers' hands; their open files stay readable. */
        struct hf_checkpoint_meta meta = {.position = position};
        struct hf_checkpoint_writer *writer;
        struct hf_checkpoint_info info;
        struct hf_store_cleaned cleaned;
        assert_int_equal(hf_checkpoint_writer_start(o, "d", &meta, &writer, NULL), HF_ERR_OK);
        assert_int_equal(hf_checkpoint_writer_finish(writer, &info, NULL), HF_ERR_OK);
        assert_int_equal(hf_index_clean(shared, &cleaned, NULL), HF_ERR_OK);
    }
    unsigned before = atomic_load(&lookups);
    while (atomic_load(&lookups) < before + 2000) {
        (void)hf_index_covered(shared);
    }
    struct hf_run_ref refs[HF_INDEX_RUNS_MAX];
    while (refs_of(shared, refs) > RUNS_MAX) {
        (void)sched_yield();
    }
    atomic_store(&stop, true);
    assert_int_equal(pthread_join(merger, NULL), 0);
    assert_int_equal(merges_failed, 0);
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(readers[i].wrong_count, 0);
    }
    check_all(shared);
    hf_index_close(shared);
}

int main(void)
{
    const char *seed = getenv("SEED");
    first_seed = seed == NULL ? 1 : strtoull(seed, NULL, 10);
    first_seed += first_seed == 0;
    print_message("# SEED=%llu\n", (unsigned long long)first_seed);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_index_follows_a_model),
        TEST(a_merge_of_all_can_drop),
        TEST(checkpoints_go_on_beside_a_merge),
        TEST(bad_sets_are_refused),
        TEST(the_policy_is_cheap),
        TEST(every_fault_leaves_the_set_whole),
        TEST(every_crash_leaves_the_old_set_or_the_new),
        TEST(readers_meet_no_replacement),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    print_message("# SEED=%llu\n", (unsigned long long)first_seed);
    return failed;
}
