/*
 * The batcher against a naive server that misbehaves: every submission ends once, with the outcome of its own records;
 * when requests leave, how many are under way, what a full or closed batcher does.
 */
#include "base/alloc.h"
#include "base/bytes.h"
#include "client/batcher_priv.h"
#include "unit/packed_server.h"
#include "unit/support.h"

#define THREADS      12
#define CALLS        250         /* of each thread */
#define LONG_US      4000000000u /* more than an hour: what is not due does not leave */
#define ENDS_MAX     8192
#define UNKNOWN_FLAG (1u << 31)

static struct packed_server server;
static struct holdfast_client *client;
static struct holdfast_client_batcher *batcher;
static struct holdfast_client_failure failure;

/* ---- the rig ---- */

static void start(const enum packed_fault *script, size_t count, uint64_t total_ms,
                  struct holdfast_client_batcher_options options)
{
    packed_server_start(&server, script, count);
    const char *addresses[] = {server.address};
    struct holdfast_client_options of_client = {.addresses = addresses,
                                                .address_count = 1,
                                                .total_timeout_ms = total_ms,
                                                .connect_timeout_ms = 60000,
                                                .request_timeout_ms = 300000,
                                                .backoff_first_ms = 1,
                                                .backoff_max_ms = 4};
    assert_int_equal(holdfast_client_new(&of_client, &client, &failure), HOLDFAST_CLIENT_OK);
    assert_int_equal(holdfast_client_batcher_new(client, &options, &batcher, &failure),
                     HOLDFAST_CLIENT_OK);
}

static void stop(void)
{
    packed_server_hold(&server, false);
    holdfast_client_batcher_free(batcher);
    holdfast_client_free(client);
    packed_server_stop(&server);
}

/* The n-th record, of which `code` becomes. */
static struct holdfast_client_record record_of(uint64_t n, uint32_t code, uint32_t flags)
{
    struct holdfast_client_packed_transfer transfer = {
        .amount = n + 1, .code = code, .flags = flags, .asset = "USD/2"};
    struct holdfast_client_record record;
    hf_put_u64(transfer.id.bytes, 9);
    hf_put_u64(transfer.id.bytes + 8, n);
    assert_true(holdfast_client_pack_transfer(&transfer, &record));
    return record;
}

static bool server_knows(uint64_t n, uint32_t code)
{
    struct holdfast_client_record record = record_of(n, 0, 0);
    uint32_t found;
    return packed_server_knows(&server, record.bytes, &found) && found == code;
}

/* How a submission ended. */
struct end {
    atomic_uint times;
    enum holdfast_client_error error;
    int status;
    size_t record_count;
    size_t order; /* among all that ended */
    uint64_t position;
    struct holdfast_client_outcome outcomes[16];
};

static struct end ends[ENDS_MAX];
static atomic_size_t orders; /* given */
static atomic_size_t ended;

static void take_end(void *context, const struct holdfast_client_submitted *submitted)
{
    struct end *end = context;
    end->error = submitted->error;
    end->record_count = submitted->record_count;
    end->position = submitted->position;
    end->status = submitted->failure == NULL ? 0 : submitted->failure->status;
    if ((submitted->error == HOLDFAST_CLIENT_OK) != (submitted->failure == NULL) ||
        (submitted->error == HOLDFAST_CLIENT_OK) != (submitted->outcomes != NULL)) {
        abort();
    }
    for (size_t i = 0; submitted->outcomes != NULL && i < submitted->record_count; i++) {
        end->outcomes[i] = submitted->outcomes[i];
    }
    end->order = atomic_fetch_add(&orders, 1);
    atomic_fetch_add(&end->times, 1);
    atomic_fetch_add(&ended, 1);
}

static void forget_ends(void)
{
    memset(ends, 0, sizeof(ends));
    atomic_store(&orders, 0);
    atomic_store(&ended, 0);
}

/* From any thread. */
static enum holdfast_client_error submit_told(const struct holdfast_client_record *records,
                                              size_t count, uint64_t room_wait_ms, struct end *end,
                                              struct holdfast_client_failure *told)
{
    struct holdfast_client_submission submission = {.records = records,
                                                    .record_count = count,
                                                    .room_wait_ms = room_wait_ms,
                                                    .done = take_end,
                                                    .context = end};
    return holdfast_client_batcher_submit(batcher, &submission, told);
}

static enum holdfast_client_error submit(const struct holdfast_client_record *records, size_t count,
                                         uint64_t room_wait_ms, struct end *end)
{
    return submit_told(records, count, room_wait_ms, end, &failure);
}

/* The n-th record alone, into ends[n]. */
static void submit_one(uint64_t n, uint32_t code)
{
    struct holdfast_client_record record = record_of(n, code, 0);
    assert_int_equal(submit(&record, 1, 0, &ends[n]), HOLDFAST_CLIENT_OK);
}

static void await_ends(size_t count)
{
    while (atomic_load(&ended) < count) {
        hf_client_sleep_ms(1);
    }
}

static void assert_ended(size_t n, enum holdfast_client_error error, uint16_t code)
{
    assert_int_equal(atomic_load(&ends[n].times), 1);
    assert_int_equal(ends[n].error, error);
    assert_int_equal(ends[n].outcomes[0].code, code);
}

/* ---- outcomes ---- */

static void one_alone(void **state)
{
    (void)state;
    start(NULL, 0, 600000, (struct holdfast_client_batcher_options){.delay_us = LONG_US});
    struct holdfast_client_outcome outcome;
    struct holdfast_client_record record = record_of(1, 0, 0);
    assert_int_equal(holdfast_client_batcher_transfer(batcher, &record, &outcome, &failure),
                     HOLDFAST_CLIENT_OK);
    assert_int_equal(outcome.code, 0);
    record = record_of(2, 170, 0);
    assert_int_equal(holdfast_client_batcher_transfer(batcher, &record, &outcome, NULL),
                     HOLDFAST_CLIENT_OK);
    assert_int_equal(outcome.code, 170);
    assert_int_equal(outcome.flags, 0);
    assert_int_equal(holdfast_client_batcher_transfer(batcher, &record, &outcome, &failure),
                     HOLDFAST_CLIENT_OK);
    assert_int_equal(outcome.flags, HOLDFAST_FLAG_REPLAYED);
    assert_int_equal(packed_server_requests(&server), 3);
    stop();
}

struct caller {
    pthread_t thread;
    uint64_t first;
    unsigned good;
};

static uint32_t code_of(uint64_t n)
{
    return n % 3 == 0 ? 0 : 1000 + (uint32_t)(n % 50000);
}

static void *call(void *context)
{
    struct caller *caller = context;
    for (uint64_t n = caller->first; n < caller->first + CALLS; n++) {
        struct holdfast_client_record record = record_of(n, code_of(n), 0);
        struct holdfast_client_outcome outcome;
        enum holdfast_client_error error =
            holdfast_client_batcher_transfer(batcher, &record, &outcome, NULL);
        caller->good += error == HOLDFAST_CLIENT_OK && outcome.code == code_of(n);
    }
    return NULL;
}

/* Many threads, small requests, a server that loses every fourth: each gets what became of its own record. */
static void each_its_own(void **state)
{
    (void)state;
    static const unsigned delays_us[] = {0, 300};
    for (size_t round = 0; round < 2; round++) {
        start(NULL, 0, 600000,
              (struct holdfast_client_batcher_options){.records_max = 7,
                                                       .requests_max = 3,
                                                       .waiting_max = 8,
                                                       .delay_us = delays_us[round]});
        struct caller callers[THREADS] = {0};
        packed_server_misbehave(&server, round, 64);
        for (unsigned i = 0; i < THREADS; i++) {
            callers[i].first = (uint64_t)i * CALLS;
            assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
        }
        for (unsigned i = 0; i < THREADS; i++) {
            assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
            assert_int_equal(callers[i].good, CALLS);
        }
        assert_int_equal(packed_server_done(&server), THREADS * CALLS);
        for (uint64_t n = 0; n < THREADS * CALLS; n++) {
            assert_true(server_knows(n, code_of(n)));
        }
        assert_true(packed_server_largest(&server) <= 7);
        assert_true(packed_server_largest(&server) > 1);
        stop();
    }
}

/* ---- when requests leave ---- */

static void gathered_while_one_is_under_way(void **state)
{
    (void)state;
    forget_ends();
    start(NULL, 0, 600000, (struct holdfast_client_batcher_options){.requests_max = 1});
    packed_server_hold(&server, true);
    submit_one(0, 0);
    packed_server_await(&server, 1);
    for (uint64_t n = 1; n <= 20; n++) {
        submit_one(n, n % 2 == 0 ? 100 + (uint32_t)n : 0);
    }
    packed_server_hold(&server, false);
    await_ends(21);
    assert_int_equal(packed_server_requests(&server), 2);
    assert_int_equal(server.sizes[0], 1);
    assert_int_equal(server.sizes[1], 20);
    for (uint64_t n = 0; n <= 20; n++) {
        assert_ended(n, HOLDFAST_CLIENT_OK, n > 0 && n % 2 == 0 ? 100 + (uint16_t)n : 0);
        assert_int_equal(ends[n].order, n); /* one under way: as submitted */
        assert_int_equal(ends[n].position, n == 0 ? 1 : 2);
    }
    stop();
}

/* Another one leaves beside the first only when it is full. */
static void full_ones_leave_at_once(void **state)
{
    (void)state;
    forget_ends();
    start(NULL, 0, 600000,
          (struct holdfast_client_batcher_options){
              .records_max = 5, .requests_max = 2, .delay_us = LONG_US});
    packed_server_hold(&server, true);
    submit_one(0, 0);
    packed_server_await(&server, 1);
    for (uint64_t n = 1; n <= 4; n++) {
        submit_one(n, 0);
    }
    hf_client_sleep_ms(20);
    assert_int_equal(packed_server_requests(&server), 1);
    submit_one(5, 0);
    packed_server_await(&server, 2);
    assert_int_equal(server.sizes[1], 5);
    submit_one(6, 0); /* waits until nothing is under way */
    packed_server_hold(&server, false);
    await_ends(7);
    assert_int_equal(server.sizes[2], 1);
    stop();
}

/* What does not fit beside the others, and fills a request of its own, waits for nobody either. */
static void what_is_left_behind_leaves_too(void **state)
{
    (void)state;
    forget_ends();
    start(NULL, 0, 600000,
          (struct holdfast_client_batcher_options){
              .records_max = 5, .requests_max = 3, .delay_us = LONG_US});
    packed_server_hold(&server, true);
    submit_one(0, 0);
    packed_server_await(&server, 1);
    for (uint64_t n = 1; n <= 4; n++) {
        submit_one(n, 0);
    }
    hf_client_sleep_ms(20); /* whom the first of them woke waits by its timer again */
    struct holdfast_client_record records[5];
    for (uint64_t n = 0; n < 5; n++) {
        records[n] = record_of(10 + n, 0, 0);
    }
    assert_int_equal(submit(records, 5, 0, &ends[10]), HOLDFAST_CLIENT_OK);
    packed_server_await(&server, 3);
    packed_server_hold(&server, false);
    await_ends(6);
    stop();
}

static void the_delay_ends(void **state)
{
    (void)state;
    forget_ends();
    start(NULL, 0, 600000,
          (struct holdfast_client_batcher_options){.requests_max = 2, .delay_us = 3000});
    packed_server_hold(&server, true);
    submit_one(0, 0);
    packed_server_await(&server, 1);
    submit_one(1, 0);
    submit_one(2, 0);
    packed_server_await(&server, 2);
    packed_server_hold(&server, false);
    await_ends(3);
    stop();
}

static void as_many_under_way_as_may(void **state)
{
    (void)state;
    forget_ends();
    start(NULL, 0, 600000,
          (struct holdfast_client_batcher_options){.records_max = 2, .requests_max = 3});
    packed_server_hold(&server, true);
    for (uint64_t n = 0; n < 20; n++) {
        submit_one(n, 0);
    }
    packed_server_await(&server, 3);
    hf_client_sleep_ms(20);
    assert_int_equal(packed_server_requests(&server), 3);
    packed_server_hold(&server, false);
    await_ends(20);
    assert_true(packed_server_largest(&server) <= 2);
    stop();
}

static void *flush(void *context)
{
    atomic_size_t *seen = context;
    holdfast_client_batcher_flush(batcher);
    atomic_store(seen, atomic_load(&ended));
    return NULL;
}

static void flush_sends_and_waits(void **state)
{
    (void)state;
    forget_ends();
    start(NULL, 0, 600000,
          (struct holdfast_client_batcher_options){.requests_max = 2, .delay_us = LONG_US});
    holdfast_client_batcher_flush(batcher); /* nothing to wait for */
    packed_server_hold(&server, true);
    submit_one(0, 0);
    packed_server_await(&server, 1);
    submit_one(1, 0);
    submit_one(2, 0);
    pthread_t thread;
    atomic_size_t seen = 0;
    assert_int_equal(pthread_create(&thread, NULL, flush, &seen), 0);
    packed_server_await(&server, 2); /* long before its delay */
    packed_server_hold(&server, false);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(atomic_load(&seen), 3);
    stop();
}

/* ---- room ---- */

static void full(void **state)
{
    (void)state;
    forget_ends();
    start(NULL, 0, 600000,
          (struct holdfast_client_batcher_options){
              .records_max = 4, .requests_max = 1, .waiting_max = 8});
    packed_server_hold(&server, true);
    submit_one(0, 0);
    packed_server_await(&server, 1);
    for (uint64_t n = 1; n <= 8; n++) {
        submit_one(n, 0);
    }
    struct holdfast_client_record record = record_of(9, 0, 0);
    assert_int_equal(submit(&record, 1, 0, &ends[9]), HOLDFAST_CLIENT_BUSY);
    assert_int_equal(failure.error, HOLDFAST_CLIENT_BUSY);
    assert_int_equal(submit(&record, 1, 5, &ends[9]), HOLDFAST_CLIENT_BUSY);
    packed_server_hold(&server, false);
    assert_int_equal(submit(&record, 1, 600000, &ends[9]), HOLDFAST_CLIENT_OK);
    await_ends(10);
    for (size_t n = 0; n < 10; n++) {
        assert_ended(n, HOLDFAST_CLIENT_OK, 0);
    }
    stop();
}

/* A thread that submits a chain of n records, with room for them or not. */
struct waiting {
    pthread_t thread;
    uint64_t first;
    size_t count;
    struct end *end;
    atomic_int error; /* -1 = waits */
};

static void *wait_with_chain(void *context)
{
    struct waiting *waiting = context;
    struct holdfast_client_record records[16];
    for (size_t i = 0; i < waiting->count; i++) {
        records[i] =
            record_of(waiting->first + i, 0, i + 1 < waiting->count ? HOLDFAST_FLAG_LINKED : 0);
    }
    atomic_store(&waiting->error,
                 (int)submit_told(records, waiting->count, 600000, waiting->end, NULL));
    return NULL;
}

static void begin_waiting(struct waiting *waiting)
{
    atomic_store(&waiting->error, -1);
    assert_int_equal(pthread_create(&waiting->thread, NULL, wait_with_chain, waiting), 0);
}

static size_t count_waiters(void)
{
    size_t count = 0;
    hf_batch_lock(batcher);
    for (const struct hf_batch_waiter *at = batcher->first_waiter; at != NULL; at = at->next) {
        count++;
    }
    hf_batch_unlock(batcher);
    return count;
}

/* Who needs much room is not overtaken for ever by those that need little. */
static void room_goes_in_order(void **state)
{
    (void)state;
    forget_ends();
    start(NULL, 0, 600000,
          (struct holdfast_client_batcher_options){
              .records_max = 6, .requests_max = 1, .waiting_max = 6});
    packed_server_hold(&server, true);
    submit_one(0, 0);
    packed_server_await(&server, 1);
    submit_one(1, 0);
    struct waiting big = {.first = 100, .count = 6, .end = &ends[100]};
    struct waiting small = {.first = 200, .count = 1, .end = &ends[200]};
    begin_waiting(&big);
    while (count_waiters() == 0) {
        hf_client_sleep_ms(1);
    }
    struct holdfast_client_record record = record_of(2, 0, 0);
    assert_int_equal(submit(&record, 1, 0, &ends[2]), HOLDFAST_CLIENT_BUSY); /* five have room */
    begin_waiting(&small);
    hf_client_sleep_ms(5);
    assert_int_equal(atomic_load(&small.error), -1);
    packed_server_hold(&server, false);
    assert_int_equal(pthread_join(big.thread, NULL), 0);
    assert_int_equal(pthread_join(small.thread, NULL), 0);
    await_ends(4);
    assert_int_equal(atomic_load(&big.error), HOLDFAST_CLIENT_OK);
    assert_int_equal(atomic_load(&small.error), HOLDFAST_CLIENT_OK);
    assert_true(ends[100].order < ends[200].order);
    stop();
}

/* Room for two goes to both, without another request's end. */
static void room_for_two(void **state)
{
    (void)state;
    forget_ends();
    start(NULL, 0, 600000,
          (struct holdfast_client_batcher_options){
              .records_max = 6, .requests_max = 1, .waiting_max = 6});
    packed_server_hold(&server, true);
    submit_one(0, 0);
    packed_server_await(&server, 1);
    for (uint64_t n = 1; n <= 6; n++) {
        submit_one(n, 0);
    }
    struct waiting waiting[2] = {{.first = 100, .count = 3, .end = &ends[100]},
                                 {.first = 200, .count = 3, .end = &ends[200]}};
    begin_waiting(&waiting[0]);
    begin_waiting(&waiting[1]);
    while (count_waiters() < 2) {
        hf_client_sleep_ms(1);
    }
    packed_server_let_one(&server);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(waiting[i].thread, NULL), 0);
        assert_int_equal(atomic_load(&waiting[i].error), HOLDFAST_CLIENT_OK);
    }
    assert_int_equal(atomic_load(&ended), 1);
    packed_server_hold(&server, false);
    await_ends(9);
    stop();
}

/* ---- chains, wrong records ---- */

static void chains_stay_together(void **state)
{
    (void)state;
    forget_ends();
    start(NULL, 0, 600000,
          (struct holdfast_client_batcher_options){
              .records_max = 5, .requests_max = 2, .waiting_max = 11, .delay_us = 200});
    packed_server_misbehave(&server, 1, 40);
    for (uint64_t n = 0; n < 300; n++) {
        size_t count = 1 + n % 4; /* around the ring's end in every way */
        struct holdfast_client_record records[4];
        for (size_t i = 0; i < count; i++) {
            uint32_t code = n % 5 == 0 && i == count / 2 ? 2000 + (uint32_t)n : 0;
            records[i] = record_of(10 * n + i, code, i + 1 < count ? HOLDFAST_FLAG_LINKED : 0);
        }
        assert_int_equal(submit(records, count, 600000, &ends[n]), HOLDFAST_CLIENT_OK);
    }
    holdfast_client_batcher_flush(batcher);
    for (uint64_t n = 0; n < 300; n++) {
        size_t count = 1 + n % 4;
        uint16_t code = n % 5 == 0 ? 2000 + (uint16_t)n : 0;
        assert_ended(n, HOLDFAST_CLIENT_OK, code);
        assert_int_equal(ends[n].record_count, count);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(ends[n].outcomes[i].code, code);
            assert_int_equal(ends[n].outcomes[i].flags & HOLDFAST_FLAG_CHAIN,
                             code != 0 && i != count / 2 ? HOLDFAST_FLAG_CHAIN : 0);
            assert_true(server_knows(10 * n + i, code));
        }
    }
    assert_int_equal(server.refused_whole, 0); /* no chain was cut */
    assert_int_equal(packed_server_done(&server), 75 * (1 + 2 + 3 + 4));
    assert_true(packed_server_largest(&server) <= 5);
    stop();
}

static void nothing_of_an_invalid_one_is_sent(void **state)
{
    (void)state;
    forget_ends();
    start(NULL, 0, 600000, (struct holdfast_client_batcher_options){.records_max = 4});
    struct holdfast_client_record records[5];
    struct holdfast_client_outcome outcome;
    for (uint64_t n = 0; n < 5; n++) {
        records[n] = record_of(n, 0, HOLDFAST_FLAG_LINKED);
    }
    assert_int_equal(holdfast_client_batcher_transfer(batcher, &records[0], &outcome, &failure),
                     HOLDFAST_CLIENT_INVALID);
    assert_non_null(strstr(failure.text, "LINKED"));
    assert_int_equal(submit(records, 4, 0, &ends[0]), HOLDFAST_CLIENT_INVALID);
    records[4] = record_of(4, 0, 0);
    assert_int_equal(submit(records, 5, 0, &ends[0]), HOLDFAST_CLIENT_INVALID);
    assert_int_equal(submit(records, 0, 0, &ends[0]), HOLDFAST_CLIENT_INVALID);
    assert_int_equal(submit(NULL, 1, 0, &ends[0]), HOLDFAST_CLIENT_INVALID);
    memset(records[4].bytes, 0, 16);
    assert_int_equal(submit(&records[4], 1, 0, &ends[0]), HOLDFAST_CLIENT_INVALID);
    struct holdfast_client_submission no_end = {.records = records, .record_count = 1};
    assert_int_equal(holdfast_client_batcher_submit(batcher, &no_end, NULL),
                     HOLDFAST_CLIENT_INVALID);
    stop();
    assert_int_equal(atomic_load(&ended), 0);
    assert_int_equal(server.request_count, 0);
}

/* One record that the server can't read does not take the others with it. */
static void a_wrong_record_is_alone(void **state)
{
    (void)state;
    for (uint64_t wrong = 1; wrong <= 13; wrong += 4) {
        forget_ends();
        start(NULL, 0, 600000, (struct holdfast_client_batcher_options){.requests_max = 1});
        packed_server_hold(&server, true);
        submit_one(0, 0);
        packed_server_await(&server, 1);
        for (uint64_t n = 1; n <= 13; n++) {
            struct holdfast_client_record record =
                record_of(n, 1000 + (uint32_t)n, n == wrong ? UNKNOWN_FLAG : 0);
            assert_int_equal(submit(&record, 1, 0, &ends[n]), HOLDFAST_CLIENT_OK);
        }
        packed_server_hold(&server, false);
        await_ends(14);
        for (uint64_t n = 1; n <= 13; n++) {
            assert_ended(n, n == wrong ? HOLDFAST_CLIENT_REFUSED : HOLDFAST_CLIENT_OK,
                         n == wrong ? 0 : 1000 + (uint16_t)n);
            assert_int_equal(ends[n].status, n == wrong ? 400 : 0);
            assert_int_equal(ends[n].order, n);
        }
        assert_int_equal(packed_server_done(&server), 13);
        stop();
    }
}

/* Too large as a whole: in halves; also when it is not known whether the whole was done before. */
static void too_large_goes_in_halves(void **state)
{
    (void)state;
    static const enum packed_fault scripts[][3] = {
        {PACKED_FINE, PACKED_TOO_LARGE, PACKED_TOO_LARGE},
        {PACKED_FINE, PACKED_DONE_LOST, PACKED_TOO_LARGE}};
    for (size_t i = 0; i < 2; i++) {
        forget_ends();
        start(scripts[i], 3, 600000, (struct holdfast_client_batcher_options){.requests_max = 1});
        packed_server_hold(&server, true);
        submit_one(0, 0);
        packed_server_await(&server, 1);
        for (uint64_t n = 1; n <= 9; n++) {
            submit_one(n, n % 2 == 0 ? 170 : 0);
        }
        packed_server_hold(&server, false);
        await_ends(10);
        for (uint64_t n = 0; n <= 9; n++) {
            assert_ended(n, HOLDFAST_CLIENT_OK, n > 0 && n % 2 == 0 ? 170 : 0);
        }
        assert_int_equal(packed_server_done(&server), 10);
        stop();
    }
}

static void a_refused_token_refuses_all(void **state)
{
    (void)state;
    static const enum packed_fault script[] = {PACKED_FINE, PACKED_FORBIDDEN};
    forget_ends();
    start(script, 2, 600000, (struct holdfast_client_batcher_options){.requests_max = 1});
    packed_server_hold(&server, true);
    submit_one(0, 0);
    packed_server_await(&server, 1);
    submit_one(1, 0);
    submit_one(2, 0);
    packed_server_hold(&server, false);
    await_ends(3);
    assert_ended(1, HOLDFAST_CLIENT_REFUSED, 0);
    assert_ended(2, HOLDFAST_CLIENT_REFUSED, 0);
    assert_int_equal(ends[2].status, 403);
    assert_int_equal(packed_server_requests(&server), 2);
    stop();
}

static void no_answer_in_time(void **state)
{
    (void)state;
    forget_ends();
    static const enum packed_fault script[] = {PACKED_BUSY_LONG, PACKED_DONE_LOST,
                                               PACKED_BUSY_LONG};
    start(script, 3, 600000, (struct holdfast_client_batcher_options){.total_timeout_ms = 600000});
    struct holdfast_client_record record = record_of(1, 0, 0);
    struct holdfast_client_outcome outcome;
    assert_int_equal(holdfast_client_batcher_transfer(batcher, &record, &outcome, &failure),
                     HOLDFAST_CLIENT_UNAVAILABLE);
    assert_string_equal(failure.code, "overloaded");
    assert_int_equal(failure.attempts, 1);
    assert_int_equal(holdfast_client_batcher_transfer(batcher, &record, &outcome, &failure),
                     HOLDFAST_CLIENT_UNKNOWN);
    assert_int_equal(failure.attempts, 2);
    assert_true(server_knows(1, 0));
    stop();
}

/* ---- call-backs ---- */

static void submit_next(void *context, const struct holdfast_client_submitted *submitted)
{
    struct end *end = context;
    size_t n = (size_t)(end - ends);
    take_end(context, submitted);
    if (n < 100) {
        struct holdfast_client_record record = record_of(n + 1, 0, 0);
        struct holdfast_client_submission submission = {.records = &record,
                                                        .record_count = 1,
                                                        .room_wait_ms = 10000,
                                                        .done = submit_next,
                                                        .context = &ends[n + 1]};
        if (holdfast_client_batcher_submit(batcher, &submission, NULL) != HOLDFAST_CLIENT_OK) {
            abort();
        }
    }
}

static void call_backs_may_submit(void **state)
{
    (void)state;
    forget_ends();
    start(NULL, 0, 600000, (struct holdfast_client_batcher_options){.requests_max = 1});
    struct holdfast_client_record record = record_of(0, 0, 0);
    struct holdfast_client_submission submission = {
        .records = &record, .record_count = 1, .done = submit_next, .context = &ends[0]};
    assert_int_equal(holdfast_client_batcher_submit(batcher, &submission, &failure),
                     HOLDFAST_CLIENT_OK);
    await_ends(101);
    for (size_t n = 0; n <= 100; n++) {
        assert_ended(n, HOLDFAST_CLIENT_OK, 0);
    }
    stop();
}

/* Waiting in a call-back could be for ever: it is refused at once. */
static void try_to_wait(void *context, const struct holdfast_client_submitted *submitted)
{
    struct holdfast_client_outcome outcome;
    enum holdfast_client_error *errors = context;
    (void)submitted;
    for (uint64_t n = 1;; n++) {
        struct holdfast_client_record record = record_of(n, 0, 0);
        errors[0] = submit_told(&record, 1, 600000, &ends[n], NULL);
        if (errors[0] != HOLDFAST_CLIENT_OK) {
            break;
        }
    }
    struct holdfast_client_record record = record_of(900, 0, 0);
    errors[1] = holdfast_client_batcher_transfer(batcher, &record, &outcome, NULL);
    atomic_fetch_add(&ended, 1);
}

static void call_backs_can_not_wait(void **state)
{
    (void)state;
    forget_ends();
    start(NULL, 0, 600000,
          (struct holdfast_client_batcher_options){
              .records_max = 4, .requests_max = 1, .waiting_max = 4});
    enum holdfast_client_error errors[2] = {HOLDFAST_CLIENT_OK, HOLDFAST_CLIENT_OK};
    struct holdfast_client_record record = record_of(0, 0, 0);
    struct holdfast_client_submission submission = {
        .records = &record, .record_count = 1, .done = try_to_wait, .context = errors};
    assert_int_equal(holdfast_client_batcher_submit(batcher, &submission, &failure),
                     HOLDFAST_CLIENT_OK);
    await_ends(5);
    assert_int_equal(errors[0], HOLDFAST_CLIENT_BUSY);
    assert_int_equal(errors[1], HOLDFAST_CLIENT_INVALID);
    stop();
}

/* ---- the end ---- */

static void close_sends_what_waits(void **state)
{
    (void)state;
    forget_ends();
    start(NULL, 0, 600000,
          (struct holdfast_client_batcher_options){
              .records_max = 7, .requests_max = 2, .delay_us = LONG_US});
    packed_server_misbehave(&server, 1, 60);
    for (uint64_t n = 0; n < 100; n++) {
        submit_one(n, n % 2 == 0 ? 170 : 0);
    }
    holdfast_client_batcher_close(batcher, 600000);
    assert_int_equal(atomic_load(&ended), 100);
    for (uint64_t n = 0; n < 100; n++) {
        assert_ended(n, HOLDFAST_CLIENT_OK, n % 2 == 0 ? 170 : 0);
    }
    struct holdfast_client_record record = record_of(101, 0, 0);
    struct holdfast_client_outcome outcome;
    assert_int_equal(submit(&record, 1, 0, &ends[101]), HOLDFAST_CLIENT_CLOSED);
    assert_int_equal(submit(&record, 1, 1000, &ends[101]), HOLDFAST_CLIENT_CLOSED);
    assert_int_equal(holdfast_client_batcher_transfer(batcher, &record, &outcome, &failure),
                     HOLDFAST_CLIENT_CLOSED);
    assert_int_equal(atomic_load(&ended), 100);
    stop();
}

static void free_sends_what_waits(void **state)
{
    (void)state;
    forget_ends();
    start(NULL, 0, 600000,
          (struct holdfast_client_batcher_options){
              .records_max = 7, .requests_max = 2, .delay_us = LONG_US});
    for (uint64_t n = 0; n < 50; n++) {
        submit_one(n, 0);
    }
    stop();
    for (uint64_t n = 0; n < 50; n++) {
        assert_ended(n, HOLDFAST_CLIENT_OK, 0);
    }
}

static void *close_now(void *context)
{
    (void)context;
    holdfast_client_batcher_close(batcher, 0);
    return NULL;
}

/* Without time: what was not sent is told so, what is under way has its true end, who waits for room goes. */
static void close_at_once(void **state)
{
    (void)state;
    forget_ends();
    start(NULL, 0, 600000,
          (struct holdfast_client_batcher_options){
              .records_max = 2, .requests_max = 1, .waiting_max = 4});
    packed_server_hold(&server, true);
    submit_one(0, 170);
    packed_server_await(&server, 1);
    for (uint64_t n = 1; n <= 4; n++) {
        submit_one(n, 0);
    }
    struct waiting late = {.first = 100, .count = 2, .end = &ends[100]};
    begin_waiting(&late);
    while (count_waiters() == 0) {
        hf_client_sleep_ms(1);
    }
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, close_now, NULL), 0);
    assert_int_equal(pthread_join(late.thread, NULL), 0);
    assert_int_equal(atomic_load(&late.error), HOLDFAST_CLIENT_CLOSED);
    await_ends(4);
    packed_server_hold(&server, false);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_ended(0, HOLDFAST_CLIENT_OK, 170);
    for (uint64_t n = 1; n <= 4; n++) {
        assert_ended(n, HOLDFAST_CLIENT_UNAVAILABLE, 0);
        assert_false(server_knows(n, 0));
    }
    assert_int_equal(atomic_load(&ends[100].times), 0);
    assert_int_equal(packed_server_done(&server), 1);
    stop();
}

/* ---- everything at once ---- */

struct busy_one {
    pthread_t thread;
    size_t first; /* of ends */
    size_t taken; /* submissions that were taken, from first on */
};

#define OF_ONE 400

static void *be_busy(void *context)
{
    struct busy_one *one = context;
    for (size_t i = 0; i < OF_ONE; i++) {
        struct holdfast_client_record records[3];
        size_t n = one->first + i;
        size_t count = 1 + i % 3;
        for (size_t k = 0; k < count; k++) {
            records[k] = record_of(4 * n + k, code_of(n), k + 1 < count ? HOLDFAST_FLAG_LINKED : 0);
        }
        struct holdfast_client_submission submission = {.records = records,
                                                        .record_count = count,
                                                        .room_wait_ms = i % 7 == 0 ? 1 : 600000,
                                                        .done = take_end,
                                                        .context = &ends[n]};
        enum holdfast_client_error error;
        do {
            error = holdfast_client_batcher_submit(batcher, &submission, NULL);
        } while (error == HOLDFAST_CLIENT_BUSY);
        if (error != HOLDFAST_CLIENT_OK) {
            return NULL; /* closed */
        }
        one->taken++;
        if (i % 97 == 0) {
            holdfast_client_batcher_flush(batcher);
        }
    }
    return NULL;
}

/* Closed amid all that: what was taken has ended, once each, truly. */
static void closed_under_load(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 4; round++) {
        struct busy_one busy[THREADS] = {0};
        forget_ends();
        start(NULL, 0, 600000,
              (struct holdfast_client_batcher_options){.records_max = 9,
                                                       .requests_max = 1 + round,
                                                       .waiting_max = 9 + 10 * round,
                                                       .delay_us = 100 * (round % 2)});
        packed_server_misbehave(&server, round, 30);
        for (size_t i = 0; i < THREADS; i++) {
            busy[i].first = i * OF_ONE;
            assert_int_equal(pthread_create(&busy[i].thread, NULL, be_busy, &busy[i]), 0);
        }
        hf_client_sleep_ms(30 + 40 * round);
        holdfast_client_batcher_close(batcher, round % 2 == 0 ? 60000 : 1);
        size_t taken = 0;
        for (size_t i = 0; i < THREADS; i++) {
            assert_int_equal(pthread_join(busy[i].thread, NULL), 0);
            taken += busy[i].taken;
            for (size_t k = 0; k < OF_ONE; k++) {
                size_t n = busy[i].first + k;
                assert_int_equal(atomic_load(&ends[n].times), k < busy[i].taken);
                if (k < busy[i].taken && ends[n].error == HOLDFAST_CLIENT_OK) {
                    assert_int_equal(ends[n].outcomes[0].code, code_of(n));
                    assert_true(server_knows(4 * n, code_of(n)));
                } else if (k < busy[i].taken) {
                    assert_int_equal(ends[n].error, HOLDFAST_CLIENT_UNAVAILABLE);
                    assert_false(server_knows(4 * n, code_of(n)));
                }
            }
        }
        assert_int_equal(atomic_load(&ended), taken);
        assert_true(taken > 0);
        stop();
    }
}

static void wrong_options(void **state)
{
    (void)state;
    start(NULL, 0, 600000, (struct holdfast_client_batcher_options){0});
    static const struct holdfast_client_batcher_options wrong[] = {
        {.records_max = 8191}, {.requests_max = 65},      {.records_max = 8, .waiting_max = 7},
        {.waiting_max = 8189}, {.waiting_max = 16777217},
    };
    struct holdfast_client_batcher *none;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(holdfast_client_batcher_new(client, &wrong[i], &none, &failure),
                         HOLDFAST_CLIENT_INVALID);
        assert_null(none);
    }
    holdfast_client_batcher_free(NULL);
    stop();
}

static void memory_is_short(void **state)
{
    (void)state;
    start(NULL, 0, 600000, (struct holdfast_client_batcher_options){0});
    struct holdfast_client_batcher_options small = {.records_max = 2, .waiting_max = 4};
    bool hit = true;
    for (uint64_t n = 1; hit; n++) {
        struct holdfast_client_batcher *made;
        hf_alloc_fault_set(n);
        enum holdfast_client_error error =
            holdfast_client_batcher_new(client, &small, &made, &failure);
        hit = hf_alloc_fault_hit();
        hf_alloc_fault_set(0);
        assert_int_equal(error, hit ? HOLDFAST_CLIENT_NO_MEMORY : HOLDFAST_CLIENT_OK);
        holdfast_client_batcher_free(made);
        assert_true(n < 100);
    }
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_alone),
        cmocka_unit_test(each_its_own),
        cmocka_unit_test(gathered_while_one_is_under_way),
        cmocka_unit_test(full_ones_leave_at_once),
        cmocka_unit_test(what_is_left_behind_leaves_too),
        cmocka_unit_test(the_delay_ends),
        cmocka_unit_test(as_many_under_way_as_may),
        cmocka_unit_test(flush_sends_and_waits),
        cmocka_unit_test(full),
        cmocka_unit_test(room_goes_in_order),
        cmocka_unit_test(room_for_two),
        cmocka_unit_test(chains_stay_together),
        cmocka_unit_test(nothing_of_an_invalid_one_is_sent),
        cmocka_unit_test(a_wrong_record_is_alone),
        cmocka_unit_test(too_large_goes_in_halves),
        cmocka_unit_test(a_refused_token_refuses_all),
        cmocka_unit_test(no_answer_in_time),
        cmocka_unit_test(call_backs_may_submit),
        cmocka_unit_test(call_backs_can_not_wait),
        cmocka_unit_test(close_sends_what_waits),
        cmocka_unit_test(free_sends_what_waits),
        cmocka_unit_test(close_at_once),
        cmocka_unit_test(closed_under_load),
        cmocka_unit_test(wrong_options),
        cmocka_unit_test(memory_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
