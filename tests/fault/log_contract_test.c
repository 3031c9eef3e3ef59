/*
 * The log's contract, the same suite for every driver: I1 to I6 under crashes at random moments and
 * at every operation, failures, full disks, takeovers of the living and of the dead.
 *
 * HF_SEEDS=n runs n seeds of each random suite (default below), HF_SEED=n runs that seed alone,
 * HF_TEST=name runs the tests of that name (* and ? as in a shell).
 */
#include "unit/support.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fault/log_rig.h"

#define SEEDS_DEFAULT 150

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static char running[80]; /* what runs now, for a stop */

static void say_what_runs(int number)
{
    (void)number;
    ssize_t ignored = write(STDERR_FILENO, running, strlen(running));
    (void)ignored;
}

static void note_seed(enum rig_kind kind, uint64_t seed)
{
    (void)snprintf(running, sizeof(running), "stopped with HF_SEED=%llu (%s driver)\n",
                   (unsigned long long)seed, kind == RIG_FILE ? "file" : "simulated");
}

/* Runs one(kind, seed) for each seed; a stop names the seed. */
static void for_seeds(enum rig_kind kind, void (*one)(enum rig_kind kind, uint64_t seed))
{
    uint64_t only = setting("HF_SEED", 0);
    uint64_t seeds = setting("HF_SEEDS", SEEDS_DEFAULT);
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        note_seed(kind, only != 0 ? only : seed);
        one(kind, only != 0 ? only : seed);
        if (only != 0) {
            break;
        }
    }
}

static size_t some_size(struct rig *rig)
{
    static const size_t sizes[] = {20, 200, 200, 2000, 2000, 9000, 40000};
    return sizes[hf_sim_random_below(&rig->random, HF_ARRAY_COUNT(sizes))];
}

static struct hf_log_sim_counters seen; /* of all seeds of the simulated driver */

static void see(const struct rig *rig)
{
    if (rig->sim == NULL) {
        return;
    }
    const uint64_t *from = (const uint64_t *)hf_log_sim_counters(rig->sim);
    uint64_t *to = (uint64_t *)&seen;
    for (size_t i = 0; i < sizeof(seen) / sizeof(*to); i++) {
        to[i] += from[i];
    }
}

/* ---- the plain path ---- */

static void append_all(struct rig *rig, unsigned machine, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(rig_append(rig, machine, some_size(rig)), RIG_DONE);
    }
}

static void check_plain(enum rig_kind kind, uint64_t seed)
{
    struct rig *rig = rig_new(kind, seed);
    struct hf_log_recovery recovery;
    rig_takeover_calm(rig, 0, &recovery);
    assert_int_equal(rig->head[0].seq, 0);
    assert_false(recovery.torn_tail);
    append_all(rig, 0, 20);
    assert_int_equal(rig_confirm(rig, 0), HF_CONFIRM_OK);
    rig_verify(rig, 0);
    assert_int_equal(rig->log[0]->driver->seal(rig->log[0], NULL), HF_ERR_OK);
    rig_close(rig, 0);
    /* The other machine goes on behind the seal. */
    rig_takeover_calm(rig, 1, &recovery);
    assert_true(recovery.sealed);
    assert_false(recovery.torn_tail);
    append_all(rig, 1, 10);
    /* Power fails at rest: no seal, nothing torn, nothing lost. */
    hf_world_crash(rig->machine[1], HF_CRASH_POWER);
    rig_close(rig, 1);
    rig_takeover_calm(rig, 0, &recovery);
    assert_false(recovery.sealed);
    assert_int_equal(rig->count, 30);
    append_all(rig, 0, 3);
    rig_free(rig);
}

static void check_reader(enum rig_kind kind, uint64_t seed)
{
    struct rig *rig = rig_new(kind, seed);
    rig_takeover_calm(rig, 0, NULL);
    append_all(rig, 0, 3);
    assert_int_equal(rig_open(rig, 1, NULL), HF_ERR_OK);
    rig_verify(rig, 1);
    for (unsigned i = 0; i < 10; i++) {
        append_all(rig, 0, 1 + (unsigned)hf_sim_random_below(&rig->random, 4));
        rig_verify(rig, 1); /* a reader beside the owner sees what is durable */
    }
    rig_free(rig);
}

static void check_trim(enum rig_kind kind, uint64_t seed)
{
    struct rig *rig = rig_new(kind, seed);
    rig_takeover_calm(rig, 0, NULL);
    for (unsigned round = 0; round < 6; round++) {
        append_all(rig, 0, 12);
        rig->first_seq = hf_sim_random_between(&rig->random, rig->first_seq, rig->count);
        assert_int_equal(rig->log[0]->driver->trim(rig->log[0], rig->first_seq, NULL), HF_ERR_OK);
        rig_verify(rig, 0);
        if (hf_sim_random_chance(&rig->random, HF_PPM / 2)) {
            hf_world_crash(rig->machine[0], HF_CRASH_POWER);
            rig_takeover_calm(rig, 0, NULL);
        }
    }
    uint64_t first = rig->log[0]->driver->first_seq(rig->log[0]);
    assert_true(first > 1);
    uint64_t seq;
    assert_int_equal(rig->log[0]->driver->seek(rig->log[0], 1, &seq, NULL), HF_ERR_NOT_FOUND);
    rig_free(rig);
}

/* ---- crashes ---- */

static void arm_somewhere(struct rig *rig, unsigned machine)
{
    struct hf_world_point point = {
        .op = HF_WORLD_OP_COUNT,
        .file = HF_CLASS_COUNT,
        .n = 1 + hf_sim_random_below(&rig->random, 40),
        .action = (enum hf_world_action)hf_sim_random_below(&rig->random, 3),
        .crash = (enum hf_crash_kind)hf_sim_random_below(&rig->random, HF_CRASH_KIND_COUNT),
    };
    hf_world_arm(rig->machine[machine], point);
}

/* Starts an append and lets the machine die at any moment of it. */
static void crash_in_flight(struct rig *rig, unsigned machine)
{
    rig_append_start(rig, machine, some_size(rig));
    uint64_t steps = hf_sim_random_below(&rig->random, 6);
    for (uint64_t i = 0; i < steps; i++) {
        (void)hf_world_step(rig->world);
    }
    hf_world_crash(rig->machine[machine],
                   (enum hf_crash_kind)hf_sim_random_below(&rig->random, HF_CRASH_KIND_COUNT));
    enum rig_outcome outcome = rig_append_finish(rig, machine);
    assert_true(outcome == RIG_CRASHED || outcome == RIG_DONE); /* told just before */
}

static void check_crashes(enum rig_kind kind, uint64_t seed)
{
    struct rig *rig = rig_new(kind, seed);
    struct hf_fs_loss *loss = &hf_world_knobs(rig->world)->loss;
    loss->torn_garbage = seed % 2 == 0;
    hf_world_knobs(rig->world)->evict_ppm = HF_PPM / 2;
    unsigned machine = 0;
    for (unsigned round = 0; round < 12; round++) {
        rig_calm(rig);
        if (hf_sim_random_chance(&rig->random, HF_PPM / 3)) {
            arm_somewhere(rig, machine); /* in the middle of recovery */
        }
        if (rig_takeover(rig, machine, NULL) != HF_ERR_OK) {
            rig_takeover_calm(rig, machine, NULL);
        }
        if (hf_sim_random_chance(&rig->random, HF_PPM / 2)) {
            arm_somewhere(rig, machine);
        }
        enum rig_outcome outcome = RIG_DONE;
        unsigned appends = (unsigned)hf_sim_random_below(&rig->random, 12);
        for (unsigned i = 0; i < appends && outcome == RIG_DONE; i++) {
            outcome = rig_append(rig, machine, some_size(rig));
        }
        assert_true(outcome == RIG_DONE || outcome == RIG_CRASHED);
        hf_world_disarm(rig->machine[machine]);
        if (outcome == RIG_DONE) {
            crash_in_flight(rig, machine);
        }
        rig_close(rig, machine);
        machine = (unsigned)hf_sim_random_below(&rig->random, 2);
    }
    rig_takeover_calm(rig, machine, NULL);
    see(rig);
    rig_free(rig);
}

/* ---- failures ---- */

static void stir(struct rig *rig)
{
    struct hf_world_knobs *world = hf_world_knobs(rig->world);
    uint32_t ppm = (uint32_t)hf_sim_random_below(&rig->random, HF_PPM / 50);
    world->write_error_ppm = world->write_short_ppm = world->sync_error_ppm = ppm;
    world->open_error_ppm = world->read_error_ppm = world->directory_error_ppm = ppm / 4;
    world->slow_job_ppm = HF_PPM / 20;
    world->slow_job_us_max = 100000;
    if (rig->sim == NULL) {
        struct hf_fs *fs = hf_world_machine_disk(rig->machine[0]);
        if (hf_sim_random_chance(&rig->random, HF_PPM / 3)) {
            hf_fs_budget_set(fs, hf_fs_used_bytes(fs) + hf_sim_random_below(&rig->random, 200000));
        }
        return;
    }
    struct hf_log_sim_knobs *log = hf_log_sim_knobs(rig->sim);
    log->slow_ppm = HF_PPM / 10;
    log->ambiguous_stored_ppm = log->ambiguous_lost_ppm = log->ambiguous_late_ppm = HF_PPM / 10;
    log->failed_ppm = log->no_space_ppm = log->phantom_takeover_ppm = HF_PPM / 30;
    log->resolve_never_ppm = HF_PPM / 3;
    log->takeover_failed_ppm = HF_PPM / 5;
    log->confirm_failed_ppm = HF_PPM / 5;
}

static void check_failures(enum rig_kind kind, uint64_t seed)
{
    struct rig *rig = rig_new(kind, seed);
    unsigned machine = 0;
    for (unsigned round = 0; round < 12; round++) {
        stir(rig);
        if (rig_takeover(rig, machine, NULL) != HF_ERR_OK) {
            rig_takeover_calm(rig, machine, NULL);
        }
        stir(rig);
        for (unsigned i = 0; i < 12; i++) {
            enum rig_outcome outcome = rig_append(rig, machine, some_size(rig));
            assert_int_not_equal(outcome, RIG_CRASHED);
            if (outcome == RIG_ABSENT && kind == RIG_FILE) {
                rig_calm(rig); /* the disk has room again: the same process goes on */
                assert_int_equal(rig_append(rig, machine, 100), RIG_DONE);
                stir(rig);
            }
            if (outcome == RIG_FAILED) {
                rig_calm(rig); /* final, whatever the disk does now */
                const struct rig_batch *perhaps = &rig->perhaps;
                rig->log[machine]->driver->append_start(rig->log[machine], &perhaps->batch);
                assert_int_equal(rig_append_finish(rig, machine), RIG_FAILED);
            }
            if (outcome == RIG_DEPOSED || outcome == RIG_FAILED) {
                break;
            }
        }
        if (hf_sim_random_chance(&rig->random, HF_PPM / 3)) {
            hf_world_crash(rig->machine[machine],
                           (enum hf_crash_kind)hf_sim_random_below(&rig->random, 2));
        }
        rig_close(rig, machine);
        machine = (unsigned)hf_sim_random_below(&rig->random, 2);
    }
    rig_takeover_calm(rig, machine, NULL);
    append_all(rig, machine, 3);
    see(rig);
    rig_free(rig);
}

/* ---- takeovers of a living owner ---- */

static void check_living(enum rig_kind kind, uint64_t seed)
{
    struct rig *rig = rig_new(kind, seed);
    unsigned owner = 0;
    rig_takeover_calm(rig, owner, NULL);
    for (unsigned round = 0; round < 10; round++) {
        unsigned other = 1 - owner;
        append_all(rig, owner, 3);
        rig_append_start(rig, owner, some_size(rig));
        uint64_t steps = hf_sim_random_below(&rig->random, 3);
        for (uint64_t i = 0; i < steps; i++) {
            (void)hf_world_step(rig->world);
        }
        if (kind == RIG_FILE) {
            /* The kernel's lock: a living owner is never overtaken. */
            assert_int_equal(rig_takeover(rig, other, NULL), HF_ERR_LOCKED);
            assert_int_equal(rig_append_finish(rig, owner), RIG_DONE);
            assert_int_equal(rig_confirm(rig, owner), HF_CONFIRM_OK);
            hf_world_crash(rig->machine[owner], HF_CRASH_KILL);
            rig_takeover_calm(rig, other, NULL); /* the waiting standby, the moment it falls */
        } else {
            rig_takeover_calm(rig, other, NULL);
            enum rig_outcome outcome = rig_append_finish(rig, owner);
            assert_true(outcome == RIG_DONE || outcome == RIG_DEPOSED);
            assert_int_equal(rig_confirm(rig, owner), HF_CONFIRM_FENCED);
            /* It does not know better and appends: in vain, for ever. */
            rig->head[owner].seq += outcome == RIG_DONE ? 1 : 0;
            append_all(rig, other, 2);
            rig_append_start(rig, owner, 100);
            assert_int_equal(rig_append_finish(rig, owner), RIG_DEPOSED);
            assert_int_equal(rig_confirm(rig, other), HF_CONFIRM_OK);
        }
        rig_verify(rig, other);
        rig_close(rig, owner);
        owner = other;
    }
    see(rig);
    rig_free(rig);
}

/* ---- every operation in turn ---- */

/* Opens, takes over, appends across segments, seals; stops at the first that goes wrong. */
static void scenario(struct rig *rig)
{
    if (rig_open(rig, 0, NULL) != HF_ERR_OK) {
        return;
    }
    struct hf_log *log = rig->log[0];
    struct hf_log_head head;
    struct hf_log_recovery recovery;
    if (log->driver->takeover(log, HF_STR("rig"), false, &head, &recovery, NULL) != HF_ERR_OK) {
        return;
    }
    assert_true(head.epoch > rig->epoch);
    rig->epoch = head.epoch;
    rig->head[0] = head;
    assert_int_equal(head.seq, rig->count);
    for (unsigned i = 0; i < 8; i++) {
        enum rig_outcome outcome = rig_append(rig, 0, i % 3 == 2 ? 9000 : 300);
        if (outcome != RIG_DONE && outcome != RIG_ABSENT) {
            return;
        }
    }
    (void)log->driver->trim(log, rig->count / 2, NULL);
    (void)log->driver->seal(log, NULL);
}

/* One run with the n-th operation going wrong; false: there is no n-th. */
static bool check_nth(enum hf_world_action action, enum hf_crash_kind crash, uint64_t n)
{
    struct rig *rig = rig_new(RIG_FILE, n);
    (void)snprintf(running, sizeof(running), "stopped at operation %llu, %s, %s\n",
                   (unsigned long long)n, hf_world_action_name(action),
                   crash == HF_CRASH_POWER ? "power loss" : "kill");
    rig_takeover_calm(rig, 0, NULL); /* so that recovery meets something */
    append_all(rig, 0, 3);
    rig_close(rig, 0);
    hf_world_arm(rig->machine[0], (struct hf_world_point){.op = HF_WORLD_OP_COUNT,
                                                          .file = HF_CLASS_COUNT,
                                                          .n = n,
                                                          .action = action,
                                                          .crash = crash});
    scenario(rig);
    rig->first_seq = rig->count / 2 + 1;
    bool met = !hf_world_armed(rig->machine[0]);
    hf_world_disarm(rig->machine[0]);
    /* Whatever happened: what was acknowledged is there, and the log goes on. */
    rig_close(rig, 0);
    rig_takeover_calm(rig, 0, NULL);
    append_all(rig, 0, 2);
    hf_world_crash(rig->machine[0], HF_CRASH_POWER);
    rig_takeover_calm(rig, 0, NULL);
    rig_free(rig);
    return met;
}

static void test_file_every_operation_in_turn(void **state)
{
    (void)state;
    for (unsigned action = 0; action < HF_ACT_COUNT; action++) {
        for (unsigned crash = 0; crash < HF_CRASH_KIND_COUNT; crash++) {
            if (crash > 0 && action > HF_ACT_CRASH_AFTER) {
                break;
            }
            uint64_t n = 1;
            while (check_nth((enum hf_world_action)action, (enum hf_crash_kind)crash, n)) {
                n++;
            }
            assert_true(n > 20);
        }
    }
}

/* ---- damage ---- */

/* Names in the log's directory, in order. */
struct names {
    size_t count;      /* used */
    char path[16][80]; /* of each */
};

static void note_name(void *context, struct hf_str name)
{
    struct names *names = context;
    assert_true(names->count < HF_ARRAY_COUNT(names->path));
    (void)snprintf(names->path[names->count++], sizeof(names->path[0]), "data/log/%.*s",
                   (int)name.len, name.ptr);
}

/* A log of three small batches, closed. */
static struct rig *small_log(bool sealed)
{
    struct rig *rig = rig_new(RIG_FILE, 7);
    rig_takeover_calm(rig, 0, NULL);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(rig_append(rig, 0, 300), RIG_DONE);
    }
    if (sealed) {
        assert_int_equal(rig->log[0]->driver->seal(rig->log[0], NULL), HF_ERR_OK);
    }
    rig_close(rig, 0);
    return rig;
}

/* Reads what the damaged log has; false if the damage was named. */
static bool read_damaged(struct rig *rig, uint64_t head_seq)
{
    struct hf_log *log = rig->log[0];
    struct hf_buffer out;
    hf_buffer_init(&out);
    uint32_t batches = 0;
    enum hf_err result = log->driver->read(log, 1, SIZE_MAX, &out, &batches, NULL);
    size_t at = 0;
    for (uint32_t i = 0; i < batches; i++) {
        struct hf_log_batch batch;
        assert_int_equal(hf_log_batch_decode(out.data, out.size_bytes, &at, &batch, NULL),
                         HF_ERR_OK);
        const struct hf_log_batch *right = &rig->batches[i].batch;
        assert_int_equal(batch.body_bytes, right->body_bytes);
        assert_memory_equal(batch.body, right->body, right->body_bytes);
        assert_true(hf_hash_equal(&batch.hash_after, &right->hash_after));
    }
    hf_buffer_release(&out);
    assert_true(result == HF_ERR_CORRUPT || (result == HF_ERR_OK && batches == head_seq));
    return result == HF_ERR_OK;
}

/* What came of damage. */
struct verdicts {
    unsigned refused;  /* corrupt, or an unknown format */
    unsigned torn;     /* recorded as a torn tail: the last batch at most is missing */
    unsigned harmless; /* everything is there */
};

static void judge_damage(struct rig *rig, bool sealed, struct verdicts *verdicts)
{
    struct hf_error error = {.code = HF_ERR_OK};
    struct hf_log_head head;
    struct hf_log_recovery recovery = {.sealed = false};
    enum hf_err result = rig_open(rig, 0, &error);
    if (result == HF_ERR_OK) {
        struct hf_log *log = rig->log[0];
        result = log->driver->takeover(log, HF_STR("rig"), false, &head, &recovery, &error);
    }
    if (result != HF_ERR_OK) {
        assert_true(result == HF_ERR_CORRUPT || result == HF_ERR_VERSION);
        assert_true(error.text[0] != '\0');
        verdicts->refused++;
        return;
    }
    assert_true(head.epoch > rig->epoch);
    if (!read_damaged(rig, head.seq)) {
        verdicts->refused++;
        return;
    }
    bool whole = head.seq == rig->count;
    assert_true(whole || (!sealed && recovery.torn_tail && head.seq == rig->count - 1));
    verdicts->torn += recovery.torn_tail;
    verdicts->harmless += !recovery.torn_tail;
}

static struct names names_of(struct rig *rig)
{
    struct names names = {.count = 0};
    assert_int_equal(
        hf_fs_list(hf_world_machine_disk(rig->machine[0]), "data/log", note_name, &names),
        HF_ERR_OK);
    return names;
}

/* Flips at every offset of every file of the log; a file's empty space in steps. */
static void flip_everywhere(bool sealed, struct verdicts *verdicts)
{
    struct rig *rig = small_log(sealed);
    struct names names = names_of(rig);
    rig_free(rig);
    for (size_t i = 0; i < names.count; i++) {
        uint64_t offset = 0;
        for (;;) {
            (void)snprintf(running, sizeof(running), "stopped at byte %llu of %s\n",
                           (unsigned long long)offset, names.path[i]);
            rig = small_log(sealed);
            enum hf_err result = hf_fs_damage(hf_world_machine_disk(rig->machine[0]), names.path[i],
                                              offset, (uint8_t)(1u << (offset % 8)));
            if (result == HF_ERR_OK) {
                judge_damage(rig, sealed, verdicts);
            }
            rig_free(rig);
            if (result != HF_ERR_OK) {
                break;
            }
            offset += i == 0 || offset % 4096 < 1500 ? 1 : 61;
        }
    }
}

static void test_file_every_byte_flipped(void **state)
{
    (void)state;
    for (unsigned sealed = 0; sealed < 2; sealed++) {
        struct verdicts verdicts = {.refused = 0};
        flip_everywhere(sealed != 0, &verdicts);
        assert_true(verdicts.refused > 1000);
        assert_true(sealed ? verdicts.torn == 0 : verdicts.torn > 400);
    }
}

/* Cuts the file to size_bytes, durably; false if it was not longer. */
static bool cut(struct rig *rig, const char *path, uint64_t size_bytes)
{
    struct hf_fs *fs = hf_world_machine_disk(rig->machine[0]);
    struct hf_fs_file *file;
    if (hf_fs_open(fs, 0, path, false, &file) != HF_ERR_OK) {
        return false;
    }
    bool longer = hf_fs_size(file) > size_bytes;
    if (longer) {
        assert_int_equal(hf_fs_truncate(fs, 0, file, size_bytes), HF_ERR_OK);
        hf_fs_sync(file);
    }
    hf_fs_close(fs, file);
    return longer;
}

static void test_file_every_prefix(void **state)
{
    (void)state;
    struct rig *rig = small_log(false);
    struct names names = names_of(rig);
    rig_free(rig);
    struct verdicts verdicts = {.refused = 0};
    for (size_t i = 0; i < names.count; i++) {
        bool longer = true;
        for (uint64_t size_bytes = 0; longer; size_bytes += size_bytes % 4096 < 1500 ? 1 : 61) {
            (void)snprintf(running, sizeof(running), "stopped at the first %llu bytes of %s\n",
                           (unsigned long long)size_bytes, names.path[i]);
            rig = small_log(size_bytes % 2 != 0);
            longer = cut(rig, names.path[i], size_bytes);
            if (longer) {
                judge_damage(rig, size_bytes % 2 != 0, &verdicts);
            }
            rig_free(rig);
        }
    }
    assert_true(verdicts.refused > 1000);
}

/* ---- determinism, coverage ---- */

static void test_simulated_outcomes_were_all_met(void **state)
{
    (void)state;
    if (setting("HF_SEED", 0) != 0) {
        return;
    }
    assert_true(seen.append_ok > 0 && seen.append_fenced > 0 && seen.append_no_space > 0);
    assert_true(seen.append_ambiguous_stored > 0 && seen.append_ambiguous_lost > 0);
    assert_true(seen.append_ambiguous_late > 0 && seen.late_stored > 0);
    assert_true(seen.append_failed_stored > 0 && seen.append_failed_lost > 0);
    assert_true(seen.resolve_committed > 0 && seen.resolve_never > 0);
    assert_true(seen.resolve_retry > 0 && seen.resolve_fenced > 0);
    assert_true(seen.confirm_ok > 0 && seen.confirm_fenced > 0);
    assert_true(seen.takeovers > 0 && seen.takeovers_failed > 0 && seen.takeovers_of_living > 0);
    assert_true(seen.in_flight_stored > 0 && seen.in_flight_rejected > 0);
    assert_true(seen.orphans_stored > 0 && seen.duplicates > 0 && seen.phantom_takeovers > 0);
}

static uint64_t trace_of(enum rig_kind kind, uint64_t seed)
{
    struct rig *rig = rig_new(kind, seed);
    for (unsigned round = 0; round < 4; round++) {
        rig_takeover_calm(rig, 0, NULL);
        append_all(rig, 0, 5);
        crash_in_flight(rig, 0);
    }
    uint64_t hash = hf_world_trace_hash(rig->world);
    rig_free(rig);
    return hash;
}

static void test_a_seed_replays(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 20; seed++) {
        assert_int_equal(trace_of(RIG_SIMULATED, seed), trace_of(RIG_SIMULATED, seed));
        assert_int_equal(trace_of(RIG_FILE, seed), trace_of(RIG_FILE, seed));
        assert_int_not_equal(trace_of(RIG_FILE, seed), trace_of(RIG_FILE, seed + 1));
    }
}

/* Each suite on each driver. */
#define BOTH(suite)                                                                                \
    static void test_simulated_##suite(void **state)                                               \
    {                                                                                              \
        (void)state;                                                                               \
        for_seeds(RIG_SIMULATED, check_##suite);                                                   \
    }                                                                                              \
    static void test_file_##suite(void **state)                                                    \
    {                                                                                              \
        (void)state;                                                                               \
        for_seeds(RIG_FILE, check_##suite);                                                        \
    }

BOTH(plain)
BOTH(reader)
BOTH(trim)
BOTH(crashes)
BOTH(failures)
BOTH(living)

int main(void)
{
    (void)signal(SIGABRT, say_what_runs);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simulated_plain),
        cmocka_unit_test(test_simulated_reader),
        cmocka_unit_test(test_simulated_trim),
        cmocka_unit_test(test_simulated_crashes),
        cmocka_unit_test(test_simulated_failures),
        cmocka_unit_test(test_simulated_living),
        cmocka_unit_test(test_simulated_outcomes_were_all_met),
        cmocka_unit_test(test_file_plain),
        cmocka_unit_test(test_file_reader),
        cmocka_unit_test(test_file_trim),
        cmocka_unit_test(test_file_crashes),
        cmocka_unit_test(test_file_failures),
        cmocka_unit_test(test_file_living),
        cmocka_unit_test(test_file_every_operation_in_turn),
        cmocka_unit_test(test_file_every_byte_flipped),
        cmocka_unit_test(test_file_every_prefix),
        cmocka_unit_test(test_a_seed_replays),
    };
    cmocka_set_test_filter(getenv("HF_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
