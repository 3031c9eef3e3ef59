#include "unit/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "sim/world.h"

#define SECTOR HF_FS_SECTOR_BYTES

static struct hf_fs_loss loss_of(uint32_t sectors_ppm, uint32_t names_ppm)
{
    return (struct hf_fs_loss){.sector_lost_ppm = sectors_ppm, .name_lost_ppm = names_ppm};
}

static struct hf_file *must_open(struct hf_outside *o, const char *path, enum hf_open_mode mode)
{
    struct hf_file *file;
    struct hf_error error = {0};
    assert_int_equal(o->open(o, path, mode, &file, &error), HF_ERR_OK);
    return file;
}

static void must_write(struct hf_outside *o, struct hf_file *file, uint64_t offset, char fill,
                       size_t size_bytes)
{
    char *data = malloc(size_bytes);
    assert_non_null(data);
    memset(data, fill, size_bytes);
    assert_int_equal(o->write(o, file, offset, data, size_bytes, NULL), HF_ERR_OK);
    free(data);
}

/* The byte that fills a sector, or 0 if it is not uniform or not there. */
static char sector_fill(struct hf_outside *o, struct hf_file *file, size_t sector)
{
    char data[SECTOR];
    size_t read_bytes;
    assert_int_equal(o->read(o, file, sector * SECTOR, data, SECTOR, &read_bytes, NULL), HF_ERR_OK);
    for (size_t i = 1; i < read_bytes; i++) {
        if (data[i] != data[0]) {
            return 0;
        }
    }
    return read_bytes == SECTOR ? data[0] : 0;
}

/* A world with one machine that is up and a directory "d" that is durable. */
struct fixture {
    struct hf_world *world;           /* owned */
    struct hf_world_machine *machine; /* of the world */
    struct hf_outside *o;             /* its process */
};

static struct fixture fixture_new(uint64_t seed)
{
    struct fixture f = {.world = hf_world_new(seed)};
    f.machine = hf_world_machine_new(f.world, NULL);
    f.o = hf_world_boot(f.machine);
    assert_int_equal(f.o->make_directory(f.o, "d", NULL), HF_ERR_OK);
    assert_int_equal(f.o->sync_directory(f.o, ".", NULL), HF_ERR_OK);
    return f;
}

static void fixture_reboot(struct fixture *f, enum hf_crash_kind kind)
{
    hf_world_crash(f->machine, kind);
    f->o = hf_world_boot(f->machine);
    hf_fs_verify(hf_world_machine_disk(f->machine));
}

static bool exists(struct hf_outside *o, const char *path)
{
    struct hf_file *file;
    enum hf_err result = o->open(o, path, HF_OPEN_READ, &file, NULL);
    o->close(o, file);
    assert_true(result == HF_ERR_OK || result == HF_ERR_NOT_FOUND);
    return result == HF_ERR_OK;
}

/* A durable file of four sectors 'a', open for writing. */
static struct hf_file *file_of_a(struct fixture *f)
{
    struct hf_file *file = must_open(f->o, "d/file", HF_OPEN_CREATE_NEW);
    must_write(f->o, file, 0, 'a', (size_t)4 * SECTOR);
    assert_int_equal(f->o->sync(f->o, file, NULL), HF_ERR_OK);
    assert_int_equal(f->o->sync_directory(f->o, "d", NULL), HF_ERR_OK);
    return file;
}

static void test_unsynced_is_lost_or_kept(void **state)
{
    (void)state;
    for (unsigned kept = 0; kept < 2; kept++) {
        struct fixture f = fixture_new(1);
        hf_world_knobs(f.world)->loss = loss_of(kept ? 0 : HF_PPM, HF_PPM);
        struct hf_file *file = file_of_a(&f);
        must_write(f.o, file, SECTOR, 'b', (size_t)5 * SECTOR);
        fixture_reboot(&f, HF_CRASH_POWER);
        file = must_open(f.o, "d/file", HF_OPEN_READ);
        uint64_t size_bytes;
        assert_int_equal(f.o->size(f.o, file, &size_bytes, NULL), HF_ERR_OK);
        assert_int_equal(sector_fill(f.o, file, 0), 'a');
        assert_int_equal(sector_fill(f.o, file, 1), kept ? 'b' : 'a');
        if (!kept) {
            assert_int_equal(size_bytes, 4 * SECTOR);
        }
        hf_world_free(f.world);
    }
}

static void test_each_sector_goes_its_own_way(void **state)
{
    (void)state;
    unsigned seen[4] = {0}; /* of sectors 1 and 2: old/new each */
    for (uint64_t seed = 0; seed < 64; seed++) {
        struct fixture f = fixture_new(seed);
        hf_world_knobs(f.world)->loss = loss_of(HF_PPM / 2, 0);
        struct hf_file *file = file_of_a(&f);
        must_write(f.o, file, SECTOR, 'b', (size_t)2 * SECTOR);
        fixture_reboot(&f, HF_CRASH_POWER);
        file = must_open(f.o, "d/file", HF_OPEN_READ);
        char one = sector_fill(f.o, file, 1);
        char two = sector_fill(f.o, file, 2);
        assert_true((one == 'a' || one == 'b') && (two == 'a' || two == 'b'));
        seen[(one == 'b') * 2 + (two == 'b')]++;
        assert_int_equal(sector_fill(f.o, file, 0), 'a');
        assert_int_equal(sector_fill(f.o, file, 3), 'a');
        hf_world_free(f.world);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_true(seen[i] > 0);
    }
}

static void test_one_sector_tears(void **state)
{
    (void)state;
    for (unsigned garbage = 0; garbage < 2; garbage++) {
        unsigned torn_total = 0;
        for (uint64_t seed = 0; seed < 50; seed++) {
            struct fixture f = fixture_new(seed);
            struct hf_fs_loss loss = loss_of(HF_PPM / 2, 0);
            loss.torn_ppm = HF_PPM;
            loss.torn_garbage = garbage != 0;
            hf_world_knobs(f.world)->loss = loss;
            struct hf_file *file = file_of_a(&f);
            must_write(f.o, file, 0, 'b', (size_t)4 * SECTOR);
            fixture_reboot(&f, HF_CRASH_POWER);
            file = must_open(f.o, "d/file", HF_OPEN_READ);
            unsigned torn = 0;
            for (size_t i = 0; i < 4; i++) {
                torn += sector_fill(f.o, file, i) == 0;
            }
            assert_true(torn <= 1);
            torn_total += torn;
            hf_world_free(f.world);
        }
        assert_true(torn_total >= 40); /* a tear at byte 0 is no tear */
    }
}

static void test_names_need_a_directory_sync(void **state)
{
    (void)state;
    struct fixture f = fixture_new(3);
    hf_world_knobs(f.world)->loss = loss_of(0, HF_PPM);
    struct hf_file *file = must_open(f.o, "d/new", HF_OPEN_CREATE_NEW);
    must_write(f.o, file, 0, 'a', 10);
    assert_int_equal(f.o->sync(f.o, file, NULL), HF_ERR_OK);
    fixture_reboot(&f, HF_CRASH_POWER);
    assert_false(exists(f.o, "d/new")); /* synced itself, its name was not */

    (void)file_of_a(&f);
    assert_int_equal(f.o->rename(f.o, "d/file", "d/moved", NULL), HF_ERR_OK);
    assert_true(exists(f.o, "d/moved") && !exists(f.o, "d/file"));
    fixture_reboot(&f, HF_CRASH_POWER);
    assert_true(!exists(f.o, "d/moved") && exists(f.o, "d/file"));

    assert_int_equal(f.o->rename(f.o, "d/file", "d/moved", NULL), HF_ERR_OK);
    assert_int_equal(f.o->sync_directory(f.o, "d", NULL), HF_ERR_OK);
    fixture_reboot(&f, HF_CRASH_POWER);
    assert_true(exists(f.o, "d/moved") && !exists(f.o, "d/file"));

    assert_int_equal(f.o->remove(f.o, "d/moved", NULL), HF_ERR_OK);
    fixture_reboot(&f, HF_CRASH_POWER);
    assert_true(exists(f.o, "d/moved"));

    assert_int_equal(f.o->make_directory(f.o, "d/sub", NULL), HF_ERR_OK);
    (void)must_open(f.o, "d/sub/x", HF_OPEN_CREATE_NEW);
    assert_int_equal(f.o->sync_directory(f.o, "d/sub", NULL), HF_ERR_OK);
    fixture_reboot(&f, HF_CRASH_POWER);
    assert_false(exists(f.o, "d/sub/x")); /* its directory went */
    hf_world_free(f.world);
}

static void test_a_rename_over_a_file_is_atomic(void **state)
{
    (void)state;
    unsigned old_seen = 0;
    unsigned new_seen = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct fixture f = fixture_new(seed);
        (void)file_of_a(&f);
        struct hf_file *next = must_open(f.o, "d/tmp", HF_OPEN_CREATE_NEW);
        must_write(f.o, next, 0, 'b', SECTOR);
        assert_int_equal(f.o->sync(f.o, next, NULL), HF_ERR_OK);
        assert_int_equal(f.o->rename(f.o, "d/tmp", "d/file", NULL), HF_ERR_OK);
        fixture_reboot(&f, HF_CRASH_POWER);
        struct hf_file *file = must_open(f.o, "d/file", HF_OPEN_READ);
        char fill = sector_fill(f.o, file, 0);
        assert_true(fill == 'a' || fill == 'b');
        old_seen += fill == 'a';
        new_seen += fill == 'b';
        hf_world_free(f.world);
    }
    assert_true(old_seen > 0 && new_seen > 0);
}

static void test_a_kill_loses_nothing(void **state)
{
    (void)state;
    struct fixture f = fixture_new(4);
    hf_world_knobs(f.world)->loss = loss_of(HF_PPM, HF_PPM);
    struct hf_file *file = must_open(f.o, "d/x", HF_OPEN_CREATE_NEW);
    must_write(f.o, file, 0, 'x', SECTOR);
    fixture_reboot(&f, HF_CRASH_KILL);
    file = must_open(f.o, "d/x", HF_OPEN_READ_WRITE);
    assert_int_equal(sector_fill(f.o, file, 0), 'x');
    struct hf_file *direct = must_open(f.o, "d/x", HF_OPEN_READ_DIRECT);
    assert_int_equal(sector_fill(f.o, direct, 0), 'x'); /* on the device, though not flushed */
    fixture_reboot(&f, HF_CRASH_POWER);
    assert_false(exists(f.o, "d/x"));
    hf_world_free(f.world);
}

static void test_a_failed_sync_strands(void **state)
{
    (void)state;
    struct fixture f = fixture_new(5);
    hf_world_knobs(f.world)->loss = loss_of(0, 0);
    struct hf_file *file = file_of_a(&f);
    must_write(f.o, file, 0, 'b', SECTOR);
    hf_world_arm(f.machine, (struct hf_world_point){.op = HF_WORLD_OP_SYNC,
                                                    .file = HF_CLASS_COUNT,
                                                    .n = 1,
                                                    .action = HF_ACT_FAIL});
    assert_int_equal(f.o->sync(f.o, file, NULL), HF_ERR_IO);
    assert_false(hf_world_armed(f.machine));
    assert_int_equal(f.o->sync(f.o, file, NULL), HF_ERR_OK); /* Linux thinks the page clean */
    struct hf_file *direct = must_open(f.o, "d/file", HF_OPEN_READ_DIRECT);
    assert_int_equal(sector_fill(f.o, file, 0), 'b');
    assert_int_equal(sector_fill(f.o, direct, 0), 'a');
    fixture_reboot(&f, HF_CRASH_KILL);
    file = must_open(f.o, "d/file", HF_OPEN_READ_WRITE);
    assert_int_equal(sector_fill(f.o, file, 0), 'b');
    fixture_reboot(&f, HF_CRASH_POWER);
    file = must_open(f.o, "d/file", HF_OPEN_READ_WRITE);
    assert_int_equal(sector_fill(f.o, file, 0), 'a');

    /* Written again it is dirty again. */
    must_write(f.o, file, 0, 'c', SECTOR);
    hf_world_arm(f.machine, (struct hf_world_point){.op = HF_WORLD_OP_SYNC,
                                                    .file = HF_CLASS_COUNT,
                                                    .n = 1,
                                                    .action = HF_ACT_FAIL});
    assert_int_equal(f.o->sync(f.o, file, NULL), HF_ERR_IO);
    must_write(f.o, file, 0, 'd', SECTOR);
    assert_int_equal(f.o->sync(f.o, file, NULL), HF_ERR_OK);
    hf_world_knobs(f.world)->loss = loss_of(HF_PPM, HF_PPM);
    fixture_reboot(&f, HF_CRASH_POWER);
    file = must_open(f.o, "d/file", HF_OPEN_READ);
    assert_int_equal(sector_fill(f.o, file, 0), 'd');
    hf_world_free(f.world);
}

static void test_an_evicted_page_shows_the_device(void **state)
{
    (void)state;
    struct fixture f = fixture_new(6);
    struct hf_file *file = file_of_a(&f);
    must_write(f.o, file, 0, 'b', SECTOR);
    hf_world_knobs(f.world)->sync_error_ppm = HF_PPM;
    assert_int_equal(f.o->sync(f.o, file, NULL), HF_ERR_IO);
    hf_world_knobs(f.world)->sync_error_ppm = 0;
    hf_world_knobs(f.world)->evict_ppm = HF_PPM;
    fixture_reboot(&f, HF_CRASH_KILL);
    file = must_open(f.o, "d/file", HF_OPEN_READ);
    assert_int_equal(sector_fill(f.o, file, 0), 'a');
    hf_world_free(f.world);
}

static void test_a_full_disk(void **state)
{
    (void)state;
    struct fixture f = fixture_new(7);
    struct hf_fs *fs = hf_world_machine_disk(f.machine);
    struct hf_file *file = file_of_a(&f);
    assert_int_equal(hf_fs_used_bytes(fs), 4 * SECTOR);
    hf_fs_budget_set(fs, 5 * SECTOR);
    char data[SECTOR] = "";
    must_write(f.o, file, 0, 'b', (size_t)4 * SECTOR); /* in place */
    must_write(f.o, file, (uint64_t)4 * SECTOR, 'b', SECTOR);
    assert_int_equal(f.o->write(f.o, file, (uint64_t)5 * SECTOR - 1, data, 2, NULL),
                     HF_ERR_NO_SPACE);
    uint64_t size_bytes;
    assert_int_equal(f.o->size(f.o, file, &size_bytes, NULL), HF_ERR_OK);
    assert_int_equal(size_bytes, 5 * SECTOR);
    assert_int_equal(sector_fill(f.o, file, 4), 'b');
    assert_int_equal(f.o->truncate(f.o, file, (uint64_t)6 * SECTOR, NULL), HF_ERR_NO_SPACE);
    assert_int_equal(hf_world_counters(f.world)->no_space, 2);
    hf_fs_budget_set(fs, UINT64_MAX);
    assert_int_equal(f.o->write(f.o, file, (uint64_t)5 * SECTOR, data, SECTOR, NULL), HF_ERR_OK);
    f.o->close(f.o, file);
    assert_int_equal(f.o->remove(f.o, "d/file", NULL), HF_ERR_OK);
    assert_int_equal(hf_fs_used_bytes(fs), 0);
    hf_fs_verify(fs);
    hf_world_free(f.world);
}

static void test_truncate_and_grow_reads_zeros(void **state)
{
    (void)state;
    struct fixture f = fixture_new(8);
    hf_world_knobs(f.world)->loss = loss_of(HF_PPM, HF_PPM);
    struct hf_file *file = file_of_a(&f);
    assert_int_equal(f.o->truncate(f.o, file, 100, NULL), HF_ERR_OK);
    assert_int_equal(f.o->truncate(f.o, file, (uint64_t)2 * SECTOR, NULL), HF_ERR_OK);
    char data[2 * SECTOR];
    size_t read_bytes;
    assert_int_equal(f.o->read(f.o, file, 0, data, sizeof(data), &read_bytes, NULL), HF_ERR_OK);
    assert_int_equal(read_bytes, 2 * SECTOR);
    assert_true(data[99] == 'a' && data[100] == 0 && data[1023] == 0);
    fixture_reboot(&f, HF_CRASH_POWER); /* the truncation was not synced */
    file = must_open(f.o, "d/file", HF_OPEN_READ_WRITE);
    assert_int_equal(sector_fill(f.o, file, 3), 'a');
    assert_int_equal(f.o->truncate(f.o, file, 100, NULL), HF_ERR_OK);
    assert_int_equal(f.o->sync(f.o, file, NULL), HF_ERR_OK);
    fixture_reboot(&f, HF_CRASH_POWER);
    file = must_open(f.o, "d/file", HF_OPEN_READ);
    assert_int_equal(f.o->read(f.o, file, 0, data, sizeof(data), &read_bytes, NULL), HF_ERR_OK);
    assert_int_equal(read_bytes, 100);
    hf_world_free(f.world);
}

static void list_append(void *context, struct hf_str name)
{
    char *text = context;
    size_t used = strlen(text);
    (void)snprintf(text + used, 200 - used, "%.*s ", (int)name.len, name.ptr);
}

static void test_lists_are_in_order(void **state)
{
    (void)state;
    struct fixture f = fixture_new(9);
    (void)must_open(f.o, "d/b", HF_OPEN_CREATE_NEW);
    (void)must_open(f.o, "./d//a", HF_OPEN_CREATE_NEW);
    assert_int_equal(f.o->make_directory(f.o, "d/c", NULL), HF_ERR_OK);
    (void)must_open(f.o, "d/c/x", HF_OPEN_CREATE_NEW);
    struct hf_file *file;
    assert_int_equal(f.o->open(f.o, "d/a", HF_OPEN_CREATE_NEW, &file, NULL), HF_ERR_EXISTS);
    assert_int_equal(f.o->open(f.o, "e/a", HF_OPEN_CREATE_NEW, &file, NULL), HF_ERR_NOT_FOUND);
    char text[200] = "";
    assert_int_equal(f.o->list(f.o, "d", list_append, text, NULL), HF_ERR_OK);
    assert_string_equal(text, "a b c ");
    assert_int_equal(f.o->list(f.o, "e", list_append, text, NULL), HF_ERR_NOT_FOUND);
    hf_world_free(f.world);
}

static void count_call(void *context)
{
    *(unsigned *)context += 1;
}

static void test_crash_points(void **state)
{
    (void)state;
    for (unsigned action = HF_ACT_CRASH_BEFORE; action <= HF_ACT_CRASH_AFTER; action++) {
        struct fixture f = fixture_new(10 + action);
        unsigned crashes = 0;
        hf_world_on_crash(f.machine, count_call, &crashes);
        struct hf_file *file = file_of_a(&f);
        hf_world_arm(f.machine, (struct hf_world_point){.op = HF_WORLD_OP_WRITE,
                                                        .file = HF_CLASS_OTHER,
                                                        .n = 2,
                                                        .action = action,
                                                        .crash = HF_CRASH_KILL});
        must_write(f.o, file, 0, 'b', SECTOR);
        char data[3 * SECTOR];
        memset(data, 'c', sizeof(data));
        struct hf_error error = {0};
        assert_int_equal(f.o->write(f.o, file, SECTOR, data, sizeof(data), &error), HF_ERR_CRASHED);
        assert_true(error.text[0] != '\0');
        assert_int_equal(f.o->write(f.o, file, 0, data, sizeof(data), NULL), HF_ERR_CRASHED);
        assert_int_equal(f.o->sync(f.o, file, NULL), HF_ERR_CRASHED);
        assert_false(hf_world_up(f.machine));
        assert_int_equal(crashes, 0);
        assert_true(hf_world_step(f.world));
        assert_int_equal(crashes, 1);
        f.o->close(f.o, file);
        f.o = hf_world_boot(f.machine);
        file = must_open(f.o, "d/file", HF_OPEN_READ);
        assert_int_equal(sector_fill(f.o, file, 0), 'b');
        char last = sector_fill(f.o, file, 3);
        assert_int_equal(last == 'c', action == HF_ACT_CRASH_AFTER);
        assert_int_equal(
            hf_world_counters(f.world)->points[HF_WORLD_OP_WRITE][HF_CLASS_OTHER][action], 1);
        hf_world_free(f.world);
    }
}

static void test_faults_without_a_crash(void **state)
{
    (void)state;
    struct fixture f = fixture_new(20);
    struct hf_file *file = file_of_a(&f);
    char data[3 * SECTOR];
    memset(data, 'c', sizeof(data));
    size_t read_bytes = 7;
    struct hf_world_point point = {
        .op = HF_WORLD_OP_READ, .file = HF_CLASS_COUNT, .n = 1, .action = HF_ACT_FAIL};
    hf_world_arm(f.machine, point);
    assert_int_equal(f.o->read(f.o, file, 0, data, 10, &read_bytes, NULL), HF_ERR_IO);
    assert_int_equal(read_bytes, 0);
    point.op = HF_WORLD_OP_COUNT;
    point.action = HF_ACT_NO_SPACE;
    hf_world_arm(f.machine, point);
    assert_int_equal(f.o->write(f.o, file, 0, data, SECTOR, NULL), HF_ERR_NO_SPACE);
    assert_int_equal(sector_fill(f.o, file, 0), 'a');
    point.action = HF_ACT_SHORT;
    hf_world_arm(f.machine, point);
    assert_int_equal(f.o->write(f.o, file, 0, data, sizeof(data), NULL), HF_ERR_IO);
    assert_int_not_equal(sector_fill(f.o, file, 2), 'c'); /* a part alone */
    assert_int_equal(sector_fill(f.o, file, 3), 'a');
    point.action = HF_ACT_FAIL;
    hf_world_arm(f.machine, point);
    assert_int_equal(f.o->rename(f.o, "d/file", "d/other", NULL), HF_ERR_IO);
    assert_true(exists(f.o, "d/file") && !exists(f.o, "d/other"));
    assert_true(hf_world_alive(f.o));
    hf_world_knobs(f.world)->write_error_ppm = HF_PPM;
    assert_int_equal(f.o->write(f.o, file, 0, data, SECTOR, NULL), HF_ERR_IO);
    assert_int_equal(hf_world_counters(f.world)->faults[HF_WORLD_OP_WRITE][HF_CLASS_OTHER], 1);
    hf_world_free(f.world);
}

/* ---- jobs ---- */

struct test_job {
    struct hf_job job;    /* the member run finds us by */
    struct hf_outside *o; /* where it reads the clock */
    unsigned *order;      /* counts the jobs that ran */
    unsigned ran;         /* 0 = not yet, else its place in order */
    enum hf_err result;   /* of the operation it tried */
};

static void run_test_job(struct hf_job *job)
{
    struct test_job *test = HF_CONTAINER_OF(job, struct test_job, job);
    test->ran = ++*test->order;
    test->result = test->o->make_directory(test->o, "d/by-job", NULL);
    test->o->ring(test->o);
}

static void
submit_all(struct hf_outside *o, struct test_job *jobs, size_t count,
           unsigned *order) /* NOLINT(readability-non-const-parameter): jobs count in it */
{
    for (size_t i = 0; i < count; i++) {
        jobs[i] = (struct test_job){.job = {.run = run_test_job}, .o = o, .order = order};
        o->submit(o, i % 2 == 0 ? HF_WORKER_LOG : HF_WORKER_FETCH, &jobs[i].job);
        assert_int_equal(jobs[i].ran, 0); /* never inside submit */
    }
}

static void test_jobs_run_in_order_and_later(void **state)
{
    (void)state;
    struct fixture f = fixture_new(30);
    struct test_job jobs[10];
    unsigned order = 0;
    unsigned rings = 0;
    hf_world_on_ring(f.o, count_call, &rings);
    submit_all(f.o, jobs, 10, &order);
    assert_int_equal(hf_world_jobs_waiting(f.o), 10);
    hf_world_run(f.world, 100000);
    assert_int_equal(hf_world_now_us(f.world), 100000);
    for (size_t i = 0; i < 10; i++) {
        assert_true(jobs[i].ran > 0 && jobs[i].result == HF_ERR_OK);
        assert_true(i < 2 || jobs[i].ran > jobs[i - 2].ran);
    }
    assert_true(rings > 0 && rings <= 10);
    /* drain() waits for one worker. */
    order = 0;
    submit_all(f.o, jobs, 4, &order);
    f.o->drain(f.o, HF_WORKER_FETCH);
    assert_true(jobs[1].ran == 1 && jobs[3].ran == 2 && jobs[0].ran == 0 && jobs[2].ran == 0);
    hf_world_run(f.world, 100000);
    assert_true(jobs[0].ran == 3 && jobs[2].ran == 4);
    hf_world_free(f.world);
}

static void test_jobs_die_with_their_process(void **state)
{
    (void)state;
    struct fixture f = fixture_new(31);
    struct test_job jobs[3];
    unsigned order = 0;
    unsigned called = 0;
    submit_all(f.o, jobs, 3, &order);
    hf_world_after(f.world, f.o, 10, count_call, &called);
    hf_world_crash(f.machine, HF_CRASH_POWER);
    hf_world_run(f.world, 100000);
    assert_int_equal(order, 0);
    assert_int_equal(called, 0);
    hf_world_drain(f.o);
    for (size_t i = 0; i < 3; i++) {
        assert_true(jobs[i].ran > 0);
        assert_int_equal(jobs[i].result, HF_ERR_CRASHED);
    }
    struct hf_outside *next = hf_world_boot(f.machine);
    assert_ptr_not_equal(next, f.o);
    assert_false(hf_world_alive(f.o));
    assert_int_equal(f.o->make_directory(f.o, "d/late", NULL), HF_ERR_CRASHED);
    hf_world_free(f.world);
}

static void test_locks(void **state)
{
    (void)state;
    struct fixture f = fixture_new(32);
    struct hf_world_machine *other = hf_world_machine_new(f.world, f.machine);
    struct hf_outside *standby = hf_world_boot(other);
    struct hf_lock *lock;
    struct hf_lock *second;
    assert_int_equal(f.o->lock(f.o, "d/lock", false, &lock, NULL), HF_ERR_OK);
    assert_int_equal(standby->lock(standby, "d/lock", true, &second, NULL), HF_ERR_LOCKED);
    assert_null(second);
    hf_world_crash(f.machine, HF_CRASH_KILL);
    assert_int_equal(standby->lock(standby, "d/lock", true, &second, NULL), HF_ERR_OK);
    f.o->unlock(f.o, lock);
    f.o = hf_world_boot(f.machine);
    assert_int_equal(f.o->lock(f.o, "d/lock", false, &lock, NULL), HF_ERR_LOCKED);
    standby->unlock(standby, second);
    assert_int_equal(f.o->lock(f.o, "d/lock", false, &lock, NULL), HF_ERR_OK);
    assert_int_equal(hf_world_counters(f.world)->lock_refusals, 2);
    hf_world_free(f.world);
}

static void test_a_shared_disk_loses_what_the_dead_left(void **state)
{
    (void)state;
    struct fixture f = fixture_new(33);
    hf_world_knobs(f.world)->loss = loss_of(HF_PPM, HF_PPM);
    struct hf_world_machine *other = hf_world_machine_new(f.world, f.machine);
    (void)hf_world_boot(other);
    struct hf_file *file = file_of_a(&f);
    must_write(f.o, file, 0, 'b', SECTOR);
    hf_world_crash(other, HF_CRASH_POWER); /* the standby's power is not the owner's */
    assert_int_equal(sector_fill(f.o, file, 0), 'b');
    struct hf_outside *standby = hf_world_boot(other);
    hf_world_crash(f.machine, HF_CRASH_KILL);
    file = must_open(standby, "d/file", HF_OPEN_READ);
    assert_int_equal(sector_fill(standby, file, 0), 'b');
    hf_world_crash(other, HF_CRASH_POWER); /* the dead one's writes had never been synced */
    standby = hf_world_boot(other);
    file = must_open(standby, "d/file", HF_OPEN_READ);
    assert_int_equal(sector_fill(standby, file, 0), 'a');
    hf_world_free(f.world);
}

static void test_clocks(void **state)
{
    (void)state;
    struct hf_world *world = hf_world_new(34);
    hf_world_knobs(world)->drift_ppm_max = 500;
    hf_world_knobs(world)->wall_step_ppm = HF_PPM / 10;
    hf_world_knobs(world)->wall_step_us_max = 1000000;
    struct hf_world_machine *machine = hf_world_machine_new(world, NULL);
    struct hf_outside *o = hf_world_boot(machine);
    uint64_t start_us = o->monotonic_us(o);
    uint64_t last_us = start_us;
    uint64_t last_wall_us = o->wall_us(o);
    unsigned backwards = 0;
    for (unsigned i = 0; i < 1000; i++) {
        hf_world_run(world, 1000);
        uint64_t now_us = o->monotonic_us(o);
        uint64_t wall_us = o->wall_us(o);
        assert_true(now_us >= last_us);
        backwards += wall_us < last_wall_us;
        last_us = now_us;
        last_wall_us = wall_us;
    }
    uint64_t passed_us = last_us - start_us;
    assert_true(passed_us >= 1000000 - 501 && passed_us <= 1000000 + 501);
    assert_true(backwards > 10);
    assert_true(hf_world_counters(world)->wall_steps > 50);
    hf_world_crash(machine, HF_CRASH_KILL);
    hf_world_run(world, 1000);
    assert_int_equal(o->monotonic_us(o), last_us); /* a dead process' clock stands still */
    hf_world_free(world);
}

/* ---- random runs ---- */

struct soak {
    struct hf_world *world;           /* not owned */
    struct hf_world_machine *machine; /* of the world */
    struct hf_outside *o;             /* its process */
    struct hf_file *files[4];         /* open, or NULL */
};

static const char *const soak_paths[4] = {"d/a", "d/log/b", "d/checkpoint-c", "d/run-d"};

static void soak_reopen(struct soak *soak)
{
    if (!hf_world_up(soak->machine)) {
        soak->o = hf_world_boot(soak->machine);
        memset(soak->files, 0, sizeof(soak->files));
    }
    struct hf_outside *o = soak->o;
    assert_non_null(o);
    HF_CHECK(o != NULL);
    (void)o->make_directory(o, "d", NULL);
    (void)o->make_directory(o, "d/log", NULL);
    for (size_t i = 0; i < 4; i++) {
        if (soak->files[i] == NULL &&
            o->open(o, soak_paths[i], HF_OPEN_READ_WRITE, &soak->files[i], NULL) != HF_ERR_OK) {
            (void)o->open(o, soak_paths[i], HF_OPEN_CREATE_NEW, &soak->files[i], NULL);
        }
    }
}

static void soak_operation(struct soak *soak, struct hf_sim_random *random)
{
    struct hf_outside *o = soak->o;
    struct hf_file *file = soak->files[hf_sim_random_below(random, 4)];
    uint8_t data[3000];
    size_t read_bytes;
    uint64_t offset = hf_sim_random_below(random, 20000);
    size_t size_bytes = (size_t)hf_sim_random_below(random, sizeof(data));
    hf_sim_random_bytes(random, data, size_bytes);
    switch (file == NULL ? 9 : hf_sim_random_below(random, 10)) {
    case 0:
        (void)o->sync(o, file, NULL);
        break;
    case 1:
        (void)o->truncate(o, file, offset, NULL);
        break;
    case 2:
        (void)o->sync_directory(o, "d", NULL);
        break;
    case 3:
        (void)o->read(o, file, offset, data, size_bytes, &read_bytes, NULL);
        break;
    case 4:
        (void)o->rename(o, soak_paths[0], soak_paths[3], NULL);
        break;
    case 5:
        (void)o->remove(o, soak_paths[hf_sim_random_below(random, 4)], NULL);
        break;
    case 9:
        (void)o->sync_directory(o, ".", NULL);
        break;
    default:
        (void)o->write(o, file, offset, data, size_bytes, NULL);
        break;
    }
}

static uint64_t soak_run(uint64_t seed)
{
    struct soak soak = {.world = hf_world_new(seed)};
    soak.machine = hf_world_machine_new(soak.world, NULL);
    struct hf_world_knobs *knobs = hf_world_knobs(soak.world);
    knobs->write_error_ppm = knobs->write_short_ppm = knobs->sync_error_ppm = HF_PPM / 100;
    knobs->directory_error_ppm = knobs->open_error_ppm = HF_PPM / 100;
    knobs->evict_ppm = HF_PPM / 2;
    hf_fs_budget_set(hf_world_machine_disk(soak.machine), 60000);
    struct hf_sim_random *random = hf_world_random(soak.world);
    for (unsigned i = 0; i < 1000; i++) {
        soak_reopen(&soak);
        if (hf_sim_random_below(random, 50) == 0) {
            hf_world_arm(soak.machine,
                         (struct hf_world_point){
                             .op = HF_WORLD_OP_COUNT,
                             .file = HF_CLASS_COUNT,
                             .n = 1 + hf_sim_random_below(random, 5),
                             .action = (enum hf_world_action)hf_sim_random_below(random, 3),
                             .crash = (enum hf_crash_kind)hf_sim_random_below(random, 2)});
        }
        soak_operation(&soak, random);
        if (i % 16 == 0) {
            hf_fs_verify(hf_world_machine_disk(soak.machine));
        }
    }
    assert_true(hf_world_counters(soak.world)->crashes[HF_CRASH_POWER] > 0);
    uint64_t hash = hf_world_trace_hash(soak.world);
    hf_world_free(soak.world);
    return hash;
}

static void test_the_same_seed_gives_the_same_trace(void **state)
{
    (void)state;
    uint64_t last = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        uint64_t hash = soak_run(seed);
        assert_int_equal(hash, soak_run(seed));
        assert_int_not_equal(hash, last);
        last = hash;
    }
}

static void push_time(void *context)
{
    struct hf_world *world = context;
    hf_world_trace(world, hf_world_now_us(world));
    if (hf_sim_random_below(hf_world_random(world), 3) != 0) {
        hf_world_after(world, NULL, hf_sim_random_below(hf_world_random(world), 1000), push_time,
                       world);
    }
}

static void test_events_come_in_order_of_time(void **state)
{
    (void)state;
    struct hf_world *world = hf_world_new(40);
    for (unsigned i = 0; i < 500; i++) {
        hf_world_after(world, NULL, hf_sim_random_below(hf_world_random(world), 1000), push_time,
                       world);
    }
    uint64_t last_us = 0;
    unsigned steps = 0;
    while (hf_world_step(world)) {
        assert_true(hf_world_now_us(world) >= last_us);
        last_us = hf_world_now_us(world);
        steps++;
    }
    assert_true(steps > 500);
    hf_world_free(world);
}

static void test_classes(void **state)
{
    (void)state;
    assert_int_equal(hf_world_class_of("d/lock"), HF_CLASS_LOCK);
    assert_int_equal(hf_world_class_of("d/log/00000001.log"), HF_CLASS_SEGMENT);
    assert_int_equal(hf_world_class_of("log/00000001.log"), HF_CLASS_SEGMENT);
    assert_int_equal(hf_world_class_of("d/log"), HF_CLASS_SEGMENT);
    assert_int_equal(hf_world_class_of("d/log/state"), HF_CLASS_STATE);
    assert_int_equal(hf_world_class_of("d/checkpoint-7"), HF_CLASS_CHECKPOINT);
    assert_int_equal(hf_world_class_of("d/index-1-2-0.run"), HF_CLASS_RUN);
    assert_int_equal(hf_world_class_of("run/checkpoint/d"), HF_CLASS_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unsynced_is_lost_or_kept),
        cmocka_unit_test(test_each_sector_goes_its_own_way),
        cmocka_unit_test(test_one_sector_tears),
        cmocka_unit_test(test_names_need_a_directory_sync),
        cmocka_unit_test(test_a_rename_over_a_file_is_atomic),
        cmocka_unit_test(test_a_kill_loses_nothing),
        cmocka_unit_test(test_a_failed_sync_strands),
        cmocka_unit_test(test_an_evicted_page_shows_the_device),
        cmocka_unit_test(test_a_full_disk),
        cmocka_unit_test(test_truncate_and_grow_reads_zeros),
        cmocka_unit_test(test_lists_are_in_order),
        cmocka_unit_test(test_crash_points),
        cmocka_unit_test(test_faults_without_a_crash),
        cmocka_unit_test(test_jobs_run_in_order_and_later),
        cmocka_unit_test(test_jobs_die_with_their_process),
        cmocka_unit_test(test_locks),
        cmocka_unit_test(test_a_shared_disk_loses_what_the_dead_left),
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_the_same_seed_gives_the_same_trace),
        cmocka_unit_test(test_events_come_in_order_of_time),
        cmocka_unit_test(test_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
