/* Receives and reads of sagas that wait: their order, who is woken and when, deadlines, gone peers. */
#include "node/wait.h"

#include <stdio.h>

#include "base/check.h"
#include "core/queue_op.h"
#include "unit/support.h"

#define SECOND_US     1000000ull
#define WAITERS       64
#define FAR_AWAY_US   (1000 * SECOND_US)
#define NAME_OF(i)    ((const char *const[]){"s0", "s1", "s2", "s3"}[i])
#define SUBSCRIPTIONS 4

struct waiter {
    struct hf_command command;
    struct hf_request request;
};

struct bench {
    struct hf_state state;
    struct hf_waits waits;
    struct hf_arena arena;
    struct hf_subscription *subscriptions[SUBSCRIPTIONS];
    struct waiter waiters[WAITERS];
    size_t count;
    uint64_t line_uid;
};

static void begin(struct bench *b, size_t count_max)
{
    *b = (struct bench){0};
    hf_state_init(&b->state, 7);
    hf_waits_init(&b->waits, 7, count_max);
    hf_arena_init(&b->arena);
    for (size_t i = 0; i < SUBSCRIPTIONS; i++) {
        struct hf_name name;
        struct hf_subscription_settings settings = {
            .order = HF_ORDER_KEY,
            .exhausted = HF_EXHAUSTED_PARK_KEY,
            .attempts_max = 6,
            .lease_ms = 30000,
            .in_flight_max = 2,
            .lines_max = 100,
        };
        assert_true(hf_name_make(hf_str_from(NAME_OF(i)), &b->arena, &name));
        b->subscriptions[i] = hf_subscription_new(&name, &settings, i + 1, 7);
        assert_non_null(b->subscriptions[i]);
        assert_true(hf_queue_reserve_subscription(&b->state.queue, &settings.filter));
        assert_true(hf_queue_enter(&b->state.queue, b->subscriptions[i]));
    }
}

static void end(struct bench *b)
{
    while (hf_waits_any(&b->waits) != NULL) {
    }
    hf_waits_verify(&b->waits);
    hf_waits_release(&b->waits);
    for (size_t i = 0; i < b->count; i++) {
        hf_command_release(&b->waiters[i].command);
    }
    hf_state_release(&b->state);
    hf_arena_release(&b->arena);
}

static struct hf_request *receive_from(struct bench *b, const char *subscription,
                                       uint64_t deadline_us)
{
    struct waiter *waiter = &b->waiters[b->count++];
    struct hf_malformed malformed;
    struct hf_queue_fields fields = {.type = HF_OP_RECEIVE,
                                     .subscription = hf_str_from(subscription)};
    hf_command_init(&waiter->command, HF_COMMAND_COMMIT);
    assert_true(hf_command_set_principal(&waiter->command, HF_STR("local"), &malformed));
    assert_true(hf_command_add_queue_op(&waiter->command, &fields, &malformed));
    assert_true(hf_command_finish(&waiter->command, &malformed));
    waiter->request = (struct hf_request){.command = &waiter->command, .deadline_us = deadline_us};
    return &waiter->request;
}

static struct hf_request *keep(struct bench *b, size_t subscription, uint64_t deadline_us)
{
    struct hf_request *request = receive_from(b, NAME_OF(subscription), deadline_us);
    assert_true(hf_waits_keep(&b->waits, request, &b->state, 0));
    hf_waits_verify(&b->waits);
    return request;
}

/* A line of one message. */
static struct hf_line *add_line(struct bench *b, size_t subscription, enum hf_line_state state,
                                uint64_t due_us)
{
    struct hf_subscription *s = b->subscriptions[subscription];
    assert_true(hf_queue_reserve_lines(&b->state.queue, 1));
    assert_true(hf_lines_reserve(s, 1, 1, 1));
    struct hf_line *line = hf_queue_take_line(&b->state.queue);
    uint64_t uid = ++b->line_uid;
    *line = (struct hf_line){
        .key = hf_pair_id(uid, 77),
        .uid = uid,
        .first = 1,
        .next = 1,
        .last = 1,
        .place = {.position = uid, .index = 0, .bytes = 2},
        .state = state,
        .due_us = due_us,
    };
    hf_lines_add(s, line);
    return line;
}

static void take_line(struct bench *b, size_t subscription, struct hf_line *line)
{
    hf_lines_remove(b->subscriptions[subscription], line);
    hf_line_free(line);
}

static struct hf_request *next(struct bench *b, uint64_t now_us)
{
    struct hf_request *request = hf_waits_next(&b->waits, &b->state, now_us);
    hf_waits_verify(&b->waits);
    return request;
}

static void who_waits_longest_is_asked_first(void **state)
{
    (void)state;
    static struct bench b;
    begin(&b, 100);
    struct hf_request *first = keep(&b, 0, FAR_AWAY_US);
    struct hf_request *second = keep(&b, 0, FAR_AWAY_US);
    assert_null(next(&b, 0));
    struct hf_line *one = add_line(&b, 0, HF_LINE_READY, 0);
    assert_null(next(&b, 0)); /* nobody has said so */
    hf_waits_stir(&b.waits, HF_KIND_SUBSCRIPTION, &b.subscriptions[0]->name.id);
    assert_ptr_equal(next(&b, 0), first);
    assert_null(next(&b, 0)); /* one line, one who is asked, as long as it is under way */
    struct hf_line *two = add_line(&b, 0, HF_LINE_READY, 0);
    hf_waits_stir(&b.waits, HF_KIND_SUBSCRIPTION, &b.subscriptions[0]->name.id);
    assert_ptr_equal(next(&b, 0), second);
    take_line(&b, 0, one);
    take_line(&b, 0, two);
    hf_waits_settled(&b.waits, first);
    hf_waits_settled(&b.waits, second);
    assert_null(next(&b, 0));
    assert_int_equal(b.waits.queues.count, 0);
    end(&b);
}

static void who_was_woken_in_vain_keeps_its_place(void **state)
{
    (void)state;
    static struct bench b;
    begin(&b, 100);
    struct hf_request *first = keep(&b, 0, FAR_AWAY_US);
    struct hf_request *second = keep(&b, 0, FAR_AWAY_US);
    struct hf_line *line = add_line(&b, 0, HF_LINE_READY, 0);
    hf_waits_stir(&b.waits, HF_KIND_SUBSCRIPTION, &b.subscriptions[0]->name.id);
    assert_ptr_equal(next(&b, 0), first);
    take_line(&b, 0, line); /* somebody else was quicker */
    assert_true(hf_waits_keep(&b.waits, first, &b.state, 0));
    assert_null(next(&b, 0));
    line = add_line(&b, 0, HF_LINE_READY, 0);
    hf_waits_stir(&b.waits, HF_KIND_SUBSCRIPTION, &b.subscriptions[0]->name.id);
    assert_ptr_equal(next(&b, 0), first);
    take_line(&b, 0, line);
    hf_waits_settled(&b.waits, first);
    (void)second;
    end(&b);
}

static void others_are_not_woken(void **state)
{
    (void)state;
    static struct bench b;
    begin(&b, 100);
    struct hf_request *here = keep(&b, 1, FAR_AWAY_US);
    (void)keep(&b, 2, FAR_AWAY_US);
    add_line(&b, 1, HF_LINE_READY, 0);
    hf_waits_stir(&b.waits, HF_KIND_SUBSCRIPTION, &b.subscriptions[1]->name.id);
    hf_waits_stir(&b.waits, HF_KIND_SUBSCRIPTION, &b.subscriptions[2]->name.id);
    assert_ptr_equal(next(&b, 0), here);
    hf_waits_settled(&b.waits, here);
    assert_null(next(&b, 0));
    end(&b);
}

static void backing_off_ends_by_time(void **state)
{
    (void)state;
    static struct bench b;
    begin(&b, 100);
    add_line(&b, 0, HF_LINE_BACKING_OFF, 5 * SECOND_US);
    struct hf_request *request = keep(&b, 0, FAR_AWAY_US);
    assert_int_equal(hf_waits_ready_us(&b.waits), 5 * SECOND_US);
    assert_null(next(&b, 5 * SECOND_US - 1));
    assert_ptr_equal(next(&b, 5 * SECOND_US), request);
    hf_waits_settled(&b.waits, request);
    assert_int_equal(hf_waits_ready_us(&b.waits), UINT64_MAX);
    /* Too much is in flight: the time has come, and yet only a commit can help. */
    b.subscriptions[0]->in_flight = 2;
    request = keep(&b, 0, FAR_AWAY_US);
    assert_null(next(&b, 6 * SECOND_US));
    assert_int_equal(hf_waits_ready_us(&b.waits), UINT64_MAX);
    b.subscriptions[0]->in_flight = 1;
    hf_waits_stir(&b.waits, HF_KIND_SUBSCRIPTION, &b.subscriptions[0]->name.id);
    assert_ptr_equal(next(&b, 6 * SECOND_US), request);
    hf_waits_settled(&b.waits, request);
    b.subscriptions[0]->in_flight = 0;
    end(&b);
}

static void deadlines_come_in_their_order(void **state)
{
    (void)state;
    static struct bench b;
    begin(&b, 100);
    struct hf_request *requests[20];
    for (size_t i = 0; i < 20; i++) {
        requests[i] = keep(&b, i % SUBSCRIPTIONS, (1 + i * 7 % 20) * SECOND_US);
    }
    for (uint64_t second = 1; second <= 20; second++) {
        assert_int_equal(hf_waits_deadline_us(&b.waits), second * SECOND_US);
        assert_null(hf_waits_expired(&b.waits, second * SECOND_US - 1));
        struct hf_request *request = hf_waits_expired(&b.waits, second * SECOND_US);
        hf_waits_verify(&b.waits);
        assert_non_null(request);
        assert_int_equal(request->deadline_us, second * SECOND_US);
    }
    assert_int_equal(b.waits.count, 0);
    assert_int_equal(b.waits.queues.count, 0);
    (void)requests;
    end(&b);
}

static void a_gone_peer_is_taken_out(void **state)
{
    (void)state;
    static struct bench b;
    begin(&b, 100);
    struct hf_request *first = keep(&b, 0, FAR_AWAY_US);
    struct hf_request *second = keep(&b, 0, FAR_AWAY_US);
    atomic_store(&first->gone, true);
    assert_ptr_equal(hf_waits_gone(&b.waits), first);
    assert_null(hf_waits_gone(&b.waits));
    add_line(&b, 0, HF_LINE_READY, 0);
    hf_waits_stir(&b.waits, HF_KIND_SUBSCRIPTION, &b.subscriptions[0]->name.id);
    assert_ptr_equal(next(&b, 0), second);
    hf_waits_settled(&b.waits, second);
    end(&b);
}

static void a_deleted_subscription_is_told_to_all(void **state)
{
    (void)state;
    static struct bench b;
    begin(&b, 100);
    struct hf_request *first = keep(&b, 3, FAR_AWAY_US);
    struct hf_request *second = keep(&b, 3, FAR_AWAY_US);
    struct hf_id id = b.subscriptions[3]->name.id;
    hf_queue_drop(&b.state.queue, b.subscriptions[3]);
    hf_waits_stir(&b.waits, HF_KIND_SUBSCRIPTION, &id);
    assert_ptr_equal(next(&b, 0), first);
    assert_ptr_equal(next(&b, 0), second);
    hf_waits_settled(&b.waits, first);
    hf_waits_settled(&b.waits, second);
    assert_null(next(&b, 0));
    end(&b);
}

static void the_count_is_bounded(void **state)
{
    (void)state;
    static struct bench b;
    begin(&b, 3);
    for (size_t i = 0; i < 3; i++) {
        (void)keep(&b, i, FAR_AWAY_US);
    }
    struct hf_request *request = receive_from(&b, "s0", FAR_AWAY_US);
    assert_false(hf_waits_keep(&b.waits, request, &b.state, 0));
    assert_int_equal(hf_tally_get(&b.waits.shown), 3);
    end(&b);
}

static void a_rebuild_looks_at_all(void **state)
{
    (void)state;
    static struct bench b;
    begin(&b, 100);
    struct hf_request *request = keep(&b, 2, FAR_AWAY_US);
    (void)keep(&b, 1, FAR_AWAY_US);
    add_line(&b, 2, HF_LINE_READY, 0);
    hf_waits_stir_all(&b.waits);
    assert_ptr_equal(next(&b, 0), request);
    hf_waits_settled(&b.waits, request);
    assert_null(next(&b, 0));
    end(&b);
}

/* ---- sagas ---- */

struct reader {
    struct hf_query query;
    struct hf_request request;
};

/* A saga of one step, running; its name is a subscription's, too. */
static struct hf_saga *add_saga(struct bench *b, const char *name)
{
    struct hf_sagas *sagas = &b->state.sagas;
    struct hf_malformed malformed;
    struct hf_name definition_name;
    struct hf_saga_changed started = {.version = 1, .state = HF_SAGA_RUNNING};
    assert_true(hf_name_make(HF_STR("d"), &b->arena, &definition_name));
    assert_true(hf_name_make(hf_str_from(name), &b->arena, &started.saga));
    struct hf_saga_stored_definition *definition = hf_sagas_definition(sagas, HF_STR("d"), 1);
    if (definition == NULL) {
        definition = hf_saga_definition_new(&definition_name, 1);
        assert_non_null(definition);
        assert_true(hf_saga_definition_parse(&definition->parsed,
                                             HF_STR("{\"steps\":[{\"name\":\"a\",\"action\":{}}]}"),
                                             &malformed));
        assert_true(hf_sagas_enter_definition(sagas, definition));
    }
    struct hf_saga *saga = hf_saga_new(&started, 1);
    assert_non_null(saga);
    saga->definition = definition;
    saga->state = HF_SAGA_RUNNING;
    assert_true(hf_table_reserve(&sagas->by_id, 1));
    assert_true(hf_sagas_enter(sagas, saga));
    return saga;
}

static struct hf_request *read_of(struct reader *reader, const struct hf_saga *saga,
                                  uint64_t deadline_us)
{
    reader->query =
        (struct hf_query){.type = HF_QUERY_SAGA, .name = saga->name, .until_settled = true};
    reader->request = (struct hf_request){
        .queries = &reader->query, .query_count = 1, .deadline_us = deadline_us};
    return &reader->request;
}

static void readers_of_a_saga_wait_until_it_settles(void **state)
{
    (void)state;
    static struct bench b;
    struct reader readers[4];
    begin(&b, 10);
    struct hf_saga *saga = add_saga(&b, NAME_OF(0));
    struct hf_saga *other = add_saga(&b, NAME_OF(1));
    assert_true(hf_wait_saga_goes_on(&b.state, &saga->name.id));
    for (size_t i = 0; i < 3; i++) {
        assert_true(hf_waits_keep(&b.waits, read_of(&readers[i], saga, FAR_AWAY_US), &b.state, 0));
    }
    assert_true(hf_waits_keep(&b.waits, read_of(&readers[3], other, 7 * SECOND_US), &b.state, 0));
    struct hf_request *receive = keep(&b, 0, FAR_AWAY_US);
    /* moved, but not settled; and a subscription of the same name is something else */
    hf_waits_stir(&b.waits, HF_KIND_SAGA, &saga->name.id);
    hf_waits_stir(&b.waits, HF_KIND_SUBSCRIPTION, &saga->name.id);
    assert_null(next(&b, 0));
    hf_sagas_move(&b.state.sagas, saga, HF_SAGA_PARKED, 0);
    assert_false(hf_wait_saga_goes_on(&b.state, &saga->name.id));
    hf_waits_stir(&b.waits, HF_KIND_SAGA, &saga->name.id);
    for (size_t i = 0; i < 3; i++) { /* all of them, in their order */
        assert_ptr_equal(next(&b, 0), &readers[i].request);
    }
    assert_null(next(&b, 0));
    /* one finds it resumed meanwhile, and waits on; the others were answered */
    hf_sagas_move(&b.state.sagas, saga, HF_SAGA_RUNNING, 0);
    assert_true(hf_waits_keep(&b.waits, &readers[1].request, &b.state, 0));
    hf_waits_settled(&b.waits, &readers[0].request);
    hf_waits_settled(&b.waits, &readers[2].request);
    assert_null(next(&b, 0));
    assert_int_equal(b.waits.count, 3);
    /* a saga that is gone is told, too */
    hf_sagas_drop(&b.state.sagas, saga);
    hf_waits_stir_all(&b.waits);
    assert_ptr_equal(next(&b, 0), &readers[1].request);
    hf_waits_settled(&b.waits, &readers[1].request);
    assert_null(next(&b, 0));
    /* the deadline */
    assert_null(hf_waits_expired(&b.waits, 6 * SECOND_US));
    assert_ptr_equal(hf_waits_expired(&b.waits, 7 * SECOND_US), &readers[3].request);
    assert_int_equal(b.waits.saga_queues.count, 0);
    assert_ptr_equal(hf_waits_any(&b.waits), receive);
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_waits_longest_is_asked_first),
        cmocka_unit_test(who_was_woken_in_vain_keeps_its_place),
        cmocka_unit_test(others_are_not_woken),
        cmocka_unit_test(backing_off_ends_by_time),
        cmocka_unit_test(deadlines_come_in_their_order),
        cmocka_unit_test(a_gone_peer_is_taken_out),
        cmocka_unit_test(a_deleted_subscription_is_told_to_all),
        cmocka_unit_test(the_count_is_bounded),
        cmocka_unit_test(a_rebuild_looks_at_all),
        cmocka_unit_test(readers_of_a_saga_wait_until_it_settles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
