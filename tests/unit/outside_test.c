/* Unit tests of src/outside: the linux implementation on a real directory. */
#include "outside/outside.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "unit/support.h"

static struct hf_outside *o;
static char directory[64];

static const char *path_of(const char *name)
{
    static char path[4][128];
    static unsigned next;
    char *to = path[next++ % 4];
    (void)snprintf(to, sizeof(path[0]), "%s/%s", directory, name);
    return to;
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof(directory), "hf-outside-test-XXXXXX");
    o = hf_outside_linux_new();
    return o == NULL || mkdtemp(directory) == NULL ? -1 : 0;
}

static void remove_each(void *context, struct hf_str name)
{
    (void)context;
    (void)o->remove(o, path_of(name.ptr), NULL);
}

static int teardown(void **state)
{
    (void)state;
    (void)rmdir(path_of("sub"));
    (void)o->list(o, directory, remove_each, NULL, NULL);
    hf_outside_linux_free(o);
    return rmdir(directory);
}

static void files_keep_what_was_written(void **state)
{
    (void)state;
    struct hf_error error;
    struct hf_file *file;
    assert_int_equal(o->open(o, path_of("a"), HF_OPEN_READ, &file, &error), HF_ERR_NOT_FOUND);
    assert_null(file);
    assert_non_null(strstr(error.text, "No such file"));
    assert_int_equal(o->open(o, path_of("a"), HF_OPEN_CREATE_NEW, &file, &error), HF_ERR_OK);
    struct hf_file *second;
    assert_int_equal(o->open(o, path_of("a"), HF_OPEN_CREATE_NEW, &second, &error), HF_ERR_EXISTS);
    uint8_t data[10000];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 7);
    }
    assert_int_equal(o->write(o, file, 5, data, sizeof(data), &error), HF_ERR_OK);
    assert_int_equal(o->sync(o, file, &error), HF_ERR_OK);
    uint64_t size;
    assert_int_equal(o->size(o, file, &size, &error), HF_ERR_OK);
    assert_int_equal(size, 10005);
    o->close(o, file);
    static const enum hf_open_mode modes[] = {HF_OPEN_READ, HF_OPEN_READ_RANDOM, HF_OPEN_READ_WRITE,
                                              HF_OPEN_READ_DIRECT};
    for (size_t i = 0; i < HF_ARRAY_COUNT(modes); i++) {
        assert_int_equal(o->open(o, path_of("a"), modes[i], &file, &error), HF_ERR_OK);
        uint8_t back[12000];
        size_t got;
        assert_int_equal(o->read(o, file, 0, back, sizeof(back), &got, &error), HF_ERR_OK);
        assert_int_equal(got, 10005);
        assert_memory_equal(back + 5, data, sizeof(data));
        assert_int_equal(o->read(o, file, 4097, back, 100, &got, &error), HF_ERR_OK);
        assert_int_equal(got, 100);
        assert_memory_equal(back, data + 4092, 100);
        assert_int_equal(o->read(o, file, 10005, back, 100, &got, &error), HF_ERR_OK);
        assert_int_equal(got, 0);
        o->close(o, file);
    }
    assert_int_equal(o->open(o, path_of("a"), HF_OPEN_READ, &file, &error), HF_ERR_OK);
    assert_int_equal(o->write(o, file, 0, data, 1, &error), HF_ERR_IO); /* not for writing */
    o->close(o, file);
    assert_int_equal(o->open(o, path_of("a"), HF_OPEN_READ_WRITE, &file, &error), HF_ERR_OK);
    assert_int_equal(o->truncate(o, file, 3, &error), HF_ERR_OK);
    assert_int_equal(o->size(o, file, &size, &error), HF_ERR_OK);
    assert_int_equal(size, 3);
    o->close(o, file);
    o->close(o, NULL);
}

static void drop_pages(const char *path)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    (void)close(fd);
}

/* Large pieces here and there: of what is in the page cache and of what is not, also across the end. */
static void large_pieces_are_read_at_random(void **state)
{
    (void)state;
    enum { PAGE = 4096, FILE_BYTES = 75 * PAGE + 100, MOST = 128 * PAGE };
    struct hf_error error = {0};
    struct hf_file *file;
    uint8_t *data = malloc(FILE_BYTES);
    uint8_t *memory = aligned_alloc(PAGE, MOST);
    assert_true(data != NULL && memory != NULL);
    for (size_t i = 0; i < FILE_BYTES; i++) {
        data[i] = (uint8_t)(i * 7 + i / PAGE);
    }
    assert_int_equal(o->open(o, path_of("large"), HF_OPEN_CREATE_NEW, &file, &error), HF_ERR_OK);
    assert_int_equal(o->write(o, file, 0, data, FILE_BYTES, &error), HF_ERR_OK);
    assert_int_equal(o->sync(o, file, &error), HF_ERR_OK);
    o->close(o, file);
    for (int round = 0; round < 4; round++) {
        if (round % 2 == 0) {
            drop_pages(path_of("large"));
        }
        assert_int_equal(o->open(o, path_of("large"), HF_OPEN_READ_RANDOM, &file, &error),
                         HF_ERR_OK);
        for (size_t at = 0; at < FILE_BYTES; at += 11 * PAGE) {
            for (size_t size = 8 * PAGE; size <= MOST; size *= 4) {
                size_t there = FILE_BYTES - at < size ? FILE_BYTES - at : size;
                size_t got;
                memset(memory, 0, MOST);
                assert_int_equal(o->read(o, file, at, memory, size, &got, &error), HF_ERR_OK);
                assert_int_equal(got, there);
                assert_memory_equal(memory, data + at, there);
            }
        }
        o->close(o, file);
    }
    free(memory);
    free(data);
}

static void full_disk_is_no_space(void **state)
{
    (void)state;
    struct hf_error error;
    struct hf_file *file;
    assert_int_equal(o->open(o, "/dev/full", HF_OPEN_READ_WRITE, &file, &error), HF_ERR_OK);
    assert_int_equal(o->write(o, file, 0, "x", 1, &error), HF_ERR_NO_SPACE);
    o->close(o, file);
}

struct names {
    char text[256];
};

static void add_name(void *context, struct hf_str name)
{
    struct names *names = context;
    size_t used = strlen(names->text);
    (void)snprintf(names->text + used, sizeof(names->text) - used, "%s,", name.ptr);
}

static void directories_list_in_byte_order(void **state)
{
    (void)state;
    struct hf_error error;
    static const char *const names[] = {"b", "a2", "B", "a10"};
    for (size_t i = 0; i < HF_ARRAY_COUNT(names); i++) {
        struct hf_file *file;
        assert_int_equal(o->open(o, path_of(names[i]), HF_OPEN_CREATE_NEW, &file, &error), 0);
        o->close(o, file);
    }
    assert_int_equal(o->make_directory(o, path_of("sub"), &error), HF_ERR_OK);
    assert_int_equal(o->make_directory(o, path_of("sub"), &error), HF_ERR_OK);
    assert_int_equal(o->make_directory(o, path_of("b"), &error), HF_ERR_EXISTS);
    assert_int_equal(o->rename(o, path_of("b"), path_of("c"), &error), HF_ERR_OK);
    assert_int_equal(o->rename(o, path_of("b"), path_of("c"), &error), HF_ERR_NOT_FOUND);
    assert_int_equal(o->remove(o, path_of("a2"), &error), HF_ERR_OK);
    assert_int_equal(o->remove(o, path_of("a2"), &error), HF_ERR_NOT_FOUND);
    assert_int_equal(o->sync_directory(o, directory, &error), HF_ERR_OK);
    struct names found = {""};
    assert_int_equal(o->list(o, directory, add_name, &found, &error), HF_ERR_OK);
    assert_string_equal(found.text, "B,a10,c,sub,");
    assert_int_equal(o->list(o, path_of("none"), add_name, &found, &error), HF_ERR_NOT_FOUND);
}

static void locks_exclude_within_a_process(void **state)
{
    (void)state;
    struct hf_error error;
    struct hf_lock *first;
    struct hf_lock *second;
    assert_int_equal(o->lock(o, path_of("lock"), false, &first, &error), HF_ERR_OK);
    assert_int_equal(o->lock(o, path_of("lock"), false, &second, &error), HF_ERR_LOCKED);
    assert_null(second);
    o->unlock(o, first);
    assert_int_equal(o->lock(o, path_of("lock"), false, &second, &error), HF_ERR_OK);
    o->unlock(o, second);
    o->unlock(o, NULL);
}

/* Locks in a child, says so through the pipe, then sleeps. */
static pid_t start_owner(bool with_grandchild)
{
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct hf_lock *lock;
        bool ok = o->lock(o, path_of("lock"), false, &lock, NULL) == HF_ERR_OK;
        pid_t grandchild = with_grandchild ? fork() : 1;
        if (grandchild == 0) {
            (void)alarm(5);
            (void)pause();
            _exit(0);
        }
        ssize_t put = write(pipes[1], ok ? "y" : "n", 1);
        (void)alarm(10);
        (void)pause();
        _exit((int)put);
    }
    char answer = 0;
    assert_int_equal(read(pipes[0], &answer, 1), 1);
    assert_int_equal(answer, 'y');
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    return child;
}

static void lock_falls_with_its_process_alone(void **state)
{
    (void)state;
    struct hf_error error;
    for (int grandchild = 0; grandchild < 2; grandchild++) {
        pid_t owner = start_owner(grandchild == 1);
        struct hf_lock *lock;
        assert_int_equal(o->lock(o, path_of("lock"), false, &lock, &error), HF_ERR_LOCKED);
        assert_int_equal(kill(owner, SIGSTOP), 0);
        (void)usleep(20000);
        assert_int_equal(o->lock(o, path_of("lock"), false, &lock, &error), HF_ERR_LOCKED);
        uint64_t before = o->monotonic_us(o);
        assert_int_equal(kill(owner, SIGKILL), 0);
        assert_int_equal(o->lock(o, path_of("lock"), true, &lock, &error), HF_ERR_OK);
        assert_true(o->monotonic_us(o) - before < 1000000);
        o->unlock(o, lock);
        assert_int_equal(waitpid(owner, NULL, 0), owner);
    }
}

static void a_lock_needs_its_directory(void **state)
{
    (void)state;
    struct hf_error error;
    struct hf_lock *lock;
    assert_int_equal(o->lock(o, "no-such-directory/lock", false, &lock, &error), HF_ERR_NOT_FOUND);
    assert_null(lock);
}

struct counting_job {
    struct hf_job job;        /* first */
    _Atomic uint32_t *serial; /* counts jobs as they run */
    uint32_t order;           /* which one this was */
};

static void count_job(struct hf_job *job)
{
    struct counting_job *self = HF_CONTAINER_OF(job, struct counting_job, job);
    self->order = atomic_fetch_add(self->serial, 1);
}

static void jobs_run_in_order_and_drain_waits(void **state)
{
    (void)state;
    enum { JOB_COUNT = 500 };
    static struct counting_job jobs[HF_WORKER_COUNT][JOB_COUNT];
    _Atomic uint32_t serial[HF_WORKER_COUNT];
    for (int worker = 0; worker < HF_WORKER_COUNT; worker++) {
        atomic_init(&serial[worker], 0);
        o->drain(o, (enum hf_worker)worker); /* nothing submitted: returns */
        for (int i = 0; i < JOB_COUNT; i++) {
            jobs[worker][i] = (struct counting_job){{count_job, NULL}, &serial[worker], 0};
            o->submit(o, (enum hf_worker)worker, &jobs[worker][i].job);
        }
    }
    for (int worker = 0; worker < HF_WORKER_COUNT; worker++) {
        o->drain(o, (enum hf_worker)worker);
        assert_int_equal(atomic_load(&serial[worker]), JOB_COUNT);
        for (uint32_t i = 0; i < JOB_COUNT; i++) {
            assert_int_equal(jobs[worker][i].order, i);
        }
    }
}

/* Jobs that the submitting thread runs itself, or passes on, or that the worker has taken: each once. */
static void *leave_jobs(void *context)
{
    enum { ROUNDS = 2000 };
    static struct counting_job jobs[ROUNDS][2];
    uint32_t *left_count = context;
    uint32_t submitted = 0;
    _Atomic uint32_t serial;
    atomic_init(&serial, 0);
    HF_CHECK(!hf_outside_linux_left());
    for (uint32_t i = 0; i < ROUNDS; i++) {
        bool two = i % 4 == 1; /* the worker is woken for the second, and may take both */
        for (uint32_t k = 0; k < (two ? 2 : 1); k++) {
            jobs[i][k] = (struct counting_job){{count_job, NULL}, &serial, 0};
            o->submit(o, HF_WORKER_LOG, &jobs[i][k].job);
            submitted++;
        }
        bool left = hf_outside_linux_left();
        *left_count += left;
        if (left && i % 4 == 2) {
            hf_outside_linux_pass_left();
        } else if (left) {
            hf_outside_linux_run_left();
        }
        HF_CHECK(!hf_outside_linux_left());
        o->drain(o, HF_WORKER_LOG);
        HF_CHECK(atomic_load(&serial) == submitted);
        HF_CHECK(!two || jobs[i][0].order + 1 == jobs[i][1].order);
    }
    return NULL;
}

static void a_thread_may_run_what_it_has_left(void **state)
{
    (void)state;
    uint32_t left_count = 0;
    pthread_t thread; /* from its first question on a thread's jobs are left to it */
    assert_int_equal(pthread_create(&thread, NULL, leave_jobs, &left_count), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(left_count > 0);
}

struct ringer {
    struct hf_job job;      /* first */
    _Atomic uint64_t value; /* written before each ring */
};

static void ring_job(struct hf_job *job)
{
    struct ringer *self = HF_CONTAINER_OF(job, struct ringer, job);
    atomic_fetch_add_explicit(&self->value, 1, memory_order_relaxed);
    o->ring(o);
}

/* A thousand hand-overs each way: a lost wake-up would show as a timeout. */
static void no_ring_is_lost(void **state)
{
    (void)state;
    struct ringer ringer = {.job = {ring_job, NULL}};
    atomic_init(&ringer.value, 0);
    for (uint64_t i = 1; i <= 2000; i++) {
        o->submit(o, HF_WORKER_LOG, &ringer.job);
        uint64_t before = o->monotonic_us(o);
        while (atomic_load_explicit(&ringer.value, memory_order_relaxed) < i) {
            hf_outside_linux_wait(o, 20000000);
            assert_true(o->monotonic_us(o) - before < 10000000);
        }
        o->drain(o, HF_WORKER_LOG);
    }
    hf_outside_linux_wait(o, 1000); /* takes a left-over ring */
    o->ring(o);
    o->ring(o);
    uint64_t before = o->monotonic_us(o);
    hf_outside_linux_wait(o, 10000000); /* rung before: returns at once */
    assert_true(o->monotonic_us(o) - before < 5000000);
    before = o->monotonic_us(o);
    hf_outside_linux_wait(o, 20000); /* two rings were one: times out */
    assert_true(o->monotonic_us(o) - before >= 20000);
    hf_outside_linux_wait(o, 0);
}

struct stand_in {
    _Atomic bool willing;   /* steps in the owner's place… */
    _Atomic uint32_t asked; /* …when asked */
    _Atomic bool over;      /* the owner shall end */
    _Atomic uint32_t woken; /* how often the owner's wait has ended */
};

static bool stand_in(void *context)
{
    struct stand_in *self = context;
    atomic_fetch_add(&self->asked, 1);
    return atomic_load(&self->willing);
}

static void *be_owner(void *context)
{
    struct stand_in *self = context;
    while (!atomic_load(&self->over)) {
        hf_outside_linux_wait(o, 30000000);
        atomic_fetch_add(&self->woken, 1);
    }
    return NULL;
}

/* Rings from a job until somebody was asked to step in. */
static void ring_until_asked(struct stand_in *self, struct ringer *ringer)
{
    uint32_t asked = atomic_load(&self->asked);
    uint64_t before = o->monotonic_us(o);
    while (atomic_load(&self->asked) == asked) {
        o->submit(o, HF_WORKER_LOG, &ringer->job);
        o->drain(o, HF_WORKER_LOG); /* the ring comes when the job has returned */
        (void)usleep(1000);
        assert_true(o->monotonic_us(o) - before < 20000000);
    }
}

/* Whoever rings while the owner sleeps is asked to step; the owner is woken only if it does not. */
static void a_ring_may_step_in(void **state)
{
    (void)state;
    struct stand_in self = {.willing = true};
    struct ringer ringer = {.job = {ring_job, NULL}};
    hf_outside_linux_lend(o, stand_in, &self);
    o->ring(o); /* nobody sleeps: nobody is asked */
    assert_int_equal(atomic_load(&self.asked), 0);

    pthread_t owner;
    assert_int_equal(pthread_create(&owner, NULL, be_owner, &self), 0);
    ring_until_asked(&self, &ringer); /* so it sleeps now */
    uint32_t woken = atomic_load(&self.woken);
    ring_until_asked(&self, &ringer);
    uint32_t asked = atomic_load(&self.asked);
    o->ring(o);
    assert_int_equal(atomic_load(&self.asked), asked + 1);
    assert_int_equal(atomic_load(&self.woken), woken);

    atomic_store(&self.over, true);
    atomic_store(&self.willing, false);
    o->ring(o);
    assert_int_equal(pthread_join(owner, NULL), 0);
    assert_int_equal(atomic_load(&self.asked), asked + 2);
    assert_int_equal(atomic_load(&self.woken), woken + 1);
}

static void clocks_and_random(void **state)
{
    (void)state;
    uint64_t first = o->monotonic_us(o);
    (void)usleep(2000);
    assert_true(o->monotonic_us(o) >= first + 2000);
    assert_true(o->wall_us(o) > 1700000000ull * 1000000);
    uint8_t a[32] = {0};
    uint8_t b[32] = {0};
    o->random(o, a, sizeof(a));
    o->random(o, b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_keep_what_was_written, setup, teardown),
        cmocka_unit_test_setup_teardown(large_pieces_are_read_at_random, setup, teardown),
        cmocka_unit_test_setup_teardown(full_disk_is_no_space, setup, teardown),
        cmocka_unit_test_setup_teardown(directories_list_in_byte_order, setup, teardown),
        cmocka_unit_test_setup_teardown(locks_exclude_within_a_process, setup, teardown),
        cmocka_unit_test_setup_teardown(lock_falls_with_its_process_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lock_needs_its_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(jobs_run_in_order_and_drain_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_thread_may_run_what_it_has_left, setup, teardown),
        cmocka_unit_test_setup_teardown(no_ring_is_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(a_ring_may_step_in, setup, teardown),
        cmocka_unit_test_setup_teardown(clocks_and_random, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
