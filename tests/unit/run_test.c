/* Unit tests of src/store/run*: against a sorted array, with damage, faults and crashes. */
#include "store/run.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "store/run_priv.h"
#include "unit/store_outside.h"
#include "unit/support.h"

struct record {
    struct hf_index_key key;     /* sorted by it */
    struct hf_index_value value; /* of it */
};

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

/* Few distinct bytes, so that keys differ by kind, by id and by sub. */
static struct hf_index_key random_key(uint64_t spread)
{
    struct hf_index_key key = {.kind = (uint8_t)roll(3), .sub = roll(spread) << roll(60)};
    for (int i = 0; i < 16; i += 5) {
        key.id.bytes[i] = (uint8_t)roll(spread);
    }
    return key;
}

static int by_key(const void *a, const void *b)
{
    return hf_index_key_compare(&((const struct record *)a)->key, &((const struct record *)b)->key);
}

/* Sorted, distinct; *count may shrink. */
static struct record *random_records(size_t *count, uint64_t spread)
{
    struct record *records = calloc(*count + 1, sizeof(*records));
    assert_non_null(records);
    for (size_t i = 0; i < *count; i++) {
        records[i].key = random_key(spread);
        records[i].value = (struct hf_index_value){store_random(&random_state), (uint32_t)i, 7};
    }
    qsort(records, *count, sizeof(*records), by_key);
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        if (kept == 0 || !hf_index_key_equal(&records[kept - 1].key, &records[i].key)) {
            records[kept++] = records[i];
        }
    }
    *count = kept;
    return records;
}

static struct hf_run_meta meta_of(uint64_t from, uint64_t to, uint32_t block_bytes, size_t count)
{
    return (struct hf_run_meta){.space = 5,
                                .from_position = from,
                                .to_position = to,
                                .block_bytes = block_bytes,
                                .record_count_max = count};
}

static enum hf_err write_run(const struct hf_run_meta *meta, const struct record *records,
                             size_t count, struct hf_run_info *info)
{
    struct hf_run_writer *writer;
    struct hf_error error = {0};
    enum hf_err err = hf_run_writer_start(o, "d", meta, &writer, &error);
    if (err != HF_ERR_OK) {
        assert_null(writer);
        return err;
    }
    for (size_t i = 0; i < count; i++) {
        err = hf_run_writer_add(writer, &records[i].key, &records[i].value, &error);
        if (err != HF_ERR_OK) {
            hf_run_writer_abort(writer);
            return err;
        }
    }
    return hf_run_writer_finish(writer, info, &error);
}

static struct hf_run *write_and_open(const struct hf_run_meta *meta, const struct record *records,
                                     size_t count)
{
    struct hf_run_info info;
    struct hf_run *run;
    assert_int_equal(write_run(meta, records, count, &info), HF_ERR_OK);
    assert_int_equal(hf_run_open(o, "d", 5, &info.ref, &run, NULL), HF_ERR_OK);
    assert_true(hf_hash_equal(&hf_run_info(run)->ref.hash, &info.ref.hash));
    assert_int_equal(hf_run_info(run)->ref.size_bytes, info.ref.size_bytes);
    assert_int_equal(hf_run_info(run)->record_count, info.record_count);
    assert_true(hf_index_key_equal(&hf_run_info(run)->first_key, &info.first_key));
    assert_true(hf_index_key_equal(&hf_run_info(run)->last_key, &info.last_key));
    return run;
}

static const char *path_of(const struct hf_run_ref *ref)
{
    static char path[HF_RUN_NAME_BYTES + 2];
    char name[HF_RUN_NAME_BYTES];
    hf_run_name(ref, name);
    (void)snprintf(path, sizeof(path), "d/%s", name);
    return path;
}

/* The first record at or above key. */
static size_t lower_bound(const struct record *records, size_t count,
                          const struct hf_index_key *key)
{
    size_t i = 0;
    while (i < count && hf_index_key_compare(&records[i].key, key) < 0) {
        i++;
    }
    return i;
}

static void check_get(struct hf_run *run, const struct record *records, size_t count,
                      const struct hf_index_key *key)
{
    bool found;
    struct hf_index_value value;
    size_t at = lower_bound(records, count, key);
    bool there = at < count && hf_index_key_equal(&records[at].key, key);
    assert_int_equal(hf_run_get(run, key, hf_run_key_hash(key), &found, &value, NULL), HF_ERR_OK);
    assert_false(found && hf_run_lacks(run, key, hf_run_key_hash(key)));
    assert_int_equal(found, there);
    if (there) {
        assert_memory_equal(&value, &records[at].value, sizeof(value));
    }
}

static void check_walk(struct hf_run *run, const struct record *records, size_t count,
                       const struct hf_index_key *from)
{
    struct hf_run_iterator iterator;
    size_t at = from == NULL ? 0 : lower_bound(records, count, from);
    assert_int_equal(hf_run_iterator_init(&iterator, run, from, NULL), HF_ERR_OK);
    for (; at < count; at++) {
        assert_true(iterator.valid);
        assert_memory_equal(&iterator.key, &records[at].key, sizeof(iterator.key));
        assert_memory_equal(&iterator.value, &records[at].value, sizeof(iterator.value));
        assert_int_equal(hf_run_iterator_next(&iterator, NULL), HF_ERR_OK);
    }
    assert_false(iterator.valid);
    hf_run_iterator_release(&iterator);
}

static void keys_have_one_order_and_one_encoding(void **state)
{
    (void)state;
    size_t count = 300;
    struct record *records = random_records(&count, 4);
    for (size_t i = 0; i + 1 < count; i++) {
        uint8_t encoded[HF_INDEX_RECORD_BYTES];
        hf_put_index_key(encoded, &records[i].key);
        hf_put_index_value(encoded + HF_INDEX_KEY_BYTES, &records[i].value);
        struct hf_index_key key = hf_get_index_key(encoded);
        struct hf_index_value value = hf_get_index_value(encoded + HF_INDEX_KEY_BYTES);
        assert_memory_equal(&key, &records[i].key, sizeof(key));
        assert_memory_equal(&value, &records[i].value, sizeof(value));
        assert_true(hf_run_key_compare(encoded, &records[i + 1].key) < 0);
        assert_true(hf_run_key_compare(encoded, &records[i].key) == 0);
        hf_put_index_key(encoded, &records[i + 1].key);
        assert_true(hf_run_key_compare(encoded, &records[i].key) > 0);
    }
    struct hf_index_key low = {.kind = 1, .sub = 255};
    struct hf_index_key high = {.kind = 1, .sub = 256};
    assert_true(hf_index_key_compare(&low, &high) < 0); /* as a number, not by bytes */
    free(records);
}

static void names_are_exact(void **state)
{
    (void)state;
    struct hf_run_ref ref = {.from_position = 1, .to_position = UINT64_MAX, .generation = 7};
    struct hf_run_ref back;
    char name[HF_RUN_NAME_BYTES];
    hf_run_name(&ref, name);
    assert_string_equal(name, "index-00000000000000000001-18446744073709551615-0000000007.run");
    assert_true(hf_run_name_parse(hf_str_from(name), &back));
    assert_true(back.from_position == 1 && back.to_position == UINT64_MAX && back.generation == 7);
    static const char *const bad[] = {
        "",
        "index-",
        "index-00000000000000000001-00000000000000000002-0000000007.run.tmp",
        "index-00000000000000000001-00000000000000000002-0000000007.rux",
        "index-00000000000000000001-00000000000000000002-4294967296.run",
        "index-00000000000000000001-18446744073709551616-0000000007.run",
        "index-00000000000000000003-00000000000000000002-0000000007.run",
        "index-0000000000000000000a-00000000000000000002-0000000007.run",
        "index-00000000000000000001+00000000000000000002-0000000007.run",
        "Index-00000000000000000001-00000000000000000002-0000000007.run",
        "index-1-2-7.run",
    };
    for (size_t i = 0; i < HF_ARRAY_COUNT(bad); i++) {
        assert_false(hf_run_name_parse(hf_str_from(bad[i]), &back));
    }
}

static void records_come_back(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 2, 3, 98, 99, 100, 198, 199, 1000, 7000};
    static const uint32_t blocks[] = {128, 256, 4096, 16384};
    for (size_t i = 0; i < HF_ARRAY_COUNT(counts) * HF_ARRAY_COUNT(blocks); i++) {
        size_t count = counts[i / HF_ARRAY_COUNT(blocks)];
        struct record *records = random_records(&count, 100);
        struct hf_run_meta meta =
            meta_of(10, 20, blocks[i % HF_ARRAY_COUNT(blocks)], count + roll(5) * 100);
        struct hf_run *run = write_and_open(&meta, records, count);
        assert_int_equal(hf_run_info(run)->record_count, count);
        for (size_t k = 0; k < 400; k++) {
            struct hf_index_key key = random_key(k % 2 == 0 ? 100 : 3);
            check_get(run, records, count, &key);
            if (count > 0) {
                check_get(run, records, count, &records[roll(count)].key);
            }
            if (k % 40 == 0) {
                check_walk(run, records, count, &key);
            }
        }
        check_walk(run, records, count, NULL);
        assert_int_equal(hf_run_verify(run, NULL), HF_ERR_OK);
        /* The same with the filter on disk. */
        hf_free(run->filter);
        run->filter = NULL;
        for (size_t k = 0; k < 200 && count > 0; k++) {
            struct hf_index_key key = random_key(100);
            check_get(run, records, count, &key);
            check_get(run, records, count, &records[roll(count)].key);
        }
        hf_run_release(run);
        free(records);
    }
}

static void the_filter_spares_reads(void **state)
{
    (void)state;
    size_t count = 20000;
    struct record *records = random_records(&count, 256);
    struct hf_run_meta meta = meta_of(1, 2, 4096, count);
    struct hf_run *run = write_and_open(&meta, records, count);
    store_outside_fail(world, 0, HF_ERR_OK);
    uint64_t misses = 0;
    for (size_t i = 0; i < 20000; i++) {
        struct hf_index_key key = random_key(256);
        key.id.bytes[1] = 1; /* never in a record */
        check_get(run, records, 0, &key);
        misses++;
    }
    print_message("# %llu reads for %llu misses\n", (unsigned long long)store_outside_calls(world),
                  (unsigned long long)misses);
    assert_true(store_outside_calls(world) < misses * 25 / 1000);
    store_outside_fail(world, 0, HF_ERR_OK);
    for (size_t i = 0; i < 1000; i++) {
        check_get(run, records, count, &records[roll(count)].key);
    }
    assert_int_equal(store_outside_calls(world), 1000); /* one block a hit */
    hf_run_release(run);
    free(records);
}

/* Opens, reads everything, compares: true = every answer was right, false = an error was seen.
 * A wrong answer fails the test. */
static bool usable(const struct hf_run_ref *ref, const struct record *records, size_t count,
                   enum hf_err allowed)
{
    struct hf_run *run;
    bool good = true;
    enum hf_err err = hf_run_open(o, "d", 5, ref, &run, NULL);
    if (err != HF_ERR_OK) {
        assert_null(run);
        assert_true(err == allowed || err == HF_ERR_VERSION);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        bool found;
        struct hf_index_value value;
        const struct hf_index_key *key = &records[i].key;
        err = hf_run_get(run, key, hf_run_key_hash(key), &found, &value, NULL);
        if (err == HF_ERR_OK) {
            assert_true(found);
            assert_memory_equal(&value, &records[i].value, sizeof(value));
        } else {
            assert_int_equal(err, allowed);
            assert_false(found);
            good = false;
        }
    }
    err = hf_run_verify(run, NULL);
    assert_true(err == HF_ERR_OK || err == allowed);
    hf_run_release(run);
    return good && err == HF_ERR_OK;
}

static void every_damage_is_found(void **state)
{
    (void)state;
    size_t count = 40;
    struct record *records = random_records(&count, 256);
    struct hf_run_meta meta = meta_of(3, 9, 256, count);
    struct hf_run_info info;
    assert_int_equal(write_run(&meta, records, count, &info), HF_ERR_OK);
    struct hf_run_ref anonymous = info.ref;
    anonymous.size_bytes = 0; /* so that the file is judged by itself */
    size_t size;
    const char *path = path_of(&info.ref);
    uint8_t *bytes = store_outside_get(world, path, &size);
    assert_int_equal(size, info.ref.size_bytes);
    assert_true(usable(&info.ref, records, count, HF_ERR_OK));
    assert_true(usable(&anonymous, records, count, HF_ERR_OK));
    for (size_t i = 0; i < size; i++) {
        uint8_t flip = (uint8_t)(1 + roll(255));
        bytes[i] ^= flip;
        store_outside_put(world, path, bytes, size);
        assert_false(usable(&anonymous, records, count, HF_ERR_CORRUPT));
        bytes[i] ^= flip;
    }
    for (size_t i = 0; i < size; i++) {
        store_outside_put(world, path, bytes, i);
        assert_false(usable(&anonymous, records, count, HF_ERR_CORRUPT));
    }
    uint8_t *longer = calloc(1, size + 256);
    assert_non_null(longer);
    memcpy(longer, bytes, size);
    store_outside_put(world, path, longer, size + 1);
    assert_false(usable(&anonymous, records, count, HF_ERR_CORRUPT));
    store_outside_put(world, path, longer, size + 256);
    assert_false(usable(&anonymous, records, count, HF_ERR_CORRUPT));
    free(longer);
    free(bytes);
    free(records);
}

/* A whole run in the place of another: by name, by content, block by block. */
static void another_run_is_not_taken_for_this_one(void **state)
{
    (void)state;
    size_t count = 60;
    struct record *records = random_records(&count, 256);
    struct hf_run_meta meta = meta_of(3, 9, 256, count);
    struct hf_run_info first, second;
    struct hf_run *run;
    assert_int_equal(write_run(&meta, records, count, &first), HF_ERR_OK);
    size_t size;
    uint8_t *bytes = store_outside_get(world, path_of(&first.ref), &size);
    records[4].value.position++;
    assert_int_equal(write_run(&meta, records, count, &second), HF_ERR_OK);
    assert_int_equal(hf_run_open(o, "d", 5, &first.ref, &run, NULL), HF_ERR_CORRUPT);
    meta.generation = 1;
    assert_int_equal(write_run(&meta, records, count, &second), HF_ERR_OK);
    store_outside_put(world, path_of(&second.ref), bytes, size);
    second.ref.size_bytes = 0;
    assert_int_equal(hf_run_open(o, "d", 5, &second.ref, &run, NULL), HF_ERR_CORRUPT);
    store_outside_put(world, path_of(&first.ref), bytes, size);
    assert_int_equal(hf_run_open(o, "d", 6, &first.ref, &run, NULL), HF_ERR_CORRUPT);
    /* Blocks of the same run, exchanged. */
    uint8_t block[256];
    memcpy(block, bytes + HF_STORE_HEADER_BYTES, 256);
    memmove(bytes + HF_STORE_HEADER_BYTES, bytes + HF_STORE_HEADER_BYTES + 256, 256);
    memcpy(bytes + HF_STORE_HEADER_BYTES + 256, block, 256);
    store_outside_put(world, path_of(&first.ref), bytes, size);
    records[4].value.position--;
    assert_false(usable(&first.ref, records, count, HF_ERR_CORRUPT));
    free(bytes);
    free(records);
}

/* Three runs over the same keys, and what a merge of them must give. */
struct layers {
    struct record *records[3]; /* newest first */
    size_t count[3];           /* of each */
    struct record *merged;     /* the newest of each key */
    size_t merged_count;       /* of merged */
};

static void layers_init(struct layers *layers, size_t count)
{
    struct record *all = NULL;
    size_t total = 0;
    for (size_t i = 0; i < 3; i++) {
        layers->count[i] = i == 1 ? count / 2 : count;
        layers->records[i] = random_records(&layers->count[i], 5);
        for (size_t k = 0; k < layers->count[i]; k++) {
            layers->records[i][k].value.position = 100 - i * 10 + roll(10);
        }
        all = realloc(all, (total + layers->count[i] + 1) * sizeof(*all));
        assert_non_null(all);
        for (size_t k = 0; k < layers->count[i]; k++) {
            size_t at = lower_bound(all, total, &layers->records[i][k].key);
            if (at == total || !hf_index_key_equal(&all[at].key, &layers->records[i][k].key)) {
                memmove(all + at + 1, all + at, (total - at) * sizeof(*all));
                all[at] = layers->records[i][k];
                total++;
            }
        }
    }
    layers->merged = all;
    layers->merged_count = total;
}

static void layers_release(struct layers *layers)
{
    for (size_t i = 0; i < 3; i++) {
        free(layers->records[i]);
    }
    free(layers->merged);
}

static void open_layers(const struct layers *layers, struct hf_run *runs[3])
{
    for (size_t i = 0; i < 3; i++) {
        struct hf_run_meta meta = meta_of(100 - i * 10, 109 - i * 10, 256, layers->count[i]);
        meta.generation = (uint32_t)i;
        runs[i] = write_and_open(&meta, layers->records[i], layers->count[i]);
    }
}

/* Once it was asked *context times. */
static bool stop_then(void *context)
{
    size_t *left = context;
    return (*left)-- == 0;
}

/* Without the records of kind 1 up to a position, and again with nothing to drop: what was dropped is remembered. */
static void merge_and_drop(struct layers *layers, struct hf_run *const runs[3], uint64_t position)
{
    struct hf_run *merged;
    struct hf_run_info info;
    struct hf_run_merge_rules rules = {.drop_kind = 1, .drop_to_position = position};
    assert_int_equal(hf_run_merge(o, "d", runs, 3, 512, &rules, &info, NULL), HF_ERR_OK);
    struct record *expected = calloc(layers->merged_count + 1, sizeof(*expected));
    assert_non_null(expected);
    size_t kept = 0;
    size_t of_kind = 0;
    uint64_t dropped_to = 0;
    for (size_t k = 0; k < layers->merged_count; k++) {
        const struct record *record = &layers->merged[k];
        if (record->key.kind != 1 || record->value.position > position) {
            expected[kept++] = *record;
            of_kind += record->key.kind == 1;
        } else {
            dropped_to = hf_max_u64(dropped_to, record->value.position);
        }
    }
    assert_int_equal(info.dropped_to, dropped_to);
    assert_int_equal(info.record_count, kept);
    assert_int_equal(hf_run_open(o, "d", 5, &info.ref, &merged, NULL), HF_ERR_OK);
    check_walk(merged, expected, kept, NULL);
    assert_int_equal(hf_run_verify(merged, NULL), HF_ERR_OK);
    assert_int_equal(hf_run_info(merged)->dropped_to, dropped_to);
    assert_int_equal(hf_run_kind_count(merged, 1), of_kind);
    assert_int_equal(hf_run_kind_count(merged, 77), 0);
    assert_int_equal(hf_run_merge(o, "d", &merged, 1, 4096, NULL, &info, NULL), HF_ERR_OK);
    assert_int_equal(info.dropped_to, dropped_to);
    assert_int_equal(info.record_count, kept);
    hf_run_release(merged);
    free(expected);
}

static void merges_keep_the_newest(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 50, 400, 3000};
    for (size_t i = 0; i < HF_ARRAY_COUNT(counts); i++) {
        struct layers layers;
        struct hf_run *runs[3];
        struct hf_run *merged;
        struct hf_run_info info;
        layers_init(&layers, counts[i]);
        open_layers(&layers, runs);
        assert_int_equal(hf_run_merge(o, "d", runs, 3, 128, NULL, &info, NULL), HF_ERR_OK);
        assert_int_equal(info.ref.from_position, 80);
        assert_int_equal(info.ref.to_position, 109);
        assert_int_equal(info.ref.generation, 3);
        assert_int_equal(hf_run_open(o, "d", 5, &info.ref, &merged, NULL), HF_ERR_OK);
        check_walk(merged, layers.merged, layers.merged_count, NULL);
        assert_int_equal(hf_run_verify(merged, NULL), HF_ERR_OK);
        hf_run_release(merged);
        uint64_t middle =
            layers.merged_count == 0 ? 1 : layers.merged[layers.merged_count / 2].value.position;
        merge_and_drop(&layers, runs, 0);
        merge_and_drop(&layers, runs, middle);
        merge_and_drop(&layers, runs, 109);
        size_t files = store_outside_file_count(world);
        size_t left = 2;
        struct hf_run_merge_rules rules = {.stops = stop_then, .context = &left};
        if (layers.merged_count > 3) {
            assert_int_equal(hf_run_merge(o, "d", runs, 3, 4096, &rules, &info, NULL),
                             HF_ERR_CLOSED);
            assert_int_equal(store_outside_file_count(world), files); /* nothing left behind */
        }
        for (size_t k = 0; k < 3; k++) {
            hf_run_release(runs[k]);
        }
        layers_release(&layers);
    }
}

/* Everything that touches the disk, once. OK, or the first error; no answer may be wrong. */
static enum hf_err scenario(const struct layers *layers, struct hf_run_ref *result)
{
    struct hf_run *runs[3] = {NULL, NULL, NULL};
    struct hf_run_info info = {0};
    enum hf_err err = HF_ERR_OK;
    for (size_t i = 0; i < 3 && err == HF_ERR_OK; i++) {
        struct hf_run_meta meta = meta_of(100 - i * 10, 109 - i * 10, 1024, layers->count[i]);
        err = write_run(&meta, layers->records[i], layers->count[i], &info);
        if (err == HF_ERR_OK) {
            err = hf_run_open(o, "d", 5, &info.ref, &runs[i], NULL);
        }
    }
    if (err == HF_ERR_OK) {
        err = hf_run_merge(o, "d", runs, 3, 1024, NULL, &info, NULL);
    }
    for (size_t i = 0; i < 3; i++) {
        hf_run_release(runs[i]);
    }
    struct hf_run *merged = NULL;
    if (err == HF_ERR_OK) {
        *result = info.ref;
        err = hf_run_open(o, "d", 5, &info.ref, &merged, NULL);
    }
    for (size_t i = 0; i < layers->merged_count && err == HF_ERR_OK; i++) {
        bool found;
        struct hf_index_value value;
        const struct hf_index_key *key = &layers->merged[i].key;
        err = hf_run_get(merged, key, hf_run_key_hash(key), &found, &value, NULL);
        if (err == HF_ERR_OK) {
            assert_true(found);
            assert_memory_equal(&value, &layers->merged[i].value, sizeof(value));
        }
    }
    if (err == HF_ERR_OK) {
        err = hf_run_verify(merged, NULL);
    }
    hf_run_release(merged);
    return err;
}

/* Whatever has a final name is whole. */
static void check_whole(void *context, struct hf_str name)
{
    struct hf_run_ref *refs = context;
    struct hf_run_ref ref;
    if (hf_run_name_parse(name, &ref)) {
        size_t i = 0;
        while (refs[i].to_position != 0) {
            i++;
        }
        assert_true(i < 7);
        refs[i] = ref;
    }
}

static void check_directory(void)
{
    struct hf_run_ref refs[8] = {0};
    assert_int_equal(o->list(o, "d", check_whole, refs, NULL), HF_ERR_OK);
    for (size_t i = 0; refs[i].to_position != 0; i++) {
        struct hf_run *run;
        assert_int_equal(hf_run_open(o, "d", 5, &refs[i], &run, NULL), HF_ERR_OK);
        assert_int_equal(hf_run_verify(run, NULL), HF_ERR_OK);
        hf_run_release(run);
    }
}

static void every_io_fails_in_turn(void **state)
{
    (void)state;
    struct layers layers;
    layers_init(&layers, 60);
    static const enum hf_err codes[] = {HF_ERR_IO, HF_ERR_NO_SPACE};
    for (size_t c = 0; c < HF_ARRAY_COUNT(codes); c++) {
        uint64_t n = 1;
        for (;; n++) {
            struct hf_run_ref result;
            store_outside_free(world);
            world = store_outside_new();
            o = store_outside_of(world);
            store_outside_fail(world, n, codes[c]);
            enum hf_err err = scenario(&layers, &result);
            bool failed = store_outside_failed(world);
            store_outside_fail(world, 0, HF_ERR_OK);
            assert_int_equal(err, failed ? codes[c] : HF_ERR_OK);
            assert_int_equal(store_outside_open_count(world), 0);
            check_directory();
            if (!failed) {
                break;
            }
            assert_int_equal(scenario(&layers, &result), HF_ERR_OK); /* a repetition works */
        }
        print_message("# %llu calls failed in turn\n", (unsigned long long)n - 1);
        assert_true(n > 50);
    }
    layers_release(&layers);
}

static void every_crash_leaves_whole_files(void **state)
{
    (void)state;
    struct layers layers;
    layers_init(&layers, 60);
    for (uint64_t seed = 0; seed < 4; seed++) {
        for (uint64_t n = 1;; n++) {
            struct hf_run_ref result = {0};
            store_outside_free(world);
            world = store_outside_new();
            o = store_outside_of(world);
            store_outside_crash_at(world, n);
            enum hf_err err = scenario(&layers, &result);
            bool failed = store_outside_failed(world);
            assert_int_equal(err, failed ? HF_ERR_CRASHED : HF_ERR_OK);
            store_outside_power_cycle(world, seed == 0 ? 0 : seed * 1000 + n);
            check_directory();
            if (result.size_bytes != 0) { /* it was finished: it has survived */
                assert_true(usable(&result, layers.merged, layers.merged_count, HF_ERR_OK));
            }
            if (!failed) {
                break;
            }
            assert_int_equal(scenario(&layers, &result), HF_ERR_OK);
        }
    }
    layers_release(&layers);
}

static void every_allocation_fails_in_turn(void **state)
{
    (void)state;
    struct layers layers;
    layers_init(&layers, 200);
    uint64_t n = 1;
    for (;; n++) {
        struct hf_run_ref result;
        hf_alloc_fault_set(n);
        enum hf_err err = scenario(&layers, &result);
        bool hit = hf_alloc_fault_hit();
        hf_alloc_fault_set(0);
        assert_int_equal(err, hit ? HF_ERR_NO_MEMORY : HF_ERR_OK);
        check_directory();
        if (!hit) {
            break;
        }
    }
    assert_true(n > 20);
    layers_release(&layers);
}

int main(void)
{
    const char *seed = getenv("SEED");
    first_seed = seed == NULL ? 1 : strtoull(seed, NULL, 10);
    first_seed += first_seed == 0;
    print_message("# SEED=%llu\n", (unsigned long long)first_seed);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(keys_have_one_order_and_one_encoding),
        TEST(names_are_exact),
        TEST(records_come_back),
        TEST(the_filter_spares_reads),
        TEST(every_damage_is_found),
        TEST(another_run_is_not_taken_for_this_one),
        TEST(merges_keep_the_newest),
        TEST(every_io_fails_in_turn),
        TEST(every_crash_leaves_whole_files),
        TEST(every_allocation_fails_in_turn),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    print_message("# SEED=%llu\n", (unsigned long long)first_seed);
    return failed;
}
