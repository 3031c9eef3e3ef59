/* The tail of a node in the simulated world: what readers see, and when. */
#include "node/tail.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/check.h"
#include "unit/node_rig.h"
#include "unit/support.h"

struct fixture {
    struct node_rig rig;
    struct hf_tail *tail;
};

static struct fixture begin(uint64_t seed, uint64_t tail_bytes_max)
{
    struct fixture f;
    node_rig_init(&f.rig, seed);
    f.rig.limits.segment_bytes_max = 1u << 16;
    f.rig.limits.tail_bytes_max = tail_bytes_max;
    f.rig.checkpoints = false;
    node_rig_make(&f.rig);
    f.tail = hf_node_tail(f.rig.node);
    assert_false(hf_tail_head(f.tail).open);
    node_rig_start(&f.rig);
    assert_true(hf_tail_head(f.tail).open);
    return f;
}

static void ask(struct fixture *f, struct node_asked *asked, uint64_t number)
{
    char json[256];
    (void)snprintf(json, sizeof(json),
                   "{\"do\":[{\"op\":\"append\",\"stream\":\"s\",\"type\":\"t\",\"id\":\"e%llu\","
                   "\"data\":%llu}]}",
                   (unsigned long long)number, (unsigned long long)number);
    node_rig_ask(&f->rig, asked, json);
}

static void answered(struct node_asked *asked)
{
    assert_true(asked->done);
    assert_int_equal(asked->request.answer.code, HF_ERR_OK);
    node_asked_release(asked);
}

/* `count` commits, some in one batch, some alone. */
static void commit_some(struct fixture *f, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count;) {
        struct node_asked asked[5];
        uint64_t together = i % 3 == 0 && count - i >= 5 ? 5 : 1;
        for (uint64_t k = 0; k < together; k++) {
            ask(f, &asked[k], first + i + k);
        }
        for (int tries = 0; !asked[together - 1].done && tries < 10000; tries++) {
            node_rig_drive(&f->rig, NODE_RIG_TICK_US);
        }
        for (uint64_t k = 0; k < together; k++) {
            answered(&asked[k]);
        }
        i += together;
    }
}

static struct hf_commit decode(const struct hf_shared_bytes *frame, struct hf_arena *arena)
{
    struct hf_commit commit;
    struct hf_error error;
    size_t record = hf_get_u32(frame->data);
    size_t payload = hf_get_u32(frame->data + 4);
    assert_int_equal(frame->size_bytes, 8 + record + payload);
    assert_int_equal(hf_commit_decode(frame->data + 8, record, frame->data + 8 + record, payload,
                                      arena, &commit, &error),
                     HF_ERR_OK);
    return commit;
}

/* What the tail gives from `from` on is without a gap up to the head. Returns the frames in the ring. */
static uint64_t check_ring(struct fixture *f, uint64_t from)
{
    struct hf_arena arena;
    hf_arena_init(&arena);
    uint64_t seen = 0;
    for (;;) {
        struct hf_shared_bytes *frames[7];
        size_t count;
        enum hf_tail_result result = hf_tail_take(f->tail, from, frames, 7, &count);
        if (result == HF_TAIL_AT_HEAD) {
            assert_int_equal(from, hf_tail_head(f->tail).position + 1);
            break;
        }
        assert_int_equal(result, HF_TAIL_FRAMES);
        assert_true(count >= 1 && count <= 7);
        for (size_t i = 0; i < count; i++) {
            struct hf_commit commit = decode(frames[i], &arena);
            assert_int_equal(commit.position, from);
            assert_int_equal(hf_tail_time_of(frames[i]->data + 8, hf_get_u32(frames[i]->data)),
                             commit.time_us);
            hf_shared_bytes_unref(frames[i]);
            from++;
            seen++;
        }
    }
    hf_arena_release(&arena);
    return seen;
}

static void nothing_is_seen_before_it_is_durable(void **state)
{
    (void)state;
    struct fixture f = begin(1, 1u << 20);
    node_rig_drive(&f.rig, 100000);
    uint64_t before = hf_tail_head(f.tail).position;
    struct node_asked asked;
    ask(&f, &asked, 1);
    while (hf_node_step(f.rig.node)) { /* decided and handed over; the disk has not moved */
    }
    assert_int_equal(hf_node_state(f.rig.node)->position, before + 1);
    assert_int_equal(hf_tail_head(f.tail).position, before);
    struct hf_shared_bytes *frame;
    size_t count;
    assert_int_equal(hf_tail_take(f.tail, before + 1, &frame, 1, &count), HF_TAIL_AT_HEAD);
    assert_int_equal(count, 0);
    node_rig_drive(&f.rig, 100000);
    answered(&asked);
    struct hf_tail_head head = hf_tail_head(f.tail);
    assert_int_equal(head.position, before + 1);
    assert_int_equal(head.time_us, hf_node_state(f.rig.node)->time_us);
    assert_int_equal(check_ring(&f, before + 1), 1);
    node_rig_end(&f.rig);
}

static void ring(void *context)
{
    (*(unsigned *)context)++;
}

#define SAGA(id)                                                                                   \
    "{\"do\":[{\"op\":\"start_saga\",\"saga\":\"" id                                               \
    "\",\"definition\":{\"steps\":[{\"name\":\"pause\",\"action\":{\"sleep_ms\":60000}}]}}]}"

static void who_sends_is_rung_for_what_concerns_it_alone(void **state)
{
    (void)state;
    struct fixture f = begin(3, 1u << 20);
    node_rig_drive(&f.rig, 100000);
    unsigned rings = 0;
    struct hf_tail_listener listener = {.ring = ring, .context = &rings, .outward_only = true};
    hf_tail_listen(f.tail, &listener);
    commit_some(&f, 0, 20);
    assert_int_equal(rings, 0);
    uint64_t before = hf_tail_head(f.tail).outward;
    assert_true(before < hf_tail_head(f.tail).position);
    node_rig_commit(&f.rig, SAGA("a"));
    assert_int_equal(rings, 1);
    assert_int_equal(hf_tail_head(f.tail).outward, hf_tail_head(f.tail).position);
    commit_some(&f, 100, 20);
    assert_int_equal(rings, 1);
    hf_node_stop(f.rig.node);
    node_rig_drive(&f.rig, 1000000);
    assert_int_equal(rings, 2);
    hf_tail_unlisten(f.tail, &listener);
    node_rig_end(&f.rig);
}

/* Pairs of commits, the second of which runs ahead of the first, until the disk is full: which pair met it. The second one of pair
 * `saga_at` is a saga. */
static int fill_disk(struct fixture *f, int saga_at)
{
    char json[20200];
    for (int pair = 0; pair < 500; pair++) {
        struct node_asked asked[2];
        (void)snprintf(json, sizeof(json),
                       "{\"do\":[{\"op\":\"append\",\"stream\":\"s\",\"type\":\"t\",\"id\":\"f%d\","
                       "\"data\":\"%020000d\"}]}",
                       pair, 0);
        node_rig_ask(&f->rig, &asked[0], json);
        node_rig_drive(&f->rig, 1000); /* under way… */
        if (pair == saga_at) {
            node_rig_ask(&f->rig, &asked[1], SAGA("never"));
        } else {
            ask(f, &asked[1], 1000 + (uint64_t)pair);
        }
        node_rig_drive(&f->rig, 100000);
        bool full = asked[0].request.answer.code == HF_ERR_READ_ONLY;
        for (int i = 0; i < 2; i++) {
            assert_true(asked[i].done);
            assert_int_equal(asked[i].request.answer.code, full ? HF_ERR_READ_ONLY : HF_ERR_OK);
            node_asked_release(&asked[i]);
        }
        if (full) {
            return pair;
        }
    }
    return -1;
}

static struct fixture begin_small(unsigned *rings, struct hf_tail_listener *listener)
{
    struct fixture f = begin(4, 1u << 20);
    node_rig_drive(&f.rig, 100000);
    *rings = 0;
    *listener = (struct hf_tail_listener){.ring = ring, .context = rings, .outward_only = true};
    hf_tail_listen(f.tail, listener);
    hf_world_knobs(f.rig.world)->job_us_min = 5000;
    hf_world_knobs(f.rig.world)->job_us_max = 5000;
    hf_fs_budget_set(hf_world_machine_disk(hf_world_machine_of(f.rig.outside)), 300000);
    return f;
}

/* A saga that was decided behind an append that never happened is not there, and does not hide the next one of its position. */
static void what_never_was_does_not_hide_what_comes(void **state)
{
    (void)state;
    unsigned rings;
    struct hf_tail_listener listener;
    struct fixture f = begin_small(&rings, &listener);
    int full = fill_disk(&f, -1);
    assert_true(full > 0);
    hf_tail_unlisten(f.tail, &listener);
    node_rig_end(&f.rig);
    f = begin_small(&rings, &listener);
    assert_int_equal(fill_disk(&f, full), full);
    hf_fs_budget_set(hf_world_machine_disk(hf_world_machine_of(f.rig.outside)), UINT64_MAX);
    node_rig_drive(&f.rig, 10000000);
    commit_some(&f, 100000, 1);
    assert_true(hf_tail_head(f.tail).outward < hf_tail_head(f.tail).position);
    assert_int_equal(rings, 0);
    node_rig_commit(&f.rig, SAGA("real"));
    assert_int_equal(hf_tail_head(f.tail).outward, hf_tail_head(f.tail).position);
    assert_int_equal(rings, 1);
    hf_tail_unlisten(f.tail, &listener);
    node_rig_end(&f.rig);
}

static void listeners_are_rung_once_a_batch_and_at_the_end(void **state)
{
    (void)state;
    struct fixture f = begin(2, 1u << 20);
    node_rig_drive(&f.rig, 100000);
    unsigned rings[2] = {0, 0};
    struct hf_tail_listener listeners[2] = {{.ring = ring, .context = &rings[0]},
                                            {.ring = ring, .context = &rings[1]}};
    hf_tail_listen(f.tail, &listeners[0]);
    hf_tail_listen(f.tail, &listeners[1]);
    struct node_asked asked[5];
    for (uint64_t i = 0; i < 5; i++) {
        ask(&f, &asked[i], i);
    }
    node_rig_drive(&f.rig, 100000);
    for (int i = 0; i < 5; i++) {
        answered(&asked[i]);
    }
    struct hf_node_status status;
    hf_node_status(f.rig.node, &status);
    assert_true(rings[0] >= 1 && rings[0] <= 2);
    assert_int_equal(rings[0], rings[1]);
    hf_tail_unlisten(f.tail, &listeners[1]);
    unsigned before = rings[0];
    hf_node_stop(f.rig.node);
    node_rig_drive(&f.rig, 1000000);
    assert_false(hf_tail_head(f.tail).open);
    assert_true(rings[0] > before);
    assert_true(rings[1] < rings[0]);
    hf_tail_unlisten(f.tail, &listeners[0]);
    node_rig_end(&f.rig);
}

/* Reads [1, head] from the log, in steps of `bytes`, with and without hints. */
static void check_log(struct fixture *f, size_t bytes_max, bool hints)
{
    uint64_t next = 1;
    uint64_t hint = 0;
    struct hf_tail_head head = hf_tail_head(f->tail);
    struct hf_buffer out;
    struct hf_error error;
    hf_buffer_init(&out);
    while (next <= head.position) {
        hf_buffer_clear(&out);
        assert_int_equal(hf_tail_read(f->tail, next, hint, bytes_max, &out, &error), HF_ERR_OK);
        struct hf_log_batch batch;
        for (size_t at = 0; at < out.size_bytes;) {
            assert_int_equal(hf_tail_batch(&out, &at, &batch, &error), HF_ERR_OK);
            assert_true(batch.first_position <= next);
            next = batch.first_position + batch.commit_count;
            hint = hints ? batch.seq + 1 : 0;
        }
    }
    assert_int_equal(next, head.position + 1);
    hf_buffer_release(&out);
}

static void the_ring_is_bounded_and_the_log_has_the_rest(void **state)
{
    (void)state;
    struct fixture f = begin(3, 2000);
    commit_some(&f, 0, 200);
    struct hf_tail_head head = hf_tail_head(f.tail);
    struct hf_shared_bytes *frame;
    size_t count;
    assert_int_equal(hf_tail_take(f.tail, 1, &frame, 1, &count), HF_TAIL_COLD);
    uint64_t first = head.position;
    while (hf_tail_take(f.tail, first - 1, &frame, 1, &count) == HF_TAIL_FRAMES) {
        hf_shared_bytes_unref(frame);
        first--;
    }
    uint64_t kept = check_ring(&f, first);
    assert_true(kept >= 5 && kept < 40);
    check_log(&f, 1, true);
    check_log(&f, 1, false);
    check_log(&f, 10000, true);
    check_log(&f, 1u << 20, false);
    node_rig_end(&f.rig);
}

static void a_time_leads_to_its_position(void **state)
{
    (void)state;
    struct fixture f = begin(4, 1u << 20);
    commit_some(&f, 0, 150);
    struct hf_tail_head head = hf_tail_head(f.tail);
    struct hf_error error;
    uint64_t position;
    uint64_t times[200];
    for (uint64_t at = 1; at <= head.position; at++) {
        struct hf_shared_bytes *frame;
        size_t count;
        assert_int_equal(hf_tail_take(f.tail, at, &frame, 1, &count), HF_TAIL_FRAMES);
        times[at] = hf_tail_time_of(frame->data + 8, hf_get_u32(frame->data));
        hf_shared_bytes_unref(frame);
    }
    for (uint64_t at = 1; at <= head.position; at++) {
        assert_int_equal(hf_tail_at_time(f.tail, times[at], &position, &error), HF_ERR_OK);
        assert_int_equal(position, at);
        assert_int_equal(hf_tail_at_time(f.tail, times[at] + 1, &position, &error), HF_ERR_OK);

        assert_int_equal(position, at + 1);
    }
    assert_int_equal(hf_tail_at_time(f.tail, 0, &position, &error), HF_ERR_OK);
    assert_int_equal(position, 1);
    assert_int_equal(hf_tail_at_time(f.tail, UINT64_MAX, &position, &error), HF_ERR_OK);
    assert_int_equal(position, head.position + 1);
    node_rig_end(&f.rig);
}

static void what_was_trimmed_is_told(void **state)
{
    (void)state;
    struct fixture f = begin(5, 2000);
    commit_some(&f, 0, 100);
    struct hf_tail_head head = hf_tail_head(f.tail);
    struct hf_error error;
    uint64_t first;
    assert_int_equal(hf_tail_first(f.tail, &first, &error), HF_ERR_OK);
    assert_int_equal(first, 1);
    uint64_t mark;
    assert_int_equal(hf_tail_mark(f.tail, &mark, &error), HF_ERR_OK);
    assert_int_equal(f.rig.log->driver->trim(f.rig.log, head.seq, &error), HF_ERR_OK);
    assert_int_equal(hf_tail_first(f.tail, &first, &error), HF_ERR_OK);
    assert_true(first > 1 && first <= head.position);
    struct hf_buffer out;
    hf_buffer_init(&out);
    assert_int_equal(hf_tail_read(f.tail, first - 1, 0, 1, &out, &error), HF_ERR_NOT_FOUND);
    assert_int_equal(hf_tail_read(f.tail, first, 0, 1, &out, &error), HF_ERR_OK);
    hf_buffer_release(&out);
    uint64_t position;
    assert_int_equal(hf_tail_at_time(f.tail, 1, &position, &error), HF_ERR_OK);
    assert_int_equal(position, first);
    node_rig_end(&f.rig);
    /* Another log has another mark; the same log always the same. */
    f = begin(6, 2000);
    commit_some(&f, 0, 1);
    uint64_t other;
    assert_int_equal(hf_tail_mark(f.tail, &other, &error), HF_ERR_OK);
    assert_true(other != mark);
    assert_int_equal(hf_tail_mark(f.tail, &mark, &error), HF_ERR_OK);
    assert_true(other == mark);
    node_rig_end(&f.rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_seen_before_it_is_durable),
        cmocka_unit_test(who_sends_is_rung_for_what_concerns_it_alone),
        cmocka_unit_test(what_never_was_does_not_hide_what_comes),
        cmocka_unit_test(listeners_are_rung_once_a_batch_and_at_the_end),
        cmocka_unit_test(the_ring_is_bounded_and_the_log_has_the_rest),
        cmocka_unit_test(a_time_leads_to_its_position),
        cmocka_unit_test(what_was_trimmed_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
