/*
 * Balances at points of the past through a node in the simulated world, against a list of what each commit left behind: with
 * everything in RAM, with nothing, over many segments, index runs, merges and restarts. SEED=n replays one seed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "unit/node_rig.h"
#include "unit/support.h"

#define COMMITS_MAX 4000u
#define ACCOUNTS    3u
#define ASKED       60u

/* An account behind a commit. */
struct fact {
    uint64_t version;
    uint64_t position; /* of its newest entry, or of its opening */
    uint64_t time_us;  /* of that */
    hf_u128 credits;
};

struct rig {
    struct node_rig node;
    struct fact facts[COMMITS_MAX][ACCOUNTS]; /* by commit's number… */
    uint64_t positions[COMMITS_MAX];          /* …its position… */
    uint64_t times[COMMITS_MAX];              /* …its time */
    size_t commit_count;
    uint64_t random;
    uint64_t sent; /* packed transfers */
};

/* A read of several balances. */
struct asked {
    struct hf_request request;
    struct hf_query queries[ASKED];
    struct hf_balance balances[ASKED];
    enum hf_err codes[ASKED];
    uint64_t time_us; /* of the state that was read */
    bool done;
};

static const char *const names[ACCOUNTS] = {"a", "b", "c"};

static uint64_t below(struct rig *rig, uint64_t bound)
{
    rig->random = rig->random * 6364136223846793005u + 1442695040888963407u;
    return (rig->random >> 33) % bound;
}

static struct hf_name name_of(const char *text)
{
    static struct hf_arena none; /* short lower-case names need no copy */
    struct hf_name name;
    assert_true(hf_name_make(hf_str_from(text), &none, &name));
    return name;
}

static void render(struct hf_request *request, size_t index, const struct hf_reading *reading)
{
    struct asked *asked = HF_CONTAINER_OF(request, struct asked, request);
    asked->balances[index] = reading->balance;
    asked->codes[index] = reading->code;
    asked->time_us = reading->time_us;
}

static void done(struct hf_request *request)
{
    HF_CONTAINER_OF(request, struct asked, request)->done = true;
}

static void asked_done(struct hf_request *request)
{
    HF_CONTAINER_OF(request, struct node_asked, request)->done = true;
}

static void ask(struct rig *rig, struct asked *asked, size_t count)
{
    asked->request = (struct hf_request){
        .queries = asked->queries, .query_count = count, .render = render, .done = done};
    asked->done = false;
    assert_int_equal(hf_node_submit(rig->node.node, &asked->request), HF_ERR_OK);
    node_rig_drive_until(&rig->node, &asked->done);
    assert_int_equal(asked->request.answer.code, HF_ERR_OK);
    hf_answer_release(&asked->request.answer);
}

/* What the commit that was just made has left behind. */
static void learn(struct rig *rig)
{
    struct asked asked = {0};
    HF_CHECK(rig->commit_count < COMMITS_MAX);
    for (size_t i = 0; i < ACCOUNTS; i++) {
        asked.queries[i] = (struct hf_query){.type = HF_QUERY_BALANCE, .name = name_of(names[i])};
    }
    ask(rig, &asked, ACCOUNTS);
    struct fact *facts = rig->facts[rig->commit_count];
    uint64_t newest = 0;
    for (size_t i = 0; i < ACCOUNTS; i++) {
        const struct hf_balance *now = &asked.balances[i];
        facts[i] =
            (struct fact){now->version, now->position, now->time_us, now->totals.credits_posted};
        newest = now->position > newest ? now->position : newest;
        rig->times[rig->commit_count] =
            now->position == newest ? now->time_us : rig->times[rig->commit_count];
    }
    rig->positions[rig->commit_count++] = newest;
}

/* One commit: some transfers, each from an account that is not watched to one that is. */
static void pay(struct rig *rig)
{
    char text[8000] = "{\"do\":[";
    size_t used = strlen(text);
    unsigned count = below(rig, 10) == 0 ? 1 + (unsigned)below(rig, 60) : 1;
    unsigned to = below(rig, 20) == 0 ? 2 : (unsigned)below(rig, 2);
    for (unsigned i = 0; i < count; i++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used,
                                 "%s{\"op\":\"transfer\",\"from\":\"w\",\"to\":\"%s\",\"asset\":"
                                 "\"USD/2\",\"amount\":\"%u\"}",
                                 i > 0 ? "," : "", names[to], 1 + (unsigned)below(rig, 9));
    }
    (void)snprintf(text + used, sizeof(text) - used, "]}");
    node_rig_commit(&rig->node, text);
    learn(rig);
}

/* The same as one packed request: a strip. */
static void pay_packed(struct rig *rig)
{
    static struct hf_packed_transfer plain[60];
    struct node_asked asked = {.request = {.done = asked_done}};
    struct hf_outcome outcomes[60];
    struct hf_malformed malformed;
    struct hf_asset asset;
    unsigned count = below(rig, 10) == 0 ? 1 + (unsigned)below(rig, 60) : 1;
    struct hf_name to = name_of(names[below(rig, 20) == 0 ? 2 : below(rig, 2)]);
    assert_true(hf_asset_parse(HF_STR("USD/2"), &asset));
    hf_command_init(&asked.command, HF_COMMAND_EACH);
    assert_true(hf_command_set_principal(&asked.command, HF_STR("local"), &malformed));
    for (unsigned i = 0; i < count; i++) {
        plain[i] = (struct hf_packed_transfer){.type = HF_OP_TRANSFER,
                                               .from = name_of("w").id,
                                               .to = to.id,
                                               .amount = 1 + below(rig, 9)};
        hf_put_u64(plain[i].id.bytes, 1);
        hf_put_u64(plain[i].id.bytes + 8, ++rig->sent);
        hf_asset_hash(&asset, plain[i].asset_hash);
    }
    asked.command.plain = plain;
    asked.command.op_count = count;
    assert_true(hf_command_finish(&asked.command, &malformed));
    asked.request.command = &asked.command;
    asked.request.outcomes = outcomes;
    assert_int_equal(hf_node_submit(rig->node.node, &asked.request), HF_ERR_OK);
    node_rig_drive_until(&rig->node, &asked.done);
    assert_int_equal(asked.request.answer.code, HF_ERR_OK);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(outcomes[i].code, HF_ERR_OK);
    }
    node_asked_release(&asked);
    learn(rig);
}

/* ---- asking ---- */

/* The number of the newest commit up to a point; SIZE_MAX: there is none. */
static size_t number_at(const struct rig *rig, const uint64_t *points, uint64_t most)
{
    size_t found = SIZE_MAX;
    for (size_t i = 0; i < rig->commit_count && points[i] <= most; i++) {
        found = i;
    }
    return found;
}

static struct hf_query random_query(struct rig *rig, uint32_t account)
{
    struct hf_query query = {.type = HF_QUERY_BALANCE, .name = name_of(names[account])};
    size_t number = below(rig, rig->commit_count);
    switch (below(rig, 3)) {
    case 0:
        query.at = HF_AT_TIME;
        query.at_us = rig->times[number] + below(rig, 3) - 1;
        break;
    case 1:
        query.at = HF_AT_POSITION;
        query.position = rig->positions[number] - below(rig, 2);
        break;
    default:
        query.at = HF_AT_VERSION;
        query.version = below(rig, rig->facts[rig->commit_count - 1][account].version + 1);
        break;
    }
    return query;
}

static void compare(const struct rig *rig, const struct asked *asked, size_t i, uint32_t account)
{
    const struct hf_query *query = &asked->queries[i];
    const struct hf_balance *real = &asked->balances[i];
    if (query->at == HF_AT_VERSION) {
        assert_int_equal(asked->codes[i], HF_ERR_OK);
        assert_int_equal(real->version, query->version);
        return;
    }
    size_t number = query->at == HF_AT_TIME ? number_at(rig, rig->times, query->at_us)
                                            : number_at(rig, rig->positions, query->position);
    if (number == SIZE_MAX) {
        assert_int_equal(asked->codes[i], HF_ERR_ACCOUNT_NOT_FOUND);
        return;
    }
    const struct fact *fact = &rig->facts[number][account];
    assert_int_equal(asked->codes[i], HF_ERR_OK);
    assert_int_equal(real->version, fact->version);
    assert_int_equal(real->position, fact->position);
    assert_int_equal(real->time_us, fact->time_us);
    assert_u128_equal(real->totals.credits_posted, fact->credits);
}

static void check(struct rig *rig, unsigned rounds)
{
    struct asked *asked = calloc(1, sizeof(*asked));
    assert_non_null(asked);
    for (unsigned round = 0; round < rounds; round++) {
        size_t count = 1 + below(rig, ASKED);
        uint32_t accounts[ASKED];
        for (size_t i = 0; i < count; i++) {
            accounts[i] = (uint32_t)below(rig, ACCOUNTS);
            asked->queries[i] = random_query(rig, accounts[i]);
        }
        ask(rig, asked, count);
        for (size_t i = 0; i < count; i++) {
            compare(rig, asked, i, accounts[i]);
        }
    }
    free(asked);
}

/* Before the first commit, at it, and long after the last. */
static void check_ends(struct rig *rig)
{
    struct asked asked = {0};
    const uint64_t times[] = {0, rig->times[0] - 1, rig->times[0], UINT64_MAX};
    for (size_t i = 0; i < 4; i++) {
        asked.queries[i] = (struct hf_query){.type = HF_QUERY_BALANCE,
                                             .name = name_of(names[0]),
                                             .at = HF_AT_TIME,
                                             .at_us = times[i]};
    }
    ask(rig, &asked, 4);
    for (size_t i = 0; i < 4; i++) {
        compare(rig, &asked, i, 0);
    }
}

static void checkpoint(struct rig *rig)
{
    hf_node_checkpoint(rig->node.node);
    pay(rig); /* it begins behind a batch */
    node_rig_drive(&rig->node, 100000);
}

static void restart(struct rig *rig)
{
    node_rig_stop(&rig->node);
    node_rig_make(&rig->node);
    node_rig_start(&rig->node);
}

static void history(uint64_t recent_bytes_max, uint64_t seed)
{
    const char *given = getenv("SEED");
    struct rig *rig = calloc(1, sizeof(*rig));
    assert_non_null(rig);
    rig->random = given == NULL ? seed : strtoull(given, NULL, 10);
    node_rig_init(&rig->node, rig->random);
    rig->node.limits.recent_bytes_max = recent_bytes_max;
    rig->node.limits.index_runs_max = 2; /* merges */
    node_rig_make(&rig->node);
    node_rig_start(&rig->node);
    node_rig_commit(
        &rig->node,
        "{\"do\":[{\"op\":\"open_account\",\"account\":\"w\",\"asset\":\"USD/2\",\"floor\":null},"
        "{\"op\":\"open_account\",\"account\":\"a\",\"asset\":\"USD/2\"},"
        "{\"op\":\"open_account\",\"account\":\"b\",\"asset\":\"USD/2\"},"
        "{\"op\":\"open_account\",\"account\":\"c\",\"asset\":\"USD/2\"}]}");
    learn(rig);
    for (unsigned part = 0; part < 8; part++) {
        for (unsigned i = 0; i < 150; i++) {
            (part % 4 < 2 ? pay : pay_packed)(rig);
        }
        check(rig, 4);
        if (part % 2 == 1) {
            checkpoint(rig);
            check(rig, 4);
        }
        if (part % 3 == 2) {
            restart(rig);
            check(rig, 4);
        }
        check_ends(rig);
    }
    struct hf_node_status status;
    hf_node_status(rig->node.node, &status);
    assert_true(status.checkpoint_position > 0);
    node_rig_end(&rig->node);
    free(rig);
}

static void test_in_ram(void **state)
{
    (void)state;
    history(64u << 20, 1);
}

static void test_partly_in_ram(void **state)
{
    (void)state;
    history(16u << 10, 2);
}

static void test_cold(void **state)
{
    (void)state;
    history(0, 3);
    history(0, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_ram),
        cmocka_unit_test(test_partly_in_ram),
        cmocka_unit_test(test_cold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
