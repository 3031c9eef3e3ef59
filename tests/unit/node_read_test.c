/*
 * Reads through a node in the simulated world: several at one position, cold ones, and reads that wait for a
 * position, with and without a deadline.
 */
#include "base/check.h"
#include "unit/node_rig.h"
#include "unit/support.h"

/* Something asked, and what came of it. */
struct asked {
    struct hf_request request;
    unsigned renders;      /* calls of render since index 0 */
    unsigned firsts;       /* of those, for index 0 */
    size_t next_index;     /* that render must be called with, or 0 */
    uint64_t positions[8]; /* of the readings */
    uint32_t items[8];     /* of the readings' pages */
    enum hf_err codes[8];  /* of the readings */
    uint64_t versions[8];  /* of the readings' balances */
    bool done;
};

static void render(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct asked *asked = HF_CONTAINER_OF(request, struct asked, request);
    assert_true(index == 0 || index == asked->next_index);
    asked->firsts += index == 0;
    asked->renders = index == 0 ? 1 : asked->renders + 1;
    asked->next_index = index + 1;
    asked->positions[index] = reading->position;
    asked->items[index] = reading->item_count + reading->entity_count;
    asked->codes[index] = reading->code;
    asked->versions[index] = reading->balance.version;
}

static void done(struct hf_request *request)
{
    struct asked *asked = HF_CONTAINER_OF(request, struct asked, request);
    assert_false(asked->done);
    asked->done = true;
}

static struct node_rig begin(uint64_t recent_bytes_max)
{
    struct node_rig rig;
    node_rig_init(&rig, 7);
    rig.limits.recent_bytes_max = recent_bytes_max;
    node_rig_make(&rig);
    node_rig_start(&rig);
    return rig;
}

static void open_accounts(struct node_rig *f)
{
    node_rig_commit(
        f, "{\"do\":[{\"op\":\"open_account\",\"account\":\"w\",\"asset\":\"USD/2\",\"floor\":"
           "null},{\"op\":\"open_account\",\"account\":\"a\",\"asset\":\"USD/2\"}]}");
}

static void pay(struct node_rig *f)
{
    node_rig_commit(f,
                    "{\"do\":[{\"op\":\"transfer\",\"from\":\"w\",\"to\":\"a\",\"asset\":\"USD/2\","
                    "\"amount\":\"1\"}]}");
}

static struct hf_name name_of(const char *text)
{
    static struct hf_arena none; /* short lower-case names need no copy */
    struct hf_name name;
    assert_true(hf_name_make(hf_str_from(text), &none, &name));
    return name;
}

static void submit(struct node_rig *f, struct asked *asked, const struct hf_query *queries,
                   size_t count)
{
    asked->request.queries = queries;
    asked->request.query_count = count;
    asked->request.render = render;
    asked->request.done = done;
    assert_int_equal(hf_node_submit(f->node, &asked->request), HF_ERR_OK);
}

/* ---- several queries ---- */

static void check_several(struct node_rig *f)
{
    struct hf_query queries[] = {
        {.type = HF_QUERY_ACCOUNT, .name = name_of("a")},
        {.type = HF_QUERY_ACCOUNT, .name = name_of("nobody")},
        {.type = HF_QUERY_ENTRIES, .name = name_of("a"), .limit = 1000},
        {.type = HF_QUERY_TRANSFERS, .name = name_of("w"), .limit = 200},
        {.type = HF_QUERY_BALANCE, .name = name_of("a"), .at = HF_AT_VERSION, .version = 3},
        {.type = HF_QUERY_BALANCE,
         .name = name_of("w"),
         .at = HF_AT_POSITION,
         .position = node_rig_position(f) - 7},
        {.type = HF_QUERY_ACCOUNTS, .limit = 10},
    };
    struct asked asked = {0};
    submit(f, &asked, queries, HF_ARRAY_COUNT(queries));
    node_rig_drive_until(f, &asked.done);
    assert_int_equal(asked.request.answer.code, HF_ERR_OK);
    assert_true(asked.request.answer.decided);
    assert_int_equal(asked.renders, HF_ARRAY_COUNT(queries));
    for (size_t i = 0; i < HF_ARRAY_COUNT(queries); i++) {
        assert_int_equal(asked.positions[i], asked.request.answer.seen_position);
        assert_int_equal(asked.codes[i], i == 1 ? HF_ERR_ACCOUNT_NOT_FOUND : HF_ERR_OK);
    }
    assert_int_equal(asked.items[2], 300);
    assert_int_equal(asked.items[3], 200);
    assert_int_equal(asked.versions[4], 3);
    assert_int_equal(asked.versions[5], 300 - 7);
    assert_int_equal(asked.items[6], 2);
    hf_answer_release(&asked.request.answer);
}

static void test_several_at_one_position(void **state)
{
    (void)state;
    struct node_rig f = begin(64u << 20);
    open_accounts(&f);
    for (unsigned i = 0; i < 300; i++) {
        pay(&f);
    }
    check_several(&f);
    node_rig_end(&f);
}

/* After a checkpoint nothing but the state itself is in RAM: everything is fetched, and read in few rounds. */
static void test_several_cold(void **state)
{
    (void)state;
    struct node_rig f = begin(0);
    open_accounts(&f);
    for (unsigned i = 0; i < 300; i++) {
        pay(&f);
    }
    hf_node_checkpoint(f.node);
    node_rig_commit(&f,
                    "{\"do\":[{\"op\":\"append\",\"stream\":\"s\",\"type\":\"t\",\"data\":1}]}");
    node_rig_drive(&f, 200000);
    struct hf_node_status before, after;
    hf_node_status(f.node, &before);
    assert_true(before.checkpoint_position > 0);
    /* The checkpoint's own commits lie behind the payments. */
    struct hf_query query = {.type = HF_QUERY_BALANCE,
                             .name = name_of("a"),
                             .at = HF_AT_POSITION,
                             .position = before.checkpoint_position - 50};
    struct asked asked = {0};
    submit(&f, &asked, &query, 1);
    node_rig_drive_until(&f, &asked.done);
    assert_int_equal(asked.codes[0], HF_ERR_OK);
    assert_true(asked.versions[0] > 200 && asked.versions[0] < 300);
    hf_answer_release(&asked.request.answer);
    struct hf_query pages[] = {
        {.type = HF_QUERY_ENTRIES, .name = name_of("a"), .limit = 1000},
        {.type = HF_QUERY_TRANSFERS, .name = name_of("w"), .limit = 1000},
        {.type = HF_QUERY_STATEMENT,
         .name = name_of("w"),
         .limit = 1000,
         .to_us = UINT64_MAX,
         .whole = true},
    };
    struct asked page = {0};
    submit(&f, &page, pages, HF_ARRAY_COUNT(pages));
    node_rig_drive_until(&f, &page.done);
    hf_node_status(f.node, &after);
    assert_int_equal(page.request.answer.code, HF_ERR_OK);
    assert_int_equal(page.items[0], 300);
    assert_int_equal(page.items[1], 300);
    assert_true(after.fetches > before.fetches && after.fetches - before.fetches < 24);
    hf_answer_release(&page.request.answer);
    node_rig_end(&f);
}

/* ---- waiting for a position ---- */

static const struct hf_query one_query = {.type = HF_QUERY_ACCOUNTS, .limit = 10};

static void test_deadline_passes(void **state)
{
    (void)state;
    struct node_rig f = begin(64u << 20);
    open_accounts(&f);
    uint64_t now_us = f.outside->monotonic_us(f.outside);
    struct asked asked = {
        .request = {.min_position = node_rig_position(&f) + 1, .deadline_us = now_us + 5000}};
    submit(&f, &asked, &one_query, 1);
    node_rig_drive(&f, 3000);
    assert_false(asked.done);
    assert_true(hf_node_next_step_us(f.node) <= now_us + 5000); /* it wakes up by itself */
    node_rig_drive(&f, 3000);
    assert_true(asked.done);
    assert_int_equal(asked.request.answer.code, HF_ERR_NOT_READY);
    assert_false(asked.request.answer.decided);
    assert_int_equal(asked.firsts, 0);
    assert_true(hf_node_next_step_us(f.node) == UINT64_MAX);
    node_rig_end(&f);
}

static void test_position_comes_in_time(void **state)
{
    (void)state;
    struct node_rig f = begin(64u << 20);
    open_accounts(&f);
    uint64_t now_us = f.outside->monotonic_us(f.outside);
    uint64_t wanted = node_rig_position(&f) + 2;
    struct asked asked = {.request = {.min_position = wanted, .deadline_us = now_us + 60000000}};
    struct asked hurried = {.request = {.min_position = wanted, .deadline_us = now_us + 500}};
    submit(&f, &asked, &one_query, 1);
    submit(&f, &hurried, &one_query, 1);
    pay(&f);
    node_rig_drive(&f, 1000);
    assert_false(asked.done); /* one position is missing */
    assert_true(hurried.done);
    assert_int_equal(hurried.request.answer.code, HF_ERR_NOT_READY);
    pay(&f);
    node_rig_drive_until(&f, &asked.done);
    assert_int_equal(asked.request.answer.code, HF_ERR_OK);
    assert_true(asked.request.answer.decided);
    assert_true(asked.positions[0] >= wanted);
    hf_answer_release(&asked.request.answer);
    node_rig_end(&f);
}

/* A deadline bounds the wait alone: what is there is read, however late; none waits until the end. */
static void test_no_wait_and_no_deadline(void **state)
{
    (void)state;
    struct node_rig f = begin(64u << 20);
    open_accounts(&f);
    struct asked there = {.request = {.min_position = node_rig_position(&f), .deadline_us = 1}};
    struct asked past = {.request = {.min_position = node_rig_position(&f) + 1, .deadline_us = 1}};
    struct asked patient = {.request = {.min_position = node_rig_position(&f) + 1}};
    node_rig_drive(&f, 1000);
    submit(&f, &there, &one_query, 1);
    submit(&f, &past, &one_query, 1);
    submit(&f, &patient, &one_query, 1);
    node_rig_drive(&f, 10000);
    assert_true(there.done && past.done && !patient.done);
    assert_int_equal(there.request.answer.code, HF_ERR_OK);
    assert_int_equal(past.request.answer.code, HF_ERR_NOT_READY);
    hf_node_stop(f.node);
    node_rig_drive(&f, 10000);
    assert_true(patient.done);
    assert_int_equal(patient.request.answer.code, HF_ERR_NOT_READY);
    hf_answer_release(&there.request.answer);
    node_rig_end(&f);
}

/* A position that a timer's commit makes counts like any other. */
static void test_position_of_a_timer(void **state)
{
    (void)state;
    struct node_rig f = begin(64u << 20);
    open_accounts(&f);
    node_rig_commit(
        &f, "{\"do\":[{\"op\":\"acquire\",\"lease\":\"l\",\"owner\":\"o\",\"ttl_ms\":20}]}");
    struct asked asked = {.request = {.min_position = node_rig_position(&f) + 1}};
    submit(&f, &asked, &one_query, 1);
    node_rig_drive(&f, 10000);
    assert_false(asked.done);
    node_rig_drive(&f, 30000);
    assert_true(asked.done);
    assert_int_equal(asked.request.answer.code, HF_ERR_OK);
    hf_answer_release(&asked.request.answer);
    node_rig_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_several_at_one_position),
        cmocka_unit_test(test_several_cold),
        cmocka_unit_test(test_deadline_passes),
        cmocka_unit_test(test_position_comes_in_time),
        cmocka_unit_test(test_no_wait_and_no_deadline),
        cmocka_unit_test(test_position_of_a_timer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
