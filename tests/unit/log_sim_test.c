/*
 * The simulated log stops whoever breaks the contract, and names what was broken.
 */
#include "unit/support.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "sim/log_sim.h"

static const uint8_t body[] = {3, 0, 0, 0, 2, 0, 0, 0, 'a', 'b', 'c', 'p', 'q'};

/* A machine that owns the log. */
struct fixture {
    struct hf_world *world;   /* owned */
    struct hf_log_sim *sim;   /* owned */
    struct hf_log *log;       /* open */
    struct hf_log_head head;  /* of its takeover */
    struct hf_log_batch next; /* the batch that would be right */
};

static struct hf_log_batch batch_behind(const struct hf_log_head *head, uint8_t id)
{
    struct hf_log_batch batch = {
        .seq = head->seq + 1,
        .epoch = head->epoch,
        .first_position = head->position + 1,
        .commit_count = 1,
        .batch_id = {id},
        .hash_before = head->hash,
        .hash_after = hf_log_chain(&head->hash, body + 8, 3),
        .body = body,
        .body_bytes = sizeof(body),
    };
    return batch;
}

static struct fixture fixture_new(void)
{
    struct fixture f = {.world = hf_world_new(1)};
    struct hf_log_recovery recovery;
    f.sim = hf_log_sim_new(f.world);
    struct hf_outside *o = hf_world_boot(hf_world_machine_new(f.world, NULL));
    assert_int_equal(hf_log_sim_open(f.sim, o, &f.log, NULL), HF_ERR_OK);
    assert_int_equal(f.log->driver->takeover(f.log, HF_STR("a"), false, &f.head, &recovery, NULL),
                     HF_ERR_OK);
    f.next = batch_behind(&f.head, 1);
    return f;
}

static void fixture_free(struct fixture *f)
{
    f->log->driver->close(f->log);
    hf_log_sim_verify(f->sim);
    hf_log_sim_free(f->sim);
    hf_world_free(f->world);
}

static enum hf_append_outcome append(struct fixture *f, const struct hf_log_batch *batch)
{
    f->log->driver->append_start(f->log, batch);
    enum hf_append_outcome outcome;
    while ((outcome = f->log->driver->append_poll(f->log, NULL)) == HF_APPEND_PENDING) {
        assert_true(hf_world_step(f->world));
    }
    return outcome;
}

static enum hf_resolve_outcome resolve(struct fixture *f, const struct hf_log_batch *batch)
{
    f->log->driver->resolve_start(f->log, batch->seq, batch->batch_id);
    enum hf_resolve_outcome outcome;
    while ((outcome = f->log->driver->resolve_poll(f->log, NULL)) == HF_RESOLVE_PENDING) {
        assert_true(hf_world_step(f->world));
    }
    return outcome;
}

/* Runs act in a process of its own: it must abort, and say `name`. */
static void must_stop(void (*act)(struct fixture *f), const char *name)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        struct fixture f = fixture_new();
        act(&f);
        while (hf_world_step(f.world)) {
        }
        _exit(0);
    }
    close(ends[1]);
    char text[1000];
    size_t used = 0;
    ssize_t got;
    while (used < sizeof(text) - 1 &&
           (got = read(ends[0], text + used, sizeof(text) - 1 - used)) > 0) {
        used += (size_t)got;
    }
    text[used] = '\0';
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    if (strstr(text, name) == NULL) {
        print_error("%s is not in: %s\n", name, text);
        fail();
    }
}

static void leave_a_gap(struct fixture *f)
{
    f->next.seq++;
    (void)append(f, &f->next);
}

static void leave_a_gap_of_positions(struct fixture *f)
{
    f->next.first_position++;
    (void)append(f, &f->next);
}

static void break_the_chain(struct fixture *f)
{
    f->next.hash_after.bytes[5] ^= 1;
    (void)append(f, &f->next);
}

static void begin_another_chain(struct fixture *f)
{
    f->next.hash_before.bytes[0] = 1;
    f->next.hash_after = hf_log_chain(&f->next.hash_before, body + 8, 3);
    (void)append(f, &f->next);
}

static void count_wrongly(struct fixture *f)
{
    f->next.commit_count = 2;
    (void)append(f, &f->next);
}

static void claim_another_epoch(struct fixture *f)
{
    f->next.epoch++;
    (void)append(f, &f->next);
}

static void append_twice_at_once(struct fixture *f)
{
    f->log->driver->append_start(f->log, &f->next);
    f->log->driver->append_start(f->log, &f->next);
}

static void take_ambiguous_for_failure(struct fixture *f)
{
    hf_log_sim_knobs(f->sim)->ambiguous_lost_ppm = HF_PPM;
    assert_int_equal(append(f, &f->next), HF_APPEND_AMBIGUOUS);
    f->next.batch_id[0]++;
    (void)append(f, &f->next);
}

static void resend_other_bytes(struct fixture *f)
{
    hf_log_sim_knobs(f->sim)->ambiguous_lost_ppm = HF_PPM;
    assert_int_equal(append(f, &f->next), HF_APPEND_AMBIGUOUS);
    assert_int_equal(resolve(f, &f->next), HF_RESOLVE_RETRY);
    f->next.space = 1;
    (void)append(f, &f->next);
}

static void resend_after_never(struct fixture *f)
{
    hf_log_sim_knobs(f->sim)->ambiguous_lost_ppm = HF_PPM;
    hf_log_sim_knobs(f->sim)->resolve_never_ppm = HF_PPM;
    assert_int_equal(append(f, &f->next), HF_APPEND_AMBIGUOUS);
    assert_int_equal(resolve(f, &f->next), HF_RESOLVE_NEVER);
    (void)append(f, &f->next);
}

static void take_ok_for_failure(struct fixture *f)
{
    assert_int_equal(append(f, &f->next), HF_APPEND_OK);
    f->next.batch_id[0]++;
    (void)append(f, &f->next);
}

static void seal_over_an_open_batch(struct fixture *f)
{
    hf_log_sim_knobs(f->sim)->ambiguous_lost_ppm = HF_PPM;
    assert_int_equal(append(f, &f->next), HF_APPEND_AMBIGUOUS);
    (void)f->log->driver->seal(f->log, NULL);
}

static void test_breaches_are_named(void **state)
{
    (void)state;
    must_stop(leave_a_gap, "i1_seq_without_gap");
    must_stop(leave_a_gap_of_positions, "i1_positions_without_gap");
    must_stop(break_the_chain, "i5_chain_recomputes");
    must_stop(begin_another_chain, "i5_chain_continues");
    must_stop(count_wrongly, "i5_chain_recomputes");
    must_stop(claim_another_epoch, "append_of_own_epoch");
    must_stop(append_twice_at_once, "under_way");
    must_stop(take_ambiguous_for_failure, "ambiguous_batch_settled_before_another");
    must_stop(resend_other_bytes, "ambiguous_batch_resent_with_the_same_bytes");
    must_stop(resend_after_never, "never_batch_not_sent_again");
    must_stop(take_ok_for_failure, "i1_seq_without_gap");
    must_stop(seal_over_an_open_batch, "ambiguous_batch_settled_before_seal");
}

static void test_a_retry_is_stored_once(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    hf_log_sim_knobs(f.sim)->ambiguous_late_ppm = HF_PPM;
    assert_int_equal(append(&f, &f.next), HF_APPEND_AMBIGUOUS);
    enum hf_resolve_outcome outcome = resolve(&f, &f.next);
    hf_log_sim_knobs(f.sim)->ambiguous_late_ppm = 0;
    if (outcome == HF_RESOLVE_RETRY) {
        assert_int_equal(append(&f, &f.next), HF_APPEND_OK);
    }
    while (hf_world_step(f.world)) {
    }
    assert_int_equal(hf_log_sim_head(f.sim).seq, 1);
    struct hf_log_head head = hf_log_sim_head(f.sim);
    f.next = batch_behind(&head, 2);
    assert_int_equal(append(&f, &f.next), HF_APPEND_OK);
    fixture_free(&f);
}

static void test_never_holds_against_a_late_message(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    hf_log_sim_knobs(f.sim)->ambiguous_late_ppm = HF_PPM;
    hf_log_sim_knobs(f.sim)->resolve_never_ppm = HF_PPM;
    hf_log_sim_knobs(f.sim)->late_us_max = 100000000;
    assert_int_equal(append(&f, &f.next), HF_APPEND_AMBIGUOUS);
    assert_int_equal(resolve(&f, &f.next), HF_RESOLVE_NEVER);
    hf_log_sim_knobs(f.sim)->ambiguous_late_ppm = 0;
    struct hf_log_batch other = batch_behind(&f.head, 2);
    assert_int_equal(append(&f, &other), HF_APPEND_OK);
    while (hf_world_step(f.world)) {
    }
    size_t size_bytes;
    const uint8_t *bytes = hf_log_sim_stored(f.sim, 1, &size_bytes);
    struct hf_log_batch stored;
    size_t at = 0;
    assert_int_equal(hf_log_batch_decode(bytes, size_bytes, &at, &stored, NULL), HF_ERR_OK);
    assert_memory_equal(stored.batch_id, other.batch_id, 16);
    assert_int_equal(hf_log_sim_head(f.sim).seq, 1);
    fixture_free(&f);
}

static void test_a_full_log_changes_nothing(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    hf_log_sim_knobs(f.sim)->full = true;
    assert_int_equal(append(&f, &f.next), HF_APPEND_NO_SPACE);
    assert_int_equal(append(&f, &f.next), HF_APPEND_NO_SPACE);
    hf_log_sim_knobs(f.sim)->full = false;
    assert_int_equal(append(&f, &f.next), HF_APPEND_OK);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_breaches_are_named),
        cmocka_unit_test(test_a_retry_is_stored_once),
        cmocka_unit_test(test_never_holds_against_a_late_message),
        cmocka_unit_test(test_a_full_log_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
